/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_COLUMNS_H
#define ACCEL_INFER_COLUMNS_H

#include "infer/kernels/kernels.h"

/* ONNX Col2Im-18: adds columns of blocks back into the image they were taken from.
 * x: [planes][prod kernel][prod steps], y: [planes][image...]; what falls into the padding is
 * dropped. */
struct accel_columns {
    unsigned spatial;
    size_t planes; /* batch x channels */
    size_t image[ACCEL_RANK_MAX], kernel[ACCEL_RANK_MAX];
    size_t steps[ACCEL_RANK_MAX]; /* places of the kernel along each axis */
    size_t stride[ACCEL_RANK_MAX], dilation[ACCEL_RANK_MAX], pad_begin[ACCEL_RANK_MAX];
};
/* FLOAT, DOUBLE and the integers, which wrap. false: another type. */
bool accel_columns_to_image(const struct accel_columns *columns, enum accel_dtype dtype,
                            const void *x, void *y);

#endif
