/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/ops/addressing.h"

#include <inttypes.h>

/* Index i of an INT32 or INT64 tensor, negative ones counted from the end of `dim`. */
static int index_at(const struct accel_tensor *t, size_t i, int64_t dim, size_t *out,
                    struct accel_error *err)
{
    const int64_t k = accel_integer_at(t, i);

    if (k < -dim || k >= dim)
        return accel_fail(err, ACCEL_E_INVALID, "index %" PRId64 " is outside an axis of %" PRId64,
                          k, dim);
    *out = (size_t)(k < 0 ? k + dim : k);
    return ACCEL_OK;
}

int accel_nd_depth(const struct accel_shape *x, const struct accel_shape *indices, int64_t batch,
                   int64_t *depth, struct accel_error *err)
{
    if (indices->rank == 0)
        return accel_fail(err, ACCEL_E_INVALID, "indices are a scalar");
    *depth = indices->dims[indices->rank - 1];
    if (batch < 0 || batch >= (int64_t)indices->rank || batch > (int64_t)x->rank ||
        (*depth >= 0 && *depth > (int64_t)x->rank - batch))
        return accel_fail(err, ACCEL_E_INVALID,
                          "indices of %" PRId64 " axes and %" PRId64 " of batch into rank %u",
                          *depth, batch, x->rank);
    for (int64_t i = 0; i < batch; i++)
        if (x->dims[i] >= 0 && indices->dims[i] >= 0 && x->dims[i] != indices->dims[i])
            return accel_fail(err, ACCEL_E_INVALID, "batch dimension %" PRId64 " differs", i);
    return ACCEL_OK;
}

int accel_tuple_offset(const struct accel_tensor *x, const struct accel_tensor *indices, size_t i,
                       uint32_t first, size_t depth, size_t *offset, struct accel_error *err)
{
    size_t k = 0;

    *offset = 0;
    for (size_t d = 0; d < depth; d++) {
        const int rc = index_at(indices, i * depth + d, x->dims[first + d], &k, err);

        if (rc != ACCEL_OK)
            return rc;
        *offset = *offset * (size_t)x->dims[first + d] + k;
    }
    *offset *= accel_dims_product(x->dims, first + (uint32_t)depth, x->rank);
    return ACCEL_OK;
}

int accel_same_but_axis(const struct accel_shape *x, const struct accel_shape *at, uint32_t axis,
                        struct accel_error *err)
{
    if (at->rank != x->rank)
        return accel_fail(err, ACCEL_E_INVALID, "indices of rank %u into rank %u", at->rank,
                          x->rank);
    for (uint32_t i = 0; i < x->rank; i++)
        if (i != axis && x->dims[i] >= 0 && at->dims[i] > x->dims[i])
            return accel_fail(err, ACCEL_E_INVALID, "indices: dimension %u is larger than data's",
                              i);
    return ACCEL_OK;
}

int accel_element_offset(const struct accel_tensor *x, const struct accel_tensor *at, size_t i,
                         uint32_t axis, size_t *offset, struct accel_error *err)
{
    size_t rest = i, step = 1, k = 0;
    const int rc = index_at(at, i, x->dims[axis], &k, err);

    *offset = 0;
    for (uint32_t d = x->rank; d-- > 0;) {
        *offset += step * (d == axis ? k : rest % (size_t)at->dims[d]);
        rest /= (size_t)at->dims[d];
        step *= (size_t)x->dims[d];
    }
    return rc;
}
