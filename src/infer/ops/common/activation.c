/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/ops/activation.h"

#include <string.h>

static const struct {
    const char *name;
    enum accel_unary_op op;
    size_t params;
    float alpha, beta;  /* where FusedGemm leaves them out */
    const char *second; /* its name for beta */
} activations[] = {
    {"Relu", ACCEL_UNARY_RELU, 0, 0, 0, "activation_beta"},
    {"Sigmoid", ACCEL_UNARY_SIGMOID, 0, 0, 0, "activation_beta"},
    {"Tanh", ACCEL_UNARY_TANH, 0, 0, 0, "activation_beta"},
    {"HardSwish", ACCEL_UNARY_HARDSWISH, 0, 0, 0, "activation_beta"},
    {"Softplus", ACCEL_UNARY_SOFTPLUS, 0, 0, 0, "activation_beta"},
    {"Softsign", ACCEL_UNARY_SOFTSIGN, 0, 0, 0, "activation_beta"},
    {"LeakyRelu", ACCEL_UNARY_LEAKYRELU, 1, 0.01f, 0, "activation_beta"},
    {"Elu", ACCEL_UNARY_ELU, 1, 1, 0, "activation_beta"},
    {"ThresholdedRelu", ACCEL_UNARY_THRESHOLDEDRELU, 1, 1, 0, "activation_beta"},
    {"Clip", ACCEL_UNARY_CLIP, 2, 0, 0, "activation_beta"},
    {"Selu", ACCEL_UNARY_SELU, 2, 1.67326319217681884765625f, 1.05070102214813232421875f,
     "activation_gamma"},
    {"HardSigmoid", ACCEL_UNARY_HARDSIGMOID, 2, 0.2f, 0.5f, "activation_beta"},
};

int accel_fused_activation(const struct accel_node *node, struct accel_activation *act,
                           struct accel_error *err)
{
    const char *name = accel_attr_string(node, "activation", "");
    size_t i = 0, count;
    const float *params = accel_attr_floats(node, "activation_params", &count);

    *act = (struct accel_activation){.op = ACCEL_UNARY_IDENTITY};
    if (name[0] == '\0')
        return ACCEL_OK;
    while (i < ACCEL_COUNT(activations) && strcmp(activations[i].name, name) != 0)
        i++;
    if (i == ACCEL_COUNT(activations))
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "activation '%s'", name);
    act->op = activations[i].op;
    if (params != NULL || strcmp(node->op_type, "FusedConv") == 0) {
        if (count != activations[i].params)
            return accel_fail(err, ACCEL_E_INVALID, "activation '%s' with %zu numbers", name,
                              count);
        act->alpha = count > 0 ? params[0] : 0;
        act->beta = count > 1 ? params[1] : 0;
    } else if (activations[i].params > 0) {
        act->alpha = accel_attr_float(node, "activation_alpha", activations[i].alpha);
        act->beta = accel_attr_float(node, activations[i].second, activations[i].beta);
    }
    return ACCEL_OK;
}
