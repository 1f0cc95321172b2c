/* SPDX-License-Identifier: Apache-2.0 */
/* Running: a plan's offsets become addresses once per shape set, then a run walks the steps and
 * allocates nothing. Only what has no shape before it runs gets memory on the way. */
#include "infer/model.h"

#include "base/clock.h"

#include <inttypes.h>
#include <string.h>

/* Shape sets a session keeps ready. */
#define PLANS_MAX 4

/* Memory of one value whose shape is known only when it is run; kept for the next run. */
struct own_memory {
    void *data;
    size_t capacity;
};

/* A plan with addresses filled in. */
struct bound {
    struct accel_plan *plan;
    bool shared; /* the model's own */
    struct accel_bump mem;
    struct accel_tensor *tensors; /* by value id */
    struct accel_run *runs;       /* by step */
    void *arena;                  /* the addresses are of this arena */
    uint64_t used;                /* for throwing out the one unused longest */
};

struct accel_session {
    struct accel_model *model;
    struct accel_pool *pool;
    unsigned threads;
    bool profile;
    atomic_bool cancelled;
    struct bound *plans[PLANS_MAX];
    struct bound *now; /* of the last run */
    uint64_t runs;
    void *arena, *scratch;
    size_t arena_size, scratch_size;
    struct own_memory *own; /* by value id, allocated when first needed */
    size_t own_bytes;
    struct accel_bump step_mem; /* of the dynamic step at work */
    /* Strings made by this run and by the one before: its outputs may be this one's inputs. */
    struct accel_bump texts, old_texts;
    size_t texts_bytes;
    int64_t deadline_ns; /* 0: none */
    int64_t *times;
    size_t times_capacity, times_count;
    struct accel_shape *shapes; /* of this run's inputs */
    const struct accel_tensor **given;
};

static void bound_free(struct bound *b)
{
    if (b == NULL)
        return;
    if (!b->shared)
        accel_plan_free(b->plan);
    accel_bump_free(&b->mem);
    accel_free(b);
}

void accel_session_free(struct accel_session *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < PLANS_MAX; i++)
        bound_free(s->plans[i]);
    for (size_t id = 0; s->own != NULL && id < s->model->ir->values_count; id++)
        accel_free(s->own[id].data);
    accel_free(s->own);
    accel_free(s->arena);
    accel_free(s->scratch);
    accel_free(s->times);
    accel_free(s->shapes);
    accel_free(s->given);
    accel_bump_free(&s->step_mem);
    accel_bump_free(&s->texts);
    accel_bump_free(&s->old_texts);
    accel_pool_free(s->pool);
    accel_model_unref(s->model);
    accel_free(s);
}

static void session_freep(struct accel_session **s)
{
    accel_session_free(*s);
}

/* ---------------------------------------------------------------- addresses */

/* Makes room for a plan; grows only. Errors: NOMEM. */
static int reserve(void **memory, size_t *size, size_t need, struct accel_error *err)
{
    if (need <= *size && *memory != NULL)
        return ACCEL_OK;
    accel_free(*memory);
    *size = 0;
    *memory = accel_aligned_alloc(64, need);
    if (*memory == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for %zu bytes of intermediate tensors",
                          need);
    *size = need;
    return ACCEL_OK;
}

static void tensor_of_type(struct accel_tensor *t, const struct accel_type *type)
{
    t->dtype = type->dtype;
    t->rank = type->shape.rank;
    memcpy(t->dims, type->shape.dims, sizeof(t->dims));
    t->size_bytes = 0;
    accel_shape_bytes(&type->shape, type->dtype, &t->size_bytes);
}

static void fill_tensors(struct accel_session *s, struct bound *b)
{
    const struct accel_plan *plan = b->plan;

    for (size_t id = 0; id < plan->ir->values_count; id++) {
        struct accel_tensor *t = &b->tensors[id];

        switch (plan->places[id].kind) {
        case ACCEL_PLACE_CONST:
            *t = *plan->ir->values[id]->data;
            break;
        case ACCEL_PLACE_KNOWN:
            *t = *plan->types[id].data;
            break;
        case ACCEL_PLACE_ARENA:
            tensor_of_type(t, &plan->types[id]);
            t->data = (char *)s->arena + plan->places[id].offset;
            break;
        case ACCEL_PLACE_INPUT:
            tensor_of_type(t, &plan->types[id]);
            break;
        default:
            break;
        }
    }
    for (size_t i = 0; i < plan->steps_count; i++)
        b->runs[i].scratch = s->scratch;
    b->arena = s->arena;
}

static const void *const no_blobs[ACCEL_BLOBS];

static int make_run(struct accel_session *s, struct bound *b, struct accel_bump *mem,
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
                              .pool = s->pool,
                              .kernels = &s->model->kernels,
                              .framework = s};
    return ACCEL_OK;
}

static int bind_plan(struct accel_session *s, struct bound *b, struct accel_error *err)
{
    const struct accel_plan *plan = b->plan;

    b->tensors = accel_bump_alloc(&b->mem, plan->ir->values_count + 1, sizeof(*b->tensors));
    b->runs = accel_bump_alloc(&b->mem, plan->steps_count + 1, sizeof(*b->runs));
    if (b->tensors == NULL || b->runs == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a session");
    for (size_t i = 0; i < plan->steps_count; i++) {
        const int rc = make_run(s, b, &b->mem, plan->steps[i].node, &b->runs[i], err);

        if (rc != ACCEL_OK)
            return rc;
        b->runs[i].state = plan->steps[i].state;
    }
    int rc = reserve(&s->arena, &s->arena_size, plan->arena_bytes, err);
    if (rc == ACCEL_OK)
        rc = reserve(&s->scratch, &s->scratch_size, plan->scratch_bytes, err);
    if (rc == ACCEL_OK && s->profile)
        rc = accel_grow(&s->times, &s->times_capacity, plan->steps_count, sizeof(*s->times), err);
    if (rc == ACCEL_OK)
        fill_tensors(s, b);
    return rc;
}

/* Takes a plan over (unless shared) and keeps it; throws out the one unused longest. */
static int adopt_plan(struct accel_session *s, struct accel_plan *plan, bool shared,
                      struct accel_error *err)
{
    struct bound *b = accel_calloc(1, sizeof(*b));
    size_t slot = 0;

    if (b == NULL) {
        if (!shared)
            accel_plan_free(plan);
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a session");
    }
    b->plan = plan;
    b->shared = shared;
    const int rc = bind_plan(s, b, err);
    if (rc != ACCEL_OK) {
        bound_free(b);
        return rc;
    }
    for (size_t i = 0; i < PLANS_MAX; i++) {
        if (s->plans[i] == NULL) {
            slot = i;
            break;
        }
        if (s->plans[i]->used < s->plans[slot]->used)
            slot = i;
    }
    bound_free(s->plans[slot]);
    s->plans[slot] = b;
    s->now = b;
    return ACCEL_OK;
}

int accel_session_new(struct accel_model *model, const struct accel_session_options *options,
                      struct accel_session **out, struct accel_error *err)
{
    struct accel_session_options o = {0};
    ACCEL_CLEANUP(session_freep) struct accel_session *s = NULL;

    if (options != NULL)
        memcpy(&o, options, ACCEL_MIN(options->struct_size, sizeof(o)));
    s = accel_calloc(1, sizeof(*s));
    if (s == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a session");
    s->model = accel_model_ref(model);
    s->threads = o.threads > 0 ? o.threads : accel_usable_cpus();
    s->profile = o.profile;
    s->shapes = accel_calloc(model->ir->main->inputs_count, sizeof(*s->shapes));
    s->given = accel_calloc(model->ir->main->inputs_count, sizeof(*s->given));
    if (s->shapes == NULL || s->given == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a session");
    int rc = accel_pool_new(s->threads, &s->pool, err);
    if (rc == ACCEL_OK && model->plan != NULL) {
        struct accel_plan *plan = model->plan;

        /* Scratch memory was sized for the model's thread count: another needs its own. */
        if (plan->threads != s->threads)
            rc = accel_plan_new(model->ir, plan->inputs, &model->kernels, s->threads, &plan, err);
        if (rc == ACCEL_OK)
            rc = adopt_plan(s, plan, plan == model->plan, err);
    }
    if (rc == ACCEL_OK)
        *out = accel_steal(&s);
    return rc;
}

/* ---------------------------------------------------------------- inputs */

static int check_input(const struct accel_tensor_info *info, const struct accel_tensor *t,
                       struct accel_error *err)
{
    struct accel_shape want = {.has_rank = info->has_rank, .rank = info->rank};
    char text[ACCEL_SHAPE_TEXT], got[ACCEL_SHAPE_TEXT];
    size_t bytes;

    if (t->dtype != info->dtype)
        return accel_fail(err, ACCEL_E_INVALID, "input '%s' is %s, the model takes %s", info->name,
                          accel_dtype_name(t->dtype), accel_dtype_name(info->dtype));
    if (t->rank > ACCEL_RANK_MAX)
        return accel_fail(err, ACCEL_E_INVALID, "input '%s' has rank %u", info->name, t->rank);
    const struct accel_shape shape = accel_shape_of(t);
    bool fits = !info->has_rank || t->rank == info->rank;

    /* For a scalar one element of any rank will do, as with ONNX Runtime: it goes in as it is. */
    if (info->has_rank && info->rank == 0)
        fits = accel_dims_product(t->dims, 0, t->rank) == 1;
    memcpy(want.dims, info->dims, sizeof(want.dims));
    for (uint32_t d = 0; fits && info->has_rank && d < info->rank; d++)
        fits = info->dims[d] < 0 || info->dims[d] == t->dims[d];
    if (!fits)
        return accel_fail(err, ACCEL_E_INVALID, "input '%s' has shape %s, the model takes %s",
                          info->name, accel_shape_format(&shape, got),
                          accel_shape_format(&want, text));
    if (!accel_shape_bytes(&shape, t->dtype, &bytes))
        return accel_fail(err, ACCEL_E_INVALID, "input '%s': shape %s has no size", info->name,
                          accel_shape_format(&shape, got));
    if (bytes != t->size_bytes)
        return accel_fail(err, ACCEL_E_INVALID,
                          "input '%s' of shape %s needs %zu bytes, %zu are given", info->name,
                          accel_shape_format(&shape, got), bytes, t->size_bytes);
    if (t->data == NULL && bytes > 0)
        return accel_fail(err, ACCEL_E_INVALID, "input '%s' has no data", info->name);
    for (size_t i = 0; t->dtype == ACCEL_DTYPE_STRING && i < bytes / sizeof(char *); i++)
        if (((char *const *)t->data)[i] == NULL)
            return accel_fail(err, ACCEL_E_INVALID, "input '%s': element %zu is no string",
                              info->name, i);
    return ACCEL_OK;
}

static int take_inputs(struct accel_session *s, const struct accel_named_tensor *inputs, size_t n,
                       struct accel_error *err)
{
    const struct accel_model *m = s->model;
    const size_t count = m->ir->main->inputs_count;

    memset(s->given, 0, count * sizeof(*s->given));
    for (size_t k = 0; k < n; k++) {
        size_t i = 0;

        while (i < count && strcmp(m->inputs[i].name, inputs[k].name) != 0)
            i++;
        if (i == count)
            return accel_fail(err, ACCEL_E_INVALID, "the model has no input '%s'%s%s%s",
                              inputs[k].name, count > 0 ? "; it has '" : "",
                              count > 0 ? m->inputs[0].name : "",
                              count > 1   ? "' and others"
                              : count > 0 ? "'"
                                          : "");
        if (s->given[i] != NULL)
            return accel_fail(err, ACCEL_E_INVALID, "input '%s' is given twice", inputs[k].name);
        const int rc = check_input(&m->inputs[i], &inputs[k].tensor, err);
        if (rc != ACCEL_OK)
            return rc;
        s->given[i] = &inputs[k].tensor;
        s->shapes[i] = accel_shape_of(&inputs[k].tensor);
    }
    for (size_t i = 0; i < count; i++)
        if (s->given[i] == NULL)
            return accel_fail(err, ACCEL_E_INVALID, "input '%s' is missing", m->inputs[i].name);
    return ACCEL_OK;
}

/* The plan for this run's shapes: one at hand, else a new one. */
static int choose_plan(struct accel_session *s, struct accel_error *err)
{
    const size_t count = s->model->ir->main->inputs_count;
    struct accel_plan *plan;

    for (size_t p = 0; p < PLANS_MAX && s->plans[p] != NULL; p++) {
        bool same = true;

        for (size_t i = 0; i < count && same; i++)
            same = accel_shape_equal(&s->plans[p]->plan->inputs[i], &s->shapes[i]);
        if (same) {
            s->now = s->plans[p];
            return ACCEL_OK;
        }
    }
    const int rc =
        accel_plan_new(s->model->ir, s->shapes, &s->model->kernels, s->threads, &plan, err);
    return rc == ACCEL_OK ? adopt_plan(s, plan, false, err) : rc;
}

/* ---------------------------------------------------------------- dynamic steps */

static int own_reserve(struct accel_session *s, const struct accel_value *v, size_t bytes,
                       void **data, struct accel_error *err)
{
    if (s->own == NULL)
        s->own = accel_calloc(s->model->ir->values_count, sizeof(*s->own));
    if (s->own == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for '%s'", v->name);
    struct own_memory *m = &s->own[v->id];
    if (bytes > m->capacity || m->data == NULL) {
        accel_free(m->data);
        s->own_bytes -= m->capacity;
        *m = (struct own_memory){0};
        if (bytes > s->model->ir->limits.arena_bytes -
                        ACCEL_MIN(s->own_bytes, s->model->ir->limits.arena_bytes))
            return accel_fail(err, ACCEL_E_LIMIT, "'%s' of %zu bytes: over the limit of %zu in all",
                              v->name, bytes, s->model->ir->limits.arena_bytes);
        m->data = accel_aligned_alloc(64, bytes);
        if (m->data == NULL)
            return accel_fail(err, ACCEL_E_NOMEM, "no memory for '%s' of %zu bytes", v->name,
                              bytes);
        m->capacity = bytes;
        s->own_bytes += bytes;
    }
    *data = m->data;
    return ACCEL_OK;
}

int accel_run_output(struct accel_run *run, size_t o, const struct accel_shape *shape,
                     struct accel_error *err)
{
    struct accel_session *s = run->framework;
    const struct accel_value *v = run->node->outputs[o];
    struct accel_tensor *t = run->out[o];
    size_t bytes;
    char text[ACCEL_SHAPE_TEXT];

    if (t == NULL)
        return ACCEL_OK;
    if (!accel_shape_static(shape) || !accel_shape_bytes(shape, t->dtype, &bytes))
        return accel_fail(err, ACCEL_E_INVALID, "output '%s': shape %s has no size", v->name,
                          accel_shape_format(shape, text));
    if (bytes > s->model->ir->limits.tensor_bytes)
        return accel_fail(err, ACCEL_E_LIMIT,
                          "output '%s' of shape %s has %zu bytes, over the limit of %zu", v->name,
                          accel_shape_format(shape, text), bytes,
                          s->model->ir->limits.tensor_bytes);
    t->rank = shape->rank;
    memcpy(t->dims, shape->dims, sizeof(t->dims));
    t->size_bytes = bytes;
    return own_reserve(s, v, bytes, &t->data, err);
}

int accel_run_memory(struct accel_run *run, size_t bytes, void **memory, struct accel_error *err)
{
    struct accel_session *s = run->framework;

    if (s == NULL)
        return accel_fail(err, ACCEL_E_INTERNAL, "strings cannot be made before a run");
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

static void turn_texts(struct accel_session *s)
{
    accel_bump_free(&s->old_texts);
    s->old_texts = s->texts;
    s->texts = (struct accel_bump){0};
    s->texts_bytes = 0;
}

static int check_clock(struct accel_session *s, struct accel_error *err)
{
    if (atomic_load_explicit(&s->cancelled, memory_order_relaxed))
        return accel_fail(err, ACCEL_E_CANCELLED, "the run was cancelled");
    if (s->deadline_ns != 0 && accel_now_ns() > s->deadline_ns)
        return accel_fail(err, ACCEL_E_TIMEOUT, "the run passed its deadline of %" PRId64 " ms",
                          s->model->ir->limits.run_ms);
    return ACCEL_OK;
}

/* A node whose shapes are known only now: infer, prepare and run in one go. `mem` is emptied by the
 * caller. */
static int run_dynamic(struct accel_session *s, struct accel_node *n, struct accel_bump *mem,
                       struct accel_error *err)
{
    struct accel_run run;
    int rc = make_run(s, s->now, mem, n, &run, err);
    const struct accel_type **in = accel_bump_alloc(mem, n->inputs_count + 1, sizeof(*in));
    struct accel_type **out = accel_bump_alloc(mem, n->outputs_count + 1, sizeof(*out));

    if (rc != ACCEL_OK)
        return rc;
    struct accel_type *types =
        accel_bump_alloc(mem, n->inputs_count + n->outputs_count + 1, sizeof(*types));
    if (in == NULL || out == NULL || types == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to run");
    for (size_t k = 0; k < n->inputs_count; k++) {
        if (run.in[k] == NULL)
            continue;
        types[k] = (struct accel_type){
            .dtype = run.in[k]->dtype, .shape = accel_shape_of(run.in[k]), .data = run.in[k]};
        in[k] = &types[k];
    }
    for (size_t k = 0; k < n->outputs_count; k++)
        out[k] = n->outputs[k] != NULL ? &types[n->inputs_count + k] : NULL;
    rc = accel_node_infer(n, in, out, s->now->plan->types, mem, err);
    if (rc != ACCEL_OK)
        return rc;
    struct accel_prepare prep = {.node = n,
                                 .in = in,
                                 .out = (const struct accel_type *const *)out,
                                 .kernels = run.kernels,
                                 .blobs = run.blobs,
                                 .mem = mem,
                                 .threads = s->threads};
    for (size_t k = 0; k < n->outputs_count; k++) {
        if (out[k] == NULL)
            continue;
        run.out[k]->dtype = out[k]->dtype;
        run.out[k]->data = NULL;
        if (accel_shape_static(&out[k]->shape) && out[k]->dtype != ACCEL_DTYPE_UNDEFINED)
            rc = accel_run_output(&run, k, &out[k]->shape, err);
        else if ((n->op->flags & (ACCEL_OP_DYNAMIC | ACCEL_OP_CONTROL)) == 0)
            rc = accel_fail(err, ACCEL_E_INTERNAL, "the shape of output '%s' is still open",
                            n->outputs[k]->name);
        if (rc != ACCEL_OK)
            return rc;
    }
    if (n->op->prepare != NULL)
        rc = n->op->prepare(&prep, err);
    /* Control flow runs other nodes meanwhile, which use the session's scratch: it gets none. */
    if (rc == ACCEL_OK && prep.scratch_bytes > s->scratch_size) {
        if (prep.scratch_bytes > s->model->ir->limits.arena_bytes)
            return accel_fail(err, ACCEL_E_LIMIT, "scratch of %zu bytes is over the limit",
                              prep.scratch_bytes);
        rc = reserve(&s->scratch, &s->scratch_size, prep.scratch_bytes, err);
    }
    if (rc != ACCEL_OK)
        return rc;
    run.state = prep.state;
    run.scratch = s->scratch;
    return n->op->run(&run, err);
}

int accel_run_subgraph(struct accel_run *run, struct accel_graph *g,
                       const struct accel_tensor *inputs, size_t inputs_count,
                       struct accel_tensor *outputs, size_t outputs_count, struct accel_error *err)
{
    struct accel_session *s = run->framework;
    struct accel_tensor *tensors = s->now->tensors;

    if (inputs_count != g->inputs_count || outputs_count != g->outputs_count)
        return accel_fail(err, ACCEL_E_INVALID, "subgraph '%s': %zu inputs, %zu outputs", g->name,
                          g->inputs_count, g->outputs_count);
    for (size_t i = 0; i < inputs_count; i++)
        tensors[g->inputs[i]->id] = inputs[i];
    for (size_t id = 0; id < s->model->ir->values_count; id++)
        if (s->model->ir->values[id]->graph == g && s->model->ir->values[id]->data != NULL)
            tensors[id] = *s->model->ir->values[id]->data;
    for (size_t i = 0; i < g->nodes_count; i++) {
        ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
        int rc = check_clock(s, err);

        if (rc == ACCEL_OK) {
            rc = run_dynamic(s, g->nodes[i], &mem, err);
            if (rc != ACCEL_OK)
                accel_fail_in(err, "node '%s' (%s)", g->nodes[i]->name, g->nodes[i]->op_type);
        }
        if (rc != ACCEL_OK)
            return rc;
    }
    for (size_t i = 0; i < outputs_count; i++)
        outputs[i] = tensors[g->outputs[i]->id];
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- running */

static int run_steps(struct accel_session *s, struct accel_error *err)
{
    struct bound *b = s->now;
    const struct accel_plan *plan = b->plan;

    for (size_t i = 0; i < plan->steps_count; i++) {
        const struct accel_step *step = &plan->steps[i];
        const int64_t begin = s->profile ? accel_now_ns() : 0;
        int rc = check_clock(s, err);

        if (rc != ACCEL_OK)
            return rc;
        if (step->dynamic) {
            rc = run_dynamic(s, step->node, &s->step_mem, err);
            accel_bump_free(&s->step_mem);
        } else if (!step->nothing) {
            b->runs[i].scratch = s->scratch;
            rc = step->node->op->run(&b->runs[i], err);
        }
        if (rc != ACCEL_OK)
            return accel_fail_in(err, "node '%s' (%s)", step->node->name, step->node->op_type);
        if (s->profile)
            s->times[i] = accel_now_ns() - begin;
    }
    s->times_count = s->profile ? plan->steps_count : 0;
    return ACCEL_OK;
}

/* The output of that name. A ZipMap's result is the tensor that went into it: that goes by the
 * inner tensor's name too, which is what stored results of such models are called. */
static size_t find_output(const struct accel_graph *g, const char *name)
{
    for (size_t i = 0; i < g->outputs_count; i++)
        if (strcmp(g->output_names[i], name) == 0)
            return i;
    for (size_t i = 0; i < g->outputs_count; i++) {
        const struct accel_node *n = g->outputs[i]->producer;

        if (n != NULL && strcmp(n->op_type, "ZipMap") == 0 && n->inputs[0] != NULL &&
            strcmp(n->inputs[0]->name, name) == 0)
            return i;
    }
    return g->outputs_count;
}

static int give_outputs(struct accel_session *s, struct accel_named_tensor *outputs, size_t n,
                        struct accel_error *err)
{
    const struct accel_graph *g = s->model->ir->main;

    for (size_t k = 0; k < n; k++) {
        struct accel_tensor *to = &outputs[k].tensor;
        const size_t i = find_output(g, outputs[k].name);

        if (i == g->outputs_count)
            return accel_fail(err, ACCEL_E_INVALID, "the model has no output '%s'",
                              outputs[k].name);
        const struct accel_tensor *from = &s->now->tensors[g->outputs[i]->id];
        if (to->data == NULL) {
            *to = *from;
            continue;
        }
        if (to->size_bytes < from->size_bytes)
            return accel_fail(err, ACCEL_E_INVALID,
                              "output '%s' needs %zu bytes, the buffer has %zu", outputs[k].name,
                              from->size_bytes, to->size_bytes);
        memcpy(to->data, from->data, from->size_bytes);
        void *data = to->data;
        *to = *from;
        to->data = data;
    }
    return ACCEL_OK;
}

int accel_session_run(struct accel_session *s, const struct accel_named_tensor *inputs,
                      size_t inputs_count, struct accel_named_tensor *outputs, size_t outputs_count,
                      struct accel_error *err)
{
    struct accel_error local = {0};
    const int64_t run_ms = s->model->ir->limits.run_ms;

    if (err == NULL)
        err = &local; /* what goes wrong inside is decided by its code */
    atomic_store(&s->cancelled, false);
    s->deadline_ns =
        run_ms > 0 && run_ms < INT64_MAX / 2000000 ? accel_now_ns() + run_ms * 1000000 : 0;
    s->times_count = 0;
    int rc = take_inputs(s, inputs, inputs_count, err);
    if (rc == ACCEL_OK)
        rc = choose_plan(s, err);
    if (rc != ACCEL_OK)
        return rc;
    struct bound *b = s->now;
    b->used = ++s->runs;
    turn_texts(s);
    if (b->arena != s->arena)
        fill_tensors(s, b);
    for (size_t id = 0; id < b->plan->ir->values_count; id++)
        if (b->plan->places[id].kind == ACCEL_PLACE_INPUT)
            b->tensors[id].data = s->given[b->plan->places[id].index]->data;
    rc = run_steps(s, err);
    return rc == ACCEL_OK ? give_outputs(s, outputs, outputs_count, err) : rc;
}

void accel_session_cancel(struct accel_session *s)
{
    atomic_store(&s->cancelled, true);
}

size_t accel_session_profile(const struct accel_session *s, const int64_t **ns_per_op)
{
    *ns_per_op = s->times;
    return s->times_count;
}

size_t accel_session_arena_bytes(const struct accel_session *s)
{
    return s->now != NULL ? s->now->plan->arena_bytes : 0;
}

size_t accel_session_scratch_bytes(const struct accel_session *s)
{
    return s->scratch_size;
}

unsigned accel_session_threads(const struct accel_session *s)
{
    return s->threads;
}
