/* SPDX-License-Identifier: Apache-2.0 */
/* Pools, softmax, norms and reductions against plain double arithmetic. */
#include "kernels/kc.h"

static struct accel_pool *pools[2]; /* NULL and 2 threads */

/* ---------------------------------------------------------------- pools */

static size_t volume(unsigned rank, const size_t *dims)
{
    size_t n = 1;

    for (unsigned d = 0; d < rank; d++)
        n *= dims[d];
    return n;
}

static struct accel_window random_window(void)
{
    struct accel_window w = {.spatial = 1 + (unsigned)kc_below(3), .planes = 1 + kc_below(3)};

    for (unsigned d = 0; d < w.spatial; d++)
        do {
            w.in[d] = 1 + kc_below(w.spatial == 3 ? 7 : (w.spatial == 2 ? 25 : 90));
            w.kernel[d] = 1 + kc_below(w.spatial == 3 ? 3 : 9);
            w.stride[d] = 1 + kc_below(3);
            w.dilation[d] = 1 + kc_below(2);
            w.pad_begin[d] = (ptrdiff_t)kc_below(w.kernel[d] + 2) - 2;
            w.pad_end[d] = (ptrdiff_t)kc_below(w.kernel[d] + 2) - 2;
            w.out[d] = accel_window_out(w.in[d], w.kernel[d], w.stride[d], w.dilation[d],
                                        w.pad_begin[d], w.pad_end[d], kc_below(2));
        } while (w.out[d] == 0);
    return w;
}

static void check_pools(void)
{
    for (int i = 0; i < 400; i++) {
        const struct accel_window w = random_window();
        const size_t nx = w.planes * volume(w.spatial, w.in),
                     ny = w.planes * volume(w.spatial, w.out);
        const bool include = kc_below(2);
        struct accel_pool *pool = pools[kc_below(2)];
        float *x = kc_floats(nx), *got = kc_floats(ny), *want = kc_floats(ny);

        KC_CASE("avgpool %u-D in %zu,%zu,%zu k %zu,%zu,%zu", w.spatial, w.in[0], w.in[1], w.in[2],
                w.kernel[0], w.kernel[1], w.kernel[2]);
        accel_avgpool_f32(kc_new, pool, &w, include, x, got);
        accel_avgpool_f32__ref(&w, include, x, want);
        kc_near_all(ny, got, want, 100 * FLT_EPSILON, 0);
        KC_CASE("maxpool %u-D in %zu,%zu,%zu k %zu,%zu,%zu", w.spatial, w.in[0], w.in[1], w.in[2],
                w.kernel[0], w.kernel[1], w.kernel[2]);
        if (i % 4 == 0)
            x[kc_below(nx)] = NAN;
        accel_maxpool_f32(kc_new, pool, &w, x, got, NULL, false);
        accel_maxpool_any(NULL, ACCEL_DTYPE_FLOAT, &w, x, want, NULL, false);
        kc_near_all(ny, got, want, 0, 0);
        /* The same memory as bytes: any will do. */
        const enum accel_dtype dtype = i % 2 ? ACCEL_DTYPE_INT8 : ACCEL_DTYPE_UINT8;
        accel_maxpool8(pool, dtype, &w, x, got);
        accel_maxpool_any(NULL, dtype, &w, x, want, NULL, false);
        kc_same_bytes(got, want, ny);
        kc_release();
    }
    if (kc_benching) {
        const struct accel_window w = {.spatial = 2,
                                       .planes = 64,
                                       .in = {112, 112},
                                       .out = {56, 56},
                                       .kernel = {3, 3},
                                       .stride = {2, 2},
                                       .dilation = {1, 1},
                                       .pad_begin = {1, 1},
                                       .pad_end = {1, 1}};
        float *x = kc_floats(64 * 112 * 112), *y = kc_floats(64 * 56 * 56);

        KC_CASE("maxpool resnet50 3x3/2");
        KC_BENCH_BYTES(4.0 * 64 * (112 * 112 + 56 * 56),
                       accel_maxpool_f32(kc_new, NULL, &w, x, y, NULL, false));
        kc_release();
    }
}

/* The figures of ONNX's own examples (onnx/backend/test/case/node/{maxpool,averagepool}.py). */
static void pools_follow_onnx(void)
{
    struct accel_kernels k;
    struct accel_window w = {.spatial = 2,
                             .planes = 1,
                             .in = {5, 5},
                             .out = {5, 5},
                             .kernel = {5, 5},
                             .stride = {1, 1},
                             .dilation = {1, 1},
                             .pad_begin = {2, 2},
                             .pad_end = {2, 2}};
    float x[25], y[25];
    int64_t at[25];

    accel_kernels_init(&k, ACCEL_CPU_ALL);
    for (int i = 0; i < 25; i++)
        x[i] = (float)(i + 1);
    accel_maxpool_f32(&k, NULL, &w, x, y, at, false);
    ok(y[0] == 13 && y[4] == 15 && y[24] == 25 && at[0] == 12 && at[2] == 14,
       "maxpool_with_argmax_2d_precomputed_pads");
    accel_avgpool_f32(&k, NULL, &w, false, x, y);
    ok(y[0] == 7 && y[1] == 7.5f && y[12] == 13 && y[24] == 19, "averagepool_2d_precomputed_pads");
    accel_avgpool_f32(&k, NULL, &w, true, x, y);
    ok(fabsf(y[0] - 2.52f) < 1e-5f && y[12] == 13,
       "averagepool_2d_precomputed_pads_count_include_pad");

    struct accel_window s = {.spatial = 2,
                             .planes = 1,
                             .in = {5, 5},
                             .out = {2, 2},
                             .kernel = {2, 2},
                             .stride = {2, 2},
                             .dilation = {1, 1}};
    accel_maxpool_f32(&k, NULL, &s, x, y, at, true);
    ok(y[0] == 7 && y[1] == 9 && y[2] == 17 && y[3] == 19 && at[0] == 6 && at[1] == 16 &&
           at[2] == 8 && at[3] == 18,
       "maxpool_with_argmax_2d_precomputed_strides (column major)");

    struct accel_window c = {.spatial = 2,
                             .planes = 1,
                             .in = {4, 4},
                             .out = {2, 2},
                             .kernel = {3, 3},
                             .stride = {2, 2},
                             .dilation = {1, 1}};
    ok(accel_window_out(4, 3, 2, 1, 0, 0, true) == 2, "maxpool_2d_ceil: two outputs");
    accel_maxpool_f32(&k, NULL, &c, x, y, NULL, false);
    ok(y[0] == 11 && y[1] == 12 && y[2] == 15 && y[3] == 16, "maxpool_2d_ceil");
    accel_avgpool_f32(&k, NULL, &c, false, x, y);
    ok(y[0] == 6 && y[1] == 7.5f && y[2] == 12 && y[3] == 13.5f, "averagepool_2d_ceil");
    ok(accel_window_out(2, 1, 2, 1, 0, 0, true) == 1,
       "maxpool_2d_ceil_output_size_reduce_by_one: no window begins in the padding");

    const uint8_t bytes[4] = {3, 250, 7, 9};
    uint8_t most;
    struct accel_window b = {.spatial = 1,
                             .planes = 1,
                             .in = {4},
                             .out = {1},
                             .kernel = {4},
                             .stride = {1},
                             .dilation = {1}};
    ok(accel_maxpool_any(NULL, ACCEL_DTYPE_UINT8, &b, bytes, &most, NULL, false) && most == 250,
       "maxpool_2d_uint8");
    ok(!accel_maxpool_any(NULL, ACCEL_DTYPE_FLOAT16, &b, bytes, &most, NULL, false),
       "a type without a form of its own is refused");
}

/* ---------------------------------------------------------------- softmax and norms */

static void check_softmax(void)
{
    for (int i = 0; i < 150; i++) {
        const size_t outer = 1 + kc_below(4), axis = 1 + kc_below(i % 10 == 0 ? 1500 : 40),
                     inner = kc_below(2) ? 1 : 1 + kc_below(100), n = outer * axis * inner;
        const bool log_softmax = kc_below(2);
        float *x = kc_floats(n), *got = kc_floats(n), *want = kc_floats(n);

        KC_CASE("%ssoftmax %zu,%zu,%zu", log_softmax ? "log" : "", outer, axis, inner);
        for (size_t j = 0; j < n; j++)
            x[j] = x[j] * 20 + (i % 5 == 0 ? 1000.0f : 0); /* would overflow without the shift */
        accel_softmax_f32__ref(outer, axis, inner, log_softmax, x, want);
        accel_softmax_f32(kc_new, pools[kc_below(2)], outer, axis, inner, log_softmax, x, got);
        kc_near_all(n, got, want, log_softmax ? 2e-6 : 1e-9, 2e-6);
        accel_softmax_f32(kc_new, NULL, outer, axis, inner, log_softmax, x, x);
        kc_near_all(n, x, want, log_softmax ? 2e-6 : 1e-9, 2e-6);
        kc_release();
    }
}

static void check_norms(void)
{
    for (int i = 0; i < 100; i++) {
        const size_t rows = 1 + kc_below(5), n = 1 + kc_below(300);
        const bool rms = kc_below(2), with_bias = kc_below(2);
        float *x = kc_floats(rows * n), *scale = kc_floats(n), *bias = kc_floats(n);
        float *got = kc_floats(rows * n), *mean = kc_floats(rows), *inv = kc_floats(rows);

        KC_CASE("layer norm %zux%zu", rows, n);
        for (size_t j = 0; j < rows * n; j++)
            x[j] += 10;
        accel_layer_norm_f32(kc_new, pools[kc_below(2)], rows, n, 1e-5f, rms, x, scale,
                             with_bias ? bias : NULL, got, mean, inv);
        for (size_t r = 0; r < rows; r++) {
            double m = 0, v = 0;

            for (size_t j = 0; j < n; j++)
                m += (double)x[r * n + j] / (double)n;
            m = rms ? 0 : m;
            for (size_t j = 0; j < n; j++)
                v += ((double)x[r * n + j] - m) * ((double)x[r * n + j] - m) / (double)n;
            const double s = 1 / sqrt(v + (double)1e-5f);
            kc_near(mean[r], m, 1e-5);
            kc_near(inv[r], s, 1e-4 * s);
            for (size_t j = 0; j < n; j++)
                kc_near(got[r * n + j],
                        ((double)x[r * n + j] - m) * s * (double)scale[j] +
                            (with_bias ? (double)bias[j] : 0),
                        1e-4 * (1 + 0.01 * s));
        }
        kc_release();
    }
    for (int i = 0; i < 100; i++) {
        const size_t batch = 1 + kc_below(2), groups = 1 + kc_below(4),
                     channels = groups * (1 + kc_below(3)), inner = 2 + kc_below(50),
                     per = channels / groups * inner, n = batch * channels * inner;
        const float *x = kc_floats(n), *scale = kc_floats(channels), *bias = kc_floats(channels);
        float *got = kc_floats(n);

        KC_CASE("group norm %zu,%zu/%zu,%zu", batch, channels, groups, inner);
        accel_group_norm_f32(kc_new, pools[kc_below(2)], batch, channels, groups, inner, 1e-3f, x,
                             scale, bias, got);
        for (size_t g = 0; g < batch * groups; g++) {
            double m = 0, v = 0;

            for (size_t j = 0; j < per; j++)
                m += (double)x[g * per + j] / (double)per;
            for (size_t j = 0; j < per; j++)
                v += ((double)x[g * per + j] - m) * ((double)x[g * per + j] - m) / (double)per;
            for (size_t j = 0; j < per; j++) {
                const size_t c = (g * per + j) / inner % channels;

                kc_near(got[g * per + j],
                        ((double)x[g * per + j] - m) / sqrt(v + 1e-3) * (double)scale[c] +
                            (double)bias[c],
                        2e-5);
            }
        }
        const struct accel_activation relu = {.op = ACCEL_UNARY_RELU};
        KC_CASE("channel affine %zu,%zu,%zu", batch, channels, inner);
        accel_channel_affine_f32(kc_new, pools[kc_below(2)], batch, channels, inner, x, scale, bias,
                                 relu, got);
        for (size_t j = 0; j < n; j++) {
            const size_t c = j / inner % channels;

            kc_near(got[j], fmax((double)x[j] * (double)scale[c] + (double)bias[c], 0), 1e-6);
        }
        kc_release();
    }
}

static void lrn_follows_onnx(void)
{
    const size_t channels = 5, inner = 3;
    float x[15], y[15];
    bool right = true;

    for (int i = 0; i < 15; i++)
        x[i] = (float)i - 7;
    accel_lrn_f32(NULL, 1, channels, inner, 3, 0.0002f, 0.5f, 2.0f, x, y);
    for (size_t c = 0; c < channels; c++)
        for (size_t i = 0; i < inner; i++) {
            double sum = 0;

            for (size_t j = c > 0 ? c - 1 : 0; j <= ACCEL_MIN(c + 1, channels - 1); j++)
                sum += (double)(x[j * inner + i] * x[j * inner + i]);
            right = right && fabs((double)y[c * inner + i] -
                                  (double)x[c * inner + i] / sqrt(2 + 0.0002 / 3 * sum)) < 1e-5;
        }
    ok(right, "local response normalisation takes its neighbours");
}

/* ---------------------------------------------------------------- reductions */

static double reduce_plain(enum accel_reduce_op op, size_t n, const double *x)
{
    double sum = 0, product = 1, max = -INFINITY, min = INFINITY, squares = 0, abs = 0, exps = 0;

    for (size_t i = 0; i < n; i++) {
        sum += x[i];
        product *= x[i];
        max = fmax(max, x[i]);
        min = fmin(min, x[i]);
        squares += x[i] * x[i];
        abs += fabs(x[i]);
        exps += exp(x[i]);
    }
    switch (op) {
    case ACCEL_REDUCE_SUM:
        return sum;
    case ACCEL_REDUCE_MEAN:
        return sum / (double)n;
    case ACCEL_REDUCE_MAX:
        return max;
    case ACCEL_REDUCE_MIN:
        return min;
    case ACCEL_REDUCE_PROD:
        return product;
    case ACCEL_REDUCE_L1:
        return abs;
    case ACCEL_REDUCE_L2:
        return sqrt(squares);
    case ACCEL_REDUCE_SUMSQ:
        return squares;
    case ACCEL_REDUCE_LOGSUM:
        return log(sum);
    default:
        return log(exps);
    }
}

/* Collects what goes into each output by counting through all indices. */
static void check_reduce(enum accel_reduce_op op, unsigned rank, const size_t *dims, uint32_t axes)
{
    const size_t n = volume(rank, dims);
    size_t outputs = 1;

    for (unsigned d = 0; d < rank; d++)
        outputs *= axes >> d & 1 ? 1 : dims[d];
    const size_t set = n / ACCEL_MAX(outputs, (size_t)1);
    float *x = kc_floats(n), *got = kc_floats(outputs);
    double *sets = kc_alloc((n + 1) * sizeof(double));
    size_t *filled = kc_alloc((outputs + 1) * sizeof(size_t));

    for (size_t i = 0; i < n; i++) {
        size_t rest = i, o = 0, weight = 1;

        if (op == ACCEL_REDUCE_LOGSUM)
            x[i] = fabsf(x[i]) + 0.01f;
        for (unsigned d = rank; d-- > 0; rest /= dims[d])
            if (!(axes >> d & 1)) {
                o += rest % dims[d] * weight;
                weight *= dims[d];
            }
        sets[o * set + filled[o]++] = (double)x[i];
    }
    KC_CASE("reduce op %d rank %u axes %#x", (int)op, rank, axes);
    if (!accel_reduce(kc_new, pools[kc_below(2)], op, ACCEL_DTYPE_FLOAT, rank, dims, axes, x, got))
        kc_fail("accel_reduce", 0, 1, 0);
    for (size_t o = 0; o < outputs; o++) {
        const double want = reduce_plain(op, set, sets + o * set);

        kc_near(got[o], want, (double)(set + 4) * FLT_EPSILON * (1 + fabs(want)));
    }
    kc_release();
}

static void check_reductions(void)
{
    for (int i = 0; i < 400; i++) {
        const unsigned rank = (unsigned)kc_below(5);
        size_t dims[4];

        for (unsigned d = 0; d < rank; d++)
            dims[d] = 1 + kc_below(rank <= 2 ? 300 : 9);
        check_reduce((enum accel_reduce_op)(i % ACCEL_REDUCE_COUNT), rank, dims,
                     (uint32_t)kc_below(16));
    }
}

static void reductions_of_other_types(void)
{
    struct accel_kernels k;
    const int32_t x[6] = {5, -7, 2, INT32_MAX, 1, 0};
    const int8_t small[3] = {-3, -128, 100};
    const uint8_t truth[4] = {0, 1, 0, 0};
    const double wide[4] = {1, 2, 3, 4};
    const size_t dims[2] = {2, 3}, none[2] = {0, 3}, three[1] = {3}, square[2] = {2, 2};
    int32_t y[3];
    int8_t y8;
    uint8_t yb[2];
    double yd[2];
    float empty[3];
    int64_t arg[3];

    accel_kernels_init(&k, ACCEL_CPU_ALL);
    ok(accel_reduce(&k, NULL, ACCEL_REDUCE_SUM, ACCEL_DTYPE_INT32, 2, dims, 2, x, y) && y[0] == 0 &&
           y[1] == INT32_MAX,
       "int32 sums saturate");
    ok(accel_reduce(&k, NULL, ACCEL_REDUCE_MEAN, ACCEL_DTYPE_INT32, 1, three, 1, x, y) && y[0] == 0,
       "the mean of int32 is cut");
    ok(accel_reduce(&k, NULL, ACCEL_REDUCE_L1, ACCEL_DTYPE_INT32, 1, three, 1, x, y) && y[0] == 14,
       "the L1 norm of int32");
    ok(accel_reduce(&k, NULL, ACCEL_REDUCE_MIN, ACCEL_DTYPE_INT8, 1, three, 1, small, &y8) &&
           y8 == -128,
       "the least int8");
    ok(accel_reduce(&k, NULL, ACCEL_REDUCE_MAX, ACCEL_DTYPE_BOOL, 2, square, 2, truth, yb) &&
           yb[0] == 1 && yb[1] == 0,
       "the largest truth value");
    ok(accel_reduce(&k, NULL, ACCEL_REDUCE_PROD, ACCEL_DTYPE_DOUBLE, 2, square, 1, wide, yd) &&
           yd[0] == 3 && yd[1] == 8,
       "the product of doubles over the first axis");
    ok(!accel_reduce(&k, NULL, ACCEL_REDUCE_SUM, ACCEL_DTYPE_INT8, 1, three, 1, small, &y8),
       "the sum of int8 is refused");
    ok(accel_reduce(&k, NULL, ACCEL_REDUCE_SUM, ACCEL_DTYPE_FLOAT, 2, none, 1, empty, empty) &&
           empty[0] == 0 && empty[2] == 0,
       "an empty sum is 0");
    ok(accel_reduce(&k, NULL, ACCEL_REDUCE_MAX, ACCEL_DTYPE_FLOAT, 2, none, 1, empty, empty) &&
           empty[0] == -INFINITY,
       "an empty maximum is the lowest");
    ok(accel_arg_reduce(NULL, ACCEL_DTYPE_INT32, true, false, 2, 3, 1, x, arg) && arg[0] == 0 &&
           arg[1] == 0,
       "argmax along the last axis");
    ok(accel_arg_reduce(NULL, ACCEL_DTYPE_INT32, false, true, 1, 2, 3, x, arg) && arg[0] == 0 &&
           arg[1] == 0 && arg[2] == 1,
       "argmin along an inner axis");
    const float ties[4] = {2, 7, 7, 1};
    ok(accel_arg_reduce(NULL, ACCEL_DTYPE_FLOAT, true, true, 1, 4, 1, ties, arg) && arg[0] == 2,
       "select_last_index takes the last of equals");
}

int main(int argc, char **argv)
{
    struct accel_error err;

    kc_begin(argc, argv);
    if (accel_pool_new(2, &pools[1], &err) != ACCEL_OK)
        return 1;
    kc_walk("each pool", check_pools);
    kc_walk("softmax", check_softmax);
    kc_walk("each normalisation", check_norms);
    kc_walk("each reduction", check_reductions);
    pools_follow_onnx();
    lrn_follows_onnx();
    reductions_of_other_types();
    accel_pool_free(pools[1]);
    return tap_done();
}
