/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_BASE_MEM_H
#define ACCEL_BASE_MEM_H

/* Allocation that can be made to fail on demand, so that every out-of-memory path is tested. All
 * of acceld's own code allocates here; free() by accel_free(), or ACCEL_CLEANUP(accel_freep). */

#include "acceld/error.h"
#include "base/util.h"

void *accel_malloc(size_t size);
void *accel_calloc(size_t count, size_t size); /* zeroed; NULL when count * size overflows */
/* As realloc() of count * size bytes; the old block stays when it fails or the product overflows.
 */
void *accel_realloc(void *old, size_t count, size_t size);
/* For tensors and arenas: `align` a power of two, size rounded up to it. Not zeroed. */
void *accel_aligned_alloc(size_t align, size_t size);
char *accel_strdup(const char *text);
char *accel_strndup(const char *text, size_t max);
/* printf into a new string; NULL when memory is out. */
ACCEL_PRINTF(1, 2) char *accel_asprintf(const char *fmt, ...);
void accel_free(void *pointer);
void accel_freep(void *pointer_to_pointer); /* for ACCEL_CLEANUP */

/* Grows *array so that element `need - 1` exists; *capacity counts elements. Doubles.
 * Errors: NOMEM (then nothing changed). */
int accel_grow(void *array, size_t *capacity, size_t need, size_t element_size,
               struct accel_error *err);

/* Makes the nth allocation from now on (0 is the next one) of this thread fail, once.
 * accel_fault_disarm() stops that and says whether it was reached. */
void accel_fault_arm(long nth);
bool accel_fault_disarm(void);

#endif
