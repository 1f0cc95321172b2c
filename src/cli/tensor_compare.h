/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_CLI_TENSOR_COMPARE_H
#define ACCEL_CLI_TENSOR_COMPARE_H

/* Is an output the expected one? The project's one rule for numbers:
 *   float      |a-b| <= 1e-4 + 1e-3 |b| everywhere, or relative L2 error <= 1e-5
 *   half       the same, or relative L2 error <= 1e-3, for models that compute in half precision
 *   quantised  as float, or cosine >= 0.9999, or integers within 2 steps
 *   integers, booleans, strings of other models: equal */

#include "acceld/infer.h"

enum accel_rule { ACCEL_RULE_FLOAT, ACCEL_RULE_HALF, ACCEL_RULE_QUANTISED };

struct accel_comparison {
    bool pass;
    double worst;   /* largest |a-b| / (1e-4 + 1e-3 |b|): up to 1 is within the bound */
    double max_abs; /* largest |a-b| */
    double rel_l2;  /* |a-b| / |b| over all elements; infinite where one is not finite */
    double cosine;
    char why[256]; /* of a failure, one sentence: "3 of 10 elements differ, first at [0,4]: ..." */
};

/* got: the answer; want: what was expected. Types and dims must be the same. */
void accel_tensor_compare(const struct accel_tensor *got, const struct accel_tensor *want,
                          enum accel_rule rule, struct accel_comparison *result);

#endif
