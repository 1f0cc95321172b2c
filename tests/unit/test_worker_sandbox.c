/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/sandbox.h"

#include <errno.h>
#include <netinet/in.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "control/sandbox.h"
#include "tap.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif

typedef int attempt_fn(void); /* errno of what it tried, 0: it could */

static int worker_box(struct accel_error *err)
{
    return accel_worker_sandbox((size_t)1 << 30, err);
}

/* Runs fn in a process behind the sandbox: its errno, or minus the signal that ended it. */
static int behind(int (*box)(struct accel_error *err), attempt_fn *fn)
{
    const pid_t pid = fork();
    int status = 0;

    if (pid == 0) {
        struct accel_error err;
        signal(SIGSYS, SIG_DFL);
        if (box(&err) != ACCEL_OK)
            _exit(250);
        _exit(fn());
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static int try_nothing(void)
{
    return 0;
}
static int try_exec(void)
{
    char *argv[] = {(char *)"true", NULL};
    execv("/bin/true", argv);
    return errno;
}
static int try_socket(void)
{
    return socket(AF_INET, SOCK_STREAM, 0) >= 0 ? 0 : errno;
}
static int try_raw_socket(void)
{
    return socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) >= 0 ? 0 : errno;
}
static int try_netlink(void)
{
    return socket(AF_NETLINK, SOCK_RAW, 0) >= 0 ? 0 : errno;
}
static int try_open(void)
{
    return open("/etc/passwd", O_RDONLY) >= 0 ? 0 : errno;
}
static int try_fork(void)
{
    const pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return pid > 0 ? 0 : errno;
}
static int try_ptrace(void)
{
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 ? 0 : errno;
}

#ifndef SANITIZED
static int try_code(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED
               ? 0
               : errno;
}
static int try_ioctl(void)
{
    int size;
    return ioctl(STDERR_FILENO, FIONREAD, &size) == 0 ? 0 : errno;
}
static int try_kill(void)
{
    return kill(getppid(), 0) == 0 ? 0 : errno;
}
static int try_memory(void)
{
    /* RLIMIT_AS: an error, not the end. */
    void *at = accel_malloc((size_t)2 << 30);
    return at == NULL ? ENOMEM : 0;
}
#endif

static void *thread_main(void *context)
{
    char *at = accel_malloc(1 << 20);
    if (at != NULL)
        memset(at, 1, 1 << 20);
    accel_free(at);
    *(bool *)context = at != NULL;
    return NULL;
}

/* What a run needs: threads, memory, memory files and their seals, a channel. */
static int try_a_runs_needs(void)
{
    struct accel_error err;
    pthread_t threads[4];
    bool done[4] = {false};
    int file;

    for (int i = 0; i < 4; i++)
        if (pthread_create(&threads[i], NULL, thread_main, &done[i]) != 0)
            return 1;
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    if (!done[0] || !done[3])
        return 2;
    if (accel_memfd_of("t", "abc", 3, &file, &err) != ACCEL_OK || !accel_memfd_is_sealed(file))
        return 3;
    void *at = mmap(NULL, 3, PROT_READ, MAP_SHARED, file, 0);
    if (at == MAP_FAILED || memcmp(at, "abc", 3) != 0)
        return 4;
    close(file);
    return 0;
}

static int try_a_servers_needs(void)
{
    const int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    const int tcp = socket(AF_INET, SOCK_STREAM, 0);
    const int file = open("/etc/passwd", O_RDONLY);
    pthread_t thread;
    bool done = false;

    if (listener < 0 || tcp < 0 || file < 0)
        return 1;
    if (pthread_create(&thread, NULL, thread_main, &done) != 0)
        return 2;
    pthread_join(thread, NULL);
    return done ? 0 : 3;
}

int main(void)
{
    ok(behind(worker_box, try_nothing) == 0, "the worker's sandbox closes");
    ok(behind(worker_box, try_a_runs_needs) == 0,
       "behind it threads, memory, memory files and seals work");
    ok(behind(worker_box, try_exec) == -SIGSYS, "running a program ends a worker");
#ifndef SANITIZED
    ok(behind(worker_box, try_socket) == -SIGSYS, "making a socket ends it");
    ok(behind(worker_box, try_kill) == -SIGSYS, "sending a signal ends it");
    ok(behind(worker_box, try_ptrace) == -SIGSYS, "tracing ends it");
    ok(behind(worker_box, try_open) == EACCES, "it can open no file");
    ok(behind(worker_box, try_ioctl) == EACCES, "it has no ioctl");
    ok(behind(worker_box, try_code) == EACCES, "it can map no code");
    const int forked = behind(worker_box, try_fork);
    ok(forked == -SIGSYS || forked == EPERM, "it can start no process");
    ok(behind(worker_box, try_memory) == ENOMEM, "more memory than its limit is refused");
#else
    (void)try_socket;
    (void)try_open;
    (void)try_fork;
    (void)try_ptrace;
#endif
    ok(behind(accel_control_sandbox, try_a_servers_needs) == 0,
       "behind control's sandbox sockets, files and threads work");
    ok(behind(accel_control_sandbox, try_exec) == -SIGSYS, "running a program ends control");
    ok(behind(accel_control_sandbox, try_raw_socket) == EPERM, "control has no raw socket");
    ok(behind(accel_control_sandbox, try_netlink) == EPERM, "and no netlink");
#ifndef SANITIZED
    ok(behind(accel_control_sandbox, try_ptrace) == -SIGSYS, "tracing ends control");
#endif
    ok(behind(accel_control_sandbox, try_fork) == EPERM, "control can start no process");
    return tap_done();
}
