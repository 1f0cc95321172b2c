/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <string.h>

#include "rest/handlers.h"
#include "rest/streams.h"

#define PAGE_DEFAULT 100
#define PAGE_MOST    1000
#define KIND_MAX     64

static int check_kind(const char *kind, struct accel_error *err)
{
    const size_t size = strlen(kind);

    for (size_t i = 0; i < size; i++)
        if (size > KIND_MAX || (!islower((unsigned char)kind[i]) && strchr("._", kind[i]) == NULL))
            return accel_fail(err, ACCEL_E_INVALID,
                              "kind: expected how a kind begins, such as device. or arq.bound, got "
                              "\"%.80s\"",
                              kind);
    return ACCEL_OK;
}

static int read_sequence(const char *name, const char *text, int64_t *after,
                         struct accel_error *err)
{
    if (text != NULL && !accel_http_parse_number(text, 0, INT64_MAX - 1, after))
        return accel_fail(err, ACCEL_E_INVALID,
                          "%s: expected the sequence of an event, got \"%.40s\"", name, text);
    return ACCEL_OK;
}

/* A browser that reconnects sends the URL as it was and the header as it is: the header counts.
 * *after (out): < 0 when neither is there. */
static int read_after(const struct accel_request *req, int64_t *after, struct accel_error *err)
{
    const char *last = accel_request_header(req, "Last-Event-ID");

    *after = -1;
    if (read_sequence("after", accel_request_query(req, "after"), after, err) != ACCEL_OK)
        return (int)err->code;
    return read_sequence("Last-Event-ID", last != NULL && last[0] != '\0' ? last : NULL, after,
                         err);
}

/* A page when that is what was named, a stream when nothing was. */
static int wants_page(const struct accel_request *req, bool *page, struct accel_error *err)
{
    const char *accept = accel_request_header(req, "Accept");
    const bool json = accel_http_accepts(accept, "application/json");
    const bool stream = accel_http_accepts(accept, "text/event-stream");
    const bool both = json && stream;

    if (!json && !stream)
        return accel_fail(
            err, ACCEL_E_NOT_ACCEPTABLE,
            "Accept: \"%.80s\" leaves out text/event-stream and application/json, all "
            "there is",
            accept);
    *page = json && (accel_request_query(req, "limit") != NULL || !stream ||
                     (both && accept != NULL && strstr(accept, "application/json") != NULL &&
                      strstr(accept, "text/event-stream") == NULL));
    return ACCEL_OK;
}

static json_t *links(const struct accel_request *req, int64_t limit, int64_t last, const char *kind)
{
    const char *href =
        accel_bump_printf(req->mem, "%s/accelerator/v2/events?limit=%lld&after=%lld%s%s", req->base,
                          (long long)limit, (long long)last, kind != NULL ? "&kind=" : "",
                          kind != NULL ? kind : "");

    return href == NULL ? NULL : json_pack("[{s:s, s:s}]", "rel", "next", "href", href);
}

static int respond_page(const struct accel_request *req, int64_t after,
                        const struct accel_event_filter *filter, struct accel_response *res,
                        struct accel_error *err)
{
    const char *text = accel_request_query(req, "limit");
    int64_t limit = PAGE_DEFAULT, oldest, newest, resume;
    struct accel_event *events;
    size_t count = 0;

    if (text != NULL && !accel_http_parse_number(text, 1, PAGE_MOST, &limit))
        return accel_fail(err, ACCEL_E_INVALID,
                          "limit: expected a number from 1 to %d, got \"%.40s\"", PAGE_MOST, text);
    if (accel_store_event_span(req->store, &oldest, &newest, err) != ACCEL_OK)
        return (int)err->code;
    const char *gap = accel_event_gap(ACCEL_MAX(after, 0), oldest, newest, req->mem, &resume);
    if (gap != NULL)
        return accel_refuse(res, 410, err, ACCEL_E_NOT_FOUND, "%s", gap);
    /* One more than asked tells whether there is a next page. */
    if (accel_store_list_events(req->store, ACCEL_MAX(after, 0), (size_t)limit + 1, filter,
                                req->mem, &events, &count, err) != ACCEL_OK)
        return (int)err->code;
    const size_t shown = ACCEL_MIN(count, (size_t)limit);
    json_t *list = json_array(), *body = json_object();
    bool whole = list != NULL;
    for (size_t i = 0; whole && i < shown; i++)
        whole = json_array_append_new(list, accel_event_to_json(&events[i])) == 0;
    whole = accel_json_set(body, "events", list) && whole &&
            accel_json_set(body, "oldest", json_integer(oldest)) &&
            accel_json_set(body, "newest", json_integer(newest));
    if (whole && count > shown)
        whole = accel_json_set(body, "links",
                               links(req, limit, events[shown - 1].sequence, filter->kind));
    if (!whole) {
        json_decref(body);
        body = NULL;
    }
    return accel_respond(res, 200, body, err);
}

/* GET /v2/events[?after=12&kind=device.] -> 200 text/event-stream, which does not end; with limit,
 * or when asked for JSON alone -> 200 {"events": [...], "oldest": 1, "newest": 15}, 410 */
int accel_list_events(const struct accel_request *req, struct accel_response *res,
                      struct accel_error *err)
{
    struct accel_event_filter filter = {.kind = accel_request_query(req, "kind")};
    struct accel_response_stream *stream;
    int64_t after;
    bool page = false;

    if (!req->caller.admin) /* without a project: what is of none */
        filter.project_id = req->caller.project_id != NULL ? req->caller.project_id : "";
    if (filter.kind != NULL && filter.kind[0] == '\0')
        filter.kind = NULL;
    if ((filter.kind != NULL && check_kind(filter.kind, err) != ACCEL_OK) ||
        read_after(req, &after, err) != ACCEL_OK || wants_page(req, &page, err) != ACCEL_OK)
        return (int)err->code;
    if (page)
        return respond_page(req, after, &filter, res, err);
    stream = accel_bump_alloc(req->mem, 1, sizeof(*stream));
    if (stream == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for an event stream");
    *stream = (struct accel_response_stream){after, filter};
    res->status = 200;
    res->stream = stream;
    res->content_type = "text/event-stream";
    accel_response_header(res, "Cache-Control", "no-store");
    return ACCEL_OK;
}
