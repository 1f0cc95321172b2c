/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bump.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define CHUNK_BYTES 4096
#define ALIGNMENT   16

#ifdef __has_feature /* clang's way of saying what gcc says by __SANITIZE_ADDRESS__ */
#if __has_feature(address_sanitizer) && !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
/* AddressSanitizer knows chunks: what lies between the blocks in them it has to be told. */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define GAP_BYTES 16
#else
#define GAP_BYTES                             0
#define ASAN_POISON_MEMORY_REGION(at, size)   ((void)(at), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#endif

struct accel_bump_chunk {
    struct accel_bump_chunk *next;
    size_t used, size;
    _Alignas(ALIGNMENT) unsigned char bytes[];
};

static struct accel_bump_chunk *new_chunk(struct accel_bump *mem, size_t need)
{
    const size_t size = ACCEL_MAX(need, (size_t)CHUNK_BYTES);
    struct accel_bump_chunk *chunk;

    if (size > SIZE_MAX - sizeof(*chunk))
        return NULL;
    chunk = accel_calloc(1, sizeof(*chunk) + size);
    if (chunk == NULL)
        return NULL;
    ASAN_POISON_MEMORY_REGION(chunk->bytes, size);
    chunk->size = size;
    chunk->next = mem->chunk;
    mem->chunk = chunk;
    return chunk;
}

void *accel_bump_alloc(struct accel_bump *mem, size_t count, size_t size)
{
    struct accel_bump_chunk *chunk = mem->chunk;
    size_t asked, bytes;

    if (__builtin_mul_overflow(count, size, &asked) || asked > SIZE_MAX - ALIGNMENT - GAP_BYTES)
        return NULL;
    bytes = ACCEL_ROUND_UP(asked > 0 ? asked : 1, ALIGNMENT) + GAP_BYTES;
    if (chunk == NULL || chunk->size - chunk->used < bytes)
        chunk = new_chunk(mem, bytes);
    if (chunk == NULL)
        return NULL;
    void *block = chunk->bytes + chunk->used;
    ASAN_UNPOISON_MEMORY_REGION(block, asked);
    chunk->used += bytes;
    return block;
}

char *accel_bump_strdup(struct accel_bump *mem, const char *text)
{
    if (text == NULL)
        return NULL;
    const size_t size = strlen(text) + 1;
    char *copy = accel_bump_alloc(mem, size, 1);
    if (copy != NULL)
        memcpy(copy, text, size);
    return copy;
}

char *accel_bump_printf(struct accel_bump *mem, const char *fmt, ...)
{
    va_list args, again;

    va_start(args, fmt);
    va_copy(again, args);
    const int length = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *text = length < 0 ? NULL : accel_bump_alloc(mem, (size_t)length + 1, 1);
    if (text != NULL)
        vsnprintf(text, (size_t)length + 1, fmt, again);
    va_end(again);
    return text;
}

void accel_bump_free(struct accel_bump *mem)
{
    while (mem->chunk != NULL) {
        struct accel_bump_chunk *next = mem->chunk->next;
        accel_free(mem->chunk);
        mem->chunk = next;
    }
}
