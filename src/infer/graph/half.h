/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_GRAPH_HALF_H
#define ACCEL_INFER_GRAPH_HALF_H

/* One IEEE 754 half to float, for the odd scalar; whole tensors go through the kernels. */

#include <math.h>
#include <stdint.h>

static inline float accel_half_to_float(uint16_t h)
{
    const int exponent = h >> 10 & 31, fraction = h & 1023;
    const float magnitude = exponent == 0    ? ldexpf((float)fraction, -24)
                            : exponent == 31 ? (fraction != 0 ? NAN : INFINITY)
                                             : ldexpf((float)(fraction + 1024), exponent - 25);

    return (h & 0x8000) != 0 ? -magnitude : magnitude;
}

#endif
