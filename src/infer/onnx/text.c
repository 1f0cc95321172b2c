/* SPDX-License-Identifier: Apache-2.0 */

/* Names, and what several readers need of the wire. */

#include "infer/onnx/reader.h"

#include <string.h>

static bool is_utf8(const uint8_t *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        const uint8_t c = s[i];
        const size_t more = c < 0x80                ? 0
                            : c >= 0xc2 && c < 0xe0 ? 1
                            : c >= 0xe0 && c < 0xf0 ? 2
                            : c >= 0xf0 && c < 0xf5 ? 3
                                                    : SIZE_MAX;

        if (more == SIZE_MAX || more >= n - i)
            return false;
        for (size_t k = 1; k <= more; k++)
            if ((s[i + k] & 0xc0) != 0x80)
                return false;
        if ((c == 0xe0 && s[i + 1] < 0xa0) || (c == 0xed && s[i + 1] > 0x9f) ||
            (c == 0xf0 && s[i + 1] < 0x90) || (c == 0xf4 && s[i + 1] > 0x8f))
            return false;
        i += more + 1;
    }
    return true;
}

int accel_onnx_text(struct reader *r, const struct accel_wire_field *f, const char *what,
                    const char **out, struct accel_error *err)
{
    if (f->type != ACCEL_WIRE_BYTES)
        return accel_fail(err, ACCEL_E_INVALID, "%s is not a string", what);
    if (!is_utf8(f->bytes.data, f->bytes.size))
        return accel_fail(err, ACCEL_E_INVALID, "%s is not UTF-8", what);
    if (f->bytes.size > NAME_MAX_BYTES) {
        int shown = 0; /* plain letters only: a longer sequence must not be cut */

        while (shown < 24 && f->bytes.data[shown] > 0x20 && f->bytes.data[shown] < 0x7f)
            shown++;
        return accel_fail(err, ACCEL_E_INVALID, "%s ('%.*s...') of %zu bytes, %d are allowed", what,
                          shown, (const char *)f->bytes.data, f->bytes.size, NAME_MAX_BYTES);
    }
    for (size_t i = 0; i < f->bytes.size; i++)
        if (f->bytes.data[i] < 0x20)
            return accel_fail(err, ACCEL_E_INVALID, "%s holds a control character", what);
    char *copy = accel_bump_alloc(&r->ir->mem, f->bytes.size + 1, 1);
    if (copy == NULL)
        return accel_onnx_no_memory(err);
    memcpy(copy, f->bytes.data, f->bytes.size);
    *out = copy;
    return ACCEL_OK;
}

int accel_onnx_no_memory(struct accel_error *err)
{
    return accel_fail(err, ACCEL_E_NOMEM, "no memory for the graph");
}

const char *accel_onnx_domain(const char *domain)
{
    return strcmp(domain, "ai.onnx") == 0 ? "" : domain;
}

int accel_onnx_count_fields(struct accel_slice proto, uint32_t number, size_t *count,
                            struct accel_error *err)
{
    struct accel_wire w = accel_wire_of(proto);
    struct accel_wire_field f;
    int more;

    *count = 0;
    while ((more = accel_wire_next(&w, &f, err)) > 0)
        *count += f.number == number;
    return more < 0 ? -more : ACCEL_OK;
}

int accel_onnx_int64s(const struct accel_wire_field *f, int64_t *out, size_t max, size_t *count,
                      struct accel_error *err)
{
    struct accel_wire w;
    uint64_t v;

    if (f->type == ACCEL_WIRE_VARINT) {
        if (*count == max)
            return accel_fail(err, ACCEL_E_LIMIT, "more than %zu numbers", max);
        out[(*count)++] = (int64_t)f->value;
        return ACCEL_OK;
    }
    if (f->type != ACCEL_WIRE_BYTES)
        return accel_fail(err, ACCEL_E_INVALID, "a list of integers is of another type");
    for (w = accel_wire_of(f->bytes); w.at < w.end;) {
        if (!accel_wire_varint(&w, &v))
            return accel_fail(err, ACCEL_E_INVALID, "a list of integers is cut off");
        if (*count == max)
            return accel_fail(err, ACCEL_E_LIMIT, "more than %zu numbers", max);
        out[(*count)++] = (int64_t)v;
    }
    return ACCEL_OK;
}
