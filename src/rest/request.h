/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_REST_REQUEST_H
#define ACCEL_REST_REQUEST_H

/* What a handler sees of a request and what it says in answer. No MHD type and no socket: a unit
 * test calls a handler with two structs. */

#include <jansson.h>

#include "base/bump.h"
#include "config/config.h"
#include "rest/http.h"
#include "service/service.h"
#include "store/store.h"

#define ACCEL_PARAMS_MAX 4

struct accel_route;
struct accel_rest_figures;

struct accel_request {
    const struct accel_config *config;
    struct accel_store *store;
    struct accel_service *service;
    const struct accel_rest_figures *figures; /* of the server itself; NULL in a unit test */
    struct accel_bump *mem;                   /* lives as long as the request */
    const struct accel_route *route;
    const char *path;                     /* as routed: "/v2/devices/60c3..." */
    const char *params[ACCEL_PARAMS_MAX]; /* of the route's {braces}, in order */
    const struct accel_pair *query;
    size_t query_count;
    const struct accel_pair *headers;
    size_t headers_count;
    struct accel_caller caller;
    int minor;        /* negotiated microversion 2.<minor> */
    const char *base; /* "http://host:6666": begins every link */

    /* One of these is the body, as the route says. */
    json_t *json;                /* borrowed; NULL when there was none */
    const char *text;            /* JSON part of an inference body; size without the NUL */
    size_t text_size;            /* */
    int body_fd;                 /* memory file with raw tensors, or -1 */
    size_t body_bytes;           /* in it */
    struct accel_upload *upload; /* file it was streamed to; the handler hands it on */

    const _Atomic bool *cancelled; /* the client hung up, or the server stops */
};

#define ACCEL_PIECES_MAX 256

struct accel_piece {
    const void *data;
    size_t size;
};

/* Events from behind `after` on (< 0: from now on) until one side hangs up. */
struct accel_response_stream {
    int64_t after;
    struct accel_event_filter filter; /* strings in req->mem or the request's own */
};

/* Zero-initialised by the server. Set `status` and at most one of body, text, pieces, stream.
 * Before failing, a handler may set `status` to override what the error's code would become. */
struct accel_response {
    int status;
    json_t *body;     /* new reference, owned by the response */
    const char *text; /* in req->mem or static, with content_type */
    size_t text_size;
    const char *content_type; /* NULL: application/json */
    /* Bytes that stay where they are (a mapped memory file) until release(context). */
    const struct accel_piece *pieces;
    size_t pieces_count;
    void (*release)(void *context);
    void *context;
    const struct accel_response_stream *stream; /* in req->mem */
    bool no_etag;                               /* a reading that is never the same twice */
    size_t headers_count;
    struct accel_pair headers[8];
};

typedef int accel_handler_fn(const struct accel_request *req, struct accel_response *res,
                             struct accel_error *err);

/* The first value of a query parameter or header (names of headers: any case); NULL: absent. */
const char *accel_request_query(const struct accel_request *req, const char *name);
size_t accel_request_query_times(const struct accel_request *req, const char *name);
const char *accel_request_header(const struct accel_request *req, const char *name);
/* limit and marker. Errors: INVALID. */
struct accel_paging {
    struct accel_page page; /* page.limit is one more than asked: tells whether there is a next */
    struct accel_uuid marker;
    size_t limit; /* 0: all */
};
int accel_request_paging(const struct accel_request *req, struct accel_paging *paging,
                         struct accel_error *err);
/* The page asked for begins behind a row that is not there: the client's mistake, not a 404. */
int accel_paging_fail(const struct accel_paging *paging, struct accel_error *err);
/* Rows of `count` to show. */
size_t accel_paging_shown(const struct accel_paging *paging, size_t count);
/* Wraps `list` (stolen) as {key: list, "links": [next]} when count says that more follow. */
int accel_respond_list(const struct accel_request *req, struct accel_response *res, const char *key,
                       json_t *list, const struct accel_paging *paging, size_t count,
                       const struct accel_uuid *last, struct accel_error *err);
/* Takes `body` (stolen; NULL: out of memory). */
int accel_respond(struct accel_response *res, int status, json_t *body, struct accel_error *err);
void accel_response_header(struct accel_response *res, const char *name, const char *value);
/* Fails with a status that no code stands for. */
ACCEL_PRINTF(5, 6)
int accel_refuse(struct accel_response *res, int status, struct accel_error *err,
                 enum accel_code code, const char *fmt, ...);
/* A uuid from a path or a query. Errors: INVALID "field: ..."  */
int accel_request_uuid(const char *field, const char *text, struct accel_uuid *uuid,
                       struct accel_error *err);

/* JSON's values. A string that is no UTF-8 (from hardware) has its bytes replaced by '?'. */
json_t *accel_json_text(const char *text);              /* NULL: null */
json_t *accel_json_uuid(const struct accel_uuid *uuid); /* "": null */
/* [{"href": "<base>/accelerator/v2/<kind>/<uuid>", "rel": "self"}] */
json_t *accel_json_links(const struct accel_request *req, const char *kind, const char *id);
/* Adds to an object; false when memory is out. Steals value. */
bool accel_json_set(json_t *object, const char *key, json_t *value);
/* Adds to an array. When memory is out, or value is NULL, *list is released and becomes NULL.
 * Steals value. */
void accel_json_append(json_t **list, json_t *value);
/* A JSON document of our own making (from the store) as a value; null when it does not parse. */
json_t *accel_json_stored(const char *text);

/* Parses a client's JSON: at most max_depth levels, no key twice. Errors: INVALID (line, column,
 * reason), LIMIT (depth), NOMEM. */
#define ACCEL_JSON_DEPTH 32
json_t *accel_json_parse(const char *text, size_t size, unsigned max_depth,
                         struct accel_error *err);

/* What the body of one of our own routes must be: an object without members nobody reads. NULL in
 * `known` ends. Errors: INVALID. */
int accel_json_check_object(const json_t *json, const char *what, const char *const *known,
                            struct accel_error *err);

#endif
