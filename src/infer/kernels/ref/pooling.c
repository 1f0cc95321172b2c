/* SPDX-License-Identifier: Apache-2.0 */
/* The oracles of pooling: ONNX MaxPool-12, AveragePool-19. */
#include "infer/kernels/pooling.h"

#include <math.h>

float accel_pool_max_at(const struct accel_window3 *w, const float *plane, size_t oz, size_t oy,
                        size_t ox)
{
    float max = -INFINITY;
    size_t at;

    for (size_t t = 0; t < w->taps; t++)
        if (accel_window_tap(w, oz, oy, ox, t, &at))
            max = max != max || max >= plane[at] ? max : plane[at];
    return max;
}

/* How many taps of one axis count: those before the end of what the axis holds. */
static size_t axis_taps(const struct accel_window3 *w, unsigned d, bool padding, size_t o)
{
    const ptrdiff_t begin = padding ? 0 : w->pad_begin[d];
    const ptrdiff_t after = padding ? ACCEL_MAX(w->pad_end[d], 0) : 0;
    const ptrdiff_t end = w->pad_begin[d] + (ptrdiff_t)w->end[d] + after;
    size_t n = 0;

    for (size_t k = 0; k < w->kernel[d]; k++) {
        /* From the padding's begin. */
        const ptrdiff_t at = (ptrdiff_t)(o * w->stride[d] + k * w->dilation[d]);

        n += at >= begin && at < end;
    }
    return n;
}

size_t accel_pool_divisor(const struct accel_window3 *w, bool count_include_pad, size_t oz,
                          size_t oy, size_t ox)
{
    return axis_taps(w, 0, count_include_pad, oz) * axis_taps(w, 1, count_include_pad, oy) *
           axis_taps(w, 2, count_include_pad, ox);
}

float accel_pool_average_at(const struct accel_window3 *w, bool count_include_pad,
                            const float *plane, size_t oz, size_t oy, size_t ox)
{
    const size_t divisor = accel_pool_divisor(w, count_include_pad, oz, oy, ox);
    double sum = 0;
    size_t at;

    for (size_t t = 0; t < w->taps; t++)
        if (accel_window_tap(w, oz, oy, ox, t, &at))
            sum += (double)plane[at];
    return divisor > 0 ? (float)(sum / (double)divisor) : 0; /* as ONNX Runtime: nothing is 0 */
}

void accel_avgpool_f32__ref(const struct accel_window *window, bool count_include_pad,
                            const float *x, float *y)
{
    struct accel_window3 w = accel_window3_of(window);

    accel_window3_cut(&w);
    for (size_t p = 0; p < window->planes; p++)
        for (size_t o = 0; o < w.out_size; o++)
            y[p * w.out_size + o] = accel_pool_average_at(&w, count_include_pad, x + p * w.in_size,
                                                          o / w.out[2] / w.out[1],
                                                          o / w.out[2] % w.out[1], o % w.out[2]);
}

/* storage_order 1: the plane's last axis counts fastest in row-major; here its first. */
static int64_t index_of(const struct accel_window3 *w, size_t plane, size_t at, bool column_major)
{
    const size_t ix = at % w->in[2], iy = at / w->in[2] % w->in[1], iz = at / w->in[2] / w->in[1];

    if (column_major)
        at = iz + w->in[0] * (iy + w->in[1] * ix);
    return (int64_t)(plane * w->in_size + at);
}

/* So many taps are worth a thread's while. */
#define GRAIN 16384

struct max_job {
    struct accel_window3 w;
    const void *x;
    void *y;
    int64_t *indices;
    bool column_major;
};

#define MAXPOOL(NAME, T, lowest)                                                                   \
    static void maxpool_##NAME(void *context, size_t begin, size_t end, unsigned thread)           \
    {                                                                                              \
        const struct max_job *job = context;                                                       \
        const struct accel_window3 *w = &job->w;                                                   \
                                                                                                   \
        (void)thread;                                                                              \
        for (size_t i = begin; i < end; i++) {                                                     \
            const size_t p = i / w->out_size, o = i % w->out_size;                                 \
            const T *plane = (const T *)job->x + p * w->in_size;                                   \
            T max = lowest;                                                                        \
            size_t best = SIZE_MAX, at;                                                            \
            for (size_t t = 0; t < w->taps; t++)                                                   \
                if (accel_window_tap(w, o / w->out[2] / w->out[1], o / w->out[2] % w->out[1],      \
                                     o % w->out[2], t, &at) &&                                     \
                    (best == SIZE_MAX || (max == max && !(max >= plane[at])))) {                   \
                    max = plane[at];                                                               \
                    best = at;                                                                     \
                }                                                                                  \
            ((T *)job->y)[i] = max;                                                                \
            if (job->indices != NULL)                                                              \
                job->indices[i] = best == SIZE_MAX ? -1 : index_of(w, p, best, job->column_major); \
        }                                                                                          \
    }

MAXPOOL(float, float, -INFINITY)
MAXPOOL(double, double, -HUGE_VAL)
MAXPOOL(int8_t, int8_t, INT8_MIN)
MAXPOOL(uint8_t, uint8_t, 0)
MAXPOOL(int16_t, int16_t, INT16_MIN)
MAXPOOL(uint16_t, uint16_t, 0)
MAXPOOL(int32_t, int32_t, INT32_MIN)
MAXPOOL(uint32_t, uint32_t, 0)
MAXPOOL(int64_t, int64_t, INT64_MIN)
MAXPOOL(uint64_t, uint64_t, 0)

#define CASE(NAME, T)        \
    case ACCEL_DTYPE_##NAME: \
        return maxpool_##T;

static accel_range_fn *max_of(enum accel_dtype dtype)
{
    switch (dtype) {
        CASE(FLOAT, float)
        CASE(DOUBLE, double)
        CASE(INT8, int8_t)
        CASE(UINT8, uint8_t)
        CASE(INT16, int16_t)
        CASE(UINT16, uint16_t)
        CASE(INT32, int32_t)
        CASE(UINT32, uint32_t)
        CASE(INT64, int64_t)
        CASE(UINT64, uint64_t)
    default:
        return NULL;
    }
}

bool accel_maxpool_any(struct accel_pool *pool, enum accel_dtype dtype,
                       const struct accel_window *window, const void *x, void *y, int64_t *indices,
                       bool column_major)
{
    struct max_job job = {.w = accel_window3_of(window),
                          .x = x,
                          .y = y,
                          .indices = indices,
                          .column_major = column_major};
    accel_range_fn *range = max_of(dtype);

    if (range != NULL)
        accel_pool_run_long(pool, window->planes * job.w.out_size, GRAIN / (job.w.taps + 1) + 1,
                            range, &job);
    return range != NULL;
}
