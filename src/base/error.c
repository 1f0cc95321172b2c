/* SPDX-License-Identifier: Apache-2.0 */
#include "acceld/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Marks a sentence that did not fit, so that nobody takes its end for the end of the story. */
static void mark_if_cut(char *msg, int written)
{
    if (written >= ACCEL_ERROR_MSG_MAX)
        memcpy(msg + ACCEL_ERROR_MSG_MAX - 4, "...", 4);
}

int accel_fail(struct accel_error *err, enum accel_code code, const char *fmt, ...)
{
    va_list args;

    if (err == NULL)
        return code;
    err->code = code;
    va_start(args, fmt);
    mark_if_cut(err->msg, vsnprintf(err->msg, sizeof(err->msg), fmt, args));
    va_end(args);
    return code;
}

int accel_fail_in(struct accel_error *err, const char *fmt, ...)
{
    char context[ACCEL_ERROR_MSG_MAX], old[ACCEL_ERROR_MSG_MAX];
    va_list args;

    if (err == NULL)
        return ACCEL_E_INTERNAL;
    if (err->code == ACCEL_OK)
        err->code = ACCEL_E_INTERNAL;
    va_start(args, fmt);
    vsnprintf(context, sizeof(context), fmt, args);
    va_end(args);
    memcpy(old, err->msg, sizeof(old));
    old[sizeof(old) - 1] = '\0';
    mark_if_cut(err->msg, snprintf(err->msg, sizeof(err->msg), "%s: %s", context, old));
    return err->code;
}

static enum accel_code code_of_errno(int errnum)
{
    switch (errnum) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
        return ACCEL_E_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS:
        return ACCEL_E_DENIED;
    case ENOSPC:
    case EDQUOT:
        return ACCEL_E_NO_SPACE;
    case ENOMEM:
        return ACCEL_E_NOMEM;
    case EEXIST:
        return ACCEL_E_EXISTS;
    case EBUSY:
        return ACCEL_E_BUSY;
    case ETIMEDOUT:
        return ACCEL_E_TIMEOUT;
    default:
        return ACCEL_E_IO;
    }
}

int accel_fail_errno(struct accel_error *err, int errnum, const char *fmt, ...)
{
    char context[ACCEL_ERROR_MSG_MAX];
    va_list args;

    va_start(args, fmt);
    vsnprintf(context, sizeof(context), fmt, args);
    va_end(args);
    /* Unlike strerror() it is thread-safe and always English, as our own half of the sentence is.
     */
    const char *reason = strerrordesc_np(errnum);
    return accel_fail(err, code_of_errno(errnum), "%s: %s", context,
                      reason != NULL ? reason : "unknown error");
}

static const struct {
    int code;
    const char *name, *text;
} codes[] = {{ACCEL_OK, "OK", "no error"},
#define ACCEL_ERROR_ROW(name, number, text) {number, #name, text},
             ACCEL_ERROR_MAP(ACCEL_ERROR_ROW)
#undef ACCEL_ERROR_ROW
};

const char *accel_code_name(int code)
{
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (codes[i].code == code)
            return codes[i].name;
    return "?";
}

const char *accel_code_text(int code)
{
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (codes[i].code == code)
            return codes[i].text;
    return "unknown error";
}
