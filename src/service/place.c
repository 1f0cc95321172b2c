/* SPDX-License-Identifier: Apache-2.0 */

/* Placement: which devices should run this model, and why not the others. */

#include <jansson.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "core/analysis_json.h"
#include "service/service_internal.h"

/* A calibration that failed is not tried again at every placement. */
#define CALIBRATION_RETRY_MS 600000

int service_analysis_of(const struct accel_model_record *model, struct accel_bump *mem,
                        struct accel_analysis **analysis, struct accel_error *err)
{
    json_error_t where;
    json_t *json = json_loads(model->analysis != NULL ? model->analysis : "", 0, &where);

    if (json == NULL)
        return accel_fail(err, ACCEL_E_CORRUPT, "recorded analysis of model %s: %s", model->name,
                          where.text);
    const int rc = accel_analysis_from_json(json, mem, analysis, err);
    json_decref(json);
    if (rc != ACCEL_OK)
        return accel_fail_in(err, "recorded analysis of model %s", model->name);
    /* A file may be accepted for placement only. */
    (*analysis)->runnable = (*analysis)->runnable && model->runnable;
    return ACCEL_OK;
}

int service_rank(struct accel_service *service, const struct accel_model_record *model,
                 const struct accel_analysis *analysis, const struct accel_constraints *constraints,
                 struct accel_bump *mem, struct accel_candidate **candidates, size_t *count,
                 struct accel_error *err)
{
    const struct accel_device_filter any = {0};
    const struct accel_page all = {0};
    struct accel_device *devices;
    struct accel_resource *resources;

    if (accel_store_list_devices(service->store, &any, &all, mem, &devices, count, err) !=
            ACCEL_OK ||
        service_resources(service, devices, *count, &model->uuid, mem, &resources, err) !=
            ACCEL_OK ||
        accel_match_place(analysis, resources, *count, constraints, mem, candidates, err) !=
            ACCEL_OK)
        return err->code;
    return ACCEL_OK;
}

/* A device the core runs on that was never measured with this version of the core or driver. */
static bool lacks_calibration(const struct accel_placement *p)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->candidates[i].runnable && p->candidates[i].resource->rates_count == 0)
            return true;
    return false;
}

static void want_calibration(struct accel_service *service, const struct accel_caller *caller,
                             struct accel_bump *mem, struct accel_placement *p)
{
    struct accel_job job;
    struct accel_error err;

    if (service_job_open(service, "calibrate", &p->calibration_job))
        return;
    pthread_mutex_lock(&service->lock);
    const int64_t failed = service->calibration_failed_at_ms;
    pthread_mutex_unlock(&service->lock);
    if (failed != 0 && accel_now_ms() - failed < CALIBRATION_RETRY_MS)
        return;
    /* The answer stands without it: a job that cannot be started is a line in the log. */
    if (accel_service_calibrate(service, caller, NULL, 0, mem, &job, &err) == ACCEL_OK)
        p->calibration_job = job.uuid;
    else if (err.code != ACCEL_E_CONFLICT)
        accel_log_warning("calibration not started", "error=\"%s\"", err.msg);
    else
        (void)service_job_open(service, "calibrate", &p->calibration_job);
}

int accel_service_place(struct accel_service *service, const struct accel_caller *caller,
                        const char *model, int64_t version,
                        const struct accel_constraints *constraints, struct accel_bump *mem,
                        struct accel_placement *placement, struct accel_error *err)
{
    struct accel_error local;

    if (err == NULL)
        err = &local;
    *placement = (struct accel_placement){0};
    if (accel_service_get_model(service, caller, model, version, mem, &placement->model, err) !=
            ACCEL_OK ||
        service_analysis_of(&placement->model, mem, &placement->analysis, err) != ACCEL_OK ||
        service_rank(service, &placement->model, placement->analysis, constraints, mem,
                     &placement->candidates, &placement->count, err) != ACCEL_OK)
        return accel_fail_in(err, "place");
    if (lacks_calibration(placement))
        want_calibration(service, caller, mem, placement);
    return ACCEL_OK;
}
