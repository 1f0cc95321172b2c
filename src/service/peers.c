/* SPDX-License-Identifier: Apache-2.0 */

/* The processes this one asks: hardware children by module, workers as one pool of equals. */

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "service/service_internal.h"

static struct module *find_module(struct accel_service *service, const char *name)
{
    for (struct module *m = service->modules; m != NULL; m = m->next)
        if (strcmp(m->name, name) == 0)
            return m;
    return NULL;
}

static struct worker *find_worker(struct accel_service *service, const char *name)
{
    for (struct worker *w = service->workers; w != NULL; w = w->next)
        if (strcmp(w->name, name) == 0)
            return w;
    return NULL;
}

/* Lock held. */
static struct worker *add_worker(struct accel_service *service, const char *name)
{
    struct worker **end = &service->workers;
    struct worker *w = accel_calloc(1, sizeof(*w));

    if (w == NULL)
        return NULL;
    snprintf(w->name, sizeof(w->name), "%s", name);
    while (*end != NULL)
        end = &(*end)->next;
    *end = w;
    return w;
}

/* Lock held; gives the former peer, which the caller unreferences without the lock. */
static int worker_up(struct accel_service *service, const char *name, unsigned instance, int pid,
                     int socket, struct accel_peer **old, struct accel_error *err)
{
    struct worker *w = find_worker(service, name);
    struct accel_peer *peer;
    char full[64];

    if (w == NULL)
        w = add_worker(service, name);
    if (w == NULL) {
        close(socket);
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for worker %s", name);
    }
    snprintf(full, sizeof(full), "worker-cpu %s", name);
    if (accel_peer_new(socket, full, NULL, NULL, &peer, err) != ACCEL_OK)
        return err->code;
    *old = w->peer;
    w->restarts += w->pid != 0;
    w->peer = peer;
    w->instance = instance;
    w->pid = pid;
    w->keys_next = 0;
    memset(w->keys, 0, sizeof(w->keys));
    pthread_cond_broadcast(&service->changed);
    return ACCEL_OK;
}

static int module_up(struct accel_service *service, const char *name, unsigned instance, int pid,
                     int socket, struct accel_peer **old, struct accel_error *err)
{
    struct module *m = service_module_add(service, name, err);
    struct accel_peer *peer;
    char full[96];

    if (m == NULL) {
        close(socket);
        return err->code;
    }
    m->disabled = false; /* the supervisor's configuration is the newer one */
    snprintf(full, sizeof(full), "hardware %s", name);
    if (accel_peer_new(socket, full, service_module_news, m, &peer, err) != ACCEL_OK)
        return err->code;
    *old = m->peer;
    m->restarts += m->pid != 0;
    m->peer = peer;
    m->instance = instance;
    m->pid = pid;
    m->hello = m->mine = m->not_mine = m->quarantined = m->settled = m->was_down = false;
    m->want_scan = false;
    m->reason[0] = '\0';
    return ACCEL_OK;
}

void accel_service_peer_up(struct accel_service *service, Accel__Ipc__Role role, const char *name,
                           unsigned instance, int pid, int socket)
{
    struct accel_peer *old = NULL;
    struct accel_error err = {0};

    pthread_mutex_lock(&service->lock);
    if (service->stopping) {
        close(socket);
    } else if (role == ACCEL__IPC__ROLE__WORKER_CPU) {
        (void)worker_up(service, name, instance, pid, socket, &old, &err);
    } else if (role == ACCEL__IPC__ROLE__HARDWARE) {
        (void)module_up(service, name, instance, pid, socket, &old, &err);
    } else {
        close(socket);
        accel_fail(&err, ACCEL_E_INVALID, "role %d of %s is none of the service's", (int)role,
                   name);
    }
    pthread_mutex_unlock(&service->lock);
    if (old != NULL) {
        accel_peer_down(old, "it was replaced");
        accel_peer_unref(old);
    }
    if (err.code != ACCEL_OK)
        accel_log_error("process cannot be used", "name=\"%s\" error=\"%s\"", name, err.msg);
    else
        accel_log_debug("process is up", "name=\"%s\" instance=%u pid=%d", name, instance, pid);
}

/* Lock held. */
static struct accel_peer *worker_down(struct accel_service *service,
                                      const Accel__Ipc__PeerDown *down)
{
    struct worker *w = find_worker(service, down->name);
    struct accel_peer *old = NULL;

    if (w == NULL || w->instance != down->instance)
        return NULL;
    old = w->peer;
    w->peer = NULL;
    pthread_cond_broadcast(&service->changed);
    return old;
}

static struct accel_peer *module_down(struct accel_service *service,
                                      const Accel__Ipc__PeerDown *down)
{
    struct module *m = find_module(service, down->name);
    struct accel_peer *old = NULL;

    /* Of a module that was never up here, any news is the newest. */
    if (m == NULL || (m->instance != 0 && m->instance != down->instance))
        return NULL;
    old = m->peer;
    m->peer = NULL;
    m->was_down = true;
    if (!m->not_mine) /* a module that has nothing here ends: its own reason is the better one */
        snprintf(m->reason, sizeof(m->reason), "%s", down->reason);
    m->quarantined = down->quarantined;
    m->tell_quarantine = down->quarantined;
    pthread_cond_broadcast(&m->wake);
    return old;
}

void accel_service_peer_down(struct accel_service *service, const Accel__Ipc__PeerDown *down)
{
    struct accel_peer *old = NULL;

    pthread_mutex_lock(&service->lock);
    if (down->role == ACCEL__IPC__ROLE__WORKER_CPU)
        old = worker_down(service, down);
    else if (down->role == ACCEL__IPC__ROLE__HARDWARE)
        old = module_down(service, down);
    pthread_mutex_unlock(&service->lock);
    if (old == NULL)
        return;
    accel_peer_down(old, down->reason); /* calls under way fail with this reason */
    accel_peer_unref(old);
}

void accel_service_on_hung_peer(struct accel_service *service,
                                void (*fn)(void *context, Accel__Ipc__Role role, const char *name,
                                           const char *reason),
                                void *context)
{
    pthread_mutex_lock(&service->lock);
    service->on_hung = fn;
    service->on_hung_context = context;
    pthread_mutex_unlock(&service->lock);
}

void service_hung(struct accel_service *service, Accel__Ipc__Role role, const char *name,
                  const char *reason)
{
    pthread_mutex_lock(&service->lock);
    void (*fn)(void *, Accel__Ipc__Role, const char *, const char *) = service->on_hung;
    void *context = service->on_hung_context;
    pthread_mutex_unlock(&service->lock);

    accel_log_error("process passed its deadline", "name=\"%s\" reason=\"%s\"", name, reason);
    if (fn != NULL)
        fn(context, role, name, reason);
}

/* ---------------------------------------------------------------- the pool */

static bool holds(const struct worker *w, const char *key)
{
    for (size_t i = 0; i < ACCEL_COUNT(w->keys); i++)
        if (strcmp(w->keys[i], key) == 0)
            return true;
    return false;
}

/* Lock held: the best idle worker, or NULL; *up: some worker lives. */
static struct worker *pick(struct accel_service *service, const char *key, bool *up)
{
    struct worker *found = NULL;

    *up = false;
    for (struct worker *w = service->workers; w != NULL; w = w->next) {
        if (w->peer == NULL || accel_peer_is_down(w->peer))
            continue;
        *up = true;
        if (w->busy > 0)
            continue;
        if (key != NULL && holds(w, key))
            return w;
        if (found == NULL)
            found = w;
    }
    return found;
}

static bool is_set(const _Atomic bool *flag)
{
    return flag != NULL && atomic_load(flag);
}

int service_worker_acquire(struct accel_service *service, const char *key, int64_t at_ms,
                           unsigned *waiting, bool after_others, const _Atomic bool *cancelled,
                           struct worker **worker, struct accel_peer **peer,
                           struct accel_error *err)
{
    struct worker *w;
    bool up, waits = false, counted = false, late = false;
    int rc = ACCEL_OK;

    pthread_mutex_lock(&service->lock);
    const uint64_t others = service->waits_begun;
    while ((w = pick(service, key, &up)) == NULL || service->stopping ||
           (after_others && service->waits_ended < others)) {
        if (service->stopping)
            rc = service_refuse(err);
        else if (is_set(cancelled))
            rc = accel_fail(err, ACCEL_E_CANCELLED, "cancelled while it waited for a worker");
        else if (late && !up)
            rc = accel_fail(err, ACCEL_E_UNAVAILABLE, "no worker is up");
        else if (late)
            rc = accel_fail(err, ACCEL_E_TIMEOUT, "no worker became free in time");
        else if (waiting != NULL && !counted && *waiting >= service->limits.queue)
            rc = accel_fail(err, ACCEL_E_BUSY,
                            "%u requests wait for this model already, its queue is full; try again"
                            " later, or raise limits.infer_queue",
                            *waiting);
        if (rc != ACCEL_OK)
            break;
        if (!waits && !after_others) {
            waits = true;
            service->waits_begun++;
        }
        if (waiting != NULL && !counted) {
            counted = true;
            (*waiting)++;
            service->metrics.infers_queued++;
        }
        late = !service_wait(service, &service->changed, at_ms);
    }
    if (waits) {
        service->waits_ended++;
        pthread_cond_broadcast(&service->changed); /* for who lets others go first */
    }
    if (counted) {
        (*waiting)--;
        service->metrics.infers_queued--;
    }
    if (rc == ACCEL_OK) {
        w->busy++;
        if (key != NULL && !holds(w, key))
            snprintf(w->keys[w->keys_next++ % ACCEL_COUNT(w->keys)], sizeof(w->keys[0]), "%s", key);
        *worker = w;
        *peer = accel_peer_ref(w->peer);
    } else {
        pthread_cond_broadcast(&service->changed); /* stop may wait for the queue to empty */
    }
    pthread_mutex_unlock(&service->lock);
    return rc;
}

void service_worker_release(struct accel_service *service, struct worker *worker,
                            struct accel_peer *peer)
{
    pthread_mutex_lock(&service->lock);
    worker->busy--;
    pthread_cond_broadcast(&service->changed);
    pthread_mutex_unlock(&service->lock);
    accel_peer_unref(peer);
}

/* (L) by itself: who cancels the job pokes this peer. */
static void set_job_peer(struct accel_service *service, struct job *job, struct accel_peer *peer)
{
    if (job == NULL)
        return;
    pthread_mutex_lock(&service->lock);
    job->peer = peer;
    pthread_mutex_unlock(&service->lock);
}

static int call_once(struct accel_service *service, const struct worker_call *c, bool *sent,
                     struct accel_ipc_packet *answer, struct accel_error *err)
{
    struct worker *worker;
    struct accel_peer *peer;
    struct accel_call call = {.request = c->request,
                              .fds = c->fds,
                              .fds_count = c->fds_count,
                              .progress = c->progress,
                              .context = c->progress_context,
                              .cancelled = c->cancelled,
                              .sent = sent};

    *sent = true; /* no worker to be had is no reason to look for another */
    if (service_worker_acquire(service, c->key, c->wait_until_ms, c->waiting, c->after_others,
                               c->cancelled, &worker, &peer, err) != ACCEL_OK)
        return err->code;
    if (c->began_ns != NULL)
        *c->began_ns = accel_now_ns();
    /* The worker keeps its own, shorter deadline: one that misses even this hangs. */
    call.deadline_ms = c->deadline_ms > 0 ? c->deadline_ms + service->hung_grace_ms : 0;
    set_job_peer(service, c->job, peer);
    const int64_t began_ms = accel_now_ms();
    const int rc = accel_peer_call(peer, &call, answer, err);
    set_job_peer(service, c->job, NULL);
    /* A TIMEOUT that the worker itself answers in time is no fault of its own. */
    if (rc == ACCEL_E_TIMEOUT && call.deadline_ms > 0 &&
        accel_now_ms() - began_ms >= call.deadline_ms)
        service_hung(service, ACCEL__IPC__ROLE__WORKER_CPU, worker->name, err->msg);
    service_worker_release(service, worker, peer);
    return rc;
}

int service_worker_call(struct accel_service *service, const struct worker_call *call,
                        struct accel_ipc_packet *answer, struct accel_error *err)
{
    bool sent;
    int rc = call_once(service, call, &sent, answer, err);

    if (rc == ACCEL_E_UNAVAILABLE && !sent) {
        accel_log_info("worker was gone before it was asked", "error=\"%s\"", err->msg);
        rc = call_once(service, call, &sent, answer, err);
    }
    return rc;
}

void service_workers_drop(struct accel_service *service, const char *key)
{
    struct accel_peer *peers[64];
    size_t count = 0;
    Accel__Ipc__Drop body = ACCEL__IPC__DROP__INIT;

    body.model_key = (char *)key;
    pthread_mutex_lock(&service->lock);
    for (struct worker *w = service->workers; w != NULL && count < ACCEL_COUNT(peers); w = w->next)
        if (w->peer != NULL && holds(w, key)) {
            peers[count++] = accel_peer_ref(w->peer);
            for (size_t i = 0; i < ACCEL_COUNT(w->keys); i++)
                if (strcmp(w->keys[i], key) == 0)
                    w->keys[i][0] = '\0';
        }
    pthread_mutex_unlock(&service->lock);
    for (size_t i = 0; i < count; i++) {
        Accel__Ipc__Message message = ACCEL__IPC__MESSAGE__INIT;
        message.body_case = ACCEL__IPC__MESSAGE__BODY_DROP;
        message.drop = &body;
        /* A worker that is gone holds nothing. */
        (void)accel_peer_tell(peers[i], &message, NULL, 0, NULL);
        accel_peer_unref(peers[i]);
    }
}

/* ---------------------------------------------------------------- what is shown of them */

static const char *module_state(const struct module *m)
{
    if (m->not_mine)
        return "not-mine";
    if (m->quarantined)
        return "quarantined";
    if (m->peer != NULL && m->hello && m->settled)
        return "active";
    return m->peer == NULL && m->was_down ? "down" : "starting";
}

/* Lock held. */
static int copy_module(const struct module *m, struct accel_bump *mem,
                       struct accel_module_status *out)
{
    struct accel_scan_problem *problems =
        accel_bump_alloc(mem, ACCEL_MAX(m->problems_count, 1), sizeof(*problems));

    *out = (struct accel_module_status){
        .name = accel_bump_strdup(mem, m->name),
        .version = accel_bump_strdup(mem, m->version),
        .family = accel_bump_strdup(mem, m->family),
        .priority = m->priority,
        .state = module_state(m),
        .reason = m->reason[0] != '\0' ? accel_bump_strdup(mem, m->reason) : NULL,
        .restarts = m->restarts,
        .pid = m->peer != NULL ? m->pid : 0,
        .privileged = m->privileged,
        .can_program = m->can_program,
        .can_attach = m->can_attach,
        .can_read = m->can_read,
        .open_ms = m->open_ms,
        .discover_ms = m->discover_ms,
        .devices = m->devices,
        .last_scan_at = m->last_scan_at[0] != '\0' ? accel_bump_strdup(mem, m->last_scan_at) : NULL,
        .problems_count = m->problems_count,
        .problems = problems};
    if (out->name == NULL || out->version == NULL || out->family == NULL || problems == NULL)
        return ACCEL_E_NOMEM;
    for (size_t i = 0; i < m->problems_count; i++) {
        problems[i].where = accel_bump_strdup(mem, m->problems[i].where);
        problems[i].reason = accel_bump_strdup(mem, m->problems[i].reason);
        if (problems[i].where == NULL || problems[i].reason == NULL)
            return ACCEL_E_NOMEM;
    }
    return ACCEL_OK;
}

int accel_service_list_modules(struct accel_service *service, struct accel_bump *mem,
                               struct accel_module_status **modules, size_t *count,
                               struct accel_error *err)
{
    size_t n = 0, i = 0;
    int rc = ACCEL_OK;

    pthread_mutex_lock(&service->lock);
    for (const struct module *m = service->modules; m != NULL; m = m->next)
        n += !m->disabled;
    struct accel_module_status *made = accel_bump_alloc(mem, ACCEL_MAX(n, 1), sizeof(*made));
    if (made == NULL)
        rc = ACCEL_E_NOMEM;
    for (const struct module *m = service->modules; rc == ACCEL_OK && m != NULL; m = m->next)
        if (!m->disabled)
            rc = copy_module(m, mem, &made[i++]);
    pthread_mutex_unlock(&service->lock);
    if (rc != ACCEL_OK)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to list %zu modules", n);
    *modules = made;
    *count = n;
    return ACCEL_OK;
}

int accel_service_list_workers(struct accel_service *service, struct accel_bump *mem,
                               struct accel_worker_status **workers, size_t *count,
                               struct accel_error *err)
{
    size_t n = 0, i = 0;

    pthread_mutex_lock(&service->lock);
    for (const struct worker *w = service->workers; w != NULL; w = w->next)
        n++;
    struct accel_worker_status *made = accel_bump_alloc(mem, ACCEL_MAX(n, 1), sizeof(*made));
    for (const struct worker *w = service->workers; made != NULL && w != NULL; w = w->next, i++) {
        const bool up = w->peer != NULL && !accel_peer_is_down(w->peer);
        unsigned held = 0;
        for (size_t k = 0; k < ACCEL_COUNT(w->keys); k++)
            held += w->keys[k][0] != '\0';
        made[i] = (struct accel_worker_status){.name = accel_bump_strdup(mem, w->name),
                                               .state = up ? "up" : "down",
                                               .pid = up ? w->pid : 0,
                                               .restarts = w->restarts,
                                               .busy = w->busy,
                                               .models_held = up ? held : 0};
        if (made[i].name == NULL)
            made = NULL;
    }
    pthread_mutex_unlock(&service->lock);
    if (made == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to list %zu workers", n);
    *workers = made;
    *count = n;
    return ACCEL_OK;
}
