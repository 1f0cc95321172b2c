/* SPDX-License-Identifier: Apache-2.0 */
/* fold-batchnorm: BatchNormalization behind a Conv or ConvTranspose with constant weights becomes
 * part of the weights and the bias. */
#include "infer/graph/passes.h"

#include <math.h>
#include <string.h>

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

/* w: [cout][...] for Conv, [cin][cout / groups][...] for ConvTranspose. */
static void scale_weights(const struct accel_tensor *w, bool transposed, size_t groups,
                          const double *scale, const float *from, float *to)
{
    const size_t inner = accel_dims_product(w->dims, 2, w->rank);
    const size_t d0 = (size_t)w->dims[0], d1 = (size_t)w->dims[1];

    for (size_t a = 0; a < d0; a++) {
        for (size_t b = 0; b < d1; b++) {
            const size_t cout = transposed ? a / (d0 / groups) * d1 + b : a;
            const size_t at = (a * d1 + b) * inner;

            for (size_t i = 0; i < inner; i++)
                to[at + i] = (float)((double)from[at + i] * scale[cout]);
        }
    }
}

static int fold(struct accel_ir *ir, struct accel_node *conv, const struct accel_node *bn,
                bool *done, struct accel_error *err)
{
    const bool transposed = accel_node_is(conv, "ConvTranspose");
    const size_t groups = (size_t)accel_attr_int(conv, "group", 1);
    struct accel_value *w = conv->inputs[1];
    struct accel_value *b = conv->inputs_count > 2 ? conv->inputs[2] : NULL;
    const float *stat[4], *old_bias = NULL;
    bool usable;
    void *new_w, *new_b;

    *done = false;
    if (w->data == NULL || w->data->data == NULL || w->data->dtype != ACCEL_DTYPE_FLOAT ||
        w->data->rank < 3 || w->data->size_bytes == 0 ||
        (b != NULL && (b->data == NULL || b->data->data == NULL)))
        return ACCEL_OK;
    const int64_t channels = transposed ? w->data->dims[1] * (int64_t)groups : w->data->dims[0];
    if (b != NULL && (b->data->rank != 1 || b->data->dims[0] != channels))
        return ACCEL_OK;
    int rc = statistics(ir, bn, channels, stat, &usable, err);
    if (rc != ACCEL_OK || !usable)
        return rc;
    const struct accel_tensor *wt = accel_value_constant(ir, w, err);
    const struct accel_tensor *bt = b != NULL ? accel_value_constant(ir, b, err) : NULL;
    if (wt == NULL || (b != NULL && bt == NULL))
        return ACCEL_E_NOMEM;
    old_bias = bt != NULL ? bt->data : NULL;
    const struct accel_shape shape = accel_shape_of(wt);
    const struct accel_shape vector = {.has_rank = true, .rank = 1, .dims = {channels}};
    ACCEL_CLEANUP(accel_freep) double *scale = accel_calloc((size_t)channels, sizeof(*scale));
    if (scale == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to fold a BatchNormalization");
    struct accel_value *nw =
        accel_constant_new(conv->graph, w->name, ACCEL_DTYPE_FLOAT, &shape, &new_w, err);
    struct accel_value *nb =
        nw == NULL
            ? NULL
            : accel_constant_new(conv->graph, bn->name, ACCEL_DTYPE_FLOAT, &vector, &new_b, err);
    if (nb == NULL)
        return err != NULL ? (int)err->code : ACCEL_E_NOMEM;
    const float epsilon = accel_attr_float(bn, "epsilon", 1e-5f);
    for (size_t c = 0; c < (size_t)channels; c++) {
        scale[c] = (double)stat[0][c] / sqrt((double)stat[3][c] + (double)epsilon);
        ((float *)new_b)[c] =
            (float)((double)stat[1][c] +
                    ((old_bias != NULL ? (double)old_bias[c] : 0) - (double)stat[2][c]) * scale[c]);
    }
    scale_weights(wt, transposed, groups, scale, wt->data, new_w);
    /* The old bytes are wanted by nobody else: do not hold both until packing. */
    if (w->uses == 1)
        accel_value_drop_bytes(ir, w);
    conv->inputs[1] = nw;
    if (conv->inputs_count < 3) {
        struct accel_value **inputs = accel_bump_alloc(&ir->mem, 5, sizeof(struct accel_value *));

        if (inputs == NULL)
            return accel_fail(err, ACCEL_E_NOMEM, "no memory for a node");
        memcpy(inputs, conv->inputs, conv->inputs_count * sizeof(struct accel_value *));
        conv->inputs = inputs;
        conv->inputs_count = 3;
    }
    conv->inputs[2] = nb;
    *done = true;
    return ACCEL_OK;
}

int accel_pass_fold_batchnorm(struct accel_ir *ir, size_t *changes, struct accel_error *err)
{
    struct accel_graph *g = ir->main;

    for (size_t i = 0; i < g->nodes_count; i++) {
        struct accel_node *conv = g->nodes[i], *bn;
        bool done;

        if (conv->dead || (!accel_node_is(conv, "Conv") && !accel_node_is(conv, "ConvTranspose")) ||
            conv->epilogue.add >= 0 || conv->epilogue.act.op != ACCEL_UNARY_IDENTITY)
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
