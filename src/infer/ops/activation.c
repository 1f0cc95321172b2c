/* SPDX-License-Identifier: Apache-2.0 */
/* Activations that graph passes find in chains of primitive nodes, in a domain of our own: the
 * standard has most of them too, but only from some opset on.
 *
 *   Silu       x * sigmoid(alpha * x)
 *   Gelu       0.5 * x * (1 + erf(x / sqrt 2)); approximate = "tanh": its approximation
 *   HardSwish  x * max(0, min(1, x / 6 + 0.5))
 *   Mish       x * tanh(softplus(x)) */
#include "infer/kernels/kernels.h"
#include "infer/ops/op.h"

#include <string.h>

static int activation_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                            struct accel_error *err)
{
    struct accel_activation *act = accel_bump_alloc(mem, 1, sizeof(*act));

    if (act == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its attributes");
    act->alpha = accel_attr_float(n, "alpha", 1);
    if (strcmp(n->op_type, "Silu") == 0)
        act->op = ACCEL_UNARY_SILU;
    else if (strcmp(n->op_type, "HardSwish") == 0)
        act->op = ACCEL_UNARY_HARDSWISH;
    else if (strcmp(n->op_type, "Mish") == 0)
        act->op = ACCEL_UNARY_MISH;
    else if (strcmp(accel_attr_string(n, "approximate", "none"), "tanh") == 0)
        act->op = ACCEL_UNARY_GELU_TANH;
    else
        act->op = ACCEL_UNARY_GELU;
    *params = act;
    return ACCEL_OK;
}

static int activation_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_activation *act = run->node->params;
    const struct accel_tensor *x = run->in[0];

    (void)err;
    accel_unary(run->kernels, run->pool, act->op, act->alpha, act->beta, x->dtype,
                x->size_bytes / accel_dtype_size(x->dtype), x->data, run->out[0]->data);
    return ACCEL_OK;
}

static const struct accel_attr_rule silu_attrs[] = {{"alpha", ACCEL_ATTR_FLOAT, 0}, {0}};
static const struct accel_attr_rule gelu_attrs[] = {{"approximate", ACCEL_ATTR_STRING, 0}, {0}};

#define ACTIVATION(op, rules, k, flops)                                                    \
    {                                                                                      \
        .name = op, .domain = "acceld", .since = 1, .kind = ACCEL_KIND_##k,                \
        .flops_per_value = flops, .in_place = 1, .in = {{"X", ACCEL_T(FLOAT), 'T', 0}},    \
        .out = {{"Y", ACCEL_T(FLOAT), 'T', 0}}, .attrs = rules, .parse = activation_parse, \
        .infer = accel_infer_same, .run = activation_run                                   \
    }

const struct accel_op accel_ops_activation[] = {
    ACTIVATION("Silu", silu_attrs, TRANSCENDENTAL, 5),
    ACTIVATION("Gelu", gelu_attrs, TRANSCENDENTAL, 6),
    ACTIVATION("HardSwish", NULL, ELEMENTWISE, 4),
    ACTIVATION("Mish", NULL, TRANSCENDENTAL, 6),
    {0},
};
