/* SPDX-License-Identifier: Apache-2.0 */
/* com.microsoft Attention, QAttention and MultiHeadAttention: what ONNX Runtime's transformer
 * optimiser makes of attention. The first two project their input to Q, K and V themselves. */
#include "infer/kernels/quant.h"
#include "infer/ops/attention.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* Where the operands lie among the inputs; 0: the operator has none. */
struct places {
    size_t mask, scores_bias, past[2]; /* past[1] 0: keys and values in one tensor */
    size_t scale, zero;                /* QAttention: of the input; of the weights the next */
};

static const struct places attention_places = {.mask = 3, .past = {4, 0}, .scores_bias = 5};
static const struct places qattention_places = {.mask = 5, .past = {8, 0}, .scale = 3, .zero = 6};
static const struct places multi_head_places = {.mask = 4, .past = {6, 7}, .scores_bias = 5};

static const struct places *places_of(const struct accel_node *n)
{
    return n->op_type[0] == 'A'   ? &attention_places
           : n->op_type[0] == 'Q' ? &qattention_places
                                  : &multi_head_places;
}

static bool projects(const struct accel_node *n)
{
    return n->op_type[0] != 'M';
}

/* 0 stands for an operand that the operator has not. */
static bool given(const struct accel_node *n, size_t i)
{
    return i != 0 && accel_given(n, i);
}

/* ---------------------------------------------------------------- shapes */

struct sizes {
    int64_t batch, rows, kv_rows, past;
    int64_t hidden[3]; /* of Q, K, V, all heads together */
    int64_t heads;
};

/* Attention, QAttention: input [batch][rows][columns], weights [columns][Q, K and V]. */
static int sizes_projected(const struct accel_node *n, const struct accel_type *const *in,
                           struct sizes *s, struct accel_error *err)
{
    const struct accel_shape *x = &in[0]->shape, *w = &in[1]->shape;
    size_t count;
    const int64_t *hidden = accel_attr_ints(n, "qkv_hidden_sizes", &count);

    if (x->rank != 3 || w->rank != 2)
        return accel_fail(err, ACCEL_E_INVALID, "an input of rank %u, weights of rank %u", x->rank,
                          w->rank);
    if (x->dims[2] >= 0 && w->dims[0] >= 0 && x->dims[2] != w->dims[0])
        return accel_fail(err, ACCEL_E_INVALID,
                          "an input of %" PRId64 " columns, weights for %" PRId64, x->dims[2],
                          w->dims[0]);
    s->batch = x->dims[0];
    s->rows = s->kv_rows = x->dims[1];
    if (count == 0 && w->dims[1] >= 0) {
        if (w->dims[1] % 3 != 0)
            return accel_fail(err, ACCEL_E_INVALID,
                              "%" PRId64 " columns of weights are no three equal parts",
                              w->dims[1]);
        for (size_t i = 0; i < 3; i++)
            s->hidden[i] = w->dims[1] / 3;
    } else if (count > 0) {
        int64_t sum = 0;

        for (size_t i = 0; i < count; i++)
            if (count != 3 || hidden[i] < 1 || __builtin_add_overflow(sum, hidden[i], &sum))
                return accel_fail(err, ACCEL_E_INVALID, "qkv_hidden_sizes are no three sizes");
        memcpy(s->hidden, hidden, sizeof(s->hidden));
        if (hidden[0] != hidden[1] || (w->dims[1] >= 0 && w->dims[1] != sum))
            return accel_fail(err, ACCEL_E_INVALID,
                              "qkv_hidden_sizes do not fit weights of %" PRId64 " columns",
                              w->dims[1]);
    }
    return ACCEL_OK;
}

/* MultiHeadAttention: query [batch][rows][hidden]; key and value like it, or [batch][heads]
 * [rows][size]. */
static int sizes_given(const struct accel_node *n, const struct accel_type *const *in,
                       struct sizes *s, struct accel_error *err)
{
    const struct accel_shape *q = &in[0]->shape;
    int rc = ACCEL_OK;

    if (!given(n, 1) || !given(n, 2) || q->rank != 3)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "packed queries, keys or values");
    s->batch = q->dims[0];
    s->rows = q->dims[1];
    s->hidden[0] = q->dims[2];
    for (size_t i = 1; i < 3 && rc == ACCEL_OK; i++) {
        const struct accel_shape *x = &in[i]->shape;
        const bool by_head = x->rank == 4;
        int64_t hidden;

        if (x->rank != 3 && (!by_head || given(n, 3)))
            return accel_fail(err, ACCEL_E_UNSUPPORTED, "input %zu of rank %u%s", i, x->rank,
                              by_head ? " with a bias" : "");
        rc = accel_agree(&s->batch, x->dims[0], "the batch", err);
        if (rc == ACCEL_OK)
            rc = accel_agree(&s->kv_rows, x->dims[by_head ? 2 : 1], "the length of keys and values",
                             err);
        hidden = by_head ? ACCEL_DIM_ANY : x->dims[2];
        if (by_head && x->dims[1] >= 0 && x->dims[1] != s->heads)
            return accel_fail(err, ACCEL_E_INVALID, "input %zu has %" PRId64 " heads, not %" PRId64,
                              i, x->dims[1], s->heads);
        if (by_head && x->dims[3] >= 0 && __builtin_mul_overflow(x->dims[3], s->heads, &hidden))
            return accel_fail(err, ACCEL_E_INVALID, "input %zu overflows", i);
        s->hidden[i] = hidden;
    }
    return rc == ACCEL_OK
               ? accel_agree(&s->hidden[1], s->hidden[0], "the width of queries and keys", err)
               : rc;
}

/* past: [2][batch][heads][rows][size], or keys and values apart without the 2. */
static int past_of(const struct accel_node *n, const struct accel_type *const *in, struct sizes *s,
                   struct accel_error *err)
{
    const struct places *p = places_of(n);
    int rc = ACCEL_OK;

    s->past = 0;
    for (size_t i = 0; i < 2 && rc == ACCEL_OK; i++) {
        const struct accel_shape *past = given(n, p->past[i]) ? &in[p->past[i]]->shape : NULL;
        const uint32_t skip = p->past[1] == 0;
        int64_t heads = s->heads, size = s->hidden[1 + i] < 0 ? -1 : s->hidden[1 + i] / s->heads;

        if (past == NULL)
            continue;
        if (past->rank != 4 + skip || (skip != 0 && past->dims[0] >= 0 && past->dims[0] != 2))
            return accel_fail(err, ACCEL_E_INVALID, "a past of rank %u", past->rank);
        rc = accel_agree(&s->batch, past->dims[skip], "the batch", err);
        if (rc == ACCEL_OK)
            rc = accel_agree(&heads, past->dims[skip + 1], "the number of heads", err);
        if (rc == ACCEL_OK)
            rc = accel_agree(&size, past->dims[skip + 3], "the size of a head", err);
        if (i == 1 && rc == ACCEL_OK)
            rc = accel_agree(&s->past, past->dims[skip + 2], "the length of the past", err);
        s->past = past->dims[skip + 2];
    }
    if (rc == ACCEL_OK && p->past[1] != 0 && given(n, p->past[0]) != given(n, p->past[1]))
        return accel_fail(err, ACCEL_E_INVALID, "only one of past_key and past_value");
    return rc;
}

static int sizes_of(const struct accel_node *n, const struct accel_type *const *in, struct sizes *s,
                    struct accel_error *err)
{
    *s = (struct sizes){-1, -1, -1, 0, {-1, -1, -1}, accel_attr_int(n, "num_heads", 0)};
    if (s->heads < 1)
        return accel_fail(err, ACCEL_E_INVALID, "num_heads is %" PRId64, s->heads);
    int rc = projects(n) ? sizes_projected(n, in, s, err) : sizes_given(n, in, s, err);
    for (size_t i = 0; i < 3 && rc == ACCEL_OK; i++)
        if (s->hidden[i] >= 0 && s->hidden[i] % s->heads != 0)
            rc = accel_fail(err, ACCEL_E_INVALID, "%" PRId64 " columns for %" PRId64 " heads",
                            s->hidden[i], s->heads);
    if (rc == ACCEL_OK)
        rc = past_of(n, in, s, err);
    return rc;
}

static int64_t total_rows(const struct sizes *s)
{
    return accel_rows_together(s->past, s->kv_rows);
}

/* A mask of 0 and 1 over keys, or where a sequence ends (and begins). */
static int check_mask(const struct accel_infer *in, const struct sizes *s, struct accel_error *err)
{
    const struct accel_shape *m = &in->in[places_of(in->node)->mask]->shape;
    const int64_t total = total_rows(s);

    if (m->rank == 1 && s->batch > 0 && m->dims[0] >= 0 && m->dims[0] != s->batch &&
        m->dims[0] != 2 * s->batch)
        return accel_fail(err, ACCEL_E_INVALID,
                          "a mask index of %" PRId64 " numbers for a batch of %" PRId64, m->dims[0],
                          s->batch);
    if (m->rank < 1 || m->rank > 3)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "a mask of rank %u", m->rank);
    if (m->rank > 1 &&
        (accel_differ(m->dims[0], s->batch) || accel_differ(m->dims[m->rank - 1], total) ||
         (m->rank == 3 && accel_differ(m->dims[1], s->rows))))
        return accel_fail(err, ACCEL_E_INVALID,
                          "a mask must be [batch, %" PRId64 "] or [batch, %" PRId64 ", %" PRId64
                          "]",
                          total, s->rows, total);
    return ACCEL_OK;
}

static int check_scores_bias(const struct accel_infer *in, const struct sizes *s,
                             struct accel_error *err)
{
    const struct accel_shape *b = &in->in[places_of(in->node)->scores_bias]->shape;

    if (b->rank != 4 || (accel_differ(b->dims[0], s->batch) && b->dims[0] != 1) ||
        (accel_differ(b->dims[1], s->heads) && b->dims[1] != 1) ||
        accel_differ(b->dims[2], s->rows) || accel_differ(b->dims[3], total_rows(s)))
        return accel_fail(err, ACCEL_E_INVALID,
                          "attention_bias must be [batch or 1, heads or 1, %" PRId64 ", %" PRId64
                          "]",
                          s->rows, total_rows(s));
    return ACCEL_OK;
}

static int check_bias(const struct accel_infer *in, const struct sizes *s, struct accel_error *err)
{
    const size_t at = projects(in->node) ? 2 : 3;
    const struct accel_shape *b = given(in->node, at) ? &in->in[at]->shape : NULL;

    if (b != NULL && (b->rank != 1 || (s->hidden[0] >= 0 && s->hidden[2] >= 0 &&
                                       accel_differ(b->dims[0], 2 * s->hidden[0] + s->hidden[2]))))
        return accel_fail(err, ACCEL_E_INVALID, "the bias does not fit Q, K and V");
    return ACCEL_OK;
}

/* QAttention's scales and zero points: one of the input, one or one per column of the weights. */
static int check_quantised(const struct accel_infer *in, struct accel_error *err)
{
    const struct places *p = places_of(in->node);
    const size_t at[4] = {p->scale, p->zero, p->scale + 1, p->zero + 1};
    const int64_t columns = in->in[1]->shape.dims[1];

    for (size_t i = 0; i < 4 && p->scale != 0; i++) {
        const struct accel_shape *s = given(in->node, at[i]) ? &in->in[at[i]]->shape : NULL;

        if (s != NULL && (s->rank > 1 || (s->rank == 1 && s->dims[0] >= 0 && s->dims[0] != 1 &&
                                          (i < 2 || accel_differ(s->dims[0], columns)))))
            return accel_fail(err, ACCEL_E_INVALID, "input %zu has a shape that is not its due",
                              at[i]);
    }
    return ACCEL_OK;
}

static int attention_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_node *n = in->node;
    const struct places *p = places_of(n);
    struct sizes s;
    int rc = sizes_of(n, in->in, &s, err);

    if (rc == ACCEL_OK)
        rc = check_bias(in, &s, err);
    if (rc == ACCEL_OK)
        rc = check_quantised(in, err);
    if (rc == ACCEL_OK && given(n, p->mask))
        rc = check_mask(in, &s, err);
    if (rc == ACCEL_OK && given(n, p->scores_bias))
        rc = check_scores_bias(in, &s, err);
    if (rc != ACCEL_OK)
        return rc;
    for (size_t o = 0; o < n->outputs_count; o++) {
        const int64_t hidden = s.hidden[o == 2 ? 2 : 1];
        const int64_t size = hidden < 0 ? ACCEL_DIM_ANY : hidden / s.heads;

        if (in->out[o] == NULL)
            continue;
        in->out[o]->dtype = ACCEL_DTYPE_FLOAT;
        if (o == 0)
            in->out[o]->shape = (struct accel_shape){true, 3, {s.batch, s.rows, s.hidden[2]}};
        else if (p->past[1] == 0)
            in->out[o]->shape =
                (struct accel_shape){true, 5, {2, s.batch, s.heads, total_rows(&s), size}};
        else
            in->out[o]->shape =
                (struct accel_shape){true, 4, {s.batch, s.heads, total_rows(&s), size}};
    }
    if (p->past[1] == 0 && s.hidden[1] != s.hidden[2] &&
        (given(n, p->past[0]) || (n->outputs_count > 1 && in->out[1] != NULL)))
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "a past of keys and values of two sizes");
    return ACCEL_OK;
}

static int attention_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                           struct accel_error *err)
{
    static const char *const lacking[] = {"do_rotary", "past_present_share_buffer"};

    (void)mem;
    (void)params;
    for (size_t i = 0; i < ACCEL_COUNT(lacking); i++)
        if (accel_attr_int(n, lacking[i], 0) != 0)
            return accel_fail(err, ACCEL_E_UNSUPPORTED, "%s", lacking[i]);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- weights */

/* One constant matrix of floats. */
static int attention_prepack(struct accel_prepack *pack, struct accel_error *err)
{
    const struct accel_tensor *w = projects(pack->node) ? accel_prepack_input(pack, 1) : NULL;
    size_t bytes;
    void *blob;
    bool fill;

    if (w == NULL || w->dtype != ACCEL_DTYPE_FLOAT || w->rank != 2 || w->dims[0] < 1 ||
        w->dims[1] < 1)
        return ACCEL_OK;
    const size_t k = (size_t)w->dims[0], n = (size_t)w->dims[1];
    int rc = accel_gemm_f32_packed_b_bytes(pack->kernels, k, n, &bytes, err);
    if (rc == ACCEL_OK)
        rc = accel_prepack_blob(pack, 0, bytes, &blob, &fill, err);
    if (rc == ACCEL_OK && fill)
        accel_gemm_f32_pack_b(pack->kernels, k, n, w->data, n, false, blob);
    pack->consumed = 1u << 1;
    return rc;
}

/* ---------------------------------------------------------------- running */

/* The scratch, one part behind the other; 0: not needed. */
struct state {
    struct accel_attention attention;
    struct accel_gemm projection;
    size_t past;
    size_t operands[3]; /* projected, or with their bias */
    size_t mask, joined[2];
};

/* Where Q, K and V come from: one projection, or three inputs (with a bias: copies of them). */
static int prepare_operands(struct accel_prepare *prep, struct state *st, const struct sizes *s,
                            struct accel_error *err)
{
    struct accel_attention *a = &st->attention;
    struct accel_attention_operand *const operands[3] = {&a->q, &a->k, &a->v};
    const size_t heads = a->heads, kv_rows = (size_t)s->kv_rows;
    size_t all = 0, products;
    int rc = ACCEL_OK;

    for (size_t i = 0; i < 3; i++)
        all += (size_t)s->hidden[i];
    if (projects(prep->node)) {
        for (size_t i = 0; i < 3; i++)
            *operands[i] = accel_by_rows(a->q_rows, all, (size_t)s->hidden[i] / heads);
        st->projection = (struct accel_gemm){.m = a->batch * a->q_rows,
                                             .n = all,
                                             .k = (size_t)prep->in[1]->shape.dims[0],
                                             .packed_b = prep->blobs[0],
                                             .ldb = all,
                                             .ldy = all,
                                             .alpha = 1};
        st->projection.lda = st->projection.k;
        rc = accel_scratch_part(prep, st->projection.m * all, sizeof(float), &st->operands[0], err);
        if (rc != ACCEL_OK || st->projection.m * all == 0)
            return rc;
        if (prep->node->op_type[0] == 'A')
            rc = accel_gemm_f32_scratch_bytes(prep->kernels, &st->projection, prep->threads,
                                              &products, err);
        else if (!accel_qgemm_scratch_bytes(
                     prep->kernels,
                     &(struct accel_qgemm){.m = st->projection.m, .n = all, .k = st->projection.k},
                     prep->threads, &products))
            rc = accel_fail(err, ACCEL_E_INVALID, "its work space overflows");
        /* The projection is over when attention begins: both use the same part. */
        return rc == ACCEL_OK ? accel_scratch_part(prep, products, 1, &products, err) : rc;
    }
    for (size_t i = 0; i < 3 && rc == ACCEL_OK; i++) {
        const struct accel_shape *x = &prep->in[i]->shape;
        const size_t rows = i == 0 ? a->q_rows : kv_rows, width = (size_t)s->hidden[i];

        *operands[i] = x->rank == 4 ? accel_by_heads(heads, kv_rows, width / heads)
                                    : accel_by_rows(rows, width, width / heads);
        if (given(prep->node, 3))
            rc = accel_scratch_part(prep, a->batch * rows * width, sizeof(float), &st->operands[i],
                                    err);
    }
    return rc;
}

static int attention_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    const struct accel_node *n = prep->node;
    const struct places *p = places_of(n);
    struct state *st = accel_prepare_state(prep, sizeof(*st), err);
    struct sizes s;
    size_t bytes;

    if (st == NULL)
        return ACCEL_E_NOMEM;
    int rc = sizes_of(n, prep->in, &s, err);
    if (rc != ACCEL_OK)
        return rc;
    struct accel_attention *a = &st->attention;
    const float scale = accel_attr_float(n, "scale", 0);
    a->batch = (size_t)s.batch;
    a->heads = a->kv_heads = (size_t)s.heads;
    a->q_rows = (size_t)s.rows;
    a->kv_rows = (size_t)total_rows(&s);
    a->head_size = (size_t)(s.hidden[0] / s.heads);
    a->v_head_size = (size_t)(s.hidden[2] / s.heads);
    a->scale = scale != 0 ? scale : 1 / sqrtf((float)a->head_size);
    a->left = -1;
    a->right = accel_attr_int(n, "unidirectional", 0) != 0 ? 0 : -1;
    a->offset = s.past;
    accel_attention_to(a, accel_by_rows(a->q_rows, (size_t)s.hidden[2], a->v_head_size));
    st->past = (size_t)s.past;
    rc = prepare_operands(prep, st, &s, err);
    if (rc == ACCEL_OK && given(n, p->mask)) {
        const size_t rows = prep->in[p->mask]->shape.rank == 3 ? a->q_rows : 1;

        rc = accel_scratch_part(prep, a->batch * rows * a->kv_rows, sizeof(float), &st->mask, err);
    }
    for (size_t i = 0; i < 2 && rc == ACCEL_OK && given(n, p->past[0]); i++) {
        const size_t size = i == 0 ? a->head_size : a->v_head_size;

        rc = accel_scratch_heads(prep, a, a->kv_rows, size, &st->joined[i], err);
    }
    return rc == ACCEL_OK ? accel_scratch_attention(prep, a, &bytes, err) : rc;
}

/* y = x + bias, in rows of n. */
static void add_bias(const struct accel_run *run, size_t rows, size_t n, const float *x,
                     const float *bias, float *y)
{
    const struct accel_nd nd = {
        .rank = 2, .dims = {rows, n}, .stride = {{(ptrdiff_t)n, 1}, {0, 1}}};

    if (rows > 0 && n > 0)
        accel_binary(run->kernels, run->pool, ACCEL_BINARY_ADD, ACCEL_DTYPE_FLOAT, &nd, x, bias, y);
}

/* Q, K and V in one matrix, at `y`; `rest`: scratch behind it. */
static void project(const struct accel_run *run, const struct state *st, float *y, void *rest)
{
    const struct places *p = places_of(run->node);
    const struct accel_tensor *x = run->in[0], *w = run->in[1];
    const float *bias = given(run->node, 2) ? run->in[2]->data : NULL;
    struct accel_gemm g = st->projection;

    if (g.m == 0 || g.n == 0)
        return;
    if (p->scale == 0) {
        g.a = x->data;
        g.b = w->data;
        g.y = y;
        g.bias_col = bias;
        accel_gemm_f32(run->kernels, run->pool, &g, rest);
        return;
    }
    const struct accel_qgemm q = {
        .m = g.m,
        .n = g.n,
        .k = g.k,
        .a = x->data,
        .b = w->data,
        .a_signed = x->dtype == ACCEL_DTYPE_INT8,
        .b_signed = w->dtype == ACCEL_DTYPE_INT8,
        .a_row = g.k,
        .a_col = 1,
        .b_row = g.n,
        .b_col = 1,
        .a_zero = given(run->node, p->zero) ? run->in[p->zero]->data : NULL,
        .b_zero = given(run->node, p->zero + 1) ? run->in[p->zero + 1]->data : NULL,
        .b_zero_stride = given(run->node, p->zero + 1) && run->in[p->zero + 1]->size_bytes > 1,
        .out = {.dtype = ACCEL_DTYPE_FLOAT,
                .alpha = 1,
                .y_scale = 1,
                .a_scale = run->in[p->scale]->data,
                .b_scale = run->in[p->scale + 1]->data,
                .b_scale_stride = run->in[p->scale + 1]->size_bytes > sizeof(float),
                .y = y}};
    accel_qgemm(run->kernels, run->pool, &q, rest);
    if (bias != NULL)
        add_bias(run, g.m, g.n, y, bias, y);
}

/* What is added to the scores for keys that a mask hides. */
static void fill_mask(const struct accel_run *run, const struct accel_attention *a, float *y)
{
    const struct accel_tensor *t = run->in[places_of(run->node)->mask];
    const float hidden = accel_attr_float(run->node, "mask_filter_value", -10000);
    const int32_t *mask = t->data;
    const size_t n = t->size_bytes / sizeof(*mask), total = a->kv_rows;

    for (size_t i = 0; t->rank > 1 && i < n; i++)
        y[i] = mask[i] > 0 ? 0 : hidden;
    for (size_t b = 0; t->rank == 1 && b < a->batch; b++) {
        const int64_t end = mask[b], begin = n == 2 * a->batch ? mask[a->batch + b] : 0;

        for (size_t j = 0; j < total; j++)
            y[b * total + j] = (int64_t)j < end && (int64_t)j >= begin ? 0 : hidden;
    }
}

/* Keys (i 0) or values (1) with what was before, into present_... or *scratch. */
static void join(const struct accel_run *run, const struct state *st, size_t i,
                 struct accel_attention_operand *operand, char **scratch)
{
    const struct accel_attention *a = &st->attention;
    const struct places *p = places_of(run->node);
    const bool apart = p->past[1] != 0;
    const size_t size = i == 0 ? a->head_size : a->v_head_size, at = apart ? 1 + i : 1;
    const struct accel_tensor *present = at < run->node->outputs_count ? run->out[at] : NULL;
    const float *past = given(run->node, p->past[0]) ? run->in[p->past[apart ? i : 0]]->data : NULL;
    float *y = (float *)(void *)*scratch;

    if (present != NULL)
        y = (float *)present->data + (apart ? 0 : i * a->batch * a->heads * a->kv_rows * size);
    else if (past == NULL)
        return;
    *scratch += st->joined[i];
    if (past != NULL && !apart)
        past += i * a->batch * a->heads * st->past * size;
    accel_join(run->pool, a, size, past, st->past, y, operand);
}

static int attention_run(struct accel_run *run, struct accel_error *err)
{
    const struct state *st = run->state;
    const struct accel_node *n = run->node;
    const struct places *p = places_of(n);
    struct accel_attention a = st->attention;
    struct accel_attention_operand *const operands[3] = {&a.q, &a.k, &a.v};
    const size_t widths[3] = {a.heads * a.head_size, a.heads * a.head_size,
                              a.heads * a.v_head_size};
    char *scratch = run->scratch;
    size_t column = 0;

    (void)err;
    if (projects(n))
        project(run, st, run->scratch, scratch + st->operands[0]);
    for (size_t i = 0; i < 3; column += widths[i], i++) {
        if (projects(n)) {
            operands[i]->data = (const float *)run->scratch + column;
        } else if (given(n, 3)) {
            add_bias(run, a.batch * (i == 0 ? a.q_rows : a.kv_rows - st->past), widths[i],
                     run->in[i]->data, (const float *)run->in[3]->data + column,
                     (float *)(void *)scratch);
            operands[i]->data = (const float *)(void *)scratch;
        } else {
            operands[i]->data = run->in[i]->data;
        }
        scratch += st->operands[i];
    }
    if (given(n, p->mask)) {
        const bool each_row = run->in[p->mask]->rank == 3;

        fill_mask(run, &a, (float *)(void *)scratch);
        a.masks[0] = (struct accel_attention_mask){.data = (const float *)(void *)scratch,
                                                   .columns = a.kv_rows,
                                                   .row = each_row ? a.kv_rows : 0,
                                                   .batch = (each_row ? a.q_rows : 1) * a.kv_rows};
        scratch += st->mask;
    }
    if (given(n, p->scores_bias))
        a.masks[1] = accel_bias_mask(run->in[p->scores_bias]);
    join(run, st, 0, &a.k, &scratch);
    join(run, st, 1, &a.v, &scratch);
    a.y = run->out[0]->data;
    accel_attention_f32(run->kernels, run->pool, &a, scratch);
    return ACCEL_OK;
}

static void attention_cost(const struct accel_prepare *prep, struct accel_cost *cost)
{
    struct sizes s;

    if (sizes_of(prep->node, prep->in, &s, NULL) != ACCEL_OK)
        return;
    cost->flops = 2.0 * (double)s.batch * (double)s.rows * (double)total_rows(&s) *
                  (double)(s.hidden[0] + s.hidden[2]);
    if (projects(prep->node))
        cost->flops += 2.0 * (double)s.batch * (double)s.rows * (double)prep->in[1]->shape.dims[0] *
                       (double)(2 * s.hidden[0] + s.hidden[2]);
}

#define F32 ACCEL_T(FLOAT)
#define I32 ACCEL_T(INT32)
#define Q8  (ACCEL_T(UINT8) | ACCEL_T(INT8))
#define OPT ACCEL_ARG_OPTIONAL

static const struct accel_attr_rule attrs[] = {{"do_rotary", ACCEL_ATTR_INT, 0},
                                               {"mask_filter_value", ACCEL_ATTR_FLOAT, 0},
                                               {"num_heads", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED},
                                               {"past_present_share_buffer", ACCEL_ATTR_INT, 0},
                                               {"qkv_hidden_sizes", ACCEL_ATTR_INTS, 0},
                                               {"rotary_embedding_dim", ACCEL_ATTR_INT,
                                                ACCEL_ATTR_IGNORED}, /* of do_rotary */
                                               {"scale", ACCEL_ATTR_FLOAT, 0},
                                               {"unidirectional", ACCEL_ATTR_INT, 0},
                                               {0}};
static const struct accel_attr_rule multi_head_attrs[] = {
    {"mask_filter_value", ACCEL_ATTR_FLOAT, 0},
    {"num_heads", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED},
    {"scale", ACCEL_ATTR_FLOAT, 0},
    {"unidirectional", ACCEL_ATTR_INT, 0},
    {0}};

#define ATTENTION(op, rules)                                                                    \
    .name = op, .domain = "com.microsoft", .since = 1, .kind = ACCEL_KIND_GEMM, .attrs = rules, \
    .parse = attention_parse, .infer = attention_infer, .prepack = attention_prepack,           \
    .prepare = attention_prepare, .run = attention_run, .cost = attention_cost

const struct accel_op accel_ops_ms_attention[] = {
    {ATTENTION("Attention", attrs),
     .in = {{"input", F32, 'T', 0},
            {"weights", F32, 'T', 0},
            {"bias", F32, 'T', OPT},
            {"mask_index", I32, 0, OPT},
            {"past", F32, 'T', OPT},
            {"attention_bias", F32, 'T', OPT}},
     .out = {{"output", F32, 'T', 0}, {"present", F32, 'T', OPT}}},
    {ATTENTION("QAttention", attrs),
     .in = {{"input", Q8, 'A', 0},
            {"weight", Q8, 'B', 0},
            {"bias", F32, 'T', 0},
            {"input_scale", F32, 'T', 0},
            {"weight_scale", F32, 'T', 0},
            {"mask_index", I32, 0, OPT},
            {"input_zero_point", Q8, 'A', OPT},
            {"weight_zero_point", Q8, 'B', OPT},
            {"past", F32, 'T', OPT}},
     .out = {{"output", F32, 'T', 0}, {"present", F32, 'T', OPT}}},
    {ATTENTION("MultiHeadAttention", multi_head_attrs),
     .in = {{"query", F32, 'T', 0},
            {"key", F32, 'T', OPT},
            {"value", F32, 'T', OPT},
            {"bias", F32, 'T', OPT},
            {"key_padding_mask", I32, 0, OPT},
            {"attention_bias", F32, 'T', OPT},
            {"past_key", F32, 'T', OPT},
            {"past_value", F32, 'T', OPT}},
     .out = {{"output", F32, 'T', 0},
             {"present_key", F32, 'T', OPT},
             {"present_value", F32, 'T', OPT}}},
    {0},
};
