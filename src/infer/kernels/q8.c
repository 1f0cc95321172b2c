/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/kernels/q8.h"

#include <string.h>

/* A block that a task packs stays in L2; its sums, mr rows of up to PANELS_MAX panels, nearly in
 * L1. */
#define BLOCK_WORDS ((size_t)64 * 1024)
#define PANELS_MAX  ((size_t)16)

static size_t div_up(size_t a, size_t b)
{
    return a / b + (a % b != 0);
}

static size_t strip_rows(const struct accel_kernels *kernels, size_t m)
{
    return m == 0 ? 1 : div_up(m, div_up(m, kernels->q8_mr));
}

static bool words_of(size_t n, size_t unit, size_t cells, size_t *words)
{
    return n <= SIZE_MAX - unit && cells < SIZE_MAX &&
           !__builtin_mul_overflow(div_up(n, unit) * unit, cells + 1, words);
}

bool accel_q8_a_words(const struct accel_kernels *kernels, size_t m, size_t k, size_t *words)
{
    return words_of(m, strip_rows(kernels, m), div_up(k, kernels->q8_group), words);
}

bool accel_q8_b_words(const struct accel_kernels *kernels, size_t k, size_t n, size_t *words)
{
    return words_of(n, kernels->q8_nr, div_up(k, kernels->q8_group), words);
}

/* ---------------------------------------------------------------- how it is cut */

/* So many units per task that there are `ways` tasks, at most `most`. */
static size_t units_of(size_t units, size_t most, size_t ways)
{
    return ACCEL_MAX(ACCEL_MIN(most, div_up(units, ways)), (size_t)1);
}

bool accel_q8_cut_of(const struct accel_kernels *kernels, size_t m, size_t n, size_t k,
                     bool a_packed, bool b_packed, size_t repeats, unsigned threads,
                     struct accel_q8_cut *cut)
{
    const size_t mr = strip_rows(kernels, m), nr = kernels->q8_nr;
    size_t all_a, all_b, a_block, b_block;

    *cut = (struct accel_q8_cut){.mr = mr,
                                 .cells = div_up(k, kernels->q8_group),
                                 .strips = div_up(m, mr),
                                 .panels = div_up(n, nr)};
    if (!accel_q8_a_words(kernels, m, k, &all_a) || !accel_q8_b_words(kernels, k, n, &all_b))
        return false;
    const size_t line = cut->cells + 1; /* what a row or column takes */
    const size_t most_panels =
        b_packed ? PANELS_MAX
                 : ACCEL_MIN(ACCEL_MAX(BLOCK_WORDS / line / nr, (size_t)1), PANELS_MAX);
    /* Two tasks per thread even out what the threads lose to others. Cut first what each task packs
     * for itself: the other operand would be packed again by each. */
    const size_t want =
        threads > 1 ? div_up(2 * (size_t)threads, ACCEL_MAX(repeats, (size_t)1)) : 1;

    cut->task_strips = ACCEL_MAX(cut->strips, (size_t)1);
    cut->task_panels = ACCEL_MAX(ACCEL_MIN(cut->panels, most_panels), (size_t)1);
    if (!b_packed)
        cut->task_panels = units_of(cut->panels, cut->task_panels, want);
    const size_t columns = ACCEL_MAX(div_up(cut->panels, cut->task_panels), (size_t)1);
    cut->task_strips = units_of(cut->strips, cut->task_strips, div_up(want, columns));
    const size_t rows = ACCEL_MAX(div_up(cut->strips, cut->task_strips), (size_t)1);
    cut->task_panels = units_of(cut->panels, cut->task_panels, div_up(want, rows));
    cut->tasks_m = div_up(cut->strips, cut->task_strips);
    cut->tasks_n = div_up(cut->panels, cut->task_panels);
    const size_t width = cut->task_panels * nr;
    /* The sums, b's zero points, b's sums and a line of bytes per k of a cell. */
    if (__builtin_mul_overflow(a_packed ? 0 : mr, line, &a_block) ||
        __builtin_mul_overflow(b_packed ? 0 : width, line, &b_block) ||
        __builtin_add_overflow(a_block, b_block, &cut->words) ||
        cut->words > SIZE_MAX / 8 - (mr + 3) * width - 64)
        return false;
    cut->words = ACCEL_ROUND_UP(cut->words + (mr + 3) * width, 32);
    return true;
}

/* ---------------------------------------------------------------- packing */

/* What is taken from a's values, and added to b's, where A must be signed and B unsigned. */
static int32_t shift_of(const struct accel_kernels *kernels, bool shifted)
{
    return kernels->q8_group == 4 && shifted ? 128 : 0;
}

/* Whole cells of four neighbouring bytes; signed they lie 128 below the unsigned. */
static uint32_t pack_bytes(const uint8_t *x, size_t k, size_t mr, bool is_signed, uint32_t *cells)
{
    const uint32_t flip = is_signed ? 0 : 0x80808080;
    uint32_t total = 0;

    for (size_t at = 0; at < k; at += 4, cells += mr) {
        uint32_t cell;

        memcpy(&cell, x + at, sizeof(cell));
        *cells = cell ^ flip;
    }
    for (size_t at = 0; at < k; at++)
        total += (uint32_t)(int8_t)(x[at] ^ (flip & 0xff));
    return total;
}

/* The values of one row, all in one type; returns their sum. */
static inline __attribute__((always_inline)) uint32_t pack_row(const uint8_t *x, size_t k,
                                                               size_t step, size_t mr,
                                                               const bool is_signed,
                                                               const size_t group, uint32_t *cells)
{
    uint32_t total = 0;

    for (size_t at = 0; at < k; at += group, cells += mr) {
        const size_t n = ACCEL_MIN(group, k - at);
        uint32_t cell = 0;

        for (size_t t = 0; t < n; t++) {
            const uint8_t byte = x[(at + t) * step];
            int32_t v = is_signed ? (int8_t)byte : byte;

            if (group == 4 && !is_signed)
                v -= 128;
            total += (uint32_t)v;
            cell |= group == 4 ? ((uint32_t)v & 0xff) << 8 * t : ((uint32_t)v & 0xffff) << 16 * t;
        }
        *cells = cell;
    }
    return total;
}

static void pack_strip(const struct accel_kernels *kernels, size_t k, bool is_signed,
                       const uint8_t *a, size_t a_row, size_t a_col, size_t rows, size_t mr,
                       uint32_t *strip)
{
    const size_t cells = div_up(k, kernels->q8_group);

    if (rows < mr)
        memset(strip, 0, (cells + 1) * mr * sizeof(*strip));
    for (size_t i = 0; i < rows; i++) {
        const uint8_t *x = a + i * a_row;
        uint32_t *to = strip + mr + i;

        if (kernels->q8_group == 4 && a_col == 1 && k % 4 == 0)
            strip[i] = pack_bytes(x, k, mr, is_signed, to);
        else if (kernels->q8_group == 2)
            strip[i] = is_signed ? pack_row(x, k, a_col, mr, true, 2, to)
                                 : pack_row(x, k, a_col, mr, false, 2, to);
        else
            strip[i] = is_signed ? pack_row(x, k, a_col, mr, true, 4, to)
                                 : pack_row(x, k, a_col, mr, false, 4, to);
    }
}

void accel_q8_pack_a(const struct accel_kernels *kernels, size_t m, size_t k, bool is_signed,
                     const uint8_t *a, size_t a_row, size_t a_col, uint32_t *packed)
{
    const size_t mr = strip_rows(kernels, m), words = (div_up(k, kernels->q8_group) + 1) * mr;

    for (size_t i = 0; i < m; i += mr, packed += words)
        pack_strip(kernels, k, is_signed, a + i * a_row, a_row, a_col, ACCEL_MIN(mr, m - i), mr,
                   packed);
}

/* Sums over K of a panel's columns: the product with a row of ones. */
static void sum_panel(const struct accel_kernels *kernels, size_t cells, uint32_t *panel)
{
    const uint32_t ones = kernels->q8_group == 4 ? 0x01010101 : 0x00010001;
    const struct accel_q8_tile tile = {.cells = cells,
                                       .a = &ones,
                                       .m = 1,
                                       .b = panel + kernels->q8_nr,
                                       .c = panel,
                                       .ldc = kernels->q8_nr};

    kernels->q8_gemm(&tile);
}

/* Columns j0..j0+n; line: q8_group rows of bytes, as wide as the panels. The sums are not made. */
static void pack_panels(const struct accel_kernels *kernels, size_t k, bool is_signed,
                        accel_q8_bytes_fn *bytes, const void *context, size_t j0, size_t n,
                        uint8_t *line, uint32_t *packed)
{
    const size_t nr = kernels->q8_nr, group = kernels->q8_group, cells = div_up(k, group);
    const size_t width = div_up(n, nr) * nr;

    memset(line, 0, group * width); /* what lies beyond n is computed and left out */
    for (size_t g = 0; g < cells; g++) {
        for (size_t t = 0; t < group; t++)
            if (g * group + t < k)
                bytes(context, g * group + t, j0, n, line + t * width);
            else /* a's cells have 0 there; so have b's, for their sums */
                memset(line + t * width, group == 4 && is_signed ? 0x80 : 0, width);
        for (size_t p = 0; p < width / nr; p++)
            kernels->q8_cells(line + p * nr, width, is_signed,
                              packed + (p * (cells + 1) + 1 + g) * nr);
    }
}

void accel_q8_pack_b(const struct accel_kernels *kernels, size_t k, size_t n, bool is_signed,
                     accel_q8_bytes_fn *bytes, const void *context, uint32_t *packed)
{
    const size_t nr = kernels->q8_nr, cells = div_up(k, kernels->q8_group);
    uint8_t line[4 * 64];

    for (size_t j = 0; j < n; j += nr, packed += (cells + 1) * nr) {
        pack_panels(kernels, k, is_signed, bytes, context, j, ACCEL_MIN(nr, n - j), line, packed);
        sum_panel(kernels, cells, packed);
    }
}

/* ---------------------------------------------------------------- a task */

static int32_t zero_at(bool is_signed, const void *zero, size_t i)
{
    if (zero == NULL)
        return 0;
    return is_signed ? ((const int8_t *)zero)[i] : ((const uint8_t *)zero)[i];
}

/* One task at work: its columns, and what all of its rows need of them. */
struct work {
    const struct accel_q8_core *core;
    const struct accel_q8_cut *cut;
    size_t j0, columns;
    int32_t a_shift, b_shift;
    uint32_t *sums, *b_zeros, *b_sums;
};

static int32_t a_zero(const struct work *w, size_t i)
{
    const struct accel_q8_core *core = w->core;

    return zero_at(core->a_signed, core->a_zero, i * core->a_zero_stride) - w->a_shift;
}

static void finish_row(const struct work *w, size_t i, uint32_t *sums, uint32_t a_sum)
{
    const struct accel_q8_core *core = w->core;
    const struct accel_quant_out *out = &core->out;
    const uint32_t za = (uint32_t)a_zero(w, i);
    const uint32_t zeros_factor = (uint32_t)core->k * za - a_sum;
    const size_t element =
        out->dtype == ACCEL_DTYPE_FLOAT || out->dtype == ACCEL_DTYPE_INT32 ? 4 : 1;
    struct accel_q8_row row = {
        .n = w->columns,
        .sum = sums,
        .sums_factor = 0 - za,
        .b_sums = za != 0 ? w->b_sums : NULL,
        .zeros_factor = zeros_factor,
        .b_zeros = core->b_zero_stride != 0 ? w->b_zeros : NULL,
        .dtype = out->dtype,
        .y_scale = out->y_scale,
        .y_zero = out->y_zero,
        .y = (char *)out->y + (i * core->ldy + w->j0) * element,
    };

    if (core->b_zero_stride == 0)
        row.add = zeros_factor * (uint32_t)(zero_at(core->b_signed, core->b_zero, 0) + w->b_shift);
    if (core->c != NULL && core->c_col == 0)
        row.add += (uint32_t)core->c[i * core->c_row];
    else if (core->c != NULL)
        row.c = core->c + i * core->c_row + w->j0;
    if (out->dtype != ACCEL_DTYPE_INT32) {
        row.a = out->alpha * out->a_scale[i * out->a_scale_stride];
        row.b = out->b_scale + (core->scale_of_row ? i : w->j0) * out->b_scale_stride;
        row.b_step = core->scale_of_row ? 0 : out->b_scale_stride;
    }
    core->kernels->q8_row(&row);
}

/* Zero points and sums of the columns, in lines: panels have theirs apart. */
static void prepare_columns(const struct work *w, size_t i0, size_t i1, uint32_t *panels)
{
    const struct accel_q8_core *core = w->core;
    const size_t nr = core->kernels->q8_nr;
    bool summed = false;

    for (size_t j = 0; core->b_zero_stride != 0 && j < w->columns; j++)
        w->b_zeros[j] = (uint32_t)(zero_at(core->b_signed, core->b_zero, w->j0 + j) + w->b_shift);
    for (size_t i = i0; i < i1 && !summed; i++)
        summed = a_zero(w, i) != 0;
    for (size_t j = 0; summed && j < w->columns; j += nr) {
        uint32_t *panel = panels + j * (w->cut->cells + 1);

        if (core->packed_b == NULL)
            sum_panel(core->kernels, w->cut->cells, panel);
        memcpy(w->b_sums + j, panel, nr * sizeof(*panel));
    }
}

void accel_q8_task(const struct accel_q8_core *core, const struct accel_q8_cut *cut, size_t task,
                   uint32_t *scratch)
{
    const struct accel_kernels *kernels = core->kernels;
    const size_t mr = cut->mr, nr = kernels->q8_nr, line = cut->cells + 1;
    const size_t width = cut->task_panels * nr;
    const size_t i0 = task / cut->tasks_n * cut->task_strips * mr, j0 = task % cut->tasks_n * width;
    const size_t i1 = ACCEL_MIN(i0 + cut->task_strips * mr, core->m);
    uint32_t *panels = scratch + (mr + 3) * width;
    uint32_t *packed_strip = panels + (core->packed_b != NULL ? 0 : width * line);
    const struct work w = {.core = core,
                           .cut = cut,
                           .j0 = j0,
                           .columns = ACCEL_MIN(width, core->n - j0),
                           .a_shift = shift_of(kernels, !core->a_signed),
                           .b_shift = shift_of(kernels, core->b_signed),
                           .sums = scratch,
                           .b_zeros = scratch + mr * width,
                           .b_sums = scratch + (mr + 1) * width};

    if (core->packed_b != NULL) /* only read */
        panels = (uint32_t *)(uintptr_t)core->packed_b + j0 * line;
    else
        pack_panels(kernels, core->k, core->b_signed, core->bytes, core->context, j0, w.columns,
                    (uint8_t *)(scratch + (mr + 2) * width), panels);
    prepare_columns(&w, i0, i1, panels);
    for (size_t i = i0; i < i1; i += mr) {
        const size_t rows = ACCEL_MIN(mr, core->m - i);
        const uint32_t *strip = packed_strip;

        if (core->packed_a == NULL)
            pack_strip(kernels, core->k, core->a_signed, core->a + i * core->a_row, core->a_row,
                       core->a_col, rows, mr, packed_strip);
        else
            strip = core->packed_a + i * line;
        for (size_t j = 0; j < w.columns; j += nr) {
            const struct accel_q8_tile tile = {.cells = cut->cells,
                                               .a = strip + mr,
                                               .a_rows = mr,
                                               .m = rows,
                                               .b = panels + j * line + nr,
                                               .c = w.sums + j,
                                               .ldc = width};

            kernels->q8_gemm(&tile);
        }
        for (size_t r = 0; r < rows; r++)
            finish_row(&w, i + r, w.sums + r * width, strip[r]);
    }
}
