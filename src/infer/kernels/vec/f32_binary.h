/* SPDX-License-Identifier: Apache-2.0 */
/* Template of the binary operations; the includer has included its vec.h. */
#include "infer/kernels/microkernels.h"

/* Three loops: both operands are rows, or one of them is a single value. */
#define LOOP(NAME, load_a, load_b, tail_a, tail_b)                \
    do {                                                          \
        size_t i = 0;                                             \
        for (; i + VEC_WIDTH <= n; i += VEC_WIDTH)                \
            v_store(y + i, do_##NAME(load_a, load_b));            \
        if (i < n) {                                              \
            const vtail tail = v_tail(n - i);                     \
            v_store_tail(y + i, tail, do_##NAME(tail_a, tail_b)); \
        }                                                         \
    } while (0)

#define BINARY(NAME, expression)                                                          \
    static inline vf do_##NAME(vf a, vf b)                                                \
    {                                                                                     \
        return expression;                                                                \
    }                                                                                     \
    void VEC_ISA(accel_f32_##NAME)(size_t n, const float *pa, size_t sa, const float *pb, \
                                   size_t sb, float *y)                                   \
    {                                                                                     \
        if (n == 0)                                                                       \
            return;                                                                       \
        const vf one_a = v_set1(*pa), one_b = v_set1(*pb);                                \
                                                                                          \
        if (sa != 0 && sb != 0)                                                           \
            LOOP(NAME, v_load(pa + i), v_load(pb + i), v_load_tail(pa + i, tail),         \
                 v_load_tail(pb + i, tail));                                              \
        else if (sa != 0)                                                                 \
            LOOP(NAME, v_load(pa + i), one_b, v_load_tail(pa + i, tail), one_b);          \
        else if (sb != 0)                                                                 \
            LOOP(NAME, one_a, v_load(pb + i), one_a, v_load_tail(pb + i, tail));          \
        else                                                                              \
            LOOP(NAME, one_a, one_b, one_a, one_b);                                       \
    }

/* v_min and v_max give b when either is NaN: right but when only a is. */
BINARY(add, v_add(a, b))
BINARY(sub, v_sub(a, b))
BINARY(mul, v_mul(a, b))
BINARY(div, v_div(a, b))
BINARY(min, v_select(v_isnan(a), a, v_min(a, b)))
BINARY(max2, v_select(v_isnan(a), a, v_max(a, b)))
BINARY(prelu, v_select(v_lt(a, v_set1(0)), v_mul(a, b), a))
