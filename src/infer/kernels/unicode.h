/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_UNICODE_H
#define ACCEL_INFER_UNICODE_H

/* UTF-8 and the case of letters, without the C library's locales: a worker can open no file. */

#include <stddef.h>
#include <stdint.h>

#define ACCEL_UTF8_MAX 4
#define ACCEL_UTF8_BAD UINT32_MAX

/* The code point that text (NUL-terminated) begins with; *size: its bytes. ACCEL_UTF8_BAD, *size 1:
 * not well-formed (RFC 3629: overlong, a surrogate, above U+10FFFF, cut short). */
uint32_t accel_utf8_read(const char *text, size_t *size);
/* Writes a code point to text; returns its bytes, 1 to ACCEL_UTF8_MAX. */
size_t accel_utf8_write(uint32_t code, char *text);

/* Unicode's simple case mapping (UnicodeData.txt, one code point to one): what towlower() and
 * towupper() give in glibc's C.UTF-8. */
uint32_t accel_unicode_lower(uint32_t code);
uint32_t accel_unicode_upper(uint32_t code);

/* The code points that differ from this one in case only, itself included; returns how many.
 * Unicode's simple case folding (CaseFolding.txt, C and S): dotted and dotless i fold with nothing.
 */
#define ACCEL_FOLDS_MAX 4
unsigned accel_unicode_folds(uint32_t code, uint32_t out[ACCEL_FOLDS_MAX]);

#endif
