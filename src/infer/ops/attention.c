/* SPDX-License-Identifier: Apache-2.0 */
/* Attention of the standard (23, 24, 25). */
#include "infer/ops/attention.h"

#include <inttypes.h>
#include <math.h>

enum { Q, K, V, MASK, PAST_K, PAST_V, VALID };
enum { Y, PRESENT_K, PRESENT_V, QK };

/* ---------------------------------------------------------------- shapes */

/* What Q, K and V are; ACCEL_DIM_ANY where not known. */
struct sizes {
    int64_t batch, heads, kv_heads, q_rows, kv_rows, past, head_size, v_head_size;
};

/* One of Q, K, V: [batch][heads][rows][size], or [batch][rows][heads * size]. */
static int split(const struct accel_shape *x, int64_t stated, int64_t *batch, int64_t *heads,
                 int64_t *rows, int64_t *size, struct accel_error *err)
{
    int rc = accel_agree(batch, x->dims[0], "the batch", err);

    if (rc != ACCEL_OK)
        return rc;
    if (x->rank == 4) {
        rc = accel_agree(heads, x->dims[1], "the number of heads", err);
        if (rc == ACCEL_OK)
            rc = accel_agree(rows, x->dims[2], "a sequence's length", err);
        return rc == ACCEL_OK ? accel_agree(size, x->dims[3], "the size of a head", err) : rc;
    }
    if (stated < 1)
        return accel_fail(err, ACCEL_E_INVALID,
                          "q_num_heads and kv_num_heads are needed for inputs of rank 3");
    if (x->dims[2] >= 0 && x->dims[2] % stated != 0)
        return accel_fail(err, ACCEL_E_INVALID, "%" PRId64 " columns for %" PRId64 " heads",
                          x->dims[2], stated);
    *heads = stated;
    rc = accel_agree(rows, x->dims[1], "a sequence's length", err);
    if (rc == ACCEL_OK && x->dims[2] >= 0)
        rc = accel_agree(size, x->dims[2] / stated, "the size of a head", err);
    return rc;
}

static int sizes_of(const struct accel_node *n, const struct accel_type *const *in, struct sizes *s,
                    struct accel_error *err)
{
    const int64_t heads = accel_attr_int(n, "q_num_heads", 0);
    const int64_t kv_heads = accel_attr_int(n, "kv_num_heads", 0);
    const uint32_t rank = in[Q]->shape.rank;

    *s = (struct sizes){-1, -1, -1, -1, -1, 0, -1, -1};
    if ((rank != 3 && rank != 4) || in[K]->shape.rank != rank || in[V]->shape.rank != rank)
        return accel_fail(err, ACCEL_E_INVALID,
                          "Q, K and V of rank %u, %u and %u: all must be of rank 3 or 4", rank,
                          in[K]->shape.rank, in[V]->shape.rank);
    int rc = split(&in[Q]->shape, heads, &s->batch, &s->heads, &s->q_rows, &s->head_size, err);
    if (rc == ACCEL_OK)
        rc = split(&in[K]->shape, kv_heads, &s->batch, &s->kv_heads, &s->kv_rows, &s->head_size,
                   err);
    if (rc == ACCEL_OK)
        rc = split(&in[V]->shape, kv_heads, &s->batch, &s->kv_heads, &s->kv_rows, &s->v_head_size,
                   err);
    if (rc != ACCEL_OK)
        return rc;
    if (s->heads >= 0 && s->kv_heads >= 0 &&
        (s->kv_heads == 0 ? s->heads != 0 : s->heads % s->kv_heads != 0))
        return accel_fail(err, ACCEL_E_INVALID,
                          "%" PRId64 " heads of queries do not share %" PRId64 " of keys", s->heads,
                          s->kv_heads);
    for (size_t i = PAST_K; i <= PAST_V && accel_given(n, i); i++) {
        const struct accel_shape *past = &in[i]->shape;
        int64_t rows = i == PAST_K ? ACCEL_DIM_ANY : s->past;

        if (past->rank != 4)
            return accel_fail(err, ACCEL_E_INVALID, "input %zu of rank %u instead of 4", i,
                              past->rank);
        rc = split(past, 0, &s->batch, &s->kv_heads, &rows,
                   i == PAST_K ? &s->head_size : &s->v_head_size, err);
        if (rc != ACCEL_OK)
            return rc;
        s->past = rows;
    }
    return ACCEL_OK;
}

static int64_t total_rows(const struct sizes *s)
{
    return accel_rows_together(s->past, s->kv_rows);
}

/* Broadcasts to the scores; its columns may end early. */
static int check_mask(const struct accel_infer *in, const struct sizes *s, struct accel_error *err)
{
    const struct accel_shape *m = &in->in[MASK]->shape;
    const int64_t wants[4] = {s->batch, s->heads, s->q_rows, total_rows(s)};

    if (m->rank == 0 || m->rank > 4)
        return accel_fail(err, ACCEL_E_INVALID, "a mask of rank %u", m->rank);
    if (in->in[MASK]->dtype != ACCEL_DTYPE_BOOL && in->in[MASK]->dtype != in->in[Q]->dtype)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "a mask of %s",
                          accel_dtype_name(in->in[MASK]->dtype));
    for (uint32_t i = 0; i < m->rank; i++) {
        const int64_t has = m->dims[i], want = wants[4 - m->rank + i];
        const bool last = i + 1 == m->rank;

        if (has >= 0 && want >= 0 && (last ? has > want : has != 1 && has != want))
            return accel_fail(err, ACCEL_E_INVALID,
                              "attn_mask has %" PRId64 " entries in dimension %u for %" PRId64, has,
                              i, want);
    }
    return ACCEL_OK;
}

static int check_inputs(const struct accel_infer *in, const struct sizes *s,
                        struct accel_error *err)
{
    const struct accel_node *n = in->node;

    if (accel_given(n, PAST_K) != accel_given(n, PAST_V))
        return accel_fail(err, ACCEL_E_INVALID, "only one of past_key and past_value");
    if (accel_given(n, VALID)) {
        const struct accel_shape *v = &in->in[VALID]->shape;

        if (accel_given(n, PAST_K))
            return accel_fail(err, ACCEL_E_INVALID, "nonpad_kv_seqlen beside past_key");
        if (v->rank != 1 || (v->dims[0] >= 0 && s->batch >= 0 && v->dims[0] != s->batch))
            return accel_fail(err, ACCEL_E_INVALID,
                              "nonpad_kv_seqlen must have one number for each of the batch");
    }
    return accel_given(n, MASK) ? check_mask(in, s, err) : ACCEL_OK;
}

static int attention_infer(struct accel_infer *in, struct accel_error *err)
{
    struct sizes s;
    int rc = sizes_of(in->node, in->in, &s, err);
    int64_t hidden = ACCEL_DIM_ANY;

    if (rc == ACCEL_OK)
        rc = check_inputs(in, &s, err);
    if (rc != ACCEL_OK)
        return rc;
    const int64_t total = total_rows(&s);
    if (s.heads >= 0 && s.v_head_size >= 0 &&
        __builtin_mul_overflow(s.heads, s.v_head_size, &hidden))
        return accel_fail(err, ACCEL_E_INVALID, "its output overflows");
    const struct accel_shape shapes[4] = {
        in->in[Q]->shape.rank == 4
            ? (struct accel_shape){true, 4, {s.batch, s.heads, s.q_rows, s.v_head_size}}
            : (struct accel_shape){true, 3, {s.batch, s.q_rows, hidden}},
        {true, 4, {s.batch, s.kv_heads, total, s.head_size}},
        {true, 4, {s.batch, s.kv_heads, total, s.v_head_size}},
        {true, 4, {s.batch, s.heads, s.q_rows, total}}};
    for (size_t o = 0; o < in->node->outputs_count; o++)
        if (in->out[o] != NULL) {
            in->out[o]->dtype = in->in[o == PRESENT_V ? V : Q]->dtype;
            in->out[o]->shape = shapes[o];
        }
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- attributes */

static int attention_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                           struct accel_error *err)
{
    static const char *const windows[] = {"left_window_size", "right_window_size"};
    const int64_t mode = accel_attr_int(n, "qk_matmul_output_mode", 0);
    const bool scaled = accel_attr(n, "scale") != NULL;

    (void)mem;
    (void)params;
    if (mode < 0 || mode > 3)
        return accel_fail(err, ACCEL_E_INVALID, "qk_matmul_output_mode is %" PRId64, mode);
    for (size_t i = 0; i < 2; i++)
        if (accel_attr_int(n, windows[i], -1) < -1)
            return accel_fail(err, ACCEL_E_INVALID, "%s is below -1", windows[i]);
    if (scaled && !(accel_attr_float(n, "scale", 0) >= 0))
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "a scale below 0");
    if (accel_attr_float(n, "softcap", 0) < 0)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "a softcap below 0");
    return ACCEL_OK;
}

static struct accel_attention attributes_of(const struct accel_node *n, size_t head_size)
{
    /* Of qk_matmul_output_mode. */
    static const enum accel_attention_stage stages[] = {ACCEL_ATTENTION_SCORES,
                                                        ACCEL_ATTENTION_CAPPED,
                                                        ACCEL_ATTENTION_MASKED,
                                                        ACCEL_ATTENTION_WEIGHTS};
    struct accel_attention a = {.scale = accel_attr_float(n, "scale", 1 / sqrtf((float)head_size)),
                                .softcap = accel_attr_float(n, "softcap", 0),
                                .left = accel_attr_int(n, "left_window_size", -1),
                                .right = accel_attr_int(n, "right_window_size", -1),
                                .stage = stages[accel_attr_int(n, "qk_matmul_output_mode", 0)]};

    if (accel_attr_int(n, "is_causal", 0) != 0)
        a.right = 0; /* no window to the right is narrower */
    return a;
}

/* ---------------------------------------------------------------- running */

struct state {
    struct accel_attention attention;
    size_t past;
    size_t spans;     /* bytes of scratch; 0: none */
    size_t joined[2]; /* bytes of scratch for past and new keys (values) end to end; 0: none */
};

/* How a tensor of Q, K, V lies: [batch][heads][rows][size], or [batch][rows][heads][size]. */
static struct accel_attention_operand layout_of(uint32_t rank, size_t heads, size_t rows,
                                                size_t size)
{
    return rank == 4 ? accel_by_heads(heads, rows, size) : accel_by_rows(rows, heads * size, size);
}

static int attention_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    const struct accel_node *n = prep->node;
    struct state *st = accel_prepare_state(prep, sizeof(*st), err);
    struct sizes s;
    size_t bytes;

    if (st == NULL)
        return ACCEL_E_NOMEM;
    int rc = sizes_of(n, prep->in, &s, err);
    if (rc != ACCEL_OK)
        return rc;
    struct accel_attention *a = &st->attention;
    const uint32_t rank = prep->in[Q]->shape.rank;
    *a = attributes_of(n, (size_t)s.head_size);
    a->batch = (size_t)s.batch;
    a->heads = (size_t)s.heads;
    a->kv_heads = (size_t)s.kv_heads;
    a->q_rows = (size_t)s.q_rows;
    a->kv_rows = (size_t)total_rows(&s);
    a->head_size = (size_t)s.head_size;
    a->v_head_size = (size_t)s.v_head_size;
    st->past = (size_t)s.past;
    a->offset = s.past;
    a->q = layout_of(rank, a->heads, a->q_rows, a->head_size);
    a->k = layout_of(rank, a->kv_heads, a->kv_rows, a->head_size);
    a->v = layout_of(rank, a->kv_heads, a->kv_rows, a->v_head_size);
    accel_attention_to(a, layout_of(rank, a->heads, a->q_rows, a->v_head_size));
    if (accel_given(n, VALID))
        rc = accel_scratch_part(prep, a->batch, sizeof(struct accel_attention_span), &st->spans,
                                err);
    for (size_t i = 0; i < 2 && rc == ACCEL_OK && accel_given(n, PAST_K); i++) {
        const size_t size = i == 0 ? a->head_size : a->v_head_size;

        /* What is joined lies as present_key does. */
        *(i == 0 ? &a->k : &a->v) = layout_of(4, a->kv_heads, a->kv_rows, size);
        if (PRESENT_K + i >= n->outputs_count || n->outputs[PRESENT_K + i] == NULL)
            rc = accel_scratch_heads(prep, a, a->kv_rows, size, &st->joined[i], err);
    }
    return rc == ACCEL_OK ? accel_scratch_attention(prep, a, &bytes, err) : rc;
}

/* Past and new keys (i 0) or values (i 1): into present_..., or scratch. */
static void join(const struct accel_run *run, const struct state *st, size_t i,
                 struct accel_attention_operand *operand, char **scratch)
{
    const struct accel_attention *a = &st->attention;
    const struct accel_node *n = run->node;
    const struct accel_tensor *fresh = run->in[K + i];
    const size_t size = i == 0 ? a->head_size : a->v_head_size;
    const size_t rows = a->kv_rows - st->past;
    struct accel_tensor *present =
        PRESENT_K + i < n->outputs_count ? run->out[PRESENT_K + i] : NULL;
    const bool past = accel_given(n, PAST_K);

    *operand = layout_of(fresh->rank, a->kv_heads, rows, size);
    operand->data = fresh->data;
    if (present == NULL && !past)
        return;
    accel_join(run->pool, a, size, past ? run->in[PAST_K + i]->data : NULL, st->past,
               present != NULL ? present->data : (void *)*scratch, operand);
    *scratch += st->joined[i];
}

/* Strides of the mask seen as [batch][heads][q_rows][columns]. */
static struct accel_attention_mask mask_of(const struct accel_tensor *t)
{
    struct accel_attention_mask mask = {.columns = (size_t)t->dims[t->rank - 1]};
    size_t step = mask.columns, *const strides[3] = {&mask.row, &mask.head, &mask.batch};

    for (uint32_t i = 0; i + 1 < t->rank; i++) {
        const int64_t dim = t->dims[t->rank - 2 - i];

        *strides[i] = dim == 1 ? 0 : step;
        step *= (size_t)dim;
    }
    if (t->dtype == ACCEL_DTYPE_BOOL)
        mask.allowed = t->data;
    else
        mask.data = t->data;
    return mask;
}

/* nonpad_kv_seqlen: the last row of the query stands at the last key that is no padding. */
static void span(const struct accel_attention *a, const int64_t *valid,
                 struct accel_attention_span *spans)
{
    /* Beyond any length either way a number means the same. */
    const int64_t far = (int64_t)1 << 40;

    for (size_t b = 0; b < a->batch; b++) {
        const int64_t end = ACCEL_MIN(ACCEL_MAX(valid[b], -far), far);

        spans[b] = (struct accel_attention_span){.end = (size_t)ACCEL_MAX(end, (int64_t)0),
                                                 .offset = end - (int64_t)a->q_rows};
    }
}

static int attention_run(struct accel_run *run, struct accel_error *err)
{
    const struct state *st = run->state;
    const struct accel_node *n = run->node;
    struct accel_attention a = st->attention;
    char *scratch = run->scratch;

    (void)err;
    if (accel_given(n, VALID)) {
        span(&a, run->in[VALID]->data, (void *)scratch);
        a.spans = (void *)scratch;
        scratch += st->spans;
    }
    a.q.data = run->in[Q]->data;
    join(run, st, 0, &a.k, &scratch);
    join(run, st, 1, &a.v, &scratch);
    a.y = run->out[Y]->data;
    if (accel_given(n, MASK))
        a.masks[0] = mask_of(run->in[MASK]);
    if (QK < n->outputs_count && run->out[QK] != NULL)
        a.trace = run->out[QK]->data;
    accel_attention_f32(run->kernels, run->pool, &a, scratch);
    return ACCEL_OK;
}

static void attention_cost(const struct accel_prepare *prep, struct accel_cost *cost)
{
    struct sizes s;

    if (sizes_of(prep->node, prep->in, &s, NULL) == ACCEL_OK)
        cost->flops = 2.0 * (double)s.batch * (double)s.heads * (double)s.q_rows *
                      (double)(s.past + s.kv_rows) * (double)(s.head_size + s.v_head_size);
}

#define T1  ACCEL_T(FLOAT)
#define OPT ACCEL_ARG_OPTIONAL

#define ATTRS_23                                                                          \
    {"is_causal", ACCEL_ATTR_INT, 0}, {"kv_num_heads", ACCEL_ATTR_INT, 0},                \
        {"q_num_heads", ACCEL_ATTR_INT, 0}, {"qk_matmul_output_mode", ACCEL_ATTR_INT, 0}, \
        {"scale", ACCEL_ATTR_FLOAT, 0}, {"softcap", ACCEL_ATTR_FLOAT, 0},                 \
    {                                                                                     \
        "softmax_precision", ACCEL_ATTR_INT, ACCEL_ATTR_IGNORED                           \
    }

/* softmax_precision: it is float, which no stated precision but double betters. */
static const struct accel_attr_rule attrs_23[] = {ATTRS_23, {0}};
static const struct accel_attr_rule attrs_25[] = {ATTRS_23,
                                                  {"left_window_size", ACCEL_ATTR_INT, 0},
                                                  {"right_window_size", ACCEL_ATTR_INT, 0},
                                                  {0}};

#define ATTENTION(version, rules)                                                                 \
    .name = "Attention", .domain = "", .since = version, .kind = ACCEL_KIND_GEMM, .attrs = rules, \
    .parse = attention_parse, .infer = attention_infer, .prepare = attention_prepare,             \
    .run = attention_run, .cost = attention_cost,                                                 \
    .out = {{"Y", T1, 'T', 0},                                                                    \
            {"present_key", T1, 'T', OPT},                                                        \
            {"present_value", T1, 'V', OPT},                                                      \
            {"qk_matmul_output", T1, 'T', OPT}}
#define INPUTS                                                                 \
    {"Q", T1, 'T', 0}, {"K", T1, 'T', 0}, {"V", T1, 'V', 0},                   \
        {"attn_mask", T1 | ACCEL_T(BOOL), 0, OPT}, {"past_key", T1, 'T', OPT}, \
    {                                                                          \
        "past_value", T1, 'V', OPT                                             \
    }

const struct accel_op accel_ops_attention[] = {
    {ATTENTION(23, attrs_23), .in = {INPUTS}},
    {ATTENTION(24, attrs_23), .in = {INPUTS, {"nonpad_kv_seqlen", ACCEL_T(INT64), 0, OPT}}},
    {ATTENTION(25, attrs_25), .in = {INPUTS, {"nonpad_kv_seqlen", ACCEL_T(INT64), 0, OPT}}},
    {0},
};
