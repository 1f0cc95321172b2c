/* SPDX-License-Identifier: Apache-2.0 */
/* com.microsoft ConvTransposeWithDynamicPads: a ConvTranspose whose pads are an input, not an
 * attribute. Each callback makes the node that ConvTranspose would be and hands that on. */
#include "infer/ops/elements.h"
#include "infer/ops/spatial.h"

#include <inttypes.h>

enum { PADS = 2, BIAS = 3 };

/* The node with the inputs X, W, B, and its params with the pads, as far as they are known. */
struct plain {
    struct accel_node node;
    struct accel_conv_params params;
    struct accel_value *inputs[3];
    bool known;
};

static void plain_of(const struct accel_node *n, struct plain *p)
{
    p->params = *(const struct accel_conv_params *)n->params;
    p->node = *n;
    p->node.params = &p->params;
    p->node.inputs = p->inputs;
    p->node.inputs_count = 3;
    p->inputs[0] = n->inputs[0];
    p->inputs[1] = n->inputs[1];
    p->inputs[2] = accel_given(n, BIAS) ? n->inputs[BIAS] : NULL;
    p->known = false;
}

/* Fills in the pads. VALID says nothing against them; SAME finds its own. */
static int pads_of(const struct accel_infer *in, struct plain *p, struct accel_error *err)
{
    struct accel_spatial_attrs *s = &p->params.spatial;
    const struct accel_shape *x = &in->in[0]->shape, *pads = &in->in[PADS]->shape;
    const int64_t want = x->rank < 2 ? 0 : 2 * ((int64_t)x->rank - 2);

    if (pads->rank != 1 || (pads->dims[0] >= 0 && pads->dims[0] != want))
        return accel_fail(err, ACCEL_E_INVALID, "Pads is no list of %" PRId64 " numbers", want);
    p->known = accel_infer_ints(in, PADS, s->pads, ACCEL_COUNT(s->pads), &s->pads_count);
    if (!p->known) {
        s->pads_count = 0;
        return ACCEL_OK;
    }
    for (size_t i = 0; i < s->pads_count; i++)
        if (s->pads[i] < 0 || s->pads[i] > INT32_MAX)
            return accel_fail(err, ACCEL_E_INVALID,
                              "Pads[%zu] is %" PRId64 ": pads must be 0 or more", i, s->pads[i]);
    if (s->auto_pad == ACCEL_PAD_VALID)
        s->auto_pad = ACCEL_PAD_NOTSET;
    return ACCEL_OK;
}

static int dynamic_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_type *types[3] = {in->in[0], in->in[1],
                                         accel_given(in->node, BIAS) ? in->in[BIAS] : NULL};
    struct plain p;

    if (!accel_given(in->node, PADS))
        return accel_fail(err, ACCEL_E_INVALID, "input 2 'Pads' is left out; it is needed");
    plain_of(in->node, &p);
    int rc = pads_of(in, &p, err);
    if (rc != ACCEL_OK)
        return rc;
    struct accel_infer plain = {.node = &p.node, .in = types, .out = in->out, .mem = in->mem};
    rc = accel_convt_infer(&plain, err);
    for (uint32_t i = 2; rc == ACCEL_OK && !p.known && i < in->out[0]->shape.rank; i++)
        in->out[0]->shape.dims[i] = ACCEL_DIM_ANY;
    return rc;
}

static int dynamic_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    const struct accel_type *types[3] = {prep->in[0], prep->in[1],
                                         accel_given(prep->node, BIAS) ? prep->in[BIAS] : NULL};
    const struct accel_infer in = {.node = prep->node, .in = prep->in, .mem = prep->mem};
    struct accel_prepare plain = *prep;
    struct plain p;

    plain_of(prep->node, &p);
    int rc = pads_of(&in, &p, err);
    if (rc == ACCEL_OK && !p.known)
        rc = accel_fail(err, ACCEL_E_INVALID, "its pads are not known");
    if (rc != ACCEL_OK)
        return rc;
    plain.node = &p.node;
    plain.in = types;
    rc = accel_convt_prepare(&plain, err);
    prep->state = plain.state;
    prep->scratch_bytes = plain.scratch_bytes;
    return rc;
}

static int dynamic_run(struct accel_run *run, struct accel_error *err)
{
    struct accel_tensor *tensors[3] = {run->in[0], run->in[1],
                                       accel_given(run->node, BIAS) ? run->in[BIAS] : NULL};
    struct accel_run plain = *run;
    struct plain p;

    plain_of(run->node, &p);
    plain.node = &p.node;
    plain.in = tensors;
    return accel_convt_run(&plain, err);
}

#define F32 ACCEL_T(FLOAT)

static const struct accel_attr_rule dynamic_attrs[] = {{"auto_pad", ACCEL_ATTR_STRING, 0},
                                                       {"dilations", ACCEL_ATTR_INTS, 0},
                                                       {"group", ACCEL_ATTR_INT, 0},
                                                       {"kernel_shape", ACCEL_ATTR_INTS, 0},
                                                       {"strides", ACCEL_ATTR_INTS, 0},
                                                       {"output_padding", ACCEL_ATTR_INTS, 0},
                                                       {0}};

const struct accel_op accel_ops_dynamic_pads[] = {
    {.name = "ConvTransposeWithDynamicPads",
     .domain = "com.microsoft",
     .since = 1,
     .kind = ACCEL_KIND_CONV,
     .in = {{"X", F32, 'T', 0},
            {"W", F32, 'T', 0},
            {"Pads", ACCEL_T(INT64), 0, ACCEL_ARG_OPTIONAL},
            {"B", F32, 'T', ACCEL_ARG_OPTIONAL}},
     .out = {{"Y", F32, 'T', 0}},
     .attrs = dynamic_attrs,
     .parse = accel_conv_parse,
     .infer = dynamic_infer,
     .prepack = accel_convt_prepack,
     .prepare = dynamic_prepare,
     .run = dynamic_run,
     .cost = accel_conv_cost},
    {0},
};
