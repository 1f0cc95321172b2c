/* SPDX-License-Identifier: Apache-2.0 */
#include "core/analysis_json.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* More than any model has; what a document may make us allocate. */
#define OPS_MAX     1000000
#define TENSORS_MAX 100000

/* ---------------------------------------------------------------- encoding */

/* jansson refuses what is no UTF-8; a model's names may be anything. */
static json_t *text_json(const char *text)
{
    json_t *made = json_string(text != NULL ? text : "");

    if (made != NULL)
        return made;
    ACCEL_CLEANUP(accel_freep) char *ascii = accel_strdup(text);
    if (ascii == NULL)
        return NULL;
    for (char *c = ascii; *c != '\0'; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    return json_string(ascii);
}

static json_t *size_json(size_t size)
{
    return json_integer(size > INT64_MAX ? INT64_MAX : (json_int_t)size);
}

/* Takes the reference; a NULL one is a failure, as in all of this file. */
static bool put(json_t *object, const char *key, json_t *value)
{
    return json_object_set_new(object, key, value) == 0;
}

static json_t *tensor_json(const struct accel_tensor_info *info)
{
    json_t *object = json_object(), *shape = NULL, *names = NULL;
    bool good = put(object, "name", text_json(info->name)) &&
                put(object, "dtype", json_string(accel_dtype_name(info->dtype)));

    if (!info->has_rank) {
        shape = json_null();
        names = json_array();
    } else {
        shape = json_array();
        names = json_array();
        for (uint32_t i = 0; good && i < info->rank; i++) {
            const char *name = info->dim_names[i];

            good = json_array_append_new(shape, json_integer(info->dims[i])) == 0 &&
                   json_array_append_new(names, name != NULL ? text_json(name) : json_null()) == 0;
        }
    }
    /* put() consumes: both must be called. */
    good = put(object, "shape", shape) && good;
    good = put(object, "dim_names", names) && good;
    if (good)
        return object;
    json_decref(object);
    return NULL;
}

static json_t *op_json(const struct accel_op_analysis *op)
{
    json_t *object = json_object();

    if (put(object, "name", text_json(op->name)) && put(object, "op", text_json(op->op)) &&
        put(object, "fused", text_json(op->fused)) &&
        put(object, "domain", text_json(op->domain)) &&
        put(object, "opset", json_integer(op->opset)) &&
        put(object, "kind", json_string(accel_kind_name(op->kind))) &&
        put(object, "precision", json_string(accel_dtype_name(op->precision))) &&
        put(object, "shape", text_json(op->shape)) && put(object, "flops", json_real(op->flops)) &&
        put(object, "bytes_read", json_real(op->bytes_read)) &&
        put(object, "bytes_written", json_real(op->bytes_written)) &&
        put(object, "bytes_weights", json_real(op->bytes_weights)) &&
        put(object, "items", json_real(op->items)) &&
        put(object, "unsupported",
            op->unsupported != NULL ? text_json(op->unsupported) : json_null()))
        return object;
    json_decref(object);
    return NULL;
}

static json_t *tensors_json(const struct accel_tensor_info *infos, size_t count)
{
    json_t *array = json_array();

    for (size_t i = 0; i < count; i++)
        if (json_array_append_new(array, tensor_json(&infos[i])) != 0) {
            json_decref(array);
            return NULL;
        }
    return array;
}

static json_t *ops_json(const struct accel_op_analysis *ops, size_t count)
{
    json_t *array = json_array();

    for (size_t i = 0; i < count; i++)
        if (json_array_append_new(array, op_json(&ops[i])) != 0) {
            json_decref(array);
            return NULL;
        }
    return array;
}

/* json_real() answers NULL for these too: say which it was. */
static int check_finite(const struct accel_analysis *a, struct accel_error *err)
{
    if (!isfinite(a->flops) || !isfinite(a->bytes))
        return accel_fail(err, ACCEL_E_INVALID, "analysis: a total is not finite");
    for (size_t i = 0; i < a->ops_count; i++) {
        const struct accel_op_analysis *op = &a->ops[i];

        if (!isfinite(op->flops) || !isfinite(op->bytes_read) || !isfinite(op->bytes_written) ||
            !isfinite(op->bytes_weights) || !isfinite(op->items))
            return accel_fail(err, ACCEL_E_INVALID, "analysis: a figure of %s is not finite",
                              op->name);
    }
    return ACCEL_OK;
}

json_t *accel_analysis_to_json(const struct accel_analysis *a, struct accel_error *err)
{
    if (check_finite(a, err) != ACCEL_OK)
        return NULL;
    json_t *object = json_object();
    if (put(object, "producer", text_json(a->producer)) &&
        put(object, "ir_version", json_integer(a->ir_version)) &&
        put(object, "opset", json_integer(a->opset)) &&
        put(object, "precision", json_string(accel_dtype_name(a->precision))) &&
        put(object, "runnable", json_boolean(a->runnable)) &&
        put(object, "nodes_in_file", size_json(a->nodes_in_file)) &&
        put(object, "parameters", size_json(a->parameters)) &&
        put(object, "weights_bytes", size_json(a->weights_bytes)) &&
        put(object, "arena_bytes", size_json(a->arena_bytes)) &&
        put(object, "scratch_bytes", size_json(a->scratch_bytes)) &&
        put(object, "io_bytes", size_json(a->io_bytes)) &&
        put(object, "flops", json_real(a->flops)) && put(object, "bytes", json_real(a->bytes)) &&
        put(object, "inputs", tensors_json(a->inputs, a->inputs_count)) &&
        put(object, "outputs", tensors_json(a->outputs, a->outputs_count)) &&
        put(object, "ops", ops_json(a->ops, a->ops_count)))
        return object;
    json_decref(object);
    accel_fail(err, ACCEL_E_NOMEM, "no memory to encode an analysis of %zu operators",
               a->ops_count);
    return NULL;
}

/* ---------------------------------------------------------------- decoding */

/* One object being read: `at` names it in messages ("ops[3]", "" for the document). The first
 * failure is kept in err and every later read answers with nothing: check once at the end. */
struct reader {
    const json_t *object;
    struct accel_bump *mem;
    struct accel_error *err;
    char at[64];
    bool failed;
};

ACCEL_PRINTF(3, 4)
static void refuse(struct reader *r, enum accel_code code, const char *fmt, ...)
{
    char why[160];
    va_list args;

    if (r->failed)
        return;
    va_start(args, fmt);
    vsnprintf(why, sizeof(why), fmt, args);
    va_end(args);
    r->failed = true;
    accel_fail(r->err, code, "analysis: %s%s", r->at, why);
}

static const json_t *member(struct reader *r, const char *key, json_type type, const char *wanted)
{
    const json_t *value = json_object_get(r->object, key);

    if (r->failed)
        return NULL;
    if (value == NULL || json_typeof(value) != type) {
        refuse(r, ACCEL_E_INVALID, "%s is %s, expected %s", key,
               value == NULL ? "missing" : "of another type", wanted);
        return NULL;
    }
    return value;
}

static const char *read_text(struct reader *r, const char *key)
{
    const json_t *value = member(r, key, JSON_STRING, "a string");
    const char *copy = value != NULL ? accel_bump_strdup(r->mem, json_string_value(value)) : NULL;

    if (value != NULL && copy == NULL)
        refuse(r, ACCEL_E_NOMEM, "no memory for %s", key);
    return copy != NULL ? copy : "";
}

static int64_t read_integer(struct reader *r, const char *key, int64_t least)
{
    const json_t *value = member(r, key, JSON_INTEGER, "an integer");
    const int64_t number = value != NULL ? json_integer_value(value) : 0;

    if (value != NULL && number < least)
        refuse(r, ACCEL_E_INVALID, "%s is %lld, at least %lld expected", key, (long long)number,
               (long long)least);
    return number;
}

static double read_figure(struct reader *r, const char *key)
{
    const json_t *value = json_object_get(r->object, key);

    if (!json_is_number(value)) {
        refuse(r, ACCEL_E_INVALID, "%s is not a number", key);
        return 0;
    }
    const double number = json_number_value(value);
    if (!isfinite(number) || number < 0) {
        refuse(r, ACCEL_E_INVALID, "%s is %g, a finite number from 0 up expected", key, number);
        return 0;
    }
    return number;
}

static enum accel_dtype read_dtype(struct reader *r, const char *key)
{
    const json_t *value = member(r, key, JSON_STRING, "a data type's name");

    if (value == NULL)
        return ACCEL_DTYPE_UNDEFINED;
    for (int t = ACCEL_DTYPE_UNDEFINED; t <= ACCEL_DTYPE_LAST; t++)
        if (strcmp(json_string_value(value), accel_dtype_name((enum accel_dtype)t)) == 0)
            return (enum accel_dtype)t;
    refuse(r, ACCEL_E_INVALID, "%s \"%.40s\" is no data type", key, json_string_value(value));
    return ACCEL_DTYPE_UNDEFINED;
}

static enum accel_kind read_kind(struct reader *r, const char *key)
{
    const json_t *value = member(r, key, JSON_STRING, "a kind's name");

    if (value == NULL)
        return ACCEL_KIND_OTHER;
    for (int k = 0; k < ACCEL_KIND_COUNT; k++)
        if (strcmp(json_string_value(value), accel_kind_name((enum accel_kind)k)) == 0)
            return (enum accel_kind)k;
    refuse(r, ACCEL_E_INVALID, "%s \"%.40s\" is no kind of operator", key,
           json_string_value(value));
    return ACCEL_KIND_OTHER;
}

/* An array of at most `max` elements of `size` bytes each, to be filled; *json its members. */
static void *read_array(struct reader *r, const char *key, size_t max, size_t size,
                        const json_t **json, size_t *count)
{
    *count = 0;
    *json = member(r, key, JSON_ARRAY, "an array");
    if (*json == NULL)
        return NULL;
    const size_t n = json_array_size(*json);
    if (n > max) {
        refuse(r, ACCEL_E_INVALID, "%s has %zu members, at most %zu expected", key, n, max);
        return NULL;
    }
    void *array = accel_bump_alloc(r->mem, n > 0 ? n : 1, size);
    if (array == NULL) {
        refuse(r, ACCEL_E_NOMEM, "no memory for the %zu members of %s", n, key);
        return NULL;
    }
    *count = n;
    return array;
}

static struct reader reader_of(struct reader *parent, const char *key, size_t i,
                               const json_t *object)
{
    struct reader r = {.object = object, .mem = parent->mem, .err = parent->err};

    snprintf(r.at, sizeof(r.at), "%s[%zu].", key, i);
    if (!json_is_object(object))
        refuse(&r, ACCEL_E_INVALID, "not an object");
    return r;
}

static void read_shape(struct reader *r, struct accel_tensor_info *info)
{
    const json_t *shape = json_object_get(r->object, "shape");
    const json_t *names = json_object_get(r->object, "dim_names");

    if (json_is_null(shape))
        return;
    if (!json_is_array(shape) || !json_is_array(names) || json_array_size(shape) > ACCEL_RANK_MAX ||
        json_array_size(shape) != json_array_size(names)) {
        refuse(r, ACCEL_E_INVALID, "shape and dim_names are not arrays of one length up to %d",
               ACCEL_RANK_MAX);
        return;
    }
    info->has_rank = true;
    info->rank = (uint32_t)json_array_size(shape);
    for (uint32_t i = 0; i < info->rank; i++) {
        const json_t *dim = json_array_get(shape, i), *name = json_array_get(names, i);

        if (!json_is_integer(dim) || json_integer_value(dim) < -1 ||
            !(json_is_null(name) || json_is_string(name))) {
            refuse(r, ACCEL_E_INVALID, "dimension %u is neither a size nor -1", i);
            return;
        }
        info->dims[i] = json_integer_value(dim);
        if (json_is_null(name))
            continue;
        info->dim_names[i] = accel_bump_strdup(r->mem, json_string_value(name));
        if (info->dim_names[i] == NULL) {
            refuse(r, ACCEL_E_NOMEM, "no memory for the name of dimension %u", i);
            return;
        }
    }
}

static const struct accel_tensor_info *read_tensors(struct reader *doc, const char *key,
                                                    size_t *count)
{
    const json_t *json;
    struct accel_tensor_info *infos =
        read_array(doc, key, TENSORS_MAX, sizeof(*infos), &json, count);

    for (size_t i = 0; i < *count && !doc->failed; i++) {
        struct reader r = reader_of(doc, key, i, json_array_get(json, i));

        infos[i].name = read_text(&r, "name");
        infos[i].dtype = read_dtype(&r, "dtype");
        if (!r.failed)
            read_shape(&r, &infos[i]);
        doc->failed = r.failed;
    }
    return infos;
}

static void read_op(struct reader *r, struct accel_op_analysis *op)
{
    op->name = read_text(r, "name");
    op->op = read_text(r, "op");
    op->fused = read_text(r, "fused");
    op->domain = read_text(r, "domain");
    op->opset = read_integer(r, "opset", INT64_MIN);
    op->kind = read_kind(r, "kind");
    op->precision = read_dtype(r, "precision");
    op->shape = read_text(r, "shape");
    op->flops = read_figure(r, "flops");
    op->bytes_read = read_figure(r, "bytes_read");
    op->bytes_written = read_figure(r, "bytes_written");
    op->bytes_weights = read_figure(r, "bytes_weights");
    /* Not in what was stored before there was such a figure. */
    if (json_object_get(r->object, "items") != NULL)
        op->items = read_figure(r, "items");
    if (!json_is_null(json_object_get(r->object, "unsupported")))
        op->unsupported = read_text(r, "unsupported");
}

static void read_ops(struct reader *doc, struct accel_analysis *a)
{
    const json_t *json;
    struct accel_op_analysis *ops =
        read_array(doc, "ops", OPS_MAX, sizeof(*ops), &json, &a->ops_count);
    bool runnable = true;

    for (size_t i = 0; i < a->ops_count && !doc->failed; i++) {
        struct reader r = reader_of(doc, "ops", i, json_array_get(json, i));

        if (!r.failed)
            read_op(&r, &ops[i]);
        runnable = runnable && ops[i].unsupported == NULL;
        doc->failed = r.failed;
    }
    if (a->runnable != runnable)
        refuse(doc, ACCEL_E_INVALID, "runnable contradicts the operators");
    a->ops = ops;
}

int accel_analysis_from_json(const json_t *json, struct accel_bump *mem,
                             struct accel_analysis **analysis, struct accel_error *err)
{
    struct accel_error first;
    struct reader doc = {.object = json, .mem = mem, .err = &first};
    struct accel_analysis *a = accel_bump_alloc(mem, 1, sizeof(*a));

    if (a == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for an analysis");
    if (!json_is_object(json))
        return accel_fail(err, ACCEL_E_INVALID, "analysis: not an object");
    a->producer = read_text(&doc, "producer");
    a->ir_version = read_integer(&doc, "ir_version", INT64_MIN);
    a->opset = read_integer(&doc, "opset", INT64_MIN);
    a->precision = read_dtype(&doc, "precision");
    if (!json_is_boolean(json_object_get(json, "runnable")))
        refuse(&doc, ACCEL_E_INVALID, "runnable is not true or false");
    a->runnable = json_is_true(json_object_get(json, "runnable"));
    a->nodes_in_file = (size_t)read_integer(&doc, "nodes_in_file", 0);
    a->parameters = (size_t)read_integer(&doc, "parameters", 0);
    a->weights_bytes = (size_t)read_integer(&doc, "weights_bytes", 0);
    a->arena_bytes = (size_t)read_integer(&doc, "arena_bytes", 0);
    a->scratch_bytes = (size_t)read_integer(&doc, "scratch_bytes", 0);
    a->io_bytes = (size_t)read_integer(&doc, "io_bytes", 0);
    a->flops = read_figure(&doc, "flops");
    a->bytes = read_figure(&doc, "bytes");
    a->inputs = read_tensors(&doc, "inputs", &a->inputs_count);
    a->outputs = read_tensors(&doc, "outputs", &a->outputs_count);
    if (!doc.failed)
        read_ops(&doc, a);
    if (doc.failed)
        return accel_fail(err, first.code, "%s", first.msg);
    *analysis = a;
    return ACCEL_OK;
}
