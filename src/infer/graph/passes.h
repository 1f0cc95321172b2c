/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_GRAPH_PASSES_H
#define ACCEL_INFER_GRAPH_PASSES_H

/* The passes, one file each in graph/passes/. Each finds the ir linked and inferred, rewrites, and
 * counts what it changed; links and types are made anew after one that changed something. */

#include "infer/ops/op.h"

int accel_pass_drop_identity(struct accel_ir *ir, size_t *changes, struct accel_error *err);
int accel_pass_fold_constants(struct accel_ir *ir, size_t *changes, struct accel_error *err);
int accel_pass_widen_f16(struct accel_ir *ir, size_t *changes, struct accel_error *err);
int accel_pass_fold_pad(struct accel_ir *ir, size_t *changes, struct accel_error *err);
int accel_pass_fold_batchnorm(struct accel_ir *ir, size_t *changes, struct accel_error *err);
int accel_pass_fuse_bias(struct accel_ir *ir, size_t *changes, struct accel_error *err);
int accel_pass_fuse_residual(struct accel_ir *ir, size_t *changes, struct accel_error *err);
int accel_pass_fuse_activation(struct accel_ir *ir, size_t *changes, struct accel_error *err);
int accel_pass_dead_code(struct accel_ir *ir, size_t *changes, struct accel_error *err);

/* True for a runnable node of the main domain with that operator. */
bool accel_node_is(const struct accel_node *node, const char *op_type);
/* A node that reads output 0 of `node` and nobody else does: the follower that may be fused. NULL:
 * there is none. */
struct accel_node *accel_node_follower(const struct accel_node *node);

#endif
