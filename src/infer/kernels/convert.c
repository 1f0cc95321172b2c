/* SPDX-License-Identifier: Apache-2.0 */
/* ONNX Cast between the types of fixed size. */
#include <string.h>

#include "infer/kernels/microkernels.h"
#include "infer/kernels/small.h"

#define GRAIN 16384
/* Floats of 16 bits and less go through a row of floats on the stack. */
#define ROW   512

struct convert_job {
    const struct accel_kernels *kernels;
    enum accel_dtype from, to;
    const void *x;
    void *y;
    const struct accel_cast *cast;
};

/* Out of range is undefined in ONNX and in C. ONNX Runtime gives what x86 has for it, and so does
 * this: the smallest number of the 32- or 64-bit type, also for NaN, of which narrower types take
 * the low bits; unsigned types of 32 and 64 bits count on from 2^31 and 2^63, and give 0 beyond
 * their end. */
static int32_t to_i32(double v)
{
    return v > -0x1p31 && v < 0x1p31 ? (int32_t)v : INT32_MIN;
}

static uint32_t to_u32(double v)
{
    return v >= 0x1p31 ? (uint32_t)to_i32(v - 0x1p31) ^ 0x80000000u : (uint32_t)to_i32(v);
}

static int64_t to_i64(double v)
{
    return v > -0x1p63 && v < 0x1p63 ? (int64_t)v : INT64_MIN;
}

static uint64_t to_u64(double v)
{
    return v >= 0x1p63 ? (uint64_t)to_i64(v - 0x1p63) ^ (uint64_t)INT64_MIN : (uint64_t)to_i64(v);
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

/* Of the types that are converted here. */
static size_t size_of(enum accel_dtype dtype)
{
    return dtype == ACCEL_DTYPE_COMPLEX64 || dtype == ACCEL_DTYPE_COMPLEX128
               ? 0
               : accel_dtype_size(dtype);
}

/* Converted by way of float. */
static bool by_float(enum accel_dtype dtype)
{
    return dtype == ACCEL_DTYPE_FLOAT16 || dtype == ACCEL_DTYPE_BFLOAT16 ||
           accel_is_small_float(dtype);
}

static void widen(const struct accel_kernels *k, enum accel_dtype from, size_t n, const void *x,
                  float *y)
{
    if (from == ACCEL_DTYPE_FLOAT16)
        k->f16_to_f32(n, x, y);
    else if (from == ACCEL_DTYPE_BFLOAT16)
        k->bf16_to_f32(n, x, y);
    else
        accel_small_to_floats(from, n, x, y);
}

static void narrow(const struct convert_job *job, size_t n, const float *x, void *y)
{
    if (job->to == ACCEL_DTYPE_FLOAT16)
        job->kernels->f32_to_f16(n, x, y);
    else if (job->to == ACCEL_DTYPE_BFLOAT16)
        job->kernels->f32_to_bf16(n, x, y);
    else
        for (size_t i = 0; i < n; i++)
            ((uint8_t *)y)[i] = accel_small_from_float(job->to, x[i], job->cast);
}

static bool is_float(enum accel_dtype dtype)
{
    return dtype == ACCEL_DTYPE_FLOAT || dtype == ACCEL_DTYPE_DOUBLE || by_float(dtype);
}

/* To INT4 and its kin: from floats by way of float, from integers by their low byte. */
static void to_small_ints(const struct convert_job *job, size_t n, const char *x, uint8_t *y)
{
    for (size_t i = 0; i < n; i += ROW) {
        const size_t m = ACCEL_MIN((size_t)ROW, n - i);
        const char *from = x + i * size_of(job->from);
        float row[ROW];

        if (is_float(job->from)) {
            if (by_float(job->from))
                widen(job->kernels, job->from, m, from, row);
            else
                convert_plain(m, job->from, from, ACCEL_DTYPE_FLOAT, row);
            for (size_t k = 0; k < m; k++)
                y[i + k] = accel_small_int_from_float(job->to, row[k]);
        } else {
            convert_plain(m, job->from, from, ACCEL_DTYPE_UINT8, y + i);
            for (size_t k = 0; k < m; k++)
                y[i + k] = accel_small_int(job->to, y[i + k]);
        }
    }
}

static void convert_range(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct convert_job *job = context;
    const char *x = (const char *)job->x + begin * size_of(job->from);
    char *y = (char *)job->y + begin * size_of(job->to);
    const size_t n = end - begin;

    (void)thread;
    if (accel_small_int_bits(job->to) != 0) {
        to_small_ints(job, n, x, (uint8_t *)y);
        return;
    }
    if (!by_float(job->from) && !by_float(job->to)) {
        convert_plain(n, job->from, x, job->to, y);
        return;
    }
    /* ONNX Runtime asks whether the byte is 0: -0 is true, 2^-127 (code 0) is false. */
    if (job->to == ACCEL_DTYPE_BOOL && accel_is_small_float(job->from) &&
        accel_dtype_bits(job->from) == 8) {
        for (size_t i = 0; i < n; i++)
            y[i] = x[i] != 0;
        return;
    }
    if (by_float(job->from) && job->to == ACCEL_DTYPE_FLOAT) {
        widen(job->kernels, job->from, n, x, (float *)(void *)y);
        return;
    }
    if (by_float(job->to) && job->from == ACCEL_DTYPE_FLOAT) {
        narrow(job, n, (const float *)(const void *)x, y);
        return;
    }
    /* A double or a large integer is rounded twice on its way to a half,
     * first to float; ONNX Runtime does the same. */
    for (size_t i = 0; i < n; i += ROW) {
        const size_t m = ACCEL_MIN((size_t)ROW, n - i);
        float row[ROW];

        if (by_float(job->from))
            widen(job->kernels, job->from, m, x + i * size_of(job->from), row);
        else
            convert_plain(m, job->from, x + i * size_of(job->from), ACCEL_DTYPE_FLOAT, row);
        if (by_float(job->to))
            narrow(job, m, row, y + i * size_of(job->to));
        else
            convert_plain(m, ACCEL_DTYPE_FLOAT, row, job->to, y + i * size_of(job->to));
    }
}

bool accel_cast(const struct accel_kernels *kernels, struct accel_pool *pool, size_t n,
                enum accel_dtype from, const void *x, enum accel_dtype to, void *y,
                const struct accel_cast *cast)
{
    static const struct accel_cast otherwise = {.saturate = true, .round = ACCEL_ROUND_UP};
    struct convert_job job = {.kernels = kernels,
                              .from = from,
                              .to = to,
                              .x = x,
                              .y = y,
                              .cast = cast != NULL ? cast : &otherwise};

    if (size_of(from) == 0 || size_of(to) == 0)
        return false;
    if (from == to) {
        if (n > 0)
            memcpy(y, x, n * size_of(from));
        return true;
    }
    /* They lie in bytes as the types of eight bits do. */
    if (accel_small_int_bits(from) != 0)
        job.from = accel_small_int_signed(from) ? ACCEL_DTYPE_INT8 : ACCEL_DTYPE_UINT8;
    accel_pool_run(pool, n, GRAIN, convert_range, &job);
    return true;
}

bool accel_convert(const struct accel_kernels *kernels, struct accel_pool *pool, size_t n,
                   enum accel_dtype from, const void *x, enum accel_dtype to, void *y)
{
    return accel_cast(kernels, pool, n, from, x, to, y, NULL);
}
