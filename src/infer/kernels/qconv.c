/* SPDX-License-Identifier: Apache-2.0 */
/* The public convolution of quantised tensors: weights [cout][cin * taps] by patches
 * [cin * taps][pixels], which go into panels a block of pixels at a time. */
#include "infer/kernels/conv.h"
#include "infer/kernels/q8.h"

#include <string.h>

/* One input channel per group is no product: a row of K would be the taps alone. */
static bool plain(const struct accel_kernels *kernels, const struct accel_conv *conv)
{
    return kernels->q8_gemm == NULL || (conv->groups > 1 && conv->cin == conv->groups);
}

/* Words of one group's weights, in whole cache lines. */
static bool group_words(const struct accel_kernels *kernels, const struct accel_conv *conv,
                        size_t *words)
{
    const struct accel_conv3 c = accel_conv3_of(conv);

    if (!accel_q8_a_words(kernels, c.cout_group, c.cin_group * c.taps, words) ||
        *words > SIZE_MAX / 8)
        return false;
    *words = ACCEL_ROUND_UP(*words, 16);
    return true;
}

bool accel_qconv_packed_bytes(const struct accel_kernels *kernels, const struct accel_conv *conv,
                              size_t *bytes)
{
    size_t words;

    *bytes = 0;
    return plain(kernels, conv) ||
           (group_words(kernels, conv, &words) &&
            !__builtin_mul_overflow(words * sizeof(uint32_t), conv->groups, bytes));
}

void accel_qconv_pack(const struct accel_kernels *kernels, const struct accel_conv *conv,
                      bool w_signed, const void *w, void *packed)
{
    const struct accel_conv3 c = accel_conv3_of(conv);
    const size_t k = c.cin_group * c.taps;
    size_t words;

    if (!group_words(kernels, conv, &words))
        return; /* packed_bytes refused it */
    for (size_t g = 0; g < conv->groups; g++)
        accel_q8_pack_a(kernels, c.cout_group, k, w_signed,
                        (const uint8_t *)w + g * c.cout_group * k, k, 1,
                        (uint32_t *)packed + g * words);
}

static bool cut_of(const struct accel_kernels *kernels, const struct accel_conv *conv,
                   unsigned threads, struct accel_q8_cut *cut)
{
    const struct accel_conv3 c = accel_conv3_of(conv);

    return accel_q8_cut_of(kernels, c.cout_group, c.out_size, c.cin_group * c.taps, true, false,
                           conv->batch * conv->groups, threads, cut);
}

bool accel_qconv_scratch_bytes(const struct accel_kernels *kernels, const struct accel_conv *conv,
                               bool packed, unsigned threads, size_t *bytes)
{
    struct accel_q8_cut cut;
    size_t weights = 0;

    if (plain(kernels, conv))
        return accel_qconv_scratch_bytes__ref(conv, threads, bytes);
    threads = ACCEL_MAX(threads, 1u);
    return cut_of(kernels, conv, threads, &cut) &&
           (packed || accel_qconv_packed_bytes(kernels, conv, &weights)) &&
           !__builtin_mul_overflow(cut.words * sizeof(uint32_t), (size_t)threads, bytes) &&
           !__builtin_add_overflow(*bytes, weights, bytes);
}

/* ---------------------------------------------------------------- patches */

struct patches {
    const struct accel_conv3 *c;
    const uint8_t *x; /* of one group of one image */
    uint8_t zero;     /* the padding */
    bool pointwise;   /* x is the matrix */
};

/* n windows of one row of the input that begin at ix, ix + stride, ...; ix may lie outside. */
static void row_bytes(const struct patches *p, const uint8_t *row, ptrdiff_t ix, size_t n,
                      uint8_t *to)
{
    const ptrdiff_t in = (ptrdiff_t)p->c->in[2], stride = (ptrdiff_t)p->c->stride[2];
    const ptrdiff_t before = ix >= 0 ? 0 : (-ix + stride - 1) / stride;
    const ptrdiff_t inside = in > ix ? (in - ix + stride - 1) / stride : 0;
    const size_t first = ACCEL_MIN((size_t)before, n);
    const size_t last = ACCEL_MAX(ACCEL_MIN((size_t)inside, n), first);

    if (first > 0)
        memset(to, p->zero, first);
    if (last < n)
        memset(to + last, p->zero, n - last);
    if (first == last)
        return;
    const uint8_t *from = row + ix + (ptrdiff_t)first * stride;
    to += first;
    if (stride == 1)
        memcpy(to, from, last - first);
    else if (stride == 2)
        for (size_t i = 0; i < last - first; i++)
            to[i] = from[2 * i];
    else
        for (size_t i = 0; i < last - first; i++)
            to[i] = from[i * (size_t)stride];
}

static void patch_bytes(const void *context, size_t k, size_t j0, size_t n, uint8_t *to)
{
    const struct patches *p = context;
    const struct accel_conv3 *c = p->c;

    if (p->pointwise) {
        memcpy(to, p->x + k * c->in_size + j0, n);
        return;
    }
    const size_t tap = k % c->taps, kx = tap % c->kernel[2], ky = tap / c->kernel[2] % c->kernel[1];
    const size_t kz = tap / c->kernel[2] / c->kernel[1];
    const uint8_t *x = p->x + k / c->taps * c->in_size;
    const ptrdiff_t shift = (ptrdiff_t)(kx * c->dilation[2]) - (ptrdiff_t)c->pad[2];

    for (size_t row = j0 / c->out[2], ox = j0 % c->out[2]; n > 0; row++, ox = 0) {
        const size_t some = ACCEL_MIN(n, c->out[2] - ox);
        /* Wraps below 0, so one comparison sees both ends. */
        const size_t iz = row / c->out[1] * c->stride[0] + kz * c->dilation[0] - c->pad[0];
        const size_t iy = row % c->out[1] * c->stride[1] + ky * c->dilation[1] - c->pad[1];

        if (iz >= c->in[0] || iy >= c->in[1])
            memset(to, p->zero, some);
        else
            row_bytes(p, x + (iz * c->in[1] + iy) * c->in[2],
                      (ptrdiff_t)(ox * c->stride[2]) + shift, some, to);
        to += some;
        n -= some;
    }
}

/* ---------------------------------------------------------------- the convolution */

struct conv_job {
    const struct accel_kernels *kernels;
    const struct accel_qconv *q;
    struct accel_conv3 c;
    struct accel_q8_cut cut;
    const uint32_t *packed;
    size_t group_words;
    bool pointwise;
    uint32_t *scratch;
};

static void conv_tasks(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct conv_job *job = context;
    const struct accel_qconv *q = job->q;
    const struct accel_conv3 *c = &job->c;
    const struct accel_quant_out *out = &q->out;
    const size_t tasks = job->cut.tasks_m * job->cut.tasks_n;
    const size_t element = accel_dtype_size(out->dtype);
    /* Of x's type: the low byte is the same for both. */
    const uint8_t x_zero = (uint8_t)q->x_zero;

    for (size_t unit = begin; unit < end; unit++) {
        const size_t image = unit / tasks / q->conv.groups, group = unit / tasks % q->conv.groups;
        const size_t channel = group * c->cout_group;
        const struct patches patches = {
            .c = c,
            .x = (const uint8_t *)q->x + (image * q->conv.cin + group * c->cin_group) * c->in_size,
            .zero = x_zero,
            .pointwise = job->pointwise};
        struct accel_q8_core core = {.kernels = job->kernels,
                                     .m = c->cout_group,
                                     .n = c->out_size,
                                     .k = c->cin_group * c->taps,
                                     .a_signed = q->w_signed,
                                     .b_signed = q->x_signed,
                                     .packed_a = job->packed + group * job->group_words,
                                     .bytes = patch_bytes,
                                     .context = &patches,
                                     .b_zero = &x_zero,
                                     .a_zero_stride = q->w_zero_stride,
                                     .c = q->bias != NULL ? q->bias + channel : NULL,
                                     .c_row = 1,
                                     .out = *out,
                                     .scale_of_row = true,
                                     .ldy = c->out_size};

        if (q->w_zero != NULL)
            core.a_zero = (const uint8_t *)q->w_zero + channel * q->w_zero_stride;
        if (out->b_scale != NULL)
            core.out.b_scale += channel * out->b_scale_stride;
        core.out.y = (char *)out->y + (image * q->conv.cout + channel) * c->out_size * element;
        accel_q8_task(&core, &job->cut, unit % tasks, job->scratch + thread * job->cut.words);
    }
}

void accel_qconv(const struct accel_kernels *kernels, struct accel_pool *pool,
                 const struct accel_qconv *q, void *scratch)
{
    struct conv_job job = {.kernels = kernels,
                           .q = q,
                           .c = accel_conv3_of(&q->conv),
                           .packed = q->packed_w,
                           .pointwise = true,
                           .scratch = scratch};
    size_t weights = 0;

    if (plain(kernels, &q->conv)) {
        accel_qconv__ref(pool, q, scratch);
        return;
    }
    if (!cut_of(kernels, &q->conv, accel_pool_threads(pool), &job.cut) ||
        !group_words(kernels, &q->conv, &job.group_words) ||
        !accel_qconv_packed_bytes(kernels, &q->conv, &weights))
        return; /* scratch_bytes refused it */
    if (job.packed == NULL) {
        accel_qconv_pack(kernels, &q->conv, q->w_signed, q->w, scratch);
        job.packed = scratch;
        job.scratch = (uint32_t *)((char *)scratch + weights);
    }
    for (unsigned d = 0; d < 3; d++)
        job.pointwise = job.pointwise && job.c.kernel[d] == 1 && job.c.stride[d] == 1 &&
                        job.c.pad[d] == 0 && job.c.in[d] == job.c.out[d];
    accel_pool_run_long(pool, q->conv.batch * q->conv.groups * job.cut.tasks_m * job.cut.tasks_n, 1,
                        conv_tasks, &job);
}
