/* SPDX-License-Identifier: Apache-2.0 */
/* Maps: lists that alternate between keys, ascending, and what they stand for. */
#include "infer/kernels/sort.h"
#include "infer/run/list.h"
#include "infer/run/session.h"

#include <inttypes.h>
#include <string.h>

int accel_maps_new(struct accel_session *s, enum accel_value_kind kind, enum accel_dtype keys,
                   enum accel_dtype dtype, size_t maps, struct accel_list **list,
                   struct accel_error *err)
{
    if (maps > SIZE_MAX / 2)
        return accel_fail(err, ACCEL_E_LIMIT, "a sequence of %zu maps", maps);
    const int rc = accel_list_new(s, dtype, 2 * maps, list, err);
    if (rc == ACCEL_OK) {
        (*list)->kind = kind;
        (*list)->keys = keys;
    }
    return rc;
}

int accel_keys_compare(const void *keys, size_t a, size_t b)
{
    const struct accel_tensor *t = keys;

    if (t->dtype == ACCEL_DTYPE_STRING)
        return strcmp(((char *const *)t->data)[a], ((char *const *)t->data)[b]);
    int64_t x, y; /* the caller's memory may be aligned to nothing */
    memcpy(&x, (const char *)t->data + a * sizeof(x), sizeof(x));
    memcpy(&y, (const char *)t->data + b * sizeof(y), sizeof(y));
    return (x > y) - (x < y);
}

/* dst[i] = src[order[i]], n elements of 4 or 8 bytes. */
static void pick(const struct accel_tensor *from, const size_t *order, size_t n, void *to)
{
    const size_t size = accel_element_bytes(from->dtype);

    for (size_t i = 0; i < n; i++)
        memcpy((char *)to + i * size, (const char *)from->data + order[i] * size, size);
}

static int check_once(const struct accel_tensor *keys, const size_t *order, size_t n,
                      struct accel_error *err)
{
    for (size_t i = 1; i < n; i++) {
        int64_t key;

        if (accel_keys_compare(keys, order[i - 1], order[i]) != 0)
            continue;
        if (keys->dtype == ACCEL_DTYPE_STRING)
            return accel_fail(err, ACCEL_E_INVALID, "key \"%.40s\" is there twice",
                              ((char *const *)keys->data)[order[i]]);
        memcpy(&key, (const char *)keys->data + order[i] * sizeof(key), sizeof(key));
        return accel_fail(err, ACCEL_E_INVALID, "key %" PRId64 " is there twice", key);
    }
    return ACCEL_OK;
}

static int add_sorted(struct accel_session *s, struct accel_list *list,
                      const struct accel_tensor *keys, const struct accel_tensor *values,
                      size_t *order, size_t n, struct accel_error *err)
{
    void *data;

    for (size_t i = 0; i < n; i++)
        order[i] = i;
    accel_sort_order(n, order, order + n, accel_keys_compare, keys);
    int rc = check_once(keys, order, n, err);
    if (rc == ACCEL_OK)
        rc = accel_list_room(s, list, keys, &data, err);
    if (rc != ACCEL_OK)
        return rc;
    pick(keys, order, n, data);
    rc = accel_list_room(s, list, values, &data, err);
    if (rc == ACCEL_OK)
        pick(values, order, n, data);
    return rc;
}

int accel_maps_add(struct accel_session *s, struct accel_list *list,
                   const struct accel_tensor *keys, const struct accel_tensor *values,
                   struct accel_error *err)
{
    const size_t n = keys->size_bytes / accel_element_bytes(keys->dtype);
    size_t bytes; /* of the order and as much to sort it in */

    if (__builtin_mul_overflow(n, 2 * sizeof(size_t), &bytes))
        return accel_fail(err, ACCEL_E_LIMIT, "a map of %zu keys", n);
    int rc = accel_session_take(s, bytes, "a map", err);
    if (rc != ACCEL_OK)
        return rc;
    size_t *order = accel_malloc(bytes);
    if (order == NULL)
        rc = accel_fail(err, ACCEL_E_NOMEM, "no memory for a map of %zu keys", n);
    else
        rc = add_sorted(s, list, keys, values, order, n, err);
    accel_free(order);
    s->own_bytes -= bytes;
    return rc;
}
