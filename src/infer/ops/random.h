/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_OPS_RANDOM_H
#define ACCEL_INFER_OPS_RANDOM_H

#include "infer/kernels/random.h"
#include "infer/ops/op.h"

/* The key of a run: the node's attribute seed, FLOAT or INT by its entry, as its bits; without one
 * what the system gives, another each time. In ops/random.c. Errors: INTERNAL. */
int accel_random_key_of(const struct accel_node *n, struct accel_random_key *key,
                        struct accel_error *err);

#endif
