/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/onnx/wire.h"

#include <string.h>

bool accel_wire_varint(struct accel_wire *wire, uint64_t *value)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (wire->at == wire->end)
            return false;
        const uint8_t byte = *wire->at++;

        /* The tenth byte carries one bit. */
        if (shift == 63 && byte > 1)
            return false;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            *value = v;
            return true;
        }
    }
    return false;
}

static int fixed(struct accel_wire *wire, size_t size, uint64_t *value, struct accel_error *err)
{
    if ((size_t)(wire->end - wire->at) < size)
        return -accel_fail(err, ACCEL_E_INVALID, "truncated: a number is cut off");
    *value = 0;
    memcpy(value, wire->at, size); /* little-endian, as every CPU this is built for */
    wire->at += size;
    return 1;
}

int accel_wire_next(struct accel_wire *wire, struct accel_wire_field *field,
                    struct accel_error *err)
{
    uint64_t key, length;

    if (wire->at == wire->end)
        return 0;
    if (!accel_wire_varint(wire, &key) || key >> 3 == 0 || key >> 3 > 0x1fffffff)
        return -accel_fail(err, ACCEL_E_INVALID, "not a protocol buffer: bad field key");
    *field = (struct accel_wire_field){.number = (uint32_t)(key >> 3),
                                       .type = (enum accel_wire_type)(key & 7)};
    switch (key & 7) {
    case ACCEL_WIRE_VARINT:
        if (!accel_wire_varint(wire, &field->value))
            return -accel_fail(err, ACCEL_E_INVALID, "truncated: field %u is cut off",
                               field->number);
        return 1;
    case ACCEL_WIRE_64:
        return fixed(wire, 8, &field->value, err);
    case ACCEL_WIRE_32:
        return fixed(wire, 4, &field->value, err);
    case ACCEL_WIRE_BYTES:
        if (!accel_wire_varint(wire, &length))
            return -accel_fail(err, ACCEL_E_INVALID, "truncated: length of field %u is cut off",
                               field->number);
        if (length > (size_t)(wire->end - wire->at))
            return -accel_fail(err, ACCEL_E_INVALID,
                               "truncated: field %u says %llu bytes, %zu are left", field->number,
                               (unsigned long long)length, (size_t)(wire->end - wire->at));
        field->bytes = (struct accel_slice){.data = wire->at, .size = (size_t)length};
        wire->at += length;
        return 1;
    default:
        return -accel_fail(err, ACCEL_E_INVALID, "not a protocol buffer: field %u of wire type %u",
                           field->number, (unsigned)(key & 7));
    }
}
