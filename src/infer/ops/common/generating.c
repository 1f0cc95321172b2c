/* SPDX-License-Identifier: Apache-2.0 */
/* What every search has in common: its inputs, its memory, and the scores that its decoder makes.
 */
#include "infer/ops/generate.h"

#include <inttypes.h>
#include <string.h>

/* Tokens of a sequence at most: ONNX Runtime's own bound. */
#define LENGTH_MAX 16384

const struct accel_generate_places *accel_generate_places(const struct accel_generate *op)
{
    static const struct accel_generate_places greedy = {1, 2, 3, 4, 5, 6},
                                              beams = {1, 2, 6, 7, 8, 9};

    return op->greedy ? &greedy : &beams;
}

int accel_generate_names(const char *const *have, const char *const *want, size_t count,
                         const char *what, const char *graph, struct accel_error *err)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(have[i], want[i]) != 0)
            return accel_fail(err, ACCEL_E_INVALID, "%s: %s %zu is '%s', it has to be '%s'", graph,
                              what, i, have[i], want[i]);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- inputs */

static const struct accel_tensor *input(const struct accel_run *run, size_t i)
{
    return i < accel_node_formal(run->node) ? run->in[i] : NULL;
}

static const char *name_of(const struct accel_node *n, size_t i)
{
    return accel_op_input(n->op, i)->name;
}

/* Input i of an INT32 or FLOAT, as its entry says, of rank `rank`. */
static int check_tensor(const struct accel_node *n, size_t i, const struct accel_tensor *t,
                        uint32_t rank, struct accel_error *err)
{
    const uint32_t types = accel_op_input(n->op, i)->types;

    if (accel_is_list(t) || accel_is_none(t) || (types >> t->dtype & 1) == 0)
        return accel_fail(err, ACCEL_E_INVALID, "input %zu '%s' has the wrong type", i,
                          name_of(n, i));
    if (t->rank != rank)
        return accel_fail(err, ACCEL_E_INVALID, "input %zu '%s' has rank %u, %u is needed", i,
                          name_of(n, i), t->rank, rank);
    return ACCEL_OK;
}

/* An input of one number. *t NULL: left out. */
static int scalar(const struct accel_run *run, size_t i, const struct accel_tensor **t,
                  struct accel_error *err)
{
    *t = input(run, i);
    if (*t == NULL)
        return ACCEL_OK;
    const int rc = check_tensor(run->node, i, *t, (*t)->rank == 1, err);
    if (rc == ACCEL_OK && (*t)->size_bytes != 4)
        return accel_fail(err, ACCEL_E_INVALID, "input %zu '%s' has to be one number", i,
                          name_of(run->node, i));
    return rc;
}

int accel_generating_int(const struct accel_run *run, size_t i, int64_t *value,
                         struct accel_error *err)
{
    const struct accel_tensor *t;
    const int rc = scalar(run, i, &t, err);

    if (rc == ACCEL_OK && t != NULL)
        *value = *(const int32_t *)t->data;
    return rc;
}

int accel_generating_float(const struct accel_run *run, size_t i, float *value,
                           struct accel_error *err)
{
    const struct accel_tensor *t;
    const int rc = scalar(run, i, &t, err);

    if (rc == ACCEL_OK && t != NULL)
        *value = *(const float *)t->data;
    return rc;
}

int accel_generating_matrix(const struct accel_run *run, size_t i, size_t rows, size_t columns,
                            const int32_t **data, struct accel_error *err)
{
    const struct accel_tensor *t = input(run, i);

    *data = NULL;
    if (t == NULL)
        return ACCEL_OK;
    const int rc = check_tensor(run->node, i, t, rows == 0 ? 1 : 2, err);
    if (rc != ACCEL_OK)
        return rc;
    if ((rows != 0 && t->dims[0] != (int64_t)rows) || t->dims[t->rank - 1] != (int64_t)columns) {
        const struct accel_shape shape = accel_shape_of(t);
        char text[ACCEL_SHAPE_TEXT];

        accel_shape_format(&shape, text);
        if (rows == 0)
            return accel_fail(err, ACCEL_E_INVALID, "input %zu '%s' has shape %s, needed is %zu", i,
                              name_of(run->node, i), text, columns);
        return accel_fail(err, ACCEL_E_INVALID, "input %zu '%s' has shape %s, needed is %zux%zu", i,
                          name_of(run->node, i), text, rows, columns);
    }
    *data = t->data;
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- a run */

int accel_generating_reserve(struct accel_generating *g, enum accel_generating_memory which,
                             size_t count, size_t each, size_t size, void **data,
                             struct accel_error *err)
{
    size_t bytes;

    if (__builtin_mul_overflow(count, each, &bytes) || __builtin_mul_overflow(bytes, size, &bytes))
        return accel_fail(err, ACCEL_E_LIMIT, "%zu x %zu numbers to generate with are too many",
                          count, each);
    const int rc = accel_run_held_reserve(g->run, &g->memory[which], bytes, err);
    *data = g->memory[which].data;
    return rc;
}

void accel_generating_end(struct accel_generating *g)
{
    for (size_t i = 0; i < ACCEL_GENERATING_MEMORIES; i++)
        accel_run_release(g->run, &g->memory[i]);
    for (size_t i = 0; g->now != NULL && i < g->op->states; i++) {
        accel_run_release(g->run, &g->now[i]);
        accel_run_release(g->run, &g->next[i]);
    }
    for (size_t i = 0; g->fixed != NULL && i < g->op->fixed; i++)
        accel_run_release(g->run, &g->fixed[i]);
    accel_free(g->inputs);
    accel_free(g->outputs);
    accel_free(g->now);
    accel_free(g->next);
    accel_free(g->fixed);
}

/* What a model of features begins with, and inputs that it makes nothing of. */
static int read_features(struct accel_generating *g, struct accel_error *err)
{
    const struct accel_run *run = g->run;
    const struct accel_tensor *ids = input(run, ACCEL_GENERATE_DECODER_IDS), *mask, *extra;
    int rc = ACCEL_OK;

    g->prompt = 1;
    if (ids == NULL && g->op->start < 0)
        return accel_fail(err, ACCEL_E_INVALID,
                          "decoder_start_token_id is %d: without input decoder_input_ids it has to "
                          "be a token",
                          g->op->start);
    if (ids != NULL)
        rc = check_tensor(run->node, ACCEL_GENERATE_DECODER_IDS, ids, 2, err);
    if (rc == ACCEL_OK && ids != NULL) {
        g->prompt_ids = ids->data;
        g->prompt = (size_t)ids->dims[1];
        rc = accel_generating_matrix(run, ACCEL_GENERATE_DECODER_IDS, g->batch, g->prompt,
                                     &g->prompt_ids, err);
    }
    if (rc == ACCEL_OK && (mask = input(run, accel_generate_places(g->op)->attention_mask)) != NULL)
        rc = check_tensor(run->node, accel_generate_places(g->op)->attention_mask, mask, 3, err);
    if (rc == ACCEL_OK && (extra = input(run, ACCEL_GENERATE_EXTRA_IDS)) != NULL)
        rc = check_tensor(run->node, ACCEL_GENERATE_EXTRA_IDS, extra, 2, err);
    return rc;
}

/* What there is to continue: batch, prompt and prompt_ids. */
static int read_prompt(struct accel_generating *g, struct accel_error *err)
{
    const struct accel_generate *op = g->op;
    const struct accel_tensor *ids = g->run->in[0];
    int rc = check_tensor(g->run->node, 0, ids, op->features ? 3 : 2, err);

    if (rc != ACCEL_OK)
        return rc;
    if (ids->dtype != (op->features ? ACCEL_DTYPE_FLOAT : ACCEL_DTYPE_INT32))
        return accel_fail(err, ACCEL_E_INVALID, "input_ids is %s, not what this model_type takes",
                          accel_dtype_name(ids->dtype));
    g->batch = (size_t)ids->dims[0];
    if (op->features) {
        rc = read_features(g, err);
    } else if (op->encoder != NULL) {
        g->prompt = 1;
    } else {
        g->prompt = (size_t)ids->dims[1];
        g->prompt_ids = ids->data;
    }
    if (rc == ACCEL_OK && (g->prompt == 0 || (!op->features && ids->dims[1] == 0)))
        return accel_fail(err, ACCEL_E_INVALID, "%s holds no token to continue",
                          op->features ? "decoder_input_ids" : "input_ids");
    return rc;
}

int accel_generating_read(struct accel_generating *g, struct accel_error *err)
{
    const struct accel_run *run = g->run;
    const struct accel_generate_places *at = accel_generate_places(g->op);
    int64_t most = 0;
    int rc = read_prompt(g, err);

    if (rc == ACCEL_OK)
        rc = accel_generating_int(run, at->max_length, &most, err);
    if (rc != ACCEL_OK)
        return rc;
    if (most > LENGTH_MAX || most <= (int64_t)g->prompt)
        return accel_fail(err, ACCEL_E_INVALID,
                          "max_length is %" PRId64 ": it has to be more than the %zu tokens that "
                          "%s, and %d at most",
                          most, g->prompt,
                          g->op->encoder != NULL ? "it begins with" : "input_ids has", LENGTH_MAX);
    g->most = (size_t)most;
    g->rules = (struct accel_logits_rules){
        .repetition_penalty = 1, .ngram = g->op->ngram, .eos = g->op->eos};
    rc = accel_generating_int(run, at->min_length, &g->rules.min_length, err);
    if (rc == ACCEL_OK)
        rc = accel_generating_float(run, at->repetition_penalty, &g->rules.repetition_penalty, err);
    if (rc == ACCEL_OK && !(g->rules.repetition_penalty > 0))
        rc = accel_fail(err, ACCEL_E_INVALID, "repetition_penalty is %g, it has to be above 0",
                        (double)g->rules.repetition_penalty);
    if (rc == ACCEL_OK && g->batch > 0 && !g->op->features)
        rc = accel_generating_matrix(run, at->attention_mask, g->batch, (size_t)run->in[0]->dims[1],
                                     &g->prompt_mask, err);
    return rc;
}

/* Once accel_generating_read() and `beams` are there. */
int accel_generating_begin(struct accel_generating *g, struct accel_error *err)
{
    void *ids = NULL;

    if (__builtin_mul_overflow(g->batch, g->beams, &g->rows))
        return accel_fail(err, ACCEL_E_LIMIT, "%zu x %zu sequences are too many", g->batch,
                          g->beams);
    const int rc = accel_generating_reserve(g, ACCEL_GENERATING_IDS, g->rows, g->most,
                                            sizeof(int32_t), &ids, err);
    if (rc != ACCEL_OK)
        return rc;
    g->ids = ids;
    g->length = g->prompt;
    for (size_t r = 0; r < g->rows; r++)
        memcpy(g->ids + r * g->most,
               g->prompt_ids != NULL ? g->prompt_ids + r / g->beams * g->prompt : &g->op->start,
               g->prompt * sizeof(int32_t));
    return ACCEL_OK;
}

/* What has to wait for the first logits: their last axis is the vocabulary. */
static int begin_scores(struct accel_generating *g, size_t vocab, struct accel_error *err)
{
    const struct accel_generate_places *at = accel_generate_places(g->op);
    struct accel_logits_rules *rules = &g->rules;
    size_t bytes;
    void *data;

    if (g->op->vocab > 0 && (uint64_t)g->op->vocab > vocab)
        return accel_fail(err, ACCEL_E_INVALID,
                          "vocab_size is %" PRId64 ", its decoder's logits have %zu", g->op->vocab,
                          vocab);
    rules->vocab = g->op->vocab > 0 ? (size_t)g->op->vocab : vocab;
    rules->rows_per_batch = g->beams;
    if (rules->times != NULL &&
        (rules->times->first <= 0 || (size_t)rules->times->first >= rules->vocab))
        return accel_fail(
            err, ACCEL_E_INVALID,
            "beginning_timestamp_token_id is %d: with logits_processor 1 it has to be "
            "above 0 and below the %zu of the vocabulary",
            rules->times->first, rules->vocab);
    int rc =
        accel_generating_matrix(g->run, at->vocab_mask, 0, rules->vocab, &rules->vocab_mask, err);
    if (rc == ACCEL_OK)
        rc = accel_generating_matrix(g->run, at->prefix_mask, g->batch, rules->vocab,
                                     &rules->prefix_mask, err);
    if (rc != ACCEL_OK)
        return rc;
    if (!accel_logits_work(rules->vocab, g->most, &bytes))
        return accel_fail(err, ACCEL_E_LIMIT, "a vocabulary of %zu is too large", vocab);
    rc = accel_generating_reserve(g, ACCEL_GENERATING_WORK, 1, 1, bytes, &data, err);
    if (rc == ACCEL_OK)
        rc = accel_generating_reserve(g, ACCEL_GENERATING_SCORES, g->rows, rules->vocab,
                                      sizeof(float), &data, err);
    g->scores = data;
    return rc;
}

int accel_generating_scores(struct accel_generating *g, const struct accel_tensor *logits,
                            struct accel_error *err)
{
    char text[ACCEL_SHAPE_TEXT];

    if (logits->rank != 3 || logits->dtype != ACCEL_DTYPE_FLOAT)
        return accel_fail(err, ACCEL_E_INVALID, "its decoder's logits are no FLOAT of rank 3");
    const size_t vocab = (size_t)logits->dims[2], given = (size_t)logits->dims[1];
    const bool each = logits->dims[0] == (int64_t)g->rows;
    const struct accel_shape shape = accel_shape_of(logits);
    if ((!each && logits->dims[0] != (int64_t)g->batch) || given == 0 ||
        vocab < ACCEL_MAX(g->rules.vocab, (size_t)1))
        return accel_fail(err, ACCEL_E_INVALID,
                          "its decoder's logits have shape %s, %zu rows of tokens went in",
                          accel_shape_format(&shape, text), g->rows);
    const int rc = g->rules.vocab == 0 ? begin_scores(g, vocab, err) : ACCEL_OK;
    if (rc != ACCEL_OK)
        return rc;
    for (size_t r = 0; r < g->rows; r++)
        memcpy(g->scores + r * g->rules.vocab,
               (const float *)logits->data +
                   ((each ? r : r / g->beams) * given + given - 1) * vocab,
               g->rules.vocab * sizeof(float));
    return ACCEL_OK;
}
