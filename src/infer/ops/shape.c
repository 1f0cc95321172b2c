/* SPDX-License-Identifier: Apache-2.0 */
/* Operators that look at shapes or give the same bytes another one: Shape, Size, Reshape, Flatten,
 * Squeeze, Unsqueeze, Identity, Dropout, Constant, ConstantOfShape. */
#include "infer/kernels/kernels.h"
#include "infer/ops/control.h"

#include <inttypes.h>
#include <string.h>

static int copy_run(struct accel_run *run, struct accel_error *err)
{
    (void)err;
    if (run->out[0]->data != run->in[0]->data && run->in[0]->size_bytes > 0)
        memcpy(run->out[0]->data, run->in[0]->data, run->in[0]->size_bytes);
    return ACCEL_OK;
}

/* The same elements: what is known in part of the input is known of the output. */
static int pass_ints(struct accel_infer *in, struct accel_error *err)
{
    int64_t values[ACCEL_INTS_MAX];
    size_t n;

    if (in->in[0]->data != NULL || in->out[0]->shape.rank > 1 ||
        !accel_infer_partial(in, 0, values, ACCEL_INTS_MAX, &n))
        return ACCEL_OK;
    return accel_infer_set_ints(in, 0, values, n, err);
}

/* ---------------------------------------------------------------- Shape, Size */

static int shape_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape;
    int64_t values[ACCEL_RANK_MAX];
    struct accel_type *y = in->out[0];

    y->dtype = ACCEL_DTYPE_INT64;
    y->shape = (struct accel_shape){.has_rank = true, .rank = 1, .dims = {ACCEL_DIM_ANY}};
    if (!x->has_rank)
        return ACCEL_OK;
    const int64_t rank = x->rank;
    int64_t start = accel_attr_int(in->node, "start", 0);
    int64_t end = accel_attr_int(in->node, "end", rank);
    start = start < -rank ? 0 : start < 0 ? start + rank : ACCEL_MIN(start, rank);
    end = end < -rank ? 0 : end < 0 ? end + rank : ACCEL_MIN(end, rank);
    const size_t n = end > start ? (size_t)(end - start) : 0;
    for (size_t i = 0; i < n; i++)
        values[i] = x->dims[start + (int64_t)i] >= 0 ? x->dims[start + (int64_t)i] : ACCEL_INT_ANY;
    y->shape.dims[0] = (int64_t)n;
    return accel_infer_set_ints(in, 0, values, n, err);
}

static int shape_run(struct accel_run *run, struct accel_error *err)
{
    int64_t start = accel_attr_int(run->node, "start", 0);

    (void)err;
    start = start < -(int64_t)run->in[0]->rank ? 0
            : start < 0                        ? start + (int64_t)run->in[0]->rank
                                               : start;
    if (run->out[0]->size_bytes > 0)
        memcpy(run->out[0]->data, run->in[0]->dims + start, run->out[0]->size_bytes);
    return ACCEL_OK;
}

static int size_infer(struct accel_infer *in, struct accel_error *err)
{
    size_t n;

    in->out[0]->dtype = ACCEL_DTYPE_INT64;
    in->out[0]->shape = (struct accel_shape){.has_rank = true};
    if (!accel_shape_static(&in->in[0]->shape) || !accel_shape_elements(&in->in[0]->shape, &n))
        return ACCEL_OK;
    return accel_infer_set_ints(in, 0, (const int64_t[]){(int64_t)n}, 1, err);
}

static int size_run(struct accel_run *run, struct accel_error *err)
{
    const int64_t n = (int64_t)accel_dims_product(run->in[0]->dims, 0, run->in[0]->rank);

    (void)err;
    memcpy(run->out[0]->data, &n, sizeof(n));
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- Reshape */

/* As many dimensions as a list that is not known has numbers, if that is known. */
static void open_dims(struct accel_shape *y, const struct accel_shape *list)
{
    if (list->dims[0] < 0)
        return;
    *y = (struct accel_shape){.has_rank = true, .rank = (uint32_t)list->dims[0]};
    for (uint32_t i = 0; i < y->rank; i++)
        y->dims[i] = ACCEL_DIM_ANY;
}

static int reshape_infer(struct accel_infer *in, struct accel_error *err)
{
    const bool allow_zero = accel_attr_int(in->node, "allowzero", 0) != 0;
    const struct accel_shape *x = &in->in[0]->shape;
    struct accel_type *y = in->out[0];
    int64_t want[ACCEL_RANK_MAX];
    size_t n, elements, known = 1;
    int infer_axis = -1;
    bool open = false;

    y->dtype = in->in[0]->dtype;
    if (!accel_infer_partial(in, 1, want, ACCEL_RANK_MAX, &n)) {
        const struct accel_shape *s = &in->in[1]->shape;

        if (s->rank != 1 || s->dims[0] > ACCEL_RANK_MAX)
            return accel_fail(err, ACCEL_E_INVALID, "input 1 'shape' is no list of at most %d",
                              ACCEL_RANK_MAX);
        open_dims(&y->shape, s);
        return ACCEL_OK;
    }
    y->shape = (struct accel_shape){.has_rank = true, .rank = (uint32_t)n};
    for (size_t i = 0; i < n; i++) {
        int64_t d = want[i];

        if (d == 0 && !allow_zero) {
            if (i >= x->rank)
                return accel_fail(err, ACCEL_E_INVALID, "shape[%zu] is 0, the input has rank %u", i,
                                  x->rank);
            d = x->dims[i] >= 0 ? x->dims[i] : ACCEL_INT_ANY;
        }
        if (d == ACCEL_INT_ANY) {
            open = true;
            y->shape.dims[i] = ACCEL_DIM_ANY;
            continue;
        }
        if (d < -1 || (d == -1 && infer_axis >= 0))
            return accel_fail(err, ACCEL_E_INVALID, "shape[%zu] is %" PRId64, i, d);
        y->shape.dims[i] = d;
        if (d == -1)
            infer_axis = (int)i;
        else if (__builtin_mul_overflow(known, (size_t)d, &known))
            return accel_fail(err, ACCEL_E_INVALID, "the shape overflows");
    }
    if (!accel_shape_static(x) || !accel_shape_elements(x, &elements))
        return pass_ints(in, err);
    if (open) {
        /* One unknown and no -1: it follows from the number of elements. */
        int holes = 0, hole = 0;

        for (size_t i = 0; i < n; i++)
            if (y->shape.dims[i] < 0) {
                holes++;
                hole = (int)i;
            }
        if (holes == 1 && known > 0 && elements % known == 0)
            y->shape.dims[hole] = (int64_t)(elements / known);
        return ACCEL_OK;
    }
    if (infer_axis >= 0) {
        if (known == 0 || elements % known != 0)
            return accel_fail(err, ACCEL_E_INVALID, "%zu elements do not divide by %zu", elements,
                              known);
        y->shape.dims[infer_axis] = (int64_t)(elements / known);
    } else if (known != elements) {
        return accel_fail(err, ACCEL_E_INVALID, "%zu elements into a shape of %zu", elements,
                          known);
    }
    return pass_ints(in, err);
}

static int flatten_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape;
    const int64_t stated = accel_attr_int(in->node, "axis", 1);
    struct accel_shape y = {.has_rank = true, .rank = 2};

    if (stated < -(int64_t)x->rank || stated > (int64_t)x->rank)
        return accel_fail(err, ACCEL_E_INVALID, "axis %" PRId64 " of rank %u", stated, x->rank);
    const uint32_t axis = (uint32_t)(stated < 0 ? stated + (int64_t)x->rank : stated);
    for (uint32_t half = 0; half < 2; half++) {
        int64_t d = 1;

        for (uint32_t i = half == 0 ? 0 : axis; i < (half == 0 ? axis : x->rank); i++) {
            if (x->dims[i] < 0 || d < 0)
                d = ACCEL_DIM_ANY;
            else if (__builtin_mul_overflow(d, x->dims[i], &d))
                return accel_fail(err, ACCEL_E_INVALID, "the shape overflows");
        }
        y.dims[half] = d;
    }
    in->out[0]->dtype = in->in[0]->dtype;
    in->out[0]->shape = y;
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- Squeeze, Unsqueeze */

/* The axes, from input 1 or, where there is none, the attribute (before 13). false: not known. */
static bool axes_of(struct accel_infer *in, int64_t *axes, size_t *count, bool *given)
{
    *given = true;
    if (in->node->inputs_count == 1) {
        const int64_t *list = accel_attr_ints(in->node, "axes", count);

        *given = list != NULL;
        if (*count > ACCEL_RANK_MAX)
            return false;
        if (*count > 0)
            memcpy(axes, list, *count * sizeof(*axes));
        return true;
    }
    *given = in->in[1] != NULL;
    *count = 0;
    return !*given || accel_infer_ints(in, 1, axes, ACCEL_RANK_MAX, count);
}

static int squeeze_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape;
    struct accel_type *y = in->out[0];
    int64_t axes[ACCEL_RANK_MAX];
    uint32_t gone = 0;
    size_t n;
    bool given;

    y->dtype = in->in[0]->dtype;
    if (!axes_of(in, axes, &n, &given))
        return ACCEL_OK;
    for (size_t i = 0; i < n; i++) {
        uint32_t axis;
        const int rc = accel_axis(axes[i], x->rank, &axis, err);

        if (rc != ACCEL_OK)
            return rc;
        if (x->dims[axis] > 1 || x->dims[axis] == 0)
            return accel_fail(err, ACCEL_E_INVALID, "axis %u has %" PRId64 " elements, not one",
                              axis, x->dims[axis]);
        gone |= 1u << axis;
    }
    y->shape.has_rank = true;
    for (uint32_t i = 0; i < x->rank; i++) {
        if (!given && x->dims[i] < 0) {
            y->shape = (struct accel_shape){0}; /* it may be one, or not */
            return ACCEL_OK;
        }
        if (given ? (gone & 1u << i) == 0 : x->dims[i] != 1)
            y->shape.dims[y->shape.rank++] = x->dims[i];
    }
    return pass_ints(in, err);
}

static int unsqueeze_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape;
    struct accel_type *y = in->out[0];
    int64_t axes[ACCEL_RANK_MAX];
    uint32_t added = 0, from = 0;
    size_t n;
    bool given;

    y->dtype = in->in[0]->dtype;
    if (!axes_of(in, axes, &n, &given))
        return ACCEL_OK;
    if (x->rank + n > ACCEL_RANK_MAX)
        return accel_fail(err, ACCEL_E_INVALID, "more than %d dimensions", ACCEL_RANK_MAX);
    y->shape = (struct accel_shape){.has_rank = true, .rank = x->rank + (uint32_t)n};
    for (size_t i = 0; i < n; i++) {
        uint32_t axis;
        const int rc = accel_axis(axes[i], y->shape.rank, &axis, err);

        if (rc != ACCEL_OK)
            return rc;
        if ((added & 1u << axis) != 0)
            return accel_fail(err, ACCEL_E_INVALID, "axis %u is given twice", axis);
        added |= 1u << axis;
    }
    for (uint32_t i = 0; i < y->shape.rank; i++)
        y->shape.dims[i] = (added & 1u << i) != 0 ? 1 : x->dims[from++];
    return pass_ints(in, err);
}

/* com.microsoft: one axis, as a scalar or a list of one. */
static int expand_dims_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *axis = &in->in[1]->shape;

    if (axis->rank > 1 || (axis->rank == 1 && axis->dims[0] >= 0 && axis->dims[0] != 1))
        return accel_fail(err, ACCEL_E_INVALID, "input 1 'axis' is not one number");
    return unsqueeze_infer(in, err);
}

/* ---------------------------------------------------------------- Identity */

static int identity_infer(struct accel_infer *in, struct accel_error *err)
{
    in->out[0]->kind = in->in[0]->kind;
    accel_infer_same(in, err);
    return pass_ints(in, err);
}

static int identity_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];

    return accel_is_list(x) || accel_is_none(x) ? accel_run_give(run, 0, x, err)
                                                : copy_run(run, err);
}

/* ---------------------------------------------------------------- Constant, ConstantOfShape */

/* Whatever attribute the constant is in, as a tensor. */
/* A large tensor is a slice of the file, which is gone when the node runs: folding may be off. */
static int keep_bytes(struct accel_tensor *t, struct accel_bump *mem, struct accel_error *err)
{
    if (t->size_bytes <= ACCEL_CONSTANT_SMALL || accel_dtype_size(t->dtype) == 0)
        return ACCEL_OK;
    void *copy = accel_bump_alloc(mem, t->size_bytes, 1);
    if (copy == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its value");
    t->data = memcpy(copy, t->data, t->size_bytes);
    return ACCEL_OK;
}

static const void *string_constant(const struct accel_attr *a, struct accel_tensor *t,
                                   struct accel_bump *mem)
{
    const char **strings = accel_bump_alloc(mem, a->count + 1, sizeof(*strings));

    for (size_t i = 0; strings != NULL && i < a->count; i++)
        strings[i] = a->strings[i].data;
    *t = (struct accel_tensor){
        .dtype = ACCEL_DTYPE_STRING, .data = strings, .size_bytes = a->count * sizeof(char *)};
    return strings;
}

static int constant_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                          struct accel_error *err)
{
    struct accel_tensor *t = accel_bump_alloc(mem, 1, sizeof(*t));

    if (t == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its value");
    *params = t;
    if (n->attrs_count != 1)
        return accel_fail(err, ACCEL_E_INVALID, "%zu values, one is needed", n->attrs_count);
    const struct accel_attr *a = &n->attrs[0];
    const bool list =
        a->type == ACCEL_ATTR_FLOATS || a->type == ACCEL_ATTR_INTS || a->type == ACCEL_ATTR_STRINGS;
    switch (a->type) {
    case ACCEL_ATTR_TENSOR:
        *t = a->tensors[0];
        return keep_bytes(t, mem, err);
    case ACCEL_ATTR_FLOAT:
    case ACCEL_ATTR_FLOATS:
        *t = (struct accel_tensor){.dtype = ACCEL_DTYPE_FLOAT,
                                   .data = (void *)(uintptr_t)a->floats,
                                   .size_bytes = a->count * sizeof(float)};
        break;
    case ACCEL_ATTR_STRING:
    case ACCEL_ATTR_STRINGS:
        if (string_constant(a, t, mem) == NULL)
            return accel_fail(err, ACCEL_E_NOMEM, "no memory for its value");
        break;
    case ACCEL_ATTR_INT:
    case ACCEL_ATTR_INTS:
        *t = (struct accel_tensor){.dtype = ACCEL_DTYPE_INT64,
                                   .data = (void *)(uintptr_t)a->ints,
                                   .size_bytes = a->count * sizeof(int64_t)};
        break;
    default:
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "a constant in '%s'", a->name);
    }
    t->rank = list ? 1 : 0;
    t->dims[0] = (int64_t)a->count;
    return ACCEL_OK;
}

static int constant_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_tensor *t = in->node->params;

    (void)err;
    in->out[0]->dtype = t->dtype;
    in->out[0]->shape = accel_shape_of(t);
    return ACCEL_OK;
}

static int constant_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *t = run->node->params;

    (void)err;
    if (t->size_bytes > 0)
        memcpy(run->out[0]->data, t->data, t->size_bytes);
    return ACCEL_OK;
}

static int filled_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                        struct accel_error *err)
{
    const struct accel_tensor *t = accel_attr_tensor(n, "value");

    (void)mem;
    (void)params;
    if (t != NULL &&
        (accel_dtype_size(t->dtype) == 0 || t->size_bytes != accel_dtype_size(t->dtype)))
        return accel_fail(err, ACCEL_E_INVALID, "its value is not one number");
    return ACCEL_OK;
}

static int filled_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_tensor *t = accel_attr_tensor(in->node, "value");
    const struct accel_shape *s = &in->in[0]->shape;
    struct accel_type *y = in->out[0];
    int64_t dims[ACCEL_RANK_MAX];
    size_t n;

    y->dtype = t != NULL ? t->dtype : ACCEL_DTYPE_FLOAT;
    if (s->rank != 1 || s->dims[0] > ACCEL_RANK_MAX)
        return accel_fail(err, ACCEL_E_INVALID, "input 0 is no list of at most %d dimensions",
                          ACCEL_RANK_MAX);
    if (!accel_infer_partial(in, 0, dims, ACCEL_RANK_MAX, &n)) {
        open_dims(&y->shape, s);
        return ACCEL_OK;
    }
    y->shape = (struct accel_shape){.has_rank = true, .rank = (uint32_t)n};
    for (size_t i = 0; i < n; i++) {
        if (dims[i] != ACCEL_INT_ANY && dims[i] < 0)
            return accel_fail(err, ACCEL_E_INVALID, "dimension %zu is negative (%" PRId64 ")", i,
                              dims[i]);
        y->shape.dims[i] = dims[i] == ACCEL_INT_ANY ? ACCEL_DIM_ANY : dims[i];
    }
    return ACCEL_OK;
}

static int filled_run(struct accel_run *run, struct accel_error *err)
{
    static const uint8_t zero[16];
    const struct accel_tensor *t = accel_attr_tensor(run->node, "value");
    const size_t size = accel_dtype_size(run->out[0]->dtype);

    (void)err;
    accel_fill(size, run->out[0]->size_bytes / size, t != NULL ? t->data : zero, run->out[0]->data);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- the entries */

#define ANY ACCEL_T_ALL
#define I64 ACCEL_T(INT64)

static const struct accel_attr_rule shape_attrs[] = {
    {"start", ACCEL_ATTR_INT, 0}, {"end", ACCEL_ATTR_INT, 0}, {0}};
static const struct accel_attr_rule reshape_attrs[] = {{"allowzero", ACCEL_ATTR_INT, 0}, {0}};
static const struct accel_attr_rule axis_attrs[] = {{"axis", ACCEL_ATTR_INT, 0}, {0}};
static const struct accel_attr_rule axes_attrs[] = {{"axes", ACCEL_ATTR_INTS, 0}, {0}};
static const struct accel_attr_rule axes_required[] = {
    {"axes", ACCEL_ATTR_INTS, ACCEL_ATTR_REQUIRED}, {0}};
static const struct accel_attr_rule constant_attrs[] = {
    /* The loader has made it dense. */
    {"sparse_value", ACCEL_ATTR_TENSOR, 0},
    {"value", ACCEL_ATTR_TENSOR, 0},
    {"value_float", ACCEL_ATTR_FLOAT, 0},
    {"value_floats", ACCEL_ATTR_FLOATS, 0},
    {"value_int", ACCEL_ATTR_INT, 0},
    {"value_ints", ACCEL_ATTR_INTS, 0},
    {"value_string", ACCEL_ATTR_STRING, 0},
    {"value_strings", ACCEL_ATTR_STRINGS, 0},
    {0}};
static const struct accel_attr_rule filled_attrs[] = {{"value", ACCEL_ATTR_TENSOR, 0}, {0}};

#define VIEW(op, version, function, rules)                                                        \
    {                                                                                             \
        .name = op, .domain = "", .since = version, .flags = ACCEL_OP_VIEW,                       \
        .kind = ACCEL_KIND_MOVE, .in = {{"data", ANY, 'T', 0}}, .out = {{"output", ANY, 'T', 0}}, \
        .attrs = rules, .infer = function, .run = copy_run                                        \
    }

const struct accel_op accel_ops_shape[] = {
    {.name = "Shape",
     .domain = "",
     .since = 1,
     .flags = ACCEL_OP_ANY_RANK,
     .kind = ACCEL_KIND_MOVE,
     .in = {{"data", ANY, 'T', 0}},
     .out = {{"shape", I64, 0, 0}},
     .attrs = shape_attrs,
     .infer = shape_infer,
     .run = shape_run},
    {.name = "Size",
     .domain = "",
     .since = 1,
     .flags = ACCEL_OP_ANY_RANK,
     .kind = ACCEL_KIND_MOVE,
     .in = {{"data", ANY, 'T', 0}},
     .out = {{"size", I64, 0, 0}},
     .infer = size_infer,
     .run = size_run},
    {.name = "Reshape",
     .domain = "",
     .since = 5,
     .flags = ACCEL_OP_VIEW,
     .kind = ACCEL_KIND_MOVE,
     .in = {{"data", ANY, 'T', 0}, {"shape", I64, 0, 0}},
     .out = {{"reshaped", ANY, 'T', 0}},
     .attrs = reshape_attrs,
     .infer = reshape_infer,
     .run = copy_run},
    VIEW("Flatten", 1, flatten_infer, axis_attrs),
    VIEW("Squeeze", 1, squeeze_infer, axes_attrs),
    {.name = "Squeeze",
     .domain = "",
     .since = 13,
     .flags = ACCEL_OP_VIEW,
     .kind = ACCEL_KIND_MOVE,
     .in = {{"data", ANY, 'T', 0}, {"axes", I64, 0, ACCEL_ARG_OPTIONAL}},
     .out = {{"squeezed", ANY, 'T', 0}},
     .infer = squeeze_infer,
     .run = copy_run},
    VIEW("Unsqueeze", 1, unsqueeze_infer, axes_required),
    {.name = "Unsqueeze",
     .domain = "",
     .since = 13,
     .flags = ACCEL_OP_VIEW,
     .kind = ACCEL_KIND_MOVE,
     .in = {{"data", ANY, 'T', 0}, {"axes", I64, 0, 0}},
     .out = {{"expanded", ANY, 'T', 0}},
     .infer = unsqueeze_infer,
     .run = copy_run},
    {.name = "ExpandDims",
     .domain = "com.microsoft",
     .since = 1,
     .flags = ACCEL_OP_VIEW,
     .kind = ACCEL_KIND_MOVE,
     .in = {{"X", ANY, 'T', 0}, {"axis", ACCEL_T(INT32), 0, 0}},
     .out = {{"Y", ANY, 'T', 0}},
     .infer = expand_dims_infer,
     .run = copy_run},
    {.name = "Identity",
     .domain = "",
     .since = 1,
     .flags = ACCEL_OP_VIEW | ACCEL_OP_ANY_RANK,
     .kind = ACCEL_KIND_MOVE,
     .in = {{"input", ANY, 'V', ACCEL_ARG_ANY_KIND}},
     .out = {{"output", ANY, 'V', ACCEL_ARG_ANY_KIND}},
     .infer = identity_infer,
     .run = identity_run},
    /* ONNX Runtime's example of an operator: an Identity. */
    {.name = "SampleOp",
     .domain = "com.microsoft",
     .since = 1,
     .flags = ACCEL_OP_VIEW,
     .kind = ACCEL_KIND_MOVE,
     .in = {{"X", ACCEL_T(FLOAT), 'T', 0}},
     .out = {{"Y", ACCEL_T(FLOAT), 'T', 0}},
     .infer = accel_infer_same,
     .run = copy_run},
    {.name = "Constant",
     .domain = "",
     .since = 1,
     .kind = ACCEL_KIND_MOVE,
     .out = {{"output", ANY, 0, 0}},
     .attrs = constant_attrs,
     .parse = constant_parse,
     .infer = constant_infer,
     .run = constant_run},
    {.name = "ConstantOfShape",
     .domain = "",
     .since = 9,
     .kind = ACCEL_KIND_MOVE,
     .in = {{"input", I64, 0, 0}},
     .out = {{"output", ANY, 0, 0}},
     .attrs = filled_attrs,
     .parse = filled_parse,
     .infer = filled_infer,
     .run = filled_run},
    {0},
};
