/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <string.h>

#include "rest/handlers.h"

/* Cyborg's device profiles, contract 8. The grammar of groups is core/arq.h's. */

static json_t *profile_json(const struct accel_request *req,
                            const struct accel_device_profile *profile)
{
    json_t *json = json_object();

    if (accel_json_set(json, "uuid", accel_json_uuid(&profile->uuid)) &&
        accel_json_set(json, "name", accel_json_text(profile->name)) &&
        accel_json_set(json, "description", accel_json_text(profile->description)) &&
        accel_json_set(json, "groups", accel_json_stored(profile->groups)) &&
        accel_json_set(json, "links",
                       accel_json_links(req, "device_profiles", profile->uuid.text)) &&
        accel_json_set(json, "created_at", accel_json_text(profile->created_at)) &&
        accel_json_set(json, "updated_at", accel_json_text(profile->updated_at)))
        return json;
    json_decref(json);
    return NULL;
}

/* The names of "a,b"; empty ones are kept: they match nothing. */
static const char **split_names(const struct accel_request *req, const char *text, size_t *count)
{
    char *copy = accel_bump_strdup(req->mem, text);
    const char **names;
    size_t n = 1;

    for (const char *p = text; *p != '\0'; p++)
        n += *p == ',';
    names = accel_bump_alloc(req->mem, n, sizeof(*names));
    if (copy == NULL || names == NULL)
        return NULL;
    *count = n;
    n = 0;
    for (char *next; copy != NULL; copy = next) {
        next = strchr(copy, ',');
        if (next != NULL)
            *next++ = '\0';
        names[n++] = copy;
    }
    return names;
}

/* GET /v2/device_profiles -> 200 {"device_profiles": [...]} */
int accel_list_device_profiles(const struct accel_request *req, struct accel_response *res,
                               struct accel_error *err)
{
    const char *name = accel_request_query(req, "name");
    struct accel_device_profile *profiles = NULL;
    const char **names = NULL;
    struct accel_paging paging;
    size_t count = 0, names_count = 0;
    json_t *list;

    if (accel_request_paging(req, &paging, err) != ACCEL_OK)
        return (int)err->code;
    if (name != NULL && (names = split_names(req, name, &names_count)) == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for the names");
    if (accel_store_list_profiles(req->store, names, names_count, &paging.page, req->mem, &profiles,
                                  &count, err) != ACCEL_OK)
        return accel_paging_fail(&paging, err);
    const size_t shown = accel_paging_shown(&paging, count);
    list = json_array();
    for (size_t i = 0; i < shown && list != NULL; i++)
        accel_json_append(&list, profile_json(req, &profiles[i]));
    return accel_respond_list(req, res, "device_profiles", list, &paging, count,
                              shown > 0 ? &profiles[shown - 1].uuid : NULL, err);
}

/* GET /v2/device_profiles/{uuid or name} -> 200 {"device_profile": ...}; a name from 2.2 on */
int accel_get_device_profile(const struct accel_request *req, struct accel_response *res,
                             struct accel_error *err)
{
    struct accel_device_profile profile;
    const char *which = req->params[0];
    struct accel_uuid uuid;

    if (accel_uuid_parse(which, &uuid))
        which = uuid.text;
    else if (req->minor < 2)
        return accel_fail(err, ACCEL_E_NOT_ACCEPTABLE,
                          "a device profile is got by name from microversion 2.2 on");
    if (accel_store_get_profile(req->store, which, req->mem, &profile, err) != ACCEL_OK)
        return (int)err->code;
    return accel_respond(res, 200,
                         json_pack("{s:o}", "device_profile", profile_json(req, &profile)), err);
}

/* Three mistakes answer 500 in the original, and Tempest asserts it (contract 5). */
static int client_mistake(const struct accel_request *req, struct accel_response *res,
                          const char *text, struct accel_error *err)
{
    return accel_refuse(res, req->config->cyborg.strict_500 ? 500 : 400, err, ACCEL_E_INVALID, "%s",
                        text);
}

static int check_name(const struct accel_request *req, struct accel_response *res,
                      const json_t *value, struct accel_error *err)
{
    const char *name = json_string_value(value);

    if (value == NULL || (name != NULL && name[0] == '\0'))
        return client_mistake(req, res, "name: a device profile needs one", err);
    if (name == NULL)
        return accel_fail(err, ACCEL_E_INVALID, "name: expected a text");
    if (strlen(name) > 255)
        return client_mistake(req, res, "name: longer than 255 characters", err);
    for (const char *p = name; *p != '\0'; p++)
        if (!isalnum((unsigned char)*p) && *p != '-' && *p != '_')
            return accel_fail(err, ACCEL_E_INVALID,
                              "name: \"%.80s\" holds more than letters, digits, - and _", name);
    return ACCEL_OK;
}

/* POST /v2/device_profiles -> 201 DeviceProfile; the body is an array of exactly one */
int accel_create_device_profile(const struct accel_request *req, struct accel_response *res,
                                struct accel_error *err)
{
    const json_t *body = json_array_get(req->json, 0), *groups, *description, *given;
    struct accel_device_profile profile;
    struct accel_profile_group *parsed;
    struct accel_new_profile from = {0};
    struct accel_uuid uuid;
    char *text;
    size_t count;

    if (!json_is_array(req->json) || json_array_size(req->json) != 1 || !json_is_object(body))
        return accel_fail(err, ACCEL_E_INVALID,
                          "the body: expected an array of exactly one device profile");
    if (check_name(req, res, json_object_get(body, "name"), err) != ACCEL_OK)
        return (int)err->code;
    from.name = json_string_value(json_object_get(body, "name"));
    description = json_object_get(body, "description");
    if (description != NULL && !json_is_null(description) && !json_is_string(description))
        return accel_fail(err, ACCEL_E_INVALID, "description: expected a text or null");
    from.description = json_string_value(description);
    given = json_object_get(body, "uuid");
    if (given != NULL && !json_is_null(given)) {
        if (!json_is_string(given) || !accel_uuid_parse(json_string_value(given), &uuid))
            return accel_fail(err, ACCEL_E_INVALID, "uuid: expected a UUID");
        from.uuid = uuid.text;
    }
    groups = json_object_get(body, "groups");
    if (!json_is_array(groups) || json_array_size(groups) == 0)
        return accel_fail(err, ACCEL_E_INVALID, "groups: expected an array of at least one group");
    text = json_dumps(groups, JSON_COMPACT);
    if (text == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for the groups");
    const int rc = accel_profile_parse(text, req->mem, &from.groups, &parsed, &count, err);
    free(text);
    if (rc != ACCEL_OK)
        return rc;
    if (accel_store_add_profile(req->store, &from, req->mem, &profile, err) != ACCEL_OK) {
        /* "uuid ...": the uuid is taken; "name ...": the name is. */
        if (err->code == ACCEL_E_EXISTS && strncmp(err->msg, "uuid", 4) == 0)
            res->status = req->config->cyborg.strict_500 ? 500 : 409;
        return (int)err->code;
    }
    return accel_respond(res, 201, profile_json(req, &profile), err);
}

static int delete_profile(const struct accel_request *req, const char *which,
                          struct accel_error *err)
{
    struct accel_uuid uuid;

    return accel_store_delete_profile(req->store,
                                      accel_uuid_parse(which, &uuid) ? uuid.text : which, err);
}

/* DELETE /v2/device_profiles/{uuid or name} -> 204, 404, 409 an ARQ was made from it */
int accel_delete_device_profile(const struct accel_request *req, struct accel_response *res,
                                struct accel_error *err)
{
    if (delete_profile(req, req->params[0], err) != ACCEL_OK)
        return (int)err->code;
    res->status = 204;
    return ACCEL_OK;
}

/* DELETE /v2/device_profiles?value=n1,n2 -> 204; in order until one is missing, then 404 */
int accel_delete_device_profiles(const struct accel_request *req, struct accel_response *res,
                                 struct accel_error *err)
{
    const char *value = accel_request_query(req, "value");
    const char **names;
    size_t count = 0;

    if (value == NULL || value[0] == '\0')
        return accel_fail(err, ACCEL_E_INVALID, "value: which device profiles? ?value=name,name");
    names = split_names(req, value, &count);
    if (names == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for the names");
    for (size_t i = 0; i < count; i++)
        if (delete_profile(req, names[i], err) != ACCEL_OK)
            return (int)err->code;
    res->status = 204;
    return ACCEL_OK;
}
