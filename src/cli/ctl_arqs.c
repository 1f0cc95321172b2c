/* SPDX-License-Identifier: Apache-2.0 */
/* accelctl profiles, arqs, deployables: Cyborg's nouns. */
#include "cli/ctl.h"

#include <string.h>

static int delete (struct accel_ctl *ctl, const char *usage, const char *path, int argc,
                   char **argv, struct accel_error *err)
{
    char name[256];
    int operands, rc = accel_ctl_options(usage, NULL, argc, argv, 1, 1, &operands, err);

    if (rc == ACCEL_OK)
        rc = accel_ctl_json(ctl, "DELETE", NULL, NULL, err, "%s/%s", path,
                            accel_ctl_escape(argv[0], name, sizeof(name)));
    return rc;
}

/* ---------------------------------------------------------------- deployables */

static int deployables_list(struct accel_ctl *ctl, int argc, char **argv, struct accel_error *err)
{
    static const struct accel_ctl_column columns[] = {
        {"UUID", "uuid", ACCEL_CTL_TEXT},
        {"NAME", "name", ACCEL_CTL_TEXT},
        {"ACCELERATORS", "num_accelerators", ACCEL_CTL_NUMBER},
        {"DRIVER", "driver_name", ACCEL_CTL_TEXT},
        {"PROVIDER", "rp_uuid", ACCEL_CTL_TEXT},
    };

    return accel_ctl_list(ctl, "deployables list", "/v2/deployables", "deployables", columns,
                          ACCEL_COUNT(columns), argc, argv, err);
}

static int deployables_show(struct accel_ctl *ctl, int argc, char **argv, struct accel_error *err)
{
    return accel_ctl_show(ctl, "deployables show UUID", "/v2/deployables", argc, argv, err);
}

int accel_ctl_deployables(struct accel_ctl *ctl, int argc, char **argv, struct accel_error *err)
{
    static const struct accel_ctl_verb verbs[] = {
        {"list", "", "what can be handed out", deployables_list},
        {"show", "UUID", "one, as JSON", deployables_show},
        {NULL, NULL, NULL, NULL},
    };

    return accel_ctl_run_verb(ctl, "deployables", verbs, argc, argv, err);
}

/* ---------------------------------------------------------------- device profiles */

static int profiles_list(struct accel_ctl *ctl, int argc, char **argv, struct accel_error *err)
{
    static const struct accel_ctl_column columns[] = {
        {"UUID", "uuid", ACCEL_CTL_TEXT},
        {"NAME", "name", ACCEL_CTL_TEXT},
        {"DESCRIPTION", "description", ACCEL_CTL_TEXT},
    };

    return accel_ctl_list(ctl, "profiles list", "/v2/device_profiles", "device_profiles", columns,
                          ACCEL_COUNT(columns), argc, argv, err);
}

static int profiles_show(struct accel_ctl *ctl, int argc, char **argv, struct accel_error *err)
{
    return accel_ctl_show(ctl, "profiles show NAME", "/v2/device_profiles", argc, argv, err);
}

/* "resources:FPGA=1" -> groups[group]["resources:FPGA"] = "1"; "--group" begins the next one. */
static int add_pair(json_t *group, const char *pair, struct accel_error *err)
{
    const char *equals = strrchr(pair, '=');
    char key[256];

    if (equals == NULL || equals == pair || (size_t)(equals - pair) >= sizeof(key))
        return accel_fail(err, ACCEL_E_INVALID,
                          "%s is no KEY=VALUE, such as resources:FPGA=1 or "
                          "trait:CUSTOM_FAKE_DEVICE=required",
                          pair);
    snprintf(key, sizeof(key), "%.*s", (int)(equals - pair), pair);
    json_object_set_new(group, key, json_string(equals + 1));
    return ACCEL_OK;
}

static int parse_groups(int argc, char **argv, json_t *groups, struct accel_error *err)
{
    json_t *group = json_object();
    int rc = ACCEL_OK;

    json_array_append_new(groups, group);
    for (int i = 0; i < argc && rc == ACCEL_OK; i++) {
        if (strcmp(argv[i], "+") == 0)
            json_array_append_new(groups, group = json_object());
        else
            rc = add_pair(group, argv[i], err);
    }
    return rc;
}

static int profiles_create(struct accel_ctl *ctl, int argc, char **argv, struct accel_error *err)
{
    static const char usage[] = "profiles create NAME KEY=VALUE... [+ KEY=VALUE...]\n"
                                "A + begins the next group. Keys: resources:CLASS, trait:TRAIT, "
                                "accel:WORD.";
    ACCEL_CLEANUP(accel_json_freep) json_t *answer = NULL;
    const char *description = NULL;
    const struct accel_opt opts[] = {
        {"description", 'd', ACCEL_OPT_STRING, &description, "TEXT", "what it is for"},
        {NULL, 0, ACCEL_OPT_FLAG, NULL, NULL, NULL},
    };
    int operands, rc = accel_ctl_options(usage, opts, argc, argv, 2, 64, &operands, err);

    if (rc != ACCEL_OK)
        return rc;
    json_t *groups = json_array();
    rc = parse_groups(operands - 1, argv + 1, groups, err);
    json_t *body = json_pack("[{s:s, s:s?, s:o}]", "name", argv[0], "description", description,
                             "groups", groups);
    if (rc != ACCEL_OK || body == NULL) {
        json_decref(body);
        return rc != ACCEL_OK ? rc : accel_fail(err, ACCEL_E_INVALID, "the name is no UTF-8");
    }
    rc = accel_ctl_json(ctl, "POST", body, &answer, err, "/v2/device_profiles");
    if (rc != ACCEL_OK)
        return rc;
    if (ctl->json)
        accel_ctl_print_json(answer);
    else
        printf("device profile %s has uuid %s\n", argv[0], accel_ctl_text(answer, "uuid"));
    return ACCEL_OK;
}

static int profiles_delete(struct accel_ctl *ctl, int argc, char **argv, struct accel_error *err)
{
    return delete (ctl, "profiles delete NAME", "/v2/device_profiles", argc, argv, err);
}

int accel_ctl_profiles(struct accel_ctl *ctl, int argc, char **argv, struct accel_error *err)
{
    static const struct accel_ctl_verb verbs[] = {
        {"list", "", "what can be asked for by name", profiles_list},
        {"show", "NAME", "one, as JSON", profiles_show},
        {"create", "NAME KEY=VALUE...", "resources:FPGA=1 trait:CUSTOM_X=required",
         profiles_create},
        {"delete", "NAME", "a profile no ARQ was made from", profiles_delete},
        {NULL, NULL, NULL, NULL},
    };

    return accel_ctl_run_verb(ctl, "profiles", verbs, argc, argv, err);
}

/* ---------------------------------------------------------------- accelerator requests */

static const struct accel_ctl_column arq_columns[] = {
    {"UUID", "uuid", ACCEL_CTL_TEXT},
    {"STATE", "state", ACCEL_CTL_TEXT},
    {"PROFILE", "device_profile_name", ACCEL_CTL_TEXT},
    {"GROUP", "device_profile_group_id", ACCEL_CTL_NUMBER},
    {"HOST", "hostname", ACCEL_CTL_TEXT},
    {"INSTANCE", "instance_uuid", ACCEL_CTL_TEXT},
    {"HANDLE", "attach_handle_type", ACCEL_CTL_TEXT},
};

static int arqs_list(struct accel_ctl *ctl, int argc, char **argv, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_json_freep) json_t *answer = NULL;
    const char *instance = NULL;
    char value[256];
    const struct accel_opt opts[] = {
        {"instance", 'i', ACCEL_OPT_STRING, &instance, "UUID", "those of one instance"},
        {NULL, 0, ACCEL_OPT_FLAG, NULL, NULL, NULL},
    };
    int operands, rc = accel_ctl_options("arqs list", opts, argc, argv, 0, 0, &operands, err);

    if (rc != ACCEL_OK)
        return rc;
    rc = accel_ctl_json(ctl, "GET", NULL, &answer, err, "/v2/accelerator_requests%s%s",
                        instance != NULL ? "?instance=" : "",
                        instance != NULL ? accel_ctl_escape(instance, value, sizeof(value)) : "");
    if (rc == ACCEL_OK)
        accel_ctl_print_list(ctl, answer, "arqs", arq_columns, ACCEL_COUNT(arq_columns));
    return rc;
}

static int arqs_show(struct accel_ctl *ctl, int argc, char **argv, struct accel_error *err)
{
    return accel_ctl_show(ctl, "arqs show UUID", "/v2/accelerator_requests", argc, argv, err);
}

static int arqs_create(struct accel_ctl *ctl, int argc, char **argv, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_json_freep) json_t *answer = NULL;
    int operands,
        rc = accel_ctl_options("arqs create PROFILE", NULL, argc, argv, 1, 1, &operands, err);

    if (rc == ACCEL_OK)
        rc = accel_ctl_json(ctl, "POST", json_pack("{s:s}", "device_profile_name", argv[0]),
                            &answer, err, "/v2/accelerator_requests");
    if (rc == ACCEL_OK)
        accel_ctl_print_list(ctl, answer, "arqs", arq_columns, ACCEL_COUNT(arq_columns));
    return rc;
}

/* The three paths of a bind, or of an unbind without values. */
static json_t *operations(const char *op, const char *host, const char *provider,
                          const char *instance)
{
    const char *const paths[] = {"/hostname", "/device_rp_uuid", "/instance_uuid"};
    const char *const values[] = {host, provider, instance};
    json_t *list = json_array();

    for (size_t i = 0; i < ACCEL_COUNT(paths); i++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s*}", "path", paths[i], "op", op,
                                              "value", values[i]));
    return list;
}

/* Host and provider of the deployable a bind names. */
static int find_provider(struct accel_ctl *ctl, const char *deployable, char provider[64],
                         char host[256], struct accel_error *err)
{
    ACCEL_CLEANUP(accel_json_freep) json_t *answer = NULL;
    const json_t *item;
    size_t i;
    int rc = accel_ctl_json(ctl, "GET", NULL, &answer, err, "/v2/deployables");

    if (rc != ACCEL_OK)
        return rc;
    json_array_foreach(json_object_get(answer, "deployables"), i, item) {
        if (strcmp(accel_ctl_text(item, "uuid"), deployable) != 0 &&
            strcmp(accel_ctl_text(item, "name"), deployable) != 0 &&
            strcmp(accel_ctl_text(item, "rp_uuid"), deployable) != 0)
            continue;
        snprintf(provider, 64, "%s", accel_ctl_text(item, "rp_uuid"));
        ACCEL_CLEANUP(accel_json_freep) json_t *node = NULL;
        rc = accel_ctl_json(ctl, "GET", NULL, &node, err, "/v2/drivers");
        if (rc == ACCEL_OK)
            snprintf(host, 256, "%s", accel_ctl_text(node, "hostname"));
        return rc;
    }
    return accel_fail(
        err, ACCEL_E_NOT_FOUND,
        "no deployable has the name, uuid or provider %s; `accelctl deployables` lists "
        "them",
        deployable);
}

static int arqs_bind(struct accel_ctl *ctl, int argc, char **argv, struct accel_error *err)
{
    char provider[64], host[256];
    int operands, rc = accel_ctl_options("arqs bind UUID DEPLOYABLE INSTANCE", NULL, argc, argv, 3,
                                         3, &operands, err);

    if (rc == ACCEL_OK)
        rc = find_provider(ctl, argv[1], provider, host, err);
    if (rc != ACCEL_OK)
        return rc;
    json_t *body = json_pack("{s:o}", argv[0], operations("add", host, provider, argv[2]));
    return accel_ctl_json(ctl, "PATCH", body, NULL, err, "/v2/accelerator_requests");
}

static int arqs_unbind(struct accel_ctl *ctl, int argc, char **argv, struct accel_error *err)
{
    int operands,
        rc = accel_ctl_options("arqs unbind UUID", NULL, argc, argv, 1, 1, &operands, err);

    if (rc != ACCEL_OK)
        return rc;
    json_t *body = json_pack("{s:o}", argv[0], operations("remove", NULL, NULL, NULL));
    return accel_ctl_json(ctl, "PATCH", body, NULL, err, "/v2/accelerator_requests");
}

static int arqs_delete(struct accel_ctl *ctl, int argc, char **argv, struct accel_error *err)
{
    return delete (ctl, "arqs delete UUID", "/v2/accelerator_requests", argc, argv, err);
}

int accel_ctl_arqs(struct accel_ctl *ctl, int argc, char **argv, struct accel_error *err)
{
    static const struct accel_ctl_verb verbs[] = {
        {"list", "", "who asked for what, and has it", arqs_list},
        {"show", "UUID", "one, as JSON", arqs_show},
        {"create", "PROFILE", "one ARQ per accelerator of the profile", arqs_create},
        {"bind", "UUID DEPLOYABLE INSTANCE", "give it an accelerator", arqs_bind},
        {"unbind", "UUID", "take it back", arqs_unbind},
        {"delete", "UUID", "unbinds first", arqs_delete},
        {NULL, NULL, NULL, NULL},
    };

    return accel_ctl_run_verb(ctl, "arqs", verbs, argc, argv, err);
}
