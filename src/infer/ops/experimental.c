/* SPDX-License-Identifier: Apache-2.0 */
/* Experimental operators that ai.onnx dropped with version 10 and ONNX Runtime still runs for
 * models of older versions: Affine, Scale, ScaledTanh, ParametricSoftplus, ImageScaler, Crop.
 * DynamicSlice is in slice.c. Defaults and limits are ONNX Runtime's. */
#include "infer/ops/elements.h"

#include <inttypes.h>
#include <string.h>

/* ---------------------------------------------------------------- y = scale * f(before * x) +
 * offset */

struct scaled_params {
    enum accel_unary_op op;
    bool adds;
    float before, scale, offset;
};

static const struct {
    const char *name;
    enum accel_unary_op op;
    const char *before, *scale, *offset; /* attributes; NULL: not there */
} scaled[] = {
    {"Affine", ACCEL_UNARY_IDENTITY, NULL, "alpha", "beta"},
    {"Scale", ACCEL_UNARY_IDENTITY, NULL, "scale", NULL},
    {"ScaledTanh", ACCEL_UNARY_TANH, "beta", "alpha", NULL},
    {"ParametricSoftplus", ACCEL_UNARY_SOFTPLUS, "beta", "alpha", NULL},
};

static int scaled_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                        struct accel_error *err)
{
    struct scaled_params *p = accel_bump_alloc(mem, 1, sizeof(*p));
    size_t i = 0;

    if (p == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its attributes");
    *params = p;
    while (strcmp(scaled[i].name, n->op_type) != 0)
        i++;
    *p = (struct scaled_params){.op = scaled[i].op,
                                .adds = scaled[i].offset != NULL,
                                .before = 1,
                                .scale = accel_attr_float(n, scaled[i].scale, 1)};
    if (scaled[i].before != NULL)
        p->before = accel_attr_float(n, scaled[i].before, 1);
    if (p->adds)
        p->offset = accel_attr_float(n, scaled[i].offset, 0);
    return ACCEL_OK;
}

/* y = x op one number; in place when y is x. */
static void by_number(const struct accel_run *run, enum accel_binary_op op, const void *x,
                      float number, const struct accel_tensor *y)
{
    const struct accel_nd nd = {.rank = 1, .dims = {accel_elements(y)}, .stride = {{1}, {0}}};

    accel_binary_f32(run, op, &nd, x, &number, y->data);
}

static int scaled_run(struct accel_run *run, struct accel_error *err)
{
    const struct scaled_params *p = run->node->params;
    const struct accel_tensor *y = run->out[0];
    const void *x = run->in[0]->data;

    (void)err;
    if (p->op != ACCEL_UNARY_IDENTITY) {
        by_number(run, ACCEL_BINARY_MUL, x, p->before, y);
        accel_unary(run->kernels, run->pool, p->op, 0, 0, ACCEL_DTYPE_FLOAT, accel_elements(y),
                    y->data, y->data);
        x = y->data;
    }
    by_number(run, ACCEL_BINARY_MUL, x, p->scale, y);
    if (p->adds)
        by_number(run, ACCEL_BINARY_ADD, y->data, p->offset, y);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- ImageScaler */

static int image_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape;
    size_t channels;

    accel_attr_floats(in->node, "bias", &channels);
    if (x->rank != 4)
        return accel_fail(err, ACCEL_E_INVALID, "an input of rank %u instead of 4 (NCHW)", x->rank);
    if (x->dims[1] >= 0 && (size_t)x->dims[1] != channels)
        return accel_fail(err, ACCEL_E_INVALID,
                          "bias has %zu entries, the image %" PRId64 " channels", channels,
                          x->dims[1]);
    return accel_infer_same(in, err);
}

static int image_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *y = run->out[0];
    size_t channels;
    const float *bias = accel_attr_floats(run->node, "bias", &channels);
    const struct accel_nd nd = {.rank = 3,
                                .dims = {(size_t)y->dims[0], channels,
                                         accel_dims_product(y->dims, 2, 4)},
                                .stride = {{(ptrdiff_t)accel_dims_product(y->dims, 1, 4),
                                            (ptrdiff_t)accel_dims_product(y->dims, 2, 4), 1},
                                           {0, 1, 0}}};

    (void)err;
    if (y->size_bytes == 0)
        return ACCEL_OK;
    by_number(run, ACCEL_BINARY_MUL, run->in[0]->data, accel_attr_float(run->node, "scale", 1), y);
    accel_binary_f32(run, ACCEL_BINARY_ADD, &nd, y->data, bias, y->data);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- Crop */

enum { LEFT, TOP, RIGHT, BOTTOM };

static int crop_list(const struct accel_node *n, const char *name, size_t want,
                     struct accel_error *err)
{
    size_t count;
    const int64_t *list = accel_attr_ints(n, name, &count);

    if (count != want)
        return accel_fail(err, ACCEL_E_INVALID, "%s has %zu entries instead of %zu", name, count,
                          want);
    for (size_t i = 0; i < count; i++)
        if (list[i] < 0)
            return accel_fail(err, ACCEL_E_INVALID, "%s[%zu] is negative (%" PRId64 ")", name, i,
                              list[i]);
    return ACCEL_OK;
}

static int crop_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                      struct accel_error *err)
{
    const int rc = crop_list(n, "border", 4, err);

    (void)mem;
    (void)params;
    return rc != ACCEL_OK || accel_attr(n, "scale") == NULL ? rc : crop_list(n, "scale", 2, err);
}

/* What stays of the axis of `dim` (may be unknown) elements after the first `from`. */
static int crop_axis(const struct accel_node *n, int axis, int64_t dim, int64_t *left,
                     struct accel_error *err)
{
    size_t count;
    const int64_t *border = accel_attr_ints(n, "border", &count);
    const int64_t *scale = accel_attr_ints(n, "scale", &count);
    const int64_t from = border[axis == 0 ? TOP : LEFT];
    const int64_t end = scale != NULL ? scale[axis] : border[axis == 0 ? BOTTOM : RIGHT];

    *left = scale != NULL ? end : ACCEL_DIM_ANY;
    if (dim < 0)
        return ACCEL_OK;
    if (from > dim || end > dim - from)
        return accel_fail(err, ACCEL_E_INVALID,
                          "a %s of %" PRId64 " after a border of %" PRId64
                          " exceeds the image's %s of %" PRId64,
                          scale != NULL ? "size" : "border", end, from,
                          axis == 0 ? "height" : "width", dim);
    *left = scale != NULL ? end : dim - from - end;
    return ACCEL_OK;
}

static int crop_infer(struct accel_infer *in, struct accel_error *err)
{
    struct accel_shape y = in->in[0]->shape;
    int rc = ACCEL_OK;

    if (y.rank != 4)
        return accel_fail(err, ACCEL_E_INVALID, "an input of rank %u instead of 4 (NCHW)", y.rank);
    for (int axis = 0; axis < 2 && rc == ACCEL_OK; axis++)
        rc = crop_axis(in->node, axis, y.dims[2 + axis], &y.dims[2 + axis], err);
    in->out[0]->dtype = in->in[0]->dtype;
    in->out[0]->shape = y;
    return rc;
}

static int crop_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0], *y = run->out[0];
    const size_t planes = accel_dims_product(x->dims, 0, 2);
    const size_t height = (size_t)y->dims[2], width = (size_t)y->dims[3];
    const ptrdiff_t row = (ptrdiff_t)x->dims[3], wide = (ptrdiff_t)width;
    size_t count;
    const int64_t *border = accel_attr_ints(run->node, "border", &count);

    (void)err;
    if (y->size_bytes > 0)
        accel_copy_nd(run->pool, sizeof(float), 3, (const size_t[]){planes, height, width},
                      (const float *)x->data + border[TOP] * row + border[LEFT],
                      (const ptrdiff_t[]){(ptrdiff_t)x->dims[2] * row, row, 1}, y->data,
                      (const ptrdiff_t[]){(ptrdiff_t)height * wide, wide, 1});
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- the entries */

#define F32 ACCEL_T(FLOAT)

static const struct accel_attr_rule affine_attrs[] = {
    {"alpha", ACCEL_ATTR_FLOAT, 0}, {"beta", ACCEL_ATTR_FLOAT, 0}, {0}};
static const struct accel_attr_rule scale_attrs[] = {{"scale", ACCEL_ATTR_FLOAT, 0}, {0}};
static const struct accel_attr_rule both_attrs[] = {{"alpha", ACCEL_ATTR_FLOAT,
                                                     ACCEL_ATTR_REQUIRED},
                                                    {"beta", ACCEL_ATTR_FLOAT, ACCEL_ATTR_REQUIRED},
                                                    {0}};
static const struct accel_attr_rule image_attrs[] = {
    {"scale", ACCEL_ATTR_FLOAT, 0}, {"bias", ACCEL_ATTR_FLOATS, ACCEL_ATTR_REQUIRED}, {0}};
static const struct accel_attr_rule crop_attrs[] = {
    {"border", ACCEL_ATTR_INTS, ACCEL_ATTR_REQUIRED}, {"scale", ACCEL_ATTR_INTS, 0}, {0}};

/* Until version 10, which removes it. */
#define OLD(op, k, flops, ...)                                           \
    {.name = op,                                                         \
     .domain = "",                                                       \
     .since = 1,                                                         \
     .kind = ACCEL_KIND_##k,                                             \
     .flops_per_value = flops,                                           \
     .in = {{"input", F32, 'T', 0}},                                     \
     .out = {{"output", F32, 'T', 0}},                                   \
     __VA_ARGS__},                                                       \
    {                                                                    \
        .name = op, .domain = "", .since = 10, .flags = ACCEL_OP_REMOVED \
    }
#define SCALED(op, k, flops, rules)                                         \
    OLD(op, k, flops, .in_place = 1, .attrs = rules, .parse = scaled_parse, \
        .infer = accel_infer_same, .run = scaled_run)

const struct accel_op accel_ops_experimental[] = {
    SCALED("Affine", ELEMENTWISE, 2, affine_attrs),
    SCALED("Scale", ELEMENTWISE, 1, scale_attrs),
    SCALED("ScaledTanh", TRANSCENDENTAL, 6, both_attrs),
    SCALED("ParametricSoftplus", TRANSCENDENTAL, 6, both_attrs),
    OLD("ImageScaler", ELEMENTWISE, 2, .in_place = 1, .attrs = image_attrs, .infer = image_infer,
        .run = image_run),
    OLD("Crop", MOVE, 0, .attrs = crop_attrs, .parse = crop_parse, .infer = crop_infer,
        .run = crop_run),
    {0},
};
