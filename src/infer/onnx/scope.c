/* SPDX-License-Identifier: Apache-2.0 */

/* Names of a graph or function body -> its values, the values around it captured. */

#include "infer/onnx/reader.h"

#include <string.h>

struct accel_value accel_onnx_left_out;

struct scope_entry {
    const char *name;
    struct accel_value *value;
};

static size_t hash_name(const char *name)
{
    uint64_t h = 1469598103934665603u; /* FNV-1a */

    for (; *name != '\0'; name++)
        h = (h ^ (uint8_t)*name) * 1099511628211u;
    return (size_t)(h ^ h >> 29);
}

void accel_onnx_scope_free(struct scope *s)
{
    accel_free(s->slots);
    accel_free(s->outer);
    accel_free(s->captured);
}

int accel_onnx_scope_reserve(struct scope *s, size_t count, struct accel_error *err)
{
    size_t size = 16;

    while (size < count * 2)
        size *= 2;
    s->slots = accel_calloc(size, sizeof(*s->slots));
    s->size = size;
    return s->slots != NULL ? ACCEL_OK : accel_onnx_no_memory(err);
}

static struct scope_entry *scope_slot(const struct scope *s, const char *name)
{
    size_t i = hash_name(name) & (s->size - 1);

    while (s->slots[i].value != NULL && strcmp(s->slots[i].name, name) != 0)
        i = (i + 1) & (s->size - 1);
    return &s->slots[i];
}

struct accel_value *accel_onnx_scope_value(const struct scope *s, const char *name)
{
    return scope_slot(s, name)->value;
}

int accel_onnx_scope_add(struct scope *s, const char *name, struct accel_value *v,
                         struct accel_error *err)
{
    if (s->used * 2 >= s->size) {
        struct scope bigger = {0};
        const int rc = accel_onnx_scope_reserve(&bigger, s->size, err);

        if (rc != ACCEL_OK)
            return rc;
        for (size_t i = 0; i < s->size; i++)
            if (s->slots[i].value != NULL)
                *scope_slot(&bigger, s->slots[i].name) = s->slots[i];
        accel_free(s->slots);
        s->slots = bigger.slots;
        s->size = bigger.size;
    }
    *scope_slot(s, name) = (struct scope_entry){.name = name, .value = v};
    s->used++;
    return ACCEL_OK;
}

int accel_onnx_scope_find(struct reader *r, struct scope *s, const char *name,
                          struct accel_value **out, struct accel_error *err)
{
    struct accel_value *outer = NULL;

    *out = scope_slot(s, name)->value;
    if (*out != NULL || s->parent == NULL)
        return ACCEL_OK;
    int rc = accel_onnx_scope_find(r, s->parent, name, &outer, err);
    if (rc != ACCEL_OK || outer == NULL || outer == &accel_onnx_left_out) {
        *out = outer;
        return rc;
    }
    if (++r->captures > 4 * r->ir->limits.nodes)
        return accel_fail(err, ACCEL_E_LIMIT, "subgraphs read outer values more than %zu times",
                          4 * r->ir->limits.nodes);
    if (accel_grow(&s->outer, &s->outer_capacity, s->captures + 1, sizeof(*s->outer), err) !=
            ACCEL_OK ||
        accel_grow(&s->captured, &s->captured_capacity, s->captures + 1, sizeof(*s->captured),
                   err) != ACCEL_OK)
        return ACCEL_E_NOMEM;
    struct accel_value *v = accel_value_new(s->graph, name, err);
    if (v == NULL)
        return ACCEL_E_NOMEM;
    v->is_input = true;
    v->type = outer->type;
    s->outer[s->captures] = outer;
    s->captured[s->captures++] = v;
    *out = v;
    return accel_onnx_scope_add(s, v->name, v, err);
}
