/* SPDX-License-Identifier: Apache-2.0 */
/* TopK. */
#include "infer/ops/op.h"

#include <inttypes.h>
#include <string.h>

static int topk_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape;
    int64_t k = ACCEL_DIM_ANY;
    uint32_t axis;
    size_t count;
    const int rc = accel_axis(accel_attr_int(in->node, "axis", -1), x->rank, &axis, err);

    if (rc != ACCEL_OK)
        return rc;
    if (in->node->op->since < 10)
        k = accel_attr_int(in->node, "k", 0);
    else if (!accel_infer_ints(in, 1, &k, 1, &count) || count != 1)
        k = ACCEL_DIM_ANY;
    else if (k < 0)
        return accel_fail(err, ACCEL_E_INVALID, "k is %" PRId64, k);
    if (k >= 0 && x->dims[axis] >= 0 && k > x->dims[axis])
        return accel_fail(err, ACCEL_E_INVALID, "the %" PRId64 " largest of %" PRId64, k,
                          x->dims[axis]);
    for (size_t o = 0; o < in->node->outputs_count; o++) {
        if (in->out[o] == NULL)
            continue;
        in->out[o]->dtype = o == 0 ? in->in[0]->dtype : ACCEL_DTYPE_INT64;
        in->out[o]->shape = *x;
        in->out[o]->shape.dims[axis] = k;
    }
    return ACCEL_OK;
}

/* One column while it is sorted: element i of it is at[i]. */
struct column {
    const char *base; /* its first element */
    size_t step;      /* elements from one to the next */
    enum accel_dtype dtype;
    bool largest;
};

#define COMPARE(T)                                                           \
    do {                                                                     \
        const T x = ((const T *)(const void *)c->base)[(size_t)a * c->step]; \
        const T y = ((const T *)(const void *)c->base)[(size_t)b * c->step]; \
        if (x != y && !(x != x && y != y))                                   \
            return (x != x || (y == y && x > y)) == c->largest;              \
    } while (0)

/* Does element a come before b? Ties: the lower index. NaN counts as the greatest, as in numpy. */
static bool before(const struct column *c, int64_t a, int64_t b)
{
    switch (c->dtype) {
    case ACCEL_DTYPE_FLOAT:
        COMPARE(float);
        break;
    case ACCEL_DTYPE_DOUBLE:
        COMPARE(double);
        break;
    case ACCEL_DTYPE_INT8:
        COMPARE(int8_t);
        break;
    case ACCEL_DTYPE_UINT8:
        COMPARE(uint8_t);
        break;
    case ACCEL_DTYPE_INT16:
        COMPARE(int16_t);
        break;
    case ACCEL_DTYPE_UINT16:
        COMPARE(uint16_t);
        break;
    case ACCEL_DTYPE_INT32:
        COMPARE(int32_t);
        break;
    case ACCEL_DTYPE_UINT32:
        COMPARE(uint32_t);
        break;
    case ACCEL_DTYPE_INT64:
        COMPARE(int64_t);
        break;
    default:
        COMPARE(uint64_t);
    }
    return a < b;
}

/* Heap of the first n entries with the last in order on top. */
static void sift(const struct column *c, int64_t *heap, size_t i, size_t n)
{
    for (;;) {
        size_t child = 2 * i + 1;

        if (child >= n)
            return;
        if (child + 1 < n && before(c, heap[child], heap[child + 1]))
            child++;
        if (!before(c, heap[i], heap[child]))
            return;
        const int64_t swap = heap[i];
        heap[i] = heap[child];
        heap[child] = swap;
        i = child;
    }
}

/* The first k of n in order, into heap[0..k): keeps the best k in a heap, then takes it apart. */
static void choose(const struct column *c, size_t n, size_t k, int64_t *heap)
{
    for (size_t i = 0; i < k; i++)
        heap[i] = (int64_t)i;
    for (size_t i = k / 2; i-- > 0;)
        sift(c, heap, i, k);
    for (size_t i = k; k > 0 && i < n; i++) {
        if (!before(c, (int64_t)i, heap[0]))
            continue;
        heap[0] = (int64_t)i;
        sift(c, heap, 0, k);
    }
    for (size_t i = k; i-- > 1;) {
        const int64_t swap = heap[0];

        heap[0] = heap[i];
        heap[i] = swap;
        sift(c, heap, 0, i);
    }
}

static int topk_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    uint32_t axis;
    const int rc =
        accel_axis(accel_attr_int(prep->node, "axis", -1), prep->in[0]->shape.rank, &axis, err);

    for (size_t o = 0; o < prep->node->outputs_count && rc == ACCEL_OK; o++)
        if (prep->out[o] != NULL)
            prep->scratch_bytes = (size_t)prep->out[o]->shape.dims[axis] * sizeof(int64_t);
    return rc;
}

static int topk_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    struct accel_tensor *values = run->out[0];
    struct accel_tensor *indices = run->node->outputs_count > 1 ? run->out[1] : NULL;
    const struct accel_tensor *any = values != NULL ? values : indices;
    uint32_t axis = 0;
    const int rc = accel_axis(accel_attr_int(run->node, "axis", -1), x->rank, &axis, err);

    if (rc != ACCEL_OK || any == NULL)
        return rc;
    const size_t size = accel_element_bytes(x->dtype), n = (size_t)x->dims[axis];
    const size_t k = (size_t)any->dims[axis];
    const size_t inner = accel_dims_product(x->dims, axis + 1, x->rank);
    const size_t columns = accel_dims_product(x->dims, 0, axis) * inner;
    int64_t *heap = run->scratch;
    for (size_t j = 0; j < columns && k > 0; j++) {
        const size_t o = j / inner, i = j % inner;
        const struct column c = {.base = (const char *)x->data + (o * n * inner + i) * size,
                                 .step = inner,
                                 .dtype = x->dtype,
                                 .largest = accel_attr_int(run->node, "largest", 1) != 0};

        choose(&c, n, k, heap);
        for (size_t t = 0; t < k; t++) {
            const size_t to = (o * k + t) * inner + i;

            if (indices != NULL)
                ((int64_t *)indices->data)[to] = heap[t];
            if (values != NULL)
                memcpy((char *)values->data + to * size, c.base + (size_t)heap[t] * inner * size,
                       size);
        }
    }
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- the entries */

#define NUM ACCEL_T_NUMBERS
#define I64 ACCEL_T(INT64)

static const struct accel_attr_rule axis_attrs[] = {{"axis", ACCEL_ATTR_INT, 0}, {0}};
static const struct accel_attr_rule topk_1[] = {
    {"axis", ACCEL_ATTR_INT, 0}, {"k", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED}, {0}};
/* sorted 0 leaves the order open: sorted will do. */
static const struct accel_attr_rule topk_11[] = {{"axis", ACCEL_ATTR_INT, 0},
                                                 {"largest", ACCEL_ATTR_INT, 0},
                                                 {"sorted", ACCEL_ATTR_INT, ACCEL_ATTR_IGNORED},
                                                 {0}};

#define TOPK(version, rules, ...)                                                  \
    {                                                                              \
        .name = "TopK", .domain = "", .since = version, .kind = ACCEL_KIND_REDUCE, \
        .in = {{"X", NUM, 'T', 0}, __VA_ARGS__},                                   \
        .out = {{"Values", NUM, 'T', 0}, {"Indices", I64, 0, 0}}, .attrs = rules,  \
        .infer = topk_infer, .prepare = topk_prepare, .run = topk_run              \
    }

const struct accel_op accel_ops_topk[] = {
    TOPK(1, topk_1, {0}),
    TOPK(10, axis_attrs, {"K", I64, 0, 0}),
    TOPK(11, topk_11, {"K", I64, 0, 0}),
    {0},
};
