/* SPDX-License-Identifier: Apache-2.0 */
/* Strided copies, transposes, broadcasting binary operations, where, casts. */
#include "kernels/kc.h"

static struct accel_pool *pools[2]; /* NULL and 2 threads */

static size_t volume(unsigned rank, const size_t *dims)
{
    size_t n = 1;

    for (unsigned d = 0; d < rank; d++)
        n *= dims[d];
    return n;
}

static void check_transpose(void)
{
    static const size_t sizes[] = {1, 2, 4, 8, 16};

    for (int i = 0; i < 400; i++) {
        const unsigned rank = (unsigned)kc_below(6);
        const size_t size = sizes[kc_below(5)];
        size_t dims[5], out[5], step[5], n;
        unsigned perm[5];

        for (unsigned d = 0; d < rank; d++) {
            dims[d] = kc_below(30) == 0 ? 0 : 1 + kc_below(rank < 3 ? 70 : 9);
            perm[d] = d;
        }
        for (unsigned d = rank; d-- > 1;) { /* shuffle */
            const unsigned other = (unsigned)kc_below(d + 1), was = perm[d];

            perm[d] = perm[other];
            perm[other] = was;
        }
        n = volume(rank, dims);
        uint8_t *x = kc_alloc(n * size), *got = kc_alloc(n * size), *want = kc_alloc(n * size);
        for (size_t j = 0; j < n * size; j++)
            x[j] = (uint8_t)kc_random();
        step[0] = 1;
        for (unsigned d = rank; d-- > 0;)
            step[d] = d + 1 == rank ? 1 : step[d + 1] * dims[d + 1];
        for (unsigned d = 0; d < rank; d++)
            out[d] = dims[perm[d]];
        for (size_t o = 0; o < n; o++) {
            size_t rest = o, from = 0;

            for (unsigned d = rank; d-- > 0; rest /= out[d])
                from += rest % out[d] * step[perm[d]];
            memcpy(want + o * size, x + from * size, size);
        }
        KC_CASE("transpose rank %u size %zu", rank, size);
        accel_transpose(pools[kc_below(2)], size, rank, dims, perm, x, got);
        kc_same_bytes(got, want, n * size);
        kc_release();
    }
    if (kc_benching) {
        const size_t dims[3] = {8, 512, 512};
        const unsigned last[3] = {0, 2, 1}, same[3] = {1, 0, 2};
        float *x = kc_floats(8 * 512 * 512), *y = kc_floats(8 * 512 * 512);

        KC_CASE("transpose 8x512x512 0,2,1");
        KC_BENCH_BYTES(8.0 * 8 * 512 * 512, accel_transpose(NULL, 4, 3, dims, last, x, y));
        KC_CASE("transpose 8x512x512 1,0,2");
        KC_BENCH_BYTES(8.0 * 8 * 512 * 512, accel_transpose(NULL, 4, 3, dims, same, x, y));
        kc_release();
    }
}

/* A slice with steps of any sign, into the middle of something larger. */
static void check_slices(void)
{
    for (int i = 0; i < 300; i++) {
        const unsigned rank = 1 + (unsigned)kc_below(4);
        size_t in[4], dims[4], room[4], n_in, n_room, first = 0, into = 0;
        ptrdiff_t src[4], dst[4], step_in = 1, step_out = 1;

        for (unsigned d = 0; d < rank; d++) {
            in[d] = 1 + kc_below(12);
            room[d] = 1 + kc_below(12);
        }
        n_in = volume(rank, in);
        n_room = volume(rank, room);
        for (unsigned d = rank; d-- > 0;) {
            const bool back = kc_below(2), repeat = kc_below(5) == 0;
            const ptrdiff_t step = 1 + (ptrdiff_t)kc_below(3);
            const size_t most = repeat ? 12 : (in[d] - 1) / (size_t)step + 1;

            dims[d] = kc_below(ACCEL_MIN(most, room[d]) + 1);
            src[d] = repeat ? 0 : (back ? -step : step) * step_in;
            dst[d] = step_out;
            first += back && !repeat ? (in[d] - 1) * (size_t)step_in : 0;
            into += (room[d] - dims[d]) * (size_t)step_out;
            step_in *= (ptrdiff_t)in[d];
            step_out *= (ptrdiff_t)room[d];
        }
        const float *x = kc_floats(n_in);
        float *got = kc_floats(n_room), *want = kc_floats(n_room);
        memcpy(want, got, n_room * sizeof(float));
        for (size_t o = 0; o < volume(rank, dims); o++) {
            size_t rest = o;
            ptrdiff_t from = (ptrdiff_t)first, to = (ptrdiff_t)into;

            for (unsigned d = rank; d-- > 0; rest /= dims[d]) {
                from += (ptrdiff_t)(rest % dims[d]) * src[d];
                to += (ptrdiff_t)(rest % dims[d]) * dst[d];
            }
            want[to] = x[from];
        }
        KC_CASE("slice rank %u", rank);
        accel_copy_nd(pools[kc_below(2)], 4, rank, dims, x + first, src, got + into, dst);
        kc_same_bytes(got, want, n_room * sizeof(float));
        kc_release();
    }
}

static void check_broadcast(void)
{
    for (int i = 0; i < 400; i++) {
        const enum accel_binary_op op = (enum accel_binary_op)kc_below(ACCEL_BINARY_F32_COUNT);
        struct accel_nd nd = {.rank = (unsigned)kc_below(6)};
        int64_t shape[2][5];
        unsigned rank[2];
        size_t n = 1, sizes[2] = {1, 1};

        for (unsigned d = 0; d < nd.rank; d++) {
            nd.dims[d] = kc_below(40) == 0 ? 0 : 1 + kc_below(nd.rank < 3 ? 90 : 8);
            n *= nd.dims[d];
        }
        for (unsigned o = 0; o < 2; o++) {
            rank[o] = nd.rank - (unsigned)kc_below(nd.rank + 1);
            for (unsigned d = 0; d < rank[o]; d++) {
                shape[o][d] = kc_below(3) == 0 ? 1 : (int64_t)nd.dims[nd.rank - rank[o] + d];
                sizes[o] *= (size_t)shape[o][d];
            }
            accel_nd_operand(&nd, o, rank[o], shape[o]);
        }
        const float *a = kc_floats(sizes[0]), *b = kc_floats(sizes[1]);
        float *got = kc_floats(n), *want = kc_floats(n);
        uint8_t *less = kc_alloc(n), *less_want = kc_alloc(n), *cond = kc_alloc(sizes[0]);
        float *chosen = kc_floats(n);

        for (size_t j = 0; j < sizes[0]; j++)
            cond[j] = a[j] > 0;
        for (size_t j = 0; j < n; j++) {
            size_t rest = j;
            ptrdiff_t at[2] = {0, 0};

            for (unsigned d = nd.rank; d-- > 0; rest /= nd.dims[d])
                for (unsigned o = 0; o < 2; o++)
                    at[o] += (ptrdiff_t)(rest % nd.dims[d]) * nd.stride[o][d];
            const float x = a[at[0]], y = b[at[1]];
            const float all[] = {
                x + y, x - y, x * y, x / y, x < y ? x : y, x > y ? x : y, x < 0 ? x * y : x};
            want[j] = all[op];
            less_want[j] = x < y;
        }
        KC_CASE("broadcast op %d rank %u", (int)op, nd.rank);
        accel_binary(kc_new, pools[kc_below(2)], op, ACCEL_DTYPE_FLOAT, &nd, a, b, got);
        kc_near_all(n, got, want, 0, 0);
        accel_binary(kc_new, pools[kc_below(2)], ACCEL_BINARY_LT, ACCEL_DTYPE_FLOAT, &nd, a, b,
                     less);
        kc_same_bytes(less, less_want, n);
        /* where(a > 0, b, a): three operands, the third like the first */
        struct accel_nd three = nd;
        memcpy(three.stride[2], nd.stride[0], sizeof(three.stride[2]));
        KC_CASE("where rank %u", nd.rank);
        accel_where(pools[kc_below(2)], 4, &three, cond, b, a, chosen);
        for (size_t j = 0; j < n; j++) {
            size_t rest = j;
            ptrdiff_t at[2] = {0, 0};

            for (unsigned d = nd.rank; d-- > 0; rest /= nd.dims[d])
                for (unsigned o = 0; o < 2; o++)
                    at[o] += (ptrdiff_t)(rest % nd.dims[d]) * nd.stride[o][d];
            kc_near(chosen[j], a[at[0]] > 0 ? b[at[1]] : a[at[0]], 0);
        }
        kc_release();
    }
}

/* One pair of values through an operation. */
#define PAIR(T, DTYPE, OP, x, y, want)                                                         \
    do {                                                                                       \
        const T a_ = (x), b_ = (y);                                                            \
        T got_ = 99;                                                                           \
        struct accel_nd nd_ = {.rank = 0};                                                     \
        accel_binary(&k, NULL, ACCEL_BINARY_##OP, ACCEL_DTYPE_##DTYPE, &nd_, &a_, &b_, &got_); \
        ok(got_ == (T)(want), #DTYPE ": " #OP "(" #x ", " #y ") is " #want);                   \
    } while (0)

static void integers_follow_onnx(void)
{
    struct accel_kernels k;

    accel_kernels_init(&k, ACCEL_CPU_ALL);
    PAIR(int32_t, INT32, ADD, INT32_MAX, 1, INT32_MIN);
    PAIR(int32_t, INT32, MUL, INT32_MIN, -1, INT32_MIN);
    PAIR(int32_t, INT32, DIV, 7, -2, -3);
    PAIR(int32_t, INT32, DIV, 7, 0, 0);
    PAIR(int32_t, INT32, DIV, INT32_MIN, -1, INT32_MIN);
    PAIR(int64_t, INT64, MOD, -7, 3, 2);
    PAIR(int64_t, INT64, MOD, 7, -3, -2);
    PAIR(int64_t, INT64, FMOD, -7, 3, -1);
    PAIR(int64_t, INT64, MOD, INT64_MIN, -1, 0);
    PAIR(int64_t, INT64, MOD, 5, 0, 0);
    PAIR(int32_t, INT32, POW, 3, 4, 81);
    PAIR(int32_t, INT32, POW, 2, -1, 0);
    PAIR(int32_t, INT32, POW, -1, -3, -1);
    PAIR(int8_t, INT8, SUB, -128, 1, 127);
    PAIR(uint8_t, UINT8, SHL, 200, 1, 144);
    PAIR(uint8_t, UINT8, SHR, 200, 3, 25);
    PAIR(uint32_t, UINT32, SHL, 1, 32, 0);
    PAIR(uint16_t, UINT16, MUL, 65535, 65535, 1);
    PAIR(uint64_t, UINT64, XOR, 12, 10, 6);
    PAIR(int32_t, INT32, MAX, -5, 3, 3);
    PAIR(uint8_t, BOOL, AND, 1, 0, 0);
    PAIR(uint8_t, BOOL, XOR, 1, 0, 1);
    PAIR(double, DOUBLE, MOD, -4.3, 2.1, fmod(-4.3, 2.1) + 2.1);
    PAIR(float, FLOAT, MOD, -3, 2, 1);
    PAIR(float, FLOAT, FMOD, -3, 2, -1);
    PAIR(float, FLOAT, POW, 2, 10, 1024);
    ok(!accel_binary_supported(ACCEL_BINARY_AND, ACCEL_DTYPE_FLOAT), "and of floats is refused");
}

static void casts_follow_onnx(void)
{
    struct accel_kernels k;
    const float x[] = {1.9f, -1.9f, 300, -1, 1e20f, -1e20f, NAN, 0};
    int32_t i32[8];
    uint8_t u8[8], truth[8];
    int64_t i64[8];
    uint16_t half[8];
    double wide[8];
    const int64_t large[] = {INT64_MAX, -1, 256, 65504};
    int32_t cut[4];

    accel_kernels_init(&k, ACCEL_CPU_ALL);
    accel_convert(&k, NULL, 8, ACCEL_DTYPE_FLOAT, x, ACCEL_DTYPE_INT32, i32);
    ok(i32[0] == 1 && i32[1] == -1 && i32[2] == 300, "float to int32 cuts towards 0");
    ok(i32[4] == INT32_MIN && i32[5] == INT32_MIN && i32[6] == INT32_MIN,
       "float to int32: the smallest number for what has none, as on x86");
    accel_convert(&k, NULL, 8, ACCEL_DTYPE_FLOAT, x, ACCEL_DTYPE_INT64, i64);
    ok(i64[4] == INT64_MIN && i64[5] == INT64_MIN, "float to int64 likewise");
    accel_convert(&k, NULL, 8, ACCEL_DTYPE_FLOAT, x, ACCEL_DTYPE_UINT8, u8);
    ok(u8[0] == 1 && u8[2] == 44 && u8[3] == 255, "float to uint8 wraps");
    accel_convert(&k, NULL, 8, ACCEL_DTYPE_FLOAT, x, ACCEL_DTYPE_BOOL, truth);
    ok(truth[0] == 1 && truth[6] == 1 && truth[7] == 0, "what is not 0 is true");
    accel_convert(&k, NULL, 4, ACCEL_DTYPE_INT64, large, ACCEL_DTYPE_INT32, cut);
    ok(cut[0] == -1 && cut[1] == -1 && cut[2] == 256, "int64 to int32 wraps");
    accel_convert(&k, NULL, 4, ACCEL_DTYPE_INT64, large, ACCEL_DTYPE_FLOAT16, half);
    ok(half[0] == 0x7c00 && half[1] == 0xbc00 && half[3] == 0x7bff, "int64 to float16");
    accel_convert(&k, NULL, 4, ACCEL_DTYPE_FLOAT16, half, ACCEL_DTYPE_DOUBLE, wide);
    ok(wide[0] == HUGE_VAL && wide[1] == -1 && wide[3] == 65504, "float16 to double");
    accel_convert(&k, NULL, 4, ACCEL_DTYPE_FLOAT16, half, ACCEL_DTYPE_BFLOAT16, half);
    ok(half[1] == 0xbf80, "float16 to bfloat16");
    ok(!accel_convert(&k, NULL, 1, ACCEL_DTYPE_STRING, x, ACCEL_DTYPE_FLOAT, wide),
       "a string is refused");
    accel_isnan(ACCEL_DTYPE_FLOAT, 8, x, truth);
    ok(truth[6] == 1 && truth[0] == 0, "NaN is found");
    const double ends[] = {HUGE_VAL, -HUGE_VAL, 1};
    accel_isinf(ACCEL_DTYPE_DOUBLE, 3, ends, false, true, truth);
    ok(truth[0] == 1 && truth[1] == 0 && truth[2] == 0, "only positive infinity, as asked");
}

int main(int argc, char **argv)
{
    struct accel_error err;

    kc_begin(argc, argv);
    if (accel_pool_new(2, &pools[1], &err) != ACCEL_OK)
        return 1;
    kc_walk("the transpose", check_transpose);
    kc_walk("the strided copy", check_slices);
    kc_walk("a broadcast operation", check_broadcast);
    integers_follow_onnx();
    casts_follow_onnx();
    accel_pool_free(pools[1]);
    return tap_done();
}
