/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_Q8_H
#define ACCEL_INFER_Q8_H

/* The blocked product of 8-bit integers under the quantised products and convolutions, for tables
 * that have q8_gemm.
 *
 * Both operands become cells of 4 bytes along K (see accel_q8_tile). A goes in strips of `mr` rows,
 * [cells + 1][mr], B in panels of NR columns, [cells + 1][NR]; the first line of each holds the
 * sums over K, by which zero points enter after the product: sum (a - za) (b - zb) = sum a b - zb
 * sum a - za sum b + K za zb K is not blocked: sums stay in registers to the end. A task is a range
 * of strips by a range of panels and packs what is not packed into its thread's scratch, as the
 * product of floats does. */

#include "infer/kernels/quant.h"

/* Bytes j0..j0+n of row k of B. */
typedef void accel_q8_bytes_fn(const void *context, size_t k, size_t j0, size_t n, uint8_t *row);

struct accel_q8_core {
    const struct accel_kernels *kernels;
    size_t m, n, k;
    bool a_signed, b_signed;
    const uint32_t *packed_a; /* or: */
    const uint8_t *a;
    size_t a_row, a_col;
    const uint32_t *packed_b; /* or: */
    accel_q8_bytes_fn *bytes;
    const void *context;
    const void *a_zero, *b_zero; /* NULL: 0 */
    size_t a_zero_stride, b_zero_stride;
    const int32_t *c; /* NULL: none */
    size_t c_row, c_col;
    struct accel_quant_out out; /* y: of this product */
    bool scale_of_row;          /* b_scale is by row, not by column */
    size_t ldy;
};

struct accel_q8_cut {
    size_t mr, cells, strips, panels;
    size_t task_strips, task_panels, tasks_m, tasks_n;
    size_t words; /* of scratch per thread, in units of 4 bytes */
};

/* repeats: how many products of this shape are run at once. false: the sizes overflow. */
bool accel_q8_cut_of(const struct accel_kernels *kernels, size_t m, size_t n, size_t k,
                     bool a_packed, bool b_packed, size_t repeats, unsigned threads,
                     struct accel_q8_cut *cut);
void accel_q8_task(const struct accel_q8_core *core, const struct accel_q8_cut *cut, size_t task,
                   uint32_t *scratch);

/* Words of a packed operand; false: they overflow. */
bool accel_q8_a_words(const struct accel_kernels *kernels, size_t m, size_t k, size_t *words);
bool accel_q8_b_words(const struct accel_kernels *kernels, size_t k, size_t n, size_t *words);
void accel_q8_pack_a(const struct accel_kernels *kernels, size_t m, size_t k, bool is_signed,
                     const uint8_t *a, size_t a_row, size_t a_col, uint32_t *packed);
void accel_q8_pack_b(const struct accel_kernels *kernels, size_t k, size_t n, bool is_signed,
                     accel_q8_bytes_fn *bytes, const void *context, uint32_t *packed);

#endif
