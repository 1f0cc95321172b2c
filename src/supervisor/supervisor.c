/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/signalfd.h>
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
#include "supervisor/spawn.h"
#include "supervisor/supervisor_internal.h"

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
                      supervisor_role_name(c->role), c->name, (int)c->pid, asked->reason);
    supervisor_kill(c, asked->reason[0] != '\0' ? asked->reason : "it hangs");
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
                        supervisor_role_name(c->role), c->name, err.msg);
        supervisor_kill(c, err.msg);
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
        supervisor_reap(s);
        break;
    case SIGHUP:
        supervisor_reload(s);
        break;
    default:
        supervisor_begin_stop(s, info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM");
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

        supervisor_start_due(s, now);
        supervisor_hardware_connect(s, now);
        supervisor_kill_overdue(s, now);
        feed_watchdog(s, now);
        if (s->stage != GOING && supervisor_all_ended(s))
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
            supervisor_begin_stop(s, "poll failed");
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
    supervisor_add_child(s, ACCEL__IPC__ROLE__CONTROL, "control", "acceld-control");
    if (hardware)
        supervisor_main_left(s); /* not there yet */
    return supervisor_arrange(s, false, false, err);
}

/* The control process's business, as its user: the supervisor knows no SQL. The lock says that no
 * daemon runs, and keeps one from starting meanwhile. */
static int restore(struct supervisor *s, int *status, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_freep) char *database = NULL;
    ACCEL_CLEANUP(accel_closep) int fd = open(s->options->restore, O_RDONLY | O_CLOEXEC);
    struct child control = {.program = "acceld-control"};
    struct accel_spawn_args a = {0};

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
    accel_spawn_add(&a, NULL, control.program);
    accel_spawn_add_fd(&a, "--restore-fd", fd);
    accel_spawn_add(&a, "--database", database);
    rc = supervisor_spawn(s, &control, &a, s->drop, err);
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
