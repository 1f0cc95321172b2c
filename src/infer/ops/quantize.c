/* SPDX-License-Identifier: Apache-2.0 */
/* QuantizeLinear, DequantizeLinear (per tensor, per axis, blocked) and DynamicQuantizeLinear. */
#include "infer/kernels/quant.h"
#include "infer/ops/elements.h"

#include <inttypes.h>
#include <string.h>

#define F32 ACCEL_T(FLOAT)
/* What is quantised to. */
#define Q                                                                                     \
    (ACCEL_T(UINT8) | ACCEL_T(INT8) | ACCEL_T(UINT16) | ACCEL_T(INT16) | ACCEL_T_SMALL_INTS | \
     ACCEL_T_FLOAT8 | ACCEL_T_FLOAT6 | ACCEL_T(FLOAT4E2M1))
#define REAL (F32 | ACCEL_T_HALVES)

static bool one_element(const struct accel_shape *s)
{
    for (uint32_t i = 0; i < s->rank; i++)
        if (s->dims[i] != 1)
            return false;
    return true;
}

/* How x's elements find their scale. x may have unknown dimensions: then only what is known is
 * checked and the layout is of no use. */
static int layout_of(const struct accel_node *n, const struct accel_shape *x,
                     const struct accel_shape *scale, const struct accel_shape *zero,
                     struct accel_quant_layout *l, struct accel_error *err)
{
    const int64_t block = accel_attr_int(n, "block_size", 0);
    uint32_t axis;

    *l = (struct accel_quant_layout){.outer = 1, .axis = 1, .block = 1};
    if (zero != NULL && scale->rank != zero->rank && !(one_element(scale) && one_element(zero)))
        return accel_fail(err, ACCEL_E_INVALID, "scale has rank %u, zero point %u", scale->rank,
                          zero->rank);
    for (uint32_t i = 0; zero != NULL && i < ACCEL_MIN(scale->rank, zero->rank); i++)
        if (scale->dims[i] >= 0 && zero->dims[i] >= 0 && scale->dims[i] != zero->dims[i])
            return accel_fail(err, ACCEL_E_INVALID, "scale and zero point differ in shape");
    if (block < 0)
        return accel_fail(err, ACCEL_E_INVALID, "block_size is %" PRId64, block);
    if (block == 0 && one_element(scale)) {
        l->inner = accel_shape_static(x) ? accel_dims_product(x->dims, 0, x->rank) : 0;
        return ACCEL_OK;
    }
    if (n->op->since < 13 && n->domain[0] == '\0')
        return accel_fail(err, ACCEL_E_INVALID, "opset 10 has one scale per tensor");
    const int rc = accel_axis(accel_attr_int(n, "axis", 1), x->rank, &axis, err);
    if (rc != ACCEL_OK)
        return rc;
    if (block == 0 ? scale->rank != 1 : scale->rank != x->rank)
        return accel_fail(err, ACCEL_E_INVALID, "a scale of rank %u", scale->rank);
    for (uint32_t i = 0; i < x->rank; i++) {
        const int64_t has = block > 0 ? scale->dims[i] : i == axis ? scale->dims[0] : -1;
        int64_t wants = x->dims[i];

        if (block > 0 && i == axis && wants >= 0)
            wants = wants / block + (wants % block != 0);
        if (has >= 0 && wants >= 0 && has != wants)
            return accel_fail(err, ACCEL_E_INVALID,
                              "axis %u: scale has %" PRId64 " entries, %" PRId64 " are needed", i,
                              has, wants);
    }
    if (!accel_shape_static(x) || !accel_shape_static(scale))
        return ACCEL_OK;
    l->outer = accel_dims_product(x->dims, 0, axis);
    l->axis = (size_t)x->dims[axis];
    l->inner = accel_dims_product(x->dims, axis + 1, x->rank);
    l->stride_axis = 1;
    if (block > 0) {
        l->block = (size_t)block;
        l->stride_inner = 1;
        l->stride_axis = l->inner;
        l->stride_outer = l->inner * (size_t)scale->dims[axis];
    }
    return ACCEL_OK;
}

static const struct accel_shape *shape_or_null(const struct accel_type *const *in,
                                               const struct accel_node *n, size_t i)
{
    return accel_given(n, i) ? &in[i]->shape : NULL;
}

/* ---------------------------------------------------------------- the two */

struct quant_params {
    struct accel_quant_how how;
    enum accel_dtype output; /* output_dtype; UNDEFINED: follows from the inputs */
};

static bool one_of(int64_t dtype, uint32_t types)
{
    return dtype > 0 && dtype <= ACCEL_DTYPE_LAST && (types >> dtype & 1) != 0;
}

static int quant_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                       struct accel_error *err)
{
    const int64_t precision = accel_attr_int(n, "precision", 0);
    const int64_t output = accel_attr_int(n, "output_dtype", 0);
    const uint32_t outputs = n->op->out[0].types;
    struct quant_params *p = accel_bump_alloc(mem, 1, sizeof(*p));

    if (p == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its attributes");
    if (precision != 0 && !one_of(precision, F32 | ACCEL_T_HALVES))
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "precision %" PRId64, precision);
    if (output != 0 && !one_of(output, outputs))
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "output_dtype %" PRId64, output);
    p->how.precision = (enum accel_dtype)precision;
    p->how.cast.saturate = accel_attr_int(n, "saturate", 1) != 0;
    p->output = (enum accel_dtype)output;
    *params = p;
    return ACCEL_OK;
}

static int quantize_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_node *n = in->node;
    const struct quant_params *p = n->params;
    struct accel_quant_layout layout;
    enum accel_dtype dtype = p->output != ACCEL_DTYPE_UNDEFINED ? p->output : ACCEL_DTYPE_UINT8;

    if (accel_given(n, 2) && p->output != ACCEL_DTYPE_UNDEFINED && in->in[2]->dtype != p->output)
        return accel_fail(err, ACCEL_E_INVALID, "output_dtype is %s, the zero point %s",
                          accel_dtype_name(p->output), accel_dtype_name(in->in[2]->dtype));
    if (accel_given(n, 2))
        dtype = in->in[2]->dtype;
    in->out[0]->dtype = dtype;
    in->out[0]->shape = in->in[0]->shape;
    return layout_of(n, &in->in[0]->shape, &in->in[1]->shape, shape_or_null(in->in, n, 2), &layout,
                     err);
}

static int dequantize_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_node *n = in->node;
    const struct quant_params *p = n->params;
    struct accel_quant_layout layout;
    enum accel_dtype dtype = p->output;

    if (dtype == ACCEL_DTYPE_UNDEFINED)
        dtype = in->in[1]->dtype;
    if (!one_of((int64_t)dtype, n->op->out[0].types))
        return accel_fail(err, ACCEL_E_INVALID, "a scale of type %s and no output_dtype",
                          accel_dtype_name(dtype));
    in->out[0]->dtype = dtype;
    in->out[0]->shape = in->in[0]->shape;
    return layout_of(n, &in->in[0]->shape, &in->in[1]->shape, shape_or_null(in->in, n, 2), &layout,
                     err);
}

/* Room for a tensor as floats, where it is of another type. */
static bool float_room(const struct accel_type *t, size_t *total)
{
    size_t bytes = 0;

    return t->dtype == ACCEL_DTYPE_FLOAT ||
           (accel_shape_bytes(&t->shape, ACCEL_DTYPE_FLOAT, &bytes) && bytes <= SIZE_MAX - 63 &&
            !__builtin_add_overflow(*total, ACCEL_ROUND_UP(bytes, 64), total));
}

static int either_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    struct accel_quant_layout *l = accel_prepare_state(prep, sizeof(*l), err);
    const bool quantize = prep->node->op_type[0] == 'Q';

    if (l == NULL)
        return ACCEL_E_NOMEM;
    /* The scales, then what is quantised or what comes of dequantising. */
    if (!float_room(prep->in[1], &prep->scratch_bytes) ||
        !float_room(quantize ? prep->in[0] : prep->out[0], &prep->scratch_bytes))
        return accel_fail(err, ACCEL_E_INVALID, "its work space overflows");
    return layout_of(prep->node, &prep->in[0]->shape, &prep->in[1]->shape,
                     shape_or_null(prep->in, prep->node, 2), l, err);
}

/* The tensor's numbers as floats, in work space from *at on if need be. NULL: no such conversion.
 */
static const float *as_floats(const struct accel_run *run, const struct accel_tensor *t, char **at)
{
    const size_t n = t->size_bytes / accel_dtype_size(t->dtype);
    float *made = (float *)(void *)*at;

    if (t->dtype == ACCEL_DTYPE_FLOAT)
        return t->data;
    *at += ACCEL_ROUND_UP(n * sizeof(float), 64);
    return accel_convert(run->kernels, run->pool, n, t->dtype, t->data, ACCEL_DTYPE_FLOAT, made)
               ? made
               : NULL;
}

static int quantize_run(struct accel_run *run, struct accel_error *err)
{
    const struct quant_params *p = run->node->params;
    const struct accel_tensor *x = run->in[0];
    const void *zero = accel_given(run->node, 2) ? run->in[2]->data : NULL;
    struct accel_quant_how how = p->how;
    char *at = run->scratch;

    if (x->size_bytes == 0)
        return ACCEL_OK;
    const float *scale = as_floats(run, run->in[1], &at), *values = as_floats(run, x, &at);
    /* The standard divides in the type of x. ONNX Runtime takes halves to float for it, and lacks
     * bfloat16. */
    if (how.precision == ACCEL_DTYPE_UNDEFINED)
        how.precision = x->dtype == ACCEL_DTYPE_BFLOAT16 ? ACCEL_DTYPE_BFLOAT16 : ACCEL_DTYPE_FLOAT;
    if (scale == NULL || values == NULL ||
        !accel_quantize_as(run->pool, run->state, values, scale, zero, run->out[0]->dtype, &how,
                           run->out[0]->data))
        return accel_fail(err, ACCEL_E_INTERNAL, "no kernel for this type");
    return ACCEL_OK;
}

static int dequantize_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0], *y = run->out[0];
    const void *zero = accel_given(run->node, 2) ? run->in[2]->data : NULL;
    char *at = run->scratch;

    if (x->size_bytes == 0)
        return ACCEL_OK;
    const float *scale = as_floats(run, run->in[1], &at);
    float *wide = y->dtype == ACCEL_DTYPE_FLOAT ? y->data : (float *)(void *)at;
    if (scale == NULL ||
        !accel_dequantize(run->pool, run->state, x->dtype, x->data, scale, zero, wide) ||
        (wide != y->data &&
         !accel_convert(run->kernels, run->pool, y->size_bytes / accel_dtype_size(y->dtype),
                        ACCEL_DTYPE_FLOAT, wide, y->dtype, y->data)))
        return accel_fail(err, ACCEL_E_INTERNAL, "no kernel for this type");
    return ACCEL_OK;
}

static int dynamic_infer(struct accel_infer *in, struct accel_error *err)
{
    (void)err;
    for (size_t o = 0; o < in->node->outputs_count; o++) {
        if (in->out[o] == NULL)
            continue;
        in->out[o]->dtype = o == 1 ? ACCEL_DTYPE_FLOAT : ACCEL_DTYPE_UINT8;
        in->out[o]->shape = (struct accel_shape){.has_rank = true};
        if (o == 0)
            in->out[o]->shape = in->in[0]->shape;
    }
    return ACCEL_OK;
}

/* All three outputs are required by the standard, but a reader may still leave one unnamed. */
static int dynamic_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                         struct accel_error *err)
{
    (void)mem;
    (void)params;
    for (size_t o = 0; o < 3; o++)
        if (o >= n->outputs_count)
            return accel_fail(err, ACCEL_E_INVALID, "it has three outputs");
    return ACCEL_OK;
}

static int dynamic_run(struct accel_run *run, struct accel_error *err)
{
    float scale;
    uint8_t zero;

    (void)err;
    if (run->out[0] == NULL)
        return ACCEL_OK;
    accel_quantize_dynamic(run->pool, run->in[0]->size_bytes / sizeof(float), run->in[0]->data,
                           run->out[0]->data, &scale, &zero);
    if (run->out[1] != NULL)
        *(float *)run->out[1]->data = scale;
    if (run->out[2] != NULL)
        *(uint8_t *)run->out[2]->data = zero;
    return ACCEL_OK;
}

#define AXIS                      \
    {                             \
        "axis", ACCEL_ATTR_INT, 0 \
    }

static const struct accel_attr_rule attrs_13[] = {AXIS, {0}};
static const struct accel_attr_rule attrs_19[] = {AXIS, {"saturate", ACCEL_ATTR_INT, 0}, {0}};
static const struct accel_attr_rule attrs_21[] = {AXIS,
                                                  {"block_size", ACCEL_ATTR_INT, 0},
                                                  {"output_dtype", ACCEL_ATTR_INT, 0},
                                                  {"precision", ACCEL_ATTR_INT, 0},
                                                  {"saturate", ACCEL_ATTR_INT, 0},
                                                  {0}};

#define QUANTIZE(dom, version, rules)                                                              \
    {                                                                                              \
        .name = "QuantizeLinear", .domain = dom, .since = version, .kind = ACCEL_KIND_ELEMENTWISE, \
        .flops_per_value = 3,                                                                      \
        .in = {{"x", REAL | ACCEL_T(INT32), 0, 0},                                                 \
               {"y_scale", REAL | ACCEL_T(INT32) | ACCEL_T(FLOAT8E8M0), 0, 0},                     \
               {"y_zero_point", Q, 'Z', ACCEL_ARG_OPTIONAL}},                                      \
        .out = {{"y", Q, 'Z', 0}}, .attrs = rules, .parse = quant_parse, .infer = quantize_infer,  \
        .prepare = either_prepare, .run = quantize_run                                             \
    }
#define DEQUANTIZE(dom, version, rules)                                             \
    {                                                                               \
        .name = "DequantizeLinear", .domain = dom, .since = version,                \
        .kind = ACCEL_KIND_ELEMENTWISE, .flops_per_value = 2,                       \
        .in = {{"x", Q | ACCEL_T(INT32), 'T', 0},                                   \
               {"x_scale", REAL | ACCEL_T(FLOAT8E8M0), 0, 0},                       \
               {"x_zero_point", Q | ACCEL_T(INT32), 'T', ACCEL_ARG_OPTIONAL}},      \
        .out = {{"y", REAL, 0, 0}}, .attrs = rules, .parse = quant_parse,           \
        .infer = dequantize_infer, .prepare = either_prepare, .run = dequantize_run \
    }

const struct accel_op accel_ops_quantize[] = {
    QUANTIZE("", 10, NULL),
    QUANTIZE("", 13, attrs_13),
    QUANTIZE("", 19, attrs_19),
    QUANTIZE("", 21, attrs_21),
    QUANTIZE("com.microsoft", 1, attrs_13),
    DEQUANTIZE("", 10, NULL),
    DEQUANTIZE("", 13, attrs_13),
    DEQUANTIZE("", 21, attrs_21),
    DEQUANTIZE("com.microsoft", 1, attrs_13),
    {.name = "DynamicQuantizeLinear",
     .domain = "",
     .since = 11,
     .kind = ACCEL_KIND_ELEMENTWISE,
     .flops_per_value = 4,
     .in = {{"x", F32, 0, 0}},
     .out = {{"y", ACCEL_T(UINT8), 0, 0},
             {"y_scale", F32, 0, 0},
             {"y_zero_point", ACCEL_T(UINT8), 0, 0}},
     .parse = dynamic_parse,
     .infer = dynamic_infer,
     .run = dynamic_run},
    {0},
};
