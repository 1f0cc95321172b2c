/* SPDX-License-Identifier: Apache-2.0 */

/* Reservations: the devices that a placement ranked best become bound ARQs. What cannot be had is
 * passed over for the next in rank; fewer than were asked for are none. */

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "service/service_internal.h"

#define MODEL_NAME_SHOWN 80 /* of it in the name of a profile, which has 255 characters at most */

/* A device that can be had, as far as is known before the store is asked. */
struct option {
    const struct accel_candidate *candidate;
    const struct accel_deployable *deployable;
};

struct reserving {
    struct accel_service *service;
    const struct accel_caller *caller;
    const struct accel_constraints *constraints;
    const struct accel_placement *placement;
    struct accel_bump *mem;
    struct accel_reservation *out;
    struct option *options; /* in rank order */
    size_t options_count;
};

static int nomem(struct accel_error *err)
{
    return accel_fail(err, ACCEL_E_NOMEM, "no memory to reserve devices");
}

static int pass_over(struct reserving *r, const struct accel_candidate *candidate,
                     const char *reason, struct accel_error *err)
{
    const char *copy = accel_bump_strdup(r->mem, reason);

    if (copy == NULL)
        return nomem(err);
    r->out->passed[r->out->passed_count++] =
        (struct accel_passed_over){.candidate = candidate, .reason = copy};
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- what can be had */

static int has_free_handle(struct reserving *r, const struct accel_deployable *deployable,
                           bool *has, struct accel_error *err)
{
    struct accel_attach_handle *handles;
    size_t count;

    *has = false;
    if (accel_store_list_handles(r->service->store, deployable->id, r->mem, &handles, &count,
                                 err) != ACCEL_OK)
        return err->code;
    for (size_t i = 0; i < count; i++)
        *has = *has || handles[i].arq_uuid.text[0] == '\0';
    return ACCEL_OK;
}

/* The first deployable of the device that was meant and has an accelerator left; NULL: none, and
 * *reason says why and what to do. */
static int find_deployable(struct reserving *r, const struct accel_resource *resource,
                           const struct accel_deployable **found, const char **reason,
                           struct accel_error *err)
{
    *found = NULL;
    if (accel_device_is_host_side(resource->device->type)) {
        *reason = "a device of type CPU or OPENCL has no attach handle and is never reserved: "
                  "infer on it without, or ask for other types";
        return ACCEL_OK;
    }
    *reason = "its module reports no attach handle for it";
    for (size_t i = 0; i < resource->deployables_count; i++) {
        const struct accel_deployable *deployable = &resource->deployables[i];
        bool has;

        if (deployable->resource_class == NULL ||
            !accel_match_deployable_fits(deployable, r->constraints))
            continue;
        if (has_free_handle(r, deployable, &has, err) != ACCEL_OK)
            return err->code;
        if (has) {
            *found = deployable;
            return ACCEL_OK;
        }
        *reason = "it has no free attach handle left";
    }
    return ACCEL_OK;
}

static int list_options(struct reserving *r, struct accel_error *err)
{
    const struct accel_placement *p = r->placement;

    r->options = accel_bump_alloc(r->mem, p->count + 1, sizeof(*r->options));
    r->out->passed = accel_bump_alloc(r->mem, p->count + 1, sizeof(*r->out->passed));
    if (r->options == NULL || r->out->passed == NULL)
        return nomem(err);
    for (size_t i = 0; i < p->count; i++) {
        struct option option = {.candidate = &p->candidates[i]};
        const char *reason;

        if (!option.candidate->accepted)
            continue;
        if (find_deployable(r, option.candidate->resource, &option.deployable, &reason, err) !=
            ACCEL_OK)
            return err->code;
        if (option.deployable != NULL)
            r->options[r->options_count++] = option;
        else if (pass_over(r, option.candidate, reason, err) != ACCEL_OK)
            return err->code;
    }
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- taking them */

/* "placement-resnet50-1f0c6d3a": letters, digits, - and _, as profiles of clients have. */
static char *profile_name(struct reserving *r, struct accel_error *err)
{
    struct accel_uuid uuid;
    char *name;

    if (accel_uuid_new(&uuid, err) != ACCEL_OK)
        return NULL;
    name = accel_bump_printf(r->mem, "placement-%.*s-%.8s", MODEL_NAME_SHOWN,
                             r->placement->model.name, uuid.text);
    for (char *p = name; p != NULL && *p != '\0'; p++)
        if (!isalnum((unsigned char)*p) && *p != '-')
            *p = '_';
    if (name == NULL)
        (void)nomem(err);
    return name;
}

static int make_request(struct reserving *r, const struct option *option,
                        struct accel_reserve_request *request, struct accel_error *err)
{
    const struct accel_device *device = option->candidate->resource->device;
    const struct accel_model_record *model = &r->placement->model;
    struct accel_profile_group *groups;
    size_t groups_count;
    char *asked;

    request->profile_name = profile_name(r, err);
    if (request->profile_name == NULL)
        return err->code;
    request->profile_description = accel_bump_printf(
        r->mem, "made by a placement of model %s version %lld on device %s; deleted with its ARQ",
        model->name, (long long)model->model_version, device->identity);
    asked = accel_bump_printf(r->mem, "[{\"resources:%s\": \"1\"}]",
                              option->deployable->resource_class);
    if (request->profile_description == NULL || asked == NULL)
        return nomem(err);
    request->hostname = device->hostname;
    request->device_rp_uuid = option->deployable->rp_uuid.text;
    /* The class is what the module says: held against the same rules as a client's. */
    return accel_profile_parse(asked, r->mem, &request->groups, &groups, &groups_count, err);
}

static int by_id(const void *left, const void *right)
{
    const int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;

    return (a > b) - (a < b);
}

/* The first `count` options, all or none. *refused: the one that could not be had, `count`: the
 * error is not about one. */
static int take(struct reserving *r, size_t count, struct accel_uuid *arqs, size_t *refused,
                struct accel_error *err)
{
    struct accel_reserve_request *requests = accel_bump_alloc(r->mem, count, sizeof(*requests));
    int64_t *ids = accel_bump_alloc(r->mem, count, sizeof(*ids)), intent;
    int rc;

    *refused = count;
    if (requests == NULL || ids == NULL)
        return nomem(err);
    for (size_t i = 0; i < count; i++) {
        ids[i] = r->options[i].candidate->resource->device->id;
        if (make_request(r, &r->options[i], &requests[i], err) != ACCEL_OK)
            return err->code;
    }
    qsort(ids, count, sizeof(*ids), by_id);
    if (service_gates_drain(r->service, ids, count, err) != ACCEL_OK)
        return err->code;
    rc = accel_store_reserve_begin(r->service->store, requests, count, r->out->instance_uuid.text,
                                   r->caller->project_id, arqs, &intent, refused, err);
    if (rc == ACCEL_OK)
        rc = service_bind_finish(r->service, intent, err);
    service_gates_open(r->service, ids, count);
    service_touch(r->service);
    return rc;
}

/* Somebody was faster, or an operator took it out of service: there may be another one. */
static bool is_about_the_device(int rc)
{
    return rc == ACCEL_E_NOT_FOUND || rc == ACCEL_E_CONFLICT || rc == ACCEL_E_BUSY;
}

/* The first device that could not be had; else the first refused one that was asked for. */
static const struct accel_device *why_not(const struct reserving *r, const char **reason)
{
    const struct accel_placement *p = r->placement;
    const struct accel_candidate *found = NULL;

    if (r->out->passed_count > 0) {
        *reason = r->out->passed[0].reason;
        return r->out->passed[0].candidate->resource->device;
    }
    for (size_t i = p->count; i > 0; i--) {
        const struct accel_candidate *c = &p->candidates[i - 1];

        if (!c->accepted && strcmp(c->code, "excluded") != 0 && strcmp(c->code, "type") != 0)
            found = c;
    }
    if (found == NULL)
        return NULL;
    *reason = found->reason;
    return found->resource->device;
}

static int too_few(const struct reserving *r, size_t wanted, struct accel_error *err)
{
    const char *reason = NULL;
    const struct accel_device *device = why_not(r, &reason);

    return accel_fail(err, ACCEL_E_CONFLICT, "%zu device%s wanted, %zu can be reserved%s%s%s%s",
                      wanted, wanted == 1 ? " is" : "s are", r->options_count,
                      device != NULL ? "; " : ": the constraints leave no other",
                      device != NULL ? device->identity : "", device != NULL ? ": " : "",
                      device != NULL ? reason : "");
}

static int take_the_best(struct reserving *r, size_t wanted, struct accel_uuid **arqs,
                         struct accel_error *err)
{
    size_t refused;

    while (r->options_count >= wanted) {
        *arqs = accel_bump_alloc(r->mem, wanted, sizeof(**arqs));
        if (*arqs == NULL)
            return nomem(err);
        const int rc = take(r, wanted, *arqs, &refused, err);
        if (rc == ACCEL_OK || refused == wanted || !is_about_the_device(rc))
            return rc;
        if (pass_over(r, r->options[refused].candidate, err->msg, err) != ACCEL_OK)
            return err->code;
        r->options_count--;
        memmove(&r->options[refused], &r->options[refused + 1],
                (r->options_count - refused) * sizeof(*r->options));
    }
    return too_few(r, wanted, err);
}

/* ---------------------------------------------------------------- the answer */

static int by_rank(const void *left, const void *right)
{
    const struct accel_passed_over *a = left, *b = right;

    return (a->candidate > b->candidate) - (a->candidate < b->candidate);
}

static int tell(struct reserving *r, size_t count, const struct accel_uuid *arqs,
                struct accel_error *err)
{
    struct accel_reservation *out = r->out;
    size_t passed = 0;

    out->count = count;
    out->devices = accel_bump_alloc(r->mem, count, sizeof(struct accel_candidate *));
    out->arqs = accel_bump_alloc(r->mem, count, sizeof(*out->arqs));
    if (out->devices == NULL || out->arqs == NULL)
        return nomem(err);
    for (size_t i = 0; i < count; i++) {
        out->devices[i] = r->options[i].candidate;
        if (accel_store_get_arq(r->service->store, &arqs[i], r->mem, &out->arqs[i], err) !=
            ACCEL_OK)
            return err->code;
    }
    /* What ranks behind the last that was taken was not passed over. */
    qsort(out->passed, out->passed_count, sizeof(*out->passed), by_rank);
    while (passed < out->passed_count && out->passed[passed].candidate < out->devices[count - 1])
        passed++;
    out->passed_count = passed;
    return ACCEL_OK;
}

static void log_reserved(const struct reserving *r)
{
    for (size_t i = 0; i < r->out->count; i++) {
        const struct accel_device *device = r->out->devices[i]->resource->device;

        accel_log_info("device reserved", "device=%s pci=%s arq=%s instance=%s model=%s by=\"%s\"",
                       device->uuid.text, device->pci_address != NULL ? device->pci_address : "-",
                       r->out->arqs[i].uuid.text, r->out->instance_uuid.text,
                       r->placement->model.name, r->caller->user != NULL ? r->caller->user : "");
    }
}

static int check_options(struct accel_service *service, const struct accel_caller *caller,
                         const struct accel_reserve_options *options,
                         struct accel_uuid *instance_uuid, struct accel_error *err)
{
    if (service_needs_service(caller, "reserving a device", err) != ACCEL_OK)
        return err->code;
    if (service_is_stopping(service))
        return service_refuse(err);
    if (options->count == 0)
        return accel_fail(err, ACCEL_E_INVALID, "count: expected a number of devices from 1 on");
    if (options->instance_uuid == NULL)
        return accel_uuid_new(instance_uuid, err);
    if (!accel_uuid_parse(options->instance_uuid, instance_uuid))
        return accel_fail(err, ACCEL_E_INVALID, "instance_uuid: \"%.60s\" is no UUID",
                          options->instance_uuid);
    return ACCEL_OK;
}

void accel_service_unreserve(struct accel_service *service, const struct accel_caller *caller,
                             const struct accel_reservation *reservation)
{
    const char *instance = reservation->instance_uuid.text;
    struct accel_error err;

    if (accel_service_delete_instance_arqs(service, caller, instance, &err) != ACCEL_OK)
        accel_log_error("a reservation that nobody was told of stays", "instance=%s why=\"%s\"",
                        instance, err.msg);
}

int accel_service_reserve(struct accel_service *service, const struct accel_caller *caller,
                          const char *model, int64_t version,
                          const struct accel_constraints *constraints,
                          const struct accel_placement_shapes *shapes,
                          const struct accel_reserve_options *options, struct accel_bump *mem,
                          struct accel_placement *placement, struct accel_reservation *reservation,
                          struct accel_error *err)
{
    struct reserving r = {.service = service,
                          .caller = caller,
                          .constraints = constraints,
                          .placement = placement,
                          .mem = mem,
                          .out = reservation};
    struct accel_uuid *arqs = NULL;
    struct accel_error local;

    if (err == NULL)
        err = &local;
    *reservation = (struct accel_reservation){0};
    if (check_options(service, caller, options, &reservation->instance_uuid, err) != ACCEL_OK ||
        accel_service_place(service, caller, model, version, constraints, shapes, mem, placement,
                            err) != ACCEL_OK)
        return err->code;
    if (list_options(&r, err) != ACCEL_OK ||
        take_the_best(&r, options->count, &arqs, err) != ACCEL_OK)
        return accel_fail_in(err, "reserve");
    if (tell(&r, options->count, arqs, err) != ACCEL_OK) {
        accel_service_unreserve(service, caller, reservation);
        return accel_fail_in(err, "reserve");
    }
    log_reserved(&r);
    return ACCEL_OK;
}
