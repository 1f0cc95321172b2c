/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/kernels/avx512/vec.h"

/* 28 sums, two vectors of B and one of A fill 31 of the 32 registers. */
#define GEMM_NAME    accel_f32_gemm_14x32__avx512
#define MR           14
#define GEMM_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
#include "infer/kernels/vec/f32_gemm.h"
