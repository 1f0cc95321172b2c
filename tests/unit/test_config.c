/* SPDX-License-Identifier: Apache-2.0 */
#include "config/config.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tap.h"

static int parse(const char *text, struct accel_config **config, struct accel_error *err)
{
    return accel_config_parse(text, strlen(text), "acceld.yaml", config, err);
}

static void has_defaults(void)
{
    struct accel_config *c;
    struct accel_error err;

    unsetenv("STATE_DIRECTORY");
    unsetenv("RUNTIME_DIRECTORY");
    ok(parse("", &c, &err) == ACCEL_OK, "an empty file is a good file");
    ok(strcmp(c->sysroot, "/") == 0 && strcmp(c->api.tcp, "127.0.0.1:6666") == 0 &&
           strcmp(c->api.unix_path, "/run/acceld/acceld.sock") == 0 && c->hostname[0] != '\0' &&
           c->api.public_endpoint == NULL && c->drivers.module_dir == NULL,
       "texts have their defaults");
    ok(c->drivers.scan_period_ms == 60000 && c->limits.infer_bytes == 256u << 20 &&
           c->workers.count == 2 && c->workers.cpu_mask == ACCEL_CPU_ALL &&
           c->limits.model.model_bytes == 2ull << 30 && c->log_level == ACCEL_LOG_INFO,
       "numbers have their defaults");
    ok(c->drivers.count == 2 && strcmp(c->drivers.list[1].name, "pci") == 0 &&
           strcmp(c->drivers.list[1].section, "{}") == 0 && c->drivers.list[1].line == 0,
       "the modules that need nothing are enabled");
    accel_config_free(c);

    setenv("STATE_DIRECTORY", "/var/lib/private/acceld:/other", 1);
    ok(parse("node:\n", &c, &err) == ACCEL_OK &&
           strcmp(c->state_dir, "/var/lib/private/acceld") == 0,
       "systemd's state directory is used");
    unsetenv("STATE_DIRECTORY");
    accel_config_free(c);
}

static void reads_values(void)
{
    struct accel_config *c;
    struct accel_error err;

    ok(parse("node: {hostname: n1, runtime_dir: /tmp/r}\n"
             "log:\n  level: debug\n"
             "api.listen: \"[::1]:0\"\n"
             "api:\n  socket: none\n  public_endpoint: https://a.example\n"
             "auth: {local_tcp: admin}\n"
             "cyborg: {list_cpu: true}\n"
             "drivers:\n"
             "  enabled: [fake, cpu]\n"
             "  scan_period: 500ms\n"
             "  telemetry_period:\n"
             "  fake:\n"
             "    devices:\n"
             "      - {type: FPGA, count: 2, serial: '0017', price: 1.5, on: true, none: }\n"
             "workers: {cpu_mask: 0, memory: 1 GiB, threads: 3}\n"
             "limits: {request_time: 2m, nodes: 10}\n",
             &c, &err) == ACCEL_OK,
       "a full file is read");
    ok(strcmp(c->hostname, "n1") == 0 && c->log_level == ACCEL_LOG_DEBUG &&
           strcmp(c->api.tcp, "[::1]:0") == 0 && c->api.unix_path == NULL &&
           strcmp(c->api.public_endpoint, "https://a.example") == 0 && c->auth.local_tcp_admin &&
           c->cyborg.list_cpu,
       "texts and switches, nested or dotted");
    ok(c->drivers.scan_period_ms == 500 && c->drivers.telemetry_period_ms == 10000 &&
           c->workers.cpu_mask == 0 && c->workers.memory_bytes == 1u << 30 &&
           c->workers.threads == 3 && c->limits.request_ms == 120000 && c->limits.model.nodes == 10,
       "durations, sizes and numbers; an empty value is the default");
    ok(c->drivers.count == 2 && strcmp(c->drivers.list[0].name, "fake") == 0 &&
           c->drivers.list[0].line == 14 &&
           strcmp(c->drivers.list[0].section,
                  "{\"devices\":[{\"count\":2,\"none\":null,\"on\":true,\"price\":1.5,"
                  "\"serial\":\"0017\",\"type\":\"FPGA\"}]}") == 0,
       "a module's section becomes JSON: %s", c->drivers.list[0].section);
    accel_config_free(c);
}

static void later_documents_override(void)
{
    struct accel_config *c;
    struct accel_error err;

    ok(parse("api: {listen: none}\ndrivers: {enabled: [cpu, pci], fake: {a: 1}}\n"
             "---\napi.listen: 127.0.0.1:7\ndrivers.enabled: [fake]\ndrivers.fake: {a: 2}\n"
             "---\nworkers.count: 3\n",
             &c, &err) == ACCEL_OK &&
           strcmp(c->api.tcp, "127.0.0.1:7") == 0 && c->drivers.count == 1 &&
           strcmp(c->drivers.list[0].section, "{\"a\":2}") == 0 && c->workers.count == 3,
       "the command line overrides the file");
    accel_config_free(c);
}

static void refuses(const char *text, const char *message)
{
    struct accel_config *c;
    struct accel_error err = {0};

    const int rc = parse(text, &c, &err);
    ok(rc == ACCEL_E_INVALID && strcmp(err.msg, message) == 0, "refused: %s", message);
    if (rc != ACCEL_E_INVALID || strcmp(err.msg, message) != 0)
        printf("#   got: %d %s\n", rc, err.msg);
    if (rc == ACCEL_OK)
        accel_config_free(c);
}

static void refuses_with_line_and_reason(void)
{
    refuses("# a\ndrivers:\n  scan_period: soon\n",
            "acceld.yaml:3: drivers.scan_period: expected a duration such as 60s, got \"soon\"");
    refuses("drivers:\n  scan_perod: 60s\n",
            "acceld.yaml:2: drivers.scan_perod: unknown key; the nearest known one is "
            "drivers.scan_period");
    refuses("listen: 127.0.0.1:1\n",
            "acceld.yaml:1: listen: unknown key; the nearest known one is api.listen");
    refuses("apii:\n  listen: x\n",
            "acceld.yaml:1: apii: unknown key; the nearest known one is api");
    refuses("api: 7\n", "acceld.yaml:1: api: expected a mapping of keys, got a value");
    refuses("api:\n  listen: [a]\n", "acceld.yaml:2: api.listen: expected a value, got a list");
    refuses("api:\n  listen: 0.0.0.0:6666\n",
            "acceld.yaml:2: api.listen: would listen beyond loopback without authentication: use "
            "an address of 127.0.0.0/8, [::1] or localhost, and a proxy that authenticates; got "
            "\"0.0.0.0:6666\"");
    refuses("api: {listen: '127.0.0.1:70000'}\n",
            "acceld.yaml:1: api.listen: expected a port from 0 to 65535; got \"127.0.0.1:70000\"");
    refuses("workers: {count: 0}\n",
            "acceld.yaml:1: workers.count: 0 is out of range: at least 1, at most 64");
    refuses("workers: {count: -1}\n",
            "acceld.yaml:1: workers.count: expected a whole number, got \"-1\"");
    refuses("workers: {memory: 99999999999GiB}\n",
            "acceld.yaml:1: workers.memory: expected a size such as 256MiB, got "
            "\"99999999999GiB\"");
    refuses("workers: {memory: 5 MB}\n",
            "acceld.yaml:1: workers.memory: expected a size such as 256MiB, got \"5 MB\"");
    refuses("cyborg: {list_cpu: yes}\n",
            "acceld.yaml:1: cyborg.list_cpu: expected true or false, got \"yes\"");
    refuses("node: {state_dir: var}\n",
            "acceld.yaml:1: node.state_dir: expected an absolute path, got \"var\"");
    refuses("log:\n  level: info\n\n  level: debug\n",
            "acceld.yaml:4: log.level: said before, in line 2");
    refuses("drivers: {enabled: [cpu, cpu]}\n",
            "acceld.yaml:1: drivers.enabled: cpu is named twice");
    refuses("drivers: {enabled: cpu}\n",
            "acceld.yaml:1: drivers.enabled: expected a list such as [cpu, pci], got \"cpu\"");
    refuses("drivers: {enabled: [../../x]}\n",
            "acceld.yaml:1: drivers.enabled: \"../../x\" is no module name (a-z, 0-9, -, _)");
    refuses("a: &a [1]\n", "acceld.yaml:1: a: unknown key; the nearest known one is api");
    refuses("drivers: {fake: {a: &x [1], b: *x}}\n",
            "acceld.yaml:1: YAML aliases are not used in this file");
    refuses("api:\n  listen: \"x\n", "acceld.yaml:3: not YAML: found unexpected end of stream "
                                     "while scanning a quoted scalar");
    refuses("- a\n", "acceld.yaml:1: expected a mapping of sections, got a list");
}

static void refuses_deep_nesting(void)
{
    char text[2048];
    struct accel_config *c;
    struct accel_error err;

    strcpy(text, "drivers: {fake: {a: ");
    memset(text + strlen(text), '\0', 1);
    for (int i = 0; i < 200; i++)
        strcat(text, "[");
    ok(parse(text, &c, &err) == ACCEL_E_INVALID && strstr(err.msg, "nested deeper than 32") != NULL,
       "two hundred brackets are refused: %s", err.msg);
}

/* etc/acceld.yaml documents every key of the table with its default, and no other. */
static void the_example_documents_every_key(void)
{
    struct accel_config *example, *plain;
    struct accel_error err;
    char *text;
    unsigned missing = 0, different = 0, extra = 0, keys = 0, seen = 0;

    if (!ok(accel_config_load("etc/acceld.yaml", &text, &example, &err) == ACCEL_OK,
            "etc/acceld.yaml is a good file"))
        return;
    ok(parse("", &plain, &err) == ACCEL_OK, "defaults");
    for (size_t i = 0; accel_config_key(i) != NULL; i++, keys++) {
        char *a = accel_config_value(example, i), *b = accel_config_value(plain, i);
        if (strcmp(a, b) != 0) {
            different++;
            printf("#   %s: %s, default %s\n", accel_config_key(i), a, b);
        }
        accel_free(a);
        accel_free(b);
    }
    /* Walk the file: sections stand at the margin, keys two in, "#" without a blank before some. */
    char section[64] = "", key[160];
    bool found[128] = {false};
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        char word[64];
        if (line[0] != ' ' && line[0] != '#' && sscanf(line, "%60[a-z0-9_]:", word) == 1) {
            strcpy(section, word);
            continue;
        }
        if (strncmp(line, "  ", 2) != 0 || line[2] == ' ' ||
            sscanf(line + 2 + (line[2] == '#'), "%60[a-z0-9_]%1[:]", word, key) != 2)
            continue;
        snprintf(key, sizeof(key), "%s.%s", section, word);
        bool known = false;
        for (size_t i = 0; accel_config_key(i) != NULL; i++)
            if (strcmp(key, accel_config_key(i)) == 0)
                known = found[i] = true;
        if (!known) {
            extra++;
            printf("#   no such key: %s\n", key);
        }
    }
    for (size_t i = 0; i < keys; i++) {
        seen += found[i];
        if (!found[i]) {
            missing++;
            printf("#   not documented: %s\n", accel_config_key(i));
        }
    }
    ok(keys > 30 && different == 0, "it shows the default of each of %u keys", keys);
    ok(missing == 0 && seen == keys, "every key of the table is in it");
    ok(extra == 0, "it has no key that the table lacks");
    accel_free(text);
    accel_config_free(example);
    accel_config_free(plain);
}

/* Every value that accel_config_value shows is read back as the same. */
static void shown_values_can_be_read(void)
{
    struct accel_config *c, *again;
    struct accel_error err;
    unsigned different = 0;

    ok(parse("workers: {cpu_mask: 3, memory: 1536MiB}\nlimits: {request_time: 1500ms}\n"
             "api: {listen: none}\ndrivers: {enabled: [], module_dir: /m}\n",
             &c, &err) == ACCEL_OK,
       "a file");
    for (size_t i = 0; accel_config_key(i) != NULL; i++) {
        char text[512];
        char *value = accel_config_value(c, i);
        snprintf(text, sizeof(text), "%s: %s\n", accel_config_key(i), value);
        if (parse(text, &again, &err) != ACCEL_OK) {
            different++;
            printf("#   %s\n", err.msg);
        } else {
            char *back = accel_config_value(again, i);
            different += strcmp(back, value) != 0;
            accel_free(back);
            accel_config_free(again);
        }
        accel_free(value);
    }
    ok(different == 0, "every shown value is read back as it was");
    accel_config_free(c);
}

static void survives_every_failed_allocation(void)
{
    static const char text[] = "node: {hostname: n}\ndrivers: {enabled: [fake], fake: {a: [1]}}\n";
    struct accel_config *c;
    struct accel_error err;

    for (long nth = 0;; nth++) {
        accel_fault_arm(nth);
        const int rc = parse(text, &c, &err);
        if (!accel_fault_disarm()) {
            ok(rc == ACCEL_OK && nth > 2, "parses when no allocation fails");
            accel_config_free(c);
            return;
        }
        /* Memory is taken in chunks: a bump allocation may be served from one that is there. */
        ok(rc == ACCEL_E_NOMEM, "reports that allocation %ld failed", nth);
    }
}

int main(void)
{
    has_defaults();
    reads_values();
    later_documents_override();
    refuses_with_line_and_reason();
    refuses_deep_nesting();
    the_example_documents_every_key();
    shown_values_can_be_read();
    survives_every_failed_allocation();
    return tap_done();
}
