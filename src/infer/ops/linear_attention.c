/* SPDX-License-Identifier: Apache-2.0 */
/* LinearAttention and CausalConvWithState, of the standard and, without a window of states and in
 * one dimension, of com.microsoft. */
#include "infer/kernels/sequence.h"
#include "infer/ops/elements.h"
#include "infer/ops/wide.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static bool differ(int64_t a, int64_t b)
{
    return a >= 0 && b >= 0 && a != b;
}

/* ---------------------------------------------------------------- LinearAttention */

enum { QUERY, KEY, VALUE, PAST, DECAY, BETA };

struct linear_params {
    int64_t q_heads, kv_heads;
    float scale;
    bool gated, delta;
};

static int linear_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                        struct accel_error *err)
{
    static const char *const rules[] = {"linear", "gated", "delta", "gated_delta"};
    const char *rule = accel_attr_string(n, "update_rule", "gated_delta");
    struct linear_params *p = accel_bump_alloc(mem, 1, sizeof(*p));
    size_t i = 0;

    if (p == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its attributes");
    *params = p;
    while (i < ACCEL_COUNT(rules) && strcmp(rules[i], rule) != 0)
        i++;
    if (i == ACCEL_COUNT(rules))
        return accel_fail(err, ACCEL_E_INVALID,
                          "update_rule is '%s', not linear, gated, delta or gated_delta", rule);
    if (accel_attr_int(n, "state_window", 0) != 0)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "state_window is not supported, export with 0");
    *p = (struct linear_params){.q_heads = accel_attr_int(n, "q_num_heads", 0),
                                .kv_heads = accel_attr_int(n, "kv_num_heads", 0),
                                .scale = accel_attr_float(n, "scale", 0),
                                .gated = (i & 1) != 0,
                                .delta = (i & 2) != 0};
    const int64_t most = ACCEL_MAX(p->q_heads, p->kv_heads);
    if (p->q_heads < 1 || p->kv_heads < 1 || most % p->q_heads != 0 || most % p->kv_heads != 0 ||
        (n->domain[0] == '\0' && p->kv_heads > p->q_heads))
        return accel_fail(err, ACCEL_E_INVALID,
                          "%" PRId64 " heads of queries do not share %" PRId64 " of keys",
                          p->q_heads, p->kv_heads);
    if (p->gated != accel_given(n, DECAY) || p->delta != accel_given(n, BETA))
        return accel_fail(err, ACCEL_E_INVALID, "update_rule '%s' with%s decay, with%s beta", rule,
                          accel_given(n, DECAY) ? "" : "out", accel_given(n, BETA) ? "" : "out");
    return ACCEL_OK;
}

/* columns of input i split over heads; ACCEL_DIM_ANY when not known. */
static int head_size(const struct accel_infer *in, size_t i, int64_t heads, int64_t *size,
                     struct accel_error *err)
{
    const struct accel_shape *x = &in->in[i]->shape, *q = &in->in[QUERY]->shape;

    if (x->rank != 3 || differ(x->dims[0], q->dims[0]) || differ(x->dims[1], q->dims[1]))
        return accel_fail(err, ACCEL_E_INVALID, "input %zu must be [batch, sequence, columns]", i);
    if (x->dims[2] >= 0 && x->dims[2] % heads != 0)
        return accel_fail(err, ACCEL_E_INVALID,
                          "input %zu has %" PRId64 " columns for %" PRId64 " heads", i, x->dims[2],
                          heads);
    *size = x->dims[2] < 0 ? ACCEL_DIM_ANY : x->dims[2] / heads;
    return ACCEL_OK;
}

/* Width of decay (1 or key_size per head) and beta (1, or 1 per head). */
static int check_gates(const struct accel_infer *in, const struct linear_params *p, int64_t key,
                       struct accel_error *err)
{
    for (size_t i = DECAY; i <= BETA; i++) {
        const struct accel_shape *s = accel_given(in->node, i) ? &in->in[i]->shape : NULL;
        int64_t other = 1;

        if (i == DECAY && (key < 0 || __builtin_mul_overflow(p->kv_heads, key, &other)))
            other = ACCEL_DIM_ANY;
        if (s == NULL)
            continue;
        if (s->rank != 3 || differ(s->dims[0], in->in[QUERY]->shape.dims[0]) ||
            differ(s->dims[1], in->in[QUERY]->shape.dims[1]) ||
            (differ(s->dims[2], p->kv_heads) && differ(s->dims[2], other)))
            return accel_fail(err, ACCEL_E_INVALID,
                              "input %zu must have one column for each head, or %" PRId64, i,
                              other);
    }
    return ACCEL_OK;
}

static int linear_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct linear_params *p = in->node->params;
    const struct accel_shape *q = &in->in[QUERY]->shape;
    int64_t key, own, value, hidden = ACCEL_DIM_ANY;

    if (q->rank != 3)
        return accel_fail(err, ACCEL_E_INVALID, "a query of rank %u instead of 3", q->rank);
    int rc = head_size(in, QUERY, p->q_heads, &key, err);
    if (rc == ACCEL_OK)
        rc = head_size(in, KEY, p->kv_heads, &own, err);
    if (rc == ACCEL_OK)
        rc = head_size(in, VALUE, p->kv_heads, &value, err);
    if (rc == ACCEL_OK && differ(key, own))
        rc = accel_fail(err, ACCEL_E_INVALID, "heads of %" PRId64 " and %" PRId64, key, own);
    if (rc == ACCEL_OK)
        rc = check_gates(in, p, key, err);
    if (rc != ACCEL_OK)
        return rc;
    if (value >= 0 && __builtin_mul_overflow(ACCEL_MAX(p->q_heads, p->kv_heads), value, &hidden))
        return accel_fail(err, ACCEL_E_INVALID, "its output overflows");
    const struct accel_shape state = {true, 4, {q->dims[0], p->kv_heads, key, value}};
    if (accel_given(in->node, PAST)) {
        const struct accel_shape *past = &in->in[PAST]->shape;

        for (uint32_t i = 0; i < 4; i++)
            if (past->rank != 4 || differ(past->dims[i], state.dims[i]))
                return accel_fail(err, ACCEL_E_INVALID,
                                  "past_state must be [batch, heads, key size, value size]");
    }
    if (in->out[0] != NULL) {
        in->out[0]->dtype = in->in[QUERY]->dtype;
        in->out[0]->shape = (struct accel_shape){true, 3, {q->dims[0], q->dims[1], hidden}};
    }
    if (in->node->outputs_count > 1 && in->out[1] != NULL) {
        in->out[1]->dtype = in->in[accel_given(in->node, PAST) ? PAST : QUERY]->dtype;
        in->out[1]->shape = state;
    }
    return ACCEL_OK;
}

static int linear_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    const struct linear_params *p = prep->node->params;
    const struct accel_shape *q = &prep->in[QUERY]->shape, *v = &prep->in[VALUE]->shape;
    const struct accel_shape state = {
        true, 4, {q->dims[0], p->kv_heads, q->dims[2] / p->q_heads, v->dims[2] / p->kv_heads}};

    /* Where the state lives when nobody wants it afterwards. */
    if ((prep->node->outputs_count < 2 || prep->out[1] == NULL) &&
        !accel_shape_bytes(&state, ACCEL_DTYPE_FLOAT, &prep->scratch_bytes))
        return accel_fail(err, ACCEL_E_INVALID, "its work space overflows");
    return ACCEL_OK;
}

static const float *data_of(const struct accel_run *run, size_t i)
{
    return accel_given(run->node, i) ? run->in[i]->data : NULL;
}

static int linear_run(struct accel_run *run, struct accel_error *err)
{
    const struct linear_params *p = run->node->params;
    const int64_t *q = run->in[QUERY]->dims;
    struct accel_tensor *present = run->node->outputs_count > 1 ? run->out[1] : NULL;
    struct accel_linear_attention a = {.batch = (size_t)q[0],
                                       .rows = (size_t)q[1],
                                       .q_heads = (size_t)p->q_heads,
                                       .kv_heads = (size_t)p->kv_heads,
                                       .key_size = (size_t)(q[2] / p->q_heads),
                                       .value_size =
                                           (size_t)(run->in[VALUE]->dims[2] / p->kv_heads),
                                       .delta = p->delta,
                                       .scale = p->scale,
                                       .q = run->in[QUERY]->data,
                                       .k = run->in[KEY]->data,
                                       .v = run->in[VALUE]->data,
                                       .decay = data_of(run, DECAY),
                                       .beta = data_of(run, BETA),
                                       .state = present != NULL ? present->data : run->scratch,
                                       .y = run->out[0]->data};
    const size_t state = a.batch * a.kv_heads * a.key_size * a.value_size * sizeof(float);

    (void)err;
    if (p->scale == 0)
        a.scale = 1 / sqrtf((float)a.key_size);
    a.decay_by_key = p->gated && run->in[DECAY]->dims[2] != p->kv_heads;
    a.beta_by_head = p->delta && run->in[BETA]->dims[2] == p->kv_heads;
    if (state > 0) {
        if (data_of(run, PAST) != NULL)
            memcpy(a.state, data_of(run, PAST), state);
        else
            memset(a.state, 0, state);
    }
    /* Heads of nothing may be as many as an attribute says. */
    if (run->out[0]->size_bytes == 0)
        return ACCEL_OK;
    accel_linear_attention_f32(run->pool, &a);
    return ACCEL_OK;
}

ACCEL_WIDE(linear, linear_prepare, linear_run)

/* ---------------------------------------------------------------- CausalConvWithState */

enum { INPUT, WEIGHT, BIAS, STATE };

static int causal_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                        struct accel_error *err)
{
    const char *act = accel_attr_string(n, "activation", "none");
    const int64_t dilation = accel_attr_int(n, "dilation", 1);

    (void)mem;
    (void)params;
    if (strcmp(act, "none") != 0 && strcmp(act, "silu") != 0 && strcmp(act, "swish") != 0)
        return accel_fail(err, ACCEL_E_INVALID, "activation is '%s', not none, silu or swish", act);
    if (dilation < 1 || dilation > 1 << 20)
        return accel_fail(err, ACCEL_E_INVALID, "dilation is %" PRId64 ", not in 1..%d", dilation,
                          1 << 20);
    if (accel_attr_int(n, "ndim", 1) != 1 || accel_attr_int(n, "channels_last", 0) != 0 ||
        accel_attr_int(n, "state_window", 0) != 0)
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          "ndim above 1, channels_last and state_window are not supported");
    return ACCEL_OK;
}

static int causal_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[INPUT]->shape, *w = &in->in[WEIGHT]->shape;
    struct accel_shape state = *x;

    if (x->rank != 3 || w->rank != 3 || differ(w->dims[0], x->dims[1]) || differ(w->dims[1], 1) ||
        w->dims[2] == 0)
        return accel_fail(err, ACCEL_E_INVALID,
                          "input must be [batch, channels, length], weight [channels, 1, k]");
    state.dims[2] =
        w->dims[2] < 0 ? ACCEL_DIM_ANY : (w->dims[2] - 1) * accel_attr_int(in->node, "dilation", 1);
    if (accel_given(in->node, BIAS) &&
        (in->in[BIAS]->shape.rank != 1 || differ(in->in[BIAS]->shape.dims[0], x->dims[1])))
        return accel_fail(err, ACCEL_E_INVALID, "the bias must have one element for each channel");
    for (uint32_t i = 0; i < 3 && accel_given(in->node, STATE); i++)
        if (in->in[STATE]->shape.rank != 3 || differ(in->in[STATE]->shape.dims[i], state.dims[i]))
            return accel_fail(err, ACCEL_E_INVALID,
                              "past_state must be [batch, channels, %" PRId64 "]", state.dims[2]);
    for (size_t o = 0; o < in->node->outputs_count; o++)
        if (in->out[o] != NULL) {
            in->out[o]->dtype = in->in[INPUT]->dtype;
            in->out[o]->shape = o == 0 ? *x : state;
        }
    return ACCEL_OK;
}

static int causal_run(struct accel_run *run, struct accel_error *err)
{
    const int64_t *x = run->in[INPUT]->dims;
    const struct accel_causal_conv c = {
        .batch = (size_t)x[0],
        .channels = (size_t)x[1],
        .rows = (size_t)x[2],
        .taps = (size_t)run->in[WEIGHT]->dims[2],
        .dilation = (size_t)accel_attr_int(run->node, "dilation", 1),
        .silu = accel_attr_string(run->node, "activation", "none")[0] == 's',
        .x = run->in[INPUT]->data,
        .w = run->in[WEIGHT]->data,
        .bias = data_of(run, BIAS),
        .past = data_of(run, STATE),
        .y = run->out[0]->data,
        .carry = run->node->outputs_count > 1 && run->out[1] != NULL ? run->out[1]->data : NULL};

    (void)err;
    if (run->out[0]->size_bytes > 0 || (c.carry != NULL && run->out[1]->size_bytes > 0))
        accel_causal_conv_f32(run->pool, &c);
    return ACCEL_OK;
}

ACCEL_WIDE(causal, NULL, causal_run)

#define T1  (ACCEL_T(FLOAT) | ACCEL_T_HALVES)
#define OPT ACCEL_ARG_OPTIONAL
#define MS  "com.microsoft"

#define LINEAR_ATTRS                                                                          \
    {"chunk_size", ACCEL_ATTR_INT, ACCEL_ATTR_IGNORED},                                       \
        {"kv_num_heads", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED},                                \
        {"q_num_heads", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED}, {"scale", ACCEL_ATTR_FLOAT, 0}, \
    {                                                                                         \
        "update_rule", ACCEL_ATTR_STRING, 0                                                   \
    }

static const struct accel_attr_rule linear_attrs[] = {LINEAR_ATTRS, {0}};
static const struct accel_attr_rule ms_linear_attrs[] = {
    LINEAR_ATTRS, {"state_window", ACCEL_ATTR_INT, 0}, {0}};
static const struct accel_attr_rule causal_attrs[] = {{"activation", ACCEL_ATTR_STRING, 0}, {0}};
static const struct accel_attr_rule ms_causal_attrs[] = {
    {"activation", ACCEL_ATTR_STRING, 0}, {"channels_last", ACCEL_ATTR_INT, 0},
    {"dilation", ACCEL_ATTR_INT, 0},      {"ndim", ACCEL_ATTR_INT, 0},
    {"state_window", ACCEL_ATTR_INT, 0},  {0}};

#define LINEAR(dom, version, rules)                                                            \
    {                                                                                          \
        .name = "LinearAttention", .domain = dom, .since = version, .kind = ACCEL_KIND_GEMM,   \
        .flops_per_value = 64, .attrs = rules, .parse = linear_parse, .infer = linear_infer,   \
        .prepare = linear_wide_prepare, .run = linear_wide_run,                                \
        .in = {{"query", T1, 'T', 0},        {"key", T1, 'T', 0},     {"value", T1, 'T', 0},   \
               {"past_state", T1, 'S', OPT}, {"decay", T1, 'T', OPT}, {"beta", T1, 'T', OPT}}, \
        .out = {                                                                               \
            {"output", T1, 'T', 0},                                                            \
            {"present_state", T1, 'S', OPT}                                                    \
        }                                                                                      \
    }
#define CAUSAL(dom, version, rules)                                                                \
    {                                                                                              \
        .name = "CausalConvWithState", .domain = dom, .since = version,                            \
        .kind = ACCEL_KIND_DEPTHWISE, .flops_per_value = 8, .attrs = rules, .parse = causal_parse, \
        .infer = causal_infer, .prepare = causal_wide_prepare, .run = causal_wide_run,             \
        .in = {{"input", T1, 'T', 0},                                                              \
               {"weight", T1, 'T', 0},                                                             \
               {"bias", T1, 'T', OPT},                                                             \
               {"past_state", T1, 'T', OPT}},                                                      \
        .out = {                                                                                   \
            {"output", T1, 'T', 0},                                                                \
            {"present_state", T1, 'T', OPT}                                                        \
        }                                                                                          \
    }

const struct accel_op accel_ops_linear_attention[] = {
    LINEAR("", 27, linear_attrs),
    LINEAR(MS, 1, ms_linear_attrs),
    CAUSAL("", 27, causal_attrs),
    CAUSAL(MS, 1, ms_causal_attrs),
    {0},
};
