/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_REST_ROUTER_H
#define ACCEL_REST_ROUTER_H

/* The table of all routes and the rules by which a path finds its row. */

#include "rest/errors.h"
#include "rest/policy.h"
#include "rest/request.h"

/* Where a handler runs: on the event loop (memory, or one SELECT of one row), or on a pool: QUICK
 * for store writes and lists, LONG for what waits for a worker or the hardware. */
enum accel_where { ACCEL_INLINE, ACCEL_QUICK, ACCEL_LONG };

enum accel_body {
    ACCEL_BODY_NONE,    /* read and dropped */
    ACCEL_BODY_JSON,    /* must be there, application/json */
    ACCEL_BODY_UPLOAD,  /* streamed to a file of accel_service_upload_begin */
    ACCEL_BODY_TENSORS, /* Open Inference: JSON, then raw tensors in a memory file */
};

enum accel_route_flag {
    ACCEL_ROUTE_PROBE = 1,      /* answered even when too many requests are under way */
    ACCEL_ROUTE_ANY_QUERY = 2,  /* unknown query parameters are passed over */
    ACCEL_ROUTE_HIDE_405 = 4,   /* its path with another method is 404 */
    ACCEL_ROUTE_NO_VERSION = 8, /* ignores OpenStack-API-Version */
    ACCEL_ROUTE_ANY_ACCEPT = 16,
    ACCEL_ROUTE_CACHED = 32, /* depends on request line, store and configuration, on nothing else:
                                not on who asks */
};

struct accel_route {
    const char *method, *pattern;
    const char *operation; /* operationId in api/openapi.yaml */
    accel_handler_fn *handler;
    enum accel_family family;
    enum accel_where where;
    enum accel_body body;
    enum accel_rule rule;
    const char *query; /* parameters it knows, blank-separated; NULL: none */
    unsigned flags;
};

const struct accel_route *accel_routes(size_t *count);

enum accel_route_match {
    ACCEL_ROUTE_FOUND,
    ACCEL_ROUTE_NO_PATH,
    ACCEL_ROUTE_NO_METHOD,
};

struct accel_routed {
    const struct accel_route *route; /* FOUND */
    const char *params[ACCEL_PARAMS_MAX];
    const char *path;         /* as routed: prefix gone, /v2 in front, no suffix */
    enum accel_family family; /* also when there is no route: how to word the error */
    char allow[80];           /* NO_METHOD */
};

/* Strips /accelerator and .json, puts v2 in front of an unknown first part, finds the row.
 * HEAD finds a GET row outside Cyborg's family. Errors: NOMEM. */
int accel_route_find(const char *method, struct accel_target *target, struct accel_bump *mem,
                     enum accel_route_match *match, struct accel_routed *routed,
                     struct accel_error *err);

/* Errors: INVALID `Unknown argument: "foo"`. */
int accel_route_check_query(const struct accel_route *route, const struct accel_target *target,
                            struct accel_error *err);

#endif
