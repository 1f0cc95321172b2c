/* SPDX-License-Identifier: Apache-2.0 */

/* AttributeProto -> attributes, subgraphs read on the way. */

#include "infer/onnx/reader.h"
#include "infer/ops/op.h"

#include <string.h>

/* Lists of numbers may come packed: counts elements, for room. */
static size_t count_packed(const struct accel_wire_field *f, size_t fixed_size)
{
    size_t n = 0;

    if (f->type != ACCEL_WIRE_BYTES)
        return 1;
    if (fixed_size > 0)
        return f->bytes.size / fixed_size;
    for (size_t i = 0; i < f->bytes.size; i++)
        n += (f->bytes.data[i] & 0x80) == 0;
    return n;
}

/* Where each kind of value lies in AttributeProto: scalar and list field. */
static const struct {
    uint32_t number;
    enum accel_attr_type type;
} attr_fields[] = {
    {2, ACCEL_ATTR_FLOAT},          {3, ACCEL_ATTR_INT},
    {4, ACCEL_ATTR_STRING},         {5, ACCEL_ATTR_TENSOR},
    {6, ACCEL_ATTR_GRAPH},          {7, ACCEL_ATTR_FLOATS},
    {8, ACCEL_ATTR_INTS},           {9, ACCEL_ATTR_STRINGS},
    {10, ACCEL_ATTR_TENSORS},       {11, ACCEL_ATTR_GRAPHS},
    {14, ACCEL_ATTR_TYPE},          {15, ACCEL_ATTR_TYPES},
    {22, ACCEL_ATTR_SPARSE_TENSOR}, {23, ACCEL_ATTR_SPARSE_TENSORS},
};

static uint32_t attr_field_of(enum accel_attr_type type)
{
    for (size_t i = 0; i < ACCEL_COUNT(attr_fields); i++)
        if (attr_fields[i].type == type)
            return attr_fields[i].number;
    return 0;
}

/* room: of `out`, of which *n are taken. A scalar's field may hold a packed list all the same. */
static int floats_append(const struct accel_wire_field *f, float *out, size_t room, size_t *n,
                         struct accel_error *err)
{
    const bool one = f->type == ACCEL_WIRE_32;

    if (!one && (f->type != ACCEL_WIRE_BYTES || f->bytes.size % 4 != 0))
        return accel_fail(err, ACCEL_E_INVALID, "not a list of floats");
    if ((one ? 1 : f->bytes.size / 4) > room - *n)
        return accel_fail(err, ACCEL_E_INVALID, "more than %zu numbers", room);
    if (one) {
        memcpy(&out[(*n)++], &f->value, 4);
        return ACCEL_OK;
    }
    memcpy(out + *n, f->bytes.data, f->bytes.size);
    *n += f->bytes.size / 4;
    return ACCEL_OK;
}

/* The values of an attribute, all in the one field that its type names. `room`: how many. */
static int attr_values(struct reader *r, struct accel_slice proto, uint32_t number, size_t room,
                       struct accel_attr *attr, struct accel_node *node, struct scope *scope,
                       unsigned depth, struct accel_error *err)
{
    struct accel_wire w = accel_wire_of(proto);
    struct accel_wire_field f;
    void *array = accel_bump_alloc(&r->ir->mem, room + 1, accel_attr_bytes(attr->type));
    size_t n = 0;
    int more, rc = ACCEL_OK;

    if (array == NULL)
        return accel_onnx_no_memory(err);
    while (rc == ACCEL_OK && (more = accel_wire_next(&w, &f, err)) != 0) {
        if (more < 0)
            return -more;
        if (f.number != number)
            continue;
        switch (attr->type) {
        case ACCEL_ATTR_FLOAT:
        case ACCEL_ATTR_FLOATS:
            rc = floats_append(&f, array, room, &n, err);
            break;
        case ACCEL_ATTR_INT:
        case ACCEL_ATTR_INTS:
            rc = accel_onnx_int64s(&f, array, room, &n, err);
            break;
        case ACCEL_ATTR_STRING:
        case ACCEL_ATTR_STRINGS: {
            struct accel_bytes *text = &((struct accel_bytes *)array)[n++];

            text->data = ""; /* shared by empty ones, of which each costs the file two bytes */
            text->size = f.bytes.size;
            if (text->size == 0)
                break;
            char *copy = accel_bump_alloc(&r->ir->mem, text->size + 1, 1);
            if (copy == NULL)
                return accel_onnx_no_memory(err);
            text->data = memcpy(copy, f.bytes.data, text->size);
            break;
        }
        case ACCEL_ATTR_TENSOR:
        case ACCEL_ATTR_TENSORS:
            rc = accel_onnx_tensor(r, f.bytes, &((struct accel_tensor *)array)[n++], NULL, err);
            break;
        case ACCEL_ATTR_GRAPH:
        case ACCEL_ATTR_GRAPHS:
            /* Here, so that the node is named; recursion ends here too. */
            if (depth + 1 > r->ir->limits.nesting)
                return accel_fail(err, ACCEL_E_LIMIT, "graphs nest deeper than %zu",
                                  r->ir->limits.nesting);
            rc = accel_onnx_subgraph(r, f.bytes, node->graph, scope, depth + 1,
                                     &((struct accel_graph **)array)[n++], err);
            break;
        case ACCEL_ATTR_TYPE:
        case ACCEL_ATTR_TYPES: {
            const char **names = NULL;

            rc = accel_onnx_type(r, f.bytes, 0, &((struct accel_type *)array)[n++], &names, err);
            break;
        }
        default:
            break;
        }
    }
    attr->count = n;
    attr->floats = array;
    return rc;
}

/* An attribute of a node in a function's body that is the function's own: as the caller gave it, by
 * its default, or (type NONE) not there. */
static int attr_of_call(const struct call *call, const char *refers, enum accel_attr_type stated,
                        struct accel_attr *attr, struct accel_error *err)
{
    const char *name = attr->name;
    const struct accel_attr *from;

    if (call == NULL)
        return accel_fail(err, ACCEL_E_INVALID,
                          "attribute '%s' refers to a function's attribute outside one", name);
    from = accel_attr(call->node, refers);
    for (size_t i = 0; from == NULL && i < call->defaults_count; i++)
        if (strcmp(call->defaults[i].name, refers) == 0)
            from = &call->defaults[i];
    attr->type = ACCEL_ATTR_NONE;
    if (from == NULL)
        return ACCEL_OK;
    if (stated != ACCEL_ATTR_NONE && stated != from->type)
        return accel_fail(err, ACCEL_E_INVALID,
                          "attribute '%s' is of another type than '%s' of the function", name,
                          refers);
    *attr = *from;
    attr->name = name;
    return ACCEL_OK;
}

/* A sparse attribute goes on as a dense one. */
static int sparse_attr(struct reader *r, struct accel_slice proto, struct accel_attr *attr,
                       struct accel_error *err)
{
    struct accel_tensor *t = accel_bump_alloc(&r->ir->mem, 1, sizeof(*t));
    struct accel_wire w = accel_wire_of(proto);
    struct accel_wire_field f;
    const char *name;
    int more, rc = ACCEL_OK;

    if (t == NULL)
        return accel_onnx_no_memory(err);
    while (rc == ACCEL_OK && (more = accel_wire_next(&w, &f, err)) > 0)
        if (f.number == attr_field_of(ACCEL_ATTR_SPARSE_TENSOR))
            rc = accel_onnx_sparse(r, f.bytes, t, &name, err);
    if (rc == ACCEL_OK && t->dtype == ACCEL_DTYPE_UNDEFINED)
        rc = accel_fail(err, ACCEL_E_INVALID, "it has no value");
    if (rc != ACCEL_OK)
        return accel_fail_in(err, "attribute '%s'", attr->name);
    attr->type = ACCEL_ATTR_TENSOR;
    attr->count = 1;
    attr->tensors = t;
    return ACCEL_OK;
}

int accel_onnx_attribute(struct reader *r, struct accel_slice proto, struct accel_node *node,
                         struct scope *scope, unsigned depth, struct accel_attr *attr, bool *inner,
                         struct accel_error *err)
{
    struct accel_wire w = accel_wire_of(proto);
    struct accel_wire_field f;
    enum accel_attr_type stated = ACCEL_ATTR_NONE, found = ACCEL_ATTR_NONE;
    const char *refers = NULL;
    size_t room = 0;
    int more, rc = ACCEL_OK;

    attr->name = "";
    while (rc == ACCEL_OK && (more = accel_wire_next(&w, &f, err)) != 0) {
        if (more < 0)
            return -more;
        if (f.number == 1)
            rc = accel_onnx_text(r, &f, "an attribute's name", &attr->name, err);
        else if (f.number == 20)
            stated = f.value <= ACCEL_ATTR_TYPES ? (enum accel_attr_type)f.value : ACCEL_ATTR_NONE;
        else if (f.number == 21 && f.bytes.size > 0)
            rc = accel_onnx_text(r, &f, "the name of a function's attribute", &refers, err);
        for (size_t i = 0; i < ACCEL_COUNT(attr_fields); i++)
            if (attr_fields[i].number == f.number)
                found = attr_fields[i].type;
    }
    if (rc != ACCEL_OK)
        return accel_fail_in(err, "attribute '%s'", attr->name);
    if (refers != NULL)
        return attr_of_call(r->call, refers, stated, attr, err);
    attr->type = stated != ACCEL_ATTR_NONE ? stated : found; /* IR version 1 has no type field */
    const uint32_t number = attr_field_of(attr->type);
    if (number == 0)
        return accel_fail(err, ACCEL_E_INVALID, "attribute '%s' has no value", attr->name);
    /* No operator of the table takes a list of these: its rules refuse it. Each would cost many
     * times what the file spends on it. */
    if (attr->type == ACCEL_ATTR_SPARSE_TENSORS || attr->type == ACCEL_ATTR_TENSORS ||
        attr->type == ACCEL_ATTR_TYPES)
        return ACCEL_OK;
    if (attr->type == ACCEL_ATTR_SPARSE_TENSOR)
        return sparse_attr(r, proto, attr, err);
    w = accel_wire_of(proto);
    while ((more = accel_wire_next(&w, &f, err)) > 0)
        if (f.number == number)
            room += attr->type == ACCEL_ATTR_FLOATS ? count_packed(&f, 4)
                    : attr->type == ACCEL_ATTR_INTS ? count_packed(&f, 0)
                                                    : 1;
    const bool scalar = attr->type <= ACCEL_ATTR_GRAPH || attr->type == ACCEL_ATTR_TYPE;
    if (more == 0 && scalar && room > 1)
        return accel_fail(err, ACCEL_E_INVALID, "attribute '%s' has %zu values", attr->name, room);
    rc = attr_values(r, proto, number, room, attr, node, scope, depth, err);
    *inner = rc != ACCEL_OK &&
             (attr->type == ACCEL_ATTR_GRAPH || attr->type == ACCEL_ATTR_GRAPHS) &&
             depth + 1 <= r->ir->limits.nesting;
    if (*inner)
        return rc;
    if (rc != ACCEL_OK)
        return accel_fail_in(err, "attribute '%s'", attr->name);
    if (scalar && attr->count == 0) {
        if (attr->type > ACCEL_ATTR_STRING)
            return accel_fail(err, ACCEL_E_INVALID, "attribute '%s' has no value", attr->name);
        if (attr->type == ACCEL_ATTR_STRING)
            ((struct accel_bytes *)(uintptr_t)attr->strings)[0].data = "";
        attr->count = 1; /* the array has room for one more and is zeroed */
    }
    return ACCEL_OK;
}
