/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/notify.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

static int open_socket(const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    const size_t length = strlen(path);

    if ((path[0] != '/' && path[0] != '@') || length >= sizeof(to.sun_path))
        return -1;
    memcpy(to.sun_path, path, length);
    if (path[0] == '@') /* the abstract name space */
        to.sun_path[0] = '\0';
    ACCEL_CLEANUP(accel_closep)
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) != 0)
        return -1;
    return accel_steal_fd(&fd);
}

void accel_notify_open(struct accel_notify *notify)
{
    const char *path = getenv("NOTIFY_SOCKET"), *usec = getenv("WATCHDOG_USEC");
    const char *pid = getenv("WATCHDOG_PID");

    *notify = (struct accel_notify){.socket = -1};
    if (path != NULL) {
        notify->socket = open_socket(path);
        if (notify->socket < 0)
            accel_log_warning("NOTIFY_SOCKET cannot be used", "path=\"%s\"", path);
    }
    if (usec != NULL && (pid == NULL || atol(pid) == (long)getpid()))
        notify->watchdog_ms = strtoll(usec, NULL, 10) / 1000;
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

void accel_notify_send(const struct accel_notify *notify, const char *fmt, ...)
{
    char text[1024];
    va_list args;

    if (notify->socket < 0)
        return;
    va_start(args, fmt);
    const int length = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (length > 0)
        (void)send(notify->socket, text, ACCEL_MIN((size_t)length, sizeof(text) - 1), MSG_NOSIGNAL);
}

void accel_notify_close(struct accel_notify *notify)
{
    accel_closep(&notify->socket);
}
