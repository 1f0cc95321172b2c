/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/kernels/random.h"

#include <math.h>
#include <string.h>

#include "infer/kernels/real.h"

void accel_philox(const uint32_t counter[4], struct accel_random_key key, uint32_t out[4])
{
    uint32_t k0 = key.word[0], k1 = key.word[1];

    memcpy(out, counter, 4 * sizeof(*out));
    for (int round = 0; round < 10; round++) {
        const uint64_t a = (uint64_t)out[0] * 0xd2511f53u, b = (uint64_t)out[2] * 0xcd9e8d57u;
        const uint32_t next[] = {(uint32_t)(b >> 32) ^ out[1] ^ k0, (uint32_t)b,
                                 (uint32_t)(a >> 32) ^ out[3] ^ k1, (uint32_t)a};

        memcpy(out, next, sizeof(next));
        k0 += 0x9e3779b9u; /* the golden ratio, and the square root of 3 less 1 */
        k1 += 0xbb67ae85u;
    }
}

/* A block is two numbers. */
static double unit_of(const uint32_t words[4], unsigned half)
{
    const uint64_t bits = (uint64_t)words[2 * half] << 32 | words[2 * half + 1];

    return (double)(bits >> 11) * 0x1p-53;
}

static void block_of(struct accel_random_key key, uint64_t block, uint32_t words[4])
{
    const uint32_t counter[] = {(uint32_t)block, (uint32_t)(block >> 32), 0, 0};

    accel_philox(counter, key, words);
}

double accel_random_unit(struct accel_random_key key, uint64_t i)
{
    uint32_t words[4];

    block_of(key, i / 2, words);
    return unit_of(words, i % 2);
}

void accel_random_uniform(struct accel_random_key key, enum accel_dtype dtype, size_t n, double low,
                          double high, void *y)
{
    for (size_t i = 0; i < n; i++) {
        const double v = low + (high - low) * accel_random_unit(key, i);

        /* Rounding may reach the end that is not included. */
        if (dtype == ACCEL_DTYPE_DOUBLE)
            ((double *)y)[i] = v == high ? nextafter(high, low) : v;
        else
            ((float *)y)[i] =
                (float)v == (float)high ? nextafterf((float)high, (float)low) : (float)v;
    }
}

void accel_random_normal(struct accel_random_key key, enum accel_dtype dtype, size_t n, double mean,
                         double scale, void *y)
{
    for (size_t i = 0; i < n; i += 2) {
        uint32_t words[4];

        block_of(key, i / 2, words);
        const double radius = sqrt(-2 * log(1 - unit_of(words, 0))),
                     angle = 2 * M_PI * unit_of(words, 1);
        const double pair[] = {mean + scale * radius * cos(angle),
                               mean + scale * radius * sin(angle)};
        for (size_t k = 0; k < 2 && i + k < n; k++)
            accel_real_set(dtype, y, i + k, pair[k]);
    }
}

void accel_random_bernoulli(struct accel_random_key key, enum accel_dtype dtype, size_t n,
                            const void *p, uint8_t *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = accel_random_unit(key, i) < accel_real(dtype, p, i);
}

/* The first class whose running sum is above v. */
static size_t find_class(const double *sums, size_t classes, double v)
{
    size_t low = 0, high = classes - 1;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (sums[middle] > v)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

size_t accel_random_classes(struct accel_random_key key, enum accel_dtype dtype, size_t rows,
                            size_t classes, const void *x, size_t samples, int64_t *y, double *sums)
{
    for (size_t r = 0; r < rows; r++) {
        double largest = -INFINITY, sum = 0;

        for (size_t c = 0; c < classes; c++)
            largest = fmax(largest, accel_real(dtype, x, r * classes + c));
        for (size_t c = 0; c < classes; c++) {
            sum += exp(accel_real(dtype, x, r * classes + c) - largest);
            sums[c] = sum;
        }
        if (!(sum > 0 && sum < INFINITY))
            return r;
        for (size_t s = 0; s < samples; s++)
            y[r * samples + s] = (int64_t)find_class(
                sums, classes, accel_random_unit(key, (uint64_t)(r * samples + s)) * sum);
    }
    return rows;
}
