/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_BASE_UTIL_H
#define ACCEL_BASE_UTIL_H

/* The few macros that everything uses. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ACCEL_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ACCEL_MIN(a, b)    ((a) < (b) ? (a) : (b))
#define ACCEL_MAX(a, b)    ((a) > (b) ? (a) : (b))

/* `to` is a power of two; the caller knows that the sum fits. */
#define ACCEL_ROUND_UP(n, to) (((n) + (to)-1) & ~((size_t)(to)-1))

/* Frees what the variable owns when it leaves its scope: ACCEL_CLEANUP(accel_freep) char *s = ...;
 */
#define ACCEL_CLEANUP(fn) __attribute__((cleanup(fn)))

/* Gives up ownership: returns the pointer and leaves NULL behind. */
#define accel_steal(pointer)                        \
    __extension__({                                 \
        __typeof__(*(pointer)) taken_ = *(pointer); \
        *(pointer) = NULL;                          \
        taken_;                                     \
    })

#define ACCEL_UNUSED __attribute__((unused))

/* Is this built with a sanitizer that needs system calls of its own? */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define ACCEL_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ACCEL_SANITIZED 1
#endif

#endif
