/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/kernels/pooling.h"

#include <float.h>

#define GRAIN 16384

struct mask_job {
    struct accel_window3 w;
    bool line; /* one spatial dimension */
    size_t mask_planes;
    const float *x;
    const int32_t *mask;
    float *y;
};

/* Where a window of axis d begins and ends inside the input. */
static void extent(const struct accel_window3 *w, unsigned d, size_t out, size_t *from, size_t *end)
{
    const ptrdiff_t at = (ptrdiff_t)(out * w->stride[d]) - w->pad_begin[d];
    const ptrdiff_t after = at + (ptrdiff_t)w->kernel[d];

    *from = at > 0 ? (size_t)at : 0;
    *end = after > 0 ? ACCEL_MIN((size_t)after, w->in[d]) : 0;
}

static float masked_max(const struct mask_job *job, const float *x, const int32_t *mask,
                        const size_t out[3])
{
    const struct accel_window3 *w = &job->w;
    size_t from[3], end[3];
    float best = -FLT_MAX;

    for (unsigned d = 0; d < 3; d++)
        extent(w, d, out[d], &from[d], &end[d]);
    for (size_t i = from[0]; i < end[0]; i++)
        for (size_t j = from[1]; j < end[1]; j++) {
            const size_t row = (i * w->in[1] + j) * w->in[2];

            for (size_t k = row + from[2]; k < row + end[2]; k++) {
                if ((k > 0 || job->line) && mask[k] == 0)
                    break;
                best = x[k] > best ? x[k] : best;
            }
        }
    return best;
}

static void mask_range(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct mask_job *job = context;
    const struct accel_window3 *w = &job->w;

    (void)thread;
    for (size_t item = begin; item < end; item++) {
        const size_t plane = item / w->out_size, at = item % w->out_size;
        const size_t first = plane * w->in_size;
        const size_t out[3] = {at / w->out[2] / w->out[1], at / w->out[2] % w->out[1],
                               at % w->out[2]};

        job->y[item] = masked_max(job, job->x + first, job->mask + first % job->mask_planes, out);
    }
}

void accel_maxpool_mask_f32(struct accel_pool *pool, const struct accel_window *window,
                            size_t mask_planes, const float *x, const int32_t *mask, float *y)
{
    struct mask_job job = {.w = accel_window3_of(window),
                           .line = window->spatial == 1,
                           .mask_planes = mask_planes,
                           .x = x,
                           .mask = mask,
                           .y = y};

    accel_pool_run_long(pool, window->planes * job.w.out_size, GRAIN / (job.w.taps + 1) + 1,
                        mask_range, &job);
}
