/* SPDX-License-Identifier: Apache-2.0 */
/* com.microsoft MatMulInteger16: products of matrices of INT16, summed in INT32. */
#include "infer/kernels/quant.h"
#include "infer/ops/elements.h"
#include "infer/ops/matmul.h"

static int matmul16_infer(struct accel_infer *in, struct accel_error *err)
{
    int64_t rows, columns;

    in->out[0]->dtype = ACCEL_DTYPE_INT32;
    return accel_matmul_shape(&in->in[0]->shape, &in->in[1]->shape, &in->out[0]->shape, &rows,
                              &columns, err);
}

/* Sizes of one product, and how many there are. */
struct matmul16_state {
    struct accel_matmul16 product;
    unsigned rank;
    size_t batch[ACCEL_RANK_MAX], a_stride[ACCEL_RANK_MAX], b_stride[ACCEL_RANK_MAX], batches;
};

static int matmul16_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    const struct accel_shape *a = &prep->in[0]->shape, *b = &prep->in[1]->shape;
    struct matmul16_state *s = accel_prepare_state(prep, sizeof(*s), err);

    if (s == NULL)
        return ACCEL_E_NOMEM;
    s->product.m = a->rank == 1 ? 1 : (size_t)a->dims[a->rank - 2];
    s->product.k = (size_t)a->dims[a->rank - 1];
    s->product.n = b->rank == 1 ? 1 : (size_t)b->dims[b->rank - 1];
    s->rank = ACCEL_MAX(a->rank, b->rank);
    s->rank = s->rank > 2 ? s->rank - 2 : 0;
    s->batches = 1;
    for (unsigned i = 0; i < s->rank; i++) {
        s->batch[i] = (size_t)prep->out[0]->shape.dims[i];
        s->batches *= s->batch[i];
    }
    accel_matmul_strides(a, s->product.m * s->product.k, s->rank, s->a_stride);
    accel_matmul_strides(b, s->product.k * s->product.n, s->rank, s->b_stride);
    return ACCEL_OK;
}

static int matmul16_run(struct accel_run *run, struct accel_error *err)
{
    const struct matmul16_state *s = run->state;
    struct accel_matmul16 product = s->product;

    (void)err;
    if (run->out[0]->size_bytes == 0)
        return ACCEL_OK;
    for (size_t k = 0; k < s->batches; k++) {
        size_t at_a = 0, at_b = 0, rest = k;

        for (unsigned i = s->rank; i-- > 0;) {
            at_a += rest % s->batch[i] * s->a_stride[i];
            at_b += rest % s->batch[i] * s->b_stride[i];
            rest /= s->batch[i];
        }
        product.a = (const int16_t *)run->in[0]->data + at_a;
        product.b = (const int16_t *)run->in[1]->data + at_b;
        product.y = (int32_t *)run->out[0]->data + k * product.m * product.n;
        accel_matmul16(run->pool, &product);
    }
    return ACCEL_OK;
}

static void matmul16_cost(const struct accel_prepare *prep, struct accel_cost *cost)
{
    const struct accel_shape *a = &prep->in[0]->shape;
    size_t elements = 0;

    if (a->rank == 0)
        return;
    accel_shape_elements(&prep->out[0]->shape, &elements);
    cost->flops = 2.0 * (double)elements * (double)a->dims[a->rank - 1];
}

#define I16 ACCEL_T(INT16)

const struct accel_op accel_ops_matmul16[] = {
    {.name = "MatMulInteger16",
     .domain = "com.microsoft",
     .since = 1,
     .kind = ACCEL_KIND_GEMM,
     .in = {{"A", I16, 0, 0}, {"B", I16, 0, 0}},
     .out = {{"Y", ACCEL_T(INT32), 0, 0}},
     .infer = matmul16_infer,
     .prepare = matmul16_prepare,
     .run = matmul16_run,
     .cost = matmul16_cost},
    {0},
};
