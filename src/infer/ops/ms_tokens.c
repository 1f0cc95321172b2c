/* SPDX-License-Identifier: Apache-2.0 */
/* com.microsoft operators of text generation: NGramRepeatBlock forbids n-grams to come twice,
 * BifurcationDetector takes over predicted tokens as far as they are right (aggressive decoding).
 */
#include "infer/ops/elements.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---------------------------------------------------------------- NGramRepeatBlock */

static int repeat_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                        struct accel_error *err)
{
    const int64_t size = accel_attr_int(n, "ngram_size", 0);

    (void)mem;
    (void)params;
    return size > 0
               ? ACCEL_OK
               : accel_fail(err, ACCEL_E_INVALID, "ngram_size is %" PRId64 ", not above 0", size);
}

/* input_ids: [batch, length], scores: [batch, words] */
static int repeat_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *ids = &in->in[0]->shape, *scores = &in->in[1]->shape;

    if (ids->rank != 2 || scores->rank != 2)
        return accel_fail(err, ACCEL_E_INVALID,
                          "input_ids of rank %u, scores of rank %u instead of 2", ids->rank,
                          scores->rank);
    if (ids->dims[0] >= 0 && scores->dims[0] >= 0 && ids->dims[0] != scores->dims[0])
        return accel_fail(err, ACCEL_E_INVALID,
                          "%" PRId64 " rows of input_ids, %" PRId64 " of scores", ids->dims[0],
                          scores->dims[0]);
    in->out[0]->dtype = ACCEL_DTYPE_FLOAT;
    in->out[0]->shape = *scores;
    return ACCEL_OK;
}

/* What followed the last size - 1 of `length` tokens before is not to come again. */
static int repeat_row(const int64_t *ids, size_t length, size_t size, float *scores, int64_t words,
                      struct accel_error *err)
{
    for (size_t i = 0; size <= length && i <= length - size; i++) {
        const int64_t next = ids[i + size - 1];

        if (memcmp(ids + i, ids + length - (size - 1), (size - 1) * sizeof(*ids)) != 0)
            continue;
        if (next < 0 || next >= words)
            return accel_fail(err, ACCEL_E_INVALID,
                              "token %" PRId64 " of an n-gram is not among the %" PRId64 " scores",
                              next, words);
        scores[next] = -INFINITY;
    }
    return ACCEL_OK;
}

static int repeat_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *ids = run->in[0], *scores = run->in[1];
    const size_t length = (size_t)ids->dims[1], words = (size_t)scores->dims[1];
    const size_t size = (size_t)accel_attr_int(run->node, "ngram_size", 0);
    float *y = run->out[0]->data;
    int rc = ACCEL_OK;

    accel_copy_bytes(scores, run->out[0]);
    for (size_t b = 0; length > 0 && b < (size_t)ids->dims[0] && rc == ACCEL_OK; b++)
        rc = repeat_row((const int64_t *)ids->data + b * length, length, size, y + b * words,
                        (int64_t)words, err);
    return rc;
}

/* ---------------------------------------------------------------- BifurcationDetector */

enum { SOURCE, CURRENT, MATCH, PREDICTED };

struct sizes {
    int64_t shortest, longest; /* of the n-grams that are looked for */
};

static struct sizes sizes_of(const struct accel_node *n)
{
    return (struct sizes){accel_attr_int(n, "min_ngram_size", 1),
                          accel_attr_int(n, "max_ngram_size", 3)};
}

static int fork_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                      struct accel_error *err)
{
    const struct sizes size = sizes_of(n);

    (void)mem;
    (void)params;
    if (size.shortest < 1 || size.longest < size.shortest)
        return accel_fail(err, ACCEL_E_INVALID, "n-grams of %" PRId64 " to %" PRId64 " tokens",
                          size.shortest, size.longest);
    return ACCEL_OK;
}

static int fork_infer(struct accel_infer *in, struct accel_error *err)
{
    const int64_t any = ACCEL_DIM_ANY;
    const struct accel_shape *match = &in->in[MATCH]->shape;
    char text[ACCEL_SHAPE_TEXT];
    int rc = accel_infer_expect(in, SOURCE, 1, &any, err);

    if (rc == ACCEL_OK)
        rc = accel_infer_expect(in, CURRENT, 1, &any, err);
    if (rc == ACCEL_OK)
        rc = accel_infer_expect(in, PREDICTED, 1, &any, err);
    if (rc != ACCEL_OK)
        return rc;
    for (uint32_t d = 0; d < match->rank; d++)
        if (match->dims[d] >= 0 && match->dims[d] != 1)
            return accel_fail(err, ACCEL_E_INVALID,
                              "prev_suffix_match_idx of shape %s is not one number",
                              accel_shape_format(match, text));
    const struct accel_shape shapes[2] = {{.has_rank = true, .rank = 1, .dims = {any}}, *match};
    for (size_t o = 0; o < in->node->outputs_count; o++)
        if (in->out[o] != NULL)
            *in->out[o] = (struct accel_type){.dtype = ACCEL_DTYPE_INT64, .shape = shapes[o]};
    return ACCEL_OK;
}

struct tokens {
    const int64_t *id;
    size_t count;
};

static struct tokens tokens_of(const struct accel_tensor *t)
{
    return (struct tokens){t->data, (size_t)t->dims[0]};
}

/* Where in `text`, from `from` on, the tokens first come; text.count: nowhere. */
static size_t find(struct tokens text, size_t from, struct tokens what)
{
    for (size_t i = from; i <= text.count && what.count <= text.count - i; i++)
        if (memcmp(text.id + i, what.id, what.count * sizeof(*what.id)) == 0)
            return i;
    return text.count;
}

/* Behind the place of the source's only n-gram that is the end of the tokens; -1: there is none.
 * A longer n-gram decides between places; one that is not there leaves what shorter ones said. */
static int64_t suffix_match(struct sizes size, struct tokens source, struct tokens tokens)
{
    int64_t match = -1;

    for (size_t n = (size_t)size.shortest; n <= (size_t)size.longest && n <= tokens.count; n++) {
        const struct tokens end = {tokens.id + tokens.count - n, n};
        const size_t at = find(source, 0, end);

        if (at == source.count)
            break;
        match = (int64_t)(at + n);
        if (at + n >= source.count)
            break;
        if (find(source, at + 1, end) != source.count)
            match = -1;
    }
    return match;
}

/* How many predicted tokens are taken over: those that agree with the source from the match on,
 * and the one after them. Errors: INVALID. */
static int taken_of(const struct accel_run *run, struct tokens source, size_t *taken,
                    struct accel_error *err)
{
    const int64_t from = *(const int64_t *)run->in[MATCH]->data;
    const struct tokens predicted = tokens_of(run->in[PREDICTED]);

    if (from < 0 || (uint64_t)from > source.count)
        return accel_fail(err, ACCEL_E_INVALID,
                          "prev_suffix_match_idx is %" PRId64 " of %zu tokens", from, source.count);
    const size_t rest = source.count - (size_t)from;
    if (predicted.count != rest + 1)
        return accel_fail(err, ACCEL_E_INVALID, "%zu predicted tokens instead of %zu",
                          predicted.count, rest + 1);
    *taken = 0;
    while (*taken < rest && predicted.id[*taken] == source.id[(size_t)from + *taken])
        ++*taken;
    ++*taken;
    return ACCEL_OK;
}

static int fork_run(struct accel_run *run, struct accel_error *err)
{
    const struct tokens source = tokens_of(run->in[SOURCE]), current = tokens_of(run->in[CURRENT]);
    size_t taken = 0;
    void *memory;
    int rc = ACCEL_OK;

    if (accel_given(run->node, PREDICTED))
        rc = taken_of(run, source, &taken, err);
    /* The tokens are looked at even when nobody wants them. */
    struct tokens all = {.count = current.count + taken};
    if (rc == ACCEL_OK)
        rc = accel_run_memory(run, all.count * sizeof(int64_t), &memory, err);
    if (rc == ACCEL_OK)
        rc = accel_run_output(
            run, 0,
            &(struct accel_shape){.has_rank = true, .rank = 1, .dims = {(int64_t)all.count}}, err);
    const struct accel_shape match = accel_shape_of(run->in[MATCH]);
    if (rc == ACCEL_OK)
        rc = accel_run_output(run, 1, &match, err);
    if (rc != ACCEL_OK)
        return rc;
    all.id = memory;
    if (current.count > 0)
        memcpy(memory, current.id, current.count * sizeof(int64_t));
    if (taken > 0)
        memcpy((int64_t *)memory + current.count, run->in[PREDICTED]->data,
               taken * sizeof(int64_t));
    if (run->out[0] != NULL && all.count > 0)
        memcpy(run->out[0]->data, memory, all.count * sizeof(int64_t));
    if (run->node->outputs_count > 1 && run->out[1] != NULL)
        *(int64_t *)run->out[1]->data = suffix_match(sizes_of(run->node), source, all);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- the entries */

static const struct accel_attr_rule repeat_attrs[] = {
    {"ngram_size", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED}, {0}};
static const struct accel_attr_rule fork_attrs[] = {
    {"max_ngram_size", ACCEL_ATTR_INT, 0}, {"min_ngram_size", ACCEL_ATTR_INT, 0}, {0}};

#define I64 ACCEL_T(INT64)

const struct accel_op accel_ops_ms_tokens[] = {
    {.name = "NGramRepeatBlock",
     .domain = "com.microsoft",
     .since = 1,
     .kind = ACCEL_KIND_OTHER,
     .in_place = 1u << 1,
     .in = {{"input_ids", I64, 0, 0}, {"scores", ACCEL_T(FLOAT), 0, 0}},
     .out = {{"scores_out", ACCEL_T(FLOAT), 0, 0}},
     .attrs = repeat_attrs,
     .parse = repeat_parse,
     .infer = repeat_infer,
     .run = repeat_run},
    {.name = "BifurcationDetector",
     .domain = "com.microsoft",
     .since = 1,
     .kind = ACCEL_KIND_OTHER,
     .flags = ACCEL_OP_DYNAMIC,
     .in = {{"src_tokens", I64, 0, 0},
            {"cur_tokens", I64, 0, 0},
            {"prev_suffix_match_idx", I64, 0, 0},
            {"pred_tokens", I64, 0, ACCEL_ARG_OPTIONAL}},
     .out = {{"tokens", I64, 0, 0}, {"suffix_match_idx", I64, 0, 0}},
     .attrs = fork_attrs,
     .parse = fork_parse,
     .infer = fork_infer,
     .run = fork_run},
    {0},
};
