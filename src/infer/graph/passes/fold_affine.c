/* SPDX-License-Identifier: Apache-2.0 */
/* fold-affine: Mul, Div, Add and Sub by constants per channel behind a Conv, ConvTranspose, Gemm or
 * MatMul with constant weights become part of the weights and the bias: what is left of a
 * BatchNormalization that an exporter took apart. */
#include "infer/graph/passes.h"

enum { ADD, SUB, MUL, DIV, OTHER };

static int kind_of(const struct accel_node *n)
{
    static const char *const names[] = {"Add", "Sub", "Mul", "Div"};

    for (int i = 0; i < OTHER; i++)
        if (accel_node_is(n, names[i]))
            return i;
    return OTHER;
}

/* The constant operand holds one float, or one per channel along `axis` of a tensor of `rank`. */
static bool per_channel(const struct accel_value *c, int64_t channels, uint32_t rank, uint32_t axis)
{
    const struct accel_tensor *t = c->data;

    if (t == NULL || t->data == NULL || t->dtype != ACCEL_DTYPE_FLOAT || t->rank > rank)
        return false;
    if (accel_dims_product(t->dims, 0, t->rank) == 1)
        return true;
    for (uint32_t i = 0; i < t->rank; i++)
        if (t->dims[i] != (i + rank - t->rank == axis ? channels : 1))
            return false;
    return true;
}

/* op(y, c), or op(c, y) when `swapped`, as y * scale + shift. false: it is no such thing. */
static bool affine_of(int kind, bool swapped, double c, double *scale, double *shift)
{
    *scale = 1;
    *shift = 0;
    switch (kind) {
    case ADD:
        *shift = c;
        return true;
    case SUB:
        *scale = swapped ? -1 : 1;
        *shift = swapped ? c : -c;
        return true;
    case MUL:
        *scale = c;
        return true;
    default: /* c / y is none */
        *scale = 1 / c;
        return !swapped && c != 0;
    }
}

static int fold(struct accel_ir *ir, struct accel_node *n, const struct accel_node *next,
                bool *done, struct accel_error *err)
{
    const int64_t channels = accel_affine_channels(n);
    const int kind = kind_of(next);
    const struct accel_shape *y = &n->outputs[0]->type.shape;
    const bool conv = accel_node_is(n, "Conv") || accel_node_is(n, "ConvTranspose");

    *done = false;
    if (channels < 0 || kind == OTHER || !y->has_rank || next->inputs[0] == next->inputs[1])
        return ACCEL_OK;
    const bool swapped = next->inputs[1] == n->outputs[0];
    struct accel_value *c = next->inputs[swapped ? 0 : 1];
    if (!per_channel(c, channels, y->rank, conv ? 1 : y->rank - 1))
        return ACCEL_OK;
    const struct accel_tensor *t = accel_value_constant(ir, c, err);
    const size_t count = (size_t)channels;
    ACCEL_CLEANUP(accel_freep) double *scale = accel_calloc(2 * count, sizeof(*scale));
    if (t == NULL || scale == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to fold a constant");
    for (size_t i = 0; i < count; i++) {
        const float *at = (const float *)t->data + (t->size_bytes > sizeof(float) ? i : 0);

        if (!affine_of(kind, swapped, (double)*at, &scale[i], &scale[count + i]))
            return ACCEL_OK;
    }
    return accel_affine_fold(ir, n, scale, scale + count, next->name, done, err);
}

int accel_pass_fold_affine(struct accel_ir *ir, size_t *changes, struct accel_error *err)
{
    struct accel_graph *g = ir->main;

    for (size_t i = 0; i < g->nodes_count; i++) {
        struct accel_node *n = g->nodes[i], *next;
        bool done = !n->dead;

        /* As many as there are in a row. */
        while (done && (next = accel_node_follower(n)) != NULL) {
            int rc = fold(ir, n, next, &done, err);

            if (rc == ACCEL_OK && done)
                rc = accel_node_fused(n, next->op_type, err);
            if (rc != ACCEL_OK)
                return rc;
            if (done) {
                accel_node_absorb(n, next);
                (*changes)++;
            }
        }
    }
    return ACCEL_OK;
}
