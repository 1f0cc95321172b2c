/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_OPS_SPATIAL_H
#define ACCEL_INFER_OPS_SPATIAL_H

/* The attributes that convolutions and pools share: kernel_shape, strides, pads, dilations,
 * auto_pad. The functions are in ops/common/spatial.c. */

#include "infer/kernels/kernels.h"
#include "infer/ops/op.h"

enum accel_auto_pad {
    ACCEL_PAD_NOTSET,
    ACCEL_PAD_SAME_UPPER,
    ACCEL_PAD_SAME_LOWER,
    ACCEL_PAD_VALID
};

struct accel_spatial_attrs {
    size_t kernel_count, strides_count, pads_count, dilations_count;
    int64_t kernel[ACCEL_SPATIAL_MAX], strides[ACCEL_SPATIAL_MAX];
    int64_t pads[2 * ACCEL_SPATIAL_MAX], dilations[ACCEL_SPATIAL_MAX];
    enum accel_auto_pad auto_pad;
    bool ceil_mode;
};

/* One axis: all >= 0; stride, dilation and kernel >= 1. */
struct accel_axis_window {
    enum accel_auto_pad auto_pad;
    int64_t kernel, stride, dilation, pad_begin, pad_end;
};

/* Errors: INVALID (negative or zero where that has no meaning), UNSUPPORTED (negative pads, more
 * than three spatial axes). */
int accel_spatial_parse(const struct accel_node *node, struct accel_spatial_attrs *attrs,
                        struct accel_error *err);
/* One list attribute of at most three numbers >= least. */
int accel_spatial_list(const struct accel_node *node, const char *name, int64_t least,
                       int64_t values[ACCEL_SPATIAL_MAX], size_t *count, struct accel_error *err);
/* The window of one of `spatial` axes. Errors: INVALID (a list of another length). */
int accel_spatial_axis(const struct accel_spatial_attrs *attrs, uint32_t spatial, uint32_t axis,
                       int64_t kernel, struct accel_axis_window *window, struct accel_error *err);
/* auto_pad -> pads, for an input of `in`. */
int accel_spatial_resolve(struct accel_axis_window *window, int64_t in, struct accel_error *err);
/* ConvTranspose-11: the size of the output and the pads (negative ones are refused). want: its
 * output_shape, -1 when not given. */
int accel_spatial_transposed(struct accel_axis_window *window, int64_t in, int64_t output_padding,
                             int64_t want, int64_t *out, struct accel_error *err);

/* ---------------------------------------------------------------- shared by float and quantised */

/* Rules of the attributes that every convolution has. */
#define ACCEL_CONV_ATTRS                                                    \
    {"auto_pad", ACCEL_ATTR_STRING, 0}, {"dilations", ACCEL_ATTR_INTS, 0},  \
        {"group", ACCEL_ATTR_INT, 0}, {"kernel_shape", ACCEL_ATTR_INTS, 0}, \
        {"pads", ACCEL_ATTR_INTS, 0},                                       \
    {                                                                       \
        "strides", ACCEL_ATTR_INTS, 0                                       \
    }
/* A convolution's attributes, with kernel_shape taken from W where it is left out. */
struct accel_conv_params {
    struct accel_spatial_attrs spatial;
    int64_t group;
    size_t output_padding_count, output_shape_count;
    int64_t output_padding[ACCEL_SPATIAL_MAX], output_shape[ACCEL_SPATIAL_MAX];
    struct accel_activation act; /* FusedConv's own */
};
/* parse() of every convolution: params, as accel_conv_sizes() needs them. In ops/conv.c. */
int accel_conv_parse(const struct accel_node *node, struct accel_bump *mem, const void **params,
                     struct accel_error *err);
/* Fills c (but for its batch) from shapes that are static in channels and kernel; spatial sizes of
 * x may be unknown, out[] of such an axis is ACCEL_DIM_ANY then. */
int accel_conv_sizes(const struct accel_node *node, const struct accel_shape *x,
                     const struct accel_shape *w, bool transposed, struct accel_conv *c,
                     int64_t out[ACCEL_SPATIAL_MAX], struct accel_error *err);
/* Are dimensions of w not known before the run? Then *y is what is known of the result's shape. */
bool accel_conv_unsettled(const struct accel_node *node, const struct accel_shape *x,
                          const struct accel_shape *w, bool transposed, struct accel_shape *y);
/* ConvTranspose's other callbacks; run with the inputs X, W and (it may be left out) B. */
int accel_convt_infer(struct accel_infer *in, struct accel_error *err);
int accel_convt_prepack(struct accel_prepack *pack, struct accel_error *err);
int accel_convt_prepare(struct accel_prepare *prep, struct accel_error *err);
int accel_convt_run(struct accel_run *run, struct accel_error *err);
/* Of all convolutions. */
void accel_conv_cost(const struct accel_prepare *prep, struct accel_cost *cost);
/* parse() of every pool: params for accel_pool_window(). In ops/pool.c. */
int accel_pool_parse(const struct accel_node *node, struct accel_bump *mem, const void **params,
                     struct accel_error *err);
/* Fills all but planes; an axis of x that is unknown has in and out 0. */
int accel_pool_window(const struct accel_node *node, const struct accel_shape *x,
                      struct accel_window *w, struct accel_error *err);

/* infer() and prepare() of every pool that accel_pool_parse() parsed: the output (and the indices,
 * if it has them) in the window's sizes; state: a struct accel_window. */
int accel_pool_infer(struct accel_infer *in, struct accel_error *err);
int accel_pool_prepare(struct accel_prepare *prep, struct accel_error *err);
/* infer() of the global ones: every spatial axis becomes 1. */
int accel_global_pool_infer(struct accel_infer *in, struct accel_error *err);

#endif
