/* SPDX-License-Identifier: Apache-2.0 */
/* A model of two graphs: the encoder reads the prompt, or hears it, and perhaps makes the first
 * token, the decoder all others. States are the keys and values of the decoder's own attention,
 * which grow with every token, and of its attention to what the encoder made of the prompt, which
 * stay as they are. */
#include "infer/ops/generate.h"

#include <inttypes.h>
#include <string.h>

/* Of the decoder: logits. */
#define DECODER_OUTPUTS 1

static const char *const encoder_inputs[] = {"encoder_input_ids", "encoder_attention_mask",
                                             "decoder_input_ids"};
static const char *const features_inputs[] = {"encoder_input_ids", "decoder_input_ids"};
static const char *const encoder_outputs[] = {"logits", "encoder_hidden_states",
                                              "present_key_self_0", "present_value_self_0"};
static const char *const late_outputs[] = {"present_key_cross_0", "present_value_cross_0"};
static const char *const decoder_inputs[] = {"input_ids", "encoder_attention_mask"};
static const char *const decoder_outputs[] = {"logits"};

/* States that grow, of all layers: a key and a value each; so many others stay. */
static size_t growing(const struct accel_generate *op)
{
    return 2 * op->layers;
}

/* Where the decoder is given what the encoder made, behind input_ids and perhaps a mask. */
static size_t hidden_at(const struct accel_generate *op)
{
    return op->features ? 1 : 2;
}

/* Decoder inputs before the states. */
static size_t before_states(const struct accel_generate *op)
{
    return hidden_at(op) + op->hidden;
}

/* Encoder outputs before the states. */
static size_t encoder_first(const struct accel_generate *op)
{
    return op->late ? 0 : 2;
}

static int parse_encoder(struct accel_generate *op, struct accel_error *err)
{
    const struct accel_graph *g = op->encoder;
    const size_t formal = accel_graph_formal(g);

    op->late = formal == 2 && !op->features;
    const size_t first = encoder_first(op), each = op->late ? 2 : 4;
    if (op->features && formal != 2)
        return accel_fail(err, ACCEL_E_INVALID,
                          "encoder has %zu inputs, 2 are needed: what to hear and the first tokens",
                          formal);
    if (formal < 2 || formal > 3 || g->outputs_count < first + each ||
        (g->outputs_count - first) % each != 0)
        return accel_fail(err, ACCEL_E_INVALID,
                          "encoder has %zu inputs and %zu outputs, needed are 3 inputs and 2 + 4 "
                          "per layer outputs, or 2 inputs and 2 per layer outputs",
                          formal, g->outputs_count);
    op->layers = (g->outputs_count - first) / each;
    const int rc =
        accel_generate_names(g->input_names, op->features ? features_inputs : encoder_inputs,
                             formal, "input", "encoder", err);
    if (rc != ACCEL_OK)
        return rc;
    return op->late
               ? accel_generate_names(g->output_names, late_outputs, 2, "output", "encoder", err)
               : accel_generate_names(g->output_names, encoder_outputs, 4, "output", "encoder",
                                      err);
}

int accel_t5_parse(struct accel_generate *op, struct accel_error *err)
{
    const struct accel_graph *g = op->decoder;
    const size_t formal = accel_graph_formal(g);

    if (op->encoder == NULL)
        return accel_fail(err, ACCEL_E_INVALID, "model_type %d needs an encoder, it has none",
                          op->features ? 2 : 1);
    int rc = parse_encoder(op, err);
    if (rc != ACCEL_OK)
        return rc;
    if (op->start < 0 && !op->features)
        return accel_fail(err, ACCEL_E_INVALID,
                          "decoder_start_token_id is %d, model_type 1 needs one", op->start);
    op->hidden = formal > hidden_at(op) &&
                 strcmp(g->input_names[hidden_at(op)], "encoder_hidden_states") == 0;
    if (op->hidden && op->late)
        return accel_fail(err, ACCEL_E_INVALID,
                          "decoder has input 'encoder_hidden_states', encoder no such output");
    op->states = growing(op);
    op->fixed = growing(op) + op->hidden;
    const size_t inputs = before_states(op) + 4 * op->layers;
    if (formal > inputs)
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          "decoder has input '%s' beyond its states: a past and present that share "
                          "one buffer are not supported, export it without",
                          g->input_names[inputs]);
    if (formal < inputs || g->outputs_count != DECODER_OUTPUTS + growing(op))
        return accel_fail(err, ACCEL_E_INVALID,
                          "decoder has %zu inputs and %zu outputs, with the %zu layers of the "
                          "encoder it needs %zu and %zu",
                          formal, g->outputs_count, op->layers, inputs,
                          DECODER_OUTPUTS + growing(op));
    rc = accel_generate_names(g->input_names, decoder_inputs, hidden_at(op), "input", "decoder",
                              err);
    if (rc == ACCEL_OK)
        rc = accel_generate_names(g->output_names, decoder_outputs, 1, "output", "decoder", err);
    /* As ONNX Runtime tells: a decoder that is declared to take one token is given one. */
    const struct accel_shape *ids = &g->inputs[0]->type.shape;
    op->whole = !(ids->has_rank && ids->rank == 2 && ids->dims[1] == 1);
    return rc;
}

/* ---------------------------------------------------------------- infer */

static struct accel_type matrix(int64_t rows, int64_t columns)
{
    return (struct accel_type){.dtype = ACCEL_DTYPE_INT32,
                               .shape = {.has_rank = true, .rank = 2, .dims = {rows, columns}}};
}

/* What the encoder gave of a batch, as the decoder gets it. */
static struct accel_type of_rows(const struct accel_type *given, int64_t rows, bool grows)
{
    struct accel_type t = {.dtype = ACCEL_DTYPE_FLOAT, .shape = given->shape};

    if (t.shape.has_rank && t.shape.rank > 0)
        t.shape.dims[0] = rows;
    if (grows && t.shape.rank > 2)
        t.shape.dims[2] = ACCEL_DIM_ANY;
    return t;
}

/* Output of the encoder that has the type of state s, but for its rows and length. */
static const struct accel_type *encoder_gives(const struct accel_generate *op,
                                              const struct accel_type *out, size_t s)
{
    return op->late ? &out[s % growing(op)] : &out[encoder_first(op) + s];
}

static int check_floats(const struct accel_graph *g, const struct accel_type *out,
                        struct accel_error *err)
{
    for (size_t o = 0; o < g->outputs_count; o++)
        if (out[o].dtype != ACCEL_DTYPE_FLOAT && out[o].dtype != ACCEL_DTYPE_UNDEFINED)
            return accel_fail(err, ACCEL_E_INVALID, "output '%s' of its %s is %s, not FLOAT",
                              g->output_names[o], g->name, accel_dtype_name(out[o].dtype));
    return ACCEL_OK;
}

/* The encoder's inputs; read: tokens that it is given. */
static void type_asked(const struct accel_infer *in, const struct accel_generate *op, int64_t batch,
                       int64_t read, struct accel_type asked[3])
{
    asked[0] = matrix(batch, read);
    asked[1] = matrix(batch, read);
    asked[2] = matrix(batch, 1);
    if (op->features)
        asked[0] = (struct accel_type){.dtype = ACCEL_DTYPE_FLOAT, .shape = in->in[0]->shape};
}

int accel_t5_infer(struct accel_infer *in, const struct accel_generate *op, int64_t batch,
                   int64_t read, int64_t rows, struct accel_error *err)
{
    const size_t first = before_states(op), states = 2 * growing(op);
    struct accel_type *inputs = accel_bump_alloc(in->mem, first + states, sizeof(*inputs));
    struct accel_type *out =
        accel_bump_alloc(in->mem, op->encoder->outputs_count + 1, sizeof(*out));
    struct accel_type asked[3];

    if (inputs == NULL || out == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to infer shapes");
    type_asked(in, op, batch, read, asked);
    int rc = accel_infer_subgraph(in, op->encoder, asked, out, err);
    if (rc == ACCEL_OK)
        rc = check_floats(op->encoder, out, err);
    if (rc != ACCEL_OK)
        return rc;
    inputs[0] = matrix(rows, op->whole ? ACCEL_DIM_ANY : 1);
    if (!op->features)
        inputs[1] = matrix(rows, read);
    if (op->hidden)
        inputs[hidden_at(op)] = of_rows(&out[1], rows, false);
    for (size_t s = 0; s < states; s++)
        inputs[first + s] = of_rows(encoder_gives(op, out, s), rows, s < growing(op));
    rc = accel_infer_subgraph(in, op->decoder, inputs, out, err);
    return rc == ACCEL_OK ? check_floats(op->decoder, out, err) : rc;
}

/* ---------------------------------------------------------------- run */

/* A tensor of FLOAT with so many rows. */
static int check_rows(const struct accel_tensor *t, size_t rows, const char *graph,
                      const char *name, struct accel_error *err)
{
    if (t->rank == 0 || t->rank > ACCEL_RANK_MAX || t->dtype != ACCEL_DTYPE_FLOAT ||
        t->dims[0] != (int64_t)rows)
        return accel_fail(err, ACCEL_E_INVALID, "its %s's %s is no FLOAT tensor of %zu rows", graph,
                          name, rows);
    return ACCEL_OK;
}

/* Row r of `held` becomes row from(r) of the tensor. */
static int keep_rows(struct accel_generating *g, struct accel_held *held,
                     const struct accel_tensor *t, const int32_t *from, struct accel_error *err)
{
    const size_t row = t->size_bytes / (size_t)t->dims[0];
    size_t bytes;

    if (__builtin_mul_overflow(row, g->rows, &bytes))
        return accel_fail(err, ACCEL_E_LIMIT, "%zu rows of %zu bytes are too many", g->rows, row);
    /* Nothing of what was there before is wanted: no copy when it grows. */
    if (bytes > held->capacity)
        accel_run_release(g->run, held);
    const int rc = accel_run_held_reserve(g->run, held, bytes, err);
    if (rc != ACCEL_OK)
        return rc;
    for (size_t r = 0; row > 0 && r < g->rows; r++)
        memcpy((char *)held->data + r * row,
               (const char *)t->data + (from != NULL ? (size_t)from[r] : r / g->beams) * row, row);
    held->value = *t;
    held->value.dims[0] = (int64_t)g->rows;
    held->value.data = held->data;
    held->value.size_bytes = bytes;
    return ACCEL_OK;
}

static struct accel_tensor tokens(size_t rows, size_t columns, int32_t *data)
{
    return (struct accel_tensor){.dtype = ACCEL_DTYPE_INT32,
                                 .rank = 2,
                                 .dims = {(int64_t)rows, (int64_t)columns},
                                 .data = data,
                                 .size_bytes = rows * columns * sizeof(*data)};
}

/* Which tokens of the prompts are read, by row: all but pad tokens in front, or what is said. */
static void fill_mask(const struct accel_generating *g, size_t rows, size_t columns, int32_t *mask)
{
    for (size_t r = 0; r < rows; r++, mask += columns) {
        const size_t batch = r / (rows / g->batch);
        const int32_t *ids = (const int32_t *)g->run->in[0]->data + batch * columns;
        bool begun = false;

        for (size_t i = 0; i < columns; i++) {
            begun = begun || ids[i] != g->op->pad;
            mask[i] = g->prompt_mask != NULL ? g->prompt_mask[batch * columns + i] : begun;
        }
    }
}

/* What the encoder gave goes to every beam of its batch. */
static int keep_encoded(struct accel_generating *g, struct accel_error *err)
{
    const struct accel_generate *op = g->op;
    const size_t states = growing(op);
    int rc = ACCEL_OK;

    for (size_t o = 0; o < op->encoder->outputs_count && rc == ACCEL_OK; o++) {
        /* Among all states; one that is none is below 0. */
        const int64_t s = (int64_t)(op->late ? states + o : o) - (int64_t)encoder_first(op);
        struct accel_held *to = s < 0                ? &g->fixed[states]
                                : (size_t)s < states ? &g->now[s]
                                                     : &g->fixed[(size_t)s - states];

        rc = check_rows(&g->outputs[o], g->batch, "encoder", op->encoder->output_names[o], err);
        if (rc != ACCEL_OK || s == -2 || (s == -1 && !op->hidden))
            continue;
        rc = keep_rows(g, to, &g->outputs[o], NULL, err);
    }
    return rc;
}

/* A decoder that makes the first token has nothing before it: keys and values of no length. */
static int begin_late(struct accel_generating *g, struct accel_error *err)
{
    for (size_t s = 0; s < growing(g->op); s++) {
        const struct accel_tensor *like = &g->fixed[s].value;

        if (like->rank != 4)
            return accel_fail(err, ACCEL_E_INVALID, "its encoder's %s has rank %u, 4 is needed",
                              g->op->encoder->output_names[s], like->rank);
        g->now[s].value = *like;
        g->now[s].value.dims[2] = 0;
        g->now[s].value.size_bytes = 0;
    }
    return ACCEL_OK;
}

/* The encoder's inputs: each batch's own, for one of its beams is like the others. */
static int give_encoder(struct accel_generating *g, struct accel_error *err)
{
    const struct accel_generate *op = g->op;
    const size_t columns = (size_t)g->run->in[0]->dims[1];
    void *ids, *mask = NULL;
    int rc = accel_generating_reserve(g, ACCEL_GENERATING_INPUT_IDS, g->rows,
                                      op->whole ? g->most : g->prompt, sizeof(int32_t), &ids, err);

    if (rc == ACCEL_OK && !op->features)
        rc = accel_generating_reserve(g, ACCEL_GENERATING_MASK, g->rows, columns, sizeof(int32_t),
                                      &mask, err);
    if (rc != ACCEL_OK)
        return rc;
    for (size_t b = 0; b < g->batch; b++)
        memcpy((int32_t *)ids + b * g->prompt, g->ids + b * g->beams * g->most,
               g->prompt * sizeof(int32_t));
    g->inputs[0] = *g->run->in[0];
    g->inputs[op->features ? 1 : 2] = tokens(g->batch, g->prompt, ids);
    if (op->features)
        return ACCEL_OK;
    fill_mask(g, g->batch, columns, mask);
    g->inputs[1] = tokens(g->batch, columns, mask);
    return ACCEL_OK;
}

int accel_t5_first(struct accel_generating *g, struct accel_tensor *logits, struct accel_error *err)
{
    const struct accel_generate *op = g->op;

    g->inputs = accel_calloc(3 + 2 * growing(op), sizeof(*g->inputs));
    g->outputs = accel_calloc(op->encoder->outputs_count + 1, sizeof(*g->outputs));
    g->next = accel_calloc(op->states, sizeof(*g->next));
    g->now = g->next != NULL ? accel_calloc(op->states, sizeof(*g->now)) : NULL;
    g->fixed = accel_calloc(op->fixed, sizeof(*g->fixed));
    if (g->inputs == NULL || g->outputs == NULL || g->now == NULL || g->fixed == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to generate");
    int rc = give_encoder(g, err);
    if (rc == ACCEL_OK)
        rc = accel_run_subgraph(g->run, op->encoder, g->inputs, g->outputs, err);
    if (rc != ACCEL_OK)
        return rc;
    *logits = g->outputs[0];
    if (!op->features)
        fill_mask(g, g->rows, (size_t)g->run->in[0]->dims[1],
                  g->memory[ACCEL_GENERATING_MASK].data);
    rc = keep_encoded(g, err);
    if (rc != ACCEL_OK || !op->late)
        return rc;
    rc = begin_late(g, err);
    return rc == ACCEL_OK ? accel_t5_next(g, NULL, logits, err) : rc;
}

/* The decoder's presents become its next pasts. */
static int keep_grown(struct accel_generating *g, const int32_t *from, struct accel_error *err)
{
    int rc = ACCEL_OK;

    for (size_t s = 0; s < growing(g->op) && rc == ACCEL_OK; s++) {
        const struct accel_tensor *present = &g->outputs[DECODER_OUTPUTS + s];

        rc = check_rows(present, g->rows, "decoder",
                        g->op->decoder->output_names[DECODER_OUTPUTS + s], err);
        if (rc == ACCEL_OK)
            rc = keep_rows(g, &g->next[s], present, from, err);
    }
    struct accel_held *const swapped = g->now;
    g->now = g->next;
    g->next = swapped;
    return rc;
}

int accel_t5_next(struct accel_generating *g, const int32_t *from, struct accel_tensor *logits,
                  struct accel_error *err)
{
    const struct accel_generate *op = g->op;
    const size_t first = before_states(op), states = growing(op);
    const size_t given = op->whole ? g->length : 1;
    int32_t *ids = g->memory[ACCEL_GENERATING_INPUT_IDS].data;
    /* The encoder's states are a batch's own, whichever beam goes on. */
    int rc = g->length > g->prompt + !op->late ? keep_grown(g, from, err) : ACCEL_OK;

    if (rc != ACCEL_OK)
        return rc;
    for (size_t r = 0; r < g->rows; r++)
        memcpy(ids + r * given, g->ids + r * g->most + g->length - given, given * sizeof(*ids));
    g->inputs[0] = tokens(g->rows, given, ids);
    if (!op->features)
        g->inputs[1] =
            tokens(g->rows, (size_t)g->run->in[0]->dims[1], g->memory[ACCEL_GENERATING_MASK].data);
    if (op->hidden)
        g->inputs[hidden_at(op)] = g->fixed[states].value;
    for (size_t s = 0; s < states; s++) {
        g->inputs[first + s] = g->now[s].value;
        g->inputs[first + states + s] = g->fixed[s].value;
    }
    rc = accel_run_subgraph(g->run, op->decoder, g->inputs, g->outputs, err);
    *logits = g->outputs[0];
    return rc;
}
