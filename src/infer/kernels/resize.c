/* SPDX-License-Identifier: Apache-2.0 */
/* ONNX Resize-19: each axis becomes a table of taps (input index and weight per output index); an
 * output element is the sum over the product of its axes' taps. */
#include <math.h>
#include <string.h>

#include "infer/kernels/kernels.h"

struct tap {
    uint32_t index;
    float weight;
};

/* The table of one axis: `taps` entries per output index. */
struct axis {
    size_t in, out, taps;
    const struct tap *table;
    const uint8_t *outside; /* TF_CROP_AND_RESIZE: this output lies outside the input; else NULL */
};

static bool filters(const struct accel_resize *r)
{
    return r->antialias && r->mode != ACCEL_RESIZE_NEAREST;
}

static bool resized(const struct accel_resize *r, unsigned d)
{
    if (filters(r) && r->in[d] == r->out[d])
        return false; /* whatever the scale: ONNX Runtime copies it */
    return r->in[d] != r->out[d] || r->scale[d] != 1 || r->coord == ACCEL_COORD_TF_CROP_AND_RESIZE;
}

/* How far the filter reaches to each side, in input elements. */
static double support(const struct accel_resize *r, unsigned d)
{
    const double reach = r->mode == ACCEL_RESIZE_CUBIC ? 2 : 1;

    return r->antialias && r->scale[d] < 1 ? reach / (double)r->scale[d] : reach;
}

/* At most SIZE_MAX / 64, for a scale that is a tiny number of a hostile file. */
static size_t taps_of(const struct accel_resize *r, unsigned d)
{
    if (!resized(r, d) || r->mode == ACCEL_RESIZE_NEAREST)
        return 1;
    if (!filters(r))
        return r->mode == ACCEL_RESIZE_CUBIC ? 4 : 2;
    const double taps = 2 * ceil(support(r, d)) + 1;
    return taps < 0x1p58 ? (size_t)taps : (size_t)1 << 58;
}

/* One element needs a table for each axis. */
static bool table_bytes(const struct accel_resize *r, unsigned d, size_t *bytes)
{
    return !__builtin_mul_overflow(taps_of(r, d), sizeof(struct tap), bytes) &&
           !__builtin_add_overflow(*bytes, 1, bytes) &&
           !__builtin_mul_overflow(*bytes, r->out[d], bytes) &&
           !__builtin_add_overflow(*bytes, ACCEL_KERNEL_ALIGN, bytes);
}

int accel_resize_scratch_bytes(const struct accel_resize *resize, size_t *bytes,
                               struct accel_error *err)
{
    *bytes = 0;
    for (unsigned d = 0; d < resize->rank; d++) {
        size_t axis;

        if (resize->in[d] > UINT32_MAX || !(resize->scale[d] > 0) || !isfinite(resize->scale[d]))
            return accel_fail(err, ACCEL_E_INVALID, "axis %u: cannot resize %zu by %g", d,
                              resize->in[d], (double)resize->scale[d]);
        if (!table_bytes(resize, d, &axis) || __builtin_add_overflow(*bytes, axis, bytes))
            return accel_fail(err, ACCEL_E_INVALID, "the resize is too large");
    }
    return ACCEL_OK;
}

/* Where output i lies in the input. In floats, as ONNX Runtime does it: 3 / 0.6f is 5 and its floor
 * 5, where double arithmetic says 4.9999998. */
static float coordinate(const struct accel_resize *r, unsigned d, size_t i)
{
    const float x = (float)i, scale = r->scale[d], in = (float)r->in[d], out = (float)r->out[d];

    switch (r->coord) {
    case ACCEL_COORD_HALF_PIXEL:
        return (x + 0.5f) / scale - 0.5f;
    case ACCEL_COORD_HALF_PIXEL_SYMMETRIC: {
        /* The part of the output that the scale promised and the rounding of out cut off. */
        const float adjustment = out / (scale * in), offset = in / 2 * (1 - adjustment);

        return (float)((double)offset + ((double)x + 0.5) / (double)scale - 0.5);
    }
    case ACCEL_COORD_PYTORCH_HALF_PIXEL:
        return out > 1 ? (x + 0.5f) / scale - 0.5f : 0;
    case ACCEL_COORD_ALIGN_CORNERS:
        return out > 1 ? x * (in - 1) / (out - 1) : 0;
    case ACCEL_COORD_ASYMMETRIC:
        return x / scale;
    case ACCEL_COORD_TF_CROP_AND_RESIZE: {
        const float start = r->roi_start[d], end = r->roi_end[d];

        return out > 1 ? start * (in - 1) + x * (end - start) * (in - 1) / (out - 1)
                       : 0.5f * (start + end) * (in - 1);
    }
    case ACCEL_COORD_TF_HALF_PIXEL_FOR_NN:
        return (x + 0.5f) / scale;
    }
    return 0;
}

static double cubic_weight(double a, double x)
{
    x = fabs(x);
    if (x <= 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

/* So near the middle between two elements a coordinate in floats is taken to mean the middle, as by
 * ONNX Runtime: 9 / 1.2f is 7.4999995. */
#define MIDDLE 1e-6

static double nearest(enum accel_resize_nearest mode, double x)
{
    switch (mode) {
    case ACCEL_NEAREST_ROUND_PREFER_FLOOR:
        return ceil(x - 0.5 - MIDDLE);
    case ACCEL_NEAREST_ROUND_PREFER_CEIL:
        return floor(x + 0.5 + MIDDLE);
    case ACCEL_NEAREST_FLOOR:
        return floor(x);
    case ACCEL_NEAREST_CEIL:
        return ceil(x);
    }
    return x;
}

/* An index of the input, the edge repeated beyond it. NaN (a scale of nonsense) is 0. */
static uint32_t clamp_index(double x, size_t in)
{
    return x > 0 ? (uint32_t)fmin(x, (double)(in - 1)) : 0;
}

/* Linear between two neighbours, the edge repeated. In floats and by distances, as ONNX Runtime
 * does it: results that are cut off to integers hang on the last bit. */
static void fill_linear(const struct accel_resize *r, unsigned d, float x, struct tap taps[2])
{
    const float last = (float)(r->in[d] - 1), at = x > 0 ? fminf(x, last) : 0;
    const uint32_t low = clamp_index((double)at, r->in[d]);
    const uint32_t high = (size_t)low + 1 < r->in[d] ? low + 1 : low;

    taps[0] = (struct tap){.index = low, .weight = fabsf(at - (float)high)};
    taps[1] = (struct tap){.index = high, .weight = fabsf(at - (float)low)};
    if (low == high)
        taps[0].weight = taps[1].weight = 0.5f;
}

static void fill_taps(const struct accel_resize *r, unsigned d, size_t n, double x,
                      struct tap *taps)
{
    const double in = (double)r->in[d];
    const double first = floor(x) - (r->mode == ACCEL_RESIZE_CUBIC ? 1 : 0);
    double sum = 0;

    if (r->mode == ACCEL_RESIZE_LINEAR && !r->exclude_outside) {
        fill_linear(r, d, (float)x, taps);
        return;
    }
    for (size_t t = 0; t < n; t++) {
        const double at = first + (double)t, distance = at - x;
        double weight = r->mode == ACCEL_RESIZE_CUBIC
                            ? cubic_weight((double)r->cubic_coeff_a, distance)
                            : fmax(0, 1 - fabs(distance));

        if (r->exclude_outside && (at < 0 || at >= in))
            weight = 0;
        taps[t] = (struct tap){.index = clamp_index(at, r->in[d]), .weight = (float)weight};
        sum += weight;
    }
    /* The weights of a cut filter do not add up to one by themselves. */
    if (r->exclude_outside && sum != 0)
        for (size_t t = 0; t < n; t++)
            taps[t].weight = (float)((double)taps[t].weight / sum);
}

/* Pillow's filter, made for the scale where that is below 1. */
static float filter_weight(const struct accel_resize *r, float x)
{
    const float a = r->cubic_coeff_a;

    x = fabsf(x);
    if (r->mode == ACCEL_RESIZE_LINEAR)
        return x < 1 ? 1 - x : 0;
    if (x < 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

/* What reaches beyond an end is added to the end's weight, or left out. In floats and in ONNX
 * Runtime's order, as integers hang on the last bit; fixed: in 2^-22, as it has them for bytes. */
static void fill_filter(const struct accel_resize *r, unsigned d, size_t n, float x, bool fixed,
                        struct tap *taps)
{
    const float wide = fmaxf(1 / r->scale[d], 1), narrow = 1 / wide, center = 0.5f + x;
    const float reach = (r->mode == ACCEL_RESIZE_CUBIC ? 2.0f : 1.0f) * wide;
    const double in = (double)r->in[d], first = (double)floorf(center - reach + 0.5f);
    const double end = fmin((double)floorf(center + reach + 0.5f), first + (double)n);
    const uint32_t base = clamp_index(first, r->in[d]);
    float sum = 0;

    for (size_t t = 0; t < n; t++)
        taps[t] = (struct tap){.index = clamp_index(base + (double)t, r->in[d])};
    for (double at = first; at < end; at++) {
        const float weight = filter_weight(r, ((float)at - center + 0.5f) * narrow);

        if (r->exclude_outside && (at < 0 || at >= in))
            continue;
        taps[clamp_index(at, r->in[d]) - base].weight += weight;
        sum += weight;
    }
    sum = sum == 0 ? 1 : 1 / sum;
    for (size_t t = 0; t < n; t++) {
        taps[t].weight *= sum;
        if (fixed)
            taps[t].weight = roundf(taps[t].weight * 0x1p22f);
    }
}

static void fill_axis(const struct accel_resize *r, unsigned d, bool fixed, struct axis *axis,
                      struct tap *table, uint8_t *outside)
{
    *axis = (struct axis){.in = r->in[d], .out = r->out[d], .taps = taps_of(r, d), .table = table};
    if (r->coord == ACCEL_COORD_TF_CROP_AND_RESIZE)
        axis->outside = outside;
    for (size_t i = 0; i < r->out[d]; i++) {
        struct tap *taps = table + i * axis->taps;
        const double x = resized(r, d) ? (double)coordinate(r, d, i) : (double)i;

        outside[i] = x < 0 || x > (double)(r->in[d] - 1);
        if (axis->taps == 1)
            *taps =
                (struct tap){.index = clamp_index(nearest(r->nearest, x), r->in[d]), .weight = 1};
        else if (filters(r))
            fill_filter(r, d, axis->taps, (float)x, fixed, taps);
        else
            fill_taps(r, d, axis->taps, x, taps);
    }
}

struct resize_job {
    const struct accel_resize *r;
    struct axis axes[ACCEL_RANK_MAX];
    enum accel_dtype dtype;
    size_t element_size;
    bool rows_apart; /* resize_row does it */
    const void *x;
    void *y;
};

static float load(const struct resize_job *job, size_t at)
{
    switch (job->dtype) {
    case ACCEL_DTYPE_UINT8:
        return ((const uint8_t *)job->x)[at];
    case ACCEL_DTYPE_INT8:
        return ((const int8_t *)job->x)[at];
    case ACCEL_DTYPE_INT32:
        return (float)((const int32_t *)job->x)[at];
    default:
        return ((const float *)job->x)[at];
    }
}

/* The nearest number that the integer type has. */
static float within(enum accel_dtype dtype, float v)
{
    switch (dtype) {
    case ACCEL_DTYPE_UINT8:
        return fminf(fmaxf(v, 0), 255);
    case ACCEL_DTYPE_INT8:
        return fminf(fmaxf(v, -128), 127);
    default:
        return v;
    }
}

/* Integers as ONNX Runtime makes them: cut off towards zero. */
static void store(const struct resize_job *job, size_t at, float v)
{
    switch (job->dtype) {
    case ACCEL_DTYPE_UINT8:
        ((uint8_t *)job->y)[at] = (uint8_t)within(job->dtype, v);
        break;
    case ACCEL_DTYPE_INT8:
        ((int8_t *)job->y)[at] = (int8_t)within(job->dtype, v);
        break;
    case ACCEL_DTYPE_INT32:
        ((int32_t *)job->y)[at] = v >= 0x1p31f ? INT32_MAX : v > -0x1p31f ? (int32_t)v : INT32_MIN;
        break;
    default:
        ((float *)job->y)[at] = v;
    }
}

/* Is this the last place of a spatial axis that keeps its size? ONNX Runtime has two taps of a half
 * each there: a sum that is cut off to an integer then has twice the roundings. */
static bool halved(const struct resize_job *job, unsigned d, size_t index)
{
    return job->r->mode == ACCEL_RESIZE_LINEAR && !job->r->antialias &&
           job->dtype != ACCEL_DTYPE_FLOAT && job->axes[d].taps == 1 &&
           (d >= 2 || job->r->rank < 4) && index + 1 == job->axes[d].in;
}

/* Adds the taps of axes d.. of the output `index`, `at` the flat input index so far. Weights are
 * multiplied before the elements, as ONNX Runtime does: where a sum is cut off to an integer, the
 * last bit decides. */
static void sum_taps(const struct resize_job *job, const size_t *index, unsigned d, size_t at,
                     float weight, float *sum)
{
    if (d == job->r->rank) {
        *sum += weight * load(job, at);
        return;
    }
    const struct axis *axis = &job->axes[d];
    const struct tap *taps = axis->table + index[d] * axis->taps;

    if (halved(job, d, index[d])) {
        sum_taps(job, index, d + 1, at * axis->in + taps->index, weight * 0.5f, sum);
        sum_taps(job, index, d + 1, at * axis->in + taps->index, weight * 0.5f, sum);
        return;
    }
    for (size_t t = 0; t < axis->taps; t++)
        if (axis->taps == 1 || taps[t].weight != 0)
            sum_taps(job, index, d + 1, at * axis->in + taps[t].index,
                     axis->taps == 1 ? weight : weight * taps[t].weight, sum);
}

/* Antialiased integers are integers again after each axis, as in the passes of ONNX Runtime: bytes
 * by weights of 22 bits, halves going up, cut to 0..255 even where they are signed; INT32 by
 * floats, halves going away from 0. */
static float sum_of_integers(const struct resize_job *job, const size_t *index, unsigned d,
                             size_t at)
{
    if (d == job->r->rank)
        return load(job, at);
    const struct axis *axis = &job->axes[d];
    const struct tap *taps = axis->table + index[d] * axis->taps;
    int64_t fixed = 1 << 21;
    float sum = 0;

    if (axis->taps == 1)
        return sum_of_integers(job, index, d + 1, at * axis->in + taps->index);
    for (size_t t = 0; t < axis->taps; t++) {
        if (taps[t].weight == 0)
            continue;
        const float v = sum_of_integers(job, index, d + 1, at * axis->in + taps[t].index);

        if (job->dtype == ACCEL_DTYPE_INT32)
            sum += taps[t].weight * v;
        else
            fixed += (int64_t)taps[t].weight * (int64_t)v;
    }
    if (job->dtype == ACCEL_DTYPE_INT32)
        return roundf(sum);
    fixed = ACCEL_MAX(ACCEL_MIN(fixed >> 22, 255), 0);
    return job->dtype == ACCEL_DTYPE_INT8 ? (float)(int8_t)(uint8_t)fixed : (float)fixed;
}

static float interpolate(const struct resize_job *job, const size_t *index)
{
    float sum = 0;

    if (job->dtype != ACCEL_DTYPE_FLOAT && job->r->antialias)
        return sum_of_integers(job, index, 0, 0);
    sum_taps(job, index, 0, 0, 1, &sum);
    return sum;
}

/* One row of floats whose outer axes have a single tap each: no recursion. `plane` is where the
 * last two axes begin in the input. */
static void resize_row(const struct resize_job *job, const float *plane, size_t oy, float *y)
{
    const unsigned last = job->r->rank - 1;
    const struct axis *rows = &job->axes[last - 1], *columns = &job->axes[last];
    const struct tap *row_taps = rows->table + oy * rows->taps, *taps = columns->table;

    for (size_t i = 0; i < columns->out; i++, taps += columns->taps) {
        float sum = 0;

        for (size_t t = 0; t < rows->taps; t++) {
            const float *row = plane + (size_t)row_taps[t].index * columns->in;
            float part = 0;

            for (size_t u = 0; u < columns->taps; u++)
                part += taps[u].weight * row[taps[u].index];
            sum += row_taps[t].weight * part;
        }
        y[i] = sum;
    }
}

/* Rows of the output: all axes but the last. */
static void resize_range(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct resize_job *job = context;
    const unsigned last = job->r->rank - 1;
    const struct axis *inner = &job->axes[last];

    (void)thread;
    for (size_t row = begin; row < end; row++) {
        size_t index[ACCEL_RANK_MAX], rest = row, source = 0;
        bool outside = false, single = true;

        for (unsigned d = last; d-- > 0; rest /= job->axes[d].out) {
            index[d] = rest % job->axes[d].out;
            outside = outside || (job->axes[d].outside != NULL && job->axes[d].outside[index[d]]);
            single = single && job->axes[d].taps == 1;
        }
        for (unsigned d = 0; d < last; d++)
            source =
                source * job->axes[d].in + job->axes[d].table[index[d] * job->axes[d].taps].index;
        source *= inner->in;
        if (job->rows_apart) {
            const size_t above = last > 1 ? source / inner->in / job->axes[last - 1].in : 0;

            resize_row(job, (const float *)job->x + above * job->axes[last - 1].in * inner->in,
                       index[last - 1], (float *)job->y + row * inner->out);
            continue;
        }
        for (size_t i = 0; i < inner->out; i++) {
            const size_t at = row * inner->out + i;

            if (outside || (inner->outside != NULL && inner->outside[i])) {
                store(job, at, job->r->extrapolation_value);
            } else if (single && inner->taps == 1) {
                memcpy((char *)job->y + at * job->element_size,
                       (const char *)job->x + (source + inner->table[i].index) * job->element_size,
                       job->element_size);
            } else {
                index[last] = i;
                store(job, at, interpolate(job, index));
            }
        }
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

bool accel_resize(const struct accel_kernels *kernels, struct accel_pool *pool,
                  const struct accel_resize *resize, enum accel_dtype dtype, const void *x, void *y,
                  void *scratch)
{
    struct resize_job job = {
        .r = resize, .dtype = dtype, .element_size = size_of(dtype), .x = x, .y = y};
    const bool weighs = dtype == ACCEL_DTYPE_FLOAT || dtype == ACCEL_DTYPE_UINT8 ||
                        dtype == ACCEL_DTYPE_INT8 || dtype == ACCEL_DTYPE_INT32;
    char *room = scratch;
    size_t rows = 1, work = 1, outer_taps = 1;

    (void)kernels;
    if (job.element_size == 0 || (!weighs && (resize->mode != ACCEL_RESIZE_NEAREST ||
                                              resize->coord == ACCEL_COORD_TF_CROP_AND_RESIZE)))
        return false;
    for (unsigned d = 0; d < resize->rank; d++)
        if (resize->out[d] == 0 || resize->in[d] == 0)
            return true;
    if (resize->rank == 0) {
        memcpy(y, x, job.element_size);
        return true;
    }
    for (unsigned d = 0; d < resize->rank; d++) {
        const size_t table = resize->out[d] * taps_of(resize, d) * sizeof(struct tap);

        fill_axis(resize, d, dtype != ACCEL_DTYPE_FLOAT && dtype != ACCEL_DTYPE_INT32, &job.axes[d],
                  (struct tap *)(void *)room, (uint8_t *)room + table);
        room += ACCEL_ROUND_UP(table + resize->out[d], ACCEL_KERNEL_ALIGN);
        rows *= d + 1 < resize->rank ? resize->out[d] : 1;
        work *= job.axes[d].taps;
        outer_taps *= d + 2 < resize->rank ? job.axes[d].taps : 1;
    }
    job.rows_apart = dtype == ACCEL_DTYPE_FLOAT && resize->rank >= 2 && outer_taps == 1 &&
                     work > 1 && resize->coord != ACCEL_COORD_TF_CROP_AND_RESIZE;
    accel_pool_run_long(pool, rows, 8192 / (resize->out[resize->rank - 1] * work) + 1, resize_range,
                        &job);
    return true;
}
