/* SPDX-License-Identifier: Apache-2.0 */
/* RoiAlign and MaxRoiPool. */
#include "infer/kernels/geometry.h"
#include "infer/ops/op.h"

#include <inttypes.h>
#include <string.h>

/* Work made of nothing but an attribute. */
#define SAMPLES_MAX 1024

struct roi_params {
    int64_t out_h, out_w, sampling_ratio;
    float spatial_scale;
    bool half_pixel, max;
};

/* Until 16 there was no choice of coordinates. */
static int align_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                       struct accel_error *err)
{
    const bool old = n->op->since < 16;
    const char *mode = accel_attr_string(n, "mode", "avg");
    const char *coordinates = accel_attr_string(n, "coordinate_transformation_mode",
                                                old ? "output_half_pixel" : "half_pixel");
    struct roi_params *p = accel_bump_alloc(mem, 1, sizeof(*p));

    if (p == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its attributes");
    *params = p;
    *p = (struct roi_params){.out_h = accel_attr_int(n, "output_height", 1),
                             .out_w = accel_attr_int(n, "output_width", 1),
                             .sampling_ratio = accel_attr_int(n, "sampling_ratio", 0),
                             .spatial_scale = accel_attr_float(n, "spatial_scale", 1),
                             .half_pixel = strcmp(coordinates, "half_pixel") == 0,
                             .max = strcmp(mode, "max") == 0};
    if (!p->max && strcmp(mode, "avg") != 0)
        return accel_fail(err, ACCEL_E_INVALID, "mode is '%s'", mode);
    if (!p->half_pixel && strcmp(coordinates, "output_half_pixel") != 0)
        return accel_fail(err, ACCEL_E_INVALID, "coordinate_transformation_mode is '%s'",
                          coordinates);
    if (p->out_h < 1 || p->out_w < 1 || p->sampling_ratio < 0)
        return accel_fail(err, ACCEL_E_INVALID,
                          "an output of %" PRId64 " by %" PRId64 ", sampling_ratio %" PRId64,
                          p->out_h, p->out_w, p->sampling_ratio);
    if (p->sampling_ratio > SAMPLES_MAX)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "sampling_ratio %" PRId64 ": over %d",
                          p->sampling_ratio, SAMPLES_MAX);
    return ACCEL_OK;
}

static int max_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                     struct accel_error *err)
{
    size_t count;
    const int64_t *shape = accel_attr_ints(n, "pooled_shape", &count);
    struct roi_params *p = accel_bump_alloc(mem, 1, sizeof(*p));

    if (p == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its attributes");
    *params = p;
    if (count != 2 || shape[0] < 1 || shape[1] < 1)
        return accel_fail(err, ACCEL_E_INVALID, "pooled_shape must be two positive numbers");
    *p = (struct roi_params){.out_h = shape[0],
                             .out_w = shape[1],
                             .spatial_scale = accel_attr_float(n, "spatial_scale", 1)};
    return ACCEL_OK;
}

/* Both: an image, boxes of `columns` numbers, and RoiAlign's numbers of images. */
static int roi_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct roi_params *p = in->node->params;
    const struct accel_shape *x = &in->in[0]->shape, *boxes = &in->in[1]->shape;
    const struct accel_shape *image = in->node->inputs_count > 2 ? &in->in[2]->shape : NULL;
    const int64_t columns = image != NULL ? 4 : 5;
    int64_t rois = boxes->rank == 2 ? boxes->dims[0] : ACCEL_DIM_ANY;

    if (x->rank != 4)
        return accel_fail(err, ACCEL_E_INVALID, "an input of rank %u instead of 4", x->rank);
    if (boxes->rank != 2 || (boxes->dims[1] >= 0 && boxes->dims[1] != columns))
        return accel_fail(err, ACCEL_E_INVALID, "rois must be [num_rois, %" PRId64 "]", columns);
    if (image != NULL) {
        if (image->rank != 1 || (image->dims[0] >= 0 && rois >= 0 && image->dims[0] != rois))
            return accel_fail(err, ACCEL_E_INVALID,
                              "batch_indices must have one number for each region");
        rois = rois < 0 ? image->dims[0] : rois;
    }
    in->out[0]->dtype = in->in[0]->dtype;
    in->out[0]->shape = (struct accel_shape){
        .has_rank = true, .rank = 4, .dims = {rois, x->dims[1], p->out_h, p->out_w}};
    return ACCEL_OK;
}

static struct accel_roi roi_of(const struct accel_run *run)
{
    const struct roi_params *p = run->node->params;
    const struct accel_tensor *x = run->in[0];

    return (struct accel_roi){.rois = (size_t)run->in[1]->dims[0],
                              .channels = (size_t)x->dims[1],
                              .in_h = (size_t)x->dims[2],
                              .in_w = (size_t)x->dims[3],
                              .out_h = (size_t)p->out_h,
                              .out_w = (size_t)p->out_w,
                              .sampling_ratio = (size_t)p->sampling_ratio,
                              .spatial_scale = p->spatial_scale,
                              .half_pixel = p->half_pixel,
                              .max = p->max};
}

static int align_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_roi roi = roi_of(run);
    const int64_t *image = run->in[2]->data;

    for (size_t r = 0; r < roi.rois; r++)
        if (image[r] < 0 || image[r] >= run->in[0]->dims[0])
            return accel_fail(err, ACCEL_E_INVALID,
                              "batch_indices[%zu] is %" PRId64 ", the batch has %" PRId64 " images",
                              r, image[r], run->in[0]->dims[0]);
    if (!accel_roi_align(run->pool, &roi, run->in[0]->dtype, run->in[0]->data, run->in[1]->data,
                         image, run->out[0]->data))
        return accel_fail(err, ACCEL_E_INTERNAL, "no kernel for this type");
    return ACCEL_OK;
}

static int max_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_roi roi = roi_of(run);
    size_t bad;

    if (!accel_roi_max_pool(run->pool, &roi, (size_t)run->in[0]->dims[0], run->in[0]->dtype,
                            run->in[0]->data, run->in[1]->data, run->out[0]->data, &bad))
        return accel_fail(err, ACCEL_E_INTERNAL, "no kernel for this type");
    if (bad < roi.rois)
        return accel_fail(err, ACCEL_E_INVALID,
                          "region %zu is of an image that the batch of %" PRId64 " does not have",
                          bad, run->in[0]->dims[0]);
    return ACCEL_OK;
}

#define R ACCEL_T_FLOATS

#define ALIGN_ATTRS                                                                 \
    {"mode", ACCEL_ATTR_STRING, 0}, {"output_height", ACCEL_ATTR_INT, 0},           \
        {"output_width", ACCEL_ATTR_INT, 0}, {"sampling_ratio", ACCEL_ATTR_INT, 0}, \
    {                                                                               \
        "spatial_scale", ACCEL_ATTR_FLOAT, 0                                        \
    }

static const struct accel_attr_rule align10_attrs[] = {ALIGN_ATTRS, {0}};
static const struct accel_attr_rule align16_attrs[] = {
    ALIGN_ATTRS, {"coordinate_transformation_mode", ACCEL_ATTR_STRING, 0}, {0}};
static const struct accel_attr_rule max_attrs[] = {{"pooled_shape", ACCEL_ATTR_INTS,
                                                    ACCEL_ATTR_REQUIRED},
                                                   {"spatial_scale", ACCEL_ATTR_FLOAT, 0},
                                                   {0}};

#define ROI_ALIGN(version, rules)                                                               \
    {                                                                                           \
        .name = "RoiAlign", .domain = "", .since = version, .kind = ACCEL_KIND_POOL,            \
        .flops_per_value = 32,                                                                  \
        .in = {{"X", R, 'T', 0}, {"rois", R, 'T', 0}, {"batch_indices", ACCEL_T(INT64), 0, 0}}, \
        .out = {{"Y", R, 'T', 0}}, .attrs = rules, .parse = align_parse, .infer = roi_infer,    \
        .run = align_run                                                                        \
    }

const struct accel_op accel_ops_roi[] = {
    ROI_ALIGN(10, align10_attrs),
    ROI_ALIGN(16, align16_attrs),
    {.name = "MaxRoiPool",
     .domain = "",
     .since = 1,
     .kind = ACCEL_KIND_POOL,
     .flops_per_value = 8,
     .in = {{"X", R, 'T', 0}, {"rois", R, 'T', 0}},
     .out = {{"Y", R, 'T', 0}},
     .attrs = max_attrs,
     .parse = max_parse,
     .infer = roi_infer,
     .run = max_run},
    {0},
};
