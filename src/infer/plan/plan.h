/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_PLAN_PLAN_H
#define ACCEL_INFER_PLAN_PLAN_H

/* A plan: for one set of input shapes, what runs in which order and where every tensor lies. It
 * holds offsets, no addresses: sessions share it. */

#include "infer/plan/eval.h"

enum accel_place_kind {
    ACCEL_PLACE_NONE,    /* never computed (of a subgraph, or dead) */
    ACCEL_PLACE_CONST,   /* the value's own constant */
    ACCEL_PLACE_KNOWN,   /* follows from the shapes: types[id].data */
    ACCEL_PLACE_INPUT,   /* the caller's bytes of input `index` (or a view of them) */
    ACCEL_PLACE_ARENA,   /* at `offset` */
    ACCEL_PLACE_DYNAMIC, /* shape known when it is run: memory of its own */
};

struct accel_place {
    enum accel_place_kind kind;
    uint32_t index;
    size_t offset;
};

struct accel_step {
    struct accel_node *node;
    bool nothing; /* a view that shares its input's bytes: nothing to run */
    bool dynamic; /* inferred and prepared when it is run */
    void *state;
    size_t scratch_bytes;
    struct accel_cost cost;
};

struct accel_plan {
    struct accel_bump mem;
    const struct accel_ir *ir;
    unsigned threads;
    struct accel_type *inputs;  /* of each input of the main graph, without values */
    struct accel_type *types;   /* by value id */
    struct accel_place *places; /* by value id */
    struct accel_step *steps;
    size_t steps_count;
    size_t arena_bytes;
    size_t scratch_bytes;
    size_t io_bytes;
    bool dynamic; /* some step is */
};

/* `inputs`: one per input of the main graph; tensors have static shapes. Errors: INVALID (a node
 * that cannot take these shapes), UNSUPPORTED, LIMIT (arena, tensor), NOMEM. */
int accel_plan_new(const struct accel_ir *ir, const struct accel_type *inputs,
                   const struct accel_kernels *kernels, unsigned threads, struct accel_plan **plan,
                   struct accel_error *err);
void accel_plan_free(struct accel_plan *plan); /* NULL is fine */
void accel_plan_freep(struct accel_plan **plan);

/* The cost of a node of known shapes: presets, then op->cost. */
void accel_node_cost(const struct accel_prepare *prep, struct accel_cost *cost);

#endif
