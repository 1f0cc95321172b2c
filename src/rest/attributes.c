/* SPDX-License-Identifier: Apache-2.0 */
#include "rest/handlers.h"

/* Cyborg's attributes, contract 10. */

static json_t *attribute_json(const struct accel_request *req,
                              const struct accel_attribute *attribute)
{
    json_t *json = json_object();

    if (accel_json_set(json, "uuid", accel_json_uuid(&attribute->uuid)) &&
        accel_json_set(json, "deployable_id", json_integer(attribute->deployable_id)) &&
        accel_json_set(json, "key", accel_json_text(attribute->key)) &&
        accel_json_set(json, "value", accel_json_text(attribute->value)) &&
        accel_json_set(json, "links", accel_json_links(req, "attributes", attribute->uuid.text)) &&
        accel_json_set(json, "created_at", accel_json_text(attribute->created_at)) &&
        accel_json_set(json, "updated_at", accel_json_text(attribute->updated_at)))
        return json;
    json_decref(json);
    return NULL;
}

/* GET /v2/attributes -> 200 {"attributes": [...]} */
int accel_list_attributes(const struct accel_request *req, struct accel_response *res,
                          struct accel_error *err)
{
    struct accel_attribute_filter filter = {.key = accel_request_query(req, "key")};
    const char *deployable = accel_request_query(req, "deployable_id");
    struct accel_attribute *attributes = NULL;
    struct accel_paging paging;
    size_t count = 0;
    json_t *list;

    if (deployable != NULL &&
        !accel_http_parse_number(deployable, INT64_MIN, INT64_MAX, &filter.deployable_id))
        return accel_fail(err, ACCEL_E_INVALID, "deployable_id: expected an integer, got \"%.80s\"",
                          deployable);
    if (accel_request_paging(req, &paging, err) != ACCEL_OK)
        return (int)err->code;
    /* 0 is "any" to the store and nobody's id here. */
    if ((deployable == NULL || filter.deployable_id != 0) &&
        accel_store_list_attributes(req->store, &filter, &paging.page, req->mem, &attributes,
                                    &count, err) != ACCEL_OK)
        return accel_paging_fail(&paging, err);
    const size_t shown = accel_paging_shown(&paging, count);
    list = json_array();
    for (size_t i = 0; i < shown && list != NULL; i++)
        accel_json_append(&list, attribute_json(req, &attributes[i]));
    return accel_respond_list(req, res, "attributes", list, &paging, count,
                              shown > 0 ? &attributes[shown - 1].uuid : NULL, err);
}

/* GET /v2/attributes/{uuid} -> 200 Attribute, 400 no UUID, 404 */
int accel_get_attribute(const struct accel_request *req, struct accel_response *res,
                        struct accel_error *err)
{
    struct accel_attribute attribute;
    struct accel_uuid uuid;

    if (accel_request_uuid("uuid", req->params[0], &uuid, err) != ACCEL_OK ||
        accel_store_get_attribute(req->store, &uuid, req->mem, &attribute, err) != ACCEL_OK)
        return (int)err->code;
    return accel_respond(res, 200, attribute_json(req, &attribute), err);
}

/* The text of a member that may come as text or number. NULL: absent or neither. */
static const char *as_text(const struct accel_request *req, const json_t *value)
{
    if (json_is_string(value))
        return json_string_value(value);
    if (json_is_integer(value))
        return accel_bump_printf(req->mem, "%lld", (long long)json_integer_value(value));
    if (json_is_real(value))
        return accel_bump_printf(req->mem, "%.17g", json_real_value(value));
    if (json_is_boolean(value))
        return json_is_true(value) ? "True" : "False";
    return NULL;
}

/* POST /v2/attributes -> 201 Attribute, bare. The newest SDK sends the body in an envelope. */
int accel_create_attribute(const struct accel_request *req, struct accel_response *res,
                           struct accel_error *err)
{
    const json_t *body = json_object_get(req->json, "attribute");
    const char *key, *value, *deployable;
    struct accel_attribute attribute;
    int64_t id;

    if (!json_is_object(body))
        body = req->json;
    if (!json_is_object(body))
        return accel_fail(err, ACCEL_E_INVALID, "the body: expected a JSON object");
    deployable = as_text(req, json_object_get(body, "deployable_id"));
    if (deployable == NULL || !accel_http_parse_number(deployable, 0, INT64_MAX, &id))
        return accel_fail(err, ACCEL_E_INVALID, "deployable_id: expected an integer");
    key = json_string_value(json_object_get(body, "key"));
    if (key == NULL || key[0] == '\0')
        return accel_fail(err, ACCEL_E_INVALID, "key: expected a text");
    value = as_text(req, json_object_get(body, "value"));
    if (value == NULL)
        return accel_fail(err, ACCEL_E_INVALID, "value: expected a text");
    if (accel_store_add_attribute(req->store, id, key, value, req->mem, &attribute, err) !=
        ACCEL_OK)
        return (int)err->code;
    return accel_respond(res, 201, attribute_json(req, &attribute), err);
}

/* DELETE /v2/attributes/{uuid} -> 204, 404 also for what is no UUID */
int accel_delete_attribute(const struct accel_request *req, struct accel_response *res,
                           struct accel_error *err)
{
    struct accel_uuid uuid;

    if (!accel_uuid_parse(req->params[0], &uuid))
        return accel_fail(err, ACCEL_E_NOT_FOUND, "Attribute not found with uuid=%.80s",
                          req->params[0]);
    if (accel_store_delete_attribute(req->store, &uuid, err) != ACCEL_OK)
        return (int)err->code;
    res->status = 204;
    return ACCEL_OK;
}

/* DELETE /v2/attributes -> 400 */
int accel_delete_no_attribute(const struct accel_request *req, struct accel_response *res,
                              struct accel_error *err)
{
    (void)req;
    (void)res;
    return accel_fail(err, ACCEL_E_INVALID, "uuid: which attribute? DELETE /v2/attributes/{uuid}");
}
