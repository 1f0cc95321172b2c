/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_OPS_QUANTISED_H
#define ACCEL_INFER_OPS_QUANTISED_H

/* What the operators on quantised tensors share: where scales and zero points lie among the inputs,
 * what shapes they may have, and how a kernel is told. In ops/common/quantised.c. */

#include "infer/kernels/quant.h"
#include "infer/ops/elements.h"

/* Of a product of two quantised operands, the first of which is input 0; 0: has none. */
struct accel_quant_places {
    size_t b, a_scale, a_zero, b_scale, b_zero, y_scale, y_zero;
    size_t c;    /* integers added to the sum */
    size_t bias; /* floats added to the result */
};

/* Input i has one element, if it is there. Errors: UNSUPPORTED. */
int accel_quant_single(const struct accel_infer *in, size_t i, struct accel_error *err);
/* Shapes of scales and zero points for a product of so many rows and columns (< 0: not known): each
 * one element, or a's one per row, b's one per column. Errors: INVALID, UNSUPPORTED. */
int accel_quant_check(const struct accel_infer *in, const struct accel_quant_places *places,
                      int64_t rows, int64_t columns, struct accel_error *err);
/* INT32 without scales, that of the output's zero point where there is one, else FLOAT. */
enum accel_dtype accel_quant_result(const struct accel_infer *in,
                                    const struct accel_quant_places *places);

/* The zero point at input i, 0 when it is left out (or i is 0: there is none). */
int32_t accel_quant_zero(const struct accel_run *run, size_t i);
/* Bytes of input i; NULL: left out (or i is 0). */
const void *accel_quant_data(const struct accel_run *run, size_t i);
/* 1 when input i has an element per row (column), 0 when it has one in all or is left out. */
size_t accel_quant_stride(const struct accel_run *run, size_t i);
/* Scale at input i, zero point at i + 1. */
struct accel_quant_param accel_quant_param_of(const struct accel_run *run, size_t i);
static inline bool accel_quant_signed(const struct accel_tensor *t)
{
    return t->dtype == ACCEL_DTYPE_INT8;
}
/* How sums become output 0. */
struct accel_quant_out accel_quant_out_of(const struct accel_run *run,
                                          const struct accel_quant_places *places);

#define ACCEL_T_Q8 (ACCEL_T(UINT8) | ACCEL_T(INT8))
/* The first six inputs of a product: operand, scale, zero point, twice. */
#define ACCEL_QUANTISED_PAIR(A, B)                                      \
    {A, ACCEL_T_Q8, 'A', 0}, {A "_scale", ACCEL_T(FLOAT), 0, 0},        \
        {A "_zero_point", ACCEL_T_Q8, 'A', 0}, {B, ACCEL_T_Q8, 'B', 0}, \
        {B "_scale", ACCEL_T(FLOAT), 0, 0},                             \
    {                                                                   \
        B "_zero_point", ACCEL_T_Q8, 'B', 0                             \
    }

#endif
