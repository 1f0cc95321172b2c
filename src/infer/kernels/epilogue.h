/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_EPILOGUE_H
#define ACCEL_INFER_EPILOGUE_H

/* How an activation that follows a product is applied. */

#include <math.h>

#include "infer/kernels/kernels.h"

/* Plain: y[i] = act(y[i]). */
void accel_activate__ref(const struct accel_activation *act, size_t n, float *y);

/* The clamp that is `act`, for the microkernels that have one; false: act is more than a clamp, and
 * *lo, *hi do nothing. */
static inline bool accel_activation_clamp(const struct accel_activation *act, float *lo, float *hi)
{
    *lo = -INFINITY;
    *hi = INFINITY;
    switch (act->op) {
    case ACCEL_UNARY_IDENTITY:
        return true;
    case ACCEL_UNARY_RELU:
        *lo = 0;
        return true;
    case ACCEL_UNARY_CLIP:
        *lo = act->alpha;
        *hi = act->beta;
        return true;
    default:
        return false;
    }
}

#endif
