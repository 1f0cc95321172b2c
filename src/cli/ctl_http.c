/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/ctl.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

#define SILENCE_S       40L /* two heartbeats of an event stream, and some */
#define REPLY_BYTES_MAX ((size_t)2 << 30)

void accel_json_freep(json_t **json)
{
    json_decref(*json);
    *json = NULL;
}

void accel_ctl_reply_free(struct accel_ctl_reply *reply)
{
    accel_buf_free(&reply->body);
    accel_freep(&reply->location);
    accel_json_freep(&reply->json);
}

const char *accel_ctl_escape(const char *text, char *out, size_t size)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t used = 0;

    for (; *text != '\0' && used + 4 < size; text++) {
        const unsigned char c = (unsigned char)*text;
        if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
            strchr("-._~", c) != NULL) {
            out[used++] = (char)c;
        } else {
            out[used++] = '%';
            out[used++] = digits[c >> 4];
            out[used++] = digits[c & 15];
        }
    }
    out[used] = '\0';
    return out;
}

/* ---------------------------------------------------------------- errors */

/* The daemon's own sentence, whichever of its three shapes it came in. */
static void find_sentence(const json_t *json, char *sentence, size_t size)
{
    const char *nested = json_string_value(json_object_get(json, "error_message"));
    const char *text = json_string_value(json_object_get(json, "error"));
    const char *detail = json_string_value(json_object_get(json, "detail"));
    json_t *inner = nested != NULL ? json_loads(nested, 0, NULL) : NULL;
    const char *fault = json_string_value(json_object_get(inner, "faultstring"));

    if (detail == NULL)
        detail = json_string_value(json_object_get(json, "title"));
    const char *found = fault != NULL    ? fault
                        : nested != NULL ? nested
                        : text != NULL   ? text
                                         : detail;
    snprintf(sentence, size, "%s", found != NULL ? found : "");
    json_decref(inner);
}

static enum accel_code code_of_status(int status)
{
    switch (status) {
    case 400:
    case 415:
    case 422:
        return ACCEL_E_INVALID;
    case 401:
        return ACCEL_E_UNAUTHENTICATED;
    case 403:
        return ACCEL_E_DENIED;
    case 404:
        return ACCEL_E_NOT_FOUND;
    case 409:
        return ACCEL_E_CONFLICT;
    case 413:
        return ACCEL_E_LIMIT;
    case 429:
        return ACCEL_E_BUSY;
    case 501:
        return ACCEL_E_UNSUPPORTED;
    case 503:
        return ACCEL_E_UNAVAILABLE;
    case 504:
        return ACCEL_E_TIMEOUT;
    default:
        return status < 500 ? ACCEL_E_INVALID : ACCEL_E_INTERNAL;
    }
}

static int fail_from_reply(const struct accel_ctl_reply *reply, struct accel_error *err)
{
    char sentence[400];

    find_sentence(reply->json, sentence, sizeof(sentence));
    if (sentence[0] == '\0')
        return accel_fail(err, code_of_status(reply->status), "the daemon answered %d",
                          reply->status);
    return accel_fail(err, code_of_status(reply->status), "%s", sentence);
}

static int fail_from_curl(const struct accel_ctl *ctl, CURLcode code, struct accel_error *err)
{
    const char *where = ctl->socket != NULL ? ctl->socket : ctl->url;

    if (code == CURLE_COULDNT_CONNECT)
        return accel_fail(err, ACCEL_E_UNAVAILABLE,
                          "no acceld answers at %s; is it running (systemctl status acceld), or is "
                          "it elsewhere (--socket, --url, ACCELCTL_SOCKET)?",
                          where);
    return accel_fail(err, ACCEL_E_UNAVAILABLE, "%s: %s", where, curl_easy_strerror(code));
}

/* ---------------------------------------------------------------- transfer */

static size_t take_body(char *bytes, size_t size, size_t count, void *context)
{
    struct accel_buf *body = context;

    accel_buf_append(body, bytes, size * count);
    return accel_buf_failed(body) ? 0 : size * count;
}

struct taker {
    const struct accel_ctl_request *request;
    struct accel_ctl_reply *reply;
    CURL *curl;
};

/* What answers with an error is no stream: it is kept for its sentence. */
static size_t take_stream(char *bytes, size_t size, size_t count, void *context)
{
    const struct taker *taker = context;
    long status = 0;

    curl_easy_getinfo(taker->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200)
        return take_body(bytes, size, count, &taker->reply->body);
    return taker->request->take(taker->request->context, bytes, size * count) ? size * count : 0;
}

static int look_whether_ended(void *context, curl_off_t down_total, curl_off_t down,
                              curl_off_t up_total, curl_off_t up)
{
    const volatile sig_atomic_t *ended = context;

    (void)down_total;
    (void)down;
    (void)up_total;
    (void)up;
    return *ended != 0;
}

static size_t take_header(char *line, size_t size, size_t count, void *context)
{
    static const char length[] = "inference-header-content-length:", location[] = "location:";
    struct accel_ctl_reply *reply = context;
    const size_t bytes = size * count;

    if (bytes > sizeof(length) && strncasecmp(line, length, sizeof(length) - 1) == 0) {
        reply->json_part = strtoull(line + sizeof(length) - 1, NULL, 10);
    } else if (bytes > sizeof(location) && strncasecmp(line, location, sizeof(location) - 1) == 0) {
        size_t begin = sizeof(location) - 1, end = bytes;
        while (begin < end && line[begin] == ' ')
            begin++;
        while (end > begin && (line[end - 1] == '\r' || line[end - 1] == '\n'))
            end--;
        accel_free(reply->location);
        reply->location = accel_strndup(line + begin, end - begin);
    }
    return bytes;
}

/* What is left to send: a file, or bytes. */
struct source {
    FILE *file;
};

static size_t give_file(char *bytes, size_t size, size_t count, void *context)
{
    struct source *source = context;
    const size_t got = fread(bytes, size, count, source->file);

    return got == 0 && ferror(source->file) ? CURL_READFUNC_ABORT : got;
}

static int show_progress(void *context, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                         curl_off_t up)
{
    (void)down_total;
    (void)down;
    if (up_total > 0)
        accel_bar_update(context, 100.0 * (double)up / (double)up_total,
                         up == up_total ? "sent, being read" : "sending");
    return 0;
}

static int open_file(const char *path, struct source *source, curl_off_t *size,
                     struct accel_error *err)
{
    struct stat about;

    source->file = fopen(path, "rbe");
    if (source->file == NULL || fstat(fileno(source->file), &about) != 0)
        return accel_fail_errno(err, errno, "%s", path);
    if (!S_ISREG(about.st_mode))
        return accel_fail(err, ACCEL_E_INVALID, "%s is not a file", path);
    *size = about.st_size;
    return ACCEL_OK;
}

static void set_body(CURL *curl, const struct accel_ctl_request *request, const char *text,
                     struct source *source, curl_off_t file_size)
{
    if (source->file != NULL) {
        curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(curl, CURLOPT_READFUNCTION, give_file);
        curl_easy_setopt(curl, CURLOPT_READDATA, source);
        curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, file_size);
    } else if (text != NULL) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(text));
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text);
    } else if (request->bytes != NULL) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->bytes_count);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->bytes);
    } else if (strcmp(request->method, "POST") == 0) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, 0L);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
    }
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
}

static struct curl_slist *make_headers(const struct accel_ctl_request *request)
{
    char line[80];
    struct curl_slist *headers = curl_slist_append(
        NULL, request->take != NULL ? "Accept: text/event-stream" : "Accept: */*");

    if (request->last_event_id != NULL) {
        snprintf(line, sizeof(line), "Last-Event-ID: %.40s", request->last_event_id);
        headers = curl_slist_append(headers, line);
    }

    headers = curl_slist_append(headers, "OpenStack-API-Version: accelerator latest");
    /* A body is never worth a round trip to ask whether it is welcome. */
    headers = curl_slist_append(headers, "Expect:");
    if (request->body != NULL)
        headers = curl_slist_append(headers, "Content-Type: application/json");
    else if (request->file != NULL || request->bytes != NULL)
        headers = curl_slist_append(headers, "Content-Type: application/octet-stream");
    if (request->json_part > 0) {
        snprintf(line, sizeof(line), "Inference-Header-Content-Length: %zu", request->json_part);
        headers = curl_slist_append(headers, line);
    }
    return headers;
}

static int transfer(struct accel_ctl *ctl, const struct accel_ctl_request *request,
                    const char *text, struct source *source, curl_off_t file_size,
                    struct accel_ctl_reply *reply, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_freep) char *url = accel_asprintf("%s%s", ctl->url, request->path);
    struct accel_bar bar;
    struct curl_slist *headers;
    long status = 0;

    if (ctl->curl == NULL)
        ctl->curl = curl_easy_init();
    if (ctl->curl == NULL || url == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a request");
    curl_easy_reset(ctl->curl);
    curl_easy_setopt(ctl->curl, CURLOPT_URL, url);
    if (ctl->socket != NULL)
        curl_easy_setopt(ctl->curl, CURLOPT_UNIX_SOCKET_PATH, ctl->socket);
    headers = make_headers(request);
    curl_easy_setopt(ctl->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(ctl->curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(ctl->curl, CURLOPT_WRITEDATA, &reply->body);
    curl_easy_setopt(ctl->curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(ctl->curl, CURLOPT_HEADERDATA, reply);
    curl_easy_setopt(ctl->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(ctl->curl, CURLOPT_PROXY, "");
    set_body(ctl->curl, request, text, source, file_size);
    if (request->progress) {
        accel_bar_begin(&bar, request->what);
        curl_easy_setopt(ctl->curl, CURLOPT_NOPROGRESS, 0L);
        curl_easy_setopt(ctl->curl, CURLOPT_XFERINFOFUNCTION, show_progress);
        curl_easy_setopt(ctl->curl, CURLOPT_XFERINFODATA, &bar);
    }
    struct taker taker = {request, reply, ctl->curl};
    if (request->take != NULL) {
        curl_easy_setopt(ctl->curl, CURLOPT_WRITEFUNCTION, take_stream);
        curl_easy_setopt(ctl->curl, CURLOPT_WRITEDATA, &taker);
        curl_easy_setopt(ctl->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
        curl_easy_setopt(ctl->curl, CURLOPT_LOW_SPEED_TIME, SILENCE_S);
        curl_easy_setopt(ctl->curl, CURLOPT_NOPROGRESS, 0L);
        curl_easy_setopt(ctl->curl, CURLOPT_XFERINFOFUNCTION, look_whether_ended);
        curl_easy_setopt(ctl->curl, CURLOPT_XFERINFODATA, request->ended);
    }
    const CURLcode code = curl_easy_perform(ctl->curl);
    if (request->progress)
        accel_bar_end(&bar);
    curl_slist_free_all(headers);
    if (request->take != NULL && *request->ended)
        return accel_fail(err, ACCEL_E_CANCELLED, "interrupted");
    if (code != CURLE_OK)
        return fail_from_curl(ctl, code, err);
    curl_easy_getinfo(ctl->curl, CURLINFO_RESPONSE_CODE, &status);
    reply->status = (int)status;
    return ACCEL_OK;
}

int accel_ctl_send(struct accel_ctl *ctl, const struct accel_ctl_request *request,
                   struct accel_ctl_reply *reply, struct accel_error *err)
{
    struct source source = {0};
    curl_off_t file_size = 0;
    char *text = NULL;
    int rc = ACCEL_OK;

    memset(reply, 0, sizeof(*reply));
    reply->body.limit = REPLY_BYTES_MAX;
    if (request->body != NULL && (text = json_dumps(request->body, JSON_COMPACT)) == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a request");
    if (request->file != NULL)
        rc = open_file(request->file, &source, &file_size, err);
    if (rc == ACCEL_OK)
        rc = transfer(ctl, request, text, &source, file_size, reply, err);
    if (source.file != NULL)
        fclose(source.file);
    free(text);
    if (rc != ACCEL_OK)
        return rc;
    const size_t json_part = reply->json_part > 0 ? reply->json_part : reply->body.size;
    if (json_part > 0 && json_part <= reply->body.size)
        reply->json = json_loadb(reply->body.data, json_part, JSON_DECODE_ANY, NULL);
    return reply->status >= 400 ? fail_from_reply(reply, err) : ACCEL_OK;
}

int accel_ctl_json(struct accel_ctl *ctl, const char *method, json_t *body, json_t **json,
                   struct accel_error *err, const char *path_fmt, ...)
{
    ACCEL_CLEANUP(accel_ctl_reply_free) struct accel_ctl_reply reply = {0};
    char path[1024];
    va_list args;

    va_start(args, path_fmt);
    const int length = vsnprintf(path, sizeof(path), path_fmt, args);
    va_end(args);
    int rc =
        length < 0 || (size_t)length >= sizeof(path)
            ? accel_fail(err, ACCEL_E_LIMIT, "a name is too long")
            : accel_ctl_send(
                  ctl, &(struct accel_ctl_request){.method = method, .path = path, .body = body},
                  &reply, err);
    json_decref(body);
    if (rc == ACCEL_OK && json != NULL)
        *json = accel_steal(&reply.json);
    return rc;
}
