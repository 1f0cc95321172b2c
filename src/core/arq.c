/* SPDX-License-Identifier: Apache-2.0 */
#include "core/arq.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GROUPS_MAX    64  /* of one profile */
#define KEYS_MAX      256 /* of one group */
#define KEY_MAX_BYTES 512
#define ARQS_MAX      1000 /* that one profile makes: they are created in one transaction */
#define NAME_MAX_SIZE 255  /* of a resource class or trait: Placement's */

/* ---------------------------------------------------------------- states */

static const char *const state_names[] = {
#define ACCEL_ARQ_STATE_NAME(name, text) [ACCEL_ARQ_##name] = (text),
    ACCEL_ARQ_STATE_MAP(ACCEL_ARQ_STATE_NAME)
#undef ACCEL_ARQ_STATE_NAME
};

const char *accel_arq_state_name(enum accel_arq_state state)
{
    return (size_t)state < ACCEL_COUNT(state_names) ? state_names[state] : "?";
}

bool accel_arq_state_parse(const char *name, enum accel_arq_state *state)
{
    for (size_t i = 0; i < ACCEL_COUNT(state_names); i++)
        if (strcmp(state_names[i], name) == 0) {
            *state = (enum accel_arq_state)i;
            return true;
        }
    return false;
}

bool accel_arq_state_resolved(enum accel_arq_state state)
{
    return state == ACCEL_ARQ_BOUND || state == ACCEL_ARQ_BIND_FAILED ||
           state == ACCEL_ARQ_DELETING;
}

/* ---------------------------------------------------------------- groups of a profile */

static void decref_json(json_t **json)
{
    json_decref(*json);
}

static void free_text(char **text)
{
    free(*text); /* jansson's own allocation */
}

static int nomem(struct accel_error *err)
{
    return accel_fail(err, ACCEL_E_NOMEM, "no memory to read the groups of a device profile");
}

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* What stands behind the colon, without the blanks around it. */
static const char *stripped_name(const char *key, struct accel_bump *mem)
{
    const char *from = strchr(key, ':') + 1;

    from += strspn(from, " ");
    size_t length = strlen(from);
    while (length > 0 && from[length - 1] == ' ')
        length--;
    return accel_bump_printf(mem, "%.*s", (int)length, from);
}

static bool is_resource_class(const char *name)
{
    static const char *const known[] = {"FPGA",       "GPU",        "VGPU",      "PGPU",
                                        "CUSTOM_QAT", "CUSTOM_NIC", "CUSTOM_SSD"};

    for (size_t i = 0; i < ACCEL_COUNT(known); i++)
        if (strcmp(known[i], name) == 0)
            return true;
    return starts_with(name, "CUSTOM_") && strlen(name) <= NAME_MAX_SIZE;
}

/* A string as it is, a number as text; NULL: neither (*rc INVALID), or memory is out (*rc NOMEM).
 */
static const char *value_text(const json_t *value, struct accel_bump *mem, int *rc)
{
    const char *text = NULL;

    *rc = ACCEL_E_NOMEM;
    if (json_is_string(value))
        text = accel_bump_strdup(mem, json_string_value(value));
    else if (json_is_integer(value))
        text = accel_bump_printf(mem, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value))
        text = accel_bump_printf(mem, "%.17g", json_real_value(value));
    else
        *rc = ACCEL_E_INVALID;
    if (text != NULL)
        *rc = ACCEL_OK;
    return text;
}

/* A whole number from 1 on, as Python's int() reads it: blanks around it and a sign are fine. */
static bool parse_amount(const char *text, uint32_t *amount)
{
    char *end;

    errno = 0;
    const long value = strtol(text, &end, 10);
    if (end == text || errno != 0 || value < 1 || value > ARQS_MAX)
        return false;
    while (isspace((unsigned char)*end))
        end++;
    *amount = (uint32_t)value;
    return *end == '\0';
}

struct group_reader {
    size_t number; /* of the group, from 0 */
    struct accel_bump *mem;
    struct accel_profile_group *group;
    bool xilinx;
    json_t *canonical, *moved; /* keys that keep their place; keys rewritten, which go behind */
    struct accel_error *err;
};

static int read_resource(struct group_reader *r, const char *key, const char *name,
                         const char *value)
{
    struct accel_profile_group *group = r->group;
    uint32_t amount;

    if (!is_resource_class(name))
        return accel_fail(
            r->err, ACCEL_E_INVALID,
            "groups[%zu]: \"%s\": resource class must be one of FPGA, GPU, VGPU, PGPU, "
            "CUSTOM_QAT, CUSTOM_NIC, CUSTOM_SSD or begin with CUSTOM_",
            r->number, key);
    if (!parse_amount(value, &amount))
        return accel_fail(r->err, ACCEL_E_INVALID,
                          "groups[%zu]: \"%s\": \"%.40s\" is no whole number from 1 to %d",
                          r->number, key, value, ARQS_MAX);
    group->resources[group->resources_count++] =
        (struct accel_profile_resource){.resource_class = name, .amount = amount};
    return ACCEL_OK;
}

static int read_trait(struct group_reader *r, const char *key, const char *name, const char *value)
{
    struct accel_profile_group *group = r->group;
    const bool required = strcmp(value, "required") == 0;

    if (!starts_with(name, "CUSTOM_") || strlen(name) > NAME_MAX_SIZE)
        return accel_fail(r->err, ACCEL_E_INVALID,
                          "groups[%zu]: \"%s\": trait must begin with CUSTOM_", r->number, key);
    if (!required && strcmp(value, "forbidden") != 0)
        return accel_fail(
            r->err, ACCEL_E_INVALID,
            "groups[%zu]: \"%s\": \"%.40s\" is neither \"required\" nor \"forbidden\"", r->number,
            key, value);
    if (required)
        group->required[group->required_count++] = name;
    else
        group->forbidden[group->forbidden_count++] = name;
    r->xilinx = r->xilinx || (required && strcmp(name, "CUSTOM_FPGA_XILINX") == 0);
    return ACCEL_OK;
}

/* Puts the checked pair where the client will see it again (contract 8.2: a key whose blanks were
 * stripped moves to the end). */
static int keep_pair(struct group_reader *r, const char *key, const char *clean, const char *value)
{
    json_t *to = strcmp(key, clean) == 0 ? r->canonical : r->moved;

    if (json_object_get(r->canonical, clean) != NULL || json_object_get(r->moved, clean) != NULL)
        return accel_fail(r->err, ACCEL_E_INVALID, "groups[%zu]: \"%s\" is given twice", r->number,
                          clean);
    return json_object_set_new(to, clean, json_string(value)) == 0 ? ACCEL_OK : nomem(r->err);
}

static int read_pair(struct group_reader *r, const char *key, const json_t *json)
{
    const bool resources = starts_with(key, "resources:"), trait = starts_with(key, "trait:");
    const char *clean = key, *name = NULL;
    int rc;

    if (strlen(key) > KEY_MAX_BYTES)
        return accel_fail(r->err, ACCEL_E_INVALID, "groups[%zu]: a key is longer than %d bytes",
                          r->number, KEY_MAX_BYTES);
    if (!resources && !trait && !starts_with(key, "accel:"))
        return accel_fail(
            r->err, ACCEL_E_INVALID,
            "groups[%zu]: \"%.100s\": a key must begin with \"resources:\", \"trait:\" "
            "or \"accel:\"",
            r->number, key);
    const char *value = value_text(json, r->mem, &rc);
    if (rc == ACCEL_E_INVALID)
        return accel_fail(r->err, rc, "groups[%zu]: \"%s\": the value must be a string or a number",
                          r->number, key);
    if (value == NULL)
        return nomem(r->err);
    if (resources || trait) {
        name = stripped_name(key, r->mem);
        clean = name == NULL
                    ? NULL
                    : accel_bump_printf(r->mem, "%s:%s", resources ? "resources" : "trait", name);
        if (clean == NULL)
            return nomem(r->err);
        rc = resources ? read_resource(r, key, name, value) : read_trait(r, key, name, value);
    }
    return rc == ACCEL_OK ? keep_pair(r, key, clean, value) : rc;
}

/* ARQs the group makes: a Xilinx shell is two functions, management and user. */
static uint64_t arqs_of(const struct accel_profile_group *group, bool xilinx)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < group->resources_count; i++) {
        const struct accel_profile_resource *r = &group->resources[i];
        sum += r->amount * (xilinx && strcmp(r->resource_class, "FPGA") == 0 ? 2u : 1u);
    }
    return sum;
}

static int read_group(size_t number, const json_t *json, struct accel_bump *mem,
                      struct accel_profile_group *group, json_t *canonical, struct accel_error *err)
{
    ACCEL_CLEANUP(decref_json) json_t *moved = json_object();
    struct group_reader r = {.number = number,
                             .mem = mem,
                             .group = group,
                             .moved = moved,
                             .canonical = json_object(),
                             .err = err};
    const size_t keys = json_object_size(json);
    const char *key;
    json_t *value;

    if (r.canonical == NULL || json_array_append_new(canonical, r.canonical) != 0 || moved == NULL)
        return nomem(err);
    if (!json_is_object(json))
        return accel_fail(err, ACCEL_E_INVALID, "groups[%zu] is no object", number);
    if (keys > KEYS_MAX)
        return accel_fail(err, ACCEL_E_INVALID, "groups[%zu] has more than %d keys", number,
                          KEYS_MAX);
    group->resources = accel_bump_alloc(mem, keys, sizeof(*group->resources));
    group->required = accel_bump_alloc(mem, keys, sizeof(*group->required));
    group->forbidden = accel_bump_alloc(mem, keys, sizeof(*group->forbidden));
    if (group->resources == NULL || group->required == NULL || group->forbidden == NULL)
        return nomem(err);
    json_object_foreach((json_t *)json, key, value) {
        const int rc = read_pair(&r, key, value);
        if (rc != ACCEL_OK)
            return rc;
    }
    if (json_object_update(r.canonical, moved) != 0)
        return nomem(err);
    const uint64_t arqs = arqs_of(group, r.xilinx);
    if (arqs > ARQS_MAX)
        return accel_fail(err, ACCEL_E_INVALID,
                          "groups[%zu] asks for %llu accelerators, more than %d", number,
                          (unsigned long long)arqs, ARQS_MAX);
    group->arqs = (uint32_t)arqs;
    return ACCEL_OK;
}

static int read_groups(const json_t *json, struct accel_bump *mem,
                       struct accel_profile_group *groups, json_t *canonical,
                       struct accel_error *err)
{
    uint64_t arqs = 0;

    for (size_t i = 0; i < json_array_size(json); i++) {
        const int rc = read_group(i, json_array_get(json, i), mem, &groups[i], canonical, err);
        if (rc != ACCEL_OK)
            return rc;
        arqs += groups[i].arqs;
    }
    if (arqs > ARQS_MAX)
        return accel_fail(err, ACCEL_E_INVALID,
                          "groups: they ask for %llu accelerators, more than %d",
                          (unsigned long long)arqs, ARQS_MAX);
    return ACCEL_OK;
}

int accel_profile_parse(const char *text, struct accel_bump *mem, const char **canonical,
                        struct accel_profile_group **parsed, size_t *count, struct accel_error *err)
{
    json_error_t where;
    ACCEL_CLEANUP(decref_json) json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, &where);
    ACCEL_CLEANUP(decref_json) json_t *rewritten = json_array();
    const size_t groups_count = json_array_size(json);

    if (json == NULL && json_error_code(&where) == json_error_out_of_memory)
        return nomem(err);
    if (json == NULL)
        return accel_fail(err, ACCEL_E_INVALID, "groups: %s", where.text);
    if (!json_is_array(json) || groups_count == 0)
        return accel_fail(err, ACCEL_E_INVALID, "groups must be an array of at least one object");
    if (groups_count > GROUPS_MAX)
        return accel_fail(err, ACCEL_E_INVALID, "groups: more than %d groups", GROUPS_MAX);
    struct accel_profile_group *groups = accel_bump_alloc(mem, groups_count, sizeof(*groups));
    if (groups == NULL || rewritten == NULL)
        return nomem(err);
    const int rc = read_groups(json, mem, groups, rewritten, err);
    if (rc != ACCEL_OK)
        return rc;
    ACCEL_CLEANUP(free_text) char *dumped = json_dumps(rewritten, 0);
    const char *copy = dumped != NULL ? accel_bump_strdup(mem, dumped) : NULL;
    if (copy == NULL)
        return nomem(err);
    *canonical = copy;
    *parsed = groups;
    *count = groups_count;
    return ACCEL_OK;
}
