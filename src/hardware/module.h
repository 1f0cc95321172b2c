/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_HARDWARE_MODULE_H
#define ACCEL_HARDWARE_MODULE_H

/* A driver module as a loaded shared object, and its section of the configuration. */

#include <jansson.h>

#include "acceld/driver.h"
#include "base/util.h"

struct accel_module {
    void *library; /* dlopen's */
    /* A copy of the module's table: members that an older module does not have are zero. */
    struct accel_driver driver;
};

/* Loads <folder>/<name>.so. Errors: INVALID (not a module's name; no module; another ABI; a broken
 * table), NOT_FOUND, NOMEM. */
int accel_module_load(const char *folder, const char *name, struct accel_module *module,
                      struct accel_error *err);
void accel_module_unload(struct accel_module *module); /* fits ACCEL_CLEANUP */

/* Checks a table as accel_module_load() does and copies it. `name`: as the file is called. */
int accel_module_take(const struct accel_driver *table, const char *name,
                      struct accel_module *module, struct accel_error *err);

/* The section checked against the module's keys; owns its texts. */
struct accel_module_config;
/* `section`: a JSON object as text, NULL or "" for none. Errors: INVALID, which names the key:
 * "drivers.fake.devices: expected a whole number from 0 to 1000, got \"x\""; NOMEM. */
int accel_module_config_new(const struct accel_driver *driver, const char *section,
                            const char *hostname, struct accel_module_config **config,
                            struct accel_error *err);
/* What open() is given; lives as long as the config. */
const struct accel_driver_config *accel_module_config_get(const struct accel_module_config *config);
void accel_module_config_free(struct accel_module_config *config);
void accel_module_config_freep(struct accel_module_config **config);

#endif
