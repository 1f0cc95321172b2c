/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_BASE_HALF_H
#define ACCEL_BASE_HALF_H

/* IEEE 754 binary16 by integer arithmetic: the definition that faster conversions are held to. */

#include <stdint.h>
#include <string.h>

/* Rounds to nearest, ties to even; overflow gives infinity, NaN stays NaN. */
static inline uint16_t accel_half_from_float(float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof(bits));
    const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    const uint32_t magnitude = bits & 0x7fffffff;

    if (magnitude > 0x7f800000)
        return (uint16_t)(sign | 0x7e00 | (magnitude >> 13 & 0x3ff));
    if (magnitude >= 0x477ff000) /* 65520 and above round to infinity */
        return sign | 0x7c00;
    if (magnitude >= 0x38800000) { /* normal in binary16: rebias 127 -> 15 */
        const uint32_t rebased = magnitude - 0x38000000;
        return (uint16_t)(sign | (rebased + 0xfff + (rebased >> 13 & 1)) >> 13);
    }
    if (magnitude < 0x33000000) /* below half of the least subnormal, 2^-25 */
        return sign;
    /* Subnormal: the implicit one joins the mantissa, which is shifted into units of 2^-24. */
    const uint32_t shift = 126 - (magnitude >> 23);
    const uint32_t mantissa = (magnitude & 0x7fffff) | 0x800000;
    const uint32_t kept = mantissa >> shift, lost = mantissa & ((1u << shift) - 1);
    const uint32_t half = 1u << (shift - 1);
    return (uint16_t)(sign | (kept + (lost > half || (lost == half && (kept & 1)))));
}

static inline float accel_half_to_float(uint16_t half)
{
    const uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    const uint32_t exponent = half >> 10 & 0x1f, mantissa = half & 0x3ff;
    uint32_t bits;
    float value;

    if (exponent == 0) {
        value = (float)mantissa * 0x1p-24f;
        return sign != 0 ? -value : value;
    }
    bits = exponent == 0x1f ? sign | 0x7f800000 | mantissa << 13
                            : sign | (exponent + 112) << 23 | mantissa << 13;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

#endif
