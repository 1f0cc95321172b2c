/* SPDX-License-Identifier: Apache-2.0 */
#include "rest/handlers.h"

/* Driver modules: what each found, how long it took, what it could not read. */

static json_t *problems_json(const struct accel_module_status *module)
{
    json_t *list = json_array();

    for (size_t i = 0; i < module->problems_count && list != NULL; i++)
        accel_json_append(&list, json_pack("{s:o, s:o}", "where",
                                           accel_json_text(module->problems[i].where), "reason",
                                           accel_json_text(module->problems[i].reason)));
    return list;
}

static json_t *module_json(const struct accel_module_status *module)
{
    json_t *json = json_object();

    if (accel_json_set(json, "name", accel_json_text(module->name)) &&
        accel_json_set(json, "version", accel_json_text(module->version)) &&
        accel_json_set(json, "family", accel_json_text(module->family)) &&
        accel_json_set(json, "priority", json_integer(module->priority)) &&
        accel_json_set(json, "state", accel_json_text(module->state)) &&
        accel_json_set(json, "reason", accel_json_text(module->reason)) &&
        accel_json_set(json, "restarts", json_integer(module->restarts)) &&
        accel_json_set(json, "pid", module->pid > 0 ? json_integer(module->pid) : json_null()) &&
        accel_json_set(json, "privileged", json_boolean(module->privileged)) &&
        accel_json_set(json, "can_program", json_boolean(module->can_program)) &&
        accel_json_set(json, "can_attach", json_boolean(module->can_attach)) &&
        accel_json_set(json, "can_read", json_boolean(module->can_read)) &&
        accel_json_set(json, "open_ms", json_integer(module->open_ms)) &&
        accel_json_set(json, "discover_ms", json_integer(module->discover_ms)) &&
        accel_json_set(json, "devices", json_integer(module->devices)) &&
        accel_json_set(json, "last_scan_at", accel_json_text(module->last_scan_at)) &&
        accel_json_set(json, "problems", problems_json(module)))
        return json;
    json_decref(json);
    return NULL;
}

/* GET /v2/drivers -> 200 {"drivers": [...], "hostname": ...} */
int accel_list_drivers(const struct accel_request *req, struct accel_response *res,
                       struct accel_error *err)
{
    struct accel_module_status *modules;
    size_t count = 0;
    json_t *list;

    if (accel_service_list_modules(req->service, req->mem, &modules, &count, err) != ACCEL_OK)
        return (int)err->code;
    list = json_array();
    for (size_t i = 0; i < count && list != NULL; i++)
        accel_json_append(&list, module_json(&modules[i]));
    return accel_respond(res, 200,
                         json_pack("{s:o, s:o}", "drivers", list, "hostname",
                                   accel_json_text(req->config->hostname)),
                         err);
}

/* POST /v2/drivers/rescan[?driver=pci] -> 200 what changed */
int accel_rescan_drivers(const struct accel_request *req, struct accel_response *res,
                         struct accel_error *err)
{
    struct accel_scan_result result = {0};

    if (accel_service_rescan(req->service, accel_request_query(req, "driver"), &result, err) !=
        ACCEL_OK)
        return (int)err->code;
    return accel_respond(res, 200,
                         json_pack("{s:i, s:i, s:i, s:i, s:i}", "added", (int)result.added,
                                   "changed", (int)result.changed, "gone", (int)result.gone, "back",
                                   (int)result.back, "unchanged", (int)result.unchanged),
                         err);
}
