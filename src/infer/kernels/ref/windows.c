/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/kernels/windows.h"

#include <math.h>
#include <string.h>

void accel_cosine_window(size_t n, bool periodic, const double a[3], double *y)
{
    const double step = 2 * M_PI / (double)(periodic ? n : n - 1);

    for (size_t i = 0; i < n; i++)
        y[i] = a[0] - a[1] * cos((double)i * step) + a[2] * cos((double)i * 2 * step);
}

/* ---------------------------------------------------------------- mel */

/* The row in which edge number `edge` of the triangles lies. */
static double edge_row(const struct accel_mel *m, size_t edge)
{
    const double low = 2595 * log10(1 + m->low_hertz / 700);
    const double high = 2595 * log10(1 + m->high_hertz / 700);
    const double mel = low + (double)edge * (high - low) / (double)(m->bins + 2);
    const double hertz = 700 * (pow(10, mel / 2595) - 1);

    return floor((m->dft_length + 1) * hertz / m->sample_rate);
}

bool accel_mel_matrix(const struct accel_mel *m, size_t rows, double *y)
{
    if (m->bins == 0)
        return true;
    memset(y, 0, rows * m->bins * sizeof(*y));
    for (size_t i = 0; i < m->bins; i++) {
        const double edges[] = {edge_row(m, i), edge_row(m, i + 1), edge_row(m, i + 2)};

        for (size_t e = 0; e < 3; e++)
            if (!(edges[e] >= 0 && edges[e] < (double)rows))
                return false;
        const size_t left = (size_t)edges[0], top = (size_t)edges[1], right = (size_t)edges[2];
        if (top == left)
            y[top * m->bins + i] = 1;
        for (size_t k = left; k <= top && top > left; k++)
            y[k * m->bins + i] = (double)(k - left) / (double)(top - left);
        for (size_t k = top; k < right; k++)
            y[k * m->bins + i] = (double)(right - k) / (double)(right - top);
    }
    return true;
}
