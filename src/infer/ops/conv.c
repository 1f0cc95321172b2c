/* SPDX-License-Identifier: Apache-2.0 */
/* Conv, ConvTranspose, com.microsoft FusedConv: 1 to 3 spatial dimensions. */
#include "infer/ops/activation.h"
#include "infer/ops/op.h"
#include "infer/ops/spatial.h"

#include <string.h>

int accel_conv_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                     struct accel_error *err)
{
    struct accel_conv_params *p = accel_bump_alloc(mem, 1, sizeof(*p));

    if (p == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its attributes");
    *params = p;
    p->group = accel_attr_int(n, "group", 1);
    if (p->group < 1)
        return accel_fail(err, ACCEL_E_INVALID, "group is %lld", (long long)p->group);
    int rc = accel_spatial_parse(n, &p->spatial, err);
    if (rc == ACCEL_OK)
        rc = accel_spatial_list(n, "output_padding", 0, p->output_padding, &p->output_padding_count,
                                err);
    if (rc == ACCEL_OK)
        rc = accel_spatial_list(n, "output_shape", 1, p->output_shape, &p->output_shape_count, err);
    if (rc == ACCEL_OK)
        rc = accel_fused_activation(n, &p->act, err);
    return rc;
}

int accel_conv_sizes(const struct accel_node *n, const struct accel_shape *x,
                     const struct accel_shape *w, bool transposed, struct accel_conv *c,
                     int64_t out[ACCEL_SPATIAL_MAX], struct accel_error *err)
{
    const struct accel_conv_params *p = n->params;
    const uint32_t spatial = x->rank - 2;

    if (x->rank < 3 || x->rank > 2 + ACCEL_SPATIAL_MAX)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "an input of rank %u", x->rank);
    if (w->rank != x->rank)
        return accel_fail(err, ACCEL_E_INVALID, "input of rank %u, weights of rank %u", x->rank,
                          w->rank);
    *c = (struct accel_conv){.spatial = spatial, .groups = (size_t)p->group};
    for (uint32_t i = 0; i < w->rank; i++)
        if (w->dims[i] <= 0)
            return accel_fail(err, w->dims[i] == 0 ? ACCEL_E_INVALID : ACCEL_E_UNSUPPORTED,
                              "weights whose shape is %s", w->dims[i] == 0 ? "empty" : "not known");
    c->cin = transposed ? (size_t)w->dims[0] : (size_t)w->dims[1] * c->groups;
    c->cout = transposed ? (size_t)w->dims[1] * c->groups : (size_t)w->dims[0];
    if (c->groups > 1u << 30 || c->cin % c->groups != 0 || c->cout % c->groups != 0)
        return accel_fail(err, ACCEL_E_INVALID, "%zu groups do not divide %zu and %zu channels",
                          c->groups, c->cin, c->cout);
    if (x->dims[1] >= 0 && (size_t)x->dims[1] != c->cin)
        return accel_fail(err, ACCEL_E_INVALID, "input of %lld channels, the weights are for %zu",
                          (long long)x->dims[1], c->cin);
    for (uint32_t i = 0; i < spatial; i++) {
        struct accel_axis_window win;
        const int64_t kernel = w->dims[2 + i];

        if (p->spatial.kernel_count > 0 &&
            (p->spatial.kernel_count != spatial || p->spatial.kernel[i] != kernel))
            return accel_fail(err, ACCEL_E_INVALID, "kernel_shape differs from the weights");
        int rc = accel_spatial_axis(&p->spatial, spatial, i, kernel, &win, err);
        if (rc != ACCEL_OK)
            return rc;
        c->kernel[i] = (size_t)kernel;
        c->stride[i] = (size_t)win.stride;
        c->dilation[i] = (size_t)win.dilation;
        out[i] = ACCEL_DIM_ANY;
        if (x->dims[2 + i] < 0)
            continue;
        c->in[i] = (size_t)x->dims[2 + i];
        if (transposed) {
            const int64_t extra = i < p->output_padding_count ? p->output_padding[i] : 0;
            const int64_t want = p->output_shape_count == spatial ? p->output_shape[i] : -1;

            rc = accel_spatial_transposed(&win, x->dims[2 + i], extra, want, &out[i], err);
        } else {
            rc = accel_spatial_resolve(&win, x->dims[2 + i], err);
            out[i] = rc == ACCEL_OK ? (int64_t)accel_conv_out(c->in[i], c->kernel[i], c->stride[i],
                                                              c->dilation[i], (size_t)win.pad_begin,
                                                              (size_t)win.pad_end)
                                    : 0;
        }
        if (rc != ACCEL_OK)
            return rc;
        if (out[i] <= 0)
            return accel_fail(err, ACCEL_E_INVALID, "a kernel of %lld does not fit into %zu",
                              (long long)kernel, c->in[i]);
        c->pad_begin[i] = (size_t)win.pad_begin;
        c->out[i] = (size_t)out[i];
    }
    return ACCEL_OK;
}

bool accel_conv_unsettled(const struct accel_node *n, const struct accel_shape *x,
                          const struct accel_shape *w, bool transposed, struct accel_shape *y)
{
    const struct accel_conv_params *p = n->params;

    if (accel_shape_static(w) || x->rank != w->rank || x->rank < 3)
        return false;
    *y = (struct accel_shape){.has_rank = true, .rank = x->rank};
    y->dims[0] = x->dims[0];
    y->dims[1] = w->dims[transposed ? 1 : 0];
    if (transposed && (y->dims[1] < 0 || __builtin_mul_overflow(y->dims[1], p->group, &y->dims[1])))
        y->dims[1] = ACCEL_DIM_ANY;
    for (uint32_t i = 2; i < y->rank; i++)
        y->dims[i] = ACCEL_DIM_ANY;
    return true;
}

/* Which input is added to the result: a pass's residual, or FusedConv's Z; -1: none. */
static int32_t residual_of(const struct accel_node *n)
{
    const bool has_z = n->epilogue.add < 0 && n->inputs_count > 3 && n->inputs[3] != NULL;

    return has_z ? 3 : n->epilogue.add;
}

static int infer_either(struct accel_infer *in, bool transposed, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape, *w = &in->in[1]->shape;
    struct accel_type *y = in->out[0];
    struct accel_conv c;
    int64_t out[ACCEL_SPATIAL_MAX];

    y->dtype = in->in[0]->dtype;
    if (accel_conv_unsettled(in->node, x, w, transposed, &y->shape))
        return ACCEL_OK;
    const int rc = accel_conv_sizes(in->node, x, w, transposed, &c, out, err);
    if (rc != ACCEL_OK)
        return rc;
    y->shape = (struct accel_shape){.has_rank = true, .rank = x->rank};
    y->shape.dims[0] = x->dims[0];
    y->shape.dims[1] = (int64_t)c.cout;
    for (uint32_t i = 0; i < c.spatial; i++)
        y->shape.dims[2 + i] = out[i];
    if (in->node->inputs_count > 2 && in->in[2] != NULL &&
        (in->in[2]->shape.rank != 1 ||
         (in->in[2]->shape.dims[0] >= 0 && (size_t)in->in[2]->shape.dims[0] != c.cout)))
        return accel_fail(err, ACCEL_E_INVALID, "the bias must have %zu elements", c.cout);
    /* One whose shape only a run knows is looked at again then. */
    const struct accel_shape *z =
        residual_of(in->node) >= 0 ? &in->in[residual_of(in->node)]->shape : NULL;
    if (z != NULL && accel_shape_static(&y->shape) && accel_shape_static(z) &&
        !accel_shape_equal(z, &y->shape))
        return accel_fail(err, ACCEL_E_INVALID, "the residual has another shape");
    if (accel_shape_static(&y->shape) && accel_shape_static(x) && x->dims[0] > 0) {
        c.batch = (size_t)x->dims[0];
        return accel_conv_check(&c, err);
    }
    return ACCEL_OK;
}

static int conv_infer(struct accel_infer *in, struct accel_error *err)
{
    return infer_either(in, false, err);
}

int accel_convt_infer(struct accel_infer *in, struct accel_error *err)
{
    return infer_either(in, true, err);
}

/* A conv as packing looks at it. The form of the product follows from the declared shape, where
 * that fixes the image's size; else the upright form serves every size. */
static int weight_sizes(const struct accel_prepack *pack, const struct accel_tensor *w,
                        bool transposed, struct accel_conv *c, struct accel_error *err)
{
    const struct accel_shape ws = accel_shape_of(w), *declared = &pack->node->inputs[0]->type.shape;
    struct accel_shape x = {.has_rank = true, .rank = w->rank};
    int64_t out[ACCEL_SPATIAL_MAX];
    bool fixed = true;

    for (uint32_t i = 0; i < ACCEL_RANK_MAX; i++)
        x.dims[i] = ACCEL_DIM_ANY;
    if (declared->has_rank && declared->rank == w->rank)
        x = *declared;
    const int rc = accel_conv_sizes(pack->node, &x, &ws, transposed, c, out, err);
    if (rc != ACCEL_OK)
        return rc;
    c->batch = 1;
    for (uint32_t i = 0; i < c->spatial; i++)
        fixed = fixed && x.dims[2 + i] >= 0;
    for (uint32_t i = 0; !fixed && i < c->spatial; i++)
        c->in[i] = c->out[i] = 1;
    c->turned = fixed && !transposed && accel_conv_f32_turn(pack->kernels, c);
    return ACCEL_OK;
}

/* Which blob holds the weights tells the form that they are packed for. */
enum { BLOB_UPRIGHT, BLOB_TURNED };

static int prepack_either(struct accel_prepack *pack, bool transposed, struct accel_error *err)
{
    const struct accel_tensor *w = accel_prepack_input(pack, 1);
    struct accel_conv c;
    size_t bytes;
    void *blob;
    bool fill;

    if (w == NULL)
        return ACCEL_OK; /* computed by the graph: packed at each run */
    int rc = weight_sizes(pack, w, transposed, &c, err);
    if (rc == ACCEL_OK)
        rc = transposed ? accel_convt_f32_packed_bytes(pack->kernels, &c, &bytes, err)
                        : accel_conv_f32_packed_bytes(pack->kernels, &c, &bytes, err);
    if (rc == ACCEL_OK)
        rc = accel_prepack_blob(pack, c.turned ? BLOB_TURNED : BLOB_UPRIGHT, bytes, &blob, &fill,
                                err);
    if (rc == ACCEL_OK && fill && transposed)
        accel_convt_f32_pack(pack->kernels, &c, w->data, blob);
    else if (rc == ACCEL_OK && fill)
        accel_conv_f32_pack(pack->kernels, &c, w->data, blob);
    pack->consumed = 1u << 1;
    return rc;
}

static int conv_prepack(struct accel_prepack *pack, struct accel_error *err)
{
    return prepack_either(pack, false, err);
}

int accel_convt_prepack(struct accel_prepack *pack, struct accel_error *err)
{
    return prepack_either(pack, true, err);
}

struct conv_state {
    struct accel_conv conv;
    const void *packed;  /* the model's; NULL: the weights are no constant */
    size_t packed_bytes; /* at the start of the scratch, when the weights are no constant */
    bool empty;
};

static int prepare_either(struct accel_prepare *prep, bool transposed, struct accel_error *err)
{
    struct conv_state *s = accel_prepare_state(prep, sizeof(*s), err);
    int64_t out[ACCEL_SPATIAL_MAX];
    size_t scratch, packed;

    if (s == NULL)
        return ACCEL_E_NOMEM;
    int rc = accel_conv_sizes(prep->node, &prep->in[0]->shape, &prep->in[1]->shape, transposed,
                              &s->conv, out, err);
    if (rc != ACCEL_OK)
        return rc;
    s->conv.batch = (size_t)prep->in[0]->shape.dims[0];
    s->empty = s->conv.batch == 0;
    if (s->empty)
        return ACCEL_OK;
    rc = accel_conv_check(&s->conv, err);
    s->packed =
        prep->blobs[BLOB_TURNED] != NULL ? prep->blobs[BLOB_TURNED] : prep->blobs[BLOB_UPRIGHT];
    s->conv.turned = prep->blobs[BLOB_TURNED] != NULL;
    if (rc == ACCEL_OK && s->conv.turned && !accel_conv_f32_turn(prep->kernels, &s->conv))
        rc = accel_fail(err, ACCEL_E_CORRUPT, "weights packed for an image of another size");
    if (rc == ACCEL_OK)
        rc = transposed ? accel_convt_f32_scratch_bytes(prep->kernels, &s->conv, prep->threads,
                                                        &scratch, err)
                        : accel_conv_f32_scratch_bytes(prep->kernels, &s->conv, prep->threads,
                                                       &scratch, err);
    if (rc == ACCEL_OK && s->packed == NULL) {
        rc = transposed ? accel_convt_f32_packed_bytes(prep->kernels, &s->conv, &packed, err)
                        : accel_conv_f32_packed_bytes(prep->kernels, &s->conv, &packed, err);
        if (rc == ACCEL_OK)
            s->packed_bytes = ACCEL_ROUND_UP(packed, 64);
    }
    if (rc == ACCEL_OK && __builtin_add_overflow(scratch, s->packed_bytes, &prep->scratch_bytes))
        rc = accel_fail(err, ACCEL_E_INVALID, "its work space overflows");
    return rc;
}

static int conv_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    return prepare_either(prep, false, err);
}

int accel_convt_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    return prepare_either(prep, true, err);
}

static struct accel_conv_epilogue epilogue_of(const struct accel_run *run)
{
    const struct accel_conv_params *p = run->node->params;
    const int32_t add = residual_of(run->node);
    struct accel_conv_epilogue epilogue = {
        .act = p->act.op != ACCEL_UNARY_IDENTITY ? p->act : run->node->epilogue.act};

    if (run->node->inputs_count > 2 && run->in[2] != NULL)
        epilogue.bias = run->in[2]->data;
    if (add >= 0)
        epilogue.residual = run->in[add]->data;
    return epilogue;
}

/* The one or the other way of packing weights and of convolving with them. */
static void run_either(struct accel_run *run, __typeof__(accel_conv_f32_pack) *pack,
                       __typeof__(accel_conv_f32) *convolve)
{
    const struct conv_state *s = run->state;
    const struct accel_conv_epilogue epilogue = epilogue_of(run);
    const void *packed = s->packed;

    if (s->empty)
        return;
    if (packed == NULL) {
        pack(run->kernels, &s->conv, run->in[1]->data, run->scratch);
        packed = run->scratch;
    }
    convolve(run->kernels, run->pool, &s->conv, run->in[0]->data, packed, &epilogue,
             run->out[0]->data, (char *)run->scratch + s->packed_bytes);
}

static int conv_run(struct accel_run *run, struct accel_error *err)
{
    (void)err;
    run_either(run, accel_conv_f32_pack, accel_conv_f32);
    return ACCEL_OK;
}

int accel_convt_run(struct accel_run *run, struct accel_error *err)
{
    (void)err;
    run_either(run, accel_convt_f32_pack, accel_convt_f32);
    return ACCEL_OK;
}

/* In elements; of the order of a vector. */
#define ROW_BEGIN 16

void accel_conv_cost(const struct accel_prepare *prep, struct accel_cost *cost)
{
    const struct accel_shape *x = &prep->in[0]->shape, *w = &prep->in[1]->shape;
    const struct accel_shape *y = &prep->out[0]->shape;
    const struct accel_conv_params *p = prep->node->params;
    const bool transposed = strncmp(prep->node->op_type, "ConvTranspose", 13) == 0;
    double weights = 1, places = 1;
    bool one = true;

    for (uint32_t i = 0; i < w->rank; i++) {
        weights *= (double)w->dims[i];
        one = one && (i < 2 || w->dims[i] == 1);
    }
    /* Every weight meets every position of the output (of the input when transposed). */
    for (uint32_t i = 0; i < y->rank; i++)
        if (i != 1)
            places *= (double)(transposed ? x->dims[i] : y->dims[i]);
    cost->flops = 2 * weights * places;
    cost->kind = p->group > 1 && w->dims[transposed ? 0 : 1] == (transposed ? p->group : 1)
                     ? ACCEL_KIND_DEPTHWISE
                 : one ? ACCEL_KIND_POINTWISE
                       : ACCEL_KIND_CONV;
    /* Each output position has a patch of its own, for all channels of its group, which is gathered
     * row by row of the output: a row's begin takes as long as some of its elements. */
    const double out_channels = (double)w->dims[transposed ? 1 : 0];
    const double row = (double)y->dims[y->rank - 1];
    if (cost->kind == ACCEL_KIND_CONV && out_channels > 0 && row > 0)
        cost->items = weights * places / out_channels * (transposed ? 1 : (double)p->group) *
                      (1 + ROW_BEGIN / row);
}

static const struct accel_attr_rule conv_attrs[] = {ACCEL_CONV_ATTRS, {0}};
static const struct accel_attr_rule convt_attrs[] = {ACCEL_CONV_ATTRS,
                                                     {"output_padding", ACCEL_ATTR_INTS, 0},
                                                     {"output_shape", ACCEL_ATTR_INTS, 0},
                                                     {0}};

static const struct accel_attr_rule fused_attrs[] = {ACCEL_CONV_ATTRS,
                                                     {"activation", ACCEL_ATTR_STRING, 0},
                                                     {"activation_params", ACCEL_ATTR_FLOATS, 0},
                                                     {0}};

#define F32 ACCEL_T(FLOAT)

const struct accel_op accel_ops_conv[] = {
    {.name = "Conv",
     .domain = "",
     .since = 1,
     .flags = ACCEL_OP_EPILOGUE | ACCEL_OP_RESIDUAL,
     .kind = ACCEL_KIND_CONV,
     .in = {{"X", F32, 'T', 0},
            {"W", F32, 'T', 0},
            {"B", F32, 'T', ACCEL_ARG_OPTIONAL},
            {"residual", F32, 'T', ACCEL_ARG_OPTIONAL | ACCEL_ARG_INTERNAL}},
     .out = {{"Y", F32, 'T', 0}},
     .attrs = conv_attrs,
     .parse = accel_conv_parse,
     .infer = conv_infer,
     .prepack = conv_prepack,
     .prepare = conv_prepare,
     .run = conv_run,
     .cost = accel_conv_cost},
    {.name = "FusedConv",
     .domain = "com.microsoft",
     .since = 1,
     .kind = ACCEL_KIND_CONV,
     .in = {{"X", F32, 'T', 0},
            {"W", F32, 'T', 0},
            {"B", F32, 'T', ACCEL_ARG_OPTIONAL},
            {"Z", F32, 'T', ACCEL_ARG_OPTIONAL}},
     .out = {{"Y", F32, 'T', 0}},
     .attrs = fused_attrs,
     .parse = accel_conv_parse,
     .infer = conv_infer,
     .prepack = conv_prepack,
     .prepare = conv_prepare,
     .run = conv_run,
     .cost = accel_conv_cost},
    {.name = "ConvTranspose",
     .domain = "",
     .since = 1,
     .flags = ACCEL_OP_EPILOGUE,
     .kind = ACCEL_KIND_CONV,
     .in = {{"X", F32, 'T', 0}, {"W", F32, 'T', 0}, {"B", F32, 'T', ACCEL_ARG_OPTIONAL}},
     .out = {{"Y", F32, 'T', 0}},
     .attrs = convt_attrs,
     .parse = accel_conv_parse,
     .infer = accel_convt_infer,
     .prepack = accel_convt_prepack,
     .prepare = accel_convt_prepare,
     .run = accel_convt_run,
     .cost = accel_conv_cost},
    {0},
};
