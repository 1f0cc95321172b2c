/* SPDX-License-Identifier: Apache-2.0 */
/* What fold-batchnorm and fold-affine share: y * scale + shift per output channel, done in the
 * weights and the bias of the operator that makes y. */
#include "infer/graph/passes.h"

#include <math.h>

/* How the weights of an operator lie: [rows][columns][inner]; the output channel is the row, the
 * column, or, of a grouped transposed convolution, both. */
struct layout {
    size_t rows, columns, inner;
    bool by_column;
    size_t groups; /* of ConvTranspose; else 1 */
    size_t channels;
};

/* A constant of floats whose bytes are at hand. */
static bool floats(const struct accel_value *v)
{
    return v != NULL && v->data != NULL && v->data->data != NULL &&
           v->data->dtype == ACCEL_DTYPE_FLOAT && v->data->size_bytes > 0;
}

static bool layout_of(const struct accel_node *n, struct layout *l)
{
    const struct accel_tensor *w =
        n->inputs_count > 1 && floats(n->inputs[1]) ? n->inputs[1]->data : NULL;

    if (w == NULL || n->epilogue.add >= 0 || n->epilogue.act.op != ACCEL_UNARY_IDENTITY)
        return false;
    *l = (struct layout){.groups = 1, .inner = 1};
    if ((accel_node_is(n, "Conv") || accel_node_is(n, "ConvTranspose")) && w->rank >= 3) {
        l->by_column = accel_node_is(n, "ConvTranspose");
        l->groups = l->by_column ? (size_t)accel_attr_int(n, "group", 1) : 1;
        l->inner = accel_dims_product(w->dims, 2, w->rank);
    } else if (accel_node_is(n, "Gemm") && w->rank == 2) {
        l->by_column = accel_attr_int(n, "transB", 0) == 0;
        if (accel_attr_float(n, "alpha", 1) != 1 || accel_attr_float(n, "beta", 1) != 1)
            return false;
    } else if (accel_node_is(n, "MatMul") && w->rank == 2) {
        l->by_column = true;
    } else {
        return false;
    }
    l->rows = (size_t)w->dims[0];
    l->columns = (size_t)w->dims[1];
    l->channels = l->by_column ? l->columns * l->groups : l->rows;
    return true;
}

/* A bias that is a constant vector, or none. */
static bool bias_fits(const struct accel_node *n, const struct layout *l)
{
    const struct accel_value *b = n->inputs_count > 2 ? n->inputs[2] : NULL;

    if (b == NULL)
        return true;
    if (!floats(b) || b->data->rank < 1 || b->data->rank > 2)
        return false;
    return (size_t)b->data->dims[b->data->rank - 1] == l->channels &&
           b->data->size_bytes == l->channels * sizeof(float);
}

int64_t accel_affine_channels(const struct accel_node *node)
{
    struct layout l;

    return layout_of(node, &l) && bias_fits(node, &l) ? (int64_t)l.channels : -1;
}

static void scale_weights(const struct layout *l, const double *scale, const float *from, float *to)
{
    for (size_t a = 0; a < l->rows; a++) {
        for (size_t b = 0; b < l->columns; b++) {
            /* [cin][cout / groups] of ConvTranspose: the row says which group. */
            const size_t channel =
                !l->by_column ? a : a / ((l->rows + l->groups - 1) / l->groups) * l->columns + b;
            const size_t at = (a * l->columns + b) * l->inner;

            for (size_t i = 0; i < l->inner; i++)
                to[at + i] = (float)((double)from[at + i] * scale[channel]);
        }
    }
}

static int new_weights(struct accel_ir *ir, struct accel_node *n, const struct layout *l,
                       const double *scale, struct accel_error *err)
{
    struct accel_value *w = n->inputs[1];
    const struct accel_tensor *from = accel_value_constant(ir, w, err);
    void *to;

    if (from == NULL)
        return ACCEL_E_NOMEM;
    const struct accel_shape shape = accel_shape_of(from);
    struct accel_value *v =
        accel_constant_new(n->graph, w->name, ACCEL_DTYPE_FLOAT, &shape, &to, err);
    if (v == NULL)
        return err != NULL ? (int)err->code : ACCEL_E_NOMEM;
    scale_weights(l, scale, from->data, to);
    /* The old bytes are wanted by nobody else: do not hold both until packing. */
    if (w->uses <= 1)
        accel_value_drop_bytes(ir, w);
    n->inputs[1] = v;
    return ACCEL_OK;
}

static int new_bias(struct accel_ir *ir, struct accel_node *n, const struct layout *l,
                    const double *scale, const double *shift, const char *name,
                    struct accel_error *err)
{
    struct accel_value *b = n->inputs_count > 2 ? n->inputs[2] : NULL;
    const struct accel_tensor *old = b != NULL ? accel_value_constant(ir, b, err) : NULL;
    const struct accel_shape vector = {.has_rank = true, .rank = 1, .dims = {(int64_t)l->channels}};
    struct accel_value **inputs = accel_bump_alloc(&ir->mem, 5, sizeof(struct accel_value *));
    void *data;

    if (b != NULL && old == NULL)
        return ACCEL_E_NOMEM;
    struct accel_value *v =
        accel_constant_new(n->graph, name, ACCEL_DTYPE_FLOAT, &vector, &data, err);
    if (v == NULL)
        return err != NULL ? (int)err->code : ACCEL_E_NOMEM;
    if (inputs == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a node");
    for (size_t c = 0; c < l->channels; c++) {
        const double was = old != NULL ? (double)((const float *)old->data)[c] : 0;

        ((float *)data)[c] = (float)(was * scale[c] + shift[c]);
    }
    inputs[0] = n->inputs[0];
    inputs[1] = n->inputs[1];
    inputs[2] = v;
    n->inputs = inputs;
    n->inputs_count = 3;
    return ACCEL_OK;
}

int accel_affine_fold(struct accel_ir *ir, struct accel_node *node, const double *scale,
                      const double *shift, const char *name, bool *done, struct accel_error *err)
{
    const bool matmul = accel_node_is(node, "MatMul");
    struct layout l;
    bool scales = false, shifts = false;

    *done = false;
    if (!layout_of(node, &l) || !bias_fits(node, &l))
        return ACCEL_OK;
    for (size_t c = 0; c < l.channels; c++) {
        /* 0 * infinity would be another number than 0 * what was finite. */
        if (!isfinite(scale[c]) || !isfinite(shift[c]))
            return ACCEL_OK;
        scales = scales || scale[c] != 1;
        shifts = shifts || shift[c] != 0;
    }
    /* A MatMul has no bias; one of two matrices is a Gemm. */
    if (matmul && shifts &&
        (!node->inputs[0]->type.shape.has_rank || node->inputs[0]->type.shape.rank != 2 ||
         node->inputs[0]->type.dtype != ACCEL_DTYPE_FLOAT))
        return ACCEL_OK;
    int rc = scales ? new_weights(ir, node, &l, scale, err) : ACCEL_OK;
    if (rc == ACCEL_OK && (shifts || (scales && node->inputs_count > 2 && node->inputs[2] != NULL)))
        rc = new_bias(ir, node, &l, scale, shift, name, err);
    if (rc == ACCEL_OK && matmul && node->inputs_count > 2) {
        node->op_type = "Gemm";
        rc = accel_node_bind(node, err);
    }
    *done = rc == ACCEL_OK;
    return rc;
}
