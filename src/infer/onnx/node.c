/* SPDX-License-Identifier: Apache-2.0 */

/* NodeProto -> nodes, in two walks. */

#include "infer/onnx/reader.h"
#include "infer/ops/op.h"

#include <string.h>

int accel_onnx_append_node(struct accel_graph *g, struct accel_node *node, struct accel_error *err)
{
    if (g->nodes_count == g->nodes_room) {
        const size_t room = g->nodes_room * 2 + 16;
        struct accel_node **more = accel_bump_alloc(&g->ir->mem, room, sizeof(*more));

        if (more == NULL)
            return accel_onnx_no_memory(err);
        if (g->nodes_count > 0)
            memcpy(more, g->nodes, g->nodes_count * sizeof(struct accel_node *));
        g->nodes = more;
        g->nodes_room = room;
    }
    g->nodes[g->nodes_count++] = node;
    return ACCEL_OK;
}

/* The caller's value for an output of the function whose body this is, unless it has one. */
static struct accel_value *callers_value(const struct scope *scope, const char *name)
{
    const struct call *c = scope->call;

    for (size_t o = 0; c != NULL && o < c->node->outputs_count; o++)
        if (c->node->outputs[o] != NULL && c->node->outputs[o]->producer == c->node &&
            strcmp(c->outputs[o], name) == 0)
            return c->node->outputs[o];
    return NULL;
}

int accel_onnx_node(struct reader *r, struct accel_slice proto, struct accel_graph *graph,
                    struct scope *scope, size_t index, struct pending *pending,
                    struct accel_error *err)
{
    struct accel_wire w = accel_wire_of(proto);
    struct accel_wire_field f;
    const char *op_type = "", *domain = "", *name = "", *overload = "";
    size_t inputs = 0, outputs = 0, o = 0;
    int more, rc = ACCEL_OK;

    if (++r->nodes > r->ir->limits.nodes)
        return accel_fail(err, ACCEL_E_LIMIT, "more than %zu nodes", r->ir->limits.nodes);
    while (rc == ACCEL_OK && (more = accel_wire_next(&w, &f, err)) != 0) {
        if (more < 0) {
            accel_fail_in(err, "node %zu '%s' (%s)", index, name, op_type);
            return -more;
        }
        inputs += f.number == 1;
        outputs += f.number == 2;
        if (f.number == 3)
            rc = accel_onnx_text(r, &f, "a node's name", &name, err);
        else if (f.number == 4)
            rc = accel_onnx_text(r, &f, "an operator's name", &op_type, err);
        else if (f.number == 7)
            rc = accel_onnx_text(r, &f, "a domain", &domain, err);
        else if (f.number == 8)
            rc = accel_onnx_text(r, &f, "an overload", &overload, err);
    }
    if (rc != ACCEL_OK)
        return accel_fail_in(err, "node %zu '%s'", index, name);
    if (op_type[0] == '\0')
        return accel_fail(err, ACCEL_E_INVALID, "node %zu '%s' has no operator", index, name);
    if (inputs > LIST_MAX || outputs > LIST_MAX)
        return accel_fail(err, ACCEL_E_LIMIT, "node '%s': more than %d inputs or outputs", name,
                          LIST_MAX);
    struct accel_node *node =
        accel_node_new(graph, op_type, accel_onnx_domain(domain), inputs, outputs, err);
    if (node == NULL)
        return ACCEL_E_NOMEM;
    node->name = name[0] != '\0' ? name : accel_bump_printf(&r->ir->mem, "%s_%zu", op_type, index);
    if (node->name == NULL)
        return accel_onnx_no_memory(err);
    const struct function *called = accel_onnx_function(r, node->domain, op_type, overload);
    /* Short ones only: fifty thousand nodes thirty calls deep may not add up. */
    if (r->call != NULL && strlen(r->call->node->name) + strlen(node->name) < 256) {
        node->name = accel_bump_printf(&r->ir->mem, "%s/%s", r->call->node->name, node->name);
        if (node->name == NULL)
            return accel_onnx_no_memory(err);
    }
    if (called == NULL)
        rc = accel_onnx_append_node(graph, node, err);
    if (rc != ACCEL_OK)
        return rc;
    *pending = (struct pending){.node = node, .proto = proto, .function = called};
    w = accel_wire_of(proto);
    while (accel_wire_next(&w, &f, err) > 0) {
        const char *text;

        if (f.number != 2)
            continue;
        rc = accel_onnx_text(r, &f, "an output's name", &text, err);
        if (rc != ACCEL_OK)
            return accel_fail_in(err, "node '%s' (%s)", node->name, op_type);
        if (text[0] != '\0') {
            if (accel_onnx_scope_value(scope, text) != NULL)
                return accel_fail(err, ACCEL_E_INVALID,
                                  "node '%s' (%s): its output '%s' is already defined", node->name,
                                  op_type, text);
            struct accel_value *v = callers_value(scope, text);
            if (v == NULL)
                v = accel_value_new(graph, text, err);
            if (v == NULL)
                return ACCEL_E_NOMEM;
            v->producer = node;
            v->output = (uint32_t)o;
            node->outputs[o] = v;
            rc = accel_onnx_scope_add(scope, text, v, err);
            if (rc != ACCEL_OK)
                return rc;
        }
        o++;
    }
    return ACCEL_OK;
}

int accel_onnx_node_finish(struct reader *r, const struct pending *p, struct scope *scope,
                           unsigned depth, struct accel_error *err)
{
    struct accel_node *node = p->node;
    struct accel_wire w = accel_wire_of(p->proto);
    struct accel_wire_field f;
    size_t attrs, i = 0, a = 0;
    bool inner = false;
    int rc = accel_onnx_count_fields(p->proto, 5, &attrs, err);

    if (rc == ACCEL_OK && attrs > LIST_MAX)
        rc = accel_fail(err, ACCEL_E_LIMIT, "more than %d attributes", LIST_MAX);
    struct accel_attr *list = accel_bump_alloc(&r->ir->mem, attrs + 1, sizeof(*list));
    if (rc == ACCEL_OK && list == NULL)
        rc = accel_onnx_no_memory(err);
    while (rc == ACCEL_OK && accel_wire_next(&w, &f, err) > 0) {
        if (f.number == 1) {
            const char *text;

            rc = accel_onnx_text(r, &f, "an input's name", &text, err);
            if (rc != ACCEL_OK || text[0] == '\0') {
                i++;
                continue;
            }
            rc = accel_onnx_scope_find(r, scope, text, &node->inputs[i], err);
            if (rc == ACCEL_OK && node->inputs[i] == &accel_onnx_left_out) {
                node->inputs[i++] = NULL;
                continue;
            }
            if (rc == ACCEL_OK && node->inputs[i] == NULL)
                rc =
                    accel_fail(err, ACCEL_E_INVALID,
                               "its input '%s' is no input, initialiser or output of a node", text);
            i++;
        } else if (f.number == 5) {
            rc = f.type != ACCEL_WIRE_BYTES
                     ? accel_fail(err, ACCEL_E_INVALID, "an attribute is broken")
                     : accel_onnx_attribute(r, f.bytes, node, scope, depth, &list[a], &inner, err);
            for (size_t k = 0; rc == ACCEL_OK && k < a && a < 256; k++)
                if (strcmp(list[k].name, list[a].name) == 0)
                    rc = accel_fail(err, ACCEL_E_INVALID, "attribute '%s' is given twice",
                                    list[a].name);
            /* It stands for an attribute of the function that the caller left out. */
            a += list[a].type != ACCEL_ATTR_NONE;
        }
    }
    /* What is wrong inside a subgraph names its own node: the chain of nodes around that would fill
     * the message and cut off the reason. */
    if (rc != ACCEL_OK && inner)
        return rc;
    if (rc != ACCEL_OK)
        return accel_fail_in(err, "node '%s' (%s)", node->name, node->op_type);
    node->attrs = list;
    node->attrs_count = a;
    /* An optional input left out at the end is as good as not there. */
    while (node->inputs_count > 0 && node->inputs[node->inputs_count - 1] == NULL)
        node->inputs_count--;
    while (node->outputs_count > 0 && node->outputs[node->outputs_count - 1] == NULL)
        node->outputs_count--;
    if (p->function != NULL)
        return accel_onnx_inline_call(r, p, scope, depth, err);
    rc = accel_node_capture(node, err);
    if (rc == ACCEL_OK && r->call != NULL)
        rc = accel_onnx_function_opset(r->call, node, err);
    if (rc != ACCEL_OK)
        return accel_fail_in(err, "node '%s' (%s)", node->name, node->op_type);
    return accel_node_bind(node, err);
}
