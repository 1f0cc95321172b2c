/* SPDX-License-Identifier: Apache-2.0 */
#include "core/uuid.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

/* ---------------------------------------------------------------- MD5 */

/* RFC 1321. A name's UUID is no secret: here MD5 is only a mixing function that Placement shares,
 * and one that works where a library refuses it (FIPS). */
#define MD5_BLOCK 64

static const uint32_t md5_sines[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391};

static void md5_block(uint32_t state[4], const unsigned char *p)
{
    static const unsigned char shifts[4][4] = {
        {7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];

    for (unsigned i = 0; i < 64; i++) {
        uint32_t f;
        unsigned word;
        if (i < 16) {
            f = (b & c) | (~b & d);
            word = i;
        } else if (i < 32) {
            f = (d & b) | (~d & c);
            word = (5 * i + 1) % 16;
        } else if (i < 48) {
            f = b ^ c ^ d;
            word = (3 * i + 5) % 16;
        } else {
            f = c ^ (b | ~d);
            word = (7 * i) % 16;
        }
        const unsigned char *w = p + (size_t)word * 4;
        const uint32_t x = w[0] | (uint32_t)w[1] << 8 | (uint32_t)w[2] << 16 | (uint32_t)w[3] << 24;
        const unsigned by = shifts[i / 16][i % 4];
        f += a + md5_sines[i] + x;
        a = d;
        d = c;
        c = b;
        b += f << by | f >> (32 - by);
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
}

/* Of `prefix` (16 bytes) and then `text`. */
static void md5(const unsigned char prefix[16], const char *text, unsigned char digest[16])
{
    uint32_t state[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
    unsigned char block[MD5_BLOCK];
    const size_t length = strlen(text);
    const uint64_t bits = (16 + (uint64_t)length) * 8;
    size_t used = 16;

    memcpy(block, prefix, 16);
    for (size_t i = 0; i < length; i++) {
        block[used++] = (unsigned char)text[i];
        if (used == MD5_BLOCK) {
            md5_block(state, block);
            used = 0;
        }
    }
    block[used++] = 0x80;
    if (used > MD5_BLOCK - 8) {
        memset(block + used, 0, MD5_BLOCK - used);
        md5_block(state, block);
        used = 0;
    }
    memset(block + used, 0, MD5_BLOCK - 8 - used);
    for (unsigned i = 0; i < 8; i++)
        block[MD5_BLOCK - 8 + i] = (unsigned char)(bits >> (8 * i));
    md5_block(state, block);
    for (unsigned i = 0; i < 16; i++)
        digest[i] = (unsigned char)(state[i / 4] >> (8 * (i % 4)));
}

/* ---------------------------------------------------------------- UUIDs */

/* Sets version and variant (RFC 9562, 4.1 and 4.2) and writes the text. */
static void write_text(unsigned char bytes[16], unsigned version, struct accel_uuid *uuid)
{
    char *at = uuid->text;

    bytes[6] = (unsigned char)((bytes[6] & 0x0f) | version << 4);
    bytes[8] = (unsigned char)((bytes[8] & 0x3f) | 0x80);
    for (unsigned i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *at++ = '-';
        snprintf(at, 3, "%02x", bytes[i]);
        at += 2;
    }
}

int accel_uuid_new(struct accel_uuid *uuid, struct accel_error *err)
{
    unsigned char bytes[16];

    /* Up to 256 bytes come whole or not at all once the pool is seeded; before, a signal may cut
     * the wait short. */
    while (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        if (errno != EINTR)
            return accel_fail_errno(err, errno, "random numbers for a UUID");
    write_text(bytes, 4, uuid);
    return ACCEL_OK;
}

int accel_uuid_of_name(const char *name, struct accel_uuid *uuid, struct accel_error *err)
{
    static const unsigned char dns[16] = {0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x11, 0xd1,
                                          0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8};
    unsigned char digest[16];

    if (name == NULL || name[0] == '\0')
        return accel_fail(err, ACCEL_E_INVALID, "an empty name has no UUID");
    md5(dns, name, digest);
    write_text(digest, 3, uuid);
    return ACCEL_OK;
}

/* Value of a hexadecimal digit; -1: none. */
static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool accel_uuid_parse(const char *text, struct accel_uuid *uuid)
{
    const size_t length = text != NULL ? strnlen(text, 37) : 0;
    char out[37];
    size_t digits = 0;

    if (length != 36 && length != 32)
        return false;
    for (size_t i = 0, used = 0; i < length; i++) {
        if (length == 36 && (i == 8 || i == 13 || i == 18 || i == 23)) {
            if (text[i] != '-')
                return false;
            continue;
        }
        const int value = hex_value(text[i]);
        if (value < 0)
            return false;
        if (digits == 8 || digits == 12 || digits == 16 || digits == 20)
            out[used++] = '-';
        out[used++] = "0123456789abcdef"[value];
        digits++;
    }
    out[36] = '\0';
    memcpy(uuid->text, out, sizeof(out));
    return true;
}
