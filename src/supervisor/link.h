/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_SUPERVISOR_LINK_H
#define ACCEL_SUPERVISOR_LINK_H

/* The socket between a daemon's two parts, when hardware has a service of its own: the hardware
 * part listens, the main part connects. What passes are PeerUp (with the channel), PeerDown and
 * RestartPeer, as between supervisor and control, and Reload. */

#include "config/config.h"
#include "core/privileges.h"

/* Takes systemd's socket (LISTEN_FDS); *fd is -1 when there is none. Errors: INVALID. */
int accel_link_inherit(int *fd, struct accel_error *err);
/* Makes <runtime_dir>/hardware.sock; `owner` may connect, NULL: this user. *path (108 bytes) is to
 * be removed at the end. Errors: EXISTS, INVALID, IO. */
int accel_link_listen(const struct accel_config *config, const struct accel_identity *owner,
                      int *fd, char *path, struct accel_error *err);
/* The next main part: root or `owner` (NULL: this user). Errors: DENIED, and accept(2)'s. */
int accel_link_accept(int listener, const struct accel_identity *owner, int *fd,
                      struct accel_error *err);
/* Errors: UNAVAILABLE (nobody listens: says where, and the cure), DENIED (a stranger does). */
int accel_link_connect(const struct accel_config *config, int *fd, struct accel_error *err);

#endif
