/* SPDX-License-Identifier: Apache-2.0 */
/* A host that writes down, as JSON lines, what another host answers. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "hardware/host.h"
#include "hardware/tape.h"

struct record {
    struct accel_host_self self; /* first: accel_host.self points here */
    struct accel_host host;
    struct accel_host *inner;
    FILE *tape;
    char path[256];
    bool failed;                   /* the tape is not complete, said once */
    char *nodes[ACCEL_TAPE_NODES]; /* paths of the open ones, by handle */
};

static struct record *record_of(const struct accel_host *host)
{
    return host->self;
}

/* Takes both references. A tape that lacks an answer would later tell a lie: it is marked. */
static void put(struct record *r, const char *op, json_t *args, int code,
                const struct accel_error *err, json_t *results)
{
    json_t *line = json_pack("{s:s, s:o, s:i}", "op", op, "args", args, "code", code);

    if (code != ACCEL_OK && err != NULL)
        json_object_set_new(line, "msg", accel_tape_text(err->msg));
    if (results != NULL)
        json_object_update(line, results);
    json_decref(results);
    if (!r->failed && (line == NULL || json_dumpf(line, r->tape, JSON_COMPACT) != 0 ||
                       fputc('\n', r->tape) == EOF)) {
        r->failed = true;
        accel_log_error("tape is not complete", "path=%s operation=%s", r->path, op);
    }
    json_decref(line);
}

/* The inner host writes its error where the tape can see it, even if the module does not ask. */
#define WITH_ERROR(err)       \
    struct accel_error local; \
    err = err != NULL ? err : &local

static int record_read(const struct accel_host *host, const char *path, char *text, size_t size,
                       struct accel_error *err)
{
    struct record *r = record_of(host);
    WITH_ERROR(err);
    const int rc = r->inner->read(r->inner, path, text, size, err);

    put(r, "read", json_pack("{s:s}", "path", path), rc, err,
        rc == ACCEL_OK ? json_pack("{s:o}", "text", accel_tape_text(text)) : NULL);
    return rc;
}

static int record_read_bytes(const struct accel_host *host, const char *path, void *bytes,
                             size_t size, size_t *got, struct accel_error *err)
{
    struct record *r = record_of(host);
    WITH_ERROR(err);
    const int rc = r->inner->read_bytes(r->inner, path, bytes, size, got, err);

    put(r, "read_bytes", json_pack("{s:s}", "path", path), rc, err,
        rc == ACCEL_OK ? json_pack("{s:o}", "bytes", accel_tape_hex(bytes, *got)) : NULL);
    return rc;
}

static int record_write(const struct accel_host *host, const char *path, const void *bytes,
                        size_t size, struct accel_error *err)
{
    struct record *r = record_of(host);
    WITH_ERROR(err);
    const int rc = r->inner->write(r->inner, path, bytes, size, err);

    put(r, "write", json_pack("{s:s, s:o}", "path", path, "bytes", accel_tape_hex(bytes, size)), rc,
        err, NULL);
    return rc;
}

static int add_name(void *context, const char *name)
{
    return json_array_append_new(context, accel_tape_text(name)) == 0 ? ACCEL_OK : ACCEL_E_NOMEM;
}

static int record_list(const struct accel_host *host, const char *path,
                       int (*each)(void *context, const char *name), void *context,
                       struct accel_error *err)
{
    struct record *r = record_of(host);
    json_t *names = json_array(), *name;
    char text[ACCEL_TAPE_NAME];
    size_t i;
    WITH_ERROR(err);
    int rc = names == NULL ? accel_fail(err, ACCEL_E_NOMEM, "no memory to list %s", path)
                           : r->inner->list(r->inner, path, add_name, names, err);

    put(r, "list", json_pack("{s:s}", "path", path), rc, err,
        rc == ACCEL_OK ? json_pack("{s:O}", "names", names) : NULL);
    /* All of it is taped before the first name is handed on: what `each` asks comes after it. */
    json_array_foreach(names, i, name) {
        if (rc == ACCEL_OK && accel_tape_to_text(name, text, sizeof(text)))
            rc = each(context, text);
    }
    json_decref(names);
    return rc;
}

static int record_readlink(const struct accel_host *host, const char *path, char *target,
                           size_t size, struct accel_error *err)
{
    struct record *r = record_of(host);
    WITH_ERROR(err);
    const int rc = r->inner->readlink(r->inner, path, target, size, err);

    put(r, "readlink", json_pack("{s:s}", "path", path), rc, err,
        rc == ACCEL_OK ? json_pack("{s:o}", "target", accel_tape_text(target)) : NULL);
    return rc;
}

static int record_open_node(const struct accel_host *host, const char *path, int flags, int *handle,
                            struct accel_error *err)
{
    struct record *r = record_of(host);
    WITH_ERROR(err);
    const int rc = r->inner->open_node(r->inner, path, flags, handle, err);

    if (rc == ACCEL_OK && *handle >= 0 && *handle < ACCEL_TAPE_NODES) {
        accel_free(r->nodes[*handle]);
        r->nodes[*handle] = accel_strdup(path);
    }
    put(r, "open_node", json_pack("{s:s}", "path", path), rc, err,
        rc == ACCEL_OK ? json_pack("{s:i}", "handle", *handle) : NULL);
    return rc;
}

static const char *node_path(const struct record *r, int handle)
{
    return handle >= 0 && handle < ACCEL_TAPE_NODES && r->nodes[handle] != NULL ? r->nodes[handle]
                                                                                : "";
}

static int record_ioctl(const struct accel_host *host, int handle, unsigned long request, void *arg,
                        size_t size, struct accel_error *err)
{
    struct record *r = record_of(host);
    WITH_ERROR(err);
    const int rc = r->inner->ioctl(r->inner, handle, request, arg, size, err);

    put(r, "ioctl",
        json_pack("{s:s, s:I, s:I}", "path", node_path(r, handle), "request", (json_int_t)request,
                  "size", (json_int_t)size),
        rc, err, rc == ACCEL_OK ? json_pack("{s:o}", "bytes", accel_tape_hex(arg, size)) : NULL);
    return rc;
}

static int record_mmap(const struct accel_host *host, int handle, uint64_t offset, size_t size,
                       int prot, void **address, struct accel_error *err)
{
    struct record *r = record_of(host);
    WITH_ERROR(err);
    const int rc = r->inner->mmap(r->inner, handle, offset, size, prot, address, err);

    if (rc == ACCEL_OK && !r->failed) {
        accel_log_warning("a mapping cannot be taped: the replay will refuse it", "node=%s",
                          node_path(r, handle));
    }
    put(r, "mmap",
        json_pack("{s:s, s:I, s:I}", "path", node_path(r, handle), "offset", (json_int_t)offset,
                  "size", (json_int_t)size),
        rc, err, NULL);
    return rc;
}

static void record_close_node(const struct accel_host *host, int handle)
{
    struct record *r = record_of(host);

    r->inner->close_node(r->inner, handle);
}

static int record_uevents(const struct accel_host *host, const char *subsystem, int *fd,
                          struct accel_error *err)
{
    struct record *r = record_of(host);
    WITH_ERROR(err);
    const int rc = r->inner->uevents(r->inner, subsystem, fd, err);

    put(r, "uevents", json_pack("{s:s}", "subsystem", subsystem != NULL ? subsystem : ""), rc, err,
        NULL);
    return rc;
}

static int record_watch_file(const struct accel_host *host, const char *path, int *fd,
                             struct accel_error *err)
{
    struct record *r = record_of(host);
    WITH_ERROR(err);
    const int rc = r->inner->watch_file(r->inner, path, fd, err);

    put(r, "watch_file", json_pack("{s:s}", "path", path), rc, err, NULL);
    return rc;
}

static int record_pci_config(const struct accel_host *host, const char *address, size_t offset,
                             void *bytes, size_t size, size_t *got, struct accel_error *err)
{
    struct record *r = record_of(host);
    WITH_ERROR(err);
    const int rc = r->inner->pci_config(r->inner, address, offset, bytes, size, got, err);

    put(r, "pci_config",
        json_pack("{s:s, s:I, s:I}", "address", address, "offset", (json_int_t)offset, "size",
                  (json_int_t)size),
        rc, err, rc == ACCEL_OK ? json_pack("{s:o}", "bytes", accel_tape_hex(bytes, *got)) : NULL);
    return rc;
}

static int record_cpuid(const struct accel_host *host, uint32_t leaf, uint32_t subleaf,
                        uint32_t regs[4], struct accel_error *err)
{
    struct record *r = record_of(host);
    WITH_ERROR(err);
    const int rc = r->inner->cpuid(r->inner, leaf, subleaf, regs, err);

    put(r, "cpuid",
        json_pack("{s:I, s:I}", "leaf", (json_int_t)leaf, "subleaf", (json_int_t)subleaf), rc, err,
        rc == ACCEL_OK ? json_pack("{s:[I,I,I,I]}", "regs", (json_int_t)regs[0],
                                   (json_int_t)regs[1], (json_int_t)regs[2], (json_int_t)regs[3])
                       : NULL);
    return rc;
}

static int record_xgetbv(const struct accel_host *host, uint64_t *xcr0, struct accel_error *err)
{
    struct record *r = record_of(host);
    WITH_ERROR(err);
    const int rc = r->inner->xgetbv(r->inner, xcr0, err);

    put(r, "xgetbv", json_object(), rc, err,
        rc == ACCEL_OK ? json_pack("{s:I}", "xcr0", (json_int_t)*xcr0) : NULL);
    return rc;
}

static int record_usable_cpus(const struct accel_host *host, unsigned *count,
                              struct accel_error *err)
{
    struct record *r = record_of(host);
    WITH_ERROR(err);
    const int rc = r->inner->usable_cpus(r->inner, count, err);

    put(r, "usable_cpus", json_object(), rc, err,
        rc == ACCEL_OK ? json_pack("{s:I}", "count", (json_int_t)*count) : NULL);
    return rc;
}

static int64_t record_now_ns(const struct accel_host *host)
{
    struct record *r = record_of(host);
    const int64_t now = r->inner->now_ns(r->inner);

    put(r, "now_ns", json_object(), ACCEL_OK, NULL, json_pack("{s:I}", "ns", (json_int_t)now));
    return now;
}

static int record_run_tool(const struct accel_host *host, const char *const argv[],
                           int64_t deadline_ms, char *text, size_t size, int *status,
                           struct accel_error *err)
{
    struct record *r = record_of(host);
    json_t *words = json_array();
    WITH_ERROR(err);
    const int rc = r->inner->run_tool(r->inner, argv, deadline_ms, text, size, status, err);

    for (size_t i = 0; argv[i] != NULL; i++)
        json_array_append_new(words, accel_tape_text(argv[i]));
    put(r, "run_tool", json_pack("{s:o}", "argv", words), rc, err,
        rc == ACCEL_OK ? json_pack("{s:o, s:i}", "text", accel_tape_text(text), "status", *status)
                       : NULL);
    return rc;
}

static int record_call(const struct accel_host *host, const char *library, const char *symbol,
                       const char *signature, struct accel_value *result, struct accel_value *args,
                       struct accel_error *err)
{
    struct record *r = record_of(host);
    struct accel_value answer = {0};
    json_t *question = accel_tape_call_args(library, symbol, signature, args), *results = NULL;
    WITH_ERROR(err);
    const int rc = r->inner->call(r->inner, library, symbol, signature, &answer, args, err);

    if (rc == ACCEL_OK) {
        results = accel_tape_call_results(signature, &answer, args);
        if (result != NULL)
            *result = answer;
    }
    put(r, "call", question, rc, err, results);
    return rc;
}

static void record_log(const struct accel_host *host, int level, const char *message)
{
    struct record *r = record_of(host);

    r->inner->log(r->inner, level, message);
}

/* ---------------------------------------------------------------- making and freeing */

static void record_free(struct accel_host *host)
{
    struct record *r = record_of(host);

    if (r->tape != NULL && fclose(r->tape) != 0 && !r->failed)
        accel_log_error("tape is not complete", "path=%s", r->path);
    for (size_t i = 0; i < ACCEL_TAPE_NODES; i++)
        accel_free(r->nodes[i]);
    accel_host_free(r->inner);
    accel_free(r);
}

static int record_event_fd(const struct accel_host *host)
{
    return accel_host_event_fd(record_of(host)->inner);
}

static void record_take_events(struct accel_host *host)
{
    accel_host_take_events(record_of(host)->inner);
}

static bool record_drain(struct accel_host *host, int fd)
{
    return accel_host_drain(record_of(host)->inner, fd);
}

static const struct accel_host_ops record_ops = {
    .free = record_free,
    .event_fd = record_event_fd,
    .take_events = record_take_events,
    .drain = record_drain,
};

int accel_host_record_new(struct accel_host *inner, const char *tape, struct accel_host **host,
                          struct accel_error *err)
{
    struct record *r = accel_calloc(1, sizeof(*r));

    if (r == NULL) {
        accel_host_free(inner);
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to record %s", tape);
    }
    r->self.ops = &record_ops;
    r->inner = inner;
    snprintf(r->path, sizeof(r->path), "%s", tape);
    r->tape = fopen(tape, "we");
    if (r->tape == NULL || fputs("{\"acceld_tape\":1}\n", r->tape) == EOF) {
        const int saved = errno;
        record_free(&(struct accel_host){.self = r});
        return accel_fail_errno(err, saved, "record %s", tape);
    }
    r->host = (struct accel_host){
        .struct_size = sizeof(r->host),
        .self = r,
        .read = record_read,
        .read_bytes = record_read_bytes,
        .write = record_write,
        .list = record_list,
        .readlink = record_readlink,
        .open_node = record_open_node,
        .ioctl = record_ioctl,
        .mmap = record_mmap,
        .close_node = record_close_node,
        .uevents = record_uevents,
        .pci_config = record_pci_config,
        .cpuid = record_cpuid,
        .xgetbv = record_xgetbv,
        .usable_cpus = record_usable_cpus,
        .now_ns = record_now_ns,
        .run_tool = record_run_tool,
        .call = record_call,
        .log = record_log,
        .watch_file = record_watch_file,
    };
    *host = &r->host;
    return ACCEL_OK;
}
