/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "rest/handlers.h"
#include "rest/openapi.h"

/* Probes, log level and the contract itself. */

/* GET /healthz -> 200: the event loop turns. Touches nothing else. */
int accel_get_healthz(const struct accel_request *req, struct accel_response *res,
                      struct accel_error *err)
{
    (void)req;
    res->no_etag = true;
    return accel_respond(res, 200, json_pack("{s:s}", "status", "ok"), err);
}

/* ---------------------------------------------------------------- readiness */

static bool add_part(json_t *parts, const char *name, bool ready, const char *reason)
{
    return json_array_append_new(parts, json_pack("{s:o, s:b, s:o}", "name", accel_json_text(name),
                                                  "ready", (int)ready, "reason",
                                                  accel_json_text(ready ? NULL : reason))) == 0;
}

static bool add_modules(const struct accel_request *req, json_t *parts)
{
    struct accel_module_status *modules;
    struct accel_error err;
    size_t count = 0;

    if (accel_service_list_modules(req->service, req->mem, &modules, &count, &err) != ACCEL_OK)
        return add_part(parts, "drivers", false, err.msg);
    for (size_t i = 0; i < count; i++) {
        const struct accel_module_status *m = &modules[i];
        const char *name = accel_bump_printf(req->mem, "driver %s", m->name);
        /* "Not mine" is an answer: nothing of that family in this node. */
        const bool ready = strcmp(m->state, "active") == 0 || strcmp(m->state, "not-mine") == 0;

        if (name == NULL || !add_part(parts, name, ready, m->reason != NULL ? m->reason : m->state))
            return false;
    }
    return true;
}

static bool add_workers(const struct accel_request *req, json_t *parts)
{
    struct accel_worker_status *workers;
    struct accel_error err;
    size_t count = 0;

    if (accel_service_list_workers(req->service, req->mem, &workers, &count, &err) != ACCEL_OK)
        return add_part(parts, "workers", false, err.msg);
    for (size_t i = 0; i < count; i++)
        if (!add_part(parts, workers[i].name, strcmp(workers[i].state, "up") == 0, "down"))
            return false;
    return count > 0 || add_part(parts, "workers", false, "no worker has come up yet");
}

/* GET /readyz -> 200 or 503, with every part and its reason. The node is ready while it can do its
 * work: one module or worker that is down is shown and does not make it unready. */
int accel_get_readyz(const struct accel_request *req, struct accel_response *res,
                     struct accel_error *err)
{
    struct accel_error store_err;
    const bool store = accel_store_ping(req->store, &store_err) == ACCEL_OK;
    char reason[256] = "";
    const bool service = accel_service_ready(req->service, reason, sizeof(reason));
    json_t *parts = json_array();

    res->no_etag = true;
    if (!add_part(parts, "store", store, store_err.msg) ||
        !add_part(parts, "service", service, reason) || !add_modules(req, parts) ||
        !add_workers(req, parts)) {
        json_decref(parts);
        parts = NULL;
    }
    return accel_respond(res, store && service ? 200 : 503,
                         json_pack("{s:b, s:o}", "ready", store && service, "parts", parts), err);
}

/* GET /v2/health/live -> 200 */
int accel_get_live(const struct accel_request *req, struct accel_response *res,
                   struct accel_error *err)
{
    (void)req;
    res->no_etag = true;
    return accel_respond(res, 200, json_pack("{s:b}", "live", 1), err);
}

/* GET /v2/health/ready -> 200, 503 */
int accel_get_ready(const struct accel_request *req, struct accel_response *res,
                    struct accel_error *err)
{
    char reason[256];

    res->no_etag = true;
    if (!accel_service_ready(req->service, reason, sizeof(reason)))
        return accel_fail(err, ACCEL_E_UNAVAILABLE, "not ready: %s", reason);
    return accel_respond(res, 200, json_pack("{s:b, s:b}", "live", 1, "ready", 1), err);
}

/* ---------------------------------------------------------------- log level */

static int respond_level(struct accel_response *res, struct accel_error *err)
{
    static const char *const names[] = {[ACCEL_LOG_ERROR] = "error",
                                        [ACCEL_LOG_WARNING] = "warning",
                                        [ACCEL_LOG_INFO] = "info",
                                        [ACCEL_LOG_DEBUG] = "debug"};

    return accel_respond(res, 200, json_pack("{s:s}", "level", names[accel_log_get_level()]), err);
}

/* GET /v2/log-level -> 200 {"level": "info"} */
int accel_get_log_level(const struct accel_request *req, struct accel_response *res,
                        struct accel_error *err)
{
    (void)req;
    return respond_level(res, err);
}

/* PUT /v2/log-level {"level": "debug"} -> 200, of every process of the daemon */
int accel_set_log_level(const struct accel_request *req, struct accel_response *res,
                        struct accel_error *err)
{
    static const char *const known[] = {"level", NULL};
    enum accel_log_level level;
    const char *name;

    if (accel_json_check_object(req->json, "the body", known, err) != ACCEL_OK)
        return (int)err->code;
    name = json_string_value(json_object_get(req->json, "level"));
    if (name == NULL || !accel_log_level_parse(name, &level))
        return accel_fail(err, ACCEL_E_INVALID, "level: expected error, warning, info or debug");
    const int rc = accel_service_set_log_level(req->service, level);
    if (rc != ACCEL_OK)
        return accel_fail(err, (enum accel_code)rc, "the log level did not reach every process");
    return respond_level(res, err);
}

/* GET /openapi.json -> 200 */
int accel_get_openapi(const struct accel_request *req, struct accel_response *res,
                      struct accel_error *err)
{
    (void)req;
    return accel_respond(res, 200, accel_openapi_load(err), err);
}
