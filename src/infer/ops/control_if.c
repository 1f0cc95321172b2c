/* SPDX-License-Identifier: Apache-2.0 */
/* If. Where the standard leaves room it does as ONNX Runtime does. */
#include "infer/ops/control.h"

static int if_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                    struct accel_error *err)
{
    static const char *const names[] = {"then_branch", "else_branch"};

    (void)mem;
    (void)params;
    for (unsigned b = 0; b < 2; b++) {
        const struct accel_graph *g = accel_attr_graph(n, names[b]);
        const int rc = accel_subgraph_check(g, names[b], 0, n->outputs_count, err);

        if (rc != ACCEL_OK)
            return rc;
    }
    return ACCEL_OK;
}

static struct accel_graph *branch(const struct accel_node *n, bool condition)
{
    return accel_attr_graph(n, condition ? "then_branch" : "else_branch");
}

static int if_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_node *n = in->node;
    int64_t condition;
    size_t count;
    const bool known = accel_infer_ints(in, 0, &condition, 1, &count) && count == 1;

    for (unsigned b = 0; b < 2; b++) {
        struct accel_graph *g = branch(n, b == 0);
        struct accel_type *types = accel_bump_alloc(in->mem, g->outputs_count + 1, sizeof(*types));
        int rc;

        if (types == NULL)
            return accel_fail(err, ACCEL_E_NOMEM, "no memory to infer shapes");
        /* Both, so that each knows what comes in, but what comes out is that of the one. */
        rc = accel_infer_subgraph(in, g, NULL, types, err);
        if (rc != ACCEL_OK)
            return rc;
        if (known && (condition != 0) != (b == 0))
            continue;
        for (size_t o = 0; o < n->outputs_count; o++) {
            if (in->out[o] == NULL)
                continue;
            if (known || b == 0)
                *in->out[o] = types[o];
            else if (types[o].dtype != in->out[o]->dtype &&
                     types[o].dtype != ACCEL_DTYPE_UNDEFINED &&
                     in->out[o]->dtype != ACCEL_DTYPE_UNDEFINED)
                return accel_fail(err, ACCEL_E_INVALID,
                                  "output %zu is %s from one branch, %s from the other", o,
                                  accel_dtype_name(in->out[o]->dtype),
                                  accel_dtype_name(types[o].dtype));
            else
                accel_type_merge(in->out[o], &types[o]);
        }
    }
    return ACCEL_OK;
}

static int if_run(struct accel_run *run, struct accel_error *err)
{
    const void *condition;
    int rc = accel_run_one_element(run, 0, ACCEL_DTYPE_BOOL, &condition, err);

    if (rc != ACCEL_OK)
        return rc;
    struct accel_graph *g = branch(run->node, *(const bool *)condition);
    ACCEL_CLEANUP(accel_freep)
    struct accel_tensor *outputs = accel_calloc(g->outputs_count, sizeof(*outputs));
    if (outputs == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for the outputs of a branch");
    rc = accel_run_subgraph(run, g, NULL, outputs, err);
    for (size_t o = 0; o < run->node->outputs_count && rc == ACCEL_OK; o++)
        rc = accel_run_give(run, o, &outputs[o], err);
    return rc;
}

/* ---------------------------------------------------------------- the entries */

#define ANY  ACCEL_T_EVERY
#define REST ACCEL_ARG_REST

static const struct accel_attr_rule if_attrs[] = {
    {"then_branch", ACCEL_ATTR_GRAPH, ACCEL_ATTR_REQUIRED},
    {"else_branch", ACCEL_ATTR_GRAPH, ACCEL_ATTR_REQUIRED},
    {0},
};

const struct accel_op accel_ops_control_if[] = {
    {.domain = "",
     .name = "If",
     .since = 1,
     ACCEL_OP_RUNS_GRAPHS,
     .in = {{"cond", ACCEL_T(BOOL), 0, 0}},
     .out = {{"outputs", ANY, 0, REST | ACCEL_ARG_ANY_KIND}},
     .attrs = if_attrs,
     .parse = if_parse,
     .infer = if_infer,
     .run = if_run},
    {0},
};
