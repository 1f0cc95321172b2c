/* SPDX-License-Identifier: Apache-2.0 */
/* Template of the product's microkernel: MR rows by two vectors. The includer has included its
 * vec.h and defined GEMM_NAME, MR and GEMM_ROWS(X), which lists 1..MR. */
#include "infer/kernels/microkernels.h"

/* Without it the array of sums stays in memory. */
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* `m` and `vectors` are constants wherever this is inlined, so that the sums live in registers. */
static inline __attribute__((always_inline)) void tile(const struct accel_f32_tile *t,
                                                       const size_t m, const int vectors)
{
    const vtail tail = v_tail(t->n - (size_t)(vectors - 1) * VEC_WIDTH);
    const float *a = t->a, *b = t->b;
    const size_t rows = t->a_rows;
    vf acc[MR][2], bias[2];

    UNROLL
    for (size_t i = 0; i < m; i++) {
        UNROLL
        for (int v = 0; v < vectors; v++)
            acc[i][v] = v_set1(0);
    }
    for (size_t k = t->k; k > 0; k--) {
        vf row[2];

        UNROLL
        for (int v = 0; v < vectors; v++)
            row[v] = v_load(b + v * VEC_WIDTH);
        UNROLL
        for (size_t i = 0; i < m; i++) {
            const vf x = v_set1(a[i]);

            UNROLL
            for (int v = 0; v < vectors; v++)
                acc[i][v] = v_fma(x, row[v], acc[i][v]);
        }
        a += rows;
        b += 2 * VEC_WIDTH;
    }
    /* What else goes into the sum comes last: a large bias at its beginning would cost every
     * product added to it the bits by which it is larger. */
    if (t->accumulate) {
        UNROLL
        for (size_t i = 0; i < m; i++) {
            UNROLL
            for (int v = 0; v < vectors; v++) {
                const float *c = t->c + i * t->ldc + v * VEC_WIDTH;

                acc[i][v] = v_add(acc[i][v], v + 1 == vectors ? v_load_tail(c, tail) : v_load(c));
            }
        }
    }
    if (t->bias_row != NULL) {
        UNROLL
        for (size_t i = 0; i < m; i++) {
            UNROLL
            for (int v = 0; v < vectors; v++)
                acc[i][v] = v_add(acc[i][v], v_set1(t->bias_row[i]));
        }
    }
    if (t->bias_col != NULL) {
        for (int v = 0; v < vectors; v++)
            bias[v] = v + 1 == vectors ? v_load_tail(t->bias_col + v * VEC_WIDTH, tail)
                                       : v_load(t->bias_col + v * VEC_WIDTH);
        UNROLL
        for (size_t i = 0; i < m; i++) {
            UNROLL
            for (int v = 0; v < vectors; v++)
                acc[i][v] = v_add(acc[i][v], bias[v]);
        }
    }
    const vf lo = v_set1(t->lo), hi = v_set1(t->hi);
    if (t->residual != NULL) {
        UNROLL
        for (size_t i = 0; i < m; i++) {
            UNROLL
            for (int v = 0; v < vectors; v++) {
                const float *r = t->residual + i * t->ldr + v * VEC_WIDTH;

                acc[i][v] = v_add(acc[i][v], v + 1 == vectors ? v_load_tail(r, tail) : v_load(r));
            }
        }
    }
    UNROLL
    for (size_t i = 0; i < m; i++) {
        UNROLL
        for (int v = 0; v < vectors; v++) {
            const vf y = v_min(hi, v_max(lo, acc[i][v])); /* in this order NaN stays */
            float *c = t->c + i * t->ldc + v * VEC_WIDTH;

            if (v + 1 == vectors)
                v_store_tail(c, tail, y);
            else
                v_store(c, y);
        }
    }
}

#define GEMM_TILE(m)                                         \
    static void tile_##m##_1(const struct accel_f32_tile *t) \
    {                                                        \
        tile(t, m, 1);                                       \
    }                                                        \
    static void tile_##m##_2(const struct accel_f32_tile *t) \
    {                                                        \
        tile(t, m, 2);                                       \
    }
GEMM_ROWS(GEMM_TILE)

#define GEMM_ENTRY(m) {tile_##m##_1, tile_##m##_2},

void GEMM_NAME(const struct accel_f32_tile *t)
{
    static accel_f32_gemm_fn *const tiles[MR][2] = {GEMM_ROWS(GEMM_ENTRY)};

    tiles[t->m - 1][t->n > VEC_WIDTH](t);
}
