/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/kernels/loss.h"

#include <math.h>

#include "infer/kernels/real.h"

size_t accel_nll(const struct accel_nll *p, void *y)
{
    const size_t n = p->outer * p->inner;
    double sum = 0, weights = 0;

    for (size_t i = 0; i < n; i++) {
        const int64_t label = p->label_type == ACCEL_DTYPE_INT64 ? ((const int64_t *)p->labels)[i]
                                                                 : ((const int32_t *)p->labels)[i];
        double loss = 0;

        if (!p->ignores || label != p->ignored) {
            if (label < 0 || (uint64_t)label >= p->classes)
                return i;
            const size_t at = (i / p->inner * p->classes + (size_t)label) * p->inner + i % p->inner;
            const double weight =
                p->weight != NULL ? accel_real(p->dtype, p->weight, (size_t)label) : 1;

            loss = -accel_real(p->dtype, p->x, at) * weight;
            weights += weight;
        }
        sum += loss;
        if (p->reduction == ACCEL_LOSS_NONE)
            accel_real_set(p->dtype, y, i, loss);
    }
    if (p->reduction != ACCEL_LOSS_NONE)
        accel_real_set(p->dtype, y, 0, p->reduction == ACCEL_LOSS_MEAN ? sum / weights : sum);
    return n;
}

void accel_log_softmax(enum accel_dtype dtype, size_t outer, size_t classes, size_t inner,
                       const void *x, void *y)
{
    for (size_t j = 0; j < outer * inner; j++) {
        const size_t base = j / inner * classes * inner + j % inner;
        double largest = -INFINITY, sum = 0;

        for (size_t c = 0; c < classes; c++)
            largest = fmax(largest, accel_real(dtype, x, base + c * inner));
        for (size_t c = 0; c < classes; c++)
            sum += exp(accel_real(dtype, x, base + c * inner) - largest);
        for (size_t c = 0; c < classes; c++)
            accel_real_set(dtype, y, base + c * inner,
                           accel_real(dtype, x, base + c * inner) - largest - log(sum));
    }
}
