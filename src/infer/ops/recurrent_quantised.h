/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_OPS_RECURRENT_QUANTISED_H
#define ACCEL_INFER_OPS_RECURRENT_QUANTISED_H

/* What com.microsoft DynamicQuantizeLSTM has of its own: weights of 8 bits, W [D][input][4 * H] and
 * R [D][H][4 * H], each with scales and zero points [D] or [D][4 * H]. The floats on the other side
 * of a product are made UINT8 with one scale for all of them, found on the way. The cell itself is
 * LSTM's (recurrent.c). In ops/common/recurrent_quantised.c. */

#include "infer/ops/elements.h"

/* The two products of a direction, which are the inputs and the blobs as well. */
enum accel_qlstm_side { ACCEL_QLSTM_W, ACCEL_QLSTM_R };

/* Shapes of scales and zero points for so many directions and columns (< 0: not known). Errors:
 * INVALID. */
int accel_qlstm_check(const struct accel_infer *in, int64_t directions, int64_t columns,
                      struct accel_error *err);
/* Packs what is constant of W and R. Errors: those of accel_prepack_blob(). */
int accel_qlstm_prepack(struct accel_prepack *pack, size_t directions, struct accel_error *err);
/* Scratch of a product of `rows` rows. Errors: INVALID when it overflows. */
int accel_qlstm_scratch(const struct accel_prepare *prep, enum accel_qlstm_side side, size_t rows,
                        size_t *bytes, struct accel_error *err);
/* The zero points of all columns must be one number, of INT8 weights with a row of them 0. Errors:
 * INVALID. */
int accel_qlstm_zeros(const struct accel_run *run, struct accel_error *err);
/* y[rows][columns] = a[rows][k] times the weights of a direction, where only the first `set` rows
 * of a count, and of y are set; scratch as asked for with as many rows. */
void accel_qlstm_multiply(const struct accel_run *run, enum accel_qlstm_side side, size_t direction,
                          size_t rows, size_t set, const float *a, float *y, void *scratch);

#endif
