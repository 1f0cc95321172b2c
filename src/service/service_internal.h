/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_SERVICE_INTERNAL_H
#define ACCEL_SERVICE_INTERNAL_H

/* What the files of this room share.
 *
 * Locking. There is one lock, `lock`, for everything marked (L): who is up, who is busy, what is
 * cached, which jobs there are. It is held for moments only: never across a call to a peer, to the
 * store or to another room, and never while a peer is unreferenced (accel_peer_unref joins the
 * reader thread, whose news callback takes the lock). accel_peer_new is called under it, so that
 * the news of a peer find the peer in its place.
 * `scan_lock` of a module makes its discoveries one at a time, across call and store; it is taken
 * before `lock`, never after.
 *
 * Threads. One per module (scans and telemetry; a hung module holds up no other), JOB_THREADS for
 * jobs, one that writes the progress of jobs, and the callers' own. Every wait is on a condition
 * that accel_service_poke and accel_service_stop broadcast. */

#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "service/service.h"

#define JOB_THREADS 2

/* A worker of the pool. Workers are equals; each runs one call at a time. */
struct worker {
    struct worker *next;
    char name[32];
    unsigned instance, restarts; /* (L) as are all below */
    int pid;
    struct accel_peer *peer; /* NULL: down */
    unsigned busy;
    char keys[16][64]; /* models it was last asked to run, by key: it likely holds them mapped */
    unsigned keys_next;
};

struct module {
    struct module *next;
    struct accel_service *service;
    char name[64];
    pthread_t thread; /* 0: not started */
    pthread_mutex_t scan_lock;
    pthread_cond_t wake;

    struct accel_peer *peer; /* (L) as are all below; NULL: down */
    unsigned instance, restarts;
    int pid;
    bool disabled; /* no longer in the configuration */
    bool hello, mine, not_mine, quarantined;
    bool was_down;  /* it ended: do not wait for it to be ready */
    bool settled;   /* the first scan since it came up has ended, well or not */
    bool want_scan; /* it said that its world changed */
    bool annotates; /* its last scan told of devices of other modules */
    bool tell_quarantine;
    char version[32], family[32], reason[ACCEL_ERROR_MSG_MAX];
    int32_t priority;
    bool privileged, can_program, can_attach, can_read;
    uint32_t open_ms, discover_ms;
    unsigned devices;
    char last_scan_at[ACCEL_TIMESTAMP_SIZE];
    struct accel_bump report; /* problems of the last scan */
    struct accel_scan_problem *problems;
    size_t problems_count;
    struct accel_bump samples_mem;
    struct accel_sample *samples;
    size_t samples_count;
};

/* The packed form of one model version: in memory while it is used or recently was. */
struct packed {
    struct packed *next; /* (L) as are all below */
    struct accel_uuid model;
    char key[64]; /* changes with every packing */
    int fd;       /* -1: not packed */
    uint64_t bytes;
    unsigned users;   /* who must not see it go */
    unsigned waiting; /* requests that wait for a worker: the queue that limits.queue bounds */
    bool loading;
    int64_t used_at_ms;
    /* Where infer without a named device went last. */
    bool chosen;
    unsigned chosen_generation;
    int64_t chosen_at_ms, chosen_id;
    struct accel_uuid chosen_device;
    char chosen_identity[128];
    double chosen_predicted_s;
    char chosen_shape[ACCEL_RUN_SHAPE];
};

/* Runs on a device, and who waits for them to end. */
struct gate {
    struct gate *next; /* (L) as are all below */
    int64_t device_id;
    unsigned running, draining;
    int64_t lease; /* the row that says a worker has a context there; 0: none */
};

struct job;
typedef int job_fn(struct accel_service *service, struct job *job, struct accel_error *err);
/* Open jobs: queued or running. */
struct job {
    struct job *next; /* (L) */
    struct accel_uuid uuid;
    const char *kind; /* constant */
    job_fn *run;      /* with job->context, which is freed by accel_free */
    void *context;
    bool running;            /* (L) */
    bool done;               /* (L) ended but for its record: in no other's way any more */
    unsigned users;          /* (L) the list, the runner, the progress writer */
    struct accel_peer *peer; /* (L) in a call to it; a reference */
    double progress;         /* (L) percent */
    char text[128];          /* (L) */
    bool dirty;              /* (L) progress or text to be written */
    _Atomic bool cancelled;
    char *result; /* JSON text, set by run; accel_free */
};

/* Analyses for shapes other than the declared ones that are kept. */
#define SHAPED_MAX 16

struct accel_service {
    struct accel_store *store;
    char *hostname, *models_dir;
    int models_fd;               /* the folder */
    char core_version[128];      /* of the inference core and the instruction sets in use: what the
                                    CPU's rates were measured with */
    unsigned threads;            /* of one run on the CPU */
    int64_t hung_grace_ms;       /* what a worker gets beyond its deadline before it is killed */
    _Atomic unsigned generation; /* grows when an answer to "where" may change */
    _Atomic uint64_t last_packing; /* makes keys of packed models unique */

    pthread_mutex_t lock;
    pthread_cond_t changed; /* workers, packed models, gates, stopping */
    pthread_cond_t job_wake, progress_wake;
    bool started, stopping; /* (L) as are all below */
    struct {
        int64_t scan_period_ms, telemetry_period_ms, request_ms;
        size_t packed_cache_bytes;
        unsigned queue;
    } limits;
    struct module *modules;
    struct worker *workers;
    uint64_t waits_begun, waits_ended; /* for a worker, by those who do not let others go first */
    struct packed *packed;
    struct shaped {
        char *key;  /* uuid of the model, then the dimensions; NULL: unused */
        char *text; /* the analysis as JSON */
    } shaped[SHAPED_MAX];
    size_t shaped_next; /* the slot that is overwritten next */
    struct gate *gates;
    struct job *jobs;
    struct accel_service_metrics metrics;
    int64_t calibration_failed_at_ms; /* 0: it has not */
    void (*on_hung)(void *context, Accel__Ipc__Role role, const char *name, const char *reason);
    void *on_hung_context;

    pthread_t job_threads[JOB_THREADS], progress_thread;
    unsigned job_threads_count; /* started; the progress writer came before the first */
    bool progress_started;
};

/* ---------------------------------------------------------------- service.c */

void service_cond_init(pthread_cond_t *cond); /* on the monotonic clock */
/* Lock held. Waits until `cond` or until at_ms (0: for ever) on accel_now_ms's clock; false when
 * that time has passed. */
bool service_wait(struct accel_service *service, pthread_cond_t *cond, int64_t at_ms);
/* "The daemon is stopping", UNAVAILABLE. */
int service_refuse(struct accel_error *err);
bool service_is_stopping(struct accel_service *service);
/* The answer to "where should it run" may have changed. */
void service_touch(struct accel_service *service);
/* True when the caller may see what this project owns; NULL: nobody's. */
bool service_may_see(const struct accel_caller *caller, const char *project_id);

/* ---------------------------------------------------------------- peers.c */

/* Waits for a worker that is idle, best one that holds the model `key` (NULL: any), until at_ms
 * (0: for ever). *waiting (NULL: none) counts this wait; when it is at `queue` already: BUSY.
 * after_others: whoever waits already goes first, however quick this one is to ask again.
 * The worker is busy until service_worker_release. Errors: BUSY, TIMEOUT, CANCELLED, UNAVAILABLE
 * (no worker is up, or the daemon stops). */
int service_worker_acquire(struct accel_service *service, const char *key, int64_t at_ms,
                           unsigned *waiting, bool after_others, const _Atomic bool *cancelled,
                           struct worker **worker, struct accel_peer **peer,
                           struct accel_error *err);
void service_worker_release(struct accel_service *service, struct worker *worker,
                            struct accel_peer *peer);
struct worker_call {
    Accel__Ipc__Message *request;
    const int *fds;
    size_t fds_count;
    const char *key;       /* model it concerns, or NULL */
    unsigned *waiting;     /* as above */
    bool after_others;     /* as above */
    int64_t wait_until_ms; /* for a worker; 0: for ever */
    int64_t deadline_ms;   /* of the call, from when it begins; a worker past it is killed */
    const _Atomic bool *cancelled;
    accel_peer_progress_fn *progress; /* or NULL; with progress_context */
    void *progress_context;
    struct job *job;   /* whose cancellation pokes the worker, or NULL */
    int64_t *began_ns; /* or NULL */
};
/* One call to one worker: picks it, asks it, gives it back. Asked of a second worker when the first
 * was gone before the request left, never otherwise. */
int service_worker_call(struct accel_service *service, const struct worker_call *call,
                        struct accel_ipc_packet *answer, struct accel_error *err);
/* Tells every worker to forget a model. */
void service_workers_drop(struct accel_service *service, const char *key);
void service_hung(struct accel_service *service, Accel__Ipc__Role role, const char *name,
                  const char *reason);

/* ---------------------------------------------------------------- scan.c, telemetry.c */

void service_module_news(void *context, struct accel_peer *peer, struct accel_ipc_packet *packet);
int service_module_start(struct module *module, struct accel_error *err);
/* Lock held: the module of that name, made (and started, once the service is) if it is new. The
 * list only grows. NULL with *err. */
struct module *service_module_add(struct accel_service *service, const char *name,
                                  struct accel_error *err);
/* The one after `m`, the first for NULL. */
struct module *service_module_next(struct accel_service *service, const struct module *m);
/* The module's channel, referenced. UNAVAILABLE with the reason when it is not up and asked. */
int service_module_peer(struct module *module, struct accel_peer **peer, struct accel_error *err);
int service_scan(struct module *module, struct accel_scan_result *result, struct accel_error *err);
int service_read_telemetry(struct module *module, struct accel_error *err);

/* ---------------------------------------------------------------- devices.c */

/* By uuid, identity or PCI address. */
int service_find_device(struct accel_service *service, const char *name, struct accel_bump *mem,
                        struct accel_device *device, struct accel_error *err);
/* True when a worker of this node computes on devices of this type. */
bool service_has_workers_for(const struct accel_device *device);
/* Version that a device's rates belong to. */
const char *service_rates_version(struct accel_service *service, const struct accel_device *device,
                                  const struct accel_fact *facts, size_t count);
/* What the matcher needs to know of each device. model NULL: without its measured runs, else those
 * of this shape. */
int service_resources(struct accel_service *service, const struct accel_device *devices,
                      size_t count, const struct accel_uuid *model, const char *shape,
                      struct accel_bump *mem, struct accel_resource **resources,
                      struct accel_error *err);

/* A run on a device begins and ends. CONFLICT while the device is being bound or is held. */
int service_gate_enter(struct accel_service *service, int64_t device_id, const char *identity,
                       struct accel_error *err);
void service_gate_leave(struct accel_service *service, int64_t device_id);
/* No run begins on the device until service_gate_open; waits for those under way. TIMEOUT: the gate
 * is open again. */
int service_gate_drain(struct accel_service *service, int64_t device_id, int64_t at_ms,
                       struct accel_error *err);
void service_gate_open(struct accel_service *service, int64_t device_id);

/* ---------------------------------------------------------------- models.c, packed.c */

/* What a worker made of a model file. */
struct loaded {
    int fd; /* packed, sealed; -1 when analyse_only */
    uint64_t bytes;
    char sha256[65];
    struct accel_analysis *analysis; /* in the bump memory given */
    char *analysis_json;             /* the same */
};
int service_load_model(struct accel_service *service, int fd, uint64_t size, const char *label,
                       bool analyse_only, struct accel_bump *mem, struct loaded *loaded,
                       struct accel_error *err);
/* The analysis of a model that is there, with free dimensions fixed: asked of a worker, the last
 * few answers kept. Errors: INVALID (the model takes no such shape), LIMIT, and the worker's. */
int service_analyse_shaped(struct accel_service *service, const struct accel_model_record *model,
                           Accel__Ipc__Dim *const *dims, size_t dims_count, struct accel_bump *mem,
                           struct accel_analysis **analysis, struct accel_error *err);
void service_shaped_free_all(struct accel_service *service);
void service_loaded_free(struct loaded *loaded);
/* Settles what the last life left below <state>/models. */
int service_clean_models(struct accel_service *service, struct accel_error *err);

/* The packed form, packed now if it is not there; until service_packed_release it stays. */
int service_packed_acquire(struct accel_service *service, const struct accel_model_record *model,
                           struct packed **packed, struct accel_error *err);
void service_packed_release(struct accel_service *service, struct packed *packed);
/* Puts what was just loaded into the cache; takes the descriptor over. */
void service_packed_put(struct accel_service *service, const struct accel_uuid *model,
                        struct loaded *loaded);
void service_packed_forget(struct accel_service *service, const struct accel_uuid *model);
void service_packed_free_all(struct accel_service *service);
void service_packed_trim(struct accel_service *service);

/* ---------------------------------------------------------------- place.c */

/* What is recorded of a model, as the matcher reads it. */
int service_analysis_of(const struct accel_model_record *model, struct accel_bump *mem,
                        struct accel_analysis **analysis, struct accel_error *err);
/* Every device of the node against the model, of whose runs those of this shape count. */
int service_rank(struct accel_service *service, const struct accel_model_record *model,
                 const struct accel_analysis *analysis, const struct accel_constraints *constraints,
                 const char *shape, struct accel_bump *mem, struct accel_candidate **candidates,
                 size_t *count, struct accel_error *err);

/* ---------------------------------------------------------------- shape.c */

/* "x=1x4,y=2": the inputs by name with their shapes. Errors: NOMEM. */
int service_shape_of_request(const struct accel_infer_request *request, struct accel_bump *mem,
                             char text[ACCEL_RUN_SHAPE], struct accel_error *err);
int service_shape_of_analysis(const struct accel_analysis *analysis, struct accel_bump *mem,
                              char text[ACCEL_RUN_SHAPE], struct accel_error *err);

/* ---------------------------------------------------------------- jobs.c, calibrate.c, arqs.c */

int service_jobs_start(struct accel_service *service, struct accel_error *err);
void service_jobs_join(struct accel_service *service);
/* The open job of this kind, uuid in *uuid. */
bool service_job_open(struct accel_service *service, const char *kind, struct accel_uuid *uuid);
/* Records and queues a job. Consumes context in any case. With `alone`: CONFLICT, naming it, while
 * another of the kind is open. */
int service_job_add(struct accel_service *service, const char *kind, bool alone, const char *target,
                    const char *project_id, job_fn *run, void *context, struct accel_bump *mem,
                    struct accel_job *record, struct accel_error *err);
void service_job_progress(struct accel_service *service, struct job *job, double percent,
                          const char *text);
/* Lock held. Cancels every open job. */
void service_jobs_cancel_all(struct accel_service *service);

/* DENIED "<what> requires a service token" unless the caller has one. */
int service_needs_service(const struct accel_caller *caller, const char *what,
                          struct accel_error *err);
/* No inference on the devices until service_gates_open. Ids ascend: two that want the same devices
 * take them in the same order. On error every gate is open. */
int service_gates_drain(struct accel_service *service, const int64_t *ids, size_t count,
                        struct accel_error *err);
void service_gates_open(struct accel_service *service, const int64_t *ids, size_t count);
/* tx2 of a bind or a reservation. Not to be had: the intent is undone, and the error is why. */
int service_bind_finish(struct accel_service *service, int64_t intent, struct accel_error *err);
/* Undoes the steps that the last life left half done. */
int service_settle_intents(struct accel_service *service, struct accel_error *err);

#endif
