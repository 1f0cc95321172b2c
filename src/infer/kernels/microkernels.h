/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_MICROKERNELS_H
#define ACCEL_INFER_MICROKERNELS_H

/* Every microkernel by name, for dispatch.c and the files that define them. The folder of an
 * instruction set defines what is declared with its suffix. */

#include "infer/kernels/kernels.h"

#define ACCEL_DECLARE_UNARY_REF(name) accel_f32_unary_fn accel_f32_unary_##name##__ref;
ACCEL_UNARY_MAP(ACCEL_DECLARE_UNARY_REF)
#undef ACCEL_DECLARE_UNARY_REF

#define ACCEL_DECLARE_COMMON(isa)                                                                  \
    accel_f32_dot_fn accel_f32_dot__##isa;                                                         \
    accel_f32_binary_fn accel_f32_add__##isa, accel_f32_sub__##isa, accel_f32_mul__##isa,          \
        accel_f32_div__##isa, accel_f32_min__##isa, accel_f32_max2__##isa, accel_f32_prelu__##isa; \
    accel_f32_affine_fn accel_f32_affine__##isa;                                                   \
    accel_f32_affine_rows_fn accel_f32_affine_rows__##isa;                                         \
    accel_f32_sum_fn accel_f32_sum__##isa;                                                         \
    accel_f32_max_fn accel_f32_max__##isa;                                                         \
    accel_f32_sumsq_fn accel_f32_sumsq__##isa;                                                     \
    accel_f32_expsum_fn accel_f32_expsum__##isa;                                                   \
    accel_f32_taps_fn accel_f32_taps__##isa;                                                       \
    accel_f32_taps_max_fn accel_f32_taps_max__##isa;                                               \
    accel_f32_panel_fn accel_f32_patches__##isa;                                                   \
    accel_f16_to_f32_fn accel_f16_to_f32__##isa, accel_bf16_to_f32__##isa;                         \
    accel_f32_to_f16_fn accel_f32_to_f16__##isa, accel_f32_to_bf16__##isa;

ACCEL_DECLARE_COMMON(ref)
ACCEL_DECLARE_COMMON(avx2)
ACCEL_DECLARE_COMMON(avx512)

/* The unary operations that are worth a vector form; the others stay with the reference. */
#define ACCEL_UNARY_VECTOR_MAP(X) \
    X(RELU)                       \
    X(CLIP)                       \
    X(LEAKYRELU)                  \
    X(SIGMOID)                    \
    X(TANH)                       \
    X(HARDSIGMOID)                \
    X(HARDSWISH)                  \
    X(SILU)                       \
    X(GELU)                       \
    X(GELU_TANH)                  \
    X(ELU)                        \
    X(MISH)                       \
    X(EXP)                        \
    X(LOG)                        \
    X(SQRT)                       \
    X(RECIPROCAL)                 \
    X(ERF)                        \
    X(ABS)                        \
    X(NEG)                        \
    X(FLOOR)                      \
    X(CEIL)                       \
    X(ROUND)                      \
    X(SQUARE)
#define ACCEL_DECLARE_UNARY(name) \
    accel_f32_unary_fn accel_f32_unary_##name##__avx2, accel_f32_unary_##name##__avx512;
ACCEL_UNARY_VECTOR_MAP(ACCEL_DECLARE_UNARY)
#undef ACCEL_DECLARE_UNARY

accel_f32_gemm_fn accel_f32_gemm_4x8__ref, accel_f32_gemm_6x16__avx2, accel_f32_gemm_14x32__avx512;

accel_q8_gemm_fn accel_q8_gemm_6x16__avx2, accel_q8_gemm_14x32__avx512, accel_q8_gemm_14x32__vnni;
accel_q8_cells_fn accel_q8_cells__avx2, accel_q8_cells__avx512, accel_q8_cells__vnni;
accel_q8_row_fn accel_q8_row__avx2, accel_q8_row__avx512;

/* The double forms of the unary operations; no slots: accel_unary calls them. */
typedef void accel_f64_unary_fn(size_t n, const double *x, double *y, double alpha, double beta);
extern accel_f64_unary_fn *const accel_f64_unary__ref[ACCEL_UNARY_COUNT];

#endif
