/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_OPS_ATTENTION_H
#define ACCEL_INFER_OPS_ATTENTION_H

/* What the operators of attention share around kernels/attention.h: how operands lie, numbers that
 * several inputs state, work space in parts. */

#include "infer/kernels/kv_cache.h"
#include "infer/ops/elements.h"
#include "infer/ops/wide.h"

/* A number that has been read in two places; *known becomes `other` when it is not known yet.
 * Errors: INVALID ("what is 2 and 3"). */
int accel_agree(int64_t *known, int64_t other, const char *what, struct accel_error *err);
/* Both known, and not the same. */
static inline bool accel_differ(int64_t a, int64_t b)
{
    return a >= 0 && b >= 0 && a != b;
}
/* a + b; ACCEL_DIM_ANY when one is not known or the sum overflows. */
int64_t accel_rows_together(int64_t a, int64_t b);

/* [batch][heads][rows][size]. */
static inline struct accel_attention_operand accel_by_heads(size_t heads, size_t rows, size_t size)
{
    return (struct accel_attention_operand){
        .batch = heads * rows * size, .head = rows * size, .row = size};
}
/* [batch][rows][all], of which a head has `size` columns. */
static inline struct accel_attention_operand accel_by_rows(size_t rows, size_t all, size_t size)
{
    return (struct accel_attention_operand){.batch = rows * all, .head = size, .row = all};
}
/* The heads of `y` lie as those of the operand. */
static inline void accel_attention_to(struct accel_attention *a, struct accel_attention_operand y)
{
    a->y_batch = y.batch;
    a->y_head = y.head;
    a->y_row = y.row;
}
/* A tensor [batch or 1][heads or 1][rows][columns] of floats that is added to the scores. */
struct accel_attention_mask accel_bias_mask(const struct accel_tensor *t);

/* One more part of the work space, `count` elements of `size` bytes: *bytes, a multiple of 64.
 * Errors: INVALID (it overflows). */
int accel_scratch_part(struct accel_prepare *prep, size_t count, size_t size, size_t *bytes,
                       struct accel_error *err);
/* What was prepared for a->kv_rows keys, with `work` bytes of work space and so many threads, goes
 * on with `keys` of them where the work space suffices; a trace says itself how many they are. */
void accel_narrow(const struct accel_kernels *kernels, struct accel_attention *a, size_t keys,
                  unsigned threads, size_t work);
/* Another, of floats [batch][heads][rows][size]. */
int accel_scratch_heads(struct accel_prepare *prep, const struct accel_attention *a, size_t rows,
                        size_t size, size_t *bytes, struct accel_error *err);
/* And the attention's own. */
int accel_scratch_attention(struct accel_prepare *prep, const struct accel_attention *a,
                            size_t *bytes, struct accel_error *err);
/* New keys or values behind those of the past ([batch][kv_heads][past_rows][size], NULL: none), all
 * a->kv_rows of them at y; the operand is there then. */
void accel_join(struct accel_pool *pool, const struct accel_attention *a, size_t size,
                const float *past, size_t past_rows, float *y,
                struct accel_attention_operand *operand);

/* Attention of a model of language with its cache of keys and values. The operator's inputs begin
 * with the query [batch][rows][columns], new keys and values [batch][fresh][kv_heads * head_size]
 * (left out: they follow the query in its rows) and the cache in; outputs 1 and 2 are the cache
 * out. */
struct accel_cached_attention {
    struct accel_attention attention;
    enum accel_kv_form form;
    bool by_channel, rotates;
    bool halves;        /* of FLOAT16, seen here as floats */
    size_t cosine;      /* the input of cosines; that of sines follows it */
    size_t scales;      /* the input of the keys' scales; that of the values' follows */
    size_t fresh, past; /* rows of new keys, of the cache in */
    size_t cached;      /* rows of the cache out; without one those of the new keys */
    size_t staged;      /* rows of the copies in float; 0: none */
    size_t rotated[2],
        floats; /* (out of scratch) bytes of the rotated copies, of a copy in float */
};

/* The attributes num_heads and kv_num_heads. Errors: INVALID (the one is no multiple of the other).
 */
int accel_cached_heads(const struct accel_node *n, int64_t *heads, int64_t *kv_heads,
                       struct accel_error *err);
/* How the operands lie, from the sizes in `a`: the query in its tensor, keys and values in the
 * cache, the result as [batch][rows][heads * head_size]. */
void accel_cached_layout(const struct accel_node *n, struct accel_attention *a);
/* Work space: rotated[0], rotated[1], twice floats, *work for attention. Errors: INVALID (it
 * overflows). */
int accel_cached_scratch(struct accel_prepare *prep, struct accel_cached_attention *c, size_t *work,
                         struct accel_error *err);
/* accel_wide_prepare() for an operator whose state begins with its accel_cached_attention: sets
 * `halves`. */
int accel_cached_wide_prepare(struct accel_prepare *prep, accel_prepare_fn *inner,
                              struct accel_error *err);
/* Of an attention over so many keys with heads of so many columns; 2 per multiply-add. */
double accel_cached_flops(int64_t batch, int64_t heads, int64_t rows, int64_t keys, int64_t size);
/* Queries, new keys and values, rotated into the work space; positions: [batch][rows]. */
void accel_cached_read(const struct accel_run *run, const struct accel_cached_attention *c,
                       const int64_t *positions, struct accel_attention *a, char *scratch);
/* New keys (i 0) or values (1) into the cache; attention then reads all of them, from `floats` or
 * with NULL from the cache out. */
void accel_cached_append(const struct accel_run *run, const struct accel_cached_attention *c,
                         const struct accel_kv_step *steps, size_t i,
                         struct accel_attention_operand *operand, float *floats);

#endif
