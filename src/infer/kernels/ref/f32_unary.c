/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "infer/kernels/microkernels.h"

/* alpha and beta are unused by most. */
#define T       float
#define M(name) name##f
#define UNARY(NAME, expression)                                                                 \
    void accel_f32_unary_##NAME##__ref(size_t n, const float *in, float *out, float a, float b) \
    {                                                                                           \
        (void)a;                                                                                \
        (void)b;                                                                                \
        for (size_t i = 0; i < n; i++) {                                                        \
            const float x = in[i];                                                              \
            out[i] = expression;                                                                \
        }                                                                                       \
    }
#include "infer/kernels/ref/unary_template.h"
