/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/ctl.h"

#include <string.h>
#include <strings.h>
#include <time.h>

#define VERBS_MAX 16

static void print_verbs(const char *command, const struct accel_ctl_verb *verbs, FILE *out)
{
    fprintf(out, "usage:\n");
    for (; verbs->name != NULL; verbs++)
        fprintf(out, "  accelctl %s %s%s%-28s %s\n", command, verbs->name,
                verbs->operands[0] != '\0' ? " " : "", verbs->operands, verbs->help);
    fprintf(out, "`accelctl %s VERB --help` explains one.\n", command);
}

int accel_ctl_run_verb(struct accel_ctl *ctl, const char *command,
                       const struct accel_ctl_verb *verbs, int argc, char **argv,
                       struct accel_error *err)
{
    const char *names[VERBS_MAX];
    size_t count = 0;

    if (argc > 0 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0)) {
        print_verbs(command, verbs, stdout);
        return ACCEL_OK;
    }
    if (argc == 0 || argv[0][0] == '-') /* what a command without a verb does */
        return verbs[0].run(ctl, argc, argv, err);
    for (const struct accel_ctl_verb *v = verbs; v->name != NULL && count < VERBS_MAX; v++) {
        names[count++] = v->name;
        if (strcmp(v->name, argv[0]) == 0)
            return v->run(ctl, argc - 1, argv + 1, err);
    }
    const char *nearest = accel_nearest_name(argv[0], names, count);
    return accel_fail(err, ACCEL_E_INVALID, "accelctl %s has no verb %s; %s%s%s", command, argv[0],
                      nearest != NULL ? "did you mean " : "see --help",
                      nearest != NULL ? nearest : "", nearest != NULL ? "?" : "");
}

int accel_ctl_options(const char *usage, const struct accel_opt *opts, int argc, char **argv,
                      int at_least, int at_most, int *operands, struct accel_error *err)
{
    bool help = false;
    struct accel_opt all[32];
    size_t n = 0;

    for (; opts != NULL && opts->name != NULL && n + 2 < ACCEL_COUNT(all); opts++)
        all[n++] = *opts;
    all[n++] = (struct accel_opt){"help", 'h', ACCEL_OPT_FLAG, &help, NULL, "print this"};
    all[n] = (struct accel_opt){0};
    const int rc = accel_opts_parse(all, argc, argv, operands, err);
    if (rc != ACCEL_OK)
        return rc;
    if (help) {
        printf("usage: accelctl %s\n\n", usage);
        accel_opts_help(all, stdout);
        return accel_fail(err, ACCEL_E_CANCELLED, "%s", "");
    }
    if (*operands < at_least || *operands > at_most)
        return accel_fail(err, ACCEL_E_INVALID, "%s; usage: accelctl %s",
                          *operands < at_least ? "something is missing" : "too many arguments",
                          usage);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- list and show */

static bool is_right(enum accel_ctl_format format)
{
    return format == ACCEL_CTL_NUMBER || format == ACCEL_CTL_BYTES || format == ACCEL_CTL_PERCENT ||
           format == ACCEL_CTL_MS;
}

static void print_cell(struct accel_table *table, const json_t *item,
                       const struct accel_ctl_column *column)
{
    const double number = json_number_value(json_object_get(item, column->key));

    switch (column->format) {
    case ACCEL_CTL_SHORT:
        accel_table_cell(table, "%.8s", accel_ctl_text(item, column->key));
        break;
    case ACCEL_CTL_BYTES:
        accel_table_cell(table, "%s", accel_ctl_bytes(number));
        break;
    case ACCEL_CTL_PERCENT:
        accel_table_cell(table, "%.0f %%", number);
        break;
    case ACCEL_CTL_MS:
        accel_table_cell(table, "%.0f ms", number);
        break;
    default:
        accel_table_cell(table, "%s", accel_ctl_text(item, column->key));
    }
}

void accel_ctl_print_list(const struct accel_ctl *ctl, const json_t *answer, const char *key,
                          const struct accel_ctl_column *columns, size_t count)
{
    ACCEL_CLEANUP(accel_table_free) struct accel_table *table = NULL;
    const json_t *list = json_object_get(answer, key);
    const char *titles[ACCEL_TABLE_COLUMNS_MAX];

    if (ctl->json) {
        accel_ctl_print_json(answer);
        return;
    }
    for (size_t c = 0; c < count; c++)
        titles[c] = columns[c].title;
    table = accel_table_new(titles, count);
    for (size_t c = 0; c < count; c++)
        if (is_right(columns[c].format))
            accel_table_align_right(table, c);
    for (size_t i = 0; i < json_array_size(list); i++)
        for (size_t c = 0; c < count; c++)
            print_cell(table, json_array_get(list, i), &columns[c]);
    accel_table_print(table, stdout);
}

int accel_ctl_list(struct accel_ctl *ctl, const char *usage, const char *path, const char *key,
                   const struct accel_ctl_column *columns, size_t count, int argc, char **argv,
                   struct accel_error *err)
{
    ACCEL_CLEANUP(accel_json_freep) json_t *answer = NULL;
    int operands, rc = accel_ctl_options(usage, NULL, argc, argv, 0, 0, &operands, err);

    if (rc == ACCEL_OK)
        rc = accel_ctl_json(ctl, "GET", NULL, &answer, err, "%s", path);
    if (rc == ACCEL_OK)
        accel_ctl_print_list(ctl, answer, key, columns, count);
    return rc;
}

int accel_ctl_show(struct accel_ctl *ctl, const char *usage, const char *path, int argc,
                   char **argv, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_json_freep) json_t *answer = NULL;
    char name[256];
    int operands, rc = accel_ctl_options(usage, NULL, argc, argv, 1, 1, &operands, err);

    if (rc == ACCEL_OK)
        rc = accel_ctl_json(ctl, "GET", NULL, &answer, err, "%s/%s", path,
                            accel_ctl_escape(argv[0], name, sizeof(name)));
    if (rc == ACCEL_OK)
        accel_ctl_print_json(answer);
    return rc;
}

/* ---------------------------------------------------------------- devices by any name */

static bool names_device(const json_t *device, const char *name)
{
    const char *uuid = json_string_value(json_object_get(device, "uuid"));
    const char *identity = json_string_value(json_object_get(device, "identity"));
    const size_t length = strlen(name);

    if (uuid != NULL && length >= 8 && strncasecmp(uuid, name, length) == 0)
        return true;
    if (identity == NULL)
        return false;
    return strcmp(identity, name) == 0 ||
           (strncmp(identity, "pci:", 4) == 0 && strcasecmp(identity + 4, name) == 0);
}

int accel_ctl_find_device(struct accel_ctl *ctl, const char *name, char uuid[37],
                          struct accel_error *err)
{
    ACCEL_CLEANUP(accel_json_freep) json_t *answer = NULL;
    json_t *device;
    size_t i, found = 0;
    int rc = accel_ctl_json(ctl, "GET", NULL, &answer, err, "/v2/inventory");

    if (rc != ACCEL_OK)
        return rc;
    json_array_foreach(json_object_get(answer, "devices"), i, device) {
        if (!names_device(device, name))
            continue;
        snprintf(uuid, 37, "%s", json_string_value(json_object_get(device, "uuid")));
        found++;
    }
    if (found == 0)
        return accel_fail(err, ACCEL_E_NOT_FOUND,
                          "no device is called %s; `accelctl devices` lists their uuids and "
                          "identities",
                          name);
    if (found > 1)
        return accel_fail(err, ACCEL_E_CONFLICT, "%zu devices are called %s; give more of the uuid",
                          found, name);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- waiting for a job */

int accel_ctl_wait_job(struct accel_ctl *ctl, const char *name, json_t **job,
                       struct accel_error *err)
{
    struct accel_bar bar;
    char uuid[64];
    int rc;

    /* The name may lie in a buffer that accel_ctl_text() uses again. */
    snprintf(uuid, sizeof(uuid), "%s", name);

    accel_bar_begin(&bar, "job");
    for (;;) {
        accel_json_freep(job);
        rc = accel_ctl_json(ctl, "GET", NULL, job, err, "/v2/jobs/%s", uuid);
        if (rc != ACCEL_OK)
            break;
        const char *state = accel_ctl_text(*job, "state");
        if (strcmp(state, "queued") != 0 && strcmp(state, "running") != 0)
            break;
        accel_bar_update(&bar, json_number_value(json_object_get(*job, "progress")),
                         accel_ctl_text(*job, "text"));
        nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    }
    accel_bar_end(&bar);
    if (rc != ACCEL_OK)
        return rc;
    const char *state = accel_ctl_text(*job, "state");
    if (strcmp(state, "failed") == 0)
        return accel_fail(err, ACCEL_E_INTERNAL, "job %s failed: %s", uuid,
                          accel_ctl_text(*job, "text"));
    if (strcmp(state, "cancelled") == 0)
        return accel_fail(err, ACCEL_E_CANCELLED, "job %s was cancelled", uuid);
    return ACCEL_OK;
}
