/* SPDX-License-Identifier: Apache-2.0 */
/* Transpose. */
#include "infer/kernels/kernels.h"
#include "infer/ops/elements.h"

static int perm_of(const struct accel_node *n, uint32_t rank, unsigned perm[ACCEL_RANK_MAX],
                   struct accel_error *err)
{
    uint32_t seen = 0;
    size_t count;
    const int64_t *p = accel_attr_ints(n, "perm", &count);

    if (p != NULL && count != rank)
        return accel_fail(err, ACCEL_E_INVALID, "perm has %zu entries for rank %u", count, rank);
    for (uint32_t i = 0; i < rank; i++) {
        const int64_t axis = p != NULL ? p[i] : (int64_t)(rank - 1 - i);

        if (axis < 0 || axis >= (int64_t)rank || (seen & 1u << axis) != 0)
            return accel_fail(err, ACCEL_E_INVALID, "perm is no permutation");
        seen |= 1u << axis;
        perm[i] = (unsigned)axis;
    }
    return ACCEL_OK;
}

static int transpose_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape;
    unsigned perm[ACCEL_RANK_MAX];
    const int rc = perm_of(in->node, x->rank, perm, err);

    if (rc != ACCEL_OK)
        return rc;
    in->out[0]->dtype = in->in[0]->dtype;
    in->out[0]->shape = *x;
    for (uint32_t i = 0; i < x->rank; i++)
        in->out[0]->shape.dims[i] = x->dims[perm[i]];
    return ACCEL_OK;
}

static int transpose_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    unsigned perm[ACCEL_RANK_MAX];
    size_t dims[ACCEL_RANK_MAX];
    const int rc = perm_of(run->node, x->rank, perm, err);

    if (rc != ACCEL_OK)
        return rc;
    accel_dims_sizes(x->dims, x->rank, dims);
    accel_transpose(run->pool, accel_element_bytes(x->dtype), x->rank, dims, perm, x->data,
                    run->out[0]->data);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- the entries */

#define ANY ACCEL_T_ALL

static const struct accel_attr_rule perm_attrs[] = {{"perm", ACCEL_ATTR_INTS, 0}, {0}};

const struct accel_op accel_ops_transpose[] = {
    {.name = "Transpose",
     .domain = "",
     .since = 1,
     .kind = ACCEL_KIND_MOVE,
     .in = {{"data", ANY, 'T', 0}},
     .out = {{"transposed", ANY, 'T', 0}},
     .attrs = perm_attrs,
     .infer = transpose_infer,
     .run = transpose_run},
    {0},
};
