/* SPDX-License-Identifier: Apache-2.0 */
/* inline-if: an If whose condition is known is the branch that it takes. Exporters leave many: the
 * rank of a tensor, a flag of the model. */
#include "infer/graph/passes.h"
#include "infer/ops/control.h"

#include <string.h>

/* The branch that is always taken, or NULL. */
static struct accel_graph *known_branch(const struct accel_node *n)
{
    const struct accel_value *c = n->inputs_count > 0 ? n->inputs[0] : NULL;

    if (!accel_node_is(n, "If") || c == NULL || c->data == NULL || c->data->data == NULL ||
        c->data->size_bytes != 1)
        return NULL;
    return accel_attr_graph(n,
                            *(const uint8_t *)c->data->data != 0 ? "then_branch" : "else_branch");
}

/* Values and nodes of the branch become those of the graph around it. */
static int move_in(struct accel_node *n, struct accel_graph *from, struct accel_error *err)
{
    struct accel_graph *g = n->graph;
    const size_t formal = accel_graph_formal(from);

    for (size_t k = 0; k < from->captures_count; k++) {
        from->inputs[formal + k]->is_input = false;
        accel_value_replace(from->inputs[formal + k],
                            n->inputs[accel_node_formal(n) + from->capture[k]]);
    }
    for (size_t id = 0; id < from->ir->values_count; id++) {
        const int rc = accel_value_adopt(g, from->ir->values[id], err);

        if (rc != ACCEL_OK)
            return rc;
    }
    for (size_t i = 0; i < from->nodes_count; i++) {
        struct accel_subgraphs it = {.node = from->nodes[i]};

        from->nodes[i]->graph = g;
        for (struct accel_graph *sub; (sub = accel_subgraph_next(&it)) != NULL;)
            sub->parent = g;
    }
    for (size_t o = 0; o < n->outputs_count; o++) {
        struct accel_value *was = n->outputs[o], *is = from->outputs[o];

        if (was == NULL)
            continue;
        if (is->dim_names == NULL && is->graph == g && is->producer != NULL) {
            is->dim_names = was->dim_names;
            is->declared = was->declared;
            is->declared_kind = was->declared_kind;
        }
        accel_value_replace(was, is);
    }
    n->dead = true;
    return ACCEL_OK;
}

int accel_pass_inline_if(struct accel_ir *ir, size_t *changes, struct accel_error *err)
{
    struct accel_graph *g = ir->main;
    const size_t before = g->nodes_count;
    size_t more = 0;

    for (size_t i = 0; i < before; i++) {
        const struct accel_graph *branch = known_branch(g->nodes[i]);

        more += branch != NULL ? branch->nodes_count + 1 : 0;
    }
    if (more == 0)
        return ACCEL_OK;
    struct accel_node **nodes = accel_bump_alloc(&ir->mem, before + more, sizeof(*nodes));
    if (nodes == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a graph");
    memcpy(nodes, g->nodes, before * sizeof(struct accel_node *));
    g->nodes = nodes;
    for (size_t i = 0; i < before; i++) {
        struct accel_graph *branch = known_branch(nodes[i]);

        if (branch == NULL)
            continue;
        const int rc = move_in(nodes[i], branch, err);
        if (rc != ACCEL_OK)
            return rc;
        if (branch->nodes_count > 0)
            memcpy(nodes + g->nodes_count, branch->nodes,
                   branch->nodes_count * sizeof(struct accel_node *));
        g->nodes_count += branch->nodes_count;
        (*changes)++;
    }
    return ACCEL_OK;
}
