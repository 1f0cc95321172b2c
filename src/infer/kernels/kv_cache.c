/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/kernels/kv_cache.h"

#include <math.h>
#include <string.h>

size_t accel_kv_row_bytes(enum accel_kv_form form, size_t size)
{
    return form == ACCEL_KV_FLOAT  ? size * sizeof(float)
           : form == ACCEL_KV_INT8 ? size
                                   : size / 2 + size % 2;
}

/* One head. */
struct head {
    const struct accel_kv_cache *cache;
    const float *scales;
};

static float scale_of(const struct head *h, size_t column)
{
    return h->scales[h->cache->by_channel ? column : 0];
}

/* A scale of 0 is that of a cache without data: it counts as 1. */
static int quantise(const struct head *h, float x, size_t column, float low, float high)
{
    const float scale = scale_of(h, column);

    return (int)fmaxf(low, fminf(high, rintf(x * (scale != 0 ? 1 / scale : 1))));
}

static void encode(const struct head *h, const float *x, uint8_t *y)
{
    const size_t n = h->cache->size;

    switch (h->cache->form) {
    case ACCEL_KV_FLOAT:
        memcpy(y, x, n * sizeof(*x));
        break;
    case ACCEL_KV_INT8:
        for (size_t i = 0; i < n; i++)
            y[i] = (uint8_t)quantise(h, x[i], i, -128, 127);
        break;
    case ACCEL_KV_INT4:
        for (size_t i = 0; i < n; i += 2) {
            const int low = quantise(h, x[i], i, -8, 7);
            const int high = i + 1 < n ? quantise(h, x[i + 1], i + 1, -8, 7) : 0;

            y[i / 2] = (uint8_t)((low + 8) | (high + 8) << 4);
        }
        break;
    }
}

static void decode(const struct head *h, const uint8_t *x, float *y)
{
    const size_t n = h->cache->size;

    switch (h->cache->form) {
    case ACCEL_KV_FLOAT:
        memcpy(y, x, n * sizeof(*y));
        break;
    case ACCEL_KV_INT8:
        for (size_t i = 0; i < n; i++)
            y[i] = (float)(int8_t)x[i] * scale_of(h, i);
        break;
    case ACCEL_KV_INT4:
        for (size_t i = 0; i < n; i++)
            y[i] = (float)((x[i / 2] >> i % 2 * 4 & 15) - 8) * scale_of(h, i);
        break;
    }
}

/* What a cache makes of a row. */
static void round_row(const struct head *h, const float *x, float *y)
{
    const float low = h->cache->form == ACCEL_KV_INT8 ? -128 : -8;
    const float high = h->cache->form == ACCEL_KV_INT8 ? 127 : 7;

    if (h->cache->form == ACCEL_KV_FLOAT)
        memcpy(y, x, h->cache->size * sizeof(*y));
    else
        for (size_t i = 0; i < h->cache->size; i++)
            y[i] = (float)quantise(h, x[i], i, low, high) * scale_of(h, i);
}

static void append_head(const struct accel_kv_cache *c, size_t b, size_t head)
{
    const size_t unit = b * c->heads + head, bytes = accel_kv_row_bytes(c->form, c->size);
    const struct accel_kv_step step = c->steps[b];
    const struct head h = {c, c->by_channel ? c->scales + head * c->size : c->scales};
    const uint8_t *past = c->past;
    uint8_t *present = (uint8_t *)c->present + unit * c->present_rows * bytes;
    float *floats = c->floats != NULL ? c->floats + unit * c->float_rows * c->size : NULL;
    const float *fresh = c->fresh.data + b * c->fresh.batch + head * c->fresh.head;
    const size_t all = step.kept + c->fresh_rows;

    if (past != NULL)
        past += unit * c->past_rows * bytes;
    if (step.kept > step.dropped)
        memcpy(present, past + step.dropped * bytes, (step.kept - step.dropped) * bytes);
    for (size_t r = 0; floats != NULL && r < step.kept; r++)
        decode(&h, past + r * bytes, floats + r * c->size);
    for (size_t r = step.kept; r < all; r++) {
        const float *x = fresh + (r - step.kept) * c->fresh.row;

        if (r >= step.dropped)
            encode(&h, x, present + (r - step.dropped) * bytes);
        if (floats != NULL)
            round_row(&h, x, floats + r * c->size);
    }
    memset(present + (all - step.dropped) * bytes, 0,
           (c->present_rows - (all - step.dropped)) * bytes);
    if (floats != NULL)
        memset(floats + all * c->size, 0, (c->float_rows - all) * c->size * sizeof(*floats));
}

static void append_range(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct accel_kv_cache *c = context;

    (void)thread;
    for (size_t unit = begin; unit < end; unit++)
        append_head(c, unit / c->heads, unit % c->heads);
}

void accel_kv_append(struct accel_pool *pool, const struct accel_kv_cache *cache)
{
    struct accel_kv_cache c = *cache;

    if (c.size > 0)
        accel_pool_run(pool, c.batch * c.heads, 1, append_range, &c);
}
