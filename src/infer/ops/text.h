/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_OPS_TEXT_H
#define ACCEL_INFER_OPS_TEXT_H

#include "infer/kernels/kernels.h"

/* What the text says, as one element of a type at `at`; of a half a float. As std::stof, stod,
 * stoll and stoull: what follows the number does not matter. cast: for types of eight bits and
 * less, NULL for others. False: no number, or beyond the type's range. */
bool accel_number_of_text(const char *text, enum accel_dtype to, const struct accel_cast *cast,
                          void *at);

#endif
