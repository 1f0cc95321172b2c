/* SPDX-License-Identifier: Apache-2.0 */
/* RotaryEmbedding, of the standard and of com.microsoft, which differ in the order of the inputs
 * and in what a lone position means. */
#include "infer/kernels/sequence.h"
#include "infer/ops/elements.h"

#include <inttypes.h>

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
                          "num_heads %" PRId64 ", rotary_embedding_dim %" PRId64,
                          accel_attr_int(n, "num_heads", 0), rotated);
    if (accel_attr_int(n, "is_packed_batching", 0) != 0)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "is_packed_batching");
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
        return accel_fail(err, ACCEL_E_INVALID, "caches of rank %u and %u, %s position_ids",
                          c->rank, s->rank, looked_up ? "with" : "without");
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
        return accel_fail(err, ACCEL_E_INVALID, "an input of rank %u", x->rank);
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
    {0},
};
