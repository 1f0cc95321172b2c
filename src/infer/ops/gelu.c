/* SPDX-License-Identifier: Apache-2.0 */
/* com.microsoft Gelu, BiasGelu, FastGelu, QuickGelu: an activation, perhaps of x + bias. */
#include "infer/ops/op.h"

#include <string.h>

static const struct {
    const char *name;
    enum accel_unary_op op;
} gelus[] = {
    {"Gelu", ACCEL_UNARY_GELU},
    {"BiasGelu", ACCEL_UNARY_GELU},
    {"FastGelu", ACCEL_UNARY_GELU_TANH},
    {"QuickGelu", ACCEL_UNARY_SILU},
};

static int gelu_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape;
    const struct accel_shape *bias =
        in->node->inputs_count > 1 && in->in[1] != NULL ? &in->in[1]->shape : NULL;

    if (bias != NULL && (bias->rank != 1 || x->rank == 0 ||
                         (bias->dims[0] >= 0 && x->dims[x->rank - 1] >= 0 &&
                          bias->dims[0] != x->dims[x->rank - 1])))
        return accel_fail(err, ACCEL_E_INVALID,
                          "the bias must have one element for each column of the last axis");
    return accel_infer_same(in, err);
}

static int gelu_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0], *y = run->out[0];
    const size_t n = x->size_bytes / accel_dtype_size(x->dtype);
    const void *from = x->data;
    size_t i = 0;

    (void)err;
    while (strcmp(gelus[i].name, run->node->op_type) != 0)
        i++;
    if (n > 0 && run->node->inputs_count > 1 && run->in[1] != NULL) {
        struct accel_nd nd = {.rank = x->rank};

        for (uint32_t d = 0; d < x->rank; d++)
            nd.dims[d] = (size_t)x->dims[d];
        accel_nd_operand(&nd, 0, x->rank, x->dims);
        accel_nd_operand(&nd, 1, 1, run->in[1]->dims);
        accel_binary(run->kernels, run->pool, ACCEL_BINARY_ADD, x->dtype, &nd, x->data,
                     run->in[1]->data, y->data);
        from = y->data;
    }
    accel_unary(run->kernels, run->pool, gelus[i].op, accel_attr_float(run->node, "alpha", 1.702f),
                0, x->dtype, n, from, y->data);
    return ACCEL_OK;
}

#define T1 ACCEL_T(FLOAT)
#define T2 ACCEL_T_FLOATS

static const struct accel_attr_rule quick_attrs[] = {{"alpha", ACCEL_ATTR_FLOAT, 0}, {0}};

#define GELU(op, types, ...)                                                                  \
    {                                                                                         \
        .name = op, .domain = "com.microsoft", .since = 1, .kind = ACCEL_KIND_TRANSCENDENTAL, \
        .flops_per_value = 10, .in_place = 1, .in = {{"X", types, 'T', 0}, __VA_ARGS__},      \
        .out = {{"Y", types, 'T', 0}}, .infer = gelu_infer, .run = gelu_run                   \
    }

/* ONNX Runtime has kernels of floats; what is a function there is one of doubles too. */
const struct accel_op accel_ops_gelu[] = {
    GELU("Gelu", T1, {0}),
    GELU("BiasGelu", T1, {"B", T1, 'T', 0}),
    GELU("FastGelu", T2, {"bias", T2, 'T', ACCEL_ARG_OPTIONAL}),
    {.name = "QuickGelu",
     .domain = "com.microsoft",
     .since = 1,
     .kind = ACCEL_KIND_TRANSCENDENTAL,
     .flops_per_value = 10,
     .in_place = 1,
     .in = {{"X", T2, 'T', 0}},
     .out = {{"Y", T2, 'T', 0}},
     .attrs = quick_attrs,
     .infer = gelu_infer,
     .run = gelu_run},
    {0},
};
