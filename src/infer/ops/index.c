/* SPDX-License-Identifier: Apache-2.0 */
/* Operators that address elements by indices, and those that make or choose them: ScatterND,
 * ScatterElements, Scatter, GatherND, GatherElements, NonZero, TopK, OneHot, Trilu, EyeLike,
 * Range. */
#include "infer/kernels/kernels.h"
#include "infer/ops/op.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static bool given(const struct accel_node *n, size_t i)
{
    return i < n->inputs_count && n->inputs[i] != NULL;
}

static size_t count_of(const struct accel_tensor *t)
{
    return t->size_bytes / accel_element_bytes(t->dtype);
}

/* Index i of an INT32 or INT64 tensor, negative ones counted from the end of `dim`. */
static int index_at(const struct accel_tensor *t, size_t i, int64_t dim, size_t *out,
                    struct accel_error *err)
{
    const int64_t k = t->dtype == ACCEL_DTYPE_INT64 ? ((const int64_t *)t->data)[i]
                                                    : ((const int32_t *)t->data)[i];

    if (k < -dim || k >= dim)
        return accel_fail(err, ACCEL_E_INVALID, "index %" PRId64 " is outside an axis of %" PRId64,
                          k, dim);
    *out = (size_t)(k < 0 ? k + dim : k);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- reductions of Scatter */

enum reduction { REPLACE, ADD, MUL, MAX, MIN };

static int reduction_of(const struct accel_node *n, enum reduction *out, struct accel_error *err)
{
    static const char *const names[] = {"none", "add", "mul", "max", "min"};
    const char *name = accel_attr_string(n, "reduction", "none");
    unsigned k = 0;

    while (k < ACCEL_COUNT(names) && strcmp(names[k], name) != 0)
        k++;
    if (k == ACCEL_COUNT(names))
        return accel_fail(err, ACCEL_E_INVALID, "reduction is '%s'", name);
    *out = (enum reduction)k;
    return ACCEL_OK;
}

static int scatter_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                         struct accel_error *err)
{
    enum reduction r = REPLACE;

    (void)mem;
    (void)params;
    return reduction_of(n, &r, err);
}

static void combine(const struct accel_kernels *k, enum reduction r, enum accel_dtype dtype,
                    size_t n, const void *x, void *y);

/* y[i] = y[i] op x[i]. U: the unsigned type of the size, in which integers wrap. */
#define REDUCE(T, U)                                                                    \
    do {                                                                                \
        T *to = y;                                                                      \
        const T *from = x;                                                              \
        for (size_t i = 0; i < n; i++)                                                  \
            to[i] = r == ADD   ? (T)((U)to[i] + (U)from[i])                             \
                    : r == MUL ? (T)((U)to[i] * (U)from[i])                             \
                    : r == MAX ? (from[i] > to[i] || to[i] != to[i] ? from[i] : to[i])  \
                               : (from[i] < to[i] || to[i] != to[i] ? from[i] : to[i]); \
    } while (0)
#define REDUCE_INT(T, U)                                    \
    do {                                                    \
        T *to = y;                                          \
        const T *from = x;                                  \
        for (size_t i = 0; i < n; i++)                      \
            to[i] = r == ADD   ? (T)((U)to[i] + (U)from[i]) \
                    : r == MUL ? (T)((U)to[i] * (U)from[i]) \
                    : r == MAX ? ACCEL_MAX(from[i], to[i])  \
                               : ACCEL_MIN(from[i], to[i]); \
    } while (0)

/* Halves by way of float, a row at a time. */
static void combine_halves(const struct accel_kernels *k, enum reduction r, enum accel_dtype dtype,
                           size_t n, const char *from, char *to)
{
    float x[64], y[64];

    for (size_t at = 0; at < n; at += ACCEL_COUNT(x)) {
        const size_t m = ACCEL_MIN(ACCEL_COUNT(x), n - at);

        accel_convert(k, NULL, m, dtype, from + at * 2, ACCEL_DTYPE_FLOAT, x);
        accel_convert(k, NULL, m, dtype, to + at * 2, ACCEL_DTYPE_FLOAT, y);
        combine(k, r, ACCEL_DTYPE_FLOAT, m, x, y);
        accel_convert(k, NULL, m, ACCEL_DTYPE_FLOAT, y, dtype, to + at * 2);
    }
}

static void combine(const struct accel_kernels *k, enum reduction r, enum accel_dtype dtype,
                    size_t n, const void *x, void *y)
{
    if (r == REPLACE) {
        memcpy(y, x, n * accel_element_bytes(dtype));
        return;
    }
    switch (dtype) {
    case ACCEL_DTYPE_FLOAT16:
    case ACCEL_DTYPE_BFLOAT16:
        combine_halves(k, r, dtype, n, x, y);
        break;
    case ACCEL_DTYPE_BOOL: /* the sum is or, the product and */
        for (size_t i = 0; i < n; i++)
            ((uint8_t *)y)[i] = r == ADD || r == MAX ? ((uint8_t *)y)[i] | ((const uint8_t *)x)[i]
                                                     : ((uint8_t *)y)[i] & ((const uint8_t *)x)[i];
        break;
    case ACCEL_DTYPE_FLOAT:
        REDUCE(float, float);
        break;
    case ACCEL_DTYPE_DOUBLE:
        REDUCE(double, double);
        break;
    case ACCEL_DTYPE_INT8:
        REDUCE_INT(int8_t, uint32_t);
        break;
    case ACCEL_DTYPE_UINT8:
        REDUCE_INT(uint8_t, uint32_t);
        break;
    case ACCEL_DTYPE_INT16:
        REDUCE_INT(int16_t, uint32_t);
        break;
    case ACCEL_DTYPE_UINT16:
        REDUCE_INT(uint16_t, uint32_t);
        break;
    case ACCEL_DTYPE_INT32:
        REDUCE_INT(int32_t, uint32_t);
        break;
    case ACCEL_DTYPE_UINT32:
        REDUCE_INT(uint32_t, uint32_t);
        break;
    case ACCEL_DTYPE_INT64:
        REDUCE_INT(int64_t, uint64_t);
        break;
    default:
        REDUCE_INT(uint64_t, uint64_t);
    }
}

/* infer has seen to it that a reduction is of numbers. */
static int check_reduction(const struct accel_infer *in, struct accel_error *err)
{
    enum reduction r = REPLACE;
    const int rc = reduction_of(in->node, &r, err);
    const uint32_t types =
        ACCEL_T_NUMBERS | ACCEL_T_HALVES | ACCEL_T(BOOL) | (r == ADD ? ACCEL_T(STRING) : 0);

    if (rc == ACCEL_OK && r != REPLACE && (types >> in->in[0]->dtype & 1) == 0)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "a reduction of %s",
                          accel_dtype_name(in->in[0]->dtype));
    return rc;
}

/* The sum of strings is one behind the other. */
static int append(struct accel_run *run, size_t n, const char *const *x, const char **y,
                  struct accel_error *err)
{
    for (size_t i = 0; i < n; i++) {
        const size_t head = strlen(y[i]), tail = strlen(x[i]);
        void *memory;
        const int rc = accel_run_memory(run, head + tail + 1, &memory, err);

        if (rc != ACCEL_OK)
            return rc;
        memcpy(memory, y[i], head);
        memcpy((char *)memory + head, x[i], tail);
        y[i] = memory;
    }
    return ACCEL_OK;
}

/* n elements of the updates from element `from` on into the output from `to` on. */
static int scatter(struct accel_run *run, enum reduction r, size_t n, size_t from, size_t to,
                   struct accel_error *err)
{
    const enum accel_dtype dtype = run->out[0]->dtype;
    const size_t size = accel_element_bytes(dtype);
    const char *x = (const char *)run->in[2]->data + from * size;
    char *y = (char *)run->out[0]->data + to * size;

    if (dtype == ACCEL_DTYPE_STRING && r == ADD)
        return append(run, n, (const char *const *)(const void *)x, (const char **)(void *)y, err);
    combine(run->kernels, r, dtype, n, x, y);
    return ACCEL_OK;
}

static void copy_data(const struct accel_tensor *from, const struct accel_tensor *to)
{
    if (from->data != to->data && from->size_bytes > 0)
        memcpy(to->data, from->data, from->size_bytes);
}

/* ---------------------------------------------------------------- ScatterND, GatherND */

/* Of GatherND the axes before the indexed ones are shared with the indices: batch_dims. */
static int nd_depth(const struct accel_shape *x, const struct accel_shape *indices, int64_t batch,
                    int64_t *depth, struct accel_error *err)
{
    if (indices->rank == 0)
        return accel_fail(err, ACCEL_E_INVALID, "indices are a scalar");
    *depth = indices->dims[indices->rank - 1];
    if (batch < 0 || batch >= (int64_t)indices->rank || batch > (int64_t)x->rank ||
        (*depth >= 0 && *depth > (int64_t)x->rank - batch))
        return accel_fail(err, ACCEL_E_INVALID,
                          "indices of %" PRId64 " axes and %" PRId64 " of batch into rank %u",
                          *depth, batch, x->rank);
    for (int64_t i = 0; i < batch; i++)
        if (x->dims[i] >= 0 && indices->dims[i] >= 0 && x->dims[i] != indices->dims[i])
            return accel_fail(err, ACCEL_E_INVALID, "batch dimension %" PRId64 " differs", i);
    return ACCEL_OK;
}

static int scatter_nd_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape, *at = &in->in[1]->shape,
                             *u = &in->in[2]->shape;
    int64_t depth;
    int rc = nd_depth(x, at, 0, &depth, err);

    if (rc == ACCEL_OK)
        rc = check_reduction(in, err);
    if (rc != ACCEL_OK)
        return rc;
    if (depth >= 0) {
        const uint32_t lead = at->rank - 1, rest = x->rank - (uint32_t)depth;

        if (u->rank != lead + rest)
            return accel_fail(err, ACCEL_E_INVALID, "updates of rank %u instead of %u", u->rank,
                              lead + rest);
        for (uint32_t i = 0; i < u->rank; i++) {
            const int64_t want = i < lead ? at->dims[i] : x->dims[(uint32_t)depth + i - lead];

            if (u->dims[i] >= 0 && want >= 0 && u->dims[i] != want)
                return accel_fail(err, ACCEL_E_INVALID,
                                  "updates: dimension %u is %" PRId64 " instead of %" PRId64, i,
                                  u->dims[i], want);
        }
    }
    return accel_infer_same(in, err);
}

/* Element offset that the index tuple number i, of `depth` axes from `first` on, points at. */
static int tuple_offset(const struct accel_tensor *x, const struct accel_tensor *indices, size_t i,
                        uint32_t first, size_t depth, size_t *offset, struct accel_error *err)
{
    size_t k = 0;

    *offset = 0;
    for (size_t d = 0; d < depth; d++) {
        const int rc = index_at(indices, i * depth + d, x->dims[first + d], &k, err);

        if (rc != ACCEL_OK)
            return rc;
        *offset = *offset * (size_t)x->dims[first + d] + k;
    }
    *offset *= accel_dims_product(x->dims, first + (uint32_t)depth, x->rank);
    return ACCEL_OK;
}

static int scatter_nd_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0], *at = run->in[1];
    const size_t depth = (size_t)at->dims[at->rank - 1];
    const size_t tuples = accel_dims_product(at->dims, 0, at->rank - 1);
    const size_t n = accel_dims_product(x->dims, (uint32_t)depth, x->rank);
    enum reduction r = REPLACE;
    int rc = reduction_of(run->node, &r, err);

    copy_data(x, run->out[0]);
    for (size_t i = 0; i < tuples && rc == ACCEL_OK; i++) {
        size_t offset;

        rc = tuple_offset(x, at, i, 0, depth, &offset, err);
        if (rc == ACCEL_OK && n > 0)
            rc = scatter(run, r, n, i * n, offset, err);
    }
    return rc;
}

static int gather_nd_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape, *at = &in->in[1]->shape;
    const int64_t batch = accel_attr_int(in->node, "batch_dims", 0);
    struct accel_shape y = {.has_rank = true};
    int64_t depth;
    const int rc = nd_depth(x, at, batch, &depth, err);

    in->out[0]->dtype = in->in[0]->dtype;
    if (rc != ACCEL_OK || depth < 0)
        return rc;
    const uint32_t rest = x->rank - (uint32_t)batch - (uint32_t)depth;
    if (at->rank - 1 + rest > ACCEL_RANK_MAX)
        return accel_fail(err, ACCEL_E_INVALID, "more than %d dimensions", ACCEL_RANK_MAX);
    for (uint32_t i = 0; i + 1 < at->rank; i++)
        y.dims[y.rank++] = at->dims[i];
    for (uint32_t i = x->rank - rest; i < x->rank; i++)
        y.dims[y.rank++] = x->dims[i];
    in->out[0]->shape = y;
    return ACCEL_OK;
}

static int gather_nd_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0], *at = run->in[1];
    const uint32_t batch = (uint32_t)accel_attr_int(run->node, "batch_dims", 0);
    const size_t depth = (size_t)at->dims[at->rank - 1];
    const size_t tuples = accel_dims_product(at->dims, 0, at->rank - 1);
    const size_t batches = accel_dims_product(at->dims, 0, batch);
    const size_t plane = accel_dims_product(x->dims, batch, x->rank);
    const size_t bytes = accel_dims_product(x->dims, batch + (uint32_t)depth, x->rank) *
                         accel_element_bytes(x->dtype);

    for (size_t i = 0; i < tuples; i++) {
        size_t offset;
        const int rc = tuple_offset(x, at, i, batch, depth, &offset, err);

        if (rc != ACCEL_OK)
            return rc;
        offset += i / (tuples / batches) * plane;
        if (bytes > 0)
            memcpy((char *)run->out[0]->data + i * bytes,
                   (const char *)x->data + offset * accel_element_bytes(x->dtype), bytes);
    }
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- by elements along an axis */

static int same_but_axis(const struct accel_shape *x, const struct accel_shape *at, uint32_t axis,
                         struct accel_error *err)
{
    if (at->rank != x->rank)
        return accel_fail(err, ACCEL_E_INVALID, "indices of rank %u into rank %u", at->rank,
                          x->rank);
    for (uint32_t i = 0; i < x->rank; i++)
        if (i != axis && x->dims[i] >= 0 && at->dims[i] > x->dims[i])
            return accel_fail(err, ACCEL_E_INVALID, "indices: dimension %u is larger than data's",
                              i);
    return ACCEL_OK;
}

static int scatter_elements_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape, *at = &in->in[1]->shape;
    uint32_t axis;
    int rc = accel_axis(accel_attr_int(in->node, "axis", 0), x->rank, &axis, err);

    if (rc == ACCEL_OK)
        rc = same_but_axis(x, at, axis, err);
    if (rc == ACCEL_OK)
        rc = check_reduction(in, err);
    if (rc != ACCEL_OK)
        return rc;
    if (in->in[2]->shape.rank != at->rank)
        return accel_fail(err, ACCEL_E_INVALID, "updates and indices differ in rank");
    for (uint32_t i = 0; i < at->rank; i++)
        if (at->dims[i] >= 0 && in->in[2]->shape.dims[i] >= 0 &&
            at->dims[i] != in->in[2]->shape.dims[i])
            return accel_fail(err, ACCEL_E_INVALID, "updates and indices differ in dimension %u",
                              i);
    return accel_infer_same(in, err);
}

/* Offset in x of element number i of `at`, whose coordinate on the axis is its value. */
static int element_offset(const struct accel_tensor *x, const struct accel_tensor *at, size_t i,
                          uint32_t axis, size_t *offset, struct accel_error *err)
{
    size_t rest = i, step = 1, k = 0;
    const int rc = index_at(at, i, x->dims[axis], &k, err);

    *offset = 0;
    for (uint32_t d = x->rank; d-- > 0;) {
        *offset += step * (d == axis ? k : rest % (size_t)at->dims[d]);
        rest /= (size_t)at->dims[d];
        step *= (size_t)x->dims[d];
    }
    return rc;
}

static int scatter_elements_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0], *at = run->in[1];
    const size_t n = count_of(at);
    enum reduction r = REPLACE;
    uint32_t axis = 0;
    int rc = accel_axis(accel_attr_int(run->node, "axis", 0), x->rank, &axis, err);

    if (rc == ACCEL_OK)
        rc = reduction_of(run->node, &r, err);
    copy_data(x, run->out[0]);
    for (size_t i = 0; i < n && rc == ACCEL_OK; i++) {
        size_t offset;

        rc = element_offset(x, at, i, axis, &offset, err);
        if (rc == ACCEL_OK)
            rc = scatter(run, r, 1, i, offset, err);
    }
    return rc;
}

static int gather_elements_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape;
    uint32_t axis;
    int rc = accel_axis(accel_attr_int(in->node, "axis", 0), x->rank, &axis, err);

    if (rc == ACCEL_OK)
        rc = same_but_axis(x, &in->in[1]->shape, axis, err);
    in->out[0]->dtype = in->in[0]->dtype;
    in->out[0]->shape = in->in[1]->shape;
    return rc;
}

static int gather_elements_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0], *at = run->in[1];
    const size_t n = count_of(at), size = accel_element_bytes(x->dtype);
    uint32_t axis = 0;
    int rc = accel_axis(accel_attr_int(run->node, "axis", 0), x->rank, &axis, err);

    for (size_t i = 0; i < n && rc == ACCEL_OK; i++) {
        size_t offset;

        rc = element_offset(x, at, i, axis, &offset, err);
        if (rc == ACCEL_OK)
            memcpy((char *)run->out[0]->data + i * size, (const char *)x->data + offset * size,
                   size);
    }
    return rc;
}

/* ---------------------------------------------------------------- NonZero */

static int nonzero_infer(struct accel_infer *in, struct accel_error *err)
{
    (void)err;
    in->out[0]->dtype = ACCEL_DTYPE_INT64;
    /* ONNX Runtime's answer for a scalar has one row as well. */
    in->out[0]->shape =
        (struct accel_shape){.has_rank = true,
                             .rank = 2,
                             .dims = {ACCEL_MAX((int64_t)in->in[0]->shape.rank, 1), ACCEL_DIM_ANY}};
    return ACCEL_OK;
}

static bool is_nonzero(const struct accel_tensor *x, size_t i)
{
    static const uint8_t zero[16];
    const size_t size = accel_element_bytes(x->dtype);

    /* By value, not by bytes: -0 is zero. */
    if (x->dtype == ACCEL_DTYPE_FLOAT)
        return ((const float *)x->data)[i] != 0;
    if (x->dtype == ACCEL_DTYPE_DOUBLE)
        return ((const double *)x->data)[i] != 0;
    return memcmp((const char *)x->data + i * size, zero, size) != 0;
}

static int nonzero_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    const size_t n = count_of(x);
    const size_t rows = x->rank > 0 ? x->rank : 1;
    size_t found = 0, at = 0;

    for (size_t i = 0; i < n; i++)
        found += is_nonzero(x, i);
    const struct accel_shape shape = {
        .has_rank = true, .rank = 2, .dims = {(int64_t)rows, (int64_t)found}};
    const int rc = accel_run_output(run, 0, &shape, err);
    if (rc != ACCEL_OK || run->out[0] == NULL)
        return rc;
    int64_t *y = run->out[0]->data;
    for (size_t i = 0; i < n; i++) {
        size_t rest = i;

        if (!is_nonzero(x, i))
            continue;
        if (x->rank == 0)
            y[at] = 0;
        for (uint32_t d = x->rank; d-- > 0;) {
            y[d * found + at] = (int64_t)(rest % (size_t)x->dims[d]);
            rest /= (size_t)x->dims[d];
        }
        at++;
    }
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- TopK */

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

/* ---------------------------------------------------------------- OneHot */

static int onehot_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *at = &in->in[0]->shape, *v = &in->in[2]->shape;
    struct accel_shape y = {.has_rank = true, .rank = at->rank + 1};
    int64_t depth = ACCEL_DIM_ANY;
    float real;
    size_t count;
    uint32_t axis;

    if (y.rank > ACCEL_RANK_MAX)
        return accel_fail(err, ACCEL_E_INVALID, "more than %d dimensions", ACCEL_RANK_MAX);
    if (v->rank != 1 || (v->dims[0] >= 0 && v->dims[0] != 2))
        return accel_fail(err, ACCEL_E_INVALID, "values must be [off, on]");
    const int rc = accel_axis(accel_attr_int(in->node, "axis", -1), y.rank, &axis, err);
    if (rc != ACCEL_OK)
        return rc;
    if (accel_infer_ints(in, 1, &depth, 1, &count)) {
        depth = count == 1 ? depth : -1;
    } else if (accel_infer_floats(in, 1, &real, 1, &count)) {
        depth = count == 1 && real >= 0 && real < 0x1p31f ? (int64_t)real : -1;
    } else {
        count = 0;
    }
    if (count > 0 && depth < 0)
        return accel_fail(err, ACCEL_E_INVALID, "depth is no size");
    for (uint32_t i = 0; i < y.rank; i++)
        y.dims[i] = i < axis ? at->dims[i] : i == axis ? depth : at->dims[i - 1];
    in->out[0]->dtype = in->in[2]->dtype;
    in->out[0]->shape = y;
    return ACCEL_OK;
}

static int onehot_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    size_t n;

    if (!accel_shape_elements(&prep->in[0]->shape, &n) ||
        __builtin_mul_overflow(n, sizeof(int64_t), &prep->scratch_bytes))
        return accel_fail(err, ACCEL_E_INVALID, "its work space overflows");
    return ACCEL_OK;
}

static int onehot_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *at = run->in[0], *y = run->out[0];
    const size_t size = accel_element_bytes(y->dtype), n = count_of(at);
    const int64_t *index = run->scratch;
    uint32_t axis = 0;

    if (accel_axis(accel_attr_int(run->node, "axis", -1), y->rank, &axis, err) != ACCEL_OK)
        return ACCEL_E_INVALID;
    if (!accel_convert(run->kernels, run->pool, n, at->dtype, at->data, ACCEL_DTYPE_INT64,
                       run->scratch))
        return accel_fail(err, ACCEL_E_INTERNAL, "no conversion for this type");
    const int64_t depth = y->dims[axis];
    const size_t inner = accel_dims_product(y->dims, axis + 1, y->rank);
    accel_fill(size, y->size_bytes / size, run->in[2]->data, y->data);
    for (size_t i = 0; i < n; i++) {
        const int64_t k = index[i] < 0 ? index[i] + depth : index[i];

        if (k >= 0 && k < depth) /* others are all off */
            memcpy((char *)y->data +
                       ((i / inner * (size_t)depth + (size_t)k) * inner + i % inner) * size,
                   (const char *)run->in[2]->data + size, size);
    }
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- Trilu, EyeLike, Range */

static int trilu_infer(struct accel_infer *in, struct accel_error *err)
{
    if (in->in[0]->shape.rank < 2)
        return accel_fail(err, ACCEL_E_INVALID, "an input of rank %u", in->in[0]->shape.rank);
    return accel_infer_same(in, err);
}

static int trilu_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    const size_t size = accel_element_bytes(x->dtype);
    const bool upper = accel_attr_int(run->node, "upper", 1) != 0;
    const int64_t rows = x->dims[x->rank - 2], columns = x->dims[x->rank - 1];
    const size_t matrices = accel_dims_product(x->dims, 0, x->rank - 2);
    int64_t k = 0;

    if (given(run->node, 1)) {
        if (run->in[1]->size_bytes != sizeof(k))
            return accel_fail(err, ACCEL_E_INVALID, "k is no scalar");
        k = *(const int64_t *)run->in[1]->data;
    }
    /* Beyond the corners nothing changes any more. */
    k = ACCEL_MAX(-rows, ACCEL_MIN(k, columns));
    copy_data(x, run->out[0]);
    for (size_t r = 0; r < matrices * (size_t)rows; r++) {
        /* Upper keeps column - row >= k, lower keeps column - row <= k. */
        const int64_t edge = (int64_t)(r % (size_t)rows) + k + (upper ? 0 : 1);
        const int64_t cut = ACCEL_MAX((int64_t)0, ACCEL_MIN(edge, columns));
        const int64_t from = upper ? 0 : cut, to = upper ? cut : columns;

        if (to > from)
            memset((char *)run->out[0]->data + (r * (size_t)columns + (size_t)from) * size, 0,
                   (size_t)(to - from) * size);
    }
    return ACCEL_OK;
}

static int eyelike_infer(struct accel_infer *in, struct accel_error *err)
{
    const int64_t dtype = accel_attr_int(in->node, "dtype", (int64_t)in->in[0]->dtype);

    if (in->in[0]->shape.rank != 2)
        return accel_fail(err, ACCEL_E_INVALID, "an input of rank %u", in->in[0]->shape.rank);
    if (dtype < 1 || dtype > ACCEL_DTYPE_LAST ||
        (1u << dtype & (ACCEL_T_NUMBERS | ACCEL_T_HALVES | ACCEL_T(BOOL))) == 0)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "dtype %" PRId64, dtype);
    in->out[0]->dtype = (enum accel_dtype)dtype;
    in->out[0]->shape = in->in[0]->shape;
    return ACCEL_OK;
}

static int eyelike_run(struct accel_run *run, struct accel_error *err)
{
    const float one = 1;
    const struct accel_tensor *y = run->out[0];
    const size_t size = accel_element_bytes(y->dtype);
    const int64_t k = accel_attr_int(run->node, "k", 0);
    const int64_t rows = y->dims[0], columns = y->dims[1];
    uint8_t value[16] = {0};

    if (!accel_convert(run->kernels, NULL, 1, ACCEL_DTYPE_FLOAT, &one, y->dtype, value))
        return accel_fail(err, ACCEL_E_INTERNAL, "no conversion for this type");
    if (y->size_bytes == 0)
        return ACCEL_OK;
    memset(y->data, 0, y->size_bytes);
    if (k <= -rows || k >= columns)
        return ACCEL_OK;
    for (int64_t i = k < 0 ? -k : 0; i < rows && i + k < columns; i++)
        memcpy((char *)y->data + (size_t)(i * columns + i + k) * size, value, size);
    return ACCEL_OK;
}

/* max(0, ceil((limit - start) / delta)); false: not a size. */
static bool range_count(const struct accel_type *const *in, int64_t *count)
{
    const enum accel_dtype dtype = in[0]->dtype;

    if (dtype == ACCEL_DTYPE_FLOAT || dtype == ACCEL_DTYPE_DOUBLE) {
        double v[3];

        for (size_t i = 0; i < 3; i++)
            v[i] = dtype == ACCEL_DTYPE_FLOAT ? (double)*(const float *)in[i]->data->data
                                              : *(const double *)in[i]->data->data;
        const double n = ceil((v[1] - v[0]) / v[2]);
        if (!(n < 0x1p62))
            return false;
        *count = n > 0 ? (int64_t)n : 0;
        return true;
    }
    int64_t v[3];
    for (size_t i = 0; i < 3; i++) {
        const void *p = in[i]->data->data;

        v[i] = dtype == ACCEL_DTYPE_INT16   ? *(const int16_t *)p
               : dtype == ACCEL_DTYPE_INT32 ? *(const int32_t *)p
                                            : *(const int64_t *)p;
    }
    int64_t span;
    if (v[2] == 0 || v[2] == INT64_MIN || __builtin_sub_overflow(v[1], v[0], &span))
        return false;
    *count = span / v[2] + (span % v[2] != 0 && (span > 0) == (v[2] > 0));
    *count = ACCEL_MAX(*count, (int64_t)0);
    return true;
}

static int range_infer(struct accel_infer *in, struct accel_error *err)
{
    int64_t count = ACCEL_DIM_ANY;
    bool known = true;

    for (size_t i = 0; i < 3; i++) {
        const struct accel_shape *s = &in->in[i]->shape;
        size_t n;

        if (accel_shape_static(s) && (!accel_shape_elements(s, &n) || n != 1))
            return accel_fail(err, ACCEL_E_INVALID, "input %zu is no scalar", i);
        known = known && in->in[i]->data != NULL && in->in[i]->data->data != NULL;
    }
    if (known && !range_count(in->in, &count))
        return accel_fail(err, ACCEL_E_INVALID, "start, limit and delta give no sequence");
    in->out[0]->dtype = in->in[0]->dtype;
    in->out[0]->shape = (struct accel_shape){.has_rank = true, .rank = 1, .dims = {count}};
    return ACCEL_OK;
}

#define FILL_RANGE(T, U)                              \
    do {                                              \
        const T start = *(const T *)run->in[0]->data; \
        const T delta = *(const T *)run->in[2]->data; \
        T *y = run->out[0]->data;                     \
        for (size_t i = 0; i < n; i++)                \
            y[i] = (T)((U)start + (U)i * (U)delta);   \
    } while (0)

static int range_run(struct accel_run *run, struct accel_error *err)
{
    const size_t n = count_of(run->out[0]);

    (void)err;
    switch (run->out[0]->dtype) {
    case ACCEL_DTYPE_FLOAT:
        FILL_RANGE(float, float);
        break;
    case ACCEL_DTYPE_DOUBLE:
        FILL_RANGE(double, double);
        break;
    case ACCEL_DTYPE_INT16:
        FILL_RANGE(int16_t, uint32_t);
        break;
    case ACCEL_DTYPE_INT32:
        FILL_RANGE(int32_t, uint32_t);
        break;
    default:
        FILL_RANGE(int64_t, uint64_t);
    }
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- the entries */

#define ANY ACCEL_T_ALL
#define FIX ACCEL_T_FIXED
#define NUM ACCEL_T_NUMBERS
#define IND (ACCEL_T(INT32) | ACCEL_T(INT64))
#define I64 ACCEL_T(INT64)
#define RNG (ACCEL_T_FLOATS | ACCEL_T(INT16) | ACCEL_T(INT32) | ACCEL_T(INT64))
#define EYE (NUM | ACCEL_T_HALVES | ACCEL_T(BOOL))

static const struct accel_attr_rule axis_attrs[] = {{"axis", ACCEL_ATTR_INT, 0}, {0}};
static const struct accel_attr_rule axis_reduction[] = {
    {"axis", ACCEL_ATTR_INT, 0}, {"reduction", ACCEL_ATTR_STRING, 0}, {0}};
static const struct accel_attr_rule reduction[] = {{"reduction", ACCEL_ATTR_STRING, 0}, {0}};
static const struct accel_attr_rule batch_attrs[] = {{"batch_dims", ACCEL_ATTR_INT, 0}, {0}};
static const struct accel_attr_rule topk_1[] = {
    {"axis", ACCEL_ATTR_INT, 0}, {"k", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED}, {0}};
/* sorted 0 leaves the order open: sorted will do. */
static const struct accel_attr_rule topk_11[] = {{"axis", ACCEL_ATTR_INT, 0},
                                                 {"largest", ACCEL_ATTR_INT, 0},
                                                 {"sorted", ACCEL_ATTR_INT, ACCEL_ATTR_IGNORED},
                                                 {0}};
static const struct accel_attr_rule trilu_attrs[] = {{"upper", ACCEL_ATTR_INT, 0}, {0}};
static const struct accel_attr_rule eyelike_attrs[] = {
    {"dtype", ACCEL_ATTR_INT, 0}, {"k", ACCEL_ATTR_INT, 0}, {0}};

#define MOVE(op, version) .name = op, .domain = "", .since = version, .kind = ACCEL_KIND_MOVE
#define SCATTER(op, version, rules, infer_fn, run_fn)                                        \
    {                                                                                        \
        MOVE(op, version),                                                                   \
            .in_place = 1,                                                                   \
            .in = {{"data", ANY, 'T', 0}, {"indices", IND, 0, 0}, {"updates", ANY, 'T', 0}}, \
            .out = {{"output", ANY, 'T', 0}}, .attrs = rules, .parse = scatter_parse,        \
            .infer = infer_fn, .run = run_fn                                                 \
    }
#define TOPK(version, rules, ...)                                                  \
    {                                                                              \
        .name = "TopK", .domain = "", .since = version, .kind = ACCEL_KIND_REDUCE, \
        .in = {{"X", NUM, 'T', 0}, __VA_ARGS__},                                   \
        .out = {{"Values", NUM, 'T', 0}, {"Indices", I64, 0, 0}}, .attrs = rules,  \
        .infer = topk_infer, .prepare = topk_prepare, .run = topk_run              \
    }

const struct accel_op accel_ops_index[] = {
    SCATTER("ScatterND", 11, NULL, scatter_nd_infer, scatter_nd_run),
    SCATTER("ScatterND", 16, reduction, scatter_nd_infer, scatter_nd_run),
    SCATTER("Scatter", 9, axis_attrs, scatter_elements_infer, scatter_elements_run),
    SCATTER("ScatterElements", 11, axis_attrs, scatter_elements_infer, scatter_elements_run),
    SCATTER("ScatterElements", 16, axis_reduction, scatter_elements_infer, scatter_elements_run),
    {MOVE("GatherND", 11), .in = {{"data", ANY, 'T', 0}, {"indices", I64, 0, 0}},
     .out = {{"output", ANY, 'T', 0}}, .attrs = batch_attrs, .infer = gather_nd_infer,
     .run = gather_nd_run},
    {MOVE("GatherElements", 11), .in = {{"data", ANY, 'T', 0}, {"indices", IND, 0, 0}},
     .out = {{"output", ANY, 'T', 0}}, .attrs = axis_attrs, .infer = gather_elements_infer,
     .run = gather_elements_run},
    {MOVE("NonZero", 9), .flags = ACCEL_OP_DYNAMIC, .in = {{"X", NUM | ACCEL_T(BOOL), 'T', 0}},
     .out = {{"Y", I64, 0, 0}}, .infer = nonzero_infer, .run = nonzero_run},
    TOPK(1, topk_1, {0}),
    TOPK(10, axis_attrs, {"K", I64, 0, 0}),
    TOPK(11, topk_11, {"K", I64, 0, 0}),
    {MOVE("OneHot", 9),
     .in = {{"indices", NUM, 'I', 0}, {"depth", NUM, 'D', 0}, {"values", ANY, 'T', 0}},
     .out = {{"output", ANY, 'T', 0}}, .attrs = axis_attrs, .infer = onehot_infer,
     .prepare = onehot_prepare, .run = onehot_run},
    {MOVE("Trilu", 14), .in_place = 1,
     .in = {{"input", FIX, 'T', 0}, {"k", I64, 0, ACCEL_ARG_OPTIONAL}},
     .out = {{"output", FIX, 'T', 0}}, .attrs = trilu_attrs, .infer = trilu_infer,
     .run = trilu_run},
    {.name = "Trilu",
     .domain = "com.microsoft",
     .since = 1,
     .kind = ACCEL_KIND_MOVE,
     .in_place = 1,
     .in = {{"X", FIX, 'T', 0}, {"k", I64, 0, ACCEL_ARG_OPTIONAL}},
     .out = {{"Y", FIX, 'T', 0}},
     .attrs = trilu_attrs,
     .infer = trilu_infer,
     .run = trilu_run},
    {MOVE("EyeLike", 9), .in = {{"input", EYE, 'T', 0}}, .out = {{"output", EYE, 0, 0}},
     .attrs = eyelike_attrs, .infer = eyelike_infer, .run = eyelike_run},
    {MOVE("Range", 11),
     .in = {{"start", RNG, 'T', 0}, {"limit", RNG, 'T', 0}, {"delta", RNG, 'T', 0}},
     .out = {{"output", RNG, 'T', 0}}, .infer = range_infer, .run = range_run},
    {0},
};
