/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/options.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"

#define FILE_MAX_BYTES (1024u * 1024u)

/* Options that set one key; a path may be relative to where acceld is started. */
static const struct option {
    const char *name, *value, *key, *help;
    bool path;
} key_options[] = {
    {"--state-dir", "DIR", "node.state_dir", "database and models", true},
    {"--runtime-dir", "DIR", "node.runtime_dir", "unix socket", true},
    {"--sysroot", "DIR", "node.sysroot", "show modules another root, such as a recorded host",
     true},
    {"--listen", "ADDR", "api.listen", "HOST:PORT on loopback, or none", false},
    {"--socket", "PATH", "api.socket", "unix socket, or none", true},
    {"--module-dir", "DIR", "drivers.module_dir", "folder of the driver modules", true},
    {"--cpu-mask", "N", "workers.cpu_mask", "instruction sets of the kernels; 0: plain C", false},
    {"--log-level", "LEVEL", "log.level", "error, warning, info or debug", false},
    {"--user", "USER", "node.user", "to become when started as root", false},
};

void accel_options_help(struct accel_buf *out)
{
    accel_buf_puts(out, "Usage: acceld [OPTION]...\n"
                        "Manages the accelerators of this node and serves them over REST.\n\n");
    accel_buf_printf(out, "  %-22s %s\n", "--config FILE",
                     "instead of " ACCELD_SYSCONFDIR "/acceld/acceld.yaml");
    accel_buf_printf(out, "  %-22s %s\n", "--check-config [FILE]",
                     "check the configuration, print nothing if it is good");
    accel_buf_printf(out, "  %-22s %s\n", "--part PART",
                     "all (default); main and hardware: two services with a socket between");
    accel_buf_printf(out, "  %-22s %s\n", "--restore FILE",
                     "put a backup in the database's place, and end");
    accel_buf_printf(out, "  %-22s %s\n", "--set KEY=VALUE",
                     "set any key of the file, such as drivers.enabled=[cpu]");
    for (size_t i = 0; i < ACCEL_COUNT(key_options); i++) {
        const struct option *o = &key_options[i];
        char left[32];
        snprintf(left, sizeof(left), "%s %s", o->name, o->value);
        accel_buf_printf(out, "  %-22s %s (%s)\n", left, o->help, o->key);
    }
    accel_buf_printf(out, "  %-22s %s\n", "--version", "print the version");
    accel_buf_printf(out, "  %-22s %s\n", "--help", "print this");
    accel_buf_puts(out,
                   "\nOptions go before the file. SIGHUP reads the file again, SIGTERM ends in "
                   "order.\nEvery key is described in acceld.yaml.\n");
}

/* A YAML double-quoted scalar; control characters have no place in any value. */
static int append_quoted(struct accel_buf *out, const char *name, const char *text,
                         struct accel_error *err)
{
    accel_buf_puts(out, "\"");
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return accel_fail(err, ACCEL_E_INVALID, "%s: a control character in its value", name);
        if (*text == '"' || *text == '\\')
            accel_buf_puts(out, "\\");
        accel_buf_append(out, text, 1);
    }
    accel_buf_puts(out, "\"");
    return ACCEL_OK;
}

/* Each option is a document of its own: it may override what an earlier one said. It is checked
 * alone first, so that a message names the option and not a line of a text nobody wrote. */
static int add_override(struct accel_options *options, const char *name, const char *key,
                        const char *value, bool raw, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_buf_free) struct accel_buf line = {0};
    struct accel_config *config = NULL;
    int rc = ACCEL_OK;

    accel_buf_printf(&line, "%s: ", key);
    if (raw)
        accel_buf_puts(&line, value);
    else
        rc = append_quoted(&line, name, value, err);
    accel_buf_puts(&line, "\n");
    if (rc != ACCEL_OK)
        return rc;
    if (accel_buf_failed(&line))
        return accel_fail(err, ACCEL_E_NOMEM, "%s: no memory", name);
    rc = accel_config_parse(line.data, line.size, name, &config, err);
    if (rc != ACCEL_OK)
        return rc;
    accel_config_free(config);
    accel_buf_printf(&options->overrides, "\n---\n%s", line.data);
    return accel_buf_failed(&options->overrides)
               ? accel_fail(err, ACCEL_E_NOMEM, "%s: no memory", name)
               : ACCEL_OK;
}

static int add_key_option(struct accel_options *options, const struct option *o, const char *value,
                          struct accel_error *err)
{
    char absolute[PATH_MAX];
    char here[PATH_MAX / 2];

    if (o->path && value[0] != '/' && strcmp(value, "none") != 0) {
        if (getcwd(here, sizeof(here)) == NULL)
            return accel_fail_errno(err, errno, "current folder");
        if (snprintf(absolute, sizeof(absolute), "%s/%s", here, value) >= (int)sizeof(absolute))
            return accel_fail(err, ACCEL_E_INVALID, "%s: too long", o->name);
        value = absolute;
    }
    return add_override(options, o->name, o->key, value, false, err);
}

static int add_set(struct accel_options *options, const char *text, struct accel_error *err)
{
    const char *equals = strchr(text, '=');
    char key[128];

    if (equals == NULL || equals == text || (size_t)(equals - text) >= sizeof(key))
        return accel_fail(err, ACCEL_E_INVALID, "--set: expected KEY=VALUE, got \"%s\"", text);
    if (strpbrk(text, "\r\n") != NULL)
        return accel_fail(err, ACCEL_E_INVALID, "--set: expected one line");
    snprintf(key, sizeof(key), "%.*s", (int)(equals - text), text);
    return add_override(options, "--set", key, equals + 1, true, err);
}

static int set_part(struct accel_options *options, const char *value, struct accel_error *err)
{
    if (strcmp(value, "all") == 0)
        options->part = ACCEL_PART_ALL;
    else if (strcmp(value, "main") == 0)
        options->part = ACCEL_PART_MAIN;
    else if (strcmp(value, "hardware") == 0)
        options->part = ACCEL_PART_HARDWARE;
    else
        return accel_fail(err, ACCEL_E_INVALID,
                          "--part: expected all, main or hardware, got \"%s\"", value);
    return ACCEL_OK;
}

int accel_options_parse(int argc, char **argv, struct accel_options *options,
                        struct accel_error *err)
{
    *options = (struct accel_options){.path = ACCELD_SYSCONFDIR "/acceld/acceld.yaml"};
    for (int i = 1; i < argc; i++) {
        const struct option *o = NULL;
        char name[32];
        const char *value = strchr(argv[i], '=');
        const size_t length = value != NULL ? (size_t)(value - argv[i]) : strlen(argv[i]);
        int rc = ACCEL_OK;

        snprintf(name, sizeof(name), "%.*s", (int)ACCEL_MIN(length, sizeof(name) - 1), argv[i]);
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            options->action = ACCEL_SHOW_HELP;
            return ACCEL_OK;
        }
        if (strcmp(argv[i], "--version") == 0) {
            options->action = ACCEL_SHOW_VERSION;
            return ACCEL_OK;
        }
        if (strcmp(argv[i], "--check-config") == 0) {
            options->action = ACCEL_CHECK;
            if (i + 1 < argc && argv[i + 1][0] != '-') {
                options->path = argv[++i];
                options->path_given = true;
            }
            continue;
        }
        for (size_t k = 0; k < ACCEL_COUNT(key_options); k++)
            if (strcmp(name, key_options[k].name) == 0)
                o = &key_options[k];
        const bool known = o != NULL || strcmp(name, "--config") == 0 ||
                           strcmp(name, "--set") == 0 || strcmp(name, "--restore") == 0 ||
                           strcmp(name, "--part") == 0;
        if (!known)
            return accel_fail(err, ACCEL_E_INVALID, "unknown option %s: see acceld --help",
                              argv[i]);
        if (value != NULL)
            value++;
        else if (i + 1 < argc)
            value = argv[++i];
        else
            return accel_fail(err, ACCEL_E_INVALID, "%s needs a value: see acceld --help", name);
        if (o != NULL) {
            rc = add_key_option(options, o, value, err);
        } else if (strcmp(name, "--set") == 0) {
            rc = add_set(options, value, err);
        } else if (strcmp(name, "--part") == 0) {
            rc = set_part(options, value, err);
        } else if (strcmp(name, "--restore") == 0) {
            options->action = ACCEL_RESTORE;
            options->restore = value;
        } else {
            options->path = value;
            options->path_given = true;
        }
        if (rc != ACCEL_OK)
            return rc;
    }
    return ACCEL_OK;
}

void accel_options_free(struct accel_options *options)
{
    accel_buf_free(&options->overrides);
}

int accel_options_load(const struct accel_options *options, char **text,
                       struct accel_config **config, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_buf_free) struct accel_buf all = {0};
    ACCEL_CLEANUP(accel_freep) char *file = NULL;
    struct accel_config *checked = NULL;
    struct accel_places places;
    size_t size = 0;

    int rc = accel_read_file(options->path, FILE_MAX_BYTES, &file, &size, err);
    if (rc == ACCEL_E_NOT_FOUND && !options->path_given)
        rc = ACCEL_OK; /* all defaults */
    if (rc == ACCEL_OK)
        /* By itself first: a mistake of the file is reported with the file's line. */
        rc = accel_config_parse(file != NULL ? file : "", size, options->path, &checked, err);
    accel_config_free(checked);
    if (rc != ACCEL_OK)
        return rc;
    if (file != NULL)
        accel_buf_append(&all, file, size);
    if (options->overrides.size > 0)
        accel_buf_append(&all, options->overrides.data, options->overrides.size);
    accel_buf_puts(&all, "\n");
    if (accel_buf_failed(&all))
        return accel_fail(err, ACCEL_E_NOMEM, "%s: no memory", options->path);
    rc = accel_config_parse(all.data, all.size, options->path, config, err);
    if (rc == ACCEL_OK && (*config)->drivers.module_dir == NULL) {
        rc = accel_places_find(&places, err);
        accel_config_free(*config);
        if (rc != ACCEL_OK)
            return rc;
        accel_buf_puts(&all, "---\ndrivers.module_dir: ");
        rc = append_quoted(&all, "module folder", places.modules, err);
        accel_buf_puts(&all, "\n");
        if (rc == ACCEL_OK && accel_buf_failed(&all))
            rc = accel_fail(err, ACCEL_E_NOMEM, "%s: no memory", options->path);
        if (rc == ACCEL_OK)
            rc = accel_config_parse(all.data, all.size, options->path, config, err);
    }
    if (rc == ACCEL_OK)
        *text = accel_buf_steal(&all);
    return rc;
}

/* Where they lie below a folder: of the build, of a prefix. */
static bool places_below(struct accel_places *places, const char *folder, const char *libexec,
                         const char *modules)
{
    char probe[ACCEL_PLACE_MAX + 32];

    snprintf(places->libexec, sizeof(places->libexec), "%s%s", folder, libexec);
    snprintf(places->modules, sizeof(places->modules), "%s%s", folder, modules);
    snprintf(probe, sizeof(probe), "%s/acceld-control", places->libexec);
    return access(probe, X_OK) == 0;
}

int accel_places_find(struct accel_places *places, struct accel_error *err)
{
    char self[200];
    const ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (length <= 0 || length == sizeof(self) - 1)
        return accel_fail(err, ACCEL_E_IO, "cannot tell where acceld lies (/proc/self/exe)");
    self[length] = '\0';
    *strrchr(self, '/') = '\0';
    if (places_below(places, self, "/libexec", "/drivers"))
        return ACCEL_OK;
    /* The prefix it was installed to, which need not be the one it was built for. */
    char *above = strrchr(self, '/');
    if (above != NULL) {
        *above = '\0';
        if (places_below(places, self, "/libexec/acceld", "/lib/acceld/drivers"))
            return ACCEL_OK;
    }
    (void)places_below(places, ACCELD_PREFIX, "/libexec/acceld", "/lib/acceld/drivers");
    return ACCEL_OK;
}
