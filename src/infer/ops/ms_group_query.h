/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_OPS_MS_GROUP_QUERY_H
#define ACCEL_INFER_OPS_MS_GROUP_QUERY_H

/* com.microsoft GroupQueryAttention: attention of a model of language with its cache of keys and
 * values, where each of the batch has a length of its own. As ONNX Runtime's CPU provider has it:
 * the cache in, of `past` rows, and the cache out are two buffers; what is past a sequence's end is
 * 0 in the latter. A row of padding that lies past its sequence's end sees what its position's
 * window holds of the sequence. */

#include "infer/ops/attention.h"

enum { QUERY, KEY, VALUE, PAST_K, PAST_V, LENGTHS, TOTAL, COSINE, SINE, POSITIONS, BIAS, SINK };
enum { K_SCALE = SINK + 1, V_SCALE };
enum { Y, PRESENT_K, PRESENT_V, QK };

struct group_query_params {
    int64_t heads, kv_heads;
    int64_t window; /* -1: none */
    enum accel_kv_form form;
    bool by_channel, evicts, rotates, causal;
    int64_t trace; /* 0: none, 1: before softmax, 2: after it */
};

/* ACCEL_DIM_ANY where not known. */
struct group_query_sizes {
    int64_t batch, rows, fresh, past, size; /* fresh: rows of new keys; size: of a head */
    int64_t total;                          /* the input's value */
};

/* From the shapes; `total` stays open. Errors: INVALID. */
int accel_group_query_sizes_of(const struct accel_node *n, const struct accel_type *const *in,
                               struct group_query_sizes *s, struct accel_error *err);
/* The sequences' length, as far as is known: a cache that grows has just the new rows more, one of
 * fixed length has room for them. Errors: INVALID, UNSUPPORTED. */
int accel_group_query_check_total(const struct group_query_params *p,
                                  const struct group_query_sizes *s, struct accel_error *err);

/* The callbacks, on floats. */
int accel_group_query_prepare(struct accel_prepare *prep, struct accel_error *err);
int accel_group_query_run(struct accel_run *run, struct accel_error *err);

#endif
