/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_CORE_ANALYSIS_JSON_H
#define ACCEL_CORE_ANALYSIS_JSON_H

/* A model's analysis as the one JSON document that workers send, the store keeps, REST serves and
 * `accel-run analyse --json` prints:
 *
 *   {"producer": "pytorch 1.10", "ir_version": 8, "opset": 13, "precision": "float",
 *    "runnable": true, "nodes_in_file": 175, "parameters": 25610000, "weights_bytes": ...,
 *    "arena_bytes": ..., "scratch_bytes": ..., "io_bytes": ..., "flops": ..., "bytes": ...,
 *    "inputs": [{"name": "x", "dtype": "float", "shape": [-1, 3, 224, 224],
 *                "dim_names": ["N", null, null, null]}],        shape null: any rank
 *    "outputs": [...],
 *    "ops": [{"name": "Conv_0", "op": "Conv", "fused": "Relu", "domain": "", "opset": 13,
 *             "kind": "conv", "precision": "float", "shape": "1x3x224x224 -> 1x64x112x112",
 *             "flops": ..., "bytes_read": ..., "bytes_written": ..., "bytes_weights": ...,
 *             "unsupported": null}]} */

#include <jansson.h>

#include "acceld/infer.h"
#include "base/bump.h"

/* A new reference, or NULL. Names come from a stranger's file: bytes that are no UTF-8 become '?'.
 * Errors: NOMEM; INVALID (a figure that JSON cannot hold: NaN, infinity). */
json_t *accel_analysis_to_json(const struct accel_analysis *analysis, struct accel_error *err);

/* Checks everything, as the document may come from a compromised worker: types, ranges, counts,
 * finite and non-negative figures, and that `runnable` agrees with the operators. Keys it does not
 * know are passed over. The analysis and all in it live in `mem`.
 * Errors: INVALID (names the key: "ops[3].kind"), NOMEM. */
int accel_analysis_from_json(const json_t *json, struct accel_bump *mem,
                             struct accel_analysis **analysis, struct accel_error *err);

#endif
