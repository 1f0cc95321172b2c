/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_OPS_ELEMENTS_H
#define ACCEL_INFER_OPS_ELEMENTS_H

/* What families of operators share: counting elements, inputs left out, broadcasting. */

#include "infer/ops/op.h"

static inline size_t accel_elements(const struct accel_tensor *t)
{
    return t->size_bytes / accel_element_bytes(t->dtype);
}

/* Input i is there. */
static inline bool accel_given(const struct accel_node *n, size_t i)
{
    return i < n->inputs_count && n->inputs[i] != NULL;
}

/* Element i of an INT32 or INT64 tensor. */
static inline int64_t accel_integer_at(const struct accel_tensor *t, size_t i)
{
    return t->dtype == ACCEL_DTYPE_INT64 ? ((const int64_t *)t->data)[i]
                                         : ((const int32_t *)t->data)[i];
}

/* For prepare of operators whose inputs broadcast: *nd (in prep->mem) walks output 0 with the first
 * `operands` inputs, at most 3. Errors: NOMEM. */
int accel_prepare_broadcast(struct accel_prepare *prep, unsigned operands, struct accel_nd **nd,
                            struct accel_error *err);

#endif
