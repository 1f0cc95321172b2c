/* SPDX-License-Identifier: Apache-2.0 */
#include "hardware/module.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"

#define NAME_MAX_BYTES 32
/* The table as of the first release ends here: no module has less. */
#define TABLE_LEAST    (offsetof(struct accel_driver, close) + sizeof(void (*)(void *)))

static bool is_module_name(const char *name)
{
    const size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-");

    return length > 0 && length <= NAME_MAX_BYTES && name[length] == '\0';
}

int accel_module_take(const struct accel_driver *table, const char *name,
                      struct accel_module *module, struct accel_error *err)
{
    if (table->abi != ACCEL_DRIVER_ABI)
        return accel_fail(err, ACCEL_E_INVALID,
                          "module %s was built for driver ABI %u, this acceld has %u: rebuild it "
                          "with this acceld's acceld/driver.h",
                          name, table->abi, ACCEL_DRIVER_ABI);
    if (table->struct_size < TABLE_LEAST || table->struct_size > 64 * 1024)
        return accel_fail(err, ACCEL_E_INVALID, "module %s: its table has an impossible size of %u",
                          name, table->struct_size);
    module->driver = (struct accel_driver){0};
    memcpy(&module->driver, table, ACCEL_MIN(table->struct_size, sizeof(module->driver)));
    module->driver.struct_size = sizeof(module->driver);
    if (table->name == NULL || strcmp(table->name, name) != 0)
        return accel_fail(err, ACCEL_E_INVALID, "module %s.so calls itself \"%s\"", name,
                          table->name != NULL ? table->name : "");
    if ((module->driver.flags & ~(ACCEL_DRIVER_NEEDS_ROOT | ACCEL_DRIVER_HELPER)) != 0)
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          "module %s asks for flags 0x%x, which this acceld does not have", name,
                          module->driver.flags);
    if (table->discover == NULL)
        return accel_fail(err, ACCEL_E_INVALID, "module %s has no discover()", name);
    return ACCEL_OK;
}

int accel_module_load(const char *folder, const char *name, struct accel_module *module,
                      struct accel_error *err)
{
    char path[PATH_MAX];

    *module = (struct accel_module){0};
    if (!is_module_name(name))
        return accel_fail(err, ACCEL_E_INVALID, "\"%s\" is no module's name", name);
    if ((size_t)snprintf(path, sizeof(path), "%s/%s.so", folder, name) >= sizeof(path))
        return accel_fail(err, ACCEL_E_INVALID, "module folder %s: path too long", folder);
    if (access(path, R_OK) != 0)
        return accel_fail_errno(err, errno, "module %s", path);
    module->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (module->library == NULL)
        return accel_fail(err, ACCEL_E_INVALID, "module %s: %s", path, dlerror());
    const struct accel_driver *table = dlsym(module->library, ACCEL_DRIVER_SYMBOL);
    const int rc = table == NULL ? accel_fail(err, ACCEL_E_INVALID,
                                              "module %s: no symbol " ACCEL_DRIVER_SYMBOL, path)
                                 : accel_module_take(table, name, module, err);
    if (rc != ACCEL_OK)
        accel_module_unload(module);
    return rc;
}

void accel_module_unload(struct accel_module *module)
{
    if (module->library != NULL)
        dlclose(module->library);
    *module = (struct accel_module){0};
}

/* ---------------------------------------------------------------- configuration */

struct accel_module_config {
    struct accel_driver_config config;
    const struct accel_config_key *keys;
    char *hostname;
    char *values[]; /* one for each key; NULL: absent, the fallback counts */
};

static size_t count_keys(const struct accel_config_key *keys)
{
    size_t count = 0;

    while (keys != NULL && keys[count].name != NULL)
        count++;
    return count;
}

static const char *config_get(const struct accel_driver_config *config, const char *key)
{
    const struct accel_module_config *self = config->self;

    for (size_t i = 0; i < count_keys(self->keys); i++)
        if (strcmp(self->keys[i].name, key) == 0)
            return self->values[i] != NULL ? self->values[i] : self->keys[i].fallback;
    return NULL;
}

static void expectation(const struct accel_config_key *key, char *text, size_t size)
{
    const bool ranged = key->min != 0 || key->max != 0;

    switch (key->type) {
    case ACCEL_CONFIG_BOOL:
        snprintf(text, size, "true or false");
        return;
    case ACCEL_CONFIG_INT:
    case ACCEL_CONFIG_NUMBER:
        snprintf(text, size, "a %s", key->type == ACCEL_CONFIG_INT ? "whole number" : "number");
        if (ranged)
            snprintf(text + strlen(text), size - strlen(text), " from %.15g to %.15g", key->min,
                     key->max);
        return;
    case ACCEL_CONFIG_STRING:
        snprintf(text, size, "text");
        return;
    case ACCEL_CONFIG_JSON:
        snprintf(text, size, "a value");
        return;
    }
}

static bool fits(const struct accel_config_key *key, const json_t *value)
{
    const bool ranged = key->min != 0 || key->max != 0;

    switch (key->type) {
    case ACCEL_CONFIG_BOOL:
        return json_is_boolean(value);
    case ACCEL_CONFIG_INT:
        return json_is_integer(value) &&
               (!ranged || ((double)json_integer_value(value) >= key->min &&
                            (double)json_integer_value(value) <= key->max));
    case ACCEL_CONFIG_NUMBER:
        return json_is_number(value) && (!ranged || (json_number_value(value) >= key->min &&
                                                     json_number_value(value) <= key->max));
    case ACCEL_CONFIG_STRING:
        return json_is_string(value);
    case ACCEL_CONFIG_JSON:
        return true;
    }
    return false;
}

static char *to_text(const struct accel_config_key *key, const json_t *value)
{
    switch (key->type) {
    case ACCEL_CONFIG_BOOL:
        return accel_strdup(json_is_true(value) ? "true" : "false");
    case ACCEL_CONFIG_INT:
        return accel_asprintf("%lld", (long long)json_integer_value(value));
    case ACCEL_CONFIG_NUMBER:
        return accel_asprintf("%.17g", json_number_value(value));
    case ACCEL_CONFIG_STRING:
        return accel_strdup(json_string_value(value));
    case ACCEL_CONFIG_JSON:
        break;
    }
    char *dumped = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    char *text = dumped != NULL ? accel_strdup(dumped) : NULL;
    free(dumped);
    return text;
}

static int unknown_key(const struct accel_driver *driver, const char *name, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_buf_free) struct accel_buf known = {0};

    for (size_t i = 0; i < count_keys(driver->config); i++)
        accel_buf_printf(&known, "%s%s", i > 0 ? ", " : "", driver->config[i].name);
    return accel_fail(err, ACCEL_E_INVALID, "drivers.%s.%s: unknown key; the module takes %s",
                      driver->name, name,
                      known.data != NULL && !accel_buf_failed(&known) ? known.data : "none");
}

static int take_value(const struct accel_driver *driver, struct accel_module_config *config,
                      const char *name, const json_t *value, struct accel_error *err)
{
    char expected[128];
    size_t i = 0;

    while (i < count_keys(config->keys) && strcmp(config->keys[i].name, name) != 0)
        i++;
    if (i == count_keys(config->keys))
        return unknown_key(driver, name, err);
    if (json_is_null(value)) /* "key:" with nothing behind it: as if it were absent */
        return ACCEL_OK;
    if (!fits(&config->keys[i], value)) {
        char *got = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
        expectation(&config->keys[i], expected, sizeof(expected));
        accel_fail(err, ACCEL_E_INVALID, "drivers.%s.%s: expected %s, got %.80s", driver->name,
                   name, expected, got != NULL ? got : "another type");
        free(got);
        return ACCEL_E_INVALID;
    }
    config->values[i] = to_text(&config->keys[i], value);
    if (config->values[i] == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for drivers.%s.%s", driver->name, name);
    return ACCEL_OK;
}

int accel_module_config_new(const struct accel_driver *driver, const char *section,
                            const char *hostname, struct accel_module_config **out,
                            struct accel_error *err)
{
    const size_t count = count_keys(driver->config);
    ACCEL_CLEANUP(accel_module_config_freep)
    struct accel_module_config *config =
        accel_calloc(1, sizeof(*config) + count * sizeof(config->values[0]));
    ACCEL_CLEANUP(json_decrefp) json_t *json = NULL;
    json_error_t where;
    const char *name;
    json_t *value;

    if (config == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for drivers.%s", driver->name);
    config->keys = driver->config;
    config->config = (struct accel_driver_config){
        .struct_size = sizeof(config->config), .self = config, .get = config_get};
    config->hostname = accel_strdup(hostname);
    if (config->hostname == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for drivers.%s", driver->name);
    config->config.hostname = config->hostname;
    if (section == NULL || section[0] == '\0')
        section = "{}";
    json = json_loads(section, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &where);
    if (json == NULL)
        return accel_fail(err, ACCEL_E_INVALID, "drivers.%s: line %d: %s", driver->name, where.line,
                          where.text);
    if (json_is_null(json)) {
        *out = accel_steal(&config);
        return ACCEL_OK;
    }
    if (!json_is_object(json))
        return accel_fail(err, ACCEL_E_INVALID, "drivers.%s: expected keys with values",
                          driver->name);
    json_object_foreach(json, name, value) {
        const int rc = take_value(driver, config, name, value, err);
        if (rc != ACCEL_OK)
            return rc;
    }
    *out = accel_steal(&config);
    return ACCEL_OK;
}

const struct accel_driver_config *accel_module_config_get(const struct accel_module_config *config)
{
    return &config->config;
}

void accel_module_config_free(struct accel_module_config *config)
{
    if (config == NULL)
        return;
    for (size_t i = 0; i < count_keys(config->keys); i++)
        accel_free(config->values[i]);
    accel_free(config->hostname);
    accel_free(config);
}

void accel_module_config_freep(struct accel_module_config **config)
{
    accel_module_config_free(*config);
    *config = NULL;
}
