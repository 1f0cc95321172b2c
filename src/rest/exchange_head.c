/* SPDX-License-Identifier: Apache-2.0 */
#include "rest/exchange.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/fd.h"

#define HEADERS_MAX 100

static enum MHD_Result add_header(void *cls, enum MHD_ValueKind kind, const char *name,
                                  const char *value)
{
    struct exchange *ex = cls;
    struct accel_pair *pairs = (struct accel_pair *)ex->req.headers;

    (void)kind;
    if (ex->req.headers_count == HEADERS_MAX)
        return MHD_NO;
    pairs[ex->req.headers_count++] = (struct accel_pair){name, value != NULL ? value : ""};
    return MHD_YES;
}

static int read_headers(struct exchange *ex)
{
    /* The strings live in the connection's memory until the exchange is freed. */
    ex->req.headers = accel_bump_alloc(&ex->mem, HEADERS_MAX, sizeof(struct accel_pair));
    if (ex->req.headers == NULL)
        return accel_fail(&ex->err, ACCEL_E_NOMEM, "no memory for the headers");
    MHD_get_connection_values(ex->mhd, MHD_HEADER_KIND, add_header, ex);
    return ACCEL_OK;
}

static int check_headers(struct exchange *ex)
{
    if (MHD_get_connection_values(ex->mhd, MHD_HEADER_KIND, NULL, NULL) > HEADERS_MAX)
        return accel_refuse(&ex->res, 431, &ex->err, ACCEL_E_LIMIT, "more than %d header lines",
                            HEADERS_MAX);
    return ACCEL_OK;
}

static int make_request_id(struct exchange *ex)
{
    const char *given = accel_request_header(&ex->req, "X-Openstack-Request-Id");
    struct accel_uuid uuid;

    if (accel_http_is_request_id(given)) {
        snprintf(ex->request_id, sizeof(ex->request_id), "%s", given);
        return ACCEL_OK;
    }
    if (accel_uuid_new(&uuid, &ex->err) != ACCEL_OK)
        return (int)ex->err.code;
    snprintf(ex->request_id, sizeof(ex->request_id), "req-%s", uuid.text);
    return ACCEL_OK;
}

static int find_route(struct exchange *ex)
{
    enum accel_route_match match;

    const int rc = accel_http_parse_target(ex->target, &ex->mem, &ex->parsed, &ex->err);
    struct accel_error err;

    /* Also of a target that is broken further on: tells how to word that. */
    if (accel_route_find(ex->method, &ex->parsed, &ex->mem, &match, &ex->routed, &err) !=
        ACCEL_OK) {
        ex->routed.path = "?";
        return accel_fail(&ex->err, err.code, "%s", err.msg);
    }
    if (rc != ACCEL_OK)
        return rc;
    ex->req.path = ex->routed.path;
    ex->req.route = ex->routed.route;
    if (match == ACCEL_ROUTE_NO_PATH)
        return accel_fail(&ex->err, ACCEL_E_NOT_FOUND,
                          "there is nothing at %.200s (GET /openapi.json lists what there is)",
                          ex->routed.path);
    if (match == ACCEL_ROUTE_NO_METHOD) {
        accel_response_header(&ex->res, "Allow", ex->routed.allow);
        return accel_refuse(&ex->res, 405, &ex->err, ACCEL_E_UNSUPPORTED,
                            "%.200s takes %s, not %.20s", ex->routed.path, ex->routed.allow,
                            ex->method);
    }
    memcpy(ex->req.params, ex->routed.params, sizeof(ex->req.params));
    return ACCEL_OK;
}

static int check_version(struct exchange *ex)
{
    const struct accel_route *route = ex->routed.route;

    if (route->family != ACCEL_FAMILY_CYBORG || (route->flags & ACCEL_ROUTE_NO_VERSION) != 0)
        return ACCEL_OK;
    const char *asked = accel_request_header(&ex->req, "OpenStack-API-Version");
    const enum accel_microversion found = accel_http_microversion(asked, &ex->req.minor);

    if (found == ACCEL_MICROVERSION_MALFORMED)
        return accel_fail(&ex->err, ACCEL_E_NOT_ACCEPTABLE,
                          "OpenStack-API-Version: expected \"accelerator 2.0\" to \"accelerator "
                          "2.%d\" or \"accelerator latest\", got \"%.80s\"",
                          ACCEL_MINOR_MAX, asked);
    accel_response_header(&ex->res, "OpenStack-API-Minimum-Version", "2.0");
    accel_response_header(&ex->res, "OpenStack-API-Maximum-Version", "2.3");
    accel_response_header(&ex->res, "Vary", "OpenStack-API-Version");
    if (found == ACCEL_MICROVERSION_OUT_OF_RANGE)
        return accel_fail(&ex->err, ACCEL_E_NOT_ACCEPTABLE,
                          "Version %.80s was requested but the minimum is 2.0 and the maximum 2.%d",
                          asked, ACCEL_MINOR_MAX);
    accel_response_header(&ex->res, "OpenStack-API-Version",
                          accel_bump_printf(&ex->mem, "accelerator 2.%d", ex->req.minor));
    return ACCEL_OK;
}

static int check_types(struct exchange *ex)
{
    const struct accel_route *route = ex->routed.route;
    const char *accept = accel_request_header(&ex->req, "Accept");
    const char *type = accel_request_header(&ex->req, "Content-Type");
    const char *coding = accel_request_header(&ex->req, "Content-Encoding");

    if ((route->flags & ACCEL_ROUTE_ANY_ACCEPT) == 0 && route->family != ACCEL_FAMILY_OIP &&
        !accel_http_accepts(accept, "application/json"))
        return accel_fail(&ex->err, ACCEL_E_NOT_ACCEPTABLE,
                          "Accept: \"%.80s\" leaves out application/json, all there is", accept);
    if (route->body == ACCEL_BODY_NONE)
        return ACCEL_OK;
    if (coding != NULL && strcasecmp(coding, "identity") != 0)
        return accel_refuse(&ex->res, 415, &ex->err, ACCEL_E_UNSUPPORTED,
                            "Content-Encoding: \"%.40s\" is not taken, send the body as it is",
                            coding);
    if (route->body != ACCEL_BODY_JSON)
        return ACCEL_OK;
    if (accel_http_is_type(type, "application/x-www-form-urlencoded") &&
        route->family == ACCEL_FAMILY_CYBORG)
        return accel_fail(&ex->err, ACCEL_E_INVALID,
                          "Content-Type: expected application/json, got a form");
    if (!accel_http_is_type(type, "application/json"))
        return accel_refuse(&ex->res, 415, &ex->err, ACCEL_E_UNSUPPORTED,
                            "Content-Type: expected application/json, got \"%.80s\"",
                            type != NULL ? type : "nothing");
    return ACCEL_OK;
}

/* Takes one of limits.requests places. */
static int take_place(struct exchange *ex, const struct accel_config *config)
{
    struct accel_rest_figures *figures = &ex->rest->figures;

    if (ex->routed.route->flags & ACCEL_ROUTE_PROBE)
        return ACCEL_OK;
    ex->counted = true;
    if (atomic_fetch_add(&figures->under_way, 1) < config->limits.requests)
        return ACCEL_OK;
    atomic_fetch_add(&figures->refused, 1);
    return accel_fail(&ex->err, ACCEL_E_BUSY,
                      "%u requests are under way (limits.requests): try again in a second",
                      config->limits.requests);
}

static int begin_body(struct exchange *ex, const struct accel_config *config)
{
    const char *length = accel_request_header(&ex->req, "Content-Length");
    const char *head = accel_request_header(&ex->req, "Inference-Header-Content-Length");
    int64_t announced = 0, json = 0;
    const char *limit = "limits.json_bytes";

    ex->text_wanted = SIZE_MAX;
    switch (ex->routed.route->body) {
    case ACCEL_BODY_NONE:
        ex->limit = SWALLOW_BYTES;
        return ACCEL_OK;
    case ACCEL_BODY_JSON:
        ex->limit = config->limits.json_bytes;
        break;
    case ACCEL_BODY_UPLOAD:
        ex->limit = config->limits.upload_bytes;
        limit = "limits.model_bytes";
        break;
    case ACCEL_BODY_TENSORS:
        ex->limit = config->limits.infer_bytes;
        limit = "limits.infer_bytes";
        break;
    }
    if (length != NULL && !accel_http_parse_number(length, 0, INT64_MAX, &announced))
        return accel_fail(&ex->err, ACCEL_E_INVALID, "Content-Length: not a number");
    if ((uint64_t)announced > ex->limit)
        return accel_fail(&ex->err, ACCEL_E_LIMIT, "the body has %lld bytes, the limit (%s) is %zu",
                          (long long)announced, limit, ex->limit);
    if (ex->routed.route->body == ACCEL_BODY_UPLOAD) {
        if (accel_service_upload_begin(ex->rest->service, &ex->upload, &ex->err) != ACCEL_OK)
            return (int)ex->err.code;
        ex->uploading = true;
        ex->req.upload = &ex->upload;
    }
    if (ex->routed.route->body == ACCEL_BODY_TENSORS && head != NULL) {
        if (!accel_http_parse_number(head, 2, (int64_t)config->limits.json_bytes, &json))
            return accel_fail(&ex->err, ACCEL_E_INVALID,
                              "Inference-Header-Content-Length: expected 2 to %zu, got \"%.40s\"",
                              config->limits.json_bytes, head);
        ex->text_wanted = (size_t)json;
        return accel_memfd_new("tensors", 0, &ex->body_fd, &ex->err);
    }
    return ACCEL_OK;
}

int accel_exchange_begin(struct exchange *ex)
{
    /* In this order: what an older configuration said is kept under an older number. */
    const unsigned reloads = atomic_load(&ex->rest->reloads);
    const struct accel_config *config = atomic_load(&ex->rest->config);
    struct accel_request *req = &ex->req;
    struct connection *connection = ex->connection;
    const char *host;

    ex->reloads = reloads;
    req->config = config;
    req->store = ex->rest->store;
    req->service = ex->rest->service;
    req->figures = &ex->rest->figures;
    req->mem = &ex->mem;
    req->body_fd = -1;
    req->cancelled = &ex->cancelled;
    ex->routed.family = ACCEL_FAMILY_OWN;
    ex->routed.path = "?";
    accel_exchange_list(ex);
    if (read_headers(ex) != ACCEL_OK || make_request_id(ex) != ACCEL_OK ||
        find_route(ex) != ACCEL_OK || check_headers(ex) != ACCEL_OK)
        return (int)ex->err.code;
    if (atomic_load(&ex->rest->stopping))
        return accel_fail(&ex->err, ACCEL_E_UNAVAILABLE, "the daemon is stopping");
    if (connection == NULL || !connection->known)
        return accel_fail(&ex->err, ACCEL_E_INTERNAL, "nobody knows who is connected");
    host = accel_request_header(req, "Host");
    if (accel_identity_of_request(config, &connection->peer, host,
                                  accel_request_header(req, "Origin"), &ex->mem, &req->caller,
                                  &ex->err) != ACCEL_OK)
        return (int)ex->err.code;
    req->caller.request_id = ex->request_id;
    /* Over the unix socket a client may call the host anything. */
    if (connection->peer.is_unix && !accel_http_host_is_loopback(host))
        host = "localhost";
    req->base = accel_bump_printf(&ex->mem, "http://%s", host);
    if (req->base == NULL)
        return accel_fail(&ex->err, ACCEL_E_NOMEM, "no memory for links");
    if (check_version(ex) != ACCEL_OK || take_place(ex, config) != ACCEL_OK ||
        accel_policy_check(ex->routed.route->rule, &req->caller, &ex->err) != ACCEL_OK ||
        check_types(ex) != ACCEL_OK ||
        accel_route_check_query(ex->routed.route, &ex->parsed, &ex->err) != ACCEL_OK)
        return (int)ex->err.code;
    req->query = ex->parsed.query;
    req->query_count = ex->parsed.query_count;
    atomic_store(&connection->watched.deadline_ms, accel_now_ms() + config->limits.request_ms);
    return begin_body(ex, config);
}
