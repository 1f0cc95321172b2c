/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_WORKER_TENSORS_H
#define ACCEL_WORKER_TENSORS_H

/* Tensors in the memory files beside Infer and Inferred. BYTES (strings) travel as in the inference
 * protocol: a little-endian u32 length and the bytes, per element. */

#include "acceld/infer.h"
#include "base/bump.h"
#include "ipc.pb-c.h"

/* A memory file mapped read-only. */
struct accel_mapping {
    const uint8_t *bytes;
    size_t size;
};
/* Maps `size` bytes of a sealed memory file; size 0 maps nothing. Errors: INVALID (not sealed:
 * its content could change under us; shorter than said), NOMEM. */
int accel_mapping_new(int fd, uint64_t size, const char *name, struct accel_mapping *mapping,
                      struct accel_error *err);
void accel_mapping_free(struct accel_mapping *mapping);

/* Checks every type, rank, size and offset against the mapping. The tensors point into it, or to
 * copies in `mem` where the elements would not be aligned. */
int accel_tensors_in(const Accel__Ipc__Infer *infer, const struct accel_mapping *mapping,
                     struct accel_bump *mem, struct accel_named_tensor **inputs,
                     struct accel_error *err);

/* Writes the tensors one after the other, each at a multiple of 64, to a new sealed memory file and
 * fills the message's list, which lives in `mem`. */
int accel_tensors_out(const struct accel_named_tensor *outputs, size_t count,
                      struct accel_bump *mem, Accel__Ipc__Inferred *inferred, int *fd,
                      struct accel_error *err);

#endif
