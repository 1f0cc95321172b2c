/* SPDX-License-Identifier: Apache-2.0 */
/* com.microsoft UnfoldTensor: all stretches of an axis, one every `step` elements, as a new last
 * axis. */
#include "infer/kernels/kernels.h"
#include "infer/ops/elements.h"

#include <inttypes.h>

static int unfold_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape;
    const int64_t size = accel_attr_int(in->node, "size", 0);
    const int64_t step = accel_attr_int(in->node, "step", 1);
    struct accel_shape y = *x;
    uint32_t axis;
    const int rc = accel_axis(accel_attr_int(in->node, "dim", -1), x->rank, &axis, err);

    if (rc != ACCEL_OK)
        return rc;
    if (size < 1 || step < 1)
        return accel_fail(err, ACCEL_E_INVALID,
                          "size is %" PRId64 ", step %" PRId64 ": both must be positive", size,
                          step);
    if (x->rank == ACCEL_RANK_MAX)
        return accel_fail(err, ACCEL_E_INVALID, "more than %d dimensions", ACCEL_RANK_MAX);
    if (x->dims[axis] >= 0 && x->dims[axis] < size)
        return accel_fail(err, ACCEL_E_INVALID,
                          "size is %" PRId64 ", axis %u has %" PRId64 " elements", size, axis,
                          x->dims[axis]);
    if (x->dims[axis] >= 0)
        y.dims[axis] = (x->dims[axis] - size) / step + 1;
    y.dims[y.rank++] = size;
    in->out[0]->dtype = in->in[0]->dtype;
    in->out[0]->shape = y;
    return ACCEL_OK;
}

static int unfold_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0], *y = run->out[0];
    ptrdiff_t from[ACCEL_RANK_MAX], to[ACCEL_RANK_MAX];
    size_t dims[ACCEL_RANK_MAX];
    uint32_t axis;
    const int rc = accel_axis(accel_attr_int(run->node, "dim", -1), x->rank, &axis, err);

    if (rc != ACCEL_OK || y->size_bytes == 0)
        return rc;
    accel_dense_strides(x->dims, x->rank, from);
    accel_dense_strides(y->dims, y->rank, to);
    accel_dims_sizes(y->dims, y->rank, dims);
    from[x->rank] = from[axis];
    /* A single stretch takes no step, however large. */
    from[axis] *= y->dims[axis] > 1 ? (ptrdiff_t)accel_attr_int(run->node, "step", 1) : 0;
    accel_copy_nd(run->pool, accel_element_bytes(x->dtype), y->rank, dims, x->data, from, y->data,
                  to);
    return ACCEL_OK;
}

static const struct accel_attr_rule unfold_attrs[] = {{"dim", ACCEL_ATTR_INT, 0},
                                                      {"size", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED},
                                                      {"step", ACCEL_ATTR_INT, 0},
                                                      {0}};

const struct accel_op accel_ops_unfold[] = {
    {.name = "UnfoldTensor",
     .domain = "com.microsoft",
     .since = 1,
     .kind = ACCEL_KIND_MOVE,
     .in = {{"input", ACCEL_T_ALL, 'T', 0}},
     .out = {{"output", ACCEL_T_ALL, 'T', 0}},
     .attrs = unfold_attrs,
     .infer = unfold_infer,
     .run = unfold_run},
    {0},
};
