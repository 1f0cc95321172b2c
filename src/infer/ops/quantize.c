/* SPDX-License-Identifier: Apache-2.0 */
/* QuantizeLinear, DequantizeLinear (per tensor, per axis, blocked) and DynamicQuantizeLinear. */
#include "infer/kernels/quant.h"
#include "infer/ops/op.h"

#include <inttypes.h>
#include <string.h>

static bool given(const struct accel_node *n, size_t i)
{
    return i < n->inputs_count && n->inputs[i] != NULL;
}

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
    if (n->op->since < 13)
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
    return given(n, i) ? &in[i]->shape : NULL;
}

static int check_precision(const struct accel_node *n, struct accel_error *err)
{
    const int64_t precision = accel_attr_int(n, "precision", 0);

    if (precision != 0 && precision != ACCEL_DTYPE_FLOAT)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "precision %" PRId64, precision);
    return ACCEL_OK;
}

static int quantize_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_node *n = in->node;
    const int64_t stated = accel_attr_int(n, "output_dtype", 0);
    struct accel_quant_layout layout;
    enum accel_dtype dtype = ACCEL_DTYPE_UINT8;
    int32_t lo, hi;
    int rc = check_precision(n, err);

    if (rc != ACCEL_OK)
        return rc;
    if (given(n, 2))
        dtype = in->in[2]->dtype;
    else if (stated > 0 && stated <= ACCEL_DTYPE_BFLOAT16)
        dtype = (enum accel_dtype)stated;
    if ((stated != 0 && stated != (int64_t)dtype) || !accel_quant_range(dtype, &lo, &hi))
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "output_dtype %" PRId64, stated);
    rc = layout_of(n, &in->in[0]->shape, &in->in[1]->shape, shape_or_null(in->in, n, 2), &layout,
                   err);
    in->out[0]->dtype = dtype;
    in->out[0]->shape = in->in[0]->shape;
    return rc;
}

static int dequantize_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_node *n = in->node;
    const int64_t stated = accel_attr_int(n, "output_dtype", 0);
    struct accel_quant_layout layout;

    if (stated != 0 && stated != ACCEL_DTYPE_FLOAT)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "output_dtype %" PRId64, stated);
    in->out[0]->dtype = ACCEL_DTYPE_FLOAT;
    in->out[0]->shape = in->in[0]->shape;
    return layout_of(n, &in->in[0]->shape, &in->in[1]->shape, shape_or_null(in->in, n, 2), &layout,
                     err);
}

static int either_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    struct accel_quant_layout *l = accel_bump_alloc(prep->mem, 1, sizeof(*l));
    size_t elements = 0;

    if (l == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to prepare it");
    prep->state = l;
    /* Integers are made floats first. */
    if (prep->node->op_type[0] == 'Q' && prep->in[0]->dtype != ACCEL_DTYPE_FLOAT) {
        if (!accel_shape_elements(&prep->in[0]->shape, &elements) ||
            __builtin_mul_overflow(elements, sizeof(float), &prep->scratch_bytes))
            return accel_fail(err, ACCEL_E_INVALID, "its work space overflows");
    }
    return layout_of(prep->node, &prep->in[0]->shape, &prep->in[1]->shape,
                     shape_or_null(prep->in, prep->node, 2), l, err);
}

static int quantize_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    const void *values = x->data;
    const void *zero = given(run->node, 2) ? run->in[2]->data : NULL;

    if (x->size_bytes == 0)
        return ACCEL_OK;
    if (x->dtype != ACCEL_DTYPE_FLOAT) {
        if (!accel_convert(run->kernels, run->pool, x->size_bytes / accel_dtype_size(x->dtype),
                           x->dtype, x->data, ACCEL_DTYPE_FLOAT, run->scratch))
            return accel_fail(err, ACCEL_E_INTERNAL, "no conversion for this type");
        values = run->scratch;
    }
    if (!accel_quantize(run->pool, run->state, values, run->in[1]->data, zero, run->out[0]->dtype,
                        run->out[0]->data))
        return accel_fail(err, ACCEL_E_INTERNAL, "no kernel for this type");
    return ACCEL_OK;
}

static int dequantize_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    const void *zero = given(run->node, 2) ? run->in[2]->data : NULL;

    if (x->size_bytes > 0 && !accel_dequantize(run->pool, run->state, x->dtype, x->data,
                                               run->in[1]->data, zero, run->out[0]->data))
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

#define F32 ACCEL_T(FLOAT)
#define Q   (ACCEL_T(UINT8) | ACCEL_T(INT8) | ACCEL_T(UINT16) | ACCEL_T(INT16))
#define AXIS                      \
    {                             \
        "axis", ACCEL_ATTR_INT, 0 \
    }

static const struct accel_attr_rule attrs_13[] = {AXIS, {0}};
/* saturate is about the float8 types, which this core does not have. */
static const struct accel_attr_rule attrs_19[] = {
    AXIS, {"saturate", ACCEL_ATTR_INT, ACCEL_ATTR_IGNORED}, {0}};
static const struct accel_attr_rule attrs_21[] = {AXIS,
                                                  {"block_size", ACCEL_ATTR_INT, 0},
                                                  {"output_dtype", ACCEL_ATTR_INT, 0},
                                                  {"precision", ACCEL_ATTR_INT, 0},
                                                  {"saturate", ACCEL_ATTR_INT, ACCEL_ATTR_IGNORED},
                                                  {0}};

#define QUANTIZE(dom, version, rules)                                                              \
    {                                                                                              \
        .name = "QuantizeLinear", .domain = dom, .since = version, .kind = ACCEL_KIND_ELEMENTWISE, \
        .flops_per_value = 3,                                                                      \
        .in = {{"x", F32 | ACCEL_T(INT32), 0, 0},                                                  \
               {"y_scale", F32, 0, 0},                                                             \
               {"y_zero_point", Q, 'Z', ACCEL_ARG_OPTIONAL}},                                      \
        .out = {{"y", Q, 'Z', 0}}, .attrs = rules, .infer = quantize_infer,                        \
        .prepare = either_prepare, .run = quantize_run                                             \
    }
#define DEQUANTIZE(dom, version, rules)                                        \
    {                                                                          \
        .name = "DequantizeLinear", .domain = dom, .since = version,           \
        .kind = ACCEL_KIND_ELEMENTWISE, .flops_per_value = 2,                  \
        .in = {{"x", Q | ACCEL_T(INT32), 'T', 0},                              \
               {"x_scale", F32, 0, 0},                                         \
               {"x_zero_point", Q | ACCEL_T(INT32), 'T', ACCEL_ARG_OPTIONAL}}, \
        .out = {{"y", F32, 0, 0}}, .attrs = rules, .infer = dequantize_infer,  \
        .prepare = either_prepare, .run = dequantize_run                       \
    }

const struct accel_op accel_ops_quantize[] = {
    QUANTIZE("", 10, NULL),
    QUANTIZE("", 13, attrs_13),
    QUANTIZE("", 19, attrs_19),
    QUANTIZE("", 21, attrs_21),
    DEQUANTIZE("", 10, NULL),
    DEQUANTIZE("", 13, attrs_13),
    DEQUANTIZE("", 21, attrs_21),
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
