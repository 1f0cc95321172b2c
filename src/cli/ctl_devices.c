/* SPDX-License-Identifier: Apache-2.0 */
/* accelctl devices, drivers, health, log-level: what the node has and how the daemon is. */
#include "cli/ctl.h"

#include <string.h>

/* ---------------------------------------------------------------- devices */

static int devices_list(struct accel_ctl *ctl, int argc, char **argv, struct accel_error *err)
{
    static const struct accel_ctl_column columns[] = {
        {"UUID", "uuid", ACCEL_CTL_SHORT},       {"IDENTITY", "identity", ACCEL_CTL_TEXT},
        {"TYPE", "type", ACCEL_CTL_TEXT},        {"MODEL", "model", ACCEL_CTL_TEXT},
        {"STATUS", "status", ACCEL_CTL_TEXT},    {"HEALTH", "health", ACCEL_CTL_TEXT},
        {"RUNS ON", "runnable", ACCEL_CTL_TEXT}, {"NUMA", "numa_node", ACCEL_CTL_NUMBER},
    };
    ACCEL_CLEANUP(accel_json_freep) json_t *answer = NULL;
    const char *type = NULL;
    char value[64];
    const struct accel_opt opts[] = {
        {"type", 't', ACCEL_OPT_STRING, &type, "TYPE", "GPU, FPGA, CPU, ... only"},
        {NULL, 0, ACCEL_OPT_FLAG, NULL, NULL, NULL},
    };
    int operands, rc = accel_ctl_options("devices list", opts, argc, argv, 0, 0, &operands, err);

    if (rc == ACCEL_OK)
        rc = accel_ctl_json(ctl, "GET", NULL, &answer, err, "/v2/inventory%s%s",
                            type != NULL ? "?type=" : "",
                            type != NULL ? accel_ctl_escape(type, value, sizeof(value)) : "");
    if (rc == ACCEL_OK)
        accel_ctl_print_list(ctl, answer, "devices", columns, ACCEL_COUNT(columns));
    return rc;
}

static int devices_show(struct accel_ctl *ctl, int argc, char **argv, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_json_freep) json_t *answer = NULL;
    char uuid[37];
    int operands,
        rc = accel_ctl_options("devices show DEVICE", NULL, argc, argv, 1, 1, &operands, err);

    if (rc == ACCEL_OK)
        rc = accel_ctl_find_device(ctl, argv[0], uuid, err);
    if (rc == ACCEL_OK)
        rc = accel_ctl_json(ctl, "GET", NULL, &answer, err, "/v2/inventory/%s", uuid);
    if (rc == ACCEL_OK)
        accel_ctl_print_json(answer);
    return rc;
}

static int set_enabled(struct accel_ctl *ctl, const char *verb, int argc, char **argv,
                       struct accel_error *err)
{
    char uuid[37], usage[64];
    int operands, rc;

    snprintf(usage, sizeof(usage), "devices %s DEVICE", verb);
    rc = accel_ctl_options(usage, NULL, argc, argv, 1, 1, &operands, err);
    if (rc == ACCEL_OK)
        rc = accel_ctl_find_device(ctl, argv[0], uuid, err);
    if (rc == ACCEL_OK)
        rc = accel_ctl_json(ctl, "POST", NULL, NULL, err, "/v2/devices/%s/%s", uuid, verb);
    return rc;
}

static int devices_enable(struct accel_ctl *ctl, int argc, char **argv, struct accel_error *err)
{
    return set_enabled(ctl, "enable", argc, argv, err);
}

static int devices_disable(struct accel_ctl *ctl, int argc, char **argv, struct accel_error *err)
{
    return set_enabled(ctl, "disable", argc, argv, err);
}

static int devices_rescan(struct accel_ctl *ctl, int argc, char **argv, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_json_freep) json_t *answer = NULL;
    int operands, rc = accel_ctl_options("devices rescan", NULL, argc, argv, 0, 0, &operands, err);

    if (rc == ACCEL_OK)
        rc = accel_ctl_json(ctl, "POST", NULL, &answer, err, "/v2/drivers/rescan");
    if (rc != ACCEL_OK)
        return rc;
    if (ctl->json)
        accel_ctl_print_json(answer);
    else
        printf("%s added, %s changed, %s gone, %s back, %s as they were\n",
               accel_ctl_text(answer, "added"), accel_ctl_text(answer, "changed"),
               accel_ctl_text(answer, "gone"), accel_ctl_text(answer, "back"),
               accel_ctl_text(answer, "unchanged"));
    return ACCEL_OK;
}

int accel_ctl_devices(struct accel_ctl *ctl, int argc, char **argv, struct accel_error *err)
{
    static const struct accel_ctl_verb verbs[] = {
        {"list", "", "every device of this node", devices_list},
        {"show", "DEVICE", "one with all its facts, as JSON", devices_show},
        {"enable", "DEVICE", "may be handed out", devices_enable},
        {"disable", "DEVICE", "in maintenance: what is held stays held", devices_disable},
        {"rescan", "", "ask every module now", devices_rescan},
        {NULL, NULL, NULL, NULL},
    };

    return accel_ctl_run_verb(ctl, "devices", verbs, argc, argv, err);
}

/* ---------------------------------------------------------------- drivers */

static void print_problems(const json_t *driver)
{
    const json_t *problem;
    size_t i;

    json_array_foreach(json_object_get(driver, "problems"), i, problem)
        printf("%s: %s: %s\n", accel_ctl_text(driver, "name"), accel_ctl_text(problem, "where"),
               accel_ctl_text(problem, "reason"));
}

int accel_ctl_drivers(struct accel_ctl *ctl, int argc, char **argv, struct accel_error *err)
{
    static const struct accel_ctl_column columns[] = {
        {"MODULE", "name", ACCEL_CTL_TEXT},         {"VERSION", "version", ACCEL_CTL_TEXT},
        {"STATE", "state", ACCEL_CTL_TEXT},         {"DEVICES", "devices", ACCEL_CTL_NUMBER},
        {"DISCOVERY", "discover_ms", ACCEL_CTL_MS}, {"RESTARTS", "restarts", ACCEL_CTL_NUMBER},
        {"REASON", "reason", ACCEL_CTL_TEXT},
    };
    ACCEL_CLEANUP(accel_json_freep) json_t *answer = NULL;
    int operands, rc = accel_ctl_options("drivers", NULL, argc, argv, 0, 0, &operands, err);

    if (rc == ACCEL_OK)
        rc = accel_ctl_json(ctl, "GET", NULL, &answer, err, "/v2/drivers");
    if (rc != ACCEL_OK)
        return rc;
    accel_ctl_print_list(ctl, answer, "drivers", columns, ACCEL_COUNT(columns));
    const json_t *drivers = json_object_get(answer, "drivers");
    for (size_t i = 0; !ctl->json && i < json_array_size(drivers); i++)
        print_problems(json_array_get(drivers, i));
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- health */

static void print_parts(const json_t *answer)
{
    ACCEL_CLEANUP(accel_table_free) struct accel_table *table =
        accel_table_new((const char *const[]){"PART", "READY", "REASON"}, 3);
    const json_t *part;
    size_t i;

    json_array_foreach(json_object_get(answer, "parts"), i, part) {
        accel_table_cell(table, "%s", accel_ctl_text(part, "name"));
        accel_table_cell(table, "%s", accel_ctl_text(part, "ready"));
        accel_table_cell(table, "%s", accel_ctl_text(part, "reason"));
    }
    accel_table_print(table, stdout);
}

int accel_ctl_health(struct accel_ctl *ctl, int argc, char **argv, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_ctl_reply_free) struct accel_ctl_reply reply = {0};
    const struct accel_ctl_request request = {.method = "GET", .path = "/readyz"};
    int operands, rc = accel_ctl_options("health", NULL, argc, argv, 0, 0, &operands, err);

    if (rc == ACCEL_OK)
        rc = accel_ctl_send(ctl, &request, &reply, err);
    /* "Not ready" is an answer too: show which part it is. */
    if (reply.json == NULL)
        return rc;
    if (ctl->json)
        accel_ctl_print_json(reply.json);
    else
        print_parts(reply.json);
    return rc;
}

int accel_ctl_log_level(struct accel_ctl *ctl, int argc, char **argv, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_json_freep) json_t *answer = NULL;
    int operands, rc = accel_ctl_options("log-level [error|warning|info|debug]", NULL, argc, argv,
                                         0, 1, &operands, err);

    if (rc == ACCEL_OK && operands == 0)
        rc = accel_ctl_json(ctl, "GET", NULL, &answer, err, "/v2/log-level");
    else if (rc == ACCEL_OK)
        rc = accel_ctl_json(ctl, "PUT", json_pack("{s:s}", "level", argv[0]), &answer, err,
                            "/v2/log-level");
    if (rc == ACCEL_OK)
        printf("%s\n", accel_ctl_text(answer, "level"));
    return rc;
}
