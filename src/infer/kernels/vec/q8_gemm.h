/* SPDX-License-Identifier: Apache-2.0 */
/* Template of the tile of 8-bit integers: MR rows by two vectors of 32-bit sums. The includer
 * defines Q8_NAME, MR, GEMM_ROWS(X), the vector qv of Q8_LANES sums and q_zero(), q_load(),
 * q_store(), q_cell() (a cell in all lanes), q_dot(sum, b, a) (sum + the products of each cell). */
#include "infer/kernels/microkernels.h"

/* Without it the array of sums stays in memory. */
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* `m` is a constant wherever this is inlined, so that the sums live in registers. */
static inline __attribute__((always_inline)) void tile(const struct accel_q8_tile *t,
                                                       const size_t m)
{
    const uint32_t *a = t->a, *b = t->b;
    const size_t rows = t->a_rows;
    qv acc[MR][2];

    UNROLL
    for (size_t i = 0; i < m; i++)
        acc[i][0] = acc[i][1] = q_zero();
    for (size_t g = t->cells; g > 0; g--) {
        const qv b0 = q_load(b), b1 = q_load(b + Q8_LANES);

        UNROLL
        for (size_t i = 0; i < m; i++) {
            const qv x = q_cell(a[i]);

            acc[i][0] = q_dot(acc[i][0], b0, x);
            acc[i][1] = q_dot(acc[i][1], b1, x);
        }
        a += rows;
        b += (size_t)2 * Q8_LANES;
    }
    UNROLL
    for (size_t i = 0; i < m; i++) {
        q_store(t->c + i * t->ldc, acc[i][0]);
        q_store(t->c + i * t->ldc + Q8_LANES, acc[i][1]);
    }
}

#define GEMM_TILE(m)                                    \
    static void tile_##m(const struct accel_q8_tile *t) \
    {                                                   \
        tile(t, m);                                     \
    }
GEMM_ROWS(GEMM_TILE)

#define GEMM_ENTRY(m) tile_##m,

void Q8_NAME(const struct accel_q8_tile *t)
{
    static accel_q8_gemm_fn *const tiles[MR] = {GEMM_ROWS(GEMM_ENTRY)};

    tiles[t->m - 1](t);
}
