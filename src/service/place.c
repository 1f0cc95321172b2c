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

/* ---------------------------------------------------------------- shapes */

struct bindings {
    Accel__Ipc__Dim **list;
    size_t count;
};

static int bind(struct bindings *b, const char *input, size_t axis, int64_t value,
                struct accel_bump *mem, struct accel_error *err)
{
    Accel__Ipc__Dim *dim = accel_bump_alloc(mem, 1, sizeof(*dim));
    char *name = accel_bump_printf(mem, "%s:%zu", input, axis);

    if (dim == NULL || name == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a dimension");
    for (size_t i = 0; i < b->count; i++)
        if (strcmp(b->list[i]->name, name) == 0)
            return b->list[i]->value == value
                       ? ACCEL_OK
                       : accel_fail(err, ACCEL_E_INVALID,
                                    "batch: input_shapes has %lld for input %s, not %lld",
                                    (long long)b->list[i]->value, input, (long long)value);
    accel__ipc__dim__init(dim);
    dim->name = name;
    dim->value = value;
    b->list[b->count++] = dim;
    return ACCEL_OK;
}

static int bind_input(struct bindings *b, const struct accel_analysis *a,
                      const struct accel_input_shape *shape, struct accel_bump *mem,
                      struct accel_error *err)
{
    const struct accel_tensor_info *input = NULL;

    for (size_t i = 0; i < a->inputs_count; i++)
        if (strcmp(a->inputs[i].name, shape->name) == 0)
            input = &a->inputs[i];
    if (input == NULL)
        return accel_fail(err, ACCEL_E_INVALID, "input_shapes.%.80s: the model has no such input",
                          shape->name);
    if (!input->has_rank || input->rank != shape->rank)
        return accel_fail(err, ACCEL_E_INVALID,
                          "input_shapes.%.80s: %zu dimensions, the model declares %s%u",
                          shape->name, shape->rank,
                          input->has_rank ? "" : "no rank: ", input->rank);
    for (size_t d = 0; d < shape->rank; d++) {
        if (input->dims[d] >= 0 && input->dims[d] != shape->dims[d])
            return accel_fail(err, ACCEL_E_INVALID,
                              "input_shapes.%.80s: the model fixes dimension %zu to %lld, not %lld",
                              shape->name, d, (long long)input->dims[d], (long long)shape->dims[d]);
        if (input->dims[d] < 0 && bind(b, shape->name, d, shape->dims[d], mem, err) != ACCEL_OK)
            return err->code;
    }
    return ACCEL_OK;
}

/* The batch goes into every input whose first dimension is free. */
static int bind_batch(struct bindings *b, const struct accel_analysis *a, int64_t batch,
                      struct accel_bump *mem, struct accel_error *err)
{
    const struct accel_tensor_info *fixed = NULL;
    bool taken = false;

    for (size_t i = 0; i < a->inputs_count; i++) {
        const struct accel_tensor_info *input = &a->inputs[i];

        if (!input->has_rank || input->rank == 0)
            continue;
        if (input->dims[0] < 0) {
            if (bind(b, input->name, 0, batch, mem, err) != ACCEL_OK)
                return err->code;
            taken = true;
        } else if (input->dims[0] != batch && fixed == NULL) {
            fixed = input;
        } else {
            taken = taken || input->dims[0] == batch;
        }
    }
    if (taken)
        return ACCEL_OK;
    if (fixed == NULL)
        return accel_fail(err, ACCEL_E_INVALID, "batch: no input of the model has a dimension");
    return accel_fail(
        err, ACCEL_E_INVALID,
        "batch: the model fixes the first dimension of input %.80s to %lld; export it "
        "with a free one",
        fixed->name, (long long)fixed->dims[0]);
}

static int analyse_for(struct accel_service *service, const struct accel_placement_shapes *shapes,
                       struct accel_bump *mem, struct accel_placement *p, struct accel_error *err)
{
    const struct accel_analysis *declared = p->analysis;
    size_t most = declared->inputs_count;
    struct bindings b = {0};

    for (size_t i = 0; i < shapes->inputs_count; i++)
        most += shapes->inputs[i].rank;
    b.list = accel_bump_alloc(mem, most + 1, sizeof(*b.list));
    if (b.list == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for %zu dimensions", most);
    for (size_t i = 0; i < shapes->inputs_count; i++)
        if (bind_input(&b, declared, &shapes->inputs[i], mem, err) != ACCEL_OK)
            return err->code;
    if (shapes->batch > 0 && bind_batch(&b, declared, shapes->batch, mem, err) != ACCEL_OK)
        return err->code;
    if (b.count == 0)
        return ACCEL_OK;
    p->shaped = true;
    return service_analyse_shaped(service, &p->model, b.list, b.count, mem, &p->analysis, err);
}

int service_rank(struct accel_service *service, const struct accel_model_record *model,
                 const struct accel_analysis *analysis, const struct accel_constraints *constraints,
                 const char *shape, struct accel_bump *mem, struct accel_candidate **candidates,
                 size_t *count, struct accel_error *err)
{
    const struct accel_device_filter any = {0};
    const struct accel_page all = {0};
    struct accel_device *devices;
    struct accel_resource *resources;

    if (accel_store_list_devices(service->store, &any, &all, mem, &devices, count, err) !=
            ACCEL_OK ||
        service_resources(service, devices, *count, &model->uuid, shape, mem, &resources, err) !=
            ACCEL_OK)
        return err->code;
    if (accel_match_place(analysis, resources, *count, constraints, mem, candidates, err) !=
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
                        const struct accel_constraints *constraints,
                        const struct accel_placement_shapes *shapes, struct accel_bump *mem,
                        struct accel_placement *placement, struct accel_error *err)
{
    struct accel_error local;
    char shape[ACCEL_RUN_SHAPE];

    if (err == NULL)
        err = &local;
    *placement = (struct accel_placement){0};
    if (accel_service_get_model(service, caller, model, version, mem, &placement->model, err) !=
            ACCEL_OK ||
        service_analysis_of(&placement->model, mem, &placement->analysis, err) != ACCEL_OK ||
        (shapes != NULL && analyse_for(service, shapes, mem, placement, err) != ACCEL_OK) ||
        service_shape_of_analysis(placement->analysis, mem, shape, err) != ACCEL_OK ||
        service_rank(service, &placement->model, placement->analysis, constraints, shape, mem,
                     &placement->candidates, &placement->count, err) != ACCEL_OK)
        return accel_fail_in(err, "place");
    if (lacks_calibration(placement))
        want_calibration(service, caller, mem, placement);
    return ACCEL_OK;
}
