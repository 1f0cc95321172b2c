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
    const size_t max_panels = ACCEL_MAX(B_BLOCK_FLOATS / (cut.nr * kc), (size_t)1);
    const size_t least_m =
        ACCEL_MAX(div_up(cut.strips, ACCEL_MAX(max_strips, (size_t)1)), (size_t)1);
    const size_t least_n = ACCEL_MAX(div_up(cut.panels, max_panels), (size_t)1);
    double best = INFINITY;

    for (size_t i = 0; i <= 4 * (size_t)threads && least_m + i <= ACCEL_MAX(cut.strips, (size_t)1);
         i++) {
        const size_t strips = div_up(cut.strips, least_m + i);

        for (size_t j = 0;
             j <= 4 * (size_t)threads && least_n + j <= ACCEL_MAX(cut.panels, (size_t)1); j++) {
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

void accel_gemm_task(const struct accel_gemm_core *core, const struct accel_gemm_cut *cut,
                     size_t task, float *scratch)
{
    const size_t strip0 = task / cut->tasks_n * cut->task_strips;
    const size_t strip1 = ACCEL_MIN(strip0 + cut->task_strips, cut->strips);
    const size_t panel0 = task % cut->tasks_n * cut->task_panels;
    const size_t panel1 = ACCEL_MIN(panel0 + cut->task_panels, cut->panels);
    const size_t j0 = panel0 * cut->nr, j1 = ACCEL_MIN(panel1 * cut->nr, core->n);
    const bool clamps = accel_activation_clamp(&core->act, &(float){0}, &(float){0});
    const bool fused = clamps && core->c == NULL;
    /* A residual that lies in y is where the sums start. */
    const bool in_place = core->residual == core->y;
    float *a_block = scratch;
    float *b_block =
        scratch +
        (core->packed_a != NULL ? 0 : ACCEL_ROUND_UP(cut->task_strips * cut->mr * cut->kc, 16));
    struct accel_f32_tile tile = {.a_rows = cut->mr, .ldc = core->ldy, .ldr = core->ldr};

    for (size_t block = 0; block < cut->k_blocks; block++) {
        const size_t k0 = block * cut->kc, kc = ACCEL_MIN(cut->kc, core->k - k0);
        const bool last = block + 1 == cut->k_blocks;

        if (core->packed_a == NULL)
            for (size_t s = strip0; s < strip1; s++)
                pack_strip(core->a, core->lda, core->trans_a, core->alpha, s * cut->mr,
                           ACCEL_MIN(cut->mr, core->m - s * cut->mr), cut->mr, k0, kc,
                           a_block + (s - strip0) * cut->mr * kc);
        if (core->packed_b == NULL)
            for (size_t p = panel0; p < panel1; p++)
                core->pack_panel(core->pack_context, k0, kc, p * cut->nr,
                                 ACCEL_MIN(cut->nr, core->n - p * cut->nr),
                                 b_block + (p - panel0) * cut->nr * kc);
        tile.k = kc;
        tile.accumulate = block > 0 || in_place;
        tile.lo = -INFINITY;
        tile.hi = INFINITY;
        if (last && fused)
            accel_activation_clamp(&core->act, &tile.lo, &tile.hi);
        for (size_t s = strip0; s < strip1; s++) {
            const size_t i0 = s * cut->mr;

            tile.m = ACCEL_MIN(cut->mr, core->m - i0);
            tile.a = core->packed_a != NULL
                         ? core->packed_a + k0 * cut->strips * cut->mr + s * cut->mr * kc
                         : a_block + (s - strip0) * cut->mr * kc;
            tile.bias_row = block == 0 && core->bias_row != NULL ? core->bias_row + i0 : NULL;
            for (size_t p = panel0; p < panel1; p++) {
                const size_t j = p * cut->nr;

                tile.n = ACCEL_MIN(cut->nr, core->n - j);
                tile.b = core->packed_b != NULL
                             ? core->packed_b + k0 * cut->panels * cut->nr + p * cut->nr * kc
                             : b_block + (p - panel0) * cut->nr * kc;
                tile.bias_col = block == 0 && core->bias_col != NULL ? core->bias_col + j : NULL;
                tile.residual = last && core->residual != NULL && !in_place
                                    ? core->residual + i0 * core->ldr + j
                                    : NULL;
                tile.c = core->y + i0 * core->ldy + j;
                core->kernels->f32_gemm(&tile);
            }
            if (last && !fused)
                finish_rows(core, i0, tile.m, j0, j1 - j0);
        }
    }
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
    accel_pool_run(pool, repeats_of(&g) * job.cut.tasks_m * job.cut.tasks_n, 1, gemm_range, &job);
}
