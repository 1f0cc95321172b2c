/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/util.h"

#ifdef __clang__ /* libseccomp's SCMP_A0(op, value) leaves out a field on purpose */
#pragma clang diagnostic ignored "-Wmissing-field-initializers"
#endif

#ifndef ACCEL_SANITIZED
static const char *const allowed[] = {
    /* the channel, memory files and the log */
    "read",
    "write",
    "readv",
    "writev",
    "pread64",
    "pwrite64",
    "recvmsg",
    "recvfrom",
    "sendmsg",
    "close",
    "fstat",
    "newfstatat",
    "lseek",
    "ftruncate",
    "memfd_create",
    "poll",
    "ppoll",
    "eventfd2",
    "shutdown",
    /* memory; mapping code is refused below */
    "munmap",
    "mremap",
    "madvise",
    "brk",
    "membarrier",
    /* threads */
    "futex",
    "futex_waitv",
    "set_robust_list",
    "get_robust_list",
    "rseq",
    "set_tid_address",
    "sched_yield",
    "sched_getaffinity",
    "sched_setaffinity",
    "gettid",
    "getpid",
    "getcpu",
    "exit",
    "exit_group",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sigaltstack",
    "restart_syscall",
    /* time and facts about ourselves */
    "clock_gettime",
    "clock_getres",
    "clock_nanosleep",
    "nanosleep",
    "gettimeofday",
    "time",
    "getrusage",
    "getrandom",
    "sysinfo",
    "uname",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
};
/* What the C library tries in passing: to be refused, not punished. */
static const char *const refused[] = {
    "open",
    "openat",
    "openat2",
    "access",
    "faccessat",
    "faccessat2",
    "readlink",
    "readlinkat",
    "stat",
    "lstat",
    "statx",
    "ioctl",
    "getdents64",
    "dup",
    "dup2",
    "dup3",
    "pipe2",
    "sched_getparam",
    "sched_getscheduler",
    "sched_setscheduler",
    "setpriority",
    "getpriority",
    "mlock",
    "mbind",
    "set_mempolicy",
    "get_mempolicy",
    "setrlimit",
    "getppid",
    "unlink",
    "getcwd",
};

static int add_names(scmp_filter_ctx filter, uint32_t action, const char *const *names,
                     size_t count, struct accel_error *err)
{
    for (size_t i = 0; i < count; i++) {
        const int call = seccomp_syscall_resolve_name(names[i]);
        if (call == __NR_SCMP_ERROR)
            continue; /* newer than this libseccomp */
        const int rc = seccomp_rule_add(filter, action, call, 0);
        if (rc != 0)
            return accel_fail_errno(err, -rc, "seccomp rule for %s", names[i]);
    }
    return ACCEL_OK;
}

static int fill(scmp_filter_ctx filter, struct accel_error *err)
{
    const uint32_t yes = SCMP_ACT_ALLOW, no = SCMP_ACT_ERRNO(EACCES);
    int rc = add_names(filter, yes, allowed, ACCEL_COUNT(allowed), err);
    int bad = 0;

    if (rc == ACCEL_OK)
        rc = add_names(filter, no, refused, ACCEL_COUNT(refused), err);
    if (rc != ACCEL_OK)
        return rc;
    /* Memory that can be run is refused. */
    bad |=
        seccomp_rule_add(filter, yes, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    bad |= seccomp_rule_add(filter, no, SCMP_SYS(mmap), 1,
                            SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC));
    bad |= seccomp_rule_add(filter, yes, SCMP_SYS(mprotect), 1,
                            SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    bad |= seccomp_rule_add(filter, no, SCMP_SYS(mprotect), 1,
                            SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC));
    /* Threads, no processes; clone3's flags lie in memory, out of sight: the C library falls back.
     */
    bad |= seccomp_rule_add(filter, yes, SCMP_SYS(clone), 1,
                            SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    bad |= seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    /* Seals of memory files, and the flags of descriptors. */
    static const int commands[] = {F_ADD_SEALS, F_GET_SEALS, F_GETFD,
                                   F_SETFD,     F_GETFL,     F_DUPFD_CLOEXEC};
    for (size_t i = 0; i < ACCEL_COUNT(commands); i++)
        bad |= seccomp_rule_add(filter, yes, SCMP_SYS(fcntl), 1,
                                SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)commands[i]));
    /* Limits may be read. Thread names may be set. abort() may abort. */
    bad |= seccomp_rule_add(filter, yes, SCMP_SYS(prlimit64), 1, SCMP_A2(SCMP_CMP_EQ, 0));
    bad |= seccomp_rule_add(filter, no, SCMP_SYS(prlimit64), 1, SCMP_A2(SCMP_CMP_NE, 0));
    bad |= seccomp_rule_add(filter, yes, SCMP_SYS(prctl), 1, SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME));
    bad |= seccomp_rule_add(filter, yes, SCMP_SYS(prctl), 1, SCMP_A0(SCMP_CMP_EQ, PR_SET_VMA));
    bad |= seccomp_rule_add(filter, yes, SCMP_SYS(tgkill), 1,
                            SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
    return bad == 0 ? ACCEL_OK : accel_fail(err, ACCEL_E_INTERNAL, "seccomp rules");
}
#else
/* A sanitizer's runtime opens files, asks for the terminal and traces its own threads: under it
 * only what no runtime needs is closed. */
static int fill(scmp_filter_ctx filter, struct accel_error *err)
{
    static const int calls[] = {SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(connect),
                                SCMP_SYS(bind), SCMP_SYS(mount)};

    for (size_t i = 0; i < ACCEL_COUNT(calls); i++)
        if (seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, calls[i], 0) != 0)
            return accel_fail(err, ACCEL_E_INTERNAL, "seccomp rules");
    return ACCEL_OK;
}
#endif

static int set_limit(__rlimit_resource_t what, rlim_t value, const char *name,
                     struct accel_error *err)
{
    struct rlimit now;

    if (getrlimit(what, &now) != 0)
        return accel_fail_errno(err, errno, "limit of %s", name);
    value = ACCEL_MIN(value, now.rlim_max);
    const struct rlimit limit = {value, value};
    return setrlimit(what, &limit) == 0 ? ACCEL_OK
                                        : accel_fail_errno(err, errno, "limit of %s", name);
}

int accel_worker_sandbox(size_t memory_bytes, struct accel_error *err)
{
#ifndef ACCEL_SANITIZED
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
#else
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    memory_bytes = 0; /* shadow memory is terabytes of address space */
#endif
    int rc = ACCEL_OK;

    if (filter == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "seccomp: no memory");
    if (memory_bytes > 0)
        rc = set_limit(RLIMIT_AS, memory_bytes, "address space", err);
    if (rc == ACCEL_OK)
        rc = set_limit(RLIMIT_CORE, 0, "core files", err);
    /* Descriptors come in threes at most with each request under way. */
    if (rc == ACCEL_OK)
        rc = set_limit(RLIMIT_NOFILE, 1024, "open files", err);
    if (rc == ACCEL_OK)
        rc = fill(filter, err);
    if (rc == ACCEL_OK && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        rc = accel_fail_errno(err, errno, "no new privileges");
    if (rc == ACCEL_OK && (rc = seccomp_load(filter)) != 0)
        rc = accel_fail_errno(err, -rc, "load the seccomp filter");
    seccomp_release(filter);
    return rc;
}
