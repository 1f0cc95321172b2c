/* SPDX-License-Identifier: Apache-2.0 */
#include "rest/router.h"

#include <stdio.h>
#include <string.h>

static const char suffix[] = ".json";

/* The part without a .json at its end; NULL when it has none. */
static const char *without_suffix(struct accel_bump *mem, const char *segment)
{
    const size_t size = strlen(segment), tail = strlen(suffix);

    if (size <= tail || strcmp(segment + size - tail, suffix) != 0)
        return NULL;
    return accel_bump_printf(mem, "%.*s", (int)(size - tail), segment);
}

static bool is_top(const char *segment)
{
    static const char *const tops[] = {"v2",     "v2.json", "healthz",
                                       "readyz", "metrics", "openapi.json"};

    for (size_t i = 0; i < ACCEL_COUNT(tops); i++)
        if (strcmp(segment, tops[i]) == 0)
            return true;
    return false;
}

/* Which clients expect what of a path that no row matches. */
static enum accel_family family_of(const struct accel_target *target)
{
    static const char *const cyborg[] = {"devices", "deployables", "device_profiles",
                                         "accelerator_requests", "attributes"};
    const char *kind = target->segments_count > 1 ? target->segments[1] : "";

    if (target->segments_count == 0 || (target->segments_count == 1 && kind[0] == '\0'))
        return target->segments_count == 0 || strncmp(target->segments[0], "v2", 2) == 0
                   ? ACCEL_FAMILY_CYBORG
                   : ACCEL_FAMILY_OWN;
    for (size_t i = 0; i < ACCEL_COUNT(cyborg); i++)
        if (strcmp(kind, cyborg[i]) == 0)
            return ACCEL_FAMILY_CYBORG;
    if (strcmp(kind, "models") == 0 || strcmp(kind, "health") == 0 ||
        strcmp(kind, "repository") == 0)
        return ACCEL_FAMILY_OIP;
    return ACCEL_FAMILY_OWN;
}

static void normalise(struct accel_target *target)
{
    if (target->segments_count > 0 && strcmp(target->segments[0], "accelerator") == 0) {
        target->segments_count--;
        memmove(&target->segments[0], &target->segments[1],
                target->segments_count * sizeof(target->segments[0]));
    }
    if (target->segments_count > 0 && !is_top(target->segments[0])) {
        /* The array has one place to spare for this. */
        memmove(&target->segments[1], &target->segments[0],
                target->segments_count * sizeof(target->segments[0]));
        target->segments[0] = "v2";
        target->segments_count++;
    }
}

static bool matches(const struct accel_route *route, const struct accel_target *target,
                    const char *last, const char *params[ACCEL_PARAMS_MAX])
{
    const char *p = route->pattern + 1;
    size_t i = 0, n = 0;

    for (; *p != '\0'; i++) {
        const size_t size = strcspn(p, "/");
        const char *segment;

        if (i == target->segments_count)
            return false;
        segment = target->segments[i];
        /* Cyborg's resources may be asked for as X.json; a model's name may end so by itself. */
        if (i + 1 == target->segments_count && last != NULL && route->family == ACCEL_FAMILY_CYBORG)
            segment = last;
        if (p[0] == '{') {
            if (segment[0] == '\0' || n == ACCEL_PARAMS_MAX)
                return false;
            params[n++] = segment;
        } else if (strlen(segment) != size || memcmp(segment, p, size) != 0) {
            return false;
        }
        p += size;
        p += *p == '/';
    }
    return i == target->segments_count;
}

static const char *path_text(const struct accel_target *target, const char *last,
                             enum accel_family family, struct accel_bump *mem)
{
    const char *path = "";

    for (size_t i = 0; path != NULL && i < target->segments_count; i++) {
        const bool cut =
            i + 1 == target->segments_count && last != NULL && family == ACCEL_FAMILY_CYBORG;
        const char *encoded = accel_http_encode(mem, cut ? last : target->segments[i]);

        path = encoded == NULL ? NULL : accel_bump_printf(mem, "%s/%s", path, encoded);
    }
    return path != NULL && path[0] == '\0' ? "/" : path;
}

static bool method_fits(const struct accel_route *route, const char *method)
{
    return strcmp(route->method, method) == 0 ||
           (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0 &&
            route->family != ACCEL_FAMILY_CYBORG);
}

static void allow_add(char *allow, size_t size, const char *method)
{
    const size_t used = strlen(allow);

    if (strstr(allow, method) == NULL)
        snprintf(allow + used, size - used, "%s%s", used > 0 ? ", " : "", method);
}

int accel_route_find(const char *method, struct accel_target *target, struct accel_bump *mem,
                     enum accel_route_match *match, struct accel_routed *routed,
                     struct accel_error *err)
{
    const char *last = NULL;
    size_t count;
    const struct accel_route *routes = accel_routes(&count);

    *routed = (struct accel_routed){0};
    *match = ACCEL_ROUTE_NO_PATH;
    normalise(target);
    if (target->segments_count > 0)
        last = without_suffix(mem, target->segments[target->segments_count - 1]);
    routed->family = family_of(target);
    for (size_t i = 0; i < count; i++) {
        const char *params[ACCEL_PARAMS_MAX] = {0};

        if (!matches(&routes[i], target, last, params))
            continue;
        routed->family = routes[i].family;
        if (method_fits(&routes[i], method)) {
            *match = ACCEL_ROUTE_FOUND;
            routed->route = &routes[i];
            memcpy(routed->params, params, sizeof(params));
            break;
        }
        if ((routes[i].flags & ACCEL_ROUTE_HIDE_405) == 0) {
            *match = ACCEL_ROUTE_NO_METHOD;
            allow_add(routed->allow, sizeof(routed->allow), routes[i].method);
            if (strcmp(routes[i].method, "GET") == 0 && routes[i].family != ACCEL_FAMILY_CYBORG)
                allow_add(routed->allow, sizeof(routed->allow), "HEAD");
        }
    }
    routed->path = path_text(target, last, routed->family, mem);
    if (routed->path == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for the path");
    return ACCEL_OK;
}

static bool in_words(const char *words, const char *word)
{
    const size_t size = strlen(word);

    for (const char *p = words; p != NULL && *p != '\0'; p += strspn(p, " ")) {
        const size_t length = strcspn(p, " ");

        if (length == size && memcmp(p, word, size) == 0)
            return true;
        p += length;
    }
    return false;
}

int accel_route_check_query(const struct accel_route *route, const struct accel_target *target,
                            struct accel_error *err)
{
    if (route->flags & ACCEL_ROUTE_ANY_QUERY)
        return ACCEL_OK;
    for (size_t i = 0; i < target->query_count; i++)
        if (!in_words(route->query, target->query[i].name))
            return accel_fail(err, ACCEL_E_INVALID, "Unknown argument: \"%.80s\"",
                              target->query[i].name);
    return ACCEL_OK;
}
