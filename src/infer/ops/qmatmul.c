/* SPDX-License-Identifier: Apache-2.0 */
/* Products of quantised matrices: MatMulInteger, QLinearMatMul and, of com.microsoft, QGemm,
 * MatMulIntegerToFloat, DynamicQuantizeMatMul. */
#include "infer/ops/matmul.h"
#include "infer/ops/quantised.h"

#include <inttypes.h>
#include <string.h>

static const struct accel_quant_places matmul_integer = {.b = 1, .a_zero = 2, .b_zero = 3};
static const struct accel_quant_places qlinear_matmul = {
    .b = 3, .a_scale = 1, .a_zero = 2, .b_scale = 4, .b_zero = 5, .y_scale = 6, .y_zero = 7};
static const struct accel_quant_places qgemm = {.b = 3,
                                                .a_scale = 1,
                                                .a_zero = 2,
                                                .b_scale = 4,
                                                .b_zero = 5,
                                                .c = 6,
                                                .y_scale = 7,
                                                .y_zero = 8};
static const struct accel_quant_places to_float = {
    .b = 1, .a_scale = 2, .b_scale = 3, .a_zero = 4, .b_zero = 5, .bias = 6};
/* A comes in floats; its scale and zero point are found on the way. */
static const struct accel_quant_places dynamic = {.b = 1, .b_scale = 2, .b_zero = 3, .bias = 4};

static const struct accel_quant_places *places_of(const struct accel_node *n)
{
    static const struct {
        const char *name;
        const struct accel_quant_places *places;
    } all[] = {{"MatMulInteger", &matmul_integer},
               {"QLinearMatMul", &qlinear_matmul},
               {"QGemm", &qgemm},
               {"MatMulIntegerToFloat", &to_float},
               {"DynamicQuantizeMatMul", &dynamic}};
    size_t i = 0;

    while (strcmp(all[i].name, n->op_type) != 0)
        i++;
    return all[i].places;
}

static int matmul_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_quant_places *p = places_of(in->node);
    int64_t rows, columns;
    int rc = accel_matmul_shape(&in->in[0]->shape, &in->in[p->b]->shape, &in->out[0]->shape, &rows,
                                &columns, err);

    in->out[0]->dtype = accel_quant_result(in, p);
    if (rc == ACCEL_OK)
        rc = accel_quant_check(in, p, rows, columns, err);
    if (rc != ACCEL_OK || p->bias == 0 || !accel_given(in->node, p->bias))
        return rc;
    const struct accel_shape *bias = &in->in[p->bias]->shape;
    if (bias->rank != 1 || (bias->dims[0] >= 0 && columns >= 0 && bias->dims[0] != columns))
        return accel_fail(err, ACCEL_E_INVALID, "the bias must have %" PRId64 " elements", columns);
    return ACCEL_OK;
}

static int qgemm_infer(struct accel_infer *in, struct accel_error *err)
{
    const bool trans_a = accel_attr_int(in->node, "transA", 0) != 0;
    const bool trans_b = accel_attr_int(in->node, "transB", 0) != 0;
    const struct accel_shape *a = &in->in[0]->shape, *b = &in->in[3]->shape;
    struct accel_type *y = in->out[0];
    struct accel_shape both;

    if (a->rank != 2 || b->rank != 2)
        return accel_fail(err, ACCEL_E_INVALID, "matrices of rank %u and %u", a->rank, b->rank);
    const int64_t m = a->dims[trans_a ? 1 : 0], ka = a->dims[trans_a ? 0 : 1];
    const int64_t kb = b->dims[trans_b ? 1 : 0], n = b->dims[trans_b ? 0 : 1];
    if (ka >= 0 && kb >= 0 && ka != kb)
        return accel_fail(err, ACCEL_E_INVALID,
                          "inner dimensions %" PRId64 " and %" PRId64 " differ", ka, kb);
    if (accel_given(in->node, 7) != accel_given(in->node, 8))
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "only one of y_scale and y_zero_point");
    y->dtype = accel_quant_result(in, &qgemm);
    y->shape = (struct accel_shape){.has_rank = true, .rank = 2, .dims = {m, n}};
    int rc = accel_quant_check(in, &qgemm, m, n, err);
    if (rc == ACCEL_OK)
        rc = accel_quant_single(in, 1, err);
    if (rc != ACCEL_OK || !accel_given(in->node, 6))
        return rc;
    rc = accel_shape_broadcast(&in->in[6]->shape, &y->shape, &both, err);
    if (rc == ACCEL_OK &&
        (in->in[6]->shape.rank > 2 || (m >= 0 && n >= 0 && !accel_shape_equal(&both, &y->shape))))
        rc = accel_fail(err, ACCEL_E_INVALID, "input 6 'C' does not broadcast to the output");
    return rc;
}

static bool transposed(const struct accel_node *n, const char *name)
{
    return places_of(n) == &qgemm && accel_attr_int(n, name, 0) != 0;
}

/* One constant B for all products; a stack of them is read as it is. */
static int matmul_prepack(struct accel_prepack *pack, struct accel_error *err)
{
    const struct accel_quant_places *p = places_of(pack->node);
    const struct accel_tensor *b = accel_prepack_input(pack, p->b);
    const bool trans_b = transposed(pack->node, "transB");
    size_t bytes;
    void *blob;
    bool fill;

    if (b == NULL || b->rank != 2)
        return ACCEL_OK;
    const size_t k = (size_t)b->dims[trans_b ? 1 : 0], n = (size_t)b->dims[trans_b ? 0 : 1];
    if (!accel_qgemm_packed_b_bytes(pack->kernels, k, n, &bytes))
        return accel_fail(err, ACCEL_E_INVALID, "a matrix of %zu x %zu is too large", k, n);
    if (bytes == 0)
        return ACCEL_OK;
    const int rc = accel_prepack_blob(pack, 0, bytes, &blob, &fill, err);
    if (rc == ACCEL_OK && fill)
        accel_qgemm_pack_b(pack->kernels, k, n, b->dtype == ACCEL_DTYPE_INT8, b->data,
                           trans_b ? 1 : n, trans_b ? k : 1, blob);
    pack->consumed = 1u << p->b;
    return rc;
}

/* Sizes of one product, and how many there are. */
struct matmul_state {
    struct accel_qgemm gemm;
    unsigned batch_rank;
    size_t batch[ACCEL_RANK_MAX], a_stride[ACCEL_RANK_MAX], b_stride[ACCEL_RANK_MAX];
    size_t product_bytes; /* of the scratch; A in integers follows, when it comes in floats */
};

static int matmul_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    const struct accel_quant_places *p = places_of(prep->node);
    const struct accel_shape *a = &prep->in[0]->shape, *b = &prep->in[p->b]->shape;
    struct matmul_state *s = accel_prepare_state(prep, sizeof(*s), err);
    size_t values = 0;

    if (s == NULL)
        return ACCEL_E_NOMEM;
    struct accel_qgemm *g = &s->gemm;
    g->a_col = g->b_col = 1;
    if (p == &qgemm) {
        const bool trans_a = transposed(prep->node, "transA");
        const bool trans_b = transposed(prep->node, "transB");

        g->m = (size_t)a->dims[trans_a ? 1 : 0];
        g->k = (size_t)a->dims[trans_a ? 0 : 1];
        g->n = (size_t)b->dims[trans_b ? 0 : 1];
        g->a_row = trans_a ? 1 : g->k;
        g->a_col = trans_a ? g->m : 1;
        g->b_row = trans_b ? 1 : g->n;
        g->b_col = trans_b ? g->k : 1;
    } else {
        g->m = a->rank == 1 ? 1 : (size_t)a->dims[a->rank - 2];
        g->k = (size_t)a->dims[a->rank - 1];
        g->n = b->rank == 1 ? 1 : (size_t)b->dims[b->rank - 1];
        g->a_row = g->k;
        g->b_row = g->n;
        s->batch_rank = ACCEL_MAX(a->rank, b->rank);
        s->batch_rank = s->batch_rank > 2 ? s->batch_rank - 2 : 0;
        for (unsigned i = 0; i < s->batch_rank; i++)
            s->batch[i] = (size_t)prep->out[0]->shape.dims[i];
        accel_matmul_strides(a, g->m * g->k, s->batch_rank, s->a_stride);
        accel_matmul_strides(b, g->k * g->n, s->batch_rank, s->b_stride);
    }
    g->packed_b = prep->blobs[0];
    if (!accel_qgemm_scratch_bytes(prep->kernels, g, prep->threads, &s->product_bytes) ||
        (p == &dynamic && !accel_shape_elements(a, &values)) ||
        __builtin_add_overflow(s->product_bytes, values, &prep->scratch_bytes))
        return accel_fail(err, ACCEL_E_INVALID, "its work space overflows");
    return ACCEL_OK;
}

/* A of DynamicQuantizeMatMul, with what a kernel wants to know of it, at the end of the scratch. */
struct quantised_a {
    float scale;
    uint8_t zero;
    uint8_t *values;
};

static struct quantised_a quantise_a(const struct accel_run *run, const struct matmul_state *s)
{
    const struct accel_tensor *a = run->in[0];
    struct quantised_a q = {.values = (uint8_t *)run->scratch + s->product_bytes};

    accel_quantize_dynamic(run->pool, accel_elements(a), a->data, q.values, &q.scale, &q.zero);
    return q;
}

static void add_bias(const struct accel_run *run, size_t n, const float *bias)
{
    struct accel_tensor *y = run->out[0];
    const struct accel_nd nd = {
        .rank = 2, .dims = {accel_elements(y) / n, n}, .stride = {{(ptrdiff_t)n, 1}, {0, 1}}};

    accel_binary(run->kernels, run->pool, ACCEL_BINARY_ADD, ACCEL_DTYPE_FLOAT, &nd, y->data, bias,
                 y->data);
}

static int matmul_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_quant_places *p = places_of(run->node);
    const struct matmul_state *s = run->state;
    struct accel_qgemm g = s->gemm;
    size_t batches = 1;

    (void)err;
    if (run->out[0]->size_bytes == 0)
        return ACCEL_OK;
    const void *first = run->in[0]->data;
    struct quantised_a q;
    g.a_signed = accel_quant_signed(run->in[0]);
    g.b_signed = accel_quant_signed(run->in[p->b]);
    g.a_zero = accel_quant_data(run, p->a_zero);
    g.b_zero = accel_quant_data(run, p->b_zero);
    g.a_zero_stride = accel_quant_stride(run, p->a_zero);
    g.b_zero_stride = accel_quant_stride(run, p->b_zero);
    if (p->c != 0 && accel_given(run->node, p->c)) {
        const struct accel_tensor *c = run->in[p->c];
        const int64_t rows = c->rank == 2 ? c->dims[0] : 1;
        const int64_t columns = c->rank > 0 ? c->dims[c->rank - 1] : 1;

        g.c = c->data;
        g.c_col = columns > 1 ? 1 : 0;
        g.c_row = rows > 1 ? (size_t)columns : 0;
    }
    g.out = accel_quant_out_of(run, p);
    if (p == &dynamic) {
        q = quantise_a(run, s);
        first = q.values;
        g.a_zero = &q.zero;
        g.out.a_scale = &q.scale;
    }
    for (unsigned i = 0; i < s->batch_rank; i++)
        batches *= s->batch[i];
    const size_t step = g.m * g.n * accel_dtype_size(g.out.dtype);
    for (size_t k = 0; k < batches; k++) {
        size_t at_a = 0, at_b = 0, rest = k;

        for (unsigned i = s->batch_rank; i-- > 0;) {
            at_a += rest % s->batch[i] * s->a_stride[i];
            at_b += rest % s->batch[i] * s->b_stride[i];
            rest /= s->batch[i];
        }
        g.a = (const char *)first + at_a;
        if (g.packed_b == NULL)
            g.b = (const char *)run->in[p->b]->data + at_b;
        g.out.y = (char *)run->out[0]->data + k * step;
        accel_qgemm(run->kernels, run->pool, &g, run->scratch);
    }
    if (accel_quant_data(run, p->bias) != NULL)
        add_bias(run, g.n, accel_quant_data(run, p->bias));
    return ACCEL_OK;
}

static void matmul_cost(const struct accel_prepare *prep, struct accel_cost *cost)
{
    /* From the shapes alone: an analysis asks without having prepared anything. */
    const struct accel_shape *a = &prep->in[0]->shape;
    const bool trans_a = transposed(prep->node, "transA");
    size_t elements = 0;

    if (a->rank == 0)
        return;
    const int64_t last = a->dims[a->rank - 1], other = a->rank == 1 ? 1 : a->dims[a->rank - 2];
    accel_shape_elements(&prep->out[0]->shape, &elements);
    cost->flops = 2.0 * (double)elements * (double)(trans_a ? other : last);
    cost->kind = (trans_a ? last : other) == 1 ? ACCEL_KIND_GEMV : ACCEL_KIND_GEMM;
}

#define F32 ACCEL_T(FLOAT)
#define I32 ACCEL_T(INT32)
#define Q8  ACCEL_T_Q8
#define OPT ACCEL_ARG_OPTIONAL
#define MS  "com.microsoft"

static const struct accel_attr_rule gemm_attrs[] = {{"alpha", ACCEL_ATTR_FLOAT, 0},
                                                    {"transA", ACCEL_ATTR_INT, 0},
                                                    {"transB", ACCEL_ATTR_INT, 0},
                                                    {0}};

const struct accel_op accel_ops_qmatmul[] = {
    {.name = "MatMulInteger",
     .domain = "",
     .since = 10,
     .kind = ACCEL_KIND_GEMM,
     .in = {{"A", Q8, 'A', 0},
            {"B", Q8, 'B', 0},
            {"a_zero_point", Q8, 'A', OPT},
            {"b_zero_point", Q8, 'B', OPT}},
     .out = {{"Y", I32, 0, 0}},
     .infer = matmul_infer,
     .prepack = matmul_prepack,
     .prepare = matmul_prepare,
     .run = matmul_run,
     .cost = matmul_cost},
    {.name = "QLinearMatMul",
     .domain = "",
     .since = 10,
     .kind = ACCEL_KIND_GEMM,
     .in = {ACCEL_QUANTISED_PAIR("a", "b"), {"y_scale", F32, 0, 0}, {"y_zero_point", Q8, 'Y', 0}},
     .out = {{"y", Q8, 'Y', 0}},
     .infer = matmul_infer,
     .prepack = matmul_prepack,
     .prepare = matmul_prepare,
     .run = matmul_run,
     .cost = matmul_cost},
    {.name = "QGemm",
     .domain = MS,
     .since = 1,
     .kind = ACCEL_KIND_GEMM,
     .in = {ACCEL_QUANTISED_PAIR("A", "B"),
            {"C", I32, 0, OPT},
            {"y_scale", F32, 0, OPT},
            {"y_zero_point", Q8, 0, OPT}},
     .out = {{"Y", Q8 | F32, 0, 0}},
     .attrs = gemm_attrs,
     .infer = qgemm_infer,
     .prepack = matmul_prepack,
     .prepare = matmul_prepare,
     .run = matmul_run,
     .cost = matmul_cost},
    {.name = "MatMulIntegerToFloat",
     .domain = MS,
     .since = 1,
     .kind = ACCEL_KIND_GEMM,
     .in = {{"A", Q8, 'A', 0},
            {"B", Q8, 'B', 0},
            {"a_scale", F32, 'T', 0},
            {"b_scale", F32, 'T', 0},
            {"a_zero_point", Q8, 'A', OPT},
            {"b_zero_point", Q8, 'B', OPT},
            {"bias", F32, 'T', OPT}},
     .out = {{"Y", F32, 'T', 0}},
     .infer = matmul_infer,
     .prepack = matmul_prepack,
     .prepare = matmul_prepare,
     .run = matmul_run,
     .cost = matmul_cost},
    {.name = "DynamicQuantizeMatMul",
     .domain = MS,
     .since = 1,
     .kind = ACCEL_KIND_GEMM,
     .in = {{"A", F32, 0, 0},
            {"B", Q8, 'B', 0},
            {"b_scale", F32, 0, 0},
            {"b_zero_point", Q8, 'B', OPT},
            {"bias", F32, 0, OPT}},
     .out = {{"Y", F32, 0, 0}},
     .infer = matmul_infer,
     .prepack = matmul_prepack,
     .prepare = matmul_prepare,
     .run = matmul_run,
     .cost = matmul_cost},
    {0},
};
