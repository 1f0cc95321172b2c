/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/ops/channels_last.h"

#include "infer/kernels/kernels.h"

static bool is_last(const struct accel_node *n)
{
    return accel_attr_int(n, "channels_last", 0) != 0;
}

struct accel_shape accel_channels_first_of(const struct accel_shape *last)
{
    struct accel_shape first = *last;

    for (uint32_t i = 2; i < last->rank; i++)
        first.dims[i] = last->dims[i - 1];
    if (last->rank > 1)
        first.dims[1] = last->dims[last->rank - 1];
    return first;
}

struct accel_shape accel_channels_last_of(const struct accel_shape *first)
{
    struct accel_shape last = *first;

    for (uint32_t i = 2; i < first->rank; i++)
        last.dims[i - 1] = first->dims[i];
    if (first->rank > 1)
        last.dims[first->rank - 1] = first->dims[1];
    return last;
}

/* The type with its channels first. */
static struct accel_type turned(const struct accel_type *type)
{
    struct accel_type t = *type;

    t.shape = accel_channels_first_of(&type->shape);
    t.data = NULL;
    return t;
}

int accel_channels_last_infer(struct accel_infer *in,
                              int (*inner)(struct accel_infer *in, struct accel_error *err),
                              struct accel_error *err)
{
    const struct accel_type *seen[ACCEL_OP_INPUTS];
    struct accel_infer first = *in;

    if (!is_last(in->node))
        return inner(in, err);
    const struct accel_type x = turned(in->in[0]);
    for (size_t i = 0; i < in->node->inputs_count; i++)
        seen[i] = i == 0 ? &x : in->in[i];
    first.in = seen;
    const int rc = inner(&first, err);
    if (rc == ACCEL_OK)
        in->out[0]->shape = accel_channels_last_of(&in->out[0]->shape);
    return rc;
}

/* Bytes of a copy of each; false: they overflow. */
static bool copy_bytes(const struct accel_type *type, size_t *bytes)
{
    if (!accel_shape_bytes(&type->shape, type->dtype, bytes) ||
        *bytes > SIZE_MAX / 4 - ACCEL_KERNEL_ALIGN)
        return false;
    *bytes = ACCEL_ROUND_UP(*bytes, ACCEL_KERNEL_ALIGN);
    return true;
}

int accel_channels_last_prepare(struct accel_prepare *prep,
                                int (*inner)(struct accel_prepare *prep, struct accel_error *err),
                                struct accel_error *err)
{
    const struct accel_type *seen[ACCEL_OP_INPUTS];
    struct accel_prepare first = *prep;
    size_t x_bytes, y_bytes;
    int rc = ACCEL_OK;

    if (!is_last(prep->node))
        return inner != NULL ? inner(prep, err) : ACCEL_OK;
    const struct accel_type x = turned(prep->in[0]), y = turned(prep->out[0]);
    const struct accel_type *out[1] = {&y};
    for (size_t i = 0; i < prep->node->inputs_count; i++)
        seen[i] = i == 0 ? &x : prep->in[i];
    first.in = seen;
    first.out = out;
    if (inner != NULL)
        rc = inner(&first, err);
    prep->state = first.state;
    if (rc == ACCEL_OK &&
        (!copy_bytes(&x, &x_bytes) || !copy_bytes(&y, &y_bytes) ||
         __builtin_add_overflow(x_bytes + y_bytes, first.scratch_bytes, &prep->scratch_bytes)))
        rc = accel_fail(err, ACCEL_E_INVALID, "its work space overflows");
    return rc;
}

/* A tensor whose bytes are the next of the scratch. */
static struct accel_tensor copy_of(const struct accel_tensor *t, char **scratch)
{
    const struct accel_shape last = accel_shape_of(t), first = accel_channels_first_of(&last);
    struct accel_tensor copy = *t;

    for (uint32_t i = 0; i < t->rank; i++)
        copy.dims[i] = first.dims[i];
    copy.data = *scratch;
    *scratch += ACCEL_ROUND_UP(t->size_bytes, ACCEL_KERNEL_ALIGN);
    return copy;
}

/* to: [N][b][a] from [N][a][b]. */
static void turn(struct accel_pool *pool, const struct accel_tensor *from,
                 const struct accel_tensor *to, uint32_t split)
{
    const size_t dims[3] = {(size_t)from->dims[0], accel_dims_product(from->dims, 1, split),
                            accel_dims_product(from->dims, split, from->rank)};

    if (from->size_bytes > 0)
        accel_transpose(pool, accel_element_bytes(from->dtype), 3, dims,
                        (const unsigned[]){0, 2, 1}, from->data, to->data);
}

int accel_channels_last_run(struct accel_run *run,
                            int (*inner)(struct accel_run *run, struct accel_error *err),
                            struct accel_error *err)
{
    struct accel_tensor *seen[ACCEL_OP_INPUTS];
    struct accel_run first = *run;
    char *scratch = run->scratch;

    if (!is_last(run->node))
        return inner(run, err);
    struct accel_tensor x = copy_of(run->in[0], &scratch), y = copy_of(run->out[0], &scratch);
    struct accel_tensor *out[1] = {&y};
    for (size_t i = 0; i < run->node->inputs_count; i++)
        seen[i] = i == 0 ? &x : run->in[i];
    first.in = seen;
    first.out = out;
    first.scratch = scratch;
    turn(run->pool, run->in[0], &x, run->in[0]->rank - 1);
    const int rc = inner(&first, err);
    if (rc == ACCEL_OK)
        turn(run->pool, &y, run->out[0], 2);
    return rc;
}
