/* SPDX-License-Identifier: Apache-2.0 */
/* acceld:Attention, what the pass find-attention makes of MatMul, a scale, an Add and Softmax:
 *
 *     y = Softmax(q k' * scale + mask) v
 *
 * q: [B, H, S, D], k: [B, H, T, D], v: [B, H, T, E]; every B and H may be 1 and is repeated then,
 * as MatMul does; mask broadcasts to [B, H, S, T], or they to it, as Add does. The standard's
 * Attention is of opset 23 and reads a mask of few columns in another way; and where it gives 0,
 * for a row of which the mask hides all with -infinity, this gives NaN as the operators do. */
#include "infer/kernels/attention.h"
#include "infer/ops/elements.h"

#include <inttypes.h>

enum { Q, K, V, MASK };

/* The mask as a tensor of rank 4. */
static struct accel_shape rank_four(const struct accel_shape *s)
{
    struct accel_shape four = {.has_rank = true, .rank = 4, .dims = {1, 1, 1, 1}};

    for (uint32_t i = 0; i < s->rank && i < 4; i++)
        four.dims[4 - s->rank + i] = s->dims[i];
    return four;
}

static int same(int64_t a, int64_t b, const char *what, struct accel_error *err)
{
    if (a >= 0 && b >= 0 && a != b)
        return accel_fail(err, ACCEL_E_INVALID, "%s is %" PRId64 " and %" PRId64, what, a, b);
    return ACCEL_OK;
}

/* *scores: [B, H, S, T] of all operands together; T is the keys' own. */
static int scores_of(const struct accel_node *n, const struct accel_type *const *in,
                     struct accel_shape *scores, struct accel_error *err)
{
    const struct accel_shape *q = &in[Q]->shape, *k = &in[K]->shape, *v = &in[V]->shape;

    for (size_t i = Q; i <= V; i++)
        if (in[i]->shape.rank != 4)
            return accel_fail(err, ACCEL_E_INVALID, "input %zu has rank %u, not 4", i,
                              in[i]->shape.rank);
    int rc = same(q->dims[3], k->dims[3], "the size of a head", err);
    if (rc == ACCEL_OK)
        rc = same(k->dims[2], v->dims[2], "the number of keys", err);
    struct accel_shape sum = *q, part = *k;
    sum.dims[3] = k->dims[2] >= 0 ? k->dims[2] : v->dims[2];
    const int64_t keys = sum.dims[3];
    for (size_t i = K; i <= V && rc == ACCEL_OK; i++) {
        part = in[i]->shape;
        part.dims[2] = part.dims[3] = 1;
        rc = accel_shape_broadcast(&sum, &part, &sum, err);
    }
    if (rc == ACCEL_OK && accel_given(n, MASK)) {
        if (in[MASK]->shape.rank > 4)
            return accel_fail(err, ACCEL_E_INVALID, "a mask of rank %u", in[MASK]->shape.rank);
        part = rank_four(&in[MASK]->shape);
        if (part.dims[3] != 1)
            rc = same(part.dims[3], keys, "the number of keys", err);
        if (rc == ACCEL_OK)
            rc = accel_shape_broadcast(&sum, &part, &sum, err);
    }
    sum.dims[3] = keys;
    *scores = sum;
    return rc;
}

static int attention_infer(struct accel_infer *in, struct accel_error *err)
{
    struct accel_shape y;
    const int rc = scores_of(in->node, in->in, &y, err);

    if (rc != ACCEL_OK)
        return rc;
    y.dims[3] = in->in[V]->shape.dims[3];
    in->out[0]->dtype = ACCEL_DTYPE_FLOAT;
    in->out[0]->shape = y;
    return ACCEL_OK;
}

/* Strides of a dense [B, H, rows, columns]; 0 along what is repeated. */
static struct accel_attention_operand operand_of(const struct accel_shape *s)
{
    const size_t row = (size_t)s->dims[3], head = (size_t)s->dims[2] * row;

    return (struct accel_attention_operand){
        .row = s->dims[2] > 1 ? row : 0,
        .head = s->dims[1] > 1 ? head : 0,
        .batch = s->dims[0] > 1 ? (size_t)s->dims[1] * head : 0,
    };
}

static int attention_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    struct accel_attention *a = accel_bump_alloc(prep->mem, 1, sizeof(*a));
    struct accel_shape scores;

    if (a == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to prepare it");
    const int rc = scores_of(prep->node, prep->in, &scores, err);
    if (rc != ACCEL_OK)
        return rc;
    const struct accel_attention_operand y = operand_of(&prep->out[0]->shape);
    prep->state = a;
    a->batch = (size_t)scores.dims[0];
    a->heads = a->kv_heads = (size_t)scores.dims[1];
    a->q_rows = (size_t)scores.dims[2];
    a->kv_rows = (size_t)scores.dims[3];
    a->head_size = (size_t)prep->in[Q]->shape.dims[3];
    a->v_head_size = (size_t)prep->in[V]->shape.dims[3];
    a->q = operand_of(&prep->in[Q]->shape);
    a->k = operand_of(&prep->in[K]->shape);
    a->v = operand_of(&prep->in[V]->shape);
    a->y_batch = y.batch;
    a->y_head = y.head;
    a->y_row = y.row;
    a->left = a->right = -1;
    a->as_softmax = true;
    a->scale = accel_attr_float(prep->node, "scale", 1);
    if (accel_given(prep->node, MASK)) {
        const struct accel_shape m = rank_four(&prep->in[MASK]->shape);
        const struct accel_attention_operand o = operand_of(&m);

        a->masks[0] = (struct accel_attention_mask){.batch = o.batch,
                                                    .head = o.head,
                                                    .row = o.row,
                                                    .columns = (size_t)m.dims[3],
                                                    .repeat = m.dims[3] == 1};
    }
    return accel_attention_scratch_bytes(prep->kernels, a, prep->threads, &prep->scratch_bytes,
                                         err);
}

static int attention_run(struct accel_run *run, struct accel_error *err)
{
    struct accel_attention a = *(const struct accel_attention *)run->state;

    (void)err;
    if (run->out[0]->size_bytes == 0)
        return ACCEL_OK;
    a.q.data = run->in[Q]->data;
    a.k.data = run->in[K]->data;
    a.v.data = run->in[V]->data;
    a.y = run->out[0]->data;
    if (accel_given(run->node, MASK))
        a.masks[0].data = run->in[MASK]->data;
    accel_attention_f32(run->kernels, run->pool, &a, run->scratch);
    return ACCEL_OK;
}

static void attention_cost(const struct accel_prepare *prep, struct accel_cost *cost)
{
    struct accel_shape scores;
    size_t elements;

    if (scores_of(prep->node, prep->in, &scores, NULL) != ACCEL_OK ||
        !accel_shape_elements(&scores, &elements))
        return;
    cost->flops = (double)elements * (2.0 * (double)prep->in[Q]->shape.dims[3] +
                                      2.0 * (double)prep->in[V]->shape.dims[3] + 7);
}

static const struct accel_attr_rule attrs[] = {{"scale", ACCEL_ATTR_FLOAT, 0}, {0}};

const struct accel_op accel_ops_scaled_attention[] = {
    {.name = "Attention",
     .domain = ACCEL_DOMAIN_OWN,
     .since = 1,
     .kind = ACCEL_KIND_GEMM,
     .in = {{"Q", ACCEL_T(FLOAT), 'T', 0},
            {"K", ACCEL_T(FLOAT), 'T', 0},
            {"V", ACCEL_T(FLOAT), 'T', 0},
            {"mask", ACCEL_T(FLOAT), 'T', ACCEL_ARG_OPTIONAL}},
     .out = {{"Y", ACCEL_T(FLOAT), 'T', 0}},
     .attrs = attrs,
     .infer = attention_infer,
     .prepare = attention_prepare,
     .run = attention_run,
     .cost = attention_cost},
    {0},
};
