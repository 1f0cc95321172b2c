/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_GEOMETRY_H
#define ACCEL_INFER_GEOMETRY_H

/* Sampling images at places that are data: grids, regions of interest, deformed kernels, and the
 * inverse of pooling. Plain C, threaded over images or rows. FLOAT and DOUBLE; the functions return
 * false for another type. Coordinates come from strangers: any value, NaN included, is safe. */

#include "infer/kernels/kernels.h"

/* ---------------------------------------------------------------- GridSample, AffineGrid */

enum accel_grid_padding { ACCEL_GRID_ZEROS, ACCEL_GRID_BORDER, ACCEL_GRID_REFLECTION };

/* ONNX GridSample-22 on x [batch][channels][in...]: y [batch][channels][points] at
 * grid [batch][points][spatial], innermost axis first. Linear and cubic weights are products of
 * those per axis. */
struct accel_grid_sample {
    unsigned spatial; /* 1 to ACCEL_SPATIAL_MAX */
    size_t batch, channels, points;
    size_t in[ACCEL_SPATIAL_MAX];
    enum accel_resize_mode mode;
    enum accel_grid_padding padding;
    bool align_corners;
};
bool accel_grid_sample(struct accel_pool *pool, const struct accel_grid_sample *sample,
                       enum accel_dtype dtype, const void *x, const void *grid, void *y);

/* ONNX AffineGrid-20: theta [batch][spatial][spatial + 1] -> y [batch][out...][spatial], where
 * spatial is 2 or 3 and out[] is outermost first. */
bool accel_affine_grid(struct accel_pool *pool, unsigned spatial, size_t batch, const size_t *out,
                       bool align_corners, enum accel_dtype dtype, const void *theta, void *y);

/* ---------------------------------------------------------------- regions of interest */

/* x [batch][channels][in_h][in_w], y [rois][channels][out_h][out_w]. */
struct accel_roi {
    size_t rois, channels, in_h, in_w, out_h, out_w;
    size_t sampling_ratio; /* 0: as many samples as a bin is wide, rounded up */
    float spatial_scale;
    bool half_pixel, max;
};
/* ONNX RoiAlign-22: boxes [rois][4], image[rois] already checked against the batch. Its `max` is
 * ONNX Runtime's: the largest of the weighted neighbours, not of the interpolated samples. */
bool accel_roi_align(struct accel_pool *pool, const struct accel_roi *roi, enum accel_dtype dtype,
                     const void *x, const void *boxes, const int64_t *image, void *y);
/* ONNX MaxRoiPool-22: boxes [rois][5] beginning with the image's number, which is checked against
 * the batch: *bad is the first roi whose number is none of it (then nothing is written), or rois.
 */
bool accel_roi_max_pool(struct accel_pool *pool, const struct accel_roi *roi, size_t batch,
                        enum accel_dtype dtype, const void *x, const void *boxes, void *y,
                        size_t *bad);

/* y [rois][channels][out_h][out_w]: com.microsoft CropAndResize's corner-aligned crops of
 * x [batch][channels][in_h][in_w]. boxes [rois][4] are y1, x1, y2, x2 in parts of the image, image
 * [rois] is already checked against the batch. A point outside of the image is `outside`. */
struct accel_crop_resize {
    size_t rois, channels, in_h, in_w, out_h, out_w;
    bool nearest; /* else bilinear */
    float outside;
};
void accel_crop_resize_f32(struct accel_pool *pool, const struct accel_crop_resize *crop,
                           const float *x, const float *boxes, const int32_t *image, float *y);

/* ---------------------------------------------------------------- deformable convolution */

/* ONNX DeformConv-22 in two spatial dimensions, one image: what stands in for im2col. Fills
 * columns [cin][kernel_h * kernel_w][out_h * out_w] with the values of x [cin][in_h][in_w] at the
 * kernel's places moved by offset [offset_groups][kernel][2][out], times mask
 * [offset_groups][kernel][out] (NULL: 1). conv gives cin, in, kernel, stride, dilation, pad_begin
 * and out; cin is a multiple of offset_groups. */
bool accel_deform_columns(struct accel_pool *pool, const struct accel_conv *conv,
                          size_t offset_groups, enum accel_dtype dtype, const void *x,
                          const void *offset, const void *mask, void *columns);

#endif
