/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_REST_IDENTITY_H
#define ACCEL_REST_IDENTITY_H

/* Who asks. Today: local callers, known by the unix socket's peer credentials or by having come
 * over loopback. Tokens, Keystone and client certificates become further functions here, each
 * filling the same accel_caller. */

#include <sys/types.h>

#include "config/config.h"
#include "service/service.h"

/* What is known of the other end of a connection, asked once when it is accepted. */
struct accel_peer_identity {
    bool is_unix;
    uid_t uid;
    gid_t gid;
    bool in_admin_group;
};

/* Resolves auth.admin_group; false when there is no such group (then only root and the daemon's
 * own user are admin). */
bool accel_identity_admin_group(const struct accel_config *config, gid_t *gid);

/* Reads the credentials of a connected socket. admin_group NULL: there is none. */
int accel_identity_of_socket(int fd, const gid_t *admin_group, struct accel_peer_identity *peer,
                             struct accel_error *err);

/* The caller behind a request. host, origin: the headers, NULL when absent; over TCP they must be
 * of this host, as a page of any site can make a browser send requests to loopback. Strings live
 * in `mem`. Errors: DENIED, NOMEM. */
int accel_identity_of_request(const struct accel_config *config,
                              const struct accel_peer_identity *peer, const char *host,
                              const char *origin, struct accel_bump *mem,
                              struct accel_caller *caller, struct accel_error *err);

#endif
