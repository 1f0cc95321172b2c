/* SPDX-License-Identifier: Apache-2.0 */
/* com.microsoft FusedMatMul and TransposeMatMul: alpha times a matrix product whose operands may be
 * transposed, in their matrices or with their batch. */
#include "infer/kernels/kernels.h"
#include "infer/ops/op.h"

#include <inttypes.h>

/* An operand as [batch...][rows][columns] after what is transposed. */
struct operand {
    uint32_t batch_rank;
    int64_t batch[ACCEL_RANK_MAX], rows, columns;
    size_t batch_stride[ACCEL_RANK_MAX], ld; /* elements; for a static shape */
    bool transposed;                         /* the matrix lies as [columns][rows], rows ld apart */
};

/* transBatch: axis 0 is the matrix's first, the axes behind it are the batch. */
static int operand_of(const struct accel_node *n, const struct accel_shape *x, bool right,
                      struct operand *o, struct accel_error *err)
{
    const bool batch = accel_attr_int(n, right ? "transBatchB" : "transBatchA", 0) != 0;
    const uint32_t matrix = x->rank < 2 ? 0 : x->rank - 2;
    int64_t steps[ACCEL_RANK_MAX];

    *o = (struct operand){.transposed = accel_attr_int(n, right ? "transB" : "transA", 0) != 0};
    if (x->rank == 0)
        return accel_fail(err, ACCEL_E_INVALID, "a scalar is no matrix");
    if (x->rank == 1) {
        /* A vector is a row on the left and a column on the right, whatever is transposed. */
        o->rows = right ? x->dims[0] : 1;
        o->columns = right ? 1 : x->dims[0];
        o->ld = right ? 1 : (size_t)ACCEL_MAX(x->dims[0], (int64_t)1);
        o->transposed = false;
        return ACCEL_OK;
    }
    if (batch && x->rank < 3)
        return accel_fail(err, ACCEL_E_INVALID, "a batch to transpose in rank %u", x->rank);
    for (uint32_t i = x->rank; i-- > 0;)
        steps[i] = i + 1 == x->rank ? 1 : steps[i + 1] * (x->dims[i + 1] < 0 ? 1 : x->dims[i + 1]);
    const uint32_t first = batch ? 0 : matrix;
    o->batch_rank = matrix;
    for (uint32_t i = 0; i < matrix; i++) {
        o->batch[i] = x->dims[batch ? i + 1 : i];
        o->batch_stride[i] = (size_t)steps[batch ? i + 1 : i];
    }
    o->ld = (size_t)steps[first];
    o->rows = x->dims[o->transposed ? x->rank - 1 : first];
    o->columns = x->dims[o->transposed ? first : x->rank - 1];
    return ACCEL_OK;
}

static int operands_of(const struct accel_node *n, const struct accel_shape *a,
                       const struct accel_shape *b, struct operand *left, struct operand *right,
                       struct accel_shape *batch, struct accel_error *err)
{
    struct accel_shape l = {.has_rank = true}, r = {.has_rank = true};
    int rc = operand_of(n, a, false, left, err);

    if (rc == ACCEL_OK)
        rc = operand_of(n, b, true, right, err);
    if (rc != ACCEL_OK)
        return rc;
    if (left->columns >= 0 && right->rows >= 0 && left->columns != right->rows)
        return accel_fail(err, ACCEL_E_INVALID,
                          "inner dimensions %" PRId64 " and %" PRId64 " differ", left->columns,
                          right->rows);
    l.rank = left->batch_rank;
    r.rank = right->batch_rank;
    for (uint32_t i = 0; i < l.rank; i++)
        l.dims[i] = left->batch[i];
    for (uint32_t i = 0; i < r.rank; i++)
        r.dims[i] = right->batch[i];
    /* ONNX Runtime gives numbers here, but not those of a transposed matrix. */
    if ((b->rank == 1 && left->transposed) || (a->rank == 1 && right->transposed))
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "a vector beside a transposed matrix");
    return accel_shape_broadcast(&l, &r, batch, err);
}

static int fused_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *a = &in->in[0]->shape, *b = &in->in[1]->shape;
    struct operand left, right;
    struct accel_shape y;
    const int rc = operands_of(in->node, a, b, &left, &right, &y, err);

    if (rc != ACCEL_OK)
        return rc;
    if (a->rank > 1)
        y.dims[y.rank++] = left.rows;
    if (b->rank > 1)
        y.dims[y.rank++] = right.columns;
    in->out[0]->dtype = in->in[0]->dtype;
    in->out[0]->shape = y;
    return ACCEL_OK;
}

/* Strides of an operand seen through the broadcast batch. */
static void batch_strides(const struct operand *o, uint32_t rank, size_t *stride)
{
    for (uint32_t i = 0; i < rank; i++)
        stride[i] = 0;
    for (uint32_t i = 0; i < o->batch_rank; i++)
        if (o->batch[i] != 1)
            stride[rank - o->batch_rank + i] = o->batch_stride[i];
}

static int fused_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    struct accel_gemm *g = accel_prepare_state(prep, sizeof(*g), err);
    struct operand left, right;
    struct accel_shape batch;
    size_t step;

    if (g == NULL)
        return ACCEL_E_NOMEM;
    const int rc = operands_of(prep->node, &prep->in[0]->shape, &prep->in[1]->shape, &left, &right,
                               &batch, err);
    if (rc != ACCEL_OK)
        return rc;
    *g = (struct accel_gemm){.m = (size_t)left.rows,
                             .n = (size_t)right.columns,
                             .k = (size_t)left.columns,
                             .lda = left.ld,
                             .trans_a = left.transposed,
                             .ldb = right.ld,
                             .trans_b = right.transposed,
                             .alpha = accel_attr_float(prep->node, "alpha", 1),
                             .ldy = (size_t)right.columns,
                             .batch_rank = batch.rank};
    step = g->m * g->n;
    for (uint32_t i = batch.rank; i-- > 0; step *= g->batch[i]) {
        g->batch[i] = (size_t)batch.dims[i];
        g->batch_stride_y[i] = step;
    }
    batch_strides(&left, batch.rank, g->batch_stride_a);
    batch_strides(&right, batch.rank, g->batch_stride_b);
    if (step == 0 || prep->in[0]->dtype != ACCEL_DTYPE_FLOAT)
        return ACCEL_OK;
    return accel_gemm_f32_scratch_bytes(prep->kernels, g, prep->threads, &prep->scratch_bytes, err);
}

/* One product, in double. */
static void multiply_f64(const struct accel_gemm *g, const double *a, const double *b, double *y)
{
    for (size_t i = 0; i < g->m; i++)
        for (size_t j = 0; j < g->n; j++) {
            double sum = 0;

            for (size_t k = 0; k < g->k; k++)
                sum += a[g->trans_a ? k * g->lda + i : i * g->lda + k] *
                       b[g->trans_b ? j * g->ldb + k : k * g->ldb + j];
            y[i * g->n + j] = (double)g->alpha * sum;
        }
}

static void run_f64(const struct accel_run *run, const struct accel_gemm *g)
{
    const size_t count = run->out[0]->size_bytes / sizeof(double) / (g->m * g->n);

    for (size_t repeat = 0; repeat < count; repeat++) {
        size_t a = 0, b = 0, rest = repeat;

        for (unsigned i = g->batch_rank; i-- > 0; rest /= g->batch[i]) {
            a += rest % g->batch[i] * g->batch_stride_a[i];
            b += rest % g->batch[i] * g->batch_stride_b[i];
        }
        multiply_f64(g, (const double *)run->in[0]->data + a, (const double *)run->in[1]->data + b,
                     (double *)run->out[0]->data + repeat * g->m * g->n);
    }
}

static int fused_run(struct accel_run *run, struct accel_error *err)
{
    struct accel_gemm g = *(const struct accel_gemm *)run->state;

    (void)err;
    if (run->out[0]->size_bytes == 0)
        return ACCEL_OK;
    if (run->in[0]->dtype == ACCEL_DTYPE_DOUBLE) {
        run_f64(run, &g);
        return ACCEL_OK;
    }
    g.a = run->in[0]->data;
    g.b = run->in[1]->data;
    g.y = run->out[0]->data;
    accel_gemm_f32(run->kernels, run->pool, &g, run->scratch);
    return ACCEL_OK;
}

static void fused_cost(const struct accel_prepare *prep, struct accel_cost *cost)
{
    struct operand left;
    size_t elements = 0;

    accel_shape_elements(&prep->out[0]->shape, &elements);
    if (operand_of(prep->node, &prep->in[0]->shape, false, &left, NULL) == ACCEL_OK)
        cost->flops = 2.0 * (double)elements * (double)left.columns;
}

#define R ACCEL_T_FLOATS

static const struct accel_attr_rule fused_attrs[] = {
    {"alpha", ACCEL_ATTR_FLOAT, 0},     {"transA", ACCEL_ATTR_INT, 0},
    {"transB", ACCEL_ATTR_INT, 0},      {"transBatchA", ACCEL_ATTR_INT, 0},
    {"transBatchB", ACCEL_ATTR_INT, 0}, {0}};
static const struct accel_attr_rule transpose_attrs[] = {{"alpha", ACCEL_ATTR_FLOAT, 0},
                                                         {"transA", ACCEL_ATTR_INT, 0},
                                                         {"transB", ACCEL_ATTR_INT, 0},
                                                         {0}};

#define FUSED(op, rules)                                                                  \
    {                                                                                     \
        .name = op, .domain = "com.microsoft", .since = 1, .kind = ACCEL_KIND_GEMM,       \
        .attrs = rules, .infer = fused_infer, .prepare = fused_prepare, .run = fused_run, \
        .cost = fused_cost, .in = {{"A", R, 'T', 0}, {"B", R, 'T', 0}}, .out = {          \
            {"Y", R, 'T', 0}                                                              \
        }                                                                                 \
    }

const struct accel_op accel_ops_fused_matmul[] = {
    FUSED("FusedMatMul", fused_attrs),
    FUSED("TransposeMatMul", transpose_attrs),
    {0},
};
