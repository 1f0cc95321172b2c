/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon as two parts: what the main part does for want of modules of its own, and the hardware
 * part for want of a control process of its own. */
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "core/ipc.h"
#include "supervisor/link.h"
#include "supervisor/supervisor_internal.h"

#define LINK_RETRY_MS     100
#define LINK_RETRY_MAX_MS 5000

/* Main part: what the control process is to know of the modules while they are out of reach. */
static void hardware_away(struct supervisor *s, const char *reason)
{
    for (size_t i = 1; i < s->count; i++)
        if (s->children[i].state == ELSEWHERE && supervisor_control_runs(s))
            supervisor_tell_down(s, &s->children[i], reason, s->hardware_wait_ms);
}

void supervisor_hardware_leave(struct supervisor *s)
{
    accel_closep(&s->hardware);
    s->hardware_due_ms = 0;
    s->hardware_answers = false;
}

/* The log says the first failure of a row only. */
static void hardware_failed(struct supervisor *s, const char *reason)
{
    if (s->hardware_wait_ms == 0)
        accel_log_warning("no hardware part", "reason=\"%s\"", reason);
    supervisor_hardware_leave(s);
    s->hardware_wait_ms =
        ACCEL_MIN(ACCEL_MAX(2 * s->hardware_wait_ms, LINK_RETRY_MS), LINK_RETRY_MAX_MS);
    s->hardware_due_ms = accel_now_ms() + s->hardware_wait_ms;
    hardware_away(s, reason);
}

static bool send_hardware(struct supervisor *s, Accel__Ipc__Message *message)
{
    struct accel_error err;

    if (s->hardware >= 0 && accel_ipc_send(s->hardware, message, NULL, 0, &err) == ACCEL_OK)
        return true;
    if (s->hardware >= 0)
        accel_log_warning("message to the hardware part failed", "error=\"%s\"", err.msg);
    return false;
}

/* Both parts read one file: a start or a reload of this part brings the other in line. */
void supervisor_hardware_reload(struct supervisor *s)
{
    Accel__Ipc__Message message = ACCEL__IPC__MESSAGE__INIT;
    Accel__Ipc__Reload reload = ACCEL__IPC__RELOAD__INIT;

    message.body_case = ACCEL__IPC__MESSAGE__BODY_RELOAD;
    message.reload = &reload;
    if (s->hardware_reloads && send_hardware(s, &message))
        s->hardware_reloads = false;
}

/* Main part: tries until the hardware part is there. */
void supervisor_hardware_connect(struct supervisor *s, int64_t now)
{
    struct accel_error err;

    if (s->options->part != ACCEL_PART_MAIN || s->hardware >= 0 || !supervisor_control_runs(s) ||
        s->stage != GOING || now < s->hardware_due_ms)
        return;
    if (accel_link_connect(s->config, &s->hardware, &err) == ACCEL_OK) {
        /* systemd listens for a hardware part that may never start: back-off ends at its word. */
        accel_log_debug("connected to the hardware part's socket", "runtime_dir=\"%s\"",
                        s->config->runtime_dir);
        s->passed_over = false;
        supervisor_hardware_reload(s);
        return;
    }
    hardware_failed(s, err.msg);
}

void supervisor_hardware_ask(struct supervisor *s, const Accel__Ipc__RestartPeer *asked)
{
    Accel__Ipc__Message message = ACCEL__IPC__MESSAGE__INIT;

    message.body_case = ACCEL__IPC__MESSAGE__BODY_RESTART_PEER;
    message.restart_peer = (Accel__Ipc__RestartPeer *)asked;
    (void)send_hardware(s, &message);
}

/* Main part: hands on what the hardware part says of modules that this configuration has. */
static void from_hardware(struct supervisor *s, struct accel_ipc_packet *packet)
{
    Accel__Ipc__Message *m = packet->message;
    const bool up = m->body_case == ACCEL__IPC__MESSAGE__BODY_PEER_UP;

    if (!up && m->body_case != ACCEL__IPC__MESSAGE__BODY_PEER_DOWN)
        return;
    const Accel__Ipc__Role role = up ? m->peer_up->role : m->peer_down->role;
    const char *name = up ? m->peer_up->name : m->peer_down->name;
    struct child *c = supervisor_find_child(s, ACCEL__IPC__ROLE__HARDWARE, name);
    if (role != ACCEL__IPC__ROLE__HARDWARE || (up && packet->fds_count != 1))
        return;
    if (c == NULL) { /* one of the parts has a newer configuration than the other */
        s->passed_over |= up;
        accel_log_info("the hardware part has news of a module that is not enabled here",
                       "module=\"%.40s\" cure=\"reload this part\"", name);
        return;
    }
    c->instance = up ? m->peer_up->instance : m->peer_down->instance;
    if (supervisor_control_runs(s))
        supervisor_tell(supervisor_control(s), m, up ? packet->fds[0] : -1);
}

void supervisor_hardware_read(struct supervisor *s)
{
    struct accel_ipc_packet packet;
    struct accel_error err;

    if (accel_ipc_receive(s->hardware, &packet, &err) == ACCEL_OK) {
        if (!s->hardware_answers)
            accel_log_info("connected to the hardware part", "runtime_dir=\"%s\"",
                           s->config->runtime_dir);
        s->hardware_answers = true;
        s->hardware_wait_ms = 0;
        from_hardware(s, &packet);
        accel_ipc_packet_free(&packet);
        return;
    }
    accel_log_debug("the hardware part's connection ends", "error=\"%s\"", err.msg);
    hardware_failed(s, "the hardware part (acceld-hardware.service) has ended");
}

/* The hardware part goes on without the main part: a programming may be in flight. */
void supervisor_main_left(struct supervisor *s)
{
    struct child *main = supervisor_control(s);

    accel_closep(&main->link);
    main->state = WAITING;
    main->due_ms = INT64_MAX; /* it comes by itself */
}

/* Hardware part: the newest main part counts, as the one before it may be gone unnoticed. */
void supervisor_main_accept(struct supervisor *s)
{
    struct child *main = supervisor_control(s);
    struct accel_error err;
    int fd = -1;

    if (accel_link_accept(s->listener, s->drop ? &s->identity : NULL, &fd, &err) != ACCEL_OK) {
        accel_log_warning("a connection was refused", "error=\"%s\"", err.msg);
        return;
    }
    supervisor_main_left(s);
    if (s->stage != GOING) {
        close(fd);
        return;
    }
    main->link = fd;
    main->state = RUNNING;
    main->instance++;
    accel_log_info("connected to the main part", "instance=%u", main->instance);
    accel_notify_send(&s->notify, "STATUS=Serving the main part");
    for (size_t i = 1; i < s->count; i++) {
        struct child *c = &s->children[i];
        if (c->state == RUNNING)
            supervisor_reconnect(s, c);
        else if (c->state == QUARANTINED)
            supervisor_tell_down(s, c, "it failed too often", 0);
    }
}

/* The hardware part does for the main part these two things only. */
void supervisor_main_message(struct supervisor *s, const Accel__Ipc__Message *m)
{
    if (m->body_case == ACCEL__IPC__MESSAGE__BODY_RESTART_PEER)
        supervisor_restart_peer(s, m->restart_peer);
    else if (m->body_case == ACCEL__IPC__MESSAGE__BODY_RELOAD)
        supervisor_reload(s);
    else
        accel_log_debug("message of the main part passed over", "kind=%d", (int)m->body_case);
}
