/* SPDX-License-Identifier: Apache-2.0 */

/* The order of the answer. */

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "match/match_internal.h"

/* How capable, and so how dear, a device is: its best peak or measured rate, flop/s. */
static double capability(const struct accel_resource *r)
{
    static const char *const peaks[] = {ACCEL_FACT_PEAK_FP32, ACCEL_FACT_PEAK_FP16,
                                        ACCEL_FACT_PEAK_BF16, ACCEL_FACT_PEAK_INT8};
    double best = 0;

    for (size_t i = 0; i < ACCEL_COUNT(peaks) && best == 0; i++) {
        const struct accel_fact *fact = accel_match_fact(r, peaks[i]);
        if (fact != NULL)
            best = fact->number;
    }
    if (best > 0)
        return best;
    for (size_t i = 0; i < r->rates_count; i++)
        if (r->rates[i].precision == ACCEL_DTYPE_FLOAT)
            best = fmax(best, r->rates[i].flops_per_s);
    return best > 0 ? best : INFINITY;
}

double accel_match_score(const struct accel_candidate *candidate, enum accel_objective objective)
{
    const struct accel_prediction *p = &candidate->prediction;

    switch (objective) {
    case ACCEL_OBJECTIVE_LATENCY:
        return p->latency_s;
    case ACCEL_OBJECTIVE_THROUGHPUT:
        return p->throughput_per_s > 0 ? 1 / p->throughput_per_s : INFINITY;
    case ACCEL_OBJECTIVE_ENERGY:
        return p->energy_j > 0 ? p->energy_j : INFINITY;
    case ACCEL_OBJECTIVE_COST:
        return capability(candidate->resource);
    }
    return INFINITY;
}

static int compare(const void *left, const void *right)
{
    const struct accel_candidate *a = left, *b = right;

    if (a->accepted != b->accepted)
        return a->accepted ? -1 : 1;
    if (a->accepted && a->score != b->score)
        return a->score < b->score ? -1 : 1;
    return strcmp(a->resource->device->identity, b->resource->device->identity);
}

void accel_match_rank(struct accel_candidate *candidates, size_t count)
{
    if (count > 1)
        qsort(candidates, count, sizeof(*candidates), compare);
}
