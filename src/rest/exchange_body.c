/* SPDX-License-Identifier: Apache-2.0 */
#include "rest/exchange.h"

#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"

#define SLOWEST_BYTES_S (64u << 10) /* an upload slower than this is given up */

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

int accel_exchange_take_body(struct exchange *ex, const char *data, size_t size, size_t *taken)
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

int accel_exchange_parse_body(struct exchange *ex)
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
