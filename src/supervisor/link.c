/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/link.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "supervisor/listen.h"

#define BACKLOG 4

static int address_of(const struct accel_config *config, struct sockaddr_un *address,
                      struct accel_error *err)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (snprintf(address->sun_path, sizeof(address->sun_path), "%s/hardware.sock",
                 config->runtime_dir) >= (int)sizeof(address->sun_path))
        return accel_fail(err, ACCEL_E_INVALID, "node.runtime_dir %s: too long for a socket",
                          config->runtime_dir);
    return ACCEL_OK;
}

static int new_socket(struct accel_error *err)
{
    const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        accel_fail_errno(err, errno, "socket between the parts");
    return fd;
}

/* Who is at the other end: root, ourselves, or the daemon's user. */
static int check_peer(int fd, const struct accel_identity *owner, struct accel_error *err)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return accel_fail_errno(err, errno, "socket between the parts");
    if (peer.uid == 0 || peer.uid == geteuid() || (owner != NULL && peer.uid == owner->uid))
        return ACCEL_OK;
    return accel_fail(err, ACCEL_E_DENIED, "process %d of user %u is no part of this daemon",
                      (int)peer.pid, (unsigned)peer.uid);
}

int accel_link_inherit(int *fd, struct accel_error *err)
{
    int type = 0, listening = 0;
    socklen_t size = sizeof(type);

    *fd = -1;
    if (accel_inherited_count() == 0)
        return ACCEL_OK;
    if (getsockopt(ACCEL_INHERITED_FD, SOL_SOCKET, SO_TYPE, &type, &size) != 0 ||
        type != SOCK_SEQPACKET ||
        getsockopt(ACCEL_INHERITED_FD, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0 ||
        !listening)
        return accel_fail(err, ACCEL_E_INVALID,
                          "LISTEN_FDS: descriptor %d is no listening sequential-packet socket",
                          ACCEL_INHERITED_FD);
    accel_inherited_prepare(ACCEL_INHERITED_FD);
    *fd = ACCEL_INHERITED_FD;
    return ACCEL_OK;
}

int accel_link_listen(const struct accel_config *config, const struct accel_identity *owner,
                      int *fd, char *path, struct accel_error *err)
{
    struct sockaddr_un address;
    struct stat st;

    path[0] = '\0';
    if (address_of(config, &address, err) != ACCEL_OK)
        return err->code;
    /* The lock says that nobody listens: what is there was left by a part that was killed. */
    if (lstat(address.sun_path, &st) == 0) {
        if (!S_ISSOCK(st.st_mode))
            return accel_fail(err, ACCEL_E_EXISTS, "%s is there and is no socket",
                              address.sun_path);
        unlink(address.sun_path);
    }
    ACCEL_CLEANUP(accel_closep) int made = new_socket(err);
    if (made < 0)
        return err->code;
    const mode_t old = umask(0177);
    const int bound = bind(made, (const struct sockaddr *)&address, sizeof(address));
    const int failed = errno;
    umask(old);
    if (bound != 0)
        return accel_fail_errno(err, failed, "listen at %s", address.sun_path);
    memcpy(path, address.sun_path, sizeof(address.sun_path));
    /* Not chown: the folder is that user's, who might put a link in the socket's place. */
    if (owner != NULL && lchown(path, owner->uid, owner->gid) != 0)
        return accel_fail_errno(err, errno, "give %s to the daemon's user", path);
    if (listen(made, BACKLOG) != 0)
        return accel_fail_errno(err, errno, "listen at %s", path);
    *fd = accel_steal_fd(&made);
    return ACCEL_OK;
}

int accel_link_accept(int listener, const struct accel_identity *owner, int *fd,
                      struct accel_error *err)
{
    ACCEL_CLEANUP(accel_closep)
    int made = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (made < 0)
        return accel_fail_errno(err, errno, "accept the main part");
    if (check_peer(made, owner, err) != ACCEL_OK)
        return err->code;
    *fd = accel_steal_fd(&made);
    return ACCEL_OK;
}

int accel_link_connect(const struct accel_config *config, int *fd, struct accel_error *err)
{
    struct sockaddr_un address;

    if (address_of(config, &address, err) != ACCEL_OK)
        return err->code;
    ACCEL_CLEANUP(accel_closep) int made = new_socket(err);
    if (made < 0)
        return err->code;
    if (connect(made, (const struct sockaddr *)&address, sizeof(address)) != 0)
        return accel_fail(err, ACCEL_E_UNAVAILABLE,
                          "the hardware part does not answer at %s (%s): is "
                          "acceld-hardware.service running?",
                          address.sun_path, strerrordesc_np(errno));
    if (check_peer(made, NULL, err) != ACCEL_OK)
        return err->code;
    *fd = accel_steal_fd(&made);
    return ACCEL_OK;
}
