/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/plan/plan.h"
#include "infer/plan/arena.h"
#include "infer/plan/items.h"

#include <math.h>
#include <string.h>

#define NEVER UINT32_MAX

/* Buffers under construction. Each value that lies in the arena is part of a storage; storages are
 * merged into larger ones where Concat's inputs are written in place. */
struct storage {
    size_t bytes;
    uint32_t first, last; /* steps, over all members */
    uint32_t parent;      /* the storage it is part of, itself if none */
    size_t parent_offset;
};

struct member {       /* by value id */
    uint32_t storage; /* NEVER: none */
    size_t offset;
};

struct builder {
    struct accel_plan *plan;
    struct storage *storages;
    size_t storages_count;
    struct member *members;
    uint32_t *last_use; /* by value id: the last step that reads it; 0 and unread look alike */
    bool *is_output;    /* by value id */
};

static struct storage *storage_top(struct builder *b, uint32_t s, size_t *offset)
{
    while (b->storages[s].parent != s) {
        *offset += b->storages[s].parent_offset;
        s = b->storages[s].parent;
    }
    return &b->storages[s];
}

static bool in_arena(const struct builder *b, const struct accel_value *v)
{
    return b->members[v->id].storage != NEVER;
}

static size_t bytes_of(const struct builder *b, const struct accel_value *v)
{
    const struct accel_type *t = &b->plan->types[v->id];
    size_t bytes = 0;

    accel_shape_bytes(&t->shape, t->dtype, &bytes);
    return bytes;
}

/* Value joins a storage at the place where `like` lies. */
static void join(struct builder *b, const struct accel_value *v, const struct accel_value *like)
{
    size_t unused = 0;
    struct storage *top;

    b->members[v->id] = b->members[like->id];
    top = storage_top(b, b->members[v->id].storage, &unused);
    top->last = ACCEL_MAX(top->last, b->last_use[v->id]);
    b->plan->places[v->id].kind = ACCEL_PLACE_ARENA;
}

static void own_storage(struct builder *b, const struct accel_value *v, uint32_t step)
{
    struct storage *s = &b->storages[b->storages_count];

    *s = (struct storage){.bytes = bytes_of(b, v),
                          .first = step,
                          .last = ACCEL_MAX(step, b->last_use[v->id]),
                          .parent = (uint32_t)b->storages_count};
    b->members[v->id] = (struct member){.storage = (uint32_t)b->storages_count++};
    b->plan->places[v->id].kind = ACCEL_PLACE_ARENA;
}

/* May output 0 take over input i's bytes? Nobody may read anything of that storage later, and the
 * node's other inputs must not lie in it (the same value twice is fine if it may be taken twice).
 */
static bool may_take(struct builder *b, const struct accel_node *n, size_t i, unsigned mask,
                     uint32_t step)
{
    const struct accel_value *v = n->inputs[i], *out = n->outputs[0];
    size_t offset = 0, other = 0;

    if (v == NULL || out == NULL || !in_arena(b, v) || bytes_of(b, v) != bytes_of(b, out))
        return false;
    const struct storage *top = storage_top(b, b->members[v->id].storage, &offset);
    if (top->last > step)
        return false;
    for (size_t j = 0; j < n->inputs_count; j++) {
        const struct accel_value *w = n->inputs[j];

        if (j == i || w == NULL || !in_arena(b, w) ||
            storage_top(b, b->members[w->id].storage, &other) != top)
            continue;
        if (w != v || j >= 32 || (mask & 1u << j) == 0)
            return false;
    }
    return true;
}

/* Concat along an axis before which there is nothing: each input is one piece of the output. Moves
 * the inputs' storages into the output's where that is possible; Concat then finds them in place.
 */
static void place_inside(struct builder *b, const struct accel_node *n, uint32_t step)
{
    const struct accel_value *out = n->outputs[0];
    const struct accel_type *type = &b->plan->types[out->id];
    const struct accel_attr *attr = accel_attr(n, "axis");
    const uint32_t whole = b->members[out->id].storage;
    uint32_t axis;
    size_t at = 0;

    if (attr == NULL || accel_axis(attr->ints[0], type->shape.rank, &axis, NULL) != ACCEL_OK ||
        accel_dims_product(type->shape.dims, 0, axis) != 1)
        return;
    for (size_t i = 0; i < n->inputs_count; i++) {
        const struct accel_value *v = n->inputs[i];
        const size_t bytes = bytes_of(b, v);

        /* Kernels want their operands 64-aligned or do not care; a misaligned place costs more
         * than the copy saves. */
        if (in_arena(b, v) && at % 64 == 0 && bytes > 0) {
            const uint32_t part = b->members[v->id].storage;
            struct storage *s = &b->storages[part], *w = &b->storages[whole];

            if (s->parent == part && part != whole && b->members[v->id].offset == 0 &&
                s->bytes == bytes && s->first < step) {
                s->parent = whole;
                s->parent_offset = at;
                w->first = ACCEL_MIN(w->first, s->first);
                w->last = ACCEL_MAX(w->last, s->last);
            }
        }
        at += bytes;
    }
}

/* What comes out of subgraphs may be known all the same: what reads it is then planned. */
static bool planned_by_subgraph(const struct accel_plan *plan, const struct accel_node *n,
                                const struct accel_value *v)
{
    const struct accel_type *t = &plan->types[v->id];

    return (n->op->flags & ACCEL_OP_CONTROL) != 0 && t->kind == ACCEL_VALUE_TENSOR &&
           t->dtype != ACCEL_DTYPE_UNDEFINED && accel_shape_static(&t->shape);
}

/* Pieces that live on keep the whole alive: worth it when most of it is used to the end, or the end
 * is near. */
static bool pieces_worth(const struct builder *b, const struct accel_node *n, uint32_t step)
{
    uint32_t last = step;
    size_t total = 0, lasting = 0;

    for (size_t o = 0; o < n->outputs_count; o++)
        last = ACCEL_MAX(last, b->last_use[n->outputs[o]->id]);
    for (size_t o = 0; o < n->outputs_count; o++) {
        const size_t bytes = bytes_of(b, n->outputs[o]);

        total += bytes;
        lasting += b->last_use[n->outputs[o]->id] == last ? bytes : 0;
    }
    return lasting >= total - lasting || last - step <= 8;
}

/* Split along an axis before which there is nothing: its outputs lie in its input, where they are
 * aligned. Nothing is left to run when all do. */
static void place_pieces(struct builder *b, struct accel_step *step, uint32_t s)
{
    struct accel_plan *plan = b->plan;
    const struct accel_node *n = step->node;
    const struct accel_value *x = n->inputs[0];
    const struct accel_type *type = &plan->types[x->id];
    size_t at = 0, placed = 0;
    uint32_t axis;

    for (size_t o = 0; o < n->outputs_count; o++)
        if (n->outputs[o] == NULL || plan->places[n->outputs[o]->id].kind != ACCEL_PLACE_NONE)
            return;
    if (!in_arena(b, x) || step->dynamic || !accel_shape_static(&type->shape) ||
        accel_axis(accel_attr_int(n, "axis", 0), type->shape.rank, &axis, NULL) != ACCEL_OK ||
        accel_dims_product(type->shape.dims, 0, axis) != 1 || !pieces_worth(b, n, s))
        return;
    for (size_t o = 0; o < n->outputs_count; o++) {
        const struct accel_value *v = n->outputs[o];
        const size_t bytes = bytes_of(b, v);

        if ((b->members[x->id].offset + at) % 64 == 0 && bytes > 0) {
            join(b, v, x);
            b->members[v->id].offset += at;
            placed++;
        }
        at += bytes;
    }
    step->nothing = placed == n->outputs_count;
}

static void place_outputs(struct builder *b, struct accel_step *step, uint32_t s)
{
    struct accel_plan *plan = b->plan;
    const struct accel_node *n = step->node;

    if ((n->op->flags & ACCEL_OP_PIECES) != 0)
        place_pieces(b, step, s);
    for (size_t o = 0; o < n->outputs_count; o++) {
        const struct accel_value *v = n->outputs[o];
        unsigned mask = n->op->in_place;
        bool taken = false;

        if (v == NULL || plan->places[v->id].kind != ACCEL_PLACE_NONE)
            continue;
        if (step->dynamic && !planned_by_subgraph(plan, n, v)) {
            plan->places[v->id].kind = ACCEL_PLACE_DYNAMIC;
            continue;
        }
        if (o == 0 && (n->op->flags & ACCEL_OP_VIEW) != 0 && n->inputs[0] != NULL &&
            bytes_of(b, n->inputs[0]) == bytes_of(b, v)) {
            const struct accel_place *from = &plan->places[n->inputs[0]->id];

            if (from->kind == ACCEL_PLACE_ARENA) {
                join(b, v, n->inputs[0]);
                step->nothing = true;
                continue;
            }
            /* What the caller gets back as a result must not be the caller's own input. */
            if (from->kind == ACCEL_PLACE_INPUT && !b->is_output[v->id]) {
                plan->places[v->id] = *from;
                step->nothing = true;
                continue;
            }
        }
        if (n->epilogue.add >= 0 && n->epilogue.add < 32)
            mask |= 1u << n->epilogue.add;
        for (size_t i = 0; o == 0 && i < n->inputs_count && i < 32 && !taken; i++) {
            if ((mask & 1u << i) != 0 && may_take(b, n, i, mask, s)) {
                join(b, v, n->inputs[i]);
                taken = true;
            }
        }
        if (!taken)
            own_storage(b, v, s);
        if (o == 0 && (n->op->flags & ACCEL_OP_PLACED) != 0)
            place_inside(b, n, s);
    }
}

/* A step is dynamic when its operator says so or anything it reads or writes has no shape yet. */
static bool is_dynamic(const struct accel_plan *plan, const struct accel_node *n)
{
    if ((n->op->flags & (ACCEL_OP_DYNAMIC | ACCEL_OP_CONTROL)) != 0)
        return true;
    for (size_t i = 0; i < n->inputs_count; i++)
        if (n->inputs[i] != NULL && (plan->places[n->inputs[i]->id].kind == ACCEL_PLACE_DYNAMIC ||
                                     plan->types[n->inputs[i]->id].kind != ACCEL_VALUE_TENSOR))
            return true;
    for (size_t o = 0; o < n->outputs_count; o++) {
        const struct accel_type *t = n->outputs[o] != NULL ? &plan->types[n->outputs[o]->id] : NULL;

        if (t != NULL && (!accel_shape_static(&t->shape) || t->dtype == ACCEL_DTYPE_UNDEFINED ||
                          t->kind != ACCEL_VALUE_TENSOR))
            return true;
    }
    return false;
}

static bool shapes_known(const struct accel_prepare *prep)
{
    for (size_t i = 0; i < prep->node->inputs_count; i++)
        if (prep->in[i] != NULL && !accel_shape_static(&prep->in[i]->shape))
            return false;
    for (size_t o = 0; o < prep->node->outputs_count; o++)
        if (prep->out[o] != NULL && !accel_shape_static(&prep->out[o]->shape))
            return false;
    return true;
}

void accel_node_cost(const struct accel_prepare *prep, struct accel_cost *cost)
{
    const struct accel_node *n = prep->node;
    size_t bytes, elements = 0;

    *cost = (struct accel_cost){.kind = n->op->kind, .precision = ACCEL_DTYPE_UNDEFINED};
    for (size_t i = 0; i < n->inputs_count; i++) {
        if (prep->in[i] == NULL ||
            !accel_shape_bytes(&prep->in[i]->shape, prep->in[i]->dtype, &bytes))
            continue;
        if (cost->precision == ACCEL_DTYPE_UNDEFINED)
            cost->precision = prep->in[i]->dtype;
        if (n->inputs[i]->data != NULL)
            cost->bytes_weights += (double)bytes;
        else
            cost->bytes_read += (double)bytes;
    }
    for (size_t o = 0; o < n->outputs_count; o++) {
        if (prep->out[o] == NULL ||
            !accel_shape_bytes(&prep->out[o]->shape, prep->out[o]->dtype, &bytes))
            continue;
        cost->bytes_written += (double)bytes;
        if (o == 0 && accel_shape_elements(&prep->out[o]->shape, &elements))
            cost->flops = (double)elements * n->op->flops_per_value;
    }
    /* Costs are of shapes: a node whose shapes only a run will know has none before. */
    if (n->op->cost != NULL && shapes_known(prep))
        n->op->cost(prep, cost);
    if (cost->items <= 0 && shapes_known(prep))
        cost->items = accel_node_items(prep, cost);
    if (n->epilogue.act.op != ACCEL_UNARY_IDENTITY)
        cost->flops += (double)elements;
    if (n->epilogue.add >= 0)
        cost->flops += (double)elements;
}

static int prepare_step(struct accel_plan *plan, struct accel_step *step,
                        const struct accel_kernels *kernels, struct accel_error *err)
{
    const struct accel_node *n = step->node;
    static const void *const none[ACCEL_BLOBS];
    const struct accel_type **in = accel_bump_alloc(&plan->mem, n->inputs_count + 1, sizeof(*in));
    const struct accel_type **out =
        accel_bump_alloc(&plan->mem, n->outputs_count + 1, sizeof(*out));

    if (in == NULL || out == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a plan");
    for (size_t i = 0; i < n->inputs_count; i++)
        in[i] = n->inputs[i] != NULL ? &plan->types[n->inputs[i]->id] : NULL;
    for (size_t o = 0; o < n->outputs_count; o++)
        out[o] = n->outputs[o] != NULL ? &plan->types[n->outputs[o]->id] : NULL;
    struct accel_prepare prep = {.node = n,
                                 .in = in,
                                 .out = out,
                                 .kernels = kernels,
                                 .blobs = n->blobs != NULL ? n->blobs->data : none,
                                 .mem = &plan->mem,
                                 .threads = plan->threads};
    if (!step->dynamic && n->op->prepare != NULL) {
        const int rc = n->op->prepare(&prep, err);

        if (rc != ACCEL_OK)
            return accel_fail_in(err, "node '%s' (%s)", n->name, n->op_type);
    }
    if (prep.scratch_bytes > plan->ir->limits.arena_bytes)
        return accel_fail(err, ACCEL_E_LIMIT,
                          "node '%s' (%s): work space of %zu bytes, over the limit of %zu", n->name,
                          n->op_type, prep.scratch_bytes, plan->ir->limits.arena_bytes);
    step->state = prep.state;
    step->scratch_bytes = prep.scratch_bytes;
    plan->scratch_bytes = ACCEL_MAX(plan->scratch_bytes, prep.scratch_bytes);
    accel_node_cost(&prep, &step->cost);
    if (step->nothing)
        step->cost.bytes_read = step->cost.bytes_written = 0;
    return ACCEL_OK;
}

static int fix_offsets(struct builder *b, struct accel_error *err)
{
    struct accel_plan *plan = b->plan;
    const size_t n = b->storages_count;
    ACCEL_CLEANUP(accel_freep) struct accel_lifetime *life = accel_calloc(n, sizeof(*life));
    ACCEL_CLEANUP(accel_freep) size_t *offset = accel_calloc(n, sizeof(*offset));
    ACCEL_CLEANUP(accel_freep) uint32_t *index = accel_calloc(n, sizeof(*index));
    size_t tops = 0;

    if (life == NULL || offset == NULL || index == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a plan");
    for (size_t s = 0; s < n; s++) {
        const struct storage *st = &b->storages[s];

        if (st->parent != s)
            continue;
        index[s] = (uint32_t)tops;
        life[tops++] =
            (struct accel_lifetime){.bytes = st->bytes, .first = st->first, .last = st->last};
    }
    int rc = accel_arena_place(life, tops, offset, &plan->arena_bytes, err);
    if (rc != ACCEL_OK)
        return rc;
    if (plan->arena_bytes > plan->ir->limits.arena_bytes)
        return accel_fail(err, ACCEL_E_LIMIT,
                          "intermediate tensors need %zu bytes, over the limit of %zu",
                          plan->arena_bytes, plan->ir->limits.arena_bytes);
    for (size_t id = 0; id < plan->ir->values_count; id++) {
        size_t at = b->members[id].offset;

        if (plan->places[id].kind != ACCEL_PLACE_ARENA)
            continue;
        const struct storage *top = storage_top(b, b->members[id].storage, &at);
        plan->places[id].offset = offset[index[top - b->storages]] + at;
    }
    return ACCEL_OK;
}

/* Pieces of a Concat that lie in their place already are not copied: no traffic. */
static void cost_of_placed(struct accel_plan *plan)
{
    for (size_t s = 0; s < plan->steps_count; s++) {
        struct accel_step *step = &plan->steps[s];
        const struct accel_node *n = step->node;
        size_t at = 0, bytes;

        if ((n->op->flags & ACCEL_OP_PLACED) == 0 || n->outputs[0] == NULL ||
            plan->places[n->outputs[0]->id].kind != ACCEL_PLACE_ARENA)
            continue;
        const struct accel_type *out = &plan->types[n->outputs[0]->id];
        const struct accel_attr *attr = accel_attr(n, "axis");
        uint32_t axis;

        if (attr == NULL || accel_axis(attr->ints[0], out->shape.rank, &axis, NULL) != ACCEL_OK ||
            accel_dims_product(out->shape.dims, 0, axis) != 1)
            continue;
        for (size_t i = 0; i < n->inputs_count; i++) {
            const struct accel_type *in = &plan->types[n->inputs[i]->id];
            const struct accel_place *place = &plan->places[n->inputs[i]->id];

            if (!accel_shape_bytes(&in->shape, in->dtype, &bytes))
                break;
            if (place->kind == ACCEL_PLACE_ARENA &&
                place->offset == plan->places[n->outputs[0]->id].offset + at) {
                step->cost.bytes_read = fmax(step->cost.bytes_read - (double)bytes, 0);
                step->cost.bytes_written = fmax(step->cost.bytes_written - (double)bytes, 0);
            }
            at += bytes;
        }
    }
}

/* What every value is before steps are looked at, and which nodes are steps at all. */
static int lay_out_steps(struct builder *b, struct accel_error *err)
{
    struct accel_plan *plan = b->plan;
    const struct accel_graph *g = plan->ir->main;

    plan->steps = accel_bump_alloc(&plan->mem, g->nodes_count + 1, sizeof(*plan->steps));
    if (plan->steps == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a plan");
    for (size_t id = 0; id < plan->ir->values_count; id++) {
        const struct accel_value *v = plan->ir->values[id];

        b->members[id].storage = NEVER;
        if (v->data != NULL)
            plan->places[id].kind = ACCEL_PLACE_CONST;
        else if (plan->types[id].data != NULL && v->graph == g)
            plan->places[id].kind = ACCEL_PLACE_KNOWN;
    }
    for (size_t i = 0; i < g->inputs_count; i++)
        plan->places[g->inputs[i]->id] =
            (struct accel_place){.kind = ACCEL_PLACE_INPUT, .index = (uint32_t)i};
    for (size_t i = 0; i < g->nodes_count; i++) {
        struct accel_node *n = g->nodes[i];
        bool needed = false;

        for (size_t o = 0; o < n->outputs_count; o++)
            needed = needed || (n->outputs[o] != NULL &&
                                plan->places[n->outputs[o]->id].kind != ACCEL_PLACE_KNOWN);
        if (!needed)
            continue;
        /* It runs and writes all of its outputs: none may be left where it is read-only. */
        for (size_t o = 0; o < n->outputs_count; o++)
            if (n->outputs[o] != NULL)
                plan->places[n->outputs[o]->id].kind = ACCEL_PLACE_NONE;
        const uint32_t s = (uint32_t)plan->steps_count++;
        plan->steps[s] = (struct accel_step){.node = n};
        for (size_t k = 0; k < n->inputs_count; k++)
            if (n->inputs[k] != NULL)
                b->last_use[n->inputs[k]->id] = s;
    }
    for (size_t i = 0; i < g->outputs_count; i++) {
        const struct accel_node *n = g->outputs[i]->producer;

        b->last_use[g->outputs[i]->id] = NEVER;
        b->is_output[g->outputs[i]->id] = true;
        if (n != NULL && (n->op->flags & ACCEL_OP_REWORDS) != 0)
            b->last_use[n->inputs[0]->id] = NEVER;
    }
    return ACCEL_OK;
}

static int build(struct builder *b, const struct accel_kernels *kernels, struct accel_error *err)
{
    struct accel_plan *plan = b->plan;
    const struct accel_graph *g = plan->ir->main;
    int rc = accel_graph_infer(plan->ir->main, plan->types, &plan->mem, err);

    if (rc == ACCEL_OK)
        rc = lay_out_steps(b, err);
    for (uint32_t s = 0; s < plan->steps_count && rc == ACCEL_OK; s++) {
        struct accel_step *step = &plan->steps[s];

        if (step->node->op == NULL || step->node->unsupported != NULL)
            return accel_fail(err, ACCEL_E_UNSUPPORTED, "node '%s' (%s) cannot be run",
                              step->node->name, step->node->op_type);
        step->dynamic = is_dynamic(plan, step->node);
        plan->dynamic = plan->dynamic || step->dynamic;
        place_outputs(b, step, s);
        rc = prepare_step(plan, step, kernels, err);
    }
    if (rc == ACCEL_OK)
        rc = fix_offsets(b, err);
    if (rc == ACCEL_OK)
        cost_of_placed(plan);
    for (size_t i = 0; i < g->inputs_count; i++)
        plan->io_bytes += bytes_of(b, g->inputs[i]);
    for (size_t i = 0; i < g->outputs_count; i++)
        plan->io_bytes += bytes_of(b, g->outputs[i]);
    return rc;
}

int accel_plan_new(const struct accel_ir *ir, const struct accel_type *inputs,
                   const struct accel_kernels *kernels, unsigned threads, struct accel_plan **out,
                   struct accel_error *err)
{
    ACCEL_CLEANUP(accel_plan_freep) struct accel_plan *plan = accel_calloc(1, sizeof(*plan));
    const size_t values = ir->values_count, n_in = ir->main->inputs_count;

    if (plan == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a plan");
    plan->ir = ir;
    plan->threads = threads;
    plan->types = accel_bump_alloc(&plan->mem, values + 1, sizeof(*plan->types));
    plan->places = accel_bump_alloc(&plan->mem, values + 1, sizeof(*plan->places));
    plan->inputs = accel_bump_alloc(&plan->mem, n_in + 1, sizeof(*plan->inputs));
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct builder b = {.plan = plan,
                        .storages = accel_bump_alloc(&mem, values + 1, sizeof(*b.storages)),
                        .members = accel_bump_alloc(&mem, values + 1, sizeof(*b.members)),
                        .last_use = accel_bump_alloc(&mem, values + 1, sizeof(*b.last_use)),
                        .is_output = accel_bump_alloc(&mem, values + 1, sizeof(*b.is_output))};
    if (plan->types == NULL || plan->places == NULL || plan->inputs == NULL || b.storages == NULL ||
        b.members == NULL || b.last_use == NULL || b.is_output == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a plan");
    accel_types_init(ir, plan->types);
    for (size_t i = 0; i < n_in; i++) {
        plan->inputs[i] = (struct accel_type){.kind = inputs[i].kind,
                                              .dtype = inputs[i].dtype,
                                              .keys = inputs[i].keys,
                                              .shape = inputs[i].shape};
        plan->types[ir->main->inputs[i]->id] = plan->inputs[i];
    }
    const int rc = build(&b, kernels, err);
    if (rc == ACCEL_OK)
        *out = accel_steal(&plan);
    return rc;
}

void accel_plan_free(struct accel_plan *plan)
{
    if (plan == NULL)
        return;
    accel_bump_free(&plan->mem);
    accel_free(plan);
}

void accel_plan_freep(struct accel_plan **plan)
{
    accel_plan_free(*plan);
    *plan = NULL;
}
