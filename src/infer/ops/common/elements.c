/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/ops/elements.h"

int accel_prepare_broadcast(struct accel_prepare *prep, unsigned operands, struct accel_nd **nd,
                            struct accel_error *err)
{
    const struct accel_shape *y = &prep->out[0]->shape;

    *nd = accel_bump_alloc(prep->mem, 1, sizeof(**nd));
    if (*nd == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to prepare it");
    (*nd)->rank = y->rank;
    for (uint32_t i = 0; i < y->rank; i++)
        (*nd)->dims[i] = (size_t)y->dims[i];
    for (unsigned k = 0; k < operands; k++)
        accel_nd_operand(*nd, k, prep->in[k]->shape.rank, prep->in[k]->shape.dims);
    return ACCEL_OK;
}

void accel_dense_strides(const int64_t *dims, uint32_t rank, ptrdiff_t *stride)
{
    ptrdiff_t step = 1;

    for (uint32_t i = rank; i-- > 0;) {
        stride[i] = step;
        step *= (ptrdiff_t)dims[i];
    }
}

void accel_dims_sizes(const int64_t *dims, uint32_t rank, size_t *out)
{
    for (uint32_t i = 0; i < rank; i++)
        out[i] = (size_t)dims[i];
}

void accel_selected_cost(const struct accel_prepare *prep, struct accel_cost *cost)
{
    double *from = prep->node->inputs[0]->data != NULL ? &cost->bytes_weights : &cost->bytes_read;

    *from = ACCEL_MIN(*from, cost->bytes_written);
}

int accel_infer_expect(const struct accel_infer *in, size_t i, uint32_t rank, const int64_t *dims,
                       struct accel_error *err)
{
    const struct accel_shape *s = accel_given(in->node, i) ? &in->in[i]->shape : NULL;
    struct accel_shape wanted = {.has_rank = true, .rank = rank};
    bool fits = s == NULL || s->rank == rank;
    char found_text[ACCEL_SHAPE_TEXT], wanted_text[ACCEL_SHAPE_TEXT];

    for (uint32_t d = 0; s != NULL && d < rank; d++) {
        wanted.dims[d] = dims[d];
        fits = fits && (s->dims[d] < 0 || dims[d] < 0 || s->dims[d] == dims[d]);
    }
    if (fits)
        return ACCEL_OK;
    return accel_fail(err, ACCEL_E_INVALID, "input %zu '%s' is %s instead of %s", i,
                      accel_op_input(in->node->op, i)->name, accel_shape_format(s, found_text),
                      accel_shape_format(&wanted, wanted_text));
}
