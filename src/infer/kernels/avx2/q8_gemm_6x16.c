/* SPDX-License-Identifier: Apache-2.0 */
#include <immintrin.h>

/* 12 sums, two vectors of B, one of A and a product fill the 16 registers. vpmaddwd adds two
 * products of 16 bits exactly; vpmaddubsw would saturate. */
#define Q8_NAME      accel_q8_gemm_6x16__avx2
#define Q8_LANES     8
#define MR           6
#define GEMM_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6)
typedef __m256i qv;
#define q_zero()         _mm256_setzero_si256()
#define q_load(p)        _mm256_loadu_si256((const __m256i *)(p))
#define q_store(p, v)    _mm256_storeu_si256((__m256i *)(p), v)
#define q_cell(c)        _mm256_set1_epi32((int32_t)(c))
#define q_dot(sum, b, a) _mm256_add_epi32(sum, _mm256_madd_epi16(b, a))
#include "infer/kernels/vec/q8_gemm.h"
