/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_ONNX_TAR_H
#define ACCEL_INFER_ONNX_TAR_H

/* A plain (ustar, or GNU tar's likeness of it) archive in memory, member by member. */

#include "infer/onnx/wire.h"

struct accel_tar {
    struct accel_slice bytes;
    size_t at;
};

struct accel_tar_member {
    char name[257]; /* prefix/name, a leading "./" left out */
    struct accel_slice data;
};

/* True when the bytes begin with a ustar header. */
bool accel_is_tar(const void *bytes, size_t size);
/* The next regular file: 1; 0: the end; negative: -ACCEL_E_INVALID (checksum, size past the end) or
 * -ACCEL_E_UNSUPPORTED (a sparse or long-named member). Folders and pax headers are skipped. */
int accel_tar_next(struct accel_tar *tar, struct accel_tar_member *member, struct accel_error *err);

#endif
