/* SPDX-License-Identifier: Apache-2.0 */
/* com.microsoft operators on the streams of hyper-connections: BranchwiseRMSNorm,
 * HyperConnectionPreMix, HyperConnectionPostMix. Streams are [..., branches, hidden], or with the
 * attribute num_branches [..., branches * hidden]. All compute in float. */
#include "infer/ops/elements.h"
#include "infer/ops/wide.h"

#include <inttypes.h>
#include <string.h>

/* ---------------------------------------------------------------- shapes */

/* Streams as [rows][branches][hidden]: the first `lead` dimensions are the rows. < 0: not known. */
struct streams {
    uint32_t lead;
    bool flat;
    int64_t branches, hidden;
};

static int hyper_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                       struct accel_error *err)
{
    const int64_t branches = accel_attr_int(n, "num_branches", 0);

    (void)mem;
    (void)params;
    if (branches < 0)
        return accel_fail(err, ACCEL_E_INVALID,
                          "num_branches is %" PRId64 "; 0 stands for grouped streams", branches);
    return ACCEL_OK;
}

static int streams_of(const struct accel_node *n, const struct accel_shape *x, struct streams *s,
                      struct accel_error *err)
{
    const int64_t stated = accel_attr_int(n, "num_branches", 0);
    const uint32_t least = stated > 0 ? 1 : 2;
    char text[ACCEL_SHAPE_TEXT];

    *s = (struct streams){.flat = stated > 0};
    if (x->rank < least)
        return accel_fail(err, ACCEL_E_INVALID, "streams of rank %u, at least %u is needed",
                          x->rank, least);
    s->lead = x->rank - least;
    s->branches = s->flat ? stated : x->dims[s->lead];
    s->hidden = x->dims[x->rank - 1];
    if (s->flat && s->hidden > 0 && s->hidden % stated != 0)
        return accel_fail(err, ACCEL_E_INVALID,
                          "num_branches %" PRId64 " does not divide a last dimension of %" PRId64,
                          stated, s->hidden);
    if (s->flat && s->hidden > 0)
        s->hidden /= stated;
    if (s->branches == 0 || s->hidden == 0)
        return accel_fail(err, ACCEL_E_INVALID, "streams of shape %s: no branches or no features",
                          accel_shape_format(x, text));
    return ACCEL_OK;
}

static bool may_equal(int64_t a, int64_t b)
{
    return a < 0 || b < 0 || a == b;
}

/* The rows of `t` are those of the streams x, and `more` dimensions follow. */
static bool same_rows(const struct accel_shape *t, const struct accel_shape *x,
                      const struct streams *s, uint32_t more)
{
    bool same = t->rank == s->lead + more;

    for (uint32_t i = 0; i < s->lead && same; i++)
        same = may_equal(t->dims[i], x->dims[i]);
    return same;
}

/* A gate has one number for each branch, [..., C] or [..., C, 1], or one for each feature:
 * [..., C, H], of flat streams [..., C * H] too where that is allowed. false: neither. */
static bool gate_of(const struct accel_shape *gate, const struct accel_shape *x,
                    const struct streams *s, bool may_be_flat, bool *by_feature)
{
    const int64_t *own = &gate->dims[s->lead];

    *by_feature = false;
    if (same_rows(gate, x, s, 1) && may_equal(own[0], s->branches))
        return true;
    if (same_rows(gate, x, s, 2) && may_equal(own[0], s->branches) && own[1] == 1)
        return true;
    *by_feature = true;
    if (same_rows(gate, x, s, 2))
        return may_equal(own[0], s->branches) && may_equal(own[1], s->hidden);
    return may_be_flat && s->flat && same_rows(gate, x, s, 1) &&
           may_equal(own[0], x->dims[x->rank - 1]);
}

static int bad_shape(const struct accel_infer *in, size_t i, const char *wants,
                     struct accel_error *err)
{
    char text[2][ACCEL_SHAPE_TEXT];

    return accel_fail(err, ACCEL_E_INVALID,
                      "input %zu '%s' of shape %s beside streams of %s: it must be %s", i,
                      in->node->op->in[i].name, accel_shape_format(&in->in[i]->shape, text[0]),
                      accel_shape_format(&in->in[0]->shape, text[1]), wants);
}

/* ---------------------------------------------------------------- running */

/* Static streams, in elements. */
struct extent {
    size_t rows, branches, hidden;
    bool by_feature; /* input `gate` is */
};

static int extent_of(const struct accel_run *run, size_t gate, bool may_be_flat, struct extent *e,
                     struct accel_error *err)
{
    const struct accel_shape x = accel_shape_of(run->in[0]), g = accel_shape_of(run->in[gate]);
    struct streams s;
    const int rc = streams_of(run->node, &x, &s, err);

    if (rc != ACCEL_OK)
        return rc;
    *e = (struct extent){.rows = accel_dims_product(x.dims, 0, s.lead),
                         .branches = (size_t)s.branches,
                         .hidden = (size_t)s.hidden};
    gate_of(&g, &x, &s, may_be_flat, &e->by_feature);
    return ACCEL_OK;
}

static int work_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    if (!accel_shape_bytes(&prep->out[0]->shape, ACCEL_DTYPE_FLOAT, &prep->scratch_bytes))
        return accel_fail(err, ACCEL_E_INVALID, "its work space overflows");
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- BranchwiseRMSNorm */

static int norm_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape;
    struct streams s;
    const int rc = streams_of(in->node, x, &s, err);

    if (rc != ACCEL_OK)
        return rc;
    if (accel_given(in->node, 1)) {
        const struct accel_shape *scale = &in->in[1]->shape;
        const bool whole =
            s.hidden < 0 || s.branches < 0 || scale->dims[0] < 0 ||
            (scale->dims[0] % s.branches == 0 && scale->dims[0] / s.branches == s.hidden);

        if (!(scale->rank == 1 && (whole || scale->dims[0] == s.hidden)) &&
            !(scale->rank == 2 && may_equal(scale->dims[0], s.branches) &&
              may_equal(scale->dims[1], s.hidden)))
            return bad_shape(in, 1, "[hidden], [branches, hidden] or [branches * hidden]", err);
    }
    return accel_infer_same(in, err);
}

static int norm_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_shape x = accel_shape_of(run->in[0]);
    const struct accel_tensor *scale = accel_given(run->node, 1) ? run->in[1] : NULL;
    const size_t elements = accel_elements(run->in[0]);
    float *y = run->out[0]->data;
    struct streams s;
    const int rc = streams_of(run->node, &x, &s, err);

    if (rc != ACCEL_OK || elements == 0)
        return rc;
    const size_t hidden = (size_t)s.hidden;
    accel_layer_norm_f32(run->kernels, run->pool, elements / hidden, hidden,
                         accel_attr_float(run->node, "epsilon", 1e-5f), true, run->in[0]->data,
                         NULL, NULL, y, NULL, NULL);
    if (scale != NULL) {
        const size_t n = accel_elements(scale);
        const struct accel_nd nd = {
            .rank = 2, .dims = {elements / n, n}, .stride = {{(ptrdiff_t)n, 1}, {0, 1}}};

        accel_binary_f32(run, ACCEL_BINARY_MUL, &nd, y, scale->data, y);
    }
    return ACCEL_OK;
}

ACCEL_WIDE(norm, NULL, norm_run)

/* ---------------------------------------------------------------- HyperConnectionPreMix */

static int pre_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape;
    struct streams s;
    bool by_feature;
    const int rc = streams_of(in->node, x, &s, err);

    if (rc != ACCEL_OK)
        return rc;
    if (!gate_of(&in->in[1]->shape, x, &s, true, &by_feature))
        return bad_shape(
            in, 1, "[..., C], [..., C, 1], [..., C, H] or, of flat streams, [..., C * H]", err);
    in->out[0]->dtype = in->in[0]->dtype;
    in->out[0]->shape = *x;
    in->out[0]->shape.rank = s.lead + 1;
    in->out[0]->shape.dims[s.lead] = s.hidden < 0 ? ACCEL_DIM_ANY : s.hidden;
    return ACCEL_OK;
}

/* y[r][h] = reduction_scale * sum over c of x[r][c][h] * gate[r][c] or gate[r][c][h]; summed in the
 * order of the branches. */
static int pre_run(struct accel_run *run, struct accel_error *err)
{
    const float *x = run->in[0]->data, *gate = run->in[1]->data;
    const float scale = accel_attr_float(run->node, "reduction_scale", 1);
    float *y = run->out[0]->data, *product = run->scratch;
    struct extent e;
    const int rc = extent_of(run, 1, true, &e, err);

    if (rc != ACCEL_OK || e.rows == 0)
        return rc;
    const ptrdiff_t row = (ptrdiff_t)(e.branches * e.hidden);
    const struct accel_nd branch = {
        .rank = 2,
        .dims = {e.rows, e.hidden},
        .stride = {{row, 1}, {e.by_feature ? row : (ptrdiff_t)e.branches, e.by_feature}}};
    const struct accel_nd all = {.rank = 1, .dims = {e.rows * e.hidden}, .stride = {{1}, {1}}};
    const struct accel_nd by_number = {
        .rank = 1, .dims = {e.rows * e.hidden}, .stride = {{1}, {0}}};
    for (size_t c = 0; c < e.branches; c++) {
        accel_binary_f32(run, ACCEL_BINARY_MUL, &branch, x + c * e.hidden,
                         gate + (e.by_feature ? c * e.hidden : c), c == 0 ? y : product);
        if (c > 0)
            accel_binary_f32(run, ACCEL_BINARY_ADD, &all, y, product, y);
    }
    accel_binary_f32(run, ACCEL_BINARY_MUL, &by_number, y, &scale, y);
    return ACCEL_OK;
}

ACCEL_WIDE(pre, work_prepare, pre_run)

/* ---------------------------------------------------------------- HyperConnectionPostMix */

enum { STREAMS, BLOCK, POST, MIX };

static int post_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[STREAMS]->shape;
    const struct accel_shape *block = &in->in[BLOCK]->shape;
    struct streams s;
    bool by_feature;
    const int rc = streams_of(in->node, x, &s, err);

    if (rc != ACCEL_OK)
        return rc;
    if (!same_rows(block, x, &s, 1) || !may_equal(block->dims[s.lead], s.hidden))
        return bad_shape(in, BLOCK, "[..., hidden]", err);
    if (!gate_of(&in->in[POST]->shape, x, &s, false, &by_feature))
        return bad_shape(in, POST, "[..., C], [..., C, 1] or [..., C, H]", err);
    if (accel_given(in->node, MIX)) {
        const struct accel_shape *mix = &in->in[MIX]->shape;

        if (!same_rows(mix, x, &s, 2) || !may_equal(mix->dims[s.lead], s.branches) ||
            !may_equal(mix->dims[s.lead + 1], s.branches))
            return bad_shape(in, MIX, "[..., branches, branches]", err);
    }
    return accel_infer_same(in, err);
}

/* y[r][k][h] = sum over c of mix[r][c][k] * x[r][c][h], in the order of the branches. */
static void mix_streams(const struct accel_run *run, const struct extent *e, const float *x,
                        const float *mix, float *product, float *y)
{
    const size_t row = e->branches * e->hidden;
    const struct accel_nd source = {.rank = 3,
                                    .dims = {e->rows, e->branches, e->hidden},
                                    .stride = {{(ptrdiff_t)(e->branches * e->branches), 1, 0},
                                               {(ptrdiff_t)row, 0, 1}}};
    const struct accel_nd all = {.rank = 1, .dims = {e->rows * row}, .stride = {{1}, {1}}};

    for (size_t c = 0; c < e->branches; c++) {
        accel_binary_f32(run, ACCEL_BINARY_MUL, &source, mix + c * e->branches, x + c * e->hidden,
                         c == 0 ? y : product);
        if (c > 0)
            accel_binary_f32(run, ACCEL_BINARY_ADD, &all, y, product, y);
    }
}

/* y = the streams, mixed, + post * block. */
static int post_run(struct accel_run *run, struct accel_error *err)
{
    const float *x = run->in[STREAMS]->data;
    float *y = run->out[0]->data, *product = run->scratch;
    struct extent e;
    const int rc = extent_of(run, POST, false, &e, err);

    if (rc != ACCEL_OK || e.rows == 0)
        return rc;
    const ptrdiff_t branches = (ptrdiff_t)e.branches, hidden = (ptrdiff_t)e.hidden;
    struct accel_nd inject = {.rank = 3,
                              .dims = {e.rows, e.branches, e.hidden},
                              .stride = {{branches, 1, 0}, {hidden, 0, 1}}};
    const struct accel_nd all = {
        .rank = 1, .dims = {e.rows * e.branches * e.hidden}, .stride = {{1}, {1}}};
    if (e.by_feature) {
        inject.stride[0][0] = branches * hidden;
        inject.stride[0][1] = hidden;
        inject.stride[0][2] = 1;
    }
    if (accel_given(run->node, MIX))
        mix_streams(run, &e, x, run->in[MIX]->data, product, y);
    accel_binary_f32(run, ACCEL_BINARY_MUL, &inject, run->in[POST]->data, run->in[BLOCK]->data,
                     product);
    accel_binary_f32(run, ACCEL_BINARY_ADD, &all, accel_given(run->node, MIX) ? y : x, product, y);
    return ACCEL_OK;
}

ACCEL_WIDE(post, work_prepare, post_run)

/* Multiply and add for each branch, and for each of the branches where they are mixed. */
static void mix_cost(const struct accel_prepare *prep, struct accel_cost *cost)
{
    const struct accel_shape *x = &prep->in[0]->shape;
    struct streams s;
    size_t n;

    if (streams_of(prep->node, x, &s, NULL) == ACCEL_OK && accel_shape_elements(x, &n))
        cost->flops = 2 * (double)n * (accel_given(prep->node, MIX) ? (double)s.branches + 1 : 1);
}

/* ---------------------------------------------------------------- the entries */

#define TM (ACCEL_T(FLOAT) | ACCEL_T_HALVES)

static const struct accel_attr_rule norm_attrs[] = {
    {"num_branches", ACCEL_ATTR_INT, 0}, {"epsilon", ACCEL_ATTR_FLOAT, 0}, {0}};
static const struct accel_attr_rule pre_attrs[] = {
    {"num_branches", ACCEL_ATTR_INT, 0}, {"reduction_scale", ACCEL_ATTR_FLOAT, 0}, {0}};
static const struct accel_attr_rule post_attrs[] = {{"num_branches", ACCEL_ATTR_INT, 0}, {0}};

#define MS(op, k) .name = op, .domain = "com.microsoft", .since = 1, .kind = ACCEL_KIND_##k

const struct accel_op accel_ops_hyper_connection[] = {
    {MS("BranchwiseRMSNorm", NORM), .flops_per_value = 5,
     .in = {{"X", TM, 'T', 0}, {"scale", TM, 'M', ACCEL_ARG_OPTIONAL}}, .out = {{"Y", TM, 'T', 0}},
     .attrs = norm_attrs, .parse = hyper_parse, .infer = norm_infer, .prepare = norm_wide_prepare,
     .run = norm_wide_run},
    {MS("HyperConnectionPreMix", ELEMENTWISE),
     .in = {{"streams", TM, 'T', 0}, {"pre_mix", TM, 'M', 0}}, .out = {{"output", TM, 'T', 0}},
     .attrs = pre_attrs, .parse = hyper_parse, .infer = pre_infer, .prepare = pre_wide_prepare,
     .run = pre_wide_run, .cost = mix_cost},
    {MS("HyperConnectionPostMix", ELEMENTWISE),
     .in = {{"streams", TM, 'T', 0},
            {"block_output", TM, 'T', 0},
            {"post_mix", TM, 'M', 0},
            {"stream_mix", TM, 'M', ACCEL_ARG_OPTIONAL}},
     .out = {{"output", TM, 'T', 0}}, .attrs = post_attrs, .parse = hyper_parse,
     .infer = post_infer, .prepare = post_wide_prepare, .run = post_wide_run, .cost = mix_cost},
    {0},
};
