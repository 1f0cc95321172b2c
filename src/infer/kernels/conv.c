/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/kernels/conv.h"

#include <math.h>
#include <string.h>

#include "infer/kernels/epilogue.h"
#include "infer/kernels/gemm.h"

/* Largest kernel the direct depthwise form takes: its taps are pointers on the stack. */
#define TAPS_MAX 64

size_t accel_conv_out(size_t in, size_t kernel, size_t stride, size_t dilation, size_t pad_begin,
                      size_t pad_end)
{
    const size_t padded = in + pad_begin + pad_end, extent = dilation * (kernel - 1) + 1;

    return padded < extent ? 0 : (padded - extent) / stride + 1;
}

static bool multiply(size_t *product, size_t by)
{
    return !__builtin_mul_overflow(*product, by, product);
}

int accel_conv_check(const struct accel_conv *conv, struct accel_error *err)
{
    size_t x = sizeof(float), w = sizeof(float), y = sizeof(float), padded, extent;
    bool fits;

    if (conv->spatial < 1 || conv->spatial > ACCEL_SPATIAL_MAX)
        return accel_fail(err, ACCEL_E_INVALID, "%u spatial dimensions: 1 to %d are possible",
                          conv->spatial, ACCEL_SPATIAL_MAX);
    if (conv->groups == 0 || conv->cin == 0 || conv->cout == 0 || conv->cin % conv->groups != 0 ||
        conv->cout % conv->groups != 0)
        return accel_fail(err, ACCEL_E_INVALID, "%zu to %zu channels do not divide into %zu groups",
                          conv->cin, conv->cout, conv->groups);
    fits = multiply(&x, conv->batch) && multiply(&x, conv->cin) && multiply(&y, conv->batch) &&
           multiply(&y, conv->cout) && multiply(&w, conv->cin / conv->groups) &&
           multiply(&w, conv->cout);
    for (unsigned d = 0; d < conv->spatial; d++) {
        if (conv->kernel[d] == 0 || conv->stride[d] == 0 || conv->dilation[d] == 0)
            return accel_fail(err, ACCEL_E_INVALID,
                              "kernel, stride or dilation of spatial axis %u is 0", d);
        /* Coordinates are sums of these; an eighth of the range leaves room for all. */
        fits = fits && multiply(&x, conv->in[d]) && multiply(&y, conv->out[d]) &&
               multiply(&w, conv->kernel[d]) &&
               !__builtin_mul_overflow(conv->dilation[d], conv->kernel[d], &extent) &&
               !__builtin_mul_overflow(conv->out[d], conv->stride[d], &padded) &&
               extent < SIZE_MAX / 8 && padded < SIZE_MAX / 8 && conv->pad_begin[d] < SIZE_MAX / 8;
    }
    if (!fits || x > PTRDIFF_MAX || y > PTRDIFF_MAX || w > PTRDIFF_MAX)
        return accel_fail(err, ACCEL_E_INVALID, "the sizes of the convolution overflow");
    return ACCEL_OK;
}

enum accel_conv_algo accel_conv_f32_algo(const struct accel_kernels *kernels,
                                         const struct accel_conv *conv)
{
    const struct accel_conv3 c = accel_conv3_of(conv);
    bool pointwise = true;

    (void)kernels;
    for (unsigned d = 0; d < 3; d++)
        pointwise = pointwise && c.kernel[d] == 1 && c.stride[d] == 1 && c.pad[d] == 0 &&
                    c.in[d] == c.out[d];
    if (c.cin_group == 1 && conv->groups > 1 && c.taps <= TAPS_MAX)
        return ACCEL_CONV_DEPTHWISE;
    return pointwise ? ACCEL_CONV_POINTWISE : ACCEL_CONV_IM2COL;
}

const char *accel_conv_algo_name(enum accel_conv_algo algo)
{
    switch (algo) {
    case ACCEL_CONV_POINTWISE:
        return "pointwise";
    case ACCEL_CONV_IM2COL:
        return "im2col";
    case ACCEL_CONV_DEPTHWISE:
        return "depthwise";
    }
    return "?";
}

/* Bytes of one group's packed weights, a multiple of the alignment. */
static bool group_bytes(const struct accel_kernels *kernels, const struct accel_conv3 *c,
                        size_t *bytes)
{
    if (!accel_gemm_a_size(kernels, c->cout_group, c->cin_group * c->taps, bytes) ||
        *bytes > SIZE_MAX - ACCEL_KERNEL_ALIGN)
        return false;
    *bytes = ACCEL_ROUND_UP(*bytes, ACCEL_KERNEL_ALIGN);
    return true;
}

int accel_conv_f32_packed_bytes(const struct accel_kernels *kernels, const struct accel_conv *conv,
                                size_t *bytes, struct accel_error *err)
{
    const struct accel_conv3 c = accel_conv3_of(conv);

    if (accel_conv_f32_algo(kernels, conv) == ACCEL_CONV_DEPTHWISE) {
        *bytes = conv->cout * c.taps * sizeof(float); /* accel_conv_check saw that it fits */
        return ACCEL_OK;
    }
    if (!group_bytes(kernels, &c, bytes) || __builtin_mul_overflow(*bytes, conv->groups, bytes))
        return accel_fail(err, ACCEL_E_INVALID, "the weights of the convolution are too large");
    return ACCEL_OK;
}

void accel_conv_f32_pack(const struct accel_kernels *kernels, const struct accel_conv *conv,
                         const float *w, void *packed)
{
    const struct accel_conv3 c = accel_conv3_of(conv);
    const size_t k = c.cin_group * c.taps;
    size_t bytes;

    if (accel_conv_f32_algo(kernels, conv) == ACCEL_CONV_DEPTHWISE) {
        memcpy(packed, w, conv->cout * c.taps * sizeof(float));
        return;
    }
    if (!group_bytes(kernels, &c, &bytes))
        return; /* packed_bytes refused it */
    for (size_t g = 0; g < conv->groups; g++)
        accel_gemm_f32_pack_a(kernels, c.cout_group, k, w + g * c.cout_group * k, k, false,
                              (char *)packed + g * bytes);
}

struct conv_job {
    const struct accel_kernels *kernels;
    const struct accel_conv *conv;
    struct accel_conv3 c;
    enum accel_conv_algo algo;
    struct accel_gemm_cut cut;
    size_t group_bytes;
    const float *x;
    const void *packed;
    const struct accel_conv_epilogue *epilogue;
    float *y, *scratch;
};

static struct accel_gemm_cut conv_cut(const struct accel_kernels *kernels,
                                      const struct accel_conv *conv, const struct accel_conv3 *c,
                                      unsigned threads)
{
    return accel_gemm_cut_of(kernels, c->cout_group, c->out_size, c->cin_group * c->taps, true,
                             false, conv->batch * conv->groups, threads);
}

int accel_conv_f32_scratch_bytes(const struct accel_kernels *kernels, const struct accel_conv *conv,
                                 unsigned threads, size_t *bytes, struct accel_error *err)
{
    const struct accel_conv3 c = accel_conv3_of(conv);

    *bytes = 0;
    if (accel_conv_f32_algo(kernels, conv) == ACCEL_CONV_DEPTHWISE)
        return ACCEL_OK;
    const struct accel_gemm_cut cut = conv_cut(kernels, conv, &c, threads);
    if (!accel_gemm_scratch_size(&cut, threads, bytes))
        return accel_fail(err, ACCEL_E_INVALID, "the convolution is too large");
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- as a matrix product */

/* The input of one group of one image, seen as the matrix B[cin * taps][out_size]. */
struct patches {
    const struct accel_conv3 *c;
    const float *x;
    size_t nr;
};

static void pack_pointwise(const void *context, size_t k0, size_t kc, size_t j0, size_t n,
                           float *packed)
{
    const struct patches *p = context;
    const size_t nr = p->nr;

    for (size_t k = 0; k < kc; k++) {
        const float *row = p->x + (k0 + k) * p->c->in_size + j0;
        float *out = packed + k * nr;

        if (n == nr) {
            memcpy(out, row, nr * sizeof(float));
            continue;
        }
        memcpy(out, row, n * sizeof(float));
        memset(out + n, 0, (nr - n) * sizeof(float));
    }
}

/* A run of output columns of the panel that lie in one output row. */
struct run {
    size_t at, n;   /* columns of the panel */
    size_t z, y, x; /* where the window of the first begins in the input; wraps below 0 */
};

static void pack_patches(const void *context, size_t k0, size_t kc, size_t j0, size_t n,
                         float *packed)
{
    const struct patches *p = context;
    const struct accel_conv3 *c = p->c;
    const size_t nr = p->nr, step = c->stride[2];
    struct run runs[64];
    size_t runs_n = 0;

    for (size_t at = 0; at < n;) {
        const size_t o = j0 + at, ox = o % c->out[2], row = o / c->out[2];
        const size_t length = ACCEL_MIN(n - at, c->out[2] - ox);

        runs[runs_n++] = (struct run){.at = at,
                                      .n = length,
                                      .z = row / c->out[1] * c->stride[0] - c->pad[0],
                                      .y = row % c->out[1] * c->stride[1] - c->pad[1],
                                      .x = ox * step - c->pad[2]};
        at += length;
    }
    size_t kx = k0 % c->kernel[2], ky = k0 / c->kernel[2] % c->kernel[1],
           kz = k0 / c->kernel[2] / c->kernel[1] % c->kernel[0];
    const float *plane = p->x + k0 / c->taps * c->in_size;

    for (size_t k = 0; k < kc; k++) {
        float *out = packed + k * nr;

        for (size_t r = 0; r < runs_n; r++) {
            const struct run *run = &runs[r];
            const size_t z = run->z + kz * c->dilation[0], y = run->y + ky * c->dilation[1];
            const size_t x = run->x + kx * c->dilation[2];
            const float *row = plane + (z * c->in[1] + y) * c->in[2];
            float *to = out + run->at;

            if (z >= c->in[0] || y >= c->in[1]) {
                for (size_t i = 0; i < run->n; i++)
                    to[i] = 0;
                continue;
            }
            if (x < c->in[2] && x + (run->n - 1) * step < c->in[2]) {
                if (step == 1)
                    for (size_t i = 0; i < run->n; i++)
                        to[i] = row[x + i];
                else
                    for (size_t i = 0; i < run->n; i++)
                        to[i] = row[x + i * step];
                continue;
            }
            for (size_t i = 0; i < run->n; i++)
                to[i] = x + i * step < c->in[2] ? row[x + i * step] : 0;
        }
        for (size_t i = n; i < nr; i++)
            out[i] = 0;
        if (++kx == c->kernel[2]) {
            kx = 0;
            if (++ky == c->kernel[1]) {
                ky = 0;
                if (++kz == c->kernel[0]) {
                    kz = 0;
                    plane += c->in_size;
                }
            }
        }
    }
}

static void gemm_range(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct conv_job *job = context;
    const struct accel_conv *conv = job->conv;
    const struct accel_conv3 *c = &job->c;
    const size_t tasks = job->cut.tasks_m * job->cut.tasks_n;

    for (size_t unit = begin; unit < end; unit++) {
        const size_t image = unit / tasks / conv->groups, group = unit / tasks % conv->groups;
        const size_t channel = group * c->cout_group;
        const size_t at = (image * conv->cout + channel) * c->out_size;
        const struct accel_conv_epilogue *e = job->epilogue;
        const struct patches patches = {
            .c = c,
            .x = job->x + (image * conv->cin + group * c->cin_group) * c->in_size,
            .nr = job->cut.nr,
        };
        const struct accel_gemm_core core = {
            .kernels = job->kernels,
            .m = c->cout_group,
            .n = c->out_size,
            .k = c->cin_group * c->taps,
            .packed_a =
                (const float *)(const void *)((const char *)job->packed + group * job->group_bytes),
            .pack_panel = job->algo == ACCEL_CONV_POINTWISE ? pack_pointwise : pack_patches,
            .pack_context = &patches,
            .bias_row = e->bias != NULL ? e->bias + channel : NULL,
            .residual = e->residual != NULL ? e->residual + at : NULL,
            .ldr = c->out_size,
            .act = e->act,
            .y = job->y + at,
            .ldy = c->out_size,
        };

        accel_gemm_task(&core, &job->cut, unit % tasks,
                        job->scratch + thread * job->cut.scratch_floats);
    }
}

/* ---------------------------------------------------------------- depthwise */

/* Output columns whose windows lie wholly inside the row. */
static void interior(const struct accel_conv3 *c, size_t *first, size_t *last)
{
    const size_t extent = c->dilation[2] * (c->kernel[2] - 1) + 1;

    *first = (c->pad[2] + c->stride[2] - 1) / c->stride[2];
    *last = c->in[2] + c->pad[2] < extent
                ? *first
                : ACCEL_MIN((c->in[2] + c->pad[2] - extent) / c->stride[2] + 1, c->out[2]);
    *first = ACCEL_MIN(*first, *last);
}

static float depthwise_at(const struct accel_conv3 *c, const float *plane, const float *w,
                          float bias, size_t oz, size_t oy, size_t ox)
{
    float sum = bias;

    for (size_t kz = 0; kz < c->kernel[0]; kz++)
        for (size_t ky = 0; ky < c->kernel[1]; ky++)
            for (size_t kx = 0; kx < c->kernel[2]; kx++, w++) {
                const size_t iz = oz * c->stride[0] + kz * c->dilation[0] - c->pad[0];
                const size_t iy = oy * c->stride[1] + ky * c->dilation[1] - c->pad[1];
                const size_t ix = ox * c->stride[2] + kx * c->dilation[2] - c->pad[2];

                if (iz < c->in[0] && iy < c->in[1] && ix < c->in[2])
                    sum += *w * plane[(iz * c->in[1] + iy) * c->in[2] + ix];
            }
    return sum;
}

/* One row of outputs, before residual and activation. */
static void depthwise_row(const struct conv_job *job, const float *plane, const float *w,
                          float bias, size_t oz, size_t oy, float *y)
{
    const struct accel_conv3 *c = &job->c;
    const float *taps[TAPS_MAX];
    float weights[TAPS_MAX];
    size_t first, last, n = 0;

    interior(c, &first, &last);
    for (size_t kz = 0; kz < c->kernel[0] && last > first; kz++)
        for (size_t ky = 0; ky < c->kernel[1]; ky++) {
            const size_t iz = oz * c->stride[0] + kz * c->dilation[0] - c->pad[0];
            const size_t iy = oy * c->stride[1] + ky * c->dilation[1] - c->pad[1];

            if (iz >= c->in[0] || iy >= c->in[1])
                continue;
            for (size_t kx = 0; kx < c->kernel[2]; kx++) {
                weights[n] = w[(kz * c->kernel[1] + ky) * c->kernel[2] + kx];
                taps[n++] = plane + (iz * c->in[1] + iy) * c->in[2] + first * c->stride[2] -
                            c->pad[2] + kx * c->dilation[2];
            }
        }
    if (last > first)
        job->kernels->f32_taps(last - first, n, taps, weights, c->stride[2], bias, -INFINITY,
                               INFINITY, y + first);
    for (size_t ox = 0; ox < first; ox++)
        y[ox] = depthwise_at(c, plane, w, bias, oz, oy, ox);
    for (size_t ox = last; ox < c->out[2]; ox++)
        y[ox] = depthwise_at(c, plane, w, bias, oz, oy, ox);
}

static void depthwise_range(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct conv_job *job = context;
    const struct accel_conv *conv = job->conv;
    const struct accel_conv3 *c = &job->c;
    const struct accel_conv_epilogue *e = job->epilogue;
    const size_t rows = c->out[0] * c->out[1];

    (void)thread;
    for (size_t unit = begin; unit < end; unit++) {
        const size_t image = unit / conv->cout, channel = unit % conv->cout;
        const float *plane = job->x + (image * conv->cin + channel / c->cout_group) * c->in_size;
        const float *w = (const float *)job->packed + channel * c->taps;
        const float bias = e->bias != NULL ? e->bias[channel] : 0;
        float *y = job->y + unit * c->out_size;

        for (size_t row = 0; row < rows; row++) {
            const size_t oz = row / c->out[1], oy = row % c->out[1];
            float *to = y + row * c->out[2];

            if (e->residual != job->y) {
                depthwise_row(job, plane, w, bias, oz, oy, to);
                continue;
            }
            /* The residual is what lies in y: it must be read before it is written. Rare. */
            for (size_t ox = 0; ox < c->out[2]; ox++)
                to[ox] += depthwise_at(c, plane, w, bias, oz, oy, ox);
        }
        if (e->residual != NULL && e->residual != job->y)
            job->kernels->f32_binary[ACCEL_BINARY_ADD](c->out_size, y, 1,
                                                       e->residual + unit * c->out_size, 1, y);
        if (e->act.op != ACCEL_UNARY_IDENTITY)
            job->kernels->f32_unary[e->act.op](c->out_size, y, y, e->act.alpha, e->act.beta);
    }
}

void accel_conv_f32(const struct accel_kernels *kernels, struct accel_pool *pool,
                    const struct accel_conv *conv, const float *x, const void *packed,
                    const struct accel_conv_epilogue *epilogue, float *y, void *scratch)
{
    struct conv_job job = {.kernels = kernels,
                           .conv = conv,
                           .c = accel_conv3_of(conv),
                           .algo = accel_conv_f32_algo(kernels, conv),
                           .x = x,
                           .packed = packed,
                           .epilogue = epilogue,
                           .y = y,
                           .scratch = scratch};

    if (conv->batch == 0 || job.c.out_size == 0)
        return;
    if (job.algo == ACCEL_CONV_DEPTHWISE) {
        accel_pool_run(pool, conv->batch * conv->cout, 1, depthwise_range, &job);
        return;
    }
    job.cut = conv_cut(kernels, conv, &job.c, accel_pool_threads(pool));
    if (!group_bytes(kernels, &job.c, &job.group_bytes))
        return; /* packed_bytes refused it */
    accel_pool_run(pool, conv->batch * conv->groups * job.cut.tasks_m * job.cut.tasks_n, 1,
                   gemm_range, &job);
}
