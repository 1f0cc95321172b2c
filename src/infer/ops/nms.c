/* SPDX-License-Identifier: Apache-2.0 */
/* NonMaxSuppression. */
#include "infer/kernels/boxes.h"

#include "infer/ops/elements.h"

/* boxes [batches, n, 4], scores [batches, classes, n] */
static int nms_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *b = &in->in[0]->shape, *s = &in->in[1]->shape;
    char text[2][ACCEL_SHAPE_TEXT];

    if (b->rank != 3 || s->rank != 3 || (b->dims[2] >= 0 && b->dims[2] != 4) ||
        (b->dims[0] >= 0 && s->dims[0] >= 0 && b->dims[0] != s->dims[0]) ||
        (b->dims[1] >= 0 && s->dims[2] >= 0 && b->dims[1] != s->dims[2]))
        return accel_fail(err, ACCEL_E_INVALID,
                          "boxes of shape %s and scores of shape %s, not [batches, n, 4] and "
                          "[batches, classes, n]",
                          accel_shape_format(b, text[0]), accel_shape_format(s, text[1]));
    for (size_t i = 2; i < in->node->inputs_count; i++) {
        size_t n;

        if (in->in[i] != NULL && accel_shape_elements(&in->in[i]->shape, &n) && n != 1)
            return accel_fail(err, ACCEL_E_INVALID, "input %zu is not one number", i);
    }
    in->out[0]->dtype = ACCEL_DTYPE_INT64;
    in->out[0]->shape =
        (struct accel_shape){.has_rank = true, .rank = 2, .dims = {ACCEL_DIM_ANY, 3}};
    return ACCEL_OK;
}

/* Scratch: order[n], work[n], what is taken of every class: of batches x classes x n at most. */
static int nms_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    const int64_t *s = prep->in[1]->shape.dims;
    size_t all;

    if (!accel_shape_elements(&prep->in[1]->shape, &all) ||
        __builtin_add_overflow(all, 2 * (size_t)s[2], &all) ||
        __builtin_mul_overflow(all, sizeof(size_t), &prep->scratch_bytes))
        return accel_fail(err, ACCEL_E_INVALID, "its work space overflows");
    return ACCEL_OK;
}

/* Thresholds and the limit, from the optional inputs. */
static int options(const struct accel_run *run, struct accel_nms *nms, struct accel_error *err)
{
    const struct accel_node *n = run->node;

    nms->centered = accel_attr_int(n, "center_point_box", 0) != 0;
    if (accel_given(n, 2)) {
        const int64_t most = *(const int64_t *)run->in[2]->data;

        nms->most = most > 0 ? (size_t)most : 0;
    }
    if (accel_given(n, 3))
        nms->iou = *(const float *)run->in[3]->data;
    if (accel_given(n, 4))
        nms->least = run->in[4]->data;
    if (!(nms->iou >= 0 && nms->iou <= 1))
        return accel_fail(err, ACCEL_E_INVALID, "iou_threshold is %g, not in 0..1",
                          (double)nms->iou);
    return ACCEL_OK;
}

static int nms_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *scores = run->in[1];
    const size_t batches = (size_t)scores->dims[0], classes = (size_t)scores->dims[1];
    struct accel_nms nms = {.n = (size_t)scores->dims[2]};
    size_t *order = run->scratch, *work = order + nms.n, *taken = work + nms.n, total = 0;
    int rc = options(run, &nms, err);

    if (rc != ACCEL_OK)
        return rc;
    /* Each class is searched once and keeps what it takes in a row of n. */
    for (size_t i = 0; i < batches * classes; i++) {
        size_t *own = taken + i * nms.n;

        nms.boxes = (const float *)run->in[0]->data + i / classes * nms.n * 4;
        nms.scores = (const float *)scores->data + i * nms.n;
        const size_t found = accel_nms(run->pool, &nms, own, order, work);
        if (found < nms.n)
            own[found] = SIZE_MAX; /* the end */
        total += found;
    }
    const struct accel_shape shape = {.has_rank = true, .rank = 2, .dims = {(int64_t)total, 3}};
    rc = accel_run_output(run, 0, &shape, err);
    if (rc != ACCEL_OK || run->out[0] == NULL)
        return rc;
    int64_t *y = run->out[0]->data;
    for (size_t i = 0; i < batches * classes; i++) {
        const size_t *own = taken + i * nms.n;

        for (size_t k = 0; k < nms.n && own[k] != SIZE_MAX; k++, y += 3) {
            y[0] = (int64_t)(i / classes);
            y[1] = (int64_t)(i % classes);
            y[2] = (int64_t)own[k];
        }
    }
    return ACCEL_OK;
}

static void nms_cost(const struct accel_prepare *prep, struct accel_cost *cost)
{
    size_t n = 0;

    if (accel_shape_elements(&prep->in[1]->shape, &n))
        cost->flops = (double)n * 20;
}

static const struct accel_attr_rule nms_attrs[] = {{"center_point_box", ACCEL_ATTR_INT, 0}, {0}};

/* Version 11 changed the words only. */
const struct accel_op accel_ops_nms[] = {
    {.name = "NonMaxSuppression",
     .domain = "",
     .since = 10,
     .flags = ACCEL_OP_DYNAMIC,
     .kind = ACCEL_KIND_REDUCE,
     .in = {{"boxes", ACCEL_T(FLOAT), 0, 0},
            {"scores", ACCEL_T(FLOAT), 0, 0},
            {"max_output_boxes_per_class", ACCEL_T(INT64), 0, ACCEL_ARG_OPTIONAL},
            {"iou_threshold", ACCEL_T(FLOAT), 0, ACCEL_ARG_OPTIONAL},
            {"score_threshold", ACCEL_T(FLOAT), 0, ACCEL_ARG_OPTIONAL}},
     .out = {{"selected_indices", ACCEL_T(INT64), 0, 0}},
     .attrs = nms_attrs,
     .infer = nms_infer,
     .prepare = nms_prepare,
     .run = nms_run,
     .cost = nms_cost},
    {0},
};
