/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_SUPERVISOR_OPTIONS_H
#define ACCEL_SUPERVISOR_OPTIONS_H

/* acceld's command line, and the configuration that it and the file make together. */

#include "base/buf.h"
#include "config/config.h"

struct accel_options {
    const char *path; /* of the file */
    bool path_given;  /* then it must exist */
    enum { ACCEL_RUN, ACCEL_CHECK, ACCEL_SHOW_HELP, ACCEL_SHOW_VERSION, ACCEL_RESTORE } action;
    enum { ACCEL_PART_ALL, ACCEL_PART_MAIN, ACCEL_PART_HARDWARE } part;
    const char *restore;        /* the backup to restore */
    struct accel_buf overrides; /* a YAML document per option */
};

int accel_options_parse(int argc, char **argv, struct accel_options *options,
                        struct accel_error *err);
void accel_options_free(struct accel_options *options);
/* The text of --help. */
void accel_options_help(struct accel_buf *out);

/* Reads the file and puts the command line over it. *text (accel_free) is what children parse
 * again; it holds the module folder found too. */
int accel_options_load(const struct accel_options *options, char **text,
                       struct accel_config **config, struct accel_error *err);

/* Where the program lies decides where its parts are: beside it in a build tree, in the prefix
 * whose sbin it lies in, else where they were to be installed. */
#define ACCEL_PLACE_MAX 256
struct accel_places {
    char libexec[ACCEL_PLACE_MAX]; /* folder of acceld-control, ... */
    char modules[ACCEL_PLACE_MAX];
};
int accel_places_find(struct accel_places *places, struct accel_error *err);

#endif
