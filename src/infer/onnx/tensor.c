/* SPDX-License-Identifier: Apache-2.0 */

/* TensorProto and SparseTensorProto -> tensors. */

#include "base/subbyte.h"
#include "infer/onnx/reader.h"
#include "infer/onnx/sparse.h"

#include <inttypes.h>
#include <string.h>

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
        return accel_onnx_text(r, &value, "location of external data", &t->location, err);
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
static int external_data(struct reader *r, const struct tensor_fields *fields,
                         const struct accel_tensor *t, size_t stored, const uint8_t **data,
                         struct accel_error *err)
{
    /* Any number of tensors may name the same bytes of a file. Those that become slices of it cost
     * nothing; those that are copied may together claim what a model may have. */
    const bool copied = stored != t->size_bytes || stored <= ACCEL_CONSTANT_SMALL;
    const size_t limit = r->ir->limits.model_bytes;
    const void *bytes;
    size_t size;

    if (fields->location == NULL || !accel_location_inside(fields->location))
        return accel_fail(err, ACCEL_E_INVALID,
                          "external data must lie in the model's own folder, not at '%s'",
                          fields->location != NULL ? fields->location : "");
    if (t->dtype == ACCEL_DTYPE_STRING) /* here they are pointers, and no file holds such */
        return accel_fail(err, ACCEL_E_INVALID,
                          "strings cannot be external data ('%s'): they lie in the model itself",
                          fields->location);
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
    if (copied && stored > limit - ACCEL_MIN(r->external_bytes, limit))
        return accel_fail(err, ACCEL_E_LIMIT,
                          "external data '%s': the model is larger than the limit of %zu bytes",
                          fields->location, limit);
    r->external_bytes += copied ? stored : 0;
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
        return accel_onnx_no_memory(err);
    while ((more = accel_wire_next(&w, &f, err)) > 0) {
        if (f.number != 6)
            continue;
        if (f.type != ACCEL_WIRE_BYTES || count == elements)
            return accel_fail(err, ACCEL_E_INVALID, "not the strings its shape needs");
        char *copy = accel_bump_alloc(&r->ir->mem, f.bytes.size + 1, 1);
        if (copy == NULL)
            return accel_onnx_no_memory(err);
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
        return accel_onnx_no_memory(err);
    const int rc = typed_data(proto, &bytes, err);
    if (rc == ACCEL_OK && (bits == 2 || bits == 4))
        unpack(t, t->data);
    for (size_t i = 0; bits == 6 && i < t->size_bytes; i++)
        ((uint8_t *)t->data)[i] &= 0x3f;
    return rc;
}

int accel_onnx_tensor(struct reader *r, struct accel_slice proto, struct accel_tensor *t,
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
            rc = accel_onnx_text(r, &f, "a tensor's name", &fields.name, err);
    if (rc != ACCEL_OK)
        return rc;
    for (w = accel_wire_of(proto); rc == ACCEL_OK && (more = accel_wire_next(&w, &f, err)) != 0;) {
        if (more < 0) {
            accel_fail_in(err, "tensor '%s'", fields.name);
            return -more;
        }
        switch (f.number) {
        case 1:
            rc = accel_onnx_int64s(&f, dims, ACCEL_RANK_MAX, &rank, err);
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
        rc = external_data(r, &fields, t, stored, &data, err);
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
            return accel_onnx_no_memory(err);
        unpack(t, data);
    } else if (data != NULL && t->size_bytes <= ACCEL_CONSTANT_SMALL) {
        t->data = accel_bump_alloc(&r->ir->mem, t->size_bytes + 1, 1);
        if (t->data == NULL)
            return accel_onnx_no_memory(err);
        memcpy(t->data, data, t->size_bytes);
    } else if (data != NULL) {
        t->data = (void *)(uintptr_t)data; /* read-only from here on: nobody writes constants */
    }
    return ACCEL_OK;
}

int accel_onnx_sparse(struct reader *r, struct accel_slice proto, struct accel_tensor *t,
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
            rc = accel_onnx_tensor(r, f.bytes, &values, name, err);
        else if (f.number == 2)
            rc = accel_onnx_tensor(r, f.bytes, &indices, &unnamed, err);
        else if (f.number == 3)
            rc = accel_onnx_int64s(&f, shape.dims, ACCEL_RANK_MAX, &rank, err);
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
        return accel_onnx_no_memory(err);
    rc = accel_sparse_fill(&values, &indices, &shape, t, err);
    return rc == ACCEL_OK ? rc : accel_fail_in(err, "sparse tensor '%s'", *name);
}
