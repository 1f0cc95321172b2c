/* SPDX-License-Identifier: Apache-2.0 */
#include "rest/exchange.h"

#include <string.h>

#include "base/log.h"

#define INLINE_BYTES (64u << 10) /* larger JSON is parsed on the pool */

static void run_handler(struct exchange *ex)
{
    accel_log_set_request(ex->request_id);
    if (ex->rc == ACCEL_OK)
        ex->rc = accel_exchange_parse_body(ex);
    if (ex->rc == ACCEL_OK)
        ex->rc = ex->routed.route->handler(&ex->req, &ex->res, &ex->err);
    if (ex->rc == ACCEL_OK)
        ex->rc = accel_exchange_encode_body(ex);
    if (ex->rc != ACCEL_OK)
        accel_exchange_encode_error(ex);
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

static enum MHD_Result dispatch(struct exchange *ex)
{
    const struct accel_route *route = ex->routed.route;
    struct accel_error err;

    if (ex->rc != ACCEL_OK || accel_exchange_from_cache(ex))
        return accel_exchange_respond(ex);
    if (route->where == ACCEL_INLINE && ex->text.size <= INLINE_BYTES) {
        run_handler(ex);
        return accel_exchange_respond(ex);
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
    ex->rc = accel_exchange_begin(ex);
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
        return accel_exchange_respond(ex);
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
    const int rc = accel_exchange_take_body(ex, data, *size, &taken);
    ex->received += taken;
    *size -= taken;
    if (rc != ACCEL_OK && ex->phase == PHASE_BODY) {
        ex->rc = rc;
        ex->phase = PHASE_SWALLOW;
        *size = 0;
    }
    return MHD_YES;
}

enum MHD_Result accel_exchange_on_request(void *cls, struct MHD_Connection *mhd, const char *url,
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
        return accel_exchange_respond(ex);
    }
}
