/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/plan/plan.h"

#include <string.h>

int accel_prepack_blob(struct accel_prepack *pack, unsigned slot, size_t bytes, void **blob,
                       bool *fill, struct accel_error *err)
{
    struct accel_prepack_frame *f = pack->framework;

    *fill = f->fill;
    *blob = NULL;
    f->asked |= 1u << slot;
    if (!f->fill) {
        if (f->blobs->data[slot] == NULL || f->blobs->bytes[slot] != bytes)
            return accel_fail(err, ACCEL_E_CORRUPT, "packed weights have %zu bytes, not %zu",
                              f->blobs->bytes[slot], bytes);
        return ACCEL_OK;
    }
    if (bytes > f->max_bytes)
        return accel_fail(err, ACCEL_E_LIMIT, "packed weights of %zu bytes are over the limit",
                          bytes);
    void *data = accel_aligned_alloc(64, bytes);
    if (data == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for %zu bytes of weights", bytes);
    memset(data, 0, ACCEL_ROUND_UP(bytes > 0 ? bytes : 1, 64));
    f->max_bytes -= bytes;
    f->blobs->data[slot] = data;
    f->blobs->bytes[slot] = bytes;
    *blob = data;
    return ACCEL_OK;
}

const struct accel_tensor *accel_prepack_input(const struct accel_prepack *pack, size_t i)
{
    const struct accel_prepack_frame *f = pack->framework;

    return i < pack->node->inputs_count && f->in[i] != NULL ? f->in[i]->data : NULL;
}

int accel_node_prepack(const struct accel_node *node, struct accel_prepack_frame *frame,
                       const struct accel_kernels *kernels, struct accel_error *err)
{
    struct accel_prepack pack = {.node = node, .kernels = kernels, .framework = frame};

    const int rc = node->op->prepack != NULL ? node->op->prepack(&pack, err) : ACCEL_OK;
    frame->blobs->consumed = pack.consumed;
    /* Run takes a blob that is there for one that was checked. */
    for (unsigned b = 0; rc == ACCEL_OK && b < ACCEL_BLOBS; b++)
        if (frame->blobs->data[b] != NULL && (frame->asked & 1u << b) == 0)
            return accel_fail(err, ACCEL_E_CORRUPT, "packed weights that it has no use for");
    return rc;
}

void accel_blobs_free(struct accel_blobs *blobs)
{
    for (unsigned i = 0; i < ACCEL_BLOBS; i++)
        accel_free((void *)(uintptr_t)blobs->data[i]);
    *blobs = (struct accel_blobs){0};
}

/* Slices of the file lie anywhere; operators read by the element: copies what is not aligned. */
static int aligned_inputs(const struct accel_node *node, const struct accel_type *const *in,
                          struct accel_bump *mem, const struct accel_type **types,
                          struct accel_tensor **tensors, struct accel_error *err)
{
    for (size_t i = 0; i < node->inputs_count; i++) {
        if (in[i] == NULL)
            continue;
        struct accel_tensor *t = accel_bump_alloc(mem, 1, sizeof(*t));
        struct accel_type *type = accel_bump_alloc(mem, 1, sizeof(*type));
        if (t == NULL || type == NULL)
            return accel_fail(err, ACCEL_E_NOMEM, "no memory to compute a constant");
        *t = *in[i]->data;
        if ((uintptr_t)t->data % 16 != 0 && t->size_bytes > 0) {
            t->data = accel_bump_alloc(mem, t->size_bytes, 1);
            if (t->data == NULL)
                return accel_fail(err, ACCEL_E_NOMEM, "no memory to compute a constant");
            memcpy(t->data, in[i]->data->data, t->size_bytes);
        }
        *type = *in[i];
        type->data = t;
        types[i] = type;
        tensors[i] = t;
    }
    return ACCEL_OK;
}

int accel_node_eval(const struct accel_node *node, const struct accel_type *const *in,
                    struct accel_type *const *out, struct accel_tensor *results,
                    struct accel_error *err)
{
    struct accel_ir *ir = node->graph->ir;
    ACCEL_CLEANUP(accel_blobs_free) struct accel_blobs blobs = {0};
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    ACCEL_CLEANUP(accel_freep) void *scratch = NULL;
    const struct accel_type **types =
        accel_bump_alloc(&mem, node->inputs_count + 1, sizeof(*types));
    struct accel_tensor **ins = accel_bump_alloc(&mem, node->inputs_count + 1, sizeof(*ins));
    struct accel_tensor **outs = accel_bump_alloc(&mem, node->outputs_count + 1, sizeof(*outs));

    if (types == NULL || ins == NULL || outs == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to compute a constant");
    struct accel_prepack_frame frame = {
        .ir = ir, .in = types, .blobs = &blobs, .fill = true, .max_bytes = ir->limits.tensor_bytes};
    struct accel_prepare prep = {.node = node,
                                 .in = types,
                                 .out = (const struct accel_type *const *)out,
                                 .kernels = ir->kernels,
                                 .blobs = blobs.data,
                                 .mem = &mem,
                                 .threads = 1};
    struct accel_run run = {
        .node = node, .in = ins, .out = outs, .blobs = blobs.data, .kernels = ir->kernels};
    int rc = aligned_inputs(node, in, &mem, types, ins, err);
    if (rc == ACCEL_OK)
        rc = accel_node_prepack(node, &frame, ir->kernels, err);
    if (rc == ACCEL_OK && node->op->prepare != NULL)
        rc = node->op->prepare(&prep, err);
    if (rc == ACCEL_OK && prep.scratch_bytes > ir->limits.arena_bytes)
        rc = accel_fail(err, ACCEL_E_LIMIT, "scratch of %zu bytes is over the limit",
                        prep.scratch_bytes);
    if (rc != ACCEL_OK)
        return rc;
    if (prep.scratch_bytes > 0) {
        scratch = accel_aligned_alloc(64, prep.scratch_bytes);
        if (scratch == NULL)
            return accel_fail(err, ACCEL_E_NOMEM, "no memory to compute a constant");
    }
    run.state = prep.state;
    run.scratch = scratch != NULL ? scratch : accel_no_scratch;
    for (size_t o = 0; o < node->outputs_count; o++)
        outs[o] = out[o] != NULL ? &results[o] : NULL;
    return node->op->run(&run, err);
}

double accel_node_flops(const struct accel_node *node, const struct accel_type *const *in,
                        struct accel_type *const *out)
{
    const struct accel_prepare prep = {.node = node,
                                       .in = in,
                                       .out = (const struct accel_type *const *)out,
                                       .kernels = node->graph->ir->kernels,
                                       .threads = 1};
    struct accel_cost cost;

    accel_node_cost(&prep, &cost);
    return cost.flops;
}
