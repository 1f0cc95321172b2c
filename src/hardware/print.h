/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_HARDWARE_PRINT_H
#define ACCEL_HARDWARE_PRINT_H

/* What a module finds as JSON or as lines for people: acceld-hardware --once. */

#include <jansson.h>

#include "core/ipc.h"

/* A new reference; NULL when memory is out. Shape: {"devices": [{"identity": ..., "deployables":
 * [...], "facts": {NAME: {"value": ..., "basis": "reported"}}}], "annotations": [...], "problems":
 * [{"where": ..., "reason": ...}]}. Board infos and attach_info stay text, as they are stored. */
json_t *accel_print_list(const Accel__Ipc__DeviceList *list);
/* One line per device, problem and annotation. */
void accel_print_lines(const Accel__Ipc__DeviceList *list, FILE *out);

#endif
