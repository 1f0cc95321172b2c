/* SPDX-License-Identifier: Apache-2.0 */
/* Gelu, Swish, SwiGLU. */
#include "infer/ops/elements.h"
#include "infer/ops/wide.h"

#include <string.h>

struct activation_params {
    enum accel_unary_op op;
    float alpha;
};

static int activation_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                            struct accel_error *err)
{
    struct activation_params *p = accel_bump_alloc(mem, 1, sizeof(*p));
    const char *approximate = accel_attr_string(n, "approximate", "none");

    if (p == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its attributes");
    *params = p;
    *p = (struct activation_params){.op = ACCEL_UNARY_SILU,
                                    .alpha = accel_attr_float(n, "alpha", 1)};
    if (strcmp(n->op_type, "Gelu") != 0)
        return ACCEL_OK;
    p->op = ACCEL_UNARY_GELU;
    if (strcmp(approximate, "tanh") == 0)
        p->op = ACCEL_UNARY_GELU_TANH;
    else if (strcmp(approximate, "none") != 0)
        return accel_fail(err, ACCEL_E_INVALID, "approximate is '%s', not none or tanh",
                          approximate);
    return ACCEL_OK;
}

/* y = activation of input 0. */
static int activate(struct accel_run *run, struct accel_error *err)
{
    const struct activation_params *p = run->node->params;
    const struct accel_tensor *x = run->in[0];

    (void)err;
    accel_unary(run->kernels, run->pool, p->op, p->alpha, 0, x->dtype, accel_elements(x), x->data,
                run->out[0]->data);
    return ACCEL_OK;
}

ACCEL_WIDE(activation, NULL, activate)

/* ---------------------------------------------------------------- SwiGLU */

static int swiglu_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *a = &in->in[0]->shape, *b = &in->in[1]->shape;
    bool same = a->rank == b->rank;
    char text[2][ACCEL_SHAPE_TEXT];

    for (uint32_t i = 0; i < a->rank && same; i++)
        same = a->dims[i] == b->dims[i] || a->dims[i] < 0 || b->dims[i] < 0;
    if (!same)
        return accel_fail(err, ACCEL_E_INVALID, "A of shape %s, B of shape %s: they must agree",
                          accel_shape_format(a, text[0]), accel_shape_format(b, text[1]));
    return accel_infer_broadcast(in, err);
}

static int gate(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *y = run->out[0];
    const struct accel_nd nd = {.rank = 1, .dims = {accel_elements(y)}, .stride = {{1}, {1}}};
    const int rc = activate(run, err);

    if (rc == ACCEL_OK)
        accel_binary(run->kernels, run->pool, ACCEL_BINARY_MUL, y->dtype, &nd, y->data,
                     run->in[1]->data, y->data);
    return rc;
}

ACCEL_WIDE(swiglu, NULL, gate)

/* ---------------------------------------------------------------- the entries */

#define REAL ACCEL_T_REALS
static const struct accel_attr_rule gelu_attrs[] = {{"approximate", ACCEL_ATTR_STRING, 0}, {0}};
static const struct accel_attr_rule swish_attrs[] = {{"alpha", ACCEL_ATTR_FLOAT, 0}, {0}};

#define ACTIVATION(op, version, rules)                                                            \
    {                                                                                             \
        .name = op, .since = version, .domain = "", .kind = ACCEL_KIND_TRANSCENDENTAL,            \
        .flops_per_value = 6, .in_place = 1, .in = {{"X", REAL, 'T', 0}},                         \
        .out = {{"Y", REAL, 'T', 0}}, .attrs = rules, .parse = activation_parse,                  \
        .infer = accel_infer_same, .prepare = activation_wide_prepare, .run = activation_wide_run \
    }

const struct accel_op accel_ops_activations[] = {
    ACTIVATION("Gelu", 20, gelu_attrs),
    ACTIVATION("Swish", 24, swish_attrs),
    {.name = "SwiGLU",
     .since = 28,
     .domain = "",
     .kind = ACCEL_KIND_TRANSCENDENTAL,
     .flops_per_value = 7,
     .in_place = 1,
     .in = {{"A", REAL, 'T', 0}, {"B", REAL, 'T', 0}},
     .out = {{"Y", REAL, 'T', 0}},
     .attrs = swish_attrs,
     .parse = activation_parse,
     .infer = swiglu_infer,
     .prepare = swiglu_wide_prepare,
     .run = swiglu_wide_run},
    {0},
};
