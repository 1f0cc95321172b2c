/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "tap.h"

static int wait_for(pid_t pid)
{
    int status = -1;

    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

/* Runs a shell line with two descriptors and returns what it printed on descriptor 3. */
static const char *run(const char *script, const struct accel_identity *identity, char *out,
                       size_t size)
{
    struct accel_error err;
    int pipe_fds[2], other[2];
    char *argv[] = {(char *)"sh", (char *)"-c", (char *)script, NULL};
    pid_t pid;
    size_t got = 0;

    out[0] = '\0';
    if (pipe2(pipe_fds, O_CLOEXEC) != 0 || pipe2(other, O_CLOEXEC) != 0)
        return out;
    const int fds[] = {pipe_fds[1], other[0]};
    const struct accel_spawn how = {
        .program = "/bin/sh", .argv = argv, .fds = fds, .fds_count = 2, .identity = identity};
    const int rc = accel_spawn(&how, &pid, &err);
    close(pipe_fds[1]);
    if (rc == ACCEL_OK) {
        (void)accel_read_full(pipe_fds[0], out, size - 1, &got, "pipe", &err);
        out[got] = '\0';
        wait_for(pid);
    } else {
        snprintf(out, size, "%s", err.msg);
    }
    close(pipe_fds[0]);
    close(other[0]);
    close(other[1]);
    return out;
}

static void gives_exactly_the_descriptors_named(void)
{
    char out[512];
    const int leak = open("/dev/null", O_RDONLY); /* without close-on-exec, on purpose */

    /* Asked one by one: listing the folder would take a descriptor. A shell may keep a copy of what
     * it redirects at 10. */
    run("n=0; while [ $n -lt 200 ]; do [ $n != 10 ] && [ -e /proc/$$/fd/$n ] && printf '%s ' $n; "
        "n=$((n + 1)); done >&3",
        NULL, out, sizeof(out));
    ok(strcmp(out, "0 1 2 3 4 ") == 0, "a child has 0 to 4 and nothing else: %s", out);
    run("readlink /proc/$$/fd/0 >&3", NULL, out, sizeof(out));
    ok(strcmp(out, "/dev/null\n") == 0, "its standard input is /dev/null");
    close(leak);
}

static void reports_what_cannot_start(void)
{
    struct accel_error err;
    char *argv[] = {(char *)"x", NULL};
    const struct accel_spawn how = {.program = "/nowhere/acceld-worker", .argv = argv};
    pid_t pid;

    ok(accel_spawn(&how, &pid, &err) == ACCEL_E_NOT_FOUND &&
           strstr(err.msg, "/nowhere/acceld-worker") != NULL,
       "a missing program is reported, not a child that dies: %s", err.msg);
    ok(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD, "and leaves no zombie");
}

static void says_how_it_ended(void)
{
    char *exits[] = {(char *)"sh", (char *)"-c", (char *)"exit 3", NULL};
    char *dies[] = {(char *)"sh", (char *)"-c", (char *)"kill -11 $$", NULL};
    struct accel_spawn how = {.program = "/bin/sh", .argv = exits};
    struct accel_error err;
    char text[96];
    pid_t pid;

    ok(accel_spawn(&how, &pid, &err) == ACCEL_OK &&
           strcmp(accel_wait_status_text(wait_for(pid), text, sizeof(text)), "exit status 3") == 0,
       "%s", text);
    how.argv = dies;
    ok(accel_spawn(&how, &pid, &err) == ACCEL_OK &&
           strcmp(accel_wait_status_text(wait_for(pid), text, sizeof(text)),
                  "killed by signal 11 (Segmentation fault)") == 0,
       "%s", text);
}

static void becomes_another_user(void)
{
    struct accel_identity nobody, missing;
    struct accel_error err;
    char out[512];

    ok(accel_identity_find("no-such-user-here", &missing, &err) == ACCEL_E_NOT_FOUND &&
           strstr(err.msg, "useradd --system no-such-user-here") != NULL,
       "a missing user is refused with the cure: %s", err.msg);
    ok(accel_identity_find("root", &missing, &err) == ACCEL_E_INVALID, "root is refused: %s",
       err.msg);
    if (!ok(accel_identity_find("nobody", &nobody, &err) == ACCEL_OK && nobody.uid != 0,
            "nobody is found"))
        return;
    if (geteuid() != 0) {
        ok(strstr(run("true", &nobody, out, sizeof(out)), "Operation not permitted") != NULL,
           "an ordinary user cannot become another: %s", out);
        return;
    }
    run("grep -hE '^(Uid|Gid|Groups|CapEff|CapPrm|CapBnd|NoNewPrivs):' /proc/$$/status | "
        "tr '\\n\\t' '  ' >&3",
        &nobody, out, sizeof(out));
    char uid[64];
    snprintf(uid, sizeof(uid), "Uid: %d %d %d %d", nobody.uid, nobody.uid, nobody.uid, nobody.uid);
    ok(strstr(out, uid) != NULL, "all its user ids are nobody's: %s", out);
    ok(strstr(out, "CapPrm: 0000000000000000") != NULL &&
           strstr(out, "CapEff: 0000000000000000") != NULL &&
           strstr(out, "CapBnd: 0000000000000000") != NULL,
       "it has no capability and can gain none");
    ok(strstr(out, "NoNewPrivs: 1") != NULL, "no program it runs gives it more");
}

/* A child of a child, so that this test is not the parent that must die. */
static void dies_with_its_parent(void)
{
    int told[2];
    pid_t grandchild = 0;

    if (pipe2(told, O_CLOEXEC) != 0)
        return;
    const pid_t middle = fork();
    if (middle == 0) {
        char *argv[] = {(char *)"sh", (char *)"-c", (char *)"echo $$ >&3; read never <&4", NULL};
        int forever[2];
        struct accel_error err;
        pid_t pid;
        if (pipe(forever) != 0)
            _exit(1);
        const int fds[] = {told[1], forever[0]};
        const struct accel_spawn how = {
            .program = "/bin/sh", .argv = argv, .fds = fds, .fds_count = 2};
        if (accel_spawn(&how, &pid, &err) != ACCEL_OK)
            _exit(1);
        pause();
    }
    close(told[1]);
    char text[32] = "";
    if (read(told[0], text, sizeof(text) - 1) > 0)
        grandchild = (pid_t)atol(text);
    ok(grandchild > 0, "a supervisor and its child run");
    kill(middle, SIGKILL);
    wait_for(middle);
    /* The pipe it holds is closed by its death. */
    ok(read(told[0], text, 1) == 0, "the child does not outlive a supervisor that is killed");
    close(told[0]);
}

int main(void)
{
    gives_exactly_the_descriptors_named();
    reports_what_cannot_start();
    says_how_it_ended();
    becomes_another_user();
    dies_with_its_parent();
    return tap_done();
}
