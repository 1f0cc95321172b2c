/* SPDX-License-Identifier: Apache-2.0 */
/* Concat and its inverse, Split. */
#include "infer/kernels/kernels.h"
#include "infer/ops/elements.h"

#include <inttypes.h>
#include <string.h>

/* ---------------------------------------------------------------- Concat */

static int concat_infer(struct accel_infer *in, struct accel_error *err)
{
    const int64_t stated = accel_attr_int(in->node, "axis", 1);
    struct accel_shape y = in->in[0]->shape;
    int64_t values[ACCEL_INTS_MAX];
    uint32_t axis;
    size_t n = 0;
    int rc = accel_axis(stated, y.rank, &axis, err);

    for (size_t i = 1; i < in->node->inputs_count && rc == ACCEL_OK; i++) {
        const struct accel_shape *x = &in->in[i]->shape;

        if (x->rank != y.rank)
            return accel_fail(err, ACCEL_E_INVALID, "input %zu has rank %u, the first %u", i,
                              x->rank, y.rank);
        for (uint32_t d = 0; d < y.rank; d++) {
            if (d == axis) {
                if (y.dims[d] < 0 || x->dims[d] < 0)
                    y.dims[d] = ACCEL_DIM_ANY;
                else if (__builtin_add_overflow(y.dims[d], x->dims[d], &y.dims[d]))
                    return accel_fail(err, ACCEL_E_INVALID, "the sum of dimensions overflows");
            } else if (y.dims[d] < 0) {
                y.dims[d] = x->dims[d];
            } else if (x->dims[d] >= 0 && x->dims[d] != y.dims[d]) {
                return accel_fail(err, ACCEL_E_INVALID,
                                  "input %zu: dimension %u is %" PRId64 ", of the others %" PRId64,
                                  i, d, x->dims[d], y.dims[d]);
            }
        }
    }
    if (rc != ACCEL_OK)
        return rc;
    in->out[0]->dtype = in->in[0]->dtype;
    in->out[0]->shape = y;
    if (y.rank != 1)
        return ACCEL_OK;
    for (size_t i = 0; i < in->node->inputs_count; i++) {
        size_t part;
        const int64_t dim = in->in[i]->shape.dims[0];

        if (accel_infer_partial(in, i, values + n, ACCEL_INTS_MAX - n, &part)) {
            n += part;
        } else if (dim >= 0 && (size_t)dim <= ACCEL_INTS_MAX - n &&
                   (in->in[i]->dtype == ACCEL_DTYPE_INT64 ||
                    in->in[i]->dtype == ACCEL_DTYPE_INT32)) {
            for (int64_t k = 0; k < dim; k++)
                values[n++] = ACCEL_INT_ANY;
        } else {
            return ACCEL_OK;
        }
    }
    return accel_infer_set_ints(in, 0, values, n, err);
}

static int concat_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *y = run->out[0];
    uint32_t axis = 0;
    size_t at = 0;

    if (accel_axis(accel_attr_int(run->node, "axis", 1), y->rank, &axis, err) != ACCEL_OK)
        return ACCEL_E_INVALID;
    const size_t size = accel_element_bytes(y->dtype);
    const size_t outer = accel_dims_product(y->dims, 0, axis);
    const size_t row = accel_dims_product(y->dims, axis, y->rank);
    for (size_t i = 0; i < run->node->inputs_count; i++) {
        const struct accel_tensor *x = run->in[i];
        const size_t part = accel_dims_product(x->dims, axis, x->rank);
        char *to = (char *)y->data + at * size;

        at += part;
        if (to == x->data || x->size_bytes == 0)
            continue; /* the plan placed it here already */
        const size_t dims[2] = {outer, part};
        accel_copy_nd(run->pool, size, 2, dims, x->data, (const ptrdiff_t[]){(ptrdiff_t)part, 1},
                      to, (const ptrdiff_t[]){(ptrdiff_t)row, 1});
    }
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- Split */

/* Sizes along the axis: given by attribute or input, or as equal as the version allows. Returns
 * false when they are not known. */
static int split_sizes(struct accel_infer *in, int64_t dim, int64_t *sizes, bool *known,
                       struct accel_error *err)
{
    const size_t n = in->node->outputs_count;
    const int since = in->node->op->since;
    size_t count = 0;

    *known = true;
    if (since < 13) {
        const int64_t *list = accel_attr_ints(in->node, "split", &count);

        if (list != NULL && count == n)
            memcpy(sizes, list, n * sizeof(*sizes));
    } else if (in->node->inputs_count > 1 && in->in[1] != NULL) {
        *known = accel_infer_ints(in, 1, sizes, n, &count);
        if (!*known)
            return ACCEL_OK;
    }
    if (count != 0 && count != n)
        return accel_fail(err, ACCEL_E_INVALID, "%zu sizes for %zu outputs", count, n);
    *known = dim >= 0;
    if (!*known)
        return ACCEL_OK;
    int64_t sum = 0;
    const int64_t each = (dim + (int64_t)n - 1) / (int64_t)n;
    if (count == 0 && since < 18 && dim % (int64_t)n != 0)
        return accel_fail(err, ACCEL_E_INVALID, "%" PRId64 " do not divide into %zu parts", dim, n);
    for (size_t i = 0; i < n; i++) {
        if (count == 0)
            sizes[i] = ACCEL_MIN(each, dim - sum);
        if (sizes[i] < 0 || __builtin_add_overflow(sum, sizes[i], &sum))
            return accel_fail(err, ACCEL_E_INVALID, "a part of %" PRId64, sizes[i]);
    }
    if (sum != dim)
        return accel_fail(err, ACCEL_E_INVALID, "parts of %" PRId64 " in all from %" PRId64, sum,
                          dim);
    return ACCEL_OK;
}

static int split_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape;
    const size_t n = in->node->outputs_count;
    uint32_t axis;
    bool known;
    int rc = accel_axis(accel_attr_int(in->node, "axis", 0), x->rank, &axis, err);

    if (rc != ACCEL_OK)
        return rc;
    const int64_t stated = accel_attr_int(in->node, "num_outputs", (int64_t)n);
    if (stated != (int64_t)n)
        return accel_fail(err, ACCEL_E_INVALID, "num_outputs is %" PRId64 ", it has %zu", stated,
                          n);
    int64_t *sizes = accel_bump_alloc(in->mem, n, sizeof(*sizes));
    if (sizes == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for %zu outputs", n);
    rc = split_sizes(in, x->dims[axis], sizes, &known, err);
    for (size_t i = 0; i < n && rc == ACCEL_OK; i++) {
        if (in->out[i] == NULL)
            continue;
        in->out[i]->dtype = in->in[0]->dtype;
        in->out[i]->shape = *x;
        in->out[i]->shape.dims[axis] = known ? sizes[i] : ACCEL_DIM_ANY;
    }
    return rc;
}

/* Sizes again, for outputs that nobody wants and that have no tensor. */
static int split_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    const size_t n = prep->node->outputs_count;
    struct accel_infer in = {.node = prep->node, .in = prep->in, .mem = prep->mem};
    int64_t *sizes = accel_bump_alloc(prep->mem, n, sizeof(*sizes));
    uint32_t axis;
    bool known;

    if (sizes == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for %zu outputs", n);
    prep->state = sizes;
    int rc = accel_axis(accel_attr_int(prep->node, "axis", 0), prep->in[0]->shape.rank, &axis, err);
    return rc == ACCEL_OK ? split_sizes(&in, prep->in[0]->shape.dims[axis], sizes, &known, err)
                          : rc;
}

static int split_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    const int64_t *sizes = run->state;
    uint32_t axis = 0;
    size_t at = 0;

    if (accel_axis(accel_attr_int(run->node, "axis", 0), x->rank, &axis, err) != ACCEL_OK)
        return ACCEL_E_INVALID;
    const size_t size = accel_element_bytes(x->dtype);
    const size_t outer = accel_dims_product(x->dims, 0, axis);
    const size_t inner = accel_dims_product(x->dims, axis + 1, x->rank);
    const ptrdiff_t row = (ptrdiff_t)((size_t)x->dims[axis] * inner);
    for (size_t i = 0; i < run->node->outputs_count; i++) {
        const size_t part = (size_t)sizes[i] * inner;
        const size_t dims[2] = {outer, part};

        const char *from = (const char *)x->data + at * size;

        /* The plan may have laid it where it is. */
        if (run->out[i] != NULL && part > 0 && run->out[i]->data != from)
            accel_copy_nd(run->pool, size, 2, dims, from, (const ptrdiff_t[]){row, 1},
                          run->out[i]->data, (const ptrdiff_t[]){(ptrdiff_t)part, 1});
        at += part;
    }
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- the entries */

#define ANY ACCEL_T_ALL
#define I64 ACCEL_T(INT64)

static const struct accel_attr_rule axis_required[] = {
    {"axis", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED}, {0}};
static const struct accel_attr_rule axis_attrs[] = {{"axis", ACCEL_ATTR_INT, 0}, {0}};
static const struct accel_attr_rule split2_attrs[] = {
    {"axis", ACCEL_ATTR_INT, 0}, {"split", ACCEL_ATTR_INTS, 0}, {0}};
static const struct accel_attr_rule split18_attrs[] = {
    {"axis", ACCEL_ATTR_INT, 0}, {"num_outputs", ACCEL_ATTR_INT, 0}, {0}};

#define MOVE(op, version) .name = op, .domain = "", .since = version, .kind = ACCEL_KIND_MOVE

const struct accel_op accel_ops_concat[] = {
    {MOVE("Concat", 4), .flags = ACCEL_OP_PLACED, .in = {{"inputs", ANY, 'T', ACCEL_ARG_VARIADIC}},
     .out = {{"concat_result", ANY, 'T', 0}}, .attrs = axis_required, .infer = concat_infer,
     .run = concat_run},
    {MOVE("Split", 2), .in = {{"input", ANY, 'T', 0}},
     .out = {{"outputs", ANY, 'T', ACCEL_ARG_VARIADIC}}, .attrs = split2_attrs,
     .flags = ACCEL_OP_PIECES, .infer = split_infer, .prepare = split_prepare, .run = split_run},
    {MOVE("Split", 13), .flags = ACCEL_OP_PIECES,
     .in = {{"input", ANY, 'T', 0}, {"split", I64, 0, ACCEL_ARG_OPTIONAL}},
     .out = {{"outputs", ANY, 'T', ACCEL_ARG_VARIADIC}}, .attrs = axis_attrs, .infer = split_infer,
     .prepare = split_prepare, .run = split_run},
    {MOVE("Split", 18), .flags = ACCEL_OP_PIECES,
     .in = {{"input", ANY, 'T', 0}, {"split", I64, 0, ACCEL_ARG_OPTIONAL}},
     .out = {{"outputs", ANY, 'T', ACCEL_ARG_VARIADIC}}, .attrs = split18_attrs,
     .infer = split_infer, .prepare = split_prepare, .run = split_run},
    {0},
};
