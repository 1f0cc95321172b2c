/* SPDX-License-Identifier: Apache-2.0 */
/* Graphs within nodes. Each is an ir of its own; what it reads of the graph around it enters twice:
 * as a trailing input of the node, so that order, lifetimes and rewriting see it there, and as a
 * trailing input of the subgraph. */
#include "infer/graph/passes.h"
#include "infer/ops/control.h"

#include <string.h>

/* Outer values one node's subgraphs may read: finding one again is a linear search. */
#define CAPTURES_MAX 4096

struct accel_graph *accel_subgraph_next(struct accel_subgraphs *it)
{
    for (; it->attr < it->node->attrs_count; it->attr++, it->at = 0) {
        const struct accel_attr *a = &it->node->attrs[it->attr];

        if ((a->type == ACCEL_ATTR_GRAPH || a->type == ACCEL_ATTR_GRAPHS) && it->at < a->count)
            return a->graphs[it->at++];
    }
    return NULL;
}

/* ---------------------------------------------------------------- building */

static int add_captured(struct accel_node *n, size_t formal, struct accel_value *v, uint32_t *index,
                        struct accel_error *err)
{
    for (*index = 0; *index < n->captures_count; (*index)++)
        if (n->inputs[formal + *index] == v)
            return ACCEL_OK;
    if (n->captures_count == CAPTURES_MAX)
        return accel_fail(err, ACCEL_E_LIMIT, "its subgraphs read more than %d outer values",
                          CAPTURES_MAX);
    n->inputs[formal + n->captures_count++] = v;
    n->inputs_count = formal + n->captures_count;
    return ACCEL_OK;
}

int accel_node_capture(struct accel_node *node, struct accel_error *err)
{
    struct accel_bump *mem = &node->graph->ir->mem;
    struct accel_subgraphs it = {.node = node};
    const size_t formal = node->inputs_count;
    struct accel_graph *sub;
    size_t total = 0;

    while ((sub = accel_subgraph_next(&it)) != NULL)
        total += sub->captures_count;
    if (total == 0)
        return ACCEL_OK;
    total = ACCEL_MIN(total, (size_t)CAPTURES_MAX);
    /* One more, as accel_node_new leaves. */
    struct accel_value **inputs = accel_bump_alloc(mem, formal + total + 1, sizeof(*inputs));
    if (inputs == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for captured values");
    memcpy(inputs, node->inputs, formal * sizeof(struct accel_value *));
    node->inputs = inputs;
    it = (struct accel_subgraphs){.node = node};
    while ((sub = accel_subgraph_next(&it)) != NULL) {
        sub->capture = accel_bump_alloc(mem, sub->captures_count + 1, sizeof(*sub->capture));
        if (sub->capture == NULL)
            return accel_fail(err, ACCEL_E_NOMEM, "no memory for captured values");
        for (size_t k = 0; k < sub->captures_count; k++) {
            const int rc = add_captured(node, formal, sub->outer[k], &sub->capture[k], err);

            if (rc != ACCEL_OK)
                return rc;
        }
    }
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- news from outside */

/* The subgraph's own view of a constant around it. Bytes that the outer value may free are copied;
 * all others live as long as the model or are kept (accel_value_keep) by each value that is read.
 */
static int share_constant(struct accel_value *v, const struct accel_value *outer,
                          struct accel_error *err)
{
    const struct accel_tensor *from = outer->data;

    v->is_input = false;
    if (outer->owned != NULL) {
        const struct accel_shape shape = accel_shape_of(from);
        void *data;
        const int rc = accel_value_make_constant(v, from->dtype, &shape, &data, err);

        if (rc == ACCEL_OK && from->size_bytes > 0)
            memcpy(data, from->data, from->size_bytes);
        return rc;
    }
    struct accel_tensor *t = accel_bump_alloc(&v->graph->ir->mem, 1, sizeof(*t));
    if (t == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a constant");
    *t = *from;
    v->data = t;
    v->type = (struct accel_type){.dtype = t->dtype, .shape = accel_shape_of(t), .data = t};
    return ACCEL_OK;
}

static int refresh_graph(struct accel_node *n, struct accel_graph *sub, size_t *changes,
                         struct accel_error *err)
{
    const size_t formal = accel_graph_formal(sub), count = sub->captures_count;
    size_t kept = 0;

    for (size_t k = 0; k < count; k++) {
        struct accel_value *v = sub->inputs[formal + k];
        const struct accel_value *outer = n->inputs[accel_node_formal(n) + sub->capture[k]];
        const bool constant =
            outer->data != NULL && (outer->data->data != NULL || outer->data->size_bytes == 0);

        if (v->uses > 0 && constant) {
            const int rc = share_constant(v, outer, err);

            if (rc != ACCEL_OK)
                return rc;
        } else if (v->uses > 0) {
            sub->inputs[formal + kept] = v;
            sub->input_names[formal + kept] = sub->input_names[formal + k];
            sub->capture[kept++] = sub->capture[k];
        } else {
            v->is_input = false;
        }
    }
    *changes += count - kept;
    sub->captures_count = kept;
    sub->inputs_count = formal + kept;
    return ACCEL_OK;
}

/* Drops captured inputs of a node that none of its subgraphs reads any more. */
static int compact(struct accel_node *n, struct accel_error *err)
{
    const size_t formal = accel_node_formal(n);
    ACCEL_CLEANUP(accel_freep) uint32_t *place = accel_calloc(n->captures_count, sizeof(*place));
    struct accel_subgraphs it = {.node = n};
    struct accel_graph *sub;
    uint32_t kept = 0;

    if (place == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for captured values");
    while ((sub = accel_subgraph_next(&it)) != NULL)
        for (size_t k = 0; k < sub->captures_count; k++)
            place[sub->capture[k]] = 1;
    for (size_t c = 0; c < n->captures_count; c++) {
        if (place[c] == 0)
            continue;
        n->inputs[formal + kept] = n->inputs[formal + c];
        place[c] = kept++;
    }
    n->captures_count = kept;
    n->inputs_count = formal + kept;
    it = (struct accel_subgraphs){.node = n};
    while ((sub = accel_subgraph_next(&it)) != NULL)
        for (size_t k = 0; k < sub->captures_count; k++)
            sub->capture[k] = place[sub->capture[k]];
    return ACCEL_OK;
}

int accel_subgraphs_refresh(struct accel_ir *ir, size_t *changes, struct accel_error *err)
{
    for (size_t i = 0; i < ir->main->nodes_count; i++) {
        struct accel_node *n = ir->main->nodes[i];
        struct accel_subgraphs it = {.node = n};
        const size_t before = *changes;
        int rc = ACCEL_OK;

        if (n->captures_count == 0)
            continue;
        for (struct accel_graph *sub; rc == ACCEL_OK && (sub = accel_subgraph_next(&it)) != NULL;)
            rc = refresh_graph(n, sub, changes, err);
        if (rc == ACCEL_OK && *changes > before)
            rc = compact(n, err);
        if (rc != ACCEL_OK)
            return rc;
    }
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- types through a subgraph */

static void forget_value(struct accel_type *t)
{
    t->data = NULL;
    t->ints = NULL;
    t->ints_count = 0;
}

int accel_infer_subgraph(struct accel_infer *in, struct accel_graph *g,
                         const struct accel_type *inputs, struct accel_type *outputs,
                         struct accel_error *err)
{
    const size_t formal = accel_graph_formal(g), node_formal = accel_node_formal(in->node);
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_type *types = accel_bump_alloc(&mem, g->ir->values_count + 1, sizeof(*types));
    struct accel_error why = {0};

    if (types == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to infer shapes");
    accel_types_init(g->ir, types);
    for (size_t i = 0; i < g->inputs_count; i++) {
        struct accel_value *v = g->inputs[i];
        struct accel_type *t = &types[v->id];

        *t = i < formal ? inputs[i] : *in->in[node_formal + g->capture[i - formal]];
        if (t->dtype == ACCEL_DTYPE_UNDEFINED)
            t->dtype = v->type.dtype;
        /* What the passes will go by in there: it must hold each time the graph is run. An operator
         * that asks several times asks with the most general types last. */
        if (g->ir->root->loading) {
            v->type = *t;
            forget_value(&v->type);
        }
    }
    const int rc = accel_graph_infer(g, types, &mem, &why);
    /* Shapes that do not fit in there are for the run to complain of: a branch for shapes that
     * never come is no fault of the model. */
    if (rc == ACCEL_E_NOMEM)
        return accel_fail(err, ACCEL_E_NOMEM, "%s", why.msg);
    for (size_t o = 0; o < g->outputs_count; o++) {
        outputs[o] = types[g->outputs[o]->id];
        forget_value(&outputs[o]);
        if (rc != ACCEL_OK)
            outputs[o].shape = (struct accel_shape){0};
    }
    return ACCEL_OK;
}

void accel_type_merge(struct accel_type *into, const struct accel_type *other)
{
    forget_value(into);
    if (into->dtype == ACCEL_DTYPE_UNDEFINED)
        into->dtype = other->dtype;
    if (into->kind != other->kind)
        into->kind |= other->kind & ACCEL_VALUE_OPTIONAL;
    if (into->keys == ACCEL_DTYPE_UNDEFINED)
        into->keys = other->keys;
    if (!into->shape.has_rank || !other->shape.has_rank || into->shape.rank != other->shape.rank) {
        into->shape = (struct accel_shape){0};
        return;
    }
    for (uint32_t d = 0; d < into->shape.rank; d++)
        if (into->shape.dims[d] != other->shape.dims[d])
            into->shape.dims[d] = ACCEL_DIM_ANY;
}

/* ---------------------------------------------------------------- passes */

static int rewritten(struct accel_ir *ir, size_t changes, struct accel_error *err)
{
    const int rc = changes > 0 ? accel_ir_link(ir, err) : ACCEL_OK;

    return rc == ACCEL_OK && changes > 0 ? accel_ir_infer(ir, err) : rc;
}

int accel_subgraphs_passes(struct accel_ir *ir, const char *off, struct accel_error *err)
{
    struct accel_error why = {0};
    size_t changes = 0;
    int rc = accel_subgraphs_refresh(ir, &changes, err);

    if (rc == ACCEL_OK)
        rc = rewritten(ir, changes, err);
    for (size_t i = 0; i < ir->main->nodes_count && rc == ACCEL_OK; i++) {
        struct accel_subgraphs it = {.node = ir->main->nodes[i]};

        for (struct accel_graph *sub; rc == ACCEL_OK && (sub = accel_subgraph_next(&it)) != NULL;) {
            /* See accel_infer_subgraph: such a graph stays as it is. */
            rc = accel_ir_infer(sub->ir, &why);
            if (rc == ACCEL_OK)
                rc = accel_passes_run(sub->ir, off, err);
            else
                rc = rc == ACCEL_E_NOMEM ? accel_fail(err, ACCEL_E_NOMEM, "%s", why.msg) : ACCEL_OK;
        }
    }
    changes = 0;
    if (rc == ACCEL_OK)
        rc = accel_subgraphs_refresh(ir, &changes, err);
    return rc == ACCEL_OK ? rewritten(ir, changes, err) : rc;
}
