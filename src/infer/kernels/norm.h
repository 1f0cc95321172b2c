/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_NORM_H
#define ACCEL_INFER_NORM_H

/* The normalisations of kernels.h in double, and those made of whole-tensor steps. Plain C. */

#include "infer/kernels/kernels.h"

/* As accel_layer_norm_f32; scale may be NULL; mean and inv_std, or NULL, are floats here too (ONNX
 * Runtime's). y may be x. */
void accel_layer_norm_f64(struct accel_pool *pool, size_t rows, size_t n, double epsilon, bool rms,
                          const double *x, const double *scale, const double *bias, double *y,
                          float *mean, float *inv_std);
/* As accel_group_norm_f32. */
void accel_group_norm_f64(struct accel_pool *pool, size_t batch, size_t channels, size_t groups,
                          size_t inner, double epsilon, const double *x, const double *scale,
                          const double *bias, double *y);

/* The steps below are for FLOAT and DOUBLE; x and y dense, of `rank` dims. A bit i of `axes` set:
 * axis i is normalised over. y may not be x. moments: scratch for one element of the type per index
 * of the other axes (accel_kept_elements). */
size_t accel_kept_elements(unsigned rank, const size_t *dims, uint32_t axes);
/* y = (x - mean) / (sqrt(variance) + 1e-9): ONNX MeanVarianceNormalization-13. In FLOAT without the
 * 1e-9, as in ONNX Runtime, whose kernel is of floats alone: what does not vary is NaN.
 * mean_only: x - mean, as version 1 may ask. */
bool accel_mean_variance_norm(const struct accel_kernels *kernels, struct accel_pool *pool,
                              enum accel_dtype dtype, unsigned rank, const size_t *dims,
                              uint32_t axes, bool mean_only, const void *x, void *moments, void *y);
/* y = x / norm, where a norm of 0 gives 0: ONNX LpNormalization-22, p 1 or 2. */
bool accel_lp_norm(const struct accel_kernels *kernels, struct accel_pool *pool,
                   enum accel_dtype dtype, unsigned rank, const size_t *dims, uint32_t axes,
                   unsigned p, const void *x, void *moments, void *y);
/* BatchNormalization in training: mean[] and variance[] (of the population) over all axes but 1
 * (of one axis: over it), y = (x - mean) / sqrt(variance + epsilon) * scale + bias. x: [batch]
 * [channels][inner]; deviation: scratch, [channels]. */
bool accel_batch_norm_train(const struct accel_kernels *kernels, struct accel_pool *pool,
                            enum accel_dtype dtype, size_t batch, size_t channels, size_t inner,
                            float epsilon, const void *x, const void *scale, const void *bias,
                            void *mean, void *variance, void *deviation, void *y);

#endif
