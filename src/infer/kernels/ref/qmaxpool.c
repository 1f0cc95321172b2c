/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/kernels/pooling.h"
#include "infer/kernels/quant.h"

#include <string.h>

struct nhwc_job {
    struct accel_window3 w;
    size_t channels;
    bool is_signed;
    const uint8_t *x;
    uint8_t *y;
};

/* One place of the output, all its channels. INT8 is compared with the sign bit turned over. */
static void nhwc_range(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct nhwc_job *job = context;
    const struct accel_window3 *w = &job->w;
    const uint8_t flip = job->is_signed ? 0x80 : 0;

    (void)thread;
    for (size_t unit = begin; unit < end; unit++) {
        const size_t ox = unit % w->out[2], oy = unit / w->out[2] % w->out[1],
                     oz = unit / w->out[2] / w->out[1] % w->out[0];
        const uint8_t *image = job->x + unit / w->out_size * w->in_size * job->channels;
        uint8_t *y = job->y + unit * job->channels;
        size_t at;

        memset(y, flip, job->channels);
        for (size_t t = 0; t < w->taps; t++) {
            if (!accel_window_tap(w, oz, oy, ox, t, &at))
                continue;
            const uint8_t *x = image + at * job->channels;
            for (size_t c = 0; c < job->channels; c++)
                y[c] = (x[c] ^ flip) > (y[c] ^ flip) ? x[c] : y[c];
        }
    }
}

void accel_qmaxpool_nhwc(struct accel_pool *pool, const struct accel_window *window,
                         size_t channels, bool is_signed, const void *x, void *y)
{
    struct nhwc_job job = {.w = accel_window3_of(window),
                           .channels = channels,
                           .is_signed = is_signed,
                           .x = x,
                           .y = y};
    const size_t work = job.w.taps * channels + 1;

    accel_pool_run_long(pool, window->planes * job.w.out_size, 65536 / work + 1, nhwc_range, &job);
}
