/* SPDX-License-Identifier: Apache-2.0 */
/* Sampling: a search that draws the next token from the likeliest ones (Holtzman, Buys, Du, Forbes
 * and Choi, "The curious case of neural text degeneration", ICLR 2020), by ONNX Runtime's numbers:
 * a run begins the sequence of its seed, 0 without one, and draws once a row and step. */
#include "infer/ops/generate.h"

#include "infer/kernels/sort.h"

#include <inttypes.h>

int accel_sampling_parse(const struct accel_node *n, struct accel_sampling *s,
                         struct accel_error *err)
{
    if (n->outputs_count > 1 && n->outputs[1] != NULL)
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          "output 'filtered_logits' is not supported, export without");
    s->top_p = accel_attr_float(n, "top_p", 0);
    s->filter = accel_attr_float(n, "filter_value", -1e20f);
    s->keep = accel_attr_int(n, "min_tokens_to_keep", 0);
    s->custom = accel_attr_int(n, "custom", 0) != 0;
    s->temperature = accel_attr_float(n, "temperature", 1);
    s->presence_penalty = accel_attr_float(n, "presence_penalty", 0);
    return ACCEL_OK;
}

/* What is drawn with, for one row of `vocab` scores at a time. */
struct work {
    double *sums;
    size_t *order, *other; /* the tokens by their scores; to sort with */
    float *sorted;         /* the scores in that order, then probabilities and their sums */
};

#define EACH (sizeof(double) + 2 * sizeof(size_t) + sizeof(float))

static struct work work_of(const struct accel_generating *g)
{
    const size_t vocab = g->rules.vocab;
    struct work w = {.sums = g->memory[ACCEL_GENERATING_DRAWING].data};

    w.order = (size_t *)(w.sums + vocab);
    w.other = w.order + vocab;
    w.sorted = (float *)(w.other + vocab);
    return w;
}

int accel_sampling_begin(struct accel_generating *g, struct accel_error *err)
{
    const struct accel_sampling *s = &g->op->sampling;
    int64_t seed = 0;
    void *data;
    int rc = accel_generating_int(g->run, ACCEL_SAMPLING_SEED, &seed, err);

    if (rc == ACCEL_OK && seed < 0)
        rc = accel_fail(err, ACCEL_E_INVALID, "seed is %" PRId64 ", it has to be 0 or more", seed);
    if (rc == ACCEL_OK && (s->keep < 0 || (uint64_t)s->keep >= g->rules.vocab))
        rc = accel_fail(err, ACCEL_E_INVALID,
                        "min_tokens_to_keep is %" PRId64 ", it has to be 0 or more and below the "
                        "%zu tokens of the vocabulary",
                        s->keep, g->rules.vocab);
    if (rc == ACCEL_OK)
        rc = accel_generating_matrix(g->run, ACCEL_SAMPLING_PRESENCE_MASK, g->batch, g->rules.vocab,
                                     &g->presence_mask, err);
    if (rc == ACCEL_OK)
        rc = accel_generating_reserve(g, ACCEL_GENERATING_DRAWING, g->rules.vocab, 1, EACH, &data,
                                      err);
    accel_random_begin(&g->random, (uint64_t)seed);
    return rc;
}

/* As ONNX Runtime has it, which takes the penalties of all rows and tokens from the first token of
 * the first row. */
static void penalise(struct accel_generating *g)
{
    const float penalty = g->op->sampling.presence_penalty;

    for (size_t i = 0; g->presence_mask != NULL && penalty != 0 && i < g->rows * g->rules.vocab;
         i++)
        g->scores[0] -= (float)g->presence_mask[i] * penalty;
}

static int rising(const void *scores, size_t a, size_t b)
{
    const float *s = scores;

    return (s[a] > s[b]) - (s[a] < s[b]);
}

static int falling(const void *scores, size_t a, size_t b)
{
    return rising(scores, b, a);
}

/* Filters the scores of one row by the sums of their probabilities, in float and from the worst
 * token up, or, custom, from the best down. Equal ones stay in their order. */
static void filter(const struct accel_generating *g, const struct work *w, float *scores)
{
    const struct accel_sampling *s = &g->op->sampling;
    const size_t vocab = g->rules.vocab, last = s->custom ? vocab - 1 : vocab - (size_t)s->keep;

    for (size_t i = 0; i < vocab; i++)
        w->order[i] = i;
    accel_sort_order(vocab, w->order, w->other, s->custom ? falling : rising, scores);
    for (size_t i = 0; i < vocab; i++)
        w->sorted[i] = scores[w->order[i]];
    accel_softmax_f32(g->run->kernels, g->run->pool, 1, vocab, 1, false, w->sorted, w->sorted);
    for (size_t i = 0; i < last; i++) {
        if (i > 0)
            w->sorted[i] += w->sorted[i - 1];
        if (s->custom ? w->sorted[i] > s->top_p : w->sorted[i] <= 1 - s->top_p)
            scores[w->order[s->custom ? i + 1 : i]] = s->filter;
    }
}

void accel_sampling_draw(struct accel_generating *g)
{
    const struct work w = work_of(g);

    penalise(g);
    for (size_t r = 0; r < g->rows; r++) {
        float *scores = g->scores + r * g->rules.vocab;
        int64_t token;

        filter(g, &w, scores);
        accel_random_classes(&g->random, ACCEL_DTYPE_FLOAT, 1, g->rules.vocab, scores, 1, &token,
                             w.sums);
        g->ids[r * g->most + g->length] = (int32_t)token;
    }
}
