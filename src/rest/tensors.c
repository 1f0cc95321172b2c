/* SPDX-License-Identifier: Apache-2.0 */
#include "rest/tensors.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "rest/request.h"

static const struct {
    const char *oip, *onnx;
    enum accel_dtype dtype;
    size_t size;
    int64_t min;
    uint64_t max; /* of the integer types */
} types[] = {
    {"BOOL", "bool", ACCEL_DTYPE_BOOL, 1, 0, 1},
    {"UINT8", "uint8", ACCEL_DTYPE_UINT8, 1, 0, UINT8_MAX},
    {"UINT16", "uint16", ACCEL_DTYPE_UINT16, 2, 0, UINT16_MAX},
    {"UINT32", "uint32", ACCEL_DTYPE_UINT32, 4, 0, UINT32_MAX},
    {"UINT64", "uint64", ACCEL_DTYPE_UINT64, 8, 0, UINT64_MAX},
    {"INT8", "int8", ACCEL_DTYPE_INT8, 1, INT8_MIN, INT8_MAX},
    {"INT16", "int16", ACCEL_DTYPE_INT16, 2, INT16_MIN, INT16_MAX},
    {"INT32", "int32", ACCEL_DTYPE_INT32, 4, INT32_MIN, INT32_MAX},
    {"INT64", "int64", ACCEL_DTYPE_INT64, 8, INT64_MIN, INT64_MAX},
    {"FP16", "float16", ACCEL_DTYPE_FLOAT16, 2, 0, 0},
    {"BF16", "bfloat16", ACCEL_DTYPE_BFLOAT16, 2, 0, 0},
    {"FP32", "float", ACCEL_DTYPE_FLOAT, 4, 0, 0},
    {"FP64", "double", ACCEL_DTYPE_DOUBLE, 8, 0, 0},
};

static size_t type_of(enum accel_dtype dtype)
{
    size_t i = 0;

    while (i < ACCEL_COUNT(types) && types[i].dtype != dtype)
        i++;
    return i;
}

const char *accel_oip_datatype(enum accel_dtype dtype)
{
    const size_t i = type_of(dtype);

    return i < ACCEL_COUNT(types) ? types[i].oip : NULL;
}

const char *accel_oip_datatype_of_name(const char *name)
{
    for (size_t i = 0; name != NULL && i < ACCEL_COUNT(types); i++)
        if (strcmp(types[i].onnx, name) == 0)
            return types[i].oip;
    return NULL;
}

/* ---------------------------------------------------------------- finding the data arrays */

/* One pass over the text that copies everything but the data arrays of inputs to `skeleton`, which
 * jansson then parses: what it lacks in strictness here, that parser has. */
struct scan {
    const char *at, *end;
    struct accel_buf *skeleton;
    struct accel_bump *mem;
    struct accel_error *err;
    struct range {
        const char *start;
        size_t size;
    } * ranges; /* by the input's place in the array */
    size_t inputs, capacity;
};

enum place { PLACE_TOP, PLACE_INPUTS, PLACE_INPUT, PLACE_ELSEWHERE };

#define DEPTH_MAX 32

static int scan_fail(struct scan *scan, const char *what)
{
    return accel_fail(scan->err, ACCEL_E_INVALID, "the JSON %s", what);
}

static void copy(struct scan *scan, const char *from)
{
    accel_buf_append(scan->skeleton, from, (size_t)(scan->at - from));
}

static void skip_blanks(struct scan *scan)
{
    while (scan->at < scan->end && strchr(" \t\r\n", *scan->at) != NULL && *scan->at != '\0')
        scan->at++;
}

/* Past the string that begins at scan->at. */
static int skip_string(struct scan *scan)
{
    for (scan->at++; scan->at < scan->end; scan->at++) {
        if (*scan->at == '\\')
            scan->at++;
        else if (*scan->at == '"') {
            scan->at++;
            return ACCEL_OK;
        }
    }
    scan->at = scan->end;
    return scan_fail(scan, "ends inside a string");
}

static int skip_array(struct scan *scan)
{
    unsigned depth = 0;

    while (scan->at < scan->end) {
        const char c = *scan->at;

        if (c == '"' || c == '{')
            return scan_fail(scan, "has something other than numbers in the data of an input");
        scan->at++;
        if (c == '[' && ++depth > DEPTH_MAX)
            return scan_fail(scan, "nests the data of an input too deep");
        if (c == ']' && --depth == 0)
            return ACCEL_OK;
    }
    return scan_fail(scan, "ends inside the data of an input");
}

static int note_data(struct scan *scan)
{
    const char *start = scan->at;

    if (skip_array(scan) != ACCEL_OK)
        return (int)scan->err->code;
    scan->ranges[scan->inputs - 1] = (struct range){start, (size_t)(scan->at - start)};
    accel_buf_puts(scan->skeleton, "null");
    return ACCEL_OK;
}

static int begin_input(struct scan *scan)
{
    if (scan->inputs == 1024)
        return accel_fail(scan->err, ACCEL_E_LIMIT, "inputs: more than 1024");
    if (scan->inputs == scan->capacity) {
        const size_t capacity = scan->capacity == 0 ? 8 : scan->capacity * 2;
        struct range *more = accel_bump_alloc(scan->mem, capacity, sizeof(*more));

        if (more == NULL)
            return accel_fail(scan->err, ACCEL_E_NOMEM, "no memory for the inputs");
        if (scan->inputs > 0)
            memcpy(more, scan->ranges, scan->inputs * sizeof(*more));
        scan->ranges = more;
        scan->capacity = capacity;
    }
    scan->ranges[scan->inputs++] = (struct range){NULL, 0};
    return ACCEL_OK;
}

static bool is_key(const char *start, const char *end, const char *key)
{
    return (size_t)(end - start) == strlen(key) + 2 && memcmp(start + 1, key, strlen(key)) == 0;
}

static int scan_value(struct scan *scan, enum place place, unsigned depth);

/* The next member's key; says where its value stands. */
static int scan_key(struct scan *scan, enum place place, enum place *inside, bool *is_data)
{
    const char *start;

    skip_blanks(scan);
    start = scan->at;
    if (start >= scan->end || *start != '"')
        return scan_fail(scan, "has an object whose member has no name");
    if (skip_string(scan) != ACCEL_OK)
        return (int)scan->err->code;
    copy(scan, start);
    *inside =
        place == PLACE_TOP && is_key(start, scan->at, "inputs") ? PLACE_INPUTS : PLACE_ELSEWHERE;
    *is_data = place == PLACE_INPUT && is_key(start, scan->at, "data");
    start = scan->at;
    skip_blanks(scan);
    if (scan->at >= scan->end || *scan->at != ':')
        return scan_fail(scan, "has a member without a value");
    scan->at++;
    skip_blanks(scan);
    copy(scan, start);
    return ACCEL_OK;
}

static int scan_container(struct scan *scan, enum place place, unsigned depth)
{
    const bool object = *scan->at == '{';
    const char close = object ? '}' : ']';
    const char *start = scan->at++;

    skip_blanks(scan);
    if (scan->at < scan->end && *scan->at == close) {
        scan->at++;
        copy(scan, start);
        return ACCEL_OK;
    }
    copy(scan, start);
    for (;;) {
        enum place inside = place == PLACE_INPUTS && !object ? PLACE_INPUT : PLACE_ELSEWHERE;
        bool is_data = false;

        if (object && scan_key(scan, place, &inside, &is_data) != ACCEL_OK)
            return (int)scan->err->code;
        if (inside == PLACE_INPUT && begin_input(scan) != ACCEL_OK)
            return (int)scan->err->code;
        if (is_data && scan->at < scan->end && *scan->at == '[') {
            if (note_data(scan) != ACCEL_OK)
                return (int)scan->err->code;
        } else if (scan_value(scan, inside, depth + 1) != ACCEL_OK) {
            return (int)scan->err->code;
        }
        start = scan->at;
        skip_blanks(scan);
        if (scan->at >= scan->end || (*scan->at != ',' && *scan->at != close))
            return scan_fail(scan, "lacks a comma or a closing bracket");
        const bool last = *scan->at++ == close;
        copy(scan, start);
        if (last)
            return ACCEL_OK;
    }
}

static int scan_value(struct scan *scan, enum place place, unsigned depth)
{
    const char *start = scan->at;

    if (depth > DEPTH_MAX)
        return scan_fail(scan, "nests too deep");
    if (accel_buf_failed(scan->skeleton))
        return accel_fail(scan->err, ACCEL_E_LIMIT,
                          "the JSON beside the tensors has more than limits.json_bytes (%zu)",
                          scan->skeleton->limit);
    skip_blanks(scan);
    copy(scan, start);
    if (scan->at >= scan->end)
        return scan_fail(scan, "ends too early");
    if (*scan->at == '{' || *scan->at == '[')
        return scan_container(scan, place, depth);
    start = scan->at;
    if (*start == '"') {
        if (skip_string(scan) != ACCEL_OK)
            return (int)scan->err->code;
    } else {
        while (scan->at < scan->end && strchr(",]} \t\r\n", *scan->at) == NULL)
            scan->at++;
        if (scan->at == start)
            return scan_fail(scan, "lacks a value");
    }
    copy(scan, start);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- what the document says */

static int parse_shape(const json_t *shape, struct accel_oip_input *input, struct accel_error *err)
{
    size_t size = 0;

    if (!json_is_array(shape) || json_array_size(shape) > ACCEL_RANK_MAX)
        return accel_fail(err, ACCEL_E_INVALID,
                          "input %.80s: shape: expected an array of at most %d numbers",
                          input->name, ACCEL_RANK_MAX);
    input->rank = (uint32_t)json_array_size(shape);
    input->elements = 1;
    for (uint32_t i = 0; i < input->rank; i++) {
        const json_t *dim = json_array_get(shape, i);

        input->dims[i] = json_integer_value(dim);
        if (!json_is_integer(dim) || input->dims[i] < 0)
            return accel_fail(err, ACCEL_E_INVALID,
                              "input %.80s: shape[%u]: expected a number from 0 on", input->name,
                              i);
        if (__builtin_mul_overflow(input->elements, (size_t)input->dims[i], &input->elements))
            return accel_fail(err, ACCEL_E_INVALID, "input %.80s: shape: too many elements",
                              input->name);
    }
    if (__builtin_mul_overflow(input->elements, types[type_of(input->dtype)].size, &size) ||
        size > PTRDIFF_MAX)
        return accel_fail(err, ACCEL_E_INVALID, "input %.80s: shape: too many elements",
                          input->name);
    input->size_bytes = size;
    return ACCEL_OK;
}

static int parse_type(const json_t *value, struct accel_oip_input *input, struct accel_error *err)
{
    const char *name = json_string_value(value);

    if (name == NULL)
        return accel_fail(err, ACCEL_E_INVALID, "input %.80s: datatype: expected a text",
                          input->name);
    for (size_t i = 0; i < ACCEL_COUNT(types); i++)
        if (strcmp(types[i].oip, name) == 0) {
            input->dtype = types[i].dtype;
            return ACCEL_OK;
        }
    if (strcmp(name, "BYTES") == 0)
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          "input %.80s: datatype: BYTES is not supported, no model here takes text",
                          input->name);
    return accel_fail(err, ACCEL_E_INVALID,
                      "input %.80s: datatype: \"%.40s\" is none (FP32, INT64, ...)", input->name,
                      name);
}

static int parse_bytes(const json_t *json, const struct range *range, struct accel_oip_request *out,
                       struct accel_oip_input *input, struct accel_error *err)
{
    const json_t *size = json_object_get(json_object_get(json, "parameters"), "binary_data_size");

    if (size != NULL) {
        if (range->start != NULL || json_object_get(json, "data") != NULL)
            return accel_fail(err, ACCEL_E_INVALID,
                              "input %.80s: has both data and binary_data_size", input->name);
        if (!json_is_integer(size) || json_integer_value(size) < 0 ||
            (uint64_t)json_integer_value(size) != input->size_bytes)
            return accel_fail(
                err, ACCEL_E_INVALID,
                "input %.80s: binary_data_size: its shape and datatype make %zu bytes", input->name,
                input->size_bytes);
        input->binary = true;
        if (__builtin_add_overflow(out->binary_bytes, input->size_bytes, &out->binary_bytes))
            return accel_fail(err, ACCEL_E_INVALID, "input %.80s: too many bytes", input->name);
        return ACCEL_OK;
    }
    if (range->start == NULL)
        return accel_fail(err, ACCEL_E_INVALID,
                          "input %.80s: data: expected an array of numbers (or binary_data_size)",
                          input->name);
    if (input->dtype == ACCEL_DTYPE_FLOAT16 || input->dtype == ACCEL_DTYPE_BFLOAT16)
        return accel_fail(err, ACCEL_E_INVALID,
                          "input %.80s: %s has no JSON form: send it as binary_data_size",
                          input->name, accel_oip_datatype(input->dtype));
    input->data = range->start;
    input->data_size = range->size;
    /* Before anybody sets memory aside: each element takes a digit and a comma. */
    if (input->elements > range->size / 2 + 1)
        return accel_fail(err, ACCEL_E_INVALID,
                          "input %.80s: data: its shape wants %zu numbers, there are fewer",
                          input->name, input->elements);
    return ACCEL_OK;
}

static int parse_input(const json_t *json, const struct range *range, size_t nth,
                       struct accel_bump *mem, struct accel_oip_request *out,
                       struct accel_error *err)
{
    struct accel_oip_input *input = &out->inputs[nth];
    const char *name = json_string_value(json_object_get(json, "name"));

    if (name == NULL)
        return accel_fail(err, ACCEL_E_INVALID, "inputs[%zu]: name: expected a text", nth);
    input->name = accel_bump_strdup(mem, name);
    if (input->name == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for the inputs");
    for (size_t i = 0; i < nth; i++)
        if (strcmp(out->inputs[i].name, name) == 0)
            return accel_fail(err, ACCEL_E_INVALID, "input %.80s: given twice", name);
    if (parse_type(json_object_get(json, "datatype"), input, err) != ACCEL_OK ||
        parse_shape(json_object_get(json, "shape"), input, err) != ACCEL_OK)
        return (int)err->code;
    return parse_bytes(json, range, out, input, err);
}

static int parse_outputs(const json_t *list, struct accel_bump *mem, struct accel_oip_request *out,
                         struct accel_error *err)
{
    if (list == NULL)
        return ACCEL_OK;
    if (!json_is_array(list) || json_array_size(list) > 1024)
        return accel_fail(err, ACCEL_E_INVALID, "outputs: expected an array of at most 1024");
    out->outputs = accel_bump_alloc(mem, json_array_size(list) + 1, sizeof(*out->outputs));
    if (out->outputs == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for the outputs");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *json = json_array_get(list, i);
        const json_t *parameters = json_object_get(json, "parameters");
        const json_t *binary = json_object_get(parameters, "binary_data");
        const char *name = json_string_value(json_object_get(json, "name"));

        if (name == NULL)
            return accel_fail(err, ACCEL_E_INVALID, "outputs[%zu]: name: expected a text", i);
        if (json_object_get(parameters, "classification") != NULL)
            return accel_fail(err, ACCEL_E_UNSUPPORTED,
                              "output %.80s: classification is not supported", name);
        if (binary != NULL && !json_is_boolean(binary))
            return accel_fail(err, ACCEL_E_INVALID,
                              "output %.80s: binary_data: expected true or false", name);
        for (size_t j = 0; j < i; j++)
            if (strcmp(out->outputs[j].name, name) == 0)
                return accel_fail(err, ACCEL_E_INVALID, "output %.80s: asked for twice", name);
        out->outputs[i].name = accel_bump_strdup(mem, name);
        out->outputs[i].binary = binary != NULL ? json_is_true(binary) : out->binary_outputs;
        if (out->outputs[i].name == NULL)
            return accel_fail(err, ACCEL_E_NOMEM, "no memory for the outputs");
        out->outputs_count++;
    }
    return ACCEL_OK;
}

static int optional_text(const json_t *json, const char *key, struct accel_bump *mem,
                         const char **text, struct accel_error *err)
{
    const json_t *value = json_object_get(json, key);

    if (value == NULL || json_is_null(value))
        return ACCEL_OK;
    if (!json_is_string(value))
        return accel_fail(err, ACCEL_E_INVALID, "%s: expected a text", key);
    *text = accel_bump_strdup(mem, json_string_value(value));
    return *text != NULL ? ACCEL_OK : accel_fail(err, ACCEL_E_NOMEM, "no memory for %s", key);
}

static int parse_document(const json_t *json, const struct scan *scan, struct accel_bump *mem,
                          struct accel_oip_request *out, struct accel_error *err)
{
    const json_t *parameters = json_object_get(json, "parameters");
    const json_t *inputs = json_object_get(json, "inputs");
    const json_t *binary = json_object_get(parameters, "binary_data_output");

    if (!json_is_object(json))
        return accel_fail(err, ACCEL_E_INVALID, "the body: expected a JSON object");
    if (binary != NULL && !json_is_boolean(binary))
        return accel_fail(err, ACCEL_E_INVALID, "binary_data_output: expected true or false");
    out->binary_outputs = json_is_true(binary);
    if (optional_text(json, "id", mem, &out->id, err) != ACCEL_OK ||
        optional_text(parameters, "acceld_device", mem, &out->device, err) != ACCEL_OK)
        return (int)err->code;
    if (!json_is_array(inputs) || json_array_size(inputs) != scan->inputs)
        return accel_fail(err, ACCEL_E_INVALID, "inputs: expected an array of tensors");
    out->inputs_count = scan->inputs;
    out->inputs = accel_bump_alloc(mem, scan->inputs + 1, sizeof(*out->inputs));
    if (out->inputs == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for the inputs");
    for (size_t i = 0; i < scan->inputs; i++)
        if (parse_input(json_array_get(inputs, i), &scan->ranges[i], i, mem, out, err) != ACCEL_OK)
            return (int)err->code;
    return parse_outputs(json_object_get(json, "outputs"), mem, out, err);
}

int accel_oip_parse(const char *text, size_t size, size_t json_max, struct accel_bump *mem,
                    struct accel_oip_request *out, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_buf_free) struct accel_buf skeleton = {.limit = json_max};
    struct scan scan = {
        .at = text, .end = text + size, .skeleton = &skeleton, .mem = mem, .err = err};
    json_t *json;
    int rc;

    *out = (struct accel_oip_request){0};
    if (scan_value(&scan, PLACE_TOP, 0) != ACCEL_OK)
        return (int)err->code;
    skip_blanks(&scan);
    if (scan.at != scan.end)
        return scan_fail(&scan, "goes on behind its end");
    if (accel_buf_failed(&skeleton))
        return accel_fail(err, ACCEL_E_LIMIT,
                          "the JSON beside the tensors has more than limits.json_bytes (%zu)",
                          json_max);
    json = accel_json_parse(skeleton.data, skeleton.size, DEPTH_MAX, err);
    if (json == NULL)
        return (int)err->code;
    rc = parse_document(json, &scan, mem, out, err);
    json_decref(json);
    return rc;
}

/* ---------------------------------------------------------------- numbers */

static int bad_number(const struct accel_oip_input *input, size_t nth, const char *at, size_t size,
                      struct accel_error *err)
{
    return accel_fail(err, ACCEL_E_INVALID, "input %.80s: data[%zu]: \"%.*s\" is no %s",
                      input->name, nth, (int)ACCEL_MIN(size, 40), at,
                      accel_oip_datatype(input->dtype));
}

/* Integers are read as integers: beyond 2^53 a double would lose digits. */
static bool read_integer(const char *word, size_t type, void *to)
{
    char *end;
    uint64_t value;

    if (strcmp(word, "true") == 0 || strcmp(word, "false") == 0) {
        value = word[0] == 't';
        if (types[type].dtype != ACCEL_DTYPE_BOOL)
            return false;
    } else {
        const bool negative = word[0] == '-';

        if (!isdigit((unsigned char)word[negative]))
            return false;
        errno = 0;
        value = negative ? (uint64_t)strtoll(word, &end, 10) : strtoull(word, &end, 10);
        if (errno != 0 || *end != '\0')
            return false;
        if (negative ? (int64_t)value < types[type].min : value > types[type].max)
            return false;
    }
    memcpy(to, &value, types[type].size); /* little endian, as all we run on */
    return true;
}

static bool read_float(const char *word, size_t type, void *to)
{
    char *end;
    double value;

    /* strtod would also take hex, inf and nan, which JSON lacks. */
    if (word[strspn(word, "0123456789+-.eE")] != '\0' || word[0] == '+')
        return false;
    value = strtod(word, &end);
    if (end == word || *end != '\0' || !isfinite(value))
        return false;
    if (types[type].dtype == ACCEL_DTYPE_DOUBLE) {
        memcpy(to, &value, sizeof(value));
    } else {
        const float single = (float)value;

        if (!isfinite(single))
            return false;
        memcpy(to, &single, sizeof(single));
    }
    return true;
}

int accel_oip_read_data(const struct accel_oip_input *input, void *to, struct accel_error *err)
{
    const char *p = input->data, *end = p + input->data_size;
    const size_t type = type_of(input->dtype);
    const bool is_float = input->dtype == ACCEL_DTYPE_FLOAT || input->dtype == ACCEL_DTYPE_DOUBLE;
    bool want_value = true; /* else a comma or a closing bracket */
    size_t count = 0;
    char word[48];

    while (p < end) {
        const char c = *p;
        const char *start = p;
        size_t size;

        if (strchr(" \t\r\n", c) != NULL && c != '\0') {
            p++;
            continue;
        }
        if (c == '[' && want_value) {
            p++;
            continue;
        }
        /* An empty array is fine where a shape holds a 0. */
        if (c == ']' && (!want_value || p[-1] == '[')) {
            want_value = false;
            p++;
            continue;
        }
        if (c == ',' && !want_value) {
            want_value = true;
            p++;
            continue;
        }
        while (p < end && strchr("[], \t\r\n", *p) == NULL)
            p++;
        size = (size_t)(p - start);
        if (size == 0 || size >= sizeof(word) || !want_value)
            return bad_number(input, count, start, ACCEL_MAX(size, 1), err);
        if (count == input->elements)
            return accel_fail(err, ACCEL_E_INVALID,
                              "input %.80s: data: more than the %zu numbers of its shape",
                              input->name, input->elements);
        memcpy(word, start, size);
        word[size] = '\0';
        char *place = (char *)to + count * types[type].size;
        if (is_float ? !read_float(word, type, place) : !read_integer(word, type, place))
            return bad_number(input, count, start, size, err);
        want_value = false;
        count++;
    }
    if (count != input->elements)
        return accel_fail(err, ACCEL_E_INVALID,
                          "input %.80s: data: has %zu numbers, its shape wants %zu", input->name,
                          count, input->elements);
    return ACCEL_OK;
}

int accel_oip_write_data(enum accel_dtype dtype, const void *from, size_t size_bytes,
                         const char *name, struct accel_buf *out, struct accel_error *err)
{
    const size_t type = type_of(dtype);

    if (type == ACCEL_COUNT(types) || dtype == ACCEL_DTYPE_FLOAT16 || dtype == ACCEL_DTYPE_BFLOAT16)
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          "output %.80s: its type has no JSON form: ask for binary_data", name);
    accel_buf_puts(out, "[");
    for (size_t i = 0; i < size_bytes / types[type].size; i++) {
        const char *at = (const char *)from + i * types[type].size;
        const char *comma = i > 0 ? "," : "";
        uint64_t bits = 0;
        double value = 0;
        float single;

        memcpy(&bits, at, types[type].size);
        if (dtype == ACCEL_DTYPE_FLOAT) {
            memcpy(&single, at, sizeof(single));
            value = single;
        } else if (dtype == ACCEL_DTYPE_DOUBLE) {
            memcpy(&value, at, sizeof(value));
        }
        if (!isfinite(value))
            return accel_fail(err, ACCEL_E_UNSUPPORTED,
                              "output %.80s: element %zu is no finite number, which JSON lacks: "
                              "ask for binary_data",
                              name, i);
        if (dtype == ACCEL_DTYPE_BOOL)
            accel_buf_printf(out, "%s%s", comma, bits != 0 ? "true" : "false");
        else if (dtype == ACCEL_DTYPE_FLOAT)
            accel_buf_printf(out, "%s%.9g", comma, value);
        else if (dtype == ACCEL_DTYPE_DOUBLE)
            accel_buf_printf(out, "%s%.17g", comma, value);
        else if (types[type].min < 0) {
            const unsigned unused = 64 - 8 * (unsigned)types[type].size;

            accel_buf_printf(out, "%s%lld", comma,
                             (long long)((int64_t)(bits << unused) >> unused));
        } else
            accel_buf_printf(out, "%s%llu", comma, (unsigned long long)bits);
    }
    accel_buf_puts(out, "]");
    if (accel_buf_failed(out))
        return accel_fail(err, ACCEL_E_NOMEM, "output %.80s: no memory for its JSON", name);
    return ACCEL_OK;
}
