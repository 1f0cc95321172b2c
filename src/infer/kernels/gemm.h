/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_GEMM_H
#define ACCEL_INFER_GEMM_H

/* The blocked matrix product under Gemm, MatMul and the convolutions.
 *
 * A goes in strips of `mr` rows, B in panels of NR columns, K in blocks of `kc`: packed A is
 * [k block][strip][kc][mr], packed B [k block][panel][kc][NR], zeros beyond m and n. A task is a
 * range of strips by a range of panels: it packs what is not packed yet into its thread's scratch,
 * so threads never wait for each other. mr is the table's row count made even over the strips: 64
 * rows by kernels of 14 are five strips of 13, not four of 14 and one of 8. */

#include "infer/kernels/kernels.h"

struct accel_gemm_core {
    const struct accel_kernels *kernels;
    size_t m, n, k;
    const float *packed_a;          /* or: */
    accel_f32_panel_fn *pack_strip; /* rows i0..i0+n of A into [kc][mr], or NULL: */
    const void *strip_context;
    const float *a;
    size_t lda;
    bool trans_a;
    float alpha;           /* multiplies a when it is packed here */
    const float *packed_b; /* or: */
    accel_f32_panel_fn *pack_panel;
    const void *pack_context;
    /* y = act(product + bias + residual + beta * c) */
    const float *bias_row, *bias_col;
    const float *residual;
    size_t ldr;
    float beta;
    const float *c;
    size_t c_row_stride, c_col_stride;
    struct accel_activation act;
    float *y;
    size_t ldy;
    bool y_of_task;                /* y begins with the task's own first row and column */
    const struct accel_pool *pool; /* asked whether to go on; NULL: to the end */
};

/* How a product is cut up; the same for all products of one shape. */
struct accel_gemm_cut {
    size_t mr, nr, kc;
    size_t strips, panels, k_blocks;
    size_t task_strips, task_panels; /* of one task */
    size_t tasks_m, tasks_n;
    size_t scratch_floats; /* per thread */
};

/* repeats: how many products of this shape are run at once (batch, groups). */
struct accel_gemm_cut accel_gemm_cut_of(const struct accel_kernels *kernels, size_t m, size_t n,
                                        size_t k, bool a_packed, bool b_packed, size_t repeats,
                                        unsigned threads);
/* Rows i0..i1 and columns j0..j1 of a task. */
struct accel_gemm_part {
    size_t i0, i1, j0, j1;
};
struct accel_gemm_part accel_gemm_part_of(const struct accel_gemm_cut *cut, size_t m, size_t n,
                                          size_t task);
void accel_gemm_task(const struct accel_gemm_core *core, const struct accel_gemm_cut *cut,
                     size_t task, float *scratch);

/* Sizes in bytes of packed operands; false: they overflow. */
bool accel_gemm_a_size(const struct accel_kernels *kernels, size_t m, size_t k, size_t *bytes);
bool accel_gemm_b_size(const struct accel_kernels *kernels, size_t k, size_t n, size_t *bytes);
/* threads * floats per thread, rounded so that each thread's part is aligned; false: overflow. */
bool accel_gemm_scratch_size(const struct accel_gemm_cut *cut, unsigned threads, size_t *bytes);

#endif
