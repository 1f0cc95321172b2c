/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/kernels/random.h"

#include <math.h>

#include "infer/kernels/real.h"

#define MODULUS    2147483647u
#define MULTIPLIER 16807u
#define RANGE      2147483646.0 /* how many numbers there are */

void accel_random_begin(struct accel_random *g, uint64_t seed)
{
    g->state = (uint32_t)(seed % MODULUS);
    if (g->state == 0)
        g->state = 1;
}

uint32_t accel_random_next(struct accel_random *g)
{
    g->state = (uint32_t)((uint64_t)g->state * MULTIPLIER % MODULUS);
    return g->state;
}

/* RANGE is 2^31 as a float, and so may the number be: 1 becomes what is next below. */
float accel_random_unit_f32(struct accel_random *g)
{
    return fminf((float)(accel_random_next(g) - 1) / (float)RANGE, 1 - 0x1p-24f);
}

double accel_random_unit_f64(struct accel_random *g)
{
    const double low = accel_random_next(g) - 1, high = accel_random_next(g) - 1;

    return fmin((low + high * RANGE) / (RANGE * RANGE), 1 - 0x1p-53);
}

/* What follows computes in the type that it gives: another rounding were another number. */
#define DISTRIBUTIONS(T, suffix, sqrt, log)                                                      \
    static void uniform_##suffix(struct accel_random *g, size_t n, T low, T high, T *y)          \
    {                                                                                            \
        for (size_t i = 0; i < n; i++)                                                           \
            y[i] = accel_random_unit_##suffix(g) * (high - low) + low;                           \
    }                                                                                            \
                                                                                                 \
    /* A point of the unit disc makes two numbers, that of its second coordinate comes first. */ \
    static void normal_##suffix(struct accel_random *g, size_t n, T mean, T scale, T *y)         \
    {                                                                                            \
        for (size_t i = 0; i < n; i += 2) {                                                      \
            T a, b, square;                                                                      \
                                                                                                 \
            do {                                                                                 \
                a = 2 * accel_random_unit_##suffix(g) - 1;                                       \
                b = 2 * accel_random_unit_##suffix(g) - 1;                                       \
                square = a * a + b * b;                                                          \
            } while (square > 1 || square == 0);                                                 \
            const T factor = sqrt(-2 * log(square) / square);                                    \
            y[i] = b * factor * scale + mean;                                                    \
            if (i + 1 < n)                                                                       \
                y[i + 1] = a * factor * scale + mean;                                            \
        }                                                                                        \
    }

DISTRIBUTIONS(float, f32, sqrtf, logf)
DISTRIBUTIONS(double, f64, sqrt, log)

void accel_random_uniform(struct accel_random *g, enum accel_dtype dtype, size_t n, float low,
                          float high, void *y)
{
    if (dtype == ACCEL_DTYPE_DOUBLE)
        uniform_f64(g, n, (double)low, (double)high, y);
    else
        uniform_f32(g, n, low, high, y);
}

void accel_random_normal(struct accel_random *g, enum accel_dtype dtype, size_t n, float mean,
                         float scale, void *y)
{
    if (dtype == ACCEL_DTYPE_DOUBLE)
        normal_f64(g, n, (double)mean, (double)scale, y);
    else
        normal_f32(g, n, mean, scale, y);
}

void accel_random_bernoulli(struct accel_random *g, enum accel_dtype dtype, size_t n, const void *p,
                            uint8_t *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = dtype == ACCEL_DTYPE_DOUBLE ? accel_random_unit_f64(g) > ((const double *)p)[i]
                                           : accel_random_unit_f32(g) > ((const float *)p)[i];
}

/* The first class whose running sum is above v; `classes` when there is none. */
static size_t find_class(const double *sums, size_t classes, double v)
{
    size_t low = 0, high = classes;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (sums[middle] > v)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* sums[c]: what the classes up to c weigh together. Returns the last. */
static double add_weights(enum accel_dtype dtype, size_t classes, const void *x, size_t row,
                          double *sums)
{
    double largest = -INFINITY, sum = 0;

    for (size_t c = 0; c < classes; c++)
        if (isfinite(accel_real(dtype, x, row * classes + c)))
            largest = fmax(largest, accel_real(dtype, x, row * classes + c));
    for (size_t c = 0; c < classes; c++) {
        const double v = accel_real(dtype, x, row * classes + c);

        sum += isfinite(v) ? exp(v - largest) : 0;
        sums[c] = sum;
    }
    return sum;
}

void accel_random_classes(struct accel_random *g, enum accel_dtype dtype, size_t rows,
                          size_t classes, const void *x, size_t samples, int64_t *y, double *sums)
{
    for (size_t r = 0; r < rows; r++) {
        const double sum = add_weights(dtype, classes, x, r, sums);

        for (size_t s = 0; s < samples; s++)
            y[r * samples + s] = (int64_t)find_class(sums, classes, accel_random_unit_f64(g) * sum);
    }
}
