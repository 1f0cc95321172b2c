/* SPDX-License-Identifier: Apache-2.0 */
/* com.microsoft WordConvEmbedding: a vector for each word, the largest values of a convolution over
 * the embeddings of its characters, through tanh.
 *
 *   Sequence [words][length]: characters, a word ends where they are 0    C [characters][depth]
 *   W [filters][1][window][depth]    B [filters]    Y [words][filters]
 *
 * The embeddings of all words lie one after the other, so that one matrix product convolves them:
 * its rows overlap. Those that begin in one word and end in the next are not looked at. */
#include "infer/kernels/kernels.h"
#include "infer/ops/elements.h"

#include <inttypes.h>
#include <string.h>

enum { SEQUENCE, WEIGHT, BIAS, CHARACTERS };

/* An attribute, where it is given, repeats what a shape says. */
static int agree(const struct accel_node *n, const char *name, int64_t dim, struct accel_error *err)
{
    const int64_t stated = accel_attr_int(n, name, ACCEL_DIM_ANY);

    if (stated == ACCEL_DIM_ANY || dim < 0 || stated == dim)
        return ACCEL_OK;
    return accel_fail(err, ACCEL_E_INVALID, "%s is %" PRId64 ", the weights are for %" PRId64, name,
                      stated, dim);
}

static int word_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_node *n = in->node;
    const struct accel_shape *x = &in->in[SEQUENCE]->shape, *w = &in->in[WEIGHT]->shape;
    const int64_t any[2] = {ACCEL_DIM_ANY, ACCEL_DIM_ANY};
    int rc = accel_infer_expect(in, SEQUENCE, 2, any, err);

    if (rc == ACCEL_OK)
        rc = accel_infer_expect(in, WEIGHT, 4, (const int64_t[]){any[0], 1, any[0], any[0]}, err);
    if (rc == ACCEL_OK)
        rc = accel_infer_expect(in, BIAS, 1, &w->dims[0], err);
    if (rc == ACCEL_OK)
        rc = accel_infer_expect(in, CHARACTERS, 2, (const int64_t[]){any[0], w->dims[3]}, err);
    if (rc == ACCEL_OK)
        rc = agree(n, "embedding_size", w->dims[0], err);
    if (rc == ACCEL_OK)
        rc = agree(n, "conv_window_size", w->dims[2], err);
    if (rc == ACCEL_OK)
        rc = agree(n, "char_embedding_size", w->dims[3], err);
    if (rc != ACCEL_OK)
        return rc;
    if (w->dims[2] == 0 || w->dims[3] == 0 || (x->dims[1] >= 0 && w->dims[2] > x->dims[1]))
        return accel_fail(err, ACCEL_E_INVALID,
                          "a window of %" PRId64 " characters of depth %" PRId64
                          " over words of %" PRId64,
                          w->dims[2], w->dims[3], x->dims[1]);
    in->out[0]->dtype = ACCEL_DTYPE_FLOAT;
    in->out[0]->shape =
        (struct accel_shape){.has_rank = true, .rank = 2, .dims = {x->dims[0], w->dims[0]}};
    return ACCEL_OK;
}

struct state {
    size_t words, length, window, depth, filters, characters;
    struct accel_gemm gemm;
    /* Floats from the start of the scratch, where [words * length][depth] embeddings lie. */
    size_t convolved; /* [words * length - window + 1][filters] */
    size_t product;   /* the matrix product's own */
};

static int word_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    const int64_t *x = prep->in[SEQUENCE]->shape.dims, *w = prep->in[WEIGHT]->shape.dims;
    struct state *s = accel_prepare_state(prep, sizeof(*s), err);
    size_t rows, cells, bytes = 0;

    if (s == NULL)
        return ACCEL_E_NOMEM;
    *s = (struct state){.words = (size_t)x[0],
                        .length = (size_t)x[1],
                        .window = (size_t)w[2],
                        .depth = (size_t)w[3],
                        .filters = (size_t)w[0],
                        .characters = (size_t)prep->in[CHARACTERS]->shape.dims[0]};
    if (s->words == 0 || s->filters == 0)
        return ACCEL_OK;
    /* A quarter of the address space is room for both parts. */
    if (__builtin_mul_overflow(s->words, s->length, &rows) ||
        __builtin_mul_overflow(rows, ACCEL_MAX(s->depth, s->filters), &cells) ||
        cells > SIZE_MAX / 64)
        return accel_fail(err, ACCEL_E_INVALID, "its work space overflows");
    s->gemm = (struct accel_gemm){.m = rows - s->window + 1,
                                  .n = s->filters,
                                  .k = s->window * s->depth, /* of weights that lie in memory */
                                  .lda = s->depth,
                                  .ldb = s->window * s->depth,
                                  .trans_b = true,
                                  .alpha = 1,
                                  .ldy = s->filters};
    s->convolved = ACCEL_ROUND_UP(rows * s->depth, 16);
    s->product = s->convolved + ACCEL_ROUND_UP(rows * s->filters, 16);
    const int rc =
        accel_gemm_f32_scratch_bytes(prep->kernels, &s->gemm, prep->threads, &bytes, err);
    if (rc == ACCEL_OK &&
        __builtin_add_overflow(s->product * sizeof(float), bytes, &prep->scratch_bytes))
        return accel_fail(err, ACCEL_E_INVALID, "its work space overflows");
    return rc;
}

/* Characters of a word that count: none when it begins with 0, and no less than a window. */
static size_t length_of(const struct state *s, const int32_t *word)
{
    size_t length = 0;

    for (size_t i = 0; i < s->length && word[0] > 0; i++)
        length += word[i] > 0;
    return length > 0 ? ACCEL_MAX(length, s->window) : 0;
}

/* Errors: INVALID (no such character). */
static int embed(const struct state *s, const int32_t *word, const float *table, float *to,
                 struct accel_error *err)
{
    const size_t length = length_of(s, word);

    for (size_t i = 0; i < length; i++) {
        if (word[i] < 0 || (size_t)word[i] >= s->characters)
            return accel_fail(err, ACCEL_E_INVALID, "character %d of %zu that C has", word[i],
                              s->characters);
        memcpy(to + i * s->depth, table + (size_t)word[i] * s->depth, s->depth * sizeof(*to));
    }
    memset(to + length * s->depth, 0, (s->length - length) * s->depth * sizeof(*to));
    return ACCEL_OK;
}

/* y [filters]: tanh grows, so the largest value may be chosen before it. No word is 0. */
static void pool(const struct accel_run *run, const int32_t *word, const float *convolved, float *y)
{
    const struct state *s = run->state;
    const size_t length = length_of(s, word);

    memset(y, 0, s->filters * sizeof(*y));
    for (size_t i = 0; i + s->window <= length; i++, convolved += s->filters)
        for (size_t f = 0; f < s->filters; f++)
            y[f] = i == 0 || convolved[f] > y[f] ? convolved[f] : y[f];
    if (length > 0)
        run->kernels->f32_unary[ACCEL_UNARY_TANH](s->filters, y, y, 0, 0);
}

static int word_run(struct accel_run *run, struct accel_error *err)
{
    const struct state *s = run->state;
    const int32_t *words = run->in[SEQUENCE]->data;
    float *work = run->scratch, *y = run->out[0]->data;

    if (s->words == 0 || s->filters == 0)
        return ACCEL_OK;
    for (size_t i = 0; i < s->words; i++) {
        float *to = work + i * s->length * s->depth;

        if (embed(s, words + i * s->length, run->in[CHARACTERS]->data, to, err) != ACCEL_OK)
            return accel_fail_in(err, "word %zu", i);
    }
    struct accel_gemm g = s->gemm;
    g.a = work;
    g.b = run->in[WEIGHT]->data;
    g.bias_col = run->in[BIAS]->data;
    g.y = work + s->convolved;
    accel_gemm_f32(run->kernels, run->pool, &g, work + s->product);
    for (size_t i = 0; i < s->words; i++)
        pool(run, words + i * s->length, work + s->convolved + i * s->length * s->filters,
             y + i * s->filters);
    return ACCEL_OK;
}

static void word_cost(const struct accel_prepare *prep, struct accel_cost *cost)
{
    const int64_t *x = prep->in[SEQUENCE]->shape.dims, *w = prep->in[WEIGHT]->shape.dims;

    cost->flops = 2.0 * (double)x[0] * (double)x[1] * (double)w[0] * (double)w[2] * (double)w[3];
}

static const struct accel_attr_rule word_attrs[] = {{"char_embedding_size", ACCEL_ATTR_INT, 0},
                                                    {"conv_window_size", ACCEL_ATTR_INT, 0},
                                                    {"embedding_size", ACCEL_ATTR_INT, 0},
                                                    {0}};

#define F32 ACCEL_T(FLOAT)

const struct accel_op accel_ops_word_conv[] = {
    {.name = "WordConvEmbedding",
     .domain = "com.microsoft",
     .since = 1,
     .kind = ACCEL_KIND_GEMM,
     .in = {{"Sequence", ACCEL_T(INT32), 0, 0},
            {"W", F32, 'T', 0},
            {"B", F32, 'T', 0},
            {"C", F32, 'T', 0}},
     .out = {{"Y", F32, 'T', 0}},
     .attrs = word_attrs,
     .infer = word_infer,
     .prepare = word_prepare,
     .run = word_run,
     .cost = word_cost},
    {0},
};
