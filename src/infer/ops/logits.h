/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_OPS_LOGITS_H
#define ACCEL_INFER_OPS_LOGITS_H

/* What text generation does to the scores of the next token before one is chosen, in this order:
 * repetition penalty, n-grams that may not come twice, masks of the vocabulary, minimum length,
 * temperature, times. The rules are those of ONNX Runtime's GreedySearch and BeamSearch. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Tokens of a speech model: those from `first` on are times, which come in pairs around what was
 * said between them and do not decrease. The others are marks; below 0: there is none. */
struct accel_timestamps {
    int32_t first;
    int32_t no_times, language_model;     /* never generated */
    int32_t start, translate, transcribe; /* not behind the first time */
};

struct accel_logits_rules {
    size_t vocab;
    float repetition_penalty;   /* > 0; 1: none */
    float temperature;          /* scores are divided by it; <= 0 or 1: they are not */
    int64_t ngram;              /* no n-gram of this size comes twice; <= 0: any may */
    int64_t min_length;         /* no end of sequence before so many tokens, the prompt's too */
    int64_t eos;                /* outside [0, vocab): there is none */
    const int32_t *vocab_mask;  /* [vocab], 0: never this token; NULL: all may come */
    const int32_t *prefix_mask; /* [batch][vocab], for the first token alone; NULL: all may */
    size_t rows_per_batch;      /* rows of scores for one row of prefix_mask */
    const struct accel_timestamps *times; /* NULL: tokens are all alike */
};

/* Bytes of `work` below for sequences of up to `length` tokens; false: more than size_t holds. */
bool accel_logits_work(size_t vocab, size_t length, size_t *bytes);

/* scores[rows][vocab], changed in place, of what follows ids[row][0..length); rows of ids lie
 * `stride` apart. `first`: it is the first token that is generated. Tokens outside the vocabulary
 * are passed over. work: aligned to int32_t. */
void accel_logits_apply(const struct accel_logits_rules *rules, bool first, size_t rows,
                        const int32_t *ids, size_t stride, size_t length, float *scores,
                        void *work);

/* rules->times for one row: scores[vocab] are logarithms of probabilities, what is forbidden gets
 * -FLT_MAX. 0 < times->first < vocab; length > 0. */
void accel_timestamps_apply(const struct accel_logits_rules *rules, const int32_t *ids,
                            size_t length, float *scores);

#endif
