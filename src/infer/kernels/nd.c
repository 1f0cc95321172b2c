/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/kernels/nd.h"

#include <assert.h>

void accel_nd_operand(struct accel_nd *nd, unsigned operand, unsigned rank, const int64_t *dims)
{
    ptrdiff_t step = 1;

    assert(rank <= nd->rank);
    for (unsigned d = nd->rank; d-- > 0;) {
        const unsigned missing = nd->rank - rank;
        const size_t size = d >= missing ? (size_t)dims[d - missing] : 1;

        assert(size == 1 || size == nd->dims[d]);
        nd->stride[operand][d] = size == 1 ? 0 : step;
        step *= (ptrdiff_t)size;
    }
}

void accel_nd_simplify(struct accel_nd *nd, unsigned operands)
{
    unsigned kept = 0;

    for (unsigned d = 0; d < nd->rank; d++) {
        bool merges = kept > 0;

        if (nd->dims[d] == 1)
            continue;
        for (unsigned o = 0; o < operands && merges; o++)
            merges = nd->stride[o][kept - 1] == nd->stride[o][d] * (ptrdiff_t)nd->dims[d];
        if (merges) {
            nd->dims[kept - 1] *= nd->dims[d];
            for (unsigned o = 0; o < operands; o++)
                nd->stride[o][kept - 1] = nd->stride[o][d];
        } else {
            nd->dims[kept] = nd->dims[d];
            for (unsigned o = 0; o < operands; o++)
                nd->stride[o][kept] = nd->stride[o][d];
            kept++;
        }
    }
    if (kept == 0) {
        nd->dims[0] = 1;
        for (unsigned o = 0; o < operands; o++)
            nd->stride[o][0] = 0;
        kept = 1;
    }
    nd->rank = kept;
}
