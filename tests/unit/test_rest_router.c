/* SPDX-License-Identifier: Apache-2.0 */
#include "rest/router.h"

#include <string.h>

#include "tap.h"

static struct accel_bump mem;
static struct accel_routed routed;
static enum accel_route_match match;
static struct accel_error err;

static const char *route(const char *method, const char *path)
{
    struct accel_target target;

    accel_bump_free(&mem);
    if (accel_http_parse_target(path, &mem, &target, &err) != ACCEL_OK ||
        accel_route_find(method, &target, &mem, &match, &routed, &err) != ACCEL_OK)
        return "error";
    return match == ACCEL_ROUTE_FOUND ? routed.route->operation
                                      : (match == ACCEL_ROUTE_NO_METHOD ? routed.allow : "");
}

static void finds_every_form_of_a_path(void)
{
    static const struct {
        const char *method, *path, *want;
    } cases[] = {
        {"GET", "/", "getRoot"},
        {"GET", "/accelerator", "getRoot"},
        {"GET", "/accelerator/", "getRoot"},
        {"GET", "/v2", "getV2"},
        {"GET", "/v2/", "getV2"},
        {"GET", "/v2.json", "getV2"},
        {"GET", "/accelerator/v2/", "getV2"},
        {"GET", "/v2/devices", "listDevices"},
        {"GET", "/devices", "listDevices"},
        {"GET", "/devices.json", "listDevices"},
        {"GET", "/accelerator/devices/", "listDevices"},
        {"GET", "/v2/devices/x.json", "getDevice"},
        {"POST", "/v2/devices/x/enable", "enableDevice"},
        {"GET", "/v2/devices/x/enable", ""},
        {"GET", "/v2/devices//enable", ""},
        {"HEAD", "/v2/devices", "GET"},
        {"OPTIONS", "/v2/devices/x", "GET"},
        {"PUT", "/v2/device_profiles", "GET, POST, DELETE"},
        {"PUT", "/", "GET"},
        {"PATCH", "/v2/accelerator_requests/x", "patchArq"},
        {"PATCH", "/v2/accelerator_requests", "patchArqs"},
        {"GET", "/v2/models/m", "getModelMetadata"},
        {"GET", "/v2/models/m/versions/3", "getModelVersionMetadata"},
        {"HEAD", "/v2/models/m", "getModelMetadata"},
        {"POST", "/v2/models/m/infer", "infer"},
        {"GET", "/v2/models/m/infer", "POST"},
        {"GET", "/healthz", "getHealthz"},
        {"GET", "/accelerator/healthz", "getHealthz"},
        {"HEAD", "/healthz", "getHealthz"},
        {"POST", "/healthz", "GET, HEAD"},
        {"GET", "/openapi.json", "getOpenapi"},
        {"GET", "/nothing", ""},
        {"GET", "/v2/devices/x/y/z", ""},
        {"GET", "/v2/v2/devices", ""},
    };

    for (size_t i = 0; i < ACCEL_COUNT(cases); i++) {
        const char *found = route(cases[i].method, cases[i].path);

        ok(strcmp(found, cases[i].want) == 0, "%s %s finds \"%s\"", cases[i].method, cases[i].path,
           cases[i].want);
    }
}

static void hands_over_parameters(void)
{
    route("GET", "/v2/devices/60c3.json");
    ok(strcmp(routed.params[0], "60c3") == 0 && strcmp(routed.path, "/v2/devices/60c3") == 0,
       "Cyborg's suffix is gone");
    route("GET", "/v2/models/my.json");
    ok(strcmp(routed.params[0], "my.json") == 0, "a model's name keeps its own");
    route("GET", "/accelerator/models/a%20b/versions/7/analysis");
    ok(strcmp(routed.params[0], "a b") == 0 && strcmp(routed.params[1], "7") == 0 &&
           strcmp(routed.path, "/v2/models/a%20b/versions/7/analysis") == 0,
       "parameters are decoded, the path is not");
}

static void words_errors_by_family(void)
{
    route("GET", "/v2/devices/x/y");
    ok(routed.family == ACCEL_FAMILY_CYBORG, "below a Cyborg resource: Cyborg's words");
    route("GET", "/v2/models/x/y");
    ok(routed.family == ACCEL_FAMILY_OIP, "below models: the inference protocol's");
    route("GET", "/v2/placements/x");
    ok(routed.family == ACCEL_FAMILY_OWN, "elsewhere: problem details");
}

static void knows_query_parameters(void)
{
    struct accel_target target;

    route("GET", "/v2/devices");
    accel_http_parse_target("/v2/devices?type=GPU&limit=1", &mem, &target, &err);
    ok(accel_route_check_query(routed.route, &target, &err) == ACCEL_OK, "known ones pass");
    accel_http_parse_target("/v2/devices?typ=GPU", &mem, &target, &err);
    ok(accel_route_check_query(routed.route, &target, &err) == ACCEL_E_INVALID &&
           strcmp(err.msg, "Unknown argument: \"typ\"") == 0,
       "part of a known one does not");
}

static void is_one_table_without_twins(void)
{
    size_t count;
    const struct accel_route *routes = accel_routes(&count);

    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(routes[i].operation, routes[j].operation) == 0 ||
                (strcmp(routes[i].method, routes[j].method) == 0 &&
                 strcmp(routes[i].pattern, routes[j].pattern) == 0))
                ok(false, "%s stands twice", routes[i].operation);
    ok(count > 50, "%zu routes, none twice", count);
}

int main(void)
{
    finds_every_form_of_a_path();
    hands_over_parameters();
    words_errors_by_family();
    knows_query_parameters();
    is_one_table_without_twins();
    accel_bump_free(&mem);
    return tap_done();
}
