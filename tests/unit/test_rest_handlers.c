/* SPDX-License-Identifier: Apache-2.0 */
/* Handlers and error bodies by themselves: structs in, structs out, no socket. */
#include "rest/handlers.h"

#include <stdlib.h>
#include <string.h>

#include "rest/errors.h"
#include "rest/policy.h"
#include "tap.h"

static struct accel_bump mem;
static struct accel_config config;
static struct accel_error err;

static struct accel_request request(json_t *json)
{
    return (struct accel_request){.config = &config,
                                  .mem = &mem,
                                  .path = "/v2/x",
                                  .base = "http://localhost:6666",
                                  .caller = {.user = "uid:0", .admin = true, .service = true},
                                  .body_fd = -1,
                                  .json = json};
}

static void version_document_serves_two_protocols(void)
{
    const struct accel_request req = request(NULL);
    struct accel_response res = {0};

    ok(accel_get_v2(&req, &res, &err) == ACCEL_OK && res.status == 200, "GET /v2 answers");
    ok(strcmp(json_string_value(json_object_get(res.body, "id")), "v2.0") == 0 &&
           strcmp(json_string_value(json_object_get(res.body, "name")), "acceld") == 0,
       "it is Cyborg's version and the inference server's metadata");
    json_decref(res.body);
    config.api.public_endpoint = "https://node1.example.org";
    res = (struct accel_response){0};
    accel_get_v2(&req, &res, &err);
    char *text = json_dumps(res.body, 0);
    ok(strstr(text, "https://node1.example.org/accelerator/v2/") != NULL,
       "its link begins with the public endpoint");
    free(text);
    json_decref(res.body);
    config.api.public_endpoint = NULL;
}

/* Everything a handler refuses before it asks the store or the service, which are NULL here. */
static void refuses_before_it_asks_anybody(void)
{
    static const struct {
        accel_handler_fn *handler;
        const char *body;
    } cases[] = {
        {accel_create_device_profile, "[]"},
        {accel_create_device_profile, "[{\"name\": \"a b\", \"groups\": [{}]}]"},
        {accel_create_device_profile, "[{\"name\": \"a\", \"groups\": [7]}]"},
        {accel_create_attribute, "{\"deployable_id\": 1.5, \"key\": \"k\", \"value\": 1}"},
        {accel_create_arqs, "{\"device_profile_name\": 7}"},
        {accel_patch_arqs, "{\"x\": []}"},
        {accel_create_placement, "{\"model\": \"m\", \"constraints\": {\"types\": 7}}"},
        {accel_create_job, "{\"kind\": \"calibrate\", \"budget_seconds\": -1}"},
        {accel_set_log_level, "{\"level\": \"loud\"}"},
    };

    for (size_t i = 0; i < ACCEL_COUNT(cases); i++) {
        json_t *json = json_loads(cases[i].body, 0, NULL);
        const struct accel_request req = request(json);
        struct accel_response res = {0};

        ok(cases[i].handler(&req, &res, &err) == ACCEL_E_INVALID && res.body == NULL,
           "refuses %s: %s", cases[i].body, err.msg);
        json_decref(json);
    }
}

static void tempests_500_is_a_switch(void)
{
    json_t *json = json_loads("[{\"name\": \"\", \"groups\": [{}]}]", 0, NULL);
    const struct accel_request req = request(json);
    struct accel_response res = {0};

    accel_create_device_profile(&req, &res, &err);
    ok(res.status == 400, "an empty name is 400");
    config.cyborg.strict_500 = true;
    accel_create_device_profile(&req, &res, &err);
    ok(res.status == 500, "and 500 where Tempest wants it");
    config.cyborg.strict_500 = false;
    json_decref(json);
}

static void words_one_error_three_ways(void)
{
    static const struct accel_error why = {ACCEL_E_NOT_FOUND, "no \"x\"\n\xff"};
    ACCEL_CLEANUP(accel_buf_free) struct accel_buf body = {0};

    ok(accel_error_status(ACCEL_E_NOT_FOUND) == 404 && accel_error_status(0) == 500,
       "codes have a status");
    accel_error_body(ACCEL_FAMILY_CYBORG, 404, &why, "/p", "req-1", &body);
    json_t *outer = json_loads(body.data, 0, NULL);
    json_t *inner = json_loads(json_string_value(json_object_get(outer, "error_message")), 0, NULL);
    ok(strcmp(json_string_value(json_object_get(inner, "faultstring")), "no \"x\"\n?") == 0 &&
           strcmp(json_string_value(json_object_get(inner, "faultcode")), "Client") == 0,
       "Cyborg's: JSON within JSON, whatever the bytes");
    json_decref(inner);
    json_decref(outer);
    accel_buf_free(&body);
    accel_error_body(ACCEL_FAMILY_CYBORG, 423, &why, "/p", "req-1", &body);
    ok(strcmp(body.data, "{\"error_message\": \"null\"}") == 0, "423 says null");
    accel_buf_free(&body);
    accel_error_body(ACCEL_FAMILY_OIP, 404, &why, "/p", "req-1", &body);
    ok(strncmp(body.data, "{\"error\": \"no", 13) == 0, "the inference protocol's");
    accel_buf_free(&body);
    const char *type = accel_error_body(ACCEL_FAMILY_OWN, 404, &why, "/p", "req-1", &body);
    ok(strcmp(type, "application/problem+json") == 0 &&
           strstr(body.data, "https://acceld.io/errors/not-found") != NULL &&
           strstr(body.data, "\"code\": \"NOT_FOUND\"") != NULL,
       "RFC 9457");
}

static void bounds_json(void)
{
    char deep[80];

    memset(deep, '[', 40);
    memset(deep + 40, ']', 40);
    ok(accel_json_parse(deep, 80, 32, &err) == NULL && err.code == ACCEL_E_INVALID,
       "depth is bounded: %s", err.msg);
    json_t *fine = accel_json_parse(deep, 80, 40, &err);
    ok(fine != NULL, "to the level");
    json_decref(fine);
    fine = accel_json_parse("\"[[[\\\"[[[\"", 10, 1, &err);
    ok(fine != NULL, "brackets in texts do not count");
    json_decref(fine);
    ok(accel_json_parse("{\"a\":1,\"a\":2}", 13, 32, &err) == NULL, "no key twice: %s", err.msg);
    ok(accel_json_parse("\xff", 1, 32, &err) == NULL, "no bytes that are no UTF-8: %s", err.msg);
}

static void rules_have_roles(void)
{
    const struct accel_caller reader = {.user = "uid:5", .reader = true};
    const struct accel_caller nobody = {.user = "?"};

    ok(accel_policy_check(ACCEL_RULE_DEVICE_GET_ALL, &reader, &err) == ACCEL_OK, "a reader reads");
    ok(accel_policy_check(ACCEL_RULE_DEVICE_ENABLE, &reader, &err) == ACCEL_E_DENIED &&
           strstr(err.msg, "cyborg:device:enable") != NULL,
       "and changes nothing: %s", err.msg);
    ok(accel_policy_check(ACCEL_RULE_DEVICE_GET_ALL, &nobody, &err) == ACCEL_E_DENIED,
       "nobody reads nothing");
    ok(accel_policy_check(ACCEL_RULE_PUBLIC, &nobody, &err) == ACCEL_OK, "but probes");
}

static void survives_every_failed_allocation(void)
{
    for (long nth = 0;; nth++) {
        const struct accel_request req = request(NULL);
        struct accel_response res = {0};

        accel_bump_free(&mem);
        accel_fault_arm(nth);
        const int rc = accel_get_root(&req, &res, &err);
        const bool reached = accel_fault_disarm();
        json_decref(res.body);
        if (!reached) {
            ok(rc == ACCEL_OK, "GET / answers");
            return;
        }
        ok(rc == ACCEL_E_NOMEM, "reports that allocation %ld failed", nth);
    }
}

int main(void)
{
    version_document_serves_two_protocols();
    refuses_before_it_asks_anybody();
    tempests_500_is_a_switch();
    words_one_error_three_ways();
    bounds_json();
    rules_have_roles();
    survives_every_failed_allocation();
    accel_bump_free(&mem);
    return tap_done();
}
