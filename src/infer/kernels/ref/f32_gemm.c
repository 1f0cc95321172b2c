/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/kernels/microkernels.h"

#include <string.h>

void accel_f32_gemm_4x8__ref(const struct accel_f32_tile *t)
{
    float acc[4][8];

    memset(acc, 0, sizeof(acc));
    for (size_t k = 0; k < t->k; k++)
        for (size_t i = 0; i < t->m; i++)
            for (size_t j = 0; j < 8; j++)
                acc[i][j] += t->a[k * t->a_rows + i] * t->b[k * 8 + j];
    for (size_t i = 0; i < t->m; i++)
        for (size_t j = 0; j < t->n; j++) {
            float v = acc[i][j];

            if (t->accumulate)
                v += t->c[i * t->ldc + j];
            if (t->bias_row != NULL)
                v += t->bias_row[i];
            if (t->bias_col != NULL)
                v += t->bias_col[j];
            if (t->residual != NULL)
                v += t->residual[i * t->ldr + j];
            v = v < t->lo ? t->lo : v;
            t->c[i * t->ldc + j] = v > t->hi ? t->hi : v;
        }
}
