/* SPDX-License-Identifier: Apache-2.0 */
/* TfIdfVectorizer: counts the n-grams of a pool in rows of numbers or strings. */
#include "infer/ops/elements.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- the pool */

enum mode { TF, IDF, TFIDF };

union item {
    int64_t number;
    const char *text;
};

struct gram {
    const union item *item; /* [length] */
    size_t length;
    size_t column; /* of the output */
    float weight;
};

/* The n-grams in lexicographic order, a shorter one before those that begin with it. */
struct pool {
    enum mode mode;
    bool texts;
    size_t shortest, longest, skips, columns;
    size_t count;
    struct gram *gram;
};

static int compare_items(bool texts, union item a, union item b)
{
    return texts ? strcmp(a.text, b.text) : (a.number > b.number) - (a.number < b.number);
}

static int compare_grams(bool texts, const struct gram *a, const struct gram *b)
{
    for (size_t i = 0; i < a->length && i < b->length; i++) {
        const int order = compare_items(texts, a->item[i], b->item[i]);

        if (order != 0)
            return order;
    }
    return (a->length > b->length) - (a->length < b->length);
}

static int compare_numbers(const void *a, const void *b)
{
    return compare_grams(false, a, b);
}

static int compare_texts(const void *a, const void *b)
{
    return compare_grams(true, a, b);
}

static int mode_of(const struct accel_node *n, struct pool *p, struct accel_error *err)
{
    static const char *const modes[] = {[TF] = "TF", [IDF] = "IDF", [TFIDF] = "TFIDF"};
    const char *name = accel_attr_string(n, "mode", "");
    const int64_t shortest = accel_attr_int(n, "min_gram_length", 0),
                  longest = accel_attr_int(n, "max_gram_length", 0),
                  skips = accel_attr_int(n, "max_skip_count", 0);
    unsigned k = 0;

    while (k < ACCEL_COUNT(modes) && strcmp(modes[k], name) != 0)
        k++;
    if (k == ACCEL_COUNT(modes))
        return accel_fail(err, ACCEL_E_INVALID, "mode is '%s', not TF, IDF or TFIDF", name);
    if (shortest < 1 || longest < shortest || skips < 0 || skips > INT32_MAX)
        return accel_fail(err, ACCEL_E_INVALID,
                          "n-grams of %" PRId64 " to %" PRId64 " items, %" PRId64 " skipped",
                          shortest, longest, skips);
    p->mode = (enum mode)k;
    p->shortest = (size_t)shortest;
    p->longest = (size_t)longest;
    p->skips = (size_t)skips;
    return ACCEL_OK;
}

/* The items of pool_int64s or pool_strings. */
static int items_of(const struct accel_node *n, struct accel_bump *mem, struct pool *p,
                    union item **items, size_t *count, struct accel_error *err)
{
    const struct accel_attr *numbers = accel_attr(n, "pool_int64s"),
                            *texts = accel_attr(n, "pool_strings");

    p->texts = texts != NULL && texts->count > 0;
    if (p->texts == (numbers != NULL && numbers->count > 0))
        return accel_fail(err, ACCEL_E_INVALID, "one of pool_int64s and pool_strings is needed");
    *count = p->texts ? texts->count : numbers->count;
    *items = accel_bump_alloc(mem, *count, sizeof(**items));
    if (*items == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its pool");
    for (size_t i = 0; i < *count; i++) {
        if (p->texts)
            (*items)[i].text = texts->strings[i].data;
        else
            (*items)[i].number = numbers->ints[i];
    }
    return ACCEL_OK;
}

/* Cuts the items into n-grams: those of length k + 1 begin at ngram_counts[k]. */
static int cut_grams(const struct accel_node *n, struct pool *p, const union item *items,
                     size_t count, struct accel_error *err)
{
    size_t lengths, columns, weights, next = 0;
    const int64_t *begin = accel_attr_ints(n, "ngram_counts", &lengths),
                  *column = accel_attr_ints(n, "ngram_indexes", &columns);
    const float *weight = accel_attr_floats(n, "weights", &weights);

    if (p->longest > lengths || (weights > 0 && weights != columns))
        return accel_fail(err, ACCEL_E_INVALID,
                          "ngram_counts has %zu entries, ngram_indexes %zu, weights %zu", lengths,
                          columns, weights);
    for (size_t k = 0; k < lengths; k++) {
        const int64_t from = begin[k], to = k + 1 < lengths ? begin[k + 1] : (int64_t)count;

        if (from < 0 || to < from || to > (int64_t)count || (to - from) % (int64_t)(k + 1) != 0)
            return accel_fail(err, ACCEL_E_INVALID,
                              "ngram_counts[%zu]: items %" PRId64 " to %" PRId64
                              " of %zu are no n-grams",
                              k, from, to, count);
        for (size_t at = (size_t)from; at < (size_t)to; at += k + 1, next++) {
            if (next >= columns || column[next] < 0 || column[next] > INT32_MAX)
                return accel_fail(err, ACCEL_E_INVALID, "ngram_indexes[%zu] is missing or wrong",
                                  next);
            p->columns = ACCEL_MAX(p->columns, (size_t)column[next] + 1);
            if (k + 1 >= p->shortest && k + 1 <= p->longest)
                p->gram[p->count++] = (struct gram){&items[at], k + 1, (size_t)column[next],
                                                    weights > 0 ? weight[next] : 1};
        }
    }
    if (next != columns)
        return accel_fail(err, ACCEL_E_INVALID, "ngram_indexes has %zu entries for %zu n-grams",
                          columns, next);
    return ACCEL_OK;
}

static int tfidf_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                       struct accel_error *err)
{
    struct pool *p = accel_bump_alloc(mem, 1, sizeof(*p));
    union item *items = NULL;
    size_t count = 0;

    if (p == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its pool");
    *params = p;
    int rc = mode_of(n, p, err);
    if (rc == ACCEL_OK)
        rc = items_of(n, mem, p, &items, &count, err);
    if (rc != ACCEL_OK)
        return rc;
    p->gram = accel_bump_alloc(mem, count, sizeof(*p->gram));
    if (p->gram == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its pool");
    rc = cut_grams(n, p, items, count, err);
    if (rc != ACCEL_OK)
        return rc;
    qsort(p->gram, p->count, sizeof(*p->gram), p->texts ? compare_texts : compare_numbers);
    for (size_t i = 1; i < p->count; i++)
        if (compare_grams(p->texts, &p->gram[i - 1], &p->gram[i]) == 0)
            return accel_fail(err, ACCEL_E_INVALID, "an n-gram of %zu items is twice in the pool",
                              p->gram[i].length);
    return ACCEL_OK;
}

static int tfidf_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct pool *p = in->node->params;
    const struct accel_shape *x = &in->in[0]->shape;

    if (x->rank != 1 && x->rank != 2)
        return accel_fail(err, ACCEL_E_INVALID, "an input of rank %u, not 1 or 2", x->rank);
    in->out[0]->dtype = ACCEL_DTYPE_FLOAT;
    in->out[0]->shape = *x;
    in->out[0]->shape.dims[x->rank - 1] = (int64_t)p->columns;
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- counting */

static union item item_at(const struct accel_tensor *x, size_t i)
{
    union item item;

    if (x->dtype == ACCEL_DTYPE_STRING)
        item.text = ((char *const *)x->data)[i];
    else
        item.number = accel_integer_at(x, i);
    return item;
}

/* Of the grams low..high, which agree in `depth` items, the first that is longer and whose next
 * item is not before `item` (after: after it). */
static size_t search(const struct pool *p, size_t low, size_t high, size_t depth, union item item,
                     bool after)
{
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const struct gram *g = &p->gram[middle];
        const int order = g->length <= depth ? -1 : compare_items(p->texts, g->item[depth], item);

        if (order < 0 || (after && order == 0))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Counts the n-grams of at least `least` items whose first item is at `from`, the others
 * `step` apart. */
static void count_from(const struct pool *p, const struct accel_tensor *x, size_t from, size_t end,
                       size_t step, size_t least, float *y)
{
    size_t low = 0, high = p->count, at = from;

    for (size_t depth = 0; depth < p->longest; depth++) {
        const union item item = item_at(x, at);

        low = search(p, low, high, depth, item, false);
        high = search(p, low, high, depth, item, true);
        if (low == high)
            return;
        const struct gram *g = &p->gram[low]; /* the shortest of those that are left */
        /* One weight after the other, as ONNX Runtime adds them: a product would round elsewhere.
         */
        if (g->length == depth + 1 && depth + 1 >= least) {
            if (p->mode == IDF)
                y[g->column] = g->weight;
            else
                y[g->column] += p->mode == TFIDF ? g->weight : 1;
        }
        if (step >= end - at)
            return;
        at += step;
    }
}

static void count_row(const struct pool *p, const struct accel_tensor *x, size_t begin, size_t end,
                      float *y)
{
    size_t least = p->shortest;

    /* A step that leaves the row from its first item on finds single items only. */
    for (size_t step = 1; step <= p->skips + 1; step++) {
        for (size_t from = begin; from < end; from++)
            count_from(p, x, from, end, step, least, y);
        /* Single items have no distance: they count once. */
        if (least == 1 && ++least > p->longest)
            break;
        if (step >= end - begin)
            break;
    }
}

static int tfidf_run(struct accel_run *run, struct accel_error *err)
{
    const struct pool *p = run->node->params;
    const struct accel_tensor *x = run->in[0];
    const size_t width = (size_t)x->dims[x->rank - 1], rows = x->rank == 2 ? (size_t)x->dims[0] : 1;
    float *y = run->out[0]->data;

    (void)err;
    if (run->out[0]->size_bytes == 0)
        return ACCEL_OK;
    memset(y, 0, run->out[0]->size_bytes);
    /* A pool of the other kind finds nothing, as with ONNX Runtime. */
    for (size_t r = 0; r < rows && p->texts == (x->dtype == ACCEL_DTYPE_STRING); r++)
        count_row(p, x, r * width, (r + 1) * width, y + r * p->columns);
    return ACCEL_OK;
}

static const struct accel_attr_rule tfidf_attrs[] = {
    {"max_gram_length", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED},
    {"max_skip_count", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED},
    {"min_gram_length", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED},
    {"mode", ACCEL_ATTR_STRING, ACCEL_ATTR_REQUIRED},
    {"ngram_counts", ACCEL_ATTR_INTS, ACCEL_ATTR_REQUIRED},
    {"ngram_indexes", ACCEL_ATTR_INTS, ACCEL_ATTR_REQUIRED},
    {"pool_int64s", ACCEL_ATTR_INTS, 0},
    {"pool_strings", ACCEL_ATTR_STRINGS, 0},
    {"weights", ACCEL_ATTR_FLOATS, 0},
    {0}};

const struct accel_op accel_ops_tfidf[] = {
    {.name = "TfIdfVectorizer",
     .domain = "",
     .since = 9,
     .kind = ACCEL_KIND_CLASSIC,
     .flops_per_value = 1,
     .in = {{"X", ACCEL_T(STRING) | ACCEL_T(INT32) | ACCEL_T(INT64), 0, 0}},
     .out = {{"Y", ACCEL_T(FLOAT), 0, 0}},
     .attrs = tfidf_attrs,
     .parse = tfidf_parse,
     .infer = tfidf_infer,
     .run = tfidf_run},
    {0},
};
