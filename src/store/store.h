/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_STORE_STORE_H
#define ACCEL_STORE_STORE_H

/* The record of the node: the only SQL of the tree lies behind this header.
 *
 * Every function may be called from any thread. One that changes state is one transaction and
 * commits the state and the events that tell of it together, durably, before it returns. Results
 * live in the bump memory given. Lists are in row-id order unless said otherwise.
 * Errors of all: NOMEM, IO, NO_SPACE (disk full: nothing changed), CORRUPT, BUSY. */

#include "acceld/infer.h"
#include "core/arq.h"
#include "core/device.h"
#include "core/event.h"
#include "core/job.h"
#include "core/model.h"
#include "core/scan.h"

struct accel_store;

struct accel_store_options {
    const char *path;     /* <state_dir>/acceld.db; its folder must exist */
    const char *hostname; /* this node: part of a device's identity and of every event */
};

/* Opens or creates, migrates (after a backup copy <path>.<version>.bak) and, after a crash, checks.
 * Errors: CONFLICT (the schema is newer than this program: names both; another program's database),
 * BUSY (another daemon has it open), NOT_FOUND (no such folder), DENIED, CORRUPT (cure: restore the
 * backup). */
int accel_store_open(const struct accel_store_options *options, struct accel_store **store,
                     struct accel_error *err);
void accel_store_close(struct accel_store *store);
/* fn is called after every commit that appended events, with the newest sequence, in their order
 * and with the writer held: it must neither block nor call the store. Once this returns, the fn
 * before is not called any more; NULL: nobody is. */
void accel_store_on_commit(struct accel_store *store, void (*fn)(void *context, int64_t sequence),
                           void *context);
/* Grows with every change of state, before the call that made it returns and before anybody is told
 * of its events: what was read after this said N is what is there while it says N. (Rates and
 * measurements are no state.) */
uint64_t accel_store_generation(const struct accel_store *store);
/* One no-op write transaction: proves that the writer is alive (watchdog, /readyz). */
int accel_store_ping(struct accel_store *store, struct accel_error *err);
/* A consistent copy of the live database, whole or not at all. EXISTS: it replaces nothing. */
int accel_store_backup(struct accel_store *store, const char *path, struct accel_error *err);
/* Puts the backup that `from` is open on in the place of the database at `path`, which no daemon
 * may have open. The old database stays beside it, with its journal: kept[kept_size] (out) is its
 * name, "" when there was none. Errors: BUSY (a daemon runs), INVALID (no backup of ours), CORRUPT
 * (integrity or references), CONFLICT (a newer schema); then nothing has changed. */
int accel_store_restore(const char *path, int from, char *kept, size_t kept_size,
                        struct accel_error *err);

struct accel_page {
    size_t limit;                    /* 0: all */
    const struct accel_uuid *marker; /* the last one of the page before; NULL: from the start.
                                        NOT_FOUND when there is no such row */
    bool newest_first;
};

/* ---------------------------------------------------------------- devices */

struct accel_scan_result {
    unsigned added, changed, gone, back, unchanged;
};
/* Compares what one module found with what is recorded for it and makes the record agree: devices
 * by (hostname, identity), deployables by name, attributes by key, handles by attach_info, facts by
 * (name, module). What an ARQ or a lease holds is marked gone, never deleted, until it is free. A
 * device that several modules add belongs to the one with the highest priority (of equals, the
 * first); the facts of the others stay as annotations. API-made attributes are left alone. No
 * difference: no write, no event. One bad device becomes an event "device.problem" (once, until it
 * is mended), never an error of the scan; what a problem names by identity is not taken for gone. A
 * device that comes back has the uuid and the status it had. */
int accel_store_apply_scan(struct accel_store *store, const struct accel_scan *scan,
                           struct accel_scan_result *result, struct accel_error *err);

/* Forgets what modules that are no more (taken out of the configuration) had found, as if each had
 * found nothing. `modules`: those that are. */
int accel_store_keep_modules(struct accel_store *store, const char *const *modules, size_t count,
                             struct accel_error *err);

struct accel_device_filter {
    const char *type, *vendor, *hostname, *identity, *module; /* NULL: any */
    bool leave_out_host_side;                                 /* CPU and OPENCL */
    bool leave_out_gone;
};
int accel_store_list_devices(struct accel_store *store, const struct accel_device_filter *filter,
                             const struct accel_page *page, struct accel_bump *mem,
                             struct accel_device **devices, size_t *count, struct accel_error *err);
int accel_store_get_device(struct accel_store *store, const struct accel_uuid *uuid,
                           struct accel_bump *mem, struct accel_device *device,
                           struct accel_error *err);
int accel_store_get_device_by_id(struct accel_store *store, int64_t id, struct accel_bump *mem,
                                 struct accel_device *device, struct accel_error *err);
int accel_store_list_facts(struct accel_store *store, int64_t device_id, struct accel_bump *mem,
                           struct accel_fact **facts, size_t *count, struct accel_error *err);
/* "enabled" or "maintaining". */
int accel_store_set_device_status(struct accel_store *store, const struct accel_uuid *uuid,
                                  const char *status, struct accel_error *err);
/* Health as the daemon itself found it (module quarantined, undo failed, ...), beside what the
 * module reports: the worse of the two is the device's, until this is set to "ok" again. */
int accel_store_set_device_health(struct accel_store *store, const char *identity,
                                  const char *health, const char *reason, struct accel_error *err);

struct accel_deployable_filter {
    const char *name; /* NULL: any */
    const struct accel_uuid *device;
    const struct accel_uuid *rp;
    bool leave_out_host_side;
};
int accel_store_list_deployables(struct accel_store *store,
                                 const struct accel_deployable_filter *filter,
                                 const struct accel_page *page, struct accel_bump *mem,
                                 struct accel_deployable **deployables, size_t *count,
                                 struct accel_error *err);
int accel_store_get_deployable(struct accel_store *store, const struct accel_uuid *uuid,
                               struct accel_bump *mem, struct accel_deployable *deployable,
                               struct accel_error *err);
int accel_store_list_handles(struct accel_store *store, int64_t deployable_id,
                             struct accel_bump *mem, struct accel_attach_handle **handles,
                             size_t *count, struct accel_error *err);

struct accel_attribute_filter {
    int64_t deployable_id; /* 0: any */
    const char *key;       /* NULL: any */
};
int accel_store_list_attributes(struct accel_store *store,
                                const struct accel_attribute_filter *filter,
                                const struct accel_page *page, struct accel_bump *mem,
                                struct accel_attribute **attributes, size_t *count,
                                struct accel_error *err);
int accel_store_get_attribute(struct accel_store *store, const struct accel_uuid *uuid,
                              struct accel_bump *mem, struct accel_attribute *attribute,
                              struct accel_error *err);
/* Origin "api". NOT_FOUND: no such deployable. */
int accel_store_add_attribute(struct accel_store *store, int64_t deployable_id, const char *key,
                              const char *value, struct accel_bump *mem,
                              struct accel_attribute *attribute, struct accel_error *err);
int accel_store_delete_attribute(struct accel_store *store, const struct accel_uuid *uuid,
                                 struct accel_error *err);

/* ---------------------------------------------------------------- device profiles */

struct accel_new_profile {
    const char *uuid; /* NULL: a new one */
    const char *name, *description, *groups;
};
/* EXISTS: the name is taken ("name ...") or the uuid is ("uuid ..."); INVALID: no uuid. */
int accel_store_add_profile(struct accel_store *store, const struct accel_new_profile *from,
                            struct accel_bump *mem, struct accel_device_profile *profile,
                            struct accel_error *err);
/* names NULL: all; else those whose name matches one exactly. */
int accel_store_list_profiles(struct accel_store *store, const char *const *names,
                              size_t names_count, const struct accel_page *page,
                              struct accel_bump *mem, struct accel_device_profile **profiles,
                              size_t *count, struct accel_error *err);
int accel_store_get_profile(struct accel_store *store, const char *uuid_or_name,
                            struct accel_bump *mem, struct accel_device_profile *profile,
                            struct accel_error *err);
/* CONFLICT when an ARQ was made from it. */
int accel_store_delete_profile(struct accel_store *store, const char *uuid_or_name,
                               struct accel_error *err);

/* ---------------------------------------------------------------- ARQs */

/* Every ARQ of every group of the profile, in group order, in one transaction. */
int accel_store_add_arqs(struct accel_store *store, const struct accel_device_profile *profile,
                         const struct accel_profile_group *groups, size_t groups_count,
                         const char *project_id, struct accel_bump *mem, struct accel_arq **arqs,
                         size_t *count, struct accel_error *err);

struct accel_arq_filter {
    const char *project_id;    /* NULL: all projects */
    const char *instance_uuid; /* NULL: any */
    bool resolved_only;
    const struct accel_uuid *uuids; /* these only; a missing one is not an error here */
    size_t uuids_count;
};
int accel_store_list_arqs(struct accel_store *store, const struct accel_arq_filter *filter,
                          const struct accel_page *page, struct accel_bump *mem,
                          struct accel_arq **arqs, size_t *count, struct accel_error *err);
int accel_store_get_arq(struct accel_store *store, const struct accel_uuid *uuid,
                        struct accel_bump *mem, struct accel_arq *arq, struct accel_error *err);

struct accel_bind_request {
    struct accel_uuid arq;
    const char *hostname, *device_rp_uuid, *instance_uuid, *project_id;
};
/* tx1 of a bind: every ARQ moves Initial|Unbound -> BindStarted (compare and set), holds a free
 * attach handle of the deployable that device_rp_uuid names, and an intent is written; all or
 * nothing. Errors: NOT_FOUND (ARQ, provider, no free handle: contract 9.4), EXISTS (the first
 * one's instance has ARQs already), CONFLICT (state; device gone, failed or in maintenance;
 * hostname is another node; ARQs of one group and one POST on two providers), BUSY (a worker has a
 * lease on the device: drain first), INVALID. *intent is for the calls below. */
int accel_store_bind_begin(struct accel_store *store, const struct accel_bind_request *requests,
                           size_t count, int64_t *intent, struct accel_error *err);
/* What a placement reserves: one accelerator of the provider, by an ARQ that is made for it from a
 * device profile that is made for it too and goes with it. */
struct accel_reserve_request {
    const char *profile_name, *profile_description, *groups; /* canonical; one group of one */
    const char *hostname, *device_rp_uuid;
};
/* tx1 of a reservation: profiles, ARQs and their bind for one instance, all or nothing, and an
 * intent for accel_store_bind_end. arqs[count] (out). *refused (out): the request that could not be
 * had, `count` when the error is not about one. Errors: as accel_store_bind_begin's; EXISTS also
 * when a name is taken. */
int accel_store_reserve_begin(struct accel_store *store,
                              const struct accel_reserve_request *requests, size_t count,
                              const char *instance_uuid, const char *project_id,
                              struct accel_uuid *arqs, int64_t *intent, size_t *refused,
                              struct accel_error *err);
/* tx2: Bound for all, with their events; or, `failed` given, handles freed and BindFailed for all
 * of a bind, ARQs and profiles deleted of a reservation. */
int accel_store_bind_end(struct accel_store *store, int64_t intent, const char *failed,
                         struct accel_error *err);
/* Handles freed, Unbound, hostname and instance cleared; any state but BindStarted. */
int accel_store_unbind(struct accel_store *store, const struct accel_uuid *arqs, size_t count,
                       struct accel_error *err);
/* Unbinds what is bound and deletes; those that do not exist are counted, not an error. CONFLICT
 * for one in BindStarted, then nothing is deleted. */
int accel_store_delete_arqs(struct accel_store *store, const struct accel_uuid *arqs, size_t count,
                            size_t *missing, struct accel_error *err);

/* Steps that a stop or a crash interrupted: the service settles each at start. */
struct accel_intent {
    int64_t id;
    const char *kind; /* "bind", "reserve" */
    const char *data; /* JSON */
    const char *created_at;
};
int accel_store_list_intents(struct accel_store *store, struct accel_bump *mem,
                             struct accel_intent **intents, size_t *count, struct accel_error *err);

/* A worker has a context on a device: a bind drains leases first. Leases end with the daemon.
 * Errors: CONFLICT (an ARQ holds a handle of it, or it is gone), NOT_FOUND. */
int accel_store_lease_begin(struct accel_store *store, int64_t device_id, const char *holder,
                            int64_t *lease, struct accel_error *err);
int accel_store_lease_end(struct accel_store *store, int64_t lease, struct accel_error *err);
/* ARQ that holds a handle of the device: NOT_FOUND when free. */
int accel_store_device_holder(struct accel_store *store, int64_t device_id, struct accel_bump *mem,
                              struct accel_arq *arq, struct accel_error *err);

/* ---------------------------------------------------------------- models */

/* version 0: the next one. EXISTS: that version is there. */
int accel_store_add_model(struct accel_store *store, const struct accel_model_record *from,
                          struct accel_bump *mem, struct accel_model_record *model,
                          struct accel_error *err);
/* name NULL: the newest version of every model; else every version of that one, newest first. */
int accel_store_list_models(struct accel_store *store, const char *name, const char *project_id,
                            const struct accel_page *page, struct accel_bump *mem,
                            struct accel_model_record **models, size_t *count,
                            struct accel_error *err);
/* version 0: the newest. */
int accel_store_get_model(struct accel_store *store, const char *name, int64_t version,
                          struct accel_bump *mem, struct accel_model_record *model,
                          struct accel_error *err);
/* version 0: all. *files gets the names of files nothing refers to any more. */
int accel_store_delete_model(struct accel_store *store, const char *name, int64_t version,
                             struct accel_bump *mem, const char ***files, size_t *count,
                             struct accel_error *err);

/* ---------------------------------------------------------------- jobs */

int accel_store_add_job(struct accel_store *store, const char *kind, const char *target,
                        const char *project_id, struct accel_bump *mem, struct accel_job *job,
                        struct accel_error *err);
/* state NULL: as it is; progress < 0: as it is; text NULL: as it is, else also a log line. Writes
 * of progress alone are folded to at most one a second. */
int accel_store_update_job(struct accel_store *store, const struct accel_uuid *uuid,
                           const char *state, double progress, const char *text, const char *result,
                           struct accel_error *err);
int accel_store_list_jobs(struct accel_store *store, const char *state, const char *project_id,
                          const struct accel_page *page, struct accel_bump *mem,
                          struct accel_job **jobs, size_t *count, struct accel_error *err);
int accel_store_get_job(struct accel_store *store, const struct accel_uuid *uuid,
                        struct accel_bump *mem, struct accel_job *job, struct accel_error *err);
int accel_store_list_job_lines(struct accel_store *store, const struct accel_uuid *uuid,
                               int64_t after, struct accel_bump *mem, struct accel_job_line **lines,
                               size_t *count, struct accel_error *err);
/* CONFLICT when it has ended. */
int accel_store_cancel_job(struct accel_store *store, const struct accel_uuid *uuid,
                           struct accel_error *err);
/* Jobs that were queued or running when the daemon ended become failed with this reason. */
int accel_store_fail_open_jobs(struct accel_store *store, const char *reason,
                               struct accel_error *err);

/* ---------------------------------------------------------------- calibration, measurements */

/* Replaces the rates of (device, driver version, threads). NOT_FOUND: no such device. They outlive
 * the device's row: a card that comes back is calibrated still. */
int accel_store_put_rates(struct accel_store *store, int64_t device_id, const char *driver_version,
                          unsigned threads, const struct accel_rate *rates, size_t count,
                          struct accel_error *err);
/* *count 0: never calibrated for this driver version. */
int accel_store_get_rates(struct accel_store *store, int64_t device_id, const char *driver_version,
                          struct accel_bump *mem, struct accel_rate **rates, size_t *count,
                          unsigned *threads, const char **measured_at, struct accel_error *err);

/* Of the shapes of a run as text, with the zero at its end. */
#define ACCEL_RUN_SHAPE 160
/* One real inference; folded in memory, written at most every 10 s by the measurement connection.
 * Of a model's shapes on a device the 64 most frequent are kept. */
struct accel_measurement {
    struct accel_uuid model; /* of the version */
    int64_t device_id;
    unsigned threads;
    const char *shape;         /* of its inputs: "image=1x3x224x224" */
    double run_s, predicted_s; /* predicted 0: none was made */
};
int accel_store_add_measurement(struct accel_store *store, const struct accel_measurement *m,
                                struct accel_error *err);
struct accel_measured {
    int64_t count;
    double mean_s, min_s, max_s, variance_s2;
};
/* count 0: none yet. Includes what is still folded in memory. */
int accel_store_get_measured(struct accel_store *store, const struct accel_uuid *model,
                             int64_t device_id, unsigned threads, const char *shape,
                             struct accel_measured *measured, struct accel_error *err);
int accel_store_flush_measurements(struct accel_store *store, struct accel_error *err);

/* ---------------------------------------------------------------- events */

struct accel_event_filter {
    const char *project_id; /* this one's and those of no project; NULL: of all projects */
    const char *kind;       /* how the kind begins: "device.", "arq.bound"; NULL: any */
};
/* after: sequence of the last one seen. limit 0: all. The newest 100,000 are kept, at least. */
int accel_store_list_events(struct accel_store *store, int64_t after, size_t limit,
                            const struct accel_event_filter *filter, struct accel_bump *mem,
                            struct accel_event **events, size_t *count, struct accel_error *err);
/* The oldest that is kept and the newest of this node; 0 and 0 when there is none. */
int accel_store_event_span(struct accel_store *store, int64_t *oldest, int64_t *newest,
                           struct accel_error *err);
int accel_store_last_sequence(struct accel_store *store, int64_t *sequence,
                              struct accel_error *err);
/* An event of its own transaction, for news that change no row ("module.quarantined"). */
int accel_store_add_event(struct accel_store *store, const char *kind, const char *subject,
                          const char *project_id, const char *data, struct accel_error *err);

struct accel_counts {
    int64_t devices, deployables, handles, handles_in_use, arqs, models, jobs_open;
};
int accel_store_counts(struct accel_store *store, struct accel_counts *counts,
                       struct accel_error *err);

#endif
