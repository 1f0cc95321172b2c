/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_LINALG_H
#define ACCEL_INFER_LINALG_H

/* Small dense matrices, plain. */

#include "infer/kernels/kernels.h"

/* y [n][n] = the inverse of x, by Gauss and Jordan with row pivots, in double. work: n * n + n
 * doubles.
 * A singular matrix gives infinities and NaN. FLOAT and DOUBLE; false: another type. pool: asked
 * whether to go on. */
bool accel_inverse(struct accel_pool *pool, enum accel_dtype dtype, size_t n, const void *x,
                   double *work, void *y);

#endif
