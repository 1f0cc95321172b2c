/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_VEC_MATH_H
#define ACCEL_INFER_VEC_MATH_H

/* exp, log, tanh, erf on vectors; the includer has included its vec.h. The errors named were
 * measured by tests/kernels/test_f32_unary.c over the whole range of floats. */

/* Cephes expf (Moshier, netlib.org/cephes): x = *n * ln 2 + r with |r| <= ln 2 / 2; returns
 * e^r - 1. */
static inline vf v_exp_reduced(vf x, vf *n)
{
    *n = v_round(v_mul(x, v_set1(1.44269504088896341f)));
    /* ln 2 in two parts, the first exact in the product with n. */
    const vf r = v_fma(*n, v_set1(2.12194440e-4f), v_fma(*n, v_set1(-0.693359375f), x));
    vf p = v_set1(1.9875691500e-4f);

    p = v_fma(p, r, v_set1(1.3981999507e-3f));
    p = v_fma(p, r, v_set1(8.3334519073e-3f));
    p = v_fma(p, r, v_set1(4.1665795894e-2f));
    p = v_fma(p, r, v_set1(1.6666665459e-1f));
    p = v_fma(p, r, v_set1(5.0000001201e-1f));
    return v_fma(p, v_mul(r, r), r);
}

/* Within 2 ulp; subnormal results within 1e-45; overflows to infinity, NaN stays. */
static inline vf v_exp(vf x)
{
    vf n;
    const vf in = v_max(v_set1(-110), v_min(v_set1(90), x)); /* in this order NaN stays */
    const vf m = v_add(v_exp_reduced(in, &n), v_set1(1));

    return v_ldexp(m, n);
}

/* e^x - 1, within 4 ulp, for x that is not large. */
static inline vf v_expm1(vf x)
{
    vf n;
    const vf in = v_max(v_set1(-110), v_min(v_set1(90), x));
    const vf small = v_exp_reduced(in, &n);
    const vf large = v_sub(v_ldexp(v_add(small, v_set1(1)), n), v_set1(1));

    return v_select(v_lt(v_abs(x), v_set1(0.34f)), small, large); /* there n is 0 */
}

/* Cephes logf: x = 2^e * (1 + m) with m in [sqrt(0.5) - 1, sqrt(2) - 1]. Within 2 ulp. */
static inline vf v_log(vf x)
{
    const vm small = v_lt(x, v_set1(1.17549435e-38f)); /* subnormal: 2^23 times as large first */
    const vf scaled = v_select(small, v_mul(x, v_set1(8388608.0f)), x);
    vf e, m = v_frexp(scaled, &e);
    const vm low = v_lt(m, v_set1(0.707106781186547524f));

    e = v_sub(e, v_select(small, v_set1(23), v_set1(0)));
    e = v_sub(e, v_select(low, v_set1(1), v_set1(0)));
    m = v_sub(v_select(low, v_add(m, m), m), v_set1(1));
    const vf z = v_mul(m, m);
    vf p = v_set1(7.0376836292e-2f);
    p = v_fma(p, m, v_set1(-1.1514610310e-1f));
    p = v_fma(p, m, v_set1(1.1676998740e-1f));
    p = v_fma(p, m, v_set1(-1.2420140846e-1f));
    p = v_fma(p, m, v_set1(1.4249322787e-1f));
    p = v_fma(p, m, v_set1(-1.6668057665e-1f));
    p = v_fma(p, m, v_set1(2.0000714765e-1f));
    p = v_fma(p, m, v_set1(-2.4999993993e-1f));
    p = v_fma(p, m, v_set1(3.3333331174e-1f));
    p = v_mul(v_mul(p, m), z);
    p = v_fma(e, v_set1(-2.12194440e-4f), p);
    p = v_fma(z, v_set1(-0.5f), p);
    vf y = v_fma(e, v_set1(0.693359375f), v_add(m, p));

    y = v_select(v_le(x, v_set1(0)), v_set1(-INFINITY), y); /* 0 */
    y = v_select(v_lt(x, v_set1(0)), v_set1(NAN), y);
    y = v_select(v_le(v_set1(INFINITY), x), x, y);
    return v_select(v_isnan(x), x, y);
}

/* Cephes tanhf: a polynomial below 0.625, else by exp. Within 2 ulp. */
static inline vf v_tanh(vf x)
{
    const vf t = v_abs(x), z = v_mul(x, x);
    vf p = v_set1(-5.70498872745e-3f);

    p = v_fma(p, z, v_set1(2.06390887954e-2f));
    p = v_fma(p, z, v_set1(-5.37397155531e-2f));
    p = v_fma(p, z, v_set1(1.33314422036e-1f));
    p = v_fma(p, z, v_set1(-3.33332819422e-1f));
    p = v_fma(v_mul(p, z), x, x);
    const vf e = v_exp(v_add(t, t));
    const vf q = v_sub(v_set1(1), v_div(v_set1(2), v_add(e, v_set1(1))));
    const vf y = v_select(v_lt(t, v_set1(0.625f)), p, v_copysign(q, x));

    return v_select(v_isnan(x), x, y);
}

static inline vf v_sigmoid(vf x)
{
    return v_div(v_set1(1), v_add(v_set1(1), v_exp(v_neg(x))));
}

/* Two polynomials that meet at 0.9277 (N. Juffa, stackoverflow.com/questions/35148198). Within 2
 * ulp. */
static inline vf v_erf(vf x)
{
    const vf t = v_abs(x), s = v_mul(x, x);
    vf far = v_fma(v_set1(-1.72853470e-5f), t, v_set1(3.83197126e-4f));
    vf near = v_set1(-5.96761703e-4f);

    far = v_fma(far, s, v_fma(v_set1(-3.88396438e-3f), t, v_set1(2.42546219e-2f)));
    far = v_fma(far, t, v_set1(-1.06777877e-1f));
    far = v_fma(far, t, v_set1(-6.34846687e-1f));
    far = v_fma(far, t, v_set1(-1.28717512e-1f));
    far = v_fma(far, t, v_neg(t));
    far = v_copysign(v_sub(v_set1(1), v_exp(far)), x);
    /* Beyond 4 it is 1, and the polynomial is no longer it. */
    far = v_select(v_lt(v_set1(4), t), v_copysign(v_set1(1), x), far);
    near = v_fma(near, s, v_set1(4.99119423e-3f));
    near = v_fma(near, s, v_set1(-2.67681349e-2f));
    near = v_fma(near, s, v_set1(1.12819925e-1f));
    near = v_fma(near, s, v_set1(-3.76125336e-1f));
    near = v_fma(near, s, v_set1(1.28379166e-1f));
    near = v_fma(near, x, x);
    return v_select(v_isnan(x), x, v_select(v_lt(v_set1(0.927734375f), t), far, near));
}

#endif
