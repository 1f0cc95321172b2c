/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/graph/passes.h"

#include "infer/kernels/quant.h"

#include <math.h>
#include <string.h>

bool accel_node_is(const struct accel_node *node, const char *op_type)
{
    return node->op != NULL && node->unsupported == NULL && node->domain[0] == '\0' &&
           strcmp(node->op_type, op_type) == 0;
}

struct accel_node *accel_node_follower(const struct accel_node *node)
{
    const struct accel_value *v = node->outputs_count > 0 ? node->outputs[0] : NULL;

    if (v == NULL || v->uses != 1 || v->reader == NULL || v->reader->dead)
        return NULL;
    for (size_t o = 1; o < node->outputs_count; o++)
        if (node->outputs[o] != NULL && node->outputs[o]->uses > 0)
            return NULL;
    return v->reader;
}

bool accel_node_more_outputs(const struct accel_node *node)
{
    for (size_t o = 1; o < node->outputs_count; o++)
        if (node->outputs[o] != NULL && node->outputs[o]->uses > 0)
            return true;
    return false;
}

bool accel_shape_same_elements(const struct accel_shape *a, const struct accel_shape *b)
{
    unsigned free_dims = 0;
    bool empty = false;

    if (!a->has_rank || !b->has_rank || a->rank != b->rank)
        return false;
    for (uint32_t i = 0; i < a->rank; i++) {
        if (a->dims[i] != b->dims[i])
            return false;
        free_dims += a->dims[i] < 0;
        empty = empty || a->dims[i] == 0;
    }
    return free_dims == 0 || (free_dims == 1 && !empty);
}

/* attrs of the node but `name`, with room for one more. */
static struct accel_attr *attrs_without(struct accel_node *node, const char *name, size_t *count,
                                        struct accel_error *err)
{
    struct accel_attr *attrs =
        accel_bump_alloc(&node->graph->ir->mem, node->attrs_count + 1, sizeof(*attrs));

    *count = 0;
    if (attrs == NULL) {
        accel_fail(err, ACCEL_E_NOMEM, "no memory for an attribute");
        return NULL;
    }
    for (size_t i = 0; i < node->attrs_count; i++)
        if (strcmp(node->attrs[i].name, name) != 0)
            attrs[(*count)++] = node->attrs[i];
    return attrs;
}

int accel_node_set_ints(struct accel_node *node, const char *name, const int64_t *values,
                        size_t count, struct accel_error *err)
{
    int64_t *list = accel_bump_alloc(&node->graph->ir->mem, count + 1, sizeof(*list));
    size_t n;
    struct accel_attr *attrs = attrs_without(node, name, &n, err);

    if (attrs == NULL || list == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for an attribute");
    memcpy(list, values, count * sizeof(*list));
    attrs[n++] =
        (struct accel_attr){.name = name, .type = ACCEL_ATTR_INTS, .count = count, .ints = list};
    node->attrs = attrs;
    node->attrs_count = n;
    return accel_node_bind(node, err);
}

static int import_domain(struct accel_ir *ir, const char *domain, struct accel_error *err)
{
    struct accel_opset *opsets;

    if (accel_ir_opset(ir, domain) != 0)
        return ACCEL_OK;
    opsets = accel_bump_alloc(&ir->mem, ir->opsets_count + 1, sizeof(*opsets));
    if (opsets == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for an opset");
    if (ir->opsets_count > 0)
        memcpy(opsets, ir->opsets, ir->opsets_count * sizeof(*opsets));
    opsets[ir->opsets_count] = (struct accel_opset){.domain = domain, .version = 1};
    ir->opsets = opsets;
    ir->opsets_count++;
    return ACCEL_OK;
}

int accel_node_turn_into(struct accel_node *node, const char *domain, const char *op_type,
                         struct accel_value *const *inputs, size_t inputs_count,
                         const struct accel_attr *attrs, size_t attrs_count,
                         struct accel_error *err)
{
    struct accel_ir *ir = node->graph->ir;
    struct accel_value **list =
        accel_bump_alloc(&ir->mem, inputs_count + 2, sizeof(struct accel_value *));

    if (list == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a node");
    if (import_domain(ir, domain, err) != ACCEL_OK)
        return ACCEL_E_NOMEM;
    memcpy(list, inputs, inputs_count * sizeof(struct accel_value *));
    node->domain = domain;
    node->op_type = op_type;
    node->inputs = list;
    node->inputs_count = inputs_count;
    node->attrs = attrs;
    node->attrs_count = attrs_count;
    node->params = NULL;
    return accel_node_bind(node, err);
}

struct accel_value *accel_ints_constant(struct accel_graph *graph, const char *name,
                                        const int64_t *values, size_t count,
                                        struct accel_error *err)
{
    const struct accel_shape shape = {.has_rank = true, .rank = 1, .dims = {(int64_t)count}};
    void *data;
    struct accel_value *v = accel_constant_new(graph, name, ACCEL_DTYPE_INT64, &shape, &data, err);

    if (v != NULL)
        memcpy(data, values, count * sizeof(*values));
    return v;
}

bool accel_value_scalar(const struct accel_value *value, double *number)
{
    const struct accel_tensor *t = value != NULL ? value->data : NULL;
    struct accel_kernels *const kernels = t != NULL ? value->graph->ir->kernels : NULL;

    return t != NULL && t->data != NULL && t->dtype != ACCEL_DTYPE_STRING &&
           accel_dims_product(t->dims, 0, t->rank) == 1 &&
           accel_convert(kernels, NULL, 1, t->dtype, t->data, ACCEL_DTYPE_DOUBLE, number);
}

int accel_graph_reserve(struct accel_graph *graph, size_t extra, struct accel_error *err)
{
    struct accel_node **nodes = accel_bump_alloc(&graph->ir->mem, graph->nodes_count + extra + 1,
                                                 sizeof(struct accel_node *));

    if (nodes == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a graph");
    if (graph->nodes_count > 0)
        memcpy(nodes, graph->nodes, graph->nodes_count * sizeof(struct accel_node *));
    graph->nodes = nodes;
    return ACCEL_OK;
}

struct accel_node *accel_graph_append(struct accel_graph *graph, const char *op_type,
                                      const char *name, struct accel_value *const *inputs,
                                      size_t inputs_count, struct accel_value *out,
                                      struct accel_error *err)
{
    struct accel_node *n = accel_node_new(graph, op_type, "", inputs_count, 1, err);

    if (n == NULL)
        return NULL;
    memcpy(n->inputs, inputs, inputs_count * sizeof(struct accel_value *));
    n->name = name;
    n->outputs[0] = out;
    out->producer = n;
    out->output = 0;
    graph->nodes[graph->nodes_count++] = n;
    return accel_node_bind(n, err) == ACCEL_OK ? n : NULL;
}

/* ---------------------------------------------------------------- quantisation */

static bool one_element(const struct accel_value *v)
{
    return v == NULL || accel_dims_product(v->data->dims, 0, v->data->rank) == 1;
}

/* A zero point that is an integer; of the small floats it can only be 0. false: it is neither. */
static bool zero_point(const struct accel_tensor *t, int32_t *z)
{
    int32_t least, most;
    unsigned bits = 0;

    *z = 0;
    if (t->dtype == ACCEL_DTYPE_INT32 || accel_quant_range(t->dtype, &least, &most)) {
        *z = accel_quant_at(t->dtype, t->data, 0);
        return true;
    }
    for (size_t i = 0; i < t->size_bytes; i++)
        bits |= ((const uint8_t *)t->data)[i];
    return bits == 0;
}

bool accel_quantizer_of(const struct accel_node *node, const char *op_type,
                        struct accel_quantizer *out)
{
    if (node == NULL || node->dead || !accel_node_is(node, op_type) ||
        accel_attr_int(node, "block_size", 0) != 0)
        return false;
    const struct accel_value *scale = node->inputs[1];
    const struct accel_value *zero = node->inputs_count > 2 ? node->inputs[2] : NULL;
    *out = (struct accel_quantizer){.x = node->inputs[0],
                                    .scale = node->inputs[1],
                                    .zero = node->inputs_count > 2 ? node->inputs[2] : NULL,
                                    .axis = accel_attr_int(node, "axis", 1)};
    if (scale->data == NULL || scale->data->data == NULL ||
        scale->data->dtype != ACCEL_DTYPE_FLOAT ||
        (zero != NULL && (zero->data == NULL || zero->data->data == NULL)))
        return false;
    out->dtype = node->op_type[0] == 'D' ? out->x->type.dtype : node->outputs[0]->type.dtype;
    if (!one_element(scale) || !one_element(zero))
        return true;
    memcpy(&out->s, scale->data->data, sizeof(out->s));
    out->per_tensor =
        isnormal(out->s) && out->s > 0 && (zero == NULL || zero_point(zero->data, &out->z));
    return true;
}

bool accel_quantizer_same(const struct accel_quantizer *a, const struct accel_quantizer *b)
{
    return a->per_tensor && b->per_tensor && a->dtype == b->dtype && a->s == b->s && a->z == b->z;
}
