/* SPDX-License-Identifier: Apache-2.0 */
/* A decoder that is the whole model: its states are the keys and values of the tokens so far. */
#include "infer/ops/generate.h"

#include <inttypes.h>
#include <string.h>

/* Inputs before the states, outputs before the states. */
#define INPUTS  3
#define OUTPUTS 1

static const char *const input_names[] = {"input_ids", "position_ids", "attention_mask", "past_0"};
static const char *const output_names[] = {"logits", "present_0"};

int accel_gpt_parse(struct accel_generate *op, struct accel_graph *g, const char *name,
                    struct accel_error *err)
{
    const size_t formal = accel_graph_formal(g);
    const size_t layers = g->outputs_count > OUTPUTS ? g->outputs_count - OUTPUTS : 0;

    if (layers == 0 || formal < INPUTS + layers)
        return accel_fail(err, ACCEL_E_INVALID,
                          "%s has %zu inputs and %zu outputs; it needs 3 inputs and one past per "
                          "layer, and the logits and one present per layer",
                          name, formal, g->outputs_count);
    if (formal > INPUTS + layers)
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          "%s has input '%s' beyond its states: a past and present that share one "
                          "buffer are not supported, export it without",
                          name, g->input_names[INPUTS + layers]);
    int rc = accel_generate_names(g->input_names, input_names, INPUTS + 1, "input", name, err);
    if (rc == ACCEL_OK)
        rc = accel_generate_names(g->output_names, output_names, OUTPUTS + 1, "output", name, err);
    if (rc != ACCEL_OK)
        return rc;
    const struct accel_shape *past = &g->inputs[INPUTS]->type.shape;
    if (!past->has_rank || past->rank != 5 || past->dims[0] != 2 || past->dims[2] <= 0 ||
        past->dims[4] <= 0)
        return accel_fail(err, ACCEL_E_INVALID,
                          "%s: past_0 has to be declared of shape [2, batch, heads, length, size] "
                          "with numbers for heads and size",
                          name);
    if (op->layers == 0) {
        op->layers = op->states = layers;
        op->heads = past->dims[2];
        op->head_size = past->dims[4];
    }
    if (op->layers != layers || op->heads != past->dims[2] || op->head_size != past->dims[4])
        return accel_fail(err, ACCEL_E_INVALID, "%s has other states than the decoder", name);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- infer */

static struct accel_type matrix(enum accel_dtype dtype, int64_t rows, int64_t columns)
{
    return (struct accel_type){.dtype = dtype,
                               .shape = {.has_rank = true, .rank = 2, .dims = {rows, columns}}};
}

static bool may_be(const struct accel_type *t, enum accel_dtype dtype, uint32_t rank)
{
    return (t->dtype == dtype || t->dtype == ACCEL_DTYPE_UNDEFINED) &&
           (!t->shape.has_rank || t->shape.rank == rank);
}

int accel_gpt_infer(struct accel_infer *in, const struct accel_generate *op, struct accel_graph *g,
                    int64_t rows, struct accel_error *err)
{
    struct accel_type *inputs = accel_bump_alloc(in->mem, INPUTS + op->layers, sizeof(*inputs));
    struct accel_type *out = accel_bump_alloc(in->mem, g->outputs_count, sizeof(*out));

    if (inputs == NULL || out == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to infer shapes");
    for (size_t i = 0; i < INPUTS; i++)
        inputs[i] = matrix(ACCEL_DTYPE_INT32, rows, ACCEL_DIM_ANY);
    for (size_t l = 0; l < op->layers; l++)
        inputs[INPUTS + l] = (struct accel_type){
            .dtype = ACCEL_DTYPE_FLOAT,
            .shape = {.has_rank = true,
                      .rank = 5,
                      .dims = {2, rows, op->heads, ACCEL_DIM_ANY, op->head_size}}};
    const int rc = accel_infer_subgraph(in, g, inputs, out, err);
    if (rc != ACCEL_OK)
        return rc;
    if (!may_be(&out[0], ACCEL_DTYPE_FLOAT, 3))
        return accel_fail(err, ACCEL_E_INVALID, "its decoder's logits are no FLOAT of rank 3");
    for (size_t l = 0; l < op->layers; l++)
        if (!may_be(&out[OUTPUTS + l], ACCEL_DTYPE_FLOAT, 5))
            return accel_fail(err, ACCEL_E_INVALID,
                              "its decoder's present_%zu is no FLOAT of rank 5", l);
    if (out[0].shape.has_rank && out[0].shape.dims[2] >= 0 && op->vocab > out[0].shape.dims[2])
        return accel_fail(err, ACCEL_E_INVALID,
                          "vocab_size is %" PRId64 ", its decoder's logits have %" PRId64,
                          op->vocab, out[0].shape.dims[2]);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- run */

static void fill(struct accel_tensor *t, size_t rows, size_t columns, int32_t *data)
{
    *t = (struct accel_tensor){.dtype = ACCEL_DTYPE_INT32,
                               .rank = 2,
                               .dims = {(int64_t)rows, (int64_t)columns},
                               .data = data,
                               .size_bytes = rows * columns * sizeof(*data)};
}

/* What is seen of ids[row][0..length): of the prompt what its mask says, all that came after. */
static void fill_mask(struct accel_generating *g)
{
    int32_t *mask = g->memory[ACCEL_GENERATING_MASK].data;

    fill(&g->inputs[2], g->rows, g->length, mask);
    for (size_t r = 0; r < g->rows; r++, mask += g->length) {
        const int32_t *ids = g->ids + r * g->most;

        for (size_t i = 0; i < g->prompt; i++)
            mask[i] = g->prompt_mask != NULL ? g->prompt_mask[r / g->beams * g->prompt + i]
                                             : ids[i] != g->op->pad;
        for (size_t i = g->prompt; i < g->length; i++)
            mask[i] = 1;
    }
}

/* Of the first run: tokens are counted, pad tokens are at 0 and not counted. The last column of
 * `positions` afterwards tells the position of the token that comes next. */
static void fill_positions(struct accel_generating *g, int32_t *positions)
{
    for (size_t r = 0; r < g->rows; r++) {
        int32_t count = 0;

        for (size_t i = 0; i < g->prompt; i++) {
            const bool pad = g->ids[r * g->most + i] == g->op->pad;

            positions[r * g->prompt + i] = pad ? 0 : count;
            count += !pad;
        }
        positions[g->rows * g->prompt + r] = count;
    }
}

static int check_states(const struct accel_generating *g, struct accel_error *err)
{
    const int64_t want[] = {2, (int64_t)g->rows, g->op->heads, (int64_t)g->length,
                            g->op->head_size};

    for (size_t l = 0; l < g->op->layers; l++) {
        const struct accel_tensor *t = &g->outputs[OUTPUTS + l];
        char text[ACCEL_SHAPE_TEXT];

        if (t->rank == 5 && t->dtype == ACCEL_DTYPE_FLOAT &&
            memcmp(t->dims, want, sizeof(want)) == 0)
            continue;
        const struct accel_shape shape =
            accel_is_list(t) || accel_is_none(t) ? (struct accel_shape){0} : accel_shape_of(t);
        return accel_fail(err, ACCEL_E_INVALID,
                          "its decoder's present_%zu is %s of shape %s, after %zu tokens of %zu "
                          "rows FLOAT 2x%zux%" PRId64 "x%zux%" PRId64 " is needed",
                          l, accel_dtype_name(t->dtype), accel_shape_format(&shape, text),
                          g->length, g->rows, g->rows, g->op->heads, g->length, g->op->head_size);
    }
    return ACCEL_OK;
}

static int run_decoder(struct accel_generating *g, struct accel_graph *graph,
                       struct accel_tensor *logits, struct accel_error *err)
{
    int rc = accel_run_subgraph(g->run, graph, g->inputs, g->outputs, err);

    if (rc == ACCEL_OK)
        rc = check_states(g, err);
    *logits = g->outputs[0];
    return rc;
}

int accel_gpt_first(struct accel_generating *g, struct accel_tensor *logits,
                    struct accel_error *err)
{
    const struct accel_generate *op = g->op;
    void *ids, *positions, *mask;
    int rc = accel_generating_reserve(g, ACCEL_GENERATING_INPUT_IDS, g->rows, g->prompt,
                                      sizeof(int32_t), &ids, err);

    if (rc == ACCEL_OK)
        rc = accel_generating_reserve(g, ACCEL_GENERATING_POSITIONS, g->rows, g->prompt + 1,
                                      sizeof(int32_t), &positions, err);
    if (rc == ACCEL_OK)
        rc = accel_generating_reserve(g, ACCEL_GENERATING_MASK, g->rows, g->most, sizeof(int32_t),
                                      &mask, err);
    if (rc != ACCEL_OK)
        return rc;
    g->inputs = accel_calloc(INPUTS + op->layers, sizeof(*g->inputs));
    g->outputs = accel_calloc(ACCEL_MAX(op->decoder->outputs_count,
                                        op->init != NULL ? op->init->outputs_count : 0),
                              sizeof(*g->outputs));
    g->next = accel_calloc(op->layers, sizeof(*g->next));
    g->now = g->next != NULL ? accel_calloc(op->layers, sizeof(*g->now)) : NULL;
    if (g->inputs == NULL || g->outputs == NULL || g->now == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to generate");
    for (size_t r = 0; r < g->rows; r++)
        memcpy((int32_t *)ids + r * g->prompt, g->ids + r * g->most, g->prompt * sizeof(int32_t));
    fill_positions(g, positions);
    fill(&g->inputs[0], g->rows, g->prompt, ids);
    fill(&g->inputs[1], g->rows, g->prompt, positions);
    fill_mask(g);
    /* Empty, but not nowhere: an operator may well copy no bytes from there. */
    for (size_t l = 0; l < op->layers; l++)
        g->inputs[INPUTS + l] =
            (struct accel_tensor){.dtype = ACCEL_DTYPE_FLOAT,
                                  .rank = 5,
                                  .dims = {2, (int64_t)g->rows, op->heads, 0, op->head_size},
                                  .data = mask};
    return run_decoder(g, op->init != NULL ? op->init : op->decoder, logits, err);
}

/* The present of layer l becomes the past of the next run, row by row as they were chosen. */
static int keep_state(struct accel_generating *g, size_t l, const int32_t *from,
                      struct accel_error *err)
{
    const struct accel_tensor *present = &g->outputs[OUTPUTS + l];
    const size_t row = present->size_bytes / 2 / g->rows;
    struct accel_held *to = &g->next[l];
    int rc;

    if (from == NULL)
        return accel_run_hold(g->run, to, present, err);
    /* Nothing of what was there before is wanted: no copy when it grows. */
    if (present->size_bytes > to->capacity)
        accel_run_release(g->run, to);
    rc = accel_run_held_reserve(g->run, to, present->size_bytes, err);
    if (rc != ACCEL_OK)
        return rc;
    for (size_t half = 0; half < 2; half++)
        for (size_t r = 0; r < g->rows; r++)
            memcpy((char *)to->data + (half * g->rows + r) * row,
                   (const char *)present->data + (half * g->rows + (size_t)from[r]) * row, row);
    to->value = *present;
    to->value.data = to->data;
    return ACCEL_OK;
}

int accel_gpt_next(struct accel_generating *g, const int32_t *from, struct accel_tensor *logits,
                   struct accel_error *err)
{
    int32_t *ids = g->memory[ACCEL_GENERATING_INPUT_IDS].data;
    int32_t *positions = g->memory[ACCEL_GENERATING_POSITIONS].data;
    int rc = ACCEL_OK;

    for (size_t l = 0; l < g->op->layers && rc == ACCEL_OK; l++)
        rc = keep_state(g, l, from, err);
    if (rc != ACCEL_OK)
        return rc;
    struct accel_held *const swapped = g->now;
    g->now = g->next;
    g->next = swapped;
    for (size_t l = 0; l < g->op->layers; l++)
        g->inputs[INPUTS + l] = g->now[l].value;
    positions += g->rows * g->prompt;
    for (size_t r = 0; r < g->rows; r++) {
        ids[r] = g->ids[r * g->most + g->length - 1];
        positions[r] += g->length > g->prompt + 1;
    }
    fill(&g->inputs[0], g->rows, 1, ids);
    fill(&g->inputs[1], g->rows, 1, positions);
    fill_mask(g);
    return run_decoder(g, g->op->decoder, logits, err);
}
