/* SPDX-License-Identifier: Apache-2.0 */
#include "rest/policy.h"

static const struct {
    const char *name;
    enum accel_role least;
} rules[] = {
#define RULE_ROW(name, text, role) [ACCEL_RULE_##name] = {text, ACCEL_ROLE_##role},
    ACCEL_RULE_MAP(RULE_ROW)
#undef RULE_ROW
};

const char *accel_rule_name(enum accel_rule rule)
{
    return rules[rule].name;
}

int accel_policy_check(enum accel_rule rule, const struct accel_caller *caller,
                       struct accel_error *err)
{
    bool allowed = false;

    switch (rules[rule].least) {
    case ACCEL_ROLE_PUBLIC:
        allowed = true;
        break;
    case ACCEL_ROLE_READER:
        allowed = caller->reader || caller->admin;
        break;
    case ACCEL_ROLE_ADMIN:
        allowed = caller->admin;
        break;
    }
    if (allowed)
        return ACCEL_OK;
    return accel_fail(err, ACCEL_E_DENIED,
                      "Access was denied to the following resource: %s (%s is no admin: use the "
                      "unix socket as root or as a member of the admin group)",
                      rules[rule].name, caller->user);
}
