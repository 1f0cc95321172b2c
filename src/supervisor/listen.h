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

/* How many sockets systemd opened for this process, from ACCEL_INHERITED_FD on (sd_listen_fds(3)).
 * Takes them out of the environment: asked again, there are none. */
#define ACCEL_INHERITED_FD 3
int accel_inherited_count(void);
/* Close-on-exec and non-blocking, as those that are opened here. */
void accel_inherited_prepare(int fd);

/* Takes systemd's sockets (LISTEN_FDS), and opens those of the configuration that did not come that
 * way. `identity` owns the unix socket; NULL: this process. Errors: EXISTS (another daemon listens
 * there), DENIED, INVALID. */
int accel_listen(const struct accel_config *config, const struct accel_identity *identity,
                 struct accel_listeners *listeners, struct accel_error *err);
void accel_listen_close(struct accel_listeners *listeners);

#endif
