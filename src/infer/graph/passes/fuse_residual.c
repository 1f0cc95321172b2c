/* SPDX-License-Identifier: Apache-2.0 */
/* fuse-residual: Add(Conv(x), y), where y has the same shape, is done while the result is stored.
 */
#include "infer/graph/passes.h"

int accel_pass_fuse_residual(struct accel_ir *ir, size_t *changes, struct accel_error *err)
{
    struct accel_graph *g = ir->main;

    for (size_t i = 0; i < g->nodes_count; i++) {
        struct accel_node *n = g->nodes[i], *add;

        if (n->dead || n->op == NULL || n->unsupported != NULL ||
            (n->op->flags & ACCEL_OP_RESIDUAL) == 0 || n->epilogue.add >= 0 ||
            n->epilogue.act.op != ACCEL_UNARY_IDENTITY)
            continue;
        add = accel_node_follower(n);
        if (add == NULL || !accel_node_is(add, "Add") || add->inputs[0] == add->inputs[1])
            continue;
        struct accel_value *other = add->inputs[add->inputs[0] == n->outputs[0] ? 1 : 0];
        /* Shapes must be known to be the same: a free dimension could turn out to broadcast. */
        if (other->data != NULL || other->graph != g || n->inputs_count > 3 ||
            other->type.dtype != ACCEL_DTYPE_FLOAT || !accel_shape_static(&other->type.shape) ||
            !accel_shape_equal(&other->type.shape, &n->outputs[0]->type.shape))
            continue;
        const int rc = accel_node_fused(n, add->op_type, err);
        if (rc != ACCEL_OK)
            return rc;
        struct accel_value **inputs = accel_bump_alloc(&ir->mem, 5, sizeof(struct accel_value *));
        if (inputs == NULL)
            return accel_fail(err, ACCEL_E_NOMEM, "no memory for a node");
        for (size_t k = 0; k < n->inputs_count; k++)
            inputs[k] = n->inputs[k];
        inputs[3] = other;
        n->inputs = inputs;
        n->inputs_count = 4;
        n->epilogue.add = 3;
        accel_node_absorb(n, add);
        (*changes)++;
    }
    return ACCEL_OK;
}
