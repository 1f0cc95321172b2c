/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/kernels/avx512/vec.h"
/* The template is written in what vec.h defines. */
#include "infer/kernels/vec/f32_patches.h"
