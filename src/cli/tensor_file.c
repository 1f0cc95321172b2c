/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/tensor_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/subbyte.h"
#include "onnx.pb-c.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "tensor files are little-endian, and are read without conversion"
#endif

void accel_owned_tensor_free(struct accel_owned_tensor *t)
{
    accel_free(t->name);
    accel_free(t->tensor.data);
    *t = (struct accel_owned_tensor){0};
}

static size_t element_size(enum accel_dtype dtype)
{
    return dtype == ACCEL_DTYPE_STRING ? sizeof(char *) : accel_dtype_size(dtype);
}

int accel_tensor_count(const struct accel_tensor *t, size_t *count, struct accel_error *err)
{
    size_t n = 1, bytes;

    for (uint32_t i = 0; i < t->rank; i++) {
        if (t->dims[i] < 0)
            return accel_fail(err, ACCEL_E_INVALID, "dimension %u is %" PRId64, i, t->dims[i]);
        if (__builtin_mul_overflow(n, (size_t)t->dims[i], &n))
            return accel_fail(err, ACCEL_E_INVALID, "the product of the dimensions overflows");
    }
    if (__builtin_mul_overflow(n, element_size(t->dtype), &bytes) || bytes > PTRDIFF_MAX)
        return accel_fail(err, ACCEL_E_INVALID, "%zu elements are too many", n);
    *count = n;
    return ACCEL_OK;
}

const char *accel_shape_text(const int64_t *dims, uint32_t rank, char *text, size_t size)
{
    size_t at = 0;

    snprintf(text, size, "scalar");
    for (uint32_t i = 0; i < rank && at < size; i++)
        at += (size_t)snprintf(text + at, size - at, "%s%" PRId64, i > 0 ? "x" : "", dims[i]);
    return text;
}

/* ---------------------------------------------------------------- TensorProto */

static void *pb_alloc(void *context, size_t size)
{
    (void)context;
    return accel_malloc(size);
}

static void pb_free(void *context, void *pointer)
{
    (void)context;
    accel_free(pointer);
}

static ProtobufCAllocator pb_allocator = {.alloc = pb_alloc, .free = pb_free};

static void free_proto(Accel__Onnx__TensorProto **proto)
{
    if (*proto != NULL)
        accel__onnx__tensor_proto__free_unpacked(*proto, &pb_allocator);
}

static int check_values(const char *field, size_t have, size_t want, struct accel_error *err)
{
    if (have == want)
        return ACCEL_OK;
    return accel_fail(err, ACCEL_E_INVALID, "%s holds %zu values, the dimensions say %zu", field,
                      have, want);
}

static bool is_packed(enum accel_dtype dtype)
{
    const unsigned bits = accel_dtype_bits(dtype);

    return bits > 0 && bits < 8;
}

/* Bytes in raw_data. */
static size_t stored_bytes(enum accel_dtype dtype, size_t count)
{
    return is_packed(dtype) ? accel_subbyte_size(accel_dtype_bits(dtype), count)
                            : count * element_size(dtype);
}

static void unpack(struct accel_tensor *t, const uint8_t *packed)
{
    accel_subbyte_unpack(accel_dtype_bits(t->dtype),
                         t->dtype == ACCEL_DTYPE_INT4 || t->dtype == ACCEL_DTYPE_INT2,
                         t->size_bytes, packed, t->data);
}

/* int32_data of the types below eight bits: a byte of packed elements in each, but 6 bits alone. */
static int from_packed_int32(const Accel__Onnx__TensorProto *p, size_t count,
                             struct accel_tensor *t, struct accel_error *err)
{
    const bool alone = accel_dtype_bits(t->dtype) == 6;
    const size_t bytes = alone ? count : stored_bytes(t->dtype, count);

    if (check_values("int32_data", p->n_int32_data, bytes, err) != ACCEL_OK)
        return ACCEL_E_INVALID;
    for (size_t i = 0; i < bytes; i++)
        ((uint8_t *)t->data)[i] = (uint8_t)(p->int32_data[i] & (alone ? 0x3f : 0xff));
    if (!alone)
        unpack(t, t->data);
    return ACCEL_OK;
}

/* int32_data carries everything of 32 bits and less, half precision as its bits. */
static int from_int32(const Accel__Onnx__TensorProto *p, size_t count, struct accel_tensor *t,
                      struct accel_error *err)
{
    const size_t size = accel_dtype_size(t->dtype);
    const bool is_signed = t->dtype == ACCEL_DTYPE_INT8 || t->dtype == ACCEL_DTYPE_INT16 ||
                           t->dtype == ACCEL_DTYPE_INT32;
    const int64_t low = is_signed ? -(INT64_C(1) << (8 * size - 1)) : 0;
    const int64_t high = t->dtype == ACCEL_DTYPE_BOOL ? 1
                         : is_signed                  ? (INT64_C(1) << (8 * size - 1)) - 1
                                                      : (INT64_C(1) << (8 * size)) - 1;

    if (check_values("int32_data", p->n_int32_data, count, err) != ACCEL_OK)
        return ACCEL_E_INVALID;
    /* INT32 itself takes this road too: its range is that of the field. */
    for (size_t i = 0; i < count; i++) {
        const int32_t v = p->int32_data[i];

        if (v < low || v > high)
            return accel_fail(err, ACCEL_E_INVALID, "int32_data[%zu] is %d, no %s", i, v,
                              accel_dtype_name(t->dtype));
        memcpy((char *)t->data + i * size, &v, size); /* the low bytes come first */
    }
    return ACCEL_OK;
}

static int from_uint64(const Accel__Onnx__TensorProto *p, size_t count, struct accel_tensor *t,
                       struct accel_error *err)
{
    if (check_values("uint64_data", p->n_uint64_data, count, err) != ACCEL_OK)
        return ACCEL_E_INVALID;
    for (size_t i = 0; i < count; i++) {
        if (t->dtype == ACCEL_DTYPE_UINT64)
            ((uint64_t *)t->data)[i] = p->uint64_data[i];
        else if (p->uint64_data[i] <= UINT32_MAX)
            ((uint32_t *)t->data)[i] = (uint32_t)p->uint64_data[i];
        else
            return accel_fail(err, ACCEL_E_INVALID, "uint64_data[%zu] is %" PRIu64 ", no uint32", i,
                              p->uint64_data[i]);
    }
    return ACCEL_OK;
}

/* float_data and double_data; a complex number is two values. */
static int from_reals(const char *field, const void *values, size_t have, size_t count,
                      struct accel_tensor *t, size_t per_element, struct accel_error *err)
{
    if (check_values(field, have, count * per_element, err) != ACCEL_OK)
        return ACCEL_E_INVALID;
    if (have > 0)
        memcpy(t->data, values, t->size_bytes);
    return ACCEL_OK;
}

static int from_strings(const Accel__Onnx__TensorProto *p, size_t count, struct accel_tensor *t,
                        struct accel_error *err)
{
    size_t total = t->size_bytes;

    if (check_values("string_data", p->n_string_data, count, err) != ACCEL_OK)
        return ACCEL_E_INVALID;
    for (size_t i = 0; i < count; i++)
        total += p->string_data[i].len + 1;
    char **pointers = accel_malloc(total);
    if (pointers == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for %zu strings", count);
    char *text = (char *)(pointers + count);
    for (size_t i = 0; i < count; i++) {
        const size_t length = p->string_data[i].len;

        pointers[i] = text;
        if (length > 0)
            memcpy(text, p->string_data[i].data, length);
        text[length] = '\0';
        text += length + 1;
    }
    t->data = pointers;
    return ACCEL_OK;
}

static int from_fields(const Accel__Onnx__TensorProto *p, size_t count, struct accel_tensor *t,
                       struct accel_error *err)
{
    switch (t->dtype) {
    case ACCEL_DTYPE_FLOAT:
        return from_reals("float_data", p->float_data, p->n_float_data, count, t, 1, err);
    case ACCEL_DTYPE_COMPLEX64:
        return from_reals("float_data", p->float_data, p->n_float_data, count, t, 2, err);
    case ACCEL_DTYPE_DOUBLE:
        return from_reals("double_data", p->double_data, p->n_double_data, count, t, 1, err);
    case ACCEL_DTYPE_COMPLEX128:
        return from_reals("double_data", p->double_data, p->n_double_data, count, t, 2, err);
    case ACCEL_DTYPE_INT64:
        return from_reals("int64_data", p->int64_data, p->n_int64_data, count, t, 1, err);
    case ACCEL_DTYPE_UINT32:
    case ACCEL_DTYPE_UINT64:
        return from_uint64(p, count, t, err);
    default:
        return is_packed(t->dtype) ? from_packed_int32(p, count, t, err)
                                   : from_int32(p, count, t, err);
    }
}

static int allocate(struct accel_tensor *t, size_t count, struct accel_error *err)
{
    t->size_bytes = count * element_size(t->dtype);
    t->data = accel_aligned_alloc(64, t->size_bytes);
    if (t->data == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a tensor of %zu bytes", t->size_bytes);
    return ACCEL_OK;
}

/* How many elements the file can hold at most: nothing is allocated on the word of `dims` alone. */
static int check_claim(const Accel__Onnx__TensorProto *p, size_t count, enum accel_dtype dtype,
                       struct accel_error *err)
{
    const size_t stored = stored_bytes(dtype, count);

    if (p->has_raw_data && p->raw_data.len != stored)
        return accel_fail(err, ACCEL_E_INVALID, "raw_data holds %zu bytes, the dimensions say %zu",
                          p->raw_data.len, stored);
    if (is_packed(dtype))
        count = stored; /* the least: from_packed_int32() counts exactly */
    const size_t values = p->n_float_data + p->n_int32_data + p->n_string_data + p->n_int64_data +
                          p->n_double_data + p->n_uint64_data;
    if (!p->has_raw_data && count > values)
        return accel_fail(err, ACCEL_E_INVALID, "the data holds %zu values, the dimensions say %zu",
                          values, count);
    return ACCEL_OK;
}

static int fill(const Accel__Onnx__TensorProto *p, struct accel_owned_tensor *made,
                struct accel_error *err)
{
    struct accel_tensor *t = &made->tensor;
    size_t count;

    if (p->n_external_data > 0 || (p->has_data_location && p->data_location != 0))
        return accel_fail(err, ACCEL_E_INVALID, "its data lies in another file");
    if (p->n_dims > ACCEL_RANK_MAX)
        return accel_fail(err, ACCEL_E_INVALID, "rank %zu, at most %d expected", p->n_dims,
                          ACCEL_RANK_MAX);
    t->dtype = (enum accel_dtype)p->data_type;
    if (t->dtype != ACCEL_DTYPE_STRING && accel_dtype_size(t->dtype) == 0)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "data type %d is none that the core has",
                          (int)p->data_type);
    t->rank = (uint32_t)p->n_dims;
    for (size_t i = 0; i < p->n_dims; i++)
        t->dims[i] = p->dims[i];
    if (accel_tensor_count(t, &count, err) != ACCEL_OK ||
        check_claim(p, count, t->dtype, err) != ACCEL_OK)
        return ACCEL_E_INVALID;
    made->name = accel_strdup(p->name != NULL ? p->name : "");
    if (made->name == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a tensor's name");
    if (t->dtype == ACCEL_DTYPE_STRING) {
        t->size_bytes = count * sizeof(char *);
        return from_strings(p, count, t, err);
    }
    const int rc = allocate(t, count, err);
    if (rc != ACCEL_OK)
        return rc;
    if (!p->has_raw_data)
        return from_fields(p, count, t, err);
    if (is_packed(t->dtype))
        unpack(t, p->raw_data.data);
    else if (p->raw_data.len > 0)
        memcpy(t->data, p->raw_data.data, p->raw_data.len);
    for (size_t i = 0; t->dtype == ACCEL_DTYPE_BOOL && i < count; i++)
        if (((uint8_t *)t->data)[i] > 1)
            return accel_fail(err, ACCEL_E_INVALID, "element %zu is neither 0 nor 1, no bool", i);
    return ACCEL_OK;
}

int accel_tensor_from_pb(const void *bytes, size_t size, struct accel_owned_tensor *t,
                         struct accel_error *err)
{
    ACCEL_CLEANUP(free_proto)
    Accel__Onnx__TensorProto *p = accel__onnx__tensor_proto__unpack(&pb_allocator, size, bytes);
    ACCEL_CLEANUP(accel_owned_tensor_free) struct accel_owned_tensor made = {0};

    /* protobuf-c says no more than that it failed: memory is then the least likely reason. */
    if (p == NULL)
        return accel_fail(err, ACCEL_E_INVALID, "not an ONNX TensorProto, or cut off");
    const int rc = fill(p, &made, err);
    if (rc != ACCEL_OK)
        return rc;
    *t = made;
    made = (struct accel_owned_tensor){0};
    return ACCEL_OK;
}

struct buf_adapter {
    ProtobufCBuffer base; /* first: protobuf-c hands its address back */
    struct accel_buf *out;
};

static void adapter_append(ProtobufCBuffer *buffer, size_t size, const uint8_t *bytes)
{
    accel_buf_append(((struct buf_adapter *)buffer)->out, bytes, size);
}

int accel_tensor_to_pb(const struct accel_tensor *t, const char *name, struct accel_buf *out,
                       struct accel_error *err)
{
    Accel__Onnx__TensorProto p = ACCEL__ONNX__TENSOR_PROTO__INIT;
    struct buf_adapter adapter = {.base = {.append = adapter_append}, .out = out};
    ACCEL_CLEANUP(accel_freep) ProtobufCBinaryData *strings = NULL;
    ACCEL_CLEANUP(accel_freep) uint8_t *packed = NULL;
    int64_t dims[ACCEL_RANK_MAX];
    size_t count;

    if (accel_tensor_count(t, &count, err) != ACCEL_OK)
        return accel_fail_in(err, "tensor %s", name);
    memcpy(dims, t->dims, sizeof(dims));
    p.n_dims = t->rank;
    p.dims = dims;
    p.has_data_type = 1;
    p.data_type = (int32_t)t->dtype;
    p.name = (char *)name; /* protobuf-c only reads it */
    if (t->dtype == ACCEL_DTYPE_STRING) {
        char *const *texts = t->data;

        strings = accel_calloc(count, sizeof(*strings));
        if (strings == NULL)
            return accel_fail(err, ACCEL_E_NOMEM, "no memory for %zu strings", count);
        for (size_t i = 0; i < count; i++)
            strings[i] = (ProtobufCBinaryData){strlen(texts[i]), (uint8_t *)texts[i]};
        p.n_string_data = count;
        p.string_data = strings;
    } else {
        p.has_raw_data = 1;
        p.raw_data = (ProtobufCBinaryData){stored_bytes(t->dtype, count), t->data};
    }
    if (is_packed(t->dtype)) {
        packed = accel_calloc(p.raw_data.len + 1, 1);
        if (packed == NULL)
            return accel_fail(err, ACCEL_E_NOMEM, "no memory for %zu bytes", p.raw_data.len);
        accel_subbyte_pack(accel_dtype_bits(t->dtype), count, t->data, packed);
        p.raw_data.data = packed;
    }
    accel__onnx__tensor_proto__pack_to_buffer(&p, &adapter.base);
    if (accel_buf_failed(out))
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to write tensor %s", name);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- .npy
 * numpy.lib.format: "\x93NUMPY", major, minor, header length (2 bytes, from version 2 on 4), the
 * header: a Python dict as text, {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }. */

static const struct npy_type {
    const char *descr; /* without the byte order */
    enum accel_dtype dtype;
} npy_types[] = {
    {"f4", ACCEL_DTYPE_FLOAT},     {"f8", ACCEL_DTYPE_DOUBLE},      {"f2", ACCEL_DTYPE_FLOAT16},
    {"i1", ACCEL_DTYPE_INT8},      {"i2", ACCEL_DTYPE_INT16},       {"i4", ACCEL_DTYPE_INT32},
    {"i8", ACCEL_DTYPE_INT64},     {"u1", ACCEL_DTYPE_UINT8},       {"u2", ACCEL_DTYPE_UINT16},
    {"u4", ACCEL_DTYPE_UINT32},    {"u8", ACCEL_DTYPE_UINT64},      {"b1", ACCEL_DTYPE_BOOL},
    {"c8", ACCEL_DTYPE_COMPLEX64}, {"c16", ACCEL_DTYPE_COMPLEX128},
};

struct npy_header {
    bool has_descr, has_order, has_shape;
    bool fortran, big_endian;
};

/* What is left of the header text. */
struct cursor {
    const char *at, *end;
};

static void skip_blanks(struct cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\t'))
        c->at++;
}

static bool take(struct cursor *c, char wanted)
{
    skip_blanks(c);
    if (c->at >= c->end || *c->at != wanted)
        return false;
    c->at++;
    return true;
}

static bool take_word(struct cursor *c, const char *word)
{
    const size_t length = strlen(word);

    skip_blanks(c);
    if ((size_t)(c->end - c->at) < length || memcmp(c->at, word, length) != 0)
        return false;
    c->at += length;
    return true;
}

/* A quoted string without escapes, as numpy writes keys and types. */
static bool take_string(struct cursor *c, char *text, size_t size)
{
    size_t n = 0;

    skip_blanks(c);
    if (c->at >= c->end || (*c->at != '\'' && *c->at != '"'))
        return false;
    const char quote = *c->at++;
    while (c->at < c->end && *c->at != quote && n + 1 < size)
        text[n++] = *c->at++;
    text[n] = '\0';
    return take(c, quote);
}

static int read_descr(struct cursor *c, struct npy_header *h, enum accel_dtype *dtype,
                      struct accel_error *err)
{
    char descr[32];

    if (!take_string(c, descr, sizeof(descr)))
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          ".npy: records are not read, only plain arrays");
    h->has_descr = true;
    h->big_endian = descr[0] == '>';
    for (size_t i = 0; strchr("<>|=", descr[0]) != NULL && i < ACCEL_COUNT(npy_types); i++)
        if (strcmp(descr + 1, npy_types[i].descr) == 0) {
            *dtype = npy_types[i].dtype;
            return ACCEL_OK;
        }
    return accel_fail(err, ACCEL_E_UNSUPPORTED,
                      ".npy: data type '%s' is not read; a .pb may hold strings and "
                      "the small types",
                      descr);
}

static int read_tuple(struct cursor *c, struct accel_tensor *t, struct accel_error *err)
{
    if (!take(c, '('))
        return accel_fail(err, ACCEL_E_INVALID, ".npy: shape is not a tuple");
    for (t->rank = 0; !take(c, ')'); t->rank++) {
        int64_t dim = 0;

        if (t->rank == ACCEL_RANK_MAX)
            return accel_fail(err, ACCEL_E_INVALID, ".npy: more than %d dimensions",
                              ACCEL_RANK_MAX);
        skip_blanks(c);
        if (c->at >= c->end || *c->at < '0' || *c->at > '9')
            return accel_fail(err, ACCEL_E_INVALID, ".npy: dimension %u is no number", t->rank);
        for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++)
            if (__builtin_mul_overflow(dim, 10, &dim) ||
                __builtin_add_overflow(dim, *c->at - '0', &dim))
                return accel_fail(err, ACCEL_E_INVALID, ".npy: dimension %u overflows", t->rank);
        t->dims[t->rank] = dim;
        take_word(c, "L"); /* Python 2 wrote long integers so */
        if (!take(c, ',') && (c->at >= c->end || *c->at != ')'))
            return accel_fail(err, ACCEL_E_INVALID, ".npy: shape is not a tuple");
    }
    return ACCEL_OK;
}

static int read_header(struct cursor c, struct npy_header *h, struct accel_tensor *t,
                       struct accel_error *err)
{
    char key[32];
    int rc = ACCEL_OK;

    if (!take(&c, '{'))
        return accel_fail(err, ACCEL_E_INVALID, ".npy: the header is not a dict");
    while (rc == ACCEL_OK && !take(&c, '}')) {
        if (!take_string(&c, key, sizeof(key)) || !take(&c, ':'))
            return accel_fail(err, ACCEL_E_INVALID, ".npy: the header is not a dict of strings");
        if (strcmp(key, "descr") == 0) {
            rc = read_descr(&c, h, &t->dtype, err);
        } else if (strcmp(key, "fortran_order") == 0) {
            h->has_order = true;
            h->fortran = take_word(&c, "True");
            if (!h->fortran && !take_word(&c, "False"))
                return accel_fail(err, ACCEL_E_INVALID,
                                  ".npy: fortran_order is neither True nor False");
        } else if (strcmp(key, "shape") == 0) {
            h->has_shape = true;
            rc = read_tuple(&c, t, err);
        } else {
            return accel_fail(err, ACCEL_E_INVALID, ".npy: unexpected key '%s'", key);
        }
        take(&c, ',');
    }
    if (rc == ACCEL_OK && !(h->has_descr && h->has_order && h->has_shape))
        return accel_fail(err, ACCEL_E_INVALID, ".npy: descr, fortran_order or shape is missing");
    return rc;
}

/* Walks the source in Fortran order (first index fastest) and writes each element to its place. */
static void from_fortran(const char *source, struct accel_tensor *t, size_t count)
{
    const size_t size = accel_dtype_size(t->dtype);
    size_t index[ACCEL_RANK_MAX] = {0}, stride[ACCEL_RANK_MAX], at = 0, step = 1;

    for (uint32_t i = t->rank; i-- > 0;) {
        stride[i] = step;
        step *= (size_t)t->dims[i];
    }
    for (size_t n = 0; n < count; n++) {
        memcpy((char *)t->data + at * size, source + n * size, size);
        for (uint32_t i = 0; i < t->rank; i++) {
            at += stride[i];
            if (++index[i] < (size_t)t->dims[i])
                break;
            at -= stride[i] * index[i];
            index[i] = 0;
        }
    }
}

/* A complex number is two numbers of half its size. */
static void swap_bytes(struct accel_tensor *t)
{
    const bool is_complex = t->dtype == ACCEL_DTYPE_COMPLEX64 || t->dtype == ACCEL_DTYPE_COMPLEX128;
    const size_t size = accel_dtype_size(t->dtype) / (is_complex ? 2 : 1);
    unsigned char *at = t->data, *end = at + t->size_bytes;

    for (; at < end; at += size)
        for (size_t i = 0; i < size / 2; i++) {
            const unsigned char kept = at[i];

            at[i] = at[size - 1 - i];
            at[size - 1 - i] = kept;
        }
}

int accel_tensor_from_npy(const void *bytes, size_t size, struct accel_owned_tensor *t,
                          struct accel_error *err)
{
    const unsigned char *file = bytes;
    ACCEL_CLEANUP(accel_owned_tensor_free) struct accel_owned_tensor made = {0};
    struct npy_header header = {0};
    size_t length, start, count;

    if (size < 10 || memcmp(file, "\x93NUMPY", 6) != 0)
        return accel_fail(err, ACCEL_E_INVALID, "not an .npy file");
    if (file[6] < 1 || file[6] > 3 || file[7] != 0)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, ".npy version %u.%u", file[6], file[7]);
    start = file[6] == 1 ? 10 : 12;
    length = file[8] | (size_t)file[9] << 8;
    if (file[6] > 1 && size >= 12)
        length |= (size_t)file[10] << 16 | (size_t)file[11] << 24;
    if (size < start || length > size - start)
        return accel_fail(err, ACCEL_E_INVALID, ".npy: cut off within the header");
    const struct cursor text = {(const char *)file + start, (const char *)file + start + length};
    const char *data = text.end;
    int rc = read_header(text, &header, &made.tensor, err);
    if (rc == ACCEL_OK)
        rc = accel_tensor_count(&made.tensor, &count, err);
    if (rc != ACCEL_OK)
        return rc;
    const size_t want = count * accel_dtype_size(made.tensor.dtype), have = size - start - length;
    if (have != want)
        return accel_fail(err, ACCEL_E_INVALID, ".npy: %zu bytes of data, the shape says %zu", have,
                          want);
    rc = allocate(&made.tensor, count, err);
    if (rc == ACCEL_OK && (made.name = accel_strdup("")) == NULL)
        rc = accel_fail(err, ACCEL_E_NOMEM, "no memory for a tensor's name");
    if (rc != ACCEL_OK)
        return rc;
    if (header.fortran)
        from_fortran(data, &made.tensor, count);
    else
        memcpy(made.tensor.data, data, want);
    if (header.big_endian)
        swap_bytes(&made.tensor);
    *t = made;
    made = (struct accel_owned_tensor){0};
    return ACCEL_OK;
}

int accel_tensor_to_npy(const struct accel_tensor *t, struct accel_buf *out,
                        struct accel_error *err)
{
    const char *descr = NULL;
    char text[512];
    size_t count, at;

    for (size_t i = 0; i < ACCEL_COUNT(npy_types); i++)
        if (npy_types[i].dtype == t->dtype)
            descr = npy_types[i].descr;
    if (descr == NULL)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "numpy has no %s: write a .pb",
                          accel_dtype_name(t->dtype));
    if (accel_tensor_count(t, &count, err) != ACCEL_OK)
        return ACCEL_E_INVALID;
    /* 16 dimensions of up to 19 digits: 353 characters at most. */
    at =
        (size_t)snprintf(text, sizeof(text), "{'descr': '%c%s', 'fortran_order': False, 'shape': (",
                         accel_dtype_size(t->dtype) == 1 ? '|' : '<', descr);
    for (uint32_t i = 0; i < t->rank; i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%" PRId64 ",%s", t->dims[i],
                               i + 1 < t->rank ? " " : "");
    at += (size_t)snprintf(text + at, sizeof(text) - at, "), }");
    /* The data begins at a multiple of 64, the header ends in a newline. */
    const size_t length = ACCEL_ROUND_UP(10 + at + 1, 64) - 10;
    const unsigned char head[10] = {0x93,
                                    'N',
                                    'U',
                                    'M',
                                    'P',
                                    'Y',
                                    1,
                                    0,
                                    (unsigned char)(length & 255),
                                    (unsigned char)(length >> 8)};
    accel_buf_append(out, head, sizeof(head));
    accel_buf_append(out, text, at);
    for (; at + 1 < length; at++)
        accel_buf_append(out, " ", 1);
    accel_buf_append(out, "\n", 1);
    if (count > 0)
        accel_buf_append(out, t->data, count * accel_dtype_size(t->dtype));
    if (accel_buf_failed(out))
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to write a tensor");
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- files */

static bool has_suffix(const char *path, const char *suffix)
{
    const size_t n = strlen(path), m = strlen(suffix);

    return n > m && strcmp(path + n - m, suffix) == 0;
}

static int check_suffix(const char *path, struct accel_error *err)
{
    if (has_suffix(path, ".pb") || has_suffix(path, ".npy"))
        return ACCEL_OK;
    return accel_fail(err, ACCEL_E_INVALID, "%s: a tensor file ends in .pb or .npy", path);
}

int accel_tensor_read(const char *path, struct accel_owned_tensor *t, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_freep) char *bytes = NULL;
    size_t size;
    int rc = check_suffix(path, err);

    if (rc == ACCEL_OK)
        rc = accel_read_file(path, ACCEL_TENSOR_FILE_MAX, &bytes, &size, err);
    if (rc != ACCEL_OK)
        return rc;
    if (size == 0)
        rc = accel_fail(err, ACCEL_E_INVALID, "the file is empty");
    else if (has_suffix(path, ".npy"))
        rc = accel_tensor_from_npy(bytes, size, t, err);
    else
        rc = accel_tensor_from_pb(bytes, size, t, err);
    return rc == ACCEL_OK ? rc : accel_fail_in(err, "%s", path);
}

int accel_tensor_write(const char *path, const char *name, const struct accel_tensor *t,
                       struct accel_error *err)
{
    ACCEL_CLEANUP(accel_buf_free) struct accel_buf buf = {0};
    int rc = check_suffix(path, err);

    if (rc != ACCEL_OK)
        return rc;
    if (has_suffix(path, ".npy"))
        rc = accel_tensor_to_npy(t, &buf, err);
    else
        rc = accel_tensor_to_pb(t, name, &buf, err);
    if (rc != ACCEL_OK)
        return accel_fail_in(err, "%s", path);
    return accel_write_file(path, buf.data, buf.size, err);
}
