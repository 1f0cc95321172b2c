/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_WINDOWS_H
#define ACCEL_INFER_WINDOWS_H

#include <stdbool.h>
#include <stddef.h>

/* y[i] = a0 - a1 cos(2 pi i / d) + a2 cos(4 pi i / d), d = periodic ? n : n - 1. Of a symmetric one
 * of length 1 nothing is left but NaN, as with ONNX Runtime. */
void accel_cosine_window(size_t n, bool periodic, const double a[3], double *y);

/* ONNX MelWeightMatrix-17. */
struct accel_mel {
    size_t bins;
    double dft_length, sample_rate; /* whole numbers */
    double low_hertz, high_hertz;
};
/* y: [rows][bins]; rows = dft_length / 2 + 1. false: a triangle reaches beyond the rows, or below
 * the first. */
bool accel_mel_matrix(const struct accel_mel *mel, size_t rows, double *y);

#endif
