/* SPDX-License-Identifier: Apache-2.0 */
/* What a host records, a replay answers; what was not recorded it refuses. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "hardware/host.h"
#include "tap.h"

/* A host of the test's own: answers from arrays, counts what it is asked. */
struct played {
    struct accel_host_self self;
    struct accel_host host;
    int reads;
};

static void played_free(struct accel_host *host)
{
    (void)host;
}

static int no_event_fd(const struct accel_host *host)
{
    (void)host;
    return -1;
}

static void no_events(struct accel_host *host)
{
    (void)host;
}

static bool no_drain(struct accel_host *host, int fd)
{
    (void)host;
    (void)fd;
    return false;
}

static const struct accel_host_ops played_ops = {
    .free = played_free, .event_fd = no_event_fd, .take_events = no_events, .drain = no_drain};

/* A counter, a file that is not UTF-8, one that is damaged. */
static int played_read(const struct accel_host *host, const char *path, char *text, size_t size,
                       struct accel_error *err)
{
    struct played *p = host->self;

    if (strcmp(path, "/count") == 0)
        snprintf(text, size, "%d", ++p->reads);
    else if (strcmp(path, "/strange") == 0)
        snprintf(text, size, "a\xff\xfe\"\\");
    else
        return accel_fail(err, ACCEL_E_IO, "read %s: Input/output error", path);
    return ACCEL_OK;
}

static int played_read_bytes(const struct accel_host *host, const char *path, void *bytes,
                             size_t size, size_t *got, struct accel_error *err)
{
    (void)host;
    (void)path;
    (void)size;
    (void)err;
    memcpy(bytes, "\0\1\xff", 3);
    *got = 3;
    return ACCEL_OK;
}

static int played_list(const struct accel_host *host, const char *path,
                       int (*each)(void *context, const char *name), void *context,
                       struct accel_error *err)
{
    (void)host;
    (void)path;
    (void)err;
    const int rc = each(context, "one");
    return rc == ACCEL_OK ? each(context, "two") : rc;
}

static int played_cpuid(const struct accel_host *host, uint32_t leaf, uint32_t subleaf,
                        uint32_t regs[4], struct accel_error *err)
{
    (void)host;
    (void)err;
    for (uint32_t i = 0; i < 4; i++)
        regs[i] = 0xf0000000u + leaf * 16 + subleaf + i;
    return ACCEL_OK;
}

static int played_call(const struct accel_host *host, const char *library, const char *symbol,
                       const char *signature, struct accel_value *result, struct accel_value *args,
                       struct accel_error *err)
{
    (void)host;
    (void)library;
    (void)symbol;
    (void)signature;
    (void)err;
    memcpy(args[1].value.buffer.bytes, "answer", 7);
    result->value.integer = -15;
    return ACCEL_OK;
}

static int played_open_node(const struct accel_host *host, const char *path, int flags, int *handle,
                            struct accel_error *err)
{
    (void)host;
    (void)path;
    (void)flags;
    (void)err;
    *handle = 5;
    return ACCEL_OK;
}

static int played_ioctl(const struct accel_host *host, int handle, unsigned long request, void *arg,
                        size_t size, struct accel_error *err)
{
    (void)host;
    (void)handle;
    (void)request;
    (void)err;
    memset(arg, 0x5a, size);
    return ACCEL_OK;
}

static void played_close_node(const struct accel_host *host, int handle)
{
    (void)host;
    (void)handle;
}

static int64_t played_now_ns(const struct accel_host *host)
{
    (void)host;
    return 1234567890123;
}

static void played_log(const struct accel_host *host, int level, const char *message)
{
    (void)host;
    (void)level;
    (void)message;
}

static int join(void *context, const char *name)
{
    strcat(context, name);
    return ACCEL_OK;
}

static int read_inside(void *context, const char *name)
{
    const struct accel_host *host = context;
    char text[16];

    (void)name;
    return host->read(host, "/count", text, sizeof(text), NULL);
}

/* Asks `host` what the played one can answer and checks it. */
static void asks_everything(const struct accel_host *host, const char *who)
{
    struct accel_value args[2] = {{.value.string = "x"}}, result;
    struct accel_error err;
    unsigned char bytes[8], arg[4] = {0};
    char text[64], names[32] = "", buffer[16];
    uint32_t regs[4];
    size_t got;
    int handle = -1;

    args[1].value.buffer.bytes = buffer;
    args[1].value.buffer.size = 7;
    ok(host->read(host, "/count", text, sizeof(text), &err) == ACCEL_OK && strcmp(text, "1") == 0 &&
           host->read(host, "/count", text, sizeof(text), &err) == ACCEL_OK &&
           strcmp(text, "2") == 0,
       "%s: equal questions get their answers in order", who);
    ok(host->read(host, "/strange", text, sizeof(text), &err) == ACCEL_OK &&
           strcmp(text, "a\xff\xfe\"\\") == 0,
       "%s: text that is not UTF-8 survives", who);
    ok(host->read(host, "/broken", text, sizeof(text), &err) == ACCEL_E_IO &&
           strcmp(err.msg, "read /broken: Input/output error") == 0,
       "%s: so does an error, with its sentence", who);
    ok(host->read_bytes(host, "/bytes", bytes, sizeof(bytes), &got, &err) == ACCEL_OK && got == 3 &&
           memcmp(bytes, "\0\1\xff", 3) == 0,
       "%s: bytes survive", who);
    ok(host->list(host, "/folder", join, names, &err) == ACCEL_OK && strcmp(names, "onetwo") == 0,
       "%s: a listing survives", who);
    ok(host->list(host, "/folder", read_inside, (void *)host, &err) == ACCEL_OK,
       "%s: and may be asked for while reading", who);
    ok(host->cpuid(host, 7, 1, regs, &err) == ACCEL_OK && regs[0] == 0xf0000071u &&
           regs[3] == 0xf0000074u,
       "%s: CPUID survives", who);
    ok(host->call(host, "libx.so", "f", "isb", &result, args, &err) == ACCEL_OK &&
           result.value.integer == -15 && strcmp(buffer, "answer") == 0,
       "%s: a library call with its buffer survives", who);
    ok(host->open_node(host, "/dev/x", O_RDWR, &handle, &err) == ACCEL_OK &&
           host->ioctl(host, handle, 0xc0045a01ul, arg, sizeof(arg), &err) == ACCEL_OK &&
           arg[0] == 0x5a && arg[3] == 0x5a,
       "%s: an ioctl's answer survives", who);
    host->close_node(host, handle);
    ok(host->now_ns(host) == 1234567890123, "%s: so does the time", who);
}

static char path[256];

static void write_tape(const char *content)
{
    const int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0 || write(fd, content, strlen(content)) < 0)
        perror(path);
    close(fd);
}

static void refuses_what_is_no_tape(void)
{
    static const struct {
        const char *content, *why;
    } bad[] = {
        {"", "an empty file"},
        {"{\"acceld_tape\": 2}\n", "a tape of another kind"},
        {"{\"acceld_tape\": 1}\n{\"op\": \"read\"\n", "a line that is no JSON"},
        {"{\"acceld_tape\": 1}\n{\"op\": \"read\", \"code\": 0}\n", "a line without args"},
        {"[1]\n", "another document"},
    };
    struct accel_host *host = NULL;
    struct accel_error err;

    for (size_t i = 0; i < ACCEL_COUNT(bad); i++) {
        write_tape(bad[i].content);
        ok(accel_host_replay_new(path, &host, &err) == ACCEL_E_CORRUPT &&
               strstr(err.msg, path) != NULL,
           "%s is refused by name", bad[i].why);
    }
    ok(accel_host_replay_new("/no/such/tape", &host, &err) == ACCEL_E_NOT_FOUND,
       "a tape that is not there is refused");
    write_tape("{\"acceld_tape\": 1}\n"
               "{\"op\": \"read_bytes\", \"args\": {\"path\": \"/x\"}, \"code\": 0, "
               "\"bytes\": \"0g\"}\n");
    unsigned char bytes[4];
    size_t got;
    ok(accel_host_replay_new(path, &host, &err) == ACCEL_OK &&
           host->read_bytes(host, "/x", bytes, sizeof(bytes), &got, &err) == ACCEL_E_CORRUPT,
       "a damaged answer is CORRUPT");
    accel_host_freep(&host);
}

int main(void)
{
    struct played played = {.self.ops = &played_ops};
    struct accel_host *host = NULL;
    struct accel_error err;
    char text[64];

    accel_log_init("test", ACCEL_LOG_ERROR);
    snprintf(path, sizeof(path), "%s/acceld-tape-XXXXXX",
             getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
    close(mkstemp(path));
    played.host = (struct accel_host){
        .struct_size = sizeof(struct accel_host),
        .self = &played,
        .read = played_read,
        .read_bytes = played_read_bytes,
        .list = played_list,
        .cpuid = played_cpuid,
        .call = played_call,
        .open_node = played_open_node,
        .ioctl = played_ioctl,
        .close_node = played_close_node,
        .now_ns = played_now_ns,
        .log = played_log,
    };
    ok(accel_host_record_new(&played.host, path, &host, &err) == ACCEL_OK, "a tape is begun");
    asks_everything(host, "recording");
    accel_host_freep(&host);
    ok(accel_host_replay_new(path, &host, &err) == ACCEL_OK, "the tape is read");
    asks_everything(host, "replay");
    ok(host->read(host, "/count", text, sizeof(text), &err) == ACCEL_OK && strcmp(text, "4") == 0,
       "the last answer is given again and again");
    ok(accel_host_check(host, &err) == ACCEL_OK, "so far the tape held everything");
    ok(host->read(host, "/never", text, sizeof(text), &err) == ACCEL_E_CORRUPT &&
           strncmp(err.msg, "the tape holds no ", 18) == 0 && strstr(err.msg, "/never") != NULL,
       "a question that the tape does not hold is refused by name");
    ok(accel_host_check(host, &err) == ACCEL_E_CORRUPT && strstr(err.msg, "/never") != NULL,
       "and remembered, should the module not care");
    accel_host_freep(&host);
    ok(accel_host_record_new(&played.host, "/no/such/folder/tape", &host, &err) ==
           ACCEL_E_NOT_FOUND,
       "a tape that cannot be written is refused");
    refuses_what_is_no_tape();
    unlink(path);
    return tap_done();
}
