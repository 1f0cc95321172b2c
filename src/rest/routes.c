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

    {"GET", "/v2/devices", "listDevices", accel_list_devices, CYBORG, ACCEL_QUICK, NONE, RULE(DEVICE_GET_ALL), "type vendor hostname filters.field filters.value limit marker",ACCEL_ROUTE_CACHED},
    {"GET", "/v2/devices/{uuid}", "getDevice", accel_get_device, CYBORG, ACCEL_INLINE, NONE, RULE(DEVICE_GET_ONE), NULL,ACCEL_ROUTE_CACHED},
    {"POST", "/v2/devices/{uuid}/enable", "enableDevice", accel_enable_device, CYBORG, ACCEL_QUICK, NONE, RULE(DEVICE_ENABLE), NULL, ACCEL_ROUTE_HIDE_405},
    {"POST", "/v2/devices/{uuid}/disable", "disableDevice", accel_disable_device, CYBORG, ACCEL_QUICK, NONE, RULE(DEVICE_DISABLE), NULL, ACCEL_ROUTE_HIDE_405},

    {"GET", "/v2/deployables", "listDeployables", accel_list_deployables, CYBORG, ACCEL_QUICK, NONE, RULE(DEPLOYABLE_GET_ALL), "name filters.field filters.value limit marker",ACCEL_ROUTE_CACHED},
    {"GET", "/v2/deployables/{uuid}", "getDeployable", accel_get_deployable, CYBORG, ACCEL_INLINE, NONE, RULE(DEPLOYABLE_GET_ONE), NULL,ACCEL_ROUTE_CACHED},

    {"GET", "/v2/attributes", "listAttributes", accel_list_attributes, CYBORG, ACCEL_QUICK, NONE, RULE(ATTRIBUTE_GET_ALL), "deployable_id key limit marker", 0},
    {"POST", "/v2/attributes", "createAttribute", accel_create_attribute, CYBORG, ACCEL_QUICK, JSON, RULE(ATTRIBUTE_CREATE), NULL, 0},
    {"DELETE", "/v2/attributes", "deleteNoAttribute", accel_delete_no_attribute, CYBORG, ACCEL_INLINE, NONE, RULE(ATTRIBUTE_DELETE), NULL, 0},
    {"GET", "/v2/attributes/{uuid}", "getAttribute", accel_get_attribute, CYBORG, ACCEL_INLINE, NONE, RULE(ATTRIBUTE_GET_ONE), NULL, 0},
    {"DELETE", "/v2/attributes/{uuid}", "deleteAttribute", accel_delete_attribute, CYBORG, ACCEL_QUICK, NONE, RULE(ATTRIBUTE_DELETE), NULL, 0},

    {"GET", "/v2/device_profiles", "listDeviceProfiles", accel_list_device_profiles, CYBORG, ACCEL_QUICK, NONE, RULE(DEVICE_PROFILE_GET_ALL), "name limit marker",ACCEL_ROUTE_CACHED},
    {"POST", "/v2/device_profiles", "createDeviceProfile", accel_create_device_profile, CYBORG, ACCEL_QUICK, JSON, RULE(DEVICE_PROFILE_CREATE), NULL, 0},
    {"DELETE", "/v2/device_profiles", "deleteDeviceProfiles", accel_delete_device_profiles, CYBORG, ACCEL_QUICK, NONE, RULE(DEVICE_PROFILE_DELETE), "value", 0},
    {"GET", "/v2/device_profiles/{profile}", "getDeviceProfile", accel_get_device_profile, CYBORG, ACCEL_INLINE, NONE, RULE(DEVICE_PROFILE_GET_ONE), NULL,ACCEL_ROUTE_CACHED},
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

    {"GET", "/v2/models", "listModels", accel_list_models, OWN, ACCEL_QUICK, NONE, RULE(MODEL_GET), "limit marker", 0},
    {"GET", "/v2/models/{model}", "getModelMetadata", accel_get_metadata, OIP, ACCEL_QUICK, NONE, RULE(MODEL_GET), NULL, ACCEL_ROUTE_ANY_QUERY},
    {"PUT", "/v2/models/{model}", "putModel", accel_put_model, OWN, ACCEL_LONG, ACCEL_BODY_UPLOAD, RULE(MODEL_PUT), "predict_only", 0},
    {"DELETE", "/v2/models/{model}", "deleteModel", accel_delete_model, OWN, ACCEL_QUICK, NONE, RULE(MODEL_DELETE), NULL, 0},
    {"GET", "/v2/models/{model}/versions", "listModelVersions", accel_list_model_versions, OWN, ACCEL_QUICK, NONE, RULE(MODEL_GET), "limit marker", 0},
    {"GET", "/v2/models/{model}/analysis", "getModelAnalysis", accel_get_analysis, OWN, ACCEL_QUICK, NONE, RULE(MODEL_GET), NULL, 0},
    {"GET", "/v2/models/{model}/ready", "getModelReady", accel_get_model_ready, OIP, ACCEL_QUICK, NONE, RULE(MODEL_GET), NULL, ACCEL_ROUTE_ANY_QUERY},
    {"POST", "/v2/models/{model}/infer", "infer", accel_infer, OIP, ACCEL_LONG, ACCEL_BODY_TENSORS, RULE(MODEL_INFER), NULL, ACCEL_ROUTE_ANY_QUERY},
    {"GET", "/v2/models/{model}/versions/{version}", "getModelVersionMetadata", accel_get_metadata, OIP, ACCEL_QUICK, NONE, RULE(MODEL_GET), NULL, ACCEL_ROUTE_ANY_QUERY},
    {"PUT", "/v2/models/{model}/versions/{version}", "putModelVersion", accel_put_model, OWN, ACCEL_LONG, ACCEL_BODY_UPLOAD, RULE(MODEL_PUT), "predict_only", 0},
    {"DELETE", "/v2/models/{model}/versions/{version}", "deleteModelVersion", accel_delete_model, OWN, ACCEL_QUICK, NONE, RULE(MODEL_DELETE), NULL, 0},
    {"GET", "/v2/models/{model}/versions/{version}/analysis", "getModelVersionAnalysis", accel_get_analysis, OWN, ACCEL_QUICK, NONE, RULE(MODEL_GET), NULL, 0},
    {"GET", "/v2/models/{model}/versions/{version}/ready", "getModelVersionReady", accel_get_model_ready, OIP, ACCEL_QUICK, NONE, RULE(MODEL_GET), NULL, ACCEL_ROUTE_ANY_QUERY},
    {"POST", "/v2/models/{model}/versions/{version}/infer", "inferVersion", accel_infer, OIP, ACCEL_LONG, ACCEL_BODY_TENSORS, RULE(MODEL_INFER), NULL, ACCEL_ROUTE_ANY_QUERY},
    {"POST", "/v2/repository/index", "indexRepository", accel_index_repository, OIP, ACCEL_QUICK, NONE, RULE(MODEL_GET), NULL, ACCEL_ROUTE_ANY_QUERY},
    {"GET", "/v2/health/live", "getHealthLive", accel_get_live, OIP, ACCEL_INLINE, NONE, RULE(PUBLIC), NULL, ACCEL_ROUTE_ANY_QUERY | ACCEL_ROUTE_PROBE},
    {"GET", "/v2/health/ready", "getHealthReady", accel_get_ready, OIP, ACCEL_INLINE, NONE, RULE(PUBLIC), NULL, ACCEL_ROUTE_ANY_QUERY | ACCEL_ROUTE_PROBE},

    {"POST", "/v2/placements", "createPlacement", accel_create_placement, OWN, ACCEL_LONG, JSON, RULE(PLACEMENT_CREATE), NULL, 0},

    {"GET", "/v2/jobs", "listJobs", accel_list_jobs, OWN, ACCEL_QUICK, NONE, RULE(JOB_GET), "state limit marker", 0},
    {"POST", "/v2/jobs", "createJob", accel_create_job, OWN, ACCEL_QUICK, JSON, RULE(JOB_CREATE), NULL, 0},
    {"GET", "/v2/jobs/{uuid}", "getJob", accel_get_job, OWN, ACCEL_QUICK, NONE, RULE(JOB_GET), "after", 0},
    {"DELETE", "/v2/jobs/{uuid}", "deleteJob", accel_cancel_job, OWN, ACCEL_QUICK, NONE, RULE(JOB_CANCEL), NULL, 0},
    {"POST", "/v2/jobs/{uuid}/cancel", "cancelJob", accel_cancel_job, OWN, ACCEL_QUICK, NONE, RULE(JOB_CANCEL), NULL, 0},

    {"GET", "/v2/events", "listEvents", accel_list_events, OWN, ACCEL_QUICK, NONE, RULE(EVENT_GET), "after kind limit", ACCEL_ROUTE_ANY_ACCEPT},

    {"GET", "/v2/drivers", "listDrivers", accel_list_drivers, OWN, ACCEL_QUICK, NONE, RULE(DRIVER_GET), NULL, 0},
    {"POST", "/v2/drivers/rescan", "rescanDrivers", accel_rescan_drivers, OWN, ACCEL_LONG, NONE, RULE(DRIVER_RESCAN), "driver", 0},

    {"GET", "/v2/backup", "getBackup", accel_get_backup, OWN, ACCEL_LONG, NONE, RULE(BACKUP), NULL, ACCEL_ROUTE_ANY_ACCEPT},

    {"GET", "/v2/log-level", "getLogLevel", accel_get_log_level, OWN, ACCEL_INLINE, NONE, RULE(LOG_LEVEL), NULL, 0},
    {"PUT", "/v2/log-level", "setLogLevel", accel_set_log_level, OWN, ACCEL_QUICK, JSON, RULE(LOG_LEVEL), NULL, 0},

    {"GET", "/metrics", "getMetrics", accel_get_metrics, OWN, ACCEL_QUICK, NONE, RULE(PUBLIC), NULL, ACCEL_ROUTE_PROBE | ACCEL_ROUTE_ANY_ACCEPT | ACCEL_ROUTE_ANY_QUERY},
    {"GET", "/healthz", "getHealthz", accel_get_healthz, OWN, ACCEL_INLINE, NONE, RULE(PUBLIC), NULL, ACCEL_ROUTE_PROBE | ACCEL_ROUTE_ANY_ACCEPT | ACCEL_ROUTE_ANY_QUERY},
    {"GET", "/readyz", "getReadyz", accel_get_readyz, OWN, ACCEL_QUICK, NONE, RULE(PUBLIC), NULL, ACCEL_ROUTE_PROBE | ACCEL_ROUTE_ANY_ACCEPT | ACCEL_ROUTE_ANY_QUERY},
    {"GET", "/openapi.json", "getOpenapi", accel_get_openapi, OWN, ACCEL_QUICK, NONE, RULE(PUBLIC), NULL, 0},
};
/* clang-format on */

const struct accel_route *accel_routes(size_t *count)
{
    *count = ACCEL_COUNT(routes);
    return routes;
}
