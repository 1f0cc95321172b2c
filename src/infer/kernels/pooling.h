/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_POOLING_H
#define ACCEL_INFER_POOLING_H

/* A pooling window brought to three spatial dimensions, and one output of it, plain. */

#include "infer/kernels/kernels.h"

struct accel_window3 {
    size_t in[3], out[3], kernel[3], stride[3], dilation[3];
    ptrdiff_t pad_begin[3], pad_end[3];
    size_t end[3]; /* taps from here on do not count: the input's end, or a window's before it */
    size_t in_size, out_size, taps;
};

static inline struct accel_window3 accel_window3_of(const struct accel_window *window)
{
    struct accel_window3 w;

    for (unsigned d = 0; d < 3; d++) {
        const unsigned skip = 3 - window->spatial;
        const bool has = d >= skip;

        w.in[d] = has ? window->in[d - skip] : 1;
        w.out[d] = has ? window->out[d - skip] : 1;
        w.kernel[d] = has ? window->kernel[d - skip] : 1;
        w.stride[d] = has ? window->stride[d - skip] : 1;
        w.dilation[d] = has ? window->dilation[d - skip] : 1;
        w.pad_begin[d] = has ? window->pad_begin[d - skip] : 0;
        w.pad_end[d] = has ? window->pad_end[d - skip] : 0;
        w.end[d] = w.in[d];
    }
    w.in_size = w.in[0] * w.in[1] * w.in[2];
    w.out_size = w.out[0] * w.out[1] * w.out[2];
    w.taps = w.kernel[0] * w.kernel[1] * w.kernel[2];
    return w;
}

/* Negative padding at the end hides what it cuts off, from those windows too that hang over it: so
 * ONNX Runtime's averages have it, not its maxima. */
static inline void accel_window3_cut(struct accel_window3 *w)
{
    for (unsigned d = 0; d < 3; d++)
        if (w->pad_end[d] < 0)
            w->end[d] -= ACCEL_MIN(w->end[d], (size_t)-w->pad_end[d]);
}

/* The index along axis d that output o's tap k lies at: from end[d] up it does not count (below 0
 * it wraps, so one comparison sees both ends). */
static inline size_t accel_window_at(const struct accel_window3 *w, unsigned d, size_t o, size_t k)
{
    return o * w->stride[d] + k * w->dilation[d] - (size_t)w->pad_begin[d];
}

/* The outputs first..last of a row whose tap lies in it, `shift` elements into the window. */
static inline void accel_window_row(const struct accel_window3 *w, size_t shift, size_t *first,
                                    size_t *last)
{
    const ptrdiff_t before = w->pad_begin[2] - (ptrdiff_t)shift;
    const ptrdiff_t room = (ptrdiff_t)w->end[2] + before; /* o * stride < room */
    const size_t stride = w->stride[2];

    *first = before <= 0 ? 0 : ((size_t)before + stride - 1) / stride;
    *last = room <= 0 ? 0 : ((size_t)room + stride - 1) / stride;
    *last = ACCEL_MIN(*last, w->out[2]);
}

/* Where tap t of output (oz, oy, ox) lies in the plane; false: in the padding. */
static inline bool accel_window_tap(const struct accel_window3 *w, size_t oz, size_t oy, size_t ox,
                                    size_t t, size_t *at)
{
    const size_t kx = t % w->kernel[2], ky = t / w->kernel[2] % w->kernel[1],
                 kz = t / w->kernel[2] / w->kernel[1];
    const size_t iz = accel_window_at(w, 0, oz, kz), iy = accel_window_at(w, 1, oy, ky),
                 ix = accel_window_at(w, 2, ox, kx);

    *at = (iz * w->in[1] + iy) * w->in[2] + ix;
    return iz < w->end[0] && iy < w->end[1] && ix < w->end[2];
}

/* com.microsoft MaxpoolWithMask: of each row of a window (along the last axis) what comes before
 * the first element whose mask is 0; -FLT_MAX where nothing is left. mask: `mask_planes` planes;
 * the mask of plane p begins at element p * plane % mask_planes, which is ONNX Runtime's
 * arithmetic. As there, the mask of a plane's first element counts in one spatial dimension only.
 */
void accel_maxpool_mask_f32(struct accel_pool *pool, const struct accel_window *window,
                            size_t mask_planes, const float *x, const int32_t *mask, float *y);

/* -INFINITY for a window that lies wholly in the padding. */
float accel_pool_max_at(const struct accel_window3 *w, const float *plane, size_t oz, size_t oy,
                        size_t ox);
/* Elements an average is taken over: those inside the input, or inside input and padding. */
size_t accel_pool_divisor(const struct accel_window3 *w, bool count_include_pad, size_t oz,
                          size_t oy, size_t ox);
float accel_pool_average_at(const struct accel_window3 *w, bool count_include_pad,
                            const float *plane, size_t oz, size_t oy, size_t ox);

#endif
