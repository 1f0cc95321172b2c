/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_SERVICE_SERVICE_H
#define ACCEL_SERVICE_SERVICE_H

/* The use cases: one function each, whoever asks (REST, sync, accelctl through REST). Owns the
 * steps that span store, match, hardware and workers. Functions block; call them on a pool thread.
 * All are thread-safe. Results live in the bump memory given. */

#include "config/config.h"
#include "core/peer.h"
#include "match/match.h"
#include "store/store.h"

struct accel_service;

/* Who asks. Made by rest/identity, which also asks the policy who may do what; here it is asked
 * whose ARQs and models these are, and whether the caller speaks for a service. */
struct accel_caller {
    const char *user;       /* "uid:1000", a Keystone user id */
    const char *project_id; /* or NULL: then only an admin sees anything that a project owns */
    bool admin, reader;
    bool service; /* a valid service token came along: bind, unbind, deleting what is bound and
                     deleting by instance are DENIED without (contract 9.4, 9.5) */
    const char *request_id;
};

/* ---------------------------------------------------------------- life */

int accel_service_new(const struct accel_config *config, struct accel_store *store,
                      struct accel_service **service, struct accel_error *err);
/* Settles intents and open jobs of the last life, starts the periodic scan. Peers may come before.
 */
int accel_service_start(struct accel_service *service, struct accel_error *err);
/* Refuses new work, cancels jobs, waits for what runs, at most deadline_ms. */
void accel_service_stop(struct accel_service *service, int64_t deadline_ms);
void accel_service_free(struct accel_service *service);
/* Takes over what may change while running; keeps no pointer into either configuration. */
void accel_service_reload(struct accel_service *service, const struct accel_config *config);
/* After a request's `cancelled` was set: wakes whoever waits to look at it. */
void accel_service_poke(struct accel_service *service);

/* From the supervisor: takes over `socket` in any case. */
void accel_service_peer_up(struct accel_service *service, Accel__Ipc__Role role, const char *name,
                           unsigned instance, int pid, int socket);
void accel_service_peer_down(struct accel_service *service, const Accel__Ipc__PeerDown *down);
/* Set by control: asks the supervisor to kill a peer that passed its deadline. */
void accel_service_on_hung_peer(struct accel_service *service,
                                void (*fn)(void *context, Accel__Ipc__Role role, const char *name,
                                           const char *reason),
                                void *context);

/* What GET /readyz and /v2/drivers show. */
struct accel_module_status {
    const char *name, *version, *family;
    int32_t priority;
    const char *state;  /* "starting" "active" "not-mine" "down" "quarantined" */
    const char *reason; /* or NULL */
    unsigned restarts;
    int pid;
    bool privileged, can_program, can_attach, can_read;
    uint32_t open_ms, discover_ms;
    unsigned devices;
    const char *last_scan_at;
    size_t problems_count;
    const struct accel_scan_problem *problems; /* of the last discovery */
};
int accel_service_list_modules(struct accel_service *service, struct accel_bump *mem,
                               struct accel_module_status **modules, size_t *count,
                               struct accel_error *err);
struct accel_worker_status {
    const char *name;
    const char *state; /* "up" "down" */
    int pid;
    unsigned restarts;
    unsigned busy; /* calls under way */
    unsigned models_held;
};
int accel_service_list_workers(struct accel_service *service, struct accel_bump *mem,
                               struct accel_worker_status **workers, size_t *count,
                               struct accel_error *err);
/* True when the first scan of every module that is up is in the store and a worker is up; else the
 * reason. */
bool accel_service_ready(struct accel_service *service, char *reason, size_t size);

/* ---------------------------------------------------------------- devices */

/* Asks one module (NULL: all) and records the difference. */
int accel_service_rescan(struct accel_service *service, const char *module,
                         struct accel_scan_result *result, struct accel_error *err);
int accel_service_enable_device(struct accel_service *service, const struct accel_caller *caller,
                                const struct accel_uuid *uuid, bool enable,
                                struct accel_error *err);

/* ---------------------------------------------------------------- ARQs: contract 9 and 11 */

int accel_service_create_arqs(struct accel_service *service, const struct accel_caller *caller,
                              const char *device_profile_name, struct accel_bump *mem,
                              struct accel_arq **arqs, size_t *count, struct accel_error *err);
/* Those the caller may see. */
int accel_service_get_arq(struct accel_service *service, const struct accel_caller *caller,
                          const struct accel_uuid *uuid, struct accel_bump *mem,
                          struct accel_arq *arq, struct accel_error *err);
/* resolved: only resolved ones; with an instance, LOCKED when any of its ARQs is not. */
int accel_service_list_arqs(struct accel_service *service, const struct accel_caller *caller,
                            const char *instance_uuid, bool resolved, const struct accel_page *page,
                            struct accel_bump *mem, struct accel_arq **arqs, size_t *count,
                            struct accel_error *err);
/* All or nothing; on failure the ARQs are BindFailed (or untouched when refused before tx1). */
int accel_service_bind_arqs(struct accel_service *service, const struct accel_caller *caller,
                            const struct accel_bind_request *requests, size_t count,
                            struct accel_error *err);
int accel_service_unbind_arqs(struct accel_service *service, const struct accel_caller *caller,
                              const struct accel_uuid *arqs, size_t count, struct accel_error *err);
/* Deletes those that exist; NOT_FOUND afterwards when any was missing (contract 19). */
int accel_service_delete_arqs(struct accel_service *service, const struct accel_caller *caller,
                              const struct accel_uuid *arqs, size_t count, struct accel_error *err);
int accel_service_delete_instance_arqs(struct accel_service *service,
                                       const struct accel_caller *caller, const char *instance_uuid,
                                       struct accel_error *err);

/* ---------------------------------------------------------------- models */

/* Where an upload is streamed to: a new file below <state>/models, to be handed to
 * accel_service_put_model or discarded. */
struct accel_upload {
    int fd;
    char file[64];
};
int accel_service_upload_begin(struct accel_service *service, struct accel_upload *upload,
                               struct accel_error *err);
void accel_service_upload_discard(struct accel_service *service, struct accel_upload *upload);
/* Parses and packs in a worker, then records. 422-like errors (INVALID, UNSUPPORTED, LIMIT) leave
 * nothing behind. A model with operators the core lacks is accepted only for placement when
 * predict_only is set. Consumes the upload in any case. version 0: the next. */
int accel_service_put_model(struct accel_service *service, const struct accel_caller *caller,
                            const char *name, int64_t version, bool predict_only,
                            struct accel_upload *upload, struct accel_bump *mem,
                            struct accel_model_record *model, struct accel_error *err);
int accel_service_delete_model(struct accel_service *service, const struct accel_caller *caller,
                               const char *name, int64_t version, struct accel_error *err);
/* Those the caller may use: own project's, those of no project, all for an admin. */
int accel_service_get_model(struct accel_service *service, const struct accel_caller *caller,
                            const char *name, int64_t version, struct accel_bump *mem,
                            struct accel_model_record *model, struct accel_error *err);

/* ---------------------------------------------------------------- inference */

struct accel_infer_tensor {
    const char *name;
    enum accel_dtype dtype;
    uint32_t rank;
    int64_t dims[ACCEL_RANK_MAX];
    size_t offset, size_bytes; /* in the memory file */
};

struct accel_infer_request {
    const char *model;
    int64_t version;
    const char *device; /* uuid, identity or PCI address; NULL: the best runnable one */
    int input_fd;       /* memory file, sealed; borrowed */
    size_t input_bytes;
    const struct accel_infer_tensor *inputs;
    size_t inputs_count;
    const char *const *outputs; /* none: all */
    size_t outputs_count;
    int64_t timeout_ms;            /* 0: the configured limit */
    const _Atomic bool *cancelled; /* or NULL; the client hung up: see accel_service_poke */
};

struct accel_infer_reply {
    struct accel_model_record model;
    struct accel_uuid device;
    const char *device_identity;
    int output_fd; /* memory file; the caller closes it */
    size_t output_bytes;
    struct accel_infer_tensor *outputs;
    size_t outputs_count;
    double run_s, load_s, queue_s, predicted_s;
    size_t arena_bytes;
};
/* Errors: NOT_FOUND, INVALID (input name, type, rank, size), BUSY (queue full), UNAVAILABLE (no
 * worker, or it died under this request), TIMEOUT, CONFLICT (the device is bound: names the ARQ),
 * UNSUPPORTED (the device is predicted-only). */
int accel_service_infer(struct accel_service *service, const struct accel_caller *caller,
                        const struct accel_infer_request *request, struct accel_bump *mem,
                        struct accel_infer_reply *reply, struct accel_error *err);
/* Packs and maps the model in advance. */
int accel_service_warm_model(struct accel_service *service, const struct accel_caller *caller,
                             const char *name, int64_t version, struct accel_error *err);

/* ---------------------------------------------------------------- placement, calibration */

struct accel_placement {
    struct accel_model_record model;
    struct accel_analysis *analysis;
    bool shaped; /* the analysis is for shapes of the request */
    struct accel_candidate *candidates;
    size_t count;
    /* A runnable device had no calibration yet: this job measures it; "" none was started. */
    struct accel_uuid calibration_job;
};
/* Shapes to place for instead of the declared ones, whose free dimensions count as 1. */
struct accel_placement_shapes {
    int64_t batch; /* first dimension of the inputs that leave it free; 0: not said */
    struct accel_input_shape {
        const char *name;
        size_t rank;
        int64_t dims[ACCEL_RANK_MAX];
    } * inputs;
    size_t inputs_count;
};
/* shapes NULL: the declared ones. Errors: NOT_FOUND; INVALID (a shape that the model does not take:
 * names the input and the axis). */
int accel_service_place(struct accel_service *service, const struct accel_caller *caller,
                        const char *model, int64_t version,
                        const struct accel_constraints *constraints,
                        const struct accel_placement_shapes *shapes, struct accel_bump *mem,
                        struct accel_placement *placement, struct accel_error *err);

struct accel_reserve_options {
    size_t count;              /* devices, one accelerator of each */
    const char *instance_uuid; /* whose they become; NULL: a new uuid stands for the reservation */
};
struct accel_reservation {
    struct accel_uuid instance_uuid;
    size_t count;
    const struct accel_candidate **devices; /* in rank order */
    struct accel_arq *arqs;                 /* Bound; arqs[i] holds one accelerator of devices[i] */
    size_t passed_count;                    /* ranked before the last of these, but not to be had */
    struct accel_passed_over {
        const struct accel_candidate *candidate;
        const char *reason;
    } * passed;
};
/* accel_service_place, and the best `count` of the accepted devices that can be had become bound
 * ARQs, all or none: each of a device profile of its own, which is deleted with the ARQ. On failure
 * nothing is left behind. Errors besides those of accel_service_place: DENIED (before anything is
 * looked at), EXISTS (the instance has ARQs), CONFLICT (fewer can be had: names the first that
 * could not and why), TIMEOUT (inferences on a device do not end). */
int accel_service_reserve(struct accel_service *service, const struct accel_caller *caller,
                          const char *model, int64_t version,
                          const struct accel_constraints *constraints,
                          const struct accel_placement_shapes *shapes,
                          const struct accel_reserve_options *options, struct accel_bump *mem,
                          struct accel_placement *placement, struct accel_reservation *reservation,
                          struct accel_error *err);
/* Takes back what could not be told to who asked. */
void accel_service_unreserve(struct accel_service *service, const struct accel_caller *caller,
                             const struct accel_reservation *reservation);

/* Starts the job; CONFLICT names the one that is running. device NULL: every device the core runs
 * on. budget_ms 0: the default. */
int accel_service_calibrate(struct accel_service *service, const struct accel_caller *caller,
                            const char *device, int64_t budget_ms, struct accel_bump *mem,
                            struct accel_job *job, struct accel_error *err);
int accel_service_cancel_job(struct accel_service *service, const struct accel_caller *caller,
                             const struct accel_uuid *uuid, struct accel_error *err);

int accel_service_set_log_level(struct accel_service *service, enum accel_log_level level);

/* ---------------------------------------------------------------- figures for /metrics */

struct accel_service_metrics {
    uint64_t infers, infers_failed, scans, scans_failed;
    double infer_seconds_sum;
    unsigned infers_running, infers_queued;
    uint64_t packed_bytes;
    unsigned models_packed;
};
void accel_service_get_metrics(struct accel_service *service,
                               struct accel_service_metrics *metrics);
/* The last telemetry sample: readings by device identity. Never touches hardware. */
struct accel_sample {
    const char *identity, *name;
    double value;
};
int accel_service_get_telemetry(struct accel_service *service, struct accel_bump *mem,
                                struct accel_sample **samples, size_t *count,
                                struct accel_error *err);

#endif
