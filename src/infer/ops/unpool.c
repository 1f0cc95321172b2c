/* SPDX-License-Identifier: Apache-2.0 */
/* MaxUnpool: what MaxPool kept goes back where it came from, all else is 0. */
#include "infer/kernels/kernels.h"
#include "infer/ops/spatial.h"

#include <inttypes.h>
#include <string.h>

/* Standard: (in - 1) * stride + kernel - pads, on each axis. */
static int plain_size(const struct accel_node *n, uint32_t spatial, uint32_t axis, int64_t in,
                      int64_t *out, struct accel_error *err)
{
    const struct accel_spatial_attrs *p = n->params;
    struct accel_axis_window w;
    const int rc = accel_spatial_axis(p, spatial, axis, p->kernel[axis], &w, err);

    if (rc != ACCEL_OK)
        return rc;
    if (in < 1 || in > (int64_t)1 << 32)
        return accel_fail(err, ACCEL_E_INVALID, "an axis of %" PRId64, in);
    *out = (in - 1) * w.stride + w.kernel - w.pad_begin - w.pad_end;
    if (*out < 1)
        return accel_fail(err, ACCEL_E_INVALID, "pads leave nothing of axis %u", 2 + axis);
    return ACCEL_OK;
}

static int unpool_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                        struct accel_error *err)
{
    struct accel_spatial_attrs *p = accel_bump_alloc(mem, 1, sizeof(*p));

    if (p == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its attributes");
    *params = p;
    return accel_spatial_parse(n, p, err);
}

static int unpool_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_spatial_attrs *p = in->node->params;
    const struct accel_shape *x = &in->in[0]->shape, *index = &in->in[1]->shape;
    const bool stated = in->node->inputs_count > 2 && in->node->inputs[2] != NULL;
    struct accel_shape y = *x;
    int64_t sizes[ACCEL_RANK_MAX];
    size_t count;

    if (x->rank < 3 || x->rank > 2 + ACCEL_SPATIAL_MAX)
        return accel_fail(err, x->rank < 3 ? ACCEL_E_INVALID : ACCEL_E_UNSUPPORTED,
                          "an input of rank %u", x->rank);
    if (p->kernel_count != x->rank - 2)
        return accel_fail(err, ACCEL_E_INVALID, "kernel_shape has %zu entries for %u spatial axes",
                          p->kernel_count, x->rank - 2);
    if (index->rank != x->rank)
        return accel_fail(err, ACCEL_E_INVALID, "values of rank %u, indices of rank %u", x->rank,
                          index->rank);
    for (uint32_t i = 0; i < x->rank; i++)
        if (x->dims[i] >= 0 && index->dims[i] >= 0 && x->dims[i] != index->dims[i])
            return accel_fail(err, ACCEL_E_INVALID, "values and indices differ in dimension %u", i);
    for (uint32_t i = 2; i < x->rank; i++) {
        if (x->dims[i] < 0)
            continue;
        const int rc = plain_size(in->node, x->rank - 2, i - 2, x->dims[i], &y.dims[i], err);
        if (rc != ACCEL_OK)
            return rc;
    }
    in->out[0]->dtype = in->in[0]->dtype;
    if (stated && accel_infer_ints(in, 2, sizes, ACCEL_RANK_MAX, &count)) {
        if (count != y.rank)
            return accel_fail(err, ACCEL_E_INVALID, "output_shape has %zu entries, not %u", count,
                              y.rank);
        for (uint32_t i = 0; i < y.rank; i++) {
            if (sizes[i] < 0 || (y.dims[i] >= 0 && sizes[i] < y.dims[i]))
                return accel_fail(err, ACCEL_E_INVALID,
                                  "output_shape has %" PRId64 " for dimension %u, %" PRId64
                                  " are needed",
                                  sizes[i], i, y.dims[i]);
            y.dims[i] = sizes[i];
        }
    } else if (stated) {
        for (uint32_t i = 0; i < y.rank; i++)
            y.dims[i] = ACCEL_DIM_ANY;
    }
    in->out[0]->shape = y;
    return ACCEL_OK;
}

static int unpool_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0], *y = run->out[0];
    const size_t size = accel_dtype_size(x->dtype);
    const size_t n = x->size_bytes / size, places = y->size_bytes / size;
    const int64_t *index = run->in[1]->data;

    if (y->size_bytes > 0)
        memset(y->data, 0, y->size_bytes);
    for (size_t i = 0; i < n; i++) {
        if (index[i] < 0 || (uint64_t)index[i] >= places)
            return accel_fail(err, ACCEL_E_INVALID,
                              "index %" PRId64 " is outside of an output of %zu elements", index[i],
                              places);
        memcpy((char *)y->data + (size_t)index[i] * size, (const char *)x->data + i * size, size);
    }
    return ACCEL_OK;
}

#define T1 (ACCEL_T_FLOATS | ACCEL_T_HALVES)

static const struct accel_attr_rule unpool_attrs[] = {{"kernel_shape", ACCEL_ATTR_INTS,
                                                       ACCEL_ATTR_REQUIRED},
                                                      {"pads", ACCEL_ATTR_INTS, 0},
                                                      {"strides", ACCEL_ATTR_INTS, 0},
                                                      {0}};

const struct accel_op accel_ops_unpool[] = {
    {.name = "MaxUnpool",
     .domain = "",
     .since = 9,
     .kind = ACCEL_KIND_MOVE,
     .in = {{"X", T1, 'T', 0},
            {"I", ACCEL_T(INT64), 0, 0},
            {"output_shape", ACCEL_T(INT64), 0, ACCEL_ARG_OPTIONAL}},
     .out = {{"output", T1, 'T', 0}},
     .attrs = unpool_attrs,
     .parse = unpool_parse,
     .infer = unpool_infer,
     .run = unpool_run},
    {0},
};
