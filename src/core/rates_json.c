/* SPDX-License-Identifier: Apache-2.0 */
#include "core/rates_json.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RATES_MAX 10000

static const struct {
    const char *key;
    size_t offset;
} figures[] = {
    {"flops", offsetof(struct accel_rate, flops)},
    {"bytes", offsetof(struct accel_rate, bytes)},
    {"flops_per_s", offsetof(struct accel_rate, flops_per_s)},
    {"bytes_per_s", offsetof(struct accel_rate, bytes_per_s)},
    {"overhead_s", offsetof(struct accel_rate, overhead_s)},
    {"spread", offsetof(struct accel_rate, spread)},
    {"bytes_written", offsetof(struct accel_rate, bytes_written)},
    {"bytes_weights", offsetof(struct accel_rate, bytes_weights)},
    {"items", offsetof(struct accel_rate, items)},
};

static double *figure(const struct accel_rate *rate, size_t i)
{
    return (double *)((char *)rate + figures[i].offset);
}

/* A new reference; NULL: no memory, or a figure that is not finite. */
static json_t *rate_json(const struct accel_rate *rate)
{
    json_t *object = json_object();
    bool good =
        json_object_set_new(object, "kind", json_string(accel_kind_name(rate->kind))) == 0 &&
        json_object_set_new(object, "precision", json_string(accel_dtype_name(rate->precision))) ==
            0 &&
        json_object_set_new(object, "op", json_string(rate->op)) == 0 &&
        json_object_set_new(object, "point", json_integer(rate->point)) == 0;

    for (size_t i = 0; good && i < ACCEL_COUNT(figures); i++)
        good = json_object_set_new(object, figures[i].key, json_real(*figure(rate, i))) == 0;
    if (good)
        return object;
    json_decref(object);
    return NULL;
}

int accel_rates_to_json(const struct accel_rate *rates, size_t count, char **text,
                        struct accel_error *err)
{
    json_t *root = json_object(), *list = json_array();
    bool good = json_object_set(root, "rates", list) == 0;

    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < ACCEL_COUNT(figures); k++)
            if (!isfinite(*figure(&rates[i], k))) {
                json_decref(list);
                json_decref(root);
                return accel_fail(err, ACCEL_E_INVALID, "rate %zu: %s is not finite", i,
                                  figures[k].key);
            }
    for (size_t i = 0; good && i < count; i++)
        good = json_array_append_new(list, rate_json(&rates[i])) == 0;
    char *made = good ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(list);
    json_decref(root);
    *text = made != NULL ? accel_strdup(made) : NULL;
    free(made);
    return *text != NULL ? ACCEL_OK : accel_fail(err, ACCEL_E_NOMEM, "no memory for the rates");
}

static bool read_kind(const json_t *value, enum accel_kind *kind)
{
    for (int k = 0; json_is_string(value) && k < ACCEL_KIND_COUNT; k++)
        if (strcmp(json_string_value(value), accel_kind_name((enum accel_kind)k)) == 0) {
            *kind = (enum accel_kind)k;
            return true;
        }
    return false;
}

static bool read_dtype(const json_t *value, enum accel_dtype *dtype)
{
    for (int d = ACCEL_DTYPE_FLOAT; json_is_string(value) && d <= ACCEL_DTYPE_LAST; d++)
        if (strcmp(json_string_value(value), accel_dtype_name((enum accel_dtype)d)) == 0) {
            *dtype = (enum accel_dtype)d;
            return true;
        }
    return false;
}

static bool read_op(const json_t *value, char op[ACCEL_RATE_OP])
{
    const char *text = json_string_value(value);

    if (text == NULL || strlen(text) >= ACCEL_RATE_OP ||
        strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") !=
            strlen(text))
        return false;
    strcpy(op, text); /* fits: see above */
    return true;
}

static int read_rate(const json_t *object, size_t i, struct accel_rate *rate,
                     struct accel_error *err)
{
    if (!read_kind(json_object_get(object, "kind"), &rate->kind))
        return accel_fail(err, ACCEL_E_INVALID, "rates[%zu].kind: no kind of operator", i);
    if (!read_dtype(json_object_get(object, "precision"), &rate->precision))
        return accel_fail(err, ACCEL_E_INVALID, "rates[%zu].precision: no type", i);
    if (!read_op(json_object_get(object, "op"), rate->op))
        return accel_fail(err, ACCEL_E_INVALID, "rates[%zu].op: no name of an operator", i);
    const json_t *point = json_object_get(object, "point");
    if (!json_is_integer(point) || json_integer_value(point) < 0 ||
        json_integer_value(point) > UINT32_MAX)
        return accel_fail(err, ACCEL_E_INVALID, "rates[%zu].point: no number of a point", i);
    rate->point = (uint32_t)json_integer_value(point);
    for (size_t k = 0; k < ACCEL_COUNT(figures); k++) {
        const json_t *value = json_object_get(object, figures[k].key);
        if (!json_is_number(value) || !isfinite(json_number_value(value)) ||
            json_number_value(value) < 0)
            return accel_fail(err, ACCEL_E_INVALID, "rates[%zu].%s: expected a figure from 0 on", i,
                              figures[k].key);
        *figure(rate, k) = json_number_value(value);
    }
    return ACCEL_OK;
}

int accel_rates_from_json(const char *text, size_t size, struct accel_bump *mem,
                          struct accel_rate **rates, size_t *count, struct accel_error *err)
{
    json_error_t why;
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &why);
    const json_t *list = json_object_get(root, "rates");
    const size_t n = json_array_size(list);
    int rc = ACCEL_OK;

    if (root == NULL)
        return accel_fail(err, ACCEL_E_INVALID, "rates: not JSON: %s", why.text);
    if (!json_is_array(list) || n > RATES_MAX)
        rc = accel_fail(err, ACCEL_E_INVALID, "rates: expected a list of at most %d", RATES_MAX);
    struct accel_rate *made = rc == ACCEL_OK ? accel_bump_alloc(mem, n + 1, sizeof(*made)) : NULL;
    if (rc == ACCEL_OK && made == NULL)
        rc = accel_fail(err, ACCEL_E_NOMEM, "no memory for %zu rates", n);
    for (size_t i = 0; rc == ACCEL_OK && i < n; i++)
        rc = read_rate(json_array_get(list, i), i, &made[i], err);
    json_decref(root);
    if (rc == ACCEL_OK) {
        *rates = made;
        *count = n;
    }
    return rc;
}
