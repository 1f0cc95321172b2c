/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_REGEX_H
#define ACCEL_INFER_REGEX_H

/* Regular expressions as RE2 has them (github.com/google/re2/wiki/Syntax), matched against a whole
 * UTF-8 text, or searched for in it, in time (length of the text) x (size of the pattern), whatever
 * the pattern: all ways to match are followed side by side (Thompson, Comm. ACM 11, 1968), none is
 * tried again.
 *
 * Not there: \C, and the Unicode classes \p and \P. */

#include "acceld/error.h"
#include "base/bump.h"

struct accel_regex;

/* Lives in mem. Errors: INVALID (says where in the pattern), UNSUPPORTED, NOMEM. */
int accel_regex_compile(const char *pattern, struct accel_bump *mem, const struct accel_regex **out,
                        struct accel_error *err);
/* Bytes of work space that a match needs, 8-aligned. */
size_t accel_regex_work_bytes(const struct accel_regex *regex);
/* All of `text` matches. What is not UTF-8 matches nothing. */
bool accel_regex_matches(const struct accel_regex *regex, const char *text, void *work);

/* Bytes of work space that a search needs, 8-aligned. */
size_t accel_regex_search_bytes(const struct accel_regex *regex);
/* Of the matches in text[from..size) those that begin first, and of these the longest:
 * text[*begin..*end). false: there is none. What lies before `from` is seen by ^ and \b. text:
 * UTF-8, and something behind it that ends no sequence of it (a NUL, another character). */
bool accel_regex_search(const struct accel_regex *regex, const char *text, size_t size, size_t from,
                        size_t *begin, size_t *end, void *work);

#endif
