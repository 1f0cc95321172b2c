/* SPDX-License-Identifier: Apache-2.0 */
#include <immintrin.h>

/* As the AVX2 form: 28 sums, two vectors of B, one of A and a product fill the 32 registers. */
#define Q8_NAME          accel_q8_gemm_14x32__avx512
#define q_dot(sum, b, a) _mm512_add_epi32(sum, _mm512_madd_epi16(b, a))
#include "infer/kernels/vec/q8_gemm512.h"
