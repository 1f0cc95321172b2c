/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SERVICE_FIXTURE_H
#define TESTS_SERVICE_FIXTURE_H

/* A service over a store of its own in a new folder, and processes played by threads: a worker and
 * a hardware module that answer over real channels, well or badly as told. */

#include <dirent.h>
#include <ftw.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/analysis_json.h"
#include "core/rates_json.h"
#include "service/service.h"
#include "service/service_internal.h"
#include "tap.h"

struct world {
    char dir[64];
    struct accel_config *config;
    struct accel_store *store;
    struct accel_service *service;
};

static const struct accel_caller admin ACCEL_UNUSED = {.user = "admin",
                                                       .project_id =
                                                           "11111111111111111111111111111111",
                                                       .admin = true,
                                                       .service = true};
static const struct accel_caller alice ACCEL_UNUSED = {
    .user = "alice", .project_id = "22222222222222222222222222222222"};
static const struct accel_caller bob ACCEL_UNUSED = {
    .user = "bob", .project_id = "33333333333333333333333333333333"};

static inline void world_open(struct world *w, const char *more)
{
    struct accel_error err = {0};
    char yaml[1024];
    const int size = snprintf(yaml, sizeof(yaml),
                              "node: {hostname: node1, state_dir: %s, runtime_dir: %s}\n"
                              "drivers: {enabled: [cpu, fake], scan_period: 1h, "
                              "telemetry_period: 1h}\nworkers: {threads: 2}\n%s",
                              w->dir, w->dir, more);
    char path[128];
    const struct accel_store_options options = {.path = path, .hostname = "node1"};

    snprintf(path, sizeof(path), "%s/acceld.db", w->dir);
    if (!ok(accel_config_parse(yaml, (size_t)size, "test.yaml", &w->config, &err) == ACCEL_OK &&
                accel_store_open(&options, &w->store, &err) == ACCEL_OK &&
                accel_service_new(w->config, w->store, &w->service, &err) == ACCEL_OK &&
                accel_service_start(w->service, &err) == ACCEL_OK,
            "a service starts %s", err.msg))
        exit(tap_done());
}

static inline void world_new(struct world *w, const char *more)
{
    snprintf(w->dir, sizeof(w->dir), "/tmp/acceld-test-XXXXXX");
    if (mkdtemp(w->dir) == NULL)
        exit(1);
    world_open(w, more);
}

/* As the daemon ends: what is on disk stays. */
static inline void world_close(struct world *w)
{
    accel_service_stop(w->service, 2000);
    accel_service_free(w->service);
    accel_store_close(w->store);
    accel_config_free(w->config);
}

static inline int remove_one(const char *path, const struct stat *st, int flag, struct FTW *where)
{
    (void)st, (void)flag, (void)where;
    return remove(path);
}

static inline void remove_below(const char *path)
{
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void world_free(struct world *w)
{
    world_close(w);
    remove_below(w->dir);
}

/* Files below <state>/models. */
static inline unsigned model_files(const struct world *w)
{
    char path[128];
    unsigned count = 0;

    snprintf(path, sizeof(path), "%s/models", w->dir);
    DIR *dir = opendir(path);
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;)
        count += e->d_name[0] != '.';
    if (dir != NULL)
        closedir(dir);
    return count;
}

/* ---------------------------------------------------------------- a worker */

struct fake {
    pthread_t thread;
    int socket; /* its own end */
    struct world *world;
    char name[16];
    unsigned instance;
    Accel__Ipc__Role role;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool hold;         /* do not answer Infer, Calibrate, Discover by itself */
    bool die_on_infer; /* end without a word */
    bool ended;
    uint64_t held[8]; /* ids of what is held */
    unsigned held_count, loads, infers, drops, cancels, discovers, calibrates;
    char order[64]; /* I(nfer) and C(alibrate) as they came */
    /* A module's devices, and whether one is broken. */
    unsigned devices;
    bool not_mine, problem, die_on_discover, can_read, ignore_cancel;
};

static inline struct accel_analysis *fake_analysis(bool unsupported)
{
    static const struct accel_op_analysis ops[2][1] = {{{.name = "c",
                                                         .op = "Conv",
                                                         .fused = "",
                                                         .domain = "",
                                                         .opset = 13,
                                                         .kind = ACCEL_KIND_CONV,
                                                         .precision = ACCEL_DTYPE_FLOAT,
                                                         .shape = "",
                                                         .flops = 1e6,
                                                         .bytes_read = 1e4}},
                                                       {{.name = "e",
                                                         .op = "Einsum",
                                                         .fused = "",
                                                         .domain = "",
                                                         .opset = 13,
                                                         .kind = ACCEL_KIND_OTHER,
                                                         .precision = ACCEL_DTYPE_FLOAT,
                                                         .shape = "",
                                                         .flops = 1e6,
                                                         .bytes_read = 1e4,
                                                         .unsupported = "no such operator"}}};
    static struct accel_analysis a[2];
    struct accel_analysis *made = &a[unsupported];

    *made = (struct accel_analysis){.producer = "test",
                                    .ir_version = 8,
                                    .opset = 13,
                                    .precision = ACCEL_DTYPE_FLOAT,
                                    .nodes_in_file = 1,
                                    .weights_bytes = 1000,
                                    .flops = 1e6,
                                    .bytes = 1e4,
                                    .runnable = !unsupported,
                                    .ops_count = 1,
                                    .ops = ops[unsupported]};
    return made;
}

static inline void fake_fail(struct fake *f, uint64_t id, enum accel_code code, const char *why)
{
    struct accel_error what = {.code = code}, err;

    snprintf(what.msg, sizeof(what.msg), "%s", why);
    (void)accel_ipc_send_error(f->socket, id, &what, &err);
}

/* The file's first word says what becomes of it. */
static inline bool fake_load(struct fake *f, struct accel_ipc_packet *p)
{
    Accel__Ipc__Message m = ACCEL__IPC__MESSAGE__INIT;
    Accel__Ipc__Loaded loaded = ACCEL__IPC__LOADED__INIT;
    struct accel_error err;
    unsigned char sha[32];
    char text[4096];
    const ssize_t size = pread(p->fds[0], text, sizeof(text), 0);
    int fds[2] = {-1, -1};
    const bool foreign = size >= 4 && memcmp(text, "fore", 4) == 0;

    if (size >= 3 && memcmp(text, "die", 3) == 0)
        return false;
    if (size >= 3 && memcmp(text, "bad", 3) == 0) {
        fake_fail(f, p->message->id, ACCEL_E_INVALID, "node x: not ONNX");
        return true;
    }
    if (foreign && !p->message->load->analyse_only) {
        fake_fail(f, p->message->id, ACCEL_E_UNSUPPORTED, "1 node cannot be run: Einsum");
        return true;
    }
    SHA256((const unsigned char *)text, (size_t)size, sha);
    json_t *json = accel_analysis_to_json(fake_analysis(foreign), &err);
    char *analysis = json_dumps(json, JSON_COMPACT);
    json_decref(json);
    m.id = p->message->id;
    m.body_case = ACCEL__IPC__MESSAGE__BODY_LOADED;
    m.loaded = &loaded;
    loaded.sha256.len = 32;
    loaded.sha256.data = sha;
    loaded.analysis_bytes = strlen(analysis);
    (void)accel_memfd_of("analysis", analysis, strlen(analysis), &fds[1], &err);
    free(analysis);
    if (!p->message->load->analyse_only) {
        loaded.packed_bytes = 1000;
        char packed[1000] = "packed";
        (void)accel_memfd_of("packed", packed, sizeof(packed), &fds[0], &err);
        (void)accel_ipc_send(f->socket, &m, fds, 2, &err);
        close(fds[0]);
    } else {
        (void)accel_ipc_send(f->socket, &m, &fds[1], 1, &err);
    }
    close(fds[1]);
    return true;
}

static inline void fake_inferred(struct fake *f, uint64_t id)
{
    Accel__Ipc__Message m = ACCEL__IPC__MESSAGE__INIT;
    Accel__Ipc__Inferred inferred = ACCEL__IPC__INFERRED__INIT;
    Accel__Ipc__TensorRef ref = ACCEL__IPC__TENSOR_REF__INIT, *refs[] = {&ref};
    struct accel_error err;
    int64_t dims[] = {2};
    const float y[2] = {1, 2};
    int fd = -1;

    (void)accel_memfd_of("output", y, sizeof(y), &fd, &err);
    ref.name = (char *)"y";
    ref.dtype = ACCEL_DTYPE_FLOAT;
    ref.n_dims = 1;
    ref.dims = dims;
    ref.size_bytes = sizeof(y);
    m.id = id;
    m.body_case = ACCEL__IPC__MESSAGE__BODY_INFERRED;
    m.inferred = &inferred;
    inferred.outputs = refs;
    inferred.n_outputs = 1;
    inferred.output_bytes = sizeof(y);
    inferred.run_ns = 2000000;
    inferred.threads = 2;
    (void)accel_ipc_send(f->socket, &m, &fd, 1, &err);
    close(fd);
}

static inline void fake_calibrated(struct fake *f, uint64_t id)
{
    /* Two parts: the first point, then the second. */
    const uint32_t part = f->calibrates++ % 2;
    static const struct accel_rate rates[] = {{.kind = ACCEL_KIND_CONV,
                                               .precision = ACCEL_DTYPE_FLOAT,
                                               .flops = 1e6,
                                               .bytes = 1e4,
                                               .flops_per_s = 1e9,
                                               .bytes_per_s = 1e9},
                                              {.kind = ACCEL_KIND_MOVE,
                                               .point = 1,
                                               .precision = ACCEL_DTYPE_FLOAT,
                                               .bytes = 1e4,
                                               .bytes_per_s = 1e9}};
    Accel__Ipc__Message m = ACCEL__IPC__MESSAGE__INIT;
    Accel__Ipc__Calibrated calibrated = ACCEL__IPC__CALIBRATED__INIT;
    struct accel_error err;
    char *text = NULL;
    int fd = -1;

    m.id = id;
    (void)accel_rates_to_json(&rates[part], 1, &text, &err);
    (void)accel_memfd_of("rates", text, strlen(text), &fd, &err);
    m.body_case = ACCEL__IPC__MESSAGE__BODY_CALIBRATED;
    m.calibrated = &calibrated;
    calibrated.json_bytes = strlen(text);
    calibrated.threads = 2;
    calibrated.next = part + 1;
    calibrated.count = 2;
    (void)accel_ipc_send(f->socket, &m, &fd, 1, &err);
    accel_free(text);
    close(fd);
}

/* ---------------------------------------------------------------- a module */

static inline void fake_device(Accel__Ipc__Device *d, char *identity, char *type, bool runnable)
{
    accel__ipc__device__init(d);
    d->identity = identity;
    d->type = type;
    d->vendor = (char *)"test";
    d->model = (char *)"made up";
    d->serial = strchr(identity, ':') + 1;
    d->numa_node = d->iommu_group = -1;
    d->runnable = runnable;
    d->health = (char *)"ok";
}

/* The module "cpu" finds the host; any other finds FPGAs of two accelerators each. */
static inline void fake_discovery(struct fake *f, uint64_t id)
{
    Accel__Ipc__Message m = ACCEL__IPC__MESSAGE__INIT;
    Accel__Ipc__Discovery discovery = ACCEL__IPC__DISCOVERY__INIT;
    Accel__Ipc__DeviceList list = ACCEL__IPC__DEVICE_LIST__INIT;
    Accel__Ipc__Problem problem = ACCEL__IPC__PROBLEM__INIT, *problems[] = {&problem};
    Accel__Ipc__Device devices[4], *refs[4];
    Accel__Ipc__Deployable deployables[4], *deployable_refs[4];
    Accel__Ipc__Handle handles[4][2], *handle_refs[4][2];
    char identities[4][32], names[4][32], infos[4][2][128];
    struct accel_error err;

    m.id = id;
    m.body_case = ACCEL__IPC__MESSAGE__BODY_DISCOVERY;
    m.discovery = &discovery;
    discovery.inlined = true;
    discovery.list = &list;
    discovery.took_ms = 1;
    for (unsigned i = 0; i < f->devices; i++) {
        refs[i] = &devices[i];
        if (strcmp(f->name, "cpu") == 0) {
            fake_device(&devices[i], (char *)"cpu:0", (char *)"CPU", true);
            continue;
        }
        snprintf(identities[i], sizeof(identities[i]), "fake:%u", i);
        snprintf(names[i], sizeof(names[i]), "node1_fake%u", i);
        fake_device(&devices[i], identities[i], (char *)"FPGA", false);
        accel__ipc__deployable__init(&deployables[i]);
        deployables[i].name = names[i];
        deployables[i].resource_class = (char *)"FPGA";
        deployables[i].num_accelerators = 2;
        deployables[i].n_handles = 2;
        deployables[i].handles = handle_refs[i];
        for (int h = 0; h < 2; h++) {
            accel__ipc__handle__init(&handles[i][h]);
            snprintf(infos[i][h], sizeof(infos[i][h]),
                     "{\"bus\":\"%02x\",\"device\":\"00\",\"domain\":\"0000\",\"function\":\"%d\"}",
                     i + 1, h);
            handles[i][h].attach_type = (char *)"TEST_PCI";
            handles[i][h].attach_info = infos[i][h];
            handle_refs[i][h] = &handles[i][h];
        }
        deployable_refs[i] = &deployables[i];
        devices[i].n_deployables = 1;
        devices[i].deployables = &deployable_refs[i];
    }
    list.n_devices = f->devices;
    list.devices = refs;
    problem.where = (char *)"fake:9";
    problem.reason = (char *)"cannot be read";
    list.problems = problems;
    list.n_problems = f->problem;
    (void)accel_ipc_send(f->socket, &m, NULL, 0, &err);
}

static inline void fake_hello(struct fake *f)
{
    Accel__Ipc__Message m = ACCEL__IPC__MESSAGE__INIT;
    Accel__Ipc__Hello hello = ACCEL__IPC__HELLO__INIT;
    struct accel_error err;

    m.body_case = ACCEL__IPC__MESSAGE__BODY_HELLO;
    m.hello = &hello;
    hello.module = f->name;
    hello.version = (char *)"1.0";
    hello.family = (char *)"any";
    hello.priority = 1;
    hello.mine = !f->not_mine;
    hello.can_read = f->can_read;
    hello.reason = (char *)(f->not_mine ? "no such bus" : "");
    (void)accel_ipc_send(f->socket, &m, NULL, 0, &err);
}

static inline void fake_telemetry(struct fake *f, uint64_t id)
{
    Accel__Ipc__Message m = ACCEL__IPC__MESSAGE__INIT;
    Accel__Ipc__Telemetry telemetry = ACCEL__IPC__TELEMETRY__INIT;
    Accel__Ipc__Reading reading = ACCEL__IPC__READING__INIT, *list[] = {&reading};
    struct accel_error err;

    m.id = id;
    m.body_case = ACCEL__IPC__MESSAGE__BODY_TELEMETRY;
    m.telemetry = &telemetry;
    telemetry.n_readings = 1;
    telemetry.readings = list;
    reading.identity = (char *)"fake:0";
    reading.name = (char *)"power_watts";
    reading.value = 42;
    (void)accel_ipc_send(f->socket, &m, NULL, 0, &err);
}

static inline void fake_changed(struct fake *f)
{
    Accel__Ipc__Message m = ACCEL__IPC__MESSAGE__INIT;
    Accel__Ipc__Changed changed = ACCEL__IPC__CHANGED__INIT;
    struct accel_error err;

    m.body_case = ACCEL__IPC__MESSAGE__BODY_CHANGED;
    m.changed = &changed;
    (void)accel_ipc_send(f->socket, &m, NULL, 0, &err);
}

/* ---------------------------------------------------------------- both */

/* Lock held; true: not answered now. */
static inline bool fake_holds(struct fake *f, uint64_t id)
{
    if (!f->hold || f->held_count == ACCEL_COUNT(f->held))
        return false;
    f->held[f->held_count++] = id;
    return true;
}

/* Lock held: what came, in order. */
static inline void fake_log(struct fake *f, char what)
{
    const size_t n = strlen(f->order);

    if (n + 1 < sizeof(f->order))
        f->order[n] = what;
}

/* Lock held, given up while it answers; false: it dies. */
static inline bool fake_take(struct fake *f, struct accel_ipc_packet *p)
{
    const uint64_t id = p->message->id;
    bool lives = true;

    switch (p->message->body_case) {
    case ACCEL__IPC__MESSAGE__BODY_LOAD:
        f->loads++;
        pthread_mutex_unlock(&f->lock);
        lives = fake_load(f, p);
        pthread_mutex_lock(&f->lock);
        return lives;
    case ACCEL__IPC__MESSAGE__BODY_INFER:
        f->infers++;
        fake_log(f, 'I');
        if (f->die_on_infer)
            return false;
        if (!fake_holds(f, id))
            fake_inferred(f, id);
        return true;
    case ACCEL__IPC__MESSAGE__BODY_CALIBRATE:
        f->infers++;
        fake_log(f, 'C');
        if (!fake_holds(f, id))
            fake_calibrated(f, id);
        return true;
    case ACCEL__IPC__MESSAGE__BODY_DROP:
        f->drops++;
        return true;
    case ACCEL__IPC__MESSAGE__BODY_READ_TELEMETRY:
        fake_telemetry(f, id);
        return true;
    case ACCEL__IPC__MESSAGE__BODY_CANCEL:
        f->cancels++;
        if (f->ignore_cancel)
            return true;
        fake_fail(f, id, ACCEL_E_CANCELLED, "cancelled as asked");
        return true;
    case ACCEL__IPC__MESSAGE__BODY_DISCOVER:
        f->discovers++;
        if (f->die_on_discover)
            return false;
        if (!fake_holds(f, id))
            fake_discovery(f, id);
        return true;
    default:
        return true;
    }
}

static inline void *fake_main(void *context)
{
    struct fake *f = context;
    struct accel_ipc_packet p;
    struct accel_error err;
    bool lives = true;

    if (f->role == ACCEL__IPC__ROLE__HARDWARE)
        fake_hello(f);
    while (lives && accel_ipc_receive(f->socket, &p, &err) == ACCEL_OK) {
        pthread_mutex_lock(&f->lock);
        lives = fake_take(f, &p);
        pthread_cond_broadcast(&f->changed);
        pthread_mutex_unlock(&f->lock);
        accel_ipc_packet_free(&p);
    }
    /* As the kernel does for a process that died. */
    close(f->socket);
    pthread_mutex_lock(&f->lock);
    f->ended = true;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

/* f: zeroed but for its behaviour. */
static inline void fake_start(struct fake *f, struct world *w, Accel__Ipc__Role role,
                              const char *name)
{
    int pair[2];
    struct accel_error err;

    f->world = w;
    f->role = role;
    f->instance++;
    f->ended = false;
    f->held_count = 0;
    snprintf(f->name, sizeof(f->name), "%s", name);
    if (f->instance == 1) {
        pthread_mutex_init(&f->lock, NULL);
        pthread_cond_init(&f->changed, NULL);
    }
    if (accel_ipc_pair(pair, &err) != ACCEL_OK)
        exit(1);
    f->socket = pair[1];
    accel_service_peer_up(w->service, role, name, f->instance, 4000 + (int)f->instance, pair[0]);
    pthread_create(&f->thread, NULL, fake_main, f);
}

static inline void worker_start(struct fake *f, struct world *w, const char *name)
{
    fake_start(f, w, ACCEL__IPC__ROLE__WORKER_CPU, name);
}

static inline void module_start(struct fake *f, struct world *w, const char *name, unsigned devices)
{
    f->devices = devices;
    fake_start(f, w, ACCEL__IPC__ROLE__HARDWARE, name);
}

/* What the supervisor says when a process ended. */
static inline void fake_report_down(struct fake *f, const char *reason, bool quarantined)
{
    Accel__Ipc__PeerDown down = ACCEL__IPC__PEER_DOWN__INIT;

    down.role = f->role;
    down.name = f->name;
    down.instance = f->instance;
    down.reason = (char *)reason;
    down.quarantined = quarantined;
    accel_service_peer_down(f->world->service, &down);
}

/* Ends the process: as a kill does. */
static inline void fake_kill(struct fake *f, const char *reason)
{
    fake_report_down(f, reason, false);
    pthread_join(f->thread, NULL);
}

/* Waits until *count (guarded by f's lock) is at least n; what never comes ends the test. */
static inline void fake_wait(struct fake *f, const unsigned *count, unsigned n)
{
    struct timespec end;
    int rc = 0;

    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 120;
    pthread_mutex_lock(&f->lock);
    while (*count < n && !f->ended && rc == 0)
        rc = pthread_cond_timedwait(&f->changed, &f->lock, &end);
    const unsigned seen = *count;
    pthread_mutex_unlock(&f->lock);
    if (rc != 0) {
        printf("Bail out! the worker was asked %u times, not %u, in two minutes\n", seen, n);
        exit(1);
    }
}

static inline unsigned fake_count(struct fake *f, const unsigned *count)
{
    pthread_mutex_lock(&f->lock);
    const unsigned n = *count;
    pthread_mutex_unlock(&f->lock);
    return n;
}

static inline void fake_set(struct fake *f, bool *flag, bool value)
{
    pthread_mutex_lock(&f->lock);
    *flag = value;
    pthread_mutex_unlock(&f->lock);
}

/* Answers everything that is held. */
static inline void fake_release(struct fake *f)
{
    pthread_mutex_lock(&f->lock);
    f->hold = false;
    for (unsigned i = 0; i < f->held_count; i++)
        if (f->role == ACCEL__IPC__ROLE__HARDWARE)
            fake_discovery(f, f->held[i]);
        else
            fake_inferred(f, f->held[i]);
    f->held_count = 0;
    pthread_mutex_unlock(&f->lock);
}

/* Waits until what is true of the service is so; a test that waits for ever is a failed one. */
#define until(condition)     \
    do {                     \
        while (!(condition)) \
            usleep(500);     \
    } while (0)

static inline bool is_ready(struct world *w)
{
    char reason[256];

    return accel_service_ready(w->service, reason, sizeof(reason));
}

/* A node with one worker, the CPU and `fpgas` FPGAs, all in the store. */
struct node {
    struct world world;
    struct fake worker, cpu, fake;
};

static inline void node_new(struct node *n, const char *more, unsigned fpgas)
{
    memset(n, 0, sizeof(*n));
    world_new(&n->world, more);
    worker_start(&n->worker, &n->world, "1");
    module_start(&n->cpu, &n->world, "cpu", 1);
    module_start(&n->fake, &n->world, "fake", fpgas);
    until(is_ready(&n->world));
}

static inline void node_free(struct node *n)
{
    world_close(&n->world);
    pthread_join(n->worker.thread, NULL);
    pthread_join(n->cpu.thread, NULL);
    pthread_join(n->fake.thread, NULL);
    remove_below(n->world.dir);
}

static inline int put_text(struct world *w, const struct accel_caller *caller, const char *name,
                           int64_t version, bool predict_only, const char *text,
                           struct accel_bump *mem, struct accel_model_record *model,
                           struct accel_error *err)
{
    struct accel_upload upload;

    if (accel_service_upload_begin(w->service, &upload, err) != ACCEL_OK)
        return err->code;
    if (write(upload.fd, text, strlen(text)) != (ssize_t)strlen(text))
        return accel_fail(err, ACCEL_E_IO, "write");
    return accel_service_put_model(w->service, caller, name, version, predict_only, &upload, mem,
                                   model, err);
}

#endif
