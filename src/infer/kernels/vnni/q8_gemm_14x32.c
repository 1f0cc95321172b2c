/* SPDX-License-Identifier: Apache-2.0 */
#include <immintrin.h>

/* vpdpbusd: four products of an unsigned and a signed byte are added to a sum, modulo 2^32 (it is
 * vpdpbusds that saturates). */
#define Q8_NAME          accel_q8_gemm_14x32__vnni
#define q_dot(sum, b, a) _mm512_dpbusd_epi32(sum, b, a)
#include "infer/kernels/vec/q8_gemm512.h"

void accel_q8_cells__vnni(const uint8_t *rows, size_t stride, bool is_signed, uint32_t *cells)
{
    const __m128i flip = _mm_set1_epi8(is_signed ? INT8_MIN : 0);

    for (size_t j = 0; j < (size_t)2 * Q8_LANES; j += 16) {
        __m128i r[4];

        for (size_t t = 0; t < 4; t++)
            r[t] = _mm_xor_si128(_mm_loadu_si128((const __m128i *)(rows + t * stride + j)), flip);
        const __m128i low01 = _mm_unpacklo_epi8(r[0], r[1]), low23 = _mm_unpacklo_epi8(r[2], r[3]);
        const __m128i high01 = _mm_unpackhi_epi8(r[0], r[1]);
        const __m128i high23 = _mm_unpackhi_epi8(r[2], r[3]);

        _mm_storeu_si128((__m128i *)(cells + j), _mm_unpacklo_epi16(low01, low23));
        _mm_storeu_si128((__m128i *)(cells + j + 4), _mm_unpackhi_epi16(low01, low23));
        _mm_storeu_si128((__m128i *)(cells + j + 8), _mm_unpacklo_epi16(high01, high23));
        _mm_storeu_si128((__m128i *)(cells + j + 12), _mm_unpackhi_epi16(high01, high23));
    }
}
