/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/kernels/scan.h"

#include <math.h>
#include <string.h>

#include "infer/kernels/real.h"

#define SCAN(T, op)                                                        \
    do {                                                                   \
        const T *from = x;                                                 \
        T *to = y;                                                         \
        for (size_t j = 0; j < outer * inner; j++) {                       \
            const size_t base = j / inner * n * inner + j % inner;         \
            T so_far = product;                                            \
            for (size_t i = 0; i < n; i++) {                               \
                const size_t k = base + (reverse ? n - 1 - i : i) * inner; \
                const T next = so_far op from[k];                          \
                to[k] = exclusive ? so_far : next;                         \
                so_far = next;                                             \
            }                                                              \
        }                                                                  \
    } while (0)
#define EITHER(T)   \
    if (product)    \
        SCAN(T, *); \
    else            \
        SCAN(T, +); \
    return true

bool accel_scan(enum accel_dtype dtype, bool product, bool exclusive, bool reverse, size_t outer,
                size_t n, size_t inner, const void *x, void *y)
{
    switch (dtype) {
    case ACCEL_DTYPE_FLOAT:
        EITHER(float);
    case ACCEL_DTYPE_DOUBLE:
        EITHER(double);
    case ACCEL_DTYPE_INT32: /* in the unsigned type, which wraps */
    case ACCEL_DTYPE_UINT32:
        EITHER(uint32_t);
    case ACCEL_DTYPE_INT64:
    case ACCEL_DTYPE_UINT64:
        EITHER(uint64_t);
    default:
        return false;
    }
}

void accel_one_hot_axis(enum accel_dtype dtype, size_t outer, size_t n, size_t inner,
                        const int64_t *index, void *y)
{
    memset(y, 0, outer * n * inner * accel_dtype_size(dtype));
    for (size_t j = 0; j < outer * inner; j++) {
        const size_t at = (j / inner * n + (size_t)index[j]) * inner + j % inner;

        accel_real_set(dtype, y, at, 1);
    }
}

/* Rows and columns of a matrix whose every step is worth asking whether to go on. */
#define LARGE 64

static void swap_rows(size_t n, double *a, double *b)
{
    for (size_t i = 0; i < n; i++) {
        const double t = a[i];

        a[i] = b[i];
        b[i] = t;
    }
}

/* a: [n][n], destroyed. */
static double eliminate(const struct accel_pool *pool, size_t n, double *a)
{
    double det = 1;

    for (size_t k = 0; k < n; k++) {
        size_t pivot = k;

        if (n >= LARGE && accel_pool_stopped(pool))
            return 0;
        for (size_t i = k + 1; i < n; i++)
            if (fabs(a[i * n + k]) > fabs(a[pivot * n + k]))
                pivot = i;
        if (pivot != k) {
            swap_rows(n, a + k * n, a + pivot * n);
            det = -det;
        }
        det *= a[k * n + k];
        if (a[k * n + k] == 0)
            return det; /* 0, or a NaN met before */
        for (size_t i = k + 1; i < n; i++) {
            const double factor = a[i * n + k] / a[k * n + k];

            for (size_t j = k + 1; j < n; j++)
                a[i * n + j] -= factor * a[k * n + j];
        }
    }
    return det;
}

void accel_det(struct accel_pool *pool, enum accel_dtype dtype, size_t count, size_t n,
               const void *x, void *y, double *work)
{
    for (size_t m = 0; m < count; m++) {
        for (size_t i = 0; i < n * n; i++)
            work[i] = accel_real(dtype, x, m * n * n + i);
        accel_real_set(dtype, y, m, eliminate(pool, n, work));
    }
}
