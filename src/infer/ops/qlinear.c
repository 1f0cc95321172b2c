/* SPDX-License-Identifier: Apache-2.0 */
/* ONNX Runtime's operators on quantised tensors that are no products (com.microsoft): QLinearAdd,
 * QLinearMul, QLinearAveragePool, QLinearGlobalAveragePool, QLinearConcat, QLinearSigmoid,
 * QLinearLeakyRelu, QLinearSoftmax, QLinearWhere, NhwcMaxPool. */
#include "infer/ops/channels_last.h"
#include "infer/ops/quantised.h"
#include "infer/ops/spatial.h"

#include <inttypes.h>
#include <string.h>

/* ---------------------------------------------------------------- QLinearAdd, QLinearMul */

static int binary_infer(struct accel_infer *in, struct accel_error *err)
{
    static const size_t singles[] = {1, 2, 4, 5, 6, 7};
    int rc = ACCEL_OK;

    for (size_t i = 0; i < ACCEL_COUNT(singles) && rc == ACCEL_OK; i++)
        rc = accel_quant_single(in, singles[i], err);
    if (rc != ACCEL_OK)
        return rc;
    in->out[0]->dtype = in->in[0]->dtype;
    return accel_shape_broadcast(&in->in[0]->shape, &in->in[3]->shape, &in->out[0]->shape, err);
}

/* state: how the output walks these inputs. */
static int broadcast_of(struct accel_prepare *prep, const size_t *operands, unsigned count,
                        struct accel_error *err)
{
    const struct accel_shape *y = &prep->out[0]->shape;
    struct accel_nd *nd = accel_prepare_state(prep, sizeof(*nd), err);

    if (nd == NULL)
        return ACCEL_E_NOMEM;
    nd->rank = y->rank;
    for (uint32_t i = 0; i < y->rank; i++)
        nd->dims[i] = (size_t)y->dims[i];
    for (unsigned i = 0; i < count; i++)
        accel_nd_operand(nd, i, prep->in[operands[i]]->shape.rank,
                         prep->in[operands[i]]->shape.dims);
    return ACCEL_OK;
}

static int binary_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    static const size_t operands[] = {0, 3};

    return broadcast_of(prep, operands, ACCEL_COUNT(operands), err);
}

static int binary_run(struct accel_run *run, struct accel_error *err)
{
    (void)err;
    accel_qbinary(run->pool, run->node->op_type[7] == 'M', accel_quant_signed(run->in[0]),
                  run->state, run->in[0]->data, accel_quant_param_of(run, 1), run->in[3]->data,
                  accel_quant_param_of(run, 4), run->out[0]->data, accel_quant_param_of(run, 6));
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- pools, softmax, tables */

/* X, x_scale, x_zero_point, y_scale, y_zero_point: all of these operators. */
static int check_unary(const struct accel_infer *in, struct accel_error *err)
{
    int rc = ACCEL_OK;

    for (size_t i = 1; i < 5 && rc == ACCEL_OK; i++)
        rc = accel_quant_single(in, i, err);
    return rc;
}

static int unary_infer(struct accel_infer *in, struct accel_error *err)
{
    const int rc = check_unary(in, err);

    return rc == ACCEL_OK ? accel_infer_same(in, err) : rc;
}

static int avgpool_infer(struct accel_infer *in, struct accel_error *err)
{
    const int rc = check_unary(in, err);

    return rc == ACCEL_OK ? accel_channels_last_infer(in, accel_pool_infer, err) : rc;
}

static int first_avgpool_run(struct accel_run *run, struct accel_error *err)
{
    (void)err;
    accel_qavgpool(run->pool, run->state, accel_attr_int(run->node, "count_include_pad", 0) != 0,
                   accel_quant_signed(run->in[0]), run->in[0]->data, accel_quant_param_of(run, 1),
                   run->out[0]->data, accel_quant_param_of(run, 3));
    return ACCEL_OK;
}

static int avgpool_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    return accel_channels_last_prepare(prep, accel_pool_prepare, err);
}

static void avgpool_cost(const struct accel_prepare *prep, struct accel_cost *cost)
{
    size_t count;
    const int64_t *kernel = accel_attr_ints(prep->node, "kernel_shape", &count);

    for (size_t i = 0; i < count; i++)
        cost->flops *= (double)kernel[i];
}

static int avgpool_run(struct accel_run *run, struct accel_error *err)
{
    return accel_channels_last_run(run, first_avgpool_run, err);
}

static int global_infer(struct accel_infer *in, struct accel_error *err)
{
    const int rc = check_unary(in, err);

    return rc == ACCEL_OK ? accel_channels_last_infer(in, accel_global_pool_infer, err) : rc;
}

static int first_global_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];

    (void)err;
    accel_qglobal_avgpool(run->pool, accel_dims_product(x->dims, 0, 2),
                          accel_dims_product(x->dims, 2, x->rank), accel_quant_signed(x), x->data,
                          accel_quant_param_of(run, 1), run->out[0]->data,
                          accel_quant_param_of(run, 3));
    return ACCEL_OK;
}

static int global_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    return accel_channels_last_prepare(prep, NULL, err);
}

static int global_run(struct accel_run *run, struct accel_error *err)
{
    return accel_channels_last_run(run, first_global_run, err);
}

/* Before opset 13 of its attribute Softmax flattens from the axis on. */
static int softmax_axis(const struct accel_node *n, uint32_t rank, bool *flat, uint32_t *axis,
                        struct accel_error *err)
{
    *flat = accel_attr_int(n, "opset", 13) < 13;
    return accel_axis(accel_attr_int(n, "axis", *flat ? 1 : -1), rank, axis, err);
}

static int softmax_infer(struct accel_infer *in, struct accel_error *err)
{
    uint32_t axis;
    bool flat;
    const int rc = softmax_axis(in->node, in->in[0]->shape.rank, &flat, &axis, err);

    return rc == ACCEL_OK ? unary_infer(in, err) : rc;
}

static int softmax_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    uint32_t axis = 0;
    bool flat;
    const int rc = softmax_axis(run->node, x->rank, &flat, &axis, err);

    if (rc != ACCEL_OK || x->size_bytes == 0)
        return rc;
    accel_qsoftmax(run->pool, accel_dims_product(x->dims, 0, axis),
                   flat ? accel_dims_product(x->dims, axis, x->rank) : (size_t)x->dims[axis],
                   flat ? 1 : accel_dims_product(x->dims, axis + 1, x->rank), accel_quant_signed(x),
                   x->data, accel_quant_param_of(run, 1).scale, run->out[0]->data,
                   accel_quant_param_of(run, 3));
    return ACCEL_OK;
}

static int table_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    const bool leaky = run->node->op_type[7] == 'L';
    uint8_t table[256];

    (void)err;
    accel_quant_table(run->kernels, leaky ? ACCEL_UNARY_LEAKYRELU : ACCEL_UNARY_SIGMOID,
                      accel_attr_float(run->node, "alpha", 0.01f), accel_quant_signed(x),
                      accel_quant_param_of(run, 1), accel_quant_signed(x),
                      accel_quant_param_of(run, 3), table);
    accel_lookup8(run->pool, x->size_bytes, x->data, table, run->out[0]->data);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- NhwcMaxPool */

static int nhwc_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape, turned = accel_channels_first_of(x);
    struct accel_window w;
    const int rc = accel_pool_window(in->node, &turned, &w, err);

    in->out[0]->dtype = in->in[0]->dtype;
    in->out[0]->shape = *x;
    for (uint32_t i = 0; rc == ACCEL_OK && i < w.spatial; i++)
        in->out[0]->shape.dims[1 + i] = x->dims[1 + i] < 0 ? ACCEL_DIM_ANY : (int64_t)w.out[i];
    return rc;
}

static int nhwc_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    const struct accel_shape turned = accel_channels_first_of(&prep->in[0]->shape);
    struct accel_window *w = accel_prepare_state(prep, sizeof(*w), err);

    if (w == NULL)
        return ACCEL_E_NOMEM;
    const int rc = accel_pool_window(prep->node, &turned, w, err);
    w->planes = (size_t)turned.dims[0];
    return rc;
}

static int nhwc_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];

    (void)err;
    if (run->out[0]->size_bytes > 0)
        accel_qmaxpool_nhwc(run->pool, run->state, (size_t)x->dims[x->rank - 1],
                            accel_quant_signed(x), x->data, run->out[0]->data);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- QLinearWhere */

/* Inputs: condition, then X and Y each with scale and zero point, then those of the result. */
static int where_infer(struct accel_infer *in, struct accel_error *err)
{
    static const size_t singles[] = {2, 3, 5, 6, 7, 8};
    int rc = ACCEL_OK;

    for (size_t i = 0; i < ACCEL_COUNT(singles) && rc == ACCEL_OK; i++)
        rc = accel_quant_single(in, singles[i], err);
    in->out[0]->dtype = in->in[1]->dtype;
    if (rc == ACCEL_OK)
        rc = accel_shape_broadcast(&in->in[0]->shape, &in->in[1]->shape, &in->out[0]->shape, err);
    return rc == ACCEL_OK ? accel_shape_broadcast(&in->out[0]->shape, &in->in[4]->shape,
                                                  &in->out[0]->shape, err)
                          : rc;
}

static int where_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    static const size_t operands[] = {0, 1, 4};
    const int rc = broadcast_of(prep, operands, ACCEL_COUNT(operands), err);
    size_t a, b;

    if (rc == ACCEL_OK && (!accel_shape_elements(&prep->in[1]->shape, &a) ||
                           !accel_shape_elements(&prep->in[4]->shape, &b) ||
                           __builtin_add_overflow(a, b, &prep->scratch_bytes)))
        return accel_fail(err, ACCEL_E_INVALID, "its work space overflows");
    return rc;
}

/* X and Y in the result's scale first: fewer than its elements where they are broadcast. */
static int where_run(struct accel_run *run, struct accel_error *err)
{
    const bool is_signed = accel_quant_signed(run->out[0]);
    uint8_t *scaled[2] = {run->scratch, (uint8_t *)run->scratch + run->in[1]->size_bytes};
    uint8_t table[256];

    (void)err;
    if (run->out[0]->size_bytes == 0)
        return ACCEL_OK;
    for (size_t i = 0; i < 2; i++) {
        const struct accel_tensor *x = run->in[1 + 3 * i];

        accel_quant_table(run->kernels, ACCEL_UNARY_IDENTITY, 0, is_signed,
                          accel_quant_param_of(run, 2 + 3 * i), is_signed,
                          accel_quant_param_of(run, 7), table);
        accel_lookup8(run->pool, x->size_bytes, x->data, table, scaled[i]);
    }
    accel_where(run->pool, 1, run->state, run->in[0]->data, scaled[0], scaled[1],
                run->out[0]->data);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- QLinearConcat */

/* Inputs: Y_scale, Y_zero_point, then X, X_scale, X_zero_point of each part. */
static int concat_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_node *n = in->node;
    struct accel_shape y;
    uint32_t axis;

    if (n->inputs_count < 5 || (n->inputs_count - 2) % 3 != 0)
        return accel_fail(err, ACCEL_E_INVALID, "%zu inputs", n->inputs_count);
    for (size_t i = 0; i < n->inputs_count; i++) {
        const bool scale = i == 0 || (i >= 2 && i % 3 == 0);

        if (!accel_given(n, i))
            return accel_fail(err, ACCEL_E_INVALID, "input %zu is left out", i);
        if (in->in[i]->dtype != (scale ? ACCEL_DTYPE_FLOAT : in->in[1]->dtype))
            return accel_fail(err, ACCEL_E_INVALID, "input %zu is %s", i,
                              accel_dtype_name(in->in[i]->dtype));
        const int rc = i >= 2 && i % 3 == 2 ? ACCEL_OK : accel_quant_single(in, i, err);
        if (rc != ACCEL_OK)
            return rc;
    }
    y = in->in[2]->shape;
    const int rc = accel_axis(accel_attr_int(n, "axis", 1), y.rank, &axis, err);
    if (rc != ACCEL_OK)
        return rc;
    for (size_t i = 5; i < n->inputs_count; i += 3) {
        const struct accel_shape *x = &in->in[i]->shape;

        if (x->rank != y.rank)
            return accel_fail(err, ACCEL_E_INVALID, "input %zu has rank %u, the first %u", i,
                              x->rank, y.rank);
        for (uint32_t d = 0; d < y.rank; d++) {
            if (d == axis && (y.dims[d] < 0 || x->dims[d] < 0))
                y.dims[d] = ACCEL_DIM_ANY;
            else if (d == axis && __builtin_add_overflow(y.dims[d], x->dims[d], &y.dims[d]))
                return accel_fail(err, ACCEL_E_INVALID, "the sum of dimensions overflows");
            else if (d != axis && y.dims[d] < 0)
                y.dims[d] = x->dims[d];
            else if (d != axis && x->dims[d] >= 0 && x->dims[d] != y.dims[d])
                return accel_fail(err, ACCEL_E_INVALID, "input %zu: dimension %u differs", i, d);
        }
    }
    in->out[0]->dtype = in->in[1]->dtype;
    in->out[0]->shape = y;
    return ACCEL_OK;
}

static int concat_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *y = run->out[0];
    uint32_t axis = 0;
    uint8_t table[256];
    size_t at = 0;

    if (accel_axis(accel_attr_int(run->node, "axis", 1), y->rank, &axis, err) != ACCEL_OK)
        return ACCEL_E_INVALID;
    const size_t outer = accel_dims_product(y->dims, 0, axis);
    const size_t row = accel_dims_product(y->dims, axis, y->rank);
    for (size_t i = 2; i < run->node->inputs_count; i += 3) {
        const struct accel_tensor *x = run->in[i];
        const size_t part = accel_dims_product(x->dims, axis, x->rank);

        accel_quant_table(run->kernels, ACCEL_UNARY_IDENTITY, 0, accel_quant_signed(x),
                          accel_quant_param_of(run, i + 1), accel_quant_signed(y),
                          accel_quant_param_of(run, 0), table);
        for (size_t o = 0; o < outer; o++)
            accel_lookup8(NULL, part, (const uint8_t *)x->data + o * part, table,
                          (uint8_t *)y->data + o * row + at);
        at += part;
    }
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- the entries */

#define F32 ACCEL_T(FLOAT)
#define Q8  ACCEL_T_Q8
#define OPT ACCEL_ARG_OPTIONAL
#define MS  "com.microsoft"

static const struct accel_attr_rule pool_attrs[] = {{"auto_pad", ACCEL_ATTR_STRING, 0},
                                                    {"ceil_mode", ACCEL_ATTR_INT, 0},
                                                    {"channels_last", ACCEL_ATTR_INT, 0},
                                                    {"count_include_pad", ACCEL_ATTR_INT, 0},
                                                    {"kernel_shape", ACCEL_ATTR_INTS,
                                                     ACCEL_ATTR_REQUIRED},
                                                    {"pads", ACCEL_ATTR_INTS, 0},
                                                    {"strides", ACCEL_ATTR_INTS, 0},
                                                    {0}};
static const struct accel_attr_rule nhwc_attrs[] = {{"auto_pad", ACCEL_ATTR_STRING, 0},
                                                    {"ceil_mode", ACCEL_ATTR_INT, 0},
                                                    {"dilations", ACCEL_ATTR_INTS, 0},
                                                    {"kernel_shape", ACCEL_ATTR_INTS,
                                                     ACCEL_ATTR_REQUIRED},
                                                    {"pads", ACCEL_ATTR_INTS, 0},
                                                    {"strides", ACCEL_ATTR_INTS, 0},
                                                    {0}};
static const struct accel_attr_rule global_attrs[] = {{"channels_last", ACCEL_ATTR_INT, 0}, {0}};
static const struct accel_attr_rule leaky_attrs[] = {{"alpha", ACCEL_ATTR_FLOAT, 0}, {0}};
static const struct accel_attr_rule axis_attrs[] = {{"axis", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED},
                                                    {0}};
static const struct accel_attr_rule softmax_attrs[] = {
    {"axis", ACCEL_ATTR_INT, 0}, {"opset", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED}, {0}};

#define BINARY(op)                                                                    \
    {                                                                                 \
        .name = op, .domain = MS, .since = 1, .kind = ACCEL_KIND_ELEMENTWISE,         \
        .flops_per_value = 5, .in_place = 9, .in = {{"A", Q8, 'T', 0},                \
                                                    {"A_scale", F32, 0, 0},           \
                                                    {"A_zero_point", Q8, 'T', OPT},   \
                                                    {"B", Q8, 'T', 0},                \
                                                    {"B_scale", F32, 0, 0},           \
                                                    {"B_zero_point", Q8, 'T', OPT},   \
                                                    {"C_scale", F32, 0, 0},           \
                                                    {"C_zero_point", Q8, 'T', OPT}},  \
        .out = {{"C", Q8, 'T', 0}}, .infer = binary_infer, .prepare = binary_prepare, \
        .run = binary_run                                                             \
    }
#define UNARY_IN(zero)                                                              \
    {                                                                               \
        {"X", Q8, 'T', 0}, {"X_scale", F32, 0, 0}, {"X_zero_point", Q8, 'T', zero}, \
            {"Y_scale", F32, 0, 0},                                                 \
        {                                                                           \
            "Y_zero_point", Q8, 'T', zero                                           \
        }                                                                           \
    }

const struct accel_op accel_ops_qlinear[] = {
    BINARY("QLinearAdd"),
    BINARY("QLinearMul"),
    {.name = "QLinearAveragePool",
     .domain = MS,
     .since = 1,
     .kind = ACCEL_KIND_POOL,
     .flops_per_value = 4,
     .in = UNARY_IN(OPT),
     .out = {{"Y", Q8, 'T', 0}},
     .attrs = pool_attrs,
     .parse = accel_pool_parse,
     .infer = avgpool_infer,
     .prepare = avgpool_prepare,
     .run = avgpool_run,
     .cost = avgpool_cost},
    {.name = "QLinearGlobalAveragePool",
     .domain = MS,
     .since = 1,
     .kind = ACCEL_KIND_POOL,
     .in = UNARY_IN(0),
     .out = {{"Y", Q8, 'T', 0}},
     .attrs = global_attrs,
     .infer = global_infer,
     .prepare = global_prepare,
     .run = global_run},
    {.name = "QLinearConcat",
     .domain = MS,
     .since = 1,
     .kind = ACCEL_KIND_MOVE,
     .in = {{"Y_scale", F32, 0, 0},
            {"Y_zero_point", Q8, 'T', 0},
            {"inputs", F32 | Q8, 0, ACCEL_ARG_VARIADIC | ACCEL_ARG_MIXED}},
     .out = {{"Y", Q8, 'T', 0}},
     .attrs = axis_attrs,
     .infer = concat_infer,
     .run = concat_run},
    {.name = "QLinearSigmoid",
     .domain = MS,
     .since = 1,
     .kind = ACCEL_KIND_TRANSCENDENTAL,
     .in_place = 1,
     .flops_per_value = 1,
     .in = UNARY_IN(OPT),
     .out = {{"Y", Q8, 'T', 0}},
     .infer = unary_infer,
     .run = table_run},
    {.name = "QLinearLeakyRelu",
     .domain = MS,
     .since = 1,
     .kind = ACCEL_KIND_ELEMENTWISE,
     .in_place = 1,
     .flops_per_value = 1,
     .in = UNARY_IN(OPT),
     .out = {{"Y", Q8, 'T', 0}},
     .attrs = leaky_attrs,
     .infer = unary_infer,
     .run = table_run},
    {.name = "QLinearSoftmax",
     .domain = MS,
     .since = 1,
     .kind = ACCEL_KIND_NORM,
     .flops_per_value = 5,
     .in = UNARY_IN(OPT),
     .out = {{"Y", Q8, 'T', 0}},
     .attrs = softmax_attrs,
     .infer = softmax_infer,
     .run = softmax_run},
    {.name = "NhwcMaxPool",
     .domain = MS,
     .since = 1,
     .kind = ACCEL_KIND_POOL,
     .flops_per_value = 9,
     .in = {{"x", Q8, 'T', 0}},
     .out = {{"y", Q8, 'T', 0}},
     .attrs = nhwc_attrs,
     .parse = accel_pool_parse,
     .infer = nhwc_infer,
     .prepare = nhwc_prepare,
     .run = nhwc_run},
    {.name = "QLinearWhere",
     .domain = MS,
     .since = 1,
     .kind = ACCEL_KIND_ELEMENTWISE,
     .flops_per_value = 1,
     .in = {{"condition", ACCEL_T(BOOL), 0, 0},
            {"X", Q8, 'T', 0},
            {"x_scale", F32, 0, 0},
            {"x_zero_point", Q8, 'T', 0},
            {"Y", Q8, 'T', 0},
            {"y_scale", F32, 0, 0},
            {"y_zero_point", Q8, 'T', 0},
            {"z_scale", F32, 0, 0},
            {"z_zero_point", Q8, 'T', 0}},
     .out = {{"Z", Q8, 'T', 0}},
     .infer = where_infer,
     .prepare = where_prepare,
     .run = where_run},
    {0},
};
