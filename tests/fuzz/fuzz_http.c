/* SPDX-License-Identifier: Apache-2.0 */
/* First line "METHOD target", each other line the value of a header, to every reader of one. */
#include "rest/http.h"
#include "rest/router.h"

#include "fuzz/fuzz.h"

static void read_header(const char *value, struct accel_bump *mem)
{
    int64_t number;
    bool flag;
    int minor;

    (void)accel_http_accepts(value, "application/json");
    (void)accel_http_is_type(value, "application/json");
    (void)accel_http_etag_matches(value, "W/\"2\"");
    if (accel_http_microversion(value, &minor) == ACCEL_MICROVERSION_OK)
        FUZZ_MUST(minor >= 0 && minor <= ACCEL_MINOR_MAX);
    (void)accel_http_host_is_loopback(value);
    (void)accel_http_origin_is_local(value);
    (void)accel_http_is_request_id(value);
    if (accel_http_parse_number(value, -7, 1000, &number))
        FUZZ_MUST(number >= -7 && number <= 1000);
    (void)accel_http_parse_bool(value, &flag);
    (void)accel_http_is_utf8(value, strlen(value));
    FUZZ_MUST(accel_http_encode(mem, value) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    ACCEL_CLEANUP(accel_freep) char *text = fuzz_text(data, size);
    char *rest = text, *line = strsep(&rest, "\n"), *path = line;
    const char *method = strsep(&path, " ");
    struct accel_target target;
    enum accel_route_match match;
    struct accel_routed routed;
    struct accel_error err;

    (void)accel_http_parse_target(path != NULL ? path : "", &mem, &target, &err);
    FUZZ_MUST(target.segments_count <= ACCEL_SEGMENTS_MAX && target.query_count <= ACCEL_QUERY_MAX);
    if (accel_route_find(method, &target, &mem, &match, &routed, &err) == ACCEL_OK &&
        match == ACCEL_ROUTE_FOUND)
        (void)accel_route_check_query(routed.route, &target, &err);
    while ((line = strsep(&rest, "\n")) != NULL)
        read_header(line, &mem);
    return 0;
}
