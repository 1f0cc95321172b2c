/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/kernels/avx2/vec.h"

/* 12 sums, two vectors of B and one of A fill 15 of the 16 registers. */
#define GEMM_NAME    accel_f32_gemm_6x16__avx2
#define MR           6
#define GEMM_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6)
#include "infer/kernels/vec/f32_gemm.h"
