/* SPDX-License-Identifier: Apache-2.0 */
/* The hardware process at work, with a module of the test's own on its driver thread. */
#include <openssl/evp.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/peer.h"
#include "hardware/serve.h"
#include "tap.h"

/* ---------------------------------------------------------------- the module */

static struct {
    sem_t programming, go_on; /* program() has begun; it may end */
    _Atomic unsigned devices, discoveries, closed;
    _Atomic bool wait_for_cancel;
    int watch_fd;
    int64_t period_ms;
    char seen_image[16];
} world;

static int m_open(const struct accel_host *host, const struct accel_driver_config *config,
                  void **self, struct accel_error *err)
{
    (void)host;
    (void)config;
    (void)err;
    *self = &world;
    return ACCEL_OK;
}

static int m_open_elsewhere(const struct accel_host *host, const struct accel_driver_config *config,
                            void **self, struct accel_error *err)
{
    (void)host;
    (void)config;
    (void)self;
    return accel_fail(err, ACCEL_E_NOT_MINE, "no such card");
}

static int m_open_broken(const struct accel_host *host, const struct accel_driver_config *config,
                         void **self, struct accel_error *err)
{
    (void)host;
    (void)config;
    (void)self;
    return accel_fail(err, ACCEL_E_IO, "cannot talk to the card");
}

static int m_discover(void *self, struct accel_builder *out, struct accel_error *err)
{
    char serial[16];
    uint64_t times;

    (void)self;
    atomic_fetch_add(&world.discoveries, 1);
    if (world.watch_fd >= 0 && read(world.watch_fd, &times, sizeof(times)) < 0)
        times = 0; /* nothing to drain */
    for (unsigned i = 0; i < atomic_load(&world.devices); i++) {
        snprintf(serial, sizeof(serial), "%u", i);
        const struct accel_found_device device = {.struct_size = sizeof(device),
                                                  .type = "FPGA",
                                                  .serial = serial,
                                                  .numa_node = -1,
                                                  .iommu_group = -1};
        if (out->add_device(out, &device, err) != ACCEL_OK)
            return accel_fail_in(err, "device %u", i);
    }
    return ACCEL_OK;
}

static int m_watch(void *self, struct accel_watch *out, struct accel_error *err)
{
    (void)self;
    (void)err;
    out->fd = world.watch_fd;
    out->period_ms = world.period_ms;
    return ACCEL_OK;
}

static int m_read(void *self, struct accel_readings *out, struct accel_error *err)
{
    const struct accel_reading warm = {sizeof(warm), "t:0", "temperature_celsius", 41.5};
    const struct accel_reading unknown = {sizeof(unknown), "t:0", "power_watts", 0.0 / 0.0};
    int rc = out->add(out, &unknown, err);

    (void)self;
    for (unsigned i = 0; rc == ACCEL_OK && i < atomic_load(&world.devices); i++)
        rc = out->add(out, &warm, err);
    return rc;
}

static int m_program(void *self, const struct accel_program_request *request,
                     struct accel_progress *progress, struct accel_error *err)
{
    (void)self;
    if (pread(request->image_fd, world.seen_image, sizeof(world.seen_image) - 1, 0) < 0)
        return accel_fail(err, ACCEL_E_IO, "image");
    progress->progress(progress, 42, "writing");
    sem_post(&world.programming);
    sem_wait(&world.go_on);
    while (atomic_load(&world.wait_for_cancel))
        if (progress->cancelled(progress))
            return accel_fail(err, ACCEL_E_CANCELLED, "gave up");
    return ACCEL_OK;
}

static int m_attach(void *self, const char *identity, const char *info, struct accel_error *err)
{
    (void)self;
    (void)info;
    return strcmp(identity, "t:0") == 0
               ? ACCEL_OK
               : accel_fail(err, ACCEL_E_NOT_FOUND, "no device %s", identity);
}

static void m_close(void *self)
{
    (void)self;
    atomic_fetch_add(&world.closed, 1);
}

static const struct accel_driver plain = {
    .abi = ACCEL_DRIVER_ABI,
    .struct_size = sizeof(plain),
    .name = "t",
    .family = "any",
    .version = "1",
    .priority = 7,
    .open = m_open,
    .discover = m_discover,
    .watch = m_watch,
    .read = m_read,
    .program = m_program,
    .attach = m_attach,
    .close = m_close,
};

/* ---------------------------------------------------------------- the process, as a thread */

struct process {
    struct accel_module module;
    struct accel_host *host;
    struct accel_module_config *config;
    struct accel_serve with;
    pthread_t thread;
    int rc;
    struct accel_error err;
};

static void *process_main(void *context)
{
    struct process *p = context;

    p->rc = accel_serve_run(&p->with, &p->err);
    return NULL;
}

static void start(struct process *p, const struct accel_driver *driver, int channel, int supervisor)
{
    *p = (struct process){.module.driver = *driver};
    accel_host_live_new("/", "t", &p->host, &p->err);
    accel_module_config_new(driver, NULL, "node1", &p->config, &p->err);
    p->with = (struct accel_serve){.module = &p->module,
                                   .host = p->host,
                                   .config = p->config,
                                   .hostname = "node1",
                                   .channel = channel,
                                   .supervisor = supervisor};
    pthread_create(&p->thread, NULL, process_main, p);
}

static void finish(struct process *p)
{
    pthread_join(p->thread, NULL);
    accel_module_config_free(p->config);
    accel_host_free(p->host);
}

/* ---------------------------------------------------------------- control, as the test */

struct news {
    sem_t hello, changed, programmed;
    char module[32], reason[128], programming[32], identity[32], request_id[32];
    bool mine, can_program, can_attach;
    unsigned code, hello_results;
    int priority;
};

static void take_news(void *context, struct accel_peer *peer, struct accel_ipc_packet *packet)
{
    struct news *n = context;
    const Accel__Ipc__Message *m = packet->message;

    (void)peer;
    if (m->body_case == ACCEL__IPC__MESSAGE__BODY_HELLO) {
        const Accel__Ipc__Hello *h = m->hello;
        snprintf(n->module, sizeof(n->module), "%s", h->module);
        snprintf(n->reason, sizeof(n->reason), "%s", h->reason);
        snprintf(n->programming, sizeof(n->programming), "%s", h->programming);
        n->mine = h->mine;
        n->can_program = h->can_program;
        n->can_attach = h->can_attach;
        n->priority = h->priority;
        n->hello_results = (unsigned)h->n_programmed;
        if (h->n_programmed > 0) {
            snprintf(n->identity, sizeof(n->identity), "%s", h->programmed[0]->identity);
            n->code = h->programmed[0]->error != NULL ? h->programmed[0]->error->code : 0;
        }
        sem_post(&n->hello);
    } else if (m->body_case == ACCEL__IPC__MESSAGE__BODY_CHANGED) {
        sem_post(&n->changed);
    } else if (m->body_case == ACCEL__IPC__MESSAGE__BODY_PROGRAMMED) {
        snprintf(n->identity, sizeof(n->identity), "%s", m->programmed->identity);
        snprintf(n->request_id, sizeof(n->request_id), "%s", m->programmed->request_id);
        n->code = m->programmed->error != NULL ? m->programmed->error->code : 0;
        sem_post(&n->programmed);
    }
}

static void news_init(struct news *n)
{
    *n = (struct news){.priority = 0};
    sem_init(&n->hello, 0, 0);
    sem_init(&n->changed, 0, 0);
    sem_init(&n->programmed, 0, 0);
}

/* A new channel: its far end is *theirs. */
static struct accel_peer *connect_news(struct news *n, int *theirs)
{
    struct accel_peer *peer = NULL;
    struct accel_error err;
    int pair[2];

    news_init(n);
    if (accel_ipc_pair(pair, &err) != ACCEL_OK ||
        accel_peer_new(pair[0], "t", take_news, n, &peer, &err) != ACCEL_OK)
        printf("# %s\n", err.msg);
    *theirs = pair[1];
    return peer;
}

typedef Accel__Ipc__Message message_t;

#define ASK(message, kind, body_, field_, INIT)    \
    message_t message = ACCEL__IPC__MESSAGE__INIT; \
    kind body_ = INIT;                             \
    message.field_ = &body_

static int call(struct accel_peer *peer, message_t *m, const int *fd,
                accel_peer_progress_fn *progress, void *context, const _Atomic bool *cancelled,
                struct accel_ipc_packet *answer, struct accel_error *err)
{
    const struct accel_call c = {.request = m,
                                 .fds = fd,
                                 .fds_count = fd != NULL ? 1 : 0,
                                 .progress = progress,
                                 .context = context,
                                 .cancelled = cancelled};

    *answer = (struct accel_ipc_packet){0};
    return accel_peer_call(peer, &c, answer, err);
}

static int ping(struct accel_peer *peer, struct accel_error *err)
{
    ASK(m, Accel__Ipc__Ping, body, ping, ACCEL__IPC__PING__INIT);
    struct accel_ipc_packet answer;

    m.body_case = ACCEL__IPC__MESSAGE__BODY_PING;
    const int rc = call(peer, &m, NULL, NULL, NULL, NULL, &answer, err);
    if (rc == ACCEL_OK)
        accel_ipc_packet_free(&answer);
    return rc;
}

static int discover(struct accel_peer *peer, struct accel_ipc_packet *answer,
                    struct accel_error *err)
{
    ASK(m, Accel__Ipc__Discover, body, discover, ACCEL__IPC__DISCOVER__INIT);

    m.body_case = ACCEL__IPC__MESSAGE__BODY_DISCOVER;
    return call(peer, &m, NULL, NULL, NULL, NULL, answer, err);
}

static int attach(struct accel_peer *peer, const char *identity, struct accel_error *err)
{
    ASK(m, Accel__Ipc__Attach, body, attach, ACCEL__IPC__ATTACH__INIT);
    struct accel_ipc_packet answer;

    m.body_case = ACCEL__IPC__MESSAGE__BODY_ATTACH;
    body.identity = (char *)identity;
    body.attach_info = (char *)"{}";
    const int rc = call(peer, &m, NULL, NULL, NULL, NULL, &answer, err);
    if (rc == ACCEL_OK)
        accel_ipc_packet_free(&answer);
    return rc;
}

/* ---------------------------------------------------------------- programming */

struct programming {
    struct accel_peer *peer;
    const char *image, *hashed; /* hashed: what the request's hash is of */
    bool unsealed;
    _Atomic bool cancelled;
    _Atomic unsigned told;
    pthread_t thread;
    int rc;
    struct accel_error err;
};

static void count_progress(void *context, double percent, const char *text)
{
    struct programming *p = context;

    if (percent == 42 && strcmp(text, "writing") == 0)
        atomic_fetch_add(&p->told, 1);
}

static void *program_main(void *context)
{
    struct programming *p = context;
    ASK(m, Accel__Ipc__Program, body, program, ACCEL__IPC__PROGRAM__INIT);
    unsigned char digest[32];
    struct accel_ipc_packet answer;
    int fd = -1;

    if (p->unsealed) {
        if (accel_memfd_new("image", 0, &fd, &p->err) == ACCEL_OK)
            accel_write_all(fd, p->image, strlen(p->image), "image", &p->err);
    } else {
        accel_memfd_of("image", p->image, strlen(p->image), &fd, &p->err);
    }
    EVP_Digest(p->hashed, strlen(p->hashed), digest, NULL, EVP_sha256(), NULL);
    m.body_case = ACCEL__IPC__MESSAGE__BODY_PROGRAM;
    m.request_id = (char *)"req-1";
    body.identity = (char *)"t:0";
    body.deployable = (char *)"node1_t_0";
    body.image_bytes = strlen(p->image);
    body.sha256.data = digest;
    body.sha256.len = sizeof(digest);
    accel_log_set_request("req-1");
    p->rc = call(p->peer, &m, &fd, count_progress, p, &p->cancelled, &answer, &p->err);
    if (p->rc == ACCEL_OK)
        accel_ipc_packet_free(&answer);
    accel_closep(&fd);
    return NULL;
}

static void begin_programming(struct programming *p, struct accel_peer *peer)
{
    *p = (struct programming){.peer = peer, .image = "bits", .hashed = "bits"};
    pthread_create(&p->thread, NULL, program_main, p);
}

/* ---------------------------------------------------------------- tests */

static void answers_control(void)
{
    struct process p;
    struct news n;
    struct accel_error err;
    struct accel_ipc_packet answer;
    int theirs;
    struct accel_peer *peer = connect_news(&n, &theirs);

    atomic_store(&world.devices, 2);
    start(&p, &plain, theirs, -1);
    sem_wait(&n.hello);
    ok(strcmp(n.module, "t") == 0 && n.mine && n.can_program && n.can_attach && n.priority == 7,
       "Hello comes first and says who the module is");
    ok(ping(peer, &err) == ACCEL_OK, "Ping is answered");
    ok(discover(peer, &answer, &err) == ACCEL_OK &&
           answer.message->body_case == ACCEL__IPC__MESSAGE__BODY_DISCOVERY &&
           answer.message->discovery->inlined && answer.fds_count == 0 &&
           answer.message->discovery->list->n_devices == 2 &&
           strcmp(answer.message->discovery->list->devices[1]->identity, "t:1") == 0,
       "Discover is answered with the devices");
    accel_ipc_packet_free(&answer);
    ok(attach(peer, "t:0", &err) == ACCEL_OK, "Attach is answered");
    ok(attach(peer, "t:9", &err) == ACCEL_E_NOT_FOUND && strcmp(err.msg, "no device t:9") == 0,
       "an error of the module comes with its code and sentence");
    {
        ASK(m, Accel__Ipc__Detach, body, detach, ACCEL__IPC__DETACH__INIT);
        m.body_case = ACCEL__IPC__MESSAGE__BODY_DETACH;
        ok(call(peer, &m, NULL, NULL, NULL, NULL, &answer, &err) == ACCEL_E_UNSUPPORTED,
           "an operation that the module lacks is UNSUPPORTED");
    }
    {
        ASK(m, Accel__Ipc__ReadTelemetry, body, read_telemetry, ACCEL__IPC__READ_TELEMETRY__INIT);
        m.body_case = ACCEL__IPC__MESSAGE__BODY_READ_TELEMETRY;
        ok(call(peer, &m, NULL, NULL, NULL, NULL, &answer, &err) == ACCEL_OK &&
               answer.message->telemetry->n_readings == 2 &&
               answer.message->telemetry->readings[0]->value == 41.5,
           "telemetry is read; what is no number is left out");
        accel_ipc_packet_free(&answer);
        atomic_store(&world.devices, 5000);
        ok(call(peer, &m, NULL, NULL, NULL, NULL, &answer, &err) == ACCEL_OK &&
               answer.message->telemetry->beside && answer.fds_count == 1,
           "much telemetry comes in a memory file");
        accel_ipc_packet_free(&answer);
    }
    {
        ASK(m, Accel__Ipc__SetLogLevel, body, set_log_level, ACCEL__IPC__SET_LOG_LEVEL__INIT);
        m.body_case = ACCEL__IPC__MESSAGE__BODY_SET_LOG_LEVEL;
        body.level = (char *)"loud";
        ok(call(peer, &m, NULL, NULL, NULL, NULL, &answer, &err) == ACCEL_E_INVALID,
           "an unknown log level is refused");
        body.level = (char *)"error";
        ok(call(peer, &m, NULL, NULL, NULL, NULL, &answer, &err) == ACCEL_OK &&
               accel_log_get_level() == ACCEL_LOG_ERROR,
           "a known one is set");
        accel_ipc_packet_free(&answer);
    }
    {
        ASK(m, Accel__Ipc__Drop, body, drop, ACCEL__IPC__DROP__INIT);
        m.body_case = ACCEL__IPC__MESSAGE__BODY_DROP;
        body.model_key = (char *)"x";
        ok(call(peer, &m, NULL, NULL, NULL, NULL, &answer, &err) == ACCEL_E_UNSUPPORTED,
           "a message for a worker is refused");
    }
    ok(discover(peer, &answer, &err) == ACCEL_OK && !answer.message->discovery->inlined &&
           answer.fds_count == 1 && accel_memfd_is_sealed(answer.fds[0]),
       "a thousand devices come in a sealed memory file");
    accel_ipc_packet_free(&answer);
    {
        ASK(m, Accel__Ipc__Stop, body, stop, ACCEL__IPC__STOP__INIT);
        m.body_case = ACCEL__IPC__MESSAGE__BODY_STOP;
        const unsigned before = atomic_load(&world.closed);
        ok(call(peer, &m, NULL, NULL, NULL, NULL, &answer, &err) == ACCEL_OK, "Stop is answered");
        accel_ipc_packet_free(&answer);
        finish(&p);
        ok(p.rc == ACCEL_OK && atomic_load(&world.closed) == before + 1,
           "and the process ends after closing its module");
    }
    accel_peer_unref(peer);
}

static void programs_while_it_answers(void)
{
    struct process p;
    struct news n;
    struct accel_error err;
    struct accel_ipc_packet answer;
    struct programming job;
    int theirs;
    struct accel_peer *peer = connect_news(&n, &theirs);

    atomic_store(&world.devices, 1);
    start(&p, &plain, theirs, -1);
    sem_wait(&n.hello);
    begin_programming(&job, peer);
    sem_wait(&world.programming);
    ok(strcmp(world.seen_image, "bits") == 0, "the module sees the image");
    ok(ping(peer, &err) == ACCEL_OK, "Ping is answered while a device is programmed");
    ok(discover(peer, &answer, &err) == ACCEL_E_BUSY,
       "what would wait behind a programming is refused as BUSY");
    sem_post(&world.go_on);
    pthread_join(job.thread, NULL);
    ok(job.rc == ACCEL_OK && atomic_load(&job.told) == 1, "progress and success reach the asker");
    sem_wait(&n.changed);
    ok(discover(peer, &answer, &err) == ACCEL_OK, "and the news that it is time to discover again");
    accel_ipc_packet_free(&answer);

    atomic_store(&world.wait_for_cancel, true);
    begin_programming(&job, peer);
    sem_wait(&world.programming);
    sem_post(&world.go_on);
    atomic_store(&job.cancelled, true);
    accel_peer_poke(peer);
    pthread_join(job.thread, NULL);
    atomic_store(&world.wait_for_cancel, false);
    ok(job.rc == ACCEL_E_CANCELLED, "a cancel reaches the module while it programs");

    job = (struct programming){.peer = peer, .image = "bits", .hashed = "other"};
    program_main(&job);
    ok(job.rc == ACCEL_E_CORRUPT && strstr(job.err.msg, "SHA-256") != NULL,
       "an image with another hash never reaches the module");
    job = (struct programming){.peer = peer, .image = "bits", .hashed = "bits", .unsealed = true};
    program_main(&job);
    ok(job.rc == ACCEL_E_INVALID && strstr(job.err.msg, "sealed") != NULL,
       "nor does one that could change under it");
    accel_peer_unref(peer); /* its channel closes; with no supervisor that is the end */
    finish(&p);
    ok(p.rc == ACCEL_OK, "without its channel and a supervisor the process ends");
}

static void tell_supervisor(int supervisor, int channel)
{
    ASK(m, Accel__Ipc__PeerUp, body, peer_up, ACCEL__IPC__PEER_UP__INIT);
    struct accel_error err;

    m.body_case = ACCEL__IPC__MESSAGE__BODY_PEER_UP;
    body.role = ACCEL__IPC__ROLE__CONTROL;
    if (accel_ipc_send(supervisor, &m, &channel, 1, &err) != ACCEL_OK)
        printf("# %s\n", err.msg);
    close(channel);
}

static void outlives_control(void)
{
    struct process p;
    struct news first, second, third;
    struct accel_error err;
    struct programming job;
    int theirs, supervisor[2];
    struct accel_peer *peer = connect_news(&first, &theirs);

    accel_ipc_pair(supervisor, &err);
    start(&p, &plain, theirs, supervisor[1]);
    sem_wait(&first.hello);
    ok(first.programming[0] == '\0' && first.hello_results == 0, "nothing was programmed yet");
    begin_programming(&job, peer);
    sem_wait(&world.programming);
    accel_peer_down(peer, "control was killed");
    pthread_join(job.thread, NULL);
    ok(job.rc == ACCEL_E_UNAVAILABLE, "control dies while a device is programmed");
    accel_peer_unref(peer);

    peer = connect_news(&second, &theirs);
    tell_supervisor(supervisor[0], theirs);
    sem_wait(&second.hello);
    ok(strcmp(second.programming, "t:0") == 0,
       "the next control is told by Hello what is being programmed");
    sem_post(&world.go_on);
    sem_wait(&second.programmed);
    ok(strcmp(second.identity, "t:0") == 0 && second.code == 0 &&
           strcmp(second.request_id, "req-1") == 0,
       "and by news how it ended, and for whom it was");
    ok(ping(peer, &err) == ACCEL_OK, "the new channel works");

    struct accel_peer *last = connect_news(&third, &theirs);
    tell_supervisor(supervisor[0], theirs);
    sem_wait(&third.hello);
    ok(third.programming[0] == '\0' && third.hello_results == 1 &&
           strcmp(third.identity, "t:0") == 0 && third.code == 0,
       "a control that comes later reads it in Hello");
    ok(ping(peer, &err) == ACCEL_E_UNAVAILABLE, "the channel before is closed");
    accel_peer_unref(peer);
    close(supervisor[0]);
    finish(&p);
    ok(p.rc == ACCEL_OK, "without its supervisor the process ends");
    accel_peer_unref(last);
}

static void tells_of_changes(void)
{
    const uint64_t one = 1;
    struct process p;
    struct news n;
    struct accel_error err;
    struct accel_ipc_packet answer;
    int theirs;
    struct accel_peer *peer = connect_news(&n, &theirs);

    world.watch_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    start(&p, &plain, theirs, -1);
    sem_wait(&n.hello);
    ok(write(world.watch_fd, &one, sizeof(one)) > 0, "the module's descriptor becomes readable");
    sem_wait(&n.changed);
    ok(ping(peer, &err) == ACCEL_OK && sem_trywait(&n.changed) != 0,
       "control is told once, not again and again");
    ok(discover(peer, &answer, &err) == ACCEL_OK, "it discovers");
    accel_ipc_packet_free(&answer);
    ok(write(world.watch_fd, &one, sizeof(one)) > 0, "the next change");
    sem_wait(&n.changed);
    ok(true, "is told again");
    accel_peer_unref(peer);
    finish(&p);
    close(world.watch_fd);
    world.watch_fd = -1;

    peer = connect_news(&n, &theirs);
    world.period_ms = 1;
    start(&p, &plain, theirs, -1);
    sem_wait(&n.hello);
    sem_wait(&n.changed);
    ok(true, "a module with a period is looked at when it has passed");
    world.period_ms = 0;
    accel_peer_unref(peer);
    finish(&p);
}

static void says_why_it_is_not_in_use(void)
{
    struct accel_driver elsewhere = plain, broken = plain;
    struct process p;
    struct news n;
    struct accel_error err;
    struct accel_ipc_packet answer;
    int theirs;
    struct accel_peer *peer = connect_news(&n, &theirs);

    elsewhere.open = m_open_elsewhere;
    broken.open = m_open_broken;
    start(&p, &elsewhere, theirs, -1);
    sem_wait(&n.hello);
    ok(!n.mine && strcmp(n.reason, "no such card") == 0, "NOT_MINE is told with its reason");
    const unsigned before = atomic_load(&world.discoveries);
    ok(discover(peer, &answer, &err) == ACCEL_OK &&
           answer.message->discovery->list->n_devices == 0 &&
           atomic_load(&world.discoveries) == before,
       "such a module is not asked, and has no devices");
    accel_ipc_packet_free(&answer);
    ok(attach(peer, "t:0", &err) == ACCEL_E_UNSUPPORTED, "nor attached to");
    accel_peer_unref(peer);
    finish(&p);
    ok(p.rc == ACCEL_OK, "that is no failure");

    peer = connect_news(&n, &theirs);
    start(&p, &broken, theirs, -1);
    sem_wait(&n.hello);
    finish(&p);
    ok(!n.mine && strcmp(n.reason, "cannot talk to the card") == 0 && p.rc == ACCEL_E_IO &&
           strstr(p.err.msg, "open module t: cannot talk") != NULL,
       "a failed open() is told, then the process ends with it");
    accel_peer_unref(peer);
}

int main(void)
{
    accel_log_init("test", ACCEL_LOG_ERROR);
    sem_init(&world.programming, 0, 0);
    sem_init(&world.go_on, 0, 0);
    world.watch_fd = -1;
    answers_control();
    programs_while_it_answers();
    outlives_control();
    tells_of_changes();
    says_why_it_is_not_in_use();
    return tap_done();
}
