/* SPDX-License-Identifier: Apache-2.0 */
/* DeformConv: the columns of a convolution are gathered from moved places, the rest is a product of
 * matrices for each image and group. */
#include "infer/kernels/geometry.h"
#include "infer/ops/spatial.h"
#include "infer/ops/elements.h"

#include <inttypes.h>
#include <string.h>

struct deform_state {
    struct accel_conv conv; /* of all groups; batch: images */
    size_t offset_groups, columns_bytes;
    struct accel_gemm gemm; /* of one group */
    bool empty;
};

static bool differ(int64_t a, int64_t b)
{
    return a >= 0 && b >= 0 && a != b;
}

/* A tensor [batch][channels][out_h][out_w] beside the input. */
static int check_places(const struct accel_infer *in, size_t i, int64_t channels,
                        const int64_t out[ACCEL_SPATIAL_MAX], struct accel_error *err)
{
    const struct accel_shape *s = &in->in[i]->shape;

    if (s->rank != 4 || differ(s->dims[0], in->in[0]->shape.dims[0]) ||
        differ(s->dims[1], channels) || differ(s->dims[2], out[0]) || differ(s->dims[3], out[1]))
        return accel_fail(err, ACCEL_E_INVALID,
                          "input %zu must be [batch, %" PRId64 ", output height, output width]", i,
                          channels);
    return ACCEL_OK;
}

static int deform_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape;
    const int64_t groups = accel_attr_int(in->node, "offset_group", 1);
    struct accel_conv c;
    int64_t out[ACCEL_SPATIAL_MAX];

    if (x->rank != 4)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "an input of rank %u instead of 4", x->rank);
    in->out[0]->dtype = in->in[0]->dtype;
    if (accel_conv_unsettled(in->node, x, &in->in[1]->shape, false, &in->out[0]->shape))
        return ACCEL_OK;
    int rc = accel_conv_sizes(in->node, x, &in->in[1]->shape, false, &c, out, err);
    if (rc != ACCEL_OK)
        return rc;
    if (groups < 1 || c.cin % (size_t)groups != 0)
        return accel_fail(err, ACCEL_E_INVALID, "%zu channels, offset_group %" PRId64, c.cin,
                          groups);
    const int64_t taps = (int64_t)(c.kernel[0] * c.kernel[1]);
    rc = check_places(in, 2, groups * 2 * taps, out, err);
    if (rc == ACCEL_OK && accel_given(in->node, 4))
        rc = check_places(in, 4, groups * taps, out, err);
    if (rc == ACCEL_OK && accel_given(in->node, 3) &&
        (in->in[3]->shape.rank != 1 || differ(in->in[3]->shape.dims[0], (int64_t)c.cout)))
        rc = accel_fail(err, ACCEL_E_INVALID, "the bias must have %zu elements", c.cout);
    in->out[0]->dtype = in->in[0]->dtype;
    in->out[0]->shape = (struct accel_shape){
        .has_rank = true, .rank = 4, .dims = {x->dims[0], (int64_t)c.cout, out[0], out[1]}};
    if (rc == ACCEL_OK && accel_shape_static(x) && accel_shape_static(&in->out[0]->shape) &&
        x->dims[0] > 0) {
        c.batch = (size_t)x->dims[0];
        rc = accel_conv_check(&c, err);
    }
    return rc;
}

static int deform_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    struct deform_state *s = accel_prepare_state(prep, sizeof(*s), err);
    int64_t out[ACCEL_SPATIAL_MAX];
    size_t product = 0, elements;

    if (s == NULL)
        return ACCEL_E_NOMEM;
    int rc = accel_conv_sizes(prep->node, &prep->in[0]->shape, &prep->in[1]->shape, false, &s->conv,
                              out, err);
    if (rc != ACCEL_OK)
        return rc;
    const struct accel_conv *c = &s->conv;
    const size_t taps = c->kernel[0] * c->kernel[1];
    s->conv.batch = (size_t)prep->in[0]->shape.dims[0];
    s->offset_groups = (size_t)accel_attr_int(prep->node, "offset_group", 1);
    s->gemm = (struct accel_gemm){.m = c->cout / c->groups,
                                  .n = c->out[0] * c->out[1],
                                  .k = c->cin / c->groups * taps,
                                  .alpha = 1};
    s->gemm.lda = s->gemm.k;
    s->gemm.ldb = s->gemm.ldy = s->gemm.n;
    s->empty = c->batch == 0 || s->gemm.m == 0 || s->gemm.n == 0;
    if (s->empty)
        return ACCEL_OK;
    if (__builtin_mul_overflow(c->cin * taps, s->gemm.n, &elements) ||
        __builtin_mul_overflow(elements, accel_dtype_size(prep->in[0]->dtype), &s->columns_bytes) ||
        s->columns_bytes > SIZE_MAX / 2)
        return accel_fail(err, ACCEL_E_INVALID, "its work space overflows");
    s->columns_bytes = ACCEL_ROUND_UP(s->columns_bytes, ACCEL_KERNEL_ALIGN);
    if (prep->in[0]->dtype == ACCEL_DTYPE_FLOAT)
        rc = accel_gemm_f32_scratch_bytes(prep->kernels, &s->gemm, prep->threads, &product, err);
    if (rc == ACCEL_OK && __builtin_add_overflow(s->columns_bytes, product, &prep->scratch_bytes))
        rc = accel_fail(err, ACCEL_E_INVALID, "its work space overflows");
    return rc;
}

static void add_bias(size_t rows, size_t n, const double *bias, double *y)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < n; j++)
            y[i * n + j] += bias[i];
}

/* One image: a product for each group. */
static void multiply(const struct accel_run *run, const struct deform_state *s, size_t image)
{
    const struct accel_conv *c = &s->conv;
    const enum accel_dtype dtype = run->in[0]->dtype;
    const size_t size = accel_dtype_size(dtype);
    const char *bias = accel_given(run->node, 3) ? run->in[3]->data : NULL;
    struct accel_gemm g = s->gemm;

    for (size_t group = 0; group < c->groups; group++) {
        const char *w = (const char *)run->in[1]->data + group * g.m * g.k * size;
        const char *columns = (const char *)run->scratch + group * g.k * g.n * size;
        char *y = (char *)run->out[0]->data + (image * c->cout + group * g.m) * g.n * size;
        const char *own = bias != NULL ? bias + group * g.m * size : NULL;

        if (dtype == ACCEL_DTYPE_FLOAT) {
            g.a = (const float *)(const void *)w;
            g.b = (const float *)(const void *)columns;
            g.y = (float *)(void *)y;
            g.bias_row = (const float *)(const void *)own;
            accel_gemm_f32(run->kernels, run->pool, &g, (char *)run->scratch + s->columns_bytes);
        } else {
            accel_matmul_any(run->pool, dtype, g.m, g.n, g.k, w, columns, y);
            if (own != NULL)
                add_bias(g.m, g.n, (const double *)(const void *)own, (double *)(void *)y);
        }
    }
}

static int deform_run(struct accel_run *run, struct accel_error *err)
{
    const struct deform_state *s = run->state;
    const struct accel_conv *c = &s->conv;
    const size_t size = accel_dtype_size(run->in[0]->dtype);
    const size_t places = s->offset_groups * c->kernel[0] * c->kernel[1] * c->out[0] * c->out[1];
    const char *mask = accel_given(run->node, 4) ? run->in[4]->data : NULL;

    for (size_t image = 0; image < c->batch && !s->empty; image++) {
        if (!accel_deform_columns(run->pool, c, s->offset_groups, run->in[0]->dtype,
                                  (const char *)run->in[0]->data +
                                      image * c->cin * c->in[0] * c->in[1] * size,
                                  (const char *)run->in[2]->data + image * 2 * places * size,
                                  mask != NULL ? mask + image * places * size : NULL, run->scratch))
            return accel_fail(err, ACCEL_E_INTERNAL, "no kernel for this type");
        multiply(run, s, image);
    }
    return ACCEL_OK;
}

static void deform_cost(const struct accel_prepare *prep, struct accel_cost *cost)
{
    const struct accel_shape *w = &prep->in[1]->shape;
    size_t elements = 0;

    accel_shape_elements(&prep->out[0]->shape, &elements);
    cost->flops = 2.0 * (double)elements * (double)accel_dims_product(w->dims, 1, w->rank);
}

#define R ACCEL_T_FLOATS

static const struct accel_attr_rule deform_attrs[] = {{"dilations", ACCEL_ATTR_INTS, 0},
                                                      {"group", ACCEL_ATTR_INT, 0},
                                                      {"kernel_shape", ACCEL_ATTR_INTS, 0},
                                                      {"offset_group", ACCEL_ATTR_INT, 0},
                                                      {"pads", ACCEL_ATTR_INTS, 0},
                                                      {"strides", ACCEL_ATTR_INTS, 0},
                                                      {0}};

const struct accel_op accel_ops_deform[] = {
    {.name = "DeformConv",
     .domain = "",
     .since = 19,
     .kind = ACCEL_KIND_CONV,
     .in = {{"X", R, 'T', 0},
            {"W", R, 'T', 0},
            {"offset", R, 'T', 0},
            {"B", R, 'T', ACCEL_ARG_OPTIONAL},
            {"mask", R, 'T', ACCEL_ARG_OPTIONAL}},
     .out = {{"Y", R, 'T', 0}},
     .attrs = deform_attrs,
     .parse = accel_conv_parse,
     .infer = deform_infer,
     .prepare = deform_prepare,
     .run = deform_run,
     .cost = deform_cost},
    {0},
};
