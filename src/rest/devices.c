/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "rest/handlers.h"

/* Cyborg's devices, contract 6: exactly its shape. All else that is known of a device is in
 * /v2/inventory. */

static json_t *device_json(const struct accel_request *req, const struct accel_device *device)
{
    json_t *json = json_object();
    bool done =
        accel_json_set(json, "uuid", accel_json_uuid(&device->uuid)) &&
        accel_json_set(json, "type", accel_json_text(device->type)) &&
        accel_json_set(json, "vendor", accel_json_text(device->vendor)) &&
        accel_json_set(json, "model", accel_json_text(device->model)) &&
        accel_json_set(json, "std_board_info", accel_json_text(device->std_board_info)) &&
        accel_json_set(json, "vendor_board_info", accel_json_text(device->vendor_board_info)) &&
        accel_json_set(json, "hostname", accel_json_text(device->hostname));

    if (done && req->minor >= 3)
        done = accel_json_set(json, "status", accel_json_text(device->status));
    if (done &&
        accel_json_set(json, "links", accel_json_links(req, "devices", device->uuid.text)) &&
        accel_json_set(json, "created_at", accel_json_text(device->created_at)) &&
        accel_json_set(json, "updated_at", accel_json_text(device->updated_at)))
        return json;
    json_decref(json);
    return NULL;
}

/* The old filters.field=<f>&filters.value=<v>: of the names it knows none changes a list of
 * devices but limit and the sorting. */
static int check_filters(const struct accel_request *req, struct accel_error *err)
{
    static const char *const fields[] = {"parent_uuid",    "root_uuid",     "board", "availability",
                                         "interface_type", "instance_uuid", "limit", "marker",
                                         "sort_key",       "sort_dir",      "name"};
    const char *field = accel_request_query(req, "filters.field");

    if (field == NULL)
        return ACCEL_OK;
    for (size_t i = 0; i < ACCEL_COUNT(fields); i++)
        if (strcmp(field, fields[i]) == 0)
            return ACCEL_OK;
    return accel_fail(err, ACCEL_E_INVALID, "filters.field: \"%.80s\" is no filter", field);
}

static int filters_limit(const struct accel_request *req, struct accel_paging *paging,
                         struct accel_error *err)
{
    const char *field = accel_request_query(req, "filters.field");
    const char *value = accel_request_query(req, "filters.value");
    int64_t limit;

    if (field == NULL || strcmp(field, "limit") != 0)
        return ACCEL_OK;
    if (value == NULL || !accel_http_parse_number(value, 1, 10000, &limit))
        return accel_fail(err, ACCEL_E_INVALID, "filters.value: expected a limit from 1 to 10000");
    paging->limit = (size_t)limit;
    paging->page.limit = (size_t)limit + 1;
    return ACCEL_OK;
}

/* GET /v2/devices -> 200 {"devices": [...]} */
int accel_list_devices(const struct accel_request *req, struct accel_response *res,
                       struct accel_error *err)
{
    struct accel_device_filter filter = {
        .type = accel_request_query(req, "type"),
        .vendor = accel_request_query(req, "vendor"),
        .hostname = accel_request_query(req, "hostname"),
        .leave_out_host_side = !req->config->cyborg.list_cpu,
    };
    const bool filtered = filter.type != NULL || filter.vendor != NULL || filter.hostname != NULL;
    const bool repeated = accel_request_query_times(req, "type") > 1 ||
                          accel_request_query_times(req, "vendor") > 1 ||
                          accel_request_query_times(req, "hostname") > 1;
    struct accel_device *devices = NULL;
    struct accel_paging paging;
    size_t count = 0;
    json_t *list;

    if (accel_request_paging(req, &paging, err) != ACCEL_OK ||
        check_filters(req, err) != ACCEL_OK || filters_limit(req, &paging, err) != ACCEL_OK)
        return (int)err->code;
    paging.page.newest_first = filtered;
    if (!repeated && accel_store_list_devices(req->store, &filter, &paging.page, req->mem, &devices,
                                              &count, err) != ACCEL_OK)
        return accel_paging_fail(&paging, err);
    const size_t shown = accel_paging_shown(&paging, count);
    list = json_array();
    for (size_t i = 0; i < shown && list != NULL; i++)
        accel_json_append(&list, device_json(req, &devices[i]));
    return accel_respond_list(req, res, "devices", list, &paging, count,
                              shown > 0 ? &devices[shown - 1].uuid : NULL, err);
}

/* A device's id is plain text upstream: what is no UUID is simply not found. */
static int find_uuid(const struct accel_request *req, struct accel_uuid *uuid,
                     struct accel_error *err)
{
    if (!accel_uuid_parse(req->params[0], uuid))
        return accel_fail(err, ACCEL_E_NOT_FOUND, "Device not found with uuid=%.80s",
                          req->params[0]);
    return ACCEL_OK;
}

/* GET /v2/devices/{uuid} -> 200 Device, 404 */
int accel_get_device(const struct accel_request *req, struct accel_response *res,
                     struct accel_error *err)
{
    struct accel_device device;
    struct accel_uuid uuid;

    if (find_uuid(req, &uuid, err) != ACCEL_OK ||
        accel_store_get_device(req->store, &uuid, req->mem, &device, err) != ACCEL_OK)
        return (int)err->code;
    return accel_respond(res, 200, device_json(req, &device), err);
}

static int set_enabled(const struct accel_request *req, struct accel_response *res, bool enable,
                       struct accel_error *err)
{
    struct accel_uuid uuid;

    if (find_uuid(req, &uuid, err) != ACCEL_OK ||
        accel_service_enable_device(req->service, &req->caller, &uuid, enable, err) != ACCEL_OK)
        return (int)err->code;
    res->status = 204;
    return ACCEL_OK;
}

/* POST /v2/devices/{uuid}/enable -> 204, 404 */
int accel_enable_device(const struct accel_request *req, struct accel_response *res,
                        struct accel_error *err)
{
    return set_enabled(req, res, true, err);
}

/* POST /v2/devices/{uuid}/disable -> 204, 404 */
int accel_disable_device(const struct accel_request *req, struct accel_response *res,
                         struct accel_error *err)
{
    return set_enabled(req, res, false, err);
}
