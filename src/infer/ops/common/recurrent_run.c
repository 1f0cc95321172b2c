/* SPDX-License-Identifier: Apache-2.0 */
/* RNN, GRU and LSTM around their steps: packed weights, work space, the way through the sequences.
 * ops/recurrent.h says how the tensors lie. */
#include "infer/ops/recurrent.h"

#include <string.h>

/* ---------------------------------------------------------------- packing */

static int packed_bytes(const struct accel_kernels *kernels, const struct recurrent_params *p,
                        size_t hidden, size_t input, struct recurrent_packed *size,
                        struct accel_error *err)
{
    int rc = accel_gemm_f32_packed_b_bytes(kernels, input, p->gates * hidden, &size->w, err);

    if (rc == ACCEL_OK)
        rc = accel_gemm_f32_packed_b_bytes(kernels, hidden, accel_recurrent_first_rows(p, hidden),
                                           &size->r1, err);
    size->r2 = 0;
    if (rc == ACCEL_OK && p->cell == GRU)
        rc = accel_gemm_f32_packed_b_bytes(kernels, hidden, hidden, &size->r2, err);
    size->w = ACCEL_ROUND_UP(size->w, 64);
    size->r1 = ACCEL_ROUND_UP(size->r1, 64);
    size->r2 = ACCEL_ROUND_UP(size->r2, 64);
    return rc;
}

int accel_recurrent_prepack(struct accel_prepack *pack, struct accel_error *err)
{
    const struct recurrent_params *p = pack->node->params;
    const struct accel_tensor *w = accel_prepack_input(pack, IN_W);
    const struct accel_tensor *r = accel_prepack_input(pack, IN_R);
    struct recurrent_packed size;
    void *blob_w, *blob_r;
    bool fill_w, fill_r;

    if (p->quantised)
        return accel_qlstm_prepack(pack, p->directions, err);
    if (p->attends || w == NULL || r == NULL || w->rank != 3 || r->rank != 3 ||
        w->dims[0] != (int64_t)p->directions || r->dims[0] != w->dims[0] ||
        r->dims[1] != w->dims[1] || r->dims[1] != (int64_t)p->gates * r->dims[2] || w->dims[2] == 0)
        return ACCEL_OK;
    const size_t hidden = (size_t)r->dims[2], input = (size_t)w->dims[2];
    const size_t rows = p->gates * hidden, first = accel_recurrent_first_rows(p, hidden);
    int rc = packed_bytes(pack->kernels, p, hidden, input, &size, err);
    if (rc == ACCEL_OK)
        rc = accel_prepack_blob(pack, BLOB_W, p->directions * size.w, &blob_w, &fill_w, err);
    if (rc == ACCEL_OK)
        rc = accel_prepack_blob(pack, BLOB_R, p->directions * (size.r1 + size.r2), &blob_r, &fill_r,
                                err);
    if (rc != ACCEL_OK)
        return rc;
    for (size_t d = 0; d < p->directions && fill_w; d++)
        accel_gemm_f32_pack_b(pack->kernels, input, rows, (const float *)w->data + d * rows * input,
                              input, true, (char *)blob_w + d * size.w);
    for (size_t d = 0; d < p->directions && fill_r; d++) {
        const float *from = (const float *)r->data + d * rows * hidden;
        char *to = (char *)blob_r + d * (size.r1 + size.r2);

        accel_gemm_f32_pack_b(pack->kernels, hidden, first, from, hidden, true, to);
        if (size.r2 > 0)
            accel_gemm_f32_pack_b(pack->kernels, hidden, hidden, from + first * hidden, hidden,
                                  true, to + size.r1);
    }
    pack->consumed = 1u << IN_W | 1u << IN_R;
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- one set of shapes */

/* Bytes that the matrix products want. */
static int products_scratch(const struct accel_prepare *prep, struct recurrent_state *s,
                            size_t *most, struct accel_error *err)
{
    const struct recurrent_params *p = prep->node->params;
    const bool packed = prep->blobs[BLOB_W] != NULL;
    const struct {
        size_t m, n, k;
    } products[] = {{s->steps * s->batch, s->rows, s->input},
                    {s->batch, accel_recurrent_first_rows(p, s->hidden), s->hidden},
                    {s->batch, s->hidden, s->hidden}};
    int rc = ACCEL_OK;

    *most = 0;
    if (packed && !p->quantised)
        rc = packed_bytes(prep->kernels, p, s->hidden, s->input, &s->size, err);
    for (size_t i = 0; i < (p->quantised ? 2 : ACCEL_COUNT(products)) && rc == ACCEL_OK; i++) {
        const struct accel_gemm g =
            accel_recurrent_product(products[i].m, products[i].n, products[i].k, NULL,
                                    packed ? prep->blobs[BLOB_W] : NULL, NULL);
        size_t bytes = 0;

        if (p->quantised)
            rc =
                accel_qlstm_scratch(prep, i == 0 ? ACCEL_QLSTM_W : ACCEL_QLSTM_R, g.m, &bytes, err);
        else if (g.m > 0)
            rc = accel_gemm_f32_scratch_bytes(prep->kernels, &g, prep->threads, &bytes, err);
        *most = ACCEL_MAX(*most, bytes);
    }
    return rc;
}

/* The parts of the scratch one behind the other; their floats. Errors: INVALID. */
static int lay_out(struct recurrent_state *s, size_t *floats, struct accel_error *err)
{
    size_t cells, all;

    /* from_x is the largest of the parts; a quarter of the address space is room for all. */
    if (__builtin_mul_overflow(s->steps + 1, s->batch + 1, &cells) ||
        __builtin_mul_overflow(cells, s->rows, &all) || all > SIZE_MAX / 64)
        return accel_fail(err, ACCEL_E_INVALID, "its work space overflows");
    const struct {
        size_t *at, floats;
    } parts[] = {{&s->from_x, s->steps * s->batch * s->rows},
                 {&s->gates, s->batch * s->rows},
                 {&s->h, s->batch * s->hidden},
                 {&s->c, s->batch * s->hidden},
                 {&s->reset, s->batch * s->hidden},
                 {&s->bias, s->rows},
                 {&s->one, s->hidden}};
    *floats = 0;
    for (size_t i = 0; i < ACCEL_COUNT(parts); i++) {
        *parts[i].at = *floats;
        *floats += ACCEL_ROUND_UP(parts[i].floats, 16);
    }
    return ACCEL_OK;
}

int accel_recurrent_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    const struct recurrent_params *p = prep->node->params;
    const int64_t *x = prep->in[IN_X]->shape.dims;
    struct recurrent_state *s = accel_prepare_state(prep, sizeof(*s), err);
    size_t most = 0, floats = 0;

    if (s == NULL)
        return ACCEL_E_NOMEM;
    s->batch = (size_t)x[p->batch_first ? 0 : 1];
    s->steps = (size_t)x[p->batch_first ? 1 : 0];
    s->input = (size_t)x[2];
    s->hidden = (size_t)prep->in[IN_R]->shape.dims[p->quantised ? 1 : 2];
    s->rows = p->gates * s->hidden;
    int rc = products_scratch(prep, s, &most, err);
    if (rc == ACCEL_OK)
        rc = lay_out(s, &floats, err);
    s->attends = (struct accel_attends){
        .batch = s->batch, .hidden = s->hidden, .rows = s->rows, .input = s->input};
    if (rc == ACCEL_OK && p->attends)
        rc = accel_attends_prepare(prep, &s->attends, &floats, &most, err);
    if (rc != ACCEL_OK)
        return rc;
    s->products = floats;
    if (most > SIZE_MAX / 4 || floats > SIZE_MAX / 16)
        return accel_fail(err, ACCEL_E_INVALID, "its work space overflows");
    prep->scratch_bytes = floats * sizeof(float) + most;
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- one direction */

/* A sequence of no steps ends at 0 and not where it started: as ONNX Runtime has it. */
static void forget_empty(const struct recurrent_run *at)
{
    const size_t n = at->s->hidden;

    for (size_t b = 0; b < at->s->batch; b++) {
        if (accel_recurrent_length(at, b) > 0)
            continue;
        memset(at->work + at->s->h + b * n, 0, n * sizeof(float));
        memset(at->work + at->s->c + b * n, 0, n * sizeof(float));
    }
}

/* Between a state tensor's part for direction d and [batch][hidden]. */
static void move_state(const struct recurrent_run *at, void *tensor, float *rows, bool in)
{
    const size_t n = at->s->hidden;

    for (size_t b = 0; b < at->s->batch; b++) {
        float *t =
            (float *)tensor +
            (at->p->batch_first ? b * at->p->directions + at->d : at->d * at->s->batch + b) * n;

        memcpy(in ? rows + b * n : t, in ? t : rows + b * n, n * sizeof(*t));
    }
}

static void start_state(const struct recurrent_run *at, size_t input, float *rows)
{
    if (accel_given(at->run->node, input))
        move_state(at, at->run->in[input]->data, rows, true);
    else
        memset(rows, 0, at->s->batch * at->s->hidden * sizeof(*rows));
}

/* Biases of W and R meet at once, but for GRU's third gate with linear_before_reset. */
static void add_biases(struct recurrent_run *at)
{
    const size_t rows = at->s->rows, n = at->s->hidden;
    const bool apart = at->p->cell == GRU && at->p->linear_before_reset;
    const float *b = (const float *)at->run->in[IN_B]->data + at->d * 2 * rows;
    float *sum = at->work + at->s->bias;

    for (size_t k = 0; k < rows; k++)
        sum[k] = apart && k >= 2 * n ? b[k] : b[k] + b[rows + k];
    at->r_bias = apart ? b + rows + 2 * n : NULL;
}

/* Where the weights lie, and the input's part of all steps. */
static void start_products(struct recurrent_run *at)
{
    struct accel_run *run = at->run;
    const struct recurrent_state *s = at->s;
    const size_t d = at->d;
    const bool packed = run->blobs[BLOB_W] != NULL;
    const void *packed_w = packed ? (const char *)run->blobs[BLOB_W] + d * s->size.w : NULL;
    const size_t wide = s->input + s->attends.width; /* columns of W */
    const float *w = packed ? NULL : (const float *)run->in[IN_W]->data + d * s->rows * wide;
    struct accel_gemm from_x = accel_recurrent_product(s->steps * s->batch, s->rows, s->input,
                                                       run->in[IN_X]->data, packed_w, w);
    /* With packed weights only its arithmetic is asked for: the plain bytes may be gone. */
    static const float none[1];

    if (packed) {
        at->packed_r1 = (const char *)run->blobs[BLOB_R] + d * (s->size.r1 + s->size.r2);
        at->packed_r2 = (const char *)at->packed_r1 + s->size.r1;
    }
    at->r = packed ? none : (const float *)run->in[IN_R]->data + d * s->rows * s->hidden;
    from_x.ldb = wide;
    if (s->steps > 0)
        accel_recurrent_multiply(at, from_x,
                                 accel_given(run->node, IN_B) ? at->work + s->bias : NULL,
                                 at->work + s->from_x, s->rows);
}

static void one_direction(struct accel_run *run, size_t d, size_t longest)
{
    const struct recurrent_params *p = run->node->params;
    const struct recurrent_state *s = run->state;
    struct recurrent_run at = {.run = run, .p = p, .s = s, .d = d, .work = run->scratch};

    if (accel_given(run->node, IN_P))
        at.peephole = (const float *)run->in[IN_P]->data + d * 3 * s->hidden;
    if (accel_given(run->node, IN_B))
        add_biases(&at);
    start_state(&at, IN_H, at.work + s->h);
    start_state(&at, IN_C, at.work + s->c);
    if (p->attends)
        accel_attends_start(run, &s->attends, d, at.work);
    if (!p->quantised) {
        start_products(&at);
    } else if (longest > 0) {
        at.late_bias = accel_given(run->node, IN_B) ? at.work + s->bias : NULL;
        accel_qlstm_multiply(run, ACCEL_QLSTM_W, d, s->steps * s->batch, longest * s->batch,
                             run->in[IN_X]->data, at.work + s->from_x, at.work + s->products);
    }
    /* Rows of the batch that end early leave theirs unset. */
    memset(at.work + s->reset, 0, s->batch * s->hidden * sizeof(float));
    for (size_t t = 0; t < longest; t++)
        accel_recurrent_step(&at, t);
    forget_empty(&at);
    if (accel_recurrent_output(run, OUT_H) != NULL)
        move_state(&at, run->out[OUT_H]->data, at.work + s->h, false);
    if (accel_recurrent_output(run, OUT_C) != NULL)
        move_state(&at, run->out[OUT_C]->data, at.work + s->c, false);
}

/* ---------------------------------------------------------------- all of it */

/* The steps of the longest sequence. Errors: INVALID. */
static int longest_of(const struct accel_run *run, size_t *longest, struct accel_error *err)
{
    const struct recurrent_state *s = run->state;
    const int32_t *lens = accel_given(run->node, IN_LENS) ? run->in[IN_LENS]->data : NULL;

    *longest = s->steps;
    if (lens == NULL)
        return ACCEL_OK;
    *longest = 0;
    for (size_t b = 0; b < s->batch; b++) {
        if (lens[b] < 0 || (size_t)lens[b] > s->steps)
            return accel_fail(err, ACCEL_E_INVALID, "sequence_lens[%zu] is %d of %zu steps", b,
                              lens[b], s->steps);
        *longest = ACCEL_MAX(*longest, (size_t)lens[b]);
    }
    return ACCEL_OK;
}

int accel_recurrent_run(struct accel_run *run, struct accel_error *err)
{
    const struct recurrent_params *p = run->node->params;
    const struct recurrent_state *s = run->state;
    struct accel_tensor *y = accel_recurrent_output(run, OUT_Y);
    size_t longest;

    if (s->batch == 0)
        return ACCEL_OK;
    if (p->quantised && accel_qlstm_zeros(run, err) != ACCEL_OK)
        return ACCEL_E_INVALID;
    if (p->attends && accel_attends_lengths(run, err) != ACCEL_OK)
        return ACCEL_E_INVALID;
    if (longest_of(run, &longest, err) != ACCEL_OK)
        return ACCEL_E_INVALID;
    /* Beyond a sequence's end Y is 0. */
    if (accel_given(run->node, IN_LENS) && y != NULL)
        memset(y->data, 0, y->size_bytes);
    for (size_t d = 0; d < p->directions; d++)
        one_direction(run, d, longest);
    return ACCEL_OK;
}
