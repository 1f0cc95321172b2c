/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "infer/kernels/kernels.h"

#define SOFTMAX(T, suffix)                                                                        \
    static void one_##suffix(size_t axis, size_t step, bool log_softmax, const T *x, T *y)        \
    {                                                                                             \
        double max = -INFINITY, sum = 0;                                                          \
                                                                                                  \
        for (size_t a = 0; a < axis; a++)                                                         \
            max = fmax(max, (double)x[a * step]);                                                 \
        for (size_t a = 0; a < axis; a++)                                                         \
            sum += exp((double)x[a * step] - max);                                                \
        for (size_t a = 0; a < axis; a++) {                                                       \
            const double shifted = (double)x[a * step] - max;                                     \
                                                                                                  \
            y[a * step] = (T)(log_softmax ? shifted - log(sum) : exp(shifted) / sum);             \
        }                                                                                         \
    }                                                                                             \
                                                                                                  \
    void accel_softmax_##suffix##__ref(size_t outer, size_t axis, size_t inner, bool log_softmax, \
                                       const T *x, T *y)                                          \
    {                                                                                             \
        for (size_t o = 0; o < outer; o++)                                                        \
            for (size_t i = 0; i < inner; i++)                                                    \
                one_##suffix(axis, inner, log_softmax, x + o * axis * inner + i,                  \
                             y + o * axis * inner + i);                                           \
    }

SOFTMAX(float, f32)
SOFTMAX(double, f64)
