/* SPDX-License-Identifier: Apache-2.0 */
/* What operators of attention with a cache do before the attention proper: their operands, rotated,
 * and the cache that grows by them. */
#include "infer/kernels/sequence.h"
#include "infer/ops/attention.h"

#include <inttypes.h>

enum { QUERY, KEY, VALUE, PAST_K };
enum { PRESENT_K = 1 };

int accel_cached_heads(const struct accel_node *n, int64_t *heads, int64_t *kv_heads,
                       struct accel_error *err)
{
    *heads = accel_attr_int(n, "num_heads", 0);
    *kv_heads = accel_attr_int(n, "kv_num_heads", 0);
    if (*heads < 1 || *kv_heads < 1 || *heads > INT32_MAX || *heads % *kv_heads != 0)
        return accel_fail(err, ACCEL_E_INVALID,
                          "num_heads %" PRId64 " do not share kv_num_heads %" PRId64, *heads,
                          *kv_heads);
    return ACCEL_OK;
}

/* Columns of the query's tensor. */
static size_t columns_of(const struct accel_node *n, const struct accel_attention *a)
{
    return (a->heads + (accel_given(n, KEY) ? 0 : 2 * a->kv_heads)) * a->head_size;
}

void accel_cached_layout(const struct accel_node *n, struct accel_attention *a)
{
    a->q = accel_by_rows(a->q_rows, columns_of(n, a), a->head_size);
    a->k = a->v = accel_by_heads(a->kv_heads, a->kv_rows, a->head_size);
    accel_attention_to(a, accel_by_rows(a->q_rows, a->heads * a->head_size, a->head_size));
}

int accel_cached_scratch(struct accel_prepare *prep, struct accel_cached_attention *c, size_t *work,
                         struct accel_error *err)
{
    const struct accel_node *n = prep->node;
    const struct accel_attention *a = &c->attention;
    const size_t rows = a->batch * a->q_rows, kv_columns = a->kv_heads * a->head_size;
    int rc = ACCEL_OK;

    if (c->rotates)
        rc = accel_scratch_part(prep, rows * columns_of(n, a), sizeof(float), &c->rotated[0], err);
    if (rc == ACCEL_OK && c->rotates && accel_given(n, KEY))
        rc = accel_scratch_part(prep, a->batch * c->fresh * kv_columns, sizeof(float),
                                &c->rotated[1], err);
    for (unsigned i = 0; i < 2 && rc == ACCEL_OK && c->staged > 0; i++)
        rc = accel_scratch_heads(prep, a, c->staged, a->head_size, &c->floats, err);
    return rc == ACCEL_OK ? accel_scratch_attention(prep, a, work, err) : rc;
}

int accel_cached_wide_prepare(struct accel_prepare *prep, accel_prepare_fn *inner,
                              struct accel_error *err)
{
    const int rc = accel_wide_prepare(prep, inner, err);

    if (rc == ACCEL_OK)
        ((struct accel_cached_attention *)prep->state)->halves =
            prep->in[QUERY]->dtype == ACCEL_DTYPE_FLOAT16;
    return rc;
}

double accel_cached_flops(int64_t batch, int64_t heads, int64_t rows, int64_t keys, int64_t size)
{
    return 4.0 * (double)batch * (double)heads * (double)rows * (double)keys * (double)size;
}

/* The rotated copy, at `y`, of `heads` heads of an operand of so many columns. */
static const float *rotate(const struct accel_run *run, const struct accel_cached_attention *c,
                           const int64_t *positions, size_t heads, size_t rows, size_t columns,
                           const float *x, float *y)
{
    const size_t size = c->attention.head_size;
    const struct accel_rotary r = {.batch = c->attention.batch,
                                   .heads = heads,
                                   .rows = rows,
                                   .head_size = size,
                                   .rotated = 2 * (size_t)run->in[c->cosine]->dims[1],
                                   .batch_stride = rows * columns,
                                   .head_stride = size,
                                   .row_stride = columns,
                                   .interleaved =
                                       accel_attr_int(run->node, "rotary_interleaved", 0) == 1,
                                   .positions = positions};

    if (rows * columns > 0)
        accel_rotary_f32(run->pool, &r, x, run->in[c->cosine]->data, run->in[c->cosine + 1]->data,
                         y);
    /* ONNX Runtime rotates halves into halves, before it makes integers of them. */
    for (size_t row = 0; c->halves && row < r.batch * rows; row++)
        accel_round_to_half(run->kernels, heads * size, y + row * columns);
    return y;
}

void accel_cached_read(const struct accel_run *run, const struct accel_cached_attention *c,
                       const int64_t *positions, struct accel_attention *a, char *scratch)
{
    const struct accel_node *n = run->node;
    const bool packed = !accel_given(n, KEY);
    const size_t fresh = c->fresh, columns = columns_of(n, a);
    const size_t kv_columns = a->kv_heads * a->head_size;
    float *rotated = (float *)(void *)scratch;
    float *rotated_key = (float *)(void *)(scratch + c->rotated[0]);

    a->q.data = run->in[QUERY]->data;
    a->k = a->v = packed ? a->q : accel_by_rows(fresh, kv_columns, a->head_size);
    if (packed)
        a->v.data = a->q.data + (a->heads + a->kv_heads) * a->head_size;
    else {
        a->k.data = run->in[KEY]->data;
        a->v.data = run->in[VALUE]->data;
    }
    if (c->rotates) {
        a->q.data = rotate(run, c, positions, a->heads + (packed ? a->kv_heads : 0), a->q_rows,
                           columns, a->q.data, rotated);
        if (!packed)
            a->k.data =
                rotate(run, c, positions, a->kv_heads, fresh, kv_columns, a->k.data, rotated_key);
    }
    if (packed)
        a->k.data = a->q.data + a->heads * a->head_size;
}

void accel_cached_append(const struct accel_run *run, const struct accel_cached_attention *c,
                         const struct accel_kv_step *steps, size_t i,
                         struct accel_attention_operand *operand, float *floats)
{
    const struct accel_attention *a = &c->attention;
    const bool past = accel_given(run->node, PAST_K);
    const struct accel_kv_cache cache = {
        .form = c->form,
        .batch = a->batch,
        .heads = a->kv_heads,
        .size = a->head_size,
        .scales = c->form != ACCEL_KV_FLOAT ? run->in[c->scales + i]->data : NULL,
        .by_channel = c->by_channel,
        .steps = steps,
        .past = past ? run->in[PAST_K + i]->data : NULL,
        .past_rows = c->past,
        .fresh = *operand,
        .fresh_rows = c->fresh,
        .present = run->out[PRESENT_K + i]->data,
        .present_rows = c->cached,
        .floats = floats,
        .float_rows = c->staged};

    accel_kv_append(run->pool, &cache);
    *operand = accel_by_heads(a->kv_heads, floats != NULL ? c->staged : c->cached, a->head_size);
    operand->data = floats != NULL ? floats : run->out[PRESENT_K + i]->data;
}
