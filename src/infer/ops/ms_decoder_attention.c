/* SPDX-License-Identifier: Apache-2.0 */
/* com.microsoft DecoderMaskedMultiHeadAttention: one row of a query for each of the batch, against
 * a cache of fixed length to which it adds its own key and value, or against given keys and values
 * (cross attention). With beams, row j of the cache of one of the batch is that of the beam of its
 * group which cache_indirection names. */
#include "infer/ops/attention.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { QUERY, KEY, VALUE, MASK, SCORES_BIAS, PAST_K, PAST_V, PAST_ROWS, BEAMS, INDIRECTION, BIAS };
enum { Y, PRESENT_K, PRESENT_V, QK };

static bool crosses(const struct accel_node *n)
{
    return !accel_given(n, PAST_K);
}

static int decoder_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                         struct accel_error *err)
{
    const bool past = !crosses(n);
    const char *lacks = NULL;

    (void)mem;
    (void)params;
    if (accel_attr_int(n, "num_heads", 0) < 1)
        return accel_fail(err, ACCEL_E_INVALID, "num_heads is %" PRId64,
                          accel_attr_int(n, "num_heads", 0));
    if (!accel_given(n, KEY) || !accel_given(n, VALUE))
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "packed queries, keys and values");
    if (past && accel_attr_int(n, "past_present_share_buffer", 0) == 0)
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          "past_key without past_present_share_buffer: a cache that grows");
    if (!past && accel_given(n, SCORES_BIAS))
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "attention_bias without past_key");
    if (past != accel_given(n, PAST_V))
        lacks = "past_key or past_value";
    else if (past != accel_wanted(n, PRESENT_K) || past != accel_wanted(n, PRESENT_V))
        lacks = past ? "present_key or present_value" : "past_key";
    else if (past && !accel_given(n, PAST_ROWS))
        lacks = "past_sequence_length";
    else if (accel_wanted(n, QK) && accel_attr_int(n, "output_qk", 0) == 0)
        lacks = "output_qk, of which it has an output,";
    return lacks == NULL ? ACCEL_OK : accel_fail(err, ACCEL_E_INVALID, "%s is not there", lacks);
}

/* ---------------------------------------------------------------- shapes */

struct sizes {
    int64_t batch, heads, size, room; /* room: rows of the cache, or of the keys given */
};

static int sizes_of(const struct accel_node *n, const struct accel_type *const *in, struct sizes *s,
                    struct accel_error *err)
{
    const struct accel_shape *q = &in[QUERY]->shape;
    int rc = ACCEL_OK;

    *s = (struct sizes){-1, accel_attr_int(n, "num_heads", 0), -1, -1};
    if (q->rank != 3 || accel_differ(q->dims[1], 1) || (q->dims[2] >= 0 && q->dims[2] % s->heads))
        return accel_fail(err, ACCEL_E_INVALID, "query must be [batch, 1, %" PRId64 " heads]",
                          s->heads);
    s->batch = q->dims[0];
    s->size = q->dims[2] < 0 ? ACCEL_DIM_ANY : q->dims[2] / s->heads;
    for (size_t i = KEY; i <= VALUE; i++)
        if (in[i]->shape.rank != (crosses(n) ? 4u : 3u))
            return accel_fail(err, ACCEL_E_INVALID, "input %zu of rank %u", i, in[i]->shape.rank);
    for (size_t i = KEY; i <= VALUE && rc == ACCEL_OK && !crosses(n); i++)
        for (uint32_t d = 0; d < 3; d++)
            if (accel_differ(in[i]->shape.dims[d], q->dims[d]))
                return accel_fail(err, ACCEL_E_INVALID, "input %zu is not of the query's shape", i);
    for (size_t i = 0; i < 2 && rc == ACCEL_OK; i++) {
        const struct accel_shape *x = &in[(crosses(n) ? KEY : PAST_K) + i]->shape;

        if (x->rank != 4)
            return accel_fail(err, ACCEL_E_INVALID, "a cache of rank %u", x->rank);
        rc = accel_agree(&s->batch, x->dims[0], "the batch", err);
        if (rc == ACCEL_OK)
            rc = accel_agree(&s->heads, x->dims[1], "the number of heads", err);
        if (rc == ACCEL_OK)
            rc = accel_agree(&s->room, x->dims[2], "the length of keys and values", err);
        if (rc == ACCEL_OK)
            rc = accel_agree(&s->size, x->dims[3], "the size of a head", err);
    }
    return rc;
}

/* Masks, the bias and the beams; keys: how many there are now. */
static int check_shapes(const struct accel_infer *in, const struct sizes *s, int64_t keys,
                        struct accel_error *err)
{
    const struct accel_node *n = in->node;
    const struct accel_shape *m = accel_given(n, MASK) ? &in->in[MASK]->shape : NULL;
    const struct accel_shape *b = accel_given(n, SCORES_BIAS) ? &in->in[SCORES_BIAS]->shape : NULL;
    const struct accel_shape *c = accel_given(n, INDIRECTION) ? &in->in[INDIRECTION]->shape : NULL;
    const struct accel_shape *bias = accel_given(n, BIAS) ? &in->in[BIAS]->shape : NULL;
    int64_t columns;

    if (m != NULL &&
        (m->rank != 2 || accel_differ(m->dims[0], s->batch) || accel_differ(m->dims[1], keys)))
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "a mask that is not [batch, %" PRId64 "]",
                          keys);
    if (b != NULL && (b->rank != 4 || (accel_differ(b->dims[0], s->batch) && b->dims[0] != 1) ||
                      (accel_differ(b->dims[1], s->heads) && b->dims[1] != 1) ||
                      accel_differ(b->dims[2], 1) || accel_differ(b->dims[3], keys)))
        return accel_fail(err, ACCEL_E_INVALID,
                          "attention_bias must be [batch or 1, heads or 1, 1, %" PRId64 "]", keys);
    if (c != NULL &&
        (c->rank != 3 || (!crosses(n) && accel_differ(c->dims[2], s->room)) ||
         (c->dims[0] >= 0 && c->dims[1] >= 0 && s->batch >= 0 &&
          (c->dims[0] == 0 ? s->batch != 0
                           : s->batch % c->dims[0] != 0 || s->batch / c->dims[0] != c->dims[1]))))
        return accel_fail(err, ACCEL_E_INVALID,
                          "cache_indirection must be [groups, beams, %" PRId64 "]", s->room);
    if (bias != NULL && s->size >= 0 &&
        (bias->rank != 1 || __builtin_mul_overflow(s->heads * 3, s->size, &columns) ||
         accel_differ(bias->dims[0], columns)))
        return accel_fail(err, ACCEL_E_INVALID, "the bias does not fit Q, K and V");
    return ACCEL_OK;
}

static int check_past(int64_t past, int64_t room, struct accel_error *err)
{
    if (past < 0 || (room >= 0 && past >= room))
        return accel_fail(err, ACCEL_E_INVALID,
                          "past_sequence_length is %" PRId64 " in a cache of %" PRId64 " rows",
                          past, room);
    return ACCEL_OK;
}

static int decoder_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_node *n = in->node;
    struct sizes s;
    size_t count, elements;
    int64_t past, keys = ACCEL_DIM_ANY;
    int rc = accel_attr_int(n, "num_heads", 0) > INT32_MAX
                 ? accel_fail(err, ACCEL_E_INVALID, "num_heads overflows")
                 : sizes_of(n, in->in, &s, err);

    if (rc != ACCEL_OK)
        return rc;
    if (crosses(n)) {
        keys = s.room;
    } else if (accel_shape_static(&in->in[PAST_ROWS]->shape) &&
               (!accel_shape_elements(&in->in[PAST_ROWS]->shape, &elements) || elements != 1)) {
        return accel_fail(err, ACCEL_E_INVALID, "past_sequence_length is not one number");
    } else if (accel_infer_ints(in, PAST_ROWS, &past, 1, &count) && count == 1) {
        rc = check_past(past, s.room, err);
        keys = past + 1;
    }
    if (rc == ACCEL_OK)
        rc = check_shapes(in, &s, keys, err);
    if (rc != ACCEL_OK)
        return rc;
    const struct accel_shape shapes[4] = {in->in[QUERY]->shape,
                                          {true, 4, {s.batch, s.heads, s.room, s.size}},
                                          {true, 4, {s.batch, s.heads, s.room, s.size}},
                                          {true, 4, {s.batch, s.heads, 1, keys}}};
    for (size_t o = 0; o < n->outputs_count; o++)
        if (in->out[o] != NULL) {
            in->out[o]->dtype = ACCEL_DTYPE_FLOAT;
            in->out[o]->shape = shapes[o];
        }
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- running */

/* The scratch, one part behind the other; 0: not needed. */
struct state {
    struct accel_attention attention;
    size_t room;
    unsigned threads;
    size_t biased, mask, gathered, work;
};

static int decoder_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    const struct accel_node *n = prep->node;
    const float scale = accel_attr_float(n, "scale", 0);
    struct state *st = accel_prepare_state(prep, sizeof(*st), err);
    struct sizes s;

    if (st == NULL)
        return ACCEL_E_NOMEM;
    int rc = sizes_of(n, prep->in, &s, err);
    if (rc != ACCEL_OK)
        return rc;
    struct accel_attention *a = &st->attention;
    st->threads = prep->threads;
    st->room = (size_t)s.room;
    *a = (struct accel_attention){
        .batch = (size_t)s.batch,
        .heads = (size_t)s.heads,
        .kv_heads = (size_t)s.heads,
        .q_rows = 1,
        .kv_rows = accel_wanted(n, QK) ? (size_t)prep->out[QK]->shape.dims[3] : st->room,
        .head_size = (size_t)s.size,
        .v_head_size = (size_t)s.size,
        .scale = scale != 0 ? scale : 1 / sqrtf((float)s.size),
        .left = -1,
        .right = -1,
        .stage = ACCEL_ATTENTION_MASKED};
    a->q = accel_by_rows(1, a->heads * a->head_size, a->head_size);
    a->k = a->v = accel_by_heads(a->heads, st->room, a->head_size);
    accel_attention_to(a, a->q);
    if (accel_given(n, BIAS))
        rc = accel_scratch_part(prep, a->batch * 3 * a->heads * a->head_size, sizeof(float),
                                &st->biased, err);
    if (rc == ACCEL_OK && (accel_given(n, MASK) || accel_given(n, SCORES_BIAS)))
        rc = accel_scratch_heads(prep, a, st->room, 1, &st->mask, err);
    for (unsigned i = 0; i < 2 && rc == ACCEL_OK && accel_given(n, INDIRECTION); i++)
        rc = accel_scratch_heads(prep, a, st->room, a->head_size, &st->gathered, err);
    return rc == ACCEL_OK ? accel_scratch_attention(prep, a, &st->work, err) : rc;
}

struct step {
    const struct accel_run *run;
    const struct accel_attention *a;
    size_t room, past, keys, beams;
};

/* What infer could not see: numbers, and shapes that hang on them. */
static int check_step(struct step *s, struct accel_error *err)
{
    const struct accel_run *run = s->run;
    const struct accel_node *n = run->node;
    const int32_t beams = accel_given(n, BEAMS) && run->in[BEAMS]->size_bytes > 0
                              ? *(const int32_t *)run->in[BEAMS]->data
                              : 1;
    const int32_t *indirection = accel_given(n, INDIRECTION) ? run->in[INDIRECTION]->data : NULL;

    s->keys = s->room;
    if (!crosses(n)) {
        const int64_t past = *(const int32_t *)run->in[PAST_ROWS]->data;
        const int rc = check_past(past, (int64_t)s->room, err);
        if (rc != ACCEL_OK)
            return rc;
        s->past = (size_t)past;
        s->keys = s->past + 1;
    }
    for (size_t i = MASK; i <= SCORES_BIAS; i++)
        if (accel_given(n, i) && (size_t)run->in[i]->dims[run->in[i]->rank - 1] != s->keys)
            return accel_fail(err, ACCEL_E_INVALID, "input %zu is not of %zu keys", i, s->keys);
    if (crosses(n))
        return ACCEL_OK;
    if (beams < 1 || s->a->batch % (size_t)beams != 0 || (beams > 1 && indirection == NULL))
        return accel_fail(err, ACCEL_E_INVALID, "beam_width is %d for a batch of %zu%s", beams,
                          s->a->batch, indirection == NULL ? " without cache_indirection" : "");
    s->beams = (size_t)beams;
    if (beams > 1 && accel_given(n, SCORES_BIAS) && run->in[SCORES_BIAS]->dims[0] != 1 &&
        run->in[SCORES_BIAS]->dims[1] == 1 && s->a->heads > 1)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "attention_bias [batch, 1, ...] with beams");
    for (size_t b = 0; b < s->a->batch && indirection != NULL; b++)
        for (size_t j = 0; j < s->past; j++)
            if (indirection[b * s->room + j] < 0 || indirection[b * s->room + j] >= beams)
                return accel_fail(err, ACCEL_E_INVALID, "cache_indirection names beam %d of %d",
                                  indirection[b * s->room + j], beams);
    return ACCEL_OK;
}

/* Queries, keys and values with the bias, one behind the other; cross attention needs the first. */
static void add_bias(const struct step *s, float *y)
{
    const struct accel_run *run = s->run;
    const size_t width = s->a->heads * s->a->head_size;
    const struct accel_nd nd = {
        .rank = 2, .dims = {s->a->batch, width}, .stride = {{(ptrdiff_t)width, 1}, {0, 1}}};

    for (size_t i = QUERY; i <= (crosses(run->node) ? QUERY : VALUE); i++)
        if (s->a->batch * width > 0)
            accel_binary(run->kernels, run->pool, ACCEL_BINARY_ADD, ACCEL_DTYPE_FLOAT, &nd,
                         run->in[i]->data, (const float *)run->in[BIAS]->data + i * width,
                         y + i * s->a->batch * width);
}

/* What is added to the scores, [batch][heads][keys]. With beams ONNX Runtime gives the whole group
 * the bias of the row of that group's number. */
static void fill_mask(const struct step *s, float *y)
{
    const struct accel_run *run = s->run;
    const struct accel_node *n = run->node;
    const float hidden = accel_attr_float(n, "mask_filter_value", -10000);
    const int32_t *mask = accel_given(n, MASK) ? run->in[MASK]->data : NULL;
    const struct accel_attention_mask bias = accel_given(n, SCORES_BIAS)
                                                 ? accel_bias_mask(run->in[SCORES_BIAS])
                                                 : (struct accel_attention_mask){0};
    const size_t group = accel_given(n, INDIRECTION) && !crosses(n) ? s->beams : 1;

    for (size_t b = 0; b < s->a->batch; b++)
        for (size_t h = 0; h < s->a->heads; h++)
            for (size_t j = 0; j < s->keys; j++) {
                float add = mask != NULL && mask[b * s->keys + j] <= 0 ? hidden : 0;

                if (bias.data != NULL)
                    add += bias.data[b / group * bias.batch + h * bias.head + j];
                *y++ = add;
            }
}

/* The cache (keys: i 0, values: 1) with its new row, and as the beams see it at `gathered` (NULL:
 * as it is). */
static void append(const struct step *s, size_t i, struct accel_attention_operand *operand,
                   float *gathered)
{
    const struct accel_run *run = s->run;
    const size_t size = s->a->head_size, heads = s->a->heads, row = size * sizeof(float);
    float *present = run->out[PRESENT_K + i]->data;
    const int32_t *beams = gathered != NULL ? run->in[INDIRECTION]->data : NULL;
    const struct accel_attention_operand fresh = *operand;

    *operand = accel_by_heads(heads, s->room, size);
    operand->data = present;
    if (size == 0)
        return;
    memcpy(present, run->in[PAST_K + i]->data, run->out[PRESENT_K + i]->size_bytes);
    accel_attention_place(run->pool, s->a->batch, heads, size, &fresh, 1, present, s->room,
                          s->past);
    for (size_t unit = 0; gathered != NULL && unit < s->a->batch * heads; unit++) {
        const size_t b = unit / heads, h = unit % heads;
        float *y = gathered + unit * s->room * size;

        for (size_t j = 0; j < s->keys; j++) {
            const size_t from =
                j == s->past ? b : b / s->beams * s->beams + (size_t)beams[b * s->room + j];

            memcpy(y + j * size, present + ((from * heads + h) * s->room + j) * size, row);
        }
    }
    if (gathered != NULL)
        operand->data = gathered;
}

static int decoder_run(struct accel_run *run, struct accel_error *err)
{
    const struct state *st = run->state;
    const struct accel_node *n = run->node;
    struct accel_attention a = st->attention;
    struct step s = {.run = run, .a = &st->attention, .room = st->room};
    const size_t width = a.batch * a.heads * a.head_size;
    char *scratch = run->scratch;
    float *biased = (float *)(void *)scratch, *mask;
    const int rc = check_step(&s, err);

    if (rc != ACCEL_OK || a.batch == 0)
        return rc;
    a.q.data = run->in[QUERY]->data;
    a.k.data = run->in[KEY]->data;
    a.v.data = run->in[VALUE]->data;
    if (!crosses(n))
        a.k = a.v = a.q;
    if (accel_given(n, BIAS))
        add_bias(&s, biased);
    if (accel_given(n, BIAS))
        a.q.data = biased;
    mask = (float *)(void *)(scratch += st->biased);
    if (st->mask > 0)
        fill_mask(&s, mask);
    scratch += st->mask;
    for (size_t i = 0; i < 2 && !crosses(n); i++) {
        struct accel_attention_operand *operand = i == 0 ? &a.k : &a.v;

        operand->data = accel_given(n, BIAS) ? biased + (1 + i) * width : run->in[KEY + i]->data;
        append(&s, i, operand, st->gathered > 0 ? (float *)(void *)scratch : NULL);
        scratch += st->gathered;
    }
    if (crosses(n))
        scratch += 2 * st->gathered;
    a.y = run->out[Y]->data;
    if (st->mask > 0)
        a.masks[0] = (struct accel_attention_mask){.data = mask,
                                                   .columns = s.keys,
                                                   .row = s.keys,
                                                   .head = s.keys,
                                                   .batch = a.heads * s.keys};
    if (accel_wanted(n, QK))
        a.trace = run->out[QK]->data;
    accel_narrow(run->kernels, &a, s.keys, st->threads, st->work);
    if (a.kv_rows > s.keys)
        a.right = (int64_t)s.keys - 1; /* the only row stands at position 0 */
    accel_attention_f32(run->kernels, run->pool, &a, scratch);
    return ACCEL_OK;
}

#define F32 ACCEL_T(FLOAT)
#define I32 ACCEL_T(INT32)
#define OPT ACCEL_ARG_OPTIONAL

static const struct accel_attr_rule decoder_attrs[] = {
    {"mask_filter_value", ACCEL_ATTR_FLOAT, 0},
    {"num_heads", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED},
    {"output_qk", ACCEL_ATTR_INT, 0},
    {"past_present_share_buffer", ACCEL_ATTR_INT, 0},
    {"scale", ACCEL_ATTR_FLOAT, 0},
    {0}};

const struct accel_op accel_ops_ms_decoder_attention[] = {
    {.domain = "com.microsoft",
     .name = "DecoderMaskedMultiHeadAttention",
     .since = 1,
     .kind = ACCEL_KIND_GEMM,
     .flops_per_value = 256,
     .attrs = decoder_attrs,
     .in = {{"query", F32, 'T', 0},
            {"key", F32, 'T', OPT},
            {"value", F32, 'T', OPT},
            {"mask_index", I32, 0, OPT},
            {"attention_bias", F32, 'T', OPT},
            {"past_key", F32, 'T', OPT},
            {"past_value", F32, 'T', OPT},
            {"past_sequence_length", I32, 0, OPT},
            {"beam_width", I32, 0, OPT},
            {"cache_indirection", I32, 0, OPT},
            {"bias", F32, 'T', OPT}},
     .out = {{"output", F32, 'T', 0},
             {"present_key", F32, 'T', OPT},
             {"present_value", F32, 'T', OPT},
             {"qk", F32, 0, OPT}},
     .parse = decoder_parse,
     .infer = decoder_infer,
     .prepare = decoder_prepare,
     .run = decoder_run},
    {0},
};
