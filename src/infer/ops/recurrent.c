/* SPDX-License-Identifier: Apache-2.0 */
/* RNN, GRU, LSTM and com.microsoft's forms of it: DynamicQuantizeLSTM, of which the products are in
 * recurrent_quantised.h, and AttnLSTM, of which the attention is in recurrent_attention.h. Their
 * attributes, shapes and costs; recurrent.h says how the tensors lie and where they are run. */
#include "infer/ops/recurrent.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

/* ---------------------------------------------------------------- attributes */

static const struct {
    size_t gates, activations;
    const char *otherwise[3];
} cells[] = {
    [RNN] = {1, 1, {"Tanh"}},
    [GRU] = {3, 2, {"Sigmoid", "Tanh"}},
    [LSTM] = {4, 3, {"Sigmoid", "Tanh", "Tanh"}},
};

static const struct {
    const char *name;
    struct recurrent_activation act;
    bool alpha, beta; /* takes one from the lists */
} activations[] = {
    {"Relu", {PLAIN, ACCEL_UNARY_RELU, 0, 0}, false, false},
    {"Tanh", {PLAIN, ACCEL_UNARY_TANH, 0, 0}, false, false},
    {"Sigmoid", {PLAIN, ACCEL_UNARY_SIGMOID, 0, 0}, false, false},
    {"Affine", {AFFINE, ACCEL_UNARY_IDENTITY, 1, 0}, true, true},
    {"LeakyRelu", {PLAIN, ACCEL_UNARY_LEAKYRELU, 0.01f, 0}, true, false},
    {"ThresholdedRelu", {PLAIN, ACCEL_UNARY_THRESHOLDEDRELU, 1, 0}, true, false},
    {"ScaledTanh", {SCALED_TANH, ACCEL_UNARY_TANH, 1, 1}, true, true},
    {"HardSigmoid", {PLAIN, ACCEL_UNARY_HARDSIGMOID, 0.2f, 0.5f}, true, true},
    {"Elu", {PLAIN, ACCEL_UNARY_ELU, 1, 0}, true, false},
    {"Softsign", {PLAIN, ACCEL_UNARY_SOFTSIGN, 0, 0}, false, false},
    {"Softplus", {PLAIN, ACCEL_UNARY_SOFTPLUS, 0, 0}, false, false},
};

static int parse_activations(const struct accel_node *n, struct recurrent_params *p,
                             struct accel_error *err)
{
    const struct accel_attr *names = accel_attr(n, "activations");
    const size_t each = cells[p->cell].activations;
    size_t alphas, betas, next_alpha = 0, next_beta = 0;
    const float *alpha = accel_attr_floats(n, "activation_alpha", &alphas);
    const float *beta = accel_attr_floats(n, "activation_beta", &betas);

    if (names != NULL && names->count != each * p->directions)
        return accel_fail(err, ACCEL_E_INVALID, "%zu activations for %zu directions", names->count,
                          p->directions);
    for (size_t i = 0; i < each * p->directions; i++) {
        const char *name =
            names != NULL ? names->strings[i].data : cells[p->cell].otherwise[i % each];
        struct recurrent_activation *act = &p->act[i / each][i % each];
        size_t k = 0;

        while (k < ACCEL_COUNT(activations) && strcasecmp(activations[k].name, name) != 0)
            k++;
        if (k == ACCEL_COUNT(activations))
            return accel_fail(err, ACCEL_E_UNSUPPORTED, "activation '%s'", name);
        *act = activations[k].act;
        if (activations[k].alpha && next_alpha < alphas)
            act->alpha = alpha[next_alpha++];
        if (activations[k].beta && next_beta < betas)
            act->beta = beta[next_beta++];
    }
    return ACCEL_OK;
}

static int recurrent_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                           struct accel_error *err)
{
    const char *direction = accel_attr_string(n, "direction", "forward");
    struct recurrent_params *p = accel_bump_alloc(mem, 1, sizeof(*p));

    if (p == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its attributes");
    *params = p;
    p->quantised = n->op_type[0] == 'D';
    p->attends = n->op_type[0] == 'A';
    p->cell = n->op_type[0] == 'R' ? RNN : n->op_type[0] == 'G' ? GRU : LSTM;
    p->gates = cells[p->cell].gates;
    p->directions = strcmp(direction, "bidirectional") == 0 ? 2 : 1;
    p->backwards[0] = strcmp(direction, "reverse") == 0;
    p->backwards[1] = true;
    if (p->directions == 1 && !p->backwards[0] && strcmp(direction, "forward") != 0)
        return accel_fail(err, ACCEL_E_INVALID, "direction is '%s'", direction);
    p->batch_first = accel_attr_int(n, "layout", 0) != 0;
    p->input_forget = accel_attr_int(n, "input_forget", 0) != 0;
    p->linear_before_reset = accel_attr_int(n, "linear_before_reset", 0) != 0;
    p->clips = accel_attr(n, "clip") != NULL;
    p->clip = accel_attr_float(n, "clip", 0);
    if (p->clips && !(p->clip >= 0))
        return accel_fail(err, ACCEL_E_INVALID, "clip is %g", (double)p->clip);
    return parse_activations(n, p, err);
}

/* ---------------------------------------------------------------- shapes */

/* n * k, where either may be unknown. */
static int64_t times(int64_t n, int64_t k)
{
    int64_t result;

    return n < 0 || k < 0 || __builtin_mul_overflow(n, k, &result) ? ACCEL_DIM_ANY : result;
}

/* The same of n + k. */
static int64_t plus(int64_t n, int64_t k)
{
    int64_t result;

    return n < 0 || k < 0 || __builtin_add_overflow(n, k, &result) ? ACCEL_DIM_ANY : result;
}

/* What follows from X, R and the attributes; ACCEL_DIM_ANY where not known. */
struct sizes {
    int64_t directions, batch, steps, hidden, rows;
    int64_t state[3]; /* of initial_h and so on */
};

static int sizes_of(const struct accel_infer *in, struct sizes *s, struct accel_error *err)
{
    const struct recurrent_params *p = in->node->params;
    const struct accel_shape *x = &in->in[IN_X]->shape, *r = &in->in[IN_R]->shape;
    const int64_t stated = accel_attr_int(in->node, "hidden_size", ACCEL_DIM_ANY);

    if (x->rank != 3 || r->rank != 3)
        return accel_fail(err, ACCEL_E_INVALID, "X of rank %u, R of rank %u", x->rank, r->rank);
    const int64_t from_r = r->dims[p->quantised ? 1 : 2];
    s->directions = (int64_t)p->directions;
    s->batch = x->dims[p->batch_first ? 0 : 1];
    s->steps = x->dims[p->batch_first ? 1 : 0];
    s->hidden = from_r >= 0 ? from_r : stated;
    s->rows = times((int64_t)p->gates, s->hidden);
    s->state[0] = p->batch_first ? s->batch : s->directions;
    s->state[1] = p->batch_first ? s->directions : s->batch;
    s->state[2] = s->hidden;
    if (stated >= 0 && stated != s->hidden)
        return accel_fail(err, ACCEL_E_INVALID, "hidden_size is %" PRId64 ", R is for %" PRId64,
                          stated, s->hidden);
    if (s->hidden == 0 || s->hidden > INT32_MAX || x->dims[2] == 0)
        return accel_fail(err, ACCEL_E_INVALID, "hidden size %" PRId64 ", input size %" PRId64,
                          s->hidden, x->dims[2]);
    return ACCEL_OK;
}

static int check_inputs(const struct accel_infer *in, const struct sizes *s,
                        struct accel_error *err)
{
    const struct recurrent_params *p = in->node->params;
    const int64_t input = in->in[IN_X]->shape.dims[2];
    const int64_t wide = p->attends ? plus(input, accel_attends_width(in)) : input;
    const int64_t w[2][3] = {{s->directions, s->rows, wide}, {s->directions, wide, s->rows}};
    const int64_t r[2][3] = {{s->directions, s->rows, s->hidden},
                             {s->directions, s->hidden, s->rows}};
    const int64_t bias[2] = {s->directions, times(2, s->rows)};
    const int64_t peephole[2] = {s->directions, times(3, s->hidden)};
    const struct {
        size_t input;
        uint32_t rank;
        const int64_t *dims;
    } expected[] = {{IN_W, 3, w[p->quantised]}, {IN_R, 3, r[p->quantised]}, {IN_B, 2, bias},
                    {IN_LENS, 1, &s->batch},    {IN_H, 3, s->state},        {IN_C, 3, s->state},
                    {IN_P, 2, peephole}};
    int rc = ACCEL_OK;

    for (size_t i = 0; i < ACCEL_COUNT(expected) && rc == ACCEL_OK; i++)
        rc = accel_infer_expect(in, expected[i].input, expected[i].rank, expected[i].dims, err);
    if (rc == ACCEL_OK && p->quantised)
        rc = accel_qlstm_check(in, s->directions, s->rows, err);
    if (rc == ACCEL_OK && p->attends)
        rc = accel_attends_check(in, s->directions, s->batch, s->hidden, err);
    return rc;
}

static int recurrent_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_node *n = in->node;
    const struct recurrent_params *p = n->params;
    struct sizes s;
    int rc = sizes_of(in, &s, err);

    if (rc == ACCEL_OK)
        rc = check_inputs(in, &s, err);
    if (rc != ACCEL_OK)
        return rc;
    for (size_t o = 0; o < n->outputs_count; o++) {
        struct accel_type *y = in->out[o];

        if (y == NULL)
            continue;
        y->dtype = in->in[IN_X]->dtype;
        if (o != OUT_Y)
            y->shape = (struct accel_shape){true, 3, {s.state[0], s.state[1], s.state[2]}};
        else if (p->batch_first)
            y->shape = (struct accel_shape){true, 4, {s.batch, s.steps, s.directions, s.hidden}};
        else
            y->shape = (struct accel_shape){true, 4, {s.steps, s.directions, s.batch, s.hidden}};
    }
    return ACCEL_OK;
}

static void recurrent_cost(const struct accel_prepare *prep, struct accel_cost *cost)
{
    /* From the shapes alone: an analysis asks without having prepared anything. */
    const struct accel_shape *x = &prep->in[IN_X]->shape; /* [steps, batch, input] or batch first */
    const struct accel_shape *w = &prep->in[IN_W]->shape; /* [directions, rows, input] */
    const struct accel_shape *r = &prep->in[IN_R]->shape; /* [directions, rows, hidden] */

    if (x->rank != 3 || w->rank != 3 || r->rank != 3)
        return;
    const struct recurrent_params *p = prep->node->params;
    const int columns = p->quantised ? 2 : 1, inner = p->quantised ? 1 : 2;
    cost->flops = 2.0 * (double)x->dims[0] * (double)x->dims[1] * (double)w->dims[0] *
                  (double)w->dims[columns] * (double)(w->dims[inner] + r->dims[inner]);
    cost->items = (double)x->dims[p->batch_first ? 1 : 0] * (double)w->dims[0];
}

/* ---------------------------------------------------------------- the table */

#define F32 ACCEL_T(FLOAT)
#define I32 ACCEL_T(INT32)
#define OPT ACCEL_ARG_OPTIONAL

#define COMMON                                                                             \
    {"activation_alpha", ACCEL_ATTR_FLOATS, 0}, {"activation_beta", ACCEL_ATTR_FLOATS, 0}, \
        {"activations", ACCEL_ATTR_STRINGS, 0}, {"clip", ACCEL_ATTR_FLOAT, 0},             \
        {"direction", ACCEL_ATTR_STRING, 0},                                               \
    {                                                                                      \
        "hidden_size", ACCEL_ATTR_INT, 0                                                   \
    }
#define LAYOUT                      \
    {                               \
        "layout", ACCEL_ATTR_INT, 0 \
    }
#define RESET                                    \
    {                                            \
        "linear_before_reset", ACCEL_ATTR_INT, 0 \
    }
#define FORGET                            \
    {                                     \
        "input_forget", ACCEL_ATTR_INT, 0 \
    }

static const struct accel_attr_rule rnn_7[] = {COMMON, {0}}, rnn_14[] = {COMMON, LAYOUT, {0}};
static const struct accel_attr_rule gru_7[] = {COMMON, RESET, {0}};
static const struct accel_attr_rule gru_14[] = {COMMON, RESET, LAYOUT, {0}};
static const struct accel_attr_rule lstm_7[] = {COMMON, FORGET, {0}};
static const struct accel_attr_rule lstm_14[] = {COMMON, FORGET, LAYOUT, {0}};

/* Weights and zero points of DynamicQuantizeLSTM are of one type. */
#define Q8 (ACCEL_T(UINT8) | ACCEL_T(INT8))

#define INPUTS(weights, var)                                                                  \
    {"X", F32, 'T', 0}, {"W", weights, var, 0}, {"R", weights, var, 0}, {"B", F32, 'T', OPT}, \
        {"sequence_lens", I32, 0, OPT},                                                       \
    {                                                                                         \
        "initial_h", F32, 'T', OPT                                                            \
    }
#define LSTM_INPUTS(weights, var)                       \
    INPUTS(weights, var), {"initial_c", F32, 'T', OPT}, \
    {                                                   \
        "P", F32, 'T', OPT                              \
    }
#define OUTPUTS              \
    {"Y", F32, 'T', OPT},    \
    {                        \
        "Y_h", F32, 'T', OPT \
    }
#define LSTM_OUTPUTS         \
    OUTPUTS,                 \
    {                        \
        "Y_c", F32, 'T', OPT \
    }
#define RECURRENT(of, op, version, rules)                                                     \
    .name = op, .domain = of, .since = version, .kind = ACCEL_KIND_RECURRENT, .attrs = rules, \
    .parse = recurrent_parse, .infer = recurrent_infer, .prepack = accel_recurrent_prepack,   \
    .prepare = accel_recurrent_prepare, .run = accel_recurrent_run, .cost = recurrent_cost
#define PLAIN_CELL(op, version, rules)                                                  \
    {                                                                                   \
        RECURRENT("", op, version, rules), .in = {INPUTS(F32, 'T')}, .out = { OUTPUTS } \
    }
#define LSTM_CELL(version, rules)                                                      \
    {                                                                                  \
        RECURRENT("", "LSTM", version, rules), .in = {LSTM_INPUTS(F32, 'T')}, .out = { \
            LSTM_OUTPUTS                                                               \
        }                                                                              \
    }

const struct accel_op accel_ops_recurrent[] = {
    PLAIN_CELL("RNN", 7, rnn_7),
    PLAIN_CELL("RNN", 14, rnn_14),
    PLAIN_CELL("GRU", 7, gru_7),
    PLAIN_CELL("GRU", 14, gru_14),
    LSTM_CELL(7, lstm_7),
    LSTM_CELL(14, lstm_14),
    {RECURRENT("com.microsoft", "DynamicQuantizeLSTM", 1, lstm_7),
     .in = {LSTM_INPUTS(Q8, 'Q'),
            {"W_scale", F32, 'T', 0},
            {"W_zero_point", Q8, 'Q', 0},
            {"R_scale", F32, 'T', 0},
            {"R_zero_point", Q8, 'Q', 0}},
     .out = {LSTM_OUTPUTS}},
    {RECURRENT("com.microsoft", "AttnLSTM", 1, lstm_7),
     .in = {LSTM_INPUTS(F32, 'T'),
            {"QW", F32, 'T', 0},
            {"MW", F32, 'T', 0},
            {"V", F32, 'T', 0},
            {"M", F32, 'T', 0},
            {"memory_seq_lens", I32, 0, OPT},
            {"AW", F32, 'T', OPT}},
     .out = {LSTM_OUTPUTS}},
    {0},
};
