/* SPDX-License-Identifier: Apache-2.0 */
/* merge-reshapes: of a chain of Reshape, Flatten, Squeeze and Unsqueeze only the last matters; when
 * it comes back to the shape that the chain began with, not even that. */
#include "infer/graph/passes.h"

static bool is_view(const struct accel_node *n)
{
    return n != NULL && !n->dead &&
           (accel_node_is(n, "Reshape") || accel_node_is(n, "Flatten") ||
            accel_node_is(n, "Squeeze") || accel_node_is(n, "Unsqueeze"));
}

/* The shape as a Reshape is told it: one free dimension is -1. false: it cannot be told. */
static bool shape_numbers(const struct accel_shape *s, int64_t *dims)
{
    unsigned free_dims = 0;

    if (!s->has_rank)
        return false;
    for (uint32_t i = 0; i < s->rank; i++) {
        dims[i] = s->dims[i] < 0 ? -1 : s->dims[i];
        free_dims += dims[i] < 0;
        if (dims[i] == 0) /* means "as the input has it" */
            return false;
    }
    return free_dims <= 1;
}

int accel_pass_merge_reshapes(struct accel_ir *ir, size_t *changes, struct accel_error *err)
{
    struct accel_graph *g = ir->main;

    for (size_t i = 0; i < g->nodes_count; i++) {
        struct accel_node *n = g->nodes[i];
        int64_t dims[ACCEL_RANK_MAX];

        accel_node_resolve(n);
        if (!is_view(n) || n->inputs[0]->graph != g || !is_view(n->inputs[0]->producer))
            continue;
        struct accel_value *x = n->inputs[0]->producer->inputs[0];
        const struct accel_shape *y = &n->outputs[0]->type.shape;
        if (accel_shape_same_elements(&x->type.shape, y)) {
            accel_value_replace(n->outputs[0], x);
            n->dead = true;
        } else if (shape_numbers(y, dims)) {
            struct accel_value *in[2] = {x, accel_ints_constant(g, n->name, dims, y->rank, err)};

            if (in[1] == NULL)
                return ACCEL_E_NOMEM;
            const int rc = accel_node_turn_into(n, "", "Reshape", in, 2, NULL, 0, err);
            if (rc != ACCEL_OK)
                return rc;
        } else {
            continue;
        }
        (*changes)++;
    }
    return ACCEL_OK;
}
