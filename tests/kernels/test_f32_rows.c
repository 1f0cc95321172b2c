/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels on rows: binary operations, sums, affine maps, taps, halves. Every tail. */
#include "kernels/kc.h"
#include "infer/kernels/microkernels.h"

#define TAIL_MAX 130 /* more than two unrolled steps of the widest vectors */

static void check_binary(void)
{
    static const char *const names[] = {"ADD", "SUB", "MUL", "DIV", "MIN", "MAX", "PRELU"};
    static accel_f32_binary_fn *const oracle[] = {accel_f32_add__ref,  accel_f32_sub__ref,
                                                  accel_f32_mul__ref,  accel_f32_div__ref,
                                                  accel_f32_min__ref,  accel_f32_max2__ref,
                                                  accel_f32_prelu__ref};

    for (size_t op = 0; op < ACCEL_BINARY_F32_COUNT; op++) {
        if (!KC_FUNC(f32_binary[op], "%s", names[op]))
            continue;
        for (size_t n = 0; n <= TAIL_MAX; n++)
            for (size_t strides = 0; strides < 4; strides++) {
                const size_t sa = strides & 1, sb = strides >> 1;
                float *a = kc_floats(sa ? n : 1), *b = kc_floats(sb ? n : 1);
                float *got = kc_floats(n), *want = kc_floats(n);

                if (n > 2 && sa && sb) {
                    a[n / 2] = NAN;
                    b[n / 3] = NAN;
                    a[n - 1] = b[n - 1] = 0;
                }
                kc_new->f32_binary[op](n, a, sa, b, sb, got);
                oracle[op](n, a, sa, b, sb, want);
                kc_near_all(n, got, want, 0, 0); /* one operation each: exact */
                kc_release();
            }
        float *x = kc_floats(4096), *y = kc_floats(4096);
        KC_BENCH_BYTES(12 * 4096, kc_new->f32_binary[op](4096, x, 1, y, 1, y));
        kc_release();
    }
}

static void check_sums(size_t n)
{
    const float *a = kc_floats(n), *b = kc_floats(n);
    float *y = kc_floats(n);
    double dot = 0, scale = 0, sum = 0, magnitude = 0, squares = 0, exps = 0;
    float max = -INFINITY;

    for (size_t i = 0; i < n; i++) {
        dot += (double)a[i] * (double)b[i];
        scale += fabs((double)a[i] * (double)b[i]);
        sum += (double)a[i];
        magnitude += fabs((double)a[i]);
        squares += ((double)a[i] - 0.25) * ((double)a[i] - 0.25);
        exps += exp((double)a[i] - 0.25);
        max = a[i] > max ? a[i] : max;
    }
    if (KC_FUNC(f32_dot, "f32_dot_k%zu", n))
        kc_near(kc_new->f32_dot(n, a, b), dot, (double)n * FLT_EPSILON * scale);
    if (KC_FUNC(f32_sum, "f32_sum_n%zu", n))
        kc_near(kc_new->f32_sum(n, a), sum, (double)n * FLT_EPSILON * magnitude);
    if (KC_FUNC(f32_sumsq, "f32_sumsq_n%zu", n))
        kc_near(kc_new->f32_sumsq(n, a, 0.25f), squares, (double)(n + 4) * FLT_EPSILON * squares);
    if (KC_FUNC(f32_max, "f32_max_n%zu", n))
        kc_near(kc_new->f32_max(n, a), max, 0);
    if (KC_FUNC(f32_expsum, "f32_expsum_n%zu", n)) {
        kc_near(kc_new->f32_expsum(n, a, 0.25f, NULL), exps, (double)(n + 4) * FLT_EPSILON * exps);
        kc_near(kc_new->f32_expsum(n, a, 0.25f, y), exps, (double)(n + 4) * FLT_EPSILON * exps);
        for (size_t i = 0; i < n; i++)
            kc_near(y[i], exp((double)a[i] - 0.25), 8 * FLT_EPSILON);
    }
    if (n > 0 && KC_FUNC(f32_max, "f32_max_nan_n%zu", n)) {
        float *odd = kc_floats(n);

        odd[kc_below(n)] = NAN;
        kc_near(kc_new->f32_max(n, odd), NAN, 0);
    }
    kc_release();
}

static void check_affine(size_t n)
{
    const float *x = kc_floats(n), *scale = kc_floats(n), *shift = kc_floats(n);
    float *y = kc_floats(n);

    if (KC_FUNC(f32_affine, "f32_affine_n%zu", n)) {
        kc_new->f32_affine(n, x, -1.5f, 0.25f, y);
        for (size_t i = 0; i < n; i++)
            kc_near(y[i], (double)x[i] * -1.5 + 0.25, 2 * FLT_EPSILON);
    }
    if (KC_FUNC(f32_affine_rows, "f32_affine_rows_n%zu", n))
        for (int with = 0; with < 2; with++) {
            kc_new->f32_affine_rows(n, x, scale, with ? shift : NULL, y);
            for (size_t i = 0; i < n; i++)
                kc_near(y[i], (double)x[i] * (double)scale[i] + (with ? (double)shift[i] : 0),
                        2 * FLT_EPSILON);
        }
    kc_release();
}

static void check_taps(size_t n, size_t taps, size_t stride)
{
    const size_t reach = n > 0 ? (n - 1) * stride + 1 : 0;
    const float *x[25], *w = kc_floats(taps);
    float *got = kc_floats(n), *want = kc_floats(n);

    for (size_t t = 0; t < taps; t++)
        x[t] = kc_floats(reach);
    if (KC_FUNC(f32_taps, "f32_taps_n%zu_t%zu_s%zu", n, taps, stride)) {
        kc_new->f32_taps(n, taps, x, w, stride, 0.125f, -0.75f, 1.25f, got);
        accel_f32_taps__ref(n, taps, x, w, stride, 0.125f, -0.75f, 1.25f, want);
        kc_near_all(n, got, want, (double)(taps + 1) * FLT_EPSILON * (double)(taps + 1), 0);
    }
    if (taps > 0 && KC_FUNC(f32_taps_max, "f32_taps_max_n%zu_t%zu_s%zu", n, taps, stride)) {
        if (n > 0)
            ((float *)x[taps / 2])[(n / 2) * stride] = NAN;
        kc_new->f32_taps_max(n, taps, x, stride, got);
        accel_f32_taps_max__ref(n, taps, x, stride, want);
        kc_near_all(n, got, want, 0, 0);
    }
    kc_release();
}

static void check_rows(void)
{
    for (size_t n = 0; n <= TAIL_MAX; n++) {
        check_sums(n);
        check_affine(n);
        for (size_t stride = 1; stride <= 3; stride++)
            check_taps(n, n % 10, stride);
    }
    check_sums(5000);
    check_taps(112, 9, 1);
    check_taps(56, 25, 2);
    if (kc_benching) {
        float *x = kc_floats(4096), *y = kc_floats(4096);
        const float *taps[9];
        volatile float keep;

        for (size_t t = 0; t < 9; t++)
            taps[t] = x + t;
        if (KC_FUNC(f32_dot, "f32_dot 4096"))
            KC_BENCH(2 * 4096.0, keep = kc_new->f32_dot(4096, x, y));
        if (KC_FUNC(f32_sum, "f32_sum 4096"))
            KC_BENCH_BYTES(4 * 4096.0, keep = kc_new->f32_sum(4096, x));
        if (KC_FUNC(f32_sumsq, "f32_sumsq 4096"))
            KC_BENCH_BYTES(4 * 4096.0, keep = kc_new->f32_sumsq(4096, x, 0.1f));
        if (KC_FUNC(f32_max, "f32_max 4096"))
            KC_BENCH_BYTES(4 * 4096.0, keep = kc_new->f32_max(4096, x));
        if (KC_FUNC(f32_expsum, "f32_expsum 4096"))
            KC_BENCH_BYTES(8 * 4096.0, keep = kc_new->f32_expsum(4096, x, 0.1f, y));
        if (KC_FUNC(f32_affine, "f32_affine 4096"))
            KC_BENCH_BYTES(8 * 4096.0, kc_new->f32_affine(4096, x, 1.5f, 2, y));
        if (KC_FUNC(f32_affine_rows, "f32_affine_rows 4096"))
            KC_BENCH_BYTES(16 * 4096.0, kc_new->f32_affine_rows(4096, x, x, x, y));
        if (KC_FUNC(f32_taps, "f32_taps 9x112"))
            KC_BENCH(18 * 112.0, kc_new->f32_taps(112, 9, taps, x, 1, 0, -1, 1, y));
        if (KC_FUNC(f32_taps, "f32_taps 9x56/2"))
            KC_BENCH(18 * 56.0, kc_new->f32_taps(56, 9, taps, x, 2, 0, -1, 1, y));
        if (KC_FUNC(f32_taps_max, "f32_taps_max 9x56/2"))
            KC_BENCH(9 * 56.0, kc_new->f32_taps_max(56, 9, taps, 2, y));
        (void)keep;
        kc_release();
    }
}

static float float_of_bits(uint32_t bits)
{
    float f;

    memcpy(&f, &bits, sizeof(f));
    return f;
}

static void check_half(void)
{
    uint16_t *half = kc_alloc(65536 * 2), *back = kc_alloc(65536 * 2), *want = kc_alloc(65536 * 2);
    float *wide = kc_floats(65536), *wide_ref = kc_floats(65536);

    for (size_t i = 0; i < 65536; i++)
        half[i] = (uint16_t)i;
    if (KC_FUNC(f16_to_f32, "f16_to_f32")) { /* all there are */
        kc_new->f16_to_f32(65536, half, wide);
        accel_f16_to_f32__ref(65536, half, wide_ref);
        kc_same_bytes(wide, wide_ref, 65536 * 4);
        kc_near(wide[0x3c00], 1, 0);
        kc_near(wide[0x0001], 0x1p-24, 0);
        kc_near(wide[0x7bff], 65504, 0);
        KC_BENCH_BYTES(6 * 4096.0, kc_new->f16_to_f32(4096, half, wide));
    }
    if (KC_FUNC(f32_to_f16, "f32_to_f16")) {
        accel_f16_to_f32__ref(65536, half, wide);
        kc_new->f32_to_f16(65536, wide, back);
        for (size_t i = 0; i < 65536; i++) /* exact round trip; NaN is made quiet */
            kc_near(back[i], wide[i] != wide[i] ? half[i] | 0x200 : half[i], 0);
        for (int round = 0; round < 8; round++) { /* any bits, and those that lie between halves */
            for (size_t i = 0; i < 65536; i++)
                wide[i] = round < 4
                              ? float_of_bits((uint32_t)kc_random())
                              : float_of_bits((uint32_t)(0x33000000u + kc_below(0x15000000u)) &
                                              0xfffff000u);
            kc_new->f32_to_f16(65536, wide, back);
            accel_f32_to_f16__ref(65536, wide, want);
            kc_same_bytes(back, want, 65536 * 2);
        }
        KC_BENCH_BYTES(6 * 4096.0, kc_new->f32_to_f16(4096, wide, back));
    }
    if (KC_FUNC(bf16_to_f32, "bf16_to_f32")) {
        kc_new->bf16_to_f32(65536, half, wide);
        accel_bf16_to_f32__ref(65536, half, wide_ref);
        kc_same_bytes(wide, wide_ref, 65536 * 4);
        KC_BENCH_BYTES(6 * 4096.0, kc_new->bf16_to_f32(4096, half, wide));
    }
    if (KC_FUNC(f32_to_bf16, "f32_to_bf16")) {
        for (int round = 0; round < 8; round++) {
            for (size_t i = 0; i < 65536; i++)
                wide[i] =
                    float_of_bits((uint32_t)kc_random() & (round < 4 ? 0xffffffffu : 0xffff8000u));
            kc_new->f32_to_bf16(65536, wide, back);
            accel_f32_to_bf16__ref(65536, wide, want);
            kc_same_bytes(back, want, 65536 * 2);
        }
        KC_BENCH_BYTES(6 * 4096.0, kc_new->f32_to_bf16(4096, wide, back));
    }
    kc_release();
    /* Tails. */
    for (size_t n = 0; n <= 33; n++) {
        const float *x = kc_floats(n);
        uint16_t *h = kc_alloc(n * 2), *h2 = kc_alloc(n * 2);
        float *y = kc_floats(n), *y2 = kc_floats(n);

        kc_new->f32_to_f16(n, x, h);
        accel_f32_to_f16__ref(n, x, h2);
        kc_same_bytes(h, h2, n * 2);
        kc_new->f16_to_f32(n, h, y);
        accel_f16_to_f32__ref(n, h, y2);
        kc_same_bytes(y, y2, n * 4);
        kc_new->f32_to_bf16(n, x, h);
        accel_f32_to_bf16__ref(n, x, h2);
        kc_same_bytes(h, h2, n * 2);
        kc_new->bf16_to_f32(n, h, y);
        accel_bf16_to_f32__ref(n, h, y2);
        kc_same_bytes(y, y2, n * 4);
        kc_release();
    }
}

int main(int argc, char **argv)
{
    kc_begin(argc, argv);
    kc_walk("each binary operation", check_binary);
    kc_walk("each row kernel", check_rows);
    kc_walk("each conversion of halves", check_half);
    return tap_done();
}
