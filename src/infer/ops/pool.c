/* SPDX-License-Identifier: Apache-2.0 */
/* MaxPool, AveragePool and their global forms. */
#include "infer/ops/op.h"
#include "infer/ops/spatial.h"

#include <string.h>

struct pool_params {
    struct accel_spatial_attrs spatial;
    bool count_include_pad, column_major;
};

int accel_pool_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                     struct accel_error *err)
{
    struct pool_params *p = accel_bump_alloc(mem, 1, sizeof(*p));

    if (p == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its attributes");
    *params = p;
    p->count_include_pad = accel_attr_int(n, "count_include_pad", 0) != 0;
    p->column_major = accel_attr_int(n, "storage_order", 0) != 0;
    return accel_spatial_parse(n, &p->spatial, err);
}

/* ONNX Runtime's SAME_* of pools, on an axis of `in`: the kernel counts without its dilation, so
 * that padding and output are smaller than the standard has them, and what a stride beyond the
 * kernel leaves over is halved as padding is, both halves cut off towards 0: windows begin and end
 * within the input then. */
static void pad_as_pools(struct accel_axis_window *w, int64_t in)
{
    if (w->auto_pad != ACCEL_PAD_SAME_UPPER && w->auto_pad != ACCEL_PAD_SAME_LOWER)
        return;
    const int64_t out = (in + w->stride - 1) / w->stride;
    const int64_t need = (out - 1) * w->stride + w->kernel - in;

    w->pad_begin = (w->auto_pad == ACCEL_PAD_SAME_UPPER ? need : need + 1) / 2;
    w->pad_end = need - w->pad_begin;
}

int accel_pool_window(const struct accel_node *n, const struct accel_shape *x,
                      struct accel_window *w, struct accel_error *err)
{
    const struct pool_params *p = n->params;
    const uint32_t spatial = x->rank - 2;

    if (x->rank < 3 || x->rank > 2 + ACCEL_SPATIAL_MAX)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "an input of rank %u", x->rank);
    if (p->spatial.kernel_count != spatial)
        return accel_fail(err, ACCEL_E_INVALID, "kernel_shape has %zu entries for %u spatial axes",
                          p->spatial.kernel_count, spatial);
    *w = (struct accel_window){.spatial = spatial};
    for (uint32_t i = 0; i < spatial; i++) {
        struct accel_axis_window a;
        const int64_t in = x->dims[2 + i];
        int rc = accel_spatial_axis(&p->spatial, spatial, i, p->spatial.kernel[i], &a, err);

        if (rc == ACCEL_OK && in >= 0)
            rc = accel_spatial_resolve(&a, in, err);
        if (rc != ACCEL_OK)
            return rc;
        if (in >= 0)
            pad_as_pools(&a, in);
        /* A window costs all of its taps, however few meet the input: a kernel made of nothing but
         * an attribute must not buy more work than tensors do. */
        if (in >= 0 && a.kernel > 2 * in + 64)
            return accel_fail(err, ACCEL_E_UNSUPPORTED, "a kernel of %lld on an axis of %lld",
                              (long long)a.kernel, (long long)in);
        if (a.pad_begin >= a.kernel * a.dilation + a.stride ||
            a.pad_end >= a.kernel * a.dilation + a.stride)
            return accel_fail(err, ACCEL_E_INVALID, "padding wider than the kernel");
        w->kernel[i] = (size_t)a.kernel;
        w->stride[i] = (size_t)a.stride;
        w->dilation[i] = (size_t)a.dilation;
        w->pad_begin[i] = (ptrdiff_t)a.pad_begin;
        w->pad_end[i] = (ptrdiff_t)a.pad_end;
        if (in < 0)
            continue;
        w->in[i] = (size_t)in;
        w->out[i] = accel_window_out(w->in[i], w->kernel[i], w->stride[i], w->dilation[i],
                                     w->pad_begin[i], w->pad_end[i], p->spatial.ceil_mode);
        /* ONNX Runtime's quotient is cut off towards 0: up to here it says -1, and no window. */
        if (w->out[i] == 0 &&
            in + a.pad_begin + a.pad_end + 2 * a.stride <= a.dilation * (a.kernel - 1) + 1)
            return accel_fail(err, ACCEL_E_INVALID, "a kernel of %zu does not fit into %zu",
                              w->kernel[i], w->in[i]);
    }
    return ACCEL_OK;
}

int accel_pool_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape;
    struct accel_shape y = *x;
    struct accel_window w;
    const int rc = accel_pool_window(in->node, x, &w, err);

    if (rc != ACCEL_OK)
        return rc;
    for (uint32_t i = 0; i < w.spatial; i++)
        y.dims[2 + i] = x->dims[2 + i] < 0 ? ACCEL_DIM_ANY : (int64_t)w.out[i];
    in->out[0]->dtype = in->in[0]->dtype;
    in->out[0]->shape = y;
    if (in->node->outputs_count > 1 && in->out[1] != NULL) {
        in->out[1]->dtype = ACCEL_DTYPE_INT64;
        in->out[1]->shape = y;
    }
    return ACCEL_OK;
}

int accel_pool_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    struct accel_window *w = accel_prepare_state(prep, sizeof(*w), err);

    if (w == NULL)
        return ACCEL_E_NOMEM;
    const int rc = accel_pool_window(prep->node, &prep->in[0]->shape, w, err);
    w->planes = accel_dims_product(prep->in[0]->shape.dims, 0, 2);
    return rc;
}

static int maxpool_run(struct accel_run *run, struct accel_error *err)
{
    const struct pool_params *p = run->node->params;
    const struct accel_window *w = run->state;
    int64_t *indices =
        run->node->outputs_count > 1 && run->out[1] != NULL ? run->out[1]->data : NULL;

    if (run->out[0]->size_bytes == 0)
        return ACCEL_OK;
    if (run->in[0]->dtype == ACCEL_DTYPE_FLOAT)
        accel_maxpool_f32(run->kernels, run->pool, w, run->in[0]->data, run->out[0]->data, indices,
                          p->column_major);
    else if (indices == NULL &&
             accel_maxpool8(run->pool, run->in[0]->dtype, w, run->in[0]->data, run->out[0]->data))
        return ACCEL_OK;
    else if (!accel_maxpool_any(run->pool, run->in[0]->dtype, w, run->in[0]->data,
                                run->out[0]->data, indices, p->column_major))
        return accel_fail(err, ACCEL_E_INTERNAL, "no kernel for this type");
    return ACCEL_OK;
}

static int avgpool_run(struct accel_run *run, struct accel_error *err)
{
    const struct pool_params *p = run->node->params;

    (void)err;
    if (run->out[0]->size_bytes > 0)
        accel_avgpool_f32(run->kernels, run->pool, run->state, p->count_include_pad,
                          run->in[0]->data, run->out[0]->data);
    return ACCEL_OK;
}

static void pool_cost(const struct accel_prepare *prep, struct accel_cost *cost)
{
    const struct pool_params *p = prep->node->params;
    struct accel_window w;

    for (size_t i = 0; i < p->spatial.kernel_count; i++)
        cost->flops *= (double)p->spatial.kernel[i];
    if (accel_pool_window(prep->node, &prep->in[0]->shape, &w, NULL) != ACCEL_OK)
        return;
    /* Along a row the windows that hang over an end are gone through tap by tap. */
    const size_t last = w.spatial - 1, extent = w.dilation[last] * (w.kernel[last] - 1) + 1;
    const size_t before = w.pad_begin[last] > 0 ? (size_t)w.pad_begin[last] : 0;
    const size_t room = w.in[last] + before;
    double taps = 1;
    for (unsigned i = 0; i < w.spatial; i++)
        taps *= (double)w.kernel[i];
    const size_t first = (before + w.stride[last] - 1) / w.stride[last];
    const size_t end = room < extent ? 0 : (room - extent) / w.stride[last] + 1;
    /* So are those of all windows when they are large. */
    const size_t whole = taps > 64 ? 0 : ACCEL_MIN(end, w.out[last]);
    if (w.out[last] > 0)
        cost->items = cost->flops * (double)(w.out[last] - (whole > first ? whole - first : 0)) /
                      (double)w.out[last];
}

int accel_global_pool_infer(struct accel_infer *in, struct accel_error *err)
{
    struct accel_shape y = in->in[0]->shape;

    if (y.rank < 2)
        return accel_fail(err, ACCEL_E_INVALID, "an input of rank %u", y.rank);
    for (uint32_t i = 2; i < y.rank; i++)
        y.dims[i] = 1;
    in->out[0]->dtype = in->in[0]->dtype;
    in->out[0]->shape = y;
    return ACCEL_OK;
}

static int global_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    const enum accel_reduce_op op =
        run->node->op_type[6] == 'A' ? ACCEL_REDUCE_MEAN : ACCEL_REDUCE_MAX;
    size_t dims[ACCEL_RANK_MAX];

    for (uint32_t i = 0; i < x->rank; i++)
        dims[i] = (size_t)x->dims[i];
    if (!accel_reduce(run->kernels, run->pool, op, x->dtype, x->rank, dims, (1u << x->rank) - 1 - 3,
                      x->data, run->out[0]->data))
        return accel_fail(err, ACCEL_E_INTERNAL, "no kernel for this type");
    return ACCEL_OK;
}

static void global_cost(const struct accel_prepare *prep, struct accel_cost *cost)
{
    size_t n = 0;

    if (accel_shape_elements(&prep->in[0]->shape, &n))
        cost->flops = (double)n;
}

#define F32   ACCEL_T(FLOAT)
#define MAX_T (ACCEL_T_FLOATS | ACCEL_T(INT8) | ACCEL_T(UINT8))

static const struct accel_attr_rule max_attrs[] = {
    {"auto_pad", ACCEL_ATTR_STRING, 0}, {"ceil_mode", ACCEL_ATTR_INT, 0},
    {"dilations", ACCEL_ATTR_INTS, 0},  {"kernel_shape", ACCEL_ATTR_INTS, ACCEL_ATTR_REQUIRED},
    {"pads", ACCEL_ATTR_INTS, 0},       {"storage_order", ACCEL_ATTR_INT, 0},
    {"strides", ACCEL_ATTR_INTS, 0},    {0}};
static const struct accel_attr_rule avg_attrs[] = {{"auto_pad", ACCEL_ATTR_STRING, 0},
                                                   {"ceil_mode", ACCEL_ATTR_INT, 0},
                                                   {"count_include_pad", ACCEL_ATTR_INT, 0},
                                                   {"dilations", ACCEL_ATTR_INTS, 0},
                                                   {"kernel_shape", ACCEL_ATTR_INTS,
                                                    ACCEL_ATTR_REQUIRED},
                                                   {"pads", ACCEL_ATTR_INTS, 0},
                                                   {"strides", ACCEL_ATTR_INTS, 0},
                                                   {0}};

const struct accel_op accel_ops_pool[] = {
    {.name = "MaxPool",
     .domain = "",
     .since = 1,
     .kind = ACCEL_KIND_POOL,
     .flops_per_value = 1,
     .in = {{"X", MAX_T, 'T', 0}},
     .out = {{"Y", MAX_T, 'T', 0}, {"Indices", ACCEL_T(INT64), 0, ACCEL_ARG_OPTIONAL}},
     .attrs = max_attrs,
     .parse = accel_pool_parse,
     .infer = accel_pool_infer,
     .prepare = accel_pool_prepare,
     .run = maxpool_run,
     .cost = pool_cost},
    {.name = "AveragePool",
     .domain = "",
     .since = 1,
     .kind = ACCEL_KIND_POOL,
     .flops_per_value = 1,
     .in = {{"X", F32, 'T', 0}},
     .out = {{"Y", F32, 'T', 0}},
     .attrs = avg_attrs,
     .parse = accel_pool_parse,
     .infer = accel_pool_infer,
     .prepare = accel_pool_prepare,
     .run = avgpool_run,
     .cost = pool_cost},
    {.name = "GlobalAveragePool",
     .domain = "",
     .since = 1,
     .kind = ACCEL_KIND_POOL,
     .in = {{"X", ACCEL_T_FLOATS, 'T', 0}},
     .out = {{"Y", ACCEL_T_FLOATS, 'T', 0}},
     .infer = accel_global_pool_infer,
     .run = global_run,
     .cost = global_cost},
    {.name = "GlobalMaxPool",
     .domain = "",
     .since = 1,
     .kind = ACCEL_KIND_POOL,
     .in = {{"X", ACCEL_T_FLOATS, 'T', 0}},
     .out = {{"Y", ACCEL_T_FLOATS, 'T', 0}},
     .infer = accel_global_pool_infer,
     .run = global_run,
     .cost = global_cost},
    {0},
};
