/* SPDX-License-Identifier: Apache-2.0 */
/* Operators that pick elements by what they are: Compress, Unique. */
#include "infer/kernels/sort.h"

#include "infer/ops/elements.h"
#include "infer/ops/wide.h"

#include <math.h>
#include <string.h>

/* [outer][n][inner]: the axis of the attribute in the middle; without one everything is a line. */
struct view {
    size_t outer, n, inner, size; /* of an element */
};

static int view_of(const struct accel_node *node, const struct accel_tensor *x, struct view *view,
                   uint32_t *axis, struct accel_error *err)
{
    *axis = 0;
    *view = (struct view){
        .outer = 1, .n = accel_elements(x), .inner = 1, .size = accel_element_bytes(x->dtype)};
    if (accel_attr(node, "axis") == NULL)
        return ACCEL_OK;
    const int rc = accel_axis(accel_attr_int(node, "axis", 0), x->rank, axis, err);
    if (rc != ACCEL_OK)
        return rc;
    view->outer = accel_dims_product(x->dims, 0, *axis);
    view->n = (size_t)x->dims[*axis];
    view->inner = accel_dims_product(x->dims, *axis + 1, x->rank);
    return ACCEL_OK;
}

/* The output's shape when `count` of n are picked. */
static struct accel_shape picked_shape(const struct accel_node *node, const struct accel_shape *x,
                                       uint32_t axis, int64_t count)
{
    struct accel_shape shape = {.has_rank = true, .rank = 1, .dims = {count}};

    if (accel_attr(node, "axis") == NULL)
        return shape;
    shape = *x;
    shape.dims[axis] = count;
    return shape;
}

static int picked_infer(struct accel_infer *in, struct accel_error *err)
{
    uint32_t axis = 0;

    if (accel_attr(in->node, "axis") != NULL) {
        const int rc =
            accel_axis(accel_attr_int(in->node, "axis", 0), in->in[0]->shape.rank, &axis, err);

        if (rc != ACCEL_OK)
            return rc;
    }
    in->out[0]->dtype = in->in[0]->dtype;
    in->out[0]->shape = picked_shape(in->node, &in->in[0]->shape, axis, ACCEL_DIM_ANY);
    return ACCEL_OK;
}

/* Column `from` of x becomes column `to` of y, which has `columns`. */
static void copy_column(const struct view *v, const void *x, size_t from, void *y, size_t to,
                        size_t columns)
{
    const size_t bytes = v->inner * v->size;

    for (size_t o = 0; o < v->outer && bytes > 0; o++)
        memcpy((char *)y + (o * columns + to) * bytes, (const char *)x + (o * v->n + from) * bytes,
               bytes);
}

/* ---------------------------------------------------------------- Compress */

static int compress_infer(struct accel_infer *in, struct accel_error *err)
{
    if (in->in[1]->shape.rank != 1)
        return accel_fail(err, ACCEL_E_INVALID, "a condition of rank %u instead of 1",
                          in->in[1]->shape.rank);
    return picked_infer(in, err);
}

static int compress_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0], *c = run->in[1];
    const uint8_t *condition = c->data;
    const struct accel_shape x_shape = accel_shape_of(x);
    struct view view;
    uint32_t axis;
    size_t count = 0, at = 0;
    int rc = view_of(run->node, x, &view, &axis, err);

    if (rc != ACCEL_OK)
        return rc;
    const size_t n = ACCEL_MIN(view.n, c->size_bytes); /* the rest is not picked */
    for (size_t i = 0; i < n; i++)
        count += condition[i] != 0;
    const struct accel_shape shape = picked_shape(run->node, &x_shape, axis, (int64_t)count);
    rc = accel_run_output(run, 0, &shape, err);
    if (rc != ACCEL_OK || run->out[0] == NULL)
        return rc;
    for (size_t i = 0; i < n; i++)
        if (condition[i] != 0)
            copy_column(&view, x->data, i, run->out[0]->data, at++, count);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- Unique */

/* NaNs are equal and come last. */
static int compare_reals(double a, double b)
{
    if (isnan(a) || isnan(b))
        return (isnan(a) != 0) - (isnan(b) != 0);
    return (a > b) - (a < b);
}

#define INTEGERS(T)                                           \
    {                                                         \
        const T a = ((const T *)x)[i], b = ((const T *)x)[j]; \
        return (a > b) - (a < b);                             \
    }
#define REALS(T) return compare_reals((double)((const T *)x)[i], (double)((const T *)x)[j])
#define PAIRS(T)                                                             \
    {                                                                        \
        const T *a = (const T *)x + 2 * i, *b = (const T *)x + 2 * j;        \
        const int real = compare_reals((double)a[0], (double)b[0]);          \
        return real != 0 ? real : compare_reals((double)a[1], (double)b[1]); \
    }

/* Elements i and j of x. Halves are compared as floats, to which prepare's caller widened them. */
static int compare_elements(enum accel_dtype dtype, const void *x, size_t i, size_t j)
{
    switch (dtype) {
    case ACCEL_DTYPE_FLOAT:
        REALS(float);
    case ACCEL_DTYPE_DOUBLE:
        REALS(double);
    case ACCEL_DTYPE_INT8:
        INTEGERS(int8_t)
    case ACCEL_DTYPE_INT16:
        INTEGERS(int16_t)
    case ACCEL_DTYPE_INT32:
        INTEGERS(int32_t)
    case ACCEL_DTYPE_INT64:
        INTEGERS(int64_t)
    case ACCEL_DTYPE_UINT16:
        INTEGERS(uint16_t)
    case ACCEL_DTYPE_UINT32:
        INTEGERS(uint32_t)
    case ACCEL_DTYPE_UINT64:
        INTEGERS(uint64_t)
    case ACCEL_DTYPE_COMPLEX64:
        PAIRS(float)
    case ACCEL_DTYPE_COMPLEX128:
        PAIRS(double)
    case ACCEL_DTYPE_STRING:
        return strcmp(((char *const *)x)[i], ((char *const *)x)[j]);
    default: /* UINT8, BOOL */
        INTEGERS(uint8_t)
    }
}

struct columns {
    struct view view;
    enum accel_dtype dtype;
    const void *x;
    bool nans_differ; /* a NaN is a group of its own; FLOAT, columns of one element */
};

static int compare_columns(const void *context, size_t a, size_t b)
{
    const struct columns *c = context;
    const size_t inner = c->view.inner, n = c->view.n;
    int order = 0;

    for (size_t o = 0; o < c->view.outer && order == 0; o++)
        for (size_t k = 0; k < inner && order == 0; k++)
            order =
                compare_elements(c->dtype, c->x, (o * n + a) * inner + k, (o * n + b) * inner + k);
    return order;
}

/* com.microsoft's, of a list of floats: in order of appearance, and without the first indices. */
static bool is_plain(const struct accel_node *n)
{
    return n->domain[0] != '\0';
}

static int unique_infer(struct accel_infer *in, struct accel_error *err)
{
    if (is_plain(in->node) && in->in[0]->shape.rank != 1)
        return accel_fail(err, ACCEL_E_INVALID, "an input of rank %u instead of 1",
                          in->in[0]->shape.rank);
    for (size_t o = 1; o < in->node->outputs_count; o++) {
        if (in->out[o] == NULL)
            continue;
        in->out[o]->dtype = ACCEL_DTYPE_INT64;
        in->out[o]->shape =
            (struct accel_shape){.has_rank = true, .rank = 1, .dims = {ACCEL_DIM_ANY}};
    }
    return picked_infer(in, err);
}

/* Scratch: order, sorting's work, group of each, first of each group; halves as floats. */
static int unique_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    const bool half = accel_wide_dtype(prep->in[0]->dtype) != prep->in[0]->dtype;
    size_t elements, columns;

    if (!accel_shape_elements(&prep->in[0]->shape, &elements))
        return accel_fail(err, ACCEL_E_INVALID, "its work space overflows");
    columns = elements;
    /* An axis of columns without elements may be longer than the elements are many. */
    for (uint32_t i = 0; i < prep->in[0]->shape.rank; i++)
        columns = ACCEL_MAX(columns, (size_t)prep->in[0]->shape.dims[i]);
    if (__builtin_mul_overflow(columns, 4 * sizeof(size_t), &prep->scratch_bytes) ||
        __builtin_add_overflow(prep->scratch_bytes, half ? elements * sizeof(float) : 0,
                               &prep->scratch_bytes))
        return accel_fail(err, ACCEL_E_INVALID, "its work space overflows");
    return ACCEL_OK;
}

/* order[n] -> group[n] and first[groups], numbered by value, or by first occurrence. */
static size_t make_groups(const struct columns *c, bool sorted, size_t *order, size_t *group,
                          size_t *first)
{
    const size_t n = c->view.n;
    size_t groups = 0;

    for (size_t k = 0; k < n; k++) {
        if (k == 0 || compare_columns(c, order[k - 1], order[k]) != 0 ||
            (c->nans_differ && isnan(((const float *)c->x)[order[k]])))
            first[groups++] = order[k]; /* sorting kept equal ones as they came */
        group[order[k]] = groups - 1;
    }
    if (sorted)
        return groups;
    /* From here on order[] is the new number of each group. */
    size_t next = 0;
    for (size_t i = 0; i < n; i++)
        if (first[group[i]] == i)
            order[group[i]] = next++;
    for (size_t i = 0; i < n; i++)
        group[i] = order[group[i]];
    for (size_t i = n; i-- > 0;)
        first[group[i]] = i;
    return groups;
}

/* The outputs after Y: indices (of ai.onnx alone), inverse_indices, counts. */
static int unique_outputs(struct accel_run *run, size_t n, size_t groups, const size_t *group,
                          const size_t *first, struct accel_error *err)
{
    enum { INDICES, INVERSE, COUNTS };

    for (size_t o = 1; o < run->node->outputs_count; o++) {
        const size_t what = is_plain(run->node) ? o : o - 1;
        const size_t count = what == INVERSE ? n : groups;
        const struct accel_shape shape = {.has_rank = true, .rank = 1, .dims = {(int64_t)count}};

        if (run->out[o] == NULL)
            continue;
        const int rc = accel_run_output(run, o, &shape, err);
        if (rc != ACCEL_OK)
            return rc;
        int64_t *y = run->out[o]->data;
        for (size_t g = 0; what == COUNTS && g < count; g++)
            y[g] = 0;
        for (size_t i = 0; i < (what == COUNTS ? n : count); i++) {
            if (what == COUNTS)
                y[group[i]]++;
            else
                y[i] = (int64_t)(what == INDICES ? first[i] : group[i]);
        }
    }
    return ACCEL_OK;
}

static int unique_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    const struct accel_shape x_shape = accel_shape_of(x);
    const bool plain = is_plain(run->node);
    struct columns c = {.dtype = accel_wide_dtype(x->dtype), .x = x->data, .nans_differ = plain};
    uint32_t axis;
    int rc = view_of(run->node, x, &c.view, &axis, err);

    if (rc != ACCEL_OK)
        return rc;
    const size_t n = c.view.n;
    size_t *order = run->scratch, *work = order + n, *group = work + n, *first = group + n;
    if (c.dtype != x->dtype) {
        accel_convert(run->kernels, run->pool, accel_elements(x), x->dtype, x->data, c.dtype,
                      first + n);
        c.x = first + n;
    }
    for (size_t i = 0; i < n; i++)
        order[i] = i;
    accel_sort_order(n, order, work, compare_columns, &c);
    const size_t groups =
        make_groups(&c, !plain && accel_attr_int(run->node, "sorted", 1) != 0, order, group, first);
    const struct accel_shape shape = picked_shape(run->node, &x_shape, axis, (int64_t)groups);
    rc = accel_run_output(run, 0, &shape, err);
    if (rc != ACCEL_OK)
        return rc;
    for (size_t g = 0; g < groups && run->out[0] != NULL; g++)
        copy_column(&c.view, x->data, first[g], run->out[0]->data, g, groups);
    return unique_outputs(run, n, groups, group, first, err);
}

/* ---------------------------------------------------------------- the entries */

#define ANY  (ACCEL_T_NUMBERS | ACCEL_T_HALVES | ACCEL_T_COMPLEX | ACCEL_T(BOOL) | ACCEL_T(STRING))
#define I64  ACCEL_T(INT64)
#define LATE (ANY & ~ACCEL_T(BFLOAT16)) /* it came with version 28 */

static const struct accel_attr_rule axis_attrs[] = {{"axis", ACCEL_ATTR_INT, 0}, {0}};
static const struct accel_attr_rule unique_attrs[] = {
    {"axis", ACCEL_ATTR_INT, 0}, {"sorted", ACCEL_ATTR_INT, 0}, {0}};

#define PICKS .domain = "", .kind = ACCEL_KIND_MOVE, .flags = ACCEL_OP_DYNAMIC
#define COMPRESS(version, types)                                                          \
    {                                                                                     \
        .name = "Compress", .since = version, PICKS,                                      \
        .in = {{"input", types, 'T', 0}, {"condition", ACCEL_T(BOOL), 0, 0}},             \
        .out = {{"output", types, 'T', 0}}, .attrs = axis_attrs, .infer = compress_infer, \
        .run = compress_run                                                               \
    }
#define UNIQUE(version, types)                                                                     \
    {                                                                                              \
        .name = "Unique", .since = version, PICKS, .in = {{"X", types, 'T', 0}},                   \
        .out = {{"Y", types, 'T', 0},                                                              \
                {"indices", I64, 0, ACCEL_ARG_OPTIONAL},                                           \
                {"inverse_indices", I64, 0, ACCEL_ARG_OPTIONAL},                                   \
                {"counts", I64, 0, ACCEL_ARG_OPTIONAL}},                                           \
        .attrs = unique_attrs, .infer = unique_infer, .prepare = unique_prepare, .run = unique_run \
    }

const struct accel_op accel_ops_select[] = {
    COMPRESS(9, LATE),
    COMPRESS(28, ANY),
    UNIQUE(11, LATE),
    UNIQUE(28, ANY),
    {.name = "Unique",
     .domain = "com.microsoft",
     .since = 1,
     .kind = ACCEL_KIND_MOVE,
     .flags = ACCEL_OP_DYNAMIC,
     .in = {{"x", ACCEL_T(FLOAT), 'T', 0}},
     .out = {{"y", ACCEL_T(FLOAT), 'T', 0}, {"idx", I64, 0, 0}, {"counts", I64, 0, 0}},
     .infer = unique_infer,
     .prepare = unique_prepare,
     .run = unique_run},
    {0},
};
