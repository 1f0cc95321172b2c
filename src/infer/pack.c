/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/model.h"

int accel_model_pack(const struct accel_model *model, int fd, struct accel_error *err)
{
    (void)model;
    (void)fd;
    return accel_fail(err, ACCEL_E_UNSUPPORTED, "packing is not there yet");
}

int accel_model_open_packed(int fd, const struct accel_load_options *options,
                            struct accel_model **model, struct accel_error *err)
{
    (void)model;
    (void)fd;
    (void)options;
    return accel_fail(err, ACCEL_E_UNSUPPORTED, "packing is not there yet");
}
