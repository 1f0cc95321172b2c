/* SPDX-License-Identifier: Apache-2.0 */
#include "rest/identity.h"

#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "rest/http.h"

bool accel_identity_admin_group(const struct accel_config *config, gid_t *gid)
{
    ACCEL_CLEANUP(accel_freep) char *space = NULL;
    struct group entry, *found = NULL;
    int64_t number;

    if (config->auth.admin_group == NULL)
        return false;
    if (accel_http_parse_number(config->auth.admin_group, 0, UINT32_MAX - 1, &number)) {
        *gid = (gid_t)number;
        return true;
    }
    for (size_t size = 4096; size <= 1u << 20; size *= 4) {
        accel_freep(&space);
        space = accel_malloc(size);
        if (space == NULL)
            return false;
        if (getgrnam_r(config->auth.admin_group, &entry, space, size, &found) != ERANGE)
            break;
    }
    if (found == NULL)
        return false;
    *gid = found->gr_gid;
    return true;
}

/* Supplementary groups as they were when the peer connected; the kernel knows, no file is read. */
static bool peer_has_group(int fd, gid_t gid)
{
    ACCEL_CLEANUP(accel_freep) gid_t *groups = NULL;
    socklen_t size = 0;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) == 0 || errno != ERANGE)
        return false;
    groups = accel_malloc(size);
    if (groups == NULL || getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) != 0)
        return false;
    for (size_t i = 0; i < size / sizeof(*groups); i++)
        if (groups[i] == gid)
            return true;
    return false;
}

int accel_identity_of_socket(int fd, const gid_t *admin_group, struct accel_peer_identity *peer,
                             struct accel_error *err)
{
    struct sockaddr_storage address;
    struct ucred credentials;
    socklen_t size = sizeof(address);

    *peer = (struct accel_peer_identity){.uid = (uid_t)-1, .gid = (gid_t)-1};
    if (getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        return accel_fail_errno(err, errno, "name of an accepted socket");
    if (address.ss_family != AF_UNIX)
        return ACCEL_OK;
    peer->is_unix = true;
    size = sizeof(credentials);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0)
        return accel_fail_errno(err, errno, "credentials of a unix socket's peer");
    peer->uid = credentials.uid;
    peer->gid = credentials.gid;
    peer->in_admin_group = admin_group != NULL &&
                           (credentials.gid == *admin_group || peer_has_group(fd, *admin_group));
    return ACCEL_OK;
}

int accel_identity_of_request(const struct accel_config *config,
                              const struct accel_peer_identity *peer, const char *host,
                              const char *origin, struct accel_bump *mem,
                              struct accel_caller *caller, struct accel_error *err)
{
    *caller = (struct accel_caller){.project_id = config->auth.default_project, .reader = true};
    if (peer->is_unix) {
        /* What Host and Origin say matters only where a browser can connect. */
        caller->admin = peer->uid == 0 || peer->uid == geteuid() || peer->in_admin_group;
        caller->user = accel_bump_printf(mem, "uid:%u", (unsigned)peer->uid);
        if (caller->user == NULL)
            return accel_fail(err, ACCEL_E_NOMEM, "no memory for the caller");
    } else {
        caller->user = "loopback";
        if (!accel_http_host_is_loopback(host))
            return accel_fail(err, ACCEL_E_DENIED,
                              "Host: \"%.80s\" is no loopback name: use localhost or 127.0.0.1",
                              host != NULL ? host : "");
        if (origin != NULL && !accel_http_origin_is_local(origin))
            return accel_fail(err, ACCEL_E_DENIED,
                              "Origin: a page of \"%.80s\" may not call this service", origin);
        caller->admin = config->auth.local_tcp_admin;
    }
    /* No token can say "service" here: who administers the node may bind for it. */
    caller->service = caller->admin;
    return ACCEL_OK;
}
