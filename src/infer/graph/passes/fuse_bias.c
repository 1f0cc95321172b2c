/* SPDX-License-Identifier: Apache-2.0 */
/* fuse-bias: Add(MatMul(x, w), b) with matrices and a constant vector b is a Gemm; Add(Conv(x), b)
 * with a constant per channel is the Conv's bias. */
#include "infer/graph/passes.h"

#include <string.h>

/* The constant operand of an Add whose other one is `v`, NULL if there is none. */
static struct accel_value *constant_of(const struct accel_node *add, const struct accel_value *v)
{
    struct accel_value *other = add->inputs[add->inputs[0] == v ? 1 : 0];

    return other != v && other->data != NULL && other->data->data != NULL &&
                   other->data->dtype == ACCEL_DTYPE_FLOAT
               ? other
               : NULL;
}

static bool matmul_fits(const struct accel_node *n, const struct accel_value *b)
{
    const struct accel_shape *x = &n->inputs[0]->type.shape, *w = &n->inputs[1]->type.shape;
    const struct accel_tensor *t = b->data;

    if (!x->has_rank || x->rank != 2 || !accel_shape_static(w) || w->rank != 2 ||
        n->inputs[0]->type.dtype != ACCEL_DTYPE_FLOAT || t->rank < 1 || t->rank > 2)
        return false;
    /* [n] or [1, n]: one row for all. */
    return t->dims[t->rank - 1] == w->dims[1] && (t->rank == 1 || t->dims[0] == 1);
}

/* [cout, 1, 1], [1, cout, 1, 1]: one element per channel, none per position. */
static bool conv_fits(const struct accel_node *n, const struct accel_value *b)
{
    const struct accel_shape *y = &n->outputs[0]->type.shape;
    const struct accel_tensor *t = b->data;

    if (!y->has_rank || y->dims[1] < 0 || n->inputs_count > 2 || t->rank + 1 < y->rank ||
        t->rank > y->rank)
        return false;
    const uint32_t lead = y->rank - t->rank;
    for (uint32_t i = 0; i < t->rank; i++)
        if (t->dims[i] != (i + lead == 1 ? y->dims[1] : 1))
            return false;
    return true;
}

static int set_bias(struct accel_ir *ir, struct accel_node *n, struct accel_value *b,
                    struct accel_error *err)
{
    struct accel_value **inputs = accel_bump_alloc(&ir->mem, 5, sizeof(struct accel_value *));
    const int64_t count = (int64_t)(b->data->size_bytes / sizeof(float));
    const struct accel_shape vector = {.has_rank = true, .rank = 1, .dims = {count}};
    void *data;

    if (inputs == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a node");
    struct accel_value *flat =
        accel_constant_new(n->graph, b->name, ACCEL_DTYPE_FLOAT, &vector, &data, err);
    if (flat == NULL)
        return err != NULL ? (int)err->code : ACCEL_E_NOMEM;
    memcpy(data, b->data->data, b->data->size_bytes);
    inputs[0] = n->inputs[0];
    inputs[1] = n->inputs[1];
    inputs[2] = flat;
    n->inputs = inputs;
    n->inputs_count = 3;
    return ACCEL_OK;
}

int accel_pass_fuse_bias(struct accel_ir *ir, size_t *changes, struct accel_error *err)
{
    struct accel_graph *g = ir->main;

    for (size_t i = 0; i < g->nodes_count; i++) {
        struct accel_node *n = g->nodes[i], *add;
        const bool matmul = accel_node_is(n, "MatMul");

        if (n->dead || (!matmul && !accel_node_is(n, "Conv")) ||
            n->epilogue.act.op != ACCEL_UNARY_IDENTITY || n->epilogue.add >= 0)
            continue;
        add = accel_node_follower(n);
        if (add == NULL || !accel_node_is(add, "Add"))
            continue;
        struct accel_value *b = constant_of(add, n->outputs[0]);
        if (b == NULL || !(matmul ? matmul_fits(n, b) : conv_fits(n, b)))
            continue;
        int rc = set_bias(ir, n, b, err);
        if (rc == ACCEL_OK)
            rc = accel_node_fused(n, add->op_type, err);
        if (rc == ACCEL_OK && matmul) {
            n->op_type = "Gemm";
            rc = accel_node_bind(n, err);
        }
        if (rc != ACCEL_OK)
            return rc;
        accel_node_absorb(n, add);
        (*changes)++;
    }
    return ACCEL_OK;
}
