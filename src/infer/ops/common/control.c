/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/ops/control.h"

#include <string.h>

struct accel_graph *accel_attr_graph(const struct accel_node *node, const char *name)
{
    const struct accel_attr *a = accel_attr(node, name);

    return a != NULL && a->count > 0 ? a->graphs[0] : NULL;
}

int accel_subgraph_check(const struct accel_graph *g, const char *what, size_t inputs,
                         size_t outputs, struct accel_error *err)
{
    if (accel_graph_formal(g) != inputs)
        return accel_fail(err, ACCEL_E_INVALID, "its %s has %zu inputs, %zu are needed", what,
                          accel_graph_formal(g), inputs);
    if (g->outputs_count < outputs)
        return accel_fail(err, ACCEL_E_INVALID, "its %s has %zu outputs, %zu are needed", what,
                          g->outputs_count, outputs);
    return ACCEL_OK;
}

int accel_run_one_element(const struct accel_run *run, size_t i, enum accel_dtype dtype,
                          const void **data, struct accel_error *err)
{
    const struct accel_tensor *t = i < accel_node_formal(run->node) ? run->in[i] : NULL;

    *data = NULL;
    if (t == NULL)
        return ACCEL_OK;
    if (accel_is_list(t) || accel_is_none(t) || t->dtype != dtype ||
        t->size_bytes != accel_dtype_size(dtype))
        return accel_fail(err, ACCEL_E_INVALID, "input %zu is not one element of %s", i,
                          accel_dtype_name(dtype));
    *data = t->data;
    return ACCEL_OK;
}

struct accel_type accel_type_without_value(const struct accel_type *t)
{
    return (struct accel_type){.kind = t->kind, .dtype = t->dtype, .shape = t->shape};
}

/* Below so many graphs what a loop carries is taken to be of any shape at once: finding out what
 * stays the same takes up to three walks over its body, and over loops in there as often again. */
#define EXACT_DEPTH 3

int accel_infer_carried(struct accel_infer *in, struct accel_graph *g, struct accel_type *inputs,
                        size_t first, size_t states, size_t first_out, struct accel_type *out,
                        struct accel_error *err)
{
    for (unsigned pass = g->ir->depth > EXACT_DEPTH ? 2 : 0;; pass++) {
        bool same = true;

        for (size_t i = 0; pass == 2 && i < states; i++)
            inputs[first + i].shape = (struct accel_shape){0};
        const int rc = accel_infer_subgraph(in, g, inputs, out, err);
        if (rc != ACCEL_OK)
            return rc;
        for (size_t i = 0; i < states; i++) {
            struct accel_type *state = &inputs[first + i];
            const struct accel_type before = *state, *next = &out[first_out + i];

            if (state->dtype != next->dtype && state->dtype != ACCEL_DTYPE_UNDEFINED &&
                next->dtype != ACCEL_DTYPE_UNDEFINED)
                return accel_fail(err, ACCEL_E_INVALID,
                                  "carried value %zu goes in as %s and comes out as %s", i,
                                  accel_dtype_name(state->dtype), accel_dtype_name(next->dtype));
            accel_type_merge(state, next);
            same = same && accel_shape_equal(&before.shape, &state->shape) &&
                   before.kind == state->kind && before.dtype == state->dtype;
        }
        if (same || pass >= 3)
            return ACCEL_OK;
    }
}

bool accel_shape_insert(struct accel_shape *s, uint32_t axis, int64_t dim)
{
    if (!s->has_rank || s->rank >= ACCEL_RANK_MAX) {
        *s = (struct accel_shape){0};
        return false;
    }
    memmove(&s->dims[axis + 1], &s->dims[axis], (s->rank - axis) * sizeof(s->dims[0]));
    s->dims[axis] = dim;
    s->rank++;
    return true;
}

int accel_infer_sequence(const struct accel_infer *in, size_t i, struct accel_error *err)
{
    const struct accel_type *t = in->in[i];

    if (t != NULL && (t->kind & ACCEL_VALUE_SEQUENCE) == 0 && t->dtype != ACCEL_DTYPE_UNDEFINED)
        return accel_fail(err, ACCEL_E_INVALID, "input %zu is no sequence", i);
    return ACCEL_OK;
}

struct accel_type accel_type_element(const struct accel_type *t)
{
    return (struct accel_type){.dtype = t->dtype, .shape = t->shape};
}

int accel_run_list(const struct accel_run *run, size_t i, struct accel_list **list,
                   struct accel_error *err)
{
    const struct accel_tensor *t = i < accel_node_formal(run->node) ? run->in[i] : NULL;

    if (t == NULL || !accel_is_sequence(t))
        return accel_fail(err, ACCEL_E_INVALID, "input %zu is no sequence", i);
    *list = accel_list_of(t);
    return ACCEL_OK;
}
