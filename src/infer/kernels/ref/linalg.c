/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/kernels/linalg.h"
#include "infer/kernels/real.h"

#include <math.h>

/* Rows and columns of a matrix whose every step is worth asking whether to go on. */
#define LARGE 64

static void swap(double *a, double *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const double keep = a[i];

        a[i] = b[i];
        b[i] = keep;
    }
}

/* In place: column k of the work becomes that of the inverse as it is cleared. Rows that are
 * swapped come out as columns that are: column j belongs where order[j] says. */
bool accel_inverse(struct accel_pool *pool, enum accel_dtype dtype, size_t n, const void *x,
                   double *work, void *y)
{
    double *const order = work + n * n;

    if (dtype != ACCEL_DTYPE_FLOAT && dtype != ACCEL_DTYPE_DOUBLE)
        return false;
    for (size_t i = 0; i < n * n; i++)
        work[i] = accel_real(dtype, x, i);
    for (size_t i = 0; i < n; i++)
        order[i] = (double)i;
    for (size_t k = 0; k < n; k++) {
        size_t best = k;

        if (n >= LARGE && accel_pool_stopped(pool))
            return true;
        for (size_t i = k + 1; i < n; i++)
            best = fabs(work[i * n + k]) > fabs(work[best * n + k]) ? i : best;
        if (best != k) {
            swap(work + best * n, work + k * n, n);
            swap(order + best, order + k, 1);
        }
        const double pivot = 1 / work[k * n + k];
        work[k * n + k] = 1;
        for (size_t j = 0; j < n; j++)
            work[k * n + j] *= pivot;
        for (size_t i = 0; i < n; i++) {
            const double factor = work[i * n + k];

            if (i == k)
                continue;
            work[i * n + k] = 0;
            for (size_t j = 0; j < n; j++)
                work[i * n + j] -= factor * work[k * n + j];
        }
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            accel_real_set(dtype, y, i * n + (size_t)order[j], work[i * n + j]);
    return true;
}
