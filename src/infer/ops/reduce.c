/* SPDX-License-Identifier: Apache-2.0 */
/* ReduceSum and its kin, ArgMax, ArgMin. */
#include "infer/kernels/kernels.h"
#include "infer/ops/op.h"

#include <string.h>

static const struct {
    const char *name;
    enum accel_reduce_op op;
} reductions[] = {
    {"ReduceSum", ACCEL_REDUCE_SUM},       {"ReduceMean", ACCEL_REDUCE_MEAN},
    {"ReduceMax", ACCEL_REDUCE_MAX},       {"ReduceMin", ACCEL_REDUCE_MIN},
    {"ReduceProd", ACCEL_REDUCE_PROD},     {"ReduceL1", ACCEL_REDUCE_L1},
    {"ReduceL2", ACCEL_REDUCE_L2},         {"ReduceSumSquare", ACCEL_REDUCE_SUMSQ},
    {"ReduceLogSum", ACCEL_REDUCE_LOGSUM}, {"ReduceLogSumExp", ACCEL_REDUCE_LOGSUMEXP},
};

static enum accel_reduce_op op_of(const struct accel_node *n)
{
    size_t i = 0;

    while (strcmp(reductions[i].name, n->op_type) != 0)
        i++;
    return reductions[i].op;
}

/* Bits of the axes that go. Axes are an attribute or (ReduceSum-13, the others from 18) input 1.
 * *known: they are. */
static int axes_of(const struct accel_infer *in, uint32_t *mask, bool *known,
                   struct accel_error *err)
{
    const struct accel_node *n = in->node;
    const uint32_t rank = in->in[0]->shape.rank;
    int64_t axes[ACCEL_RANK_MAX];
    size_t count = 0;
    const int64_t *list = accel_attr_ints(n, "axes", &count);

    *known = true;
    *mask = 0;
    if (count > ACCEL_RANK_MAX)
        return accel_fail(err, ACCEL_E_INVALID, "%zu axes", count);
    if (list != NULL)
        memcpy(axes, list, count * sizeof(*axes));
    else if (n->inputs_count > 1 && in->in[1] != NULL) {
        *known = accel_infer_ints(in, 1, axes, ACCEL_RANK_MAX, &count);
        if (!*known)
            return ACCEL_OK;
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t axis;
        const int rc = accel_axis(axes[i], rank, &axis, err);

        if (rc != ACCEL_OK)
            return rc;
        *mask |= 1u << axis;
    }
    if (count == 0 && accel_attr_int(n, "noop_with_empty_axes", 0) == 0)
        *mask = (1u << rank) - 1;
    return ACCEL_OK;
}

static int reduce_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape;
    const bool keep = accel_attr_int(in->node, "keepdims", 1) != 0;
    struct accel_type *y = in->out[0];
    uint32_t mask;
    bool known;
    const int rc = axes_of(in, &mask, &known, err);

    if (rc != ACCEL_OK)
        return rc;
    y->dtype = in->in[0]->dtype;
    if (!known) {
        if (!keep)
            return ACCEL_OK;
        y->shape = *x;
        for (uint32_t i = 0; i < x->rank; i++)
            y->shape.dims[i] = ACCEL_DIM_ANY;
        return ACCEL_OK;
    }
    y->shape.has_rank = true;
    for (uint32_t i = 0; i < x->rank; i++) {
        if ((mask & 1u << i) == 0)
            y->shape.dims[y->shape.rank++] = x->dims[i];
        else if (keep)
            y->shape.dims[y->shape.rank++] = 1;
    }
    return ACCEL_OK;
}

static int reduce_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    const struct accel_infer in = {.node = prep->node, .in = prep->in, .mem = prep->mem};
    uint32_t *mask = accel_prepare_state(prep, sizeof(*mask), err);
    bool known;

    if (mask == NULL)
        return ACCEL_E_NOMEM;
    const int rc = axes_of(&in, mask, &known, err);
    if (rc == ACCEL_OK && !known)
        return accel_fail(err, ACCEL_E_INVALID, "its axes are not known");
    return rc;
}

static int reduce_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    const uint32_t *mask = run->state;
    size_t dims[ACCEL_RANK_MAX];

    for (uint32_t i = 0; i < x->rank; i++)
        dims[i] = (size_t)x->dims[i];
    if (!accel_reduce(run->kernels, run->pool, op_of(run->node), x->dtype, x->rank, dims, *mask,
                      x->data, run->out[0]->data))
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "no kernel for %s", accel_dtype_name(x->dtype));
    return ACCEL_OK;
}

static void reduce_cost(const struct accel_prepare *prep, struct accel_cost *cost)
{
    size_t n = 0;

    if (accel_shape_elements(&prep->in[0]->shape, &n))
        cost->flops = (double)n;
}

static int arg_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape;
    const bool keep = accel_attr_int(in->node, "keepdims", 1) != 0;
    struct accel_shape *y = &in->out[0]->shape;
    uint32_t axis;
    const int rc = accel_axis(accel_attr_int(in->node, "axis", 0), x->rank, &axis, err);

    if (rc != ACCEL_OK)
        return rc;
    if (x->dims[axis] == 0)
        return accel_fail(err, ACCEL_E_INVALID, "axis %u is empty", axis);
    in->out[0]->dtype = ACCEL_DTYPE_INT64;
    y->has_rank = true;
    for (uint32_t i = 0; i < x->rank; i++) {
        if (i != axis)
            y->dims[y->rank++] = x->dims[i];
        else if (keep)
            y->dims[y->rank++] = 1;
    }
    return ACCEL_OK;
}

static int arg_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    uint32_t axis = 0;

    if (accel_axis(accel_attr_int(run->node, "axis", 0), x->rank, &axis, err) != ACCEL_OK)
        return ACCEL_E_INVALID;
    if (!accel_arg_reduce(run->pool, x->dtype, run->node->op_type[4] == 'a',
                          accel_attr_int(run->node, "select_last_index", 0) != 0,
                          accel_dims_product(x->dims, 0, axis), (size_t)x->dims[axis],
                          accel_dims_product(x->dims, axis + 1, x->rank), x->data,
                          run->out[0]->data))
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "no kernel for %s", accel_dtype_name(x->dtype));
    return ACCEL_OK;
}

#define WIDE (ACCEL_T_FLOATS | ACCEL_T(INT32) | ACCEL_T(INT64) | ACCEL_T(UINT32) | ACCEL_T(UINT64))
#define I64  ACCEL_T(INT64)

static const struct accel_attr_rule attrs_1[] = {
    {"axes", ACCEL_ATTR_INTS, 0}, {"keepdims", ACCEL_ATTR_INT, 0}, {0}};
static const struct accel_attr_rule attrs_18[] = {
    {"keepdims", ACCEL_ATTR_INT, 0}, {"noop_with_empty_axes", ACCEL_ATTR_INT, 0}, {0}};
static const struct accel_attr_rule arg_attrs[] = {{"axis", ACCEL_ATTR_INT, 0},
                                                   {"keepdims", ACCEL_ATTR_INT, 0},
                                                   {"select_last_index", ACCEL_ATTR_INT, 0},
                                                   {0}};

#define REDUCE_RUN                                                                             \
    .domain = "", .kind = ACCEL_KIND_REDUCE, .infer = reduce_infer, .prepare = reduce_prepare, \
    .run = reduce_run, .cost = reduce_cost
/* Axes: an attribute up to version `moved`, an input from it on. */
#define REDUCE(op, types, moved)                                               \
    {.name = op,                                                               \
     .since = 1,                                                               \
     REDUCE_RUN,                                                               \
     .in = {{"data", types, 'T', 0}},                                          \
     .out = {{"reduced", types, 'T', 0}},                                      \
     .attrs = attrs_1},                                                        \
    {                                                                          \
        .name = op, .since = moved, REDUCE_RUN,                                \
        .in = {{"data", types, 'T', 0}, {"axes", I64, 0, ACCEL_ARG_OPTIONAL}}, \
        .out = {{"reduced", types, 'T', 0}}, .attrs = attrs_18                 \
    }
#define NARROW (WIDE | ACCEL_T(INT8) | ACCEL_T(UINT8) | ACCEL_T(BOOL))
#define ARG(op)                                                                     \
    {                                                                               \
        .name = op, .domain = "", .since = 1, .kind = ACCEL_KIND_REDUCE,            \
        .in = {{"data", ACCEL_T_NUMBERS, 'T', 0}}, .out = {{"reduced", I64, 0, 0}}, \
        .attrs = arg_attrs, .infer = arg_infer, .run = arg_run                      \
    }

const struct accel_op accel_ops_reduce[] = {
    REDUCE("ReduceSum", WIDE, 13),
    REDUCE("ReduceMean", WIDE, 18),
    REDUCE("ReduceMax", NARROW, 18),
    REDUCE("ReduceMin", NARROW, 18),
    REDUCE("ReduceProd", WIDE, 18),
    REDUCE("ReduceL1", WIDE, 18),
    REDUCE("ReduceL2", WIDE, 18),
    REDUCE("ReduceSumSquare", WIDE, 18),
    REDUCE("ReduceLogSum", WIDE, 18),
    REDUCE("ReduceLogSumExp", WIDE, 18),
    ARG("ArgMax"),
    ARG("ArgMin"),
    {0},
};
