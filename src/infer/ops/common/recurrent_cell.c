/* SPDX-License-Identifier: Apache-2.0 */
/* One step of RNN, GRU and LSTM: ops/recurrent.h. */
#include "infer/ops/recurrent.h"

#include <string.h>

void accel_recurrent_multiply(const struct recurrent_run *at, struct accel_gemm g,
                              const float *bias, float *y, size_t ldy)
{
    g.bias_col = bias;
    g.y = y;
    g.ldy = ldy;
    accel_gemm_f32(at->run->kernels, at->run->pool, &g, at->work + at->s->products);
}

/* ---------------------------------------------------------------- the cells */

static void activate(const struct recurrent_run *at, size_t which, float *v)
{
    const struct accel_kernels *k = at->run->kernels;
    const struct recurrent_activation *act = &at->p->act[at->d][which];
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
static void add(const struct recurrent_run *at, size_t which, float *v, const float *x,
                const float *weight, const float *cell)
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
static void lstm_cell(const struct recurrent_run *at, const float *x, float *g, float *h, float *c)
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
static void gru_gates(const struct recurrent_run *at, const float *x, float *g, const float *h,
                      float *reset)
{
    const size_t n = at->s->hidden;

    for (size_t gate = 0; gate < 2; gate++) {
        add(at, gate, g + gate * n, x + gate * n, NULL, NULL);
        activate(at, 0, g + gate * n);
    }
    for (size_t k = 0; k < n; k++)
        reset[k] = g[n + k] * h[k];
}

static void gru_cell(const struct recurrent_run *at, const float *x, float *g, float *h)
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

/* ---------------------------------------------------------------- one step of all */

/* The sequence of one batch element is `length` steps long: which row of X is its step `t`? */
static size_t position(const struct recurrent_run *at, size_t t, size_t length)
{
    return at->p->backwards[at->d] ? length - 1 - t : t;
}

/* The row of from_x that belongs to position k of batch element b. */
static const float *from_x_of(const struct recurrent_run *at, size_t b, size_t k)
{
    const struct recurrent_state *s = at->s;

    return at->work + s->from_x +
           (at->p->batch_first ? b * s->steps + k : k * s->batch + b) * s->rows;
}

/* h R of a quantised cell. What h holds of sequences that are over bears on the scale: where Y is
 * wanted they have gone to 0 after their last step, as ONNX Runtime then reads h out of Y. */
static void quantised_gates(const struct recurrent_run *at, size_t t, float *gates)
{
    const struct recurrent_state *s = at->s;
    const bool wanted = accel_recurrent_output(at->run, OUT_Y) != NULL;
    float *h = at->work + s->reset;

    memcpy(h, at->work + s->h, s->batch * s->hidden * sizeof(*h));
    for (size_t b = 0; b < s->batch; b++)
        if (t > accel_recurrent_length(at, b) && (wanted || accel_recurrent_length(at, b) == 0))
            memset(h + b * s->hidden, 0, s->hidden * sizeof(*h));
    accel_qlstm_multiply(at->run, ACCEL_QLSTM_R, at->d, s->batch, s->batch, h, gates,
                         at->work + s->products);
}

/* The gates of GRU before its cell, with the state's part of the third: that is r * (h R') with
 * linear_before_reset, else (r * h) R'. All rows of the batch take part in its product, those that
 * are over as well. */
static void reset_gates(const struct recurrent_run *at, size_t t, float *gates)
{
    const bool linear = at->p->linear_before_reset;
    const struct recurrent_state *s = at->s;
    const size_t n = s->hidden, first = accel_recurrent_first_rows(at->p, n);
    float *h = at->work + s->h, *reset = at->work + s->reset;
    const struct accel_gemm second = accel_recurrent_product(s->batch, n, n, linear ? h : reset,
                                                             at->packed_r2, at->r + first * n);

    if (linear)
        accel_recurrent_multiply(at, second, at->r_bias, gates + first, s->rows);
    for (size_t b = 0; b < s->batch; b++) {
        const size_t length = accel_recurrent_length(at, b);

        if (t < length)
            gru_gates(at, from_x_of(at, b, position(at, t, length)), gates + b * s->rows, h + b * n,
                      reset + b * n);
    }
    if (!linear)
        accel_recurrent_multiply(at, second, NULL, gates + first, s->rows);
}

/* The state of batch element b after the row of X at position k, and its row of Y. */
static void update(const struct recurrent_run *at, size_t b, size_t k, float *gates)
{
    const struct recurrent_params *p = at->p;
    const struct recurrent_state *s = at->s;
    const struct accel_tensor *y = accel_recurrent_output(at->run, OUT_Y);
    const size_t n = s->hidden;
    const float *x = from_x_of(at, b, k);
    float *h = at->work + s->h + b * n;

    switch (p->cell) {
    case RNN:
        add(at, 0, gates, x, NULL, NULL);
        activate(at, 0, gates);
        memcpy(h, gates, n * sizeof(*gates));
        break;
    case GRU:
        gru_cell(at, x, gates, h);
        break;
    case LSTM:
        lstm_cell(at, x, gates, h, at->work + s->c + b * n);
        break;
    }
    if (y != NULL) {
        const size_t row = p->batch_first ? (b * s->steps + k) * p->directions + at->d
                                          : (k * p->directions + at->d) * s->batch + b;

        memcpy((float *)y->data + row * n, h, n * sizeof(*h));
    }
}

void accel_recurrent_step(const struct recurrent_run *at, size_t t)
{
    const struct recurrent_params *p = at->p;
    const struct recurrent_state *s = at->s;
    const size_t n = s->hidden;
    float *h = at->work + s->h, *gates = at->work + s->gates;

    if (p->quantised)
        quantised_gates(at, t, gates);
    else
        accel_recurrent_multiply(at,
                                 accel_recurrent_product(s->batch, accel_recurrent_first_rows(p, n),
                                                         n, h, at->packed_r1, at->r),
                                 NULL, gates, s->rows);
    if (p->attends)
        accel_attends_gates(at->run, &s->attends, at->d, at->work, gates);
    if (p->cell == GRU)
        reset_gates(at, t, gates);
    for (size_t b = 0; b < s->batch; b++) {
        const size_t length = accel_recurrent_length(at, b);

        if (t < length)
            update(at, b, position(at, t, length), gates + b * s->rows);
    }
    if (p->attends)
        accel_attends_ask(at->run, &s->attends, at->d, at->work, h);
}
