/* SPDX-License-Identifier: Apache-2.0 */
/* Binary arithmetic, comparisons, Where, and the variadic Min, Max, Sum, Mean. */
#include "infer/kernels/kernels.h"
#include "infer/ops/elements.h"

#include <string.h>

/* ---------------------------------------------------------------- binary */

struct binary_params {
    enum accel_binary_op op;
};

static const struct {
    const char *name;
    enum accel_binary_op op;
} binaries[] = {
    {"Add", ACCEL_BINARY_ADD},
    {"Sub", ACCEL_BINARY_SUB},
    {"Mul", ACCEL_BINARY_MUL},
    {"Div", ACCEL_BINARY_DIV},
    {"Min", ACCEL_BINARY_MIN},
    {"Max", ACCEL_BINARY_MAX},
    {"Sum", ACCEL_BINARY_ADD},
    {"Mean", ACCEL_BINARY_ADD},
    {"PRelu", ACCEL_BINARY_PRELU},
    {"Pow", ACCEL_BINARY_POW},
    {"Mod", ACCEL_BINARY_MOD},
    {"And", ACCEL_BINARY_AND},
    {"Or", ACCEL_BINARY_OR},
    {"Xor", ACCEL_BINARY_XOR},
    {"Equal", ACCEL_BINARY_EQ},
    {"Less", ACCEL_BINARY_LT},
    {"LessOrEqual", ACCEL_BINARY_LE},
    {"Greater", ACCEL_BINARY_GT},
    {"GreaterOrEqual", ACCEL_BINARY_GE},
};

static int binary_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                        struct accel_error *err)
{
    struct binary_params *p = accel_bump_alloc(mem, 1, sizeof(*p));
    size_t i = 0;

    if (p == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its attributes");
    while (strcmp(binaries[i].name, n->op_type) != 0)
        i++;
    p->op = binaries[i].op;
    if (p->op == ACCEL_BINARY_MOD && accel_attr_int(n, "fmod", 0) != 0)
        p->op = ACCEL_BINARY_FMOD;
    *params = p;
    return ACCEL_OK;
}

/* Elements that are integers and known in part: x + 1 of an unknown stays unknown. */
static int propagate(struct accel_infer *in, enum accel_binary_op op, struct accel_error *err)
{
    int64_t a[ACCEL_INTS_MAX], b[ACCEL_INTS_MAX], y[ACCEL_INTS_MAX];
    size_t na, nb;

    if (op > ACCEL_BINARY_MAX || in->node->inputs_count != 2 || in->out[0]->shape.rank > 1 ||
        (in->in[0]->data != NULL && in->in[1]->data != NULL) ||
        !accel_infer_partial(in, 0, a, ACCEL_INTS_MAX, &na) ||
        !accel_infer_partial(in, 1, b, ACCEL_INTS_MAX, &nb) || na == 0 || nb == 0 ||
        (na != nb && na != 1 && nb != 1))
        return ACCEL_OK;
    const size_t n = ACCEL_MAX(na, nb);
    for (size_t i = 0; i < n; i++) {
        const int64_t l = a[na == 1 ? 0 : i], r = b[nb == 1 ? 0 : i];
        bool wraps = l == ACCEL_INT_ANY || r == ACCEL_INT_ANY;

        if (!wraps && op == ACCEL_BINARY_ADD)
            wraps = __builtin_add_overflow(l, r, &y[i]);
        else if (!wraps && op == ACCEL_BINARY_SUB)
            wraps = __builtin_sub_overflow(l, r, &y[i]);
        else if (!wraps && op == ACCEL_BINARY_MUL)
            wraps = __builtin_mul_overflow(l, r, &y[i]);
        else if (!wraps && op == ACCEL_BINARY_MIN)
            y[i] = ACCEL_MIN(l, r);
        else if (!wraps && op == ACCEL_BINARY_MAX)
            y[i] = ACCEL_MAX(l, r);
        else if (!wraps && (r == 0 || r == -1))
            wraps = true;
        else if (!wraps)
            y[i] = l / r;
        if (wraps)
            y[i] = ACCEL_INT_ANY;
    }
    return accel_infer_set_ints(in, 0, y, n, err);
}

static int binary_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct binary_params *p = in->node->params;
    int rc = accel_infer_broadcast(in, err);

    if (rc != ACCEL_OK)
        return rc;
    if (p->op == ACCEL_BINARY_PRELU && accel_shape_static(&in->in[0]->shape) &&
        accel_shape_static(&in->in[1]->shape) &&
        !accel_shape_equal(&in->out[0]->shape, &in->in[0]->shape))
        return accel_fail(err, ACCEL_E_INVALID, "the slope does not broadcast to the input");
    if (!accel_binary_supported(p->op, in->in[0]->dtype))
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "inputs of type %s",
                          accel_dtype_name(in->in[0]->dtype));
    if (p->op >= ACCEL_BINARY_EQ) {
        in->out[0]->dtype = ACCEL_DTYPE_BOOL;
        return ACCEL_OK;
    }
    return propagate(in, p->op, err);
}

static int binary_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    /* One view per input after the first: variadic forms fold them in one by one. */
    const size_t n = prep->node->inputs_count > 1 ? prep->node->inputs_count - 1 : 1;
    struct accel_nd *nd = accel_bump_alloc(prep->mem, n, sizeof(*nd));
    const struct accel_shape *y = &prep->out[0]->shape;

    if (nd == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to prepare it");
    prep->state = nd;
    for (size_t k = 0; k < n; k++) {
        nd[k].rank = y->rank;
        for (uint32_t i = 0; i < y->rank; i++)
            nd[k].dims[i] = (size_t)y->dims[i];
        /* From the second on, the left operand is what has been summed up so far. */
        const struct accel_shape *a = k == 0 ? &prep->in[0]->shape : y;
        accel_nd_operand(&nd[k], 0, a->rank, a->dims);
        if (prep->node->inputs_count > 1)
            accel_nd_operand(&nd[k], 1, prep->in[k + 1]->shape.rank, prep->in[k + 1]->shape.dims);
    }
    return ACCEL_OK;
}

static int binary_run(struct accel_run *run, struct accel_error *err)
{
    const struct binary_params *p = run->node->params;
    const struct accel_nd *nd = run->state;
    const void *a = run->in[0]->data;

    (void)err;
    if (run->node->inputs_count == 1)
        memmove(run->out[0]->data, a, run->in[0]->size_bytes);
    for (size_t k = 1; k < run->node->inputs_count; k++) {
        accel_binary(run->kernels, run->pool, p->op, run->in[0]->dtype, &nd[k - 1], a,
                     run->in[k]->data, run->out[0]->data);
        a = run->out[0]->data;
    }
    return ACCEL_OK;
}

static int mean_run(struct accel_run *run, struct accel_error *err)
{
    const double count = (double)run->node->inputs_count;
    const float single = (float)count;
    struct accel_tensor *y = run->out[0];
    const struct accel_nd nd = {.rank = 1, .dims = {accel_elements(y)}, .stride = {{1}, {0}}};
    const int rc = binary_run(run, err);

    if (rc == ACCEL_OK)
        accel_binary(run->kernels, run->pool, ACCEL_BINARY_DIV, y->dtype, &nd, y->data,
                     y->dtype == ACCEL_DTYPE_FLOAT ? (const void *)&single : (const void *)&count,
                     y->data);
    return rc;
}

/* ---------------------------------------------------------------- Equal on strings */

static int equal_infer(struct accel_infer *in, struct accel_error *err)
{
    if (in->in[0]->dtype != ACCEL_DTYPE_STRING)
        return binary_infer(in, err);
    const int rc = accel_infer_broadcast(in, err);
    in->out[0]->dtype = ACCEL_DTYPE_BOOL;
    return rc;
}

static void equal_strings(const struct accel_nd *nd, char *const *a, char *const *b, uint8_t *y,
                          size_t n)
{
    for (size_t i = 0; i < n; i++) {
        ptrdiff_t at_a = 0, at_b = 0;
        size_t rest = i;

        for (unsigned d = nd->rank; d-- > 0;) {
            at_a += (ptrdiff_t)(rest % nd->dims[d]) * nd->stride[0][d];
            at_b += (ptrdiff_t)(rest % nd->dims[d]) * nd->stride[1][d];
            rest /= nd->dims[d];
        }
        y[i] = strcmp(a[at_a], b[at_b]) == 0;
    }
}

static int equal_run(struct accel_run *run, struct accel_error *err)
{
    if (run->in[0]->dtype != ACCEL_DTYPE_STRING)
        return binary_run(run, err);
    equal_strings(run->state, run->in[0]->data, run->in[1]->data, run->out[0]->data,
                  run->out[0]->size_bytes);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- Pow */

/* Pow-12: the exponent may be of another type. Then, and for integers, both are taken as doubles
 * and the result is of the base's type, as ONNX Runtime has it; but squares and cubes of integers
 * by one exponent are products. */
static bool as_doubles(enum accel_dtype base, enum accel_dtype exponent)
{
    return base != exponent || (ACCEL_T_INTS >> base & 1) != 0;
}

static int pow_infer(struct accel_infer *in, struct accel_error *err)
{
    if (in->in[0]->dtype == in->in[1]->dtype)
        return binary_infer(in, err);
    return accel_infer_broadcast(in, err);
}

/* x * x or x * x * x, of integers. */
static bool small_power(struct accel_run *run)
{
    const struct accel_tensor *a = run->in[0], *b = run->in[1];
    const struct accel_nd nd = {.rank = 1, .dims = {accel_elements(a)}, .stride = {{1}, {1}}};

    if ((ACCEL_T_INTS >> a->dtype & 1) == 0 || accel_elements(b) != 1 ||
        a->size_bytes != run->out[0]->size_bytes)
        return false;
    const double exponent = accel_dtype_number(b->dtype, b->data);
    if (exponent != 2 && exponent != 3)
        return false;
    accel_binary(run->kernels, run->pool, ACCEL_BINARY_MUL, a->dtype, &nd, a->data, a->data,
                 run->out[0]->data);
    if (exponent == 3)
        accel_binary(run->kernels, run->pool, ACCEL_BINARY_MUL, a->dtype, &nd, run->out[0]->data,
                     a->data, run->out[0]->data);
    return true;
}

static int pow_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    size_t elements[3], all;

    const int rc = binary_prepare(prep, err);
    if (rc != ACCEL_OK || !as_doubles(prep->in[0]->dtype, prep->in[1]->dtype))
        return rc;
    accel_shape_elements(&prep->in[0]->shape, &elements[0]);
    accel_shape_elements(&prep->in[1]->shape, &elements[1]);
    accel_shape_elements(&prep->out[0]->shape, &elements[2]);
    if (__builtin_add_overflow(elements[0], elements[1], &all) ||
        __builtin_add_overflow(all, elements[2], &all) ||
        __builtin_mul_overflow(all, sizeof(double), &prep->scratch_bytes))
        return accel_fail(err, ACCEL_E_INVALID, "its work space overflows");
    return ACCEL_OK;
}

static int pow_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *a = run->in[0], *b = run->in[1], *y = run->out[0];
    const size_t na = accel_elements(a), nb = accel_elements(b);
    double *wide_a = run->scratch, *wide_b, *wide_y;

    if (!as_doubles(a->dtype, b->dtype))
        return binary_run(run, err);
    if (small_power(run))
        return ACCEL_OK;
    wide_b = wide_a + na;
    wide_y = wide_b + nb;
    accel_convert(run->kernels, run->pool, na, a->dtype, a->data, ACCEL_DTYPE_DOUBLE, wide_a);
    accel_convert(run->kernels, run->pool, nb, b->dtype, b->data, ACCEL_DTYPE_DOUBLE, wide_b);
    accel_binary(run->kernels, run->pool, ACCEL_BINARY_POW, ACCEL_DTYPE_DOUBLE, run->state, wide_a,
                 wide_b, wide_y);
    accel_convert(run->kernels, run->pool, accel_elements(y), ACCEL_DTYPE_DOUBLE, wide_y, y->dtype,
                  y->data);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- Where */

static int where_infer(struct accel_infer *in, struct accel_error *err)
{
    int64_t cond[ACCEL_INTS_MAX], a[ACCEL_INTS_MAX], b[ACCEL_INTS_MAX];
    size_t n, na, nb;
    const int rc = accel_infer_broadcast(in, err);

    in->out[0]->dtype = in->in[1]->dtype;
    /* A shape with some of its numbers put in for others. */
    if (rc != ACCEL_OK || in->out[0]->shape.rank > 1 ||
        (in->in[1]->data != NULL && in->in[2]->data != NULL) ||
        !accel_infer_ints(in, 0, cond, ACCEL_INTS_MAX, &n) ||
        !accel_infer_partial(in, 1, a, ACCEL_INTS_MAX, &na) ||
        !accel_infer_partial(in, 2, b, ACCEL_INTS_MAX, &nb))
        return rc;
    const size_t count = ACCEL_MAX(n, ACCEL_MAX(na, nb));
    if (n == 0 || na == 0 || nb == 0 || (n != 1 && n != count) || (na != 1 && na != count) ||
        (nb != 1 && nb != count))
        return rc;
    int64_t y[ACCEL_INTS_MAX];
    for (size_t i = 0; i < count; i++)
        y[i] = cond[n == 1 ? 0 : i] != 0 ? a[na == 1 ? 0 : i] : b[nb == 1 ? 0 : i];
    return accel_infer_set_ints(in, 0, y, count, err);
}

static int where_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    return accel_prepare_broadcast(prep, 3, (struct accel_nd **)&prep->state, err);
}

static int where_run(struct accel_run *run, struct accel_error *err)
{
    (void)err;
    accel_where(run->pool, accel_element_bytes(run->in[1]->dtype), run->state, run->in[0]->data,
                run->in[1]->data, run->in[2]->data, run->out[0]->data);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- the entries */

#define NUM  ACCEL_T_NUMBERS
#define BOOL ACCEL_T(BOOL)
#define EQU  (NUM | BOOL | ACCEL_T(STRING))

static const struct accel_attr_rule mod_attrs[] = {{"fmod", ACCEL_ATTR_INT, 0}, {0}};

#define BINARY(op, version, result, var)                                            \
    {                                                                               \
        .name = op, .domain = "", .since = version, .kind = ACCEL_KIND_ELEMENTWISE, \
        .flops_per_value = 1, .in_place = var == 'T' ? 3 : 0,                       \
        .in = {{"A", NUM | BOOL, 'T', 0}, {"B", NUM | BOOL, 'T', 0}},               \
        .out = {{"C", result, var, 0}}, .attrs = mod_attrs, .parse = binary_parse,  \
        .infer = binary_infer, .prepare = binary_prepare, .run = binary_run         \
    }
#define POW(version, exponent)                                                            \
    {                                                                                     \
        .name = "Pow", .domain = "", .since = version, .kind = ACCEL_KIND_TRANSCENDENTAL, \
        .flops_per_value = 8, .in = {{"X", NUM, 'T', 0}, {"Y", NUM, exponent, 0}},        \
        .out = {{"Z", NUM, 'T', 0}}, .parse = binary_parse, .infer = pow_infer,           \
        .prepare = pow_prepare, .run = pow_run                                            \
    }
#define VARIADIC(op)                                                                    \
    {                                                                                   \
        .name = op, .domain = "", .since = 6, .kind = ACCEL_KIND_ELEMENTWISE,           \
        .flops_per_value = 1, .in = {{"data_0", NUM, 'T', ACCEL_ARG_VARIADIC}},         \
        .out = {{"result", NUM, 'T', 0}}, .parse = binary_parse, .infer = binary_infer, \
        .prepare = binary_prepare, .run = binary_run                                    \
    }

const struct accel_op accel_ops_elementwise[] = {
    BINARY("Add", 7, NUM, 'T'),
    BINARY("Sub", 7, NUM, 'T'),
    BINARY("Mul", 7, NUM, 'T'),
    BINARY("Div", 7, NUM, 'T'),
    BINARY("PRelu", 7, NUM, 'T'),
    POW(7, 'T'),
    POW(12, 'U'),
    BINARY("Mod", 10, NUM, 'T'),
    BINARY("And", 7, BOOL, 'T'),
    BINARY("Or", 7, BOOL, 'T'),
    BINARY("Xor", 7, BOOL, 'T'),
    {.name = "Equal",
     .domain = "",
     .since = 7,
     .kind = ACCEL_KIND_ELEMENTWISE,
     .flops_per_value = 1,
     .in = {{"A", EQU, 'T', 0}, {"B", EQU, 'T', 0}},
     .out = {{"C", BOOL, 0, 0}},
     .parse = binary_parse,
     .infer = equal_infer,
     .prepare = binary_prepare,
     .run = equal_run},
    BINARY("Less", 7, BOOL, 0),
    BINARY("LessOrEqual", 12, BOOL, 0),
    BINARY("Greater", 7, BOOL, 0),
    BINARY("GreaterOrEqual", 12, BOOL, 0),
    VARIADIC("Min"),
    VARIADIC("Max"),
    VARIADIC("Sum"),
    {.name = "Mean",
     .domain = "",
     .since = 6,
     .kind = ACCEL_KIND_ELEMENTWISE,
     .flops_per_value = 1,
     .in = {{"data_0", ACCEL_T_FLOATS, 'T', ACCEL_ARG_VARIADIC}},
     .out = {{"mean", ACCEL_T_FLOATS, 'T', 0}},
     .parse = binary_parse,
     .infer = binary_infer,
     .prepare = binary_prepare,
     .run = mean_run},
    {.name = "Where",
     .domain = "",
     .since = 9,
     .kind = ACCEL_KIND_ELEMENTWISE,
     .flops_per_value = 1,
     .in_place = 6,
     .in = {{"condition", BOOL, 0, 0}, {"X", ACCEL_T_ALL, 'T', 0}, {"Y", ACCEL_T_ALL, 'T', 0}},
     .out = {{"output", ACCEL_T_ALL, 'T', 0}},
     .infer = where_infer,
     .prepare = where_prepare,
     .run = where_run},
    {0},
};
