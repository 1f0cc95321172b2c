/* SPDX-License-Identifier: Apache-2.0 */
/* Support vector machines: SVMClassifier, SVMRegressor. Where the standard is silent they do what
 * ONNX Runtime does, see ops/ml.h. */
#include "infer/kernels/kernels.h"
#include "infer/kernels/svm.h"
#include "infer/ops/ml.h"

#include <inttypes.h>
#include <string.h>

static int no_memory(struct accel_error *err)
{
    return accel_fail(err, ACCEL_E_NOMEM, "no memory for a linear model");
}

struct svm_params {
    struct accel_ml_labels labels; /* count 0: a regressor */
    enum accel_ml_post post;
    enum accel_svm_kernel kernel;
    float gamma, coef0, degree;
    struct accel_ml_list coefficients, vectors, rho, prob_a, prob_b;
    size_t features;
    size_t vectors_count; /* 0: linear, coefficients are [classes, features] */
    const size_t *first;  /* [classes + 1]: support vectors of class c are first[c]...first[c+1] */
    size_t pairs;         /* classifiers: pairs of classes */
    size_t columns;       /* of the scores */
    bool positive;        /* no coefficient is below 0 */
    bool one_class;
};

static int kernel_parse(const struct accel_node *n, struct svm_params *p, struct accel_error *err)
{
    static const char *const names[] = {[ACCEL_SVM_LINEAR] = "LINEAR",
                                        [ACCEL_SVM_POLY] = "POLY",
                                        [ACCEL_SVM_RBF] = "RBF",
                                        [ACCEL_SVM_SIGMOID] = "SIGMOID"};
    const char *name = accel_attr_string(n, "kernel_type", "LINEAR");
    const struct accel_ml_list params = accel_ml_list_of(n, "kernel_params");
    size_t k = 0;

    while (k < ACCEL_COUNT(names) && strcmp(names[k], name) != 0)
        k++;
    if (k == ACCEL_COUNT(names))
        return accel_fail(err, ACCEL_E_INVALID, "kernel_type is '%s'", name);
    p->kernel = (enum accel_svm_kernel)k;
    if (params.count != 0 && params.count < 3)
        return accel_fail(err, ACCEL_E_INVALID, "kernel_params has %zu entries, 3 are needed",
                          params.count);
    if (params.count > 0) {
        p->gamma = params.at[0];
        p->coef0 = params.at[1];
        p->degree = params.at[2];
    }
    p->coefficients = accel_ml_list_of(n, "coefficients");
    p->vectors = accel_ml_list_of(n, "support_vectors");
    p->rho = accel_ml_list_of(n, "rho");
    if (p->coefficients.count == 0)
        return accel_fail(err, ACCEL_E_INVALID, "coefficients are missing");
    if (p->rho.count == 0)
        return accel_fail(err, ACCEL_E_INVALID, "rho is missing");
    return accel_ml_post_of(n, &p->post, err);
}

static int check_least(const char *name, size_t count, size_t need, struct accel_error *err)
{
    return count >= need ? ACCEL_OK
                         : accel_fail(err, ACCEL_E_INVALID, "%s has %zu entries, %zu are needed",
                                      name, count, need);
}

static int vectors_parse(struct svm_params *p, struct accel_error *err)
{
    if (p->vectors.count == 0 || p->vectors.count % p->vectors_count != 0)
        return accel_fail(err, ACCEL_E_INVALID,
                          "support_vectors has %zu entries for %zu support vectors",
                          p->vectors.count, p->vectors_count);
    p->features = p->vectors.count / p->vectors_count;
    return ACCEL_OK;
}

/* Where each class's support vectors begin. */
static int classes_parse(const struct accel_node *n, struct accel_bump *mem, struct svm_params *p,
                         struct accel_error *err)
{
    size_t count;
    const int64_t *each = accel_attr_ints(n, "vectors_per_class", &count);
    size_t *first = accel_bump_alloc(mem, p->labels.count + 1, sizeof(*first));

    if (first == NULL)
        return no_memory(err);
    p->first = first;
    if (count > 0 && count != p->labels.count)
        return accel_fail(err, ACCEL_E_INVALID,
                          "vectors_per_class has %zu entries for %zu class labels", count,
                          p->labels.count);
    for (size_t c = 0; c < count; c++) {
        if (each[c] < 0 || (uint64_t)each[c] > p->vectors.count)
            return accel_fail(err, ACCEL_E_INVALID, "vectors_per_class: entry %zu is %" PRId64, c,
                              each[c]);
        first[c + 1] = first[c] + (size_t)each[c];
        if (first[c + 1] > p->vectors.count)
            return accel_fail(err, ACCEL_E_INVALID,
                              "vectors_per_class asks for more than support_vectors holds");
    }
    p->vectors_count = count > 0 ? first[count] : 0;
    return ACCEL_OK;
}

static int svmc_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                      struct accel_error *err)
{
    struct svm_params *p = accel_bump_alloc(mem, 1, sizeof(*p));
    int rc;

    if (p == NULL)
        return no_memory(err);
    *params = p;
    rc = accel_ml_labels_of(n, "classlabels_ints", "classlabels_strings", &p->labels, err);
    if (rc == ACCEL_OK)
        rc = kernel_parse(n, p, err);
    if (rc == ACCEL_OK)
        rc = classes_parse(n, mem, p, err);
    if (rc != ACCEL_OK)
        return rc;
    const size_t classes = p->labels.count;
    if (classes >= 65536)
        return accel_fail(err, ACCEL_E_LIMIT, "%zu class labels", classes);
    p->prob_a = accel_ml_list_of(n, "prob_a");
    p->prob_b = accel_ml_list_of(n, "prob_b");
    p->pairs = classes * (classes - 1) / 2;
    p->columns = classes;
    p->positive = true;
    for (size_t i = 0; i < p->coefficients.count; i++)
        p->positive = p->positive && p->coefficients.at[i] >= 0;
    if (p->vectors_count == 0) {
        p->kernel = ACCEL_SVM_LINEAR;
        if (p->coefficients.count % classes != 0)
            return accel_fail(err, ACCEL_E_INVALID, "coefficients has %zu entries for %zu classes",
                              p->coefficients.count, classes);
        p->features = p->coefficients.count / classes;
        return ACCEL_OK;
    }
    if (classes < 2)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "support vectors of a single class");
    rc = vectors_parse(p, err);
    if (rc == ACCEL_OK)
        rc = check_least("coefficients", p->coefficients.count, (classes - 1) * p->vectors_count,
                         err);
    if (rc == ACCEL_OK)
        rc = check_least("rho", p->rho.count, p->pairs, err);
    if (rc == ACCEL_OK && p->prob_a.count > 0)
        rc = check_least("prob_a", p->prob_a.count, p->pairs, err);
    if (rc == ACCEL_OK && p->prob_a.count > 0)
        rc = check_least("prob_b", p->prob_b.count, p->pairs, err);
    if (p->prob_a.count == 0)
        p->columns = classes > 2 ? p->pairs : 2;
    return rc;
}

static int svmr_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                      struct accel_error *err)
{
    struct svm_params *p = accel_bump_alloc(mem, 1, sizeof(*p));
    const int64_t count = accel_attr_int(n, "n_supports", 0);
    int rc;

    if (p == NULL)
        return no_memory(err);
    *params = p;
    rc = kernel_parse(n, p, err);
    if (rc != ACCEL_OK)
        return rc;
    if (count < 0 || (uint64_t)count > p->vectors.count)
        return accel_fail(err, ACCEL_E_INVALID,
                          "n_supports is %" PRId64 ", support_vectors has %zu entries", count,
                          p->vectors.count);
    p->one_class = accel_attr_int(n, "one_class", 0) != 0;
    p->vectors_count = (size_t)count;
    p->columns = 1;
    if (count == 0) {
        p->kernel = ACCEL_SVM_LINEAR;
        p->features = p->coefficients.count;
        return ACCEL_OK;
    }
    rc = vectors_parse(p, err);
    return rc == ACCEL_OK
               ? check_least("coefficients", p->coefficients.count, p->vectors_count, err)
               : rc;
}

static int svm_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct svm_params *p = in->node->params;

    return accel_ml_scores_infer(in, &p->labels, p->features, p->columns, err);
}

/* Per thread: a row's kernel values, its scores per pair of classes, the final scores, votes, and
 * for probabilities two matrices and a vector. */
static size_t svm_row_floats(const struct svm_params *p)
{
    const size_t classes = p->labels.count;
    const size_t pairwise = p->prob_a.count > 0 ? 2 * classes * classes + classes : 0;

    return ACCEL_ROUND_UP(p->vectors_count + p->pairs + p->columns + 2 + classes + pairwise, 16);
}

static int svm_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    (void)err;
    prep->scratch_bytes = accel_ml_floats_bytes(prep->in[0]) + svm_row_floats(prep->node->params) *
                                                                   sizeof(float) *
                                                                   ACCEL_MAX(prep->threads, 1u);
    return ACCEL_OK;
}

struct svm_job {
    const struct svm_params *p;
    const struct accel_run *run;
    const float *x;
    float *scratch;
};

static void kernel_values(const struct svm_job *j, const float *x, float *out)
{
    const struct svm_params *p = j->p;

    accel_svm_kernel(j->run->kernels, p->kernel, p->gamma, p->coef0, p->degree, p->features,
                     p->vectors_count, x, p->vectors.at, out);
}

/* The decision of each pair of classes, and its vote. Coefficients are [classes - 1, vectors]: a
 * vector has one for each class but its own. */
static void decide_pairs(const struct svm_params *p, const float *k, float *scores, uint32_t *votes)
{
    const size_t classes = p->labels.count;
    size_t pair = 0;

    memset(votes, 0, classes * sizeof(*votes));
    for (size_t a = 0; a + 1 < classes; a++) {
        for (size_t b = a + 1; b < classes; b++, pair++) {
            const float *ca = p->coefficients.at + (b - 1) * p->vectors_count;
            const float *cb = p->coefficients.at + a * p->vectors_count;
            double sum = 0;

            for (size_t v = p->first[a]; v < p->first[a + 1]; v++)
                sum += (double)(ca[v] * k[v]);
            for (size_t v = p->first[b]; v < p->first[b + 1]; v++)
                sum += (double)(cb[v] * k[v]);
            sum += (double)p->rho.at[pair];
            scores[pair] = (float)sum;
            votes[sum > 0 ? a : b]++;
        }
    }
}

/* Platt's sigmoid of each pair, then one probability per class. work: 2 classes^2 + classes. */
static void probabilities(const struct svm_params *p, const float *scores, float *work, float *z)
{
    const size_t classes = p->labels.count;
    float *r = work, *rest = work + classes * classes;
    size_t pair = 0;

    for (size_t a = 0; a < classes; a++) {
        r[a * classes + a] = 0;
        for (size_t b = a + 1; b < classes; b++, pair++) {
            const float s =
                1 - accel_ml_logistic(scores[pair] * p->prob_a.at[pair] + p->prob_b.at[pair]);
            const float least = 1.0e-7f;
            const float inside = s < least ? least : s > 1 - least ? 1 - least : s;

            r[a * classes + b] = inside;
            r[b * classes + a] = 1 - inside;
        }
    }
    accel_svm_probabilities(classes, r, rest, z);
}

/* Two classes without probabilities or votes: what ONNX Runtime makes of the scores alone. */
static size_t linear_choice(const struct svm_params *p, float most, size_t which)
{
    if (p->labels.count != 2 || p->prob_a.count > 0)
        return which;
    return p->positive ? (most >= 0.5f ? 1 : which) : (most > 0 ? 1 : which);
}

static void classify_row(const struct svm_job *j, size_t row, float *scratch)
{
    const struct svm_params *p = j->p;
    struct accel_tensor *const *out = j->run->out;
    const size_t classes = p->labels.count;
    const float *x = j->x + row * p->features;
    float *k = scratch, *pairs = k + p->vectors_count, *z = pairs + p->pairs;
    uint32_t *votes = (uint32_t *)(void *)(z + p->columns + 2);
    size_t which = 0;

    if (p->vectors_count == 0) {
        for (size_t c = 0; c < classes; c++) {
            z[c] = j->run->kernels->f32_dot(p->features, x, p->coefficients.at + c * p->features) +
                   p->rho.at[0];
            which = z[c] > z[which] ? c : which;
        }
        which = linear_choice(p, z[which], which);
        if (classes > 1)
            accel_ml_post_row(p->post, classes, z);
        else
            accel_ml_post_one(p->post, ACCEL_ML_ALONE, z[0], z);
    } else {
        kernel_values(j, x, k);
        decide_pairs(p, k, pairs, votes);
        for (size_t c = 1; c < classes; c++)
            which = votes[c] > votes[which] ? c : which;
        if (p->prob_a.count > 0) {
            probabilities(p, pairs, (float *)(void *)(votes + classes), z);
            accel_ml_post_row(p->post, classes, z);
        } else if (classes > 2) {
            memcpy(z, pairs, p->pairs * sizeof(*z));
            accel_ml_post_row(p->post, p->pairs, z);
        } else {
            z[1] = 0;
            accel_ml_post_one(p->post,
                              p->post == ACCEL_ML_NONE ? ACCEL_ML_OPPOSITE : ACCEL_ML_COMPLEMENT,
                              pairs[0], z);
        }
    }
    if (out[0] != NULL)
        accel_ml_label_write(&p->labels, which, out[0], row);
    if (j->run->node->outputs_count > 1 && out[1] != NULL)
        memcpy((float *)out[1]->data + row * p->columns, z, p->columns * sizeof(*z));
}

static void svm_rows(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct svm_job *j = context;
    const struct svm_params *p = j->p;
    float *scratch = j->scratch + thread * svm_row_floats(p);

    for (size_t r = begin; r < end; r++) {
        const float *x = j->x + r * p->features;
        float y;

        if (p->labels.count > 0) {
            classify_row(j, r, scratch);
            continue;
        }
        if (p->vectors_count == 0) {
            y = j->run->kernels->f32_dot(p->features, x, p->coefficients.at);
        } else {
            kernel_values(j, x, scratch);
            y = j->run->kernels->f32_dot(p->vectors_count, scratch, p->coefficients.at);
        }
        y += p->rho.at[0];
        /* ONNX Runtime leaves post_transform without effect here. */
        ((float *)j->run->out[0]->data)[r] = !p->one_class ? y : y > 0 ? 1.0f : -1.0f;
    }
}

static int svm_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    const struct accel_type type = {.dtype = x->dtype, .shape = accel_shape_of(x)};
    struct svm_job j = {.p = run->node->params,
                        .run = run,
                        .x = accel_ml_floats(run, x),
                        .scratch =
                            (float *)(void *)((char *)run->scratch + accel_ml_floats_bytes(&type))};

    (void)err;
    accel_pool_run(run->pool, accel_ml_rows_of(x), 1, svm_rows, &j);
    return ACCEL_OK;
}

static void svm_cost(const struct accel_prepare *prep, struct accel_cost *cost)
{
    const struct svm_params *p = prep->node->params;
    const struct accel_shape *x = &prep->in[0]->shape;
    const double rows = x->rank == 2 ? (double)x->dims[0] : 1;

    cost->flops = rows * (3.0 * (double)p->vectors.count + 2.0 * (double)p->coefficients.count);
    cost->bytes_weights = (double)(p->vectors.count + p->coefficients.count) * sizeof(float);
    /* A product alone is what the flops say; every other kernel ends in an exponential or a power.
     */
    if (p->kernel != ACCEL_SVM_LINEAR)
        cost->items = rows * (double)p->vectors_count;
}

/* ---------------------------------------------------------------- the entries */

#define SVM_ATTRS                                                                        \
    {"coefficients", ACCEL_ATTR_FLOATS, 0}, {"kernel_params", ACCEL_ATTR_FLOATS, 0},     \
        {"kernel_type", ACCEL_ATTR_STRING, 0}, {"post_transform", ACCEL_ATTR_STRING, 0}, \
        {"rho", ACCEL_ATTR_FLOATS, 0},                                                   \
    {                                                                                    \
        "support_vectors", ACCEL_ATTR_FLOATS, 0                                          \
    }
static const struct accel_attr_rule svmc_attrs[] = {SVM_ATTRS,
                                                    {"classlabels_ints", ACCEL_ATTR_INTS, 0},
                                                    {"classlabels_strings", ACCEL_ATTR_STRINGS, 0},
                                                    {"prob_a", ACCEL_ATTR_FLOATS, 0},
                                                    {"prob_b", ACCEL_ATTR_FLOATS, 0},
                                                    {"vectors_per_class", ACCEL_ATTR_INTS, 0},
                                                    {0}};
static const struct accel_attr_rule svmr_attrs[] = {
    SVM_ATTRS, {"n_supports", ACCEL_ATTR_INT, 0}, {"one_class", ACCEL_ATTR_INT, 0}, {0}};

#define ML  .domain = "ai.onnx.ml", .since = 1, .kind = ACCEL_KIND_CLASSIC
#define SVM .infer = svm_infer, .prepare = svm_prepare, .run = svm_run, .cost = svm_cost

const struct accel_op accel_ops_ml_svm[] = {
    {.name = "SVMClassifier", ML, ACCEL_ML_CLASSES, SVM, .attrs = svmc_attrs, .parse = svmc_parse},
    {.name = "SVMRegressor", ML, ACCEL_ML_TARGETS, SVM, .attrs = svmr_attrs, .parse = svmr_parse},
    {0},
};
