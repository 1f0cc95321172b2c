/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_FFT_H
#define ACCEL_INFER_FFT_H

/* Discrete Fourier transforms of any length in n log n steps, in double: radix 2 (Cooley and Tukey,
 * Math. Comp. 19, 1965) for powers of two, for others Bluestein's chirp (IEEE Trans. AU-18, 1970),
 * a convolution of the next such length. Complex numbers are pairs of doubles. */

#include "infer/kernels/kernels.h"

/* Doubles that the tables of length n and the work space of one transform take; n >= 1. false: they
 * overflow. */
bool accel_fft_sizes(size_t n, size_t *tables, size_t *work);
void accel_fft_tables(size_t n, double *tables);
/* In place on x[n]; inverse: with the other sign and divided by n. */
void accel_fft(size_t n, bool inverse, const double *tables, double *x, double *work);

/* Many transforms along one axis: line i has its input at x[i / inner * x_outer + i % inner *
 * x_inner], its elements x_step apart; the output likewise. Steps count numbers of `dtype` (FLOAT
 * or DOUBLE), an element is x_parts (1: real, 2: complex) or y_parts of them. */
struct accel_dft {
    enum accel_dtype dtype;
    size_t n;
    bool inverse;
    bool half_in;        /* x holds bins 0..n/2, the others are their mirror: the output is real */
    size_t lines, inner; /* lines are counted [outer][inner] */
    size_t x_outer, x_inner, x_step, x_count, x_parts; /* beyond x_count elements: zeros */
    size_t y_outer, y_inner, y_step, y_count, y_parts;
    const void *window; /* [n], multiplies the input; NULL: none */
    const double *tables;
};
/* work: threads x (accel_fft_sizes' work + 2 n) doubles. */
void accel_dft_lines(struct accel_pool *pool, const struct accel_dft *dft, const void *x, void *y,
                     double *work);

#endif
