/* SPDX-License-Identifier: Apache-2.0 */
/* accelctl models, jobs, calibrate. */
#include "cli/ctl.h"

#include <string.h>

/* ---------------------------------------------------------------- models */

static int models_list(struct accel_ctl *ctl, int argc, char **argv, struct accel_error *err)
{
    static const struct accel_ctl_column columns[] = {
        {"NAME", "name", ACCEL_CTL_TEXT},           {"VERSION", "version", ACCEL_CTL_NUMBER},
        {"SIZE", "size_bytes", ACCEL_CTL_BYTES},    {"RUNS", "runnable", ACCEL_CTL_TEXT},
        {"UPLOADED", "created_at", ACCEL_CTL_TEXT},
    };

    return accel_ctl_list(ctl, "models list", "/v2/models", "models", columns, ACCEL_COUNT(columns),
                          argc, argv, err);
}

static int models_show(struct accel_ctl *ctl, int argc, char **argv, struct accel_error *err)
{
    return accel_ctl_show(ctl, "models show NAME", "/v2/models", argc, argv, err);
}

static int models_put(struct accel_ctl *ctl, int argc, char **argv, struct accel_error *err)
{
    static const char usage[] =
        "models put NAME FILE\n"
        "FILE is an .onnx, or a .tar that holds model.onnx and its external "
        "data.";
    ACCEL_CLEANUP(accel_ctl_reply_free) struct accel_ctl_reply reply = {0};
    char path[700], name[256], what[300];
    bool predict_only = false;
    unsigned version = 0;
    const struct accel_opt opts[] = {
        {"version", 'V', ACCEL_OPT_UINT, &version, "N", "its number (the next one)"},
        {"predict-only", 0, ACCEL_OPT_FLAG, &predict_only, NULL,
         "take it for placement even if the core cannot run it"},
        {NULL, 0, ACCEL_OPT_FLAG, NULL, NULL, NULL},
    };
    int operands, rc = accel_ctl_options(usage, opts, argc, argv, 2, 2, &operands, err);

    if (rc != ACCEL_OK)
        return rc;
    accel_ctl_escape(argv[0], name, sizeof(name));
    int used = snprintf(path, sizeof(path), "/v2/models/%s", name);
    if (version > 0)
        used += snprintf(path + used, sizeof(path) - (size_t)used, "/versions/%u", version);
    if (predict_only)
        snprintf(path + used, sizeof(path) - (size_t)used, "?predict_only=true");
    snprintf(what, sizeof(what), "%s", argv[0]);
    rc = accel_ctl_send(
        ctl,
        &(struct accel_ctl_request){
            .method = "PUT", .path = path, .file = argv[1], .progress = true, .what = what},
        &reply, err);
    if (rc != ACCEL_OK)
        return rc;
    if (ctl->json)
        accel_ctl_print_json(reply.json);
    else
        printf("model %s version %s: %s, %s\n", accel_ctl_text(reply.json, "name"),
               accel_ctl_text(reply.json, "version"),
               accel_ctl_bytes(json_number_value(json_object_get(reply.json, "size_bytes"))),
               json_is_true(json_object_get(reply.json, "runnable")) ? "the core runs it"
                                                                     : "for placement only");
    return ACCEL_OK;
}

static void print_analysis(const json_t *a)
{
    ACCEL_CLEANUP(accel_table_free) struct accel_table *table = accel_table_new(
        (const char *const[]){"OPERATOR", "FUSED", "KIND", "SHAPE", "MFLOP", "TRAFFIC"}, 6);
    const json_t *op;
    size_t i;

    accel_table_align_right(table, 4);
    accel_table_align_right(table, 5);
    json_array_foreach(json_object_get(a, "ops"), i, op) {
        const json_t *reason = json_object_get(op, "unsupported");
        accel_table_cell(table, "%s", accel_ctl_text(op, "op"));
        accel_table_cell(table, "%s", accel_ctl_text(op, "fused"));
        accel_table_cell(table, "%s", accel_ctl_text(op, "kind"));
        accel_table_cell(table, "%s",
                         json_is_string(reason) ? json_string_value(reason)
                                                : accel_ctl_text(op, "shape"));
        accel_table_cell(table, "%.2f", json_number_value(json_object_get(op, "flops")) / 1e6);
        accel_table_cell(table, "%s",
                         accel_ctl_bytes(json_number_value(json_object_get(op, "bytes_read")) +
                                         json_number_value(json_object_get(op, "bytes_written")) +
                                         json_number_value(json_object_get(op, "bytes_weights"))));
    }
    accel_table_print(table, stdout);
    printf("%.3f GFLOP; %s of weights, %s of intermediate tensors\n",
           json_number_value(json_object_get(a, "flops")) / 1e9,
           accel_ctl_bytes(json_number_value(json_object_get(a, "weights_bytes"))),
           accel_ctl_bytes(json_number_value(json_object_get(a, "arena_bytes"))));
}

static int models_analysis(struct accel_ctl *ctl, int argc, char **argv, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_json_freep) json_t *answer = NULL;
    char name[256];
    int operands,
        rc = accel_ctl_options("models analysis NAME", NULL, argc, argv, 1, 1, &operands, err);

    if (rc == ACCEL_OK)
        rc = accel_ctl_json(ctl, "GET", NULL, &answer, err, "/v2/models/%s/analysis",
                            accel_ctl_escape(argv[0], name, sizeof(name)));
    if (rc != ACCEL_OK)
        return rc;
    if (ctl->json)
        accel_ctl_print_json(answer);
    else
        print_analysis(answer);
    return ACCEL_OK;
}

static int models_delete(struct accel_ctl *ctl, int argc, char **argv, struct accel_error *err)
{
    unsigned version = 0;
    char name[256];
    const struct accel_opt opts[] = {
        {"version", 'V', ACCEL_OPT_UINT, &version, "N", "that one only (all)"},
        {NULL, 0, ACCEL_OPT_FLAG, NULL, NULL, NULL},
    };
    int operands,
        rc = accel_ctl_options("models delete NAME", opts, argc, argv, 1, 1, &operands, err);

    if (rc != ACCEL_OK)
        return rc;
    accel_ctl_escape(argv[0], name, sizeof(name));
    if (version > 0)
        return accel_ctl_json(ctl, "DELETE", NULL, NULL, err, "/v2/models/%s/versions/%u", name,
                              version);
    return accel_ctl_json(ctl, "DELETE", NULL, NULL, err, "/v2/models/%s", name);
}

int accel_ctl_models(struct accel_ctl *ctl, int argc, char **argv, struct accel_error *err)
{
    static const struct accel_ctl_verb verbs[] = {
        {"list", "", "the newest version of each", models_list},
        {"show", "NAME", "inputs and outputs, as JSON", models_show},
        {"put", "NAME FILE", "upload an .onnx or a tar", models_put},
        {"analysis", "NAME", "operators, FLOPs, bytes, memory", models_analysis},
        {"delete", "NAME", "", models_delete},
        {NULL, NULL, NULL, NULL},
    };

    return accel_ctl_run_verb(ctl, "models", verbs, argc, argv, err);
}

/* ---------------------------------------------------------------- jobs */

static int jobs_list(struct accel_ctl *ctl, int argc, char **argv, struct accel_error *err)
{
    static const struct accel_ctl_column columns[] = {
        {"UUID", "uuid", ACCEL_CTL_TEXT},   {"KIND", "kind", ACCEL_CTL_TEXT},
        {"STATE", "state", ACCEL_CTL_TEXT}, {"DONE", "progress", ACCEL_CTL_PERCENT},
        {"DOING", "text", ACCEL_CTL_TEXT},  {"SINCE", "created_at", ACCEL_CTL_TEXT},
    };

    return accel_ctl_list(ctl, "jobs list", "/v2/jobs", "jobs", columns, ACCEL_COUNT(columns), argc,
                          argv, err);
}

static int jobs_show(struct accel_ctl *ctl, int argc, char **argv, struct accel_error *err)
{
    return accel_ctl_show(ctl, "jobs show UUID", "/v2/jobs", argc, argv, err);
}

static int jobs_wait(struct accel_ctl *ctl, int argc, char **argv, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_json_freep) json_t *job = NULL;
    char uuid[64];
    int operands, rc = accel_ctl_options("jobs wait UUID", NULL, argc, argv, 1, 1, &operands, err);

    if (rc == ACCEL_OK)
        rc = accel_ctl_wait_job(ctl, accel_ctl_escape(argv[0], uuid, sizeof(uuid)), &job, err);
    if (rc == ACCEL_OK && ctl->json)
        accel_ctl_print_json(job);
    return rc;
}

static int jobs_cancel(struct accel_ctl *ctl, int argc, char **argv, struct accel_error *err)
{
    char uuid[64];
    int operands,
        rc = accel_ctl_options("jobs cancel UUID", NULL, argc, argv, 1, 1, &operands, err);

    if (rc == ACCEL_OK)
        rc = accel_ctl_json(ctl, "POST", NULL, NULL, err, "/v2/jobs/%s/cancel",
                            accel_ctl_escape(argv[0], uuid, sizeof(uuid)));
    return rc;
}

int accel_ctl_jobs(struct accel_ctl *ctl, int argc, char **argv, struct accel_error *err)
{
    static const struct accel_ctl_verb verbs[] = {
        {"list", "", "what runs and what ended", jobs_list},
        {"show", "UUID", "one with its log, as JSON", jobs_show},
        {"wait", "UUID", "until it ends", jobs_wait},
        {"cancel", "UUID", "", jobs_cancel},
        {NULL, NULL, NULL, NULL},
    };

    return accel_ctl_run_verb(ctl, "jobs", verbs, argc, argv, err);
}

/* ---------------------------------------------------------------- calibration */

int accel_ctl_calibrate(struct accel_ctl *ctl, int argc, char **argv, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_json_freep) json_t *started = NULL;
    ACCEL_CLEANUP(accel_json_freep) json_t *job = NULL;
    bool no_wait = false;
    double budget = 0;
    char uuid[37];
    const struct accel_opt opts[] = {
        {"no-wait", 0, ACCEL_OPT_FLAG, &no_wait, NULL, "return at once; see accelctl jobs"},
        {"seconds", 0, ACCEL_OPT_NUMBER, &budget, "N", "how long it may take (about 20)"},
        {NULL, 0, ACCEL_OPT_FLAG, NULL, NULL, NULL},
    };
    int operands,
        rc = accel_ctl_options("calibrate [DEVICE]", opts, argc, argv, 0, 1, &operands, err);

    if (rc == ACCEL_OK && operands == 1)
        rc = accel_ctl_find_device(ctl, argv[0], uuid, err);
    if (rc != ACCEL_OK)
        return rc;
    json_t *body =
        json_pack("{s:s, s:s*}", "kind", "calibrate", "device", operands == 1 ? uuid : NULL);
    if (budget > 0)
        json_object_set_new(body, "budget_seconds", json_real(budget));
    rc = accel_ctl_json(ctl, "POST", body, &started, err, "/v2/jobs");
    if (rc != ACCEL_OK)
        return rc;
    if (!no_wait)
        rc = accel_ctl_wait_job(ctl, accel_ctl_text(started, "uuid"), &job, err);
    if (rc != ACCEL_OK)
        return rc;
    if (ctl->json)
        accel_ctl_print_json(job != NULL ? job : started);
    else
        printf("job %s: %s\n", accel_ctl_text(started, "uuid"),
               accel_ctl_text(job != NULL ? job : started, "text"));
    return ACCEL_OK;
}
