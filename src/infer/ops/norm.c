/* SPDX-License-Identifier: Apache-2.0 */
/* Normalisations: BatchNormalization (inference), Softmax, LogSoftmax, LayerNormalization,
 * InstanceNormalization, LRN. */
#include "infer/kernels/kernels.h"
#include "infer/ops/op.h"

#include <math.h>
#include <string.h>

static size_t product(const struct accel_tensor *t, uint32_t from, uint32_t to)
{
    return accel_dims_product(t->dims, from, to);
}

/* ---------------------------------------------------------------- BatchNormalization */

static int bn_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                    struct accel_error *err)
{
    (void)mem;
    (void)params;
    if (accel_attr_int(n, "training_mode", 0) != 0)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "training_mode 1");
    if (accel_attr_int(n, "spatial", 1) != 1)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "spatial 0");
    if (n->outputs_count > 1)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "more than one output (training)");
    return ACCEL_OK;
}

static int bn_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape;
    const int64_t channels = x->rank > 1 ? x->dims[1] : 1;

    for (size_t i = 1; i < 5; i++) {
        const struct accel_shape *s = &in->in[i]->shape;

        if (s->rank != 1 || (s->dims[0] >= 0 && channels >= 0 && s->dims[0] != channels))
            return accel_fail(err, ACCEL_E_INVALID, "input %zu must have %lld elements", i,
                              (long long)channels);
    }
    if (x->rank == 0)
        return accel_fail(err, ACCEL_E_INVALID, "a scalar has no channels");
    return accel_infer_same(in, err);
}

static void scale_shift(size_t channels, float epsilon, const float *gamma, const float *beta,
                        const float *mean, const float *variance, float *scale, float *shift)
{
    for (size_t c = 0; c < channels; c++) {
        const double s = (double)gamma[c] / sqrt((double)variance[c] + (double)epsilon);

        scale[c] = (float)s;
        shift[c] = (float)((double)beta[c] - (double)mean[c] * s);
    }
}

/* Constant statistics become one scale and one shift per channel. */
static int bn_prepack(struct accel_prepack *pack, struct accel_error *err)
{
    const struct accel_tensor *in[5];
    void *blob;
    bool fill;

    for (size_t i = 1; i < 5; i++) {
        in[i] = accel_prepack_input(pack, i);
        if (in[i] == NULL || in[i]->rank != 1 || in[i]->dims[0] != in[1]->dims[0])
            return ACCEL_OK;
    }
    const size_t channels = (size_t)in[1]->dims[0];
    const int rc = accel_prepack_blob(pack, 0, 2 * channels * sizeof(float), &blob, &fill, err);
    if (rc == ACCEL_OK && fill)
        scale_shift(channels, accel_attr_float(pack->node, "epsilon", 1e-5f), in[1]->data,
                    in[2]->data, in[3]->data, in[4]->data, blob, (float *)blob + channels);
    pack->consumed = 0x1e;
    return rc;
}

static int bn_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    (void)err;
    if (prep->blobs[0] == NULL)
        prep->scratch_bytes = 2 * (size_t)prep->in[1]->shape.dims[0] * sizeof(float);
    return ACCEL_OK;
}

static int bn_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    const size_t channels = (size_t)run->in[1]->dims[0];
    const float *scale = run->blobs[0];

    (void)err;
    if (scale == NULL) {
        scale_shift(channels, accel_attr_float(run->node, "epsilon", 1e-5f), run->in[1]->data,
                    run->in[2]->data, run->in[3]->data, run->in[4]->data, run->scratch,
                    (float *)run->scratch + channels);
        scale = run->scratch;
    }
    if (x->size_bytes > 0)
        accel_channel_affine_f32(run->kernels, run->pool, (size_t)x->dims[0], channels,
                                 x->rank > 2 ? product(x, 2, x->rank) : 1, x->data, scale,
                                 scale + channels, run->node->epilogue.act, run->out[0]->data);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- Softmax, LogSoftmax */

static int softmax_infer(struct accel_infer *in, struct accel_error *err)
{
    const int64_t otherwise = in->node->op->since < 13 ? 1 : -1;
    const uint32_t rank = in->in[0]->shape.rank;
    const int64_t stated = accel_attr_int(in->node, "axis", otherwise);
    uint32_t axis;

    /* Before 13 the axis splits the dimensions in two halves and may be the rank itself. */
    if (!(in->node->op->since < 13 && stated == (int64_t)rank) && rank > 0) {
        const int rc = accel_axis(stated, rank, &axis, err);

        if (rc != ACCEL_OK)
            return rc;
    }
    return accel_infer_same(in, err);
}

static int softmax_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    const bool flat = run->node->op->since < 13;
    int64_t axis = accel_attr_int(run->node, "axis", flat ? 1 : -1);
    size_t outer = 1, n = 1, inner = 1;

    (void)err;
    axis += axis < 0 ? (int64_t)x->rank : 0;
    if (x->rank > 0) {
        outer = product(x, 0, (uint32_t)axis);
        n = flat ? product(x, (uint32_t)axis, x->rank) : (size_t)x->dims[axis];
        inner = flat ? 1 : product(x, (uint32_t)axis + 1, x->rank);
    }
    if (x->size_bytes > 0)
        accel_softmax_f32(run->kernels, run->pool, outer, n, inner, run->node->op_type[0] == 'L',
                          x->data, run->out[0]->data);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- LayerNormalization */

static int layer_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape;
    uint32_t axis;
    int rc = accel_axis(accel_attr_int(in->node, "axis", -1), x->rank, &axis, err);

    if (rc == ACCEL_OK && accel_attr_int(in->node, "stash_type", 1) != 1)
        rc = accel_fail(err, ACCEL_E_UNSUPPORTED, "stash_type");
    if (rc != ACCEL_OK)
        return rc;
    for (size_t i = 1; i < in->node->inputs_count; i++) {
        const struct accel_shape *s = in->in[i] != NULL ? &in->in[i]->shape : NULL;

        if (s == NULL)
            continue;
        if (s->rank != x->rank - axis)
            return accel_fail(err, ACCEL_E_UNSUPPORTED, "scale or bias of rank %u", s->rank);
        for (uint32_t d = 0; d < s->rank; d++)
            if (s->dims[d] >= 0 && x->dims[axis + d] >= 0 && s->dims[d] != x->dims[axis + d])
                return accel_fail(err, ACCEL_E_UNSUPPORTED, "a scale or bias to be broadcast");
    }
    for (size_t o = 1; o < in->node->outputs_count; o++) {
        if (in->out[o] == NULL)
            continue;
        in->out[o]->dtype = ACCEL_DTYPE_FLOAT;
        in->out[o]->shape = *x;
        for (uint32_t d = axis; d < x->rank; d++)
            in->out[o]->shape.dims[d] = 1;
    }
    return accel_infer_same(in, err);
}

static int layer_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    uint32_t axis = 0;

    if (accel_axis(accel_attr_int(run->node, "axis", -1), x->rank, &axis, err) != ACCEL_OK)
        return ACCEL_E_INVALID;
    if (x->size_bytes > 0)
        accel_layer_norm_f32(
            run->kernels, run->pool, product(x, 0, axis), product(x, axis, x->rank),
            accel_attr_float(run->node, "epsilon", 1e-5f), false, x->data, run->in[1]->data,
            run->node->inputs_count > 2 && run->in[2] != NULL ? run->in[2]->data : NULL,
            run->out[0]->data,
            run->node->outputs_count > 1 && run->out[1] != NULL ? run->out[1]->data : NULL,
            run->node->outputs_count > 2 && run->out[2] != NULL ? run->out[2]->data : NULL);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- InstanceNormalization, LRN */

static int instance_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape;

    if (x->rank < 3)
        return accel_fail(err, ACCEL_E_INVALID, "an input of rank %u", x->rank);
    for (size_t i = 1; i < 3; i++)
        if (in->in[i]->shape.rank != 1 || (in->in[i]->shape.dims[0] >= 0 && x->dims[1] >= 0 &&
                                           in->in[i]->shape.dims[0] != x->dims[1]))
            return accel_fail(err, ACCEL_E_INVALID, "input %zu must have one element per channel",
                              i);
    return accel_infer_same(in, err);
}

static int instance_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];

    (void)err;
    if (x->size_bytes > 0)
        accel_group_norm_f32(run->kernels, run->pool, (size_t)x->dims[0], (size_t)x->dims[1],
                             (size_t)x->dims[1], product(x, 2, x->rank),
                             accel_attr_float(run->node, "epsilon", 1e-5f), x->data,
                             run->in[1]->data, run->in[2]->data, run->out[0]->data);
    return ACCEL_OK;
}

static int lrn_infer(struct accel_infer *in, struct accel_error *err)
{
    const int64_t size = accel_attr_int(in->node, "size", 1);

    if (in->in[0]->shape.rank < 2 || size < 1 || size > 1 << 20)
        return accel_fail(err, ACCEL_E_INVALID, "rank %u, size %lld", in->in[0]->shape.rank,
                          (long long)size);
    return accel_infer_same(in, err);
}

static int lrn_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];

    (void)err;
    if (x->size_bytes > 0)
        accel_lrn_f32(run->pool, (size_t)x->dims[0], (size_t)x->dims[1], product(x, 2, x->rank),
                      (size_t)accel_attr_int(run->node, "size", 1),
                      accel_attr_float(run->node, "alpha", 1e-4f),
                      accel_attr_float(run->node, "beta", 0.75f),
                      accel_attr_float(run->node, "bias", 1), x->data, run->out[0]->data);
    return ACCEL_OK;
}

#define F32 ACCEL_T(FLOAT)

static const struct accel_attr_rule bn_attrs[] = {{"epsilon", ACCEL_ATTR_FLOAT, 0},
                                                  {"momentum", ACCEL_ATTR_FLOAT, 0},
                                                  {"spatial", ACCEL_ATTR_INT, 0},
                                                  {"training_mode", ACCEL_ATTR_INT, 0},
                                                  {0}};
static const struct accel_attr_rule axis_attrs[] = {{"axis", ACCEL_ATTR_INT, 0}, {0}};
static const struct accel_attr_rule layer_attrs[] = {{"axis", ACCEL_ATTR_INT, 0},
                                                     {"epsilon", ACCEL_ATTR_FLOAT, 0},
                                                     {"stash_type", ACCEL_ATTR_INT, 0},
                                                     {0}};
static const struct accel_attr_rule epsilon_attrs[] = {{"epsilon", ACCEL_ATTR_FLOAT, 0}, {0}};
static const struct accel_attr_rule lrn_attrs[] = {{"alpha", ACCEL_ATTR_FLOAT, 0},
                                                   {"beta", ACCEL_ATTR_FLOAT, 0},
                                                   {"bias", ACCEL_ATTR_FLOAT, 0},
                                                   {"size", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED},
                                                   {0}};

#define SOFTMAX(op, version)                                                                       \
    {                                                                                              \
        .name = op, .domain = "", .since = version, .kind = ACCEL_KIND_NORM, .flops_per_value = 5, \
        .in_place = 1, .in = {{"input", F32, 'T', 0}}, .out = {{"output", F32, 'T', 0}},           \
        .attrs = axis_attrs, .infer = softmax_infer, .run = softmax_run                            \
    }

const struct accel_op accel_ops_norm[] = {
    {.name = "BatchNormalization",
     .domain = "",
     .since = 7,
     .flags = ACCEL_OP_EPILOGUE,
     .kind = ACCEL_KIND_NORM,
     .flops_per_value = 2,
     .in_place = 1,
     .in = {{"X", F32, 'T', 0},
            {"scale", F32, 'T', 0},
            {"B", F32, 'T', 0},
            {"input_mean", F32, 'T', 0},
            {"input_var", F32, 'T', 0}},
     .out = {{"Y", F32, 'T', 0},
             {"running_mean", F32, 'T', ACCEL_ARG_OPTIONAL},
             {"running_var", F32, 'T', ACCEL_ARG_OPTIONAL},
             {"saved_mean", F32, 'T', ACCEL_ARG_OPTIONAL},
             {"saved_var", F32, 'T', ACCEL_ARG_OPTIONAL}},
     .attrs = bn_attrs,
     .parse = bn_parse,
     .infer = bn_infer,
     .prepack = bn_prepack,
     .prepare = bn_prepare,
     .run = bn_run},
    SOFTMAX("Softmax", 1),
    SOFTMAX("Softmax", 13),
    SOFTMAX("LogSoftmax", 1),
    SOFTMAX("LogSoftmax", 13),
    {.name = "LayerNormalization",
     .domain = "",
     .since = 17,
     .kind = ACCEL_KIND_NORM,
     .flops_per_value = 8,
     .in = {{"X", F32, 'T', 0}, {"Scale", F32, 'T', 0}, {"B", F32, 'T', ACCEL_ARG_OPTIONAL}},
     .out = {{"Y", F32, 'T', 0},
             {"Mean", F32, 0, ACCEL_ARG_OPTIONAL},
             {"InvStdDev", F32, 0, ACCEL_ARG_OPTIONAL}},
     .attrs = layer_attrs,
     .infer = layer_infer,
     .run = layer_run},
    {.name = "InstanceNormalization",
     .domain = "",
     .since = 6,
     .kind = ACCEL_KIND_NORM,
     .flops_per_value = 8,
     .in = {{"input", F32, 'T', 0}, {"scale", F32, 'T', 0}, {"B", F32, 'T', 0}},
     .out = {{"output", F32, 'T', 0}},
     .attrs = epsilon_attrs,
     .infer = instance_infer,
     .run = instance_run},
    {.name = "LRN",
     .domain = "",
     .since = 1,
     .kind = ACCEL_KIND_NORM,
     .flops_per_value = 10,
     .in = {{"X", F32, 'T', 0}},
     .out = {{"Y", F32, 'T', 0}},
     .attrs = lrn_attrs,
     .infer = lrn_infer,
     .run = lrn_run},
    {0},
};
