/* SPDX-License-Identifier: Apache-2.0 */
/* The live host: files below a root that nothing leads out of, tools, library calls, events. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "hardware/host_live.h"
#include "tap.h"

static char tree[256];   /* <temporary>/root: the recorded tree */
static char beside[256]; /* <temporary>: what must not be reached */

static const char *in(const char *folder, const char *path)
{
    static char text[4][600];
    static int next;
    char *out = text[next++ % 4];

    snprintf(out, sizeof(text[0]), "%s%s", folder, path);
    return out;
}

static void put(const char *path, const char *content)
{
    const int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0644);

    if (fd < 0 || write(fd, content, strlen(content)) < 0)
        perror(path);
    close(fd);
}

static int unlink_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static void make_tree(void)
{
    char long_line[4200];

    snprintf(beside, sizeof(beside), "%s/acceld-host-XXXXXX",
             getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
    if (mkdtemp(beside) == NULL)
        perror(beside);
    snprintf(tree, sizeof(tree), "%.200s/root", beside);
    mkdir(tree, 0755);
    mkdir(in(tree, "/sys"), 0755);
    mkdir(in(tree, "/sys/a"), 0755);
    mkdir(in(tree, "/acceld"), 0755);
    put(in(beside, "/secret"), "outside\n");
    put(in(tree, "/secret"), "inside\n");
    put(in(tree, "/sys/value"), "0x10de\n");
    put(in(tree, "/sys/two"), "a\n\n");
    put(in(tree, "/sys/empty"), "");
    memset(long_line, 'x', 4096);
    long_line[4096] = '\0';
    put(in(tree, "/sys/long"), long_line);
    if (symlink("/secret", in(tree, "/sys/absolute")) != 0 ||
        symlink("../../secret", in(tree, "/sys/up")) != 0 ||
        symlink("../../../../../../../../../../etc/passwd", in(tree, "/sys/far")) != 0 ||
        symlink("/etc/passwd", in(tree, "/sys/etc")) != 0 ||
        symlink("/", in(tree, "/sys/top")) != 0 || symlink("loop", in(tree, "/sys/loop")) != 0 ||
        symlink("/nowhere", in(tree, "/sys/dangling")) != 0)
        perror("symlink");
    put(in(tree, "/acceld/cpuid"), "# leaf subleaf eax ebx ecx edx\n"
                                   "00000000 0 0000000d 756e6547 6c65746e 49656e69\n"
                                   "7 0 0 20 0 0\n"
                                   "xcr0 e7\n");
}

static struct accel_host *tree_host(void)
{
    struct accel_host *host = NULL;
    struct accel_error err = {.msg = ""};

    if (accel_host_live_new(tree, "test", &host, &err) != ACCEL_OK)
        printf("# %s\n", err.msg);
    return host;
}

static void reads_attributes(const struct accel_host *host)
{
    char text[64], exact[4097];
    struct accel_error err;
    size_t got;

    ok(host->read(host, "/sys/value", text, sizeof(text), &err) == ACCEL_OK &&
           strcmp(text, "0x10de") == 0,
       "an attribute is read without its newline");
    ok(host->read(host, "/sys/two", text, sizeof(text), &err) == ACCEL_OK &&
           strcmp(text, "a\n") == 0,
       "one newline is stripped, not two");
    ok(host->read(host, "/sys/empty", text, sizeof(text), &err) == ACCEL_OK && text[0] == '\0',
       "an empty attribute is empty");
    ok(host->read(host, "/sys/missing", text, sizeof(text), &err) == ACCEL_E_NOT_FOUND &&
           strstr(err.msg, "/sys/missing") != NULL,
       "a missing attribute is NOT_FOUND and named");
    ok(host->read(host, "/sys/a", text, sizeof(text), &err) == ACCEL_E_IO,
       "a folder read as an attribute is IO");
    ok(host->read(host, "sys/value", text, sizeof(text), &err) != ACCEL_OK,
       "a path that does not begin with / is refused");
    ok(host->read(host, "/sys/long", text, sizeof(text), &err) == ACCEL_E_LIMIT && text[0] == '\0',
       "a line of 4 KB that does not fit is LIMIT, not a part of it");
    ok(host->read(host, "/sys/long", exact, sizeof(exact), &err) == ACCEL_OK &&
           strlen(exact) == 4096,
       "a line of 4 KB that just fits is read");
    ok(host->read_bytes(host, "/sys/value", text, sizeof(text), &got, &err) == ACCEL_OK && got == 7,
       "bytes are read as they are");
    ok(host->read_bytes(host, "/sys/value", text, 7, &got, &err) == ACCEL_OK && got == 7 &&
           host->read_bytes(host, "/sys/value", text, 6, &got, &err) == ACCEL_E_LIMIT,
       "bytes that just fit are read, one more is LIMIT");
}

static void never_leaves_the_root(const struct accel_host *host)
{
    char text[256];
    struct accel_error err;

    ok(host->read(host, "/sys/absolute", text, sizeof(text), &err) == ACCEL_OK &&
           strcmp(text, "inside") == 0,
       "an absolute link is followed inside the root");
    ok(host->read(host, "/sys/up", text, sizeof(text), &err) == ACCEL_OK &&
           strcmp(text, "inside") == 0,
       "a link with too many .. stays inside the root");
    ok(host->read(host, "/../../secret", text, sizeof(text), &err) == ACCEL_OK &&
           strcmp(text, "inside") == 0,
       "a path with too many .. stays inside the root");
    ok(host->read(host, "/sys/far", text, sizeof(text), &err) == ACCEL_E_NOT_FOUND &&
           host->read(host, "/sys/etc", text, sizeof(text), &err) == ACCEL_E_NOT_FOUND,
       "no link reaches /etc/passwd");
    ok(host->read(host, "/sys/top/secret", text, sizeof(text), &err) == ACCEL_OK &&
           strcmp(text, "inside") == 0,
       "a link to / is the root");
    ok(host->read(host, "/sys/loop", text, sizeof(text), &err) == ACCEL_E_IO,
       "a link to itself is IO");
    ok(host->read(host, "/sys/dangling", text, sizeof(text), &err) == ACCEL_E_NOT_FOUND,
       "a dangling link is NOT_FOUND");
    ok(host->write(host, "/sys/etc", "x", 1, &err) == ACCEL_E_NOT_FOUND &&
           access("/etc/passwd", F_OK) == 0,
       "no write leaves the root");
    ok(host->readlink(host, "/sys/absolute", text, sizeof(text), &err) == ACCEL_OK &&
           strcmp(text, "/secret") == 0,
       "a link's target is told as it is written");
    ok(host->readlink(host, "/sys/value", text, sizeof(text), &err) == ACCEL_E_IO &&
           host->readlink(host, "/sys/nolink", text, sizeof(text), &err) == ACCEL_E_NOT_FOUND,
       "what is no link is told from what is not there");
    ok(host->readlink(host, "/sys/absolute", text, 7, &err) == ACCEL_E_LIMIT,
       "a target that does not fit is LIMIT");
}

static int join(void *context, const char *name)
{
    strcat(context, name);
    strcat(context, " ");
    return ACCEL_OK;
}

static int stop_at_first(void *context, const char *name)
{
    strcpy(context, name);
    return ACCEL_E_CANCELLED;
}

static void lists_and_writes(const struct accel_host *host)
{
    char names[256] = "", text[64];
    struct accel_error err;

    ok(host->list(host, "/sys", join, names, &err) == ACCEL_OK &&
           strcmp(names, "a absolute dangling empty etc far long loop top two up value ") == 0,
       "a folder is listed sorted, without . and ..");
    ok(host->list(host, "/sys", stop_at_first, names, &err) == ACCEL_E_CANCELLED &&
           strcmp(names, "a") == 0,
       "a listing ends when its reader says so");
    ok(host->list(host, "/sys/none", join, names, &err) == ACCEL_E_NOT_FOUND &&
           host->list(host, "/sys/value", join, names, &err) == ACCEL_E_IO,
       "what is no folder cannot be listed");
    ok(host->write(host, "/sys/value", "0x1002", 6, &err) == ACCEL_OK &&
           host->read(host, "/sys/value", text, sizeof(text), &err) == ACCEL_OK &&
           strncmp(text, "0x1002", 6) == 0,
       "an attribute is written in place");
    ok(host->write(host, "/sys/new", "1", 1, &err) == ACCEL_E_NOT_FOUND,
       "a write makes no new file");
}

static void recorded_trees_have_no_machine(const struct accel_host *host)
{
    const char *const argv[] = {"/bin/true", NULL};
    uint32_t regs[4];
    uint64_t xcr0;
    struct accel_error err;
    unsigned count;
    char text[16];
    int fd, status;

    ok(host->uevents(host, "pci", &fd, &err) == ACCEL_E_UNSUPPORTED &&
           host->run_tool(host, argv, 1000, text, sizeof(text), &status, &err) ==
               ACCEL_E_UNSUPPORTED,
       "a recorded tree has no kernel events and no tools");
    ok(host->cpuid(host, 0, 0, regs, &err) == ACCEL_OK && regs[0] == 0xd && regs[1] == 0x756e6547 &&
           host->cpuid(host, 7, 0, regs, &err) == ACCEL_OK && regs[1] == 0x20,
       "CPUID comes from the tree's file");
    ok(host->cpuid(host, 7, 1, regs, &err) == ACCEL_OK && regs[0] == 0 && regs[1] == 0,
       "a leaf that the file lacks is zero");
    ok(host->xgetbv(host, &xcr0, &err) == ACCEL_OK && xcr0 == 0xe7, "so does xcr0");
    ok(host->usable_cpus(host, &count, &err) == ACCEL_E_NOT_FOUND,
       "without a list of CPUs their number is unknown");
    mkdir(in(tree, "/sys/devices"), 0755);
    mkdir(in(tree, "/sys/devices/system"), 0755);
    mkdir(in(tree, "/sys/devices/system/cpu"), 0755);
    put(in(tree, "/sys/devices/system/cpu/online"), "0-3,8,10-11\n");
    ok(host->usable_cpus(host, &count, &err) == ACCEL_OK && count == 7,
       "the tree's CPUs are those that were online");
    put(in(tree, "/sys/devices/system/cpu/online"), "0-,x\n");
    ok(host->usable_cpus(host, &count, &err) == ACCEL_E_IO, "a list that is none is IO");
    ok(host->call(host, "libc.so.6", "getpid", "i", NULL, NULL, &err) == ACCEL_E_NOT_FOUND,
       "no library of this machine answers for the tree");
}

static void cpuid_files(void)
{
    struct accel_cpuid_table *table = NULL;
    struct accel_error err;
    uint32_t regs[4];

    ok(accel_cpuid_table_parse("0 0 1 2 3 4\n1 0 1 2 3\n", &table, &err) == ACCEL_E_CORRUPT &&
           strstr(err.msg, ":2:") != NULL,
       "a damaged line of a CPUID file is named");
    ok(accel_cpuid_table_parse("0 0 1 2 3 4 5\n", &table, &err) == ACCEL_E_CORRUPT &&
           accel_cpuid_table_parse("xcr0\n", &table, &err) == ACCEL_E_CORRUPT,
       "so is one with too many or too few numbers");
    for (long nth = 0;; nth++) {
        accel_fault_arm(nth);
        const int rc = accel_cpuid_table_parse("0 0 1 2 3 4\n", &table, &err);
        if (!accel_fault_disarm()) {
            ok(rc == ACCEL_OK, "a CPUID file is parsed when there is memory");
            break;
        }
        ok(rc == ACCEL_E_NOMEM, "a CPUID file reports that allocation %ld failed", nth);
    }
    accel_cpuid_table_free(table);
#if defined(__x86_64__)
    ACCEL_CLEANUP(accel_buf_free) struct accel_buf text = {0};
    uint32_t mine[4];
    ok(accel_host_cpuid_text(&text, &err) == ACCEL_OK &&
           accel_cpuid_table_parse(text.data, &table, &err) == ACCEL_OK &&
           accel_cpuid_get(table, 7, 0, regs, &err) == ACCEL_OK &&
           accel_cpuid_get(NULL, 7, 0, mine, &err) == ACCEL_OK &&
           memcmp(regs, mine, sizeof(regs)) == 0,
       "the file this machine writes says what the machine says");
    accel_cpuid_table_free(table);
#else
    ok(accel_cpuid_get(NULL, 0, 0, regs, &err) == ACCEL_E_UNSUPPORTED, "there is no CPUID here");
#endif
}

static void runs_tools(void)
{
    struct accel_error err;
    char text[64];
    int status = -1;
    const char *const echo[] = {"/bin/sh", "-c", "echo \"$LC_ALL $HOME.\"; exit 3", NULL};
    const char *const chatty[] = {"/bin/sh", "-c", "while :; do echo spam; done", NULL};
    const char *const slow[] = {"/bin/sh", "-c", "exec sleep 600", NULL};
    const char *const deaf[] = {"/bin/sh", "-c", "exec >&-; sleep 600", NULL};
    const char *const killed[] = {"/bin/sh", "-c", "kill -9 $$", NULL};
    const char *const relative[] = {"sh", NULL};
    const char *const missing[] = {"/no/such/tool", NULL};

    ok(accel_tool_run(echo, 10000, text, sizeof(text), &status, &err) == ACCEL_OK &&
           strcmp(text, "C .\n") == 0 && status == 3,
       "a tool runs in an empty environment; output and status come back");
    ok(accel_tool_run(chatty, 10000, text, sizeof(text), &status, &err) == ACCEL_E_LIMIT,
       "a tool that prints too much is ended");
    ok(accel_tool_run(slow, 50, text, sizeof(text), &status, &err) == ACCEL_E_TIMEOUT,
       "a tool past its deadline is ended");
    ok(accel_tool_run(deaf, 50, text, sizeof(text), &status, &err) == ACCEL_E_TIMEOUT,
       "so is one that closed its output first");
    ok(accel_tool_run(killed, 10000, text, sizeof(text), &status, &err) == ACCEL_OK &&
           status == 137,
       "a killed tool has status 128 + 9");
    ok(accel_tool_run(relative, 1000, text, sizeof(text), &status, &err) == ACCEL_E_INVALID &&
           accel_tool_run(missing, 1000, text, sizeof(text), &status, &err) == ACCEL_E_NOT_FOUND,
       "a tool is named by the absolute path of a file");
}

static void calls_libraries(void)
{
    struct accel_host *host = NULL;
    struct accel_error err;
    struct accel_value result, args[8];
    char buffer[16] = "";
    size_t count;

    if (accel_host_live_new("/", "test", &host, &err) != ACCEL_OK) {
        ok(false, "%s", err.msg);
        return;
    }
    args[0].value.string = "hello";
    ok(host->call(host, "libc.so.6", "strlen", "ls", &result, args, &err) == ACCEL_OK &&
           result.value.integer == 5,
       "a string goes in, a length comes out");
    args[0].value.integer = -7;
    ok(host->call(host, "libc.so.6", "abs", "ii", &result, args, &err) == ACCEL_OK &&
           result.value.integer == 7,
       "a negative int goes in");
    args[0].value.integer = 5;
    ok(host->call(host, "libc.so.6", "toupper", "ii", &result, args, &err) == ACCEL_OK &&
           result.value.integer == 5,
       "an int comes out");
    args[0].value.buffer.bytes = buffer;
    args[0].value.buffer.size = sizeof(buffer);
    args[1].value.string = "text";
    args[2].value.integer = 5;
    ok(host->call(host, "libc.so.6", "memcpy", "pbsl", &result, args, &err) == ACCEL_OK &&
           strcmp(buffer, "text") == 0 && result.value.handle == buffer,
       "a buffer is filled, a handle comes back");
    ok(host->call(host, "libnone-such.so", "f", "v", NULL, NULL, &err) == ACCEL_E_NOT_FOUND &&
           host->call(host, "libc.so.6", "no_such_function", "v", NULL, NULL, &err) ==
               ACCEL_E_NOT_FOUND,
       "a missing library or function is NOT_FOUND");
    ok(host->call(host, "libc.so.6", "abs", "f", NULL, NULL, &err) == ACCEL_E_INVALID &&
           host->call(host, "libc.so.6", "abs", "iiiiiiiiii", NULL, args, &err) ==
               ACCEL_E_INVALID &&
           host->call(host, "libc.so.6", "abs", "", NULL, NULL, &err) == ACCEL_E_INVALID &&
           accel_signature_check("iulpsb", &count, &err) == ACCEL_OK && count == 5,
       "a signature is checked before anything is called");
    accel_host_free(host);
}

static void knows_kernel_events(void)
{
    static const char add[] = "add@/devices/pci0000:00/0000:00:01.0\0ACTION=add\0"
                              "DEVPATH=/devices/x\0SUBSYSTEM=pci\0SEQNUM=1";
    static const char net[] = "add@/devices/x\0ACTION=add\0SUBSYSTEM=net";
    static const char udev[] = "libudev\0ACTION=add\0SUBSYSTEM=pci";
    static const char longer[] = "add@/x\0ACTION=add\0SUBSYSTEM=pcid";
    union {
        char bytes[CMSG_SPACE(sizeof(struct ucred))];
        struct cmsghdr align;
    } control = {0};
    struct sockaddr_nl from = {.nl_family = AF_NETLINK};
    struct ucred who = {.pid = 0, .uid = 0};
    struct msghdr header = {.msg_name = &from,
                            .msg_namelen = sizeof(from),
                            .msg_control = control.bytes,
                            .msg_controllen = sizeof(control.bytes)};
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&header);

    ok(accel_uevent_matches(add, sizeof(add), "pci") &&
           accel_uevent_matches(net, sizeof(net), NULL),
       "an event of the subsystem counts, any without one");
    ok(!accel_uevent_matches(net, sizeof(net), "pci") &&
           !accel_uevent_matches(longer, sizeof(longer), "pci"),
       "one of another subsystem does not");
    ok(!accel_uevent_matches(udev, sizeof(udev), "pci") && !accel_uevent_matches("", 0, NULL) &&
           !accel_uevent_matches("add@/x", 6, NULL),
       "what is no kernel event does not");
    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_CREDENTIALS;
    cmsg->cmsg_len = CMSG_LEN(sizeof(who));
    memcpy(CMSG_DATA(cmsg), &who, sizeof(who));
    ok(accel_uevent_is_kernel(&header), "a packet of the kernel, uid 0, is taken");
    from.nl_pid = 4711;
    ok(!accel_uevent_is_kernel(&header), "one of a process is not");
    from.nl_pid = 0;
    who.uid = 1000;
    memcpy(CMSG_DATA(cmsg), &who, sizeof(who));
    ok(!accel_uevent_is_kernel(&header), "one with another uid is not");
    header.msg_controllen = 0;
    ok(!accel_uevent_is_kernel(&header), "one without credentials is not");
}

static bool readable(int fd, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, timeout_ms) == 1;
}

static void watches_files(struct accel_host *host)
{
    struct accel_error err;
    int fd = -1, second = -1;

    ok(host->watch_file(host, "/sys/a/world", &fd, &err) == ACCEL_OK && fd >= 0 &&
           accel_host_event_fd(host) >= 0,
       "a file that is not there yet can be watched");
    ok(host->watch_file(host, "/none/world", &second, &err) == ACCEL_E_NOT_FOUND &&
           host->watch_file(host, "/sys/", &second, &err) == ACCEL_E_INVALID,
       "its folder must be");
    put(in(tree, "/sys/a/other"), "1");
    ok(readable(accel_host_event_fd(host), 10000), "the host hears of every change in the folder");
    accel_host_take_events(host);
    ok(!readable(fd, 0), "but a change of another file is no news");
    put(in(tree, "/sys/a/world"), "1");
    ok(readable(accel_host_event_fd(host), 10000), "a file is written");
    accel_host_take_events(host);
    ok(readable(fd, 10000), "and the watch becomes readable");
    ok(accel_host_drain(host, fd) && !readable(fd, 0), "until it is drained");
    ok(!accel_host_drain(host, STDIN_FILENO), "another descriptor is not the host's");
    put(in(tree, "/sys/a/new"), "2");
    rename(in(tree, "/sys/a/new"), in(tree, "/sys/a/world"));
    readable(accel_host_event_fd(host), 10000);
    accel_host_take_events(host);
    ok(readable(fd, 10000), "a file put in its place by rename is news too");
}

static void survives_every_failed_allocation(void)
{
    struct accel_host *host = NULL;
    struct accel_error err;
    int fd;

    for (long nth = 0;; nth++) {
        accel_fault_arm(nth);
        int rc = accel_host_live_new(tree, "test", &host, &err);
        if (rc == ACCEL_OK)
            rc = host->watch_file(host, "/sys/value", &fd, &err);
        const bool reached = accel_fault_disarm();
        accel_host_freep(&host);
        if (!reached) {
            ok(rc == ACCEL_OK, "a host is made and watches when there is memory");
            return;
        }
        ok(rc == ACCEL_E_NOMEM, "a host reports that allocation %ld failed", nth);
    }
}

int main(void)
{
    struct accel_error err;
    struct accel_host *host;

    accel_log_init("test", ACCEL_LOG_ERROR);
    make_tree();
    host = tree_host();
    ok(host != NULL, "a folder is a root");
    if (host != NULL) {
        reads_attributes(host);
        never_leaves_the_root(host);
        lists_and_writes(host);
        recorded_trees_have_no_machine(host);
        watches_files(host);
        accel_host_free(host);
    }
    ok(accel_host_live_new("/no/such/tree", "test", &host, &err) == ACCEL_E_NOT_FOUND,
       "a root that is not there is refused");
    cpuid_files();
    runs_tools();
    calls_libraries();
    knows_kernel_events();
    survives_every_failed_allocation();
    nftw(beside, unlink_one, 16, FTW_DEPTH | FTW_PHYS);
    return tap_done();
}
