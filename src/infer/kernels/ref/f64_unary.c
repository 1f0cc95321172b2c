/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "infer/kernels/microkernels.h"

#define T       double
#define M(name) name
#define UNARY(NAME, expression)                                                         \
    static void f64_##NAME(size_t n, const double *in, double *out, double a, double b) \
    {                                                                                   \
        (void)a;                                                                        \
        (void)b;                                                                        \
        for (size_t i = 0; i < n; i++) {                                                \
            const double x = in[i];                                                     \
            out[i] = expression;                                                        \
        }                                                                               \
    }
#include "infer/kernels/ref/unary_template.h"

#define ENTRY(NAME) [ACCEL_UNARY_##NAME] = f64_##NAME,
accel_f64_unary_fn *const accel_f64_unary__ref[ACCEL_UNARY_COUNT] = {ACCEL_UNARY_MAP(ENTRY)};
