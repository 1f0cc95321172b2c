/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"

/* Above any number that the child's table uses, so that moving one does not overwrite another. */
#define HIGH_FD 100

/* In the child: from here to exec. Returns only on failure, with *err filled in and *report the
 * number that the pipe has by then. */
static void become_child(const struct accel_spawn *spawn, pid_t parent, int *report,
                         struct accel_error *err)
{
    const int last = ACCEL_SPAWN_FD + (int)spawn->fds_count;
    int high[ACCEL_SPAWN_FDS_MAX];
    sigset_t none;

    setpgid(0, 0);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (size_t i = 0; i < spawn->fds_count; i++) {
        high[i] = fcntl(spawn->fds[i], F_DUPFD_CLOEXEC, HIGH_FD);
        if (high[i] < 0) {
            accel_fail_errno(err, errno, "copy descriptor %d", spawn->fds[i]);
            return;
        }
    }
    const int high_report = fcntl(*report, F_DUPFD_CLOEXEC, HIGH_FD);
    const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (high_report < 0 || null < 0 || dup2(null, STDIN_FILENO) < 0) {
        accel_fail_errno(err, errno, "standard input");
        return;
    }
    *report = high_report; /* its old number may be taken from here on */
    for (size_t i = 0; i < spawn->fds_count; i++)
        dup2(high[i], ACCEL_SPAWN_FD + (int)i); /* without close-on-exec */
    /* One more, closed by exec itself: the pipe that says whether exec came about. */
    if (dup3(high_report, last, O_CLOEXEC) < 0) {
        accel_fail_errno(err, errno, "descriptor table");
        return;
    }
    *report = last;
    close_range((unsigned)last + 1, UINT_MAX, 0);
    umask(0027);
    /* Opened before the user changes: a build tree below /root is closed to others. */
    const int program = open(spawn->program, O_PATH | O_CLOEXEC);
    if (program < 0) {
        accel_fail_errno(err, errno, "start %s", spawn->program);
        return;
    }
    if (spawn->identity != NULL && accel_identity_become(spawn->identity, err) != ACCEL_OK)
        return;
    if (!accel_die_with_parent(parent)) {
        accel_fail(err, ACCEL_E_CANCELLED, "the supervisor has ended");
        return;
    }
    execveat(program, "", spawn->argv, environ, AT_EMPTY_PATH);
    accel_fail_errno(err, errno, "start %s", spawn->program);
}

int accel_spawn(const struct accel_spawn *spawn, pid_t *pid, struct accel_error *err)
{
    int report[2];
    struct accel_error failed;
    size_t got = 0;

    if (pipe2(report, O_CLOEXEC) != 0)
        return accel_fail_errno(err, errno, "start %s: pipe", spawn->program);
    const pid_t parent = getpid();
    const pid_t child = fork();
    if (child == 0) {
        close(report[0]);
        become_child(spawn, parent, &report[1], &failed);
        _exit(write(report[1], &failed, sizeof(failed)) < 0 ? 126 : 127);
    }
    const int fork_errno = errno;
    close(report[1]);
    if (child > 0)
        (void)accel_read_full(report[0], &failed, sizeof(failed), &got, "pipe", NULL);
    close(report[0]);
    if (child < 0)
        return accel_fail_errno(err, fork_errno, "start %s: fork", spawn->program);
    if (got == sizeof(failed)) {
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
            ;
        failed.msg[sizeof(failed.msg) - 1] = '\0';
        return accel_fail(err, failed.code, "%s", failed.msg);
    }
    *pid = child;
    return ACCEL_OK;
}

void accel_spawn_add(struct accel_spawn_args *a, const char *name, const char *value)
{
    if (name != NULL)
        a->argv[a->argc++] = (char *)name;
    a->argv[a->argc++] = (char *)value;
}

void accel_spawn_add_fd(struct accel_spawn_args *a, const char *name, int fd)
{
    char *number = a->numbers[a->argc];

    snprintf(number, sizeof(a->numbers[0]), "%zu", ACCEL_SPAWN_FD + a->fds_count);
    a->fds[a->fds_count++] = fd;
    accel_spawn_add(a, name, number);
}

const char *accel_wait_status_text(int status, char *text, size_t size)
{
    if (WIFSIGNALED(status)) {
        const char *name = sigdescr_np(WTERMSIG(status));
        snprintf(text, size, "killed by signal %d (%s)", WTERMSIG(status),
                 name != NULL ? name : "?");
    } else {
        snprintf(text, size, "exit status %d", WEXITSTATUS(status));
    }
    return text;
}
