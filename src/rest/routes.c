/* SPDX-License-Identifier: Apache-2.0 */
#include "rest/handlers.h"
#include "rest/router.h"

#define CYBORG     ACCEL_FAMILY_CYBORG
#define OIP        ACCEL_FAMILY_OIP
#define OWN        ACCEL_FAMILY_OWN
#define NONE       ACCEL_BODY_NONE
#define JSON       ACCEL_BODY_JSON
#define RULE(name) ACCEL_RULE_##name

/* Of paths that match, a literal part stands before a {brace}. */
/* clang-format off */
static const struct accel_route routes[] = {
    {"GET", "/", "getRoot", accel_get_root, CYBORG, ACCEL_INLINE, NONE, RULE(PUBLIC), NULL, ACCEL_ROUTE_NO_VERSION},
    {"GET", "/v2", "getV2", accel_get_v2, CYBORG, ACCEL_INLINE, NONE, RULE(PUBLIC), NULL, 0},

    {"GET", "/v2/devices", "listDevices", accel_list_devices, CYBORG, ACCEL_QUICK, NONE, RULE(DEVICE_GET_ALL), "type vendor hostname filters.field filters.value limit marker", 0},
    {"GET", "/v2/devices/{uuid}", "getDevice", accel_get_device, CYBORG, ACCEL_INLINE, NONE, RULE(DEVICE_GET_ONE), NULL, 0},
    {"POST", "/v2/devices/{uuid}/enable", "enableDevice", accel_enable_device, CYBORG, ACCEL_QUICK, NONE, RULE(DEVICE_ENABLE), NULL, ACCEL_ROUTE_HIDE_405},
    {"POST", "/v2/devices/{uuid}/disable", "disableDevice", accel_disable_device, CYBORG, ACCEL_QUICK, NONE, RULE(DEVICE_DISABLE), NULL, ACCEL_ROUTE_HIDE_405},

    {"GET", "/v2/deployables", "listDeployables", accel_list_deployables, CYBORG, ACCEL_QUICK, NONE, RULE(DEPLOYABLE_GET_ALL), "name filters.field filters.value limit marker", 0},
    {"GET", "/v2/deployables/{uuid}", "getDeployable", accel_get_deployable, CYBORG, ACCEL_INLINE, NONE, RULE(DEPLOYABLE_GET_ONE), NULL, 0},

    {"GET", "/v2/attributes", "listAttributes", accel_list_attributes, CYBORG, ACCEL_QUICK, NONE, RULE(ATTRIBUTE_GET_ALL), "deployable_id key limit marker", 0},
    {"POST", "/v2/attributes", "createAttribute", accel_create_attribute, CYBORG, ACCEL_QUICK, JSON, RULE(ATTRIBUTE_CREATE), NULL, 0},
    {"DELETE", "/v2/attributes", "deleteNoAttribute", accel_delete_no_attribute, CYBORG, ACCEL_INLINE, NONE, RULE(ATTRIBUTE_DELETE), NULL, 0},
    {"GET", "/v2/attributes/{uuid}", "getAttribute", accel_get_attribute, CYBORG, ACCEL_INLINE, NONE, RULE(ATTRIBUTE_GET_ONE), NULL, 0},
    {"DELETE", "/v2/attributes/{uuid}", "deleteAttribute", accel_delete_attribute, CYBORG, ACCEL_QUICK, NONE, RULE(ATTRIBUTE_DELETE), NULL, 0},

    {"GET", "/v2/device_profiles", "listDeviceProfiles", accel_list_device_profiles, CYBORG, ACCEL_QUICK, NONE, RULE(DEVICE_PROFILE_GET_ALL), "name limit marker", 0},
    {"POST", "/v2/device_profiles", "createDeviceProfile", accel_create_device_profile, CYBORG, ACCEL_QUICK, JSON, RULE(DEVICE_PROFILE_CREATE), NULL, 0},
    {"DELETE", "/v2/device_profiles", "deleteDeviceProfiles", accel_delete_device_profiles, CYBORG, ACCEL_QUICK, NONE, RULE(DEVICE_PROFILE_DELETE), "value", 0},
    {"GET", "/v2/device_profiles/{profile}", "getDeviceProfile", accel_get_device_profile, CYBORG, ACCEL_INLINE, NONE, RULE(DEVICE_PROFILE_GET_ONE), NULL, 0},
    {"DELETE", "/v2/device_profiles/{profile}", "deleteDeviceProfile", accel_delete_device_profile, CYBORG, ACCEL_QUICK, NONE, RULE(DEVICE_PROFILE_DELETE), NULL, 0},

    {"GET", "/v2/accelerator_requests", "listArqs", accel_list_arqs, CYBORG, ACCEL_QUICK, NONE, RULE(ARQ_GET_ALL), "instance bind_state limit marker", 0},
    {"POST", "/v2/accelerator_requests", "createArqs", accel_create_arqs, CYBORG, ACCEL_QUICK, JSON, RULE(ARQ_CREATE), NULL, 0},
    {"PATCH", "/v2/accelerator_requests", "patchArqs", accel_patch_arqs, CYBORG, ACCEL_LONG, JSON, RULE(ARQ_UPDATE), NULL, 0},
    {"DELETE", "/v2/accelerator_requests", "deleteArqs", accel_delete_arqs, CYBORG, ACCEL_LONG, NONE, RULE(ARQ_DELETE), "arqs instance", 0},
    {"GET", "/v2/accelerator_requests/{uuid}", "getArq", accel_get_arq, CYBORG, ACCEL_QUICK, NONE, RULE(ARQ_GET_ONE), NULL, 0},
    {"PATCH", "/v2/accelerator_requests/{uuid}", "patchArq", accel_patch_arqs, CYBORG, ACCEL_LONG, JSON, RULE(ARQ_UPDATE), NULL, 0},
    {"DELETE", "/v2/accelerator_requests/{uuid}", "deleteArq", accel_delete_arq, CYBORG, ACCEL_LONG, NONE, RULE(ARQ_DELETE), NULL, 0},

    {"GET", "/v2/inventory", "listInventory", accel_list_inventory, OWN, ACCEL_QUICK, NONE, RULE(INVENTORY_GET), "type module identity detail limit marker", 0},
    {"GET", "/v2/inventory/{device}", "getInventory", accel_get_inventory, OWN, ACCEL_QUICK, NONE, RULE(INVENTORY_GET), NULL, 0},
};
/* clang-format on */

const struct accel_route *accel_routes(size_t *count)
{
    *count = ACCEL_COUNT(routes);
    return routes;
}
