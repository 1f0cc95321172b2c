/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_REST_REST_H
#define ACCEL_REST_REST_H

/* The REST face of the daemon: HTTP server, router, identity, policy and one file per resource.
 * All routes are in api/openapi.yaml. */

#include "config/config.h"
#include "service/service.h"
#include "store/store.h"

struct accel_rest;

/* Serves on listening sockets (TCP and unix, told apart by getsockname). They are taken over on
 * success and stay the caller's on failure. Call it before the process gives up looking up groups
 * (auth.admin_group is resolved here). Errors: DENIED (a TCP socket that is bound beyond loopback:
 * there is no authentication yet), INVALID (not a listening socket), NOMEM, IO. */
int accel_rest_start(const struct accel_config *config, struct accel_store *store,
                     struct accel_service *service, const int *sockets, size_t count,
                     struct accel_rest **rest, struct accel_error *err);

/* Uses another configuration from the next request on. The old one must live on until
 * accel_rest_stop, as requests under way still read it. */
void accel_rest_reload(struct accel_rest *rest, const struct accel_config *config);

/* Refuses new connections and requests (503), lets those under way finish for at most deadline_ms,
 * then cancels them, waits for their handlers and closes. Call it before accel_service_stop. The
 * pointer is dead after it; NULL is fine. */
void accel_rest_stop(struct accel_rest *rest, int64_t deadline_ms);

#endif
