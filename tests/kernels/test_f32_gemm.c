/* SPDX-License-Identifier: Apache-2.0 */
/* The matrix product: its microkernel on every tile size, the driver on every option. */
#include "kernels/kc.h"

/* ---------------------------------------------------------------- microkernel */

static void check_tile(size_t m, size_t n, size_t k, unsigned options)
{
    const size_t nr = kc_new->f32_gemm_nr, rows = m + kc_below(kc_new->f32_gemm_mr - m + 1);
    const size_t ldc = n + kc_below(3), ldr = n + kc_below(3);
    const float *a = kc_floats(k * rows), *b = kc_floats(k * nr);
    /* The last row ends at the guard page: ldc - n floats are not there. */
    float *c = kc_floats((m - 1) * ldc + n), *want = kc_floats((m - 1) * ldc + n);
    const struct accel_f32_tile tile = {
        .k = k,
        .a = a,
        .a_rows = rows,
        .b = b,
        .c = c,
        .ldc = ldc,
        .m = m,
        .n = n,
        .accumulate = options & 1,
        .bias_row = options & 2 ? kc_floats(m) : NULL,
        .bias_col = options & 4 ? kc_floats(n) : NULL,
        .residual = options & 8 ? kc_floats((m - 1) * ldr + n) : NULL,
        .ldr = ldr,
        .lo = options & 16 ? -0.25f : -INFINITY,
        .hi = options & 16 ? 0.75f : INFINITY,
    };

    memcpy(want, c, ((m - 1) * ldc + n) * sizeof(float));
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = tile.accumulate ? (double)c[i * ldc + j] : 0;

            sum += tile.bias_row != NULL ? (double)tile.bias_row[i] : 0;
            sum += tile.bias_col != NULL ? (double)tile.bias_col[j] : 0;
            for (size_t l = 0; l < k; l++)
                sum += (double)a[l * rows + i] * (double)b[l * nr + j];
            sum += tile.residual != NULL ? (double)tile.residual[i * ldr + j] : 0;
            sum = sum < (double)tile.lo ? (double)tile.lo : sum;
            want[i * ldc + j] = (float)(sum > (double)tile.hi ? (double)tile.hi : sum);
        }
    kc_new->f32_gemm(&tile);
    /* What lies between the rows must be as it was: the bound is 0 where nothing was summed. */
    kc_near_all((m - 1) * ldc + n, c, want, (double)(k + 4) * FLT_EPSILON * (double)(k + 4), 0);
    for (size_t i = 0; i + 1 < m; i++)
        for (size_t j = n; j < ldc; j++)
            kc_near(c[i * ldc + j], want[i * ldc + j], 0);
    kc_release();
}

static void check_tiles(void)
{
    if (!KC_FUNC(f32_gemm, "f32_gemm"))
        return;
    const size_t mr = kc_new->f32_gemm_mr, nr = kc_new->f32_gemm_nr;

    for (size_t m = 1; m <= mr; m++)
        for (size_t n = 1; n <= nr; n++) {
            KC_CASE("f32_gemm m=%zu n=%zu", m, n);
            check_tile(m, n, kc_below(9), (unsigned)kc_below(32));
        }
    for (unsigned options = 0; options < 32; options++) {
        KC_CASE("f32_gemm options=%u", options);
        check_tile(mr, nr, 33, options);
        check_tile(mr, nr - 1, 0, options);
    }
    if (kc_benching) {
        const size_t k = 256;
        float *c = kc_floats(mr * nr);
        const struct accel_f32_tile tile = {.k = k,
                                            .a = kc_floats(k * mr),
                                            .a_rows = mr,
                                            .b = kc_floats(k * nr),
                                            .c = c,
                                            .ldc = nr,
                                            .m = mr,
                                            .n = nr,
                                            .lo = -INFINITY,
                                            .hi = INFINITY};
        KC_CASE("f32_gemm tile %zux%zux%zu", mr, nr, k);
        KC_BENCH(2.0 * (double)(mr * nr * k), kc_new->f32_gemm(&tile));
        kc_release();
    }
}

/* ---------------------------------------------------------------- driver */

static struct accel_pool *pools[3]; /* NULL, 2 and 3 threads */

enum {
    TRANS_A = 1,
    TRANS_B = 2,
    PACK_A = 4,
    PACK_B = 8,
    BIAS_ROW = 16,
    BIAS_COL = 32,
    ALPHA = 64,
    C_FULL = 128,
    C_ROW = 256,
    RELU = 512,
    TANH = 1024,
    OPTIONS = 2048,
};

static void *packed_a(const struct accel_gemm *g)
{
    size_t bytes;

    if (accel_gemm_f32_packed_a_bytes(kc_new, g->m, g->k, &bytes, NULL) != ACCEL_OK)
        kc_failures++;
    void *packed = kc_aligned(bytes);
    accel_gemm_f32_pack_a(kc_new, g->m, g->k, g->a, g->lda, g->trans_a, packed);
    return packed;
}

static void *packed_b(const struct accel_gemm *g)
{
    size_t bytes;

    if (accel_gemm_f32_packed_b_bytes(kc_new, g->k, g->n, &bytes, NULL) != ACCEL_OK)
        kc_failures++;
    void *packed = kc_aligned(bytes);
    accel_gemm_f32_pack_b(kc_new, g->k, g->n, g->b, g->ldb, g->trans_b, packed);
    return packed;
}

static void run(const struct accel_gemm *g, struct accel_pool *pool)
{
    size_t bytes;

    if (accel_gemm_f32_scratch_bytes(kc_new, g, accel_pool_threads(pool), &bytes, NULL) != ACCEL_OK)
        kc_failures++;
    accel_gemm_f32(kc_new, pool, g, kc_aligned(bytes));
}

static void check_gemm(size_t m, size_t n, size_t k, unsigned options, unsigned batch)
{
    const size_t wa = options & TRANS_A ? m : k, ha = options & TRANS_A ? k : m;
    const size_t wb = options & TRANS_B ? k : n, hb = options & TRANS_B ? n : k;
    struct accel_gemm g = {.m = m, .n = n, .k = k, .alpha = 1, .beta = 1};
    size_t repeats = batch & 1 ? 3 : 1;

    KC_CASE("gemm %zux%zux%zu options=%#x batch=%u", m, n, k, options, batch);
    g.lda = wa + (options & PACK_A ? 3 : 0);
    g.ldb = wb;
    g.ldy = n;
    g.trans_a = options & TRANS_A;
    g.trans_b = options & TRANS_B;
    if (batch & 1) {
        g.batch_rank = 2;
        g.batch[0] = 1;
        g.batch[1] = 3;
        g.batch_stride_a[1] = ha * g.lda;
        g.batch_stride_b[1] = batch & 2 ? 0 : hb * g.ldb;
        g.batch_stride_y[1] = m * n;
    }
    g.a = kc_floats(repeats * ha * g.lda);
    g.b = kc_floats(repeats * hb * g.ldb);
    g.bias_row = options & BIAS_ROW ? kc_floats(m) : NULL;
    g.bias_col = options & BIAS_COL ? kc_floats(n) : NULL;
    if (options & (C_FULL | C_ROW)) {
        g.beta = options & ALPHA ? 0.5f : 1;
        g.c = kc_floats(m * n);
        g.c_row_stride = options & C_FULL ? n : 0;
        g.c_col_stride = 1;
    }
    if ((options & ALPHA) && (options & (PACK_A | PACK_B)) != (PACK_A | PACK_B))
        g.alpha = -1.5f;
    if (options & RELU)
        g.act.op = ACCEL_UNARY_RELU;
    else if (options & TANH)
        g.act.op = ACCEL_UNARY_TANH;

    float *want = kc_floats(repeats * m * n), *got = kc_floats(repeats * m * n);

    g.y = want;
    accel_gemm_f32__ref(&g);
    g.y = got;
    if (options & PACK_A && (batch & 1) == 0)
        g.packed_a = packed_a(&g);
    if (options & PACK_B && (batch & 1) == 0)
        g.packed_b = packed_b(&g);
    run(&g, pools[kc_below(3)]);
    kc_near_all(repeats * m * n, got, want,
                1.5 * (double)(k + 4) * FLT_EPSILON * ACCEL_MAX(sqrt((double)k), 4.0), 1e-6);
    kc_release();
}

static void check_driver(void)
{
    static const size_t sizes[] = {1, 2, 3, 7, 13, 14, 15, 16, 17, 29, 31, 32, 33, 47, 64, 65, 97};

    for (int i = 0; i < 250; i++)
        check_gemm(sizes[kc_below(ACCEL_COUNT(sizes))], sizes[kc_below(ACCEL_COUNT(sizes))],
                   sizes[kc_below(ACCEL_COUNT(sizes))], (unsigned)kc_below(OPTIONS),
                   (unsigned)kc_below(4));
    /* Several blocks of K; a row; a column; nothing. */
    for (unsigned options = 0; options < 16; options++) {
        check_gemm(37, 70, 801, options | (options & 1 ? BIAS_COL | RELU : BIAS_ROW | C_FULL), 0);
        check_gemm(1, 1000, 64, options | BIAS_COL, 0);
        check_gemm(100, 1, 385, options, 0);
        check_gemm(5, 4, 0, options | BIAS_COL | RELU, 0);
        check_gemm(0, 4, 3, options, 0);
    }
    if (kc_new->cpu != 0) { /* more than one block in every direction */
        check_gemm(150, 1700, 390, BIAS_ROW | RELU | PACK_A, 0);
        check_gemm(700, 600, 500, TRANS_A | TRANS_B, 0);
    }
}

static void bench(void)
{
    static const struct {
        const char *name;
        size_t m, n, k;
        unsigned options;
    } shapes[] = {
        {"square 256", 256, 256, 256, PACK_A},
        {"square 512", 512, 512, 512, PACK_A},
        {"square 1024", 1024, 1024, 1024, PACK_A},
        {"square 1024 unpacked", 1024, 1024, 1024, 0},
        {"square 1024 transposed", 1024, 1024, 1024, TRANS_A | TRANS_B},
        {"resnet50 1x1 64 56x56", 64, 3136, 64, PACK_A},
        {"resnet50 1x1 256 56x56", 256, 3136, 64, PACK_A},
        {"resnet50 1x1 1024 14x14", 1024, 196, 256, PACK_A},
        {"resnet50 1x1 2048 7x7", 2048, 49, 512, PACK_A},
        {"bert 128x768x3072", 128, 3072, 768, PACK_B},
        {"fc 1x4096x1000", 1, 1000, 4096, PACK_B},
        {"fc 1x4096x1000 unpacked", 1, 1000, 4096, TRANS_B},
    };

    for (size_t i = 0; i < ACCEL_COUNT(shapes) && kc_benching; i++) {
        const size_t m = shapes[i].m, n = shapes[i].n, k = shapes[i].k;
        struct accel_gemm g = {.m = m,
                               .n = n,
                               .k = k,
                               .alpha = 1,
                               .trans_a = shapes[i].options & TRANS_A,
                               .trans_b = shapes[i].options & TRANS_B,
                               .a = kc_floats(m * k),
                               .b = kc_floats(k * n),
                               .y = kc_floats(m * n),
                               .ldy = n};
        size_t bytes;

        if (!KC_CASE("gemm %s", shapes[i].name))
            continue;
        g.lda = g.trans_a ? m : k;
        g.ldb = g.trans_b ? k : n;
        g.packed_a = shapes[i].options & PACK_A ? packed_a(&g) : NULL;
        g.packed_b = shapes[i].options & PACK_B ? packed_b(&g) : NULL;
        for (size_t p = 0; p < 2; p++) {
            KC_CASE("gemm %s, %zu threads", shapes[i].name, p + 1);
            accel_gemm_f32_scratch_bytes(kc_new, &g, accel_pool_threads(pools[p]), &bytes, NULL);
            void *scratch = kc_aligned(bytes);
            KC_BENCH(2.0 * (double)m * (double)n * (double)k,
                     accel_gemm_f32(kc_new, pools[p], &g, scratch));
        }
        kc_release();
    }
}

static void check_products(void)
{
    check_driver();
    bench();
}

static void overflowing_sizes_are_refused(void)
{
    struct accel_kernels plain;
    struct accel_error err;
    size_t bytes;

    accel_kernels_init(&plain, 0);
    ok(accel_gemm_f32_packed_a_bytes(&plain, SIZE_MAX / 2, 16, &bytes, &err) == ACCEL_E_INVALID,
       "a packed A beyond the address space is refused");
    ok(accel_gemm_f32_packed_b_bytes(&plain, 16, SIZE_MAX - 3, &bytes, &err) == ACCEL_E_INVALID,
       "a packed B beyond the address space is refused");
}

int main(int argc, char **argv)
{
    struct accel_error err;

    kc_begin(argc, argv);
    if (accel_pool_new(2, &pools[1], &err) != ACCEL_OK ||
        accel_pool_new(3, &pools[2], &err) != ACCEL_OK)
        return 1;
    kc_walk("the tile of a product", check_tiles);
    kc_walk("the product", check_products);
    overflowing_sizes_are_refused();
    accel_pool_free(pools[1]);
    accel_pool_free(pools[2]);
    return tap_done();
}
