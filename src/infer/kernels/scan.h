/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_SCAN_H
#define ACCEL_INFER_SCAN_H

/* Running sums and products, and what else goes along one axis or over small matrices. Plain C:
 * these definitions are the reference and the only variant. */

#include "infer/kernels/kernels.h"

/* y[i] = x[0] op ... op x[i] along the middle axis of [outer][n][inner]; exclusive: without x[i];
 * reverse: from the end. Integers wrap. FLOAT, DOUBLE, INT32, INT64, UINT32, UINT64; may be in
 * place. false: another type. */
bool accel_scan(enum accel_dtype dtype, bool product, bool exclusive, bool reverse, size_t outer,
                size_t n, size_t inner, const void *x, void *y);
/* y = 1 at the index[outer][inner] along the middle axis of [outer][n][inner], 0 elsewhere. FLOAT,
 * DOUBLE. */
void accel_one_hot_axis(enum accel_dtype dtype, size_t outer, size_t n, size_t inner,
                        const int64_t *index, void *y);
/* Determinants of `count` dense n x n matrices by Gaussian elimination with partial pivoting, in
 * double (Golub and Van Loan, Matrix Computations, 3.4). FLOAT, DOUBLE; work: n * n doubles.
 * pool: asked whether to go on. */
void accel_det(struct accel_pool *pool, enum accel_dtype dtype, size_t count, size_t n,
               const void *x, void *y, double *work);

#endif
