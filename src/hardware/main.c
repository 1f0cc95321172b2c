/* SPDX-License-Identifier: Apache-2.0 */
/* acceld-hardware: the process of one driver module. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/privileges.h"
#include "hardware/build.h"
#include "hardware/host.h"
#include "hardware/module.h"
#include "hardware/print.h"
#include "hardware/serve.h"

#define CONFIG_MAX_BYTES ((size_t)4 << 20)

static const char usage[] =
    "acceld-hardware --module NAME [option]...\n"
    "\n"
    "Runs one driver module. acceld starts it; by hand it shows what a module finds:\n"
    "\n"
    "    acceld-hardware --module pci --once\n"
    "    acceld-hardware --module pci --once --json --sysroot ./recorded-tree\n"
    "\n"
    "  --module NAME          module to load: NAME.so\n"
    "  --module-dir DIR       where modules lie (" ACCELD_PREFIX "/lib/acceld/drivers)\n"
    "  --sysroot DIR          root of /sys, /proc and /dev for the module (/)\n"
    "  --hostname NAME        the node's name (the system's)\n"
    "  --config TEXT          the module's section of acceld.yaml, as a JSON object\n"
    "  --config-fd N          the same, to be read from a descriptor\n"
    "  --record FILE          write what the machine answers to a tape\n"
    "  --replay FILE          answer from a tape instead of the machine\n"
    "  --user NAME            user to become when started as root, unless the module needs root\n"
    "  --log-level LEVEL      error, warning, info or debug\n"
    "  --once                 discover, read the sensors, print, exit\n"
    "  --json                 print JSON\n"
    "  --print-cpuid          print this machine's CPUID as a tree's acceld/cpuid holds it, exit\n"
    "  --channel-fd N         serve control on this socket\n"
    "  --supervisor-fd N      take new channels from this socket\n"
    "  --help, --version\n"
    "\n"
    "Exit status: 0, 1 when it failed, 2 when it was called wrongly.\n";

struct options {
    const char *module, *module_dir, *sysroot, *hostname, *config, *record, *replay, *user;
    int config_fd, channel_fd, supervisor_fd;
    bool once, json, print_cpuid;
};

static bool parse_fd(const char *text, int *fd)
{
    char *end;

    errno = 0;
    const long n = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || n < 0 || n > 1 << 20 ||
        fcntl((int)n, F_SETFD, FD_CLOEXEC) != 0) {
        fprintf(stderr, "acceld-hardware: \"%s\" is no open descriptor\n", text);
        return false;
    }
    *fd = (int)n;
    return true;
}

static bool parse_log_level(const char *text)
{
    enum accel_log_level level;

    if (!accel_log_level_parse(text, &level)) {
        fprintf(stderr, "acceld-hardware: --log-level: error, warning, info or debug, not \"%s\"\n",
                text);
        return false;
    }
    accel_log_set_level(level);
    return true;
}

enum { HELP = 256, VERSION_, LOG_LEVEL, CONFIG_FD, CHANNEL_FD, SUPERVISOR_FD, ONCE, JSON, CPUID };

/* Returns -1 to go on, else the exit status. */
static int parse_options(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = {
        {"module", required_argument, NULL, 'm'},
        {"module-dir", required_argument, NULL, 'd'},
        {"sysroot", required_argument, NULL, 's'},
        {"hostname", required_argument, NULL, 'n'},
        {"config", required_argument, NULL, 'c'},
        {"config-fd", required_argument, NULL, CONFIG_FD},
        {"record", required_argument, NULL, 'r'},
        {"replay", required_argument, NULL, 'p'},
        {"user", required_argument, NULL, 'u'},
        {"log-level", required_argument, NULL, LOG_LEVEL},
        {"once", no_argument, NULL, ONCE},
        {"json", no_argument, NULL, JSON},
        {"print-cpuid", no_argument, NULL, CPUID},
        {"channel-fd", required_argument, NULL, CHANNEL_FD},
        {"supervisor-fd", required_argument, NULL, SUPERVISOR_FD},
        {"help", no_argument, NULL, HELP},
        {"version", no_argument, NULL, VERSION_},
        {0},
    };
    struct {
        int key;
        const char **to;
    } const texts[] = {
        {'m', &o->module}, {'d', &o->module_dir}, {'s', &o->sysroot}, {'n', &o->hostname},
        {'c', &o->config}, {'r', &o->record},     {'p', &o->replay},  {'u', &o->user},
    };
    int key;

    while ((key = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        bool good = true;

        for (size_t i = 0; i < ACCEL_COUNT(texts); i++)
            if (texts[i].key == key)
                *texts[i].to = optarg;
        switch (key) {
        case LOG_LEVEL:
            good = parse_log_level(optarg);
            break;
        case CONFIG_FD:
            good = parse_fd(optarg, &o->config_fd);
            break;
        case CHANNEL_FD:
            good = parse_fd(optarg, &o->channel_fd);
            break;
        case SUPERVISOR_FD:
            good = parse_fd(optarg, &o->supervisor_fd);
            break;
        case ONCE:
            o->once = true;
            break;
        case JSON:
            o->json = true;
            break;
        case CPUID:
            o->print_cpuid = true;
            break;
        case HELP:
            fputs(usage, stdout);
            return 0;
        case VERSION_:
            printf("acceld-hardware %s, driver ABI %u\n", ACCELD_VERSION, ACCEL_DRIVER_ABI);
            return 0;
        case '?':
            return 2;
        default:
            break;
        }
        if (!good)
            return 2;
    }
    if (o->print_cpuid)
        return -1;
    if (optind < argc || o->module == NULL) {
        fputs("acceld-hardware: --module is needed and no other word; see --help\n", stderr);
        return 2;
    }
    if (!o->once && o->channel_fd < 0 && o->supervisor_fd < 0) {
        fputs("acceld-hardware: give --once, --channel-fd or --supervisor-fd; see --help\n",
              stderr);
        return 2;
    }
    if (o->record != NULL && o->replay != NULL) {
        fputs("acceld-hardware: --record and --replay exclude each other\n", stderr);
        return 2;
    }
    return -1;
}

static int read_config_fd(int fd, char **text, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_closep) int owned = fd;
    char path[64];

    /* By path: a memory file's offset is shared with whoever wrote it. */
    snprintf(path, sizeof(path), "/proc/self/fd/%d", owned);
    return accel_read_file(path, CONFIG_MAX_BYTES, text, NULL, err);
}

/* Gives up root unless the module needs it. *privileged: root was kept. */
static int drop_privileges(const char *user, const struct accel_driver *driver, bool *privileged,
                           struct accel_error *err)
{
    struct accel_identity identity;

    *privileged =
        geteuid() == 0 && (user == NULL || (driver->flags & ACCEL_DRIVER_NEEDS_ROOT) != 0);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return accel_fail_errno(err, errno, "no new privileges");
    if (*privileged || geteuid() != 0)
        return ACCEL_OK;
    if (accel_identity_find(user, &identity, err) != ACCEL_OK ||
        accel_identity_become(&identity, err) != ACCEL_OK)
        return err->code;
    /* A change of user clears it: nothing outlives the supervisor, a hung vendor library included.
     * By hand (--once) it is the shell that this follows. */
    (void)accel_die_with_parent(getppid());
    return ACCEL_OK;
}

static int make_host(const struct options *o, struct accel_host **host, struct accel_error *err)
{
    if (o->replay != NULL)
        return accel_host_replay_new(o->replay, host, err);
    const int rc = accel_host_live_new(o->sysroot, o->module, host, err);
    if (rc != ACCEL_OK || o->record == NULL)
        return rc;
    struct accel_host *live = accel_steal(host);
    return accel_host_record_new(live, o->record, host, err);
}

static int add_reading(struct accel_readings *out, const struct accel_reading *reading,
                       struct accel_error *err)
{
    json_t *one = json_pack("{s:s, s:s, s:f}", "identity", reading->identity, "name", reading->name,
                            "value", reading->value);

    if (one == NULL && !isfinite(reading->value))
        return ACCEL_OK; /* unknown */
    if (json_array_append_new(out->self, one) != 0)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for readings");
    return ACCEL_OK;
}

/* sampled: an array of readings. */
static int print_found(const struct options *o, const struct accel_driver *driver,
                       struct accel_build *build, json_t *sampled, struct accel_error *err)
{
    const Accel__Ipc__DeviceList *list;
    const int rc = accel_build_list(build, &list, err);

    if (rc != ACCEL_OK)
        return rc;
    if (!o->json) {
        accel_print_lines(list, stdout);
        return ACCEL_OK;
    }
    json_t *json = accel_print_list(list);
    json_object_set_new(json, "module", json_string(driver->name));
    json_object_set(json, "readings", sampled);
    char *text = json != NULL ? json_dumps(json, JSON_INDENT(2) | JSON_SORT_KEYS) : NULL;
    json_decref(json);
    if (text == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to print what was found");
    puts(text);
    free(text);
    return fflush(stdout) == 0 ? ACCEL_OK : accel_fail_errno(err, errno, "standard output");
}

/* open, discover, read, print, close. */
static int run_once(const struct options *o, const struct accel_module *module,
                    struct accel_host *host, const struct accel_module_config *config,
                    struct accel_error *err)
{
    ACCEL_CLEANUP(accel_build_freep) struct accel_build *build = NULL;
    ACCEL_CLEANUP(json_decrefp) json_t *sampled = json_array();
    const struct accel_driver *driver = &module->driver;
    struct accel_readings readings = {
        .struct_size = sizeof(readings), .self = sampled, .add = add_reading};
    void *self = NULL;

    int rc = accel_build_new(driver->name, o->hostname, &build, err);
    if (rc == ACCEL_OK && driver->open != NULL)
        rc = driver->open(host, accel_module_config_get(config), &self, err);
    if (rc == ACCEL_E_NOT_MINE) {
        accel_log_info("nothing here for this module", "module=%s reason=\"%s\"", driver->name,
                       err->msg);
        return print_found(o, driver, build, sampled, err);
    }
    if (rc != ACCEL_OK)
        return rc;
    rc = driver->discover(self, accel_build_builder(build), err);
    if (rc == ACCEL_OK && driver->read != NULL)
        rc = driver->read(self, &readings, err);
    if (rc == ACCEL_OK)
        rc = accel_host_check(host, err);
    if (rc == ACCEL_OK)
        rc = print_found(o, driver, build, sampled, err);
    if (driver->close != NULL)
        driver->close(self);
    return rc;
}

static int print_cpuid(struct accel_error *err)
{
    ACCEL_CLEANUP(accel_buf_free) struct accel_buf text = {0};
    const int rc = accel_host_cpuid_text(&text, err);

    if (rc == ACCEL_OK)
        fwrite(text.data, 1, text.size, stdout);
    return rc;
}

static int run(const struct options *o, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_module_unload) struct accel_module module = {0};
    ACCEL_CLEANUP(accel_host_freep) struct accel_host *host = NULL;
    ACCEL_CLEANUP(accel_module_config_freep) struct accel_module_config *config = NULL;
    ACCEL_CLEANUP(accel_freep) char *text = NULL;
    bool privileged;

    int rc = accel_module_load(o->module_dir, o->module, &module, err);
    if (rc == ACCEL_OK && o->config_fd >= 0)
        rc = read_config_fd(o->config_fd, &text, err);
    if (rc == ACCEL_OK)
        rc = accel_module_config_new(&module.driver, text != NULL ? text : o->config, o->hostname,
                                     &config, err);
    if (rc == ACCEL_OK)
        rc = make_host(o, &host, err);
    if (rc == ACCEL_OK)
        rc = drop_privileges(o->user, &module.driver, &privileged, err);
    if (rc != ACCEL_OK) {
        if (o->channel_fd >= 0)
            accel_serve_refuse(o->channel_fd, o->module, err);
        return rc;
    }
    if (o->once)
        return run_once(o, &module, host, config, err);
    const struct accel_serve with = {
        .module = &module,
        .host = host,
        .config = config,
        .hostname = o->hostname,
        .channel = o->channel_fd,
        .supervisor = o->supervisor_fd,
        .privileged = privileged,
    };
    return accel_serve_run(&with, err);
}

int main(int argc, char **argv)
{
    struct options o = {
        .module_dir = ACCELD_PREFIX "/lib/acceld/drivers",
        .sysroot = "/",
        .config_fd = -1,
        .channel_fd = -1,
        .supervisor_fd = -1,
    };
    struct accel_error err = {.msg = ""};
    char hostname[256] = "localhost", role[48];

    accel_log_init("hardware", ACCEL_LOG_INFO);
    const int status = parse_options(argc, argv, &o);
    if (status >= 0)
        return status;
    if (o.hostname == NULL) {
        gethostname(hostname, sizeof(hostname) - 1);
        o.hostname = hostname;
    }
    if (o.print_cpuid) {
        if (print_cpuid(&err) == ACCEL_OK)
            return 0;
    } else {
        const enum accel_log_level level = accel_log_get_level();
        snprintf(role, sizeof(role), "hardware-%.32s", o.module);
        accel_log_init(role, level);
        if (run(&o, &err) == ACCEL_OK)
            return 0;
    }
    accel_log_error("hardware process ends", "reason=\"%s\"", err.msg);
    return 1;
}
