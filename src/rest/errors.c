/* SPDX-License-Identifier: Apache-2.0 */
#include "rest/errors.h"

#include <ctype.h>
#include <jansson.h>
#include <string.h>

#include "rest/request.h"

static const struct {
    enum accel_code code;
    int status;
} statuses[] = {
    {ACCEL_E_NOMEM, 503},           {ACCEL_E_INVALID, 400},
    {ACCEL_E_NOT_FOUND, 404},       {ACCEL_E_EXISTS, 409},
    {ACCEL_E_CONFLICT, 409},        {ACCEL_E_DENIED, 403},
    {ACCEL_E_UNAUTHENTICATED, 401}, {ACCEL_E_UNSUPPORTED, 422},
    {ACCEL_E_LIMIT, 413},           {ACCEL_E_BUSY, 429},
    {ACCEL_E_UNAVAILABLE, 503},     {ACCEL_E_TIMEOUT, 504},
    {ACCEL_E_CANCELLED, 503},       {ACCEL_E_IO, 500},
    {ACCEL_E_NO_SPACE, 507},        {ACCEL_E_CORRUPT, 500},
    {ACCEL_E_INTERNAL, 500},        {ACCEL_E_NOT_MINE, 409},
    {ACCEL_E_NOT_ACCEPTABLE, 406},  {ACCEL_E_LOCKED, 423},
    {ACCEL_E_PRECONDITION, 412},
};

int accel_error_status(enum accel_code code)
{
    for (size_t i = 0; i < ACCEL_COUNT(statuses); i++)
        if (statuses[i].code == code)
            return statuses[i].status;
    return 500;
}

const char *accel_status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } texts[] = {
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {415, "Unsupported Media Type"},
        {422, "Unprocessable Content"},
        {423, "Locked"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {507, "Insufficient Storage"},
    };

    for (size_t i = 0; i < ACCEL_COUNT(texts); i++)
        if (texts[i].status == status)
            return texts[i].text;
    return "Error";
}

/* NOT_FOUND as the end of a URL: "not-found". */
static void slug(const char *name, char *out, size_t size)
{
    size_t i = 0;

    for (; name[i] != '\0' && i + 1 < size; i++)
        out[i] = name[i] == '_' ? '-' : (char)tolower((unsigned char)name[i]);
    out[i] = '\0';
}

static json_t *cyborg_body(int status, const char *message)
{
    char *inner = NULL;
    json_t *outer = NULL, *fault;

    /* Nova asks again until every ARQ is resolved; the real server says just this. */
    if (status == 423)
        return json_pack("{s:s}", "error_message", "null");
    fault = json_pack("{s:s, s:o, s:n}", "faultcode", status < 500 ? "Client" : "Server",
                      "faultstring", accel_json_text(message), "debuginfo");
    if (fault != NULL)
        inner = json_dumps(fault, 0);
    if (inner != NULL)
        outer = json_pack("{s:s}", "error_message", inner);
    free(inner);
    json_decref(fault);
    return outer;
}

static json_t *problem_body(int status, const struct accel_error *why, const char *path,
                            const char *request_id)
{
    char name[32], type[80];

    slug(accel_code_name((int)why->code), name, sizeof(name));
    snprintf(type, sizeof(type), "https://acceld.io/errors/%s", name);
    return json_pack("{s:s, s:s, s:i, s:o, s:o, s:s, s:s}", "type", type, "title",
                     accel_status_text(status), "status", status, "detail",
                     accel_json_text(why->msg), "instance", accel_json_text(path), "code",
                     accel_code_name((int)why->code), "request_id", request_id);
}

static int into_buf(const char *bytes, size_t size, void *buf)
{
    accel_buf_append(buf, bytes, size);
    return accel_buf_failed(buf) ? -1 : 0;
}

const char *accel_error_body(enum accel_family family, int status, const struct accel_error *why,
                             const char *path, const char *request_id, struct accel_buf *body)
{
    json_t *json = NULL;

    switch (family) {
    case ACCEL_FAMILY_CYBORG:
        json = cyborg_body(status, why->msg);
        break;
    case ACCEL_FAMILY_OIP:
        json = json_pack("{s:o}", "error", accel_json_text(why->msg));
        break;
    case ACCEL_FAMILY_OWN:
        json = problem_body(status, why, path, request_id);
        break;
    }
    /* Out of memory to say so: the status alone must do. */
    if (json != NULL)
        json_dump_callback(json, into_buf, body, 0);
    json_decref(json);
    return family == ACCEL_FAMILY_OWN ? "application/problem+json" : "application/json";
}
