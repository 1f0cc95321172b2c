/* SPDX-License-Identifier: Apache-2.0 */
/* merge-transposes: two in a row are one, or none. A Transpose that undoes what one before a few
 * elementwise nodes did goes together with it: exporters of channels-last models put a pair around
 * every convolution. One that moves only axes of one element is a Reshape, which costs nothing. */
#include "infer/graph/passes.h"

#include <string.h>

/* Elementwise nodes looked through, and how far constants among their operands may be copied. */
#define DEPTH_MAX      16
#define CONSTANT_BYTES ((size_t)1 << 20)

struct perm {
    uint32_t rank;
    uint32_t axis[ACCEL_RANK_MAX]; /* axis i of the result is axis[i] of the operand */
};

static bool perm_of(const struct accel_node *n, struct perm *p)
{
    size_t count;

    if (n == NULL || n->dead || !accel_node_is(n, "Transpose") ||
        !n->inputs[0]->type.shape.has_rank)
        return false;
    const int64_t *perm = accel_attr_ints(n, "perm", &count);
    p->rank = n->inputs[0]->type.shape.rank;
    for (uint32_t i = 0; i < p->rank; i++)
        p->axis[i] = perm != NULL && count == p->rank ? (uint32_t)perm[i] : p->rank - 1 - i;
    return true;
}

/* First p, then q. */
static struct perm compose(const struct perm *p, const struct perm *q)
{
    struct perm both = {.rank = q->rank};

    for (uint32_t i = 0; i < q->rank; i++)
        both.axis[i] = p->axis[q->axis[i]];
    return both;
}

static bool is_identity(const struct perm *p)
{
    for (uint32_t i = 0; i < p->rank; i++)
        if (p->axis[i] != i)
            return false;
    return true;
}

static bool elementwise(const struct accel_node *n)
{
    static const char *const names[] = {
        "Relu",  "LeakyRelu", "Sigmoid",  "Tanh", "HardSigmoid", "HardSwish", "Elu",   "Celu",
        "Selu",  "Softplus",  "Softsign", "Mish", "Exp",         "Log",       "Sqrt",  "Reciprocal",
        "Erf",   "Abs",       "Neg",      "Sign", "Floor",       "Ceil",      "Round", "Sin",
        "Cos",   "Not",       "Clip",     "Cast", "Add",         "Sub",       "Mul",   "Div",
        "Min",   "Max",       "Pow",      "Sum",  "PRelu",       "Where",     "And",   "Or",
        "Equal", "Less",      "Greater"};

    for (size_t i = 0; i < ACCEL_COUNT(names); i++)
        if (accel_node_is(n, names[i]))
            return true;
    return false;
}

/* A constant operand of a tensor of p's rank, as it is before p; one element stays as it is. */
static bool constant_fits(const struct accel_value *v, const struct perm *p)
{
    return v->data->data != NULL && v->data->dtype != ACCEL_DTYPE_STRING &&
           accel_dtype_size(v->data->dtype) > 0 && v->data->rank <= p->rank &&
           v->data->size_bytes <= CONSTANT_BYTES;
}

static struct accel_value *move_constant(struct accel_value *v, const struct perm *p,
                                         struct accel_error *err)
{
    struct accel_graph *g = v->graph;
    struct accel_shape to = {.has_rank = true, .rank = p->rank};
    unsigned inverse[ACCEL_RANK_MAX];
    size_t dims[ACCEL_RANK_MAX];
    void *data;

    if (accel_dims_product(v->data->dims, 0, v->data->rank) == 1)
        return v;
    const struct accel_tensor *t = accel_value_constant(g->ir, v, err);
    if (t == NULL)
        return NULL;
    for (uint32_t i = 0; i < p->rank; i++) {
        const uint32_t lead = p->rank - t->rank;

        dims[i] = i < lead ? 1 : (size_t)t->dims[i - lead];
        inverse[p->axis[i]] = i;
    }
    for (uint32_t i = 0; i < p->rank; i++)
        to.dims[i] = (int64_t)dims[inverse[i]];
    struct accel_value *moved = accel_constant_new(g, v->name, t->dtype, &to, &data, err);
    if (moved != NULL && t->size_bytes > 0)
        accel_transpose(NULL, accel_dtype_size(t->dtype), p->rank, dims, inverse, t->data, data);
    return moved;
}

/* Is v, made by elementwise nodes that nobody else reads, the same computed before a Transpose by p
 * and then transposed? (Every path up ends in such a Transpose or a constant.) */
static bool movable(const struct accel_graph *g, const struct accel_value *v, const struct perm *p,
                    unsigned depth)
{
    const struct accel_node *n = v->graph == g ? v->producer : NULL;
    struct perm own;
    bool any = false;

    if (perm_of(n, &own))
        return own.rank == p->rank && memcmp(own.axis, p->axis, p->rank * sizeof(*p->axis)) == 0;
    if (n == NULL || n->dead || depth == DEPTH_MAX || v->uses != 1 || !elementwise(n))
        return false;
    for (size_t i = 0; i < n->inputs_count; i++) {
        const struct accel_value *in = n->inputs[i];

        if (in == NULL || (in->data != NULL && constant_fits(in, p)))
            continue;
        if (in->data != NULL || !movable(g, in, p, depth + 1))
            return false;
        any = true;
    }
    return any;
}

/* Does so: returns what stands for v before the Transpose, NULL with *err filled. */
static struct accel_value *move(struct accel_value *v, const struct perm *p,
                                struct accel_error *err)
{
    struct accel_node *n = v->producer;
    struct perm own;

    if (perm_of(n, &own))
        return n->inputs[0];
    for (size_t i = 0; i < n->inputs_count; i++) {
        struct accel_value *in = n->inputs[i];

        if (in == NULL)
            continue;
        n->inputs[i] = in->data != NULL ? move_constant(in, p, err) : move(in, p, err);
        if (n->inputs[i] == NULL)
            return NULL;
    }
    return v;
}

/* Moves no axis of more than one element past another: only the shape changes. */
static bool only_shape(const struct accel_shape *x, const struct perm *p)
{
    uint32_t last = 0;
    bool first = true;

    for (uint32_t i = 0; i < p->rank; i++) {
        if (x->dims[p->axis[i]] == 1)
            continue;
        if (!first && p->axis[i] < last)
            return false;
        last = p->axis[i];
        first = false;
    }
    return true;
}

static int into_reshape(struct accel_node *n, const struct perm *p, bool *done,
                        struct accel_error *err)
{
    const struct accel_shape *x = &n->inputs[0]->type.shape;
    int64_t dims[ACCEL_RANK_MAX];
    unsigned free_dims = 0;

    *done = false;
    for (uint32_t i = 0; i < p->rank; i++) {
        dims[i] = x->dims[p->axis[i]] < 0 ? -1 : x->dims[p->axis[i]];
        free_dims += dims[i] < 0;
        if (dims[i] == 0)
            return ACCEL_OK;
    }
    if (free_dims > 1 || !only_shape(x, p))
        return ACCEL_OK;
    struct accel_value *in[2] = {n->inputs[0],
                                 accel_ints_constant(n->graph, n->name, dims, p->rank, err)};
    if (in[1] == NULL)
        return ACCEL_E_NOMEM;
    *done = true;
    return accel_node_turn_into(n, "", "Reshape", in, 2, NULL, 0, err);
}

/* One Transpose. */
static int merge(struct accel_graph *g, struct accel_node *n, const struct perm *p, bool *done,
                 struct accel_error *err)
{
    struct accel_value *x = n->inputs[0];
    struct perm before, inverse = {.rank = p->rank};
    int64_t axes[ACCEL_RANK_MAX];

    *done = true;
    if (x->graph == g && perm_of(x->producer, &before) && before.rank == p->rank) {
        const struct perm both = compose(&before, p);

        x = x->producer->inputs[0];
        if (is_identity(&both)) {
            accel_value_replace(n->outputs[0], x);
            n->dead = true;
            return ACCEL_OK;
        }
        n->inputs[0] = x;
        for (uint32_t i = 0; i < p->rank; i++)
            axes[i] = both.axis[i];
        return accel_node_set_ints(n, "perm", axes, p->rank, err);
    }
    for (uint32_t i = 0; i < p->rank; i++)
        inverse.axis[p->axis[i]] = i;
    if (movable(g, x, &inverse, 0)) {
        struct accel_value *y = move(x, &inverse, err);

        if (y == NULL)
            return err != NULL ? (int)err->code : ACCEL_E_NOMEM;
        y->type.shape = n->outputs[0]->type.shape; /* the next Transpose looks at it */
        accel_value_replace(n->outputs[0], y);
        n->dead = true;
        return ACCEL_OK;
    }
    return into_reshape(n, p, done, err);
}

int accel_pass_merge_transposes(struct accel_ir *ir, size_t *changes, struct accel_error *err)
{
    struct accel_graph *g = ir->main;

    for (size_t i = 0; i < g->nodes_count; i++) {
        struct accel_node *n = g->nodes[i];
        struct perm p;
        bool done;

        accel_node_resolve(n);
        if (!perm_of(n, &p))
            continue;
        const int rc = merge(g, n, &p, &done, err);
        if (rc != ACCEL_OK)
            return rc;
        *changes += done;
    }
    return ACCEL_OK;
}
