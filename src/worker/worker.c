/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/worker.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/pool.h"
#include "core/analysis_json.h"
#include "core/ipc.h"
#include "core/rates_json.h"
#include "core/sha256.h"
#include "worker/held.h"
#include "worker/tensors.h"

#define QUEUE_MAX       64
#define CANCEL_AGAIN_MS 2    /* a cancel that came just before its run began is said again */
#define PROFILE_MAX     8192 /* operators whose times fit a packet */

struct job {
    struct job *next;
    struct accel_ipc_packet packet;
    _Atomic bool cancelled;
};

struct worker {
    const struct accel_config *config;
    int channel;
    int began;        /* event: a run began that has a deadline */
    unsigned threads; /* of one run, if the request does not say */
    struct accel_load_options options;
    struct accel_held held; /* of the running thread */

    pthread_mutex_t lock;
    pthread_cond_t wake; /* of the running thread: a job, or the end */
    struct job *queue;   /* the first one is under way when `busy` */
    unsigned queued;
    bool busy, ending;
    struct accel_session *session; /* of the job under way, while it runs */
    int64_t deadline_ms;           /* of that run; 0: none */
    bool late;                     /* it was cancelled because that passed */
};

/* ---------------------------------------------------------------- answers */

static void answer(struct worker *w, const struct job *job, Accel__Ipc__Message *message,
                   const int *fds, size_t fds_count)
{
    struct accel_error err;

    message->id = job->packet.message->id;
    if (accel_ipc_send(w->channel, message, fds, fds_count, &err) == ACCEL_OK)
        return;
    /* The control process is gone, or the answer does not fit; a caller must not wait for ever. */
    accel_log_error("answer not sent", "error=\"%s\"", err.msg);
    if (err.code != ACCEL_E_UNAVAILABLE)
        (void)accel_ipc_send_error(w->channel, message->id, &err, NULL);
}

static void answer_done(struct worker *w, uint64_t id)
{
    Accel__Ipc__Message message = ACCEL__IPC__MESSAGE__INIT;
    Accel__Ipc__Done done = ACCEL__IPC__DONE__INIT;

    message.id = id;
    message.body_case = ACCEL__IPC__MESSAGE__BODY_DONE;
    message.done = &done;
    (void)accel_ipc_send(w->channel, &message, NULL, 0, NULL);
}

/* ---------------------------------------------------------------- Load */

struct file {
    const uint8_t *bytes;
    size_t size;
};

static void unmap_file(struct file *file)
{
    if (file->bytes != NULL)
        munmap((void *)file->bytes, file->size);
    *file = (struct file){0};
}

static int map_file(struct worker *w, int fd, uint64_t size, struct file *file,
                    struct accel_error *err)
{
    struct stat st;

    if (fd < 0 || fstat(fd, &st) != 0)
        return accel_fail(err, ACCEL_E_INVALID, "no file came with the request");
    if (st.st_size <= 0 || (uint64_t)st.st_size != size)
        return accel_fail(err, ACCEL_E_INVALID, "the file holds %lld bytes, %llu were promised",
                          (long long)st.st_size, (unsigned long long)size);
    if (size > w->config->limits.upload_bytes)
        return accel_fail(err, ACCEL_E_LIMIT,
                          "the file's %llu bytes are over limits.model_bytes %zu",
                          (unsigned long long)size, w->config->limits.upload_bytes);
    void *at = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (at == MAP_FAILED)
        return accel_fail_errno(err, errno, "map the file of %llu bytes", (unsigned long long)size);
    *file = (struct file){at, size};
    return ACCEL_OK;
}

static int analysis_file(const struct accel_analysis *analysis, int *fd, uint64_t *size,
                         struct accel_error *err)
{
    json_t *json = accel_analysis_to_json(analysis, err);
    if (json == NULL)
        return err->code;
    char *text = json_dumps(json, JSON_COMPACT);
    json_decref(json);
    if (text == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for the analysis");
    *size = strlen(text);
    const int rc = accel_memfd_of("analysis", text, *size, fd, err);
    free(text);
    return rc;
}

static int pack_file(const struct accel_model *model, int *fd, uint64_t *size,
                     struct accel_error *err)
{
    ACCEL_CLEANUP(accel_closep) int file = -1;
    struct stat st;
    int rc = accel_memfd_new("packed", 0, &file, err);

    if (rc == ACCEL_OK)
        rc = accel_model_pack(model, file, err);
    if (rc == ACCEL_OK)
        rc = accel_memfd_seal(file, err);
    if (rc == ACCEL_OK && fstat(file, &st) != 0)
        rc = accel_fail_errno(err, errno, "size of the packed model");
    if (rc != ACCEL_OK)
        return rc;
    *size = (uint64_t)st.st_size;
    *fd = accel_steal_fd(&file);
    return ACCEL_OK;
}

/* What it binds must outlive the load; freed by the caller. */
static int bind_dims(const Accel__Ipc__Load *load, struct accel_load_options *options,
                     struct accel_dim_binding **bindings, struct accel_error *err)
{
    struct accel_dim_binding *made = accel_calloc(load->n_dims + 1, sizeof(*made));

    if (made == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for %zu dimensions", load->n_dims);
    for (size_t i = 0; i < load->n_dims; i++)
        made[i] =
            (struct accel_dim_binding){.name = load->dims[i]->name, .value = load->dims[i]->value};
    options->dims = made;
    options->dims_count = load->n_dims;
    *bindings = made;
    return ACCEL_OK;
}

static int load_model(struct worker *w, const struct file *file, const Accel__Ipc__Load *load,
                      int fds[2], Accel__Ipc__Loaded *loaded, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_freep) struct accel_dim_binding *bindings = NULL;
    struct accel_load_options options = w->options;
    struct accel_model *model = NULL;
    struct accel_analysis *analysis = NULL;
    int rc;

    if (bind_dims(load, &options, &bindings, err) != ACCEL_OK)
        return (int)err->code;
    if (load->analyse_only) {
        rc = accel_analyse_bundle(file->bytes, file->size, &options, &analysis, err);
        if (rc == ACCEL_OK)
            rc = analysis_file(analysis, &fds[1], &loaded->analysis_bytes, err);
        accel_analysis_free(analysis);
        return rc;
    }
    rc = accel_model_load_bundle(file->bytes, file->size, &options, &model, err);
    if (rc == ACCEL_OK)
        rc = pack_file(model, &fds[0], &loaded->packed_bytes, err);
    if (rc == ACCEL_OK)
        rc = analysis_file(accel_model_analysis(model), &fds[1], &loaded->analysis_bytes, err);
    accel_model_unref(model);
    return rc;
}

static int do_load(struct worker *w, struct job *job, struct accel_error *err)
{
    const Accel__Ipc__Load *load = job->packet.message->load;
    const int64_t begin = accel_now_ms();
    Accel__Ipc__Message message = ACCEL__IPC__MESSAGE__INIT;
    Accel__Ipc__Loaded loaded = ACCEL__IPC__LOADED__INIT;
    ACCEL_CLEANUP(accel_closep) int given = accel_ipc_take_fd(&job->packet, 0);
    ACCEL_CLEANUP(unmap_file) struct file file = {0};
    struct accel_sha256 hash;
    uint8_t digest[ACCEL_SHA256_BYTES];
    int fds[2] = {-1, -1}; /* packed, analysis */

    int rc = map_file(w, given, load->size_bytes, &file, err);
    if (rc == ACCEL_OK) {
        accel_sha256_init(&hash);
        accel_sha256_add(&hash, file.bytes, file.size);
        accel_sha256_end(&hash, digest);
        loaded.sha256 = (ProtobufCBinaryData){sizeof(digest), digest};
        rc = load_model(w, &file, load, fds, &loaded, err);
    }
    if (rc == ACCEL_OK && atomic_load(&job->cancelled))
        rc = accel_fail(err, ACCEL_E_CANCELLED, "cancelled");
    if (rc == ACCEL_OK) {
        loaded.took_ms = (uint32_t)(accel_now_ms() - begin);
        message.body_case = ACCEL__IPC__MESSAGE__BODY_LOADED;
        message.loaded = &loaded;
        if (fds[0] >= 0)
            answer(w, job, &message, fds, 2);
        else
            answer(w, job, &message, &fds[1], 1);
    }
    accel_closep(&fds[0]);
    accel_closep(&fds[1]);
    return rc;
}

/* ---------------------------------------------------------------- Infer */

static int choose_outputs(const Accel__Ipc__Infer *infer, const struct accel_model *model,
                          struct accel_bump *mem, struct accel_named_tensor **outputs,
                          size_t *count, struct accel_error *err)
{
    const bool all = infer->n_outputs == 0;

    *count = all ? accel_model_output_count(model) : infer->n_outputs;
    *outputs = accel_bump_alloc(mem, *count + 1, sizeof(**outputs));
    if (*outputs == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for %zu outputs", *count);
    for (size_t i = 0; i < *count; i++)
        (*outputs)[i].name = all ? accel_model_output(model, i)->name : infer->outputs[i];
    return ACCEL_OK;
}

/* Makes the run visible to the reading thread, which may cancel it. */
static void set_running(struct worker *w, struct accel_session *session, int64_t deadline_ms)
{
    pthread_mutex_lock(&w->lock);
    w->session = session;
    w->deadline_ms = deadline_ms > 0 ? accel_now_ms() + deadline_ms : 0;
    if (session != NULL)
        w->late = false;
    pthread_mutex_unlock(&w->lock);
    if (session != NULL && deadline_ms > 0)
        (void)eventfd_write(w->began, 1);
}

static int run_session(struct worker *w, struct job *job, struct accel_session *session,
                       const struct accel_named_tensor *inputs, struct accel_named_tensor *outputs,
                       size_t outputs_count, uint64_t *run_ns, struct accel_error *err)
{
    const Accel__Ipc__Infer *infer = job->packet.message->infer;

    if (atomic_load(&job->cancelled))
        return accel_fail(err, ACCEL_E_CANCELLED, "cancelled");
    set_running(w, session, infer->deadline_ms);
    const int64_t begin = accel_now_ns();
    const int rc = accel_session_run(session, inputs, infer->n_inputs, outputs, outputs_count, err);
    *run_ns = (uint64_t)(accel_now_ns() - begin);
    set_running(w, NULL, 0);
    if (rc == ACCEL_E_CANCELLED && w->late)
        return accel_fail(err, ACCEL_E_TIMEOUT, "the run did not end within %lld ms",
                          (long long)infer->deadline_ms);
    return rc;
}

static int do_infer(struct worker *w, struct job *job, struct accel_error *err)
{
    const Accel__Ipc__Infer *infer = job->packet.message->infer;
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    ACCEL_CLEANUP(accel_closep) int packed = accel_ipc_take_fd(&job->packet, 0);
    ACCEL_CLEANUP(accel_closep) int given = accel_ipc_take_fd(&job->packet, 1);
    ACCEL_CLEANUP(accel_closep) int made = -1;
    ACCEL_CLEANUP(accel_mapping_free) struct accel_mapping mapping = {0};
    struct accel_named_tensor *inputs, *outputs;
    size_t outputs_count;
    struct accel_held_model *m;
    Accel__Ipc__Message message = ACCEL__IPC__MESSAGE__INIT;
    Accel__Ipc__Inferred inferred = ACCEL__IPC__INFERRED__INIT;
    const unsigned threads =
        infer->threads > 0 ? ACCEL_MIN(infer->threads, w->threads) : w->threads;
    const int64_t begin = accel_now_ns();

    int rc = accel_mapping_new(given, infer->input_bytes, "inputs", &mapping, err);
    if (rc == ACCEL_OK)
        rc = accel_tensors_in(infer, &mapping, &mem, &inputs, err);
    if (rc == ACCEL_OK)
        rc = accel_held_get(&w->held, infer->model_key, packed, &w->options, threads,
                            infer->profile, &m, err);
    if (rc == ACCEL_OK)
        rc = choose_outputs(infer, m->model, &mem, &outputs, &outputs_count, err);
    if (rc == ACCEL_OK) {
        if (m->uses == 1)
            inferred.load_ns = (uint64_t)(accel_now_ns() - begin);
        rc = run_session(w, job, m->session, inputs, outputs, outputs_count, &inferred.run_ns, err);
    }
    if (rc == ACCEL_OK)
        rc = accel_tensors_out(outputs, outputs_count, &mem, &inferred, &made, err);
    if (rc != ACCEL_OK)
        return rc;
    const int64_t *times = NULL;
    const size_t ops = infer->profile ? accel_session_profile(m->session, &times) : 0;
    if (ops <= PROFILE_MAX) {
        inferred.n_ns_per_op = ops;
        inferred.ns_per_op = (uint64_t *)times; /* never negative */
    }
    inferred.arena_bytes = accel_session_arena_bytes(m->session);
    inferred.threads = accel_session_threads(m->session);
    message.body_case = ACCEL__IPC__MESSAGE__BODY_INFERRED;
    message.inferred = &inferred;
    answer(w, job, &message, &made, 1);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- Calibrate */

static int do_calibrate(struct worker *w, struct job *job, struct accel_error *err)
{
    const Accel__Ipc__Calibrate *asked = job->packet.message->calibrate;
    const unsigned threads =
        asked->threads > 0 ? ACCEL_MIN(asked->threads, w->threads) : w->threads;
    Accel__Ipc__Message message = ACCEL__IPC__MESSAGE__INIT;
    Accel__Ipc__Calibrated calibrated = ACCEL__IPC__CALIBRATED__INIT;
    ACCEL_CLEANUP(accel_freep) char *text = NULL;
    ACCEL_CLEANUP(accel_closep) int fd = -1;
    struct accel_rate *rates = NULL;
    size_t count = 0;
    char isa[64];

    int rc = accel_calibrate_part(threads, w->options.cpu_mask, asked->point_us, asked->part_ms,
                                  asked->first, &calibrated.next, &rates, &count, err);
    if (rc == ACCEL_OK)
        rc = accel_rates_to_json(rates, count, &text, err);
    accel_rates_free(rates);
    if (rc == ACCEL_OK) {
        calibrated.json_bytes = strlen(text);
        rc = accel_memfd_of("rates", text, strlen(text), &fd, err);
    }
    if (rc != ACCEL_OK)
        return rc;
    calibrated.count = accel_calibration_count();
    calibrated.threads = threads;
    calibrated.isa =
        (char *)accel_cpu_mask_text(accel_cpu_features() & w->options.cpu_mask, isa, sizeof(isa));
    message.body_case = ACCEL__IPC__MESSAGE__BODY_CALIBRATED;
    message.calibrated = &calibrated;
    answer(w, job, &message, &fd, 1);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- the running thread */

static int do_job(struct worker *w, struct job *job, struct accel_error *err)
{
    const Accel__Ipc__Message *m = job->packet.message;

    if (atomic_load(&job->cancelled))
        return accel_fail(err, ACCEL_E_CANCELLED, "cancelled");
    switch (m->body_case) {
    case ACCEL__IPC__MESSAGE__BODY_LOAD:
        return do_load(w, job, err);
    case ACCEL__IPC__MESSAGE__BODY_INFER:
        return do_infer(w, job, err);
    case ACCEL__IPC__MESSAGE__BODY_CALIBRATE:
        return do_calibrate(w, job, err);
    case ACCEL__IPC__MESSAGE__BODY_DROP:
        accel_held_drop(&w->held, m->drop->model_key);
        answer_done(w, m->id);
        return ACCEL_OK;
    default:
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "a worker does not know message %d",
                          (int)m->body_case);
    }
}

static void free_job(struct job *job)
{
    accel_ipc_packet_free(&job->packet);
    accel_free(job);
}

static void *runner_main(void *context)
{
    struct worker *w = context;

    pthread_mutex_lock(&w->lock);
    while (!w->ending) {
        struct job *job = w->queue;
        struct accel_error err;
        if (job == NULL) {
            pthread_cond_wait(&w->wake, &w->lock);
            continue;
        }
        w->busy = true;
        pthread_mutex_unlock(&w->lock);
        accel_log_set_request(job->packet.message->request_id);
        if (do_job(w, job, &err) != ACCEL_OK)
            (void)accel_ipc_send_error(w->channel, job->packet.message->id, &err, NULL);
        accel_log_set_request(NULL);
        pthread_mutex_lock(&w->lock);
        w->busy = false;
        w->queue = job->next;
        w->queued--;
        pthread_mutex_unlock(&w->lock);
        free_job(job);
        pthread_mutex_lock(&w->lock);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* ---------------------------------------------------------------- the reading thread */

static void enqueue(struct worker *w, struct accel_ipc_packet *packet)
{
    struct job *job = accel_calloc(1, sizeof(*job));
    struct accel_error err;

    pthread_mutex_lock(&w->lock);
    const bool full = w->queued >= QUEUE_MAX;
    if (job != NULL && !full) {
        struct job **slot = &w->queue;
        job->packet = *packet;
        *packet = (struct accel_ipc_packet){0};
        while (*slot != NULL)
            slot = &(*slot)->next;
        *slot = job;
        w->queued++;
        pthread_cond_signal(&w->wake);
    }
    pthread_mutex_unlock(&w->lock);
    if (job != NULL && !full)
        return;
    accel_free(job);
    accel_fail(&err, full ? ACCEL_E_BUSY : ACCEL_E_NOMEM,
               full ? "%d requests wait for this worker already" : "no memory for request %d",
               QUEUE_MAX);
    (void)accel_ipc_send_error(w->channel, packet->message->id, &err, NULL);
}

/* One that is not there has been answered already. */
static void cancel(struct worker *w, uint64_t id)
{
    pthread_mutex_lock(&w->lock);
    for (struct job *job = w->queue; job != NULL; job = job->next)
        if (job->packet.message->id == id)
            atomic_store(&job->cancelled, true);
    pthread_mutex_unlock(&w->lock);
}

/* Ends a run that was cancelled or is late. Returns the milliseconds until the next look, -1: none
 * is needed before a message comes. */
static int look_after_run(struct worker *w)
{
    int wait = -1;

    pthread_mutex_lock(&w->lock);
    if (w->session != NULL) {
        const int64_t now = accel_now_ms();
        const bool late = w->deadline_ms != 0 && now >= w->deadline_ms;
        if (late || atomic_load(&w->queue->cancelled)) {
            /* With the lock held the session cannot be freed: the runner must take it first. */
            w->late = late && !atomic_load(&w->queue->cancelled);
            accel_session_cancel(w->session);
            wait = CANCEL_AGAIN_MS;
        } else if (w->deadline_ms != 0) {
            wait = (int)ACCEL_MIN(w->deadline_ms - now, 60000);
        }
    } else if (w->busy && atomic_load(&w->queue->cancelled)) {
        wait = CANCEL_AGAIN_MS; /* its run may be about to begin */
    }
    pthread_mutex_unlock(&w->lock);
    return wait;
}

static void set_log_level(const char *name)
{
    enum accel_log_level level;

    if (accel_log_level_parse(name, &level))
        accel_log_set_level(level);
}

/* Returns false at Stop. */
static bool take(struct worker *w, struct accel_ipc_packet *packet)
{
    const Accel__Ipc__Message *m = packet->message;

    switch (m->body_case) {
    case ACCEL__IPC__MESSAGE__BODY_STOP:
        return false;
    case ACCEL__IPC__MESSAGE__BODY_PING:
        answer_done(w, m->id);
        return true;
    case ACCEL__IPC__MESSAGE__BODY_CANCEL:
        cancel(w, m->id);
        return true;
    case ACCEL__IPC__MESSAGE__BODY_SET_LOG_LEVEL:
        set_log_level(m->set_log_level->level);
        return true;
    default:
        enqueue(w, packet);
        return true;
    }
}

static int read_channel(struct worker *w, struct accel_error *err)
{
    for (;;) {
        struct pollfd polls[] = {{.fd = w->channel, .events = POLLIN},
                                 {.fd = w->began, .events = POLLIN}};
        struct accel_ipc_packet packet;
        eventfd_t count;

        if (poll(polls, ACCEL_COUNT(polls), look_after_run(w)) < 0 && errno != EINTR)
            return accel_fail_errno(err, errno, "wait for a message");
        if (polls[1].revents != 0)
            (void)eventfd_read(w->began, &count);
        if (polls[0].revents == 0)
            continue;
        const int rc = accel_ipc_receive(w->channel, &packet, err);
        if (rc == ACCEL_E_UNAVAILABLE)
            return ACCEL_OK;
        if (rc != ACCEL_OK)
            return rc;
        const bool go_on = take(w, &packet);
        accel_ipc_packet_free(&packet);
        if (!go_on)
            return ACCEL_OK;
    }
}

static int init(struct worker *w, const struct accel_config *config, int channel,
                struct accel_error *err)
{
    *w = (struct worker){.config = config, .channel = channel};
    w->began = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->wake, NULL);
    if (w->began < 0)
        return accel_fail_errno(err, errno, "event");
    accel_load_options_init(&w->options);
    w->options.limits = config->limits.model;
    w->options.cpu_mask = config->workers.cpu_mask;
    w->threads = config->workers.threads > 0 ? config->workers.threads : accel_usable_cpus();
    return accel_held_init(&w->held, config->workers.models, config->workers.memory_bytes / 2, err);
}

int accel_worker_run(const struct accel_config *config, int channel, struct accel_error *err)
{
    struct worker w;
    pthread_t runner;
    int rc = init(&w, config, channel, err);

    if (rc == ACCEL_OK) {
        const int failed = pthread_create(&runner, NULL, runner_main, &w);
        if (failed != 0)
            rc = accel_fail_errno(err, failed, "running thread");
        else {
            rc = read_channel(&w, err);
            pthread_mutex_lock(&w.lock);
            w.ending = true;
            if (w.queue != NULL)
                atomic_store(&w.queue->cancelled, true);
            if (w.session != NULL)
                accel_session_cancel(w.session);
            pthread_cond_signal(&w.wake);
            pthread_mutex_unlock(&w.lock);
            pthread_join(runner, NULL);
        }
    }
    for (struct job *job = w.queue; job != NULL;) {
        struct job *next = job->next;
        free_job(job);
        job = next;
    }
    accel_held_free(&w.held);
    pthread_cond_destroy(&w.wake);
    pthread_mutex_destroy(&w.lock);
    accel_closep(&w.began);
    close(channel);
    return rc;
}
