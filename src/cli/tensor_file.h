/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_CLI_TENSOR_FILE_H
#define ACCEL_CLI_TENSOR_FILE_H

/* Tensors as files: ONNX TensorProto (.pb, as the ONNX test data has them) and numpy's .npy. */

#include "acceld/infer.h"
#include "base/buf.h"

#define ACCEL_TENSOR_FILE_MAX ((size_t)2 << 30) /* bytes of a file that we read */

/* A tensor that owns its data. STRING elements: `data` is an array of pointers into the same
 * block, size_bytes is that of the pointers. */
struct accel_owned_tensor {
    char *name; /* as the file says; "" when it does not */
    struct accel_tensor tensor;
};

void accel_owned_tensor_free(struct accel_owned_tensor *t); /* fits ACCEL_CLEANUP; empties it */

/* Number of elements. Errors: INVALID when a dimension is negative or the product of dimensions
 * and element size overflows. */
int accel_tensor_count(const struct accel_tensor *t, size_t *count, struct accel_error *err);

/* One TensorProto. Its data must be inside (no external data) and exactly as long as its dims say.
 * Errors: INVALID, UNSUPPORTED (a data type we do not know), NOMEM. */
int accel_tensor_from_pb(const void *bytes, size_t size, struct accel_owned_tensor *t,
                         struct accel_error *err);
int accel_tensor_to_pb(const struct accel_tensor *t, const char *name, struct accel_buf *out,
                       struct accel_error *err);

/* .npy versions 1 to 3, C and Fortran order, numbers and bool of either byte order.
 * Errors: INVALID, UNSUPPORTED (objects, strings, records), NOMEM. */
int accel_tensor_from_npy(const void *bytes, size_t size, struct accel_owned_tensor *t,
                          struct accel_error *err);
/* Writes version 1, little-endian, C order. Errors: UNSUPPORTED (string and bfloat16: numpy has no
 * such types), NOMEM. */
int accel_tensor_to_npy(const struct accel_tensor *t, struct accel_buf *out,
                        struct accel_error *err);

/* By the file's suffix, .pb or .npy. Errors: as above, and those of opening and reading. */
int accel_tensor_read(const char *path, struct accel_owned_tensor *t, struct accel_error *err);
int accel_tensor_write(const char *path, const char *name, const struct accel_tensor *t,
                       struct accel_error *err);

/* "1x3x224x224", "scalar" for rank 0: into `text`, which is returned. */
const char *accel_shape_text(const int64_t *dims, uint32_t rank, char *text, size_t size);

#endif
