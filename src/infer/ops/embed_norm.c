/* SPDX-License-Identifier: Apache-2.0 */
/* com.microsoft EmbedLayerNormalization: word, position and segment embeddings added up and
 * normalised in rows. QEmbedLayerNormalization: the same of tables in 8 bits, each with a scale and
 * a zero point for the whole of it. */
#include "infer/ops/quantised.h"

#include <inttypes.h>
#include <string.h>

enum { IDS, SEGMENTS, WORDS, POSITIONS, SEGMENT_TABLE, GAMMA, BETA, MASK, POSITION_IDS };
enum { OUTPUT, MASK_INDEX, SUM };

/* Of the quantised: scales of words, positions, segments, gamma and beta, then their zero points.
 */
enum { FIRST_SCALE = 8, FIRST_ZERO = 13 };
static const size_t tables[] = {WORDS, POSITIONS, SEGMENT_TABLE, GAMMA, BETA};

static bool is_quantised(const struct accel_node *n)
{
    return n->op_type[0] == 'Q';
}

static bool has_positions(const struct accel_node *n)
{
    return !is_quantised(n) && accel_given(n, POSITION_IDS);
}

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

/* The group of the segments comes whole or not at all; scales and zero points are single. */
static int check_scales(const struct accel_infer *in, struct accel_error *err)
{
    static const size_t group[] = {SEGMENT_TABLE, FIRST_SCALE + 2, FIRST_ZERO + 2};
    int rc = ACCEL_OK;

    for (size_t i = 0; i < ACCEL_COUNT(group); i++)
        if (accel_given(in->node, group[i]) != accel_given(in->node, SEGMENTS))
            return accel_fail(err, ACCEL_E_INVALID,
                              "segment_ids and segment_embedding with its scale and zero point: "
                              "only some of them");
    for (size_t i = FIRST_SCALE; i < FIRST_ZERO + ACCEL_COUNT(tables) && rc == ACCEL_OK; i++)
        rc = accel_quant_single(in, i, err);
    return rc;
}

static int embed_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_node *n = in->node;
    const struct accel_shape *ids = &in->in[IDS]->shape;
    static const size_t lists[] = {SEGMENTS, MASK, POSITION_IDS};
    const int64_t hidden = in->in[WORDS]->shape.rank == 2 ? in->in[WORDS]->shape.dims[1] : -1;
    int rc = ACCEL_OK;

    if (ids->rank != 2)
        return accel_fail(err, ACCEL_E_INVALID, "input_ids of rank %u instead of 2", ids->rank);
    for (size_t i = 0; i < ACCEL_COUNT(lists) && rc == ACCEL_OK; i++)
        if (lists[i] == POSITION_IDS ? has_positions(n) : accel_given(n, lists[i]))
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
    if (rc == ACCEL_OK && is_quantised(n))
        rc = check_scales(in, err);
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

/* Scale and zero point of the table at place t of `tables`. */
static struct accel_quant_param param_of(const struct accel_run *run, size_t t)
{
    return (struct accel_quant_param){*(const float *)run->in[FIRST_SCALE + t]->data,
                                      accel_quant_zero(run, FIRST_ZERO + t)};
}

/* n numbers of a quantised table, from `at` on: y = them, or y += them. */
static void dequantise(const struct accel_run *run, size_t t, size_t at, size_t n, bool add,
                       float *y)
{
    const struct accel_tensor *table = run->in[tables[t]];
    const struct accel_quant_param q = param_of(run, t);

    for (size_t i = 0; i < n; i++) {
        const float v =
            q.scale * (float)(accel_quant_at(table->dtype, table->data, at + i) - q.zero);

        y[i] = add ? y[i] + v : v;
    }
}

/* Row `id` of the table at place t, written to y or, but for the first, added. false: it has no
 * such row. */
static bool add_row(const struct accel_run *run, size_t t, int32_t id, float *y)
{
    const struct accel_tensor *table = run->in[tables[t]];
    const size_t hidden = (size_t)table->dims[1];

    if (id < 0 || id >= table->dims[0])
        return false;
    if (is_quantised(run->node))
        dequantise(run, t, (size_t)id * hidden, hidden, t > 0, y);
    else if (t == 0)
        memcpy(y, (const float *)table->data + (size_t)id * hidden, hidden * sizeof(*y));
    else
        run->kernels->f32_binary[ACCEL_BINARY_ADD](
            hidden, y, 1, (const float *)table->data + (size_t)id * hidden, 1, y);
    return true;
}

/* The embeddings of token i, added up. */
static int add_up(const struct accel_run *run, size_t i, float *y, struct accel_error *err)
{
    const struct accel_node *n = run->node;
    const size_t rows = (size_t)run->in[IDS]->dims[1];
    const bool positions = has_positions(n), segments = accel_given(n, SEGMENTS);
    const size_t at = positions && run->in[POSITION_IDS]->dims[0] == 1 ? i % rows : i;
    const int32_t word = ((const int32_t *)run->in[IDS]->data)[i];
    const int32_t position =
        positions ? ((const int32_t *)run->in[POSITION_IDS]->data)[at] : (int32_t)(i % rows);
    const int32_t segment = segments ? ((const int32_t *)run->in[SEGMENTS]->data)[i] : 0;

    if (!add_row(run, 0, word, y) || !add_row(run, 1, position, y) ||
        (segments && !add_row(run, 2, segment, y)))
        return accel_fail(err, ACCEL_E_INVALID,
                          "token %zu: word %d, position %d or segment %d is not in its table", i,
                          word, position, segment);
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

/* gamma and beta in floats. */
static int qembed_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    const size_t hidden = (size_t)prep->in[WORDS]->shape.dims[1];

    if (__builtin_mul_overflow(hidden, 2 * sizeof(float), &prep->scratch_bytes))
        return accel_fail(err, ACCEL_E_INVALID, "its work space overflows");
    return ACCEL_OK;
}

static int embed_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_node *n = run->node;
    const size_t tokens = accel_elements(run->in[IDS]), hidden = (size_t)run->in[WORDS]->dims[1];
    const bool summed = SUM < n->outputs_count && run->out[SUM] != NULL;
    float *sum = run->out[summed ? SUM : OUTPUT]->data;
    const float *gamma = run->in[GAMMA]->data, *beta = run->in[BETA]->data;
    int rc = ACCEL_OK;

    for (size_t i = 0; i < tokens && rc == ACCEL_OK; i++)
        rc = add_up(run, i, sum + i * hidden, err);
    if (rc != ACCEL_OK)
        return rc;
    if (is_quantised(n)) {
        float *wide = run->scratch;

        dequantise(run, 3, 0, hidden, false, wide);
        dequantise(run, 4, 0, hidden, false, wide + hidden);
        gamma = wide;
        beta = wide + hidden;
    }
    if (tokens > 0 && hidden > 0)
        accel_layer_norm_f32(run->kernels, run->pool, tokens, hidden,
                             accel_attr_float(n, "epsilon", 1e-12f), false, sum, gamma, beta,
                             run->out[OUTPUT]->data, NULL, NULL);
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

static const struct accel_attr_rule quantised_attrs[] = {{"epsilon", ACCEL_ATTR_FLOAT, 0}, {0}};

#define Q8 ACCEL_T_Q8
static const struct accel_arg quantised_more[] = {
    {"gamma_zero_point", Q8, 'Q', 0}, {"beta_zero_point", Q8, 'Q', 0}, {0}};

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
    {.name = "QEmbedLayerNormalization",
     .domain = "com.microsoft",
     .since = 1,
     .kind = ACCEL_KIND_NORM,
     .flops_per_value = 13,
     .in = {{"input_ids", I32, 0, 0},
            {"segment_ids", I32, 0, OPT},
            {"word_embedding_quant", Q8, 'Q', 0},
            {"position_embedding_quant", Q8, 'Q', 0},
            {"segment_embedding", Q8, 'Q', OPT},
            {"gamma_quant", Q8, 'Q', 0},
            {"beta_quant", Q8, 'Q', 0},
            {"mask", I32, 0, OPT},
            {"word_embedding_scale", F32, 'T', 0},
            {"position_embedding_scale", F32, 'T', 0},
            {"segment_embedding_scale", F32, 'T', OPT},
            {"gamma_scale", F32, 'T', 0},
            {"beta_scale", F32, 'T', 0},
            {"word_embedding_zero_point", Q8, 'Q', 0},
            {"position_embedding_zero_point", Q8, 'Q', 0},
            {"segment_embedding_zero_point", Q8, 'Q', OPT}},
     .in_more = quantised_more,
     .out = {{"layernorm_out", F32, 'T', 0}, {"mask_index_out", I32, 0, OPT}},
     .attrs = quantised_attrs,
     .infer = embed_infer,
     .prepare = qembed_prepare,
     .run = embed_run},
    {0},
};
