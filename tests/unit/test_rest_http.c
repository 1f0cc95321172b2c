/* SPDX-License-Identifier: Apache-2.0 */
#include "rest/http.h"

#include <string.h>

#include "tap.h"

static void splits_and_decodes_a_target(void)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_target target;
    struct accel_error err;

    ok(accel_http_parse_target("/v2/devices/a%2Fb%20c/?type=G%50U&x=1+2&flag&=&type=", &mem,
                               &target, &err) == ACCEL_OK,
       "takes a path with a query");
    ok(target.segments_count == 3 && strcmp(target.segments[2], "a/b c") == 0,
       "decodes after the split and drops the slash at the end");
    ok(target.query_count == 5 && strcmp(target.query[0].value, "GPU") == 0 &&
           strcmp(target.query[1].value, "1 2") == 0 && strcmp(target.query[2].value, "") == 0 &&
           strcmp(target.query[4].name, "type") == 0,
       "keeps repeated and empty parameters in order");
    ok(accel_http_parse_target("/", &mem, &target, &err) == ACCEL_OK && target.segments_count == 0,
       "takes the root");
    ok(accel_http_parse_target("/a//b", &mem, &target, &err) == ACCEL_OK &&
           target.segments_count == 3 && target.segments[1][0] == '\0',
       "keeps an empty part, which matches nothing");
}

static void refuses_broken_targets(void)
{
    static const char *const broken[] = {"",           "*",     "http://x/", "/%",
                                         "/%4",        "/%zz",  "/a%00b",    "/%ff",
                                         "/?a=%c0%80", "/?%=1", "/%ed%a0%80"};
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_target target;
    struct accel_error err;
    char deep[64] = "", wide[256] = "/?";

    for (size_t i = 0; i < ACCEL_COUNT(broken); i++)
        ok(accel_http_parse_target(broken[i], &mem, &target, &err) == ACCEL_E_INVALID,
           "refuses the target \"%s\"", broken[i]);
    for (int i = 0; i < 14; i++)
        strcat(deep, "/a");
    ok(accel_http_parse_target(deep, &mem, &target, &err) == ACCEL_E_LIMIT,
       "bounds the parts of a path");
    for (int i = 0; i < 80; i++)
        strcat(wide, "a&");
    ok(accel_http_parse_target(wide, &mem, &target, &err) == ACCEL_E_LIMIT,
       "bounds the query parameters");
}

static void target_survives_every_failed_allocation(void)
{
    struct accel_target target;
    struct accel_error err;

    for (long nth = 0;; nth++) {
        ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};

        accel_fault_arm(nth);
        int rc = accel_http_parse_target("/v2/devices?a=1&b=2", &mem, &target, &err);
        if (!accel_fault_disarm()) {
            ok(rc == ACCEL_OK && target.query_count == 2, "parses a target");
            return;
        }
        ok(rc == ACCEL_E_NOMEM, "reports that allocation %ld failed", nth);
    }
}

static void negotiates_microversions(void)
{
    static const struct {
        const char *header;
        enum accel_microversion found;
        int minor;
    } cases[] = {
        {NULL, ACCEL_MICROVERSION_OK, 0},
        {"accelerator 2.0", ACCEL_MICROVERSION_OK, 0},
        {"accelerator 2.3", ACCEL_MICROVERSION_OK, 3},
        {"accelerator latest", ACCEL_MICROVERSION_OK, 3},
        {"latest", ACCEL_MICROVERSION_OK, 3},
        {"2.1", ACCEL_MICROVERSION_OK, 1},
        {"compute 2.60,accelerator 2.2", ACCEL_MICROVERSION_OK, 2},
        {"accelerator 2.4", ACCEL_MICROVERSION_OUT_OF_RANGE, 0},
        {"accelerator 1.0", ACCEL_MICROVERSION_OUT_OF_RANGE, 0},
        {"accelerator 3.0", ACCEL_MICROVERSION_OUT_OF_RANGE, 0},
        {"accelerator foo", ACCEL_MICROVERSION_MALFORMED, 0},
        {"accelerator 2", ACCEL_MICROVERSION_MALFORMED, 0},
        {"accelerator 2.", ACCEL_MICROVERSION_MALFORMED, 0},
        {"accelerator v2.3", ACCEL_MICROVERSION_MALFORMED, 0},
        {"accelerator 2.99999999999999999999", ACCEL_MICROVERSION_MALFORMED, 0},
        {"compute 2.60", ACCEL_MICROVERSION_MALFORMED, 0},
        {"", ACCEL_MICROVERSION_MALFORMED, 0},
        {",", ACCEL_MICROVERSION_MALFORMED, 0},
    };

    for (size_t i = 0; i < ACCEL_COUNT(cases); i++) {
        int minor;
        const enum accel_microversion found = accel_http_microversion(cases[i].header, &minor);

        ok(found == cases[i].found && (found != ACCEL_MICROVERSION_OK || minor == cases[i].minor),
           "negotiates \"%s\"", cases[i].header != NULL ? cases[i].header : "(none)");
    }
}

static void reads_accept_and_content_type(void)
{
    ok(accel_http_accepts(NULL, "application/json"), "no Accept takes JSON");
    ok(accel_http_accepts("*/*", "application/json"), "*/* takes JSON");
    ok(accel_http_accepts("text/html, application/*;q=0.8", "application/json"),
       "application/* takes JSON");
    ok(accel_http_accepts("Application/JSON; charset=utf-8", "application/json"),
       "the case does not matter");
    ok(!accel_http_accepts("text/html", "application/json"), "text/html does not take JSON");
    ok(!accel_http_accepts("application/json;q=0", "application/json"), "q=0 refuses");
    ok(!accel_http_accepts("application/jsonx", "application/json"), "a longer type is another");
    ok(accel_http_is_type("application/json; charset=utf-8", "application/json"),
       "a parameter does not change the type");
    ok(!accel_http_is_type("application/json-patch+json", "application/json"),
       "a type that begins alike is another");
    ok(!accel_http_is_type(NULL, "application/json"), "no type is no JSON");
}

static void compares_entity_tags(void)
{
    ok(accel_http_etag_matches("W/\"1\", \"2\"", "W/\"2\""), "compares weakly");
    ok(accel_http_etag_matches("*", "W/\"2\""), "* matches");
    ok(!accel_http_etag_matches("W/\"22\"", "W/\"2\""), "a longer tag is another");
    ok(!accel_http_etag_matches(NULL, "W/\"2\""), "nothing asked, nothing matches");
}

static void tells_loopback_from_the_world(void)
{
    static const char *const here[] = {"localhost",      "LOCALHOST:80", "127.0.0.1",
                                       "127.1.2.3:6666", "[::1]",        "[::1]:6666"};
    static const char *const there[] = {"example.org",
                                        "localhost.example.org",
                                        "127.0.0.1.example.org",
                                        "128.0.0.1",
                                        "[::2]",
                                        "127.0.0.1:99999",
                                        "127.0.0.1:x",
                                        "",
                                        "[::1",
                                        "127.0.0",
                                        "127.0.0.256",
                                        "localhost:",
                                        "127.0.0.+1"};

    for (size_t i = 0; i < ACCEL_COUNT(here); i++)
        ok(accel_http_host_is_loopback(here[i]), "\"%s\" is loopback", here[i]);
    for (size_t i = 0; i < ACCEL_COUNT(there); i++)
        ok(!accel_http_host_is_loopback(there[i]), "\"%s\" is not loopback", there[i]);
    ok(!accel_http_host_is_loopback(NULL), "no Host is not loopback");
    ok(accel_http_origin_is_local("http://localhost:6666"), "a local page is local");
    ok(!accel_http_origin_is_local("https://example.org"), "a foreign page is foreign");
    ok(!accel_http_origin_is_local("null"), "a page without origin is foreign");
}

static void takes_over_only_well_formed_request_ids(void)
{
    ok(accel_http_is_request_id("req-0af7651916cd-43dd-8448-eb211c80319c") == false,
       "dashes at the wrong places are refused");
    ok(accel_http_is_request_id("req-7c1e2f00-0000-4000-8000-0123456789ab"), "a good one is taken");
    ok(!accel_http_is_request_id("req-7C1E2F00-0000-4000-8000-0123456789AB"),
       "capitals are refused");
    ok(!accel_http_is_request_id("req-7c1e2f00-0000-4000-8000-0123456789ab\n"),
       "a longer one is refused");
    ok(!accel_http_is_request_id(NULL), "none is none");
}

static void reads_numbers_and_truths(void)
{
    int64_t number = 0;
    bool value = false;

    ok(accel_http_parse_number("12", 1, 100, &number) && number == 12, "reads a number");
    ok(!accel_http_parse_number("0", 1, 100, &number), "below the least is refused");
    ok(!accel_http_parse_number("101", 1, 100, &number), "above the most is refused");
    ok(!accel_http_parse_number("1x", 1, 100, &number) &&
           !accel_http_parse_number(" 1", 1, 100, &number) &&
           !accel_http_parse_number("", 1, 100, &number) &&
           !accel_http_parse_number("99999999999999999999", 1, INT64_MAX, &number),
       "anything else is refused");
    ok(accel_http_parse_bool("True", &value) && value, "True is true");
    ok(accel_http_parse_bool("0", &value) && !value, "0 is false");
    ok(!accel_http_parse_bool("maybe", &value), "maybe is neither");
}

static void knows_utf8(void)
{
    ok(accel_http_is_utf8("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80", 15), "good bytes");
    ok(!accel_http_is_utf8("\xc3", 1) && !accel_http_is_utf8("\xe2\x82", 2), "cut-off bytes");
    ok(!accel_http_is_utf8("\xc0\x80", 2) && !accel_http_is_utf8("\xe0\x80\x80", 3),
       "over-long bytes");
    ok(!accel_http_is_utf8("\xf4\x90\x80\x80", 4), "beyond Unicode");
}

int main(void)
{
    splits_and_decodes_a_target();
    refuses_broken_targets();
    target_survives_every_failed_allocation();
    negotiates_microversions();
    reads_accept_and_content_type();
    compares_entity_tags();
    tells_loopback_from_the_world();
    takes_over_only_well_formed_request_ids();
    reads_numbers_and_truths();
    knows_utf8();
    return tap_done();
}
