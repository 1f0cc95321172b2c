/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/ops/matmul.h"

#include <inttypes.h>

int accel_matmul_shape(const struct accel_shape *a, const struct accel_shape *b,
                       struct accel_shape *y, int64_t *rows, int64_t *columns,
                       struct accel_error *err)
{
    struct accel_shape l = *a, r = *b;
    const bool row = a->rank == 1, column = b->rank == 1;

    if (a->rank == 0 || b->rank == 0)
        return accel_fail(err, ACCEL_E_INVALID, "a scalar is no matrix");
    if (row)
        l = (struct accel_shape){.has_rank = true, .rank = 2, .dims = {1, a->dims[0]}};
    if (column)
        r = (struct accel_shape){.has_rank = true, .rank = 2, .dims = {b->dims[0], 1}};
    const int64_t ka = l.dims[l.rank - 1], kb = r.dims[r.rank - 2];
    *rows = l.dims[l.rank - 2];
    *columns = r.dims[r.rank - 1];
    if (ka >= 0 && kb >= 0 && ka != kb)
        return accel_fail(err, ACCEL_E_INVALID,
                          "inner dimensions %" PRId64 " and %" PRId64 " differ", ka, kb);
    l.rank -= 2;
    r.rank -= 2;
    const int rc = accel_shape_broadcast(&l, &r, y, err);
    if (rc != ACCEL_OK)
        return rc;
    if (!row)
        y->dims[y->rank++] = *rows;
    if (!column)
        y->dims[y->rank++] = *columns;
    return ACCEL_OK;
}

void accel_matmul_strides(const struct accel_shape *t, size_t matrix, unsigned rank, size_t *stride)
{
    const unsigned own = t->rank > 2 ? t->rank - 2 : 0;
    size_t step = matrix;

    for (unsigned i = 0; i < rank; i++)
        stride[i] = 0;
    for (unsigned i = own; i-- > 0;) {
        stride[rank - own + i] = t->dims[i] == 1 ? 0 : step;
        step *= (size_t)t->dims[i];
    }
}
