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
