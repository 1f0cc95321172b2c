/* SPDX-License-Identifier: Apache-2.0 */
/* com.microsoft MoE and QMoE, mixtures of experts: a router chooses k of the experts for each
 * token, each of which is two matrix products with an activation between them, and adds up what
 * they say. As ONNX Runtime's CPU kernels have it: SwiGLU interleaved in one product, no third one.
 * QMoE's experts are of 4 or 8 bits and are made floats on the way: accuracy_level names the least
 * accuracy, float has it (ONNX Runtime multiplies constant matrices of 8 bits in blocks with tokens
 * of 8 bits instead, which is within about a hundredth). */
#include "infer/kernels/experts.h"
#include "infer/ops/elements.h"
#include "infer/ops/wide.h"

#include <inttypes.h>
#include <math.h>

enum { X, ROUTER };

/* Which inputs make up a product of the experts. */
struct layer {
    size_t matrix, bias;
    size_t scales, zeros; /* QMoE */
    int64_t bits;         /* of an element; 0: floats */
};

static const struct layer float_layers[] = {{.matrix = 2, .bias = 3}, {.matrix = 4, .bias = 5}};
static const struct layer packed_layers[] = {{.matrix = 2, .bias = 4, .scales = 3, .zeros = 11},
                                             {.matrix = 5, .bias = 7, .scales = 6, .zeros = 12}};

/* Tokens of one expert that go through it at once: bounds the work space. */
#define CHUNK 256

struct moe_params {
    int64_t k;
    bool normalize, swiglu;
    enum accel_unary_op op; /* without swiglu */
    float alpha, beta, limit;
    struct layer fc[2];
    int64_t block; /* QMoE: elements that share a scale, 0: a row */
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

static int parse_common(const struct accel_node *n, struct accel_bump *mem,
                        struct moe_params **params, struct accel_error *err)
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
    return parse_activation(n, p, err);
}

/* Inputs from..to are none that the CPU kernels take. */
static int refuse(const struct accel_node *n, size_t from, size_t to, const char *what,
                  struct accel_error *err)
{
    for (size_t i = from; i <= to; i++)
        if (accel_given(n, i))
            return accel_fail(err, ACCEL_E_UNSUPPORTED, "input %zu, %s, is not supported", i, what);
    return ACCEL_OK;
}

static int moe_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                     struct accel_error *err)
{
    struct moe_params *p;
    const int rc = parse_common(n, mem, &p, err);

    if (rc != ACCEL_OK)
        return rc;
    *params = p;
    memcpy(p->fc, float_layers, sizeof(p->fc));
    return refuse(n, 6, 7, "a third product", err);
}

static int parse_packing(const struct accel_node *n, struct moe_params *p, struct accel_error *err)
{
    static const char *const names[] = {"fc1_expert_weight_bits", "fc2_expert_weight_bits"};
    const int64_t bits = accel_attr_int(n, "expert_weight_bits", 4);

    memcpy(p->fc, packed_layers, sizeof(p->fc));
    p->block = accel_attr_int(n, "block_size", 0);
    for (size_t i = 0; i < ACCEL_COUNT(p->fc); i++) {
        p->fc[i].bits = accel_attr_int(n, names[i], bits);
        if (p->fc[i].bits != 4 && p->fc[i].bits != 8)
            return accel_fail(err, ACCEL_E_UNSUPPORTED,
                              "expert weights of %" PRId64 " bits, not 4 or 8", p->fc[i].bits);
        if (!accel_given(n, p->fc[i].scales))
            return accel_fail(err, ACCEL_E_INVALID, "input %zu, scales, is missing",
                              p->fc[i].scales);
    }
    if (p->fc[0].bits != p->fc[1].bits)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "fc1 of %" PRId64 " bits and fc2 of %" PRId64,
                          p->fc[0].bits, p->fc[1].bits);
    if (p->block != 0 && (p->block < 16 || p->block > 1 << 20 || (p->block & (p->block - 1)) != 0))
        return accel_fail(err, ACCEL_E_INVALID,
                          "block_size is %" PRId64 ", no power of 2 from 16 on", p->block);
    return ACCEL_OK;
}

static int qmoe_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                      struct accel_error *err)
{
    const char *type = accel_attr_string(n, "quant_type", "int");
    struct moe_params *p;
    int rc = parse_common(n, mem, &p, err);

    if (rc != ACCEL_OK)
        return rc;
    *params = p;
    p->normalize = true; /* whatever the attribute says: the k chosen have the softmax */
    if (strcmp(type, "int") != 0)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "quant_type '%s'", type);
    rc = refuse(n, 8, 10, "a third product", err);
    if (rc == ACCEL_OK)
        rc = refuse(n, 13, 13, "a third product", err);
    if (rc == ACCEL_OK)
        rc = refuse(n, 14, 14, "weights beside the router's", err);
    if (rc == ACCEL_OK)
        rc = refuse(n, 15, 20, "a scale for floating-point weights or activations", err);
    return rc == ACCEL_OK ? parse_packing(n, p, err) : rc;
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

/* Bytes of n elements, or elements themselves; all of them the number of bits fills. */
static int64_t packed(int64_t n, int64_t bits)
{
    return n < 0 || bits == 0 ? n : n / 8 * bits + (n % 8 * bits + 7) / 8;
}

/* What belongs to a product of [n][k] of each expert. */
static int check_layer(const struct accel_infer *in, const struct layer *fc, int64_t experts,
                       int64_t n, int64_t k, struct accel_error *err)
{
    const int64_t block = ((const struct moe_params *)in->node->params)->block;
    const int64_t blocks = block == 0 || k < 0 ? ACCEL_DIM_ANY : k / block;
    const uint32_t rank = block == 0 ? 2 : 3;
    int rc;

    if (fc->bits == 4 && k >= 0 && k % 2 != 0)
        return accel_fail(err, ACCEL_E_INVALID, "rows of %" PRId64 " elements of 4 bits", k);
    if (block > 0 && k >= 0 && k % block != 0)
        return accel_fail(err, ACCEL_E_INVALID,
                          "%" PRId64 " inputs of an expert are no blocks of %" PRId64, k, block);
    rc = accel_infer_expect(in, fc->matrix, 3, (const int64_t[]){experts, n, packed(k, fc->bits)},
                            err);
    if (rc == ACCEL_OK)
        rc = accel_infer_expect(in, fc->bias, 2, (const int64_t[]){experts, n}, err);
    if (rc != ACCEL_OK || fc->bits == 0)
        return rc;
    rc = accel_infer_expect(in, fc->scales, rank, (const int64_t[]){experts, n, blocks}, err);
    if (rc != ACCEL_OK)
        return rc;
    if (block == 0)
        return accel_infer_expect(in, fc->zeros, 2, (const int64_t[]){experts, packed(n, fc->bits)},
                                  err);
    return accel_infer_expect(in, fc->zeros, 3,
                              (const int64_t[]){experts, n, packed(blocks, fc->bits)}, err);
}

/* Inputs of the second product; false: too many. */
static bool inter_of(const struct moe_params *p, const struct accel_shape *fc2, int64_t *inter)
{
    *inter = fc2->dims[2];
    return *inter < 0 || p->fc[1].bits == 0 ||
           !__builtin_mul_overflow(*inter, 8 / p->fc[1].bits, inter);
}

static int moe_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct moe_params *p = in->node->params;
    const struct accel_shape *x = &in->in[X]->shape, *router = &in->in[ROUTER]->shape;
    const struct accel_shape *fc1 = &in->in[p->fc[0].matrix]->shape;
    const struct accel_shape *fc2 = &in->in[p->fc[1].matrix]->shape;
    int64_t tokens, inter, wide = ACCEL_DIM_ANY;

    if (x->rank != 2 && x->rank != 3)
        return accel_fail(err, ACCEL_E_INVALID, "an input of rank %u instead of 2 or 3", x->rank);
    if (router->rank != 2 || fc1->rank != 3 || fc2->rank != 3)
        return accel_fail(err, ACCEL_E_INVALID,
                          "router_probs must be [tokens, experts], fc1 and fc2 [experts, outputs, "
                          "inputs]");
    int rc = tokens_of(x, &tokens, err);
    if (rc != ACCEL_OK)
        return rc;
    const int64_t experts = known_of(router->dims[1], fc1->dims[0]), hidden = x->dims[x->rank - 1];
    if (experts >= 0 && p->k > experts)
        return accel_fail(err, ACCEL_E_INVALID, "k is %" PRId64 " of %" PRId64 " experts", p->k,
                          experts);
    if (hidden == 0)
        return accel_fail(err, ACCEL_E_INVALID, "tokens without elements");
    if (!inter_of(p, fc2, &inter) ||
        (inter >= 0 && __builtin_mul_overflow(inter, p->swiglu ? 2 : 1, &wide)))
        return accel_fail(err, ACCEL_E_INVALID, "the outputs of fc1 overflow");
    rc = accel_infer_expect(in, ROUTER, 2, (const int64_t[]){tokens, experts}, err);
    if (rc == ACCEL_OK)
        rc = check_layer(in, &p->fc[0], experts, wide, hidden, err);
    if (rc == ACCEL_OK)
        rc = check_layer(in, &p->fc[1], experts, hidden, inter, err);
    return rc == ACCEL_OK ? accel_infer_same(in, err) : rc;
}

/* ---------------------------------------------------------------- work space */

/* Sizes, and where in the scratch, in floats, things lie. */
struct moe_state {
    size_t tokens, experts, hidden, inter, wide; /* wide: outputs of fc1 */
    size_t chunk;
    /* shares [tokens][experts]; rows of tokens [chunk][hidden], before and after the experts; what
     * lies between the products [chunk][wide]; an expert's matrix as floats (QMoE); the products'
     * own. Shares are first. */
    size_t rows_at, wide_at, matrix_at, products_at;
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
    const struct moe_params *p = prep->node->params;
    const struct accel_shape *x = &prep->in[X]->shape;
    const struct accel_shape *fc1 = &prep->in[p->fc[0].matrix]->shape;
    const struct accel_shape *fc2 = &prep->in[p->fc[1].matrix]->shape;
    int64_t inter;
    struct moe_state *s = accel_prepare_state(prep, sizeof(*s), err);
    size_t at = 0, products;

    if (s == NULL)
        return ACCEL_E_NOMEM;
    if (!inter_of(p, fc2, &inter))
        return accel_fail(err, ACCEL_E_INVALID, "the inputs of fc2 overflow");
    *s = (struct moe_state){.tokens = accel_dims_product(x->dims, 0, x->rank - 1),
                            .experts = (size_t)fc1->dims[0],
                            .wide = (size_t)fc1->dims[1],
                            .hidden = (size_t)fc2->dims[1],
                            .inter = (size_t)inter};
    s->chunk = ACCEL_MIN(s->tokens, (size_t)CHUNK);
    bool fits = take(&at, s->tokens, s->experts);
    s->rows_at = at;
    fits = fits && take(&at, s->chunk, s->hidden);
    s->wide_at = at;
    fits = fits && take(&at, s->chunk, s->wide);
    s->matrix_at = at;
    if (p->fc[0].bits != 0)
        fits = fits && take(&at, s->hidden, s->wide); /* wide is no less than inter */
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

/* The matrix [n][k] of the batch's expert. */
static const float *matrix_of(const struct batch *b, const struct layer *fc, size_t n, size_t k)
{
    const struct accel_run *run = b->run;
    const size_t block = (size_t)((const struct moe_params *)run->node->params)->block;
    const size_t bits = (size_t)fc->bits, blocks = block == 0 ? 1 : k / block;
    float *floats = (float *)run->scratch + b->s->matrix_at;

    if (bits == 0)
        return (const float *)run->in[fc->matrix]->data + b->expert * n * k;
    const size_t zeros =
        block == 0 ? accel_packed_bytes(n, bits) : n * accel_packed_bytes(blocks, bits);
    const struct accel_packed_matrix m = {
        .n = n,
        .k = k,
        .bits = bits,
        .block = block,
        .data = (const uint8_t *)run->in[fc->matrix]->data +
                b->expert * n * accel_packed_bytes(k, bits),
        .scales = (const float *)run->in[fc->scales]->data + b->expert * n * blocks,
        .zeros = accel_given(run->node, fc->zeros)
                     ? (const uint8_t *)run->in[fc->zeros]->data + b->expert * zeros
                     : NULL};
    accel_unpack_matrix_f32(run->pool, &m, floats);
    return floats;
}

/* y[m][n] = a[m][k] times the matrix of the batch's expert, and its bias. */
static void multiply(const struct batch *b, const struct layer *fc, size_t n, size_t k,
                     const float *a, size_t lda, float *y)
{
    struct accel_gemm g = product_of(b->m, n, k);

    g.a = a;
    g.lda = lda;
    g.b = matrix_of(b, fc, n, k);
    if (accel_given(b->run->node, fc->bias))
        g.bias_col = (const float *)b->run->in[fc->bias]->data + b->expert * n;
    g.y = y;
    accel_gemm_f32(b->run->kernels, b->run->pool, &g, (float *)b->run->scratch + b->s->products_at);
}

/* The batch's tokens go through their expert; what comes out counts by its share. */
static void ask(struct batch *b)
{
    const struct moe_params *p = b->run->node->params;
    const struct moe_state *s = b->s;
    const float *x = b->run->in[X]->data, *share = b->run->scratch;
    float *y = b->run->out[0]->data;

    for (size_t i = 0; i < b->m; i++)
        memcpy(b->rows + i * s->hidden, x + b->tokens[i] * s->hidden, s->hidden * sizeof(*x));
    multiply(b, &p->fc[0], s->wide, s->hidden, b->rows, s->hidden, b->wide);
    accel_pool_run(b->run->pool, b->m, 1, activate_rows, b);
    multiply(b, &p->fc[1], s->hidden, s->inter, b->wide, s->wide, b->rows);
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

ACCEL_WIDE(moe, moe_prepare, moe_run)

static void moe_cost(const struct accel_prepare *prep, struct accel_cost *cost)
{
    const struct moe_params *p = prep->node->params;
    const int64_t *fc1 = prep->in[p->fc[0].matrix]->shape.dims;
    const int64_t *fc2 = prep->in[p->fc[1].matrix]->shape.dims;
    const double tokens = (double)prep->in[ROUTER]->shape.dims[0], hidden = (double)fc2[1];
    const double inter = (double)fc2[2] * (p->fc[1].bits == 0 ? 1 : 8.0 / (double)p->fc[1].bits);

    cost->flops = 2 * tokens * (double)p->k * hidden * ((double)fc1[1] + inter);
}

#define F32  ACCEL_T(FLOAT)
#define REAL (F32 | ACCEL_T(FLOAT16))
#define U8   ACCEL_T(UINT8)
#define OPT  ACCEL_ARG_OPTIONAL

#define MOE_ATTRS                                                                               \
    {"activation_alpha", ACCEL_ATTR_FLOAT, 0}, {"activation_beta", ACCEL_ATTR_FLOAT, 0},        \
        {"activation_type", ACCEL_ATTR_STRING, 0}, {"k", ACCEL_ATTR_INT, 0},                    \
        {"normalize_routing_weights", ACCEL_ATTR_INT, 0}, {"swiglu_fusion", ACCEL_ATTR_INT, 0}, \
        {"swiglu_limit", ACCEL_ATTR_FLOAT, 0},                                                  \
    {                                                                                           \
        "use_sparse_mixer", ACCEL_ATTR_INT, 0                                                   \
    }

static const struct accel_attr_rule moe_attrs[] = {MOE_ATTRS, {0}};
static const struct accel_attr_rule qmoe_attrs[] = {
    MOE_ATTRS,
    {"accuracy_level", ACCEL_ATTR_INT, ACCEL_ATTR_IGNORED},
    {"block_size", ACCEL_ATTR_INT, 0},
    {"expert_weight_bits", ACCEL_ATTR_INT, 0},
    {"fc1_expert_weight_bits", ACCEL_ATTR_INT, 0},
    {"fc2_expert_weight_bits", ACCEL_ATTR_INT, 0},
    {"quant_type", ACCEL_ATTR_STRING, 0},
    {"weights_prepacked", ACCEL_ATTR_INT, ACCEL_ATTR_IGNORED},
    {0}};

static const struct accel_arg qmoe_more[] = {
    {"fc2_global_scale", F32, 0, OPT},       {"fc1_act_scale", F32, 0, OPT},
    {"fc2_act_scale", F32, 0, OPT},          {"fc1_act_block_scale", REAL, 'T', OPT},
    {"fc2_act_block_scale", REAL, 'T', OPT}, {0}};

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
    {.name = "QMoE",
     .domain = "com.microsoft",
     .since = 1,
     .kind = ACCEL_KIND_GEMM,
     .in = {{"input", REAL, 'T', 0},
            {"router_probs", REAL, 'T', 0},
            {"fc1_experts_weights", U8, 0, 0},
            {"fc1_scales", REAL, 'T', OPT},
            {"fc1_experts_bias", REAL, 'T', OPT},
            {"fc2_experts_weights", U8, 0, 0},
            {"fc2_scales", REAL, 'T', OPT},
            {"fc2_experts_bias", REAL, 'T', OPT},
            {"fc3_experts_weights", U8, 0, OPT},
            {"fc3_scales", REAL, 'T', OPT},
            {"fc3_experts_bias", REAL, 'T', OPT},
            {"fc1_zero_points", U8, 0, OPT},
            {"fc2_zero_points", U8, 0, OPT},
            {"fc3_zero_points", U8, 0, OPT},
            {"router_weights", REAL, 'T', OPT},
            {"fc1_global_scale", F32, 0, OPT}},
     .in_more = qmoe_more,
     .out = {{"output", REAL, 'T', 0}},
     .attrs = qmoe_attrs,
     .parse = qmoe_parse,
     .infer = moe_infer,
     .prepare = moe_wide_prepare,
     .run = moe_wide_run,
     .cost = moe_cost},
    {0},
};
