/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_RUN_MEMORY_H
#define ACCEL_INFER_RUN_MEMORY_H

/* Memory within a session, for who runs its graphs (unit.c, control.c). */

#include "infer/run/session.h"

/* The main graph's arena has the limit to itself. */
static inline bool accel_unit_is_root(const struct accel_unit *unit)
{
    return unit->ir->index == 0;
}

/* Arena and what values have of their own. */
void accel_unit_free_memory(struct accel_unit *unit);
/* What the plan needs, if it is not there: also a plan that ran before may have lost its memory
 * since, to a unit that had more need of it (accel_session_take) or to an allocation that failed.
 * Errors: LIMIT, NOMEM. */
int accel_unit_reserve(struct accel_unit *unit, const struct accel_plan *plan,
                       struct accel_error *err);
/* Scratch grows only. Errors: NOMEM. */
int accel_session_reserve_scratch(struct accel_session *session, size_t bytes,
                                  struct accel_error *err);
/* What a value has of its own. Errors: NOMEM. */
int accel_unit_own(struct accel_unit *unit, const struct accel_value *value, struct accel_own **own,
                   struct accel_error *err);
/* At least `bytes` of it; they are not kept when it grows. Errors: LIMIT, NOMEM. */
int accel_unit_own_reserve(struct accel_unit *unit, const struct accel_value *value, size_t bytes,
                           void **data, struct accel_error *err);

#endif
