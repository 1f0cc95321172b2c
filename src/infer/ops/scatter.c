/* SPDX-License-Identifier: Apache-2.0 */
/* Operators that write elements at indices: ScatterND, ScatterElements, Scatter. */
#include "infer/kernels/kernels.h"
#include "infer/ops/addressing.h"

#include <inttypes.h>
#include <string.h>

/* ---------------------------------------------------------------- the reductions */

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

/* The larger and the smaller of floats, where a NaN that is there gives way. */
#define OVER(x, y)  ((x) > (y) || (y) != (y) ? (x) : (y))
#define UNDER(x, y) ((x) < (y) || (y) != (y) ? (x) : (y))
/* y[i] = y[i] op x[i]. U: the unsigned type of the size, in which integers wrap. */
#define REDUCE_BY(T, U, LARGER, SMALLER)                    \
    do {                                                    \
        T *to = y;                                          \
        const T *from = x;                                  \
        for (size_t i = 0; i < n; i++)                      \
            to[i] = r == ADD   ? (T)((U)to[i] + (U)from[i]) \
                    : r == MUL ? (T)((U)to[i] * (U)from[i]) \
                    : r == MAX ? LARGER(from[i], to[i])     \
                               : SMALLER(from[i], to[i]);   \
    } while (0)
#define REDUCE_FLOAT(T)  REDUCE_BY(T, T, OVER, UNDER)
#define REDUCE_INT(T, U) REDUCE_BY(T, U, ACCEL_MAX, ACCEL_MIN)

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
        REDUCE_FLOAT(float);
        break;
    case ACCEL_DTYPE_DOUBLE:
        REDUCE_FLOAT(double);
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

/* ---------------------------------------------------------------- ScatterND */

static int scatter_nd_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape, *at = &in->in[1]->shape,
                             *u = &in->in[2]->shape;
    int64_t depth;
    int rc = accel_nd_depth(x, at, 0, &depth, err);

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

static int scatter_nd_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0], *at = run->in[1];
    const size_t depth = (size_t)at->dims[at->rank - 1];
    const size_t tuples = accel_dims_product(at->dims, 0, at->rank - 1);
    const size_t n = accel_dims_product(x->dims, (uint32_t)depth, x->rank);
    enum reduction r = REPLACE;
    int rc = reduction_of(run->node, &r, err);

    accel_copy_bytes(x, run->out[0]);
    for (size_t i = 0; i < tuples && rc == ACCEL_OK; i++) {
        size_t offset;

        rc = accel_tuple_offset(x, at, i, 0, depth, &offset, err);
        if (rc == ACCEL_OK && n > 0)
            rc = scatter(run, r, n, i * n, offset, err);
    }
    return rc;
}

/* ---------------------------------------------------------------- ScatterElements, Scatter */

static int scatter_elements_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape, *at = &in->in[1]->shape;
    uint32_t axis;
    int rc = accel_axis(accel_attr_int(in->node, "axis", 0), x->rank, &axis, err);

    if (rc == ACCEL_OK)
        rc = accel_same_but_axis(x, at, axis, err);
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

static int scatter_elements_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0], *at = run->in[1];
    const size_t n = accel_elements(at);
    enum reduction r = REPLACE;
    uint32_t axis = 0;
    int rc = accel_axis(accel_attr_int(run->node, "axis", 0), x->rank, &axis, err);

    if (rc == ACCEL_OK)
        rc = reduction_of(run->node, &r, err);
    accel_copy_bytes(x, run->out[0]);
    for (size_t i = 0; i < n && rc == ACCEL_OK; i++) {
        size_t offset;

        rc = accel_element_offset(x, at, i, axis, &offset, err);
        if (rc == ACCEL_OK)
            rc = scatter(run, r, 1, i, offset, err);
    }
    return rc;
}

/* ---------------------------------------------------------------- the entries */

#define ANY ACCEL_T_ALL
#define IND (ACCEL_T(INT32) | ACCEL_T(INT64))

static const struct accel_attr_rule axis_attrs[] = {{"axis", ACCEL_ATTR_INT, 0}, {0}};
static const struct accel_attr_rule axis_reduction[] = {
    {"axis", ACCEL_ATTR_INT, 0}, {"reduction", ACCEL_ATTR_STRING, 0}, {0}};
static const struct accel_attr_rule reduction[] = {{"reduction", ACCEL_ATTR_STRING, 0}, {0}};

#define MOVE(op, version) .name = op, .domain = "", .since = version, .kind = ACCEL_KIND_MOVE
#define SCATTER(op, version, rules, infer_fn, run_fn)                                        \
    {                                                                                        \
        MOVE(op, version),                                                                   \
            .in_place = 1,                                                                   \
            .in = {{"data", ANY, 'T', 0}, {"indices", IND, 0, 0}, {"updates", ANY, 'T', 0}}, \
            .out = {{"output", ANY, 'T', 0}}, .attrs = rules, .parse = scatter_parse,        \
            .infer = infer_fn, .run = run_fn                                                 \
    }

const struct accel_op accel_ops_scatter[] = {
    SCATTER("ScatterND", 11, NULL, scatter_nd_infer, scatter_nd_run),
    SCATTER("ScatterND", 16, reduction, scatter_nd_infer, scatter_nd_run),
    SCATTER("Scatter", 9, axis_attrs, scatter_elements_infer, scatter_elements_run),
    SCATTER("ScatterElements", 11, axis_attrs, scatter_elements_infer, scatter_elements_run),
    SCATTER("ScatterElements", 16, axis_reduction, scatter_elements_infer, scatter_elements_run),
    {0},
};
