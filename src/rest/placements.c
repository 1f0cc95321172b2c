/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "rest/handlers.h"
#include "rest/policy.h"

/* POST /v2/placements: which devices should run a model, how fast, and why not the others; with
 * "reserve" the best of them become the caller's. */

static int text_member(const json_t *json, const char *key, const char **text,
                       struct accel_error *err)
{
    const json_t *value = json_object_get(json, key);

    *text = NULL;
    if (value == NULL || json_is_null(value))
        return ACCEL_OK;
    if (!json_is_string(value))
        return accel_fail(err, ACCEL_E_INVALID, "%s: expected a text", key);
    *text = json_string_value(value);
    return ACCEL_OK;
}

static int number_member(const json_t *json, const char *key, double *number,
                         struct accel_error *err)
{
    const json_t *value = json_object_get(json, key);

    if (value == NULL || json_is_null(value))
        return ACCEL_OK;
    *number = json_number_value(value);
    if (!json_is_number(value) || !(*number > 0) || isinf(*number))
        return accel_fail(err, ACCEL_E_INVALID, "constraints.%s: expected a number above 0", key);
    return ACCEL_OK;
}

/* where: "constraints." or "" */
static int bool_member(const json_t *json, const char *where, const char *key, bool *value,
                       struct accel_error *err)
{
    const json_t *found = json_object_get(json, key);

    if (found == NULL || json_is_null(found))
        return ACCEL_OK;
    if (!json_is_boolean(found))
        return accel_fail(err, ACCEL_E_INVALID, "%s%s: expected true or false", where, key);
    *value = json_is_true(found);
    return ACCEL_OK;
}

/* A whole number from 1 on; absent or null: *value stays. */
static int positive_member(const json_t *body, const char *key, const char *what, int64_t *value,
                           struct accel_error *err)
{
    const json_t *found = json_object_get(body, key);

    if (found == NULL || json_is_null(found))
        return ACCEL_OK;
    *value = json_integer_value(found);
    if (!json_is_integer(found) || *value < 1)
        return accel_fail(err, ACCEL_E_INVALID, "%s: expected a number%s from 1 on", key, what);
    return ACCEL_OK;
}

static int list_member(const struct accel_request *req, const json_t *json, const char *key,
                       const char *const **list, size_t *count, struct accel_error *err)
{
    const json_t *value = json_object_get(json, key);
    const char **texts;

    if (value == NULL || json_is_null(value))
        return ACCEL_OK;
    if (!json_is_array(value) || json_array_size(value) > 256)
        return accel_fail(err, ACCEL_E_INVALID,
                          "constraints.%s: expected an array of at most 256 texts", key);
    texts = accel_bump_alloc(req->mem, json_array_size(value) + 1, sizeof(*texts));
    if (texts == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for constraints.%s", key);
    for (size_t i = 0; i < json_array_size(value); i++) {
        texts[i] = json_string_value(json_array_get(value, i));
        if (texts[i] == NULL)
            return accel_fail(err, ACCEL_E_INVALID, "constraints.%s[%zu]: expected a text", key, i);
    }
    *list = texts;
    *count = json_array_size(value);
    return ACCEL_OK;
}

static const char *const objectives[] = {[ACCEL_OBJECTIVE_LATENCY] = "latency",
                                         [ACCEL_OBJECTIVE_THROUGHPUT] = "throughput",
                                         [ACCEL_OBJECTIVE_ENERGY] = "energy",
                                         [ACCEL_OBJECTIVE_COST] = "cost"};

static int parse_objective(const json_t *body, struct accel_constraints *out,
                           struct accel_error *err)
{
    const char *name;

    if (text_member(body, "objective", &name, err) != ACCEL_OK)
        return (int)err->code;
    if (name == NULL)
        return ACCEL_OK;
    for (size_t i = 0; i < ACCEL_COUNT(objectives); i++)
        if (strcmp(objectives[i], name) == 0) {
            out->objective = (enum accel_objective)i;
            return ACCEL_OK;
        }
    return accel_fail(err, ACCEL_E_INVALID,
                      "objective: expected latency, throughput, energy or cost, got \"%.40s\"",
                      name);
}

static int parse_precision(const json_t *json, struct accel_constraints *out,
                           struct accel_error *err)
{
    static const struct {
        const char *name;
        enum accel_dtype dtype;
    } precisions[] = {{"fp32", ACCEL_DTYPE_FLOAT},
                      {"fp16", ACCEL_DTYPE_FLOAT16},
                      {"bf16", ACCEL_DTYPE_BFLOAT16},
                      {"int8", ACCEL_DTYPE_INT8}};
    const char *name;

    if (text_member(json, "precision", &name, err) != ACCEL_OK)
        return (int)err->code;
    for (size_t i = 0; name != NULL && i < ACCEL_COUNT(precisions); i++)
        if (strcmp(precisions[i].name, name) == 0) {
            out->precision = (int)precisions[i].dtype;
            return ACCEL_OK;
        }
    if (name != NULL)
        return accel_fail(err, ACCEL_E_INVALID,
                          "constraints.precision: expected fp32, fp16, bf16 or int8, got \"%.40s\"",
                          name);
    return ACCEL_OK;
}

static int parse_constraints(const struct accel_request *req, const json_t *json,
                             struct accel_constraints *out, struct accel_error *err)
{
    static const char *const known[] = {"max_latency_s",
                                        "max_memory_bytes",
                                        "max_power_w",
                                        "precision",
                                        "runnable_only",
                                        "devices",
                                        "required_traits",
                                        "types",
                                        "include_held",
                                        "forbidden_traits",
                                        NULL};

    if (json == NULL || json_is_null(json))
        return ACCEL_OK;
    if (accel_json_check_object(json, "constraints", known, err) != ACCEL_OK ||
        number_member(json, "max_latency_s", &out->max_latency_s, err) != ACCEL_OK ||
        number_member(json, "max_memory_bytes", &out->max_memory_bytes, err) != ACCEL_OK ||
        number_member(json, "max_power_w", &out->max_power_w, err) != ACCEL_OK ||
        parse_precision(json, out, err) != ACCEL_OK ||
        bool_member(json, "constraints.", "runnable_only", &out->runnable_only, err) != ACCEL_OK ||
        bool_member(json, "constraints.", "include_held", &out->include_held, err) != ACCEL_OK ||
        list_member(req, json, "devices", &out->devices, &out->devices_count, err) != ACCEL_OK ||
        list_member(req, json, "types", &out->types, &out->types_count, err) != ACCEL_OK ||
        list_member(req, json, "required_traits", &out->required_traits, &out->required_count,
                    err) != ACCEL_OK ||
        list_member(req, json, "forbidden_traits", &out->forbidden_traits, &out->forbidden_count,
                    err) != ACCEL_OK)
        return (int)err->code;
    return ACCEL_OK;
}

static int parse_input_shape(const char *name, const json_t *list, struct accel_input_shape *shape,
                             struct accel_error *err)
{
    *shape = (struct accel_input_shape){.name = name, .rank = json_array_size(list)};
    if (!json_is_array(list) || shape->rank > ACCEL_RANK_MAX)
        return accel_fail(err, ACCEL_E_INVALID,
                          "input_shapes.%.80s: expected an array of at most %d numbers", name,
                          ACCEL_RANK_MAX);
    for (size_t i = 0; i < shape->rank; i++) {
        const json_t *dim = json_array_get(list, i);

        shape->dims[i] = json_integer_value(dim);
        if (!json_is_integer(dim) || shape->dims[i] < 1)
            return accel_fail(err, ACCEL_E_INVALID,
                              "input_shapes.%.80s[%zu]: expected a number from 1 on", name, i);
    }
    return ACCEL_OK;
}

static int parse_shapes(const struct accel_request *req, struct accel_placement_shapes *out,
                        struct accel_error *err)
{
    json_t *shapes = json_object_get(req->json, "input_shapes"), *list;
    const char *name;

    if (positive_member(req->json, "batch", "", &out->batch, err) != ACCEL_OK)
        return (int)err->code;
    if (shapes == NULL || json_is_null(shapes))
        return ACCEL_OK;
    if (!json_is_object(shapes) || json_object_size(shapes) > 256)
        return accel_fail(err, ACCEL_E_INVALID,
                          "input_shapes: expected an object of at most 256 inputs");
    out->inputs = accel_bump_alloc(req->mem, json_object_size(shapes) + 1, sizeof(*out->inputs));
    if (out->inputs == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for input_shapes");
    json_object_foreach(shapes, name, list) {
        if (parse_input_shape(name, list, &out->inputs[out->inputs_count++], err) != ACCEL_OK)
            return (int)err->code;
    }
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- the answer */

/* JSON has no infinity: a figure nobody knows is null. */
static json_t *figure(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *known_figure(double value)
{
    return value > 0 ? figure(value) : json_null();
}

static json_t *kinds_json(const struct accel_prediction *prediction)
{
    json_t *list = json_array();

    for (size_t i = 0; i < ACCEL_KIND_COUNT && list != NULL; i++) {
        const struct accel_kind_share *share = &prediction->kinds[i];

        if (share->ops == 0)
            continue;
        accel_json_append(
            &list, json_pack("{s:s, s:I, s:o, s:o, s:o}", "kind", accel_kind_name(share->kind),
                             "ops", (json_int_t)share->ops, "latency_s", figure(share->latency_s),
                             "flops", figure(share->flops), "bytes", figure(share->bytes)));
    }
    return list;
}

static json_t *prediction_json(const struct accel_prediction *p)
{
    json_t *json = json_object();

    if (accel_json_set(json, "latency_s", figure(p->latency_s)) &&
        accel_json_set(json, "latency_low_s", figure(p->latency_low_s)) &&
        accel_json_set(json, "latency_high_s", figure(p->latency_high_s)) &&
        accel_json_set(json, "throughput_per_s", figure(p->throughput_per_s)) &&
        accel_json_set(json, "memory_bytes", figure(p->memory_bytes)) &&
        accel_json_set(json, "energy_j", known_figure(p->energy_j)) &&
        accel_json_set(json, "energy_low_j", known_figure(p->energy_low_j)) &&
        accel_json_set(json, "energy_high_j", known_figure(p->energy_high_j)) &&
        accel_json_set(json, "transfer_s", figure(p->transfer_s)) &&
        accel_json_set(json, "basis", json_string(accel_prediction_basis_name(p->basis))) &&
        accel_json_set(json, "kinds", kinds_json(p)))
        return json;
    json_decref(json);
    return NULL;
}

static json_t *candidate_json(const struct accel_candidate *candidate, size_t rank)
{
    const struct accel_device *device = candidate->resource->device;
    const bool predicted = candidate->prediction.latency_s > 0;
    json_t *json = json_object();

    if (accel_json_set(json, "rank",
                       candidate->accepted ? json_integer((json_int_t)rank) : json_null()) &&
        accel_json_set(json, "device",
                       json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "uuid", device->uuid.text,
                                 "identity", accel_json_text(device->identity), "type",
                                 accel_json_text(device->type), "vendor",
                                 accel_json_text(device->vendor), "model",
                                 accel_json_text(device->model), "pci_address",
                                 accel_json_text(device->pci_address))) &&
        accel_json_set(json, "accepted", json_boolean(candidate->accepted)) &&
        accel_json_set(json, "code",
                       accel_json_text(candidate->accepted ? NULL : candidate->code)) &&
        accel_json_set(json, "reason",
                       accel_json_text(candidate->accepted ? NULL : candidate->reason)) &&
        accel_json_set(json, "runnable",
                       json_string(candidate->runnable ? "core" : "predicted-only")) &&
        accel_json_set(json, "prediction",
                       predicted ? prediction_json(&candidate->prediction) : json_null()) &&
        accel_json_set(json, "score", candidate->accepted ? figure(candidate->score) : json_null()))
        return json;
    json_decref(json);
    return NULL;
}

static json_t *analysis_json(const struct accel_analysis *analysis)
{
    return json_pack("{s:s, s:b, s:o, s:o, s:I, s:I, s:I, s:I}", "precision",
                     accel_dtype_name(analysis->precision), "runnable", (int)analysis->runnable,
                     "flops", figure(analysis->flops), "bytes", figure(analysis->bytes),
                     "weights_bytes", (json_int_t)analysis->weights_bytes, "arena_bytes",
                     (json_int_t)analysis->arena_bytes, "io_bytes", (json_int_t)analysis->io_bytes,
                     "ops", (json_int_t)analysis->ops_count);
}

/* Those that were reserved; else the best `wanted` of the accepted ones, or as many as there are.
 */
static json_t *chosen_json(const struct accel_placement *placement,
                           const struct accel_reservation *reservation, size_t wanted)
{
    json_t *list = json_array();

    for (size_t i = 0; reservation != NULL && i < reservation->count && list != NULL; i++)
        accel_json_append(&list, accel_json_uuid(&reservation->devices[i]->resource->device->uuid));
    for (size_t i = 0; reservation == NULL && i < placement->count && list != NULL; i++)
        if (placement->candidates[i].accepted && json_array_size(list) < wanted)
            accel_json_append(&list,
                              accel_json_uuid(&placement->candidates[i].resource->device->uuid));
    return list;
}

static json_t *reservation_json(const struct accel_request *req,
                                const struct accel_reservation *reservation)
{
    json_t *passed;

    if (reservation == NULL)
        return json_null();
    passed = json_array();
    for (size_t i = 0; i < reservation->passed_count && passed != NULL; i++) {
        const struct accel_passed_over *over = &reservation->passed[i];
        const struct accel_device *device = over->candidate->resource->device;

        accel_json_append(&passed, json_pack("{s:s, s:o, s:o}", "device", device->uuid.text,
                                             "identity", accel_json_text(device->identity),
                                             "reason", accel_json_text(over->reason)));
    }
    return json_pack("{s:s, s:o, s:o}", "instance_uuid", reservation->instance_uuid.text, "arqs",
                     accel_arqs_json(req, reservation->arqs, reservation->count), "passed_over",
                     passed);
}

/* reservation NULL: none was asked for. */
static json_t *placement_json(const struct accel_request *req,
                              const struct accel_placement *placement,
                              const struct accel_reservation *reservation,
                              enum accel_objective objective, size_t wanted)
{
    json_t *list = json_array();

    for (size_t i = 0; i < placement->count && list != NULL; i++)
        accel_json_append(&list, candidate_json(&placement->candidates[i], i + 1));
    return json_pack("{s:{s:s, s:s, s:I}, s:s, s:o, s:o, s:o, s:o, s:o}", "model", "uuid",
                     placement->model.uuid.text, "name", placement->model.name, "version",
                     (json_int_t)placement->model.model_version, "objective", objectives[objective],
                     "analysis", analysis_json(placement->analysis), "candidates", list, "chosen",
                     chosen_json(placement, reservation, wanted), "reservation",
                     reservation_json(req, reservation), "calibration_job",
                     accel_json_uuid(&placement->calibration_job));
}

/* ---------------------------------------------------------------- the handler */

struct asked {
    const char *model;
    int64_t version; /* 0: the newest */
    struct accel_constraints constraints;
    struct accel_placement_shapes shapes;
    bool reserve;
    struct accel_reserve_options options; /* count is also how many are chosen */
};

static int parse_reserve(const struct accel_request *req, struct asked *asked,
                         struct accel_error *err)
{
    struct accel_uuid uuid;

    if (bool_member(req->json, "", "reserve", &asked->reserve, err) != ACCEL_OK ||
        text_member(req->json, "instance_uuid", &asked->options.instance_uuid, err) != ACCEL_OK)
        return (int)err->code;
    if (asked->options.instance_uuid == NULL)
        return ACCEL_OK;
    if (!asked->reserve)
        return accel_fail(err, ACCEL_E_INVALID,
                          "instance_uuid: only with \"reserve\": true does it mean anything");
    return accel_request_uuid("instance_uuid", asked->options.instance_uuid, &uuid, err);
}

static int parse(const struct accel_request *req, struct asked *asked, struct accel_error *err)
{
    static const char *const known[] = {"model",       "version", "objective",
                                        "constraints", "batch",   "input_shapes",
                                        "count",       "reserve", "instance_uuid",
                                        NULL};
    int64_t count = 1;

    if (accel_json_check_object(req->json, "the body", known, err) != ACCEL_OK ||
        text_member(req->json, "model", &asked->model, err) != ACCEL_OK ||
        parse_objective(req->json, &asked->constraints, err) != ACCEL_OK ||
        parse_constraints(req, json_object_get(req->json, "constraints"), &asked->constraints,
                          err) != ACCEL_OK ||
        parse_shapes(req, &asked->shapes, err) != ACCEL_OK ||
        positive_member(req->json, "version", "", &asked->version, err) != ACCEL_OK ||
        positive_member(req->json, "count", " of devices", &count, err) != ACCEL_OK ||
        parse_reserve(req, asked, err) != ACCEL_OK)
        return (int)err->code;
    asked->options.count = (size_t)count;
    if (asked->model == NULL)
        return accel_fail(err, ACCEL_E_INVALID, "model: expected its name");
    return ACCEL_OK;
}

/* POST /v2/placements -> 200, with "reserve" 201; the accepted ones first, best first, then the
 * refused ones. 403 (reserve) before anything is done, 409 (reserve) nothing was. */
int accel_create_placement(const struct accel_request *req, struct accel_response *res,
                           struct accel_error *err)
{
    struct asked asked = {.constraints = {.objective = ACCEL_OBJECTIVE_LATENCY}};
    struct accel_reservation reservation;
    struct accel_placement placement;
    int rc;

    if (parse(req, &asked, err) != ACCEL_OK)
        return (int)err->code;
    if (!asked.reserve) {
        if (accel_service_place(req->service, &req->caller, asked.model, asked.version,
                                &asked.constraints, &asked.shapes, req->mem, &placement,
                                err) != ACCEL_OK)
            return (int)err->code;
    } else if (accel_policy_check(ACCEL_RULE_PLACEMENT_RESERVE, &req->caller, err) != ACCEL_OK ||
               accel_service_reserve(req->service, &req->caller, asked.model, asked.version,
                                     &asked.constraints, &asked.shapes, &asked.options, req->mem,
                                     &placement, &reservation, err) != ACCEL_OK) {
        return (int)err->code;
    }
    rc = accel_respond(res, asked.reserve ? 201 : 200,
                       placement_json(req, &placement, asked.reserve ? &reservation : NULL,
                                      asked.constraints.objective, asked.options.count),
                       err);
    if (rc != ACCEL_OK && asked.reserve)
        accel_service_unreserve(req->service, &req->caller, &reservation);
    return rc;
}
