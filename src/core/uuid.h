/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_CORE_UUID_H
#define ACCEL_CORE_UUID_H

#include "acceld/error.h"
#include "base/util.h"

/* A UUID as the wire writes it: 36 characters, lower case. "" is none. */
struct accel_uuid {
    char text[37];
};

int accel_uuid_new(struct accel_uuid *uuid, struct accel_error *err); /* version 4, getrandom */
/* RFC 9562 version 3 in the DNS namespace: Placement's provider of a deployable's name. */
int accel_uuid_of_name(const char *name, struct accel_uuid *uuid, struct accel_error *err);
/* Accepts upper and lower case, with or without dashes; writes the usual form. false: not a UUID.
 */
bool accel_uuid_parse(const char *text, struct accel_uuid *uuid);

#endif
