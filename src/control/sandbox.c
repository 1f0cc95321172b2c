/* SPDX-License-Identifier: Apache-2.0 */
#include "control/sandbox.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/util.h"

#ifdef __clang__ /* libseccomp's SCMP_A0(op, value) leaves out a field on purpose */
#pragma clang diagnostic ignored "-Wmissing-field-initializers"
#endif

/* Nothing of ours or of our libraries makes these: whoever does has taken the process over. */
static const char *const deadly[] = {
    "execve",
    "execveat",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "mount",
    "umount2",
    "pivot_root",
    "chroot",
    "setns",
    "unshare",
    "init_module",
    "finit_module",
    "delete_module",
    "kexec_load",
    "kexec_file_load",
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "keyctl",
    "add_key",
    "request_key",
    "open_by_handle_at",
    "name_to_handle_at",
    "swapon",
    "swapoff",
    "reboot",
    "iopl",
    "ioperm",
    "acct",
    "quotactl",
    "settimeofday",
    "clock_settime",
    "adjtimex",
    "clock_adjtime",
    "personality",
    "move_mount",
    "fsopen",
    "fsmount",
    "fsconfig",
    "open_tree",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
};

/* May be met in a library's ordinary life: refused, not punished. */
static const char *const refused[] = {
    "setuid",      "setgid",        "setreuid", "setregid", "setresuid",      "setresgid",
    "setgroups",   "setfsuid",      "setfsgid", "capset",   "mknod",          "mknodat",
    "sethostname", "setdomainname", "syslog",   "vhangup",  "lookup_dcookie",
};

static int add(scmp_filter_ctx filter, uint32_t action, const char *name, struct accel_error *err)
{
    const int call = seccomp_syscall_resolve_name(name);

#ifdef ACCEL_SANITIZED
    /* The leak checker stops the process's threads by ptrace; personality is read at start. */
    if (strcmp(name, "ptrace") == 0 || strcmp(name, "personality") == 0)
        return ACCEL_OK;
#endif
    if (call == __NR_SCMP_ERROR)
        return ACCEL_OK; /* this libseccomp does not know it */
    const int rc = seccomp_rule_add(filter, action, call, 0);
    return rc == 0 ? ACCEL_OK : accel_fail_errno(err, -rc, "seccomp rule for %s", name);
}

static int fill(scmp_filter_ctx filter, struct accel_error *err)
{
    const uint32_t no = SCMP_ACT_ERRNO(EPERM);
    int rc = ACCEL_OK;

    for (size_t i = 0; rc == ACCEL_OK && i < ACCEL_COUNT(deadly); i++)
        rc = add(filter, SCMP_ACT_KILL_PROCESS, deadly[i], err);
    for (size_t i = 0; rc == ACCEL_OK && i < ACCEL_COUNT(refused); i++)
        rc = add(filter, no, refused[i], err);
    if (rc != ACCEL_OK)
        return rc;
    /* Sockets: unix and the internet's, streams and datagrams; no raw, packet or netlink ones. */
    if (seccomp_rule_add(filter, no, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_GT, AF_INET6)) != 0 ||
        seccomp_rule_add(filter, no, SCMP_SYS(socket), 2, SCMP_A0(SCMP_CMP_NE, AF_UNIX),
                         SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, SOCK_RAW)) != 0 ||
        /* Threads only: a new process would be outside the supervisor's sight. */
        seccomp_rule_add(filter, no, SCMP_SYS(clone), 1,
                         SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0)) != 0 ||
        seccomp_rule_add(filter, no, SCMP_SYS(fork), 0) != 0 ||
        seccomp_rule_add(filter, no, SCMP_SYS(vfork), 0) != 0 ||
        /* Its flags lie in memory, out of a filter's sight: the C library falls back to clone. */
        seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) != 0)
        return accel_fail(err, ACCEL_E_INTERNAL, "seccomp rules");
    return ACCEL_OK;
}

int accel_control_sandbox(struct accel_error *err)
{
    const struct rlimit none = {0, 0};
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

    if (filter == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "seccomp: no memory");
    int rc = fill(filter, err);
    if (rc == ACCEL_OK && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        rc = accel_fail_errno(err, errno, "no new privileges");
    if (rc == ACCEL_OK && (rc = seccomp_load(filter)) != 0)
        rc = accel_fail_errno(err, -rc, "load the seccomp filter");
    seccomp_release(filter);
    setrlimit(RLIMIT_CORE, &none);
    return rc;
}
