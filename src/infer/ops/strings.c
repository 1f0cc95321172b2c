/* SPDX-License-Identifier: Apache-2.0 */
/* Operators that make strings: StringConcat, StringSplit, StringNormalizer. */
#include "infer/kernels/nd.h"
#include "infer/kernels/unicode.h"
#include "infer/ops/elements.h"

#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- StringConcat */

static int concat_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    struct accel_nd *nd = NULL;
    const int rc = accel_prepare_broadcast(prep, 2, &nd, err);

    if (rc == ACCEL_OK)
        accel_nd_simplify(nd, 2);
    prep->state = nd;
    return rc;
}

/* The i-th pair of strings. */
static void pair_at(const struct accel_run *run, size_t i, const char *pair[2])
{
    const struct accel_nd *nd = run->state;
    const size_t width = nd->dims[nd->rank - 1];
    ptrdiff_t offset[3];

    accel_nd_row(nd, 2, i / width, offset);
    for (unsigned o = 0; o < 2; o++)
        pair[o] = ((char *const *)run->in[o]
                       ->data)[offset[o] + (ptrdiff_t)(i % width) * nd->stride[o][nd->rank - 1]];
}

static int concat_run(struct accel_run *run, struct accel_error *err)
{
    const size_t n = accel_elements(run->out[0]);
    const char **y = run->out[0]->data, *pair[2];
    size_t bytes = 0;
    void *memory;

    for (size_t i = 0; i < n; i++) {
        pair_at(run, i, pair);
        /* Strings broadcast to many places may add up to more than there is memory. */
        if (__builtin_add_overflow(bytes, strlen(pair[0]) + strlen(pair[1]) + 1, &bytes))
            return accel_fail(err, ACCEL_E_LIMIT, "its strings are too long together");
    }
    const int rc = accel_run_memory(run, bytes, &memory, err);
    if (rc != ACCEL_OK)
        return rc;
    char *at = memory;
    for (size_t i = 0; i < n; i++) {
        pair_at(run, i, pair);
        y[i] = at;
        for (unsigned o = 0; o < 2; o++) {
            const size_t size = strlen(pair[o]);

            memcpy(at, pair[o], size);
            at += size;
        }
        *at++ = '\0';
    }
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- StringSplit */

struct piece {
    const char *text;
    size_t size;
};

/* Takes the next piece off *rest; false when there is none. delimiter "": runs of spaces, those at
 * both ends do not count (spaces alone, as ONNX Runtime has it). last: all that is left. */
static bool next_piece(const char **rest, const char *delimiter, bool last, struct piece *piece)
{
    const bool spaces = delimiter[0] == '\0';
    const char *from = *rest, *end;

    if (from == NULL)
        return false;
    if (spaces) {
        from += strspn(from, " ");
        if (*from == '\0')
            return false;
    }
    end = last ? NULL : strstr(from, spaces ? " " : delimiter);
    *piece = (struct piece){from, end != NULL ? (size_t)(end - from) : strlen(from)};
    while (spaces && piece->text[piece->size - 1] == ' ')
        piece->size--;
    *rest = end != NULL ? end + (spaces ? 1 : strlen(delimiter)) : NULL;
    return true;
}

static int split_infer(struct accel_infer *in, struct accel_error *err)
{
    struct accel_shape shape = in->in[0]->shape;

    if (shape.rank == ACCEL_RANK_MAX)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "an output of rank %d", ACCEL_RANK_MAX + 1);
    if (in->node->outputs_count > 1 && in->out[1] != NULL) {
        in->out[1]->dtype = ACCEL_DTYPE_INT64;
        in->out[1]->shape = shape;
    }
    shape.dims[shape.rank++] = ACCEL_DIM_ANY;
    in->out[0]->dtype = ACCEL_DTYPE_STRING;
    in->out[0]->shape = shape;
    return ACCEL_OK;
}

/* Pieces of one string, their characters copied to *at and that moved on; to NULL: only counted.
 * *bytes grows by what they take. */
static size_t split(const struct accel_run *run, const char *text, const char **to, char **at,
                    size_t *bytes)
{
    const char *delimiter = accel_attr_string(run->node, "delimiter", "");
    const int64_t most = accel_attr_int(run->node, "maxsplit", INT64_MAX);
    const char *rest = text[0] != '\0' ? text : NULL;
    struct piece piece;
    size_t n = 0;

    while (next_piece(&rest, delimiter, (int64_t)n == most, &piece)) {
        *bytes += piece.size + 1; /* of strings that lie in memory: no overflow */
        if (to != NULL) {
            to[n] = memcpy(*at, piece.text, piece.size);
            (*at)[piece.size] = '\0';
            *at += piece.size + 1;
        }
        n++;
    }
    return n;
}

static int split_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    const bool counted = run->node->outputs_count > 1 && run->out[1] != NULL;
    const char *const *from = x->data;
    const size_t n = accel_elements(x);
    struct accel_shape shape = accel_shape_of(x);
    size_t widest = 0, bytes = 0;
    void *memory;

    for (size_t i = 0; i < n; i++)
        widest = ACCEL_MAX(widest, split(run, from[i], NULL, NULL, &bytes));
    int rc = accel_run_memory(run, bytes, &memory, err);
    shape.dims[shape.rank++] = (int64_t)widest;
    if (rc == ACCEL_OK)
        rc = accel_run_output(run, 0, &shape, err);
    shape.rank--;
    if (rc == ACCEL_OK && counted)
        rc = accel_run_output(run, 1, &shape, err);
    if (rc != ACCEL_OK)
        return rc;
    const char **y = run->out[0] != NULL ? run->out[0]->data : NULL;
    char *at = memory;
    for (size_t i = 0; i < n; i++) {
        const size_t pieces = split(run, from[i], y != NULL ? y + i * widest : NULL, &at, &bytes);

        for (size_t k = pieces; k < widest && y != NULL; k++)
            y[i * widest + k] = "";
        if (counted)
            ((int64_t *)run->out[1]->data)[i] = (int64_t)pieces;
    }
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- StringNormalizer */

enum case_change { KEEP, LOWER, UPPER };

struct normalizer {
    enum case_change change;
    bool fold;    /* compare with the stop words regardless of case */
    bool ascii;   /* locale C: other letters have no case */
    size_t count; /* of stop words */
    char **stops; /* sorted; in the case that strings are compared in */
};

static uint32_t in_case(const struct normalizer *p, uint32_t code)
{
    if (p->ascii && code >= 0x80)
        return code;
    return p->change == UPPER ? accel_unicode_upper(code) : accel_unicode_lower(code);
}

/* text in upper case if that is what is asked for, else in lower. Returns the bytes with the NUL;
 * out NULL: only those. 0: text is not UTF-8. */
static size_t change_case(const struct normalizer *p, const char *text, char *out)
{
    char encoded[ACCEL_UTF8_MAX];
    size_t bytes = 0, size;

    while (*text != '\0') {
        const uint32_t code = accel_utf8_read(text, &size);

        if (code == ACCEL_UTF8_BAD)
            return 0;
        text += size;
        size = accel_utf8_write(in_case(p, code), encoded);
        if (out != NULL)
            memcpy(out + bytes, encoded, size);
        bytes += size;
    }
    if (out != NULL)
        out[bytes] = '\0';
    return bytes + 1;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int stops_of(const struct accel_attr *words, struct normalizer *p, struct accel_bump *mem,
                    struct accel_error *err)
{
    p->count = words != NULL ? words->count : 0;
    p->stops = accel_bump_alloc(mem, p->count + 1, sizeof(*p->stops));
    for (size_t i = 0; i < p->count && p->stops != NULL; i++) {
        const char *word = words->strings[i].data;
        const size_t bytes = p->fold ? change_case(p, word, NULL) : strlen(word) + 1;

        if (bytes == 0)
            return accel_fail(err, ACCEL_E_INVALID, "stop word %zu is not UTF-8", i);
        p->stops[i] = accel_bump_alloc(mem, bytes, 1);
        if (p->stops[i] == NULL)
            return accel_fail(err, ACCEL_E_NOMEM, "no memory for its attributes");
        if (p->fold)
            change_case(p, word, p->stops[i]);
        else
            memcpy(p->stops[i], word, bytes);
    }
    if (p->stops == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its attributes");
    qsort(p->stops, p->count, sizeof(*p->stops), compare_texts);
    return ACCEL_OK;
}

/* Unicode's own case serves every language but those that tell a dotted i from one without. */
static int locale_of(const char *locale, struct normalizer *p, struct accel_error *err)
{
    if (strncmp(locale, "tr", 2) == 0 || strncmp(locale, "az", 2) == 0)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "locale '%s' has a case of its own", locale);
    p->ascii = strcmp(locale, "C") == 0 || strcmp(locale, "POSIX") == 0;
    return ACCEL_OK;
}

static int normalizer_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                            struct accel_error *err)
{
    static const char *const changes[] = {[KEEP] = "NONE", [LOWER] = "LOWER", [UPPER] = "UPPER"};
    const char *change = accel_attr_string(n, "case_change_action", "NONE");
    struct normalizer *p = accel_bump_alloc(mem, 1, sizeof(*p));
    unsigned k = 0;

    if (p == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its attributes");
    *params = p;
    while (k < ACCEL_COUNT(changes) && strcmp(changes[k], change) != 0)
        k++;
    if (k == ACCEL_COUNT(changes))
        return accel_fail(err, ACCEL_E_INVALID,
                          "case_change_action is '%s', not NONE, LOWER or UPPER", change);
    p->change = (enum case_change)k;
    p->fold = accel_attr_int(n, "is_case_sensitive", 0) == 0;
    const int rc = locale_of(accel_attr_string(n, "locale", "en_US.UTF-8"), p, err);
    return rc == ACCEL_OK ? stops_of(accel_attr(n, "stopwords"), p, mem, err) : rc;
}

static int normalizer_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape;
    char text[ACCEL_SHAPE_TEXT];

    if ((x->rank != 1 && x->rank != 2) || (x->rank == 2 && x->dims[0] >= 0 && x->dims[0] != 1) ||
        x->dims[x->rank - 1] == 0)
        return accel_fail(err, ACCEL_E_INVALID,
                          "an input of shape %s, not [C] or [1, C] with C > 0",
                          accel_shape_format(x, text));
    accel_infer_same(in, err);
    in->out[0]->shape.dims[x->rank - 1] = ACCEL_DIM_ANY;
    return ACCEL_OK;
}

/* changed[i]: the strings in their other case. Errors: INVALID (not UTF-8), LIMIT, NOMEM. */
static int change_all(struct accel_run *run, const char *const *from, size_t n, char ***changed,
                      struct accel_error *err)
{
    const struct normalizer *p = run->node->params;
    size_t bytes = 0;
    void *memory;

    for (size_t i = 0; i < n; i++) {
        const size_t own = change_case(p, from[i], NULL);

        if (own == 0)
            return accel_fail(err, ACCEL_E_INVALID, "element %zu is not UTF-8", i);
        bytes += sizeof(char *) + own; /* strings that lie in memory: no overflow */
    }
    const int rc = accel_run_memory(run, bytes, &memory, err);
    if (rc != ACCEL_OK)
        return rc;
    *changed = memory;
    char *at = (char *)memory + n * sizeof(char *);
    for (size_t i = 0; i < n; i++) {
        (*changed)[i] = at;
        at += change_case(p, from[i], at);
    }
    return ACCEL_OK;
}

static int normalizer_run(struct accel_run *run, struct accel_error *err)
{
    const struct normalizer *p = run->node->params;
    const struct accel_tensor *x = run->in[0];
    const size_t n = accel_elements(x);
    const bool change = p->change != KEEP || (p->fold && p->count > 0);
    char *const *from = x->data, *const *compared = from;
    struct accel_shape shape = accel_shape_of(x);
    size_t kept = 0;
    int rc = ACCEL_OK;

    if (change) {
        char **changed = NULL;

        rc = change_all(run, x->data, n, &changed, err);
        if (rc != ACCEL_OK)
            return rc;
        compared = p->fold ? changed : from;
        from = p->change != KEEP ? changed : from;
    }
    for (size_t i = 0; i < n; i++)
        kept += bsearch(&compared[i], p->stops, p->count, sizeof(*p->stops), compare_texts) == NULL;
    shape.dims[shape.rank - 1] = kept > 0 ? (int64_t)kept : 1;
    rc = accel_run_output(run, 0, &shape, err);
    if (rc != ACCEL_OK || run->out[0] == NULL)
        return rc;
    const char **y = run->out[0]->data;
    y[0] = ""; /* nothing left is one empty string */
    for (size_t i = 0; i < n; i++)
        if (bsearch(&compared[i], p->stops, p->count, sizeof(*p->stops), compare_texts) == NULL)
            *y++ = from[i];
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- the entries */

static const struct accel_attr_rule split_attrs[] = {
    {"delimiter", ACCEL_ATTR_STRING, 0}, {"maxsplit", ACCEL_ATTR_INT, 0}, {0}};
static const struct accel_attr_rule normalizer_attrs[] = {{"case_change_action", ACCEL_ATTR_STRING,
                                                           0},
                                                          {"is_case_sensitive", ACCEL_ATTR_INT, 0},
                                                          {"locale", ACCEL_ATTR_STRING, 0},
                                                          {"stopwords", ACCEL_ATTR_STRINGS, 0},
                                                          {0}};

#define TEXT  ACCEL_T(STRING)
#define MOVES .domain = "", .kind = ACCEL_KIND_MOVE

const struct accel_op accel_ops_strings[] = {
    {.name = "StringConcat",
     .since = 20,
     MOVES,
     .in = {{"X", TEXT, 'T', 0}, {"Y", TEXT, 'T', 0}},
     .out = {{"Z", TEXT, 'T', 0}},
     .infer = accel_infer_broadcast,
     .prepare = concat_prepare,
     .run = concat_run},
    {.name = "StringSplit",
     .since = 20,
     MOVES,
     .flags = ACCEL_OP_DYNAMIC,
     .in = {{"X", TEXT, 0, 0}},
     .out = {{"Y", TEXT, 0, 0}, {"Z", ACCEL_T(INT64), 0, ACCEL_ARG_OPTIONAL}},
     .attrs = split_attrs,
     .infer = split_infer,
     .run = split_run},
    {.name = "StringNormalizer",
     .since = 10,
     MOVES,
     .flags = ACCEL_OP_DYNAMIC,
     .in = {{"X", TEXT, 'T', 0}},
     .out = {{"Y", TEXT, 'T', 0}},
     .attrs = normalizer_attrs,
     .parse = normalizer_parse,
     .infer = normalizer_infer,
     .run = normalizer_run},
    {0},
};
