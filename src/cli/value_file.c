/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/value_file.h"

#include <stdio.h>
#include <string.h>

#include "base/fd.h"

/* Field numbers of SequenceProto and of OptionalProto (onnx-data.proto). */
enum { NAME = 1, ELEM_TYPE = 2, TENSOR_VALUE = 3, SEQUENCE_VALUE = 5 };
/* Their DataType. */
enum { OF_NOTHING = 0, OF_TENSORS = 1, OF_SEQUENCES = 3 };

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

static int add_item(struct accel_owned_value *v, const struct span *proto, struct accel_error *err)
{
    size_t capacity = v->capacity;
    int rc = accel_grow(&v->tensors, &capacity, v->count + 1, sizeof(*v->tensors), err);

    if (rc == ACCEL_OK)
        rc = accel_grow(&v->items, &v->capacity, v->count + 1, sizeof(*v->items), err);
    if (rc == ACCEL_OK)
        rc = accel_tensor_from_pb(proto->at, (size_t)(proto->end - proto->at), &v->items[v->count],
                                  err);
    if (rc != ACCEL_OK)
        return rc;
    v->tensors[v->count] = v->items[v->count].tensor;
    v->count++;
    return ACCEL_OK;
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
    int rc = ACCEL_OK;

    v->kind = ACCEL_VALUE_OPTIONAL;
    while (rc == ACCEL_OK && next_field(&s, &number, &value, &bytes)) {
        if (number == NAME && bytes.at != NULL)
            name = bytes;
        else if (number == TENSOR_VALUE && bytes.at != NULL)
            rc = tensor_from(bytes, v, err);
        else if (number == SEQUENCE_VALUE && bytes.at != NULL)
            rc = sequence_from(bytes, v, err);
        else if (number > TENSOR_VALUE && number < 8)
            rc = accel_fail(err, ACCEL_E_UNSUPPORTED,
                            "an optional of neither a tensor nor a sequence");
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
        rc = (kind & ACCEL_VALUE_OPTIONAL) != 0   ? optional_from(s, &made, err)
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

int accel_value_to_pb(const struct accel_named_value *v, enum accel_value_kind kind,
                      struct accel_buf *out, struct accel_error *err)
{
    const bool list = v->kind == ACCEL_VALUE_SEQUENCE, nothing = v->kind == ACCEL_VALUE_OPTIONAL;
    int rc = ACCEL_OK;

    if ((kind & ACCEL_VALUE_OPTIONAL) != 0) {
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
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "%s: numpy has no sequences: write a .pb",
                          path);
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
    return kind == ACCEL_VALUE_TENSOR     ? "a tensor"
           : kind == ACCEL_VALUE_SEQUENCE ? "a sequence"
                                          : "nothing";
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
