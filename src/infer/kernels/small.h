/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_SMALL_H
#define ACCEL_INFER_SMALL_H

/* Types of at most eight bits other than INT8, UINT8 and BOOL, one element per byte. */

#include "infer/kernels/kernels.h"

/* The float types of 4, 6 and 8 bits. */
bool accel_is_small_float(enum accel_dtype dtype);
/* UINT4, INT4, UINT2, INT2: their number of bits; 0: another type. */
unsigned accel_small_int_bits(enum accel_dtype dtype);
/* Kept in a byte with a sign: INT4, INT2. */
bool accel_small_int_signed(enum accel_dtype dtype);

/* Exact. */
float accel_small_to_float(enum accel_dtype dtype, uint8_t code);
void accel_small_to_floats(enum accel_dtype dtype, size_t n, const uint8_t *x, float *y);
/* Rounds to the nearest, ties to even; FLOAT8E8M0 as `cast` says. What is too large becomes the
 * largest number, or with cast->saturate false infinity or NaN where the type has one. */
uint8_t accel_small_from_float(enum accel_dtype dtype, float value, const struct accel_cast *cast);
/* Low bits of an integer, extended to the byte. */
uint8_t accel_small_int(enum accel_dtype dtype, uint64_t value);
/* The nearest integer, ties away from zero, of which the low bits are kept, as ONNX Runtime has
 * it; 0 for NaN and what has no integer. */
uint8_t accel_small_int_from_float(enum accel_dtype dtype, float value);

#endif
