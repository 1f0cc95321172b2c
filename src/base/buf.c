/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool make_room(struct accel_buf *buf, size_t more)
{
    size_t need;

    if (buf->failed)
        return false;
    if (__builtin_add_overflow(buf->size, more, &need) || need == SIZE_MAX ||
        (buf->limit > 0 && need > buf->limit) ||
        accel_grow(&buf->data, &buf->capacity, need + 1, 1, NULL) != ACCEL_OK)
        buf->failed = true;
    return !buf->failed;
}

void accel_buf_append(struct accel_buf *buf, const void *bytes, size_t size)
{
    if (!make_room(buf, size))
        return;
    if (size > 0)
        memcpy(buf->data + buf->size, bytes, size);
    buf->size += size;
    buf->data[buf->size] = '\0';
}

void accel_buf_puts(struct accel_buf *buf, const char *text)
{
    accel_buf_append(buf, text, strlen(text));
}

void accel_buf_printf(struct accel_buf *buf, const char *fmt, ...)
{
    va_list args, again;

    va_start(args, fmt);
    va_copy(again, args);
    const int length = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (length < 0)
        buf->failed = true;
    else if (make_room(buf, (size_t)length)) {
        vsnprintf(buf->data + buf->size, (size_t)length + 1, fmt, again);
        buf->size += (size_t)length;
    }
    va_end(again);
}

char *accel_buf_steal(struct accel_buf *buf)
{
    char *data = NULL;

    if (make_room(buf, 0)) {
        buf->data[buf->size] = '\0';
        data = accel_steal(&buf->data);
    }
    accel_buf_free(buf);
    return data;
}

void accel_buf_free(struct accel_buf *buf)
{
    accel_free(buf->data);
    buf->data = NULL;
    buf->size = buf->capacity = 0;
    buf->failed = false;
}
