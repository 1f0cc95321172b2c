/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_SUPERVISOR_NOTIFY_H
#define ACCEL_SUPERVISOR_NOTIFY_H

/* sd_notify(3) and the watchdog's variables, without libsystemd. */

#include "acceld/error.h"
#include "base/util.h"

struct accel_notify {
    int socket;          /* -1: nobody listens */
    int64_t watchdog_ms; /* how often WATCHDOG=1 is expected at the least; 0: not */
};

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID and takes them out of the environment, so
 * that no child speaks for the service. */
void accel_notify_open(struct accel_notify *notify);
/* "READY=1\nSTATUS=...": lines of VARIABLE=VALUE. */
ACCEL_PRINTF(2, 3)
void accel_notify_send(const struct accel_notify *notify, const char *fmt, ...);
void accel_notify_close(struct accel_notify *notify);

#endif
