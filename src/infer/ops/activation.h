/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_OPS_ACTIVATION_H
#define ACCEL_INFER_OPS_ACTIVATION_H

/* The activations that ONNX Runtime's optimiser writes into FusedConv and FusedGemm, by name. */

#include "infer/ops/op.h"

/* Attribute `activation`; its numbers are the list activation_params (FusedConv), or activation_
 * alpha, _beta and _gamma (FusedGemm). Without the attribute: IDENTITY.
 * Errors: UNSUPPORTED (another activation), INVALID (a list of another length). */
int accel_fused_activation(const struct accel_node *node, struct accel_activation *act,
                           struct accel_error *err);

#endif
