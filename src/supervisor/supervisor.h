/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_SUPERVISOR_SUPERVISOR_H
#define ACCEL_SUPERVISOR_SUPERVISOR_H

/* The loop that starts, watches, restarts and ends every other process of the daemon. */

#include "supervisor/options.h"

/* Runs until SIGTERM or SIGINT. Returns the exit status: 0 after an orderly stop. */
int accel_supervisor_run(const struct accel_options *options);
/* Puts options->restore in the database's place while no daemon runs, and says so or why not.
 * Returns the exit status. */
int accel_supervisor_restore(const struct accel_options *options);

#endif
