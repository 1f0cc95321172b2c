/* SPDX-License-Identifier: Apache-2.0 */
/* Maximum pooling of bytes. */
#include "infer/kernels/pooling.h"

struct maxpool8_job {
    struct accel_window3 w;
    const void *x;
    void *y;
};

/* Outputs first..last of a row have tap t in the input, the first at element `at` of the plane. */
static bool tap_row(const struct accel_window3 *w, size_t oz, size_t oy, size_t t, size_t *first,
                    size_t *last, size_t *at)
{
    accel_window_row(w, t % w->kernel[2] * w->dilation[2], first, last);
    return *first < *last && accel_window_tap(w, oz, oy, *first, t, at);
}

/* Bytes without indices, a row of outputs at a time: each tap that lies in the input is a row of
 * it.
 */
#define MAXPOOL8(T, lowest)                                                                   \
    static inline void max_row_##T(T *restrict y, const T *restrict x, size_t n, size_t step) \
    {                                                                                         \
        for (size_t i = 0; step == 1 && i < n; i++)                                           \
            y[i] = y[i] > x[i] ? y[i] : x[i];                                                 \
        for (size_t i = 0; step == 2 && i < n; i++)                                           \
            y[i] = y[i] > x[2 * i] ? y[i] : x[2 * i];                                         \
        for (size_t i = 0; step > 2 && i < n; i++)                                            \
            y[i] = y[i] > x[step * i] ? y[i] : x[step * i];                                   \
    }                                                                                         \
    static void max_rows_##T(void *context, size_t begin, size_t end, unsigned thread)        \
    {                                                                                         \
        const struct maxpool8_job *job = context;                                             \
        const struct accel_window3 *w = &job->w;                                              \
                                                                                              \
        (void)thread;                                                                         \
        for (size_t row = begin; row < end; row++) {                                          \
            const size_t oy = row % w->out[1], oz = row / w->out[1] % w->out[0];              \
            const T *plane = (const T *)job->x + row / w->out[1] / w->out[0] * w->in_size;    \
            T *y = (T *)job->y + row * w->out[2];                                             \
                                                                                              \
            for (size_t o = 0; o < w->out[2]; o++)                                            \
                y[o] = lowest;                                                                \
            for (size_t t = 0; t < w->taps; t++) {                                            \
                size_t first, last, at;                                                       \
                                                                                              \
                if (tap_row(w, oz, oy, t, &first, &last, &at))                                \
                    max_row_##T(y + first, plane + at, last - first, w->stride[2]);           \
            }                                                                                 \
        }                                                                                     \
    }

MAXPOOL8(int8_t, INT8_MIN)
MAXPOOL8(uint8_t, 0)

bool accel_maxpool8(struct accel_pool *pool, enum accel_dtype dtype,
                    const struct accel_window *window, const void *x, void *y)
{
    struct maxpool8_job job = {.w = accel_window3_of(window), .x = x, .y = y};
    const size_t rows = window->planes * job.w.out[0] * job.w.out[1];
    const size_t grain = 65536 / (job.w.out[2] * job.w.taps + 1) + 1;

    if (dtype != ACCEL_DTYPE_INT8 && dtype != ACCEL_DTYPE_UINT8)
        return false;
    accel_pool_run_long(pool, rows, grain,
                        dtype == ACCEL_DTYPE_INT8 ? max_rows_int8_t : max_rows_uint8_t, &job);
    return true;
}
