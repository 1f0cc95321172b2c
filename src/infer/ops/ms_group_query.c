/* SPDX-License-Identifier: Apache-2.0 */
/* com.microsoft GroupQueryAttention: its attributes, shapes and table. ms_group_query.h says what
 * it is, common/group_query_run.c runs it. */
#include "infer/ops/ms_group_query.h"

#include <inttypes.h>
#include <string.h>

/* ---------------------------------------------------------------- attributes */

static int parse_form(const struct accel_node *n, struct group_query_params *p,
                      struct accel_error *err)
{
    static const char *const kinds[] = {"NONE", "PER_TENSOR", "PER_CHANNEL"};
    const char *key = accel_attr_string(n, "k_quant_type", "NONE");
    const char *value = accel_attr_string(n, "v_quant_type", "NONE");
    const int64_t bits = accel_attr_int(n, "kv_cache_bit_width", 0);
    size_t kind = 0;

    while (kind < ACCEL_COUNT(kinds) && strcmp(key, kinds[kind]) != 0)
        kind++;
    if (kind == ACCEL_COUNT(kinds))
        return accel_fail(err, ACCEL_E_INVALID,
                          "k_quant_type is '%s', not NONE, PER_TENSOR or PER_CHANNEL", key);
    if (strcmp(key, value) != 0)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "k_quant_type is '%s' but v_quant_type '%s'",
                          key, value);
    if (kind == 0 ? bits != 0 : bits != 4 && bits != 8)
        return accel_fail(err, ACCEL_E_INVALID, "kv_cache_bit_width is %" PRId64 " with '%s'", bits,
                          key);
    p->form = bits == 0 ? ACCEL_KV_FLOAT : bits == 8 ? ACCEL_KV_INT8 : ACCEL_KV_INT4;
    p->by_channel = kind == 2;
    if (bits != 0 && (!accel_given(n, K_SCALE) || !accel_given(n, V_SCALE)))
        return accel_fail(err, ACCEL_E_INVALID, "a quantised cache without k_scale and v_scale");
    if (bits != 0 && !accel_given(n, PAST_K))
        return accel_fail(err, ACCEL_E_INVALID, "a quantised cache without past_key");
    return ACCEL_OK;
}

/* Which inputs and outputs go together. */
static int check_arguments(const struct accel_node *n, const struct group_query_params *p,
                           struct accel_error *err)
{
    static const struct {
        size_t a, b;
        const char *names;
    } pairs[] = {{KEY, VALUE, "key and value"},
                 {PAST_K, PAST_V, "past_key and past_value"},
                 {COSINE, SINE, "cos_cache and sin_cache"}};

    for (size_t i = 0; i < ACCEL_COUNT(pairs); i++)
        if (accel_given(n, pairs[i].a) != accel_given(n, pairs[i].b))
            return accel_fail(err, ACCEL_E_INVALID, "only one of %s", pairs[i].names);
    if (accel_wanted(n, PRESENT_K) != accel_wanted(n, PRESENT_V))
        return accel_fail(err, ACCEL_E_INVALID, "only one of present_key and present_value");
    if (accel_given(n, PAST_K) && !accel_wanted(n, PRESENT_K))
        return accel_fail(err, ACCEL_E_INVALID, "past_key without present_key");
    if (p->rotates && !accel_given(n, COSINE))
        return accel_fail(err, ACCEL_E_INVALID, "do_rotary without cos_cache and sin_cache");
    if (p->evicts && (!accel_given(n, PAST_K) || p->window < 1))
        return accel_fail(err, ACCEL_E_INVALID,
                          "sliding_window_cache without past_key or local_window_size");
    if (accel_wanted(n, QK) && (p->trace == 0 || p->evicts))
        return accel_fail(err, ACCEL_E_INVALID, "output_qk %s",
                          p->evicts ? "with sliding_window_cache" : "without qk_output");
    return ACCEL_OK;
}

static int group_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                       struct accel_error *err)
{
    struct group_query_params *p = accel_bump_alloc(mem, 1, sizeof(*p));
    const int64_t causal = accel_attr_int(n, "causal", 1);

    if (p == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its attributes");
    *params = p;
    p->window = ACCEL_MAX(accel_attr_int(n, "local_window_size", -1), (int64_t)-1);
    p->rotates = accel_attr_int(n, "do_rotary", 0) == 1;
    p->evicts = accel_attr_int(n, "sliding_window_cache", 0) == 1;
    p->causal = causal == 1;
    p->trace = accel_attr_int(n, "qk_output", 0);
    int rc = accel_cached_heads(n, &p->heads, &p->kv_heads, err);
    if (rc != ACCEL_OK)
        return rc;
    if (causal != 0 && causal != 1)
        return accel_fail(err, ACCEL_E_INVALID, "causal is %" PRId64 ", not 0 or 1", causal);
    if (!p->causal && p->window >= 0)
        return accel_fail(err, ACCEL_E_INVALID, "local_window_size with causal 0");
    if (p->trace < 0 || p->trace > 2)
        return accel_fail(err, ACCEL_E_INVALID, "qk_output is %" PRId64 ", not 0, 1 or 2",
                          p->trace);
    rc = parse_form(n, p, err);
    return rc == ACCEL_OK ? check_arguments(n, p, err) : rc;
}

/* ---------------------------------------------------------------- shapes */

/* Query, key and value: [batch][rows][heads * size], or one tensor of all three. */
static int operands_of(const struct accel_node *n, const struct accel_type *const *in,
                       struct group_query_sizes *s, struct accel_error *err)
{
    const struct group_query_params *p = n->params;
    const bool packed = !accel_given(n, KEY);
    int rc = ACCEL_OK;

    for (size_t i = QUERY; i <= (packed ? QUERY : VALUE) && rc == ACCEL_OK; i++) {
        const struct accel_shape *x = &in[i]->shape;
        const int64_t heads = i != QUERY ? p->kv_heads
                              : packed   ? p->heads + 2 * p->kv_heads
                                         : p->heads;

        if (x->rank != 3)
            return accel_fail(err, ACCEL_E_INVALID, "input %zu of rank %u instead of 3", i,
                              x->rank);
        if (x->dims[2] >= 0 && x->dims[2] % heads != 0)
            return accel_fail(err, ACCEL_E_INVALID,
                              "input %zu has %" PRId64 " columns for %" PRId64 " heads", i,
                              x->dims[2], heads);
        rc = accel_agree(&s->batch, x->dims[0], "the batch", err);
        if (rc == ACCEL_OK)
            rc = accel_agree(i == QUERY ? &s->rows : &s->fresh, x->dims[1], "a sequence's length",
                             err);
        if (rc == ACCEL_OK && x->dims[2] >= 0)
            rc = accel_agree(&s->size, x->dims[2] / heads, "the size of a head", err);
    }
    if (packed)
        s->fresh = s->rows;
    if (rc == ACCEL_OK && accel_differ(s->rows, s->fresh) &&
        (s->fresh != 0 || !accel_given(n, PAST_K) || p->evicts))
        return accel_fail(err, ACCEL_E_INVALID, "%" PRId64 " rows of queries, %" PRId64 " of keys",
                          s->rows, s->fresh);
    return rc;
}

static enum accel_dtype cache_dtype(const struct accel_node *n, const struct accel_type *const *in)
{
    switch (((const struct group_query_params *)n->params)->form) {
    case ACCEL_KV_INT8:
        return ACCEL_DTYPE_INT8;
    case ACCEL_KV_INT4:
        return ACCEL_DTYPE_UINT8;
    case ACCEL_KV_FLOAT:
        break;
    }
    return in[QUERY]->dtype;
}

/* Columns of the cache. */
static int64_t cache_width(const struct group_query_params *p, int64_t size)
{
    return size >= 0 && p->form == ACCEL_KV_INT4 ? size / 2 + size % 2 : size;
}

static int past_of(const struct accel_node *n, const struct accel_type *const *in,
                   struct group_query_sizes *s, struct accel_error *err)
{
    const struct group_query_params *p = n->params;
    int rc = ACCEL_OK;

    s->past = accel_given(n, PAST_K) ? ACCEL_DIM_ANY : 0;
    for (size_t i = PAST_K; i <= PAST_V && accel_given(n, i) && rc == ACCEL_OK; i++) {
        const struct accel_shape *x = &in[i]->shape;
        int64_t heads = p->kv_heads, width = cache_width(p, s->size);

        if (in[i]->dtype != cache_dtype(n, in))
            return accel_fail(err, ACCEL_E_INVALID, "input %zu is %s instead of %s", i,
                              accel_dtype_name(in[i]->dtype), accel_dtype_name(cache_dtype(n, in)));
        if (x->rank != 4)
            return accel_fail(err, ACCEL_E_INVALID, "input %zu of rank %u instead of 4", i,
                              x->rank);
        rc = accel_agree(&s->batch, x->dims[0], "the batch", err);
        if (rc == ACCEL_OK)
            rc = accel_agree(&heads, x->dims[1], "the number of the cache's heads", err);
        if (rc == ACCEL_OK)
            rc = accel_agree(&s->past, x->dims[2], "the length of the cache", err);
        if (rc == ACCEL_OK)
            rc = accel_agree(&width, x->dims[3], "the width of the cache", err);
    }
    if (rc == ACCEL_OK && p->evicts && s->past >= 0 && s->past < p->window)
        return accel_fail(err, ACCEL_E_INVALID,
                          "a cache of %" PRId64 " rows is shorter than the window of %" PRId64,
                          s->past, p->window);
    return rc;
}

int accel_group_query_check_total(const struct group_query_params *p,
                                  const struct group_query_sizes *s, struct accel_error *err)
{
    if (s->total < 0 || s->fresh < 0 || s->past < 0 || s->rows < 0)
        return ACCEL_OK;
    if (s->total < 1 || s->total < s->fresh ||
        (!p->evicts && s->total > s->past && s->total - s->past != s->fresh))
        return accel_fail(err, ACCEL_E_INVALID,
                          "total_sequence_length is %" PRId64 " with %" PRId64
                          " new rows and a cache of %" PRId64,
                          s->total, s->fresh, s->past);
    if (s->rows > 1 && s->rows != s->total && s->batch > 1)
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          "several rows after a past for a batch of %" PRId64 " instead of 1",
                          s->batch);
    return ACCEL_OK;
}

int accel_group_query_sizes_of(const struct accel_node *n, const struct accel_type *const *in,
                               struct group_query_sizes *s, struct accel_error *err)
{
    *s = (struct group_query_sizes){-1, -1, -1, -1, -1, ACCEL_DIM_ANY};
    const int rc = operands_of(n, in, s, err);
    return rc == ACCEL_OK ? past_of(n, in, s, err) : rc;
}

/* Elements of a shape as far as is known. */
static int64_t elements_in(const struct accel_shape *x)
{
    size_t elements;

    return accel_shape_static(x) && accel_shape_elements(x, &elements) && elements <= INT64_MAX
               ? (int64_t)elements
               : ACCEL_DIM_ANY;
}

static int check_lengths(const struct accel_infer *in, const struct group_query_sizes *s,
                         struct accel_error *err)
{
    const struct accel_shape *lengths = &in->in[LENGTHS]->shape;

    if (lengths->rank == 0 || accel_differ(elements_in(lengths), s->batch))
        return accel_fail(err, ACCEL_E_INVALID,
                          "seqlens_k must have one number for each of %" PRId64, s->batch);
    if (accel_differ(elements_in(&in->in[TOTAL]->shape), 1))
        return accel_fail(err, ACCEL_E_INVALID, "total_sequence_length is not one number");
    return ACCEL_OK;
}

static int check_rotary(const struct accel_infer *in, const struct group_query_sizes *s,
                        struct accel_error *err)
{
    const struct accel_shape *c = accel_given(in->node, COSINE) ? &in->in[COSINE]->shape : NULL;
    const struct accel_shape *i = c != NULL ? &in->in[SINE]->shape : NULL;
    const struct accel_shape *p =
        accel_given(in->node, POSITIONS) ? &in->in[POSITIONS]->shape : NULL;

    if (c != NULL &&
        (c->rank != 2 || i->rank != 2 || accel_differ(c->dims[0], i->dims[0]) ||
         accel_differ(c->dims[1], i->dims[1]) || (s->size >= 0 && c->dims[1] > s->size / 2)))
        return accel_fail(err, ACCEL_E_INVALID,
                          "cos_cache and sin_cache must be [positions, up to %" PRId64 "]",
                          s->size < 0 ? s->size : s->size / 2);
    if (p != NULL &&
        (p->rank != 2 || accel_differ(p->dims[0], s->batch) || accel_differ(p->dims[1], s->rows)))
        return accel_fail(err, ACCEL_E_INVALID, "position_ids must be [%" PRId64 ", %" PRId64 "]",
                          s->batch, s->rows);
    return ACCEL_OK;
}

static int check_scores(const struct accel_infer *in, const struct group_query_sizes *s,
                        struct accel_error *err)
{
    const struct accel_node *n = in->node;
    const struct group_query_params *p = n->params;
    const struct accel_shape *b = accel_given(n, BIAS) ? &in->in[BIAS]->shape : NULL;
    int64_t channels = 1;

    if (b != NULL && (b->rank != 4 || (accel_differ(b->dims[0], s->batch) && b->dims[0] != 1) ||
                      (accel_differ(b->dims[1], p->heads) && b->dims[1] != 1) ||
                      accel_differ(b->dims[2], s->rows) || accel_differ(b->dims[3], s->total)))
        return accel_fail(err, ACCEL_E_INVALID,
                          "attention_bias must be [batch or 1, heads or 1, %" PRId64 ", %" PRId64
                          "]",
                          s->rows, s->total);
    if (accel_given(n, SINK) && accel_differ(elements_in(&in->in[SINK]->shape), p->heads))
        return accel_fail(err, ACCEL_E_INVALID, "head_sink must have %" PRId64 " numbers",
                          p->heads);
    if (p->by_channel && (s->size < 0 || __builtin_mul_overflow(p->kv_heads, s->size, &channels)))
        channels = ACCEL_DIM_ANY;
    for (size_t i = K_SCALE; i <= V_SCALE && p->form != ACCEL_KV_FLOAT; i++)
        if (accel_differ(elements_in(&in->in[i]->shape), channels))
            return accel_fail(err, ACCEL_E_INVALID, "input %zu must have %" PRId64 " numbers", i,
                              channels);
    return ACCEL_OK;
}

static int group_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_node *n = in->node;
    const struct group_query_params *p = n->params;
    struct group_query_sizes s;
    size_t count;
    int64_t hidden = ACCEL_DIM_ANY;
    int rc = accel_group_query_sizes_of(n, in->in, &s, err);

    if (rc == ACCEL_OK && (!accel_infer_ints(in, TOTAL, &s.total, 1, &count) || count != 1))
        s.total = ACCEL_DIM_ANY;
    else if (rc == ACCEL_OK && s.total < 1)
        rc = accel_fail(err, ACCEL_E_INVALID, "total_sequence_length is %" PRId64, s.total);
    if (rc == ACCEL_OK)
        rc = accel_group_query_check_total(p, &s, err);
    if (rc == ACCEL_OK)
        rc = check_lengths(in, &s, err);
    if (rc == ACCEL_OK)
        rc = check_rotary(in, &s, err);
    if (rc == ACCEL_OK)
        rc = check_scores(in, &s, err);
    if (rc == ACCEL_OK && s.size >= 0 && __builtin_mul_overflow(p->heads, s.size, &hidden))
        rc = accel_fail(err, ACCEL_E_INVALID, "its output overflows");
    if (rc != ACCEL_OK)
        return rc;
    const int64_t present = p->evicts                   ? s.past
                            : s.total < 0 || s.past < 0 ? ACCEL_DIM_ANY
                                                        : ACCEL_MAX(s.total, s.past);
    const int64_t width = cache_width(p, s.size);
    const struct accel_shape shapes[4] = {{true, 3, {s.batch, s.rows, hidden}},
                                          {true, 4, {s.batch, p->kv_heads, present, width}},
                                          {true, 4, {s.batch, p->kv_heads, present, width}},
                                          {true, 4, {s.batch, p->heads, s.rows, s.total}}};
    for (size_t o = 0; o < n->outputs_count; o++)
        if (in->out[o] != NULL) {
            in->out[o]->shape = shapes[o];
            in->out[o]->dtype =
                o == PRESENT_K || o == PRESENT_V ? cache_dtype(n, in->in) : in->in[QUERY]->dtype;
        }
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- the table */

static void group_cost(const struct accel_prepare *prep, struct accel_cost *cost)
{
    const struct group_query_params *p = prep->node->params;
    struct group_query_sizes s;

    if (accel_group_query_sizes_of(prep->node, prep->in, &s, NULL) == ACCEL_OK)
        cost->flops =
            accel_cached_flops(s.batch, p->heads, s.rows, ACCEL_MAX(s.past, s.rows), s.size);
}

ACCEL_WIDE_BY(group, accel_cached_wide_prepare, accel_group_query_prepare, accel_group_query_run)

#define T1    (ACCEL_T(FLOAT) | ACCEL_T(FLOAT16))
#define CACHE (T1 | ACCEL_T(INT8) | ACCEL_T(UINT8))
#define I32   ACCEL_T(INT32)
#define F32   ACCEL_T(FLOAT)
#define OPT   ACCEL_ARG_OPTIONAL

/* Without the inputs q_norm_weight and k_norm_weight, which ONNX Runtime's CPU provider refuses. */
static const struct accel_attr_rule group_attrs[] = {
    {"causal", ACCEL_ATTR_INT, 0},
    {"do_rotary", ACCEL_ATTR_INT, 0},
    {"k_quant_type", ACCEL_ATTR_STRING, 0},
    {"kv_cache_bit_width", ACCEL_ATTR_INT, 0},
    {"kv_num_heads", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED},
    {"local_window_size", ACCEL_ATTR_INT, 0},
    {"num_heads", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED},
    {"qk_norm_epsilon", ACCEL_ATTR_FLOAT, ACCEL_ATTR_IGNORED}, /* of q_norm_weight */
    {"qk_output", ACCEL_ATTR_INT, 0},
    {"rotary_interleaved", ACCEL_ATTR_INT, 0},
    {"scale", ACCEL_ATTR_FLOAT, 0},
    {"sliding_window_cache", ACCEL_ATTR_INT, 0},
    {"smooth_softmax", ACCEL_ATTR_INT, 0},
    {"softcap", ACCEL_ATTR_FLOAT, 0},
    {"v_quant_type", ACCEL_ATTR_STRING, 0},
    {0}};

const struct accel_op accel_ops_ms_group_query[] = {
    {.domain = "com.microsoft",
     .name = "GroupQueryAttention",
     .since = 1,
     .kind = ACCEL_KIND_GEMM,
     .attrs = group_attrs,
     .in = {{"query", T1, 'T', 0},
            {"key", T1, 'T', OPT},
            {"value", T1, 'T', OPT},
            {"past_key", CACHE, 'C', OPT},
            {"past_value", CACHE, 'C', OPT},
            {"seqlens_k", I32, 0, 0},
            {"total_sequence_length", I32, 0, 0},
            {"cos_cache", T1, 'T', OPT},
            {"sin_cache", T1, 'T', OPT},
            {"position_ids", ACCEL_T(INT64), 0, OPT},
            {"attention_bias", T1, 'T', OPT},
            {"head_sink", T1, 'T', OPT},
            {"k_scale", F32, 0, OPT},
            {"v_scale", F32, 0, OPT}},
     .out = {{"output", T1, 'T', 0},
             {"present_key", CACHE, 'C', OPT},
             {"present_value", CACHE, 'C', OPT},
             {"output_qk", T1, 'T', OPT}},
     .parse = group_parse,
     .infer = group_infer,
     .prepare = group_wide_prepare,
     .run = group_wide_run,
     .cost = group_cost},
    {0},
};
