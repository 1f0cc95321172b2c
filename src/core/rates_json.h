/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_CORE_RATES_JSON_H
#define ACCEL_CORE_RATES_JSON_H

/* A calibration's rates as the JSON document that a worker sends beside Calibrated:
 *   {"rates": [{"kind": "conv", "precision": "float", "flops": 1e8, "bytes": 1e6,
 *               "flops_per_s": 5e10, "bytes_per_s": 1e10, "overhead_s": 2e-6, "spread": 0.03, "op":
 * "Conv", "point": 32, "bytes_written": 4e5, "bytes_weights": 1e5, "items": 1e6}]} */

#include "acceld/infer.h"
#include "base/bump.h"

/* JSON text to be freed by accel_free. Errors: NOMEM; INVALID (a figure that JSON cannot hold). */
int accel_rates_to_json(const struct accel_rate *rates, size_t count, char **text,
                        struct accel_error *err);
/* Checks everything, as the document may come from a compromised worker: known kinds and
 * precisions, finite figures that are not negative. Errors: INVALID (names the key), NOMEM. */
int accel_rates_from_json(const char *text, size_t size, struct accel_bump *mem,
                          struct accel_rate **rates, size_t *count, struct accel_error *err);

#endif
