/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/kernels/microkernels.h"

#define BINARY(name, expression)                                                                   \
    void accel_f32_##name##__ref(size_t n, const float *pa, size_t sa, const float *pb, size_t sb, \
                                 float *y)                                                         \
    {                                                                                              \
        for (size_t i = 0; i < n; i++) {                                                           \
            const float a = pa[i * sa], b = pb[i * sb];                                            \
            y[i] = expression;                                                                     \
        }                                                                                          \
    }

BINARY(add, a + b)
BINARY(sub, a - b)
BINARY(mul, a *b)
BINARY(div, a / b)
/* NaN in either wins, as in numpy.minimum. */
BINARY(min, a != a || a < b ? a : b)
BINARY(max2, a != a || a > b ? a : b)
BINARY(prelu, a < 0 ? a * b : a)
