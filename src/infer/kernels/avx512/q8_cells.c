/* SPDX-License-Identifier: Apache-2.0 */
#define Q8_CELLS   accel_q8_cells__avx512
#define Q8_COLUMNS 32
#include "infer/kernels/vec/q8_cells16.h"
