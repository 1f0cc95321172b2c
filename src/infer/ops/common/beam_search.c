/* SPDX-License-Identifier: Apache-2.0 */
/* BeamSearch, WhisperBeamSearch: several continuations of each prompt at once. */
#include "infer/ops/beams.h"
#include "infer/ops/generate.h"

#include <inttypes.h>
#include <string.h>

#define BEAMS_MAX 128 /* ONNX Runtime's own bound */

#define PROCESS_TIMES 1 /* logits_processor */

struct beaming {
    struct accel_generating g;
    struct accel_beams beams;
    size_t count;   /* sequences to give of each batch */
    float *history; /* the rest of output `scores`; NULL: not wanted */
};

static int read_beams(struct beaming *b, struct accel_error *err)
{
    const struct accel_run *run = b->g.run;
    int64_t beams = 1, count = 1, processor = 0;

    b->beams.length_penalty = 1;
    int rc = accel_generating_read(&b->g, err);
    if (rc == ACCEL_OK)
        rc = accel_generating_int(run, ACCEL_GENERATE_NUM_BEAMS, &beams, err);
    if (rc == ACCEL_OK)
        rc = accel_generating_int(run, ACCEL_GENERATE_NUM_RETURN_SEQUENCES, &count, err);
    if (rc == ACCEL_OK)
        rc = accel_generating_float(run, ACCEL_GENERATE_LENGTH_PENALTY, &b->beams.length_penalty,
                                    err);
    if (rc == ACCEL_OK)
        rc = accel_generating_int(run, ACCEL_GENERATE_LOGITS_PROCESSOR, &processor, err);
    if (rc == ACCEL_OK)
        rc = accel_generating_float(run, ACCEL_GENERATE_TEMPERATURE, &b->g.rules.temperature, err);
    if (rc != ACCEL_OK)
        return rc;
    if (beams < 1 || beams > BEAMS_MAX)
        return accel_fail(err, ACCEL_E_INVALID, "num_beams is %" PRId64 ", it has to be 1 to %d",
                          beams, BEAMS_MAX);
    if (count < 1 || count > beams)
        return accel_fail(err, ACCEL_E_INVALID,
                          "num_return_sequences is %" PRId64 ", it has to be 1 to the %" PRId64
                          " of num_beams",
                          count, beams);
    if (processor < 0)
        return accel_fail(err, ACCEL_E_INVALID,
                          "logits_processor is %" PRId64 ", it has to be 0 or more", processor);
    if (processor == PROCESS_TIMES && b->g.op->features)
        b->g.rules.times = &b->g.op->times;
    b->g.beams = (size_t)beams;
    b->count = (size_t)count;
    return ACCEL_OK;
}

/* Hands out parts of a block of memory, or, without one, adds up what it has to have. */
static void *part(char *base, size_t *at, size_t count, size_t size)
{
    void *p = base != NULL ? base + *at : NULL;

    *at += ACCEL_ROUND_UP(count * size, 16);
    return p;
}

static size_t lay_out(struct accel_beams *b, char *base)
{
    const size_t rows = b->batch * b->beams;
    size_t at = 0;

    b->top_at = part(base, &at, 2 * rows, sizeof(*b->top_at));
    b->best = part(base, &at, rows, sizeof(*b->best));
    b->sums = part(base, &at, rows, sizeof(*b->sums));
    b->top = part(base, &at, 2 * rows, sizeof(*b->top));
    b->tokens = part(base, &at, rows, sizeof(*b->tokens));
    b->from = part(base, &at, rows, sizeof(*b->from));
    b->used = part(base, &at, b->batch, sizeof(*b->used));
    b->done = part(base, &at, b->batch, sizeof(*b->done));
    return at;
}

static int begin_beams(struct beaming *b, struct accel_error *err)
{
    struct accel_generating *g = &b->g;
    void *data = NULL, *words = NULL;
    int rc = accel_generating_begin(g, err);

    /* From here on the rows are known to be few enough for what is laid out: their ids have been
     * allocated, and what a row takes here is less than what size_t leaves of that. */
    if (rc == ACCEL_OK && g->rows > SIZE_MAX / 256)
        rc = accel_fail(err, ACCEL_E_LIMIT, "%zu sequences are too many", g->rows);
    if (rc == ACCEL_OK)
        rc = accel_generating_reserve(g, ACCEL_GENERATING_NEXT_IDS, g->rows, g->most,
                                      sizeof(int32_t), &data, err);
    if (rc == ACCEL_OK)
        rc = accel_generating_reserve(g, ACCEL_GENERATING_WORDS, g->rows, g->most, sizeof(int32_t),
                                      &words, err);
    b->beams.batch = g->batch;
    b->beams.beams = g->beams;
    b->beams.most = g->most;
    b->beams.eos = g->op->eos;
    b->beams.pad = g->op->pad;
    b->beams.early_stopping = g->op->early_stopping;
    b->beams.words = words;
    if (rc == ACCEL_OK)
        rc = accel_generating_reserve(g, ACCEL_GENERATING_BEAMS, 1, lay_out(&b->beams, NULL), 1,
                                      &data, err);
    if (rc != ACCEL_OK)
        return rc;
    lay_out(&b->beams, data);
    accel_beams_init(&b->beams);
    return ACCEL_OK;
}

/* Output `scores`, zeroed, once the vocabulary is known. */
static int begin_history(struct beaming *b, struct accel_error *err)
{
    const struct accel_run *run = b->g.run;
    const struct accel_shape shape = {.has_rank = true,
                                      .rank = 4,
                                      .dims = {(int64_t)(b->g.most - b->g.prompt),
                                               (int64_t)b->g.batch, (int64_t)b->g.beams,
                                               (int64_t)b->g.rules.vocab}};

    if (2 * b->g.beams > b->g.beams * b->g.rules.vocab)
        return accel_fail(err, ACCEL_E_INVALID, "a vocabulary of one is nothing to search in");
    if (run->node->outputs_count < 3 || run->out[2] == NULL)
        return ACCEL_OK;
    const int rc = accel_run_output(b->g.run, 2, &shape, err);
    if (rc != ACCEL_OK)
        return rc;
    b->history = run->out[2]->data;
    memset(b->history, 0, run->out[2]->size_bytes);
    return ACCEL_OK;
}

/* From the decoder's scores to what each sequence would have with each token. */
static void add_up(struct beaming *b)
{
    struct accel_generating *g = &b->g;
    const size_t vocab = g->rules.vocab;

    accel_softmax_f32(g->run->kernels, g->run->pool, g->rows, vocab, 1, true, g->scores, g->scores);
    accel_logits_apply(&g->rules, g->length == g->prompt, g->rows, g->ids, g->most, g->length,
                       g->scores, g->memory[ACCEL_GENERATING_WORK].data);
    for (size_t r = 0; r < g->rows; r++)
        for (size_t k = 0; k < vocab; k++)
            g->scores[r * vocab + k] += b->beams.sums[r];
    if (b->history != NULL) {
        memcpy(b->history, g->scores, g->rows * vocab * sizeof(float));
        b->history += g->rows * vocab;
    }
}

/* Each row becomes the one it was continued from, and its token. */
static void append(struct beaming *b)
{
    struct accel_generating *g = &b->g;
    struct accel_held *ids = &g->memory[ACCEL_GENERATING_IDS];
    struct accel_held *next = &g->memory[ACCEL_GENERATING_NEXT_IDS];
    const struct accel_held swapped = *ids;
    int32_t *to = next->data;

    for (size_t r = 0; r < g->rows; r++, to += g->most) {
        memcpy(to, g->ids + (size_t)b->beams.from[r] * g->most, g->length * sizeof(*to));
        to[g->length] = b->beams.tokens[r];
    }
    *ids = *next;
    *next = swapped;
    g->ids = ids->data;
    g->length++;
}

static int beam_steps(struct beaming *b, struct accel_error *err)
{
    struct accel_generating *g = &b->g;
    const bool encoded = g->op->encoder != NULL;
    struct accel_tensor logits;
    int rc = encoded ? accel_t5_first(g, &logits, err) : accel_gpt_first(g, &logits, err);

    for (;;) {
        if (rc == ACCEL_OK)
            rc = accel_generating_scores(g, &logits, err);
        if (rc == ACCEL_OK && g->length == g->prompt)
            rc = begin_history(b, err);
        if (rc != ACCEL_OK)
            return rc;
        add_up(b);
        const bool going =
            accel_beams_step(&b->beams, g->scores, g->rules.vocab, g->ids, g->most, g->length);
        append(b);
        if (!going || g->length == g->most)
            break;
        /* With one beam each row goes on from itself, also when its batch is done. */
        const int32_t *from = g->beams > 1 ? b->beams.from : NULL;
        rc = encoded ? accel_t5_next(g, from, &logits, err) : accel_gpt_next(g, from, &logits, err);
    }
    accel_beams_finish(&b->beams, g->ids, g->most, g->length);
    return ACCEL_OK;
}

static int give_best(struct beaming *b, struct accel_error *err)
{
    struct accel_run *run = b->g.run;
    const int64_t batch = (int64_t)b->g.batch, count = (int64_t)b->count;
    const struct accel_shape ids = {
        .has_rank = true, .rank = 3, .dims = {batch, count, (int64_t)b->g.most}};
    const struct accel_shape scores = {.has_rank = true, .rank = 2, .dims = {batch, count}};
    const bool rated = run->node->outputs_count > 1 && run->out[1] != NULL;
    int rc = run->out[0] != NULL ? accel_run_output(run, 0, &ids, err) : ACCEL_OK;

    if (rc == ACCEL_OK && rated)
        rc = accel_run_output(run, 1, &scores, err);
    if (rc == ACCEL_OK && run->out[0] != NULL)
        accel_beams_result(&b->beams, b->count, run->out[0]->data,
                           rated ? run->out[1]->data : NULL);
    return rc;
}

static void end_beaming(struct beaming *b)
{
    accel_generating_end(&b->g);
}

int accel_beam_search_run(struct accel_run *run, struct accel_error *err)
{
    ACCEL_CLEANUP(end_beaming)
    struct beaming b = {.g = {.run = run, .op = run->node->params}};
    int rc = read_beams(&b, err);

    if (rc == ACCEL_OK && b.g.batch == 0)
        rc = accel_fail(err, ACCEL_E_INVALID, "input_ids has no row to continue");
    if (rc == ACCEL_OK)
        rc = begin_beams(&b, err);
    if (rc != ACCEL_OK)
        return rc;
    rc = beam_steps(&b, err);
    if (rc != ACCEL_OK) {
        accel_fail_in(err, "token %zu", b.g.length);
        return rc;
    }
    return give_best(&b, err);
}
