/* SPDX-License-Identifier: Apache-2.0 */
#define Q8_ROW accel_q8_row__avx2
#include "infer/kernels/vec/q8_row.h"
