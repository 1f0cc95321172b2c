/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of floats: sums, affine maps, the taps of depthwise convolutions and pools. */
#include <math.h>

#include "infer/kernels/microkernels.h"

float accel_f32_dot__ref(size_t k, const float *a, const float *b)
{
    float sum = 0;

    for (size_t i = 0; i < k; i++)
        sum += a[i] * b[i];
    return sum;
}

void accel_f32_affine__ref(size_t n, const float *x, float scale, float shift, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * scale + shift;
}

void accel_f32_affine_rows__ref(size_t n, const float *x, const float *scale, const float *shift,
                                float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * scale[i] + (shift != NULL ? shift[i] : 0);
}

float accel_f32_sum__ref(size_t n, const float *x)
{
    float sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += x[i];
    return sum;
}

float accel_f32_max__ref(size_t n, const float *x)
{
    float max = -INFINITY;

    for (size_t i = 0; i < n; i++)
        if (!(x[i] <= max)) { /* true for NaN */
            max = x[i];
            if (max != max)
                return max;
        }
    return max;
}

float accel_f32_sumsq__ref(size_t n, const float *x, float shift)
{
    float sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += (x[i] - shift) * (x[i] - shift);
    return sum;
}

float accel_f32_expsum__ref(size_t n, const float *x, float shift, float *y)
{
    float sum = 0;

    for (size_t i = 0; i < n; i++) {
        const float e = expf(x[i] - shift);

        sum += e;
        if (y != NULL)
            y[i] = e;
    }
    return sum;
}

void accel_f32_taps__ref(size_t n, size_t taps, const float *const *x, const float *w,
                         size_t stride, float bias, float lo, float hi, float *y)
{
    for (size_t i = 0; i < n; i++) {
        float sum = bias;

        for (size_t t = 0; t < taps; t++)
            sum += w[t] * x[t][i * stride];
        sum = sum < lo ? lo : sum;
        y[i] = sum > hi ? hi : sum;
    }
}

void accel_f32_taps_max__ref(size_t n, size_t taps, const float *const *x, size_t stride, float *y)
{
    for (size_t i = 0; i < n; i++) {
        float max = x[0][i * stride];

        for (size_t t = 1; t < taps; t++) {
            const float v = x[t][i * stride];

            max = max != max || max >= v ? max : v;
        }
        y[i] = max;
    }
}
