/* SPDX-License-Identifier: Apache-2.0 */
/* Resize and its predecessor Upsample. */
#include "infer/kernels/kernels.h"
#include "infer/ops/op.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

struct resize_params {
    struct accel_resize kernel; /* mode, coordinates, ...; sizes are filled in per shape */
    bool keep_not_larger, keep_not_smaller;
};

/* Position of a name in a list that ends with NULL; -1: not there. */
static int choice(const char *const *names, const char *name)
{
    for (int i = 0; names[i] != NULL; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}

static int resize_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                        struct accel_error *err)
{
    /* In the order of the kernels' enums. */
    static const char *const modes[] = {"nearest", "linear", "cubic", NULL};
    static const char *const coords[] = {"half_pixel",           "half_pixel_symmetric",
                                         "pytorch_half_pixel",   "align_corners",
                                         "asymmetric",           "tf_crop_and_resize",
                                         "tf_half_pixel_for_nn", NULL};
    static const char *const roundings[] = {"round_prefer_floor", "round_prefer_ceil", "floor",
                                            "ceil", NULL};
    /* Upsample and Resize-10: no choice, pixels at i * scale. */
    const bool old = n->op->since < 11;
    const int mode = choice(modes, accel_attr_string(n, "mode", "nearest"));
    const int coord = choice(coords, accel_attr_string(n, "coordinate_transformation_mode",
                                                       old ? "asymmetric" : "half_pixel"));
    const int nearest = choice(roundings, accel_attr_string(n, "nearest_mode",
                                                            old ? "floor" : "round_prefer_floor"));
    const char *policy = accel_attr_string(n, "keep_aspect_ratio_policy", "stretch");
    struct resize_params *p = accel_bump_alloc(mem, 1, sizeof(*p));

    if (p == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its attributes");
    if (mode < 0 || coord < 0 || nearest < 0)
        return accel_fail(err, ACCEL_E_INVALID, "an unknown %s",
                          mode < 0    ? "mode"
                          : coord < 0 ? "coordinate_transformation_mode"
                                      : "nearest_mode");
    p->keep_not_larger = strcmp(policy, "not_larger") == 0;
    p->keep_not_smaller = strcmp(policy, "not_smaller") == 0;
    p->kernel.mode = (enum accel_resize_mode)mode;
    p->kernel.coord = (enum accel_resize_coord)coord;
    p->kernel.nearest = (enum accel_resize_nearest)nearest;
    p->kernel.cubic_coeff_a = accel_attr_float(n, "cubic_coeff_a", -0.75f);
    p->kernel.exclude_outside = accel_attr_int(n, "exclude_outside", 0) != 0;
    p->kernel.extrapolation_value = accel_attr_float(n, "extrapolation_value", 0);
    p->kernel.antialias = accel_attr_int(n, "antialias", 0) != 0;
    *params = p;
    return ACCEL_OK;
}

/* Axes that scales, sizes and roi speak of. */
static int axes_of(const struct accel_node *n, uint32_t rank, uint32_t axes[ACCEL_RANK_MAX],
                   size_t *count, struct accel_error *err)
{
    const int64_t *list = accel_attr_ints(n, "axes", count);

    if (list == NULL)
        *count = rank;
    if (*count > rank)
        return accel_fail(err, ACCEL_E_INVALID, "%zu axes for rank %u", *count, rank);
    for (size_t i = 0; i < *count; i++) {
        const int rc = accel_axis(list != NULL ? list[i] : (int64_t)i, rank, &axes[i], err);

        if (rc != ACCEL_OK)
            return rc;
    }
    return ACCEL_OK;
}

/* keep_aspect_ratio_policy of Resize-18: one scale for all axes that are resized. It stays the
 * scale where the size that follows from it is rounded, as in ONNX Runtime. */
static float keep_ratio(const struct resize_params *p, const struct accel_shape *x,
                        const uint32_t *axes, size_t n, int64_t *sizes)
{
    float scale = p->keep_not_larger ? INFINITY : 0;

    for (size_t i = 0; i < n; i++) {
        const float s = (float)sizes[i] / (float)x->dims[axes[i]];

        scale = p->keep_not_larger ? fminf(scale, s) : fmaxf(scale, s);
    }
    for (size_t i = 0; i < n; i++)
        sizes[i] = (int64_t)floorf(scale * (float)x->dims[axes[i]] + 0.5f);
    return scale;
}

/* Fills r from the known inputs. *known: sizes or scales are, and every axis they change. */
static int resize_of(const struct accel_infer *in, struct accel_resize *r, bool *known,
                     struct accel_error *err)
{
    const struct accel_node *n = in->node;
    const struct resize_params *p = n->params;
    const struct accel_shape *x = &in->in[0]->shape;
    const bool old = n->op->since < 11;
    const size_t scales_at = old ? 1 : 2;
    float scales[ACCEL_RANK_MAX], roi[2 * ACCEL_RANK_MAX], kept = 0;
    int64_t sizes[ACCEL_RANK_MAX];
    uint32_t axes[ACCEL_RANK_MAX];
    size_t count, got = 0, got_sizes = 0, got_roi = 0;
    const float *attr = accel_attr_floats(n, "scales", &got);
    int rc = axes_of(n, x->rank, axes, &count, err);

    *known = false;
    if (rc != ACCEL_OK)
        return rc;
    *r = p->kernel;
    r->rank = x->rank;
    for (uint32_t i = 0; i < x->rank; i++) {
        r->in[i] = r->out[i] = x->dims[i] >= 0 ? (size_t)x->dims[i] : 0;
        r->scale[i] = 1;
        r->roi_end[i] = 1;
    }
    if (attr != NULL) { /* Upsample-7 */
        if (got > ACCEL_RANK_MAX)
            return accel_fail(err, ACCEL_E_INVALID, "%zu scales", got);
        memcpy(scales, attr, got * sizeof(*scales));
    } else if (scales_at < n->inputs_count && in->in[scales_at] != NULL) {
        if (!accel_infer_floats(in, scales_at, scales, ACCEL_RANK_MAX, &got))
            return ACCEL_OK;
    }
    if (!old && n->inputs_count > 3 && in->in[3] != NULL &&
        !accel_infer_ints(in, 3, sizes, ACCEL_RANK_MAX, &got_sizes))
        return ACCEL_OK;
    if ((got == 0) == (got_sizes == 0))
        return accel_fail(err, ACCEL_E_INVALID, "either scales or sizes must be given");
    if ((got != 0 ? got : got_sizes) != count)
        return accel_fail(err, ACCEL_E_INVALID, "%zu scales or sizes for %zu axes",
                          got != 0 ? got : got_sizes, count);
    if (p->kernel.coord == ACCEL_COORD_TF_CROP_AND_RESIZE) {
        if (!accel_infer_floats(in, 1, roi, (size_t)2 * ACCEL_RANK_MAX, &got_roi))
            return ACCEL_OK;
        if (got_roi != 2 * count)
            return accel_fail(err, ACCEL_E_INVALID, "a roi of %zu for %zu axes", got_roi, count);
    }
    for (size_t i = 0; i < count; i++)
        if (x->dims[axes[i]] < 0 && (got == 0 || scales[i] != 1.0f))
            return ACCEL_OK;
    if (got_sizes > 0 && (p->keep_not_larger || p->keep_not_smaller))
        kept = keep_ratio(p, x, axes, count, sizes);
    for (size_t i = 0; i < count; i++) {
        const uint32_t a = axes[i];

        if (got > 0) {
            const double out = floor((double)r->in[a] * (double)scales[i]);

            if (!(scales[i] > 0) || out > 1e12)
                return accel_fail(err, ACCEL_E_INVALID, "a scale of %g", (double)scales[i]);
            r->scale[a] = scales[i];
            /* In float, as the others compute it: 3 * (1 / 3) must not become 0. */
            r->out[a] = (size_t)floorf((float)r->in[a] * scales[i]);
            if (r->out[a] == 0 && out > 0)
                r->out[a] = (size_t)out;
        } else {
            if (sizes[i] < 0)
                return accel_fail(err, ACCEL_E_INVALID, "a size of %" PRId64, sizes[i]);
            r->out[a] = (size_t)sizes[i];
            if (kept > 0)
                r->scale[a] = kept;
            else
                r->scale[a] = r->in[a] > 0 ? (float)r->out[a] / (float)r->in[a] : 1;
        }
        if (got_roi > 0) {
            r->roi_start[a] = roi[i];
            r->roi_end[a] = roi[count + i];
        }
        if (r->in[a] == 0 && r->out[a] > 0)
            return accel_fail(err, ACCEL_E_INVALID, "axis %u is empty", a);
    }
    *known = true;
    return ACCEL_OK;
}

static int resize_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape;
    struct accel_resize r;
    bool known;
    const int rc = resize_of(in, &r, &known, err);

    if (rc != ACCEL_OK)
        return rc;
    in->out[0]->dtype = in->in[0]->dtype;
    in->out[0]->shape = *x;
    for (uint32_t i = 0; i < x->rank; i++) {
        int64_t *d = &in->out[0]->shape.dims[i];

        if (!known)
            *d = ACCEL_DIM_ANY;
        else if (*d >= 0)
            *d = (int64_t)r.out[i];
    }
    return ACCEL_OK;
}

static int resize_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    const struct accel_infer in = {.node = prep->node, .in = prep->in, .mem = prep->mem};
    struct accel_resize *r = accel_prepare_state(prep, sizeof(*r), err);
    bool known;

    if (r == NULL)
        return ACCEL_E_NOMEM;
    const int rc = resize_of(&in, r, &known, err);
    if (rc != ACCEL_OK)
        return rc;
    if (!known)
        return accel_fail(err, ACCEL_E_INVALID, "its sizes are not known");
    return accel_resize_scratch_bytes(r, &prep->scratch_bytes, err);
}

/* Per element and resized axis: an index and a copy, 2 taps, or 4. */
static void resize_cost(const struct accel_prepare *prep, struct accel_cost *cost)
{
    static const double per_axis[] = {
        [ACCEL_RESIZE_NEAREST] = 2, [ACCEL_RESIZE_LINEAR] = 3, [ACCEL_RESIZE_CUBIC] = 7};
    const struct accel_shape *x = &prep->in[0]->shape, *y = &prep->out[0]->shape;
    size_t elements;

    if (!accel_shape_elements(y, &elements))
        return;
    for (uint32_t i = 0; i < y->rank && i < x->rank; i++)
        if (x->dims[i] != y->dims[i])
            cost->flops +=
                (double)elements *
                per_axis[((const struct resize_params *)prep->node->params)->kernel.mode];
    /* Copies, or arithmetic on each element. */
    if (((const struct resize_params *)prep->node->params)->kernel.mode != ACCEL_RESIZE_NEAREST)
        cost->items = cost->flops;
}

static int resize_run(struct accel_run *run, struct accel_error *err)
{
    if (run->out[0]->size_bytes > 0 &&
        !accel_resize(run->kernels, run->pool, run->state, run->in[0]->dtype, run->in[0]->data,
                      run->out[0]->data, run->scratch))
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "type %s in this mode",
                          accel_dtype_name(run->in[0]->dtype));
    return ACCEL_OK;
}

#define ANY ACCEL_T_NUMBERS
#define F32 ACCEL_T(FLOAT)

static const struct accel_attr_rule old_attrs[] = {{"mode", ACCEL_ATTR_STRING, 0}, {0}};
static const struct accel_attr_rule up7_attrs[] = {
    {"mode", ACCEL_ATTR_STRING, 0}, {"scales", ACCEL_ATTR_FLOATS, ACCEL_ATTR_REQUIRED}, {0}};
static const struct accel_attr_rule resize_attrs[] = {
    {"antialias", ACCEL_ATTR_INT, 0},
    {"axes", ACCEL_ATTR_INTS, 0},
    {"coordinate_transformation_mode", ACCEL_ATTR_STRING, 0},
    {"cubic_coeff_a", ACCEL_ATTR_FLOAT, 0},
    {"exclude_outside", ACCEL_ATTR_INT, 0},
    {"extrapolation_value", ACCEL_ATTR_FLOAT, 0},
    {"keep_aspect_ratio_policy", ACCEL_ATTR_STRING, 0},
    {"mode", ACCEL_ATTR_STRING, 0},
    {"nearest_mode", ACCEL_ATTR_STRING, 0},
    {0}};

#define RESIZE(op, version)                                                                     \
    .name = op, .domain = "", .since = version, .kind = ACCEL_KIND_MOVE, .parse = resize_parse, \
    .infer = resize_infer, .prepare = resize_prepare, .run = resize_run, .cost = resize_cost,   \
    .out = {{"Y", ANY, 'T', 0}}

const struct accel_op accel_ops_resize[] = {
    {RESIZE("Upsample", 7), .attrs = up7_attrs, .in = {{"X", ANY, 'T', 0}}},
    {RESIZE("Upsample", 9), .attrs = old_attrs, .in = {{"X", ANY, 'T', 0}, {"scales", F32, 0, 0}}},
    {.name = "Upsample", .domain = "", .since = 10, .flags = ACCEL_OP_REMOVED},
    {RESIZE("Resize", 10), .attrs = old_attrs, .in = {{"X", ANY, 'T', 0}, {"scales", F32, 0, 0}}},
    {RESIZE("Resize", 11), .attrs = resize_attrs,
     .in = {{"X", ANY, 'T', 0},
            {"roi", ACCEL_T_FLOATS | ACCEL_T(FLOAT16), 0, ACCEL_ARG_OPTIONAL},
            {"scales", F32, 0, ACCEL_ARG_OPTIONAL},
            {"sizes", ACCEL_T(INT64), 0, ACCEL_ARG_OPTIONAL}}},
    {0},
};
