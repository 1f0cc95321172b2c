/* SPDX-License-Identifier: Apache-2.0 */
/* Template of the row kernels; the includer has included its vec.h. Sums go over four vectors, so
 * that the latency of an addition is hidden. */
#include <math.h>

#include "infer/kernels/microkernels.h"
#include "infer/kernels/vec/math.h"

float VEC_ISA(accel_f32_dot)(size_t k, const float *a, const float *b)
{
    vf acc[4] = {v_set1(0), v_set1(0), v_set1(0), v_set1(0)};
    size_t i = 0;

    for (; i + 4 * VEC_WIDTH <= k; i += 4 * VEC_WIDTH)
        for (size_t j = 0; j < 4; j++)
            acc[j] = v_fma(v_load(a + i + j * VEC_WIDTH), v_load(b + i + j * VEC_WIDTH), acc[j]);
    for (; i < k; i += VEC_WIDTH) {
        const vtail tail = v_tail(k - i);

        acc[0] = v_fma(v_load_tail(a + i, tail), v_load_tail(b + i, tail), acc[0]);
    }
    return v_sum(v_add(v_add(acc[0], acc[1]), v_add(acc[2], acc[3])));
}

void VEC_ISA(accel_f32_affine)(size_t n, const float *x, float scale, float shift, float *y)
{
    const vf s = v_set1(scale), t = v_set1(shift);
    size_t i = 0;

    for (; i + VEC_WIDTH <= n; i += VEC_WIDTH)
        v_store(y + i, v_fma(v_load(x + i), s, t));
    if (i < n) {
        const vtail tail = v_tail(n - i);

        v_store_tail(y + i, tail, v_fma(v_load_tail(x + i, tail), s, t));
    }
}

void VEC_ISA(accel_f32_affine_rows)(size_t n, const float *x, const float *scale,
                                    const float *shift, float *y)
{
    size_t i = 0;

    for (; i + VEC_WIDTH <= n; i += VEC_WIDTH) {
        const vf t = shift != NULL ? v_load(shift + i) : v_set1(0);

        v_store(y + i, v_fma(v_load(x + i), v_load(scale + i), t));
    }
    if (i < n) {
        const vtail tail = v_tail(n - i);
        const vf t = shift != NULL ? v_load_tail(shift + i, tail) : v_set1(0);

        v_store_tail(y + i, tail, v_fma(v_load_tail(x + i, tail), v_load_tail(scale + i, tail), t));
    }
}

float VEC_ISA(accel_f32_sum)(size_t n, const float *x)
{
    vf acc[4] = {v_set1(0), v_set1(0), v_set1(0), v_set1(0)};
    size_t i = 0;

    for (; i + 4 * VEC_WIDTH <= n; i += 4 * VEC_WIDTH)
        for (size_t j = 0; j < 4; j++)
            acc[j] = v_add(acc[j], v_load(x + i + j * VEC_WIDTH));
    for (; i < n; i += VEC_WIDTH)
        acc[0] = v_add(acc[0], v_load_tail(x + i, v_tail(n - i)));
    return v_sum(v_add(v_add(acc[0], acc[1]), v_add(acc[2], acc[3])));
}

float VEC_ISA(accel_f32_sumsq)(size_t n, const float *x, float shift)
{
    const vf s = v_set1(shift);
    vf acc[4] = {v_set1(0), v_set1(0), v_set1(0), v_set1(0)};
    float sum = 0;
    size_t i = 0;

    for (; i + 4 * VEC_WIDTH <= n; i += 4 * VEC_WIDTH)
        for (size_t j = 0; j < 4; j++) {
            const vf d = v_sub(v_load(x + i + j * VEC_WIDTH), s);

            acc[j] = v_fma(d, d, acc[j]);
        }
    for (; i + VEC_WIDTH <= n; i += VEC_WIDTH) {
        const vf d = v_sub(v_load(x + i), s);

        acc[0] = v_fma(d, d, acc[0]);
    }
    for (; i < n; i++) /* a tail loaded as zeros would give shift squared */
        sum += (x[i] - shift) * (x[i] - shift);
    return sum + v_sum(v_add(v_add(acc[0], acc[1]), v_add(acc[2], acc[3])));
}

float VEC_ISA(accel_f32_max)(size_t n, const float *x)
{
    const vf least = v_set1(-INFINITY);
    vf max = least, unordered = v_set1(0); /* NaN where one was seen: NaN - NaN, else 0 or NaN */
    float result;
    size_t i = 0;

    for (; i + VEC_WIDTH <= n; i += VEC_WIDTH) {
        const vf v = v_load(x + i);

        unordered = v_select(v_isnan(v), v, unordered);
        max = v_max(v, max); /* keeps max when v is NaN */
    }
    result = v_largest(max);
    for (; i < n; i++) {
        if (x[i] != x[i])
            return x[i];
        result = x[i] > result ? x[i] : result;
    }
    return v_any(v_isnan(unordered)) ? NAN : result;
}

float VEC_ISA(accel_f32_expsum)(size_t n, const float *x, float shift, float *y)
{
    const vf s = v_set1(shift);
    vf sum = v_set1(0);
    size_t i = 0;

    for (; i + VEC_WIDTH <= n; i += VEC_WIDTH) {
        const vf e = v_exp(v_sub(v_load(x + i), s));

        sum = v_add(sum, e);
        if (y != NULL)
            v_store(y + i, e);
    }
    if (i < n) {
        const vtail tail = v_tail(n - i);
        float last[VEC_WIDTH];
        const vf e = v_exp(v_sub(v_load_tail(x + i, tail), s));

        v_store(last, e);
        if (y != NULL)
            v_store_tail(y + i, tail, e);
        sum = v_add(sum, v_load_tail(last, tail)); /* lanes beyond the end are not counted */
    }
    return v_sum(sum);
}

/* Loads n >= 1 values of x[0], x[step], ... */
static inline vf load_strided(const float *x, size_t step, size_t n)
{
    if (step == 1)
        return n >= VEC_WIDTH ? v_load(x) : v_load_tail(x, v_tail(n));
    if (step == 2)
        return n >= VEC_WIDTH ? v_load_even(x) : v_load_even_tail(x, n);
    return v_gather_tail(x, (int)step, v_tail(n));
}

/* One vector of outputs at a time, the taps inside: the sums stay in a register. STEP is a constant
 * where this is inlined. */
static inline __attribute__((always_inline)) void taps_step(size_t n, size_t taps,
                                                            const float *const *x, const float *w,
                                                            size_t step, vf bias, vf lo, vf hi,
                                                            float *y)
{
    size_t i = 0;

    for (; step == 1 && i + 4 * VEC_WIDTH <= n; i += 4 * VEC_WIDTH) {
        vf a = bias, b = bias, c = bias, d = bias;

        for (size_t t = 0; t < taps; t++) {
            const vf weight = v_set1(w[t]);
            const float *from = x[t] + i;

            a = v_fma(weight, v_load(from), a);
            b = v_fma(weight, v_load(from + VEC_WIDTH), b);
            c = v_fma(weight, v_load(from + 2 * VEC_WIDTH), c);
            d = v_fma(weight, v_load(from + 3 * VEC_WIDTH), d);
        }
        v_store(y + i, v_min(hi, v_max(lo, a)));
        v_store(y + i + VEC_WIDTH, v_min(hi, v_max(lo, b)));
        v_store(y + i + 2 * VEC_WIDTH, v_min(hi, v_max(lo, c)));
        v_store(y + i + 3 * VEC_WIDTH, v_min(hi, v_max(lo, d)));
    }
    for (; i + 2 * VEC_WIDTH <= n; i += 2 * VEC_WIDTH) {
        vf a = bias, b = bias;

        for (size_t t = 0; t < taps; t++) {
            const vf weight = v_set1(w[t]);

            a = v_fma(weight, load_strided(x[t] + i * step, step, VEC_WIDTH), a);
            b = v_fma(weight, load_strided(x[t] + (i + VEC_WIDTH) * step, step, VEC_WIDTH), b);
        }
        v_store(y + i, v_min(hi, v_max(lo, a)));
        v_store(y + i + VEC_WIDTH, v_min(hi, v_max(lo, b)));
    }
    for (; i + VEC_WIDTH <= n; i += VEC_WIDTH) {
        vf a = bias;

        for (size_t t = 0; t < taps; t++)
            a = v_fma(v_set1(w[t]), load_strided(x[t] + i * step, step, VEC_WIDTH), a);
        v_store(y + i, v_min(hi, v_max(lo, a)));
    }
    if (i < n) {
        vf a = bias;

        for (size_t t = 0; t < taps; t++)
            a = v_fma(v_set1(w[t]), load_strided(x[t] + i * step, step, n - i), a);
        v_store_tail(y + i, v_tail(n - i), v_min(hi, v_max(lo, a)));
    }
}

void VEC_ISA(accel_f32_taps)(size_t n, size_t taps, const float *const *x, const float *w,
                             size_t stride, float bias, float lo, float hi, float *y)
{
    if (stride == 1)
        taps_step(n, taps, x, w, 1, v_set1(bias), v_set1(lo), v_set1(hi), y);
    else if (stride == 2)
        taps_step(n, taps, x, w, 2, v_set1(bias), v_set1(lo), v_set1(hi), y);
    else if (stride <= INT32_MAX / VEC_WIDTH)
        taps_step(n, taps, x, w, stride, v_set1(bias), v_set1(lo), v_set1(hi), y);
    else
        accel_f32_taps__ref(n, taps, x, w, stride, bias, lo, hi, y);
}

/* As the reference: NaN in any tap wins. */
static inline vf join_max(vf max, vf v)
{
    return v_select(v_isnan(max), max, v_max(max, v));
}

static inline __attribute__((always_inline)) void taps_max_step(size_t n, size_t taps,
                                                                const float *const *x, size_t step,
                                                                float *y)
{
    for (size_t i = 0; i < n; i += VEC_WIDTH) {
        const size_t m = n - i < VEC_WIDTH ? n - i : VEC_WIDTH;
        vf max = load_strided(x[0] + i * step, step, m);

        for (size_t t = 1; t < taps; t++)
            max = join_max(max, load_strided(x[t] + i * step, step, m));
        if (m == VEC_WIDTH)
            v_store(y + i, max);
        else
            v_store_tail(y + i, v_tail(m), max);
    }
}

void VEC_ISA(accel_f32_taps_max)(size_t n, size_t taps, const float *const *x, size_t stride,
                                 float *y)
{
    if (stride == 1)
        taps_max_step(n, taps, x, 1, y);
    else if (stride == 2)
        taps_max_step(n, taps, x, 2, y);
    else if (stride <= INT32_MAX / VEC_WIDTH)
        taps_max_step(n, taps, x, stride, y);
    else
        accel_f32_taps_max__ref(n, taps, x, stride, y);
}
