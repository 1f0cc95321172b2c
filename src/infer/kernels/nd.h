/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_ND_H
#define ACCEL_INFER_ND_H

/* Walking several strided operands at once. */

#include "infer/kernels/kernels.h"

/* Drops axes of size 1 and merges axes that all `operands` step through as one. Afterwards rank
 * >= 1 (an empty shape becomes {1}). */
void accel_nd_simplify(struct accel_nd *nd, unsigned operands);

static inline size_t accel_nd_count(const struct accel_nd *nd)
{
    size_t n = 1;

    for (unsigned d = 0; d < nd->rank; d++)
        n *= nd->dims[d];
    return n;
}

/* Where row `row` (an index over all axes but the last) of each operand begins. */
static inline void accel_nd_row(const struct accel_nd *nd, unsigned operands, size_t row,
                                ptrdiff_t offset[3])
{
    for (unsigned o = 0; o < operands; o++)
        offset[o] = 0;
    for (unsigned d = nd->rank - 1; d-- > 0;) {
        const ptrdiff_t i = (ptrdiff_t)(row % nd->dims[d]);

        row /= nd->dims[d];
        for (unsigned o = 0; o < operands; o++)
            offset[o] += i * nd->stride[o][d];
    }
}

#endif
