/* SPDX-License-Identifier: Apache-2.0 */

/* One inference: which device, which worker, the call, and what it teaches. */

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "service/service_internal.h"

/* How long the answer to "where" is taken as it was, when nothing is known to have changed. */
#define CHOICE_MS   2000
#define TENSORS_MAX 1024

/* Where an inference runs. */
struct choice {
    int64_t device_id;
    struct accel_uuid uuid;
    char identity[128];
    double predicted_s;
};

static void choose(struct choice *c, const struct accel_device *d, double predicted_s)
{
    c->device_id = d->id;
    c->uuid = d->uuid;
    snprintf(c->identity, sizeof(c->identity), "%s", d->identity);
    c->predicted_s = predicted_s;
}

/* The model's analysis is of its declared shapes: a forecast from it is none of others. */
static int forecast(const struct accel_analysis *analysis, const struct accel_prediction *p,
                    const char *shape, struct accel_bump *mem, struct choice *c,
                    const struct accel_device *device, struct accel_error *err)
{
    char declared[ACCEL_RUN_SHAPE];

    if (service_shape_of_analysis(analysis, mem, declared, err) != ACCEL_OK)
        return err->code;
    const bool holds = p->basis == ACCEL_PREDICTED_FROM_RUNS || strcmp(declared, shape) == 0;
    choose(c, device, holds ? p->latency_s : 0);
    return ACCEL_OK;
}

/* A device by name: it must be able to run, its forecast may be unknown. */
static int choose_named(struct accel_service *service, const struct accel_model_record *model,
                        const char *name, const char *shape, struct choice *c,
                        struct accel_error *err)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_device device;
    struct accel_analysis *analysis;
    struct accel_resource *resource;
    struct accel_prediction p = {0};
    const char *reason;

    if (service_find_device(service, name, &mem, &device, err) != ACCEL_OK)
        return err->code;
    if (device.presence == ACCEL_GONE)
        return accel_fail(err, ACCEL_E_UNAVAILABLE, "device %s was not found by the last scan",
                          device.identity);
    if (strcmp(device.status, "maintaining") == 0)
        return accel_fail(err, ACCEL_E_CONFLICT, "device %s was taken out of service",
                          device.identity);
    if (!service_has_workers_for(&device))
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          "device %s is predicted-only: the inference core does not run on it",
                          device.identity);
    if (service_analysis_of(model, &mem, &analysis, err) != ACCEL_OK ||
        service_resources(service, &device, 1, &model->uuid, shape, &mem, &resource, err) !=
            ACCEL_OK)
        return err->code;
    if (resource->holder != NULL)
        return accel_fail(err, ACCEL_E_CONFLICT, "device %s is bound by ARQ %s", device.identity,
                          resource->holder);
    (void)accel_match_predict(analysis, resource, 0, &p, &reason);
    return forecast(analysis, &p, shape, &mem, c, &device, err);
}

/* What was chosen a moment ago, if nothing has changed since. */
static bool recall(struct accel_service *service, const struct packed *packed, const char *shape,
                   struct choice *c)
{
    const unsigned generation = atomic_load(&service->generation);

    pthread_mutex_lock(&service->lock);
    const bool fresh = packed->chosen && packed->chosen_generation == generation &&
                       accel_now_ms() - packed->chosen_at_ms < CHOICE_MS &&
                       strcmp(packed->chosen_shape, shape) == 0;
    if (fresh) {
        c->device_id = packed->chosen_id;
        c->uuid = packed->chosen_device;
        memcpy(c->identity, packed->chosen_identity, sizeof(c->identity));
        c->predicted_s = packed->chosen_predicted_s;
    }
    pthread_mutex_unlock(&service->lock);
    return fresh;
}

static void remember(struct accel_service *service, struct packed *packed, unsigned generation,
                     const char *shape, const struct choice *c)
{
    pthread_mutex_lock(&service->lock);
    packed->chosen = true;
    packed->chosen_generation = generation;
    packed->chosen_at_ms = accel_now_ms();
    packed->chosen_id = c->device_id;
    packed->chosen_device = c->uuid;
    memcpy(packed->chosen_identity, c->identity, sizeof(c->identity));
    packed->chosen_predicted_s = c->predicted_s;
    snprintf(packed->chosen_shape, sizeof(packed->chosen_shape), "%s", shape);
    pthread_mutex_unlock(&service->lock);
}

/* The best device that the core runs on. One of which no rate is known is still better than no
 * answer: it comes after those with a forecast. */
static int choose_best(struct accel_service *service, const struct accel_model_record *model,
                       struct packed *packed, const char *shape, struct choice *c,
                       struct accel_error *err)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    const struct accel_constraints constraints = {.runnable_only = true};
    const unsigned generation = atomic_load(&service->generation);
    const struct accel_candidate *best = NULL, *reason = NULL;
    struct accel_analysis *analysis;
    struct accel_candidate *candidates;
    size_t count;

    if (recall(service, packed, shape, c))
        return ACCEL_OK;
    if (service_analysis_of(model, &mem, &analysis, err) != ACCEL_OK ||
        service_rank(service, model, analysis, &constraints, shape, &mem, &candidates, &count,
                     err) != ACCEL_OK)
        return err->code;
    for (size_t i = 0; i < count && best == NULL; i++) {
        if (!candidates[i].runnable)
            continue;
        if (candidates[i].accepted || strcmp(candidates[i].code, "unknown-rate") == 0)
            best = &candidates[i];
        else if (reason == NULL)
            reason = &candidates[i];
    }
    if (best == NULL && reason != NULL)
        return accel_fail(
            err, strcmp(reason->code, "in-use") == 0 ? ACCEL_E_CONFLICT : ACCEL_E_UNAVAILABLE,
            "no device can run it now: %s %s", reason->resource->device->identity, reason->reason);
    if (best == NULL)
        return accel_fail(err, ACCEL_E_UNAVAILABLE,
                          "no device of this node is one that the inference core runs on");
    if (forecast(analysis, &best->prediction, shape, &mem, c, best->resource->device, err) !=
        ACCEL_OK)
        return err->code;
    remember(service, packed, generation, shape, c);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- messages */

static int check_inputs(const struct accel_infer_request *r, struct accel_error *err)
{
    if (r->inputs_count > TENSORS_MAX || r->outputs_count > TENSORS_MAX)
        return accel_fail(err, ACCEL_E_LIMIT, "more than %d tensors", TENSORS_MAX);
    for (size_t i = 0; i < r->inputs_count; i++) {
        const struct accel_infer_tensor *t = &r->inputs[i];
        if (t->rank > ACCEL_RANK_MAX)
            return accel_fail(err, ACCEL_E_INVALID, "input %s: rank %u is over %d", t->name,
                              t->rank, ACCEL_RANK_MAX);
        if (t->offset > r->input_bytes || t->size_bytes > r->input_bytes - t->offset)
            return accel_fail(err, ACCEL_E_INVALID, "input %s lies outside the data", t->name);
    }
    return ACCEL_OK;
}

static int encode_inputs(const struct accel_infer_request *r, struct accel_bump *mem,
                         Accel__Ipc__Infer *body, struct accel_error *err)
{
    const size_t n = r->inputs_count;
    Accel__Ipc__TensorRef *refs = accel_bump_alloc(mem, ACCEL_MAX(n, 1), sizeof(*refs));
    Accel__Ipc__TensorRef **list = accel_bump_alloc(mem, ACCEL_MAX(n, 1), sizeof(*list));

    if (refs == NULL || list == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for %zu inputs", n);
    for (size_t i = 0; i < n; i++) {
        const struct accel_infer_tensor *t = &r->inputs[i];
        accel__ipc__tensor_ref__init(&refs[i]);
        refs[i].name = (char *)t->name;
        refs[i].dtype = (uint32_t)t->dtype;
        refs[i].n_dims = t->rank;
        refs[i].dims = (int64_t *)t->dims;
        refs[i].offset = t->offset;
        refs[i].size_bytes = t->size_bytes;
        list[i] = &refs[i];
    }
    body->inputs = list;
    body->n_inputs = n;
    body->outputs = (char **)r->outputs;
    body->n_outputs = r->outputs_count;
    body->input_bytes = r->input_bytes;
    return ACCEL_OK;
}

/* The answer comes from a process that a model may have taken over: nothing of it is believed. */
static int check_output(const Accel__Ipc__TensorRef *from, uint64_t bytes,
                        struct accel_infer_tensor *to, struct accel_error *err)
{
    const size_t element = accel_dtype_size((enum accel_dtype)from->dtype);
    uint64_t size = element;

    if (element == 0 && from->dtype != ACCEL_DTYPE_STRING)
        return accel_fail(err, ACCEL_E_CORRUPT, "output %s: type %u", from->name, from->dtype);
    if (from->n_dims > ACCEL_RANK_MAX)
        return accel_fail(err, ACCEL_E_CORRUPT, "output %s: rank %zu", from->name, from->n_dims);
    for (size_t i = 0; i < from->n_dims; i++) {
        if (from->dims[i] < 0 || __builtin_mul_overflow(size, (uint64_t)from->dims[i], &size))
            return accel_fail(err, ACCEL_E_CORRUPT, "output %s: bad shape", from->name);
        to->dims[i] = from->dims[i];
    }
    if (from->offset > bytes || from->size_bytes > bytes - from->offset ||
        (element > 0 && from->size_bytes != size))
        return accel_fail(err, ACCEL_E_CORRUPT, "output %s lies outside the answer", from->name);
    to->dtype = (enum accel_dtype)from->dtype;
    to->rank = (uint32_t)from->n_dims;
    to->offset = from->offset;
    to->size_bytes = from->size_bytes;
    return ACCEL_OK;
}

static int take_outputs(struct accel_ipc_packet *answer, struct accel_bump *mem,
                        struct accel_infer_reply *reply, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_closep) int fd = accel_ipc_take_fd(answer, 0);
    struct stat st;

    if (answer->message->body_case != ACCEL__IPC__MESSAGE__BODY_INFERRED || fd < 0)
        return accel_fail(err, ACCEL_E_CORRUPT, "answer to Infer is no Inferred");
    const Accel__Ipc__Inferred *body = answer->message->inferred;
    if (!accel_memfd_is_sealed(fd) || fstat(fd, &st) != 0 ||
        (uint64_t)st.st_size < body->output_bytes || body->n_outputs > TENSORS_MAX)
        return accel_fail(err, ACCEL_E_CORRUPT, "output bytes are missing or not sealed");
    reply->outputs = accel_bump_alloc(mem, ACCEL_MAX(body->n_outputs, 1), sizeof(*reply->outputs));
    if (reply->outputs == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for %zu outputs", body->n_outputs);
    for (size_t i = 0; i < body->n_outputs; i++) {
        if (check_output(body->outputs[i], body->output_bytes, &reply->outputs[i], err) != ACCEL_OK)
            return err->code;
        reply->outputs[i].name = accel_bump_strdup(mem, body->outputs[i]->name);
        if (reply->outputs[i].name == NULL)
            return accel_fail(err, ACCEL_E_NOMEM, "no memory for %zu outputs", body->n_outputs);
    }
    reply->outputs_count = body->n_outputs;
    reply->output_bytes = body->output_bytes;
    reply->run_s = (double)body->run_ns * 1e-9;
    reply->load_s = (double)body->load_ns * 1e-9;
    reply->arena_bytes = body->arena_bytes;
    reply->output_fd = accel_steal_fd(&fd);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- the call */

static int call_worker(struct accel_service *service, const struct accel_infer_request *r,
                       struct packed *packed, int64_t began_ms, int64_t limit_ms,
                       struct accel_bump *mem, struct accel_infer_reply *reply, unsigned *threads,
                       struct accel_error *err)
{
    Accel__Ipc__Message request = ACCEL__IPC__MESSAGE__INIT;
    Accel__Ipc__Infer body = ACCEL__IPC__INFER__INIT;
    const int fds[2] = {packed->fd, r->input_fd};
    const int64_t asked_ns = accel_now_ns();
    int64_t began_ns = asked_ns;
    const struct worker_call call = {.request = &request,
                                     .fds = fds,
                                     .fds_count = 2,
                                     .key = packed->key,
                                     .waiting = &packed->waiting,
                                     .wait_until_ms = began_ms + limit_ms,
                                     .deadline_ms = limit_ms,
                                     .cancelled = r->cancelled,
                                     .began_ns = &began_ns};
    struct accel_ipc_packet answer;

    request.body_case = ACCEL__IPC__MESSAGE__BODY_INFER;
    request.infer = &body;
    body.model_key = packed->key;
    body.packed_bytes = packed->bytes;
    body.deadline_ms = limit_ms;
    body.threads = service->threads;
    if (encode_inputs(r, mem, &body, err) != ACCEL_OK)
        return err->code;
    int rc = service_worker_call(service, &call, &answer, err);
    reply->queue_s = (double)(began_ns - asked_ns) * 1e-9;
    if (rc != ACCEL_OK)
        return rc;
    rc = take_outputs(&answer, mem, reply, err);
    if (rc == ACCEL_OK)
        *threads = answer.message->inferred->threads;
    accel_ipc_packet_free(&answer);
    return rc;
}

/* What really happened, so that the next forecast is better. */
static void learn(struct accel_service *service, const struct accel_infer_reply *reply,
                  const char *shape, const struct choice *c, unsigned threads)
{
    const struct accel_measurement m = {.model = reply->model.uuid,
                                        .device_id = c->device_id,
                                        .threads = threads > 0 ? threads : service->threads,
                                        .shape = shape,
                                        .run_s = reply->run_s,
                                        .predicted_s = c->predicted_s};
    struct accel_error err;

    if (reply->run_s > 0 && accel_store_add_measurement(service->store, &m, &err) != ACCEL_OK)
        accel_log_warning("measurement not kept", "model=%s error=\"%s\"", reply->model.name,
                          err.msg);
}

static int infer(struct accel_service *service, const struct accel_infer_request *r,
                 struct accel_bump *mem, struct accel_infer_reply *reply, struct accel_error *err)
{
    const int64_t began_ms = accel_now_ms();
    struct packed *packed = NULL;
    struct choice c = {0};
    char shape[ACCEL_RUN_SHAPE];
    unsigned threads = 0;
    int64_t limit_ms;
    int rc;

    pthread_mutex_lock(&service->lock);
    limit_ms = service->limits.request_ms;
    pthread_mutex_unlock(&service->lock);
    if (r->timeout_ms > 0 && r->timeout_ms < limit_ms)
        limit_ms = r->timeout_ms;
    if (service_shape_of_request(r, mem, shape, err) != ACCEL_OK ||
        service_packed_acquire(service, &reply->model, &packed, err) != ACCEL_OK)
        return err->code;
    rc = r->device != NULL ? choose_named(service, &reply->model, r->device, shape, &c, err)
                           : choose_best(service, &reply->model, packed, shape, &c, err);
    if (rc == ACCEL_OK &&
        (rc = service_gate_enter(service, c.device_id, c.identity, err)) == ACCEL_OK) {
        rc = call_worker(service, r, packed, began_ms, limit_ms, mem, reply, &threads, err);
        service_gate_leave(service, c.device_id);
    }
    service_packed_release(service, packed);
    if (rc != ACCEL_OK)
        return rc;
    reply->device = c.uuid;
    reply->predicted_s = c.predicted_s;
    reply->device_identity = accel_bump_strdup(mem, c.identity);
    if (reply->device_identity == NULL) {
        accel_closep(&reply->output_fd);
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for the answer");
    }
    learn(service, reply, shape, &c, threads);
    return ACCEL_OK;
}

static bool count_begin(struct accel_service *service)
{
    pthread_mutex_lock(&service->lock);
    const bool stopping = service->stopping;
    service->metrics.infers_running += !stopping;
    pthread_mutex_unlock(&service->lock);
    return !stopping;
}

static void count_end(struct accel_service *service, int rc, double run_s)
{
    pthread_mutex_lock(&service->lock);
    service->metrics.infers_running--;
    service->metrics.infers++;
    service->metrics.infers_failed += rc != ACCEL_OK;
    service->metrics.infer_seconds_sum += rc == ACCEL_OK ? run_s : 0;
    pthread_cond_broadcast(&service->changed); /* stop waits for the last one */
    pthread_mutex_unlock(&service->lock);
}

static int get_runnable(struct accel_service *service, const struct accel_caller *caller,
                        const char *name, int64_t version, struct accel_bump *mem,
                        struct accel_model_record *model, struct accel_error *err)
{
    if (accel_service_get_model(service, caller, name, version, mem, model, err) != ACCEL_OK)
        return err->code;
    if (!model->runnable)
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          "model %s is for placement only: the inference core lacks operators of "
                          "it (see its analysis)",
                          name);
    return ACCEL_OK;
}

int accel_service_infer(struct accel_service *service, const struct accel_caller *caller,
                        const struct accel_infer_request *request, struct accel_bump *mem,
                        struct accel_infer_reply *reply, struct accel_error *err)
{
    struct accel_error local;

    if (err == NULL)
        err = &local;
    *reply = (struct accel_infer_reply){.output_fd = -1};
    if (!count_begin(service))
        return service_refuse(err);
    int rc = check_inputs(request, err);
    if (rc == ACCEL_OK)
        rc = get_runnable(service, caller, request->model, request->version, mem, &reply->model,
                          err);
    if (rc == ACCEL_OK && (rc = infer(service, request, mem, reply, err)) != ACCEL_OK)
        (void)accel_fail_in(err, "model %s", request->model);
    count_end(service, rc, reply->run_s);
    return rc;
}

int accel_service_warm_model(struct accel_service *service, const struct accel_caller *caller,
                             const char *name, int64_t version, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_model_record model;
    struct packed *packed;
    struct accel_error local;

    if (err == NULL)
        err = &local;
    if (get_runnable(service, caller, name, version, &mem, &model, err) != ACCEL_OK ||
        service_packed_acquire(service, &model, &packed, err) != ACCEL_OK)
        return accel_fail_in(err, "load model %s", name);
    service_packed_release(service, packed);
    return ACCEL_OK;
}
