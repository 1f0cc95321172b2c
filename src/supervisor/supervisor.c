/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/ipc.h"
#include "core/roles.h"
#include "supervisor/link.h"
#include "supervisor/listen.h"
#include "supervisor/notify.h"
#include "supervisor/restart.h"
#include "supervisor/spawn.h"
#include "supervisor/supervisor_internal.h"

#define WORKER_STOP_MS     3000
#define HARDWARE_STOP_MS   10000
#define WATCHDOG_PERIOD_MS 5000  /* without systemd's */
#define CONTROL_HUNG_MS    60000 /* no sign of life from its store's writer */

static const char *role_name(Accel__Ipc__Role role)
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

static void kill_child(struct child *c, const char *reason)
{
    snprintf(c->reason, sizeof(c->reason), "%.150s", reason);
    if (c->pid > 0)
        kill(c->pid, SIGKILL);
}

/* A message on a child's supervisor channel. A child that does not read is hung, and killed. */
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
                      role_name(c->role), c->name, (int)c->pid, err.msg);
    if (c->state == RUNNING || c->state == STOPPING)
        kill_child(c, "it does not read its messages");
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

/* A hardware child that outlived the control process gets a channel to the new one. */
void supervisor_reconnect(struct supervisor *s, struct child *c)
{
    Accel__Ipc__Message message = ACCEL__IPC__MESSAGE__INIT;
    Accel__Ipc__PeerUp up = ACCEL__IPC__PEER_UP__INIT;
    struct accel_error err;
    int pair[2];

    if (accel_ipc_pair(pair, &err) != ACCEL_OK) {
        kill_child(c, err.msg);
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

#define ARGS_MAX 32

struct args {
    char *argv[ARGS_MAX];
    size_t argc;
    char numbers[ARGS_MAX][12];
    int fds[ACCEL_SPAWN_FDS_MAX];
    size_t fds_count;
};

static void add_arg(struct args *a, const char *name, const char *value)
{
    if (name != NULL)
        a->argv[a->argc++] = (char *)name;
    a->argv[a->argc++] = (char *)value;
}

/* Passes a descriptor and says which number it will have. */
static void add_fd(struct args *a, const char *name, int fd)
{
    char *number = a->numbers[a->argc];

    snprintf(number, sizeof(a->numbers[0]), "%zu", ACCEL_SPAWN_FD + a->fds_count);
    a->fds[a->fds_count++] = fd;
    add_arg(a, name, number);
}

static int spawn(struct supervisor *s, struct child *c, struct args *a, bool drop,
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
    struct args a = {0};
    int link[2];

    if (make_link(link, err) != ACCEL_OK)
        return err->code;
    theirs = link[1];
    snprintf(watchdog, sizeof(watchdog), "%" PRId64,
             s->notify.watchdog_ms > 0 ? s->notify.watchdog_ms / 2 : WATCHDOG_PERIOD_MS);
    add_arg(&a, NULL, c->program);
    add_fd(&a, "--config-fd", s->config_fd);
    add_arg(&a, "--config-path", s->config->path);
    add_fd(&a, "--supervisor-fd", theirs);
    if (s->listeners.tcp >= 0)
        add_fd(&a, "--listen-fd", s->listeners.tcp);
    if (s->listeners.unix_fd >= 0)
        add_fd(&a, "--listen-fd", s->listeners.unix_fd);
    add_arg(&a, "--watchdog-ms", watchdog);
    if (spawn(s, c, &a, s->drop, err) != ACCEL_OK) {
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
    struct args a = {0};
    int link[2];

    if (accel_memfd_of("section", c->section, strlen(c->section), &section, err) != ACCEL_OK ||
        make_link(link, err) != ACCEL_OK)
        return err->code;
    theirs = link[1];
    add_arg(&a, NULL, c->program);
    add_arg(&a, "--module", c->name);
    add_arg(&a, "--module-dir", s->config->drivers.module_dir);
    add_arg(&a, "--sysroot", s->config->sysroot);
    add_arg(&a, "--hostname", s->config->hostname);
    add_fd(&a, "--config-fd", section);
    add_fd(&a, "--channel-fd", channel);
    add_fd(&a, "--supervisor-fd", theirs);
    add_arg(&a, "--log-level", accel_log_level_name(s->config->log_level));
    if (s->drop)
        add_arg(&a, "--user", s->config->user);
    if (spawn(s, c, &a, false, err) != ACCEL_OK) {
        close(link[0]);
        return err->code;
    }
    c->link = link[0];
    return ACCEL_OK;
}

static int start_worker(struct supervisor *s, struct child *c, int channel, struct accel_error *err)
{
    struct args a = {0};

    add_arg(&a, NULL, c->program);
    add_arg(&a, "--name", c->name);
    add_fd(&a, "--config-fd", s->config_fd);
    add_fd(&a, "--channel-fd", channel);
    return spawn(s, c, &a, s->drop, err);
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
static void begin_stop(struct supervisor *s, const char *why);

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
        begin_stop(s, "the control process cannot be started");
        return;
    }
    if (rc != ACCEL_OK) {
        failed(s, c, err.msg);
        return;
    }
    c->state = RUNNING;
    accel_log_debug("started", "child=\"%s %s\" pid=%d instance=%u", role_name(c->role), c->name,
                    (int)c->pid, c->instance);
    if (c->role == ACCEL__IPC__ROLE__CONTROL && s->options->part == ACCEL_PART_MAIN)
        supervisor_hardware_leave(s); /* a new connection brings new channels */
    if (c->role == ACCEL__IPC__ROLE__CONTROL)
        for (size_t i = 1; i < s->count; i++)
            if (s->children[i].state == RUNNING &&
                s->children[i].role == ACCEL__IPC__ROLE__HARDWARE)
                supervisor_reconnect(s, &s->children[i]);
}

/* Control comes first: the others talk to it. */
static void start_due(struct supervisor *s, int64_t now)
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

/* Asks one process to end, and sets when it is killed if it does not. */
static void stop_child(struct child *c, int64_t now)
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
        stop_child(&s->children[i], now);
}

static void begin_stop(struct supervisor *s, const char *why)
{
    const int64_t now = accel_now_ms();

    if (s->stage != GOING) {
        accel_log_warning("told to stop again: killing what is left", "by=\"%s\"", why);
        for (size_t i = 0; i < s->count; i++)
            kill_child(&s->children[i], "told to stop twice");
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
    stop_child(supervisor_control(s), now);
    /* It drains: requests under way may take their time. */
    supervisor_control(s)->due_ms = now + s->config->limits.request_ms + 5000;
}

static bool all_ended(const struct supervisor *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->children[i].pid > 0)
            return false;
    return true;
}

static void kill_overdue(struct supervisor *s, int64_t now)
{
    for (size_t i = 0; i < s->count; i++) {
        struct child *c = &s->children[i];
        if (c->state == STOPPING && c->due_ms <= now && c->reason[0] == '\0') {
            accel_log_warning("a process did not end in time", "child=\"%s %s\" pid=%d",
                              role_name(c->role), c->name, (int)c->pid);
            kill_child(c, "it did not end in time");
        }
    }
    struct child *control = supervisor_control(s);
    if (control->state == RUNNING && s->watchdog_ms > 0 && control->reason[0] == '\0' &&
        now - s->watchdog_ms > CONTROL_HUNG_MS) {
        accel_log_error("the control process shows no sign of life", "pid=%d", (int)control->pid);
        kill_child(control, "no sign of life for 60 s");
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
                          role_name(c->role), c->name, reason, wait);
    }
    if (supervisor_control_runs(s))
        supervisor_tell_down(s, c, reason, c->state == QUARANTINED ? 0 : wait);
}

static void forget(struct supervisor *s, size_t i)
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
            kill_child(c, "the control process ended");
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
                              role_name(c->role), c->name, reason);
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
            forget(s, i);
        return;
    }
    if (is_control && ((!s->was_ready && WIFEXITED(status)) ||
                       (WIFEXITED(status) && WEXITSTATUS(status) == ACCEL_EXIT_CONFIG))) {
        /* It said why itself. Starting it again would say the same again. */
        accel_log_error("the control process cannot start", "reason=\"%s\"", reason);
        s->exit_status = WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : 1;
        c->state = WAITING;
        c->due_ms = INT64_MAX;
        begin_stop(s, "the control process cannot start");
        return;
    }
    failed(s, c, reason);
}

static void reap(struct supervisor *s)
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

/* ---------------------------------------------------------------- configuration */

static struct child *add_child(struct supervisor *s, Accel__Ipc__Role role, const char *name,
                               const char *program)
{
    if (s->count == CHILDREN_MAX)
        return NULL;
    struct child *c = &s->children[s->count++];
    *c = (struct child){.role = role, .program = program, .link = -1, .state = WAITING};
    snprintf(c->name, sizeof(c->name), "%s", name);
    return c;
}

struct child *supervisor_find_child(struct supervisor *s, Accel__Ipc__Role role, const char *name)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->children[i].role == role && strcmp(s->children[i].name, name) == 0 &&
            !s->children[i].unwanted)
            return &s->children[i];
    return NULL;
}

static const struct accel_config_driver *find_driver(const struct accel_config *config,
                                                     const char *name)
{
    for (size_t i = 0; i < config->drivers.count; i++)
        if (strcmp(config->drivers.list[i].name, name) == 0)
            return &config->drivers.list[i];
    return NULL;
}

/* Makes the table of children what the configuration says. `all_hardware`: each must start anew. */
static int arrange(struct supervisor *s, bool all_hardware, bool all_workers,
                   struct accel_error *err)
{
    const struct accel_config *config = s->config;
    const int64_t now = accel_now_ms();

    for (size_t i = s->count; i-- > 1;) {
        struct child *c = &s->children[i];
        const struct accel_config_driver *driver = NULL;
        bool again = all_workers;

        if (c->unwanted)
            continue;
        if (c->role == ACCEL__IPC__ROLE__HARDWARE) {
            driver = find_driver(config, c->name);
            c->unwanted = driver == NULL;
            again = driver != NULL && (all_hardware || strcmp(driver->section, c->section) != 0);
        } else {
            c->unwanted = strtoul(c->name, NULL, 10) > config->workers.count;
        }
        if (again && driver != NULL) {
            char *section = accel_strdup(driver->section);
            if (section == NULL)
                return accel_fail(err, ACCEL_E_NOMEM, "no memory to restart %s", c->name);
            accel_free(c->section);
            c->section = section;
        }
        if (c->state == QUARANTINED) { /* a reload is another chance */
            c->state = WAITING;
            c->due_ms = 0;
            c->restart = (struct accel_restart){0};
        }
        if (c->unwanted && c->pid == 0) {
            forget(s, i);
            continue;
        }
        if (again || c->unwanted)
            stop_child(c, now);
    }
    for (size_t i = 0; i < config->drivers.count; i++) {
        const struct accel_config_driver *driver = &config->drivers.list[i];
        if (supervisor_find_child(s, ACCEL__IPC__ROLE__HARDWARE, driver->name) != NULL)
            continue;
        struct child *c = add_child(s, ACCEL__IPC__ROLE__HARDWARE, driver->name, "acceld-hardware");
        if (c != NULL && s->options->part == ACCEL_PART_MAIN)
            c->state = ELSEWHERE;
        char *section = accel_strdup(driver->section);
        if (c == NULL || section == NULL)
            return accel_fail(err, ACCEL_E_NOMEM, "no room for module %s", driver->name);
        c->section = section;
    }
    if (s->options->part == ACCEL_PART_HARDWARE)
        return ACCEL_OK;
    for (unsigned n = 1; n <= config->workers.count; n++) {
        char name[12];
        snprintf(name, sizeof(name), "%u", n);
        if (supervisor_find_child(s, ACCEL__IPC__ROLE__WORKER_CPU, name) == NULL &&
            add_child(s, ACCEL__IPC__ROLE__WORKER_CPU, name, "acceld-worker") == NULL)
            return accel_fail(err, ACCEL_E_LIMIT, "no room for worker %u", n);
    }
    return ACCEL_OK;
}

static bool differ(const char *a, const char *b)
{
    return (a == NULL) != (b == NULL) || (a != NULL && strcmp(a, b) != 0);
}

/* Sockets, folders and the user are taken once. */
static void warn_of_restart(const struct accel_config *old, const struct accel_config *new)
{
    const struct {
        const char *key, *a, *b;
    } fixed[] = {
        {"api.listen", old->api.tcp, new->api.tcp},
        {"api.socket", old->api.unix_path, new->api.unix_path},
        {"api.socket_group", old->api.unix_group, new->api.unix_group},
        {"node.state_dir", old->state_dir, new->state_dir},
        {"node.runtime_dir", old->runtime_dir, new->runtime_dir},
        {"node.hostname", old->hostname, new->hostname},
        {"node.user", old->user, new->user},
    };

    for (size_t i = 0; i < ACCEL_COUNT(fixed); i++)
        if (differ(fixed[i].a, fixed[i].b))
            accel_log_warning("a changed key takes effect when acceld is started again", "key=%s",
                              fixed[i].key);
}

static void tell_log_level(struct supervisor *s)
{
    Accel__Ipc__Message message = ACCEL__IPC__MESSAGE__INIT;
    Accel__Ipc__SetLogLevel level = ACCEL__IPC__SET_LOG_LEVEL__INIT;

    message.body_case = ACCEL__IPC__MESSAGE__BODY_SET_LOG_LEVEL;
    message.set_log_level = &level;
    level.level = (char *)accel_log_level_name(s->config->log_level);
    for (size_t i = 1; i < s->count; i++)
        if (s->children[i].state == RUNNING)
            supervisor_tell(&s->children[i], &message, -1);
}

static void tell_control_reload(struct supervisor *s)
{
    Accel__Ipc__Message message = ACCEL__IPC__MESSAGE__INIT;
    Accel__Ipc__Reload reload = ACCEL__IPC__RELOAD__INIT;

    message.body_case = ACCEL__IPC__MESSAGE__BODY_RELOAD;
    message.reload = &reload;
    reload.path = (char *)s->config->path;
    supervisor_tell(supervisor_control(s), &message, s->config_fd);
}

static void reload_failed(struct supervisor *s, const struct accel_error *err)
{
    accel_log_error("the configuration was not reloaded; the old one stays", "error=\"%s\"",
                    err->msg);
    accel_notify_send(&s->notify, "READY=1\nSTATUS=Not reloaded: %s", err->msg);
}

void supervisor_reload(struct supervisor *s)
{
    struct accel_config *config = NULL;
    ACCEL_CLEANUP(accel_freep) char *text = NULL;
    ACCEL_CLEANUP(accel_closep) int fd = -1;
    struct accel_error err;

    if (s->stage != GOING)
        return;
    accel_notify_send(&s->notify, "RELOADING=1\nMONOTONIC_USEC=%" PRId64, accel_now_ns() / 1000);
    if (accel_options_load(s->options, &text, &config, &err) != ACCEL_OK ||
        accel_memfd_of("acceld.yaml", text, strlen(text), &fd, &err) != ACCEL_OK) {
        accel_config_free(config);
        reload_failed(s, &err);
        return;
    }
    struct accel_config *old = s->config;
    warn_of_restart(old, config);
    s->config = config;
    accel_free(s->text);
    s->text = accel_steal(&text);
    close(s->config_fd);
    s->config_fd = accel_steal_fd(&fd);

    const bool hardware = differ(old->sysroot, config->sysroot) ||
                          differ(old->drivers.module_dir, config->drivers.module_dir);
    const bool workers =
        memcmp(&old->limits.model, &config->limits.model, sizeof(old->limits.model)) != 0 ||
        old->workers.threads != config->workers.threads ||
        old->workers.memory_bytes != config->workers.memory_bytes ||
        old->workers.models != config->workers.models ||
        old->workers.cpu_mask != config->workers.cpu_mask;
    accel_log_set_level(config->log_level);
    accel_config_free(old);
    if (arrange(s, hardware, workers, &err) != ACCEL_OK)
        accel_log_error("reload", "error=\"%s\"", err.msg);
    tell_log_level(s);
    accel_log_info("configuration reloaded", "path=\"%s\"", config->path);
    if (s->options->part == ACCEL_PART_MAIN) {
        s->hardware_reloads = true;
        if (s->passed_over)
            supervisor_hardware_leave(s); /* a new connection brings the channel that was refused */
        supervisor_hardware_reload(s);
    }
    if (supervisor_control_runs(s) && s->options->part != ACCEL_PART_HARDWARE) {
        s->reloading = true; /* READY=1 follows when control has taken it */
        tell_control_reload(s);
    } else {
        accel_notify_send(&s->notify, "READY=1");
    }
}

/* ---------------------------------------------------------------- messages and signals */

static void control_is_ready(struct supervisor *s)
{
    const int64_t now = accel_now_ms();

    if (!s->was_ready)
        accel_log_info("ready", "after_ms=%" PRId64 " tcp=%s socket=%s", now - s->started_ms,
                       s->listeners.tcp >= 0 ? s->listeners.tcp_address : "none",
                       s->listeners.unix_path[0] != '\0' ? s->listeners.unix_path : "none");
    else if (!s->reloading)
        accel_log_info("ready again", "instance=%u", supervisor_control(s)->instance);
    s->was_ready = true;
    s->reloading = false;
    s->watchdog_ms = now;
    accel_notify_send(&s->notify, "READY=1\nSTATUS=Serving on %s",
                      s->listeners.tcp >= 0 ? s->listeners.tcp_address : s->listeners.unix_path);
}

void supervisor_restart_peer(struct supervisor *s, const Accel__Ipc__RestartPeer *asked)
{
    struct child *c = supervisor_find_child(s, asked->role, asked->name);

    if (c != NULL && c->state == ELSEWHERE) {
        supervisor_hardware_ask(s, asked);
        return;
    }
    if (c == NULL || c->state != RUNNING || c->role == ACCEL__IPC__ROLE__CONTROL)
        return;
    accel_log_warning("killing a process that hangs", "child=\"%s %s\" pid=%d reason=\"%s\"",
                      role_name(c->role), c->name, (int)c->pid, asked->reason);
    kill_child(c, asked->reason[0] != '\0' ? asked->reason : "it hangs");
}

static void from_control(struct supervisor *s, const Accel__Ipc__Message *m)
{
    switch (m->body_case) {
    case ACCEL__IPC__MESSAGE__BODY_READY:
        control_is_ready(s);
        break;
    case ACCEL__IPC__MESSAGE__BODY_WATCHDOG:
        s->watchdog_ms = accel_now_ms();
        if (s->notify.watchdog_ms > 0)
            accel_notify_send(&s->notify, "WATCHDOG=1");
        break;
    case ACCEL__IPC__MESSAGE__BODY_STATUS: {
        char text[512];
        /* A line of its own would be another variable. */
        snprintf(text, sizeof(text), "%.*s", (int)strcspn(m->status->text, "\r\n"),
                 m->status->text);
        accel_notify_send(&s->notify, "STATUS=%s", text);
        break;
    }
    case ACCEL__IPC__MESSAGE__BODY_RESTART_PEER:
        supervisor_restart_peer(s, m->restart_peer);
        break;
    default:
        accel_log_debug("message of the control process passed over", "kind=%d", (int)m->body_case);
    }
}

static void read_link(struct supervisor *s, struct child *c)
{
    const bool is_main = s->options->part == ACCEL_PART_HARDWARE;
    struct accel_ipc_packet packet;
    struct accel_error err;

    if (accel_ipc_receive(c->link, &packet, &err) == ACCEL_OK) {
        if (is_main && c->role == ACCEL__IPC__ROLE__CONTROL)
            supervisor_main_message(s, packet.message);
        else if (c->role == ACCEL__IPC__ROLE__CONTROL)
            from_control(s, packet.message);
        accel_ipc_packet_free(&packet);
        return;
    }
    if (is_main && c->role == ACCEL__IPC__ROLE__CONTROL) {
        accel_log_info("the main part is gone", "reason=\"%s\"", err.msg);
        accel_notify_send(&s->notify, "STATUS=Waiting for the main part");
        supervisor_main_left(s);
        return;
    }
    if (err.code != ACCEL_E_UNAVAILABLE) {
        accel_log_error("a child's message is damaged", "child=\"%s %s\" error=\"%s\"",
                        role_name(c->role), c->name, err.msg);
        kill_child(c, err.msg);
    }
    accel_closep(&c->link); /* its end follows by SIGCHLD */
}

static void read_signal(struct supervisor *s)
{
    struct signalfd_siginfo info;

    if (read(s->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return;
    switch (info.ssi_signo) {
    case SIGCHLD:
        reap(s);
        break;
    case SIGHUP:
        supervisor_reload(s);
        break;
    default:
        begin_stop(s, info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM");
    }
}

/* In the main part it is the control process whose life is told; here there is only this loop. */
static void feed_watchdog(struct supervisor *s, int64_t now)
{
    if (s->options->part != ACCEL_PART_HARDWARE || s->notify.watchdog_ms <= 0 ||
        now < s->fed_ms + s->notify.watchdog_ms / 3)
        return;
    s->fed_ms = now;
    accel_notify_send(&s->notify, "WATCHDOG=1");
}

static int next_timeout(const struct supervisor *s, int64_t now)
{
    int64_t next = now + 60000;

    if (s->options->part == ACCEL_PART_HARDWARE && s->notify.watchdog_ms > 0)
        next = s->fed_ms + s->notify.watchdog_ms / 3;

    for (size_t i = 0; i < s->count; i++) {
        const struct child *c = &s->children[i];
        const bool starts =
            c->state == WAITING && s->stage == GOING &&
            (i == 0 || supervisor_control_runs(s)); /* else it waits for control, not time */
        const bool dies = c->state == STOPPING && c->reason[0] == '\0';
        if ((starts || dies) && c->due_ms < next)
            next = c->due_ms;
    }
    if (s->options->part == ACCEL_PART_MAIN && s->hardware < 0 && supervisor_control_runs(s) &&
        s->stage == GOING)
        next = ACCEL_MIN(next, s->hardware_due_ms);
    if (supervisor_control_runs(s) && s->watchdog_ms > 0)
        next = ACCEL_MIN(next, s->watchdog_ms + CONTROL_HUNG_MS + 1);
    return (int)ACCEL_MAX(next - now, 0);
}

static void loop(struct supervisor *s)
{
    struct pollfd polls[CHILDREN_MAX + 2];
    pid_t owner[CHILDREN_MAX + 2];

    for (;;) {
        const int64_t now = accel_now_ms();
        nfds_t n = 1;

        start_due(s, now);
        supervisor_hardware_connect(s, now);
        kill_overdue(s, now);
        feed_watchdog(s, now);
        if (s->stage != GOING && all_ended(s))
            return;
        polls[0] = (struct pollfd){.fd = s->signals, .events = POLLIN};
        for (size_t i = 0; i < s->count; i++)
            if (s->children[i].link >= 0) {
                owner[n] = s->children[i].pid;
                polls[n++] = (struct pollfd){.fd = s->children[i].link, .events = POLLIN};
            }
        const int other = s->hardware >= 0 ? s->hardware : s->listener;
        const nfds_t children = n;
        if (other >= 0)
            polls[n++] = (struct pollfd){.fd = other, .events = POLLIN};
        if (poll(polls, n, next_timeout(s, now)) < 0 && errno != EINTR) {
            accel_log_error("poll", "error=\"%s\"", strerrordesc_np(errno));
            begin_stop(s, "poll failed");
            continue;
        }
        /* Messages first: a process may have said something before it ended. */
        for (nfds_t k = 1; k < children; k++)
            for (size_t i = 0; polls[k].revents != 0 && i < s->count; i++)
                if (s->children[i].pid == owner[k] && s->children[i].link == polls[k].fd)
                    read_link(s, &s->children[i]);
        if (other >= 0 && polls[children].revents != 0 && other == s->hardware)
            supervisor_hardware_read(s);
        else if (other >= 0 && polls[children].revents != 0 && other == s->listener)
            supervisor_main_accept(s);
        if (polls[0].revents != 0)
            read_signal(s);
    }
}

/* ---------------------------------------------------------------- start */

static int make_folder(const char *path, mode_t mode, const struct accel_identity *owner,
                       struct accel_error *err)
{
    char part[512];

    if (snprintf(part, sizeof(part), "%s", path) >= (int)sizeof(part))
        return accel_fail(err, ACCEL_E_INVALID, "%.64s...: path too long", path);
    for (char *slash = part + 1; (slash = strchr(slash, '/')) != NULL; *slash++ = '/') {
        *slash = '\0';
        if (mkdir(part, 0755) != 0 && errno != EEXIST)
            return accel_fail_errno(err, errno, "make folder %s", part);
    }
    if (mkdir(path, mode) != 0 && errno != EEXIST)
        return accel_fail_errno(err, errno, "make folder %s", path);
    /* Also of a folder that was there: the demo as root runs as nobody after running as acceld. */
    if (owner != NULL && chown(path, owner->uid, owner->gid) != 0)
        return accel_fail_errno(err, errno, "give folder %s to the daemon's user", path);
    return ACCEL_OK;
}

/* One daemon per state folder: two would hand out the same devices. */
static int lock_state(struct supervisor *s, struct accel_error *err)
{
    char path[600], pid[24] = "";

    const bool hardware = s->options->part == ACCEL_PART_HARDWARE;
    const char *folder = hardware ? s->config->runtime_dir : s->config->state_dir;

    snprintf(path, sizeof(path), "%s/%s.lock", folder, hardware ? "hardware" : "acceld");
    s->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (s->lock < 0)
        return accel_fail_errno(err, errno, "open %s", path);
    if (flock(s->lock, LOCK_EX | LOCK_NB) != 0) {
        if (pread(s->lock, pid, sizeof(pid) - 1, 0) < 0)
            pid[0] = '\0';
        pid[strcspn(pid, "\n")] = '\0';
        return accel_fail(err, ACCEL_E_EXISTS,
                          "another acceld (process %s) uses %s: stop it, or choose another folder "
                          "with %s",
                          pid, folder, hardware ? "--runtime-dir" : "--state-dir");
    }
    const int length = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
    if (ftruncate(s->lock, 0) != 0 || pwrite(s->lock, pid, (size_t)length, 0) != length)
        return accel_fail_errno(err, errno, "write %s", path);
    return ACCEL_OK;
}

static int catch_signals(struct supervisor *s, struct accel_error *err)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return s->signals >= 0 ? ACCEL_OK : accel_fail_errno(err, errno, "signalfd");
}

static int listen_for_clients(struct supervisor *s, const struct accel_identity *owner,
                              struct accel_error *err)
{
    int rc = make_folder(s->config->state_dir, 0750, owner, err);

    if (rc == ACCEL_OK)
        rc = make_folder(s->config->runtime_dir, 0755, owner, err);
    if (rc == ACCEL_OK)
        rc = lock_state(s, err);
    return rc == ACCEL_OK ? accel_listen(s->config, owner, &s->listeners, err) : rc;
}

/* With systemd's socket there is one of us and nothing to make: no folder is written to. */
static int listen_for_main(struct supervisor *s, const struct accel_identity *owner,
                           struct accel_error *err)
{
    int rc = accel_link_inherit(&s->listener, err);

    if (rc != ACCEL_OK || s->listener >= 0)
        return rc;
    rc = make_folder(s->config->runtime_dir, 0755, owner, err);
    if (rc == ACCEL_OK)
        rc = lock_state(s, err);
    return rc == ACCEL_OK ? accel_link_listen(s->config, owner, &s->listener, s->listener_path, err)
                          : rc;
}

static int prepare(struct supervisor *s, struct accel_error *err)
{
    int rc = catch_signals(s, err);

    if (rc == ACCEL_OK)
        rc = accel_options_load(s->options, &s->text, &s->config, err);
    if (rc != ACCEL_OK)
        return rc;
    accel_log_set_level(s->config->log_level);
    rc = accel_places_find(&s->places, err);
    s->drop = geteuid() == 0;
    if (rc == ACCEL_OK && s->drop)
        rc = accel_identity_find(s->config->user, &s->identity, err);
    const struct accel_identity *owner = s->drop ? &s->identity : NULL;
    const bool hardware = s->options->part == ACCEL_PART_HARDWARE;
    if (rc == ACCEL_OK && hardware)
        rc = listen_for_main(s, owner, err);
    else if (rc == ACCEL_OK)
        rc = listen_for_clients(s, owner, err);
    if (rc == ACCEL_OK)
        rc = accel_memfd_of("acceld.yaml", s->text, strlen(s->text), &s->config_fd, err);
    if (rc != ACCEL_OK)
        return rc;
    add_child(s, ACCEL__IPC__ROLE__CONTROL, "control", "acceld-control");
    if (hardware)
        supervisor_main_left(s); /* not there yet */
    return arrange(s, false, false, err);
}

/* The control process's business, as its user: the supervisor knows no SQL. The lock says that no
 * daemon runs, and keeps one from starting meanwhile. */
static int restore(struct supervisor *s, int *status, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_freep) char *database = NULL;
    ACCEL_CLEANUP(accel_closep) int fd = open(s->options->restore, O_RDONLY | O_CLOEXEC);
    struct child control = {.program = "acceld-control"};
    struct args a = {0};

    if (fd < 0)
        return accel_fail_errno(err, errno, "open %s", s->options->restore);
    int rc = accel_options_load(s->options, &s->text, &s->config, err);
    if (rc == ACCEL_OK)
        rc = accel_places_find(&s->places, err);
    s->drop = geteuid() == 0;
    if (rc == ACCEL_OK && s->drop)
        rc = accel_identity_find(s->config->user, &s->identity, err);
    if (rc == ACCEL_OK)
        rc = make_folder(s->config->state_dir, 0750, s->drop ? &s->identity : NULL, err);
    if (rc == ACCEL_OK)
        rc = lock_state(s, err);
    if (rc != ACCEL_OK)
        return rc;
    database = accel_asprintf("%s/acceld.db", s->config->state_dir);
    if (database == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory");
    add_arg(&a, NULL, control.program);
    add_fd(&a, "--restore-fd", fd);
    add_arg(&a, "--database", database);
    rc = spawn(s, &control, &a, s->drop, err);
    if (rc != ACCEL_OK)
        return rc;
    while (waitpid(control.pid, status, 0) < 0)
        if (errno != EINTR)
            return accel_fail_errno(err, errno, "wait for %s", control.program);
    return ACCEL_OK;
}

int accel_supervisor_restore(const struct accel_options *options)
{
    struct supervisor s = {.options = options, .lock = -1};
    struct accel_error err;
    char how[96];
    int status = 1;

    const int rc = restore(&s, &status, &err);
    if (rc != ACCEL_OK)
        fprintf(stderr, "acceld: %s\n", err.msg);
    else if (!WIFEXITED(status))
        fprintf(stderr, "acceld: %s\n", accel_wait_status_text(status, how, sizeof(how)));
    accel_closep(&s.lock);
    accel_config_free(s.config);
    accel_free(s.text);
    return rc == ACCEL_OK && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int accel_supervisor_run(const struct accel_options *options)
{
    struct supervisor s = {.options = options,
                           .started_ms = accel_now_ms(),
                           .listeners = {.tcp = -1, .unix_fd = -1},
                           .listener = -1,
                           .hardware = -1,
                           .hardware_reloads = true,
                           .signals = -1,
                           .lock = -1,
                           .config_fd = -1};
    struct accel_error err;
    int status = 1;

    accel_log_init("supervisor", ACCEL_LOG_INFO);
    accel_notify_open(&s.notify);
    s.children = accel_calloc(CHILDREN_MAX, sizeof(*s.children));
    if (s.children == NULL) {
        accel_log_error("cannot start", "error=\"no memory\"");
    } else if (prepare(&s, &err) != ACCEL_OK) {
        accel_log_error("cannot start", "error=\"%s\"", err.msg);
        accel_notify_send(&s.notify, "STATUS=Cannot start: %s", err.msg);
        status = err.code == ACCEL_E_INVALID ? ACCEL_EXIT_CONFIG : 1;
    } else {
        accel_log_info("starting", "version=%s hostname=%s modules=%zu workers=%u user=%s",
                       ACCELD_VERSION, s.config->hostname, s.config->drivers.count,
                       s.config->workers.count, s.drop ? s.config->user : "its own");
        if (options->part == ACCEL_PART_HARDWARE)
            accel_notify_send(&s.notify, "READY=1\nSTATUS=Waiting for the main part");
        loop(&s);
        status = s.exit_status;
        accel_log_info("stopped", "status=%d", status);
    }
    for (size_t i = 0; i < s.count; i++)
        accel_free(s.children[i].section);
    accel_free(s.children);
    accel_listen_close(&s.listeners);
    accel_notify_close(&s.notify);
    if (s.listener_path[0] != '\0')
        unlink(s.listener_path);
    accel_closep(&s.listener);
    accel_closep(&s.hardware);
    accel_closep(&s.config_fd);
    accel_closep(&s.signals);
    accel_closep(&s.lock);
    accel_config_free(s.config);
    accel_free(s.text);
    return status;
}
