/* SPDX-License-Identifier: Apache-2.0 */
/* com.microsoft LinearAttentionGate, which makes the gates of LinearAttention:
 *
 *     decay = decay_scale * softplus(a + dt_bias)        beta = sigmoid(b)
 *
 * a, b: [...][heads]; dt_bias, decay_scale: [heads]. */
#include "infer/ops/elements.h"
#include "infer/ops/wide.h"

#include <inttypes.h>

enum { A, DT_BIAS, DECAY_SCALE, B };
enum { DECAY, BETA };

static int gate_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_node *n = in->node;
    const struct accel_shape *a = &in->in[A]->shape;

    if (a->rank == 0)
        return accel_fail(err, ACCEL_E_INVALID, "a has no dimension of heads");
    const int64_t heads = a->dims[a->rank - 1];
    for (size_t i = DT_BIAS; i <= DECAY_SCALE; i++) {
        const struct accel_shape *x = &in->in[i]->shape;

        if (x->rank != 1 || (x->dims[0] >= 0 && heads >= 0 && x->dims[0] != heads))
            return accel_fail(err, ACCEL_E_INVALID, "input %zu must have %" PRId64 " numbers", i,
                              heads);
    }
    for (uint32_t d = 0; accel_given(n, B) && d < a->rank; d++) {
        const struct accel_shape *b = &in->in[B]->shape;

        if (b->rank != a->rank || (b->dims[d] >= 0 && a->dims[d] >= 0 && b->dims[d] != a->dims[d]))
            return accel_fail(err, ACCEL_E_INVALID, "a and b are of different shapes");
    }
    for (size_t o = 0; o < n->outputs_count; o++)
        if (in->out[o] != NULL) {
            if (o == BETA && !accel_given(n, B))
                return accel_fail(err, ACCEL_E_INVALID, "beta without b");
            in->out[o]->dtype = in->in[A]->dtype;
            in->out[o]->shape = *a;
        }
    return ACCEL_OK;
}

static int gate_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *a = run->in[A];
    const size_t heads = (size_t)a->dims[a->rank - 1], n = accel_elements(a);
    float *y = run->out[DECAY]->data;

    (void)err;
    if (n == 0)
        return ACCEL_OK;
    const struct accel_nd nd = {
        .rank = 2, .dims = {n / heads, heads}, .stride = {{(ptrdiff_t)heads, 1}, {0, 1}}};
    accel_binary(run->kernels, run->pool, ACCEL_BINARY_ADD, ACCEL_DTYPE_FLOAT, &nd, a->data,
                 run->in[DT_BIAS]->data, y);
    accel_unary(run->kernels, run->pool, ACCEL_UNARY_SOFTPLUS, 0, 0, ACCEL_DTYPE_FLOAT, n, y, y);
    accel_binary(run->kernels, run->pool, ACCEL_BINARY_MUL, ACCEL_DTYPE_FLOAT, &nd, y,
                 run->in[DECAY_SCALE]->data, y);
    if (run->node->outputs_count > BETA && run->out[BETA] != NULL)
        accel_unary(run->kernels, run->pool, ACCEL_UNARY_SIGMOID, 0, 0, ACCEL_DTYPE_FLOAT, n,
                    run->in[B]->data, run->out[BETA]->data);
    return ACCEL_OK;
}

ACCEL_WIDE(gate, NULL, gate_run)

#define T1  (ACCEL_T(FLOAT) | ACCEL_T(FLOAT16))
#define F32 ACCEL_T(FLOAT)
#define OPT ACCEL_ARG_OPTIONAL

const struct accel_op accel_ops_linear_gate[] = {
    {.domain = "com.microsoft",
     .name = "LinearAttentionGate",
     .since = 1,
     .kind = ACCEL_KIND_ELEMENTWISE,
     .flops_per_value = 20,
     .in = {{"a", T1, 'T', 0},
            {"dt_bias", F32, 0, 0},
            {"decay_scale", F32, 0, 0},
            {"b", T1, 'T', OPT}},
     .out = {{"decay", T1, 'T', 0}, {"beta", T1, 'T', OPT}},
     .infer = gate_infer,
     .prepare = gate_wide_prepare,
     .run = gate_wide_run},
    {0},
};
