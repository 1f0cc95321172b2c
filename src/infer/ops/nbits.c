/* SPDX-License-Identifier: Apache-2.0 */
/* com.microsoft MatMulNBits, MatMulBnb4 and MatMulFpQ4: products with a matrix of few bits,
 * which is made floats when the model is packed where it is constant, else on
 * the way. accuracy_level names the least accuracy: float has it. */
#include "infer/graph/half.h"
#include "infer/kernels/kernels.h"
#include "infer/ops/elements.h"
#include "infer/ops/matmul.h"
#include "infer/ops/wide.h"

#include <inttypes.h>
#include <string.h>

enum { A, B, SCALES, ZEROS, GROUPS, BIAS }; /* MatMulBnb4: the first three */
enum { B_SHAPE = SCALES };                  /* of MatMulFpQ4 */

enum kind { NBITS, FP4, NF4, Q4, Q4_ZERO };

struct nbits_params {
    enum kind kind;
    size_t k, n, block, bits, blocks; /* blocks: of a column, or in all (MatMulBnb4) */
};

/* Is it MatMulFpQ4? What its node says of the sizes is an input then, B_shape. */
static bool is_q4(const struct nbits_params *p)
{
    return p->kind == Q4 || p->kind == Q4_ZERO;
}

/* Bytes of a block of MatMulFpQ4: its scale, its zero point if it has one, 32 times 4 bits. */
static size_t q4_bytes(const struct nbits_params *p)
{
    return sizeof(float) + (p->kind == Q4_ZERO) + p->block / 2;
}

static int nbits_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                       struct accel_error *err)
{
    const int64_t k = accel_attr_int(n, "K", 0), columns = accel_attr_int(n, "N", 0);
    const int64_t bits = accel_attr_int(n, "bits", 4), block = accel_attr_int(n, "block_size", 0);
    struct nbits_params *p = accel_bump_alloc(mem, 1, sizeof(*p));

    if (p == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its attributes");
    *params = p;
    if (k < 1 || columns < 1 || k > INT32_MAX || columns > INT32_MAX)
        return accel_fail(err, ACCEL_E_INVALID,
                          "K is %" PRId64 ", N %" PRId64 ": both must be 1 to %d", k, columns,
                          INT32_MAX);
    if (bits != 2 && bits != 4 && bits != 8)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "bits is %" PRId64 ", not 2, 4 or 8", bits);
    if (block < 16 || block > 1 << 20 || (block & (block - 1)) != 0)
        return accel_fail(err, ACCEL_E_INVALID,
                          "block_size is %" PRId64 ", no power of 2 from 16 to %d", block, 1 << 20);
    if (accel_attr_int(n, "weight_prepacked", 0) != 0)
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          "weight_prepacked is not supported, export with 0");
    *p = (struct nbits_params){.k = (size_t)k,
                               .n = (size_t)columns,
                               .block = (size_t)block,
                               .bits = (size_t)bits,
                               .blocks = (size_t)((k + block - 1) / block)};
    return ACCEL_OK;
}

static int bnb4_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                      struct accel_error *err)
{
    const int64_t k = accel_attr_int(n, "K", 0), columns = accel_attr_int(n, "N", 0);
    const int64_t type = accel_attr_int(n, "quant_type", 0);
    const int64_t block = accel_attr_int(n, "block_size", 0);
    struct nbits_params *p = accel_bump_alloc(mem, 1, sizeof(*p));

    if (p == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its attributes");
    *params = p;
    if (k < 1 || columns < 1 || k > INT32_MAX || columns > INT32_MAX)
        return accel_fail(err, ACCEL_E_INVALID,
                          "K is %" PRId64 ", N %" PRId64 ": both must be 1 to %d", k, columns,
                          INT32_MAX);
    if (type != 0 && type != 1)
        return accel_fail(err, ACCEL_E_INVALID, "quant_type is %" PRId64 ", not 0 (FP4) or 1 (NF4)",
                          type);
    if (block < 16 || block > 1 << 20 || (block & (block - 1)) != 0)
        return accel_fail(err, ACCEL_E_INVALID,
                          "block_size is %" PRId64 ", no power of 2 from 16 to %d", block, 1 << 20);
    if (accel_attr_int(n, "transB", 1) != 1)
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          "transB 0 is not supported: B has to be [N, K]");
    *p = (struct nbits_params){.kind = type == 1 ? NF4 : FP4,
                               .k = (size_t)k,
                               .n = (size_t)columns,
                               .block = (size_t)block,
                               .bits = 4,
                               .blocks =
                                   ((size_t)(k * columns) + (size_t)block - 1) / (size_t)block};
    return ACCEL_OK;
}

/* ONNX Runtime's types of blocks: 0 without, all others with a zero point. */
static int q4_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                    struct accel_error *err)
{
    struct nbits_params *p = accel_bump_alloc(mem, 1, sizeof(*p));

    if (p == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its attributes");
    *p = (struct nbits_params){
        .kind = accel_attr_int(n, "blk_quant_type", 1) == 0 ? Q4 : Q4_ZERO, .block = 32, .bits = 4};
    *params = p;
    return ACCEL_OK;
}

/* Completes *p of MatMulFpQ4 by what B_shape says. */
static int q4_sizes(struct nbits_params *p, const int64_t *b_shape, struct accel_error *err)
{
    if (b_shape[0] < 1 || b_shape[1] < 1 || b_shape[0] > INT32_MAX || b_shape[1] > INT32_MAX)
        return accel_fail(err, ACCEL_E_INVALID,
                          "input 2 'B_shape' says a matrix of %" PRId64 " by %" PRId64, b_shape[0],
                          b_shape[1]);
    p->k = (size_t)b_shape[0];
    p->n = (size_t)b_shape[1];
    p->blocks = (p->k + p->block - 1) / p->block;
    return ACCEL_OK;
}

/* Bytes of a column's packed zero points. */
static size_t zeros_of_column(const struct nbits_params *p)
{
    return (p->blocks * p->bits + 7) / 8;
}

/* Bytes of B. */
static size_t b_bytes(const struct nbits_params *p)
{
    if (is_q4(p))
        return p->n * p->blocks * q4_bytes(p);
    return p->kind == NBITS ? p->n * p->blocks * (p->block * p->bits / 8) : (p->n * p->k + 1) / 2;
}

/* Input i has `count` elements, whatever its shape. */
static int check_count(const struct accel_infer *in, size_t i, size_t count,
                       struct accel_error *err)
{
    size_t has;

    if (accel_given(in->node, i) && accel_shape_static(&in->in[i]->shape) &&
        (!accel_shape_elements(&in->in[i]->shape, &has) || has != count))
        return accel_fail(err, ACCEL_E_INVALID, "input %zu must have %zu elements", i, count);
    return ACCEL_OK;
}

/* The matrix of MatMulNBits and what belongs to it. */
static int check_nbits(const struct accel_infer *in, struct accel_error *err)
{
    const struct nbits_params *p = in->node->params;
    const bool zeros = accel_given(in->node, ZEROS);
    const bool packed = zeros && in->in[ZEROS]->dtype == ACCEL_DTYPE_UINT8;
    const struct accel_shape *groups =
        accel_given(in->node, GROUPS) ? &in->in[GROUPS]->shape : NULL;
    int rc = check_count(in, B, b_bytes(p), err);

    if (rc == ACCEL_OK && zeros && !packed && in->in[ZEROS]->dtype != in->in[A]->dtype)
        return accel_fail(err, ACCEL_E_INVALID,
                          "zero_points are %s, neither packed nor of A's type",
                          accel_dtype_name(in->in[ZEROS]->dtype));
    if (rc == ACCEL_OK)
        rc = check_count(in, SCALES, p->n * p->blocks, err);
    if (rc == ACCEL_OK)
        rc = check_count(in, ZEROS, p->n * (packed ? zeros_of_column(p) : p->blocks), err);
    if (rc == ACCEL_OK)
        rc = check_count(in, BIAS, p->n, err);
    if (rc == ACCEL_OK && groups != NULL &&
        (groups->rank != 1 || (groups->dims[0] >= 0 && groups->dims[0] != (int64_t)p->k &&
                               groups->dims[0] != (int64_t)(p->blocks * p->block))))
        rc = accel_fail(err, ACCEL_E_INVALID, "g_idx must have an element for each of %zu rows",
                        p->k);
    return rc;
}

static int nbits_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct nbits_params *p = in->node->params;
    struct accel_shape y = in->in[A]->shape;
    int rc;

    if (p->kind == NBITS) {
        rc = check_nbits(in, err);
    } else {
        rc = check_count(in, B, b_bytes(p), err);
        if (rc == ACCEL_OK)
            rc = check_count(in, SCALES, p->blocks, err);
    }
    if (rc != ACCEL_OK)
        return rc;
    if (y.rank < 1 || (y.dims[y.rank - 1] >= 0 && y.dims[y.rank - 1] != (int64_t)p->k))
        return accel_fail(err, ACCEL_E_INVALID, "the last axis of A must have %zu elements", p->k);
    y.dims[y.rank - 1] = (int64_t)p->n;
    in->out[0]->dtype = in->in[A]->dtype;
    in->out[0]->shape = y;
    return ACCEL_OK;
}

/* The sizes of this node's matrix; *known false, of MatMulFpQ4: not yet. */
static int sizes_of(const struct accel_infer *in, struct nbits_params *p, bool *known,
                    struct accel_error *err)
{
    int64_t b_shape[2] = {0};
    size_t count = 2;

    *p = *(const struct nbits_params *)in->node->params;
    *known = !is_q4(p) || accel_infer_ints(in, B_SHAPE, b_shape, 2, &count);
    return is_q4(p) && *known ? q4_sizes(p, b_shape, err) : ACCEL_OK;
}

static int q4_infer(struct accel_infer *in, struct accel_error *err)
{
    const int64_t two = 2;
    struct accel_shape b = {.has_rank = true, .rank = 2, .dims = {ACCEL_DIM_ANY, ACCEL_DIM_ANY}};
    int64_t bytes = ACCEL_DIM_ANY, rows, columns;
    struct nbits_params p;
    bool known;
    int rc = accel_infer_expect(in, B_SHAPE, 1, &two, err);

    if (rc == ACCEL_OK)
        rc = sizes_of(in, &p, &known, err);
    if (rc != ACCEL_OK)
        return rc;
    if (known) {
        b.dims[0] = (int64_t)p.k;
        b.dims[1] = (int64_t)p.n;
        bytes = (int64_t)b_bytes(&p);
    }
    rc = accel_infer_expect(in, B, 1, &bytes, err);
    if (rc != ACCEL_OK)
        return rc;
    in->out[0]->dtype = ACCEL_DTYPE_FLOAT;
    return accel_matmul_shape(&in->in[A]->shape, &b, &in->out[0]->shape, &rows, &columns, err);
}

/* Where the numbers of a matrix come from: inputs, or constants that are
 * packed. */
struct source {
    const struct nbits_params *p;
    const uint8_t *b;
    const struct accel_tensor *scales, *zeros, *groups; /* of the last two NULL: none */
    float *y;                                           /* [n][k] */
};

static float value_at(const struct accel_tensor *t, size_t i)
{
    return t->dtype == ACCEL_DTYPE_FLOAT16 ? accel_half_to_float(((const uint16_t *)t->data)[i])
                                           : ((const float *)t->data)[i];
}

/* Number i of a row of so many bits each, the first in the lowest bits. */
static unsigned bits_at(const uint8_t *bytes, size_t bits, size_t i)
{
    const size_t at = i * bits;

    return (unsigned)bytes[at / 8] >> at % 8 & ((1u << bits) - 1);
}

/* With g_idx ONNX Runtime hears of no packed zero points, but of those of A's type. */
static float zero_at(const struct source *s, size_t j, size_t block)
{
    const struct nbits_params *p = s->p;

    if (s->zeros == NULL || (s->groups != NULL && s->zeros->dtype == ACCEL_DTYPE_UINT8))
        return (float)(1u << (p->bits - 1));
    if (s->zeros->dtype != ACCEL_DTYPE_UINT8)
        return value_at(s->zeros, j * p->blocks + block);
    return (float)bits_at((const uint8_t *)s->zeros->data + j * zeros_of_column(p), p->bits, block);
}

static void unpack_nbits(const struct source *s, size_t j, float *y)
{
    const struct nbits_params *p = s->p;
    const uint8_t *column = s->b + j * p->blocks * (p->block * p->bits / 8);

    for (size_t i = 0; i < p->k; i++) {
        const size_t block =
            s->groups != NULL ? (size_t)((const int32_t *)s->groups->data)[i] : i / p->block;

        /* A block begins at a byte: its bits are a multiple of 8. */
        y[i] = ((float)bits_at(column, p->bits, i) - zero_at(s, j, block)) *
               value_at(s->scales, j * p->blocks + block);
    }
}

/* The numbers that four bits stand for in bitsandbytes: FP4, of one sign, and
 * NF4, the quantiles of a normal distribution (Dettmers and others, QLoRA,
 * arXiv:2305.14314, appendix E). */
static const float fp4[8] = {0, 1.0f / 192, 2.0f / 3, 1, 1.0f / 3, 1.0f / 2, 1.0f / 6, 1.0f / 4};
static const float nf4[16] = {-1.0f,         -0.696192801f, -0.525073051f,  -0.394917488f,
                              -0.284441382f, -0.184773430f, -0.0910500363f, 0.0f,
                              0.0795802996f, 0.160930201f,  0.246112302f,   0.337915242f,
                              0.440709829f,  0.562617004f,  0.722956836f,   1.0f};

/* Columns follow one another without a gap, in blocks that do not mind where
 * one ends. */
static void unpack_bnb4(const struct source *s, size_t j, float *y)
{
    const struct nbits_params *p = s->p;

    for (size_t i = 0; i < p->k; i++) {
        const size_t at = j * p->k + i;
        const unsigned code = (unsigned)s->b[at / 2] >> (at % 2 == 0 ? 4 : 0) & 15;
        const float v = p->kind == NF4 ? nf4[code] : code < 8 ? fp4[code] : -fp4[code - 8];

        y[i] = v * value_at(s->scales, at / p->block);
    }
}

/* A block's first half is in the lower four bits of its bytes. ONNX Runtime takes the zero point
 * away in eight bits, which wrap around where it is none of four. */
static void unpack_q4(const struct source *s, size_t j, float *y)
{
    const struct nbits_params *p = s->p;
    const size_t bytes = q4_bytes(p), half = p->block / 2;

    for (size_t i = 0; i < p->k; i++) {
        const size_t at = i % p->block;
        const uint8_t *block = s->b + (j * p->blocks + i / p->block) * bytes;
        const unsigned zero = p->kind == Q4_ZERO ? block[sizeof(float)] : 8;
        const unsigned code = block[bytes - half + at % half] >> (at < half ? 0 : 4) & 15;
        float scale;

        memcpy(&scale, block, sizeof(scale));
        y[i] = (float)(int8_t)(uint8_t)(code - zero) * scale;
    }
}

static void unpack_columns(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct source *s = context;

    (void)thread;
    for (size_t j = begin; j < end; j++)
        (is_q4(s->p)           ? unpack_q4
         : s->p->kind == NBITS ? unpack_nbits
                               : unpack_bnb4)(s, j, s->y + j * s->p->k);
}

/* What g_idx says: the block of each of the K rows. */
static int check_groups(const struct source *s, struct accel_error *err)
{
    for (size_t i = 0; s->groups != NULL && i < s->p->k; i++) {
        const int32_t block = ((const int32_t *)s->groups->data)[i];

        if (block < 0 || (size_t)block >= s->p->blocks)
            return accel_fail(err, ACCEL_E_INVALID, "g_idx[%zu] is %d of %zu blocks", i, block,
                              s->p->blocks);
    }
    return ACCEL_OK;
}

static bool has(const struct accel_tensor *t, size_t count)
{
    return t == NULL || accel_dims_product(t->dims, 0, t->rank) == count;
}

/* Have the constants as many elements as the matrix needs? Where A's rank is not known, nobody has
 * asked yet. */
static bool constants_fit(const struct nbits_params *p, const struct accel_tensor *const *t)
{
    if (!has(t[B], b_bytes(p)))
        return false;
    if (p->kind != NBITS)
        return is_q4(p) || has(t[SCALES], p->blocks);
    const bool packed = t[ZEROS] != NULL && t[ZEROS]->dtype == ACCEL_DTYPE_UINT8;

    return has(t[SCALES], p->n * p->blocks) &&
           has(t[ZEROS], p->n * (packed ? zeros_of_column(p) : p->blocks)) &&
           (has(t[GROUPS], p->k) || has(t[GROUPS], p->blocks * p->block));
}

/* When all of the matrix is constant. What is of halves stays where it is: ACCEL_WIDE reads it. */
static int nbits_prepack(struct accel_prepack *pack, struct accel_error *err)
{
    struct nbits_params sizes = *(const struct nbits_params *)pack->node->params, *p = &sizes;
    const size_t last = p->kind == NBITS ? GROUPS : SCALES;
    const struct accel_tensor *t[GROUPS + 1] = {0};
    size_t bytes, floats;
    unsigned consumed = 0;
    void *blob;
    bool fill;
    int rc = ACCEL_OK;

    for (size_t i = B; i <= last; i++) {
        if (!accel_given(pack->node, i))
            continue;
        t[i] = accel_prepack_input(pack, i);
        if (t[i] == NULL)
            return ACCEL_OK;
        if (t[i]->dtype != ACCEL_DTYPE_FLOAT16 && t[i]->dtype != ACCEL_DTYPE_INT64)
            consumed |= 1u << i;
    }
    if (is_q4(p) && !has(t[B_SHAPE], 2))
        return ACCEL_OK;
    if (is_q4(p))
        rc = q4_sizes(p, t[B_SHAPE]->data, err);
    if (rc != ACCEL_OK || !constants_fit(p, t))
        return rc;
    pack->consumed = consumed;
    rc = accel_gemm_f32_packed_b_bytes(pack->kernels, p->k, p->n, &bytes, err);
    if (rc == ACCEL_OK)
        rc = accel_prepack_blob(pack, 0, bytes, &blob, &fill, err);
    if (rc != ACCEL_OK || !fill)
        return rc;
    if (__builtin_mul_overflow(p->n, p->k, &floats))
        return accel_fail(err, ACCEL_E_INVALID, "its matrix overflows");
    ACCEL_CLEANUP(accel_freep)
    float *whole = accel_calloc(floats, sizeof(*whole));
    if (whole == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to unpack its weights");
    struct source source = {p, t[B]->data, t[SCALES], t[ZEROS], t[GROUPS], whole};
    rc = check_groups(&source, err);
    if (rc != ACCEL_OK)
        return rc;
    unpack_columns(&source, 0, p->n, 0);
    accel_gemm_f32_pack_b(pack->kernels, p->k, p->n, whole, p->k, true, blob);
    return ACCEL_OK;
}

struct nbits_state {
    struct nbits_params p;
    struct accel_gemm gemm;
    size_t matrix_bytes; /* of the scratch: the matrix in floats, where it is not
                            packed */
};

static int nbits_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    static const float none[1];
    const struct accel_infer in = {.node = prep->node, .in = prep->in, .mem = prep->mem};
    const struct accel_shape *a = &prep->in[A]->shape;
    struct nbits_state *s = accel_prepare_state(prep, sizeof(*s), err);
    size_t values, bytes = 0;
    bool known;

    if (s == NULL)
        return ACCEL_E_NOMEM;
    int rc = sizes_of(&in, &s->p, &known, err);
    if (rc != ACCEL_OK)
        return rc;
    if (!known)
        return accel_fail(err, ACCEL_E_INVALID, "input 2 'B_shape' is not known");
    const struct nbits_params *p = &s->p;
    s->gemm = (struct accel_gemm){.m = accel_dims_product(a->dims, 0, a->rank - 1),
                                  .n = p->n,
                                  .k = p->k,
                                  .lda = p->k,
                                  .packed_b = prep->blobs[0],
                                  .b = prep->blobs[0] == NULL ? none : NULL,
                                  .ldb = p->k,
                                  .trans_b = prep->blobs[0] == NULL,
                                  .ldy = p->n,
                                  .alpha = 1};
    if (s->gemm.m == 0)
        return ACCEL_OK;
    if (prep->blobs[0] == NULL &&
        (__builtin_mul_overflow(p->n, p->k, &values) || values > SIZE_MAX / sizeof(float) - 64))
        return accel_fail(err, ACCEL_E_INVALID, "its matrix overflows");
    if (prep->blobs[0] == NULL)
        s->matrix_bytes = ACCEL_ROUND_UP(values * sizeof(float), 64);
    rc = accel_gemm_f32_scratch_bytes(prep->kernels, &s->gemm, prep->threads, &bytes, err);
    if (rc == ACCEL_OK && __builtin_add_overflow(bytes, s->matrix_bytes, &prep->scratch_bytes))
        return accel_fail(err, ACCEL_E_INVALID, "its work space overflows");
    return rc;
}

static const struct accel_tensor *optional(const struct accel_run *run, size_t i)
{
    return accel_given(run->node, i) ? run->in[i] : NULL;
}

static int nbits_run(struct accel_run *run, struct accel_error *err)
{
    const struct nbits_state *s = run->state;
    const struct nbits_params *p = &s->p;
    struct accel_gemm g = s->gemm;

    if (g.m == 0)
        return ACCEL_OK;
    if (g.packed_b == NULL) {
        struct source source = {p, run->in[B]->data, run->in[SCALES], NULL, NULL, run->scratch};

        if (p->kind == NBITS) {
            source.zeros = optional(run, ZEROS);
            source.groups = optional(run, GROUPS);
        }
        if (check_groups(&source, err) != ACCEL_OK)
            return ACCEL_E_INVALID;
        accel_pool_run(run->pool, p->n, 8, unpack_columns, &source);
        g.b = source.y;
    }
    g.a = run->in[A]->data;
    g.y = run->out[0]->data;
    if (p->kind == NBITS && accel_given(run->node, BIAS))
        g.bias_col = run->in[BIAS]->data;
    accel_gemm_f32(run->kernels, run->pool, &g, (char *)run->scratch + s->matrix_bytes);
    return ACCEL_OK;
}

ACCEL_WIDE(nbits, nbits_prepare, nbits_run)

static void nbits_cost(const struct accel_prepare *prep, struct accel_cost *cost)
{
    const struct accel_shape *a = &prep->in[A]->shape;
    size_t elements = 0;

    accel_shape_elements(&prep->out[0]->shape, &elements);
    cost->flops = 2.0 * (double)elements * (double)a->dims[a->rank - 1];
}

#define F32  ACCEL_T(FLOAT)
#define REAL (F32 | ACCEL_T(FLOAT16))
#define OPT  ACCEL_ARG_OPTIONAL

static const struct accel_attr_rule bnb4_attrs[] = {
    {"K", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED},
    {"N", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED},
    {"block_size", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED},
    {"quant_type", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED},
    {"training_mode", ACCEL_ATTR_INT, ACCEL_ATTR_IGNORED},
    {"transB", ACCEL_ATTR_INT, 0},
    {0}};
static const struct accel_attr_rule q4_attrs[] = {{"blk_quant_type", ACCEL_ATTR_INT, 0}, {0}};
static const struct accel_attr_rule attrs[] = {{"K", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED},
                                               {"N", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED},
                                               {"accuracy_level", ACCEL_ATTR_INT,
                                                ACCEL_ATTR_IGNORED},
                                               {"bits", ACCEL_ATTR_INT, 0},
                                               {"block_size", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED},
                                               {"weight_prepacked", ACCEL_ATTR_INT, 0},
                                               {0}};

const struct accel_op accel_ops_nbits[] = {
    {.name = "MatMulNBits",
     .domain = "com.microsoft",
     .since = 1,
     .kind = ACCEL_KIND_GEMM,
     .in = {{"A", REAL, 'T', 0},
            {"B", ACCEL_T(UINT8), 0, 0},
            {"scales", REAL, 'T', 0},
            {"zero_points", ACCEL_T(UINT8) | REAL, 0, OPT},
            {"g_idx", ACCEL_T(INT32), 0, OPT},
            {"bias", REAL, 'T', OPT}},
     .out = {{"Y", REAL, 'T', 0}},
     .attrs = attrs,
     .parse = nbits_parse,
     .infer = nbits_infer,
     .prepack = nbits_prepack,
     .prepare = nbits_wide_prepare,
     .run = nbits_wide_run,
     .cost = nbits_cost},
    {.name = "MatMulBnb4",
     .domain = "com.microsoft",
     .since = 1,
     .kind = ACCEL_KIND_GEMM,
     .in = {{"A", F32, 'T', 0}, {"B", ACCEL_T(UINT8), 0, 0}, {"absmax", F32, 'T', 0}},
     .out = {{"Y", F32, 'T', 0}},
     .attrs = bnb4_attrs,
     .parse = bnb4_parse,
     .infer = nbits_infer,
     .prepack = nbits_prepack,
     .prepare = nbits_prepare,
     .run = nbits_run,
     .cost = nbits_cost},
    {.name = "MatMulFpQ4",
     .domain = "com.microsoft",
     .since = 1,
     .kind = ACCEL_KIND_GEMM,
     .in = {{"A", F32, 0, 0}, {"B", ACCEL_T(UINT8), 0, 0}, {"B_shape", ACCEL_T(INT64), 0, 0}},
     .out = {{"Y", F32, 0, 0}},
     .attrs = q4_attrs,
     .parse = q4_parse,
     .infer = q4_infer,
     .prepack = nbits_prepack,
     .prepare = nbits_prepare,
     .run = nbits_run,
     .cost = nbits_cost},
    {0},
};
