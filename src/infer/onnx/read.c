/* SPDX-License-Identifier: Apache-2.0 */
#include "base/subbyte.h"
#include "infer/onnx/onnx.h"
#include "infer/onnx/sparse.h"
#include "infer/ops/op.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Field numbers: schemas/onnx.proto. */

#define NAME_MAX_BYTES 4096
/* Attributes, inputs and outputs of one node, dims of one tensor, strings of one list. */
#define LIST_MAX       65536

struct scope_entry {
    const char *name;
    struct accel_value *value;
};

/* What the name of a function's input means that its caller left out. */
static struct accel_value left_out;

/* Names of one graph, or of one function's body within a graph; open addressing. */
struct scope {
    struct scope *parent;
    struct accel_graph *graph;
    const struct call *call; /* of a function's body: what it is called with */
    /* What was found in `parent` so far, and the inputs of `graph` that stand for it. */
    struct accel_value **outer, **captured;
    size_t captures, outer_capacity, captured_capacity;
    struct scope_entry *slots;
    size_t size; /* a power of two */
    size_t used;
};

/* A function that the model defines: its nodes take the place of each node that calls it. */
struct function {
    const char *domain, *name, *overload;
    struct accel_slice proto;
};

/* One call of one, while its body is read. */
struct call {
    const struct call *outer; /* it is called in the body of another */
    const struct function *function;
    const struct accel_node *node; /* that stands for the call; in no graph */
    const struct accel_opset *opsets;
    size_t opsets_count;
    const struct accel_attr *defaults; /* of its attributes */
    size_t defaults_count;
    const char **outputs; /* names, as many as the node has outputs */
    unsigned depth;
};

struct reader {
    struct accel_ir *ir;
    struct function *functions; /* sorted */
    size_t functions_count;
    size_t functions_bytes;  /* read so far, each call counted in */
    const struct call *call; /* at work; NULL: no function's body is being read */
    accel_external_fn *external;
    void *context;
    size_t nodes;          /* so far, subgraphs and what is in them counted in */
    size_t graphs;         /* subgraphs among them */
    size_t captures;       /* likewise */
    size_t external_bytes; /* claimed so far */
    size_t dense_bytes;    /* that sparse tensors became */
};

static int no_memory(struct accel_error *err)
{
    return accel_fail(err, ACCEL_E_NOMEM, "no memory for the graph");
}

/* ---------------------------------------------------------------- strings */

static bool is_utf8(const uint8_t *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        const uint8_t c = s[i];
        const size_t more = c < 0x80                ? 0
                            : c >= 0xc2 && c < 0xe0 ? 1
                            : c >= 0xe0 && c < 0xf0 ? 2
                            : c >= 0xf0 && c < 0xf5 ? 3
                                                    : SIZE_MAX;

        if (more == SIZE_MAX || more >= n - i)
            return false;
        for (size_t k = 1; k <= more; k++)
            if ((s[i + k] & 0xc0) != 0x80)
                return false;
        if ((c == 0xe0 && s[i + 1] < 0xa0) || (c == 0xed && s[i + 1] > 0x9f) ||
            (c == 0xf0 && s[i + 1] < 0x90) || (c == 0xf4 && s[i + 1] > 0x8f))
            return false;
        i += more + 1;
    }
    return true;
}

/* Names go into messages, JSON and C strings: no NUL, no control characters, UTF-8. */
static int text_of(struct reader *r, const struct accel_wire_field *f, const char *what,
                   const char **out, struct accel_error *err)
{
    if (f->type != ACCEL_WIRE_BYTES)
        return accel_fail(err, ACCEL_E_INVALID, "%s is not a string", what);
    if (!is_utf8(f->bytes.data, f->bytes.size))
        return accel_fail(err, ACCEL_E_INVALID, "%s is not UTF-8", what);
    if (f->bytes.size > NAME_MAX_BYTES) {
        int shown = 0; /* plain letters only: a longer sequence must not be cut */

        while (shown < 24 && f->bytes.data[shown] > 0x20 && f->bytes.data[shown] < 0x7f)
            shown++;
        return accel_fail(err, ACCEL_E_INVALID, "%s ('%.*s...') of %zu bytes, %d are allowed", what,
                          shown, (const char *)f->bytes.data, f->bytes.size, NAME_MAX_BYTES);
    }
    for (size_t i = 0; i < f->bytes.size; i++)
        if (f->bytes.data[i] < 0x20)
            return accel_fail(err, ACCEL_E_INVALID, "%s holds a control character", what);
    char *copy = accel_bump_alloc(&r->ir->mem, f->bytes.size + 1, 1);
    if (copy == NULL)
        return no_memory(err);
    memcpy(copy, f->bytes.data, f->bytes.size);
    *out = copy;
    return ACCEL_OK;
}

/* "" and "ai.onnx" are one domain. */
static const char *domain_of(const char *domain)
{
    return strcmp(domain, "ai.onnx") == 0 ? "" : domain;
}

/* ---------------------------------------------------------------- scopes */

static size_t hash_name(const char *name)
{
    uint64_t h = 1469598103934665603u; /* FNV-1a */

    for (; *name != '\0'; name++)
        h = (h ^ (uint8_t)*name) * 1099511628211u;
    return (size_t)(h ^ h >> 29);
}

static void scope_free(struct scope *s)
{
    accel_free(s->slots);
    accel_free(s->outer);
    accel_free(s->captured);
}

static int scope_reserve(struct scope *s, size_t count, struct accel_error *err)
{
    size_t size = 16;

    while (size < count * 2)
        size *= 2;
    s->slots = accel_calloc(size, sizeof(*s->slots));
    s->size = size;
    return s->slots != NULL ? ACCEL_OK : no_memory(err);
}

static struct scope_entry *scope_slot(const struct scope *s, const char *name)
{
    size_t i = hash_name(name) & (s->size - 1);

    while (s->slots[i].value != NULL && strcmp(s->slots[i].name, name) != 0)
        i = (i + 1) & (s->size - 1);
    return &s->slots[i];
}

/* Doubles when half full: nodes have as many outputs as they like. */
static int scope_add(struct scope *s, const char *name, struct accel_value *v,
                     struct accel_error *err)
{
    if (s->used * 2 >= s->size) {
        struct scope bigger = {0};
        const int rc = scope_reserve(&bigger, s->size, err);

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

/* A name of the graph or of one around it, in which case every graph on the way gets an input that
 * stands for it. *out NULL: there is none. */
static int scope_find(struct reader *r, struct scope *s, const char *name, struct accel_value **out,
                      struct accel_error *err)
{
    struct accel_value *outer = NULL;

    *out = scope_slot(s, name)->value;
    if (*out != NULL || s->parent == NULL)
        return ACCEL_OK;
    int rc = scope_find(r, s->parent, name, &outer, err);
    if (rc != ACCEL_OK || outer == NULL || outer == &left_out) {
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
    return scope_add(s, v->name, v, err);
}

/* ---------------------------------------------------------------- tensors */

/* Adds the numbers of one field (packed or one by one) of int64 type. */
static int int64s_of(const struct accel_wire_field *f, int64_t *out, size_t max, size_t *count,
                     struct accel_error *err)
{
    struct accel_wire w;
    uint64_t v;

    if (f->type == ACCEL_WIRE_VARINT) {
        if (*count == max)
            return accel_fail(err, ACCEL_E_LIMIT, "more than %zu numbers", max);
        out[(*count)++] = (int64_t)f->value;
        return ACCEL_OK;
    }
    if (f->type != ACCEL_WIRE_BYTES)
        return accel_fail(err, ACCEL_E_INVALID, "a list of integers is of another type");
    for (w = accel_wire_of(f->bytes); w.at < w.end;) {
        if (!accel_wire_varint(&w, &v))
            return accel_fail(err, ACCEL_E_INVALID, "a list of integers is cut off");
        if (*count == max)
            return accel_fail(err, ACCEL_E_LIMIT, "more than %zu numbers", max);
        out[(*count)++] = (int64_t)v;
    }
    return ACCEL_OK;
}

/* What a TensorProto says before its data is looked at. */
struct tensor_fields {
    const char *name;
    uint64_t data_type;
    bool external;
    const char *location;
    uint64_t offset, length;
    bool has_length;
    struct accel_slice raw;
    bool has_raw;
    size_t typed_fields; /* fields of typed data seen */
};

static int number_of_text(const struct accel_slice *s, uint64_t *out, struct accel_error *err)
{
    *out = 0;
    for (size_t i = 0; i < s->size; i++)
        if (s->data[i] < '0' || s->data[i] > '9' || __builtin_mul_overflow(*out, 10, out) ||
            __builtin_add_overflow(*out, s->data[i] - '0', out))
            return accel_fail(err, ACCEL_E_INVALID, "external data: offset or length is no number");
    return ACCEL_OK;
}

static int external_entry(struct reader *r, struct accel_slice bytes, struct tensor_fields *t,
                          struct accel_error *err)
{
    struct accel_wire w = accel_wire_of(bytes);
    struct accel_wire_field f, value = {0};
    struct accel_slice key = {0};
    int more;

    while ((more = accel_wire_next(&w, &f, err)) > 0) {
        if (f.number == 1)
            key = f.bytes;
        else if (f.number == 2)
            value = f;
    }
    if (more < 0)
        return -more;
#define KEY_IS(text) (key.size == sizeof(text) - 1 && memcmp(key.data, text, sizeof(text) - 1) == 0)
    if (KEY_IS("location"))
        return text_of(r, &value, "location of external data", &t->location, err);
    if (KEY_IS("offset"))
        return number_of_text(&value.bytes, &t->offset, err);
    if (KEY_IS("length")) {
        t->has_length = true;
        return number_of_text(&value.bytes, &t->length, err);
    }
#undef KEY_IS
    return ACCEL_OK; /* checksum, basepath: not used */
}

/* Bytes per element of a typed field's numbers as stored, 0: varints. */
static int typed_data(struct accel_slice proto, struct accel_tensor *t, struct accel_error *err)
{
    struct accel_wire w = accel_wire_of(proto);
    struct accel_wire_field f;
    const size_t size = accel_dtype_size(t->dtype);
    size_t at = 0;
    int more;

    while ((more = accel_wire_next(&w, &f, err)) > 0) {
        const bool floats = f.number == 4, doubles = f.number == 10;

        if (floats || doubles) {
            const size_t step = floats ? 4 : 8;
            const bool fits =
                floats ? t->dtype == ACCEL_DTYPE_FLOAT || t->dtype == ACCEL_DTYPE_COMPLEX64
                       : t->dtype == ACCEL_DTYPE_DOUBLE || t->dtype == ACCEL_DTYPE_COMPLEX128;
            const void *from = f.type == ACCEL_WIRE_BYTES ? (const void *)f.bytes.data : &f.value;
            const size_t n = f.type == ACCEL_WIRE_BYTES ? f.bytes.size : step;

            if (!fits || n % step != 0 || f.type == ACCEL_WIRE_VARINT)
                return accel_fail(err, ACCEL_E_INVALID, "its data is not of type %s",
                                  accel_dtype_name(t->dtype));
            if (n > t->size_bytes - at)
                return accel_fail(err, ACCEL_E_INVALID, "more data than its shape holds");
            memcpy((char *)t->data + at, from, n);
            at += n;
        } else if (f.number == 5 || f.number == 7 || f.number == 11) {
            struct accel_wire list =
                f.type == ACCEL_WIRE_BYTES ? accel_wire_of(f.bytes) : (struct accel_wire){0};
            bool one = f.type == ACCEL_WIRE_VARINT;
            const bool fits =
                f.number == 7 ? t->dtype == ACCEL_DTYPE_INT64
                : f.number == 11
                    ? t->dtype == ACCEL_DTYPE_UINT32 || t->dtype == ACCEL_DTYPE_UINT64
                    : size <= 4 && t->dtype != ACCEL_DTYPE_FLOAT && t->dtype != ACCEL_DTYPE_UINT32;

            if (!fits || (f.type != ACCEL_WIRE_BYTES && !one))
                return accel_fail(err, ACCEL_E_INVALID, "its data is not of type %s",
                                  accel_dtype_name(t->dtype));
            while (one || list.at < list.end) {
                uint64_t v = f.value;

                if (!one && !accel_wire_varint(&list, &v))
                    return accel_fail(err, ACCEL_E_INVALID, "its data is cut off");
                if (size > t->size_bytes - at)
                    return accel_fail(err, ACCEL_E_INVALID, "more data than its shape holds");
                memcpy((char *)t->data + at, &v, size);
                at += size;
                one = false;
            }
        }
    }
    if (more < 0)
        return -more;
    if (at != t->size_bytes)
        return accel_fail(err, ACCEL_E_INVALID, "its shape needs %zu bytes of data, it holds %zu",
                          t->size_bytes, at);
    return ACCEL_OK;
}

/* `stored`: bytes of the tensor in the file. */
static int external_data(struct reader *r, const struct tensor_fields *fields, size_t stored,
                         const uint8_t **data, struct accel_error *err)
{
    const void *bytes;
    size_t size;

    if (fields->location == NULL || !accel_location_inside(fields->location))
        return accel_fail(err, ACCEL_E_INVALID,
                          "external data must lie in the model's own folder, not at '%s'",
                          fields->location != NULL ? fields->location : "");
    if (r->external == NULL)
        return accel_fail(err, ACCEL_E_INVALID,
                          "its data is in another file ('%s') and none was given",
                          fields->location);
    if (fields->has_length && fields->length != stored)
        return accel_fail(err, ACCEL_E_INVALID,
                          "external data of %" PRIu64 " bytes, its shape needs %zu", fields->length,
                          stored);
    const int rc = r->external(r->context, fields->location, &bytes, &size, err);
    if (rc != ACCEL_OK)
        return rc;
    if (fields->offset > size || stored > size - fields->offset)
        return accel_fail(err, ACCEL_E_INVALID,
                          "external data '%s': %zu bytes at %" PRIu64 " are asked, it has %zu",
                          fields->location, stored, fields->offset, size);
    *data = (const uint8_t *)bytes + fields->offset;
    return ACCEL_OK;
}

static int strings_data(struct reader *r, struct accel_slice proto, struct accel_tensor *t,
                        struct accel_error *err)
{
    const size_t elements = t->size_bytes / sizeof(char *);
    struct accel_wire w = accel_wire_of(proto);
    struct accel_wire_field f;
    size_t count = 0;
    int more;
    /* An empty string costs two bytes in the file: no shape may ask for more. */
    if (elements > proto.size)
        return accel_fail(err, ACCEL_E_INVALID, "its shape needs %zu strings, it has %zu bytes",
                          elements, proto.size);
    const char **strings = accel_bump_alloc(&r->ir->mem, elements + 1, sizeof(*strings));
    if (strings == NULL)
        return no_memory(err);
    while ((more = accel_wire_next(&w, &f, err)) > 0) {
        if (f.number != 6)
            continue;
        if (f.type != ACCEL_WIRE_BYTES || count == elements)
            return accel_fail(err, ACCEL_E_INVALID, "not the strings its shape needs");
        char *copy = accel_bump_alloc(&r->ir->mem, f.bytes.size + 1, 1);
        if (copy == NULL)
            return no_memory(err);
        memcpy(copy, f.bytes.data, f.bytes.size);
        strings[count++] = copy;
    }
    if (more < 0)
        return -more;
    if (count != elements)
        return accel_fail(err, ACCEL_E_INVALID, "its shape needs %zu strings, it has %zu", elements,
                          count);
    t->data = strings;
    return ACCEL_OK;
}

static bool is_packed(enum accel_dtype dtype)
{
    return dtype != ACCEL_DTYPE_STRING && accel_dtype_bits(dtype) < 8;
}

/* Bytes of a tensor as the file holds it: types below eight bits are packed. */
static size_t stored_bytes(const struct accel_tensor *t)
{
    return is_packed(t->dtype) ? accel_subbyte_size(accel_dtype_bits(t->dtype), t->size_bytes)
                               : t->size_bytes;
}

static void unpack(struct accel_tensor *t, const uint8_t *packed)
{
    accel_subbyte_unpack(accel_dtype_bits(t->dtype),
                         t->dtype == ACCEL_DTYPE_INT4 || t->dtype == ACCEL_DTYPE_INT2,
                         t->size_bytes, packed, t->data);
}

/* Numbers in the fields of their type, into memory of the ir. */
static int typed_tensor(struct reader *r, struct accel_slice proto, struct accel_tensor *t,
                        struct accel_error *err)
{
    const unsigned bits = accel_dtype_bits(t->dtype);
    struct accel_tensor bytes = *t;

    /* A number of 2 or 4 bits shares its int32 with others, one of 6 has it alone. */
    if (bits == 2 || bits == 4)
        bytes.size_bytes = stored_bytes(t);
    /* A varint costs a byte at least, whatever the element's size: no allocation beyond what
     * the file could fill. */
    if (bytes.size_bytes / accel_dtype_size(t->dtype) > proto.size)
        return accel_fail(err, ACCEL_E_INVALID,
                          "its shape needs %zu bytes of data, it holds less than %zu",
                          bytes.size_bytes, proto.size);
    t->data = bytes.data = accel_bump_alloc(&r->ir->mem, t->size_bytes + 1, 1);
    if (t->data == NULL)
        return no_memory(err);
    const int rc = typed_data(proto, &bytes, err);
    if (rc == ACCEL_OK && (bits == 2 || bits == 4))
        unpack(t, t->data);
    for (size_t i = 0; bits == 6 && i < t->size_bytes; i++)
        ((uint8_t *)t->data)[i] &= 0x3f;
    return rc;
}

/* TensorProto -> tensor. The data is a slice of the file where the file holds it plainly and it is
 * large, else memory of the ir. */
static int tensor_of(struct reader *r, struct accel_slice proto, struct accel_tensor *t,
                     const char **name, struct accel_error *err)
{
    struct accel_wire w = accel_wire_of(proto);
    struct accel_wire_field f;
    struct tensor_fields fields = {.name = ""};
    struct accel_shape shape = {.has_rank = true};
    int64_t dims[ACCEL_RANK_MAX];
    size_t rank = 0;
    int more, rc = ACCEL_OK;

    while (rc == ACCEL_OK && (more = accel_wire_next(&w, &f, err)) > 0)
        if (f.number == 8) /* first, to name the tensor whatever else is wrong with it */
            rc = text_of(r, &f, "a tensor's name", &fields.name, err);
    if (rc != ACCEL_OK)
        return rc;
    for (w = accel_wire_of(proto); rc == ACCEL_OK && (more = accel_wire_next(&w, &f, err)) != 0;) {
        if (more < 0) {
            accel_fail_in(err, "tensor '%s'", fields.name);
            return -more;
        }
        switch (f.number) {
        case 1:
            rc = int64s_of(&f, dims, ACCEL_RANK_MAX, &rank, err);
            if (rc == ACCEL_E_LIMIT)
                rc = accel_fail(err, ACCEL_E_INVALID, "more than %d dimensions", ACCEL_RANK_MAX);
            break;
        case 2:
            fields.data_type = f.value;
            break;
        case 4:
        case 5:
        case 6:
        case 7:
        case 10:
        case 11:
            fields.typed_fields++;
            break;
        case 9:
            fields.has_raw = true;
            fields.raw = f.bytes;
            if (f.type != ACCEL_WIRE_BYTES)
                rc = accel_fail(err, ACCEL_E_INVALID, "raw data is not bytes");
            break;
        case 13:
            rc = external_entry(r, f.bytes, &fields, err);
            break;
        case 14:
            fields.external = f.value == 1;
            break;
        default:
            break;
        }
    }
    if (name != NULL)
        *name = fields.name;
    if (rc != ACCEL_OK)
        return accel_fail_in(err, "tensor '%s'", fields.name);
    shape.rank = (uint32_t)rank;
    for (size_t i = 0; i < rank; i++) {
        shape.dims[i] = dims[i];
        if (dims[i] < 0)
            return accel_fail(err, ACCEL_E_INVALID,
                              "tensor '%s': dimension %zu is negative (%" PRId64 ")", fields.name,
                              i, dims[i]);
    }
    *t = (struct accel_tensor){.dtype = (enum accel_dtype)fields.data_type, .rank = shape.rank};
    memcpy(t->dims, shape.dims, sizeof(t->dims));
    if (fields.data_type > ACCEL_DTYPE_LAST || fields.data_type == 0)
        return accel_fail(err, fields.data_type == 0 ? ACCEL_E_INVALID : ACCEL_E_UNSUPPORTED,
                          "tensor '%s': data type %" PRIu64 " is not supported", fields.name,
                          fields.data_type);
    if (!accel_shape_bytes(&shape, t->dtype, &t->size_bytes)) {
        char text[ACCEL_SHAPE_TEXT];

        return accel_fail(err, ACCEL_E_INVALID, "tensor '%s': shape %s overflows", fields.name,
                          accel_shape_format(&shape, text));
    }
    if (t->size_bytes > r->ir->limits.tensor_bytes)
        return accel_fail(err, ACCEL_E_LIMIT, "tensor '%s': %zu bytes, over the limit of %zu",
                          fields.name, t->size_bytes, r->ir->limits.tensor_bytes);
    const uint8_t *data = NULL;
    const size_t stored = stored_bytes(t);
    if (fields.external) {
        rc = external_data(r, &fields, stored, &data, err);
    } else if (t->dtype == ACCEL_DTYPE_STRING) {
        rc = strings_data(r, proto, t, err);
        return rc == ACCEL_OK ? rc : accel_fail_in(err, "tensor '%s'", fields.name);
    } else if (fields.has_raw) {
        if (fields.raw.size != stored)
            rc = accel_fail(err, ACCEL_E_INVALID, "its shape needs %zu bytes of data, it holds %zu",
                            stored, fields.raw.size);
        data = fields.raw.data;
    } else {
        rc = typed_tensor(r, proto, t, err);
    }
    if (rc != ACCEL_OK)
        return accel_fail_in(err, "tensor '%s'", fields.name);
    if (data != NULL && is_packed(t->dtype)) {
        t->data = accel_bump_alloc(&r->ir->mem, t->size_bytes + 1, 1);
        if (t->data == NULL)
            return no_memory(err);
        unpack(t, data);
    } else if (data != NULL && t->size_bytes <= ACCEL_CONSTANT_SMALL) {
        t->data = accel_bump_alloc(&r->ir->mem, t->size_bytes + 1, 1);
        if (t->data == NULL)
            return no_memory(err);
        memcpy(t->data, data, t->size_bytes);
    } else if (data != NULL) {
        t->data = (void *)(uintptr_t)data; /* read-only from here on: nobody writes constants */
    }
    return ACCEL_OK;
}

/* SparseTensorProto -> dense tensor in memory of the ir; all of these together are held against the
 * limit of the model's size, whatever few bytes the file spends on them. */
static int sparse_of(struct reader *r, struct accel_slice proto, struct accel_tensor *t,
                     const char **name, struct accel_error *err)
{
    struct accel_wire w = accel_wire_of(proto);
    struct accel_wire_field f;
    struct accel_tensor values = {0}, indices = {0};
    struct accel_shape shape = {.has_rank = true};
    const size_t limit = ACCEL_MIN(r->ir->limits.tensor_bytes, r->ir->limits.model_bytes);
    const char *unnamed;
    size_t rank = 0;
    int more, rc = ACCEL_OK;

    *name = "";
    while (rc == ACCEL_OK && (more = accel_wire_next(&w, &f, err)) != 0) {
        if (more < 0)
            return -more;
        if (f.number == 1)
            rc = tensor_of(r, f.bytes, &values, name, err);
        else if (f.number == 2)
            rc = tensor_of(r, f.bytes, &indices, &unnamed, err);
        else if (f.number == 3)
            rc = int64s_of(&f, shape.dims, ACCEL_RANK_MAX, &rank, err);
    }
    shape.rank = (uint32_t)rank;
    if (rc == ACCEL_OK)
        rc = accel_sparse_check(&values, &indices, &shape, err);
    if (rc != ACCEL_OK)
        return accel_fail_in(err, "sparse tensor '%s'", *name);
    *t = (struct accel_tensor){.dtype = values.dtype, .rank = shape.rank};
    memcpy(t->dims, shape.dims, sizeof(t->dims));
    if (!accel_shape_static(&shape) || !accel_shape_bytes(&shape, t->dtype, &t->size_bytes))
        return accel_fail(err, ACCEL_E_INVALID, "sparse tensor '%s': its shape has no size", *name);
    if (t->size_bytes > limit - ACCEL_MIN(r->dense_bytes, limit))
        return accel_fail(err, ACCEL_E_LIMIT,
                          "sparse tensor '%s': %zu bytes, over the limit of %zu", *name,
                          t->size_bytes, limit);
    r->dense_bytes += t->size_bytes;
    t->data = accel_bump_alloc(&r->ir->mem, t->size_bytes + 1, 1);
    if (t->data == NULL)
        return no_memory(err);
    rc = accel_sparse_fill(&values, &indices, &shape, t, err);
    return rc == ACCEL_OK ? rc : accel_fail_in(err, "sparse tensor '%s'", *name);
}

/* ---------------------------------------------------------------- types */

static int shape_of_proto(struct reader *r, struct accel_slice proto, struct accel_shape *shape,
                          const char ***dim_names, struct accel_error *err)
{
    struct accel_wire w = accel_wire_of(proto);
    struct accel_wire_field f, d;
    int more, inner;

    *shape = (struct accel_shape){.has_rank = true};
    while ((more = accel_wire_next(&w, &f, err)) > 0) {
        if (f.number != 1)
            continue;
        if (shape->rank == ACCEL_RANK_MAX)
            return accel_fail(err, ACCEL_E_INVALID, "more than %d dimensions", ACCEL_RANK_MAX);
        int64_t *dim = &shape->dims[shape->rank];
        *dim = ACCEL_DIM_ANY;
        struct accel_wire dim_wire = accel_wire_of(f.bytes);
        while ((inner = accel_wire_next(&dim_wire, &d, err)) > 0) {
            if (d.number == 1 && d.type == ACCEL_WIRE_VARINT) {
                /* Exporters write -1 and 0 for "any" here; below that nothing has a meaning. */
                const int64_t v = (int64_t)d.value;

                if (v < -1)
                    return accel_fail(err, ACCEL_E_INVALID,
                                      "dimension %u is negative (%" PRId64 ")", shape->rank, v);
                *dim = v == -1 ? ACCEL_DIM_ANY : v;
            } else if (d.number == 2) {
                const char *name;
                const int rc = text_of(r, &d, "a dimension's name", &name, err);

                if (rc != ACCEL_OK)
                    return rc;
                if (*dim_names == NULL)
                    *dim_names = accel_bump_alloc(&r->ir->mem, ACCEL_RANK_MAX, sizeof(**dim_names));
                if (*dim_names == NULL)
                    return no_memory(err);
                if (name[0] != '\0')
                    (*dim_names)[shape->rank] = name;
            }
        }
        if (inner < 0)
            return -inner;
        shape->rank++;
    }
    return more < 0 ? -more : ACCEL_OK;
}

/* TypeProto. Sequences, optionals and optional sequences keep their element's type; deeper nesting
 * is OTHER. */
static int type_of(struct reader *r, struct accel_slice proto, unsigned depth,
                   struct accel_type *type, const char ***dim_names, struct accel_error *err)
{
    struct accel_wire w = accel_wire_of(proto);
    struct accel_wire_field f, g;
    int more, inner, rc = ACCEL_OK;

    while (rc == ACCEL_OK && (more = accel_wire_next(&w, &f, err)) != 0) {
        if (more < 0)
            return -more;
        if (f.type != ACCEL_WIRE_BYTES)
            continue;
        if (f.number == 5 || f.number == 8)
            type->kind = ACCEL_VALUE_OTHER;
        if (f.number != 1 && f.number != 4 && f.number != 9)
            continue;
        struct accel_wire t = accel_wire_of(f.bytes);
        while (rc == ACCEL_OK && (inner = accel_wire_next(&t, &g, err)) != 0) {
            if (inner < 0)
                return -inner;
            if (f.number == 1 && g.number == 1) {
                if (g.value > ACCEL_DTYPE_LAST)
                    rc = accel_fail(err, ACCEL_E_UNSUPPORTED,
                                    "data type %" PRIu64 " is not supported", g.value);
                else
                    type->dtype = (enum accel_dtype)g.value;
            } else if (f.number == 1 && g.number == 2) {
                rc = shape_of_proto(r, g.bytes, &type->shape, dim_names, err);
            } else if (f.number != 1 && g.number == 1 && g.type == ACCEL_WIRE_BYTES) {
                if (depth >= 2) {
                    type->kind = ACCEL_VALUE_OTHER;
                    return ACCEL_OK;
                }
                rc = type_of(r, g.bytes, depth + 1, type, dim_names, err);
                if (f.number == 9 && type->kind <= ACCEL_VALUE_SEQUENCE)
                    type->kind |= ACCEL_VALUE_OPTIONAL;
                else
                    type->kind = f.number == 4 && type->kind == ACCEL_VALUE_TENSOR
                                     ? ACCEL_VALUE_SEQUENCE
                                     : ACCEL_VALUE_OTHER;
            }
        }
    }
    return rc;
}

static int value_info_of(struct reader *r, struct accel_slice proto, const char *what,
                         const char **name, struct accel_type *type, const char ***dim_names,
                         struct accel_error *err)
{
    struct accel_wire w = accel_wire_of(proto);
    struct accel_wire_field f;
    int more, rc = ACCEL_OK;

    *name = "";
    *dim_names = NULL;
    *type = (struct accel_type){0};
    while (rc == ACCEL_OK && (more = accel_wire_next(&w, &f, err)) != 0) {
        if (more < 0)
            return accel_fail_in(err, "%s '%s'", what, *name), -more;
        if (f.number == 1)
            rc = text_of(r, &f, "a name", name, err);
        else if (f.number == 2 && f.type == ACCEL_WIRE_BYTES)
            rc = type_of(r, f.bytes, 0, type, dim_names, err);
    }
    if (rc == ACCEL_OK && (*name)[0] == '\0')
        rc = accel_fail(err, ACCEL_E_INVALID, "has no name");
    if (rc != ACCEL_OK)
        accel_fail_in(err, "%s '%s'", what, *name);
    return rc;
}

/* ---------------------------------------------------------------- nodes */

static int subgraph_of(struct reader *r, struct accel_slice proto, struct accel_graph *parent,
                       struct scope *outer, unsigned depth, struct accel_graph **out,
                       struct accel_error *err);

/* Counts the fields of one number, to size arrays; the wire is checked on the way. */
static int count_fields(struct accel_slice proto, uint32_t number, size_t *count,
                        struct accel_error *err)
{
    struct accel_wire w = accel_wire_of(proto);
    struct accel_wire_field f;
    int more;

    *count = 0;
    while ((more = accel_wire_next(&w, &f, err)) > 0)
        *count += f.number == number;
    return more < 0 ? -more : ACCEL_OK;
}

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

static int floats_append(const struct accel_wire_field *f, float *out, size_t *n,
                         struct accel_error *err)
{
    if (f->type == ACCEL_WIRE_32) {
        memcpy(&out[(*n)++], &f->value, 4);
        return ACCEL_OK;
    }
    if (f->type != ACCEL_WIRE_BYTES || f->bytes.size % 4 != 0)
        return accel_fail(err, ACCEL_E_INVALID, "not a list of floats");
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
    static const size_t sizes[] = {
        [ACCEL_ATTR_FLOAT] = sizeof(float),
        [ACCEL_ATTR_FLOATS] = sizeof(float),
        [ACCEL_ATTR_INT] = sizeof(int64_t),
        [ACCEL_ATTR_INTS] = sizeof(int64_t),
        [ACCEL_ATTR_STRING] = sizeof(struct accel_bytes),
        [ACCEL_ATTR_STRINGS] = sizeof(struct accel_bytes),
        [ACCEL_ATTR_TENSOR] = sizeof(struct accel_tensor),
        [ACCEL_ATTR_TENSORS] = sizeof(struct accel_tensor),
        [ACCEL_ATTR_GRAPH] = sizeof(void *),
        [ACCEL_ATTR_GRAPHS] = sizeof(void *),
        [ACCEL_ATTR_TYPE] = sizeof(struct accel_type),
        [ACCEL_ATTR_TYPES] = sizeof(struct accel_type),
    };
    void *array = accel_bump_alloc(&r->ir->mem, room + 1, sizes[attr->type]);
    size_t n = 0;
    int more, rc = ACCEL_OK;

    if (array == NULL)
        return no_memory(err);
    while (rc == ACCEL_OK && (more = accel_wire_next(&w, &f, err)) != 0) {
        if (more < 0)
            return -more;
        if (f.number != number)
            continue;
        switch (attr->type) {
        case ACCEL_ATTR_FLOAT:
        case ACCEL_ATTR_FLOATS:
            rc = floats_append(&f, array, &n, err);
            break;
        case ACCEL_ATTR_INT:
        case ACCEL_ATTR_INTS:
            rc = int64s_of(&f, array, room, &n, err);
            break;
        case ACCEL_ATTR_STRING:
        case ACCEL_ATTR_STRINGS: {
            char *copy = accel_bump_alloc(&r->ir->mem, f.bytes.size + 1, 1);

            if (copy == NULL)
                return no_memory(err);
            if (f.bytes.size > 0)
                memcpy(copy, f.bytes.data, f.bytes.size);
            ((struct accel_bytes *)array)[n++] =
                (struct accel_bytes){.data = copy, .size = f.bytes.size};
            break;
        }
        case ACCEL_ATTR_TENSOR:
        case ACCEL_ATTR_TENSORS:
            rc = tensor_of(r, f.bytes, &((struct accel_tensor *)array)[n++], NULL, err);
            break;
        case ACCEL_ATTR_GRAPH:
        case ACCEL_ATTR_GRAPHS:
            /* Here, so that the node is named; recursion ends here too. */
            if (depth + 1 > r->ir->limits.nesting)
                return accel_fail(err, ACCEL_E_LIMIT, "graphs nest deeper than %zu",
                                  r->ir->limits.nesting);
            rc = subgraph_of(r, f.bytes, node->graph, scope, depth + 1,
                             &((struct accel_graph **)array)[n++], err);
            break;
        case ACCEL_ATTR_TYPE:
        case ACCEL_ATTR_TYPES: {
            const char **names = NULL;

            rc = type_of(r, f.bytes, 0, &((struct accel_type *)array)[n++], &names, err);
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
        return no_memory(err);
    while (rc == ACCEL_OK && (more = accel_wire_next(&w, &f, err)) > 0)
        if (f.number == attr_field_of(ACCEL_ATTR_SPARSE_TENSOR))
            rc = sparse_of(r, f.bytes, t, &name, err);
    if (rc == ACCEL_OK && t->dtype == ACCEL_DTYPE_UNDEFINED)
        rc = accel_fail(err, ACCEL_E_INVALID, "it has no value");
    if (rc != ACCEL_OK)
        return accel_fail_in(err, "attribute '%s'", attr->name);
    attr->type = ACCEL_ATTR_TENSOR;
    attr->count = 1;
    attr->tensors = t;
    return ACCEL_OK;
}

/* *inner: what is wrong lies inside a subgraph, which has said where. Proto2 writes no scalar that
 * is absent; proto3 none that is zero: an attribute of a scalar type without its field is the zero
 * of the type. */
static int attr_of(struct reader *r, struct accel_slice proto, struct accel_node *node,
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
            rc = text_of(r, &f, "an attribute's name", &attr->name, err);
        else if (f.number == 20)
            stated = f.value <= ACCEL_ATTR_TYPES ? (enum accel_attr_type)f.value : ACCEL_ATTR_NONE;
        else if (f.number == 21 && f.bytes.size > 0)
            rc = text_of(r, &f, "the name of a function's attribute", &refers, err);
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
    if (attr->type == ACCEL_ATTR_SPARSE_TENSORS)
        return ACCEL_OK; /* no operator of the table takes one: its rules refuse it */
    if (attr->type == ACCEL_ATTR_SPARSE_TENSOR)
        return sparse_attr(r, proto, attr, err);
    w = accel_wire_of(proto);
    while ((more = accel_wire_next(&w, &f, err)) > 0)
        if (f.number == number)
            room += attr->type == ACCEL_ATTR_FLOATS ? count_packed(&f, 4)
                    : attr->type == ACCEL_ATTR_INTS ? count_packed(&f, 0)
                                                    : 1;
    rc = attr_values(r, proto, number, room, attr, node, scope, depth, err);
    *inner = rc != ACCEL_OK &&
             (attr->type == ACCEL_ATTR_GRAPH || attr->type == ACCEL_ATTR_GRAPHS) &&
             depth + 1 <= r->ir->limits.nesting;
    if (*inner)
        return rc;
    if (rc != ACCEL_OK)
        return accel_fail_in(err, "attribute '%s'", attr->name);
    const bool scalar = attr->type <= ACCEL_ATTR_GRAPH || attr->type == ACCEL_ATTR_TYPE;
    if (scalar && attr->count == 0) {
        if (attr->type > ACCEL_ATTR_STRING)
            return accel_fail(err, ACCEL_E_INVALID, "attribute '%s' has no value", attr->name);
        if (attr->type == ACCEL_ATTR_STRING)
            ((struct accel_bytes *)(uintptr_t)attr->strings)[0].data = "";
        attr->count = 1; /* the array has room for one more and is zeroed */
    }
    if (scalar && attr->count > 1)
        return accel_fail(err, ACCEL_E_INVALID, "attribute '%s' has %zu values", attr->name,
                          attr->count);
    return ACCEL_OK;
}

/* What the second walk over a graph needs of a node read in the first. */
struct pending {
    struct accel_node *node;
    struct accel_slice proto;
    const struct function *function; /* not NULL: the node calls it and is in no graph */
};

static int append_node(struct accel_graph *g, struct accel_node *node, struct accel_error *err)
{
    if (g->nodes_count == g->nodes_room) {
        const size_t room = g->nodes_room * 2 + 16;
        struct accel_node **more = accel_bump_alloc(&g->ir->mem, room, sizeof(*more));

        if (more == NULL)
            return no_memory(err);
        if (g->nodes_count > 0)
            memcpy(more, g->nodes, g->nodes_count * sizeof(struct accel_node *));
        g->nodes = more;
        g->nodes_room = room;
    }
    g->nodes[g->nodes_count++] = node;
    return ACCEL_OK;
}

static int compare_functions(const void *a, const void *b)
{
    const struct function *x = a, *y = b;
    int order = strcmp(x->domain, y->domain);

    if (order == 0)
        order = strcmp(x->name, y->name);
    return order != 0 ? order : strcmp(x->overload, y->overload);
}

static const struct function *find_function(const struct reader *r, const char *domain,
                                            const char *name, const char *overload)
{
    const struct function wanted = {.domain = domain, .name = name, .overload = overload};

    return r->functions_count == 0 ? NULL
                                   : bsearch(&wanted, r->functions, r->functions_count,
                                             sizeof(wanted), compare_functions);
}

/* The caller's value for an output of the function whose body this is, unless it has one. */
static struct accel_value *callers_value(const struct scope *scope, const char *name)
{
    const struct call *c = scope->call;

    for (size_t o = 0; c != NULL && o < c->node->outputs_count; o++)
        if (c->node->outputs[o] != NULL && c->node->outputs[o]->producer == c->node &&
            strcmp(c->outputs[o], name) == 0)
            return c->node->outputs[o];
    return NULL;
}

/* First walk: name, operator, outputs. Inputs and attributes need all names of the graph. */
static int node_of(struct reader *r, struct accel_slice proto, struct accel_graph *graph,
                   struct scope *scope, size_t index, struct pending *pending,
                   struct accel_error *err)
{
    struct accel_wire w = accel_wire_of(proto);
    struct accel_wire_field f;
    const char *op_type = "", *domain = "", *name = "", *overload = "";
    size_t inputs = 0, outputs = 0, o = 0;
    int more, rc = ACCEL_OK;

    if (++r->nodes > r->ir->limits.nodes)
        return accel_fail(err, ACCEL_E_LIMIT, "more than %zu nodes", r->ir->limits.nodes);
    while (rc == ACCEL_OK && (more = accel_wire_next(&w, &f, err)) != 0) {
        if (more < 0) {
            accel_fail_in(err, "node %zu '%s' (%s)", index, name, op_type);
            return -more;
        }
        inputs += f.number == 1;
        outputs += f.number == 2;
        if (f.number == 3)
            rc = text_of(r, &f, "a node's name", &name, err);
        else if (f.number == 4)
            rc = text_of(r, &f, "an operator's name", &op_type, err);
        else if (f.number == 7)
            rc = text_of(r, &f, "a domain", &domain, err);
        else if (f.number == 8)
            rc = text_of(r, &f, "an overload", &overload, err);
    }
    if (rc != ACCEL_OK)
        return accel_fail_in(err, "node %zu '%s'", index, name);
    if (op_type[0] == '\0')
        return accel_fail(err, ACCEL_E_INVALID, "node %zu '%s' has no operator", index, name);
    if (inputs > LIST_MAX || outputs > LIST_MAX)
        return accel_fail(err, ACCEL_E_LIMIT, "node '%s': more than %d inputs or outputs", name,
                          LIST_MAX);
    struct accel_node *node =
        accel_node_new(graph, op_type, domain_of(domain), inputs, outputs, err);
    if (node == NULL)
        return ACCEL_E_NOMEM;
    node->name = name[0] != '\0' ? name : accel_bump_printf(&r->ir->mem, "%s_%zu", op_type, index);
    if (node->name == NULL)
        return no_memory(err);
    const struct function *called = find_function(r, node->domain, op_type, overload);
    /* Short ones only: fifty thousand nodes thirty calls deep may not add up. */
    if (r->call != NULL && strlen(r->call->node->name) + strlen(node->name) < 256) {
        node->name = accel_bump_printf(&r->ir->mem, "%s/%s", r->call->node->name, node->name);
        if (node->name == NULL)
            return no_memory(err);
    }
    if (called == NULL)
        rc = append_node(graph, node, err);
    if (rc != ACCEL_OK)
        return rc;
    *pending = (struct pending){.node = node, .proto = proto, .function = called};
    w = accel_wire_of(proto);
    while (accel_wire_next(&w, &f, err) > 0) {
        const char *text;

        if (f.number != 2)
            continue;
        rc = text_of(r, &f, "an output's name", &text, err);
        if (rc != ACCEL_OK)
            return accel_fail_in(err, "node '%s' (%s)", node->name, op_type);
        if (text[0] != '\0') {
            if (scope_slot(scope, text)->value != NULL)
                return accel_fail(err, ACCEL_E_INVALID,
                                  "node '%s' (%s): its output '%s' is already defined", node->name,
                                  op_type, text);
            struct accel_value *v = callers_value(scope, text);
            if (v == NULL)
                v = accel_value_new(graph, text, err);
            if (v == NULL)
                return ACCEL_E_NOMEM;
            v->producer = node;
            v->output = (uint32_t)o;
            node->outputs[o] = v;
            rc = scope_add(scope, text, v, err);
            if (rc != ACCEL_OK)
                return rc;
        }
        o++;
    }
    return ACCEL_OK;
}

/* The version that the function, not the model, imports. */
static int function_opset(const struct call *call, struct accel_node *node, struct accel_error *err)
{
    for (size_t i = 0; i < call->opsets_count; i++)
        if (strcmp(call->opsets[i].domain, node->domain) == 0)
            node->opset = call->opsets[i].version;
    if (node->opset <= 0)
        return accel_fail(err, ACCEL_E_INVALID, "function '%s' imports no opset of domain '%s'",
                          call->function->name, node->domain[0] != '\0' ? node->domain : "ai.onnx");
    return ACCEL_OK;
}

static int inline_call(struct reader *r, const struct pending *p, struct scope *scope,
                       unsigned depth, struct accel_error *err);

/* Second walk: inputs by name, attributes, subgraphs. */
static int node_finish(struct reader *r, const struct pending *p, struct scope *scope,
                       unsigned depth, struct accel_error *err)
{
    struct accel_node *node = p->node;
    struct accel_wire w = accel_wire_of(p->proto);
    struct accel_wire_field f;
    size_t attrs, i = 0, a = 0;
    bool inner = false;
    int rc = count_fields(p->proto, 5, &attrs, err);

    if (rc == ACCEL_OK && attrs > LIST_MAX)
        rc = accel_fail(err, ACCEL_E_LIMIT, "more than %d attributes", LIST_MAX);
    struct accel_attr *list = accel_bump_alloc(&r->ir->mem, attrs + 1, sizeof(*list));
    if (rc == ACCEL_OK && list == NULL)
        rc = no_memory(err);
    while (rc == ACCEL_OK && accel_wire_next(&w, &f, err) > 0) {
        if (f.number == 1) {
            const char *text;

            rc = text_of(r, &f, "an input's name", &text, err);
            if (rc != ACCEL_OK || text[0] == '\0') {
                i++;
                continue;
            }
            rc = scope_find(r, scope, text, &node->inputs[i], err);
            if (rc == ACCEL_OK && node->inputs[i] == &left_out) {
                node->inputs[i++] = NULL;
                continue;
            }
            if (rc == ACCEL_OK && node->inputs[i] == NULL)
                rc =
                    accel_fail(err, ACCEL_E_INVALID,
                               "its input '%s' is no input, initialiser or output of a node", text);
            i++;
        } else if (f.number == 5) {
            rc = f.type != ACCEL_WIRE_BYTES
                     ? accel_fail(err, ACCEL_E_INVALID, "an attribute is broken")
                     : attr_of(r, f.bytes, node, scope, depth, &list[a], &inner, err);
            for (size_t k = 0; rc == ACCEL_OK && k < a && a < 256; k++)
                if (strcmp(list[k].name, list[a].name) == 0)
                    rc = accel_fail(err, ACCEL_E_INVALID, "attribute '%s' is given twice",
                                    list[a].name);
            /* It stands for an attribute of the function that the caller left out. */
            a += list[a].type != ACCEL_ATTR_NONE;
        }
    }
    /* What is wrong inside a subgraph names its own node: the chain of nodes around that would fill
     * the message and cut off the reason. */
    if (rc != ACCEL_OK && inner)
        return rc;
    if (rc != ACCEL_OK)
        return accel_fail_in(err, "node '%s' (%s)", node->name, node->op_type);
    node->attrs = list;
    node->attrs_count = a;
    /* An optional input left out at the end is as good as not there. */
    while (node->inputs_count > 0 && node->inputs[node->inputs_count - 1] == NULL)
        node->inputs_count--;
    while (node->outputs_count > 0 && node->outputs[node->outputs_count - 1] == NULL)
        node->outputs_count--;
    if (p->function != NULL)
        return inline_call(r, p, scope, depth, err);
    rc = accel_node_capture(node, err);
    if (rc == ACCEL_OK && r->call != NULL)
        rc = function_opset(r->call, node, err);
    if (rc != ACCEL_OK)
        return accel_fail_in(err, "node '%s' (%s)", node->name, node->op_type);
    return accel_node_bind(node, err);
}

/* ---------------------------------------------------------------- graphs */

/* What a graph's fields are counted to before anything is allocated. */
struct graph_counts {
    size_t nodes, initializers, inputs, outputs;
    const char *name;
};

static int count_graph(struct reader *r, struct accel_slice proto, struct graph_counts *c,
                       struct accel_error *err)
{
    struct accel_wire w = accel_wire_of(proto);
    struct accel_wire_field f;
    int more;

    *c = (struct graph_counts){.name = ""};
    while ((more = accel_wire_next(&w, &f, err)) > 0) {
        c->nodes += f.number == 1;
        c->initializers += f.number == 5 || f.number == 15;
        c->inputs += f.number == 11;
        c->outputs += f.number == 12;
        if (f.number == 2) {
            const int rc = text_of(r, &f, "a graph's name", &c->name, err);
            if (rc != ACCEL_OK)
                return rc;
        }
        if ((f.number == 1 || f.number == 5 || f.number == 11 || f.number == 12 ||
             f.number == 15) &&
            f.type != ACCEL_WIRE_BYTES)
            return accel_fail(err, ACCEL_E_INVALID, "field %u of a graph is not a message",
                              f.number);
    }
    if (more < 0)
        return -more;
    if (c->nodes > r->ir->limits.nodes - r->nodes)
        return accel_fail(err, ACCEL_E_LIMIT, "%zu nodes, over the limit of %zu",
                          r->nodes + c->nodes, r->ir->limits.nodes);
    if (c->initializers > 4 * r->ir->limits.nodes || c->inputs > 4 * r->ir->limits.nodes ||
        c->outputs > 4 * r->ir->limits.nodes)
        return accel_fail(err, ACCEL_E_LIMIT, "%zu initialisers, %zu inputs, %zu outputs",
                          c->initializers, c->inputs, c->outputs);
    return ACCEL_OK;
}

static int define(struct scope *scope, struct accel_graph *g, const char *name, const char *what,
                  struct accel_value **out, struct accel_error *err)
{
    if (scope_slot(scope, name)->value != NULL)
        return accel_fail(err, ACCEL_E_INVALID, "%s '%s' is already defined", what, name);
    *out = accel_value_new(g, name, err);
    return *out == NULL ? ACCEL_E_NOMEM : scope_add(scope, (*out)->name, *out, err);
}

static int read_initializers(struct reader *r, struct accel_slice proto, struct accel_graph *g,
                             struct scope *scope, struct accel_error *err)
{
    struct accel_wire w = accel_wire_of(proto);
    struct accel_wire_field f;

    while (accel_wire_next(&w, &f, err) > 0) {
        const char *name = "";
        struct accel_value *v;

        if (f.number != 5 && f.number != 15)
            continue;
        struct accel_tensor *t = accel_bump_alloc(&r->ir->mem, 1, sizeof(*t));
        if (t == NULL)
            return no_memory(err);
        int rc = f.number == 5 ? tensor_of(r, f.bytes, t, &name, err)
                               : sparse_of(r, f.bytes, t, &name, err);
        if (rc == ACCEL_OK && name[0] == '\0')
            rc = accel_fail(err, ACCEL_E_INVALID, "an initialiser has no name");
        if (rc == ACCEL_OK)
            rc = define(scope, g, name, "initialiser", &v, err);
        if (rc != ACCEL_OK)
            return rc;
        v->data = t;
        r->ir->root->parameters += t->dtype == ACCEL_DTYPE_STRING
                                       ? t->size_bytes / sizeof(char *)
                                       : t->size_bytes / accel_dtype_size(t->dtype);
    }
    return ACCEL_OK;
}

static int read_inputs(struct reader *r, struct accel_slice proto, struct accel_graph *g,
                       struct scope *scope, struct accel_error *err)
{
    struct accel_wire w = accel_wire_of(proto);
    struct accel_wire_field f;

    while (accel_wire_next(&w, &f, err) > 0) {
        const char *name, **dim_names;
        struct accel_type type;
        struct accel_value *v;

        if (f.number != 11)
            continue;
        int rc = value_info_of(r, f.bytes, "input", &name, &type, &dim_names, err);
        if (rc != ACCEL_OK)
            return rc;
        v = scope_slot(scope, name)->value;
        if (v != NULL && v->data != NULL && !v->is_input) {
            v->is_input = true; /* IR 3 lists every initialiser; later ones may be overridden: we
                                 * take the default as the value. */
            continue;
        }
        rc = define(scope, g, name, "input", &v, err);
        if (rc != ACCEL_OK)
            return rc;
        v->is_input = true;
        v->type = type;
        v->dim_names = dim_names;
        g->input_names[g->inputs_count] = v->name;
        g->inputs[g->inputs_count++] = v;
    }
    return ACCEL_OK;
}

static int read_outputs(struct reader *r, struct accel_slice proto, struct accel_graph *g,
                        struct scope *scope, struct accel_error *err)
{
    struct accel_wire w = accel_wire_of(proto);
    struct accel_wire_field f;

    while (accel_wire_next(&w, &f, err) > 0) {
        const char *name, **dim_names;
        struct accel_type type;

        if (f.number != 12)
            continue;
        const int rc = value_info_of(r, f.bytes, "output", &name, &type, &dim_names, err);
        if (rc != ACCEL_OK)
            return rc;
        struct accel_value *v;
        const int found = scope_find(r, scope, name, &v, err);
        if (found != ACCEL_OK)
            return found;
        if (v == NULL || v == &left_out)
            return accel_fail(err, ACCEL_E_INVALID, "output '%s' is produced by no node", name);
        if (v->graph == g && !v->is_input && v->data == NULL) {
            v->dim_names = dim_names;
            v->declared = type.dtype;
            v->declared_kind = type.kind;
        }
        g->output_names[g->outputs_count] = name;
        g->outputs[g->outputs_count++] = v;
    }
    return ACCEL_OK;
}

static int read_nodes(struct reader *r, struct accel_slice proto, struct accel_graph *g,
                      struct scope *scope, size_t count, struct pending *pending,
                      struct accel_error *err)
{
    struct accel_wire w = accel_wire_of(proto);
    struct accel_wire_field f;
    size_t i = 0;

    while (i < count && accel_wire_next(&w, &f, err) > 0) {
        if (f.number != 1)
            continue;
        const int rc = node_of(r, f.bytes, g, scope, i, &pending[i], err);
        if (rc != ACCEL_OK)
            return rc;
        i++;
    }
    return ACCEL_OK;
}

/* What the graph reads of those around it becomes its last inputs. */
static int add_captures(struct accel_graph *g, const struct scope *scope, struct accel_error *err)
{
    const size_t formal = g->inputs_count, total = formal + scope->captures;
    struct accel_bump *mem = &g->ir->mem;
    struct accel_value **inputs, **outer;
    const char **names;

    if (scope->captures == 0)
        return ACCEL_OK;
    inputs = accel_bump_alloc(mem, total + 1, sizeof(*inputs));
    names = accel_bump_alloc(mem, total + 1, sizeof(*names));
    outer = accel_bump_alloc(mem, scope->captures, sizeof(*outer));
    if (inputs == NULL || names == NULL || outer == NULL)
        return no_memory(err);
    for (size_t i = 0; i < total; i++) {
        inputs[i] = i < formal ? g->inputs[i] : scope->captured[i - formal];
        names[i] = i < formal ? g->input_names[i] : inputs[i]->name;
    }
    memcpy(outer, scope->outer, scope->captures * sizeof(*outer));
    g->inputs = inputs;
    g->input_names = names;
    g->outer = outer;
    g->inputs_count = total;
    g->captures_count = scope->captures;
    return ACCEL_OK;
}

static int graph_of(struct reader *r, struct accel_slice proto, struct accel_graph *parent,
                    struct scope *outer, unsigned depth, struct accel_graph **out,
                    struct accel_error *err)
{
    ACCEL_CLEANUP(scope_free) struct scope scope = {.parent = outer};
    ACCEL_CLEANUP(accel_freep) struct pending *pending = NULL;
    struct accel_bump *mem = &r->ir->mem;
    struct graph_counts c;

    int rc = count_graph(r, proto, &c, err);
    if (rc != ACCEL_OK)
        return rc;
    struct accel_graph *g = accel_graph_new(r->ir, parent, c.name, err);
    if (g == NULL)
        return ACCEL_E_NOMEM;
    *out = g;
    scope.graph = g;
    pending = accel_calloc(c.nodes, sizeof(*pending));
    g->nodes_room = c.nodes + 1;
    g->nodes = accel_bump_alloc(mem, g->nodes_room, sizeof(*g->nodes));
    g->inputs = accel_bump_alloc(mem, c.inputs + 1, sizeof(*g->inputs));
    g->outputs = accel_bump_alloc(mem, c.outputs + 1, sizeof(*g->outputs));
    g->input_names = accel_bump_alloc(mem, c.inputs + 1, sizeof(*g->input_names));
    g->output_names = accel_bump_alloc(mem, c.outputs + 1, sizeof(*g->output_names));
    if (pending == NULL || g->nodes == NULL || g->inputs == NULL || g->outputs == NULL ||
        g->input_names == NULL || g->output_names == NULL)
        return no_memory(err);
    rc = scope_reserve(&scope, c.initializers + c.inputs + c.nodes, err);
    if (rc == ACCEL_OK)
        rc = read_initializers(r, proto, g, &scope, err);
    if (rc == ACCEL_OK)
        rc = read_inputs(r, proto, g, &scope, err);
    if (rc == ACCEL_OK)
        rc = read_nodes(r, proto, g, &scope, c.nodes, pending, err);
    if (rc == ACCEL_OK)
        rc = read_outputs(r, proto, g, &scope, err);
    for (size_t i = 0; i < c.nodes && rc == ACCEL_OK; i++)
        rc = node_finish(r, &pending[i], &scope, depth, err);
    if (rc == ACCEL_OK)
        rc = add_captures(g, &scope, err);
    if (rc == ACCEL_OK && parent == NULL && g->outputs_count == 0)
        rc = accel_fail(err, ACCEL_E_INVALID, "the graph has no outputs");
    return rc;
}

/* A graph in an ir of its own. It counts as a node: empty ones are not for free either. */
static int subgraph_of(struct reader *r, struct accel_slice proto, struct accel_graph *parent,
                       struct scope *outer, unsigned depth, struct accel_graph **out,
                       struct accel_error *err)
{
    struct accel_ir *around = r->ir, *ir;

    r->graphs++;
    if (++r->nodes > r->ir->limits.nodes)
        return accel_fail(err, ACCEL_E_LIMIT, "more than %zu nodes and graphs",
                          r->ir->limits.nodes);
    ir = accel_ir_new_sub(around, err);
    if (ir == NULL)
        return ACCEL_E_NOMEM;
    r->ir = ir;
    const int rc = graph_of(r, proto, parent, outer, depth, out, err);
    ir->main = *out;
    r->ir = around;
    return rc;
}

/* ---------------------------------------------------------------- functions */

static int opset_of(struct reader *r, struct accel_slice proto, struct accel_opset *opset,
                    struct accel_error *err);

/* The head of a FunctionProto for one call of it. *nodes: in its body; inputs get the caller's
 * values as their meaning. */
static int function_head(struct reader *r, struct call *c, struct scope *body, size_t *nodes,
                         struct accel_error *err)
{
    const struct accel_slice proto = c->function->proto;
    struct accel_wire w = accel_wire_of(proto);
    struct accel_wire_field f;
    struct accel_bump *mem = &r->ir->mem;
    size_t inputs = 0, outputs = 0, opsets, defaults;
    bool inner = false;
    int rc = count_fields(proto, 7, nodes, err);

    if (rc == ACCEL_OK)
        rc = count_fields(proto, 9, &opsets, err);
    if (rc == ACCEL_OK)
        rc = count_fields(proto, 11, &defaults, err);
    if (rc == ACCEL_OK && (opsets > 1024 || defaults > LIST_MAX))
        rc =
            accel_fail(err, ACCEL_E_INVALID, "%zu operator sets, %zu attributes", opsets, defaults);
    /* Much that is in it costs little to write and is walked over at each call. */
    r->functions_bytes += proto.size;
    if (rc == ACCEL_OK && r->functions_bytes > r->ir->limits.model_bytes)
        rc = accel_fail(err, ACCEL_E_LIMIT, "calls of functions of more than %zu bytes",
                        r->ir->limits.model_bytes);
    if (rc == ACCEL_OK && *nodes > r->ir->limits.nodes - r->nodes)
        rc = accel_fail(err, ACCEL_E_LIMIT, "more than %zu nodes", r->ir->limits.nodes);
    if (rc != ACCEL_OK)
        return rc;
    struct accel_opset *imports = accel_bump_alloc(mem, opsets + 1, sizeof(*imports));
    struct accel_attr *attrs = accel_bump_alloc(mem, defaults + 1, sizeof(*attrs));
    c->outputs = accel_bump_alloc(mem, c->node->outputs_count + 1, sizeof(*c->outputs));
    if (imports == NULL || attrs == NULL || c->outputs == NULL)
        return no_memory(err);
    c->opsets = imports;
    c->defaults = attrs;
    rc = scope_reserve(body, *nodes + c->node->inputs_count, err);
    while (rc == ACCEL_OK && accel_wire_next(&w, &f, err) > 0) {
        const char *name = "";

        if (f.number == 4) {
            struct accel_value *v = inputs < c->node->inputs_count ? c->node->inputs[inputs] : NULL;

            rc = text_of(r, &f, "an input's name", &name, err);
            if (rc == ACCEL_OK && scope_slot(body, name)->value != NULL)
                rc = accel_fail(err, ACCEL_E_INVALID, "its input '%s' is there twice", name);
            if (rc == ACCEL_OK)
                rc = scope_add(body, name, v != NULL ? v : &left_out, err);
            inputs++;
        } else if (f.number == 5) {
            rc = text_of(r, &f, "an output's name", &name, err);
            if (outputs < c->node->outputs_count)
                c->outputs[outputs] = name;
            outputs++;
        } else if (f.number == 9 && f.type == ACCEL_WIRE_BYTES) {
            rc = opset_of(r, f.bytes, &imports[c->opsets_count++], err);
        } else if (f.number == 11 && f.type == ACCEL_WIRE_BYTES) {
            /* Graphs would be too deep there: no operator's default is one. */
            rc = attr_of(r, f.bytes, NULL, NULL, UINT_MAX - 1, &attrs[c->defaults_count++], &inner,
                         err);
        }
    }
    if (rc == ACCEL_OK && (inputs < c->node->inputs_count || outputs < c->node->outputs_count))
        rc = accel_fail(err, ACCEL_E_INVALID,
                        "%zu inputs and %zu outputs, the function has %zu and %zu",
                        c->node->inputs_count, c->node->outputs_count, inputs, outputs);
    return rc;
}

/* Outputs that no node of the body makes as such: the function hands an input on, or gives one
 * value twice. */
static int pass_outputs(struct reader *r, const struct call *c, struct scope *body,
                        struct accel_error *err)
{
    for (size_t o = 0; o < c->node->outputs_count; o++) {
        struct accel_value *to = c->node->outputs[o];

        if (to == NULL || to->producer != c->node)
            continue;
        struct accel_value *from = scope_slot(body, c->outputs[o])->value;
        if (from == NULL || from == &left_out)
            return accel_fail(err, ACCEL_E_INVALID, "its output '%s' is produced by no node",
                              c->outputs[o]);
        struct accel_node *n = accel_node_new(body->graph, "Identity", "", 1, 1, err);
        if (n == NULL)
            return ACCEL_E_NOMEM;
        n->name = c->node->name;
        n->opset = 1;
        n->inputs[0] = from;
        n->outputs[0] = to;
        to->producer = n;
        to->output = 0;
        int rc = ++r->nodes > r->ir->limits.nodes
                     ? accel_fail(err, ACCEL_E_LIMIT, "more than %zu nodes", r->ir->limits.nodes)
                     : append_node(body->graph, n, err);
        if (rc == ACCEL_OK)
            rc = accel_node_bind(n, err);
        if (rc != ACCEL_OK)
            return rc;
    }
    return ACCEL_OK;
}

static int check_call(const struct reader *r, const struct pending *p, struct accel_error *err)
{
    struct accel_subgraphs it = {.node = p->node};

    for (const struct call *c = r->call; c != NULL; c = c->outer)
        if (c->function == p->function)
            return accel_fail(err, ACCEL_E_INVALID, "function '%s' calls itself",
                              p->function->name);
    if (r->call != NULL && r->call->depth >= r->ir->limits.nesting)
        return accel_fail(err, ACCEL_E_LIMIT, "functions call each other deeper than %zu",
                          r->ir->limits.nesting);
    if (accel_subgraph_next(&it) != NULL)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "a function that is given a graph");
    return ACCEL_OK;
}

/* The nodes of a function's body in place of the node that calls it. Its inputs and attributes are
 * read, its outputs have their values, whose producers the body's nodes become. */
static int inline_call(struct reader *r, const struct pending *p, struct scope *scope,
                       unsigned depth, struct accel_error *err)
{
    struct call c = {.outer = r->call,
                     .function = p->function,
                     .node = p->node,
                     .depth = r->call != NULL ? r->call->depth + 1 : 1};
    ACCEL_CLEANUP(scope_free) struct scope body = {.graph = scope->graph, .call = &c};
    ACCEL_CLEANUP(accel_freep) struct pending *pending = NULL;
    struct accel_wire w = accel_wire_of(p->function->proto);
    struct accel_wire_field f;
    size_t nodes, i = 0;
    int rc = check_call(r, p, err);

    if (rc == ACCEL_OK)
        rc = function_head(r, &c, &body, &nodes, err);
    if (rc != ACCEL_OK)
        return accel_fail_in(err, "node '%s' (%s)", p->node->name, p->node->op_type);
    pending = accel_calloc(nodes, sizeof(*pending));
    if (pending == NULL)
        return no_memory(err);
    r->call = &c;
    while (rc == ACCEL_OK && i < nodes && accel_wire_next(&w, &f, err) > 0) {
        if (f.number != 7)
            continue;
        rc = node_of(r, f.bytes, scope->graph, &body, i, &pending[i], err);
        i++;
    }
    for (i = 0; i < nodes && rc == ACCEL_OK; i++)
        rc = node_finish(r, &pending[i], &body, depth, err);
    r->call = c.outer;
    if (rc != ACCEL_OK)
        return rc; /* it names the node inside */
    rc = pass_outputs(r, &c, &body, err);
    return rc == ACCEL_OK ? rc
                          : accel_fail_in(err, "node '%s' (%s)", p->node->name, p->node->op_type);
}

static int read_functions(struct reader *r, struct accel_slice model, size_t count,
                          struct accel_error *err)
{
    struct accel_wire w = accel_wire_of(model);
    struct accel_wire_field f, g;
    int more, rc = ACCEL_OK;

    if (count > r->ir->limits.nodes)
        return accel_fail(err, ACCEL_E_LIMIT, "%zu functions, over the limit of %zu", count,
                          r->ir->limits.nodes);
    r->functions = accel_bump_alloc(&r->ir->mem, count + 1, sizeof(*r->functions));
    if (r->functions == NULL)
        return no_memory(err);
    while (rc == ACCEL_OK && accel_wire_next(&w, &f, err) > 0) {
        if (f.number != 25)
            continue;
        if (f.type != ACCEL_WIRE_BYTES)
            return accel_fail(err, ACCEL_E_INVALID, "a function is not a message");
        struct function *fn = &r->functions[r->functions_count++];
        struct accel_wire in = accel_wire_of(f.bytes);
        *fn = (struct function){.domain = "", .name = "", .overload = "", .proto = f.bytes};
        while (rc == ACCEL_OK && (more = accel_wire_next(&in, &g, err)) != 0) {
            if (more < 0)
                return -more;
            if (g.number == 1)
                rc = text_of(r, &g, "a function's name", &fn->name, err);
            else if (g.number == 10)
                rc = text_of(r, &g, "a domain", &fn->domain, err);
            else if (g.number == 13)
                rc = text_of(r, &g, "an overload", &fn->overload, err);
        }
        fn->domain = domain_of(fn->domain);
    }
    if (rc != ACCEL_OK)
        return rc;
    qsort(r->functions, r->functions_count, sizeof(*r->functions), compare_functions);
    for (size_t i = 1; i < r->functions_count; i++)
        if (compare_functions(&r->functions[i - 1], &r->functions[i]) == 0)
            return accel_fail(err, ACCEL_E_INVALID, "function '%s' is defined twice",
                              r->functions[i].name);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- the model */

static int opset_of(struct reader *r, struct accel_slice proto, struct accel_opset *opset,
                    struct accel_error *err)
{
    struct accel_wire w = accel_wire_of(proto);
    struct accel_wire_field f;
    int more, rc = ACCEL_OK;

    opset->domain = "";
    while (rc == ACCEL_OK && (more = accel_wire_next(&w, &f, err)) != 0) {
        if (more < 0)
            return -more;
        if (f.number == 1)
            rc = text_of(r, &f, "a domain", &opset->domain, err);
        else if (f.number == 2)
            opset->version = (int64_t)f.value;
    }
    opset->domain = domain_of(opset->domain);
    return rc;
}

static int check_model(const struct accel_ir *ir, struct accel_error *err)
{
    const int64_t version = accel_ir_opset(ir, ""), newest = accel_opset_newest("");

    if (ir->ir_version < 3)
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          "IR version %" PRId64 ": 3 is the oldest that is read", ir->ir_version);
    if (ir->ir_version > 1000)
        return accel_fail(err, ACCEL_E_INVALID, "IR version %" PRId64 " is none", ir->ir_version);
    if (version < 0 || version > newest)
        return accel_fail(err, version < 0 ? ACCEL_E_INVALID : ACCEL_E_UNSUPPORTED,
                          "opset %" PRId64 " of ai.onnx: 7 to %" PRId64 " are read", version,
                          newest);
    return ACCEL_OK;
}

static int model_of(struct reader *r, struct accel_slice proto, struct accel_error *err)
{
    struct accel_ir *ir = r->ir;
    struct accel_wire w = accel_wire_of(proto);
    struct accel_wire_field f;
    struct accel_slice graph = {0};
    const char *producer = "", *producer_version = "";
    size_t graphs = 0, functions = 0, opsets;
    int more, rc = count_fields(proto, 8, &opsets, err);

    if (rc != ACCEL_OK)
        return rc;
    if (opsets > 1024)
        return accel_fail(err, ACCEL_E_INVALID, "%zu operator sets", opsets);
    ir->opsets = accel_bump_alloc(&ir->mem, opsets + 1, sizeof(*ir->opsets));
    if (ir->opsets == NULL)
        return no_memory(err);
    while (rc == ACCEL_OK && (more = accel_wire_next(&w, &f, err)) > 0) {
        if (f.number == 1)
            ir->ir_version = (int64_t)f.value;
        else if (f.number == 2)
            rc = text_of(r, &f, "the producer's name", &producer, err);
        else if (f.number == 3)
            rc = text_of(r, &f, "the producer's version", &producer_version, err);
        else if (f.number == 7 && f.type == ACCEL_WIRE_BYTES) {
            graph = f.bytes;
            graphs++;
        } else if (f.number == 8 && f.type == ACCEL_WIRE_BYTES)
            rc = opset_of(r, f.bytes, &ir->opsets[ir->opsets_count++], err);
        else if (f.number == 25)
            functions++;
    }
    if (rc != ACCEL_OK)
        return rc;
    if (graphs != 1)
        return accel_fail(err, ACCEL_E_INVALID, "not an ONNX model: it holds %zu graphs", graphs);
    rc = check_model(ir, err);
    if (rc == ACCEL_OK && functions > 0)
        rc = read_functions(r, proto, functions, err);
    if (rc != ACCEL_OK)
        return rc;
    ir->producer = accel_bump_printf(&ir->mem, "%s%s%s", producer,
                                     producer_version[0] != '\0' && producer[0] != '\0' ? " " : "",
                                     producer_version);
    if (ir->producer == NULL)
        return no_memory(err);
    return graph_of(r, graph, NULL, NULL, 1, &ir->main, err);
}

int accel_onnx_read(const void *bytes, size_t size, accel_external_fn *external, void *context,
                    const struct accel_limits *limits, struct accel_ir **out,
                    struct accel_error *err)
{
    ACCEL_CLEANUP(accel_ir_freep) struct accel_ir *ir = accel_ir_new(limits, err);
    struct reader r = {.ir = ir, .external = external, .context = context};

    if (ir == NULL)
        return ACCEL_E_NOMEM;
    ir->loading = true;
    if (size > ir->limits.model_bytes)
        return accel_fail(err, ACCEL_E_LIMIT, "the model has %zu bytes, over the limit of %zu",
                          size, ir->limits.model_bytes);
    if (size == 0)
        return accel_fail(err, ACCEL_E_INVALID, "the model is empty");
    int rc = model_of(&r, (struct accel_slice){.data = bytes, .size = size}, err);
    if (rc != ACCEL_OK)
        return rc;
    ir->nodes_in_file = r.nodes - r.graphs;
    rc = accel_ir_link(ir, err);
    if (rc == ACCEL_OK)
        *out = accel_steal(&ir);
    return rc;
}
