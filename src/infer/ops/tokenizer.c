/* SPDX-License-Identifier: Apache-2.0 */
/* com.microsoft Tokenizer: strings cut into tokens along a new last axis, by one of
 *
 *   separators  regular expressions; what lies between their matches is cut by the next of them
 *   tokenexp    a regular expression; its matches are the tokens
 *   [""], "."   either in this form: the characters
 *
 * A match is the longest of those that begin first. An empty one takes the character behind it
 * along, as with ONNX Runtime. */
#include "infer/kernels/regex.h"
#include "infer/kernels/unicode.h"
#include "infer/ops/elements.h"

#include <inttypes.h>
#include <string.h>

struct tokenizer {
    enum { CHARACTERS, SEPARATORS, MATCHES } mode;
    bool mark;
    size_t least; /* characters of a token */
    const char *pad;
    size_t count; /* of expressions */
    const struct accel_regex **expression;
    size_t work_bytes; /* that the expressions need, one at a time */
};

static int expressions_of(const struct accel_attr *list, struct tokenizer *t,
                          struct accel_bump *mem, struct accel_error *err)
{
    t->count = list->count;
    t->expression = accel_bump_alloc(mem, t->count, sizeof(*t->expression));
    if (t->expression == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its expressions");
    for (size_t i = 0; i < t->count; i++) {
        if (accel_regex_compile(list->strings[i].data, mem, &t->expression[i], err) != ACCEL_OK)
            return accel_fail_in(err, "%s", list->name);
        t->work_bytes = ACCEL_MAX(t->work_bytes, accel_regex_search_bytes(t->expression[i]));
    }
    return ACCEL_OK;
}

static int tokenizer_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                           struct accel_error *err)
{
    const struct accel_attr *separators = accel_attr(n, "separators"),
                            *match = accel_attr(n, "tokenexp");
    const struct accel_attr *list = separators != NULL ? separators : match;
    const int64_t least = accel_attr_int(n, "mincharnum", 0);
    struct tokenizer *t = accel_bump_alloc(mem, 1, sizeof(*t));

    if (t == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its attributes");
    *params = t;
    if (list == NULL || list->count == 0 || (separators == NULL && list->strings[0].size == 0))
        return accel_fail(err, ACCEL_E_INVALID, "neither separators nor a tokenexp");
    const char *whole = separators != NULL ? "" : ".";
    if (list->count == 1 && strcmp(list->strings[0].data, whole) == 0)
        t->mode = CHARACTERS;
    else
        t->mode = separators != NULL ? SEPARATORS : MATCHES;
    if (least < 1 || (t->mode == CHARACTERS && least > 1))
        return accel_fail(err, ACCEL_E_INVALID, "mincharnum is %" PRId64 "%s", least,
                          least < 1 ? ", not above 0" : " where tokens are single characters");
    t->least = (size_t)least;
    t->mark = accel_attr_int(n, "mark", 0) != 0;
    t->pad = accel_attr_string(n, "pad_value", "");
    return t->mode == CHARACTERS ? ACCEL_OK : expressions_of(list, t, mem, err);
}

static int tokenizer_infer(struct accel_infer *in, struct accel_error *err)
{
    struct accel_shape shape = in->in[0]->shape;
    bool empty = false, known = true;
    char text[ACCEL_SHAPE_TEXT];

    if (shape.rank != 1 && shape.rank != 2)
        return accel_fail(err, ACCEL_E_INVALID, "an input of shape %s, not [C] or [N, C]",
                          accel_shape_format(&shape, text));
    for (uint32_t d = 0; d < shape.rank; d++) {
        empty = empty || shape.dims[d] == 0;
        known = known && shape.dims[d] >= 0;
    }
    in->out[0]->dtype = ACCEL_DTYPE_STRING;
    if (!empty &&
        !known) /* without strings there is no axis of tokens: not even the rank is known */
        return ACCEL_OK;
    if (empty)
        shape.dims[shape.rank - 1] = 0;
    else
        shape.dims[shape.rank++] = ACCEL_DIM_ANY;
    in->out[0]->shape = shape;
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- one string */

/* A stretch of a string that an expression is being looked for in, from `at` on. */
struct piece {
    const char *text;
    size_t size, at; /* at > size: it is used up */
};

struct walk {
    const struct tokenizer *t;
    void *work;
    struct piece *piece; /* [count]: what is being cut by each expression */
    size_t depth;        /* expressions at work */
};

static size_t characters(const char *text, size_t size)
{
    size_t count = 0;

    for (size_t i = 0; i < size; i++)
        count += ((unsigned char)text[i] & 0xc0) != 0x80;
    return count;
}

static size_t bytes_of(const char *text)
{
    size_t size;

    accel_utf8_read(text, &size);
    return size;
}

/* The next token between matches of expression i; false: there is none left. */
static bool next_between(const struct walk *w, size_t i, struct piece *token)
{
    struct piece *p = &w->piece[i];

    while (p->at <= p->size) {
        size_t begin, end, next;

        if (accel_regex_search(w->t->expression[i], p->text, p->size, p->at, &begin, &end,
                               w->work)) {
            next = end > begin ? end : end < p->size ? end + bytes_of(p->text + end) : p->size + 1;
        } else {
            begin = p->size;
            next = p->size + 1;
        }
        *token = (struct piece){p->text + p->at, begin - p->at, 0};
        p->at = next;
        if (characters(token->text, token->size) >= w->t->least)
            return true;
    }
    return false;
}

static bool next_match(const struct walk *w, struct piece *token)
{
    struct piece *p = &w->piece[0];

    while (p->at <= p->size) {
        size_t begin, end;

        if (!accel_regex_search(w->t->expression[0], p->text, p->size, p->at, &begin, &end,
                                w->work))
            return false;
        *token = (struct piece){p->text + begin, end - begin, 0};
        p->at = end;
        if (characters(token->text, token->size) >= w->t->least)
            return true;
        p->at = begin < p->size ? begin + bytes_of(p->text + begin) : p->size + 1;
    }
    return false;
}

static bool next_character(const struct walk *w, struct piece *token)
{
    struct piece *p = &w->piece[0];

    if (p->at >= p->size)
        return false;
    *token = (struct piece){p->text + p->at, bytes_of(p->text + p->at), 0};
    p->at += token->size;
    return true;
}

static void walk_begin(struct walk *w, const char *text)
{
    w->piece[0] = (struct piece){text, strlen(text), 0};
    w->depth = 1;
}

static bool walk_next(struct walk *w, struct piece *token)
{
    if (w->t->mode == CHARACTERS)
        return next_character(w, token);
    if (w->t->mode == MATCHES)
        return next_match(w, token);
    while (w->depth > 0) {
        if (!next_between(w, w->depth - 1, token))
            w->depth--;
        else if (w->depth == w->t->count)
            return true;
        else
            w->piece[w->depth++] = *token;
    }
    return false;
}

/* ---------------------------------------------------------------- running */

static size_t pieces_of(const struct tokenizer *t)
{
    return ACCEL_MAX(t->count, 1);
}

static int tokenizer_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    const struct tokenizer *t = prep->node->params;

    (void)err;
    /* Both are bounded by the size of the model. */
    prep->scratch_bytes = pieces_of(t) * sizeof(struct piece) + t->work_bytes;
    return ACCEL_OK;
}

/* The most tokens of a string, and what the characters of all of them take. Errors: INVALID. */
static int measure(struct walk *w, const struct accel_tensor *x, size_t *widest, size_t *bytes,
                   struct accel_error *err)
{
    struct piece token;

    for (size_t i = 0; i < accel_elements(x); i++) {
        const char *text = ((char *const *)x->data)[i];
        size_t size, count = 0;

        for (const char *at = text; *at != '\0'; at += size)
            if (accel_utf8_read(at, &size) == ACCEL_UTF8_BAD)
                return accel_fail(err, ACCEL_E_INVALID, "element %zu is not UTF-8", i);
        for (walk_begin(w, text); walk_next(w, &token); count++)
            *bytes += token.size + 1; /* of strings that lie in memory: no overflow */
        *widest = ACCEL_MAX(*widest, count);
    }
    return ACCEL_OK;
}

/* Tokens of one string, between marks where they are asked for, and the padding behind them. */
static void put_tokens(struct walk *w, const char *text, const char **y, size_t width, char **at)
{
    struct piece token;
    size_t n = 0;

    if (w->t->mark)
        y[n++] = "\x02";
    for (walk_begin(w, text); walk_next(w, &token); n++) {
        y[n] = memcpy(*at, token.text, token.size);
        (*at)[token.size] = '\0';
        *at += token.size + 1;
    }
    if (w->t->mark)
        y[n++] = "\x03";
    while (n < width)
        y[n++] = w->t->pad;
}

static int tokenizer_run(struct accel_run *run, struct accel_error *err)
{
    const struct tokenizer *t = run->node->params;
    const struct accel_tensor *x = run->in[0];
    struct walk w = {.t = t, .piece = run->scratch};
    struct accel_shape shape = accel_shape_of(x);
    size_t widest = 0, bytes = 0;
    void *memory;

    w.work = w.piece + pieces_of(t);
    int rc = measure(&w, x, &widest, &bytes, err);
    if (widest > 0 && t->mark)
        widest += 2;
    if (x->size_bytes == 0)
        shape.dims[shape.rank - 1] = 0;
    else
        shape.dims[shape.rank++] = (int64_t)widest;
    if (rc == ACCEL_OK)
        rc = accel_run_memory(run, bytes, &memory, err);
    if (rc == ACCEL_OK)
        rc = accel_run_output(run, 0, &shape, err);
    if (rc != ACCEL_OK || run->out[0] == NULL || widest == 0)
        return rc;
    char *at = memory;
    for (size_t i = 0; i < accel_elements(x); i++)
        put_tokens(&w, ((char *const *)x->data)[i], (const char **)run->out[0]->data + i * widest,
                   widest, &at);
    return ACCEL_OK;
}

static const struct accel_attr_rule tokenizer_attrs[] = {
    {"mark", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED},
    {"mincharnum", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED},
    {"pad_value", ACCEL_ATTR_STRING, ACCEL_ATTR_REQUIRED},
    {"separators", ACCEL_ATTR_STRINGS, 0},
    {"tokenexp", ACCEL_ATTR_STRING, 0},
    {0}};

const struct accel_op accel_ops_tokenizer[] = {
    {.name = "Tokenizer",
     .domain = "com.microsoft",
     .since = 1,
     .kind = ACCEL_KIND_OTHER,
     .flags = ACCEL_OP_DYNAMIC,
     .flops_per_value = 100,
     .in = {{"X", ACCEL_T(STRING), 'T', 0}},
     .out = {{"Y", ACCEL_T(STRING), 'T', 0}},
     .attrs = tokenizer_attrs,
     .parse = tokenizer_parse,
     .infer = tokenizer_infer,
     .prepare = tokenizer_prepare,
     .run = tokenizer_run},
    {0},
};
