/* SPDX-License-Identifier: Apache-2.0 */
/* Which tokens may follow when some of them are times: the rules that Whisper's decoder was made
 * for (Radford et al., Robust Speech Recognition via Large-Scale Weak Supervision, 2.3), as ONNX
 * Runtime applies them. */
#include "infer/ops/logits.h"

#include "base/util.h"

#include <float.h>
#include <math.h>

/* The first time is one of the 51 lowest: within a second. */
#define FIRST_TIMES 51

/* Tokens from..to - 1, as far as there are any. */
static void forbid(const struct accel_logits_rules *rules, int64_t from, int64_t to, float *scores)
{
    for (int64_t k = ACCEL_MAX(from, 0); k < to && k < (int64_t)rules->vocab; k++)
        scores[k] = -FLT_MAX;
}

/* Logarithm of the probability that the next token is any of the times. */
static float any_time(const float *scores, size_t first, size_t vocab)
{
    float most = scores[first], sum = 0;

    for (size_t k = first; k < vocab; k++)
        most = scores[k] > most ? scores[k] : most;
    for (size_t k = first; k < vocab; k++)
        if (scores[k] > -FLT_MAX)
            sum += expf(scores[k] - most);
    return sum > 0 ? logf(sum) + most : -FLT_MAX;
}

/* A time is due when it is more likely, whichever it is, than each single other token: also when
 * none is allowed, but the others were made less than that by a temperature. */
static void prefer_times(const struct accel_logits_rules *rules, float *scores)
{
    const size_t first = (size_t)rules->times->first;
    const float time = any_time(scores, first, rules->vocab);

    for (size_t k = 0; k < first; k++)
        if (scores[k] >= time)
            return;
    forbid(rules, 0, rules->times->first, scores);
}

void accel_timestamps_apply(const struct accel_logits_rules *rules, const int32_t *ids,
                            size_t length, float *scores)
{
    const struct accel_timestamps *t = rules->times;
    const int64_t vocab = (int64_t)rules->vocab;
    size_t begin = 0, latest = length; /* tokens up to the first time, that too; the last time */

    while (begin < length && ids[begin++] < t->first)
        ;
    for (size_t i = begin > 0 ? begin - 1 : 0; i < length; i++)
        latest = ids[i] >= t->first ? i : latest;
    const bool timed = ids[length - 1] >= t->first;
    /* The first time stands alone: it is where speech begins. */
    const bool paired = length == begin || ids[length - 2] >= t->first;

    forbid(rules, t->no_times, (int64_t)t->no_times + 1, scores);
    forbid(rules, t->language_model, (int64_t)t->language_model + 1, scores);
    if (length > begin) {
        forbid(rules, t->start, (int64_t)t->start + 1, scores);
        forbid(rules, t->translate, (int64_t)t->translate + 1, scores);
        forbid(rules, t->transcribe, (int64_t)t->transcribe + 1, scores);
    }
    if (timed && paired)
        forbid(rules, t->first, vocab, scores);
    else if (timed)
        forbid(rules, 0, rules->eos, scores);
    if (latest < length) /* the second of a pair may be the same again */
        forbid(rules, t->first, (int64_t)ids[latest] + !(timed && !paired), scores);
    if (length == begin)
        forbid(rules, (int64_t)t->first + FIRST_TIMES, vocab, scores);
    prefer_times(rules, scores);
}
