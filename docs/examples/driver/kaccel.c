/* SPDX-License-Identifier: Apache-2.0 */
/* kaccel: what the kernel's own class of compute accelerators (/sys/class/accel: Intel's NPU,
 * Habana, Qualcomm) says of its devices. A module of acceld outside acceld's tree, as an example:
 * docs/driver-guide.md walks through it. */
#include <acceld/driver.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLASS       "/sys/class/accel"
#define DEVICES_MAX 64

struct kaccel {
    const struct accel_host *host;
    const char *resource_class; /* the host's, as long as the module is open */
    size_t count;               /* what discover() found; read() asks for no other */
    struct found {
        char node[32];     /* accel0 */
        char identity[32]; /* pci:0000:00:0b.0 */
    } found[DEVICES_MAX];
};

static const struct accel_config_key keys[] = {
    {"resource_class", ACCEL_CONFIG_STRING, "Placement's class of a device (CUSTOM_NPU)",
     "CUSTOM_NPU", 0, 0},
    {0},
};

/* ---------------------------------------------------------------- asking the host */

/* A file of the node's PCI function as text, "" when it is unknown. */
static void read_text(const struct kaccel *k, const char *node, const char *file, char *text,
                      size_t size)
{
    struct accel_error err;
    char path[160];

    snprintf(path, sizeof(path), CLASS "/%s/device/%s", node, file);
    if (k->host->read(k->host, path, text, size, &err) != ACCEL_OK)
        text[0] = '\0'; /* missing, forbidden, broken: unknown, never zero */
}

/* A whole number of such a file, or `unknown`. */
static long read_number(const struct kaccel *k, const char *node, const char *file, long unknown)
{
    char text[32], *end;

    read_text(k, node, file, text, sizeof(text));
    const long value = strtol(text, &end, 0);
    return end == text || *end != '\0' ? unknown : value;
}

/* The last part of a symbolic link's target: of "device" the PCI address, of "device/driver" the
 * kernel driver. "" when there is none. */
static void read_link(const struct kaccel *k, const char *node, const char *link, char *name,
                      size_t size)
{
    struct accel_error err;
    char path[160], target[256];

    name[0] = '\0';
    snprintf(path, sizeof(path), CLASS "/%s/%s", node, link);
    if (k->host->readlink(k->host, path, target, sizeof(target), &err) != ACCEL_OK)
        return;
    const char *slash = strrchr(target, '/');
    const char *last = slash != NULL ? slash + 1 : target;
    if (strlen(last) < size)
        memcpy(name, last, strlen(last) + 1);
}

/* ---------------------------------------------------------------- life */

static int no_more(void *context, const char *name)
{
    (void)context;
    (void)name;
    return ACCEL_OK;
}

static int kaccel_open(const struct accel_host *host, const struct accel_driver_config *config,
                       void **self, struct accel_error *err)
{
    /* "Nothing here for me" is an answer: the module is not asked again until the next start. */
    if (host->list(host, CLASS, no_more, NULL, err) != ACCEL_OK)
        return accel_fail(err, ACCEL_E_NOT_MINE, "this kernel has no " CLASS);
    struct kaccel *k = calloc(1, sizeof(*k));
    if (k == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory");
    k->host = host;
    k->resource_class = config->get(config, "resource_class");
    *self = k;
    return ACCEL_OK;
}

static void kaccel_close(void *self)
{
    free(self);
}

/* ---------------------------------------------------------------- discover */

struct listing {
    struct kaccel *k;
    struct accel_builder *out;
    struct accel_error *err;
};

static int describe(struct kaccel *k, const char *node, struct accel_builder *out,
                    struct accel_error *err)
{
    char address[16], vendor[16], device_id[16], kernel_driver[64], model[96], trait[96];
    char handle[128];
    unsigned domain, bus, slot, function;

    read_link(k, node, "device", address, sizeof(address));
    if (sscanf(address, "%4x:%2x:%2x.%1u", &domain, &bus, &slot, &function) != 4) {
        out->problem(out, node, "its device link names no PCI function");
        return ACCEL_OK; /* one bad device never stops the rest */
    }
    read_text(k, node, "vendor", vendor, sizeof(vendor));
    read_text(k, node, "device", device_id, sizeof(device_id));
    read_link(k, node, "device/driver", kernel_driver, sizeof(kernel_driver));
    snprintf(model, sizeof(model), "%s %s",
             kernel_driver[0] != '\0' ? kernel_driver : "accelerator", device_id);
    const struct accel_found_device device = {
        .struct_size = sizeof(device),
        .type = "AICHIP",
        .pci_address = address,
        .vendor = vendor[0] != '\0' ? vendor : NULL,
        .model = model,
        .numa_node = (int32_t)read_number(k, node, "numa_node", -1),
        .iommu_group = -1, /* the pci module's business */
    };
    int rc = out->add_device(out, &device, err);
    if (rc == ACCEL_OK && kernel_driver[0] != '\0')
        rc = out->add_text(out, ACCEL_FACT_DRIVER, kernel_driver, ACCEL_BASIS_REPORTED, err);

    /* Placement's words: upper case, digits, underscores. */
    snprintf(trait, sizeof(trait), "CUSTOM_ACCEL_%s",
             kernel_driver[0] != '\0' ? kernel_driver : "UNKNOWN");
    for (char *c = trait; *c != '\0'; c++)
        *c = isalnum((unsigned char)*c) ? (char)toupper((unsigned char)*c) : '_';
    const struct accel_found_deployable deployable = {
        .struct_size = sizeof(deployable),
        .resource_class = k->resource_class,
        .num_accelerators = 1,
        .traits = (const char *const[]){trait, NULL},
    };
    if (rc == ACCEL_OK)
        rc = out->add_deployable(out, &deployable, err);
    snprintf(handle, sizeof(handle),
             "{\"bus\":\"%02x\",\"device\":\"%02x\",\"domain\":\"%04x\",\"function\":\"%u\"}", bus,
             slot, domain, function);
    const struct accel_found_handle attach = {
        .struct_size = sizeof(attach), .attach_type = "PCI", .attach_info = handle};
    if (rc == ACCEL_OK)
        rc = out->add_handle(out, &attach, err);
    if (rc == ACCEL_OK && k->count < DEVICES_MAX) {
        struct found *found = &k->found[k->count++];
        snprintf(found->node, sizeof(found->node), "%s", node);
        snprintf(found->identity, sizeof(found->identity), "pci:%s", address);
    }
    return rc;
}

static int each_node(void *context, const char *name)
{
    const struct listing *listing = context;

    return strncmp(name, "accel", 5) == 0 && strlen(name) < 32
               ? describe(listing->k, name, listing->out, listing->err)
               : ACCEL_OK;
}

static int kaccel_discover(void *self, struct accel_builder *out, struct accel_error *err)
{
    struct listing listing = {.k = self, .out = out, .err = err};

    listing.k->count = 0;
    return listing.k->host->list(listing.k->host, CLASS, each_node, &listing, err);
}

static int kaccel_watch(void *self, struct accel_watch *out, struct accel_error *err)
{
    const struct kaccel *k = self;

    /* In a recorded tree there are no uevents; the host's own period is enough there. */
    if (k->host->uevents(k->host, "accel", &out->fd, err) != ACCEL_OK)
        out->fd = -1;
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- telemetry */

static int kaccel_read(void *self, struct accel_readings *out, struct accel_error *err)
{
    struct kaccel *k = self;
    int rc = ACCEL_OK;

    for (size_t i = 0; rc == ACCEL_OK && i < k->count; i++) {
        char status[16];

        /* Reading a sensor wakes a device that sleeps. */
        read_text(k, k->found[i].node, "power/runtime_status", status, sizeof(status));
        if (strcmp(status, "suspended") == 0)
            continue;
        const long milli = read_number(k, k->found[i].node, "hwmon/hwmon0/temp1_input", -1000000);
        if (milli == -1000000)
            continue; /* no sensor: no reading */
        const struct accel_reading reading = {.struct_size = sizeof(reading),
                                              .identity = k->found[i].identity,
                                              .name = "temperature_celsius",
                                              .value = (double)milli / 1000};
        rc = out->add(out, &reading, err);
    }
    return rc;
}

/* Above pci, which finds the same functions and knows less of them. */
ACCEL_DRIVER(.name = "kaccel", .family = "npu", .version = "1.0", .priority = 50, .config = keys,
             .open = kaccel_open, .discover = kaccel_discover, .watch = kaccel_watch,
             .read = kaccel_read, .close = kaccel_close);
