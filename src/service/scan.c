/* SPDX-License-Identifier: Apache-2.0 */

/* What the modules find goes into the store: when one comes up, when it says that its world
 * changed, every scan period, and when somebody asks. */

#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/scan.h"
#include "service/service_internal.h"

/* driver.h gives discover() 30 s; the rest is for encoding and the channel. */
#define DISCOVER_DEADLINE_MS 35000

static void take_hello(struct module *m, const Accel__Ipc__Hello *hello)
{
    m->hello = true;
    m->mine = hello->mine;
    m->not_mine = !hello->mine;
    snprintf(m->version, sizeof(m->version), "%s", hello->version);
    snprintf(m->family, sizeof(m->family), "%s", hello->family);
    snprintf(m->reason, sizeof(m->reason), "%s", hello->mine ? "" : hello->reason);
    m->priority = hello->priority;
    m->can_program = hello->can_program;
    m->can_attach = hello->can_attach;
    m->can_read = hello->can_read;
    m->privileged = hello->privileged;
    m->open_ms = hello->open_ms;
    m->want_scan = hello->mine;
}

/* On the peer's reading thread. News of a peer that has been replaced are not of this module. */
void service_module_news(void *context, struct accel_peer *peer, struct accel_ipc_packet *packet)
{
    struct module *m = context;
    const Accel__Ipc__Message *message = packet->message;

    pthread_mutex_lock(&m->service->lock);
    if (m->peer == peer) {
        if (message->body_case == ACCEL__IPC__MESSAGE__BODY_HELLO)
            take_hello(m, message->hello);
        else if (message->body_case == ACCEL__IPC__MESSAGE__BODY_CHANGED)
            m->want_scan = m->hello && m->mine;
        pthread_cond_broadcast(&m->wake);
    }
    pthread_mutex_unlock(&m->service->lock);
}

int service_module_peer(struct module *module, struct accel_peer **peer, struct accel_error *err)
{
    int rc = ACCEL_OK;

    pthread_mutex_lock(&module->service->lock);
    if (module->service->stopping)
        rc = service_refuse(err);
    else if (module->peer == NULL)
        rc = accel_fail(err, ACCEL_E_UNAVAILABLE, "module %s is not up%s%s", module->name,
                        module->reason[0] != '\0' ? ": " : "", module->reason);
    else if (!module->hello)
        rc = accel_fail(err, ACCEL_E_UNAVAILABLE, "module %s has not said hello yet", module->name);
    else if (!module->mine)
        rc = accel_fail(err, ACCEL_E_NOT_MINE, "module %s has nothing here: %s", module->name,
                        module->reason);
    else
        *peer = accel_peer_ref(module->peer);
    pthread_mutex_unlock(&module->service->lock);
    return rc;
}

/* Keeps what was found amiss for whoever asks what a module does. */
static void keep_report(struct module *m, const struct accel_scan *scan)
{
    struct accel_bump mem = {0};
    struct accel_scan_problem *problems =
        accel_bump_alloc(&mem, ACCEL_MAX(scan->problems_count, 1), sizeof(*problems));
    size_t kept = 0;

    for (size_t i = 0; problems != NULL && i < scan->problems_count; i++) {
        problems[kept].where = accel_bump_strdup(&mem, scan->problems[i].where);
        problems[kept].reason = accel_bump_strdup(&mem, scan->problems[i].reason);
        if (problems[kept].where == NULL || problems[kept].reason == NULL)
            break; /* no memory: the first ones do */
        kept++;
    }
    pthread_mutex_lock(&m->service->lock);
    const struct accel_bump old = m->report;
    m->report = mem;
    m->problems = problems;
    m->problems_count = kept;
    m->devices = (unsigned)scan->devices_count;
    m->annotates = scan->annotations_count > 0;
    m->discover_ms = scan->took_ms;
    accel_timestamp(m->last_scan_at);
    m->reason[0] = '\0';
    pthread_mutex_unlock(&m->service->lock);
    mem = old;
    accel_bump_free(&mem);
}

static int discover(struct module *m, struct accel_peer *peer, struct accel_bump *mem,
                    struct accel_scan *scan, struct accel_error *err)
{
    Accel__Ipc__Message request = ACCEL__IPC__MESSAGE__INIT;
    Accel__Ipc__Discover body = ACCEL__IPC__DISCOVER__INIT;
    const struct accel_call call = {.request = &request, .deadline_ms = DISCOVER_DEADLINE_MS};
    struct accel_ipc_packet answer;

    request.body_case = ACCEL__IPC__MESSAGE__BODY_DISCOVER;
    request.discover = &body;
    int rc = accel_peer_call(peer, &call, &answer, err);
    if (rc == ACCEL_E_TIMEOUT)
        service_hung(m->service, ACCEL__IPC__ROLE__HARDWARE, m->name, err->msg);
    if (rc != ACCEL_OK)
        return rc;
    if (answer.message->body_case != ACCEL__IPC__MESSAGE__BODY_DISCOVERY)
        rc = accel_fail(err, ACCEL_E_CORRUPT, "answer to Discover is no Discovery");
    else
        rc = accel_scan_decode(&answer, m->name, m->priority, mem, scan, err);
    accel_ipc_packet_free(&answer);
    return rc;
}

static void count_scan(struct module *m, int rc, const struct accel_error *err)
{
    struct accel_service *s = m->service;

    pthread_mutex_lock(&s->lock);
    s->metrics.scans++;
    if (rc != ACCEL_OK) {
        s->metrics.scans_failed++;
        snprintf(m->reason, sizeof(m->reason), "%s", err->msg);
    }
    pthread_mutex_unlock(&s->lock);
}

/* What others say of a device is recorded only where the device is: when this module brought new
 * ones, those that annotate are asked again. */
static void ask_annotators(struct module *m)
{
    struct accel_service *s = m->service;

    pthread_mutex_lock(&s->lock);
    for (struct module *other = s->modules; other != NULL; other = other->next) {
        if (other == m || !other->annotates || !other->hello || !other->mine)
            continue;
        other->want_scan = true;
        pthread_cond_broadcast(&other->wake);
    }
    pthread_mutex_unlock(&s->lock);
}

int service_scan(struct module *m, struct accel_scan_result *result, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_scan_result difference = {0};
    struct accel_scan scan = {0};
    struct accel_peer *peer = NULL;

    pthread_mutex_lock(&m->scan_lock);
    int rc = service_module_peer(m, &peer, err);
    if (rc == ACCEL_OK) {
        rc = discover(m, peer, &mem, &scan, err);
        if (rc == ACCEL_OK)
            rc = accel_store_apply_scan(m->service->store, &scan, &difference, err);
        if (rc == ACCEL_OK)
            keep_report(m, &scan);
        count_scan(m, rc, err);
    }
    pthread_mutex_unlock(&m->scan_lock);
    accel_peer_unref(peer);
    if (rc != ACCEL_OK)
        return accel_fail_in(err, "scan of module %s", m->name);
    if (difference.added + difference.changed + difference.gone + difference.back > 0) {
        service_touch(m->service);
        accel_log_info("devices changed", "module=%s added=%u changed=%u gone=%u back=%u", m->name,
                       difference.added, difference.changed, difference.gone, difference.back);
    }
    if (difference.added + difference.back > 0)
        ask_annotators(m);
    result->added += difference.added;
    result->changed += difference.changed;
    result->gone += difference.gone;
    result->back += difference.back;
    result->unchanged += difference.unchanged;
    return ACCEL_OK;
}

int accel_service_rescan(struct accel_service *service, const char *module,
                         struct accel_scan_result *result, struct accel_error *err)
{
    struct accel_error failed = {0};
    bool found = false;

    *result = (struct accel_scan_result){0};
    for (struct module *m = NULL; (m = service_module_next(service, m)) != NULL;) {
        if (module != NULL && strcmp(m->name, module) != 0)
            continue;
        found = true;
        /* All: one that fails does not keep the others from being asked. */
        if (service_scan(m, result, err) != ACCEL_OK) {
            if (module != NULL)
                return err->code;
            if (err->code != ACCEL_E_NOT_MINE)
                failed = *err;
        }
    }
    if (!found && module != NULL)
        return accel_fail(err, ACCEL_E_NOT_FOUND, "no module %s", module);
    if (failed.code != ACCEL_OK)
        return accel_fail(err, failed.code, "%s", failed.msg);
    return ACCEL_OK;
}

#define QUARANTINED "module %s is quarantined: "

/* Sets the health that is the daemon's own finding, which no scan overwrites: of every device of
 * the module, or back to ok where a quarantine had set it. */
static int set_health(struct module *m, bool quarantined, const char *reason,
                      struct accel_error *err)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    const struct accel_device_filter filter = {.module = m->name};
    const struct accel_page all = {0};
    struct accel_store *store = m->service->store;
    struct accel_device *devices;
    size_t count;
    char mark[128];

    snprintf(mark, sizeof(mark), QUARANTINED, m->name);
    int rc = accel_store_list_devices(store, &filter, &all, &mem, &devices, &count, err);
    for (size_t i = 0; rc == ACCEL_OK && i < count; i++) {
        const char *why = devices[i].health_reason;
        if (quarantined)
            rc = accel_store_set_device_health(store, devices[i].identity, "degraded", reason, err);
        else if (why != NULL && strncmp(why, mark, strlen(mark)) == 0)
            rc = accel_store_set_device_health(store, devices[i].identity, "ok", NULL, err);
    }
    service_touch(m->service);
    return rc;
}

/* A module that will not be started again: nobody watches its devices any more. */
static void degrade_devices(struct module *m, const char *reason)
{
    struct accel_error err;
    char why[ACCEL_ERROR_MSG_MAX];

    snprintf(why, sizeof(why), QUARANTINED "%.400s", m->name, reason);
    if (set_health(m, true, why, &err) != ACCEL_OK ||
        accel_store_add_event(m->service->store, "module.quarantined", m->name, NULL, "{}", &err) !=
            ACCEL_OK)
        accel_log_error("quarantine not recorded", "module=%s error=\"%s\"", m->name, err.msg);
}

/* It has been asked and has answered: what its quarantine did, in this life or an earlier one, is
 * undone. */
static void restore_devices(struct module *m)
{
    struct accel_error err;

    if (set_health(m, false, NULL, &err) != ACCEL_OK)
        accel_log_error("end of a quarantine not recorded", "module=%s error=\"%s\"", m->name,
                        err.msg);
}

/* When to do what next; on accel_now_ms's clock. */
struct plan {
    int64_t scan_at, telemetry_at;
};

static int64_t after(int64_t period_ms)
{
    return period_ms > 0 ? accel_now_ms() + period_ms : 0;
}

static bool is_due(int64_t at)
{
    return at != 0 && accel_now_ms() >= at;
}

static int64_t sooner(int64_t a, int64_t b)
{
    if (a == 0 || b == 0)
        return a + b;
    return ACCEL_MIN(a, b);
}

/* Lock held, given up in between: one scan. */
static void do_scan(struct module *m, struct plan *plan)
{
    struct accel_scan_result result = {0};
    struct accel_error err = {0};
    struct accel_service *s = m->service;
    struct accel_peer *asked = m->peer; /* to compare, not to use */
    const bool first = !m->settled;

    m->want_scan = false;
    pthread_mutex_unlock(&s->lock);
    const int rc = service_scan(m, &result, &err);
    if (rc == ACCEL_OK && first)
        restore_devices(m);
    if (rc != ACCEL_OK && !service_is_stopping(s))
        accel_log_error("scan failed", "module=%s error=\"%s\"", m->name, err.msg);
    pthread_mutex_lock(&s->lock);
    if (m->peer == asked)
        m->settled = true;
    plan->scan_at = after(s->limits.scan_period_ms);
}

static void do_telemetry(struct module *m, struct plan *plan)
{
    struct accel_error err = {0};
    struct accel_service *s = m->service;

    pthread_mutex_unlock(&s->lock);
    if (service_read_telemetry(m, &err) != ACCEL_OK)
        accel_log_debug("telemetry not read", "module=%s error=\"%s\"", m->name, err.msg);
    pthread_mutex_lock(&s->lock);
    plan->telemetry_at = after(s->limits.telemetry_period_ms);
}

static void *module_main(void *context)
{
    struct module *m = context;
    struct accel_service *s = m->service;
    struct plan plan = {0};

    pthread_mutex_lock(&s->lock);
    while (!s->stopping) {
        const bool asked = m->peer != NULL && m->hello && m->mine;
        if (m->tell_quarantine) {
            char reason[ACCEL_ERROR_MSG_MAX];
            memcpy(reason, m->reason, sizeof(reason));
            m->tell_quarantine = false;
            pthread_mutex_unlock(&s->lock);
            degrade_devices(m, reason);
            pthread_mutex_lock(&s->lock);
        } else if (asked && (m->want_scan || is_due(plan.scan_at))) {
            do_scan(m, &plan);
        } else if (asked && m->can_read && m->settled &&
                   (plan.telemetry_at == 0 ? s->limits.telemetry_period_ms > 0
                                           : is_due(plan.telemetry_at))) {
            do_telemetry(m, &plan);
        } else {
            (void)service_wait(s, &m->wake,
                               asked ? sooner(plan.scan_at,
                                              m->can_read && m->settled ? plan.telemetry_at : 0)
                                     : 0);
        }
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

struct module *service_module_add(struct accel_service *service, const char *name,
                                  struct accel_error *err)
{
    struct module **end = &service->modules;

    for (; *end != NULL; end = &(*end)->next)
        if (strcmp((*end)->name, name) == 0)
            return *end;
    struct module *m = accel_calloc(1, sizeof(*m));
    if (m == NULL) {
        accel_fail(err, ACCEL_E_NOMEM, "no memory for module %s", name);
        return NULL;
    }
    m->service = service;
    snprintf(m->name, sizeof(m->name), "%s", name);
    pthread_mutex_init(&m->scan_lock, NULL);
    service_cond_init(&m->wake);
    *end = m;
    if (service->started && service_module_start(m, err) != ACCEL_OK)
        return NULL; /* it stays in the list, without a thread */
    return m;
}

struct module *service_module_next(struct accel_service *service, const struct module *m)
{
    pthread_mutex_lock(&service->lock);
    struct module *next = m == NULL ? service->modules : m->next;
    while (next != NULL && next->disabled)
        next = next->next;
    pthread_mutex_unlock(&service->lock);
    return next;
}

int service_module_start(struct module *module, struct accel_error *err)
{
    const int rc = pthread_create(&module->thread, NULL, module_main, module);

    if (rc != 0) {
        module->thread = 0;
        return accel_fail_errno(err, rc, "thread for module %s", module->name);
    }
    return ACCEL_OK;
}
