/* SPDX-License-Identifier: Apache-2.0 */
/* com.microsoft Inverse, of each matrix of a batch. */
#include "infer/kernels/linalg.h"
#include "infer/ops/elements.h"

#include <inttypes.h>

/* Beyond it the cube of the size is more work than a tensor of the square may buy. */
#define SIZE_LARGEST 4096

static int inverse_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape;

    if (x->rank < 2)
        return accel_fail(err, ACCEL_E_INVALID, "an input of rank %u", x->rank);
    const int64_t rows = x->dims[x->rank - 2], columns = x->dims[x->rank - 1];
    if (rows >= 0 && columns >= 0 && rows != columns)
        return accel_fail(err, ACCEL_E_INVALID, "matrices of %" PRId64 " by %" PRId64, rows,
                          columns);
    if (rows > SIZE_LARGEST)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "matrices of %" PRId64 " rows: over %d", rows,
                          SIZE_LARGEST);
    return accel_infer_same(in, err);
}

static int inverse_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    const struct accel_shape *x = &prep->in[0]->shape;
    const size_t n = (size_t)x->dims[x->rank - 1];

    (void)err;
    prep->scratch_bytes = (n + 1) * n * sizeof(double);
    return ACCEL_OK;
}

static int inverse_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    const size_t n = (size_t)x->dims[x->rank - 1], bytes = n * n * accel_dtype_size(x->dtype);

    for (size_t at = 0; at < x->size_bytes; at += bytes)
        if (!accel_inverse(run->pool, x->dtype, n, (const char *)x->data + at, run->scratch,
                           (char *)run->out[0]->data + at))
            return accel_fail(err, ACCEL_E_INTERNAL, "no kernel for this type");
    return ACCEL_OK;
}

static void inverse_cost(const struct accel_prepare *prep, struct accel_cost *cost)
{
    const struct accel_shape *x = &prep->in[0]->shape;
    size_t elements = 0;

    if (accel_shape_elements(x, &elements))
        cost->flops = 2.0 * (double)elements * (double)x->dims[x->rank - 1];
}

const struct accel_op accel_ops_inverse[] = {
    {.name = "Inverse",
     .domain = "com.microsoft",
     .since = 1,
     .kind = ACCEL_KIND_OTHER,
     .in = {{"X", ACCEL_T_FLOATS, 'T', 0}},
     .out = {{"Y", ACCEL_T_FLOATS, 'T', 0}},
     .infer = inverse_infer,
     .prepare = inverse_prepare,
     .run = inverse_run,
     .cost = inverse_cost},
    {0},
};
