/* SPDX-License-Identifier: Apache-2.0 */
/* Einsum: any number of operands, taken from left to right. Each is joined with what the ones
 * before it gave: indices that nobody needs any more are summed as soon as possible, what is left
 * of a pair is a matrix product [batch, m, k] x [batch, k, n] (or, where nothing is summed, an
 * elementwise one), so that the GEMM does the work. */
#include "infer/ops/einsum.h"

#include <string.h>

static int einsum_infer(struct accel_infer *in, struct accel_error *err)
{
    struct accel_shape *y = &in->out[0]->shape;
    struct einsum_extents x;
    const int rc = accel_einsum_extents(in->node->params, in->in, &x, err);

    if (rc != ACCEL_OK)
        return rc;
    in->out[0]->dtype = in->in[0]->dtype;
    *y = (struct accel_shape){.has_rank = true, .rank = x.rank};
    for (uint32_t i = 0; i < x.rank; i++)
        y->dims[i] = x.dim[x.out[i]];
    return ACCEL_OK;
}

static void *address(const struct accel_run *run, const struct einsum_place *at)
{
    return at->where == EINSUM_IN_SCRATCH  ? (char *)run->scratch + at->offset
           : at->where == EINSUM_IN_OUTPUT ? run->out[0]->data
                                           : run->in[at->where]->data;
}

static void multiply(const struct accel_run *run, const struct einsum_step *s,
                     enum accel_dtype dtype)
{
    const struct accel_nd nd = {
        .rank = 3,
        .dims = {s->batch, s->m, s->n},
        .stride = {{(ptrdiff_t)s->m, 1, 0}, {(ptrdiff_t)s->n, 0, 1}},
    };

    accel_binary(run->kernels, run->pool, ACCEL_BINARY_MUL, dtype, &nd, address(run, &s->from),
                 address(run, &s->other), address(run, &s->to));
}

static void product(const struct accel_run *run, const struct einsum_step *s,
                    const struct einsum_program *p)
{
    const size_t size = accel_dtype_size(p->computed), mk = s->m * s->k, kn = s->k * s->n,
                 mn = s->m * s->n;
    const char *a = address(run, &s->from), *b = address(run, &s->other);
    char *y = address(run, &s->to);

    if (s->batch * mn == 0)
        return;
    if (s->k == 0) {
        memset(y, 0, s->batch * mn * size);
        return;
    }
    if (p->computed != ACCEL_DTYPE_FLOAT) {
        for (size_t i = 0; i < s->batch; i++)
            accel_matmul_any(run->pool, p->computed, s->m, s->n, s->k, a + i * mk * size,
                             b + i * kn * size, y + i * mn * size);
        return;
    }
    const struct accel_gemm gemm = {.m = s->m,
                                    .n = s->n,
                                    .k = s->k,
                                    .a = (const float *)a,
                                    .lda = s->trans_a ? s->m : s->k,
                                    .trans_a = s->trans_a,
                                    .b = (const float *)b,
                                    .ldb = s->trans_b ? s->k : s->n,
                                    .trans_b = s->trans_b,
                                    .alpha = 1,
                                    .y = (float *)y,
                                    .ldy = s->n,
                                    .batch_rank = 1,
                                    .batch = {s->batch},
                                    .batch_stride_a = {mk},
                                    .batch_stride_b = {kn},
                                    .batch_stride_y = {mn}};
    accel_gemm_f32(run->kernels, run->pool, &gemm, (char *)run->scratch + p->top);
}

static void copy(const struct accel_run *run, const struct einsum_step *s, enum accel_dtype dtype)
{
    struct einsum_view dense = s->view;
    size_t elements;

    accel_einsum_dense(&dense, &elements);
    if (elements > 0)
        accel_copy_nd(run->pool, accel_dtype_size(dtype), s->view.rank, s->view.dim,
                      address(run, &s->from), s->view.stride, address(run, &s->to), dense.stride);
}

static void convert(const struct accel_run *run, const struct einsum_step *s,
                    const struct einsum_program *p)
{
    const bool last = s->to.where == EINSUM_IN_OUTPUT;

    accel_convert(run->kernels, run->pool, s->view.dim[0], last ? p->computed : p->dtype,
                  address(run, &s->from), last ? p->dtype : p->computed, address(run, &s->to));
}

static int einsum_run(struct accel_run *run, struct accel_error *err)
{
    const struct einsum_program *p = run->state;

    (void)err;
    for (size_t i = 0; i < p->count; i++) {
        const struct einsum_step *s = &p->step[i];

        switch (s->kind) {
        case EINSUM_CONVERT:
            convert(run, s, p);
            break;
        case EINSUM_COPY:
            copy(run, s, p->computed);
            break;
        case EINSUM_SUM:
            accel_reduce(run->kernels, run->pool, ACCEL_REDUCE_SUM, p->computed, s->view.rank,
                         s->view.dim, s->sum, address(run, &s->from), address(run, &s->to));
            break;
        case EINSUM_MULTIPLY:
            multiply(run, s, p->computed);
            break;
        case EINSUM_PRODUCT:
            product(run, s, p);
            break;
        }
    }
    return ACCEL_OK;
}

/* As it is done: each operand against the indices that it and the ones before it have. */
static void einsum_cost(const struct accel_prepare *prep, struct accel_cost *cost)
{
    const struct einsum_equation *e = prep->node->params;
    uint8_t axes[ACCEL_RANK_MAX];
    struct einsum_extents x;
    double all = 1;

    if (accel_einsum_extents(e, prep->in, &x, NULL) != ACCEL_OK)
        return;
    for (size_t i = 0; i < EINSUM_INDICES; i++)
        all *= x.used[i] && x.dim[i] > 0 ? (double)x.dim[i] : 1;
    if (e->operands <= 2) {
        cost->flops = all * (double)e->operands;
        return;
    }
    bool seen[EINSUM_INDICES], needed[EINSUM_INDICES];
    memset(seen, 0, sizeof(seen));
    for (size_t k = 0; k < e->operands; k++) {
        double here = 2;

        accel_einsum_axes(&e->term[k], prep->in[k]->shape.rank, axes, NULL);
        for (uint32_t i = 0; i < prep->in[k]->shape.rank; i++)
            seen[axes[i]] = true;
        for (size_t i = 0; i < EINSUM_INDICES; i++)
            here *= seen[i] && x.dim[i] > 0 ? (double)x.dim[i] : 1;
        cost->flops += k > 0 ? here : 0;
        accel_einsum_needed(k, &x, needed);
        for (size_t i = 0; i < EINSUM_INDICES; i++)
            seen[i] = seen[i] && needed[i];
    }
}

/* ---------------------------------------------------------------- the entries */

static const struct accel_attr_rule einsum_attrs[] = {
    {"equation", ACCEL_ATTR_STRING, ACCEL_ATTR_REQUIRED}, {0}};

#define EARLY (ACCEL_T_NUMBERS | ACCEL_T(FLOAT16))
#define EINSUM(version, types)                                                                  \
    {                                                                                           \
        .name = "Einsum", .domain = "", .since = version, .kind = ACCEL_KIND_GEMM,              \
        .in = {{"Inputs", types, 'T', ACCEL_ARG_VARIADIC}}, .out = {{"Output", types, 'T', 0}}, \
        .attrs = einsum_attrs, .parse = accel_einsum_parse, .infer = einsum_infer,              \
        .prepare = accel_einsum_prepare, .run = einsum_run, .cost = einsum_cost                 \
    }

const struct accel_op accel_ops_einsum[] = {
    EINSUM(12, EARLY),
    EINSUM(28, EARLY | ACCEL_T(BFLOAT16)),
    {0},
};
