/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/kernels/sort.h"

#include <string.h>

#include "base/util.h"

void accel_sort_order(size_t n, size_t *order, size_t *work, accel_compare_fn *compare,
                      const void *context)
{
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t begin = 0; begin < n; begin += 2 * width) {
            const size_t middle = ACCEL_MIN(begin + width, n), end = ACCEL_MIN(middle + width, n);
            size_t a = begin, b = middle;

            for (size_t k = begin; k < end; k++) {
                const bool first =
                    b == end || (a < middle && compare(context, order[a], order[b]) <= 0);

                work[k] = order[first ? a++ : b++];
            }
        }
        memcpy(order, work, n * sizeof(*order));
    }
}
