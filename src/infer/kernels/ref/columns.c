/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/kernels/columns.h"

#include <string.h>

/* Where step `step` of tap `tap` lies in the image; SIZE_MAX: in the padding. */
static size_t pixel_of(const struct accel_columns *c, size_t tap, size_t step)
{
    size_t at = 0, scale = 1;

    for (unsigned d = c->spatial; d-- > 0;) {
        const size_t i = step % c->steps[d] * c->stride[d] + tap % c->kernel[d] * c->dilation[d];

        if (i < c->pad_begin[d] || i - c->pad_begin[d] >= c->image[d])
            return SIZE_MAX;
        at += (i - c->pad_begin[d]) * scale;
        scale *= c->image[d];
        step /= c->steps[d];
        tap /= c->kernel[d];
    }
    return at;
}

/* The address of each element is found once and serves all planes. */
#define ADD(T)                                                                                \
    for (size_t p = 0; p < c->planes; p++)                                                    \
        ((T *)y)[p * pixels + at] =                                                           \
            (T)(((T *)y)[p * pixels + at] + ((const T *)x)[(p * taps + tap) * steps + step]); \
    break

static bool add_all(const struct accel_columns *c, enum accel_dtype dtype, size_t taps,
                    size_t steps, size_t pixels, const void *x, void *y)
{
    for (size_t tap = 0; tap < taps; tap++) {
        for (size_t step = 0; step < steps; step++) {
            const size_t at = pixel_of(c, tap, step);

            if (at == SIZE_MAX)
                continue;
            switch (dtype) {
            case ACCEL_DTYPE_FLOAT:
                ADD(float);
            case ACCEL_DTYPE_DOUBLE:
                ADD(double);
            case ACCEL_DTYPE_INT8:
            case ACCEL_DTYPE_UINT8:
                ADD(uint8_t);
            case ACCEL_DTYPE_INT16:
            case ACCEL_DTYPE_UINT16:
                ADD(uint16_t);
            case ACCEL_DTYPE_INT32:
            case ACCEL_DTYPE_UINT32:
                ADD(uint32_t);
            case ACCEL_DTYPE_INT64:
            case ACCEL_DTYPE_UINT64:
                ADD(uint64_t);
            default:
                return false;
            }
        }
    }
    return true;
}

bool accel_columns_to_image(const struct accel_columns *c, enum accel_dtype dtype, const void *x,
                            void *y)
{
    size_t taps = 1, steps = 1, pixels = 1;

    for (unsigned d = 0; d < c->spatial; d++) {
        taps *= c->kernel[d];
        steps *= c->steps[d];
        pixels *= c->image[d];
    }
    if (c->planes * pixels == 0)
        return true;
    memset(y, 0, c->planes * pixels * accel_dtype_size(dtype));
    return add_all(c, dtype, taps, steps, pixels, x, y);
}
