/* SPDX-License-Identifier: Apache-2.0 */
/* com.microsoft MurmurHash3: a 32-bit hash of each element. */
#include "infer/ops/elements.h"

#include <string.h>

#define ELEMENTS 1024 /* that one task hashes */

static uint32_t rotated(uint32_t x, unsigned by)
{
    return x << by | x >> (32 - by);
}

static uint32_t scrambled(uint32_t k)
{
    return rotated(k * 0xcc9e2d51u, 15) * 0x1b873593u;
}

/* MurmurHash3_x86_32 (A. Appleby, github.com/aappleby/smhasher, public domain). */
static uint32_t murmur3(const uint8_t *key, size_t size, uint32_t seed)
{
    uint32_t h = seed, last = 0;
    size_t at = 0;

    for (; size - at >= 4; at += 4) {
        uint32_t k;

        memcpy(&k, key + at, sizeof(k));
        h = rotated(h ^ scrambled(k), 13) * 5 + 0xe6546b64u;
    }
    for (size_t i = size; i > at; i--)
        last = last << 8 | key[i - 1];
    h ^= scrambled(last);
    h ^= (uint32_t)size;
    h = (h ^ h >> 16) * 0x85ebca6bu;
    h = (h ^ h >> 13) * 0xc2b2ae35u;
    return h ^ h >> 16;
}

static int murmur_infer(struct accel_infer *in, struct accel_error *err)
{
    (void)err;
    in->out[0]->dtype =
        accel_attr_int(in->node, "positive", 1) == 1 ? ACCEL_DTYPE_UINT32 : ACCEL_DTYPE_INT32;
    in->out[0]->shape = in->in[0]->shape;
    return ACCEL_OK;
}

static void murmur_range(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct accel_run *run = context;
    const struct accel_tensor *x = run->in[0];
    const size_t size = accel_element_bytes(x->dtype);
    const uint32_t seed = (uint32_t)accel_attr_int(run->node, "seed", 0);
    uint32_t *y = run->out[0]->data;

    (void)thread;
    for (size_t i = begin; i < end; i++) {
        const char *text = x->dtype == ACCEL_DTYPE_STRING ? ((char *const *)x->data)[i] : NULL;

        y[i] = text != NULL ? murmur3((const uint8_t *)text, strlen(text), seed)
                            : murmur3((const uint8_t *)x->data + i * size, size, seed);
    }
}

static int murmur_run(struct accel_run *run, struct accel_error *err)
{
    (void)err;
    accel_pool_run(run->pool, accel_elements(run->in[0]), ELEMENTS, murmur_range, run);
    return ACCEL_OK;
}

static const struct accel_attr_rule murmur_attrs[] = {
    {"positive", ACCEL_ATTR_INT, 0}, {"seed", ACCEL_ATTR_INT, 0}, {0}};

const struct accel_op accel_ops_ms_hash[] = {
    {.name = "MurmurHash3",
     .domain = "com.microsoft",
     .since = 1,
     .kind = ACCEL_KIND_OTHER,
     .flops_per_value = 20,
     .in = {{"X",
             ACCEL_T_FLOATS | ACCEL_T(INT32) | ACCEL_T(INT64) | ACCEL_T(UINT32) | ACCEL_T(UINT64) |
                 ACCEL_T(STRING),
             0, 0}},
     .out = {{"Y", ACCEL_T(UINT32) | ACCEL_T(INT32), 0, 0}},
     .attrs = murmur_attrs,
     .infer = murmur_infer,
     .run = murmur_run},
    {0},
};
