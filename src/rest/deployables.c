/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "rest/handlers.h"

/* Cyborg's deployables, contract 7. */

static json_t *deployable_links(const struct accel_request *req, const char *uuid)
{
    const char *self =
        accel_bump_printf(req->mem, "%s/accelerator/v2/deployables/%s", req->base, uuid);
    const char *bookmark =
        accel_bump_printf(req->mem, "%s/accelerator/deployables/%s", req->base, uuid);

    return self == NULL || bookmark == NULL
               ? NULL
               : json_pack("[{s:s, s:s}, {s:s, s:s}]", "href", self, "rel", "self", "href",
                           bookmark, "rel", "bookmark");
}

static json_t *deployable_json(const struct accel_request *req, const struct accel_deployable *dep)
{
    json_t *json = json_object();

    if (accel_json_set(json, "uuid", accel_json_uuid(&dep->uuid)) &&
        accel_json_set(json, "parent_id", json_null()) &&
        accel_json_set(json, "root_id", json_null()) &&
        accel_json_set(json, "name", accel_json_text(dep->name)) &&
        accel_json_set(json, "num_accelerators", json_integer(dep->num_accelerators)) &&
        accel_json_set(json, "device_id", json_integer(dep->device_id)) &&
        accel_json_set(json, "attributes_list", accel_json_text(dep->attributes_list)) &&
        accel_json_set(json, "rp_uuid", accel_json_uuid(&dep->rp_uuid)) &&
        accel_json_set(json, "driver_name", accel_json_text(dep->driver_name)) &&
        accel_json_set(json, "bitstream_id", accel_json_text(dep->bitstream_id)) &&
        accel_json_set(json, "links", deployable_links(req, dep->uuid.text)) &&
        accel_json_set(json, "created_at", accel_json_text(dep->created_at)) &&
        accel_json_set(json, "updated_at", accel_json_text(dep->updated_at)))
        return json;
    json_decref(json);
    return NULL;
}

/* GET /v2/deployables -> 200 {"deployables": [...]} */
int accel_list_deployables(const struct accel_request *req, struct accel_response *res,
                           struct accel_error *err)
{
    struct accel_deployable_filter filter = {.name = accel_request_query(req, "name"),
                                             .leave_out_host_side = !req->config->cyborg.list_cpu};
    const char *field = accel_request_query(req, "filters.field");
    struct accel_deployable *deployables;
    struct accel_paging paging;
    size_t count = 0;
    json_t *list;

    if (accel_request_paging(req, &paging, err) != ACCEL_OK)
        return (int)err->code;
    if (field != NULL && strcmp(field, "name") == 0)
        filter.name = accel_request_query(req, "filters.value");
    if (accel_store_list_deployables(req->store, &filter, &paging.page, req->mem, &deployables,
                                     &count, err) != ACCEL_OK)
        return accel_paging_fail(&paging, err);
    const size_t shown = accel_paging_shown(&paging, count);
    list = json_array();
    for (size_t i = 0; i < shown && list != NULL; i++)
        accel_json_append(&list, deployable_json(req, &deployables[i]));
    return accel_respond_list(req, res, "deployables", list, &paging, count,
                              shown > 0 ? &deployables[shown - 1].uuid : NULL, err);
}

/* GET /v2/deployables/{uuid} -> 200 Deployable, 400 no UUID, 404 */
int accel_get_deployable(const struct accel_request *req, struct accel_response *res,
                         struct accel_error *err)
{
    struct accel_deployable dep;
    struct accel_uuid uuid;

    if (accel_request_uuid("uuid", req->params[0], &uuid, err) != ACCEL_OK ||
        accel_store_get_deployable(req->store, &uuid, req->mem, &dep, err) != ACCEL_OK)
        return (int)err->code;
    return accel_respond(res, 200, deployable_json(req, &dep), err);
}
