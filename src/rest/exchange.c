/* SPDX-License-Identifier: Apache-2.0 */
#include "rest/exchange.h"

#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"

#define HEADERS_MS 30000 /* from the first byte of a request to its last header */

void *accel_exchange_on_uri(void *cls, const char *uri, struct MHD_Connection *mhd)
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

void accel_exchange_list(struct exchange *ex)
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

void accel_exchange_on_completed(void *cls, struct MHD_Connection *mhd, void **con_cls,
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

void accel_exchange_on_connection(void *cls, struct MHD_Connection *mhd, void **context,
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
