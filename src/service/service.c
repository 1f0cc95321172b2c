/* SPDX-License-Identifier: Apache-2.0 */

/* Life of the service, and what belongs to no use case. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"
#include "service/service_internal.h"

#define HUNG_GRACE_MS 5000

void service_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attributes);
    pthread_condattr_destroy(&attributes);
}

bool service_wait(struct accel_service *service, pthread_cond_t *cond, int64_t at_ms)
{
    const struct timespec until = {.tv_sec = at_ms / 1000, .tv_nsec = at_ms % 1000 * 1000000};

    if (at_ms == 0) {
        pthread_cond_wait(cond, &service->lock);
        return true;
    }
    return pthread_cond_timedwait(cond, &service->lock, &until) != ETIMEDOUT;
}

int service_refuse(struct accel_error *err)
{
    return accel_fail(err, ACCEL_E_UNAVAILABLE, "the daemon is stopping");
}

bool service_is_stopping(struct accel_service *service)
{
    pthread_mutex_lock(&service->lock);
    const bool stopping = service->stopping;
    pthread_mutex_unlock(&service->lock);
    return stopping;
}

void service_touch(struct accel_service *service)
{
    atomic_fetch_add(&service->generation, 1);
}

bool service_may_see(const struct accel_caller *caller, const char *project_id)
{
    return caller->admin || (project_id != NULL && caller->project_id != NULL &&
                             strcmp(caller->project_id, project_id) == 0);
}

static void take_limits(struct accel_service *service, const struct accel_config *config)
{
    service->limits.scan_period_ms = config->drivers.scan_period_ms;
    service->limits.telemetry_period_ms = config->drivers.telemetry_period_ms;
    service->limits.request_ms = config->limits.request_ms > 0 ? config->limits.request_ms : 60000;
    service->limits.packed_cache_bytes = config->models.packed_cache_bytes;
    service->limits.queue = config->limits.queue;
}

/* Modules that the configuration names, so that readiness waits for each; what it no longer names
 * is not shown any more. Lock held, but in accel_service_new. */
static int take_modules(struct accel_service *service, const struct accel_config *config,
                        struct accel_error *err)
{
    for (struct module *m = service->modules; m != NULL; m = m->next)
        m->disabled = true;
    for (size_t i = 0; i < config->drivers.count; i++) {
        struct module *m = service_module_add(service, config->drivers.list[i].name, err);
        if (m == NULL)
            return err->code;
        m->disabled = false;
    }
    return ACCEL_OK;
}

static int open_models_dir(struct accel_service *service, const char *state_dir,
                           struct accel_error *err)
{
    service->models_dir = accel_asprintf("%s/models", state_dir);
    if (service->models_dir == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for the service");
    if (mkdir(service->models_dir, 0700) != 0 && errno != EEXIST)
        return accel_fail_errno(err, errno, "make %s", service->models_dir);
    service->models_fd = open(service->models_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (service->models_fd < 0)
        return accel_fail_errno(err, errno, "open %s", service->models_dir);
    return ACCEL_OK;
}

int accel_service_new(const struct accel_config *config, struct accel_store *store,
                      struct accel_service **service, struct accel_error *err)
{
    struct accel_service *made = accel_calloc(1, sizeof(*made));
    struct accel_error local;
    char isa[64];

    if (err == NULL)
        err = &local;
    if (made == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for the service");
    made->store = store;
    made->models_fd = -1;
    pthread_mutex_init(&made->lock, NULL);
    service_cond_init(&made->changed);
    service_cond_init(&made->job_wake);
    service_cond_init(&made->progress_wake);
    take_limits(made, config);
    made->hung_grace_ms = HUNG_GRACE_MS;
    made->threads = config->workers.threads > 0 ? config->workers.threads : accel_usable_cpus();
    snprintf(made->core_version, sizeof(made->core_version), "core-%s %s", accel_infer_version(),
             accel_cpu_mask_text(accel_cpu_features() & config->workers.cpu_mask, isa,
                                 sizeof(isa)));
    made->hostname = accel_strdup(config->hostname);
    if (made->hostname == NULL)
        accel_fail(err, ACCEL_E_NOMEM, "no memory for the service");
    else if (open_models_dir(made, config->state_dir, err) == ACCEL_OK &&
             take_modules(made, config, err) == ACCEL_OK) {
        *service = made;
        return ACCEL_OK;
    }
    accel_service_free(made);
    return err->code;
}

int accel_service_start(struct accel_service *service, struct accel_error *err)
{
    if (service_settle_intents(service, err) != ACCEL_OK)
        return accel_fail_in(err, "settle what the last run left half done");
    if (accel_store_fail_open_jobs(service->store, "the daemon ended while it was under way",
                                   err) != ACCEL_OK)
        return accel_fail_in(err, "close the jobs of the last run");
    if (service_clean_models(service, err) != ACCEL_OK ||
        service_jobs_start(service, err) != ACCEL_OK)
        return accel_fail_in(err, "start the service");
    int rc = ACCEL_OK;
    pthread_mutex_lock(&service->lock);
    service->started = true;
    for (struct module *m = service->modules; rc == ACCEL_OK && m != NULL; m = m->next)
        rc = service_module_start(m, err);
    pthread_mutex_unlock(&service->lock);
    return rc;
}

/* Lock held: what runs may end by itself until at_ms. */
static void wait_idle(struct accel_service *service, int64_t at_ms)
{
    for (;;) {
        bool busy = service->metrics.infers_running > 0 || service->metrics.infers_queued > 0;
        for (const struct worker *w = service->workers; w != NULL; w = w->next)
            busy = busy || w->busy > 0;
        if (!busy || !service_wait(service, &service->changed, at_ms))
            return;
    }
}

#define PEERS_MAX 64

/* References to the workers and modules that are connected; returns how many. */
static size_t ref_peers(struct accel_service *service, struct accel_peer *peers[PEERS_MAX])
{
    size_t count = 0;

    pthread_mutex_lock(&service->lock);
    for (struct worker *w = service->workers; w != NULL && count < PEERS_MAX; w = w->next)
        if (w->peer != NULL)
            peers[count++] = accel_peer_ref(w->peer);
    for (struct module *m = service->modules; m != NULL && count < PEERS_MAX; m = m->next)
        if (m->peer != NULL)
            peers[count++] = accel_peer_ref(m->peer);
    pthread_mutex_unlock(&service->lock);
    return count;
}

/* Ends every channel: calls under way fail with the reason. */
static void cut_peers(struct accel_service *service)
{
    struct accel_peer *peers[PEERS_MAX];
    const size_t count = ref_peers(service, peers);

    for (size_t i = 0; i < count; i++) {
        accel_peer_down(peers[i], "the daemon is stopping");
        accel_peer_unref(peers[i]);
    }
}

void accel_service_stop(struct accel_service *service, int64_t deadline_ms)
{
    const int64_t until = accel_now_ms() + ACCEL_MAX(deadline_ms, 1);

    pthread_mutex_lock(&service->lock);
    service->stopping = true;
    service_jobs_cancel_all(service);
    for (struct module *m = service->modules; m != NULL; m = m->next)
        pthread_cond_broadcast(&m->wake);
    pthread_cond_broadcast(&service->changed);
    pthread_cond_broadcast(&service->job_wake);
    pthread_mutex_unlock(&service->lock);
    accel_service_poke(service); /* cancelled jobs look at their flag */

    pthread_mutex_lock(&service->lock);
    wait_idle(service, until);
    pthread_mutex_unlock(&service->lock);
    cut_peers(service);
    for (struct module *m = service->modules; m != NULL; m = m->next)
        if (m->thread != 0) {
            pthread_join(m->thread, NULL);
            m->thread = 0;
        }
    service_jobs_join(service);
}

static void module_free(struct module *m)
{
    accel_peer_unref(m->peer);
    pthread_cond_destroy(&m->wake);
    pthread_mutex_destroy(&m->scan_lock);
    accel_bump_free(&m->report);
    accel_bump_free(&m->samples_mem);
    accel_free(m);
}

void accel_service_free(struct accel_service *service)
{
    if (service == NULL)
        return;
    /* Reading threads run news callbacks: they end before what those look at. */
    for (struct module *m = service->modules, *next; m != NULL; m = next) {
        next = m->next;
        module_free(m);
    }
    for (struct worker *w = service->workers, *next; w != NULL; w = next) {
        next = w->next;
        accel_peer_unref(w->peer);
        accel_free(w);
    }
    service_packed_free_all(service);
    service_shaped_free_all(service);
    for (struct job *j = service->jobs, *next; j != NULL; j = next) {
        next = j->next; /* queued, never started */
        accel_free(j->context);
        accel_free(j);
    }
    for (struct gate *g = service->gates, *next; g != NULL; g = next) {
        next = g->next;
        accel_free(g);
    }
    accel_closep(&service->models_fd);
    pthread_cond_destroy(&service->changed);
    pthread_cond_destroy(&service->job_wake);
    pthread_cond_destroy(&service->progress_wake);
    pthread_mutex_destroy(&service->lock);
    accel_free(service->hostname);
    accel_free(service->models_dir);
    accel_free(service);
}

void accel_service_reload(struct accel_service *service, const struct accel_config *config)
{
    struct accel_error err;

    pthread_mutex_lock(&service->lock);
    take_limits(service, config);
    if (take_modules(service, config, &err) != ACCEL_OK)
        accel_log_error("modules not taken over", "error=\"%s\"", err.msg);
    for (struct module *m = service->modules; m != NULL; m = m->next)
        pthread_cond_broadcast(&m->wake);
    pthread_mutex_unlock(&service->lock);
    service_packed_trim(service);
}

void accel_service_poke(struct accel_service *service)
{
    struct accel_peer *peers[64];
    size_t count = 0;

    pthread_mutex_lock(&service->lock);
    pthread_cond_broadcast(&service->changed);
    for (struct worker *w = service->workers; w != NULL && count < ACCEL_COUNT(peers); w = w->next)
        if (w->peer != NULL)
            peers[count++] = accel_peer_ref(w->peer);
    pthread_mutex_unlock(&service->lock);
    for (size_t i = 0; i < count; i++) {
        accel_peer_poke(peers[i]);
        accel_peer_unref(peers[i]);
    }
}

bool accel_service_ready(struct accel_service *service, char *reason, size_t size)
{
    bool worker = false, ready = true;

    if (size > 0)
        reason[0] = '\0';
    pthread_mutex_lock(&service->lock);
    for (const struct worker *w = service->workers; w != NULL; w = w->next)
        worker = worker || (w->peer != NULL && !accel_peer_is_down(w->peer));
    if (service->stopping) {
        snprintf(reason, size, "the daemon is stopping");
        ready = false;
    } else if (!worker) {
        snprintf(reason, size, "no worker is up");
        ready = false;
    }
    for (const struct module *m = service->modules; ready && m != NULL; m = m->next)
        if (!m->disabled && !m->settled && !m->not_mine && !m->quarantined && !m->was_down) {
            snprintf(reason, size, "module %s is %s", m->name,
                     m->peer == NULL ? "starting" : "scanning for the first time");
            ready = false;
        }
    pthread_mutex_unlock(&service->lock);
    return ready;
}

int accel_service_set_log_level(struct accel_service *service, enum accel_log_level level)
{
    struct accel_peer *peers[PEERS_MAX];
    Accel__Ipc__SetLogLevel body = ACCEL__IPC__SET_LOG_LEVEL__INIT;

    accel_log_set_level(level);
    body.level = (char *)accel_log_level_name(level);
    const size_t count = ref_peers(service, peers);
    for (size_t i = 0; i < count; i++) {
        Accel__Ipc__Message message = ACCEL__IPC__MESSAGE__INIT;
        struct accel_error err;
        message.body_case = ACCEL__IPC__MESSAGE__BODY_SET_LOG_LEVEL;
        message.set_log_level = &body;
        if (accel_peer_tell(peers[i], &message, NULL, 0, &err) != ACCEL_OK)
            accel_log_warning("log level not handed on", "error=\"%s\"", err.msg);
        accel_peer_unref(peers[i]);
    }
    return ACCEL_OK;
}

void accel_service_get_metrics(struct accel_service *service, struct accel_service_metrics *metrics)
{
    pthread_mutex_lock(&service->lock);
    *metrics = service->metrics;
    for (const struct packed *p = service->packed; p != NULL; p = p->next)
        if (p->fd >= 0) {
            metrics->packed_bytes += p->bytes;
            metrics->models_packed++;
        }
    pthread_mutex_unlock(&service->lock);
}
