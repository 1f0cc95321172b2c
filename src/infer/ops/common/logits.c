/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/ops/logits.h"

#include <float.h>
#include <string.h>

/* What is not allowed gets the lowest score there is: should all be so, some token still wins. */
#define NEVER (-FLT_MAX)

static bool known(const struct accel_logits_rules *rules, int64_t id)
{
    return id >= 0 && (uint64_t)id < rules->vocab;
}

bool accel_logits_work(size_t vocab, size_t length, size_t *bytes)
{
    size_t matches;

    return !__builtin_add_overflow(length, 1, &matches) &&
           !__builtin_mul_overflow(matches, sizeof(int32_t), &matches) &&
           !__builtin_add_overflow(matches, vocab, bytes);
}

/* Once for each token that the sequence has, however often. seen[vocab] is 0 before and after. */
static void penalise(const struct accel_logits_rules *rules, const int32_t *ids, size_t length,
                     float *scores, char *seen)
{
    for (size_t i = 0; i < length; i++) {
        if (!known(rules, ids[i]) || seen[ids[i]] != 0)
            continue;
        seen[ids[i]] = 1;
        float *s = &scores[ids[i]];
        *s = *s < 0 ? *s * rules->repetition_penalty : *s / rules->repetition_penalty;
    }
    for (size_t i = 0; i < length; i++)
        if (known(rules, ids[i]))
            seen[ids[i]] = 0;
}

/* Each place where the last n - 1 tokens stood before forbids the token that followed there. How
 * many tokens up to a place are those up to the end is the Z array of the sequence read backwards
 * (Gusfield, Algorithms on Strings, 1.3): linear in the length, whatever n. same[length + 1]. */
static void forbid_ngrams(const struct accel_logits_rules *rules, const int32_t *ids, size_t length,
                          float *scores, int32_t *same)
{
    const int32_t *end = ids + length - 1;
    const int64_t prefix = rules->ngram - 1;
    size_t from = 0, to = 0; /* the match that reaches farthest */

    for (size_t i = 1; i <= length; i++) {
        size_t z = i < to ? (size_t)same[i - from] : 0;

        if (z > to - i && i < to)
            z = to - i;
        while (i + z < length && *(end - z) == *(end - i - z))
            z++;
        same[i] = (int32_t)z;
        if (i + z > to) {
            from = i;
            to = i + z;
        }
        if ((int64_t)z >= prefix && known(rules, *(end - i + 1)))
            scores[*(end - i + 1)] = NEVER;
    }
}

static void mask(const int32_t *allowed, size_t vocab, float *scores)
{
    for (size_t k = 0; allowed != NULL && k < vocab; k++)
        if (allowed[k] == 0)
            scores[k] = NEVER;
}

void accel_logits_apply(const struct accel_logits_rules *rules, bool first, size_t rows,
                        const int32_t *ids, size_t stride, size_t length, float *scores, void *work)
{
    char *const seen = (char *)work + (length + 1) * sizeof(int32_t);

    memset(seen, 0, rules->vocab);
    for (size_t r = 0; r < rows; r++, ids += stride, scores += rules->vocab) {
        if (rules->repetition_penalty != 1.0f)
            penalise(rules, ids, length, scores, seen);
        if (rules->ngram > 0 && (uint64_t)rules->ngram <= length)
            forbid_ngrams(rules, ids, length, scores, work);
        mask(rules->vocab_mask, rules->vocab, scores);
        if (first && rules->prefix_mask != NULL)
            mask(rules->prefix_mask + r / rules->rows_per_batch * rules->vocab, rules->vocab,
                 scores);
        if (known(rules, rules->eos) && (int64_t)length < rules->min_length)
            scores[rules->eos] = NEVER;
        if (rules->temperature > 0 && rules->temperature != 1.0f)
            for (size_t k = 0; k < rules->vocab; k++)
                scores[k] /= rules->temperature;
        if (rules->times != NULL)
            accel_timestamps_apply(rules, ids, length, scores);
    }
}
