/* SPDX-License-Identifier: Apache-2.0 */
/* accelctl place: which device should run a model, how fast, and why not the others; on demand it
 * is reserved. */
#include "cli/ctl.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static double number(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static void print_candidate(struct accel_table *table, const json_t *c, size_t rank)
{
    const json_t *device = json_object_get(c, "device"), *p = json_object_get(c, "prediction");
    const bool accepted = json_is_true(json_object_get(c, "accepted"));

    accel_table_cell(table, accepted ? "%zu" : "-", rank);
    accel_table_cell(table, "%s", accel_ctl_text(device, "identity"));
    accel_table_cell(table, "%s", accel_ctl_text(device, "model"));
    if (json_is_object(p)) {
        accel_table_cell(table, "%s", accel_ctl_seconds(number(p, "latency_s")));
        accel_table_cell(table, "%s .. %s", accel_ctl_seconds(number(p, "latency_low_s")),
                         accel_ctl_seconds(number(p, "latency_high_s")));
        accel_table_cell(table, "%s", accel_ctl_bytes(number(p, "memory_bytes")));
        if (number(p, "energy_j") > 0)
            accel_table_cell(table, "%.3g J", number(p, "energy_j"));
        else
            accel_table_cell(table, "-");
        accel_table_cell(table, "%s", accel_ctl_text(p, "basis"));
    } else {
        for (int i = 0; i < 5; i++)
            accel_table_cell(table, "-");
    }
    if (accepted)
        accel_table_cell(table, "%s", accel_ctl_text(c, "runnable"));
    else
        accel_table_cell(table, "refused: %s", accel_ctl_text(c, "reason"));
}

static void print_candidates(const json_t *answer)
{
    static const char *const titles[] = {"RANK",   "DEVICE", "MODEL", "LATENCY", "INTERVAL",
                                         "MEMORY", "ENERGY", "BASIS", "VERDICT"};
    ACCEL_CLEANUP(accel_table_free) struct accel_table *table =
        accel_table_new(titles, ACCEL_COUNT(titles));
    const json_t *c;
    size_t i;

    for (size_t column = 3; column <= 6; column++)
        accel_table_align_right(table, column);
    json_array_foreach(json_object_get(answer, "candidates"), i, c)
        print_candidate(table, c, i + 1);
    accel_table_print(table, stdout);
    if (json_is_string(json_object_get(answer, "calibration_job")))
        printf("a device has not been measured yet; job %s does it now\n",
               accel_ctl_text(answer, "calibration_job"));
}

/* Where the time is predicted to go on the best device. */
static void explain(const json_t *answer)
{
    const json_t *best = json_array_get(json_object_get(answer, "candidates"), 0);
    const json_t *p = json_object_get(best, "prediction"), *kinds = json_object_get(p, "kinds"), *k;
    ACCEL_CLEANUP(accel_table_free) struct accel_table *table = NULL;
    size_t i;

    if (json_array_size(kinds) == 0)
        return;
    printf("\non %s:\n", accel_ctl_text(json_object_get(best, "device"), "identity"));
    table = accel_table_new(
        (const char *const[]){"KIND", "OPERATORS", "TIME", "SHARE", "GFLOP", "TRAFFIC"}, 6);
    for (size_t column = 1; column <= 5; column++)
        accel_table_align_right(table, column);
    json_array_foreach(kinds, i, k) {
        accel_table_cell(table, "%s", accel_ctl_text(k, "kind"));
        accel_table_cell(table, "%s", accel_ctl_text(k, "ops"));
        accel_table_cell(table, "%s", accel_ctl_seconds(number(k, "latency_s")));
        accel_table_cell(table, "%.0f %%", 100 * number(k, "latency_s") / number(p, "latency_s"));
        accel_table_cell(table, "%.3f", number(k, "flops") / 1e9);
        accel_table_cell(table, "%s", accel_ctl_bytes(number(k, "bytes")));
    }
    accel_table_print(table, stdout);
}

/* "0000:0c:00.0" of a PCI handle; the whole object of any other. */
static void print_handle(struct accel_table *table, const json_t *arq)
{
    const json_t *info = json_object_get(arq, "attach_handle_info");

    if (json_object_get(info, "bus") != NULL) {
        accel_table_cell(table, "%s:%s:%s.%s", accel_ctl_text(info, "domain"),
                         accel_ctl_text(info, "bus"), accel_ctl_text(info, "device"),
                         accel_ctl_text(info, "function"));
        return;
    }
    char *text = json_dumps(info, JSON_COMPACT);
    accel_table_cell(table, "%s", text != NULL ? text : "-");
    free(text);
}

static const char *identity_of(const json_t *answer, const json_t *uuid)
{
    const json_t *c, *device;
    size_t i;

    json_array_foreach(json_object_get(answer, "candidates"), i, c) {
        device = json_object_get(c, "device");
        if (json_equal(json_object_get(device, "uuid"), uuid))
            return accel_ctl_text(device, "identity");
    }
    return "-";
}

static void print_reservation(const json_t *answer)
{
    static const char *const titles[] = {"RESERVED", "ARQ", "PROFILE", "TYPE", "HANDLE"};
    const json_t *reservation = json_object_get(answer, "reservation"), *arq, *over;
    const json_t *chosen = json_object_get(answer, "chosen");
    ACCEL_CLEANUP(accel_table_free) struct accel_table *table = NULL;
    size_t i;

    if (!json_is_object(reservation))
        return;
    putchar('\n');
    json_array_foreach(json_object_get(reservation, "passed_over"), i, over)
        printf("%s was passed over: %s\n", accel_ctl_text(over, "identity"),
               accel_ctl_text(over, "reason"));
    table = accel_table_new(titles, ACCEL_COUNT(titles));
    json_array_foreach(json_object_get(reservation, "arqs"), i, arq) {
        accel_table_cell(table, "%s", identity_of(answer, json_array_get(chosen, i)));
        accel_table_cell(table, "%s", accel_ctl_text(arq, "uuid"));
        accel_table_cell(table, "%s", accel_ctl_text(arq, "device_profile_name"));
        accel_table_cell(table, "%s", accel_ctl_text(arq, "attach_handle_type"));
        print_handle(table, arq);
    }
    accel_table_print(table, stdout);
    printf("for instance %s; `accelctl arqs delete ARQ` gives one back\n",
           accel_ctl_text(reservation, "instance_uuid"));
}

static json_t *string_list(const struct accel_opt_list *list)
{
    json_t *array = list->count > 0 ? json_array() : NULL;

    for (size_t i = 0; i < list->count; i++)
        json_array_append_new(array, json_string(list->items[i]));
    return array;
}

/* "x:1x3x224x224" as an entry of `shapes`. The last colon: names may hold one. */
static int add_shape(json_t *shapes, const char *text, struct accel_error *err)
{
    const char *colon = strrchr(text, ':');
    json_t *dims = json_array();
    const char *at = colon != NULL ? colon + 1 : "";

    while (*at != '\0') {
        char *end;
        const long long dim = strtoll(at, &end, 10);

        if (end == at || dim < 1 || (*end != 'x' && *end != '\0') ||
            (*end == 'x' && end[1] == '\0'))
            break;
        json_array_append_new(dims, json_integer(dim));
        at = *end == 'x' ? end + 1 : end;
    }
    if (colon == NULL || colon == text || *at != '\0' || json_array_size(dims) == 0) {
        json_decref(dims);
        return accel_fail(err, ACCEL_E_INVALID, "--shape takes NAME:DIMS, x:1x3x224x224, not %s",
                          text);
    }
    char *name = accel_strdup(text);
    if (name == NULL) {
        json_decref(dims);
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a shape");
    }
    name[colon - text] = '\0';
    json_object_set_new(shapes, name, dims);
    accel_free(name);
    return ACCEL_OK;
}

struct asked {
    const char *objective, *precision, *instance;
    struct accel_opt_list devices, types, required, forbidden, shapes;
    double latency_ms, memory_mib, power_w;
    bool runnable, include_held, explain, reserve;
    unsigned version, batch, count;
};

static json_t *constraints_json(const struct asked *a)
{
    json_t *constraints =
        json_pack("{s:o*, s:o*, s:o*, s:o*, s:s*}", "devices", string_list(&a->devices), "types",
                  string_list(&a->types), "required_traits", string_list(&a->required),
                  "forbidden_traits", string_list(&a->forbidden), "precision", a->precision);

    if (a->latency_ms > 0)
        json_object_set_new(constraints, "max_latency_s", json_real(a->latency_ms / 1e3));
    if (a->memory_mib > 0)
        json_object_set_new(constraints, "max_memory_bytes", json_real(a->memory_mib * 1048576));
    if (a->power_w > 0)
        json_object_set_new(constraints, "max_power_w", json_real(a->power_w));
    if (a->runnable)
        json_object_set_new(constraints, "runnable_only", json_true());
    if (a->include_held)
        json_object_set_new(constraints, "include_held", json_true());
    return constraints;
}

/* *body (out): a new reference. Errors: INVALID, a shape. */
static int request_json(const struct asked *a, const char *model, json_t **body,
                        struct accel_error *err)
{
    json_t *made, *shapes = json_object();

    for (size_t i = 0; i < a->shapes.count; i++)
        if (add_shape(shapes, a->shapes.items[i], err) != ACCEL_OK) {
            json_decref(shapes);
            return (int)err->code;
        }
    made = json_pack("{s:s, s:s*, s:s*, s:o}", "model", model, "objective", a->objective,
                     "instance_uuid", a->instance, "constraints", constraints_json(a));
    if (a->version > 0)
        json_object_set_new(made, "version", json_integer(a->version));
    if (a->batch > 0)
        json_object_set_new(made, "batch", json_integer(a->batch));
    if (a->count > 0)
        json_object_set_new(made, "count", json_integer(a->count));
    if (a->reserve)
        json_object_set_new(made, "reserve", json_true());
    if (a->shapes.count > 0)
        json_object_set(made, "input_shapes", shapes);
    json_decref(shapes);
    *body = made;
    return ACCEL_OK;
}

int accel_ctl_place(struct accel_ctl *ctl, int argc, char **argv, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_json_freep) json_t *answer = NULL;
    struct asked a = {0};
    json_t *body = NULL;
    const struct accel_opt opts[] = {
        {"objective", 'o', ACCEL_OPT_STRING, &a.objective, "WHAT",
         "latency (default), throughput, energy or cost"},
        {"max-latency", 0, ACCEL_OPT_NUMBER, &a.latency_ms, "MS", "refuse what is slower"},
        {"max-memory", 0, ACCEL_OPT_NUMBER, &a.memory_mib, "MIB", "refuse what needs more"},
        {"max-power", 0, ACCEL_OPT_NUMBER, &a.power_w, "W", "refuse what may draw more"},
        {"precision", 'p', ACCEL_OPT_STRING, &a.precision, "fp32|fp16|bf16|int8",
         "in which the device must compute (the model's own)"},
        {"device", 'd', ACCEL_OPT_LIST, &a.devices, "DEVICE", "among these only"},
        {"type", 't', ACCEL_OPT_LIST, &a.types, "TYPE", "GPU, FPGA, CPU, ... only"},
        {"require", 0, ACCEL_OPT_LIST, &a.required, "TRAIT", "it must have"},
        {"forbid", 0, ACCEL_OPT_LIST, &a.forbidden, "TRAIT", "it must not have"},
        {"runnable", 0, ACCEL_OPT_FLAG, &a.runnable, NULL, "where the core itself runs only"},
        {"include-held", 0, ACCEL_OPT_FLAG, &a.include_held, NULL,
         "also devices of which an accelerator is held"},
        {"batch", 'b', ACCEL_OPT_UINT, &a.batch, "N", "first dimension of the inputs"},
        {"shape", 0, ACCEL_OPT_LIST, &a.shapes, "NAME:DIMS", "an input's shape, x:1x3x224x224"},
        {"count", 'n', ACCEL_OPT_UINT, &a.count, "N", "how many devices are wanted (1)"},
        {"reserve", 'r', ACCEL_OPT_FLAG, &a.reserve, NULL,
         "make bound ARQs of the best --count devices, all or none"},
        {"instance", 'i', ACCEL_OPT_STRING, &a.instance, "UUID",
         "whose the reserved devices become (a new UUID)"},
        {"explain", 'e', ACCEL_OPT_FLAG, &a.explain, NULL, "where the time is predicted to go"},
        {"version", 'V', ACCEL_OPT_UINT, &a.version, "N", "of the model (the newest)"},
        {NULL, 0, ACCEL_OPT_FLAG, NULL, NULL, NULL},
    };
    int operands, rc = accel_ctl_options("place MODEL", opts, argc, argv, 1, 1, &operands, err);

    if (rc == ACCEL_OK && a.instance != NULL && !a.reserve)
        rc = accel_fail(err, ACCEL_E_INVALID, "--instance goes with --reserve");
    if (rc == ACCEL_OK)
        rc = request_json(&a, argv[0], &body, err);
    if (rc == ACCEL_OK)
        rc = accel_ctl_json(ctl, "POST", body, &answer, err, "/v2/placements");
    if (rc != ACCEL_OK)
        return rc;
    if (ctl->json) {
        accel_ctl_print_json(answer);
        return ACCEL_OK;
    }
    print_candidates(answer);
    const size_t chosen = json_array_size(json_object_get(answer, "chosen"));
    if (a.count > chosen)
        printf("%u devices are wanted, %zu can be had\n", a.count, chosen);
    if (a.explain)
        explain(answer);
    print_reservation(answer);
    return ACCEL_OK;
}
