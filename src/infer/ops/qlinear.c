/* SPDX-License-Identifier: Apache-2.0 */
/* Operators on quantised tensors: MatMulInteger, ConvInteger, QLinearConv, QLinearMatMul, and ONNX
 * Runtime's own (com.microsoft): QGemm, QLinearAdd, QLinearMul, QLinearAveragePool,
 * QLinearGlobalAveragePool, QLinearConcat, QLinearSigmoid, QLinearLeakyRelu, QLinearSoftmax. */
#include "infer/kernels/quant.h"
#include "infer/ops/op.h"
#include "infer/ops/spatial.h"

#include <inttypes.h>
#include <string.h>

static bool given(const struct accel_node *n, size_t i)
{
    return i < n->inputs_count && n->inputs[i] != NULL;
}

static int single(const struct accel_infer *in, size_t i, struct accel_error *err)
{
    const struct accel_shape *s = given(in->node, i) ? &in->in[i]->shape : NULL;

    for (uint32_t d = 0; s != NULL && d < s->rank; d++)
        if (s->dims[d] >= 0 && s->dims[d] != 1)
            return accel_fail(err, ACCEL_E_UNSUPPORTED, "input %zu is no scalar", i);
    return ACCEL_OK;
}

/* One element, or a vector of `n` (< 0: not known) along the rows (or columns) of a matrix. */
static int single_or_vector(const struct accel_infer *in, size_t i, int64_t n,
                            struct accel_error *err)
{
    const struct accel_shape *s = given(in->node, i) ? &in->in[i]->shape : NULL;

    if (s == NULL || s->rank != 1)
        return single(in, i, err);
    if (s->dims[0] >= 0 && s->dims[0] != 1 && n >= 0 && s->dims[0] != n)
        return accel_fail(err, ACCEL_E_INVALID,
                          "input %zu has %" PRId64 " elements instead of %" PRId64, i, s->dims[0],
                          n);
    return ACCEL_OK;
}

static int32_t zero_of(const struct accel_run *run, size_t i)
{
    return given(run->node, i) ? accel_quant_at(run->in[i]->dtype, run->in[i]->data, 0) : 0;
}

static const void *data_of(const struct accel_run *run, size_t i)
{
    return given(run->node, i) ? run->in[i]->data : NULL;
}

static size_t count_of(const struct accel_tensor *t)
{
    return t->size_bytes / accel_dtype_size(t->dtype);
}

/* 1 when input i has an element per row (column), 0 when it has one in all or is left out. */
static size_t stride_of(const struct accel_run *run, size_t i)
{
    return given(run->node, i) && count_of(run->in[i]) > 1;
}

/* Scale at input i, zero point at i + 1. */
static struct accel_quant_param param_of(const struct accel_run *run, size_t i)
{
    return (struct accel_quant_param){*(const float *)run->in[i]->data, zero_of(run, i + 1)};
}

static bool is_signed(const struct accel_tensor *t)
{
    return t->dtype == ACCEL_DTYPE_INT8;
}

/* ---------------------------------------------------------------- matrix products */

/* Where the operands lie among the inputs; 0: has none. */
struct places {
    size_t b, a_scale, a_zero, b_scale, b_zero, y_scale, y_zero, c;
};

static const struct places matmul_integer_places = {.b = 1, .a_zero = 2, .b_zero = 3};
static const struct places qlinear_matmul_places = {
    .b = 3, .a_scale = 1, .a_zero = 2, .b_scale = 4, .b_zero = 5, .y_scale = 6, .y_zero = 7};
static const struct places qgemm_places = {.b = 3,
                                           .a_scale = 1,
                                           .a_zero = 2,
                                           .b_scale = 4,
                                           .b_zero = 5,
                                           .c = 6,
                                           .y_scale = 7,
                                           .y_zero = 8};

static const struct places *places_of(const struct accel_node *n)
{
    return n->op_type[0] == 'M'   ? &matmul_integer_places
           : n->op_type[1] == 'G' ? &qgemm_places
                                  : &qlinear_matmul_places;
}

/* The type of the result: that of the output's zero point where there is one. */
static enum accel_dtype result_type(const struct accel_infer *in, const struct places *p)
{
    if (p->a_scale == 0)
        return ACCEL_DTYPE_INT32;
    return given(in->node, p->y_zero) ? in->in[p->y_zero]->dtype : ACCEL_DTYPE_FLOAT;
}

static int check_params(const struct accel_infer *in, const struct places *p, int64_t rows,
                        int64_t columns, struct accel_error *err)
{
    int rc = single_or_vector(in, p->a_zero, rows, err);

    if (rc == ACCEL_OK)
        rc = single_or_vector(in, p->b_zero, columns, err);
    if (p->a_scale == 0 || rc != ACCEL_OK)
        return rc;
    rc = single_or_vector(in, p->a_scale, rows, err);
    if (rc == ACCEL_OK)
        rc = single_or_vector(in, p->b_scale, columns, err);
    if (rc == ACCEL_OK)
        rc = single(in, p->y_scale, err);
    return rc == ACCEL_OK ? single(in, p->y_zero, err) : rc;
}

/* numpy.matmul of inputs 0 and p->b. */
static int matmul_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct places *p = places_of(in->node);
    struct accel_shape a = in->in[0]->shape, b = in->in[p->b]->shape, y;
    const bool row = a.rank == 1, column = b.rank == 1;

    if (a.rank == 0 || b.rank == 0)
        return accel_fail(err, ACCEL_E_INVALID, "a scalar is no matrix");
    if (row)
        a = (struct accel_shape){.has_rank = true, .rank = 2, .dims = {1, a.dims[0]}};
    if (column)
        b = (struct accel_shape){.has_rank = true, .rank = 2, .dims = {b.dims[0], 1}};
    const int64_t ka = a.dims[a.rank - 1], kb = b.dims[b.rank - 2];
    const int64_t m = a.dims[a.rank - 2], n = b.dims[b.rank - 1];
    if (ka >= 0 && kb >= 0 && ka != kb)
        return accel_fail(err, ACCEL_E_INVALID,
                          "inner dimensions %" PRId64 " and %" PRId64 " differ", ka, kb);
    int rc = check_params(in, p, m, n, err);
    a.rank -= 2;
    b.rank -= 2;
    if (rc == ACCEL_OK)
        rc = accel_shape_broadcast(&a, &b, &y, err);
    if (rc != ACCEL_OK)
        return rc;
    if (!row)
        y.dims[y.rank++] = m;
    if (!column)
        y.dims[y.rank++] = n;
    in->out[0]->dtype = result_type(in, p);
    in->out[0]->shape = y;
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
    if (given(in->node, 7) != given(in->node, 8))
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "only one of y_scale and y_zero_point");
    y->dtype = result_type(in, &qgemm_places);
    y->shape = (struct accel_shape){.has_rank = true, .rank = 2, .dims = {m, n}};
    int rc = check_params(in, &qgemm_places, m, n, err);
    if (rc == ACCEL_OK)
        rc = single(in, 1, err);
    if (rc != ACCEL_OK || !given(in->node, 6))
        return rc;
    rc = accel_shape_broadcast(&in->in[6]->shape, &y->shape, &both, err);
    if (rc == ACCEL_OK &&
        (in->in[6]->shape.rank > 2 || (m >= 0 && n >= 0 && !accel_shape_equal(&both, &y->shape))))
        rc = accel_fail(err, ACCEL_E_INVALID, "input 6 'C' does not broadcast to the output");
    return rc;
}

/* Sizes of one product, and how many there are. */
struct matmul_state {
    struct accel_qgemm gemm;
    unsigned batch_rank;
    size_t batch[ACCEL_RANK_MAX], a_stride[ACCEL_RANK_MAX], b_stride[ACCEL_RANK_MAX];
};

/* Element strides of an operand's batch dimensions seen through the output's. */
static void batch_strides(const struct accel_shape *t, size_t matrix, unsigned rank, size_t *stride)
{
    const unsigned own = t->rank > 2 ? t->rank - 2 : 0;
    size_t step = matrix;

    for (unsigned i = 0; i < rank; i++)
        stride[i] = 0;
    for (unsigned i = own; i-- > 0;) {
        stride[rank - own + i] = t->dims[i] == 1 ? 0 : step;
        step *= (size_t)t->dims[i];
    }
}

static int matmul_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    const struct places *p = places_of(prep->node);
    const struct accel_shape *a = &prep->in[0]->shape, *b = &prep->in[p->b]->shape;
    struct matmul_state *s = accel_bump_alloc(prep->mem, 1, sizeof(*s));

    if (s == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to prepare it");
    prep->state = s;
    struct accel_qgemm *g = &s->gemm;
    g->a_col = g->b_col = 1;
    if (p == &qgemm_places) {
        const bool trans_a = accel_attr_int(prep->node, "transA", 0) != 0;
        const bool trans_b = accel_attr_int(prep->node, "transB", 0) != 0;

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
        batch_strides(a, g->m * g->k, s->batch_rank, s->a_stride);
        batch_strides(b, g->k * g->n, s->batch_rank, s->b_stride);
    }
    if (!accel_qgemm_scratch_bytes(g->n, prep->threads, &prep->scratch_bytes))
        return accel_fail(err, ACCEL_E_INVALID, "its work space overflows");
    return ACCEL_OK;
}

static struct accel_quant_out out_of(const struct accel_run *run, const struct places *p)
{
    struct accel_quant_out out = {
        .dtype = run->out[0]->dtype, .alpha = 1, .y_scale = 1, .y = run->out[0]->data};

    if (p->a_scale == 0)
        return out;
    out.alpha = accel_attr_float(run->node, "alpha", 1);
    out.a_scale = run->in[p->a_scale]->data;
    out.b_scale = run->in[p->b_scale]->data;
    out.a_scale_stride = stride_of(run, p->a_scale);
    out.b_scale_stride = stride_of(run, p->b_scale);
    if (given(run->node, p->y_scale))
        out.y_scale = *(const float *)run->in[p->y_scale]->data;
    out.y_zero = zero_of(run, p->y_zero);
    return out;
}

static int matmul_run(struct accel_run *run, struct accel_error *err)
{
    const struct places *p = places_of(run->node);
    const struct matmul_state *s = run->state;
    struct accel_qgemm g = s->gemm;
    size_t batches = 1;

    (void)err;
    if (run->out[0]->size_bytes == 0)
        return ACCEL_OK;
    g.a_signed = is_signed(run->in[0]);
    g.b_signed = is_signed(run->in[p->b]);
    g.a_zero = data_of(run, p->a_zero);
    g.b_zero = data_of(run, p->b_zero);
    g.a_zero_stride = stride_of(run, p->a_zero);
    g.b_zero_stride = stride_of(run, p->b_zero);
    if (p->c != 0 && given(run->node, p->c)) {
        const struct accel_tensor *c = run->in[p->c];
        const int64_t rows = c->rank == 2 ? c->dims[0] : 1;
        const int64_t columns = c->rank > 0 ? c->dims[c->rank - 1] : 1;

        g.c = c->data;
        g.c_col = columns > 1 ? 1 : 0;
        g.c_row = rows > 1 ? (size_t)columns : 0;
    }
    g.out = out_of(run, p);
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
        g.a = (const char *)run->in[0]->data + at_a;
        g.b = (const char *)run->in[p->b]->data + at_b;
        g.out.y = (char *)run->out[0]->data + k * step;
        accel_qgemm(run->pool, &g, run->scratch);
    }
    return ACCEL_OK;
}

static void matmul_cost(const struct accel_prepare *prep, struct accel_cost *cost)
{
    /* From the shapes alone: an analysis asks without having prepared anything. */
    const struct accel_shape *a = &prep->in[0]->shape;
    const bool trans_a =
        places_of(prep->node) == &qgemm_places && accel_attr_int(prep->node, "transA", 0) != 0;
    size_t elements = 0;

    if (a->rank == 0)
        return;
    const int64_t last = a->dims[a->rank - 1], other = a->rank == 1 ? 1 : a->dims[a->rank - 2];
    accel_shape_elements(&prep->out[0]->shape, &elements);
    cost->flops = 2.0 * (double)elements * (double)(trans_a ? other : last);
    cost->kind = (trans_a ? last : other) == 1 ? ACCEL_KIND_GEMV : ACCEL_KIND_GEMM;
}

/* ---------------------------------------------------------------- convolutions */

/* x and w: inputs 0, 1 of ConvInteger, 0, 3 of QLinearConv. */
static const struct places conv_integer_places = {.b = 1, .a_zero = 2, .b_zero = 3};
static const struct places qlinear_conv_places = {.b = 3,
                                                  .a_scale = 1,
                                                  .a_zero = 2,
                                                  .b_scale = 4,
                                                  .b_zero = 5,
                                                  .y_scale = 6,
                                                  .y_zero = 7,
                                                  .c = 8};

static const struct places *conv_places(const struct accel_node *n)
{
    return n->op_type[0] == 'C' ? &conv_integer_places : &qlinear_conv_places;
}

static int conv_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct places *p = conv_places(in->node);
    const struct accel_shape *x = &in->in[0]->shape;
    struct accel_shape y = {.has_rank = true, .rank = x->rank};
    struct accel_conv c;
    int64_t out[ACCEL_SPATIAL_MAX];
    int rc = accel_conv_sizes(in->node, x, &in->in[p->b]->shape, false, &c, out, err);

    if (rc == ACCEL_OK)
        rc = check_params(in, p, -1, (int64_t)c.cout, err);
    if (rc == ACCEL_OK)
        rc = single(in, p->a_zero, err);
    if (rc == ACCEL_OK && p->a_scale != 0)
        rc = single(in, p->a_scale, err);
    if (rc != ACCEL_OK)
        return rc;
    y.dims[0] = x->dims[0];
    y.dims[1] = (int64_t)c.cout;
    for (uint32_t i = 0; i < c.spatial; i++)
        y.dims[2 + i] = out[i];
    if (p->c != 0 && given(in->node, p->c)) {
        const struct accel_shape *b = &in->in[p->c]->shape;

        if (b->rank != 1 || (b->dims[0] >= 0 && (size_t)b->dims[0] != c.cout))
            return accel_fail(err, ACCEL_E_INVALID, "the bias must have %zu elements", c.cout);
    }
    in->out[0]->dtype = result_type(in, p);
    in->out[0]->shape = y;
    if (accel_shape_static(&y) && accel_shape_static(x) && x->dims[0] > 0) {
        c.batch = (size_t)x->dims[0];
        return accel_conv_check(&c, err);
    }
    return ACCEL_OK;
}

static int conv_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    const struct places *p = conv_places(prep->node);
    struct accel_conv *c = accel_bump_alloc(prep->mem, 1, sizeof(*c));
    int64_t out[ACCEL_SPATIAL_MAX];

    if (c == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to prepare it");
    prep->state = c;
    const int rc = accel_conv_sizes(prep->node, &prep->in[0]->shape, &prep->in[p->b]->shape, false,
                                    c, out, err);
    if (rc != ACCEL_OK)
        return rc;
    c->batch = (size_t)prep->in[0]->shape.dims[0];
    if (!accel_qconv_scratch_bytes(c, prep->threads, &prep->scratch_bytes))
        return accel_fail(err, ACCEL_E_INVALID, "its work space overflows");
    return ACCEL_OK;
}

static int conv_run(struct accel_run *run, struct accel_error *err)
{
    const struct places *p = conv_places(run->node);
    struct accel_qconv c = {.conv = *(const struct accel_conv *)run->state,
                            .x = run->in[0]->data,
                            .w = run->in[p->b]->data,
                            .x_signed = is_signed(run->in[0]),
                            .w_signed = is_signed(run->in[p->b]),
                            .x_zero = zero_of(run, p->a_zero),
                            .w_zero = data_of(run, p->b_zero),
                            .w_zero_stride = stride_of(run, p->b_zero),
                            .bias = p->c != 0 ? data_of(run, p->c) : NULL,
                            .out = out_of(run, p)};

    (void)err;
    if (run->out[0]->size_bytes > 0)
        accel_qconv(run->pool, &c, run->scratch);
    return ACCEL_OK;
}

static void conv_cost(const struct accel_prepare *prep, struct accel_cost *cost)
{
    /* From the shapes alone: an analysis asks without having prepared anything. */
    const struct places *p = conv_places(prep->node);
    struct accel_conv c;
    int64_t out[ACCEL_SPATIAL_MAX];
    size_t elements = 0;
    bool one = true;

    if (accel_conv_sizes(prep->node, &prep->in[0]->shape, &prep->in[p->b]->shape, false, &c, out,
                         NULL) != ACCEL_OK)
        return;
    double taps = (double)c.cin / (double)c.groups;
    accel_shape_elements(&prep->out[0]->shape, &elements);
    for (unsigned i = 0; i < c.spatial; i++) {
        taps *= (double)c.kernel[i];
        one = one && c.kernel[i] == 1;
    }
    cost->flops = 2 * taps * (double)elements;
    cost->kind = c.groups > 1 && c.cin == c.groups ? ACCEL_KIND_DEPTHWISE
                 : one                             ? ACCEL_KIND_POINTWISE
                                                   : ACCEL_KIND_CONV;
    cost->items = (double)elements; /* each is rounded and saturated */
}

/* ---------------------------------------------------------------- QLinearAdd, QLinearMul */

static int binary_infer(struct accel_infer *in, struct accel_error *err)
{
    static const size_t singles[] = {1, 2, 4, 5, 6, 7};
    int rc = ACCEL_OK;

    for (size_t i = 0; i < ACCEL_COUNT(singles) && rc == ACCEL_OK; i++)
        rc = single(in, singles[i], err);
    if (rc != ACCEL_OK)
        return rc;
    in->out[0]->dtype = in->in[0]->dtype;
    return accel_shape_broadcast(&in->in[0]->shape, &in->in[3]->shape, &in->out[0]->shape, err);
}

static int binary_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    const struct accel_shape *y = &prep->out[0]->shape;
    struct accel_nd *nd = accel_bump_alloc(prep->mem, 1, sizeof(*nd));

    if (nd == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to prepare it");
    prep->state = nd;
    nd->rank = y->rank;
    for (uint32_t i = 0; i < y->rank; i++)
        nd->dims[i] = (size_t)y->dims[i];
    accel_nd_operand(nd, 0, prep->in[0]->shape.rank, prep->in[0]->shape.dims);
    accel_nd_operand(nd, 1, prep->in[3]->shape.rank, prep->in[3]->shape.dims);
    return ACCEL_OK;
}

static int binary_run(struct accel_run *run, struct accel_error *err)
{
    (void)err;
    accel_qbinary(run->pool, run->node->op_type[7] == 'M', is_signed(run->in[0]), run->state,
                  run->in[0]->data, param_of(run, 1), run->in[3]->data, param_of(run, 4),
                  run->out[0]->data, param_of(run, 6));
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- pools, softmax, tables */

/* X, x_scale, x_zero_point, y_scale, y_zero_point: all of these operators. */
static int check_unary(const struct accel_infer *in, struct accel_error *err)
{
    int rc = ACCEL_OK;

    for (size_t i = 1; i < 5 && rc == ACCEL_OK; i++)
        rc = single(in, i, err);
    if (rc == ACCEL_OK && accel_attr_int(in->node, "channels_last", 0) != 0)
        rc = accel_fail(err, ACCEL_E_UNSUPPORTED, "channels_last 1");
    return rc;
}

static int unary_infer(struct accel_infer *in, struct accel_error *err)
{
    const int rc = check_unary(in, err);

    return rc == ACCEL_OK ? accel_infer_same(in, err) : rc;
}

static int avgpool_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape;
    struct accel_window w;
    int rc = check_unary(in, err);

    if (rc == ACCEL_OK)
        rc = accel_pool_window(in->node, x, &w, err);
    if (rc != ACCEL_OK)
        return rc;
    in->out[0]->dtype = in->in[0]->dtype;
    in->out[0]->shape = *x;
    for (uint32_t i = 0; i < w.spatial; i++)
        in->out[0]->shape.dims[2 + i] = x->dims[2 + i] < 0 ? ACCEL_DIM_ANY : (int64_t)w.out[i];
    return ACCEL_OK;
}

static int avgpool_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    struct accel_window *w = accel_bump_alloc(prep->mem, 1, sizeof(*w));

    if (w == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to prepare it");
    prep->state = w;
    const int rc = accel_pool_window(prep->node, &prep->in[0]->shape, w, err);
    w->planes = accel_dims_product(prep->in[0]->shape.dims, 0, 2);
    return rc;
}

static int avgpool_run(struct accel_run *run, struct accel_error *err)
{
    (void)err;
    accel_qavgpool(run->pool, run->state, accel_attr_int(run->node, "count_include_pad", 0) != 0,
                   is_signed(run->in[0]), run->in[0]->data, param_of(run, 1), run->out[0]->data,
                   param_of(run, 3));
    return ACCEL_OK;
}

static int global_infer(struct accel_infer *in, struct accel_error *err)
{
    const int rc = check_unary(in, err);
    struct accel_shape y = in->in[0]->shape;

    if (rc != ACCEL_OK)
        return rc;
    if (y.rank < 2)
        return accel_fail(err, ACCEL_E_INVALID, "an input of rank %u", y.rank);
    for (uint32_t i = 2; i < y.rank; i++)
        y.dims[i] = 1;
    in->out[0]->dtype = in->in[0]->dtype;
    in->out[0]->shape = y;
    return ACCEL_OK;
}

static int global_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];

    (void)err;
    accel_qglobal_avgpool(run->pool, accel_dims_product(x->dims, 0, 2),
                          accel_dims_product(x->dims, 2, x->rank), is_signed(x), x->data,
                          param_of(run, 1), run->out[0]->data, param_of(run, 3));
    return ACCEL_OK;
}

/* Before opset 13 of its attribute Softmax flattens from the axis on. */
static int softmax_axis(const struct accel_node *n, uint32_t rank, bool *flat, uint32_t *axis,
                        struct accel_error *err)
{
    *flat = accel_attr_int(n, "opset", 13) < 13;
    return accel_axis(accel_attr_int(n, "axis", *flat ? 1 : -1), rank, axis, err);
}

static int softmax_infer(struct accel_infer *in, struct accel_error *err)
{
    uint32_t axis;
    bool flat;
    const int rc = softmax_axis(in->node, in->in[0]->shape.rank, &flat, &axis, err);

    return rc == ACCEL_OK ? unary_infer(in, err) : rc;
}

static int softmax_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    uint32_t axis = 0;
    bool flat;
    const int rc = softmax_axis(run->node, x->rank, &flat, &axis, err);

    if (rc != ACCEL_OK || x->size_bytes == 0)
        return rc;
    accel_qsoftmax(run->pool, accel_dims_product(x->dims, 0, axis),
                   flat ? accel_dims_product(x->dims, axis, x->rank) : (size_t)x->dims[axis],
                   flat ? 1 : accel_dims_product(x->dims, axis + 1, x->rank), is_signed(x), x->data,
                   param_of(run, 1).scale, run->out[0]->data, param_of(run, 3));
    return ACCEL_OK;
}

static int table_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    const bool leaky = run->node->op_type[7] == 'L';
    uint8_t table[256];

    (void)err;
    accel_quant_table(run->kernels, leaky ? ACCEL_UNARY_LEAKYRELU : ACCEL_UNARY_SIGMOID,
                      accel_attr_float(run->node, "alpha", 0.01f), is_signed(x), param_of(run, 1),
                      is_signed(x), param_of(run, 3), table);
    accel_lookup8(run->pool, x->size_bytes, x->data, table, run->out[0]->data);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- QLinearConcat */

/* Inputs: Y_scale, Y_zero_point, then X, X_scale, X_zero_point of each part. */
static int concat_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_node *n = in->node;
    struct accel_shape y;
    uint32_t axis;

    if (n->inputs_count < 5 || (n->inputs_count - 2) % 3 != 0)
        return accel_fail(err, ACCEL_E_INVALID, "%zu inputs", n->inputs_count);
    for (size_t i = 0; i < n->inputs_count; i++) {
        const bool scale = i == 0 || (i >= 2 && i % 3 == 0);

        if (!given(n, i))
            return accel_fail(err, ACCEL_E_INVALID, "input %zu is left out", i);
        if (in->in[i]->dtype != (scale ? ACCEL_DTYPE_FLOAT : in->in[1]->dtype))
            return accel_fail(err, ACCEL_E_INVALID, "input %zu is %s", i,
                              accel_dtype_name(in->in[i]->dtype));
        const int rc = i >= 2 && i % 3 == 2 ? ACCEL_OK : single(in, i, err);
        if (rc != ACCEL_OK)
            return rc;
    }
    y = in->in[2]->shape;
    const int rc = accel_axis(accel_attr_int(n, "axis", 1), y.rank, &axis, err);
    if (rc != ACCEL_OK)
        return rc;
    for (size_t i = 5; i < n->inputs_count; i += 3) {
        const struct accel_shape *x = &in->in[i]->shape;

        if (x->rank != y.rank)
            return accel_fail(err, ACCEL_E_INVALID, "input %zu has rank %u, the first %u", i,
                              x->rank, y.rank);
        for (uint32_t d = 0; d < y.rank; d++) {
            if (d == axis && (y.dims[d] < 0 || x->dims[d] < 0))
                y.dims[d] = ACCEL_DIM_ANY;
            else if (d == axis && __builtin_add_overflow(y.dims[d], x->dims[d], &y.dims[d]))
                return accel_fail(err, ACCEL_E_INVALID, "the sum of dimensions overflows");
            else if (d != axis && y.dims[d] < 0)
                y.dims[d] = x->dims[d];
            else if (d != axis && x->dims[d] >= 0 && x->dims[d] != y.dims[d])
                return accel_fail(err, ACCEL_E_INVALID, "input %zu: dimension %u differs", i, d);
        }
    }
    in->out[0]->dtype = in->in[1]->dtype;
    in->out[0]->shape = y;
    return ACCEL_OK;
}

static int concat_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *y = run->out[0];
    uint32_t axis = 0;
    uint8_t table[256];
    size_t at = 0;

    if (accel_axis(accel_attr_int(run->node, "axis", 1), y->rank, &axis, err) != ACCEL_OK)
        return ACCEL_E_INVALID;
    const size_t outer = accel_dims_product(y->dims, 0, axis);
    const size_t row = accel_dims_product(y->dims, axis, y->rank);
    for (size_t i = 2; i < run->node->inputs_count; i += 3) {
        const struct accel_tensor *x = run->in[i];
        const size_t part = accel_dims_product(x->dims, axis, x->rank);

        accel_quant_table(run->kernels, ACCEL_UNARY_IDENTITY, 0, is_signed(x), param_of(run, i + 1),
                          is_signed(y), param_of(run, 0), table);
        for (size_t o = 0; o < outer; o++)
            accel_lookup8(NULL, part, (const uint8_t *)x->data + o * part, table,
                          (uint8_t *)y->data + o * row + at);
        at += part;
    }
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- the entries */

#define F32 ACCEL_T(FLOAT)
#define I32 ACCEL_T(INT32)
#define Q8  (ACCEL_T(UINT8) | ACCEL_T(INT8))
#define OPT ACCEL_ARG_OPTIONAL
#define MS  "com.microsoft"

#define CONV_ATTRS                                                          \
    {"auto_pad", ACCEL_ATTR_STRING, 0}, {"dilations", ACCEL_ATTR_INTS, 0},  \
        {"group", ACCEL_ATTR_INT, 0}, {"kernel_shape", ACCEL_ATTR_INTS, 0}, \
        {"pads", ACCEL_ATTR_INTS, 0},                                       \
    {                                                                       \
        "strides", ACCEL_ATTR_INTS, 0                                       \
    }

static const struct accel_attr_rule conv_attrs[] = {CONV_ATTRS, {0}};
static const struct accel_attr_rule gemm_attrs[] = {{"alpha", ACCEL_ATTR_FLOAT, 0},
                                                    {"transA", ACCEL_ATTR_INT, 0},
                                                    {"transB", ACCEL_ATTR_INT, 0},
                                                    {0}};
static const struct accel_attr_rule pool_attrs[] = {{"auto_pad", ACCEL_ATTR_STRING, 0},
                                                    {"ceil_mode", ACCEL_ATTR_INT, 0},
                                                    {"channels_last", ACCEL_ATTR_INT, 0},
                                                    {"count_include_pad", ACCEL_ATTR_INT, 0},
                                                    {"kernel_shape", ACCEL_ATTR_INTS,
                                                     ACCEL_ATTR_REQUIRED},
                                                    {"pads", ACCEL_ATTR_INTS, 0},
                                                    {"strides", ACCEL_ATTR_INTS, 0},
                                                    {0}};
static const struct accel_attr_rule global_attrs[] = {{"channels_last", ACCEL_ATTR_INT, 0}, {0}};
static const struct accel_attr_rule leaky_attrs[] = {{"alpha", ACCEL_ATTR_FLOAT, 0}, {0}};
static const struct accel_attr_rule axis_attrs[] = {{"axis", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED},
                                                    {0}};
static const struct accel_attr_rule softmax_attrs[] = {
    {"axis", ACCEL_ATTR_INT, 0}, {"opset", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED}, {0}};

/* T1, T2, T3 of the standard: types of A, B and Y. */
#define QUANTISED(A, B)                                                                       \
    {A, Q8, 'A', 0}, {A "_scale", F32, 0, 0}, {A "_zero_point", Q8, 'A', 0}, {B, Q8, 'B', 0}, \
        {B "_scale", F32, 0, 0},                                                              \
    {                                                                                         \
        B "_zero_point", Q8, 'B', 0                                                           \
    }
#define BINARY(op)                                                                    \
    {                                                                                 \
        .name = op, .domain = MS, .since = 1, .kind = ACCEL_KIND_ELEMENTWISE,         \
        .flops_per_value = 5, .in = {{"A", Q8, 'T', 0},                               \
                                     {"A_scale", F32, 0, 0},                          \
                                     {"A_zero_point", Q8, 'T', OPT},                  \
                                     {"B", Q8, 'T', 0},                               \
                                     {"B_scale", F32, 0, 0},                          \
                                     {"B_zero_point", Q8, 'T', OPT},                  \
                                     {"C_scale", F32, 0, 0},                          \
                                     {"C_zero_point", Q8, 'T', OPT}},                 \
        .out = {{"C", Q8, 'T', 0}}, .infer = binary_infer, .prepare = binary_prepare, \
        .run = binary_run                                                             \
    }
#define UNARY_IN(zero)                                                              \
    {                                                                               \
        {"X", Q8, 'T', 0}, {"X_scale", F32, 0, 0}, {"X_zero_point", Q8, 'T', zero}, \
            {"Y_scale", F32, 0, 0},                                                 \
        {                                                                           \
            "Y_zero_point", Q8, 'T', zero                                           \
        }                                                                           \
    }

const struct accel_op accel_ops_qlinear[] = {
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
     .prepare = matmul_prepare,
     .run = matmul_run,
     .cost = matmul_cost},
    {.name = "QLinearMatMul",
     .domain = "",
     .since = 10,
     .kind = ACCEL_KIND_GEMM,
     .in = {QUANTISED("a", "b"), {"y_scale", F32, 0, 0}, {"y_zero_point", Q8, 'Y', 0}},
     .out = {{"y", Q8, 'Y', 0}},
     .infer = matmul_infer,
     .prepare = matmul_prepare,
     .run = matmul_run,
     .cost = matmul_cost},
    {.name = "ConvInteger",
     .domain = "",
     .since = 10,
     .kind = ACCEL_KIND_CONV,
     .in = {{"x", Q8, 'A', 0},
            {"w", Q8, 'B', 0},
            {"x_zero_point", Q8, 'A', OPT},
            {"w_zero_point", Q8, 'B', OPT}},
     .out = {{"y", I32, 0, 0}},
     .attrs = conv_attrs,
     .parse = accel_conv_parse,
     .infer = conv_infer,
     .prepare = conv_prepare,
     .run = conv_run,
     .cost = conv_cost},
    {.name = "QLinearConv",
     .domain = "",
     .since = 10,
     .kind = ACCEL_KIND_CONV,
     .in = {QUANTISED("x", "w"),
            {"y_scale", F32, 0, 0},
            {"y_zero_point", Q8, 'Y', 0},
            {"B", I32, 0, OPT}},
     .out = {{"y", Q8, 'Y', 0}},
     .attrs = conv_attrs,
     .parse = accel_conv_parse,
     .infer = conv_infer,
     .prepare = conv_prepare,
     .run = conv_run,
     .cost = conv_cost},
    {.name = "QGemm",
     .domain = MS,
     .since = 1,
     .kind = ACCEL_KIND_GEMM,
     .in = {QUANTISED("A", "B"),
            {"C", I32, 0, OPT},
            {"y_scale", F32, 0, OPT},
            {"y_zero_point", Q8, 0, OPT}},
     .out = {{"Y", Q8 | F32, 0, 0}},
     .attrs = gemm_attrs,
     .infer = qgemm_infer,
     .prepare = matmul_prepare,
     .run = matmul_run,
     .cost = matmul_cost},
    BINARY("QLinearAdd"),
    BINARY("QLinearMul"),
    {.name = "QLinearAveragePool",
     .domain = MS,
     .since = 1,
     .kind = ACCEL_KIND_POOL,
     .flops_per_value = 4,
     .in = UNARY_IN(OPT),
     .out = {{"Y", Q8, 'T', 0}},
     .attrs = pool_attrs,
     .parse = accel_pool_parse,
     .infer = avgpool_infer,
     .prepare = avgpool_prepare,
     .run = avgpool_run},
    {.name = "QLinearGlobalAveragePool",
     .domain = MS,
     .since = 1,
     .kind = ACCEL_KIND_POOL,
     .in = UNARY_IN(0),
     .out = {{"Y", Q8, 'T', 0}},
     .attrs = global_attrs,
     .infer = global_infer,
     .run = global_run},
    {.name = "QLinearConcat",
     .domain = MS,
     .since = 1,
     .kind = ACCEL_KIND_MOVE,
     .in = {{"Y_scale", F32, 0, 0},
            {"Y_zero_point", Q8, 'T', 0},
            {"inputs", F32 | Q8, 0, ACCEL_ARG_VARIADIC | ACCEL_ARG_MIXED}},
     .out = {{"Y", Q8, 'T', 0}},
     .attrs = axis_attrs,
     .infer = concat_infer,
     .run = concat_run},
    {.name = "QLinearSigmoid",
     .domain = MS,
     .since = 1,
     .kind = ACCEL_KIND_TRANSCENDENTAL,
     .flops_per_value = 1,
     .in = UNARY_IN(OPT),
     .out = {{"Y", Q8, 'T', 0}},
     .infer = unary_infer,
     .run = table_run},
    {.name = "QLinearLeakyRelu",
     .domain = MS,
     .since = 1,
     .kind = ACCEL_KIND_ELEMENTWISE,
     .flops_per_value = 1,
     .in = UNARY_IN(OPT),
     .out = {{"Y", Q8, 'T', 0}},
     .attrs = leaky_attrs,
     .infer = unary_infer,
     .run = table_run},
    {.name = "QLinearSoftmax",
     .domain = MS,
     .since = 1,
     .kind = ACCEL_KIND_NORM,
     .flops_per_value = 5,
     .in = UNARY_IN(OPT),
     .out = {{"Y", Q8, 'T', 0}},
     .attrs = softmax_attrs,
     .infer = softmax_infer,
     .run = softmax_run},
    {0},
};
