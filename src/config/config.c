/* SPDX-License-Identifier: Apache-2.0 */
#include "config/config.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yaml.h>

#include "base/buf.h"
#include "base/fd.h"
#include "base/mem.h"

#define FILE_MAX_BYTES (1024u * 1024u)
#define KEY_MAX        128
#define NESTING_MAX    32
#define DRIVERS_MAX    64

#define KIB 1024ull
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

enum type {
    TEXT,     /* const char * */
    PATH,     /* const char *, absolute */
    OPTIONAL, /* const char *; "none": NULL */
    LISTEN,   /* const char *; HOST:PORT on loopback, "none": NULL */
    SWITCH,   /* bool: true or false */
    ADMIN,    /* bool: admin or reader */
    COUNT,    /* unsigned */
    MASK,     /* unsigned: a number or "all" */
    NUMBER,   /* size_t without a unit */
    SIZE,     /* size_t of bytes */
    DURATION, /* int64_t milliseconds */
    LEVEL,    /* enum accel_log_level */
    NAMES,    /* drivers.enabled alone */
};

/* The one place where a key is defined. `fallback` is parsed like a value from the file; NULL: it
 * is computed in finish(). min and max: of numbers, in the stored unit. */
static const struct key {
    const char *name;
    enum type type;
    size_t offset;
    const char *fallback;
    uint64_t min, max;
} keys[] = {
#define AT(member) offsetof(struct accel_config, member)
    {"node.hostname", TEXT, AT(hostname), NULL, 1, 253},
    {"node.state_dir", PATH, AT(state_dir), NULL, 0, 0},
    {"node.runtime_dir", PATH, AT(runtime_dir), NULL, 0, 0},
    {"node.sysroot", PATH, AT(sysroot), "/", 0, 0},
    {"node.user", TEXT, AT(user), "acceld", 1, 32},
    {"log.level", LEVEL, AT(log_level), "info", 0, 0},
    {"api.listen", LISTEN, AT(api.tcp), "127.0.0.1:6666", 0, 0},
    {"api.socket", OPTIONAL, AT(api.unix_path), NULL, 0, 0},
    {"api.socket_group", TEXT, AT(api.unix_group), "acceld", 1, 32},
    {"api.public_endpoint", OPTIONAL, AT(api.public_endpoint), "none", 0, 0},
    {"auth.local_tcp", ADMIN, AT(auth.local_tcp_admin), "reader", 0, 0},
    {"auth.admin_group", TEXT, AT(auth.admin_group), "acceld", 1, 32},
    {"auth.project", TEXT, AT(auth.default_project), "default", 1, 64},
    {"cyborg.list_cpu", SWITCH, AT(cyborg.list_cpu), "false", 0, 0},
    {"cyborg.tempest_500", SWITCH, AT(cyborg.strict_500), "true", 0, 0},
    {"drivers.enabled", NAMES, 0, NULL, 0, 0},
    {"drivers.module_dir", PATH, AT(drivers.module_dir), NULL, 0, 0},
    {"drivers.scan_period", DURATION, AT(drivers.scan_period_ms), "60s", 100, 86400000},
    {"drivers.telemetry_period", DURATION, AT(drivers.telemetry_period_ms), "10s", 100, 86400000},
    {"workers.count", COUNT, AT(workers.count), "2", 1, 64},
    {"workers.threads", COUNT, AT(workers.threads), "0", 0, 1024},
    {"workers.memory", SIZE, AT(workers.memory_bytes), "8GiB", 256 * MIB, UINT64_MAX},
    {"workers.models", COUNT, AT(workers.models), "8", 1, 1024},
    {"workers.cpu_mask", MASK, AT(workers.cpu_mask), "all", 0, UINT_MAX},
    {"models.cache", SIZE, AT(models.packed_cache_bytes), "1GiB", 0, UINT64_MAX},
    {"limits.model_bytes", SIZE, AT(limits.upload_bytes), "2GiB", 1, 64 * GIB},
    {"limits.json_bytes", SIZE, AT(limits.json_bytes), "1MiB", KIB, GIB},
    {"limits.infer_bytes", SIZE, AT(limits.infer_bytes), "256MiB", KIB, 64 * GIB},
    {"limits.requests", COUNT, AT(limits.requests), "256", 1, 100000},
    {"limits.connections", COUNT, AT(limits.connections), "1024", 1, 100000},
    {"limits.infer_queue", COUNT, AT(limits.queue), "64", 1, 100000},
    {"limits.event_streams", COUNT, AT(limits.event_streams), "64", 1, 100000},
    {"limits.request_time", DURATION, AT(limits.request_ms), "60s", 100, 86400000},
    {"limits.nodes", NUMBER, AT(limits.model.nodes), "50000", 1, 100000000},
    {"limits.nesting", NUMBER, AT(limits.model.nesting), "32", 1, 1000},
    {"limits.arena_bytes", SIZE, AT(limits.model.arena_bytes), "4GiB", MIB, UINT64_MAX},
    {"limits.tensor_bytes", SIZE, AT(limits.model.tensor_bytes), "2GiB", KIB, UINT64_MAX},
    {"limits.run_time", DURATION, AT(limits.model.run_ms), "60s", 1, 86400000},
#undef AT
};

static const char default_drivers[] = "cpu,pci";

/* A section of a module, enabled or not. */
struct section {
    const char *name, *json;
    int line, document;
};

struct parser {
    yaml_parser_t yaml;
    const char *path;
    struct accel_config *config;
    struct accel_error *err;
    int document; /* 1, 2, ... */
    int line;     /* of the last event */
    /* Where each key was set: document and line, to refuse a key said twice. */
    struct {
        int document, line;
    } set[ACCEL_COUNT(keys)];
    struct section sections[DRIVERS_MAX];
    size_t sections_count;
};

/* ---------------------------------------------------------------- messages */

ACCEL_PRINTF(3, 4)
static int bad(struct parser *p, const char *key, const char *fmt, ...)
{
    char why[ACCEL_ERROR_MSG_MAX / 2];
    va_list args;

    va_start(args, fmt);
    vsnprintf(why, sizeof(why), fmt, args);
    va_end(args);
    return accel_fail(p->err, ACCEL_E_INVALID, "%s:%d: %.128s%s%s", p->path, p->line, key,
                      key[0] != '\0' ? ": " : "", why);
}

static int no_memory(struct parser *p)
{
    return accel_fail(p->err, ACCEL_E_NOMEM, "%s:%d: no memory", p->path, p->line);
}

/* Levenshtein's distance of two short words. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[KEY_MAX + 1];
    const size_t n = strnlen(b, KEY_MAX);

    for (size_t j = 0; j <= n; j++)
        row[j] = (unsigned)j;
    for (size_t i = 0; a[i] != '\0' && i < KEY_MAX; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i + 1;
        for (size_t j = 0; j < n; j++) {
            const unsigned above = row[j + 1];
            const unsigned change = diagonal + (a[i] != b[j]);
            row[j + 1] = ACCEL_MIN(change, ACCEL_MIN(above, row[j]) + 1);
            diagonal = above;
        }
    }
    return row[n];
}

/* The key or section that was probably meant: by the whole name, or by its last word in another
 * section. */
static void nearest_key(const char *name, char *best, size_t size)
{
    const char *dot = strrchr(name, '.');
    unsigned least = UINT_MAX;

    for (size_t i = 0; i < ACCEL_COUNT(keys); i++) {
        const int section_length = (int)strcspn(keys[i].name, ".");
        const char *tail = keys[i].name + section_length + 1;
        char section[KEY_MAX];
        unsigned d = distance(name, keys[i].name);

        snprintf(section, sizeof(section), "%.*s", section_length, keys[i].name);
        d = ACCEL_MIN(d, distance(dot != NULL ? dot + 1 : name, tail) + 1);
        if (d < least) {
            least = d;
            snprintf(best, size, "%s", keys[i].name);
        }
        if (dot == NULL && distance(name, section) < least) {
            least = distance(name, section);
            snprintf(best, size, "%s", section);
        }
    }
}

static int unknown(struct parser *p, const char *name)
{
    char best[KEY_MAX];

    nearest_key(name, best, sizeof(best));
    return bad(p, name, "unknown key; the nearest known one is %s", best);
}

/* ---------------------------------------------------------------- values */

static const struct key *find_key(const char *name)
{
    for (size_t i = 0; i < ACCEL_COUNT(keys); i++)
        if (strcmp(keys[i].name, name) == 0)
            return &keys[i];
    return NULL;
}

static bool is_section(const char *name)
{
    const size_t length = strlen(name);

    for (size_t i = 0; i < ACCEL_COUNT(keys); i++)
        if (strncmp(keys[i].name, name, length) == 0 && keys[i].name[length] == '.')
            return true;
    return false;
}

static const struct unit {
    const char *name;
    uint64_t factor;
} size_units[] = {{"", 1},  {"B", 1}, {"KiB", KIB}, {"MiB", MIB}, {"GiB", GIB}, {"TiB", 1024 * GIB},
                  {NULL, 0}},
  duration_units[] = {{"ms", 1},      {"s", 1000},     {"m", 60000}, {"min", 60000},
                      {"h", 3600000}, {"d", 86400000}, {NULL, 0}},
  no_units[] = {{"", 1}, {NULL, 0}};

/* Digits and one of the units. */
static bool parse_number(const char *text, const struct unit *units, uint64_t *value)
{
    char *end;

    if (!isdigit((unsigned char)text[0]))
        return false;
    errno = 0;
    const unsigned long long n = strtoull(text, &end, 10);
    if (errno != 0)
        return false;
    while (*end == ' ')
        end++;
    for (; units->name != NULL; units++)
        if (strcmp(end, units->name) == 0)
            return !__builtin_mul_overflow(n, units->factor, value);
    return false;
}

/* HOST:PORT where HOST is an address of this host only. */
static const char *listen_problem(const char *text)
{
    const char *colon = strrchr(text, ':');
    char *end;
    char host[64];

    if (colon == NULL || colon == text || (size_t)(colon - text) >= sizeof(host))
        return "expected HOST:PORT such as 127.0.0.1:6666, or none";
    const unsigned long port = strtoul(colon + 1, &end, 10);
    if (!isdigit((unsigned char)colon[1]) || *end != '\0' || port > 65535)
        return "expected a port from 0 to 65535";
    snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
    unsigned a, b, c, d;
    char rest;
    const bool loopback = strcmp(host, "[::1]") == 0 || strcmp(host, "localhost") == 0 ||
                          (sscanf(host, "%3u.%3u.%3u.%3u%c", &a, &b, &c, &d, &rest) == 4 &&
                           a == 127 && b < 256 && c < 256 && d < 256);
    return loopback ? NULL
                    : "would listen beyond loopback without authentication: use an address of "
                      "127.0.0.0/8, [::1] or localhost, and a proxy that authenticates";
}

static bool name_is_good(const char *name)
{
    if (name[0] == '\0' || strlen(name) > 32)
        return false;
    for (const char *c = name; *c != '\0'; c++)
        if (!islower((unsigned char)*c) && !isdigit((unsigned char)*c) && *c != '-' && *c != '_')
            return false;
    return true;
}

static int set_text(struct parser *p, const struct key *key, const char *text)
{
    const char **slot = (const char **)((char *)p->config + key->offset);

    *slot = accel_bump_strdup(&p->config->mem, text);
    return *slot != NULL ? ACCEL_OK : no_memory(p);
}

static int set_number(struct parser *p, const struct key *key, const char *text, uint64_t n)
{
    char *slot = (char *)p->config + key->offset;

    if (n < key->min || n > key->max)
        return bad(p, key->name, "%s is out of range: at least %" PRIu64 ", at most %" PRIu64 "%s",
                   text, key->min, key->max,
                   key->type == SIZE       ? " bytes"
                   : key->type == DURATION ? " ms"
                                           : "");
    switch (key->type) {
    case COUNT:
    case MASK:
        *(unsigned *)slot = (unsigned)n;
        break;
    case DURATION:
        *(int64_t *)slot = (int64_t)n;
        break;
    default:
        *(size_t *)slot = (size_t)n;
    }
    return ACCEL_OK;
}

static int set_value(struct parser *p, const struct key *key, const char *text)
{
    char *slot = (char *)p->config + key->offset;
    const char *problem;
    uint64_t n;

    switch (key->type) {
    case TEXT:
        if (strlen(text) < key->min || strlen(text) > key->max)
            return bad(p, key->name, "expected %" PRIu64 " to %" PRIu64 " characters", key->min,
                       key->max);
        return set_text(p, key, text);
    case PATH:
        if (text[0] != '/')
            return bad(p, key->name, "expected an absolute path, got \"%s\"", text);
        return set_text(p, key, text);
    case LISTEN:
        problem = strcmp(text, "none") != 0 ? listen_problem(text) : NULL;
        if (problem != NULL)
            return bad(p, key->name, "%s; got \"%s\"", problem, text);
        /* fall through */
    case OPTIONAL:
        if (strcmp(text, "none") != 0)
            return set_text(p, key, text);
        *(const char **)slot = NULL;
        return ACCEL_OK;
    case SWITCH:
        if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
            return bad(p, key->name, "expected true or false, got \"%s\"", text);
        *(bool *)slot = text[0] == 't';
        return ACCEL_OK;
    case ADMIN:
        if (strcmp(text, "admin") != 0 && strcmp(text, "reader") != 0)
            return bad(p, key->name, "expected reader or admin, got \"%s\"", text);
        *(bool *)slot = text[0] == 'a';
        return ACCEL_OK;
    case MASK:
        if (strcmp(text, "all") == 0)
            return set_number(p, key, text, ACCEL_CPU_ALL);
        if (!parse_number(text, no_units, &n))
            return bad(p, key->name, "expected a number or all, got \"%s\"", text);
        return set_number(p, key, text, n);
    case COUNT:
    case NUMBER:
        if (!parse_number(text, no_units, &n))
            return bad(p, key->name, "expected a whole number, got \"%s\"", text);
        return set_number(p, key, text, n);
    case SIZE:
        if (!parse_number(text, size_units, &n))
            return bad(p, key->name, "expected a size such as 256MiB, got \"%s\"", text);
        return set_number(p, key, text, n);
    case DURATION:
        if (!parse_number(text, duration_units, &n))
            return bad(p, key->name, "expected a duration such as 60s, got \"%s\"", text);
        return set_number(p, key, text, n);
    case LEVEL:
        if (!accel_log_level_parse(text, (enum accel_log_level *)slot))
            return bad(p, key->name, "expected error, warning, info or debug, got \"%s\"", text);
        return ACCEL_OK;
    case NAMES:
        break;
    }
    return bad(p, key->name, "expected a list such as [cpu, pci], got \"%s\"", text);
}

static int add_driver(struct parser *p, const char *name)
{
    struct accel_config *c = p->config;

    if (!name_is_good(name))
        return bad(p, "drivers.enabled", "\"%.64s\" is no module name (a-z, 0-9, -, _)", name);
    for (size_t i = 0; i < c->drivers.count; i++)
        if (strcmp(c->drivers.list[i].name, name) == 0)
            return bad(p, "drivers.enabled", "%s is named twice", name);
    if (c->drivers.count == DRIVERS_MAX)
        return bad(p, "drivers.enabled", "more than %d modules", DRIVERS_MAX);
    struct accel_config_driver *driver = &c->drivers.list[c->drivers.count];
    driver->name = accel_bump_strdup(&c->mem, name);
    if (driver->name == NULL)
        return no_memory(p);
    c->drivers.count++;
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- events */

static int next(struct parser *p, yaml_event_t *event)
{
    if (!yaml_parser_parse(&p->yaml, event)) {
        p->line = (int)p->yaml.problem_mark.line + 1;
        if (p->yaml.error == YAML_MEMORY_ERROR)
            return no_memory(p);
        return bad(p, "", "not YAML: %s%s%s",
                   p->yaml.problem != NULL ? p->yaml.problem : "cannot be read",
                   p->yaml.context != NULL ? " " : "",
                   p->yaml.context != NULL ? p->yaml.context : "");
    }
    p->line = (int)event->start_mark.line + 1;
    if (event->type == YAML_ALIAS_EVENT) {
        yaml_event_delete(event);
        return bad(p, "", "YAML aliases are not used in this file");
    }
    return ACCEL_OK;
}

static const char *event_kind(const yaml_event_t *event)
{
    return event->type == YAML_MAPPING_START_EVENT    ? "a mapping"
           : event->type == YAML_SEQUENCE_START_EVENT ? "a list"
                                                      : "a value";
}

static const char *scalar(const yaml_event_t *event)
{
    return (const char *)event->data.scalar.value;
}

/* Text with a NUL in it would be read as two different things. */
static bool scalar_is_whole(const yaml_event_t *event)
{
    return strlen(scalar(event)) == event->data.scalar.length;
}

static bool is_null(const yaml_event_t *event)
{
    const char *text = scalar(event);

    return event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (text[0] == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0);
}

/* A scalar of a module's section by YAML's core schema. */
static json_t *scalar_to_json(const yaml_event_t *event)
{
    const char *text = scalar(event);
    char *end;

    if (is_null(event))
        return json_null();
    if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
        if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
            return json_boolean(text[0] == 't');
        if (text[strspn(text, "+-0123456789.eExXabcdefABCDEF")] == '\0' &&
            strpbrk(text, "0123456789") != NULL) {
            /* Base 10 unless 0x: a leading zero must not turn a serial number octal. */
            errno = 0;
            const long long n = strtoll(text, &end, strncmp(text, "0x", 2) == 0 ? 16 : 10);
            if (errno == 0 && *end == '\0')
                return json_integer(n);
            const double d = strtod(text, &end);
            if (*end == '\0' && isfinite(d) && strpbrk(text, "xX") == NULL)
                return json_real(d);
        }
    }
    return json_string(text);
}

static int to_json(struct parser *p, const char *where, yaml_event_t *event, int depth,
                   json_t **value);

/* `event` started the mapping or list. */
static int container_to_json(struct parser *p, const char *where, bool mapping, int depth,
                             json_t *into)
{
    for (;;) {
        yaml_event_t event;
        char name[KEY_MAX] = "";
        json_t *value = NULL;
        int rc = next(p, &event);

        if (rc != ACCEL_OK)
            return rc;
        if (event.type == YAML_MAPPING_END_EVENT || event.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&event);
            return ACCEL_OK;
        }
        if (mapping) {
            if (event.type != YAML_SCALAR_EVENT || !scalar_is_whole(&event) ||
                strlen(scalar(&event)) >= sizeof(name)) {
                yaml_event_delete(&event);
                return bad(p, where, "expected a short name as key");
            }
            snprintf(name, sizeof(name), "%s", scalar(&event));
            yaml_event_delete(&event);
            if (json_object_get(into, name) != NULL)
                return bad(p, where, "%s is said twice", name);
            rc = next(p, &event);
            if (rc != ACCEL_OK)
                return rc;
        }
        rc = to_json(p, where, &event, depth, &value);
        yaml_event_delete(&event);
        if (rc != ACCEL_OK)
            return rc;
        if ((mapping ? json_object_set_new(into, name, value)
                     : json_array_append_new(into, value)) != 0)
            return no_memory(p);
    }
}

static int to_json(struct parser *p, const char *where, yaml_event_t *event, int depth,
                   json_t **value)
{
    int rc = ACCEL_OK;

    if (depth > NESTING_MAX)
        return bad(p, where, "nested deeper than %d", NESTING_MAX);
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        if (!scalar_is_whole(event))
            return bad(p, where, "a NUL character");
        *value = scalar_to_json(event);
        break;
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT: {
        const bool mapping = event->type == YAML_MAPPING_START_EVENT;
        *value = mapping ? json_object() : json_array();
        if (*value != NULL)
            rc = container_to_json(p, where, mapping, depth + 1, *value);
        break;
    }
    default:
        return bad(p, where, "unexpected YAML");
    }
    if (*value == NULL)
        return no_memory(p);
    if (rc != ACCEL_OK)
        json_decref(*value);
    return rc;
}

/* drivers.<name>: {...}; `event` started it. */
static int driver_section(struct parser *p, const char *key, yaml_event_t *event)
{
    const char *name = key + strlen("drivers.");
    struct section *section = NULL;
    json_t *object = NULL;
    const int line = p->line;

    if (!name_is_good(name))
        return unknown(p, key);
    for (size_t i = 0; i < p->sections_count; i++)
        if (strcmp(p->sections[i].name, name) == 0)
            section = &p->sections[i];
    if (section != NULL && section->document == p->document)
        return bad(p, key, "said before, in line %d", section->line);
    if (section == NULL && p->sections_count == DRIVERS_MAX)
        return bad(p, key, "more than %d sections", DRIVERS_MAX);
    int rc = to_json(p, key, event, 0, &object);
    if (rc != ACCEL_OK)
        return rc;
    char *text = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(object);
    if (section == NULL)
        section = &p->sections[p->sections_count];
    *section =
        (struct section){.name = accel_bump_strdup(&p->config->mem, name),
                         .json = text != NULL ? accel_bump_strdup(&p->config->mem, text) : NULL,
                         .line = line,
                         .document = p->document};
    free(text);
    if (section->name == NULL || section->json == NULL)
        return no_memory(p);
    if (section == &p->sections[p->sections_count])
        p->sections_count++;
    return ACCEL_OK;
}

/* The list of drivers.enabled, whose start was read. */
static int driver_names(struct parser *p)
{
    p->config->drivers.count = 0; /* a later document replaces the list */
    for (;;) {
        yaml_event_t event;
        int rc = next(p, &event);

        if (rc != ACCEL_OK)
            return rc;
        if (event.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&event);
            return ACCEL_OK;
        }
        rc = event.type == YAML_SCALAR_EVENT
                 ? add_driver(p, scalar(&event))
                 : bad(p, "drivers.enabled", "expected names, got %s", event_kind(&event));
        yaml_event_delete(&event);
        if (rc != ACCEL_OK)
            return rc;
    }
}

static int known_key(struct parser *p, const struct key *key, yaml_event_t *event)
{
    const size_t i = (size_t)(key - keys);

    if (p->set[i].document == p->document)
        return bad(p, key->name, "said before, in line %d", p->set[i].line);
    if (event->type == YAML_SCALAR_EVENT && is_null(event))
        return ACCEL_OK; /* nothing said: the default */
    p->set[i].document = p->document;
    p->set[i].line = p->line;
    if (key->type == NAMES && event->type == YAML_SEQUENCE_START_EVENT)
        return driver_names(p);
    if (event->type != YAML_SCALAR_EVENT)
        return bad(p, key->name, "expected a value, got %s", event_kind(event));
    if (!scalar_is_whole(event))
        return bad(p, key->name, "a NUL character");
    return set_value(p, key, scalar(event));
}

/* The mapping at `prefix` ("" or "api"), whose start was read. */
static int mapping(struct parser *p, const char *prefix, int depth)
{
    for (;;) {
        yaml_event_t event;
        char name[KEY_MAX];
        const struct key *key;
        int rc = next(p, &event);

        if (rc != ACCEL_OK)
            return rc;
        if (event.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&event);
            return ACCEL_OK;
        }
        if (event.type != YAML_SCALAR_EVENT || !scalar_is_whole(&event) ||
            event.data.scalar.length + strlen(prefix) + 2 > sizeof(name)) {
            yaml_event_delete(&event);
            return bad(p, prefix, "expected a short name as key");
        }
        snprintf(name, sizeof(name), "%s%s%s", prefix, prefix[0] != '\0' ? "." : "",
                 scalar(&event));
        yaml_event_delete(&event);
        const int key_line = p->line;
        rc = next(p, &event);
        if (rc != ACCEL_OK)
            return rc;
        p->line = key_line; /* problems are shown where the key stands */
        key = find_key(name);
        if (key != NULL)
            rc = known_key(p, key, &event);
        else if (is_section(name) && event.type == YAML_MAPPING_START_EVENT)
            rc = mapping(p, name, depth + 1);
        else if (is_section(name) && event.type == YAML_SCALAR_EVENT && is_null(&event))
            rc = ACCEL_OK;
        else if (is_section(name))
            rc = bad(p, name, "expected a mapping of keys, got %s", event_kind(&event));
        else if (strncmp(name, "drivers.", 8) == 0 && event.type == YAML_MAPPING_START_EVENT)
            rc = driver_section(p, name, &event);
        else
            rc = unknown(p, name);
        yaml_event_delete(&event);
        if (rc != ACCEL_OK)
            return rc;
    }
}

static int documents(struct parser *p)
{
    for (;;) {
        yaml_event_t event;
        int rc = next(p, &event);

        if (rc != ACCEL_OK)
            return rc;
        const yaml_event_type_t type = event.type;
        const bool empty = type == YAML_SCALAR_EVENT && is_null(&event);
        if (type == YAML_DOCUMENT_START_EVENT)
            p->document++;
        else if (type == YAML_MAPPING_START_EVENT)
            rc = mapping(p, "", 0);
        else if (type == YAML_SEQUENCE_START_EVENT || (type == YAML_SCALAR_EVENT && !empty))
            rc = bad(p, "", "expected a mapping of sections, got %s", event_kind(&event));
        yaml_event_delete(&event);
        if (rc != ACCEL_OK || type == YAML_STREAM_END_EVENT)
            return rc;
    }
}

/* ---------------------------------------------------------------- defaults and the whole */

static int set_defaults(struct parser *p)
{
    struct accel_config *c = p->config;

    c->drivers.list = accel_bump_alloc(&c->mem, DRIVERS_MAX, sizeof(*c->drivers.list));
    if (c->drivers.list == NULL)
        return no_memory(p);
    for (size_t i = 0; i < ACCEL_COUNT(keys); i++)
        if (keys[i].fallback != NULL) {
            const int rc = set_value(p, &keys[i], keys[i].fallback);
            if (rc != ACCEL_OK)
                return rc;
        }
    return ACCEL_OK;
}

static bool was_set(const struct parser *p, const char *name)
{
    return p->set[find_key(name) - keys].document != 0;
}

/* What systemd made for us (the first of a list), else the usual place. */
static const char *directory(struct accel_bump *mem, const char *variable, const char *usual)
{
    const char *made = getenv(variable);

    if (made == NULL || made[0] != '/')
        return usual;
    return accel_bump_printf(mem, "%.*s", (int)strcspn(made, ":"), made);
}

static int finish(struct parser *p)
{
    struct accel_config *c = p->config;
    char host[256] = "";

    if (c->hostname == NULL) {
        if (gethostname(host, sizeof(host) - 1) != 0 || host[0] == '\0')
            snprintf(host, sizeof(host), "localhost");
        c->hostname = accel_bump_strdup(&c->mem, host);
    }
    if (c->state_dir == NULL)
        c->state_dir = directory(&c->mem, "STATE_DIRECTORY", ACCELD_LOCALSTATEDIR "/lib/acceld");
    if (c->runtime_dir == NULL)
        c->runtime_dir = directory(&c->mem, "RUNTIME_DIRECTORY", "/run/acceld");
    if (c->hostname == NULL || c->state_dir == NULL || c->runtime_dir == NULL)
        return no_memory(p);
    if (!was_set(p, "api.socket")) {
        c->api.unix_path = accel_bump_printf(&c->mem, "%s/acceld.sock", c->runtime_dir);
        if (c->api.unix_path == NULL)
            return no_memory(p);
    }
    if (c->api.unix_path != NULL && (c->api.unix_path[0] != '/' || strlen(c->api.unix_path) > 107))
        return accel_fail(p->err, ACCEL_E_INVALID,
                          "%s: api.socket: expected an absolute path of at most 107 bytes, got "
                          "\"%s\"",
                          p->path, c->api.unix_path);
    c->limits.model.model_bytes = c->limits.upload_bytes;

    if (!was_set(p, "drivers.enabled"))
        for (const char *name = default_drivers; *name != '\0';) {
            char one[33];
            const size_t length = strcspn(name, ",");
            snprintf(one, sizeof(one), "%.*s", (int)length, name);
            const int rc = add_driver(p, one);
            if (rc != ACCEL_OK)
                return rc;
            name += length + (name[length] == ',');
        }
    for (size_t i = 0; i < c->drivers.count; i++) {
        c->drivers.list[i].section = "{}";
        c->drivers.list[i].line = 0;
        for (size_t j = 0; j < p->sections_count; j++)
            if (strcmp(p->sections[j].name, c->drivers.list[i].name) == 0) {
                c->drivers.list[i].section = p->sections[j].json;
                c->drivers.list[i].line = p->sections[j].line;
            }
    }
    return ACCEL_OK;
}

int accel_config_parse(const char *text, size_t size, const char *path,
                       struct accel_config **config, struct accel_error *err)
{
    struct parser *p = accel_calloc(1, sizeof(*p));
    struct accel_config *made = accel_calloc(1, sizeof(*made));
    int rc;

    if (p == NULL || made == NULL || !yaml_parser_initialize(&p->yaml)) {
        accel_free(p);
        accel_free(made);
        return accel_fail(err, ACCEL_E_NOMEM, "%s: no memory", path);
    }
    p->config = made;
    p->path = path;
    p->err = err;
    yaml_parser_set_encoding(&p->yaml, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&p->yaml, (const unsigned char *)text, size);
    made->path = accel_bump_strdup(&made->mem, path);
    rc = made->path != NULL ? set_defaults(p) : no_memory(p);
    if (rc == ACCEL_OK)
        rc = documents(p);
    if (rc == ACCEL_OK)
        rc = finish(p);
    yaml_parser_delete(&p->yaml);
    accel_free(p);
    if (rc != ACCEL_OK) {
        accel_config_free(made);
        return rc;
    }
    *config = made;
    return ACCEL_OK;
}

int accel_config_load(const char *path, char **text, struct accel_config **config,
                      struct accel_error *err)
{
    ACCEL_CLEANUP(accel_freep) char *read = NULL;
    size_t size;
    int rc = accel_read_file(path, FILE_MAX_BYTES, &read, &size, err);

    if (rc == ACCEL_OK)
        rc = accel_config_parse(read, size, path, config, err);
    if (rc == ACCEL_OK && text != NULL)
        *text = accel_steal(&read);
    return rc;
}

void accel_config_free(struct accel_config *config)
{
    if (config == NULL)
        return;
    accel_bump_free(&config->mem);
    accel_free(config);
}

/* ---------------------------------------------------------------- the table, for others */

const char *accel_config_key(size_t i)
{
    return i < ACCEL_COUNT(keys) ? keys[i].name : NULL;
}

static char *unit_text(uint64_t n, const struct unit *units)
{
    const struct unit *best = NULL;

    for (; units->name != NULL; units++)
        if (n % units->factor == 0 && (best == NULL || units->factor > best->factor) &&
            (n > 0 || best == NULL))
            best = units;
    return accel_asprintf("%" PRIu64 "%s", n / best->factor, best->name);
}

static char *driver_names_text(const struct accel_config *config)
{
    ACCEL_CLEANUP(accel_buf_free) struct accel_buf out = {0};

    for (size_t i = 0; i < config->drivers.count; i++)
        accel_buf_printf(&out, "%s%s", i > 0 ? ", " : "[", config->drivers.list[i].name);
    accel_buf_puts(&out, config->drivers.count > 0 ? "]" : "[]");
    return accel_buf_steal(&out);
}

char *accel_config_value(const struct accel_config *config, size_t i)
{
    const struct key *key = &keys[i];
    const char *slot = (const char *)config + key->offset;
    const char *text;

    switch (key->type) {
    case TEXT:
    case PATH:
    case OPTIONAL:
    case LISTEN:
        text = *(const char *const *)slot;
        return accel_strdup(text != NULL ? text : key->type == PATH ? "" : "none");
    case SWITCH:
        return accel_strdup(*(const bool *)slot ? "true" : "false");
    case ADMIN:
        return accel_strdup(*(const bool *)slot ? "admin" : "reader");
    case MASK:
        if (*(const unsigned *)slot == ACCEL_CPU_ALL)
            return accel_strdup("all");
        /* fall through */
    case COUNT:
        return accel_asprintf("%u", *(const unsigned *)slot);
    case NUMBER:
        return accel_asprintf("%zu", *(const size_t *)slot);
    case SIZE:
        return unit_text(*(const size_t *)slot, size_units);
    case DURATION:
        return unit_text((uint64_t) * (const int64_t *)slot, duration_units);
    case LEVEL:
        return accel_strdup(accel_log_level_name(*(const enum accel_log_level *)slot));
    case NAMES:
        break;
    }
    return driver_names_text(config);
}
