/* SPDX-License-Identifier: Apache-2.0 */
/* Running a vendor's tool: no shell, an empty environment, a deadline, a bound on what it prints.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "hardware/host_live.h"

static int spawn_tool(const char *const argv[], int output, pid_t *pid, struct accel_error *err)
{
    static const char *const environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C",
                                              NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    int rc;

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    posix_spawnattr_init(&attributes);
    /* A group of its own, so that the deadline ends its children too; and no signals of ours. */
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                              POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    rc = posix_spawn(pid, argv[0], &actions, &attributes, (char *const *)argv,
                     (char *const *)environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return rc != 0 ? accel_fail_errno(err, rc, "run %s", argv[0]) : ACCEL_OK;
}

/* Reads what it prints until its end of file. */
static int collect(int fd, const char *name, int64_t until_ms, char *text, size_t size,
                   struct accel_error *err)
{
    size_t used = 0;

    for (;;) {
        const int64_t left = until_ms - accel_now_ms();
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        char beyond;

        if (left <= 0)
            return accel_fail(err, ACCEL_E_TIMEOUT, "%s did not end in time", name);
        if (poll(&ready, 1, (int)ACCEL_MIN(left, (int64_t)60000)) < 0 && errno != EINTR)
            return accel_fail_errno(err, errno, "wait for %s", name);
        if (ready.revents == 0)
            continue;
        const bool full = used + 1 >= size;
        const ssize_t n = full ? read(fd, &beyond, 1) : read(fd, text + used, size - used - 1);
        if (n < 0 && errno != EINTR)
            return accel_fail_errno(err, errno, "read what %s prints", name);
        if (n > 0 && full)
            return accel_fail(err, ACCEL_E_LIMIT, "%s prints more than %zu bytes", name, size - 1);
        if (n > 0)
            used += (size_t)n;
        text[used] = '\0';
        if (n == 0)
            return ACCEL_OK;
    }
}

/* Waits for its end until the deadline; it may close its output long before. */
static int wait_end(pid_t pid, const char *name, int64_t until_ms, int *wait_status,
                    struct accel_error *err)
{
    ACCEL_CLEANUP(accel_closep) int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

    while (pidfd >= 0) {
        struct pollfd ended = {.fd = pidfd, .events = POLLIN};
        const int64_t left = until_ms - accel_now_ms();
        if (left <= 0)
            return accel_fail(err, ACCEL_E_TIMEOUT, "%s did not end in time", name);
        if (poll(&ended, 1, (int)ACCEL_MIN(left, (int64_t)60000)) > 0)
            break;
    }
    while (waitpid(pid, wait_status, 0) < 0)
        if (errno != EINTR)
            return accel_fail_errno(err, errno, "wait for %s", name);
    return ACCEL_OK;
}

int accel_tool_run(const char *const argv[], int64_t deadline_ms, char *text, size_t size,
                   int *status, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_closep) int from = -1;
    ACCEL_CLEANUP(accel_closep) int to = -1;
    const int64_t until_ms = accel_now_ms() + deadline_ms;
    int fds[2], wait_status = 0;
    pid_t pid;

    if (argv[0] == NULL || argv[0][0] != '/' || size == 0)
        return accel_fail(err, ACCEL_E_INVALID, "a tool is run by its absolute path");
    text[0] = '\0';
    if (pipe2(fds, O_CLOEXEC) != 0)
        return accel_fail_errno(err, errno, "run %s: pipe", argv[0]);
    from = fds[0];
    to = fds[1];
    int rc = spawn_tool(argv, to, &pid, err);
    if (rc != ACCEL_OK)
        return rc;
    accel_closep(&to);
    rc = collect(from, argv[0], until_ms, text, size, err);
    if (rc == ACCEL_OK)
        rc = wait_end(pid, argv[0], until_ms, &wait_status, err);
    if (rc != ACCEL_OK) {
        kill(-pid, SIGKILL);
        while (waitpid(pid, &wait_status, 0) < 0 && errno == EINTR)
            ;
        return rc;
    }
    *status = WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
    return ACCEL_OK;
}
