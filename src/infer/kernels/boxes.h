/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_BOXES_H
#define ACCEL_INFER_BOXES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/pool.h"

/* Non-maximum suppression among `n` boxes of one class: takes boxes by falling score (ties: the
 * first) and drops those that overlap one already taken by more than `iou`. ONNX
 * NonMaxSuppression-11, sums in float as ONNX Runtime has them. */
struct accel_nms {
    size_t n;
    const float *boxes;  /* [n][4]: y1 x1 y2 x2, either corner first; centered: x y width height */
    const float *scores; /* [n] */
    bool centered;
    float iou;
    const float *least; /* only scores above it; NULL: all */
    size_t most;        /* that are taken */
};
/* taken: room for min(n, most); order, work: n. Returns how many were taken. pool: asked whether to
 * go on. */
size_t accel_nms(struct accel_pool *pool, const struct accel_nms *nms, size_t *taken, size_t *order,
                 size_t *work);

#endif
