/* SPDX-License-Identifier: Apache-2.0 */
/* com.microsoft NGramHashMapping and VarlenNGramHashMapping: for each token, hashes of the n-grams
 * that end in it. The tokens of a sequence are counted from 0; those of calls before have the
 * numbers -(max_ngram_size - 1) to -1.
 *
 * NGramHashMapping has a sequence per row of input_ids [batch, length]; for VarlenNGramHashMapping
 * they lie one after the other in input_ids [tokens], cut by cumulative_sequence_length. */
#include "infer/ops/elements.h"

#include <inttypes.h>

struct params {
    bool varlen, reset;
    size_t state;   /* tokens before the last of the longest n-gram */
    size_t heads;   /* hashes of each n-gram */
    size_t columns; /* hashes of a token: state * heads */
    int64_t pad;
    size_t captures; /* prefixes of each sequence whose state is given out */
};

enum role { IDS, MULTIPLIERS, SIZES, ENDS, PAST, OFFSETS, EOS, SEGMENTS, PAST_SEGMENTS, CAPTURES };
enum { HASHES, PRESENT, PRESENT_SEGMENTS, UPDATE };

#define CAPTURES_MAX 8

/* Which input plays the role; one beyond all: none does. */
static size_t place(const struct params *p, enum role role)
{
    if (p->varlen || role < ENDS)
        return role;
    return role == ENDS || role > SEGMENTS ? ACCEL_OP_INPUTS : role - 1u;
}

static bool plays(const struct accel_node *n, enum role role)
{
    return accel_given(n, place(n->params, role));
}

static int ngrams_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                        struct accel_error *err)
{
    const int64_t longest = accel_attr_int(n, "max_ngram_size", 0),
                  heads = accel_attr_int(n, "n_head_per_ngram", 0),
                  captures = accel_attr_int(n, "state_update_capacity", 0);
    struct params *p = accel_bump_alloc(mem, 1, sizeof(*p));

    if (p == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its attributes");
    *params = p;
    if (longest < 2 || heads < 1)
        return accel_fail(err, ACCEL_E_INVALID,
                          "max_ngram_size is %" PRId64 ", n_head_per_ngram %" PRId64
                          ": 2 and 1 are the least",
                          longest, heads);
    if (captures < 0 || captures > CAPTURES_MAX)
        return accel_fail(err, ACCEL_E_INVALID,
                          "state_update_capacity is %" PRId64 ", not in 0..%d", captures,
                          CAPTURES_MAX);
    p->varlen = n->op_type[0] == 'V';
    p->reset = accel_attr_int(n, "reset_on_eos", 0) != 0;
    p->state = (size_t)longest - 1;
    p->heads = (size_t)heads;
    p->pad = accel_attr_int(n, "pad_id", 0);
    p->captures = (size_t)captures;
    if (__builtin_mul_overflow(p->state, p->heads, &p->columns) || p->columns > INT64_MAX)
        return accel_fail(err, ACCEL_E_INVALID, "more hashes of a token than can be counted");
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- shapes */

static int check_roles(const struct accel_infer *in, struct accel_error *err)
{
    const struct accel_node *n = in->node;
    const struct params *p = n->params;

    if (in->in[IDS]->dtype == ACCEL_DTYPE_INT32 && (p->pad < INT32_MIN || p->pad > INT32_MAX))
        return accel_fail(err, ACCEL_E_INVALID, "pad_id %" PRId64 " is no int32 as the ids are",
                          p->pad);
    if (plays(n, PAST_SEGMENTS) && !plays(n, SEGMENTS))
        return accel_fail(err, ACCEL_E_INVALID, "past_segment_ids without segment_ids");
    if (accel_wanted(n, PRESENT_SEGMENTS) && !plays(n, SEGMENTS))
        return accel_fail(err, ACCEL_E_INVALID, "present_segment_ids without segment_ids");
    if (p->varlen && plays(n, CAPTURES) != (p->captures > 0))
        return accel_fail(err, ACCEL_E_INVALID,
                          "capture_count belongs to a state_update_capacity above 0, which is %zu",
                          p->captures);
    if (accel_wanted(n, UPDATE) && p->captures == 0)
        return accel_fail(err, ACCEL_E_INVALID, "state_update without a state_update_capacity");
    return ACCEL_OK;
}

static int check_shapes(const struct accel_infer *in, int64_t batch, struct accel_error *err)
{
    const struct params *p = in->node->params;
    const int64_t *ids = in->in[IDS]->shape.dims;
    const int64_t any = ACCEL_DIM_ANY, columns = (int64_t)p->columns;
    const int64_t state[2] = {batch, (int64_t)p->state};
    const struct {
        enum role role;
        uint32_t rank;
        const int64_t *dims;
    } shapes[] = {
        {MULTIPLIERS, 1, &any},    {SIZES, 1, &columns}, {PAST, 2, state},
        {OFFSETS, 1, &columns},    {EOS, 0, NULL},       {SEGMENTS, p->varlen ? 1 : 2, ids},
        {PAST_SEGMENTS, 2, state}, {CAPTURES, 1, &batch}};
    int rc = ACCEL_OK;

    for (size_t i = 0; i < ACCEL_COUNT(shapes) && rc == ACCEL_OK; i++)
        rc = accel_infer_expect(in, place(p, shapes[i].role), shapes[i].rank, shapes[i].dims, err);
    const int64_t given = in->in[MULTIPLIERS]->shape.dims[0];
    if (rc == ACCEL_OK && given >= 0 && (size_t)given <= p->state)
        return accel_fail(err, ACCEL_E_INVALID, "%" PRId64 " multipliers for n-grams of %zu tokens",
                          given, p->state + 1);
    return rc;
}

static void set_output(struct accel_infer *in, size_t o, enum accel_dtype dtype, uint32_t rank,
                       const int64_t *dims)
{
    if (!accel_wanted(in->node, o))
        return;
    in->out[o]->dtype = dtype;
    in->out[o]->shape = (struct accel_shape){.has_rank = true, .rank = rank};
    for (uint32_t d = 0; d < rank; d++)
        in->out[o]->shape.dims[d] = dims[d];
}

static int ngrams_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct params *p = in->node->params;
    const struct accel_shape *ids = &in->in[IDS]->shape;
    const enum accel_dtype dtype = in->in[IDS]->dtype;
    int64_t batch = ids->dims[0];

    if (ids->rank != (p->varlen ? 1 : 2))
        return accel_fail(err, ACCEL_E_INVALID, "input_ids of rank %u instead of %d", ids->rank,
                          p->varlen ? 1 : 2);
    if (p->varlen) {
        const struct accel_shape *ends = &in->in[ENDS]->shape;

        if (ends->rank != 1 || (ends->dims[0] >= 0 && ends->dims[0] < 2))
            return accel_fail(err, ACCEL_E_INVALID,
                              "cumulative_sequence_length is no vector of two or more");
        batch = ends->dims[0] < 0 ? ACCEL_DIM_ANY : ends->dims[0] - 1;
    }
    int rc = check_roles(in, err);
    if (rc == ACCEL_OK)
        rc = check_shapes(in, batch, err);
    if (rc != ACCEL_OK)
        return rc;
    const int64_t state = (int64_t)p->state, columns = (int64_t)p->columns;
    const int64_t hashes[3] = {ids->dims[0], p->varlen ? columns : ids->dims[1], columns};
    set_output(in, HASHES, dtype, p->varlen ? 2 : 3, hashes);
    set_output(in, PRESENT, dtype, 2, (const int64_t[]){batch, state});
    set_output(in, PRESENT_SEGMENTS, ACCEL_DTYPE_INT32, 2, (const int64_t[]){batch, state});
    set_output(in, UPDATE, dtype, 3, (const int64_t[]){batch, (int64_t)p->captures, state});
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- running */

/* One sequence; NULL for a role that no input plays. */
struct sequence {
    const struct params *p;
    const struct accel_tensor *ids, *multipliers, *sizes, *past, *offsets;
    const int32_t *segments, *past_segments; /* of all sequences */
    size_t index, begin, length;             /* begin: its first token in ids */
    int64_t missing;                         /* stands for tokens before all there are */
    bool reset;                              /* `missing` as a token ends what was before it */
};

static const struct accel_tensor *player(const struct accel_run *run, enum role role)
{
    return plays(run->node, role) ? run->in[place(run->node->params, role)] : NULL;
}

static int64_t token(const struct sequence *s, ptrdiff_t at)
{
    if (at >= 0)
        return accel_integer_at(s->ids, s->begin + (size_t)at);
    return s->past == NULL ? s->missing
                           : accel_integer_at(s->past, (s->index + 1) * s->p->state - (size_t)-at);
}

/* Only of places that have one: from 0 on, and before it when there are past_segments. */
static int32_t segment(const struct sequence *s, ptrdiff_t at)
{
    return at >= 0 ? s->segments[s->begin + (size_t)at]
                   : s->past_segments[(s->index + 1) * s->p->state - (size_t)-at];
}

/* Does something begin at this token that knows nothing of those before it? */
static bool begins(const struct sequence *s, ptrdiff_t at)
{
    const bool known = s->segments != NULL && (at > 0 || s->past_segments != NULL);

    return (s->reset && token(s, at - 1) == s->missing) ||
           (known && segment(s, at) != segment(s, at - 1));
}

/* As arithmetic in the ids' own type wraps. */
static int64_t wrapped(const struct sequence *s, uint64_t value)
{
    return s->ids->dtype == ACCEL_DTYPE_INT32 ? (int32_t)(uint32_t)value : (int64_t)value;
}

static void put(const struct accel_tensor *t, size_t i, int64_t value)
{
    if (t->dtype == ACCEL_DTYPE_INT64)
        ((int64_t *)t->data)[i] = value;
    else
        ((int32_t *)t->data)[i] = (int32_t)value;
}

/* Tokens before number `from` do not count. */
static void hash(const struct sequence *s, ptrdiff_t at, ptrdiff_t from,
                 const struct accel_tensor *y)
{
    const size_t state = s->p->state, heads = s->p->heads;
    const size_t to = (s->begin + (size_t)at) * s->p->columns;
    uint64_t mix = 0;

    for (size_t k = 0; k <= state; k++) {
        const ptrdiff_t source = at - (ptrdiff_t)k;
        const int64_t id = source < from ? s->missing : token(s, source);

        mix ^= (uint64_t)wrapped(s, (uint64_t)id * (uint64_t)accel_integer_at(s->multipliers, k));
        for (size_t h = 0; k > 0 && h < heads; h++) {
            const size_t column = (k - 1) * heads + h;
            const int64_t size = accel_integer_at(s->sizes, column);
            int64_t rest = (int64_t)mix % size;

            rest += rest < 0 ? size : 0;
            if (s->offsets != NULL)
                rest = wrapped(s, (uint64_t)rest + (uint64_t)accel_integer_at(s->offsets, column));
            put(y, to + column, rest);
        }
    }
}

/* What a call that goes on after `tokens` of the sequence needs to know: its last ids. */
static void put_state(const struct sequence *s, size_t tokens, const struct accel_tensor *y,
                      size_t row)
{
    const size_t state = s->p->state;

    for (size_t j = 0; j < state; j++)
        put(y, row * state + j, token(s, (ptrdiff_t)tokens - (ptrdiff_t)(state - j)));
}

static void put_segments(const struct sequence *s, int32_t *y)
{
    const size_t state = s->p->state;

    for (size_t j = 0; j < state; j++) {
        const ptrdiff_t at = (ptrdiff_t)s->length - (ptrdiff_t)(state - j);

        y[s->index * state + j] = segment(s, at < 0 && s->past_segments == NULL ? 0 : at);
    }
}

static void put_captures(const struct sequence *s, int32_t count, const struct accel_tensor *y)
{
    const size_t state = s->p->state, most = ACCEL_MIN(s->length, s->p->captures);
    const size_t row = s->index * s->p->captures;

    for (size_t i = 0; i < s->p->captures; i++) {
        if (i < most && (int64_t)i < count)
            put_state(s, i + 1, y, row + i);
        for (size_t j = 0; (i >= most || (int64_t)i >= count) && j < state; j++)
            put(y, (row + i) * state + j, s->p->pad);
    }
}

static void run_sequence(struct accel_run *run, const struct sequence *s)
{
    const struct accel_node *n = run->node;
    const ptrdiff_t state = (ptrdiff_t)s->p->state;
    ptrdiff_t from = -state;

    for (ptrdiff_t at = 1 - state; at < (ptrdiff_t)s->length; at++) {
        if (begins(s, at))
            from = at;
        if (at >= 0 && accel_wanted(n, HASHES))
            hash(s, at, from, run->out[HASHES]);
    }
    if (accel_wanted(n, PRESENT))
        put_state(s, s->length, run->out[PRESENT], s->index);
    if (accel_wanted(n, PRESENT_SEGMENTS))
        put_segments(s, run->out[PRESENT_SEGMENTS]->data);
    if (accel_wanted(n, UPDATE))
        put_captures(s, ((const int32_t *)player(run, CAPTURES)->data)[s->index], run->out[UPDATE]);
}

/* Errors: INVALID, for values that no hash can be made of. */
static int check_values(const struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *sizes = run->in[SIZES], *ends = player(run, ENDS);

    for (size_t i = 0; i < accel_elements(sizes); i++)
        if (accel_integer_at(sizes, i) <= 0)
            return accel_fail(err, ACCEL_E_INVALID, "vocab_sizes[%zu] is %" PRId64 ", not above 0",
                              i, accel_integer_at(sizes, i));
    if (ends == NULL)
        return ACCEL_OK;
    const int32_t *end = ends->data;
    const size_t count = accel_elements(ends);
    if (end[0] != 0 || end[count - 1] != run->in[IDS]->dims[0])
        return accel_fail(err, ACCEL_E_INVALID,
                          "cumulative_sequence_length goes from %d to %d instead of from 0 to the "
                          "number of tokens, %" PRId64,
                          end[0], end[count - 1], run->in[IDS]->dims[0]);
    for (size_t i = 1; i < count; i++)
        if (end[i] <= end[i - 1])
            return accel_fail(err, ACCEL_E_INVALID,
                              "cumulative_sequence_length[%zu] is %d after %d: no token between", i,
                              end[i], end[i - 1]);
    return ACCEL_OK;
}

static void run_range(void *context, size_t begin, size_t end, unsigned thread)
{
    struct accel_run *run = context;
    const struct params *p = run->node->params;
    const struct accel_tensor *ends = player(run, ENDS), *eos = player(run, EOS),
                              *segments = player(run, SEGMENTS),
                              *past_segments = player(run, PAST_SEGMENTS);
    struct sequence s = {.p = p,
                         .ids = run->in[IDS],
                         .multipliers = run->in[MULTIPLIERS],
                         .sizes = run->in[SIZES],
                         .past = player(run, PAST),
                         .offsets = player(run, OFFSETS),
                         .segments = segments != NULL ? segments->data : NULL,
                         .past_segments = past_segments != NULL ? past_segments->data : NULL,
                         .missing = eos != NULL ? accel_integer_at(eos, 0) : p->pad,
                         .reset = p->reset && eos != NULL};

    (void)thread;
    for (s.index = begin; s.index < end; s.index++) {
        const int32_t *cut = ends != NULL ? (const int32_t *)ends->data + s.index : NULL;

        s.length = cut != NULL ? (size_t)(cut[1] - cut[0]) : (size_t)s.ids->dims[1];
        s.begin = cut != NULL ? (size_t)cut[0] : s.index * s.length;
        run_sequence(run, &s);
    }
}

static int ngrams_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *ends = player(run, ENDS);
    const int rc = check_values(run, err);

    if (rc == ACCEL_OK)
        accel_pool_run(run->pool,
                       ends != NULL ? accel_elements(ends) - 1 : (size_t)run->in[IDS]->dims[0], 1,
                       run_range, run);
    return rc;
}

#define INT ACCEL_T(INT32) | ACCEL_T(INT64)
#define I32 ACCEL_T(INT32)
#define OPT ACCEL_ARG_OPTIONAL

#define ATTRIBUTES                                                 \
    {"max_ngram_size", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED},       \
        {"n_head_per_ngram", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED}, \
        {"pad_id", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED},           \
    {                                                              \
        "reset_on_eos", ACCEL_ATTR_INT, 0                          \
    }
#define COMMON                                                                             \
    .domain = "com.microsoft", .since = 1, .kind = ACCEL_KIND_OTHER, .flops_per_value = 2, \
    .parse = ngrams_parse, .infer = ngrams_infer, .run = ngrams_run

static const struct accel_attr_rule rows_attrs[] = {ATTRIBUTES, {0}};
static const struct accel_attr_rule varlen_attrs[] = {
    ATTRIBUTES, {"state_update_capacity", ACCEL_ATTR_INT, 0}, {0}};

const struct accel_op accel_ops_ms_ngrams[] = {
    {.name = "NGramHashMapping",
     COMMON,
     .in = {{"input_ids", INT, 'M', 0},
            {"multipliers", INT, 'M', 0},
            {"vocab_sizes", INT, 'M', 0},
            {"past_ids", INT, 'M', OPT},
            {"head_offsets", INT, 'M', OPT},
            {"eos_token_id", INT, 'M', OPT},
            {"segment_ids", I32, 0, OPT}},
     .out = {{"hash_ids", INT, 'M', 0}, {"present_ids", INT, 'M', OPT}},
     .attrs = rows_attrs},
    {.name = "VarlenNGramHashMapping",
     COMMON,
     .in = {{"input_ids", INT, 'M', 0},
            {"multipliers", INT, 'M', 0},
            {"vocab_sizes", INT, 'M', 0},
            {"cumulative_sequence_length", I32, 0, 0},
            {"past_ids", INT, 'M', OPT},
            {"head_offsets", INT, 'M', OPT},
            {"eos_token_id", INT, 'M', OPT},
            {"segment_ids", I32, 0, OPT},
            {"past_segment_ids", I32, 0, OPT},
            {"capture_count", I32, 0, OPT}},
     .out = {{"hash_ids", INT, 'M', 0},
             {"present_ids", INT, 'M', OPT},
             {"present_segment_ids", I32, 0, OPT},
             {"state_update", INT, 'M', OPT}},
     .attrs = varlen_attrs},
    {0},
};
