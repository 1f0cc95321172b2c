/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_OPS_CHANNELS_LAST_H
#define ACCEL_INFER_OPS_CHANNELS_LAST_H

/* The attribute channels_last of com.microsoft's quantised operators: input 0 and output 0 are
 * [N][sizes...][C]. An operator that knows [N][C][sizes...] hands its infer, prepare and run to
 * these, which turn the two around it; without the attribute they do nothing. In
 * ops/common/channels_last.c. For operators without a variadic argument. */

#include "infer/ops/op.h"

/* [N][C][sizes...] for [N][sizes...][C], and back. */
struct accel_shape accel_channels_first_of(const struct accel_shape *last);
struct accel_shape accel_channels_last_of(const struct accel_shape *first);

int accel_channels_last_infer(struct accel_infer *in,
                              int (*inner)(struct accel_infer *in, struct accel_error *err),
                              struct accel_error *err);
/* The two copies come in front of the operator's own scratch. */
int accel_channels_last_prepare(struct accel_prepare *prep,
                                int (*inner)(struct accel_prepare *prep, struct accel_error *err),
                                struct accel_error *err);
int accel_channels_last_run(struct accel_run *run,
                            int (*inner)(struct accel_run *run, struct accel_error *err),
                            struct accel_error *err);

#endif
