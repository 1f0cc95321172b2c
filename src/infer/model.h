/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_MODEL_H
#define ACCEL_INFER_MODEL_H

/* A loaded model: the final graph with packed weights, a plan for its declared shapes, analysis. */

#include "infer/kernels/kernels.h"
#include "infer/plan/plan.h"

#include <stdatomic.h>

struct accel_model {
    atomic_uint references;
    struct accel_ir *ir;
    struct accel_kernels kernels;
    /* All blobs of all nodes, linked for freeing; those of a mapped pack are borrowed from it. */
    struct accel_blobs **blobs;
    size_t blobs_count, blobs_capacity;
    void *mapped; /* a pack, or NULL */
    size_t mapped_bytes;
    size_t packed_bytes;
    struct accel_plan *plan; /* declared shapes, free dimensions as 1; NULL when not runnable */
    struct accel_analysis *analysis;
    struct accel_tensor_info *inputs, *outputs; /* in ir->mem */
    bool every_node;                            /* the analysis lists nodes, not steps */
};

/* options with defaults for what it is too short to hold; NULL: all defaults. */
struct accel_load_options accel_options_of(const struct accel_load_options *options);

/* The ir (taken over, also on failure), linked but not inferred, becomes a model: dimensions bound,
 * passes, packing, plan, analysis. any: nodes that cannot be run are left to the analysis. */
int accel_model_build(struct accel_ir *ir, const struct accel_load_options *options, bool any,
                      struct accel_model **model, struct accel_error *err);

/* Second half of it, for a graph whose passes have run (a pack's). filled: blobs are there. */
int accel_model_finish(struct accel_model *model, bool filled, struct accel_error *err);

/* In analysis.c. Everything is in ir->mem but the struct itself. */
int accel_analysis_make(struct accel_model *model, struct accel_error *err);

#endif
