/* SPDX-License-Identifier: Apache-2.0 */

/* GraphProto -> graphs. */

#include "infer/onnx/reader.h"

#include <string.h>

/* What a graph's fields are counted to before anything is allocated. */
struct graph_counts {
    size_t nodes, initializers, inputs, outputs;
    const char *name;
};

static int count_graph(struct reader *r, struct accel_slice proto, struct graph_counts *c,
                       struct accel_error *err)
{
    struct accel_wire w = accel_wire_of(proto);
    struct accel_wire_field f;
    int more;

    *c = (struct graph_counts){.name = ""};
    while ((more = accel_wire_next(&w, &f, err)) > 0) {
        c->nodes += f.number == 1;
        c->initializers += f.number == 5 || f.number == 15;
        c->inputs += f.number == 11;
        c->outputs += f.number == 12;
        if (f.number == 2) {
            const int rc = accel_onnx_text(r, &f, "a graph's name", &c->name, err);
            if (rc != ACCEL_OK)
                return rc;
        }
        if ((f.number == 1 || f.number == 5 || f.number == 11 || f.number == 12 ||
             f.number == 15) &&
            f.type != ACCEL_WIRE_BYTES)
            return accel_fail(err, ACCEL_E_INVALID, "field %u of a graph is not a message",
                              f.number);
    }
    if (more < 0)
        return -more;
    if (c->nodes > r->ir->limits.nodes - r->nodes)
        return accel_fail(err, ACCEL_E_LIMIT, "%zu nodes, over the limit of %zu",
                          r->nodes + c->nodes, r->ir->limits.nodes);
    if (c->initializers > 4 * r->ir->limits.nodes || c->inputs > 4 * r->ir->limits.nodes ||
        c->outputs > 4 * r->ir->limits.nodes)
        return accel_fail(err, ACCEL_E_LIMIT, "%zu initialisers, %zu inputs, %zu outputs",
                          c->initializers, c->inputs, c->outputs);
    return ACCEL_OK;
}

static int define(struct scope *scope, struct accel_graph *g, const char *name, const char *what,
                  struct accel_value **out, struct accel_error *err)
{
    if (accel_onnx_scope_value(scope, name) != NULL)
        return accel_fail(err, ACCEL_E_INVALID, "%s '%s' is already defined", what, name);
    *out = accel_value_new(g, name, err);
    return *out == NULL ? ACCEL_E_NOMEM : accel_onnx_scope_add(scope, (*out)->name, *out, err);
}

static int read_initializers(struct reader *r, struct accel_slice proto, struct accel_graph *g,
                             struct scope *scope, struct accel_error *err)
{
    struct accel_wire w = accel_wire_of(proto);
    struct accel_wire_field f;

    while (accel_wire_next(&w, &f, err) > 0) {
        const char *name = "";
        struct accel_value *v;

        if (f.number != 5 && f.number != 15)
            continue;
        struct accel_tensor *t = accel_bump_alloc(&r->ir->mem, 1, sizeof(*t));
        if (t == NULL)
            return accel_onnx_no_memory(err);
        int rc = f.number == 5 ? accel_onnx_tensor(r, f.bytes, t, &name, err)
                               : accel_onnx_sparse(r, f.bytes, t, &name, err);
        if (rc == ACCEL_OK && name[0] == '\0')
            rc = accel_fail(err, ACCEL_E_INVALID, "an initialiser has no name");
        if (rc == ACCEL_OK)
            rc = define(scope, g, name, "initialiser", &v, err);
        if (rc != ACCEL_OK)
            return rc;
        v->data = t;
        r->ir->root->parameters += t->dtype == ACCEL_DTYPE_STRING
                                       ? t->size_bytes / sizeof(char *)
                                       : t->size_bytes / accel_dtype_size(t->dtype);
    }
    return ACCEL_OK;
}

/* An input or output as the graph declares it. */
struct declared {
    const char *name, **dim_names;
    struct accel_type type;
};

static int take_input(struct reader *r, const struct declared *d, struct accel_graph *g,
                      struct scope *scope, struct accel_error *err)
{
    struct accel_value *v = accel_onnx_scope_value(scope, d->name);

    (void)r;
    if (v != NULL && v->data != NULL && !v->is_input) {
        v->is_input = true; /* IR 3 lists every initialiser; later ones may be overridden: we take
                             * the default as the value. */
        return ACCEL_OK;
    }
    const int rc = define(scope, g, d->name, "input", &v, err);
    if (rc != ACCEL_OK)
        return rc;
    v->is_input = true;
    v->type = d->type;
    v->dim_names = d->dim_names;
    g->input_names[g->inputs_count] = v->name;
    g->inputs[g->inputs_count++] = v;
    return ACCEL_OK;
}

static int take_output(struct reader *r, const struct declared *d, struct accel_graph *g,
                       struct scope *scope, struct accel_error *err)
{
    struct accel_value *v;
    const int found = accel_onnx_scope_find(r, scope, d->name, &v, err);

    if (found != ACCEL_OK)
        return found;
    if (v == NULL || v == &accel_onnx_left_out)
        return accel_fail(err, ACCEL_E_INVALID, "output '%s' is produced by no node", d->name);
    if (v->graph == g && !v->is_input && v->data == NULL) {
        v->dim_names = d->dim_names;
        v->declared = d->type.dtype;
        v->declared_kind = d->type.kind;
    }
    g->output_names[g->outputs_count] = d->name;
    g->outputs[g->outputs_count++] = v;
    return ACCEL_OK;
}

static const struct declaration {
    uint32_t field; /* of GraphProto */
    const char *what;
    int (*take)(struct reader *r, const struct declared *d, struct accel_graph *g,
                struct scope *scope, struct accel_error *err);
} as_input = {11, "input", take_input}, as_output = {12, "output", take_output};

static int read_declared(struct reader *r, struct accel_slice proto, const struct declaration *as,
                         struct accel_graph *g, struct scope *scope, struct accel_error *err)
{
    struct accel_wire w = accel_wire_of(proto);
    struct accel_wire_field f;

    while (accel_wire_next(&w, &f, err) > 0) {
        struct declared d;

        if (f.number != as->field)
            continue;
        int rc = accel_onnx_value_info(r, f.bytes, as->what, &d.name, &d.type, &d.dim_names, err);
        if (rc == ACCEL_OK)
            rc = as->take(r, &d, g, scope, err);
        if (rc != ACCEL_OK)
            return rc;
    }
    return ACCEL_OK;
}

static int read_nodes(struct reader *r, struct accel_slice proto, struct accel_graph *g,
                      struct scope *scope, size_t count, struct pending *pending,
                      struct accel_error *err)
{
    struct accel_wire w = accel_wire_of(proto);
    struct accel_wire_field f;
    size_t i = 0;

    while (i < count && accel_wire_next(&w, &f, err) > 0) {
        if (f.number != 1)
            continue;
        const int rc = accel_onnx_node(r, f.bytes, g, scope, i, &pending[i], err);
        if (rc != ACCEL_OK)
            return rc;
        i++;
    }
    return ACCEL_OK;
}

/* What the graph reads of those around it becomes its last inputs. */
static int add_captures(struct accel_graph *g, const struct scope *scope, struct accel_error *err)
{
    const size_t formal = g->inputs_count, total = formal + scope->captures;
    struct accel_bump *mem = &g->ir->mem;
    struct accel_value **inputs, **outer;
    const char **names;

    if (scope->captures == 0)
        return ACCEL_OK;
    inputs = accel_bump_alloc(mem, total + 1, sizeof(*inputs));
    names = accel_bump_alloc(mem, total + 1, sizeof(*names));
    outer = accel_bump_alloc(mem, scope->captures, sizeof(*outer));
    if (inputs == NULL || names == NULL || outer == NULL)
        return accel_onnx_no_memory(err);
    for (size_t i = 0; i < total; i++) {
        inputs[i] = i < formal ? g->inputs[i] : scope->captured[i - formal];
        names[i] = i < formal ? g->input_names[i] : inputs[i]->name;
    }
    memcpy(outer, scope->outer, scope->captures * sizeof(*outer));
    g->inputs = inputs;
    g->input_names = names;
    g->outer = outer;
    g->inputs_count = total;
    g->captures_count = scope->captures;
    return ACCEL_OK;
}

int accel_onnx_graph(struct reader *r, struct accel_slice proto, struct accel_graph *parent,
                     struct scope *outer, unsigned depth, struct accel_graph **out,
                     struct accel_error *err)
{
    ACCEL_CLEANUP(accel_onnx_scope_free) struct scope scope = {.parent = outer};
    ACCEL_CLEANUP(accel_freep) struct pending *pending = NULL;
    struct accel_bump *mem = &r->ir->mem;
    struct graph_counts c;

    int rc = count_graph(r, proto, &c, err);
    if (rc != ACCEL_OK)
        return rc;
    struct accel_graph *g = accel_graph_new(r->ir, parent, c.name, err);
    if (g == NULL)
        return ACCEL_E_NOMEM;
    *out = g;
    scope.graph = g;
    pending = accel_calloc(c.nodes, sizeof(*pending));
    g->nodes_room = c.nodes + 1;
    g->nodes = accel_bump_alloc(mem, g->nodes_room, sizeof(*g->nodes));
    g->inputs = accel_bump_alloc(mem, c.inputs + 1, sizeof(*g->inputs));
    g->outputs = accel_bump_alloc(mem, c.outputs + 1, sizeof(*g->outputs));
    g->input_names = accel_bump_alloc(mem, c.inputs + 1, sizeof(*g->input_names));
    g->output_names = accel_bump_alloc(mem, c.outputs + 1, sizeof(*g->output_names));
    if (pending == NULL || g->nodes == NULL || g->inputs == NULL || g->outputs == NULL ||
        g->input_names == NULL || g->output_names == NULL)
        return accel_onnx_no_memory(err);
    rc = accel_onnx_scope_reserve(&scope, c.initializers + c.inputs + c.nodes, err);
    if (rc == ACCEL_OK)
        rc = read_initializers(r, proto, g, &scope, err);
    if (rc == ACCEL_OK)
        rc = read_declared(r, proto, &as_input, g, &scope, err);
    if (rc == ACCEL_OK)
        rc = read_nodes(r, proto, g, &scope, c.nodes, pending, err);
    if (rc == ACCEL_OK)
        rc = read_declared(r, proto, &as_output, g, &scope, err);
    for (size_t i = 0; i < c.nodes && rc == ACCEL_OK; i++)
        rc = accel_onnx_node_finish(r, &pending[i], &scope, depth, err);
    if (rc == ACCEL_OK)
        rc = add_captures(g, &scope, err);
    if (rc == ACCEL_OK && parent == NULL && g->outputs_count == 0)
        rc = accel_fail(err, ACCEL_E_INVALID, "the graph has no outputs");
    return rc;
}

int accel_onnx_subgraph(struct reader *r, struct accel_slice proto, struct accel_graph *parent,
                        struct scope *outer, unsigned depth, struct accel_graph **out,
                        struct accel_error *err)
{
    struct accel_ir *around = r->ir, *ir;

    r->graphs++;
    if (++r->nodes > r->ir->limits.nodes)
        return accel_fail(err, ACCEL_E_LIMIT, "more than %zu nodes and graphs",
                          r->ir->limits.nodes);
    ir = accel_ir_new_sub(around, err);
    if (ir == NULL)
        return ACCEL_E_NOMEM;
    r->ir = ir;
    const int rc = accel_onnx_graph(r, proto, parent, outer, depth, out, err);
    ir->main = *out;
    r->ir = around;
    return rc;
}
