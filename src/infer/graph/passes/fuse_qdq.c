/* SPDX-License-Identifier: Apache-2.0 */
/* fuse-qdq: an operator between DequantizeLinear and QuantizeLinear becomes the operator on
 * integers, where ONNX Runtime does the same at its default level of optimisation (its QDQ
 * transformers), with that operator's numbers. They differ from those of the three nodes by at most
 * one step of the output's scale per operator: the product of the scales is rounded once, not the
 * sum, the bias and the quotient one after another; Softmax, which goes through a table, by a few.
 */
#include "infer/graph/passes.h"

#include <math.h>
#include <string.h>

struct fusion {
    struct accel_node *node, *after; /* after: the QuantizeLinear, NULL: none */
    struct accel_quantizer in[3];    /* of as many inputs as the operator has (Concat: of one) */
    struct accel_quantizer out;
    bool *done;
};

static bool integers8(enum accel_dtype dtype)
{
    return dtype == ACCEL_DTYPE_UINT8 || dtype == ACCEL_DTYPE_INT8;
}

/* Input i of the node as its DequantizeLinear knows it. */
static bool dequantized(const struct accel_node *n, size_t i, struct accel_quantizer *q)
{
    const struct accel_value *v = i < n->inputs_count ? n->inputs[i] : NULL;

    return v != NULL && v->graph == n->graph &&
           accel_quantizer_of(v->producer, "DequantizeLinear", q);
}

/* An 8-bit activation with one scale. */
static bool activation(const struct accel_node *n, size_t i, struct accel_quantizer *q)
{
    return dequantized(n, i, q) && q->per_tensor && integers8(q->dtype);
}

/* Weights: one scale, or a constant with one per element of `axis` (which may count from the end).
 */
static bool weights(const struct accel_node *n, size_t i, int64_t axis, struct accel_quantizer *q)
{
    if (!dequantized(n, i, q) || !integers8(q->dtype))
        return false;
    if (q->per_tensor)
        return true;
    const struct accel_tensor *t = q->x->data;
    if (t == NULL || q->scale->data->rank != 1 || q->axis < -(int64_t)t->rank ||
        q->axis >= (int64_t)t->rank || (q->axis + t->rank) % t->rank != (axis + t->rank) % t->rank)
        return false;
    const float *s = q->scale->data->data;
    for (size_t k = 0; k < q->scale->data->size_bytes / sizeof(*s); k++)
        if (!isnormal(s[k]) || s[k] <= 0)
            return false;
    return true;
}

static float at(const struct accel_value *scale, size_t i)
{
    const size_t count = scale->data->size_bytes / sizeof(float);

    return ((const float *)scale->data->data)[count > 1 ? i : 0];
}

/* A bias of INT32 in the scale of the products, which it is added to as it is. `alpha` is a factor
 * of the products alone. */
static bool bias(const struct accel_node *n, size_t i, const struct accel_quantizer *x,
                 const struct accel_quantizer *w, double alpha, struct accel_quantizer *q)
{
    if (!dequantized(n, i, q) || q->dtype != ACCEL_DTYPE_INT32 || q->x->data == NULL ||
        q->scale->data->rank > 1)
        return false;
    const size_t own = q->scale->data->size_bytes / 4, channels = w->scale->data->size_bytes / 4;
    const size_t count = ACCEL_MAX(own, channels);
    double zero = 0;

    if (own != channels && own != 1 && channels != 1)
        return false;
    if (q->zero != NULL) {
        const struct accel_tensor *z = q->zero->data;

        for (size_t k = 0; k < z->size_bytes; k++)
            zero += ((const unsigned char *)z->data)[k];
    }
    for (size_t k = 0; k < count && zero == 0; k++) {
        const double want = (double)x->s * (double)at(w->scale, k) * alpha;

        if (fabs((double)at(q->scale, k) - want) > 1e-4 * want)
            return false;
    }
    return zero == 0;
}

/* The zero point of q; a constant 0 when there is none. NULL: no memory. */
static struct accel_value *zero_of(struct accel_graph *g, const struct accel_quantizer *q,
                                   struct accel_error *err)
{
    static const struct accel_shape scalar = {.has_rank = true};
    void *data;

    return q->zero != NULL ? q->zero
                           : accel_constant_new(g, q->x->name, q->dtype, &scalar, &data, err);
}

/* x, scale, zero point at `in`. */
static int put(struct accel_graph *g, struct accel_value **in, const struct accel_quantizer *q,
               struct accel_error *err)
{
    in[0] = q->x;
    in[1] = q->scale;
    in[2] = zero_of(g, q, err);
    return in[2] != NULL ? ACCEL_OK : ACCEL_E_NOMEM;
}

/* The first two operands at `in`. */
static int put_operands(const struct fusion *f, struct accel_value **in, struct accel_error *err)
{
    const int rc = put(f->node->graph, in, &f->in[0], err);

    return rc == ACCEL_OK ? put(f->node->graph, in + 3, &f->in[1], err) : rc;
}

/* Scale and zero point of the result at `in`. */
static int put_result(const struct fusion *f, struct accel_value **in, struct accel_error *err)
{
    in[0] = f->out.scale;
    in[1] = zero_of(f->node->graph, &f->out, err);
    return in[1] != NULL ? ACCEL_OK : ACCEL_E_NOMEM;
}

/* The node becomes `op` of these inputs and takes over the QuantizeLinear's output. When the core
 * lacks it for this case (an attribute, a type), everything stays as it was. */
static int become(struct fusion *f, const char *domain, const char *op, struct accel_value **inputs,
                  size_t count, const struct accel_attr *attrs, size_t attrs_count,
                  struct accel_error *err)
{
    struct accel_node *n = f->node;
    const struct accel_node before = *n;
    int rc = accel_node_turn_into(n, domain, op, inputs, count, attrs, attrs_count, err);

    if (rc != ACCEL_OK)
        return rc;
    if (n->op == NULL || n->unsupported != NULL) {
        *n = before;
        return ACCEL_OK;
    }
    *f->done = true;
    rc = accel_node_fused(
        n, f->after != NULL ? "DequantizeLinear+QuantizeLinear" : "DequantizeLinear", err);
    if (rc == ACCEL_OK && f->after != NULL)
        accel_node_absorb(n, f->after);
    return rc;
}

/* ---------------------------------------------------------------- one function per kind */

static int fuse_conv(struct fusion *f, struct accel_error *err)
{
    struct accel_node *n = f->node;
    struct accel_value *in[9];
    const bool has_bias = n->inputs_count > 2 && n->inputs[2] != NULL;

    if (f->after == NULL || !activation(n, 0, &f->in[0]) || !weights(n, 1, 0, &f->in[1]) ||
        (has_bias && !bias(n, 2, &f->in[0], &f->in[1], 1, &f->in[2])) ||
        f->in[0].dtype != f->out.dtype)
        return ACCEL_OK;
    if (put_operands(f, in, err) != ACCEL_OK || put_result(f, in + 6, err) != ACCEL_OK)
        return ACCEL_E_NOMEM;
    in[8] = has_bias ? f->in[2].x : NULL;
    return become(f, "", "QLinearConv", in, has_bias ? 9 : 8, n->attrs, n->attrs_count, err);
}

/* Without a QuantizeLinear behind it the result is floats. */
static int fuse_matmul(struct fusion *f, struct accel_error *err)
{
    struct accel_node *n = f->node;
    struct accel_value *in[8];

    if (!activation(n, 0, &f->in[0]) || !weights(n, 1, -1, &f->in[1]) ||
        (f->after != NULL && f->in[0].dtype != f->out.dtype))
        return ACCEL_OK;
    /* One scale per column is for a matrix alone. */
    if (!f->in[1].per_tensor && f->in[1].x->data->rank != 2)
        return ACCEL_OK;
    if (put_operands(f, in, err) != ACCEL_OK)
        return ACCEL_E_NOMEM;
    if (f->after == NULL) { /* A, B, their scales, their zero points */
        struct accel_value *const floats[6] = {in[0], in[3], in[1], in[4], in[2], in[5]};

        memcpy(in, floats, sizeof(floats));
        return become(f, "com.microsoft", "MatMulIntegerToFloat", in, 6, NULL, 0, err);
    }
    if (put_result(f, in + 6, err) != ACCEL_OK)
        return ACCEL_E_NOMEM;
    return become(f, "", "QLinearMatMul", in, 8, NULL, 0, err);
}

/* Without a QuantizeLinear behind it QGemm gives floats. */
static int fuse_gemm(struct fusion *f, struct accel_error *err)
{
    struct accel_node *n = f->node;
    struct accel_value *in[9] = {NULL};
    struct accel_attr *attrs =
        accel_bump_alloc(&n->graph->ir->mem, n->attrs_count + 1, sizeof(*attrs));
    const bool has_bias = n->inputs_count > 2 && n->inputs[2] != NULL;
    const double alpha = (double)accel_attr_float(n, "alpha", 1);
    size_t kept = 0;

    if (attrs == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for an attribute");
    if (!activation(n, 0, &f->in[0]) ||
        !weights(n, 1, accel_attr_int(n, "transB", 0) != 0 ? 0 : 1, &f->in[1]) ||
        (f->after != NULL && f->in[0].dtype != f->out.dtype))
        return ACCEL_OK;
    if (has_bias && (accel_attr_float(n, "beta", 1) != 1 ||
                     !bias(n, 2, &f->in[0], &f->in[1], alpha, &f->in[2])))
        return ACCEL_OK;
    if (put_operands(f, in, err) != ACCEL_OK)
        return ACCEL_E_NOMEM;
    in[6] = has_bias ? f->in[2].x : NULL;
    if (f->after != NULL && put_result(f, in + 7, err) != ACCEL_OK)
        return ACCEL_E_NOMEM;
    for (size_t i = 0; i < n->attrs_count; i++)
        if (strcmp(n->attrs[i].name, "beta") != 0)
            attrs[kept++] = n->attrs[i];
    return become(f, "com.microsoft", "QGemm", in, f->after != NULL ? 9 : 7, attrs, kept, err);
}

static int fuse_binary(struct fusion *f, struct accel_error *err)
{
    struct accel_node *n = f->node;
    struct accel_value *in[8];

    if (f->after == NULL || !activation(n, 0, &f->in[0]) || !activation(n, 1, &f->in[1]) ||
        f->in[0].dtype != f->out.dtype || f->in[1].dtype != f->out.dtype)
        return ACCEL_OK;
    if (put_operands(f, in, err) != ACCEL_OK || put_result(f, in + 6, err) != ACCEL_OK)
        return ACCEL_E_NOMEM;
    return become(f, "com.microsoft", accel_node_is(n, "Add") ? "QLinearAdd" : "QLinearMul", in, 8,
                  NULL, 0, err);
}

static int fuse_unary(struct fusion *f, struct accel_error *err)
{
    struct accel_node *n = f->node;
    struct accel_bump *mem = &n->graph->ir->mem;
    struct accel_attr *attrs = accel_bump_alloc(mem, n->attrs_count + 1, sizeof(*attrs));
    int64_t *opset = accel_bump_alloc(mem, 1, sizeof(*opset));
    const char *op = accel_bump_printf(mem, "QLinear%s", n->op_type);
    struct accel_value *in[5];
    size_t count = n->attrs_count;

    if (attrs == NULL || opset == NULL || op == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for an attribute");
    if (f->after == NULL || !activation(n, 0, &f->in[0]) || f->in[0].dtype != f->out.dtype)
        return ACCEL_OK;
    if (put(n->graph, in, &f->in[0], err) != ACCEL_OK)
        return ACCEL_E_NOMEM;
    in[3] = f->out.scale;
    in[4] = zero_of(n->graph, &f->out, err);
    if (in[4] == NULL)
        return ACCEL_E_NOMEM;
    if (count > 0)
        memcpy(attrs, n->attrs, count * sizeof(*attrs));
    if (accel_node_is(n, "Softmax")) { /* what its axis means depends on it */
        *opset = n->op->since;
        attrs[count++] =
            (struct accel_attr){.name = "opset", .type = ACCEL_ATTR_INT, .count = 1, .ints = opset};
    }
    return become(f, "com.microsoft", op, in, 5, attrs, count, err);
}

/* Parts in the output's own scale are joined as they are, which needs no operator on integers. */
static int fuse_concat(struct fusion *f, struct accel_error *err)
{
    struct accel_node *n = f->node;
    struct accel_value **in =
        accel_bump_alloc(&n->graph->ir->mem, 3 * n->inputs_count + 3, sizeof(struct accel_value *));
    bool same = true;

    if (in == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a node");
    for (size_t i = 0; i < n->inputs_count && f->after != NULL; i++) {
        if (!activation(n, i, &f->in[0]) || f->in[0].dtype != f->out.dtype)
            return ACCEL_OK;
        same = same && accel_quantizer_same(&f->in[0], &f->out);
        if (put(n->graph, in + 2 + 3 * i, &f->in[0], err) != ACCEL_OK)
            return ACCEL_E_NOMEM;
    }
    if (f->after == NULL)
        return ACCEL_OK;
    if (same) {
        for (size_t i = 0; i < n->inputs_count; i++)
            in[i] = in[2 + 3 * i];
        return become(f, "", "Concat", in, n->inputs_count, n->attrs, n->attrs_count, err);
    }
    in[0] = f->out.scale;
    in[1] = zero_of(n->graph, &f->out, err);
    if (in[1] == NULL)
        return ACCEL_E_NOMEM;
    return become(f, "com.microsoft", "QLinearConcat", in, 2 + 3 * n->inputs_count, n->attrs,
                  n->attrs_count, err);
}

static const struct {
    const char *op;
    int (*fuse)(struct fusion *f, struct accel_error *err);
} kinds[] = {
    {"Conv", fuse_conv},         {"MatMul", fuse_matmul},
    {"Gemm", fuse_gemm},         {"Add", fuse_binary},
    {"Mul", fuse_binary},        {"Concat", fuse_concat},
    {"AveragePool", fuse_unary}, {"GlobalAveragePool", fuse_unary},
    {"Sigmoid", fuse_unary},     {"LeakyRelu", fuse_unary},
    {"Softmax", fuse_unary},
};

int accel_pass_fuse_qdq(struct accel_ir *ir, size_t *changes, struct accel_error *err)
{
    struct accel_graph *g = ir->main;

    for (size_t i = 0; i < g->nodes_count; i++) {
        bool done = false;
        struct fusion f = {.node = g->nodes[i], .done = &done};
        size_t k = 0;

        if (f.node->dead)
            continue;
        while (k < ACCEL_COUNT(kinds) && !accel_node_is(f.node, kinds[k].op))
            k++;
        if (k == ACCEL_COUNT(kinds))
            continue;
        f.after = accel_node_follower(f.node);
        if (!accel_quantizer_of(f.after, "QuantizeLinear", &f.out) || !f.out.per_tensor ||
            !integers8(f.out.dtype))
            f.after = NULL;
        const int rc = kinds[k].fuse(&f, err);
        if (rc != ACCEL_OK)
            return rc;
        *changes += done;
    }
    return ACCEL_OK;
}
