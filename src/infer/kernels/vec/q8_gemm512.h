/* SPDX-License-Identifier: Apache-2.0 */
/* The tile of 14 rows by two registers of AVX-512, for q_dot() of the includer. */
#define Q8_LANES     16
#define MR           14
#define GEMM_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
typedef __m512i qv;
#define q_zero()      _mm512_setzero_si512()
#define q_load(p)     _mm512_loadu_si512(p)
#define q_store(p, v) _mm512_storeu_si512(p, v)
#define q_cell(c)     _mm512_set1_epi32((int32_t)(c))
#include "infer/kernels/vec/q8_gemm.h"
