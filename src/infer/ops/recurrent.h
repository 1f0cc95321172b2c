/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_OPS_RECURRENT_H
#define ACCEL_INFER_OPS_RECURRENT_H

/* What RNN, GRU and LSTM are made of. recurrent.c has their attributes, shapes and the table,
 * common/recurrent_run.c the weights, the work space and the way through the sequences,
 * common/recurrent_cell.c one step of all of the batch.
 *
 * With D directions, G gates and hidden size H the tensors are
 *
 *   X [seq][batch][input]     W [D][G * H][input]    R [D][G * H][H]    B [D][2 * G * H]
 *   initial_h, initial_c, Y_h, Y_c [D][batch][H]     P [D][3 * H]       Y [seq][D][batch][H]
 *
 * and with layout 1 X [batch][seq][input], the states [batch][D][H], Y [batch][seq][D][H].
 * The input's part of all gates of all steps is one matrix product; each step adds the part of the
 * state. Gates come in the standard's order: LSTM i o f c, GRU z r h. */

#include "infer/ops/recurrent_attention.h"
#include "infer/ops/recurrent_quantised.h"

enum recurrent_kind { RNN, GRU, LSTM };
/* Inputs X, W, R, B, sequence_lens, initial_h, initial_c, P. */
enum { IN_X, IN_W, IN_R, IN_B, IN_LENS, IN_H, IN_C, IN_P };
enum { OUT_Y, OUT_H, OUT_C };
enum { BLOB_W, BLOB_R };

struct recurrent_activation {
    enum { PLAIN, AFFINE, SCALED_TANH } form;
    enum accel_unary_op op;
    float alpha, beta;
};

/* The attributes: a node's params. */
struct recurrent_params {
    enum recurrent_kind cell;
    size_t directions, gates;
    bool backwards[2];
    bool batch_first, input_forget, linear_before_reset, clips;
    bool quantised; /* DynamicQuantizeLSTM */
    bool attends;   /* AttnLSTM */
    float clip;
    struct recurrent_activation act[2][3];
};

/* Bytes per direction of packed W, of R's first part and of its second (GRU). */
struct recurrent_packed {
    size_t w, r1, r2;
};

/* One set of shapes. */
struct recurrent_state {
    size_t steps, batch, input, hidden, rows; /* rows: gates * hidden */
    struct recurrent_packed size;
    /* Floats from the start of the scratch. */
    size_t from_x; /* [steps * batch][rows]: X W' + biases, in X's order */
    size_t gates;  /* [batch][rows]: h R' */
    size_t h, c;   /* [batch][hidden]: the state */
    size_t reset;  /* [batch][hidden]: GRU, r * h; quantised, the rows of h that count */
    size_t bias;   /* [rows]: of W and, where they may be added at once, of R */
    size_t one;    /* [hidden] */
    struct accel_attends attends;
    size_t products; /* the matrix products' own */
};

/* One direction at work. */
struct recurrent_run {
    struct accel_run *run;
    const struct recurrent_params *p;
    const struct recurrent_state *s;
    size_t d;
    float *work;
    const void *packed_r1, *packed_r2;
    const float *r, *r_bias, *peephole;
    const float *late_bias; /* added last of all, before the clip: quantised */
};

/* The rows of R are used in one product, those of GRU in two: z and r, then h. */
static inline size_t accel_recurrent_first_rows(const struct recurrent_params *p, size_t hidden)
{
    return p->cell == GRU ? 2 * hidden : p->gates * hidden;
}

/* a[m][k] b[n][k]', b as it lies or packed (NULL: not). */
static inline struct accel_gemm accel_recurrent_product(size_t m, size_t n, size_t k,
                                                        const float *a, const void *packed,
                                                        const float *b)
{
    return (struct accel_gemm){.m = m,
                               .n = n,
                               .k = k,
                               .a = a,
                               .lda = k,
                               .b = b,
                               .ldb = k,
                               .trans_b = true,
                               .packed_b = packed,
                               .alpha = 1,
                               .ldy = n};
}

/* Steps of the sequence of batch element b. */
static inline size_t accel_recurrent_length(const struct recurrent_run *at, size_t b)
{
    return accel_given(at->run->node, IN_LENS)
               ? (size_t)((const int32_t *)at->run->in[IN_LENS]->data)[b]
               : at->s->steps;
}

/* NULL: not wanted. */
static inline struct accel_tensor *accel_recurrent_output(const struct accel_run *run, size_t o)
{
    return o < run->node->outputs_count ? run->out[o] : NULL;
}

/* y = the product, `ldy` numbers from row to row, + bias[n] (NULL: none). */
void accel_recurrent_multiply(const struct recurrent_run *at, struct accel_gemm g,
                              const float *bias, float *y, size_t ldy);
/* Step t of every sequence that is so long: the state, and its row of Y. */
void accel_recurrent_step(const struct recurrent_run *at, size_t t);

/* The operators' callbacks beside parse, infer and cost. */
int accel_recurrent_prepack(struct accel_prepack *pack, struct accel_error *err);
int accel_recurrent_prepare(struct accel_prepare *prep, struct accel_error *err);
int accel_recurrent_run(struct accel_run *run, struct accel_error *err);

#endif
