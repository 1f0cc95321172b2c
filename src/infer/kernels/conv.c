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

/* Pixels along the vectors waste much of them when there are few: 49 pixels of a 7x7 image take 64
 * lanes. Then the channels go along the vectors and the result is turned around afterwards. */
static bool turned_wins(const struct accel_kernels *kernels, const struct accel_conv3 *c)
{
    const size_t lanes = kernels->f32_gemm_nr / 2;

    if (c->cout_group < 8 * lanes || c->out_size > 1024)
        return false;
    /* In cycles of a microkernel that does one vector in each; turning takes about 1.5 per element.
     */
    const double k = (double)(c->cin_group * c->taps) / (double)lanes;
    const double upright = k * (double)(ACCEL_ROUND_UP(c->out_size, lanes) * c->cout_group);
    const double turned = k * (double)(c->out_size * ACCEL_ROUND_UP(c->cout_group, lanes)) +
                          1.5 * (double)(c->out_size * c->cout_group);

    return turned < 0.98 * upright;
}

bool accel_conv_f32_turn(const struct accel_kernels *kernels, const struct accel_conv *conv)
{
    const struct accel_conv3 c = accel_conv3_of(conv);

    return turned_wins(kernels, &c);
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
    if (conv->turned)
        return ACCEL_CONV_TURNED;
    return pointwise ? ACCEL_CONV_POINTWISE : ACCEL_CONV_IM2COL;
}

const char *accel_conv_algo_name(enum accel_conv_algo algo)
{
    switch (algo) {
    case ACCEL_CONV_POINTWISE:
        return "pointwise";
    case ACCEL_CONV_IM2COL:
        return "im2col";
    case ACCEL_CONV_TURNED:
        return "im2col turned";
    case ACCEL_CONV_DEPTHWISE:
        return "depthwise";
    }
    return "?";
}

/* Bytes of one group's packed weights, a multiple of the alignment. */
static bool group_bytes(const struct accel_kernels *kernels, const struct accel_conv3 *c,
                        enum accel_conv_algo algo, size_t *bytes)
{
    const size_t k = c->cin_group * c->taps;
    const bool fits = algo == ACCEL_CONV_TURNED
                          ? accel_gemm_b_size(kernels, k, c->cout_group, bytes)
                          : accel_gemm_a_size(kernels, c->cout_group, k, bytes);

    if (!fits || *bytes > SIZE_MAX - ACCEL_KERNEL_ALIGN)
        return false;
    *bytes = ACCEL_ROUND_UP(*bytes, ACCEL_KERNEL_ALIGN);
    return true;
}

int accel_conv_f32_packed_bytes(const struct accel_kernels *kernels, const struct accel_conv *conv,
                                size_t *bytes, struct accel_error *err)
{
    const struct accel_conv3 c = accel_conv3_of(conv);
    const enum accel_conv_algo algo = accel_conv_f32_algo(kernels, conv);

    if (algo == ACCEL_CONV_DEPTHWISE) {
        *bytes = conv->cout * c.taps * sizeof(float); /* accel_conv_check saw that it fits */
        return ACCEL_OK;
    }
    if (!group_bytes(kernels, &c, algo, bytes) ||
        __builtin_mul_overflow(*bytes, conv->groups, bytes))
        return accel_fail(err, ACCEL_E_INVALID, "the weights of the convolution are too large");
    return ACCEL_OK;
}

void accel_conv_f32_pack(const struct accel_kernels *kernels, const struct accel_conv *conv,
                         const float *w, void *packed)
{
    const struct accel_conv3 c = accel_conv3_of(conv);
    const enum accel_conv_algo algo = accel_conv_f32_algo(kernels, conv);
    const size_t k = c.cin_group * c.taps;
    size_t bytes;

    if (algo == ACCEL_CONV_DEPTHWISE) {
        memcpy(packed, w, conv->cout * c.taps * sizeof(float));
        return;
    }
    if (!group_bytes(kernels, &c, algo, &bytes))
        return; /* packed_bytes refused it */
    for (size_t g = 0; g < conv->groups; g++) {
        const float *from = w + g * c.cout_group * k;
        char *to = (char *)packed + g * bytes;

        if (algo == ACCEL_CONV_TURNED)
            accel_gemm_f32_pack_b(kernels, k, c.cout_group, from, k, true, to);
        else
            accel_gemm_f32_pack_a(kernels, c.cout_group, k, from, k, false, to);
    }
}

/* Floats from row to row of a turned result: a line more than it holds, since a power of two would
 * put a column's elements into the same set of the cache. */
static size_t turned_row(const struct accel_gemm_cut *cut)
{
    return cut->task_panels * cut->nr + 16;
}

/* A channel is copied into a plane with its padding around it, so that every window is whole and a
 * row of outputs is one call. A plane whose rows are short and whose strides are equal is taken as
 * one long row: the outputs that straddle two rows of the input mean nothing and are left out. */
struct plane {
    size_t size[3];    /* with padding; just what the windows reach */
    size_t copied[3];  /* of the input, from its begin */
    size_t floats;     /* of the plane, 0: the input itself serves */
    size_t row_floats; /* of the long row, 0: row by row */
};

struct conv_job {
    const struct accel_kernels *kernels;
    const struct accel_pool *pool;
    const struct accel_conv *conv;
    struct accel_conv3 c;
    enum accel_conv_algo algo;
    struct accel_gemm_cut cut;
    size_t group_bytes;
    const float *x;
    const void *packed;
    const struct accel_conv_epilogue *epilogue;
    float *y, *scratch;
    struct plane plane; /* depthwise */
    float *in_place;
};

/* The cut and, per thread, floats for the turned result of a task. */
static struct accel_gemm_cut conv_cut(const struct accel_kernels *kernels,
                                      const struct accel_conv *conv, const struct accel_conv3 *c,
                                      enum accel_conv_algo algo, unsigned threads)
{
    const size_t k = c->cin_group * c->taps, repeats = conv->batch * conv->groups;

    if (algo != ACCEL_CONV_TURNED)
        return accel_gemm_cut_of(kernels, c->cout_group, c->out_size, k, true, false, repeats,
                                 threads);
    struct accel_gemm_cut cut =
        accel_gemm_cut_of(kernels, c->out_size, c->cout_group, k, false, true, repeats, threads);
    /* out_size is at most 1024 where accel_conv_f32_turn() says yes: this cannot overflow. */
    cut.scratch_floats += ACCEL_ROUND_UP(cut.task_strips * cut.mr * turned_row(&cut), 16);
    cut.scratch_floats = ACCEL_ROUND_UP(cut.scratch_floats, 16);
    return cut;
}

/* ---------------------------------------------------------------- as a matrix product */

static void pack_pointwise(const void *context, size_t k0, size_t kc, size_t j0, size_t n,
                           float *packed)
{
    const struct accel_patches *p = context;
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
        const struct accel_patches patches = {
            .c = c,
            .x = job->x + (image * conv->cin + group * c->cin_group) * c->in_size,
            .nr = job->cut.nr,
        };
        const struct accel_gemm_core core = {
            .kernels = job->kernels,
            .pool = job->pool,
            .m = c->cout_group,
            .n = c->out_size,
            .k = c->cin_group * c->taps,
            .packed_a =
                (const float *)(const void *)((const char *)job->packed + group * job->group_bytes),
            .pack_panel =
                job->algo == ACCEL_CONV_POINTWISE ? pack_pointwise : job->kernels->f32_patches,
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

/* Writes a task's result [pixel][channel] to y as [channel][pixel], with residual and activation.
 */
static void turn(const struct conv_job *job, const struct accel_gemm_part *part, const float *from,
                 size_t row, const float *residual, float *y)
{
    const size_t out = job->c.out_size, pixels = part->i1 - part->i0;
    const struct accel_activation *act = &job->epilogue->act;

    /* A line of channels at a time: each is read once, and its 16 rows of y stay in L1. */
    for (size_t j = part->j0; j < part->j1; j += 16) {
        const size_t channels = ACCEL_MIN((size_t)16, part->j1 - j);

        for (size_t i = 0; i < pixels; i++)
            for (size_t c = 0; c < channels; c++) {
                const size_t at = (j + c) * out + part->i0 + i;
                const float v = from[i * row + j - part->j0 + c];

                y[at] = residual != NULL ? v + residual[at] : v;
            }
    }
    float lo, hi;
    if (residual == NULL && accel_activation_clamp(act, &lo, &hi))
        return; /* the product's tiles did it */
    for (size_t j = part->j0; j < part->j1; j++) {
        float *to = y + j * out + part->i0;

        job->kernels->f32_unary[act->op](pixels, to, to, act->alpha, act->beta);
    }
}

static void turned_range(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct conv_job *job = context;
    const struct accel_conv *conv = job->conv;
    const struct accel_conv3 *c = &job->c;
    const struct accel_conv_epilogue *e = job->epilogue;
    const size_t tasks = job->cut.tasks_m * job->cut.tasks_n;
    const size_t turned_floats = job->cut.task_strips * job->cut.mr * turned_row(&job->cut);
    float *turned = job->scratch + thread * job->cut.scratch_floats;
    float lo, hi;
    const bool fused = e->residual == NULL && accel_activation_clamp(&e->act, &lo, &hi);

    for (size_t unit = begin; unit < end; unit++) {
        const size_t image = unit / tasks / conv->groups, group = unit / tasks % conv->groups;
        const size_t channel = group * c->cout_group;
        const size_t at = (image * conv->cout + channel) * c->out_size;
        const struct accel_patches patches = {
            .c = c,
            .x = job->x + (image * conv->cin + group * c->cin_group) * c->in_size,
            .nr = job->cut.mr,
        };
        const struct accel_gemm_core core = {
            .kernels = job->kernels,
            .pool = job->pool,
            .m = c->out_size,
            .n = c->cout_group,
            .k = c->cin_group * c->taps,
            .pack_strip = job->kernels->f32_patches,
            .strip_context = &patches,
            .packed_b =
                (const float *)(const void *)((const char *)job->packed + group * job->group_bytes),
            .bias_col = e->bias != NULL ? e->bias + channel : NULL,
            .act = fused ? e->act : (struct accel_activation){.op = ACCEL_UNARY_IDENTITY},
            .y = turned,
            .ldy = turned_row(&job->cut),
            .y_of_task = true,
        };
        const struct accel_gemm_part part =
            accel_gemm_part_of(&job->cut, core.m, core.n, unit % tasks);

        accel_gemm_task(&core, &job->cut, unit % tasks, turned + ACCEL_ROUND_UP(turned_floats, 16));
        turn(job, &part, turned, core.ldy, e->residual != NULL ? e->residual + at : NULL,
             job->y + at);
    }
}

/* ---------------------------------------------------------------- depthwise */

/* Rows shorter than this waste more of their last vector than a long row wastes between the rows:
 * with a stride of 2 that is half of it. mobilenet 56x56 with rows apart 25 Gflop/s, as one 34. */
#define LONG_ROW(stride) ((stride) == 1 ? 64u : 32u)

static bool plane_of(const struct accel_conv3 *c, struct plane *p)
{
    bool whole = true;

    *p = (struct plane){.floats = 1};
    for (unsigned d = 0; d < 3; d++) {
        p->size[d] = (c->out[d] - 1) * c->stride[d] + (c->kernel[d] - 1) * c->dilation[d] + 1;
        p->copied[d] = p->size[d] > c->pad[d] ? ACCEL_MIN(c->in[d], p->size[d] - c->pad[d]) : 0;
        whole = whole && c->pad[d] == 0 && p->size[d] <= c->in[d];
        if (__builtin_mul_overflow(p->floats, p->size[d], &p->floats))
            return false;
    }
    if (whole) {
        memcpy(p->size, c->in, sizeof(p->size));
        p->floats = 0;
    }
    if (c->out[2] < LONG_ROW(c->stride[2]) && c->out[0] == 1 && c->stride[1] == c->stride[2] &&
        c->out[1] > 1)
        p->row_floats = (c->out[1] - 1) * p->size[2] + c->out[2];
    return p->floats < SIZE_MAX / 64 && p->row_floats < SIZE_MAX / 64;
}

/* Floats of scratch per thread. */
static size_t plane_scratch(const struct plane *p)
{
    return ACCEL_ROUND_UP(p->floats, 16) + ACCEL_ROUND_UP(p->row_floats, 16);
}

/* For a handful of floats the call of memcpy costs more than the copy. */
static void copy_short(size_t n, const float *restrict from, float *restrict to)
{
    for (size_t i = 0; i < n; i++)
        to[i] = from[i];
}

static void copy_plane(const struct accel_conv3 *c, const struct plane *p, const float *x,
                       float *to)
{
    for (size_t z = 0; z < p->copied[0]; z++)
        for (size_t y = 0; y < p->copied[1]; y++) {
            const float *from = x + (z * c->in[1] + y) * c->in[2];
            float *row =
                to + ((z + c->pad[0]) * p->size[1] + y + c->pad[1]) * p->size[2] + c->pad[2];

            copy_short(p->copied[2], from, row);
        }
}

/* One channel, before residual and activation. */
static void depthwise_plane(const struct conv_job *job, const float *plane, const float *w,
                            float bias, float lo, float hi, float *long_row, float *y)
{
    const struct accel_conv3 *c = &job->c;
    const struct plane *p = &job->plane;
    const float *taps[TAPS_MAX], *at[TAPS_MAX];
    size_t n = 0;

    for (size_t kz = 0; kz < c->kernel[0]; kz++)
        for (size_t ky = 0; ky < c->kernel[1]; ky++)
            for (size_t kx = 0; kx < c->kernel[2]; kx++)
                taps[n++] = plane +
                            (kz * c->dilation[0] * p->size[1] + ky * c->dilation[1]) * p->size[2] +
                            kx * c->dilation[2];
    if (p->row_floats > 0) {
        job->kernels->f32_taps(p->row_floats, n, taps, w, c->stride[2], bias, lo, hi, long_row);
        for (size_t oy = 0; oy < c->out[1]; oy++)
            copy_short(c->out[2], long_row + oy * p->size[2], y + oy * c->out[2]);
        return;
    }
    for (size_t oz = 0; oz < c->out[0]; oz++)
        for (size_t oy = 0; oy < c->out[1]; oy++, y += c->out[2]) {
            const size_t row = (oz * c->stride[0] * p->size[1] + oy * c->stride[1]) * p->size[2];

            for (size_t t = 0; t < n; t++)
                at[t] = taps[t] + row;
            job->kernels->f32_taps(c->out[2], n, at, w, c->stride[2], bias, lo, hi, y);
        }
}

static void depthwise_range(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct conv_job *job = context;
    const struct accel_conv *conv = job->conv;
    const struct accel_conv3 *c = &job->c;
    const struct accel_conv_epilogue *e = job->epilogue;
    const bool in_place = e->residual == job->y;
    float *padded = job->scratch + thread * plane_scratch(&job->plane);
    float *long_row = padded + ACCEL_ROUND_UP(job->plane.floats, 16);
    float lo, hi;
    bool done = accel_activation_clamp(&e->act, &lo, &hi);

    if (e->residual != NULL) { /* comes before the activation */
        done = e->act.op == ACCEL_UNARY_IDENTITY;
        lo = -INFINITY;
        hi = INFINITY;
    }
    memset(padded, 0, job->plane.floats * sizeof(float)); /* the padding stays as it is */
    for (size_t unit = begin; unit < end; unit++) {
        const size_t image = unit / conv->cout, channel = unit % conv->cout;
        const float *x = job->x + (image * conv->cin + channel / c->cout_group) * c->in_size;
        const float *w = (const float *)job->packed + channel * c->taps;
        const float bias = e->bias != NULL ? e->bias[channel] : 0;
        float *y = job->y + unit * c->out_size;
        /* A residual that lies in y must not be overwritten: the sums go elsewhere first. */
        float *to = in_place ? job->in_place + thread * ACCEL_ROUND_UP(c->out_size, 16) : y;

        if (job->plane.floats > 0)
            copy_plane(c, &job->plane, x, padded);
        depthwise_plane(job, job->plane.floats > 0 ? padded : x, w, bias, lo, hi, long_row, to);
        if (e->residual != NULL)
            job->kernels->f32_binary[ACCEL_BINARY_ADD](c->out_size, to, 1,
                                                       e->residual + unit * c->out_size, 1, y);
        if (!done)
            job->kernels->f32_unary[e->act.op](c->out_size, y, y, e->act.alpha, e->act.beta);
    }
}

/* Per thread: the padded plane, the long row, and a plane of outputs for a residual in place. */
static bool depthwise_scratch(const struct accel_conv3 *c, unsigned threads, size_t *bytes)
{
    struct plane plane;

    return c->out_size < SIZE_MAX / 64 && plane_of(c, &plane) &&
           !__builtin_mul_overflow((plane_scratch(&plane) + ACCEL_ROUND_UP(c->out_size, 16)) *
                                       sizeof(float),
                                   (size_t)threads, bytes);
}

int accel_conv_f32_scratch_bytes(const struct accel_kernels *kernels, const struct accel_conv *conv,
                                 unsigned threads, size_t *bytes, struct accel_error *err)
{
    const struct accel_conv3 c = accel_conv3_of(conv);
    bool fits;

    *bytes = 0;
    if (conv->batch == 0 || c.out_size == 0)
        return ACCEL_OK;
    if (accel_conv_f32_algo(kernels, conv) == ACCEL_CONV_DEPTHWISE) {
        fits = depthwise_scratch(&c, threads, bytes);
    } else {
        const struct accel_gemm_cut cut =
            conv_cut(kernels, conv, &c, accel_conv_f32_algo(kernels, conv), threads);

        fits = accel_gemm_scratch_size(&cut, threads, bytes);
    }
    if (!fits)
        return accel_fail(err, ACCEL_E_INVALID, "the convolution is too large");
    return ACCEL_OK;
}

void accel_conv_f32(const struct accel_kernels *kernels, struct accel_pool *pool,
                    const struct accel_conv *conv, const float *x, const void *packed,
                    const struct accel_conv_epilogue *epilogue, float *y, void *scratch)
{
    struct conv_job job = {.kernels = kernels,
                           .pool = pool,
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
        if (!plane_of(&job.c, &job.plane))
            return; /* scratch_bytes refused it */
        job.in_place = job.scratch + accel_pool_threads(pool) * plane_scratch(&job.plane);
        accel_pool_run_long(pool, conv->batch * conv->cout, 1, depthwise_range, &job);
        return;
    }
    job.cut = conv_cut(kernels, conv, &job.c, job.algo, accel_pool_threads(pool));
    if (!group_bytes(kernels, &job.c, job.algo, &job.group_bytes))
        return; /* packed_bytes refused it */
    accel_pool_run_long(pool, conv->batch * conv->groups * job.cut.tasks_m * job.cut.tasks_n, 1,
                        job.algo == ACCEL_CONV_TURNED ? turned_range : gemm_range, &job);
}
