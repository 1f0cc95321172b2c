/* SPDX-License-Identifier: Apache-2.0 */
/* com.microsoft MoE, a mixture of experts: a router chooses k of the experts for each token, each
 * of which is two matrix products with an activation between them, and adds up what they say. As
 * ONNX Runtime's CPU kernel has it: floats, SwiGLU interleaved in one product, no third one. */
#include "infer/kernels/experts.h"
#include "infer/ops/elements.h"

#include <inttypes.h>
#include <math.h>

enum { X, ROUTER, FC1, FC1_BIAS, FC2, FC2_BIAS, FC3, FC3_BIAS };

/* Tokens of one expert that go through it at once: bounds the work space. */
#define CHUNK 256

struct moe_params {
    int64_t k;
    bool normalize, swiglu;
    enum accel_unary_op op; /* without swiglu */
    float alpha, beta, limit;
};

/* ---------------------------------------------------------------- attributes */

static int parse_activation(const struct accel_node *n, struct moe_params *p,
                            struct accel_error *err)
{
    static const struct {
        const char *name;
        enum accel_unary_op op;
    } known[] = {{"relu", ACCEL_UNARY_RELU},
                 {"gelu", ACCEL_UNARY_GELU_TANH},
                 {"silu", ACCEL_UNARY_SILU},
                 {"identity", ACCEL_UNARY_IDENTITY},
                 {"swiglu", ACCEL_UNARY_IDENTITY}};
    const char *name = accel_attr_string(n, "activation_type", "relu");
    size_t i = 0;

    while (i < ACCEL_COUNT(known) && strcmp(known[i].name, name) != 0)
        i++;
    if (i == ACCEL_COUNT(known))
        return accel_fail(err, ACCEL_E_INVALID,
                          "activation_type is '%s', not relu, gelu, silu, identity or swiglu",
                          name);
    p->op = known[i].op;
    p->swiglu = strcmp(name, "swiglu") == 0;
    if (p->swiglu && accel_attr_int(n, "swiglu_fusion", 0) != 1)
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          "swiglu with swiglu_fusion %" PRId64
                          ", only 1 (gate and linear part interleaved in fc1) is",
                          accel_attr_int(n, "swiglu_fusion", 0));
    if (!(p->limit >= 0))
        return accel_fail(err, ACCEL_E_INVALID, "swiglu_limit is %g, below 0", (double)p->limit);
    return ACCEL_OK;
}

static int moe_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                     struct accel_error *err)
{
    struct moe_params *p = accel_bump_alloc(mem, 1, sizeof(*p));

    if (p == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its attributes");
    *params = p;
    *p = (struct moe_params){.k = accel_attr_int(n, "k", 1),
                             .normalize = accel_attr_int(n, "normalize_routing_weights", 0) == 1,
                             .alpha = accel_attr_float(n, "activation_alpha", 1),
                             .beta = accel_attr_float(n, "activation_beta", 0),
                             .limit = accel_attr_float(n, "swiglu_limit", INFINITY)};
    if (p->k < 1)
        return accel_fail(err, ACCEL_E_INVALID, "k is %" PRId64 " experts, below 1", p->k);
    /* ONNX Runtime's CPU kernel asks for this and then routes as ever. */
    if (accel_attr_int(n, "use_sparse_mixer", 0) == 1 && p->k != 2)
        return accel_fail(err, ACCEL_E_INVALID, "use_sparse_mixer with k %" PRId64 " instead of 2",
                          p->k);
    if (accel_given(n, FC3) || accel_given(n, FC3_BIAS))
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "fc3, a third product, is");
    return parse_activation(n, p, err);
}

/* ---------------------------------------------------------------- shapes */

/* Tokens of x, ACCEL_DIM_ANY when not known. */
static int tokens_of(const struct accel_shape *x, int64_t *tokens, struct accel_error *err)
{
    *tokens = 1;
    for (uint32_t d = 0; d + 1 < x->rank; d++) {
        if (x->dims[d] < 0) {
            *tokens = ACCEL_DIM_ANY;
            return ACCEL_OK;
        }
        if (__builtin_mul_overflow(*tokens, x->dims[d], tokens))
            return accel_fail(err, ACCEL_E_INVALID, "its number of tokens overflows");
    }
    return ACCEL_OK;
}

static int64_t known_of(int64_t a, int64_t b)
{
    return a >= 0 ? a : b;
}

static int moe_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct moe_params *p = in->node->params;
    const struct accel_shape *x = &in->in[X]->shape, *fc1 = &in->in[FC1]->shape;
    const struct accel_shape *fc2 = &in->in[FC2]->shape;
    int64_t tokens, wide;

    if (x->rank != 2 && x->rank != 3)
        return accel_fail(err, ACCEL_E_INVALID, "an input of rank %u instead of 2 or 3", x->rank);
    if (in->in[ROUTER]->shape.rank != 2 || fc1->rank != 3 || fc2->rank != 3)
        return accel_fail(err, ACCEL_E_INVALID,
                          "router_probs must be [tokens, experts], fc1 and fc2 [experts, outputs, "
                          "inputs]");
    int rc = tokens_of(x, &tokens, err);
    if (rc != ACCEL_OK)
        return rc;
    const int64_t experts = known_of(in->in[ROUTER]->shape.dims[1], fc1->dims[0]);
    const int64_t hidden = x->dims[x->rank - 1], inter = fc2->dims[2];
    if (experts >= 0 && p->k > experts)
        return accel_fail(err, ACCEL_E_INVALID, "k is %" PRId64 " of %" PRId64 " experts", p->k,
                          experts);
    if (hidden == 0)
        return accel_fail(err, ACCEL_E_INVALID, "tokens without elements");
    if (inter < 0)
        wide = ACCEL_DIM_ANY;
    else if (__builtin_mul_overflow(inter, p->swiglu ? 2 : 1, &wide))
        return accel_fail(err, ACCEL_E_INVALID, "the outputs of fc1 overflow");
    const struct {
        uint32_t rank;
        int64_t dims[3];
    } wanted[] = {[ROUTER] = {2, {tokens, experts}},
                  [FC1] = {3, {experts, wide, hidden}},
                  [FC1_BIAS] = {2, {experts, wide}},
                  [FC2] = {3, {experts, hidden, inter}},
                  [FC2_BIAS] = {2, {experts, hidden}}};
    for (size_t i = ROUTER; i <= FC2_BIAS && rc == ACCEL_OK; i++)
        rc = accel_infer_expect(in, i, wanted[i].rank, wanted[i].dims, err);
    return rc == ACCEL_OK ? accel_infer_same(in, err) : rc;
}

/* ---------------------------------------------------------------- work space */

/* Sizes, and where in the scratch, in floats, things lie. */
struct moe_state {
    size_t tokens, experts, hidden, inter, wide; /* wide: outputs of fc1 */
    size_t chunk;
    /* shares [tokens][experts]; rows of tokens [chunk][hidden], before and after the experts; what
     * lies between the products [chunk][wide]; the products' own. Shares are first. */
    size_t rows_at, wide_at, products_at;
};

/* The product of m rows with one expert's matrix, as it lies in the input. */
static struct accel_gemm product_of(size_t m, size_t n, size_t k)
{
    return (struct accel_gemm){
        .m = m, .n = n, .k = k, .lda = k, .ldb = k, .trans_b = true, .alpha = 1, .ldy = n};
}

/* Bytes that the products need, whatever number of tokens an expert gets. */
static int products_bytes(const struct accel_prepare *prep, const struct moe_state *s, size_t *most,
                          struct accel_error *err)
{
    static const float none[1];

    *most = 0;
    for (size_t m = 1; m <= s->chunk; m++) {
        struct accel_gemm g[] = {product_of(m, s->wide, s->hidden),
                                 product_of(m, s->hidden, s->inter)};

        for (size_t i = 0; i < ACCEL_COUNT(g); i++) {
            size_t bytes = 0;

            g[i].b = none;
            if (accel_gemm_f32_scratch_bytes(prep->kernels, &g[i], prep->threads, &bytes, err) !=
                ACCEL_OK)
                return ACCEL_E_INVALID;
            *most = ACCEL_MAX(*most, bytes);
        }
    }
    return ACCEL_OK;
}

/* *at moves on by a * b floats, and to where a vector may begin. */
static bool take(size_t *at, size_t a, size_t b)
{
    size_t floats;

    if (__builtin_mul_overflow(a, b, &floats) || __builtin_add_overflow(*at, floats, at) ||
        *at > SIZE_MAX / sizeof(float) - 64)
        return false;
    *at = ACCEL_ROUND_UP(*at, ACCEL_KERNEL_ALIGN / sizeof(float));
    return true;
}

static int moe_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    const struct accel_shape *x = &prep->in[X]->shape;
    struct moe_state *s = accel_bump_alloc(prep->mem, 1, sizeof(*s));
    size_t at = 0, products;

    if (s == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to prepare it");
    prep->state = s;
    *s = (struct moe_state){.tokens = accel_dims_product(x->dims, 0, x->rank - 1),
                            .experts = (size_t)prep->in[FC1]->shape.dims[0],
                            .wide = (size_t)prep->in[FC1]->shape.dims[1],
                            .hidden = (size_t)prep->in[FC2]->shape.dims[1],
                            .inter = (size_t)prep->in[FC2]->shape.dims[2]};
    s->chunk = ACCEL_MIN(s->tokens, (size_t)CHUNK);
    bool fits = take(&at, s->tokens, s->experts);
    s->rows_at = at;
    fits = fits && take(&at, s->chunk, s->hidden);
    s->wide_at = at;
    fits = fits && take(&at, s->chunk, s->wide);
    s->products_at = at;
    const int rc = products_bytes(prep, s, &products, err);
    if (rc != ACCEL_OK)
        return rc;
    if (!fits || __builtin_add_overflow(at * sizeof(float), products, &prep->scratch_bytes))
        return accel_fail(err, ACCEL_E_INVALID, "its work space overflows");
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- run */

/* What one expert is asked: m of its tokens. */
struct batch {
    struct accel_run *run;
    const struct moe_state *s;
    size_t expert, m;
    size_t tokens[CHUNK];
    float *rows, *wide;
};

/* SwiGLU leaves its results where each row begins. */
static void activate_rows(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct batch *b = context;
    const struct moe_params *p = b->run->node->params;
    const size_t n = b->s->wide;

    (void)thread;
    for (size_t row = begin; row < end; row++) {
        float *x = b->wide + row * n;

        if (p->swiglu)
            accel_swiglu_pairs_f32(n / 2, x, p->alpha, p->beta, p->limit, x);
        else if (p->op == ACCEL_UNARY_RELU) /* NaN becomes 0, as ONNX Runtime has it */
            for (size_t i = 0; i < n; i++)
                x[i] = x[i] > 0 ? x[i] : 0;
        else if (p->op != ACCEL_UNARY_IDENTITY)
            b->run->kernels->f32_unary[p->op](n, x, x, 1, 0);
    }
}

static const float *bias_of(const struct accel_run *run, size_t i, size_t expert, size_t n)
{
    return accel_given(run->node, i) ? (const float *)run->in[i]->data + expert * n : NULL;
}

/* y[m][n] = a[m][k] times the matrix, input i, of the batch's expert, and its bias, input i + 1. */
static void layer(const struct batch *b, size_t i, size_t n, size_t k, const float *a, size_t lda,
                  float *y, size_t ldy)
{
    struct accel_gemm g = product_of(b->m, n, k);

    g.a = a;
    g.lda = lda;
    g.b = (const float *)b->run->in[i]->data + b->expert * n * k;
    g.bias_col = bias_of(b->run, i + 1, b->expert, n);
    g.y = y;
    g.ldy = ldy;
    accel_gemm_f32(b->run->kernels, b->run->pool, &g, (float *)b->run->scratch + b->s->products_at);
}

/* The batch's tokens go through their expert; what comes out counts by its share. */
static void ask(struct batch *b)
{
    const struct moe_state *s = b->s;
    const float *x = b->run->in[X]->data, *share = b->run->scratch;
    float *y = b->run->out[0]->data;

    for (size_t i = 0; i < b->m; i++)
        memcpy(b->rows + i * s->hidden, x + b->tokens[i] * s->hidden, s->hidden * sizeof(*x));
    layer(b, FC1, s->wide, s->hidden, b->rows, s->hidden, b->wide, s->wide);
    accel_pool_run(b->run->pool, b->m, 1, activate_rows, b);
    layer(b, FC2, s->hidden, s->inter, b->wide, s->wide, b->rows, s->hidden);
    for (size_t i = 0; i < b->m; i++) {
        const float weight = share[b->tokens[i] * s->experts + b->expert];
        float *to = y + b->tokens[i] * s->hidden;

        for (size_t j = 0; j < s->hidden; j++)
            to[j] += weight * b->rows[i * s->hidden + j];
    }
    b->m = 0;
}

static int moe_run(struct accel_run *run, struct accel_error *err)
{
    const struct moe_params *p = run->node->params;
    const struct moe_state *s = run->state;
    float *scratch = run->scratch;
    const struct accel_routing routing = {.tokens = s->tokens,
                                          .experts = s->experts,
                                          .k = (size_t)p->k,
                                          .normalize = p->normalize,
                                          .logits = run->in[ROUTER]->data,
                                          .share = scratch};
    struct batch b = {
        .run = run, .s = s, .rows = scratch + s->rows_at, .wide = scratch + s->wide_at};

    (void)err;
    if (s->tokens == 0)
        return ACCEL_OK;
    accel_route_experts(run->pool, &routing);
    memset(run->out[0]->data, 0, run->out[0]->size_bytes);
    for (b.expert = 0; b.expert < s->experts; b.expert++) {
        for (size_t t = 0; t < s->tokens; t++) {
            if (scratch[t * s->experts + b.expert] > 0)
                b.tokens[b.m++] = t;
            if (b.m == s->chunk)
                ask(&b);
        }
        if (b.m > 0)
            ask(&b);
    }
    return ACCEL_OK;
}

static void moe_cost(const struct accel_prepare *prep, struct accel_cost *cost)
{
    const struct moe_params *p = prep->node->params;
    const int64_t *fc1 = prep->in[FC1]->shape.dims, *fc2 = prep->in[FC2]->shape.dims;
    const double tokens = (double)prep->in[ROUTER]->shape.dims[0];

    cost->flops = 2 * tokens * (double)p->k *
                  ((double)fc1[1] * (double)fc1[2] + (double)fc2[1] * (double)fc2[2]);
}

#define F32 ACCEL_T(FLOAT)
#define OPT ACCEL_ARG_OPTIONAL

static const struct accel_attr_rule moe_attrs[] = {{"activation_alpha", ACCEL_ATTR_FLOAT, 0},
                                                   {"activation_beta", ACCEL_ATTR_FLOAT, 0},
                                                   {"activation_type", ACCEL_ATTR_STRING, 0},
                                                   {"k", ACCEL_ATTR_INT, 0},
                                                   {"normalize_routing_weights", ACCEL_ATTR_INT, 0},
                                                   {"swiglu_fusion", ACCEL_ATTR_INT, 0},
                                                   {"swiglu_limit", ACCEL_ATTR_FLOAT, 0},
                                                   {"use_sparse_mixer", ACCEL_ATTR_INT, 0},
                                                   {0}};

const struct accel_op accel_ops_moe[] = {
    {.name = "MoE",
     .domain = "com.microsoft",
     .since = 1,
     .kind = ACCEL_KIND_GEMM,
     .in = {{"input", F32, 'T', 0},
            {"router_probs", F32, 'T', 0},
            {"fc1_experts_weights", F32, 'T', 0},
            {"fc1_experts_bias", F32, 'T', OPT},
            {"fc2_experts_weights", F32, 'T', 0},
            {"fc2_experts_bias", F32, 'T', OPT},
            {"fc3_experts_weights", F32, 'T', OPT},
            {"fc3_experts_bias", F32, 'T', OPT}},
     .out = {{"output", F32, 'T', 0}},
     .attrs = moe_attrs,
     .parse = moe_parse,
     .infer = moe_infer,
     .prepare = moe_prepare,
     .run = moe_run,
     .cost = moe_cost},
    {0},
};
