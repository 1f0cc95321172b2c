/* SPDX-License-Identifier: Apache-2.0 */
/* The domain "acceld": what graph passes make of chains of primitive nodes where neither the opset
 * of the model nor ONNX Runtime's domain has one (Attention is in scaled_attention.c).
 *
 *   HardSwish  x * max(0, min(1, x / 6 + 0.5)); the standard's is of opset 14
 *   Mish       x * tanh(softplus(x)); the standard's is of opset 18 */
#include "infer/kernels/kernels.h"
#include "infer/ops/op.h"

static int activation_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                            struct accel_error *err)
{
    struct accel_activation *act = accel_bump_alloc(mem, 1, sizeof(*act));

    if (act == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its attributes");
    act->op = n->op_type[0] == 'H' ? ACCEL_UNARY_HARDSWISH : ACCEL_UNARY_MISH;
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

#define ACTIVATION(op, k, flops)                                                        \
    {                                                                                   \
        .name = op, .domain = ACCEL_DOMAIN_OWN, .since = 1, .kind = ACCEL_KIND_##k,     \
        .flops_per_value = flops, .in_place = 1, .in = {{"X", ACCEL_T(FLOAT), 'T', 0}}, \
        .out = {{"Y", ACCEL_T(FLOAT), 'T', 0}}, .parse = activation_parse,              \
        .infer = accel_infer_same, .run = activation_run                                \
    }

const struct accel_op accel_ops_acceld[] = {
    ACTIVATION("HardSwish", ELEMENTWISE, 4),
    ACTIVATION("Mish", TRANSCENDENTAL, 6),
    {0},
};
