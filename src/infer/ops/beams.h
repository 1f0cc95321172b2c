/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_OPS_BEAMS_H
#define ACCEL_INFER_OPS_BEAMS_H

/* Beam search without the model: which beams go on, which sequences have ended, which are the best.
 * As ONNX Runtime's BeamSearch does it, down to what it compares when it asks whether a batch may
 * still get better. Rows are batch * beams, those of a batch side by side. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A sequence that is a candidate for the result: its words lie in slot `slot` of the batch. */
struct accel_hypothesis {
    float score; /* sum of log probabilities / length ^ penalty */
    uint32_t slot, length;
};

struct accel_beams {
    size_t batch, beams, most; /* most: tokens of a sequence */
    int32_t eos, pad;
    float length_penalty;
    bool early_stopping; /* a batch is done as soon as it has as many candidates as beams */
    /* Memory, by whoever searches; zeroed where accel_beams_init() says so. */
    float *sums;                   /* [rows] of log probabilities so far */
    float *top;                    /* [batch][2 * beams] best sums of the next step */
    size_t *top_at;                /* the same: beam * vocab + token */
    struct accel_hypothesis *best; /* [batch][beams], best first, used[batch] of them */
    int32_t *words;                /* [batch][beams][most]: what the slots hold */
    uint32_t *used;
    bool *done;             /* [batch] */
    int32_t *tokens, *from; /* [rows]: what accel_beams_step() chose: token, and row it follows */
};

/* Before the first step: `used` and `done` are zeroed, all beams of a batch but one are put off. */
void accel_beams_init(struct accel_beams *b);
/* Takes a step: sums[rows][vocab] of each row's sequence with each token, ids[row][0..length) the
 * sequences, `stride` apart; 2 * beams <= beams * vocab. Fills tokens and from. false: all batches
 * are done, the search is over. */
bool accel_beams_step(struct accel_beams *b, const float *sums, size_t vocab, const int32_t *ids,
                      size_t stride, size_t length);
/* What is still going on is a candidate too. After it every batch has `beams` candidates. */
void accel_beams_finish(struct accel_beams *b, const int32_t *ids, size_t stride, size_t length);
/* The `count` best of each batch, at most `beams`: ids[batch][count][most] with pad behind each,
 * scores[batch][count] (may be NULL). */
void accel_beams_result(const struct accel_beams *b, size_t count, int32_t *ids, float *scores);

/* Indices of the k largest of x[n] into at[k], largest first, of equal ones the lower index first;
 * k <= n. n log k. */
void accel_top_k(const float *x, size_t n, size_t k, size_t *at);

#endif
