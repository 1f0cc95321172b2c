/* SPDX-License-Identifier: Apache-2.0 */
#include "rest/request.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

const char *accel_request_query(const struct accel_request *req, const char *name)
{
    for (size_t i = 0; i < req->query_count; i++)
        if (strcmp(req->query[i].name, name) == 0)
            return req->query[i].value;
    return NULL;
}

size_t accel_request_query_times(const struct accel_request *req, const char *name)
{
    size_t times = 0;

    for (size_t i = 0; i < req->query_count; i++)
        times += strcmp(req->query[i].name, name) == 0;
    return times;
}

const char *accel_request_header(const struct accel_request *req, const char *name)
{
    for (size_t i = 0; i < req->headers_count; i++)
        if (strcasecmp(req->headers[i].name, name) == 0)
            return req->headers[i].value;
    return NULL;
}

int accel_request_uuid(const char *field, const char *text, struct accel_uuid *uuid,
                       struct accel_error *err)
{
    if (!accel_uuid_parse(text, uuid))
        return accel_fail(err, ACCEL_E_INVALID, "%s: expected a UUID, got \"%.80s\"", field, text);
    return ACCEL_OK;
}

#define PAGE_MAX 10000

int accel_request_paging(const struct accel_request *req, struct accel_paging *paging,
                         struct accel_error *err)
{
    const char *limit = accel_request_query(req, "limit");
    const char *marker = accel_request_query(req, "marker");
    int64_t number;

    *paging = (struct accel_paging){0};
    if (limit != NULL) {
        if (!accel_http_parse_number(limit, 1, PAGE_MAX, &number))
            return accel_fail(err, ACCEL_E_INVALID,
                              "limit: expected a number from 1 to %d, got \"%.40s\"", PAGE_MAX,
                              limit);
        paging->limit = (size_t)number;
        paging->page.limit = paging->limit + 1;
    }
    if (marker != NULL) {
        if (accel_request_uuid("marker", marker, &paging->marker, err) != ACCEL_OK)
            return (int)err->code;
        paging->page.marker = &paging->marker;
    }
    return ACCEL_OK;
}

int accel_paging_fail(const struct accel_paging *paging, struct accel_error *err)
{
    if (err->code == ACCEL_E_NOT_FOUND && paging->page.marker != NULL)
        return accel_fail(err, ACCEL_E_INVALID, "marker: there is no %s", paging->marker.text);
    return (int)err->code;
}

size_t accel_paging_shown(const struct accel_paging *paging, size_t count)
{
    return paging->limit > 0 && count > paging->limit ? paging->limit : count;
}

/* The same list from behind `last` on. */
static char *next_href(const struct accel_request *req, const struct accel_paging *paging,
                       const struct accel_uuid *last)
{
    char *href = accel_bump_printf(req->mem, "%s/accelerator%s?limit=%zu&marker=%s", req->base,
                                   req->path, paging->limit, last->text);

    for (size_t i = 0; href != NULL && i < req->query_count; i++) {
        const struct accel_pair *pair = &req->query[i];
        const char *name, *value;

        if (strcmp(pair->name, "limit") == 0 || strcmp(pair->name, "marker") == 0)
            continue;
        name = accel_http_encode(req->mem, pair->name);
        value = accel_http_encode(req->mem, pair->value);
        if (name == NULL || value == NULL)
            return NULL;
        href = accel_bump_printf(req->mem, "%s&%s=%s", href, name, value);
    }
    return href;
}

int accel_respond_list(const struct accel_request *req, struct accel_response *res, const char *key,
                       json_t *list, const struct accel_paging *paging, size_t count,
                       const struct accel_uuid *last, struct accel_error *err)
{
    /* The list's key comes first: clients take the first key of the object. */
    json_t *body = json_object();

    if (!accel_json_set(body, key, list)) {
        json_decref(body);
        body = NULL;
    } else if (last != NULL && accel_paging_shown(paging, count) < count) {
        const char *href = next_href(req, paging, last);

        if (href == NULL ||
            !accel_json_set(body, "links",
                            json_pack("[{s:s, s:s}]", "rel", "next", "href", href))) {
            json_decref(body);
            body = NULL;
        }
    }
    return accel_respond(res, 200, body, err);
}

int accel_respond(struct accel_response *res, int status, json_t *body, struct accel_error *err)
{
    if (body == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for the answer");
    res->status = status;
    res->body = body;
    return ACCEL_OK;
}

void accel_response_header(struct accel_response *res, const char *name, const char *value)
{
    if (value != NULL && res->headers_count < ACCEL_COUNT(res->headers))
        res->headers[res->headers_count++] = (struct accel_pair){name, value};
}

int accel_refuse(struct accel_response *res, int status, struct accel_error *err,
                 enum accel_code code, const char *fmt, ...)
{
    char text[ACCEL_ERROR_MSG_MAX];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    res->status = status;
    return accel_fail(err, code, "%s", text);
}

json_t *accel_json_text(const char *text)
{
    const size_t size = text != NULL ? strlen(text) : 0;
    json_t *value;
    char *copy;

    if (text == NULL)
        return json_null();
    if (accel_http_is_utf8(text, size))
        return json_stringn_nocheck(text, size);
    copy = accel_strdup(text);
    if (copy == NULL)
        return NULL;
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)copy[i] >= 0x80)
            copy[i] = '?';
    value = json_stringn_nocheck(copy, size);
    accel_free(copy);
    return value;
}

json_t *accel_json_uuid(const struct accel_uuid *uuid)
{
    return uuid->text[0] == '\0' ? json_null() : json_string(uuid->text);
}

json_t *accel_json_links(const struct accel_request *req, const char *kind, const char *id)
{
    const char *href = accel_bump_printf(req->mem, "%s/accelerator/v2/%s/%s", req->base, kind, id);

    return href == NULL ? NULL : json_pack("[{s:s, s:s}]", "href", href, "rel", "self");
}

bool accel_json_set(json_t *object, const char *key, json_t *value)
{
    return json_object_set_new(object, key, value) == 0;
}

void accel_json_append(json_t **list, json_t *value)
{
    if (json_array_append_new(*list, value) != 0) {
        json_decref(*list);
        *list = NULL;
    }
}

json_t *accel_json_stored(const char *text)
{
    json_t *json = text != NULL ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;

    return json != NULL ? json : json_null();
}

/* jansson's own bound on depth (2048) is far above ours and recursion is not what we test here. */
static bool is_deeper_than(const char *text, size_t size, unsigned max)
{
    bool in_string = false;
    unsigned depth = 0;

    for (size_t i = 0; i < size; i++) {
        const char c = text[i];

        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > max)
                return true;
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return false;
}

json_t *accel_json_parse(const char *text, size_t size, unsigned max_depth, struct accel_error *err)
{
    json_error_t why;
    json_t *json;

    if (is_deeper_than(text, size, max_depth)) {
        accel_fail(err, ACCEL_E_INVALID, "the JSON body nests deeper than %u levels", max_depth);
        return NULL;
    }
    json = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
    if (json == NULL) {
        if (json_error_code(&why) == json_error_out_of_memory)
            accel_fail(err, ACCEL_E_NOMEM, "no memory for the JSON body");
        else
            accel_fail(err, ACCEL_E_INVALID, "the body is no JSON: line %d column %d: %s", why.line,
                       why.column, why.text);
    }
    return json;
}

int accel_json_check_object(const json_t *json, const char *what, const char *const *known,
                            struct accel_error *err)
{
    const char *key;
    json_t *value;

    if (!json_is_object(json))
        return accel_fail(err, ACCEL_E_INVALID, "%s: expected a JSON object", what);
    json_object_foreach((json_t *)json, key, value) {
        size_t i = 0;

        while (known[i] != NULL && strcmp(known[i], key) != 0)
            i++;
        if (known[i] == NULL)
            return accel_fail(err, ACCEL_E_INVALID, "%s: unknown member \"%.80s\"", what, key);
    }
    return ACCEL_OK;
}
