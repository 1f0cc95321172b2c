/* SPDX-License-Identifier: Apache-2.0 */
/* Quantising, dequantising and elementwise operations on quantised tensors. */
#include "infer/kernels/quant.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/half.h"
#include "infer/kernels/microkernels.h"
#include "infer/kernels/nd.h"
#include "infer/kernels/pooling.h"
#include "infer/kernels/ref/quant_round.h"
#include "infer/kernels/small.h"

#define GRAIN 16384

bool accel_quant_range(enum accel_dtype dtype, int32_t *lo, int32_t *hi)
{
    switch (dtype) {
    case ACCEL_DTYPE_UINT8:
        *lo = 0;
        *hi = UINT8_MAX;
        return true;
    case ACCEL_DTYPE_INT8:
        *lo = INT8_MIN;
        *hi = INT8_MAX;
        return true;
    case ACCEL_DTYPE_UINT16:
        *lo = 0;
        *hi = UINT16_MAX;
        return true;
    case ACCEL_DTYPE_INT16:
        *lo = INT16_MIN;
        *hi = INT16_MAX;
        return true;
    case ACCEL_DTYPE_UINT4:
    case ACCEL_DTYPE_UINT2:
        *lo = 0;
        *hi = (1 << accel_small_int_bits(dtype)) - 1;
        return true;
    case ACCEL_DTYPE_INT4:
    case ACCEL_DTYPE_INT2:
        *hi = (1 << (accel_small_int_bits(dtype) - 1)) - 1;
        *lo = -*hi - 1;
        return true;
    default:
        return false;
    }
}

int32_t accel_quant_at(enum accel_dtype dtype, const void *data, size_t i)
{
    if (data == NULL)
        return 0;
    switch (dtype) {
    case ACCEL_DTYPE_UINT8:
    case ACCEL_DTYPE_UINT4:
    case ACCEL_DTYPE_UINT2:
        return ((const uint8_t *)data)[i];
    case ACCEL_DTYPE_INT8:
    case ACCEL_DTYPE_INT4:
    case ACCEL_DTYPE_INT2:
        return ((const int8_t *)data)[i];
    case ACCEL_DTYPE_UINT16:
        return ((const uint16_t *)data)[i];
    case ACCEL_DTYPE_INT16:
        return ((const int16_t *)data)[i];
    default:
        return ((const int32_t *)data)[i];
    }
}

/* ---------------------------------------------------------------- float <-> integers */

struct quant_job {
    const struct accel_quant_layout *layout;
    const void *x;
    const float *scale;
    const void *zero;
    enum accel_dtype dtype; /* of the quantised */
    void *y;
    struct accel_quant_how how;
};

/* Number of the scale of the row (outer, axis). */
static size_t scale_of_row(const struct accel_quant_layout *l, size_t row)
{
    return row / l->axis * l->stride_outer + row % l->axis / l->block * l->stride_axis;
}

/* n values of one scale. */
#define QUANTIZE(T)                                                         \
    do {                                                                    \
        T *to = (T *)job->y + at;                                           \
        for (size_t i = 0; i < n; i++)                                      \
            to[i] = (T)(accel_round_within(x[i] / scale, least, most) + z); \
    } while (0)

static void quantize_ints(const struct quant_job *job, const float *x, float scale, int32_t z,
                          size_t at, size_t n)
{
    int32_t lo = 0, hi = 0;

    accel_quant_range(job->dtype, &lo, &hi);
    const float least = (float)(lo - z), most = (float)(hi - z);
    switch (job->dtype) {
    case ACCEL_DTYPE_UINT8:
    case ACCEL_DTYPE_UINT4:
    case ACCEL_DTYPE_UINT2:
        QUANTIZE(uint8_t);
        break;
    case ACCEL_DTYPE_INT8:
    case ACCEL_DTYPE_INT4:
    case ACCEL_DTYPE_INT2:
        QUANTIZE(int8_t);
        break;
    case ACCEL_DTYPE_UINT16:
        QUANTIZE(uint16_t);
        break;
    default:
        QUANTIZE(int16_t);
    }
}

static float rounded_to(enum accel_dtype precision, float v)
{
    uint16_t half;

    if (precision == ACCEL_DTYPE_FLOAT16) {
        half = accel_half_from_float(v);
        return accel_half_to_float(half);
    }
    if (precision == ACCEL_DTYPE_BFLOAT16) {
        accel_f32_to_bf16__ref(1, &v, &half);
        accel_bf16_to_f32__ref(1, &half, &v);
    }
    return v;
}

/* The float8 types have no zero point but 0; the smaller ones add theirs. */
static float zero_of(const struct quant_job *job, size_t k)
{
    const uint8_t *zero = job->zero;

    if (zero == NULL || (accel_dtype_bits(job->dtype) == 8 && accel_is_small_float(job->dtype)))
        return 0;
    return accel_is_small_float(job->dtype) ? accel_small_to_float(job->dtype, zero[k])
                                            : (float)accel_quant_at(job->dtype, job->zero, k);
}

static void quantize_some(const struct quant_job *job, size_t at, size_t n, size_t k)
{
    const bool integer = !accel_is_small_float(job->dtype);
    const float *x = (const float *)job->x + at;
    const float scale = job->scale[k];
    const int32_t z = integer ? accel_quant_at(job->dtype, job->zero, k) : 0;
    float row[64];

    if (integer && job->how.precision == ACCEL_DTYPE_FLOAT) {
        quantize_ints(job, x, scale, z, at, n);
        return;
    }
    for (size_t i = 0; i < n; i += ACCEL_COUNT(row)) {
        const size_t m = ACCEL_MIN(ACCEL_COUNT(row), n - i);

        for (size_t c = 0; c < m; c++)
            row[c] = rounded_to(job->how.precision, x[i + c] / scale);
        if (integer)
            quantize_ints(job, row, 1, z, at + i, m);
        for (size_t c = 0; c < m && !integer; c++)
            ((uint8_t *)job->y)[at + i + c] =
                accel_small_from_float(job->dtype, row[c] + zero_of(job, k), &job->how.cast);
    }
}

#define DEQUANTIZE(T)                                     \
    do {                                                  \
        const T *from = (const T *)job->x + at;           \
        for (size_t i = 0; i < n; i++)                    \
            y[i] = (float)((int32_t)from[i] - z) * scale; \
    } while (0)

static void dequantize_some(const struct quant_job *job, size_t at, size_t n, size_t k)
{
    float *y = (float *)job->y + at;
    const float scale = job->scale[k];

    if (accel_is_small_float(job->dtype)) {
        const float zero = zero_of(job, k);

        accel_small_to_floats(job->dtype, n, (const uint8_t *)job->x + at, y);
        for (size_t i = 0; i < n; i++)
            y[i] = (y[i] - zero) * scale;
        return;
    }
    const int32_t z = accel_quant_at(job->dtype, job->zero, k);

    switch (job->dtype) {
    case ACCEL_DTYPE_UINT8:
    case ACCEL_DTYPE_UINT4:
    case ACCEL_DTYPE_UINT2:
        DEQUANTIZE(uint8_t);
        break;
    case ACCEL_DTYPE_INT8:
    case ACCEL_DTYPE_INT4:
    case ACCEL_DTYPE_INT2:
        DEQUANTIZE(int8_t);
        break;
    case ACCEL_DTYPE_UINT16:
        DEQUANTIZE(uint16_t);
        break;
    case ACCEL_DTYPE_INT16:
        DEQUANTIZE(int16_t);
        break;
    default: {
        const int32_t *from = (const int32_t *)job->x + at;

        for (size_t i = 0; i < n; i++)
            y[i] = (float)((int64_t)from[i] - z) * scale;
    }
    }
}

/* Elements begin..end, in pieces that have one scale. */
static void pieces(const struct quant_job *job, size_t begin, size_t end,
                   void (*some)(const struct quant_job *job, size_t at, size_t n, size_t k))
{
    const struct accel_quant_layout *l = job->layout;

    while (begin < end) {
        const size_t row = begin / l->inner, column = begin % l->inner;
        const size_t base = scale_of_row(l, row);
        const size_t n = l->stride_inner == 0 ? ACCEL_MIN(end - begin, l->inner - column) : 1;

        some(job, begin, n, base + column * l->stride_inner);
        begin += n;
    }
}

static void quantize_range(void *context, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    pieces(context, begin, end, quantize_some);
}

static void dequantize_range(void *context, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    pieces(context, begin, end, dequantize_some);
}

bool accel_quantize_as(struct accel_pool *pool, const struct accel_quant_layout *layout,
                       const float *x, const float *scale, const void *zero, enum accel_dtype dtype,
                       const struct accel_quant_how *how, void *y)
{
    struct quant_job job = {.layout = layout,
                            .x = x,
                            .scale = scale,
                            .zero = zero,
                            .dtype = dtype,
                            .y = y,
                            .how = *how};
    int32_t lo, hi;

    if (!accel_quant_range(dtype, &lo, &hi) && !accel_is_small_float(dtype))
        return false;
    accel_pool_run(pool, layout->outer * layout->axis * layout->inner, GRAIN, quantize_range, &job);
    return true;
}

bool accel_quantize(struct accel_pool *pool, const struct accel_quant_layout *layout,
                    const float *x, const float *scale, const void *zero, enum accel_dtype dtype,
                    void *y)
{
    const struct accel_quant_how how = {.precision = ACCEL_DTYPE_FLOAT, .cast = {.saturate = true}};

    return accel_quantize_as(pool, layout, x, scale, zero, dtype, &how, y);
}

bool accel_dequantize(struct accel_pool *pool, const struct accel_quant_layout *layout,
                      enum accel_dtype dtype, const void *x, const float *scale, const void *zero,
                      float *y)
{
    struct quant_job job = {
        .layout = layout, .x = x, .scale = scale, .zero = zero, .dtype = dtype, .y = y};
    int32_t lo, hi;

    if (!accel_quant_range(dtype, &lo, &hi) && dtype != ACCEL_DTYPE_INT32 &&
        !accel_is_small_float(dtype))
        return false;
    accel_pool_run(pool, layout->outer * layout->axis * layout->inner, GRAIN, dequantize_range,
                   &job);
    return true;
}

void accel_quantize_dynamic(struct accel_pool *pool, size_t n, const float *x, uint8_t *y,
                            float *scale, uint8_t *zero)
{
    const struct accel_quant_layout all = {.outer = 1, .axis = 1, .inner = n, .block = 1};
    float lo = 0, hi = 0; /* the range must hold 0 */

    for (size_t i = 0; i < n; i++) {
        lo = x[i] < lo ? x[i] : lo;
        hi = x[i] > hi ? x[i] : hi;
    }
    *scale = lo == hi ? 1 : (hi - lo) / 255;
    *zero = (uint8_t)accel_round_within(0 - lo / *scale, 0, 255);
    if (n > 0)
        accel_quantize(pool, &all, x, scale, zero, ACCEL_DTYPE_UINT8, y);
}

/* ---------------------------------------------------------------- addition, multiplication */

struct binary_job {
    struct accel_nd nd;
    bool multiply, is_signed;
    const void *a, *b;
    void *y;
    float a_ratio, b_ratio, fixed; /* y = a * a_ratio + b * b_ratio + fixed */
    int32_t a_zero, b_zero;
};

static void store8(bool is_signed, void *y, size_t i, int32_t v)
{
    if (is_signed)
        ((int8_t *)y)[i] = (int8_t)v;
    else
        ((uint8_t *)y)[i] = (uint8_t)v;
}

static int32_t load8(bool is_signed, const void *x, ptrdiff_t i)
{
    return is_signed ? ((const int8_t *)x)[i] : ((const uint8_t *)x)[i];
}

static void binary_rows(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct binary_job *job = context;
    const size_t n = job->nd.dims[job->nd.rank - 1];
    const ptrdiff_t sa = job->nd.stride[0][job->nd.rank - 1];
    const ptrdiff_t sb = job->nd.stride[1][job->nd.rank - 1];
    const bool is_signed = job->is_signed;
    const float lo = is_signed ? INT8_MIN : 0, hi = is_signed ? INT8_MAX : UINT8_MAX;

    (void)thread;
    for (size_t row = begin; row < end; row++) {
        ptrdiff_t at[3];

        accel_nd_row(&job->nd, 2, row, at);
        for (size_t i = 0; i < n; i++) {
            const int32_t a = load8(is_signed, job->a, at[0] + (ptrdiff_t)i * sa);
            const int32_t b = load8(is_signed, job->b, at[1] + (ptrdiff_t)i * sb);
            const float v =
                job->multiply
                    ? (float)((a - job->a_zero) * (b - job->b_zero)) * job->a_ratio + job->fixed
                    : job->fixed + (float)a * job->a_ratio + (float)b * job->b_ratio;

            store8(is_signed, job->y, row * n + i, accel_round_within(v, lo, hi));
        }
    }
}

void accel_qbinary(struct accel_pool *pool, bool multiply, bool is_signed,
                   const struct accel_nd *nd, const void *a, struct accel_quant_param a_quant,
                   const void *b, struct accel_quant_param b_quant, void *y,
                   struct accel_quant_param y_quant)
{
    struct binary_job job = {.nd = *nd,
                             .multiply = multiply,
                             .is_signed = is_signed,
                             .a = a,
                             .b = b,
                             .y = y,
                             .a_zero = a_quant.zero,
                             .b_zero = b_quant.zero};

    if (multiply) {
        job.a_ratio = a_quant.scale * b_quant.scale / y_quant.scale;
        job.fixed = (float)y_quant.zero;
    } else {
        job.a_ratio = a_quant.scale / y_quant.scale;
        job.b_ratio = b_quant.scale / y_quant.scale;
        job.fixed = (float)y_quant.zero -
                    (job.a_ratio * (float)a_quant.zero + job.b_ratio * (float)b_quant.zero);
    }
    accel_nd_simplify(&job.nd, 2);
    const size_t n = accel_nd_count(&job.nd);
    if (n == 0)
        return;
    const size_t row = job.nd.dims[job.nd.rank - 1];
    accel_pool_run(pool, n / row, GRAIN / row + 1, binary_rows, &job);
}

/* ---------------------------------------------------------------- pooling */

struct pool_job {
    const struct accel_window *window;
    bool include_pad, is_signed;
    const void *x;
    void *y;
    struct accel_quant_param x_quant, y_quant;
    size_t n; /* global: elements of a plane */
};

static void avgpool_range(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct pool_job *job = context;
    const struct accel_window3 w = accel_window3_of(job->window);
    const float lo = job->is_signed ? INT8_MIN : 0, hi = job->is_signed ? INT8_MAX : UINT8_MAX;

    (void)thread;
    for (size_t k = begin; k < end; k++) {
        const size_t plane = k / w.out_size, o = k % w.out_size;
        size_t inside = 0, at;
        float sum = 0;

        for (size_t t = 0; t < w.taps; t++)
            if (accel_window_tap(&w, o / w.out[2] / w.out[1], o / w.out[2] % w.out[1], o % w.out[2],
                                 t, &at)) {
                const int32_t q =
                    load8(job->is_signed, job->x, (ptrdiff_t)(plane * w.in_size + at));

                sum += job->x_quant.scale * (float)(q - job->x_quant.zero);
                inside++;
            }
        const size_t divisor = job->include_pad ? w.taps : inside;
        const float mean = divisor > 0 ? sum / (float)divisor : 0;
        store8(job->is_signed, job->y, k,
               accel_round_within(mean / job->y_quant.scale + (float)job->y_quant.zero, lo, hi));
    }
}

void accel_qavgpool(struct accel_pool *pool, const struct accel_window *window,
                    bool count_include_pad, bool is_signed, const void *x,
                    struct accel_quant_param x_quant, void *y, struct accel_quant_param y_quant)
{
    struct pool_job job = {.window = window,
                           .include_pad = count_include_pad,
                           .is_signed = is_signed,
                           .x = x,
                           .y = y,
                           .x_quant = x_quant,
                           .y_quant = y_quant};

    const struct accel_window3 w = accel_window3_of(window);

    if (w.out_size > 0)
        accel_pool_run_long(pool, window->planes * w.out_size, GRAIN / (w.taps + 1) + 1,
                            avgpool_range, &job);
}

static void global_planes(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct pool_job *job = context;
    const float scale = job->x_quant.scale / (job->y_quant.scale * (float)job->n);
    const int32_t z = job->y_quant.zero;
    const float lo = (float)((job->is_signed ? INT8_MIN : 0) - z);
    const float hi = (float)((job->is_signed ? INT8_MAX : UINT8_MAX) - z);

    (void)thread;
    for (size_t p = begin; p < end; p++) {
        int64_t sum = 0;

        for (size_t i = 0; i < job->n; i++)
            sum += load8(job->is_signed, job->x, (ptrdiff_t)(p * job->n + i)) - job->x_quant.zero;
        store8(job->is_signed, job->y, p, accel_round_within((float)sum * scale, lo, hi) + z);
    }
}

void accel_qglobal_avgpool(struct accel_pool *pool, size_t planes, size_t n, bool is_signed,
                           const void *x, struct accel_quant_param x_quant, void *y,
                           struct accel_quant_param y_quant)
{
    struct pool_job job = {
        .is_signed = is_signed, .x = x, .y = y, .x_quant = x_quant, .y_quant = y_quant, .n = n};

    accel_pool_run(pool, planes, GRAIN / (n + 1) + 1, global_planes, &job);
}

/* ---------------------------------------------------------------- softmax, tables */

struct softmax_job {
    size_t axis, inner;
    bool is_signed;
    const void *x;
    void *y;
    float exponential[256]; /* of the distance to the largest: [255] stands for the maximum */
    float steps;            /* 1 / y_scale, whole */
    int32_t y_zero;
};

static void softmax_rows(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct softmax_job *job = context;
    const int32_t lo = job->is_signed ? INT8_MIN : 0, hi = job->is_signed ? INT8_MAX : UINT8_MAX;

    (void)thread;
    for (size_t row = begin; row < end; row++) {
        const ptrdiff_t step = (ptrdiff_t)job->inner;
        const ptrdiff_t at =
            (ptrdiff_t)(row / job->inner * job->axis * job->inner + row % job->inner);
        int32_t max = lo;
        float sum = 0;

        for (size_t i = 0; i < job->axis; i++)
            max = ACCEL_MAX(max, load8(job->is_signed, job->x, at + (ptrdiff_t)i * step));
        /* The largest meets entry 255. */
        const ptrdiff_t lift = 255 - max;
        for (size_t i = 0; i < job->axis; i++)
            sum += job->exponential[lift + load8(job->is_signed, job->x, at + (ptrdiff_t)i * step)];
        for (size_t i = 0; i < job->axis; i++) {
            const ptrdiff_t k = at + (ptrdiff_t)i * step;
            const float v =
                job->exponential[lift + load8(job->is_signed, job->x, k)] * job->steps / sum;
            const int32_t q = accel_round_within(v, 0, 65535) + job->y_zero;

            store8(job->is_signed, job->y, (size_t)k, ACCEL_MAX(lo, ACCEL_MIN(q, hi)));
        }
    }
}

void accel_qsoftmax(struct accel_pool *pool, size_t outer, size_t axis, size_t inner,
                    bool is_signed, const void *x, float x_scale, void *y,
                    struct accel_quant_param y_quant)
{
    struct softmax_job job = {.axis = axis,
                              .inner = inner,
                              .is_signed = is_signed,
                              .x = x,
                              .y = y,
                              .steps = floorf(1 / y_quant.scale),
                              .y_zero = y_quant.zero};
    /* Lifted so far that a whole axis of maxima stays finite: more of the small ones survive. */
    const double lift = log((double)(FLT_MAX / (float)axis)) - 5;
    const double shift = (lift > 0 ? lift : 0) / (double)x_scale;

    for (int i = 0; i < 256; i++)
        job.exponential[i] = (float)exp((i - 255 + shift) * (double)x_scale);
    accel_pool_run(pool, outer * inner, GRAIN / (axis + 1) + 1, softmax_rows, &job);
}

struct lookup_job {
    const uint8_t *x, *table;
    uint8_t *y;
};

static void lookup_range(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct lookup_job *job = context;

    (void)thread;
    for (size_t i = begin; i < end; i++)
        job->y[i] = job->table[job->x[i]];
}

void accel_lookup8(struct accel_pool *pool, size_t n, const uint8_t *x, const uint8_t table[256],
                   uint8_t *y)
{
    struct lookup_job job = {.x = x, .table = table, .y = y};

    accel_pool_run(pool, n, GRAIN, lookup_range, &job);
}

void accel_quant_table(const struct accel_kernels *kernels, enum accel_unary_op op, float alpha,
                       bool x_signed, struct accel_quant_param x_quant, bool y_signed,
                       struct accel_quant_param y_quant, uint8_t table[256])
{
    const int32_t z = y_quant.zero;
    const float lo = (float)((y_signed ? INT8_MIN : 0) - z);
    const float hi = (float)((y_signed ? INT8_MAX : UINT8_MAX) - z);
    float v[256];

    for (int i = 0; i < 256; i++)
        v[i] = x_quant.scale * (float)((x_signed ? (int8_t)i : i) - x_quant.zero);
    kernels->f32_unary[op](256, v, v, alpha, 0);
    for (int i = 0; i < 256; i++)
        table[i] = (uint8_t)(accel_round_within(v[i] / y_quant.scale, lo, hi) + z);
}
