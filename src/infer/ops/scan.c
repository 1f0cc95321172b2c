/* SPDX-License-Identifier: Apache-2.0 */
/* CumSum, CumProd, Hardmax, Det. */
#include "infer/kernels/scan.h"

#include "infer/ops/elements.h"
#include "infer/ops/wide.h"

#include <string.h>

/* ---------------------------------------------------------------- CumSum, CumProd */

static int scan_infer(struct accel_infer *in, struct accel_error *err)
{
    int64_t axis;
    size_t count;
    uint32_t found;

    if (accel_infer_ints(in, 1, &axis, 1, &count)) {
        const int rc = count == 1 ? accel_axis(axis, in->in[0]->shape.rank, &found, err)
                                  : accel_fail(err, ACCEL_E_INVALID, "axis is no scalar");

        if (rc != ACCEL_OK)
            return rc;
    }
    return accel_infer_same(in, err);
}

static int scan_body(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    uint32_t axis = 0;

    if (run->in[1]->size_bytes == 0)
        return accel_fail(err, ACCEL_E_INVALID, "axis is empty");
    const int rc = accel_axis(accel_integer_at(run->in[1], 0), x->rank, &axis, err);
    if (rc != ACCEL_OK || x->size_bytes == 0)
        return rc;
    if (!accel_scan(x->dtype, strcmp(run->node->op_type, "CumProd") == 0,
                    accel_attr_int(run->node, "exclusive", 0) != 0,
                    accel_attr_int(run->node, "reverse", 0) != 0,
                    accel_dims_product(x->dims, 0, axis), (size_t)x->dims[axis],
                    accel_dims_product(x->dims, axis + 1, x->rank), x->data, run->out[0]->data))
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "no kernel for %s", accel_dtype_name(x->dtype));
    return ACCEL_OK;
}

ACCEL_WIDE(scan, NULL, scan_body)

/* ---------------------------------------------------------------- Hardmax */

/* What lies before, along and behind the axis. Up to version 12 the input is taken as a matrix
 * whose columns begin at the axis. */
static int hardmax_view(const struct accel_node *n, const int64_t *dims, uint32_t rank,
                        size_t view[3], struct accel_error *err)
{
    const bool matrix = n->op->since < 13;
    int64_t given = accel_attr_int(n, "axis", matrix ? 1 : -1);
    uint32_t axis = 0;

    if (!matrix || given != (int64_t)rank) {
        const int rc = accel_axis(given, rank, &axis, err);

        if (rc != ACCEL_OK)
            return rc;
    } else {
        axis = rank;
    }
    view[0] = accel_dims_product(dims, 0, axis);
    view[1] = matrix ? accel_dims_product(dims, axis, rank) : (size_t)dims[axis];
    view[2] = matrix ? 1 : accel_dims_product(dims, axis + 1, rank);
    return ACCEL_OK;
}

static int hardmax_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    const struct accel_shape *x = &prep->in[0]->shape;
    size_t view[3];
    const int rc = hardmax_view(prep->node, x->dims, x->rank, view, err);

    if (rc != ACCEL_OK)
        return rc;
    /* One index per output of at least one byte: cannot overflow. */
    prep->scratch_bytes = view[1] > 0 ? view[0] * view[2] * sizeof(int64_t) : 0;
    return ACCEL_OK;
}

static int hardmax_body(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    size_t view[3];
    const int rc = hardmax_view(run->node, x->dims, x->rank, view, err);

    if (rc != ACCEL_OK || x->size_bytes == 0)
        return rc;
    if (!accel_arg_reduce(run->pool, x->dtype, true, false, view[0], view[1], view[2], x->data,
                          run->scratch))
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "no kernel for %s", accel_dtype_name(x->dtype));
    accel_one_hot_axis(x->dtype, view[0], view[1], view[2], run->scratch, run->out[0]->data);
    return ACCEL_OK;
}

ACCEL_WIDE(hardmax, hardmax_prepare, hardmax_body)

/* ---------------------------------------------------------------- Det */

static int det_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape;
    char text[ACCEL_SHAPE_TEXT];

    if (x->rank < 2 || (x->dims[x->rank - 1] >= 0 && x->dims[x->rank - 2] >= 0 &&
                        x->dims[x->rank - 1] != x->dims[x->rank - 2]))
        return accel_fail(err, ACCEL_E_INVALID, "an input of shape %s, not of square matrices",
                          accel_shape_format(x, text));
    in->out[0]->dtype = in->in[0]->dtype;
    in->out[0]->shape = *x;
    in->out[0]->shape.rank -= 2;
    return ACCEL_OK;
}

static int det_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    const struct accel_shape *x = &prep->in[0]->shape;
    const size_t n = (size_t)x->dims[x->rank - 1];

    if (__builtin_mul_overflow(n, n, &prep->scratch_bytes) ||
        __builtin_mul_overflow(prep->scratch_bytes, sizeof(double), &prep->scratch_bytes))
        return accel_fail(err, ACCEL_E_INVALID, "its work space overflows");
    return ACCEL_OK;
}

static int det_body(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];

    (void)err;
    accel_det(run->pool, x->dtype, accel_elements(run->out[0]), (size_t)x->dims[x->rank - 1],
              x->data, run->out[0]->data, run->scratch);
    return ACCEL_OK;
}

ACCEL_WIDE(det, det_prepare, det_body)

static void det_cost(const struct accel_prepare *prep, struct accel_cost *cost)
{
    const struct accel_shape *x = &prep->in[0]->shape;
    size_t elements = 0;

    if (accel_shape_elements(x, &elements))
        cost->flops = (double)elements * (double)x->dims[x->rank - 1] * 2 / 3;
}

/* ---------------------------------------------------------------- the entries */

#define REAL ACCEL_T_REALS
#define SUM  (ACCEL_T_FLOATS | ACCEL_T(INT32) | ACCEL_T(INT64) | ACCEL_T(UINT32) | ACCEL_T(UINT64))
#define IND  (ACCEL_T(INT32) | ACCEL_T(INT64))

static const struct accel_attr_rule scan_attrs[] = {
    {"exclusive", ACCEL_ATTR_INT, 0}, {"reverse", ACCEL_ATTR_INT, 0}, {0}};
static const struct accel_attr_rule axis_attrs[] = {{"axis", ACCEL_ATTR_INT, 0}, {0}};

#define REDUCES .domain = "", .kind = ACCEL_KIND_REDUCE, .flops_per_value = 1
#define SCAN(op, version, types)                                                          \
    {                                                                                     \
        .name = op, .since = version, REDUCES, .in_place = 1,                             \
        .in = {{"x", types, 'T', 0}, {"axis", IND, 0, 0}}, .out = {{"y", types, 'T', 0}}, \
        .attrs = scan_attrs, .infer = scan_infer, .prepare = scan_wide_prepare,           \
        .run = scan_wide_run                                                              \
    }
#define HARDMAX(version, types)                                                             \
    {                                                                                       \
        .name = "Hardmax", .since = version, REDUCES, .in = {{"input", types, 'T', 0}},     \
        .out = {{"output", types, 'T', 0}}, .attrs = axis_attrs, .infer = accel_infer_same, \
        .prepare = hardmax_wide_prepare, .run = hardmax_wide_run                            \
    }
#define DET(version, types)                                                             \
    {                                                                                   \
        .name = "Det", .since = version, REDUCES, .in = {{"X", types, 'T', 0}},         \
        .out = {{"Y", types, 'T', 0}}, .infer = det_infer, .prepare = det_wide_prepare, \
        .run = det_wide_run, .cost = det_cost                                           \
    }

const struct accel_op accel_ops_scan[] = {
    SCAN("CumSum", 11, SUM),
    SCAN("CumSum", 14, SUM | ACCEL_T_HALVES),
    SCAN("CumProd", 26, SUM | ACCEL_T_HALVES),
    HARDMAX(1, ACCEL_T_FLOATS | ACCEL_T(FLOAT16)),
    HARDMAX(13, REAL),
    DET(11, ACCEL_T_FLOATS | ACCEL_T(FLOAT16)),
    DET(22, REAL),
    {0},
};
