/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/graph/graph.h"
#include "infer/kernels/kernels.h"

#include <stdio.h>
#include <string.h>

/* A large constant: a list of its own, so that one can be freed as soon as it is packed. */
struct accel_owned {
    struct accel_owned *prev, *next;
    size_t bytes;
    void *data;
};

static void limits_default(struct accel_limits *l)
{
    if (l->model_bytes == 0)
        l->model_bytes = (size_t)2 << 30;
    if (l->nodes == 0)
        l->nodes = 50000;
    if (l->nesting == 0)
        l->nesting = 32;
    if (l->arena_bytes == 0)
        l->arena_bytes = (size_t)8 << 30;
    if (l->tensor_bytes == 0)
        l->tensor_bytes = (size_t)2 << 30;
    /* Nesting is C recursion here: no configuration may lift it to where a stack ends. */
    l->nesting = ACCEL_MIN(l->nesting, (size_t)128);
}

struct accel_ir *accel_ir_new(const struct accel_limits *limits, struct accel_error *err)
{
    struct accel_ir *ir = accel_calloc(1, sizeof(*ir));

    if (ir == NULL) {
        accel_fail(err, ACCEL_E_NOMEM, "no memory for a model");
        return NULL;
    }
    if (limits != NULL)
        ir->limits = *limits;
    limits_default(&ir->limits);
    ir->producer = "";
    ir->root = ir;
    ir->irs_count = 1;
    ir->kernels = accel_bump_alloc(&ir->mem, 1, sizeof(*ir->kernels));
    if (ir->kernels == NULL) {
        accel_fail(err, ACCEL_E_NOMEM, "no memory for a model");
        accel_ir_free(ir);
        return NULL;
    }
    accel_kernels_init(ir->kernels, 0);
    return ir;
}

struct accel_ir *accel_ir_new_sub(struct accel_ir *outer, struct accel_error *err)
{
    struct accel_ir *root = outer->root, *ir = accel_calloc(1, sizeof(*ir));

    if (ir == NULL) {
        accel_fail(err, ACCEL_E_NOMEM, "no memory for a graph");
        return NULL;
    }
    ir->root = root;
    ir->next = root->subs;
    root->subs = ir;
    ir->index = root->irs_count++;
    ir->depth = outer->depth + 1;
    ir->limits = root->limits;
    ir->ir_version = root->ir_version;
    ir->producer = root->producer;
    ir->opsets = root->opsets;
    ir->opsets_count = root->opsets_count;
    ir->kernels = root->kernels;
    return ir;
}

static void owned_free(struct accel_ir *ir, struct accel_owned *o)
{
    ir = ir->root;
    if (o->prev != NULL)
        o->prev->next = o->next;
    else
        ir->owned = o->next;
    if (o->next != NULL)
        o->next->prev = o->prev;
    ir->owned_bytes -= o->bytes;
    accel_free(o->data);
    accel_free(o);
}

void accel_ir_free(struct accel_ir *ir)
{
    if (ir == NULL)
        return;
    while (ir->subs != NULL) {
        struct accel_ir *sub = ir->subs;

        ir->subs = sub->next;
        accel_free(sub->values);
        accel_bump_free(&sub->mem);
        accel_free(sub);
    }
    while (ir->owned != NULL)
        owned_free(ir, ir->owned);
    accel_free(ir->values);
    accel_bump_free(&ir->mem);
    accel_free(ir);
}

void accel_ir_freep(struct accel_ir **ir)
{
    accel_ir_free(*ir);
    *ir = NULL;
}

size_t accel_attr_bytes(unsigned type)
{
    static const size_t sizes[] = {
        [ACCEL_ATTR_FLOAT] = sizeof(float),
        [ACCEL_ATTR_FLOATS] = sizeof(float),
        [ACCEL_ATTR_INT] = sizeof(int64_t),
        [ACCEL_ATTR_INTS] = sizeof(int64_t),
        [ACCEL_ATTR_STRING] = sizeof(struct accel_bytes),
        [ACCEL_ATTR_STRINGS] = sizeof(struct accel_bytes),
        [ACCEL_ATTR_TENSOR] = sizeof(struct accel_tensor),
        [ACCEL_ATTR_TENSORS] = sizeof(struct accel_tensor),
        [ACCEL_ATTR_GRAPH] = sizeof(void *),
        [ACCEL_ATTR_GRAPHS] = sizeof(void *),
        [ACCEL_ATTR_TYPE] = sizeof(struct accel_type),
        [ACCEL_ATTR_TYPES] = sizeof(struct accel_type),
    };

    return type < ACCEL_COUNT(sizes) ? sizes[type] : 0;
}

int64_t accel_ir_opset(const struct accel_ir *ir, const char *domain)
{
    for (size_t i = 0; i < ir->opsets_count; i++)
        if (strcmp(ir->opsets[i].domain, domain) == 0)
            return ir->opsets[i].version;
    return 0;
}

static struct accel_owned *owned_new(struct accel_ir *ir, size_t bytes, struct accel_error *err)
{
    ir = ir->root;
    if (bytes > ir->limits.tensor_bytes || bytes > ir->limits.model_bytes * 2 - ir->owned_bytes) {
        accel_fail(err, ACCEL_E_LIMIT, "a constant of %zu bytes is over the limit", bytes);
        return NULL;
    }
    struct accel_owned *o = accel_calloc(1, sizeof(*o));
    void *data = o != NULL ? accel_aligned_alloc(64, bytes) : NULL;
    if (data == NULL) {
        accel_free(o);
        accel_fail(err, ACCEL_E_NOMEM, "no memory for a constant of %zu bytes", bytes);
        return NULL;
    }
    *o = (struct accel_owned){.next = ir->owned, .bytes = bytes, .data = data};
    if (o->next != NULL)
        o->next->prev = o;
    ir->owned = o;
    ir->owned_bytes += bytes;
    return o;
}

int accel_value_adopt(struct accel_graph *graph, struct accel_value *v, struct accel_error *err)
{
    struct accel_ir *ir = graph->ir;

    if (accel_grow(&ir->values, &ir->values_capacity, ir->values_count + 1, sizeof(*ir->values),
                   err) != ACCEL_OK)
        return ACCEL_E_NOMEM;
    v->id = (uint32_t)ir->values_count;
    v->graph = graph;
    ir->values[ir->values_count++] = v;
    return ACCEL_OK;
}

struct accel_value *accel_value_new(struct accel_graph *graph, const char *name,
                                    struct accel_error *err)
{
    struct accel_ir *ir = graph->ir;

    struct accel_value *v = accel_bump_alloc(&ir->mem, 1, sizeof(*v));
    const char *copy = accel_bump_strdup(&ir->mem, name);
    if (v == NULL || copy == NULL) {
        accel_fail(err, ACCEL_E_NOMEM, "no memory for a value");
        return NULL;
    }
    v->name = copy;
    return accel_value_adopt(graph, v, err) == ACCEL_OK ? v : NULL;
}

int accel_value_make_constant(struct accel_value *v, enum accel_dtype dtype,
                              const struct accel_shape *shape, void **data, struct accel_error *err)
{
    struct accel_ir *ir = v->graph->ir;
    struct accel_error local = {0};
    size_t bytes;

    if (!accel_shape_bytes(shape, dtype, &bytes)) {
        char text[ACCEL_SHAPE_TEXT];

        return accel_fail(err, ACCEL_E_INVALID, "constant %s: no size for %s of %s", v->name,
                          accel_shape_format(shape, text), accel_dtype_name(dtype));
    }
    struct accel_tensor *t = accel_bump_alloc(&ir->mem, 1, sizeof(*t));
    if (t == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a constant");
    *t = (struct accel_tensor){.dtype = dtype, .rank = shape->rank, .size_bytes = bytes};
    memcpy(t->dims, shape->dims, sizeof(t->dims[0]) * shape->rank);
    if (bytes <= ACCEL_CONSTANT_SMALL) {
        t->data = accel_bump_alloc(&ir->mem, bytes + 1, 1);
        if (t->data == NULL)
            return accel_fail(err, ACCEL_E_NOMEM, "no memory for a constant");
    } else {
        struct accel_owned *o = owned_new(ir, bytes, &local);

        if (o == NULL)
            return accel_fail(err, local.code, "%s", local.msg);
        memset(o->data, 0, bytes);
        t->data = o->data;
        v->owned = o;
    }
    v->data = t;
    v->producer = NULL;
    v->type = (struct accel_type){.dtype = dtype, .shape = *shape, .data = t};
    *data = t->data;
    return ACCEL_OK;
}

struct accel_value *accel_constant_new(struct accel_graph *graph, const char *name,
                                       enum accel_dtype dtype, const struct accel_shape *shape,
                                       void **data, struct accel_error *err)
{
    struct accel_value *v = accel_value_new(graph, name, err);

    if (v == NULL || accel_value_make_constant(v, dtype, shape, data, err) != ACCEL_OK)
        return NULL;
    return v;
}

const struct accel_tensor *accel_value_constant(struct accel_ir *ir, struct accel_value *value,
                                                struct accel_error *err)
{
    const struct accel_tensor *old = value->data;

    if ((uintptr_t)old->data % 16 == 0 || old->size_bytes == 0)
        return old;
    struct accel_tensor *t = accel_bump_alloc(&ir->mem, 1, sizeof(*t));
    struct accel_owned *o = t != NULL ? owned_new(ir, old->size_bytes, err) : NULL;
    if (o == NULL) {
        if (t == NULL)
            accel_fail(err, ACCEL_E_NOMEM, "no memory for a constant");
        return NULL;
    }
    memcpy(o->data, old->data, old->size_bytes);
    *t = *old;
    t->data = o->data;
    value->data = t;
    value->type.data = t;
    value->owned = o;
    return t;
}

int accel_value_keep(struct accel_ir *ir, struct accel_value *value, struct accel_error *err)
{
    const struct accel_tensor *old = value->data;

    if (value->owned != NULL || old->size_bytes <= ACCEL_CONSTANT_SMALL)
        return ACCEL_OK;
    struct accel_owned *o = owned_new(ir, old->size_bytes, err);
    if (o == NULL)
        return err != NULL && err->code == ACCEL_E_LIMIT ? ACCEL_E_LIMIT : ACCEL_E_NOMEM;
    struct accel_tensor *t = (struct accel_tensor *)(uintptr_t)old;
    memcpy(o->data, old->data, old->size_bytes);
    t->data = o->data;
    value->owned = o;
    return ACCEL_OK;
}

void accel_owned_release(struct accel_ir *ir, struct accel_owned *owned)
{
    if (owned != NULL)
        owned_free(ir, owned);
}

void accel_value_drop_bytes(struct accel_ir *ir, struct accel_value *value)
{
    /* The tensor itself was made by us, in ir->mem: only its users see it as const. */
    struct accel_tensor *t = (struct accel_tensor *)(uintptr_t)value->data;

    t->data = NULL;
    if (value->owned != NULL)
        owned_free(ir, value->owned);
    value->owned = NULL;
}

struct accel_graph *accel_graph_new(struct accel_ir *ir, struct accel_graph *parent,
                                    const char *name, struct accel_error *err)
{
    struct accel_graph *g = accel_bump_alloc(&ir->mem, 1, sizeof(*g));
    const char *copy = accel_bump_strdup(&ir->mem, name);

    if (g == NULL || copy == NULL) {
        accel_fail(err, ACCEL_E_NOMEM, "no memory for a graph");
        return NULL;
    }
    g->name = copy;
    g->ir = ir;
    g->parent = parent;
    return g;
}

struct accel_node *accel_node_new(struct accel_graph *graph, const char *op_type,
                                  const char *domain, size_t inputs, size_t outputs,
                                  struct accel_error *err)
{
    struct accel_bump *mem = &graph->ir->mem;
    struct accel_node *n = accel_bump_alloc(mem, 1, sizeof(*n));

    if (n != NULL) {
        n->op_type = accel_bump_strdup(mem, op_type);
        n->domain = accel_bump_strdup(mem, domain);
        /* One more than asked: fusing a residual adds an input. */
        n->inputs = accel_bump_alloc(mem, inputs + 1, sizeof(*n->inputs));
        n->outputs = accel_bump_alloc(mem, outputs + 1, sizeof(*n->outputs));
    }
    if (n == NULL || n->op_type == NULL || n->domain == NULL || n->inputs == NULL ||
        n->outputs == NULL) {
        accel_fail(err, ACCEL_E_NOMEM, "no memory for a node");
        return NULL;
    }
    n->graph = graph;
    n->name = n->op_type;
    n->inputs_count = inputs;
    n->outputs_count = outputs;
    n->fused = "";
    n->epilogue.add = -1;
    return n;
}

void accel_value_replace(struct accel_value *from, struct accel_value *to)
{
    from->forward = to;
}

static struct accel_value *resolved(struct accel_value *v)
{
    struct accel_value *end = v;

    while (end->forward != NULL)
        end = end->forward;
    while (v != end) { /* shorten the chain: a thousand Identity nodes in a row stay linear */
        struct accel_value *next = v->forward;

        v->forward = end;
        v = next;
    }
    return end;
}

void accel_node_resolve(struct accel_node *node)
{
    for (size_t i = 0; i < node->inputs_count; i++)
        if (node->inputs[i] != NULL)
            node->inputs[i] = resolved(node->inputs[i]);
}

void accel_node_absorb(struct accel_node *node, struct accel_node *gone)
{
    node->outputs[0] = gone->outputs[0];
    node->outputs[0]->producer = node;
    node->outputs[0]->output = 0;
    gone->dead = true;
}

int accel_node_fused(struct accel_node *node, const char *name, struct accel_error *err)
{
    const char *text = accel_bump_printf(&node->graph->ir->mem, "%s%s%s", node->fused,
                                         node->fused[0] != '\0' ? "+" : "", name);

    if (text == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a name");
    node->fused = text;
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- linking */

/* Notes one use of v by a node (NULL: by a graph's output list). */
static void use(struct accel_value *v, struct accel_node *by)
{
    v->reader = v->uses == 0 ? by : NULL;
    v->uses++;
}

static int link_subgraphs(struct accel_node *node, struct accel_error *err)
{
    struct accel_subgraphs it = {.node = node};

    for (struct accel_graph *sub; (sub = accel_subgraph_next(&it)) != NULL;) {
        const int rc = accel_ir_link(sub->ir, err);

        if (rc != ACCEL_OK)
            return rc;
    }
    return ACCEL_OK;
}

/* Dependency i of a node in its own graph, NULL for none; past the last: *end. */
static struct accel_node *dependency(const struct accel_node *n, size_t i, bool *end)
{
    *end = i >= n->inputs_count;
    return *end || n->inputs[i] == NULL ? NULL : n->inputs[i]->producer;
}

enum { UNSEEN, OPEN, DONE };
struct frame {
    struct accel_node *node;
    size_t next;
};

/* Depth first with a stack of our own: emits each node after what it depends on, which leaves an
 * order that is right already as it is. */
static int sort_nodes(struct accel_graph *g, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_freep) struct frame *stack = accel_calloc(g->nodes_count, sizeof(*stack));
    ACCEL_CLEANUP(accel_freep) uint8_t *state = accel_calloc(g->nodes_count, 1);
    ACCEL_CLEANUP(accel_freep)
    struct accel_node **sorted = accel_calloc(g->nodes_count, sizeof(struct accel_node *));
    size_t count = 0;

    if (stack == NULL || state == NULL || sorted == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to sort %zu nodes", g->nodes_count);
    for (size_t i = 0; i < g->nodes_count; i++)
        g->nodes[i]->order = (uint32_t)i;
    for (size_t i = 0; i < g->nodes_count; i++) {
        size_t depth = 0;

        if (state[i] != UNSEEN)
            continue;
        stack[depth++] = (struct frame){.node = g->nodes[i]};
        state[i] = OPEN;
        while (depth > 0) {
            struct frame *top = &stack[depth - 1];
            bool end;
            struct accel_node *on = dependency(top->node, top->next++, &end);

            if (end) {
                state[top->node->order] = DONE;
                sorted[count++] = top->node;
                depth--;
            } else if (on != NULL && state[on->order] == OPEN) {
                return accel_fail(err, ACCEL_E_INVALID,
                                  "node '%s' (%s) depends on itself through '%s': the graph has a "
                                  "cycle",
                                  on->name, on->op_type, top->node->name);
            } else if (on != NULL && state[on->order] == UNSEEN) {
                state[on->order] = OPEN;
                stack[depth++] = (struct frame){.node = on};
            }
        }
    }
    for (size_t i = 0; i < count; i++) {
        g->nodes[i] = sorted[i];
        sorted[i]->order = (uint32_t)i;
    }
    return ACCEL_OK;
}

static int link_graph(struct accel_graph *g, struct accel_error *err)
{
    size_t alive = 0;

    for (size_t i = 0; i < g->nodes_count; i++)
        if (!g->nodes[i]->dead)
            g->nodes[alive++] = g->nodes[i];
    g->nodes_count = alive;
    for (size_t i = 0; i < g->outputs_count; i++)
        g->outputs[i] = resolved(g->outputs[i]);
    for (size_t i = 0; i < alive; i++) {
        accel_node_resolve(g->nodes[i]);
        const int rc = link_subgraphs(g->nodes[i], err);
        if (rc != ACCEL_OK)
            return rc;
    }
    const int rc = sort_nodes(g, err);
    if (rc != ACCEL_OK)
        return rc;
    for (size_t i = 0; i < alive; i++) {
        struct accel_node *n = g->nodes[i];

        for (size_t j = 0; j < n->inputs_count; j++)
            if (n->inputs[j] != NULL)
                use(n->inputs[j], n);
    }
    for (size_t i = 0; i < g->outputs_count; i++)
        use(g->outputs[i], NULL);
    return ACCEL_OK;
}

int accel_ir_link(struct accel_ir *ir, struct accel_error *err)
{
    for (size_t i = 0; i < ir->values_count; i++) {
        ir->values[i]->uses = 0;
        ir->values[i]->reader = NULL;
    }
    const int rc = link_graph(ir->main, err);
    if (rc != ACCEL_OK)
        return rc;
    for (size_t i = 0; i < ir->values_count; i++)
        ir->values[i]->forward = NULL;
    return ACCEL_OK;
}
