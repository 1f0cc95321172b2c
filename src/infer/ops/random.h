/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_OPS_RANDOM_H
#define ACCEL_INFER_OPS_RANDOM_H

#include "infer/kernels/random.h"
#include "infer/ops/op.h"

/* Begins the sequence of a run: that of the node's attribute seed, FLOAT or INT by its entry, which
 * every run begins anew; without one that of a number the system gives, another each time. In
 * ops/random.c. Errors: INTERNAL. */
int accel_random_of(const struct accel_node *n, struct accel_random *g, struct accel_error *err);

#endif
