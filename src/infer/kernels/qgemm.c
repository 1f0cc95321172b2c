/* SPDX-License-Identifier: Apache-2.0 */
/* The public product of quantised matrices. */
#include "infer/kernels/q8.h"

#include <string.h>

struct b_source {
    const uint8_t *b;
    size_t row, col;
};

static void b_bytes(const void *context, size_t k, size_t j0, size_t n, uint8_t *row)
{
    const struct b_source *s = context;
    const uint8_t *b = s->b + k * s->row + j0 * s->col;

    if (s->col == 1)
        memcpy(row, b, n);
    for (size_t j = 0; s->col != 1 && j < n; j++)
        row[j] = b[j * s->col];
}

bool accel_qgemm_packed_b_bytes(const struct accel_kernels *kernels, size_t k, size_t n,
                                size_t *bytes)
{
    size_t words = 0;

    return (kernels->q8_gemm == NULL || accel_q8_b_words(kernels, k, n, &words)) &&
           !__builtin_mul_overflow(words, sizeof(uint32_t), bytes);
}

void accel_qgemm_pack_b(const struct accel_kernels *kernels, size_t k, size_t n, bool b_signed,
                        const void *b, size_t b_row, size_t b_col, void *packed)
{
    const struct b_source source = {.b = b, .row = b_row, .col = b_col};

    accel_q8_pack_b(kernels, k, n, b_signed, b_bytes, &source, packed);
}

bool accel_qgemm_scratch_bytes(const struct accel_kernels *kernels, const struct accel_qgemm *g,
                               unsigned threads, size_t *bytes)
{
    struct accel_q8_cut cut;

    if (kernels->q8_gemm == NULL)
        return accel_qgemm_scratch_bytes__ref(g->n, threads, bytes);
    threads = ACCEL_MAX(threads, 1u);
    return accel_q8_cut_of(kernels, g->m, g->n, g->k, false, g->packed_b != NULL, 1, threads,
                           &cut) &&
           !__builtin_mul_overflow(cut.words * sizeof(uint32_t), (size_t)threads, bytes);
}

struct gemm_job {
    struct accel_q8_core core;
    struct accel_q8_cut cut;
    uint32_t *scratch;
};

static void gemm_tasks(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct gemm_job *job = context;

    for (size_t task = begin; task < end; task++)
        accel_q8_task(&job->core, &job->cut, task, job->scratch + thread * job->cut.words);
}

void accel_qgemm(const struct accel_kernels *kernels, struct accel_pool *pool,
                 const struct accel_qgemm *g, void *scratch)
{
    const struct b_source source = {.b = g->b, .row = g->b_row, .col = g->b_col};
    struct gemm_job job = {.scratch = scratch,
                           .core = {.kernels = kernels,
                                    .m = g->m,
                                    .n = g->n,
                                    .k = g->k,
                                    .a_signed = g->a_signed,
                                    .b_signed = g->b_signed,
                                    .a = g->a,
                                    .a_row = g->a_row,
                                    .a_col = g->a_col,
                                    .packed_b = g->packed_b,
                                    .bytes = b_bytes,
                                    .context = &source,
                                    .a_zero = g->a_zero,
                                    .b_zero = g->b_zero,
                                    .a_zero_stride = g->a_zero_stride,
                                    .b_zero_stride = g->b_zero_stride,
                                    .c = g->c,
                                    .c_row = g->c_row,
                                    .c_col = g->c_col,
                                    .out = g->out,
                                    .ldy = g->n}};

    if (kernels->q8_gemm == NULL) {
        accel_qgemm__ref(pool, g, scratch);
        return;
    }
    if (g->m == 0 || g->n == 0 ||
        !accel_q8_cut_of(kernels, g->m, g->n, g->k, false, g->packed_b != NULL, 1,
                         accel_pool_threads(pool), &job.cut))
        return;
    accel_pool_run_long(pool, job.cut.tasks_m * job.cut.tasks_n, 1, gemm_tasks, &job);
}
