/* SPDX-License-Identifier: Apache-2.0 */
/* The oracles of the matrix product and the products of other types. */
#include "infer/kernels/epilogue.h"
#include "infer/kernels/kernels.h"

static void gemm_one(const struct accel_gemm *g, const float *a, const float *b, float *y)
{
    for (size_t i = 0; i < g->m; i++)
        for (size_t j = 0; j < g->n; j++) {
            double sum = 0;

            for (size_t k = 0; k < g->k; k++)
                sum += (double)a[g->trans_a ? k * g->lda + i : i * g->lda + k] *
                       (double)b[g->trans_b ? j * g->ldb + k : k * g->ldb + j];
            sum *= (double)g->alpha;
            if (g->c != NULL)
                sum += (double)g->beta * (double)g->c[i * g->c_row_stride + j * g->c_col_stride];
            if (g->bias_row != NULL)
                sum += (double)g->bias_row[i];
            if (g->bias_col != NULL)
                sum += (double)g->bias_col[j];
            y[i * g->ldy + j] = (float)sum;
            accel_activate__ref(&g->act, 1, &y[i * g->ldy + j]);
        }
}

void accel_gemm_f32__ref(const struct accel_gemm *g)
{
    size_t index[ACCEL_RANK_MAX] = {0};
    const float *a = g->a, *b = g->b;
    float *y = g->y;

    for (unsigned d = 0; d < g->batch_rank; d++)
        if (g->batch[d] == 0)
            return;
    for (;;) {
        gemm_one(g, a, b, y);
        unsigned d = g->batch_rank;
        for (; d > 0; d--) { /* the next index, last dimension first */
            a += g->batch_stride_a[d - 1];
            b += g->batch_stride_b[d - 1];
            y += g->batch_stride_y[d - 1];
            if (++index[d - 1] < g->batch[d - 1])
                break;
            a -= g->batch_stride_a[d - 1] * g->batch[d - 1];
            b -= g->batch_stride_b[d - 1] * g->batch[d - 1];
            y -= g->batch_stride_y[d - 1] * g->batch[d - 1];
            index[d - 1] = 0;
        }
        if (d == 0)
            return;
    }
}

/* ---------------------------------------------------------------- other types */

/* So many multiplications are worth a thread's while. */
#define GRAIN 65536

static size_t grain_rows(size_t n, size_t k)
{
    return k > 0 && n >= GRAIN / k ? 1 : GRAIN / (n * k + 1) + 1;
}

struct f64_job {
    const struct accel_gemm *g;
    const double *a, *b, *c;
    double *y;
};

static void f64_rows(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct f64_job *job = context;
    const struct accel_gemm *g = job->g;
    const size_t a_row = g->trans_a ? 1 : g->lda, a_step = g->trans_a ? g->lda : 1;
    const size_t b_column = g->trans_b ? g->ldb : 1, b_step = g->trans_b ? 1 : g->ldb;

    (void)thread;
    for (size_t i = begin; i < end; i++)
        for (size_t j = 0; j < g->n; j++) {
            double sum = 0;

            for (size_t k = 0; k < g->k; k++)
                sum += job->a[i * a_row + k * a_step] * job->b[j * b_column + k * b_step];
            sum *= (double)g->alpha;
            if (job->c != NULL)
                sum += (double)g->beta * job->c[i * g->c_row_stride + j * g->c_col_stride];
            job->y[i * g->ldy + j] = sum;
        }
}

void accel_gemm_f64__ref(struct accel_pool *pool, const struct accel_gemm *g, const double *a,
                         const double *b, const double *c, double *y)
{
    struct f64_job job = {.g = g, .a = a, .b = b, .c = c, .y = y};

    accel_pool_run_long(pool, g->m, grain_rows(g->n, g->k), f64_rows, &job);
}

struct any_job {
    size_t n, k;
    const void *a, *b;
    void *y;
};

/* Integers wrap: the sums are done in the unsigned type of the same size. */
#define MATMUL(T)                                                                  \
    static void rows_##T(void *context, size_t begin, size_t end, unsigned thread) \
    {                                                                              \
        const struct any_job *job = context;                                       \
        const size_t n = job->n, k = job->k;                                       \
        const T *a = job->a, *b = job->b;                                          \
        T *y = job->y;                                                             \
                                                                                   \
        (void)thread;                                                              \
        for (size_t i = begin; i < end; i++) {                                     \
            for (size_t j = 0; j < n; j++)                                         \
                y[i * n + j] = 0;                                                  \
            for (size_t l = 0; l < k; l++)                                         \
                for (size_t j = 0; j < n; j++)                                     \
                    y[i * n + j] += a[i * k + l] * b[l * n + j];                   \
        }                                                                          \
    }

MATMUL(float)
MATMUL(double)
MATMUL(uint32_t)
MATMUL(uint64_t)

static accel_range_fn *rows_of(enum accel_dtype dtype)
{
    switch (dtype) {
    case ACCEL_DTYPE_FLOAT:
        return rows_float;
    case ACCEL_DTYPE_DOUBLE:
        return rows_double;
    case ACCEL_DTYPE_INT32:
    case ACCEL_DTYPE_UINT32:
        return rows_uint32_t;
    case ACCEL_DTYPE_INT64:
    case ACCEL_DTYPE_UINT64:
        return rows_uint64_t;
    default:
        return NULL;
    }
}

bool accel_matmul_any(struct accel_pool *pool, enum accel_dtype dtype, size_t m, size_t n, size_t k,
                      const void *a, const void *b, void *y)
{
    struct any_job job = {.n = n, .k = k, .a = a, .b = b, .y = y};
    accel_range_fn *rows = rows_of(dtype);

    if (rows == NULL)
        return false;
    accel_pool_run_long(pool, m, grain_rows(n, k), rows, &job);
    return true;
}
