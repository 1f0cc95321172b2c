/* SPDX-License-Identifier: Apache-2.0 */

/* Filter, predict, rank: one candidate for every device of the node. */

#include "match/match_internal.h"

static int consider(const struct accel_analysis *analysis,
                    const struct accel_constraints *constraints, struct accel_bump *mem,
                    struct accel_candidate *candidate, struct accel_error *err)
{
    const char *reason = NULL;

    candidate->accepted = true;
    if (accel_match_filter(analysis, constraints, mem, candidate, err) != ACCEL_OK)
        return err->code;
    if (!accel_match_predict(analysis, candidate->resource, constraints->precision,
                             &candidate->prediction, &reason)) {
        if (reason == accel_match_no_memory)
            return accel_fail(err, ACCEL_E_NOMEM, "%s", reason);
        if (candidate->accepted) {
            candidate->accepted = false;
            candidate->code = "unknown-rate";
            candidate->reason = reason;
        }
        return ACCEL_OK;
    }
    candidate->score = accel_match_score(candidate, constraints->objective);
    if (candidate->accepted)
        return accel_match_filter_predicted(constraints, mem, candidate, err);
    return ACCEL_OK;
}

int accel_match_place(const struct accel_analysis *analysis, const struct accel_resource *resources,
                      size_t count, const struct accel_constraints *constraints,
                      struct accel_bump *mem, struct accel_candidate **candidates,
                      struct accel_error *err)
{
    struct accel_candidate *made = accel_bump_alloc(mem, count > 0 ? count : 1, sizeof(*made));
    struct accel_error local;

    if (err == NULL)
        err = &local;
    if (made == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for %zu candidates", count);
    if (constraints->precision != 0 && accel_match_peak_name(constraints->precision) == NULL)
        return accel_fail(err, ACCEL_E_INVALID,
                          "precision: expected fp32, fp16, bf16 or int8, got type number %d",
                          constraints->precision);
    for (size_t i = 0; i < count; i++) {
        made[i].resource = &resources[i];
        if (consider(analysis, constraints, mem, &made[i], err) != ACCEL_OK)
            return err->code;
    }
    accel_match_rank(made, count);
    *candidates = made;
    return ACCEL_OK;
}
