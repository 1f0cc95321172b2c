/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_REST_MODELS_H
#define ACCEL_REST_MODELS_H

#include "rest/request.h"

/* Name and version (0: the newest) out of /v2/models/{model}[/versions/{version}]. Errors: INVALID.
 */
int accel_model_of_path(const struct accel_request *req, const char **name, int64_t *version,
                        struct accel_error *err);

#endif
