/* SPDX-License-Identifier: Apache-2.0 */
/* Template of the unary operations; the includer has included its vec.h. */
#include <math.h>

#include "infer/kernels/microkernels.h"
#include "infer/kernels/vec/math.h"

/* Defines one operation; the expression is in x and the vectors a = alpha, b = beta. */
#define UNARY(NAME, expression)                                                           \
    static inline vf do_##NAME(vf x, vf a, vf b)                                          \
    {                                                                                     \
        (void)a;                                                                          \
        (void)b;                                                                          \
        return expression;                                                                \
    }                                                                                     \
    void VEC_ISA(accel_f32_unary_##NAME)(size_t n, const float *x, float *y, float alpha, \
                                         float beta)                                      \
    {                                                                                     \
        const vf a = v_set1(alpha), b = v_set1(beta);                                     \
        size_t i = 0;                                                                     \
                                                                                          \
        for (; i + VEC_WIDTH <= n; i += VEC_WIDTH)                                        \
            v_store(y + i, do_##NAME(v_load(x + i), a, b));                               \
        if (i < n) {                                                                      \
            const vtail tail = v_tail(n - i);                                             \
            v_store_tail(y + i, tail, do_##NAME(v_load_tail(x + i, tail), a, b));         \
        }                                                                                 \
    }

/* v_max(constant, x) and v_min(constant, x) let NaN through. */
static inline vf clamp(vf lo, vf hi, vf x)
{
    return v_min(hi, v_max(lo, x));
}

static inline vf hardsigmoid(vf x, vf a, vf b)
{
    return clamp(v_set1(0), v_set1(1), v_add(v_mul(a, x), b));
}

static inline vf negative(vf x, vf yes, vf no)
{
    return v_select(v_lt(x, v_set1(0)), yes, no);
}

static inline vf elu(vf x, vf a)
{
    return negative(x, v_mul(a, v_expm1(x)), x);
}

/* x * tanh(log(1 + e^x)) = x * (e^2 + 2e) / (e^2 + 2e + 2); from 20 on it is x. */
static inline vf mish(vf x)
{
    const vf e = v_exp(v_min(v_set1(20), x)), q = v_mul(e, v_add(e, v_set1(2)));

    return v_mul(x, v_div(q, v_add(q, v_set1(2))));
}

static inline vf gelu_tanh(vf x)
{
    const vf cube = v_mul(v_mul(x, x), x);
    const vf in = v_mul(v_set1(0.79788456080286535588f), v_fma(v_set1(0.044715f), cube, x));

    return v_mul(v_mul(v_set1(0.5f), x), v_add(v_set1(1), v_tanh(in)));
}

static inline vf gelu(vf x)
{
    return v_mul(v_mul(v_set1(0.5f), x),
                 v_add(v_set1(1), v_erf(v_mul(x, v_set1(0.70710678118654752440f)))));
}

UNARY(RELU, v_max(v_set1(0), x))
UNARY(CLIP, clamp(a, b, x))
UNARY(LEAKYRELU, negative(x, v_mul(a, x), x))
UNARY(SIGMOID, v_sigmoid(x))
UNARY(TANH, v_tanh(x))
UNARY(HARDSIGMOID, hardsigmoid(x, a, b))
UNARY(HARDSWISH, v_mul(x, hardsigmoid(x, v_set1(1.0f / 6), v_set1(0.5f))))
UNARY(SILU, v_div(x, v_add(v_set1(1), v_exp(v_neg(v_mul(a, x))))))
UNARY(GELU, gelu(x))
UNARY(GELU_TANH, gelu_tanh(x))
UNARY(ELU, elu(x, a))
UNARY(MISH, mish(x))
UNARY(EXP, v_exp(x))
UNARY(LOG, v_log(x))
UNARY(SQRT, v_sqrt(x))
UNARY(RECIPROCAL, v_div(v_set1(1), x))
UNARY(ERF, v_erf(x))
UNARY(ABS, v_abs(x))
UNARY(NEG, v_neg(x))
UNARY(FLOOR, v_floor(x))
UNARY(CEIL, v_ceil(x))
UNARY(ROUND, v_round(x))
UNARY(SQUARE, v_mul(x, x))
