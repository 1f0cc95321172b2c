/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/kernels/norm.h"

#include <math.h>
#include <string.h>

#define GRAIN 4096

/* ---------------------------------------------------------------- in double */

struct norm_job {
    size_t n, channels, groups, inner;
    double epsilon;
    bool rms;
    const double *x, *scale, *bias;
    double *y;
    float *mean, *inv_std;
};

/* Two passes, so that a large mean does not eat the variance. */
static void moments_of(const struct norm_job *job, size_t n, const double *x, double *mean,
                       double *inv_std)
{
    double sum = 0, squares = 0;

    for (size_t i = 0; i < n && !job->rms; i++)
        sum += x[i];
    *mean = job->rms ? 0 : sum / (double)n;
    for (size_t i = 0; i < n; i++)
        squares += (x[i] - *mean) * (x[i] - *mean);
    *inv_std = 1 / sqrt(squares / (double)n + job->epsilon);
}

static void layer_range(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct norm_job *job = context;

    (void)thread;
    for (size_t row = begin; row < end; row++) {
        const double *x = job->x + row * job->n;
        double *y = job->y + row * job->n;
        double mean, inv_std;

        moments_of(job, job->n, x, &mean, &inv_std);
        for (size_t i = 0; i < job->n; i++)
            y[i] = (x[i] - mean) * inv_std * (job->scale != NULL ? job->scale[i] : 1) +
                   (job->bias != NULL ? job->bias[i] : 0);
        if (job->mean != NULL)
            job->mean[row] = (float)mean;
        if (job->inv_std != NULL)
            job->inv_std[row] = (float)inv_std;
    }
}

void accel_layer_norm_f64(struct accel_pool *pool, size_t rows, size_t n, double epsilon, bool rms,
                          const double *x, const double *scale, const double *bias, double *y,
                          float *mean, float *inv_std)
{
    struct norm_job job = {.n = n,
                           .epsilon = epsilon,
                           .rms = rms,
                           .x = x,
                           .scale = scale,
                           .bias = bias,
                           .y = y,
                           .mean = mean,
                           .inv_std = inv_std};

    accel_pool_run(pool, rows, GRAIN / ACCEL_MIN(n + 1, (size_t)GRAIN), layer_range, &job);
}

static void group_range(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct norm_job *job = context;
    const size_t per_group = job->channels / job->groups;

    (void)thread;
    for (size_t unit = begin; unit < end; unit++) {
        const size_t at = unit * per_group * job->inner;
        double mean, inv_std;

        moments_of(job, per_group * job->inner, job->x + at, &mean, &inv_std);
        for (size_t i = 0; i < per_group * job->inner; i++) {
            const size_t c = unit % job->groups * per_group + i / job->inner;

            job->y[at + i] = (job->x[at + i] - mean) * inv_std * job->scale[c] + job->bias[c];
        }
    }
}

void accel_group_norm_f64(struct accel_pool *pool, size_t batch, size_t channels, size_t groups,
                          size_t inner, double epsilon, const double *x, const double *scale,
                          const double *bias, double *y)
{
    struct norm_job job = {.channels = channels,
                           .groups = groups,
                           .inner = inner,
                           .epsilon = epsilon,
                           .x = x,
                           .scale = scale,
                           .bias = bias,
                           .y = y};

    if (channels > 0 && inner > 0)
        accel_pool_run(pool, batch * groups, 1, group_range, &job);
}

/* ---------------------------------------------------------------- of whole-tensor steps */

size_t accel_kept_elements(unsigned rank, const size_t *dims, uint32_t axes)
{
    size_t n = 1;

    for (unsigned i = 0; i < rank; i++)
        n *= (axes >> i & 1) != 0 ? 1 : dims[i];
    return n;
}

/* x against one number for each index of the axes that are kept. */
static struct accel_nd against_kept(unsigned rank, const size_t *dims, uint32_t axes)
{
    struct accel_nd nd = {.rank = rank};
    ptrdiff_t step = 1, kept = 1;

    for (unsigned i = rank; i-- > 0;) {
        const bool gone = (axes >> i & 1) != 0;

        nd.dims[i] = dims[i];
        nd.stride[0][i] = step;
        nd.stride[1][i] = gone ? 0 : kept;
        step *= (ptrdiff_t)dims[i];
        kept *= gone ? 1 : (ptrdiff_t)dims[i];
    }
    return nd;
}

/* v[i] = op(v[i]) over either type. */
#define EACH(expression)                                      \
    do {                                                      \
        for (size_t i = 0; i < n; i++) {                      \
            if (dtype == ACCEL_DTYPE_DOUBLE) {                \
                const double v = ((const double *)values)[i]; \
                ((double *)values)[i] = (expression);         \
            } else {                                          \
                const double v = ((const float *)values)[i];  \
                ((float *)values)[i] = (float)(expression);   \
            }                                                 \
        }                                                     \
    } while (0)

/* sqrt(sum of squares / count + inside) + outside. */
static void to_deviation(enum accel_dtype dtype, size_t n, double count, double inside,
                         double outside, void *values)
{
    EACH(sqrt(v / count + inside) + outside);
}

static void divide(enum accel_dtype dtype, size_t n, double count, void *values)
{
    EACH(v / count);
}

static void zero_to_one(enum accel_dtype dtype, size_t n, void *values)
{
    EACH(v == 0 ? 1 : v);
}

static double reduced(unsigned rank, const size_t *dims, uint32_t axes)
{
    double n = 1;

    for (unsigned i = 0; i < rank; i++)
        n *= (axes >> i & 1) != 0 ? (double)dims[i] : 1;
    return n;
}

bool accel_mean_variance_norm(const struct accel_kernels *kernels, struct accel_pool *pool,
                              enum accel_dtype dtype, unsigned rank, const size_t *dims,
                              uint32_t axes, bool mean_only, const void *x, void *moments, void *y)
{
    const struct accel_nd nd = against_kept(rank, dims, axes);

    if (dtype != ACCEL_DTYPE_FLOAT && dtype != ACCEL_DTYPE_DOUBLE)
        return false;
    accel_reduce(kernels, pool, ACCEL_REDUCE_MEAN, dtype, rank, dims, axes, x, moments);
    accel_binary(kernels, pool, ACCEL_BINARY_SUB, dtype, &nd, x, moments, y);
    if (mean_only)
        return true;
    accel_reduce(kernels, pool, ACCEL_REDUCE_SUMSQ, dtype, rank, dims, axes, y, moments);
    to_deviation(dtype, accel_kept_elements(rank, dims, axes), reduced(rank, dims, axes), 0,
                 dtype == ACCEL_DTYPE_FLOAT ? 0 : 1e-9, moments);
    accel_binary(kernels, pool, ACCEL_BINARY_DIV, dtype, &nd, y, moments, y);
    return true;
}

bool accel_lp_norm(const struct accel_kernels *kernels, struct accel_pool *pool,
                   enum accel_dtype dtype, unsigned rank, const size_t *dims, uint32_t axes,
                   unsigned p, const void *x, void *moments, void *y)
{
    const struct accel_nd nd = against_kept(rank, dims, axes);

    if (dtype != ACCEL_DTYPE_FLOAT && dtype != ACCEL_DTYPE_DOUBLE)
        return false;
    accel_reduce(kernels, pool, p == 1 ? ACCEL_REDUCE_L1 : ACCEL_REDUCE_L2, dtype, rank, dims, axes,
                 x, moments);
    zero_to_one(dtype, accel_kept_elements(rank, dims, axes), moments);
    accel_binary(kernels, pool, ACCEL_BINARY_DIV, dtype, &nd, x, moments, y);
    return true;
}

bool accel_batch_norm_train(const struct accel_kernels *kernels, struct accel_pool *pool,
                            enum accel_dtype dtype, size_t batch, size_t channels, size_t inner,
                            float epsilon, const void *x, const void *scale, const void *bias,
                            void *mean, void *variance, void *deviation, void *y)
{
    const size_t dims[3] = {batch, channels, inner};
    const struct accel_nd nd = against_kept(3, dims, 5);

    if (dtype != ACCEL_DTYPE_FLOAT && dtype != ACCEL_DTYPE_DOUBLE)
        return false;
    accel_reduce(kernels, pool, ACCEL_REDUCE_MEAN, dtype, 3, dims, 5, x, mean);
    accel_binary(kernels, pool, ACCEL_BINARY_SUB, dtype, &nd, x, mean, y);
    accel_reduce(kernels, pool, ACCEL_REDUCE_SUMSQ, dtype, 3, dims, 5, y, variance);
    divide(dtype, channels, (double)batch * (double)inner, variance);
    memcpy(deviation, variance, channels * accel_dtype_size(dtype));
    to_deviation(dtype, channels, 1, (double)epsilon, 0, deviation);
    accel_binary(kernels, pool, ACCEL_BINARY_DIV, dtype, &nd, y, deviation, y);
    accel_binary(kernels, pool, ACCEL_BINARY_MUL, dtype, &nd, y, scale, y);
    accel_binary(kernels, pool, ACCEL_BINARY_ADD, dtype, &nd, y, bias, y);
    return true;
}
