/* SPDX-License-Identifier: Apache-2.0 */
/* How many CPUs this process may use: affinity and cgroup. */
#include "base/pool.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/mem.h"

static unsigned affinity_cpus(void)
{
    /* The kernel refuses (EINVAL) a set smaller than its own. */
    for (int cpus = 1024; cpus <= 1 << 20; cpus *= 2) {
        const size_t size = CPU_ALLOC_SIZE(cpus);
        ACCEL_CLEANUP(accel_freep) cpu_set_t *set = accel_calloc(1, size);

        if (set == NULL)
            return 1;
        if (sched_getaffinity(0, size, set) == 0)
            return (unsigned)ACCEL_MAX(CPU_COUNT_S(size, set), 1);
        if (errno != EINVAL)
            return 1;
    }
    return 1;
}

static bool read_small(const char *path, char *text, size_t size)
{
    ACCEL_CLEANUP(accel_freep) char *all = NULL;

    if (accel_read_file(path, size - 1, &all, NULL, NULL) != ACCEL_OK)
        return false;
    snprintf(text, size, "%s", all);
    return true;
}

/* ceil(quota / period) CPUs, or UINT_MAX when there is no limit. */
static unsigned quota_cpus(long long quota, long long period)
{
    if (quota <= 0 || period <= 0 || quota / period >= UINT_MAX)
        return UINT_MAX;
    return (unsigned)((quota + period - 1) / period);
}

static unsigned group_cpus_v2(const char *folder)
{
    char path[PATH_MAX], text[128];
    long long quota, period;

    if ((size_t)snprintf(path, sizeof(path), "%s/cpu.max", folder) >= sizeof(path) ||
        !read_small(path, text, sizeof(text)))
        return UINT_MAX;
    /* "max 100000" is no limit: then nothing is scanned. */
    if (sscanf(text, "%lld %lld", &quota, &period) != 2)
        return UINT_MAX;
    return quota_cpus(quota, period);
}

static unsigned group_cpus_v1(const char *folder)
{
    char path[PATH_MAX], quota[64], period[64];

    if ((size_t)snprintf(path, sizeof(path), "%s/cpu.cfs_quota_us", folder) >= sizeof(path) ||
        !read_small(path, quota, sizeof(quota)))
        return UINT_MAX;
    if ((size_t)snprintf(path, sizeof(path), "%s/cpu.cfs_period_us", folder) >= sizeof(path) ||
        !read_small(path, period, sizeof(period)))
        return UINT_MAX;
    return quota_cpus(strtoll(quota, NULL, 10), strtoll(period, NULL, 10)); /* -1: no limit */
}

/* The tightest limit from `group` ("/system.slice/acceld.service") up to the mount's top: each
 * level's quota holds for all below it. */
static unsigned hierarchy_cpus(const char *mount, const char *group,
                               unsigned (*limit_of)(const char *folder))
{
    char folder[PATH_MAX];
    unsigned least = UINT_MAX;
    const size_t top = strlen(mount);

    if ((size_t)snprintf(folder, sizeof(folder), "%s%s", mount, group) >= sizeof(folder))
        return UINT_MAX;
    for (;;) {
        const unsigned here = limit_of(folder);
        char *slash;

        least = ACCEL_MIN(least, here);
        slash = strrchr(folder, '/');
        if (slash == NULL || (size_t)(slash - folder) < top)
            return least;
        *slash = '\0';
    }
}

/* True when the comma-separated list names the cpu controller. */
static bool lists_cpu(const char *controllers)
{
    for (const char *at = controllers;; at++) {
        const size_t length = strcspn(at, ",");

        if (length == 3 && memcmp(at, "cpu", 3) == 0)
            return true;
        at += length;
        if (*at == '\0')
            return false;
    }
}

unsigned accel_cgroup_cpus(const char *root)
{
    ACCEL_CLEANUP(accel_freep) char *groups = NULL;
    char path[PATH_MAX], *line, *rest;
    unsigned least = UINT_MAX;

    if ((size_t)snprintf(path, sizeof(path), "%s/proc/self/cgroup", root) >= sizeof(path) ||
        accel_read_file(path, 1 << 20, &groups, NULL, NULL) != ACCEL_OK)
        return UINT_MAX;
    /* proc(5): hierarchy-ID:controller-list:cgroup-path; version 2 is "0::/path". */
    for (line = strtok_r(groups, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        char *controllers = strchr(line, ':');
        char *group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
        unsigned here = UINT_MAX;

        if (group == NULL)
            continue;
        *controllers++ = '\0';
        *group++ = '\0';
        if (*controllers == '\0') {
            snprintf(path, sizeof(path), "%s/sys/fs/cgroup", root);
            here = hierarchy_cpus(path, group, group_cpus_v2);
        } else if (lists_cpu(controllers)) {
            snprintf(path, sizeof(path), "%s/sys/fs/cgroup/%s", root, controllers);
            here = hierarchy_cpus(path, group, group_cpus_v1);
        }
        least = ACCEL_MIN(least, here);
    }
    return least;
}

unsigned accel_usable_cpus(void)
{
    /* The quota is read once: a sandboxed process can open no file later, and asks often. */
    static _Atomic unsigned quota;
    unsigned cpus = quota;

    if (cpus == 0)
        quota = cpus = accel_cgroup_cpus("");
    return ACCEL_MAX(ACCEL_MIN(affinity_cpus(), cpus), 1u);
}
