/* SPDX-License-Identifier: Apache-2.0 */
/* The table of children is made what the configuration says, at the start and at each reload. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/ipc.h"
#include "supervisor/notify.h"
#include "supervisor/restart.h"
#include "supervisor/supervisor_internal.h"

struct child *supervisor_add_child(struct supervisor *s, Accel__Ipc__Role role, const char *name,
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

int supervisor_arrange(struct supervisor *s, bool all_hardware, bool all_workers,
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
            supervisor_forget(s, i);
            continue;
        }
        if (again || c->unwanted)
            supervisor_stop_child(c, now);
    }
    for (size_t i = 0; i < config->drivers.count; i++) {
        const struct accel_config_driver *driver = &config->drivers.list[i];
        if (supervisor_find_child(s, ACCEL__IPC__ROLE__HARDWARE, driver->name) != NULL)
            continue;
        struct child *c =
            supervisor_add_child(s, ACCEL__IPC__ROLE__HARDWARE, driver->name, "acceld-hardware");
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
            supervisor_add_child(s, ACCEL__IPC__ROLE__WORKER_CPU, name, "acceld-worker") == NULL)
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
    if (supervisor_arrange(s, hardware, workers, &err) != ACCEL_OK)
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
