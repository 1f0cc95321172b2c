/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/kernels/geometry.h"

#include <math.h>

#define GRAIN 4096

struct crop_job {
    const struct accel_crop_resize *crop;
    const float *x, *boxes;
    const int32_t *image;
    float *y;
};

/* Where point i of n between the corners `from` and `to` lies, in elements of an axis of `dim`:
 * first and last lie on the corners themselves (the other may be no number), a single one in the
 * middle. Rounds as ONNX Runtime does. */
static float place_of(size_t i, size_t n, float from, float to, size_t dim)
{
    const float last = (float)((int64_t)dim - 1);

    if (n == 1)
        return (float)(0.5 * (double)(from + to) * (double)last);
    if (i == 0 || i == n - 1)
        return (i == 0 ? from : to) * last;
    return from * last + (float)i * ((to - from) * last / (float)(n - 1));
}

/* The neighbours of a place along an axis and the second one's weight; nearest: `low` alone.
 * false: outside, or no number. */
struct neighbours {
    size_t low, high;
    float weight;
};

static bool neighbours_of(float at, size_t dim, bool nearest, struct neighbours *n)
{
    if (dim == 0 || !(at >= 0 && at <= (float)(dim - 1)))
        return false;
    /* Of an axis beyond 2^24 the float may lie past the end. */
    n->low = ACCEL_MIN((size_t)(nearest ? roundf(at) : floorf(at)), dim - 1);
    n->high = ACCEL_MIN((size_t)ceilf(at), dim - 1);
    n->weight = at - (float)n->low;
    return true;
}

static float sample(const struct accel_crop_resize *c, const float *plane,
                    const struct neighbours *v, const struct neighbours *h)
{
    const float *top = plane + v->low * c->in_w, *bottom = plane + v->high * c->in_w;

    if (c->nearest)
        return top[h->low];
    const float above = top[h->low] + (top[h->high] - top[h->low]) * h->weight;
    const float below = bottom[h->low] + (bottom[h->high] - bottom[h->low]) * h->weight;
    return above + (below - above) * v->weight;
}

/* Item: one row of one region, in all channels. */
static void crop_range(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct crop_job *job = context;
    const struct accel_crop_resize *c = job->crop;
    const size_t plane = c->in_h * c->in_w, points = c->out_h * c->out_w;

    (void)thread;
    for (size_t item = begin; item < end; item++) {
        const size_t roi = item / c->out_h, row = item % c->out_h;
        const float *box = job->boxes + roi * 4;
        const float *image = job->x + (size_t)job->image[roi] * c->channels * plane;
        float *y = job->y + roi * c->channels * points + row * c->out_w;
        struct neighbours v = {0}, h = {0};
        const bool inside = neighbours_of(place_of(row, c->out_h, box[0], box[2], c->in_h), c->in_h,
                                          c->nearest, &v);

        for (size_t i = 0; i < c->out_w; i++) {
            const float at = place_of(i, c->out_w, box[1], box[3], c->in_w);
            const bool seen = inside && neighbours_of(at, c->in_w, c->nearest, &h);

            for (size_t k = 0; k < c->channels; k++)
                y[k * points + i] = seen ? sample(c, image + k * plane, &v, &h) : c->outside;
        }
    }
}

void accel_crop_resize_f32(struct accel_pool *pool, const struct accel_crop_resize *crop,
                           const float *x, const float *boxes, const int32_t *image, float *y)
{
    struct crop_job job = {.crop = crop, .x = x, .boxes = boxes, .image = image, .y = y};
    const size_t row = crop->out_w * crop->channels;

    accel_pool_run_long(pool, crop->rois * crop->out_h, row < GRAIN ? GRAIN / (row + 1) + 1 : 1,
                        crop_range, &job);
}
