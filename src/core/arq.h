/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_CORE_ARQ_H
#define ACCEL_CORE_ARQ_H

/* Device profiles and accelerator requests (ARQs), Cyborg's words for what to have and who has it.
 */

#include "base/bump.h"
#include "core/uuid.h"

struct accel_device_profile {
    int64_t id;
    struct accel_uuid uuid;
    const char *name, *description;
    const char *groups; /* JSON array of objects with string values, canonical */
    const char *created_at, *updated_at;
};

/* What one group of a profile asks for. */
struct accel_profile_group {
    size_t resources_count;
    struct accel_profile_resource {
        const char *resource_class;
        uint32_t amount;
    } * resources;
    size_t required_count, forbidden_count;
    const char **required, **forbidden; /* traits */
    uint32_t arqs; /* ARQs the group makes: the sum of amounts, doubled for CUSTOM_FPGA_XILINX */
};

/* Checks a profile's groups by contract 8.2 and rewrites them canonically (blanks stripped, numbers
 * as strings). groups: JSON array text. Errors: INVALID names group and key. */
int accel_profile_parse(const char *groups, struct accel_bump *mem, const char **canonical,
                        struct accel_profile_group **parsed, size_t *count,
                        struct accel_error *err);

#define ACCEL_ARQ_STATE_MAP(X)       \
    X(INITIAL, "Initial")            \
    X(BIND_STARTED, "BindStarted")   \
    X(BOUND, "Bound")                \
    X(UNBOUND, "Unbound")            \
    X(BIND_FAILED, "BindFailed")     \
    X(UNBIND_FAILED, "UnbindFailed") \
    X(DELETING, "Deleting")

enum accel_arq_state {
#define ACCEL_ARQ_STATE_ENUM(name, text) ACCEL_ARQ_##name,
    ACCEL_ARQ_STATE_MAP(ACCEL_ARQ_STATE_ENUM)
#undef ACCEL_ARQ_STATE_ENUM
};
const char *accel_arq_state_name(enum accel_arq_state state);
bool accel_arq_state_parse(const char *name, enum accel_arq_state *state);
/* Bound, BindFailed and Deleting: nothing more will happen by itself. */
bool accel_arq_state_resolved(enum accel_arq_state state);

struct accel_arq {
    int64_t id;
    struct accel_uuid uuid;
    enum accel_arq_state state;
    const char *device_profile_name;
    int64_t device_profile_group_id;
    const char *hostname;
    const char *device_rp_uuid;
    const char *instance_uuid;
    const char *project_id;
    struct accel_uuid deployable_uuid;    /* "" unless reserved or bound */
    const char *attach_handle_type;       /* "" unless Bound */
    struct accel_uuid attach_handle_uuid; /* "" unless Bound */
    const char *attach_handle_info;       /* JSON object text, "{}" unless Bound */
    const char *created_at, *updated_at;
};

#endif
