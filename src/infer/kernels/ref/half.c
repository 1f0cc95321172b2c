/* SPDX-License-Identifier: Apache-2.0 */
/* float16 (IEEE 754 binary16) and bfloat16 to float and back, rounding to nearest even. */
#include <string.h>

#include "infer/kernels/microkernels.h"

static float float_of_bits(uint32_t bits)
{
    float f;

    memcpy(&f, &bits, sizeof(f));
    return f;
}

static uint32_t bits_of_float(float f)
{
    uint32_t bits;

    memcpy(&bits, &f, sizeof(bits));
    return bits;
}

void accel_f16_to_f32__ref(size_t n, const uint16_t *x, float *y)
{
    for (size_t i = 0; i < n; i++) {
        const uint32_t sign = (uint32_t)(x[i] & 0x8000) << 16;
        const uint32_t exponent = (x[i] >> 10) & 0x1f, mantissa = x[i] & 0x3ff;

        if (exponent == 0x1f) /* infinity; NaN, made quiet as the CPU does */
            y[i] = float_of_bits(sign | 0x7f800000u | mantissa << 13 |
                                 (mantissa != 0 ? 0x400000u : 0));
        else if (exponent != 0)
            y[i] = float_of_bits(sign | (exponent + 112) << 23 | mantissa << 13);
        else /* zero or subnormal: mantissa * 2^-24, exact in float */
            y[i] = float_of_bits(sign | bits_of_float((float)mantissa * 0x1p-24f));
    }
}

void accel_f32_to_f16__ref(size_t n, const float *x, uint16_t *y)
{
    for (size_t i = 0; i < n; i++) {
        const uint32_t bits = bits_of_float(x[i]), magnitude = bits & 0x7fffffffu;
        const uint32_t sign = bits >> 16 & 0x8000u;
        uint32_t half;

        if (magnitude > 0x7f800000u) { /* NaN: keeps the top of its payload, made quiet */
            half = 0x7e00u | (magnitude >> 13 & 0x1ffu);
        } else if (magnitude >= 0x477ff000u) { /* 65520 and above round to infinity */
            half = 0x7c00u;
        } else if (magnitude >= 0x38800000u) { /* 2^-14 and above: normal */
            const uint32_t odd = magnitude >> 13 & 1;

            half = (magnitude - (112u << 23) + 0xfffu + odd) >> 13;
        } else { /* adding 0.5 leaves the value in units of 2^-24 in the mantissa, rounded */
            half = bits_of_float(float_of_bits(magnitude) + 0.5f) - 0x3f000000u;
        }
        y[i] = (uint16_t)(sign | half);
    }
}

void accel_bf16_to_f32__ref(size_t n, const uint16_t *x, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = float_of_bits((uint32_t)x[i] << 16);
}

void accel_f32_to_bf16__ref(size_t n, const float *x, uint16_t *y)
{
    for (size_t i = 0; i < n; i++) {
        const uint32_t bits = bits_of_float(x[i]);

        if ((bits & 0x7fffffffu) > 0x7f800000u)
            y[i] = (uint16_t)(bits >> 16 | 0x40u);
        else
            y[i] = (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
    }
}
