/* SPDX-License-Identifier: Apache-2.0 */
/* Gemm, com.microsoft FusedGemm, and MatMul. */
#include "infer/kernels/kernels.h"
#include "infer/ops/activation.h"
#include "infer/ops/matmul.h"
#include "infer/ops/op.h"

#include <string.h>

/* How a matrix product lies in its operands, for one set of shapes. */
struct gemm_state {
    struct accel_gemm gemm; /* sizes, strides; pointers are filled in by run */
    bool any;               /* not FLOAT: the plain kernel, batch by batch */
    bool empty;
};

struct gemm_params {
    float alpha, beta;
    bool trans_a, trans_b;
    struct accel_activation act; /* FusedGemm's own */
};

static int gemm_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                      struct accel_error *err)
{
    struct gemm_params *p = accel_bump_alloc(mem, 1, sizeof(*p));

    if (p == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its attributes");
    *p = (struct gemm_params){.alpha = accel_attr_float(n, "alpha", 1),
                              .beta = accel_attr_float(n, "beta", 1),
                              .trans_a = accel_attr_int(n, "transA", 0) != 0,
                              .trans_b = accel_attr_int(n, "transB", 0) != 0};
    *params = p;
    return accel_fused_activation(n, &p->act, err);
}

static int gemm_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct gemm_params *p = in->node->params;
    const struct accel_shape *a = &in->in[0]->shape, *b = &in->in[1]->shape;
    struct accel_type *y = in->out[0];

    if (a->rank != 2 || b->rank != 2)
        return accel_fail(err, ACCEL_E_INVALID, "matrices of rank %u and %u", a->rank, b->rank);
    const int64_t m = a->dims[p->trans_a ? 1 : 0], ka = a->dims[p->trans_a ? 0 : 1];
    const int64_t kb = b->dims[p->trans_b ? 1 : 0], n = b->dims[p->trans_b ? 0 : 1];
    if (ka >= 0 && kb >= 0 && ka != kb)
        return accel_fail(err, ACCEL_E_INVALID, "inner dimensions %lld and %lld differ",
                          (long long)ka, (long long)kb);
    y->dtype = in->in[0]->dtype;
    y->shape = (struct accel_shape){.has_rank = true, .rank = 2, .dims = {m, n}};
    if (in->node->inputs_count > 2 && in->in[2] != NULL) {
        const struct accel_shape *c = &in->in[2]->shape;
        struct accel_shape both;
        const int rc = accel_shape_broadcast(c, &y->shape, &both, err);

        if (rc != ACCEL_OK)
            return rc;
        /* A dimension of C that is not known yet may still turn out to be 1. */
        bool fits = c->rank <= 2;
        for (uint32_t i = 0; fits && i < 2; i++)
            fits = both.dims[i] < 0 || y->shape.dims[i] < 0 || both.dims[i] == y->shape.dims[i];
        if (!fits)
            return accel_fail(err, ACCEL_E_INVALID, "input 2 'C' does not broadcast to the output");
    }
    return ACCEL_OK;
}

/* B: [k][n] in rows. Packs input 1 when it is one constant matrix. */
static int prepack_b(struct accel_prepack *pack, bool trans, struct accel_error *err)
{
    const struct accel_tensor *b = accel_prepack_input(pack, 1);
    size_t bytes;
    void *blob;
    bool fill;

    if (b == NULL || b->rank != 2 || b->dtype != ACCEL_DTYPE_FLOAT)
        return ACCEL_OK;
    const size_t k = (size_t)b->dims[trans ? 1 : 0], n = (size_t)b->dims[trans ? 0 : 1];
    if (k == 0 || n == 0)
        return ACCEL_OK;
    int rc = accel_gemm_f32_packed_b_bytes(pack->kernels, k, n, &bytes, err);
    if (rc == ACCEL_OK)
        rc = accel_prepack_blob(pack, 0, bytes, &blob, &fill, err);
    if (rc == ACCEL_OK && fill)
        accel_gemm_f32_pack_b(pack->kernels, k, n, b->data, (size_t)b->dims[1], trans, blob);
    pack->consumed = 1u << 1;
    return rc;
}

static int gemm_prepack(struct accel_prepack *pack, struct accel_error *err)
{
    const struct gemm_params *p = pack->node->params;

    return prepack_b(pack, p->trans_b, err);
}

static int matmul_prepack(struct accel_prepack *pack, struct accel_error *err)
{
    return prepack_b(pack, false, err);
}

/* The scratch query wants to know whether B is packed; any non-NULL pointer says so. */
static int scratch_of(struct accel_prepare *prep, struct gemm_state *s, struct accel_error *err)
{
    s->gemm.packed_b = prep->blobs[0];
    s->empty = s->gemm.m == 0 || s->gemm.n == 0;
    if (s->empty || s->any)
        return ACCEL_OK;
    return accel_gemm_f32_scratch_bytes(prep->kernels, &s->gemm, prep->threads,
                                        &prep->scratch_bytes, err);
}

static int gemm_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    const struct gemm_params *p = prep->node->params;
    const int64_t *a = prep->in[0]->shape.dims, *b = prep->in[1]->shape.dims;
    struct gemm_state *s = accel_prepare_state(prep, sizeof(*s), err);

    if (s == NULL)
        return ACCEL_E_NOMEM;
    struct accel_gemm *g = &s->gemm;
    g->m = (size_t)a[p->trans_a ? 1 : 0];
    g->k = (size_t)a[p->trans_a ? 0 : 1];
    g->n = (size_t)b[p->trans_b ? 0 : 1];
    g->lda = (size_t)a[1];
    g->ldb = (size_t)b[1];
    g->ldy = g->n;
    g->trans_a = p->trans_a;
    g->trans_b = p->trans_b;
    g->alpha = p->alpha;
    g->beta = p->beta;
    g->act = p->act.op != ACCEL_UNARY_IDENTITY ? p->act : prep->node->epilogue.act;
    s->any = prep->in[0]->dtype != ACCEL_DTYPE_FLOAT;
    if (prep->node->inputs_count > 2 && prep->in[2] != NULL) {
        const struct accel_shape *c = &prep->in[2]->shape;
        const int64_t rows = c->rank == 2 ? c->dims[0] : 1;
        const int64_t columns = c->rank > 0 ? c->dims[c->rank - 1] : 1;

        g->c_col_stride = columns > 1 ? 1 : 0;
        g->c_row_stride = rows > 1 ? (size_t)columns : 0;
    }
    return scratch_of(prep, s, err);
}

static int gemm_run(struct accel_run *run, struct accel_error *err)
{
    const struct gemm_state *s = run->state;
    struct accel_gemm g = s->gemm;
    const bool has_c = run->node->inputs_count > 2 && run->in[2] != NULL;

    (void)err;
    if (s->empty)
        return ACCEL_OK;
    if (s->any) {
        accel_gemm_f64__ref(run->pool, &g, run->in[0]->data, run->in[1]->data,
                            has_c ? run->in[2]->data : NULL, run->out[0]->data);
        return ACCEL_OK;
    }
    g.a = run->in[0]->data;
    g.b = run->in[1]->data;
    if (has_c)
        g.c = run->in[2]->data;
    g.y = run->out[0]->data;
    accel_gemm_f32(run->kernels, run->pool, &g, run->scratch);
    return ACCEL_OK;
}

static int matmul_infer(struct accel_infer *in, struct accel_error *err)
{
    int64_t rows, columns;

    in->out[0]->dtype = in->in[0]->dtype;
    return accel_matmul_shape(&in->in[0]->shape, &in->in[1]->shape, &in->out[0]->shape, &rows,
                              &columns, err);
}

static int matmul_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    const struct accel_shape *a = &prep->in[0]->shape, *b = &prep->in[1]->shape;
    struct gemm_state *s = accel_prepare_state(prep, sizeof(*s), err);
    unsigned rank = 0;

    if (s == NULL)
        return ACCEL_E_NOMEM;
    struct accel_gemm *g = &s->gemm;
    g->m = a->rank == 1 ? 1 : (size_t)a->dims[a->rank - 2];
    g->k = (size_t)a->dims[a->rank - 1];
    g->n = b->rank == 1 ? 1 : (size_t)b->dims[b->rank - 1];
    g->lda = g->k;
    g->ldb = g->ldy = g->n;
    g->alpha = 1;
    g->act = prep->node->epilogue.act;
    s->any = prep->in[0]->dtype != ACCEL_DTYPE_FLOAT;
    if (b->rank == 2 && a->rank > 2) {
        /* One matrix on the right: all batches of the left are rows of one product. */
        g->m = accel_dims_product(a->dims, 0, a->rank - 1);
    } else {
        rank = ACCEL_MAX(a->rank, b->rank);
        rank = rank > 2 ? rank - 2 : 0;
        const struct accel_shape *y = &prep->out[0]->shape;
        for (unsigned i = 0; i < rank; i++)
            g->batch[i] = (size_t)y->dims[i];
        accel_matmul_strides(a, g->m * g->k, rank, g->batch_stride_a);
        accel_matmul_strides(b, g->k * g->n, rank, g->batch_stride_b);
        size_t step = g->m * g->n;
        for (unsigned i = rank; i-- > 0;) {
            g->batch_stride_y[i] = step;
            step *= g->batch[i];
        }
    }
    g->batch_rank = rank;
    return scratch_of(prep, s, err);
}

static int matmul_any(const struct accel_run *run, const struct accel_gemm *g,
                      struct accel_error *err)
{
    const size_t size = accel_dtype_size(run->in[0]->dtype);
    size_t batches = 1;

    for (unsigned i = 0; i < g->batch_rank; i++)
        batches *= g->batch[i];
    for (size_t k = 0; k < batches; k++) {
        size_t at_a = 0, at_b = 0, rest = k;

        for (unsigned i = g->batch_rank; i-- > 0;) {
            at_a += rest % g->batch[i] * g->batch_stride_a[i];
            at_b += rest % g->batch[i] * g->batch_stride_b[i];
            rest /= g->batch[i];
        }
        if (!accel_matmul_any(run->pool, run->in[0]->dtype, g->m, g->n, g->k,
                              (const char *)run->in[0]->data + at_a * size,
                              (const char *)run->in[1]->data + at_b * size,
                              (char *)run->out[0]->data + k * g->m * g->n * size))
            return accel_fail(err, ACCEL_E_INTERNAL, "no kernel for this type");
    }
    return ACCEL_OK;
}

static int matmul_run(struct accel_run *run, struct accel_error *err)
{
    const struct gemm_state *s = run->state;
    struct accel_gemm g = s->gemm;

    if (s->empty)
        return ACCEL_OK;
    if (s->any)
        return matmul_any(run, &g, err);
    g.a = run->in[0]->data;
    g.b = run->in[1]->data;
    g.y = run->out[0]->data;
    accel_gemm_f32(run->kernels, run->pool, &g, run->scratch);
    return ACCEL_OK;
}

/* 2 m n k over all batches; one row of A only: bound by reading B. */
static void product_cost(const struct accel_prepare *prep, struct accel_cost *cost)
{
    const struct accel_shape *a = &prep->in[0]->shape, *y = &prep->out[0]->shape;
    const bool gemm = prep->node->op_type[0] != 'M';
    const struct gemm_params *p = prep->node->params;
    size_t elements = 0, rows = 1;

    accel_shape_elements(y, &elements);
    const int64_t k = gemm && p->trans_a ? a->dims[0] : a->dims[a->rank - 1];
    if (y->rank >= 2 && y->dims[y->rank - 1] > 0)
        rows = elements / (size_t)y->dims[y->rank - 1];
    cost->flops = 2.0 * (double)elements * (double)k;
    cost->kind = rows == 1 ? ACCEL_KIND_GEMV : ACCEL_KIND_GEMM;
}

#define F32  ACCEL_T(FLOAT)
#define REAL ACCEL_T_FLOATS
#define MM_T (ACCEL_T_FLOATS | ACCEL_T(INT32) | ACCEL_T(INT64) | ACCEL_T(UINT32) | ACCEL_T(UINT64))

static const struct accel_attr_rule gemm_attrs[] = {{"alpha", ACCEL_ATTR_FLOAT, 0},
                                                    {"beta", ACCEL_ATTR_FLOAT, 0},
                                                    {"transA", ACCEL_ATTR_INT, 0},
                                                    {"transB", ACCEL_ATTR_INT, 0},
                                                    {0}};

static const struct accel_attr_rule fused_attrs[] = {{"activation", ACCEL_ATTR_STRING, 0},
                                                     {"activation_alpha", ACCEL_ATTR_FLOAT, 0},
                                                     {"activation_beta", ACCEL_ATTR_FLOAT, 0},
                                                     {"activation_gamma", ACCEL_ATTR_FLOAT, 0},
                                                     {"alpha", ACCEL_ATTR_FLOAT, 0},
                                                     {"beta", ACCEL_ATTR_FLOAT, 0},
                                                     {"transA", ACCEL_ATTR_INT, 0},
                                                     {"transB", ACCEL_ATTR_INT, 0},
                                                     {0}};

const struct accel_op accel_ops_gemm[] = {
    {.name = "Gemm",
     .domain = "",
     .since = 7,
     .flags = ACCEL_OP_EPILOGUE,
     .kind = ACCEL_KIND_GEMM,
     .in = {{"A", REAL, 'T', 0}, {"B", REAL, 'T', 0}, {"C", REAL, 'T', ACCEL_ARG_OPTIONAL}},
     .out = {{"Y", REAL, 'T', 0}},
     .attrs = gemm_attrs,
     .parse = gemm_parse,
     .infer = gemm_infer,
     .prepack = gemm_prepack,
     .prepare = gemm_prepare,
     .run = gemm_run,
     .cost = product_cost},
    {.name = "FusedGemm",
     .domain = "com.microsoft",
     .since = 1,
     .kind = ACCEL_KIND_GEMM,
     .in = {{"A", F32, 'T', 0}, {"B", F32, 'T', 0}, {"C", F32, 'T', ACCEL_ARG_OPTIONAL}},
     .out = {{"Y", F32, 'T', 0}},
     .attrs = fused_attrs,
     .parse = gemm_parse,
     .infer = gemm_infer,
     .prepack = gemm_prepack,
     .prepare = gemm_prepare,
     .run = gemm_run,
     .cost = product_cost},
    {.name = "MatMul",
     .domain = "",
     .since = 1,
     .flags = ACCEL_OP_EPILOGUE,
     .kind = ACCEL_KIND_GEMM,
     .in = {{"A", MM_T, 'T', 0}, {"B", MM_T, 'T', 0}},
     .out = {{"Y", MM_T, 'T', 0}},
     .infer = matmul_infer,
     .prepack = matmul_prepack,
     .prepare = matmul_prepare,
     .run = matmul_run,
     .cost = product_cost},
    {0},
};
