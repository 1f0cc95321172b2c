/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/onnx/sparse.h"

#include <inttypes.h>
#include <string.h>

/* Where element i of the values goes: a linear index, or one coordinate per axis. */
static int place_of(const struct accel_tensor *indices, const struct accel_shape *shape,
                    size_t elements, size_t i, size_t *out, struct accel_error *err)
{
    const int64_t *at = indices->data;

    if (indices->rank == 1) {
        if (at[i] < 0 || (uint64_t)at[i] >= elements)
            return accel_fail(err, ACCEL_E_INVALID, "index %" PRId64 " of %zu elements", at[i],
                              elements);
        *out = (size_t)at[i];
        return ACCEL_OK;
    }
    *out = 0;
    for (uint32_t d = 0; d < shape->rank; d++) {
        const int64_t k = at[i * shape->rank + d];

        if (k < 0 || k >= shape->dims[d])
            return accel_fail(err, ACCEL_E_INVALID, "index %" PRId64 " on axis %u of %" PRId64, k,
                              d, shape->dims[d]);
        *out = *out * (size_t)shape->dims[d] + (size_t)k;
    }
    return ACCEL_OK;
}

int accel_sparse_check(const struct accel_tensor *values, const struct accel_tensor *indices,
                       const struct accel_shape *shape, struct accel_error *err)
{
    if (values->dtype == ACCEL_DTYPE_STRING)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "a sparse tensor of strings");
    if (values->rank != 1 || indices->dtype != ACCEL_DTYPE_INT64 || indices->rank < 1 ||
        indices->rank > 2 || indices->dims[0] != values->dims[0] ||
        (indices->rank == 2 && indices->dims[1] != (int64_t)shape->rank))
        return accel_fail(err, ACCEL_E_INVALID,
                          "a sparse tensor wants values [n] and int64 indices [n] or [n, rank]");
    return ACCEL_OK;
}

int accel_sparse_fill(const struct accel_tensor *values, const struct accel_tensor *indices,
                      const struct accel_shape *shape, struct accel_tensor *dense,
                      struct accel_error *err)
{
    const size_t size = accel_dtype_size(values->dtype), n = (size_t)values->dims[0];
    ACCEL_CLEANUP(accel_freep) int64_t *aligned = NULL;
    struct accel_tensor at = *indices;
    size_t last = 0;

    if ((uintptr_t)at.data % sizeof(int64_t) != 0 && at.size_bytes > 0) {
        aligned = accel_malloc(at.size_bytes); /* a slice of the file lies anywhere */
        if (aligned == NULL)
            return accel_fail(err, ACCEL_E_NOMEM, "no memory for %zu indices", n);
        at.data = memcpy(aligned, at.data, at.size_bytes);
    }
    for (size_t i = 0; i < n; i++) {
        size_t place = 0;
        const int rc = place_of(&at, shape, dense->size_bytes / size, i, &place, err);

        if (rc != ACCEL_OK)
            return rc;
        if (i > 0 && place <= last)
            return accel_fail(err, ACCEL_E_INVALID, "its indices do not ascend at entry %zu", i);
        memcpy((char *)dense->data + place * size, (const char *)values->data + i * size, size);
        last = place;
    }
    return ACCEL_OK;
}
