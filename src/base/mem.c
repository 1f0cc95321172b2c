/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Allocations left until one fails; negative: none will. */
static _Thread_local long fault_countdown = -1;
static _Thread_local bool fault_reached;

static bool fails_now(void)
{
    if (fault_countdown < 0)
        return false;
    if (fault_countdown-- > 0)
        return false;
    fault_reached = true;
    return true;
}

void accel_fault_arm(long nth)
{
    fault_countdown = nth;
    fault_reached = false;
}

bool accel_fault_disarm(void)
{
    fault_countdown = -1;
    return fault_reached;
}

void *accel_malloc(size_t size)
{
    return fails_now() ? NULL : malloc(size > 0 ? size : 1);
}

void *accel_calloc(size_t count, size_t size)
{
    if (fails_now())
        return NULL;
    return count > 0 && size > 0 ? calloc(count, size) : calloc(1, 1);
}

void *accel_realloc(void *old, size_t count, size_t size)
{
    size_t bytes;

    if (fails_now() || __builtin_mul_overflow(count, size, &bytes))
        return NULL;
    return realloc(old, bytes > 0 ? bytes : 1);
}

void *accel_aligned_alloc(size_t align, size_t size)
{
    if (fails_now() || size > SIZE_MAX - align)
        return NULL;
    return aligned_alloc(align, ACCEL_ROUND_UP(size > 0 ? size : 1, align));
}

char *accel_strdup(const char *text)
{
    return accel_strndup(text, strlen(text));
}

char *accel_strndup(const char *text, size_t max)
{
    const size_t length = strnlen(text, max);
    char *copy = accel_malloc(length + 1);

    if (copy == NULL)
        return NULL;
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

char *accel_asprintf(const char *fmt, ...)
{
    va_list args, again;

    va_start(args, fmt);
    va_copy(again, args);
    const int length = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *text = length < 0 ? NULL : accel_malloc((size_t)length + 1);
    if (text != NULL)
        vsnprintf(text, (size_t)length + 1, fmt, again);
    va_end(again);
    return text;
}

void accel_free(void *pointer)
{
    free(pointer);
}

void accel_freep(void *pointer_to_pointer)
{
    void **slot = pointer_to_pointer;

    free(*slot);
    *slot = NULL;
}

int accel_grow(void *array, size_t *capacity, size_t need, size_t element_size,
               struct accel_error *err)
{
    void **slot = array;
    size_t wanted = *capacity > 0 ? *capacity : 8;

    if (need <= *capacity)
        return ACCEL_OK;
    while (wanted < need)
        wanted = wanted > SIZE_MAX / 2 ? need : wanted * 2;
    void *bigger = accel_realloc(*slot, wanted, element_size);
    if (bigger == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for %zu elements of %zu bytes", wanted,
                          element_size);
    *slot = bigger;
    *capacity = wanted;
    return ACCEL_OK;
}
