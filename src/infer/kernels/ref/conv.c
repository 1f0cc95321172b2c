/* SPDX-License-Identifier: Apache-2.0 */
/* The oracles of convolution and its transpose: straight from ONNX Conv-11, ConvTranspose-11. */
#include "infer/kernels/conv.h"
#include "infer/kernels/epilogue.h"
#include "infer/kernels/microkernels.h"

#define ACTIVATE(name)                                                 \
    case ACCEL_UNARY_##name:                                           \
        accel_f32_unary_##name##__ref(n, y, y, act->alpha, act->beta); \
        break;

void accel_activate__ref(const struct accel_activation *act, size_t n, float *y)
{
    switch (act->op) {
        ACCEL_UNARY_MAP(ACTIVATE)
    case ACCEL_UNARY_COUNT:
        break;
    }
}

/* Finishes output element `at` of channel `channel`. */
static void finish(const struct accel_conv_epilogue *e, size_t channel, double v, size_t at,
                   float *y)
{
    if (e->bias != NULL)
        v += (double)e->bias[channel];
    if (e->residual != NULL)
        v += (double)e->residual[at];
    y[at] = (float)v;
    accel_activate__ref(&e->act, 1, y + at);
}

/* One output element. */
static double conv_at(const struct accel_conv3 *c, const float *x, const float *w, size_t oz,
                      size_t oy, size_t ox)
{
    const size_t plane = c->in[0] * c->in[1] * c->in[2];
    double sum = 0;

    for (size_t ci = 0; ci < c->cin_group; ci++)
        for (size_t kz = 0; kz < c->kernel[0]; kz++)
            for (size_t ky = 0; ky < c->kernel[1]; ky++)
                for (size_t kx = 0; kx < c->kernel[2]; kx++) {
                    /* Wraps below 0, so one comparison sees both ends. */
                    const size_t iz = oz * c->stride[0] + kz * c->dilation[0] - c->pad[0];
                    const size_t iy = oy * c->stride[1] + ky * c->dilation[1] - c->pad[1];
                    const size_t ix = ox * c->stride[2] + kx * c->dilation[2] - c->pad[2];
                    const size_t tap =
                        ((ci * c->kernel[0] + kz) * c->kernel[1] + ky) * c->kernel[2] + kx;

                    if (iz < c->in[0] && iy < c->in[1] && ix < c->in[2])
                        sum += (double)w[tap] *
                               (double)x[ci * plane + (iz * c->in[1] + iy) * c->in[2] + ix];
                }
    return sum;
}

void accel_conv_f32__ref(const struct accel_conv *conv, const float *x, const float *w,
                         const struct accel_conv_epilogue *e, float *y)
{
    const struct accel_conv3 c = accel_conv3_of(conv);
    const size_t in = c.in[0] * c.in[1] * c.in[2], out = c.out[0] * c.out[1] * c.out[2];
    const size_t weights = c.cin_group * c.taps;

    for (size_t b = 0; b < conv->batch; b++)
        for (size_t co = 0; co < conv->cout; co++) {
            const size_t first = co / c.cout_group * c.cin_group; /* input channel of the group */
            const float *image = x + (b * conv->cin + first) * in;

            for (size_t i = 0; i < out; i++) {
                const size_t ox = i % c.out[2], oy = i / c.out[2] % c.out[1];
                const double v =
                    conv_at(&c, image, w + co * weights, i / c.out[2] / c.out[1], oy, ox);

                finish(e, co, v, (b * conv->cout + co) * out + i, y);
            }
        }
}

/* One output element of the transpose: those inputs whose stamp covers it. */
static double convt_at(const struct accel_conv3 *c, const float *x, const float *w, size_t oz,
                       size_t oy, size_t ox)
{
    const size_t plane = c->in[0] * c->in[1] * c->in[2];
    const size_t w_step = c->cout_group * c->taps; /* from one input channel to the next */
    double sum = 0;

    for (size_t kz = 0; kz < c->kernel[0]; kz++)
        for (size_t ky = 0; ky < c->kernel[1]; ky++)
            for (size_t kx = 0; kx < c->kernel[2]; kx++) {
                const size_t tz = oz + c->pad[0] - kz * c->dilation[0];
                const size_t ty = oy + c->pad[1] - ky * c->dilation[1];
                const size_t tx = ox + c->pad[2] - kx * c->dilation[2];
                const size_t tap = (kz * c->kernel[1] + ky) * c->kernel[2] + kx;

                if (tz % c->stride[0] != 0 || ty % c->stride[1] != 0 || tx % c->stride[2] != 0 ||
                    tz > PTRDIFF_MAX || ty > PTRDIFF_MAX || tx > PTRDIFF_MAX)
                    continue;
                const size_t iz = tz / c->stride[0], iy = ty / c->stride[1], ix = tx / c->stride[2];
                if (iz >= c->in[0] || iy >= c->in[1] || ix >= c->in[2])
                    continue;
                for (size_t ci = 0; ci < c->cin_group; ci++)
                    sum += (double)w[ci * w_step + tap] *
                           (double)x[ci * plane + (iz * c->in[1] + iy) * c->in[2] + ix];
            }
    return sum;
}

void accel_convt_f32__ref(const struct accel_conv *conv, const float *x, const float *w,
                          const struct accel_conv_epilogue *e, float *y)
{
    const struct accel_conv3 c = accel_conv3_of(conv);
    const size_t in = c.in[0] * c.in[1] * c.in[2], out = c.out[0] * c.out[1] * c.out[2];

    for (size_t b = 0; b < conv->batch; b++)
        for (size_t co = 0; co < conv->cout; co++) {
            const size_t group = co / c.cout_group;
            const float *image = x + (b * conv->cin + group * c.cin_group) * in;
            const float *weights =
                w + (group * c.cin_group * c.cout_group + co % c.cout_group) * c.taps;

            for (size_t i = 0; i < out; i++) {
                const double v = convt_at(&c, image, weights, i / c.out[2] / c.out[1],
                                          i / c.out[2] % c.out[1], i % c.out[2]);

                finish(e, co, v, (b * conv->cout + co) * out + i, y);
            }
        }
}
