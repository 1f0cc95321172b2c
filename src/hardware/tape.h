/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_HARDWARE_TAPE_H
#define ACCEL_HARDWARE_TAPE_H

/* How values lie on a tape: text as a JSON string when it is UTF-8, else {"hex": "..."}; bytes
 * always in hexadecimal. */

#include <jansson.h>

#include "acceld/driver.h"
#include "base/util.h"

#define ACCEL_TAPE_NODES 64
#define ACCEL_TAPE_NAME  1024 /* longest name in a folder, and its NUL */

/* New references; NULL when memory is out. */
json_t *accel_tape_text(const char *text);
json_t *accel_tape_hex(const void *bytes, size_t size);
/* False when it is no text, or does not fit with its NUL. */
bool accel_tape_to_text(const json_t *json, char *text, size_t size);
/* False when it is no hexadecimal of at most `size` bytes. */
bool accel_tape_to_bytes(const json_t *json, void *bytes, size_t size, size_t *got);

/* The question and the answer of a library call. Buffers are part of the question by their size
 * alone: what lies in an out buffer before the call is nobody's. */
json_t *accel_tape_call_args(const char *library, const char *symbol, const char *signature,
                             const struct accel_value *args);
json_t *accel_tape_call_results(const char *signature, const struct accel_value *result,
                                const struct accel_value *args);
bool accel_tape_to_call_results(const json_t *line, const char *signature,
                                struct accel_value *result, struct accel_value *args);

#endif
