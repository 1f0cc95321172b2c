/* SPDX-License-Identifier: Apache-2.0 */
/* fold-pad: zeros that a Pad puts around the input of a Conv become the Conv's own padding. */
#include "infer/graph/passes.h"

#include <string.h>

/* The pads of a constant-zero Pad over spatial axes alone: begin, then end. */
static bool zero_pads(const struct accel_node *pad, uint32_t rank, int64_t *out)
{
    const int64_t *list = NULL;
    int64_t copy[2 * ACCEL_RANK_MAX];
    size_t n = 0;

    if (strcmp(accel_attr_string(pad, "mode", "constant"), "constant") != 0 ||
        pad->inputs_count > 3)
        return false;
    if (pad->op->since < 11) {
        list = accel_attr_ints(pad, "pads", &n);
        if (accel_attr_float(pad, "value", 0) != 0)
            return false;
    } else {
        const struct accel_tensor *t = pad->inputs[1]->data;
        const struct accel_value *v = pad->inputs_count > 2 ? pad->inputs[2] : NULL;

        if (t == NULL || t->data == NULL || t->dtype != ACCEL_DTYPE_INT64 ||
            t->size_bytes > sizeof(copy))
            return false;
        if (v != NULL) {
            float value;

            if (v->data == NULL || v->data->dtype != ACCEL_DTYPE_FLOAT ||
                v->data->size_bytes != sizeof(value))
                return false;
            memcpy(&value, v->data->data, sizeof(value));
            if (value != 0)
                return false;
        }
        n = t->size_bytes / sizeof(*copy);
        memcpy(copy, t->data, t->size_bytes);
        list = copy;
    }
    if (rank < 3 || n != (size_t)2 * rank || list[0] != 0 || list[1] != 0 || list[rank] != 0 ||
        list[rank + 1] != 0)
        return false;
    for (uint32_t i = 2; i < rank; i++) {
        if (list[i] < 0 || list[rank + i] < 0 || list[i] > 1024 || list[rank + i] > 1024)
            return false;
        out[i - 2] = list[i];
        out[rank - 2 + i - 2] = list[rank + i];
    }
    return true;
}

/* Replaces (or adds) the attribute pads. */
static int set_pads(struct accel_ir *ir, struct accel_node *conv, const int64_t *pads, size_t n,
                    struct accel_error *err)
{
    struct accel_attr *attrs = accel_bump_alloc(&ir->mem, conv->attrs_count + 1, sizeof(*attrs));
    int64_t *list = accel_bump_alloc(&ir->mem, n, sizeof(*list));
    size_t count = 0;

    if (attrs == NULL || list == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for an attribute");
    memcpy(list, pads, n * sizeof(*list));
    for (size_t i = 0; i < conv->attrs_count; i++)
        if (strcmp(conv->attrs[i].name, "pads") != 0 &&
            strcmp(conv->attrs[i].name, "auto_pad") != 0)
            attrs[count++] = conv->attrs[i];
    attrs[count++] =
        (struct accel_attr){.name = "pads", .type = ACCEL_ATTR_INTS, .count = n, .ints = list};
    conv->attrs = attrs;
    conv->attrs_count = count;
    return accel_node_bind(conv, err);
}

int accel_pass_fold_pad(struct accel_ir *ir, size_t *changes, struct accel_error *err)
{
    struct accel_graph *g = ir->main;

    for (size_t i = 0; i < g->nodes_count; i++) {
        struct accel_node *pad = g->nodes[i], *conv;
        int64_t pads[2 * ACCEL_RANK_MAX];
        size_t own;

        if (!accel_node_is(pad, "Pad") || !pad->inputs[0]->type.shape.has_rank)
            continue;
        conv = accel_node_follower(pad);
        if (conv == NULL || !accel_node_is(conv, "Conv") || conv->inputs[0] != pad->outputs[0])
            continue;
        const uint32_t rank = pad->inputs[0]->type.shape.rank;
        const char *mode = accel_attr_string(conv, "auto_pad", "NOTSET");
        if (!zero_pads(pad, rank, pads) ||
            (strcmp(mode, "NOTSET") != 0 && strcmp(mode, "VALID") != 0))
            continue;
        const int64_t *old = accel_attr_ints(conv, "pads", &own);
        if (own != 0 && own != (size_t)2 * (rank - 2))
            continue;
        for (size_t k = 0; k < own && strcmp(mode, "VALID") != 0; k++)
            pads[k] += old[k];
        int rc = set_pads(ir, conv, pads, (size_t)2 * (rank - 2), err);
        if (rc == ACCEL_OK)
            rc = accel_node_fused(conv, "Pad", err);
        if (rc != ACCEL_OK)
            return rc;
        accel_value_replace(pad->outputs[0], pad->inputs[0]);
        pad->dead = true;
        (*changes)++;
    }
    return ACCEL_OK;
}
