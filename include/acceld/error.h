/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCELD_ERROR_H
#define ACCELD_ERROR_H

/* How every function of acceld, of libaccelinfer and of a driver module reports a failure: a code
 * to act on and one sentence to read. */

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Drivers see these numbers too: one is never reused. One line here feeds the enum, the names and
 * the tables; rest/ alone knows which HTTP status each becomes. */
#define ACCEL_ERROR_MAP(X)                                      \
    X(NOMEM, 1, "out of memory")                                \
    X(INVALID, 2, "invalid argument or document")               \
    X(NOT_FOUND, 3, "not found")                                \
    X(EXISTS, 4, "already exists")                              \
    X(CONFLICT, 5, "in conflict with the present state")        \
    X(DENIED, 6, "not allowed")                                 \
    X(UNAUTHENTICATED, 7, "not authenticated")                  \
    X(UNSUPPORTED, 8, "not supported")                          \
    X(LIMIT, 9, "over a configured limit")                      \
    X(BUSY, 10, "busy, try again later")                        \
    X(UNAVAILABLE, 11, "unavailable")                           \
    X(TIMEOUT, 12, "deadline passed")                           \
    X(CANCELLED, 13, "cancelled")                               \
    X(IO, 14, "input or output failed")                         \
    X(NO_SPACE, 15, "no space left")                            \
    X(CORRUPT, 16, "stored data is damaged")                    \
    X(INTERNAL, 17, "internal error")                           \
    X(NOT_MINE, 18, "not a device of this module")              \
    X(NOT_ACCEPTABLE, 19, "not available at this microversion") \
    X(LOCKED, 20, "not resolved yet")                           \
    X(PRECONDITION, 21, "changed since it was read")

enum accel_code {
    ACCEL_OK = 0,
#define ACCEL_ERROR_ENUM(name, number, text) ACCEL_E_##name = (number),
    ACCEL_ERROR_MAP(ACCEL_ERROR_ENUM)
#undef ACCEL_ERROR_ENUM
};

#define ACCEL_ERROR_MSG_MAX 512

/* Owned by the caller, usually on its stack: reporting never allocates, so out-of-memory takes the
 * same road. Written only on failure. */
struct accel_error {
    enum accel_code code;
    char msg[ACCEL_ERROR_MSG_MAX];
};

#if defined(__GNUC__)
#define ACCEL_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define ACCEL_EXPORT            __attribute__((visibility("default")))
#else
#define ACCEL_PRINTF(fmt, args)
#define ACCEL_EXPORT
#endif

/* Writes code and sentence into *err (which may be NULL) and returns the code, so that a failing
 * path is one line. A sentence too long for the buffer is cut and ends in "...". */
ACCEL_EXPORT ACCEL_PRINTF(3, 4) int accel_fail(struct accel_error *err, enum accel_code code,
                                               const char *fmt, ...);

/* Keeps the code and puts context in front: "bind 7c1e...: program 0000:3b:00.0: bitstream is for
 * another card". Returns the code kept; INTERNAL if there was none. */
ACCEL_EXPORT ACCEL_PRINTF(2, 3) int accel_fail_in(struct accel_error *err, const char *fmt, ...);

/* accel_fail() with the meaning of an errno value behind the sentence ("open /x: No such file or
 * directory"); the code is chosen by the errno: ENOENT NOT_FOUND, EACCES and EPERM DENIED, ENOSPC
 * and EDQUOT NO_SPACE, ENOMEM NOMEM, EEXIST EXISTS, EBUSY BUSY, ETIMEDOUT TIMEOUT, else IO. */
ACCEL_EXPORT ACCEL_PRINTF(3, 4) int accel_fail_errno(struct accel_error *err, int errnum,
                                                     const char *fmt, ...);

/* "NOT_FOUND" for ACCEL_E_NOT_FOUND; "OK" for 0; "?" for a number that is none of ours. */
ACCEL_EXPORT const char *accel_code_name(int code);
/* "not found" for ACCEL_E_NOT_FOUND. */
ACCEL_EXPORT const char *accel_code_text(int code);

#ifdef __cplusplus
}
#endif

#endif
