/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_OPS_WIDE_H
#define ACCEL_INFER_OPS_WIDE_H

/* Half precision by way of float: FLOAT16 and BFLOAT16 inputs are converted, the operator computes
 * in float, and what becomes half precision again is rounded once. An operator's prepare and run
 * that know FLOAT (and DOUBLE, which passes through) need no more than
 *
 *     ACCEL_WIDE(gridsample, gridsample_prepare, gridsample_run)
 *
 * which defines gridsample_wide_prepare and gridsample_wide_run for the table; a prepare of NULL is
 * none. The copies lie in front of the operator's own scratch. For operators without a variadic
 * argument. */

#include "infer/kernels/kernels.h"
#include "infer/ops/op.h"

typedef int accel_prepare_fn(struct accel_prepare *prep, struct accel_error *err);
typedef int accel_run_fn(struct accel_run *run, struct accel_error *err);

/* Errors: INVALID (sizes overflow), those of `inner`. */
int accel_wide_prepare(struct accel_prepare *prep, accel_prepare_fn *inner,
                       struct accel_error *err);
int accel_wide_run(struct accel_run *run, accel_run_fn *inner, struct accel_error *err);

#define ACCEL_WIDE(name, prepare_fn, run_fn) \
    ACCEL_WIDE_BY(name, accel_wide_prepare, prepare_fn, run_fn)
/* The same for a family whose prepare goes by way of a function like accel_wide_prepare. */
#define ACCEL_WIDE_BY(name, way, prepare_fn, run_fn)                                    \
    static int name##_wide_prepare(struct accel_prepare *prep, struct accel_error *err) \
    {                                                                                   \
        return way(prep, prepare_fn, err);                                              \
    }                                                                                   \
    static int name##_wide_run(struct accel_run *run, struct accel_error *err)          \
    {                                                                                   \
        return accel_wide_run(run, run_fn, err);                                        \
    }

/* y[0..n) become halves' values, where an operator on halves rounds on its way. */
void accel_round_to_half(const struct accel_kernels *kernels, size_t n, float *y);

/* What such an operator's table allows. */
#define ACCEL_T_REALS (ACCEL_T_FLOATS | ACCEL_T_HALVES)

/* FLOAT for a half type, any other type itself. */
static inline enum accel_dtype accel_wide_dtype(enum accel_dtype dtype)
{
    return dtype == ACCEL_DTYPE_FLOAT16 || dtype == ACCEL_DTYPE_BFLOAT16 ? ACCEL_DTYPE_FLOAT
                                                                         : dtype;
}

#endif
