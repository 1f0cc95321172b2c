/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax, LogSoftmax, LRN. */
#include "infer/kernels/kernels.h"
#include "infer/ops/op.h"

#include <math.h>
#include <string.h>

static size_t product(const struct accel_tensor *t, uint32_t from, uint32_t to)
{
    return accel_dims_product(t->dims, from, to);
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
    if (x->dtype == ACCEL_DTYPE_DOUBLE)
        accel_softmax_f64__ref(outer, n, inner, run->node->op_type[0] == 'L', x->data,
                               run->out[0]->data);
    else if (x->size_bytes > 0)
        accel_softmax_f32(run->kernels, run->pool, outer, n, inner, run->node->op_type[0] == 'L',
                          x->data, run->out[0]->data);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- LRN */

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

static const struct accel_attr_rule axis_attrs[] = {{"axis", ACCEL_ATTR_INT, 0}, {0}};
/* Each element sums the squares of its neighbours. */
static void lrn_cost(const struct accel_prepare *prep, struct accel_cost *cost)
{
    const double size = (double)accel_attr_int(prep->node, "size", 1);
    const double channels = (double)prep->in[0]->shape.dims[1];

    cost->flops *= 1 + 0.2 * (ACCEL_MIN(size, channels) - 1);
}

static const struct accel_attr_rule lrn_attrs[] = {{"alpha", ACCEL_ATTR_FLOAT, 0},
                                                   {"beta", ACCEL_ATTR_FLOAT, 0},
                                                   {"bias", ACCEL_ATTR_FLOAT, 0},
                                                   {"size", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED},
                                                   {0}};

#define SOFTMAX(op, version)                                                                       \
    {                                                                                              \
        .name = op, .domain = "", .since = version, .kind = ACCEL_KIND_NORM, .flops_per_value = 5, \
        .in_place = 1, .in = {{"input", ACCEL_T_FLOATS, 'T', 0}},                                  \
        .out = {{"output", ACCEL_T_FLOATS, 'T', 0}}, .attrs = axis_attrs, .infer = softmax_infer,  \
        .run = softmax_run                                                                         \
    }

const struct accel_op accel_ops_norm[] = {
    SOFTMAX("Softmax", 1),
    SOFTMAX("Softmax", 13),
    SOFTMAX("LogSoftmax", 1),
    SOFTMAX("LogSoftmax", 13),
    {.name = "LRN",
     .domain = "",
     .since = 1,
     .kind = ACCEL_KIND_NORM,
     .flops_per_value = 10,
     .in = {{"X", F32, 'T', 0}},
     .out = {{"Y", F32, 'T', 0}},
     .attrs = lrn_attrs,
     .infer = lrn_infer,
     .run = lrn_run,
     .cost = lrn_cost},
    {0},
};
