/* SPDX-License-Identifier: Apache-2.0 */
/* GreedySearch, BeamSearch, WhisperBeamSearch: a text is continued token by token, with what a
 * decoder in a subgraph says of the next one. As ONNX Runtime does it, but for two things: what it
 * leaves unwritten when all sequences ended early is filled (ids with pad tokens, scores with 0),
 * and of a decoder that knows more tokens than vocab_size the first vocab_size of each row are
 * looked at. Nothing is made of extra_decoding_ids there or here; cross_qk and non_speech_probs,
 * which its CPU kernel leaves unwritten, are refused. */
#include "infer/ops/generate.h"

#include "infer/ops/beams.h"
#include "infer/ops/elements.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Tokens of a sequence, and beams, at most: ONNX Runtime's own bounds. */
#define LENGTH_MAX 16384
#define BEAMS_MAX  128

/* ---------------------------------------------------------------- inputs */

/* Where an operator has them. */
struct places {
    size_t max_length, min_length, repetition_penalty, vocab_mask, prefix_mask, attention_mask;
};

static const struct places greedy_places = {1, 2, 3, 4, 5, 6}, beam_places = {1, 2, 6, 7, 8, 9};

/* Of BeamSearch and WhisperBeamSearch. */
enum {
    NUM_BEAMS = 3,
    NUM_RETURN_SEQUENCES = 4,
    LENGTH_PENALTY = 5,
    DECODER_IDS = 10,
    LOGITS_PROCESSOR = 11
};

/* Of WhisperBeamSearch alone. */
enum { EXTRA_IDS = 13, TEMPERATURE = 14, CROSS_QK = 3, NO_SPEECH = 4 };

#define PROCESS_TIMES 1 /* logits_processor */

static const struct places *places_of(const struct accel_generate *op)
{
    return op->greedy ? &greedy_places : &beam_places;
}

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

static int read_int(const struct accel_run *run, size_t i, int64_t *value, struct accel_error *err)
{
    const struct accel_tensor *t;
    const int rc = scalar(run, i, &t, err);

    if (rc == ACCEL_OK && t != NULL)
        *value = *(const int32_t *)t->data;
    return rc;
}

static int read_float(const struct accel_run *run, size_t i, float *value, struct accel_error *err)
{
    const struct accel_tensor *t;
    const int rc = scalar(run, i, &t, err);

    if (rc == ACCEL_OK && t != NULL)
        *value = *(const float *)t->data;
    return rc;
}

/* An INT32 input of shape [rows, columns], or [columns] where rows is 0. *data NULL: left out. */
static int read_matrix(const struct accel_run *run, size_t i, size_t rows, size_t columns,
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

/* ---------------------------------------------------------------- parse, infer */

int accel_generate_names(const char *const *have, const char *const *want, size_t count,
                         const char *what, const char *graph, struct accel_error *err)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(have[i], want[i]) != 0)
            return accel_fail(err, ACCEL_E_INVALID, "%s: %s %zu is '%s', it has to be '%s'", graph,
                              what, i, have[i], want[i]);
    return ACCEL_OK;
}

static int parse_token(const struct accel_node *n, const char *name, int32_t *token,
                       struct accel_error *err)
{
    const int64_t value = accel_attr_int(n, name, -1);

    if (value < INT32_MIN || value > INT32_MAX)
        return accel_fail(err, ACCEL_E_INVALID, "%s is %" PRId64 ", no number of a token", name,
                          value);
    *token = (int32_t)value;
    return ACCEL_OK;
}

/* What of WhisperBeamSearch is not there. */
static int refuse_outputs(const struct accel_node *n, struct accel_error *err)
{
    if (accel_attr_int(n, "decoder_output_cross_qk", 0) != 0)
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          "decoder_output_cross_qk is not supported, export with 0");
    for (size_t o = CROSS_QK; o <= NO_SPEECH && o < n->outputs_count; o++)
        if (n->outputs[o] != NULL)
            return accel_fail(err, ACCEL_E_UNSUPPORTED,
                              "output '%s' is not supported, export without",
                              accel_op_arg(n->op->out, ACCEL_OP_OUTPUTS, o)->name);
    return ACCEL_OK;
}

static int parse_whisper(const struct accel_node *n, struct accel_generate *op,
                         struct accel_error *err)
{
    struct accel_timestamps *t = &op->times;
    const struct {
        const char *name;
        int32_t *token;
    } ids[] = {{"beginning_timestamp_token_id", &t->first},
               {"no_timestamps_token_id", &t->no_times},
               {"start_of_lm_token_id", &t->language_model},
               {"translate_token_id", &t->translate},
               {"transcribe_token_id", &t->transcribe}};
    int rc = refuse_outputs(n, err);

    for (size_t i = 0; i < sizeof(ids) / sizeof(*ids) && rc == ACCEL_OK; i++)
        rc = parse_token(n, ids[i].name, ids[i].token, err);
    t->start = op->start;
    return rc;
}

/* Which models an operator takes: as many types from `first` on. */
struct models {
    const char *op;
    int64_t first, count, otherwise; /* otherwise: model_type is left out */
};

static int parse_type(const struct accel_node *n, int64_t *type, struct accel_error *err)
{
    static const char *const names[] = {"a decoder alone", "encoder and decoder",
                                        "an encoder of features, and decoder"};
    static const struct models all[] = {
        {"GreedySearch", 0, 1, 0}, {"BeamSearch", 0, 3, 0}, {"WhisperBeamSearch", 2, 1, 2}};
    const struct models *m = all;
    char text[128];
    size_t at = 0;

    while (strcmp(m->op, n->op->name) != 0)
        m++;
    *type = accel_attr_int(n, "model_type", m->otherwise);
    if (*type >= m->first && *type < m->first + m->count)
        return ACCEL_OK;
    for (int64_t i = m->first; i < m->first + m->count && at < sizeof(text); i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%" PRId64 " (%s)",
                               i > m->first ? " or " : "", i, names[i]);
    return accel_fail(err, ACCEL_E_UNSUPPORTED, "model_type %" PRId64 " is not supported, %s is",
                      *type, text);
}

static int generate_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                          struct accel_error *err)
{
    struct accel_generate *op = accel_bump_alloc(mem, 1, sizeof(*op));
    int64_t type;

    if (op == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its attributes");
    op->greedy = strcmp(n->op->name, "GreedySearch") == 0;
    op->early_stopping = accel_attr_int(n, "early_stopping", 0) == 1;
    op->decoder = accel_attr_graph(n, "decoder");
    op->init = accel_attr_graph(n, "init_decoder");
    op->vocab = accel_attr_int(n, "vocab_size", -1);
    op->ngram = accel_attr_int(n, "no_repeat_ngram_size", 0);
    int rc = parse_type(n, &type, err);
    if (rc == ACCEL_OK)
        rc = parse_token(n, "eos_token_id", &op->eos, err);
    if (rc == ACCEL_OK)
        rc = parse_token(n, "pad_token_id", &op->pad, err);
    if (rc == ACCEL_OK)
        rc = parse_token(n, "decoder_start_token_id", &op->start, err);
    *params = op;
    if (rc == ACCEL_OK)
        rc = parse_whisper(n, op, err);
    if (rc == ACCEL_OK && type != 0) {
        op->encoder = accel_attr_graph(n, "encoder");
        op->features = type == 2;
        return accel_t5_parse(op, err);
    }
    if (rc == ACCEL_OK)
        rc = accel_gpt_parse(op, op->decoder, "decoder", err);
    if (rc == ACCEL_OK && op->init != NULL)
        rc = accel_gpt_parse(op, op->init, "init_decoder", err);
    return rc;
}

/* Dimension d of input i, if known. */
static int64_t dim(const struct accel_infer *in, size_t i, uint32_t d)
{
    const struct accel_shape *s = &in->in[i]->shape;

    return s->has_rank && s->rank > d ? s->dims[d] : ACCEL_DIM_ANY;
}

/* A number that is known before running: at least `least`, else -1. */
static int64_t known(const struct accel_infer *in, size_t i, int64_t least)
{
    int64_t value;
    size_t count;

    return accel_infer_ints(in, i, &value, 1, &count) && count == 1 && value >= least
               ? value
               : ACCEL_DIM_ANY;
}

static void says(struct accel_infer *in, size_t o, enum accel_dtype dtype, uint32_t rank,
                 const int64_t *dims)
{
    if (o >= in->node->outputs_count || in->out[o] == NULL)
        return;
    *in->out[o] = (struct accel_type){.dtype = dtype, .shape = {.has_rank = true, .rank = rank}};
    memcpy(in->out[o]->shape.dims, dims, rank * sizeof(*dims));
}

/* Input 0 is what the model takes. */
static int infer_input(const struct accel_infer *in, const struct accel_generate *op,
                       struct accel_error *err)
{
    const struct accel_type *t = in->in[0];
    const enum accel_dtype dtype = op->features ? ACCEL_DTYPE_FLOAT : ACCEL_DTYPE_INT32;
    const uint32_t rank = op->features ? 3 : 2;

    if (t->dtype != dtype && t->dtype != ACCEL_DTYPE_UNDEFINED)
        return accel_fail(err, ACCEL_E_INVALID, "input_ids is %s, this model_type takes %s",
                          accel_dtype_name(t->dtype), accel_dtype_name(dtype));
    if (t->shape.has_rank && t->shape.rank != rank)
        return accel_fail(err, ACCEL_E_INVALID, "input_ids has rank %u, %u is needed",
                          t->shape.rank, rank);
    return ACCEL_OK;
}

static int generate_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_generate *op = in->node->params;
    const int64_t batch = dim(in, 0, 0), given = dim(in, 0, 1);
    const bool begun = op->features && accel_given(in->node, DECODER_IDS);
    const int64_t prompt = begun ? dim(in, DECODER_IDS, 1) : op->encoder != NULL ? 1 : given;
    const int64_t most = known(in, places_of(op)->max_length, 0);
    const int64_t beams = op->greedy ? 1 : known(in, NUM_BEAMS, 1);
    const int64_t count = op->greedy ? 1 : known(in, NUM_RETURN_SEQUENCES, 1);
    int64_t rows;
    int rc = infer_input(in, op, err);

    if (rc != ACCEL_OK)
        return rc;
    if (batch < 0 || beams < 0 || __builtin_mul_overflow(batch, beams, &rows))
        rows = ACCEL_DIM_ANY;
    if (op->encoder != NULL)
        rc = accel_t5_infer(in, op, batch, op->features ? prompt : given, rows, err);
    if (op->encoder == NULL && op->init != NULL)
        rc = accel_gpt_infer(in, op, op->init, rows, err);
    if (op->encoder == NULL && rc == ACCEL_OK)
        rc = accel_gpt_infer(in, op, op->decoder, rows, err);
    if (rc != ACCEL_OK)
        return rc;
    if (op->greedy) {
        says(in, 0, ACCEL_DTYPE_INT32, 2, (const int64_t[]){batch, most});
        return ACCEL_OK;
    }
    const int64_t steps = most >= 0 && prompt >= 0 && most > prompt ? most - prompt : ACCEL_DIM_ANY;
    says(in, 0, ACCEL_DTYPE_INT32, 3, (const int64_t[]){batch, count, most});
    says(in, 1, ACCEL_DTYPE_FLOAT, 2, (const int64_t[]){batch, count});
    says(in, 2, ACCEL_DTYPE_FLOAT, 4,
         (const int64_t[]){steps, batch, beams, op->vocab > 0 ? op->vocab : ACCEL_DIM_ANY});
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- run */

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

static void end_generating(struct accel_generating *g)
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
    const struct accel_tensor *ids = input(run, DECODER_IDS), *mask, *extra;
    int rc = ACCEL_OK;

    g->prompt = 1;
    if (ids == NULL && g->op->start < 0)
        return accel_fail(err, ACCEL_E_INVALID,
                          "decoder_start_token_id is %d: without input decoder_input_ids it has to "
                          "be a token",
                          g->op->start);
    if (ids != NULL)
        rc = check_tensor(run->node, DECODER_IDS, ids, 2, err);
    if (rc == ACCEL_OK && ids != NULL) {
        g->prompt_ids = ids->data;
        g->prompt = (size_t)ids->dims[1];
        rc = read_matrix(run, DECODER_IDS, g->batch, g->prompt, &g->prompt_ids, err);
    }
    if (rc == ACCEL_OK && (mask = input(run, beam_places.attention_mask)) != NULL)
        rc = check_tensor(run->node, beam_places.attention_mask, mask, 3, err);
    if (rc == ACCEL_OK && (extra = input(run, EXTRA_IDS)) != NULL)
        rc = check_tensor(run->node, EXTRA_IDS, extra, 2, err);
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

/* All of the inputs but those that the vocabulary's size is needed for. */
static int read_inputs(struct accel_generating *g, struct accel_error *err)
{
    const struct accel_run *run = g->run;
    const struct places *at = places_of(g->op);
    int64_t most = 0;
    int rc = read_prompt(g, err);

    if (rc == ACCEL_OK)
        rc = read_int(run, at->max_length, &most, err);
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
    rc = read_int(run, at->min_length, &g->rules.min_length, err);
    if (rc == ACCEL_OK)
        rc = read_float(run, at->repetition_penalty, &g->rules.repetition_penalty, err);
    if (rc == ACCEL_OK && !(g->rules.repetition_penalty > 0))
        rc = accel_fail(err, ACCEL_E_INVALID, "repetition_penalty is %g, it has to be above 0",
                        (double)g->rules.repetition_penalty);
    if (rc == ACCEL_OK && g->batch > 0 && !g->op->features)
        rc = read_matrix(run, at->attention_mask, g->batch, (size_t)run->in[0]->dims[1],
                         &g->prompt_mask, err);
    return rc;
}

/* Once read_inputs() and `beams` are there. */
static int begin(struct accel_generating *g, struct accel_error *err)
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
    const struct places *at = places_of(g->op);
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
    int rc = read_matrix(g->run, at->vocab_mask, 0, rules->vocab, &rules->vocab_mask, err);
    if (rc == ACCEL_OK)
        rc = read_matrix(g->run, at->prefix_mask, g->batch, rules->vocab, &rules->prefix_mask, err);
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

/* The scores of the next token are those of the last one that the decoder was given. One row of
 * them for a batch goes for all of its beams. */
static int take_scores(struct accel_generating *g, const struct accel_tensor *logits,
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

/* Index of the first of the largest. */
static size_t largest(const float *x, size_t count)
{
    size_t best = 0;

    for (size_t i = 1; i < count; i++)
        if (x[i] > x[best])
            best = i;
    return best;
}

/* ---------------------------------------------------------------- GreedySearch */

/* Appends the best token to each row; *ended: the end came in every row. */
static int choose_best(struct accel_generating *g, bool *over, bool *ended, struct accel_error *err)
{
    (void)err;
    *ended = true;
    for (size_t r = 0; r < g->rows; r++) {
        const size_t best = largest(g->scores + r * g->rules.vocab, g->rules.vocab);

        over[r] = over[r] || (int64_t)best == g->op->eos;
        g->ids[r * g->most + g->length] = over[r] ? g->op->pad : (int32_t)best;
        *ended = *ended && over[r];
    }
    return ACCEL_OK;
}

static int give_ids(struct accel_generating *g, struct accel_error *err)
{
    const struct accel_shape shape = {
        .has_rank = true, .rank = 2, .dims = {(int64_t)g->batch, (int64_t)g->most}};
    const int rc = accel_run_output(g->run, 0, &shape, err);

    if (rc != ACCEL_OK || g->run->out[0] == NULL)
        return rc;
    for (size_t r = 0; r < g->rows; r++)
        for (size_t i = g->length; i < g->most; i++)
            g->ids[r * g->most + i] = g->op->pad;
    if (g->rows > 0)
        memcpy(g->run->out[0]->data, g->ids, g->rows * g->most * sizeof(int32_t));
    return ACCEL_OK;
}

static int greedy_steps(struct accel_generating *g, bool *over, struct accel_error *err)
{
    struct accel_tensor logits;
    bool ended = false;
    int rc = accel_gpt_first(g, &logits, err);

    for (;;) {
        if (rc == ACCEL_OK)
            rc = take_scores(g, &logits, err);
        if (rc != ACCEL_OK)
            return rc;
        accel_logits_apply(&g->rules, g->length == g->prompt, g->rows, g->ids, g->most, g->length,
                           g->scores, g->memory[ACCEL_GENERATING_WORK].data);
        rc = choose_best(g, over, &ended, err);
        g->length++;
        if (rc != ACCEL_OK || ended || g->length == g->most)
            return rc;
        rc = accel_gpt_next(g, NULL, &logits, err);
    }
}

static int greedy_run(struct accel_run *run, struct accel_error *err)
{
    ACCEL_CLEANUP(end_generating)
    struct accel_generating g = {.run = run, .op = run->node->params, .beams = 1};
    int rc = read_inputs(&g, err);

    if (rc == ACCEL_OK)
        rc = begin(&g, err);
    if (rc != ACCEL_OK)
        return rc;
    ACCEL_CLEANUP(accel_freep) bool *over = accel_calloc(g.rows, sizeof(*over));
    if (over == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to generate");
    rc = g.rows > 0 ? greedy_steps(&g, over, err) : ACCEL_OK;
    if (rc != ACCEL_OK) {
        accel_fail_in(err, "token %zu", g.length);
        return rc;
    }
    return give_ids(&g, err);
}

/* ---------------------------------------------------------------- BeamSearch */

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
    int rc = read_inputs(&b->g, err);
    if (rc == ACCEL_OK)
        rc = read_int(run, NUM_BEAMS, &beams, err);
    if (rc == ACCEL_OK)
        rc = read_int(run, NUM_RETURN_SEQUENCES, &count, err);
    if (rc == ACCEL_OK)
        rc = read_float(run, LENGTH_PENALTY, &b->beams.length_penalty, err);
    if (rc == ACCEL_OK)
        rc = read_int(run, LOGITS_PROCESSOR, &processor, err);
    if (rc == ACCEL_OK)
        rc = read_float(run, TEMPERATURE, &b->g.rules.temperature, err);
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
    int rc = begin(g, err);

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
            rc = take_scores(g, &logits, err);
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
    end_generating(&b->g);
}

static int beam_run(struct accel_run *run, struct accel_error *err)
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

/* ---------------------------------------------------------------- the table */

/* Attributes of all. */
#define COMMON_ATTRS                                                                              \
    {"decoder", ACCEL_ATTR_GRAPH, ACCEL_ATTR_REQUIRED}, {"init_decoder", ACCEL_ATTR_GRAPH, 0},    \
        {"encoder", ACCEL_ATTR_GRAPH, 0}, {"eos_token_id", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED},  \
        {"pad_token_id", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED}, {"model_type", ACCEL_ATTR_INT, 0}, \
        {"no_repeat_ngram_size", ACCEL_ATTR_INT, 0}, {"vocab_size", ACCEL_ATTR_INT, 0},           \
    {                                                                                             \
        "decoder_start_token_id", ACCEL_ATTR_INT, ACCEL_ATTR_IGNORED                              \
    }

static const struct accel_attr_rule greedy_attrs[] = {COMMON_ATTRS, {0}};
static const struct accel_attr_rule beam_attrs[] = {
    COMMON_ATTRS, {"early_stopping", ACCEL_ATTR_INT, 0}, {0}};
static const struct accel_attr_rule whisper_attrs[] = {
    COMMON_ATTRS,
    {"early_stopping", ACCEL_ATTR_INT, 0},
    {"beginning_timestamp_token_id", ACCEL_ATTR_INT, 0},
    {"no_timestamps_token_id", ACCEL_ATTR_INT, 0},
    {"start_of_lm_token_id", ACCEL_ATTR_INT, 0},
    {"translate_token_id", ACCEL_ATTR_INT, 0},
    {"transcribe_token_id", ACCEL_ATTR_INT, 0},
    {"no_speech_token_id", ACCEL_ATTR_INT, ACCEL_ATTR_IGNORED},
    {"decoder_output_cross_qk", ACCEL_ATTR_INT, 0},
    {0}};

#define I   ACCEL_T(INT32)
#define T   ACCEL_T(FLOAT)
#define OPT ACCEL_ARG_OPTIONAL

/* decoder_input_ids is for model_type 2, and so is what logits_processor does. */
#define BEAM_INPUTS                                                                               \
    {"input_ids", I | T, 0, 0}, {"max_length", I, 0, 0}, {"min_length", I, 0, OPT},               \
        {"num_beams", I, 0, 0}, {"num_return_sequences", I, 0, 0}, {"length_penalty", T, 0, OPT}, \
        {"repetition_penalty", T, 0, OPT}, {"vocab_mask", I, 0, OPT},                             \
        {"prefix_vocab_mask", I, 0, OPT}, {"attention_mask", I, 0, OPT},                          \
        {"decoder_input_ids", I, 0, OPT},                                                         \
    {                                                                                             \
        "logits_processor", I, 0, OPT                                                             \
    }
#define BEAM_OUTPUTS                                         \
    {"sequences", I, 0, 0}, {"sequences_scores", T, 0, OPT}, \
    {                                                        \
        "scores", T, 0, OPT                                  \
    }

const struct accel_op accel_ops_generate[] = {
    {.domain = "com.microsoft",
     .name = "GreedySearch",
     .since = 1,
     .flags = ACCEL_OP_CONTROL | ACCEL_OP_ANY_RANK,
     .kind = ACCEL_KIND_OTHER,
     .in = {{"input_ids", I, 0, 0},
            {"max_length", I, 0, 0},
            {"min_length", I, 0, OPT},
            {"repetition_penalty", T, 0, OPT},
            {"vocab_mask", I, 0, OPT},
            {"prefix_vocab_mask", I, 0, OPT},
            {"attention_mask", I, 0, OPT}},
     .out = {{"sequences", I, 0, 0}},
     .attrs = greedy_attrs,
     .parse = generate_parse,
     .infer = generate_infer,
     .run = greedy_run},
    {.domain = "com.microsoft",
     .name = "BeamSearch",
     .since = 1,
     .flags = ACCEL_OP_CONTROL | ACCEL_OP_ANY_RANK,
     .kind = ACCEL_KIND_OTHER,
     .in = {BEAM_INPUTS},
     .out = {BEAM_OUTPUTS},
     .attrs = beam_attrs,
     .parse = generate_parse,
     .infer = generate_infer,
     .run = beam_run},
    {.domain = "com.microsoft",
     .name = "WhisperBeamSearch",
     .since = 1,
     .flags = ACCEL_OP_CONTROL | ACCEL_OP_ANY_RANK,
     .kind = ACCEL_KIND_OTHER,
     .in = {BEAM_INPUTS,
            {"cross_qk_layer_head", I, 0, OPT},
            {"extra_decoding_ids", I, 0, OPT},
            {"temperature", T, 0, OPT}},
     .out = {BEAM_OUTPUTS, {"cross_qk", T, 0, OPT}, {"non_speech_probs", T, 0, OPT}},
     .attrs = whisper_attrs,
     .parse = generate_parse,
     .infer = generate_infer,
     .run = beam_run},
    {0},
};
