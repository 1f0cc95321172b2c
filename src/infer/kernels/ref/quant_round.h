/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_QUANT_ROUND_H
#define ACCEL_INFER_QUANT_ROUND_H

#include <stdint.h>

/* v rounded to the nearest even integer and kept within lo..hi, whole numbers below 2^22; NaN gives
 * lo. At 1.5 * 2^23 the spacing of floats is 1, so the addition does the rounding; unlike
 * nearbyintf() it needs no SSE4.1 to become vector code. */
static inline int32_t accel_round_within(float v, float lo, float hi)
{
    const float shift = 12582912.0f;

    v = v > lo ? v : lo;
    v = v < hi ? v : hi;
    return (int32_t)((v + shift) - shift);
}

#endif
