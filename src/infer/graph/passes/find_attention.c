/* SPDX-License-Identifier: Apache-2.0 */
/* find-attention: MatMul(Softmax(MatMul(q, k') * scale + mask), v) of tensors of rank 4 becomes one
 * operator, which never holds all scores at once. The scale may stand at the scores or at q and k',
 * k' is a Transpose, which is left out or moved the other way. */
#include "infer/graph/passes.h"

#include <string.h>

/* Products by one number in a row that are looked through. */
#define SCALES_MAX 4

struct attention {
    struct accel_value *q, *k, *v, *mask;
    struct accel_node *transpose; /* of k; its result becomes k when `turn` */
    bool turn;
    double scale;
};

/* The node that makes v for one reader alone. */
static struct accel_node *made_for_one(const struct accel_value *v, const char *op)
{
    struct accel_node *n = v != NULL ? v->producer : NULL;

    return n != NULL && !n->dead && v->uses == 1 && accel_node_is(n, op) && n->epilogue.add < 0 &&
                   n->epilogue.act.op == ACCEL_UNARY_IDENTITY
               ? n
               : NULL;
}

/* v without the products and quotients by one number at its end, which go into *scale. */
static struct accel_value *unscaled(struct accel_value *v, double *scale)
{
    for (unsigned i = 0; i < SCALES_MAX; i++) {
        struct accel_node *n = made_for_one(v, "Mul");
        double number;

        if (n != NULL) {
            const size_t c = accel_value_scalar(n->inputs[0], &number) ? 0 : 1;

            if (!accel_value_scalar(n->inputs[c], &number) || n->inputs[1 - c]->data != NULL)
                return v;
            *scale *= number;
            v = n->inputs[1 - c];
            continue;
        }
        n = made_for_one(v, "Div");
        if (n == NULL || n->inputs[0]->data != NULL || !accel_value_scalar(n->inputs[1], &number) ||
            number == 0)
            return v;
        *scale /= number;
        v = n->inputs[0];
    }
    return v;
}

static bool rank_four(const struct accel_value *v)
{
    return v->type.shape.has_rank && v->type.shape.rank == 4 &&
           v->type.dtype == ACCEL_DTYPE_FLOAT && v->type.kind == ACCEL_VALUE_TENSOR;
}

static bool keys_of(struct accel_value *transposed, struct attention *a)
{
    static const int64_t swap[4] = {0, 1, 3, 2}, from_rows[4] = {0, 2, 3, 1};
    size_t count;

    a->transpose = made_for_one(transposed, "Transpose");
    const int64_t *perm =
        a->transpose != NULL ? accel_attr_ints(a->transpose, "perm", &count) : NULL;
    if (perm == NULL || count != 4)
        return false;
    a->turn = memcmp(perm, from_rows, sizeof(from_rows)) == 0;
    a->k = a->turn ? a->transpose->outputs[0] : a->transpose->inputs[0];
    return a->turn || memcmp(perm, swap, sizeof(swap)) == 0;
}

/* q k' * scale, which v is. */
static bool scores(struct accel_value *v, struct attention *a)
{
    a->scale = 1;
    const struct accel_node *product = made_for_one(unscaled(v, &a->scale), "MatMul");
    if (product == NULL || !rank_four(product->outputs[0]) || !rank_four(product->inputs[0]) ||
        !rank_four(product->inputs[1]))
        return false;
    a->q = unscaled(product->inputs[0], &a->scale);
    return rank_four(a->q) && keys_of(unscaled(product->inputs[1], &a->scale), a);
}

static bool attention_of(const struct accel_node *n, struct attention *a)
{
    const struct accel_node *softmax = made_for_one(n->inputs[0], "Softmax"), *add;

    *a = (struct attention){.v = n->inputs[1]};
    if (softmax == NULL || !rank_four(n->inputs[0]) || !rank_four(a->v) || n->epilogue.add >= 0 ||
        n->epilogue.act.op != ACCEL_UNARY_IDENTITY)
        return false;
    const int64_t axis = accel_attr_int(softmax, "axis", softmax->op->since < 13 ? 1 : -1);
    if (axis != -1 && axis != 3)
        return false;
    struct accel_value *x = softmax->inputs[0];
    add = made_for_one(x, "Add");
    if (add == NULL)
        return scores(x, a);
    for (size_t i = 0; i < 2; i++) {
        a->mask = add->inputs[1 - i];
        if (a->mask->type.dtype == ACCEL_DTYPE_FLOAT && a->mask->type.shape.has_rank &&
            a->mask->type.shape.rank <= 4 && scores(add->inputs[i], a))
            return true;
    }
    return false;
}

/* The nodes that made v, down to what the new operator reads: each had one reader. */
static void drop(const struct accel_value *v, const struct attention *a)
{
    struct accel_node *n = v->producer;

    if (v == a->q || v == a->k || v == a->mask || v->data != NULL || n == NULL || n->dead)
        return;
    n->dead = true;
    for (size_t i = 0; i < n->inputs_count; i++)
        if (n->inputs[i] != NULL)
            drop(n->inputs[i], a);
}

static int replace(struct accel_node *n, const struct attention *a, struct accel_error *err)
{
    static const int64_t turned[4] = {0, 2, 1, 3};
    struct accel_bump *mem = &n->graph->ir->mem;
    struct accel_attr *attr = accel_bump_alloc(mem, 1, sizeof(*attr));
    float *scale = accel_bump_alloc(mem, 1, sizeof(*scale));
    struct accel_value *in[4] = {a->q, a->k, a->v, a->mask};
    int rc = ACCEL_OK;

    if (attr == NULL || scale == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for an attribute");
    *scale = (float)a->scale;
    *attr =
        (struct accel_attr){.name = "scale", .type = ACCEL_ATTR_FLOAT, .count = 1, .floats = scale};
    drop(n->inputs[0], a);
    if (a->turn)
        rc = accel_node_set_ints(a->transpose, "perm", turned, 4, err);
    if (rc == ACCEL_OK)
        rc = accel_node_turn_into(n, ACCEL_DOMAIN_OWN, "Attention", in, a->mask != NULL ? 4 : 3,
                                  attr, 1, err);
    return rc;
}

int accel_pass_find_attention(struct accel_ir *ir, size_t *changes, struct accel_error *err)
{
    struct accel_graph *g = ir->main;

    for (size_t i = 0; i < g->nodes_count; i++) {
        struct attention a;

        if (g->nodes[i]->dead || !accel_node_is(g->nodes[i], "MatMul") ||
            !attention_of(g->nodes[i], &a))
            continue;
        const int rc = replace(g->nodes[i], &a, err);
        if (rc != ACCEL_OK)
            return rc;
        (*changes)++;
    }
    return ACCEL_OK;
}
