/* SPDX-License-Identifier: Apache-2.0 */
/* dead-code: a node whose outputs nobody reads goes, and with it what only it read. */
#include "infer/graph/passes.h"

int accel_pass_dead_code(struct accel_ir *ir, size_t *changes, struct accel_error *err)
{
    struct accel_graph *g = ir->main;

    (void)err;
    for (size_t i = g->nodes_count; i-- > 0;) {
        struct accel_node *n = g->nodes[i];
        bool read = false;

        for (size_t o = 0; o < n->outputs_count; o++)
            read = read || (n->outputs[o] != NULL && n->outputs[o]->uses > 0);
        if (read || n->dead)
            continue;
        n->dead = true;
        (*changes)++;
        for (size_t k = 0; k < n->inputs_count; k++)
            if (n->inputs[k] != NULL)
                n->inputs[k]->uses--;
    }
    return ACCEL_OK;
}
