/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_CORE_JOB_H
#define ACCEL_CORE_JOB_H

/* A long thing: calibration, programming, a big upload's analysis. */

#include "core/uuid.h"

struct accel_job {
    int64_t id;
    struct accel_uuid uuid;
    const char *kind;  /* "calibrate", "program" */
    const char *state; /* "queued" "running" "succeeded" "failed" "cancelled" */
    double progress;   /* percent */
    const char *text;  /* what it is doing, or why it failed */
    const char *project_id;
    const char *target; /* uuid of the device or deployable, name of the model; or NULL */
    const char *result; /* JSON text or NULL */
    bool cancel_requested;
    const char *created_at, *updated_at, *finished_at;
};

struct accel_job_line {
    int64_t number; /* from 1 */
    const char *at, *text;
};

#endif
