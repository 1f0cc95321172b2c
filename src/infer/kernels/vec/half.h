/* SPDX-License-Identifier: Apache-2.0 */
/* Template of the conversions between floats and halves; the includer has included its vec.h. */
#include "infer/kernels/microkernels.h"

#define WIDEN(name)                                                            \
    void VEC_ISA(accel_##name##_to_f32)(size_t n, const uint16_t *x, float *y) \
    {                                                                          \
        size_t i = 0;                                                          \
        for (; i + VEC_WIDTH <= n; i += VEC_WIDTH)                             \
            v_store(y + i, v_from_##name(x + i));                              \
        if (i < n)                                                             \
            accel_##name##_to_f32__ref(n - i, x + i, y + i);                   \
    }                                                                          \
    void VEC_ISA(accel_f32_to_##name)(size_t n, const float *x, uint16_t *y)   \
    {                                                                          \
        size_t i = 0;                                                          \
        for (; i + VEC_WIDTH <= n; i += VEC_WIDTH)                             \
            v_to_##name(y + i, v_load(x + i));                                 \
        if (i < n)                                                             \
            accel_f32_to_##name##__ref(n - i, x + i, y + i);                   \
    }

WIDEN(f16)
WIDEN(bf16)
