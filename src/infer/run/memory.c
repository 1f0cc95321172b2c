/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of a session's graphs: arenas, scratch, and what values have of their own. */
#include "infer/run/memory.h"

/* The main graph's arena has the limit to itself: it is known when the model is loaded. */
static void free_arena(struct accel_unit *u)
{
    if (!accel_unit_is_root(u))
        u->session->own_bytes -= u->arena_size;
    accel_free(u->arena);
    u->arena = NULL;
    u->arena_size = 0;
}

void accel_unit_drop_lists(struct accel_unit *u)
{
    for (size_t id = 0; u->own != NULL && id < u->ir->values_count; id++) {
        accel_list_unref(u->session, u->own[id].list);
        u->own[id].list = NULL;
    }
}

static void free_own(struct accel_unit *u)
{
    accel_unit_drop_lists(u);
    for (size_t id = 0; u->own != NULL && id < u->ir->values_count; id++) {
        u->session->own_bytes -= u->own[id].capacity;
        accel_free(u->own[id].data);
        u->own[id] = (struct accel_own){0};
    }
}

void accel_unit_free_memory(struct accel_unit *u)
{
    free_own(u);
    free_arena(u);
    accel_free(u->own);
}

int accel_session_take(struct accel_session *s, size_t bytes, const char *what,
                       struct accel_error *err)
{
    const size_t limit = s->model->ir->limits.arena_bytes;

    for (size_t i = 0; bytes > limit - ACCEL_MIN(s->own_bytes, limit); i++) {
        struct accel_unit *idle;

        if (i == s->model->ir->irs_count)
            return accel_fail(err, ACCEL_E_LIMIT, "'%s' of %zu bytes: over the limit of %zu in all",
                              what, bytes, limit);
        idle = s->units[i];
        if (idle == NULL || idle->active)
            continue;
        free_own(idle);
        if (!accel_unit_is_root(idle))
            free_arena(idle);
    }
    s->own_bytes += bytes;
    return ACCEL_OK;
}

/* Makes room; grows only. Errors: NOMEM. */
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

static int reserve_arena(struct accel_unit *u, size_t need, struct accel_error *err)
{
    int rc = ACCEL_OK;

    if (need <= u->arena_size && u->arena != NULL)
        return ACCEL_OK;
    free_arena(u);
    if (!accel_unit_is_root(u))
        rc = accel_session_take(u->session, need, u->ir->main->name, err);
    if (rc == ACCEL_OK) {
        rc = reserve(&u->arena, &u->arena_size, need, err);
        if (rc != ACCEL_OK && !accel_unit_is_root(u))
            u->session->own_bytes -= need;
    }
    return rc;
}

int accel_session_reserve_scratch(struct accel_session *s, size_t bytes, struct accel_error *err)
{
    return reserve(&s->scratch, &s->scratch_size, bytes, err);
}

int accel_unit_reserve(struct accel_unit *u, const struct accel_plan *plan, struct accel_error *err)
{
    struct accel_session *s = u->session;
    const int rc = reserve_arena(u, plan->arena_bytes, err);

    return rc == ACCEL_OK ? accel_session_reserve_scratch(s, plan->scratch_bytes, err) : rc;
}

int accel_unit_own(struct accel_unit *u, const struct accel_value *v, struct accel_own **own,
                   struct accel_error *err)
{
    if (u->own == NULL)
        u->own = accel_calloc(u->ir->values_count, sizeof(*u->own));
    if (u->own == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for '%s'", v->name);
    *own = &u->own[v->id];
    return ACCEL_OK;
}

int accel_unit_own_reserve(struct accel_unit *u, const struct accel_value *v, size_t bytes,
                           void **data, struct accel_error *err)
{
    struct accel_own *m = NULL;
    int rc = accel_unit_own(u, v, &m, err);

    if (rc != ACCEL_OK)
        return rc;
    if (bytes > m->capacity || m->data == NULL) {
        accel_free(m->data);
        m->data = NULL;
        u->session->own_bytes -= m->capacity;
        m->capacity = 0;
        rc = accel_session_take(u->session, bytes, v->name, err);
        if (rc != ACCEL_OK)
            return rc;
        m->data = accel_aligned_alloc(64, bytes);
        if (m->data == NULL) {
            u->session->own_bytes -= bytes;
            return accel_fail(err, ACCEL_E_NOMEM, "no memory for '%s' of %zu bytes", v->name,
                              bytes);
        }
        m->capacity = bytes;
    }
    *data = m->data;
    return ACCEL_OK;
}
