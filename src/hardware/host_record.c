/* SPDX-License-Identifier: Apache-2.0 */
#include "hardware/host.h"
int accel_host_record_new(struct accel_host *inner, const char *tape, struct accel_host **host,
                          struct accel_error *err)
{
    accel_host_free(inner);
    (void)host;
    return accel_fail(err, ACCEL_E_UNSUPPORTED, "record %s", tape);
}
int accel_host_replay_new(const char *tape, struct accel_host **host, struct accel_error *err)
{
    (void)host;
    return accel_fail(err, ACCEL_E_UNSUPPORTED, "replay %s", tape);
}
