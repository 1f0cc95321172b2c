/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_RUN_LIST_H
#define ACCEL_INFER_RUN_LIST_H

/* Sequences while a model runs: lists of tensors whose bytes are shared, so that putting one more
 * tensor into a sequence copies pointers only. A list is not changed once a value holds it. Maps
 * are lists too: each is a vector of keys, ascending, and one of what they stand for.
 *
 * The slot of a value is a struct accel_tensor, whatever it holds: a sequence is told by its rank,
 * with the list for data; so is an optional that is absent. A present optional is what it holds. */

#include "infer/graph/graph.h"

#define ACCEL_RANK_LIST UINT32_MAX
#define ACCEL_RANK_NONE (UINT32_MAX - 1)

struct accel_session;

struct accel_item {
    uint32_t references;
    size_t bytes; /* of it all, as noted with the session */
    struct accel_tensor tensor;
};

struct accel_list {
    uint32_t references;
    enum accel_value_kind kind;   /* SEQUENCE, MAP (two items) or both (two items for each map) */
    enum accel_dtype dtype, keys; /* as accel_type's */
    size_t count, capacity;
    size_t bytes;
    struct accel_item *items[];
};

/* Room for `capacity` tensors. Errors: LIMIT, NOMEM. */
int accel_list_new(struct accel_session *session, enum accel_dtype dtype, size_t capacity,
                   struct accel_list **list, struct accel_error *err);
/* Appends a copy of a tensor. Errors: LIMIT, NOMEM. */
int accel_list_add(struct accel_session *session, struct accel_list *list,
                   const struct accel_tensor *tensor, struct accel_error *err);
/* The same without its bytes, which are left to fill. */
int accel_list_room(struct accel_session *session, struct accel_list *list,
                    const struct accel_tensor *tensor, void **data, struct accel_error *err);
/* Appends the very tensors [begin, end) of another list. */
void accel_list_share(struct accel_list *list, const struct accel_list *from, size_t begin,
                      size_t end);
/* A map (kind MAP) or a sequence of so many. Errors: LIMIT, NOMEM. */
int accel_maps_new(struct accel_session *session, enum accel_value_kind kind, enum accel_dtype keys,
                   enum accel_dtype dtype, size_t maps, struct accel_list **list,
                   struct accel_error *err);
/* Appends copies of two vectors of one length, sorted by the keys. Errors: INVALID (a key that is
 * there twice), LIMIT, NOMEM. */
int accel_maps_add(struct accel_session *session, struct accel_list *list,
                   const struct accel_tensor *keys, const struct accel_tensor *values,
                   struct accel_error *err);
/* Order of keys `a` and `b` of a vector of INT64 or STRING; fits accel_sort_order. */
int accel_keys_compare(const void *keys, size_t a, size_t b);
void accel_list_unref(struct accel_session *session, struct accel_list *list); /* NULL is fine */

static inline bool accel_is_list(const struct accel_tensor *slot)
{
    return slot->rank == ACCEL_RANK_LIST;
}
static inline bool accel_is_none(const struct accel_tensor *slot)
{
    return slot->rank == ACCEL_RANK_NONE;
}
/* A sequence of tensors? */
static inline bool accel_is_sequence(const struct accel_tensor *slot)
{
    return accel_is_list(slot) &&
           ((const struct accel_list *)slot->data)->kind == ACCEL_VALUE_SEQUENCE;
}
/* There, and neither a list nor a missing optional. */
static inline bool accel_is_tensor(const struct accel_tensor *slot)
{
    return slot != NULL && !accel_is_list(slot) && !accel_is_none(slot);
}
static inline struct accel_list *accel_list_of(const struct accel_tensor *slot)
{
    return slot->data;
}
static inline struct accel_tensor accel_slot_of_list(struct accel_list *list)
{
    return (struct accel_tensor){.dtype = list->dtype, .rank = ACCEL_RANK_LIST, .data = list};
}
static inline struct accel_tensor accel_slot_of_none(enum accel_dtype dtype)
{
    return (struct accel_tensor){.dtype = dtype, .rank = ACCEL_RANK_NONE};
}

#endif
