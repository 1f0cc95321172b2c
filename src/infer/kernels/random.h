/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_RANDOM_H
#define ACCEL_INFER_RANDOM_H

/* Random numbers from a counter: Philox4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random
 * numbers: as easy as 1, 2, 3", SC 2011). Number i of a key is the same wherever and in whatever
 * order it is made, so a seed fixes a whole tensor. Not for secrets. */

#include "infer/kernels/kernels.h"

struct accel_random_key {
    uint32_t word[2];
};

/* Four words from a counter of four. */
void accel_philox(const uint32_t counter[4], struct accel_random_key key, uint32_t out[4]);
/* Number i in 0..1, 1 excluded, 53 bits. */
double accel_random_unit(struct accel_random_key key, uint64_t i);

/* y of FLOAT or DOUBLE. In low..high, high excluded; low > high counts down from low. */
void accel_random_uniform(struct accel_random_key key, enum accel_dtype dtype, size_t n, double low,
                          double high, void *y);
/* Box and Muller, Ann. Math. Stat. 29, 1958. */
void accel_random_normal(struct accel_random_key key, enum accel_dtype dtype, size_t n, double mean,
                         double scale, void *y);
/* y[i] = 1 with probability p[i] (FLOAT, DOUBLE), else 0. */
void accel_random_bernoulli(struct accel_random_key key, enum accel_dtype dtype, size_t n,
                            const void *p, uint8_t *y);
/* y[rows][samples]: classes drawn with probabilities softmax(x[row]) from x[rows][classes] (FLOAT,
 * DOUBLE). sums: classes doubles. Returns rows, or the first whose probabilities add up to nothing
 * or no number. */
size_t accel_random_classes(struct accel_random_key key, enum accel_dtype dtype, size_t rows,
                            size_t classes, const void *x, size_t samples, int64_t *y,
                            double *sums);

#endif
