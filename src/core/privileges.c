/* SPDX-License-Identifier: Apache-2.0 */
#include "core/privileges.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int accel_identity_find(const char *user, struct accel_identity *identity, struct accel_error *err)
{
    struct passwd entry, *found = NULL;
    char buffer[8192];

    const int rc = getpwnam_r(user, &entry, buffer, sizeof(buffer), &found);
    if (found == NULL && rc != 0 && rc != ENOENT)
        return accel_fail_errno(err, rc, "look up user %s", user);
    if (found == NULL)
        return accel_fail(
            err, ACCEL_E_NOT_FOUND,
            "there is no user %s: create it with \"useradd --system %s\", or run with "
            "node.user: nobody",
            user, user);
    if (entry.pw_uid == 0)
        return accel_fail(err, ACCEL_E_INVALID,
                          "node.user: %s is root: name an ordinary user, such as nobody", user);
    *identity = (struct accel_identity){
        .uid = entry.pw_uid, .gid = entry.pw_gid, .groups_count = ACCEL_GROUPS_MAX};
    if (getgrouplist(user, entry.pw_gid, identity->groups, &identity->groups_count) < 0)
        return accel_fail(err, ACCEL_E_INVALID, "user %s is in more than %d groups", user,
                          ACCEL_GROUPS_MAX);
    return ACCEL_OK;
}

/* By number: the list grows with the kernel, EINVAL says where it ends. */
static void drop_bounding_set(void)
{
    for (unsigned long capability = 0; capability < 64; capability++)
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0)
            break;
}

static bool has_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};

    if (syscall(SYS_capget, &header, data) != 0)
        return true;
    for (int i = 0; i < 2; i++)
        if (data[i].effective != 0 || data[i].permitted != 0)
            return true;
    return false;
}

int accel_identity_become(const struct accel_identity *identity, struct accel_error *err)
{
    uid_t uid[3];
    gid_t gid[3];

    drop_bounding_set();
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (setgroups((size_t)identity->groups_count, identity->groups) != 0)
        return accel_fail_errno(err, errno, "set groups");
    if (setresgid(identity->gid, identity->gid, identity->gid) != 0)
        return accel_fail_errno(err, errno, "become group %d", (int)identity->gid);
    if (setresuid(identity->uid, identity->uid, identity->uid) != 0)
        return accel_fail_errno(err, errno, "become user %d", (int)identity->uid);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return accel_fail_errno(err, errno, "set no-new-privileges");
    if (getresuid(&uid[0], &uid[1], &uid[2]) != 0 || getresgid(&gid[0], &gid[1], &gid[2]) != 0)
        return accel_fail_errno(err, errno, "ask who we are");
    for (int i = 0; i < 3; i++)
        if (uid[i] != identity->uid || gid[i] != identity->gid)
            return accel_fail(err, ACCEL_E_DENIED, "still user %d, group %d", (int)uid[i],
                              (int)gid[i]);
    if (setresuid(0, 0, 0) == 0 || has_capabilities())
        return accel_fail(err, ACCEL_E_DENIED, "privileges came back");
    accel_forget_home();
    return ACCEL_OK;
}

void accel_forget_home(void)
{
    static const char *const names[] = {
        "HOME", "USER", "LOGNAME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"};

    for (size_t i = 0; i < ACCEL_COUNT(names); i++)
        unsetenv(names[i]);
}

bool accel_die_with_parent(pid_t parent)
{
    return prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 && getppid() == parent;
}
