/* SPDX-License-Identifier: Apache-2.0 */
/* Reductions over any axes of a dense tensor. */
#include <float.h>
#include <math.h>

#include "infer/kernels/microkernels.h"
#include "infer/kernels/nd.h"

#define GRAIN 16384
/* Columns reduced side by side, and the row of transformed values; on the stack. */
#define BLOCK 256

struct reduce_job {
    const struct accel_kernels *kernels;
    enum accel_reduce_op op;
    enum accel_dtype dtype;
    struct accel_nd kept, gone; /* axes with their strides in x (operand 0) */
    size_t gone_count;
    const void *x;
    void *y;
};

/* ---------------------------------------------------------------- floats, rows */

/* The sum of f(x) over a row, where f is what the operation does first. */
static float sum_row(const struct reduce_job *job, size_t n, const float *x)
{
    float row[BLOCK], sum = 0;

    switch (job->op) {
    case ACCEL_REDUCE_L2:
    case ACCEL_REDUCE_SUMSQ:
        return job->kernels->f32_sumsq(n, x, 0);
    case ACCEL_REDUCE_L1:
        for (size_t i = 0; i < n; i += BLOCK) {
            const size_t m = ACCEL_MIN((size_t)BLOCK, n - i);

            job->kernels->f32_unary[ACCEL_UNARY_ABS](m, x + i, row, 0, 0);
            sum += job->kernels->f32_sum(m, row);
        }
        return sum;
    default:
        return job->kernels->f32_sum(n, x);
    }
}

static float min_row(size_t n, const float *x)
{
    float min = INFINITY;

    for (size_t i = 0; i < n; i++)
        min = min != min || min < x[i] ? min : x[i];
    return min;
}

/* From the collected value to the result. */
static float finish(enum accel_reduce_op op, size_t count, float v)
{
    switch (op) {
    case ACCEL_REDUCE_MEAN:
        return v / (float)count;
    case ACCEL_REDUCE_L2:
        return sqrtf(v);
    case ACCEL_REDUCE_LOGSUM:
        return logf(v);
    default:
        return v;
    }
}

/* One output element: `x` is where its first input lies; the last axis that goes is contiguous. */
static float reduce_one(const struct reduce_job *job, const float *x)
{
    const struct accel_kernels *k = job->kernels;
    const size_t n = job->gone.dims[job->gone.rank - 1];
    const size_t rows = n > 0 ? job->gone_count / n : 0;
    ptrdiff_t at[3];

    if (job->op == ACCEL_REDUCE_PROD) {
        float product = 1;

        for (size_t r = 0; r < rows; r++) {
            accel_nd_row(&job->gone, 1, r, at);
            for (size_t i = 0; i < n; i++)
                product *= x[at[0] + (ptrdiff_t)i];
        }
        return product;
    }
    if (job->op == ACCEL_REDUCE_MIN) {
        float min = INFINITY;

        for (size_t r = 0; r < rows; r++) {
            accel_nd_row(&job->gone, 1, r, at);
            const float v = min_row(n, x + at[0]);
            min = min != min || min < v ? min : v;
        }
        return min;
    }
    float max = -INFINITY, sum = 0;

    if (job->op == ACCEL_REDUCE_MAX || job->op == ACCEL_REDUCE_LOGSUMEXP)
        for (size_t r = 0; r < rows; r++) {
            accel_nd_row(&job->gone, 1, r, at);
            const float v = k->f32_max(n, x + at[0]);
            max = max != max || max > v ? max : v;
        }
    if (job->op == ACCEL_REDUCE_MAX)
        return max;
    if (job->op == ACCEL_REDUCE_LOGSUMEXP) {
        const float shift = isfinite(max) ? max : 0; /* inf - inf would be NaN */

        for (size_t r = 0; r < rows; r++) {
            accel_nd_row(&job->gone, 1, r, at);
            sum += k->f32_expsum(n, x + at[0], shift, NULL);
        }
        return logf(sum) + shift;
    }
    for (size_t r = 0; r < rows; r++) {
        accel_nd_row(&job->gone, 1, r, at);
        sum += sum_row(job, n, x + at[0]);
    }
    return finish(job->op, job->gone_count, sum);
}

/* The input's first element of output `o`. */
static ptrdiff_t start_of(const struct reduce_job *job, size_t o)
{
    const unsigned last = job->kept.rank - 1;
    const size_t width = job->kept.dims[last];
    ptrdiff_t at[3];

    accel_nd_row(&job->kept, 1, o / width, at);
    return at[0] + (ptrdiff_t)(o % width) * job->kept.stride[0][last];
}

static void f32_rows_range(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct reduce_job *job = context;

    (void)thread;
    for (size_t o = begin; o < end; o++)
        ((float *)job->y)[o] = reduce_one(job, (const float *)job->x + start_of(job, o));
}

/* ---------------------------------------------------------------- floats, columns */

/* n <= BLOCK neighbouring outputs, whose inputs are neighbours too. `x`: the first of them. */
static void reduce_columns(const struct reduce_job *job, size_t n, const float *x, float *y)
{
    const struct accel_kernels *k = job->kernels;
    const unsigned last = job->gone.rank - 1;
    const size_t width = job->gone.dims[last];
    const ptrdiff_t step = job->gone.stride[0][last];
    float acc[BLOCK], row[BLOCK], max[BLOCK];
    float start = 0;
    enum accel_binary_op join = ACCEL_BINARY_ADD;

    if (job->op == ACCEL_REDUCE_PROD) {
        start = 1;
        join = ACCEL_BINARY_MUL;
    } else if (job->op == ACCEL_REDUCE_MAX) {
        start = -INFINITY;
        join = ACCEL_BINARY_MAX;
    } else if (job->op == ACCEL_REDUCE_MIN) {
        start = INFINITY;
        join = ACCEL_BINARY_MIN;
    }
    for (size_t i = 0; i < n; i++) {
        acc[i] = start;
        max[i] = -INFINITY;
    }
    /* Pass 0 is needed by LOGSUMEXP only: the largest of each column. */
    for (int pass = job->op == ACCEL_REDUCE_LOGSUMEXP ? 0 : 1; pass < 2; pass++) {
        for (size_t r = 0; r < job->gone_count; r++) {
            ptrdiff_t at[3];

            accel_nd_row(&job->gone, 1, r / width, at);
            const float *in = x + at[0] + (ptrdiff_t)(r % width) * step;
            if (pass == 0) {
                k->f32_binary[ACCEL_BINARY_MAX](n, max, 1, in, 1, max);
                continue;
            }
            if (job->op == ACCEL_REDUCE_L1)
                k->f32_unary[ACCEL_UNARY_ABS](n, in, row, 0, 0);
            else if (job->op == ACCEL_REDUCE_L2 || job->op == ACCEL_REDUCE_SUMSQ)
                k->f32_unary[ACCEL_UNARY_SQUARE](n, in, row, 0, 0);
            else if (job->op == ACCEL_REDUCE_LOGSUMEXP) {
                k->f32_binary[ACCEL_BINARY_SUB](n, in, 1, max, 1, row);
                k->f32_unary[ACCEL_UNARY_EXP](n, row, row, 0, 0);
            } else {
                k->f32_binary[join](n, acc, 1, in, 1, acc);
                continue;
            }
            k->f32_binary[ACCEL_BINARY_ADD](n, acc, 1, row, 1, acc);
        }
        if (pass == 0)
            for (size_t i = 0; i < n; i++)
                max[i] = isfinite(max[i]) ? max[i] : 0;
    }
    for (size_t i = 0; i < n; i++)
        y[i] = job->op == ACCEL_REDUCE_LOGSUMEXP ? logf(acc[i]) + max[i]
                                                 : finish(job->op, job->gone_count, acc[i]);
}

static void f32_columns_range(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct reduce_job *job = context;
    const size_t width = job->kept.dims[job->kept.rank - 1];
    const size_t blocks = (width + BLOCK - 1) / BLOCK;

    (void)thread;
    for (size_t unit = begin; unit < end; unit++) {
        const size_t column = unit % blocks * BLOCK;
        ptrdiff_t at[3];

        accel_nd_row(&job->kept, 1, unit / blocks, at);
        reduce_columns(job, ACCEL_MIN((size_t)BLOCK, width - column),
                       (const float *)job->x + at[0] + column,
                       (float *)job->y + unit / blocks * width + column);
    }
}

/* ---------------------------------------------------------------- other types */

/* inf - inf would be NaN. */
#define SHIFT(max) (isfinite((double)(max)) ? (double)(max) : 0)

/* ONNX Runtime collects integers in double and saturates: here long double holds every sum below
 * 2^64 exactly, of which the same is made. Its LogSumExp of signed integers has integer
 * exponentials (E): only the largest numbers count; of unsigned ones it takes them in double. */
static double as_double(long double v)
{
    return (double)v;
}

#define SATURATED(T, lowest, highest)                  \
    static T T##_of(double v)                          \
    {                                                  \
        return !(v > (double)(lowest))  ? (T)(lowest)  \
               : v >= (double)(highest) ? (T)(highest) \
                                        : (T)v;        \
    }
SATURATED(int8_t, INT8_MIN, INT8_MAX)
SATURATED(uint8_t, 0, UINT8_MAX)
SATURATED(int16_t, INT16_MIN, INT16_MAX)
SATURATED(uint16_t, 0, UINT16_MAX)
SATURATED(int32_t, INT32_MIN, INT32_MAX)
SATURATED(uint32_t, 0, UINT32_MAX)
SATURATED(int64_t, INT64_MIN, INT64_MAX)
SATURATED(uint64_t, 0, UINT64_MAX)
#define double_of(v) (v)

#define ANY(name, T, A, E, lowest, highest, REAL)                                          \
    static T name(const struct reduce_job *job, const T *x)                                \
    {                                                                                      \
        const unsigned last = job->gone.rank - 1;                                          \
        const size_t width = job->gone.dims[last];                                         \
        T max = lowest, min = highest;                                                     \
        A sum = 0, product = 1, sumsq = 0, sumabs = 0;                                     \
        double sumexp = 0;                                                                 \
        for (int pass = 0; pass < (job->op == ACCEL_REDUCE_LOGSUMEXP ? 2 : 1); pass++)     \
            for (size_t r = 0; r < job->gone_count; r++) {                                 \
                ptrdiff_t at[3];                                                           \
                accel_nd_row(&job->gone, 1, r / width, at);                                \
                const T v = x[at[0] + (ptrdiff_t)(r % width) * job->gone.stride[0][last]]; \
                if (pass == 1) {                                                           \
                    sumexp += (double)(E)exp((double)v - SHIFT(max));                      \
                    continue;                                                              \
                }                                                                          \
                max = v > max || v != v ? v : max;                                         \
                min = v < min || v != v ? v : min;                                         \
                sum += (A)v;                                                               \
                product *= (A)v;                                                           \
                sumsq += (A)v * (A)v;                                                      \
                sumabs += (A)fabsl((long double)v);                                        \
            }                                                                              \
        const double n = (double)job->gone_count;                                          \
        switch (job->op) {                                                                 \
        case ACCEL_REDUCE_SUM:                                                             \
            return T##_of(as_double(sum));                                                 \
        case ACCEL_REDUCE_MEAN:                                                            \
            return n == 0 ? (T)REAL : T##_of(as_double(sum) / n);                          \
        case ACCEL_REDUCE_MAX:                                                             \
            return max;                                                                    \
        case ACCEL_REDUCE_MIN:                                                             \
            return min;                                                                    \
        case ACCEL_REDUCE_PROD:                                                            \
            return T##_of(as_double(product));                                             \
        case ACCEL_REDUCE_L1:                                                              \
            return T##_of(as_double(sumabs));                                              \
        case ACCEL_REDUCE_L2:                                                              \
            return T##_of(sqrt(as_double(sumsq)));                                         \
        case ACCEL_REDUCE_SUMSQ:                                                           \
            return T##_of(as_double(sumsq));                                               \
        case ACCEL_REDUCE_LOGSUM:                                                          \
            return T##_of(log(as_double(sum)));                                            \
        default:                                                                           \
            return sumexp == 0 ? lowest : T##_of(SHIFT(max) + log(sumexp));                \
        }                                                                                  \
    }

ANY(any_double, double, double, double, -HUGE_VAL, HUGE_VAL, NAN)
ANY(any_int8, int8_t, long double, int8_t, INT8_MIN, INT8_MAX, 0)
ANY(any_uint8, uint8_t, long double, double, 0, UINT8_MAX, 0)
ANY(any_int16, int16_t, long double, int16_t, INT16_MIN, INT16_MAX, 0)
ANY(any_uint16, uint16_t, long double, double, 0, UINT16_MAX, 0)
ANY(any_int32, int32_t, long double, int32_t, INT32_MIN, INT32_MAX, 0)
ANY(any_uint32, uint32_t, long double, double, 0, UINT32_MAX, 0)
ANY(any_int64, int64_t, long double, int64_t, INT64_MIN, INT64_MAX, 0)
ANY(any_uint64, uint64_t, long double, double, 0, UINT64_MAX, 0)

#define CASE(NAME, name, T)                                         \
    case ACCEL_DTYPE_##NAME:                                        \
        ((T *)job->y)[o] = any_##name(job, (const T *)job->x + at); \
        break;

static void any_range(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct reduce_job *job = context;

    (void)thread;
    for (size_t o = begin; o < end; o++) {
        const ptrdiff_t at = start_of(job, o);

        switch (job->dtype) {
            CASE(DOUBLE, double, double)
            CASE(INT8, int8, int8_t)
            CASE(UINT8, uint8, uint8_t)
            CASE(BOOL, uint8, uint8_t)
            CASE(INT16, int16, int16_t)
            CASE(UINT16, uint16, uint16_t)
            CASE(INT32, int32, int32_t)
            CASE(UINT32, uint32, uint32_t)
            CASE(INT64, int64, int64_t)
            CASE(UINT64, uint64, uint64_t)
        default:
            break;
        }
    }
}

static bool reduces(enum accel_reduce_op op, enum accel_dtype dtype)
{
    switch (dtype) {
    case ACCEL_DTYPE_FLOAT:
    case ACCEL_DTYPE_DOUBLE:
    case ACCEL_DTYPE_INT32:
    case ACCEL_DTYPE_UINT32:
    case ACCEL_DTYPE_INT64:
    case ACCEL_DTYPE_UINT64:
        return true;
    case ACCEL_DTYPE_INT8:
    case ACCEL_DTYPE_UINT8:
    case ACCEL_DTYPE_INT16:
    case ACCEL_DTYPE_UINT16:
    case ACCEL_DTYPE_BOOL:
        return op == ACCEL_REDUCE_MAX || op == ACCEL_REDUCE_MIN;
    default:
        return false;
    }
}

bool accel_reduce(const struct accel_kernels *kernels, struct accel_pool *pool,
                  enum accel_reduce_op op, enum accel_dtype dtype, unsigned rank,
                  const size_t *dims, uint32_t axes, const void *x, void *y)
{
    struct reduce_job job = {.kernels = kernels, .op = op, .dtype = dtype, .x = x, .y = y};
    ptrdiff_t step = 1;

    if (!reduces(op, dtype))
        return false;
    for (unsigned d = 0; d < rank; d++) {
        struct accel_nd *nd = axes >> d & 1 ? &job.gone : &job.kept;

        nd->dims[nd->rank++] = dims[d];
    }
    unsigned kept = job.kept.rank, gone = job.gone.rank;
    for (unsigned d = rank; d-- > 0; step *= (ptrdiff_t)dims[d]) {
        if (axes >> d & 1)
            job.gone.stride[0][--gone] = step;
        else
            job.kept.stride[0][--kept] = step;
    }
    accel_nd_simplify(&job.kept, 1);
    accel_nd_simplify(&job.gone, 1);
    job.gone_count = accel_nd_count(&job.gone);
    const size_t outputs = accel_nd_count(&job.kept);
    const size_t width = job.kept.dims[job.kept.rank - 1];
    /* Outputs per piece, so that a piece reads about GRAIN elements. */
    const size_t grain = GRAIN / ACCEL_MAX(job.gone_count, (size_t)1) + 1;

    if (outputs == 0)
        return true;
    if (dtype != ACCEL_DTYPE_FLOAT)
        accel_pool_run(pool, outputs, grain, any_range, &job);
    else if (job.gone.stride[0][job.gone.rank - 1] <= 1) /* contiguous, or a single element */
        accel_pool_run(pool, outputs, grain, f32_rows_range, &job);
    else
        accel_pool_run(pool, outputs / width * ((width + BLOCK - 1) / BLOCK), grain / BLOCK + 1,
                       f32_columns_range, &job);
    return true;
}

/* ---------------------------------------------------------------- argmax */

struct arg_job {
    enum accel_dtype dtype;
    bool largest, select_last;
    size_t axis, inner;
    const void *x;
    int64_t *y;
};

#define ARG(NAME, T)                                                                \
    case ACCEL_DTYPE_##NAME: {                                                      \
        const T *x = (const T *)job->x + at;                                        \
        T best = x[0];                                                              \
        for (size_t a = 1; a < job->axis; a++) {                                    \
            const T v = x[a * job->inner];                                          \
            if ((job->largest ? v > best : v < best) || (best != best && v == v) || \
                (job->select_last && v == best)) {                                  \
                best = v;                                                           \
                index = (int64_t)a;                                                 \
            }                                                                       \
        }                                                                           \
        break;                                                                      \
    }

static void arg_range(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct arg_job *job = context;

    (void)thread;
    for (size_t o = begin; o < end; o++) {
        const size_t at = o / job->inner * job->axis * job->inner + o % job->inner;
        int64_t index = 0;

        switch (job->dtype) {
            ARG(FLOAT, float)
            ARG(DOUBLE, double)
            ARG(INT8, int8_t)
            ARG(UINT8, uint8_t)
            ARG(INT16, int16_t)
            ARG(UINT16, uint16_t)
            ARG(INT32, int32_t)
            ARG(UINT32, uint32_t)
            ARG(INT64, int64_t)
            ARG(UINT64, uint64_t)
        default:
            break;
        }
        job->y[o] = index;
    }
}

bool accel_arg_reduce(struct accel_pool *pool, enum accel_dtype dtype, bool largest,
                      bool select_last, size_t outer, size_t axis, size_t inner, const void *x,
                      int64_t *y)
{
    struct arg_job job = {.dtype = dtype,
                          .largest = largest,
                          .select_last = select_last,
                          .axis = axis,
                          .inner = inner,
                          .x = x,
                          .y = y};

    if (dtype == ACCEL_DTYPE_BOOL || !reduces(ACCEL_REDUCE_MAX, dtype))
        return false;
    if (outer > 0 && axis > 0 && inner > 0)
        accel_pool_run(pool, outer * inner, GRAIN / axis + 1, arg_range, &job);
    return true;
}
