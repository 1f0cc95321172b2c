/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "rest/handlers.h"

/* The resource representation of every device, host-side ones included: what Cyborg's device has no
 * member for. */

static const char *basis_name(enum accel_basis basis)
{
    switch (basis) {
    case ACCEL_BASIS_MEASURED:
        return "measured";
    case ACCEL_BASIS_REPORTED:
        return "reported";
    case ACCEL_BASIS_CATALOGUE:
        return "catalogue";
    }
    return "reported";
}

static json_t *integer_or_null(int64_t value)
{
    return value < 0 ? json_null() : json_integer(value);
}

static json_t *summary_json(const struct accel_device *device)
{
    json_t *json = json_object();

    if (accel_json_set(json, "uuid", accel_json_uuid(&device->uuid)) &&
        accel_json_set(json, "identity", accel_json_text(device->identity)) &&
        accel_json_set(json, "type", accel_json_text(device->type)) &&
        accel_json_set(json, "vendor", accel_json_text(device->vendor)) &&
        accel_json_set(json, "model", accel_json_text(device->model)) &&
        accel_json_set(json, "hostname", accel_json_text(device->hostname)) &&
        accel_json_set(json, "pci_address", accel_json_text(device->pci_address)) &&
        accel_json_set(json, "parent", accel_json_text(device->parent)) &&
        accel_json_set(json, "numa_node", integer_or_null(device->numa_node)) &&
        accel_json_set(json, "iommu_group", integer_or_null(device->iommu_group)) &&
        accel_json_set(json, "module", accel_json_text(device->module)) &&
        accel_json_set(json, "status", accel_json_text(device->status)) &&
        accel_json_set(json, "health", accel_json_text(device->health)) &&
        accel_json_set(json, "health_reason", accel_json_text(device->health_reason)) &&
        accel_json_set(json, "presence",
                       json_string(device->presence == ACCEL_GONE ? "gone" : "present")) &&
        accel_json_set(json, "runnable",
                       json_string(device->runnable ? "core" : "predicted-only")) &&
        accel_json_set(json, "created_at", accel_json_text(device->created_at)) &&
        accel_json_set(json, "updated_at", accel_json_text(device->updated_at)))
        return json;
    json_decref(json);
    return NULL;
}

static json_t *facts_json(const struct accel_fact *facts, size_t count)
{
    json_t *list = json_array();

    for (size_t i = 0; i < count && list != NULL; i++) {
        json_t *value =
            facts[i].is_text ? accel_json_text(facts[i].text) : json_real(facts[i].number);
        json_t *fact = json_object();

        if (!accel_json_set(fact, "name", accel_json_text(facts[i].name)) ||
            !accel_json_set(fact, "value", json_incref(value)) ||
            !accel_json_set(fact, "basis", json_string(basis_name(facts[i].basis))) ||
            !accel_json_set(fact, "module", accel_json_text(facts[i].module)) ||
            json_array_append(list, fact) != 0) {
            json_decref(list);
            list = NULL;
        }
        json_decref(value);
        json_decref(fact);
    }
    return list;
}

static json_t *handles_json(const struct accel_attach_handle *handles, size_t count)
{
    json_t *list = json_array();

    for (size_t i = 0; i < count && list != NULL; i++)
        accel_json_append(&list, json_pack("{s:s, s:o, s:o, s:o}", "uuid", handles[i].uuid.text,
                                           "attach_type", accel_json_text(handles[i].attach_type),
                                           "attach_info", accel_json_stored(handles[i].attach_info),
                                           "arq_uuid", accel_json_uuid(&handles[i].arq_uuid)));
    return list;
}

static json_t *deployables_json(const struct accel_request *req, const struct accel_device *device,
                                struct accel_error *err)
{
    const struct accel_deployable_filter filter = {.device = &device->uuid};
    const struct accel_page all = {0};
    struct accel_deployable *deployables;
    size_t count = 0;
    json_t *list;

    if (accel_store_list_deployables(req->store, &filter, &all, req->mem, &deployables, &count,
                                     err) != ACCEL_OK)
        return NULL;
    list = json_array();
    for (size_t i = 0; i < count; i++) {
        const struct accel_deployable *dep = &deployables[i];
        struct accel_attach_handle *handles;
        size_t handles_count = 0;
        json_t *json;

        if (accel_store_list_handles(req->store, dep->id, req->mem, &handles, &handles_count,
                                     err) != ACCEL_OK) {
            json_decref(list);
            return NULL;
        }
        json = json_pack("{s:s, s:o, s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "uuid", dep->uuid.text,
                         "name", accel_json_text(dep->name), "num_accelerators",
                         (json_int_t)dep->num_accelerators, "in_use", (json_int_t)dep->in_use,
                         "resource_class", accel_json_text(dep->resource_class), "rp_uuid",
                         accel_json_uuid(&dep->rp_uuid), "bitstream_id",
                         accel_json_text(dep->bitstream_id), "attributes",
                         accel_json_stored(dep->attributes_list), "attach_handles",
                         handles_json(handles, handles_count));
        if (json_array_append_new(list, json) != 0) {
            accel_fail(err, ACCEL_E_NOMEM, "no memory for the answer");
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *detail_json(const struct accel_request *req, const struct accel_device *device,
                           struct accel_error *err)
{
    struct accel_fact *facts;
    json_t *json, *deployables;
    size_t count = 0;

    if (accel_store_list_facts(req->store, device->id, req->mem, &facts, &count, err) != ACCEL_OK)
        return NULL;
    deployables = deployables_json(req, device, err);
    if (deployables == NULL)
        return NULL;
    json = summary_json(device);
    if (!accel_json_set(json, "facts", facts_json(facts, count)) ||
        !accel_json_set(json, "deployables", json_incref(deployables))) {
        accel_fail(err, ACCEL_E_NOMEM, "no memory for the answer");
        json_decref(json);
        json = NULL;
    }
    json_decref(deployables);
    return json;
}

/* GET /v2/inventory[?detail=true] -> 200 {"devices": [...]} */
int accel_list_inventory(const struct accel_request *req, struct accel_response *res,
                         struct accel_error *err)
{
    const struct accel_device_filter filter = {.type = accel_request_query(req, "type"),
                                               .module = accel_request_query(req, "module"),
                                               .identity = accel_request_query(req, "identity")};
    const char *asked = accel_request_query(req, "detail");
    struct accel_device *devices;
    struct accel_paging paging;
    bool detail = false;
    size_t count = 0;
    json_t *list;

    if (asked != NULL && !accel_http_parse_bool(asked, &detail))
        return accel_fail(err, ACCEL_E_INVALID, "detail: expected true or false, got \"%.40s\"",
                          asked);
    if (accel_request_paging(req, &paging, err) != ACCEL_OK)
        return (int)err->code;
    if (accel_store_list_devices(req->store, &filter, &paging.page, req->mem, &devices, &count,
                                 err) != ACCEL_OK)
        return accel_paging_fail(&paging, err);
    const size_t shown = accel_paging_shown(&paging, count);
    list = json_array();
    for (size_t i = 0; i < shown && list != NULL; i++) {
        json_t *one = detail ? detail_json(req, &devices[i], err) : summary_json(&devices[i]);

        if (one == NULL && detail) {
            json_decref(list);
            return (int)err->code;
        }
        accel_json_append(&list, one);
    }
    return accel_respond_list(req, res, "devices", list, &paging, count,
                              shown > 0 ? &devices[shown - 1].uuid : NULL, err);
}

/* By uuid, identity ("pci:0000:3b:00.0", "cpu:0") or bare PCI address. */
static int find_device(const struct accel_request *req, const char *name,
                       struct accel_device *device, struct accel_error *err)
{
    const struct accel_page all = {0};
    struct accel_device *devices;
    struct accel_uuid uuid;
    size_t count = 0;

    if (accel_uuid_parse(name, &uuid))
        return accel_store_get_device(req->store, &uuid, req->mem, device, err);
    for (int with_prefix = 0; with_prefix < 2; with_prefix++) {
        const struct accel_device_filter filter = {
            .identity = with_prefix ? accel_bump_printf(req->mem, "pci:%s", name) : name};

        if (filter.identity == NULL)
            return accel_fail(err, ACCEL_E_NOMEM, "no memory for a name");
        if (accel_store_list_devices(req->store, &filter, &all, req->mem, &devices, &count, err) !=
            ACCEL_OK)
            return (int)err->code;
        if (count > 0) {
            *device = devices[0];
            return ACCEL_OK;
        }
    }
    return accel_fail(
        err, ACCEL_E_NOT_FOUND,
        "no device is called \"%.80s\" (GET /v2/inventory lists uuids and identities)", name);
}

/* GET /v2/inventory/{device} -> 200, 404 */
int accel_get_inventory(const struct accel_request *req, struct accel_response *res,
                        struct accel_error *err)
{
    struct accel_device device;
    json_t *json;

    if (find_device(req, req->params[0], &device, err) != ACCEL_OK)
        return (int)err->code;
    json = detail_json(req, &device, err);
    if (json == NULL)
        return (int)err->code;
    return accel_respond(res, 200, json, err);
}
