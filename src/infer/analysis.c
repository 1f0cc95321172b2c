/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/model.h"

#include <string.h>

/* The public struct, and the model it was made from. */
struct analysis_of_model {
    struct accel_analysis pub;
    struct accel_model *model;
};

void accel_analysis_free(struct accel_analysis *analysis)
{
    if (analysis != NULL)
        accel_model_unref(((struct analysis_of_model *)analysis)->model);
}

const struct accel_model *accel_analysis_model(const struct accel_analysis *analysis)
{
    return ((const struct analysis_of_model *)analysis)->model;
}

#define ACCEL_KIND_TEXT(name, text) text,
static const char *const kind_names[] = {ACCEL_KIND_MAP(ACCEL_KIND_TEXT)};
#undef ACCEL_KIND_TEXT

const char *accel_kind_name(enum accel_kind kind)
{
    return (unsigned)kind < ACCEL_KIND_COUNT ? kind_names[kind] : "?";
}

/* "1x3x224x224 -> 1x64x112x112": the tensors that are not constants. */
static const char *shape_of(const struct accel_node *n, const struct accel_type *types,
                            struct accel_bump *mem)
{
    char text[ACCEL_SHAPE_TEXT];
    const char *s = "";
    bool first = true;

    for (size_t i = 0; i < n->inputs_count && i < 8 && s != NULL; i++) {
        if (n->inputs[i] == NULL || n->inputs[i]->data != NULL)
            continue;
        s = accel_bump_printf(mem, "%s%s%s", s, first ? "" : ", ",
                              accel_shape_format(&types[n->inputs[i]->id].shape, text));
        first = false;
    }
    if (s != NULL)
        s = accel_bump_printf(mem, "%s -> ", s);
    for (size_t o = 0; o < n->outputs_count && o < 8 && s != NULL; o++)
        s = accel_bump_printf(mem, "%s%s%s", s, o > 0 ? ", " : "",
                              n->outputs[o] != NULL
                                  ? accel_shape_format(&types[n->outputs[o]->id].shape, text)
                                  : "-");
    return s;
}

static int fill_op(struct accel_op_analysis *a, const struct accel_node *n,
                   const struct accel_type *types, const struct accel_cost *cost,
                   struct accel_bump *mem, struct accel_error *err)
{
    *a = (struct accel_op_analysis){.name = n->name,
                                    .op = n->op_type,
                                    .fused = n->fused,
                                    .domain = n->domain,
                                    .opset = n->opset,
                                    .kind = n->op != NULL ? n->op->kind : ACCEL_KIND_OTHER,
                                    .shape = shape_of(n, types, mem),
                                    .unsupported = n->unsupported};
    if (a->shape == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for an analysis");
    if (cost == NULL)
        return ACCEL_OK;
    a->kind = cost->kind;
    a->precision = cost->precision;
    a->flops = cost->flops;
    a->bytes_read = cost->bytes_read;
    a->bytes_written = cost->bytes_written;
    a->bytes_weights = cost->bytes_weights;
    a->items = cost->items;
    return ACCEL_OK;
}

/* Every node, costs where its shapes are known: without a plan (some node cannot be run), and for
 * who wants to see what a run does not do. */
static int ops_of_graph(struct accel_model *m, struct accel_op_analysis *ops,
                        struct accel_error *err)
{
    const struct accel_graph *g = m->ir->main;
    ACCEL_CLEANUP(accel_freep)
    struct accel_type *types = accel_calloc(m->ir->values_count, sizeof(*types));

    if (types == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for an analysis");
    for (size_t id = 0; id < m->ir->values_count; id++)
        types[id] = m->plan != NULL ? m->plan->types[id] : m->ir->values[id]->type;
    for (size_t i = 0; i < g->nodes_count; i++) {
        const struct accel_node *n = g->nodes[i];
        const struct accel_type **in =
            accel_bump_alloc(&m->ir->mem, n->inputs_count + 1, sizeof(*in));
        const struct accel_type **out =
            accel_bump_alloc(&m->ir->mem, n->outputs_count + 1, sizeof(*out));
        struct accel_cost cost;
        bool known = n->op != NULL && n->unsupported == NULL;

        if (in == NULL || out == NULL)
            return accel_fail(err, ACCEL_E_NOMEM, "no memory for an analysis");
        for (size_t k = 0; k < n->inputs_count; k++) {
            in[k] = n->inputs[k] != NULL ? &types[n->inputs[k]->id] : NULL;
            known = known && (in[k] == NULL || accel_shape_static(&in[k]->shape));
        }
        for (size_t k = 0; k < n->outputs_count; k++) {
            out[k] = n->outputs[k] != NULL ? &types[n->outputs[k]->id] : NULL;
            known = known && (out[k] == NULL || accel_shape_static(&out[k]->shape));
        }
        const struct accel_prepare prep = {
            .node = n, .in = in, .out = out, .kernels = &m->kernels, .mem = &m->ir->mem};
        if (known)
            accel_node_cost(&prep, &cost);
        const int rc = fill_op(&ops[i], n, types, known ? &cost : NULL, &m->ir->mem, err);
        if (rc != ACCEL_OK)
            return rc;
    }
    return ACCEL_OK;
}

static void sum_up(struct accel_analysis *a)
{
    double by_type[ACCEL_DTYPE_LAST + 1] = {0};

    a->runnable = true;
    a->precision = ACCEL_DTYPE_FLOAT;
    for (size_t i = 0; i < a->ops_count; i++) {
        const struct accel_op_analysis *op = &a->ops[i];

        a->flops += op->flops;
        a->bytes += op->bytes_read + op->bytes_written + op->bytes_weights;
        a->runnable = a->runnable && op->unsupported == NULL;
        if ((unsigned)op->precision <= ACCEL_DTYPE_LAST)
            by_type[op->precision] += op->flops;
    }
    for (unsigned t = 1; t <= ACCEL_DTYPE_LAST; t++)
        if (by_type[t] > by_type[a->precision])
            a->precision = (enum accel_dtype)t;
}

int accel_analysis_make(struct accel_model *m, struct accel_error *err)
{
    struct accel_ir *ir = m->ir;
    struct analysis_of_model *whole = accel_calloc(1, sizeof(*whole));
    const bool nodes = m->plan == NULL || m->every_node;
    const size_t count = nodes ? ir->main->nodes_count : m->plan->steps_count;
    struct accel_op_analysis *ops = accel_bump_alloc(&ir->mem, count + 1, sizeof(*ops));
    int rc = ACCEL_OK;

    m->analysis = (struct accel_analysis *)whole;
    if (whole == NULL || ops == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for an analysis");
    whole->model = m;
    struct accel_analysis *a = &whole->pub;
    a->producer = ir->producer;
    a->ir_version = ir->ir_version;
    a->opset = accel_ir_opset(ir, "");
    a->nodes_in_file = ir->nodes_in_file;
    a->parameters = ir->parameters;
    a->weights_bytes = m->packed_bytes;
    a->inputs = m->inputs;
    a->outputs = m->outputs;
    a->inputs_count = ir->main->inputs_count;
    a->outputs_count = ir->main->outputs_count;
    a->ops = ops;
    a->ops_count = count;
    if (m->plan != NULL) {
        a->arena_bytes = m->plan->arena_bytes;
        a->scratch_bytes = m->plan->scratch_bytes;
        a->io_bytes = m->plan->io_bytes;
    }
    if (nodes)
        rc = ops_of_graph(m, ops, err);
    for (size_t s = 0; !nodes && s < count && rc == ACCEL_OK; s++)
        rc = fill_op(&ops[s], m->plan->steps[s].node, m->plan->types, &m->plan->steps[s].cost,
                     &ir->mem, err);
    sum_up(a);
    return rc;
}
