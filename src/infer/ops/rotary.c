/* SPDX-License-Identifier: Apache-2.0 */
/* RotaryEmbedding, of the standard and of com.microsoft, which differ in the order of the inputs
 * and in what a lone position means; MRotaryEmbedding, where a token has three positions (time,
 * height, width) and each column turns by one of them. */
#include "infer/kernels/sequence.h"
#include "infer/ops/elements.h"
#include "infer/ops/wide.h"

#include <inttypes.h>
#include <string.h>

struct places {
    size_t cosine, sine, positions;
};

static struct places places_of(const struct accel_node *n)
{
    return n->domain[0] == '\0' ? (struct places){1, 2, 3} : (struct places){2, 3, 1};
}

static int rotary_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                        struct accel_error *err)
{
    const int64_t rotated = accel_attr_int(n, "rotary_embedding_dim", 0);

    (void)mem;
    (void)params;
    if (accel_attr_int(n, "num_heads", 0) < 0 || rotated < 0 || rotated % 2 != 0)
        return accel_fail(err, ACCEL_E_INVALID,
                          "num_heads %" PRId64 ", rotary_embedding_dim %" PRId64
                          ": neither may be below 0, the latter has to be even",
                          accel_attr_int(n, "num_heads", 0), rotated);
    if (accel_attr_int(n, "is_packed_batching", 0) != 0)
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          "is_packed_batching is not supported, export with 0");
    return ACCEL_OK;
}

/* All but the positions, for static shapes. */
static int rotary_of(const struct accel_node *n, const struct accel_shape *x,
                     const struct accel_shape *cosine, struct accel_rotary *r,
                     struct accel_error *err)
{
    const size_t half = (size_t)cosine->dims[cosine->rank - 1];
    const size_t stated = (size_t)accel_attr_int(n, "num_heads", 0);
    const size_t rotated = (size_t)accel_attr_int(n, "rotary_embedding_dim", 0);

    *r = (struct accel_rotary){.batch = (size_t)x->dims[0],
                               .interleaved = accel_attr_int(n, "interleaved", 0) != 0};
    if (x->rank == 4) {
        r->heads = (size_t)x->dims[1];
        r->rows = (size_t)x->dims[2];
        r->head_size = (size_t)x->dims[3];
    } else {
        const size_t hidden = (size_t)x->dims[2];

        /* com.microsoft: the whole head turns, so the cache says how large it is. */
        r->head_size = stated > 0 ? hidden / stated : 2 * half;
        r->rows = (size_t)x->dims[1];
        r->heads = r->head_size > 0 ? hidden / r->head_size : 0;
        if (r->heads * r->head_size != hidden || (stated == 0 && n->domain[0] == '\0'))
            return accel_fail(err, ACCEL_E_INVALID, "%zu columns for num_heads %zu", hidden,
                              stated);
    }
    r->rotated = rotated > 0 ? rotated : r->head_size;
    if (r->rotated > r->head_size || r->rotated != 2 * half)
        return accel_fail(err, ACCEL_E_INVALID,
                          "%zu of %zu columns of a head turn, the caches are for %zu", r->rotated,
                          r->head_size, 2 * half);
    r->batch_stride = r->heads * r->rows * r->head_size;
    r->head_stride = x->rank == 4 ? r->rows * r->head_size : r->head_size;
    r->row_stride = x->rank == 4 ? r->head_size : r->heads * r->head_size;
    return ACCEL_OK;
}

static int check_caches(const struct accel_infer *in, const struct places *p,
                        struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape, *c = &in->in[p->cosine]->shape,
                             *s = &in->in[p->sine]->shape;
    const bool looked_up = accel_given(in->node, p->positions);
    const int64_t rows = x->dims[x->rank == 4 ? 2 : 1];

    if (c->rank != (looked_up ? 2 : 3) || s->rank != c->rank)
        return accel_fail(err, ACCEL_E_INVALID,
                          "caches of rank %u and %u: %s position_ids both must have %d", c->rank,
                          s->rank, looked_up ? "with" : "without", looked_up ? 2 : 3);
    for (uint32_t i = 0; i < c->rank; i++)
        if (c->dims[i] >= 0 && s->dims[i] >= 0 && c->dims[i] != s->dims[i])
            return accel_fail(err, ACCEL_E_INVALID, "cosine and sine differ in dimension %u", i);
    if (!looked_up && ((c->dims[0] >= 0 && x->dims[0] >= 0 && c->dims[0] != x->dims[0]) ||
                       (c->dims[1] >= 0 && rows >= 0 && c->dims[1] != rows)))
        return accel_fail(err, ACCEL_E_INVALID,
                          "caches without position_ids must be [batch, sequence, ...]");
    return ACCEL_OK;
}

static int rotary_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct places p = places_of(in->node);
    const struct accel_shape *x = &in->in[0]->shape;
    struct accel_rotary r;

    if (x->rank != 3 && x->rank != 4)
        return accel_fail(err, ACCEL_E_INVALID, "an input of rank %u instead of 3 or 4", x->rank);
    int rc = check_caches(in, &p, err);
    if (rc == ACCEL_OK && accel_given(in->node, p.positions)) {
        const struct accel_shape *ids = &in->in[p.positions]->shape;
        const int64_t rows = x->dims[x->rank == 4 ? 2 : 1];
        const bool one = in->node->domain[0] != '\0' && ids->rank == 1 && ids->dims[0] <= 1;

        if (!one && (ids->rank != 2 ||
                     (ids->dims[0] >= 0 && x->dims[0] >= 0 && ids->dims[0] != x->dims[0]) ||
                     (ids->dims[1] >= 0 && rows >= 0 && ids->dims[1] != rows)))
            rc = accel_fail(err, ACCEL_E_INVALID, "position_ids must be [batch, sequence]");
    }
    if (rc == ACCEL_OK && accel_shape_static(x) && accel_shape_static(&in->in[p.cosine]->shape))
        rc = rotary_of(in->node, x, &in->in[p.cosine]->shape, &r, err);
    return rc == ACCEL_OK ? accel_infer_same(in, err) : rc;
}

static int check_positions(const struct accel_rotary *r, int64_t places, struct accel_error *err)
{
    const size_t count = r->one_position ? 1 : r->batch * r->rows;
    const int64_t last = r->one_position && r->rows > 0 ? places - (int64_t)r->rows + 1 : places;

    for (size_t i = 0; i < count; i++)
        if (r->positions[i] < 0 || r->positions[i] >= last)
            return accel_fail(err, ACCEL_E_INVALID,
                              "position %" PRId64 " is outside of caches of %" PRId64,
                              r->positions[i], places);
    return ACCEL_OK;
}

static int rotary_run(struct accel_run *run, struct accel_error *err)
{
    const struct places p = places_of(run->node);
    const struct accel_shape x = accel_shape_of(run->in[0]), c = accel_shape_of(run->in[p.cosine]);
    struct accel_rotary r;
    int rc = rotary_of(run->node, &x, &c, &r, err);

    if (rc != ACCEL_OK || run->in[0]->size_bytes == 0)
        return rc;
    if (accel_given(run->node, p.positions)) {
        r.positions = run->in[p.positions]->data;
        r.one_position = run->in[p.positions]->rank == 1;
        rc = check_positions(&r, c.dims[0], err);
        if (rc != ACCEL_OK)
            return rc;
    }
    accel_rotary_f32(run->pool, &r, run->in[0]->data, run->in[p.cosine]->data,
                     run->in[p.sine]->data, run->out[0]->data);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- MRotaryEmbedding */

#define STREAMS 3 /* time, height, width */

enum { INPUT, STREAM_POSITIONS, STREAM_COSINE, STREAM_SINE };

struct stream_state {
    const uint8_t *streams; /* of each column: whose position */
    size_t scaled;          /* bytes of a copy of a cache times `scale`; 0: it is 1 */
    bool halves;
};

static int stream_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                        struct accel_error *err)
{
    const int64_t layout = accel_attr_int(n, "mrope_layout", 0);
    const int64_t heads = accel_attr_int(n, "num_heads", 0);
    const int64_t rotated = accel_attr_int(n, "rotary_embedding_dim", 0);
    size_t count;
    const int64_t *section = accel_attr_ints(n, "mrope_section", &count);

    (void)mem;
    (void)params;
    if (layout != 0 && layout != 1)
        return accel_fail(err, ACCEL_E_INVALID, "mrope_layout is %" PRId64 ", not 0 or 1", layout);
    if (heads < 0 || rotated < 0 || (rotated > 0 && heads == 0))
        return accel_fail(err, ACCEL_E_INVALID,
                          "num_heads %" PRId64 ", rotary_embedding_dim %" PRId64
                          ": neither may be below 0, the latter needs the former",
                          heads, rotated);
    for (size_t i = 0; i < count; i++)
        if (count != STREAMS || section[i] < 0 || section[i] > INT32_MAX)
            return accel_fail(err, ACCEL_E_INVALID, "mrope_section is not three sizes");
    return count == STREAMS ? ACCEL_OK
                            : accel_fail(err, ACCEL_E_INVALID, "mrope_section is not three sizes");
}

static int stream_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[INPUT]->shape, *c = &in->in[STREAM_COSINE]->shape;
    const struct accel_shape *ids = &in->in[STREAM_POSITIONS]->shape;
    const struct places p = places_of(in->node);
    struct accel_rotary r;
    size_t count;
    const int64_t *section = accel_attr_ints(in->node, "mrope_section", &count);
    const int64_t columns = section[0] + section[1] + section[2];

    if (x->rank != 4 && (x->rank != 3 || accel_attr_int(in->node, "num_heads", 0) == 0))
        return accel_fail(err, ACCEL_E_INVALID, "an input of rank %u with num_heads %" PRId64,
                          x->rank, accel_attr_int(in->node, "num_heads", 0));
    int rc = check_caches(in, &p, err);
    if (rc != ACCEL_OK)
        return rc;
    const int64_t wants[STREAMS] = {STREAMS, x->dims[0], x->dims[x->rank == 4 ? 2 : 1]};
    for (uint32_t i = 0; i < STREAMS; i++)
        if (ids->rank != STREAMS ||
            (ids->dims[i] >= 0 && wants[i] >= 0 && ids->dims[i] != wants[i]))
            return accel_fail(err, ACCEL_E_INVALID, "position_ids must be [3, batch, sequence]");
    if (c->dims[1] >= 0 && c->dims[1] != columns)
        return accel_fail(err, ACCEL_E_INVALID,
                          "mrope_section is of %" PRId64 " columns, the caches of %" PRId64,
                          columns, c->dims[1]);
    if (accel_shape_static(x) && accel_shape_static(c))
        rc = rotary_of(in->node, x, c, &r, err);
    return rc == ACCEL_OK ? accel_infer_same(in, err) : rc;
}

/* Layout 0: the sections one behind the other. 1: in turn, as far as each of the last two goes, the
 * rest is of the first. */
static void assign(const int64_t *section, bool in_turn, size_t columns, uint8_t *streams)
{
    size_t at = 0;

    memset(streams, 0, columns);
    for (uint8_t stream = 0; stream < STREAMS; stream++) {
        const size_t count = (size_t)section[stream];

        for (size_t i = 0; !in_turn && i < count && at < columns; i++)
            streams[at++] = stream;
        for (size_t i = stream; in_turn && i < STREAMS * count && i < columns; i += STREAMS)
            streams[i] = stream;
    }
}

static int stream_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    const struct accel_node *n = prep->node;
    const struct accel_shape *c = &prep->in[STREAM_COSINE]->shape;
    const size_t columns = (size_t)c->dims[1];
    struct stream_state *st = accel_bump_alloc(prep->mem, 1, sizeof(*st));
    uint8_t *streams = accel_bump_alloc(prep->mem, columns + 1, 1);
    size_t count, bytes;

    if (st == NULL || streams == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to prepare it");
    prep->state = st;
    st->streams = streams;
    assign(accel_attr_ints(n, "mrope_section", &count), accel_attr_int(n, "mrope_layout", 0) == 1,
           columns, streams);
    if (accel_attr_float(n, "scale", 1) == 1)
        return ACCEL_OK;
    if (!accel_shape_bytes(c, ACCEL_DTYPE_FLOAT, &bytes) || bytes > SIZE_MAX / 4)
        return accel_fail(err, ACCEL_E_INVALID, "its work space overflows");
    st->scaled = ACCEL_ROUND_UP(bytes, ACCEL_KERNEL_ALIGN);
    prep->scratch_bytes = 2 * st->scaled;
    return ACCEL_OK;
}

/* A cache times `scale`, at y; ONNX Runtime makes halves of it before it turns halves by it. */
static const float *scale_cache(const struct accel_run *run, const struct accel_tensor *cache,
                                bool halves, float *y)
{
    const size_t n = accel_elements(cache);
    const float scale = accel_attr_float(run->node, "scale", 1), *x = cache->data;

    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * scale;
    if (halves)
        accel_round_to_half(run->kernels, n, y);
    return y;
}

static int stream_run(struct accel_run *run, struct accel_error *err)
{
    const struct stream_state *st = run->state;
    const struct accel_tensor *c = run->in[STREAM_COSINE], *s = run->in[STREAM_SINE];
    const struct accel_shape x = accel_shape_of(run->in[INPUT]), cache = accel_shape_of(c);
    const float *cosine = c->data, *sine = s->data;
    struct accel_rotary r;
    int rc = rotary_of(run->node, &x, &cache, &r, err);

    if (rc != ACCEL_OK || run->in[INPUT]->size_bytes == 0)
        return rc;
    r.positions = run->in[STREAM_POSITIONS]->data;
    r.streams = st->streams;
    for (size_t i = 0; i < STREAMS * r.batch * r.rows; i++)
        if (r.positions[i] < 0 || r.positions[i] >= cache.dims[0])
            return accel_fail(err, ACCEL_E_INVALID,
                              "position %" PRId64 " is outside of caches of %" PRId64,
                              r.positions[i], cache.dims[0]);
    if (st->scaled > 0) {
        cosine = scale_cache(run, c, st->halves, run->scratch);
        sine =
            scale_cache(run, s, st->halves, (float *)(void *)((char *)run->scratch + st->scaled));
    }
    accel_rotary_f32(run->pool, &r, run->in[INPUT]->data, cosine, sine, run->out[0]->data);
    return ACCEL_OK;
}

static int stream_wide_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    const int rc = accel_wide_prepare(prep, stream_prepare, err);

    if (rc == ACCEL_OK)
        ((struct stream_state *)prep->state)->halves =
            prep->in[INPUT]->dtype == ACCEL_DTYPE_FLOAT16;
    return rc;
}

static int stream_wide_run(struct accel_run *run, struct accel_error *err)
{
    return accel_wide_run(run, stream_run, err);
}

/* ---------------------------------------------------------------- the table */

#define T1 ACCEL_T(FLOAT)

static const struct accel_attr_rule attrs[] = {{"interleaved", ACCEL_ATTR_INT, 0},
                                               {"num_heads", ACCEL_ATTR_INT, 0},
                                               {"rotary_embedding_dim", ACCEL_ATTR_INT, 0},
                                               {0}};
/* scale: ONNX Runtime's CPU provider reads it and uses it nowhere. */
static const struct accel_attr_rule ms_attrs[] = {{"interleaved", ACCEL_ATTR_INT, 0},
                                                  {"num_heads", ACCEL_ATTR_INT, 0},
                                                  {"rotary_embedding_dim", ACCEL_ATTR_INT, 0},
                                                  {"is_packed_batching", ACCEL_ATTR_INT, 0},
                                                  {"scale", ACCEL_ATTR_FLOAT, ACCEL_ATTR_IGNORED},
                                                  {0}};

/* is_packed_batching: positions are looked up one by one, however many rows there are. */
static const struct accel_attr_rule stream_attrs[] = {
    {"interleaved", ACCEL_ATTR_INT, 0},  {"is_packed_batching", ACCEL_ATTR_INT, ACCEL_ATTR_IGNORED},
    {"mrope_layout", ACCEL_ATTR_INT, 0}, {"mrope_section", ACCEL_ATTR_INTS, ACCEL_ATTR_REQUIRED},
    {"num_heads", ACCEL_ATTR_INT, 0},    {"rotary_embedding_dim", ACCEL_ATTR_INT, 0},
    {"scale", ACCEL_ATTR_FLOAT, 0},      {0}};
#define STREAMS_T (ACCEL_T(FLOAT) | ACCEL_T(FLOAT16))

#define ROTARY                                                                       \
    .name = "RotaryEmbedding", .kind = ACCEL_KIND_ELEMENTWISE, .flops_per_value = 3, \
    .parse = rotary_parse, .infer = rotary_infer, .run = rotary_run, .out = {{"Y", T1, 'T', 0}}

const struct accel_op accel_ops_rotary[] = {
    {ROTARY, .domain = "", .since = 23, .attrs = attrs,
     .in = {{"X", T1, 'T', 0},
            {"cos_cache", T1, 'T', 0},
            {"sin_cache", T1, 'T', 0},
            {"position_ids", ACCEL_T(INT64), 0, ACCEL_ARG_OPTIONAL}}},
    {ROTARY, .domain = "com.microsoft", .since = 1, .attrs = ms_attrs,
     .in = {{"input", T1, 'T', 0},
            {"position_ids", ACCEL_T(INT64), 0, 0},
            {"cos_cache", T1, 'T', 0},
            {"sin_cache", T1, 'T', 0}}},
    {.domain = "com.microsoft",
     .name = "MRotaryEmbedding",
     .since = 1,
     .kind = ACCEL_KIND_ELEMENTWISE,
     .flops_per_value = 3,
     .attrs = stream_attrs,
     .in = {{"input", STREAMS_T, 'T', 0},
            {"position_ids", ACCEL_T(INT64), 0, 0},
            {"cos_cache", STREAMS_T, 'T', 0},
            {"sin_cache", STREAMS_T, 'T', 0}},
     .out = {{"output", STREAMS_T, 'T', 0}},
     .parse = stream_parse,
     .infer = stream_infer,
     .prepare = stream_wide_prepare,
     .run = stream_wide_run},
    {0},
};
