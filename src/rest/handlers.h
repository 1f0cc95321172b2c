/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_REST_HANDLERS_H
#define ACCEL_REST_HANDLERS_H

/* One function per operation of api/openapi.yaml; each lies in the file of its resource. */

#include "rest/request.h"

/* versions.c */
accel_handler_fn accel_get_root, accel_get_v2;
/* devices.c */
accel_handler_fn accel_list_devices, accel_get_device, accel_enable_device, accel_disable_device;
/* deployables.c */
accel_handler_fn accel_list_deployables, accel_get_deployable;
/* attributes.c */
accel_handler_fn accel_list_attributes, accel_get_attribute, accel_create_attribute,
    accel_delete_attribute, accel_delete_no_attribute;
/* device_profiles.c */
accel_handler_fn accel_list_device_profiles, accel_get_device_profile, accel_create_device_profile,
    accel_delete_device_profile, accel_delete_device_profiles;
/* accelerator_requests.c */
accel_handler_fn accel_list_arqs, accel_get_arq, accel_create_arqs, accel_patch_arqs,
    accel_delete_arq, accel_delete_arqs;
/* A new array of them as Cyborg writes them; NULL: memory is out. */
json_t *accel_arqs_json(const struct accel_request *req, const struct accel_arq *arqs,
                        size_t count);
/* inventory.c */
accel_handler_fn accel_list_inventory, accel_get_inventory;
/* models.c */
accel_handler_fn accel_list_models, accel_list_model_versions, accel_put_model, accel_delete_model,
    accel_get_analysis, accel_get_metadata, accel_get_model_ready, accel_index_repository;
/* infer.c */
accel_handler_fn accel_infer;
/* placements.c */
accel_handler_fn accel_create_placement;
/* jobs.c */
accel_handler_fn accel_list_jobs, accel_get_job, accel_create_job, accel_cancel_job;
/* drivers.c */
accel_handler_fn accel_list_drivers, accel_rescan_drivers;
/* operations.c */
accel_handler_fn accel_get_healthz, accel_get_readyz, accel_get_live, accel_get_ready,
    accel_get_log_level, accel_set_log_level, accel_get_openapi;
/* events.c */
accel_handler_fn accel_list_events;
/* backup.c */
accel_handler_fn accel_get_backup;
/* metrics.c */
accel_handler_fn accel_get_metrics;

#endif
