/* SPDX-License-Identifier: Apache-2.0 */
/* acceld: the one program that people and systemd start. It opens the listening sockets, starts
 * every other process of the daemon and watches over them; it parses nothing that comes from a
 * client. */

#include <stdio.h>

#include "base/mem.h"
#include "core/roles.h"
#include "supervisor/supervisor.h"

static int check(const struct accel_options *options)
{
    struct accel_config *config = NULL;
    ACCEL_CLEANUP(accel_freep) char *text = NULL;
    struct accel_error err;

    if (accel_options_load(options, &text, &config, &err) != ACCEL_OK) {
        fprintf(stderr, "acceld: %s\n", err.msg);
        return 1;
    }
    accel_config_free(config);
    return 0;
}

static int help(void)
{
    ACCEL_CLEANUP(accel_buf_free) struct accel_buf text = {0};

    accel_options_help(&text);
    if (accel_buf_failed(&text))
        return 1;
    fputs(text.data, stdout);
    return 0;
}

int main(int argc, char **argv)
{
    struct accel_options options;
    struct accel_error err;
    int status;

    if (accel_options_parse(argc, argv, &options, &err) != ACCEL_OK) {
        fprintf(stderr, "acceld: %s\n", err.msg);
        accel_options_free(&options);
        return 2;
    }
    switch (options.action) {
    case ACCEL_SHOW_HELP:
        status = help();
        break;
    case ACCEL_SHOW_VERSION:
        printf("acceld %s\n", ACCELD_VERSION);
        status = 0;
        break;
    case ACCEL_CHECK:
        status = check(&options);
        break;
    case ACCEL_RESTORE:
        status = accel_supervisor_restore(&options);
        break;
    default:
        status = accel_supervisor_run(&options);
    }
    accel_options_free(&options);
    return status;
}
