/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_BASE_BUF_H
#define ACCEL_BASE_BUF_H

/* A growing byte buffer. Appending to one that has failed does nothing: write a whole document,
 * then ask once with accel_buf_failed(). Zero-initialise: struct accel_buf buf = {0}. */

#include "base/mem.h"

struct accel_buf {
    char *data;  /* always NUL-terminated once anything was appended */
    size_t size; /* bytes in use, without the NUL */
    size_t capacity;
    size_t limit; /* 0: none; else appending past it fails the buffer */
    bool failed;
};

void accel_buf_append(struct accel_buf *buf, const void *bytes, size_t size);
void accel_buf_puts(struct accel_buf *buf, const char *text);
ACCEL_PRINTF(2, 3) void accel_buf_printf(struct accel_buf *buf, const char *fmt, ...);
static inline bool accel_buf_failed(const struct accel_buf *buf)
{
    return buf->failed;
}
/* Hands the bytes over (to be freed by accel_free) and empties the buffer; NULL if it failed. */
char *accel_buf_steal(struct accel_buf *buf);
void accel_buf_free(struct accel_buf *buf); /* fits ACCEL_CLEANUP; the buffer is empty after it */

#endif
