/* SPDX-License-Identifier: Apache-2.0 */
/* MaxPool, AveragePool, LpPool. */
#include <math.h>
#include <string.h>

#include "infer/kernels/microkernels.h"
#include "infer/kernels/pooling.h"

#define GRAIN    16384
/* Largest window whose rows are walked tap by tap by the microkernels. */
#define TAPS_MAX 64

size_t accel_window_out(size_t in, size_t kernel, size_t stride, size_t dilation,
                        ptrdiff_t pad_begin, ptrdiff_t pad_end, bool ceil_mode)
{
    const ptrdiff_t padded = (ptrdiff_t)in + pad_begin + pad_end;
    const size_t extent = dilation * (kernel - 1) + 1;

    /* One window may hang over the end by less than a stride: ONNX Runtime cuts its quotient off
     * towards 0. */
    if (padded < 0 || (size_t)padded + stride <= extent)
        return 0;
    const size_t room = (size_t)padded > extent ? (size_t)padded - extent : 0;
    size_t out = (ceil_mode ? (room + stride - 1) / stride : room / stride) + 1;

    /* ONNX: "sliding windows that would start in the right padded region are ignored". */
    if (ceil_mode && (ptrdiff_t)((out - 1) * stride) >= (ptrdiff_t)in + pad_begin)
        out--;
    return out;
}

/* Windows so large that one output is worth asking whether to go on. */
#define LONG_WINDOW 4096

struct pool_job {
    const struct accel_pool *pool;
    const struct accel_kernels *kernels;
    struct accel_window3 w;
    bool count_include_pad;
    int64_t p;
    const float *x;
    float *y;
};

/* The outputs first..last of a row whose windows lie wholly inside the input. */
static void interior(const struct accel_window3 *w, size_t *first, size_t *last)
{
    size_t end;

    accel_window_row(w, 0, first, &end);
    accel_window_row(w, w->dilation[2] * (w->kernel[2] - 1), &end, last);
    *first = ACCEL_MIN(*first, *last);
}

/* The rows of the input that output row (oz, oy) looks at, one pointer per tap, at column 0 of the
 * window of output `first`. Returns how many taps. */
static size_t row_taps(const struct accel_window3 *w, const float *plane, size_t oz, size_t oy,
                       size_t first, const float *taps[TAPS_MAX])
{
    size_t n = 0;

    for (size_t kz = 0; kz < w->kernel[0]; kz++)
        for (size_t ky = 0; ky < w->kernel[1]; ky++) {
            const size_t iz = accel_window_at(w, 0, oz, kz), iy = accel_window_at(w, 1, oy, ky);

            if (iz >= w->end[0] || iy >= w->end[1])
                continue;
            for (size_t kx = 0; kx < w->kernel[2]; kx++)
                taps[n++] =
                    plane + (iz * w->in[1] + iy) * w->in[2] + accel_window_at(w, 2, first, kx);
        }
    return n;
}

static bool give_up(const struct pool_job *job)
{
    return job->w.taps > LONG_WINDOW && accel_pool_stopped(job->pool);
}

static void pool_max_range(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct pool_job *job = context;
    const struct accel_window3 *w = &job->w;
    size_t first, last;

    (void)thread;
    interior(w, &first, &last);
    for (size_t row = begin; row < end; row++) {
        const size_t oy = row % w->out[1], oz = row / w->out[1] % w->out[0];
        const float *plane = job->x + row / w->out[1] / w->out[0] * w->in_size;
        float *y = job->y + row * w->out[2];
        const float *taps[TAPS_MAX];
        size_t n = 0;

        if (w->taps <= TAPS_MAX && last > first)
            n = row_taps(w, plane, oz, oy, first, taps);
        if (n > 0)
            job->kernels->f32_taps_max(last - first, n, taps, w->stride[2], y + first);
        for (size_t ox = 0; ox < w->out[2] && !give_up(job); ox++) {
            if (n > 0 && ox == first)
                ox = last;
            if (ox < w->out[2])
                y[ox] = accel_pool_max_at(w, plane, oz, oy, ox);
        }
    }
}

void accel_maxpool_f32(const struct accel_kernels *kernels, struct accel_pool *pool,
                       const struct accel_window *window, const float *x, float *y,
                       int64_t *indices, bool column_major)
{
    struct pool_job job = {
        .pool = pool, .kernels = kernels, .w = accel_window3_of(window), .x = x, .y = y};

    if (indices != NULL) {
        accel_maxpool_any(pool, ACCEL_DTYPE_FLOAT, window, x, y, indices, column_major);
        return;
    }
    if (job.w.out_size > 0)
        accel_pool_run_long(pool, window->planes * job.w.out[0] * job.w.out[1],
                            GRAIN / (job.w.out[2] * job.w.taps) + 1, pool_max_range, &job);
}

static void pool_average_range(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct pool_job *job = context;
    const struct accel_window3 *w = &job->w;
    float weights[TAPS_MAX];
    size_t first, last;

    (void)thread;
    interior(w, &first, &last);
    for (size_t row = begin; row < end; row++) {
        const size_t oy = row % w->out[1], oz = row / w->out[1] % w->out[0];
        const float *plane = job->x + row / w->out[1] / w->out[0] * w->in_size;
        float *y = job->y + row * w->out[2];
        const float *taps[TAPS_MAX];
        size_t n = 0;

        if (w->taps <= TAPS_MAX && last > first)
            n = row_taps(w, plane, oz, oy, first, taps);
        if (n > 0) {
            /* Every interior window of the row has the same divisor. */
            const float share =
                1 / (float)accel_pool_divisor(w, job->count_include_pad, oz, oy, first);

            for (size_t t = 0; t < n; t++)
                weights[t] = share;
            job->kernels->f32_taps(last - first, n, taps, weights, w->stride[2], 0, -INFINITY,
                                   INFINITY, y + first);
        }
        for (size_t ox = 0; ox < w->out[2] && !give_up(job); ox++) {
            if (n > 0 && ox == first)
                ox = last;
            if (ox < w->out[2])
                y[ox] = accel_pool_average_at(w, job->count_include_pad, plane, oz, oy, ox);
        }
    }
}

void accel_avgpool_f32(const struct accel_kernels *kernels, struct accel_pool *pool,
                       const struct accel_window *window, bool count_include_pad, const float *x,
                       float *y)
{
    struct pool_job job = {.pool = pool,
                           .kernels = kernels,
                           .w = accel_window3_of(window),
                           .count_include_pad = count_include_pad,
                           .x = x,
                           .y = y};

    accel_window3_cut(&job.w);
    if (job.w.out_size > 0)
        accel_pool_run_long(pool, window->planes * job.w.out[0] * job.w.out[1],
                            GRAIN / (job.w.out[2] * job.w.taps) + 1, pool_average_range, &job);
}

static void pool_lp_range(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct pool_job *job = context;
    const struct accel_window3 *w = &job->w;

    (void)thread;
    for (size_t row = begin; row < end; row++) {
        const size_t oy = row % w->out[1], oz = row / w->out[1] % w->out[0];
        const float *plane = job->x + row / w->out[1] / w->out[0] * w->in_size;

        for (size_t ox = 0; ox < w->out[2] && !give_up(job); ox++) {
            double sum = 0;
            size_t at;

            for (size_t t = 0; t < w->taps; t++)
                if (accel_window_tap(w, oz, oy, ox, t, &at))
                    sum += pow(fabs((double)plane[at]), (double)job->p);
            job->y[row * w->out[2] + ox] = (float)pow(sum, 1 / (double)job->p);
        }
    }
}

void accel_lppool_f32(struct accel_pool *pool, const struct accel_window *window, int64_t p,
                      const float *x, float *y)
{
    struct pool_job job = {.pool = pool, .w = accel_window3_of(window), .p = p, .x = x, .y = y};

    if (job.w.out_size > 0)
        accel_pool_run_long(pool, window->planes * job.w.out[0] * job.w.out[1],
                            GRAIN / (job.w.out[2] * job.w.taps * 16) + 1, pool_lp_range, &job);
}
