/* SPDX-License-Identifier: Apache-2.0 */
/* Dropout. Before version 12 inference alone; from then on it also drops elements when
 * training_mode says so: each with probability `ratio`, those that stay are divided by 1 - ratio.
 */
#include "infer/ops/random.h"

#include "infer/ops/elements.h"
#include "infer/ops/wide.h"

#include <string.h>

static int dropout_infer(struct accel_infer *in, struct accel_error *err)
{
    if (in->node->outputs_count > 1 && in->out[1] != NULL) {
        /* Version 7 gives the mask the type of the data. */
        in->out[1]->dtype = in->node->op->since < 10 ? in->in[0]->dtype : ACCEL_DTYPE_BOOL;
        in->out[1]->shape = in->in[0]->shape;
    }
    return accel_infer_same(in, err);
}

static int keep_all(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0], *y = run->out[0];

    (void)err;
    if (y->data != x->data && x->size_bytes > 0)
        memcpy(y->data, x->data, x->size_bytes);
    if (run->node->outputs_count > 1 && run->out[1] != NULL)
        /* Of what is kept the standard says true from version 12 on, and nothing before, where ONNX
         * Runtime gives zeros. */
        memset(run->out[1]->data, run->node->op->since < 12 ? 0 : 1, run->out[1]->size_bytes);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- training */

/* A float whatever its type, as ONNX Runtime reads it. */
static float ratio_of(const struct accel_run *run)
{
    if (!accel_given(run->node, 1))
        return 0.5f; /* the standard's default */
    const struct accel_tensor *ratio = run->in[1];
    return ratio->dtype == ACCEL_DTYPE_DOUBLE ? (float)*(const double *)ratio->data
                                              : *(const float *)ratio->data;
}

/* By ONNX Runtime's numbers (kernels/random.h). What is dropped is multiplied by 0: it keeps its
 * sign, and what is no finite number becomes none. */
static void drop(const struct accel_run *run, struct accel_random *g, float ratio)
{
    const struct accel_tensor *x = run->in[0], *y = run->out[0];
    bool *mask = run->node->outputs_count > 1 && run->out[1] != NULL ? run->out[1]->data : NULL;
    const float stays = 1 - ratio;
    const size_t n = accel_elements(x);

    for (size_t i = 0; i < n; i++) {
        const bool kept = accel_random_unit_f32(g) >= ratio;

        if (x->dtype == ACCEL_DTYPE_DOUBLE)
            ((double *)y->data)[i] = kept * ((const double *)x->data)[i] / (double)stays;
        else
            ((float *)y->data)[i] = (float)kept * ((const float *)x->data)[i] / stays;
        if (mask != NULL)
            mask[i] = kept;
    }
}

/* In a loop each execution begins the sequence of the next seed. */
static int begin(struct accel_run *run, struct accel_random *g, struct accel_error *err)
{
    const struct accel_attr *seed = accel_attr(run->node, "seed");
    void *kept;

    if (seed == NULL)
        return accel_random_unseeded(g, err);
    const int rc = accel_run_keep(run, sizeof(uint64_t), &kept, err);
    if (rc == ACCEL_OK)
        accel_random_begin(g, (uint64_t)*seed->ints + (*(uint64_t *)kept)++);
    return rc;
}

static int dropout_run(struct accel_run *run, struct accel_error *err)
{
    struct accel_random g;

    if (!accel_given(run->node, 2) || !*(const bool *)run->in[2]->data)
        return keep_all(run, err);
    const float ratio = ratio_of(run);
    if (!(ratio >= 0 && ratio < 1))
        return accel_fail(err, ACCEL_E_INVALID, "ratio is %g, not in [0, 1)", (double)ratio);
    if (ratio == 0)
        return keep_all(run, err);
    const int rc = begin(run, &g, err);
    if (rc == ACCEL_OK)
        drop(run, &g, ratio);
    return rc;
}

ACCEL_WIDE(dropout, NULL, dropout_run)

/* Ratio and mode are scalars, or tensors of one element. */
static int training_infer(struct accel_infer *in, struct accel_error *err)
{
    for (size_t i = 1; i < in->node->inputs_count && i < 3; i++) {
        size_t count;

        if (in->in[i] != NULL && accel_shape_static(&in->in[i]->shape) &&
            (!accel_shape_elements(&in->in[i]->shape, &count) || count != 1))
            return accel_fail(err, ACCEL_E_INVALID, "input %zu '%s' must have one element", i,
                              in->node->op->in[i].name);
    }
    return dropout_infer(in, err);
}

#define R ACCEL_T_FLOATS | ACCEL_T_HALVES

static const struct accel_attr_rule inference_attrs[] = {{"ratio", ACCEL_ATTR_FLOAT, 0}, {0}};
static const struct accel_attr_rule training_attrs[] = {{"seed", ACCEL_ATTR_INT, 0}, {0}};

#define INFERENCE(version, mask, var)                                               \
    {                                                                               \
        .name = "Dropout", .domain = "", .since = version, .kind = ACCEL_KIND_MOVE, \
        .in = {{"data", R, 'T', 0}},                                                \
        .out = {{"output", R, 'T', 0}, {"mask", mask, var, ACCEL_ARG_OPTIONAL}},    \
        .attrs = inference_attrs, .infer = dropout_infer, .run = keep_all           \
    }

const struct accel_op accel_ops_dropout[] = {
    INFERENCE(7, R, 'T'),
    INFERENCE(10, ACCEL_T(BOOL), 0),
    {.name = "Dropout",
     .domain = "",
     .since = 12,
     .flags = ACCEL_OP_RANDOM,
     .kind = ACCEL_KIND_MOVE,
     .in = {{"data", R, 'T', 0},
            {"ratio", R, 0, ACCEL_ARG_OPTIONAL},
            {"training_mode", ACCEL_T(BOOL), 0, ACCEL_ARG_OPTIONAL}},
     .out = {{"output", R, 'T', 0}, {"mask", ACCEL_T(BOOL), 0, ACCEL_ARG_OPTIONAL}},
     .attrs = training_attrs,
     .infer = training_infer,
     .prepare = dropout_wide_prepare,
     .run = dropout_wide_run},
    {0},
};
