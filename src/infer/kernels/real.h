/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_REAL_H
#define ACCEL_INFER_REAL_H

/* Elements of FLOAT or DOUBLE tensors as doubles, for kernels that compute in double either way. */

#include "infer/kernels/kernels.h"

static inline double accel_real(enum accel_dtype dtype, const void *x, size_t i)
{
    return dtype == ACCEL_DTYPE_FLOAT ? (double)((const float *)x)[i] : ((const double *)x)[i];
}

static inline void accel_real_set(enum accel_dtype dtype, void *y, size_t i, double value)
{
    if (dtype == ACCEL_DTYPE_FLOAT)
        ((float *)y)[i] = (float)value;
    else
        ((double *)y)[i] = value;
}

#endif
