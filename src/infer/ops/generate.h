/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_OPS_GENERATE_H
#define ACCEL_INFER_OPS_GENERATE_H

/* Generating text with a model that is a subgraph: what the search for the best continuation
 * (ops/generate.c, ops/common/beam_search.c) and the ways to run a decoder (ops/common/decoder_*.c)
 * know of each other.
 *
 * A row is one sequence in the making: of `beams` rows for each of `batch` prompts. */

#include "infer/kernels/random.h"
#include "infer/ops/control.h"
#include "infer/ops/logits.h"

/* Attributes of Sampling. Of the next tokens those are kept that together have the probability
 * top_p. */
struct accel_sampling {
    float top_p;
    float filter; /* what becomes of the scores of the others */
    int64_t keep; /* so many of the best are kept in any case */
    bool custom;  /* keeps from the best on, and what `keep` says is not heard */
    float temperature, presence_penalty;
};

/* Attributes. */
struct accel_generate {
    bool greedy;                        /* one beam, and no probabilities: the largest logit wins */
    struct accel_graph *decoder, *init; /* init NULL: the decoder does the first run too */
    struct accel_graph *encoder;        /* NULL: the decoder reads the prompt itself */
    bool features;                      /* what the encoder is given is no text but FLOAT */
    int32_t start;                      /* first token of what is generated behind an encoder */
    bool late;                          /* the encoder leaves the first token to the decoder */
    bool hidden, whole; /* that decoder is given what the encoder made; all tokens, not the last */
    size_t layers;
    size_t states, fixed; /* tensors that go from run to run; that stay */
    int64_t heads, head_size;
    int32_t eos, pad;
    int64_t vocab; /* <= 0: what the decoder has */
    int64_t ngram;
    bool early_stopping;
    struct accel_timestamps times;
    bool sampled; /* greedy, but the next token is drawn */
    struct accel_sampling sampling;
};

/* Where an operator has the inputs that all of them have. */
struct accel_generate_places {
    size_t max_length, min_length, repetition_penalty, vocab_mask, prefix_mask, attention_mask;
};

/* Inputs of BeamSearch and WhisperBeamSearch. */
enum {
    ACCEL_GENERATE_NUM_BEAMS = 3,
    ACCEL_GENERATE_NUM_RETURN_SEQUENCES = 4,
    ACCEL_GENERATE_LENGTH_PENALTY = 5,
    ACCEL_GENERATE_DECODER_IDS = 10,
    ACCEL_GENERATE_LOGITS_PROCESSOR = 11,
    /* Of the latter alone. */
    ACCEL_GENERATE_EXTRA_IDS = 13,
    ACCEL_GENERATE_TEMPERATURE = 14,
};

/* Inputs of Sampling. */
enum {
    ACCEL_SAMPLING_PRESENCE_MASK = 7,
    ACCEL_SAMPLING_SEED = 8,
};

enum accel_generating_memory {
    ACCEL_GENERATING_IDS,
    ACCEL_GENERATING_INPUT_IDS, /* what the decoder is given: */
    ACCEL_GENERATING_POSITIONS,
    ACCEL_GENERATING_MASK,
    ACCEL_GENERATING_SCORES,
    ACCEL_GENERATING_WORK,
    ACCEL_GENERATING_NEXT_IDS, /* of beams: */
    ACCEL_GENERATING_WORDS,
    ACCEL_GENERATING_BEAMS,
    ACCEL_GENERATING_DRAWING, /* of Sampling */
    ACCEL_GENERATING_MEMORIES,
};

/* One run. */
struct accel_generating {
    struct accel_run *run;
    const struct accel_generate *op;
    size_t batch, beams, rows;
    size_t prompt, length, most;     /* tokens: given, so far, at most */
    struct accel_logits_rules rules; /* rules.vocab 0: the decoder has not run yet */
    struct accel_held memory[ACCEL_GENERATING_MEMORIES];
    int32_t *ids;               /* [rows][most] */
    float *scores;              /* [rows][vocab] of the next token */
    const int32_t *prompt_ids;  /* [batch][prompt]; NULL: op->start for all */
    const int32_t *prompt_mask; /* [batch][prompt], 0: not to be attended to; NULL: pad tokens */
    /* Of Sampling. */
    struct accel_random random;
    const int32_t *presence_mask; /* [batch][vocab]; NULL: none */
    /* Of the decoder. */
    struct accel_tensor *inputs, *outputs;
    struct accel_held *now, *next; /* [op->states]; what the inputs show lies in now */
    struct accel_held *fixed;      /* [op->fixed] */
};

/* The first `count` names of a graph's inputs or outputs (`what`) are these. Errors: INVALID. */
int accel_generate_names(const char *const *have, const char *const *want, size_t count,
                         const char *what, const char *graph, struct accel_error *err);

/* Memory `which` for count * each elements of `size` bytes. Errors: LIMIT, NOMEM. */
int accel_generating_reserve(struct accel_generating *g, enum accel_generating_memory which,
                             size_t count, size_t each, size_t size, void **data,
                             struct accel_error *err);

const struct accel_generate_places *accel_generate_places(const struct accel_generate *op);

/* Optional input i, of one number; *value stays what it was without it. Errors: INVALID. */
int accel_generating_int(const struct accel_run *run, size_t i, int64_t *value,
                         struct accel_error *err);
int accel_generating_float(const struct accel_run *run, size_t i, float *value,
                           struct accel_error *err);
/* Optional input i, INT32 of shape [rows, columns], or [columns] where rows is 0; *data NULL: left
 * out. Errors: INVALID. */
int accel_generating_matrix(const struct accel_run *run, size_t i, size_t rows, size_t columns,
                            const int32_t **data, struct accel_error *err);
/* All of the inputs but those that the vocabulary's size is needed for. Errors: INVALID. */
int accel_generating_read(struct accel_generating *g, struct accel_error *err);
/* Once these and `beams` are there: each row begins with its prompt. Errors: LIMIT, NOMEM. */
int accel_generating_begin(struct accel_generating *g, struct accel_error *err);
/* The scores of the next token are those of the last one that the decoder was given. One row of
 * them for a batch goes for all of its beams. Errors: INVALID, LIMIT, NOMEM. */
int accel_generating_scores(struct accel_generating *g, const struct accel_tensor *logits,
                            struct accel_error *err);
void accel_generating_end(struct accel_generating *g);

/* `run` of BeamSearch and WhisperBeamSearch. */
int accel_beam_search_run(struct accel_run *run, struct accel_error *err);

/* Sampling (ops/common/sampling.c). Errors of the first: UNSUPPORTED; of the second, once the
 * vocabulary is known: INVALID, LIMIT, NOMEM. The third gives each row its next token: the one
 * behind the vocabulary where no score is finite. */
int accel_sampling_parse(const struct accel_node *n, struct accel_sampling *s,
                         struct accel_error *err);
int accel_sampling_begin(struct accel_generating *g, struct accel_error *err);
void accel_sampling_draw(struct accel_generating *g);

/* ---------------------------------------------------------------- a decoder that is all (GPT) */

/* The graph in attribute `name`: inputs input_ids, position_ids, attention_mask [rows, S] of INT32,
 * past_0.. [2, rows, heads, P, head_size]; outputs logits [rows, S, vocab], present_0.. like the
 * past, all FLOAT. Fills layers, heads and head_size when they are 0, else they have to be the
 * same. Errors: INVALID, UNSUPPORTED. */
int accel_gpt_parse(struct accel_generate *op, struct accel_graph *graph, const char *name,
                    struct accel_error *err);
/* Lets the graph know what comes in, and checks what it says comes out. rows: -1 when not known.
 * Errors: INVALID, NOMEM. */
int accel_gpt_infer(struct accel_infer *in, const struct accel_generate *op,
                    struct accel_graph *graph, int64_t rows, struct accel_error *err);
/* Runs it on the prompt in ids; *logits: its first output. */
int accel_gpt_first(struct accel_generating *g, struct accel_tensor *logits,
                    struct accel_error *err);
/* Runs it on the last token of ids[row][0..length). from[rows]: the row that each row was continued
 * from, whose states are to be its own; NULL: itself. */
int accel_gpt_next(struct accel_generating *g, const int32_t *from, struct accel_tensor *logits,
                   struct accel_error *err);

/* ---------------------------------------------------------------- encoder, decoder (T5, Whisper)
 */

/* Encoder: inputs encoder_input_ids, encoder_attention_mask [batch, S], decoder_input_ids
 * [batch, 1]; outputs logits [batch, 1, vocab], encoder_hidden_states, then key and value of each
 * layer's own attention, then those of its attention to the encoder. Or without decoder_input_ids,
 * and only the last of these outputs: then the decoder makes the first token too. Decoder: inputs
 * input_ids [rows, 1] or, unless declared so, [rows, length]; encoder_attention_mask [rows, S];
 * perhaps encoder_hidden_states; the same states; outputs logits [rows, N, vocab], keys and values
 * of its own attention. The rest as for GPT; `length` counts generated tokens, the first is
 * op->start.
 *
 * op->features: the encoder's inputs are encoder_input_ids [batch, F, S] of FLOAT and
 * decoder_input_ids [batch, prompt], its logits [batch, prompt, vocab]; no graph has a mask. */
int accel_t5_parse(struct accel_generate *op, struct accel_error *err);
int accel_t5_infer(struct accel_infer *in, const struct accel_generate *op, int64_t batch,
                   int64_t read, int64_t rows, struct accel_error *err);
int accel_t5_first(struct accel_generating *g, struct accel_tensor *logits,
                   struct accel_error *err);
int accel_t5_next(struct accel_generating *g, const int32_t *from, struct accel_tensor *logits,
                  struct accel_error *err);

#endif
