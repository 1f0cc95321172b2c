/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_OPS_RANDOM_H
#define ACCEL_INFER_OPS_RANDOM_H

#include "infer/kernels/random.h"
#include "infer/ops/op.h"

/* Begins the sequence of a number that the system gives. In ops/random.c. Errors: INTERNAL. */
int accel_random_unseeded(struct accel_random *g, struct accel_error *err);

#endif
