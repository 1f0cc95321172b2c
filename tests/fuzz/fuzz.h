/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

/* Every fuzz_*.c defines one target: bytes of a stranger into one of our parsers. Linked with
 * libFuzzer by `make fuzz`, and with replay.c, which feeds it its corpus, by `make tests`. */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "acceld/error.h"
#include "base/bump.h"
#include "base/mem.h"
#include "base/util.h"

/* Always returns 0. A finding is a crash, a sanitizer's report, a leak or no end. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A promise of the parser's that the input broke. */
#define FUZZ_MUST(condition) \
    do {                     \
        if (!(condition))    \
            abort();         \
    } while (0)

/* The input as a string on the heap, where reading past its NUL is seen; accel_free it. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
    char *text = accel_malloc(size + 1);

    if (text == NULL)
        abort();
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    return text;
}

#endif
