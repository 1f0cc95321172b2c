/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "tap.h"

#define PARSE(options, err, ...)                                                     \
    accel_options_parse((int)ACCEL_COUNT(((const char *[]){"acceld", __VA_ARGS__})), \
                        (char *[]){(char *)"acceld", __VA_ARGS__}, (options), (err))
#define ARG(text) (char *)(text)

static void refuses(int rc, struct accel_options *o, const struct accel_error *err,
                    const char *message)
{
    ok(rc == ACCEL_E_INVALID && strcmp(err->msg, message) == 0, "refused: %s", message);
    if (rc != ACCEL_OK && strcmp(err->msg, message) != 0)
        printf("#   got %s\n", err->msg);
    accel_options_free(o);
}

static void refuses_nonsense(void)
{
    struct accel_options o;
    struct accel_error err = {0};
    int rc;

    rc = PARSE(&o, &err, ARG("--listne"));
    refuses(rc, &o, &err, "unknown option --listne: see acceld --help");
    rc = PARSE(&o, &err, ARG("--listen"));
    refuses(rc, &o, &err, "--listen needs a value: see acceld --help");
    rc = PARSE(&o, &err, ARG("--set"), ARG("workers.count"));
    refuses(rc, &o, &err, "--set: expected KEY=VALUE, got \"workers.count\"");
    rc = PARSE(&o, &err, ARG("--set"), ARG("workers.count=2\nlog.level: debug"));
    refuses(rc, &o, &err, "--set: expected one line");
    rc = PARSE(&o, &err, ARG("--set=workers.count=many"));
    refuses(rc, &o, &err, "--set:1: workers.count: expected a whole number, got \"many\"");
    rc = PARSE(&o, &err, ARG("--listen=10.0.0.1:80"));
    ok(rc == ACCEL_E_INVALID, "an address beyond loopback is refused: %s", err.msg);
    accel_options_free(&o);
    rc = PARSE(&o, &err, ARG("--user=a\nb"));
    ok(rc == ACCEL_E_INVALID, "a line break in a value is refused: %s", err.msg);
    accel_options_free(&o);
}

/* The command line over the file, as children will parse the text again. */
static void loads(const char *path)
{
    struct accel_options o;
    struct accel_config *config, *again;
    struct accel_error err;
    char *text, here[256], want[300];

    ok(getcwd(here, sizeof(here)) != NULL, "here");
    snprintf(want, sizeof(want), "%s/some \"folder\"", here);
    ok(PARSE(&o, &err, ARG("--config"), ARG(path), ARG("--listen"), ARG("none"), ARG("--state-dir"),
             ARG("some \"folder\""), ARG("--set"), ARG("drivers.enabled=[fake]"), ARG("--set"),
             ARG("drivers.fake={a: [1, 2]}"), ARG("--log-level=error"),
             ARG("--log-level=debug")) == ACCEL_OK,
       "a command line is read");
    if (!ok(accel_options_load(&o, &text, &config, &err) == ACCEL_OK, "file and command line"))
        return;
    ok(config->api.tcp == NULL && strcmp(config->state_dir, want) == 0 &&
           config->drivers.count == 1 &&
           strcmp(config->drivers.list[0].section, "{\"a\":[1,2]}") == 0 &&
           config->log_level == ACCEL_LOG_DEBUG && config->workers.count == 7,
       "the command line rules, what it does not say is the file's, the last of two counts");
    ok(config->drivers.module_dir != NULL, "the module folder is found: %s",
       config->drivers.module_dir);
    ok(accel_config_parse(text, strlen(text), "x", &again, &err) == ACCEL_OK,
       "the text for the children is read again");
    unsigned different = 0;
    for (size_t i = 0; accel_config_key(i) != NULL; i++) {
        char *a = accel_config_value(config, i), *b = accel_config_value(again, i);
        different += strcmp(a, b) != 0;
        accel_free(a);
        accel_free(b);
    }
    ok(different == 0, "and says the same");
    accel_config_free(config);
    accel_config_free(again);
    accel_free(text);
    accel_options_free(&o);
}

static void reports_the_line_of_the_file(const char *path)
{
    struct accel_options o;
    struct accel_config *config;
    struct accel_error err;
    char *text;

    ok(PARSE(&o, &err, ARG("--check-config"), ARG(path), ARG("--log-level=info")) == ACCEL_OK &&
           o.action == ACCEL_CHECK,
       "--check-config FILE");
    ok(accel_options_load(&o, &text, &config, &err) == ACCEL_E_INVALID &&
           strstr(err.msg, ":3: workers.count: 0 is out of range") != NULL,
       "a bad value is reported with the file's line: %s", err.msg);
    accel_options_free(&o);
    ok(PARSE(&o, &err, ARG("--config=/nowhere/acceld.yaml")) == ACCEL_OK &&
           accel_options_load(&o, &text, &config, &err) == ACCEL_E_NOT_FOUND,
       "a file that was named and is missing is an error: %s", err.msg);
    accel_options_free(&o);
}

static void write_file(char *path, const char *text)
{
    struct accel_error err;
    const int fd = mkstemp(path);

    ok(fd >= 0 && accel_write_all(fd, text, strlen(text), path, &err) == ACCEL_OK, "a file");
    close(fd);
}

int main(void)
{
    char good[] = "/tmp/acceld-options-XXXXXX", bad[] = "/tmp/acceld-options-XXXXXX";

    write_file(good, "api: {listen: '127.0.0.1:1'}\nworkers: {count: 7}");
    write_file(bad, "# a comment\nworkers:\n  count: 0\n");
    refuses_nonsense();
    loads(good);
    reports_the_line_of_the_file(bad);
    unlink(good);
    unlink(bad);
    return tap_done();
}
