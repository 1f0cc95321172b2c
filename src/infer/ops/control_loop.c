/* SPDX-License-Identifier: Apache-2.0 */
/* Loop. Where the standard leaves room it does as ONNX Runtime does. */
#include "infer/ops/control.h"

#include <inttypes.h>
#include <string.h>

struct loop {
    struct accel_graph *body;
    size_t states, scans; /* carried values, outputs that are collected */
    uint32_t rank;        /* of the iteration number and the condition: 0 or 1, as declared */
};

static int loop_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                      struct accel_error *err)
{
    struct loop *l = accel_bump_alloc(mem, 1, sizeof(*l));
    const size_t formal = accel_node_formal(n);

    if (l == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its attributes");
    l->body = accel_attr_graph(n, "body");
    l->states = formal > 2 ? formal - 2 : 0;
    int rc = accel_subgraph_check(l->body, "body", 2 + l->states, 1 + l->states, err);
    if (rc != ACCEL_OK)
        return rc;
    l->scans = l->body->outputs_count - 1 - l->states;
    if (n->outputs_count > l->states + l->scans)
        return accel_fail(err, ACCEL_E_INVALID, "its body has %zu outputs, %zu are needed",
                          l->body->outputs_count, 1 + n->outputs_count);
    for (size_t i = 0; i < l->states; i++)
        if (n->inputs[2 + i] == NULL)
            return accel_fail(err, ACCEL_E_INVALID, "input %zu 'v_initial' is missing", 2 + i);
    const struct accel_shape *declared = &l->body->inputs[0]->type.shape;
    l->rank = declared->has_rank && declared->rank == 1 ? 1 : 0;
    *params = l;
    return ACCEL_OK;
}

static struct accel_type scalar(enum accel_dtype dtype, uint32_t rank)
{
    return (struct accel_type){.dtype = dtype,
                               .shape = {.has_rank = true, .rank = rank, .dims = {1}}};
}

static int loop_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct loop *l = in->node->params;
    struct accel_graph *g = l->body;
    struct accel_type *inputs = accel_bump_alloc(in->mem, 2 + l->states, sizeof(*inputs));
    struct accel_type *out = accel_bump_alloc(in->mem, g->outputs_count, sizeof(*out));

    if (inputs == NULL || out == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to infer shapes");
    inputs[0] = scalar(ACCEL_DTYPE_INT64, l->rank);
    inputs[1] = scalar(ACCEL_DTYPE_BOOL, l->rank);
    for (size_t i = 0; i < l->states; i++)
        inputs[2 + i] = accel_type_without_value(in->in[2 + i]);
    const int rc = accel_infer_carried(in, g, inputs, 2, l->states, 1, out, err);
    for (size_t o = 0; o < in->node->outputs_count && rc == ACCEL_OK; o++) {
        if (in->out[o] == NULL)
            continue;
        if (o < l->states) {
            *in->out[o] = inputs[2 + o];
            continue;
        }
        *in->out[o] = out[1 + o];
        accel_shape_insert(&in->out[o]->shape, 0, ACCEL_DIM_ANY);
    }
    return rc;
}

/* Slices of one shape, put one behind the other. */
struct collected {
    struct accel_held held;
    size_t count, size_bytes;
};

static int collect(struct accel_run *run, struct collected *c, const struct accel_tensor *slice,
                   struct accel_error *err)
{
    struct accel_tensor *t = &c->held.value;
    const size_t most = run->node->graph->ir->limits.tensor_bytes;
    size_t need;

    if (accel_is_list(slice) || accel_is_none(slice) || slice->rank == ACCEL_RANK_MAX)
        return accel_fail(err, ACCEL_E_INVALID, "what is collected over iterations is no tensor%s",
                          slice->rank == ACCEL_RANK_MAX ? " of a rank that could grow" : "");
    if (c->count == 0) {
        struct accel_shape shape = accel_shape_of(slice);

        accel_shape_insert(&shape, 0, 0);
        t->dtype = slice->dtype;
        t->rank = shape.rank;
        memcpy(t->dims, shape.dims, sizeof(t->dims));
    }
    if (t->dtype != slice->dtype || t->rank != slice->rank + 1 ||
        memcmp(t->dims + 1, slice->dims, slice->rank * sizeof(slice->dims[0])) != 0)
        return accel_fail(err, ACCEL_E_INVALID,
                          "what is collected has another shape or type in iteration %zu", c->count);
    if (__builtin_add_overflow(c->size_bytes, slice->size_bytes, &need) || need > most)
        return accel_fail(err, ACCEL_E_LIMIT, "more than %zu bytes collected over iterations",
                          most);
    if (need > c->held.capacity) {
        struct accel_error why = {0};

        /* Twice as much as a rule; what is needed where that would be too much. */
        if (need > most / 2 || accel_run_held_reserve(run, &c->held, 2 * need, &why) != ACCEL_OK) {
            const int rc = accel_run_held_reserve(run, &c->held, need, err);

            if (rc != ACCEL_OK)
                return rc;
        }
    }
    if (slice->size_bytes > 0)
        memcpy((char *)c->held.data + c->size_bytes, slice->data, slice->size_bytes);
    t->data = c->held.data;
    t->size_bytes = c->size_bytes = need;
    t->dims[0] = (int64_t)++c->count;
    return ACCEL_OK;
}

/* No iteration: no slice says its shape. As ONNX Runtime has it: what follows from the shapes that
 * the model declares, and 0 for what does not. */
static int give_none_collected(struct accel_run *run, size_t o, struct accel_error *err)
{
    const struct accel_type *declared = &run->node->outputs[o]->type;
    const struct accel_type *type =
        declared->shape.has_rank ? declared : accel_run_output_type(run, o);
    struct accel_shape shape = type->shape;

    if (!shape.has_rank || type->dtype == ACCEL_DTYPE_UNDEFINED)
        return accel_fail(err, ACCEL_E_INVALID,
                          "output %zu: no iteration, and the body does not say its shape", o);
    shape.dims[0] = 0;
    for (uint32_t d = 1; d < shape.rank; d++)
        if (shape.dims[d] < 0)
            shape.dims[d] = 0;
    run->out[o]->dtype = type->dtype;
    return accel_run_output(run, o, &shape, err);
}

/* What a loop needs besides its memory for values. */
struct looping {
    struct accel_run *run;
    const struct loop *loop;
    struct accel_tensor *inputs, *outputs; /* of the body */
    struct accel_held *now, *next;         /* by carried value; what the inputs show lies in now */
    struct collected *collected;
};

static void end_loop(struct looping *x)
{
    for (size_t i = 0; x->now != NULL && i < x->loop->states; i++) {
        accel_run_release(x->run, &x->now[i]);
        accel_run_release(x->run, &x->next[i]);
    }
    for (size_t k = 0; x->collected != NULL && k < x->loop->scans; k++)
        accel_run_release(x->run, &x->collected[k].held);
    accel_free(x->inputs);
    accel_free(x->outputs);
    accel_free(x->now);
    accel_free(x->next);
    accel_free(x->collected);
}

static int begin_loop(struct looping *x, struct accel_error *err)
{
    const struct loop *l = x->loop;

    x->inputs = accel_calloc(2 + l->states, sizeof(*x->inputs));
    x->outputs = accel_calloc(l->body->outputs_count, sizeof(*x->outputs));
    x->next = accel_calloc(l->states, sizeof(*x->next));
    x->now = x->next != NULL ? accel_calloc(l->states, sizeof(*x->now)) : NULL;
    x->collected = accel_calloc(l->scans, sizeof(*x->collected));
    if (x->inputs == NULL || x->outputs == NULL || x->now == NULL || x->collected == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a loop");
    for (size_t i = 0; i < l->states; i++)
        x->inputs[2 + i] = *x->run->in[2 + i];
    return ACCEL_OK;
}

/* One run of the body; *condition: whether another may follow. All that is carried is copied
 * before any of it is let go of: a body may well hand on its input number 3 as output number 2. */
static int iterate(struct looping *x, bool *condition, struct accel_error *err)
{
    const struct loop *l = x->loop;
    int rc = accel_run_subgraph(x->run, l->body, x->inputs, x->outputs, err);

    if (rc != ACCEL_OK)
        return rc;
    if (x->outputs[0].dtype != ACCEL_DTYPE_BOOL || x->outputs[0].size_bytes != sizeof(bool))
        return accel_fail(err, ACCEL_E_INVALID, "the condition its body gives is not one bool");
    *condition = *(const bool *)x->outputs[0].data;
    for (size_t i = 0; i < l->states && rc == ACCEL_OK; i++)
        rc = accel_run_hold(x->run, &x->next[i], &x->outputs[1 + i], err);
    for (size_t k = 0; k < l->scans && rc == ACCEL_OK; k++)
        if (l->states + k < x->run->node->outputs_count && x->run->out[l->states + k] != NULL)
            rc = collect(x->run, &x->collected[k], &x->outputs[1 + l->states + k], err);
    struct accel_held *const swapped = x->now;
    x->now = x->next;
    x->next = swapped;
    for (size_t i = 0; i < l->states; i++)
        x->inputs[2 + i] = x->now[i].value;
    return rc;
}

static int loop_run(struct accel_run *run, struct accel_error *err)
{
    const struct loop *l = run->node->params;
    ACCEL_CLEANUP(end_loop) struct looping x = {.run = run, .loop = l};
    const void *trips, *first;
    int64_t i = 0, most = INT64_MAX;
    bool go_on = true;
    int rc = accel_run_one_element(run, 0, ACCEL_DTYPE_INT64, &trips, err);

    if (rc == ACCEL_OK)
        rc = accel_run_one_element(run, 1, ACCEL_DTYPE_BOOL, &first, err);
    if (rc == ACCEL_OK)
        rc = begin_loop(&x, err);
    if (rc != ACCEL_OK)
        return rc;
    if (trips != NULL)
        memcpy(&most, trips, sizeof(most));
    if (first != NULL)
        go_on = *(const bool *)first;
    x.inputs[0] = (struct accel_tensor){.dtype = ACCEL_DTYPE_INT64,
                                        .rank = l->rank,
                                        .dims = {1},
                                        .data = &i,
                                        .size_bytes = sizeof(i)};
    x.inputs[1] = (struct accel_tensor){.dtype = ACCEL_DTYPE_BOOL,
                                        .rank = l->rank,
                                        .dims = {1},
                                        .data = &go_on,
                                        .size_bytes = sizeof(go_on)};
    for (; i < most && go_on && rc == ACCEL_OK; i++)
        rc = iterate(&x, &go_on, err);
    if (rc != ACCEL_OK) {
        accel_fail_in(err, "iteration %" PRId64, i - 1);
        return rc;
    }
    for (size_t o = 0; o < run->node->outputs_count && rc == ACCEL_OK; o++) {
        if (run->out[o] == NULL)
            continue;
        if (o < l->states)
            rc = i > 0 ? accel_run_give_held(run, o, &x.now[o], err)
                       : accel_run_give(run, o, run->in[2 + o], err);
        else
            rc = i > 0 ? accel_run_give_held(run, o, &x.collected[o - l->states].held, err)
                       : give_none_collected(run, o, err);
    }
    return rc;
}

/* ---------------------------------------------------------------- the entries */

#define ANY  ACCEL_T_EVERY
#define REST ACCEL_ARG_REST

static const struct accel_attr_rule loop_attrs[] = {
    {"body", ACCEL_ATTR_GRAPH, ACCEL_ATTR_REQUIRED},
    {0},
};

const struct accel_op accel_ops_control_loop[] = {
    {.domain = "",
     .name = "Loop",
     .since = 1,
     ACCEL_OP_RUNS_GRAPHS,
     .in = {{"M", ACCEL_T(INT64), 0, ACCEL_ARG_OPTIONAL},
            {"cond", ACCEL_T(BOOL), 0, ACCEL_ARG_OPTIONAL},
            {"v_initial", ANY, 0, REST | ACCEL_ARG_ANY_KIND}},
     .out = {{"v_final_and_scan_outputs", ANY, 0, REST | ACCEL_ARG_ANY_KIND}},
     .attrs = loop_attrs,
     .parse = loop_parse,
     .infer = loop_infer,
     .run = loop_run},
    {0},
};
