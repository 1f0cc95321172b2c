/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_CONTROL_SANDBOX_H
#define ACCEL_CONTROL_SANDBOX_H

#include "acceld/error.h"

/* The control process serves strangers and keeps the database: files and sockets are its work. Here
 * it gives up for good what is not: running programs, tracing, mounting, loading code into the
 * kernel, raw and packet sockets. A forbidden call fails with EPERM and the harsh ones end the
 * process. Threads started before it are not covered: call it first. */
int accel_control_sandbox(struct accel_error *err);

#endif
