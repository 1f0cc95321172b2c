/* SPDX-License-Identifier: Apache-2.0 */
/* sink-dequantize: what only moves elements moves the integers: a DequantizeLinear before a
 * Reshape, Transpose, Slice ... goes behind it, with the same result. There it meets the operator
 * that wants its integers (fuse-qdq), or a QuantizeLinear that makes the same of them again: both
 * are left out. Also leaves out a Relu or Clip of what no integer behind it could say anyway. */
#include "infer/graph/passes.h"
#include "infer/kernels/quant.h"

#include <math.h>
#include <string.h>

static bool takes(const struct accel_node *n, enum accel_dtype dtype)
{
    return (unsigned)dtype < 32 && (n->op->in[0].types & 1u << dtype) != 0;
}

/* Every element of the output is one of input 0. */
static bool moves(const struct accel_node *n, enum accel_dtype dtype)
{
    static const char *const names[] = {"Reshape",      "Flatten",      "Squeeze", "Unsqueeze",
                                        "Transpose",    "Slice",        "Gather",  "Expand",
                                        "DepthToSpace", "SpaceToDepth", "Tile",    NULL};
    size_t i = 0;

    if (n->op == NULL || n->outputs_count == 0 || n->outputs[0] == NULL ||
        accel_node_more_outputs(n) || !takes(n, dtype))
        return false;
    while (names[i] != NULL && !accel_node_is(n, names[i]))
        i++;
    if (names[i] != NULL)
        return true;
    return accel_node_is(n, "Resize") &&
           strcmp(accel_attr_string(n, "mode", "nearest"), "nearest") == 0 &&
           strcmp(accel_attr_string(n, "coordinate_transformation_mode", "half_pixel"),
                  "tf_crop_and_resize") != 0;
}

/* The largest of integers stands for the largest number. Worth it where the integers are wanted. */
static bool picks_largest(const struct accel_node *n, const struct accel_quantizer *dq)
{
    struct accel_quantizer q;

    return accel_node_is(n, "MaxPool") && takes(n, dq->dtype) && !accel_node_more_outputs(n) &&
           accel_quantizer_of(accel_node_follower(n), "QuantizeLinear", &q) &&
           accel_quantizer_same(dq, &q);
}

static int sink(struct accel_node *n, const struct accel_quantizer *dq, struct accel_error *err)
{
    struct accel_graph *g = n->graph;
    struct accel_value *y = n->outputs[0];
    struct accel_value *moved = accel_value_new(g, y->name, err);
    struct accel_value *in[3] = {moved, dq->scale, dq->zero};

    if (moved == NULL)
        return ACCEL_E_NOMEM;
    moved->type.dtype = dq->dtype;
    moved->type.shape = y->type.shape;
    moved->producer = n;
    moved->uses = 1;
    if (accel_graph_append(g, "DequantizeLinear", n->name, in, dq->zero != NULL ? 3 : 2, y, err) ==
        NULL)
        return err != NULL ? (int)err->code : ACCEL_E_NOMEM;
    moved->reader = y->producer;
    n->outputs[0] = moved;
    n->inputs[0] = dq->x;
    return accel_node_bind(n, err);
}

/* Does quantising by q keep within lo..hi whatever it is given? */
static bool within(const struct accel_quantizer *q, double lo, double hi)
{
    int32_t least, most;

    return q->per_tensor && accel_quant_range(q->dtype, &least, &most) &&
           (double)(least - q->z) * (double)q->s >= lo &&
           (double)(most - q->z) * (double)q->s <= hi;
}

/* A Relu or Clip that only the QuantizeLinear `n` reads and that its range makes pointless. */
static bool skip_clip(struct accel_node *n, const struct accel_quantizer *q)
{
    struct accel_node *clip = q->x->producer;
    double lo = 0, hi = HUGE_VAL;

    if (clip == NULL || clip->dead || q->x->uses != 1 || clip->graph != n->graph)
        return false;
    if (accel_node_is(clip, "Clip")) {
        lo = clip->op->since < 11 ? (double)accel_attr_float(clip, "min", -INFINITY) : -HUGE_VAL;
        hi = clip->op->since < 11 ? (double)accel_attr_float(clip, "max", INFINITY) : HUGE_VAL;
        if ((clip->inputs_count > 1 && clip->inputs[1] != NULL &&
             !accel_value_scalar(clip->inputs[1], &lo)) ||
            (clip->inputs_count > 2 && clip->inputs[2] != NULL &&
             !accel_value_scalar(clip->inputs[2], &hi)))
            return false;
    } else if (!accel_node_is(clip, "Relu")) {
        return false;
    }
    if (!within(q, lo, hi))
        return false;
    n->inputs[0] = clip->inputs[0];
    if (clip->inputs[0]->uses == 1)
        clip->inputs[0]->reader = n;
    clip->dead = true;
    return true;
}

int accel_pass_sink_dequantize(struct accel_ir *ir, size_t *changes, struct accel_error *err)
{
    struct accel_graph *g = ir->main;
    const size_t count = g->nodes_count;
    bool any = false;

    for (size_t i = 0; i < count && !any; i++)
        any = accel_node_is(g->nodes[i], "DequantizeLinear") ||
              accel_node_is(g->nodes[i], "QuantizeLinear");
    if (!any)
        return ACCEL_OK;
    int rc = accel_graph_reserve(g, count, err);
    for (size_t i = 0; i < count && rc == ACCEL_OK; i++) {
        struct accel_node *n = g->nodes[i];
        struct accel_quantizer q, dq;
        const struct accel_value *x;

        accel_node_resolve(n);
        x = n->inputs_count > 0 && !n->dead ? n->inputs[0] : NULL;
        if (x == NULL || x->graph != g)
            continue;
        if (accel_quantizer_of(n, "QuantizeLinear", &q)) {
            *changes += skip_clip(n, &q);
            if (!accel_quantizer_of(n->inputs[0]->producer, "DequantizeLinear", &dq) ||
                !accel_quantizer_same(&q, &dq))
                continue;
            accel_value_replace(n->outputs[0], dq.x);
            n->dead = true;
            (*changes)++;
        } else if (accel_quantizer_of(x->producer, "DequantizeLinear", &dq) && dq.per_tensor &&
                   (moves(n, dq.dtype) || picks_largest(n, &dq))) {
            rc = sink(n, &dq, err);
            (*changes)++;
        }
    }
    return rc;
}
