/* SPDX-License-Identifier: Apache-2.0 */
/* SequenceMap: a subgraph for each tensor of one or several sequences. */
#include "infer/ops/control.h"

static int map_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                     struct accel_error *err)
{
    const struct accel_graph *body = accel_attr_graph(n, "body");

    (void)mem;
    (void)params;
    for (size_t i = 0; i < accel_node_formal(n); i++)
        if (n->inputs[i] == NULL)
            return accel_fail(err, ACCEL_E_INVALID, "input %zu is missing", i);
    if (accel_graph_formal(body) != accel_node_formal(n) || body->outputs_count < n->outputs_count)
        return accel_fail(err, ACCEL_E_INVALID,
                          "its body has %zu inputs and %zu outputs, %zu and %zu are needed",
                          accel_graph_formal(body), body->outputs_count, accel_node_formal(n),
                          n->outputs_count);
    return ACCEL_OK;
}

static int map_infer(struct accel_infer *in, struct accel_error *err)
{
    struct accel_graph *body = accel_attr_graph(in->node, "body");
    const size_t formal = accel_node_formal(in->node);
    struct accel_type *inputs = accel_bump_alloc(in->mem, formal + 1, sizeof(*inputs));
    struct accel_type *out = accel_bump_alloc(in->mem, body->outputs_count + 1, sizeof(*out));

    if (inputs == NULL || out == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to infer shapes");
    int rc = accel_infer_sequence(in, 0, err);
    for (size_t i = 0; i < formal; i++)
        inputs[i] = accel_type_element(in->in[i]);
    if (rc == ACCEL_OK)
        rc = accel_infer_subgraph(in, body, inputs, out, err);
    for (size_t o = 0; o < in->node->outputs_count && rc == ACCEL_OK; o++) {
        if (in->out[o] == NULL)
            continue;
        *in->out[o] = accel_type_element(&out[o]);
        in->out[o]->kind = ACCEL_VALUE_SEQUENCE;
    }
    return rc;
}

struct mapping {
    struct accel_run *run;
    struct accel_tensor *inputs, *outputs; /* of the body */
    struct accel_list **lists;             /* by output of the node; NULL: not made yet */
};

static void end_mapping(struct mapping *x)
{
    for (size_t o = 0; x->lists != NULL && o < x->run->node->outputs_count; o++)
        accel_list_unref(accel_run_session(x->run), x->lists[o]);
    accel_free(x->inputs);
    accel_free(x->outputs);
    accel_free(x->lists);
}

/* Element k of every sequence through the body. */
static int map_one(struct mapping *x, struct accel_graph *body, size_t k, size_t count,
                   struct accel_error *err)
{
    const struct accel_node *n = x->run->node;
    struct accel_session *s = accel_run_session(x->run);

    for (size_t i = 0; i < accel_node_formal(n); i++) {
        const struct accel_tensor *from = x->run->in[i];

        x->inputs[i] = accel_is_list(from) ? accel_list_of(from)->items[k]->tensor : *from;
    }
    int rc = accel_run_subgraph(x->run, body, x->inputs, x->outputs, err);
    for (size_t o = 0; o < n->outputs_count && rc == ACCEL_OK; o++) {
        if (x->run->out[o] == NULL)
            continue;
        if (!accel_is_tensor(&x->outputs[o]))
            return accel_fail(err, ACCEL_E_INVALID, "output %zu of its body is no tensor", o);
        if (x->lists[o] == NULL)
            rc = accel_list_new(s, x->outputs[o].dtype, count, &x->lists[o], err);
        if (rc == ACCEL_OK && x->lists[o]->dtype != x->outputs[o].dtype)
            rc = accel_fail(err, ACCEL_E_INVALID, "output %zu of its body changed its type", o);
        if (rc == ACCEL_OK)
            rc = accel_list_add(s, x->lists[o], &x->outputs[o], err);
    }
    return rc;
}

static int map_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_node *n = run->node;
    struct accel_graph *body = accel_attr_graph(n, "body");
    ACCEL_CLEANUP(end_mapping) struct mapping x = {.run = run};
    struct accel_list *first;
    int rc = accel_run_list(run, 0, &first, err);

    for (size_t i = 1; i < accel_node_formal(n) && rc == ACCEL_OK; i++)
        if (accel_is_list(run->in[i]) && accel_list_of(run->in[i])->count != first->count)
            rc = accel_fail(err, ACCEL_E_INVALID,
                            "sequences of %zu and of %zu tensors cannot be mapped together",
                            first->count, accel_list_of(run->in[i])->count);
    if (rc != ACCEL_OK)
        return rc;
    x.inputs = accel_calloc(accel_node_formal(n), sizeof(*x.inputs));
    x.outputs = accel_calloc(body->outputs_count, sizeof(*x.outputs));
    x.lists = accel_calloc(n->outputs_count, sizeof(struct accel_list *));
    if (x.inputs == NULL || x.outputs == NULL || x.lists == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to map a sequence");
    for (size_t k = 0; k < first->count && rc == ACCEL_OK; k++)
        rc = map_one(&x, body, k, first->count, err);
    for (size_t o = 0; o < n->outputs_count && rc == ACCEL_OK; o++) {
        if (run->out[o] == NULL)
            continue;
        if (x.lists[o] == NULL)
            rc = accel_list_new(accel_run_session(run), accel_run_output_type(run, o)->dtype, 0,
                                &x.lists[o], err);
        if (rc == ACCEL_OK)
            rc = accel_run_give_list(run, o, accel_steal(&x.lists[o]), err);
    }
    return rc;
}

static const struct accel_attr_rule map_attrs[] = {
    {"body", ACCEL_ATTR_GRAPH, ACCEL_ATTR_REQUIRED},
    {0},
};
#define ANY   ACCEL_T_EVERY
#define OTHER ACCEL_ARG_ANY_KIND

const struct accel_op accel_ops_control_map[] = {
    {.name = "SequenceMap",
     .domain = "",
     .since = 17,
     .kind = ACCEL_KIND_OTHER,
     .flags = ACCEL_OP_CONTROL | ACCEL_OP_ANY_RANK,
     .in = {{"input_sequence", ANY, 0, OTHER},
            {"additional_inputs", ANY, 0,
             ACCEL_ARG_VARIADIC | ACCEL_ARG_OPTIONAL | ACCEL_ARG_MIXED | OTHER}},
     .out = {{"out_sequence", ANY, 0, ACCEL_ARG_VARIADIC | ACCEL_ARG_MIXED | OTHER}},
     .attrs = map_attrs,
     .parse = map_parse,
     .infer = map_infer,
     .run = map_run},
    {0},
};
