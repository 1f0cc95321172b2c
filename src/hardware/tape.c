/* SPDX-License-Identifier: Apache-2.0 */
#include "hardware/tape.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

json_t *accel_tape_hex(const void *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    ACCEL_CLEANUP(accel_freep) char *text = accel_malloc(size * 2 + 1);
    const unsigned char *from = bytes;

    if (text == NULL)
        return NULL;
    for (size_t i = 0; i < size; i++) {
        text[2 * i] = digits[from[i] >> 4];
        text[2 * i + 1] = digits[from[i] & 15];
    }
    text[2 * size] = '\0';
    return json_string_nocheck(text);
}

json_t *accel_tape_text(const char *text)
{
    json_t *json = json_string(text); /* NULL when it is no UTF-8 */

    return json != NULL ? json : json_pack("{s:o}", "hex", accel_tape_hex(text, strlen(text)));
}

static int nibble(char c)
{
    return isdigit((unsigned char)c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool accel_tape_to_bytes(const json_t *json, void *bytes, size_t size, size_t *got)
{
    const char *text = json_string_value(json);
    unsigned char *to = bytes;

    if (text == NULL || strlen(text) % 2 != 0 || strlen(text) / 2 > size)
        return false;
    *got = strlen(text) / 2;
    for (size_t i = 0; i < *got; i++) {
        const int high = nibble(text[2 * i]), low = nibble(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        to[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

bool accel_tape_to_text(const json_t *json, char *text, size_t size)
{
    size_t got;

    if (json_is_object(json)) {
        if (size == 0 || !accel_tape_to_bytes(json_object_get(json, "hex"), text, size - 1, &got))
            return false;
        text[got] = '\0';
        return true;
    }
    if (!json_is_string(json) || json_string_length(json) >= size)
        return false;
    memcpy(text, json_string_value(json), json_string_length(json) + 1);
    return true;
}

static json_t *value_to_json(char letter, const struct accel_value *value)
{
    switch (letter) {
    case 'i':
    case 'u':
    case 'l':
        return json_integer(value->value.integer);
    case 'p':
        return json_integer((json_int_t)(intptr_t)value->value.handle);
    case 's':
        return value->value.string != NULL ? accel_tape_text(value->value.string) : json_null();
    default:
        return json_integer((json_int_t)value->value.buffer.size);
    }
}

json_t *accel_tape_call_args(const char *library, const char *symbol, const char *signature,
                             const struct accel_value *args)
{
    json_t *values = json_array();

    for (size_t i = 0; signature[0] != '\0' && signature[1 + i] != '\0'; i++)
        json_array_append_new(values, value_to_json(signature[1 + i], &args[i]));
    return json_pack("{s:s, s:s, s:s, s:o}", "library", library, "symbol", symbol, "signature",
                     signature, "values", values);
}

json_t *accel_tape_call_results(const char *signature, const struct accel_value *result,
                                const struct accel_value *args)
{
    json_t *buffers = json_array();

    for (size_t i = 0; signature[0] != '\0' && signature[1 + i] != '\0'; i++)
        if (signature[1 + i] == 'b')
            json_array_append_new(buffers, accel_tape_hex(args[i].value.buffer.bytes,
                                                          args[i].value.buffer.size));
    return json_pack("{s:o, s:o}", "result",
                     signature[0] == 'v' ? json_null() : value_to_json(signature[0], result),
                     "buffers", buffers);
}

bool accel_tape_to_call_results(const json_t *line, const char *signature,
                                struct accel_value *result, struct accel_value *args)
{
    const json_t *value = json_object_get(line, "result");
    const json_t *buffers = json_object_get(line, "buffers");
    size_t next = 0, got;

    for (size_t i = 0; signature[0] != '\0' && signature[1 + i] != '\0'; i++)
        if (signature[1 + i] == 'b' &&
            (!accel_tape_to_bytes(json_array_get(buffers, next++), args[i].value.buffer.bytes,
                                  args[i].value.buffer.size, &got) ||
             got != args[i].value.buffer.size))
            return false;
    if (result == NULL || signature[0] == 'v')
        return true;
    if (!json_is_integer(value))
        return false;
    *result = (struct accel_value){0};
    if (signature[0] == 'p')
        result->value.handle = (void *)(intptr_t)json_integer_value(value);
    else
        result->value.integer = json_integer_value(value);
    return true;
}
