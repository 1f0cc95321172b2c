/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax and the normalisations. */
#include <math.h>

#include "infer/kernels/epilogue.h"
#include "infer/kernels/microkernels.h"

#define GRAIN 16384

static size_t grain_rows(size_t row)
{
    return row >= GRAIN ? 1 : GRAIN / ACCEL_MAX(row, (size_t)1);
}

/* ---------------------------------------------------------------- softmax */

struct softmax_job {
    const struct accel_kernels *kernels;
    size_t axis, inner;
    bool log_softmax;
    const float *x;
    float *y;
};

static void softmax_rows(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct softmax_job *job = context;
    const struct accel_kernels *k = job->kernels;

    (void)thread;
    for (size_t row = begin; row < end; row++) {
        const float *x = job->x + row * job->axis;
        float *y = job->y + row * job->axis;
        const float max = k->f32_max(job->axis, x);

        if (job->log_softmax) {
            const float sum = k->f32_expsum(job->axis, x, max, NULL);

            /* (x - max) - log(sum), in this order: x may be large. */
            k->f32_affine(job->axis, x, 1, -max, y);
            k->f32_affine(job->axis, y, 1, -logf(sum), y);
        } else {
            const float sum = k->f32_expsum(job->axis, x, max, y);

            k->f32_affine(job->axis, y, 1 / sum, 0, y);
        }
    }
}

/* Columns of [axis][inner], BLOCK side by side. */
#define BLOCK 64

static void softmax_columns(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct softmax_job *job = context;
    const struct accel_kernels *k = job->kernels;
    const size_t blocks = (job->inner + BLOCK - 1) / BLOCK;

    (void)thread;
    for (size_t unit = begin; unit < end; unit++) {
        const size_t column = unit % blocks * BLOCK,
                     n = ACCEL_MIN((size_t)BLOCK, job->inner - column);
        const size_t at = unit / blocks * job->axis * job->inner + column;
        const float *x = job->x + at;
        float *y = job->y + at;
        float max[BLOCK], sum[BLOCK];

        for (size_t i = 0; i < n; i++) {
            max[i] = -INFINITY;
            sum[i] = 0;
        }
        for (size_t a = 0; a < job->axis; a++)
            k->f32_binary[ACCEL_BINARY_MAX](n, max, 1, x + a * job->inner, 1, max);
        if (!job->log_softmax) {
            for (size_t a = 0; a < job->axis; a++) {
                float *row = y + a * job->inner;

                k->f32_binary[ACCEL_BINARY_SUB](n, x + a * job->inner, 1, max, 1, row);
                k->f32_unary[ACCEL_UNARY_EXP](n, row, row, 0, 0);
                k->f32_binary[ACCEL_BINARY_ADD](n, sum, 1, row, 1, sum);
            }
            k->f32_unary[ACCEL_UNARY_RECIPROCAL](n, sum, sum, 0, 0);
            for (size_t a = 0; a < job->axis; a++)
                k->f32_binary[ACCEL_BINARY_MUL](n, y + a * job->inner, 1, sum, 1,
                                                y + a * job->inner);
            continue;
        }
        for (size_t a = 0; a < job->axis; a++) {
            float row[BLOCK];

            k->f32_binary[ACCEL_BINARY_SUB](n, x + a * job->inner, 1, max, 1, row);
            k->f32_unary[ACCEL_UNARY_EXP](n, row, row, 0, 0);
            k->f32_binary[ACCEL_BINARY_ADD](n, sum, 1, row, 1, sum);
        }
        k->f32_unary[ACCEL_UNARY_LOG](n, sum, sum, 0, 0);
        for (size_t a = 0; a < job->axis; a++) {
            float *row = y + a * job->inner;

            k->f32_binary[ACCEL_BINARY_SUB](n, x + a * job->inner, 1, max, 1, row);
            k->f32_binary[ACCEL_BINARY_SUB](n, row, 1, sum, 1, row);
        }
    }
}

void accel_softmax_f32(const struct accel_kernels *kernels, struct accel_pool *pool, size_t outer,
                       size_t axis, size_t inner, bool log_softmax, const float *x, float *y)
{
    struct softmax_job job = {.kernels = kernels,
                              .axis = axis,
                              .inner = inner,
                              .log_softmax = log_softmax,
                              .x = x,
                              .y = y};

    if (outer == 0 || axis == 0 || inner == 0)
        return;
    if (inner == 1)
        accel_pool_run(pool, outer, grain_rows(axis * 4), softmax_rows, &job);
    else
        accel_pool_run(pool, outer * ((inner + BLOCK - 1) / BLOCK),
                       grain_rows(axis * ACCEL_MIN(inner, (size_t)BLOCK) * 4), softmax_columns,
                       &job);
}

/* ---------------------------------------------------------------- affine */

struct affine_job {
    const struct accel_kernels *kernels;
    size_t channels, inner;
    const float *x, *scale, *shift;
    struct accel_activation act;
    float *y;
};

static void affine_range(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct affine_job *job = context;

    (void)thread;
    for (size_t row = begin; row < end; row++) {
        const size_t c = row % job->channels;
        float *y = job->y + row * job->inner;

        job->kernels->f32_affine(job->inner, job->x + row * job->inner, job->scale[c],
                                 job->shift[c], y);
        if (job->act.op != ACCEL_UNARY_IDENTITY)
            job->kernels->f32_unary[job->act.op](job->inner, y, y, job->act.alpha, job->act.beta);
    }
}

static void affine_rows_range(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct affine_job *job = context;
    const size_t n = job->channels;

    (void)thread;
    for (size_t row = begin; row < end; row++) {
        float *y = job->y + row * n;

        job->kernels->f32_affine_rows(n, job->x + row * n, job->scale, job->shift, y);
        if (job->act.op != ACCEL_UNARY_IDENTITY)
            job->kernels->f32_unary[job->act.op](n, y, y, job->act.alpha, job->act.beta);
    }
}

void accel_channel_affine_f32(const struct accel_kernels *kernels, struct accel_pool *pool,
                              size_t batch, size_t channels, size_t inner, const float *x,
                              const float *scale, const float *shift, struct accel_activation act,
                              float *y)
{
    struct affine_job job = {.kernels = kernels,
                             .channels = channels,
                             .inner = inner,
                             .x = x,
                             .scale = scale,
                             .shift = shift,
                             .act = act,
                             .y = y};

    if (batch == 0 || channels == 0 || inner == 0)
        return;
    if (inner == 1)
        accel_pool_run(pool, batch, grain_rows(channels), affine_rows_range, &job);
    else
        accel_pool_run(pool, batch * channels, grain_rows(inner), affine_range, &job);
}

/* ---------------------------------------------------------------- layer and group norm */

struct norm_job {
    const struct accel_kernels *kernels;
    size_t n, channels, groups, inner;
    float epsilon;
    bool rms;
    const float *x, *scale, *bias;
    float *y, *mean, *inv_std;
};

/* Two passes, so that a large mean does not eat the variance. */
static void moments(const struct norm_job *job, size_t n, const float *x, float *mean,
                    float *inv_std)
{
    *mean = job->rms ? 0 : job->kernels->f32_sum(n, x) / (float)n;
    *inv_std = 1 / sqrtf(job->kernels->f32_sumsq(n, x, *mean) / (float)n + job->epsilon);
}

static void layer_norm_range(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct norm_job *job = context;

    (void)thread;
    for (size_t row = begin; row < end; row++) {
        float *y = job->y + row * job->n;
        float mean, inv_std;

        moments(job, job->n, job->x + row * job->n, &mean, &inv_std);
        job->kernels->f32_affine(job->n, job->x + row * job->n, 1, -mean, y);
        job->kernels->f32_affine(job->n, y, inv_std, 0, y);
        if (job->scale != NULL)
            job->kernels->f32_affine_rows(job->n, y, job->scale, job->bias, y);
        else if (job->bias != NULL)
            job->kernels->f32_binary[ACCEL_BINARY_ADD](job->n, y, 1, job->bias, 1, y);
        if (job->mean != NULL)
            job->mean[row] = mean;
        if (job->inv_std != NULL)
            job->inv_std[row] = inv_std;
    }
}

void accel_layer_norm_f32(const struct accel_kernels *kernels, struct accel_pool *pool, size_t rows,
                          size_t n, float epsilon, bool rms, const float *x, const float *scale,
                          const float *bias, float *y, float *mean, float *inv_std)
{
    struct norm_job job = {.kernels = kernels,
                           .n = n,
                           .epsilon = epsilon,
                           .rms = rms,
                           .x = x,
                           .scale = scale,
                           .bias = bias,
                           .y = y,
                           .mean = mean,
                           .inv_std = inv_std};

    accel_pool_run(pool, rows, grain_rows(n * 4), layer_norm_range, &job);
}

static void group_norm_range(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct norm_job *job = context;
    const size_t per_group = job->channels / job->groups;

    (void)thread;
    for (size_t unit = begin; unit < end; unit++) {
        const size_t at = unit * per_group * job->inner;
        float mean, inv_std;

        moments(job, per_group * job->inner, job->x + at, &mean, &inv_std);
        for (size_t i = 0; i < per_group; i++) {
            const size_t c = unit % job->groups * per_group + i, from = at + i * job->inner;
            const float scale = job->scale != NULL ? job->scale[c] : 1;

            /* x - mean first: x * s - mean * s cancels when the mean is large. */
            job->kernels->f32_affine(job->inner, job->x + from, 1, -mean, job->y + from);
            job->kernels->f32_affine(job->inner, job->y + from, inv_std * scale,
                                     job->bias != NULL ? job->bias[c] : 0, job->y + from);
        }
    }
}

void accel_group_norm_f32(const struct accel_kernels *kernels, struct accel_pool *pool,
                          size_t batch, size_t channels, size_t groups, size_t inner, float epsilon,
                          const float *x, const float *scale, const float *bias, float *y)
{
    struct norm_job job = {.kernels = kernels,
                           .channels = channels,
                           .groups = groups,
                           .inner = inner,
                           .epsilon = epsilon,
                           .x = x,
                           .scale = scale,
                           .bias = bias,
                           .y = y};

    if (channels > 0 && inner > 0)
        accel_pool_run(pool, batch * groups, grain_rows(channels / groups * inner * 4),
                       group_norm_range, &job);
}

/* ---------------------------------------------------------------- LRN */

struct lrn_job {
    size_t channels, inner, size;
    float alpha, beta, bias;
    const float *x;
    float *y;
};

static void lrn_range(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct lrn_job *job = context;
    /* ONNX LRN-13: max(0, c - floor((size - 1) / 2)) .. min(C - 1, c + ceil((size - 1) / 2)). */
    const size_t before = (job->size - 1) / 2, after = job->size / 2;

    (void)thread;
    for (size_t row = begin; row < end; row++) {
        const size_t c = row % job->channels, image = row - c;
        const size_t first = c > before ? c - before : 0;
        const size_t last = ACCEL_MIN(c + after, job->channels - 1);

        for (size_t i = 0; i < job->inner; i++) {
            float sum = 0;

            for (size_t j = first; j <= last; j++) {
                const float v = job->x[(image + j) * job->inner + i];

                sum += v * v;
            }
            job->y[row * job->inner + i] =
                job->x[row * job->inner + i] *
                powf(job->bias + job->alpha / (float)job->size * sum, -job->beta);
        }
    }
}

void accel_lrn_f32(struct accel_pool *pool, size_t batch, size_t channels, size_t inner,
                   size_t size, float alpha, float beta, float bias, const float *x, float *y)
{
    struct lrn_job job = {.channels = channels,
                          .inner = inner,
                          .size = size,
                          .alpha = alpha,
                          .beta = beta,
                          .bias = bias,
                          .x = x,
                          .y = y};

    if (batch > 0 && channels > 0 && inner > 0)
        accel_pool_run_long(pool, batch * channels, grain_rows(inner * size * 4), lrn_range, &job);
}
