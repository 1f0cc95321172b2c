/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_HARDWARE_BUILD_H
#define ACCEL_HARDWARE_BUILD_H

/* The accel_builder of acceld/driver.h: collects what a module finds into a DeviceList message and
 * checks every field on the way. What breaks a rule is left out and becomes a Problem. */

#include "acceld/driver.h"
#include "core/ipc.h"

#define ACCEL_BUILD_DEVICES_MAX 16384

struct accel_build;

int accel_build_new(const char *module, const char *hostname, struct accel_build **build,
                    struct accel_error *err);
void accel_build_free(struct accel_build *build);
void accel_build_freep(struct accel_build **build);

/* What discover() is given. */
struct accel_builder *accel_build_builder(struct accel_build *build);
/* The list so far; borrowed, gone with the build. Call when discover() has returned: it also
 * settles what can only be known then. Errors: what the builder had to refuse (NOMEM, LIMIT), even
 * if the module took no notice. */
int accel_build_list(struct accel_build *build, const Accel__Ipc__DeviceList **list,
                     struct accel_error *err);

/* The rules, for whoever checks the same things elsewhere. */
bool accel_build_is_type(const char *type);
bool accel_build_is_pci_address(const char *address); /* 0000:3b:00.0, domain of 4 to 8 digits */
bool accel_build_is_trait(const char *trait);
bool accel_build_is_resource_class(const char *name);

#endif
