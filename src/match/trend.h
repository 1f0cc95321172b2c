/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_MATCH_TREND_H
#define ACCEL_MATCH_TREND_H

/* From measured operators of one group to the time of another one of it, by arithmetic alone. */

#include <stddef.h>

/* What takes an operator's time, in the order of accel_work.part. */
enum accel_work_part {
    ACCEL_WORK_CALL, /* 1 */
    ACCEL_WORK_FLOPS,
    ACCEL_WORK_READ, /* bytes */
    ACCEL_WORK_WRITTEN,
    ACCEL_WORK_WEIGHTS,
    ACCEL_WORK_ITEMS, /* accel_op_analysis.items */
    ACCEL_WORK_PARTS
};

struct accel_work {
    double part[ACCEL_WORK_PARTS];
};

/* One that was measured. */
struct accel_trend_point {
    struct accel_work work;
    double seconds, spread;
    double residual; /* log of seconds by what the trend says; accel_trend_fit fills it in */
};

/* Seconds per flop, per byte, ..., none below 0. */
struct accel_trend {
    double each[ACCEL_WORK_PARTS];
};

/* The rates that explain the measured times best, by the sum of squared relative errors: time is
 * the sum of its parts' times. Coordinate descent on non-negative least squares, which needs no
 * matrix to be regular (Franc, Hlavac and Navara, CAIP 2005). Times are above 0. */
void accel_trend_fit(struct accel_trend_point *points, size_t count, struct accel_trend *trend);

struct accel_estimate {
    double seconds;
    double error;   /* relative: how far the points nearby lie from each other, rounds included */
    double nearest; /* factors of two to the nearest point */
};

/* The trend, moved by how far the measured points lie off it, each weighted by its nearness in the
 * logarithms of the parts (Shepard's interpolation); far from all of them the trend alone. */
struct accel_estimate accel_trend_estimate(const struct accel_trend *trend,
                                           const struct accel_trend_point *points, size_t count,
                                           const struct accel_work *work);

#endif
