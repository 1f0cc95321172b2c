/* SPDX-License-Identifier: Apache-2.0 */
#include "rest/http.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool accel_http_is_utf8(const char *text, size_t size)
{
    const unsigned char *p = (const unsigned char *)text, *end = p + size;

    while (p < end) {
        unsigned more, least;
        uint32_t code;

        if (*p < 0x80) {
            p++;
            continue;
        }
        if (*p >= 0xc2 && *p < 0xe0)
            more = 1, code = *p & 0x1fu, least = 0x80;
        else if ((*p & 0xf0) == 0xe0)
            more = 2, code = *p & 0x0fu, least = 0x800;
        else if (*p >= 0xf0 && *p < 0xf5)
            more = 3, code = *p & 0x07u, least = 0x10000;
        else
            return false;
        if ((size_t)(end - p) <= more)
            return false;
        for (unsigned i = 1; i <= more; i++) {
            if ((p[i] & 0xc0) != 0x80)
                return false;
            code = code << 6 | (p[i] & 0x3fu);
        }
        if (code < least || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
            return false;
        p += more + 1;
    }
    return true;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes in place; form: '+' is a blank, as in a query. */
static int decode(char *text, bool form, struct accel_error *err)
{
    char *to = text;

    for (const char *from = text; *from != '\0'; from++) {
        if (*from == '+' && form) {
            *to++ = ' ';
        } else if (*from != '%') {
            *to++ = *from;
        } else {
            const int high = hex_value(from[1]), low = high < 0 ? -1 : hex_value(from[2]);

            if (low < 0)
                return accel_fail(err, ACCEL_E_INVALID, "the URL has a broken %%-escape");
            if (high == 0 && low == 0)
                return accel_fail(err, ACCEL_E_INVALID, "the URL holds a NUL character");
            *to++ = (char)(high * 16 + low);
            from += 2;
        }
    }
    *to = '\0';
    if (!accel_http_is_utf8(text, (size_t)(to - text)))
        return accel_fail(err, ACCEL_E_INVALID, "the URL holds bytes that are no UTF-8");
    return ACCEL_OK;
}

static int parse_query(char *text, struct accel_bump *mem, struct accel_target *out,
                       struct accel_error *err)
{
    struct accel_pair *pairs;
    size_t count = 1;

    for (const char *p = text; *p != '\0'; p++)
        count += *p == '&';
    if (count > ACCEL_QUERY_MAX)
        return accel_fail(err, ACCEL_E_LIMIT, "the URL has more than %d query parameters",
                          ACCEL_QUERY_MAX);
    pairs = accel_bump_alloc(mem, count, sizeof(*pairs));
    if (pairs == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for the query");
    out->query = pairs;
    for (char *next; text != NULL; text = next) {
        char *value;

        next = strchr(text, '&');
        if (next != NULL)
            *next++ = '\0';
        if (*text == '\0')
            continue;
        value = strchr(text, '=');
        if (value != NULL)
            *value++ = '\0';
        else
            value = text + strlen(text);
        if (decode(text, true, err) != ACCEL_OK || decode(value, true, err) != ACCEL_OK)
            return (int)ACCEL_E_INVALID;
        pairs[out->query_count++] = (struct accel_pair){text, value};
    }
    return ACCEL_OK;
}

int accel_http_parse_target(const char *target, struct accel_bump *mem, struct accel_target *out,
                            struct accel_error *err)
{
    char *text, *query;

    *out = (struct accel_target){0};
    if (target[0] != '/')
        return accel_fail(err, ACCEL_E_INVALID, "the request target is no path");
    text = accel_bump_strdup(mem, target + 1);
    if (text == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for the path");
    query = strchr(text, '?');
    if (query != NULL)
        *query++ = '\0';
    for (char *next; text != NULL; text = next) {
        next = strchr(text, '/');
        if (next != NULL)
            *next++ = '\0';
        if (*text == '\0' && next == NULL) /* a slash at the end, or the path "/" */
            break;
        if (out->segments_count == ACCEL_SEGMENTS_MAX)
            return accel_fail(err, ACCEL_E_LIMIT, "the path has more than %d parts",
                              ACCEL_SEGMENTS_MAX);
        /* After the split: %2F inside a name stays inside it. */
        if (decode(text, false, err) != ACCEL_OK) {
            *out = (struct accel_target){.segments_count = 1, .segments = {""}};
            return (int)err->code;
        }
        out->segments[out->segments_count++] = text;
    }
    /* Last: who asks about a good path with a bad query is answered in that path's words. */
    return query != NULL ? parse_query(query, mem, out, err) : ACCEL_OK;
}

char *accel_http_encode(struct accel_bump *mem, const char *text)
{
    char *out = accel_bump_alloc(mem, strlen(text) * 3 + 1, 1), *to = out;

    if (out == NULL)
        return NULL;
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
        if (isalnum(*p) || strchr("-._~", *p) != NULL)
            *to++ = (char)*p;
        else
            to += sprintf(to, "%%%02X", *p);
    }
    return out;
}

/* The next element of a comma-separated header, blanks trimmed; false at the end. */
static bool next_element(const char **cursor, const char **start, size_t *size)
{
    const char *p = *cursor, *end;

    for (;;) {
        p += strspn(p, ", \t");
        if (*p == '\0')
            return false;
        end = p + strcspn(p, ",");
        *cursor = end;
        while (end > p && (end[-1] == ' ' || end[-1] == '\t'))
            end--;
        *start = p;
        *size = (size_t)(end - p);
        return true;
    }
}

/* "application/json; q=0" */
static bool range_takes(const char *element, size_t size, const char *type)
{
    const char *semicolon = memchr(element, ';', size);
    size_t range = semicolon != NULL ? (size_t)(semicolon - element) : size;
    const size_t major = (size_t)(strchr(type, '/') - type);

    while (range > 0 && element[range - 1] == ' ')
        range--;
    const bool matches = (range == 3 && memcmp(element, "*/*", 3) == 0) ||
                         (range == strlen(type) && strncasecmp(element, type, range) == 0) ||
                         (range == major + 2 && strncasecmp(element, type, major + 1) == 0 &&
                          element[major + 1] == '*');
    if (!matches || semicolon == NULL)
        return matches;
    for (const char *p = semicolon; p < element + size; p++) {
        if (*p != ';')
            continue;
        while (p + 1 < element + size && p[1] == ' ')
            p++;
        if (p + 2 < element + size && tolower((unsigned char)p[1]) == 'q' && p[2] == '=')
            return strtod(p + 3, NULL) > 0;
    }
    return true;
}

bool accel_http_accepts(const char *accept, const char *type)
{
    const char *element;
    size_t size;
    bool any = false;

    if (accept == NULL)
        return true;
    while (next_element(&accept, &element, &size)) {
        any = true;
        if (range_takes(element, size, type))
            return true;
    }
    return !any;
}

bool accel_http_is_type(const char *content_type, const char *type)
{
    const size_t size = strlen(type);

    return content_type != NULL && strncasecmp(content_type, type, size) == 0 &&
           (content_type[size] == '\0' || strchr("; \t", content_type[size]) != NULL);
}

bool accel_http_etag_matches(const char *if_none_match, const char *etag)
{
    const char *element;
    size_t size;

    if (strncmp(etag, "W/", 2) == 0)
        etag += 2;
    while (if_none_match != NULL && next_element(&if_none_match, &element, &size)) {
        if (size == 1 && *element == '*')
            return true;
        if (size > 2 && strncmp(element, "W/", 2) == 0) {
            element += 2;
            size -= 2;
        }
        if (size == strlen(etag) && memcmp(element, etag, size) == 0)
            return true;
    }
    return false;
}

static enum accel_microversion parse_version(const char *text, size_t size, int *minor)
{
    unsigned major = 0, low = 0;
    size_t i = 0, digits;

    if (size == 6 && strncasecmp(text, "latest", 6) == 0) {
        *minor = ACCEL_MINOR_MAX;
        return ACCEL_MICROVERSION_OK;
    }
    for (; i < size && i < 4 && isdigit((unsigned char)text[i]); i++)
        major = major * 10 + (unsigned)(text[i] - '0');
    if (i == 0 || i == size || text[i] != '.')
        return ACCEL_MICROVERSION_MALFORMED;
    for (digits = ++i; i < size && i < digits + 4 && isdigit((unsigned char)text[i]); i++)
        low = low * 10 + (unsigned)(text[i] - '0');
    if (i == digits || i != size)
        return ACCEL_MICROVERSION_MALFORMED;
    if (major != 2 || low > ACCEL_MINOR_MAX)
        return ACCEL_MICROVERSION_OUT_OF_RANGE;
    *minor = (int)low;
    return ACCEL_MICROVERSION_OK;
}

enum accel_microversion accel_http_microversion(const char *header, int *minor)
{
    static const char service[] = "accelerator";
    const char *cursor = header, *element;
    size_t size;

    *minor = 0;
    if (header == NULL)
        return ACCEL_MICROVERSION_OK;
    while (next_element(&cursor, &element, &size)) {
        if (size <= strlen(service) || strncasecmp(element, service, strlen(service)) != 0 ||
            !isspace((unsigned char)element[strlen(service)]))
            continue;
        element += strlen(service);
        size -= strlen(service);
        while (size > 0 && isspace((unsigned char)*element))
            element++, size--;
        return parse_version(element, size, minor);
    }
    cursor = header;
    if (!next_element(&cursor, &element, &size))
        return ACCEL_MICROVERSION_MALFORMED;
    return parse_version(element, size, minor);
}

bool accel_http_host_is_loopback(const char *host)
{
    char name[64];
    size_t size;

    if (host == NULL)
        return false;
    if (host[0] == '[') {
        const char *end = strchr(host, ']');

        if (end == NULL || strncmp(host, "[::1]", 5) != 0)
            return false;
        size = (size_t)(end - host) + 1;
    } else {
        size = strcspn(host, ":");
    }
    if (host[size] == ':') {
        int64_t port;

        if (!accel_http_parse_number(host + size + 1, 0, 65535, &port))
            return false;
    } else if (host[size] != '\0') {
        return false;
    }
    if (size == 0 || size >= sizeof(name))
        return false;
    memcpy(name, host, size);
    name[size] = '\0';
    if (strcasecmp(name, "localhost") == 0 || strcmp(name, "[::1]") == 0)
        return true;
    /* 127.0.0.0/8 in its plain form only: resolvers read 0177.1 as loopback too, browsers do not
     * send it. */
    unsigned part[4];
    char rest;
    return sscanf(name, "%3u.%3u.%3u.%3u%c", &part[0], &part[1], &part[2], &part[3], &rest) == 4 &&
           part[0] == 127 && part[1] < 256 && part[2] < 256 && part[3] < 256 &&
           strspn(name, "0123456789.") == size;
}

bool accel_http_origin_is_local(const char *origin)
{
    if (strncmp(origin, "http://", 7) == 0)
        return accel_http_host_is_loopback(origin + 7);
    if (strncmp(origin, "https://", 8) == 0)
        return accel_http_host_is_loopback(origin + 8);
    return false;
}

bool accel_http_is_request_id(const char *text)
{
    if (text == NULL || strlen(text) != 40 || strncmp(text, "req-", 4) != 0)
        return false;
    for (int i = 0; i < 36; i++) {
        const char c = text[4 + i];
        const bool dash = i == 8 || i == 13 || i == 18 || i == 23;

        if (dash ? c != '-' : !(isdigit((unsigned char)c) || (c >= 'a' && c <= 'f')))
            return false;
    }
    return true;
}

bool accel_http_parse_number(const char *text, int64_t min, int64_t max, int64_t *number)
{
    char *end;

    if (!isdigit((unsigned char)text[0]) && !(text[0] == '-' && isdigit((unsigned char)text[1])))
        return false;
    errno = 0;
    const long long value = strtoll(text, &end, 10);
    if (errno != 0 || *end != '\0' || value < min || value > max)
        return false;
    *number = value;
    return true;
}

bool accel_http_parse_bool(const char *text, bool *value)
{
    static const char *const yes[] = {"true", "1", "yes"}, *const no[] = {"false", "0", "no"};

    for (size_t i = 0; i < ACCEL_COUNT(yes); i++) {
        if (strcasecmp(text, yes[i]) == 0)
            return *value = true;
        if (strcasecmp(text, no[i]) == 0) {
            *value = false;
            return true;
        }
    }
    return false;
}
