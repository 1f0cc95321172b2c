/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_ONNX_SPARSE_H
#define ACCEL_INFER_ONNX_SPARSE_H

/* ONNX SparseTensorProto in coordinate form (COO): `values` [n] lie at `indices` of a tensor of
 * `shape`, all else is zero. indices: INT64 [n], counted through the dense tensor, or [n, rank], a
 * coordinate per axis; ascending, each place once. */

#include "infer/graph/graph.h"

/* Types and ranks. Errors: INVALID, UNSUPPORTED (strings). */
int accel_sparse_check(const struct accel_tensor *values, const struct accel_tensor *indices,
                       const struct accel_shape *shape, struct accel_error *err);
/* Puts the values of a checked pair into dense->data, zeroed memory of the whole tensor.
 * Errors: INVALID (an index out of range or out of order), NOMEM. */
int accel_sparse_fill(const struct accel_tensor *values, const struct accel_tensor *indices,
                      const struct accel_shape *shape, struct accel_tensor *dense,
                      struct accel_error *err);

#endif
