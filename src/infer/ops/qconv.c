/* SPDX-License-Identifier: Apache-2.0 */
/* Convolutions of quantised tensors: ConvInteger, QLinearConv; the latter also as com.microsoft has
 * it, perhaps with its channels last. */
#include "infer/ops/channels_last.h"
#include "infer/ops/quantised.h"
#include "infer/ops/spatial.h"

/* x and w: inputs 0, 1 of ConvInteger, 0, 3 of QLinearConv. */
static const struct accel_quant_places conv_integer_places = {.b = 1, .a_zero = 2, .b_zero = 3};
static const struct accel_quant_places qlinear_conv_places = {.b = 3,
                                                              .a_scale = 1,
                                                              .a_zero = 2,
                                                              .b_scale = 4,
                                                              .b_zero = 5,
                                                              .y_scale = 6,
                                                              .y_zero = 7,
                                                              .c = 8};

static const struct accel_quant_places *conv_places(const struct accel_node *n)
{
    return n->op_type[0] == 'C' ? &conv_integer_places : &qlinear_conv_places;
}

static int first_conv_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_quant_places *p = conv_places(in->node);
    const struct accel_shape *x = &in->in[0]->shape;
    struct accel_shape y = {.has_rank = true, .rank = x->rank};
    struct accel_conv c;
    int64_t out[ACCEL_SPATIAL_MAX];

    in->out[0]->dtype = accel_quant_result(in, p);
    if (accel_conv_unsettled(in->node, x, &in->in[p->b]->shape, false, &in->out[0]->shape))
        return ACCEL_OK;
    int rc = accel_conv_sizes(in->node, x, &in->in[p->b]->shape, false, &c, out, err);
    if (rc == ACCEL_OK)
        rc = accel_quant_check(in, p, -1, (int64_t)c.cout, err);
    if (rc == ACCEL_OK)
        rc = accel_quant_single(in, p->a_zero, err);
    if (rc == ACCEL_OK && p->a_scale != 0)
        rc = accel_quant_single(in, p->a_scale, err);
    if (rc != ACCEL_OK)
        return rc;
    y.dims[0] = x->dims[0];
    y.dims[1] = (int64_t)c.cout;
    for (uint32_t i = 0; i < c.spatial; i++)
        y.dims[2 + i] = out[i];
    if (p->c != 0 && accel_given(in->node, p->c)) {
        const struct accel_shape *b = &in->in[p->c]->shape;

        if (b->rank != 1 || (b->dims[0] >= 0 && (size_t)b->dims[0] != c.cout))
            return accel_fail(err, ACCEL_E_INVALID, "the bias must have %zu elements", c.cout);
    }
    in->out[0]->shape = y;
    if (accel_shape_static(&y) && accel_shape_static(x) && x->dims[0] > 0) {
        c.batch = (size_t)x->dims[0];
        return accel_conv_check(&c, err);
    }
    return ACCEL_OK;
}

/* Weights are packed by channels, groups and kernel alone: any image will do. */
static int conv_prepack(struct accel_prepack *pack, struct accel_error *err)
{
    const struct accel_quant_places *p = conv_places(pack->node);
    const struct accel_tensor *w = accel_prepack_input(pack, p->b);
    struct accel_shape ws, x = {.has_rank = true};
    struct accel_conv c;
    int64_t out[ACCEL_SPATIAL_MAX];
    size_t bytes;
    void *blob;
    bool fill;

    if (w == NULL)
        return ACCEL_OK; /* computed by the graph: packed at each run */
    ws = accel_shape_of(w);
    x.rank = w->rank;
    for (uint32_t i = 0; i < ACCEL_RANK_MAX; i++)
        x.dims[i] = ACCEL_DIM_ANY;
    int rc = accel_conv_sizes(pack->node, &x, &ws, false, &c, out, err);
    if (rc != ACCEL_OK)
        return rc;
    if (!accel_qconv_packed_bytes(pack->kernels, &c, &bytes))
        return accel_fail(err, ACCEL_E_INVALID, "the weights of the convolution are too large");
    if (bytes == 0)
        return ACCEL_OK;
    rc = accel_prepack_blob(pack, 0, bytes, &blob, &fill, err);
    if (rc == ACCEL_OK && fill)
        accel_qconv_pack(pack->kernels, &c, w->dtype == ACCEL_DTYPE_INT8, w->data, blob);
    pack->consumed = 1u << p->b;
    return rc;
}

static int first_conv_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    const struct accel_quant_places *p = conv_places(prep->node);
    struct accel_conv *c = accel_prepare_state(prep, sizeof(*c), err);
    int64_t out[ACCEL_SPATIAL_MAX];

    if (c == NULL)
        return ACCEL_E_NOMEM;
    const int rc = accel_conv_sizes(prep->node, &prep->in[0]->shape, &prep->in[p->b]->shape, false,
                                    c, out, err);
    if (rc != ACCEL_OK)
        return rc;
    c->batch = (size_t)prep->in[0]->shape.dims[0];
    if (!accel_qconv_scratch_bytes(prep->kernels, c, prep->blobs[0] != NULL, prep->threads,
                                   &prep->scratch_bytes))
        return accel_fail(err, ACCEL_E_INVALID, "its work space overflows");
    return ACCEL_OK;
}

static int first_conv_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_quant_places *p = conv_places(run->node);
    struct accel_qconv c = {.conv = *(const struct accel_conv *)run->state,
                            .x = run->in[0]->data,
                            .w = run->in[p->b]->data,
                            .x_signed = accel_quant_signed(run->in[0]),
                            .w_signed = accel_quant_signed(run->in[p->b]),
                            .x_zero = accel_quant_zero(run, p->a_zero),
                            .w_zero = accel_quant_data(run, p->b_zero),
                            .w_zero_stride = accel_quant_stride(run, p->b_zero),
                            .bias = accel_quant_data(run, p->c),
                            .packed_w = run->blobs[0],
                            .out = accel_quant_out_of(run, p)};

    (void)err;
    if (run->out[0]->size_bytes > 0)
        accel_qconv(run->kernels, run->pool, &c, run->scratch);
    return ACCEL_OK;
}

static int conv_infer(struct accel_infer *in, struct accel_error *err)
{
    return accel_channels_last_infer(in, first_conv_infer, err);
}

static int conv_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    return accel_channels_last_prepare(prep, first_conv_prepare, err);
}

static int conv_run(struct accel_run *run, struct accel_error *err)
{
    return accel_channels_last_run(run, first_conv_run, err);
}

static void conv_cost(const struct accel_prepare *prep, struct accel_cost *cost)
{
    /* From the shapes alone: an analysis asks without having prepared anything. */
    const struct accel_quant_places *p = conv_places(prep->node);
    struct accel_conv c;
    int64_t out[ACCEL_SPATIAL_MAX];
    size_t elements = 0;
    bool one = true;

    const struct accel_shape x = accel_attr_int(prep->node, "channels_last", 0) != 0
                                     ? accel_channels_first_of(&prep->in[0]->shape)
                                     : prep->in[0]->shape;
    if (accel_conv_sizes(prep->node, &x, &prep->in[p->b]->shape, false, &c, out, NULL) != ACCEL_OK)
        return;
    double taps = (double)c.cin / (double)c.groups;
    accel_shape_elements(&prep->out[0]->shape, &elements);
    for (unsigned i = 0; i < c.spatial; i++) {
        taps *= (double)c.kernel[i];
        one = one && c.kernel[i] == 1;
    }
    cost->flops = 2 * taps * (double)elements;
    cost->kind = c.groups > 1 && c.cin == c.groups ? ACCEL_KIND_DEPTHWISE
                 : one                             ? ACCEL_KIND_POINTWISE
                                                   : ACCEL_KIND_CONV;
    cost->items = (double)elements; /* each is rounded and saturated */
}

#define F32 ACCEL_T(FLOAT)
#define I32 ACCEL_T(INT32)
#define Q8  ACCEL_T_Q8
#define OPT ACCEL_ARG_OPTIONAL

static const struct accel_attr_rule conv_attrs[] = {ACCEL_CONV_ATTRS, {0}};
static const struct accel_attr_rule ms_conv_attrs[] = {
    ACCEL_CONV_ATTRS, {"channels_last", ACCEL_ATTR_INT, 0}, {0}};

#define QLINEAR(of, version, rules)                                                             \
    {                                                                                           \
        .name = "QLinearConv", .domain = of, .since = version, .kind = ACCEL_KIND_CONV,         \
        .in = {ACCEL_QUANTISED_PAIR("x", "w"),                                                  \
               {"y_scale", F32, 0, 0},                                                          \
               {"y_zero_point", Q8, 'Y', 0},                                                    \
               {"B", I32, 0, OPT}},                                                             \
        .out = {{"y", Q8, 'Y', 0}}, .attrs = rules, .parse = accel_conv_parse,                  \
        .infer = conv_infer, .prepack = conv_prepack, .prepare = conv_prepare, .run = conv_run, \
        .cost = conv_cost                                                                       \
    }

const struct accel_op accel_ops_qconv[] = {
    {.name = "ConvInteger",
     .domain = "",
     .since = 10,
     .kind = ACCEL_KIND_CONV,
     .in = {{"x", Q8, 'A', 0},
            {"w", Q8, 'B', 0},
            {"x_zero_point", Q8, 'A', OPT},
            {"w_zero_point", Q8, 'B', OPT}},
     .out = {{"y", I32, 0, 0}},
     .attrs = conv_attrs,
     .parse = accel_conv_parse,
     .infer = conv_infer,
     .prepack = conv_prepack,
     .prepare = conv_prepare,
     .run = conv_run,
     .cost = conv_cost},
    QLINEAR("", 10, conv_attrs),
    QLINEAR("com.microsoft", 1, ms_conv_attrs),
    {0},
};
