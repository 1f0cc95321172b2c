/* SPDX-License-Identifier: Apache-2.0 */
/* com.microsoft EmbedLayerNormalization: word, position and segment embeddings added up and
 * normalised in rows. */
#include "infer/kernels/kernels.h"
#include "infer/ops/elements.h"

#include <inttypes.h>
#include <string.h>

enum { IDS, SEGMENTS, WORDS, POSITIONS, SEGMENT_TABLE, GAMMA, BETA, MASK, POSITION_IDS };
enum { OUTPUT, MASK_INDEX, SUM };

static bool differ(int64_t a, int64_t b)
{
    return a >= 0 && b >= 0 && a != b;
}

/* Input i is [batch][rows] like the ids; position_ids may have a batch of 1. */
static int check_ids(const struct accel_infer *in, size_t i, struct accel_error *err)
{
    const struct accel_shape *ids = &in->in[IDS]->shape, *s = &in->in[i]->shape;

    if (s->rank != 2 || differ(s->dims[1], ids->dims[1]) ||
        (differ(s->dims[0], ids->dims[0]) && !(i == POSITION_IDS && s->dims[0] == 1)))
        return accel_fail(err, ACCEL_E_INVALID,
                          "input %zu must be [batch, sequence] like input_ids", i);
    return ACCEL_OK;
}

static int embed_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_node *n = in->node;
    const struct accel_shape *ids = &in->in[IDS]->shape;
    static const size_t tables[] = {WORDS, POSITIONS, SEGMENT_TABLE, GAMMA, BETA};
    static const size_t lists[] = {SEGMENTS, MASK, POSITION_IDS};
    const int64_t hidden = in->in[WORDS]->shape.rank == 2 ? in->in[WORDS]->shape.dims[1] : -1;
    int rc = ACCEL_OK;

    if (ids->rank != 2)
        return accel_fail(err, ACCEL_E_INVALID, "input_ids of rank %u instead of 2", ids->rank);
    for (size_t i = 0; i < ACCEL_COUNT(lists) && rc == ACCEL_OK; i++)
        if (accel_given(n, lists[i]))
            rc = check_ids(in, lists[i], err);
    for (size_t i = 0; i < ACCEL_COUNT(tables) && rc == ACCEL_OK; i++) {
        const struct accel_shape *s = accel_given(n, tables[i]) ? &in->in[tables[i]]->shape : NULL;
        const uint32_t rank = i < 3 ? 2 : 1;

        if (s != NULL && (s->rank != rank || differ(s->dims[rank - 1], hidden)))
            rc = accel_fail(err, ACCEL_E_INVALID, "input %zu must have rows of %" PRId64, tables[i],
                            hidden);
    }
    if (rc == ACCEL_OK && accel_given(n, SEGMENTS) != accel_given(n, SEGMENT_TABLE))
        rc = accel_fail(err, ACCEL_E_INVALID, "only one of segment_ids and segment_embedding");
    for (size_t o = 0; o < n->outputs_count; o++) {
        if (in->out[o] == NULL)
            continue;
        in->out[o]->dtype = o == MASK_INDEX ? ACCEL_DTYPE_INT32 : ACCEL_DTYPE_FLOAT;
        in->out[o]->shape =
            o == MASK_INDEX ? (struct accel_shape){true, 1, {ids->dims[0]}}
                            : (struct accel_shape){true, 3, {ids->dims[0], ids->dims[1], hidden}};
    }
    return rc;
}

/* Row `id` of a table. NULL: it has no such row. */
static const float *row_of(const struct accel_tensor *table, int32_t id)
{
    return id >= 0 && id < table->dims[0] ? (const float *)table->data + id * table->dims[1] : NULL;
}

/* The embeddings of token i, added up. */
static int add_up(const struct accel_run *run, size_t i, float *y, struct accel_error *err)
{
    const struct accel_node *n = run->node;
    const size_t rows = (size_t)run->in[IDS]->dims[1], hidden = (size_t)run->in[WORDS]->dims[1];
    const bool positions = accel_given(n, POSITION_IDS), segments = accel_given(n, SEGMENTS);
    const size_t at = positions && run->in[POSITION_IDS]->dims[0] == 1 ? i % rows : i;
    const int32_t word = ((const int32_t *)run->in[IDS]->data)[i];
    const int32_t position =
        positions ? ((const int32_t *)run->in[POSITION_IDS]->data)[at] : (int32_t)(i % rows);
    const int32_t segment = segments ? ((const int32_t *)run->in[SEGMENTS]->data)[i] : 0;
    const float *w = row_of(run->in[WORDS], word), *p = row_of(run->in[POSITIONS], position);
    const float *s = segments ? row_of(run->in[SEGMENT_TABLE], segment) : NULL;

    if (w == NULL || p == NULL || (segments && s == NULL))
        return accel_fail(err, ACCEL_E_INVALID,
                          "token %zu: word %d, position %d or segment %d is not in its table", i,
                          word, position, segment);
    run->kernels->f32_binary[ACCEL_BINARY_ADD](hidden, w, 1, p, 1, y);
    if (segments)
        run->kernels->f32_binary[ACCEL_BINARY_ADD](hidden, y, 1, s, 1, y);
    return ACCEL_OK;
}

/* How many tokens of each sequence count: those with a mask of 1; 0 without a mask. */
static void count_mask(const struct accel_run *run)
{
    const size_t rows = (size_t)run->in[IDS]->dims[1];
    int32_t *y = run->out[MASK_INDEX]->data;

    for (size_t b = 0; b < (size_t)run->in[IDS]->dims[0]; b++) {
        y[b] = 0;
        for (size_t i = 0; i < rows && accel_given(run->node, MASK); i++)
            y[b] += ((const int32_t *)run->in[MASK]->data)[b * rows + i] == 1;
    }
}

static int embed_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_node *n = run->node;
    const size_t tokens = accel_elements(run->in[IDS]), hidden = (size_t)run->in[WORDS]->dims[1];
    const bool summed = SUM < n->outputs_count && run->out[SUM] != NULL;
    float *sum = run->out[summed ? SUM : OUTPUT]->data;
    int rc = ACCEL_OK;

    for (size_t i = 0; i < tokens && rc == ACCEL_OK; i++)
        rc = add_up(run, i, sum + i * hidden, err);
    if (rc != ACCEL_OK)
        return rc;
    if (tokens > 0 && hidden > 0)
        accel_layer_norm_f32(run->kernels, run->pool, tokens, hidden,
                             accel_attr_float(n, "epsilon", 1e-12f), false, sum,
                             run->in[GAMMA]->data, run->in[BETA]->data, run->out[OUTPUT]->data,
                             NULL, NULL);
    if (MASK_INDEX < n->outputs_count && run->out[MASK_INDEX] != NULL)
        count_mask(run);
    return ACCEL_OK;
}

#define F32 ACCEL_T(FLOAT)
#define I32 ACCEL_T(INT32)
#define OPT ACCEL_ARG_OPTIONAL

static const struct accel_attr_rule attrs[] = {
    {"epsilon", ACCEL_ATTR_FLOAT, 0},
    {"mask_index_type", ACCEL_ATTR_INT, ACCEL_ATTR_IGNORED}, /* whether there is that output */
    {0}};

const struct accel_op accel_ops_embed_norm[] = {
    {.name = "EmbedLayerNormalization",
     .domain = "com.microsoft",
     .since = 1,
     .kind = ACCEL_KIND_NORM,
     .flops_per_value = 10,
     .in = {{"input_ids", I32, 0, 0},
            {"segment_ids", I32, 0, OPT},
            {"word_embedding", F32, 'T', 0},
            {"position_embedding", F32, 'T', 0},
            {"segment_embedding", F32, 'T', OPT},
            {"gamma", F32, 'T', 0},
            {"beta", F32, 'T', 0},
            {"mask", I32, 0, OPT},
            {"position_ids", I32, 0, OPT}},
     .out = {{"output", F32, 'T', 0},
             {"mask_index", I32, 0, OPT},
             {"embedding_sum", F32, 'T', OPT}},
     .attrs = attrs,
     .infer = embed_infer,
     .run = embed_run},
    {0},
};
