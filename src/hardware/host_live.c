/* SPDX-License-Identifier: Apache-2.0 */
/* The host that is the machine itself, or a recorded tree of files. */
#include "hardware/host_live.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"
#include "core/scan.h"

#define NODES_MAX  64
/* openat2() in a root gives EAGAIN when something was renamed meanwhile (openat2(2)). */
#define OPEN_TRIES 16

struct mapping {
    struct mapping *next;
    int handle;
    void *address;
    size_t size;
};

struct accel_live {
    struct accel_host_self self; /* first: accel_host.self points here */
    struct accel_host host;
    char name[64];
    int root; /* O_PATH of the root; -1: "/" itself */
    int nodes[NODES_MAX];
    struct mapping *mappings;
    struct accel_cpuid_table *cpuid;
    bool has_cpuid;
    struct accel_events *events;
    struct accel_libraries *libraries;
};

static struct accel_live *live_of(const struct accel_host *host)
{
    return host->self;
}

bool accel_live_is_machine(const struct accel_live *live)
{
    return live->root < 0;
}

static int open_in_root(int root, const char *path, int flags)
{
    const struct open_how how = {.flags = (uint64_t)flags,
                                 .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};

    for (int tries = 0;; tries++) {
        const long fd = syscall(SYS_openat2, root, path, &how, sizeof(how));
        if (fd >= 0 || errno != EAGAIN || tries >= OPEN_TRIES)
            return (int)fd;
    }
}

int accel_live_open(const struct accel_live *live, const char *path, int flags)
{
    /* openat2() refuses flags that mean nothing beside O_PATH. */
    flags |= (flags & O_PATH) != 0 ? O_CLOEXEC : O_CLOEXEC | O_NOCTTY;
    if (path[0] != '/') {
        errno = EINVAL;
        return -1;
    }
    /* The libc call on the machine itself: what stands in for /sys in a test sees it. */
    return accel_live_is_machine(live) ? open(path, flags) : open_in_root(live->root, path, flags);
}

/* One open and reads until the end: a second read of nothing is how a file in /proc, which may
 * come in pieces, says that it was all. */
static int live_read_bytes(const struct accel_host *host, const char *path, void *bytes,
                           size_t size, size_t *got, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_closep) int fd = accel_live_open(live_of(host), path, O_RDONLY);
    char one_more;
    size_t extra;

    *got = 0;
    if (fd < 0)
        return accel_fail_errno(err, errno, "open %s", path);
    int rc = accel_read_full(fd, bytes, size, got, path, err);
    if (rc == ACCEL_OK && *got == size) {
        rc = accel_read_full(fd, &one_more, 1, &extra, path, err);
        if (rc == ACCEL_OK && extra > 0)
            rc = accel_fail(err, ACCEL_E_LIMIT, "%s holds more than %zu bytes", path, size);
    }
    return rc;
}

static int live_read(const struct accel_host *host, const char *path, char *text, size_t size,
                     struct accel_error *err)
{
    size_t got;

    if (size == 0)
        return accel_fail(err, ACCEL_E_INVALID, "%s: no room to read it", path);
    const int rc = live_read_bytes(host, path, text, size - 1, &got, err);
    if (rc != ACCEL_OK) {
        text[0] = '\0';
        return rc;
    }
    if (got > 0 && text[got - 1] == '\n')
        got--;
    text[got] = '\0';
    return ACCEL_OK;
}

/* sysfs takes a value in one write, and says errno there. */
static int live_write(const struct accel_host *host, const char *path, const void *bytes,
                      size_t size, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_closep) int fd = accel_live_open(live_of(host), path, O_WRONLY);
    ssize_t n;

    if (fd < 0)
        return accel_fail_errno(err, errno, "open %s to write", path);
    while ((n = write(fd, bytes, size)) < 0 && errno == EINTR)
        ;
    if (n < 0)
        return accel_fail_errno(err, errno, "write %s", path);
    if ((size_t)n != size)
        return accel_fail(err, ACCEL_E_IO, "write %s: only %zd of %zu bytes were taken", path, n,
                          size);
    return ACCEL_OK;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int not_dots(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static int live_list(const struct accel_host *host, const char *path,
                     int (*each)(void *context, const char *name), void *context,
                     struct accel_error *err)
{
    ACCEL_CLEANUP(accel_closep)
    int fd = accel_live_open(live_of(host), path, O_RDONLY | O_DIRECTORY);
    struct dirent **entries;
    int rc = ACCEL_OK;

    if (fd < 0)
        return accel_fail_errno(err, errno, "open folder %s", path);
    const int count = scandirat(fd, ".", &entries, not_dots, by_name);
    if (count < 0)
        return accel_fail_errno(err, errno, "list %s", path);
    for (int i = 0; i < count; i++) {
        if (rc == ACCEL_OK)
            rc = each(context, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    return rc;
}

static int live_readlink(const struct accel_host *host, const char *path, char *target, size_t size,
                         struct accel_error *err)
{
    ACCEL_CLEANUP(accel_closep)
    int fd = accel_live_open(live_of(host), path, O_PATH | O_NOFOLLOW);

    if (fd < 0)
        return accel_fail_errno(err, errno, "read link %s", path);
    const ssize_t n = readlinkat(fd, "", target, size);
    /* An O_PATH descriptor of what is no link: ENOENT (readlink(2)), which would mislead. */
    if (n < 0)
        return accel_fail_errno(err, errno == ENOENT ? EINVAL : errno, "read link %s", path);
    if ((size_t)n >= size)
        return accel_fail(err, ACCEL_E_LIMIT, "link %s is longer than %zu bytes", path, size);
    target[n] = '\0';
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- device nodes */

static int node_fd(const struct accel_live *live, int handle, struct accel_error *err)
{
    if (handle < 0 || handle >= NODES_MAX || live->nodes[handle] < 0) {
        accel_fail(err, ACCEL_E_INVALID, "node handle %d is not open", handle);
        return -1;
    }
    return live->nodes[handle];
}

static int live_open_node(const struct accel_host *host, const char *path, int flags, int *handle,
                          struct accel_error *err)
{
    struct accel_live *live = live_of(host);
    int slot = 0;

    while (slot < NODES_MAX && live->nodes[slot] >= 0)
        slot++;
    if (slot == NODES_MAX)
        return accel_fail(err, ACCEL_E_LIMIT, "open %s: %d nodes are open already", path,
                          NODES_MAX);
    const int fd = accel_live_open(live, path, flags & (O_ACCMODE | O_NONBLOCK | O_SYNC));
    if (fd < 0)
        return accel_fail_errno(err, errno, "open %s", path);
    live->nodes[slot] = fd;
    *handle = slot;
    return ACCEL_OK;
}

static int live_ioctl(const struct accel_host *host, int handle, unsigned long request, void *arg,
                      size_t size, struct accel_error *err)
{
    const int fd = node_fd(live_of(host), handle, err);
    int rc;

    (void)size; /* for who tapes it */
    if (fd < 0)
        return ACCEL_E_INVALID;
    while ((rc = ioctl(fd, request, arg)) < 0 && errno == EINTR)
        ;
    return rc < 0 ? accel_fail_errno(err, errno, "ioctl 0x%lx", request) : ACCEL_OK;
}

static int live_mmap(const struct accel_host *host, int handle, uint64_t offset, size_t size,
                     int prot, void **address, struct accel_error *err)
{
    struct accel_live *live = live_of(host);
    const int fd = node_fd(live, handle, err);

    if (fd < 0)
        return ACCEL_E_INVALID;
    ACCEL_CLEANUP(accel_freep) struct mapping *mapping = accel_calloc(1, sizeof(*mapping));
    if (mapping == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to map a node");
    void *at = mmap(NULL, size, prot, MAP_SHARED, fd, (off_t)offset);
    if (at == MAP_FAILED)
        return accel_fail_errno(err, errno, "map %zu bytes of a node", size);
    *mapping =
        (struct mapping){.next = live->mappings, .handle = handle, .address = at, .size = size};
    live->mappings = accel_steal(&mapping);
    *address = at;
    return ACCEL_OK;
}

static void live_close_node(const struct accel_host *host, int handle)
{
    struct accel_live *live = live_of(host);

    if (node_fd(live, handle, NULL) < 0)
        return;
    for (struct mapping **at = &live->mappings; *at != NULL;) {
        struct mapping *mapping = *at;
        if (mapping->handle != handle) {
            at = &mapping->next;
            continue;
        }
        *at = mapping->next;
        munmap(mapping->address, mapping->size);
        accel_free(mapping);
    }
    accel_closep(&live->nodes[handle]);
}

/* ---------------------------------------------------------------- the rest */

static int live_uevents(const struct accel_host *host, const char *subsystem, int *fd,
                        struct accel_error *err)
{
    struct accel_live *live = live_of(host);

    if (!accel_live_is_machine(live))
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "a recorded tree has no kernel events");
    return accel_events_uevents(&live->events, subsystem, fd, err);
}

static int live_watch_file(const struct accel_host *host, const char *path, int *fd,
                           struct accel_error *err)
{
    struct accel_live *live = live_of(host);
    const char *slash = strrchr(path, '/');
    char folder[PATH_MAX];

    if (slash == NULL || slash[1] == '\0' || (size_t)(slash - path) >= sizeof(folder))
        return accel_fail(err, ACCEL_E_INVALID, "watch %s: not the path of a file", path);
    snprintf(folder, sizeof(folder), "%.*s", (int)ACCEL_MAX(slash - path, 1), path);
    ACCEL_CLEANUP(accel_closep) int at = accel_live_open(live, folder, O_PATH | O_DIRECTORY);
    if (at < 0)
        return accel_fail_errno(err, errno, "watch %s", path);
    return accel_events_file(&live->events, at, slash + 1, fd, err);
}

static int live_pci_config(const struct accel_host *host, const char *address, size_t offset,
                           void *bytes, size_t size, size_t *got, struct accel_error *err)
{
    char path[64];

    *got = 0;
    if (!accel_is_pci_address(address))
        return accel_fail(err, ACCEL_E_INVALID, "\"%s\" is no PCI address", address);
    snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", address);
    ACCEL_CLEANUP(accel_closep) int fd = accel_live_open(live_of(host), path, O_RDONLY);
    if (fd < 0)
        return accel_fail_errno(err, errno, "open %s", path);
    const ssize_t n = pread(fd, bytes, size, (off_t)offset);
    if (n < 0)
        return accel_fail_errno(err, errno, "read %s", path);
    *got = (size_t)n;
    return ACCEL_OK;
}

static int live_cpuid(const struct accel_host *host, uint32_t leaf, uint32_t subleaf,
                      uint32_t regs[4], struct accel_error *err)
{
    const struct accel_live *live = live_of(host);

    if (!accel_live_is_machine(live) && !live->has_cpuid)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "the tree has no file acceld/cpuid");
    return accel_cpuid_get(live->cpuid, leaf, subleaf, regs, err);
}

static int live_xgetbv(const struct accel_host *host, uint64_t *xcr0, struct accel_error *err)
{
    const struct accel_live *live = live_of(host);

    if (!accel_live_is_machine(live) && !live->has_cpuid)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "the tree has no file acceld/cpuid");
    return accel_cpuid_xcr0(live->cpuid, xcr0, err);
}

/* CPUs named by a list such as "0-15,32-47"; 0 when it is none. */
static unsigned count_list(const char *list)
{
    unsigned count = 0;

    while (*list != '\0') {
        char *end;
        const unsigned long first = strtoul(list, &end, 10);
        unsigned long last = first;
        if (end == list)
            return 0;
        if (*end == '-') {
            list = end + 1;
            last = strtoul(list, &end, 10);
            if (end == list || last < first)
                return 0;
        }
        if (last - first >= UINT_MAX - count)
            return 0;
        count += (unsigned)(last - first) + 1;
        if (*end != ',' && *end != '\0')
            return 0;
        list = *end == ',' ? end + 1 : end;
    }
    return count;
}

/* In a recorded tree affinity and cgroup are this process's, not the recorded machine's: all that
 * were online count. */
static int live_usable_cpus(const struct accel_host *host, unsigned *count, struct accel_error *err)
{
    char list[4096];

    if (accel_live_is_machine(live_of(host))) {
        *count = accel_usable_cpus();
        return ACCEL_OK;
    }
    if (live_read(host, "/sys/devices/system/cpu/online", list, sizeof(list), err) != ACCEL_OK)
        return accel_fail_in(err, "usable CPUs");
    *count = count_list(list);
    return *count > 0 ? ACCEL_OK
                      : accel_fail(err, ACCEL_E_IO, "usable CPUs: \"%.40s\" is no list", list);
}

static int64_t live_now_ns(const struct accel_host *host)
{
    (void)host;
    return accel_now_ns();
}

static int live_run_tool(const struct accel_host *host, const char *const argv[],
                         int64_t deadline_ms, char *text, size_t size, int *status,
                         struct accel_error *err)
{
    if (!accel_live_is_machine(live_of(host)))
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "a recorded tree has no tools to run");
    return accel_tool_run(argv, deadline_ms, text, size, status, err);
}

/* In a recorded tree the library comes from the tree: a real driver library would speak of this
 * machine's hardware. */
static int live_call(const struct accel_host *host, const char *library, const char *symbol,
                     const char *signature, struct accel_value *result, struct accel_value *args,
                     struct accel_error *err)
{
    struct accel_live *live = live_of(host);
    ACCEL_CLEANUP(accel_closep) int fd = -1;
    char file[64];

    if (accel_live_is_machine(live) || accel_libraries_has(live->libraries, library))
        return accel_libraries_call(&live->libraries, library, library, symbol, signature, result,
                                    args, err);
    if (library[0] != '/')
        return accel_fail(err, ACCEL_E_NOT_FOUND, "a recorded tree has no library path: %s",
                          library);
    fd = accel_live_open(live, library, O_RDONLY);
    if (fd < 0)
        return accel_fail_errno(err, errno, "library %s", library);
    snprintf(file, sizeof(file), "/proc/self/fd/%d", fd);
    return accel_libraries_call(&live->libraries, library, file, symbol, signature, result, args,
                                err);
}

static void live_log(const struct accel_host *host, int level, const char *message)
{
    const enum accel_log_level at = level <= 3   ? ACCEL_LOG_ERROR
                                    : level <= 5 ? ACCEL_LOG_WARNING
                                    : level == 6 ? ACCEL_LOG_INFO
                                                 : ACCEL_LOG_DEBUG;

    accel_log(at, "module says", "module=%s text=\"%s\"", live_of(host)->name, message);
}

/* ---------------------------------------------------------------- making and freeing */

static void live_free(struct accel_host *host)
{
    struct accel_live *live = live_of(host);

    for (int i = 0; i < NODES_MAX; i++)
        live_close_node(host, i);
    accel_events_free(live->events);
    accel_libraries_free(live->libraries);
    accel_cpuid_table_free(live->cpuid);
    accel_closep(&live->root);
    accel_free(live);
}

static int live_event_fd(const struct accel_host *host)
{
    return accel_events_fd(live_of(host)->events);
}

static void live_take_events(struct accel_host *host)
{
    accel_events_take(live_of(host)->events);
}

static bool live_drain(struct accel_host *host, int fd)
{
    return accel_events_drain(live_of(host)->events, fd);
}

static const struct accel_host_ops live_ops = {
    .free = live_free,
    .event_fd = live_event_fd,
    .take_events = live_take_events,
    .drain = live_drain,
};

static int read_recorded_cpuid(struct accel_live *live, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_freep) char *text = accel_malloc(1 << 16);

    if (text == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to read acceld/cpuid");
    const int rc = live_read(&live->host, "/acceld/cpuid", text, 1 << 16, err);
    if (rc == ACCEL_E_NOT_FOUND)
        return ACCEL_OK;
    if (rc != ACCEL_OK)
        return rc;
    live->has_cpuid = true;
    return accel_cpuid_table_parse(text, &live->cpuid, err);
}

static int open_root(struct accel_live *live, const char *sysroot, struct accel_error *err)
{
    live->root = open(sysroot, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (live->root < 0)
        return accel_fail_errno(err, errno, "sysroot %s", sysroot);
    ACCEL_CLEANUP(accel_closep) int probe = open_in_root(live->root, "/", O_PATH | O_CLOEXEC);
    if (probe < 0)
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          "sysroot %s: the kernel has no openat2() (Linux 5.6): %s", sysroot,
                          strerrordesc_np(errno));
    return ACCEL_OK;
}

int accel_host_live_new(const char *sysroot, const char *name, struct accel_host **host,
                        struct accel_error *err)
{
    struct accel_live *live = accel_calloc(1, sizeof(*live));

    if (live == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for the host object");
    live->self.ops = &live_ops;
    live->root = -1;
    for (int i = 0; i < NODES_MAX; i++)
        live->nodes[i] = -1;
    snprintf(live->name, sizeof(live->name), "%s", name);
    live->host = (struct accel_host){
        .struct_size = sizeof(live->host),
        .self = live,
        .read = live_read,
        .read_bytes = live_read_bytes,
        .write = live_write,
        .list = live_list,
        .readlink = live_readlink,
        .open_node = live_open_node,
        .ioctl = live_ioctl,
        .mmap = live_mmap,
        .close_node = live_close_node,
        .uevents = live_uevents,
        .pci_config = live_pci_config,
        .cpuid = live_cpuid,
        .xgetbv = live_xgetbv,
        .usable_cpus = live_usable_cpus,
        .now_ns = live_now_ns,
        .run_tool = live_run_tool,
        .call = live_call,
        .log = live_log,
        .watch_file = live_watch_file,
    };
    int rc = ACCEL_OK;
    if (strcmp(sysroot, "/") != 0) {
        rc = open_root(live, sysroot, err);
        if (rc == ACCEL_OK)
            rc = read_recorded_cpuid(live, err);
    }
    if (rc != ACCEL_OK) {
        live_free(&live->host);
        return rc;
    }
    *host = &live->host;
    return ACCEL_OK;
}
