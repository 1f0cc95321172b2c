/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/ops/beams.h"

#include <math.h>
#include <string.h>

/* ---------------------------------------------------------------- the largest of many */

static bool below(const float *x, size_t a, size_t b)
{
    return x[a] < x[b] || (x[a] == x[b] && a > b);
}

/* Makes at[0..count) a heap again, the smallest at its root, when only the root is out of place. */
static void sift(const float *x, size_t *at, size_t count)
{
    const size_t moved = at[0];
    size_t hole = 0;

    for (size_t child = 1; child < count; child = 2 * hole + 1) {
        if (child + 1 < count && below(x, at[child + 1], at[child]))
            child++;
        if (!below(x, at[child], moved))
            break;
        at[hole] = at[child];
        hole = child;
    }
    at[hole] = moved;
}

void accel_top_k(const float *x, size_t n, size_t k, size_t *at)
{
    /* In ascending order the first k are a heap; k is small. */
    for (size_t i = 0; i < k; i++) {
        size_t j = i;

        for (; j > 0 && below(x, i, at[j - 1]); j--)
            at[j] = at[j - 1];
        at[j] = i;
    }
    for (size_t i = k; i < n; i++) {
        if (!below(x, at[0], i))
            continue;
        at[0] = i;
        sift(x, at, k);
    }
    for (size_t left = k; left > 1; left--) {
        const size_t smallest = at[0];

        at[0] = at[left - 1];
        sift(x, at, left - 1);
        at[left - 1] = smallest;
    }
}

/* ---------------------------------------------------------------- candidates */

static float rated(const struct accel_beams *b, float sum, size_t length)
{
    return sum / powf((float)length, b->length_penalty);
}

/* Keeps the sequence if it is among the `beams` best of its batch so far. */
static void offer(struct accel_beams *b, size_t batch, const int32_t *ids, size_t length, float sum)
{
    struct accel_hypothesis *best = b->best + batch * b->beams;
    size_t i = b->used[batch];
    struct accel_hypothesis h = {
        .score = rated(b, sum, length), .slot = (uint32_t)i, .length = (uint32_t)length};

    if (i < b->beams) {
        b->used[batch]++;
    } else {
        if (h.score <= best[--i].score)
            return;
        h.slot = best[i].slot;
    }
    for (; i > 0 && h.score > best[i - 1].score; i--)
        best[i] = best[i - 1];
    best[i] = h;
    memcpy(b->words + (batch * b->beams + h.slot) * b->most, ids, length * sizeof(*ids));
}

/* ---------------------------------------------------------------- the search */

void accel_beams_init(struct accel_beams *b)
{
    memset(b->used, 0, b->batch * sizeof(*b->used));
    memset(b->done, 0, b->batch * sizeof(*b->done));
    /* All beams of a batch are the same now: only one of them may be continued. */
    for (size_t r = 0; r < b->batch * b->beams; r++)
        b->sums[r] = r % b->beams == 0 ? 0 : -1e9f;
}

/* The next tokens of a batch from its best sums; ended sequences become candidates. */
static void go_on(struct accel_beams *b, size_t batch, size_t vocab, const int32_t *ids,
                  size_t stride, size_t length)
{
    const size_t first = batch * b->beams;
    const float *top = b->top + 2 * first;
    const size_t *at = b->top_at + 2 * first;
    size_t next = 0;

    for (size_t j = 0; j < 2 * b->beams && next < b->beams; j++) {
        const size_t row = first + at[j] / vocab;
        const int32_t token = (int32_t)(at[j] % vocab);

        if (b->eos >= 0 && token == b->eos) {
            /* An end that is worse than as many continuations is none worth keeping. */
            if (j < b->beams)
                offer(b, batch, ids + row * stride, length, top[j]);
            continue;
        }
        b->sums[first + next] = top[j];
        b->tokens[first + next] = token;
        b->from[first + next++] = (int32_t)row;
    }
}

/* May what is going on still become better than the worst candidate? The window of sums is the one
 * that ONNX Runtime looks at, half a batch too early for all but the first. */
static bool may_improve(const struct accel_beams *b, size_t batch, size_t length)
{
    const float *window = b->top + batch * b->beams;
    float largest = window[0];

    for (size_t j = 1; j < 2 * b->beams; j++)
        largest = fmaxf(largest, window[j]);
    return b->best[(batch + 1) * b->beams - 1].score < rated(b, largest, length);
}

bool accel_beams_step(struct accel_beams *b, const float *sums, size_t vocab, const int32_t *ids,
                      size_t stride, size_t length)
{
    const size_t k = 2 * b->beams;
    bool going = false;

    for (size_t batch = 0; batch < b->batch; batch++) {
        const float *x = sums + batch * b->beams * vocab;

        accel_top_k(x, b->beams * vocab, k, b->top_at + batch * k);
        for (size_t j = 0; j < k; j++)
            b->top[batch * k + j] = x[b->top_at[batch * k + j]];
    }
    for (size_t batch = 0; batch < b->batch; batch++) {
        if (b->done[batch]) {
            for (size_t r = batch * b->beams; r < (batch + 1) * b->beams; r++) {
                b->sums[r] = 0;
                b->tokens[r] = b->pad;
                b->from[r] = 0;
            }
            continue;
        }
        go_on(b, batch, vocab, ids, stride, length);
        b->done[batch] =
            b->used[batch] == b->beams && (b->early_stopping || !may_improve(b, batch, length));
        going = going || !b->done[batch];
    }
    return going;
}

void accel_beams_finish(struct accel_beams *b, const int32_t *ids, size_t stride, size_t length)
{
    for (size_t r = 0; r < b->batch * b->beams; r++)
        if (!b->done[r / b->beams])
            offer(b, r / b->beams, ids + r * stride, length, b->sums[r]);
}

void accel_beams_result(const struct accel_beams *b, size_t count, int32_t *ids, float *scores)
{
    for (size_t i = 0; i < b->batch * count; i++, ids += b->most) {
        const size_t first = i / count * b->beams;
        const struct accel_hypothesis *h = &b->best[first + i % count];

        memcpy(ids, b->words + (first + h->slot) * b->most, h->length * sizeof(*ids));
        for (size_t k = h->length; k < b->most; k++)
            ids[k] = b->pad;
        if (scores != NULL)
            scores[i] = h->score;
    }
}
