/* SPDX-License-Identifier: Apache-2.0 */
/* Operators that read elements at indices: Gather, GatherND, GatherElements. */
#include "infer/ops/addressing.h"

#include <inttypes.h>
#include <string.h>

/* ---------------------------------------------------------------- Gather */

/* Indices that are known before running are held against the dimension they index, if it is. */
static int check_known_indices(struct accel_infer *in, int64_t dim, struct accel_error *err)
{
    int64_t at[ACCEL_INTS_MAX];
    size_t n;

    if (dim < 0 || !accel_infer_ints(in, 1, at, ACCEL_INTS_MAX, &n))
        return ACCEL_OK;
    for (size_t i = 0; i < n; i++)
        if (at[i] < -dim || at[i] >= dim)
            return accel_fail(err, ACCEL_E_INVALID, "index %" PRId64 " of a dimension of %" PRId64,
                              at[i], dim);
    return ACCEL_OK;
}

static int gather_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape, *idx = &in->in[1]->shape;
    struct accel_type *y = in->out[0];
    int64_t data[ACCEL_INTS_MAX], at[ACCEL_INTS_MAX];
    size_t n, n_at;
    uint32_t axis;
    const int rc = accel_axis(accel_attr_int(in->node, "axis", 0), x->rank, &axis, err);

    if (rc != ACCEL_OK)
        return rc;
    if (x->rank + idx->rank - 1 > ACCEL_RANK_MAX)
        return accel_fail(err, ACCEL_E_INVALID, "more than %d dimensions", ACCEL_RANK_MAX);
    if (check_known_indices(in, x->dims[axis], err) != ACCEL_OK)
        return ACCEL_E_INVALID;
    y->dtype = in->in[0]->dtype;
    y->shape = (struct accel_shape){.has_rank = true, .rank = x->rank + idx->rank - 1};
    for (uint32_t i = 0; i < y->shape.rank; i++)
        y->shape.dims[i] = i < axis               ? x->dims[i]
                           : i < axis + idx->rank ? idx->dims[i - axis]
                                                  : x->dims[i - idx->rank + 1];
    if (x->rank != 1 || idx->rank > 1 || in->in[0]->data != NULL ||
        !accel_infer_partial(in, 0, data, ACCEL_INTS_MAX, &n) ||
        !accel_infer_ints(in, 1, at, ACCEL_INTS_MAX, &n_at))
        return ACCEL_OK;
    for (size_t i = 0; i < n_at; i++) {
        if (at[i] < -(int64_t)n || at[i] >= (int64_t)n)
            return accel_fail(err, ACCEL_E_INVALID, "index %" PRId64 " of %zu", at[i], n);
        at[i] = data[at[i] < 0 ? at[i] + (int64_t)n : at[i]];
    }
    return accel_infer_set_ints(in, 0, at, n_at, err);
}

static int gather_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0], *idx = run->in[1];
    uint32_t axis = 0;

    if (accel_axis(accel_attr_int(run->node, "axis", 0), x->rank, &axis, err) != ACCEL_OK)
        return ACCEL_E_INVALID;
    const size_t outer = accel_dims_product(x->dims, 0, axis);
    const size_t bytes =
        accel_dims_product(x->dims, axis + 1, x->rank) * accel_element_bytes(x->dtype);
    const size_t n = accel_dims_product(idx->dims, 0, idx->rank);
    const int64_t dim = x->dims[axis];
    char *to = run->out[0]->data;
    for (size_t o = 0; o < outer; o++) {
        for (size_t i = 0; i < n; i++) {
            int64_t k = idx->dtype == ACCEL_DTYPE_INT64 ? ((const int64_t *)idx->data)[i]
                                                        : ((const int32_t *)idx->data)[i];

            if (k < -dim || k >= dim)
                return accel_fail(err, ACCEL_E_INVALID,
                                  "index %" PRId64 " is outside an axis of %" PRId64, k, dim);
            k += k < 0 ? dim : 0;
            memcpy(to, (const char *)x->data + (o * (size_t)dim + (size_t)k) * bytes, bytes);
            to += bytes;
        }
    }
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- GatherND */

static int gather_nd_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape, *at = &in->in[1]->shape;
    const int64_t batch = accel_attr_int(in->node, "batch_dims", 0);
    struct accel_shape y = {.has_rank = true};
    int64_t depth;
    const int rc = accel_nd_depth(x, at, batch, &depth, err);

    in->out[0]->dtype = in->in[0]->dtype;
    if (rc != ACCEL_OK || depth < 0)
        return rc;
    const uint32_t rest = x->rank - (uint32_t)batch - (uint32_t)depth;
    if (at->rank - 1 + rest > ACCEL_RANK_MAX)
        return accel_fail(err, ACCEL_E_INVALID, "more than %d dimensions", ACCEL_RANK_MAX);
    for (uint32_t i = 0; i + 1 < at->rank; i++)
        y.dims[y.rank++] = at->dims[i];
    for (uint32_t i = x->rank - rest; i < x->rank; i++)
        y.dims[y.rank++] = x->dims[i];
    in->out[0]->shape = y;
    return ACCEL_OK;
}

static int gather_nd_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0], *at = run->in[1];
    const uint32_t batch = (uint32_t)accel_attr_int(run->node, "batch_dims", 0);
    const size_t depth = (size_t)at->dims[at->rank - 1];
    const size_t tuples = accel_dims_product(at->dims, 0, at->rank - 1);
    const size_t batches = accel_dims_product(at->dims, 0, batch);
    const size_t plane = accel_dims_product(x->dims, batch, x->rank);
    const size_t bytes = accel_dims_product(x->dims, batch + (uint32_t)depth, x->rank) *
                         accel_element_bytes(x->dtype);

    for (size_t i = 0; i < tuples; i++) {
        size_t offset;
        const int rc = accel_tuple_offset(x, at, i, batch, depth, &offset, err);

        if (rc != ACCEL_OK)
            return rc;
        offset += i / (tuples / batches) * plane;
        if (bytes > 0)
            memcpy((char *)run->out[0]->data + i * bytes,
                   (const char *)x->data + offset * accel_element_bytes(x->dtype), bytes);
    }
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- GatherElements */

static int gather_elements_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape;
    uint32_t axis;
    int rc = accel_axis(accel_attr_int(in->node, "axis", 0), x->rank, &axis, err);

    if (rc == ACCEL_OK)
        rc = accel_same_but_axis(x, &in->in[1]->shape, axis, err);
    in->out[0]->dtype = in->in[0]->dtype;
    in->out[0]->shape = in->in[1]->shape;
    return rc;
}

static int gather_elements_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0], *at = run->in[1];
    const size_t n = accel_elements(at), size = accel_element_bytes(x->dtype);
    uint32_t axis = 0;
    int rc = accel_axis(accel_attr_int(run->node, "axis", 0), x->rank, &axis, err);

    for (size_t i = 0; i < n && rc == ACCEL_OK; i++) {
        size_t offset;

        rc = accel_element_offset(x, at, i, axis, &offset, err);
        if (rc == ACCEL_OK)
            memcpy((char *)run->out[0]->data + i * size, (const char *)x->data + offset * size,
                   size);
    }
    return rc;
}

/* ---------------------------------------------------------------- the entries */

#define ANY ACCEL_T_ALL
#define IND (ACCEL_T(INT32) | ACCEL_T(INT64))
#define I64 ACCEL_T(INT64)

static const struct accel_attr_rule axis_attrs[] = {{"axis", ACCEL_ATTR_INT, 0}, {0}};
static const struct accel_attr_rule batch_attrs[] = {{"batch_dims", ACCEL_ATTR_INT, 0}, {0}};

#define MOVE(op, version) .name = op, .domain = "", .since = version, .kind = ACCEL_KIND_MOVE

const struct accel_op accel_ops_gather[] = {
    {MOVE("Gather", 1), .in = {{"data", ANY, 'T', 0}, {"indices", IND, 0, 0}},
     .out = {{"output", ANY, 'T', 0}}, .attrs = axis_attrs, .infer = gather_infer,
     .run = gather_run, .cost = accel_selected_cost},
    {MOVE("GatherND", 11), .in = {{"data", ANY, 'T', 0}, {"indices", I64, 0, 0}},
     .out = {{"output", ANY, 'T', 0}}, .attrs = batch_attrs, .infer = gather_nd_infer,
     .run = gather_nd_run},
    {.name = "GatherND",
     .domain = "com.microsoft",
     .since = 1,
     .kind = ACCEL_KIND_MOVE,
     .in = {{"data", ANY, 'T', 0}, {"indices", IND, 0, 0}},
     .out = {{"output", ANY, 'T', 0}},
     .infer = gather_nd_infer,
     .run = gather_nd_run},
    {MOVE("GatherElements", 11), .in = {{"data", ANY, 'T', 0}, {"indices", IND, 0, 0}},
     .out = {{"output", ANY, 'T', 0}}, .attrs = axis_attrs, .infer = gather_elements_infer,
     .run = gather_elements_run},
    {0},
};
