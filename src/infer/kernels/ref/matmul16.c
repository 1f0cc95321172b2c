/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/kernels/quant.h"

#include <string.h>

/* Row by row of b: its elements lie side by side, as those of a row of y do. */
static void matmul16_rows(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct accel_matmul16 *p = context;

    (void)thread;
    for (size_t i = begin; i < end; i++) {
        uint32_t *y = (uint32_t *)p->y + i * p->n; /* as they wrap */

        memset(y, 0, p->n * sizeof(*y));
        for (size_t k = 0; k < p->k; k++) {
            const int32_t a = p->a[i * p->k + k];
            const int16_t *b = p->b + k * p->n;

            for (size_t j = 0; j < p->n; j++)
                y[j] += (uint32_t)(a * b[j]);
        }
    }
}

void accel_matmul16(struct accel_pool *pool, const struct accel_matmul16 *product)
{
    struct accel_matmul16 job = *product;

    accel_pool_run_long(pool, product->m, 1, matmul16_rows, &job);
}
