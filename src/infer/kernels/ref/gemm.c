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

void accel_gemm_f64__ref(const struct accel_gemm *g, const double *a, const double *b,
                         const double *c, double *y)
{
    const size_t a_row = g->trans_a ? 1 : g->lda, a_step = g->trans_a ? g->lda : 1;
    const size_t b_column = g->trans_b ? g->ldb : 1, b_step = g->trans_b ? 1 : g->ldb;

    for (size_t i = 0; i < g->m; i++)
        for (size_t j = 0; j < g->n; j++) {
            double sum = 0;

            for (size_t k = 0; k < g->k; k++)
                sum += a[i * a_row + k * a_step] * b[j * b_column + k * b_step];
            sum *= (double)g->alpha;
            if (c != NULL)
                sum += (double)g->beta * c[i * g->c_row_stride + j * g->c_col_stride];
            y[i * g->ldy + j] = sum;
        }
}

/* Integers wrap: the sums are done in the unsigned type of the same size. */
#define MATMUL(T)                                                   \
    do {                                                            \
        const T *pa = a, *pb = b;                                   \
        T *py = y;                                                  \
        for (size_t i = 0; i < m; i++) {                            \
            for (size_t j = 0; j < n; j++)                          \
                py[i * n + j] = 0;                                  \
            for (size_t l = 0; l < k; l++)                          \
                for (size_t j = 0; j < n; j++)                      \
                    py[i * n + j] += pa[i * k + l] * pb[l * n + j]; \
        }                                                           \
    } while (0)

bool accel_matmul_any(enum accel_dtype dtype, size_t m, size_t n, size_t k, const void *a,
                      const void *b, void *y)
{
    switch (dtype) {
    case ACCEL_DTYPE_FLOAT:
        MATMUL(float);
        return true;
    case ACCEL_DTYPE_DOUBLE:
        MATMUL(double);
        return true;
    case ACCEL_DTYPE_INT32:
    case ACCEL_DTYPE_UINT32:
        MATMUL(uint32_t);
        return true;
    case ACCEL_DTYPE_INT64:
    case ACCEL_DTYPE_UINT64:
        MATMUL(uint64_t);
        return true;
    default:
        return false;
    }
}
