/* SPDX-License-Identifier: Apache-2.0 */
/* com.microsoft operators on images: CropAndResize, MaxpoolWithMask. */
#include "infer/kernels/geometry.h"
#include "infer/kernels/pooling.h"

#include "infer/ops/elements.h"
#include "infer/ops/spatial.h"

#include <inttypes.h>
#include <string.h>

/* ---------------------------------------------------------------- CropAndResize */

static int crop_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                      struct accel_error *err)
{
    const char *mode = accel_attr_string(n, "mode", "bilinear");

    (void)mem;
    (void)params;
    if (strcmp(mode, "bilinear") != 0 && strcmp(mode, "nearest") != 0)
        return accel_fail(err, ACCEL_E_INVALID, "mode is '%s', not bilinear or nearest", mode);
    return ACCEL_OK;
}

/* The sizes that input 3 states; open where it is not known yet. */
static int crop_size(const struct accel_infer *in, int64_t size[2], struct accel_error *err)
{
    const struct accel_shape *s = &in->in[3]->shape;
    size_t count;

    if (s->rank != 1 || (s->dims[0] >= 0 && s->dims[0] != 2))
        return accel_fail(err, ACCEL_E_INVALID, "crop_size is no list of two numbers");
    size[0] = size[1] = ACCEL_DIM_ANY;
    if (!accel_infer_ints(in, 3, size, 2, &count))
        return ACCEL_OK;
    if (size[0] < 1 || size[1] < 1)
        return accel_fail(err, ACCEL_E_INVALID,
                          "crop_size is %" PRId64 " by %" PRId64 ": both must be positive", size[0],
                          size[1]);
    return ACCEL_OK;
}

static int crop_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape, *boxes = &in->in[1]->shape;
    const struct accel_shape *image = &in->in[2]->shape;
    int64_t size[2];

    if (x->rank != 4)
        return accel_fail(err, ACCEL_E_INVALID, "an input of rank %u instead of 4", x->rank);
    if (boxes->rank != 2 || (boxes->dims[1] >= 0 && boxes->dims[1] != 4))
        return accel_fail(err, ACCEL_E_INVALID, "rois must be [num_rois, 4]");
    if (image->rank != 1 ||
        (image->dims[0] >= 0 && boxes->dims[0] >= 0 && image->dims[0] != boxes->dims[0]))
        return accel_fail(err, ACCEL_E_INVALID,
                          "batch_indices must have one number for each region");
    const int rc = crop_size(in, size, err);
    if (rc != ACCEL_OK)
        return rc;
    in->out[0]->dtype = in->in[0]->dtype;
    in->out[0]->shape =
        (struct accel_shape){.has_rank = true,
                             .rank = 4,
                             .dims = {boxes->dims[0] < 0 ? image->dims[0] : boxes->dims[0],
                                      x->dims[1], size[0], size[1]}};
    return ACCEL_OK;
}

static int crop_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0], *y = run->out[0];
    const int32_t *image = run->in[2]->data;
    const struct accel_crop_resize crop = {
        .rois = (size_t)y->dims[0],
        .channels = (size_t)y->dims[1],
        .in_h = (size_t)x->dims[2],
        .in_w = (size_t)x->dims[3],
        .out_h = (size_t)y->dims[2],
        .out_w = (size_t)y->dims[3],
        .nearest = strcmp(accel_attr_string(run->node, "mode", "bilinear"), "nearest") == 0,
        .outside = accel_attr_float(run->node, "extrapolation_value", 0)};

    for (size_t r = 0; r < crop.rois; r++)
        if (image[r] < 0 || image[r] >= x->dims[0])
            return accel_fail(err, ACCEL_E_INVALID,
                              "batch_indices[%zu] is %" PRId32 ", the batch has %" PRId64 " images",
                              r, image[r], x->dims[0]);
    if (y->size_bytes > 0)
        accel_crop_resize_f32(run->pool, &crop, x->data, run->in[1]->data, image, y->data);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- MaxpoolWithMask */

static int masked_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape, *mask = &in->in[1]->shape;
    char text[2][ACCEL_SHAPE_TEXT];
    bool fits = x->rank == mask->rank;

    /* Its images and channels may be fewer or more. */
    for (uint32_t i = 0; i < x->rank && fits; i++)
        fits = i < 2 ? mask->dims[i] != 0 || x->dims[i] == 0
                     : x->dims[i] < 0 || mask->dims[i] < 0 || x->dims[i] == mask->dims[i];
    if (!fits)
        return accel_fail(err, ACCEL_E_INVALID,
                          "an input of %s, a mask of %s: their spatial axes must agree",
                          accel_shape_format(x, text[0]), accel_shape_format(mask, text[1]));
    return accel_pool_infer(in, err);
}

static int masked_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *y = run->out[0];

    (void)err;
    if (y->size_bytes > 0)
        accel_maxpool_mask_f32(run->pool, run->state, accel_dims_product(run->in[1]->dims, 0, 2),
                               run->in[0]->data, run->in[1]->data, y->data);
    return ACCEL_OK;
}

static void masked_cost(const struct accel_prepare *prep, struct accel_cost *cost)
{
    size_t axes;
    const int64_t *kernel = accel_attr_ints(prep->node, "kernel_shape", &axes);

    for (size_t i = 0; i < axes; i++)
        cost->flops *= (double)kernel[i];
    cost->items = cost->flops;
}

/* ---------------------------------------------------------------- the entries */

#define F32 ACCEL_T(FLOAT)
#define I32 ACCEL_T(INT32)

static const struct accel_attr_rule crop_attrs[] = {
    {"mode", ACCEL_ATTR_STRING, 0}, {"extrapolation_value", ACCEL_ATTR_FLOAT, 0}, {0}};
/* storage_order is of indices, which it does not give. */
static const struct accel_attr_rule masked_attrs[] = {
    {"auto_pad", ACCEL_ATTR_STRING, 0}, {"kernel_shape", ACCEL_ATTR_INTS, ACCEL_ATTR_REQUIRED},
    {"pads", ACCEL_ATTR_INTS, 0},       {"storage_order", ACCEL_ATTR_INT, ACCEL_ATTR_IGNORED},
    {"strides", ACCEL_ATTR_INTS, 0},    {0}};

const struct accel_op accel_ops_ms_images[] = {
    {.name = "CropAndResize",
     .domain = "com.microsoft",
     .since = 1,
     .kind = ACCEL_KIND_POOL,
     .flops_per_value = 8,
     .in = {{"X", F32, 'T', 0},
            {"rois", F32, 'T', 0},
            {"batch_indices", I32, 0, 0},
            {"crop_size", I32, 0, 0}},
     .out = {{"Y", F32, 'T', 0}},
     .attrs = crop_attrs,
     .parse = crop_parse,
     .infer = crop_infer,
     .run = crop_run},
    {.name = "MaxpoolWithMask",
     .domain = "com.microsoft",
     .since = 1,
     .kind = ACCEL_KIND_POOL,
     .flops_per_value = 1,
     .in = {{"X", F32, 'T', 0}, {"M", I32, 0, 0}},
     .out = {{"Y", F32, 'T', 0}},
     .attrs = masked_attrs,
     .parse = accel_pool_parse,
     .infer = masked_infer,
     .prepare = accel_pool_prepare,
     .run = masked_run,
     .cost = masked_cost},
    {0},
};
