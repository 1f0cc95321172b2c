/* SPDX-License-Identifier: Apache-2.0 */
/* One graph at work: a plan's offsets become addresses once per shape set, then a run walks the
 * steps and allocates nothing. Only what has no shape before it runs gets memory on the way. */
#include "infer/ops/control.h"
#include "infer/run/memory.h"

#include "base/clock.h"

#include <inttypes.h>
#include <string.h>

static void bound_free(struct accel_bound *b)
{
    if (b == NULL)
        return;
    if (!b->shared)
        accel_plan_free(b->plan);
    accel_bump_free(&b->mem);
    accel_free(b);
}

void accel_unit_free(struct accel_unit *u)
{
    if (u == NULL)
        return;
    for (size_t i = 0; i < ACCEL_PLANS_MAX; i++)
        bound_free(u->plans[i]);
    accel_unit_free_memory(u);
    accel_free(u->types);
    accel_free(u->given);
    accel_bump_free(&u->step_mem);
    accel_free(u);
}

int accel_unit_of(struct accel_session *s, struct accel_ir *ir, struct accel_unit **out,
                  struct accel_error *err)
{
    const size_t inputs = ir->main->inputs_count;
    struct accel_unit *u = s->units[ir->index];

    if (u == NULL) {
        u = accel_calloc(1, sizeof(*u));
        if (u != NULL) {
            u->session = s;
            u->ir = ir;
            u->types = accel_calloc(inputs, sizeof(*u->types));
            u->given = accel_calloc(inputs, sizeof(*u->given));
        }
        if (u == NULL || u->types == NULL || u->given == NULL) {
            accel_unit_free(u);
            return accel_fail(err, ACCEL_E_NOMEM, "no memory for a session");
        }
        s->units[ir->index] = u;
    }
    *out = u;
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- addresses */

static void fill_tensors(struct accel_unit *u, struct accel_bound *b)
{
    const struct accel_plan *plan = b->plan;

    for (size_t id = 0; id < plan->ir->values_count; id++) {
        struct accel_tensor *t = &b->tensors[id];
        const struct accel_type *type = &plan->types[id];

        switch (plan->places[id].kind) {
        case ACCEL_PLACE_CONST:
            *t = *plan->ir->values[id]->data;
            break;
        case ACCEL_PLACE_KNOWN:
            *t = *type->data;
            break;
        case ACCEL_PLACE_ARENA:
            accel_tensor_describe(t, type->dtype, &type->shape);
            t->data = (char *)u->arena + plan->places[id].offset;
            break;
        case ACCEL_PLACE_INPUT:
            accel_tensor_describe(t, type->dtype, &type->shape);
            break;
        default:
            break;
        }
    }
    b->arena = u->arena;
}

static const void *const no_blobs[ACCEL_BLOBS];

static int make_run(struct accel_unit *u, struct accel_bound *b, struct accel_bump *mem,
                    const struct accel_node *n, struct accel_run *run, struct accel_error *err)
{
    struct accel_tensor **in = accel_bump_alloc(mem, n->inputs_count + 1, sizeof(*in));
    struct accel_tensor **out = accel_bump_alloc(mem, n->outputs_count + 1, sizeof(*out));

    if (in == NULL || out == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a session");
    for (size_t k = 0; k < n->inputs_count; k++)
        in[k] = n->inputs[k] != NULL ? &b->tensors[n->inputs[k]->id] : NULL;
    for (size_t k = 0; k < n->outputs_count; k++)
        out[k] = n->outputs[k] != NULL ? &b->tensors[n->outputs[k]->id] : NULL;
    *run = (struct accel_run){.node = n,
                              .in = in,
                              .out = out,
                              .blobs = n->blobs != NULL ? n->blobs->data : no_blobs,
                              .pool = u->session->pool,
                              .kernels = &u->session->model->kernels,
                              .framework = u};
    return ACCEL_OK;
}

static int bind_plan(struct accel_unit *u, struct accel_bound *b, struct accel_error *err)
{
    const struct accel_plan *plan = b->plan;
    const size_t values = plan->ir->values_count;

    b->tensors = accel_bump_alloc(&b->mem, values + 1, sizeof(*b->tensors));
    b->given = accel_bump_alloc(&b->mem, values + 1, sizeof(*b->given));
    b->runs = accel_bump_alloc(&b->mem, plan->steps_count + 1, sizeof(*b->runs));
    if (b->tensors == NULL || b->given == NULL || b->runs == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a session");
    for (size_t id = 0; id < values; id++)
        if (plan->places[id].kind == ACCEL_PLACE_INPUT)
            b->given[b->given_count++] = (uint32_t)id;
    for (size_t i = 0; i < plan->steps_count; i++) {
        const int rc = make_run(u, b, &b->mem, plan->steps[i].node, &b->runs[i], err);

        if (rc != ACCEL_OK)
            return rc;
        b->runs[i].state = plan->steps[i].state;
    }
    int rc = accel_unit_reserve(u, plan, err);
    if (rc == ACCEL_OK)
        fill_tensors(u, b);
    return rc;
}

int accel_unit_adopt(struct accel_unit *u, struct accel_plan *plan, bool shared,
                     struct accel_error *err)
{
    struct accel_bound *b = accel_calloc(1, sizeof(*b));
    size_t slot = 0;

    if (b == NULL) {
        if (!shared)
            accel_plan_free(plan);
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a session");
    }
    b->plan = plan;
    b->shared = shared;
    const int rc = bind_plan(u, b, err);
    if (rc != ACCEL_OK) {
        bound_free(b);
        return rc;
    }
    for (size_t i = 0; i < ACCEL_PLANS_MAX; i++) {
        if (u->plans[i] == NULL) {
            slot = i;
            break;
        }
        if (u->plans[i]->used < u->plans[slot]->used)
            slot = i;
    }
    bound_free(u->plans[slot]);
    u->plans[slot] = b;
    u->now = b;
    return ACCEL_OK;
}

/* The plan for this run's inputs: one at hand, else a new one. */
static int choose_plan(struct accel_unit *u, struct accel_error *err)
{
    const struct accel_session *s = u->session;
    const size_t count = u->ir->main->inputs_count;
    struct accel_plan *plan;

    for (size_t p = 0; p < ACCEL_PLANS_MAX && u->plans[p] != NULL; p++) {
        const struct accel_type *planned = u->plans[p]->plan->inputs;
        bool same = true;

        for (size_t i = 0; i < count && same; i++)
            same = planned[i].kind == u->types[i].kind && planned[i].dtype == u->types[i].dtype &&
                   planned[i].keys == u->types[i].keys &&
                   accel_shape_equal(&planned[i].shape, &u->types[i].shape);
        if (same) {
            u->now = u->plans[p];
            return ACCEL_OK;
        }
    }
    const int rc = accel_plan_new(u->ir, u->types, &s->model->kernels, s->threads, &plan, err);
    return rc == ACCEL_OK ? accel_unit_adopt(u, plan, false, err) : rc;
}

/* ---------------------------------------------------------------- dynamic steps */

struct accel_type accel_type_of_slot(const struct accel_tensor *slot)
{
    struct accel_type type = {.dtype = slot->dtype};

    if (accel_is_none(slot)) {
        type.kind = ACCEL_VALUE_OPTIONAL;
    } else if (accel_is_list(slot)) {
        type.kind = accel_list_of(slot)->kind; /* shapes: of whichever tensor is taken out of it */
        type.keys = accel_list_of(slot)->keys;
    } else {
        type.shape = accel_shape_of(slot);
        type.data = slot;
    }
    return type;
}

bool accel_session_stops(void *context)
{
    struct accel_session *s = context;
    const bool stops = atomic_load_explicit(&s->cancelled, memory_order_relaxed) ||
                       (s->deadline_ns != 0 && accel_now_ns() > s->deadline_ns);

    if (stops)
        atomic_store_explicit(&s->given_up, true, memory_order_relaxed);
    return stops;
}

static int check_clock(struct accel_session *s, struct accel_error *err)
{
    if (!accel_session_stops(s))
        return ACCEL_OK;
    if (atomic_load_explicit(&s->cancelled, memory_order_relaxed))
        return accel_fail(err, ACCEL_E_CANCELLED, "the run was cancelled");
    return accel_fail(err, ACCEL_E_TIMEOUT, "the run passed its deadline of %" PRId64 " ms",
                      s->model->ir->limits.run_ms);
}

/* What plain C does in about 50 ms. */
#define FLOPS_OF_A_PIECE 1e8

static void expect(struct accel_session *s, const struct accel_cost *cost)
{
    accel_pool_expect(s->pool, cost->flops / FLOPS_OF_A_PIECE);
}

int accel_run_output(struct accel_run *run, size_t o, const struct accel_shape *shape,
                     struct accel_error *err)
{
    struct accel_unit *u = run->framework;
    const size_t limit = u->ir->limits.tensor_bytes;
    size_t bytes;
    char text[ACCEL_SHAPE_TEXT];

    if (o >= run->node->outputs_count || run->out[o] == NULL)
        return ACCEL_OK;
    const struct accel_value *v = run->node->outputs[o];
    struct accel_tensor *t = run->out[o];
    if (!accel_shape_static(shape) || !accel_shape_bytes(shape, t->dtype, &bytes))
        return accel_fail(err, ACCEL_E_INVALID, "output '%s': shape %s has no size", v->name,
                          accel_shape_format(shape, text));
    if (bytes > limit)
        return accel_fail(err, ACCEL_E_LIMIT,
                          "output '%s' of shape %s has %zu bytes, over the limit of %zu", v->name,
                          accel_shape_format(shape, text), bytes, limit);
    if (u->now->plan->places[v->id].kind == ACCEL_PLACE_ARENA) {
        const struct accel_shape planned = accel_shape_of(t);

        if (!accel_shape_equal(&planned, shape))
            return accel_fail(err, ACCEL_E_INTERNAL, "output '%s' has shape %s, not as planned",
                              v->name, accel_shape_format(shape, text));
        return ACCEL_OK;
    }
    t->rank = shape->rank;
    memcpy(t->dims, shape->dims, sizeof(t->dims));
    t->size_bytes = bytes;
    return accel_unit_own_reserve(u, v, bytes, &t->data, err);
}

int accel_run_memory(struct accel_run *run, size_t bytes, void **memory, struct accel_error *err)
{
    struct accel_unit *u = run->framework;

    if (u == NULL)
        return accel_fail(err, ACCEL_E_INTERNAL, "strings cannot be made before a run");
    struct accel_session *s = u->session;
    const size_t limit = s->model->ir->limits.arena_bytes;
    if (bytes > limit - ACCEL_MIN(s->texts_bytes, limit))
        return accel_fail(err, ACCEL_E_LIMIT, "%zu bytes of strings: over the limit of %zu in all",
                          bytes, limit);
    *memory = accel_bump_alloc(&s->texts, bytes, 1);
    if (*memory == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for %zu bytes of strings", bytes);
    s->texts_bytes += bytes;
    return ACCEL_OK;
}

int accel_run_keep(struct accel_run *run, size_t bytes, void **memory, struct accel_error *err)
{
    struct accel_unit *u = run->framework;
    struct accel_kept *kept = u != NULL ? u->session->kept : NULL;
    void *block;

    while (kept != NULL && kept->node != run->node)
        kept = kept->next;
    if (kept == NULL) {
        const int rc = accel_run_memory(run, sizeof(*kept) + bytes, &block, err);

        if (rc != ACCEL_OK)
            return rc;
        kept = block;
        kept->node = run->node;
        kept->next = u->session->kept;
        u->session->kept = kept;
    }
    *memory = kept->memory;
    return ACCEL_OK;
}

/* What an operator's inputs are now, and what comes out of them. */
static int infer_now(struct accel_unit *u, struct accel_run *run, struct accel_prepare *prep,
                     struct accel_error *err)
{
    const struct accel_node *n = run->node;
    struct accel_bump *mem = prep->mem;
    const struct accel_type **in = accel_bump_alloc(mem, n->inputs_count + 1, sizeof(*in));
    struct accel_type **out = accel_bump_alloc(mem, n->outputs_count + 1, sizeof(*out));
    struct accel_type *types =
        accel_bump_alloc(mem, n->inputs_count + n->outputs_count + 1, sizeof(*types));

    (void)u;
    if (in == NULL || out == NULL || types == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to run");
    for (size_t k = 0; k < n->inputs_count; k++) {
        if (run->in[k] == NULL)
            continue;
        types[k] = accel_type_of_slot(run->in[k]);
        in[k] = &types[k];
    }
    for (size_t k = 0; k < n->outputs_count; k++)
        out[k] = n->outputs[k] != NULL ? &types[n->inputs_count + k] : NULL;
    prep->in = in;
    prep->out = (const struct accel_type *const *)out;
    int rc = accel_node_infer(n, in, out, mem, err);
    for (size_t k = 0; k < n->outputs_count && rc == ACCEL_OK; k++) {
        if (out[k] == NULL)
            continue;
        run->out[k]->dtype = out[k]->dtype;
        run->out[k]->data = NULL;
        if (out[k]->kind != ACCEL_VALUE_TENSOR)
            continue;
        if (accel_shape_static(&out[k]->shape) && out[k]->dtype != ACCEL_DTYPE_UNDEFINED)
            rc = accel_run_output(run, k, &out[k]->shape, err);
        else if ((n->op->flags & ACCEL_OP_DYNAMIC) == 0)
            rc = accel_fail(err, ACCEL_E_INTERNAL, "the shape of output '%s' is still open",
                            n->outputs[k]->name);
    }
    return rc;
}

static void *scratch_of(const struct accel_session *s)
{
    return s->scratch != NULL ? s->scratch : accel_no_scratch;
}

/* A node whose shapes are known only now: infer, prepare and run in one go. */
static int run_dynamic(struct accel_unit *u, struct accel_node *n, struct accel_error *err)
{
    struct accel_session *s = u->session;
    struct accel_run run;
    struct accel_cost cost;
    int rc = make_run(u, u->now, &u->step_mem, n, &run, err);
    struct accel_prepare prep = {.node = n,
                                 .kernels = run.kernels,
                                 .blobs = run.blobs,
                                 .mem = &u->step_mem,
                                 .threads = s->threads};

    if (rc == ACCEL_OK)
        rc = infer_now(u, &run, &prep, err);
    if (rc == ACCEL_OK && n->op->prepare != NULL)
        rc = n->op->prepare(&prep, err);
    if (rc == ACCEL_OK && prep.scratch_bytes > s->scratch_size) {
        if (prep.scratch_bytes > u->ir->limits.arena_bytes)
            return accel_fail(err, ACCEL_E_LIMIT, "scratch of %zu bytes is over the limit",
                              prep.scratch_bytes);
        rc = accel_session_reserve_scratch(s, prep.scratch_bytes, err);
    }
    if (rc != ACCEL_OK)
        return rc;
    run.state = prep.state;
    run.scratch = scratch_of(s);
    accel_node_cost(&prep, &cost);
    expect(s, &cost);
    return n->op->run(&run, err);
}

/* A node that runs others meanwhile, which use the session's scratch: it gets none. */
static int run_control(struct accel_unit *u, struct accel_run *run, struct accel_error *err)
{
    const struct accel_node *n = run->node;
    struct accel_subgraphs it = {.node = n};

    for (size_t k = 0; k < n->outputs_count; k++)
        if (n->outputs[k] != NULL)
            run->out[k]->dtype = u->now->plan->types[n->outputs[k]->id].dtype;
    run->scratch = NULL;
    const int rc = n->op->run(run, err);
    for (struct accel_graph *sub; (sub = accel_subgraph_next(&it)) != NULL;)
        if (u->session->units[sub->ir->index] != NULL)
            u->session->units[sub->ir->index]->active = false;
    return rc;
}

/* ---------------------------------------------------------------- running */

static int run_step(struct accel_unit *u, size_t i, struct accel_error *err)
{
    struct accel_bound *b = u->now;
    const struct accel_step *step = &b->plan->steps[i];

    if (step->nothing)
        return ACCEL_OK;
    if ((step->node->op->flags & ACCEL_OP_CONTROL) != 0)
        return run_control(u, &b->runs[i], err);
    if (step->dynamic) {
        const int rc = run_dynamic(u, step->node, err);

        accel_bump_free(&u->step_mem);
        return rc;
    }
    b->runs[i].scratch = scratch_of(u->session);
    expect(u->session, &step->cost);
    return step->node->op->run(&b->runs[i], err);
}

static int run_steps(struct accel_unit *u, struct accel_error *err)
{
    struct accel_session *s = u->session;
    const struct accel_plan *plan = u->now->plan;
    const bool profile = s->profile && accel_unit_is_root(u);
    int rc = check_clock(s, err); /* a graph without steps takes time too */

    for (size_t i = 0; i < plan->steps_count && rc == ACCEL_OK; i++) {
        const struct accel_node *n = plan->steps[i].node;
        const int64_t begin = profile ? accel_now_ns() : 0;

        rc = run_step(u, i, err);
        if (atomic_load_explicit(&s->given_up, memory_order_relaxed))
            rc = check_clock(s, err); /* whatever it made of it */
        if (rc != ACCEL_OK)
            return accel_fail_in(err, "node '%s' (%s)", n->name, n->op_type);
        if (profile)
            accel_profile_note(s, n, accel_now_ns() - begin);
        if (i + 1 < plan->steps_count)
            rc = check_clock(s, err);
    }
    if (rc == ACCEL_OK && accel_unit_is_root(u))
        accel_profile_end(s);
    return rc;
}

int accel_unit_run(struct accel_unit *u, struct accel_error *err)
{
    u->active = true;
    int rc = choose_plan(u, err);
    if (rc == ACCEL_OK)
        rc = accel_unit_reserve(u, u->now->plan, err);
    if (rc != ACCEL_OK)
        return rc;
    struct accel_bound *b = u->now;
    b->used = ++u->runs;
    if (b->arena != u->arena)
        fill_tensors(u, b);
    for (size_t i = 0; i < b->given_count; i++) {
        const uint32_t id = b->given[i];
        const struct accel_tensor *given = u->given[b->plan->places[id].index];

        if (u->ir->values[id]->is_input)
            b->tensors[id] = *given;
        else /* a view of it */
            b->tensors[id].data = given->data;
    }
    return run_steps(u, err);
}

int accel_unit_lend(struct accel_unit *u, const struct accel_value *v, struct accel_tensor *t,
                    struct accel_error *err)
{
    const struct accel_tensor *from = &u->now->tensors[v->id];
    void *data = NULL;

    *t = *from;
    if (u->now->plan->places[v->id].kind != ACCEL_PLACE_INPUT)
        return ACCEL_OK;
    const int rc = accel_unit_own_reserve(u, v, from->size_bytes, &data, err);
    if (rc == ACCEL_OK && from->size_bytes > 0)
        memcpy(data, from->data, from->size_bytes);
    t->data = data;
    return rc;
}
