/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_EXPERTS_H
#define ACCEL_INFER_EXPERTS_H

/* What a mixture of experts does beside its matrix products (Fedus and others, Switch Transformers,
 * arXiv:2101.03961). */

#include "infer/kernels/kernels.h"

/* logits: [tokens][experts]; share, of the same shape: the softmax of each row where it is among
 * the row's k largest (of equal ones the later expert's), else 0. normalize: what a row keeps adds
 * up to 1. A row with NaN among its probabilities keeps nothing. share may be logits. */
struct accel_routing {
    size_t tokens, experts, k;
    bool normalize;
    const float *logits;
    float *share;
};
void accel_route_experts(struct accel_pool *pool, const struct accel_routing *routing);

/* y[i] = g * sigmoid(alpha * g) * (l + beta) for n pairs (g, l) of x, of which g is at most limit
 * and l at most limit from 0; y may be x. The gate of Shazeer, arXiv:2002.05202. */
void accel_swiglu_pairs_f32(size_t n, const float *x, float alpha, float beta, float limit,
                            float *y);

/* A matrix [n][k] of few bits (4 or 8), each row whole bytes, the first number in the lowest bits:
 * (number - zero) * scale. block 0: scales [n], zeros [n] packed; else, with b = k / block, scales
 * [n][b] and zeros [n] rows of b packed. zeros NULL: half of what the bits can say. */
struct accel_packed_matrix {
    size_t n, k, bits, block;
    const uint8_t *data, *zeros;
    const float *scales;
};
/* Bytes of n packed numbers; n * bits must fit. */
static inline size_t accel_packed_bytes(size_t n, size_t bits)
{
    return (n * bits + 7) / 8;
}
void accel_unpack_matrix_f32(struct accel_pool *pool, const struct accel_packed_matrix *matrix,
                             float *y);

#endif
