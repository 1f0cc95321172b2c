/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_CORE_DEVICE_H
#define ACCEL_CORE_DEVICE_H

/* The resource representation: what a node has, as it is recorded. Strings are borrowed from the
 * bump memory the row was read into; NULL is the wire's null. */

#include "acceld/driver.h"
#include "core/uuid.h"

/* One fact about a device, with its origin: measured beats reported beats catalogue. */
struct accel_fact {
    const char *name; /* ACCEL_FACT_... */
    bool is_text;
    double number;
    const char *text;
    enum accel_basis basis;
    const char *module;
};

enum accel_presence {
    ACCEL_PRESENT = 0,
    ACCEL_GONE = 1, /* not found by the last scan, kept because an ARQ or a lease holds it */
};

struct accel_device {
    int64_t id;
    struct accel_uuid uuid;
    const char *hostname;
    const char *identity; /* pci:0000:3b:00.0, cpu:0, fake:7 */
    const char *type, *vendor, *model;
    const char *std_board_info, *vendor_board_info;
    const char *status; /* "enabled", "maintaining": the operator's word */
    const char *health; /* "ok", "degraded", "failed" */
    const char *health_reason;
    enum accel_presence presence;
    const char *module;      /* that owns it */
    const char *pci_address; /* or NULL */
    const char *parent;      /* identity or NULL */
    int32_t numa_node, iommu_group;
    bool runnable;
    int64_t version; /* grows with every change: the ETag */
    const char *created_at, *updated_at;
};

struct accel_deployable {
    int64_t id;
    struct accel_uuid uuid;
    int64_t device_id;
    struct accel_uuid device_uuid;
    const char *name;
    uint32_t num_accelerators;
    uint32_t in_use;            /* attach handles held */
    const char *resource_class; /* or NULL */
    struct accel_uuid rp_uuid;  /* version 3 of the name */
    const char *driver_name;
    const char *bitstream_id;
    const char *attributes_list; /* JSON text: [{"rc": "FPGA"}, {"trait0": "CUSTOM_..."}] */
    int64_t version;
    const char *created_at, *updated_at;
};

struct accel_attribute {
    int64_t id;
    struct accel_uuid uuid;
    int64_t deployable_id;
    const char *key, *value;
    const char *origin; /* "api", or the module that reports it */
    const char *created_at, *updated_at;
};

struct accel_attach_handle {
    int64_t id;
    struct accel_uuid uuid;
    int64_t deployable_id;
    struct accel_uuid arq_uuid; /* "" when free */
    const char *attach_type, *attach_info;
};

/* True for devices that Cyborg's lists leave out unless cyborg.list_cpu says otherwise. */
bool accel_device_is_host_side(const char *type); /* CPU and stand-alone OPENCL */

#endif
