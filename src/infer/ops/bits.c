/* SPDX-License-Identifier: Apache-2.0 */
/* Operators on the bits of numbers: BitShift, BitwiseAnd, BitwiseOr, BitwiseXor, BitwiseNot,
 * BitCast, IsInf, IsNaN. */
#include "infer/kernels/small.h"

#include "infer/ops/elements.h"
#include "infer/ops/wide.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---------------------------------------------------------------- two operands */

struct bits_params {
    enum accel_binary_op op;
};

static int bits_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                      struct accel_error *err)
{
    struct bits_params *p = accel_bump_alloc(mem, 1, sizeof(*p));
    const char *direction = accel_attr_string(n, "direction", "");

    if (p == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its attributes");
    *params = p;
    if (strcmp(n->op_type, "BitwiseAnd") == 0)
        p->op = ACCEL_BINARY_AND;
    else if (strcmp(n->op_type, "BitwiseOr") == 0)
        p->op = ACCEL_BINARY_OR;
    else if (strcmp(n->op_type, "BitwiseXor") == 0)
        p->op = ACCEL_BINARY_XOR;
    else if (strcmp(direction, "LEFT") == 0)
        p->op = ACCEL_BINARY_SHL;
    else if (strcmp(direction, "RIGHT") == 0)
        p->op = ACCEL_BINARY_SHR;
    else
        return accel_fail(err, ACCEL_E_INVALID, "direction is '%s', not LEFT or RIGHT", direction);
    return ACCEL_OK;
}

static int bits_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    return accel_prepare_broadcast(prep, 2, (struct accel_nd **)&prep->state, err);
}

static int bits_run(struct accel_run *run, struct accel_error *err)
{
    const struct bits_params *p = run->node->params;

    (void)err;
    accel_binary(run->kernels, run->pool, p->op, run->in[0]->dtype, run->state, run->in[0]->data,
                 run->in[1]->data, run->out[0]->data);
    return ACCEL_OK;
}

static int not_run(struct accel_run *run, struct accel_error *err)
{
    (void)err;
    accel_unary(run->kernels, run->pool, ACCEL_UNARY_NOT, 0, 0, run->in[0]->dtype,
                accel_elements(run->in[0]), run->in[0]->data, run->out[0]->data);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- BitCast */

static int bitcast_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                         struct accel_error *err)
{
    const int64_t to = accel_attr_int(n, "to", 0);

    (void)mem;
    (void)params;
    if (to <= 0 || to > ACCEL_DTYPE_LAST || accel_dtype_size((enum accel_dtype)to) == 0)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "to is data type %" PRId64, to);
    return ACCEL_OK;
}

static int bitcast_infer(struct accel_infer *in, struct accel_error *err)
{
    const enum accel_dtype from = in->in[0]->dtype,
                           to = (enum accel_dtype)accel_attr_int(in->node, "to", 0);

    if (accel_dtype_bits(from) != accel_dtype_bits(to))
        return accel_fail(err, ACCEL_E_INVALID, "%s has not as many bits as %s",
                          accel_dtype_name(to), accel_dtype_name(from));
    in->out[0]->dtype = to;
    in->out[0]->shape = in->in[0]->shape;
    return ACCEL_OK;
}

static int bitcast_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0], *y = run->out[0];
    const unsigned bits = accel_dtype_bits(y->dtype);

    (void)err;
    if (x->size_bytes > 0 && y->data != x->data)
        memcpy(y->data, x->data, x->size_bytes);
    /* Below eight bits the rest of the byte follows from the type. */
    for (size_t i = 0; bits < 8 && i < y->size_bytes; i++) {
        uint8_t *code = (uint8_t *)y->data + i;

        *code = accel_small_int_bits(y->dtype) > 0 ? accel_small_int(y->dtype, *code)
                                                   : (uint8_t)(*code & ((1u << bits) - 1));
    }
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- IsInf, IsNaN */

static int class_infer(struct accel_infer *in, struct accel_error *err)
{
    (void)err;
    in->out[0]->dtype = ACCEL_DTYPE_BOOL;
    in->out[0]->shape = in->in[0]->shape;
    return ACCEL_OK;
}

/* Of the formats in which an infinity has all bits of the exponent set and none of the fraction:
 * 0 a number, 1 and -1 an infinity, 2 a NaN. */
static int class_of(uint32_t bits, uint32_t sign, uint32_t exponent)
{
    const uint32_t magnitude = bits & (sign - 1);

    if (magnitude < exponent)
        return 0;
    if (magnitude > exponent)
        return 2;
    return (bits & sign) != 0 ? -1 : 1;
}

static bool is_wide(enum accel_dtype dtype)
{
    return dtype == ACCEL_DTYPE_FLOAT || dtype == ACCEL_DTYPE_DOUBLE;
}

static int half_class(enum accel_dtype dtype, uint16_t bits)
{
    return class_of(bits, 0x8000, dtype == ACCEL_DTYPE_FLOAT16 ? 0x7c00 : 0x7f80);
}

/* The same of an element of a type that is neither FLOAT nor DOUBLE. */
static int narrow_class(enum accel_dtype dtype, const void *x, size_t i)
{
    if (!accel_is_small_float(dtype))
        return half_class(dtype, ((const uint16_t *)x)[i]);
    const float v = accel_small_to_float(dtype, ((const uint8_t *)x)[i]);
    return isnan(v) ? 2 : !isinf(v) ? 0 : v > 0 ? 1 : -1;
}

static int isnan_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    const size_t n = accel_elements(x);
    uint8_t *y = run->out[0]->data;

    (void)err;
    if (is_wide(x->dtype))
        accel_isnan(x->dtype, n, x->data, y);
    else
        for (size_t i = 0; i < n; i++)
            y[i] = narrow_class(x->dtype, x->data, i) == 2;
    return ACCEL_OK;
}

static int isinf_run(struct accel_run *run, struct accel_error *err)
{
    const bool negative = accel_attr_int(run->node, "detect_negative", 1) != 0,
               positive = accel_attr_int(run->node, "detect_positive", 1) != 0;
    const struct accel_tensor *x = run->in[0];
    const size_t n = accel_elements(x);
    uint8_t *y = run->out[0]->data;

    (void)err;
    if (is_wide(x->dtype)) {
        accel_isinf(x->dtype, n, x->data, negative, positive, y);
        return ACCEL_OK;
    }
    for (size_t i = 0; i < n; i++) {
        const int class = narrow_class(x->dtype, x->data, i);

        y[i] = (class == 1 && positive) || (class == -1 && negative);
    }
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- the entries */

static const struct accel_attr_rule shift_attrs[] = {
    {"direction", ACCEL_ATTR_STRING, ACCEL_ATTR_REQUIRED}, {0}};
static const struct accel_attr_rule cast_attrs[] = {{"to", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED},
                                                    {0}};
static const struct accel_attr_rule isinf_attrs[] = {
    {"detect_negative", ACCEL_ATTR_INT, 0}, {"detect_positive", ACCEL_ATTR_INT, 0}, {0}};

#define ELEMENTWISE .domain = "", .kind = ACCEL_KIND_ELEMENTWISE, .flops_per_value = 1
#define BITS(op, version, types, rules)                                                    \
    {                                                                                      \
        .name = op, .since = version, ELEMENTWISE, .in_place = 3,                          \
        .in = {{"A", types, 'T', 0}, {"B", types, 'T', 0}}, .out = {{"C", types, 'T', 0}}, \
        .attrs = rules, .parse = bits_parse, .infer = accel_infer_broadcast,               \
        .prepare = bits_prepare, .run = bits_run                                           \
    }
#define CLASS(op, version, types, rules, function)                                                 \
    {                                                                                              \
        .name = op, .since = version, ELEMENTWISE, .in = {{"X", types, 0, 0}},                     \
        .out = {{"Y", ACCEL_T(BOOL), 0, 0}}, .attrs = rules, .infer = class_infer, .run = function \
    }

const struct accel_op accel_ops_bits[] = {
    BITS("BitShift", 11, ACCEL_T_UNSIGNED, shift_attrs),
    BITS("BitShift", 28, ACCEL_T_INTS, shift_attrs),
    BITS("BitwiseAnd", 18, ACCEL_T_INTS, NULL),
    BITS("BitwiseOr", 18, ACCEL_T_INTS, NULL),
    BITS("BitwiseXor", 18, ACCEL_T_INTS, NULL),
    {.name = "BitwiseNot",
     .since = 18,
     ELEMENTWISE,
     .in_place = 1,
     .in = {{"X", ACCEL_T_INTS, 'T', 0}},
     .out = {{"Y", ACCEL_T_INTS, 'T', 0}},
     .infer = accel_infer_same,
     .run = not_run},
    {.name = "BitCast",
     .since = 26,
     .domain = "",
     .kind = ACCEL_KIND_MOVE,
     .in_place = 1,
     .in = {{"input", ACCEL_T_FIXED, 0, 0}},
     .out = {{"output", ACCEL_T_FIXED, 0, 0}},
     .attrs = cast_attrs,
     .parse = bitcast_parse,
     .infer = bitcast_infer,
     .run = bitcast_run},
    CLASS("IsInf", 10, ACCEL_T_FLOATS, isinf_attrs, isinf_run),
    CLASS("IsInf", 20, ACCEL_T_REALS | ACCEL_T_FLOAT8, isinf_attrs, isinf_run),
    CLASS("IsNaN", 9, ACCEL_T_FLOATS | ACCEL_T(FLOAT16), NULL, isnan_run),
    CLASS("IsNaN", 13, ACCEL_T_REALS, NULL, isnan_run),
    CLASS("IsNaN", 20, ACCEL_T_REALS | ACCEL_T_FLOAT8, NULL, isnan_run),
    {0},
};
