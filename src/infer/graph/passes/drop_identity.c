/* SPDX-License-Identifier: Apache-2.0 */
/* drop-identity: Identity, Dropout at inference, and whatever gives what the value is already: a
 * Cast to its type, a Reshape or Expand to its shape, a Slice of everything, a Pad by nothing, a
 * Tile of one. Their readers read the input. */
#include "infer/graph/passes.h"

#include <string.h>

static bool one_of(const struct accel_node *n, const char *const *names)
{
    while (*names != NULL && !accel_node_is(n, *names))
        names++;
    return *names != NULL;
}

/* All numbers of a constant integer input are at least `least`; left out: true. */
static bool all_at_least(const struct accel_node *n, size_t i, int64_t least)
{
    if (i >= n->inputs_count || n->inputs[i] == NULL)
        return true;
    const struct accel_tensor *t = n->inputs[i]->data;
    if (t == NULL || t->data == NULL ||
        (t->dtype != ACCEL_DTYPE_INT64 && t->dtype != ACCEL_DTYPE_INT32))
        return false;
    const size_t size = accel_dtype_size(t->dtype);
    for (size_t k = 0; k < t->size_bytes / size; k++) {
        int64_t wide;
        int32_t narrow;

        memcpy(size == 8 ? (void *)&wide : (void *)&narrow, (const char *)t->data + k * size, size);
        if ((size == 8 ? wide : narrow) < least)
            return false;
    }
    return true;
}

/* Nothing is cut off and nothing put on, as the shape says, and what there is keeps its order: a
 * Slice backwards has the shape of its input too, so has a Pad that cuts here and adds there. */
static bool keeps_order(const struct accel_node *n)
{
    size_t count;

    if (accel_node_is(n, "Slice"))
        return all_at_least(n, 4, 1);
    if (!accel_node_is(n, "Pad"))
        return true;
    const int64_t *pads = accel_attr_ints(n, "pads", &count);
    for (size_t i = 0; i < count; i++)
        if (pads[i] < 0)
            return false;
    return all_at_least(n, 1, 0);
}

static bool identity_transpose(const struct accel_node *n)
{
    size_t count;
    const int64_t *perm = accel_attr_ints(n, "perm", &count);

    for (size_t i = 0; i < count; i++)
        if (perm[i] != (int64_t)i)
            return false;
    return perm != NULL;
}

/* Dropout drops nothing unless a third input says that the model trains. */
static bool infers(const struct accel_node *n)
{
    const struct accel_value *mode = n->inputs_count > 2 ? n->inputs[2] : NULL;

    return mode == NULL || (mode->data != NULL && mode->data->data != NULL &&
                            mode->data->size_bytes == 1 && *(const char *)mode->data->data == 0);
}

static bool does_nothing(const struct accel_node *n)
{
    static const char *const always[] = {"Identity", NULL};
    static const char *const of_one[] = {"Concat", "Sum", "Min", "Max", "Mean", NULL};
    static const char *const same_elements[] = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", NULL};
    static const char *const same_shape[] = {"Expand", "Tile", "Slice", "Pad", NULL};
    const struct accel_value *x = n->inputs_count > 0 ? n->inputs[0] : NULL;
    const struct accel_value *y = n->outputs_count > 0 ? n->outputs[0] : NULL;

    if (x == NULL || y == NULL || x->type.kind != ACCEL_VALUE_TENSOR || accel_node_more_outputs(n))
        return false;
    if (one_of(n, always) || (accel_node_is(n, "Dropout") && infers(n)))
        return true;
    if (accel_node_is(n, "Cast") || accel_node_is(n, "CastLike"))
        return x->type.dtype != ACCEL_DTYPE_UNDEFINED && x->type.dtype == y->type.dtype;
    if (one_of(n, of_one))
        return n->inputs_count == 1;
    if (one_of(n, same_elements))
        return accel_shape_same_elements(&x->type.shape, &y->type.shape);
    if (one_of(n, same_shape))
        return accel_shape_static(&x->type.shape) &&
               accel_shape_equal(&x->type.shape, &y->type.shape) && keeps_order(n);
    return accel_node_is(n, "Transpose") && identity_transpose(n);
}

int accel_pass_drop_identity(struct accel_ir *ir, size_t *changes, struct accel_error *err)
{
    struct accel_graph *g = ir->main;

    (void)err;
    for (size_t i = 0; i < g->nodes_count; i++) {
        struct accel_node *n = g->nodes[i];

        accel_node_resolve(n);
        if (n->unsupported != NULL || !does_nothing(n))
            continue;
        accel_value_replace(n->outputs[0], n->inputs[0]);
        n->dead = true;
        (*changes)++;
    }
    return ACCEL_OK;
}
