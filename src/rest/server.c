/* SPDX-License-Identifier: Apache-2.0 */
#include "rest/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "rest/cache.h"
#include "rest/identity.h"
#include "rest/pool.h"
#include "rest/rest.h"
#include "rest/router.h"
#include "rest/streams.h"
#include "rest/watch.h"

#define DAEMONS_MAX      8
#define QUICK_THREADS    8
#define LONG_THREADS     16
#define HEADERS_MAX      100
#define IDLE_S           60          /* a kept-alive connection without a request */
#define HEADERS_MS       30000       /* from the first byte of a request to its last header */
#define INLINE_BYTES     (64u << 10) /* larger JSON is parsed on the pool */
#define CHUNK_BYTES      (1u << 20)  /* an upload is written in pieces of this size */
#define SWALLOW_BYTES    (16u << 20) /* of a refused body: read on, so that the answer is seen */
#define SLOWEST_BYTES_S  (64u << 10) /* an upload slower than this is given up */
#define STREAM_BYTES     4096        /* of events, sent at once */
#define CACHE_BYTES      (4u << 20)  /* of answers that are kept until the store changes */
#define CONNECTION_BYTES (64u << 10) /* libmicrohttpd's memory for headers and read buffer */

struct accel_rest {
    const struct accel_config *_Atomic config;
    struct accel_store *store;
    struct accel_service *service;
    struct MHD_Daemon *daemons[DAEMONS_MAX];
    size_t daemons_count;
    struct accel_task_pool *quick, *slow;
    struct accel_watch *watch;
    struct accel_streams *streams;
    struct accel_cache *cache;
    _Atomic unsigned reloads; /* of the configuration: part of the cache's keys */
    gid_t admin_gid;
    bool has_admin_gid;
    _Atomic bool stopping;
    struct accel_rest_figures figures;

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t fewer;
    struct exchange *first; /* exchanges under way */
};

/* One accepted connection. */
struct connection {
    struct accel_watched watched;
    struct accel_peer_identity peer;
    bool known;
};

enum phase {
    PHASE_NEW,     /* request line is there, headers are coming */
    PHASE_BODY,    /* routed; the body is coming */
    PHASE_SWALLOW, /* refused; the rest of the body is read and dropped */
    PHASE_WRITING, /* suspended while a piece of an upload is written */
    PHASE_RUNNING, /* suspended while the handler runs on a pool */
    PHASE_DONE,    /* the answer is ready */
};

/* One request and its answer. Only one thread has it at a time: the event loop, or a pool's thread
 * between suspend and resume. */
struct exchange {
    struct accel_task task; /* first: the pool hands it back */
    struct exchange *next, *previous;
    struct accel_rest *rest;
    struct connection *connection;
    struct MHD_Connection *mhd;
    _Atomic enum phase phase; /* the loop may look while a pool has the exchange */
    bool listed, counted, too_large;
    _Atomic bool cancelled;
    char *target;
    const char *method;
    char request_id[48];
    int64_t started_ns;

    struct accel_bump mem;
    struct accel_target parsed;
    struct accel_routed routed;
    struct accel_request req;
    struct accel_response res;
    struct accel_error err;
    int rc;

    size_t received, limit;
    struct accel_buf text; /* JSON */
    size_t text_wanted;    /* TENSORS: bytes of JSON in front; SIZE_MAX: all of it */
    int body_fd;           /* TENSORS */
    struct accel_upload upload;
    bool uploading;
    struct accel_stream *stream; /* the answer is one */

    char *chunk; /* CHUNK_BYTES, filled up to chunk_size */
    size_t chunk_size;

    struct accel_buf out; /* encoded answer */
    const char *out_type;
    char etag[32];
    int status;
    unsigned reloads;
    const char *cache_key; /* NULL: the answer is not to be kept */
    uint64_t generation;   /* of the store, before anything was read */
    const struct accel_cached *cached;
};

/* ---------------------------------------------------------------- life of an exchange */

static void *on_uri(void *cls, const char *uri, struct MHD_Connection *mhd)
{
    struct accel_rest *rest = cls;
    struct exchange *ex = accel_calloc(1, sizeof(*ex));
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    if (ex == NULL)
        return NULL;
    ex->rest = rest;
    ex->mhd = mhd;
    ex->body_fd = -1;
    ex->started_ns = accel_now_ns();
    ex->connection = info != NULL ? info->socket_context : NULL;
    ex->target = accel_strdup(uri);
    if (ex->connection != NULL)
        atomic_store(&ex->connection->watched.deadline_ms, accel_now_ms() + HEADERS_MS);
    return ex;
}

static void exchange_list(struct exchange *ex)
{
    struct accel_rest *rest = ex->rest;

    pthread_mutex_lock(&rest->lock);
    ex->next = rest->first;
    if (ex->next != NULL)
        ex->next->previous = ex;
    rest->first = ex;
    ex->listed = true;
    pthread_mutex_unlock(&rest->lock);
}

static void exchange_unlist(struct exchange *ex)
{
    struct accel_rest *rest = ex->rest;

    if (!ex->listed)
        return;
    pthread_mutex_lock(&rest->lock);
    if (ex->previous != NULL)
        ex->previous->next = ex->next;
    else
        rest->first = ex->next;
    if (ex->next != NULL)
        ex->next->previous = ex->previous;
    pthread_cond_broadcast(&rest->fewer);
    pthread_mutex_unlock(&rest->lock);
}

static void log_access(const struct exchange *ex)
{
    const double ms = (double)(accel_now_ns() - ex->started_ns) / 1e6;
    const bool reads = strcmp(ex->method, "GET") == 0 || strcmp(ex->method, "HEAD") == 0;
    const struct accel_route *route = ex->routed.route;
    /* Whoever probes an unready daemon every second knows already. */
    const bool probe = route != NULL && (route->flags & ACCEL_ROUTE_PROBE) != 0;
    const enum accel_log_level level = probe               ? ACCEL_LOG_DEBUG
                                       : ex->status >= 500 ? ACCEL_LOG_WARNING
                                       : reads             ? ACCEL_LOG_DEBUG
                                                           : ACCEL_LOG_INFO;

    if (ex->rc != ACCEL_OK)
        accel_log(level, "request refused",
                  "method=%s path=\"%s\" status=%d ms=%.1f user=%s why=\"%s\"", ex->method,
                  ex->routed.path != NULL ? ex->routed.path : "?", ex->status, ms,
                  ex->req.caller.user != NULL ? ex->req.caller.user : "?", ex->err.msg);
    else
        accel_log(level, "request", "method=%s path=\"%s\" status=%d ms=%.1f user=%s", ex->method,
                  ex->routed.path, ex->status, ms,
                  ex->req.caller.user != NULL ? ex->req.caller.user : "?");
}

static void exchange_free(struct exchange *ex)
{
    struct accel_rest_figures *figures = &ex->rest->figures;

    if (ex->status != 0) {
        accel_log_set_request(ex->request_id);
        log_access(ex);
        accel_log_set_request(NULL);
        atomic_fetch_add(&figures->answers[ex->routed.family][ACCEL_MIN(ex->status / 100, 5)], 1);
        /* How long somebody listened is no time that an answer took. */
        if (ex->stream == NULL)
            atomic_fetch_add(&figures->seconds_ns, (uint64_t)(accel_now_ns() - ex->started_ns));
    }
    if (ex->stream != NULL)
        accel_watch_hangup(ex->rest->watch, &ex->connection->watched, NULL);
    accel_stream_close(ex->stream);
    if (ex->counted)
        atomic_fetch_sub(&figures->under_way, 1);
    exchange_unlist(ex);
    if (ex->uploading)
        accel_service_upload_discard(ex->rest->service, &ex->upload);
    if (ex->res.release != NULL)
        ex->res.release(ex->res.context);
    accel_cache_release(ex->rest->cache, ex->cached);
    json_decref(ex->res.body);
    json_decref(ex->req.json);
    accel_closep(&ex->body_fd);
    accel_buf_free(&ex->text);
    accel_buf_free(&ex->out);
    accel_freep(&ex->chunk);
    accel_freep(&ex->target);
    accel_bump_free(&ex->mem);
    accel_free(ex);
}

static void on_completed(void *cls, struct MHD_Connection *mhd, void **con_cls,
                         enum MHD_RequestTerminationCode why)
{
    struct exchange *ex = *con_cls;

    (void)cls;
    (void)mhd;
    if (ex == NULL)
        return;
    *con_cls = NULL;
    if (ex->connection != NULL)
        atomic_store(&ex->connection->watched.deadline_ms, accel_now_ms() + IDLE_S * 1000);
    if (why == MHD_REQUEST_TERMINATED_CLIENT_ABORT && ex->method != NULL)
        accel_log_debug("client hung up", "request=%s method=%s", ex->request_id, ex->method);
    exchange_free(ex);
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    struct accel_rest *rest = cls;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct connection *connection = *context;
    struct accel_error err;

    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (connection != NULL) {
            accel_watch_remove(rest->watch, &connection->watched);
            atomic_fetch_sub(&rest->figures.connections, 1);
            accel_free(connection);
        }
        *context = NULL;
        return;
    }
    connection = accel_calloc(1, sizeof(*connection));
    *context = connection;
    if (connection == NULL || info == NULL)
        return;
    atomic_fetch_add(&rest->figures.connections, 1);
    connection->watched.fd = info->connect_fd;
    atomic_store(&connection->watched.deadline_ms, accel_now_ms() + IDLE_S * 1000);
    connection->known =
        accel_identity_of_socket(info->connect_fd, rest->has_admin_gid ? &rest->admin_gid : NULL,
                                 &connection->peer, &err) == ACCEL_OK;
    if (!connection->known)
        accel_log_warning("connection of nobody", "why=\"%s\"", err.msg);
    accel_watch_add(rest->watch, &connection->watched);
}

/* ---------------------------------------------------------------- the head of a request */

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

static int begin(struct exchange *ex)
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
    exchange_list(ex);
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

/* ---------------------------------------------------------------- the body */

static int write_chunk(struct exchange *ex)
{
    const size_t size = ex->chunk_size;

    ex->chunk_size = 0;
    return accel_write_all(ex->upload.fd, ex->chunk, size, "upload", &ex->err);
}

static void write_chunk_task(struct accel_task *task)
{
    struct exchange *ex = (struct exchange *)task;

    accel_log_set_request(ex->request_id);
    ex->rc = write_chunk(ex);
    ex->phase = ex->rc == ACCEL_OK ? PHASE_BODY : PHASE_SWALLOW;
    accel_log_set_request(NULL);
    MHD_resume_connection(ex->mhd);
}

/* Copies into the chunk; a full one is written on the pool, the connection suspended meanwhile. */
static int take_upload(struct exchange *ex, const char *data, size_t size, size_t *taken)
{
    struct accel_error err;

    if (ex->chunk == NULL)
        ex->chunk = accel_malloc(CHUNK_BYTES);
    if (ex->chunk == NULL)
        return accel_fail(&ex->err, ACCEL_E_NOMEM, "no memory for the upload's buffer");
    *taken = ACCEL_MIN(size, CHUNK_BYTES - ex->chunk_size);
    memcpy(ex->chunk + ex->chunk_size, data, *taken);
    ex->chunk_size += *taken;
    if (ex->chunk_size < CHUNK_BYTES)
        return ACCEL_OK;
    ex->phase = PHASE_WRITING;
    ex->task.run = write_chunk_task;
    MHD_suspend_connection(ex->mhd);
    /* Once it is queued, the exchange is the pool's. */
    if (accel_task_pool_add(ex->rest->slow, &ex->task, &err) != ACCEL_OK) {
        ex->rc = accel_fail(&ex->err, err.code, "%s", err.msg);
        ex->phase = PHASE_SWALLOW;
        MHD_resume_connection(ex->mhd);
    }
    return ACCEL_OK;
}

static int take_text(struct exchange *ex, const char *data, size_t size)
{
    accel_buf_append(&ex->text, data, size);
    if (accel_buf_failed(&ex->text))
        return accel_fail(&ex->err, ACCEL_E_NOMEM, "no memory for the body");
    return ACCEL_OK;
}

static int take_tensors(struct exchange *ex, const char *data, size_t size)
{
    const size_t text = ex->text_wanted == SIZE_MAX ? size
                        : ex->text.size < ex->text_wanted
                            ? ACCEL_MIN(size, ex->text_wanted - ex->text.size)
                            : 0;

    if (text > 0 && take_text(ex, data, text) != ACCEL_OK)
        return (int)ex->err.code;
    if (text < size)
        return accel_write_all(ex->body_fd, data + text, size - text, "tensors", &ex->err);
    return ACCEL_OK;
}

static int take_body(struct exchange *ex, const char *data, size_t size, size_t *taken)
{
    struct connection *connection = ex->connection;

    *taken = size;
    if (ex->received + size > ex->limit)
        return accel_fail(&ex->err, ACCEL_E_LIMIT, "the body has more than %zu bytes", ex->limit);
    switch (ex->routed.route->body) {
    case ACCEL_BODY_NONE:
        break;
    case ACCEL_BODY_JSON:
        return take_text(ex, data, size);
    case ACCEL_BODY_TENSORS:
        return take_tensors(ex, data, size);
    case ACCEL_BODY_UPLOAD:
        atomic_store(&connection->watched.deadline_ms,
                     ex->started_ns / 1000000 + ex->req.config->limits.request_ms +
                         (int64_t)(ex->received / SLOWEST_BYTES_S) * 1000);
        return take_upload(ex, data, size, taken);
    }
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- the handler */

static int parse_body(struct exchange *ex)
{
    struct accel_request *req = &ex->req;

    switch (ex->routed.route->body) {
    case ACCEL_BODY_NONE:
        return ACCEL_OK;
    case ACCEL_BODY_JSON:
        if (ex->text.size == 0)
            return accel_fail(&ex->err, ACCEL_E_INVALID, "the body is empty");
        req->json = accel_json_parse(ex->text.data, ex->text.size, ACCEL_JSON_DEPTH, &ex->err);
        accel_buf_free(&ex->text);
        return req->json != NULL ? ACCEL_OK : (int)ex->err.code;
    case ACCEL_BODY_UPLOAD:
        if (ex->received == 0)
            return accel_fail(&ex->err, ACCEL_E_INVALID, "the body is empty");
        /* From here on the handler has it. */
        if (ex->chunk_size > 0 && write_chunk(ex) != ACCEL_OK)
            return (int)ex->err.code;
        ex->uploading = false;
        return ACCEL_OK;
    case ACCEL_BODY_TENSORS:
        if (ex->text_wanted != SIZE_MAX && ex->text.size < ex->text_wanted)
            return accel_fail(&ex->err, ACCEL_E_INVALID,
                              "Inference-Header-Content-Length: says %zu bytes, the body has %zu",
                              ex->text_wanted, ex->text.size);
        if (ex->text.size == 0)
            return accel_fail(&ex->err, ACCEL_E_INVALID, "the body is empty");
        req->text = ex->text.data;
        req->text_size = ex->text.size;
        req->body_fd = ex->body_fd;
        req->body_bytes = ex->received - ex->text.size;
        return ACCEL_OK;
    }
    return ACCEL_OK;
}

static int into_out(const char *bytes, size_t size, void *buf)
{
    accel_buf_append(buf, bytes, size);
    return accel_buf_failed(buf) ? -1 : 0;
}

/* A hash of what is sent: right for every representation, whatever row or microversion it is of. */
static void make_etag(struct exchange *ex, const char *bytes, size_t size)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a */

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * 1099511628211u;
    snprintf(ex->etag, sizeof(ex->etag), "W/\"%016llx\"", (unsigned long long)hash);
}

static void encode_error(struct exchange *ex)
{
    /* Before the answer: who is refused finds nothing left behind. */
    if (ex->uploading) {
        accel_service_upload_discard(ex->rest->service, &ex->upload);
        ex->uploading = false;
    }
    accel_buf_free(&ex->out);
    ex->status = ex->res.status >= 400 ? ex->res.status : accel_error_status(ex->err.code);
    ex->out_type = accel_error_body(ex->routed.family, ex->status, &ex->err, ex->routed.path,
                                    ex->request_id, &ex->out);
    if (ex->status == 429 || ex->status == 503)
        accel_response_header(&ex->res, "Retry-After", "1");
}

static void wake_stream(void *context)
{
    MHD_resume_connection(context);
}

static int open_stream(struct exchange *ex)
{
    const struct accel_response_stream *asked = ex->res.stream;
    const struct accel_stream_options options = {
        .after = asked->after,
        .filter = asked->filter,
        .max = ex->req.config->limits.event_streams,
        .cancelled = &ex->cancelled,
        .wake = wake_stream,
        .context = ex->mhd,
    };

    if (strcmp(ex->method, "HEAD") == 0)
        return ACCEL_OK;
    return accel_stream_open(ex->rest->streams, &options, &ex->stream, &ex->err);
}

/* An answer that carries its tag may be one that the client has. */
static void tag(struct exchange *ex)
{
    struct accel_response *res = &ex->res;

    accel_response_header(res, "ETag", ex->etag);
    if (accel_http_etag_matches(accel_request_header(&ex->req, "If-None-Match"), ex->etag)) {
        accel_buf_free(&ex->out);
        res->text = NULL;
        res->text_size = 0;
        ex->status = 304;
    }
}

static int encode_body(struct exchange *ex)
{
    struct accel_response *res = &ex->res;

    ex->status = res->status;
    if (res->stream != NULL) {
        ex->out_type = res->content_type;
        return open_stream(ex);
    }
    if (res->body != NULL &&
        json_dump_callback(res->body, into_out, &ex->out,
                           JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15)) != 0)
        return accel_fail(&ex->err, ACCEL_E_NOMEM, "no memory for the answer");
    json_decref(res->body);
    res->body = NULL;
    ex->out_type = res->content_type != NULL ? res->content_type : "application/json";
    if (res->status == 200 && strcmp(ex->method, "GET") == 0 && !res->no_etag &&
        res->pieces_count == 0) {
        const bool text = res->text != NULL;

        make_etag(ex, text ? res->text : ex->out.data, text ? res->text_size : ex->out.size);
        if (ex->cache_key != NULL)
            accel_cache_put(ex->rest->cache, ex->cache_key, ex->generation, ex->out.data,
                            ex->out.size, ex->etag);
        tag(ex);
    }
    return ACCEL_OK;
}

static void run_handler(struct exchange *ex)
{
    accel_log_set_request(ex->request_id);
    if (ex->rc == ACCEL_OK)
        ex->rc = parse_body(ex);
    if (ex->rc == ACCEL_OK)
        ex->rc = ex->routed.route->handler(&ex->req, &ex->res, &ex->err);
    if (ex->rc == ACCEL_OK)
        ex->rc = encode_body(ex);
    if (ex->rc != ACCEL_OK)
        encode_error(ex);
    ex->phase = PHASE_DONE;
    accel_log_set_request(NULL);
}

static void run_task(struct accel_task *task)
{
    struct exchange *ex = (struct exchange *)task;

    run_handler(ex);
    accel_watch_hangup(ex->rest->watch, &ex->connection->watched, NULL);
    MHD_resume_connection(ex->mhd);
}

/* ---------------------------------------------------------------- the answer */

static struct MHD_Response *pieces_response(struct exchange *ex)
{
    struct accel_response *res = &ex->res;
    struct MHD_IoVec *pieces = accel_bump_alloc(&ex->mem, res->pieces_count, sizeof(*pieces));
    struct MHD_Response *made;

    if (pieces == NULL)
        return NULL;
    for (size_t i = 0; i < res->pieces_count; i++)
        pieces[i] = (struct MHD_IoVec){res->pieces[i].data, res->pieces[i].size};
    /* Sent before the exchange is freed, which is when release() is called: a response belongs to
     * one request here and dies with it. */
    made = MHD_create_response_from_iovec(pieces, (unsigned)res->pieces_count, NULL, NULL);
    return made;
}

/* On the event loop, which asks again whenever it has sent what it got. */
static ssize_t read_stream(void *cls, uint64_t position, char *out, size_t size)
{
    struct exchange *ex = cls;
    const ssize_t n = accel_stream_read(ex->stream, out, size);

    (void)position;
    if (n < 0)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (n == 0) {
        /* In this order: it may be resumed before the wait returns. */
        MHD_suspend_connection(ex->mhd);
        accel_stream_wait(ex->stream);
    }
    return n;
}

static struct MHD_Response *stream_response(struct exchange *ex)
{
    struct accel_rest_figures *figures = &ex->rest->figures;

    /* Streams have a limit of their own and keep no request out. */
    if (ex->counted)
        atomic_fetch_sub(&figures->under_way, 1);
    ex->counted = false;
    accel_watch_hangup(ex->rest->watch, &ex->connection->watched, &ex->cancelled);
    return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BYTES, read_stream, ex, NULL);
}

static enum MHD_Result respond(struct exchange *ex)
{
    struct accel_response *res = &ex->res;
    struct MHD_Response *made;
    enum MHD_Result queued;
    size_t size = 0;

    if (ex->rc != ACCEL_OK && ex->status == 0)
        encode_error(ex);
    ex->phase = PHASE_DONE;
    if (ex->rc == ACCEL_OK && res->pieces_count > 0) {
        size = 1;
        made = pieces_response(ex);
    } else if (ex->rc == ACCEL_OK && ex->stream != NULL) {
        size = 1;
        made = stream_response(ex);
    } else if (ex->rc == ACCEL_OK && res->text != NULL) {
        size = res->text_size;
        made = MHD_create_response_from_buffer(size, (void *)res->text, MHD_RESPMEM_PERSISTENT);
    } else {
        size = ex->out.size;
        /* Persistent: the exchange outlives its answer, on_completed frees both. */
        made = MHD_create_response_from_buffer(size, ex->out.data, MHD_RESPMEM_PERSISTENT);
    }
    if (made == NULL)
        return MHD_NO;
    if (size > 0)
        MHD_add_response_header(made, "Content-Type", ex->out_type);
    MHD_add_response_header(made, "x-openstack-request-id", ex->request_id);
    for (size_t i = 0; i < res->headers_count; i++)
        MHD_add_response_header(made, res->headers[i].name, res->headers[i].value);
    if (atomic_load(&ex->rest->stopping))
        MHD_add_response_header(made, "Connection", "close");
    if (ex->connection != NULL)
        atomic_store(&ex->connection->watched.deadline_ms, 0); /* a slow reader: MHD's time-out */
    queued = MHD_queue_response(ex->mhd, (unsigned)ex->status, made);
    MHD_destroy_response(made);
    return queued;
}

/* True: the answer is there. Else what its key and generation are, for when it is. */
static bool answer_from_cache(struct exchange *ex)
{
    struct accel_rest *rest = ex->rest;

    if ((ex->routed.route->flags & ACCEL_ROUTE_CACHED) == 0)
        return false;
    ex->generation = accel_store_generation(rest->store);
    ex->cache_key = accel_bump_printf(&ex->mem, "%u 2.%d %s %s", ex->reloads, ex->req.minor,
                                      ex->req.base, ex->target);
    if (ex->cache_key == NULL)
        return false;
    ex->cached = accel_cache_get(rest->cache, ex->cache_key, ex->generation);
    if (ex->cached == NULL)
        return false;
    ex->status = 200;
    ex->res.text = ex->cached->data;
    ex->res.text_size = ex->cached->size;
    ex->out_type = "application/json";
    memcpy(ex->etag, ex->cached->etag, sizeof(ex->etag));
    tag(ex);
    return true;
}

static enum MHD_Result dispatch(struct exchange *ex)
{
    const struct accel_route *route = ex->routed.route;
    struct accel_error err;

    if (ex->rc != ACCEL_OK || answer_from_cache(ex))
        return respond(ex);
    if (route->where == ACCEL_INLINE && ex->text.size <= INLINE_BYTES) {
        run_handler(ex);
        return respond(ex);
    }
    ex->phase = PHASE_RUNNING;
    ex->task.run = run_task;
    atomic_store(&ex->connection->watched.deadline_ms, 0);
    accel_watch_hangup(ex->rest->watch, &ex->connection->watched, &ex->cancelled);
    MHD_suspend_connection(ex->mhd);
    /* Once it is queued, the exchange is the pool's. */
    const int rc = accel_task_pool_add(
        route->where == ACCEL_LONG ? ex->rest->slow : ex->rest->quick, &ex->task, &err);
    if (rc != ACCEL_OK) {
        ex->rc = accel_fail(&ex->err, err.code, "%s", err.msg);
        accel_watch_hangup(ex->rest->watch, &ex->connection->watched, NULL);
        ex->phase = PHASE_DONE;
        MHD_resume_connection(ex->mhd);
    }
    return MHD_YES;
}

/* The first call: all headers are there, the body is not. */
static enum MHD_Result on_head(struct exchange *ex, const char *method)
{
    const char *length, *expect;
    int64_t announced = 0;

    ex->method = method;
    ex->phase = PHASE_BODY;
    if (ex->target == NULL)
        return MHD_NO;
    ex->rc = begin(ex);
    if (ex->rc == ACCEL_OK)
        return MHD_YES;
    ex->phase = PHASE_SWALLOW;
    length = accel_request_header(&ex->req, "Content-Length");
    expect = accel_request_header(&ex->req, "Expect");
    if (length != NULL && !accel_http_parse_number(length, 0, INT64_MAX, &announced))
        announced = INT64_MAX;
    /* A client that waits to be asked, or would send much in vain, is told at once; it may then
     * lose the connection, while one with a small body reads the answer in any case. */
    if (expect != NULL || announced > (int64_t)SWALLOW_BYTES)
        return respond(ex);
    ex->limit = SWALLOW_BYTES;
    return MHD_YES;
}

static enum MHD_Result on_body(struct exchange *ex, const char *data, size_t *size)
{
    size_t taken = *size;

    if (ex->phase == PHASE_WRITING || ex->phase == PHASE_RUNNING)
        return MHD_YES; /* suspended: comes again */
    ex->received += taken;
    if (ex->phase == PHASE_SWALLOW) {
        *size = 0;
        return ex->received > ex->limit + SWALLOW_BYTES ? MHD_NO : MHD_YES;
    }
    ex->received -= taken;
    const int rc = take_body(ex, data, *size, &taken);
    ex->received += taken;
    *size -= taken;
    if (rc != ACCEL_OK && ex->phase == PHASE_BODY) {
        ex->rc = rc;
        ex->phase = PHASE_SWALLOW;
        *size = 0;
    }
    return MHD_YES;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *mhd, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **con_cls)
{
    struct exchange *ex = *con_cls;

    (void)cls;
    (void)mhd;
    (void)url;
    (void)version;
    if (ex == NULL)
        return MHD_NO; /* no memory when the request line came */
    if (ex->phase == PHASE_NEW)
        return on_head(ex, method);
    if (*size > 0)
        return on_body(ex, data, size);
    const enum phase phase = ex->phase;
    switch (phase) {
    case PHASE_BODY:
        return dispatch(ex);
    case PHASE_WRITING:
    case PHASE_RUNNING:
        return MHD_YES;
    default:
        return respond(ex);
    }
}

/* ---------------------------------------------------------------- start and stop */

ACCEL_PRINTF(2, 0) static void on_log(void *cls, const char *fmt, va_list args)
{
    char text[256];

    (void)cls;
    vsnprintf(text, sizeof(text), fmt, args);
    accel_log_debug("libmicrohttpd", "text=\"%s\"", text);
}

static bool is_loopback(const struct sockaddr_storage *address)
{
    const struct sockaddr_in *four = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;

    switch (address->ss_family) {
    case AF_UNIX:
        return true;
    case AF_INET:
        return ntohl(four->sin_addr.s_addr) >> 24 == 127;
    case AF_INET6:
        return IN6_IS_ADDR_LOOPBACK(&six->sin6_addr);
    default:
        return false;
    }
}

static int check_socket(int fd, struct accel_error *err)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof(address);
    int listening = 0;

    if (getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        return accel_fail_errno(err, errno, "descriptor %d to listen on", fd);
    size = sizeof(listening);
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0 || !listening)
        return accel_fail(err, ACCEL_E_INVALID, "descriptor %d is no listening socket", fd);
    if (!is_loopback(&address))
        return accel_fail(err, ACCEL_E_DENIED,
                          "api.tcp: listening beyond loopback needs authentication, which is not "
                          "there yet: use 127.0.0.1 or the unix socket");
    return ACCEL_OK;
}

static int start_daemon(struct accel_rest *rest, const struct accel_config *config, int fd,
                        struct accel_error *err)
{
    const unsigned flags =
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    struct MHD_Daemon *daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, rest, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_URI_LOG_CALLBACK, on_uri, rest,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, rest, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, rest, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
        MHD_OPTION_CONNECTION_LIMIT, config->limits.connections, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_BYTES, MHD_OPTION_END);

    if (daemon == NULL)
        return accel_fail(err, ACCEL_E_IO, "cannot serve on descriptor %d: %s", fd,
                          strerrordesc_np(errno));
    rest->daemons[rest->daemons_count++] = daemon;
    return ACCEL_OK;
}

/* Ends the daemons that were started and frees everything. close_sockets: they are ours. */
static void rest_free(struct accel_rest *rest, int *sockets)
{
    for (size_t i = 0; i < rest->daemons_count; i++) {
        const int fd = sockets[i];

        MHD_stop_daemon(rest->daemons[i]);
        if (fd >= 0)
            close(fd);
    }
    accel_task_pool_free(rest->quick);
    accel_task_pool_free(rest->slow);
    accel_watch_free(rest->watch); /* it pokes the streams */
    accel_streams_free(rest->streams);
    accel_cache_free(rest->cache);
    pthread_cond_destroy(&rest->fewer);
    pthread_mutex_destroy(&rest->lock);
    accel_free(rest);
}

/* What waits in the service looks whether it was cancelled. */
static void on_hang_up(void *context)
{
    struct accel_rest *rest = context;

    accel_service_poke(rest->service);
    accel_streams_poke(rest->streams);
}

int accel_rest_start(const struct accel_config *config, struct accel_store *store,
                     struct accel_service *service, const int *sockets, size_t count,
                     struct accel_rest **rest, struct accel_error *err)
{
    struct accel_rest *made;
    pthread_condattr_t monotonic;
    int none[DAEMONS_MAX];

    if (count > DAEMONS_MAX)
        return accel_fail(err, ACCEL_E_LIMIT, "%zu sockets to listen on, at most %d", count,
                          DAEMONS_MAX);
    for (size_t i = 0; i < count; i++)
        if (check_socket(sockets[i], err) != ACCEL_OK)
            return (int)err->code;
    made = accel_calloc(1, sizeof(*made));
    if (made == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for the server");
    atomic_store(&made->config, config);
    made->store = store;
    made->service = service;
    made->figures.started_ms = accel_now_ms();
    made->has_admin_gid = accel_identity_admin_group(config, &made->admin_gid);
    pthread_mutex_init(&made->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&made->fewer, &monotonic);
    pthread_condattr_destroy(&monotonic);
    made->cache = accel_cache_new(CACHE_BYTES);
    if (made->cache == NULL) {
        (void)accel_fail(err, ACCEL_E_NOMEM, "no memory for the server");
        goto undo;
    }
    if (accel_task_pool_new(QUICK_THREADS, &made->quick, err) != ACCEL_OK ||
        accel_task_pool_new(LONG_THREADS, &made->slow, err) != ACCEL_OK ||
        accel_streams_new(store, ACCEL_HEARTBEAT_MS, &made->streams, err) != ACCEL_OK ||
        accel_watch_new(on_hang_up, made, &made->watch, err) != ACCEL_OK)
        goto undo;
    for (size_t i = 0; i < count; i++)
        if (start_daemon(made, config, sockets[i], err) != ACCEL_OK)
            goto undo;
    *rest = made;
    return ACCEL_OK;

undo:
    /* The sockets stay the caller's: quiesced daemons do not close them. */
    for (size_t i = 0; i < made->daemons_count; i++) {
        MHD_quiesce_daemon(made->daemons[i]);
        none[i] = -1;
    }
    rest_free(made, none);
    return (int)err->code;
}

void accel_rest_reload(struct accel_rest *rest, const struct accel_config *config)
{
    atomic_store(&rest->config, config);
    atomic_fetch_add(&rest->reloads, 1);
}

/* Waits until no exchange is left or until the deadline; false: some are left. */
static bool wait_for_none(struct accel_rest *rest, const struct timespec *until)
{
    int rc = 0;

    pthread_mutex_lock(&rest->lock);
    while (rest->first != NULL && rc == 0)
        rc = until != NULL ? pthread_cond_timedwait(&rest->fewer, &rest->lock, until)
                           : pthread_cond_wait(&rest->fewer, &rest->lock);
    const bool none = rest->first == NULL;
    pthread_mutex_unlock(&rest->lock);
    return none;
}

void accel_rest_stop(struct accel_rest *rest, int64_t deadline_ms)
{
    const int64_t until_ns = accel_now_ns() + deadline_ms * 1000000;
    const struct timespec until = {until_ns / 1000000000, until_ns % 1000000000};
    int sockets[DAEMONS_MAX];

    if (rest == NULL)
        return;
    atomic_store(&rest->stopping, true);
    for (size_t i = 0; i < rest->daemons_count; i++)
        sockets[i] = MHD_quiesce_daemon(rest->daemons[i]);
    accel_streams_end(rest->streams);
    if (!wait_for_none(rest, &until)) {
        /* Handlers end by themselves once told; a body that is still coming is cut off. */
        pthread_mutex_lock(&rest->lock);
        for (struct exchange *ex = rest->first; ex != NULL; ex = ex->next) {
            atomic_store(&ex->cancelled, true);
            if (ex->connection != NULL)
                shutdown(ex->connection->watched.fd, SHUT_RDWR);
        }
        pthread_mutex_unlock(&rest->lock);
        accel_service_poke(rest->service);
        accel_streams_poke(rest->streams);
        wait_for_none(rest, NULL);
    }
    /* Nothing is suspended any more: libmicrohttpd may stop. */
    rest_free(rest, sockets);
}
