/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_REGEX_PROGRAM_H
#define ACCEL_INFER_REGEX_PROGRAM_H

/* What the compiler hands to the matcher. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum accel_regex_op {
    ACCEL_REGEX_CHAR,  /* code point x */
    ACCEL_REGEX_CLASS, /* one of y ranges from number x on */
    ACCEL_REGEX_ANY,   /* any code point */
    ACCEL_REGEX_SPLIT, /* goes on at both x and y */
    ACCEL_REGEX_JUMP,  /* goes on at x */
    ACCEL_REGEX_BEGIN_TEXT,
    ACCEL_REGEX_END_TEXT,
    ACCEL_REGEX_BEGIN_LINE,
    ACCEL_REGEX_END_LINE,
    ACCEL_REGEX_WORD,     /* \b */
    ACCEL_REGEX_NOT_WORD, /* \B */
    ACCEL_REGEX_MATCH,
};

/* Targets count from the instruction itself, so that a stretch of program may be moved and copied.
 */
struct accel_regex_code {
    uint8_t op;
    bool fold;    /* CHAR, CLASS: regardless of case */
    bool negated; /* CLASS */
    int32_t x, y;
};

struct accel_regex_range {
    uint32_t first, last;
};

struct accel_regex {
    size_t count;
    const struct accel_regex_code *code;
    const struct accel_regex_range *range;
};

#endif
