/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/run/list.h"
#include "infer/run/session.h"

#include <string.h>

int accel_list_new(struct accel_session *s, enum accel_dtype dtype, size_t capacity,
                   struct accel_list **out, struct accel_error *err)
{
    size_t bytes;

    if (__builtin_mul_overflow(capacity, sizeof(struct accel_item *), &bytes) ||
        __builtin_add_overflow(bytes, sizeof(struct accel_list), &bytes))
        return accel_fail(err, ACCEL_E_LIMIT, "a sequence of %zu tensors", capacity);
    const int rc = accel_session_take(s, bytes, "a sequence", err);
    if (rc != ACCEL_OK)
        return rc;
    struct accel_list *list = accel_malloc(bytes);
    if (list == NULL) {
        s->own_bytes -= bytes;
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a sequence of %zu tensors", capacity);
    }
    *list = (struct accel_list){.references = 1,
                                .kind = ACCEL_VALUE_SEQUENCE,
                                .dtype = dtype,
                                .capacity = capacity,
                                .bytes = bytes};
    *out = list;
    return ACCEL_OK;
}

int accel_list_room(struct accel_session *s, struct accel_list *list,
                    const struct accel_tensor *tensor, void **data, struct accel_error *err)
{
    const size_t head = ACCEL_ROUND_UP(sizeof(struct accel_item), (size_t)64);
    size_t bytes;

    if (list->count == list->capacity)
        return accel_fail(err, ACCEL_E_INTERNAL, "a sequence is longer than its room");
    if (__builtin_add_overflow(head, tensor->size_bytes, &bytes))
        return accel_fail(err, ACCEL_E_LIMIT, "a tensor of %zu bytes", tensor->size_bytes);
    const int rc = accel_session_take(s, bytes, "a tensor in a sequence", err);
    if (rc != ACCEL_OK)
        return rc;
    struct accel_item *item = accel_aligned_alloc(64, bytes);
    if (item == NULL) {
        s->own_bytes -= bytes;
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a tensor of %zu bytes",
                          tensor->size_bytes);
    }
    *item = (struct accel_item){.references = 1, .bytes = bytes, .tensor = *tensor};
    item->tensor.data = *data = (char *)item + head;
    list->items[list->count++] = item;
    return ACCEL_OK;
}

int accel_list_add(struct accel_session *s, struct accel_list *list,
                   const struct accel_tensor *tensor, struct accel_error *err)
{
    void *data;
    const int rc = accel_list_room(s, list, tensor, &data, err);

    if (rc == ACCEL_OK && tensor->size_bytes > 0)
        memcpy(data, tensor->data, tensor->size_bytes);
    return rc;
}

void accel_list_share(struct accel_list *list, const struct accel_list *from, size_t begin,
                      size_t end)
{
    for (size_t i = begin; i < end && list->count < list->capacity; i++) {
        from->items[i]->references++;
        list->items[list->count++] = from->items[i];
    }
}

void accel_list_unref(struct accel_session *s, struct accel_list *list)
{
    if (list == NULL || --list->references > 0)
        return;
    for (size_t i = 0; i < list->count; i++) {
        struct accel_item *item = list->items[i];

        if (--item->references > 0)
            continue;
        s->own_bytes -= item->bytes;
        accel_free(item);
    }
    s->own_bytes -= list->bytes;
    accel_free(list);
}
