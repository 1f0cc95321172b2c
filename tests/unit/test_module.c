/* SPDX-License-Identifier: Apache-2.0 */
/* Modules as shared objects, and their sections of the configuration. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "hardware/module.h"
#include "tap.h"

static int find_nothing(void *self, struct accel_builder *out, struct accel_error *err)
{
    (void)self;
    (void)out;
    (void)err;
    return ACCEL_OK;
}

static const struct accel_config_key keys[] = {
    {"enabled", ACCEL_CONFIG_BOOL, "", "true", 0, 0}, {"count", ACCEL_CONFIG_INT, "", "3", 0, 1000},
    {"ratio", ACCEL_CONFIG_NUMBER, "", NULL, 0.5, 2}, {"path", ACCEL_CONFIG_STRING, "", NULL, 0, 0},
    {"list", ACCEL_CONFIG_JSON, "", NULL, 0, 0},      {0},
};

static const struct accel_driver good = {
    .abi = ACCEL_DRIVER_ABI,
    .struct_size = sizeof(good),
    .name = "good",
    .config = keys,
    .discover = find_nothing,
};

static void checks_tables(void)
{
    struct accel_module module;
    struct accel_driver table = good;
    struct accel_error err;

    ok(accel_module_take(&good, "good", &module, &err) == ACCEL_OK &&
           module.driver.discover == find_nothing,
       "a good table is taken");
    table.abi = ACCEL_DRIVER_ABI + 1;
    ok(accel_module_take(&table, "good", &module, &err) == ACCEL_E_INVALID &&
           strstr(err.msg, "ABI 2") != NULL,
       "a table of another ABI is refused, and says which");
    table = good;
    table.struct_size = 16;
    ok(accel_module_take(&table, "good", &module, &err) == ACCEL_E_INVALID,
       "a table of impossible size is refused");
    ok(accel_module_take(&good, "other", &module, &err) == ACCEL_E_INVALID &&
           strstr(err.msg, "\"good\"") != NULL,
       "a file under another name is refused");
    table = good;
    table.discover = NULL;
    ok(accel_module_take(&table, "good", &module, &err) == ACCEL_E_INVALID,
       "a module that finds nothing is none");

    table = good;
    table.flags = ACCEL_DRIVER_NEEDS_ROOT | 0x80000000u;
    ok(accel_module_take(&table, "good", &module, &err) == ACCEL_E_UNSUPPORTED,
       "a flag that is not supported is refused, not ignored");

    /* A newer acceld's module: the table is longer than ours. */
    struct {
        struct accel_driver driver;
        void *more;
    } longer = {.driver = good, .more = &longer};
    longer.driver.struct_size = sizeof(longer);
    ok(accel_module_take(&longer.driver, "good", &module, &err) == ACCEL_OK &&
           module.driver.struct_size == sizeof(struct accel_driver),
       "of a longer table only the known part is taken");
}

static void loads_files(const char *folder)
{
    struct accel_module module = {0};
    struct accel_error err;

    ok(accel_module_load(folder, "fake", &module, &err) == ACCEL_OK &&
           strcmp(module.driver.name, "fake") == 0 && module.driver.program != NULL,
       "a module is loaded from its folder");
    accel_module_unload(&module);
    ok(module.library == NULL, "and unloaded");
    ok(accel_module_load(folder, "none", &module, &err) == ACCEL_E_NOT_FOUND &&
           strstr(err.msg, "none.so") != NULL,
       "a module that is not there is NOT_FOUND, by its path");
    ok(accel_module_load(folder, "../fake", &module, &err) == ACCEL_E_INVALID &&
           accel_module_load(folder, "", &module, &err) == ACCEL_E_INVALID,
       "what is no name is refused");
}

static int config(const char *section, struct accel_module_config **out, struct accel_error *err)
{
    *out = NULL;
    return accel_module_config_new(&good, section, "node1", out, err);
}

static bool has(const struct accel_module_config *c, const char *key, const char *value)
{
    const struct accel_driver_config *get = accel_module_config_get(c);
    const char *got = get->get(get, key);

    return value == NULL ? got == NULL : got != NULL && strcmp(got, value) == 0;
}

static void reads_sections(void)
{
    struct accel_module_config *c;
    struct accel_error err;

    ok(config("{\"enabled\": false, \"count\": 7, \"ratio\": 1.5, \"path\": \"/x\", \"list\": [1, "
              "{\"a\": null}]}",
              &c, &err) == ACCEL_OK &&
           has(c, "enabled", "false") && has(c, "count", "7") && has(c, "ratio", "1.5") &&
           has(c, "path", "/x") && has(c, "list", "[1,{\"a\":null}]"),
       "every type of value is handed on as text");
    ok(strcmp(accel_module_config_get(c)->hostname, "node1") == 0, "beside the node's name");
    accel_module_config_free(c);
    ok(config("", &c, &err) == ACCEL_OK && has(c, "enabled", "true") && has(c, "count", "3") &&
           has(c, "path", NULL) && has(c, "nonsense", NULL),
       "an absent section has the fallbacks");
    accel_module_config_free(c);
    ok(config("null", &c, &err) == ACCEL_OK && has(c, "count", "3"), "so has an empty one");
    accel_module_config_free(c);
    ok(config("{\"count\": null}", &c, &err) == ACCEL_OK && has(c, "count", "3"),
       "so has an empty key");
    accel_module_config_free(c);
}

static void refuses_bad_sections(void)
{
    static const struct {
        const char *section, *names;
    } bad[] = {
        {"{\"cuont\": 1}", "drivers.good.cuont: unknown key; the module takes enabled, count"},
        {"{\"count\": \"x\"}", "drivers.good.count: expected a whole number from 0 to 1000, got "},
        {"{\"count\": 1001}", "drivers.good.count: expected"},
        {"{\"count\": 1.5}", "drivers.good.count: expected"},
        {"{\"ratio\": 0.4}", "drivers.good.ratio: expected a number from 0.5 to 2, got 0.4"},
        {"{\"enabled\": 1}", "drivers.good.enabled: expected true or false"},
        {"{\"path\": []}", "drivers.good.path: expected text"},
        {"[]", "drivers.good: expected keys"},
        {"{\"count\":", "drivers.good: line 1"},
        {"{\"count\": 1, \"count\": 2}", "drivers.good: line 1: duplicate"},
    };
    struct accel_module_config *c;
    struct accel_error err;

    for (size_t i = 0; i < ACCEL_COUNT(bad); i++)
        ok(config(bad[i].section, &c, &err) == ACCEL_E_INVALID && c == NULL &&
               strncmp(err.msg, bad[i].names, strlen(bad[i].names)) == 0,
           "%s is refused: %s", bad[i].section, err.msg);
}

static void survives_every_failed_allocation(void)
{
    struct accel_module_config *c;
    struct accel_error err;

    for (long nth = 0;; nth++) {
        accel_fault_arm(nth);
        const int rc = config("{\"count\": 7, \"path\": \"/x\"}", &c, &err);
        if (!accel_fault_disarm()) {
            ok(rc == ACCEL_OK, "a section is read when there is memory");
            accel_module_config_free(c);
            return;
        }
        ok(rc == ACCEL_E_NOMEM && c == NULL, "a section reports that allocation %ld failed", nth);
    }
}

int main(void)
{
    const char *build = getenv("ACCELD_BUILD");
    char folder[512];

    accel_log_init("test", ACCEL_LOG_ERROR);
    snprintf(folder, sizeof(folder), "%s/drivers", build != NULL ? build : "build");
    checks_tables();
    loads_files(folder);
    reads_sections();
    refuses_bad_sections();
    survives_every_failed_allocation();
    return tap_done();
}
