/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "rest/handlers.h"

#define BUDGET_MAX_S 600 /* of a calibration: the service takes no more */

/* Long things: calibration today, programming later. */

static json_t *job_json(const struct accel_job *job)
{
    json_t *json = json_object();

    if (accel_json_set(json, "uuid", accel_json_uuid(&job->uuid)) &&
        accel_json_set(json, "kind", accel_json_text(job->kind)) &&
        accel_json_set(json, "state", accel_json_text(job->state)) &&
        accel_json_set(json, "progress", json_real(job->progress)) &&
        accel_json_set(json, "text", accel_json_text(job->text)) &&
        accel_json_set(json, "target", accel_json_text(job->target)) &&
        accel_json_set(json, "project_id", accel_json_text(job->project_id)) &&
        accel_json_set(json, "cancel_requested", json_boolean(job->cancel_requested)) &&
        accel_json_set(json, "result", accel_json_stored(job->result)) &&
        accel_json_set(json, "created_at", accel_json_text(job->created_at)) &&
        accel_json_set(json, "updated_at", accel_json_text(job->updated_at)) &&
        accel_json_set(json, "finished_at", accel_json_text(job->finished_at)))
        return json;
    json_decref(json);
    return NULL;
}

/* GET /v2/jobs[?state=running] -> 200 {"jobs": [...]}, newest first */
int accel_list_jobs(const struct accel_request *req, struct accel_response *res,
                    struct accel_error *err)
{
    static const char *const states[] = {"queued", "running", "succeeded", "failed", "cancelled"};
    const char *project = req->caller.admin ? NULL : req->caller.project_id;
    const char *state = accel_request_query(req, "state");
    struct accel_paging paging;
    struct accel_job *jobs;
    size_t count = 0, known = 0;
    json_t *list;

    while (state != NULL && known < ACCEL_COUNT(states) && strcmp(states[known], state) != 0)
        known++;
    if (known == ACCEL_COUNT(states))
        return accel_fail(err, ACCEL_E_INVALID,
                          "state: expected queued, running, succeeded, failed or cancelled, got "
                          "\"%.40s\"",
                          state);
    if (accel_request_paging(req, &paging, err) != ACCEL_OK)
        return (int)err->code;
    paging.page.newest_first = true;
    if (accel_store_list_jobs(req->store, state, project, &paging.page, req->mem, &jobs, &count,
                              err) != ACCEL_OK)
        return accel_paging_fail(&paging, err);
    const size_t shown = accel_paging_shown(&paging, count);
    list = json_array();
    for (size_t i = 0; i < shown && list != NULL; i++)
        accel_json_append(&list, job_json(&jobs[i]));
    return accel_respond_list(req, res, "jobs", list, &paging, count,
                              shown > 0 ? &jobs[shown - 1].uuid : NULL, err);
}

/* Those of other projects are not there. */
static int find(const struct accel_request *req, struct accel_job *job, struct accel_error *err)
{
    struct accel_uuid uuid;

    if (accel_request_uuid("uuid", req->params[0], &uuid, err) != ACCEL_OK ||
        accel_store_get_job(req->store, &uuid, req->mem, job, err) != ACCEL_OK)
        return (int)err->code;
    if (!req->caller.admin && job->project_id != NULL &&
        (req->caller.project_id == NULL || strcmp(job->project_id, req->caller.project_id) != 0))
        return accel_fail(err, ACCEL_E_NOT_FOUND, "there is no job %s", uuid.text);
    return ACCEL_OK;
}

/* GET /v2/jobs/{uuid}[?after=12] -> 200 Job with its log lines from behind that number on */
int accel_get_job(const struct accel_request *req, struct accel_response *res,
                  struct accel_error *err)
{
    const char *asked = accel_request_query(req, "after");
    struct accel_job_line *lines;
    json_t *json, *list;
    struct accel_job job;
    size_t count = 0;
    int64_t after = 0;

    if (asked != NULL && !accel_http_parse_number(asked, 0, INT64_MAX, &after))
        return accel_fail(err, ACCEL_E_INVALID, "after: expected the number of a line");
    if (find(req, &job, err) != ACCEL_OK ||
        accel_store_list_job_lines(req->store, &job.uuid, after, req->mem, &lines, &count, err) !=
            ACCEL_OK)
        return (int)err->code;
    list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(
            list, json_pack("{s:I, s:o, s:o}", "number", (json_int_t)lines[i].number, "at",
                            accel_json_text(lines[i].at), "text", accel_json_text(lines[i].text)));
    json = job_json(&job);
    if (!accel_json_set(json, "lines", list) || json_array_size(list) != count) {
        json_decref(json);
        json = NULL;
    }
    return accel_respond(res, 200, json, err);
}

/* POST /v2/jobs {"kind": "calibrate", "device": ..., "budget_seconds": 20} -> 202 Job */
int accel_create_job(const struct accel_request *req, struct accel_response *res,
                     struct accel_error *err)
{
    static const char *const known[] = {"kind", "device", "budget_seconds", NULL};
    const json_t *kind, *device, *budget;
    struct accel_job job;
    double seconds;

    if (accel_json_check_object(req->json, "the body", known, err) != ACCEL_OK)
        return (int)err->code;
    kind = json_object_get(req->json, "kind");
    device = json_object_get(req->json, "device");
    budget = json_object_get(req->json, "budget_seconds");
    if (!json_is_string(kind) || strcmp(json_string_value(kind), "calibrate") != 0)
        return accel_fail(err, ACCEL_E_INVALID, "kind: expected \"calibrate\"");
    if (device != NULL && !json_is_null(device) && !json_is_string(device))
        return accel_fail(err, ACCEL_E_INVALID,
                          "device: expected a uuid, an identity or a PCI address");
    seconds = json_number_value(budget);
    if (budget != NULL && (!json_is_number(budget) || !(seconds > 0) || seconds > BUDGET_MAX_S))
        return accel_fail(err, ACCEL_E_INVALID,
                          "budget_seconds: expected a number above 0, at most %d", BUDGET_MAX_S);
    if (accel_service_calibrate(req->service, &req->caller, json_string_value(device),
                                (int64_t)(seconds * 1000), req->mem, &job, err) != ACCEL_OK)
        return (int)err->code;
    accel_response_header(res, "Location",
                          accel_bump_printf(req->mem, "%s/v2/jobs/%s", req->base, job.uuid.text));
    return accel_respond(res, 202, job_json(&job), err);
}

/* DELETE /v2/jobs/{uuid} or POST .../cancel -> 202 Job; it ends when what it does can be stopped */
int accel_cancel_job(const struct accel_request *req, struct accel_response *res,
                     struct accel_error *err)
{
    struct accel_job job;

    if (find(req, &job, err) != ACCEL_OK ||
        accel_service_cancel_job(req->service, &req->caller, &job.uuid, err) != ACCEL_OK ||
        accel_store_get_job(req->store, &job.uuid, req->mem, &job, err) != ACCEL_OK)
        return (int)err->code;
    return accel_respond(res, 202, job_json(&job), err);
}
