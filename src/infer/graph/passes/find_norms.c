/* SPDX-License-Identifier: Apache-2.0 */
/* find-norms: LayerNormalization and RMS normalisation that an exporter for an older opset wrote as
 * primitive nodes,
 *
 *     d = x - ReduceMean(x)          (RMS: d = x)
 *     y = d / Sqrt(ReduceMean(d * d) + epsilon) * scale + bias
 *
 * become one node; and with the Add of a residual before it SkipLayerNormalization. */
#include "infer/graph/passes.h"

#include <string.h>

static struct accel_node *made_by(const struct accel_value *v, const char *op)
{
    return v != NULL && v->producer != NULL && !v->producer->dead && accel_node_is(v->producer, op)
               ? v->producer
               : NULL;
}

/* ReduceMean over the last axes, which stay as ones: the first of them, -1 when it is no such. */
static int64_t mean_axis(const struct accel_node *n)
{
    const struct accel_shape *x = &n->inputs[0]->type.shape;
    int64_t axes[ACCEL_RANK_MAX];
    size_t count;
    const int64_t *list = accel_attr_ints(n, "axes", &count);
    uint32_t seen = 0, axis, first = x->rank;

    if (!x->has_rank || accel_attr_int(n, "keepdims", 1) == 0)
        return -1;
    if (n->inputs_count > 1 && n->inputs[1] != NULL && n->inputs[1]->data != NULL &&
        n->inputs[1]->data->data != NULL && n->inputs[1]->data->size_bytes <= sizeof(axes)) {
        memcpy(axes, n->inputs[1]->data->data, n->inputs[1]->data->size_bytes);
        count = n->inputs[1]->data->size_bytes / sizeof(*axes);
        list = axes;
    }
    for (size_t i = 0; i < count; i++) {
        if (accel_axis(list[i], x->rank, &axis, NULL) != ACCEL_OK)
            return -1;
        seen |= 1u << axis;
        first = ACCEL_MIN(first, axis);
    }
    for (uint32_t i = first; i < x->rank; i++)
        if ((seen & 1u << i) == 0)
            return -1;
    return first < x->rank ? (int64_t)first : -1;
}

struct norm {
    struct accel_value *x;
    int64_t axis;
    double epsilon;
    bool rms;
};

/* d * d or d ^ 2: d. */
static struct accel_value *squared(const struct accel_value *v)
{
    const struct accel_node *n = made_by(v, "Mul");
    double exponent;

    if (n != NULL)
        return n->inputs[0] == n->inputs[1] ? n->inputs[0] : NULL;
    n = made_by(v, "Pow");
    return n != NULL && accel_value_scalar(n->inputs[1], &exponent) && exponent == 2 ? n->inputs[0]
                                                                                     : NULL;
}

/* d divided by, or multiplied with the reciprocal of, Sqrt(mean of squares + epsilon). */
static bool norm_of(const struct accel_node *div, struct norm *f)
{
    struct accel_value *d = div->inputs[0];
    const struct accel_node *root = made_by(div->inputs[1], "Sqrt"), *add, *mean, *sub;

    if (accel_node_is(div, "Mul")) {
        const size_t i = made_by(div->inputs[0], "Reciprocal") != NULL ? 0 : 1;
        const struct accel_node *r = made_by(div->inputs[i], "Reciprocal");

        d = div->inputs[1 - i];
        root = r != NULL ? made_by(r->inputs[0], "Sqrt") : NULL;
    }
    add = root != NULL ? made_by(root->inputs[0], "Add") : NULL;
    if (add == NULL)
        return false;
    const size_t number = accel_value_scalar(add->inputs[1], &f->epsilon) ? 1 : 0;
    if (!accel_value_scalar(add->inputs[number], &f->epsilon))
        return false;
    mean = made_by(add->inputs[1 - number], "ReduceMean");
    if (mean == NULL || squared(mean->inputs[0]) != d || d->type.dtype != ACCEL_DTYPE_FLOAT)
        return false;
    f->axis = mean_axis(mean);
    f->x = d;
    f->rms = true;
    sub = made_by(d, "Sub");
    mean = sub != NULL ? made_by(sub->inputs[1], "ReduceMean") : NULL;
    if (mean != NULL && mean->inputs[0] == sub->inputs[0] && mean_axis(mean) == f->axis) {
        f->x = sub->inputs[0];
        f->rms = false;
    }
    return f->axis >= 0;
}

/* The other operand of `op` when it is one number per element of a row. */
static struct accel_value *row_operand(const struct accel_node *n, const char *op,
                                       const struct accel_value *y, const struct norm *f)
{
    const struct accel_shape *x = &f->x->type.shape;

    if (n == NULL || !accel_node_is(n, op))
        return NULL;
    struct accel_value *v = n->inputs[n->inputs[0] == y ? 1 : 0];
    const struct accel_shape *s = &v->type.shape;
    if (v == y || v->type.dtype != ACCEL_DTYPE_FLOAT || !accel_shape_static(s) ||
        s->rank != x->rank - (uint32_t)f->axis)
        return NULL;
    for (uint32_t i = 0; i < s->rank; i++)
        if (s->dims[i] != x->dims[f->axis + i])
            return NULL;
    return v;
}

/* A scale of ones, for a normalisation without. NULL: *err says why. */
static struct accel_value *ones(struct accel_node *n, const struct norm *f, struct accel_error *err)
{
    const struct accel_shape *x = &f->x->type.shape;
    struct accel_shape row = {.has_rank = true, .rank = x->rank - (uint32_t)f->axis};
    const float one = 1;
    void *data;

    for (uint32_t i = 0; i < row.rank; i++)
        row.dims[i] = x->dims[f->axis + i];
    struct accel_value *v =
        accel_constant_new(n->graph, n->name, ACCEL_DTYPE_FLOAT, &row, &data, err);
    if (v != NULL)
        accel_fill(sizeof(one), v->data->size_bytes / sizeof(one), &one, data);
    return v;
}

static bool row_known(const struct norm *f)
{
    for (uint32_t i = (uint32_t)f->axis; i < f->x->type.shape.rank; i++)
        if (f->x->type.shape.dims[i] <= 0)
            return false;
    return true;
}

static const struct accel_attr *attrs_of(struct accel_node *n, const struct norm *f, bool axis)
{
    struct accel_bump *mem = &n->graph->ir->mem;
    struct accel_attr *attrs = accel_bump_alloc(mem, 2, sizeof(*attrs));
    float *epsilon = accel_bump_alloc(mem, 1, sizeof(*epsilon));
    int64_t *from = accel_bump_alloc(mem, 1, sizeof(*from));

    if (attrs == NULL || epsilon == NULL || from == NULL)
        return NULL;
    *epsilon = (float)f->epsilon;
    *from = f->axis;
    attrs[0] = (struct accel_attr){
        .name = "epsilon", .type = ACCEL_ATTR_FLOAT, .count = 1, .floats = epsilon};
    if (axis)
        attrs[1] =
            (struct accel_attr){.name = "axis", .type = ACCEL_ATTR_INT, .count = 1, .ints = from};
    return attrs;
}

static int replace(struct accel_node *n, const struct norm *f, struct accel_error *err)
{
    struct accel_node *next = accel_node_follower(n), *last = n;
    struct accel_value *in[3] = {f->x};

    in[1] = row_operand(next, "Mul", n->outputs[0], f);
    if (in[1] != NULL)
        last = next;
    else
        in[1] = ones(n, f, err);
    if (in[1] == NULL)
        return err != NULL ? (int)err->code : ACCEL_E_NOMEM;
    if (!f->rms) {
        next = accel_node_follower(last);
        in[2] = row_operand(next, "Add", last->outputs[0], f);
        if (in[2] != NULL)
            last = next;
    }
    const struct accel_attr *attrs = attrs_of(n, f, true);
    if (attrs == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for an attribute");
    /* The last of them, which comes after all that it reads, is the one that stays. */
    struct accel_node *const between =
        last != n && n->outputs[0]->reader != last ? n->outputs[0]->reader : NULL;
    if (between != NULL)
        between->dead = true;
    if (last != n)
        n->dead = true;
    return accel_node_turn_into(last, "",
                                f->rms ? "SimplifiedLayerNormalization" : "LayerNormalization", in,
                                in[2] != NULL ? 3 : 2, attrs, 2, err);
}

int accel_pass_find_norms(struct accel_ir *ir, size_t *changes, struct accel_error *err)
{
    struct accel_graph *g = ir->main;

    for (size_t i = 0; i < g->nodes_count; i++) {
        struct accel_node *n = g->nodes[i];
        struct norm f;

        if (n->dead || (!accel_node_is(n, "Div") && !accel_node_is(n, "Mul")) || !norm_of(n, &f) ||
            !row_known(&f))
            continue;
        const int rc = replace(n, &f, err);
        if (rc != ACCEL_OK)
            return rc;
        (*changes)++;
    }
    return ACCEL_OK;
}

/* LayerNormalization(a + b) over the last axis of two tensors of one shape. */
static int find_skip(struct accel_node *n, bool *done, struct accel_error *err)
{
    const bool rms = accel_node_is(n, "SimplifiedLayerNormalization");
    struct accel_value *sum = n->inputs[0];
    struct accel_node *add = made_by(sum, "Add");
    const struct accel_shape *x = &sum->type.shape;
    uint32_t axis;

    if (add == NULL || sum->graph != n->graph || sum->uses != 1 || accel_node_more_outputs(n) ||
        (x->rank != 2 && x->rank != 3) || !accel_shape_static(x) ||
        sum->type.dtype != ACCEL_DTYPE_FLOAT ||
        accel_axis(accel_attr_int(n, "axis", -1), x->rank, &axis, NULL) != ACCEL_OK ||
        axis != x->rank - 1)
        return ACCEL_OK;
    struct accel_value *in[4] = {add->inputs[0], add->inputs[1], n->inputs[1],
                                 n->inputs_count > 2 ? n->inputs[2] : NULL};
    for (size_t i = 0; i < 2; i++)
        if (in[i]->data != NULL || !accel_shape_equal(&in[i]->type.shape, x))
            return ACCEL_OK;
    for (size_t i = 2; i < 4; i++)
        if (in[i] != NULL &&
            (in[i]->type.shape.rank != 1 || in[i]->type.shape.dims[0] != x->dims[x->rank - 1]))
            return ACCEL_OK;
    const struct norm f = {.epsilon = (double)accel_attr_float(n, "epsilon", 1e-5f)};
    const struct accel_attr *attrs = attrs_of(n, &f, false);
    if (attrs == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for an attribute");
    *done = true;
    add->dead = true;
    n->outputs_count = 1; /* the others are not read, and mean other things there */
    const int rc =
        accel_node_turn_into(n, "com.microsoft",
                             rms ? "SkipSimplifiedLayerNormalization" : "SkipLayerNormalization",
                             in, in[3] != NULL ? 4 : 3, attrs, 1, err);
    return rc == ACCEL_OK ? accel_node_fused(n, "Add", err) : rc;
}

int accel_pass_find_skip_norms(struct accel_ir *ir, size_t *changes, struct accel_error *err)
{
    struct accel_graph *g = ir->main;

    for (size_t i = 0; i < g->nodes_count; i++) {
        struct accel_node *n = g->nodes[i];
        bool done = false;

        if (n->dead || (!accel_node_is(n, "LayerNormalization") &&
                        !accel_node_is(n, "SimplifiedLayerNormalization")))
            continue;
        const int rc = find_skip(n, &done, err);
        if (rc != ACCEL_OK)
            return rc;
        *changes += done;
    }
    return ACCEL_OK;
}
