/* SPDX-License-Identifier: Apache-2.0 */
/* fold-constants: what depends on constants alone, or on shapes that are known, is computed now. */
#include "infer/graph/passes.h"
#include "infer/plan/eval.h"

#include <string.h>

/* A result may be larger than what it is made of (ConstantOfShape, Expand, Tile): then it costs
 * less to compute it each time than to carry it in the pack. */
#define GROWTH_BYTES ((size_t)1 << 20)
/* What a run of the pass computes, while the model is loaded: some seconds of plain C. The rest is
 * left to the model's runs, which have a deadline. */
#define FOLD_FLOPS   5e9

/* Constants at work. */
struct folding {
    struct accel_type *types;
    bool weights; /* those that are quantised become floats, too */
    double left;  /* of FOLD_FLOPS */
};

static int make_constants(struct accel_node *n, struct accel_type *types, struct accel_error *err)
{
    for (size_t o = 0; o < n->outputs_count; o++) {
        struct accel_value *v = n->outputs[o];
        void *data;

        if (v == NULL)
            continue;
        const struct accel_tensor *t = types[v->id].data;
        const int rc = accel_value_make_constant(v, t->dtype, &types[v->id].shape, &data, err);
        if (rc != ACCEL_OK)
            return rc;
        if (t->size_bytes > 0)
            memcpy(data, t->data, t->size_bytes);
        types[v->id].data = v->data;
    }
    n->dead = true;
    return ACCEL_OK;
}

/* Runs the node into memory of `mem`, which then holds its outputs' data. */
static int compute(struct accel_node *n, struct folding *f, struct accel_bump *mem, bool *done,
                   struct accel_error *err)
{
    struct accel_type *types = f->types;
    const struct accel_type **in = accel_bump_alloc(mem, n->inputs_count + 1, sizeof(*in));
    struct accel_type **out = accel_bump_alloc(mem, n->outputs_count + 1, sizeof(*out));
    struct accel_tensor *results = accel_bump_alloc(mem, n->outputs_count + 1, sizeof(*results));
    size_t most = GROWTH_BYTES;

    *done = false;
    if (in == NULL || out == NULL || results == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to fold constants");
    for (size_t i = 0; i < n->inputs_count; i++) {
        in[i] = n->inputs[i] != NULL ? &types[n->inputs[i]->id] : NULL;
        if (in[i] != NULL && in[i]->data != NULL)
            most = ACCEL_MAX(most, in[i]->data->size_bytes);
    }
    /* A constant of its own is as large as it is, and weights that no integer operator took are
     * wanted as floats by every run. */
    if (n->inputs_count == 0 || accel_node_is(n, "DequantizeLinear"))
        most = n->graph->ir->limits.tensor_bytes;
    for (size_t o = 0; o < n->outputs_count; o++)
        out[o] = n->outputs[o] != NULL ? &types[n->outputs[o]->id] : NULL;
    if (!accel_node_computable(n, in, out, most))
        return ACCEL_OK;
    const double flops = accel_node_flops(n, in, out);
    if (flops > f->left)
        return ACCEL_OK;
    f->left -= flops;
    for (size_t o = 0; o < n->outputs_count; o++) {
        struct accel_tensor *t = &results[o];

        if (out[o] == NULL)
            continue;
        accel_tensor_describe(t, out[o]->dtype, &out[o]->shape);
        t->data = accel_bump_alloc(mem, t->size_bytes + 1, 1);
        if (t->data == NULL)
            return accel_fail(err, ACCEL_E_NOMEM, "no memory to fold constants");
    }
    const int rc = accel_node_eval(n, in, out, results, err);
    if (rc != ACCEL_OK)
        return accel_fail_in(err, "node '%s' (%s)", n->name, n->op_type);
    for (size_t o = 0; o < n->outputs_count; o++)
        if (out[o] != NULL)
            out[o]->data = &results[o];
    *done = true;
    return ACCEL_OK;
}

static bool outputs_known(const struct accel_node *n, const struct accel_type *types)
{
    for (size_t o = 0; o < n->outputs_count; o++)
        if (n->outputs[o] != NULL && (types[n->outputs[o]->id].data == NULL ||
                                      !accel_shape_static(&types[n->outputs[o]->id].shape)))
            return false;
    return true;
}

/* What follows from the node, when its inputs are constants, becomes one. */
static int fold_node(struct accel_node *n, struct folding *f, size_t *changes,
                     struct accel_error *err)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump big = {0};
    bool known = outputs_known(n, f->types);
    int rc = ACCEL_OK;

    if (!f->weights && accel_node_is(n, "DequantizeLinear"))
        return ACCEL_OK;
    if (!known)
        rc = compute(n, f, &big, &known, err);
    if (rc == ACCEL_OK && known)
        rc = make_constants(n, f->types, err);
    if (rc == ACCEL_OK)
        *changes += known;
    return rc;
}

static int fold(struct accel_ir *ir, bool weights, size_t *changes, struct accel_error *err)
{
    struct accel_graph *g = ir->main;
    ACCEL_CLEANUP(accel_freep)
    struct accel_type *types = accel_calloc(ir->values_count, sizeof(*types));
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct folding f = {.types = types, .weights = weights, .left = FOLD_FLOPS};

    if (types == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to fold constants");
    accel_types_init(ir, types);
    for (size_t i = 0; i < g->nodes_count; i++) {
        struct accel_node *n = g->nodes[i];
        int rc = accel_graph_infer_node(n, types, &mem, err);

        if (rc == ACCEL_OK && n->op != NULL && n->unsupported == NULL)
            rc = fold_node(n, &f, changes, err);
        if (rc != ACCEL_OK)
            return rc;
    }
    return ACCEL_OK;
}

int accel_pass_fold_constants(struct accel_ir *ir, size_t *changes, struct accel_error *err)
{
    return fold(ir, true, changes, err);
}

int accel_pass_fold_all_but_weights(struct accel_ir *ir, size_t *changes, struct accel_error *err)
{
    return fold(ir, false, changes, err);
}
