/* SPDX-License-Identifier: Apache-2.0 */
/* Products of 8-bit integers: the tile on every size, and the drivers on every option against the
 * plain products, byte for byte. */
#include "kernels/kc.h"

#include "infer/kernels/quant.h"

static struct accel_pool *pools[2]; /* NULL and 2 threads */

/* Ends of the range are what saturating instructions get wrong. */
static uint8_t *bytes(size_t n)
{
    static const uint8_t ends[] = {0, 255, 128, 127};
    uint8_t *p = kc_alloc(n);
    const bool extreme = kc_below(4) == 0;

    for (size_t i = 0; i < n; i++)
        p[i] = extreme ? ends[kc_below(4)] : (uint8_t)kc_random();
    return p;
}

static float *scales(size_t n)
{
    float *f = kc_floats(n);

    for (size_t i = 0; i < n; i++)
        f[i] = 0.01f + fabsf(f[i]);
    return f;
}

/* ---------------------------------------------------------------- microkernels */

/* The values of two cells multiplied: see accel_q8_tile. */
static int64_t products(uint32_t a, uint32_t b)
{
    int64_t sum = 0;

    for (unsigned t = 0; t < 4 && kc_new->q8_group == 4; t++)
        sum += (int64_t)(int8_t)(a >> 8 * t) * (uint8_t)(b >> 8 * t);
    for (unsigned t = 0; t < 2 && kc_new->q8_group == 2; t++)
        sum += (int64_t)(int16_t)(a >> 16 * t) * (int16_t)(b >> 16 * t);
    return sum;
}

/* What packing puts into n cells: bytes, or 16 bits of which both kinds of bytes fit. */
static uint32_t *cells_of(size_t n)
{
    const uint8_t *x = bytes(4 * n);
    uint32_t *cells = kc_alloc(n * sizeof(*cells));

    for (size_t i = 0; i < n; i++)
        for (unsigned t = 0; t < 4; t++)
            cells[i] |= (uint32_t)x[4 * i + t] << 8 * t;
    for (size_t i = 0; i < n && kc_new->q8_group == 2; i++)
        cells[i] = kc_below(2) ? cells[i] & 0x00ff00ff
                               : (uint16_t)(int8_t)cells[i] |
                                     (uint32_t)(uint16_t)(int8_t)(cells[i] >> 16) << 16;
    return cells;
}

static void check_tile(size_t m, size_t cells)
{
    const size_t nr = kc_new->q8_nr, rows = m + kc_below(3), ldc = nr + kc_below(3);
    const uint32_t *a = cells_of(cells * rows), *b = cells_of(cells * nr);
    uint32_t *c = kc_alloc(((m - 1) * ldc + nr) * sizeof(*c));
    const struct accel_q8_tile tile = {
        .cells = cells, .a = a, .a_rows = rows, .m = m, .b = b, .c = c, .ldc = ldc};

    memset(c, 0x5a, ((m - 1) * ldc + nr) * sizeof(*c));
    kc_new->q8_gemm(&tile);
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < (i + 1 < m ? ldc : nr); j++) {
            int64_t want = 0;

            for (size_t g = 0; j < nr && g < cells; g++)
                want += products(a[g * rows + i], b[g * nr + j]);
            kc_near(c[i * ldc + j], j < nr ? (uint32_t)want : 0x5a5a5a5a, 0);
        }
    kc_release();
}

static void check_tiles(void)
{
    if (kc_new->q8_gemm == NULL || !KC_FUNC(q8_gemm, "q8_gemm"))
        return;
    for (size_t m = 1; m <= kc_new->q8_mr; m++)
        for (size_t cells = 0; cells < 12; cells++) {
            KC_CASE("q8_gemm m=%zu cells=%zu", m, cells);
            check_tile(m, cells);
        }
    KC_CASE("q8_gemm tile");
    if (kc_benching) {
        const size_t mr = kc_new->q8_mr, nr = kc_new->q8_nr, cells = 256;
        const struct accel_q8_tile tile = {.cells = cells,
                                           .a = cells_of(cells * mr),
                                           .a_rows = mr,
                                           .m = mr,
                                           .b = cells_of(cells * nr),
                                           .c = kc_alloc(mr * nr * sizeof(uint32_t)),
                                           .ldc = nr};
        KC_BENCH(2.0 * (double)(mr * nr * cells * kc_new->q8_group), kc_new->q8_gemm(&tile));
        kc_release();
    }
}

static void check_cells(void)
{
    if (kc_new->q8_cells == NULL || !KC_FUNC(q8_cells, "q8_cells"))
        return;
    const size_t nr = kc_new->q8_nr, group = kc_new->q8_group;

    for (int round = 0; round < 20; round++) {
        const bool is_signed = round & 1;
        const size_t stride = nr + kc_below(9);
        const uint8_t *rows = bytes((group - 1) * stride + nr);
        uint32_t *cells = kc_alloc(nr * sizeof(*cells));

        kc_new->q8_cells(rows, stride, is_signed, cells);
        for (size_t j = 0; j < nr; j++)
            for (size_t t = 0; t < group; t++) {
                const uint8_t byte = rows[t * stride + j];
                const int32_t v = is_signed ? (int8_t)byte : byte;

                if (group == 4)
                    kc_near((uint8_t)(cells[j] >> 8 * t), v + (is_signed ? 128 : 0), 0);
                else
                    kc_near((int16_t)(cells[j] >> 16 * t), v, 0);
            }
        kc_release();
    }
}

/* ---------------------------------------------------------------- drivers */

/* A result of any type for `rows` and `columns`; scales by row or column as asked. */
static struct accel_quant_out out_of(size_t n, size_t a_scales, size_t b_scales)
{
    static const enum accel_dtype types[] = {ACCEL_DTYPE_INT32, ACCEL_DTYPE_FLOAT,
                                             ACCEL_DTYPE_UINT8, ACCEL_DTYPE_INT8};
    struct accel_quant_out out = {.dtype = types[kc_below(4)],
                                  .alpha = 0.5f + (float)kc_below(3),
                                  .y_scale = 20 + (float)kc_below(2000),
                                  .a_scale_stride = a_scales > 1 && kc_below(2),
                                  .b_scale_stride = b_scales > 1 && kc_below(2)};

    out.y_zero = out.dtype == ACCEL_DTYPE_UINT8  ? (int32_t)kc_below(256)
                 : out.dtype == ACCEL_DTYPE_INT8 ? (int32_t)kc_below(256) - 128
                                                 : 0;
    out.a_scale = scales(ACCEL_MAX(a_scales, (size_t)1));
    out.b_scale = scales(ACCEL_MAX(b_scales, (size_t)1));
    out.y = kc_alloc(n * accel_dtype_size(out.dtype));
    return out;
}

static void check_product(size_t m, size_t n, size_t k, unsigned options)
{
    const bool trans_a = options & 1, trans_b = options & 2;
    struct accel_pool *pool = pools[kc_below(2)];
    size_t size;
    struct accel_qgemm g = {.m = m,
                            .n = n,
                            .k = k,
                            .a = bytes(m * k),
                            .b = bytes(k * n),
                            .a_signed = options & 4,
                            .b_signed = options & 8,
                            .a_row = trans_a ? 1 : k,
                            .a_col = trans_a ? m : 1,
                            .b_row = trans_b ? 1 : n,
                            .b_col = trans_b ? k : 1,
                            .a_zero = options & 16 ? bytes(m) : NULL,
                            .b_zero = options & 32 ? bytes(n) : NULL,
                            .a_zero_stride = options & 16 ? kc_below(2) : 0,
                            .b_zero_stride = options & 32 ? kc_below(2) : 0};

    if (options & 64) {
        g.c = (const int32_t *)(const void *)bytes(4 * m * n);
        g.c_row = kc_below(2) * n;
        g.c_col = kc_below(2);
    }
    g.out = out_of(m * n, m, n);
    struct accel_qgemm want = g;
    want.out.y = kc_alloc(m * n * accel_dtype_size(g.out.dtype));
    KC_CASE("qgemm %zux%zux%zu options=%#x to %s", m, n, k, options, accel_dtype_name(g.out.dtype));
    accel_qgemm_scratch_bytes__ref(n, 1, &size);
    accel_qgemm__ref(NULL, &want, kc_aligned(size));
    if (options & 128 && accel_qgemm_packed_b_bytes(kc_new, k, n, &size) && size > 0) {
        void *packed = kc_aligned(size);

        accel_qgemm_pack_b(kc_new, k, n, g.b_signed, g.b, g.b_row, g.b_col, packed);
        g.packed_b = packed;
        g.b = NULL;
    }
    if (!accel_qgemm_scratch_bytes(kc_new, &g, accel_pool_threads(pool), &size))
        kc_failures++;
    accel_qgemm(kc_new, pool, &g, kc_aligned(size));
    kc_same_bytes(g.out.y, want.out.y, m * n * accel_dtype_size(g.out.dtype));
    kc_release();
}

static void check_products(void)
{
    static const size_t sizes[] = {1, 2, 3, 5, 6, 7, 14, 15, 16, 17, 31, 32, 33, 64, 65, 97};

    for (int i = 0; i < 400; i++)
        check_product(sizes[kc_below(ACCEL_COUNT(sizes))], sizes[kc_below(ACCEL_COUNT(sizes))],
                      sizes[kc_below(ACCEL_COUNT(sizes))] - kc_below(2), (unsigned)kc_below(256));
    /* More than one task in both directions. */
    for (unsigned options = 0; options < 256; options += 17)
        check_product(75, 1100, 150, options);
}

static void check_convolution(void)
{
    struct accel_qconv q = {.x_signed = kc_below(2), .w_signed = kc_below(2)};
    struct accel_conv *v = &q.conv;
    struct accel_pool *pool = pools[kc_below(2)];
    size_t size, in = 1, out = 1, taps = 1;

    *v = (struct accel_conv){.spatial = 1 + (unsigned)kc_below(3),
                             .batch = 1 + kc_below(2),
                             .groups = kc_below(3) == 0 ? 2 : 1};
    v->cin = v->groups * (1 + kc_below(7));
    v->cout = v->groups * (1 + kc_below(20));
    for (unsigned d = 0; d < v->spatial; d++) {
        do {
            v->in[d] = 1 + kc_below(v->spatial == 3 ? 9 : 40);
            v->kernel[d] = 1 + kc_below(4);
            v->stride[d] = 1 + kc_below(3);
            v->dilation[d] = 1 + kc_below(2);
            v->pad_begin[d] = kc_below(4);
            v->out[d] = accel_conv_out(v->in[d], v->kernel[d], v->stride[d], v->dilation[d],
                                       v->pad_begin[d], kc_below(4));
        } while (v->out[d] == 0);
        in *= v->in[d];
        out *= v->out[d];
        taps *= v->kernel[d];
    }
    const size_t weights = v->cout * (v->cin / v->groups) * taps, n = v->batch * v->cout * out;
    q.x = bytes(v->batch * v->cin * in);
    q.w = bytes(weights);
    q.x_zero = q.x_signed ? (int32_t)kc_below(256) - 128 : (int32_t)kc_below(256);
    q.w_zero = kc_below(2) ? bytes(v->cout) : NULL;
    q.w_zero_stride = q.w_zero != NULL ? kc_below(2) : 0;
    q.bias = kc_below(2) ? (const int32_t *)(const void *)bytes(4 * v->cout) : NULL;
    q.out = out_of(n, 1, v->cout);
    struct accel_qconv want = q;
    want.out.y = kc_alloc(n * accel_dtype_size(q.out.dtype));
    KC_CASE("qconv %u-d, %zu groups, %zu to %zu channels", v->spatial, v->groups, v->cin, v->cout);
    accel_qconv_scratch_bytes__ref(v, 1, &size);
    accel_qconv__ref(NULL, &want, kc_aligned(size));
    if (kc_below(2) && accel_qconv_packed_bytes(kc_new, v, &size) && size > 0) {
        void *packed = kc_aligned(size);

        accel_qconv_pack(kc_new, v, q.w_signed, q.w, packed);
        q.packed_w = packed;
        q.w = NULL;
    }
    if (!accel_qconv_scratch_bytes(kc_new, v, q.packed_w != NULL, accel_pool_threads(pool), &size))
        kc_failures++;
    accel_qconv(kc_new, pool, &q, kc_aligned(size));
    kc_same_bytes(q.out.y, want.out.y, n * accel_dtype_size(q.out.dtype));
    kc_release();
}

static void check_convolutions(void)
{
    for (int i = 0; i < 300; i++)
        check_convolution();
}

static void overflowing_sizes_are_refused(void)
{
    if (kc_new->q8_gemm == NULL)
        return;
    struct accel_qgemm g = {.m = 1, .n = SIZE_MAX / 2, .k = 64};
    size_t size;

    KC_CASE("overflow");
    kc_near(accel_qgemm_packed_b_bytes(kc_new, 64, SIZE_MAX / 16, &size), false, 0);
    kc_near(accel_qgemm_packed_b_bytes(kc_new, 64, SIZE_MAX - 3, &size), false, 0);
    kc_near(accel_qgemm_scratch_bytes(kc_new, &g, 2, &size), false, 0);
}

int main(int argc, char **argv)
{
    struct accel_error err;

    kc_begin(argc, argv);
    if (accel_pool_new(2, &pools[1], &err) != ACCEL_OK)
        return 1;
    kc_walk("the tile of bytes", check_tiles);
    kc_walk("packing bytes", check_cells);
    kc_walk("the product of bytes", check_products);
    kc_walk("the convolution of bytes", check_convolutions);
    kc_walk("overflow", overflowing_sizes_are_refused);
    accel_pool_free(pools[1]);
    return tap_done();
}
