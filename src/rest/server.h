/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_REST_SERVER_H
#define ACCEL_REST_SERVER_H

/* What the server counts, for GET /metrics. */

#include <stdatomic.h>

#include "rest/errors.h"

struct accel_rest_figures {
    _Atomic uint64_t answers[3][6]; /* by family and hundreds of the status */
    _Atomic uint64_t refused;       /* 429: too many requests under way */
    _Atomic uint64_t seconds_ns;    /* sum over all answers */
    _Atomic unsigned under_way;
    _Atomic unsigned connections;
    int64_t started_ms; /* accel_now_ms() */
};

#endif
