/* SPDX-License-Identifier: Apache-2.0 */
/* Normalisation within channels, groups of them, or axes of choice: InstanceNormalization,
 * GroupNormalization, MeanVarianceNormalization, LpNormalization. */
#include "infer/kernels/norm.h"
#include "infer/ops/op.h"

#include <inttypes.h>

/* ---------------------------------------------------------------- Instance, Group */

/* GroupNormalization-18 scales whole groups, -21 and InstanceNormalization channels. */
static bool by_group(const struct accel_node *n)
{
    return n->op_type[0] == 'G' && n->op->since < 21;
}

static int64_t groups_of(const struct accel_node *n, int64_t channels)
{
    return n->op_type[0] == 'G' ? accel_attr_int(n, "num_groups", 0) : channels;
}

static int group_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape;
    const int64_t stash = accel_attr_int(in->node, "stash_type", ACCEL_DTYPE_FLOAT);
    const uint32_t least = in->node->op_type[0] == 'G' ? 2 : 3;

    if (x->rank < least)
        return accel_fail(err, ACCEL_E_INVALID, "an input of rank %u", x->rank);
    const int64_t channels = x->dims[1], groups = groups_of(in->node, channels);
    if (in->node->op_type[0] == 'G' && (groups < 1 || (channels >= 0 && channels % groups != 0)))
        return accel_fail(err, ACCEL_E_INVALID, "%" PRId64 " groups of %" PRId64 " channels",
                          groups, channels);
    if (stash != ACCEL_DTYPE_FLOAT && stash != (int64_t)in->in[0]->dtype)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "stash_type %" PRId64, stash);
    for (size_t i = 1; i < 3; i++) {
        const struct accel_shape *s = &in->in[i]->shape;
        const int64_t wants = by_group(in->node) ? groups : channels;

        if (s->rank != 1 || (s->dims[0] >= 0 && wants >= 0 && s->dims[0] != wants))
            return accel_fail(err, ACCEL_E_INVALID, "input %zu must have %" PRId64 " elements", i,
                              wants);
    }
    return accel_infer_same(in, err);
}

/* Scale and bias of groups are repeated for their channels. */
static int group_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    const size_t channels = (size_t)prep->in[0]->shape.dims[1];

    if (by_group(prep->node) &&
        __builtin_mul_overflow(channels, 2 * accel_dtype_size(prep->in[0]->dtype),
                               &prep->scratch_bytes))
        return accel_fail(err, ACCEL_E_INVALID, "its work space overflows");
    return ACCEL_OK;
}

static int group_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    const size_t size = accel_dtype_size(x->dtype), channels = (size_t)x->dims[1];
    const size_t groups = (size_t)groups_of(run->node, x->dims[1]);
    const size_t inner = accel_dims_product(x->dims, 2, x->rank);
    const float epsilon = accel_attr_float(run->node, "epsilon", 1e-5f);
    const void *scale = run->in[1]->data, *bias = run->in[2]->data;

    if (x->size_bytes == 0)
        return ACCEL_OK;
    if (by_group(run->node)) {
        const size_t own = channels / groups;

        for (size_t i = 0; i < 2; i++)
            for (size_t g = 0; g < groups; g++)
                accel_fill(size, own, (const char *)run->in[1 + i]->data + g * size,
                           (char *)run->scratch + (i * channels + g * own) * size);
        scale = run->scratch;
        bias = (char *)run->scratch + channels * size;
    }
    if (x->dtype == ACCEL_DTYPE_FLOAT)
        accel_group_norm_f32(run->kernels, run->pool, (size_t)x->dims[0], channels, groups, inner,
                             epsilon, x->data, scale, bias, run->out[0]->data);
    else if (x->dtype == ACCEL_DTYPE_DOUBLE)
        accel_group_norm_f64(run->pool, (size_t)x->dims[0], channels, groups, inner,
                             (double)epsilon, x->data, scale, bias, run->out[0]->data);
    else
        return accel_fail(err, ACCEL_E_INTERNAL, "no kernel for this type");
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- MeanVariance, Lp */

/* Bits of the axes: those of MeanVarianceNormalization, or LpNormalization's one. */
static int axes_of(const struct accel_node *n, uint32_t rank, uint32_t *axes,
                   struct accel_error *err)
{
    /* Channels lie between the batch and space, and are the last of these: with or without them. */
    static const int64_t batch_and_space[] = {0, 2, 3, 1};
    const bool lp = n->op_type[0] == 'L';
    const int64_t axis = accel_attr_int(n, lp ? "axis" : "none", -1);
    size_t count = 1;
    const int64_t *list = lp ? &axis : accel_attr_ints(n, "axes", &count);

    if (list == NULL) {
        list = batch_and_space;
        count = accel_attr_int(n, "across_channels", 0) != 0 ? 4 : 3;
    }
    *axes = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t a;
        const int rc = accel_axis(list[i], rank, &a, err);

        if (rc != ACCEL_OK)
            return rc;
        *axes |= 1u << a;
    }
    return ACCEL_OK;
}

static int axes_infer(struct accel_infer *in, struct accel_error *err)
{
    const int64_t p = accel_attr_int(in->node, "p", 2);
    uint32_t axes;
    const int rc = axes_of(in->node, in->in[0]->shape.rank, &axes, err);

    if (rc == ACCEL_OK && p != 1 && p != 2)
        return accel_fail(err, ACCEL_E_INVALID, "p is %" PRId64 " instead of 1 or 2", p);
    return rc == ACCEL_OK ? accel_infer_same(in, err) : rc;
}

static size_t kept_of(const int64_t *dims, uint32_t rank, uint32_t axes, size_t *sizes)
{
    for (uint32_t i = 0; i < rank; i++)
        sizes[i] = (size_t)dims[i];
    return accel_kept_elements(rank, sizes, axes);
}

static int axes_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    const struct accel_shape *x = &prep->in[0]->shape;
    size_t dims[ACCEL_RANK_MAX], bytes;
    uint32_t axes;
    const int rc = axes_of(prep->node, x->rank, &axes, err);

    /* Nothing is kept of an empty tensor, however large its other axes are. */
    if (rc != ACCEL_OK || !accel_shape_bytes(x, prep->in[0]->dtype, &bytes) || bytes == 0)
        return rc;
    prep->scratch_bytes =
        kept_of(x->dims, x->rank, axes, dims) * accel_dtype_size(prep->in[0]->dtype);
    return ACCEL_OK;
}

static int axes_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    size_t dims[ACCEL_RANK_MAX];
    uint32_t axes;
    bool done = true;
    const int rc = axes_of(run->node, x->rank, &axes, err);

    if (rc != ACCEL_OK || x->size_bytes == 0)
        return rc;
    kept_of(x->dims, x->rank, axes, dims);
    if (run->node->op_type[0] == 'L')
        done = accel_lp_norm(run->kernels, run->pool, x->dtype, x->rank, dims, axes,
                             (unsigned)accel_attr_int(run->node, "p", 2), x->data, run->scratch,
                             run->out[0]->data);
    else
        done = accel_mean_variance_norm(run->kernels, run->pool, x->dtype, x->rank, dims, axes,
                                        accel_attr_int(run->node, "normalize_variance", 1) == 0,
                                        x->data, run->scratch, run->out[0]->data);
    return done ? ACCEL_OK : accel_fail(err, ACCEL_E_INTERNAL, "no kernel for this type");
}

#define R ACCEL_T_FLOATS

static const struct accel_attr_rule instance_attrs[] = {{"epsilon", ACCEL_ATTR_FLOAT, 0}, {0}};
static const struct accel_attr_rule group18_attrs[] = {
    {"epsilon", ACCEL_ATTR_FLOAT, 0}, {"num_groups", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED}, {0}};
static const struct accel_attr_rule group21_attrs[] = {{"epsilon", ACCEL_ATTR_FLOAT, 0},
                                                       {"num_groups", ACCEL_ATTR_INT,
                                                        ACCEL_ATTR_REQUIRED},
                                                       {"stash_type", ACCEL_ATTR_INT, 0},
                                                       {0}};
static const struct accel_attr_rule mvn1_attrs[] = {
    {"across_channels", ACCEL_ATTR_INT, 0}, {"normalize_variance", ACCEL_ATTR_INT, 0}, {0}};
static const struct accel_attr_rule mvn_attrs[] = {{"axes", ACCEL_ATTR_INTS, 0}, {0}};
static const struct accel_attr_rule lp_attrs[] = {
    {"axis", ACCEL_ATTR_INT, 0}, {"p", ACCEL_ATTR_INT, 0}, {0}};

#define GROUPED(op, version, rules)                                                                \
    {                                                                                              \
        .name = op, .domain = "", .since = version, .kind = ACCEL_KIND_NORM, .flops_per_value = 8, \
        .in = {{"X", R, 'T', 0}, {"scale", R, 'T', 0}, {"B", R, 'T', 0}},                          \
        .out = {{"Y", R, 'T', 0}}, .attrs = rules, .infer = group_infer, .prepare = group_prepare, \
        .run = group_run                                                                           \
    }
#define OVER_AXES(op, version, rules)                                                              \
    {                                                                                              \
        .name = op, .domain = "", .since = version, .kind = ACCEL_KIND_NORM, .flops_per_value = 6, \
        .in = {{"X", R, 'T', 0}}, .out = {{"Y", R, 'T', 0}}, .attrs = rules, .infer = axes_infer,  \
        .prepare = axes_prepare, .run = axes_run                                                   \
    }

const struct accel_op accel_ops_group_norm[] = {
    GROUPED("InstanceNormalization", 6, instance_attrs),
    GROUPED("GroupNormalization", 18, group18_attrs),
    GROUPED("GroupNormalization", 21, group21_attrs),
    OVER_AXES("MeanVarianceNormalization", 1, mvn1_attrs),
    OVER_AXES("MeanVarianceNormalization", 9, mvn_attrs),
    OVER_AXES("LpNormalization", 1, lp_attrs),
    {0},
};
