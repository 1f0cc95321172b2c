/* SPDX-License-Identifier: Apache-2.0 */
/* If, Loop, Scan. Where the standard leaves room they do as ONNX Runtime does. */
#include "infer/ops/control.h"

#include <inttypes.h>
#include <string.h>

#define ANY ACCEL_T_EVERY

struct accel_graph *accel_attr_graph(const struct accel_node *node, const char *name)
{
    const struct accel_attr *a = accel_attr(node, name);

    return a != NULL && a->count > 0 ? a->graphs[0] : NULL;
}

static int check_graph(const struct accel_graph *g, const char *what, size_t inputs, size_t outputs,
                       struct accel_error *err)
{
    if (accel_graph_formal(g) != inputs)
        return accel_fail(err, ACCEL_E_INVALID, "its %s has %zu inputs, %zu are needed", what,
                          accel_graph_formal(g), inputs);
    if (g->outputs_count < outputs)
        return accel_fail(err, ACCEL_E_INVALID, "its %s has %zu outputs, %zu are needed", what,
                          g->outputs_count, outputs);
    return ACCEL_OK;
}

/* An input of one element. *data NULL: left out. */
static int one_element(const struct accel_run *run, size_t i, enum accel_dtype dtype,
                       const void **data, struct accel_error *err)
{
    const struct accel_tensor *t = i < accel_node_formal(run->node) ? run->in[i] : NULL;

    *data = NULL;
    if (t == NULL)
        return ACCEL_OK;
    if (accel_is_list(t) || accel_is_none(t) || t->dtype != dtype ||
        t->size_bytes != accel_dtype_size(dtype))
        return accel_fail(err, ACCEL_E_INVALID, "input %zu is not one element of %s", i,
                          accel_dtype_name(dtype));
    *data = t->data;
    return ACCEL_OK;
}

static struct accel_type without_value(const struct accel_type *t)
{
    return (struct accel_type){.kind = t->kind, .dtype = t->dtype, .shape = t->shape};
}

/* ---------------------------------------------------------------- If */

static int if_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                    struct accel_error *err)
{
    static const char *const names[] = {"then_branch", "else_branch"};

    (void)mem;
    (void)params;
    for (unsigned b = 0; b < 2; b++) {
        const struct accel_graph *g = accel_attr_graph(n, names[b]);
        const int rc = check_graph(g, names[b], 0, n->outputs_count, err);

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
    int rc = one_element(run, 0, ACCEL_DTYPE_BOOL, &condition, err);

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

/* ---------------------------------------------------------------- types of what is carried */

/* Below so many graphs what a loop carries is taken to be of any shape at once: finding out what
 * stays the same takes up to three walks over its body, and over loops in there as often again. */
#define EXACT_DEPTH 3

/* Types through a body that is run again on what it gave: `states` of its inputs from `first` on
 * become general enough to hold for every run, then out[0..g->outputs_count) are those of its
 * outputs, states from `first_out` on. */
static int infer_carried(struct accel_infer *in, struct accel_graph *g, struct accel_type *inputs,
                         size_t first, size_t states, size_t first_out, struct accel_type *out,
                         struct accel_error *err)
{
    for (unsigned pass = g->ir->depth > EXACT_DEPTH ? 2 : 0;; pass++) {
        bool same = true;

        for (size_t i = 0; pass == 2 && i < states; i++)
            inputs[first + i].shape = (struct accel_shape){0};
        const int rc = accel_infer_subgraph(in, g, inputs, out, err);
        if (rc != ACCEL_OK)
            return rc;
        for (size_t i = 0; i < states; i++) {
            struct accel_type *state = &inputs[first + i];
            const struct accel_type before = *state, *next = &out[first_out + i];

            if (state->dtype != next->dtype && state->dtype != ACCEL_DTYPE_UNDEFINED &&
                next->dtype != ACCEL_DTYPE_UNDEFINED)
                return accel_fail(err, ACCEL_E_INVALID,
                                  "carried value %zu goes in as %s and comes out as %s", i,
                                  accel_dtype_name(state->dtype), accel_dtype_name(next->dtype));
            accel_type_merge(state, next);
            same = same && accel_shape_equal(&before.shape, &state->shape) &&
                   before.kind == state->kind && before.dtype == state->dtype;
        }
        if (same || pass >= 3)
            return ACCEL_OK;
    }
}

/* ---------------------------------------------------------------- Loop */

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
    int rc = check_graph(l->body, "body", 2 + l->states, 1 + l->states, err);
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

/* A shape with one more dimension. */
static bool insert_dim(struct accel_shape *s, uint32_t axis, int64_t dim)
{
    if (!s->has_rank || s->rank >= ACCEL_RANK_MAX) {
        *s = (struct accel_shape){0};
        return false;
    }
    memmove(&s->dims[axis + 1], &s->dims[axis], (s->rank - axis) * sizeof(s->dims[0]));
    s->dims[axis] = dim;
    s->rank++;
    return true;
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
        inputs[2 + i] = without_value(in->in[2 + i]);
    const int rc = infer_carried(in, g, inputs, 2, l->states, 1, out, err);
    for (size_t o = 0; o < in->node->outputs_count && rc == ACCEL_OK; o++) {
        if (in->out[o] == NULL)
            continue;
        if (o < l->states) {
            *in->out[o] = inputs[2 + o];
            continue;
        }
        *in->out[o] = out[1 + o];
        insert_dim(&in->out[o]->shape, 0, ACCEL_DIM_ANY);
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

        insert_dim(&shape, 0, 0);
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
    int rc = one_element(run, 0, ACCEL_DTYPE_INT64, &trips, err);

    if (rc == ACCEL_OK)
        rc = one_element(run, 1, ACCEL_DTYPE_BOOL, &first, err);
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

/* ---------------------------------------------------------------- Scan */

/* Scan-8 has a batch in front of everything and lengths per batch; since 9 axes may be chosen. */
struct scan {
    struct accel_graph *body;
    bool batched;
    size_t states, scans, outs; /* state values, inputs that are cut up, outputs put together */
    size_t first;               /* input: 1 behind sequence_lens */
    const int64_t *in_axes, *in_back, *out_axes, *out_back; /* NULL: all 0 */
};

static int scan_list(const struct accel_node *n, const char *name, size_t want,
                     const int64_t **values, struct accel_error *err)
{
    size_t count;

    *values = accel_attr_ints(n, name, &count);
    if (*values != NULL && count != want)
        return accel_fail(err, ACCEL_E_INVALID, "%s has %zu values, %zu are needed", name, count,
                          want);
    return ACCEL_OK;
}

static int scan_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                      struct accel_error *err)
{
    struct scan *s = accel_bump_alloc(mem, 1, sizeof(*s));
    const int64_t scans = accel_attr_int(n, "num_scan_inputs", 0);

    if (s == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its attributes");
    s->batched = n->op->since == 8;
    s->first = s->batched;
    const size_t values = accel_node_formal(n) - ACCEL_MIN(s->first, accel_node_formal(n));
    if (scans < 1 || (uint64_t)scans > values)
        return accel_fail(err, ACCEL_E_INVALID, "num_scan_inputs is %" PRId64 ", it has %zu inputs",
                          scans, values);
    s->body = accel_attr_graph(n, "body");
    s->scans = (size_t)scans;
    s->states = values - s->scans;
    int rc = check_graph(s->body, "body", values, ACCEL_MAX(s->states, n->outputs_count), err);
    if (rc != ACCEL_OK)
        return rc;
    s->outs = s->body->outputs_count - s->states;
    for (size_t i = s->first; i < accel_node_formal(n); i++)
        if (n->inputs[i] == NULL)
            return accel_fail(err, ACCEL_E_INVALID, "input %zu is missing", i);
    rc = scan_list(n, s->batched ? "directions" : "scan_input_directions", s->scans, &s->in_back,
                   err);
    if (rc == ACCEL_OK)
        rc = scan_list(n, "scan_input_axes", s->scans, &s->in_axes, err);
    if (rc == ACCEL_OK)
        rc = scan_list(n, "scan_output_axes", s->outs, &s->out_axes, err);
    if (rc == ACCEL_OK)
        rc = scan_list(n, "scan_output_directions", s->outs, &s->out_back, err);
    *params = s;
    return rc;
}

static void drop_dim(struct accel_shape *s, uint32_t axis)
{
    if (!s->has_rank)
        return;
    s->rank--;
    memmove(&s->dims[axis], &s->dims[axis + 1], (s->rank - axis) * sizeof(s->dims[0]));
}

/* *into becomes what both say; -1 says nothing. */
static int agree(int64_t *into, int64_t dim, const char *what, struct accel_error *err)
{
    if (*into >= 0 && dim >= 0 && *into != dim)
        return accel_fail(err, ACCEL_E_INVALID,
                          "%s %" PRId64 " of one input, %" PRId64 " of another", what, *into, dim);
    *into = ACCEL_MAX(*into, dim);
    return ACCEL_OK;
}

/* Takes the batch and, of what is cut up, the sequence out of the shape of value i. */
static int body_shape(const struct scan *s, size_t i, struct accel_shape *shape, int64_t *batch,
                      int64_t *length, uint32_t *axis, struct accel_error *err)
{
    int rc = ACCEL_OK;

    *axis = 0;
    if (!shape->has_rank)
        return ACCEL_OK;
    if (shape->rank < (uint32_t)s->batched + (i >= s->states))
        return accel_fail(err, ACCEL_E_INVALID, "value %zu of rank %u is nothing to scan", i,
                          shape->rank);
    if (s->batched) {
        rc = agree(batch, shape->dims[0], "batch size", err);
        drop_dim(shape, 0);
    }
    if (i < s->states || rc != ACCEL_OK)
        return rc;
    rc = accel_axis(s->in_axes != NULL ? s->in_axes[i - s->states] : 0, shape->rank, axis, err);
    if (rc == ACCEL_OK)
        rc = agree(length, shape->dims[*axis], "sequence length", err);
    if (rc == ACCEL_OK)
        drop_dim(shape, *axis);
    return rc;
}

/* The other way round for output o, given the shape of one slice or state. */
static int whole_shape(const struct scan *s, size_t o, struct accel_shape *shape, int64_t batch,
                       int64_t length, uint32_t *axis, struct accel_error *err)
{
    *axis = 0;
    if (!shape->has_rank)
        return ACCEL_OK;
    if (shape->rank + s->batched + (o >= s->states) > ACCEL_RANK_MAX)
        return accel_fail(err, ACCEL_E_INVALID, "output %zu has more than %d dimensions", o,
                          ACCEL_RANK_MAX);
    if (o >= s->states) {
        const int rc = accel_axis(s->out_axes != NULL ? s->out_axes[o - s->states] : 0,
                                  shape->rank + 1, axis, err);

        if (rc != ACCEL_OK)
            return rc;
        insert_dim(shape, *axis, length);
    }
    if (s->batched)
        insert_dim(shape, 0, batch);
    return ACCEL_OK;
}

static int scan_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct scan *s = in->node->params;
    const size_t values = s->states + s->scans;
    struct accel_type *inputs = accel_bump_alloc(in->mem, values + 1, sizeof(*inputs));
    struct accel_type *out = accel_bump_alloc(in->mem, s->body->outputs_count + 1, sizeof(*out));
    int64_t batch = ACCEL_DIM_ANY, length = ACCEL_DIM_ANY;
    uint32_t axis;
    int rc = ACCEL_OK;

    if (inputs == NULL || out == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to infer shapes");
    for (size_t i = 0; i < values && rc == ACCEL_OK; i++) {
        inputs[i] = without_value(in->in[s->first + i]);
        rc = body_shape(s, i, &inputs[i].shape, &batch, &length, &axis, err);
    }
    if (rc == ACCEL_OK)
        rc = infer_carried(in, s->body, inputs, 0, s->states, 0, out, err);
    for (size_t o = 0; o < in->node->outputs_count && rc == ACCEL_OK; o++) {
        if (in->out[o] == NULL)
            continue;
        *in->out[o] = o < s->states ? inputs[o] : out[o];
        rc = whole_shape(s, o, &in->out[o]->shape, batch, length, &axis, err);
    }
    return rc;
}

/* A tensor seen as [before, length, inner bytes]. */
struct cut {
    size_t before, length, inner;
};

static struct cut cut_of(const struct accel_shape *shape, uint32_t axis, enum accel_dtype dtype)
{
    return (struct cut){.before = accel_dims_product(shape->dims, 0, axis),
                        .length = (size_t)shape->dims[axis],
                        .inner = accel_dims_product(shape->dims, axis + 1, shape->rank) *
                                 accel_element_bytes(dtype)};
}

struct scanning {
    struct accel_run *run;
    const struct scan *scan;
    size_t batch, length;
    struct accel_tensor *inputs, *outputs; /* of the body */
    struct accel_held *now, *next;         /* states */
    struct accel_held *slices;             /* of inputs, where they do not lie in one piece */
    struct cut *in, *out;                  /* by input that is cut up, output put together */
    bool *made;                            /* by output of the node: it has its memory */
};

static void end_scan(struct scanning *x)
{
    for (size_t i = 0; x->now != NULL && i < x->scan->states; i++) {
        accel_run_release(x->run, &x->now[i]);
        accel_run_release(x->run, &x->next[i]);
    }
    for (size_t i = 0; x->slices != NULL && i < x->scan->scans; i++)
        accel_run_release(x->run, &x->slices[i]);
    accel_free(x->inputs);
    accel_free(x->outputs);
    accel_free(x->now);
    accel_free(x->next);
    accel_free(x->slices);
    accel_free(x->in);
    accel_free(x->out);
    accel_free(x->made);
}

/* Shapes of this run; the body's inputs get all but their data. */
static int begin_scan(struct scanning *x, struct accel_error *err)
{
    const struct scan *s = x->scan;
    const size_t values = s->states + s->scans;
    int64_t batch = ACCEL_DIM_ANY, length = ACCEL_DIM_ANY;

    x->inputs = accel_calloc(values, sizeof(*x->inputs));
    x->outputs = accel_calloc(s->body->outputs_count, sizeof(*x->outputs));
    x->next = accel_calloc(s->states, sizeof(*x->next));
    x->now = x->next != NULL ? accel_calloc(s->states, sizeof(*x->now)) : NULL;
    x->slices = accel_calloc(s->scans, sizeof(*x->slices));
    x->in = accel_calloc(s->scans, sizeof(*x->in));
    x->out = accel_calloc(s->body->outputs_count, sizeof(*x->out));
    x->made = accel_calloc(s->body->outputs_count, sizeof(*x->made));
    if (x->inputs == NULL || x->outputs == NULL || x->now == NULL || x->slices == NULL ||
        x->in == NULL || x->out == NULL || x->made == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a scan");
    for (size_t i = 0; i < values; i++) {
        const struct accel_tensor *t = x->run->in[s->first + i];
        struct accel_tensor *to = &x->inputs[i];
        uint32_t axis;

        if (accel_is_list(t) || accel_is_none(t) || accel_element_bytes(t->dtype) == 0)
            return accel_fail(err, ACCEL_E_INVALID, "input %zu is nothing to scan", s->first + i);
        struct accel_shape shape = accel_shape_of(t), whole = shape;
        const int rc = body_shape(s, i, &shape, &batch, &length, &axis, err);
        if (rc != ACCEL_OK)
            return rc;
        if (s->batched)
            drop_dim(&whole, 0);
        if (i >= s->states)
            x->in[i - s->states] = cut_of(&whole, axis, t->dtype);
        to->dtype = t->dtype;
        to->rank = shape.rank;
        memcpy(to->dims, shape.dims, sizeof(to->dims));
        accel_shape_bytes(&shape, t->dtype, &to->size_bytes);
    }
    x->batch = s->batched ? (size_t)batch : 1;
    x->length = (size_t)length;
    return ACCEL_OK;
}

/* Points the body's inputs at step t of batch b. */
static int take_slices(struct scanning *x, size_t b, size_t t, struct accel_error *err)
{
    const struct scan *s = x->scan;

    for (size_t i = 0; i < s->scans; i++) {
        const struct cut *c = &x->in[i];
        const char *from = x->run->in[s->first + s->states + i]->data;
        const size_t step = s->in_back != NULL && s->in_back[i] == 1 ? x->length - 1 - t : t;
        struct accel_tensor *to = &x->inputs[s->states + i];

        if (c->before * c->inner == 0)
            continue;
        from += b * c->before * c->length * c->inner + step * c->inner;
        to->data = (void *)(uintptr_t)from;
        if (c->before == 1)
            continue;
        const int rc = accel_run_held_reserve(x->run, &x->slices[i], to->size_bytes, err);
        if (rc != ACCEL_OK)
            return rc;
        to->data = x->slices[i].data;
        for (size_t k = 0; k < c->before; k++)
            memcpy((char *)to->data + k * c->inner, from + k * c->length * c->inner, c->inner);
    }
    return ACCEL_OK;
}

/* Gives output o its memory when its first slice or state is there, zeroed where a shorter sequence
 * of the batch leaves some of it out. */
static int make_output(struct scanning *x, size_t o, const struct accel_tensor *slice,
                       struct accel_error *err)
{
    const struct scan *s = x->scan;
    struct accel_tensor *out = x->run->out[o];
    uint32_t axis;

    if (accel_is_list(slice) || accel_is_none(slice) || accel_element_bytes(slice->dtype) == 0)
        return accel_fail(err, ACCEL_E_INVALID, "output %zu of its body is no tensor", o);
    struct accel_shape shape = accel_shape_of(slice);
    int rc = whole_shape(s, o, &shape, (int64_t)x->batch, (int64_t)x->length, &axis, err);
    if (rc != ACCEL_OK)
        return rc;
    out->dtype = slice->dtype;
    rc = accel_run_output(x->run, o, &shape, err);
    if (rc != ACCEL_OK)
        return rc;
    if (out->size_bytes > 0 && s->batched)
        memset(out->data, 0, out->size_bytes);
    if (s->batched)
        drop_dim(&shape, 0);
    if (o >= s->states)
        x->out[o] = cut_of(&shape, axis, slice->dtype);
    else
        x->out[o] = (struct cut){.before = 1, .length = 1, .inner = slice->size_bytes};
    x->made[o] = true;
    return ACCEL_OK;
}

/* Slice or state for output o, at step t of batch b. */
static int put_slice(struct scanning *x, size_t o, size_t b, size_t t,
                     const struct accel_tensor *slice, struct accel_error *err)
{
    const struct scan *s = x->scan;
    const struct cut *c = &x->out[o];
    int rc = ACCEL_OK;

    if (o >= x->run->node->outputs_count || x->run->out[o] == NULL)
        return ACCEL_OK;
    if (!x->made[o])
        rc = make_output(x, o, slice, err);
    if (rc != ACCEL_OK)
        return rc;
    if (slice->size_bytes != c->before * c->inner || slice->dtype != x->run->out[o]->dtype)
        return accel_fail(err, ACCEL_E_INVALID, "output %zu of its body changed its shape", o);
    if (slice->size_bytes == 0)
        return ACCEL_OK;
    if (o >= s->states && s->out_back != NULL && s->out_back[o - s->states] == 1)
        t = x->length - 1 - t;
    char *to = (char *)x->run->out[o]->data + b * c->before * c->length * c->inner + t * c->inner;
    for (size_t k = 0; k < c->before; k++)
        memcpy(to + k * c->length * c->inner, (const char *)slice->data + k * c->inner, c->inner);
    return ACCEL_OK;
}

static int scan_step(struct scanning *x, size_t b, size_t t, struct accel_error *err)
{
    const struct scan *s = x->scan;
    int rc = take_slices(x, b, t, err);

    if (rc == ACCEL_OK)
        rc = accel_run_subgraph(x->run, s->body, x->inputs, x->outputs, err);
    for (size_t i = 0; i < s->states && rc == ACCEL_OK; i++)
        rc = accel_run_hold(x->run, &x->next[i], &x->outputs[i], err);
    for (size_t o = 0; o < s->outs && rc == ACCEL_OK; o++)
        rc = put_slice(x, s->states + o, b, t, &x->outputs[s->states + o], err);
    struct accel_held *const swapped = x->now;
    x->now = x->next;
    x->next = swapped;
    for (size_t i = 0; i < s->states; i++)
        x->inputs[i] = x->now[i].value;
    return rc;
}

static int scan_batch(struct scanning *x, size_t b, struct accel_error *err)
{
    const struct scan *s = x->scan;
    const void *lengths = s->batched && x->run->in[0] != NULL ? x->run->in[0]->data : NULL;
    int64_t length = (int64_t)x->length;
    int rc = ACCEL_OK;

    if (lengths != NULL)
        memcpy(&length, (const char *)lengths + b * sizeof(length), sizeof(length));
    if (length < 0 || (size_t)length > x->length)
        return accel_fail(err, ACCEL_E_INVALID,
                          "sequence_lens[%zu] is %" PRId64 ", the sequences have %zu", b, length,
                          x->length);
    for (size_t i = 0; i < s->states; i++) {
        const struct accel_tensor *t = x->run->in[s->first + i];
        struct accel_shape shape = accel_shape_of(t);
        struct accel_tensor *to = &x->inputs[i];

        /* The batch before may have left another shape behind. */
        if (s->batched)
            drop_dim(&shape, 0);
        *to = (struct accel_tensor){.dtype = t->dtype, .rank = shape.rank};
        memcpy(to->dims, shape.dims, sizeof(to->dims));
        accel_shape_bytes(&shape, t->dtype, &to->size_bytes);
        to->data = to->size_bytes > 0 ? (char *)t->data + b * to->size_bytes : NULL;
    }
    for (size_t t = 0; t < (size_t)length && rc == ACCEL_OK; t++)
        rc = scan_step(x, b, t, err);
    for (size_t i = 0; i < s->states && rc == ACCEL_OK; i++)
        rc = put_slice(x, i, b, 0, &x->inputs[i], err);
    return rc;
}

static int scan_run(struct accel_run *run, struct accel_error *err)
{
    const struct scan *s = run->node->params;
    ACCEL_CLEANUP(end_scan) struct scanning x = {.run = run, .scan = s};
    int rc = begin_scan(&x, err);

    if (rc == ACCEL_OK && s->batched && run->in[0] != NULL &&
        (run->in[0]->dtype != ACCEL_DTYPE_INT64 || run->in[0]->size_bytes != 8 * x.batch))
        rc = accel_fail(err, ACCEL_E_INVALID, "sequence_lens is not %zu numbers", x.batch);
    for (size_t b = 0; b < x.batch && rc == ACCEL_OK; b++)
        rc = scan_batch(&x, b, err);
    for (size_t o = 0; o < run->node->outputs_count && rc == ACCEL_OK; o++) {
        struct accel_shape shape;

        if (run->out[o] == NULL || x.made[o])
            continue;
        /* Nothing was scanned: as inferred, what is open as nothing. */
        shape = accel_run_output_type(run, o)->shape;
        if (!shape.has_rank || accel_run_output_type(run, o)->dtype == ACCEL_DTYPE_UNDEFINED)
            return accel_fail(err, ACCEL_E_INVALID,
                              "output %zu: nothing to scan, and its body does not say its shape",
                              o);
        for (uint32_t d = 0; d < shape.rank; d++)
            if (shape.dims[d] < 0)
                shape.dims[d] = 0;
        run->out[o]->dtype = accel_run_output_type(run, o)->dtype;
        rc = accel_run_output(run, o, &shape, err);
        if (rc == ACCEL_OK && run->out[o]->size_bytes > 0)
            memset(run->out[o]->data, 0, run->out[o]->size_bytes);
    }
    return rc;
}

/* ---------------------------------------------------------------- the table */

static const struct accel_attr_rule if_attrs[] = {
    {"then_branch", ACCEL_ATTR_GRAPH, ACCEL_ATTR_REQUIRED},
    {"else_branch", ACCEL_ATTR_GRAPH, ACCEL_ATTR_REQUIRED},
    {0},
};
static const struct accel_attr_rule loop_attrs[] = {
    {"body", ACCEL_ATTR_GRAPH, ACCEL_ATTR_REQUIRED},
    {0},
};
static const struct accel_attr_rule scan8_attrs[] = {
    {"body", ACCEL_ATTR_GRAPH, ACCEL_ATTR_REQUIRED},
    {"num_scan_inputs", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED},
    {"directions", ACCEL_ATTR_INTS, 0},
    {0},
};
static const struct accel_attr_rule scan_attrs[] = {
    {"body", ACCEL_ATTR_GRAPH, ACCEL_ATTR_REQUIRED},
    {"num_scan_inputs", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED},
    {"scan_input_axes", ACCEL_ATTR_INTS, 0},
    {"scan_input_directions", ACCEL_ATTR_INTS, 0},
    {"scan_output_axes", ACCEL_ATTR_INTS, 0},
    {"scan_output_directions", ACCEL_ATTR_INTS, 0},
    {0},
};

#define REST    (ACCEL_ARG_VARIADIC | ACCEL_ARG_OPTIONAL | ACCEL_ARG_MIXED)
#define CONTROL .flags = ACCEL_OP_CONTROL | ACCEL_OP_ANY_RANK, .kind = ACCEL_KIND_OTHER

const struct accel_op accel_ops_control[] = {
    {.domain = "",
     .name = "If",
     .since = 1,
     CONTROL,
     .in = {{"cond", ACCEL_T(BOOL), 0, 0}},
     .out = {{"outputs", ANY, 0, REST | ACCEL_ARG_ANY_KIND}},
     .attrs = if_attrs,
     .parse = if_parse,
     .infer = if_infer,
     .run = if_run},
    {.domain = "",
     .name = "Loop",
     .since = 1,
     CONTROL,
     .in = {{"M", ACCEL_T(INT64), 0, ACCEL_ARG_OPTIONAL},
            {"cond", ACCEL_T(BOOL), 0, ACCEL_ARG_OPTIONAL},
            {"v_initial", ANY, 0, REST | ACCEL_ARG_ANY_KIND}},
     .out = {{"v_final_and_scan_outputs", ANY, 0, REST | ACCEL_ARG_ANY_KIND}},
     .attrs = loop_attrs,
     .parse = loop_parse,
     .infer = loop_infer,
     .run = loop_run},
    {.domain = "",
     .name = "Scan",
     .since = 8,
     CONTROL,
     .in = {{"sequence_lens", ACCEL_T(INT64), 0, ACCEL_ARG_OPTIONAL},
            {"initial_state_and_scan_inputs", ANY, 0, REST}},
     .out = {{"final_state_and_scan_outputs", ANY, 0, REST}},
     .attrs = scan8_attrs,
     .parse = scan_parse,
     .infer = scan_infer,
     .run = scan_run},
    {.domain = "",
     .name = "Scan",
     .since = 9,
     CONTROL,
     .in = {{"initial_state_and_scan_inputs", ANY, 0, REST}},
     .out = {{"final_state_and_scan_outputs", ANY, 0, REST}},
     .attrs = scan_attrs,
     .parse = scan_parse,
     .infer = scan_infer,
     .run = scan_run},
    {0},
};
