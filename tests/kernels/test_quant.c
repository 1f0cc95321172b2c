/* SPDX-License-Identifier: Apache-2.0 */
/* Quantised products and convolutions against sums in 64 bits; rounding, saturation, layouts. That
 * the numbers are ONNX Runtime's is for tests/models/oracle_cases. */
#include "kernels/kc.h"

#include "infer/kernels/quant.h"

static struct accel_pool *pools[2]; /* NULL and 2 threads */

static uint8_t *bytes(size_t n)
{
    uint8_t *p = kc_alloc(n);

    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)kc_random();
    return p;
}

static int32_t value(bool is_signed, const uint8_t *x, size_t i)
{
    return is_signed ? (int8_t)x[i] : x[i];
}

static void check_products(void)
{
    for (int round = 0; round < 60; round++) {
        const size_t m = 1 + kc_below(9), n = 1 + kc_below(40), k = kc_below(70);
        const bool trans_a = kc_below(2), trans_b = kc_below(2), per_row = kc_below(2);
        size_t size;
        struct accel_qgemm g = {.m = m,
                                .n = n,
                                .k = k,
                                .a = bytes(m * k),
                                .b = bytes(k * n),
                                .a_signed = kc_below(2),
                                .b_signed = kc_below(2),
                                .a_row = trans_a ? 1 : k,
                                .a_col = trans_a ? m : 1,
                                .b_row = trans_b ? 1 : n,
                                .b_col = trans_b ? k : 1,
                                .a_zero = bytes(m),
                                .b_zero = bytes(n),
                                .a_zero_stride = per_row,
                                .b_zero_stride = !per_row};
        int32_t *y = kc_alloc(m * n * sizeof(*y));

        g.out = (struct accel_quant_out){.dtype = ACCEL_DTYPE_INT32, .y = y};
        KC_CASE("qgemm %zux%zux%zu", m, n, k);
        accel_qgemm_scratch_bytes(kc_new, &g, accel_pool_threads(pools[round % 2]), &size);
        accel_qgemm(kc_new, pools[round % 2], &g, kc_aligned(size));
        for (size_t i = 0; i < m; i++)
            for (size_t j = 0; j < n; j++) {
                int64_t sum = 0;

                for (size_t t = 0; t < k; t++)
                    sum += (int64_t)(value(g.a_signed, g.a, i * g.a_row + t * g.a_col) -
                                     value(g.a_signed, g.a_zero, i * g.a_zero_stride)) *
                           (value(g.b_signed, g.b, t * g.b_row + j * g.b_col) -
                            value(g.b_signed, g.b_zero, j * g.b_zero_stride));
                kc_near(y[i * n + j], (double)sum, 0);
            }
        kc_release();
    }
}

static void check_convolutions(void)
{
    for (int round = 0; round < 60; round++) {
        struct accel_qconv c = {.x_signed = kc_below(2), .w_signed = kc_below(2)};
        struct accel_conv *v = &c.conv;
        size_t size;

        *v = (struct accel_conv){.spatial = 2, .batch = 1 + kc_below(2), .groups = 1 + kc_below(2)};
        v->cin = v->groups * (1 + kc_below(3));
        v->cout = v->groups * (1 + kc_below(3));
        for (unsigned d = 0; d < 2; d++)
            do {
                v->in[d] = 1 + kc_below(12);
                v->kernel[d] = 1 + kc_below(4);
                v->stride[d] = 1 + kc_below(3);
                v->dilation[d] = 1 + kc_below(2);
                v->pad_begin[d] = kc_below(5);
                v->out[d] = accel_conv_out(v->in[d], v->kernel[d], v->stride[d], v->dilation[d],
                                           v->pad_begin[d], kc_below(5));
            } while (v->out[d] == 0);
        const size_t per = v->cin / v->groups, out = v->out[0] * v->out[1];
        c.x = bytes(v->batch * v->cin * v->in[0] * v->in[1]);
        c.w = bytes(v->cout * per * v->kernel[0] * v->kernel[1]);
        c.w_zero = bytes(v->cout);
        c.w_zero_stride = kc_below(2);
        c.x_zero = (int32_t)kc_below(100);
        int32_t *y = kc_alloc(v->batch * v->cout * out * sizeof(*y));
        c.out = (struct accel_quant_out){.dtype = ACCEL_DTYPE_INT32, .y = y};
        KC_CASE("qconv in %zux%zu k %zux%zu", v->in[0], v->in[1], v->kernel[0], v->kernel[1]);
        accel_qconv_scratch_bytes(kc_new, v, false, accel_pool_threads(pools[round % 2]), &size);
        accel_qconv(kc_new, pools[round % 2], &c, kc_aligned(size));
        for (size_t o = 0; o < v->batch * v->cout * out; o++) {
            const size_t ox = o % v->out[1], oy = o / v->out[1] % v->out[0];
            const size_t ch = o / out % v->cout, b = o / out / v->cout;
            const size_t group = ch / (v->cout / v->groups);
            int64_t sum = 0;

            for (size_t t = 0; t < per * v->kernel[0] * v->kernel[1]; t++) {
                const size_t kx = t % v->kernel[1], ky = t / v->kernel[1] % v->kernel[0];
                const size_t ic = group * per + t / v->kernel[1] / v->kernel[0];
                const ptrdiff_t iy = (ptrdiff_t)(oy * v->stride[0] + ky * v->dilation[0]) -
                                     (ptrdiff_t)v->pad_begin[0];
                const ptrdiff_t ix = (ptrdiff_t)(ox * v->stride[1] + kx * v->dilation[1]) -
                                     (ptrdiff_t)v->pad_begin[1];

                if (iy < 0 || ix < 0 || iy >= (ptrdiff_t)v->in[0] || ix >= (ptrdiff_t)v->in[1])
                    continue;
                sum += (int64_t)(value(c.x_signed, c.x,
                                       ((b * v->cin + ic) * v->in[0] + (size_t)iy) * v->in[1] +
                                           (size_t)ix) -
                                 c.x_zero) *
                       (value(c.w_signed, c.w, ch * per * v->kernel[0] * v->kernel[1] + t) -
                        value(c.w_signed, c.w_zero, ch * c.w_zero_stride));
            }
            kc_near(y[o], (double)sum, 0);
        }
        kc_release();
    }
}

static void rounds_to_even_and_saturates(void)
{
    const float x[8] = {0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 1e30f, -1e30f, NAN}, one = 1;
    const struct accel_quant_layout all = {.outer = 1, .axis = 1, .inner = 8, .block = 1};
    const int8_t zero = 10, want[8] = {10, 12, 12, 10, 8, 127, -128, -128};
    int8_t y[8];

    ok(accel_quantize(NULL, &all, x, &one, &zero, ACCEL_DTYPE_INT8, y) &&
           memcmp(y, want, sizeof(y)) == 0,
       "quantising rounds halves to even, saturates, and takes NaN for the least");
    ok(!accel_quantize(NULL, &all, x, &one, NULL, ACCEL_DTYPE_FLOAT16, y),
       "quantising to another type is refused");
}

static void every_block_has_its_scale(void)
{
    /* [2][5][2] in blocks of two along the middle: the last is shorter. */
    const struct accel_quant_layout blocks = {.outer = 2,
                                              .axis = 5,
                                              .inner = 2,
                                              .block = 2,
                                              .stride_outer = 6,
                                              .stride_axis = 2,
                                              .stride_inner = 1};
    uint8_t x[20];
    float scale[12], y[20];
    bool right = true;

    for (size_t i = 0; i < 20; i++)
        x[i] = (uint8_t)(i + 1);
    for (size_t i = 0; i < 12; i++)
        scale[i] = (float)(1 + i);
    accel_dequantize(pools[1], &blocks, ACCEL_DTYPE_UINT8, x, scale, NULL, y);
    for (size_t i = 0; i < 20; i++)
        right = right && y[i] == (float)(i + 1) * scale[i / 10 * 6 + i / 2 % 5 / 2 * 2 + i % 2];
    ok(right, "each block of an axis is scaled by its own");
}

static void sums_wrap_as_integers_do(void)
{
    /* 70000 products of 255 * 255 lie above UINT32_MAX. */
    const size_t k = 70000;
    uint8_t *a = kc_alloc(k), *b = kc_alloc(k);
    int32_t y;
    size_t size;
    struct accel_qgemm g = {.m = 1,
                            .n = 1,
                            .k = k,
                            .a = a,
                            .b = b,
                            .a_row = k,
                            .a_col = 1,
                            .b_row = 1,
                            .b_col = 1,
                            .out = {.dtype = ACCEL_DTYPE_INT32, .y = &y}};

    memset(a, 255, k);
    memset(b, 255, k);
    KC_CASE("wrap");
    accel_qgemm_scratch_bytes(kc_new, &g, 1, &size);
    accel_qgemm(kc_new, NULL, &g, kc_aligned(size));
    kc_near((uint32_t)y, (uint32_t)(70000ull * 255 * 255), 0);
    g.n = SIZE_MAX / 4;
    kc_near(accel_qgemm_scratch_bytes(kc_new, &g, 64, &size), false, 0);
    kc_release();
}

int main(int argc, char **argv)
{
    struct accel_error err;

    kc_begin(argc, argv);
    if (accel_pool_new(2, &pools[1], &err) != ACCEL_OK)
        return 1;
    kc_walk("each product of bytes", check_products);
    kc_walk("each convolution of bytes", check_convolutions);
    rounds_to_even_and_saturates();
    every_block_has_its_scale();
    kc_walk("a sum beyond 32 bits", sums_wrap_as_integers_do);
    accel_pool_free(pools[1]);
    return tap_done();
}
