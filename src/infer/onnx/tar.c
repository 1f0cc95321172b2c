/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/onnx/tar.h"

#include <stdio.h>
#include <string.h>

#define BLOCK 512

/* POSIX.1-1988 ustar: offsets of the fields of a header block. */
enum { NAME = 0, SIZE = 124, CHECKSUM = 148, TYPE = 156, MAGIC = 257, PREFIX = 345 };

bool accel_is_tar(const void *bytes, size_t size)
{
    return size >= BLOCK && memcmp((const char *)bytes + MAGIC, "ustar", 5) == 0;
}

/* Octal with blanks around; false for anything else (GNU's base 256 too: sizes over 8 GB). */
static bool octal(const uint8_t *field, size_t n, uint64_t *out)
{
    size_t i = 0;

    *out = 0;
    while (i < n && field[i] == ' ')
        i++;
    for (; i < n && field[i] >= '0' && field[i] <= '7'; i++)
        *out = *out << 3 | (uint64_t)(field[i] - '0');
    for (; i < n; i++)
        if (field[i] != ' ' && field[i] != '\0')
            return false;
    return true;
}

static bool checksum_right(const uint8_t *block)
{
    uint64_t stated, sum = 0;

    for (size_t i = 0; i < BLOCK; i++)
        sum += i >= CHECKSUM && i < CHECKSUM + 8 ? ' ' : block[i];
    return octal(block + CHECKSUM, 8, &stated) && stated == sum;
}

int accel_tar_next(struct accel_tar *tar, struct accel_tar_member *m, struct accel_error *err)
{
    static const uint8_t zero[BLOCK];

    while (tar->bytes.size - tar->at >= BLOCK) {
        const uint8_t *block = tar->bytes.data + tar->at;
        const size_t offset = tar->at;
        const uint8_t type = block[TYPE];
        uint64_t size;

        if (memcmp(block, zero, BLOCK) == 0)
            return 0;
        if (memcmp(block + MAGIC, "ustar", 5) != 0 || !checksum_right(block) ||
            !octal(block + SIZE, 12, &size))
            return -accel_fail(err, ACCEL_E_INVALID, "tar: the header at byte %zu is broken",
                               offset);
        tar->at += BLOCK;
        if (size > tar->bytes.size - tar->at)
            return -accel_fail(err, ACCEL_E_INVALID,
                               "tar: the member at byte %zu says %llu bytes, %zu are left", offset,
                               (unsigned long long)size, tar->bytes.size - tar->at);
        m->data = (struct accel_slice){.data = tar->bytes.data + tar->at, .size = (size_t)size};
        const size_t left = tar->bytes.size - tar->at;
        const size_t padded = ((size_t)size + BLOCK - 1) / BLOCK * BLOCK;
        tar->at += ACCEL_MIN(padded, left);
        if (type == 'L' || type == 'K' || type == 'S')
            return -accel_fail(err, ACCEL_E_UNSUPPORTED,
                               "tar: a long name or sparse file at byte %zu; use tar "
                               "--format=ustar",
                               offset);
        if (type != '0' && type != '\0')
            continue;
        const int prefix = (int)strnlen((const char *)block + PREFIX, 155);
        /* GNU headers have other things where ustar has its prefix. */
        const bool ustar = block[MAGIC + 5] == '\0';
        const char *name = (const char *)block + NAME;
        const bool dot = (!ustar || prefix == 0) && strncmp(name, "./", 2) == 0;
        snprintf(m->name, sizeof(m->name), "%.*s%s%.*s", ustar ? prefix : 0,
                 (const char *)block + PREFIX, ustar && prefix > 0 ? "/" : "", dot ? 98 : 100,
                 name + (dot ? 2 : 0));
        if (strncmp(m->name, "./", 2) == 0)
            memmove(m->name, m->name + 2, sizeof(m->name) - 2);
        return 1;
    }
    return 0;
}
