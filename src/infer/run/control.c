/* SPDX-License-Identifier: Apache-2.0 */
/* What operators that run subgraphs or hold sequences ask of the run: ops/control.h. */
#include "infer/ops/control.h"
#include "infer/run/memory.h"

#include <string.h>

struct accel_session *accel_run_session(const struct accel_run *run)
{
    return ((struct accel_unit *)run->framework)->session;
}

const struct accel_type *accel_run_output_type(const struct accel_run *run, size_t o)
{
    const struct accel_unit *u = run->framework;

    return &u->now->plan->types[run->node->outputs[o]->id];
}

int accel_run_subgraph(struct accel_run *run, struct accel_graph *g,
                       const struct accel_tensor *inputs, struct accel_tensor *outputs,
                       struct accel_error *err)
{
    const size_t formal = accel_graph_formal(g), node_formal = accel_node_formal(run->node);
    struct accel_unit *u;
    int rc = accel_unit_of(accel_run_session(run), g->ir, &u, err);

    if (rc != ACCEL_OK)
        return rc;
    for (size_t i = 0; i < g->inputs_count; i++) {
        u->given[i] = i < formal ? &inputs[i] : run->in[node_formal + g->capture[i - formal]];
        u->types[i] = accel_type_of_slot(u->given[i]);
        u->types[i].data = NULL;
    }
    rc = accel_unit_run(u, err);
    for (size_t o = 0; o < g->outputs_count && rc == ACCEL_OK; o++)
        outputs[o] = u->now->tensors[g->outputs[o]->id];
    return rc;
}

int accel_run_give_list(struct accel_run *run, size_t o, struct accel_list *list,
                        struct accel_error *err)
{
    struct accel_unit *u = run->framework;
    struct accel_own *own;
    int rc = run->out[o] != NULL ? accel_unit_own(u, run->node->outputs[o], &own, err) : ACCEL_OK;

    if (run->out[o] == NULL || rc != ACCEL_OK) {
        accel_list_unref(u->session, list);
        return rc;
    }
    accel_list_unref(u->session, own->list);
    own->list = list;
    *run->out[o] = accel_slot_of_list(list);
    return ACCEL_OK;
}

static int planned_for_a_tensor(struct accel_run *run, size_t o, bool given, enum accel_dtype dtype,
                                struct accel_error *err)
{
    const struct accel_unit *u = run->framework;
    const struct accel_value *v = run->node->outputs[o];

    if (u->now->plan->places[v->id].kind != ACCEL_PLACE_ARENA ||
        (given && run->out[o]->dtype == dtype))
        return ACCEL_OK;
    return accel_fail(err, ACCEL_E_INVALID, "output '%s' was to be a tensor of %s", v->name,
                      accel_dtype_name(run->out[o]->dtype));
}

int accel_run_give(struct accel_run *run, size_t o, const struct accel_tensor *slot,
                   struct accel_error *err)
{
    const bool plain = accel_is_tensor(slot);
    struct accel_tensor *t = run->out[o];

    if (t == NULL)
        return ACCEL_OK;
    int rc = planned_for_a_tensor(run, o, plain, slot->dtype, err);
    if (rc != ACCEL_OK)
        return rc;
    if (accel_is_list(slot)) {
        accel_list_of(slot)->references++;
        return accel_run_give_list(run, o, accel_list_of(slot), err);
    }
    if (accel_is_none(slot)) {
        *t = *slot;
        return ACCEL_OK;
    }
    const struct accel_shape shape = accel_shape_of(slot);
    t->dtype = slot->dtype;
    rc = accel_run_output(run, o, &shape, err);
    if (rc == ACCEL_OK && t->size_bytes > 0)
        memcpy(t->data, slot->data, t->size_bytes);
    return rc;
}

void accel_run_release(struct accel_run *run, struct accel_held *held)
{
    struct accel_session *s = accel_run_session(run);

    if (accel_is_list(&held->value))
        accel_list_unref(s, accel_list_of(&held->value));
    s->own_bytes -= held->capacity;
    accel_free(held->data);
    *held = (struct accel_held){0};
}

int accel_run_held_reserve(struct accel_run *run, struct accel_held *held, size_t bytes,
                           struct accel_error *err)
{
    struct accel_session *s = accel_run_session(run);

    if (bytes <= held->capacity && held->data != NULL)
        return ACCEL_OK;
    const int rc = accel_session_take(s, bytes, run->node->name, err);
    if (rc != ACCEL_OK)
        return rc;
    void *data = accel_aligned_alloc(64, bytes);
    if (data == NULL) {
        s->own_bytes -= bytes;
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for %zu bytes that are carried", bytes);
    }
    if (held->capacity > 0)
        memcpy(data, held->data, held->capacity);
    s->own_bytes -= held->capacity;
    accel_free(held->data);
    held->data = data;
    held->capacity = bytes;
    return ACCEL_OK;
}

int accel_run_hold(struct accel_run *run, struct accel_held *held, const struct accel_tensor *slot,
                   struct accel_error *err)
{
    struct accel_session *s = accel_run_session(run);
    const bool tensor = accel_is_tensor(slot);

    if (accel_is_list(slot))
        accel_list_of(slot)->references++;
    if (accel_is_list(&held->value))
        accel_list_unref(s, accel_list_of(&held->value));
    held->value = (struct accel_tensor){0};
    if (tensor) {
        /* Nothing of what was there before is wanted: no copy when it grows. */
        if (slot->size_bytes > held->capacity)
            accel_run_release(run, held);
        const int rc = accel_run_held_reserve(run, held, slot->size_bytes, err);
        if (rc != ACCEL_OK)
            return rc;
        if (slot->size_bytes > 0)
            memcpy(held->data, slot->data, slot->size_bytes);
    }
    held->value = *slot;
    if (tensor)
        held->value.data = held->data;
    return ACCEL_OK;
}

int accel_run_give_held(struct accel_run *run, size_t o, struct accel_held *held,
                        struct accel_error *err)
{
    const struct accel_tensor *slot = &held->value;
    struct accel_unit *u = run->framework;
    struct accel_own *own;
    int rc = ACCEL_OK;

    if (run->out[o] != NULL && accel_is_tensor(slot) &&
        u->now->plan->places[run->node->outputs[o]->id].kind == ACCEL_PLACE_DYNAMIC) {
        rc = accel_unit_own(u, run->node->outputs[o], &own, err);
        if (rc == ACCEL_OK) {
            const struct accel_own before = *own;

            own->data = held->data;
            own->capacity = held->capacity;
            *run->out[o] = *slot;
            held->data = before.data;
            held->capacity = before.capacity;
        }
    } else {
        rc = accel_run_give(run, o, slot, err);
    }
    accel_run_release(run, held);
    return rc;
}
