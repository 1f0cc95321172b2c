/* SPDX-License-Identifier: Apache-2.0 */
/* A host that answers from a tape. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "hardware/host.h"
#include "hardware/tape.h"

#define TAPE_MAX_BYTES ((size_t)256 << 20)

struct replay {
    struct accel_host_self self; /* first: accel_host.self points here */
    struct accel_host host;
    /* Question as text -> {"next": n, "answers": [line...]}. */
    json_t *questions;
    int silence; /* an eventfd that is never readable: what a watch is given */
    char *nodes[ACCEL_TAPE_NODES];
    char missing[ACCEL_ERROR_MSG_MAX]; /* the first question it could not answer */
};

static struct replay *replay_of(const struct accel_host *host)
{
    return host->self;
}

/* The same for equal questions: sorted keys, no blanks. Freed by free(). */
static char *key_of(const char *op, json_t *args)
{
    json_t *question = json_pack("{s:s, s:O}", "op", op, "args", args);
    char *key = json_dumps(question, JSON_SORT_KEYS | JSON_COMPACT);

    json_decref(question);
    return key;
}

/* Finds the next answer to a question (args: the reference is taken) and gives its code, with the
 * message in *err. *line is borrowed. */
static int ask(const struct accel_host *host, const char *op, json_t *args, const json_t **line,
               struct accel_error *err)
{
    char *key = args != NULL ? key_of(op, args) : NULL;
    char msg[ACCEL_ERROR_MSG_MAX];
    int rc;

    json_decref(args);
    *line = NULL;
    if (key == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to look on the tape");
    json_t *entry = json_object_get(replay_of(host)->questions, key);
    if (entry == NULL) {
        struct replay *r = replay_of(host);
        if (r->missing[0] == '\0')
            snprintf(r->missing, sizeof(r->missing), "the tape holds no %s", key);
        rc = accel_fail(err, ACCEL_E_CORRUPT, "the tape holds no %s", key);
        free(key);
        return rc;
    }
    free(key);
    json_t *next = json_object_get(entry, "next");
    const json_t *answers = json_object_get(entry, "answers");
    const size_t at = (size_t)json_integer_value(next);
    if (at + 1 < json_array_size(answers)) /* the last one stays */
        json_integer_set(next, (json_int_t)at + 1);
    *line = json_array_get(answers, at);
    rc = (int)json_integer_value(json_object_get(*line, "code"));
    if (rc == ACCEL_OK)
        return ACCEL_OK;
    if (!accel_tape_to_text(json_object_get(*line, "msg"), msg, sizeof(msg)))
        snprintf(msg, sizeof(msg), "%s (from the tape)", accel_code_text(rc));
    return accel_fail(err, (enum accel_code)rc, "%s", msg);
}

static int damaged(const char *op, struct accel_error *err)
{
    return accel_fail(err, ACCEL_E_CORRUPT, "the tape's answer to %s is damaged", op);
}

static int replay_read(const struct accel_host *host, const char *path, char *text, size_t size,
                       struct accel_error *err)
{
    const json_t *line;
    const int rc = ask(host, "read", json_pack("{s:s}", "path", path), &line, err);

    if (rc != ACCEL_OK)
        return rc;
    const json_t *answer = json_object_get(line, "text");
    if (json_is_string(answer) && json_string_length(answer) >= size)
        return accel_fail(err, ACCEL_E_LIMIT, "%s holds more than %zu bytes", path, size);
    return accel_tape_to_text(answer, text, size) ? ACCEL_OK : damaged("read", err);
}

static int replay_read_bytes(const struct accel_host *host, const char *path, void *bytes,
                             size_t size, size_t *got, struct accel_error *err)
{
    const json_t *line;
    const int rc = ask(host, "read_bytes", json_pack("{s:s}", "path", path), &line, err);

    *got = 0;
    if (rc != ACCEL_OK)
        return rc;
    return accel_tape_to_bytes(json_object_get(line, "bytes"), bytes, size, got)
               ? ACCEL_OK
               : damaged("read_bytes", err);
}

static int replay_write(const struct accel_host *host, const char *path, const void *bytes,
                        size_t size, struct accel_error *err)
{
    const json_t *line;

    return ask(host, "write",
               json_pack("{s:s, s:o}", "path", path, "bytes", accel_tape_hex(bytes, size)), &line,
               err);
}

static int replay_list(const struct accel_host *host, const char *path,
                       int (*each)(void *context, const char *name), void *context,
                       struct accel_error *err)
{
    const json_t *line, *name;
    char text[ACCEL_TAPE_NAME];
    size_t i;
    int rc = ask(host, "list", json_pack("{s:s}", "path", path), &line, err);

    if (rc != ACCEL_OK)
        return rc;
    json_array_foreach(json_object_get(line, "names"), i, name) {
        if (rc == ACCEL_OK)
            rc = accel_tape_to_text(name, text, sizeof(text)) ? each(context, text)
                                                              : damaged("list", err);
    }
    return rc;
}

static int replay_readlink(const struct accel_host *host, const char *path, char *target,
                           size_t size, struct accel_error *err)
{
    const json_t *line;
    const int rc = ask(host, "readlink", json_pack("{s:s}", "path", path), &line, err);

    if (rc != ACCEL_OK)
        return rc;
    return accel_tape_to_text(json_object_get(line, "target"), target, size)
               ? ACCEL_OK
               : damaged("readlink", err);
}

static int replay_open_node(const struct accel_host *host, const char *path, int flags, int *handle,
                            struct accel_error *err)
{
    struct replay *r = replay_of(host);
    const json_t *line;
    const int rc = ask(host, "open_node", json_pack("{s:s}", "path", path), &line, err);
    int slot = 0;

    (void)flags;
    if (rc != ACCEL_OK)
        return rc;
    while (slot < ACCEL_TAPE_NODES && r->nodes[slot] != NULL)
        slot++;
    if (slot == ACCEL_TAPE_NODES)
        return accel_fail(err, ACCEL_E_LIMIT, "open %s: %d nodes are open already", path, slot);
    r->nodes[slot] = accel_strdup(path);
    if (r->nodes[slot] == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to open %s", path);
    *handle = slot;
    return ACCEL_OK;
}

static const char *node_path(const struct replay *r, int handle)
{
    return handle >= 0 && handle < ACCEL_TAPE_NODES && r->nodes[handle] != NULL ? r->nodes[handle]
                                                                                : "";
}

static int replay_ioctl(const struct accel_host *host, int handle, unsigned long request, void *arg,
                        size_t size, struct accel_error *err)
{
    const json_t *line;
    size_t got;
    const int rc = ask(host, "ioctl",
                       json_pack("{s:s, s:I, s:I}", "path", node_path(replay_of(host), handle),
                                 "request", (json_int_t)request, "size", (json_int_t)size),
                       &line, err);

    if (rc != ACCEL_OK)
        return rc;
    return accel_tape_to_bytes(json_object_get(line, "bytes"), arg, size, &got) && got == size
               ? ACCEL_OK
               : damaged("ioctl", err);
}

static int replay_mmap(const struct accel_host *host, int handle, uint64_t offset, size_t size,
                       int prot, void **address, struct accel_error *err)
{
    (void)offset;
    (void)size;
    (void)prot;
    (void)address;
    return accel_fail(err, ACCEL_E_UNSUPPORTED, "%s: a tape holds no mappings",
                      node_path(replay_of(host), handle));
}

static void replay_close_node(const struct accel_host *host, int handle)
{
    struct replay *r = replay_of(host);

    if (handle >= 0 && handle < ACCEL_TAPE_NODES)
        accel_freep(&r->nodes[handle]);
}

static int replay_uevents(const struct accel_host *host, const char *subsystem, int *fd,
                          struct accel_error *err)
{
    const json_t *line;
    const int rc =
        ask(host, "uevents", json_pack("{s:s}", "subsystem", subsystem != NULL ? subsystem : ""),
            &line, err);

    if (rc == ACCEL_OK)
        *fd = replay_of(host)->silence;
    return rc;
}

static int replay_watch_file(const struct accel_host *host, const char *path, int *fd,
                             struct accel_error *err)
{
    const json_t *line;
    const int rc = ask(host, "watch_file", json_pack("{s:s}", "path", path), &line, err);

    if (rc == ACCEL_OK)
        *fd = replay_of(host)->silence;
    return rc;
}

static int replay_pci_config(const struct accel_host *host, const char *address, size_t offset,
                             void *bytes, size_t size, size_t *got, struct accel_error *err)
{
    const json_t *line;
    const int rc = ask(host, "pci_config",
                       json_pack("{s:s, s:I, s:I}", "address", address, "offset",
                                 (json_int_t)offset, "size", (json_int_t)size),
                       &line, err);

    *got = 0;
    if (rc != ACCEL_OK)
        return rc;
    return accel_tape_to_bytes(json_object_get(line, "bytes"), bytes, size, got)
               ? ACCEL_OK
               : damaged("pci_config", err);
}

static int replay_cpuid(const struct accel_host *host, uint32_t leaf, uint32_t subleaf,
                        uint32_t regs[4], struct accel_error *err)
{
    const json_t *line;
    const int rc =
        ask(host, "cpuid",
            json_pack("{s:I, s:I}", "leaf", (json_int_t)leaf, "subleaf", (json_int_t)subleaf),
            &line, err);

    for (size_t i = 0; i < 4; i++)
        regs[i] = (uint32_t)json_integer_value(json_array_get(json_object_get(line, "regs"), i));
    return rc;
}

static int replay_xgetbv(const struct accel_host *host, uint64_t *xcr0, struct accel_error *err)
{
    const json_t *line;
    const int rc = ask(host, "xgetbv", json_object(), &line, err);

    *xcr0 = (uint64_t)json_integer_value(json_object_get(line, "xcr0"));
    return rc;
}

static int replay_usable_cpus(const struct accel_host *host, unsigned *count,
                              struct accel_error *err)
{
    const json_t *line;
    const int rc = ask(host, "usable_cpus", json_object(), &line, err);

    *count = (unsigned)json_integer_value(json_object_get(line, "count"));
    return rc;
}

static int64_t replay_now_ns(const struct accel_host *host)
{
    const json_t *line;

    return ask(host, "now_ns", json_object(), &line, NULL) == ACCEL_OK
               ? json_integer_value(json_object_get(line, "ns"))
               : 0;
}

static int replay_run_tool(const struct accel_host *host, const char *const argv[],
                           int64_t deadline_ms, char *text, size_t size, int *status,
                           struct accel_error *err)
{
    json_t *words = json_array();
    const json_t *line;

    (void)deadline_ms;
    for (size_t i = 0; argv[i] != NULL; i++)
        json_array_append_new(words, accel_tape_text(argv[i]));
    const int rc = ask(host, "run_tool", json_pack("{s:o}", "argv", words), &line, err);
    if (rc != ACCEL_OK)
        return rc;
    *status = (int)json_integer_value(json_object_get(line, "status"));
    return accel_tape_to_text(json_object_get(line, "text"), text, size) ? ACCEL_OK
                                                                         : damaged("tool", err);
}

static int replay_call(const struct accel_host *host, const char *library, const char *symbol,
                       const char *signature, struct accel_value *result, struct accel_value *args,
                       struct accel_error *err)
{
    const json_t *line;
    const int rc =
        ask(host, "call", accel_tape_call_args(library, symbol, signature, args), &line, err);

    if (rc != ACCEL_OK)
        return rc;
    return accel_tape_to_call_results(line, signature, result, args) ? ACCEL_OK
                                                                     : damaged("call", err);
}

static void replay_log(const struct accel_host *host, int level, const char *message)
{
    (void)host;
    accel_log(level <= 3   ? ACCEL_LOG_ERROR
              : level <= 5 ? ACCEL_LOG_WARNING
                           : ACCEL_LOG_DEBUG,
              "module says, in a replay", "text=\"%s\"", message);
}

/* ---------------------------------------------------------------- making and freeing */

static void replay_free(struct accel_host *host)
{
    struct replay *r = replay_of(host);

    for (size_t i = 0; i < ACCEL_TAPE_NODES; i++)
        accel_free(r->nodes[i]);
    json_decref(r->questions);
    accel_closep(&r->silence);
    accel_free(r);
}

static int replay_event_fd(const struct accel_host *host)
{
    (void)host;
    return -1;
}

static void replay_take_events(struct accel_host *host)
{
    (void)host;
}

static bool replay_drain(struct accel_host *host, int fd)
{
    return fd == replay_of(host)->silence;
}

static int replay_check(const struct accel_host *host, struct accel_error *err)
{
    const struct replay *r = replay_of(host);

    return r->missing[0] == '\0' ? ACCEL_OK : accel_fail(err, ACCEL_E_CORRUPT, "%s", r->missing);
}

static const struct accel_host_ops replay_ops = {
    .free = replay_free,
    .event_fd = replay_event_fd,
    .take_events = replay_take_events,
    .drain = replay_drain,
    .check = replay_check,
};

static int no_memory(struct accel_error *err)
{
    return accel_fail(err, ACCEL_E_NOMEM, "no memory for the tape");
}

static int add_line(struct replay *r, json_t *line, struct accel_error *err)
{
    const char *op = json_string_value(json_object_get(line, "op"));
    json_t *args = json_object_get(line, "args");

    if (op == NULL || !json_is_object(args) || !json_is_integer(json_object_get(line, "code")))
        return accel_fail(err, ACCEL_E_CORRUPT, "op, args or code is missing");
    char *key = key_of(op, args);
    if (key == NULL)
        return no_memory(err);
    json_t *entry = json_object_get(r->questions, key);
    if (entry == NULL) {
        entry = json_pack("{s:i, s:[]}", "next", 0, "answers");
        if (json_object_set_new(r->questions, key, entry) != 0)
            entry = NULL;
    }
    free(key);
    if (entry == NULL || json_array_append(json_object_get(entry, "answers"), line) != 0)
        return no_memory(err);
    return ACCEL_OK;
}

static int load(struct replay *r, const char *text, const char *path, struct accel_error *err)
{
    int number = 0;

    while (*text != '\0') {
        const size_t length = strcspn(text, "\n");
        json_error_t where;
        number++;
        json_t *line = json_loadb(text, length, 0, &where);
        int rc = ACCEL_OK;
        if (line == NULL)
            rc = accel_fail(err, ACCEL_E_CORRUPT, "%s:%d: %s", path, number, where.text);
        else if (number == 1 && json_integer_value(json_object_get(line, "acceld_tape")) != 1)
            rc = accel_fail(err, ACCEL_E_CORRUPT, "%s is no tape of acceld", path);
        else if (number > 1 && add_line(r, line, err) != ACCEL_OK)
            rc = accel_fail_in(err, "%s:%d", path, number);
        json_decref(line);
        if (rc != ACCEL_OK)
            return rc;
        text += length + (text[length] == '\n');
    }
    return number > 0 ? ACCEL_OK
                      : accel_fail(err, ACCEL_E_CORRUPT, "%s is no tape of acceld: empty", path);
}

int accel_host_replay_new(const char *tape, struct accel_host **host, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_freep) char *text = NULL;
    struct replay *r = accel_calloc(1, sizeof(*r));
    int rc;

    if (r == NULL)
        return no_memory(err);
    r->self.ops = &replay_ops;
    r->host = (struct accel_host){
        .struct_size = sizeof(r->host),
        .self = r,
        .read = replay_read,
        .read_bytes = replay_read_bytes,
        .write = replay_write,
        .list = replay_list,
        .readlink = replay_readlink,
        .open_node = replay_open_node,
        .ioctl = replay_ioctl,
        .mmap = replay_mmap,
        .close_node = replay_close_node,
        .uevents = replay_uevents,
        .pci_config = replay_pci_config,
        .cpuid = replay_cpuid,
        .xgetbv = replay_xgetbv,
        .usable_cpus = replay_usable_cpus,
        .now_ns = replay_now_ns,
        .run_tool = replay_run_tool,
        .call = replay_call,
        .log = replay_log,
        .watch_file = replay_watch_file,
    };
    r->questions = json_object();
    r->silence = eventfd(0, EFD_CLOEXEC);
    if (r->questions == NULL)
        rc = no_memory(err);
    else if (r->silence < 0)
        rc = accel_fail_errno(err, errno, "replay %s", tape);
    else
        rc = accel_read_file(tape, TAPE_MAX_BYTES, &text, NULL, err);
    if (rc == ACCEL_OK)
        rc = load(r, text, tape, err);
    if (rc != ACCEL_OK) {
        replay_free(&r->host);
        return rc;
    }
    *host = &r->host;
    return ACCEL_OK;
}
