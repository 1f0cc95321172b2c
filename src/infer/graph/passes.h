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
int accel_pass_fold_all_but_weights(struct accel_ir *ir, size_t *changes, struct accel_error *err);
int accel_pass_sink_dequantize(struct accel_ir *ir, size_t *changes, struct accel_error *err);
int accel_pass_fuse_qdq(struct accel_ir *ir, size_t *changes, struct accel_error *err);
int accel_pass_inline_if(struct accel_ir *ir, size_t *changes, struct accel_error *err);
int accel_pass_widen_f16(struct accel_ir *ir, size_t *changes, struct accel_error *err);
int accel_pass_fold_pad(struct accel_ir *ir, size_t *changes, struct accel_error *err);
int accel_pass_fold_batchnorm(struct accel_ir *ir, size_t *changes, struct accel_error *err);
int accel_pass_fold_affine(struct accel_ir *ir, size_t *changes, struct accel_error *err);
int accel_pass_find_activations(struct accel_ir *ir, size_t *changes, struct accel_error *err);
int accel_pass_find_attention(struct accel_ir *ir, size_t *changes, struct accel_error *err);
int accel_pass_find_norms(struct accel_ir *ir, size_t *changes, struct accel_error *err);
int accel_pass_find_skip_norms(struct accel_ir *ir, size_t *changes, struct accel_error *err);
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
/* The node becomes another one with the inputs and attributes given, and keeps its outputs and its
 * name. A domain that the model does not import is imported as version 1.
 * Errors: those of accel_node_bind. */
int accel_node_turn_into(struct accel_node *node, const char *domain, const char *op_type,
                         struct accel_value *const *inputs, size_t inputs_count,
                         const struct accel_attr *attrs, size_t attrs_count,
                         struct accel_error *err);
/* Room for `extra` more nodes in the graph: a pass that appends asks once, before it begins. */
int accel_graph_reserve(struct accel_graph *graph, size_t extra, struct accel_error *err);
/* Appends a node with one output, `out`, where room was reserved (the next link sorts it in).
 * NULL: *err says why. */
struct accel_node *accel_graph_append(struct accel_graph *graph, const char *op_type,
                                      const char *name, struct accel_value *const *inputs,
                                      size_t inputs_count, struct accel_value *out,
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

/* A constant DequantizeLinear or QuantizeLinear: scale and zero point are constants. */
struct accel_quantizer {
    struct accel_value *x;            /* what it reads */
    struct accel_value *scale, *zero; /* zero NULL: left out */
    enum accel_dtype dtype;           /* of the integers */
    bool per_tensor;                  /* one normal scale above 0, one zero point */
    float s;                          /* when per_tensor */
    int32_t z;
    int64_t axis; /* otherwise, as the attribute says */
};
/* false: `node` is none, or a blocked or other form that no pass knows. */
bool accel_quantizer_of(const struct accel_node *node, const char *op_type,
                        struct accel_quantizer *out);
/* The same integers stand for the same numbers? */
bool accel_quantizer_same(const struct accel_quantizer *a, const struct accel_quantizer *b);

/* A constant of one element of a floating or 8- to 64-bit integer type? */
bool accel_value_scalar(const struct accel_value *value, double *number);

#endif
