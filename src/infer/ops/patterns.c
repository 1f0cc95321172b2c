/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors of a pattern: OneHot, Trilu, EyeLike, Range. */
#include "infer/kernels/kernels.h"
#include "infer/ops/elements.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

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
    const size_t size = accel_element_bytes(y->dtype), n = accel_elements(at);
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

    if (accel_given(run->node, 1)) {
        if (run->in[1]->size_bytes != sizeof(k))
            return accel_fail(err, ACCEL_E_INVALID, "k is no scalar");
        k = *(const int64_t *)run->in[1]->data;
    }
    /* Beyond the corners nothing changes any more. */
    k = ACCEL_MAX(-rows, ACCEL_MIN(k, columns));
    accel_copy_bytes(x, run->out[0]);
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

/* max(0, ceil((limit - start) / delta)); false: not a size. A delta left out is 1. */
static bool range_count(const struct accel_infer *in, int64_t *count)
{
    const enum accel_dtype dtype = in->in[0]->dtype;
    const void *p[3] = {NULL};

    for (size_t i = 0; i < 3; i++)
        if (accel_given(in->node, i))
            p[i] = in->in[i]->data->data;

    if (dtype == ACCEL_DTYPE_FLOAT || dtype == ACCEL_DTYPE_DOUBLE) {
        double v[3];

        for (size_t i = 0; i < 3; i++)
            v[i] = p[i] == NULL                 ? 1
                   : dtype == ACCEL_DTYPE_FLOAT ? (double)*(const float *)p[i]
                                                : *(const double *)p[i];
        const double n = ceil((v[1] - v[0]) / v[2]);
        if (v[2] == 0 || !(n < 0x1p62))
            return false;
        *count = n > 0 ? (int64_t)n : 0;
        return true;
    }
    int64_t v[3];
    for (size_t i = 0; i < 3; i++)
        v[i] = p[i] == NULL                 ? 1
               : dtype == ACCEL_DTYPE_INT16 ? *(const int16_t *)p[i]
               : dtype == ACCEL_DTYPE_INT32 ? *(const int32_t *)p[i]
                                            : *(const int64_t *)p[i];
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
        if (!accel_given(in->node, i))
            continue;
        const struct accel_shape *s = &in->in[i]->shape;
        size_t n;
        if (accel_shape_static(s) && (!accel_shape_elements(s, &n) || n != 1))
            return accel_fail(err, ACCEL_E_INVALID, "input %zu is no scalar", i);
        known = known && in->in[i]->data != NULL && in->in[i]->data->data != NULL;
    }
    if (known && !range_count(in, &count))
        return accel_fail(err, ACCEL_E_INVALID, "start, limit and delta give no sequence");
    in->out[0]->dtype = in->in[0]->dtype;
    in->out[0]->shape = (struct accel_shape){.has_rank = true, .rank = 1, .dims = {count}};
    return ACCEL_OK;
}

/* Added up step by step, as the standard's function body and ONNX Runtime do: floats round so. */
#define FILL_RANGE(T, U)                                                              \
    do {                                                                              \
        const T start = *(const T *)run->in[0]->data;                                 \
        const T delta = accel_given(run->node, 2) ? *(const T *)run->in[2]->data : 1; \
        T *y = run->out[0]->data;                                                     \
        U at = (U)start;                                                              \
        for (size_t i = 0; i < n; i++, at += (U)delta)                                \
            y[i] = (T)at;                                                             \
    } while (0)

static int range_run(struct accel_run *run, struct accel_error *err)
{
    const size_t n = accel_elements(run->out[0]);

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
#define I64 ACCEL_T(INT64)
#define RNG (ACCEL_T_FLOATS | ACCEL_T(INT16) | ACCEL_T(INT32) | ACCEL_T(INT64))
#define EYE (ACCEL_T_NUMBERS | ACCEL_T_HALVES | ACCEL_T(BOOL))

static const struct accel_attr_rule axis_attrs[] = {{"axis", ACCEL_ATTR_INT, 0}, {0}};
static const struct accel_attr_rule trilu_attrs[] = {{"upper", ACCEL_ATTR_INT, 0}, {0}};
static const struct accel_attr_rule eyelike_attrs[] = {
    {"dtype", ACCEL_ATTR_INT, 0}, {"k", ACCEL_ATTR_INT, 0}, {0}};

#define MOVE(op, version) .name = op, .domain = "", .since = version, .kind = ACCEL_KIND_MOVE

const struct accel_op accel_ops_patterns[] = {
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
    {.name = "Range",
     .domain = "com.microsoft",
     .since = 1,
     .kind = ACCEL_KIND_MOVE,
     .in = {{"start", RNG, 'T', 0},
            {"limit", RNG, 'T', 0},
            {"delta", RNG, 'T', ACCEL_ARG_OPTIONAL}},
     .out = {{"Y", RNG, 'T', 0}},
     .infer = range_infer,
     .run = range_run},
    {0},
};
