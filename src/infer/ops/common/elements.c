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
