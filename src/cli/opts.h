/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_CLI_OPTS_H
#define ACCEL_CLI_OPTS_H

/* Command-line options as a table that also prints the help. Options and operands may be mixed;
 * "--" ends the options; --name=value and --name value, -n value and -nvalue. */

#include <stdio.h>

#include "acceld/error.h"
#include "base/util.h"

enum accel_opt_kind {
    ACCEL_OPT_FLAG,   /* bool *: true when given */
    ACCEL_OPT_STRING, /* const char **: borrowed from argv */
    ACCEL_OPT_UINT,   /* unsigned *: decimal */
    ACCEL_OPT_NUMBER, /* double * */
    ACCEL_OPT_LIST,   /* struct accel_opt_list *: may be given several times */
};

#define ACCEL_OPT_LIST_MAX 64
struct accel_opt_list {
    size_t count;
    const char *items[ACCEL_OPT_LIST_MAX];
};

/* An array of these ends with name NULL. */
struct accel_opt {
    const char *name; /* without the dashes */
    char letter;      /* short form, or 0 */
    enum accel_opt_kind kind;
    void *value;
    const char *metavar; /* "FILE"; NULL for flags */
    const char *help;    /* one line, with unit and default */
};

/* Parses argv[0..argc): operands are moved to the front of argv, in order, and counted in
 * *operands. Errors: INVALID names the option and what it takes; an unknown one names the nearest.
 */
int accel_opts_parse(const struct accel_opt *opts, int argc, char **argv, int *operands,
                     struct accel_error *err);
/* "  -j, --json           print JSON" lines. */
void accel_opts_help(const struct accel_opt *opts, FILE *out);

/* Of `count` names, the one nearest to `name` by edit distance when it is near enough to be meant,
 * else NULL. */
const char *accel_nearest_name(const char *name, const char *const *names, size_t count);

#endif
