/* SPDX-License-Identifier: Apache-2.0 */
/* Template of a finished row of sums, under Q8_ROW. Plain C that becomes vector code; each float
 * operation is one of ONNX Runtime's, in its order, so that the results are the same bits. */
#include "infer/kernels/microkernels.h"
#include "infer/kernels/ref/quant_round.h"

static void correct(const struct accel_q8_row *r)
{
    const size_t n = r->n;
    uint32_t *restrict sum = r->sum;
    const uint32_t add = r->add, sums_factor = r->sums_factor, zeros_factor = r->zeros_factor;

    for (size_t j = 0; add != 0 && j < n; j++)
        sum[j] += add;
    for (size_t j = 0; r->b_sums != NULL && j < n; j++)
        sum[j] += sums_factor * r->b_sums[j];
    for (size_t j = 0; r->b_zeros != NULL && j < n; j++)
        sum[j] += zeros_factor * r->b_zeros[j];
    for (size_t j = 0; r->c != NULL && j < n; j++)
        sum[j] += (uint32_t)r->c[j];
}

static inline __attribute__((always_inline)) void quantised(const struct accel_q8_row *r,
                                                            const size_t step)
{
    /* Not read again in the loop: what is written are bytes, which may be anything. */
    const size_t n = r->n;
    const bool is_signed = r->dtype == ACCEL_DTYPE_INT8;
    const uint32_t *restrict sum = r->sum;
    const float *restrict b = r->b;
    const float a = r->a, y_scale = r->y_scale, one = a * b[0] / y_scale;
    const int32_t z = r->y_zero;
    const float lo = (float)((is_signed ? INT8_MIN : 0) - z);
    const float hi = (float)((is_signed ? INT8_MAX : UINT8_MAX) - z);
    uint8_t *restrict y = r->y;

    for (size_t j = 0; j < n; j++) {
        const float scale = step == 0 ? one : a * b[j] / y_scale;

        y[j] = (uint8_t)(accel_round_within((float)(int32_t)sum[j] * scale, lo, hi) + z);
    }
}

static inline __attribute__((always_inline)) void scaled(const struct accel_q8_row *r,
                                                         const size_t step)
{
    const size_t n = r->n;
    const uint32_t *restrict sum = r->sum;
    const float *restrict b = r->b;
    const float a = r->a;
    float *restrict y = r->y;

    for (size_t j = 0; j < n; j++)
        y[j] = (float)(int32_t)sum[j] * (a * b[j * step]);
}

void Q8_ROW(const struct accel_q8_row *r)
{
    correct(r);
    if (r->dtype == ACCEL_DTYPE_INT32) {
        for (size_t j = 0; j < r->n; j++)
            ((int32_t *)r->y)[j] = (int32_t)r->sum[j];
    } else if (r->dtype == ACCEL_DTYPE_FLOAT) {
        if (r->b_step == 0)
            scaled(r, 0);
        else
            scaled(r, 1);
    } else if (r->b_step == 0) {
        quantised(r, 0);
    } else {
        quantised(r, 1);
    }
}
