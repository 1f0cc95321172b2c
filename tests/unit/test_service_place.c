/* SPDX-License-Identifier: Apache-2.0 */
#include "service_fixture.h"

static struct accel_bump mem;

static struct accel_job job_of(struct world *w, const struct accel_uuid *uuid)
{
    struct accel_job job = {0};
    struct accel_error err;

    (void)accel_store_get_job(w->store, uuid, &mem, &job, &err);
    return job;
}

static bool has_state(struct world *w, const struct accel_uuid *uuid, const char *state)
{
    const struct accel_job job = job_of(w, uuid);

    return job.state != NULL && strcmp(job.state, state) == 0;
}

static struct accel_placement place(struct world *w, const char *model)
{
    const struct accel_constraints any = {0};
    struct accel_placement p = {0};
    struct accel_error err = {0};

    ok(accel_service_place(w->service, &alice, model, 0, &any, NULL, &mem, &p, &err) == ACCEL_OK,
       "placed %s", err.msg);
    return p;
}

static void the_first_placement_calibrates(struct node *n)
{
    struct world *w = &n->world;
    struct accel_model_record m;
    struct accel_error err = {0};

    (void)put_text(w, &alice, "net", 0, false, "good", &mem, &m, &err);
    fake_set(&n->worker, &n->worker.hold, true);
    const struct accel_placement first = place(w, "net");
    ok(first.count == 2 && first.calibration_job.text[0] != '\0',
       "both devices come back, and a calibration is started");
    bool reasons = true;
    for (size_t i = 0; i < first.count; i++)
        reasons = reasons && !first.candidates[i].accepted &&
                  strcmp(first.candidates[i].code, "unknown-rate") == 0;
    ok(reasons, "nothing is known of either yet: %s", first.candidates[0].reason);
    const struct accel_placement again = place(w, "net");
    ok(strcmp(again.calibration_job.text, first.calibration_job.text) == 0,
       "a second placement names the same job");
    struct accel_job job;
    ok(accel_service_calibrate(w->service, &admin, NULL, 0, &mem, &job, &err) == ACCEL_E_CONFLICT &&
           strstr(err.msg, first.calibration_job.text) != NULL,
       "a calibration asked for now conflicts: %s", err.msg);

    fake_wait(&n->worker, &n->worker.held_count, 1);
    pthread_mutex_lock(&n->worker.lock);
    n->worker.hold = false;
    fake_calibrated(&n->worker, n->worker.held[0]);
    n->worker.held_count = 0;
    pthread_mutex_unlock(&n->worker.lock);
    until(has_state(w, &first.calibration_job, "succeeded"));
    ok(strstr(job_of(w, &first.calibration_job).result, "cpu:0") != NULL, "the job's result: %s",
       job_of(w, &first.calibration_job).result);

    const struct accel_placement after = place(w, "net");
    const struct accel_candidate *best = &after.candidates[0];
    ok(best->accepted && best->runnable && strcmp(best->resource->device->identity, "cpu:0") == 0 &&
           best->prediction.basis == ACCEL_PREDICTED_FROM_CALIBRATION &&
           best->prediction.latency_s == 1e-3,
       "from then on the CPU has a calibrated forecast: %g s", best->prediction.latency_s);
    ok(after.calibration_job.text[0] == '\0', "and no further calibration is started");
}

static void forget_held(struct node *n, bool hold)
{
    pthread_mutex_lock(&n->worker.lock);
    n->worker.hold = hold;
    n->worker.held_count = 0;
    pthread_mutex_unlock(&n->worker.lock);
}

static void a_job_is_cancelled(struct node *n)
{
    struct world *w = &n->world;
    struct accel_job job = {0};
    struct accel_error err = {0};

    fake_set(&n->worker, &n->worker.hold, true);
    ok(accel_service_calibrate(w->service, &alice, "cpu:0", 100, &mem, &job, &err) == ACCEL_OK &&
           strcmp(job.kind, "calibrate") == 0,
       "a calibration is queued %s", err.msg);
    fake_wait(&n->worker, &n->worker.held_count, 1);
    ok(accel_service_cancel_job(w->service, &bob, &job.uuid, &err) == ACCEL_E_NOT_FOUND,
       "a stranger cannot cancel it: %s", err.msg);
    ok(accel_service_cancel_job(w->service, &alice, &job.uuid, &err) == ACCEL_OK,
       "its owner can %s", err.msg);
    until(has_state(w, &job.uuid, "cancelled"));
    ok(fake_count(&n->worker, &n->worker.cancels) == 1, "the worker was told");
    ok(accel_service_cancel_job(w->service, &alice, &job.uuid, &err) == ACCEL_E_CONFLICT,
       "once it has ended: %s", err.msg);
    forget_held(n, false);
    ok(accel_service_calibrate(w->service, &alice, "fake:0", 0, &mem, &job, &err) ==
           ACCEL_E_UNSUPPORTED,
       "%s", err.msg);
    ok(accel_service_calibrate(w->service, &alice, "cpu:0", -1, &mem, &job, &err) ==
           ACCEL_E_INVALID,
       "%s", err.msg);
}

/* Its record is not the last of it: the next one may be asked for as soon as that is read. */
static void an_ended_job_is_in_no_ones_way(struct node *n)
{
    struct world *w = &n->world;
    struct accel_error err = {0};
    int refused = 0;

    fake_set(&n->worker, &n->worker.hold, true);
    for (int round = 0; round < 20; round++) {
        struct accel_job job = {0};

        refused +=
            accel_service_calibrate(w->service, &alice, "cpu:0", 100, &mem, &job, &err) != ACCEL_OK;
        fake_wait(&n->worker, &n->worker.held_count, 1);
        (void)accel_service_cancel_job(w->service, &alice, &job.uuid, &err);
        until(has_state(w, &job.uuid, "cancelled"));
        forget_held(n, true);
    }
    forget_held(n, false);
    ok(refused == 0, "a job that has ended refuses none: %d of 20 %s", refused, err.msg);
}

static void a_job_fails_with_its_worker(struct node *n)
{
    struct world *w = &n->world;
    struct accel_job job = {0};
    struct accel_error err = {0};

    fake_set(&n->worker, &n->worker.hold, true);
    ok(accel_service_calibrate(w->service, &alice, NULL, 0, &mem, &job, &err) == ACCEL_OK,
       "a calibration is queued %s", err.msg);
    fake_wait(&n->worker, &n->worker.held_count, 1);
    fake_kill(&n->worker, "killed by signal 9 (Killed)");
    until(has_state(w, &job.uuid, "failed"));
    ok(strstr(job_of(w, &job.uuid).text, "signal 9") != NULL, "the job says why: %s",
       job_of(w, &job.uuid).text);
    n->worker.hold = false;
    worker_start(&n->worker, w, "1");
}

static void stop_cancels_jobs(struct node *n)
{
    struct world *w = &n->world;
    struct accel_job job = {0};
    struct accel_error err = {0};

    fake_set(&n->worker, &n->worker.hold, true);
    ok(accel_service_calibrate(w->service, &alice, NULL, 0, &mem, &job, &err) == ACCEL_OK,
       "a calibration is queued %s", err.msg);
    fake_wait(&n->worker, &n->worker.held_count, 1);
    accel_service_stop(w->service, 5000);
    ok(has_state(w, &job.uuid, "cancelled"), "a stop ends it: %s", job_of(w, &job.uuid).text);
    ok(accel_service_calibrate(w->service, &alice, NULL, 0, &mem, &job, &err) ==
           ACCEL_E_UNAVAILABLE,
       "and none is started any more: %s", err.msg);
}

int main(void)
{
    struct node n;

    accel_log_init("test", 2);
    node_new(&n, "", 1);
    the_first_placement_calibrates(&n);
    a_job_is_cancelled(&n);
    an_ended_job_is_in_no_ones_way(&n);
    a_job_fails_with_its_worker(&n);
    stop_cancels_jobs(&n);
    node_free(&n);
    accel_bump_free(&mem);
    return tap_done();
}
