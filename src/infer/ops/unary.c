/* SPDX-License-Identifier: Apache-2.0 */
/* Functions of one number, element by element, and Clip. */
#include "infer/kernels/kernels.h"
#include "infer/ops/elements.h"

#include <math.h>
#include <string.h>

struct unary_params {
    enum accel_unary_op op;
    float alpha, beta;
};

/* Names, and the attributes with the standard's defaults. */
static const struct {
    const char *name;
    enum accel_unary_op op;
    const char *alpha, *beta;
    float alpha_default, beta_default;
} unaries[] = {
    {"Relu", ACCEL_UNARY_RELU, NULL, NULL, 0, 0},
    {"LeakyRelu", ACCEL_UNARY_LEAKYRELU, "alpha", NULL, 0.01f, 0},
    {"Sigmoid", ACCEL_UNARY_SIGMOID, NULL, NULL, 0, 0},
    {"Tanh", ACCEL_UNARY_TANH, NULL, NULL, 0, 0},
    {"HardSigmoid", ACCEL_UNARY_HARDSIGMOID, "alpha", "beta", 0.2f, 0.5f},
    {"HardSwish", ACCEL_UNARY_HARDSWISH, NULL, NULL, 0, 0},
    {"Elu", ACCEL_UNARY_ELU, "alpha", NULL, 1, 0},
    {"Celu", ACCEL_UNARY_CELU, "alpha", NULL, 1, 0},
    {"Selu", ACCEL_UNARY_SELU, "alpha", "gamma", 1.67326319217681884765625f,
     1.05070102214813232421875f},
    {"Softplus", ACCEL_UNARY_SOFTPLUS, NULL, NULL, 0, 0},
    {"Softsign", ACCEL_UNARY_SOFTSIGN, NULL, NULL, 0, 0},
    {"Mish", ACCEL_UNARY_MISH, NULL, NULL, 0, 0},
    {"ThresholdedRelu", ACCEL_UNARY_THRESHOLDEDRELU, "alpha", NULL, 1, 0},
    {"Shrink", ACCEL_UNARY_SHRINK, "lambd", "bias", 0.5f, 0},
    {"Exp", ACCEL_UNARY_EXP, NULL, NULL, 0, 0},
    {"Log", ACCEL_UNARY_LOG, NULL, NULL, 0, 0},
    {"Sqrt", ACCEL_UNARY_SQRT, NULL, NULL, 0, 0},
    {"Reciprocal", ACCEL_UNARY_RECIPROCAL, NULL, NULL, 0, 0},
    {"Erf", ACCEL_UNARY_ERF, NULL, NULL, 0, 0},
    {"Abs", ACCEL_UNARY_ABS, NULL, NULL, 0, 0},
    {"Neg", ACCEL_UNARY_NEG, NULL, NULL, 0, 0},
    {"Sign", ACCEL_UNARY_SIGN, NULL, NULL, 0, 0},
    {"Floor", ACCEL_UNARY_FLOOR, NULL, NULL, 0, 0},
    {"Ceil", ACCEL_UNARY_CEIL, NULL, NULL, 0, 0},
    {"Round", ACCEL_UNARY_ROUND, NULL, NULL, 0, 0},
    {"Sin", ACCEL_UNARY_SIN, NULL, NULL, 0, 0},
    {"Cos", ACCEL_UNARY_COS, NULL, NULL, 0, 0},
    {"Tan", ACCEL_UNARY_TAN, NULL, NULL, 0, 0},
    {"Asin", ACCEL_UNARY_ASIN, NULL, NULL, 0, 0},
    {"Acos", ACCEL_UNARY_ACOS, NULL, NULL, 0, 0},
    {"Atan", ACCEL_UNARY_ATAN, NULL, NULL, 0, 0},
    {"Sinh", ACCEL_UNARY_SINH, NULL, NULL, 0, 0},
    {"Cosh", ACCEL_UNARY_COSH, NULL, NULL, 0, 0},
    {"Asinh", ACCEL_UNARY_ASINH, NULL, NULL, 0, 0},
    {"Acosh", ACCEL_UNARY_ACOSH, NULL, NULL, 0, 0},
    {"Atanh", ACCEL_UNARY_ATANH, NULL, NULL, 0, 0},
    {"Not", ACCEL_UNARY_NOT, NULL, NULL, 0, 0},
};

static int unary_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                       struct accel_error *err)
{
    struct unary_params *p = accel_bump_alloc(mem, 1, sizeof(*p));
    size_t i = 0;

    if (p == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its attributes");
    while (strcmp(unaries[i].name, n->op_type) != 0)
        i++;
    p->op = unaries[i].op;
    if (unaries[i].alpha != NULL)
        p->alpha = accel_attr_float(n, unaries[i].alpha, unaries[i].alpha_default);
    if (unaries[i].beta != NULL)
        p->beta = accel_attr_float(n, unaries[i].beta, unaries[i].beta_default);
    *params = p;
    return ACCEL_OK;
}

static int unary_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct unary_params *p = in->node->params;

    if (!accel_unary_supported(p->op, in->in[0]->dtype))
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "input 0 of type %s",
                          accel_dtype_name(in->in[0]->dtype));
    return accel_infer_same(in, err);
}

static int unary_run(struct accel_run *run, struct accel_error *err)
{
    const struct unary_params *p = run->node->params;
    const struct accel_tensor *x = run->in[0];

    (void)err;
    accel_unary(run->kernels, run->pool, p->op, p->alpha, p->beta, x->dtype, accel_elements(x),
                x->data, run->out[0]->data);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- Clip */

/* Clip-6: bounds are attributes. Since 11 they are inputs. */
static int clip6_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                       struct accel_error *err)
{
    struct unary_params *p = accel_bump_alloc(mem, 1, sizeof(*p));

    if (p == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its attributes");
    *p = (struct unary_params){.op = ACCEL_UNARY_CLIP,
                               .alpha = accel_attr_float(n, "min", -INFINITY),
                               .beta = accel_attr_float(n, "max", INFINITY)};
    *params = p;
    return ACCEL_OK;
}

static int clip_infer(struct accel_infer *in, struct accel_error *err)
{
    for (size_t i = 1; i < in->node->inputs_count; i++) {
        size_t elements;

        if (in->in[i] != NULL && accel_shape_static(&in->in[i]->shape) &&
            (!accel_shape_elements(&in->in[i]->shape, &elements) || elements != 1))
            return accel_fail(err, ACCEL_E_INVALID, "input %zu is not one number", i);
    }
    if (!accel_binary_supported(ACCEL_BINARY_MIN, in->in[0]->dtype))
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "input 0 of type %s",
                          accel_dtype_name(in->in[0]->dtype));
    return accel_infer_same(in, err);
}

static int clip_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    const void *from = x->data;
    struct accel_nd nd = {.rank = 1, .dims = {accel_elements(x)}, .stride = {{1}, {0}}};

    (void)err;
    if (x->dtype == ACCEL_DTYPE_FLOAT) {
        float low = -INFINITY, high = INFINITY;

        if (run->node->inputs_count > 1 && run->in[1] != NULL)
            memcpy(&low, run->in[1]->data, sizeof(low));
        if (run->node->inputs_count > 2 && run->in[2] != NULL)
            memcpy(&high, run->in[2]->data, sizeof(high));
        accel_unary(run->kernels, run->pool, ACCEL_UNARY_CLIP, low, high, x->dtype,
                    accel_elements(x), x->data, run->out[0]->data);
        return ACCEL_OK;
    }
    for (size_t i = 1; i < 3; i++) {
        if (i >= run->node->inputs_count || run->in[i] == NULL)
            continue;
        accel_binary(run->kernels, run->pool, i == 1 ? ACCEL_BINARY_MAX : ACCEL_BINARY_MIN,
                     x->dtype, &nd, from, run->in[i]->data, run->out[0]->data);
        from = run->out[0]->data;
    }
    if (from != run->out[0]->data)
        memcpy(run->out[0]->data, from, x->size_bytes);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- the entries */

#define NUM  ACCEL_T_NUMBERS
#define BOOL ACCEL_T(BOOL)

static const struct accel_attr_rule alpha_beta[] = {{"alpha", ACCEL_ATTR_FLOAT, 0},
                                                    {"beta", ACCEL_ATTR_FLOAT, 0},
                                                    {"gamma", ACCEL_ATTR_FLOAT, 0},
                                                    {"lambd", ACCEL_ATTR_FLOAT, 0},
                                                    {"bias", ACCEL_ATTR_FLOAT, 0},
                                                    {"consumed_inputs", ACCEL_ATTR_INTS,
                                                     ACCEL_ATTR_IGNORED},
                                                    {0}};
static const struct accel_attr_rule min_max[] = {
    {"min", ACCEL_ATTR_FLOAT, 0}, {"max", ACCEL_ATTR_FLOAT, 0}, {0}};

#define UNARY(op, version, k, flops)                                                   \
    {                                                                                  \
        .name = op, .domain = "", .since = version, .kind = ACCEL_KIND_##k,            \
        .flops_per_value = flops, .in_place = 1, .in = {{"X", NUM | BOOL, 'T', 0}},    \
        .out = {{"Y", NUM | BOOL, 'T', 0}}, .attrs = alpha_beta, .parse = unary_parse, \
        .infer = unary_infer, .run = unary_run                                         \
    }

const struct accel_op accel_ops_unary[] = {
    UNARY("Relu", 6, ELEMENTWISE, 1),
    UNARY("LeakyRelu", 6, ELEMENTWISE, 2),
    UNARY("Sigmoid", 6, TRANSCENDENTAL, 4),
    UNARY("Tanh", 6, TRANSCENDENTAL, 4),
    UNARY("HardSigmoid", 6, ELEMENTWISE, 3),
    UNARY("HardSwish", 14, ELEMENTWISE, 4),
    UNARY("Elu", 6, TRANSCENDENTAL, 4),
    UNARY("Celu", 12, TRANSCENDENTAL, 4),
    UNARY("Selu", 6, TRANSCENDENTAL, 4),
    UNARY("Softplus", 1, TRANSCENDENTAL, 4),
    UNARY("Softsign", 1, ELEMENTWISE, 3),
    UNARY("Mish", 18, TRANSCENDENTAL, 6),
    UNARY("ThresholdedRelu", 1, ELEMENTWISE, 1),
    UNARY("Shrink", 9, ELEMENTWISE, 2),
    UNARY("Exp", 6, TRANSCENDENTAL, 4),
    UNARY("Log", 6, TRANSCENDENTAL, 4),
    UNARY("Sqrt", 6, ELEMENTWISE, 1),
    UNARY("Reciprocal", 6, ELEMENTWISE, 1),
    UNARY("Erf", 9, TRANSCENDENTAL, 4),
    UNARY("Abs", 6, ELEMENTWISE, 1),
    UNARY("Neg", 6, ELEMENTWISE, 1),
    UNARY("Sign", 9, ELEMENTWISE, 1),
    UNARY("Floor", 6, ELEMENTWISE, 1),
    UNARY("Ceil", 6, ELEMENTWISE, 1),
    UNARY("Round", 11, ELEMENTWISE, 1),
    UNARY("Sin", 7, TRANSCENDENTAL, 4),
    UNARY("Cos", 7, TRANSCENDENTAL, 4),
    UNARY("Tan", 7, TRANSCENDENTAL, 4),
    UNARY("Asin", 7, TRANSCENDENTAL, 4),
    UNARY("Acos", 7, TRANSCENDENTAL, 4),
    UNARY("Atan", 7, TRANSCENDENTAL, 4),
    UNARY("Sinh", 9, TRANSCENDENTAL, 4),
    UNARY("Cosh", 9, TRANSCENDENTAL, 4),
    UNARY("Asinh", 9, TRANSCENDENTAL, 4),
    UNARY("Acosh", 9, TRANSCENDENTAL, 4),
    UNARY("Atanh", 9, TRANSCENDENTAL, 4),
    UNARY("Not", 1, ELEMENTWISE, 1),
    {.name = "Clip",
     .domain = "",
     .since = 6,
     .kind = ACCEL_KIND_ELEMENTWISE,
     .flops_per_value = 2,
     .in_place = 1,
     .in = {{"input", ACCEL_T_FLOATS, 'T', 0}},
     .out = {{"output", ACCEL_T_FLOATS, 'T', 0}},
     .attrs = min_max,
     .parse = clip6_parse,
     .infer = unary_infer,
     .run = unary_run},
    {.name = "Clip",
     .domain = "",
     .since = 11,
     .kind = ACCEL_KIND_ELEMENTWISE,
     .flops_per_value = 2,
     .in_place = 1,
     .in = {{"input", NUM, 'T', 0},
            {"min", NUM, 'T', ACCEL_ARG_OPTIONAL},
            {"max", NUM, 'T', ACCEL_ARG_OPTIONAL}},
     .out = {{"output", NUM, 'T', 0}},
     .infer = clip_infer,
     .run = clip_run},
    {0},
};
