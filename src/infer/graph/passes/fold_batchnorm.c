/* SPDX-License-Identifier: Apache-2.0 */
/* fold-batchnorm: BatchNormalization behind a Conv, ConvTranspose or Gemm with constant weights
 * becomes part of the weights and the bias. */
#include "infer/graph/passes.h"

#include <math.h>

/* Constant inputs 1..4 of the BatchNormalization, all floats of `channels` elements. */
static int statistics(struct accel_ir *ir, const struct accel_node *bn, int64_t channels,
                      const float *stat[4], bool *usable, struct accel_error *err)
{
    *usable = false;
    for (size_t i = 0; i < 4; i++) {
        struct accel_value *v = bn->inputs[i + 1];

        if (v->data == NULL || v->data->data == NULL || v->data->dtype != ACCEL_DTYPE_FLOAT ||
            v->data->rank != 1 || v->data->dims[0] != channels)
            return ACCEL_OK;
        const struct accel_tensor *t = accel_value_constant(ir, v, err);
        if (t == NULL)
            return ACCEL_E_NOMEM;
        stat[i] = t->data;
    }
    *usable = true;
    return ACCEL_OK;
}

static int fold(struct accel_ir *ir, struct accel_node *conv, const struct accel_node *bn,
                bool *done, struct accel_error *err)
{
    const int64_t channels = accel_affine_channels(conv);
    const float epsilon = accel_attr_float(bn, "epsilon", 1e-5f);
    const float *stat[4];
    bool usable = false;

    *done = false;
    if (channels < 0)
        return ACCEL_OK;
    const int rc = statistics(ir, bn, channels, stat, &usable, err);
    if (rc != ACCEL_OK || !usable)
        return rc;
    const size_t count = (size_t)channels;
    ACCEL_CLEANUP(accel_freep) double *scale = accel_calloc(2 * count, sizeof(*scale));
    if (scale == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to fold a BatchNormalization");
    double *const shift = scale + count;
    for (size_t c = 0; c < count; c++) {
        scale[c] = (double)stat[0][c] / sqrt((double)stat[3][c] + (double)epsilon);
        shift[c] = (double)stat[1][c] - (double)stat[2][c] * scale[c];
    }
    return accel_affine_fold(ir, conv, scale, shift, bn->name, done, err);
}

int accel_pass_fold_batchnorm(struct accel_ir *ir, size_t *changes, struct accel_error *err)
{
    struct accel_graph *g = ir->main;

    for (size_t i = 0; i < g->nodes_count; i++) {
        struct accel_node *conv = g->nodes[i], *bn;
        bool done;

        if (conv->dead || accel_node_is(conv, "MatMul"))
            continue;
        bn = accel_node_follower(conv);
        if (bn == NULL || !accel_node_is(bn, "BatchNormalization") ||
            bn->inputs[0] != conv->outputs[0] || accel_attr_int(bn, "training_mode", 0) != 0)
            continue;
        int rc = fold(ir, conv, bn, &done, err);
        if (rc == ACCEL_OK && done)
            rc = accel_node_fused(conv, bn->op_type, err);
        if (rc != ACCEL_OK)
            return rc;
        if (done) {
            accel_node_absorb(conv, bn);
            (*changes)++;
        }
    }
    return ACCEL_OK;
}
