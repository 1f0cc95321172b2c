/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_SEQUENCE_H
#define ACCEL_INFER_SEQUENCE_H

/* What models of language do along a sequence beside attention: rotary positions, attention as a
 * recurrence, causal convolutions with a carried state. Plain C, in float. */

#include "infer/kernels/kernels.h"

/* ONNX RotaryEmbedding-23. x, y: [batch][head][row][head_size] by the strides given (columns
 * adjacent; y like x). The first `rotated` columns (even) turn by row number `row of the cache` of
 * cosine, sine [..][rotated / 2]: positions[batch * rows] of them (NULL: one after the other). */
struct accel_rotary {
    size_t batch, heads, rows, head_size, rotated;
    size_t batch_stride, head_stride, row_stride;
    bool interleaved; /* pairs are neighbours; else of the two halves */
    const int64_t *positions;
    bool one_position; /* positions[0] is that of row 0 of every batch */
    /* [rotated / 2]: column i turns by the position in row streams[i] of
     * positions[..][batch][rows]; NULL: there is one such row for all columns. */
    const uint8_t *streams;
};
void accel_rotary_f32(struct accel_pool *pool, const struct accel_rotary *rotary, const float *x,
                      const float *cosine, const float *sine, float *y);

/* ONNX LinearAttention-27 on [batch][rows][head][size]; state [batch][kv_heads][key_size]
 * [value_size] is read and updated in place. decay, beta: NULL when the rule has none; a width of 1
 * is shared by keys (decay) or heads (beta). y: [batch][rows][max(q_heads, kv_heads)][value_size].
 */
struct accel_linear_attention {
    size_t batch, rows, q_heads, kv_heads, key_size, value_size;
    bool delta; /* v becomes beta * (v - S' k) first */
    float scale;
    const float *q, *k, *v, *decay, *beta;
    bool decay_by_key, beta_by_head;
    float *state, *y;
};
void accel_linear_attention_f32(struct accel_pool *pool,
                                const struct accel_linear_attention *attention);

/* Depthwise and causal: x [batch][channels][rows], w [channels][taps], state of (taps - 1) *
 * dilation values before x (NULL: zeros) and, into `carry` (NULL: not wanted), after it. */
struct accel_causal_conv {
    size_t batch, channels, rows, taps, dilation;
    bool silu;
    const float *x, *w, *bias, *past;
    float *y, *carry;
};
void accel_causal_conv_f32(struct accel_pool *pool, const struct accel_causal_conv *conv);

#endif
