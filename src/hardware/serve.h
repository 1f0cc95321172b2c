/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_HARDWARE_SERVE_H
#define ACCEL_HARDWARE_SERVE_H

/* The hardware process at work: one thread calls the module, another keeps the channels, so that
 * Ping and Cancel are answered while a device is being programmed. */

#include "hardware/host.h"
#include "hardware/module.h"

struct accel_serve {
    const struct accel_module *module;
    struct accel_host *host;
    const struct accel_module_config *config;
    const char *hostname;
    int channel;    /* to control; -1: comes by the supervisor. Taken over */
    int supervisor; /* -1: none, then the process ends with its channel. Taken over */
    bool privileged;
};

/* Serves until it is told to stop, by Stop, SIGTERM, or the end of who it serves: what runs is
 * finished first. open() is called here. Errors: what kept it from starting; a module that has
 * nothing here (NOT_MINE) is served all the same and says so in its Hello. A failed open() is told
 * to control by a Hello too, then returned. */
int accel_serve_run(const struct accel_serve *with, struct accel_error *err);

/* Says Hello with the reason on the channel and nothing else: for a module that cannot be loaded
 * or configured. */
void accel_serve_refuse(int channel, const char *name, const struct accel_error *why);

#endif
