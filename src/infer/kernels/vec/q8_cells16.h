/* SPDX-License-Identifier: Apache-2.0 */
/* Template: two rows of Q8_COLUMNS bytes become pairs of 16 bits, under Q8_CELLS. */
#include <immintrin.h>

#include "infer/kernels/microkernels.h"

static inline __m128i widened(const uint8_t *x, bool is_signed)
{
    const __m128i bytes = _mm_loadl_epi64((const __m128i *)x);

    return is_signed ? _mm_cvtepi8_epi16(bytes) : _mm_cvtepu8_epi16(bytes);
}

static inline __attribute__((always_inline)) void pairs(const uint8_t *rows, size_t stride,
                                                        const bool is_signed, uint32_t *cells)
{
    for (size_t j = 0; j < Q8_COLUMNS; j += 8) {
        const __m128i r0 = widened(rows + j, is_signed), r1 = widened(rows + stride + j, is_signed);

        _mm_storeu_si128((__m128i *)(cells + j), _mm_unpacklo_epi16(r0, r1));
        _mm_storeu_si128((__m128i *)(cells + j + 4), _mm_unpackhi_epi16(r0, r1));
    }
}

void Q8_CELLS(const uint8_t *rows, size_t stride, bool is_signed, uint32_t *cells)
{
    if (is_signed)
        pairs(rows, stride, true, cells);
    else
        pairs(rows, stride, false, cells);
}
