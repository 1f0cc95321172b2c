/* SPDX-License-Identifier: Apache-2.0 */
/* com.microsoft operators that let a gate decide how much of a tensor goes on: ScaledSiLU,
 * GatedAdd, GatedRMSNorm, EngramGate. They compute in float; where a half has to be rounded on the
 * way, as ONNX Runtime documents it, that is said. */
#include "infer/ops/elements.h"
#include "infer/ops/wide.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---------------------------------------------------------------- rounding on the way */

/* Prepares as accel_wide_prepare(), and keeps in state the type that the operator's inputs have. */
static int rounding_prepare(struct accel_prepare *prep, accel_prepare_fn *inner,
                            struct accel_error *err)
{
    enum accel_dtype *dtype = accel_bump_alloc(prep->mem, 1, sizeof(*dtype));

    if (dtype == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to prepare it");
    *dtype = prep->in[0]->dtype;
    const int rc = accel_wide_prepare(prep, inner, err);
    prep->state = dtype;
    return rc;
}

/* x[n] to what is left of it in that type. work: n halves. */
static void round_on_the_way(const struct accel_run *run, size_t n, float *x, void *work)
{
    const enum accel_dtype dtype = *(const enum accel_dtype *)run->state;

    if (dtype == ACCEL_DTYPE_FLOAT)
        return;
    accel_convert(run->kernels, run->pool, n, ACCEL_DTYPE_FLOAT, x, dtype, work);
    accel_convert(run->kernels, run->pool, n, dtype, work, ACCEL_DTYPE_FLOAT, x);
}

/* Scratch of so many floats and halves for each element of input 0. */
static int scratch_of(struct accel_prepare *prep, size_t floats, size_t halves,
                      struct accel_error *err)
{
    size_t elements;

    if (!accel_shape_elements(&prep->in[0]->shape, &elements) ||
        __builtin_mul_overflow(elements, floats * sizeof(float) + halves * sizeof(uint16_t),
                               &prep->scratch_bytes))
        return accel_fail(err, ACCEL_E_INVALID, "its work space overflows");
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- ScaledSiLU */

static int silu_infer(struct accel_infer *in, struct accel_error *err)
{
    if (accel_given(in->node, 1) && in->in[1]->shape.rank != 0)
        return accel_fail(err, ACCEL_E_INVALID, "a scale of rank %u instead of a scalar",
                          in->in[1]->shape.rank);
    return accel_infer_same(in, err);
}

static int silu_inner(struct accel_prepare *prep, struct accel_error *err)
{
    return scratch_of(prep, 1, 1, err);
}

/* z = scale * x, y = z * sigmoid(z): each of the three products and curves is rounded. */
static int silu_run(struct accel_run *run, struct accel_error *err)
{
    const size_t n = accel_elements(run->out[0]);
    const struct accel_nd by_number = {.rank = 1, .dims = {n}, .stride = {{1}, {0}}};
    const struct accel_nd by_element = {.rank = 1, .dims = {n}, .stride = {{1}, {1}}};
    float *y = run->out[0]->data, *curve = run->scratch;
    const float scale = accel_given(run->node, 1) ? *(const float *)run->in[1]->data
                                                  : accel_attr_float(run->node, "alpha", 1);

    (void)err;
    if (n == 0)
        return ACCEL_OK;
    accel_binary_f32(run, ACCEL_BINARY_MUL, &by_number, run->in[0]->data, &scale, y);
    round_on_the_way(run, n, y, curve + n);
    accel_unary(run->kernels, run->pool, ACCEL_UNARY_SIGMOID, 0, 0, ACCEL_DTYPE_FLOAT, n, y, curve);
    round_on_the_way(run, n, curve, curve + n);
    accel_binary_f32(run, ACCEL_BINARY_MUL, &by_element, y, curve, y);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- GatedAdd */

static int add_infer(struct accel_infer *in, struct accel_error *err)
{
    struct accel_shape gate = in->in[0]->shape;

    if (gate.rank == 0 || gate.dims[gate.rank - 1] == 0)
        return accel_fail(err, ACCEL_E_INVALID, "X is a scalar or its last dimension is empty");
    int rc = accel_infer_expect(in, 1, gate.rank, gate.dims, err);
    gate.dims[gate.rank - 1] = 1;
    if (rc == ACCEL_OK)
        rc = accel_infer_expect(in, 2, gate.rank, gate.dims, err);
    return rc == ACCEL_OK ? accel_infer_same(in, err) : rc;
}

static int add_inner(struct accel_prepare *prep, struct accel_error *err)
{
    return scratch_of(prep, 0, 1, err);
}

/* X + Y * gate; the product is rounded. */
static int add_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    const size_t elements = accel_elements(x), n = (size_t)x->dims[x->rank - 1];
    const struct accel_nd rows = {
        .rank = 2, .dims = {elements / n, n}, .stride = {{(ptrdiff_t)n, 1}, {1, 0}}};
    const struct accel_nd all = {.rank = 1, .dims = {elements}, .stride = {{1}, {1}}};
    float *y = run->out[0]->data;

    (void)err;
    if (elements == 0)
        return ACCEL_OK;
    accel_binary_f32(run, ACCEL_BINARY_MUL, &rows, run->in[1]->data, run->in[2]->data, y);
    round_on_the_way(run, elements, y, run->scratch);
    accel_binary_f32(run, ACCEL_BINARY_ADD, &all, x->data, y, y);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- GatedRMSNorm */

static int rms_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                     struct accel_error *err)
{
    const char *name = accel_attr_string(n, "activation", "silu");

    (void)mem;
    (void)params;
    if (strcmp(name, "silu") != 0 && strcmp(name, "swish") != 0 && strcmp(name, "sigmoid") != 0)
        return accel_fail(err, ACCEL_E_INVALID, "activation is '%s', not silu, swish or sigmoid",
                          name);
    return ACCEL_OK;
}

static int rms_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape;
    size_t length;

    if (x->rank == 0)
        return accel_fail(err, ACCEL_E_INVALID, "X is a scalar");
    if (accel_shape_static(&in->in[1]->shape)) {
        const int64_t last = x->dims[x->rank - 1];

        if (!accel_shape_elements(&in->in[1]->shape, &length) || length == 0 ||
            (last >= 0 && (size_t)last % length != 0))
            return accel_fail(err, ACCEL_E_INVALID,
                              "a scale of %zu elements, which are no part of a last dimension of "
                              "%" PRId64,
                              length, last);
    }
    const int rc = accel_infer_expect(in, 2, x->rank, x->dims, err);
    return rc == ACCEL_OK ? accel_infer_same(in, err) : rc;
}

static int rms_inner(struct accel_prepare *prep, struct accel_error *err)
{
    return scratch_of(prep, 1, 0, err);
}

static int rms_run(struct accel_run *run, struct accel_error *err)
{
    const size_t elements = accel_elements(run->in[0]), n = accel_elements(run->in[1]);
    const struct accel_nd all = {.rank = 1, .dims = {elements}, .stride = {{1}, {1}}};
    const bool sigmoid = strcmp(accel_attr_string(run->node, "activation", "silu"), "sigmoid") == 0;
    float *y = run->out[0]->data, *gate = run->scratch;

    (void)err;
    if (elements == 0)
        return ACCEL_OK;
    accel_unary(run->kernels, run->pool, sigmoid ? ACCEL_UNARY_SIGMOID : ACCEL_UNARY_SILU, 1, 0,
                ACCEL_DTYPE_FLOAT, elements, run->in[2]->data, gate);
    accel_layer_norm_f32(run->kernels, run->pool, elements / n, n,
                         accel_attr_float(run->node, "epsilon", 1e-5f), true, run->in[0]->data,
                         run->in[1]->data, NULL, y, NULL, NULL);
    accel_binary_f32(run, ACCEL_BINARY_MUL, &all, y, gate, y);
    return ACCEL_OK;
}

ACCEL_WIDE(rms, rms_inner, rms_run)

/* ---------------------------------------------------------------- EngramGate */

enum { KEY, QUERY, VALUE, KEY_SCALE, QUERY_SCALE, CONV_SCALE };

/* The second output is there. */
static bool gives_normed(const struct accel_node *n)
{
    return n->outputs_count > 1 && n->outputs[1] != NULL;
}

static int engram_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *key = &in->in[KEY]->shape;
    const int64_t *dims = key->dims;

    if (key->rank != 4)
        return accel_fail(err, ACCEL_E_INVALID,
                          "a key of rank %u instead of 4 (batch, sequence, connections, hidden)",
                          key->rank);
    const int64_t value[3] = {dims[0], dims[1], dims[3]};
    int rc = accel_infer_expect(in, QUERY, 4, dims, err);
    if (rc == ACCEL_OK)
        rc = accel_infer_expect(in, VALUE, 3, value, err);
    for (size_t i = KEY_SCALE; i <= CONV_SCALE && rc == ACCEL_OK; i++)
        rc = accel_infer_expect(in, i, 2, dims + 2, err);
    if (rc == ACCEL_OK && gives_normed(in->node) && !accel_given(in->node, CONV_SCALE))
        rc = accel_fail(err, ACCEL_E_INVALID, "gated_value_normed needs input 5 'conv_norm_scale'");
    if (rc == ACCEL_OK && gives_normed(in->node) && in->out[1] != NULL)
        *in->out[1] = (struct accel_type){.dtype = in->in[KEY]->dtype, .shape = *key};
    return rc == ACCEL_OK ? accel_infer_same(in, err) : rc;
}

/* Two tensors of the keys' size, and of the gates no more than that. */
static int engram_inner(struct accel_prepare *prep, struct accel_error *err)
{
    return scratch_of(prep, 3, 1, err);
}

/* y = RMS norm of x in rows of the last axis, by a scale of [connections][hidden]. */
static void norm_rows(const struct accel_run *run, const float *x, const float *scale, float *y)
{
    const struct accel_tensor *key = run->in[KEY];
    const size_t hidden = (size_t)key->dims[3], token = (size_t)key->dims[2] * hidden;
    const size_t elements = accel_elements(key);
    const struct accel_nd by_scale = {
        .rank = 2, .dims = {elements / token, token}, .stride = {{(ptrdiff_t)token, 1}, {0, 1}}};

    accel_layer_norm_f32(run->kernels, run->pool, elements / hidden, hidden,
                         accel_attr_float(run->node, "epsilon", 1e-5f), true, x, NULL, NULL, y,
                         NULL, NULL);
    accel_binary_f32(run, ACCEL_BINARY_MUL, &by_scale, y, scale, y);
}

/* gate[rows] = sigmoid(sign(d) sqrt(max(|d|, 1e-6))) of d = sum of products / sqrt(hidden).
 * keys, queries: work. */
static void engram_gates(const struct accel_run *run, float *keys, float *queries, float *gate)
{
    const size_t elements = accel_elements(run->in[KEY]), hidden = (size_t)run->in[KEY]->dims[3];
    const size_t rows = elements / hidden;
    const struct accel_nd all = {.rank = 1, .dims = {elements}, .stride = {{1}, {1}}};

    norm_rows(run, run->in[KEY]->data, run->in[KEY_SCALE]->data, keys);
    norm_rows(run, run->in[QUERY]->data, run->in[QUERY_SCALE]->data, queries);
    accel_binary_f32(run, ACCEL_BINARY_MUL, &all, keys, queries, keys);
    accel_reduce(run->kernels, run->pool, ACCEL_REDUCE_SUM, ACCEL_DTYPE_FLOAT, 2,
                 (const size_t[]){rows, hidden}, 2, keys, gate);
    for (size_t r = 0; r < rows; r++) {
        const float d = gate[r] / sqrtf((float)hidden);
        const float size = fabsf(d) < 1e-6f ? 1e-6f : fabsf(d); /* no number stays none */

        gate[r] = d == 0 ? 0 : copysignf(sqrtf(size), d);
    }
    accel_unary(run->kernels, run->pool, ACCEL_UNARY_SIGMOID, 0, 0, ACCEL_DTYPE_FLOAT, rows, gate,
                gate);
}

/* output = gate * value, rounded, and its norm. */
static int engram_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *key = run->in[KEY];
    const size_t elements = accel_elements(key);
    float *y = run->out[0]->data, *work = run->scratch, *gate = work + 2 * elements;

    (void)err;
    if (elements == 0)
        return ACCEL_OK;
    const ptrdiff_t connections = (ptrdiff_t)key->dims[2], hidden = (ptrdiff_t)key->dims[3];
    const struct accel_nd shared = {.rank = 3,
                                    .dims = {elements / (size_t)(connections * hidden),
                                             (size_t)connections, (size_t)hidden},
                                    .stride = {{connections, 1, 0}, {hidden, 0, 1}}};
    engram_gates(run, work, work + elements, gate);
    accel_binary_f32(run, ACCEL_BINARY_MUL, &shared, gate, run->in[VALUE]->data, y);
    if (!gives_normed(run->node))
        return ACCEL_OK;
    round_on_the_way(run, elements, y, work);
    norm_rows(run, y, run->in[CONV_SCALE]->data, run->out[1]->data);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- the entries */

#define ROUNDING(name)                                                             \
    static int name##_prepare(struct accel_prepare *prep, struct accel_error *err) \
    {                                                                              \
        return rounding_prepare(prep, name##_inner, err);                          \
    }                                                                              \
    static int name##_wide_run(struct accel_run *run, struct accel_error *err)     \
    {                                                                              \
        return accel_wide_run(run, name##_run, err);                               \
    }

ROUNDING(silu)
ROUNDING(add)
ROUNDING(engram)

#define T1 (ACCEL_T(FLOAT) | ACCEL_T(FLOAT16))
#define TM (ACCEL_T(FLOAT) | ACCEL_T_HALVES)

static const struct accel_attr_rule silu_attrs[] = {{"alpha", ACCEL_ATTR_FLOAT, 0}, {0}};
static const struct accel_attr_rule rms_attrs[] = {
    {"activation", ACCEL_ATTR_STRING, 0}, {"epsilon", ACCEL_ATTR_FLOAT, 0}, {0}};
static const struct accel_attr_rule engram_attrs[] = {{"epsilon", ACCEL_ATTR_FLOAT, 0}, {0}};

#define MS(op, k, flops)                                                       \
    .name = op, .domain = "com.microsoft", .since = 1, .kind = ACCEL_KIND_##k, \
    .flops_per_value = flops

const struct accel_op accel_ops_ms_gates[] = {
    {MS("ScaledSiLU", TRANSCENDENTAL, 6), .in_place = 1,
     .in = {{"X", TM, 'T', 0}, {"scale", TM, 'M', ACCEL_ARG_OPTIONAL}}, .out = {{"Y", TM, 'T', 0}},
     .attrs = silu_attrs, .infer = silu_infer, .prepare = silu_prepare, .run = silu_wide_run},
    {MS("GatedAdd", ELEMENTWISE, 2), .in_place = 2,
     .in = {{"X", T1, 'T', 0}, {"Y", T1, 'T', 0}, {"gate", T1, 'T', 0}},
     .out = {{"output", T1, 'T', 0}}, .infer = add_infer, .prepare = add_prepare,
     .run = add_wide_run},
    {MS("GatedRMSNorm", NORM, 10),
     .in = {{"X", T1, 'T', 0}, {"scale", T1, 'T', 0}, {"gate", T1, 'T', 0}},
     .out = {{"Y", T1, 'T', 0}}, .attrs = rms_attrs, .parse = rms_parse, .infer = rms_infer,
     .prepare = rms_wide_prepare, .run = rms_wide_run},
    {MS("EngramGate", NORM, 12),
     .in = {{"key", T1, 'T', 0},
            {"query", T1, 'T', 0},
            {"value", T1, 'T', 0},
            {"key_norm_scale", T1, 'T', 0},
            {"query_norm_scale", T1, 'T', 0},
            {"conv_norm_scale", T1, 'T', ACCEL_ARG_OPTIONAL}},
     .out = {{"output", T1, 'T', 0}, {"gated_value_normed", T1, 'T', ACCEL_ARG_OPTIONAL}},
     .attrs = engram_attrs, .infer = engram_infer, .prepare = engram_prepare,
     .run = engram_wide_run},
    {0},
};
