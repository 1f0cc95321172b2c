/* SPDX-License-Identifier: Apache-2.0 */
#define Q8_CELLS   accel_q8_cells__avx2
#define Q8_COLUMNS 16
#include "infer/kernels/vec/q8_cells16.h"
