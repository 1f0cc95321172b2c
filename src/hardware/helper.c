/* SPDX-License-Identifier: Apache-2.0 */
#include "hardware/helper.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "hardware/build.h"

#define DEADLINE_S   8.0
#define ANSWER_MAX   ((off_t)64 << 20)
#define STRAYS_TURNS 64 /* a fork bomb is left to the cgroup's limit */

/* ---------------------------------------------------------------- in the child */

static int put(int fd, const Accel__Ipc__Message *message)
{
    const size_t size = accel__ipc__message__get_packed_size(message);
    ACCEL_CLEANUP(accel_freep) uint8_t *bytes = accel_malloc(size > 0 ? size : 1);
    size_t done = 0;

    if (bytes == NULL)
        return 1;
    accel__ipc__message__pack(message, bytes);
    while (done < size) {
        const ssize_t n = write(fd, bytes + done, size - done);
        if (n < 0 && errno != EINTR)
            return 1;
        done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int put_error(int fd, const struct accel_error *err)
{
    Accel__Ipc__Message message = ACCEL__IPC__MESSAGE__INIT;
    Accel__Ipc__Error body = ACCEL__IPC__ERROR__INIT;

    body.code = (uint32_t)err->code;
    body.msg = (char *)err->msg;
    message.body_case = ACCEL__IPC__MESSAGE__BODY_ERROR;
    message.error = &body;
    return put(fd, &message);
}

/* Returns the exit status. Nothing is closed: the end of the process does that, vendor code has no
 * further say. */
static int answer_in_child(const struct accel_helper *h, bool discover, int fd)
{
    Accel__Ipc__Message message = ACCEL__IPC__MESSAGE__INIT;
    Accel__Ipc__Discovery body = ACCEL__IPC__DISCOVERY__INIT;
    Accel__Ipc__DeviceList none = ACCEL__IPC__DEVICE_LIST__INIT;
    const Accel__Ipc__DeviceList *list = &none;
    struct accel_error err = {.code = ACCEL_E_INTERNAL};
    struct accel_build *build = NULL;
    void *self = NULL;
    int rc = ACCEL_OK;

    snprintf(err.msg, sizeof(err.msg), "module %s gave no reason", h->driver->name);
    if (h->driver->open != NULL)
        rc = h->driver->open(h->host, accel_module_config_get(h->config), &self, &err);
    if (rc == ACCEL_OK && discover) {
        rc = accel_build_new(h->driver->name, h->hostname, &build, &err);
        if (rc == ACCEL_OK)
            rc = h->driver->discover(self, accel_build_builder(build), &err);
        if (rc == ACCEL_OK)
            rc = accel_build_list(build, &list, &err);
    }
    if (rc != ACCEL_OK) {
        err.code = (enum accel_code)rc;
        return put_error(fd, &err);
    }
    body.inlined = true;
    body.list = (Accel__Ipc__DeviceList *)list;
    message.body_case = ACCEL__IPC__MESSAGE__BODY_DISCOVERY;
    message.discovery = &body;
    return put(fd, &message);
}

static void become_helper(const struct accel_helper *h, pid_t parent)
{
    sigset_t none;

    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1); /* it ended before that was set */
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
    for (size_t i = 0; i < h->close_count; i++)
        if (h->close_fds[i] >= 0)
            close(h->close_fds[i]);
}

/* ---------------------------------------------------------------- in the parent */

/* Kills every child of this process; how many there were. What a dead child had forked becomes a
 * child of ours (PR_SET_CHILD_SUBREAPER). */
static int kill_children(void)
{
    DIR *tasks = opendir("/proc/self/task");
    int count = 0;

    if (tasks == NULL)
        return 0;
    for (const struct dirent *task; (task = readdir(tasks)) != NULL;) {
        ACCEL_CLEANUP(accel_freep) char *text = NULL;
        char path[64];

        snprintf(path, sizeof(path), "/proc/self/task/%.20s/children", task->d_name);
        if (task->d_name[0] == '.' || accel_read_file(path, 1 << 20, &text, NULL, NULL) != ACCEL_OK)
            continue;
        char *at = text, *end;
        for (long pid; pid = strtol(at, &end, 10), end != at; at = end)
            if (pid > 1) {
                kill((pid_t)pid, SIGKILL);
                waitpid((pid_t)pid, NULL, 0);
                count++;
            }
    }
    closedir(tasks);
    return count;
}

/* Until it ends or the deadline. */
static int wait_child(pid_t pid, int64_t deadline_ms, int *status, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_closep) int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    const int64_t until_ms = accel_now_ms() + deadline_ms;
    int rc = ACCEL_OK;

    if (pidfd < 0)
        rc = accel_fail_errno(err, errno, "watch the helper process");
    while (rc == ACCEL_OK) {
        struct pollfd ended = {.fd = pidfd, .events = POLLIN};
        const int64_t left = until_ms - accel_now_ms();
        if (left <= 0)
            rc = accel_fail(err, ACCEL_E_TIMEOUT,
                            "the vendor's code did not answer within %.1f s and was ended",
                            (double)deadline_ms / 1e3);
        else if (poll(&ended, 1, (int)left) > 0)
            break;
    }
    kill(-pid, SIGKILL);
    kill(pid, SIGKILL);
    while (waitpid(pid, status, 0) < 0 && errno == EINTR)
        ;
    for (int turn = 0; turn < STRAYS_TURNS && kill_children() > 0; turn++)
        ;
    return rc;
}

static int read_answer(int fd, Accel__Ipc__Message **answer, struct accel_error *err)
{
    struct stat file;
    size_t got = 0;

    if (fstat(fd, &file) != 0 || file.st_size > ANSWER_MAX)
        return accel_fail(err, ACCEL_E_LIMIT, "the helper's answer is too large");
    ACCEL_CLEANUP(accel_freep) uint8_t *bytes = accel_malloc((size_t)file.st_size + 1);
    if (bytes == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for the helper's answer");
    lseek(fd, 0, SEEK_SET);
    int rc = accel_read_full(fd, bytes, (size_t)file.st_size, &got, "the helper's answer", err);
    if (rc != ACCEL_OK)
        return rc;
    Accel__Ipc__Message *message = accel__ipc__message__unpack(NULL, got, bytes);
    if (message != NULL && message->body_case == ACCEL__IPC__MESSAGE__BODY_DISCOVERY &&
        message->discovery->list != NULL) {
        *answer = message;
        return ACCEL_OK;
    }
    if (message != NULL && message->body_case == ACCEL__IPC__MESSAGE__BODY_ERROR &&
        message->error->code != 0)
        rc = accel_fail(err, (enum accel_code)message->error->code, "%s", message->error->msg);
    else
        rc = accel_fail(err, ACCEL_E_CORRUPT, "the helper's answer is damaged");
    if (message != NULL)
        accel__ipc__message__free_unpacked(message, NULL);
    return rc;
}

int accel_helper_ask(const struct accel_helper *h, bool discover, Accel__Ipc__Message **answer,
                     struct accel_error *err)
{
    const struct accel_driver_config *config = accel_module_config_get(h->config);
    const char *text = config->get(config, "deadline");
    const double seconds = text != NULL ? strtod(text, NULL) : DEADLINE_S;
    ACCEL_CLEANUP(accel_closep) int fd = -1;
    const pid_t parent = getpid();
    int status = 0;

    int rc = accel_memfd_new("answer", 0, &fd, err);
    if (rc != ACCEL_OK)
        return rc;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    const pid_t pid = fork();
    if (pid < 0)
        return accel_fail_errno(err, errno, "start a helper process");
    if (pid == 0) {
        become_helper(h, parent);
        _exit(answer_in_child(h, discover, fd));
    }
    rc = wait_child(pid, (int64_t)(seconds * 1e3), &status, err);
    if (rc != ACCEL_OK)
        return rc;
    if (WIFSIGNALED(status))
        return accel_fail(err, ACCEL_E_CORRUPT, "the vendor's code crashed: signal %d (%s)",
                          WTERMSIG(status), strsignal(WTERMSIG(status)));
    if (WEXITSTATUS(status) != 0)
        return accel_fail(err, ACCEL_E_CORRUPT,
                          "the vendor's code ended its process with status %d",
                          WEXITSTATUS(status));
    return read_answer(fd, answer, err);
}
