/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/kernels/experts.h"

#include <math.h>

/* exp(x - its largest), over their sum. */
static void probabilities(size_t n, const float *x, float *y)
{
    float most = x[0], sum = 0;

    for (size_t i = 1; i < n; i++)
        most = x[i] > most ? x[i] : most;
    for (size_t i = 0; i < n; i++) {
        y[i] = expf(x[i] - most);
        sum += y[i];
    }
    for (size_t i = 0; i < n; i++)
        y[i] /= sum;
}

/* What is chosen is marked by its sign: a probability of 0 need not be, it has no share. */
static void keep_largest(const struct accel_routing *r, float *row)
{
    float sum = 0;

    for (size_t chosen = 0; chosen < r->k; chosen++) {
        size_t best = r->experts;

        for (size_t e = 0; e < r->experts; e++)
            if (row[e] > 0 && (best == r->experts || row[e] >= row[best]))
                best = e;
        if (best == r->experts)
            break;
        sum += row[best];
        row[best] = -row[best];
    }
    for (size_t e = 0; e < r->experts; e++)
        row[e] = row[e] < 0 ? -row[e] / (r->normalize ? sum : 1) : 0;
}

static void route(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct accel_routing *r = context;

    (void)thread;
    for (size_t t = begin; t < end; t++) {
        float *row = r->share + t * r->experts;

        probabilities(r->experts, r->logits + t * r->experts, row);
        keep_largest(r, row);
    }
}

void accel_route_experts(struct accel_pool *pool, const struct accel_routing *routing)
{
    struct accel_routing r = *routing;

    accel_pool_run(pool, r.tokens, 16, route, &r);
}

void accel_swiglu_pairs_f32(size_t n, const float *x, float alpha, float beta, float limit,
                            float *y)
{
    for (size_t i = 0; i < n; i++) {
        const float gate = x[2 * i] > limit ? limit : x[2 * i];
        const float high = x[2 * i + 1] > limit ? limit : x[2 * i + 1];
        const float linear = high < -limit ? -limit : high;

        y[i] = gate / (1 + expf(-alpha * gate)) * (linear + beta);
    }
}

/* ---------------------------------------------------------------- matrices of few bits */

struct unpacking {
    const struct accel_packed_matrix *m;
    float *y;
};

static float number_at(const uint8_t *bytes, size_t bits, size_t i)
{
    return (float)((unsigned)bytes[i * bits / 8] >> i * bits % 8 & ((1u << bits) - 1));
}

static float zero_of(const struct accel_packed_matrix *m, size_t row, size_t block)
{
    if (m->zeros == NULL)
        return (float)(1u << (m->bits - 1));
    if (m->block == 0)
        return number_at(m->zeros, m->bits, row);
    return number_at(m->zeros + row * accel_packed_bytes(m->k / m->block, m->bits), m->bits, block);
}

static void unpack_rows(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct unpacking *u = context;
    const struct accel_packed_matrix *m = u->m;
    const size_t length = m->block == 0 ? m->k : m->block;
    const size_t blocks = m->k / length;

    (void)thread;
    for (size_t i = begin; i < end; i++)
        for (size_t b = 0; b < blocks; b++) {
            const uint8_t *row = m->data + i * accel_packed_bytes(m->k, m->bits);
            const float zero = zero_of(m, i, b), scale = m->scales[i * blocks + b];

            for (size_t j = b * length; j < (b + 1) * length; j++)
                u->y[i * m->k + j] = (number_at(row, m->bits, j) - zero) * scale;
        }
}

void accel_unpack_matrix_f32(struct accel_pool *pool, const struct accel_packed_matrix *matrix,
                             float *y)
{
    struct unpacking u = {matrix, y};

    if (matrix->k > 0)
        accel_pool_run(pool, matrix->n, 8, unpack_rows, &u);
}
