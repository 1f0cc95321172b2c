/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_REST_ERRORS_H
#define ACCEL_REST_ERRORS_H

/* The one place that knows which HTTP status an error becomes and how each family of clients wants
 * to read it. */

#include "base/buf.h"

enum accel_family {
    ACCEL_FAMILY_CYBORG, /* {"error_message": "<JSON text>"} */
    ACCEL_FAMILY_OIP,    /* {"error": "text"} */
    ACCEL_FAMILY_OWN,    /* RFC 9457 */
};

int accel_error_status(enum accel_code code);
/* "Not Found" for 404. */
const char *accel_status_text(int status);

/* Appends the body of an error answer and returns its content type. */
const char *accel_error_body(enum accel_family family, int status, const struct accel_error *why,
                             const char *path, const char *request_id, struct accel_buf *body);

#endif
