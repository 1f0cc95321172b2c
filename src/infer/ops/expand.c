/* SPDX-License-Identifier: Apache-2.0 */
/* Operators that repeat what there is: Expand, Tile. */
#include "infer/kernels/kernels.h"
#include "infer/ops/elements.h"

#include <inttypes.h>
#include <string.h>

static int expand_infer(struct accel_infer *in, struct accel_error *err)
{
    int64_t dims[ACCEL_RANK_MAX];
    struct accel_shape want = {.has_rank = true};
    size_t n;

    in->out[0]->dtype = in->in[0]->dtype;
    if (!accel_infer_partial(in, 1, dims, ACCEL_RANK_MAX, &n)) {
        const struct accel_shape *s = &in->in[1]->shape;

        if (s->rank != 1 || s->dims[0] > ACCEL_RANK_MAX)
            return accel_fail(err, ACCEL_E_INVALID, "input 1 'shape' is no list of at most %d",
                              ACCEL_RANK_MAX);
        /* How many dimensions is known, if not which. */
        n = s->dims[0] >= 0 ? (size_t)s->dims[0] : 0;
        for (size_t i = 0; i < n; i++)
            dims[i] = ACCEL_INT_ANY;
        if (s->dims[0] < 0)
            return ACCEL_OK;
    }
    want.rank = (uint32_t)n;
    for (size_t i = 0; i < n; i++) {
        if (dims[i] != ACCEL_INT_ANY && dims[i] < 0)
            return accel_fail(err, ACCEL_E_INVALID, "shape[%zu] is %" PRId64, i, dims[i]);
        want.dims[i] = dims[i] == ACCEL_INT_ANY ? ACCEL_DIM_ANY : dims[i];
    }
    return accel_shape_broadcast(&in->in[0]->shape, &want, &in->out[0]->shape, err);
}

static int expand_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0], *y = run->out[0];
    struct accel_nd nd = {.rank = y->rank};
    ptrdiff_t to[ACCEL_RANK_MAX];

    (void)err;
    accel_dims_sizes(y->dims, y->rank, nd.dims);
    accel_nd_operand(&nd, 0, x->rank, x->dims);
    accel_dense_strides(y->dims, y->rank, to);
    if (y->size_bytes > 0)
        accel_copy_nd(run->pool, accel_element_bytes(x->dtype), y->rank, nd.dims, x->data,
                      nd.stride[0], y->data, to);
    return ACCEL_OK;
}

static int tile_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape;
    int64_t repeats[ACCEL_RANK_MAX];
    size_t n;

    in->out[0]->dtype = in->in[0]->dtype;
    in->out[0]->shape = *x;
    if (!accel_infer_partial(in, 1, repeats, ACCEL_RANK_MAX, &n)) {
        for (uint32_t i = 0; i < x->rank; i++)
            in->out[0]->shape.dims[i] = ACCEL_DIM_ANY;
        return ACCEL_OK;
    }
    if (n != x->rank)
        return accel_fail(err, ACCEL_E_INVALID, "%zu repeats for rank %u", n, x->rank);
    for (size_t i = 0; i < n; i++) {
        int64_t *d = &in->out[0]->shape.dims[i];

        if (repeats[i] == ACCEL_INT_ANY || *d < 0)
            *d = ACCEL_DIM_ANY;
        else if (repeats[i] < 0 || __builtin_mul_overflow(*d, repeats[i], d))
            return accel_fail(err, ACCEL_E_INVALID, "%" PRId64 " repeats", repeats[i]);
    }
    return ACCEL_OK;
}

/* As a copy of twice the rank: [repeat, dim] by [repeat, dim]. */
static int tile_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    struct accel_tensor *y = run->out[0];
    ptrdiff_t from[ACCEL_RANK_MAX];
    const size_t size = accel_element_bytes(x->dtype);
    const size_t n = y->size_bytes / size;

    (void)err;
    accel_dense_strides(x->dims, x->rank, from);
    for (size_t i = 0; i < n;) {
        /* The innermost run that stays inside one copy of x's last axis. */
        size_t rest = i, at = 0;
        const size_t run_length = x->rank > 0 ? (size_t)x->dims[x->rank - 1] : 1;

        for (uint32_t d = x->rank; d-- > 0;) {
            at += (size_t)from[d] * (rest % (size_t)y->dims[d] % (size_t)x->dims[d]);
            rest /= (size_t)y->dims[d];
        }
        memcpy((char *)y->data + i * size, (const char *)x->data + at * size, run_length * size);
        i += run_length;
    }
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- the entries */

#define ANY ACCEL_T_ALL
#define I64 ACCEL_T(INT64)

#define MOVE(op, version) .name = op, .domain = "", .since = version, .kind = ACCEL_KIND_MOVE

const struct accel_op accel_ops_expand[] = {
    {MOVE("Expand", 8), .in = {{"input", ANY, 'T', 0}, {"shape", I64, 0, 0}},
     .out = {{"output", ANY, 'T', 0}}, .infer = expand_infer, .run = expand_run},
    {MOVE("Tile", 6), .in = {{"input", ANY, 'T', 0}, {"repeats", I64, 0, 0}},
     .out = {{"output", ANY, 'T', 0}}, .infer = tile_infer, .run = tile_run},
    {0},
};
