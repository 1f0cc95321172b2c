/* SPDX-License-Identifier: Apache-2.0 */
/* com.microsoft MatMulNBits: a product with a constant matrix of 2, 4 or 8 bit numbers, which are
 * made floats when the model is packed. accuracy_level names the least accuracy: float has it. */
#include "infer/kernels/kernels.h"
#include "infer/ops/elements.h"

#include <inttypes.h>

enum { A, B, SCALES, ZEROS, GROUPS, BIAS };

struct nbits_params {
    size_t k, n, block, bits, blocks; /* blocks: of a column */
};

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
        return accel_fail(err, ACCEL_E_INVALID, "a matrix of %" PRId64 " by %" PRId64, k, columns);
    if (bits != 2 && bits != 4 && bits != 8)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "%" PRId64 " bits", bits);
    if (block < 16 || block > 1 << 20 || (block & (block - 1)) != 0)
        return accel_fail(err, ACCEL_E_INVALID, "block_size is %" PRId64, block);
    if (accel_attr_int(n, "weight_prepacked", 0) != 0)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "weight_prepacked");
    if (accel_given(n, GROUPS))
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "g_idx");
    *p = (struct nbits_params){.k = (size_t)k,
                               .n = (size_t)columns,
                               .block = (size_t)block,
                               .bits = (size_t)bits,
                               .blocks = (size_t)((k + block - 1) / block)};
    return ACCEL_OK;
}

/* Bytes of a column's packed zero points. */
static size_t zeros_of_column(const struct nbits_params *p)
{
    return (p->blocks * p->bits + 7) / 8;
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

static int nbits_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct nbits_params *p = in->node->params;
    struct accel_shape y = in->in[A]->shape;
    const bool packed = accel_given(in->node, ZEROS) && in->in[ZEROS]->dtype == ACCEL_DTYPE_UINT8;
    for (size_t i = B; i <= ZEROS; i++)
        if (accel_given(in->node, i) && in->node->inputs[i]->data == NULL)
            return accel_fail(err, ACCEL_E_UNSUPPORTED, "input %zu is no constant", i);
    int rc = check_count(in, B, p->n * p->blocks * (p->block * p->bits / 8), err);

    if (rc == ACCEL_OK)
        rc = check_count(in, SCALES, p->n * p->blocks, err);
    if (rc == ACCEL_OK)
        rc = check_count(in, ZEROS, p->n * (packed ? zeros_of_column(p) : p->blocks), err);
    if (rc == ACCEL_OK)
        rc = check_count(in, BIAS, p->n, err);
    if (rc != ACCEL_OK)
        return rc;
    if (y.rank < 1 || (y.dims[y.rank - 1] >= 0 && y.dims[y.rank - 1] != (int64_t)p->k))
        return accel_fail(err, ACCEL_E_INVALID, "the last axis of A must have %zu elements", p->k);
    y.dims[y.rank - 1] = (int64_t)p->n;
    in->out[0]->dtype = in->in[A]->dtype;
    in->out[0]->shape = y;
    return ACCEL_OK;
}

/* Number i of a row of so many bits each, the first in the lowest bits. */
static unsigned bits_at(const uint8_t *bytes, size_t bits, size_t i)
{
    const size_t at = i * bits;

    return (unsigned)bytes[at / 8] >> at % 8 & ((1u << bits) - 1);
}

/* Column j as k floats. */
static void unpack(const struct nbits_params *p, const uint8_t *b, const float *scales,
                   const struct accel_tensor *zeros, size_t j, float *y)
{
    const uint8_t *column = b + j * p->blocks * (p->block * p->bits / 8);

    for (size_t i = 0; i < p->k; i++) {
        const size_t block = i / p->block;
        float zero = (float)(1u << (p->bits - 1));

        if (zeros != NULL && zeros->dtype == ACCEL_DTYPE_UINT8)
            zero = (float)bits_at((const uint8_t *)zeros->data + j * zeros_of_column(p), p->bits,
                                  block);
        else if (zeros != NULL)
            zero = ((const float *)zeros->data)[j * p->blocks + block];
        /* A block begins at a byte: its bits are a multiple of 8. */
        y[i] = ((float)bits_at(column, p->bits, i) - zero) * scales[j * p->blocks + block];
    }
}

static int nbits_prepack(struct accel_prepack *pack, struct accel_error *err)
{
    const struct nbits_params *p = pack->node->params;
    const struct accel_tensor *b = accel_prepack_input(pack, B);
    const struct accel_tensor *scales = accel_prepack_input(pack, SCALES);
    const struct accel_tensor *zeros =
        accel_given(pack->node, ZEROS) ? accel_prepack_input(pack, ZEROS) : NULL;
    size_t bytes, floats;
    void *blob;
    bool fill;

    int rc = accel_gemm_f32_packed_b_bytes(pack->kernels, p->k, p->n, &bytes, err);
    if (rc == ACCEL_OK)
        rc = accel_prepack_blob(pack, 0, bytes, &blob, &fill, err);
    pack->consumed = 1u << B | 1u << SCALES | 1u << ZEROS;
    if (rc != ACCEL_OK || !fill)
        return rc;
    if (__builtin_mul_overflow(p->n, p->k, &floats))
        return accel_fail(err, ACCEL_E_INVALID, "its matrix overflows");
    ACCEL_CLEANUP(accel_freep) float *whole = accel_calloc(floats, sizeof(*whole));
    if (whole == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to unpack its weights");
    for (size_t j = 0; j < p->n; j++)
        unpack(p, b->data, scales->data, zeros, j, whole + j * p->k);
    accel_gemm_f32_pack_b(pack->kernels, p->k, p->n, whole, p->k, true, blob);
    return ACCEL_OK;
}

static int nbits_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    const struct nbits_params *p = prep->node->params;
    const struct accel_shape *a = &prep->in[A]->shape;
    struct accel_gemm *g = accel_bump_alloc(prep->mem, 1, sizeof(*g));

    if (g == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to prepare it");
    prep->state = g;
    *g = (struct accel_gemm){.m = accel_dims_product(a->dims, 0, a->rank - 1),
                             .n = p->n,
                             .k = p->k,
                             .lda = p->k,
                             .packed_b = prep->blobs[0],
                             .ldy = p->n,
                             .alpha = 1};
    if (g->m == 0)
        return ACCEL_OK;
    return accel_gemm_f32_scratch_bytes(prep->kernels, g, prep->threads, &prep->scratch_bytes, err);
}

static int nbits_run(struct accel_run *run, struct accel_error *err)
{
    struct accel_gemm g = *(const struct accel_gemm *)run->state;

    (void)err;
    if (g.m == 0)
        return ACCEL_OK;
    g.a = run->in[A]->data;
    g.y = run->out[0]->data;
    g.bias_col = accel_given(run->node, BIAS) ? run->in[BIAS]->data : NULL;
    accel_gemm_f32(run->kernels, run->pool, &g, run->scratch);
    return ACCEL_OK;
}

static void nbits_cost(const struct accel_prepare *prep, struct accel_cost *cost)
{
    const struct nbits_params *p = prep->node->params;
    size_t elements = 0;

    accel_shape_elements(&prep->out[0]->shape, &elements);
    cost->flops = 2.0 * (double)elements * (double)p->k;
}

#define F32 ACCEL_T(FLOAT)
#define OPT ACCEL_ARG_OPTIONAL

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
     .in = {{"A", F32, 'T', 0},
            {"B", ACCEL_T(UINT8), 0, ACCEL_ARG_CONSTANT},
            {"scales", F32, 'T', ACCEL_ARG_CONSTANT},
            {"zero_points", ACCEL_T(UINT8) | F32, 0, OPT | ACCEL_ARG_CONSTANT},
            {"g_idx", ACCEL_T(INT32), 0, OPT},
            {"bias", F32, 'T', OPT}},
     .out = {{"Y", F32, 'T', 0}},
     .attrs = attrs,
     .parse = nbits_parse,
     .infer = nbits_infer,
     .prepack = nbits_prepack,
     .prepare = nbits_prepare,
     .run = nbits_run,
     .cost = nbits_cost},
    {0},
};
