/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_BASE_SUBBYTE_H
#define ACCEL_BASE_SUBBYTE_H

/* Elements of 2, 4 or 6 bits as ONNX's files pack them: one after the other, each from the lowest
 * free bit on, the last byte filled up with zeros (onnx.numpy_helper). In memory each has a byte.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Bytes of n packed elements. */
static inline size_t accel_subbyte_size(unsigned bits, size_t n)
{
    return n / 8 * bits + (n % 8 * bits + 7) / 8;
}

/* out may be packed itself when its n bytes are there: the way is from the last element down. */
static inline void accel_subbyte_unpack(unsigned bits, bool is_signed, size_t n,
                                        const uint8_t *packed, uint8_t *out)
{
    const unsigned mask = (1u << bits) - 1, sign = is_signed ? 1u << (bits - 1) : 0;

    for (size_t i = n; i-- > 0;) {
        /* Eight elements fill whole bytes. */
        const size_t bit = i % 8 * bits;
        const uint8_t *at = packed + i / 8 * bits + bit / 8;
        unsigned word = at[0];

        if (bit % 8 + bits > 8)
            word |= (unsigned)at[1] << 8;
        word = word >> bit % 8 & mask;
        out[i] = (uint8_t)((word ^ sign) - sign);
    }
}

static inline void accel_subbyte_pack(unsigned bits, size_t n, const uint8_t *in, uint8_t *packed)
{
    const unsigned mask = (1u << bits) - 1;

    memset(packed, 0, accel_subbyte_size(bits, n));
    for (size_t i = 0; i < n; i++) {
        const size_t bit = i % 8 * bits;
        uint8_t *at = packed + i / 8 * bits + bit / 8;
        const unsigned word = (in[i] & mask) << bit % 8;

        at[0] |= (uint8_t)word;
        if (bit % 8 + bits > 8)
            at[1] |= (uint8_t)(word >> 8);
    }
}

#endif
