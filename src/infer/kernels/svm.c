/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/kernels/svm.h"

#include <math.h>

/* In lanes, which the compiler puts into vector registers. */
static float distance2(size_t k, const float *a, const float *b)
{
    float lane[16] = {0}, sum = 0;
    size_t i = 0;

    for (; i + 16 <= k; i += 16)
        for (size_t l = 0; l < 16; l++) {
            const float d = a[i + l] - b[i + l];

            lane[l] += d * d;
        }
    for (; i < k; i++)
        sum += (a[i] - b[i]) * (a[i] - b[i]);
    for (size_t l = 0; l < 16; l++)
        sum += lane[l];
    return sum;
}

static float power(float x, float degree)
{
    if (degree == 2)
        return x * x;
    return degree == 3 ? x * x * x : powf(x, degree);
}

void accel_svm_kernel(const struct accel_kernels *kernels, enum accel_svm_kernel kernel,
                      float gamma, float coef0, float degree, size_t k, size_t n, const float *x,
                      const float *v, float *out)
{
    for (size_t i = 0; i < n; i++) {
        switch (kernel) {
        case ACCEL_SVM_LINEAR:
            out[i] = kernels->f32_dot(k, x, v + i * k);
            break;
        case ACCEL_SVM_POLY:
            out[i] = power(gamma * kernels->f32_dot(k, x, v + i * k) + coef0, degree);
            break;
        case ACCEL_SVM_RBF:
            out[i] = expf(-gamma * distance2(k, x, v + i * k));
            break;
        case ACCEL_SVM_SIGMOID:
            out[i] = tanhf(gamma * kernels->f32_dot(k, x, v + i * k) + coef0);
            break;
        }
    }
}

void accel_svm_probabilities(size_t n, const float *r, float *work, float *p)
{
    const float eps = 0.005f / (float)n;
    float *q = work, *qp = work + n * n;

    for (size_t i = 0; i < n; i++) {
        float sum = 0;

        p[i] = 1.0f / (float)n;
        for (size_t j = 0; j < n; j++) {
            if (j == i)
                continue;
            sum += r[j * n + i] * r[j * n + i];
            q[i * n + j] = -r[j * n + i] * r[i * n + j];
        }
        q[i * n + i] = sum;
    }
    for (unsigned loop = 0; loop < 100; loop++) {
        float pqp = 0, most = 0;

        for (size_t i = 0; i < n; i++) {
            qp[i] = 0;
            for (size_t j = 0; j < n; j++)
                qp[i] += q[i * n + j] * p[j];
            pqp += p[i] * qp[i];
        }
        for (size_t i = 0; i < n; i++)
            most = fmaxf(most, fabsf(qp[i] - pqp));
        if (most < eps)
            break;
        for (size_t i = 0; i < n; i++) {
            const float diff = (-qp[i] + pqp) / q[i * n + i];

            p[i] += diff;
            pqp = (pqp + diff * (diff * q[i * n + i] + 2 * qp[i])) / (1 + diff) / (1 + diff);
            for (size_t j = 0; j < n; j++) {
                qp[j] = (qp[j] + diff * q[i * n + j]) / (1 + diff);
                p[j] /= 1 + diff;
            }
        }
    }
}
