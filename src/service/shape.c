/* SPDX-License-Identifier: Apache-2.0 */

/* The shapes of a run as text, by which what it took is kept. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/service_internal.h"

struct named {
    const char *name;
    uint32_t rank;
    const int64_t *dims;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

/* Appends while there is room, and to *hash always (FNV-1a). */
static void append(char *text, size_t *used, uint64_t *hash, const char *more)
{
    for (; *more != '\0'; more++) {
        *hash = (*hash ^ (unsigned char)*more) * 0x100000001b3u;
        if (*used + 1 < ACCEL_RUN_SHAPE)
            text[(*used)++] = *more;
        else
            *used = ACCEL_RUN_SHAPE; /* does not fit */
    }
}

/* In the order of the names: a client may send its inputs in any. A dimension left open is 1, as in
 * an analysis. A text that does not fit ends in its hash. */
static void write_shape(struct named *inputs, size_t count, char text[ACCEL_RUN_SHAPE])
{
    uint64_t hash = 0xcbf29ce484222325u;
    size_t used = 0;

    qsort(inputs, count, sizeof(*inputs), by_name);
    for (size_t i = 0; i < count; i++) {
        append(text, &used, &hash, i > 0 ? "," : "");
        append(text, &used, &hash, inputs[i].name);
        for (uint32_t d = 0; d < inputs[i].rank; d++) {
            char dim[32];
            snprintf(dim, sizeof(dim), "%c%" PRId64, d == 0 ? '=' : 'x',
                     inputs[i].dims[d] < 0 ? 1 : inputs[i].dims[d]);
            append(text, &used, &hash, dim);
        }
    }
    if (used < ACCEL_RUN_SHAPE)
        text[used] = '\0';
    else
        snprintf(text + ACCEL_RUN_SHAPE - 18, 18, "#%016" PRIx64, hash);
}

int service_shape_of_request(const struct accel_infer_request *r, struct accel_bump *mem,
                             char text[ACCEL_RUN_SHAPE], struct accel_error *err)
{
    struct named *inputs = accel_bump_alloc(mem, r->inputs_count + 1, sizeof(*inputs));

    if (inputs == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for %zu inputs", r->inputs_count);
    for (size_t i = 0; i < r->inputs_count; i++)
        inputs[i] = (struct named){r->inputs[i].name, r->inputs[i].rank, r->inputs[i].dims};
    write_shape(inputs, r->inputs_count, text);
    return ACCEL_OK;
}

int service_shape_of_analysis(const struct accel_analysis *a, struct accel_bump *mem,
                              char text[ACCEL_RUN_SHAPE], struct accel_error *err)
{
    struct named *inputs = accel_bump_alloc(mem, a->inputs_count + 1, sizeof(*inputs));

    if (inputs == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for %zu inputs", a->inputs_count);
    for (size_t i = 0; i < a->inputs_count; i++)
        inputs[i] = (struct named){a->inputs[i].name, a->inputs[i].rank, a->inputs[i].dims};
    write_shape(inputs, a->inputs_count, text);
    return ACCEL_OK;
}
