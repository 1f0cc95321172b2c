/* SPDX-License-Identifier: Apache-2.0 */
/* RNN, GRU, LSTM and com.microsoft's forms of it: DynamicQuantizeLSTM, of which the products are in
 * recurrent_quantised.h, and AttnLSTM, of which the attention is in recurrent_attention.h.
 * With D directions, G gates and hidden size H the tensors are
 *
 *   X [seq][batch][input]     W [D][G * H][input]    R [D][G * H][H]    B [D][2 * G * H]
 *   initial_h, initial_c, Y_h, Y_c [D][batch][H]     P [D][3 * H]       Y [seq][D][batch][H]
 *
 * and with layout 1 X [batch][seq][input], the states [batch][D][H], Y [batch][seq][D][H].
 * The input's part of all gates of all steps is one matrix product; each step adds the part of the
 * state. Gates come in the standard's order: LSTM i o f c, GRU z r h. */
#include "infer/kernels/kernels.h"
#include "infer/ops/recurrent_attention.h"
#include "infer/ops/recurrent_quantised.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

enum { RNN, GRU, LSTM };

static const struct {
    const char *name;
    size_t gates, activations;
    const char *otherwise[3];
} cells[] = {
    [RNN] = {"RNN", 1, 1, {"Tanh"}},
    [GRU] = {"GRU", 3, 2, {"Sigmoid", "Tanh"}},
    [LSTM] = {"LSTM", 4, 3, {"Sigmoid", "Tanh", "Tanh"}},
};

/* Inputs X, W, R, B, sequence_lens, initial_h, initial_c, P. */
enum { IN_X, IN_W, IN_R, IN_B, IN_LENS, IN_H, IN_C, IN_P };

struct activation {
    enum { PLAIN, AFFINE, SCALED_TANH } form;
    enum accel_unary_op op;
    float alpha, beta;
};

static const struct {
    const char *name;
    struct activation act;
    bool alpha, beta; /* takes one from the lists */
} activations[] = {
    {"Relu", {PLAIN, ACCEL_UNARY_RELU, 0, 0}, false, false},
    {"Tanh", {PLAIN, ACCEL_UNARY_TANH, 0, 0}, false, false},
    {"Sigmoid", {PLAIN, ACCEL_UNARY_SIGMOID, 0, 0}, false, false},
    {"Affine", {AFFINE, ACCEL_UNARY_IDENTITY, 1, 0}, true, true},
    {"LeakyRelu", {PLAIN, ACCEL_UNARY_LEAKYRELU, 0.01f, 0}, true, false},
    {"ThresholdedRelu", {PLAIN, ACCEL_UNARY_THRESHOLDEDRELU, 1, 0}, true, false},
    {"ScaledTanh", {SCALED_TANH, ACCEL_UNARY_TANH, 1, 1}, true, true},
    {"HardSigmoid", {PLAIN, ACCEL_UNARY_HARDSIGMOID, 0.2f, 0.5f}, true, true},
    {"Elu", {PLAIN, ACCEL_UNARY_ELU, 1, 0}, true, false},
    {"Softsign", {PLAIN, ACCEL_UNARY_SOFTSIGN, 0, 0}, false, false},
    {"Softplus", {PLAIN, ACCEL_UNARY_SOFTPLUS, 0, 0}, false, false},
};

struct params {
    int cell;
    size_t directions, gates;
    bool backwards[2];
    bool batch_first, input_forget, linear_before_reset, clips;
    bool quantised; /* DynamicQuantizeLSTM */
    bool attends;   /* AttnLSTM */
    float clip;
    struct activation act[2][3];
};

static int parse_activations(const struct accel_node *n, struct params *p, struct accel_error *err)
{
    const struct accel_attr *names = accel_attr(n, "activations");
    const size_t each = cells[p->cell].activations;
    size_t alphas, betas, next_alpha = 0, next_beta = 0;
    const float *alpha = accel_attr_floats(n, "activation_alpha", &alphas);
    const float *beta = accel_attr_floats(n, "activation_beta", &betas);

    if (names != NULL && names->count != each * p->directions)
        return accel_fail(err, ACCEL_E_INVALID, "%zu activations for %zu directions", names->count,
                          p->directions);
    for (size_t i = 0; i < each * p->directions; i++) {
        const char *name =
            names != NULL ? names->strings[i].data : cells[p->cell].otherwise[i % each];
        struct activation *act = &p->act[i / each][i % each];
        size_t k = 0;

        while (k < ACCEL_COUNT(activations) && strcasecmp(activations[k].name, name) != 0)
            k++;
        if (k == ACCEL_COUNT(activations))
            return accel_fail(err, ACCEL_E_UNSUPPORTED, "activation '%s'", name);
        *act = activations[k].act;
        if (activations[k].alpha && next_alpha < alphas)
            act->alpha = alpha[next_alpha++];
        if (activations[k].beta && next_beta < betas)
            act->beta = beta[next_beta++];
    }
    return ACCEL_OK;
}

static int recurrent_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                           struct accel_error *err)
{
    const char *direction = accel_attr_string(n, "direction", "forward");
    struct params *p = accel_bump_alloc(mem, 1, sizeof(*p));

    if (p == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its attributes");
    *params = p;
    p->quantised = n->op_type[0] == 'D';
    p->attends = n->op_type[0] == 'A';
    p->cell = n->op_type[0] == 'R' ? RNN : n->op_type[0] == 'G' ? GRU : LSTM;
    p->gates = cells[p->cell].gates;
    p->directions = strcmp(direction, "bidirectional") == 0 ? 2 : 1;
    p->backwards[0] = strcmp(direction, "reverse") == 0;
    p->backwards[1] = true;
    if (p->directions == 1 && !p->backwards[0] && strcmp(direction, "forward") != 0)
        return accel_fail(err, ACCEL_E_INVALID, "direction is '%s'", direction);
    p->batch_first = accel_attr_int(n, "layout", 0) != 0;
    p->input_forget = accel_attr_int(n, "input_forget", 0) != 0;
    p->linear_before_reset = accel_attr_int(n, "linear_before_reset", 0) != 0;
    p->clips = accel_attr(n, "clip") != NULL;
    p->clip = accel_attr_float(n, "clip", 0);
    if (p->clips && !(p->clip >= 0))
        return accel_fail(err, ACCEL_E_INVALID, "clip is %g", (double)p->clip);
    return parse_activations(n, p, err);
}

/* ---------------------------------------------------------------- shapes */

/* n * k, where either may be unknown. */
static int64_t times(int64_t n, int64_t k)
{
    int64_t result;

    return n < 0 || k < 0 || __builtin_mul_overflow(n, k, &result) ? ACCEL_DIM_ANY : result;
}

/* The same of n + k. */
static int64_t plus(int64_t n, int64_t k)
{
    int64_t result;

    return n < 0 || k < 0 || __builtin_add_overflow(n, k, &result) ? ACCEL_DIM_ANY : result;
}

static int recurrent_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_node *n = in->node;
    const struct params *p = n->params;
    const struct accel_shape *x = &in->in[IN_X]->shape, *r = &in->in[IN_R]->shape;
    const int64_t dirs = (int64_t)p->directions;
    const int64_t stated = accel_attr_int(n, "hidden_size", ACCEL_DIM_ANY);

    if (x->rank != 3 || r->rank != 3)
        return accel_fail(err, ACCEL_E_INVALID, "X of rank %u, R of rank %u", x->rank, r->rank);
    const int64_t from_r = r->dims[p->quantised ? 1 : 2];
    const int64_t hidden = from_r >= 0 ? from_r : stated;
    const int64_t batch = x->dims[p->batch_first ? 0 : 1];
    const int64_t steps = x->dims[p->batch_first ? 1 : 0];
    if (stated >= 0 && stated != hidden)
        return accel_fail(err, ACCEL_E_INVALID, "hidden_size is %" PRId64 ", R is for %" PRId64,
                          stated, hidden);
    if (hidden == 0 || hidden > INT32_MAX || x->dims[2] == 0)
        return accel_fail(err, ACCEL_E_INVALID, "hidden size %" PRId64 ", input size %" PRId64,
                          hidden, x->dims[2]);
    const int64_t rows = times((int64_t)p->gates, hidden);
    const int64_t wide = p->attends ? plus(x->dims[2], accel_attends_width(in)) : x->dims[2];
    const int64_t w_dims[2][3] = {{dirs, rows, wide}, {dirs, wide, rows}};
    const int64_t r_dims[2][3] = {{dirs, rows, hidden}, {dirs, hidden, rows}};
    const int64_t b_dims[2] = {dirs, times(2, rows)}, p_dims[2] = {dirs, times(3, hidden)};
    const int64_t state[2][3] = {{dirs, batch, hidden}, {batch, dirs, hidden}};
    int rc = accel_infer_expect(in, IN_W, 3, w_dims[p->quantised], err);
    if (rc == ACCEL_OK)
        rc = accel_infer_expect(in, IN_R, 3, r_dims[p->quantised], err);
    if (rc == ACCEL_OK)
        rc = accel_infer_expect(in, IN_B, 2, b_dims, err);
    if (rc == ACCEL_OK)
        rc = accel_infer_expect(in, IN_LENS, 1, &batch, err);
    if (rc == ACCEL_OK)
        rc = accel_infer_expect(in, IN_H, 3, state[p->batch_first], err);
    if (rc == ACCEL_OK)
        rc = accel_infer_expect(in, IN_C, 3, state[p->batch_first], err);
    if (rc == ACCEL_OK)
        rc = accel_infer_expect(in, IN_P, 2, p_dims, err);
    if (rc == ACCEL_OK && p->quantised)
        rc = accel_qlstm_check(in, dirs, rows, err);
    if (rc == ACCEL_OK && p->attends)
        rc = accel_attends_check(in, dirs, batch, hidden, err);
    if (rc != ACCEL_OK)
        return rc;
    for (size_t o = 0; o < n->outputs_count; o++) {
        struct accel_type *y = in->out[o];

        if (y == NULL)
            continue;
        y->dtype = in->in[IN_X]->dtype;
        y->shape = (struct accel_shape){.has_rank = true, .rank = o == 0 ? 4 : 3};
        if (o > 0)
            memcpy(y->shape.dims, state[p->batch_first], sizeof(state[0]));
        else if (p->batch_first)
            memcpy(y->shape.dims, (const int64_t[]){batch, steps, dirs, hidden}, 4 * 8);
        else
            memcpy(y->shape.dims, (const int64_t[]){steps, dirs, batch, hidden}, 4 * 8);
    }
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- packing */

enum { BLOB_W, BLOB_R };

/* The rows of R are used in one product, those of GRU in two: z and r, then h. */
static size_t first_rows(const struct params *p, size_t hidden)
{
    return p->cell == GRU ? 2 * hidden : p->gates * hidden;
}

/* Bytes per direction of packed W, of R's first part and of its second (GRU). */
struct packed {
    size_t w, r1, r2;
};

static int packed_bytes(const struct accel_kernels *kernels, const struct params *p, size_t hidden,
                        size_t input, struct packed *size, struct accel_error *err)
{
    int rc = accel_gemm_f32_packed_b_bytes(kernels, input, p->gates * hidden, &size->w, err);

    if (rc == ACCEL_OK)
        rc = accel_gemm_f32_packed_b_bytes(kernels, hidden, first_rows(p, hidden), &size->r1, err);
    size->r2 = 0;
    if (rc == ACCEL_OK && p->cell == GRU)
        rc = accel_gemm_f32_packed_b_bytes(kernels, hidden, hidden, &size->r2, err);
    size->w = ACCEL_ROUND_UP(size->w, 64);
    size->r1 = ACCEL_ROUND_UP(size->r1, 64);
    size->r2 = ACCEL_ROUND_UP(size->r2, 64);
    return rc;
}

static int recurrent_prepack(struct accel_prepack *pack, struct accel_error *err)
{
    const struct params *p = pack->node->params;
    const struct accel_tensor *w = accel_prepack_input(pack, IN_W);
    const struct accel_tensor *r = accel_prepack_input(pack, IN_R);
    struct packed size;
    void *blob_w, *blob_r;
    bool fill_w, fill_r;

    if (p->quantised)
        return accel_qlstm_prepack(pack, p->directions, err);
    if (p->attends || w == NULL || r == NULL || w->rank != 3 || r->rank != 3 ||
        w->dims[0] != (int64_t)p->directions || r->dims[0] != w->dims[0] ||
        r->dims[1] != w->dims[1] || r->dims[1] != (int64_t)p->gates * r->dims[2] || w->dims[2] == 0)
        return ACCEL_OK;
    const size_t hidden = (size_t)r->dims[2], input = (size_t)w->dims[2];
    const size_t rows = p->gates * hidden, first = first_rows(p, hidden);
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

struct state {
    size_t steps, batch, input, hidden, rows; /* rows: gates * hidden */
    struct packed size;
    /* Floats from the start of the scratch. */
    size_t from_x; /* [steps * batch][rows]: X W' + biases, in X's order */
    size_t gates;  /* [batch][rows]: h R' */
    size_t h, c;   /* [batch][hidden]: the state */
    size_t reset;  /* [batch][hidden]: GRU, r * h; quantised, the rows of h that count */
    size_t bias;   /* [rows]: of W and, where they may be added at once, of R */
    size_t one;    /* [hidden] */
    struct accel_attends attends;
    size_t products; /* the matrix products' own */
};

static struct accel_gemm product(size_t m, size_t n, size_t k, const float *a, const void *packed,
                                 const float *b)
{
    return (struct accel_gemm){.m = m,
                               .n = n,
                               .k = k,
                               .a = a,
                               .lda = k,
                               .b = b,
                               .ldb = k,
                               .trans_b = true,
                               .packed_b = packed,
                               .alpha = 1,
                               .ldy = n};
}

/* Bytes that the matrix products want. */
static int products_scratch(const struct accel_prepare *prep, struct state *s, size_t *most,
                            struct accel_error *err)
{
    const struct params *p = prep->node->params;
    const bool packed = prep->blobs[BLOB_W] != NULL;
    const struct {
        size_t m, n, k;
    } products[] = {{s->steps * s->batch, s->rows, s->input},
                    {s->batch, first_rows(p, s->hidden), s->hidden},
                    {s->batch, s->hidden, s->hidden}};
    int rc = ACCEL_OK;

    *most = 0;
    if (packed && !p->quantised)
        rc = packed_bytes(prep->kernels, p, s->hidden, s->input, &s->size, err);
    for (size_t i = 0; i < (p->quantised ? 2 : ACCEL_COUNT(products)) && rc == ACCEL_OK; i++) {
        const struct accel_gemm g = product(products[i].m, products[i].n, products[i].k, NULL,
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

static int recurrent_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    const struct params *p = prep->node->params;
    const int64_t *x = prep->in[IN_X]->shape.dims;
    struct state *s = accel_prepare_state(prep, sizeof(*s), err);
    size_t most = 0, floats = 0, cells_of, all;

    if (s == NULL)
        return ACCEL_E_NOMEM;
    s->batch = (size_t)x[p->batch_first ? 0 : 1];
    s->steps = (size_t)x[p->batch_first ? 1 : 0];
    s->input = (size_t)x[2];
    s->hidden = (size_t)prep->in[IN_R]->shape.dims[p->quantised ? 1 : 2];
    s->rows = p->gates * s->hidden;
    int rc = products_scratch(prep, s, &most, err);
    if (rc != ACCEL_OK)
        return rc;
    /* from_x is the largest of the parts; a quarter of the address space is room for all. */
    if (__builtin_mul_overflow(s->steps + 1, s->batch + 1, &cells_of) ||
        __builtin_mul_overflow(cells_of, s->rows, &all) || all > SIZE_MAX / 64 ||
        most > SIZE_MAX / 4)
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
    for (size_t i = 0; i < ACCEL_COUNT(parts); i++) {
        *parts[i].at = floats;
        floats += ACCEL_ROUND_UP(parts[i].floats, 16);
    }
    s->attends = (struct accel_attends){
        .batch = s->batch, .hidden = s->hidden, .rows = s->rows, .input = s->input};
    if (p->attends)
        rc = accel_attends_prepare(prep, &s->attends, &floats, &most, err);
    if (rc != ACCEL_OK)
        return rc;
    s->products = floats;
    if (most > SIZE_MAX / 4 || floats > SIZE_MAX / 16)
        return accel_fail(err, ACCEL_E_INVALID, "its work space overflows");
    prep->scratch_bytes = floats * sizeof(float) + most;
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- running */

struct step {
    struct accel_run *run;
    const struct params *p;
    const struct state *s;
    size_t d;
    float *work;
    const void *packed_r1, *packed_r2;
    const float *r, *r_bias, *peephole;
    const float *late_bias; /* added last of all, before the clip: quantised */
};

static void multiply(const struct step *at, struct accel_gemm g, const float *bias, float *y,
                     size_t ldy)
{
    g.bias_col = bias;
    g.y = y;
    g.ldy = ldy;
    accel_gemm_f32(at->run->kernels, at->run->pool, &g, at->work + at->s->products);
}

static void activate(const struct step *at, size_t which, float *v)
{
    const struct accel_kernels *k = at->run->kernels;
    const struct activation *act = &at->p->act[at->d][which];
    const size_t n = at->s->hidden;

    switch (act->form) {
    case PLAIN:
        k->f32_unary[act->op](n, v, v, act->alpha, act->beta);
        break;
    case AFFINE:
        k->f32_affine(n, v, act->alpha, act->beta, v);
        break;
    case SCALED_TANH:
        k->f32_affine(n, v, act->beta, 0, v);
        k->f32_unary[act->op](n, v, v, 0, 0);
        k->f32_affine(n, v, act->alpha, 0, v);
        break;
    }
}

/* v += x (+ weight * cell) (+ what is left of gate `which`'s bias), then the clip; NULL: none. */
static void add(const struct step *at, size_t which, float *v, const float *x, const float *weight,
                const float *cell)
{
    const size_t n = at->s->hidden;

    for (size_t i = 0; i < n; i++)
        v[i] += x[i];
    for (size_t i = 0; weight != NULL && i < n; i++)
        v[i] += weight[i] * cell[i];
    for (size_t i = 0; at->late_bias != NULL && i < n; i++)
        v[i] += at->late_bias[which * n + i];
    if (at->p->clips)
        at->run->kernels->f32_unary[ACCEL_UNARY_CLIP](n, v, v, -at->p->clip, at->p->clip);
}

/* x: the row of from_x; g: of gates; h, c: the state, replaced. */
static void lstm_cell(const struct step *at, const float *x, float *g, float *h, float *c)
{
    const size_t n = at->s->hidden;
    const float *pi = at->peephole;
    const float *po = pi != NULL ? pi + n : NULL, *pf = pi != NULL ? pi + 2 * n : NULL;
    float *i = g, *o = g + n, *f = g + 2 * n, *u = g + 3 * n;
    float *one = at->work + at->s->one;

    add(at, 0, i, x, pi, c);
    activate(at, 0, i);
    if (at->p->input_forget) {
        for (size_t k = 0; k < n; k++)
            f[k] = 1 - i[k];
    } else {
        add(at, 2, f, x + 2 * n, pf, c);
        activate(at, 0, f);
    }
    add(at, 3, u, x + 3 * n, NULL, NULL);
    activate(at, 1, u);
    for (size_t k = 0; k < n; k++)
        c[k] = f[k] * c[k] + i[k] * u[k];
    add(at, 1, o, x + n, po, c);
    activate(at, 0, o);
    memcpy(one, c, n * sizeof(*one));
    activate(at, 2, one);
    for (size_t k = 0; k < n; k++)
        h[k] = o[k] * one[k];
}

/* z and r of a row; without linear_before_reset the state's part of the third gate is r * h R'. */
static void gru_gates(const struct step *at, const float *x, float *g, const float *h, float *reset)
{
    const size_t n = at->s->hidden;

    for (size_t gate = 0; gate < 2; gate++) {
        add(at, gate, g + gate * n, x + gate * n, NULL, NULL);
        activate(at, 0, g + gate * n);
    }
    for (size_t k = 0; k < n; k++)
        reset[k] = g[n + k] * h[k];
}

static void gru_cell(const struct step *at, const float *x, float *g, float *h)
{
    const size_t n = at->s->hidden;
    float *u = g + 2 * n;

    for (size_t k = 0; at->p->linear_before_reset && k < n; k++)
        u[k] *= g[n + k];
    add(at, 2, u, x + 2 * n, NULL, NULL);
    activate(at, 1, u);
    for (size_t k = 0; k < n; k++)
        h[k] = (1 - g[k]) * u[k] + g[k] * h[k];
}

/* The sequence of one batch element is `length` steps long: which row of X is its step `t`? */
static size_t position(const struct step *at, size_t t, size_t length)
{
    return at->p->backwards[at->d] ? length - 1 - t : t;
}

static size_t length_of(const struct step *at, size_t b)
{
    return accel_given(at->run->node, IN_LENS)
               ? (size_t)((const int32_t *)at->run->in[IN_LENS]->data)[b]
               : at->s->steps;
}

/* h R of a quantised cell. What h holds of sequences that are over bears on the scale: where Y is
 * wanted they have gone to 0 after their last step, as ONNX Runtime then reads h out of Y. */
static void quantised_gates(const struct step *at, size_t t, float *gates)
{
    const struct state *s = at->s;
    const bool wanted = at->run->node->outputs_count > 0 && at->run->out[0] != NULL;
    float *h = at->work + s->reset;

    memcpy(h, at->work + s->h, s->batch * s->hidden * sizeof(*h));
    for (size_t b = 0; b < s->batch; b++)
        if (t > length_of(at, b) && (wanted || length_of(at, b) == 0))
            memset(h + b * s->hidden, 0, s->hidden * sizeof(*h));
    accel_qlstm_multiply(at->run, ACCEL_QLSTM_R, at->d, s->batch, s->batch, h, gates,
                         at->work + s->products);
}

static void one_step(const struct step *at, size_t t)
{
    const struct params *p = at->p;
    const struct state *s = at->s;
    const size_t n = s->hidden, first = first_rows(p, n);
    float *h = at->work + s->h, *gates = at->work + s->gates, *reset = at->work + s->reset;
    const float *r2 = p->cell == GRU ? at->r + first * n : NULL;
    const struct accel_gemm second =
        product(s->batch, n, n, p->linear_before_reset ? h : reset, at->packed_r2, r2);

    if (p->quantised)
        quantised_gates(at, t, gates);
    else
        multiply(at, product(s->batch, first, n, h, at->packed_r1, at->r), NULL, gates, s->rows);
    if (p->attends)
        accel_attends_gates(at->run, &s->attends, at->d, at->work, gates);
    if (p->cell == GRU && p->linear_before_reset)
        multiply(at, second, at->r_bias, gates + first, s->rows);
    /* All rows of the batch take part in the second product, those that are over as well. */
    for (int pass = 0; pass < 2; pass++) {
        if (p->cell != GRU && pass == 0)
            continue;
        if (p->cell == GRU && pass == 1 && !p->linear_before_reset)
            multiply(at, second, NULL, gates + first, s->rows);
        for (size_t b = 0; b < s->batch; b++) {
            const size_t length = length_of(at, b);

            if (t >= length)
                continue;
            const size_t k = position(at, t, length);
            const size_t row = p->batch_first ? b * s->steps + k : k * s->batch + b;
            const float *x = at->work + s->from_x + row * s->rows;
            float *g = gates + b * s->rows;

            if (p->cell == GRU && pass == 0) {
                gru_gates(at, x, g, h + b * n, reset + b * n);
                continue;
            }
            if (p->cell == GRU) {
                gru_cell(at, x, g, h + b * n);
            } else if (p->cell == LSTM) {
                lstm_cell(at, x, g, h + b * n, at->work + s->c + b * n);
            } else {
                add(at, 0, g, x, NULL, NULL);
                activate(at, 0, g);
                memcpy(h + b * n, g, n * sizeof(*g));
            }
            if (at->run->node->outputs_count > 0 && at->run->out[0] != NULL) {
                const size_t y = p->batch_first ? row * p->directions + at->d
                                                : (k * p->directions + at->d) * s->batch + b;

                memcpy((float *)at->run->out[0]->data + y * n, h + b * n, n * sizeof(*h));
            }
        }
    }
    if (p->attends)
        accel_attends_ask(at->run, &s->attends, at->d, at->work, h);
}

/* A sequence of no steps ends at 0 and not where it started: as ONNX Runtime has it. */
static void forget_empty(const struct step *at)
{
    const size_t n = at->s->hidden;

    for (size_t b = 0; b < at->s->batch; b++) {
        if (length_of(at, b) > 0)
            continue;
        memset(at->work + at->s->h + b * n, 0, n * sizeof(float));
        memset(at->work + at->s->c + b * n, 0, n * sizeof(float));
    }
}

/* Between a state tensor's part for direction d and [batch][hidden]. */
static void move_state(const struct step *at, void *tensor, float *rows, bool in)
{
    const size_t n = at->s->hidden;

    for (size_t b = 0; b < at->s->batch; b++) {
        float *t =
            (float *)tensor +
            (at->p->batch_first ? b * at->p->directions + at->d : at->d * at->s->batch + b) * n;

        memcpy(in ? rows + b * n : t, in ? t : rows + b * n, n * sizeof(*t));
    }
}

static void start_state(const struct step *at, size_t input, float *rows)
{
    if (accel_given(at->run->node, input))
        move_state(at, at->run->in[input]->data, rows, true);
    else
        memset(rows, 0, at->s->batch * at->s->hidden * sizeof(*rows));
}

/* Biases of W and R meet at once, but for GRU's third gate with linear_before_reset. */
static void add_biases(struct step *at)
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
static void start_products(struct step *at)
{
    struct accel_run *run = at->run;
    const struct state *s = at->s;
    const size_t d = at->d;
    const bool packed = run->blobs[BLOB_W] != NULL;
    const void *packed_w = packed ? (const char *)run->blobs[BLOB_W] + d * s->size.w : NULL;
    const size_t wide = s->input + s->attends.width; /* columns of W */
    const float *w = packed ? NULL : (const float *)run->in[IN_W]->data + d * s->rows * wide;
    struct accel_gemm from_x =
        product(s->steps * s->batch, s->rows, s->input, run->in[IN_X]->data, packed_w, w);
    /* With packed weights only its arithmetic is asked for: the plain bytes may be gone. */
    static const float none[1];

    if (packed) {
        at->packed_r1 = (const char *)run->blobs[BLOB_R] + d * (s->size.r1 + s->size.r2);
        at->packed_r2 = (const char *)at->packed_r1 + s->size.r1;
    }
    at->r = packed ? none : (const float *)run->in[IN_R]->data + d * s->rows * s->hidden;
    from_x.ldb = wide;
    if (s->steps > 0)
        multiply(at, from_x, accel_given(run->node, IN_B) ? at->work + s->bias : NULL,
                 at->work + s->from_x, s->rows);
}

static void one_direction(struct accel_run *run, size_t d, size_t longest)
{
    const struct params *p = run->node->params;
    const struct state *s = run->state;
    struct step at = {.run = run, .p = p, .s = s, .d = d, .work = run->scratch};

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
        one_step(&at, t);
    forget_empty(&at);
    if (run->node->outputs_count > 1 && run->out[1] != NULL)
        move_state(&at, run->out[1]->data, at.work + s->h, false);
    if (run->node->outputs_count > 2 && run->out[2] != NULL)
        move_state(&at, run->out[2]->data, at.work + s->c, false);
}

static int recurrent_run(struct accel_run *run, struct accel_error *err)
{
    const struct params *p = run->node->params;
    const struct state *s = run->state;
    size_t longest = s->steps;

    if (s->batch == 0)
        return ACCEL_OK;
    if (p->quantised && accel_qlstm_zeros(run, err) != ACCEL_OK)
        return ACCEL_E_INVALID;
    if (p->attends && accel_attends_lengths(run, err) != ACCEL_OK)
        return ACCEL_E_INVALID;
    if (accel_given(run->node, IN_LENS)) {
        const int32_t *lens = run->in[IN_LENS]->data;

        longest = 0;
        for (size_t b = 0; b < s->batch; b++) {
            if (lens[b] < 0 || (size_t)lens[b] > s->steps)
                return accel_fail(err, ACCEL_E_INVALID, "sequence_lens[%zu] is %d of %zu steps", b,
                                  lens[b], s->steps);
            longest = ACCEL_MAX(longest, (size_t)lens[b]);
        }
        /* Beyond a sequence's end Y is 0. */
        if (run->node->outputs_count > 0 && run->out[0] != NULL)
            memset(run->out[0]->data, 0, run->out[0]->size_bytes);
    }
    for (size_t d = 0; d < p->directions; d++)
        one_direction(run, d, longest);
    return ACCEL_OK;
}

static void recurrent_cost(const struct accel_prepare *prep, struct accel_cost *cost)
{
    /* From the shapes alone: an analysis asks without having prepared anything. */
    const struct accel_shape *x = &prep->in[0]->shape; /* [steps, batch, input] or batch first */
    const struct accel_shape *w = &prep->in[1]->shape; /* [directions, rows, input] */
    const struct accel_shape *r = &prep->in[2]->shape; /* [directions, rows, hidden] */

    if (x->rank != 3 || w->rank != 3 || r->rank != 3)
        return;
    const struct params *p = prep->node->params;
    const int columns = p->quantised ? 2 : 1, inner = p->quantised ? 1 : 2;
    cost->flops = 2.0 * (double)x->dims[0] * (double)x->dims[1] * (double)w->dims[0] *
                  (double)w->dims[columns] * (double)(w->dims[inner] + r->dims[inner]);
    cost->items = (double)x->dims[p->batch_first ? 1 : 0] * (double)w->dims[0];
}

#define F32 ACCEL_T(FLOAT)
#define I32 ACCEL_T(INT32)
#define OPT ACCEL_ARG_OPTIONAL

#define COMMON                                                                             \
    {"activation_alpha", ACCEL_ATTR_FLOATS, 0}, {"activation_beta", ACCEL_ATTR_FLOATS, 0}, \
        {"activations", ACCEL_ATTR_STRINGS, 0}, {"clip", ACCEL_ATTR_FLOAT, 0},             \
        {"direction", ACCEL_ATTR_STRING, 0},                                               \
    {                                                                                      \
        "hidden_size", ACCEL_ATTR_INT, 0                                                   \
    }
#define LAYOUT                      \
    {                               \
        "layout", ACCEL_ATTR_INT, 0 \
    }
#define RESET                                    \
    {                                            \
        "linear_before_reset", ACCEL_ATTR_INT, 0 \
    }
#define FORGET                            \
    {                                     \
        "input_forget", ACCEL_ATTR_INT, 0 \
    }

static const struct accel_attr_rule rnn_7[] = {COMMON, {0}}, rnn_14[] = {COMMON, LAYOUT, {0}};
static const struct accel_attr_rule gru_7[] = {COMMON, RESET, {0}};
static const struct accel_attr_rule gru_14[] = {COMMON, RESET, LAYOUT, {0}};
static const struct accel_attr_rule lstm_7[] = {COMMON, FORGET, {0}};
static const struct accel_attr_rule lstm_14[] = {COMMON, FORGET, LAYOUT, {0}};

#define INPUTS                                                                        \
    {"X", F32, 'T', 0}, {"W", F32, 'T', 0}, {"R", F32, 'T', 0}, {"B", F32, 'T', OPT}, \
        {"sequence_lens", I32, 0, OPT},                                               \
    {                                                                                 \
        "initial_h", F32, 'T', OPT                                                    \
    }
#define OUTPUTS              \
    {"Y", F32, 'T', OPT},    \
    {                        \
        "Y_h", F32, 'T', OPT \
    }
#define RECURRENT(op, version, rules)                                                         \
    .name = op, .domain = "", .since = version, .kind = ACCEL_KIND_RECURRENT, .attrs = rules, \
    .parse = recurrent_parse, .infer = recurrent_infer, .prepack = recurrent_prepack,         \
    .prepare = recurrent_prepare, .run = recurrent_run, .cost = recurrent_cost
#define PLAIN_CELL(op, version, rules)                                    \
    {                                                                     \
        RECURRENT(op, version, rules), .in = {INPUTS}, .out = { OUTPUTS } \
    }
#define LSTM_CELL(version, rules)                                                        \
    {                                                                                    \
        RECURRENT("LSTM", version, rules),                                               \
            .in = {INPUTS, {"initial_c", F32, 'T', OPT}, {"P", F32, 'T', OPT}}, .out = { \
                OUTPUTS,                                                                 \
                {"Y_c", F32, 'T', OPT}                                                   \
            }                                                                            \
    }

/* Weights and zero points are of one type. */
#define Q8 (ACCEL_T(UINT8) | ACCEL_T(INT8))

const struct accel_op accel_ops_recurrent[] = {
    PLAIN_CELL("RNN", 7, rnn_7),
    PLAIN_CELL("RNN", 14, rnn_14),
    PLAIN_CELL("GRU", 7, gru_7),
    PLAIN_CELL("GRU", 14, gru_14),
    LSTM_CELL(7, lstm_7),
    LSTM_CELL(14, lstm_14),
    {.name = "DynamicQuantizeLSTM",
     .domain = "com.microsoft",
     .since = 1,
     .kind = ACCEL_KIND_RECURRENT,
     .in = {{"X", F32, 'T', 0},
            {"W", Q8, 'Q', 0},
            {"R", Q8, 'Q', 0},
            {"B", F32, 'T', OPT},
            {"sequence_lens", I32, 0, OPT},
            {"initial_h", F32, 'T', OPT},
            {"initial_c", F32, 'T', OPT},
            {"P", F32, 'T', OPT},
            {"W_scale", F32, 'T', 0},
            {"W_zero_point", Q8, 'Q', 0},
            {"R_scale", F32, 'T', 0},
            {"R_zero_point", Q8, 'Q', 0}},
     .out = {OUTPUTS, {"Y_c", F32, 'T', OPT}},
     .attrs = lstm_7,
     .parse = recurrent_parse,
     .infer = recurrent_infer,
     .prepack = recurrent_prepack,
     .prepare = recurrent_prepare,
     .run = recurrent_run,
     .cost = recurrent_cost},
    {.name = "AttnLSTM",
     .domain = "com.microsoft",
     .since = 1,
     .kind = ACCEL_KIND_RECURRENT,
     .in = {{"X", F32, 'T', 0},
            {"W", F32, 'T', 0},
            {"R", F32, 'T', 0},
            {"B", F32, 'T', OPT},
            {"sequence_lens", I32, 0, OPT},
            {"initial_h", F32, 'T', OPT},
            {"initial_c", F32, 'T', OPT},
            {"P", F32, 'T', OPT},
            {"QW", F32, 'T', 0},
            {"MW", F32, 'T', 0},
            {"V", F32, 'T', 0},
            {"M", F32, 'T', 0},
            {"memory_seq_lens", I32, 0, OPT},
            {"AW", F32, 'T', OPT}},
     .out = {OUTPUTS, {"Y_c", F32, 'T', OPT}},
     .attrs = lstm_7,
     .parse = recurrent_parse,
     .infer = recurrent_infer,
     .prepack = recurrent_prepack,
     .prepare = recurrent_prepare,
     .run = recurrent_run,
     .cost = recurrent_cost},
    {0},
};
