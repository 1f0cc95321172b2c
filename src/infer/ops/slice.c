/* SPDX-License-Identifier: Apache-2.0 */
/* Slice, and DynamicSlice, which was on trial until Slice-10 came in its place. */
#include "infer/kernels/kernels.h"
#include "infer/ops/elements.h"

#include <inttypes.h>
#include <string.h>

struct slice {
    int64_t start[ACCEL_RANK_MAX], step[ACCEL_RANK_MAX], size[ACCEL_RANK_MAX]; /* size < 0: open */
};

/* One list: an attribute of Slice-1 (where starts is required), else an input. *n: SIZE_MAX when
 * left out. */
static bool slice_list(const struct accel_infer *in, const char *name, size_t input, int64_t *out,
                       size_t *n)
{
    *n = SIZE_MAX;
    if (accel_attr(in->node, "starts") != NULL) {
        size_t count;
        const int64_t *list = accel_attr_ints(in->node, name, &count);

        if (list == NULL)
            return true;
        if (count > ACCEL_RANK_MAX)
            return false;
        memcpy(out, list, count * sizeof(*out));
        *n = count;
        return true;
    }
    if (input >= in->node->inputs_count || in->in[input] == NULL)
        return true;
    return accel_infer_partial(in, input, out, ACCEL_RANK_MAX, n);
}

/* ONNX Slice-13: bounds beyond the ends are cut, negative ones count from the end. */
static void slice_axis(int64_t dim, int64_t start, int64_t end, int64_t step, int64_t *from,
                       int64_t *size)
{
    start += start < 0 ? dim : 0;
    end += end < 0 && end >= -dim ? dim : 0;
    if (step > 0) {
        start = start < 0 ? 0 : ACCEL_MIN(start, dim);
        end = end < 0 ? 0 : ACCEL_MIN(end, dim);
        *size = end > start ? (end - start - 1) / step + 1 : 0;
    } else {
        start = start < 0 ? 0 : ACCEL_MIN(start, dim - 1);
        end = end < -1 ? -1 : ACCEL_MIN(end, dim - 1);
        *size = start > end ? (start - end - 1) / -(step < -INT64_MAX ? -INT64_MAX : step) + 1 : 0;
    }
    if (dim == 0)
        *size = 0;
    *from = *size > 0 ? start : 0;
}

/* *known: all axes and steps are (starts, ends and dims may be open: size < 0 then). */
static int slice_of(const struct accel_infer *in, struct slice *s, bool *known,
                    struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape;
    int64_t starts[ACCEL_RANK_MAX], ends[ACCEL_RANK_MAX], axes[ACCEL_RANK_MAX];
    int64_t steps[ACCEL_RANK_MAX];
    size_t n, n_end, n_axes, n_steps;
    uint32_t seen = 0;

    *known = false;
    for (uint32_t i = 0; i < x->rank; i++) {
        s->start[i] = 0;
        s->step[i] = 1;
        s->size[i] = x->dims[i];
    }
    if (!slice_list(in, "starts", 1, starts, &n) || !slice_list(in, "ends", 2, ends, &n_end) ||
        !slice_list(in, "axes", 3, axes, &n_axes) || !slice_list(in, "steps", 4, steps, &n_steps))
        return ACCEL_OK;
    if (n == SIZE_MAX || n != n_end || (n_axes != SIZE_MAX && n_axes != n) ||
        (n_steps != SIZE_MAX && n_steps != n) || n > x->rank)
        return accel_fail(err, ACCEL_E_INVALID, "starts, ends, axes or steps differ in length");
    for (size_t i = 0; i < n; i++) {
        uint32_t axis = (uint32_t)i;
        const int64_t step = n_steps != SIZE_MAX ? steps[i] : 1;

        if (step == ACCEL_INT_ANY || (n_axes != SIZE_MAX && axes[i] == ACCEL_INT_ANY))
            return ACCEL_OK;
        if (n_axes != SIZE_MAX) {
            const int rc = accel_axis(axes[i], x->rank, &axis, err);

            if (rc != ACCEL_OK)
                return rc;
        }
        if (step == 0 || (seen & 1u << axis) != 0)
            return accel_fail(err, ACCEL_E_INVALID,
                              step == 0 ? "a step of 0" : "an axis is given twice");
        seen |= 1u << axis;
        s->step[axis] = step;
        if (x->dims[axis] < 0 || starts[i] == ACCEL_INT_ANY || ends[i] == ACCEL_INT_ANY)
            s->size[axis] = ACCEL_DIM_ANY;
        else
            slice_axis(x->dims[axis], starts[i], ends[i], step, &s->start[axis], &s->size[axis]);
    }
    *known = true;
    return ACCEL_OK;
}

static int slice_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape;
    int64_t values[ACCEL_INTS_MAX], out[ACCEL_INTS_MAX];
    struct accel_type *y = in->out[0];
    struct slice s;
    size_t n;
    bool known;
    const int rc = slice_of(in, &s, &known, err);

    if (rc != ACCEL_OK)
        return rc;
    y->dtype = in->in[0]->dtype;
    y->shape = *x;
    for (uint32_t i = 0; i < x->rank; i++)
        y->shape.dims[i] = known ? s.size[i] : ACCEL_DIM_ANY;
    if (!known || x->rank != 1 || s.size[0] < 0 || s.size[0] > ACCEL_INTS_MAX ||
        in->in[0]->data != NULL || !accel_infer_partial(in, 0, values, ACCEL_INTS_MAX, &n))
        return ACCEL_OK;
    for (int64_t i = 0; i < s.size[0]; i++)
        out[i] = values[s.start[0] + i * s.step[0]];
    return accel_infer_set_ints(in, 0, out, (size_t)s.size[0], err);
}

static int slice_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    struct accel_infer in = {.node = prep->node, .in = prep->in, .mem = prep->mem};
    struct slice *s = accel_prepare_state(prep, sizeof(*s), err);
    bool known;

    if (s == NULL)
        return ACCEL_E_NOMEM;
    const int rc = slice_of(&in, s, &known, err);
    if (rc == ACCEL_OK && !known)
        return accel_fail(err, ACCEL_E_INVALID, "its bounds are not known");
    return rc;
}

static int slice_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0], *y = run->out[0];
    const struct slice *s = run->state;
    ptrdiff_t from[ACCEL_RANK_MAX], to[ACCEL_RANK_MAX], at = 0;
    size_t dims[ACCEL_RANK_MAX];

    (void)err;
    if (y->size_bytes == 0)
        return ACCEL_OK;
    accel_dense_strides(x->dims, x->rank, from);
    accel_dense_strides(y->dims, y->rank, to);
    accel_dims_sizes(y->dims, y->rank, dims);
    for (uint32_t i = 0; i < x->rank; i++) {
        at += (ptrdiff_t)s->start[i] * from[i];
        /* A step larger than the axis takes one element: its product could overflow. */
        from[i] = s->size[i] > 1 ? from[i] * (ptrdiff_t)s->step[i] : 0;
    }
    accel_copy_nd(run->pool, accel_element_bytes(x->dtype), x->rank, dims,
                  (const char *)x->data + at * (ptrdiff_t)accel_element_bytes(x->dtype), from,
                  y->data, to);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- the entries */

#define ANY ACCEL_T_ALL
#define IND (ACCEL_T(INT32) | ACCEL_T(INT64))

static const struct accel_attr_rule slice_attrs[] = {{"axes", ACCEL_ATTR_INTS, 0},
                                                     {"starts", ACCEL_ATTR_INTS,
                                                      ACCEL_ATTR_REQUIRED},
                                                     {"ends", ACCEL_ATTR_INTS, ACCEL_ATTR_REQUIRED},
                                                     {0}};

#define MOVE(op, version) .name = op, .domain = "", .since = version, .kind = ACCEL_KIND_MOVE

const struct accel_op accel_ops_slice[] = {
    {MOVE("Slice", 1), .in = {{"data", ANY, 'T', 0}}, .out = {{"output", ANY, 'T', 0}},
     .attrs = slice_attrs, .infer = slice_infer, .prepare = slice_prepare, .run = slice_run,
     .cost = accel_selected_cost},
    {MOVE("Slice", 10),
     .in = {{"data", ANY, 'T', 0},
            {"starts", IND, 'I', 0},
            {"ends", IND, 'I', 0},
            {"axes", IND, 'I', ACCEL_ARG_OPTIONAL},
            {"steps", IND, 'I', ACCEL_ARG_OPTIONAL}},
     .out = {{"output", ANY, 'T', 0}}, .infer = slice_infer, .prepare = slice_prepare,
     .run = slice_run, .cost = accel_selected_cost},
    {MOVE("DynamicSlice", 1),
     .in = {{"data", ANY, 'T', 0},
            {"starts", IND, 'I', 0},
            {"ends", IND, 'I', 0},
            {"axes", IND, 'I', ACCEL_ARG_OPTIONAL}},
     .out = {{"output", ANY, 'T', 0}}, .infer = slice_infer, .prepare = slice_prepare,
     .run = slice_run, .cost = accel_selected_cost},
    {.name = "DynamicSlice", .domain = "", .since = 10, .flags = ACCEL_OP_REMOVED},
    {0},
};
