/* SPDX-License-Identifier: Apache-2.0 */

/* Long things: queued, run by a few threads, cancelled. Their record is the store's; here is only
 * what is under way. */

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "service/service_internal.h"

/* Progress is told to the store no oftener. */
#define PROGRESS_PERIOD_MS 500

/* Lock held. */
static void job_unuse(struct accel_service *service, struct job *job)
{
    if (--job->users > 0)
        return;
    struct job **slot = &service->jobs;
    while (*slot != job)
        slot = &(*slot)->next;
    *slot = job->next;
    accel_free(job->context);
    accel_free(job->result);
    accel_free(job);
    pthread_cond_broadcast(&service->changed);
}

static void record_end(struct accel_service *service, const struct job *job, int rc,
                       const struct accel_error *why)
{
    const char *state = rc == ACCEL_OK            ? "succeeded"
                        : rc == ACCEL_E_CANCELLED ? "cancelled"
                                                  : "failed";
    struct accel_error err;

    if (accel_store_update_job(service->store, &job->uuid, state, rc == ACCEL_OK ? 100 : -1,
                               rc == ACCEL_OK ? "done" : why->msg, job->result, &err) != ACCEL_OK)
        accel_log_error("end of a job not recorded", "job=%s state=%s error=\"%s\"", job->uuid.text,
                        state, err.msg);
    if (rc == ACCEL_OK || rc == ACCEL_E_CANCELLED)
        accel_log_info("job ended", "job=%s kind=%s state=%s", job->uuid.text, job->kind, state);
    else
        accel_log_error("job failed", "job=%s kind=%s error=\"%s\"", job->uuid.text, job->kind,
                        why->msg);
}

/* Lock not held; the job is this thread's. */
static void run_job(struct accel_service *service, struct job *job)
{
    struct accel_error err = {0};
    int rc;

    if (atomic_load(&job->cancelled))
        rc = accel_fail(&err, ACCEL_E_CANCELLED, "cancelled before it began");
    else if ((rc = accel_store_update_job(service->store, &job->uuid, "running", 0, NULL, NULL,
                                          &err)) == ACCEL_OK)
        rc = job->run(service, job, &err);
    if (rc != ACCEL_OK && service_is_stopping(service))
        rc = accel_fail(&err, ACCEL_E_CANCELLED, "the daemon is stopping");
    else if (rc != ACCEL_OK && atomic_load(&job->cancelled))
        rc = accel_fail(&err, ACCEL_E_CANCELLED, "cancelled");
    /* Before the record: who reads there that it has ended may ask for the next at once. */
    pthread_mutex_lock(&service->lock);
    job->done = true;
    pthread_mutex_unlock(&service->lock);
    record_end(service, job, rc, &err);
}

static struct job *next_queued(struct accel_service *service)
{
    struct job *job = service->jobs;

    while (job != NULL && job->running)
        job = job->next;
    return job;
}

static void *job_main(void *context)
{
    struct accel_service *service = context;
    struct job *job;

    pthread_mutex_lock(&service->lock);
    for (;;) {
        while ((job = next_queued(service)) == NULL && !service->stopping)
            pthread_cond_wait(&service->job_wake, &service->lock);
        if (job == NULL)
            break; /* stopping, and every job has its end recorded or its runner */
        job->running = true;
        job->users++;
        pthread_mutex_unlock(&service->lock);
        run_job(service, job);
        pthread_mutex_lock(&service->lock);
        job->dirty = false;
        job_unuse(service, job); /* as its runner */
        job_unuse(service, job); /* as an open job */
    }
    pthread_mutex_unlock(&service->lock);
    return NULL;
}

/* Progress comes on reading threads, which must not wait for the disk: it is written here. */
static void *progress_main(void *context)
{
    struct accel_service *service = context;

    pthread_mutex_lock(&service->lock);
    while (!service->stopping) {
        struct job *job = service->jobs;
        while (job != NULL && !job->dirty)
            job = job->next;
        if (job == NULL) {
            pthread_cond_wait(&service->progress_wake, &service->lock);
            continue;
        }
        const double percent = job->progress;
        char text[sizeof(job->text)];
        struct accel_error err;
        memcpy(text, job->text, sizeof(text));
        job->dirty = false;
        job->users++;
        pthread_mutex_unlock(&service->lock);
        if (accel_store_update_job(service->store, &job->uuid, NULL, percent, text, NULL, &err) !=
            ACCEL_OK)
            accel_log_debug("progress not recorded", "job=%s error=\"%s\"", job->uuid.text,
                            err.msg);
        pthread_mutex_lock(&service->lock);
        job_unuse(service, job);
        const int64_t until = accel_now_ms() + PROGRESS_PERIOD_MS;
        while (!service->stopping && accel_now_ms() < until)
            (void)service_wait(service, &service->progress_wake, until);
    }
    pthread_mutex_unlock(&service->lock);
    return NULL;
}

int service_jobs_start(struct accel_service *service, struct accel_error *err)
{
    int rc = pthread_create(&service->progress_thread, NULL, progress_main, service);

    service->progress_started = rc == 0;
    while (rc == 0 && service->job_threads_count < JOB_THREADS) {
        rc = pthread_create(&service->job_threads[service->job_threads_count], NULL, job_main,
                            service);
        service->job_threads_count += rc == 0;
    }
    return rc == 0 ? ACCEL_OK : accel_fail_errno(err, rc, "threads for jobs");
}

void service_jobs_join(struct accel_service *service)
{
    pthread_mutex_lock(&service->lock);
    pthread_cond_broadcast(&service->job_wake);
    pthread_cond_broadcast(&service->progress_wake);
    pthread_mutex_unlock(&service->lock);
    while (service->job_threads_count > 0)
        pthread_join(service->job_threads[--service->job_threads_count], NULL);
    if (service->progress_started)
        pthread_join(service->progress_thread, NULL);
    service->progress_started = false;
}

bool service_job_open(struct accel_service *service, const char *kind, struct accel_uuid *uuid)
{
    bool found = false;

    pthread_mutex_lock(&service->lock);
    for (const struct job *job = service->jobs; job != NULL && !found; job = job->next)
        if (!job->done && strcmp(job->kind, kind) == 0) {
            *uuid = job->uuid;
            found = true;
        }
    pthread_mutex_unlock(&service->lock);
    return found;
}

/* Puts the job into the list before it has a record, so that of two at once one is refused. */
static int reserve(struct accel_service *service, struct job *job, bool alone,
                   struct accel_error *err)
{
    struct job **end;
    int rc = ACCEL_OK;

    pthread_mutex_lock(&service->lock);
    if (service->stopping)
        rc = service_refuse(err);
    for (end = &service->jobs; rc == ACCEL_OK && *end != NULL; end = &(*end)->next)
        if (alone && !(*end)->done && strcmp((*end)->kind, job->kind) == 0)
            rc = accel_fail(err, ACCEL_E_CONFLICT, "job %s of kind %s is under way",
                            (*end)->uuid.text[0] != '\0' ? (*end)->uuid.text : "(just added)",
                            job->kind);
    if (rc == ACCEL_OK)
        *end = job;
    pthread_mutex_unlock(&service->lock);
    return rc;
}

int service_job_add(struct accel_service *service, const char *kind, bool alone, const char *target,
                    const char *project_id, job_fn *run, void *context, struct accel_bump *mem,
                    struct accel_job *record, struct accel_error *err)
{
    struct job *job = accel_calloc(1, sizeof(*job));
    int rc;

    if (job == NULL) {
        accel_free(context);
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a job");
    }
    job->kind = kind;
    job->run = run;
    job->context = context;
    job->users = 1;
    job->running = true; /* not to be taken before its record exists */
    if (reserve(service, job, alone, err) != ACCEL_OK) {
        accel_free(context);
        accel_free(job);
        return err->code;
    }
    rc = accel_store_add_job(service->store, kind, target, project_id, mem, record, err);
    pthread_mutex_lock(&service->lock);
    if (rc != ACCEL_OK) {
        job_unuse(service, job);
    } else {
        job->uuid = record->uuid;
        job->running = false;
        pthread_cond_signal(&service->job_wake);
    }
    pthread_mutex_unlock(&service->lock);
    return rc;
}

void service_job_progress(struct accel_service *service, struct job *job, double percent,
                          const char *text)
{
    pthread_mutex_lock(&service->lock);
    job->progress = percent;
    snprintf(job->text, sizeof(job->text), "%s", text);
    job->dirty = true;
    pthread_cond_signal(&service->progress_wake);
    pthread_mutex_unlock(&service->lock);
}

void service_jobs_cancel_all(struct accel_service *service)
{
    for (struct job *job = service->jobs; job != NULL; job = job->next)
        atomic_store(&job->cancelled, true);
}

int accel_service_cancel_job(struct accel_service *service, const struct accel_caller *caller,
                             const struct accel_uuid *uuid, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_peer *peer = NULL;
    struct accel_job record;

    if (accel_store_get_job(service->store, uuid, &mem, &record, err) != ACCEL_OK)
        return accel_fail_in(err, "cancel");
    if (record.project_id != NULL && !service_may_see(caller, record.project_id))
        return accel_fail(err, ACCEL_E_NOT_FOUND, "no job %s", uuid->text);
    if (accel_store_cancel_job(service->store, uuid, err) != ACCEL_OK)
        return accel_fail_in(err, "cancel");
    pthread_mutex_lock(&service->lock);
    for (struct job *job = service->jobs; job != NULL; job = job->next)
        if (strcmp(job->uuid.text, uuid->text) == 0) {
            atomic_store(&job->cancelled, true);
            if (job->peer != NULL)
                peer = accel_peer_ref(job->peer);
        }
    pthread_cond_broadcast(&service->changed); /* it may wait for a worker */
    pthread_mutex_unlock(&service->lock);
    if (peer != NULL)
        accel_peer_poke(peer);
    accel_peer_unref(peer);
    return ACCEL_OK;
}
