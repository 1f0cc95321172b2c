/* SPDX-License-Identifier: Apache-2.0 */
/* ReverseSequence, CenterCropPad, TensorScatter. */
#include "infer/ops/elements.h"

#include <inttypes.h>
#include <string.h>

/* ---------------------------------------------------------------- ReverseSequence */

static int reverse_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                         struct accel_error *err)
{
    const int64_t batch = accel_attr_int(n, "batch_axis", 1),
                  time = accel_attr_int(n, "time_axis", 0);

    (void)mem;
    (void)params;
    if (batch < 0 || batch > 1 || time != 1 - batch)
        return accel_fail(err, ACCEL_E_INVALID,
                          "batch_axis is %" PRId64 " and time_axis %" PRId64 ", not 0 and 1", batch,
                          time);
    return ACCEL_OK;
}

static int reverse_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape, *lens = &in->in[1]->shape;
    const int64_t batch = accel_attr_int(in->node, "batch_axis", 1);

    if (x->rank < 2 || lens->rank != 1)
        return accel_fail(err, ACCEL_E_INVALID,
                          "an input of rank %u, not 2 or more, with lengths of rank %u", x->rank,
                          lens->rank);
    if (lens->dims[0] >= 0 && x->dims[batch] >= 0 && lens->dims[0] != x->dims[batch])
        return accel_fail(err, ACCEL_E_INVALID, "%" PRId64 " lengths for a batch of %" PRId64,
                          lens->dims[0], x->dims[batch]);
    return accel_infer_same(in, err);
}

static int reverse_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    const bool time_first = accel_attr_int(run->node, "batch_axis", 1) == 1;
    const size_t batch = (size_t)x->dims[time_first], time = (size_t)x->dims[!time_first];
    const size_t bytes = accel_dims_product(x->dims, 2, x->rank) * accel_element_bytes(x->dtype);
    const size_t step = time_first ? batch : 1, row = time_first ? 1 : time;
    const int64_t *lens = run->in[1]->data;

    for (size_t b = 0; b < batch; b++) {
        if (lens[b] < 0 || lens[b] > (int64_t)time)
            return accel_fail(err, ACCEL_E_INVALID,
                              "length %zu is %" PRId64 " in a time axis of %zu", b, lens[b], time);
        for (size_t t = 0; t < time && bytes > 0; t++) {
            const size_t from = t < (size_t)lens[b] ? (size_t)lens[b] - 1 - t : t;

            memcpy((char *)run->out[0]->data + (b * row + t * step) * bytes,
                   (const char *)x->data + (b * row + from * step) * bytes, bytes);
        }
    }
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- CenterCropPad */

/* to[]: the output's dimensions; *known: the shape input is. */
static int target_of(const struct accel_infer *in, int64_t *to, bool *known,
                     struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape;
    int64_t shape[ACCEL_RANK_MAX];
    size_t count, axes_count;
    const int64_t *axes = accel_attr_ints(in->node, "axes", &axes_count);
    uint32_t seen = 0, axis;

    for (uint32_t i = 0; i < x->rank; i++)
        to[i] = x->dims[i];
    for (size_t i = 0; i < (axes != NULL ? axes_count : x->rank); i++) {
        axis = (uint32_t)i;
        if (axes != NULL && accel_axis(axes[i], x->rank, &axis, err) != ACCEL_OK)
            return ACCEL_E_INVALID;
        if ((seen & 1u << axis) != 0)
            return accel_fail(err, ACCEL_E_INVALID, "axis %u is given twice", axis);
        seen |= 1u << axis;
        to[axis] = ACCEL_DIM_ANY;
    }
    *known = accel_infer_partial(in, 1, shape, ACCEL_RANK_MAX, &count);
    if (!*known)
        return ACCEL_OK;
    if (count != (axes != NULL ? axes_count : x->rank))
        return accel_fail(err, ACCEL_E_INVALID, "shape has %zu entries for %zu axes", count,
                          axes != NULL ? axes_count : (size_t)x->rank);
    for (size_t i = 0; i < count; i++) {
        axis = (uint32_t)i;
        if (axes != NULL)
            accel_axis(axes[i], x->rank, &axis, NULL);
        if (shape[i] == ACCEL_INT_ANY)
            continue;
        if (shape[i] < 0)
            return accel_fail(err, ACCEL_E_INVALID, "shape[%zu] is %" PRId64, i, shape[i]);
        to[axis] = shape[i];
    }
    return ACCEL_OK;
}

static int crop_infer(struct accel_infer *in, struct accel_error *err)
{
    bool known;

    in->out[0]->dtype = in->in[0]->dtype;
    in->out[0]->shape = in->in[0]->shape;
    return target_of(in, in->out[0]->shape.dims, &known, err);
}

static int crop_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0], *y = run->out[0];
    const size_t size = accel_element_bytes(x->dtype);
    size_t dims[ACCEL_RANK_MAX];
    ptrdiff_t from_stride[ACCEL_RANK_MAX], to_stride[ACCEL_RANK_MAX], from_step = 1, to_step = 1;
    const char *from = x->data;
    char *to = y->data;

    (void)err;
    if (y->size_bytes == 0)
        return ACCEL_OK;
    if (x->dtype == ACCEL_DTYPE_STRING)
        accel_fill(size, accel_elements(y), &(const char *){""}, to);
    else
        memset(to, 0, y->size_bytes);
    for (uint32_t d = x->rank; d-- > 0;) {
        const int64_t in = x->dims[d], out = y->dims[d];

        /* Of an odd difference the larger half is at the end. */
        dims[d] = (size_t)ACCEL_MIN(in, out);
        from_stride[d] = from_step;
        to_stride[d] = to_step;
        from += in > out ? (ptrdiff_t)((in - out) / 2) * from_step * (ptrdiff_t)size : 0;
        to += out > in ? (ptrdiff_t)((out - in) / 2) * to_step * (ptrdiff_t)size : 0;
        from_step *= (ptrdiff_t)in;
        to_step *= (ptrdiff_t)out;
    }
    if (x->size_bytes > 0)
        accel_copy_nd(run->pool, size, x->rank, dims, from, from_stride, to, to_stride);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- TensorScatter */

static int scatter_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                         struct accel_error *err)
{
    const char *mode = accel_attr_string(n, "mode", "linear");

    (void)mem;
    (void)params;
    if (strcmp(mode, "linear") != 0 && strcmp(mode, "circular") != 0)
        return accel_fail(err, ACCEL_E_INVALID, "mode is '%s', not linear or circular", mode);
    return ACCEL_OK;
}

static int scatter_axis(const struct accel_node *n, uint32_t rank, uint32_t *axis,
                        struct accel_error *err)
{
    const int rc = accel_axis(accel_attr_int(n, "axis", -2), rank, axis, err);

    if (rc == ACCEL_OK && *axis == 0)
        return accel_fail(err, ACCEL_E_INVALID, "axis is that of the batch");
    return rc;
}

static int scatter_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape, *u = &in->in[1]->shape;
    const struct accel_shape *at = accel_given(in->node, 2) ? &in->in[2]->shape : NULL;
    char text[2][ACCEL_SHAPE_TEXT];
    uint32_t axis = 0;
    const int rc = scatter_axis(in->node, x->rank, &axis, err);
    bool fits = x->rank == u->rank;

    if (rc != ACCEL_OK)
        return rc;
    for (uint32_t d = 0; d < x->rank && fits; d++)
        fits = x->dims[d] < 0 || u->dims[d] < 0 ||
               (d == axis ? u->dims[d] <= x->dims[d] : u->dims[d] == x->dims[d]);
    if (!fits)
        return accel_fail(err, ACCEL_E_INVALID, "an update of shape %s for a cache of shape %s",
                          accel_shape_format(u, text[0]), accel_shape_format(x, text[1]));
    if (at != NULL &&
        (at->rank != 1 || (at->dims[0] >= 0 && x->dims[0] >= 0 && at->dims[0] != x->dims[0])))
        return accel_fail(err, ACCEL_E_INVALID, "write_indices of shape %s, not one per sample",
                          accel_shape_format(at, text[0]));
    return accel_infer_same(in, err);
}

static int scatter_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0], *u = run->in[1], *y = run->out[0];
    const bool circular = strcmp(accel_attr_string(run->node, "mode", "linear"), "circular") == 0;
    uint32_t axis = 0;
    const int rc = scatter_axis(run->node, x->rank, &axis, err);

    if (rc != ACCEL_OK)
        return rc;
    if (y->data != x->data && x->size_bytes > 0)
        memcpy(y->data, x->data, x->size_bytes);
    const size_t room = (size_t)x->dims[axis], length = (size_t)u->dims[axis];
    const size_t bytes =
        accel_dims_product(x->dims, axis + 1, x->rank) * accel_element_bytes(x->dtype);
    const size_t heads = accel_dims_product(x->dims, 1, axis);
    for (size_t b = 0; b < (size_t)x->dims[0]; b++) {
        const int64_t at = accel_given(run->node, 2) ? ((const int64_t *)run->in[2]->data)[b] : 0;

        if (at < 0 || (!circular && at > (int64_t)(room - length)))
            return accel_fail(err, ACCEL_E_INVALID,
                              "write index %zu is %" PRId64 " for %zu places in a cache of %zu", b,
                              at, length, room);
        for (size_t i = b * heads; i < (b + 1) * heads; i++)
            for (size_t k = 0; k < length && bytes > 0; k++)
                memcpy((char *)y->data + (i * room + ((size_t)at + k) % room) * bytes,
                       (const char *)u->data + (i * length + k) * bytes, bytes);
    }
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- the entries */

#define ANY (ACCEL_T_FIXED | ACCEL_T(STRING))
#define I64 ACCEL_T(INT64)

static const struct accel_attr_rule reverse_attrs[] = {
    {"batch_axis", ACCEL_ATTR_INT, 0}, {"time_axis", ACCEL_ATTR_INT, 0}, {0}};
static const struct accel_attr_rule crop_attrs[] = {{"axes", ACCEL_ATTR_INTS, 0}, {0}};
static const struct accel_attr_rule scatter_attrs[] = {
    {"axis", ACCEL_ATTR_INT, 0}, {"mode", ACCEL_ATTR_STRING, 0}, {0}};

#define MOVES .domain = "", .kind = ACCEL_KIND_MOVE
#define REVERSE(version, types)                                                        \
    {                                                                                  \
        .name = "ReverseSequence", .since = version, MOVES,                            \
        .in = {{"input", types, 'T', 0}, {"sequence_lens", I64, 0, 0}},                \
        .out = {{"Y", types, 'T', 0}}, .attrs = reverse_attrs, .parse = reverse_parse, \
        .infer = reverse_infer, .run = reverse_run                                     \
    }

const struct accel_op accel_ops_rearrange[] = {
    REVERSE(10, ANY & ~ACCEL_T(BFLOAT16)),
    REVERSE(28, ANY),
    {.name = "CenterCropPad",
     .since = 18,
     MOVES,
     .in = {{"input_data", ANY, 'T', 0}, {"shape", ACCEL_T(INT32) | I64, 0, 0}},
     .out = {{"output_data", ANY, 'T', 0}},
     .attrs = crop_attrs,
     .infer = crop_infer,
     .run = crop_run},
    {.name = "TensorScatter",
     .since = 24,
     MOVES,
     .in_place = 1,
     .in = {{"past_cache", ANY, 'T', 0},
            {"update", ANY, 'T', 0},
            {"write_indices", I64, 0, ACCEL_ARG_OPTIONAL}},
     .out = {{"present_cache", ANY, 'T', 0}},
     .attrs = scatter_attrs,
     .parse = scatter_parse,
     .infer = scatter_infer,
     .run = scatter_run},
    {0},
};
