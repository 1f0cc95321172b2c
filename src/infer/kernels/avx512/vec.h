/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_AVX512_VEC_H
#define ACCEL_INFER_AVX512_VEC_H

/* What the templates in vec/ are written in, for AVX-512 (F, BW, DQ, VL). avx2/vec.h has the same
 * names with the same meaning. */

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#define VEC_ISA(name) name##__avx512
#define VEC_WIDTH     16

typedef __m512 vf;       /* VEC_WIDTH floats */
typedef __mmask16 vm;    /* which of them: the result of a comparison */
typedef __mmask16 vtail; /* the first n of them, for loads and stores at an end */

static inline vtail v_tail(size_t n)
{
    return (vtail)(n >= 16 ? 0xffffu : (1u << n) - 1);
}
static inline vf v_set1(float x)
{
    return _mm512_set1_ps(x);
}
static inline vf v_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
static inline void v_store(float *p, vf v)
{
    _mm512_storeu_ps(p, v);
}
/* Lanes outside are 0 and their memory is not touched. */
static inline vf v_load_tail(const float *p, vtail t)
{
    return _mm512_maskz_loadu_ps(t, p);
}
static inline void v_store_tail(float *p, vtail t, vf v)
{
    _mm512_mask_storeu_ps(p, t, v);
}
/* p[0], p[step], ...; touches the lanes of the tail only. */
static inline vf v_gather_tail(const float *p, int step, vtail t)
{
    const __m512i index =
        _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                           _mm512_set1_epi32(step));

    return _mm512_mask_i32gather_ps(_mm512_setzero_ps(), t, index, p, 4);
}
/* p[0], p[2], ..., p[30]; does not touch p[31]. */
static inline vf v_load_even(const float *p)
{
    const __m512i pick =
        _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 17, 19, 21, 23, 25, 27, 29, 31);

    return _mm512_permutex2var_ps(_mm512_loadu_ps(p), pick, _mm512_loadu_ps(p + 15));
}
/* As v_load_even for the first n of 1..16 lanes; touches nothing beyond p[2 * n - 2]. */
static inline vf v_load_even_tail(const float *p, size_t n)
{
    const __m512i pick =
        _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 17, 19, 21, 23, 25, 27, 29, 31);
    const vf low = v_load_tail(p, v_tail(2 * n - 1));

    if (n <= 8)
        return _mm512_permutexvar_ps(pick, low); /* indices wrap: those lanes mean nothing */
    return _mm512_permutex2var_ps(low, pick, v_load_tail(p + 15, v_tail(2 * n - 16)));
}
/* Lanes first..last-1. */
static inline vtail v_range(size_t first, size_t last)
{
    return (vtail)(v_tail(last) & ~v_tail(first));
}
static inline vf v_add(vf a, vf b)
{
    return _mm512_add_ps(a, b);
}
static inline vf v_sub(vf a, vf b)
{
    return _mm512_sub_ps(a, b);
}
static inline vf v_mul(vf a, vf b)
{
    return _mm512_mul_ps(a, b);
}
static inline vf v_div(vf a, vf b)
{
    return _mm512_div_ps(a, b);
}
static inline vf v_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}
/* a < b ? a : b and a > b ? a : b: b when either is NaN. */
static inline vf v_min(vf a, vf b)
{
    return _mm512_min_ps(a, b);
}
static inline vf v_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}
static inline vf v_sqrt(vf a)
{
    return _mm512_sqrt_ps(a);
}
static inline vf v_abs(vf a)
{
    return _mm512_abs_ps(a);
}
static inline vf v_neg(vf a)
{
    return _mm512_xor_ps(a, _mm512_set1_ps(-0.0f));
}
/* |a| with the sign of b. */
static inline vf v_copysign(vf a, vf b)
{
    const vf sign = _mm512_set1_ps(-0.0f);

    return _mm512_or_ps(_mm512_andnot_ps(sign, a), _mm512_and_ps(sign, b));
}
static inline vf v_round(vf a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
static inline vf v_floor(vf a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
}
static inline vf v_ceil(vf a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC);
}
static inline vm v_lt(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}
static inline vm v_le(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ);
}
static inline vm v_isnan(vf a)
{
    return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q);
}
static inline vf v_select(vm m, vf yes, vf no)
{
    return _mm512_mask_blend_ps(m, no, yes);
}
/* m * 2^n for whole n of -252..252: in two steps, so that subnormal results come out right. */
static inline vf v_ldexp(vf m, vf n)
{
    return _mm512_scalef_ps(m, n);
}
/* x = m * 2^*e with m in [0.5, 1), for positive x that is normal. */
static inline vf v_frexp(vf x, vf *e)
{
    *e = _mm512_add_ps(_mm512_getexp_ps(x), _mm512_set1_ps(1));
    return _mm512_getmant_ps(x, _MM_MANT_NORM_p5_1, _MM_MANT_SIGN_src);
}
static inline float v_sum(vf a)
{
    return _mm512_reduce_add_ps(a);
}
/* Largest lane; no lane is NaN. */
static inline float v_largest(vf a)
{
    return _mm512_reduce_max_ps(a);
}
static inline int v_any(vm m)
{
    return m != 0;
}
static inline vf v_from_f16(const uint16_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const void *)p));
}
static inline void v_to_f16(uint16_t *p, vf v)
{
    _mm256_storeu_si256((void *)p, _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}
static inline vf v_from_bf16(const uint16_t *p)
{
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)p));

    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}
static inline void v_to_bf16(uint16_t *p, vf v)
{
    const __m512i bits = _mm512_castps_si512(v), top = _mm512_srli_epi32(bits, 16);
    const __m512i odd = _mm512_and_si512(top, _mm512_set1_epi32(1));
    const __m512i rounded = _mm512_srli_epi32(
        _mm512_add_epi32(_mm512_add_epi32(bits, odd), _mm512_set1_epi32(0x7fff)), 16);
    const __m512i nan = _mm512_or_si512(top, _mm512_set1_epi32(0x40));

    _mm256_storeu_si256((void *)p,
                        _mm512_cvtepi32_epi16(_mm512_mask_mov_epi32(rounded, v_isnan(v), nan)));
}

#endif
