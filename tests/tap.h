/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_TAP_H
#define TESTS_TAP_H

/* The whole unit-test library: ok(condition, "sentence that is true") prints a TAP line; the
 * test's main() ends in `return tap_done();`. Exit 77 is "skipped: no such hardware". */

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

static int tap_count, tap_failed;

__attribute__((format(printf, 4, 5))) static inline bool tap_ok(bool pass, const char *file,
                                                                int line, const char *fmt, ...)
{
    va_list args;

    printf("%sok %d - ", pass ? "" : "not ", ++tap_count);
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    printf("\n");
    if (!pass) {
        tap_failed++;
        printf("#   failed at %s:%d\n", file, line);
    }
    fflush(stdout);
    return pass;
}

#define ok(condition, ...) tap_ok((condition), __FILE__, __LINE__, __VA_ARGS__)

static inline int tap_done(void)
{
    printf("1..%d\n", tap_count);
    /* A test that checked nothing is a failure: it proves nothing. */
    return tap_failed > 0 || tap_count == 0 ? 1 : 0;
}

#endif
