/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/kernels/gemm.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "infer/kernels/epilogue.h"

/* A strip of A (mr * KC floats, 14 * 384 * 4 = 21 KB) stays in L1 while it meets every panel of the
 * task; the panels (task_panels * NR * KC) stay in L2. */
#define KC_MAX         384
#define B_BLOCK_FLOATS (96 * 1024)
#define A_BLOCK_FLOATS (128 * 1024)

static size_t div_up(size_t a, size_t b)
{
    return a / b + (a % b != 0);
}

static size_t block_k(size_t k)
{
    return k == 0 ? 0 : div_up(k, div_up(k, KC_MAX));
}

static size_t strip_rows(const struct accel_kernels *kernels, size_t m)
{
    return m == 0 ? 1 : div_up(m, div_up(m, kernels->f32_gemm_mr));
}

bool accel_gemm_a_size(const struct accel_kernels *kernels, size_t m, size_t k, size_t *bytes)
{
    const size_t mr = strip_rows(kernels, m);
    size_t floats;

    return !__builtin_mul_overflow(div_up(m, mr) * mr, k, &floats) &&
           !__builtin_mul_overflow(floats, sizeof(float), bytes);
}

bool accel_gemm_b_size(const struct accel_kernels *kernels, size_t k, size_t n, size_t *bytes)
{
    const size_t nr = kernels->f32_gemm_nr;
    size_t floats;

    return n <= SIZE_MAX - nr && !__builtin_mul_overflow(div_up(n, nr) * nr, k, &floats) &&
           !__builtin_mul_overflow(floats, sizeof(float), bytes);
}

bool accel_gemm_scratch_size(const struct accel_gemm_cut *cut, unsigned threads, size_t *bytes)
{
    /* scratch_floats is bounded by the block sizes, but mr * kc of one strip is always there. */
    return !__builtin_mul_overflow(cut->scratch_floats * sizeof(float), (size_t)threads, bytes);
}

/* Cycles of one task, roughly: the microkernel does a vector of products per cycle (16 with
 * AVX-512), packing moves an element in a fraction of one. */
static double task_cost(const struct accel_gemm_cut *cut, size_t strips, size_t panels, size_t k,
                        bool a_packed, bool b_packed)
{
    const double rows = (double)(strips * cut->mr), columns = (double)(panels * cut->nr);

    return (double)k *
           (rows * columns / 16 + (a_packed ? 0 : rows * 0.7) + (b_packed ? 0 : columns * 0.4));
}

struct accel_gemm_cut accel_gemm_cut_of(const struct accel_kernels *kernels, size_t m, size_t n,
                                        size_t k, bool a_packed, bool b_packed, size_t repeats,
                                        unsigned threads)
{
    struct accel_gemm_cut cut = {
        .mr = strip_rows(kernels, m), .nr = kernels->f32_gemm_nr, .kc = block_k(k)};
    const size_t kc = ACCEL_MAX(cut.kc, (size_t)1);

    cut.strips = div_up(m, cut.mr);
    cut.panels = div_up(n, cut.nr);
    cut.k_blocks = k == 0 ? 1 : div_up(k, cut.kc); /* no product still has bias and activation */

    /* The fewest tasks whose blocks fit the caches, then more as long as threads would idle. */
    const size_t max_strips =
        a_packed ? cut.strips : ACCEL_MAX(A_BLOCK_FLOATS / (cut.mr * kc), (size_t)1);
    /* Packed B only streams past a block of A. */
    const size_t max_panels =
        ACCEL_MAX((b_packed && !a_packed ? 4 : 1) * B_BLOCK_FLOATS / (cut.nr * kc), (size_t)1);
    const size_t least_m =
        ACCEL_MAX(div_up(cut.strips, ACCEL_MAX(max_strips, (size_t)1)), (size_t)1);
    const size_t least_n = ACCEL_MAX(div_up(cut.panels, max_panels), (size_t)1);
    /* So many ways to cut are tried; with very many threads the best is among the finest. */
    const size_t tries = ACCEL_MIN(4 * (size_t)threads, (size_t)32);
    double best = INFINITY;

    for (size_t i = 0; i <= tries && least_m + i <= ACCEL_MAX(cut.strips, (size_t)1); i++) {
        const size_t strips = div_up(cut.strips, least_m + i);

        for (size_t j = 0; j <= tries && least_n + j <= ACCEL_MAX(cut.panels, (size_t)1); j++) {
            const size_t panels = div_up(cut.panels, least_n + j);
            const double tasks = (double)(div_up(cut.strips, ACCEL_MAX(strips, (size_t)1)) *
                                          div_up(cut.panels, ACCEL_MAX(panels, (size_t)1))) *
                                 (double)repeats;
            const double cost =
                ceil(tasks / threads) * task_cost(&cut, strips, panels, k, a_packed, b_packed);

            if (cost < best) {
                best = cost;
                cut.task_strips = strips;
                cut.task_panels = panels;
            }
            if (threads == 1)
                break;
        }
        if (threads == 1)
            break;
    }
    cut.tasks_m = cut.strips == 0 ? 0 : div_up(cut.strips, cut.task_strips);
    cut.tasks_n = cut.panels == 0 ? 0 : div_up(cut.panels, cut.task_panels);
    cut.scratch_floats = ACCEL_ROUND_UP((a_packed ? 0 : cut.task_strips * cut.mr * kc) + 16 +
                                            (b_packed ? 0 : cut.task_panels * cut.nr * kc),
                                        ACCEL_KERNEL_ALIGN / sizeof(float));
    return cut;
}

/* Rows i0..i0+rows of columns k0..k0+kc of op(a), into [kc][mr]. */
static void pack_strip(const float *a, size_t lda, bool trans, float alpha, size_t i0, size_t rows,
                       size_t mr, size_t k0, size_t kc, float *packed)
{
    /* Some columns at a time: what is written stays in L1. */
    for (size_t k1 = 0; k1 < kc; k1 += 16) {
        const size_t k2 = ACCEL_MIN(k1 + 16, kc);

        if (trans)
            for (size_t k = k1; k < k2; k++)
                for (size_t i = 0; i < rows; i++)
                    packed[k * mr + i] = alpha * a[(k0 + k) * lda + i0 + i];
        else
            for (size_t i = 0; i < rows; i++)
                for (size_t k = k1; k < k2; k++)
                    packed[k * mr + i] = alpha * a[(i0 + i) * lda + k0 + k];
        for (size_t k = k1; k < k2; k++)
            for (size_t i = rows; i < mr; i++)
                packed[k * mr + i] = 0;
    }
}

/* What the microkernel could not do for the rows of one strip: a c that is no plain residual, an
 * activation that is no clamp. */
static void finish_rows(const struct accel_gemm_core *core, size_t i0, size_t rows, size_t j0,
                        size_t n)
{
    for (size_t i = i0; i < i0 + rows; i++) {
        float *y = core->y + i * core->ldy + j0;

        if (core->c != NULL) {
            const float *c = core->c + i * core->c_row_stride + j0 * core->c_col_stride;

            for (size_t j = 0; j < n; j++)
                y[j] += core->beta * c[j * core->c_col_stride];
        }
        core->kernels->f32_unary[core->act.op](n, y, y, core->act.alpha, core->act.beta);
    }
}

struct accel_gemm_part accel_gemm_part_of(const struct accel_gemm_cut *cut, size_t m, size_t n,
                                          size_t task)
{
    const size_t rows = cut->task_strips * cut->mr, columns = cut->task_panels * cut->nr;
    const size_t i0 = task / cut->tasks_n * rows, j0 = task % cut->tasks_n * columns;

    return (struct accel_gemm_part){
        .i0 = i0, .i1 = ACCEL_MIN(i0 + rows, m), .j0 = j0, .j1 = ACCEL_MIN(j0 + columns, n)};
}

/* One block of K of a task at work. */
struct block {
    const struct accel_gemm_core *core;
    const struct accel_gemm_cut *cut;
    struct accel_gemm_part part;
    size_t k0, kc;
    bool first, last, clamps, in_place;
    const float *a, *b; /* packed: the task's first strip and panel */
};

static void multiply_tile(const struct block *block, size_t strip, size_t panel)
{
    const struct accel_gemm_core *core = block->core;
    const size_t mr = block->cut->mr, nr = block->cut->nr;
    const size_t i = block->part.i0 + strip * mr, j = block->part.j0 + panel * nr;
    const size_t row = core->y_of_task ? strip * mr : i, column = core->y_of_task ? panel * nr : j;
    struct accel_f32_tile tile = {
        .k = block->kc,
        .a = block->a + strip * mr * block->kc,
        .a_rows = mr,
        .b = block->b + panel * nr * block->kc,
        .c = core->y + row * core->ldy + column,
        .ldc = core->ldy,
        .m = ACCEL_MIN(mr, core->m - i),
        .n = ACCEL_MIN(nr, core->n - j),
        .accumulate = !block->first || block->in_place,
        .bias_row = block->last && core->bias_row != NULL ? core->bias_row + i : NULL,
        .bias_col = block->last && core->bias_col != NULL ? core->bias_col + j : NULL,
        .residual = block->last && core->residual != NULL && !block->in_place
                        ? core->residual + i * core->ldr + j
                        : NULL,
        .ldr = core->ldr,
        .lo = -INFINITY,
        .hi = INFINITY,
    };

    if (block->last && block->clamps)
        accel_activation_clamp(&core->act, &tile.lo, &tile.hi);
    core->kernels->f32_gemm(&tile);
}

static void pack_a_block(const struct block *block, size_t strips, float *packed)
{
    const struct accel_gemm_core *core = block->core;
    const size_t mr = block->cut->mr;

    for (size_t s = 0; s < strips; s++, packed += mr * block->kc) {
        const size_t i = block->part.i0 + s * mr, rows = ACCEL_MIN(mr, core->m - i);

        if (core->pack_strip != NULL)
            core->pack_strip(core->strip_context, block->k0, block->kc, i, rows, packed);
        else
            pack_strip(core->a, core->lda, core->trans_a, core->alpha, i, rows, mr, block->k0,
                       block->kc, packed);
    }
}

static void pack_b_block(const struct block *block, size_t panels, float *packed)
{
    const struct accel_gemm_core *core = block->core;
    const size_t nr = block->cut->nr;

    for (size_t p = 0; p < panels; p++, packed += nr * block->kc) {
        const size_t j = block->part.j0 + p * nr;

        core->pack_panel(core->pack_context, block->k0, block->kc, j, ACCEL_MIN(nr, core->n - j),
                         packed);
    }
}

/* Asked at strips or panels far apart: a small product has no time for it. */
static bool give_up(const struct accel_gemm_core *core, size_t i)
{
    return i % 64 == 63 && accel_pool_stopped(core->pool);
}

void accel_gemm_task(const struct accel_gemm_core *core, const struct accel_gemm_cut *cut,
                     size_t task, float *scratch)
{
    const struct accel_gemm_part part = accel_gemm_part_of(cut, core->m, core->n, task);
    const size_t strips = div_up(part.i1 - part.i0, cut->mr);
    const size_t panels = div_up(part.j1 - part.j0, cut->nr);
    const bool clamps = accel_activation_clamp(&core->act, &(float){0}, &(float){0});
    const bool fused = clamps && core->c == NULL;
    float *a_block = scratch;
    float *b_block =
        scratch +
        (core->packed_a != NULL ? 0 : ACCEL_ROUND_UP(cut->task_strips * cut->mr * cut->kc, 16));
    /* A residual that lies in y is where the sums start. */
    struct block block = {.core = core,
                          .cut = cut,
                          .part = part,
                          .clamps = fused,
                          .in_place = core->residual != NULL && core->residual == core->y};

    for (size_t at = 0; at < cut->k_blocks; at++) {
        if (at > 0 && accel_pool_stopped(core->pool))
            return;
        block.k0 = at * cut->kc;
        block.kc = ACCEL_MIN(cut->kc, core->k - block.k0);
        block.first = at == 0;
        block.last = at + 1 == cut->k_blocks;
        if (core->packed_a == NULL)
            pack_a_block(&block, strips, a_block);
        if (core->packed_b == NULL)
            pack_b_block(&block, panels, b_block);
        block.a = core->packed_a != NULL
                      ? core->packed_a + block.k0 * cut->strips * cut->mr + part.i0 * block.kc
                      : a_block;
        block.b = core->packed_b != NULL
                      ? core->packed_b + block.k0 * cut->panels * cut->nr + part.j0 * block.kc
                      : b_block;
        /* What was packed here stays in L2; what comes packed is read once. */
        if (core->packed_a == NULL && core->packed_b != NULL) {
            for (size_t p = 0; p < panels && !give_up(core, p); p++)
                for (size_t s = 0; s < strips; s++)
                    multiply_tile(&block, s, p);
        } else {
            for (size_t s = 0; s < strips && !give_up(core, s); s++)
                for (size_t p = 0; p < panels; p++)
                    multiply_tile(&block, s, p);
        }
    }
    if (!fused)
        finish_rows(core, part.i0, part.i1 - part.i0, part.j0, part.j1 - part.j0);
}

/* ---------------------------------------------------------------- the public product */

struct b_source {
    const float *b;
    size_t ldb;
    bool trans;
    float alpha;
    size_t nr;
};

static void pack_b_panel(const void *context, size_t k0, size_t kc, size_t j0, size_t n,
                         float *packed)
{
    const struct b_source *s = context;
    const size_t nr = s->nr;

    if (!s->trans) {
        for (size_t k = 0; k < kc; k++) {
            const float *row = s->b + (k0 + k) * s->ldb + j0;
            float *out = packed + k * nr;

            if (n == nr && s->alpha == 1) {
                memcpy(out, row, nr * sizeof(float));
                continue;
            }
            for (size_t j = 0; j < nr; j++)
                out[j] = j < n ? s->alpha * row[j] : 0;
        }
        return;
    }
    /* Some rows of B's columns at a time: what is written stays in L1. */
    for (size_t k1 = 0; k1 < kc; k1 += 16) {
        const size_t k2 = ACCEL_MIN(k1 + 16, kc);

        for (size_t j = 0; j < n; j++) {
            const float *column = s->b + (j0 + j) * s->ldb + k0;

            for (size_t k = k1; k < k2; k++)
                packed[k * nr + j] = s->alpha * column[k];
        }
        for (size_t k = k1; k < k2; k++)
            for (size_t j = n; j < nr; j++)
                packed[k * nr + j] = 0;
    }
}

int accel_gemm_f32_packed_a_bytes(const struct accel_kernels *kernels, size_t m, size_t k,
                                  size_t *bytes, struct accel_error *err)
{
    if (!accel_gemm_a_size(kernels, m, k, bytes))
        return accel_fail(err, ACCEL_E_INVALID, "a matrix of %zu x %zu is too large", m, k);
    return ACCEL_OK;
}

void accel_gemm_f32_pack_a(const struct accel_kernels *kernels, size_t m, size_t k, const float *a,
                           size_t lda, bool trans_a, void *packed)
{
    const size_t mr = strip_rows(kernels, m), strips = div_up(m, mr), block = block_k(k);
    float *out = packed;

    for (size_t k0 = 0; k0 < k; k0 += block) {
        const size_t kc = ACCEL_MIN(block, k - k0);

        for (size_t s = 0; s < strips; s++, out += mr * kc)
            pack_strip(a, lda, trans_a, 1, s * mr, ACCEL_MIN(mr, m - s * mr), mr, k0, kc, out);
    }
}

int accel_gemm_f32_packed_b_bytes(const struct accel_kernels *kernels, size_t k, size_t n,
                                  size_t *bytes, struct accel_error *err)
{
    if (!accel_gemm_b_size(kernels, k, n, bytes))
        return accel_fail(err, ACCEL_E_INVALID, "a matrix of %zu x %zu is too large", k, n);
    return ACCEL_OK;
}

void accel_gemm_f32_pack_b(const struct accel_kernels *kernels, size_t k, size_t n, const float *b,
                           size_t ldb, bool trans_b, void *packed)
{
    const size_t nr = kernels->f32_gemm_nr, panels = div_up(n, nr), block = block_k(k);
    const struct b_source source = {.b = b, .ldb = ldb, .trans = trans_b, .alpha = 1, .nr = nr};
    float *out = packed;

    for (size_t k0 = 0; k0 < k; k0 += block) {
        const size_t kc = ACCEL_MIN(block, k - k0);

        for (size_t p = 0; p < panels; p++, out += nr * kc)
            pack_b_panel(&source, k0, kc, p * nr, ACCEL_MIN(nr, n - p * nr), out);
    }
}

/* A stack of products with one b and a's matrices end to end is one tall product. */
static struct accel_gemm flatten(const struct accel_gemm *gemm)
{
    struct accel_gemm g = *gemm;

    while (g.batch_rank > 0) {
        const unsigned d = g.batch_rank - 1;
        const bool row_free = g.c == NULL || g.c_row_stride == 0;

        if (g.batch[d] != 1 &&
            (g.trans_a || g.packed_a != NULL || !row_free || g.bias_row != NULL ||
             (g.packed_b == NULL && g.batch_stride_b[d] != 0) ||
             g.batch_stride_a[d] != g.m * g.lda || g.batch_stride_y[d] != g.m * g.ldy))
            break;
        g.m *= g.batch[d];
        g.batch_rank--;
    }
    return g;
}

static size_t repeats_of(const struct accel_gemm *g)
{
    size_t repeats = 1;

    for (unsigned d = 0; d < g->batch_rank; d++)
        repeats *= g->batch[d];
    return repeats;
}

static struct accel_gemm_cut cut_of(const struct accel_kernels *kernels, const struct accel_gemm *g,
                                    unsigned threads)
{
    return accel_gemm_cut_of(kernels, g->m, g->n, g->k, g->packed_a != NULL, g->packed_b != NULL,
                             repeats_of(g), threads);
}

int accel_gemm_f32_scratch_bytes(const struct accel_kernels *kernels, const struct accel_gemm *gemm,
                                 unsigned threads, size_t *bytes, struct accel_error *err)
{
    const struct accel_gemm g = flatten(gemm);
    const struct accel_gemm_cut cut = cut_of(kernels, &g, threads);

    if (!accel_gemm_scratch_size(&cut, threads, bytes))
        return accel_fail(err, ACCEL_E_INVALID, "a product of %zu x %zu x %zu is too large", g.m,
                          g.n, g.k);
    return ACCEL_OK;
}

struct gemm_job {
    const struct accel_gemm *g;
    struct accel_gemm_core core;
    struct accel_gemm_cut cut;
    struct b_source b;
    float *scratch;
};

static void gemm_range(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct gemm_job *job = context;
    const struct accel_gemm *g = job->g;
    const size_t tasks = job->cut.tasks_m * job->cut.tasks_n;

    for (size_t unit = begin; unit < end; unit++) {
        struct accel_gemm_core core = job->core;
        struct b_source b = job->b;
        size_t repeat = unit / tasks;

        for (unsigned d = g->batch_rank; d-- > 0; repeat /= g->batch[d]) {
            const size_t i = repeat % g->batch[d];

            if (core.packed_a == NULL)
                core.a += i * g->batch_stride_a[d];
            if (core.packed_b == NULL)
                b.b += i * g->batch_stride_b[d];
            core.y += i * g->batch_stride_y[d];
        }
        core.pack_context = &b;
        accel_gemm_task(&core, &job->cut, unit % tasks,
                        job->scratch + thread * job->cut.scratch_floats);
    }
}

void accel_gemm_f32(const struct accel_kernels *kernels, struct accel_pool *pool,
                    const struct accel_gemm *gemm, void *scratch)
{
    const struct accel_gemm g = flatten(gemm);
    const bool plain_c = g.c != NULL && g.beta == 1 && g.c_col_stride == 1;
    struct gemm_job job = {
        .g = &g,
        .cut = cut_of(kernels, &g, accel_pool_threads(pool)),
        .b = {.b = g.b,
              .ldb = g.ldb,
              .trans = g.trans_b,
              .nr = kernels->f32_gemm_nr,
              .alpha = g.packed_a != NULL ? g.alpha : 1},
        .scratch = scratch,
        .core = {.kernels = kernels,
                 .pool = pool,
                 .m = g.m,
                 .n = g.n,
                 .k = g.k,
                 .packed_a = g.packed_a,
                 .a = g.a,
                 .lda = g.lda,
                 .trans_a = g.trans_a,
                 .alpha = g.alpha,
                 .packed_b = g.packed_b,
                 .pack_panel = pack_b_panel,
                 .bias_row = g.bias_row,
                 .bias_col = g.bias_col,
                 .residual = plain_c ? g.c : NULL,
                 .ldr = g.c_row_stride,
                 .beta = g.beta,
                 .c = plain_c || g.beta == 0 ? NULL : g.c,
                 .c_row_stride = g.c_row_stride,
                 .c_col_stride = g.c_col_stride,
                 .act = g.act,
                 .y = g.y,
                 .ldy = g.ldy},
    };

    assert(g.alpha == 1 || g.packed_a == NULL || g.packed_b == NULL);
    accel_pool_run_long(pool, repeats_of(&g) * job.cut.tasks_m * job.cut.tasks_n, 1, gemm_range,
                        &job);
}
