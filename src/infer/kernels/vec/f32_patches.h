/* SPDX-License-Identifier: Apache-2.0 */
/* Template of the packing of patches (im2col) into a panel of B; the includer has included its
 * vec.h. A panel is two vectors wide. */
#include "infer/kernels/conv.h"
#include "infer/kernels/microkernels.h"

/* Lanes of a run: x, x + step, ... of the row; NULL: a row of padding. */
static inline vf load_run(const float *row, const struct accel_patch_run *run, size_t x,
                          size_t step, size_t width)
{
    if (row == NULL)
        return v_set1(0);
    if (step == 1) {
        if (x < width && width - x >= VEC_WIDTH && run->n == VEC_WIDTH)
            return v_load(row + x);
        /* x wraps below 0: then the first lanes are padding. */
        const size_t first = x < width ? 0 : (size_t)0 - x;
        const size_t last = ACCEL_MIN(run->n, width - x); /* width - x is right modulo 2^64 */

        if (first >= last || first >= VEC_WIDTH)
            return v_set1(0);
        return v_load_tail((const float *)((uintptr_t)row + x * sizeof(float)),
                           v_range(first, last));
    }
    if (x < width && x + (run->n - 1) * step < width) {
        if (step == 2)
            return run->n == VEC_WIDTH ? v_load_even(row + x) : v_load_even_tail(row + x, run->n);
        return v_gather_tail(row + x, (int)step, v_tail(run->n));
    }
    float lanes[VEC_WIDTH] = {0};
    for (size_t i = 0; i < run->n; i++)
        if (x + i * step < width)
            lanes[i] = row[x + i * step];
    return v_load(lanes);
}

void VEC_ISA(accel_f32_patches)(const void *context, size_t k0, size_t kc, size_t j0, size_t n,
                                float *packed)
{
    const struct accel_patches *p = context;
    const struct accel_conv3 *c = p->c;
    const size_t step = c->stride[2], width = c->in[2];
    struct accel_patch_run runs[2 * VEC_WIDTH + 2];
    size_t runs_n = accel_patch_runs(c, j0, n, VEC_WIDTH, runs);

    if (step > INT32_MAX / VEC_WIDTH) {
        accel_f32_patches__ref(context, k0, kc, j0, n, packed);
        return;
    }
    if (n < p->nr) /* zeros beyond the matrix */
        for (size_t k = 0; k < kc; k++)
            for (size_t j = n; j < p->nr; j++)
                packed[k * p->nr + j] = 0;
    /* Rows of B by taps: a row of taps (kx) shares its row of the input. */
    for (size_t k = k0; k < k0 + kc;) {
        const size_t kx0 = k % c->kernel[2], ky = k / c->kernel[2] % c->kernel[1],
                     kz = k / c->kernel[2] / c->kernel[1] % c->kernel[0];
        const size_t taps = ACCEL_MIN(c->kernel[2] - kx0, k0 + kc - k);
        const float *plane = p->x + k / c->taps * c->in_size;

        for (size_t r = 0; r < runs_n; r++) {
            const struct accel_patch_run *run = &runs[r];
            const size_t z = run->z + kz * c->dilation[0], y = run->y + ky * c->dilation[1];
            const float *row =
                z < c->in[0] && y < c->in[1] ? plane + (z * c->in[1] + y) * width : NULL;
            size_t x = run->x + kx0 * c->dilation[2];
            float *out = packed + (k - k0) * p->nr + run->at;

            for (size_t kx = 0; kx < taps; kx++, x += c->dilation[2], out += p->nr) {
                const vf v = load_run(row, run, x, step, width);

                if (run->n == VEC_WIDTH)
                    v_store(out, v);
                else
                    v_store_tail(out, v_tail(run->n), v);
            }
        }
        k += taps;
    }
}
