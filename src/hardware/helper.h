/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_HARDWARE_HELPER_H
#define ACCEL_HARDWARE_HELPER_H

/* Modules with ACCEL_DRIVER_HELPER: open() and discover() run in a child process that ends with the
 * answer, so that what vendor code does to its process (threads, forks, memory, a crash, a hang)
 * ends there too. */

#include "core/ipc.h"
#include "hardware/module.h"

struct accel_helper {
    const struct accel_driver *driver;
    const struct accel_host *host;
    const struct accel_module_config *config;
    const char *hostname;
    const int *close_fds; /* what the child must not hold */
    size_t close_count;
};

/* Asks in a child: open() and, with `discover`, discover(), then its end. *answer, to be freed by
 * accel__ipc__message__free_unpacked(), is a Discovery with its list. The time is the module's
 * config key "deadline" in seconds, 8 without one.
 * Errors: what the module said (NOT_MINE, ...); TIMEOUT; CORRUPT when the child crashed or ended
 * without an answer, with the signal; NOMEM, IO when there is no child to be had. */
int accel_helper_ask(const struct accel_helper *helper, bool discover, Accel__Ipc__Message **answer,
                     struct accel_error *err);

#endif
