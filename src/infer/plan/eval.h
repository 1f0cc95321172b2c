/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_PLAN_EVAL_H
#define ACCEL_INFER_PLAN_EVAL_H

/* One node outside any plan: how constants are folded and shapes computed. */

#include "infer/ops/op.h"

/* Packed weights of one node. */
struct accel_blobs {
    const void *data[ACCEL_BLOBS]; /* 64-aligned; NULL: none */
    size_t bytes[ACCEL_BLOBS];
    unsigned consumed; /* inputs (bit i) whose plain bytes are not needed any more */
};

/* What stands behind struct accel_prepack. */
struct accel_prepack_frame {
    struct accel_ir *ir;
    const struct accel_type *const *in; /* data of constant inputs */
    struct accel_blobs *blobs;
    bool fill;        /* false: blobs are there (a pack), sizes are checked */
    size_t max_bytes; /* what may still be allocated */
    unsigned asked;   /* slots (bit i) that prepack wanted */
};

/* Calls op->prepack. fill: blobs->data are new, from accel_aligned_alloc, also on failure (free
 * with accel_blobs_free). */
int accel_node_prepack(const struct accel_node *node, struct accel_prepack_frame *frame,
                       const struct accel_kernels *kernels, struct accel_error *err);
void accel_blobs_free(struct accel_blobs *blobs);

/* Runs the node on known inputs (in[i]->data) into results[o], whose data the caller provides.
 * Errors: those of the operator. */
int accel_node_eval(const struct accel_node *node, const struct accel_type *const *in,
                    struct accel_type *const *out, struct accel_tensor *results,
                    struct accel_error *err);

/* What that computes, in FLOP. */
double accel_node_flops(const struct accel_node *node, const struct accel_type *const *in,
                        struct accel_type *const *out);

#endif
