/* SPDX-License-Identifier: Apache-2.0 */
#include "rest/openapi.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/util.h"

/* Generated from api/openapi.yaml by the build. */
extern const unsigned char accel_openapi_yaml[];
extern const size_t accel_openapi_yaml_size;

#define DEPTH_MAX 64

/* Plain scalars by YAML's core schema, as far as JSON has a word for them. */
static json_t *scalar(const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    char *end;

    if (event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return json_stringn(text, event->data.scalar.length);
    if (text[0] == '\0' || strcmp(text, "null") == 0 || strcmp(text, "~") == 0)
        return json_null();
    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
        return json_boolean(text[0] == 't');
    if (strspn(text, "+-0123456789.eE") == strlen(text) && strpbrk(text, "0123456789") != NULL) {
        errno = 0;
        const long long integer = strtoll(text, &end, 10);
        if (*end == '\0' && errno == 0)
            return json_integer(integer);
        const double real = strtod(text, &end);
        if (*end == '\0')
            return json_real(real);
    }
    return json_stringn(text, event->data.scalar.length);
}

static json_t *node(yaml_parser_t *parser, const yaml_event_t *event, unsigned depth);

/* NULL: the parser failed, memory is out, or the document has what we do not read. */
static json_t *next_node(yaml_parser_t *parser, bool *end, unsigned depth)
{
    yaml_event_t event;
    json_t *json = NULL;

    if (!yaml_parser_parse(parser, &event))
        return NULL;
    *end = event.type == YAML_SEQUENCE_END_EVENT || event.type == YAML_MAPPING_END_EVENT;
    if (!*end)
        json = node(parser, &event, depth);
    yaml_event_delete(&event);
    return json;
}

static json_t *sequence(yaml_parser_t *parser, unsigned depth)
{
    json_t *list = json_array();
    bool end = false;

    while (list != NULL) {
        json_t *item = next_node(parser, &end, depth);

        if (end)
            return list;
        if (json_array_append_new(list, item) != 0)
            break;
    }
    json_decref(list);
    return NULL;
}

static json_t *mapping(yaml_parser_t *parser, unsigned depth)
{
    json_t *object = json_object();
    bool end = false;

    while (object != NULL) {
        yaml_event_t key;
        int rc = -1;

        if (!yaml_parser_parse(parser, &key))
            break;
        end = key.type == YAML_MAPPING_END_EVENT;
        if (key.type == YAML_SCALAR_EVENT) {
            const char *name = (const char *)key.data.scalar.value;
            bool ended = false;

            if (json_object_get(object, name) == NULL)
                rc = json_object_set_new(object, name, next_node(parser, &ended, depth));
        }
        yaml_event_delete(&key);
        if (end)
            return object;
        if (rc != 0)
            break;
    }
    json_decref(object);
    return NULL;
}

static json_t *node(yaml_parser_t *parser, const yaml_event_t *event, unsigned depth)
{
    if (depth > DEPTH_MAX)
        return NULL;
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return scalar(event);
    case YAML_SEQUENCE_START_EVENT:
        return sequence(parser, depth + 1);
    case YAML_MAPPING_START_EVENT:
        return mapping(parser, depth + 1);
    default: /* aliases and all that is no value */
        return NULL;
    }
}

json_t *accel_yaml_to_json(const unsigned char *text, size_t size, const char *name,
                           struct accel_error *err)
{
    yaml_parser_t parser;
    yaml_event_t event;
    json_t *json = NULL;
    bool end, done = false;

    if (!yaml_parser_initialize(&parser)) {
        accel_fail(err, ACCEL_E_NOMEM, "%s: no memory for a YAML parser", name);
        return NULL;
    }
    yaml_parser_set_input_string(&parser, text, size);
    while (!done && yaml_parser_parse(&parser, &event)) {
        done = event.type == YAML_DOCUMENT_START_EVENT || event.type == YAML_STREAM_END_EVENT;
        if (event.type == YAML_DOCUMENT_START_EVENT)
            json = next_node(&parser, &end, 0);
        yaml_event_delete(&event);
    }
    if (json == NULL)
        accel_fail(err, ACCEL_E_INVALID, "%s:%zu: %s", name, parser.mark.line + 1,
                   parser.problem != NULL ? parser.problem
                                          : "a key twice, an alias, or nothing at all");
    yaml_parser_delete(&parser);
    return json;
}

json_t *accel_openapi_load(struct accel_error *err)
{
    json_t *json =
        accel_yaml_to_json(accel_openapi_yaml, accel_openapi_yaml_size, "api/openapi.yaml", err);

    if (json == NULL && err != NULL && err->code == ACCEL_E_INVALID)
        err->code = ACCEL_E_INTERNAL;
    return json;
}
