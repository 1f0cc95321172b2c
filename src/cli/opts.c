/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/opts.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES 64 /* longest name that is compared */

/* Levenshtein's distance of two names, one row at a time. */
static size_t edit_distance(const char *a, const char *b)
{
    const size_t la = strnlen(a, NAME_BYTES), lb = strnlen(b, NAME_BYTES);
    size_t row[NAME_BYTES + 1];

    for (size_t j = 0; j <= lb; j++)
        row[j] = j;
    for (size_t i = 1; i <= la; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            const size_t above = row[j];
            const size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
            row[j] = ACCEL_MIN(replaced, ACCEL_MIN(above, row[j - 1]) + 1);
            diagonal = above;
        }
    }
    return row[lb];
}

const char *accel_nearest_name(const char *name, const char *const *names, size_t count)
{
    const size_t length = strlen(name);
    size_t best = ACCEL_MAX(length / 2, (size_t)1) + 1;
    const char *nearest = NULL;

    for (size_t i = 0; i < count; i++) {
        const size_t distance =
            strncmp(names[i], name, length) == 0 ? 1 : edit_distance(name, names[i]);
        if (distance < best) {
            best = distance;
            nearest = names[i];
        }
    }
    return nearest;
}

static const struct accel_opt *find_long(const struct accel_opt *opts, const char *name,
                                         size_t length)
{
    for (; opts->name != NULL; opts++)
        if (strlen(opts->name) == length && strncmp(opts->name, name, length) == 0)
            return opts;
    return NULL;
}

static const struct accel_opt *find_letter(const struct accel_opt *opts, char letter)
{
    for (; opts->name != NULL; opts++)
        if (opts->letter == letter && letter != 0)
            return opts;
    return NULL;
}

static int fail_unknown(const struct accel_opt *opts, const char *arg, const char *name,
                        struct accel_error *err)
{
    const char *names[64];
    size_t count = 0;

    for (; opts->name != NULL && count < ACCEL_COUNT(names); opts++)
        names[count++] = opts->name;
    const char *nearest = accel_nearest_name(name, names, count);
    if (nearest != NULL)
        return accel_fail(err, ACCEL_E_INVALID, "unknown option %s; did you mean --%s?", arg,
                          nearest);
    return accel_fail(err, ACCEL_E_INVALID, "unknown option %s; --help lists them", arg);
}

static int store_uint(const struct accel_opt *opt, const char *text, struct accel_error *err)
{
    char *end;

    errno = 0;
    const unsigned long value = strtoul(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || *text == '-' || value > UINT_MAX)
        return accel_fail(err, ACCEL_E_INVALID, "--%s takes a whole number, not \"%s\"", opt->name,
                          text);
    *(unsigned *)opt->value = (unsigned)value;
    return ACCEL_OK;
}

static int store_number(const struct accel_opt *opt, const char *text, struct accel_error *err)
{
    char *end;
    const double value = strtod(text, &end);

    if (end == text || *end != '\0' || !isfinite(value))
        return accel_fail(err, ACCEL_E_INVALID, "--%s takes a number, not \"%s\"", opt->name, text);
    *(double *)opt->value = value;
    return ACCEL_OK;
}

static int store_item(const struct accel_opt *opt, const char *text, struct accel_error *err)
{
    struct accel_opt_list *list = opt->value;

    if (list->count == ACCEL_OPT_LIST_MAX)
        return accel_fail(err, ACCEL_E_LIMIT, "--%s may be given at most %d times", opt->name,
                          ACCEL_OPT_LIST_MAX);
    list->items[list->count++] = text;
    return ACCEL_OK;
}

static int store(const struct accel_opt *opt, const char *text, struct accel_error *err)
{
    switch (opt->kind) {
    case ACCEL_OPT_FLAG:
        *(bool *)opt->value = true;
        return ACCEL_OK;
    case ACCEL_OPT_STRING:
        *(const char **)opt->value = text;
        return ACCEL_OK;
    case ACCEL_OPT_UINT:
        return store_uint(opt, text, err);
    case ACCEL_OPT_NUMBER:
        return store_number(opt, text, err);
    case ACCEL_OPT_LIST:
        return store_item(opt, text, err);
    }
    return accel_fail(err, ACCEL_E_INTERNAL, "option --%s has no kind", opt->name);
}

/* One option at argv[*at]; moves *at to the last argument it took. */
static int parse_option(const struct accel_opt *opts, int argc, char **argv, int *at,
                        struct accel_error *err)
{
    const char *arg = argv[*at], *inlined = NULL;
    const struct accel_opt *opt;

    if (arg[1] == '-') {
        const char *name = arg + 2, *equals = strchr(name, '=');
        opt = find_long(opts, name, equals != NULL ? (size_t)(equals - name) : strlen(name));
        inlined = equals != NULL ? equals + 1 : NULL;
        if (opt == NULL)
            return fail_unknown(opts, arg, name, err);
    } else {
        opt = find_letter(opts, arg[1]);
        inlined = arg[2] != '\0' ? arg + 2 : NULL;
        if (opt == NULL)
            return fail_unknown(opts, arg, arg + 1, err);
    }
    if (opt->kind == ACCEL_OPT_FLAG) {
        if (inlined != NULL)
            return accel_fail(err, ACCEL_E_INVALID, "--%s takes no value", opt->name);
        return store(opt, NULL, err);
    }
    if (inlined == NULL) {
        if (*at + 1 >= argc)
            return accel_fail(err, ACCEL_E_INVALID, "--%s needs a value: --%s %s", opt->name,
                              opt->name, opt->metavar);
        inlined = argv[++*at];
    }
    return store(opt, inlined, err);
}

int accel_opts_parse(const struct accel_opt *opts, int argc, char **argv, int *operands,
                     struct accel_error *err)
{
    bool only_operands = false;

    *operands = 0;
    for (int i = 0; i < argc; i++) {
        if (!only_operands && strcmp(argv[i], "--") == 0) {
            only_operands = true;
        } else if (!only_operands && argv[i][0] == '-' && argv[i][1] != '\0') {
            const int rc = parse_option(opts, argc, argv, &i, err);
            if (rc != ACCEL_OK)
                return rc;
        } else {
            argv[(*operands)++] = argv[i];
        }
    }
    return ACCEL_OK;
}

void accel_opts_help(const struct accel_opt *opts, FILE *out)
{
    char left[64];

    for (; opts->name != NULL; opts++) {
        const int length =
            snprintf(left, sizeof(left), "--%s%s%s", opts->name, opts->metavar != NULL ? " " : "",
                     opts->metavar != NULL ? opts->metavar : "");
        if (opts->letter != 0)
            fprintf(out, "  -%c, %-22s", opts->letter, left);
        else
            fprintf(out, "      %-22s", left);
        /* A long name gets its help on a line of its own. */
        fprintf(out, "%s%s\n", length >= 22 ? "\n                             " : " ", opts->help);
    }
}
