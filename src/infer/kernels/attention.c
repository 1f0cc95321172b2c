/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/kernels/attention.h"

#include <math.h>
#include <string.h>

/* Rows of a block: enough that packing K and V is little beside multiplying by them. */
#define ROWS_MAX     128
#define SCORE_FLOATS ((size_t)1 << 18)
/* Up to so many rows scores are dot products: packing K would cost more than it saves. */
#define DOT_ROWS     2

static size_t block_rows(const struct accel_attention *a)
{
    const size_t fit = SCORE_FLOATS / ACCEL_MAX(a->kv_rows, (size_t)1);
    const size_t rows = fit < 8 ? 8 : fit > ROWS_MAX ? ROWS_MAX : fit;

    return ACCEL_MAX(ACCEL_MIN(rows, a->q_rows), (size_t)1);
}

/* The two products of a block of m rows. */
static struct accel_gemm scores_of(const struct accel_attention *a, size_t m)
{
    return (struct accel_gemm){.m = m,
                               .n = a->kv_rows,
                               .k = a->head_size,
                               .lda = a->q.row,
                               .ldb = a->k.row,
                               .trans_b = true,
                               .alpha = a->scale,
                               .ldy = a->kv_rows};
}

static struct accel_gemm values_of(const struct accel_attention *a, size_t m)
{
    return (struct accel_gemm){.m = m,
                               .n = a->v_head_size,
                               .k = a->kv_rows,
                               .lda = a->kv_rows,
                               .ldb = a->v.row,
                               .alpha = 1,
                               .ldy = a->y_row};
}

/* Of one thread: scores, a row of masks, the products' own. */
struct cut {
    size_t rows, blocks;
    size_t scores, mask, product; /* floats, each a multiple of 16 */
};

static int cut_of(const struct accel_kernels *kernels, const struct accel_attention *a,
                  struct cut *cut, struct accel_error *err)
{
    size_t most = 0;

    cut->rows = block_rows(a);
    cut->blocks = a->q_rows / cut->rows + (a->q_rows % cut->rows != 0);
    const size_t sizes[2] = {cut->rows, a->q_rows % cut->rows};
    for (unsigned i = 0; i < 4; i++) {
        const struct accel_gemm g =
            i % 2 == 0 ? scores_of(a, sizes[i / 2]) : values_of(a, sizes[i / 2]);
        size_t bytes;

        if (g.m == 0 || g.n == 0)
            continue;
        const int rc = accel_gemm_f32_scratch_bytes(kernels, &g, 1, &bytes, err);
        if (rc != ACCEL_OK)
            return rc;
        most = ACCEL_MAX(most, bytes);
    }
    if (a->kv_rows > SIZE_MAX / 1024 || most > SIZE_MAX / 16)
        return accel_fail(err, ACCEL_E_INVALID, "an attention over %zu keys is too large",
                          a->kv_rows);
    cut->mask = ACCEL_ROUND_UP(a->kv_rows, (size_t)16);
    cut->scores = ACCEL_ROUND_UP(cut->rows * a->kv_rows, (size_t)16);
    cut->product = ACCEL_ROUND_UP(most / sizeof(float) + 1, (size_t)16);
    return ACCEL_OK;
}

int accel_attention_scratch_bytes(const struct accel_kernels *kernels,
                                  const struct accel_attention *attention, unsigned threads,
                                  size_t *bytes, struct accel_error *err)
{
    struct cut cut;
    const int rc = cut_of(kernels, attention, &cut, err);

    if (rc == ACCEL_OK &&
        __builtin_mul_overflow((cut.mask + cut.scores + cut.product) * sizeof(float),
                               (size_t)threads, bytes))
        return accel_fail(err, ACCEL_E_INVALID, "an attention over %zu keys is too large",
                          attention->kv_rows);
    return rc;
}

struct job {
    const struct accel_kernels *kernels;
    const struct accel_attention *a;
    struct cut cut;
    float *scratch;
};

static void add_blocks(const struct accel_kernels *kernels, const struct accel_attention_mask *mask,
                       size_t n, size_t at, float *row)
{
    for (size_t j = 0, column = 0; j < n; j += mask->block, column++)
        kernels->f32_affine(ACCEL_MIN(mask->block, n - j), row + j, 1,
                            column < mask->columns ? mask->data[at + column] : -INFINITY, row + j);
}

static void add_mask(const struct accel_kernels *kernels, const struct accel_attention_mask *mask,
                     size_t n, size_t at, size_t first, float *row)
{
    const size_t from = ACCEL_MIN(first, mask->columns);
    const size_t columns = ACCEL_MIN(mask->columns - from, n);

    if (mask->data != NULL && mask->block != 0) {
        add_blocks(kernels, mask, n, at, row);
        return;
    }
    if (mask->data != NULL && mask->repeat) {
        kernels->f32_affine(n, row, 1, mask->data[at], row);
        return;
    }
    at += from;
    if (mask->data != NULL)
        kernels->f32_binary[ACCEL_BINARY_ADD](columns, row, 1, mask->data + at, 1, row);
    else if (mask->allowed != NULL)
        for (size_t j = 0; j < columns; j++)
            row[j] = mask->allowed[at + j] != 0 ? row[j] : -INFINITY;
    else
        return;
    for (size_t j = columns; j < n; j++)
        row[j] = -INFINITY;
}

/* Where query row i stands among the keys. */
static int64_t position_of(const struct accel_attention *a, size_t b, size_t i)
{
    return (int64_t)i + (a->spans != NULL ? a->spans[b].offset : a->offset);
}

/* The keys *begin to *end that span and window leave to query row i. */
static void window_of(const struct accel_attention *a, size_t b, size_t i, size_t *begin,
                      size_t *end)
{
    const struct accel_attention_span *span = a->spans != NULL ? &a->spans[b] : NULL;
    const int64_t position = position_of(a, b, i);
    /* Beyond any length either way a side means the same. */
    const int64_t far = (int64_t)1 << 40;
    int64_t low = 0, high = (int64_t)a->kv_rows;

    if (span != NULL)
        high = (int64_t)ACCEL_MIN(span->end, a->kv_rows);
    if (a->left >= 0 && a->left < far)
        low = ACCEL_MAX(low, position - a->left);
    if (a->right >= 0 && a->right < far)
        high = ACCEL_MIN(high, position + a->right + 1);
    *end = (size_t)ACCEL_MAX(high, (int64_t)0);
    *begin = ACCEL_MIN((size_t)low, *end);
}

/* Everything that is added to the scores of query row i; false: nothing is to be seen. */
static bool mask_row(const struct job *job, size_t b, size_t head, size_t i, float *row)
{
    const struct accel_attention *a = job->a;
    size_t begin, end;

    memset(row, 0, a->kv_rows * sizeof(*row));
    for (unsigned m = 0; m < 2; m++) {
        const struct accel_attention_mask *mask = &a->masks[m];
        const size_t layout = mask->layouts != 0 ? head % mask->layouts : head;
        const size_t line = mask->block != 0 ? (size_t)position_of(a, b, i) / mask->block : i;

        add_mask(job->kernels, mask, a->kv_rows,
                 b * mask->batch + layout * mask->head + line * mask->row,
                 a->spans != NULL ? a->spans[b].first : 0, row);
    }
    window_of(a, b, i, &begin, &end);
    for (size_t j = 0; j < begin; j++)
        row[j] = -INFINITY;
    for (size_t j = end; j < a->kv_rows; j++)
        row[j] = -INFINITY;
    return job->kernels->f32_max(a->kv_rows, row) > -INFINITY;
}

static bool is_masked(const struct accel_attention *a)
{
    return a->spans != NULL || a->left >= 0 || a->right >= 0 || a->masks[0].data != NULL ||
           a->masks[0].allowed != NULL || a->masks[1].data != NULL || a->masks[1].allowed != NULL;
}

static void trace(const struct accel_attention *a, enum accel_attention_stage stage, size_t b,
                  size_t head, size_t i, const float *row)
{
    if (a->trace != NULL && a->stage == stage)
        memcpy(a->trace + ((b * a->heads + head) * a->q_rows + i) * a->kv_rows, row,
               a->kv_rows * sizeof(*row));
}

static void trace_seen(const struct accel_attention *a, size_t b, size_t head, size_t i,
                       const float *row)
{
    size_t begin, end;

    if (a->trace == NULL || a->stage != ACCEL_ATTENTION_SEEN)
        return;
    float *y = a->trace + ((b * a->heads + head) * a->q_rows + i) * a->kv_rows;
    window_of(a, b, i, &begin, &end);
    memset(y, 0, a->kv_rows * sizeof(*y));
    memcpy(y + begin, row + begin, (end - begin) * sizeof(*y));
}

/* exp of a row, over its sum. */
static void soften(const struct job *job, size_t head, float max, float *row)
{
    const struct accel_attention *a = job->a;
    const struct accel_kernels *k = job->kernels;
    const bool sinks = a->smooth || a->sinks != NULL;
    const float sink = a->sinks != NULL ? a->sinks[head] : 0;
    const float top = sinks ? ACCEL_MAX(max, sink) : max;
    const float sum = k->f32_expsum(a->kv_rows, row, top, row) + (sinks ? expf(sink - top) : 0);

    k->f32_affine(a->kv_rows, row, 1 / sum, 0, row);
}

/* One row of scores to one row of weights. */
static void weigh(const struct job *job, size_t b, size_t head, size_t i, float *mask, float *row)
{
    const struct accel_attention *a = job->a;
    const struct accel_kernels *k = job->kernels;
    const size_t n = a->kv_rows;
    bool seen = true;

    trace(a, ACCEL_ATTENTION_SCORES, b, head, i, row);
    if (a->softcap > 0) {
        k->f32_affine(n, row, 1 / a->softcap, 0, row);
        k->f32_unary[ACCEL_UNARY_TANH](n, row, row, 0, 0);
        k->f32_affine(n, row, a->softcap, 0, row);
    }
    trace(a, ACCEL_ATTENTION_CAPPED, b, head, i, row);
    if (is_masked(a)) {
        seen = mask_row(job, b, head, i, mask);
        k->f32_binary[ACCEL_BINARY_ADD](n, row, 1, mask, 1, row);
    }
    trace(a, ACCEL_ATTENTION_MASKED, b, head, i, row);
    trace_seen(a, b, head, i, row);
    const float max = k->f32_max(n, row);
    if (!a->as_softmax && (!seen || max == -INFINITY))
        memset(row, 0, n * sizeof(*row));
    else
        soften(job, head, max, row);
    trace(a, ACCEL_ATTENTION_WEIGHTS, b, head, i, row);
}

static void attend(const struct job *job, size_t b, size_t head, size_t first, size_t rows,
                   float *scratch)
{
    const struct accel_attention *a = job->a;
    const size_t kv_head = head / (a->heads / a->kv_heads);
    float *scores = scratch, *mask = scores + job->cut.scores, *product = mask + job->cut.mask;
    const float *q = a->q.data + b * a->q.batch + head * a->q.head + first * a->q.row;
    const float *k = a->k.data + b * a->k.batch + kv_head * a->k.head;
    struct accel_gemm g = scores_of(a, rows);

    if (rows <= DOT_ROWS) {
        for (size_t i = 0; i < rows; i++)
            for (size_t j = 0; j < a->kv_rows; j++)
                scores[i * a->kv_rows + j] =
                    a->scale *
                    job->kernels->f32_dot(a->head_size, q + i * a->q.row, k + j * a->k.row);
    } else if (a->kv_rows > 0) {
        g.a = q;
        g.b = k;
        g.y = scores;
        accel_gemm_f32(job->kernels, NULL, &g, product);
    }
    for (size_t i = 0; i < rows; i++)
        weigh(job, b, head, first + i, mask, scores + i * a->kv_rows);
    if (a->v_head_size == 0)
        return;
    g = values_of(a, rows);
    g.a = scores;
    g.b = a->v.data + b * a->v.batch + kv_head * a->v.head;
    g.y = a->y + b * a->y_batch + head * a->y_head + first * a->y_row;
    accel_gemm_f32(job->kernels, NULL, &g, product);
}

static void attention_range(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct job *job = context;
    const struct accel_attention *a = job->a;
    const struct cut *cut = &job->cut;
    float *scratch = job->scratch + thread * (cut->scores + cut->mask + cut->product);

    for (size_t unit = begin; unit < end; unit++) {
        const size_t first = unit % cut->blocks * cut->rows, head = unit / cut->blocks % a->heads;

        attend(job, unit / cut->blocks / a->heads, head, first,
               ACCEL_MIN(cut->rows, a->q_rows - first), scratch);
    }
}

void accel_attention_f32(const struct accel_kernels *kernels, struct accel_pool *pool,
                         const struct accel_attention *attention, void *scratch)
{
    struct job job = {.kernels = kernels, .a = attention, .scratch = scratch};

    /* Heads of nothing may be as many as an attribute says. */
    if (attention->v_head_size == 0 && attention->trace == NULL)
        return;
    if (cut_of(kernels, attention, &job.cut, NULL) == ACCEL_OK && attention->batch > 0)
        accel_pool_run_long(pool, attention->batch * attention->heads * job.cut.blocks, 1,
                            attention_range, &job);
}

void accel_attention_place(struct accel_pool *pool, size_t batch, size_t heads, size_t size,
                           const struct accel_attention_operand *x, size_t rows, float *y,
                           size_t all, size_t at)
{
    const size_t dims[4] = {batch, heads, rows, size};
    const ptrdiff_t src[4] = {(ptrdiff_t)x->batch, (ptrdiff_t)x->head, (ptrdiff_t)x->row, 1};
    const ptrdiff_t dst[4] = {(ptrdiff_t)(heads * all * size), (ptrdiff_t)(all * size),
                              (ptrdiff_t)size, 1};

    if (batch * heads * rows * size > 0)
        accel_copy_nd(pool, sizeof(float), 4, dims, x->data, src, y + at * size, dst);
}
