/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_CONFIG_CONFIG_H
#define ACCEL_CONFIG_CONFIG_H

/* acceld.yaml as one typed, validated structure. Every key is documented in etc/acceld.yaml. */

#include "acceld/infer.h"
#include "base/bump.h"
#include "base/log.h"

struct accel_config_driver {
    const char *name;
    const char *section; /* drivers.<name> as JSON object text; the module's own schema checks it */
    int line;            /* of the section, for messages; 0: absent */
};

struct accel_config {
    struct accel_bump mem; /* owns all that is below */
    const char *path;      /* as named in messages */

    const char *hostname;    /* node.hostname; default: gethostname(), Cyborg's [DEFAULT] host */
    const char *state_dir;   /* database, models, backups */
    const char *runtime_dir; /* unix socket */
    const char *sysroot;     /* "/" */
    const char *user;        /* to become when started as root: "acceld" */
    enum accel_log_level log_level;

    struct {
        const char *tcp;             /* "127.0.0.1:6666", NULL: none */
        const char *unix_path;       /* "<runtime_dir>/acceld.sock", NULL: none */
        const char *unix_group;      /* "acceld" */
        const char *public_endpoint; /* for links; NULL: as the request came */
    } api;

    struct {
        bool local_tcp_admin;        /* auth.local_tcp: admin (else reader) */
        const char *admin_group;     /* auth.admin_group: "acceld" */
        const char *default_project; /* auth.project: project of local callers */
    } auth;

    struct {
        bool list_cpu;   /* cyborg.list_cpu */
        bool strict_500; /* cyborg.tempest_500: keep the three 500s that Tempest asserts */
    } cyborg;

    struct {
        const char *module_dir;
        int64_t scan_period_ms; /* drivers.scan_period */
        int64_t telemetry_period_ms;
        size_t count;
        struct accel_config_driver *list; /* drivers.enabled, in order */
    } drivers;

    struct {
        unsigned count;      /* workers.count, 0: 2 */
        unsigned threads;    /* workers.threads per run, 0: usable CPUs */
        size_t memory_bytes; /* workers.memory: address space limit of one worker beyond models */
    } workers;

    struct {
        size_t
            packed_cache_bytes; /* models.cache: packed models held by control, least recent go */
    } models;

    struct {
        size_t upload_bytes;       /* limits.model_bytes: 2 GiB */
        size_t json_bytes;         /* limits.json_bytes: largest JSON body, 1 MiB */
        size_t infer_bytes;        /* limits.infer_bytes: largest inference body, 256 MiB */
        unsigned requests;         /* limits.requests under way; above: 429. 256 */
        unsigned connections;      /* limits.connections 1024 */
        unsigned queue;            /* limits.infer_queue per model, 64 */
        int64_t request_ms;        /* limits.request_seconds 60 (jobs are not requests) */
        struct accel_limits model; /* nodes, nesting, arena_bytes, tensor_bytes, run_ms */
    } limits;
};

/* Parses YAML text. `path` is for messages only. Errors: INVALID "acceld.yaml:12:
 * drivers.scan_period: expected a duration such as 60s, got \"soon\""; an unknown key is INVALID
 * too and names the nearest known one. *config is freed by accel_config_free. */
int accel_config_parse(const char *text, size_t size, const char *path,
                       struct accel_config **config, struct accel_error *err);
int accel_config_load(const char *path, char **text, struct accel_config **config,
                      struct accel_error *err);
void accel_config_free(struct accel_config *config);

#endif
