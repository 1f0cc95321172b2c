/* SPDX-License-Identifier: Apache-2.0 */
/* GroupQueryAttention at work: ops/ms_group_query.h. */
#include "infer/ops/ms_group_query.h"

#include <inttypes.h>
#include <math.h>

/* ---------------------------------------------------------------- preparing */

/* The scratch lies one part behind the other; 0: not needed. */
struct state {
    struct accel_cached_attention cache;
    struct group_query_sizes sizes;
    size_t traced; /* columns of output_qk */
    unsigned threads;
    size_t spans, steps, positions, work; /* bytes */
};

static void prepare_attention(const struct accel_node *n, struct state *st)
{
    const struct group_query_params *p = n->params;
    struct accel_attention *a = &st->cache.attention;
    const float scale = accel_attr_float(n, "scale", 0);
    const struct group_query_sizes *s = &st->sizes;

    *a = (struct accel_attention){.batch = (size_t)s->batch,
                                  .heads = (size_t)p->heads,
                                  .kv_heads = (size_t)p->kv_heads,
                                  .q_rows = (size_t)s->rows,
                                  .kv_rows = accel_wanted(n, QK)    ? st->traced
                                             : st->cache.staged > 0 ? st->cache.staged
                                                                    : st->cache.cached,
                                  .head_size = (size_t)s->size,
                                  .v_head_size = (size_t)s->size,
                                  .scale = scale != 0 ? scale : 1 / sqrtf((float)s->size),
                                  .softcap = accel_attr_float(n, "softcap", 0),
                                  .left = p->window > 0 ? p->window - 1 : -1,
                                  .right = p->causal ? 0 : -1,
                                  .smooth = accel_attr_int(n, "smooth_softmax", 0) == 1,
                                  .stage = p->trace == 1 ? ACCEL_ATTENTION_SEEN
                                                         : ACCEL_ATTENTION_WEIGHTS};
    accel_cached_layout(n, a);
}

static int prepare_scratch(struct accel_prepare *prep, struct state *st, struct accel_error *err)
{
    const struct accel_node *n = prep->node;
    const struct group_query_params *p = n->params;
    const struct accel_attention *a = &st->cache.attention;
    const size_t rows = a->batch * a->q_rows;
    int rc =
        accel_scratch_part(prep, a->batch, sizeof(struct accel_attention_span), &st->spans, err);

    if (rc == ACCEL_OK)
        rc = accel_scratch_part(prep, a->batch, sizeof(struct accel_kv_step), &st->steps, err);
    if (rc == ACCEL_OK && p->rotates)
        rc = accel_scratch_part(prep, rows, sizeof(int64_t), &st->positions, err);
    return rc == ACCEL_OK ? accel_cached_scratch(prep, &st->cache, &st->work, err) : rc;
}

int accel_group_query_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    const struct accel_node *n = prep->node;
    const struct group_query_params *p = n->params;
    struct state *st = accel_prepare_state(prep, sizeof(*st), err);

    if (st == NULL)
        return ACCEL_E_NOMEM;
    st->threads = prep->threads;
    const int rc = accel_group_query_sizes_of(n, prep->in, &st->sizes, err);
    if (rc != ACCEL_OK)
        return rc;
    st->cache = (struct accel_cached_attention){.form = p->form,
                                                .by_channel = p->by_channel,
                                                .rotates = p->rotates,
                                                .cosine = COSINE,
                                                .scales = K_SCALE,
                                                .fresh = (size_t)st->sizes.fresh,
                                                .past = (size_t)st->sizes.past};
    st->cache.cached = (size_t)(accel_wanted(n, PRESENT_K) ? prep->out[PRESENT_K]->shape.dims[2]
                                                           : st->sizes.fresh);
    if (accel_wanted(n, QK))
        st->traced = (size_t)prep->out[QK]->shape.dims[3];
    /* A step may still read rows that its cache drops; integers are read as floats. */
    if (p->evicts &&
        __builtin_add_overflow(st->cache.cached, (size_t)st->sizes.rows, &st->cache.staged))
        return accel_fail(err, ACCEL_E_INVALID, "its work space overflows");
    if (!p->evicts && p->form != ACCEL_KV_FLOAT)
        st->cache.staged = st->cache.cached;
    prepare_attention(n, st);
    return prepare_scratch(prep, st, err);
}

/* ---------------------------------------------------------------- running */

struct step {
    const struct accel_run *run;
    const struct state *st;
    const struct group_query_params *p;
    struct group_query_sizes sizes; /* with the total */
    const int32_t *lengths;
    struct accel_attention_span *spans;
    struct accel_kv_step *steps;
    int64_t *positions;
};

/* Tokens so far of one of the batch. */
static int64_t tokens_of(const struct step *s, size_t b)
{
    return (int64_t)s->lengths[b] + 1;
}

static bool is_first(const struct step *s)
{
    return s->sizes.rows == s->sizes.total;
}

/* Rows that a cache of `capacity` with a window holds after so many tokens: as soon as it would be
 * more than fit, so many go that `gap` more find room. */
static int64_t resident(int64_t tokens, int64_t capacity, int64_t window)
{
    const int64_t gap = capacity - window + 1;

    return tokens <= capacity ? tokens : tokens - gap * ((tokens - capacity + gap - 1) / gap);
}

static int check_lengths_run(const struct step *s, struct accel_error *err)
{
    const bool past = accel_given(s->run->node, PAST_K);
    const int64_t most = s->p->evicts ? INT32_MAX : (int64_t)s->st->cache.cached;

    for (size_t b = 0; b < s->st->cache.attention.batch; b++) {
        const int64_t tokens = tokens_of(s, b), before = tokens - s->sizes.rows;

        if (tokens < 1 || tokens > most)
            return accel_fail(err, ACCEL_E_INVALID,
                              "seqlens_k[%zu] is %" PRId64 " where %" PRId64 " keys have room", b,
                              tokens - 1, most);
        if ((s->p->evicts || !is_first(s)) && before < 0)
            return accel_fail(err, ACCEL_E_INVALID,
                              "seqlens_k[%zu] is %" PRId64 ", less than the %" PRId64
                              " rows of the query",
                              b, tokens - 1, s->sizes.rows);
        if (past && !s->p->evicts && !is_first(s) && s->sizes.fresh > 0 && before > s->sizes.past)
            return accel_fail(err, ACCEL_E_INVALID,
                              "seqlens_k[%zu] is %" PRId64 " after a cache of %" PRId64 " rows", b,
                              tokens - 1, s->sizes.past);
    }
    return ACCEL_OK;
}

/* Where each of the batch stands; the most keys that one of them has. */
static size_t plan(const struct step *s)
{
    const struct accel_node *n = s->run->node;
    size_t most = 1;

    for (size_t b = 0; b < s->st->cache.attention.batch; b++) {
        const int64_t tokens = tokens_of(s, b);
        const int64_t before = is_first(s) || !accel_given(n, PAST_K) ? 0 : tokens - s->sizes.rows;
        struct accel_kv_step *step = &s->steps[b];
        struct accel_attention_span *span = &s->spans[b];

        *step = (struct accel_kv_step){.kept = (size_t)before};
        *span = (struct accel_attention_span){.end = (size_t)tokens, .offset = before};
        if (s->p->evicts) {
            step->kept = (size_t)resident(before, s->sizes.past, s->p->window);
            span->offset = (int64_t)step->kept;
            span->end = step->kept + (size_t)s->sizes.rows;
            step->dropped = span->end - (size_t)resident(tokens, s->sizes.past, s->p->window);
            span->first = (size_t)before - step->kept;
        } else if (s->sizes.fresh == 0) {
            step->kept = (size_t)tokens;
        }
        most = ACCEL_MAX(most, span->end);
        if (s->p->window == 0)
            span->end = 0;
    }
    return most;
}

static int place(const struct step *s, struct accel_error *err)
{
    const struct accel_run *run = s->run;
    const size_t rows = s->st->cache.attention.q_rows;
    const int64_t places = run->in[COSINE]->dims[0];
    const int64_t *given = accel_given(run->node, POSITIONS) ? run->in[POSITIONS]->data : NULL;

    for (size_t b = 0; b < s->st->cache.attention.batch; b++)
        for (size_t i = 0; i < rows; i++) {
            const size_t at = b * rows + i;
            int64_t position = s->spans[b].offset + (int64_t)(s->spans[b].first + i);

            /* Of a prompt only the first is read, for the whole batch. */
            if (given != NULL && is_first(s) && __builtin_add_overflow(given[0], i, &position))
                position = -1;
            else if (given != NULL && !is_first(s))
                position = given[at];
            if (position < 0 || position >= places)
                return accel_fail(err, ACCEL_E_INVALID,
                                  "position %" PRId64 " is outside of caches of %" PRId64, position,
                                  places);
            s->positions[at] = position;
        }
    return ACCEL_OK;
}

int accel_group_query_run(struct accel_run *run, struct accel_error *err)
{
    const struct state *st = run->state;
    const struct accel_node *n = run->node;
    struct accel_attention a = st->cache.attention;
    char *scratch = run->scratch;
    struct step s = {.run = run, .st = st, .p = n->params, .sizes = st->sizes};

    s.sizes.total = *(const int32_t *)run->in[TOTAL]->data;
    s.lengths = run->in[LENGTHS]->data;
    s.spans = (void *)scratch;
    s.steps = (void *)(scratch += st->spans);
    s.positions = (void *)(scratch += st->steps);
    scratch += st->positions;
    int rc = s.sizes.total < 1 ? accel_fail(err, ACCEL_E_INVALID,
                                            "total_sequence_length is %" PRId64, s.sizes.total)
                               : accel_group_query_check_total(s.p, &s.sizes, err);
    if (rc == ACCEL_OK)
        rc = check_lengths_run(&s, err);
    if (rc != ACCEL_OK)
        return rc;
    const size_t keys = plan(&s);
    if (s.p->rotates)
        rc = place(&s, err);
    if (rc != ACCEL_OK)
        return rc;
    accel_cached_read(run, &st->cache, s.positions, &a, scratch);
    scratch += st->cache.rotated[0] + st->cache.rotated[1];
    for (size_t i = 0; i < 2 && accel_wanted(n, PRESENT_K); i++) {
        accel_cached_append(run, &st->cache, s.steps, i, i == 0 ? &a.k : &a.v,
                            st->cache.staged > 0 ? (float *)(void *)scratch : NULL);
        scratch += st->cache.floats;
    }
    a.y = run->out[Y]->data;
    a.spans = s.spans;
    if (accel_given(n, SINK))
        a.sinks = run->in[SINK]->data;
    if (accel_given(n, BIAS))
        a.masks[0] = accel_bias_mask(run->in[BIAS]);
    if (accel_wanted(n, QK))
        a.trace = run->out[QK]->data;
    accel_narrow(run->kernels, &a, keys, st->threads, st->work);
    accel_attention_f32(run->kernels, run->pool, &a, scratch);
    return ACCEL_OK;
}
