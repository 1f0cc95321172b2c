/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_OPS_ELEMENTS_H
#define ACCEL_INFER_OPS_ELEMENTS_H

/* What families of operators share: counting elements, inputs left out, broadcasting, strides. */

#include "infer/ops/op.h"

#include <string.h>

static inline size_t accel_elements(const struct accel_tensor *t)
{
    return t->size_bytes / accel_element_bytes(t->dtype);
}

/* Input i is there: what the node's subgraphs capture is none. */
static inline bool accel_given(const struct accel_node *n, size_t i)
{
    return i < accel_node_formal(n) && n->inputs[i] != NULL;
}

/* Output o is asked for. */
static inline bool accel_wanted(const struct accel_node *n, size_t o)
{
    return o < n->outputs_count && n->outputs[o] != NULL;
}

/* Element i of an INT32 or INT64 tensor. */
static inline int64_t accel_integer_at(const struct accel_tensor *t, size_t i)
{
    return t->dtype == ACCEL_DTYPE_INT64 ? ((const int64_t *)t->data)[i]
                                         : ((const int32_t *)t->data)[i];
}

/* The bytes of a tensor of the same size, unless they are there already. */
static inline void accel_copy_bytes(const struct accel_tensor *from, const struct accel_tensor *to)
{
    if (from->data != to->data && from->size_bytes > 0)
        memcpy(to->data, from->data, from->size_bytes);
}

/* Element strides of a dense tensor. */
void accel_dense_strides(const int64_t *dims, uint32_t rank, ptrdiff_t *stride);
/* Known dimensions as sizes. */
void accel_dims_sizes(const int64_t *dims, uint32_t rank, size_t *out);

/* For cost of operators that read of their data, input 0, what they write and not all of it. */
void accel_selected_cost(const struct accel_prepare *prep, struct accel_cost *cost);

/* Input i, unless it is left out, has this rank and these dimensions (below 0: any), as far as they
 * are known. Errors: INVALID. */
int accel_infer_expect(const struct accel_infer *in, size_t i, uint32_t rank, const int64_t *dims,
                       struct accel_error *err);

/* accel_binary() on floats, with what the run lends. */
static inline void accel_binary_f32(const struct accel_run *run, enum accel_binary_op op,
                                    const struct accel_nd *nd, const float *a, const float *b,
                                    float *y)
{
    accel_binary(run->kernels, run->pool, op, ACCEL_DTYPE_FLOAT, nd, a, b, y);
}

/* For prepare of operators whose inputs broadcast: *nd (in prep->mem) walks output 0 with the first
 * `operands` inputs, at most 3. Errors: NOMEM. */
int accel_prepare_broadcast(struct accel_prepare *prep, unsigned operands, struct accel_nd **nd,
                            struct accel_error *err);

#endif
