/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_SUPERVISOR_RESTART_H
#define ACCEL_SUPERVISOR_RESTART_H

/* When a process that failed is started again. Zero-initialise. */

#include "base/util.h"

#define ACCEL_QUARANTINE_FAILURES  3
#define ACCEL_QUARANTINE_WINDOW_MS (10 * 60 * 1000)

struct accel_restart {
    int64_t failed_ms[ACCEL_QUARANTINE_FAILURES]; /* the last ones, newest first */
    unsigned failures;                            /* of these that are filled in */
    unsigned in_row;                              /* failures, each within 60 s of the one before */
};

/* Records a failure; returns the milliseconds to wait: 0 the first time, then 1, 2, 4 ... 30 s as
 * long as it goes on failing within 60 s of having been started again. */
int64_t accel_restart_after(struct accel_restart *restart, int64_t now_ms);
/* Three failures in ten minutes. */
bool accel_restart_too_often(const struct accel_restart *restart);

#endif
