/* SPDX-License-Identifier: Apache-2.0 */
#include "hardware/serve.h"

#include <errno.h>
#include <malloc.h>
#include <math.h>
#include <openssl/evp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bump.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/ipc.h"
#include "hardware/build.h"
#include "hardware/helper.h"

#define QUEUE_MAX           64 /* requests waiting for the module */
/* Above this a list goes in a memory file: well below the packet, which has other fields too. */
#define INLINE_MAX          (64u * 1024u)
#define READINGS_MAX        16384 /* control takes no more */
#define PROGRESS_EVERY_MS   200
#define SHA256_BYTES        32
#define PROGRAM_RESULTS_MAX 256 /* devices whose last programming is remembered */

typedef Accel__Ipc__Message message_t;

/* One request for the module. */
struct job {
    struct job *next;
    struct accel_ipc_packet packet;
    unsigned generation; /* of the channel it came on */
    _Atomic bool cancelled;
};

/* How the last programming of a device ended; kept for a control process that starts later. */
struct result {
    struct result *next;
    char *identity, *deployable, *request_id;
    uint8_t sha256[SHA256_BYTES];
    struct accel_error err; /* code 0: it succeeded */
};

struct serve {
    const struct accel_serve *with;
    const struct accel_driver *driver;
    void *self; /* the module's */
    int wake;   /* eventfd: the driver thread has news for the loop */
    int signals;
    int supervisor; /* loop only */

    pthread_mutex_t lock; /* guards all below, and sending on the channel */
    pthread_cond_t queued;
    int channel;
    unsigned generation;
    struct job *first, **last;
    size_t queue_size;
    struct job *running;
    struct result *results; /* latest first */
    bool opened;            /* open() has returned, `mine`, `reason` and `watch` are set */
    bool hello_due;
    bool mine;
    char reason[ACCEL_ERROR_MSG_MAX];
    struct accel_error open_error; /* code 0: none */
    uint32_t open_ms;
    struct accel_watch watch;
    bool watch_armed; /* poll its descriptor: not between an event and the next discovery */
    int64_t changed_at_ms;
    bool changed_due; /* a programming has ended: the device may be another now */
    bool stopping;    /* no new requests; the driver thread ends after what runs */
    bool ended;       /* it has ended */
    /* The driver thread's: what a helper answered last, for when the next one crashes. */
    message_t *last_answer;
};

/* ---------------------------------------------------------------- sending */

/* Lock held. A send that fails needs no care here: the loop sees the channel's end. */
static void send_locked(struct serve *s, uint64_t id, message_t *message, const int *fds,
                        size_t fds_count)
{
    struct accel_error err;

    message->id = id;
    if (s->channel >= 0 && accel_ipc_send(s->channel, message, fds, fds_count, &err) != ACCEL_OK)
        accel_log_warning("answer not sent", "module=%s reason=\"%s\"", s->driver->name, err.msg);
}

/* Answers on the channel the request came on; when that is gone nobody waits for it. */
static void answer(struct serve *s, const struct job *job, message_t *message, const int *fds,
                   size_t fds_count)
{
    pthread_mutex_lock(&s->lock);
    if (job->generation == s->generation)
        send_locked(s, job->packet.message->id, message, fds, fds_count);
    pthread_mutex_unlock(&s->lock);
}

static void init_error(message_t *message, Accel__Ipc__Error *body, const struct accel_error *err)
{
    accel__ipc__message__init(message);
    accel__ipc__error__init(body);
    body->code = (uint32_t)err->code;
    body->msg = (char *)err->msg;
    message->body_case = ACCEL__IPC__MESSAGE__BODY_ERROR;
    message->error = body;
}

static void init_done(message_t *message, Accel__Ipc__Done *body)
{
    accel__ipc__message__init(message);
    accel__ipc__done__init(body);
    message->body_case = ACCEL__IPC__MESSAGE__BODY_DONE;
    message->done = body;
}

static void answer_result(struct serve *s, const struct job *job, int rc,
                          const struct accel_error *err)
{
    Accel__Ipc__Error error;
    Accel__Ipc__Done done;
    message_t message;

    if (rc != ACCEL_OK)
        init_error(&message, &error, err);
    else
        init_done(&message, &done);
    answer(s, job, &message, NULL, 0);
}

static void init_programmed(Accel__Ipc__Programmed *to, Accel__Ipc__Error *error,
                            const struct result *from)
{
    accel__ipc__programmed__init(to);
    to->identity = from->identity;
    to->deployable = from->deployable;
    to->request_id = from->request_id;
    to->sha256.data = (uint8_t *)from->sha256;
    to->sha256.len = SHA256_BYTES;
    if (from->err.code != 0) {
        accel__ipc__error__init(error);
        error->code = (uint32_t)from->err.code;
        error->msg = (char *)from->err.msg;
        to->error = error;
    }
}

static void fill_hello(Accel__Ipc__Hello *hello, const struct accel_driver *driver)
{
    hello->module = (char *)driver->name;
    hello->version = (char *)(driver->version != NULL ? driver->version : "");
    hello->family = (char *)(driver->family != NULL ? driver->family : "");
    hello->priority = driver->priority;
    hello->abi = driver->abi;
    hello->can_program = driver->program != NULL;
    hello->can_attach = driver->attach != NULL;
    hello->can_read = driver->read != NULL;
}

/* Lock held. First on every channel: who the module is, what it is doing, what it has done. */
static void send_hello(struct serve *s)
{
    Accel__Ipc__Hello hello = ACCEL__IPC__HELLO__INIT;
    message_t message = ACCEL__IPC__MESSAGE__INIT;
    Accel__Ipc__Programmed bodies[PROGRAM_RESULTS_MAX], *pointers[PROGRAM_RESULTS_MAX];
    Accel__Ipc__Error errors[PROGRAM_RESULTS_MAX];

    fill_hello(&hello, s->driver);
    hello.mine = s->mine;
    hello.reason = s->reason;
    hello.open_ms = s->open_ms;
    hello.privileged = s->with->privileged;
    if (s->running != NULL &&
        s->running->packet.message->body_case == ACCEL__IPC__MESSAGE__BODY_PROGRAM)
        hello.programming = s->running->packet.message->program->identity;
    for (const struct result *r = s->results; r != NULL && hello.n_programmed < PROGRAM_RESULTS_MAX;
         r = r->next) {
        const size_t i = hello.n_programmed++;
        init_programmed(&bodies[i], &errors[i], r);
        pointers[i] = &bodies[i];
    }
    hello.programmed = pointers;
    message.body_case = ACCEL__IPC__MESSAGE__BODY_HELLO;
    message.hello = &hello;
    s->hello_due = false;
    send_locked(s, 0, &message, NULL, 0);
}

void accel_serve_refuse(int channel, const char *name, const struct accel_error *why)
{
    Accel__Ipc__Hello hello = ACCEL__IPC__HELLO__INIT;
    message_t message = ACCEL__IPC__MESSAGE__INIT;

    hello.module = (char *)name;
    hello.reason = (char *)why->msg;
    message.body_case = ACCEL__IPC__MESSAGE__BODY_HELLO;
    message.hello = &hello;
    (void)accel_ipc_send(channel, &message, NULL, 0, NULL);
}

/* ---------------------------------------------------------------- what the module does */

/* A memory file with the packed message. */
static int pack_beside(const ProtobufCMessage *message, const char *name, int *fd,
                       struct accel_error *err)
{
    const size_t size = protobuf_c_message_get_packed_size(message);
    ACCEL_CLEANUP(accel_freep) uint8_t *bytes = accel_malloc(size > 0 ? size : 1);

    if (bytes == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to encode %zu bytes", size);
    protobuf_c_message_pack(message, bytes);
    return accel_memfd_of(name, bytes, size, fd, err);
}

static void send_list(struct serve *s, const struct job *job, const Accel__Ipc__DeviceList *list,
                      uint32_t took_ms)
{
    Accel__Ipc__Discovery discovery = ACCEL__IPC__DISCOVERY__INIT;
    message_t message = ACCEL__IPC__MESSAGE__INIT;
    ACCEL_CLEANUP(accel_closep) int fd = -1;
    struct accel_error err;

    discovery.took_ms = took_ms;
    discovery.inlined = protobuf_c_message_get_packed_size(&list->base) <= INLINE_MAX;
    if (discovery.inlined)
        discovery.list = (Accel__Ipc__DeviceList *)list;
    else if (pack_beside(&list->base, "discovery", &fd, &err) != ACCEL_OK) {
        answer_result(s, job, (int)err.code, &err);
        return;
    }
    message.body_case = ACCEL__IPC__MESSAGE__BODY_DISCOVERY;
    message.discovery = &discovery;
    answer(s, job, &message, &fd, discovery.inlined ? 0 : 1);
}

static bool is_helper(const struct serve *s)
{
    return (s->driver->flags & ACCEL_DRIVER_HELPER) != 0;
}

static int ask_helper(struct serve *s, bool discover, message_t **answer, struct accel_error *err)
{
    pthread_mutex_lock(&s->lock);
    const int ours[] = {s->wake, s->signals, s->channel, s->supervisor};
    pthread_mutex_unlock(&s->lock);
    const struct accel_helper helper = {
        .driver = s->driver,
        .host = s->with->host,
        .config = s->with->config,
        .hostname = s->with->hostname,
        .close_fds = ours,
        .close_count = ACCEL_COUNT(ours),
    };

    return accel_helper_ask(&helper, discover, answer, err);
}

/* Vendor code that failed costs this question: its devices stay as they were last known, and the
 * reason is the list's one problem. */
static int discover_by_helper(struct serve *s, const struct job *job, int64_t began_ms)
{
    Accel__Ipc__DeviceList list = ACCEL__IPC__DEVICE_LIST__INIT;
    Accel__Ipc__Problem problem = ACCEL__IPC__PROBLEM__INIT, *problems[] = {&problem};
    message_t *answer = NULL;
    struct accel_error err;

    const int rc = ask_helper(s, true, &answer, &err);
    if (rc == ACCEL_OK || rc == ACCEL_E_NOT_MINE) {
        if (s->last_answer != NULL)
            accel__ipc__message__free_unpacked(s->last_answer, NULL);
        s->last_answer = answer;
    }
    if (s->last_answer != NULL)
        list = *s->last_answer->discovery->list;
    if (rc != ACCEL_OK && rc != ACCEL_E_NOT_MINE) {
        accel_log_warning("helper failed", "module=%s reason=\"%s\"", s->driver->name, err.msg);
        problem.where = (char *)s->driver->name;
        problem.reason = err.msg;
        list.problems = problems;
        list.n_problems = 1;
    }
    send_list(s, job, &list, (uint32_t)(accel_now_ms() - began_ms));
    return ACCEL_OK;
}

static int do_discover(struct serve *s, const struct job *job, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_build_freep) struct accel_build *build = NULL;
    const Accel__Ipc__DeviceList *list = NULL;
    const int64_t began_ms = accel_now_ms();

    if (is_helper(s) && s->mine)
        return discover_by_helper(s, job, began_ms);
    int rc = accel_build_new(s->driver->name, s->with->hostname, &build, err);
    if (rc == ACCEL_OK && s->mine)
        rc = s->driver->discover(s->self, accel_build_builder(build), err);
    if (rc == ACCEL_OK)
        rc = accel_host_check(s->with->host, err);
    if (rc == ACCEL_OK)
        rc = accel_build_list(build, &list, err);
    if (rc == ACCEL_OK)
        send_list(s, job, list, (uint32_t)(accel_now_ms() - began_ms));
    /* What happened during the discovery still shows: descriptors stay readable until drained. */
    pthread_mutex_lock(&s->lock);
    s->watch_armed = true;
    s->changed_at_ms = accel_now_ms();
    pthread_mutex_unlock(&s->lock);
    accel_build_freep(&build);
    malloc_trim(0); /* a large discovery is rare; its memory is not kept for the next */
    return rc;
}

struct telemetry {
    struct accel_bump mem;
    Accel__Ipc__Telemetry body;
    size_t room;
};

static void telemetry_free(struct telemetry *t)
{
    accel_bump_free(&t->mem);
}

/* A reading that is not usable is left out: unknown is no reading, never a zero. */
static int telemetry_add(struct accel_readings *out, const struct accel_reading *reading,
                         struct accel_error *err)
{
    struct telemetry *t = out->self;

    if (reading->identity == NULL || reading->name == NULL || !isfinite(reading->value) ||
        strlen(reading->identity) > 255 || strlen(reading->name) > 255)
        return ACCEL_OK;
    if (t->body.n_readings >= READINGS_MAX)
        return accel_fail(err, ACCEL_E_LIMIT, "more than %d readings", READINGS_MAX);
    if (t->body.n_readings == t->room) {
        const size_t more = t->room > 0 ? t->room * 2 : 64;
        Accel__Ipc__Reading **grown = accel_bump_alloc(&t->mem, more, sizeof(*grown));
        if (grown == NULL)
            return accel_fail(err, ACCEL_E_NOMEM, "no memory for readings");
        if (t->room > 0)
            memcpy(grown, t->body.readings, t->room * sizeof(*grown));
        t->body.readings = grown;
        t->room = more;
    }
    Accel__Ipc__Reading *made = accel_bump_alloc(&t->mem, 1, sizeof(*made));
    if (made == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for readings");
    accel__ipc__reading__init(made);
    made->identity = accel_bump_strdup(&t->mem, reading->identity);
    made->name = accel_bump_strdup(&t->mem, reading->name);
    made->value = reading->value;
    if (made->identity == NULL || made->name == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for readings");
    t->body.readings[t->body.n_readings++] = made;
    return ACCEL_OK;
}

static int do_read(struct serve *s, const struct job *job, struct accel_error *err)
{
    ACCEL_CLEANUP(telemetry_free) struct telemetry t = {.body = ACCEL__IPC__TELEMETRY__INIT};
    struct accel_readings readings = {
        .struct_size = sizeof(readings), .self = &t, .add = telemetry_add};
    Accel__Ipc__Telemetry pointer = ACCEL__IPC__TELEMETRY__INIT;
    message_t message = ACCEL__IPC__MESSAGE__INIT;
    ACCEL_CLEANUP(accel_closep) int fd = -1;

    if (s->driver->read == NULL)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "module %s reads no telemetry",
                          s->driver->name);
    int rc = s->driver->read(s->self, &readings, err);
    if (rc != ACCEL_OK)
        return rc;
    message.body_case = ACCEL__IPC__MESSAGE__BODY_TELEMETRY;
    message.telemetry = &t.body;
    if (protobuf_c_message_get_packed_size(&t.body.base) > INLINE_MAX) {
        rc = pack_beside(&t.body.base, "telemetry", &fd, err);
        if (rc != ACCEL_OK)
            return rc;
        pointer.beside = true;
        message.telemetry = &pointer;
    }
    answer(s, job, &message, &fd, fd >= 0 ? 1 : 0);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- programming */

/* What is written to a device is what was asked for: the file cannot change any more (sealed) and
 * its bytes have the hash that control knows. */
static int check_image(const Accel__Ipc__Program *request, int fd, struct accel_error *err)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned digest_size = 0;
    struct stat file;

    if (fd < 0 || fstat(fd, &file) != 0)
        return accel_fail(err, ACCEL_E_INVALID, "no image came with the request");
    if (!accel_memfd_is_sealed(fd))
        return accel_fail(err, ACCEL_E_INVALID, "the image is no sealed memory file");
    if ((uint64_t)file.st_size != request->image_bytes || file.st_size == 0)
        return accel_fail(err, ACCEL_E_INVALID, "the image has %lld bytes, not %llu",
                          (long long)file.st_size, (unsigned long long)request->image_bytes);
    if (request->sha256.len != SHA256_BYTES)
        return accel_fail(err, ACCEL_E_INVALID, "the request has no SHA-256");
    void *bytes = mmap(NULL, (size_t)file.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        return accel_fail_errno(err, errno, "map the image");
    const int good =
        EVP_Digest(bytes, (size_t)file.st_size, digest, &digest_size, EVP_sha256(), NULL);
    munmap(bytes, (size_t)file.st_size);
    if (good != 1 || digest_size != SHA256_BYTES)
        return accel_fail(err, ACCEL_E_INTERNAL, "cannot hash the image");
    if (memcmp(digest, request->sha256.data, SHA256_BYTES) != 0)
        return accel_fail(err, ACCEL_E_CORRUPT, "the image's SHA-256 is not the one asked for");
    return ACCEL_OK;
}

struct programming {
    struct accel_progress progress;
    struct serve *serve;
    const struct job *job;
    int64_t told_ms;
};

static void tell_progress(struct accel_progress *p, double percent, const char *text)
{
    struct programming *programming = p->self;
    Accel__Ipc__Progress body = ACCEL__IPC__PROGRESS__INIT;
    message_t message = ACCEL__IPC__MESSAGE__INIT;
    const int64_t now_ms = accel_now_ms();

    if (!(percent < 100) || now_ms - programming->told_ms >= PROGRESS_EVERY_MS) {
        programming->told_ms = now_ms;
        body.percent = isfinite(percent) ? ACCEL_MIN(ACCEL_MAX(percent, 0.0), 100.0) : 0;
        body.text = (char *)(text != NULL ? text : "");
        message.body_case = ACCEL__IPC__MESSAGE__BODY_PROGRESS;
        message.progress = &body;
        answer(programming->serve, programming->job, &message, NULL, 0);
    }
}

static bool is_cancelled(struct accel_progress *p)
{
    const struct programming *programming = p->self;

    return atomic_load(&programming->job->cancelled);
}

static void result_free(struct result *r)
{
    accel_free(r->identity);
    accel_free(r->deployable);
    accel_free(r->request_id);
    accel_free(r);
}

/* Lock held. The device's result so far goes, and the oldest of all when there are too many. */
static void keep_result(struct serve *s, struct result *made)
{
    size_t count = 0;

    for (struct result **at = &s->results; *at != NULL;) {
        struct result *r = *at;
        if (strcmp(r->identity, made->identity) == 0 || ++count >= PROGRAM_RESULTS_MAX) {
            *at = r->next;
            result_free(r);
        } else {
            at = &r->next;
        }
    }
    made->next = s->results;
    s->results = made;
}

static struct result *result_new(const struct job *job)
{
    const Accel__Ipc__Program *request = job->packet.message->program;
    struct result *r = accel_calloc(1, sizeof(*r));

    if (r == NULL)
        return NULL;
    r->identity = accel_strdup(request->identity);
    r->deployable = accel_strdup(request->deployable);
    r->request_id = accel_strdup(job->packet.message->request_id);
    if (request->sha256.len == SHA256_BYTES)
        memcpy(r->sha256, request->sha256.data, SHA256_BYTES);
    if (r->identity == NULL || r->deployable == NULL || r->request_id == NULL) {
        result_free(r);
        return NULL;
    }
    return r;
}

/* Records how it ended, then tells whoever is there: the asker its answer, a control process that
 * came later the news. */
static void programming_ended(struct serve *s, const struct job *job, struct result *result, int rc,
                              const struct accel_error *err)
{
    Accel__Ipc__Programmed body;
    Accel__Ipc__Error error;
    message_t message = ACCEL__IPC__MESSAGE__INIT;

    pthread_mutex_lock(&s->lock);
    if (rc != ACCEL_OK)
        result->err = *err;
    keep_result(s, result);
    s->running = NULL;
    s->changed_due = true;
    if (job->generation != s->generation && s->channel >= 0 && !s->hello_due) {
        init_programmed(&body, &error, result);
        message.body_case = ACCEL__IPC__MESSAGE__BODY_PROGRAMMED;
        message.programmed = &body;
        send_locked(s, 0, &message, NULL, 0);
    }
    pthread_mutex_unlock(&s->lock);
    answer_result(s, job, rc, err);
}

static int do_program(struct serve *s, struct job *job, bool *answered, struct accel_error *err)
{
    const Accel__Ipc__Program *from = job->packet.message->program;
    struct programming programming = {
        .progress = {.struct_size = sizeof(struct accel_progress),
                     .self = &programming,
                     .progress = tell_progress,
                     .cancelled = is_cancelled},
        .serve = s,
        .job = job,
    };

    if (s->driver->program == NULL)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "module %s programs nothing", s->driver->name);
    ACCEL_CLEANUP(accel_closep) int fd = accel_ipc_take_fd(&job->packet, 0);
    int rc = check_image(from, fd, err);
    if (rc != ACCEL_OK)
        return accel_fail_in(err, "program %s", from->identity);
    /* Before the device is touched: afterwards there must be nothing that can fail. */
    struct result *result = result_new(job);
    if (result == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "program %s: no memory", from->identity);
    const struct accel_program_request request = {
        .struct_size = sizeof(request),
        .identity = from->identity,
        .deployable = from->deployable,
        .image_fd = fd,
        .image_bytes = (size_t)from->image_bytes,
        .image_facts = from->image_facts,
    };
    accel_log_info("programming begins", "module=%s device=%s bytes=%zu", s->driver->name,
                   from->identity, request.image_bytes);
    rc = s->driver->program(s->self, &request, &programming.progress, err);
    accel_log_info("programming ended", "module=%s device=%s result=%s", s->driver->name,
                   from->identity, accel_code_name(rc));
    programming_ended(s, job, result, rc, err);
    *answered = true;
    return rc;
}

/* ---------------------------------------------------------------- the driver thread */

static int run_job(struct serve *s, struct job *job, bool *answered, struct accel_error *err)
{
    const message_t *m = job->packet.message;

    *answered = false;
    if (atomic_load(&job->cancelled))
        return accel_fail(err, ACCEL_E_CANCELLED, "cancelled before it began");
    if (!s->mine && m->body_case != ACCEL__IPC__MESSAGE__BODY_DISCOVER)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "module %s is not in use: %s", s->driver->name,
                          s->reason);
    switch (m->body_case) {
    case ACCEL__IPC__MESSAGE__BODY_DISCOVER:
        *answered = true;
        return do_discover(s, job, err);
    case ACCEL__IPC__MESSAGE__BODY_READ_TELEMETRY:
        *answered = true;
        return do_read(s, job, err);
    case ACCEL__IPC__MESSAGE__BODY_PROGRAM:
        return do_program(s, job, answered, err);
    case ACCEL__IPC__MESSAGE__BODY_ATTACH:
        if (s->driver->attach == NULL)
            break;
        return s->driver->attach(s->self, m->attach->identity, m->attach->attach_info, err);
    case ACCEL__IPC__MESSAGE__BODY_DETACH:
        if (s->driver->detach == NULL)
            break;
        return s->driver->detach(s->self, m->detach->identity, m->detach->attach_info, err);
    default:
        break;
    }
    return accel_fail(err, ACCEL_E_UNSUPPORTED, "module %s has no such operation", s->driver->name);
}

static void job_free(struct job *job)
{
    accel_ipc_packet_free(&job->packet);
    accel_free(job);
}

static void wake_loop(struct serve *s)
{
    const uint64_t one = 1;

    if (write(s->wake, &one, sizeof(one)) < 0)
        return; /* EAGAIN: it is awake for 2^64 - 1 reasons already */
}

/* open() and watch(); what they say is for Hello and the loop. */
static void open_module(struct serve *s)
{
    struct accel_watch watch = {.struct_size = sizeof(watch), .fd = -1};
    struct accel_error err = {.code = ACCEL_E_INTERNAL};
    const int64_t began_ms = accel_now_ms();
    int rc = ACCEL_OK;

    snprintf(err.msg, sizeof(err.msg), "open() gave no reason");
    if (is_helper(s)) {
        message_t *answer = NULL;
        rc = ask_helper(s, false, &answer, &err);
        if (rc == ACCEL_OK)
            accel__ipc__message__free_unpacked(answer, NULL);
        /* Of a crash or a hang every discovery tells: it may be mended meanwhile. */
        if (rc != ACCEL_E_NOT_MINE)
            rc = ACCEL_OK;
    } else if (s->driver->open != NULL)
        rc = s->driver->open(s->with->host, accel_module_config_get(s->with->config), &s->self,
                             &err);
    if (rc == ACCEL_OK && s->driver->watch != NULL && !is_helper(s)) {
        struct accel_error trouble = {.msg = ""};
        if (s->driver->watch(s->self, &watch, &trouble) != ACCEL_OK) {
            accel_log_warning("changes are noticed by scanning only", "module=%s reason=\"%s\"",
                              s->driver->name, trouble.msg);
            watch.fd = -1;
        }
    }
    pthread_mutex_lock(&s->lock);
    s->mine = rc == ACCEL_OK;
    if (rc != ACCEL_OK)
        snprintf(s->reason, sizeof(s->reason), "%s", err.msg);
    if (rc != ACCEL_OK && rc != ACCEL_E_NOT_MINE)
        s->open_error = err;
    s->watch = watch;
    s->watch_armed = true;
    s->changed_at_ms = accel_now_ms();
    s->open_ms = (uint32_t)(accel_now_ms() - began_ms);
    s->opened = true;
    pthread_mutex_unlock(&s->lock);
    wake_loop(s);
}

static struct job *next_job(struct serve *s)
{
    struct job *job = NULL;

    pthread_mutex_lock(&s->lock);
    while (s->first == NULL && !s->stopping)
        pthread_cond_wait(&s->queued, &s->lock);
    if (!s->stopping) {
        job = s->first;
        s->first = job->next;
        if (s->first == NULL)
            s->last = &s->first;
        s->queue_size--;
        s->running = job;
    }
    pthread_mutex_unlock(&s->lock);
    return job;
}

static void *driver_main(void *context)
{
    struct serve *s = context;
    struct job *job;

    open_module(s);
    while (s->open_error.code == 0 && (job = next_job(s)) != NULL) {
        struct accel_error err = {.code = ACCEL_E_INTERNAL};
        bool answered = false;

        snprintf(err.msg, sizeof(err.msg), "module %s gave no reason", s->driver->name);
        accel_log_set_request(job->packet.message->request_id);
        const int rc = run_job(s, job, &answered, &err);
        if (rc != ACCEL_OK && err.code == 0)
            err.code = (enum accel_code)rc;
        /* do_discover and do_read answer themselves when they succeed, do_program in any case. */
        const bool by_itself =
            answered &&
            (rc == ACCEL_OK || job->packet.message->body_case == ACCEL__IPC__MESSAGE__BODY_PROGRAM);
        pthread_mutex_lock(&s->lock);
        s->running = NULL;
        pthread_mutex_unlock(&s->lock);
        if (!by_itself)
            answer_result(s, job, rc, &err);
        accel_log_set_request(NULL);
        job_free(job);
        wake_loop(s);
    }
    if (s->mine && s->driver->close != NULL && !is_helper(s))
        s->driver->close(s->self);
    pthread_mutex_lock(&s->lock);
    s->ended = true;
    pthread_mutex_unlock(&s->lock);
    wake_loop(s);
    return NULL;
}

/* ---------------------------------------------------------------- the loop */

static void refuse(struct serve *s, uint64_t id, enum accel_code code, const char *reason)
{
    struct accel_error err = {.code = code};
    Accel__Ipc__Error body;
    message_t message;

    snprintf(err.msg, sizeof(err.msg), "%s", reason);
    init_error(&message, &body, &err);
    pthread_mutex_lock(&s->lock);
    send_locked(s, id, &message, NULL, 0);
    pthread_mutex_unlock(&s->lock);
}

static bool is_programming(const struct serve *s)
{
    if (s->running != NULL &&
        s->running->packet.message->body_case == ACCEL__IPC__MESSAGE__BODY_PROGRAM)
        return true;
    for (const struct job *job = s->first; job != NULL; job = job->next)
        if (job->packet.message->body_case == ACCEL__IPC__MESSAGE__BODY_PROGRAM)
            return true;
    return false;
}

/* Hands a request to the driver thread. A programming takes minutes: what would wait behind it is
 * refused at once, so that no caller's deadline runs out and ends the process meanwhile. */
static void enqueue(struct serve *s, struct accel_ipc_packet *packet)
{
    const uint64_t id = packet->message->id;
    struct job *job = accel_calloc(1, sizeof(*job));
    const char *why = NULL;

    if (job == NULL) {
        refuse(s, id, ACCEL_E_NOMEM, "no memory for the request");
        return;
    }
    pthread_mutex_lock(&s->lock);
    if (s->stopping)
        why = "the process is stopping";
    else if (is_programming(s))
        why = "a device is being programmed";
    else if (s->queue_size >= QUEUE_MAX)
        why = "too many requests wait for the module";
    if (why == NULL) {
        job->packet = *packet;
        *packet = (struct accel_ipc_packet){0};
        job->generation = s->generation;
        *s->last = job;
        s->last = &job->next;
        s->queue_size++;
        pthread_cond_signal(&s->queued);
    }
    pthread_mutex_unlock(&s->lock);
    if (why != NULL) {
        accel_free(job);
        refuse(s, id, ACCEL_E_BUSY, why);
    }
}

static void cancel(struct serve *s, uint64_t id)
{
    pthread_mutex_lock(&s->lock);
    if (s->running != NULL && s->running->generation == s->generation &&
        s->running->packet.message->id == id)
        atomic_store(&s->running->cancelled, true);
    for (struct job *job = s->first; job != NULL; job = job->next)
        if (job->generation == s->generation && job->packet.message->id == id)
            atomic_store(&job->cancelled, true);
    pthread_mutex_unlock(&s->lock);
}

/* What waits is refused; what runs is finished; then the driver thread ends. */
static void stop(struct serve *s)
{
    Accel__Ipc__Error body;
    message_t message;
    struct accel_error err = {.code = ACCEL_E_UNAVAILABLE, .msg = "the process is stopping"};

    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    while (s->first != NULL) {
        struct job *job = s->first;
        s->first = job->next;
        init_error(&message, &body, &err);
        if (job->generation == s->generation)
            send_locked(s, job->packet.message->id, &message, NULL, 0);
        job_free(job);
    }
    s->last = &s->first;
    s->queue_size = 0;
    pthread_cond_signal(&s->queued);
    pthread_mutex_unlock(&s->lock);
}

static void set_log_level(struct serve *s, uint64_t id, const char *name)
{
    enum accel_log_level level;
    Accel__Ipc__Done done;
    message_t message;

    if (!accel_log_level_parse(name, &level)) {
        refuse(s, id, ACCEL_E_INVALID, "log level is none of error warning info debug");
        return;
    }
    accel_log_set_level(level);
    init_done(&message, &done);
    pthread_mutex_lock(&s->lock);
    send_locked(s, id, &message, NULL, 0);
    pthread_mutex_unlock(&s->lock);
}

static void handle_message(struct serve *s, struct accel_ipc_packet *packet)
{
    const uint64_t id = packet->message->id;
    Accel__Ipc__Done done;
    message_t message;

    switch (packet->message->body_case) {
    case ACCEL__IPC__MESSAGE__BODY_DISCOVER:
    case ACCEL__IPC__MESSAGE__BODY_READ_TELEMETRY:
    case ACCEL__IPC__MESSAGE__BODY_PROGRAM:
    case ACCEL__IPC__MESSAGE__BODY_ATTACH:
    case ACCEL__IPC__MESSAGE__BODY_DETACH:
        enqueue(s, packet);
        break;
    case ACCEL__IPC__MESSAGE__BODY_CANCEL:
        cancel(s, id);
        break;
    case ACCEL__IPC__MESSAGE__BODY_SET_LOG_LEVEL:
        set_log_level(s, id, packet->message->set_log_level->level);
        break;
    case ACCEL__IPC__MESSAGE__BODY_STOP:
        stop(s);
        /* fall through */
    case ACCEL__IPC__MESSAGE__BODY_PING:
        init_done(&message, &done);
        pthread_mutex_lock(&s->lock);
        if (id != 0)
            send_locked(s, id, &message, NULL, 0);
        pthread_mutex_unlock(&s->lock);
        break;
    default:
        if (id != 0)
            refuse(s, id, ACCEL_E_UNSUPPORTED, "not a message for a hardware process");
    }
}

/* Lock not held. Ends the present channel; -1 leaves none. */
static void replace_channel(struct serve *s, int channel)
{
    pthread_mutex_lock(&s->lock);
    accel_closep(&s->channel);
    s->channel = channel;
    s->generation++;
    s->hello_due = channel >= 0;
    if (s->hello_due && s->opened)
        send_hello(s);
    pthread_mutex_unlock(&s->lock);
}

static void read_channel(struct serve *s)
{
    ACCEL_CLEANUP(accel_ipc_packet_free) struct accel_ipc_packet packet = {0};
    struct accel_error err;

    const int rc = accel_ipc_receive(s->channel, &packet, &err);
    if (rc == ACCEL_OK) {
        handle_message(s, &packet);
        return;
    }
    if (rc == ACCEL_E_NOMEM) {
        accel_log_error("message lost", "module=%s reason=\"%s\"", s->driver->name, err.msg);
        return;
    }
    accel_log_info("channel to control ended", "module=%s reason=\"%s\"", s->driver->name, err.msg);
    replace_channel(s, -1);
    if (s->supervisor < 0)
        stop(s);
}

static void read_supervisor(struct serve *s)
{
    ACCEL_CLEANUP(accel_ipc_packet_free) struct accel_ipc_packet packet = {0};
    Accel__Ipc__Done done;
    struct accel_error err;
    message_t message;

    const int rc = accel_ipc_receive(s->supervisor, &packet, &err);
    if (rc == ACCEL_E_NOMEM)
        return;
    if (rc != ACCEL_OK) {
        accel_log_info("supervisor is gone", "module=%s reason=\"%s\"", s->driver->name, err.msg);
        accel_closep(&s->supervisor);
        stop(s);
        return;
    }
    const message_t *m = packet.message;
    if (m->body_case == ACCEL__IPC__MESSAGE__BODY_PEER_UP &&
        m->peer_up->role == ACCEL__IPC__ROLE__CONTROL && packet.fds_count > 0)
        replace_channel(s, accel_ipc_take_fd(&packet, 0));
    else if (m->body_case == ACCEL__IPC__MESSAGE__BODY_STOP)
        stop(s);
    enum accel_log_level level;
    if (m->body_case == ACCEL__IPC__MESSAGE__BODY_SET_LOG_LEVEL &&
        accel_log_level_parse(m->set_log_level->level, &level))
        accel_log_set_level(level);
    if (m->id != 0) {
        init_done(&message, &done);
        message.id = m->id;
        (void)accel_ipc_send(s->supervisor, &message, NULL, 0, NULL);
    }
}

static void send_changed(struct serve *s)
{
    Accel__Ipc__Changed body = ACCEL__IPC__CHANGED__INIT;
    message_t message = ACCEL__IPC__MESSAGE__INIT;

    message.body_case = ACCEL__IPC__MESSAGE__BODY_CHANGED;
    message.changed = &body;
    pthread_mutex_lock(&s->lock);
    s->changed_due = false;
    s->watch_armed = false;
    s->changed_at_ms = accel_now_ms();
    send_locked(s, 0, &message, NULL, 0);
    pthread_mutex_unlock(&s->lock);
}

/* Milliseconds until the module's period has passed, -1: it has none, or was not opened. */
static int until_period(struct serve *s)
{
    int64_t left = -1;

    pthread_mutex_lock(&s->lock);
    if (s->opened && s->watch.period_ms > 0 && s->channel >= 0)
        left = ACCEL_MAX(s->changed_at_ms + s->watch.period_ms - accel_now_ms(), 0);
    pthread_mutex_unlock(&s->lock);
    return (int)ACCEL_MIN(left, (int64_t)3600000);
}

enum { WAKE, SIGNALS, SUPERVISOR, CHANNEL, EVENTS, WATCH, POLLED };

/* One turn: waits for whatever comes first. Returns false when the process may end. */
static bool turn(struct serve *s)
{
    struct pollfd p[POLLED] = {{.fd = s->wake}, {.fd = s->signals}, {.fd = s->supervisor}};
    uint64_t times;

    pthread_mutex_lock(&s->lock);
    const bool opened = s->opened, ended = s->ended, changed_due = s->changed_due;
    if (opened && s->hello_due)
        send_hello(s);
    p[CHANNEL].fd = opened ? s->channel : -1;
    p[EVENTS].fd = opened ? accel_host_event_fd(s->with->host) : -1;
    p[WATCH].fd = opened && s->watch_armed ? s->watch.fd : -1;
    pthread_mutex_unlock(&s->lock);
    if (ended)
        return false;
    /* A Discover meanwhile was refused, and what is found may differ from before. */
    if (changed_due)
        send_changed(s);
    for (int i = 0; i < POLLED; i++)
        p[i].events = POLLIN;
    const int timeout = until_period(s);
    if (poll(p, POLLED, timeout) < 0 && errno != EINTR) {
        accel_log_error("poll failed", "module=%s errno=%d", s->driver->name, errno);
        return false;
    }
    if (p[WAKE].revents != 0 && read(s->wake, &times, sizeof(times)) < 0)
        return true; /* woken by two at once: taken already */
    if (p[SIGNALS].revents != 0) {
        struct signalfd_siginfo signal;
        if (read(s->signals, &signal, sizeof(signal)) > 0)
            stop(s);
    }
    if (p[SUPERVISOR].revents != 0)
        read_supervisor(s);
    if (p[EVENTS].revents != 0)
        accel_host_take_events(s->with->host);
    if (p[WATCH].revents != 0) {
        accel_host_drain(s->with->host, s->watch.fd);
        send_changed(s);
    } else if (timeout >= 0 && until_period(s) == 0) {
        send_changed(s);
    }
    if (p[CHANNEL].revents != 0 && p[CHANNEL].fd == s->channel)
        read_channel(s);
    return true;
}

static int prepare(struct serve *s, struct accel_error *err)
{
    sigset_t ours;

    s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->wake < 0)
        return accel_fail_errno(err, errno, "event descriptor");
    sigemptyset(&ours);
    sigaddset(&ours, SIGTERM);
    sigaddset(&ours, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ours, NULL);
    signal(SIGPIPE, SIG_IGN);
    s->signals = signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK);
    if (s->signals < 0)
        return accel_fail_errno(err, errno, "signal descriptor");
    return ACCEL_OK;
}

static void serve_free(struct serve *s)
{
    while (s->first != NULL) {
        struct job *next = s->first->next;
        job_free(s->first);
        s->first = next;
    }
    while (s->results != NULL) {
        struct result *next = s->results->next;
        result_free(s->results);
        s->results = next;
    }
    if (s->last_answer != NULL)
        accel__ipc__message__free_unpacked(s->last_answer, NULL);
    accel_closep(&s->wake);
    accel_closep(&s->signals);
    accel_closep(&s->channel);
    accel_closep(&s->supervisor);
    pthread_cond_destroy(&s->queued);
    pthread_mutex_destroy(&s->lock);
}

int accel_serve_run(const struct accel_serve *with, struct accel_error *err)
{
    struct serve s = {
        .with = with,
        .driver = &with->module->driver,
        .wake = -1,
        .signals = -1,
        .supervisor = with->supervisor,
        .channel = with->channel,
        .hello_due = with->channel >= 0,
        .watch.fd = -1,
        .last = &s.first,
    };
    pthread_t thread;

    pthread_mutex_init(&s.lock, NULL);
    pthread_cond_init(&s.queued, NULL);
    int rc = prepare(&s, err);
    if (rc == ACCEL_OK) {
        const int failed = pthread_create(&thread, NULL, driver_main, &s);
        if (failed != 0)
            rc = accel_fail_errno(err, failed, "driver thread");
    }
    if (rc == ACCEL_OK) {
        while (turn(&s))
            ;
        pthread_join(thread, NULL);
        if (s.open_error.code != 0)
            rc = accel_fail(err, s.open_error.code, "open module %s: %s", s.driver->name,
                            s.open_error.msg);
    }
    serve_free(&s);
    return rc;
}
