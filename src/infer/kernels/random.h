/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_RANDOM_H
#define ACCEL_INFER_RANDOM_H

/* The numbers of ONNX Runtime's CPU provider: those of C++'s std::default_random_engine and its
 * distributions as GNU's library has them, which with a seed are a defined sequence. The generator
 * is minstd_rand0, x' = 16807 x mod 2^31 - 1 (C++17 [rand.predef]; Lewis, Goodman and Miller,
 * IBM Systems Journal 8, 1969). Each number follows from the one before: none is made out of
 * order. Not for secrets, nor for statistics that want more than 2^31 numbers. */

#include "infer/kernels/kernels.h"

struct accel_random {
    uint32_t state; /* 1..2^31 - 2 */
};

/* Begins the sequence of a seed. 0, and what else is a multiple of 2^31 - 1, is that of 1. */
void accel_random_begin(struct accel_random *g, uint64_t seed);
/* The next number, 1..2^31 - 2. */
uint32_t accel_random_next(struct accel_random *g);

/* In 0..1, 1 excluded (C++17 [rand.util.canonical]): of one number, and of two, the first being the
 * lower digit. */
float accel_random_unit_f32(struct accel_random *g);
double accel_random_unit_f64(struct accel_random *g);

/* y of FLOAT or DOUBLE, drawn in that type. In low..high; rounding may reach high. low > high
 * counts down from low. */
void accel_random_uniform(struct accel_random *g, enum accel_dtype dtype, size_t n, float low,
                          float high, void *y);
/* The polar method: Marsaglia and Bray, SIAM Review 6, 1964. */
void accel_random_normal(struct accel_random *g, enum accel_dtype dtype, size_t n, float mean,
                         float scale, void *y);
/* y[i] = 1 where a number above p[i] (FLOAT, DOUBLE) is drawn, else 0. */
void accel_random_bernoulli(struct accel_random *g, enum accel_dtype dtype, size_t n, const void *p,
                            uint8_t *y);
/* y[rows][samples]: classes drawn with probabilities softmax(x[row]) from x[rows][classes] (FLOAT,
 * DOUBLE); what is infinite or no number is never drawn. Of a row that has nothing else, `classes`
 * itself, as ONNX Runtime has it. sums: classes doubles. */
void accel_random_classes(struct accel_random *g, enum accel_dtype dtype, size_t rows,
                          size_t classes, const void *x, size_t samples, int64_t *y, double *sums);

#endif
