/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/kernels/sequence.h"

#include <math.h>
#include <string.h>

#define GRAIN 4096

static size_t grain(size_t work)
{
    return GRAIN / ACCEL_MIN(work + 1, (size_t)GRAIN);
}

/* ---------------------------------------------------------------- RotaryEmbedding */

struct rotary_job {
    const struct accel_rotary *r;
    const float *x, *cosine, *sine;
    float *y;
};

static void rotary_range(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct rotary_job *job = context;
    const struct accel_rotary *r = job->r;
    const size_t half = r->rotated / 2;

    (void)thread;
    for (size_t unit = begin; unit < end; unit++) {
        const size_t row = unit % r->rows, head = unit / r->rows % r->heads,
                     b = unit / r->rows / r->heads;
        const size_t at = b * r->batch_stride + head * r->head_stride + row * r->row_stride;
        const float *x = job->x + at;
        float *y = job->y + at;
        size_t place = b * r->rows + row;

        if (r->positions != NULL)
            place = r->one_position ? (size_t)r->positions[0] + row : (size_t)r->positions[place];
        for (size_t i = 0; i < half; i++) {
            const size_t a = r->interleaved ? 2 * i : i, c = r->interleaved ? a + 1 : a + half;
            if (r->streams != NULL)
                place = (size_t)r->positions[(r->streams[i] * r->batch + b) * r->rows + row];
            const float cosine = job->cosine[place * half + i], sine = job->sine[place * half + i];
            const float real = x[a], imaginary = x[c];

            y[a] = cosine * real - sine * imaginary;
            y[c] = sine * real + cosine * imaginary;
        }
        if (r->head_size > r->rotated)
            memcpy(y + r->rotated, x + r->rotated, (r->head_size - r->rotated) * sizeof(*y));
    }
}

void accel_rotary_f32(struct accel_pool *pool, const struct accel_rotary *rotary, const float *x,
                      const float *cosine, const float *sine, float *y)
{
    struct rotary_job job = {.r = rotary, .x = x, .cosine = cosine, .sine = sine, .y = y};

    accel_pool_run_long(pool, rotary->batch * rotary->heads * rotary->rows,
                        grain(rotary->head_size), rotary_range, &job);
}

/* ---------------------------------------------------------------- LinearAttention */

/* One step of one state: decay, correct, write. */
static void remember(const struct accel_linear_attention *a, size_t at, size_t head, float *state)
{
    const size_t row = at * a->kv_heads + head, dk = a->key_size, dv = a->value_size;
    const float *k = a->k + row * dk, *v = a->v + row * dv;
    const float rate = a->delta ? a->beta[a->beta_by_head ? row : at] : 1;

    for (size_t i = 0; a->decay != NULL && i < dk; i++) {
        const float keep = expf(a->decay[a->decay_by_key ? row * dk + i : row]);

        for (size_t j = 0; j < dv; j++)
            state[i * dv + j] *= keep;
    }
    for (size_t j = 0; j < dv; j++) {
        float value = v[j];

        if (a->delta) {
            float known = 0;

            for (size_t i = 0; i < dk; i++)
                known += state[i * dv + j] * k[i];
            value = rate * (value - known);
        }
        for (size_t i = 0; i < dk; i++)
            state[i * dv + j] += k[i] * value;
    }
}

static void recall(const struct accel_linear_attention *a, const float *q, const float *state,
                   float *y)
{
    for (size_t j = 0; j < a->value_size; j++)
        y[j] = 0;
    for (size_t i = 0; i < a->key_size; i++)
        for (size_t j = 0; j < a->value_size; j++)
            y[j] += q[i] * state[i * a->value_size + j];
    for (size_t j = 0; j < a->value_size; j++)
        y[j] *= a->scale;
}

static void linear_range(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct accel_linear_attention *a = context;
    const size_t out = ACCEL_MAX(a->q_heads, a->kv_heads);
    const size_t shared = out / a->kv_heads, queries = out / a->q_heads;

    (void)thread;
    for (size_t unit = begin; unit < end; unit++) {
        const size_t b = unit / a->kv_heads, head = unit % a->kv_heads;
        float *state = a->state + unit * a->key_size * a->value_size;

        for (size_t t = 0; t < a->rows; t++) {
            const size_t at = b * a->rows + t;

            remember(a, at, head, state);
            for (size_t h = head * shared; h < (head + 1) * shared; h++)
                recall(a, a->q + (at * a->q_heads + h / queries) * a->key_size, state,
                       a->y + (at * out + h) * a->value_size);
        }
    }
}

void accel_linear_attention_f32(struct accel_pool *pool,
                                const struct accel_linear_attention *attention)
{
    struct accel_linear_attention job = *attention;

    accel_pool_run_long(pool, job.batch * job.kv_heads, 1, linear_range, &job);
}

/* ---------------------------------------------------------------- CausalConvWithState */

static void causal_range(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct accel_causal_conv *c = context;
    const size_t before = (c->taps - 1) * c->dilation;

    (void)thread;
    for (size_t row = begin; row < end; row++) {
        const size_t channel = row % c->channels;
        const float *x = c->x + row * c->rows, *w = c->w + channel * c->taps;
        const float *past = c->past != NULL ? c->past + row * before : NULL;
        float *y = c->y + row * c->rows;

        for (size_t i = 0; i < c->rows; i++) {
            float sum = c->bias != NULL ? c->bias[channel] : 0;

            for (size_t t = 0; t < c->taps; t++) {
                const size_t at = i + t * c->dilation;

                if (at >= before)
                    sum += w[t] * x[at - before];
                else if (past != NULL)
                    sum += w[t] * past[at];
            }
            y[i] = c->silu ? sum / (1 + expf(-sum)) : sum;
        }
        for (size_t i = 0; i < before && c->carry != NULL; i++) {
            const size_t at = c->rows + i;

            c->carry[row * before + i] = at >= before   ? x[at - before]
                                         : past != NULL ? past[at]
                                                        : 0;
        }
    }
}

void accel_causal_conv_f32(struct accel_pool *pool, const struct accel_causal_conv *conv)
{
    struct accel_causal_conv job = *conv;

    accel_pool_run_long(pool, job.batch * job.channels, grain(job.rows * job.taps), causal_range,
                        &job);
}
