/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/plan/arena.h"

#include "base/mem.h"

#include <stdlib.h>

/* A placed buffer; the list is kept sorted by offset. */
struct placed {
    size_t begin, end;
    uint32_t first, last;
};

struct by_size {
    size_t bytes;
    uint32_t first;
    size_t index;
};

static int largest_first(const void *pa, const void *pb)
{
    const struct by_size *a = pa, *b = pb;

    if (a->bytes != b->bytes)
        return a->bytes > b->bytes ? -1 : 1;
    if (a->first != b->first)
        return a->first < b->first ? -1 : 1;
    return a->index < b->index ? -1 : 1; /* the same plan every time */
}

int accel_arena_place(const struct accel_lifetime *life, size_t n, size_t *offset, size_t *total,
                      struct accel_error *err)
{
    ACCEL_CLEANUP(accel_freep) struct by_size *order = accel_calloc(n, sizeof(*order));
    ACCEL_CLEANUP(accel_freep) struct placed *placed = accel_calloc(n, sizeof(*placed));

    if (order == NULL || placed == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to place %zu buffers", n);
    for (size_t i = 0; i < n; i++)
        order[i] = (struct by_size){.bytes = life[i].bytes, .first = life[i].first, .index = i};
    qsort(order, n, sizeof(*order), largest_first);
    *total = 0;
    for (size_t i = 0; i < n; i++) {
        const size_t b = order[i].index;
        size_t at = 0, slot = i, end;

        /* One walk over what is placed, lowest first: the first gap that is wide enough. */
        for (size_t j = 0; j < i; j++) {
            const struct placed *p = &placed[j];

            if (p->last < life[b].first || life[b].last < p->first)
                continue;
            if (p->begin >= at && p->begin - at >= life[b].bytes)
                break;
            if (p->end > at)
                at = p->end;
        }
        /* Sizes come from a model file; the margin keeps the rounding below from wrapping. */
        if (__builtin_add_overflow(at, life[b].bytes, &end) || end > SIZE_MAX - 63)
            return accel_fail(err, ACCEL_E_INVALID, "buffer %zu: size overflows", b);
        offset[b] = at;
        if (end > *total)
            *total = end;
        while (slot > 0 && placed[slot - 1].begin > at) {
            placed[slot] = placed[slot - 1];
            slot--;
        }
        placed[slot] = (struct placed){.begin = at,
                                       .end = ACCEL_ROUND_UP(end, 64),
                                       .first = life[b].first,
                                       .last = life[b].last};
    }
    return ACCEL_OK;
}
