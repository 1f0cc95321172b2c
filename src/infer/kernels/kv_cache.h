/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_KV_CACHE_H
#define ACCEL_INFER_KV_CACHE_H

/* The keys or values of a sequence so far, [batch][heads][row][size], which grow by the rows of
 * each step. A cache may hold its rows as integers, each a symmetric multiple of a scale. */

#include "infer/kernels/attention.h"

enum accel_kv_form {
    ACCEL_KV_FLOAT,
    ACCEL_KV_INT8,
    ACCEL_KV_INT4, /* + 8, two in a byte, the even column in its low half */
};

/* What one of the batch does: so many rows of the past stay, the fresh ones follow them, and so
 * many rows of all these are left out in front when `present` is written. */
struct accel_kv_step {
    size_t kept, dropped;
};

struct accel_kv_cache {
    enum accel_kv_form form;
    size_t batch, heads, size;
    const float *scales; /* of integers: [heads][size] or, not by_channel, one */
    bool by_channel;
    const struct accel_kv_step *steps;
    const void *past; /* past_rows of each head; may be NULL when nothing is kept */
    size_t past_rows;
    struct accel_attention_operand fresh;
    size_t fresh_rows;
    void *present; /* present_rows of each head: those that do not come are 0 */
    size_t present_rows;
    float *floats; /* the kept and fresh rows as what they are worth, float_rows of each head, the
                      others 0; NULL: not wanted */
    size_t float_rows;
};

/* Bytes of a row. */
size_t accel_kv_row_bytes(enum accel_kv_form form, size_t size);
void accel_kv_append(struct accel_pool *pool, const struct accel_kv_cache *cache);

#endif
