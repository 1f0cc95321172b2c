/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/ops/attention.h"

#include <inttypes.h>

int accel_agree(int64_t *known, int64_t other, const char *what, struct accel_error *err)
{
    if (accel_differ(*known, other))
        return accel_fail(err, ACCEL_E_INVALID, "%s is %" PRId64 " and %" PRId64, what, *known,
                          other);
    if (*known < 0)
        *known = other;
    return ACCEL_OK;
}

int64_t accel_rows_together(int64_t a, int64_t b)
{
    int64_t sum;

    return a < 0 || b < 0 || __builtin_add_overflow(a, b, &sum) ? ACCEL_DIM_ANY : sum;
}

struct accel_attention_mask accel_bias_mask(const struct accel_tensor *t)
{
    const size_t columns = (size_t)t->dims[3], rows = (size_t)t->dims[2] * columns;

    return (struct accel_attention_mask){.data = t->data,
                                         .columns = columns,
                                         .row = columns,
                                         .head = t->dims[1] == 1 ? 0 : rows,
                                         .batch = t->dims[0] == 1 ? 0 : (size_t)t->dims[1] * rows};
}

int accel_scratch_part(struct accel_prepare *prep, size_t count, size_t size, size_t *bytes,
                       struct accel_error *err)
{
    size_t own;

    if (__builtin_mul_overflow(count, size, &own) || own > SIZE_MAX / 2 ||
        __builtin_add_overflow(prep->scratch_bytes, ACCEL_ROUND_UP(own, ACCEL_KERNEL_ALIGN),
                               &prep->scratch_bytes))
        return accel_fail(err, ACCEL_E_INVALID, "its work space overflows");
    *bytes = ACCEL_ROUND_UP(own, ACCEL_KERNEL_ALIGN);
    return ACCEL_OK;
}

int accel_scratch_heads(struct accel_prepare *prep, const struct accel_attention *a, size_t rows,
                        size_t size, size_t *bytes, struct accel_error *err)
{
    size_t count;

    if (__builtin_mul_overflow(a->batch, a->kv_heads, &count) ||
        __builtin_mul_overflow(count, rows, &count) || __builtin_mul_overflow(count, size, &count))
        return accel_fail(err, ACCEL_E_INVALID, "its work space overflows");
    return accel_scratch_part(prep, count, sizeof(float), bytes, err);
}

int accel_scratch_attention(struct accel_prepare *prep, const struct accel_attention *a,
                            size_t *bytes, struct accel_error *err)
{
    size_t own;
    const int rc = accel_attention_scratch_bytes(prep->kernels, a, prep->threads, &own, err);

    return rc == ACCEL_OK ? accel_scratch_part(prep, own, 1, bytes, err) : rc;
}

void accel_join(struct accel_pool *pool, const struct accel_attention *a, size_t size,
                const float *past, size_t past_rows, float *y,
                struct accel_attention_operand *operand)
{
    struct accel_attention_operand before = accel_by_heads(a->kv_heads, past_rows, size);

    accel_attention_place(pool, a->batch, a->kv_heads, size, operand, a->kv_rows - past_rows, y,
                          a->kv_rows, past_rows);
    before.data = past;
    if (past != NULL)
        accel_attention_place(pool, a->batch, a->kv_heads, size, &before, past_rows, y, a->kv_rows,
                              0);
    *operand = accel_by_heads(a->kv_heads, a->kv_rows, size);
    operand->data = y;
}

void accel_narrow(const struct accel_kernels *kernels, struct accel_attention *a, size_t keys,
                  unsigned threads, size_t work)
{
    const size_t before = a->kv_rows;
    size_t bytes;

    if (a->trace != NULL)
        return;
    a->kv_rows = ACCEL_MIN(keys, before);
    if (accel_attention_scratch_bytes(kernels, a, threads, &bytes, NULL) != ACCEL_OK ||
        bytes > work)
        a->kv_rows = before;
}
