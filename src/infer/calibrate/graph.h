/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_CALIBRATE_GRAPH_H
#define ACCEL_INFER_CALIBRATE_GRAPH_H

/* What calibration measures, as text: a small graph of the operators that models have, so that a
 * measured point goes through the passes, the plan and the operator that a model goes through.
 *
 *   graph  = node { "|" node }
 *   node   = ["ml."] operator ["/" outputs] "(" [arg {"," arg}] ")" { name "=" value }
 *   arg    = "$"              the previous node's first output
 *          | "_"              left out
 *          | t dims           an input of the graph: "f1x16x56x56"; a letter alone: a scalar
 *          | T dims           a constant with made-up values: "F16x16x3x3"
 *          | T "=" n {":" n}  a constant vector with these values: "L=1:-1"; one value: a scalar
 *   t      = f float, h float16, b int8, u uint8, i int32, l int64, o bool
 *   value  = 1 | 1,2,3 | 1, (a list of one) | 0.5 | word | *64 (so many made-up floats)
 *          | 0..9 (a list) | 50x6 (of `trees`: so many complete trees of that depth)
 */

#include "acceld/error.h"
#include "base/bump.h"

#include <stddef.h>
#include <stdint.h>

/* An ONNX model of that text in *bytes, *size, from mem. Errors: NOMEM; INTERNAL: not such a text.
 */
int accel_calibration_graph(const char *text, struct accel_bump *mem, void **bytes, size_t *size,
                            struct accel_error *err);
/* Fills `bytes` bytes of a tensor of this type (enum accel_dtype) with made-up values: none is a
 * denormal or infinite, all are small, those of integers are valid indices from 0 to 7. */
void accel_calibration_fill(int dtype, size_t bytes, void *data);

#endif
