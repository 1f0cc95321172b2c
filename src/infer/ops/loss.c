/* SPDX-License-Identifier: Apache-2.0 */
/* NegativeLogLikelihoodLoss, SoftmaxCrossEntropyLoss. Scores [N, C, d...], labels [N, d...]. */
#include "infer/kernels/loss.h"

#include "infer/ops/elements.h"
#include "infer/ops/wide.h"

#include <inttypes.h>
#include <string.h>

static int loss_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                      struct accel_error *err)
{
    static const char *const names[] = {
        [ACCEL_LOSS_NONE] = "none", [ACCEL_LOSS_SUM] = "sum", [ACCEL_LOSS_MEAN] = "mean"};
    const char *name = accel_attr_string(n, "reduction", "mean");
    struct accel_nll *p = accel_bump_alloc(mem, 1, sizeof(*p));
    unsigned k = 0;

    if (p == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its attributes");
    while (k < ACCEL_COUNT(names) && strcmp(names[k], name) != 0)
        k++;
    if (k == ACCEL_COUNT(names))
        return accel_fail(err, ACCEL_E_INVALID, "reduction is '%s', not none, sum or mean", name);
    *p = (struct accel_nll){.ignores = accel_attr(n, "ignore_index") != NULL,
                            .ignored = accel_attr_int(n, "ignore_index", 0),
                            .reduction = (enum accel_loss_reduction)k};
    *params = p;
    return ACCEL_OK;
}

static int loss_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_nll *p = in->node->params;
    const struct accel_shape *x = &in->in[0]->shape, *labels = &in->in[1]->shape;
    const struct accel_shape *weight = accel_given(in->node, 2) ? &in->in[2]->shape : NULL;
    bool fits = x->rank >= 2 && labels->rank == x->rank - 1;
    char text[2][ACCEL_SHAPE_TEXT];

    for (uint32_t i = 0; i < labels->rank && fits; i++) {
        const int64_t want = x->dims[i > 0 ? i + 1 : 0];

        fits = labels->dims[i] < 0 || want < 0 || labels->dims[i] == want;
    }
    if (!fits)
        return accel_fail(
            err, ACCEL_E_INVALID,
            "scores of shape %s and labels of shape %s, not [N, C, d...] and [N, d...]",
            accel_shape_format(x, text[0]), accel_shape_format(labels, text[1]));
    if (weight != NULL && (weight->rank != 1 || (weight->dims[0] >= 0 && x->dims[1] >= 0 &&
                                                 weight->dims[0] != x->dims[1])))
        return accel_fail(err, ACCEL_E_INVALID, "weights of shape %s for scores of shape %s",
                          accel_shape_format(weight, text[0]), accel_shape_format(x, text[1]));
    if (in->out[0] != NULL) {
        in->out[0]->dtype = in->in[0]->dtype;
        in->out[0]->shape =
            p->reduction == ACCEL_LOSS_NONE ? *labels : (struct accel_shape){.has_rank = true};
    }
    if (in->node->outputs_count > 1 && in->out[1] != NULL) {
        in->out[1]->dtype = in->in[0]->dtype;
        in->out[1]->shape = *x;
    }
    return ACCEL_OK;
}

/* x: log-probabilities, of the shape of input 0. */
static int loss_of(struct accel_run *run, const void *x, struct accel_error *err)
{
    const struct accel_tensor *scores = run->in[0], *labels = run->in[1];
    struct accel_nll nll = *(const struct accel_nll *)run->node->params;

    nll.dtype = scores->dtype;
    nll.outer = (size_t)scores->dims[0];
    nll.classes = (size_t)scores->dims[1];
    nll.inner = accel_dims_product(scores->dims, 2, scores->rank);
    nll.x = x;
    nll.labels = labels->data;
    nll.label_type = labels->dtype;
    nll.weight = accel_given(run->node, 2) ? run->in[2]->data : NULL;
    const size_t bad = accel_nll(&nll, run->out[0]->data);
    if (bad < accel_elements(labels))
        return accel_fail(err, ACCEL_E_INVALID, "label %zu is %" PRId64 ", not one of %zu classes",
                          bad, accel_integer_at(labels, bad), nll.classes);
    return ACCEL_OK;
}

static int nll_body(struct accel_run *run, struct accel_error *err)
{
    return loss_of(run, run->in[0]->data, err);
}

ACCEL_WIDE(nll, NULL, nll_body)

/* Scratch: the log-probabilities when nobody wants them. */
static int entropy_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    if (prep->node->outputs_count < 2 || prep->out[1] == NULL)
        accel_shape_bytes(&prep->in[0]->shape, prep->in[0]->dtype, &prep->scratch_bytes);
    (void)err;
    return ACCEL_OK;
}

static int entropy_body(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    const bool wanted = run->node->outputs_count > 1 && run->out[1] != NULL;
    void *log_prob = wanted ? run->out[1]->data : run->scratch;

    accel_log_softmax(x->dtype, (size_t)x->dims[0], (size_t)x->dims[1],
                      accel_dims_product(x->dims, 2, x->rank), x->data, log_prob);
    return run->out[0] != NULL ? loss_of(run, log_prob, err) : ACCEL_OK;
}

ACCEL_WIDE(entropy, entropy_prepare, entropy_body)

static void loss_cost(const struct accel_prepare *prep, struct accel_cost *cost)
{
    size_t n = 0;

    if (accel_shape_elements(&prep->in[0]->shape, &n))
        cost->flops = 8.0 * (double)n;
}

/* ---------------------------------------------------------------- the entries */

#define EARLY (ACCEL_T_FLOATS | ACCEL_T(FLOAT16))
#define INTS  (ACCEL_T(INT32) | ACCEL_T(INT64))

static const struct accel_attr_rule loss_attrs[] = {
    {"ignore_index", ACCEL_ATTR_INT, 0}, {"reduction", ACCEL_ATTR_STRING, 0}, {0}};

#define LOSS .domain = "", .attrs = loss_attrs, .parse = loss_parse, .infer = loss_infer
#define NLL(version, types)                                                                     \
    {                                                                                           \
        .name = "NegativeLogLikelihoodLoss", .since = version, LOSS, .kind = ACCEL_KIND_REDUCE, \
        .flops_per_value = 2,                                                                   \
        .in = {{"input", types, 'T', 0},                                                        \
               {"target", INTS, 'I', 0},                                                        \
               {"weight", types, 'T', ACCEL_ARG_OPTIONAL}},                                     \
        .out = {{"loss", types, 'T', 0}}, .prepare = nll_wide_prepare, .run = nll_wide_run      \
    }
#define ENTROPY(version, types)                                                           \
    {                                                                                     \
        .name = "SoftmaxCrossEntropyLoss", .since = version, LOSS,                        \
        .kind = ACCEL_KIND_TRANSCENDENTAL, .cost = loss_cost,                             \
        .in = {{"scores", types, 'T', 0},                                                 \
               {"labels", INTS, 'I', 0},                                                  \
               {"weights", types, 'T', ACCEL_ARG_OPTIONAL}},                              \
        .out = {{"output", types, 'T', 0}, {"log_prob", types, 'T', ACCEL_ARG_OPTIONAL}}, \
        .prepare = entropy_wide_prepare, .run = entropy_wide_run                          \
    }

const struct accel_op accel_ops_loss[] = {
    NLL(12, EARLY),     NLL(22, ACCEL_T_REALS), /* 13 changed the words only */
    ENTROPY(12, EARLY), ENTROPY(13, ACCEL_T_REALS), {0},
};
