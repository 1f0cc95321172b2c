/* SPDX-License-Identifier: Apache-2.0 */
/* com.microsoft SparseAttention: causal attention with a cache, where a query sees the blocks of
 * keys that its own block's row in the head's layout names. As ONNX Runtime's CPU provider has it:
 * what the new rows do not overwrite in the cache stays; a row with as many blocks as there are up
 * to its own counts as a full one, whichever they are; a query whose row names no block sees all
 * keys up to its own alike. ONNX Runtime runs it only with cache in and out in one buffer; here
 * they are two. Where a sequence is shorter than the longest, it reads weights from elsewhere than
 * it wrote them, but for the first head of the first sequence; here each has its own. */
#include "infer/ops/attention.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { QUERY, KEY, VALUE, PAST_K, PAST_V, ROWS, COLUMNS, TOTAL, LENGTHS, COSINE, SINE };
enum { Y, PRESENT_K, PRESENT_V };

/* ---------------------------------------------------------------- attributes */

struct params {
    int64_t heads, kv_heads, block;
    bool rotates;
};

static int sparse_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                        struct accel_error *err)
{
    struct params *p = accel_bump_alloc(mem, 1, sizeof(*p));

    if (p == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its attributes");
    *params = p;
    p->block = accel_attr_int(n, "sparse_block_size", 0);
    p->rotates = accel_attr_int(n, "do_rotary", 0) == 1;
    const int rc = accel_cached_heads(n, &p->heads, &p->kv_heads, err);
    if (rc != ACCEL_OK)
        return rc;
    if (p->block < 1 || p->block > INT32_MAX)
        return accel_fail(err, ACCEL_E_INVALID, "sparse_block_size is %" PRId64, p->block);
    if (accel_given(n, KEY) != accel_given(n, VALUE))
        return accel_fail(err, ACCEL_E_INVALID, "only one of key and value");
    if (n->outputs_count <= PRESENT_V || n->outputs[PRESENT_K] == NULL ||
        n->outputs[PRESENT_V] == NULL)
        return accel_fail(err, ACCEL_E_INVALID, "present_key or present_value is not there");
    if (p->rotates && (!accel_given(n, COSINE) || !accel_given(n, SINE)))
        return accel_fail(err, ACCEL_E_INVALID, "do_rotary without cos_cache and sin_cache");
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- shapes */

/* ACCEL_DIM_ANY where not known. */
struct sizes {
    int64_t batch, rows, cache, size; /* size: of a head */
    int64_t layouts, blocks, width;   /* of the masks; width: of block_col_indices */
    int64_t places;                   /* of cos_cache; not known without rotation */
};

static int64_t product_of(int64_t a, int64_t b)
{
    int64_t product;

    return a < 0 || b < 0 || __builtin_mul_overflow(a, b, &product) ? ACCEL_DIM_ANY : product;
}

/* The ranks have been checked. */
static int sizes_of(const struct accel_node *n, const struct accel_type *const *in, struct sizes *s,
                    struct accel_error *err)
{
    const struct params *p = n->params;
    const int64_t *q = in[QUERY]->shape.dims, *past = in[PAST_K]->shape.dims;
    const int64_t heads = p->heads + (accel_given(n, KEY) ? 0 : 2 * p->kv_heads);

    *s = (struct sizes){.batch = q[0],
                        .rows = q[1],
                        .cache = past[2],
                        .size = q[2] < 0 ? ACCEL_DIM_ANY : q[2] / heads,
                        .layouts = in[ROWS]->shape.dims[0],
                        .blocks = in[ROWS]->shape.dims[1] < 0 ? ACCEL_DIM_ANY
                                                              : in[ROWS]->shape.dims[1] - 1,
                        .width = in[COLUMNS]->shape.dims[1],
                        .places = p->rotates ? in[COSINE]->shape.dims[0] : ACCEL_DIM_ANY};
    if (q[2] >= 0 && q[2] % heads != 0)
        return accel_fail(err, ACCEL_E_INVALID,
                          "query has %" PRId64 " columns for %" PRId64 " heads", q[2], heads);
    if (s->layouts == 0 || s->blocks == 0 || in[ROWS]->shape.dims[1] == 0 ||
        (s->layouts > 0 && p->heads % s->layouts != 0))
        return accel_fail(err, ACCEL_E_INVALID,
                          "block_row_indices must be [a divisor of %" PRId64 " heads, 2 or more]",
                          p->heads);
    int rc = accel_agree(&s->batch, past[0], "the batch", err);
    if (rc == ACCEL_OK)
        rc = accel_agree(&s->size, past[3], "the size of a head", err);
    return rc == ACCEL_OK
               ? accel_agree(&s->cache, in[PAST_V]->shape.dims[2], "the length of the cache", err)
               : rc;
}

static int check_ranks(const struct accel_infer *in, struct accel_error *err)
{
    static const int64_t any[4] = {-1, -1, -1, -1};
    static const uint32_t ranks[] = {
        [QUERY] = 3, [KEY] = 3,     [VALUE] = 3,   [PAST_K] = 4, [PAST_V] = 4,
        [ROWS] = 2,  [COLUMNS] = 2, [LENGTHS] = 1, [COSINE] = 2, [SINE] = 2};
    int rc = ACCEL_OK;

    for (size_t i = 0; i < ACCEL_COUNT(ranks) && rc == ACCEL_OK; i++)
        if (i != TOTAL && accel_given(in->node, i))
            rc = accel_infer_expect(in, i, ranks[i], any, err);
    return rc;
}

static int check_shapes(const struct accel_infer *in, const struct sizes *s,
                        struct accel_error *err)
{
    const struct params *p = in->node->params;
    const int64_t fresh[3] = {s->batch, s->rows, product_of(p->kv_heads, s->size)};
    const int64_t cache[4] = {s->batch, p->kv_heads, s->cache, s->size};
    const int64_t columns[2] = {s->layouts, -1}, lengths[1] = {s->batch};
    const struct {
        size_t input;
        uint32_t rank;
        const int64_t *dims;
    } expected[] = {{KEY, 3, fresh},    {VALUE, 3, fresh},     {PAST_K, 4, cache},
                    {PAST_V, 4, cache}, {COLUMNS, 2, columns}, {LENGTHS, 1, lengths}};
    int rc = ACCEL_OK;
    size_t elements;

    for (size_t i = 0; i < ACCEL_COUNT(expected) && rc == ACCEL_OK; i++)
        if (accel_given(in->node, expected[i].input))
            rc = accel_infer_expect(in, expected[i].input, expected[i].rank, expected[i].dims, err);
    if (rc == ACCEL_OK && p->rotates) {
        const int64_t *c = in->in[COSINE]->shape.dims;

        rc = accel_infer_expect(in, SINE, 2, c, err);
        if (rc == ACCEL_OK && s->size >= 0 && c[1] > s->size / 2)
            return accel_fail(err, ACCEL_E_INVALID,
                              "cos_cache has %" PRId64 " columns for heads of %" PRId64, c[1],
                              s->size);
    }
    if (rc == ACCEL_OK && accel_shape_static(&in->in[TOTAL]->shape) &&
        (!accel_shape_elements(&in->in[TOTAL]->shape, &elements) || elements != 1))
        return accel_fail(err, ACCEL_E_INVALID, "total_sequence_length is not one number");
    return rc;
}

/* The longest sequence has room in the cache, the masks and the angles, as far as these are known.
 */
static int check_total(const struct params *p, const struct sizes *s, int64_t total,
                       struct accel_error *err)
{
    const struct {
        int64_t room;
        const char *what;
    } rooms[] = {{s->cache, "the cache"},
                 {product_of(s->blocks, p->block), "block_row_indices"},
                 {s->places, "cos_cache"}};

    if (total < 1 || total < s->rows)
        return accel_fail(err, ACCEL_E_INVALID,
                          "total_sequence_length is %" PRId64 " with %" PRId64 " rows of queries",
                          total, s->rows);
    for (size_t i = 0; i < ACCEL_COUNT(rooms); i++)
        if (rooms[i].room >= 0 && total > rooms[i].room)
            return accel_fail(err, ACCEL_E_INVALID,
                              "total_sequence_length is %" PRId64 " where %s has room for %" PRId64,
                              total, rooms[i].what, rooms[i].room);
    return ACCEL_OK;
}

static int sparse_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_node *n = in->node;
    const struct params *p = n->params;
    struct sizes s;
    int64_t total;
    size_t count;
    int rc = check_ranks(in, err);

    if (rc == ACCEL_OK)
        rc = sizes_of(n, in->in, &s, err);
    if (rc == ACCEL_OK)
        rc = check_shapes(in, &s, err);
    if (rc == ACCEL_OK && accel_infer_ints(in, TOTAL, &total, 1, &count) && count == 1)
        rc = check_total(p, &s, total, err);
    if (rc != ACCEL_OK)
        return rc;
    const struct accel_shape shapes[3] = {
        {true, 3, {s.batch, s.rows, product_of(p->heads, s.size)}},
        {true, 4, {s.batch, p->kv_heads, s.cache, s.size}},
        {true, 4, {s.batch, p->kv_heads, s.cache, s.size}}};
    for (size_t o = 0; o < n->outputs_count; o++)
        if (in->out[o] != NULL) {
            in->out[o]->shape = shapes[o];
            in->out[o]->dtype = in->in[QUERY]->dtype;
        }
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- preparing */

/* The scratch lies one part behind the other. */
struct state {
    struct accel_cached_attention cache;
    struct sizes sizes;
    size_t blocks; /* of the masks that the cache reaches, both ways */
    unsigned threads;
    size_t spans, positions, masks, work; /* bytes */
};

static int prepare_scratch(struct accel_prepare *prep, struct state *st, struct accel_error *err)
{
    struct accel_attention *a = &st->cache.attention;
    size_t cells;
    int rc =
        accel_scratch_part(prep, a->batch, sizeof(struct accel_attention_span), &st->spans, err);

    if (__builtin_mul_overflow(st->blocks, st->blocks, &cells) ||
        __builtin_mul_overflow((size_t)st->sizes.layouts, cells, &cells))
        return accel_fail(err, ACCEL_E_INVALID, "its masks overflow");
    if (rc == ACCEL_OK)
        rc = accel_scratch_part(prep, a->batch * a->q_rows, sizeof(int64_t), &st->positions, err);
    if (rc == ACCEL_OK)
        rc = accel_scratch_part(prep, cells, sizeof(float), &st->masks, err);
    return rc == ACCEL_OK ? accel_cached_scratch(prep, &st->cache, &st->work, err) : rc;
}

static int sparse_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    const struct accel_node *n = prep->node;
    const struct params *p = n->params;
    const float scale = accel_attr_float(n, "scale", 0);
    struct state *st = accel_prepare_state(prep, sizeof(*st), err);

    if (st == NULL)
        return ACCEL_E_NOMEM;
    st->threads = prep->threads;
    const int rc = sizes_of(n, prep->in, &st->sizes, err);
    if (rc != ACCEL_OK)
        return rc;
    const struct sizes *s = &st->sizes;
    struct accel_attention *a = &st->cache.attention;
    st->cache = (struct accel_cached_attention){.rotates = p->rotates,
                                                .cosine = COSINE,
                                                .fresh = (size_t)s->rows,
                                                .past = (size_t)s->cache,
                                                .cached = (size_t)s->cache};
    *a = (struct accel_attention){.batch = (size_t)s->batch,
                                  .heads = (size_t)p->heads,
                                  .kv_heads = (size_t)p->kv_heads,
                                  .q_rows = (size_t)s->rows,
                                  .kv_rows = (size_t)s->cache,
                                  .head_size = (size_t)s->size,
                                  .v_head_size = (size_t)s->size,
                                  .scale = scale != 0 ? scale : 1 / sqrtf((float)s->size),
                                  .left = -1};
    accel_cached_layout(n, a);
    st->blocks = (size_t)ACCEL_MIN(s->blocks, s->cache / p->block + (s->cache % p->block != 0));
    return prepare_scratch(prep, st, err);
}

/* ---------------------------------------------------------------- running */

/* Where each of the batch stands. Of a prompt all begin at 0, and the shorter end in padding.
 * Several rows are rotated by where the first of the batch stands, as ONNX Runtime does it. */
static int plan(const struct accel_run *run, int64_t total, struct accel_attention_span *spans,
                int64_t *positions, struct accel_error *err)
{
    const struct state *st = run->state;
    const struct sizes *s = &st->sizes;
    const int32_t *lengths = run->in[LENGTHS]->data;
    const bool is_prompt = total == s->rows;

    for (size_t b = 0; b < (size_t)s->batch; b++) {
        const int64_t offset = is_prompt ? 0 : lengths[b] - s->rows;

        if (lengths[b] < 1 || lengths[b] > total || offset < 0)
            return accel_fail(err, ACCEL_E_INVALID,
                              "key_total_sequence_lengths[%zu] is %" PRId32 " of %" PRId64
                              " with %" PRId64 " rows of queries",
                              b, lengths[b], total, s->rows);
        spans[b] = (struct accel_attention_span){.end = (size_t)lengths[b], .offset = offset};
        for (int64_t i = 0; i < s->rows; i++)
            positions[(int64_t)b * s->rows + i] = (s->rows > 1 ? spans[0].offset : offset) + i;
    }
    return ACCEL_OK;
}

/* Row `r` of a layout, as what is added to scores of keys in each block: the lowest number and not
 * -INFINITY, so that keys all of which are hidden weigh the same. */
static int read_row(const struct accel_run *run, size_t layout, size_t r, float *mask,
                    struct accel_error *err)
{
    const struct state *st = run->state;
    const struct sizes *s = &st->sizes;
    const int64_t blocks = s->blocks;
    const int32_t *starts = (const int32_t *)run->in[ROWS]->data + layout * (size_t)(blocks + 1);
    const int32_t *columns = (const int32_t *)run->in[COLUMNS]->data + layout * (size_t)s->width;
    const int64_t first = starts[r], last = starts[r + 1];
    /* A layout with as many blocks as all lower triangles have is full in every row. */
    const bool full = starts[blocks] >= blocks * (blocks + 1) / 2 || last - first == (int64_t)r + 1;

    for (size_t c = 0; c < st->blocks; c++)
        mask[c] = full ? 0 : -FLT_MAX;
    if (full)
        return ACCEL_OK;
    if (first < 0 || last < first || last > s->width)
        return accel_fail(err, ACCEL_E_INVALID,
                          "block_row_indices has row %zu of layout %zu from %" PRId64 " to %" PRId64
                          " of %" PRId64 " columns",
                          r, layout, first, last, s->width);
    for (int64_t j = first; j < last; j++) {
        if (columns[j] < 0 || columns[j] >= blocks)
            return accel_fail(err, ACCEL_E_INVALID,
                              "block_col_indices[%zu][%" PRId64 "] is %" PRId32 " of %" PRId64
                              " blocks",
                              layout, j, columns[j], blocks);
        if ((size_t)columns[j] < st->blocks)
            mask[columns[j]] = 0;
    }
    return ACCEL_OK;
}

/* The rows of every layout that a query stands in. */
static int read_masks(const struct accel_run *run, const struct accel_attention_span *spans,
                      float *masks, struct accel_error *err)
{
    const struct state *st = run->state;
    const struct sizes *s = &st->sizes;
    const int64_t block = ((const struct params *)run->node->params)->block;
    int64_t low = INT64_MAX, high = -1;
    int rc = ACCEL_OK;

    for (size_t b = 0; b < (size_t)s->batch && s->rows > 0; b++) {
        low = ACCEL_MIN(low, spans[b].offset / block);
        high = ACCEL_MAX(high, (spans[b].offset + s->rows - 1) / block);
    }
    for (size_t l = 0; l < (size_t)s->layouts; l++)
        for (int64_t r = low; r <= high && rc == ACCEL_OK; r++)
            rc =
                read_row(run, l, (size_t)r, masks + (l * st->blocks + (size_t)r) * st->blocks, err);
    return rc;
}

/* The cache out is the cache in with the new rows where their sequences go on. */
static void update(const struct accel_run *run, size_t i, const struct accel_attention_span *spans,
                   struct accel_attention_operand *operand)
{
    const struct accel_cached_attention *c = &((const struct state *)run->state)->cache;
    const struct accel_attention *a = &c->attention;
    const size_t all = a->kv_heads * c->cached * a->head_size;
    float *y = run->out[PRESENT_K + i]->data;

    if (a->batch * all > 0)
        memcpy(y, run->in[PAST_K + i]->data, a->batch * all * sizeof(*y));
    for (size_t b = 0; b < a->batch; b++) {
        struct accel_attention_operand fresh = *operand;

        fresh.data += b * fresh.batch;
        accel_attention_place(run->pool, 1, a->kv_heads, a->head_size, &fresh, c->fresh,
                              y + b * all, c->cached, (size_t)spans[b].offset);
    }
    *operand = accel_by_heads(a->kv_heads, c->cached, a->head_size);
    operand->data = y;
}

static int sparse_run(struct accel_run *run, struct accel_error *err)
{
    const struct state *st = run->state;
    const struct params *p = run->node->params;
    const int64_t total = *(const int32_t *)run->in[TOTAL]->data;
    struct accel_attention a = st->cache.attention;
    char *scratch = run->scratch;
    struct accel_attention_span *spans = (void *)scratch;
    int64_t *positions = (void *)(scratch += st->spans);
    float *masks = (void *)(scratch += st->positions);
    int rc = check_total(p, &st->sizes, total, err);

    scratch += st->masks;
    if (rc == ACCEL_OK)
        rc = plan(run, total, spans, positions, err);
    if (rc == ACCEL_OK)
        rc = read_masks(run, spans, masks, err);
    if (rc != ACCEL_OK)
        return rc;
    accel_cached_read(run, &st->cache, positions, &a, scratch);
    scratch += st->cache.rotated[0] + st->cache.rotated[1];
    update(run, 0, spans, &a.k);
    update(run, 1, spans, &a.v);
    a.y = run->out[Y]->data;
    a.spans = spans;
    a.masks[0] = (struct accel_attention_mask){.data = masks,
                                               .head = st->blocks * st->blocks,
                                               .row = st->blocks,
                                               .columns = st->blocks,
                                               .layouts = (size_t)st->sizes.layouts,
                                               .block = (size_t)p->block};
    accel_narrow(run->kernels, &a, (size_t)total, st->threads, st->work);
    accel_attention_f32(run->kernels, run->pool, &a, scratch);
    return ACCEL_OK;
}

static void sparse_cost(const struct accel_prepare *prep, struct accel_cost *cost)
{
    const struct params *p = prep->node->params;
    struct sizes s;

    if (sizes_of(prep->node, prep->in, &s, NULL) == ACCEL_OK)
        cost->flops = accel_cached_flops(s.batch, p->heads, s.rows, s.cache, s.size);
}

ACCEL_WIDE_BY(sparse, accel_cached_wide_prepare, sparse_prepare, sparse_run)

#define T   (ACCEL_T(FLOAT) | ACCEL_T(FLOAT16))
#define I32 ACCEL_T(INT32)
#define OPT ACCEL_ARG_OPTIONAL

static const struct accel_attr_rule sparse_attrs[] = {
    {"do_rotary", ACCEL_ATTR_INT, 0},
    {"kv_num_heads", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED},
    {"num_heads", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED},
    {"rotary_interleaved", ACCEL_ATTR_INT, 0},
    {"scale", ACCEL_ATTR_FLOAT, 0},
    {"sparse_block_size", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED},
    {0}};

const struct accel_op accel_ops_ms_sparse_attention[] = {
    {.domain = "com.microsoft",
     .name = "SparseAttention",
     .since = 1,
     .kind = ACCEL_KIND_GEMM,
     .attrs = sparse_attrs,
     .in = {{"query", T, 'T', 0},
            {"key", T, 'T', OPT},
            {"value", T, 'T', OPT},
            {"past_key", T, 'T', 0},
            {"past_value", T, 'T', 0},
            {"block_row_indices", I32, 0, 0},
            {"block_col_indices", I32, 0, 0},
            {"total_sequence_length", I32, 0, 0},
            {"key_total_sequence_lengths", I32, 0, 0},
            {"cos_cache", T, 'T', OPT},
            {"sin_cache", T, 'T', OPT}},
     .out = {{"output", T, 'T', 0}, {"present_key", T, 'T', 0}, {"present_value", T, 'T', 0}},
     .parse = sparse_parse,
     .infer = sparse_infer,
     .prepare = sparse_wide_prepare,
     .run = sparse_wide_run,
     .cost = sparse_cost},
    {0},
};
