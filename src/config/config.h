/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_CONFIG_CONFIG_H
#define ACCEL_CONFIG_CONFIG_H

/* acceld.yaml as one typed, validated structure. Every key is documented in etc/acceld.yaml. */

#include "acceld/infer.h"
#include "base/bump.h"
#include "base/log.h"

/* One module to load, in the order of drivers.enabled. */
struct accel_config_driver {
    const char *name;
    const char *section; /* drivers.<name> as JSON object text, "{}" when absent; the module's own
                            schema checks it */
    int line;            /* of the section, for messages; 0: absent */
};

struct accel_config {
    struct accel_bump mem; /* owns all that is below */
    const char *path;      /* as named in messages */

    const char *hostname;    /* node.hostname; default: gethostname(), Cyborg's [DEFAULT] host */
    const char *state_dir;   /* node.state_dir: database, models, backups */
    const char *runtime_dir; /* node.runtime_dir: unix socket */
    const char *sysroot;     /* node.sysroot: "/" */
    const char *user;        /* node.user: to become when started as root: "acceld" */
    enum accel_log_level log_level; /* log.level */

    struct {
        const char *tcp;             /* api.listen: "127.0.0.1:6666", NULL: none */
        const char *unix_path;       /* api.socket: "<runtime_dir>/acceld.sock", NULL: none */
        const char *unix_group;      /* api.socket_group: "acceld" */
        const char *public_endpoint; /* api.public_endpoint: for links; NULL: as the request came */
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
        const char *module_dir;      /* drivers.module_dir; NULL: beside the program, or installed
                                        (the supervisor fills it in for its children) */
        int64_t scan_period_ms;      /* drivers.scan_period */
        int64_t telemetry_period_ms; /* drivers.telemetry_period */
        size_t count;
        struct accel_config_driver *list; /* drivers.enabled, in order */
    } drivers;

    struct {
        unsigned count;      /* workers.count */
        unsigned threads;    /* workers.threads per run, 0: usable CPUs */
        size_t memory_bytes; /* workers.memory: address space limit of one worker (RLIMIT_AS) */
        unsigned models;     /* workers.models: sessions one worker keeps */
        unsigned cpu_mask;   /* workers.cpu_mask: ACCEL_CPU_* bits, ACCEL_CPU_ALL */
    } workers;

    struct {
        size_t
            packed_cache_bytes; /* models.cache: packed models held by control, least recent go */
    } models;

    struct {
        size_t upload_bytes;    /* limits.model_bytes: 2 GiB */
        size_t json_bytes;      /* limits.json_bytes: largest JSON body, 1 MiB */
        size_t infer_bytes;     /* limits.infer_bytes: largest inference body, 256 MiB */
        unsigned requests;      /* limits.requests under way; above: 429. 256 */
        unsigned connections;   /* limits.connections 1024 */
        unsigned queue;         /* limits.infer_queue per model, 64 */
        unsigned event_streams; /* limits.event_streams open at once, 64 */
        int64_t request_ms;     /* limits.request_time 60s (jobs are not requests) */
        /* model_bytes as above, limits.nodes, nesting, arena_bytes, tensor_bytes, run_time */
        struct accel_limits model;
    } limits;
};

/* Parses YAML text; what it does not say has its default. A second document ("---") overrides keys
 * of the first: the supervisor hands its command line on that way. A key may be written nested or
 * dotted ("api.listen: ..."). `path` is for messages only. Errors: INVALID "acceld.yaml:12:
 * drivers.scan_period: expected a duration such as 60s, got \"soon\""; an unknown key is INVALID
 * too and names the nearest known one. *config is freed by accel_config_free. */
int accel_config_parse(const char *text, size_t size, const char *path,
                       struct accel_config **config, struct accel_error *err);
/* Reads and parses a file of at most 1 MiB. *text (may be NULL) is freed by accel_free. */
int accel_config_load(const char *path, char **text, struct accel_config **config,
                      struct accel_error *err);
void accel_config_free(struct accel_config *config); /* NULL is fine */

/* The table of keys, for tests, --help and documentation: "api.listen"; NULL past the end. */
const char *accel_config_key(size_t i);
/* The value of key i as it would be written in the file; accel_free it. NULL: no memory. */
char *accel_config_value(const struct accel_config *config, size_t i);

#endif
