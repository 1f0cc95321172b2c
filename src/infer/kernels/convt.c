/* SPDX-License-Identifier: Apache-2.0 */
/* ConvTranspose: the product of the transposed weights and the image gives, for every input pixel,
 * the stamp it leaves; the stamps are then added into the output. */
#include <string.h>

#include "infer/kernels/conv.h"
#include "infer/kernels/gemm.h"
#include "infer/kernels/microkernels.h"

struct convt_job {
    const struct accel_kernels *kernels;
    const struct accel_conv *conv;
    struct accel_conv3 c;
    struct accel_gemm_cut cut;
    struct accel_gemm_core core;
    const struct accel_conv_epilogue *epilogue;
    float *stamps; /* [cout_group * taps][in_size] of the group at hand */
    float *threads_scratch;
    float *y; /* of the group at hand */
    size_t image, group;
};

static size_t padded_group(const struct accel_kernels *kernels, const struct accel_conv3 *c,
                           bool *fits)
{
    size_t bytes = 0;

    *fits = *fits && accel_gemm_a_size(kernels, c->cout_group * c->taps, c->cin_group, &bytes) &&
            bytes <= SIZE_MAX - ACCEL_KERNEL_ALIGN;
    return *fits ? ACCEL_ROUND_UP(bytes, ACCEL_KERNEL_ALIGN) : 0;
}

int accel_convt_f32_packed_bytes(const struct accel_kernels *kernels, const struct accel_conv *conv,
                                 size_t *bytes, struct accel_error *err)
{
    const struct accel_conv3 c = accel_conv3_of(conv);
    bool fits = true;
    const size_t group = padded_group(kernels, &c, &fits);

    if (!fits || __builtin_mul_overflow(group, conv->groups, bytes))
        return accel_fail(err, ACCEL_E_INVALID, "the weights of the convolution are too large");
    return ACCEL_OK;
}

void accel_convt_f32_pack(const struct accel_kernels *kernels, const struct accel_conv *conv,
                          const float *w, void *packed)
{
    const struct accel_conv3 c = accel_conv3_of(conv);
    const size_t rows = c.cout_group * c.taps;
    bool fits = true;
    const size_t group = padded_group(kernels, &c, &fits);

    for (size_t g = 0; g < conv->groups; g++)
        accel_gemm_f32_pack_a(kernels, rows, c.cin_group, w + g * c.cin_group * rows, rows, true,
                              (char *)packed + g * group);
}

static struct accel_gemm_cut convt_cut(const struct accel_kernels *kernels,
                                       const struct accel_conv3 *c, unsigned threads)
{
    return accel_gemm_cut_of(kernels, c->cout_group * c->taps, c->in_size, c->cin_group, true,
                             false, 1, threads);
}

static bool stamp_bytes(const struct accel_conv3 *c, size_t *bytes)
{
    return !__builtin_mul_overflow(c->cout_group * c->taps, c->in_size, bytes) &&
           !__builtin_mul_overflow(*bytes, sizeof(float), bytes) &&
           *bytes <= SIZE_MAX - ACCEL_KERNEL_ALIGN;
}

int accel_convt_f32_scratch_bytes(const struct accel_kernels *kernels,
                                  const struct accel_conv *conv, unsigned threads, size_t *bytes,
                                  struct accel_error *err)
{
    const struct accel_conv3 c = accel_conv3_of(conv);
    const struct accel_gemm_cut cut = convt_cut(kernels, &c, threads);
    size_t stamps, per_thread;

    if (!stamp_bytes(&c, &stamps) || !accel_gemm_scratch_size(&cut, threads, &per_thread) ||
        __builtin_add_overflow(ACCEL_ROUND_UP(stamps, ACCEL_KERNEL_ALIGN), per_thread, bytes))
        return accel_fail(err, ACCEL_E_INVALID, "the transposed convolution is too large");
    return ACCEL_OK;
}

struct image {
    const float *x;
    size_t in_size, nr;
};

static void pack_image(const void *context, size_t k0, size_t kc, size_t j0, size_t n,
                       float *packed)
{
    const struct image *image = context;

    for (size_t k = 0; k < kc; k++, packed += image->nr) {
        memcpy(packed, image->x + (k0 + k) * image->in_size + j0, n * sizeof(float));
        memset(packed + n, 0, (image->nr - n) * sizeof(float));
    }
}

static void product_range(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct convt_job *job = context;

    for (size_t task = begin; task < end; task++)
        accel_gemm_task(&job->core, &job->cut, task,
                        job->threads_scratch + thread * job->cut.scratch_floats);
}

/* Adds the stamps of kernel position (kz, ky, kx) into one output channel. */
static void add_tap(const struct accel_conv3 *c, size_t kz, size_t ky, size_t kx,
                    const float *stamps, float *y)
{
    for (size_t iz = 0; iz < c->in[0]; iz++)
        for (size_t iy = 0; iy < c->in[1]; iy++) {
            const size_t oz = iz * c->stride[0] + kz * c->dilation[0] - c->pad[0];
            const size_t oy = iy * c->stride[1] + ky * c->dilation[1] - c->pad[1];
            const float *from = stamps + (iz * c->in[1] + iy) * c->in[2];

            if (oz >= c->out[0] || oy >= c->out[1])
                continue;
            float *row = y + (oz * c->out[1] + oy) * c->out[2];
            for (size_t ix = 0; ix < c->in[2]; ix++) {
                const size_t ox = ix * c->stride[2] + kx * c->dilation[2] - c->pad[2];

                if (ox < c->out[2])
                    row[ox] += from[ix];
            }
        }
}

static void stamp_range(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct convt_job *job = context;
    const struct accel_conv3 *c = &job->c;
    const struct accel_conv_epilogue *e = job->epilogue;

    (void)thread;
    for (size_t channel = begin; channel < end; channel++) {
        const size_t of_all = job->group * c->cout_group + channel;
        const float bias = e->bias != NULL ? e->bias[of_all] : 0;
        const size_t at = (job->image * job->conv->cout + of_all) * c->out_size;
        const float *stamps = job->stamps + channel * c->taps * c->in_size;
        float *y = job->y + at;

        for (size_t i = 0; i < c->out_size; i++)
            y[i] = bias + (e->residual != NULL ? e->residual[at + i] : 0);
        for (size_t kz = 0; kz < c->kernel[0]; kz++)
            for (size_t ky = 0; ky < c->kernel[1]; ky++)
                for (size_t kx = 0; kx < c->kernel[2]; kx++, stamps += c->in_size)
                    add_tap(c, kz, ky, kx, stamps, y);
        if (e->act.op != ACCEL_UNARY_IDENTITY)
            job->kernels->f32_unary[e->act.op](c->out_size, y, y, e->act.alpha, e->act.beta);
    }
}

void accel_convt_f32(const struct accel_kernels *kernels, struct accel_pool *pool,
                     const struct accel_conv *conv, const float *x, const void *packed,
                     const struct accel_conv_epilogue *epilogue, float *y, void *scratch)
{
    struct convt_job job = {.kernels = kernels,
                            .conv = conv,
                            .c = accel_conv3_of(conv),
                            .epilogue = epilogue,
                            .y = y,
                            .stamps = scratch};
    const struct accel_conv3 *c = &job.c;
    bool fits = true;
    const size_t group_bytes = padded_group(kernels, c, &fits);
    size_t stamps;

    if (!fits || !stamp_bytes(c, &stamps))
        return; /* the queries refused it */
    job.cut = convt_cut(kernels, c, accel_pool_threads(pool));
    job.threads_scratch =
        (float *)scratch + ACCEL_ROUND_UP(stamps, ACCEL_KERNEL_ALIGN) / sizeof(float);
    for (job.image = 0; job.image < conv->batch; job.image++)
        for (job.group = 0; job.group < conv->groups; job.group++) {
            const struct image image = {
                .x = x + (job.image * conv->cin + job.group * c->cin_group) * c->in_size,
                .in_size = c->in_size,
                .nr = job.cut.nr,
            };

            job.core = (struct accel_gemm_core){
                .kernels = kernels,
                .pool = pool,
                .m = c->cout_group * c->taps,
                .n = c->in_size,
                .k = c->cin_group,
                .packed_a =
                    (const float *)(const void *)((const char *)packed + job.group * group_bytes),
                .pack_panel = pack_image,
                .pack_context = &image,
                .y = job.stamps,
                .ldy = c->in_size,
            };
            accel_pool_run_long(pool, job.cut.tasks_m * job.cut.tasks_n, 1, product_range, &job);
            accel_pool_run_long(pool, c->cout_group, 1, stamp_range, &job);
        }
}
