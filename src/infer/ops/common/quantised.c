/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/ops/quantised.h"

#include <inttypes.h>

int accel_quant_single(const struct accel_infer *in, size_t i, struct accel_error *err)
{
    const struct accel_shape *s = accel_given(in->node, i) ? &in->in[i]->shape : NULL;

    for (uint32_t d = 0; s != NULL && d < s->rank; d++)
        if (s->dims[d] >= 0 && s->dims[d] != 1)
            return accel_fail(err, ACCEL_E_UNSUPPORTED, "input %zu is no scalar", i);
    return ACCEL_OK;
}

/* One element, or a vector of `n` (< 0: not known) along the rows (or columns) of a matrix. */
static int single_or_vector(const struct accel_infer *in, size_t i, int64_t n,
                            struct accel_error *err)
{
    const struct accel_shape *s = i != 0 && accel_given(in->node, i) ? &in->in[i]->shape : NULL;

    if (s == NULL)
        return ACCEL_OK;
    if (s->rank != 1)
        return accel_quant_single(in, i, err);
    if (s->dims[0] >= 0 && s->dims[0] != 1 && n >= 0 && s->dims[0] != n)
        return accel_fail(err, ACCEL_E_INVALID,
                          "input %zu has %" PRId64 " elements instead of %" PRId64, i, s->dims[0],
                          n);
    return ACCEL_OK;
}

int accel_quant_check(const struct accel_infer *in, const struct accel_quant_places *p,
                      int64_t rows, int64_t columns, struct accel_error *err)
{
    int rc = single_or_vector(in, p->a_zero, rows, err);

    if (rc == ACCEL_OK)
        rc = single_or_vector(in, p->b_zero, columns, err);
    if (rc == ACCEL_OK)
        rc = single_or_vector(in, p->a_scale, rows, err);
    if (rc == ACCEL_OK)
        rc = single_or_vector(in, p->b_scale, columns, err);
    if (rc == ACCEL_OK && p->y_scale != 0)
        rc = accel_quant_single(in, p->y_scale, err);
    return rc == ACCEL_OK && p->y_zero != 0 ? accel_quant_single(in, p->y_zero, err) : rc;
}

enum accel_dtype accel_quant_result(const struct accel_infer *in,
                                    const struct accel_quant_places *p)
{
    if (p->b_scale == 0)
        return ACCEL_DTYPE_INT32;
    return p->y_zero != 0 && accel_given(in->node, p->y_zero) ? in->in[p->y_zero]->dtype
                                                              : ACCEL_DTYPE_FLOAT;
}

const void *accel_quant_data(const struct accel_run *run, size_t i)
{
    return i != 0 && accel_given(run->node, i) ? run->in[i]->data : NULL;
}

int32_t accel_quant_zero(const struct accel_run *run, size_t i)
{
    const void *data = accel_quant_data(run, i);

    return data != NULL ? accel_quant_at(run->in[i]->dtype, data, 0) : 0;
}

size_t accel_quant_stride(const struct accel_run *run, size_t i)
{
    return accel_quant_data(run, i) != NULL && accel_elements(run->in[i]) > 1;
}

struct accel_quant_param accel_quant_param_of(const struct accel_run *run, size_t i)
{
    return (struct accel_quant_param){*(const float *)run->in[i]->data,
                                      accel_quant_zero(run, i + 1)};
}

struct accel_quant_out accel_quant_out_of(const struct accel_run *run,
                                          const struct accel_quant_places *p)
{
    struct accel_quant_out out = {
        .dtype = run->out[0]->dtype, .alpha = 1, .y_scale = 1, .y = run->out[0]->data};

    if (p->b_scale == 0)
        return out;
    out.alpha = accel_attr_float(run->node, "alpha", 1);
    out.a_scale = accel_quant_data(run, p->a_scale);
    out.b_scale = accel_quant_data(run, p->b_scale);
    out.a_scale_stride = accel_quant_stride(run, p->a_scale);
    out.b_scale_stride = accel_quant_stride(run, p->b_scale);
    if (p->y_scale != 0 && accel_given(run->node, p->y_scale))
        out.y_scale = *(const float *)run->in[p->y_scale]->data;
    out.y_zero = accel_quant_zero(run, p->y_zero);
    return out;
}
