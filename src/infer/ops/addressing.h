/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_OPS_ADDRESSING_H
#define ACCEL_INFER_OPS_ADDRESSING_H

/* How Gather and Scatter find elements: by tuples of indices (ND), or by one index along an axis
 * (Elements). Indices are INT32 or INT64, negative ones count from the end. */

#include "infer/ops/elements.h"

/* *depth: axes that one tuple addresses, the last dimension of the indices; < 0: not known. Of
 * GatherND the axes before the indexed ones are shared with the indices: batch_dims.
 * Errors: INVALID. */
int accel_nd_depth(const struct accel_shape *x, const struct accel_shape *indices, int64_t batch,
                   int64_t *depth, struct accel_error *err);
/* Element offset that the index tuple number i, of `depth` axes from `first` on, points at.
 * Errors: INVALID (an index outside its axis). */
int accel_tuple_offset(const struct accel_tensor *x, const struct accel_tensor *indices, size_t i,
                       uint32_t first, size_t depth, size_t *offset, struct accel_error *err);

/* Errors: INVALID: indices of another rank, or larger in a dimension that is not `axis`. */
int accel_same_but_axis(const struct accel_shape *x, const struct accel_shape *at, uint32_t axis,
                        struct accel_error *err);
/* Offset in x of element number i of `at`, whose coordinate on the axis is its value.
 * Errors: INVALID (an index outside the axis). */
int accel_element_offset(const struct accel_tensor *x, const struct accel_tensor *at, size_t i,
                         uint32_t axis, size_t *offset, struct accel_error *err);

#endif
