/* SPDX-License-Identifier: Apache-2.0 */
/* Maps: ZipMap makes them, CastMap and DictVectorizer make tensors of them. */
#include "infer/kernels/sort.h"
#include "infer/ops/control.h"
#include "infer/ops/ml.h"
#include "infer/ops/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int no_memory(struct accel_error *err)
{
    return accel_fail(err, ACCEL_E_NOMEM, "no memory for its attributes");
}

/* ---------------------------------------------------------------- maps as arguments */

static int map_type(const struct accel_infer *in, struct accel_error *err)
{
    if (in->in[0]->kind != ACCEL_VALUE_MAP)
        return accel_fail(err, ACCEL_E_INVALID, "input 0 is %s: a map is needed",
                          accel_value_kind_text(in->in[0]->kind));
    return ACCEL_OK;
}

/* The map's keys and values; `infer` has seen to it that there is a map. */
static const struct accel_tensor *keys_of(const struct accel_run *run)
{
    return &accel_list_of(run->in[0])->items[0]->tensor;
}

static const struct accel_tensor *values_of(const struct accel_run *run)
{
    return &accel_list_of(run->in[0])->items[1]->tensor;
}

/* ---------------------------------------------------------------- ZipMap */

struct zipmap {
    struct accel_ml_labels labels;   /* in the order of the columns */
    size_t count;                    /* of keys: labels, each once */
    const struct accel_tensor *keys; /* ascending */
    /* Column that key k stands for: of equal labels the last, as in ONNX Runtime. */
    const size_t *columns;
};

/* A vector of `count` of the labels in this order. */
static struct accel_tensor *label_tensor(const struct accel_ml_labels *labels, const size_t *order,
                                         size_t count, struct accel_bump *mem)
{
    const enum accel_dtype dtype = accel_ml_label_type(labels);
    struct accel_tensor *t = accel_bump_alloc(mem, 1, sizeof(*t));

    if (t == NULL)
        return NULL;
    *t = (struct accel_tensor){.dtype = dtype,
                               .rank = 1,
                               .dims = {(int64_t)count},
                               .data = accel_bump_alloc(mem, count, sizeof(int64_t)),
                               .size_bytes = count * accel_element_bytes(dtype)};
    for (size_t i = 0; t->data != NULL && i < count; i++)
        accel_ml_label_write(labels, order[i], t, i);
    return t->data != NULL ? t : NULL;
}

static int zipmap_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                        struct accel_error *err)
{
    struct zipmap *z = accel_bump_alloc(mem, 1, sizeof(*z));
    struct accel_ml_labels labels;
    const int rc = accel_ml_labels_of(n, "classlabels_int64s", "classlabels_strings", &labels, err);

    if (rc != ACCEL_OK || z == NULL)
        return rc != ACCEL_OK ? rc : no_memory(err);
    size_t *order = accel_bump_alloc(mem, 2 * labels.count, sizeof(*order));
    for (size_t i = 0; order != NULL && i < labels.count; i++)
        order[i] = i;
    const struct accel_tensor *all =
        order != NULL ? label_tensor(&labels, order, labels.count, mem) : NULL;
    if (all == NULL)
        return no_memory(err);
    accel_sort_order(labels.count, order, order + labels.count, accel_keys_compare, all);
    /* Equal labels stayed in their order. */
    for (size_t i = 0; i < labels.count; i++)
        if (i + 1 == labels.count || accel_keys_compare(all, order[i], order[i + 1]) != 0)
            order[z->count++] = order[i];
    z->labels = labels;
    z->columns = order;
    z->keys = label_tensor(&labels, order, z->count, mem);
    *params = z;
    return z->keys != NULL ? ACCEL_OK : no_memory(err);
}

static int zipmap_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct zipmap *z = in->node->params;
    struct accel_type *out = in->out[0];
    int64_t rows, columns;

    if (in->in[0]->shape.has_rank) {
        const int rc = accel_ml_rows(&in->in[0]->shape, &rows, &columns, err);

        if (rc != ACCEL_OK)
            return rc;
        if (columns >= 0 && columns != (int64_t)z->labels.count)
            return accel_fail(err, ACCEL_E_INVALID, "%zu class labels for %" PRId64 " columns",
                              z->labels.count, columns);
    }
    if (out == NULL)
        return ACCEL_OK;
    out->kind = ACCEL_VALUE_MAP | ACCEL_VALUE_SEQUENCE;
    out->keys = z->keys->dtype;
    out->dtype = ACCEL_DTYPE_FLOAT;
    return ACCEL_OK;
}

/* The map of one row. All maps share their keys. */
static int zip_row(struct accel_session *s, const struct zipmap *z, const float *x,
                   struct accel_list *list, struct accel_error *err)
{
    const struct accel_tensor values = {.dtype = ACCEL_DTYPE_FLOAT,
                                        .rank = 1,
                                        .dims = {(int64_t)z->count},
                                        .size_bytes = z->count * sizeof(float)};
    void *data;
    int rc = ACCEL_OK;

    if (list->count > 0)
        accel_list_share(list, list, 0, 1);
    else
        rc = accel_list_add(s, list, z->keys, err);
    if (rc == ACCEL_OK)
        rc = accel_list_room(s, list, &values, &data, err);
    for (size_t k = 0; rc == ACCEL_OK && k < z->count; k++)
        ((float *)data)[k] = x[z->columns[k]];
    return rc;
}

static int zipmap_run(struct accel_run *run, struct accel_error *err)
{
    const struct zipmap *z = run->node->params;
    const struct accel_tensor *x = run->in[0];
    struct accel_session *s = accel_run_session(run);
    const size_t rows = x->rank == 2 ? (size_t)x->dims[0] : 1;
    struct accel_list *list = NULL;
    int rc = accel_maps_new(s, ACCEL_VALUE_MAP | ACCEL_VALUE_SEQUENCE, z->keys->dtype,
                            ACCEL_DTYPE_FLOAT, rows, &list, err);

    for (size_t i = 0; rc == ACCEL_OK && i < rows; i++)
        rc = zip_row(s, z, (const float *)x->data + i * z->labels.count, list, err);
    if (rc != ACCEL_OK) {
        accel_list_unref(s, list);
        return rc;
    }
    return accel_run_give_list(run, 0, list, err);
}

/* ---------------------------------------------------------------- CastMap */

struct castmap {
    enum accel_dtype to;
    bool sparse;
    int64_t columns; /* of a sparse one */
};

static int castmap_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                         struct accel_error *err)
{
    static const struct {
        const char *name;
        enum accel_dtype dtype;
    } types[] = {{"TO_FLOAT", ACCEL_DTYPE_FLOAT},
                 {"TO_STRING", ACCEL_DTYPE_STRING},
                 {"TO_INT64", ACCEL_DTYPE_INT64}};
    const char *to = accel_attr_string(n, "cast_to", "TO_FLOAT");
    const char *form = accel_attr_string(n, "map_form", "DENSE");
    struct castmap *c = accel_bump_alloc(mem, 1, sizeof(*c));

    if (c == NULL)
        return no_memory(err);
    for (size_t i = 0; i < ACCEL_COUNT(types); i++)
        if (strcmp(types[i].name, to) == 0)
            c->to = types[i].dtype;
    if (c->to == ACCEL_DTYPE_UNDEFINED)
        return accel_fail(err, ACCEL_E_INVALID, "cast_to is '%s': TO_FLOAT, TO_STRING or TO_INT64",
                          to);
    c->sparse = strcmp(form, "SPARSE") == 0;
    if (!c->sparse && strcmp(form, "DENSE") != 0)
        return accel_fail(err, ACCEL_E_INVALID, "map_form is '%s': DENSE or SPARSE", form);
    c->columns = accel_attr_int(n, "max_map", 1);
    if (c->sparse && c->columns <= 0)
        return accel_fail(err, ACCEL_E_INVALID,
                          "max_map is %" PRId64 ": a sparse map needs one column at least",
                          c->columns);
    *params = c;
    return ACCEL_OK;
}

static int castmap_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct castmap *c = in->node->params;
    const int rc = map_type(in, err);

    if (rc == ACCEL_OK && in->in[0]->keys != ACCEL_DTYPE_INT64)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "a map whose keys are %s: int64 is needed",
                          accel_dtype_name(in->in[0]->keys));
    accel_ml_shape(in->out[0], c->to, 2, 1, c->sparse ? c->columns : ACCEL_DIM_ANY);
    return rc;
}

/* Longest: "-340282346638528859811704183484516925440.000000". */
#define TEXT_MAX 64

/* A float's text is std::to_string's. */
static int print_float(struct accel_run *run, float v, const char **y, struct accel_error *err)
{
    char text[TEXT_MAX];
    const size_t size = (size_t)snprintf(text, sizeof(text), "%f", (double)v) + 1;
    void *memory;
    const int rc = accel_run_memory(run, size, &memory, err);

    if (rc == ACCEL_OK)
        *y = memcpy(memory, text, size);
    return rc;
}

/* Value i of the map as element `at` of the output. */
static int cast_one(struct accel_run *run, size_t i, size_t at, struct accel_error *err)
{
    const struct accel_tensor *x = values_of(run), *y = run->out[0];
    const float *number = (const float *)x->data + (x->dtype == ACCEL_DTYPE_FLOAT ? i : 0);
    char *const *text = (char *const *)x->data + (x->dtype == ACCEL_DTYPE_STRING ? i : 0);
    char *to = (char *)y->data + at * accel_element_bytes(y->dtype);

    if (x->dtype == ACCEL_DTYPE_FLOAT && y->dtype == ACCEL_DTYPE_STRING)
        return print_float(run, *number, (const char **)(void *)to, err);
    if (x->dtype == ACCEL_DTYPE_FLOAT)
        accel_convert(run->kernels, NULL, 1, x->dtype, number, y->dtype, to);
    else if (y->dtype == ACCEL_DTYPE_STRING)
        memcpy(to, text, sizeof(*text));
    else if (!accel_number_of_text(*text, y->dtype, NULL, to))
        return accel_fail(err, ACCEL_E_INVALID, "the value \"%.40s\" is no %s", *text,
                          accel_dtype_name(y->dtype));
    return ACCEL_OK;
}

/* What columns of a sparse map hold that are none of its keys: 0, and as text "0.f". */
static void pad_columns(const struct accel_tensor *y)
{
    memset(y->data, 0, y->size_bytes);
    for (size_t i = 0; y->dtype == ACCEL_DTYPE_STRING && i < y->size_bytes / sizeof(char *); i++)
        ((const char **)y->data)[i] = "0.f";
}

/* The keys are ascending. Those of a sparse map beyond its columns are left out, as in ONNX
 * Runtime.
 */
static int castmap_run(struct accel_run *run, struct accel_error *err)
{
    const struct castmap *c = run->node->params;
    const int64_t *keys = keys_of(run)->data;
    const size_t n = keys_of(run)->size_bytes / sizeof(*keys);
    const struct accel_shape shape = {
        .has_rank = true, .rank = 2, .dims = {1, c->sparse ? c->columns : (int64_t)n}};

    if (c->sparse && n > 0 && keys[0] < 0)
        return accel_fail(err, ACCEL_E_INVALID,
                          "key %" PRId64 ": those of a sparse map are columns", keys[0]);
    int rc = accel_run_output(run, 0, &shape, err);
    if (rc == ACCEL_OK && c->sparse)
        pad_columns(run->out[0]);
    for (size_t i = 0; rc == ACCEL_OK && i < n && (!c->sparse || keys[i] < c->columns); i++)
        rc = cast_one(run, i, c->sparse ? (size_t)keys[i] : i, err);
    return rc;
}

/* ---------------------------------------------------------------- DictVectorizer */

static const struct accel_attr *vocabulary_of(const struct accel_node *n, enum accel_dtype keys)
{
    return accel_attr(n, keys == ACCEL_DTYPE_STRING ? "string_vocabulary" : "int64_vocabulary");
}

static int vectorizer_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                            struct accel_error *err)
{
    (void)mem;
    (void)params;
    if (vocabulary_of(n, ACCEL_DTYPE_STRING) == NULL && vocabulary_of(n, ACCEL_DTYPE_INT64) == NULL)
        return accel_fail(err, ACCEL_E_INVALID,
                          "string_vocabulary or int64_vocabulary must be given");
    return ACCEL_OK;
}

static int vectorizer_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_type *x = in->in[0];
    const int rc = map_type(in, err);

    if (rc != ACCEL_OK)
        return rc;
    if ((x->keys == ACCEL_DTYPE_STRING) == (x->dtype == ACCEL_DTYPE_STRING) &&
        (x->keys == ACCEL_DTYPE_STRING || x->dtype == ACCEL_DTYPE_INT64))
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "a map from %s to %s",
                          accel_dtype_name(x->keys), accel_dtype_name(x->dtype));
    const struct accel_attr *vocabulary = vocabulary_of(in->node, x->keys);
    if (vocabulary == NULL)
        return accel_fail(err, ACCEL_E_INVALID,
                          "no vocabulary of the type of the map's keys, %s: %s is missing",
                          accel_dtype_name(x->keys),
                          x->keys == ACCEL_DTYPE_STRING ? "string_vocabulary" : "int64_vocabulary");
    accel_ml_shape(in->out[0], x->dtype, 2, 1, (int64_t)vocabulary->count);
    return ACCEL_OK;
}

/* Position of word w among the keys, or their number. */
static size_t find_word(const struct accel_tensor *keys, size_t n, const struct accel_attr *words,
                        size_t w)
{
    const bool text = keys->dtype == ACCEL_DTYPE_STRING;
    size_t low = 0, high = n;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int64_t key = text ? 0 : ((const int64_t *)keys->data)[middle];
        const int order = text ? strcmp(((char *const *)keys->data)[middle], words->strings[w].data)
                               : (key > words->ints[w]) - (key < words->ints[w]);

        if (order == 0)
            return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return n;
}

static int vectorizer_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *keys = keys_of(run), *x = values_of(run), *y = run->out[0];
    const struct accel_attr *words = vocabulary_of(run->node, keys->dtype);
    const size_t size = accel_element_bytes(x->dtype), n = x->size_bytes / size;

    (void)err;
    for (size_t w = 0; w < words->count; w++) {
        const size_t k = find_word(keys, n, words, w);
        char *to = (char *)y->data + w * size;

        if (k < n)
            memcpy(to, (const char *)x->data + k * size, size);
        else if (x->dtype == ACCEL_DTYPE_STRING)
            *(const char **)(void *)to = "";
        else
            memset(to, 0, size);
    }
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- the entries */

static const struct accel_attr_rule zipmap_attrs[] = {{"classlabels_int64s", ACCEL_ATTR_INTS, 0},
                                                      {"classlabels_strings", ACCEL_ATTR_STRINGS,
                                                       0},
                                                      {0}};
static const struct accel_attr_rule castmap_attrs[] = {{"cast_to", ACCEL_ATTR_STRING, 0},
                                                       {"map_form", ACCEL_ATTR_STRING, 0},
                                                       {"max_map", ACCEL_ATTR_INT, 0},
                                                       {0}};
static const struct accel_attr_rule vectorizer_attrs[] = {
    {"int64_vocabulary", ACCEL_ATTR_INTS, 0}, {"string_vocabulary", ACCEL_ATTR_STRINGS, 0}, {0}};

#define VALUES (ACCEL_T(INT64) | ACCEL_T_FLOATS | ACCEL_T(STRING))
#define CASTS  (ACCEL_T(INT64) | ACCEL_T(FLOAT) | ACCEL_T(STRING))
#define ML(op) \
    .domain = "ai.onnx.ml", .name = op, .since = 1, .kind = ACCEL_KIND_CLASSIC, .flops_per_value = 1

const struct accel_op accel_ops_ml_maps[] = {
    {ML("ZipMap"), .flags = ACCEL_OP_DYNAMIC | ACCEL_OP_ANY_RANK | ACCEL_OP_REWORDS,
     .in = {{"X", ACCEL_T(FLOAT), 0, 0}}, .out = {{"Z", ACCEL_T(FLOAT), 0, ACCEL_ARG_MAPS}},
     .attrs = zipmap_attrs, .parse = zipmap_parse, .infer = zipmap_infer, .run = zipmap_run},
    {ML("CastMap"), .flags = ACCEL_OP_DYNAMIC | ACCEL_OP_ANY_RANK,
     .in = {{"X", ACCEL_T(FLOAT) | ACCEL_T(STRING), 0, ACCEL_ARG_MAPS}},
     .out = {{"Y", CASTS, 0, 0}}, .attrs = castmap_attrs, .parse = castmap_parse,
     .infer = castmap_infer, .run = castmap_run},
    {ML("DictVectorizer"), .flags = ACCEL_OP_DYNAMIC | ACCEL_OP_ANY_RANK,
     .in = {{"X", VALUES, 'T', ACCEL_ARG_MAPS}}, .out = {{"Y", VALUES, 'T', 0}},
     .attrs = vectorizer_attrs, .parse = vectorizer_parse, .infer = vectorizer_infer,
     .run = vectorizer_run},
    {0},
};
