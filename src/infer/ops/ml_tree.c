/* SPDX-License-Identifier: Apache-2.0 */
/* Ensembles of decision trees: TreeEnsembleClassifier, TreeEnsembleRegressor, TreeEnsemble.
 *
 * All that a walk relies on is checked once, when the attributes are parsed; see kernels/trees.h.
 * Ties, one score for two classes and the order of additions are those of ONNX Runtime. */
#include "infer/ops/ml_tree.h"

#include <inttypes.h>
#include <string.h>

/* ---------------------------------------------------------------- running */

static int tree_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct tree_params *p = in->node->params;
    int64_t rows, features;
    const int rc = accel_ml_rows(&in->in[0]->shape, &rows, &features, err);

    if (rc != ACCEL_OK)
        return rc;
    if (features >= 0 && features < (int64_t)p->features)
        return accel_fail(err, ACCEL_E_INVALID,
                          "nodes_featureids names feature %u, the input has %" PRId64 " features",
                          p->features - 1, features);
    if (p->labels.count > 0) {
        accel_ml_shape(in->out[0], accel_ml_label_type(&p->labels), 1, rows, 0);
        if (in->node->outputs_count > 1)
            accel_ml_shape(in->out[1], ACCEL_DTYPE_FLOAT, 2, rows, (int64_t)p->targets);
        return ACCEL_OK;
    }
    /* TreeEnsemble's output has its input's type, the others' is float. */
    accel_ml_shape(in->out[0],
                   in->node->op->since == 5 && strcmp(in->node->op_type, "TreeEnsemble") == 0
                       ? in->in[0]->dtype
                       : ACCEL_DTYPE_FLOAT,
                   2, rows, (int64_t)p->targets);
    return ACCEL_OK;
}

/* Per thread: scores, the same as floats (with room for two), and whether there are any. */
static size_t row_bytes(const struct tree_params *p)
{
    return ACCEL_ROUND_UP(p->targets * (sizeof(double) + 1) + (p->targets + 2) * sizeof(float), 64);
}

static int tree_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    const struct accel_type *x = prep->in[0];

    (void)err;
    prep->scratch_bytes = row_bytes(prep->node->params) * ACCEL_MAX(prep->threads, 1u);
    if (x->dtype != ACCEL_DTYPE_DOUBLE)
        prep->scratch_bytes += accel_ml_floats_bytes(x);
    return ACCEL_OK;
}

struct job {
    const struct tree_params *p;
    const struct accel_run *run;
    const float *x; /* one of the two is set */
    const double *x_double;
    size_t features;
    char *scratch; /* row_bytes() per thread */
};

static double rounded(const struct job *j, double v)
{
    return j->x != NULL ? (double)(float)v : v;
}

/* Score of one target on its own. */
static void finish_one(const struct job *j, double *score, float *z)
{
    const struct tree_params *p = j->p;

    if (p->trees.aggregate == ACCEL_TREE_AVERAGE)
        *score = rounded(j, *score / (double)p->trees.roots_count);
    if (p->base_count == 1)
        *score = rounded(j, *score + p->base[0]);
    accel_ml_post_one(p->post, ACCEL_ML_ALONE, (float)*score, z);
}

static void finish_targets(const struct job *j, double *score, const uint8_t *seen, float *z)
{
    const struct tree_params *p = j->p;

    if (p->targets == 1) {
        finish_one(j, score, z);
        return;
    }
    for (size_t k = 0; k < p->targets; k++) {
        if (p->trees.aggregate == ACCEL_TREE_AVERAGE)
            score[k] = rounded(j, score[k] / (double)p->trees.roots_count);
        if (p->base_count == p->targets)
            score[k] = rounded(j, score[k] + p->base[k]);
        /* As in ONNX Runtime: a target that no leaf spoke of is 0, whatever its base value. */
        score[k] = seen[k] ? score[k] : 0;
        z[k] = (float)score[k];
    }
    accel_ml_post_row(p->post, p->targets, z);
}

/* Two classes; *which: the label. One score alone speaks for both. With a score for each the label
 * is the sign of the second, not the larger of the two: so does ONNX Runtime, though it then writes
 * 0 and 1 whatever the labels are called, which is not followed here. */
static void finish_binary(const struct job *j, double *score, uint8_t *seen, float *z,
                          size_t *which)
{
    const struct tree_params *p = j->p;
    bool both = true;

    if (p->base_count == 2) {
        if (seen[1]) {
            score[1] = rounded(j, p->base[1] + score[0]);
            score[0] = -score[1];
        } else {
            score[1] = rounded(j, score[1] + p->base[1]);
            score[0] = rounded(j, score[0] + p->base[0]);
        }
    } else {
        if (p->base_count == 1)
            score[0] = rounded(j, score[0] + p->base[0]);
        both = seen[1] != 0;
    }
    const double positive = both && seen[1] ? score[1] : seen[0] ? score[0] : 0;
    const bool halves = p->binary && p->positive;

    *which = positive > (halves ? 0.5 : 0) ? 1 : 0;
    if (both) {
        z[0] = seen[0] ? (float)score[0] : 0;
        z[1] = seen[1] ? (float)score[1] : 0;
        accel_ml_post_row(p->post, 2, z);
        return;
    }
    z[1] = 0;
    accel_ml_post_one(p->post, halves ? ACCEL_ML_COMPLEMENT : ACCEL_ML_OPPOSITE, (float)score[0],
                      z);
}

static void finish_classes(const struct job *j, double *score, uint8_t *seen, float *z,
                           size_t *which)
{
    const struct tree_params *p = j->p;
    bool any = false;

    *which = 0;
    if (p->targets == 1) {
        finish_one(j, score, z);
        return;
    }
    if (p->targets == 2) {
        finish_binary(j, score, seen, z, which);
        return;
    }
    for (size_t k = 0; k < p->targets; k++) {
        if (k < p->base_count) {
            score[k] = seen[k] ? rounded(j, score[k] + p->base[k]) : p->base[k];
            seen[k] = 1;
        }
        if (seen[k] && (!any || score[k] > score[*which])) {
            *which = k;
            any = true;
        }
        z[k] = seen[k] ? (float)score[k] : 0;
    }
    accel_ml_post_row(p->post, p->targets, z);
}

static void tree_rows(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct job *j = context;
    const struct tree_params *p = j->p;
    const bool classify = p->labels.count > 0;
    struct accel_tensor *const *out = j->run->out;
    const struct accel_tensor *y =
        classify ? j->run->node->outputs_count > 1 ? out[1] : NULL : out[0];
    double *score = (double *)(void *)(j->scratch + thread * row_bytes(p));
    float *z = (float *)(void *)(score + p->targets);
    uint8_t *seen = (uint8_t *)(z + p->targets + 2);

    for (size_t r = begin; r < end; r++) {
        size_t which = 0;

        memset(score, 0, p->targets * sizeof(*score));
        memset(seen, 0, p->targets);
        if (j->x != NULL)
            accel_trees_row_f32(&p->trees, j->x + r * j->features, score, seen);
        else
            accel_trees_row_f64(&p->trees, j->x_double + r * j->features, score, seen);
        if (classify)
            finish_classes(j, score, seen, z, &which);
        else
            finish_targets(j, score, seen, z);
        if (classify && out[0] != NULL)
            accel_ml_label_write(&p->labels, which, out[0], r);
        for (size_t k = 0; k < p->targets && y != NULL; k++) {
            if (y->dtype == ACCEL_DTYPE_DOUBLE) /* finished in double but for the transform */
                ((double *)y->data)[r * p->targets + k] =
                    p->post == ACCEL_ML_NONE ? score[k] : (double)z[k];
            else
                ((float *)y->data)[r * p->targets + k] = z[k];
        }
    }
}

static int tree_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    const size_t rows = x->rank == 2 ? (size_t)x->dims[0] : 1;
    struct job j = {.p = run->node->params,
                    .run = run,
                    .features = (size_t)x->dims[x->rank - 1],
                    .scratch = run->scratch};

    (void)err;
    if (x->dtype == ACCEL_DTYPE_DOUBLE) {
        j.x_double = x->data;
    } else {
        j.x = accel_ml_floats(run, x);
        if (x->dtype != ACCEL_DTYPE_FLOAT)
            j.scratch += ACCEL_ROUND_UP(rows * j.features * sizeof(float), 64);
    }
    accel_pool_run(run->pool, rows, 16, tree_rows, &j);
    return ACCEL_OK;
}

static void tree_cost(const struct accel_prepare *prep, struct accel_cost *cost)
{
    const struct tree_params *p = prep->node->params;
    const struct accel_shape *x = &prep->in[0]->shape;
    const double rows = x->rank == 2 ? (double)x->dims[0] : 1;

    cost->flops = rows * (double)p->trees.roots_count * (p->depth + 1);
}

/* ---------------------------------------------------------------- the entries */

#define NODE_ATTRS                                                                        \
    {"nodes_falsenodeids", ACCEL_ATTR_INTS, 0}, {"nodes_featureids", ACCEL_ATTR_INTS, 0}, \
        {"nodes_hitrates", ACCEL_ATTR_FLOATS, ACCEL_ATTR_IGNORED},                        \
        {"nodes_missing_value_tracks_true", ACCEL_ATTR_INTS, 0},                          \
        {"nodes_modes", ACCEL_ATTR_STRINGS, 0}, {"nodes_nodeids", ACCEL_ATTR_INTS, 0},    \
        {"nodes_treeids", ACCEL_ATTR_INTS, 0}, {"nodes_truenodeids", ACCEL_ATTR_INTS, 0}, \
        {"nodes_values", ACCEL_ATTR_FLOATS, 0}, {"base_values", ACCEL_ATTR_FLOATS, 0},    \
    {                                                                                     \
        "post_transform", ACCEL_ATTR_STRING, 0                                            \
    }
#define NODE_TENSORS                                                      \
    {"nodes_values_as_tensor", ACCEL_ATTR_TENSOR, 0},                     \
        {"base_values_as_tensor", ACCEL_ATTR_TENSOR, 0},                  \
    {                                                                     \
        "nodes_hitrates_as_tensor", ACCEL_ATTR_TENSOR, ACCEL_ATTR_IGNORED \
    }
#define CLASS_ATTRS                                                                     \
    {"class_ids", ACCEL_ATTR_INTS, 0}, {"class_nodeids", ACCEL_ATTR_INTS, 0},           \
        {"class_treeids", ACCEL_ATTR_INTS, 0}, {"class_weights", ACCEL_ATTR_FLOATS, 0}, \
        {"classlabels_int64s", ACCEL_ATTR_INTS, 0},                                     \
    {                                                                                   \
        "classlabels_strings", ACCEL_ATTR_STRINGS, 0                                    \
    }
#define TARGET_ATTRS                                                                      \
    {"target_ids", ACCEL_ATTR_INTS, 0}, {"target_nodeids", ACCEL_ATTR_INTS, 0},           \
        {"target_treeids", ACCEL_ATTR_INTS, 0}, {"target_weights", ACCEL_ATTR_FLOATS, 0}, \
        {"n_targets", ACCEL_ATTR_INT, 0},                                                 \
    {                                                                                     \
        "aggregate_function", ACCEL_ATTR_STRING, 0                                        \
    }

static const struct accel_attr_rule classifier_attrs[] = {NODE_ATTRS, CLASS_ATTRS, {0}};
static const struct accel_attr_rule classifier3_attrs[] = {
    NODE_ATTRS, NODE_TENSORS, CLASS_ATTRS, {"class_weights_as_tensor", ACCEL_ATTR_TENSOR, 0}, {0}};
static const struct accel_attr_rule regressor_attrs[] = {NODE_ATTRS, TARGET_ATTRS, {0}};
static const struct accel_attr_rule regressor3_attrs[] = {NODE_ATTRS,
                                                          NODE_TENSORS,
                                                          TARGET_ATTRS,
                                                          {"target_weights_as_tensor",
                                                           ACCEL_ATTR_TENSOR, 0},
                                                          {0}};
static const struct accel_attr_rule ensemble_attrs[] = {
    {"aggregate_function", ACCEL_ATTR_INT, 0},
    {"leaf_targetids", ACCEL_ATTR_INTS, ACCEL_ATTR_REQUIRED},
    {"leaf_weights", ACCEL_ATTR_TENSOR, ACCEL_ATTR_REQUIRED},
    {"membership_values", ACCEL_ATTR_TENSOR, 0},
    {"n_targets", ACCEL_ATTR_INT, 0},
    {"nodes_falseleafs", ACCEL_ATTR_INTS, ACCEL_ATTR_REQUIRED},
    {"nodes_falsenodeids", ACCEL_ATTR_INTS, ACCEL_ATTR_REQUIRED},
    {"nodes_featureids", ACCEL_ATTR_INTS, ACCEL_ATTR_REQUIRED},
    {"nodes_hitrates", ACCEL_ATTR_TENSOR, ACCEL_ATTR_IGNORED},
    {"nodes_missing_value_tracks_true", ACCEL_ATTR_INTS, 0},
    {"nodes_modes", ACCEL_ATTR_TENSOR, ACCEL_ATTR_REQUIRED},
    {"nodes_splits", ACCEL_ATTR_TENSOR, ACCEL_ATTR_REQUIRED},
    {"nodes_trueleafs", ACCEL_ATTR_INTS, ACCEL_ATTR_REQUIRED},
    {"nodes_truenodeids", ACCEL_ATTR_INTS, ACCEL_ATTR_REQUIRED},
    {"post_transform", ACCEL_ATTR_INT, 0},
    {"tree_roots", ACCEL_ATTR_INTS, ACCEL_ATTR_REQUIRED},
    {0}};

#define TREE                                                                 \
    .domain = "ai.onnx.ml", .kind = ACCEL_KIND_CLASSIC, .infer = tree_infer, \
    .prepare = tree_prepare, .run = tree_run, .cost = tree_cost
#define CLASSIFIER(version, rules)                                                           \
    {                                                                                        \
        .name = "TreeEnsembleClassifier", .since = version, TREE,                            \
        .in = {{"X", ACCEL_ML_IN, 0, 0}},                                                    \
        .out = {{"Y", ACCEL_T(INT64) | ACCEL_T(STRING), 0, 0}, {"Z", ACCEL_T(FLOAT), 0, 0}}, \
        .attrs = rules, .parse = accel_tree_classifier_parse                                 \
    }
#define REGRESSOR(version, rules)                                                                  \
    {                                                                                              \
        .name = "TreeEnsembleRegressor", .since = version, TREE, .in = {{"X", ACCEL_ML_IN, 0, 0}}, \
        .out = {{"Y", ACCEL_T(FLOAT), 0, 0}}, .attrs = rules, .parse = accel_tree_regressor_parse  \
    }

const struct accel_op accel_ops_ml_tree[] = {
    CLASSIFIER(1, classifier_attrs),
    CLASSIFIER(3, classifier3_attrs),
    REGRESSOR(1, regressor_attrs),
    REGRESSOR(3, regressor3_attrs),
    {.name = "TreeEnsemble",
     .since = 5,
     TREE,
     .in = {{"X", ACCEL_T_FLOATS, 'T', 0}},
     .out = {{"Y", ACCEL_T_FLOATS, 'T', 0}},
     .attrs = ensemble_attrs,
     .parse = accel_tree_ensemble_parse},
    {0},
};
