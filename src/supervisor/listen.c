/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"

#define BACKLOG      256
/* A daemon that was killed a moment ago may still be giving up its sockets. */
#define LINGER_MS    2000
#define TRY_AGAIN_MS 20

static int open_tcp(const char *text, struct accel_listeners *l, struct accel_error *err)
{
    const struct addrinfo hints = {.ai_flags = AI_NUMERICSERV | AI_PASSIVE,
                                   .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    const char *colon = strrchr(text, ':');
    char host[64];
    const int on = 1;

    /* The configuration has checked the form: HOST:PORT or [HOST]:PORT. */
    const bool bracket = text[0] == '[';
    snprintf(host, sizeof(host), "%.*s", (int)(colon - text) - 2 * bracket, text + bracket);
    const int rc =
        getaddrinfo(strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, colon + 1, &hints, &found);
    if (rc != 0)
        return accel_fail(err, ACCEL_E_INVALID, "api.listen %s: %s", text, gai_strerror(rc));
    ACCEL_CLEANUP(accel_closep)
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int failed = fd < 0 ? errno : 0;
    if (failed == 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    const int64_t give_up = accel_now_ms() + LINGER_MS;
    while (failed == 0 && bind(fd, found->ai_addr, found->ai_addrlen) != 0) {
        failed = errno;
        if (failed == EADDRINUSE && accel_now_ms() < give_up) {
            failed = 0;
            usleep(TRY_AGAIN_MS * 1000);
        }
    }
    if (failed == 0 && listen(fd, BACKLOG) != 0)
        failed = errno;
    freeaddrinfo(found);
    if (failed == EADDRINUSE)
        return accel_fail(err, ACCEL_E_EXISTS,
                          "api.listen %s: another process listens there: choose another with "
                          "--listen",
                          text);
    if (failed != 0)
        return accel_fail_errno(err, failed, "api.listen %s", text);
    l->tcp = accel_steal_fd(&fd);
    return ACCEL_OK;
}

static bool answers(const struct sockaddr_un *address)
{
    ACCEL_CLEANUP(accel_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0;
}

/* A socket file that nobody answers on is left over from a process that was killed. */
static int remove_stale(const struct sockaddr_un *address, struct accel_error *err)
{
    struct stat st;

    if (lstat(address->sun_path, &st) != 0)
        return ACCEL_OK;
    if (!S_ISSOCK(st.st_mode))
        return accel_fail(err, ACCEL_E_EXISTS, "api.socket %s is there and is no socket",
                          address->sun_path);
    for (const int64_t give_up = accel_now_ms() + LINGER_MS; answers(address);
         usleep(TRY_AGAIN_MS * 1000))
        if (accel_now_ms() >= give_up)
            return accel_fail(err, ACCEL_E_EXISTS, "api.socket %s: another daemon listens there",
                              address->sun_path);
    if (unlink(address->sun_path) != 0 && errno != ENOENT)
        return accel_fail_errno(err, errno, "remove the old socket %s", address->sun_path);
    return ACCEL_OK;
}

/* Who may connect: the owner and the group of the configuration, when there is one and we may. */
static void share_with_group(const char *path, const char *name, const struct accel_identity *id)
{
    struct group entry, *group = NULL;
    char buffer[8192];

    (void)getgrnam_r(name, &entry, buffer, sizeof(buffer), &group);
    if (group == NULL && geteuid() == 0)
        accel_log_info("the group of the unix socket does not exist",
                       "group=%s socket=\"%s\" cure=\"groupadd --system %s\"", name, path, name);
    const uid_t uid = id != NULL ? id->uid : geteuid();
    const gid_t gid = group != NULL ? group->gr_gid : getegid();
    struct stat st;
    /* In a unit of its user's own it is right as it is, and chown may be forbidden there. */
    if (lstat(path, &st) == 0 && st.st_uid == uid && st.st_gid == gid)
        return;
    if (chown(path, uid, group != NULL ? gid : (gid_t)-1) != 0)
        accel_log_info("the unix socket keeps its own group", "group=%s socket=\"%s\" error=\"%s\"",
                       name, path, strerrordesc_np(errno));
}

static int open_unix(const struct accel_config *config, const struct accel_identity *identity,
                     struct accel_listeners *l, struct accel_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = config->api.unix_path;

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    const int rc = remove_stale(&address, err);
    if (rc != ACCEL_OK)
        return rc;
    ACCEL_CLEANUP(accel_closep)
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return accel_fail_errno(err, errno, "api.socket");
    const mode_t old = umask(0117);
    const int bound = bind(fd, (struct sockaddr *)&address, sizeof(address));
    const int failed = errno;
    umask(old);
    if (bound != 0)
        return accel_fail_errno(err, failed, "api.socket %s", path);
    snprintf(l->unix_path, sizeof(l->unix_path), "%s", path);
    l->unlink_socket = true;
    share_with_group(path, config->api.unix_group, identity);
    if (listen(fd, BACKLOG) != 0)
        return accel_fail_errno(err, errno, "api.socket %s", path);
    l->unix_fd = accel_steal_fd(&fd);
    return ACCEL_OK;
}

int accel_inherited_count(void)
{
    const char *pid = getenv("LISTEN_PID"), *text = getenv("LISTEN_FDS");
    const int count = pid != NULL && text != NULL && atol(pid) == (long)getpid() ? atoi(text) : 0;

    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    return ACCEL_MAX(count, 0);
}

void accel_inherited_prepare(int fd)
{
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static int take_inherited(struct accel_listeners *l, struct accel_error *err)
{
    const int end = ACCEL_INHERITED_FD + accel_inherited_count();

    for (int fd = ACCEL_INHERITED_FD; fd < end; fd++) {
        struct sockaddr_storage address;
        socklen_t length = sizeof(address);
        int listening = 0;
        socklen_t option = sizeof(listening);

        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &option) != 0 || !listening ||
            getsockname(fd, (struct sockaddr *)&address, &length) != 0)
            return accel_fail(err, ACCEL_E_INVALID,
                              "LISTEN_FDS: descriptor %d is no listening socket", fd);
        accel_inherited_prepare(fd);
        int *slot = address.ss_family == AF_UNIX ? &l->unix_fd : &l->tcp;
        if (*slot >= 0)
            return accel_fail(err, ACCEL_E_INVALID,
                              "LISTEN_FDS: more than one %s socket: acceld serves one of each kind",
                              address.ss_family == AF_UNIX ? "unix" : "TCP");
        *slot = fd;
    }
    return ACCEL_OK;
}

static void name_tcp(struct accel_listeners *l)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof(address);
    char host[48], port[8];

    if (l->tcp < 0 || getsockname(l->tcp, (struct sockaddr *)&address, &length) != 0 ||
        getnameinfo((struct sockaddr *)&address, length, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return;
    snprintf(l->tcp_address, sizeof(l->tcp_address),
             address.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

int accel_listen(const struct accel_config *config, const struct accel_identity *identity,
                 struct accel_listeners *listeners, struct accel_error *err)
{
    *listeners = (struct accel_listeners){.tcp = -1, .unix_fd = -1};
    int rc = take_inherited(listeners, err);

    if (rc == ACCEL_OK && listeners->tcp < 0 && config->api.tcp != NULL)
        rc = open_tcp(config->api.tcp, listeners, err);
    if (rc == ACCEL_OK && listeners->unix_fd < 0 && config->api.unix_path != NULL)
        rc = open_unix(config, identity, listeners, err);
    if (rc == ACCEL_OK && listeners->tcp < 0 && listeners->unix_fd < 0)
        rc = accel_fail(err, ACCEL_E_INVALID, "api.listen and api.socket are both none");
    if (rc != ACCEL_OK)
        accel_listen_close(listeners);
    else
        name_tcp(listeners);
    return rc;
}

void accel_listen_close(struct accel_listeners *listeners)
{
    if (listeners->unlink_socket)
        unlink(listeners->unix_path);
    listeners->unlink_socket = false;
    accel_closep(&listeners->tcp);
    accel_closep(&listeners->unix_fd);
}
