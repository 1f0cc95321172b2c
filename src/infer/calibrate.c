/* SPDX-License-Identifier: Apache-2.0 */
/* Rates of this machine, measured on the kernels that inference runs: a few operators of each kind,
 * small enough to stay in the caches and large enough not to. */
#include "infer/kernels/kernels.h"

#include "base/clock.h"
#include "base/mem.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS 3

/* Everything that one measurement works on. */
struct bench {
    const struct accel_kernels *kernels;
    struct accel_pool *pool;
    unsigned threads;
    float *x, *y, *w; /* operands */
    void *packed, *scratch;
    struct accel_conv conv;
    struct accel_gemm gemm;
    struct accel_window window;
    struct accel_resize resize;
    size_t n;
    double flops, bytes;
};

/* One point of the table: which operator, in which size. a..f: see the set-up of its kind. */
struct point {
    enum accel_kind kind;
    const char *what;
    int (*setup)(struct bench *b, const struct point *p, struct accel_error *err);
    void (*run)(struct bench *b);
    size_t a, b, c, d, e, f;
};

static void *room(size_t bytes)
{
    float *p = accel_aligned_alloc(64, bytes + 64);

    /* Written once: a page that was never touched is a page of zeros shared by all, and denormals
     * or infinities would measure something else. */
    for (size_t i = 0; p != NULL && i < bytes / sizeof(float); i++)
        p[i] = 0.25f + (float)(i % 61) * 0.01f;
    return p;
}

static void bench_free(struct bench *b)
{
    accel_free(b->x);
    accel_free(b->y);
    accel_free(b->w);
    accel_free(b->packed);
    accel_free(b->scratch);
}

static int make_room(struct bench *b, size_t x, size_t y, size_t w, size_t packed, size_t scratch,
                     struct accel_error *err)
{
    b->x = room(x * sizeof(float));
    b->y = room(y * sizeof(float));
    b->w = room(w * sizeof(float));
    b->packed = room(packed);
    b->scratch = room(scratch);
    if (b->x == NULL || b->y == NULL || b->w == NULL || b->packed == NULL || b->scratch == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to measure");
    return ACCEL_OK;
}

/* a: channels in, b: channels out, c: height and width, d: kernel, e: stride, f: 1 for depthwise.
 */
static int conv_setup(struct bench *b, const struct point *p, struct accel_error *err)
{
    const size_t groups = p->f != 0 ? p->a : 1, out = (p->c - 1) / p->e + 1;
    size_t packed, scratch;

    b->conv = (struct accel_conv){.spatial = 2,
                                  .batch = 1,
                                  .groups = groups,
                                  .cin = p->a,
                                  .cout = p->b,
                                  .in = {p->c, p->c},
                                  .out = {out, out},
                                  .kernel = {p->d, p->d},
                                  .stride = {p->e, p->e},
                                  .dilation = {1, 1},
                                  .pad_begin = {p->d / 2, p->d / 2}};
    int rc = accel_conv_check(&b->conv, err);
    if (rc == ACCEL_OK)
        b->conv.turned = accel_conv_f32_turn(b->kernels, &b->conv);
    if (rc == ACCEL_OK)
        rc = accel_conv_f32_packed_bytes(b->kernels, &b->conv, &packed, err);
    if (rc == ACCEL_OK)
        rc = accel_conv_f32_scratch_bytes(b->kernels, &b->conv, b->threads, &scratch, err);
    const size_t weights = p->b * (p->a / groups) * p->d * p->d;
    const size_t x = p->a * p->c * p->c, y = p->b * out * out;
    if (rc == ACCEL_OK)
        rc = make_room(b, x, y, weights, packed, scratch, err);
    if (rc != ACCEL_OK)
        return rc;
    accel_conv_f32_pack(b->kernels, &b->conv, b->w, b->packed);
    b->flops = 2.0 * (double)weights * (double)(out * out);
    b->bytes = 4.0 * (double)(x + y + weights);
    return ACCEL_OK;
}

static void conv_run(struct bench *b)
{
    const struct accel_conv_epilogue none = {0};

    accel_conv_f32(b->kernels, b->pool, &b->conv, b->x, b->packed, &none, b->y, b->scratch);
}

/* a: rows, b: columns, c: depth. */
static int gemm_setup(struct bench *b, const struct point *p, struct accel_error *err)
{
    size_t packed, scratch;

    b->gemm = (struct accel_gemm){.m = p->a,
                                  .n = p->b,
                                  .k = p->c,
                                  .lda = p->c,
                                  .ldb = p->b,
                                  .ldy = p->b,
                                  .alpha = 1,
                                  .packed_b = ""};
    int rc = accel_gemm_f32_packed_b_bytes(b->kernels, p->c, p->b, &packed, err);
    if (rc == ACCEL_OK)
        rc = accel_gemm_f32_scratch_bytes(b->kernels, &b->gemm, b->threads, &scratch, err);
    if (rc == ACCEL_OK)
        rc = make_room(b, p->a * p->c, p->a * p->b, p->c * p->b, packed, scratch, err);
    if (rc != ACCEL_OK)
        return rc;
    accel_gemm_f32_pack_b(b->kernels, p->c, p->b, b->w, p->b, false, b->packed);
    b->gemm.a = b->x;
    b->gemm.packed_b = b->packed;
    b->gemm.y = b->y;
    b->flops = 2.0 * (double)p->a * (double)p->b * (double)p->c;
    b->bytes = 4.0 * (double)(p->a * p->c + p->c * p->b + p->a * p->b);
    return ACCEL_OK;
}

static void gemm_run(struct bench *b)
{
    accel_gemm_f32(b->kernels, b->pool, &b->gemm, b->scratch);
}

/* a: planes, b: height and width, c: kernel, d: stride, e: padding on each side. */
static int pool_setup(struct bench *b, const struct point *p, struct accel_error *err)
{
    const size_t out = (p->b + 2 * p->e - p->c) / p->d + 1;

    b->window = (struct accel_window){.spatial = 2,
                                      .planes = p->a,
                                      .in = {p->b, p->b},
                                      .out = {out, out},
                                      .kernel = {p->c, p->c},
                                      .stride = {p->d, p->d},
                                      .dilation = {1, 1},
                                      .pad_begin = {p->e, p->e}};
    b->flops = (double)(p->a * out * out * p->c * p->c);
    b->bytes = 4.0 * (double)(p->a * (p->b * p->b + out * out));
    return make_room(b, p->a * p->b * p->b, p->a * out * out, 1, 1, 1, err);
}

static void pool_run(struct bench *b)
{
    accel_maxpool_f32(b->kernels, b->pool, &b->window, b->x, b->y, NULL, false);
}

/* a: planes, b: height and width of the input, c: how many times larger, d: 1 for linear. */
static int resize_setup(struct bench *b, const struct point *p, struct accel_error *err)
{
    const size_t out = p->b * p->c;
    size_t scratch;

    b->resize =
        (struct accel_resize){.rank = 4,
                              .in = {1, p->a, p->b, p->b},
                              .out = {1, p->a, out, out},
                              .scale = {1, 1, (float)p->c, (float)p->c},
                              .mode = p->d != 0 ? ACCEL_RESIZE_LINEAR : ACCEL_RESIZE_NEAREST,
                              .coord = ACCEL_COORD_ASYMMETRIC,
                              .nearest = ACCEL_NEAREST_FLOOR};
    if (accel_resize_scratch_bytes(&b->resize, &scratch, err) != ACCEL_OK)
        return err->code;
    /* As the operator's entry counts them. The bytes are left to the plain copies. */
    b->flops = (double)(p->a * out * out) * 2 * (p->d != 0 ? 3 : 2);
    b->bytes = 0;
    return make_room(b, p->a * p->b * p->b, p->a * out * out, 1, 1, scratch, err);
}

static void resize_run(struct bench *b)
{
    accel_resize(b->kernels, b->pool, &b->resize, ACCEL_DTYPE_FLOAT, b->x, b->y, b->scratch);
}

/* a: elements. */
static int vector_setup(struct bench *b, const struct point *p, struct accel_error *err)
{
    b->n = p->a;
    /* As the operators' entries count them. */
    b->flops = (double)p->a * (p->kind == ACCEL_KIND_TRANSCENDENTAL ? 4
                               : p->kind == ACCEL_KIND_NORM         ? 5
                               : p->kind == ACCEL_KIND_MOVE         ? 0
                                                                    : 1);
    b->bytes = 4.0 * (double)p->a * (p->kind == ACCEL_KIND_ELEMENTWISE ? 3 : 2);
    return make_room(b, p->a, p->a, p->a, 1, 1, err);
}

static void add_run(struct bench *b)
{
    const struct accel_nd nd = {.rank = 1, .dims = {b->n}, .stride = {{1}, {1}}};

    accel_binary(b->kernels, b->pool, ACCEL_BINARY_ADD, ACCEL_DTYPE_FLOAT, &nd, b->x, b->w, b->y);
}

static void sigmoid_run(struct bench *b)
{
    accel_unary(b->kernels, b->pool, ACCEL_UNARY_SIGMOID, 0, 0, ACCEL_DTYPE_FLOAT, b->n, b->x,
                b->y);
}

static void softmax_run(struct bench *b)
{
    accel_softmax_f32(b->kernels, b->pool, b->n / 256, 256, 1, false, b->x, b->y);
}

static void transpose_run(struct bench *b)
{
    const size_t dims[2] = {b->n / 256, 256};

    accel_transpose(b->pool, sizeof(float), 2, dims, (const unsigned[]){1, 0}, b->x, b->y);
}

static void sum_run(struct bench *b)
{
    const size_t dims[2] = {b->n / 256, 256};

    accel_reduce(b->kernels, b->pool, ACCEL_REDUCE_SUM, ACCEL_DTYPE_FLOAT, 2, dims, 2, b->x, b->y);
}

/* Shapes that networks have, from the smallest (what a call costs) to more than the caches hold:
 * the cost model takes an operator as its nearest neighbours by work and by work per byte. */
static const struct point points[] = {
    {ACCEL_KIND_CONV, "conv 3x3, 3 to 3 channels, 180x180", conv_setup, conv_run, 3, 3, 180, 3, 1,
     0},
    {ACCEL_KIND_CONV, "conv 3x3, 3 to 24 channels, 128x128", conv_setup, conv_run, 3, 24, 128, 3, 2,
     0},
    {ACCEL_KIND_CONV, "conv 3x3, 3 to 32 channels, 320x320", conv_setup, conv_run, 3, 32, 320, 3, 2,
     0},
    {ACCEL_KIND_CONV, "conv 7x7, 3 to 64 channels, 224x224", conv_setup, conv_run, 3, 64, 224, 7, 2,
     0},
    {ACCEL_KIND_CONV, "conv 5x5, 1 to 8 channels, 28x28", conv_setup, conv_run, 1, 8, 28, 5, 1, 0},
    {ACCEL_KIND_CONV, "conv 7x7, 1 to 16 channels, 48x48", conv_setup, conv_run, 1, 16, 48, 7, 1,
     0},
    {ACCEL_KIND_CONV, "conv 5x5, 8 to 16 channels, 14x14", conv_setup, conv_run, 8, 16, 14, 5, 1,
     0},
    {ACCEL_KIND_CONV, "conv 5x5, 16 to 16 channels, 24x24", conv_setup, conv_run, 16, 16, 24, 5, 1,
     0},
    {ACCEL_KIND_CONV, "conv 3x3, 16 to 16 channels, 112x112", conv_setup, conv_run, 16, 16, 112, 3,
     1, 0},
    {ACCEL_KIND_CONV, "conv 3x3, 32 to 32 channels, 56x56", conv_setup, conv_run, 32, 32, 56, 3, 1,
     0},
    {ACCEL_KIND_CONV, "conv 3x3, 64 to 64 channels, 28x28", conv_setup, conv_run, 64, 64, 28, 3, 1,
     0},
    {ACCEL_KIND_CONV, "conv 3x3, 64 to 64 channels, 112x112", conv_setup, conv_run, 64, 64, 112, 3,
     1, 0},
    {ACCEL_KIND_CONV, "conv 3x3, 96 to 24 channels, 2x2", conv_setup, conv_run, 96, 24, 2, 3, 1, 0},
    {ACCEL_KIND_CONV, "conv 3x3, 96 to 24 channels, 8x8", conv_setup, conv_run, 96, 24, 8, 3, 1, 0},
    {ACCEL_KIND_CONV, "conv 3x3, 128 to 32 channels, 14x14", conv_setup, conv_run, 128, 32, 14, 3,
     1, 0},
    {ACCEL_KIND_CONV, "conv 3x3, 256 to 256 channels, 14x14", conv_setup, conv_run, 256, 256, 14, 3,
     1, 0},
    {ACCEL_KIND_CONV, "conv 3x3, 512 to 512 channels, 7x7", conv_setup, conv_run, 512, 512, 7, 3, 1,
     0},
    {ACCEL_KIND_CONV, "conv 3x3, 32 to 32 channels, 384x384", conv_setup, conv_run, 32, 32, 384, 3,
     1, 0},
    {ACCEL_KIND_POINTWISE, "conv 1x1, 256 to 512 channels, 1x1", conv_setup, conv_run, 256, 512, 1,
     1, 1, 0},
    {ACCEL_KIND_POINTWISE, "conv 1x1, 64 to 16 channels, 1x1", conv_setup, conv_run, 64, 16, 1, 1,
     1, 0},
    {ACCEL_KIND_POINTWISE, "conv 1x1, 480 to 80 channels, 4x4", conv_setup, conv_run, 480, 80, 4, 1,
     1, 0},
    {ACCEL_KIND_POINTWISE, "conv 1x1, 960 to 160 channels, 7x7", conv_setup, conv_run, 960, 160, 7,
     1, 1, 0},
    {ACCEL_KIND_POINTWISE, "conv 1x1, 64 to 128 channels, 14x14", conv_setup, conv_run, 64, 128, 14,
     1, 1, 0},
    {ACCEL_KIND_POINTWISE, "conv 1x1, 480 to 96 channels, 14x14", conv_setup, conv_run, 480, 96, 14,
     1, 1, 0},
    {ACCEL_KIND_POINTWISE, "conv 1x1, 24 to 24 channels, 64x64", conv_setup, conv_run, 24, 24, 64,
     1, 1, 0},
    {ACCEL_KIND_POINTWISE, "conv 1x1, 16 to 96 channels, 64x64", conv_setup, conv_run, 16, 96, 64,
     1, 1, 0},
    {ACCEL_KIND_POINTWISE, "conv 1x1, 96 to 24 channels, 56x56", conv_setup, conv_run, 96, 24, 56,
     1, 1, 0},
    {ACCEL_KIND_POINTWISE, "conv 1x1, 128 to 128 channels, 28x28", conv_setup, conv_run, 128, 128,
     28, 1, 1, 0},
    {ACCEL_KIND_POINTWISE, "conv 1x1, 256 to 256 channels, 56x56", conv_setup, conv_run, 256, 256,
     56, 1, 1, 0},
    {ACCEL_KIND_POINTWISE, "conv 1x1, 256 to 1024 channels, 14x14", conv_setup, conv_run, 256, 1024,
     14, 1, 1, 0},
    {ACCEL_KIND_POINTWISE, "conv 1x1, 16 to 1 channels, 256x256", conv_setup, conv_run, 16, 1, 256,
     1, 1, 0},
    {ACCEL_KIND_POINTWISE, "conv 1x1, 1 to 8 channels, 256x256", conv_setup, conv_run, 1, 8, 256, 1,
     1, 0},
    {ACCEL_KIND_POINTWISE, "conv 1x1, 32 to 16 channels, 512x512", conv_setup, conv_run, 32, 16,
     512, 1, 1, 0},
    {ACCEL_KIND_DEPTHWISE, "depthwise 5x5, 480 channels, 1x1", conv_setup, conv_run, 480, 480, 1, 5,
     1, 1},
    {ACCEL_KIND_DEPTHWISE, "depthwise 5x5, 480 channels, 4x4", conv_setup, conv_run, 480, 480, 4, 5,
     1, 1},
    {ACCEL_KIND_DEPTHWISE, "depthwise 3x3, 96 channels, 7x7", conv_setup, conv_run, 96, 96, 7, 3, 1,
     1},
    {ACCEL_KIND_DEPTHWISE, "depthwise 3x3, 96 channels, 14x14", conv_setup, conv_run, 96, 96, 14, 3,
     1, 1},
    {ACCEL_KIND_DEPTHWISE, "depthwise 5x5, 96 channels, 14x14", conv_setup, conv_run, 96, 96, 14, 5,
     1, 1},
    {ACCEL_KIND_DEPTHWISE, "depthwise 3x3, 96 channels, 56x56", conv_setup, conv_run, 96, 96, 56, 3,
     2, 1},
    {ACCEL_KIND_DEPTHWISE, "depthwise 3x3, 24 channels, 64x64", conv_setup, conv_run, 24, 24, 64, 3,
     1, 1},
    {ACCEL_KIND_DEPTHWISE, "depthwise 3x3, 480 channels, 33x33", conv_setup, conv_run, 480, 480, 33,
     3, 1, 1},
    {ACCEL_KIND_DEPTHWISE, "depthwise 3x3, 96 channels, 112x112", conv_setup, conv_run, 96, 96, 112,
     3, 1, 1},
    {ACCEL_KIND_DEPTHWISE, "depthwise 5x5, 32 channels, 112x112", conv_setup, conv_run, 32, 32, 112,
     5, 1, 1},
    {ACCEL_KIND_GEMM, "gemm 8x16x16", gemm_setup, gemm_run, 8, 16, 16, 0, 0, 0},
    {ACCEL_KIND_GEMM, "gemm 32x64x32", gemm_setup, gemm_run, 32, 64, 32, 0, 0, 0},
    {ACCEL_KIND_GEMM, "gemm 64x64x64", gemm_setup, gemm_run, 64, 64, 64, 0, 0, 0},
    {ACCEL_KIND_GEMM, "gemm 50x256x64", gemm_setup, gemm_run, 50, 256, 64, 0, 0, 0},
    {ACCEL_KIND_GEMM, "gemm 128x64x256", gemm_setup, gemm_run, 128, 64, 256, 0, 0, 0},
    {ACCEL_KIND_GEMM, "gemm 2048x64x256", gemm_setup, gemm_run, 2048, 64, 256, 0, 0, 0},
    {ACCEL_KIND_GEMM, "gemm 512x512x512", gemm_setup, gemm_run, 512, 512, 512, 0, 0, 0},
    {ACCEL_KIND_GEMV, "gemv 16x16", gemm_setup, gemm_run, 1, 16, 16, 0, 0, 0},
    {ACCEL_KIND_GEMV, "gemv 64x64", gemm_setup, gemm_run, 1, 64, 64, 0, 0, 0},
    {ACCEL_KIND_GEMV, "gemv 128x128", gemm_setup, gemm_run, 1, 128, 128, 0, 0, 0},
    {ACCEL_KIND_GEMV, "gemv 256x512", gemm_setup, gemm_run, 1, 512, 256, 0, 0, 0},
    {ACCEL_KIND_GEMV, "gemv 1024x1024", gemm_setup, gemm_run, 1, 1024, 1024, 0, 0, 0},
    {ACCEL_KIND_GEMV, "gemv 4096x2048", gemm_setup, gemm_run, 1, 2048, 4096, 0, 0, 0},
    {ACCEL_KIND_GEMV, "gemv 8192x4096", gemm_setup, gemm_run, 1, 4096, 8192, 0, 0, 0},
    {ACCEL_KIND_POOL, "max pool 2x2, 8 planes, 16x16", pool_setup, pool_run, 8, 16, 2, 2, 0, 0},
    {ACCEL_KIND_POOL, "max pool 3x3, 32 planes, 28x28", pool_setup, pool_run, 32, 28, 3, 2, 0, 0},
    {ACCEL_KIND_POOL, "max pool 2x2, 16 planes, 64x64", pool_setup, pool_run, 16, 64, 2, 2, 0, 0},
    {ACCEL_KIND_POOL, "max pool 3x3, 64 planes, 56x56", pool_setup, pool_run, 64, 56, 3, 1, 1, 0},
    {ACCEL_KIND_POOL, "max pool 5x5, 64 planes, 13x13", pool_setup, pool_run, 64, 13, 5, 1, 2, 0},
    {ACCEL_KIND_POOL, "max pool 13x13, 64 planes, 13x13", pool_setup, pool_run, 64, 13, 13, 1, 6,
     0},
    {ACCEL_KIND_POOL, "max pool 3x3, 64 planes, 224x224", pool_setup, pool_run, 64, 224, 3, 2, 0,
     0},
    {ACCEL_KIND_ELEMENTWISE, "add, 1 KiB", vector_setup, add_run, (size_t)1 << 8, 0, 0, 0, 0, 0},
    {ACCEL_KIND_ELEMENTWISE, "add, 32 KiB", vector_setup, add_run, (size_t)1 << 13, 0, 0, 0, 0, 0},
    {ACCEL_KIND_ELEMENTWISE, "add, 256 KiB", vector_setup, add_run, (size_t)1 << 16, 0, 0, 0, 0, 0},
    {ACCEL_KIND_ELEMENTWISE, "add, 2 MiB", vector_setup, add_run, (size_t)1 << 19, 0, 0, 0, 0, 0},
    {ACCEL_KIND_ELEMENTWISE, "add, 16 MiB", vector_setup, add_run, (size_t)1 << 22, 0, 0, 0, 0, 0},
    {ACCEL_KIND_TRANSCENDENTAL, "sigmoid, 1 KiB", vector_setup, sigmoid_run, (size_t)1 << 8, 0, 0,
     0, 0, 0},
    {ACCEL_KIND_TRANSCENDENTAL, "sigmoid, 32 KiB", vector_setup, sigmoid_run, (size_t)1 << 13, 0, 0,
     0, 0, 0},
    {ACCEL_KIND_TRANSCENDENTAL, "sigmoid, 256 KiB", vector_setup, sigmoid_run, (size_t)1 << 16, 0,
     0, 0, 0, 0},
    {ACCEL_KIND_TRANSCENDENTAL, "sigmoid, 2 MiB", vector_setup, sigmoid_run, (size_t)1 << 19, 0, 0,
     0, 0, 0},
    {ACCEL_KIND_TRANSCENDENTAL, "sigmoid, 16 MiB", vector_setup, sigmoid_run, (size_t)1 << 22, 0, 0,
     0, 0, 0},
    {ACCEL_KIND_NORM, "softmax, 1 KiB", vector_setup, softmax_run, (size_t)1 << 8, 0, 0, 0, 0, 0},
    {ACCEL_KIND_NORM, "softmax, 32 KiB", vector_setup, softmax_run, (size_t)1 << 13, 0, 0, 0, 0, 0},
    {ACCEL_KIND_NORM, "softmax, 256 KiB", vector_setup, softmax_run, (size_t)1 << 16, 0, 0, 0, 0,
     0},
    {ACCEL_KIND_NORM, "softmax, 2 MiB", vector_setup, softmax_run, (size_t)1 << 19, 0, 0, 0, 0, 0},
    {ACCEL_KIND_NORM, "softmax, 16 MiB", vector_setup, softmax_run, (size_t)1 << 22, 0, 0, 0, 0, 0},
    {ACCEL_KIND_REDUCE, "sum, 1 KiB", vector_setup, sum_run, (size_t)1 << 8, 0, 0, 0, 0, 0},
    {ACCEL_KIND_REDUCE, "sum, 32 KiB", vector_setup, sum_run, (size_t)1 << 13, 0, 0, 0, 0, 0},
    {ACCEL_KIND_REDUCE, "sum, 256 KiB", vector_setup, sum_run, (size_t)1 << 16, 0, 0, 0, 0, 0},
    {ACCEL_KIND_REDUCE, "sum, 2 MiB", vector_setup, sum_run, (size_t)1 << 19, 0, 0, 0, 0, 0},
    {ACCEL_KIND_REDUCE, "sum, 16 MiB", vector_setup, sum_run, (size_t)1 << 22, 0, 0, 0, 0, 0},
    {ACCEL_KIND_MOVE, "resize, 96 planes, 11x11", resize_setup, resize_run, 96, 11, 2, 0, 0, 0},
    {ACCEL_KIND_MOVE, "resize, 21 planes, 33x33", resize_setup, resize_run, 21, 33, 8, 1, 0, 0},
    {ACCEL_KIND_MOVE, "resize, 64 planes, 128x128", resize_setup, resize_run, 64, 128, 2, 0, 0, 0},
    {ACCEL_KIND_MOVE, "transpose, 1 KiB", vector_setup, transpose_run, (size_t)1 << 8, 0, 0, 0, 0,
     0},
    {ACCEL_KIND_MOVE, "transpose, 32 KiB", vector_setup, transpose_run, (size_t)1 << 13, 0, 0, 0, 0,
     0},
    {ACCEL_KIND_MOVE, "transpose, 256 KiB", vector_setup, transpose_run, (size_t)1 << 16, 0, 0, 0,
     0, 0},
    {ACCEL_KIND_MOVE, "transpose, 2 MiB", vector_setup, transpose_run, (size_t)1 << 19, 0, 0, 0, 0,
     0},
    {ACCEL_KIND_MOVE, "transpose, 16 MiB", vector_setup, transpose_run, (size_t)1 << 22, 0, 0, 0, 0,
     0},
};

/* What a call costs that does nothing: a fork and join of the pool, once. */
static void nothing(void *context, size_t begin, size_t end, unsigned thread)
{
    (void)context;
    (void)begin;
    (void)end;
    (void)thread;
}

static double launch_seconds(struct accel_pool *pool, unsigned threads)
{
    double best = DBL_MAX;

    for (int round = 0; round < ROUNDS; round++) {
        const int calls = 1000;
        const int64_t begin = accel_now_ns();

        for (int i = 0; i < calls; i++)
            accel_pool_run(pool, threads, 1, nothing, NULL);
        best = fmin(best, (double)(accel_now_ns() - begin) * 1e-9 / calls);
    }
    return best;
}

/* Batches whose times a round keeps, and how long one is at least: far over the clock's grain, far
 * below a time slice, so that a neighbour's turn falls into few of them. */
#define BATCHES_MAX 128
#define BATCH_NS    50000

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Seconds per call: the median over the batches of one round of about `share_ns`. */
static double measure(struct bench *b, const struct point *p, int64_t share_ns)
{
    double each[BATCHES_MAX];
    size_t batches = 0;

    p->run(b); /* pages, caches, the pool's threads */
    const int64_t begin = accel_now_ns();
    int64_t now = begin;
    do {
        const int64_t from = now;
        int64_t calls = 0;

        do {
            p->run(b);
            calls++;
            now = accel_now_ns();
        } while (now - from < BATCH_NS);
        each[batches++] = (double)(now - from) * 1e-9 / (double)calls;
    } while (now - begin < share_ns && batches < BATCHES_MAX);
    qsort(each, batches, sizeof(*each), by_value);
    return each[batches / 2];
}

/* One round over all points, so that the rounds of a point lie seconds apart and a neighbour's
 * burst spoils one of them at most. best[] and worst[] (seconds per call) grow together. */
static int measure_round(const struct accel_kernels *kernels, struct accel_pool *pool, int round,
                         int64_t end_ns, accel_progress_fn *progress, void *context,
                         struct accel_rate *rates, double *best, double *worst,
                         struct accel_error *err)
{
    const size_t n = ACCEL_COUNT(points);

    for (size_t i = 0; i < n; i++) {
        ACCEL_CLEANUP(bench_free)
        struct bench b = {.kernels = kernels, .pool = pool, .threads = accel_pool_threads(pool)};
        const struct point *p = &points[i];
        const double done = ((double)round + (double)i / (double)n) / ROUNDS;

        if (progress != NULL && !progress(context, done, p->what))
            return accel_fail(err, ACCEL_E_CANCELLED, "the calibration was cancelled");
        if (p->setup(&b, p, err) != ACCEL_OK)
            return err->code;
        /* What is left of the budget in equal shares; set-up has taken a part of it. */
        const int64_t left = end_ns - accel_now_ns();
        const int64_t rest = (int64_t)(n * (size_t)(ROUNDS - round) - i);
        const double seconds = measure(&b, p, ACCEL_MAX(left, 0) / rest * 7 / 10);
        best[i] = round == 0 ? seconds : fmin(best[i], seconds);
        worst[i] = round == 0 ? seconds : fmax(worst[i], seconds);
        rates[i].flops = b.flops;
        rates[i].bytes = b.bytes;
    }
    return ACCEL_OK;
}

int accel_calibrate(unsigned threads, unsigned cpu_mask, int64_t budget_ms,
                    accel_progress_fn *progress, void *context, struct accel_rate **out,
                    size_t *count, struct accel_error *err)
{
    const size_t n = ACCEL_COUNT(points);
    ACCEL_CLEANUP(accel_freep) struct accel_rate *rates = accel_calloc(n, sizeof(*rates));
    ACCEL_CLEANUP(accel_freep) double *best = accel_calloc(2 * n, sizeof(*best));
    struct accel_kernels kernels;
    struct accel_pool *pool = NULL;

    if (rates == NULL || best == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to measure");
    double *worst = best + n;
    if (budget_ms <= 0)
        return accel_fail(err, ACCEL_E_INVALID, "a budget of %lld ms", (long long)budget_ms);
    accel_kernels_init(&kernels, cpu_mask);
    int rc = accel_pool_new(threads > 0 ? threads : accel_usable_cpus(), &pool, err);
    if (rc != ACCEL_OK)
        return rc;
    const double launch = launch_seconds(pool, accel_pool_threads(pool));
    const int64_t end = accel_now_ns() + ACCEL_MIN(budget_ms, INT64_MAX / 2000000) * 1000000;
    for (int round = 0; round < ROUNDS && rc == ACCEL_OK; round++)
        rc = measure_round(&kernels, pool, round, end, progress, context, rates, best, worst, err);
    accel_pool_free(pool);
    if (rc != ACCEL_OK)
        return rc;
    for (size_t i = 0; i < n; i++) {
        /* Without the launch, which the cost model adds for each operator. */
        const double busy = fmax(best[i] - launch, best[i] * 0.05);

        rates[i] = (struct accel_rate){.kind = points[i].kind,
                                       .precision = ACCEL_DTYPE_FLOAT,
                                       .flops = rates[i].flops,
                                       .bytes = rates[i].bytes,
                                       .flops_per_s = rates[i].flops / busy,
                                       .bytes_per_s = rates[i].bytes / busy,
                                       .overhead_s = launch,
                                       .spread = (worst[i] - best[i]) / best[i]};
    }
    if (progress != NULL)
        progress(context, 1, "done");
    *out = accel_steal(&rates);
    *count = n;
    return ACCEL_OK;
}

void accel_rates_free(struct accel_rate *rates)
{
    accel_free(rates);
}
