/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_OPS_RECURRENT_ATTENTION_H
#define ACCEL_INFER_OPS_RECURRENT_ATTENTION_H

/* What com.microsoft AttnLSTM has beside LSTM (recurrent.c): after each step the cell's output asks
 * a memory (Bahdanau, Cho, Bengio, arXiv:1409.0473), and the answer goes into the next step beside
 * X. With D directions, hidden size H, memory [batch][steps][depth], keys of K numbers:
 *
 *   QW [D][H][K]    MW [D][depth][K]    V [D][K]    M [batch][steps][depth]
 *   memory_seq_lens [batch]    AW [D][H + depth][width]    W [D][4 * H][input + width]
 *
 *   align = softmax over steps of V . tanh(M MW + h QW)    context = align M
 *   answer = [h, context] AW; without AW the context, and width is depth
 *
 * In ops/common/recurrent_attention.c. */

#include "infer/ops/elements.h"

struct accel_attends {
    size_t batch, hidden, rows, input; /* of the cell */
    size_t steps, depth, keys, width;
    bool layered; /* there is an AW */
    /* Floats from the start of the work space. */
    size_t key;        /* [batch * steps][keys] */
    size_t query;      /* [batch][keys] */
    size_t joined;     /* [batch][hidden + depth]: h, context */
    size_t answer;     /* [batch][width] */
    size_t gates;      /* [batch][rows] */
    size_t align;      /* [steps] */
    size_t hyperbolic; /* [keys] */
    size_t products;   /* behind all: the matrix products' own */
};

/* Numbers of an answer; ACCEL_DIM_ANY: not known. */
int64_t accel_attends_width(const struct accel_infer *in);
/* The shapes of its own inputs. < 0: not known. Errors: INVALID. */
int accel_attends_check(const struct accel_infer *in, int64_t directions, int64_t batch,
                        int64_t hidden, struct accel_error *err);
/* Reads batch, hidden, rows and input of *a and fills in the rest, from a space of *floats numbers
 * on, which grows. *most: raised to the bytes that its matrix products want. Errors: INVALID. */
int accel_attends_prepare(const struct accel_prepare *prep, struct accel_attends *a, size_t *floats,
                          size_t *most, struct accel_error *err);
/* The lengths of the memories. Errors: INVALID. */
int accel_attends_lengths(const struct accel_run *run, struct accel_error *err);

/* Before the first step of direction d: the keys, and an answer of 0. */
void accel_attends_start(const struct accel_run *run, const struct accel_attends *a, size_t d,
                         float *work);
/* gates[batch][rows] += the answer's part. */
void accel_attends_gates(const struct accel_run *run, const struct accel_attends *a, size_t d,
                         float *work, float *gates);
/* The answer to h[batch][hidden]. */
void accel_attends_ask(const struct accel_run *run, const struct accel_attends *a, size_t d,
                       float *work, const float *h);

#endif
