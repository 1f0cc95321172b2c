/* SPDX-License-Identifier: Apache-2.0 */
/* widen-f16: a half-precision graph computes in float. Constants are converted once, inputs and
 * outputs keep their type through a Cast at the edge. Every result is at least as precise as the
 * file asks for; the tolerance of such models (relative L2 1e-3) is the halves' own. */
#include "infer/graph/passes.h"

#include <string.h>

static bool is_half(enum accel_dtype t)
{
    return t == ACCEL_DTYPE_FLOAT16 || t == ACCEL_DTYPE_BFLOAT16;
}

/* Attributes that name a half type or hold a half tensor, in operators where that decides the type
 * of the result. false: one this pass does not know. */
static bool attrs_wideable(const struct accel_node *n)
{
    /* It is about the bits of the half. */
    if (accel_node_is(n, "BitCast") && (is_half((enum accel_dtype)accel_attr_int(n, "to", 0)) ||
                                        is_half(n->inputs[0]->type.dtype)))
        return false;
    for (size_t a = 0; a < n->attrs_count; a++) {
        const struct accel_attr *attr = &n->attrs[a];

        if (attr->type == ACCEL_ATTR_GRAPH || attr->type == ACCEL_ATTR_GRAPHS)
            return false;
        if (attr->type == ACCEL_ATTR_TENSOR && is_half(attr->tensors[0].dtype))
            return false; /* Constant and such: folded before, or left as they are */
        if (attr->type == ACCEL_ATTR_INT &&
            (strcmp(attr->name, "dtype") == 0 || strcmp(attr->name, "output_datatype") == 0) &&
            is_half((enum accel_dtype)attr->ints[0]))
            return false;
    }
    return true;
}

static struct accel_node *cast_node(struct accel_graph *g, enum accel_dtype to,
                                    struct accel_value *from, const char *name,
                                    struct accel_error *err)
{
    struct accel_bump *mem = &g->ir->mem;
    struct accel_node *n = accel_node_new(g, "Cast", "", 1, 1, err);
    struct accel_attr *attr = accel_bump_alloc(mem, 1, sizeof(*attr));
    int64_t *value = accel_bump_alloc(mem, 1, sizeof(*value));

    if (n == NULL || attr == NULL || value == NULL) {
        accel_fail(err, ACCEL_E_NOMEM, "no memory for a cast");
        return NULL;
    }
    *value = to;
    *attr = (struct accel_attr){.name = "to", .type = ACCEL_ATTR_INT, .count = 1, .ints = value};
    n->attrs = attr;
    n->attrs_count = 1;
    n->name = accel_bump_printf(mem, "%s%s", name, to == ACCEL_DTYPE_FLOAT ? "_wide" : "_narrow");
    n->inputs[0] = from;
    n->outputs[0] = n->name != NULL ? accel_value_new(g, n->name, err) : NULL;
    if (n->outputs[0] == NULL)
        return NULL;
    n->outputs[0]->producer = n;
    return accel_node_bind(n, err) == ACCEL_OK ? n : NULL;
}

static int widen_constant(struct accel_ir *ir, struct accel_value *v, struct accel_error *err)
{
    const struct accel_tensor *old = accel_value_constant(ir, v, err);
    struct accel_owned *const owned = v->owned;
    const struct accel_tensor keep = old != NULL ? *old : (struct accel_tensor){0};
    void *data;

    if (old == NULL)
        return ACCEL_E_NOMEM;
    const struct accel_shape shape = accel_shape_of(old);
    v->owned = NULL;
    const int rc = accel_value_make_constant(v, ACCEL_DTYPE_FLOAT, &shape, &data, err);
    if (rc == ACCEL_OK && keep.size_bytes > 0)
        accel_convert(ir->kernels, NULL, keep.size_bytes / 2, keep.dtype, keep.data,
                      ACCEL_DTYPE_FLOAT, data);
    accel_owned_release(ir, owned);
    return rc;
}

static bool wanted(const struct accel_ir *ir)
{
    bool any = false;

    for (size_t id = 0; id < ir->values_count; id++) {
        const struct accel_value *v = ir->values[id];

        if (v->graph == ir->main && v->uses > 0 && is_half(v->type.dtype))
            any = true;
    }
    for (size_t i = 0; i < ir->main->nodes_count && any; i++)
        if (!attrs_wideable(ir->main->nodes[i]))
            return false;
    return any;
}

int accel_pass_widen_f16(struct accel_ir *ir, size_t *changes, struct accel_error *err)
{
    struct accel_graph *g = ir->main;
    const size_t before = g->nodes_count;
    const size_t edges = g->inputs_count + g->outputs_count;

    if (!wanted(ir))
        return ACCEL_OK;
    /* The nodes' own refusals were about the type that is about to go. */
    for (size_t i = 0; i < before; i++) {
        struct accel_node *n = g->nodes[i];

        if (accel_node_is(n, "Cast") && is_half((enum accel_dtype)accel_attr_int(n, "to", 0))) {
            struct accel_node *wide = cast_node(g, ACCEL_DTYPE_FLOAT, n->inputs[0], n->name, err);

            if (wide == NULL)
                return err != NULL ? (int)err->code : ACCEL_E_NOMEM;
            wide->outputs[0] = n->outputs[0];
            wide->outputs[0]->producer = wide;
            wide->name = n->name;
            g->nodes[i] = wide;
        }
    }
    struct accel_node **nodes = accel_bump_alloc(&ir->mem, before + edges + 1, sizeof(*nodes));
    if (nodes == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a graph");
    memcpy(nodes, g->nodes, before * sizeof(*nodes));
    g->nodes = nodes;
    for (size_t id = 0; id < ir->values_count; id++) {
        struct accel_value *v = ir->values[id];

        if (v->graph != g || v->data == NULL || !is_half(v->data->dtype) || v->uses == 0)
            continue;
        const int rc = widen_constant(ir, v, err);
        if (rc != ACCEL_OK)
            return rc;
    }
    for (size_t i = 0; i < g->outputs_count; i++) {
        struct accel_value *v = g->outputs[i];

        if (!is_half(v->type.dtype) || (v->is_input && v->data == NULL))
            continue;
        struct accel_node *n = cast_node(g, v->type.dtype, v, g->output_names[i], err);
        if (n == NULL)
            return err != NULL ? (int)err->code : ACCEL_E_NOMEM;
        n->outputs[0]->dim_names = v->dim_names;
        g->outputs[i] = n->outputs[0];
        g->nodes[g->nodes_count++] = n;
    }
    for (size_t i = 0; i < g->inputs_count; i++) {
        struct accel_value *v = g->inputs[i];

        if (!is_half(v->type.dtype))
            continue;
        struct accel_node *n = cast_node(g, ACCEL_DTYPE_FLOAT, v, v->name, err);
        if (n == NULL)
            return err != NULL ? (int)err->code : ACCEL_E_NOMEM;
        for (size_t k = 0; k < g->nodes_count; k++)
            for (size_t j = 0; j < g->nodes[k]->inputs_count; j++)
                if (g->nodes[k]->inputs[j] == v)
                    g->nodes[k]->inputs[j] = n->outputs[0];
        g->nodes[g->nodes_count++] = n;
    }
    /* What was refused as half precision gets another hearing in float. */
    for (size_t i = 0; i < g->nodes_count; i++)
        if (g->nodes[i]->op != NULL && g->nodes[i]->unsupported != NULL) {
            const int rc = accel_node_bind(g->nodes[i], err);

            if (rc != ACCEL_OK)
                return rc;
        }
    (*changes)++;
    return ACCEL_OK;
}
