/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_PLAN_ARENA_H
#define ACCEL_INFER_PLAN_ARENA_H

#include "acceld/error.h"
#include "base/util.h"

/* The life of one buffer: written at step `first`, read for the last time at step `last`. */
struct accel_lifetime {
    size_t bytes;
    uint32_t first, last;
};

/* Places n buffers in one arena so that no two that live at the same step overlap.
 * offset[n] (out): bytes from the start, multiples of 64. *total (out): bytes the arena needs.
 * Largest first, each at the lowest free offset: Pisarchyk and Lee, arXiv:2001.03288.
 * Errors: NOMEM; INVALID when the sum exceeds size_t. On error the outputs are undefined. */
int accel_arena_place(const struct accel_lifetime *life, size_t n, size_t *offset, size_t *total,
                      struct accel_error *err);

#endif
