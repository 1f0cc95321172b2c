/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_CORE_SCAN_H
#define ACCEL_CORE_SCAN_H

/* What one module found in one discovery, as plain structs: from an ipc Discovery to the store. */

#include "base/bump.h"
#include "core/device.h"
#include "core/ipc.h"

struct accel_scan_handle {
    const char *attach_type, *attach_info;
};

struct accel_scan_deployable {
    const char *name;
    const char *resource_class;
    uint32_t num_accelerators;
    size_t traits_count, handles_count;
    const char **traits;
    struct accel_scan_handle *handles;
};

struct accel_scan_device {
    const char *identity, *type, *pci_address, *serial, *partition, *vendor, *model;
    const char *std_board_info, *vendor_board_info, *health, *health_reason, *parent;
    int32_t numa_node, iommu_group;
    bool runnable;
    size_t deployables_count, facts_count;
    struct accel_scan_deployable *deployables;
    struct accel_fact *facts;
};

struct accel_scan_annotation {
    const char *identity;
    struct accel_fact fact;
};

struct accel_scan_problem {
    const char *where, *reason;
};

struct accel_scan {
    const char *module;
    int32_t priority;
    uint32_t took_ms;
    size_t devices_count, annotations_count, problems_count;
    struct accel_scan_device *devices;
    struct accel_scan_annotation *annotations;
    struct accel_scan_problem *problems;
};

/* Decodes a Discovery (with the descriptor beside it when the list is not inlined) into `mem`.
 * A device that breaks a rule becomes a problem; the rest stays. Errors: CORRUPT, NOMEM, LIMIT. */
int accel_scan_decode(struct accel_ipc_packet *packet, const char *module, int32_t priority,
                      struct accel_bump *mem, struct accel_scan *scan, struct accel_error *err);

/* "0000:3b:00.0" as sysfs writes it; the domain may have up to eight digits (VMD, Hyper-V). */
bool accel_is_pci_address(const char *text);

#endif
