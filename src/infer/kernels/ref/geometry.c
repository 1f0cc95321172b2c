/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/kernels/geometry.h"

#include <float.h>
#include <math.h>

#define GRAIN 4096

struct grid_job {
    const struct accel_grid_sample *sample;
    const void *x, *grid;
    void *y;
};
struct affine_job {
    unsigned spatial;
    const size_t *out;
    bool align_corners;
    const void *theta;
    void *y;
};
struct roi_job {
    const struct accel_pool *pool;
    const struct accel_roi *roi;
    const void *x, *boxes;
    const int64_t *image;
    void *y;
};
struct deform_job {
    const struct accel_conv *conv;
    size_t groups;
    const void *x, *offset, *mask;
    void *columns;
};

/* Of a bin so large that it is worth asking: shall it be left undone? */
static bool give_up(const struct roi_job *job, size_t rows, size_t columns)
{
    return rows > 1024 / (columns + 1) && accel_pool_stopped(job->pool);
}

#define T         float
#define NAME(x)   x##_f32
#define FLOOR     floorf
#define CEIL      ceilf
#define FMOD      fmodf
#define ROUND     roundf
#define NEARBYINT nearbyintf
#define LOWEST    -FLT_MAX
#include "infer/kernels/ref/geometry_template.h"
#undef T
#undef NAME
#undef FLOOR
#undef CEIL
#undef FMOD
#undef ROUND
#undef NEARBYINT
#undef LOWEST
#define T         double
#define NAME(x)   x##_f64
#define FLOOR     floor
#define CEIL      ceil
#define FMOD      fmod
#define ROUND     round
#define NEARBYINT nearbyint
#define LOWEST    -DBL_MAX
#include "infer/kernels/ref/geometry_template.h"

/* Runs the loop of the type over `count` units of about `work` operations each. */
static bool run_typed(struct accel_pool *pool, enum accel_dtype dtype, size_t count, size_t work,
                      accel_range_fn *f32, accel_range_fn *f64, void *job)
{
    if (dtype != ACCEL_DTYPE_FLOAT && dtype != ACCEL_DTYPE_DOUBLE)
        return false;
    if (count > 0)
        accel_pool_run_long(pool, count, GRAIN / ACCEL_MIN(work + 1, (size_t)GRAIN),
                            dtype == ACCEL_DTYPE_FLOAT ? f32 : f64, job);
    return true;
}

bool accel_grid_sample(struct accel_pool *pool, const struct accel_grid_sample *sample,
                       enum accel_dtype dtype, const void *x, const void *grid, void *y)
{
    struct grid_job job = {.sample = sample, .x = x, .grid = grid, .y = y};

    return run_typed(pool, dtype, sample->batch * sample->points, 8 * sample->channels,
                     grid_range_f32, grid_range_f64, &job);
}

bool accel_affine_grid(struct accel_pool *pool, unsigned spatial, size_t batch, const size_t *out,
                       bool align_corners, enum accel_dtype dtype, const void *theta, void *y)
{
    struct affine_job job = {
        .spatial = spatial, .out = out, .align_corners = align_corners, .theta = theta, .y = y};

    for (unsigned i = 0; i < spatial; i++)
        batch *= out[i];
    return run_typed(pool, dtype, batch, 16, affine_range_f32, affine_range_f64, &job);
}

bool accel_roi_align(struct accel_pool *pool, const struct accel_roi *roi, enum accel_dtype dtype,
                     const void *x, const void *boxes, const int64_t *image, void *y)
{
    struct roi_job job = {.pool = pool, .roi = roi, .x = x, .boxes = boxes, .image = image, .y = y};

    return run_typed(pool, dtype, roi->rois * roi->channels, roi->out_h * roi->out_w * 64,
                     align_range_f32, align_range_f64, &job);
}

bool accel_roi_max_pool(struct accel_pool *pool, const struct accel_roi *roi, size_t batch,
                        enum accel_dtype dtype, const void *x, const void *boxes, void *y,
                        size_t *bad)
{
    struct roi_job job = {.pool = pool, .roi = roi, .x = x, .boxes = boxes, .y = y};

    *bad = dtype == ACCEL_DTYPE_DOUBLE ? first_bad_f64(roi->rois, batch, boxes)
                                       : first_bad_f32(roi->rois, batch, boxes);
    return run_typed(pool, dtype, *bad == roi->rois ? roi->rois * roi->channels : 0,
                     roi->in_h * roi->in_w, roi_max_range_f32, roi_max_range_f64, &job);
}

bool accel_deform_columns(struct accel_pool *pool, const struct accel_conv *conv,
                          size_t offset_groups, enum accel_dtype dtype, const void *x,
                          const void *offset, const void *mask, void *columns)
{
    struct deform_job job = {.conv = conv,
                             .groups = offset_groups,
                             .x = x,
                             .offset = offset,
                             .mask = mask,
                             .columns = columns};

    return run_typed(pool, dtype, conv->cin * conv->kernel[0] * conv->kernel[1],
                     conv->out[0] * conv->out[1] * 8, deform_range_f32, deform_range_f64, &job);
}
