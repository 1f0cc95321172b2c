/* SPDX-License-Identifier: Apache-2.0 */

/* Which devices cannot be the answer, each with a code for programs and a sentence for people. */

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "match/match_internal.h"

#define REFUSE(code_, ...) refuse(mem, candidate, code_, err, __VA_ARGS__)

__attribute__((format(printf, 5, 6))) static int refuse(struct accel_bump *mem,
                                                        struct accel_candidate *candidate,
                                                        const char *code, struct accel_error *err,
                                                        const char *fmt, ...)
{
    char text[512];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    candidate->accepted = false;
    candidate->code = code;
    candidate->reason = accel_bump_strdup(mem, text);
    if (candidate->reason == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to say why a device is refused");
    return ACCEL_OK;
}

/* "1.2 GiB", "512 MiB", "340 KiB". */
static const char *bytes_text(double bytes, char out[32])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;

    while (bytes >= 1024 && unit + 1 < ACCEL_COUNT(units)) {
        bytes /= 1024;
        unit++;
    }
    snprintf(out, 32, bytes >= 100 || unit == 0 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
    return out;
}

static const char *seconds_text(double s, char out[32])
{
    if (s < 1e-3)
        snprintf(out, 32, "%.0f us", s * 1e6);
    else if (s < 1)
        snprintf(out, 32, "%.2f ms", s * 1e3);
    else
        snprintf(out, 32, "%.2f s", s);
    return out;
}

static bool is_named(const struct accel_device *device, const char *name)
{
    return strcasecmp(name, device->uuid.text) == 0 || strcmp(name, device->identity) == 0 ||
           (device->pci_address != NULL && strcasecmp(name, device->pci_address) == 0);
}

static bool names_device(const struct accel_constraints *c, const struct accel_device *device)
{
    for (size_t i = 0; i < c->devices_count; i++)
        if (is_named(device, c->devices[i]))
            return true;
    return c->devices_count == 0;
}

static bool names_type(const struct accel_constraints *c, const char *type)
{
    for (size_t i = 0; i < c->types_count; i++)
        if (strcasecmp(c->types[i], type) == 0)
            return true;
    return c->types_count == 0;
}

/* list: the deployable's attributes_list as JSON, [{"rc": "FPGA"}, {"trait0": "CUSTOM_A"}]. */
static bool has_trait(const json_t *list, const char *trait)
{
    size_t i;
    json_t *item, *value;
    const char *key;

    json_array_foreach(list, i, item) {
        json_object_foreach(item, key, value) {
            if (strncmp(key, "trait", 5) == 0 && json_is_string(value) &&
                strcmp(json_string_value(value), trait) == 0)
                return true;
        }
    }
    return false;
}

/* What one deployable lacks or has too much: NULL when it fits. */
static const char *unfit(const struct accel_deployable *dep, const struct accel_constraints *c,
                         bool *forbidden)
{
    json_t *list = json_loads(dep->attributes_list != NULL ? dep->attributes_list : "[]", 0, NULL);
    const char *found = NULL;

    *forbidden = false;
    for (size_t i = 0; i < c->required_count && found == NULL; i++)
        if (!has_trait(list, c->required_traits[i]))
            found = c->required_traits[i];
    for (size_t i = 0; i < c->forbidden_count && found == NULL; i++)
        if (has_trait(list, c->forbidden_traits[i])) {
            found = c->forbidden_traits[i];
            *forbidden = true;
        }
    json_decref(list);
    return found;
}

bool accel_match_deployable_fits(const struct accel_deployable *deployable,
                                 const struct accel_constraints *constraints)
{
    bool forbidden;

    return unfit(deployable, constraints, &forbidden) == NULL;
}

/* One deployable of the device must carry every required trait and no forbidden one. */
static int filter_traits(const struct accel_constraints *c, struct accel_bump *mem,
                         struct accel_candidate *candidate, struct accel_error *err)
{
    const struct accel_resource *r = candidate->resource;
    const char *why = NULL;
    bool forbidden = false;

    if (c->required_count == 0 && c->forbidden_count == 0)
        return ACCEL_OK;
    for (size_t i = 0; i < r->deployables_count; i++) {
        bool has_forbidden;
        const char *bad = unfit(&r->deployables[i], c, &has_forbidden);
        if (bad == NULL)
            return ACCEL_OK;
        if (why == NULL) {
            why = bad;
            forbidden = has_forbidden;
        }
    }
    if (why == NULL && c->required_count == 0)
        return ACCEL_OK; /* no deployable, so none with a forbidden trait */
    if (why == NULL)
        return REFUSE("traits", "has no deployable, so no trait %s", c->required_traits[0]);
    if (forbidden)
        return REFUSE("traits", "has the forbidden trait %s", why);
    return REFUSE("traits", "lacks the required trait %s", why);
}

static int filter_state(const struct accel_constraints *c, struct accel_bump *mem,
                        struct accel_candidate *candidate, struct accel_error *err)
{
    const struct accel_device *d = candidate->resource->device;
    const char *holder = candidate->resource->holder;

    if (!names_device(c, d))
        return REFUSE("excluded", "is not among the %zu devices asked for", c->devices_count);
    if (!names_type(c, d->type))
        return REFUSE("type", "is of type %s, which was not asked for", d->type);
    if (d->presence == ACCEL_GONE)
        return REFUSE("gone", "was not found by the last scan");
    if (d->health != NULL && strcmp(d->health, "failed") == 0)
        return REFUSE("health", "has failed: %s",
                      d->health_reason != NULL ? d->health_reason : "no reason was given");
    if (d->status != NULL && strcmp(d->status, "maintaining") == 0)
        return REFUSE("maintenance", "was taken out of service by an operator");
    if (holder != NULL && !c->include_held)
        return REFUSE("in-use", "is held by ARQ %s", holder);
    return ACCEL_OK;
}

static int filter_memory(const struct accel_analysis *analysis, const struct accel_constraints *c,
                         struct accel_bump *mem, struct accel_candidate *candidate,
                         struct accel_error *err)
{
    const struct accel_fact *has = accel_match_fact(candidate->resource, ACCEL_FACT_MEMORY_BYTES);
    const double needs = accel_match_memory(analysis, c->precision);
    char a[32], b[32];

    if (has != NULL && needs > has->number)
        return REFUSE("memory", "needs %s, has %s", bytes_text(needs, a),
                      bytes_text(has->number, b));
    if (c->max_memory_bytes > 0 && needs > c->max_memory_bytes)
        return REFUSE("memory", "needs %s, at most %s was asked for", bytes_text(needs, a),
                      bytes_text(c->max_memory_bytes, b));
    return ACCEL_OK;
}

/* A device the core runs on needs every operator in the core; another one is predicted only, for
 * software that is not ours. */
static int filter_operators(const struct accel_analysis *analysis,
                            const struct accel_constraints *c, struct accel_bump *mem,
                            struct accel_candidate *candidate, struct accel_error *err)
{
    const struct accel_op_analysis *first = NULL;
    size_t lacking = 0;

    if (!candidate->resource->device->runnable) {
        if (c->runnable_only)
            return REFUSE("not-runnable",
                          "the inference core does not run on it: figures are predicted only");
        return ACCEL_OK;
    }
    if (analysis->runnable)
        return ACCEL_OK;
    for (size_t i = 0; i < analysis->ops_count; i++)
        if (analysis->ops[i].unsupported != NULL) {
            lacking++;
            if (first == NULL)
                first = &analysis->ops[i];
        }
    if (first == NULL)
        return REFUSE("operators", "the inference core cannot run this model");
    return REFUSE("operators",
                  "the inference core cannot run %zu of %zu operators, first %s (%s): %s", lacking,
                  analysis->ops_count, first->name, first->op, first->unsupported);
}

static bool computes_in(const struct accel_resource *r, int precision)
{
    const char *peak = accel_match_peak_name(precision);

    if (peak != NULL && accel_match_fact(r, peak) != NULL)
        return true;
    for (size_t i = 0; i < r->rates_count; i++)
        if ((int)r->rates[i].precision == precision)
            return true;
    /* The core computes in fp32 wherever it runs, calibrated or not. */
    return precision == ACCEL_DTYPE_FLOAT && r->device->runnable;
}

int accel_match_filter(const struct accel_analysis *analysis,
                       const struct accel_constraints *constraints, struct accel_bump *mem,
                       struct accel_candidate *candidate, struct accel_error *err)
{
    const int precision = constraints->precision;
    int rc;

    candidate->runnable = candidate->resource->device->runnable && analysis->runnable;
    rc = filter_state(constraints, mem, candidate, err);

    if (rc == ACCEL_OK && candidate->accepted)
        rc = filter_traits(constraints, mem, candidate, err);
    if (rc == ACCEL_OK && candidate->accepted)
        rc = filter_memory(analysis, constraints, mem, candidate, err);
    if (rc == ACCEL_OK && candidate->accepted)
        rc = filter_operators(analysis, constraints, mem, candidate, err);
    if (rc == ACCEL_OK && candidate->accepted && precision != 0 &&
        !computes_in(candidate->resource, precision))
        rc = REFUSE("precision", "is not known to compute in %s",
                    accel_match_precision_name(precision));
    return rc;
}

int accel_match_filter_predicted(const struct accel_constraints *constraints,
                                 struct accel_bump *mem, struct accel_candidate *candidate,
                                 struct accel_error *err)
{
    const struct accel_prediction *p = &candidate->prediction;
    char a[32], b[32];

    if (constraints->max_latency_s > 0 && p->latency_s > constraints->max_latency_s)
        return REFUSE("latency", "would take %s, at most %s was asked for",
                      seconds_text(p->latency_s, a), seconds_text(constraints->max_latency_s, b));
    if (constraints->max_power_w > 0) {
        const struct accel_fact *limit =
            accel_match_fact(candidate->resource, ACCEL_FACT_POWER_LIMIT);
        if (limit == NULL)
            return REFUSE("power", "its power limit is not known, at most %.0f W was asked for",
                          constraints->max_power_w);
        if (limit->number > constraints->max_power_w)
            return REFUSE("power", "may draw %.0f W, at most %.0f W was asked for", limit->number,
                          constraints->max_power_w);
    }
    return ACCEL_OK;
}
