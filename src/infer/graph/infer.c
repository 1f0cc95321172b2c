/* SPDX-License-Identifier: Apache-2.0 */
/* Shape inference with value propagation: walks the nodes in order, lets each operator say what
 * comes out, and computes what is small and follows from known values on the spot. */
#include "infer/ops/op.h"
#include "infer/plan/eval.h"

#include <string.h>

/* Values up to this size and work are computed during inference, as often as it is done; what is
 * more is the folding pass's. */
#define COMPUTE_BYTES ((size_t)ACCEL_INTS_MAX * 8)
#define COMPUTE_FLOPS 1e5

static uint32_t type_bit(enum accel_dtype dtype)
{
    return (unsigned)dtype < 32 ? 1u << dtype : 0;
}

const struct accel_arg *accel_op_arg(const struct accel_arg *args, size_t max, size_t i)
{
    for (size_t k = 0; k < max && args[k].name != NULL; k++)
        if (k == i || (args[k].flags & ACCEL_ARG_VARIADIC) != 0)
            return &args[k];
    return NULL;
}

const struct accel_arg *accel_op_input(const struct accel_op *op, size_t i)
{
    return i < ACCEL_OP_INPUTS || op->in_more == NULL
               ? accel_op_arg(op->in, ACCEL_OP_INPUTS, i)
               : accel_op_arg(op->in_more, ACCEL_OP_INPUTS_MAX - ACCEL_OP_INPUTS,
                              i - ACCEL_OP_INPUTS);
}

/* Checks the types of the inputs against the entry. *open: some type is not known yet. */
static int check_types(const struct accel_node *n, const struct accel_type *const *in, bool *open,
                       struct accel_error *err)
{
    enum accel_dtype bound[128] = {0};

    *open = false;
    for (size_t i = 0; i < accel_node_formal(n); i++) {
        const struct accel_arg *arg = accel_op_input(n->op, i);

        if (in[i] == NULL || arg == NULL)
            continue;
        const bool map = (in[i]->kind & ACCEL_VALUE_MAP) != 0;
        if (map ? (arg->flags & ACCEL_ARG_MAPS) == 0
                : in[i]->kind != ACCEL_VALUE_TENSOR && (arg->flags & ACCEL_ARG_ANY_KIND) == 0)
            return accel_fail(err, ACCEL_E_UNSUPPORTED, "input %zu '%s' is not a tensor but %s", i,
                              arg->name, accel_value_kind_text(in[i]->kind));
        if (in[i]->dtype == ACCEL_DTYPE_UNDEFINED) {
            *open = *open || (arg->flags & ACCEL_ARG_ANY_KIND) == 0;
            continue;
        }
        if ((arg->types & type_bit(in[i]->dtype)) == 0)
            return accel_fail(err, ACCEL_E_UNSUPPORTED, "input %zu '%s' of type %s", i, arg->name,
                              accel_dtype_name(in[i]->dtype));
        if (arg->var == 0 || (arg->flags & ACCEL_ARG_MIXED) != 0)
            continue;
        enum accel_dtype *slot = &bound[arg->var & 127];
        if (*slot == ACCEL_DTYPE_UNDEFINED)
            *slot = in[i]->dtype;
        else if (*slot != in[i]->dtype)
            return accel_fail(err, ACCEL_E_INVALID, "input %zu '%s' is %s where %s is needed", i,
                              arg->name, accel_dtype_name(in[i]->dtype), accel_dtype_name(*slot));
    }
    return ACCEL_OK;
}

/* Outputs of an operator whose inputs are not known well enough to ask it: the types at least. */
static void guess_outputs(const struct accel_node *n, const struct accel_type *const *in,
                          struct accel_type *const *out)
{
    for (size_t o = 0; o < n->outputs_count; o++) {
        const struct accel_arg *arg = accel_op_arg(n->op->out, ACCEL_OP_OUTPUTS, o);

        if (out[o] == NULL || arg == NULL)
            continue;
        if (arg->types != 0 && (arg->types & (arg->types - 1)) == 0)
            out[o]->dtype = (enum accel_dtype)__builtin_ctz(arg->types);
        for (size_t i = 0; i < accel_node_formal(n) && arg->var != 0; i++) {
            const struct accel_arg *from = accel_op_input(n->op, i);

            if (in[i] != NULL && from != NULL && from->var == arg->var &&
                (from->flags & ACCEL_ARG_MIXED) == 0)
                out[o]->dtype = in[i]->dtype;
        }
    }
}

/* An axis of nothing, or an input that no run could be given, must not bring in axes that no tensor
 * can have: 0 x 2^40 has no bytes, but rows that somebody walks, and 2^63 - 1 of anything is one
 * short of an overflow. What is not known yet is taken to be one. Errors: LIMIT. */
static int check_extent(const struct accel_graph *g, const struct accel_value *v,
                        const struct accel_shape *shape, struct accel_error *err)
{
    const size_t most = g->ir->limits.tensor_bytes;
    size_t elements = 1;
    bool open = false;
    char text[ACCEL_SHAPE_TEXT];

    for (uint32_t d = 0; d < shape->rank; d++) {
        open = open || shape->dims[d] <= 0;
        if (shape->dims[d] > 0 &&
            __builtin_mul_overflow(elements, (size_t)shape->dims[d], &elements))
            elements = SIZE_MAX;
    }
    if (elements / (open ? 1 : 4) <= most) /* up to four are a byte */
        return ACCEL_OK;
    return accel_fail(err, ACCEL_E_LIMIT,
                      "'%s' of shape %s: its dimensions are over the limit of %zu elements",
                      v->name, accel_shape_format(shape, text), most);
}

static int check_inputs(const struct accel_node *n, const struct accel_type *const *in,
                        struct accel_error *err)
{
    int rc = ACCEL_OK;

    for (size_t i = 0; i < n->inputs_count && rc == ACCEL_OK; i++)
        if (in[i] != NULL)
            rc = check_extent(n->graph, n->inputs[i], &in[i]->shape, err);
    return rc;
}

static int check_outputs(const struct accel_graph *g, const struct accel_node *n,
                         struct accel_type *const *out, struct accel_error *err)
{
    for (size_t o = 0; o < n->outputs_count; o++) {
        size_t bytes;
        char text[ACCEL_SHAPE_TEXT];

        if (out[o] == NULL)
            continue;
        if (!accel_shape_static(&out[o]->shape) || out[o]->dtype == ACCEL_DTYPE_UNDEFINED)
            bytes = 0;
        else if (!accel_shape_bytes(&out[o]->shape, out[o]->dtype, &bytes))
            return accel_fail(err, ACCEL_E_INVALID, "output '%s' of shape %s overflows",
                              n->outputs[o]->name, accel_shape_format(&out[o]->shape, text));
        if (bytes > g->ir->limits.tensor_bytes)
            return accel_fail(err, ACCEL_E_LIMIT,
                              "output '%s' of shape %s has %zu bytes, over the limit of %zu",
                              n->outputs[o]->name, accel_shape_format(&out[o]->shape, text), bytes,
                              g->ir->limits.tensor_bytes);
        const int rc = check_extent(g, n->outputs[o], &out[o]->shape, err);
        if (rc != ACCEL_OK)
            return rc;
    }
    return ACCEL_OK;
}

bool accel_node_computable(const struct accel_node *n, const struct accel_type *const *in,
                           struct accel_type *const *out, size_t max_bytes)
{
    size_t total = 0;

    if (n->op == NULL || n->unsupported != NULL || n->op->run == NULL ||
        (n->op->flags & (ACCEL_OP_RANDOM | ACCEL_OP_DYNAMIC | ACCEL_OP_CONTROL)) != 0)
        return false;
    for (size_t i = 0; i < n->inputs_count; i++)
        if (in[i] != NULL && (in[i]->data == NULL || in[i]->data->data == NULL))
            return false;
    for (size_t o = 0; o < n->outputs_count; o++) {
        size_t bytes;

        if (out[o] == NULL)
            continue;
        if (out[o]->kind != ACCEL_VALUE_TENSOR || !accel_shape_static(&out[o]->shape) ||
            out[o]->dtype == ACCEL_DTYPE_STRING ||
            !accel_shape_bytes(&out[o]->shape, out[o]->dtype, &bytes) || bytes > max_bytes - total)
            return false;
        total += bytes;
    }
    return true;
}

/* Inputs of a node known and small: run it now. */
static int compute(const struct accel_node *n, const struct accel_type *const *in,
                   struct accel_type *const *out, struct accel_bump *mem, struct accel_error *err)
{
    if (!accel_node_computable(n, in, out, COMPUTE_BYTES))
        return ACCEL_OK;
    for (size_t i = 0; i < n->inputs_count; i++)
        if (in[i] != NULL && in[i]->data->size_bytes > COMPUTE_BYTES * 16)
            return ACCEL_OK;
    if (accel_node_flops(n, in, out) > COMPUTE_FLOPS)
        return ACCEL_OK;
    struct accel_tensor *results = accel_bump_alloc(mem, n->outputs_count + 1, sizeof(*results));
    if (results == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its value");
    for (size_t o = 0; o < n->outputs_count; o++) {
        struct accel_tensor *t = &results[o];

        if (out[o] == NULL)
            continue;
        if (out[o]->data != NULL)
            return ACCEL_OK; /* the operator knew it by itself */
        accel_tensor_describe(t, out[o]->dtype, &out[o]->shape);
        t->data = accel_bump_alloc(mem, t->size_bytes + 1, 1);
        if (t->data == NULL)
            return accel_fail(err, ACCEL_E_NOMEM, "no memory for its value");
    }
    const int rc = accel_node_eval(n, in, out, results, err);
    for (size_t o = 0; o < n->outputs_count && rc == ACCEL_OK; o++)
        if (out[o] != NULL)
            out[o]->data = &results[o];
    return rc;
}

int accel_node_infer(const struct accel_node *n, const struct accel_type *const *in,
                     struct accel_type *const *out, struct accel_bump *mem, struct accel_error *err)
{
    struct accel_infer ctx = {.node = n, .in = in, .out = out, .mem = mem};
    bool open, unranked = false;
    int rc = check_types(n, in, &open, err);

    if (rc == ACCEL_OK)
        rc = check_inputs(n, in, err);
    if (rc != ACCEL_OK)
        return rc;
    for (size_t i = 0; i < accel_node_formal(n); i++)
        unranked = unranked || (in[i] != NULL && !in[i]->shape.has_rank);
    if (open || (unranked && (n->op->flags & ACCEL_OP_ANY_RANK) == 0)) {
        guess_outputs(n, in, out);
        return ACCEL_OK;
    }
    rc = n->op->infer(&ctx, err);
    if (rc == ACCEL_OK)
        rc = check_outputs(n->graph, n, out, err);
    if (rc == ACCEL_OK)
        rc = compute(n, in, out, mem, err);
    return rc;
}

int accel_graph_infer_node(struct accel_node *n, struct accel_type *types, struct accel_bump *mem,
                           struct accel_error *err)
{
    const struct accel_type **in = accel_bump_alloc(mem, n->inputs_count + 1, sizeof(*in));
    struct accel_type **out = accel_bump_alloc(mem, n->outputs_count + 1, sizeof(*out));

    if (in == NULL || out == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to infer shapes");
    for (size_t i = 0; i < n->inputs_count; i++)
        in[i] = n->inputs[i] != NULL ? &types[n->inputs[i]->id] : NULL;
    for (size_t o = 0; o < n->outputs_count; o++) {
        out[o] = n->outputs[o] != NULL ? &types[n->outputs[o]->id] : NULL;
        if (out[o] != NULL)
            *out[o] = (struct accel_type){0};
    }
    if (n->op == NULL)
        return ACCEL_OK;
    if (n->unsupported != NULL) {
        guess_outputs(n, in, out);
        return ACCEL_OK;
    }
    struct accel_error why = {0};
    const int rc = accel_node_infer(n, in, out, mem, &why);
    if (rc == ACCEL_E_UNSUPPORTED && n->graph->ir->root->loading) {
        /* Collected: the loader reports all such nodes at once. */
        n->unsupported = accel_bump_strdup(&n->graph->ir->mem, why.msg);
        for (size_t o = 0; o < n->outputs_count; o++)
            if (out[o] != NULL)
                *out[o] = (struct accel_type){0};
        guess_outputs(n, in, out); /* widening wants to know what comes out of a half Conv */
        return n->unsupported != NULL ? ACCEL_OK
                                      : accel_fail(err, ACCEL_E_NOMEM, "no memory for a reason");
    }
    if (rc != ACCEL_OK) {
        accel_fail(err, rc, "%s", why.msg);
        return accel_fail_in(err, "node '%s' (%s)", n->name, n->op_type);
    }
    return ACCEL_OK;
}

int accel_graph_infer(struct accel_graph *graph, struct accel_type *types, struct accel_bump *mem,
                      struct accel_error *err)
{
    for (size_t i = 0; i < graph->nodes_count; i++) {
        const int rc = accel_graph_infer_node(graph->nodes[i], types, mem, err);

        if (rc != ACCEL_OK)
            return rc;
    }
    return ACCEL_OK;
}

/* Starting point: constants are known everywhere; everything else is not. */
void accel_types_init(const struct accel_ir *ir, struct accel_type *types)
{
    for (size_t i = 0; i < ir->values_count; i++) {
        const struct accel_value *v = ir->values[i];

        types[i] = (struct accel_type){0};
        if (v->data != NULL) {
            types[i].dtype = v->data->dtype;
            types[i].shape = accel_shape_of(v->data);
            types[i].data = v->data;
        } else if (v->is_input) {
            types[i] = v->type;
        }
    }
}

int accel_ir_infer(struct accel_ir *ir, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_freep)
    struct accel_type *types = accel_calloc(ir->values_count, sizeof(*types));
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};

    if (types == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to infer shapes");
    accel_types_init(ir, types);
    const int rc = accel_graph_infer(ir->main, types, &mem, err);
    if (rc != ACCEL_OK)
        return rc;
    for (size_t i = 0; i < ir->values_count; i++) {
        struct accel_type *t = &types[i];
        struct accel_value *v = ir->values[i];

        /* What was computed lives in mem: the folding pass makes constants of it. */
        if (v->data == NULL)
            t->data = NULL;
        t->ints = NULL;
        t->ints_count = 0;
        v->type = *t;
    }
    return ACCEL_OK;
}
