/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_SORT_H
#define ACCEL_INFER_SORT_H

#include <stddef.h>

/* < 0, 0, > 0 as thing a comes before, with or after thing b. */
typedef int accel_compare_fn(const void *context, size_t a, size_t b);

/* Puts order[0..n), which names things, in order; equal ones stay as they were. Merges from below:
 * n log n comparisons whatever the data. work: n. */
void accel_sort_order(size_t n, size_t *order, size_t *work, accel_compare_fn *compare,
                      const void *context);

#endif
