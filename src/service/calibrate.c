/* SPDX-License-Identifier: Apache-2.0 */

/* Calibration: a worker measures the rates of a device, as a job. */

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/rates_json.h"
#include "service/service_internal.h"

#define KIND          "calibrate"
#define BUDGET_MS     6000
#define BUDGET_MAX_MS 600000
#define JSON_MAX      (4u << 20)
#define RATES_MAX     4096

#define PART_MS          100
#define PART_DEADLINE_MS 60000

/* What to measure, in the job's hands. */
struct plan {
    int64_t budget_ms;
    size_t count;
    struct target {
        int64_t device_id;
        char identity[128];
    } targets[];
};

/* Which part of the whole the present device is, for the progress. */
struct part {
    struct job *job;
    struct accel_service *service;
    double from, share; /* percent */
    const char *identity;
};

static int read_rates(struct accel_ipc_packet *answer, struct accel_bump *mem,
                      struct accel_rate **rates, size_t *count, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_closep) int fd = accel_ipc_take_fd(answer, 0);
    size_t got = 0;

    if (answer->message->body_case != ACCEL__IPC__MESSAGE__BODY_CALIBRATED || fd < 0)
        return accel_fail(err, ACCEL_E_CORRUPT, "answer to Calibrate is no Calibrated");
    const uint64_t size = answer->message->calibrated->json_bytes;
    if (size == 0 || size > JSON_MAX || !accel_memfd_is_sealed(fd))
        return accel_fail(err, ACCEL_E_CORRUPT, "rates of %llu bytes, or not sealed",
                          (unsigned long long)size);
    char *text = accel_bump_alloc(mem, size + 1, 1);
    if (text == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for the rates");
    if (lseek(fd, 0, SEEK_SET) != 0 ||
        accel_read_full(fd, text, size, &got, "rates", err) != ACCEL_OK || got != size)
        return accel_fail(err, ACCEL_E_CORRUPT, "rates are shorter than they say");
    if (accel_rates_from_json(text, size, mem, rates, count, err) != ACCEL_OK)
        return accel_fail_in(err, "rates");
    return ACCEL_OK;
}

/* The rates of one round, of so many points in parts. */
struct round {
    struct accel_rate *rates;
    size_t count, capacity;
    uint32_t next, points; /* points: 0 until the first part came */
    unsigned threads;
};

static void round_free(struct round *r)
{
    accel_free(r->rates);
}

/* Also of a worker that says other things than it should. */
static int take_part(struct round *r, struct accel_ipc_packet *answer, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_rate *rates = NULL;
    size_t count = 0;

    if (read_rates(answer, &mem, &rates, &count, err) != ACCEL_OK)
        return err->code;
    const Accel__Ipc__Calibrated *c = answer->message->calibrated;
    if (c->count == 0 || c->count > RATES_MAX || c->next <= r->next || c->next > c->count ||
        (r->points != 0 && c->count != r->points) || r->count + count > RATES_MAX)
        return accel_fail(err, ACCEL_E_CORRUPT, "a part of %zu rates up to point %u of %u", count,
                          c->next, c->count);
    if (accel_grow(&r->rates, &r->capacity, r->count + count + 1, sizeof(*r->rates), err) !=
        ACCEL_OK)
        return err->code;
    if (count > 0)
        memcpy(&r->rates[r->count], rates, count * sizeof(*rates));
    r->count += count;
    r->next = c->next;
    r->points = c->count;
    r->threads = c->threads;
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- the job */

static void tell(const struct part *part, double percent, const char *text)
{
    char line[128];

    snprintf(line, sizeof(line), "%.40s: %.80s", part->identity, text);
    service_job_progress(part->service, part->job, part->from + part->share * percent / 100, line);
}

/* Asks a worker for the next part: a fraction of a second, between which those who wait for a
 * worker have their turn, for one that is all there is would else stand still for seconds. */
static int measure_part(struct accel_service *service, struct job *job, const struct target *target,
                        int64_t point_us, struct round *round, struct accel_error *err)
{
    Accel__Ipc__Message request = ACCEL__IPC__MESSAGE__INIT;
    Accel__Ipc__Calibrate body = ACCEL__IPC__CALIBRATE__INIT;
    const struct worker_call call = {.request = &request,
                                     .after_others = true,
                                     /* What a part should take is a wish: slow machines exist. */
                                     .deadline_ms = PART_DEADLINE_MS + point_us / 10,
                                     .cancelled = &job->cancelled,
                                     .job = job};
    struct accel_ipc_packet answer;

    request.body_case = ACCEL__IPC__MESSAGE__BODY_CALIBRATE;
    request.calibrate = &body;
    body.point_us = point_us;
    body.part_ms = PART_MS;
    body.threads = service->threads;
    body.first = round->next;
    if (service_gate_enter(service, target->device_id, target->identity, err) != ACCEL_OK)
        return err->code;
    int rc = service_worker_call(service, &call, &answer, err);
    service_gate_leave(service, target->device_id);
    if (rc != ACCEL_OK)
        return rc;
    rc = take_part(round, &answer, err);
    accel_ipc_packet_free(&answer);
    return rc;
}

static int measure_round(struct accel_service *service, struct job *job,
                         const struct target *target, int64_t point_us, int number,
                         const struct part *part, struct round *round, struct accel_error *err)
{
    do {
        char text[64];

        if (atomic_load(&job->cancelled))
            return accel_fail(err, ACCEL_E_CANCELLED, "the calibration was cancelled");
        if (measure_part(service, job, target, point_us, round, err) != ACCEL_OK)
            return err->code;
        const double done = ((double)number + (double)round->next / (double)round->points) /
                            ACCEL_CALIBRATION_ROUNDS;
        snprintf(text, sizeof(text), "round %d of %d, point %u of %u", number + 1,
                 ACCEL_CALIBRATION_ROUNDS, round->next, round->points);
        tell(part, 100 * done, text);
    } while (round->next < round->points);
    return ACCEL_OK;
}

static int calibrate_device(struct accel_service *service, struct job *job,
                            const struct target *target, int64_t budget_ms, const struct part *part,
                            size_t *rates_count, struct accel_error *err)
{
    ACCEL_CLEANUP(round_free) struct round best = {0};
    const int64_t point_us = accel_calibration_point_us(budget_ms), begin_ms = accel_now_ms();
    int rc = measure_round(service, job, target, point_us, 0, part, &best, err);

    /* A busy machine stretches a round: then fewer are better than late ones. */
    for (int number = 1; rc == ACCEL_OK && number < ACCEL_CALIBRATION_ROUNDS &&
                         accel_now_ms() - begin_ms < budget_ms;
         number++) {
        ACCEL_CLEANUP(round_free) struct round more = {0};
        rc = measure_round(service, job, target, point_us, number, part, &more, err);
        if (rc == ACCEL_OK)
            accel_rates_merge(best.rates, best.count, more.rates, more.count);
    }
    if (rc == ACCEL_OK && best.count == 0)
        rc = accel_fail(err, ACCEL_E_CORRUPT, "a calibration without a rate");
    if (rc == ACCEL_OK)
        rc = accel_store_put_rates(service->store, target->device_id, service->core_version,
                                   best.threads > 0 ? best.threads : service->threads, best.rates,
                                   best.count, err);
    *rates_count = best.count;
    return rc;
}

static int run(struct accel_service *service, struct job *job, struct accel_error *err)
{
    const struct plan *plan = job->context;
    json_t *result = json_array();
    int rc = ACCEL_OK;

    for (size_t i = 0; rc == ACCEL_OK && i < plan->count; i++) {
        const struct target *target = &plan->targets[i];
        struct part part = {.job = job,
                            .service = service,
                            .from = 100.0 * (double)i / (double)plan->count,
                            .share = 100.0 / (double)plan->count,
                            .identity = target->identity};
        size_t count = 0;
        rc = calibrate_device(service, job, target, plan->budget_ms, &part, &count, err);
        if (rc != ACCEL_OK) {
            (void)accel_fail_in(err, "calibrate %s", target->identity);
            break;
        }
        service_touch(service);
        json_array_append_new(result,
                              json_pack("{s:s, s:I, s:i, s:s}", "device", target->identity, "rates",
                                        (json_int_t)count, "threads", (int)service->threads,
                                        "version", service->core_version));
    }
    if (rc == ACCEL_OK) {
        char *text = json_dumps(result, JSON_COMPACT);
        job->result = text != NULL ? accel_strdup(text) : NULL;
        free(text);
    }
    json_decref(result);
    pthread_mutex_lock(&service->lock);
    service->calibration_failed_at_ms =
        rc == ACCEL_OK || rc == ACCEL_E_CANCELLED ? 0 : accel_now_ms();
    pthread_mutex_unlock(&service->lock);
    return rc;
}

static int no_worker(const struct accel_device *d, struct accel_error *err)
{
    return accel_fail(err, ACCEL_E_UNSUPPORTED,
                      "device %s cannot be calibrated: the inference core does not run on it",
                      d->identity);
}

int accel_service_calibrate(struct accel_service *service, const struct accel_caller *caller,
                            const char *device, int64_t budget_ms, struct accel_bump *mem,
                            struct accel_job *job, struct accel_error *err)
{
    const struct accel_device_filter present = {.leave_out_gone = true};
    const struct accel_page all = {0};
    struct accel_device one, *devices = &one;
    struct accel_error local;
    size_t count = 1;

    if (err == NULL)
        err = &local;
    if (budget_ms < 0 || budget_ms > BUDGET_MAX_MS)
        return accel_fail(err, ACCEL_E_INVALID, "budget_ms: expected 0 to %d, got %lld",
                          BUDGET_MAX_MS, (long long)budget_ms);
    if (device != NULL) {
        if (service_find_device(service, device, mem, &one, err) != ACCEL_OK)
            return err->code;
        if (!service_has_workers_for(&one))
            return no_worker(&one, err);
    } else if (accel_store_list_devices(service->store, &present, &all, mem, &devices, &count,
                                        err) != ACCEL_OK) {
        return err->code;
    }
    struct plan *plan = accel_calloc(1, sizeof(*plan) + count * sizeof(plan->targets[0]));
    if (plan == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to calibrate %zu devices", count);
    plan->budget_ms = budget_ms > 0 ? budget_ms : BUDGET_MS;
    for (size_t i = 0; i < count; i++)
        if (service_has_workers_for(&devices[i])) {
            struct target *t = &plan->targets[plan->count++];
            t->device_id = devices[i].id;
            snprintf(t->identity, sizeof(t->identity), "%s", devices[i].identity);
        }
    if (plan->count == 0) {
        accel_free(plan);
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          "no device of this node is one that the inference core runs on");
    }
    return service_job_add(service, KIND, true, device != NULL ? one.uuid.text : NULL,
                           caller->project_id, run, plan, mem, job, err);
}
