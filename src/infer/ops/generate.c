/* SPDX-License-Identifier: Apache-2.0 */
/* GreedySearch, Sampling, BeamSearch, WhisperBeamSearch: a text is continued token by token, with
 * what a decoder in a subgraph says of the next one. As ONNX Runtime does it, but for two things:
 * what it leaves unwritten when all sequences ended early is filled (ids with pad tokens, scores
 * with 0), and of a decoder that knows more tokens than vocab_size the first vocab_size of each row
 * are looked at. Nothing is made of extra_decoding_ids there or here; cross_qk,
 * non_speech_probs and filtered_logits, which its CPU kernels leave unwritten, are refused. */
#include "infer/ops/generate.h"

#include "infer/ops/elements.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Outputs of WhisperBeamSearch. */
enum { CROSS_QK = 3, NO_SPEECH = 4 };

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
    static const struct models all[] = {{"GreedySearch", 0, 1, 0},
                                        {"Sampling", 0, 1, 0},
                                        {"BeamSearch", 0, 3, 0},
                                        {"WhisperBeamSearch", 2, 1, 2}};
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
    op->sampled = strcmp(n->op->name, "Sampling") == 0;
    op->greedy = op->sampled || strcmp(n->op->name, "GreedySearch") == 0;
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
        rc = op->sampled ? accel_sampling_parse(n, &op->sampling, err) : parse_whisper(n, op, err);
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
    const bool begun = op->features && accel_given(in->node, ACCEL_GENERATE_DECODER_IDS);
    const int64_t prompt = begun                 ? dim(in, ACCEL_GENERATE_DECODER_IDS, 1)
                           : op->encoder != NULL ? 1
                                                 : given;
    const int64_t most = known(in, accel_generate_places(op)->max_length, 0);
    const int64_t beams = op->greedy ? 1 : known(in, ACCEL_GENERATE_NUM_BEAMS, 1);
    const int64_t count = op->greedy ? 1 : known(in, ACCEL_GENERATE_NUM_RETURN_SEQUENCES, 1);
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

/* ---------------------------------------------------------------- GreedySearch */

/* Index of the first of the largest. */
static size_t largest(const float *x, size_t count)
{
    size_t best = 0;

    for (size_t i = 1; i < count; i++)
        if (x[i] > x[best])
            best = i;
    return best;
}

static void choose_best(struct accel_generating *g)
{
    for (size_t r = 0; r < g->rows; r++)
        g->ids[r * g->most + g->length] =
            (int32_t)largest(g->scores + r * g->rules.vocab, g->rules.vocab);
}

/* Rows whose end has come get no more tokens. Returns whether it came in every row. */
static bool end_rows(struct accel_generating *g, bool *over)
{
    bool ended = true;

    for (size_t r = 0; r < g->rows; r++) {
        int32_t *next = &g->ids[r * g->most + g->length];

        over[r] = over[r] || *next == g->op->eos;
        if (over[r])
            *next = g->op->pad;
        ended = ended && over[r];
    }
    return ended;
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
    int rc = accel_gpt_first(g, &logits, err);

    for (;;) {
        if (rc == ACCEL_OK)
            rc = accel_generating_scores(g, &logits, err);
        if (rc == ACCEL_OK && g->op->sampled && g->length == g->prompt)
            rc = accel_sampling_begin(g, err);
        if (rc != ACCEL_OK)
            return rc;
        accel_logits_apply(&g->rules, g->length == g->prompt, g->rows, g->ids, g->most, g->length,
                           g->scores, g->memory[ACCEL_GENERATING_WORK].data);
        if (g->op->sampled)
            accel_sampling_draw(g);
        else
            choose_best(g);
        const bool ended = end_rows(g, over);
        g->length++;
        if (ended || g->length == g->most)
            return ACCEL_OK;
        rc = accel_gpt_next(g, NULL, &logits, err);
    }
}

static int greedy_run(struct accel_run *run, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_generating_end)
    struct accel_generating g = {.run = run, .op = run->node->params, .beams = 1};
    int rc = accel_generating_read(&g, err);

    if (rc == ACCEL_OK)
        rc = accel_generating_begin(&g, err);
    if (rc != ACCEL_OK)
        return rc;
    g.rules.temperature = g.op->sampling.temperature;
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

/* ---------------------------------------------------------------- the table */

/* Attributes of all. */
#define COMMON_ATTRS                                                                              \
    {"decoder", ACCEL_ATTR_GRAPH, ACCEL_ATTR_REQUIRED}, {"init_decoder", ACCEL_ATTR_GRAPH, 0},    \
        {"encoder", ACCEL_ATTR_GRAPH, 0}, {"eos_token_id", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED},  \
        {"pad_token_id", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED}, {"model_type", ACCEL_ATTR_INT, 0}, \
        {"no_repeat_ngram_size", ACCEL_ATTR_INT, 0}, {"vocab_size", ACCEL_ATTR_INT, 0},           \
    {                                                                                             \
        "decoder_start_token_id", ACCEL_ATTR_INT, 0                                               \
    }

static const struct accel_attr_rule greedy_attrs[] = {COMMON_ATTRS, {0}};
static const struct accel_attr_rule sampling_attrs[] = {COMMON_ATTRS,
                                                        {"temperature", ACCEL_ATTR_FLOAT, 0},
                                                        {"top_p", ACCEL_ATTR_FLOAT, 0},
                                                        {"filter_value", ACCEL_ATTR_FLOAT, 0},
                                                        {"min_tokens_to_keep", ACCEL_ATTR_INT, 0},
                                                        {"presence_penalty", ACCEL_ATTR_FLOAT, 0},
                                                        {"custom", ACCEL_ATTR_INT, 0},
                                                        {0}};
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

#define GREEDY_INPUTS                                                           \
    {"input_ids", I, 0, 0}, {"max_length", I, 0, 0}, {"min_length", I, 0, OPT}, \
        {"repetition_penalty", T, 0, OPT}, {"vocab_mask", I, 0, OPT},           \
        {"prefix_vocab_mask", I, 0, OPT},                                       \
    {                                                                           \
        "attention_mask", I, 0, OPT                                             \
    }

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
     .in = {GREEDY_INPUTS},
     .out = {{"sequences", I, 0, 0}},
     .attrs = greedy_attrs,
     .parse = generate_parse,
     .infer = generate_infer,
     .run = greedy_run},
    {.domain = "com.microsoft",
     .name = "Sampling",
     .since = 1,
     .flags = ACCEL_OP_CONTROL | ACCEL_OP_ANY_RANK,
     .kind = ACCEL_KIND_OTHER,
     .in = {GREEDY_INPUTS, {"presence_mask", I, 0, OPT}, {"seed", I, 0, OPT}},
     .out = {{"sequences", I, 0, 0}, {"filtered_logits", T, 0, OPT}},
     .attrs = sampling_attrs,
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
     .run = accel_beam_search_run},
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
     .run = accel_beam_search_run},
    {0},
};
