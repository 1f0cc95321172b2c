/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/held.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

int accel_held_init(struct accel_held *held, size_t max_count, size_t max_bytes,
                    struct accel_error *err)
{
    *held = (struct accel_held){.max_count = max_count, .max_bytes = max_bytes};
    held->models = accel_calloc(max_count, sizeof(*held->models));
    return held->models != NULL ? ACCEL_OK
                                : accel_fail(err, ACCEL_E_NOMEM, "no memory for the models held");
}

static void remove_at(struct accel_held *held, size_t i)
{
    accel_session_free(held->models[i].session);
    accel_model_unref(held->models[i].model);
    held->bytes -= held->models[i].bytes;
    held->models[i] = held->models[--held->count];
    held->models[held->count] = (struct accel_held_model){0};
}

void accel_held_free(struct accel_held *held)
{
    while (held->count > 0)
        remove_at(held, held->count - 1);
    accel_freep(&held->models);
}

static struct accel_held_model *find(struct accel_held *held, const char *key)
{
    for (size_t i = 0; i < held->count; i++)
        if (strcmp(held->models[i].key, key) == 0)
            return &held->models[i];
    return NULL;
}

void accel_held_drop(struct accel_held *held, const char *key)
{
    const struct accel_held_model *m = find(held, key);

    if (m != NULL)
        remove_at(held, (size_t)(m - held->models));
}

/* Drops the least recently used model; false when there is none but `but`. */
static bool drop_oldest(struct accel_held *held, const char *but)
{
    size_t oldest = held->count;

    for (size_t i = 0; i < held->count; i++)
        if (strcmp(held->models[i].key, but) != 0 &&
            (oldest == held->count || held->models[i].used < held->models[oldest].used))
            oldest = i;
    if (oldest == held->count)
        return false;
    remove_at(held, oldest);
    return true;
}

static int open_one(struct accel_held_model *m, int packed_fd,
                    const struct accel_load_options *options, struct accel_error *err)
{
    struct accel_session_options how = {
        .struct_size = sizeof(how), .threads = m->threads, .profile = m->profile};
    int rc = ACCEL_OK;

    if (m->model == NULL)
        rc = accel_model_open_packed(packed_fd, options, &m->model, err);
    if (rc == ACCEL_OK)
        rc = accel_session_new(m->model, &how, &m->session, err);
    return rc;
}

int accel_held_get(struct accel_held *held, const char *key, int packed_fd,
                   const struct accel_load_options *options, unsigned threads, bool profile,
                   struct accel_held_model **found, struct accel_error *err)
{
    struct accel_held_model *m = find(held, key), fresh = {0};
    int rc;

    if (m != NULL && m->threads == threads && m->profile == profile) {
        m->used = ++held->clock;
        m->uses++;
        *found = m;
        return ACCEL_OK;
    }
    if (strlen(key) >= sizeof(fresh.key) || key[0] == '\0')
        return accel_fail(err, ACCEL_E_INVALID, "model key of %zu bytes", strlen(key));
    if (m != NULL) { /* another session of the same mapping */
        fresh.model = accel_model_ref(m->model);
        remove_at(held, (size_t)(m - held->models));
    }
    while (held->count >= held->max_count)
        drop_oldest(held, "");
    snprintf(fresh.key, sizeof(fresh.key), "%s", key);
    fresh.threads = threads;
    fresh.profile = profile;
    do
        rc = open_one(&fresh, packed_fd, options, err);
    while (rc == ACCEL_E_NOMEM && drop_oldest(held, key));
    if (rc != ACCEL_OK) {
        accel_model_unref(fresh.model);
        return rc;
    }
    fresh.bytes = accel_model_packed_bytes(fresh.model) + accel_session_arena_bytes(fresh.session);
    fresh.used = ++held->clock;
    fresh.uses = 1;
    held->bytes += fresh.bytes;
    held->models[held->count++] = fresh;
    while (held->bytes > held->max_bytes && drop_oldest(held, key))
        ;
    *found = find(held, key); /* dropping others moves it */
    return ACCEL_OK;
}
