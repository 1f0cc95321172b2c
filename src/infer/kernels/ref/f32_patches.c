/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/kernels/conv.h"
#include "infer/kernels/microkernels.h"

void accel_f32_patches__ref(const void *context, size_t k0, size_t kc, size_t j0, size_t n,
                            float *packed)
{
    const struct accel_patches *p = context;
    const struct accel_conv3 *c = p->c;

    for (size_t k = 0; k < kc; k++)
        for (size_t j = 0; j < p->nr; j++) {
            const size_t tap = k0 + k, o = j0 + j;
            const size_t kx = tap % c->kernel[2], ky = tap / c->kernel[2] % c->kernel[1],
                         kz = tap / c->kernel[2] / c->kernel[1] % c->kernel[0];
            const size_t ox = o % c->out[2], oy = o / c->out[2] % c->out[1],
                         oz = o / c->out[2] / c->out[1];
            /* Wraps below 0, so one comparison sees both ends. */
            const size_t iz = oz * c->stride[0] + kz * c->dilation[0] - c->pad[0];
            const size_t iy = oy * c->stride[1] + ky * c->dilation[1] - c->pad[1];
            const size_t ix = ox * c->stride[2] + kx * c->dilation[2] - c->pad[2];
            const bool inside = j < n && iz < c->in[0] && iy < c->in[1] && ix < c->in[2];

            packed[k * p->nr + j] =
                inside ? p->x[tap / c->taps * c->in_size + (iz * c->in[1] + iy) * c->in[2] + ix]
                       : 0;
        }
}
