/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_SUPERVISOR_INTERNAL_H
#define ACCEL_SUPERVISOR_INTERNAL_H

/* What the files of the supervisor share: the table of children and how they are spoken to. */

#include <sys/types.h>

#include "config/config.h"
#include "core/ipc.h"
#include "core/privileges.h"
#include "supervisor/listen.h"
#include "supervisor/notify.h"
#include "supervisor/options.h"
#include "supervisor/restart.h"
#include "supervisor/spawn.h"

#define CONTROL_HUNG_MS 60000 /* no sign of life from its store's writer */

#define CHILDREN_MAX 160

enum state {
    WAITING, /* to be started at due_ms */
    RUNNING,
    STOPPING,    /* asked to end; killed at due_ms */
    QUARANTINED, /* failed too often: not before a reload */
    ELSEWHERE,   /* the hardware part's; only name and instance are known here */
};

struct child {
    Accel__Ipc__Role role;
    char name[33];
    const char *program;
    char *section; /* hardware: what it was started with; accel_free */
    unsigned instance;
    pid_t pid; /* 0: none */
    int link;  /* our end of its supervisor channel, -1 */
    enum state state;
    bool unwanted; /* to be forgotten once it has ended */
    int64_t due_ms;
    struct accel_restart restart;
    char reason[160]; /* why we killed it, "" */
};

struct supervisor {
    const struct accel_options *options;
    struct accel_config *config;
    char *text;
    struct accel_places places;
    struct accel_identity identity;
    bool drop; /* started as root */
    struct accel_listeners listeners;
    struct accel_notify notify;
    int signals, lock, config_fd;
    struct child *children; /* [0] is control; in the hardware part, the main part's link */
    int listener;           /* hardware part: where the main part connects, -1 */
    char listener_path[108];
    int hardware; /* main part: connection to the hardware part, -1 */
    int64_t hardware_due_ms;
    int64_t hardware_wait_ms; /* before the last attempt, grows; 0: it answers */
    bool hardware_answers;    /* a message came on this connection */
    bool hardware_reloads;    /* main part: it is still to be told to read its configuration */
    bool passed_over;         /* main part: a module's channel was refused, not enabled here */
    size_t count;
    int64_t started_ms, watchdog_ms; /* of control's last sign of life; 0: none yet */
    int64_t fed_ms;                  /* hardware part: when systemd's watchdog was fed */
    bool was_ready;                  /* control has been ready once: its failures are restarted */
    bool reloading;                  /* control has not said Ready to the new configuration yet */
    enum { GOING, DRAINING, ENDING } stage;
    int exit_status;
};

/* ---- children.c */

const char *supervisor_role_name(Accel__Ipc__Role role);
struct child *supervisor_control(struct supervisor *s);
bool supervisor_control_runs(const struct supervisor *s);
/* A message on a child's supervisor channel. A child that does not read is hung, and killed. */
void supervisor_tell(struct child *c, Accel__Ipc__Message *message, int fd);
void supervisor_tell_down(struct supervisor *s, const struct child *c, const char *reason,
                          int64_t restart_in_ms);
/* Gives a running hardware child, which outlived the control process, a channel to the new one. */
void supervisor_reconnect(struct supervisor *s, struct child *c);
/* Starts a program of the libexec folder; c gets its pid. drop: as the daemon's user. */
int supervisor_spawn(struct supervisor *s, struct child *c, struct accel_spawn_args *a, bool drop,
                     struct accel_error *err);
/* Starts what is to be started by now. Control comes first: the others talk to it. */
void supervisor_start_due(struct supervisor *s, int64_t now);
/* Asks one process to end, and sets when it is killed if it does not. */
void supervisor_stop_child(struct child *c, int64_t now);
void supervisor_kill(struct child *c, const char *reason);
void supervisor_kill_overdue(struct supervisor *s, int64_t now);
/* Begins to stop all there is; the second time kills it. why: for the log. */
void supervisor_begin_stop(struct supervisor *s, const char *why);
bool supervisor_all_ended(const struct supervisor *s);
/* Takes note of every child that has ended. */
void supervisor_reap(struct supervisor *s);
void supervisor_forget(struct supervisor *s, size_t i);

/* ---- reload.c */

/* NULL: the table is full. */
struct child *supervisor_add_child(struct supervisor *s, Accel__Ipc__Role role, const char *name,
                                   const char *program);
struct child *supervisor_find_child(struct supervisor *s, Accel__Ipc__Role role, const char *name);
/* Makes the table of children what the configuration says. all_hardware, all_workers: each of them
 * must start anew. */
int supervisor_arrange(struct supervisor *s, bool all_hardware, bool all_workers,
                       struct accel_error *err);
/* Reads the configuration again. */
void supervisor_reload(struct supervisor *s);

/* ---- supervisor.c */

void supervisor_restart_peer(struct supervisor *s, const Accel__Ipc__RestartPeer *asked);

/* ---- parts.c: the main part; in others these do nothing */

/* Connects, when it is time to. */
void supervisor_hardware_connect(struct supervisor *s, int64_t now);
void supervisor_hardware_read(struct supervisor *s);
/* Closes the connection; the next brings new channels. */
void supervisor_hardware_leave(struct supervisor *s);
/* Tells the hardware part to read its configuration, if that is still to be said. */
void supervisor_hardware_reload(struct supervisor *s);
void supervisor_hardware_ask(struct supervisor *s, const Accel__Ipc__RestartPeer *asked);

/* ---- parts.c: the hardware part; the main part stands in control's place in the table */

void supervisor_main_accept(struct supervisor *s);
void supervisor_main_left(struct supervisor *s);
void supervisor_main_message(struct supervisor *s, const Accel__Ipc__Message *m);

#endif
