/* SPDX-License-Identifier: Apache-2.0 */
/* com.microsoft CDist, the distances between the rows of two matrices, and DynamicTimeWarping, the
 * cheapest way through a matrix of costs. */
#include "infer/kernels/kernels.h"
#include "infer/ops/elements.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---------------------------------------------------------------- CDist */

static int cdist_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                       struct accel_error *err)
{
    const char *metric = accel_attr_string(n, "metric", "sqeuclidean");

    (void)mem;
    (void)params;
    if (strcmp(metric, "sqeuclidean") != 0 && strcmp(metric, "euclidean") != 0)
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          "metric '%s': only euclidean and sqeuclidean are there", metric);
    return ACCEL_OK;
}

/* a: [m, k], b: [n, k] */
static int cdist_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *a = &in->in[0]->shape, *b = &in->in[1]->shape;

    if (a->rank != 2 || b->rank != 2)
        return accel_fail(err, ACCEL_E_INVALID, "A of rank %u, B of rank %u instead of 2", a->rank,
                          b->rank);
    if (a->dims[1] == 0 || b->dims[1] == 0 ||
        (a->dims[1] > 0 && b->dims[1] > 0 && a->dims[1] != b->dims[1]))
        return accel_fail(err, ACCEL_E_INVALID,
                          "rows of %" PRId64 " and of %" PRId64 " columns have no distance",
                          a->dims[1], b->dims[1]);
    in->out[0]->dtype = in->in[0]->dtype;
    in->out[0]->shape =
        (struct accel_shape){.has_rank = true, .rank = 2, .dims = {a->dims[0], b->dims[0]}};
    return ACCEL_OK;
}

/* -2 a b', to which the squares of the rows are added: a product is much faster than differences,
 * and distances of nearly equal rows carry the same rounding as ONNX Runtime's. */
static struct accel_gemm cdist_product(const int64_t *a, const int64_t *b)
{
    const size_t m = (size_t)a[0], n = (size_t)b[0], k = (size_t)a[1];

    return (struct accel_gemm){
        .m = m, .n = n, .k = k, .lda = k, .ldb = k, .trans_b = true, .alpha = -2, .ldy = n};
}

/* Before the product's own work space: the squares of b's rows. */
static size_t squares_bytes(size_t n)
{
    return ACCEL_ROUND_UP(n * sizeof(double), 64); /* rows of b, which lie in memory */
}

static int cdist_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    const struct accel_gemm g = cdist_product(prep->in[0]->shape.dims, prep->in[1]->shape.dims);
    size_t bytes = 0;
    int rc = ACCEL_OK;

    if (g.m > 0 && g.n > 0 && prep->in[0]->dtype == ACCEL_DTYPE_FLOAT)
        rc = accel_gemm_f32_scratch_bytes(prep->kernels, &g, prep->threads, &bytes, err);
    if (rc == ACCEL_OK && __builtin_add_overflow(squares_bytes(g.n), bytes, &prep->scratch_bytes))
        return accel_fail(err, ACCEL_E_INVALID, "its work space overflows");
    return rc;
}

/* y [m][n] holds the product; the order of the two sums keeps large numbers from cancelling twice.
 * Rounding may leave a distance of nought below it. */
#define FROM_PRODUCT(name, type, absolute, root)                                            \
    static type name##_square(const type *row, size_t k)                                    \
    {                                                                                       \
        type sum = 0;                                                                       \
                                                                                            \
        for (size_t i = 0; i < k; i++)                                                      \
            sum += row[i] * row[i];                                                         \
        return sum;                                                                         \
    }                                                                                       \
    static void name(const struct accel_gemm *g, const type *a, const type *b, bool rooted, \
                     type *squares, type *y)                                                \
    {                                                                                       \
        for (size_t j = 0; j < g->n; j++)                                                   \
            squares[j] = name##_square(b + j * g->k, g->k);                                 \
        for (size_t i = 0; i < g->m; i++, y += g->n) {                                      \
            const type square = name##_square(a + i * g->k, g->k);                          \
                                                                                            \
            for (size_t j = 0; j < g->n; j++)                                               \
                y[j] = absolute((y[j] + square) + squares[j]);                              \
            for (size_t j = 0; rooted && j < g->n; j++)                                     \
                y[j] = root(y[j]);                                                          \
        }                                                                                   \
    }
FROM_PRODUCT(distances_f32, float, fabsf, sqrtf)
FROM_PRODUCT(distances_f64, double, fabs, sqrt)

static int cdist_run(struct accel_run *run, struct accel_error *err)
{
    struct accel_gemm g = cdist_product(run->in[0]->dims, run->in[1]->dims);
    const bool rooted =
        strcmp(accel_attr_string(run->node, "metric", "sqeuclidean"), "euclidean") == 0;
    const void *a = run->in[0]->data, *b = run->in[1]->data;
    void *y = run->out[0]->data;

    (void)err;
    if (g.m == 0 || g.n == 0)
        return ACCEL_OK;
    if (run->in[0]->dtype == ACCEL_DTYPE_DOUBLE) {
        accel_gemm_f64__ref(run->pool, &g, a, b, NULL, y);
        distances_f64(&g, a, b, rooted, run->scratch, y);
        return ACCEL_OK;
    }
    g.a = a;
    g.b = b;
    g.y = y;
    accel_gemm_f32(run->kernels, run->pool, &g, (char *)run->scratch + squares_bytes(g.n));
    distances_f32(&g, a, b, rooted, run->scratch, y);
    return ACCEL_OK;
}

static void cdist_cost(const struct accel_prepare *prep, struct accel_cost *cost)
{
    const int64_t *a = prep->in[0]->shape.dims, *b = prep->in[1]->shape.dims;

    cost->flops = 2.0 * (double)a[0] * (double)b[0] * (double)a[1];
}

/* ---------------------------------------------------------------- DynamicTimeWarping */

/* input: [rows, columns] or [1, rows, columns] */
static int warp_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape;
    char text[ACCEL_SHAPE_TEXT];

    if (x->rank != 2 && (x->rank != 3 || x->dims[0] > 1 || x->dims[0] == 0))
        return accel_fail(err, ACCEL_E_INVALID, "an input of shape %s, not [M, N] or [1, M, N]",
                          accel_shape_format(x, text));
    in->out[0]->dtype = ACCEL_DTYPE_INT32;
    in->out[0]->shape =
        (struct accel_shape){.has_rank = true, .rank = 2, .dims = {2, ACCEL_DIM_ANY}};
    return ACCEL_OK;
}

/* Whence a cell was reached. */
enum move { DIAGONAL, DOWN, RIGHT };

struct warp {
    const float *cost; /* [rows][columns] */
    size_t rows, columns;
    float *above, *here; /* [columns + 1]: cheapest ways to the cells of two rows */
    uint8_t *move;       /* [rows][columns] */
};

static int warp_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    const struct accel_shape *x = &prep->in[0]->shape;
    const size_t rows = (size_t)x->dims[x->rank - 2], columns = (size_t)x->dims[x->rank - 1];
    size_t moves;

    if (rows > INT32_MAX || columns > INT32_MAX)
        return accel_fail(err, ACCEL_E_INVALID, "%zu x %zu costs: a path's steps are int32", rows,
                          columns);
    if (__builtin_mul_overflow(rows, columns, &moves) ||
        __builtin_add_overflow(moves, 2 * (columns + 1) * sizeof(float), &prep->scratch_bytes))
        return accel_fail(err, ACCEL_E_INVALID, "its work space overflows");
    return ACCEL_OK;
}

/* A tie is a move to the right, as with ONNX Runtime. */
static void warp_row(const struct warp *w, size_t i)
{
    const float *cost = w->cost + i * w->columns;
    uint8_t *move = w->move + i * w->columns;

    w->here[0] = INFINITY;
    for (size_t j = 0; j < w->columns; j++) {
        const float diagonal = w->above[j], down = w->above[j + 1], right = w->here[j];
        float least = right;

        move[j] = RIGHT;
        if (diagonal < down && diagonal < right) {
            move[j] = DIAGONAL;
            least = diagonal;
        } else if (down < diagonal && down < right) {
            move[j] = DOWN;
            least = down;
        }
        w->here[j + 1] = least + cost[j];
    }
}

/* Steps of the path back from the last cell, written to path [2][steps] unless that is NULL. */
static size_t warp_back(const struct warp *w, int32_t *path, size_t steps)
{
    size_t i = w->rows, j = w->columns, count = 0;

    while (i > 0 && j > 0) {
        const uint8_t move = w->move[(i - 1) * w->columns + j - 1];

        count++;
        if (path != NULL) {
            path[steps - count] = (int32_t)(i - 1);
            path[2 * steps - count] = (int32_t)(j - 1);
        }
        i -= move != RIGHT;
        j -= move != DOWN;
    }
    return count;
}

static int warp_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    struct warp w = {.cost = x->data,
                     .rows = (size_t)x->dims[x->rank - 2],
                     .columns = (size_t)x->dims[x->rank - 1],
                     .above = run->scratch};

    w.here = w.above + w.columns + 1;
    w.move = (uint8_t *)(w.here + w.columns + 1);
    for (size_t j = 0; j <= w.columns; j++)
        w.above[j] = j == 0 ? 0 : INFINITY;
    for (size_t i = 0; w.columns > 0 && i < w.rows; i++) {
        float *const spare = w.above;

        warp_row(&w, i);
        w.above = w.here;
        w.here = spare;
    }
    const size_t steps = warp_back(&w, NULL, 0);
    const struct accel_shape shape = {.has_rank = true, .rank = 2, .dims = {2, (int64_t)steps}};
    const int rc = accel_run_output(run, 0, &shape, err);

    if (rc == ACCEL_OK && run->out[0] != NULL)
        warp_back(&w, run->out[0]->data, steps);
    return rc;
}

static const struct accel_attr_rule cdist_attrs[] = {
    {"metric", ACCEL_ATTR_STRING, ACCEL_ATTR_REQUIRED}, {0}};

const struct accel_op accel_ops_ms_distance[] = {
    {.name = "CDist",
     .domain = "com.microsoft",
     .since = 1,
     .kind = ACCEL_KIND_GEMM,
     .in = {{"A", ACCEL_T_FLOATS, 'T', 0}, {"B", ACCEL_T_FLOATS, 'T', 0}},
     .out = {{"C", ACCEL_T_FLOATS, 'T', 0}},
     .attrs = cdist_attrs,
     .parse = cdist_parse,
     .infer = cdist_infer,
     .prepare = cdist_prepare,
     .run = cdist_run,
     .cost = cdist_cost},
    {.name = "DynamicTimeWarping",
     .domain = "com.microsoft",
     .since = 1,
     .kind = ACCEL_KIND_OTHER,
     .flags = ACCEL_OP_DYNAMIC,
     .flops_per_value = 1,
     .in = {{"input", ACCEL_T(FLOAT), 0, 0}},
     .out = {{"output", ACCEL_T(INT32), 0, 0}},
     .attrs = NULL,
     .infer = warp_infer,
     .prepare = warp_prepare,
     .run = warp_run},
    {0},
};
