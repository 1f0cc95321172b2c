/* SPDX-License-Identifier: Apache-2.0 */
#include "rest/exchange.h"

#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

#define STREAM_BYTES 4096 /* of events, sent at once */

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

void accel_exchange_encode_error(struct exchange *ex)
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

int accel_exchange_encode_body(struct exchange *ex)
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

/* ---------------------------------------------------------------- the cache */

bool accel_exchange_from_cache(struct exchange *ex)
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

/* ---------------------------------------------------------------- sending */

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

enum MHD_Result accel_exchange_respond(struct exchange *ex)
{
    struct accel_response *res = &ex->res;
    struct MHD_Response *made;
    enum MHD_Result queued;
    size_t size = 0;

    if (ex->rc != ACCEL_OK && ex->status == 0)
        accel_exchange_encode_error(ex);
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
        /* Persistent: the exchange outlives its answer, accel_exchange_on_completed frees both. */
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
