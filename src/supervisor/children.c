/* SPDX-License-Identifier: Apache-2.0 */
/* The children: started, spoken to, stopped, and what follows when one ends. */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/ipc.h"
#include "core/roles.h"
#include "supervisor/notify.h"
#include "supervisor/restart.h"
#include "supervisor/spawn.h"
#include "supervisor/supervisor_internal.h"

#define WORKER_STOP_MS     3000
#define HARDWARE_STOP_MS   10000
#define WATCHDOG_PERIOD_MS 5000 /* without systemd's */

const char *supervisor_role_name(Accel__Ipc__Role role)
{
    switch (role) {
    case ACCEL__IPC__ROLE__CONTROL:
        return "control";
    case ACCEL__IPC__ROLE__HARDWARE:
        return "hardware";
    default:
        return "worker-cpu";
    }
}

struct child *supervisor_control(struct supervisor *s)
{
    return &s->children[0];
}

bool supervisor_control_runs(const struct supervisor *s)
{
    return s->children[0].state == RUNNING;
}

void supervisor_kill(struct child *c, const char *reason)
{
    snprintf(c->reason, sizeof(c->reason), "%.150s", reason);
    if (c->pid > 0)
        kill(c->pid, SIGKILL);
}

void supervisor_tell(struct child *c, Accel__Ipc__Message *message, int fd)
{
    struct accel_error err;

    if (c->link < 0)
        return;
    if (accel_ipc_send(c->link, message, &fd, fd >= 0 ? 1 : 0, &err) == ACCEL_OK)
        return;
    if (c->pid == 0) { /* the main part: it comes back with a connection that is in step */
        accel_log_warning("message to the main part failed", "error=\"%s\"", err.msg);
        shutdown(c->link, SHUT_RDWR);
        return;
    }
    accel_log_warning("message to a child failed", "child=\"%s %s\" pid=%d error=\"%s\"",
                      supervisor_role_name(c->role), c->name, (int)c->pid, err.msg);
    if (c->state == RUNNING || c->state == STOPPING)
        supervisor_kill(c, "it does not read its messages");
}

/* ---------------------------------------------------------------- channels */

/* Our end is never waited on: a child that is hung must not hang us. */
static int make_link(int pair[2], struct accel_error *err)
{
    if (accel_ipc_pair(pair, err) != ACCEL_OK)
        return err->code;
    fcntl(pair[0], F_SETFL, O_NONBLOCK);
    return ACCEL_OK;
}

static void tell_control_peer_up(struct supervisor *s, const struct child *c, int channel)
{
    Accel__Ipc__Message message = ACCEL__IPC__MESSAGE__INIT;
    Accel__Ipc__PeerUp up = ACCEL__IPC__PEER_UP__INIT;

    message.body_case = ACCEL__IPC__MESSAGE__BODY_PEER_UP;
    message.peer_up = &up;
    up.role = c->role;
    up.name = (char *)c->name;
    up.instance = c->instance;
    up.pid = c->pid;
    supervisor_tell(supervisor_control(s), &message, channel);
}

void supervisor_reconnect(struct supervisor *s, struct child *c)
{
    Accel__Ipc__Message message = ACCEL__IPC__MESSAGE__INIT;
    Accel__Ipc__PeerUp up = ACCEL__IPC__PEER_UP__INIT;
    struct accel_error err;
    int pair[2];

    if (accel_ipc_pair(pair, &err) != ACCEL_OK) {
        supervisor_kill(c, err.msg);
        return;
    }
    message.body_case = ACCEL__IPC__MESSAGE__BODY_PEER_UP;
    message.peer_up = &up;
    up.role = ACCEL__IPC__ROLE__CONTROL;
    up.name = (char *)"control";
    up.instance = supervisor_control(s)->instance;
    up.pid = supervisor_control(s)->pid;
    supervisor_tell(c, &message, pair[0]);
    tell_control_peer_up(s, c, pair[1]);
    close(pair[0]);
    close(pair[1]);
}

/* ---------------------------------------------------------------- starting */

int supervisor_spawn(struct supervisor *s, struct child *c, struct accel_spawn_args *a, bool drop,
                     struct accel_error *err)
{
    char path[320];

    snprintf(path, sizeof(path), "%s/%s", s->places.libexec, c->program);
    const struct accel_spawn how = {.program = path,
                                    .argv = a->argv,
                                    .fds = a->fds,
                                    .fds_count = a->fds_count,
                                    .identity = drop ? &s->identity : NULL};
    return accel_spawn(&how, &c->pid, err);
}

static int start_control(struct supervisor *s, struct child *c, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_closep) int theirs = -1;
    char watchdog[24];
    struct accel_spawn_args a = {0};
    int link[2];

    if (make_link(link, err) != ACCEL_OK)
        return err->code;
    theirs = link[1];
    snprintf(watchdog, sizeof(watchdog), "%" PRId64,
             s->notify.watchdog_ms > 0 ? s->notify.watchdog_ms / 2 : WATCHDOG_PERIOD_MS);
    accel_spawn_add(&a, NULL, c->program);
    accel_spawn_add_fd(&a, "--config-fd", s->config_fd);
    accel_spawn_add(&a, "--config-path", s->config->path);
    accel_spawn_add_fd(&a, "--supervisor-fd", theirs);
    if (s->listeners.tcp >= 0)
        accel_spawn_add_fd(&a, "--listen-fd", s->listeners.tcp);
    if (s->listeners.unix_fd >= 0)
        accel_spawn_add_fd(&a, "--listen-fd", s->listeners.unix_fd);
    accel_spawn_add(&a, "--watchdog-ms", watchdog);
    if (supervisor_spawn(s, c, &a, s->drop, err) != ACCEL_OK) {
        close(link[0]);
        return err->code;
    }
    c->link = link[0];
    s->watchdog_ms = 0;
    return ACCEL_OK;
}

static int start_hardware(struct supervisor *s, struct child *c, int channel,
                          struct accel_error *err)
{
    ACCEL_CLEANUP(accel_closep) int theirs = -1, section = -1;
    struct accel_spawn_args a = {0};
    int link[2];

    if (accel_memfd_of("section", c->section, strlen(c->section), &section, err) != ACCEL_OK ||
        make_link(link, err) != ACCEL_OK)
        return err->code;
    theirs = link[1];
    accel_spawn_add(&a, NULL, c->program);
    accel_spawn_add(&a, "--module", c->name);
    accel_spawn_add(&a, "--module-dir", s->config->drivers.module_dir);
    accel_spawn_add(&a, "--sysroot", s->config->sysroot);
    accel_spawn_add(&a, "--hostname", s->config->hostname);
    accel_spawn_add_fd(&a, "--config-fd", section);
    accel_spawn_add_fd(&a, "--channel-fd", channel);
    accel_spawn_add_fd(&a, "--supervisor-fd", theirs);
    accel_spawn_add(&a, "--log-level", accel_log_level_name(s->config->log_level));
    if (s->drop)
        accel_spawn_add(&a, "--user", s->config->user);
    if (supervisor_spawn(s, c, &a, false, err) != ACCEL_OK) {
        close(link[0]);
        return err->code;
    }
    c->link = link[0];
    return ACCEL_OK;
}

static int start_worker(struct supervisor *s, struct child *c, int channel, struct accel_error *err)
{
    struct accel_spawn_args a = {0};

    accel_spawn_add(&a, NULL, c->program);
    accel_spawn_add(&a, "--name", c->name);
    accel_spawn_add_fd(&a, "--config-fd", s->config_fd);
    accel_spawn_add_fd(&a, "--channel-fd", channel);
    return supervisor_spawn(s, c, &a, s->drop, err);
}

static int start_peer(struct supervisor *s, struct child *c, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_closep) int theirs = -1, controls = -1;
    int pair[2];

    if (accel_ipc_pair(pair, err) != ACCEL_OK)
        return err->code;
    theirs = pair[0];
    controls = pair[1];
    const int rc = c->role == ACCEL__IPC__ROLE__HARDWARE ? start_hardware(s, c, theirs, err)
                                                         : start_worker(s, c, theirs, err);
    if (rc == ACCEL_OK)
        tell_control_peer_up(s, c, controls);
    return rc;
}

static void failed(struct supervisor *s, struct child *c, const char *reason);

static void start_child(struct supervisor *s, struct child *c)
{
    struct accel_error err;

    c->instance++;
    c->reason[0] = '\0';
    const int rc =
        c->role == ACCEL__IPC__ROLE__CONTROL ? start_control(s, c, &err) : start_peer(s, c, &err);
    if (rc != ACCEL_OK && c->role == ACCEL__IPC__ROLE__CONTROL && !s->was_ready) {
        accel_log_error("cannot start", "error=\"%s\"", err.msg);
        s->exit_status = 1;
        c->due_ms = INT64_MAX;
        supervisor_begin_stop(s, "the control process cannot be started");
        return;
    }
    if (rc != ACCEL_OK) {
        failed(s, c, err.msg);
        return;
    }
    c->state = RUNNING;
    accel_log_debug("started", "child=\"%s %s\" pid=%d instance=%u", supervisor_role_name(c->role),
                    c->name, (int)c->pid, c->instance);
    if (c->role == ACCEL__IPC__ROLE__CONTROL && s->options->part == ACCEL_PART_MAIN)
        supervisor_hardware_leave(s); /* a new connection brings new channels */
    if (c->role == ACCEL__IPC__ROLE__CONTROL)
        for (size_t i = 1; i < s->count; i++)
            if (s->children[i].state == RUNNING &&
                s->children[i].role == ACCEL__IPC__ROLE__HARDWARE)
                supervisor_reconnect(s, &s->children[i]);
}

void supervisor_start_due(struct supervisor *s, int64_t now)
{
    if (s->stage != GOING)
        return;
    for (size_t i = 0; i < s->count && s->stage == GOING; i++) {
        struct child *c = &s->children[i];
        if (c->state == WAITING && c->due_ms <= now && (i == 0 || supervisor_control_runs(s)))
            start_child(s, c);
    }
}

/* ---------------------------------------------------------------- stopping */

static void send_stop(struct child *c)
{
    Accel__Ipc__Message message = ACCEL__IPC__MESSAGE__INIT;
    Accel__Ipc__Stop stop = ACCEL__IPC__STOP__INIT;

    message.body_case = ACCEL__IPC__MESSAGE__BODY_STOP;
    message.stop = &stop;
    supervisor_tell(c, &message, -1);
}

void supervisor_stop_child(struct child *c, int64_t now)
{
    if (c->state != RUNNING) {
        if (c->state == WAITING)
            c->due_ms = INT64_MAX;
        return;
    }
    c->state = STOPPING;
    if (c->role == ACCEL__IPC__ROLE__WORKER_CPU) {
        c->due_ms = now + WORKER_STOP_MS;
        kill(c->pid, SIGTERM);
    } else {
        c->due_ms = now + HARDWARE_STOP_MS;
        send_stop(c);
    }
}

static void end_others(struct supervisor *s, int64_t now)
{
    s->stage = ENDING;
    for (size_t i = 1; i < s->count; i++)
        supervisor_stop_child(&s->children[i], now);
}

void supervisor_begin_stop(struct supervisor *s, const char *why)
{
    const int64_t now = accel_now_ms();

    if (s->stage != GOING) {
        accel_log_warning("told to stop again: killing what is left", "by=\"%s\"", why);
        for (size_t i = 0; i < s->count; i++)
            supervisor_kill(&s->children[i], "told to stop twice");
        return;
    }
    accel_log_info("stopping", "by=\"%s\"", why);
    accel_notify_send(&s->notify, "STOPPING=1\nSTATUS=Stopping: %s", why);
    s->stage = DRAINING;
    if (s->options->part == ACCEL_PART_HARDWARE)
        supervisor_main_left(s); /* its own business when it ends */
    if (!supervisor_control_runs(s)) {
        supervisor_control(s)->due_ms = INT64_MAX;
        end_others(s, now);
        return;
    }
    supervisor_stop_child(supervisor_control(s), now);
    /* It drains: requests under way may take their time. */
    supervisor_control(s)->due_ms = now + s->config->limits.request_ms + 5000;
}

bool supervisor_all_ended(const struct supervisor *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->children[i].pid > 0)
            return false;
    return true;
}

void supervisor_kill_overdue(struct supervisor *s, int64_t now)
{
    for (size_t i = 0; i < s->count; i++) {
        struct child *c = &s->children[i];
        if (c->state == STOPPING && c->due_ms <= now && c->reason[0] == '\0') {
            accel_log_warning("a process did not end in time", "child=\"%s %s\" pid=%d",
                              supervisor_role_name(c->role), c->name, (int)c->pid);
            supervisor_kill(c, "it did not end in time");
        }
    }
    struct child *control = supervisor_control(s);
    if (control->state == RUNNING && s->watchdog_ms > 0 && control->reason[0] == '\0' &&
        now - s->watchdog_ms > CONTROL_HUNG_MS) {
        accel_log_error("the control process shows no sign of life", "pid=%d", (int)control->pid);
        supervisor_kill(control, "no sign of life for 60 s");
    }
}

/* ---------------------------------------------------------------- what ended */

void supervisor_tell_down(struct supervisor *s, const struct child *c, const char *reason,
                          int64_t restart_in_ms)
{
    Accel__Ipc__Message message = ACCEL__IPC__MESSAGE__INIT;
    Accel__Ipc__PeerDown down = ACCEL__IPC__PEER_DOWN__INIT;

    message.body_case = ACCEL__IPC__MESSAGE__BODY_PEER_DOWN;
    message.peer_down = &down;
    down.role = c->role;
    down.name = (char *)c->name;
    down.instance = c->instance;
    down.reason = (char *)reason;
    down.quarantined = c->state == QUARANTINED;
    down.restart_in_ms = restart_in_ms;
    supervisor_tell(supervisor_control(s), &message, -1);
}

/* The child is not running and was not meant to end. */
static void failed(struct supervisor *s, struct child *c, const char *reason)
{
    const int64_t now = accel_now_ms();
    const int64_t wait = accel_restart_after(&c->restart, now);

    c->state = WAITING;
    c->due_ms = now + wait;
    if (c->role == ACCEL__IPC__ROLE__CONTROL) {
        accel_log_error("the control process failed", "reason=\"%s\" restart_in_ms=%" PRId64,
                        reason, wait);
        accel_notify_send(&s->notify, "STATUS=The control process failed: %s", reason);
        return;
    }
    if (c->role == ACCEL__IPC__ROLE__HARDWARE && accel_restart_too_often(&c->restart)) {
        c->state = QUARANTINED;
        accel_log_error("module quarantined",
                        "module=%s reason=\"%s\" failures=%d cure=\"reload the configuration\"",
                        c->name, reason, ACCEL_QUARANTINE_FAILURES);
    } else {
        accel_log_warning("a process failed",
                          "child=\"%s %s\" reason=\"%s\" restart_in_ms=%" PRId64,
                          supervisor_role_name(c->role), c->name, reason, wait);
    }
    if (supervisor_control_runs(s))
        supervisor_tell_down(s, c, reason, c->state == QUARANTINED ? 0 : wait);
}

void supervisor_forget(struct supervisor *s, size_t i)
{
    accel_free(s->children[i].section);
    memmove(&s->children[i], &s->children[i + 1], (s->count - i - 1) * sizeof(s->children[0]));
    s->count--;
}

/* Workers hold what the dead control process asked for; hardware may be programming, and stays. */
static void control_ended(struct supervisor *s)
{
    for (size_t i = 1; i < s->count; i++) {
        struct child *c = &s->children[i];
        if (c->role == ACCEL__IPC__ROLE__WORKER_CPU && c->state == RUNNING) {
            c->state = STOPPING;
            c->due_ms = INT64_MAX;
            supervisor_kill(c, "the control process ended");
        }
    }
}

static void child_ended(struct supervisor *s, size_t i, int status)
{
    struct child *c = &s->children[i];
    const enum state was = c->state;
    const bool is_control = c->role == ACCEL__IPC__ROLE__CONTROL;
    char how[96], reason[280];

    accel_wait_status_text(status, how, sizeof(how));
    snprintf(reason, sizeof(reason), "%s%s%s", how, c->reason[0] != '\0' ? ": " : "", c->reason);
    c->pid = 0;
    accel_closep(&c->link);
    if (s->stage != GOING) {
        /* A worker ends by itself when control closes its channel, or by our SIGTERM. */
        if (c->role == ACCEL__IPC__ROLE__WORKER_CPU ? status != 0 && was != STOPPING
                                                    : status != 0 || was != STOPPING) {
            accel_log_warning("a process ended badly", "child=\"%s %s\" reason=\"%s\"",
                              supervisor_role_name(c->role), c->name, reason);
            if (is_control && s->exit_status == 0)
                s->exit_status = 1;
        }
        c->state = WAITING;
        c->due_ms = INT64_MAX;
        if (is_control && s->stage == DRAINING)
            end_others(s, accel_now_ms());
        return;
    }
    if (is_control)
        control_ended(s);
    if (was == STOPPING) { /* as asked */
        if (supervisor_control_runs(s))
            supervisor_tell_down(s, c, c->unwanted ? "disabled" : "restarted as asked", 0);
        c->state = WAITING;
        c->due_ms = 0;
        if (c->unwanted)
            supervisor_forget(s, i);
        return;
    }
    if (is_control && ((!s->was_ready && WIFEXITED(status)) ||
                       (WIFEXITED(status) && WEXITSTATUS(status) == ACCEL_EXIT_CONFIG))) {
        /* It said why itself. Starting it again would say the same again. */
        accel_log_error("the control process cannot start", "reason=\"%s\"", reason);
        s->exit_status = WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : 1;
        c->state = WAITING;
        c->due_ms = INT64_MAX;
        supervisor_begin_stop(s, "the control process cannot start");
        return;
    }
    failed(s, c, reason);
}

void supervisor_reap(struct supervisor *s)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (size_t i = 0; i < s->count; i++)
            if (s->children[i].pid == pid) {
                child_ended(s, i, status);
                break;
            }
}
