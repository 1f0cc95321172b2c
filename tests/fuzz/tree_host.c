/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/tree_host.h"

#include <limits.h>
#include <stdio.h>

#include "base/fd.h"
#include "core/ipc.h"
#include "core/scan.h"
#include "hardware/build.h"
#include "hardware/host_live.h"
#include "hardware/module.h"

#include "fuzz/fuzz.h"

#define FILES_MAX 400
#define LINKS_MAX 12

struct tree_file {
    char *path; /* without the slash in front */
    size_t length;
    char *content;
    size_t size;
    bool link;
};

struct tree_host {
    struct accel_host host;
    struct accel_cpuid_table *cpuid;
    size_t count;
    struct tree_file files[FILES_MAX];
    char *text;
};

/* In place: \n, \xNN. Returns the length. */
static size_t unescape(char *text)
{
    char *to = text;

    for (const char *from = text; *from != '\0'; from++) {
        char hex[3] = "";

        if (from[0] == '\\' && from[1] == 'n') {
            *to++ = '\n';
            from++;
        } else if (from[0] == '\\' && from[1] == 'x' && from[2] != '\0' && from[3] != '\0') {
            memcpy(hex, from + 2, 2);
            *to++ = (char)strtol(hex, NULL, 16);
            from += 3;
        } else {
            *to++ = *from;
        }
    }
    *to = '\0';
    return (size_t)(to - text);
}

/* "/a/./b/../c" as "a/c", in place. */
static void normalise(char *path)
{
    char copy[PATH_MAX], *save = NULL;
    size_t length = 0;

    snprintf(copy, sizeof(copy), "%s", path);
    path[0] = '\0';
    for (char *part = strtok_r(copy, "/", &save); part != NULL; part = strtok_r(NULL, "/", &save)) {
        if (strcmp(part, ".") == 0)
            continue;
        if (strcmp(part, "..") == 0) {
            while (length > 0 && path[--length] != '/')
                ;
            path[length] = '\0';
            continue;
        }
        length += (size_t)sprintf(path + length, "%s%s", length > 0 ? "/" : "", part);
    }
}

/* The file or link at a path whose folders may be links; `last`: follow the last one too. */
static const struct tree_file *find(const struct tree_host *tree, const char *path, bool last,
                                    char resolved[PATH_MAX])
{
    char next[PATH_MAX];

    snprintf(resolved, PATH_MAX, "%s", path);
    normalise(resolved);
    for (int links = 0; links <= LINKS_MAX; links++) {
        const struct tree_file *through = NULL;
        const size_t whole = strlen(resolved);
        size_t length = 0;

        for (size_t i = 0; i < tree->count && through == NULL; i++) {
            const struct tree_file *f = &tree->files[i];

            length = f->length;
            if (length > whole || (resolved[length] != '\0' && resolved[length] != '/') ||
                memcmp(f->path, resolved, length) != 0)
                continue;
            if (resolved[length] == '\0' && !(f->link && last))
                return f;
            if (f->link)
                through = f;
        }
        if (through == NULL)
            return NULL;
        const char *slash = strrchr(through->path, '/');
        const int folder =
            through->content[0] == '/' || slash == NULL ? 0 : (int)(slash - through->path);
        if (snprintf(next, sizeof(next), "%.*s/%s%s", folder, through->path, through->content,
                     resolved + length) >= (int)sizeof(next))
            return NULL;
        memcpy(resolved, next, sizeof(next));
        normalise(resolved);
    }
    return NULL;
}

static int tree_read_bytes(const struct accel_host *host, const char *path, void *bytes,
                           size_t size, size_t *got, struct accel_error *err)
{
    char resolved[PATH_MAX];
    const struct tree_file *f = find(host->self, path, true, resolved);

    if (f == NULL)
        return accel_fail(err, ACCEL_E_NOT_FOUND, "%s: not there", path);
    if (f->size > size)
        return accel_fail(err, ACCEL_E_LIMIT, "%s: does not fit", path);
    memcpy(bytes, f->content, f->size);
    *got = f->size;
    return ACCEL_OK;
}

static int tree_read(const struct accel_host *host, const char *path, char *text, size_t size,
                     struct accel_error *err)
{
    size_t got;
    const int rc = tree_read_bytes(host, path, text, size - 1, &got, err);

    if (rc != ACCEL_OK)
        return rc;
    if (got > 0 && text[got - 1] == '\n')
        got--;
    text[got] = '\0';
    return ACCEL_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int tree_list(const struct accel_host *host, const char *path,
                     int (*each)(void *context, const char *name), void *context,
                     struct accel_error *err)
{
    const struct tree_host *tree = host->self;
    char folder[PATH_MAX], *names[FILES_MAX];
    size_t count = 0, length;
    int rc = ACCEL_OK;

    (void)find(tree, path, true, folder);
    length = strlen(folder);
    for (size_t i = 0; i < tree->count; i++) {
        const char *name = tree->files[i].path;

        if (tree->files[i].length < length || (length > 0 && name[length] != '/') ||
            memcmp(name, folder, length) != 0)
            continue;
        name += length > 0 ? length + 1 : 0;
        if (*name != '\0')
            names[count++] = strndup(name, strcspn(name, "/"));
    }
    if (count == 0)
        return accel_fail(err, ACCEL_E_NOT_FOUND, "%s: not there", path);
    qsort(names, count, sizeof(*names), by_name);
    for (size_t i = 0; i < count; i++)
        if (rc == ACCEL_OK && (i == 0 || strcmp(names[i - 1], names[i]) != 0))
            rc = each(context, names[i]);
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    return rc;
}

static int tree_readlink(const struct accel_host *host, const char *path, char *target, size_t size,
                         struct accel_error *err)
{
    char resolved[PATH_MAX];
    const struct tree_file *f = find(host->self, path, false, resolved);

    if (f == NULL || !f->link)
        return accel_fail(err, ACCEL_E_NOT_FOUND, "%s: no link", path);
    if (f->size >= size)
        return accel_fail(err, ACCEL_E_LIMIT, "%s: does not fit", path);
    memcpy(target, f->content, f->size + 1);
    return ACCEL_OK;
}

static int tree_pci_config(const struct accel_host *host, const char *address, size_t offset,
                           void *bytes, size_t size, size_t *got, struct accel_error *err)
{
    char path[PATH_MAX], resolved[PATH_MAX];

    snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", address);
    const struct tree_file *f = find(host->self, path, true, resolved);
    if (f == NULL)
        return accel_fail(err, ACCEL_E_NOT_FOUND, "%s: not there", path);
    *got = offset >= f->size ? 0 : ACCEL_MIN(size, f->size - offset);
    if (*got > 0)
        memcpy(bytes, f->content + offset, *got);
    return ACCEL_OK;
}

static int tree_uevents(const struct accel_host *host, const char *subsystem, int *fd,
                        struct accel_error *err)
{
    (void)host;
    (void)fd;
    return accel_fail(err, ACCEL_E_UNSUPPORTED, "no uevents of %s here",
                      subsystem != NULL ? subsystem : "all");
}

static int tree_cpuid(const struct accel_host *host, uint32_t leaf, uint32_t subleaf,
                      uint32_t regs[4], struct accel_error *err)
{
    const struct tree_host *tree = host->self;

    if (tree->cpuid == NULL)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "no CPUID here");
    return accel_cpuid_get(tree->cpuid, leaf, subleaf, regs, err);
}

static int tree_xgetbv(const struct accel_host *host, uint64_t *xcr0, struct accel_error *err)
{
    const struct tree_host *tree = host->self;

    if (tree->cpuid == NULL)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "no CPUID here");
    return accel_cpuid_xcr0(tree->cpuid, xcr0, err);
}

static int tree_usable_cpus(const struct accel_host *host, unsigned *count, struct accel_error *err)
{
    (void)host;
    (void)err;
    *count = 3;
    return ACCEL_OK;
}

static int64_t tree_now_ns(const struct accel_host *host)
{
    (void)host;
    return 1000000000;
}

static void tree_log(const struct accel_host *host, int level, const char *message)
{
    (void)host;
    (void)level;
    (void)strlen(message);
}

struct tree_host *tree_host_new(const uint8_t *data, size_t size)
{
    struct tree_host *tree = accel_calloc(1, sizeof(*tree));
    char *rest, *line, resolved[PATH_MAX];

    FUZZ_MUST(tree != NULL);
    tree->text = rest = fuzz_text(data, size);
    while ((line = strsep(&rest, "\n")) != NULL && tree->count < FILES_MAX) {
        struct tree_file *f = &tree->files[tree->count];
        char *arrow = strstr(line, "->"), *equals = strchr(line, '=');

        if (line[0] == '#' || (arrow == NULL && equals == NULL))
            continue;
        f->link = arrow != NULL && (equals == NULL || arrow < equals);
        f->path = line;
        f->content = f->link ? arrow + 2 : equals + 1;
        *(f->link ? arrow : equals) = '\0';
        if (strlen(f->path) >= PATH_MAX || f->path[0] == '\0' || f->path[0] == '/')
            continue;
        f->length = strlen(f->path);
        f->size = f->link ? strlen(f->content) : unescape(f->content);
        tree->count++;
    }
    const struct tree_file *cpuid = find(tree, "acceld/cpuid", true, resolved);
    if (cpuid != NULL)
        (void)accel_cpuid_table_parse(cpuid->content, &tree->cpuid, NULL);
    tree->host = (struct accel_host){
        .struct_size = sizeof(tree->host),
        .self = tree,
        .read = tree_read,
        .read_bytes = tree_read_bytes,
        .list = tree_list,
        .readlink = tree_readlink,
        .uevents = tree_uevents,
        .pci_config = tree_pci_config,
        .cpuid = tree_cpuid,
        .xgetbv = tree_xgetbv,
        .usable_cpus = tree_usable_cpus,
        .now_ns = tree_now_ns,
        .log = tree_log,
    };
    return tree;
}

const struct accel_host *tree_host_get(const struct tree_host *tree)
{
    return &tree->host;
}

void tree_host_free(struct tree_host *tree)
{
    if (tree != NULL) {
        accel_cpuid_table_free(tree->cpuid);
        accel_free(tree->text);
        accel_free(tree);
    }
}

/* ---------------------------------------------------------------- driving a module */

static int take_reading(struct accel_readings *out, const struct accel_reading *reading,
                        struct accel_error *err)
{
    (void)err;
    *(size_t *)out->self += strlen(reading->identity) + strlen(reading->name);
    return ACCEL_OK;
}

/* Control reads the list as it came through the packet; what the builder let through must not be
 * refused as a whole. */
static void hand_on(const Accel__Ipc__DeviceList *list)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    Accel__Ipc__Message message = ACCEL__IPC__MESSAGE__INIT;
    Accel__Ipc__Discovery discovery = ACCEL__IPC__DISCOVERY__INIT;
    struct accel_ipc_packet packet;
    struct accel_scan scan;
    struct accel_error err;
    int fds[2];

    message.body_case = ACCEL__IPC__MESSAGE__BODY_DISCOVERY;
    message.discovery = &discovery;
    discovery.inlined = true;
    discovery.list = (Accel__Ipc__DeviceList *)(uintptr_t)list;
    FUZZ_MUST(accel_ipc_pair(fds, &err) == ACCEL_OK);
    if (accel_ipc_send(fds[1], &message, NULL, 0, &err) == ACCEL_OK) {
        FUZZ_MUST(accel_ipc_receive(fds[0], &packet, &err) == ACCEL_OK);
        FUZZ_MUST(accel_scan_decode(&packet, "fuzz", 1, &mem, &scan, &err) == ACCEL_OK);
        accel_ipc_packet_free(&packet);
    }
    accel_closep(&fds[0]);
    accel_closep(&fds[1]);
}

void tree_host_drive(const struct accel_driver *driver, const uint8_t *data, size_t size)
{
    struct tree_host *tree = tree_host_new(data, size);
    struct accel_module_config *config = NULL;
    const Accel__Ipc__DeviceList *list;
    struct accel_error err;
    void *self = NULL;
    size_t seen = 0;
    struct accel_readings readings = {
        .struct_size = sizeof(readings), .self = &seen, .add = take_reading};
    struct accel_watch watch = {.struct_size = sizeof(watch), .fd = -1};

    FUZZ_MUST(accel_module_config_new(driver, NULL, "node", &config, &err) == ACCEL_OK);
    if (driver->open(&tree->host, accel_module_config_get(config), &self, &err) == ACCEL_OK) {
        for (int i = 0; i < 2; i++) {
            struct accel_build *build = NULL;

            FUZZ_MUST(accel_build_new(driver->name, "node", &build, &err) == ACCEL_OK);
            (void)driver->discover(self, accel_build_builder(build), &err);
            if (accel_build_list(build, &list, &err) == ACCEL_OK)
                hand_on(list);
            accel_build_free(build);
        }
        if (driver->read != NULL) {
            (void)driver->read(self, &readings, &err);
            (void)driver->read(self, &readings, &err);
        }
        if (driver->watch != NULL)
            (void)driver->watch(self, &watch, &err);
        driver->close(self);
    }
    accel_module_config_free(config);
    tree_host_free(tree);
}
