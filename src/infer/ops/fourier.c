/* SPDX-License-Identifier: Apache-2.0 */
/* DFT, STFT. A complex number is a last axis of 2, a real one of 1. */
#include "infer/kernels/fft.h"

#include "infer/ops/elements.h"
#include "infer/ops/wide.h"

#include <inttypes.h>

/* A scalar input of integers. *known: left out (then `otherwise`) or its value is there. */
static int scalar_of(const struct accel_infer *in, size_t i, int64_t otherwise, int64_t *value,
                     bool *known, struct accel_error *err)
{
    size_t count;

    *value = otherwise;
    *known = true;
    if (!accel_given(in->node, i))
        return ACCEL_OK;
    if (accel_shape_elements(&in->in[i]->shape, &count) && count != 1)
        return accel_fail(err, ACCEL_E_INVALID, "input %zu is not one number", i);
    *known = accel_infer_ints(in, i, value, 1, &count);
    return ACCEL_OK;
}

/* The last axis of x: 1 or 2. *parts 0: not known. */
static int parts_of(const struct accel_shape *x, size_t *parts, struct accel_error *err)
{
    const int64_t last = x->dims[x->rank - 1];

    *parts = last > 0 ? (size_t)last : 0;
    return last == 1 || last == 2 || last == ACCEL_DIM_ANY
               ? ACCEL_OK
               : accel_fail(err, ACCEL_E_INVALID,
                            "a last axis of %" PRId64 ", not 1 (real) or 2 (complex)", last);
}

/* What prepare leaves for run; `work` doubles of scratch. Errors: INVALID, NOMEM. */
static int make_tables(struct accel_prepare *prep, struct accel_dft *d, struct accel_error *err)
{
    size_t tables, work;

    if (!accel_fft_sizes(d->n, &tables, &work) || __builtin_add_overflow(work, 2 * d->n, &work) ||
        __builtin_mul_overflow(work, sizeof(double) * ACCEL_MAX(prep->threads, 1u),
                               &prep->scratch_bytes))
        return accel_fail(err, ACCEL_E_INVALID, "a transform of length %zu is too long", d->n);
    double *memory = accel_bump_alloc(prep->mem, tables, sizeof(double));
    if (memory == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a transform of length %zu", d->n);
    accel_fft_tables(d->n, memory);
    d->tables = memory;
    return ACCEL_OK;
}

static void transform_cost(const struct accel_prepare *prep, struct accel_cost *cost)
{
    size_t n = 0;

    /* 5 n log2 n flops each; the length itself is not at hand here: ten bits stand for it. */
    if (accel_shape_elements(&prep->out[0]->shape, &n))
        cost->flops = 25.0 * (double)n;
}

/* ---------------------------------------------------------------- DFT */

struct dft_shape {
    bool inverse, onesided;
    uint32_t axis;
    bool axis_known, length_known;
    int64_t length; /* of the transform; < 0: open */
    size_t parts;
};

static int dft_axis(const struct accel_infer *in, struct dft_shape *s, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape;
    int64_t axis = accel_attr_int(in->node, "axis", 1);
    int rc = ACCEL_OK;

    s->axis_known = true;
    if (in->node->op->since >= 20)
        rc = scalar_of(in, 2, -2, &axis, &s->axis_known, err);
    if (rc == ACCEL_OK && s->axis_known)
        rc = accel_axis(axis, x->rank, &s->axis, err);
    if (rc == ACCEL_OK && s->axis_known && s->axis == x->rank - 1)
        rc =
            accel_fail(err, ACCEL_E_INVALID, "axis %" PRId64 " is that of the complex parts", axis);
    return rc;
}

static int dft_shape_of(const struct accel_infer *in, struct dft_shape *s, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape;

    *s = (struct dft_shape){.inverse = accel_attr_int(in->node, "inverse", 0) != 0,
                            .onesided = accel_attr_int(in->node, "onesided", 0) != 0};
    if (x->rank < 2)
        return accel_fail(err, ACCEL_E_INVALID, "an input of rank %u, not 2 or more", x->rank);
    int rc = parts_of(x, &s->parts, err);
    if (rc == ACCEL_OK)
        rc = dft_axis(in, s, err);
    if (rc == ACCEL_OK)
        rc = scalar_of(in, 1, ACCEL_DIM_ANY, &s->length, &s->length_known, err);
    if (rc != ACCEL_OK)
        return rc;
    if (s->onesided && s->parts != 0 && s->parts != (s->inverse ? 2u : 1u))
        return accel_fail(err, ACCEL_E_INVALID, "one-sided: the input must be %s",
                          s->inverse ? "complex" : "real");
    if (!s->length_known || !s->axis_known)
        return ACCEL_OK;
    if (accel_given(in->node, 1) && s->length < 1)
        return accel_fail(err, ACCEL_E_INVALID, "dft_length is %" PRId64, s->length);
    if (!accel_given(in->node, 1) && x->dims[s->axis] >= 0) {
        s->length = x->dims[s->axis];
        if (s->onesided && s->inverse && (s->length < 1 || s->length > INT64_MAX / 2))
            return accel_fail(err, ACCEL_E_INVALID, "an axis of %" PRId64, s->length);
        s->length = s->onesided && s->inverse ? 2 * (s->length - 1) : s->length;
        if (s->length < 1)
            return accel_fail(err, ACCEL_E_INVALID, "a transform of length %" PRId64, s->length);
    }
    return ACCEL_OK;
}

static int dft_infer(struct accel_infer *in, struct accel_error *err)
{
    struct accel_shape *y = &in->out[0]->shape;
    struct dft_shape s;
    const int rc = dft_shape_of(in, &s, err);

    if (rc != ACCEL_OK)
        return rc;
    in->out[0]->dtype = in->in[0]->dtype;
    *y = in->in[0]->shape;
    y->dims[y->rank - 1] = s.onesided && s.inverse ? 1 : 2;
    if (!s.axis_known) {
        for (uint32_t i = 0; i + 1 < y->rank; i++)
            y->dims[i] = ACCEL_DIM_ANY;
        return ACCEL_OK;
    }
    y->dims[s.axis] = !s.length_known || s.length < 0 ? ACCEL_DIM_ANY
                      : s.onesided && !s.inverse      ? s.length / 2 + 1
                                                      : s.length;
    return ACCEL_OK;
}

static int dft_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    const struct accel_infer in = {.node = prep->node, .in = prep->in, .mem = prep->mem};
    const struct accel_shape *x = &prep->in[0]->shape, *y = &prep->out[0]->shape;
    struct accel_dft *d = accel_bump_alloc(prep->mem, 1, sizeof(*d));
    struct dft_shape s;
    const int rc = dft_shape_of(&in, &s, err);

    if (rc != ACCEL_OK)
        return rc;
    if (d == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to prepare it");
    if (!s.axis_known || s.length < 1 || s.parts == 0)
        return accel_fail(err, ACCEL_E_INVALID, "its axis or length is not known");
    prep->state = d;
    const size_t inner = accel_dims_product(x->dims, s.axis + 1, x->rank - 1);
    const size_t y_parts = (size_t)y->dims[y->rank - 1];
    *d = (struct accel_dft){.dtype = prep->in[0]->dtype,
                            .n = (size_t)s.length,
                            .inverse = s.inverse,
                            .half_in = s.onesided && s.inverse,
                            .lines = accel_dims_product(x->dims, 0, s.axis) * inner,
                            .inner = inner > 0 ? inner : 1,
                            .x_outer = (size_t)x->dims[s.axis] * inner * s.parts,
                            .x_inner = s.parts,
                            .x_step = inner * s.parts,
                            .x_count = (size_t)x->dims[s.axis],
                            .x_parts = s.parts,
                            .y_outer = (size_t)y->dims[s.axis] * inner * y_parts,
                            .y_inner = y_parts,
                            .y_step = inner * y_parts,
                            .y_count = (size_t)y->dims[s.axis],
                            .y_parts = y_parts};
    return make_tables(prep, d, err);
}

static int transform_run(struct accel_run *run, struct accel_error *err)
{
    (void)err;
    accel_dft_lines(run->pool, run->state, run->in[0]->data, run->out[0]->data, run->scratch);
    return ACCEL_OK;
}

ACCEL_WIDE(dft, dft_prepare, transform_run)

/* ---------------------------------------------------------------- STFT */

struct stft_shape {
    int64_t length, frames, step; /* of a frame; < 0: open */
    size_t parts;
};

/* Frames of `length` that fit every `step` into a signal. */
static int count_frames(int64_t signal, struct stft_shape *s, struct accel_error *err)
{
    if (s->length == 0 || s->step == 0 || s->step < ACCEL_DIM_ANY || s->length < ACCEL_DIM_ANY)
        return accel_fail(err, ACCEL_E_INVALID, "frames of %" PRId64 " every %" PRId64, s->length,
                          s->step);
    if (signal < 0 || s->length < 0 || s->step < 0)
        return ACCEL_OK;
    if (s->length > signal)
        return accel_fail(err, ACCEL_E_INVALID,
                          "frames of %" PRId64 " do not fit into a signal of %" PRId64, s->length,
                          signal);
    s->frames = (signal - s->length) / s->step + 1;
    return ACCEL_OK;
}

/* signal [batch, length, 1 or 2]; a real one may lack the last axis, as with ONNX Runtime. */
static int stft_shape_of(const struct accel_infer *in, struct stft_shape *s,
                         struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape;
    const struct accel_shape *window = accel_given(in->node, 2) ? &in->in[2]->shape : NULL;
    const bool given = accel_given(in->node, 3);
    bool step_known, length_known;

    *s = (struct stft_shape){.frames = ACCEL_DIM_ANY, .parts = 1};
    if (x->rank != 2 && x->rank != 3)
        return accel_fail(err, ACCEL_E_INVALID, "a signal of rank %u instead of 3", x->rank);
    if (window != NULL && window->rank != 1)
        return accel_fail(err, ACCEL_E_INVALID, "a window of rank %u instead of 1", window->rank);
    int rc = x->rank == 3 ? parts_of(x, &s->parts, err) : ACCEL_OK;
    if (rc == ACCEL_OK)
        rc = scalar_of(in, 1, 0, &s->step, &step_known, err);
    if (rc == ACCEL_OK)
        rc = scalar_of(in, 3, window != NULL ? window->dims[0] : x->dims[1], &s->length,
                       &length_known, err);
    if (rc != ACCEL_OK)
        return rc;
    if ((step_known && s->step < 1) || (given && length_known && s->length < 1))
        return accel_fail(err, ACCEL_E_INVALID, "frame_step is %" PRId64 ", frame_length %" PRId64,
                          s->step, s->length);
    s->step = step_known ? s->step : ACCEL_DIM_ANY;
    s->length = length_known ? s->length : ACCEL_DIM_ANY;
    if (window != NULL && window->dims[0] >= 0 && s->length >= 0 && s->length != window->dims[0])
        return accel_fail(err, ACCEL_E_INVALID,
                          "frame_length is %" PRId64 ", the window has %" PRId64, s->length,
                          window->dims[0]);
    return count_frames(x->dims[1], s, err);
}

static bool stft_onesided(const struct accel_node *n)
{
    return accel_attr_int(n, "onesided", 1) != 0;
}

static int stft_infer(struct accel_infer *in, struct accel_error *err)
{
    struct stft_shape s;
    const int rc = stft_shape_of(in, &s, err);

    if (rc != ACCEL_OK)
        return rc;
    const int64_t bins = s.length < 0              ? ACCEL_DIM_ANY
                         : stft_onesided(in->node) ? s.length / 2 + 1
                                                   : s.length;
    in->out[0]->dtype = in->in[0]->dtype;
    in->out[0]->shape = (struct accel_shape){
        .has_rank = true, .rank = 4, .dims = {in->in[0]->shape.dims[0], s.frames, bins, 2}};
    return ACCEL_OK;
}

static int stft_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    const struct accel_infer in = {.node = prep->node, .in = prep->in, .mem = prep->mem};
    const int64_t *x = prep->in[0]->shape.dims, *y = prep->out[0]->shape.dims;
    struct accel_dft *d = accel_bump_alloc(prep->mem, 1, sizeof(*d));
    struct stft_shape s;
    const int rc = stft_shape_of(&in, &s, err);

    if (rc != ACCEL_OK)
        return rc;
    if (d == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to prepare it");
    if (s.frames < 0 || s.parts == 0)
        return accel_fail(err, ACCEL_E_INVALID, "its step or length is not known");
    prep->state = d;
    *d = (struct accel_dft){.dtype = prep->in[0]->dtype,
                            .n = (size_t)s.length,
                            .lines = (size_t)x[0] * (size_t)s.frames,
                            .inner = (size_t)s.frames,
                            .x_outer = (size_t)x[1] * s.parts,
                            .x_inner = (size_t)s.step * s.parts,
                            .x_step = s.parts,
                            .x_count = (size_t)s.length,
                            .x_parts = s.parts,
                            .y_outer = (size_t)(y[1] * y[2]) * 2,
                            .y_inner = (size_t)y[2] * 2,
                            .y_step = 2,
                            .y_count = (size_t)y[2],
                            .y_parts = 2};
    return make_tables(prep, d, err);
}

static int stft_run(struct accel_run *run, struct accel_error *err)
{
    struct accel_dft d = *(const struct accel_dft *)run->state;

    (void)err;
    d.window = accel_given(run->node, 2) ? run->in[2]->data : NULL;
    accel_dft_lines(run->pool, &d, run->in[0]->data, run->out[0]->data, run->scratch);
    return ACCEL_OK;
}

ACCEL_WIDE(stft, stft_prepare, stft_run)

/* ---------------------------------------------------------------- the entries */

#define INTS (ACCEL_T(INT32) | ACCEL_T(INT64))
static const struct accel_attr_rule dft17_attrs[] = {{"axis", ACCEL_ATTR_INT, 0},
                                                     {"inverse", ACCEL_ATTR_INT, 0},
                                                     {"onesided", ACCEL_ATTR_INT, 0},
                                                     {0}};
static const struct accel_attr_rule dft20_attrs[] = {
    {"inverse", ACCEL_ATTR_INT, 0}, {"onesided", ACCEL_ATTR_INT, 0}, {0}};
static const struct accel_attr_rule stft_attrs[] = {{"onesided", ACCEL_ATTR_INT, 0}, {0}};

#define TRANSFORM .domain = "", .kind = ACCEL_KIND_TRANSCENDENTAL, .cost = transform_cost

const struct accel_op accel_ops_fourier[] = {
    {.name = "DFT",
     .since = 17,
     TRANSFORM,
     .in = {{"input", ACCEL_T_REALS, 'T', 0}, {"dft_length", INTS, 0, ACCEL_ARG_OPTIONAL}},
     .out = {{"output", ACCEL_T_REALS, 'T', 0}},
     .attrs = dft17_attrs,
     .infer = dft_infer,
     .prepare = dft_wide_prepare,
     .run = dft_wide_run},
    {.name = "DFT",
     .since = 20,
     TRANSFORM,
     .in = {{"input", ACCEL_T_REALS, 'T', 0},
            {"dft_length", INTS, 0, ACCEL_ARG_OPTIONAL},
            {"axis", ACCEL_T(INT64), 0, ACCEL_ARG_OPTIONAL}},
     .out = {{"output", ACCEL_T_REALS, 'T', 0}},
     .attrs = dft20_attrs,
     .infer = dft_infer,
     .prepare = dft_wide_prepare,
     .run = dft_wide_run},
    {.name = "STFT",
     .since = 17,
     TRANSFORM,
     .in = {{"signal", ACCEL_T_REALS, 'T', 0},
            {"frame_step", INTS, 0, 0},
            {"window", ACCEL_T_REALS, 'T', ACCEL_ARG_OPTIONAL},
            {"frame_length", INTS, 0, ACCEL_ARG_OPTIONAL}},
     .out = {{"output", ACCEL_T_REALS, 'T', 0}},
     .attrs = stft_attrs,
     .infer = stft_infer,
     .prepare = stft_wide_prepare,
     .run = stft_wide_run},
    {0},
};
