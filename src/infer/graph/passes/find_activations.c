/* SPDX-License-Identifier: Apache-2.0 */
/* find-activations: Silu (QuickGelu), Gelu, HardSwish and Mish that an exporter wrote as primitive
 * nodes become one node each, and Max before Min with constants a Clip.
 *
 * All but the last are products with x as one factor: the Mul and Div nodes at the end of a chain
 * are taken apart into two factors and one constant, in whatever order they were written. */
#include "infer/graph/passes.h"

#include <math.h>
#include <string.h>

struct product {
    double constant;
    struct accel_value *factor[3];
    unsigned count;
};

/* The node that computes v, when it is of that operator. */
static struct accel_node *made_by(const struct accel_value *v, const char *op)
{
    return v->producer != NULL && !v->producer->dead && accel_node_is(v->producer, op) ? v->producer
                                                                                       : NULL;
}

/* op(x, c) or op(c, x) with a constant number: x, else NULL. */
static struct accel_value *with_number(const struct accel_node *n, double *number)
{
    for (size_t i = 0; i < 2; i++)
        if (n->inputs[1 - i]->data == NULL && accel_value_scalar(n->inputs[i], number))
            return n->inputs[1 - i];
    return NULL;
}

/* As constants are floats, so are the ones they are held against. */
static bool about(double a, double b)
{
    return fabs(a - b) <= 1e-6 * fmax(1, fabs(b));
}

/* v taken apart. `inside`: others may not need it, else it would be computed twice. */
static bool take_apart(struct accel_value *v, bool inside, unsigned depth, struct product *p)
{
    struct accel_node *n = made_by(v, "Mul");
    double number;

    if (n != NULL && depth < 4 && (!inside || v->uses == 1)) {
        for (size_t i = 0; i < 2; i++) {
            if (accel_value_scalar(n->inputs[i], &number))
                p->constant *= number;
            else if (!take_apart(n->inputs[i], true, depth + 1, p))
                return false;
        }
        return true;
    }
    n = made_by(v, "Div");
    if (n != NULL && depth < 4 && (!inside || v->uses == 1) && n->inputs[0]->data == NULL &&
        accel_value_scalar(n->inputs[1], &number) && number != 0) {
        p->constant /= number;
        return take_apart(n->inputs[0], true, depth + 1, p);
    }
    if (v->data != NULL || p->count == ACCEL_COUNT(p->factor))
        return false;
    p->factor[p->count++] = v;
    return true;
}

/* v = constant * x? */
static bool multiple(struct accel_value *v, const struct accel_value *x, double *constant)
{
    struct product p = {.constant = 1};

    *constant = 1;
    if (v == x)
        return true;
    if (!take_apart(v, false, 0, &p) || p.count != 1 || p.factor[0] != x)
        return false;
    *constant = p.constant;
    return true;
}

/* x cubed, as Pow or as two Mul. */
static bool cube(struct accel_value *v, const struct accel_value *x)
{
    const struct accel_node *n = made_by(v, "Pow");
    struct product p = {.constant = 1};
    double exponent;

    if (n != NULL)
        return n->inputs[0] == x && accel_value_scalar(n->inputs[1], &exponent) && exponent == 3;
    return take_apart(v, false, 0, &p) && p.count == 3 && about(p.constant, 1) &&
           p.factor[0] == x && p.factor[1] == x && p.factor[2] == x;
}

/* sqrt(2 / pi) * (x + 0.044715 * x^3) */
static bool tanh_argument(struct accel_value *v, const struct accel_value *x)
{
    struct product p = {.constant = 1}, term = {.constant = 1};
    const struct accel_node *add;

    if (!take_apart(v, false, 0, &p) || p.count != 1 || !about(p.constant, 0.79788456080286535588))
        return false;
    add = made_by(p.factor[0], "Add");
    if (add == NULL || (add->inputs[0] != x && add->inputs[1] != x))
        return false;
    struct accel_value *rest = add->inputs[add->inputs[0] == x ? 1 : 0];
    if (rest->data != NULL || !take_apart(rest, false, 0, &term) || !about(term.constant, 0.044715))
        return false;
    if (term.count == 3)
        return term.factor[0] == x && term.factor[1] == x && term.factor[2] == x;
    return term.count == 1 && cube(term.factor[0], x);
}

/* Clip(x + 3, 0, 6) */
static bool shifted_clip(const struct accel_value *v, const struct accel_value *x)
{
    const struct accel_node *clip = made_by(v, "Clip");
    double lo = 0, hi = 0, shift;

    if (clip == NULL)
        return false;
    if (clip->op->since < 11) {
        lo = (double)accel_attr_float(clip, "min", -1);
        hi = (double)accel_attr_float(clip, "max", -1);
    } else if (clip->inputs_count < 3 || !accel_value_scalar(clip->inputs[1], &lo) ||
               !accel_value_scalar(clip->inputs[2], &hi)) {
        return false;
    }
    const struct accel_node *add = made_by(clip->inputs[0], "Add");
    return lo == 0 && hi == 6 && add != NULL && with_number(add, &shift) == x && shift == 3;
}

struct found {
    const char *domain, *op;
    struct accel_attr attr; /* name NULL: none */
};

#define OWN(name) ((struct found){.domain = ACCEL_DOMAIN_OWN, .op = name})
#define MS(name)  ((struct found){.domain = "com.microsoft", .op = name})

/* constant * x * y: which activation of x is it? */
static bool activation_of(const struct accel_value *x, const struct accel_value *y, double constant,
                          struct accel_bump *mem, struct found *found)
{
    const struct accel_node *n = made_by(y, "Sigmoid"), *inner;
    double number;

    *found = (struct found){0};
    if (n != NULL && about(constant, 1) && multiple(n->inputs[0], x, &number)) {
        float *alpha = accel_bump_alloc(mem, 1, sizeof(*alpha));

        if (alpha == NULL)
            return false;
        *alpha = (float)number;
        *found = MS("QuickGelu");
        found->attr = (struct accel_attr){
            .name = "alpha", .type = ACCEL_ATTR_FLOAT, .count = 1, .floats = alpha};
        return true;
    }
    n = made_by(y, "HardSigmoid");
    if (n != NULL && about(constant, 1) && n->inputs[0] == x &&
        about((double)accel_attr_float(n, "alpha", 0.2f), 1.0 / 6) &&
        accel_attr_float(n, "beta", 0.5f) == 0.5f)
        *found = OWN("HardSwish");
    if (about(constant, 1.0 / 6) && shifted_clip(y, x))
        *found = OWN("HardSwish");
    n = made_by(y, "Tanh");
    inner = n != NULL ? made_by(n->inputs[0], "Softplus") : NULL;
    if (inner != NULL && about(constant, 1) && inner->inputs[0] == x)
        *found = OWN("Mish");
    n = made_by(y, "Add");
    const struct accel_value *root = n != NULL ? with_number(n, &number) : NULL;
    if (root == NULL || number != 1 || !about(constant, 0.5))
        return found->op != NULL;
    inner = made_by(root, "Erf");
    if (inner != NULL && multiple(inner->inputs[0], x, &number) && about(number, M_SQRT1_2))
        *found = MS("Gelu");
    inner = made_by(root, "Tanh");
    if (inner != NULL && tanh_argument(inner->inputs[0], x))
        *found = MS("FastGelu");
    return found->op != NULL;
}

static int replace(struct accel_node *n, struct accel_value *x, const struct found *found,
                   struct accel_error *err)
{
    struct accel_bump *mem = &n->graph->ir->mem;
    struct accel_attr *attr = accel_bump_alloc(mem, 1, sizeof(*attr));
    int rc = accel_node_fused(n, n->op_type, err);

    if (attr == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for an attribute");
    *attr = found->attr;
    if (rc != ACCEL_OK)
        return rc;
    return accel_node_turn_into(n, found->domain, found->op, &x, 1, attr, attr->name != NULL, err);
}

static int find_product(struct accel_node *n, bool *done, struct accel_error *err)
{
    struct product p = {.constant = 1};
    struct found found;

    if (n->outputs[0]->type.dtype != ACCEL_DTYPE_FLOAT ||
        !take_apart(n->outputs[0], false, 0, &p) || p.count != 2)
        return ACCEL_OK;
    for (unsigned i = 0; i < 2; i++) {
        const struct accel_shape *x = &p.factor[i]->type.shape;

        /* A constant with more dimensions than x would have given the result more. */
        if (!x->has_rank || x->rank != n->outputs[0]->type.shape.rank)
            continue;
        if (!activation_of(p.factor[i], p.factor[1 - i], p.constant, &n->graph->ir->mem, &found))
            continue;
        *done = true;
        return replace(n, p.factor[i], &found, err);
    }
    return ACCEL_OK;
}

/* Min(Max(x, lo), hi) is Clip(x, lo, hi), and so it is the other way round when lo <= hi. */
static int find_clip(struct accel_node *n, bool *done, struct accel_error *err)
{
    const bool min_last = accel_node_is(n, "Min");
    struct accel_value *in[3] = {NULL};
    double outer, inner;

    if (n->inputs_count != 2 || n->opset < 11 || n->outputs[0]->type.dtype != ACCEL_DTYPE_FLOAT)
        return ACCEL_OK;
    const struct accel_value *middle = with_number(n, &outer);
    const struct accel_node *m =
        middle != NULL && middle->uses == 1 ? made_by(middle, min_last ? "Max" : "Min") : NULL;
    in[0] = m != NULL && m->inputs_count == 2 ? with_number(m, &inner) : NULL;
    if (in[0] == NULL || (min_last ? inner > outer : outer > inner))
        return ACCEL_OK;
    struct accel_value *outer_number = n->inputs[n->inputs[0] == middle ? 1 : 0];
    struct accel_value *inner_number = m->inputs[m->inputs[0] == in[0] ? 1 : 0];
    /* A number with more dimensions than x would make the result larger; Clip wants a scalar. */
    if (outer_number->data->rank != 0 || inner_number->data->rank != 0)
        return ACCEL_OK;
    in[1] = min_last ? inner_number : outer_number;
    in[2] = min_last ? outer_number : inner_number;
    const int rc = accel_node_fused(n, "Max+Min", err);
    *done = true;
    return rc == ACCEL_OK ? accel_node_turn_into(n, "", "Clip", in, 3, NULL, 0, err) : rc;
}

int accel_pass_find_activations(struct accel_ir *ir, size_t *changes, struct accel_error *err)
{
    struct accel_graph *g = ir->main;

    for (size_t i = 0; i < g->nodes_count; i++) {
        struct accel_node *n = g->nodes[i];
        bool done = false;
        int rc = ACCEL_OK;

        if (n->dead || n->outputs_count == 0 || n->outputs[0] == NULL)
            continue;
        if (accel_node_is(n, "Mul") || accel_node_is(n, "Div"))
            rc = find_product(n, &done, err);
        else if (accel_node_is(n, "Min") || accel_node_is(n, "Max"))
            rc = find_clip(n, &done, err);
        if (rc != ACCEL_OK)
            return rc;
        *changes += done;
    }
    return ACCEL_OK;
}
