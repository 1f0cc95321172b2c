/* SPDX-License-Identifier: Apache-2.0 */
/* drop-identity: Identity, Dropout at inference, casts and reshapes to what the value is already.
 * Their readers read the input. */
#include "infer/graph/passes.h"

#include <string.h>

static bool does_nothing(const struct accel_node *n)
{
    const struct accel_value *x = n->inputs_count > 0 ? n->inputs[0] : NULL;
    const struct accel_value *y = n->outputs_count > 0 ? n->outputs[0] : NULL;

    if (x == NULL || y == NULL)
        return false;
    for (size_t o = 1; o < n->outputs_count; o++)
        if (n->outputs[o] != NULL && n->outputs[o]->uses > 0)
            return false;
    if (accel_node_is(n, "Identity") || accel_node_is(n, "Dropout"))
        return true;
    if (accel_node_is(n, "Cast") || accel_node_is(n, "CastLike"))
        return x->type.dtype != ACCEL_DTYPE_UNDEFINED && x->type.dtype == y->type.dtype;
    if (accel_node_is(n, "Reshape") || accel_node_is(n, "Flatten") || accel_node_is(n, "Expand"))
        return accel_shape_static(&x->type.shape) &&
               accel_shape_equal(&x->type.shape, &y->type.shape);
    if (accel_node_is(n, "Concat") || accel_node_is(n, "Sum") || accel_node_is(n, "Min") ||
        accel_node_is(n, "Max"))
        return n->inputs_count == 1;
    if (accel_node_is(n, "Transpose")) {
        size_t count;
        const int64_t *perm = accel_attr_ints(n, "perm", &count);

        for (size_t i = 0; i < count; i++)
            if (perm[i] != (int64_t)i)
                return false;
        return perm != NULL;
    }
    return false;
}

int accel_pass_drop_identity(struct accel_ir *ir, size_t *changes, struct accel_error *err)
{
    struct accel_graph *g = ir->main;

    (void)err;
    for (size_t i = 0; i < g->nodes_count; i++) {
        struct accel_node *n = g->nodes[i];

        accel_node_resolve(n);
        if (n->unsupported != NULL || !does_nothing(n))
            continue;
        accel_value_replace(n->outputs[0], n->inputs[0]);
        n->dead = true;
        (*changes)++;
    }
    return ACCEL_OK;
}
