/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_KERNELS_SVM_H
#define ACCEL_INFER_KERNELS_SVM_H

/* Support vector machines. */

#include "infer/kernels/kernels.h"

enum accel_svm_kernel {
    ACCEL_SVM_LINEAR,  /* x . v */
    ACCEL_SVM_POLY,    /* (gamma x . v + coef0)^degree */
    ACCEL_SVM_RBF,     /* exp(-gamma |x - v|^2) */
    ACCEL_SVM_SIGMOID, /* tanh(gamma x . v + coef0) */
};

/* out[i] = kernel(x, v[i]) for n vectors of k features. */
void accel_svm_kernel(const struct accel_kernels *kernels, enum accel_svm_kernel kernel,
                      float gamma, float coef0, float degree, size_t k, size_t n, const float *x,
                      const float *v, float *out);

/* p[n]: probabilities of n classes out of those of their pairs, r[i * n + j] = P(i | i or j).
 * Second method of Wu, Lin and Weng, "Probability Estimates for Multi-class Classification by
 * Pairwise Coupling", JMLR 5, 2004. work: n * n + n floats. */
void accel_svm_probabilities(size_t n, const float *r, float *work, float *p);

#endif
