/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_MATCH_INTERNAL_H
#define ACCEL_MATCH_INTERNAL_H

/* What filters, cost model and ranking share. */

#include "match/match.h"

/* The sentence of accel_match_predict that is no fact about the device. */
extern const char accel_match_no_memory[];

/* The fact of that name with the best basis (measured beats reported beats catalogue), NULL when
 * nobody knows it as a positive number. */
const struct accel_fact *accel_match_fact(const struct accel_resource *resource, const char *name);

/* Name of the peak fact for a precision, NULL when the representation has none. */
const char *accel_match_peak_name(int precision);
const char *accel_match_precision_name(int precision); /* "fp16" */

/* Bytes of device memory one run needs. */
double accel_match_memory(const struct accel_analysis *analysis, int precision);

/* What can be said before the cost model: false with code and sentence. Errors: NOMEM. */
int accel_match_filter(const struct accel_analysis *analysis,
                       const struct accel_constraints *constraints, struct accel_bump *mem,
                       struct accel_candidate *candidate, struct accel_error *err);
/* What needs the prediction (latency, power, energy). */
int accel_match_filter_predicted(const struct accel_constraints *constraints,
                                 struct accel_bump *mem, struct accel_candidate *candidate,
                                 struct accel_error *err);

/* The objective's figure, INFINITY when it is not known. */
double accel_match_score(const struct accel_candidate *candidate, enum accel_objective objective);
/* Accepted by score, then refused; ties by identity. */
void accel_match_rank(struct accel_candidate *candidates, size_t count);

#endif
