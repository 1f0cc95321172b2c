/* SPDX-License-Identifier: Apache-2.0 */
/* ONNX Cast between the types of fixed size. */
#include <string.h>

#include "infer/kernels/microkernels.h"

#define GRAIN 16384
/* Half floats go through a row of floats on the stack. */
#define ROW   512

struct convert_job {
    const struct accel_kernels *kernels;
    enum accel_dtype from, to;
    const void *x;
    void *y;
};

/* Out of range is undefined in ONNX and in C: here it saturates at the 32- and 64-bit types and
 * wraps from 32 bits to the narrower ones, which is what x86 code compiled from C does in range. */
static int32_t to_i32(double v)
{
    if (v != v)
        return 0;
    return v >= 0x1p31 ? INT32_MAX : (v < -0x1p31 ? INT32_MIN : (int32_t)v);
}

static uint32_t to_u32(double v)
{
    if (v != v)
        return 0;
    /* A negative value wraps as it would by way of the signed type. */
    return v >= 0x1p32 ? UINT32_MAX : (v < 0 ? (uint32_t)to_i32(v) : (uint32_t)v);
}

static int64_t to_i64(double v)
{
    if (v != v)
        return 0;
    return v >= 0x1p63 ? INT64_MAX : (v < -0x1p63 ? INT64_MIN : (int64_t)v);
}

static uint64_t to_u64(double v)
{
    if (v != v)
        return 0;
    return v >= 0x1p64 ? UINT64_MAX : (v < 0 ? (uint64_t)to_i64(v) : (uint64_t)v);
}

#define TO(T, expression)                  \
    do {                                   \
        T *y = to;                         \
        for (size_t i = 0; i < n; i++) {   \
            const __typeof__(*x) v = x[i]; \
            y[i] = (T)(expression);        \
        }                                  \
    } while (0)

/* I32 and so on: how a value of the source type becomes an integer. */
#define FROM(S, I32, U32, I64, U64)                                                   \
    static bool from_##S(size_t n, const void *from, enum accel_dtype type, void *to) \
    {                                                                                 \
        const S *x = from;                                                            \
        switch (type) {                                                               \
        case ACCEL_DTYPE_FLOAT:                                                       \
            TO(float, v);                                                             \
            return true;                                                              \
        case ACCEL_DTYPE_DOUBLE:                                                      \
            TO(double, v);                                                            \
            return true;                                                              \
        case ACCEL_DTYPE_BOOL:                                                        \
            TO(uint8_t, v != 0);                                                      \
            return true;                                                              \
        case ACCEL_DTYPE_INT8:                                                        \
            TO(int8_t, I32(v));                                                       \
            return true;                                                              \
        case ACCEL_DTYPE_UINT8:                                                       \
            TO(uint8_t, I32(v));                                                      \
            return true;                                                              \
        case ACCEL_DTYPE_INT16:                                                       \
            TO(int16_t, I32(v));                                                      \
            return true;                                                              \
        case ACCEL_DTYPE_UINT16:                                                      \
            TO(uint16_t, I32(v));                                                     \
            return true;                                                              \
        case ACCEL_DTYPE_INT32:                                                       \
            TO(int32_t, I32(v));                                                      \
            return true;                                                              \
        case ACCEL_DTYPE_UINT32:                                                      \
            TO(uint32_t, U32(v));                                                     \
            return true;                                                              \
        case ACCEL_DTYPE_INT64:                                                       \
            TO(int64_t, I64(v));                                                      \
            return true;                                                              \
        case ACCEL_DTYPE_UINT64:                                                      \
            TO(uint64_t, U64(v));                                                     \
            return true;                                                              \
        default:                                                                      \
            return false;                                                             \
        }                                                                             \
    }

#define AS_IS(v) (v)
#define F_I32(v) to_i32((double)(v))
#define F_U32(v) to_u32((double)(v))
#define F_I64(v) to_i64((double)(v))
#define F_U64(v) to_u64((double)(v))
FROM(float, F_I32, F_U32, F_I64, F_U64)
FROM(double, F_I32, F_U32, F_I64, F_U64)
FROM(int8_t, AS_IS, AS_IS, AS_IS, AS_IS)
FROM(uint8_t, AS_IS, AS_IS, AS_IS, AS_IS)
FROM(int16_t, AS_IS, AS_IS, AS_IS, AS_IS)
FROM(uint16_t, AS_IS, AS_IS, AS_IS, AS_IS)
FROM(int32_t, AS_IS, AS_IS, AS_IS, AS_IS)
FROM(uint32_t, AS_IS, AS_IS, AS_IS, AS_IS)
FROM(int64_t, AS_IS, AS_IS, AS_IS, AS_IS)
FROM(uint64_t, AS_IS, AS_IS, AS_IS, AS_IS)

static bool convert_plain(size_t n, enum accel_dtype from, const void *x, enum accel_dtype to,
                          void *y)
{
    switch (from) {
    case ACCEL_DTYPE_FLOAT:
        return from_float(n, x, to, y);
    case ACCEL_DTYPE_DOUBLE:
        return from_double(n, x, to, y);
    case ACCEL_DTYPE_INT8:
        return from_int8_t(n, x, to, y);
    case ACCEL_DTYPE_UINT8:
    case ACCEL_DTYPE_BOOL:
        return from_uint8_t(n, x, to, y);
    case ACCEL_DTYPE_INT16:
        return from_int16_t(n, x, to, y);
    case ACCEL_DTYPE_UINT16:
        return from_uint16_t(n, x, to, y);
    case ACCEL_DTYPE_INT32:
        return from_int32_t(n, x, to, y);
    case ACCEL_DTYPE_UINT32:
        return from_uint32_t(n, x, to, y);
    case ACCEL_DTYPE_INT64:
        return from_int64_t(n, x, to, y);
    case ACCEL_DTYPE_UINT64:
        return from_uint64_t(n, x, to, y);
    default:
        return false;
    }
}

static size_t size_of(enum accel_dtype dtype)
{
    switch (dtype) {
    case ACCEL_DTYPE_BOOL:
    case ACCEL_DTYPE_INT8:
    case ACCEL_DTYPE_UINT8:
        return 1;
    case ACCEL_DTYPE_INT16:
    case ACCEL_DTYPE_UINT16:
    case ACCEL_DTYPE_FLOAT16:
    case ACCEL_DTYPE_BFLOAT16:
        return 2;
    case ACCEL_DTYPE_FLOAT:
    case ACCEL_DTYPE_INT32:
    case ACCEL_DTYPE_UINT32:
        return 4;
    case ACCEL_DTYPE_DOUBLE:
    case ACCEL_DTYPE_INT64:
    case ACCEL_DTYPE_UINT64:
        return 8;
    default:
        return 0;
    }
}

static bool is_half(enum accel_dtype dtype)
{
    return dtype == ACCEL_DTYPE_FLOAT16 || dtype == ACCEL_DTYPE_BFLOAT16;
}

static void widen(const struct accel_kernels *k, enum accel_dtype from, size_t n, const void *x,
                  float *y)
{
    (from == ACCEL_DTYPE_FLOAT16 ? k->f16_to_f32 : k->bf16_to_f32)(n, x, y);
}

static void narrow(const struct accel_kernels *k, enum accel_dtype to, size_t n, const float *x,
                   void *y)
{
    (to == ACCEL_DTYPE_FLOAT16 ? k->f32_to_f16 : k->f32_to_bf16)(n, x, y);
}

static void convert_range(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct convert_job *job = context;
    const char *x = (const char *)job->x + begin * size_of(job->from);
    char *y = (char *)job->y + begin * size_of(job->to);
    const size_t n = end - begin;

    (void)thread;
    if (!is_half(job->from) && !is_half(job->to)) {
        convert_plain(n, job->from, x, job->to, y);
        return;
    }
    if (is_half(job->from) && job->to == ACCEL_DTYPE_FLOAT) {
        widen(job->kernels, job->from, n, x, (float *)(void *)y);
        return;
    }
    if (is_half(job->to) && job->from == ACCEL_DTYPE_FLOAT) {
        narrow(job->kernels, job->to, n, (const float *)(const void *)x, y);
        return;
    }
    /* A double or a large integer is rounded twice on its way to a half,
     * first to float; ONNX Runtime does the same. */
    for (size_t i = 0; i < n; i += ROW) {
        const size_t m = ACCEL_MIN((size_t)ROW, n - i);
        float row[ROW];

        if (is_half(job->from))
            widen(job->kernels, job->from, m, x + i * 2, row);
        else
            convert_plain(m, job->from, x + i * size_of(job->from), ACCEL_DTYPE_FLOAT, row);
        if (is_half(job->to))
            narrow(job->kernels, job->to, m, row, y + i * 2);
        else
            convert_plain(m, ACCEL_DTYPE_FLOAT, row, job->to, y + i * size_of(job->to));
    }
}

bool accel_convert(const struct accel_kernels *kernels, struct accel_pool *pool, size_t n,
                   enum accel_dtype from, const void *x, enum accel_dtype to, void *y)
{
    struct convert_job job = {.kernels = kernels, .from = from, .to = to, .x = x, .y = y};

    if (size_of(from) == 0 || size_of(to) == 0)
        return false;
    if (from == to) {
        if (n > 0)
            memcpy(y, x, n * size_of(from));
        return true;
    }
    accel_pool_run(pool, n, GRAIN, convert_range, &job);
    return true;
}
