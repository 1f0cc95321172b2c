/* SPDX-License-Identifier: Apache-2.0 */
/* The routes and api/openapi.yaml say the same, both ways. */
#include "rest/openapi.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "rest/router.h"
#include "tap.h"

static const json_t *operation_of(const json_t *document, const struct accel_route *route)
{
    char method[16];
    size_t i = 0;

    for (; route->method[i] != '\0' && i + 1 < sizeof(method); i++)
        method[i] = (char)tolower((unsigned char)route->method[i]);
    method[i] = '\0';
    return json_object_get(json_object_get(json_object_get(document, "paths"), route->pattern),
                           method);
}

static const json_t *resolved(const json_t *document, const json_t *node)
{
    const char *ref = json_string_value(json_object_get(node, "$ref"));
    char kind[32], name[64];

    if (ref == NULL || sscanf(ref, "#/components/%31[^/]/%63s", kind, name) != 2)
        return node;
    return json_object_get(json_object_get(json_object_get(document, "components"), kind), name);
}

static bool documents_query(const json_t *document, const json_t *operation, const char *name,
                            size_t size)
{
    const json_t *parameter;
    size_t i;

    json_array_foreach(json_object_get(operation, "parameters"), i, parameter) {
        const json_t *found = resolved(document, parameter);
        const char *in = json_string_value(json_object_get(found, "in"));
        const char *called = json_string_value(json_object_get(found, "name"));

        if (in != NULL && called != NULL && strcmp(in, "query") == 0 && strlen(called) == size &&
            memcmp(called, name, size) == 0)
            return true;
    }
    return false;
}

static void every_route_is_documented(const json_t *document)
{
    size_t count;
    const struct accel_route *routes = accel_routes(&count);

    for (size_t i = 0; i < count; i++) {
        const json_t *operation = operation_of(document, &routes[i]);
        const char *id = json_string_value(json_object_get(operation, "operationId"));

        ok(id != NULL && strcmp(id, routes[i].operation) == 0, "%s %s is %s", routes[i].method,
           routes[i].pattern, routes[i].operation);
        ok((json_object_get(operation, "requestBody") != NULL) ==
               (routes[i].body != ACCEL_BODY_NONE),
           "%s has a body on both sides or on none", routes[i].operation);
        for (const char *p = routes[i].query; p != NULL && *p != '\0'; p += strspn(p, " ")) {
            const size_t size = strcspn(p, " ");

            if (!documents_query(document, operation, p, size))
                ok(false, "%s documents ?%.*s", routes[i].operation, (int)size, p);
            p += size;
        }
    }
}

static bool has_route(const char *method, const char *pattern)
{
    size_t count;
    const struct accel_route *routes = accel_routes(&count);

    for (size_t i = 0; i < count; i++)
        if (strcasecmp(routes[i].method, method) == 0 && strcmp(routes[i].pattern, pattern) == 0)
            return true;
    return false;
}

static void every_documented_path_is_routed(const json_t *document)
{
    const char *pattern, *method;
    json_t *path, *operation;

    json_object_foreach(json_object_get(document, "paths"), pattern, path)
        json_object_foreach(path, method, operation)
            ok(has_route(method, pattern), "%s %s is routed", method, pattern);
}

static void reads_yaml(void)
{
    static const char text[] = "a: [1, -2.5, true, null, \"1\", 'x', y z]\nb:\n  c: {d: ~}\n";
    static const char *const bad[] = {"a: 1\na: 2\n", "a: &x 1\nb: *x\n", "a: [1\n", ""};
    struct accel_error err;
    json_t *json = accel_yaml_to_json((const unsigned char *)text, strlen(text), "t", &err);
    char *got = json_dumps(json, JSON_COMPACT);

    ok(got != NULL && strcmp(got, "{\"a\":[1,-2.5,true,null,\"1\",\"x\",\"y z\"],\"b\":{\"c\":{"
                                  "\"d\":null}}}") == 0,
       "YAML's scalars become JSON's: %s", got);
    free(got);
    json_decref(json);
    for (size_t i = 0; i < ACCEL_COUNT(bad); i++)
        ok(accel_yaml_to_json((const unsigned char *)bad[i], strlen(bad[i]), "t", &err) == NULL,
           "refuses YAML that is wrong in way %zu: %s", i, err.msg);
}

int main(void)
{
    struct accel_error err = {0};
    json_t *document = accel_openapi_load(&err);

    ok(document != NULL, "the contract built in is YAML %s", err.msg);
    if (document != NULL) {
        every_route_is_documented(document);
        every_documented_path_is_routed(document);
    }
    json_decref(document);
    reads_yaml();
    return tap_done();
}
