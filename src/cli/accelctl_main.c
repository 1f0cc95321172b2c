/* SPDX-License-Identifier: Apache-2.0 */
/* accelctl: the operator's hand on acceld, over its REST API. */
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/ctl.h"

#define DEFAULT_SOCKET "/run/acceld/acceld.sock"

static const struct command {
    const char *name, *help;
    accel_ctl_command_fn *run;
} commands[] = {
    {"devices", "list, show, enable, disable, rescan", accel_ctl_devices},
    {"deployables", "list, show", accel_ctl_deployables},
    {"drivers", "modules with their state, timings and problems", accel_ctl_drivers},
    {"profiles", "device profiles: list, show, create, delete", accel_ctl_profiles},
    {"arqs", "accelerator requests: list, show, create, bind, unbind, delete", accel_ctl_arqs},
    {"models", "list, show, put, analysis, delete", accel_ctl_models},
    {"place", "which device should run a model, and why", accel_ctl_place},
    {"infer", "run a model on a picture or on tensors", accel_ctl_infer},
    {"calibrate", "measure what the devices can do", accel_ctl_calibrate},
    {"jobs", "list, show, wait, cancel", accel_ctl_jobs},
    {"events", "what happened, and with --follow what happens", accel_ctl_events},
    {"health", "is the daemon ready; if not, which part and why", accel_ctl_health},
    {"backup", "write a copy of the daemon's database", accel_ctl_backup},
    {"doctor", "why a card is not listed, and what to do about it", accel_ctl_doctor},
    {"log-level", "show it, or set error, warning, info, debug", accel_ctl_log_level},
};

static void print_help(const struct accel_opt *opts, FILE *out)
{
    fprintf(out, "usage: accelctl [OPTION]... COMMAND [ARGUMENT]...\n\n"
                 "Asks and instructs acceld, the accelerator manager of this node.\n\ncommands:\n");
    for (size_t i = 0; i < ACCEL_COUNT(commands); i++)
        fprintf(out, "  %-12s %s\n", commands[i].name, commands[i].help);
    fprintf(out, "\noptions, before the command:\n");
    accel_opts_help(opts, out);
    fprintf(out,
            "\n`accelctl COMMAND --help` explains a command. Exit status: 0 done, 1 refused or\n"
            "failed (the reason is on standard error), 2 wrong usage, 3 no daemon.\n");
}

static const struct command *find_command(const char *name, struct accel_error *err)
{
    const char *names[ACCEL_COUNT(commands)];

    for (size_t i = 0; i < ACCEL_COUNT(commands); i++) {
        names[i] = commands[i].name;
        if (strcmp(names[i], name) == 0)
            return &commands[i];
    }
    const char *nearest = accel_nearest_name(name, names, ACCEL_COUNT(commands));
    accel_fail(err, ACCEL_E_INVALID, "there is no command %s; %s%s%s", name,
               nearest != NULL ? "did you mean " : "accelctl --help lists them",
               nearest != NULL ? nearest : "", nearest != NULL ? "?" : "");
    return NULL;
}

/* Options in front of the command end at the first word without a dash. */
static int leading_options(int argc, char **argv)
{
    int n = 0;

    while (n < argc && argv[n][0] == '-') {
        const bool takes_value = strcmp(argv[n], "--socket") == 0 ||
                                 strcmp(argv[n], "--url") == 0 || strcmp(argv[n], "-s") == 0 ||
                                 strcmp(argv[n], "-u") == 0;
        n += takes_value ? 2 : 1;
    }
    return ACCEL_MIN(n, argc);
}

static int exit_status(int rc)
{
    return rc == ACCEL_OK ? 0 : rc == ACCEL_E_UNAVAILABLE ? 3 : 1;
}

/* An address ends where the paths begin. */
static void choose_address(struct accel_ctl *ctl, const char *socket, const char *url)
{
    if (url == NULL && socket == NULL) {
        url = getenv("ACCELCTL_URL");
        socket = getenv("ACCELCTL_SOCKET");
    }
    ctl->socket = url != NULL ? NULL : socket != NULL ? socket : DEFAULT_SOCKET;
    ctl->url = url != NULL ? url : "http://localhost";
}

int main(int argc, char **argv)
{
    struct accel_ctl ctl = {0};
    struct accel_error err = {0};
    const char *socket = NULL, *url = NULL;
    bool help = false, version = false;
    const struct accel_opt opts[] = {
        {"json", 'j', ACCEL_OPT_FLAG, &ctl.json, NULL, "print what the daemon answers, as JSON"},
        {"socket", 's', ACCEL_OPT_STRING, &socket, "PATH",
         "unix socket of the daemon (" DEFAULT_SOCKET "; ACCELCTL_SOCKET)"},
        {"url", 'u', ACCEL_OPT_STRING, &url, "URL",
         "its TCP address instead: http://127.0.0.1:6666 (ACCELCTL_URL)"},
        {"help", 'h', ACCEL_OPT_FLAG, &help, NULL, "print this"},
        {"version", 0, ACCEL_OPT_FLAG, &version, NULL, "print the version"},
        {NULL, 0, ACCEL_OPT_FLAG, NULL, NULL, NULL},
    };
    const int leading = leading_options(argc - 1, argv + 1);
    int operands;

    if (accel_opts_parse(opts, leading, argv + 1, &operands, &err) != ACCEL_OK) {
        fprintf(stderr, "accelctl: %s\n", err.msg);
        return 2;
    }
    argc -= leading + 1;
    argv += leading + 1;
    if (version) {
        printf("accelctl %s\n", ACCELD_VERSION);
        return 0;
    }
    if (help || argc == 0) {
        print_help(opts, help ? stdout : stderr);
        return help ? 0 : 2;
    }
    const struct command *command = find_command(argv[0], &err);
    if (command == NULL) {
        fprintf(stderr, "accelctl: %s\n", err.msg);
        return 2;
    }
    choose_address(&ctl, socket, url);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    const int rc = command->run(&ctl, argc - 1, argv + 1, &err);
    curl_easy_cleanup(ctl.curl);
    curl_global_cleanup();
    /* --help of a command ends in CANCELLED without a sentence: nothing failed. */
    if (rc == ACCEL_E_CANCELLED && err.msg[0] == '\0')
        return 0;
    if (rc != ACCEL_OK)
        fprintf(stderr, "accelctl: %s\n", err.msg);
    return exit_status(rc);
}
