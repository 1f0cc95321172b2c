/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_REST_OPENAPI_H
#define ACCEL_REST_OPENAPI_H

#include <jansson.h>

#include "acceld/error.h"

/* api/openapi.yaml, which is built into the program, as JSON: a new reference, NULL on failure.
 * Parsed when asked for: nobody else pays for it. Errors: NOMEM, INTERNAL (it is no YAML). */
json_t *accel_openapi_load(struct accel_error *err);

/* Any YAML of the subset that such documents use (no anchors, no tags) as JSON. `name` is for
 * messages. Errors: INVALID, NOMEM. */
json_t *accel_yaml_to_json(const unsigned char *text, size_t size, const char *name,
                           struct accel_error *err);

#endif
