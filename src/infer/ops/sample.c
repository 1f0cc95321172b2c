/* SPDX-License-Identifier: Apache-2.0 */
/* GridSample and AffineGrid. */
#include "infer/kernels/geometry.h"
#include "infer/ops/op.h"

#include <inttypes.h>
#include <string.h>

struct grid_params {
    enum accel_resize_mode mode;
    enum accel_grid_padding padding;
    bool align_corners;
};

/* Index of the attribute's value among `count` words. */
static int word_of(const struct accel_node *n, const char *attr, const char *otherwise,
                   const char *const *words, size_t count, size_t *index, struct accel_error *err)
{
    const char *value = accel_attr_string(n, attr, otherwise);

    for (*index = 0; *index < count; ++*index)
        if (strcmp(words[*index], value) == 0)
            return ACCEL_OK;
    return accel_fail(err, ACCEL_E_INVALID, "%s is '%s'", attr, value);
}

/* Since 20 the modes have the names that fit any number of axes. */
static int grid_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                      struct accel_error *err)
{
    static const char *const old_modes[] = {"nearest", "bilinear", "bicubic"};
    static const char *const modes[] = {"nearest", "linear", "cubic"};
    static const char *const paddings[] = {"zeros", "border", "reflection"};
    const bool old = n->op->since < 20;
    struct grid_params *p = accel_bump_alloc(mem, 1, sizeof(*p));
    size_t mode, padding;

    if (p == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its attributes");
    *params = p;
    int rc =
        word_of(n, "mode", old ? "bilinear" : "linear", old ? old_modes : modes, 3, &mode, err);
    if (rc == ACCEL_OK)
        rc = word_of(n, "padding_mode", "zeros", paddings, 3, &padding, err);
    if (rc != ACCEL_OK)
        return rc;
    *p = (struct grid_params){.mode = (enum accel_resize_mode)mode,
                              .padding = (enum accel_grid_padding)padding,
                              .align_corners = accel_attr_int(n, "align_corners", 0) != 0};
    return ACCEL_OK;
}

static bool differ(int64_t a, int64_t b)
{
    return a >= 0 && b >= 0 && a != b;
}

static int grid_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape, *grid = &in->in[1]->shape;
    struct accel_shape *y = &in->out[0]->shape;
    const uint32_t spatial = x->rank - 2;

    if (in->in[0]->dtype != in->in[1]->dtype)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "an image of %s with a grid of %s",
                          accel_dtype_name(in->in[0]->dtype), accel_dtype_name(in->in[1]->dtype));
    if (x->rank < 3 || spatial > ACCEL_SPATIAL_MAX || grid->rank != x->rank)
        return accel_fail(
            err, grid->rank != x->rank || x->rank < 3 ? ACCEL_E_INVALID : ACCEL_E_UNSUPPORTED,
            "an input of rank %u with a grid of rank %u", x->rank, grid->rank);
    if (differ(x->dims[0], grid->dims[0]) || differ(grid->dims[x->rank - 1], spatial))
        return accel_fail(err, ACCEL_E_INVALID,
                          "the grid must be [batch, %u sizes, %u]: its batch or its last dimension "
                          "is another",
                          spatial, spatial);
    in->out[0]->dtype = in->in[0]->dtype;
    *y = *x;
    if (y->dims[0] < 0)
        y->dims[0] = grid->dims[0];
    for (uint32_t i = 0; i < spatial; i++)
        y->dims[2 + i] = grid->dims[1 + i];
    return ACCEL_OK;
}

static int grid_run(struct accel_run *run, struct accel_error *err)
{
    const struct grid_params *p = run->node->params;
    const struct accel_tensor *x = run->in[0], *y = run->out[0];
    struct accel_grid_sample s = {.spatial = x->rank - 2,
                                  .batch = (size_t)x->dims[0],
                                  .channels = (size_t)x->dims[1],
                                  .points = accel_dims_product(y->dims, 2, y->rank),
                                  .mode = p->mode,
                                  .padding = p->padding,
                                  .align_corners = p->align_corners};

    for (unsigned i = 0; i < s.spatial; i++)
        s.in[i] = (size_t)x->dims[2 + i];
    if (y->size_bytes > 0 &&
        !accel_grid_sample(run->pool, &s, x->dtype, x->data, run->in[1]->data, y->data))
        return accel_fail(err, ACCEL_E_INTERNAL, "no kernel for this type");
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- AffineGrid */

static int affine_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *theta = &in->in[0]->shape, *size = &in->in[1]->shape;
    struct accel_shape *y = &in->out[0]->shape;
    int64_t sizes[ACCEL_SPATIAL_MAX + 2];
    size_t count;
    int64_t spatial = ACCEL_DIM_ANY;

    in->out[0]->dtype = in->in[0]->dtype;
    if (theta->rank != 3 || size->rank != 1)
        return accel_fail(err, ACCEL_E_INVALID, "theta of rank %u, size of rank %u", theta->rank,
                          size->rank);
    if (size->dims[0] >= 0)
        spatial = size->dims[0] - 2;
    else if (theta->dims[1] >= 0)
        spatial = theta->dims[1];
    if (spatial == ACCEL_DIM_ANY)
        return ACCEL_OK;
    if (spatial < 2 || spatial > 3 || differ(theta->dims[1], spatial) ||
        differ(theta->dims[2], spatial + 1))
        return accel_fail(err, ACCEL_E_INVALID,
                          "theta must be [N, 2, 3] with a size of 4 numbers, or [N, 3, 4] with 5");
    *y = (struct accel_shape){.has_rank = true, .rank = (uint32_t)spatial + 2};
    for (uint32_t i = 0; i <= (uint32_t)spatial; i++)
        y->dims[i] = ACCEL_DIM_ANY;
    y->dims[0] = theta->dims[0];
    y->dims[spatial + 1] = spatial;
    if (!accel_infer_ints(in, 1, sizes, ACCEL_COUNT(sizes), &count))
        return ACCEL_OK;
    for (size_t i = 0; i < count; i++)
        if (sizes[i] < (i < 2 ? 0 : 1))
            return accel_fail(err, ACCEL_E_INVALID, "size has an entry of %" PRId64, sizes[i]);
    if (differ(theta->dims[0], sizes[0]))
        return accel_fail(err, ACCEL_E_INVALID,
                          "theta is for %" PRId64 " images, size for %" PRId64, theta->dims[0],
                          sizes[0]);
    for (uint32_t i = 0; i < (uint32_t)spatial; i++)
        y->dims[1 + i] = sizes[2 + i];
    y->dims[0] = sizes[0];
    return ACCEL_OK;
}

static int affine_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *y = run->out[0];
    size_t out[ACCEL_SPATIAL_MAX];

    for (uint32_t i = 0; i + 2 < y->rank; i++)
        out[i] = (size_t)y->dims[1 + i];
    if (y->size_bytes > 0 && !accel_affine_grid(run->pool, y->rank - 2, (size_t)y->dims[0], out,
                                                accel_attr_int(run->node, "align_corners", 0) != 0,
                                                y->dtype, run->in[0]->data, y->data))
        return accel_fail(err, ACCEL_E_INTERNAL, "no kernel for this type");
    return ACCEL_OK;
}

#define R ACCEL_T_FLOATS

static const struct accel_attr_rule grid_attrs[] = {{"align_corners", ACCEL_ATTR_INT, 0},
                                                    {"mode", ACCEL_ATTR_STRING, 0},
                                                    {"padding_mode", ACCEL_ATTR_STRING, 0},
                                                    {0}};
static const struct accel_attr_rule affine_attrs[] = {{"align_corners", ACCEL_ATTR_INT, 0}, {0}};

#define GRID_SAMPLE(dom, version)                                                                 \
    {                                                                                             \
        .name = "GridSample", .domain = dom, .since = version, .kind = ACCEL_KIND_MOVE,           \
        .flops_per_value = 10, .in = {{"X", R, 'T', 0}, {"grid", R, 0, 0}},                       \
        .out = {{"Y", R, 'T', 0}}, .attrs = grid_attrs, .parse = grid_parse, .infer = grid_infer, \
        .run = grid_run                                                                           \
    }

const struct accel_op accel_ops_sample[] = {
    GRID_SAMPLE("", 16),
    GRID_SAMPLE("", 20),
    GRID_SAMPLE("com.microsoft", 1),
    {.name = "AffineGrid",
     .domain = "",
     .since = 20,
     .kind = ACCEL_KIND_ELEMENTWISE,
     .flops_per_value = 6,
     .in = {{"theta", R, 'T', 0}, {"size", ACCEL_T(INT64), 0, 0}},
     .out = {{"grid", R, 'T', 0}},
     .attrs = affine_attrs,
     .infer = affine_infer,
     .run = affine_run},
    {0},
};
