/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_GRAPH_PASSES_H
#define ACCEL_INFER_GRAPH_PASSES_H

/* The passes, one file each in graph/passes/. Each finds the ir linked and inferred, rewrites, and
 * counts what it changed; links and types are made anew after one that changed something. */

#include "infer/ops/op.h"

int accel_pass_drop_identity(struct accel_ir *ir, size_t *changes, struct accel_error *err);
int accel_pass_fold_constants(struct accel_ir *ir, size_t *changes, struct accel_error *err);
int accel_pass_common_subexpressions(struct accel_ir *ir, size_t *changes, struct accel_error *err);
int accel_pass_merge_reshapes(struct accel_ir *ir, size_t *changes, struct accel_error *err);
int accel_pass_merge_transposes(struct accel_ir *ir, size_t *changes, struct accel_error *err);
int accel_pass_widen_f16(struct accel_ir *ir, size_t *changes, struct accel_error *err);
int accel_pass_fold_pad(struct accel_ir *ir, size_t *changes, struct accel_error *err);
int accel_pass_fold_batchnorm(struct accel_ir *ir, size_t *changes, struct accel_error *err);
int accel_pass_fold_affine(struct accel_ir *ir, size_t *changes, struct accel_error *err);
int accel_pass_find_activations(struct accel_ir *ir, size_t *changes, struct accel_error *err);
int accel_pass_fuse_bias(struct accel_ir *ir, size_t *changes, struct accel_error *err);
int accel_pass_fuse_residual(struct accel_ir *ir, size_t *changes, struct accel_error *err);
int accel_pass_fuse_activation(struct accel_ir *ir, size_t *changes, struct accel_error *err);
int accel_pass_dead_code(struct accel_ir *ir, size_t *changes, struct accel_error *err);

/* What accel_passes_run does for the subgraphs of an ir whose own passes have run. */
int accel_subgraphs_passes(struct accel_ir *ir, const char *off, struct accel_error *err);

/* True for a runnable node of the main domain with that operator. */
bool accel_node_is(const struct accel_node *node, const char *op_type);
/* A node that reads output 0 of `node` and nobody else does: the follower that may be fused. NULL:
 * there is none. */
struct accel_node *accel_node_follower(const struct accel_node *node);
/* Does anybody read an output but the first? Then the node cannot be replaced by its first. */
bool accel_node_more_outputs(const struct accel_node *node);
/* Shapes of two tensors that hold the same number of elements: surely equal? A dimension that is
 * free in both must be the only one. */
bool accel_shape_same_elements(const struct accel_shape *a, const struct accel_shape *b);

/* The node gets attribute `name` in place of the one it has, all else stays; it is bound anew.
 * Errors: those of accel_node_bind. */
int accel_node_set_ints(struct accel_node *node, const char *name, const int64_t *values,
                        size_t count, struct accel_error *err);
/* The node becomes another one with the inputs given and without attributes, and keeps its outputs
 * and its name. A domain that the model does not import is imported as version 1.
 * Errors: those of accel_node_bind. */
int accel_node_turn_into(struct accel_node *node, const char *domain, const char *op_type,
                         struct accel_value *const *inputs, size_t inputs_count,
                         struct accel_error *err);
/* A vector of INT64 numbers. NULL: *err says why. */
struct accel_value *accel_ints_constant(struct accel_graph *graph, const char *name,
                                        const int64_t *values, size_t count,
                                        struct accel_error *err);
/* y * scale[c] + shift[c] per output channel, folded into the constant weights and bias of a Conv,
 * ConvTranspose, Gemm or MatMul. channels: -1 when the node is none of those, or has no such
 * weights. fold: scale and shift have that many elements; *done false: it cannot be. `name` is what
 * a new bias is called. Errors: LIMIT, NOMEM. */
int64_t accel_affine_channels(const struct accel_node *node);
int accel_affine_fold(struct accel_ir *ir, struct accel_node *node, const double *scale,
                      const double *shift, const char *name, bool *done, struct accel_error *err);

/* A constant of one element of a floating or 8- to 64-bit integer type? */
bool accel_value_scalar(const struct accel_value *value, double *number);

#endif
