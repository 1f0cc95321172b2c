/* SPDX-License-Identifier: Apache-2.0 */
/* com.microsoft GatherBlockQuantized: Gather of a table in few bits, of which
 * only what is asked for becomes floats. Along one axis of the table a block of
 * elements shares a scale and a zero point. UINT8 of 4 and 2 bits packs
 * neighbours on the last axis into a byte, the first in the lowest bits. */
#include "infer/graph/half.h"
#include "infer/kernels/quant.h"
#include "infer/kernels/small.h"
#include "infer/ops/elements.h"

#include <inttypes.h>
#include <string.h>

enum { DATA, INDICES, SCALES, ZEROS };

struct gather_params {
    int64_t gather, quantize; /* axes as they are given */
    size_t block;             /* 0: all of the axis */
    unsigned bits;            /* of UINT8 */
};

static int gather_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                        struct accel_error *err)
{
    const int64_t block = accel_attr_int(n, "block_size", 128), bits = accel_attr_int(n, "bits", 4);
    struct gather_params *p = accel_bump_alloc(mem, 1, sizeof(*p));

    if (p == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its attributes");
    *params = p;
    if (block != 0 && (block < 16 || block > INT32_MAX || (block & (block - 1)) != 0))
        return accel_fail(err, ACCEL_E_INVALID,
                          "block_size is %" PRId64 ", not a power of 2 from 16 on", block);
    if (bits != 2 && bits != 4 && bits != 8)
        return accel_fail(err, ACCEL_E_INVALID, "bits is %" PRId64 ", not 2, 4 or 8", bits);
    *p = (struct gather_params){.gather = accel_attr_int(n, "gather_axis", 0),
                                .quantize = accel_attr_int(n, "quantize_axis", 1),
                                .block = (size_t)block,
                                .bits = (unsigned)bits};
    return ACCEL_OK;
}

/* Elements in a byte of the table. */
static unsigned per_byte(const struct gather_params *p, enum accel_dtype dtype)
{
    return dtype == ACCEL_DTYPE_UINT8 ? 8 / p->bits : 1;
}

/* ---------------------------------------------------------------- shapes */

/* What types and attributes have to do with one another. */
static int check_kind(const struct accel_infer *in, uint32_t gather, uint32_t quantize,
                      struct accel_error *err)
{
    const struct gather_params *p = in->node->params;
    const enum accel_dtype dtype = in->in[DATA]->dtype;
    const bool floats = accel_is_small_float(dtype);

    if (floats && accel_given(in->node, ZEROS))
        return accel_fail(err, ACCEL_E_INVALID, "zero_points go with integers, data are %s",
                          accel_dtype_name(dtype));
    if (!floats && p->block == 0)
        return accel_fail(err, ACCEL_E_INVALID, "block_size is 0, data are %s",
                          accel_dtype_name(dtype));
    if (!floats && dtype != ACCEL_DTYPE_UINT8 && p->bits != 4)
        return accel_fail(err, ACCEL_E_INVALID, "bits is %u, data are %s", p->bits,
                          accel_dtype_name(dtype));
    if (dtype == ACCEL_DTYPE_UINT8 &&
        (gather != 0 || quantize == 0 || quantize != in->in[DATA]->shape.rank - 1))
        return accel_fail(err, ACCEL_E_INVALID,
                          "of uint8 data gather_axis must be 0 and quantize_axis the last");
    return ACCEL_OK;
}

static bool differ(int64_t a, int64_t b)
{
    return a >= 0 && b >= 0 && a != b;
}

static int64_t blocks_of(int64_t n, size_t block)
{
    return n < 0 ? ACCEL_DIM_ANY : block > 0 ? (n + (int64_t)block - 1) / (int64_t)block : 1;
}

/* Scales have the table's shape with blocks for elements on the quantised axis;
 * those of small floats may have 1 on another. Zero points have theirs, packed
 * as the table is. */
static int check_scales(const struct accel_infer *in, uint32_t quantize, struct accel_error *err)
{
    const struct gather_params *p = in->node->params;
    const struct accel_shape *data = &in->in[DATA]->shape, *scales = &in->in[SCALES]->shape;
    const struct accel_shape *zeros = accel_given(in->node, ZEROS) ? &in->in[ZEROS]->shape : NULL;
    const int64_t each = per_byte(p, in->in[DATA]->dtype);
    const bool floats = accel_is_small_float(in->in[DATA]->dtype);

    if (scales->rank != data->rank || (zeros != NULL && zeros->rank != data->rank))
        return accel_fail(err, ACCEL_E_INVALID, "scales or zero_points have not data's rank of %u",
                          data->rank);
    for (uint32_t d = 0; d < data->rank; d++) {
        const int64_t n = data->dims[d];
        const int64_t wanted = d == quantize ? blocks_of(n < 0 ? n : n * each, p->block) : n;
        const int64_t packed = d != quantize || wanted < 0 ? wanted : (wanted + each - 1) / each;

        if (differ(scales->dims[d], wanted) && !(floats && d != quantize && scales->dims[d] == 1))
            return accel_fail(err, ACCEL_E_INVALID,
                              "dimension %u of scales is %" PRId64 " instead of %" PRId64, d,
                              scales->dims[d], wanted);
        if (zeros != NULL && differ(zeros->dims[d], packed))
            return accel_fail(err, ACCEL_E_INVALID,
                              "dimension %u of zero_points is %" PRId64 " instead of %" PRId64, d,
                              zeros->dims[d], packed);
    }
    return ACCEL_OK;
}

static int gather_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct gather_params *p = in->node->params;
    const struct accel_shape *data = &in->in[DATA]->shape, *indices = &in->in[INDICES]->shape;
    const unsigned each = per_byte(p, in->in[DATA]->dtype);
    struct accel_shape *y = &in->out[0]->shape;
    uint32_t gather, quantize;

    int rc = accel_axis(p->gather, data->rank, &gather, err);
    if (rc == ACCEL_OK)
        rc = accel_axis(p->quantize, data->rank, &quantize, err);
    if (rc == ACCEL_OK)
        rc = check_kind(in, gather, quantize, err);
    for (uint32_t d = 0; rc == ACCEL_OK && d < data->rank; d++)
        if (data->dims[d] > INT64_MAX / 8)
            rc = accel_fail(err, ACCEL_E_INVALID, "dimension %u of data overflows", d);
    if (rc == ACCEL_OK)
        rc = check_scales(in, quantize, err);
    if (rc != ACCEL_OK)
        return rc;
    if (data->rank + indices->rank - 1 > ACCEL_RANK_MAX)
        return accel_fail(err, ACCEL_E_LIMIT, "its result has %u dimensions",
                          data->rank + indices->rank - 1);
    in->out[0]->dtype = in->in[SCALES]->dtype;
    *y = (struct accel_shape){.has_rank = true};
    for (uint32_t d = 0; d < gather; d++)
        y->dims[y->rank++] = data->dims[d];
    for (uint32_t d = 0; d < indices->rank; d++)
        y->dims[y->rank++] = indices->dims[d];
    for (uint32_t d = gather + 1; d < data->rank; d++)
        y->dims[y->rank++] = data->dims[d];
    if (each > 1 && y->dims[y->rank - 1] >= 0)
        y->dims[y->rank - 1] *= each;
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- running */

/* The table with its elements unpacked, and how its scales lie under it. */
struct table {
    const struct accel_tensor *data, *scales, *zeros; /* zeros NULL: none */
    unsigned bits;                                    /* of a packed element; 0: one each byte */
    uint32_t rank;
    size_t dims[ACCEL_RANK_MAX], stride[ACCEL_RANK_MAX]; /* in elements */
    size_t scale_stride[ACCEL_RANK_MAX];                 /* 0: repeats */
    uint32_t quantize;
    size_t block, blocks;
};

static void table_of(const struct accel_run *run, struct table *t)
{
    const struct gather_params *p = run->node->params;
    const struct accel_tensor *data = run->in[DATA], *scales = run->in[SCALES];
    const unsigned each = per_byte(p, data->dtype);
    size_t step = 1, scale_step = 1;

    *t = (struct table){.data = data,
                        .scales = scales,
                        .zeros = accel_given(run->node, ZEROS) ? run->in[ZEROS] : NULL,
                        .bits = each > 1 ? p->bits : 0,
                        .rank = data->rank,
                        .quantize =
                            (uint32_t)(p->quantize < 0 ? p->quantize + data->rank : p->quantize)};
    for (uint32_t d = t->rank; d-- > 0;) {
        t->dims[d] = (size_t)data->dims[d] * (d == t->rank - 1 ? each : 1);
        t->stride[d] = step;
        step *= t->dims[d];
        t->scale_stride[d] = scales->dims[d] == 1 ? 0 : scale_step;
        scale_step *= (size_t)scales->dims[d];
    }
    t->block = p->block > 0 ? p->block : ACCEL_MAX(t->dims[t->quantize], (size_t)1);
    t->blocks = (size_t)scales->dims[t->quantize];
}

static float scale_at(const struct table *t, size_t i)
{
    return t->scales->dtype == ACCEL_DTYPE_FLOAT16
               ? accel_half_to_float(((const uint16_t *)t->scales->data)[i])
               : ((const float *)t->scales->data)[i];
}

static unsigned bits_at(const uint8_t *bytes, unsigned bits, size_t i)
{
    return (unsigned)bytes[i * bits / 8] >> i * bits % 8 & ((1u << bits) - 1);
}

/* The zero point that goes with scale number i. Packed ones begin anew in each
 * row of blocks. */
static int32_t zero_at(const struct table *t, const struct gather_params *p, size_t i)
{
    if (t->zeros == NULL)
        return t->data->dtype == ACCEL_DTYPE_UINT8 ? 1 << (p->bits - 1) : 0;
    if (t->bits == 0)
        return accel_quant_at(t->zeros->dtype, t->zeros->data, i);
    const size_t row = (t->blocks * t->bits + 7) / 8;
    return (int32_t)bits_at((const uint8_t *)t->zeros->data + i / t->blocks * row, t->bits,
                            i % t->blocks);
}

static float element(const struct table *t, const struct gather_params *p, size_t at, size_t scale)
{
    const uint8_t *bytes = t->data->data;

    if (accel_is_small_float(t->data->dtype))
        return accel_small_to_float(t->data->dtype, bytes[at]) * scale_at(t, scale);
    const int32_t q = t->bits != 0 ? (int32_t)bits_at(bytes, t->bits, at)
                                   : accel_quant_at(t->data->dtype, bytes, at);
    return (float)(q - zero_at(t, p, scale)) * scale_at(t, scale);
}

/* Elements at..at + n of the table, row by row of its last axis. */
static void dequantise(const struct table *t, const struct gather_params *p, size_t at, size_t n,
                       float *y)
{
    const uint32_t last = t->rank - 1;

    while (n > 0) {
        const size_t column = at % t->dims[last];
        const size_t part = ACCEL_MIN(n, t->dims[last] - column);
        size_t base = 0;

        for (uint32_t d = 0; d < last; d++) {
            const size_t i = at / t->stride[d] % t->dims[d];

            base += (d == t->quantize ? i / t->block : i) * t->scale_stride[d];
        }
        for (size_t i = 0; i < part; i++) {
            const size_t j = last == t->quantize ? (column + i) / t->block : column + i;

            y[i] = element(t, p, at + i, base + j * t->scale_stride[last]);
        }
        at += part;
        y += part;
        n -= part;
    }
}

static int gather_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    size_t n;

    /* The result in floats, before it becomes halves. */
    if (prep->out[0]->dtype != ACCEL_DTYPE_FLOAT &&
        (!accel_shape_elements(&prep->out[0]->shape, &n) ||
         __builtin_mul_overflow(n, sizeof(float), &prep->scratch_bytes)))
        return accel_fail(err, ACCEL_E_INVALID, "its work space overflows");
    return ACCEL_OK;
}

struct gather_job {
    const struct accel_run *run;
    struct table table;
    size_t picks, axis, slice; /* indices; of the table: the axis, and what lies behind it */
    float *y;
};

/* Slices begin..end of the output. An index that is not in the table gives 0.
 */
static void gather_slices(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct gather_job *job = context;

    (void)thread;
    for (size_t k = begin; k < end; k++) {
        const size_t outer = k / job->picks;
        const int64_t n = (int64_t)job->axis;
        int64_t i = accel_integer_at(job->run->in[INDICES], k % job->picks);
        float *y = job->y + k * job->slice;

        i = i < 0 ? i + n : i;
        if (i < 0 || i >= n)
            memset(y, 0, job->slice * sizeof(*y));
        else
            dequantise(&job->table, job->run->node->params,
                       (outer * job->axis + (size_t)i) * job->slice, job->slice, y);
    }
}

static int gather_run(struct accel_run *run, struct accel_error *err)
{
    const struct gather_params *p = run->node->params;
    struct accel_tensor *y = run->out[0];
    const bool halves = y->dtype != ACCEL_DTYPE_FLOAT;
    struct gather_job job = {.run = run, .y = halves ? run->scratch : y->data, .slice = 1};
    size_t outer = 1;

    (void)err;
    if (y->size_bytes == 0)
        return ACCEL_OK;
    table_of(run, &job.table);
    const uint32_t axis = (uint32_t)(p->gather < 0 ? p->gather + job.table.rank : p->gather);
    job.picks = accel_elements(run->in[INDICES]);
    job.axis = job.table.dims[axis];
    for (uint32_t d = 0; d < job.table.rank; d++) {
        outer *= d < axis ? job.table.dims[d] : 1;
        job.slice *= d > axis ? job.table.dims[d] : 1;
    }
    accel_pool_run(run->pool, outer * job.picks, 1 + 4096 / job.slice, gather_slices, &job);
    if (halves)
        accel_convert(run->kernels, run->pool, accel_elements(y), ACCEL_DTYPE_FLOAT, job.y,
                      y->dtype, y->data);
    return ACCEL_OK;
}

#define TABLE \
    (ACCEL_T(UINT8) | ACCEL_T(UINT4) | ACCEL_T(INT4) | ACCEL_T_FLOAT8 | ACCEL_T(FLOAT4E2M1))
#define REAL (ACCEL_T(FLOAT) | ACCEL_T(FLOAT16))

static const struct accel_attr_rule attrs[] = {{"bits", ACCEL_ATTR_INT, 0},
                                               {"block_size", ACCEL_ATTR_INT, 0},
                                               {"gather_axis", ACCEL_ATTR_INT, 0},
                                               {"quantize_axis", ACCEL_ATTR_INT, 0},
                                               {0}};

const struct accel_op accel_ops_gather_quantised[] = {
    {.name = "GatherBlockQuantized",
     .domain = "com.microsoft",
     .since = 1,
     .kind = ACCEL_KIND_MOVE,
     .flops_per_value = 2,
     .in = {{"data", TABLE, 'Q', 0},
            {"indices", ACCEL_T(INT32) | ACCEL_T(INT64), 0, 0},
            {"scales", REAL, 'T', 0},
            {"zero_points", TABLE, 'Q', ACCEL_ARG_OPTIONAL}},
     .out = {{"output", REAL, 'T', 0}},
     .attrs = attrs,
     .parse = gather_parse,
     .infer = gather_infer,
     .prepare = gather_prepare,
     .run = gather_run},
    {0},
};
