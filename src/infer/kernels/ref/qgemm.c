/* SPDX-License-Identifier: Apache-2.0 */
/* Products of quantised matrices and convolutions, plain. Sums are kept unsigned: they wrap, and
 * what fits into 32 bits comes out right however it was reached. */
#include "infer/kernels/pooling.h"
#include "infer/kernels/quant.h"
#include "infer/kernels/ref/quant_round.h"

#include <string.h>

static int32_t at8(bool is_signed, const void *x, size_t i)
{
    return is_signed ? ((const int8_t *)x)[i] : ((const uint8_t *)x)[i];
}

static int32_t zero_at(bool is_signed, const void *zero, size_t i)
{
    return zero != NULL ? at8(is_signed, zero, i) : 0;
}

/* n sums to elements at.. of the output, row `row`, from column `column` on; column_step 0: all
 * have that column's scale. */
static void store(const struct accel_quant_out *out, size_t at, size_t n, const uint32_t *sum,
                  size_t row, size_t column, size_t column_step)
{
    if (out->dtype == ACCEL_DTYPE_INT32) {
        memcpy((int32_t *)out->y + at, sum, n * sizeof(*sum));
        return;
    }
    const float a = out->alpha * out->a_scale[row * out->a_scale_stride];
    const float *b = out->b_scale + column * out->b_scale_stride;
    const size_t step = column_step * out->b_scale_stride;
    if (out->dtype == ACCEL_DTYPE_FLOAT) {
        for (size_t j = 0; j < n; j++)
            ((float *)out->y)[at + j] = (float)(int32_t)sum[j] * (a * b[j * step]);
        return;
    }
    const bool is_signed = out->dtype == ACCEL_DTYPE_INT8;
    const int32_t z = out->y_zero;
    const float lo = (float)((is_signed ? INT8_MIN : 0) - z);
    const float hi = (float)((is_signed ? INT8_MAX : UINT8_MAX) - z);
    uint8_t *y = (uint8_t *)out->y + at;
    for (size_t j = 0; j < n; j++) {
        const float scale = a * b[j * step] / out->y_scale;

        y[j] = (uint8_t)(accel_round_within((float)(int32_t)sum[j] * scale, lo, hi) + z);
    }
}

/* sum[i] += factor * (x[i * stride] - zero); factor and the difference fit into 16 bits, which
 * plain SSE2 multiplies, where it has no product of 32 bits. */
#define ADD_SCALED(T)                                                                            \
    static void add_##T(uint32_t *restrict sum, size_t n, int16_t factor, const T *restrict x,   \
                        size_t stride, int16_t zero)                                             \
    {                                                                                            \
        for (size_t i = 0; stride == 1 && i < n; i++)                                            \
            sum[i] += (uint32_t)((int32_t)factor * (int32_t)(int16_t)((int16_t)x[i] - zero));    \
        for (size_t i = 0; stride != 1 && i < n; i++)                                            \
            sum[i] +=                                                                            \
                (uint32_t)((int32_t)factor * (int32_t)(int16_t)((int16_t)x[i * stride] - zero)); \
    }

ADD_SCALED(int8_t)
ADD_SCALED(uint8_t)

static void add_scaled(bool is_signed, uint32_t *sum, size_t n, int32_t factor, const void *x,
                       size_t at, size_t stride, int32_t zero)
{
    if (is_signed)
        add_int8_t(sum, n, (int16_t)factor, (const int8_t *)x + at, stride, (int16_t)zero);
    else
        add_uint8_t(sum, n, (int16_t)factor, (const uint8_t *)x + at, stride, (int16_t)zero);
}

/* ---------------------------------------------------------------- matrix product */

struct gemm_job {
    const struct accel_qgemm *g;
    uint32_t *sums; /* [threads][stride] */
    size_t stride;
};

#define DOT(T)                                                                              \
    do {                                                                                    \
        const T *b = (const T *)g->b + j * g->b_col;                                        \
        for (size_t k = 0; k < g->k; k++)                                                   \
            total += (uint32_t)(at8(g->a_signed, g->a, i * g->a_row + k * g->a_col) - za) * \
                     (uint32_t)(int32_t)b[k];                                               \
    } while (0)

static void gemm_rows(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct gemm_job *job = context;
    const struct accel_qgemm *g = job->g;
    uint32_t *sum = job->sums + thread * job->stride;

    for (size_t i = begin; i < end; i++) {
        const int32_t za = zero_at(g->a_signed, g->a_zero, i * g->a_zero_stride);
        uint32_t a_total = 0;

        for (size_t j = 0; j < g->n; j++)
            sum[j] = g->c != NULL ? (uint32_t)g->c[i * g->c_row + j * g->c_col] : 0;
        for (size_t k = 0; k < g->k; k++) {
            const int32_t a = at8(g->a_signed, g->a, i * g->a_row + k * g->a_col) - za;

            a_total += (uint32_t)a;
            if (g->b_col != 1 || a == 0)
                continue;
            add_scaled(g->b_signed, sum, g->n, a, g->b, k * g->b_row, 1, 0);
        }
        for (size_t j = 0; g->b_col != 1 && j < g->n; j++) {
            uint32_t total = 0;

            if (g->b_signed)
                DOT(int8_t);
            else
                DOT(uint8_t);
            sum[j] += total;
        }
        /* sum of a * (b - z) = sum of a * b - z * sum of a */
        for (size_t j = 0; g->b_zero != NULL && j < g->n; j++)
            sum[j] -= (uint32_t)zero_at(g->b_signed, g->b_zero, j * g->b_zero_stride) * a_total;
        store(&g->out, i * g->n, g->n, sum, i, 0, 1);
    }
}

/* Rows of sums of the threads lie apart by whole cache lines. */
static bool sums_stride(size_t n, size_t *stride)
{
    if (n > SIZE_MAX / 8 - 64)
        return false;
    *stride = ACCEL_ROUND_UP(n, 16);
    return true;
}

bool accel_qgemm_scratch_bytes__ref(size_t n, unsigned threads, size_t *bytes)
{
    size_t stride;

    return sums_stride(n, &stride) &&
           !__builtin_mul_overflow(stride * sizeof(uint32_t), ACCEL_MAX(threads, 1u), bytes);
}

void accel_qgemm__ref(struct accel_pool *pool, const struct accel_qgemm *gemm, void *scratch)
{
    struct gemm_job job = {.g = gemm, .sums = scratch};

    if (gemm->n == 0 || !sums_stride(gemm->n, &job.stride))
        return;
    const size_t work = gemm->n * (gemm->k + 1);
    accel_pool_run_long(pool, gemm->m, 65536 / work + 1, gemm_rows, &job);
}

/* ---------------------------------------------------------------- convolution */

struct conv_job {
    const struct accel_qconv *c;
    struct accel_window3 w; /* sizes brought to three dimensions */
    uint32_t *sums;
    size_t stride;
};

/* One row of the output: [batch][cout][oz][oy], counted through. */
static void conv_rows(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct conv_job *job = context;
    const struct accel_qconv *c = job->c;
    const struct accel_window3 *w = &job->w;
    const size_t per_group = c->conv.cin / c->conv.groups;
    uint32_t *sum = job->sums + thread * job->stride;

    for (size_t row = begin; row < end; row++) {
        const size_t oy = row % w->out[1], oz = row / w->out[1] % w->out[0];
        const size_t m = row / w->out[1] / w->out[0] % c->conv.cout;
        const size_t batch = row / w->out[1] / w->out[0] / c->conv.cout;
        const size_t group = m / (c->conv.cout / c->conv.groups);
        const int32_t zw = zero_at(c->w_signed, c->w_zero, m * c->w_zero_stride);

        for (size_t o = 0; o < w->out[2]; o++)
            sum[o] = c->bias != NULL ? (uint32_t)c->bias[m] : 0;
        for (size_t k = 0; k < per_group * w->kernel[0] * w->kernel[1]; k++) {
            const size_t ky = k % w->kernel[1], kz = k / w->kernel[1] % w->kernel[0];
            const size_t channel = group * per_group + k / w->kernel[1] / w->kernel[0];
            const size_t iz = accel_window_at(w, 0, oz, kz), iy = accel_window_at(w, 1, oy, ky);

            if (iz >= w->in[0] || iy >= w->in[1])
                continue;
            const size_t plane =
                (((batch * c->conv.cin + channel) * w->in[0] + iz) * w->in[1] + iy) * w->in[2];
            for (size_t kx = 0; kx < w->kernel[2]; kx++) {
                const int32_t weight =
                    at8(c->w_signed, c->w,
                        (m * per_group * w->kernel[0] * w->kernel[1] + k) * w->kernel[2] + kx) -
                    zw;
                size_t first, last;

                accel_window_row(w, kx * w->dilation[2], &first, &last);
                if (first < last && weight != 0)
                    add_scaled(c->x_signed, sum + first, last - first, weight, c->x,
                               plane + accel_window_at(w, 2, first, kx), w->stride[2], c->x_zero);
            }
        }
        store(&c->out, row * w->out[2], w->out[2], sum, 0, m, 0);
    }
}

bool accel_qconv_scratch_bytes__ref(const struct accel_conv *conv, unsigned threads, size_t *bytes)
{
    return accel_qgemm_scratch_bytes__ref(conv->out[conv->spatial - 1], threads, bytes);
}

void accel_qconv__ref(struct accel_pool *pool, const struct accel_qconv *conv, void *scratch)
{
    struct conv_job job = {.c = conv, .sums = scratch};
    struct accel_window window = {.spatial = conv->conv.spatial};

    memcpy(window.in, conv->conv.in, sizeof(window.in));
    memcpy(window.out, conv->conv.out, sizeof(window.out));
    memcpy(window.kernel, conv->conv.kernel, sizeof(window.kernel));
    memcpy(window.stride, conv->conv.stride, sizeof(window.stride));
    memcpy(window.dilation, conv->conv.dilation, sizeof(window.dilation));
    for (unsigned d = 0; d < conv->conv.spatial; d++)
        window.pad_begin[d] = (ptrdiff_t)conv->conv.pad_begin[d];
    job.w = accel_window3_of(&window);
    if (!sums_stride(job.w.out[2], &job.stride))
        return;
    const size_t rows = conv->conv.batch * conv->conv.cout * job.w.out[0] * job.w.out[1];
    const size_t work = job.w.out[2] * job.w.taps * (conv->conv.cin / conv->conv.groups) + 1;
    accel_pool_run_long(pool, rows, 65536 / work + 1, conv_rows, &job);
}
