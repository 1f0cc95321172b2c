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

#endif
