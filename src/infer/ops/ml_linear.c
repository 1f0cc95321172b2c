/* SPDX-License-Identifier: Apache-2.0 */
/* Linear models: LinearClassifier, LinearRegressor. Where the standard is silent they do what ONNX
 * Runtime does, see ops/ml.h. */
#include "infer/kernels/kernels.h"
#include "infer/ops/ml.h"

#include <inttypes.h>
#include <string.h>

struct linear_params {
    struct accel_ml_labels labels; /* count 0: a regressor */
    enum accel_ml_post post;
    struct accel_ml_list coefficients, intercepts; /* intercepts.count 0: none */
    size_t targets, features;
    size_t columns; /* of the scores: one score may stand for two classes */
};

static int linear_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                        struct accel_error *err)
{
    struct linear_params *p = accel_bump_alloc(mem, 1, sizeof(*p));
    const bool classify = strcmp(n->op_type, "LinearClassifier") == 0;
    int rc = ACCEL_OK;

    if (p == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a linear model");
    *params = p;
    p->coefficients = accel_ml_list_of(n, "coefficients");
    p->intercepts = accel_ml_list_of(n, "intercepts");
    if (classify) {
        rc = accel_ml_labels_of(n, "classlabels_ints", "classlabels_strings", &p->labels, err);
        p->targets = p->intercepts.count > 0 ? p->intercepts.count : p->labels.count;
        p->columns = p->targets == 1 && p->labels.count == 2 ? 2 : p->targets;
    } else {
        const int64_t targets = accel_attr_int(n, "targets", 1);

        if (targets < 1 || targets > INT32_MAX)
            return accel_fail(err, ACCEL_E_INVALID, "targets is %" PRId64, targets);
        p->targets = p->columns = (size_t)targets;
        if (p->intercepts.count > 0 && p->intercepts.count != p->targets)
            return accel_fail(err, ACCEL_E_INVALID, "intercepts has %zu entries for %zu targets",
                              p->intercepts.count, p->targets);
    }
    if (rc == ACCEL_OK)
        rc = accel_ml_post_of(n, &p->post, err);
    if (rc != ACCEL_OK)
        return rc;
    if (classify && p->targets > 1 && p->targets != p->labels.count)
        return accel_fail(err, ACCEL_E_INVALID, "intercepts has %zu entries for %zu class labels",
                          p->targets, p->labels.count);
    if (p->coefficients.count == 0 || p->coefficients.count % p->targets != 0)
        return accel_fail(err, ACCEL_E_INVALID, "coefficients has %zu entries for %zu targets",
                          p->coefficients.count, p->targets);
    p->features = p->coefficients.count / p->targets;
    return ACCEL_OK;
}

static int linear_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct linear_params *p = in->node->params;

    return accel_ml_scores_infer(in, &p->labels, p->features, p->columns, err);
}

/* One row of scores per thread, for a node whose scores nobody wants. */
static size_t linear_row_bytes(const struct linear_params *p)
{
    return ACCEL_ROUND_UP((p->targets + 1) * sizeof(float), 64);
}

static int linear_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    (void)err;
    prep->scratch_bytes = accel_ml_floats_bytes(prep->in[0]) +
                          linear_row_bytes(prep->node->params) * ACCEL_MAX(prep->threads, 1u);
    return ACCEL_OK;
}

struct linear_job {
    const struct linear_params *p;
    const struct accel_run *run;
    const float *x;
    char *scratch;
};

/* The label that the scores before any transform choose: the first of the largest. */
static void linear_label(const struct linear_params *p, const float *z,
                         const struct accel_tensor *y, size_t row)
{
    size_t which = 0;

    if (p->targets > 1) {
        for (size_t k = 1; k < p->targets; k++)
            which = z[k] > z[which] ? k : which;
        accel_ml_label_write(&p->labels, which, y, row);
    } else if (p->labels.count == 2) {
        accel_ml_label_write(&p->labels, z[0] > 0, y, row);
    } else if (p->labels.ints != NULL) {
        ((int64_t *)y->data)[row] = z[0] > 0;
    } else {
        ((const char **)y->data)[row] = z[0] > 0 ? "1" : "0";
    }
}

static void linear_rows(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct linear_job *j = context;
    const struct linear_params *p = j->p;
    struct accel_tensor *const *out = j->run->out;
    const bool classify = p->labels.count > 0;
    const struct accel_tensor *scores = !classify                         ? out[0]
                                        : j->run->node->outputs_count > 1 ? out[1]
                                                                          : NULL;
    float *own = (float *)(void *)(j->scratch + thread * linear_row_bytes(p));

    for (size_t r = begin; r < end; r++) {
        float *z = scores != NULL ? (float *)scores->data + r * p->columns : own;

        for (size_t k = 0; k < p->targets; k++)
            z[k] = j->run->kernels->f32_dot(p->features, j->x + r * p->features,
                                            p->coefficients.at + k * p->features) +
                   (p->intercepts.count > 0 ? p->intercepts.at[k] : 0);
        if (classify && out[0] != NULL)
            linear_label(p, z, out[0], r);
        if (p->targets > 1) {
            accel_ml_post_row(p->post, p->targets, z);
            continue;
        }
        if (p->columns == 2)
            z[1] = 0;
        accel_ml_post_one(p->post, p->columns == 2 ? ACCEL_ML_COMPLEMENT : ACCEL_ML_ALONE, z[0], z);
    }
}

static int linear_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    const struct accel_type type = {.dtype = x->dtype, .shape = accel_shape_of(x)};
    struct linear_job j = {.p = run->node->params,
                           .run = run,
                           .x = accel_ml_floats(run, x),
                           .scratch = (char *)run->scratch + accel_ml_floats_bytes(&type)};

    (void)err;
    accel_pool_run(run->pool, accel_ml_rows_of(x), 16, linear_rows, &j);
    return ACCEL_OK;
}

static void linear_cost(const struct accel_prepare *prep, struct accel_cost *cost)
{
    const struct linear_params *p = prep->node->params;
    const struct accel_shape *x = &prep->in[0]->shape;

    cost->flops = 2 * (x->rank == 2 ? (double)x->dims[0] : 1) * (double)p->coefficients.count;
    cost->bytes_weights = (double)p->coefficients.count * sizeof(float);
}

/* ---------------------------------------------------------------- the entries */

static const struct accel_attr_rule linearc_attrs[] = {
    {"classlabels_ints", ACCEL_ATTR_INTS, 0},
    {"classlabels_strings", ACCEL_ATTR_STRINGS, 0},
    {"coefficients", ACCEL_ATTR_FLOATS, ACCEL_ATTR_REQUIRED},
    {"intercepts", ACCEL_ATTR_FLOATS, 0},
    {"multi_class", ACCEL_ATTR_INT, ACCEL_ATTR_IGNORED}, /* ONNX Runtime does not read it either */
    {"post_transform", ACCEL_ATTR_STRING, 0},
    {0}};
static const struct accel_attr_rule linearr_attrs[] = {{"coefficients", ACCEL_ATTR_FLOATS, 0},
                                                       {"intercepts", ACCEL_ATTR_FLOATS, 0},
                                                       {"post_transform", ACCEL_ATTR_STRING, 0},
                                                       {"targets", ACCEL_ATTR_INT, 0},
                                                       {0}};

#define ML .domain = "ai.onnx.ml", .since = 1, .kind = ACCEL_KIND_CLASSIC
#define LINEAR                                                                                  \
    .parse = linear_parse, .infer = linear_infer, .prepare = linear_prepare, .run = linear_run, \
    .cost = linear_cost

const struct accel_op accel_ops_ml_linear[] = {
    {.name = "LinearClassifier", ML, ACCEL_ML_CLASSES, LINEAR, .attrs = linearc_attrs},
    {.name = "LinearRegressor", ML, ACCEL_ML_TARGETS, LINEAR, .attrs = linearr_attrs},
    {0},
};
