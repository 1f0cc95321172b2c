/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_BASE_BUMP_H
#define ACCEL_BASE_BUMP_H

/* Memory that is freed all at once: the rows and strings of one request, one scan, one document.
 * Zero-initialise: ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0}; */

#include "base/mem.h"

struct accel_bump_chunk;

struct accel_bump {
    struct accel_bump_chunk *chunk;
};

/* Zeroed, aligned for any type; NULL when memory is out or count * size overflows. */
void *accel_bump_alloc(struct accel_bump *mem, size_t count, size_t size);
/* NULL in, NULL out; else NULL only when memory is out. */
char *accel_bump_strdup(struct accel_bump *mem, const char *text);
ACCEL_PRINTF(2, 3) char *accel_bump_printf(struct accel_bump *mem, const char *fmt, ...);
void accel_bump_free(struct accel_bump *mem); /* empty and usable again after it */

#endif
