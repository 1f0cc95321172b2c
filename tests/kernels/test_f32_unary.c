/* SPDX-License-Identifier: Apache-2.0 */
/* Unary operations: every tail, the special values, and the error bound over the floats. */
#include "kernels/kc.h"

static const struct {
    enum accel_unary_op op;
    const char *name;
    float alpha, beta;
} ops[] = {
#define OP(name, a, b)                  \
    {                                   \
        ACCEL_UNARY_##name, #name, a, b \
    }
    OP(IDENTITY, 0, 0),
    OP(RELU, 0, 0),
    OP(CLIP, -0.5f, 0.75f),
    OP(LEAKYRELU, 0.1f, 0),
    OP(SIGMOID, 0, 0),
    OP(TANH, 0, 0),
    OP(HARDSIGMOID, 0.2f, 0.5f),
    OP(HARDSWISH, 0, 0),
    OP(SILU, 1, 0),
    OP(SILU, 1.702f, 0),
    OP(GELU, 0, 0),
    OP(GELU_TANH, 0, 0),
    OP(ELU, 1.5f, 0),
    OP(CELU, 2, 0),
    OP(SELU, 1.67326f, 1.0507f),
    OP(SOFTPLUS, 0, 0),
    OP(SOFTSIGN, 0, 0),
    OP(MISH, 0, 0),
    OP(THRESHOLDEDRELU, 0.3f, 0),
    OP(SHRINK, 0.4f, 0.1f),
    OP(EXP, 0, 0),
    OP(LOG, 0, 0),
    OP(SQRT, 0, 0),
    OP(RECIPROCAL, 0, 0),
    OP(ERF, 0, 0),
    OP(ABS, 0, 0),
    OP(NEG, 0, 0),
    OP(SIGN, 0, 0),
    OP(FLOOR, 0, 0),
    OP(CEIL, 0, 0),
    OP(ROUND, 0, 0),
    OP(SQUARE, 0, 0),
    OP(SIN, 0, 0),
    OP(COS, 0, 0),
    OP(TAN, 0, 0),
    OP(ASIN, 0, 0),
    OP(ACOS, 0, 0),
    OP(ATAN, 0, 0),
    OP(SINH, 0, 0),
    OP(COSH, 0, 0),
    OP(ASINH, 0, 0),
    OP(ACOSH, 0, 0),
    OP(ATANH, 0, 0),
#undef OP
};

/* What kernels.h promises. */
static double bound(double want, double x)
{
    const double ulps = 4 * FLT_EPSILON * fabs(want), near_zero = 3e-7 * ACCEL_MIN(fabs(x), 1.0);

    return ACCEL_MAX(ulps, ACCEL_MAX(near_zero, 1e-38));
}

/* Against double arithmetic, which accel_unary offers by the same definition. */
static void compare(size_t op, size_t n, const float *x)
{
    double *wide = kc_alloc(n * sizeof(double));
    float *got = kc_floats(n);

    for (size_t i = 0; i < n; i++)
        wide[i] = (double)x[i];
    accel_unary(kc_new, NULL, ops[op].op, ops[op].alpha, ops[op].beta, ACCEL_DTYPE_DOUBLE, n, wide,
                wide);
    kc_new->f32_unary[ops[op].op](n, x, got, ops[op].alpha, ops[op].beta);
    for (size_t i = 0; i < n; i++) {
        const float want = (float)wide[i]; /* what overflows a float is infinite */

        kc_near(got[i], want, bound((double)want, (double)x[i]));
    }
}

static void check(void)
{
    static const float special[] = {0.0f,    -0.0f,  1.0f,   -1.0f,   0.5f,   -0.5f,      2.5f,
                                    3.5f,    -2.5f,  88.0f,  89.0f,   -87.5f, -100.0f,    -104.0f,
                                    1e30f,   -1e30f, 1e-30f, -1e-30f, 1e-40f, 8388609.0f, 0.625f,
                                    0.9277f, 4.0f,   -20.0f, 20.5f};

    for (size_t op = 0; op < ACCEL_COUNT(ops); op++) {
        if (!KC_FUNC(f32_unary[ops[op].op], "%s", ops[op].name))
            continue;
        for (size_t n = 0; n <= 33; n++) { /* every tail */
            const float *x = kc_floats(n);

            compare(op, n, x);
            /* in place */
            float *y = kc_floats(n), *want = kc_floats(n);
            memcpy(y, x, n * sizeof(float));
            kc_new->f32_unary[ops[op].op](n, x, want, ops[op].alpha, ops[op].beta);
            kc_new->f32_unary[ops[op].op](n, y, y, ops[op].alpha, ops[op].beta);
            kc_same_bytes(y, want, n * sizeof(float));
            kc_release();
        }
        float *x = kc_floats(4096);
        memcpy(x, special, sizeof(special));
        for (size_t i = ACCEL_COUNT(special); i < 4096; i++)
            x[i] *= i % 3 == 0 ? 100.0f : (i % 3 == 1 ? 8.0f : 0.01f);
        compare(op, 4096, x);
        /* NaN goes through, in every lane. */
        float odd[48], y[48];
        for (size_t i = 0; i < 48; i++)
            odd[i] = i % 3 == 0 ? NAN : (i % 3 == 1 ? INFINITY : -INFINITY);
        kc_new->f32_unary[ops[op].op](48, odd, y, ops[op].alpha, ops[op].beta);
        for (size_t i = 0; i < 48; i += 3)
            kc_near(y[i], ops[op].op == ACCEL_UNARY_THRESHOLDEDRELU ? y[i] : NAN, 0);
        for (size_t i = 0; i < 48; i++) {
            double wide = (double)odd[i];
            accel_unary(kc_new, NULL, ops[op].op, ops[op].alpha, ops[op].beta, ACCEL_DTYPE_DOUBLE,
                        1, &wide, &wide);
            if (ops[op].op != ACCEL_UNARY_GELU_TANH && ops[op].op != ACCEL_UNARY_MISH &&
                ops[op].op != ACCEL_UNARY_SILU && ops[op].op != ACCEL_UNARY_GELU)
                kc_near(y[i], (float)wide, 0); /* those: infinity times 0, left open */
        }
        KC_BENCH_BYTES(8 * 4096,
                       kc_new->f32_unary[ops[op].op](4096, x, x + 0, ops[op].alpha, ops[op].beta));
        kc_release();
    }
}

/* Wrapping integers and the truth values. */
static void integers_wrap(void)
{
    struct accel_kernels plain;
    const int8_t x[] = {-128, -1, 0, 5, 127};
    int8_t y[5];
    const uint8_t truth[] = {0, 1};
    uint8_t not [2];

    accel_kernels_init(&plain, 0);
    accel_unary(&plain, NULL, ACCEL_UNARY_ABS, 0, 0, ACCEL_DTYPE_INT8, 5, x, y);
    ok(memcmp(y, (int8_t[]){-128, 1, 0, 5, 127}, 5) == 0, "the absolute value of int8 wraps");
    accel_unary(&plain, NULL, ACCEL_UNARY_NEG, 0, 0, ACCEL_DTYPE_INT8, 5, x, y);
    ok(memcmp(y, (int8_t[]){-128, 1, 0, -5, -127}, 5) == 0, "the negative of int8 wraps");
    accel_unary(&plain, NULL, ACCEL_UNARY_SIGN, 0, 0, ACCEL_DTYPE_INT8, 5, x, y);
    ok(memcmp(y, (int8_t[]){-1, -1, 0, 1, 1}, 5) == 0, "the sign of int8 is -1, 0 or 1");
    accel_unary(&plain, NULL, ACCEL_UNARY_NOT, 0, 0, ACCEL_DTYPE_BOOL, 2, truth, not );
    ok(not [0] == 1 && not [1] == 0, "not turns a truth value around");
    ok(!accel_unary_supported(ACCEL_UNARY_EXP, ACCEL_DTYPE_INT32), "exp of integers is refused");
}

int main(int argc, char **argv)
{
    kc_begin(argc, argv);
    kc_walk("each unary operation", check);
    integers_wrap();
    return tap_done();
}
