/* SPDX-License-Identifier: Apache-2.0 */
#include "rest/models.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "rest/handlers.h"
#include "rest/tensors.h"

/* Served models: our uploads and lists, and the Open Inference Protocol's metadata. */

static int check_name(const char *name, struct accel_error *err)
{
    const size_t size = strlen(name);
    bool good = size > 0 && size <= 128 && isalnum((unsigned char)name[0]);

    for (const char *p = name; good && *p != '\0'; p++)
        good = isalnum((unsigned char)*p) || strchr("._-", *p) != NULL;
    if (!good)
        return accel_fail(err, ACCEL_E_INVALID,
                          "model: \"%.80s\" is no name: letters, digits, . _ and -, at most 128, "
                          "beginning with a letter or digit",
                          name);
    return ACCEL_OK;
}

int accel_model_of_path(const struct accel_request *req, const char **name, int64_t *version,
                        struct accel_error *err)
{
    *name = req->params[0];
    *version = 0;
    if (check_name(*name, err) != ACCEL_OK)
        return (int)err->code;
    if (req->params[1] != NULL && !accel_http_parse_number(req->params[1], 1, INT64_MAX, version))
        return accel_fail(err, ACCEL_E_INVALID,
                          "version: expected a number from 1 on, got \"%.40s\"", req->params[1]);
    return ACCEL_OK;
}

static json_t *model_json(const struct accel_model_record *model)
{
    json_t *json = json_object();

    if (accel_json_set(json, "uuid", accel_json_uuid(&model->uuid)) &&
        accel_json_set(json, "name", accel_json_text(model->name)) &&
        accel_json_set(json, "version", json_integer(model->model_version)) &&
        accel_json_set(json, "project_id", accel_json_text(model->project_id)) &&
        accel_json_set(json, "sha256", accel_json_text(model->sha256)) &&
        accel_json_set(json, "size_bytes", json_integer(model->size_bytes)) &&
        accel_json_set(json, "runnable", json_boolean(model->runnable)) &&
        accel_json_set(json, "created_at", accel_json_text(model->created_at)))
        return json;
    json_decref(json);
    return NULL;
}

static int respond_models(const struct accel_request *req, struct accel_response *res,
                          const char *name, struct accel_error *err)
{
    const char *project = req->caller.admin ? NULL : req->caller.project_id;
    struct accel_model_record *models;
    struct accel_paging paging;
    size_t count = 0;
    json_t *list;

    if (accel_request_paging(req, &paging, err) != ACCEL_OK)
        return (int)err->code;
    if (accel_store_list_models(req->store, name, project, &paging.page, req->mem, &models, &count,
                                err) != ACCEL_OK)
        return accel_paging_fail(&paging, err);
    const size_t shown = accel_paging_shown(&paging, count);
    list = json_array();
    for (size_t i = 0; i < shown && list != NULL; i++)
        accel_json_append(&list, model_json(&models[i]));
    return accel_respond_list(req, res, "models", list, &paging, count,
                              shown > 0 ? &models[shown - 1].uuid : NULL, err);
}

/* GET /v2/models -> 200 {"models": [...]}: the newest version of each */
int accel_list_models(const struct accel_request *req, struct accel_response *res,
                      struct accel_error *err)
{
    return respond_models(req, res, NULL, err);
}

static int find(const struct accel_request *req, struct accel_model_record *model,
                struct accel_error *err)
{
    const char *name;
    int64_t version;

    if (accel_model_of_path(req, &name, &version, err) != ACCEL_OK)
        return (int)err->code;
    return accel_service_get_model(req->service, &req->caller, name, version, req->mem, model, err);
}

/* GET /v2/models/{model}/versions -> 200 {"models": [...]}, newest first */
int accel_list_model_versions(const struct accel_request *req, struct accel_response *res,
                              struct accel_error *err)
{
    struct accel_model_record model;

    if (find(req, &model, err) != ACCEL_OK)
        return (int)err->code;
    return respond_models(req, res, model.name, err);
}

/* PUT /v2/models/{model}[/versions/{version}][?predict_only=true] -> 201; 422 leaves nothing behind
 */
int accel_put_model(const struct accel_request *req, struct accel_response *res,
                    struct accel_error *err)
{
    const char *asked = accel_request_query(req, "predict_only"), *name;
    struct accel_model_record model;
    bool predict_only = false;
    int64_t version;

    if (asked != NULL && !accel_http_parse_bool(asked, &predict_only))
        accel_fail(err, ACCEL_E_INVALID, "predict_only: expected true or false, got \"%.40s\"",
                   asked);
    else if (accel_model_of_path(req, &name, &version, err) == ACCEL_OK)
        asked = NULL;
    else
        asked = "";
    if (asked != NULL) {
        accel_service_upload_discard(req->service, req->upload);
        return (int)err->code;
    }
    if (accel_service_put_model(req->service, &req->caller, name, version, predict_only,
                                req->upload, req->mem, &model, err) != ACCEL_OK) {
        /* The request was well formed; the model in it is not what can be served. */
        if (err->code == ACCEL_E_INVALID || err->code == ACCEL_E_UNSUPPORTED ||
            err->code == ACCEL_E_LIMIT)
            res->status = 422;
        return (int)err->code;
    }
    accel_response_header(res, "Location",
                          accel_bump_printf(req->mem, "%s/v2/models/%s/versions/%lld", req->base,
                                            model.name, (long long)model.model_version));
    return accel_respond(res, 201, model_json(&model), err);
}

/* DELETE /v2/models/{model}[/versions/{version}] -> 204, 404 */
int accel_delete_model(const struct accel_request *req, struct accel_response *res,
                       struct accel_error *err)
{
    const char *name;
    int64_t version;

    if (accel_model_of_path(req, &name, &version, err) != ACCEL_OK ||
        accel_service_delete_model(req->service, &req->caller, name, version, err) != ACCEL_OK)
        return (int)err->code;
    res->status = 204;
    return ACCEL_OK;
}

/* GET /v2/models/{model}[/versions/{version}]/analysis -> 200: the document as it is stored */
int accel_get_analysis(const struct accel_request *req, struct accel_response *res,
                       struct accel_error *err)
{
    struct accel_model_record model;

    if (find(req, &model, err) != ACCEL_OK)
        return (int)err->code;
    res->status = 200;
    res->text = model.analysis;
    res->text_size = strlen(model.analysis);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- Open Inference Protocol */

static json_t *tensors_json(const json_t *list)
{
    json_t *out = json_array(), *tensor;
    size_t i;

    json_array_foreach((json_t *)list, i, tensor) {
        const char *type =
            accel_oip_datatype_of_name(json_string_value(json_object_get(tensor, "dtype")));
        json_t *shape = json_object_get(tensor, "shape");

        /* A free rank has no spelling in the protocol: one free dimension comes nearest. */
        shape = json_is_array(shape) ? json_incref(shape) : json_pack("[i]", -1);
        if (json_array_append_new(
                out, json_pack("{s:O, s:s, s:o}", "name", json_object_get(tensor, "name"),
                               "datatype", type != NULL ? type : "BYTES", "shape", shape)) != 0) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

static json_t *versions_json(const struct accel_model_record *models, size_t count)
{
    json_t *list = json_array();

    for (size_t i = count; i > 0 && list != NULL; i--) { /* stored newest first */
        char version[24];

        snprintf(version, sizeof(version), "%lld", (long long)models[i - 1].model_version);
        accel_json_append(&list, json_string(version));
    }
    return list;
}

/* GET /v2/models/{model}[/versions/{version}] -> 200: the protocol's metadata */
int accel_get_metadata(const struct accel_request *req, struct accel_response *res,
                       struct accel_error *err)
{
    const struct accel_page all = {0};
    struct accel_model_record model, *versions;
    json_t *analysis, *body;
    size_t count = 0;

    if (find(req, &model, err) != ACCEL_OK ||
        accel_store_list_models(req->store, model.name, NULL, &all, req->mem, &versions, &count,
                                err) != ACCEL_OK)
        return (int)err->code;
    analysis = accel_json_stored(model.analysis);
    body = json_pack("{s:s, s:o, s:s, s:o, s:o}", "name", model.name, "versions",
                     versions_json(versions, count), "platform", "onnx_onnxv1", "inputs",
                     tensors_json(json_object_get(analysis, "inputs")), "outputs",
                     tensors_json(json_object_get(analysis, "outputs")));
    json_decref(analysis);
    return accel_respond(res, 200, body, err);
}

/* GET /v2/models/{model}[/versions/{version}]/ready -> 200, 404, 503 */
int accel_get_model_ready(const struct accel_request *req, struct accel_response *res,
                          struct accel_error *err)
{
    struct accel_model_record model;
    char reason[256];

    if (find(req, &model, err) != ACCEL_OK)
        return (int)err->code;
    if (!model.runnable)
        return accel_fail(err, ACCEL_E_UNAVAILABLE,
                          "model %s is here for placement only: it has operators that the "
                          "inference core lacks",
                          model.name);
    if (!accel_service_ready(req->service, reason, sizeof(reason)))
        return accel_fail(err, ACCEL_E_UNAVAILABLE, "%s", reason);
    return accel_respond(res, 200, json_pack("{s:s, s:b}", "name", model.name, "ready", 1), err);
}

/* POST /v2/repository/index -> 200 [{"name", "version", "state", "reason"}] */
int accel_index_repository(const struct accel_request *req, struct accel_response *res,
                           struct accel_error *err)
{
    const char *project = req->caller.admin ? NULL : req->caller.project_id;
    const struct accel_page all = {0};
    struct accel_model_record *models;
    json_t *list = NULL;
    size_t count = 0;

    if (accel_store_list_models(req->store, NULL, project, &all, req->mem, &models, &count, err) !=
        ACCEL_OK)
        return (int)err->code;
    list = json_array();
    for (size_t i = 0; i < count && list != NULL; i++) {
        char version[24];

        snprintf(version, sizeof(version), "%lld", (long long)models[i].model_version);
        accel_json_append(&list,
                          json_pack("{s:s, s:s, s:s, s:s}", "name", models[i].name, "version",
                                    version, "state", models[i].runnable ? "READY" : "UNAVAILABLE",
                                    "reason", models[i].runnable ? "" : "for placement only"));
    }
    return accel_respond(res, 200, list, err);
}
