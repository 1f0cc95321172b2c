/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_MATCH_OPERATORS_H
#define ACCEL_MATCH_OPERATORS_H

/* The cost model of a calibrated device, operator by operator. */

#include "base/bump.h"
#include "match/match.h"
#include "match/trend.h"

/* Fits of one device's rates, made as they are asked for. */
struct accel_operators;

/* For a model that goes through `resident_bytes` (weights and arena) in each run. NULL: no memory.
 * Everything lies in mem; the resource must outlive it. */
struct accel_operators *accel_operators_new(const struct accel_resource *resource,
                                            double resident_bytes, struct accel_bump *mem);

/* Seconds of one operator computed in `precision`, its bytes scaled by `scale`. False: neither this
 * operator nor enough of its kind was measured (or no memory to tell). */
bool accel_operators_estimate(struct accel_operators *operators, const struct accel_op_analysis *op,
                              int precision, double scale, struct accel_estimate *estimate);

/* An estimate failed for want of memory. */
bool accel_operators_failed(const struct accel_operators *operators);

/* What a run costs beside its operators. */
double accel_operators_run_seconds(const struct accel_operators *operators);

#endif
