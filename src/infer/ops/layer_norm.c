/* SPDX-License-Identifier: Apache-2.0 */
/* Normalisation over the last axes: LayerNormalization, RMSNormalization and ONNX Runtime's
 * SimplifiedLayerNormalization, SkipLayerNormalization, SkipSimplifiedLayerNormalization. */
#include "infer/kernels/norm.h"
#include "infer/ops/op.h"

#include <inttypes.h>
#include <string.h>

/* Names end in Simplified... or begin with RMS when no mean is taken. */
static bool is_rms(const struct accel_node *n)
{
    return strstr(n->op_type, "Simplified") != NULL || n->op_type[0] == 'R';
}

static void *data_of(struct accel_tensor *const *tensors, size_t count, size_t i)
{
    return i < count && tensors[i] != NULL ? tensors[i]->data : NULL;
}

/* x normalised in rows of n into y. scale, bias, mean, inv_std: NULL, or of x's type and float. */
static int normalise(const struct accel_run *run, float epsilon, enum accel_dtype dtype,
                     size_t rows, size_t n, const void *x, const void *scale, const void *bias,
                     void *y, float *mean, float *inv_std, struct accel_error *err)
{
    const bool rms = is_rms(run->node);

    if (dtype == ACCEL_DTYPE_FLOAT)
        accel_layer_norm_f32(run->kernels, run->pool, rows, n, epsilon, rms, x, scale, bias, y,
                             mean, inv_std);
    else if (dtype == ACCEL_DTYPE_DOUBLE)
        accel_layer_norm_f64(run->pool, rows, n, (double)epsilon, rms, x, scale, bias, y, mean,
                             inv_std);
    else
        return accel_fail(err, ACCEL_E_INTERNAL, "no kernel for this type");
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- LayerNormalization and kin */

/* Scale and bias broadcast to x, and have its type but for a half. */
static int check_operand(const struct accel_infer *in, size_t i, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape, *s = &in->in[i]->shape;

    if (in->in[i]->dtype != in->in[0]->dtype)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "input %zu of %s beside one of %s", i,
                          accel_dtype_name(in->in[i]->dtype), accel_dtype_name(in->in[0]->dtype));
    if (s->rank > x->rank)
        return accel_fail(err, ACCEL_E_INVALID, "input %zu of rank %u, the first of rank %u", i,
                          s->rank, x->rank);
    for (uint32_t d = 0; d < s->rank; d++) {
        const int64_t wants = x->dims[x->rank - s->rank + d];

        if (s->dims[d] >= 0 && s->dims[d] != 1 && wants >= 0 && s->dims[d] != wants)
            return accel_fail(err, ACCEL_E_INVALID,
                              "input %zu has %" PRId64 " elements in dimension %u where %" PRId64
                              " are normalised",
                              i, s->dims[d], d, wants);
    }
    return ACCEL_OK;
}

static int layer_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape;
    const int64_t stash = accel_attr_int(in->node, "stash_type", ACCEL_DTYPE_FLOAT);
    uint32_t axis;
    int rc = accel_axis(accel_attr_int(in->node, "axis", -1), x->rank, &axis, err);

    /* What is stashed in float for a double input is the moments alone, as ONNX Runtime has it. */
    if (rc == ACCEL_OK && stash != ACCEL_DTYPE_FLOAT)
        rc = accel_fail(err, ACCEL_E_UNSUPPORTED, "stash_type %" PRId64, stash);
    for (size_t i = 1; rc == ACCEL_OK && i < in->node->inputs_count; i++)
        if (in->in[i] != NULL)
            rc = check_operand(in, i, err);
    if (rc != ACCEL_OK)
        return rc;
    for (size_t o = 1; o < in->node->outputs_count; o++) {
        if (in->out[o] == NULL)
            continue;
        in->out[o]->dtype = ACCEL_DTYPE_FLOAT;
        in->out[o]->shape = *x;
        for (uint32_t d = axis; d < x->rank; d++)
            in->out[o]->shape.dims[d] = 1;
    }
    in->out[0]->shape = *x;
    /* RMSNormalization and SimplifiedLayerNormalization: the scale's. */
    in->out[0]->dtype = in->in[is_rms(in->node) ? 1 : 0]->dtype;
    return ACCEL_OK;
}

/* One number for each element of a row, and nothing for the rows: what the kernel takes. */
static bool fits_row(const struct accel_tensor *x, const struct accel_tensor *t, uint32_t axis)
{
    if (t == NULL)
        return true;
    if (t->size_bytes != accel_dims_product(x->dims, axis, x->rank) * accel_dtype_size(x->dtype))
        return false;
    /* Of that many elements, all in the axes of the row. */
    for (uint32_t d = 0; d < t->rank; d++)
        if (t->dims[d] != 1 && x->rank - t->rank + d < axis)
            return false;
    return true;
}

/* y = y op t, t broadcast. */
static void apply(const struct accel_run *run, enum accel_binary_op op,
                  const struct accel_tensor *t)
{
    const struct accel_tensor *x = run->in[0];
    struct accel_nd nd = {.rank = x->rank};

    if (t == NULL)
        return;
    for (uint32_t i = 0; i < x->rank; i++)
        nd.dims[i] = (size_t)x->dims[i];
    accel_nd_operand(&nd, 0, x->rank, x->dims);
    accel_nd_operand(&nd, 1, t->rank, t->dims);
    accel_binary(run->kernels, run->pool, op, x->dtype, &nd, run->out[0]->data, t->data,
                 run->out[0]->data);
}

static int layer_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_node *n = run->node;
    const struct accel_tensor *x = run->in[0];
    const struct accel_tensor *scale = run->in[1], *bias = n->inputs_count > 2 ? run->in[2] : NULL;
    const bool rms = is_rms(n);
    uint32_t axis = 0;

    if (accel_axis(accel_attr_int(n, "axis", -1), x->rank, &axis, err) != ACCEL_OK)
        return ACCEL_E_INVALID;
    if (x->size_bytes == 0)
        return ACCEL_OK;
    const bool rows = fits_row(x, scale, axis) && fits_row(x, bias, axis);
    const int rc =
        normalise(run, accel_attr_float(n, "epsilon", 1e-5f), x->dtype,
                  accel_dims_product(x->dims, 0, axis), accel_dims_product(x->dims, axis, x->rank),
                  x->data, rows ? scale->data : NULL, rows && bias != NULL ? bias->data : NULL,
                  run->out[0]->data, rms ? NULL : data_of(run->out, n->outputs_count, 1),
                  data_of(run->out, n->outputs_count, rms ? 1 : 2), err);
    if (rc == ACCEL_OK && !rows) {
        apply(run, ACCEL_BINARY_MUL, scale);
        apply(run, ACCEL_BINARY_ADD, bias);
    }
    return rc;
}

/* ---------------------------------------------------------------- Skip(Simplified)Layer... */

/* Inputs: X, skip, gamma, then beta (not when simplified) and bias. */
static size_t bias_place(const struct accel_node *n)
{
    return is_rms(n) ? 3 : 4;
}

static int skip_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_node *n = in->node;
    const struct accel_shape *x = &in->in[0]->shape, *skip = &in->in[1]->shape;

    if (x->rank != 2 && x->rank != 3)
        return accel_fail(err, ACCEL_E_INVALID, "an input of rank %u instead of 2 or 3", x->rank);
    int rc = check_operand(in, 1, err);
    if (rc == ACCEL_OK && skip->rank < 2)
        rc = accel_fail(err, ACCEL_E_INVALID, "a skip of rank %u", skip->rank);
    for (size_t i = 2; i < n->inputs_count && rc == ACCEL_OK; i++) {
        const struct accel_shape *s = in->in[i] != NULL ? &in->in[i]->shape : NULL;
        const int64_t wants = x->dims[x->rank - 1];

        if (s != NULL && (s->rank != 1 || (s->dims[0] >= 0 && wants >= 0 && s->dims[0] != wants)))
            rc = accel_fail(err, ACCEL_E_INVALID, "input %zu must have %" PRId64 " elements", i,
                            wants);
    }
    for (size_t o = 0; o < n->outputs_count; o++) {
        if (in->out[o] == NULL)
            continue;
        in->out[o]->shape = *x;
        in->out[o]->dtype = o == 1 || o == 2 ? ACCEL_DTYPE_FLOAT : in->in[0]->dtype;
        if (o == 1 || o == 2)
            in->out[o]->shape.dims[x->rank - 1] = 1;
    }
    return rc;
}

static void add(const struct accel_run *run, const void *a, const struct accel_tensor *b, void *y)
{
    const struct accel_tensor *x = run->in[0];
    struct accel_nd nd = {.rank = x->rank};

    for (uint32_t i = 0; i < x->rank; i++)
        nd.dims[i] = (size_t)x->dims[i];
    accel_nd_operand(&nd, 0, x->rank, x->dims);
    accel_nd_operand(&nd, 1, b->rank, b->dims);
    accel_binary(run->kernels, run->pool, ACCEL_BINARY_ADD, x->dtype, &nd, a, b->data, y);
}

static int skip_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_node *n = run->node;
    const struct accel_tensor *x = run->in[0];
    const size_t hidden = (size_t)x->dims[x->rank - 1], bias = bias_place(n);
    void *stated = data_of(run->out, n->outputs_count, 3);
    void *sum = stated != NULL ? stated : run->out[0]->data;

    if (x->size_bytes == 0)
        return ACCEL_OK;
    add(run, x->data, run->in[1], sum);
    if (data_of(run->in, n->inputs_count, bias) != NULL)
        add(run, sum, run->in[bias], sum);
    return normalise(run, accel_attr_float(n, "epsilon", 1e-12f), x->dtype,
                     accel_dims_product(x->dims, 0, x->rank - 1), hidden, sum, run->in[2]->data,
                     is_rms(n) ? NULL : data_of(run->in, n->inputs_count, 3), run->out[0]->data,
                     data_of(run->out, n->outputs_count, 1), data_of(run->out, n->outputs_count, 2),
                     err);
}

#define R   ACCEL_T_FLOATS
#define F32 ACCEL_T(FLOAT)
#define OPT ACCEL_ARG_OPTIONAL

static const struct accel_attr_rule layer_attrs[] = {{"axis", ACCEL_ATTR_INT, 0},
                                                     {"epsilon", ACCEL_ATTR_FLOAT, 0},
                                                     {"stash_type", ACCEL_ATTR_INT, 0},
                                                     {0}};
static const struct accel_attr_rule epsilon_attrs[] = {{"epsilon", ACCEL_ATTR_FLOAT, 0}, {0}};

#define LAYER                                                                          \
    .domain = "", .kind = ACCEL_KIND_NORM, .flops_per_value = 8, .attrs = layer_attrs, \
    .infer = layer_infer, .run = layer_run
#define SKIP                                                                              \
    .domain = "com.microsoft", .since = 1, .kind = ACCEL_KIND_NORM, .flops_per_value = 9, \
    .attrs = epsilon_attrs, .infer = skip_infer, .run = skip_run,                         \
    .out = {{"output", R, 'T', 0},                                                        \
            {"mean", F32, 0, OPT},                                                        \
            {"inv_std_var", F32, 0, OPT},                                                 \
            {"input_skip_bias_sum", R, 'T', OPT}}

const struct accel_op accel_ops_layer_norm[] = {
    /* ONNX Runtime has both of these from opset 1 on: its own fusions leave them in old models. */
    {LAYER, .name = "LayerNormalization", .since = 1,
     .in = {{"X", R, 'T', 0}, {"Scale", R, 0, 0}, {"B", R, 0, OPT}},
     .out = {{"Y", R, 'T', 0}, {"Mean", F32, 0, OPT}, {"InvStdDev", F32, 0, OPT}}},
    {LAYER, .name = "SimplifiedLayerNormalization", .since = 1,
     .in = {{"X", R, 0, 0}, {"scale", R, 'V', 0}},
     .out = {{"Y", R, 'V', 0}, {"inv_std_var", F32, 0, OPT}}},
    {LAYER, .name = "RMSNormalization", .since = 23, .in = {{"X", R, 0, 0}, {"scale", R, 'V', 0}},
     .out = {{"Y", R, 'V', 0}}},
    {SKIP, .name = "SkipLayerNormalization",
     .in = {{"input", R, 'T', 0},
            {"skip", R, 'T', 0},
            {"gamma", R, 'T', 0},
            {"beta", R, 'T', OPT},
            {"bias", R, 'T', OPT}}},
    {SKIP, .name = "SkipSimplifiedLayerNormalization",
     .in =
         {{"input", R, 'T', 0}, {"skip", R, 'T', 0}, {"gamma", R, 'T', 0}, {"bias", R, 'T', OPT}}},
    {0},
};
