/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_CALIBRATE_POINTS_H
#define ACCEL_INFER_CALIBRATE_POINTS_H

#include <stddef.h>

/* The graphs that calibration measures (graph.h has the language). Every operator of a graph gives
 * a point of its own. */
extern const char *const accel_calibration_points[];
extern const size_t accel_calibration_points_count;

#endif
