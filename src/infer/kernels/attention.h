/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_ATTENTION_H
#define ACCEL_INFER_ATTENTION_H

/* Scaled dot-product attention, softmax(Q K' * scale + masks) V, in float. Work is cut into blocks
 * of query rows, each with the scores of its rows alone, so memory does not grow with the square of
 * the length. */

#include "infer/kernels/kernels.h"

/* [batch][head][row][columns]; the columns of a row are adjacent. Strides in floats. */
struct accel_attention_operand {
    const float *data;
    size_t batch, head, row;
};

/* Added to the scores, or (allowed) -INFINITY where 0. Right of `columns`, all is -INFINITY; but
 * with `repeat` (of data) there is one column, which is every key's. A stride of 0 repeats; so do
 * the heads after `layouts` of them, unless it is 0. data and allowed NULL: no such mask. With
 * `block` (of data, first 0) a row is that of so many positions among the keys, none below 0, and a
 * column that of so many keys. */
struct accel_attention_mask {
    const float *data;
    const uint8_t *allowed;
    size_t batch, head, row;
    size_t columns, layouts, block;
    bool repeat;
};

/* What one of the batch has of its own: keys from `end` on are padding, query row i stands at
 * position i + offset among the keys, key 0 in column `first` of the masks. */
struct accel_attention_span {
    size_t end;
    int64_t offset;
    size_t first;
};

enum accel_attention_stage {
    ACCEL_ATTENTION_SCORES,  /* scaled */
    ACCEL_ATTENTION_CAPPED,  /* after softcap */
    ACCEL_ATTENTION_MASKED,  /* with the masks, and -INFINITY where span or window hide */
    ACCEL_ATTENTION_SEEN,    /* the same with 0 where span or window hide */
    ACCEL_ATTENTION_WEIGHTS, /* after softmax */
};

struct accel_attention {
    /* Query heads share key heads: head h uses h / (heads / kv_heads). */
    size_t batch, heads, kv_heads;
    size_t q_rows, kv_rows;
    size_t head_size, v_head_size;
    struct accel_attention_operand q, k, v;
    float *y; /* [batch][head][row][v_head_size] by these strides */
    size_t y_batch, y_head, y_row;
    float scale;
    float softcap; /* 0: none; softcap * tanh(score / softcap) */
    struct accel_attention_mask masks[2];
    /* Query row i stands at position i + offset among the keys; window: keys from position - left
     * to position + right, -1 leaves a side open (causal: right 0). What is hidden so is
     * -INFINITY. A row with nothing to see gives 0; as_softmax: NaN, which 0 / 0 is. */
    int64_t offset, left, right;
    bool as_softmax;
    const struct accel_attention_span *spans; /* [batch], in place of offset; NULL: none */
    /* Each row's softmax counts a score that belongs to no key: sinks[head], or 0 with `smooth`. */
    const float *sinks;
    bool smooth;
    /* [batch][heads][q_rows][kv_rows] at this stage, or NULL. */
    float *trace;
    enum accel_attention_stage stage;
};

/* Reads sizes alone. Errors: INVALID (it overflows). */
int accel_attention_scratch_bytes(const struct accel_kernels *kernels,
                                  const struct accel_attention *attention, unsigned threads,
                                  size_t *bytes, struct accel_error *err);
/* threads as in the query; scratch of that size. */
void accel_attention_f32(const struct accel_kernels *kernels, struct accel_pool *pool,
                         const struct accel_attention *attention, void *scratch);

/* `rows` rows of x [batch][heads][row][size] into y [batch][heads][all][size] from row `at` on:
 * how past and new keys are joined. */
void accel_attention_place(struct accel_pool *pool, size_t batch, size_t heads, size_t size,
                           const struct accel_attention_operand *x, size_t rows, float *y,
                           size_t all, size_t at);

#endif
