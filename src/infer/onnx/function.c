/* SPDX-License-Identifier: Apache-2.0 */

/* FunctionProto: the nodes of a function's body take the place of the node that calls it. */

#include "infer/onnx/reader.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

static int compare_functions(const void *a, const void *b)
{
    const struct function *x = a, *y = b;
    int order = strcmp(x->domain, y->domain);

    if (order == 0)
        order = strcmp(x->name, y->name);
    return order != 0 ? order : strcmp(x->overload, y->overload);
}

const struct function *accel_onnx_function(const struct reader *r, const char *domain,
                                           const char *name, const char *overload)
{
    const struct function wanted = {.domain = domain, .name = name, .overload = overload};

    return r->functions_count == 0 ? NULL
                                   : bsearch(&wanted, r->functions, r->functions_count,
                                             sizeof(wanted), compare_functions);
}

int accel_onnx_function_opset(const struct call *call, struct accel_node *node,
                              struct accel_error *err)
{
    for (size_t i = 0; i < call->opsets_count; i++)
        if (strcmp(call->opsets[i].domain, node->domain) == 0)
            node->opset = call->opsets[i].version;
    if (node->opset <= 0)
        return accel_fail(err, ACCEL_E_INVALID, "function '%s' imports no opset of domain '%s'",
                          call->function->name, node->domain[0] != '\0' ? node->domain : "ai.onnx");
    return ACCEL_OK;
}

/* The head of a FunctionProto for one call of it. *nodes: in its body; inputs get the caller's
 * values as their meaning. */
static int function_head(struct reader *r, struct call *c, struct scope *body, size_t *nodes,
                         struct accel_error *err)
{
    const struct accel_slice proto = c->function->proto;
    struct accel_wire w = accel_wire_of(proto);
    struct accel_wire_field f;
    struct accel_bump *mem = &r->ir->mem;
    size_t inputs = 0, outputs = 0, opsets, defaults;
    bool inner = false;
    int rc = accel_onnx_count_fields(proto, 7, nodes, err);

    if (rc == ACCEL_OK)
        rc = accel_onnx_count_fields(proto, 9, &opsets, err);
    if (rc == ACCEL_OK)
        rc = accel_onnx_count_fields(proto, 11, &defaults, err);
    if (rc == ACCEL_OK && (opsets > 1024 || defaults > LIST_MAX))
        rc =
            accel_fail(err, ACCEL_E_INVALID, "%zu operator sets, %zu attributes", opsets, defaults);
    /* Much that is in it costs little to write and is walked over at each call. */
    r->functions_bytes += proto.size;
    if (rc == ACCEL_OK && r->functions_bytes > r->ir->limits.model_bytes)
        rc = accel_fail(err, ACCEL_E_LIMIT, "calls of functions of more than %zu bytes",
                        r->ir->limits.model_bytes);
    if (rc == ACCEL_OK && *nodes > r->ir->limits.nodes - r->nodes)
        rc = accel_fail(err, ACCEL_E_LIMIT, "more than %zu nodes", r->ir->limits.nodes);
    if (rc != ACCEL_OK)
        return rc;
    struct accel_opset *imports = accel_bump_alloc(mem, opsets + 1, sizeof(*imports));
    struct accel_attr *attrs = accel_bump_alloc(mem, defaults + 1, sizeof(*attrs));
    c->outputs = accel_bump_alloc(mem, c->node->outputs_count + 1, sizeof(*c->outputs));
    if (imports == NULL || attrs == NULL || c->outputs == NULL)
        return accel_onnx_no_memory(err);
    c->opsets = imports;
    c->defaults = attrs;
    rc = accel_onnx_scope_reserve(body, *nodes + c->node->inputs_count, err);
    while (rc == ACCEL_OK && accel_wire_next(&w, &f, err) > 0) {
        const char *name = "";

        if (f.number == 4) {
            struct accel_value *v = inputs < c->node->inputs_count ? c->node->inputs[inputs] : NULL;

            rc = accel_onnx_text(r, &f, "an input's name", &name, err);
            if (rc == ACCEL_OK && accel_onnx_scope_value(body, name) != NULL)
                rc = accel_fail(err, ACCEL_E_INVALID, "its input '%s' is there twice", name);
            if (rc == ACCEL_OK)
                rc = accel_onnx_scope_add(body, name, v != NULL ? v : &accel_onnx_left_out, err);
            inputs++;
        } else if (f.number == 5) {
            rc = accel_onnx_text(r, &f, "an output's name", &name, err);
            if (outputs < c->node->outputs_count)
                c->outputs[outputs] = name;
            outputs++;
        } else if (f.number == 9 && f.type == ACCEL_WIRE_BYTES) {
            rc = accel_onnx_opset(r, f.bytes, &imports[c->opsets_count++], err);
        } else if (f.number == 11 && f.type == ACCEL_WIRE_BYTES) {
            /* Graphs would be too deep there: no operator's default is one. */
            rc = accel_onnx_attribute(r, f.bytes, NULL, NULL, UINT_MAX - 1,
                                      &attrs[c->defaults_count++], &inner, err);
        }
    }
    if (rc == ACCEL_OK && (inputs < c->node->inputs_count || outputs < c->node->outputs_count))
        rc = accel_fail(err, ACCEL_E_INVALID,
                        "%zu inputs and %zu outputs, the function has %zu and %zu",
                        c->node->inputs_count, c->node->outputs_count, inputs, outputs);
    return rc;
}

/* Outputs that no node of the body makes as such: the function hands an input on, or gives one
 * value twice. */
static int pass_outputs(struct reader *r, const struct call *c, struct scope *body,
                        struct accel_error *err)
{
    for (size_t o = 0; o < c->node->outputs_count; o++) {
        struct accel_value *to = c->node->outputs[o];

        if (to == NULL || to->producer != c->node)
            continue;
        struct accel_value *from = accel_onnx_scope_value(body, c->outputs[o]);
        if (from == NULL || from == &accel_onnx_left_out)
            return accel_fail(err, ACCEL_E_INVALID, "its output '%s' is produced by no node",
                              c->outputs[o]);
        struct accel_node *n = accel_node_new(body->graph, "Identity", "", 1, 1, err);
        if (n == NULL)
            return ACCEL_E_NOMEM;
        n->name = c->node->name;
        n->opset = 1;
        n->inputs[0] = from;
        n->outputs[0] = to;
        to->producer = n;
        to->output = 0;
        int rc = ++r->nodes > r->ir->limits.nodes
                     ? accel_fail(err, ACCEL_E_LIMIT, "more than %zu nodes", r->ir->limits.nodes)
                     : accel_onnx_append_node(body->graph, n, err);
        if (rc == ACCEL_OK)
            rc = accel_node_bind(n, err);
        if (rc != ACCEL_OK)
            return rc;
    }
    return ACCEL_OK;
}

static int check_call(const struct reader *r, const struct pending *p, struct accel_error *err)
{
    struct accel_subgraphs it = {.node = p->node};

    for (const struct call *c = r->call; c != NULL; c = c->outer)
        if (c->function == p->function)
            return accel_fail(err, ACCEL_E_INVALID, "function '%s' calls itself",
                              p->function->name);
    if (r->call != NULL && r->call->depth >= r->ir->limits.nesting)
        return accel_fail(err, ACCEL_E_LIMIT, "functions call each other deeper than %zu",
                          r->ir->limits.nesting);
    if (accel_subgraph_next(&it) != NULL)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "a function that is given a graph");
    return ACCEL_OK;
}

int accel_onnx_inline_call(struct reader *r, const struct pending *p, struct scope *scope,
                           unsigned depth, struct accel_error *err)
{
    struct call c = {.outer = r->call,
                     .function = p->function,
                     .node = p->node,
                     .depth = r->call != NULL ? r->call->depth + 1 : 1};
    ACCEL_CLEANUP(accel_onnx_scope_free) struct scope body = {.graph = scope->graph, .call = &c};
    ACCEL_CLEANUP(accel_freep) struct pending *pending = NULL;
    struct accel_wire w = accel_wire_of(p->function->proto);
    struct accel_wire_field f;
    size_t nodes, i = 0;
    int rc = check_call(r, p, err);

    if (rc == ACCEL_OK)
        rc = function_head(r, &c, &body, &nodes, err);
    if (rc != ACCEL_OK)
        return accel_fail_in(err, "node '%s' (%s)", p->node->name, p->node->op_type);
    pending = accel_calloc(nodes, sizeof(*pending));
    if (pending == NULL)
        return accel_onnx_no_memory(err);
    r->call = &c;
    while (rc == ACCEL_OK && i < nodes && accel_wire_next(&w, &f, err) > 0) {
        if (f.number != 7)
            continue;
        rc = accel_onnx_node(r, f.bytes, scope->graph, &body, i, &pending[i], err);
        i++;
    }
    for (i = 0; i < nodes && rc == ACCEL_OK; i++)
        rc = accel_onnx_node_finish(r, &pending[i], &body, depth, err);
    r->call = c.outer;
    if (rc != ACCEL_OK)
        return rc; /* it names the node inside */
    rc = pass_outputs(r, &c, &body, err);
    return rc == ACCEL_OK ? rc
                          : accel_fail_in(err, "node '%s' (%s)", p->node->name, p->node->op_type);
}

int accel_onnx_functions(struct reader *r, struct accel_slice model, size_t count,
                         struct accel_error *err)
{
    struct accel_wire w = accel_wire_of(model);
    struct accel_wire_field f, g;
    int more, rc = ACCEL_OK;

    if (count > r->ir->limits.nodes)
        return accel_fail(err, ACCEL_E_LIMIT, "%zu functions, over the limit of %zu", count,
                          r->ir->limits.nodes);
    r->functions = accel_bump_alloc(&r->ir->mem, count + 1, sizeof(*r->functions));
    if (r->functions == NULL)
        return accel_onnx_no_memory(err);
    while (rc == ACCEL_OK && accel_wire_next(&w, &f, err) > 0) {
        if (f.number != 25)
            continue;
        if (f.type != ACCEL_WIRE_BYTES)
            return accel_fail(err, ACCEL_E_INVALID, "a function is not a message");
        struct function *fn = &r->functions[r->functions_count++];
        struct accel_wire in = accel_wire_of(f.bytes);
        *fn = (struct function){.domain = "", .name = "", .overload = "", .proto = f.bytes};
        while (rc == ACCEL_OK && (more = accel_wire_next(&in, &g, err)) != 0) {
            if (more < 0)
                return -more;
            if (g.number == 1)
                rc = accel_onnx_text(r, &g, "a function's name", &fn->name, err);
            else if (g.number == 10)
                rc = accel_onnx_text(r, &g, "a domain", &fn->domain, err);
            else if (g.number == 13)
                rc = accel_onnx_text(r, &g, "an overload", &fn->overload, err);
        }
        fn->domain = accel_onnx_domain(fn->domain);
    }
    if (rc != ACCEL_OK)
        return rc;
    qsort(r->functions, r->functions_count, sizeof(*r->functions), compare_functions);
    for (size_t i = 1; i < r->functions_count; i++)
        if (compare_functions(&r->functions[i - 1], &r->functions[i]) == 0)
            return accel_fail(err, ACCEL_E_INVALID, "function '%s' is defined twice",
                              r->functions[i].name);
    return ACCEL_OK;
}
