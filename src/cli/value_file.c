/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/value_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"

/* Field numbers of SequenceProto and of OptionalProto (onnx-data.proto). */
enum { NAME = 1, ELEM_TYPE = 2, TENSOR_VALUE = 3, SEQUENCE_VALUE = 5, MAP_VALUE = 6 };
/* Their DataType. */
enum { OF_NOTHING = 0, OF_TENSORS = 1, OF_SEQUENCES = 3, OF_MAPS = 4 };
/* Field numbers of MapProto. */
enum { KEY_TYPE = 2, KEYS = 3, STRING_KEYS = 4, VALUES = 5 };

void accel_owned_value_free(struct accel_owned_value *v)
{
    accel_owned_tensor_free(&v->tensor);
    for (size_t i = 0; i < v->count; i++)
        accel_owned_tensor_free(&v->items[i]);
    accel_free(v->items);
    accel_free(v->tensors);
    accel_free(v->name);
    *v = (struct accel_owned_value){0};
}

/* ---------------------------------------------------------------- the wire format */

struct span {
    const uint8_t *at, *end;
};

static bool get_varint(struct span *s, uint64_t *v)
{
    *v = 0;
    for (unsigned shift = 0; shift < 64 && s->at < s->end; shift += 7) {
        const uint8_t byte = *s->at++;

        *v |= (uint64_t)(byte & 127) << shift;
        if (byte < 128)
            return true;
    }
    return false;
}

/* The next field: its number, and its bytes or its value. False at the end; then s->at is s->end,
 * unless the message is broken. */
static bool next_field(struct span *s, uint64_t *number, uint64_t *value, struct span *bytes)
{
    const uint8_t *const begin = s->at;
    uint64_t tag, length;
    bool good = s->at < s->end && get_varint(s, &tag);

    if (good) {
        *number = tag >> 3;
        *bytes = (struct span){0};
        switch (tag & 7) {
        case 0:
            good = get_varint(s, value);
            break;
        case 2:
            good = get_varint(s, &length) && length <= (size_t)(s->end - s->at);
            if (good) {
                *bytes = (struct span){s->at, s->at + length};
                s->at += length;
            }
            break;
        default:
            good = false;
        }
    }
    if (!good && begin < s->end)
        s->at = begin;
    return good;
}

static int set_name(struct accel_owned_value *v, const struct span *text, struct accel_error *err)
{
    char *name = text->at == NULL
                     ? accel_strdup("")
                     : accel_strndup((const char *)text->at, (size_t)(text->end - text->at));

    if (name == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a value's name");
    accel_free(v->name);
    v->name = name;
    return ACCEL_OK;
}

static int item_room(struct accel_owned_value *v, struct accel_error *err)
{
    size_t capacity = v->capacity;
    const int rc = accel_grow(&v->tensors, &capacity, v->count + 1, sizeof(*v->tensors), err);

    return rc == ACCEL_OK
               ? accel_grow(&v->items, &v->capacity, v->count + 1, sizeof(*v->items), err)
               : rc;
}

static void count_item(struct accel_owned_value *v)
{
    v->tensors[v->count] = v->items[v->count].tensor;
    v->count++;
}

static int add_item(struct accel_owned_value *v, const struct span *proto, struct accel_error *err)
{
    int rc = item_room(v, err);

    if (rc == ACCEL_OK)
        rc = accel_tensor_from_pb(proto->at, (size_t)(proto->end - proto->at), &v->items[v->count],
                                  err);
    if (rc == ACCEL_OK)
        count_item(v);
    return rc;
}

static int sequence_from(struct span s, struct accel_owned_value *v, struct accel_error *err)
{
    uint64_t number, value;
    struct span bytes;
    int rc = ACCEL_OK;

    v->kind = ACCEL_VALUE_SEQUENCE;
    while (rc == ACCEL_OK && next_field(&s, &number, &value, &bytes)) {
        if (number == NAME && bytes.at != NULL)
            rc = set_name(v, &bytes, err);
        else if (number == TENSOR_VALUE && bytes.at != NULL)
            rc = add_item(v, &bytes, err);
        else if (number > TENSOR_VALUE && number < 8)
            rc = accel_fail(err, ACCEL_E_UNSUPPORTED, "a sequence of what is no tensor");
    }
    if (rc == ACCEL_OK && s.at != s.end)
        rc = accel_fail(err, ACCEL_E_INVALID, "not an ONNX SequenceProto, or cut off");
    return rc;
}

/* ---------------------------------------------------------------- maps */

/* One element of a tensor: the bytes of a number, the characters of a string. */
struct element {
    const void *at;
    size_t size;
};

struct pair {
    struct element key, value;
    int64_t number; /* the key, where it is no string */
};

/* A map as its message has it. */
struct map {
    uint64_t key_type;
    struct pair *pairs;
    size_t count, capacity;
    struct accel_owned_value values; /* tensors of one element */
};

static void free_map(struct map *m)
{
    accel_free(m->pairs);
    accel_owned_value_free(&m->values);
}

static int add_key(struct map *m, int64_t number, const struct span *text, struct accel_error *err)
{
    const int rc = accel_grow(&m->pairs, &m->capacity, m->count + 1, sizeof(*m->pairs), err);

    if (rc != ACCEL_OK)
        return rc;
    m->pairs[m->count++] = (struct pair){
        .key = {text->at, text->at != NULL ? (size_t)(text->end - text->at) : sizeof(number)},
        .number = number};
    return ACCEL_OK;
}

/* One after the other, or packed. */
static int add_numbers(struct map *m, uint64_t value, struct span list, struct accel_error *err)
{
    const struct span no_text = {0};
    int rc = ACCEL_OK;

    if (list.at == NULL)
        return add_key(m, (int64_t)value, &no_text, err);
    while (rc == ACCEL_OK && list.at < list.end) {
        if (!get_varint(&list, &value))
            return accel_fail(err, ACCEL_E_INVALID, "a map's keys are cut off");
        rc = add_key(m, (int64_t)value, &no_text, err);
    }
    return rc;
}

static int map_fields(struct span s, struct map *m, struct accel_owned_value *v,
                      struct accel_error *err)
{
    uint64_t number, value;
    struct span bytes;
    int rc = ACCEL_OK;

    while (rc == ACCEL_OK && next_field(&s, &number, &value, &bytes)) {
        if (number == NAME && bytes.at != NULL && v->count == 0)
            rc = set_name(v, &bytes, err);
        else if (number == KEY_TYPE && bytes.at == NULL)
            m->key_type = value;
        else if (number == KEYS)
            rc = add_numbers(m, value, bytes, err);
        else if (number == STRING_KEYS && bytes.at != NULL)
            rc = add_key(m, 0, &bytes, err);
        else if (number == VALUES && bytes.at != NULL)
            rc = sequence_from(bytes, &m->values, err);
    }
    if (rc == ACCEL_OK && s.at != s.end)
        rc = accel_fail(err, ACCEL_E_INVALID, "not an ONNX MapProto, or cut off");
    return rc;
}

/* Keys and values fit each other and what is called for? Each key gets its value. */
static int match_map(struct map *m, struct accel_error *err)
{
    if (m->key_type != ACCEL_DTYPE_INT64 && m->key_type != ACCEL_DTYPE_STRING)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "a map with keys of data type %llu",
                          (unsigned long long)m->key_type);
    if (m->count != m->values.count)
        return accel_fail(err, ACCEL_E_INVALID, "a map of %zu keys and %zu values", m->count,
                          m->values.count);
    for (size_t i = 0; i < m->count; i++) {
        const struct accel_tensor *t = &m->values.tensors[i];
        const bool text = t->dtype == ACCEL_DTYPE_STRING;
        size_t n;

        if (accel_tensor_count(t, &n, NULL) != ACCEL_OK || n != 1 ||
            t->dtype != m->values.tensors[0].dtype ||
            (!text && t->size_bytes != accel_dtype_size(t->dtype)))
            return accel_fail(err, ACCEL_E_INVALID,
                              "value %zu of a map is not one element of the type of the others", i);
        if ((m->key_type == ACCEL_DTYPE_STRING) != (m->pairs[i].key.at != NULL))
            return accel_fail(err, ACCEL_E_INVALID, "key %zu of a map is not of its key type", i);
        m->pairs[i].value =
            text ? (struct element){*(char *const *)t->data, strlen(*(char *const *)t->data)}
                 : (struct element){t->data, t->size_bytes};
    }
    return ACCEL_OK;
}

static int compare_pairs(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    const size_t both = x->key.size < y->key.size ? x->key.size : y->key.size;

    if (x->key.at == NULL || y->key.at == NULL)
        return (x->number > y->number) - (x->number < y->number);
    const int order = both > 0 ? memcmp(x->key.at, y->key.at, both) : 0;
    return order != 0 ? order : (x->key.size > y->key.size) - (x->key.size < y->key.size);
}

/* The keys, or the values, as one vector. Strings: pointers into the same block. */
static int add_vector(struct accel_owned_value *v, const struct map *m, bool keys,
                      enum accel_dtype dtype, struct accel_error *err)
{
    const size_t slot = dtype == ACCEL_DTYPE_STRING ? sizeof(char *) : accel_dtype_size(dtype);
    size_t bytes = m->count * slot;
    int rc = item_room(v, err);

    for (size_t i = 0; dtype == ACCEL_DTYPE_STRING && i < m->count; i++)
        bytes += (keys ? m->pairs[i].key.size : m->pairs[i].value.size) + 1;
    char *data = rc == ACCEL_OK ? accel_calloc(bytes + 1, 1) : NULL;
    char *name = data != NULL ? accel_strdup("") : NULL;
    if (name == NULL) {
        accel_free(data);
        return rc != ACCEL_OK ? rc : accel_fail(err, ACCEL_E_NOMEM, "no memory for a map");
    }
    char *text = data + m->count * slot;
    for (size_t i = 0; i < m->count; i++) {
        const struct pair *p = &m->pairs[i];
        struct element e = keys ? p->key : p->value;

        if (keys && dtype == ACCEL_DTYPE_INT64)
            e.at = &p->number;
        if (dtype == ACCEL_DTYPE_STRING)
            memcpy(data + i * slot, &text, slot);
        if (e.size > 0)
            memcpy(dtype == ACCEL_DTYPE_STRING ? text : data + i * slot, e.at, e.size);
        text += dtype == ACCEL_DTYPE_STRING ? e.size + 1 : 0;
    }
    v->items[v->count] = (struct accel_owned_tensor){.name = name,
                                                     .tensor = {.dtype = dtype,
                                                                .rank = 1,
                                                                .dims = {(int64_t)m->count},
                                                                .data = data,
                                                                .size_bytes = m->count * slot}};
    count_item(v);
    return ACCEL_OK;
}

/* One map more: keys, ascending, and values. */
static int map_from(struct span s, struct accel_owned_value *v, struct accel_error *err)
{
    ACCEL_CLEANUP(free_map) struct map m = {0};
    int rc = map_fields(s, &m, v, err);

    v->kind = ACCEL_VALUE_MAP;
    if (rc == ACCEL_OK)
        rc = match_map(&m, err);
    if (rc != ACCEL_OK)
        return rc;
    if (m.count > 1)
        qsort(m.pairs, m.count, sizeof(*m.pairs), compare_pairs);
    rc = add_vector(v, &m, true, (enum accel_dtype)m.key_type, err);
    return rc == ACCEL_OK
               ? add_vector(v, &m, false,
                            m.count > 0 ? m.values.tensors[0].dtype : ACCEL_DTYPE_FLOAT, err)
               : rc;
}

/* Results of models that end in a ZipMap are often stored as the scores that go into it. */
static bool holds_maps(struct span s)
{
    uint64_t number, value = 0;
    struct span bytes;
    bool maps = false;

    while (next_field(&s, &number, &value, &bytes)) {
        if (number == ELEM_TYPE && bytes.at == NULL)
            maps = value == OF_MAPS;
        else if ((number != NAME && number != MAP_VALUE) || bytes.at == NULL)
            return false;
    }
    return maps && s.at == s.end;
}

static int maps_from(struct span s, struct accel_owned_value *v, struct accel_error *err)
{
    uint64_t number, value;
    struct span bytes, name = {0};
    int rc = ACCEL_OK;

    while (rc == ACCEL_OK && next_field(&s, &number, &value, &bytes)) {
        if (number == NAME && bytes.at != NULL)
            name = bytes;
        else if (number == MAP_VALUE && bytes.at != NULL)
            rc = map_from(bytes, v, err);
    }
    v->kind = ACCEL_VALUE_SEQUENCE | ACCEL_VALUE_MAP;
    return rc == ACCEL_OK ? set_name(v, &name, err) : rc;
}

static int tensor_from(struct span s, struct accel_owned_value *v, struct accel_error *err)
{
    struct span name;
    int rc = accel_tensor_from_pb(s.at, (size_t)(s.end - s.at), &v->tensor, err);

    v->kind = ACCEL_VALUE_TENSOR;
    if (rc == ACCEL_OK && (v->name == NULL || v->name[0] == '\0')) {
        name.at = (const uint8_t *)v->tensor.name;
        name.end = name.at + strlen(v->tensor.name);
        rc = set_name(v, &name, err);
    }
    return rc;
}

static int optional_from(struct span s, struct accel_owned_value *v, struct accel_error *err)
{
    uint64_t number, value;
    struct span bytes, name = {0};
    bool filled = false;
    int rc = ACCEL_OK;

    v->kind = ACCEL_VALUE_OPTIONAL;
    while (rc == ACCEL_OK && next_field(&s, &number, &value, &bytes)) {
        const bool fills = number == TENSOR_VALUE || number == SEQUENCE_VALUE;

        if (number == NAME && bytes.at != NULL)
            name = bytes;
        else if (fills && filled)
            rc = accel_fail(err, ACCEL_E_INVALID, "an optional of two values");
        else if (number == TENSOR_VALUE && bytes.at != NULL)
            rc = tensor_from(bytes, v, err);
        else if (number == SEQUENCE_VALUE && bytes.at != NULL)
            rc = sequence_from(bytes, v, err);
        else if (number > TENSOR_VALUE && number < 8)
            rc = accel_fail(err, ACCEL_E_UNSUPPORTED,
                            "an optional of neither a tensor nor a sequence");
        filled = filled || fills;
    }
    if (rc == ACCEL_OK && s.at != s.end)
        rc = accel_fail(err, ACCEL_E_INVALID, "not an ONNX OptionalProto, or cut off");
    return rc == ACCEL_OK ? set_name(v, &name, err) : rc;
}

int accel_value_from_pb(const void *bytes, size_t size, enum accel_value_kind kind,
                        struct accel_owned_value *v, struct accel_error *err)
{
    const struct span s = {bytes, (const uint8_t *)bytes + size};
    ACCEL_CLEANUP(accel_owned_value_free) struct accel_owned_value made = {0};
    int rc = set_name(&made, &(struct span){0}, err);

    if (rc == ACCEL_OK)
        rc = kind == ACCEL_VALUE_MAP ? map_from(s, &made, err)
             : (kind & ACCEL_VALUE_MAP) != 0
                 ? holds_maps(s) ? maps_from(s, &made, err) : tensor_from(s, &made, err)
             : (kind & ACCEL_VALUE_OPTIONAL) != 0 ? optional_from(s, &made, err)
             : (kind & ACCEL_VALUE_SEQUENCE) != 0 ? sequence_from(s, &made, err)
                                                  : tensor_from(s, &made, err);
    if (rc != ACCEL_OK)
        return rc;
    *v = made;
    made = (struct accel_owned_value){0};
    return ACCEL_OK;
}

static void put_varint(struct accel_buf *out, uint64_t v)
{
    uint8_t byte;

    for (; v > 127; v >>= 7) {
        byte = (uint8_t)(v | 128);
        accel_buf_append(out, &byte, 1);
    }
    byte = (uint8_t)v;
    accel_buf_append(out, &byte, 1);
}

static void put_bytes(struct accel_buf *out, unsigned number, const void *bytes, size_t size)
{
    put_varint(out, number << 3 | 2);
    put_varint(out, size);
    accel_buf_append(out, bytes, size);
}

static void put_head(struct accel_buf *out, const char *name, unsigned elem_type)
{
    put_bytes(out, NAME, name, strlen(name));
    put_varint(out, ELEM_TYPE << 3);
    put_varint(out, elem_type);
}

/* A SequenceProto of tensors of one element, from a vector. */
static int put_elements(struct accel_buf *out, const struct accel_tensor *vector,
                        struct accel_error *err)
{
    const size_t size =
        vector->dtype == ACCEL_DTYPE_STRING ? sizeof(char *) : accel_dtype_size(vector->dtype);
    int rc = ACCEL_OK;

    put_head(out, "", OF_TENSORS);
    for (size_t i = 0; rc == ACCEL_OK && i < vector->size_bytes / size; i++) {
        ACCEL_CLEANUP(accel_buf_free) struct accel_buf item = {0};
        const struct accel_tensor one = {
            .dtype = vector->dtype, .data = (char *)vector->data + i * size, .size_bytes = size};

        rc = accel_tensor_to_pb(&one, "", &item, err);
        if (rc == ACCEL_OK)
            put_bytes(out, TENSOR_VALUE, item.data, item.size);
    }
    return rc;
}

/* `pair`: keys and values. */
static int put_map(struct accel_buf *out, const char *name, const struct accel_tensor *pair,
                   struct accel_error *err)
{
    ACCEL_CLEANUP(accel_buf_free) struct accel_buf values = {0};
    const size_t n = pair->size_bytes / 8; /* of numbers as of pointers */

    put_bytes(out, NAME, name, strlen(name));
    put_varint(out, KEY_TYPE << 3);
    put_varint(out, pair->dtype);
    for (size_t i = 0; i < n; i++) {
        if (pair->dtype == ACCEL_DTYPE_STRING) {
            const char *text = ((char *const *)pair->data)[i];

            put_bytes(out, STRING_KEYS, text, strlen(text));
        } else {
            put_varint(out, KEYS << 3);
            put_varint(out, (uint64_t)((const int64_t *)pair->data)[i]);
        }
    }
    const int rc = put_elements(&values, pair + 1, err);
    if (rc == ACCEL_OK)
        put_bytes(out, VALUES, values.data, values.size);
    return rc;
}

static int put_maps(struct accel_buf *out, const struct accel_named_value *v,
                    struct accel_error *err)
{
    int rc = ACCEL_OK;

    if (v->kind == ACCEL_VALUE_MAP)
        return put_map(out, v->name, v->items, err);
    put_head(out, v->name, OF_MAPS);
    for (size_t i = 0; rc == ACCEL_OK && i + 1 < v->count; i += 2) {
        ACCEL_CLEANUP(accel_buf_free) struct accel_buf map = {0};

        rc = put_map(&map, "", &v->items[i], err);
        if (rc == ACCEL_OK)
            put_bytes(out, MAP_VALUE, map.data, map.size);
    }
    return rc;
}

int accel_value_to_pb(const struct accel_named_value *v, enum accel_value_kind kind,
                      struct accel_buf *out, struct accel_error *err)
{
    const bool list = v->kind == ACCEL_VALUE_SEQUENCE, nothing = v->kind == ACCEL_VALUE_OPTIONAL;
    int rc = ACCEL_OK;

    if ((v->kind & ACCEL_VALUE_MAP) != 0) {
        rc = put_maps(out, v, err);
    } else if ((kind & ACCEL_VALUE_OPTIONAL) != 0) {
        ACCEL_CLEANUP(accel_buf_free) struct accel_buf inner = {0};

        put_head(out, v->name, nothing ? OF_NOTHING : list ? OF_SEQUENCES : OF_TENSORS);
        if (!nothing)
            rc = accel_value_to_pb(v, v->kind, &inner, err);
        if (!nothing && rc == ACCEL_OK)
            put_bytes(out, list ? SEQUENCE_VALUE : TENSOR_VALUE, inner.data, inner.size);
    } else if (list) {
        put_head(out, v->name, OF_TENSORS);
        for (size_t i = 0; i < v->count && rc == ACCEL_OK; i++) {
            ACCEL_CLEANUP(accel_buf_free) struct accel_buf item = {0};

            rc = accel_tensor_to_pb(&v->items[i], "", &item, err);
            if (rc == ACCEL_OK)
                put_bytes(out, TENSOR_VALUE, item.data, item.size);
        }
    } else {
        rc = accel_tensor_to_pb(&v->tensor, v->name, out, err);
    }
    if (rc == ACCEL_OK && accel_buf_failed(out))
        rc = accel_fail(err, ACCEL_E_NOMEM, "no memory to write a value");
    return rc;
}

/* ---------------------------------------------------------------- files */

static bool is_npy(const char *path)
{
    const size_t n = strlen(path);

    return n > 4 && strcmp(path + n - 4, ".npy") == 0;
}

int accel_value_read(const char *path, enum accel_value_kind kind, struct accel_owned_value *v,
                     struct accel_error *err)
{
    ACCEL_CLEANUP(accel_freep) char *bytes = NULL;
    size_t size;
    int rc;

    if (kind == ACCEL_VALUE_TENSOR || is_npy(path)) {
        *v = (struct accel_owned_value){0};
        rc = accel_tensor_read(path, &v->tensor, err);
        if (rc == ACCEL_OK && (v->name = accel_strdup(v->tensor.name)) == NULL)
            rc = accel_fail(err, ACCEL_E_NOMEM, "no memory for a value's name");
        if (rc != ACCEL_OK)
            accel_owned_value_free(v);
        return rc;
    }
    rc = accel_read_file(path, ACCEL_TENSOR_FILE_MAX, &bytes, &size, err);
    if (rc == ACCEL_OK)
        rc = accel_value_from_pb(bytes, size, kind, v, err);
    return rc == ACCEL_OK ? rc : accel_fail_in(err, "%s", path);
}

int accel_value_write(const char *path, const struct accel_named_value *v,
                      enum accel_value_kind kind, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_buf_free) struct accel_buf buf = {0};

    if (kind == ACCEL_VALUE_TENSOR)
        return accel_tensor_write(path, v->name, &v->tensor, err);
    if (is_npy(path))
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "%s: numpy has no %s: write a .pb", path,
                          (kind & ACCEL_VALUE_MAP) != 0 ? "maps" : "sequences");
    const int rc = accel_value_to_pb(v, kind, &buf, err);
    if (rc != ACCEL_OK)
        return accel_fail_in(err, "%s", path);
    return accel_write_file(path, buf.data, buf.size, err);
}

/* ---------------------------------------------------------------- using them */

struct accel_named_value accel_value_named(const struct accel_owned_value *v, const char *name)
{
    return (struct accel_named_value){.name = name,
                                      .kind = v->kind,
                                      .tensor = v->tensor.tensor,
                                      .items = v->tensors,
                                      .count = v->count};
}

static const char *text_of(enum accel_value_kind kind)
{
    return kind == ACCEL_VALUE_OPTIONAL ? "nothing" : accel_value_kind_text(kind);
}

void accel_value_compare(const struct accel_named_value *got, const struct accel_named_value *want,
                         enum accel_rule rule, struct accel_comparison *result)
{
    *result = (struct accel_comparison){.pass = true, .cosine = 1};
    if (got->kind == want->kind && got->kind == ACCEL_VALUE_TENSOR) {
        accel_tensor_compare(&got->tensor, &want->tensor, rule, result);
        return;
    }
    if (got->kind != want->kind || got->count != want->count) {
        result->pass = false;
        snprintf(result->why, sizeof(result->why), "%s of %zu, not %s of %zu", text_of(got->kind),
                 got->count, text_of(want->kind), want->count);
    }
    for (size_t i = 0; i < got->count && i < want->count && result->pass; i++) {
        struct accel_comparison r;

        accel_tensor_compare(&got->items[i], &want->items[i], rule, &r);
        if (!r.pass || r.worst >= result->worst)
            *result = r;
    }
}
