/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_OPS_MATMUL_H
#define ACCEL_INFER_OPS_MATMUL_H

/* Shapes of numpy.matmul, for MatMul and its quantised forms. In ops/common/matmul.c. */

#include "infer/ops/op.h"

/* A vector on the left is a row, on the right a column, and goes again; the rest broadcasts. *rows
 * and *columns: of one product. Errors: INVALID. */
int accel_matmul_shape(const struct accel_shape *a, const struct accel_shape *b,
                       struct accel_shape *y, int64_t *rows, int64_t *columns,
                       struct accel_error *err);
/* Element strides of an operand's batch dimensions seen through the `rank` ones of the output;
 * matrix: elements of one of its matrices. */
void accel_matmul_strides(const struct accel_shape *t, size_t matrix, unsigned rank,
                          size_t *stride);

#endif
