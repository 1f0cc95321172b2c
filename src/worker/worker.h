/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_WORKER_WORKER_H
#define ACCEL_WORKER_WORKER_H

/* Serves one channel: parses and packs models, runs them, calibrates. One request runs at a time,
 * on a thread of its own, while the caller's thread reads the channel: Cancel and Ping are answered
 * during a run. */

#include "config/config.h"

/* Takes over `channel`. Returns ACCEL_OK when the channel ended or Stop came. */
int accel_worker_run(const struct accel_config *config, int channel, struct accel_error *err);

#endif
