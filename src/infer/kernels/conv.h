/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_CONV_H
#define ACCEL_INFER_CONV_H

/* A convolution brought to three spatial dimensions (leading ones of size 1), for the drivers. */

#include "infer/kernels/kernels.h"

struct accel_conv3 {
    size_t in[3], out[3], kernel[3], stride[3], dilation[3], pad[3];
    size_t cin_group, cout_group; /* channels of one group */
    size_t taps;                  /* product of kernel */
    size_t in_size, out_size;     /* of one channel */
};

static inline struct accel_conv3 accel_conv3_of(const struct accel_conv *conv)
{
    struct accel_conv3 c = {.cin_group = conv->cin / conv->groups,
                            .cout_group = conv->cout / conv->groups};

    for (unsigned d = 0; d < 3; d++) {
        const unsigned skip = 3 - conv->spatial;

        c.in[d] = d < skip ? 1 : conv->in[d - skip];
        c.out[d] = d < skip ? 1 : conv->out[d - skip];
        c.kernel[d] = d < skip ? 1 : conv->kernel[d - skip];
        c.stride[d] = d < skip ? 1 : conv->stride[d - skip];
        c.dilation[d] = d < skip ? 1 : conv->dilation[d - skip];
        c.pad[d] = d < skip ? 0 : conv->pad_begin[d - skip];
    }
    c.taps = c.kernel[0] * c.kernel[1] * c.kernel[2];
    c.in_size = c.in[0] * c.in[1] * c.in[2];
    c.out_size = c.out[0] * c.out[1] * c.out[2];
    return c;
}

/* The input of one group of one image, seen as the matrix B[cin * taps][out_size]. */
struct accel_patches {
    const struct accel_conv3 *c;
    const float *x;
    size_t nr;
};

/* A run of columns of a panel whose windows lie side by side in one row of the input. */
struct accel_patch_run {
    size_t at, n;   /* columns of the panel */
    size_t z, y, x; /* where the window of the first begins in the input; wraps below 0 */
};

/* Cuts columns j0..j0+n of the matrix into runs of at most `longest`; returns how many. */
static inline size_t accel_patch_runs(const struct accel_conv3 *c, size_t j0, size_t n,
                                      size_t longest, struct accel_patch_run *runs)
{
    size_t count = 0, ox = j0 % c->out[2], row = j0 / c->out[2];

    for (size_t at = 0; at < n;) {
        const size_t room = ACCEL_MIN(n - at, c->out[2] - ox), length = ACCEL_MIN(room, longest);

        runs[count++] = (struct accel_patch_run){
            .at = at,
            .n = length,
            .z = row / c->out[1] * c->stride[0] - c->pad[0],
            .y = row % c->out[1] * c->stride[1] - c->pad[1],
            .x = ox * c->stride[2] - c->pad[2],
        };
        at += length;
        ox += length;
        if (ox == c->out[2]) {
            ox = 0;
            row++;
        }
    }
    return count;
}

#endif
