/* SPDX-License-Identifier: Apache-2.0 */
/* Unary, binary and ternary operations on every numeric type, by broadcasting strides. */
#include <assert.h>
#include <math.h>

#include "infer/kernels/microkernels.h"
#include "infer/kernels/nd.h"

/* Elements per piece of threaded work: some microseconds, so that small tensors stay on one thread.
 */
#define GRAIN 16384

/* ---------------------------------------------------------------- unary */

struct unary_job {
    const struct accel_kernels *kernels;
    enum accel_unary_op op;
    float alpha, beta;
    enum accel_dtype dtype;
    const void *x;
    void *y;
};

static bool is_integer(enum accel_dtype dtype)
{
    switch (dtype) {
    case ACCEL_DTYPE_INT8:
    case ACCEL_DTYPE_INT16:
    case ACCEL_DTYPE_INT32:
    case ACCEL_DTYPE_INT64:
    case ACCEL_DTYPE_UINT8:
    case ACCEL_DTYPE_UINT16:
    case ACCEL_DTYPE_UINT32:
    case ACCEL_DTYPE_UINT64:
        return true;
    default:
        return false;
    }
}

bool accel_unary_supported(enum accel_unary_op op, enum accel_dtype dtype)
{
    if (dtype == ACCEL_DTYPE_FLOAT || dtype == ACCEL_DTYPE_DOUBLE)
        return op < ACCEL_UNARY_NOT;
    if (dtype == ACCEL_DTYPE_BOOL)
        return op == ACCEL_UNARY_NOT || op == ACCEL_UNARY_IDENTITY;
    return is_integer(dtype) &&
           (op == ACCEL_UNARY_IDENTITY || op == ACCEL_UNARY_RELU || op == ACCEL_UNARY_ABS ||
            op == ACCEL_UNARY_NEG || op == ACCEL_UNARY_SIGN || op == ACCEL_UNARY_SQUARE ||
            op == ACCEL_UNARY_NOT || op == ACCEL_UNARY_SHRINK);
}

/* In float, then cut to the integer, as ONNX Runtime does it. */
static int64_t shrink(float v, const struct unary_job *job)
{
    const float y = v < -job->alpha ? v + job->beta : v > job->alpha ? v - job->beta : 0;

    return y > -0x1p63f && y < 0x1p63f ? (int64_t)y : INT64_MIN;
}

/* U: the unsigned type of the same size, in which overflow wraps. */
#define INTEGER_UNARY(T, U)                              \
    do {                                                 \
        const T *x = (const T *)job->x + begin;          \
        T *y = (T *)job->y + begin;                      \
        for (size_t i = 0; i < n; i++) {                 \
            const T v = x[i];                            \
            switch (job->op) {                           \
            case ACCEL_UNARY_RELU:                       \
                y[i] = v > 0 ? v : 0;                    \
                break;                                   \
            case ACCEL_UNARY_ABS:                        \
                y[i] = v > 0 ? v : (T)(0 - (U)v);        \
                break;                                   \
            case ACCEL_UNARY_NEG:                        \
                y[i] = (T)(0 - (U)v);                    \
                break;                                   \
            case ACCEL_UNARY_SIGN:                       \
                y[i] = v > 0 ? 1 : (v == 0 ? 0 : (T)-1); \
                break;                                   \
            case ACCEL_UNARY_SQUARE:                     \
                y[i] = (T)((U)v * (U)v);                 \
                break;                                   \
            case ACCEL_UNARY_NOT:                        \
                y[i] = (T) ~(U)v;                        \
                break;                                   \
            case ACCEL_UNARY_SHRINK:                     \
                y[i] = (T)shrink((float)v, job);         \
                break;                                   \
            default:                                     \
                y[i] = v;                                \
            }                                            \
        }                                                \
    } while (0)

static void unary_range(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct unary_job *job = context;
    const size_t n = end - begin;

    (void)thread;
    switch (job->dtype) {
    case ACCEL_DTYPE_FLOAT:
        job->kernels->f32_unary[job->op](n, (const float *)job->x + begin, (float *)job->y + begin,
                                         job->alpha, job->beta);
        break;
    case ACCEL_DTYPE_DOUBLE:
        accel_f64_unary__ref[job->op](n, (const double *)job->x + begin, (double *)job->y + begin,
                                      (double)job->alpha, (double)job->beta);
        break;
    case ACCEL_DTYPE_BOOL: {
        const uint8_t *x = (const uint8_t *)job->x + begin;
        uint8_t *y = (uint8_t *)job->y + begin;

        for (size_t i = 0; i < n; i++)
            y[i] = job->op == ACCEL_UNARY_NOT ? !x[i] : x[i];
        break;
    }
    case ACCEL_DTYPE_INT8:
        INTEGER_UNARY(int8_t, uint32_t);
        break;
    case ACCEL_DTYPE_INT16:
        INTEGER_UNARY(int16_t, uint32_t);
        break;
    case ACCEL_DTYPE_INT32:
        INTEGER_UNARY(int32_t, uint32_t);
        break;
    case ACCEL_DTYPE_INT64:
        INTEGER_UNARY(int64_t, uint64_t);
        break;
    case ACCEL_DTYPE_UINT8:
        INTEGER_UNARY(uint8_t, uint32_t);
        break;
    case ACCEL_DTYPE_UINT16:
        INTEGER_UNARY(uint16_t, uint32_t);
        break;
    case ACCEL_DTYPE_UINT32:
        INTEGER_UNARY(uint32_t, uint32_t);
        break;
    case ACCEL_DTYPE_UINT64:
        INTEGER_UNARY(uint64_t, uint64_t);
        break;
    default:
        assert(!"a type that accel_unary_supported refuses");
    }
}

void accel_unary(const struct accel_kernels *kernels, struct accel_pool *pool,
                 enum accel_unary_op op, float alpha, float beta, enum accel_dtype dtype, size_t n,
                 const void *x, void *y)
{
    struct unary_job job = {
        .kernels = kernels, .op = op, .alpha = alpha, .beta = beta, .dtype = dtype, .x = x, .y = y};

    assert(accel_unary_supported(op, dtype));
    accel_pool_run(pool, n, GRAIN, unary_range, &job);
}

/* ---------------------------------------------------------------- binary */

struct binary_job {
    const struct accel_kernels *kernels;
    enum accel_binary_op op;
    enum accel_dtype dtype;
    struct accel_nd nd;
    const void *a, *b;
    void *y;
};

bool accel_binary_supported(enum accel_binary_op op, enum accel_dtype dtype)
{
    switch (op) {
    case ACCEL_BINARY_AND:
    case ACCEL_BINARY_OR:
    case ACCEL_BINARY_XOR:
        return is_integer(dtype) || dtype == ACCEL_DTYPE_BOOL;
    case ACCEL_BINARY_SHL:
    case ACCEL_BINARY_SHR:
        return is_integer(dtype);
    case ACCEL_BINARY_EQ:
        if (dtype == ACCEL_DTYPE_BOOL)
            return true;
        break;
    default:
        break;
    }
    return is_integer(dtype) || dtype == ACCEL_DTYPE_FLOAT || dtype == ACCEL_DTYPE_DOUBLE;
}

/* Python's modulo of floats: the sign of the divisor (numpy.mod). */
static double floor_mod(double a, double b)
{
    const double r = fmod(a, b);

    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

/* base^exponent wrapping; a negative exponent gives 1/x cut to an integer. */
static uint64_t integer_power(uint64_t base, uint64_t exponent)
{
    uint64_t result = 1;

    for (; exponent > 0; exponent >>= 1, base *= base)
        if (exponent & 1)
            result *= base;
    return result;
}

static uint64_t signed_power(int64_t base, int64_t exponent)
{
    if (exponent >= 0)
        return integer_power((uint64_t)base, (uint64_t)exponent);
    if (base == 1)
        return 1;
    if (base == -1)
        return exponent % 2 != 0 ? (uint64_t)-1 : 1;
    return 0; /* base 0: 1/0, which has no integer */
}

#define LOOP(TY, expression)                                                            \
    do {                                                                                \
        TY *y = (TY *)job->y + at;                                                      \
        for (size_t i = 0; i < n; i++) {                                                \
            const __typeof__(*pa) a = pa[(ptrdiff_t)i * sa], b = pb[(ptrdiff_t)i * sb]; \
            y[i] = (TY)(expression);                                                    \
        }                                                                               \
    } while (0)

#define COMPARE(T)             \
    case ACCEL_BINARY_EQ:      \
        LOOP(uint8_t, a == b); \
        break;                 \
    case ACCEL_BINARY_LT:      \
        LOOP(uint8_t, a < b);  \
        break;                 \
    case ACCEL_BINARY_LE:      \
        LOOP(uint8_t, a <= b); \
        break;                 \
    case ACCEL_BINARY_GT:      \
        LOOP(uint8_t, a > b);  \
        break;                 \
    case ACCEL_BINARY_GE:      \
        LOOP(uint8_t, a >= b); \
        break;

#define FLOAT_ROW(T, powT)                                                                 \
    static void T##_row(const struct binary_job *job, size_t n, const T *pa, ptrdiff_t sa, \
                        const T *pb, ptrdiff_t sb, size_t at)                              \
    {                                                                                      \
        switch (job->op) {                                                                 \
        case ACCEL_BINARY_ADD:                                                             \
            LOOP(T, a + b);                                                                \
            break;                                                                         \
        case ACCEL_BINARY_SUB:                                                             \
            LOOP(T, a - b);                                                                \
            break;                                                                         \
        case ACCEL_BINARY_MUL:                                                             \
            LOOP(T, a *b);                                                                 \
            break;                                                                         \
        case ACCEL_BINARY_DIV:                                                             \
            LOOP(T, a / b);                                                                \
            break;                                                                         \
        case ACCEL_BINARY_MIN:                                                             \
            LOOP(T, a != a || a < b ? a : b);                                              \
            break;                                                                         \
        case ACCEL_BINARY_MAX:                                                             \
            LOOP(T, a != a || a > b ? a : b);                                              \
            break;                                                                         \
        case ACCEL_BINARY_PRELU:                                                           \
            LOOP(T, a < 0 ? a * b : a);                                                    \
            break;                                                                         \
        case ACCEL_BINARY_POW:                                                             \
            LOOP(T, powT(a, b));                                                           \
            break;                                                                         \
        case ACCEL_BINARY_MOD:                                                             \
            LOOP(T, floor_mod((double)a, (double)b));                                      \
            break;                                                                         \
        case ACCEL_BINARY_FMOD:                                                            \
            LOOP(T, fmod((double)a, (double)b));                                           \
            break;                                                                         \
            COMPARE(T)                                                                     \
        default:                                                                           \
            assert(!"an operation that accel_binary_supported refuses");                   \
        }                                                                                  \
    }
FLOAT_ROW(float, powf)
FLOAT_ROW(double, pow)

/* What is left of a shifted out to the right: its sign. */
#define SIGNS(T, a) ((T)-1 > (T)0 ? (T)0 : (T)((a) >> (8 * sizeof(T) - 1)))
/* W: the unsigned type of at least 32 bits in which sums and products wrap. MINUS_ONE(b): true for
 * the divisor that traps with the smallest value. */
#define INTEGER_ROW(T, W, MOD, POW, MINUS_ONE)                                             \
    static void T##_row(const struct binary_job *job, size_t n, const T *pa, ptrdiff_t sa, \
                        const T *pb, ptrdiff_t sb, size_t at)                              \
    {                                                                                      \
        switch (job->op) {                                                                 \
        case ACCEL_BINARY_ADD:                                                             \
            LOOP(T, (W)a + (W)b);                                                          \
            break;                                                                         \
        case ACCEL_BINARY_SUB:                                                             \
            LOOP(T, (W)a - (W)b);                                                          \
            break;                                                                         \
        case ACCEL_BINARY_MUL:                                                             \
            LOOP(T, (W)a *(W)b);                                                           \
            break;                                                                         \
        case ACCEL_BINARY_DIV:                                                             \
            LOOP(T, b == 0 ? 0 : (MINUS_ONE(b) ? (T)(0 - (W)a) : (T)(a / b)));             \
            break;                                                                         \
        case ACCEL_BINARY_MIN:                                                             \
            LOOP(T, a < b ? a : b);                                                        \
            break;                                                                         \
        case ACCEL_BINARY_MAX:                                                             \
            LOOP(T, a > b ? a : b);                                                        \
            break;                                                                         \
        case ACCEL_BINARY_PRELU:                                                           \
            LOOP(T, a > 0 ? (W)a : (W)a * (W)b);                                           \
            break;                                                                         \
        case ACCEL_BINARY_POW:                                                             \
            LOOP(T, POW(a, b));                                                            \
            break;                                                                         \
        case ACCEL_BINARY_MOD:                                                             \
            LOOP(T, b == 0 || MINUS_ONE(b) ? 0 : MOD(a, b));                               \
            break;                                                                         \
        case ACCEL_BINARY_FMOD:                                                            \
            LOOP(T, b == 0 || MINUS_ONE(b) ? 0 : a % b);                                   \
            break;                                                                         \
        case ACCEL_BINARY_AND:                                                             \
            LOOP(T, a &b);                                                                 \
            break;                                                                         \
        case ACCEL_BINARY_OR:                                                              \
            LOOP(T, a | b);                                                                \
            break;                                                                         \
        case ACCEL_BINARY_XOR:                                                             \
            LOOP(T, a ^ b);                                                                \
            break;                                                                         \
        case ACCEL_BINARY_SHL: /* a shift by the width or more leaves nothing */           \
            LOOP(T, (uint64_t)b >= 8 * sizeof(T) ? (W)0 : (W)a << b);                      \
            break;                                                                         \
        case ACCEL_BINARY_SHR:                                                             \
            LOOP(T, (uint64_t)b >= 8 * sizeof(T) ? SIGNS(T, a) : (T)(a >> b));             \
            break;                                                                         \
            COMPARE(T)                                                                     \
        default:                                                                           \
            assert(!"an operation that accel_binary_supported refuses");                   \
        }                                                                                  \
    }

#define MOD_SIGNED(a, b) \
    ((a) % (b) != 0 && ((a) % (b) < 0) != ((b) < 0) ? (a) % (b) + (b) : (a) % (b))
#define MOD_UNSIGNED(a, b) ((a) % (b))
#define IS_MINUS_ONE(b)    ((b) == -1)
#define NEVER(b)           false
INTEGER_ROW(int8_t, uint32_t, MOD_SIGNED, signed_power, IS_MINUS_ONE)
INTEGER_ROW(int16_t, uint32_t, MOD_SIGNED, signed_power, IS_MINUS_ONE)
INTEGER_ROW(int32_t, uint32_t, MOD_SIGNED, signed_power, IS_MINUS_ONE)
INTEGER_ROW(int64_t, uint64_t, MOD_SIGNED, signed_power, IS_MINUS_ONE)
INTEGER_ROW(uint8_t, uint32_t, MOD_UNSIGNED, integer_power, NEVER)
INTEGER_ROW(uint16_t, uint32_t, MOD_UNSIGNED, integer_power, NEVER)
INTEGER_ROW(uint32_t, uint32_t, MOD_UNSIGNED, integer_power, NEVER)
INTEGER_ROW(uint64_t, uint64_t, MOD_UNSIGNED, integer_power, NEVER)

static void bool_row(const struct binary_job *job, size_t n, const uint8_t *pa, ptrdiff_t sa,
                     const uint8_t *pb, ptrdiff_t sb, size_t at)
{
    switch (job->op) {
    case ACCEL_BINARY_AND:
        LOOP(uint8_t, a && b);
        break;
    case ACCEL_BINARY_OR:
        LOOP(uint8_t, a || b);
        break;
    case ACCEL_BINARY_XOR:
        LOOP(uint8_t, !a != !b);
        break;
    case ACCEL_BINARY_EQ:
        LOOP(uint8_t, !a == !b);
        break;
    default:
        assert(!"an operation that accel_binary_supported refuses");
    }
}

#define ROW(T)                                                                   \
    T##_row(job, n, (const T *)job->a + oa, sa, (const T *)job->b + ob, sb, at); \
    break

/* n elements of one row; y begins at element `at`. */
static void binary_row(const struct binary_job *job, size_t n, ptrdiff_t oa, ptrdiff_t ob,
                       size_t at)
{
    const unsigned last = job->nd.rank - 1;
    const ptrdiff_t sa = job->nd.stride[0][last], sb = job->nd.stride[1][last];

    switch (job->dtype) {
    case ACCEL_DTYPE_FLOAT:
        if (job->op < ACCEL_BINARY_F32_COUNT && (size_t)sa <= 1 && (size_t)sb <= 1) {
            job->kernels->f32_binary[job->op](n, (const float *)job->a + oa, (size_t)sa,
                                              (const float *)job->b + ob, (size_t)sb,
                                              (float *)job->y + at);
            break;
        }
        ROW(float);
    case ACCEL_DTYPE_DOUBLE:
        ROW(double);
    case ACCEL_DTYPE_INT8:
        ROW(int8_t);
    case ACCEL_DTYPE_INT16:
        ROW(int16_t);
    case ACCEL_DTYPE_INT32:
        ROW(int32_t);
    case ACCEL_DTYPE_INT64:
        ROW(int64_t);
    case ACCEL_DTYPE_UINT8:
        ROW(uint8_t);
    case ACCEL_DTYPE_UINT16:
        ROW(uint16_t);
    case ACCEL_DTYPE_UINT32:
        ROW(uint32_t);
    case ACCEL_DTYPE_UINT64:
        ROW(uint64_t);
    case ACCEL_DTYPE_BOOL:
        bool_row(job, n, (const uint8_t *)job->a + oa, sa, (const uint8_t *)job->b + ob, sb, at);
        break;
    default:
        assert(!"a type that accel_binary_supported refuses");
    }
}

/* Elements begin..end of the output: whole rows and parts of the first and the last. */
static void binary_range(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct binary_job *job = context;
    const unsigned last = job->nd.rank - 1;
    const size_t width = job->nd.dims[last];

    (void)thread;
    for (size_t at = begin; at < end;) {
        const size_t column = at % width, n = ACCEL_MIN(width - column, end - at);
        ptrdiff_t offset[3];

        accel_nd_row(&job->nd, 2, at / width, offset);
        binary_row(job, n, offset[0] + (ptrdiff_t)column * job->nd.stride[0][last],
                   offset[1] + (ptrdiff_t)column * job->nd.stride[1][last], at);
        at += n;
    }
}

void accel_binary(const struct accel_kernels *kernels, struct accel_pool *pool,
                  enum accel_binary_op op, enum accel_dtype dtype, const struct accel_nd *nd,
                  const void *a, const void *b, void *y)
{
    struct binary_job job = {
        .kernels = kernels, .op = op, .dtype = dtype, .nd = *nd, .a = a, .b = b, .y = y};

    assert(accel_binary_supported(op, dtype));
    accel_nd_simplify(&job.nd, 2);
    accel_pool_run(pool, accel_nd_count(&job.nd), GRAIN, binary_range, &job);
}

/* ---------------------------------------------------------------- where */

struct where_job {
    size_t element_size;
    struct accel_nd nd;
    const uint8_t *cond;
    const void *a, *b;
    void *y;
};

struct bytes16 {
    uint64_t half[2];
};

#define WHERE(T)                                                                        \
    do {                                                                                \
        const T *a = (const T *)job->a + offset[1], *b = (const T *)job->b + offset[2]; \
        T *y = (T *)job->y + row * width;                                               \
        for (size_t i = 0; i < width; i++)                                              \
            y[i] = job->cond[offset[0] + (ptrdiff_t)i * sc] ? a[(ptrdiff_t)i * sa]      \
                                                            : b[(ptrdiff_t)i * sb];     \
    } while (0)

static void where_range(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct where_job *job = context;
    const unsigned last = job->nd.rank - 1;
    const size_t width = job->nd.dims[last];
    const ptrdiff_t sc = job->nd.stride[0][last], sa = job->nd.stride[1][last],
                    sb = job->nd.stride[2][last];

    (void)thread;
    for (size_t row = begin; row < end; row++) {
        ptrdiff_t offset[3];

        accel_nd_row(&job->nd, 3, row, offset);
        switch (job->element_size) {
        case 1:
            WHERE(uint8_t);
            break;
        case 2:
            WHERE(uint16_t);
            break;
        case 4:
            WHERE(uint32_t);
            break;
        case 8:
            WHERE(uint64_t);
            break;
        case 16:
            WHERE(struct bytes16);
            break;
        default:
            assert(!"an element size that no type has");
        }
    }
}

void accel_where(struct accel_pool *pool, size_t element_size, const struct accel_nd *nd,
                 const uint8_t *cond, const void *a, const void *b, void *y)
{
    struct where_job job = {
        .element_size = element_size, .nd = *nd, .cond = cond, .a = a, .b = b, .y = y};

    accel_nd_simplify(&job.nd, 3);
    const size_t n = accel_nd_count(&job.nd), width = job.nd.dims[job.nd.rank - 1];

    if (n > 0)
        accel_pool_run(pool, n / width, GRAIN / width + 1, where_range, &job);
}

bool accel_isnan(enum accel_dtype dtype, size_t n, const void *x, uint8_t *y)
{
    if (dtype != ACCEL_DTYPE_FLOAT && dtype != ACCEL_DTYPE_DOUBLE)
        return false;
    for (size_t i = 0; i < n; i++)
        y[i] = dtype == ACCEL_DTYPE_FLOAT ? isnan(((const float *)x)[i]) != 0
                                          : isnan(((const double *)x)[i]) != 0;
    return true;
}

bool accel_isinf(enum accel_dtype dtype, size_t n, const void *x, bool detect_negative,
                 bool detect_positive, uint8_t *y)
{
    if (dtype != ACCEL_DTYPE_FLOAT && dtype != ACCEL_DTYPE_DOUBLE)
        return false;
    for (size_t i = 0; i < n; i++) {
        const double v =
            dtype == ACCEL_DTYPE_FLOAT ? (double)((const float *)x)[i] : ((const double *)x)[i];

        y[i] = (detect_positive && v == HUGE_VAL) || (detect_negative && v == -HUGE_VAL);
    }
    return true;
}
