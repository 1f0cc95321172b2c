/* SPDX-License-Identifier: Apache-2.0 */
/* com.microsoft SparseToDenseMatMul: alpha op(A) op(B), where A is sparse. A sparse tensor of a
 * model (a sparse initialiser or Constant) is held as a dense one, whose zeros are left out here:
 * they do not meet B's infinities. */
#include "infer/ops/elements.h"

#include <inttypes.h>
#include <string.h>

/* The matrices as [rows, inner] and [inner, columns], whichever way they lie. */
struct product {
    size_t rows, inner, columns;
    size_t a_row, a_inner, b_inner, b_column; /* strides in elements */
    float alpha;
};

static struct product product_of(const struct accel_node *n, const int64_t *a, const int64_t *b)
{
    const bool ta = accel_attr_int(n, "transA", 0) != 0, tb = accel_attr_int(n, "transB", 0) != 0;

    return (struct product){.rows = (size_t)a[ta],
                            .inner = (size_t)a[!ta],
                            .columns = (size_t)b[!tb],
                            .a_row = ta ? 1 : (size_t)a[1],
                            .a_inner = ta ? (size_t)a[1] : 1,
                            .b_inner = tb ? 1 : (size_t)b[1],
                            .b_column = tb ? (size_t)b[1] : 1,
                            .alpha = accel_attr_float(n, "alpha", 1)};
}

static int sparse_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *a = &in->in[0]->shape, *b = &in->in[1]->shape;
    const bool ta = accel_attr_int(in->node, "transA", 0) != 0,
               tb = accel_attr_int(in->node, "transB", 0) != 0;

    if (a->rank != 2 || b->rank != 2)
        return accel_fail(err, ACCEL_E_INVALID, "A of rank %u, B of rank %u instead of 2", a->rank,
                          b->rank);
    if (a->dims[!ta] >= 0 && b->dims[tb] >= 0 && a->dims[!ta] != b->dims[tb])
        return accel_fail(err, ACCEL_E_INVALID,
                          "inner dimensions %" PRId64 " and %" PRId64 " differ", a->dims[!ta],
                          b->dims[tb]);
    in->out[0]->dtype = in->in[0]->dtype;
    in->out[0]->shape =
        (struct accel_shape){.has_rank = true, .rank = 2, .dims = {a->dims[ta], b->dims[!tb]}};
    return ACCEL_OK;
}

/* One term after the other, as ONNX Runtime has it for coordinates; alpha counts for floats only.
 */
#define MULTIPLY(name, type, scaled)                                                 \
    static void name(const struct product *p, const type *a, const type *b, type *y) \
    {                                                                                \
        for (size_t i = 0; i < p->rows; i++, y += p->columns)                        \
            for (size_t k = 0; k < p->inner; k++) {                                  \
                const type v = a[i * p->a_row + k * p->a_inner];                     \
                const type *from = b + k * p->b_inner;                               \
                                                                                     \
                for (size_t j = 0; v != 0 && j < p->columns; j++)                    \
                    y[j] += (scaled)*from[j * p->b_column];                          \
            }                                                                        \
    }
MULTIPLY(multiply_f32, float, v * p->alpha)
MULTIPLY(multiply_f64, double, v)
MULTIPLY(multiply_u32, uint32_t, v)
MULTIPLY(multiply_u64, uint64_t, v)

static int sparse_run(struct accel_run *run, struct accel_error *err)
{
    const struct product p = product_of(run->node, run->in[0]->dims, run->in[1]->dims);
    const void *a = run->in[0]->data, *b = run->in[1]->data;
    void *y = run->out[0]->data;

    (void)err;
    if (run->out[0]->size_bytes == 0)
        return ACCEL_OK;
    memset(y, 0, run->out[0]->size_bytes);
    switch (run->in[0]->dtype) {
    case ACCEL_DTYPE_FLOAT:
        multiply_f32(&p, a, b, y);
        break;
    case ACCEL_DTYPE_DOUBLE:
        multiply_f64(&p, a, b, y);
        break;
    case ACCEL_DTYPE_INT32:
    case ACCEL_DTYPE_UINT32:
        multiply_u32(&p, a, b, y);
        break;
    default:
        multiply_u64(&p, a, b, y);
        break;
    }
    return ACCEL_OK;
}

/* As if A were dense: what it holds is not known from its shape. */
static void sparse_cost(const struct accel_prepare *prep, struct accel_cost *cost)
{
    const int64_t *a = prep->in[0]->shape.dims, *b = prep->in[1]->shape.dims;
    const bool tb = accel_attr_int(prep->node, "transB", 0) != 0;

    cost->flops = 2.0 * (double)a[0] * (double)a[1] * (double)b[!tb];
}

static const struct accel_attr_rule sparse_attrs[] = {{"alpha", ACCEL_ATTR_FLOAT, 0},
                                                      {"transA", ACCEL_ATTR_INT, 0},
                                                      {"transB", ACCEL_ATTR_INT, 0},
                                                      {0}};

#define TYPES (ACCEL_T_FLOATS | ACCEL_T(INT32) | ACCEL_T(INT64) | ACCEL_T(UINT32) | ACCEL_T(UINT64))

const struct accel_op accel_ops_ms_sparse[] = {
    {.name = "SparseToDenseMatMul",
     .domain = "com.microsoft",
     .since = 1,
     .kind = ACCEL_KIND_GEMM,
     .in = {{"A", TYPES, 'T', 0}, {"B", TYPES, 'T', 0}},
     .out = {{"Y", TYPES, 'T', 0}},
     .attrs = sparse_attrs,
     .infer = sparse_infer,
     .run = sparse_run,
     .cost = sparse_cost},
    {0},
};
