/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_ONNX_WIRE_H
#define ACCEL_INFER_ONNX_WIRE_H

/* Protocol-buffer wire format, read in place: one field after the other, nothing copied, nothing
 * recursed into. Every length is checked against what is left. */

#include "acceld/error.h"
#include "base/util.h"

struct accel_slice {
    const uint8_t *data;
    size_t size;
};

struct accel_wire {
    const uint8_t *at, *end;
};

enum accel_wire_type {
    ACCEL_WIRE_VARINT = 0,
    ACCEL_WIRE_64 = 1,
    ACCEL_WIRE_BYTES = 2,
    ACCEL_WIRE_32 = 5
};

struct accel_wire_field {
    uint32_t number;
    enum accel_wire_type type;
    uint64_t value;           /* VARINT; the bits of 64 and 32 */
    struct accel_slice bytes; /* BYTES */
};

static inline struct accel_wire accel_wire_of(struct accel_slice s)
{
    /* A field of another wire type has no bytes: nothing may be added to its NULL. */
    return (struct accel_wire){.at = s.data, .end = s.size > 0 ? s.data + s.size : s.data};
}

/* 1: *field holds the next; 0: the end; negative: -ACCEL_E_INVALID with *err saying what is wrong
 * ("truncated: a field of 900 bytes, 12 are left"). */
int accel_wire_next(struct accel_wire *wire, struct accel_wire_field *field,
                    struct accel_error *err);
/* One varint; false: cut off or longer than 64 bits. */
bool accel_wire_varint(struct accel_wire *wire, uint64_t *value);

#endif
