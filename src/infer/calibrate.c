/* SPDX-License-Identifier: Apache-2.0 */
/* Rates of this machine, measured on the kernels that inference runs: a few operators of each kind,
 * small enough to stay in the caches and large enough not to. */
#include "infer/kernels/kernels.h"

#include "base/clock.h"
#include "base/mem.h"

#include <float.h>
#include <math.h>
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
    size_t n;
    double flops, bytes;
};

/* One point of the table: which operator, in which size. a..d: see the set-up of its kind. */
struct point {
    enum accel_kind kind;
    const char *what;
    int (*setup)(struct bench *b, const struct point *p, struct accel_error *err);
    void (*run)(struct bench *b);
    size_t a, b, c, d;
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

/* a: channels in and out, b: height and width, c: kernel, d: 1 for depthwise. */
static int conv_setup(struct bench *b, const struct point *p, struct accel_error *err)
{
    const size_t groups = p->d != 0 ? p->a : 1, plane = p->b * p->b;
    size_t packed, scratch;

    b->conv = (struct accel_conv){.spatial = 2,
                                  .batch = 1,
                                  .groups = groups,
                                  .cin = p->a,
                                  .cout = p->a,
                                  .in = {p->b, p->b},
                                  .out = {p->b, p->b},
                                  .kernel = {p->c, p->c},
                                  .stride = {1, 1},
                                  .dilation = {1, 1},
                                  .pad_begin = {p->c / 2, p->c / 2}};
    int rc = accel_conv_check(&b->conv, err);
    if (rc == ACCEL_OK)
        b->conv.turned = accel_conv_f32_turn(b->kernels, &b->conv);
    if (rc == ACCEL_OK)
        rc = accel_conv_f32_packed_bytes(b->kernels, &b->conv, &packed, err);
    if (rc == ACCEL_OK)
        rc = accel_conv_f32_scratch_bytes(b->kernels, &b->conv, b->threads, &scratch, err);
    const size_t weights = p->a * (p->a / groups) * p->c * p->c;
    if (rc == ACCEL_OK)
        rc = make_room(b, p->a * plane, p->a * plane, weights, packed, scratch, err);
    if (rc != ACCEL_OK)
        return rc;
    accel_conv_f32_pack(b->kernels, &b->conv, b->w, b->packed);
    b->flops = 2.0 * (double)weights * (double)plane;
    b->bytes = 4.0 * (double)(2 * p->a * plane + weights);
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

/* a: planes, b: height and width, c: kernel; stride 2. */
static int pool_setup(struct bench *b, const struct point *p, struct accel_error *err)
{
    const size_t out = (p->b - p->c) / 2 + 1;

    b->window = (struct accel_window){.spatial = 2,
                                      .planes = p->a,
                                      .in = {p->b, p->b},
                                      .out = {out, out},
                                      .kernel = {p->c, p->c},
                                      .stride = {2, 2},
                                      .dilation = {1, 1}};
    b->flops = (double)(p->a * out * out * p->c * p->c);
    b->bytes = 4.0 * (double)(p->a * (p->b * p->b + out * out));
    return make_room(b, p->a * p->b * p->b, p->a * out * out, 1, 1, 1, err);
}

static void pool_run(struct bench *b)
{
    accel_maxpool_f32(b->kernels, b->pool, &b->window, b->x, b->y, NULL, false);
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

#define SMALL ((size_t)1 << 13) /* 32 KiB: in the caches */
#define LARGE ((size_t)1 << 23) /* 32 MiB: not */

static const struct point points[] = {
    {ACCEL_KIND_CONV, "conv 3x3, 64 channels, 28x28", conv_setup, conv_run, 64, 28, 3, 0},
    {ACCEL_KIND_CONV, "conv 3x3, 64 channels, 112x112", conv_setup, conv_run, 64, 112, 3, 0},
    {ACCEL_KIND_CONV, "conv 3x3, 512 channels, 7x7", conv_setup, conv_run, 512, 7, 3, 0},
    {ACCEL_KIND_POINTWISE, "conv 1x1, 128 channels, 14x14", conv_setup, conv_run, 128, 14, 1, 0},
    {ACCEL_KIND_POINTWISE, "conv 1x1, 256 channels, 56x56", conv_setup, conv_run, 256, 56, 1, 0},
    {ACCEL_KIND_DEPTHWISE, "depthwise 3x3, 96 channels, 14x14", conv_setup, conv_run, 96, 14, 3, 1},
    {ACCEL_KIND_DEPTHWISE, "depthwise 3x3, 96 channels, 112x112", conv_setup, conv_run, 96, 112, 3,
     1},
    {ACCEL_KIND_GEMM, "gemm 64x64x64", gemm_setup, gemm_run, 64, 64, 64, 0},
    {ACCEL_KIND_GEMM, "gemm 512x512x512", gemm_setup, gemm_run, 512, 512, 512, 0},
    {ACCEL_KIND_GEMV, "gemv 128x128", gemm_setup, gemm_run, 1, 128, 128, 0},
    {ACCEL_KIND_GEMV, "gemv 4096x2048", gemm_setup, gemm_run, 1, 2048, 4096, 0},
    {ACCEL_KIND_POOL, "max pool 3x3, 32 planes, 28x28", pool_setup, pool_run, 32, 28, 3, 0},
    {ACCEL_KIND_POOL, "max pool 3x3, 64 planes, 224x224", pool_setup, pool_run, 64, 224, 3, 0},
    {ACCEL_KIND_ELEMENTWISE, "add, 32 KiB", vector_setup, add_run, SMALL, 0, 0, 0},
    {ACCEL_KIND_ELEMENTWISE, "add, 32 MiB", vector_setup, add_run, LARGE, 0, 0, 0},
    {ACCEL_KIND_TRANSCENDENTAL, "sigmoid, 32 KiB", vector_setup, sigmoid_run, SMALL, 0, 0, 0},
    {ACCEL_KIND_TRANSCENDENTAL, "sigmoid, 32 MiB", vector_setup, sigmoid_run, LARGE, 0, 0, 0},
    {ACCEL_KIND_NORM, "softmax, 32 KiB", vector_setup, softmax_run, SMALL, 0, 0, 0},
    {ACCEL_KIND_NORM, "softmax, 32 MiB", vector_setup, softmax_run, LARGE, 0, 0, 0},
    {ACCEL_KIND_REDUCE, "sum, 32 KiB", vector_setup, sum_run, SMALL, 0, 0, 0},
    {ACCEL_KIND_REDUCE, "sum, 32 MiB", vector_setup, sum_run, LARGE, 0, 0, 0},
    {ACCEL_KIND_MOVE, "transpose, 32 KiB", vector_setup, transpose_run, SMALL, 0, 0, 0},
    {ACCEL_KIND_MOVE, "transpose, 32 MiB", vector_setup, transpose_run, LARGE, 0, 0, 0},
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

/* Seconds per call, the quietest of three rounds of `share_ns` each in all; *spread as accel_rate
 * has it. */
static double measure(struct bench *b, const struct point *p, int64_t share_ns, double *spread)
{
    double best = DBL_MAX, worst = 0;

    p->run(b); /* pages, caches, the pool's threads */
    for (int round = 0; round < ROUNDS; round++) {
        const int64_t begin = accel_now_ns();
        int64_t now;
        int64_t calls = 0;

        do {
            p->run(b);
            calls++;
            now = accel_now_ns();
        } while (now - begin < share_ns / ROUNDS);
        const double each = (double)(now - begin) * 1e-9 / (double)calls;
        best = fmin(best, each);
        worst = fmax(worst, each);
    }
    *spread = (worst - best) / best;
    return best;
}

int accel_calibrate(unsigned threads, unsigned cpu_mask, int64_t budget_ms,
                    accel_progress_fn *progress, void *context, struct accel_rate **out,
                    size_t *count, struct accel_error *err)
{
    const size_t n = ACCEL_COUNT(points);
    ACCEL_CLEANUP(accel_freep) struct accel_rate *rates = accel_calloc(n, sizeof(*rates));
    struct accel_kernels kernels;
    struct accel_pool *pool = NULL;

    if (rates == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to measure");
    if (budget_ms <= 0)
        return accel_fail(err, ACCEL_E_INVALID, "a budget of %lld ms", (long long)budget_ms);
    accel_kernels_init(&kernels, cpu_mask);
    int rc = accel_pool_new(threads > 0 ? threads : accel_usable_cpus(), &pool, err);
    if (rc != ACCEL_OK)
        return rc;
    const unsigned used = accel_pool_threads(pool);
    const double launch = launch_seconds(pool, used);
    const int64_t end = accel_now_ns() + ACCEL_MIN(budget_ms, INT64_MAX / 2000000) * 1000000;
    for (size_t i = 0; i < n && rc == ACCEL_OK; i++) {
        ACCEL_CLEANUP(bench_free)
        struct bench b = {.kernels = &kernels, .pool = pool, .threads = used};
        const struct point *p = &points[i];
        double spread;

        if (progress != NULL && !progress(context, (double)i / (double)n, p->what))
            rc = accel_fail(err, ACCEL_E_CANCELLED, "the calibration was cancelled");
        if (rc == ACCEL_OK)
            rc = p->setup(&b, p, err);
        if (rc != ACCEL_OK)
            break;
        /* What is left of the budget in equal shares; set-up has taken a part of it. */
        const int64_t left = end - accel_now_ns();
        const double seconds =
            measure(&b, p, ACCEL_MAX(left, 0) / (int64_t)(n - i) * 8 / 10, &spread);
        /* Without the launch, which the cost model adds for each operator. */
        const double busy = fmax(seconds - launch, seconds * 0.05);
        rates[i] = (struct accel_rate){.kind = p->kind,
                                       .precision = ACCEL_DTYPE_FLOAT,
                                       .flops = b.flops,
                                       .bytes = b.bytes,
                                       .flops_per_s = b.flops / busy,
                                       .bytes_per_s = b.bytes / busy,
                                       .overhead_s = launch,
                                       .spread = spread};
    }
    accel_pool_free(pool);
    if (rc != ACCEL_OK)
        return rc;
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
