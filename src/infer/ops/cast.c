/* SPDX-License-Identifier: Apache-2.0 */
/* Cast and CastLike, strings included. Numbers follow the standard's tables, text follows ONNX
 * Runtime, where C's strtof, strtod, strtoll and printf are the definition. */
#include "infer/kernels/kernels.h"
#include "infer/kernels/small.h"
#include "infer/ops/op.h"
#include "infer/ops/text.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Longest text of a number: "-1.2345678e-308", "-9223372036854775808". */
#define TEXT_MAX 24

static int cast_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                      struct accel_error *err)
{
    static const char *const modes[] = {"up", "down", "nearest"};
    const char *mode = accel_attr_string(n, "round_mode", "up");
    struct accel_cast *cast = accel_bump_alloc(mem, 1, sizeof(*cast));
    unsigned m = 0;

    if (cast == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its attributes");
    while (m < ACCEL_COUNT(modes) && strcmp(modes[m], mode) != 0)
        m++;
    if (m == ACCEL_COUNT(modes))
        return accel_fail(err, ACCEL_E_INVALID, "round_mode is '%s': up, down or nearest", mode);
    cast->saturate = accel_attr_int(n, "saturate", 1) != 0;
    cast->round = m;
    *params = cast;
    return ACCEL_OK;
}

/* Integers that are known in part stay known. */
static int pass_ints(struct accel_infer *in, struct accel_error *err)
{
    int64_t values[ACCEL_INTS_MAX];
    size_t n;

    if (!in->in[0]->shape.has_rank || in->in[0]->data != NULL || in->out[0]->shape.rank > 1 ||
        !accel_infer_partial(in, 0, values, ACCEL_INTS_MAX, &n))
        return ACCEL_OK;
    return accel_infer_set_ints(in, 0, values, n, err);
}

static int cast_infer(struct accel_infer *in, struct accel_error *err)
{
    const int64_t to = accel_attr_int(in->node, "to", 0);

    if (to <= 0 || to > ACCEL_DTYPE_LAST || to == ACCEL_DTYPE_COMPLEX64 ||
        to == ACCEL_DTYPE_COMPLEX128)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "a cast to type %" PRId64, to);
    in->out[0]->dtype = (enum accel_dtype)to;
    in->out[0]->shape = in->in[0]->shape;
    return pass_ints(in, err);
}

static int castlike_infer(struct accel_infer *in, struct accel_error *err)
{
    in->out[0]->dtype = in->in[1]->dtype;
    in->out[0]->shape = in->in[0]->shape;
    return pass_ints(in, err);
}

/* ---------------------------------------------------------------- to text */

static bool is_float(enum accel_dtype dtype)
{
    return (ACCEL_T(FLOAT) | ACCEL_T(DOUBLE) | ACCEL_T_HALVES | ACCEL_T_FLOAT8 | ACCEL_T_FLOAT6 |
            ACCEL_T(FLOAT4E2M1) | ACCEL_T(FLOAT8E8M0)) >>
               dtype &
           1;
}

static int print_number(enum accel_dtype dtype, const void *at, char text[TEXT_MAX])
{
    int64_t value = 0;

    if (is_float(dtype)) {
        const double v = accel_dtype_number(dtype, at);

        if (isnan(v))
            return snprintf(text, TEXT_MAX, "NaN");
        if (isinf(v))
            return snprintf(text, TEXT_MAX, v > 0 ? "INF" : "-INF");
        return snprintf(text, TEXT_MAX, "%.8g", v);
    }
    memcpy(&value, at, accel_dtype_size(dtype));
    if (dtype == ACCEL_DTYPE_UINT64)
        return snprintf(text, TEXT_MAX, "%" PRIu64, (uint64_t)value);
    if (dtype != ACCEL_DTYPE_INT64) /* a double holds all others */
        value = (int64_t)accel_dtype_number(dtype, at);
    return snprintf(text, TEXT_MAX, "%" PRId64, value);
}

/* Twice over the numbers: the text needs one piece of memory, whose size must be known. */
static int to_text(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    const size_t size = accel_dtype_size(x->dtype), n = x->size_bytes / size;
    const char **y = run->out[0]->data;
    char text[TEXT_MAX];
    size_t total = 0;
    void *memory;

    for (size_t i = 0; i < n; i++)
        total += (size_t)print_number(x->dtype, (const char *)x->data + i * size, text) + 1;
    const int rc = accel_run_memory(run, total, &memory, err);
    if (rc != ACCEL_OK)
        return rc;
    char *at = memory;
    for (size_t i = 0; i < n; i++) {
        const size_t length =
            (size_t)print_number(x->dtype, (const char *)x->data + i * size, text) + 1;

        y[i] = memcpy(at, text, length);
        at += length;
    }
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- from text */

bool accel_number_of_text(const char *text, enum accel_dtype to, const struct accel_cast *cast,
                          void *at)
{
    char *end;

    errno = 0;
    if (to == ACCEL_DTYPE_DOUBLE) {
        const double v = strtod(text, &end);

        memcpy(at, &v, sizeof(v));
    } else if (is_float(to) || accel_small_int_bits(to) != 0) {
        const float v = strtof(text, &end);

        if (to == ACCEL_DTYPE_FLOAT)
            memcpy(at, &v, sizeof(v));
        else if (accel_is_small_float(to))
            *(uint8_t *)at = accel_small_from_float(to, v, cast);
        else if (accel_small_int_bits(to) != 0)
            *(uint8_t *)at = accel_small_int_from_float(to, v);
        else
            memcpy(at, &v, sizeof(v)); /* a half: the caller converts the row */
    } else if (to == ACCEL_DTYPE_UINT64) {
        const unsigned long long v = strtoull(text, &end, 10);

        memcpy(at, &v, sizeof(v));
    } else {
        const long long v = strtoll(text, &end, 10);

        if (to == ACCEL_DTYPE_BOOL)
            *(uint8_t *)at = v != 0;
        else
            memcpy(at, &v, accel_dtype_size(to)); /* the low bytes come first */
    }
    return end != text && errno != ERANGE;
}

static int from_text(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    const enum accel_dtype to = run->out[0]->dtype;
    const bool half = to == ACCEL_DTYPE_FLOAT16 || to == ACCEL_DTYPE_BFLOAT16;
    const size_t n = x->size_bytes / sizeof(char *), size = accel_dtype_size(to);
    char *const *strings = x->data;

    for (size_t i = 0; i < n; i++) {
        char *at = (char *)run->out[0]->data + i * size;
        float wide;

        if (!accel_number_of_text(strings[i], to, run->node->params,
                                  half ? (void *)&wide : (void *)at))
            return accel_fail(err, ACCEL_E_INVALID, "element %zu: \"%.40s\" is no %s", i,
                              strings[i], accel_dtype_name(to));
        if (half)
            accel_convert(run->kernels, NULL, 1, ACCEL_DTYPE_FLOAT, &wide, to, at);
    }
    return ACCEL_OK;
}

static int cast_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0], *y = run->out[0];

    if (x->size_bytes == 0)
        return ACCEL_OK;
    if (x->dtype == ACCEL_DTYPE_STRING && y->dtype == ACCEL_DTYPE_STRING)
        memcpy(y->data, x->data, x->size_bytes);
    else if (y->dtype == ACCEL_DTYPE_STRING)
        return to_text(run, err);
    else if (x->dtype == ACCEL_DTYPE_STRING)
        return from_text(run, err);
    else if (!accel_cast(run->kernels, run->pool, x->size_bytes / accel_dtype_size(x->dtype),
                         x->dtype, x->data, y->dtype, y->data, run->node->params))
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "no cast from %s to %s",
                          accel_dtype_name(x->dtype), accel_dtype_name(y->dtype));
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- the entries */

#define REAL (ACCEL_T_NUMBERS | ACCEL_T_HALVES | ACCEL_T(BOOL) | ACCEL_T_SMALL | ACCEL_T(STRING))

#define ROUNDING                                                           \
    {"saturate", ACCEL_ATTR_INT, 0}, {"round_mode", ACCEL_ATTR_STRING, 0}, \
    {                                                                      \
        0                                                                  \
    }
static const struct accel_attr_rule cast_attrs[] = {{"to", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED},
                                                    ROUNDING};
static const struct accel_attr_rule castlike_attrs[] = {ROUNDING};

#define CAST(op, version) \
    .name = op, .domain = "", .since = version, .flags = ACCEL_OP_ANY_RANK, .kind = ACCEL_KIND_MOVE

const struct accel_op accel_ops_cast[] = {
    {CAST("Cast", 6), .in = {{"input", REAL, 0, 0}}, .out = {{"output", REAL, 0, 0}},
     .attrs = cast_attrs, .parse = cast_parse, .infer = cast_infer, .run = cast_run},
    {CAST("CastLike", 15), .in = {{"input", REAL, 0, 0}, {"target_type", REAL, 0, 0}},
     .out = {{"output", REAL, 0, 0}}, .attrs = castlike_attrs, .parse = cast_parse,
     .infer = castlike_infer, .run = cast_run},
    {0},
};
