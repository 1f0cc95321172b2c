/* SPDX-License-Identifier: Apache-2.0 */
/* Devices that are made up: to try the API and to test everything around it without hardware, and
 * to have hardware that crashes, hangs, vanishes and refuses exactly when told. README.md lists
 * the keys. With none it is one FPGA like that of Cyborg's fake driver. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "acceld/driver.h"

#define DEVICES_MAX    16384
#define PARTITIONS_MAX 64
#define HANDLES_MAX    256
#define ATTACHED_MAX   4096
#define WORLD_MAX      ((size_t)4 << 20)

/* What is wrong in this world. Read again before every operation. */
struct faults {
    bool crash_on_discover, hang_on_discover, program_fails;
    double program_seconds;
    json_t *gone, *fail_devices; /* identities, borrowed from the world or the config */
};

struct fake {
    const struct accel_host *host;
    const struct accel_driver_config *config;
    char hostname[256];
    char world_path[1024];                              /* "": none */
    json_t *config_devices, *config_gone, *config_fail; /* NULL: not given */
    json_t *world;                                      /* what the file says at present, or NULL */
    int watch_fd;
    char *attached[ATTACHED_MAX]; /* "identity attach_info" of what is handed out */
    size_t attached_count;
};

static const struct accel_config_key keys[] = {
    {"devices", ACCEL_CONFIG_JSON, "list of devices (README.md); default: one FPGA", NULL, 0, 0},
    {"world", ACCEL_CONFIG_STRING,
     "path of a JSON file with the same keys, read at every use and watched", NULL, 0, 0},
    {"crash_on_discover", ACCEL_CONFIG_BOOL, "abort in discover (false)", "false", 0, 0},
    {"hang_on_discover", ACCEL_CONFIG_BOOL, "never return from discover (false)", "false", 0, 0},
    {"program_seconds", ACCEL_CONFIG_NUMBER, "how long programming takes, seconds (0)", "0", 0,
     3600},
    {"program_fails", ACCEL_CONFIG_BOOL, "programming ends in an error (false)", "false", 0, 0},
    {"gone", ACCEL_CONFIG_JSON, "identities that are not found (none)", NULL, 0, 0},
    {"fail_devices", ACCEL_CONFIG_JSON, "identities whose health is failed (none)", NULL, 0, 0},
    {0},
};

/* ---------------------------------------------------------------- world and config */

static int config_json(struct fake *fake, const char *key, json_t **out, struct accel_error *err)
{
    const char *text = fake->config->get(fake->config, key);
    json_error_t where;

    *out = NULL;
    if (text == NULL)
        return ACCEL_OK;
    *out = json_loads(text, JSON_DECODE_ANY, &where);
    if (!json_is_array(*out)) {
        json_decref(*out);
        *out = NULL;
        return accel_fail(err, ACCEL_E_INVALID, "drivers.fake.%s: expected a list", key);
    }
    return ACCEL_OK;
}

/* A file that is not there is an ordinary world; one that is no JSON keeps the last. */
static void read_world(struct fake *fake, struct accel_builder *out)
{
    json_error_t where;
    json_t *world = NULL;
    size_t got = 0;
    int rc;

    if (fake->world_path[0] == '\0')
        return;
    char *text = malloc(WORLD_MAX);
    struct accel_error err = {.msg = "no memory"};
    rc = text == NULL
             ? ACCEL_E_NOMEM
             : fake->host->read_bytes(fake->host, fake->world_path, text, WORLD_MAX, &got, &err);
    if (rc == ACCEL_OK)
        world = json_loadb(text, got, 0, &where);
    free(text);
    if (rc == ACCEL_E_NOT_FOUND) {
        json_decref(fake->world);
        fake->world = NULL;
    } else if (rc != ACCEL_OK) {
        if (out != NULL)
            out->problem(out, fake->world_path, err.msg);
    } else if (!json_is_object(world)) {
        if (out != NULL)
            out->problem(out, fake->world_path, world == NULL ? where.text : "not a JSON object");
        json_decref(world);
    } else {
        json_decref(fake->world);
        fake->world = world;
    }
}

static bool flag(const struct fake *fake, const char *key)
{
    const json_t *value = json_object_get(fake->world, key);
    const char *text = fake->config->get(fake->config, key);

    return value != NULL ? json_is_true(value) : text != NULL && strcmp(text, "true") == 0;
}

static struct faults faults_now(const struct fake *fake)
{
    const json_t *seconds = json_object_get(fake->world, "program_seconds");
    const char *text = fake->config->get(fake->config, "program_seconds");
    json_t *gone = json_object_get(fake->world, "gone");
    json_t *fail = json_object_get(fake->world, "fail_devices");

    return (struct faults){
        .crash_on_discover = flag(fake, "crash_on_discover"),
        .hang_on_discover = flag(fake, "hang_on_discover"),
        .program_fails = flag(fake, "program_fails"),
        .program_seconds = seconds != NULL ? json_number_value(seconds)
                           : text != NULL  ? strtod(text, NULL)
                                           : 0,
        .gone = gone != NULL ? gone : fake->config_gone,
        .fail_devices = fail != NULL ? fail : fake->config_fail,
    };
}

static bool lists(const json_t *list, const char *identity)
{
    const json_t *item;
    size_t i;

    json_array_foreach(list, i, item) {
        if (json_is_string(item) && strcmp(json_string_value(item), identity) == 0)
            return true;
    }
    return false;
}

/* ---------------------------------------------------------------- one device */

/* A device as its entry of the list says; what the entry does not say is Cyborg's fake device. */
struct made_up {
    const json_t *entry;
    long long number, of; /* the how-manieth of the entry's `count` */
    char pci[24], serial[128], name[256], identity[200];
    bool has_pci;
};

static const char *text_of(const json_t *entry, const char *key, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(entry, key));

    return text != NULL ? text : otherwise;
}

static long long whole_of(const json_t *entry, const char *key, long long otherwise)
{
    const json_t *value = json_object_get(entry, key);

    return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

/* The PCI address `number` functions after the first: function, device, bus, then domain. */
static void nth_address(const char *first, long long number, char out[24])
{
    unsigned long domain, bus, device, function;

    if (sscanf(first, "%lx:%lx:%lx.%lx", &domain, &bus, &device, &function) != 4) {
        snprintf(out, 24, "%.23s", first); /* wrong on purpose, perhaps: the host says so */
        return;
    }
    unsigned long long at = ((domain * 256ull + bus) * 32 + device) * 8 + function;
    at += (unsigned long long)number * 8; /* whole slots: one function each */
    snprintf(out, 24, "%04llx:%02llx:%02llx.%llx", at >> 16 & 0xffffffffull, at >> 8 & 0xff,
             at >> 3 & 0x1f, at & 7);
}

static void make_up(const struct fake *fake, const json_t *entry, long long number, long long of,
                    struct made_up *m)
{
    const char *pci = text_of(entry, "pci_address", NULL);
    const char *serial = text_of(entry, "serial", NULL);
    const char *name = text_of(entry, "name", NULL);

    *m = (struct made_up){.entry = entry, .number = number, .of = of, .has_pci = serial == NULL};
    if (m->has_pci)
        nth_address(pci != NULL ? pci : "0000:0c:00.0", number, m->pci);
    else if (of > 1)
        snprintf(m->serial, sizeof(m->serial), "%.100s-%lld", serial, number);
    else
        snprintf(m->serial, sizeof(m->serial), "%.127s", serial);
    if (name != NULL && of > 1)
        snprintf(m->name, sizeof(m->name), "%.200s-%lld", name, number);
    else if (name != NULL)
        snprintf(m->name, sizeof(m->name), "%.255s", name);
    else if (json_object_size(entry) == 0)
        snprintf(m->name, sizeof(m->name), "%.200s_FakeDevice", fake->hostname);
    snprintf(m->identity, sizeof(m->identity), "%s:%s", m->has_pci ? "pci" : "fake",
             m->has_pci ? m->pci : m->serial);
}

static int add_facts(const struct made_up *m, struct accel_builder *out, struct accel_error *err)
{
    json_t *facts = json_object_get(m->entry, "facts"), *value;
    const char *name;
    int rc = ACCEL_OK;

    json_object_foreach(facts, name, value) {
        if (rc != ACCEL_OK)
            break;
        if (json_is_string(value))
            rc = out->add_text(out, name, json_string_value(value), ACCEL_BASIS_REPORTED, err);
        else if (json_is_number(value))
            rc = out->add_fact(out, name, json_number_value(value), ACCEL_BASIS_REPORTED, err);
        else
            out->problem(out, name, "a fact is a number or a text");
    }
    return rc;
}

/* The ith handle of a device: the functions from its own address on. */
static int add_handle(const struct made_up *m, long long i, struct accel_builder *out,
                      struct accel_error *err)
{
    const char *raw = text_of(m->entry, "attach_info", NULL);
    unsigned long domain = 0, bus = 0, device = 0, function = 0;
    char info[256];

    sscanf(m->has_pci ? m->pci : "0000:0c:00.0", "%lx:%lx:%lx.%lx", &domain, &bus, &device,
           &function);
    /* Without PCI address of its own it still needs a distinct handle: the number serves. */
    const unsigned long long at = ((bus * 32ull + device) * 8 + function) + (unsigned long long)i +
                                  (m->has_pci ? 0 : (unsigned long long)m->number * 8);
    snprintf(info, sizeof(info),
             "{\"bus\": \"%02llx\", \"device\": \"%02llx\", \"domain\": \"%04lx\", "
             "\"function\": \"%llx\"}",
             at >> 8 & 0xff, at >> 3 & 0x1f, domain, at & 7);
    const struct accel_found_handle handle = {
        .struct_size = sizeof(handle),
        .attach_type = text_of(m->entry, "attach_type", "TEST_PCI"),
        .attach_info = raw != NULL ? raw : info,
    };
    return out->add_handle(out, &handle, err);
}

static int add_deployable(const struct made_up *m, const char *partition, long long index,
                          const char *type, struct accel_builder *out, struct accel_error *err)
{
    static const char *const default_traits[] = {"CUSTOM_FAKE_DEVICE", NULL};
    const char *traits[HANDLES_MAX + 1] = {NULL};
    const json_t *given = json_object_get(m->entry, "traits"), *trait;
    const bool host_side = strcmp(type, "CPU") == 0 || strcmp(type, "OPENCL") == 0;
    long long handles = whole_of(m->entry, "num_accelerators", host_side ? 0 : 1);
    char name[400];
    size_t count = 0, i;

    json_array_foreach(given, i, trait) {
        if (json_is_string(trait) && count < HANDLES_MAX)
            traits[count++] = json_string_value(trait);
    }
    snprintf(name, sizeof(name), "%s%s%s", m->name, partition != NULL ? "_" : "",
             partition != NULL ? partition : "");
    if (handles < 0 || handles > HANDLES_MAX)
        handles = HANDLES_MAX;
    const struct accel_found_deployable deployable = {
        .struct_size = sizeof(deployable),
        .name = m->name[0] != '\0' ? name : NULL,
        .resource_class = host_side ? NULL : text_of(m->entry, "resource_class", "FPGA"),
        .num_accelerators = (uint32_t)(host_side ? 1 : handles),
        .traits = given != NULL ? traits : default_traits,
    };
    int rc = out->add_deployable(out, &deployable, err);
    for (long long h = 0; rc == ACCEL_OK && h < handles; h++)
        rc = add_handle(m, index * handles + h, out, err);
    return rc;
}

static int add_device(const struct faults *faults, const struct made_up *m, const char *partition,
                      long long index, const char *parent, struct accel_builder *out,
                      struct accel_error *err)
{
    const char *type = text_of(m->entry, "type", "FPGA");
    const bool fails = lists(faults->fail_devices, m->identity);
    const struct accel_found_device device = {
        .struct_size = sizeof(device),
        .type = type,
        .pci_address = m->has_pci ? m->pci : NULL,
        .serial = m->has_pci ? NULL : m->serial,
        .partition = partition,
        .vendor = text_of(m->entry, "vendor", "0xABCD"),
        .model = text_of(m->entry, "model", "miss model info"),
        .std_board_info = text_of(m->entry, "std_board_info",
                                  "{\"device_id\": \"0xabcd\", \"class\": \"Fake class\"}"),
        .vendor_board_info = text_of(m->entry, "vendor_board_info", "fake_vendor_info"),
        .numa_node = (int32_t)whole_of(m->entry, "numa_node", -1),
        .iommu_group = (int32_t)whole_of(m->entry, "iommu_group", -1),
        .runnable = false,
        .health = fails ? "failed" : text_of(m->entry, "health", NULL),
        .health_reason = fails ? "told to fail" : text_of(m->entry, "health_reason", NULL),
        .parent = parent != NULL ? parent : text_of(m->entry, "parent", NULL),
    };

    int rc = out->add_device(out, &device, err);
    if (rc == ACCEL_OK)
        rc = add_facts(m, out, err);
    return rc == ACCEL_OK ? add_deployable(m, partition, index, type, out, err) : rc;
}

static int add_entry(const struct fake *fake, const struct faults *faults, const json_t *entry,
                     struct accel_builder *out, struct accel_error *err)
{
    const long long count = whole_of(entry, "count", 1);
    const long long partitions = whole_of(entry, "partitions", 0);
    struct made_up m;
    char partition[32];
    int rc = ACCEL_OK;

    if (!json_is_object(entry) || count < 0 || count > DEVICES_MAX || partitions < 0 ||
        partitions > PARTITIONS_MAX) {
        out->problem(out, "drivers.fake.devices",
                     "an entry is no object, or its count or partitions is out of range");
        return ACCEL_OK;
    }
    for (long long i = 0; rc == ACCEL_OK && i < count; i++) {
        make_up(fake, entry, i, count, &m);
        if (lists(faults->gone, m.identity))
            continue;
        if (partitions == 0)
            rc = add_device(faults, &m, NULL, 0, NULL, out, err);
        for (long long p = 0; rc == ACCEL_OK && p < partitions; p++) {
            snprintf(partition, sizeof(partition), "p%lld", p);
            rc = add_device(faults, &m, partition, p, m.identity, out, err);
        }
    }
    return rc;
}

/* ---------------------------------------------------------------- the module */

static void fake_close(void *self)
{
    struct fake *fake = self;

    for (size_t i = 0; i < fake->attached_count; i++)
        free(fake->attached[i]);
    json_decref(fake->config_devices);
    json_decref(fake->config_gone);
    json_decref(fake->config_fail);
    json_decref(fake->world);
    free(fake);
}

static int fake_open(const struct accel_host *host, const struct accel_driver_config *config,
                     void **self, struct accel_error *err)
{
    struct fake *fake = calloc(1, sizeof(*fake));
    const char *world = config->get(config, "world");

    if (fake == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory");
    fake->host = host;
    fake->config = config;
    fake->watch_fd = -1;
    snprintf(fake->hostname, sizeof(fake->hostname), "%s", config->hostname);
    int rc = config_json(fake, "devices", &fake->config_devices, err);
    if (rc == ACCEL_OK)
        rc = config_json(fake, "gone", &fake->config_gone, err);
    if (rc == ACCEL_OK)
        rc = config_json(fake, "fail_devices", &fake->config_fail, err);
    if (rc == ACCEL_OK && world != NULL) {
        snprintf(fake->world_path, sizeof(fake->world_path), "%s", world);
        rc = host->watch_file(host, world, &fake->watch_fd, err);
    }
    if (rc != ACCEL_OK) {
        fake_close(fake);
        return rc;
    }
    *self = fake;
    return ACCEL_OK;
}

static int fake_watch(void *self, struct accel_watch *out, struct accel_error *err)
{
    const struct fake *fake = self;

    (void)err;
    out->fd = fake->watch_fd;
    return ACCEL_OK;
}

static int fake_discover(void *self, struct accel_builder *out, struct accel_error *err)
{
    struct fake *fake = self;
    int rc = ACCEL_OK;
    const json_t *entry;
    size_t i;

    read_world(fake, out);
    const struct faults faults = faults_now(fake);
    if (faults.crash_on_discover)
        abort();
    while (faults.hang_on_discover)
        pause();
    const json_t *devices = json_object_get(fake->world, "devices");
    if (devices == NULL)
        devices = fake->config_devices;
    if (devices == NULL) {
        json_t *standard = json_object();
        rc = add_entry(fake, &faults, standard, out, err);
        json_decref(standard);
        return rc;
    }
    json_array_foreach(devices, i, entry) {
        if (rc == ACCEL_OK)
            rc = add_entry(fake, &faults, entry, out, err);
    }
    return rc;
}

/* Takes the time it is told to, in a hundred steps; a cancel is noticed at each. */
static int fake_program(void *self, const struct accel_program_request *request,
                        struct accel_progress *progress, struct accel_error *err)
{
    struct fake *fake = self;
    struct timespec step;

    read_world(fake, NULL);
    const struct faults faults = faults_now(fake);
    const double seconds = faults.program_seconds / 100;
    step.tv_sec = (time_t)seconds;
    step.tv_nsec = (long)((seconds - (double)step.tv_sec) * 1e9);
    for (int percent = 0; percent < 100; percent++) {
        if (progress->cancelled(progress))
            return accel_fail(err, ACCEL_E_CANCELLED, "cancelled at %d %%", percent);
        if (faults.program_fails && percent == 50)
            return accel_fail(err, ACCEL_E_IO, "%s refused the image at 50 %%", request->identity);
        progress->progress(progress, percent, "writing");
        nanosleep(&step, NULL);
    }
    progress->progress(progress, 100, "done");
    return ACCEL_OK;
}

static size_t find_attached(const struct fake *fake, const char *what)
{
    size_t i = 0;

    while (i < fake->attached_count && strcmp(fake->attached[i], what) != 0)
        i++;
    return i;
}

static int fake_attach(void *self, const char *identity, const char *attach_info,
                       struct accel_error *err)
{
    struct fake *fake = self;
    char what[600];

    read_world(fake, NULL);
    const struct faults faults = faults_now(fake);
    snprintf(what, sizeof(what), "%s %s", identity, attach_info);
    if (lists(faults.fail_devices, identity))
        return accel_fail(err, ACCEL_E_IO, "%s was told to fail", identity);
    if (find_attached(fake, what) < fake->attached_count)
        return accel_fail(err, ACCEL_E_CONFLICT, "%s is attached already", what);
    if (fake->attached_count == ATTACHED_MAX)
        return accel_fail(err, ACCEL_E_LIMIT, "%d accelerators are attached", ATTACHED_MAX);
    char *copy = strdup(what);
    if (copy == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory");
    fake->attached[fake->attached_count++] = copy;
    return ACCEL_OK;
}

static int fake_detach(void *self, const char *identity, const char *attach_info,
                       struct accel_error *err)
{
    struct fake *fake = self;
    char what[600];

    snprintf(what, sizeof(what), "%s %s", identity, attach_info);
    const size_t at = find_attached(fake, what);
    if (at == fake->attached_count)
        return accel_fail(err, ACCEL_E_NOT_FOUND, "%s is not attached", what);
    free(fake->attached[at]);
    fake->attached[at] = fake->attached[--fake->attached_count];
    return ACCEL_OK;
}

/* What an entry lists under "readings", for its first device. */
static int fake_read(void *self, struct accel_readings *out, struct accel_error *err)
{
    struct fake *fake = self;
    const json_t *devices, *entry, *readings;
    const char *name;
    struct made_up m;
    int rc = ACCEL_OK;
    json_t *value;
    size_t i;

    read_world(fake, NULL);
    devices = json_object_get(fake->world, "devices");
    if (devices == NULL)
        devices = fake->config_devices;
    json_array_foreach(devices, i, entry) {
        readings = json_object_get(entry, "readings");
        make_up(fake, entry, 0, 1, &m);
        json_object_foreach((json_t *)readings, name, value) {
            const struct accel_reading reading = {.struct_size = sizeof(reading),
                                                  .identity = m.identity,
                                                  .name = name,
                                                  .value = json_number_value(value)};
            if (rc == ACCEL_OK && json_is_number(value))
                rc = out->add(out, &reading, err);
        }
    }
    return rc;
}

ACCEL_DRIVER(.name = "fake", .family = "any", .version = "1.0", .priority = 1, .config = keys,
             .open = fake_open, .discover = fake_discover, .watch = fake_watch, .read = fake_read,
             .program = fake_program, .attach = fake_attach, .detach = fake_detach,
             .close = fake_close);
