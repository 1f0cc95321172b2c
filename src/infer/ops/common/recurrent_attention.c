/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/ops/recurrent_attention.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "infer/kernels/kernels.h"

enum { IN_W = 1, IN_QW = 8, IN_MW, IN_V, IN_M, IN_MEMORY_LENS, IN_AW };

/* ---------------------------------------------------------------- shapes */

int64_t accel_attends_width(const struct accel_infer *in)
{
    const struct accel_type *from =
        in->in[accel_given(in->node, IN_AW) ? (size_t)IN_AW : (size_t)IN_MW];

    if (from->shape.rank != 3)
        return ACCEL_DIM_ANY;
    return from->shape.dims[accel_given(in->node, IN_AW) ? 2 : 1];
}

int accel_attends_check(const struct accel_infer *in, int64_t directions, int64_t batch,
                        int64_t hidden, struct accel_error *err)
{
    const int64_t any = ACCEL_DIM_ANY;
    int rc = accel_infer_expect(in, IN_M, 3, (const int64_t[]){batch, any, any}, err);

    if (rc != ACCEL_OK)
        return rc;
    const int64_t depth = in->in[IN_M]->shape.dims[2];
    rc = accel_infer_expect(in, IN_MW, 3, (const int64_t[]){directions, depth, any}, err);
    if (rc != ACCEL_OK)
        return rc;
    const int64_t keys = in->in[IN_MW]->shape.dims[2];
    int64_t joined;
    if (hidden < 0 || depth < 0 || __builtin_add_overflow(hidden, depth, &joined))
        joined = any;
    const struct {
        size_t input;
        uint32_t rank;
        int64_t dims[3];
    } shapes[] = {{IN_QW, 3, {directions, hidden, keys}},
                  {IN_V, 2, {directions, keys}},
                  {IN_MEMORY_LENS, 1, {batch}},
                  {IN_AW, 3, {directions, joined, any}}};
    for (size_t i = 0; i < ACCEL_COUNT(shapes) && rc == ACCEL_OK; i++)
        rc = accel_infer_expect(in, shapes[i].input, shapes[i].rank, shapes[i].dims, err);
    if (rc != ACCEL_OK)
        return rc;
    if (in->in[IN_M]->shape.dims[1] == 0 || depth == 0 || keys == 0 || accel_attends_width(in) == 0)
        return accel_fail(err, ACCEL_E_INVALID,
                          "a memory of %" PRId64 " steps of %" PRId64 ", keys of %" PRId64,
                          in->in[IN_M]->shape.dims[1], depth, keys);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- matrix products */

enum which { KEYS, QUERY, ANSWER, GATES };

/* The sizes and the weights of a product for direction d; weights NULL: for its sizes only. */
static struct accel_gemm product_of(const struct accel_attends *a, enum which which, size_t d,
                                    const float *weights)
{
    const struct {
        size_t m, n, k;
    } sizes[] = {[KEYS] = {a->batch * a->steps, a->keys, a->depth},
                 [QUERY] = {a->batch, a->keys, a->hidden},
                 [ANSWER] = {a->batch, a->width, a->hidden + a->depth},
                 [GATES] = {a->batch, a->rows, a->width}};
    struct accel_gemm g = {.m = sizes[which].m,
                           .n = sizes[which].n,
                           .k = sizes[which].k,
                           .lda = sizes[which].k,
                           .ldb = sizes[which].n,
                           .alpha = 1,
                           .ldy = sizes[which].n};

    if (which == GATES) { /* W has them behind what is for X */
        g.trans_b = true;
        g.ldb = a->input + a->width;
        g.b = weights != NULL ? weights + d * a->rows * g.ldb + a->input : NULL;
    } else {
        g.b = weights != NULL ? weights + d * g.n * g.k : NULL;
    }
    return g;
}

static void multiply(const struct accel_run *run, const struct accel_attends *a, enum which which,
                     size_t d, const float *from, float *y, float *work)
{
    static const size_t weights[] = {
        [KEYS] = IN_MW, [QUERY] = IN_QW, [ANSWER] = IN_AW, [GATES] = IN_W};
    struct accel_gemm g = product_of(a, which, d, run->in[weights[which]]->data);

    g.a = from;
    g.y = y;
    accel_gemm_f32(run->kernels, run->pool, &g, work + a->products);
}

int accel_attends_prepare(const struct accel_prepare *prep, struct accel_attends *a, size_t *floats,
                          size_t *most, struct accel_error *err)
{
    const int64_t *m = prep->in[IN_M]->shape.dims;
    size_t keys;

    a->steps = (size_t)m[1];
    a->depth = (size_t)m[2];
    a->keys = (size_t)prep->in[IN_MW]->shape.dims[2];
    a->layered = accel_given(prep->node, IN_AW);
    a->width = a->layered ? (size_t)prep->in[IN_AW]->shape.dims[2] : a->depth;
    /* All other parts are no larger than tensors that lie in memory, but for a batch that is 0. */
    if (__builtin_mul_overflow((a->batch + 1) * a->steps, a->keys, &keys) || keys > SIZE_MAX / 64)
        return accel_fail(err, ACCEL_E_INVALID, "its work space overflows");
    const struct {
        size_t *at, floats;
    } parts[] = {{&a->key, a->batch * a->steps * a->keys},
                 {&a->query, a->batch * a->keys},
                 {&a->joined, a->batch * (a->hidden + a->depth)},
                 {&a->answer, a->batch * a->width},
                 {&a->gates, a->batch * a->rows},
                 {&a->align, a->steps},
                 {&a->hyperbolic, a->keys}};
    for (size_t i = 0; i < ACCEL_COUNT(parts); i++) {
        *parts[i].at = *floats;
        *floats += ACCEL_ROUND_UP(parts[i].floats, 16);
    }
    a->products = *floats;
    for (unsigned which = KEYS; which <= GATES && a->batch > 0; which++) {
        const struct accel_gemm g = product_of(a, which, 0, NULL);
        size_t bytes = 0;
        const int rc = accel_gemm_f32_scratch_bytes(prep->kernels, &g, prep->threads, &bytes, err);

        if (rc != ACCEL_OK)
            return rc;
        *most = ACCEL_MAX(*most, bytes);
    }
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- running */

int accel_attends_lengths(const struct accel_run *run, struct accel_error *err)
{
    const int64_t steps = run->in[IN_M]->dims[1];

    if (!accel_given(run->node, IN_MEMORY_LENS))
        return ACCEL_OK;
    for (size_t b = 0; b < accel_elements(run->in[IN_MEMORY_LENS]); b++) {
        const int64_t length = accel_integer_at(run->in[IN_MEMORY_LENS], b);

        if (length < 1 || length > steps)
            return accel_fail(err, ACCEL_E_INVALID,
                              "memory_seq_lens[%zu] is %" PRId64 ", not in 1..%" PRId64, b, length,
                              steps);
    }
    return ACCEL_OK;
}

void accel_attends_start(const struct accel_run *run, const struct accel_attends *a, size_t d,
                         float *work)
{
    multiply(run, a, KEYS, d, run->in[IN_M]->data, work + a->key, work);
    memset(work + a->answer, 0, a->batch * a->width * sizeof(*work));
}

void accel_attends_gates(const struct accel_run *run, const struct accel_attends *a, size_t d,
                         float *work, float *gates)
{
    const float *part = work + a->gates;

    multiply(run, a, GATES, d, work + a->answer, work + a->gates, work);
    for (size_t i = 0; i < a->batch * a->rows; i++)
        gates[i] += part[i];
}

/* Weights of the first `length` steps of memory b in work's align: they sum up to 1. */
static void align(const struct accel_run *run, const struct accel_attends *a, size_t d, size_t b,
                  size_t length, float *work)
{
    const float *v = (const float *)run->in[IN_V]->data + d * a->keys;
    const float *query = work + a->query + b * a->keys;
    float *weight = work + a->align, *t = work + a->hyperbolic;
    float most = -INFINITY;
    double sum = 0;

    for (size_t s = 0; s < length; s++) {
        const float *key = work + a->key + (b * a->steps + s) * a->keys;

        for (size_t i = 0; i < a->keys; i++)
            t[i] = key[i] + query[i];
        run->kernels->f32_unary[ACCEL_UNARY_TANH](a->keys, t, t, 0, 0);
        weight[s] = run->kernels->f32_dot(a->keys, v, t);
        most = fmaxf(most, weight[s]);
    }
    for (size_t s = 0; s < length; s++) {
        weight[s] = expf(weight[s] - most);
        sum += (double)weight[s];
    }
    for (size_t s = 0; s < length; s++)
        weight[s] = (float)((double)weight[s] / sum);
}

void accel_attends_ask(const struct accel_run *run, const struct accel_attends *a, size_t d,
                       float *work, const float *h)
{
    const float *memory = run->in[IN_M]->data, *weight = work + a->align;

    multiply(run, a, QUERY, d, h, work + a->query, work);
    for (size_t b = 0; b < a->batch; b++) {
        float *joined = work + a->joined + b * (a->hidden + a->depth);
        float *context = a->layered ? joined + a->hidden : work + a->answer + b * a->depth;
        const size_t length = accel_given(run->node, IN_MEMORY_LENS)
                                  ? (size_t)accel_integer_at(run->in[IN_MEMORY_LENS], b)
                                  : a->steps;

        align(run, a, d, b, length, work);
        memcpy(joined, h + b * a->hidden, a->hidden * sizeof(*h));
        memset(context, 0, a->depth * sizeof(*context));
        for (size_t s = 0; s < length; s++)
            for (size_t i = 0; i < a->depth; i++)
                context[i] += weight[s] * memory[(b * a->steps + s) * a->depth + i];
    }
    if (a->layered)
        multiply(run, a, ANSWER, d, work + a->joined, work + a->answer, work);
}
