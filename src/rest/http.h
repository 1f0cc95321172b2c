/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_REST_HTTP_H
#define ACCEL_REST_HTTP_H

/* Parsers of what a stranger writes into a request line and its headers. Pure: bytes in, structs in
 * bump memory out; no socket, no MHD type, so that a test or a fuzzer calls them directly. */

#include "base/bump.h"

struct accel_pair {
    const char *name, *value;
};

#define ACCEL_SEGMENTS_MAX 12
#define ACCEL_QUERY_MAX    64

/* "/v2/devices/x%20y?type=GPU&type=": the parts, percent-decoded. */
struct accel_target {
    size_t segments_count;
    const char *segments[ACCEL_SEGMENTS_MAX + 1]; /* one to spare for a prefix put in front */
    size_t query_count;
    const struct accel_pair *query;
};

/* Errors: INVALID (no path, bad escape, a NUL, bytes that are no UTF-8), LIMIT (too many parts),
 * NOMEM. *out can be routed in any case: a path that is broken matches nothing. */
int accel_http_parse_target(const char *target, struct accel_bump *mem, struct accel_target *out,
                            struct accel_error *err);

bool accel_http_is_utf8(const char *text, size_t size);
/* For a query value of our own links. NULL when memory is out. */
char *accel_http_encode(struct accel_bump *mem, const char *text);

/* True when the Accept header (NULL: absent) takes this media type ("application/json"). */
bool accel_http_accepts(const char *accept, const char *type);
/* True when the Content-Type is this media type, whatever its parameters. */
bool accel_http_is_type(const char *content_type, const char *type);
/* True when the If-None-Match list names this entity tag (weak comparison) or is "*". */
bool accel_http_etag_matches(const char *if_none_match, const char *etag);

#define ACCEL_MINOR_MAX 3
enum accel_microversion {
    ACCEL_MICROVERSION_OK,
    ACCEL_MICROVERSION_OUT_OF_RANGE,
    ACCEL_MICROVERSION_MALFORMED,
};
/* OpenStack-API-Version: "accelerator 2.3", "compute 2.60,accelerator latest", "2.3"; NULL: 2.0.
 * *minor (out): what was negotiated of 2.x. */
enum accel_microversion accel_http_microversion(const char *header, int *minor);

/* "localhost", "127.0.0.1:6666", "[::1]:6666", 127/8: names a loopback address. */
bool accel_http_host_is_loopback(const char *host);
/* An Origin header a browser page of this host would send: http(s)://<loopback host>. "null" and
 * everything else is foreign. */
bool accel_http_origin_is_local(const char *origin);
/* req-<uuid> in lower case: what may be taken over from a client into logs. */
bool accel_http_is_request_id(const char *text);
/* A decimal number in min..max and nothing else. */
bool accel_http_parse_number(const char *text, int64_t min, int64_t max, int64_t *number);
/* "true", "1", "yes"; "false", "0", "no". */
bool accel_http_parse_bool(const char *text, bool *value);

#endif
