/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel uevents and changes of files. What a module gets to poll is a timer: an event starts it,
 * so a burst (forty virtual functions appear) is one news. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/netlink.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "hardware/host_live.h"

#define COALESCE_NS    200000000
#define AT_ONCE_NS     1
/* Room for the uevents of a whole PCI tree; what does not fit is ENOBUFS and a full rescan. */
#define RECEIVE_BUFFER (1 << 20)
#define UEVENT_MAX     8192
#define KERNEL_GROUP   1

struct watched {
    struct watched *next;
    int timer;
    bool is_uevent;
    int descriptor; /* inotify's, of the folder */
    char name[];    /* subsystem ("": any), or the file's name in its folder */
};

struct accel_events {
    int poll; /* epoll over the two below */
    int netlink, inotify;
    struct watched *first;
};

void accel_events_free(struct accel_events *events)
{
    if (events == NULL)
        return;
    while (events->first != NULL) {
        struct watched *next = events->first->next;
        accel_closep(&events->first->timer);
        accel_free(events->first);
        events->first = next;
    }
    accel_closep(&events->netlink);
    accel_closep(&events->inotify);
    accel_closep(&events->poll);
    accel_free(events);
}

static int ensure(struct accel_events **events, struct accel_error *err)
{
    if (*events != NULL)
        return ACCEL_OK;
    struct accel_events *made = accel_malloc(sizeof(*made));
    if (made == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to watch for events");
    *made = (struct accel_events){.netlink = -1, .inotify = -1};
    made->poll = epoll_create1(EPOLL_CLOEXEC);
    if (made->poll < 0) {
        const int saved = errno;
        accel_free(made);
        return accel_fail_errno(err, saved, "watch for events");
    }
    *events = made;
    return ACCEL_OK;
}

static int poll_too(struct accel_events *events, int fd, struct accel_error *err)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    if (epoll_ctl(events->poll, EPOLL_CTL_ADD, fd, &event) != 0)
        return accel_fail_errno(err, errno, "watch for events");
    return ACCEL_OK;
}

static int add_watched(struct accel_events *events, bool is_uevent, int descriptor,
                       const char *name, int *fd, struct accel_error *err)
{
    struct watched *made = accel_malloc(sizeof(*made) + strlen(name) + 1);

    if (made == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to watch for events");
    made->is_uevent = is_uevent;
    made->descriptor = descriptor;
    strcpy(made->name, name);
    made->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (made->timer < 0) {
        const int saved = errno;
        accel_free(made);
        return accel_fail_errno(err, saved, "watch for events: timer");
    }
    made->next = events->first;
    events->first = made;
    *fd = made->timer;
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- uevents */

static int open_netlink(struct accel_error *err)
{
    const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK, .nl_groups = KERNEL_GROUP};
    const int on = 1, size = RECEIVE_BUFFER;
    ACCEL_CLEANUP(accel_closep)
    int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) != 0 ||
        bind(fd, (const struct sockaddr *)&kernel, sizeof(kernel)) != 0) {
        accel_fail_errno(err, errno, "kernel event socket");
        return -1;
    }
    /* Beyond net.core.rmem_max needs privilege; without it the plain one is cut to the maximum. */
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) != 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    return accel_steal_fd(&fd);
}

int accel_events_uevents(struct accel_events **events, const char *subsystem, int *fd,
                         struct accel_error *err)
{
    int rc = ensure(events, err);

    if (rc != ACCEL_OK)
        return rc;
    if ((*events)->netlink < 0) {
        ACCEL_CLEANUP(accel_closep) int made = open_netlink(err);
        if (made < 0)
            return err != NULL ? (int)err->code : ACCEL_E_IO;
        rc = poll_too(*events, made, err);
        if (rc != ACCEL_OK)
            return rc;
        (*events)->netlink = accel_steal_fd(&made);
    }
    return add_watched(*events, true, -1, subsystem != NULL ? subsystem : "", fd, err);
}

bool accel_uevent_is_kernel(const struct msghdr *header)
{
    const struct sockaddr_nl *from = header->msg_name;

    /* No more of the name than is read: umockdev's emulation gives the part before the groups. */
    if (from == NULL || header->msg_namelen < offsetof(struct sockaddr_nl, nl_groups) ||
        from->nl_family != AF_NETLINK || from->nl_pid != 0)
        return false;
    for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(header); cmsg != NULL;
         cmsg = CMSG_NXTHDR((struct msghdr *)header, cmsg))
        if (cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_CREDENTIALS) {
            struct ucred credentials;
            memcpy(&credentials, CMSG_DATA(cmsg), sizeof(credentials));
            return credentials.uid == 0;
        }
    return false;
}

bool accel_uevent_matches(const char *message, size_t size, const char *subsystem)
{
    static const char key[] = "SUBSYSTEM=";
    const char *end = message + size;
    bool has_action = false, matches = subsystem == NULL;

    /* "add@/devices/..." leads; a datagram of another daemon (libudev's) has no such line. */
    const char *first = memchr(message, '\0', size);
    if (first == NULL || memchr(message, '@', (size_t)(first - message)) == NULL)
        return false;
    for (const char *at = first + 1; at < end;) {
        const size_t length = strnlen(at, (size_t)(end - at));
        if (strncmp(at, "ACTION=", ACCEL_MIN(length, (size_t)7)) == 0 && length > 7)
            has_action = true;
        if (subsystem != NULL && length == strlen(key) + strlen(subsystem) &&
            memcmp(at, key, strlen(key)) == 0 &&
            memcmp(at + strlen(key), subsystem, strlen(subsystem)) == 0)
            matches = true;
        at += length + 1;
    }
    return has_action && matches;
}

/* Starts the timer unless it runs: the first event of a burst counts. */
static void start(struct watched *watched, long after_ns)
{
    const struct itimerspec at = {.it_value = {.tv_nsec = after_ns}};
    struct itimerspec now;

    if (timerfd_gettime(watched->timer, &now) == 0 && now.it_value.tv_nsec == 0)
        (void)timerfd_settime(watched->timer, 0, &at, NULL);
}

static void start_all_uevents(struct accel_events *events)
{
    for (struct watched *at = events->first; at != NULL; at = at->next)
        if (at->is_uevent)
            start(at, COALESCE_NS);
}

static void take_uevents(struct accel_events *events)
{
    union {
        char bytes[CMSG_SPACE(sizeof(struct ucred))];
        struct cmsghdr align;
    } control;
    char message[UEVENT_MAX];

    for (;;) {
        struct sockaddr_nl from = {0};
        struct iovec iov = {.iov_base = message, .iov_len = sizeof(message)};
        struct msghdr header = {.msg_name = &from,
                                .msg_namelen = sizeof(from),
                                .msg_iov = &iov,
                                .msg_iovlen = 1,
                                .msg_control = control.bytes,
                                .msg_controllen = sizeof(control.bytes)};
        const ssize_t n = recvmsg(events->netlink, &header, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == ENOBUFS) { /* some were lost: look at everything again */
            start_all_uevents(events);
            continue;
        }
        if (n < 0)
            return; /* EAGAIN: all taken */
        if (!accel_uevent_is_kernel(&header))
            continue;
        for (struct watched *at = events->first; at != NULL; at = at->next)
            if (at->is_uevent &&
                accel_uevent_matches(message, (size_t)n, at->name[0] != '\0' ? at->name : NULL))
                start(at, COALESCE_NS);
    }
}

/* ---------------------------------------------------------------- files */

int accel_events_file(struct accel_events **events, int folder_fd, const char *file, int *fd,
                      struct accel_error *err)
{
    char folder[64];
    int rc = ensure(events, err);

    if (rc != ACCEL_OK)
        return rc;
    if ((*events)->inotify < 0) {
        ACCEL_CLEANUP(accel_closep) int made = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (made < 0)
            return accel_fail_errno(err, errno, "watch file %s", file);
        rc = poll_too(*events, made, err);
        if (rc != ACCEL_OK)
            return rc;
        (*events)->inotify = accel_steal_fd(&made);
    }
    /* The folder, since an editor or a rename puts another file in the old one's place. */
    snprintf(folder, sizeof(folder), "/proc/self/fd/%d", folder_fd);
    const int descriptor =
        inotify_add_watch((*events)->inotify, folder,
                          IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR);
    if (descriptor < 0)
        return accel_fail_errno(err, errno, "watch file %s", file);
    return add_watched(*events, false, descriptor, file, fd, err);
}

static void take_changes(struct accel_events *events)
{
    _Alignas(struct inotify_event) char bytes[4096];
    ssize_t n;

    while ((n = read(events->inotify, bytes, sizeof(bytes))) > 0)
        for (char *p = bytes; p < bytes + n;) {
            const struct inotify_event *event = (const struct inotify_event *)(const void *)p;
            for (struct watched *at = events->first; at != NULL; at = at->next)
                if (!at->is_uevent && ((event->mask & IN_Q_OVERFLOW) != 0 ||
                                       (event->wd == at->descriptor && event->len > 0 &&
                                        strcmp(event->name, at->name) == 0)))
                    start(at, AT_ONCE_NS);
            p += sizeof(*event) + event->len;
        }
}

/* ---------------------------------------------------------------- both */

int accel_events_fd(const struct accel_events *events)
{
    return events != NULL ? events->poll : -1;
}

void accel_events_take(struct accel_events *events)
{
    if (events == NULL)
        return;
    if (events->netlink >= 0)
        take_uevents(events);
    if (events->inotify >= 0)
        take_changes(events);
}

bool accel_events_drain(struct accel_events *events, int fd)
{
    uint64_t times;

    for (struct watched *at = events != NULL ? events->first : NULL; at != NULL; at = at->next)
        if (at->timer == fd) {
            /* EAGAIN: it had not run out, nothing to take. */
            return read(fd, &times, sizeof(times)) >= 0 || errno == EAGAIN;
        }
    return false;
}
