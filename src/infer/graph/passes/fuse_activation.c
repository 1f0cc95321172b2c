/* SPDX-License-Identifier: Apache-2.0 */
/* fuse-activation: an elementwise activation that alone reads a Conv, Gemm, ... is done while the
 * result is stored. */
#include "infer/graph/passes.h"

#include <math.h>
#include <string.h>

/* One number of a constant; false when it is none or left unknown. */
static bool scalar(const struct accel_node *n, size_t i, float otherwise, float *out)
{
    *out = otherwise;
    if (i >= n->inputs_count || n->inputs[i] == NULL)
        return true;
    const struct accel_tensor *t = n->inputs[i]->data;
    if (t == NULL || t->data == NULL || t->dtype != ACCEL_DTYPE_FLOAT || t->size_bytes != 4)
        return false;
    memcpy(out, t->data, 4);
    return true;
}

/* Of other domains than the standard's: what find-activations makes. */
static bool found_before(const struct accel_node *n, struct accel_activation *act)
{
    static const struct {
        const char *domain, *name;
        enum accel_unary_op op;
    } known[] = {
        {"com.microsoft", "QuickGelu", ACCEL_UNARY_SILU},
        {"com.microsoft", "Gelu", ACCEL_UNARY_GELU},
        {"com.microsoft", "FastGelu", ACCEL_UNARY_GELU_TANH},
        {ACCEL_DOMAIN_OWN, "HardSwish", ACCEL_UNARY_HARDSWISH},
        {ACCEL_DOMAIN_OWN, "Mish", ACCEL_UNARY_MISH},
    };

    if (n->op == NULL || n->unsupported != NULL || n->inputs_count != 1)
        return false;
    for (size_t i = 0; i < ACCEL_COUNT(known); i++) {
        if (strcmp(n->domain, known[i].domain) != 0 || strcmp(n->op_type, known[i].name) != 0)
            continue;
        act->op = known[i].op;
        act->alpha = accel_attr_float(n, "alpha", 1.702f); /* QuickGelu's */
        return true;
    }
    return false;
}

static bool activation_of(const struct accel_node *n, struct accel_activation *act)
{
    *act = (struct accel_activation){0};
    if (found_before(n, act))
        return true;
    if (accel_node_is(n, "Relu"))
        act->op = ACCEL_UNARY_RELU;
    else if (accel_node_is(n, "Sigmoid"))
        act->op = ACCEL_UNARY_SIGMOID;
    else if (accel_node_is(n, "Tanh"))
        act->op = ACCEL_UNARY_TANH;
    else if (accel_node_is(n, "HardSwish"))
        act->op = ACCEL_UNARY_HARDSWISH;
    else if (accel_node_is(n, "LeakyRelu")) {
        act->op = ACCEL_UNARY_LEAKYRELU;
        act->alpha = accel_attr_float(n, "alpha", 0.01f);
    } else if (accel_node_is(n, "HardSigmoid")) {
        act->op = ACCEL_UNARY_HARDSIGMOID;
        act->alpha = accel_attr_float(n, "alpha", 0.2f);
        act->beta = accel_attr_float(n, "beta", 0.5f);
    } else if (accel_node_is(n, "Clip")) {
        act->op = ACCEL_UNARY_CLIP;
        if (n->op->since < 11) {
            act->alpha = accel_attr_float(n, "min", -INFINITY);
            act->beta = accel_attr_float(n, "max", INFINITY);
            return true;
        }
        return scalar(n, 1, -INFINITY, &act->alpha) && scalar(n, 2, INFINITY, &act->beta);
    } else
        return false;
    return true;
}

int accel_pass_fuse_activation(struct accel_ir *ir, size_t *changes, struct accel_error *err)
{
    struct accel_graph *g = ir->main;

    for (size_t i = 0; i < g->nodes_count; i++) {
        struct accel_node *n = g->nodes[i], *next;
        struct accel_activation act;

        if (n->dead || n->op == NULL || n->unsupported != NULL ||
            (n->op->flags & ACCEL_OP_EPILOGUE) == 0 || n->epilogue.act.op != ACCEL_UNARY_IDENTITY ||
            n->outputs[0] == NULL || n->outputs[0]->type.dtype != ACCEL_DTYPE_FLOAT)
            continue;
        next = accel_node_follower(n);
        if (next == NULL || next->inputs[0] != n->outputs[0] || !activation_of(next, &act))
            continue;
        const int rc = accel_node_fused(n, next->op_type, err);
        if (rc != ACCEL_OK)
            return rc;
        n->epilogue.act = act;
        accel_node_absorb(n, next);
        (*changes)++;
    }
    return ACCEL_OK;
}
