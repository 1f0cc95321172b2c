/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_SUPERVISOR_LISTEN_H
#define ACCEL_SUPERVISOR_LISTEN_H

/* The listening sockets: opened here, before anything is started, so that they outlive every child.
 */

#include "config/config.h"
#include "core/privileges.h"

struct accel_listeners {
    int tcp, unix_fd;   /* -1: none */
    bool unlink_socket; /* ours to remove at the end, not systemd's */
    char unix_path[108];
    char tcp_address[64]; /* as bound: port 0 is resolved */
};

/* Takes systemd's sockets (LISTEN_FDS), and opens those of the configuration that did not come that
 * way. `identity` owns the unix socket; NULL: this process. Errors: EXISTS (another daemon listens
 * there), DENIED, INVALID. */
int accel_listen(const struct accel_config *config, const struct accel_identity *identity,
                 struct accel_listeners *listeners, struct accel_error *err);
void accel_listen_close(struct accel_listeners *listeners);

#endif
