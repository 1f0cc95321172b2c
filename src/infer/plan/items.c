/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/plan/items.h"

#include <string.h>

static double product(const struct accel_shape *s, uint32_t from)
{
    double n = 1;

    for (uint32_t i = from; i < s->rank; i++)
        n *= (double)s->dims[i];
    return n;
}

/* How many elements of `out`, from any multiple of that on, belong to one stretch of `in`: the last
 * axes that both have alike, or over which `in` has one element for all. */
static double common_run(const struct accel_shape *in, const struct accel_shape *out)
{
    uint32_t i = 0;
    double run = 1;

    if (product(in, 0) <= 1)
        return product(out, 0);
    while (i < out->rank && (i >= in->rank || in->dims[in->rank - 1 - i] == 1))
        run *= (double)out->dims[out->rank - 1 - i++];
    if (run > 1)
        return run;
    for (i = 0; i < out->rank && i < in->rank; i++) {
        const double a = (double)in->dims[in->rank - 1 - i];
        const double b = (double)out->dims[out->rank - 1 - i];

        if (a != b)
            return a > 1 && in->rank == out->rank ? run * (a < b ? a : b) : run;
        run *= b;
    }
    return run;
}

static double stretches(const struct accel_prepare *prep)
{
    const struct accel_shape *out = &prep->out[0]->shape;
    const double elements = product(out, 0);
    double run = elements;

    for (size_t i = 0; i < prep->node->inputs_count; i++) {
        /* Constants of a copy are its axes and sizes, no data. */
        if (prep->in[i] == NULL ||
            (i > 0 && prep->node->op->kind == ACCEL_KIND_MOVE && prep->in[i]->shape.rank <= 1))
            continue;
        const double one = common_run(&prep->in[i]->shape, out);
        run = one < run ? one : run;
    }
    return run > 0 ? elements / run : 0;
}

static double transposed(const struct accel_prepare *prep)
{
    const struct accel_shape *out = &prep->out[0]->shape;
    size_t count = 0;
    const int64_t *perm = accel_attr_ints(prep->node, "perm", &count);
    uint32_t kept = out->rank;

    while (perm != NULL && count == out->rank && kept > 0 && perm[kept - 1] == (int64_t)kept - 1)
        kept--;
    return product(out, 0) / product(out, kept);
}

/* Rows of `type` along an axis. */
static double rows(const struct accel_type *type, int64_t axis)
{
    const struct accel_shape *in = &type->shape;

    axis = axis < 0 ? axis + (int64_t)in->rank : axis;
    return axis < 0 || axis >= (int64_t)in->rank || in->dims[axis] <= 0
               ? 0
               : product(in, 0) / (double)in->dims[axis];
}

double accel_node_items(const struct accel_prepare *prep, const struct accel_cost *cost)
{
    const char *op = prep->node->op_type;

    if (prep->in[0] == NULL || prep->out[0] == NULL)
        return 0;
    if (strcmp(op, "Transpose") == 0)
        return transposed(prep);
    /* Row by row of the input, however often. */
    if (strcmp(op, "Tile") == 0 && prep->in[0]->shape.rank > 0)
        return rows(prep->out[0], -1) *
               (double)prep->out[0]->shape.dims[prep->out[0]->shape.rank - 1] /
               ACCEL_MAX((double)prep->in[0]->shape.dims[prep->in[0]->shape.rank - 1], 1.0);
    /* One stretch per index tuple, wherever it points. */
    if (strcmp(op, "ScatterND") == 0 || strcmp(op, "GatherND") == 0)
        return rows(prep->in[1], -1);
    if (strcmp(op, "ScatterElements") == 0 || strcmp(op, "GatherElements") == 0)
        return product(&prep->in[1]->shape, 0);
    switch (cost->kind) {
    case ACCEL_KIND_MOVE:
    case ACCEL_KIND_ELEMENTWISE:
    case ACCEL_KIND_TRANSCENDENTAL:
        return stretches(prep);
    case ACCEL_KIND_NORM:
        return rows(prep->in[0], accel_attr_int(prep->node, "axis", -1));
    default:
        return 0;
    }
}
