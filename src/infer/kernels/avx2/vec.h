/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_AVX2_VEC_H
#define ACCEL_INFER_AVX2_VEC_H

/* What the templates in vec/ are written in, for AVX2 with FMA and F16C. avx512/vec.h has the same
 * names with the same meaning. */

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#define VEC_ISA(name) name##__avx2
#define VEC_WIDTH     8

typedef __m256 vf;     /* VEC_WIDTH floats */
typedef __m256 vm;     /* which of them: the result of a comparison */
typedef __m256i vtail; /* the first n of them, for loads and stores at an end */

static inline vtail v_tail(size_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n >= 8 ? 8 : (int)n),
                              _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline vf v_set1(float x)
{
    return _mm256_set1_ps(x);
}
static inline vf v_load(const float *p)
{
    return _mm256_loadu_ps(p);
}
static inline void v_store(float *p, vf v)
{
    _mm256_storeu_ps(p, v);
}
/* Lanes outside are 0 and their memory is not touched. */
static inline vf v_load_tail(const float *p, vtail t)
{
    return _mm256_maskload_ps(p, t);
}
static inline void v_store_tail(float *p, vtail t, vf v)
{
    _mm256_maskstore_ps(p, t, v);
}
/* p[0], p[step], ...; touches the lanes of the tail only. */
static inline vf v_gather_tail(const float *p, int step, vtail t)
{
    const __m256i index =
        _mm256_mullo_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(step));

    return _mm256_mask_i32gather_ps(_mm256_setzero_ps(), p, index, _mm256_castsi256_ps(t), 4);
}
/* p[0], p[2], ..., p[14]; does not touch p[15]. */
static inline vf v_load_even(const float *p)
{
    /* In each half: two of the first, two of the second load; then the halves are put in order. */
    const __m256 mixed =
        _mm256_shuffle_ps(_mm256_loadu_ps(p), _mm256_loadu_ps(p + 7), _MM_SHUFFLE(3, 1, 2, 0));

    return _mm256_castpd_ps(
        _mm256_permute4x64_pd(_mm256_castps_pd(mixed), _MM_SHUFFLE(3, 1, 2, 0)));
}
/* As v_load_even for the first n of 1..8 lanes; touches nothing beyond p[2 * n - 2]. */
static inline vf v_load_even_tail(const float *p, size_t n)
{
    const vf low = v_load_tail(p, v_tail(2 * n - 1));
    const vf high = n > 4 ? v_load_tail(p + 7, v_tail(2 * n - 8)) : _mm256_setzero_ps();
    const __m256 mixed = _mm256_shuffle_ps(low, high, _MM_SHUFFLE(3, 1, 2, 0));

    return _mm256_castpd_ps(
        _mm256_permute4x64_pd(_mm256_castps_pd(mixed), _MM_SHUFFLE(3, 1, 2, 0)));
}
/* Lanes first..last-1. */
static inline vtail v_range(size_t first, size_t last)
{
    return _mm256_andnot_si256(v_tail(first), v_tail(last));
}
static inline vf v_add(vf a, vf b)
{
    return _mm256_add_ps(a, b);
}
static inline vf v_sub(vf a, vf b)
{
    return _mm256_sub_ps(a, b);
}
static inline vf v_mul(vf a, vf b)
{
    return _mm256_mul_ps(a, b);
}
static inline vf v_div(vf a, vf b)
{
    return _mm256_div_ps(a, b);
}
static inline vf v_fma(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}
/* a < b ? a : b and a > b ? a : b: b when either is NaN. */
static inline vf v_min(vf a, vf b)
{
    return _mm256_min_ps(a, b);
}
static inline vf v_max(vf a, vf b)
{
    return _mm256_max_ps(a, b);
}
static inline vf v_sqrt(vf a)
{
    return _mm256_sqrt_ps(a);
}
static inline vf v_abs(vf a)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a);
}
static inline vf v_neg(vf a)
{
    return _mm256_xor_ps(a, _mm256_set1_ps(-0.0f));
}
/* |a| with the sign of b. */
static inline vf v_copysign(vf a, vf b)
{
    const vf sign = _mm256_set1_ps(-0.0f);

    return _mm256_or_ps(_mm256_andnot_ps(sign, a), _mm256_and_ps(sign, b));
}
static inline vf v_round(vf a)
{
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
static inline vf v_floor(vf a)
{
    return _mm256_floor_ps(a);
}
static inline vf v_ceil(vf a)
{
    return _mm256_ceil_ps(a);
}
static inline vm v_lt(vf a, vf b)
{
    return _mm256_cmp_ps(a, b, _CMP_LT_OQ);
}
static inline vm v_le(vf a, vf b)
{
    return _mm256_cmp_ps(a, b, _CMP_LE_OQ);
}
static inline vm v_isnan(vf a)
{
    return _mm256_cmp_ps(a, a, _CMP_UNORD_Q);
}
static inline vf v_select(vm m, vf yes, vf no)
{
    return _mm256_blendv_ps(no, yes, m);
}
/* 2^n by its bits, for whole n of -126..127. */
static inline vf v_exp2_bits(__m256i n)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}
/* m * 2^n for whole n of -252..252: in two steps, so that subnormal results come out right. */
static inline vf v_ldexp(vf m, vf n)
{
    const __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1);

    return _mm256_mul_ps(_mm256_mul_ps(m, v_exp2_bits(half)),
                         v_exp2_bits(_mm256_sub_epi32(whole, half)));
}
/* x = m * 2^*e with m in [0.5, 1), for positive x that is normal. */
static inline vf v_frexp(vf x, vf *e)
{
    const __m256i bits = _mm256_castps_si256(x);

    *e = _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_srli_epi32(bits, 23), _mm256_set1_epi32(126)));
    return _mm256_castsi256_ps(_mm256_or_si256(
        _mm256_and_si256(bits, _mm256_set1_epi32(0x007fffff)), _mm256_set1_epi32(0x3f000000)));
}
static inline float v_sum(vf a)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));

    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
/* Largest lane; no lane is NaN. */
static inline float v_largest(vf a)
{
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));

    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}
static inline int v_any(vm m)
{
    return _mm256_movemask_ps(m) != 0;
}
static inline vf v_from_f16(const uint16_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const void *)p));
}
static inline void v_to_f16(uint16_t *p, vf v)
{
    _mm_storeu_si128((void *)p, _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}
static inline vf v_from_bf16(const uint16_t *p)
{
    const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)p));

    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}
static inline void v_to_bf16(uint16_t *p, vf v)
{
    const __m256i bits = _mm256_castps_si256(v), top = _mm256_srli_epi32(bits, 16);
    const __m256i odd = _mm256_and_si256(top, _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_srli_epi32(
        _mm256_add_epi32(_mm256_add_epi32(bits, odd), _mm256_set1_epi32(0x7fff)), 16);
    const __m256i nan = _mm256_or_si256(top, _mm256_set1_epi32(0x40));
    const __m256i chosen = _mm256_blendv_epi8(rounded, nan, _mm256_castps_si256(v_isnan(v)));
    const __m256i packed = _mm256_packus_epi32(chosen, chosen); /* each half twice, in its half */

    _mm_storeu_si128((void *)p, _mm256_castsi256_si128(
                                    _mm256_permute4x64_epi64(packed, _MM_SHUFFLE(3, 1, 2, 0))));
}

#endif
