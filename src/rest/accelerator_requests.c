/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "rest/handlers.h"

/* Cyborg's accelerator requests (ARQs), contract 9. */

static json_t *arq_json(const struct accel_request *req, const struct accel_arq *arq)
{
    json_t *info = arq->attach_handle_info != NULL ? accel_json_stored(arq->attach_handle_info)
                                                   : json_object();
    json_t *json = json_object();

    if (accel_json_set(json, "uuid", accel_json_uuid(&arq->uuid)) &&
        accel_json_set(json, "state", accel_json_text(accel_arq_state_name(arq->state))) &&
        accel_json_set(json, "device_profile_name", accel_json_text(arq->device_profile_name)) &&
        accel_json_set(json, "device_profile_group_id",
                       json_integer(arq->device_profile_group_id)) &&
        accel_json_set(json, "hostname", accel_json_text(arq->hostname)) &&
        accel_json_set(json, "device_rp_uuid", accel_json_text(arq->device_rp_uuid)) &&
        accel_json_set(json, "instance_uuid", accel_json_text(arq->instance_uuid)) &&
        accel_json_set(json, "project_id", accel_json_text(arq->project_id)) &&
        accel_json_set(json, "attach_handle_type",
                       accel_json_text(arq->attach_handle_type != NULL ? arq->attach_handle_type
                                                                       : "")) &&
        accel_json_set(json, "attach_handle_uuid", accel_json_uuid(&arq->attach_handle_uuid)) &&
        accel_json_set(json, "attach_handle_info", json_incref(info)) &&
        accel_json_set(json, "links",
                       accel_json_links(req, "accelerator_requests", arq->uuid.text)) &&
        accel_json_set(json, "created_at", accel_json_text(arq->created_at)) &&
        accel_json_set(json, "updated_at", accel_json_text(arq->updated_at))) {
        json_decref(info);
        return json;
    }
    json_decref(info);
    json_decref(json);
    return NULL;
}

json_t *accel_arqs_json(const struct accel_request *req, const struct accel_arq *arqs, size_t count)
{
    json_t *list = json_array();

    for (size_t i = 0; i < count && list != NULL; i++)
        accel_json_append(&list, arq_json(req, &arqs[i]));
    return list;
}

static int query_instance(const struct accel_request *req, const char **instance,
                          struct accel_error *err)
{
    struct accel_uuid uuid;

    *instance = accel_request_query(req, "instance");
    return *instance != NULL ? accel_request_uuid("instance", *instance, &uuid, err) : ACCEL_OK;
}

/* GET /v2/accelerator_requests -> 200 {"arqs": [...]}; 423 when those of an instance are asked for
 * as resolved and one is not */
int accel_list_arqs(const struct accel_request *req, struct accel_response *res,
                    struct accel_error *err)
{
    const char *state = accel_request_query(req, "bind_state"), *instance;
    struct accel_paging paging;
    struct accel_arq *arqs;
    size_t count = 0;

    if (accel_request_paging(req, &paging, err) != ACCEL_OK ||
        query_instance(req, &instance, err) != ACCEL_OK)
        return (int)err->code;
    if (state != NULL && strcmp(state, "resolved") != 0)
        return accel_fail(err, ACCEL_E_INVALID, "bind_state: expected \"resolved\", got \"%.80s\"",
                          state);
    if (accel_service_list_arqs(req->service, &req->caller, instance, state != NULL, &paging.page,
                                req->mem, &arqs, &count, err) != ACCEL_OK)
        return accel_paging_fail(&paging, err);
    const size_t shown = accel_paging_shown(&paging, count);
    return accel_respond_list(req, res, "arqs", accel_arqs_json(req, arqs, shown), &paging, count,
                              shown > 0 ? &arqs[shown - 1].uuid : NULL, err);
}

/* GET /v2/accelerator_requests/{uuid} -> 200 ARQ, bare; 400 no UUID, 404 unknown or another's */
int accel_get_arq(const struct accel_request *req, struct accel_response *res,
                  struct accel_error *err)
{
    struct accel_uuid uuid;
    struct accel_arq arq;

    if (accel_request_uuid("uuid", req->params[0], &uuid, err) != ACCEL_OK ||
        accel_service_get_arq(req->service, &req->caller, &uuid, req->mem, &arq, err) != ACCEL_OK)
        return (int)err->code;
    return accel_respond(res, 200, arq_json(req, &arq), err);
}

/* POST /v2/accelerator_requests -> 201 {"arqs": [...]}: one per accelerator of every group */
int accel_create_arqs(const struct accel_request *req, struct accel_response *res,
                      struct accel_error *err)
{
    const char *name = json_string_value(json_object_get(req->json, "device_profile_name"));
    struct accel_arq *arqs;
    size_t count = 0;

    if (name == NULL)
        return accel_fail(err, ACCEL_E_INVALID, "device_profile_name: expected a text");
    if (accel_service_create_arqs(req->service, &req->caller, name, req->mem, &arqs, &count, err) !=
        ACCEL_OK)
        return (int)err->code;
    return accel_respond(res, 201, json_pack("{s:o}", "arqs", accel_arqs_json(req, arqs, count)),
                         err);
}

/* ---------------------------------------------------------------- bind and unbind */

struct patch {
    struct accel_bind_request request;
    bool add;
};

static int parse_operation(const struct accel_request *req, const json_t *operation, bool first,
                           struct patch *patch, struct accel_error *err)
{
    const char *arq = patch->request.arq.text;
    const char *op = json_string_value(json_object_get(operation, "op"));
    const char *path = json_string_value(json_object_get(operation, "path"));
    const json_t *value = json_object_get(operation, "value");
    const char **place;
    bool add;

    if (op == NULL || path == NULL)
        return accel_fail(err, ACCEL_E_INVALID, "%s: an operation needs \"op\" and \"path\"", arq);
    add = strcmp(op, "add") == 0;
    if (!add && strcmp(op, "remove") != 0)
        return accel_fail(err, ACCEL_E_INVALID, "%s: op: expected add or remove, got \"%.40s\"",
                          arq, op);
    if (first)
        patch->add = add;
    else if (patch->add != add)
        return accel_fail(err, ACCEL_E_INVALID, "%s: every op must be add, or every one remove",
                          arq);
    path += strspn(path, "/");
    if (strcmp(path, "hostname") == 0)
        place = &patch->request.hostname;
    else if (strcmp(path, "device_rp_uuid") == 0)
        place = &patch->request.device_rp_uuid;
    else if (strcmp(path, "instance_uuid") == 0)
        place = &patch->request.instance_uuid;
    else if (strcmp(path, "project_id") == 0)
        place = &patch->request.project_id;
    else
        return accel_fail(err, ACCEL_E_INVALID,
                          "%s: path: expected /hostname, /device_rp_uuid, /instance_uuid or "
                          "/project_id, got \"%.80s\"",
                          arq, path);
    if (place == &patch->request.project_id) {
        if (req->minor < 1)
            return accel_fail(err, ACCEL_E_NOT_ACCEPTABLE,
                              "%s: /project_id is taken from microversion 2.1 on", arq);
        if (!req->caller.admin)
            return accel_fail(err, ACCEL_E_DENIED, "%s: only an admin may set /project_id", arq);
    }
    if (!add)
        return ACCEL_OK;
    if (!json_is_string(value) || json_string_length(value) == 0)
        return accel_fail(err, ACCEL_E_INVALID, "%s: value of /%s: expected a text", arq, path);
    *place = json_string_value(value);
    return ACCEL_OK;
}

static int parse_patch(const struct accel_request *req, const char *arq, const json_t *operations,
                       struct patch *patch, struct accel_error *err)
{
    const struct accel_bind_request *request = &patch->request;

    if (!accel_uuid_parse(arq, &patch->request.arq))
        return accel_fail(err, ACCEL_E_INVALID, "the body: \"%.80s\" is no UUID of an ARQ", arq);
    if (!json_is_array(operations) || json_array_size(operations) == 0)
        return accel_fail(err, ACCEL_E_INVALID, "%s: expected an array of operations", arq);
    for (size_t i = 0; i < json_array_size(operations); i++)
        if (parse_operation(req, json_array_get(operations, i), i == 0, patch, err) != ACCEL_OK)
            return (int)err->code;
    if (!patch->add)
        return ACCEL_OK;
    if (request->hostname == NULL || request->device_rp_uuid == NULL ||
        request->instance_uuid == NULL)
        return accel_fail(err, ACCEL_E_INVALID, "%s: missing:%s%s%s", arq,
                          request->hostname == NULL ? " hostname" : "",
                          request->device_rp_uuid == NULL ? " device_rp_uuid" : "",
                          request->instance_uuid == NULL ? " instance_uuid" : "");
    if (request->project_id == NULL)
        patch->request.project_id = req->caller.project_id;
    return ACCEL_OK;
}

/* Accelerators are not added to an instance that has some: no hot-plug. */
static int check_instance_is_new(const struct accel_request *req, const char *instance,
                                 struct accel_error *err)
{
    const struct accel_page one = {.limit = 1};
    struct accel_arq *arqs;
    size_t count = 0;

    if (accel_service_list_arqs(req->service, &req->caller, instance, false, &one, req->mem, &arqs,
                                &count, err) != ACCEL_OK)
        return (int)err->code;
    if (count > 0)
        return accel_fail(err, ACCEL_E_INVALID, "instance %.80s already has accelerator requests",
                          instance);
    return ACCEL_OK;
}

/* PATCH /v2/accelerator_requests[/{uuid}] -> 202, empty. The body rules, the id in the path does
 * not. All lists are checked before anything changes. */
int accel_patch_arqs(const struct accel_request *req, struct accel_response *res,
                     struct accel_error *err)
{
    const size_t count = json_is_object(req->json) ? json_object_size(req->json) : 0;
    struct accel_bind_request *requests;
    struct accel_uuid *uuids;
    struct patch *patches;
    const char *arq;
    json_t *operations;
    size_t n = 0;
    int rc;

    if (count == 0)
        return accel_fail(err, ACCEL_E_INVALID,
                          "the body: expected an object of ARQ UUIDs and their operations");
    patches = accel_bump_alloc(req->mem, count, sizeof(*patches));
    requests = accel_bump_alloc(req->mem, count, sizeof(*requests));
    uuids = accel_bump_alloc(req->mem, count, sizeof(*uuids));
    if (patches == NULL || requests == NULL || uuids == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for %zu ARQs", count);
    json_object_foreach(req->json, arq, operations) {
        if (parse_patch(req, arq, operations, &patches[n], err) != ACCEL_OK)
            return (int)err->code;
        if (patches[n].add != patches[0].add)
            return accel_fail(err, ACCEL_E_INVALID,
                              "the body: bind or unbind, not both in one request");
        requests[n] = patches[n].request;
        uuids[n] = patches[n].request.arq;
        n++;
    }
    if (!req->caller.service)
        return accel_fail(err, ACCEL_E_DENIED, "binding and unbinding requires a service token");
    if (patches[0].add && check_instance_is_new(req, requests[0].instance_uuid, err) != ACCEL_OK)
        return (int)err->code;
    rc = patches[0].add ? accel_service_bind_arqs(req->service, &req->caller, requests, count, err)
                        : accel_service_unbind_arqs(req->service, &req->caller, uuids, count, err);
    if (rc == ACCEL_OK)
        res->status = 202;
    return rc;
}

/* ---------------------------------------------------------------- delete */

/* DELETE /v2/accelerator_requests/{uuid} -> 204, 404; 403 when an instance has it and the caller is
 * no service */
int accel_delete_arq(const struct accel_request *req, struct accel_response *res,
                     struct accel_error *err)
{
    struct accel_uuid uuid;

    if (accel_request_uuid("uuid", req->params[0], &uuid, err) != ACCEL_OK ||
        accel_service_delete_arqs(req->service, &req->caller, &uuid, 1, err) != ACCEL_OK)
        return (int)err->code;
    res->status = 204;
    return ACCEL_OK;
}

static int delete_listed(const struct accel_request *req, const char *text, struct accel_error *err)
{
    struct accel_uuid *uuids;
    size_t count = 1, n = 0;

    for (const char *p = text; *p != '\0'; p++)
        count += *p == ',';
    uuids = accel_bump_alloc(req->mem, count, sizeof(*uuids));
    if (uuids == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for %zu ARQs", count);
    for (const char *p = text;; p++) {
        const size_t size = strcspn(p, ",");
        char one[80];

        snprintf(one, sizeof(one), "%.*s", (int)ACCEL_MIN(size, sizeof(one) - 1), p);
        if (accel_request_uuid("arqs", one, &uuids[n++], err) != ACCEL_OK)
            return (int)err->code;
        p += size;
        if (*p == '\0')
            break;
    }
    return accel_service_delete_arqs(req->service, &req->caller, uuids, count, err);
}

/* DELETE /v2/accelerator_requests?arqs=u1,u2 or ?instance=u -> 204 */
int accel_delete_arqs(const struct accel_request *req, struct accel_response *res,
                      struct accel_error *err)
{
    const char *arqs = accel_request_query(req, "arqs"), *instance;
    int rc;

    if (query_instance(req, &instance, err) != ACCEL_OK)
        return (int)err->code;
    if ((arqs == NULL) == (instance == NULL))
        return accel_fail(err, ACCEL_E_INVALID,
                          "expected one of ?arqs=uuid,uuid and ?instance=uuid");
    if (instance != NULL && !req->caller.service)
        return accel_fail(
            err, ACCEL_E_DENIED,
            "Deleting the accelerator requests of an instance requires a service token");
    rc = arqs != NULL
             ? delete_listed(req, arqs, err)
             : accel_service_delete_instance_arqs(req->service, &req->caller, instance, err);
    if (rc == ACCEL_OK)
        res->status = 204;
    return rc;
}
