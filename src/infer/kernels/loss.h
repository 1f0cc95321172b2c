/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_LOSS_H
#define ACCEL_INFER_LOSS_H

#include "infer/kernels/kernels.h"

enum accel_loss_reduction { ACCEL_LOSS_NONE, ACCEL_LOSS_SUM, ACCEL_LOSS_MEAN };

/* Negative log likelihood of labels under log-probabilities x: [outer][classes][inner]: ONNX
 * NegativeLogLikelihoodLoss-12. FLOAT, DOUBLE; sums in double. */
struct accel_nll {
    enum accel_dtype dtype;
    size_t outer, classes, inner;
    const void *x;
    const void *labels; /* [outer][inner] of label_type, INT32 or INT64 */
    enum accel_dtype label_type;
    const void *weight; /* [classes]; NULL: all 1 */
    bool ignores;       /* labels of `ignored` count for nothing */
    int64_t ignored;
    enum accel_loss_reduction reduction;
};
/* y: [outer][inner], one number when reduced. MEAN divides by the weights of the labels taken.
 * Returns the number of labels, or the first that is no class. */
size_t accel_nll(const struct accel_nll *nll, void *y);
/* y = log(softmax(x)) over the middle axis of [outer][classes][inner]. FLOAT, DOUBLE; in double. */
void accel_log_softmax(enum accel_dtype dtype, size_t outer, size_t classes, size_t inner,
                       const void *x, void *y);

#endif
