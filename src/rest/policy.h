/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_REST_POLICY_H
#define ACCEL_REST_POLICY_H

/* Who may do what: one rule per kind of call, named as Cyborg's policy names it, and the least role
 * that passes it. */

#include "service/service.h"

/* PUBLIC: also without an identity. READER: looks and computes, changes nothing. */
enum accel_role { ACCEL_ROLE_PUBLIC, ACCEL_ROLE_READER, ACCEL_ROLE_ADMIN };

#define ACCEL_RULE_MAP(X)                                              \
    X(PUBLIC, "acceld:public", PUBLIC)                                 \
    X(DEVICE_GET_ALL, "cyborg:device:get_all", READER)                 \
    X(DEVICE_GET_ONE, "cyborg:device:get_one", READER)                 \
    X(DEVICE_ENABLE, "cyborg:device:enable", ADMIN)                    \
    X(DEVICE_DISABLE, "cyborg:device:disable", ADMIN)                  \
    X(DEPLOYABLE_GET_ALL, "cyborg:deployable:get_all", READER)         \
    X(DEPLOYABLE_GET_ONE, "cyborg:deployable:get_one", READER)         \
    X(ATTRIBUTE_GET_ALL, "cyborg:attribute:get_all", READER)           \
    X(ATTRIBUTE_GET_ONE, "cyborg:attribute:get_one", READER)           \
    X(ATTRIBUTE_CREATE, "cyborg:attribute:create", ADMIN)              \
    X(ATTRIBUTE_DELETE, "cyborg:attribute:delete", ADMIN)              \
    X(DEVICE_PROFILE_GET_ALL, "cyborg:device_profile:get_all", READER) \
    X(DEVICE_PROFILE_GET_ONE, "cyborg:device_profile:get_one", READER) \
    X(DEVICE_PROFILE_CREATE, "cyborg:device_profile:create", ADMIN)    \
    X(DEVICE_PROFILE_DELETE, "cyborg:device_profile:delete", ADMIN)    \
    X(ARQ_GET_ALL, "cyborg:arq:get_all", READER)                       \
    X(ARQ_GET_ONE, "cyborg:arq:get_one", READER)                       \
    X(ARQ_CREATE, "cyborg:arq:create", ADMIN)                          \
    X(ARQ_UPDATE, "cyborg:arq:update", ADMIN)                          \
    X(ARQ_DELETE, "cyborg:arq:delete", ADMIN)                          \
    X(INVENTORY_GET, "acceld:inventory:get", READER)                   \
    X(MODEL_GET, "acceld:model:get", READER)                           \
    X(MODEL_PUT, "acceld:model:put", ADMIN)                            \
    X(MODEL_DELETE, "acceld:model:delete", ADMIN)                      \
    X(MODEL_INFER, "acceld:model:infer", READER)                       \
    X(PLACEMENT_CREATE, "acceld:placement:create", READER)             \
    X(PLACEMENT_RESERVE, "acceld:placement:reserve", ADMIN)            \
    X(JOB_GET, "acceld:job:get", READER)                               \
    X(JOB_CREATE, "acceld:job:create", ADMIN)                          \
    X(JOB_CANCEL, "acceld:job:cancel", ADMIN)                          \
    X(EVENT_GET, "acceld:event:get", READER)                           \
    X(DRIVER_GET, "acceld:driver:get", READER)                         \
    X(DRIVER_RESCAN, "acceld:driver:rescan", ADMIN)                    \
    X(BACKUP, "acceld:backup", ADMIN)                                  \
    X(LOG_LEVEL, "acceld:log_level", ADMIN)

enum accel_rule {
#define ACCEL_RULE_ENUM(name, text, role) ACCEL_RULE_##name,
    ACCEL_RULE_MAP(ACCEL_RULE_ENUM)
#undef ACCEL_RULE_ENUM
};

const char *accel_rule_name(enum accel_rule rule);
/* Errors: DENIED, in Cyborg's words. */
int accel_policy_check(enum accel_rule rule, const struct accel_caller *caller,
                       struct accel_error *err);

#endif
