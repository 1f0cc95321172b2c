/* SPDX-License-Identifier: Apache-2.0 */
/* Every PCI function that computes (display, 3D, processing accelerator, co-processor), as sysfs
 * describes it: Documentation/ABI/testing/sysfs-bus-pci. Of low priority: the module of a vendor
 * knows more and owns its devices; this one then still adds what the bus says. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acceld/driver.h"
#include "kinds.h"
#include "names.h"

#define DEVICES "/sys/bus/pci/devices"
#define NODES   "/sys/devices/system/node"

/* What is kept from one discovery to the next: names, so that the list of names need not be loaded
 * again, and the link, which cannot be asked of a sleeping device without waking it. */
struct known {
    struct known *next;
    char address[32];
    uint16_t vendor, device, sub_vendor, sub_device;
    char model[256], vendor_name[256], subsystem_name[256];
    double link_bandwidth;
    char link[64];
    bool seen; /* by the discovery under way */
};

struct pci {
    const struct accel_host *host;
    struct known *known;
};

/* One function while it is being described. */
struct function {
    struct pci *pci;
    const char *address;
    char folder[96]; /* DEVICES/address */
    char path[1024]; /* below /sys/devices; "": unknown */
    uint32_t class, revision;
    uint32_t vendor, device, sub_vendor, sub_device; /* UNKNOWN when they cannot be read */
    struct known *known;
    const struct pci_kind *kind;
    bool asleep;
};
#define UNKNOWN UINT32_MAX

/* ---------------------------------------------------------------- reading */

static int read_at(const struct accel_host *host, const char *folder, const char *name, char *text,
                   size_t size, struct accel_error *err)
{
    char path[1280];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return host->read(host, path, text, size, err);
}

/* "0x10de"; anything else, an error too, is unknown. */
static bool read_hex(const struct function *f, const char *name, uint32_t *value)
{
    char text[32], *end;

    if (read_at(f->pci->host, f->folder, name, text, sizeof(text), NULL) != ACCEL_OK ||
        strncmp(text, "0x", 2) != 0 || !isxdigit((unsigned char)text[2]))
        return false;
    *value = (uint32_t)strtoul(text, &end, 16);
    return *end == '\0';
}

static bool read_decimal(const struct accel_host *host, const char *folder, const char *name,
                         long *value)
{
    char text[32], *end;

    if (read_at(host, folder, name, text, sizeof(text), NULL) != ACCEL_OK)
        return false;
    errno = 0;
    *value = strtol(text, &end, 10);
    return end != text && *end == '\0' && errno == 0;
}

/* The last part of what a link of the function points to: "vfio-pci", "17", "0000:3b:00.0". */
static bool read_link(const struct accel_host *host, const char *folder, const char *name,
                      char *target, size_t size)
{
    char path[1280], text[1024];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    if (host->readlink(host, path, text, sizeof(text), NULL) != ACCEL_OK)
        return false;
    const char *slash = strrchr(text, '/');
    const int n = snprintf(target, size, "%s", slash != NULL ? slash + 1 : text);
    return n > 0 && (size_t)n < size;
}

/* Where the function really lies, /sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0: the folders
 * above it are the bridges. */
static void find_path(struct function *f)
{
    char text[1000];

    f->path[0] = '\0';
    if (f->pci->host->readlink(f->pci->host, f->folder, text, sizeof(text), NULL) != ACCEL_OK)
        return;
    const char *devices = strstr(text, "/devices/");
    if (devices != NULL)
        snprintf(f->path, sizeof(f->path), "/sys%s", devices);
}

/* Cuts the last folder off; false when what is left is no bridge any more. */
static bool go_up(char *path)
{
    char *slash = strrchr(path, '/');

    if (slash == NULL)
        return false;
    *slash = '\0';
    slash = strrchr(path, '/');
    /* "0000:00:01.0", against the host bridge "pci0000:00" */
    return slash != NULL && isxdigit((unsigned char)slash[1]) && strchr(slash, '.') != NULL;
}

/* ---------------------------------------------------------------- NUMA node */

struct node_search {
    const struct accel_host *host;
    const char *file, *wanted; /* the node whose file says this */
    int32_t found;
    unsigned matches;
};

static int match_node(void *context, const char *name)
{
    struct node_search *s = context;
    char folder[96], text[4096];

    if (strncmp(name, "node", 4) != 0 || !isdigit((unsigned char)name[4]) || strlen(name) > 12)
        return ACCEL_OK;
    snprintf(folder, sizeof(folder), NODES "/%s", name);
    if (read_at(s->host, folder, s->file, text, sizeof(text), NULL) == ACCEL_OK &&
        strcmp(text, s->wanted) == 0) {
        s->found = (int32_t)strtol(name + 4, NULL, 10);
        s->matches++;
    }
    return ACCEL_OK;
}

/* The node whose CPUs are just those the function is near to. */
static int32_t node_by_cpus(const struct function *f, const char *mine, const char *nodes)
{
    char cpus[4096];
    struct node_search s = {.host = f->pci->host, .file = nodes, .wanted = cpus, .found = -1};

    if (read_at(f->pci->host, f->folder, mine, cpus, sizeof(cpus), NULL) != ACCEL_OK ||
        cpus[strspn(cpus, "0,\n")] == '\0')
        return -1;
    f->pci->host->list(f->pci->host, NODES, match_node, &s, NULL);
    return s.matches == 1 ? s.found : -1;
}

static int32_t find_node(const struct function *f)
{
    char path[sizeof(f->path)];
    long node;

    if (read_decimal(f->pci->host, f->folder, "numa_node", &node) && node >= 0)
        return (int32_t)node;
    snprintf(path, sizeof(path), "%s", f->path);
    while (path[0] != '\0' && go_up(path))
        if (read_decimal(f->pci->host, path, "numa_node", &node) && node >= 0)
            return (int32_t)node;
    const int32_t by_list = node_by_cpus(f, "local_cpulist", "cpulist");
    return by_list >= 0 ? by_list : node_by_cpus(f, "local_cpus", "cpumap");
}

/* ---------------------------------------------------------------- link and memory window */

/* "16.0 GT/s PCIe", "8 GT/s"; 0 for "Unknown". */
static double link_speed(const struct accel_host *host, const char *folder)
{
    char text[64], *end;

    if (read_at(host, folder, "max_link_speed", text, sizeof(text), NULL) != ACCEL_OK)
        return 0;
    const double speed = strtod(text, &end);
    return end != text && strncmp(end, " GT/s", 5) == 0 && speed > 0 && speed < 1024 ? speed : 0;
}

static long link_width(const struct accel_host *host, const char *folder)
{
    long width;

    /* 255 is what a device that is off answers. */
    if ((read_decimal(host, folder, "current_link_width", &width) && width > 0 && width <= 32) ||
        (read_decimal(host, folder, "max_link_width", &width) && width > 0 && width <= 32))
        return width;
    return 0;
}

/* The fastest that function and slot agree on: an idle device may run slower at the moment. */
static void find_link(struct function *f)
{
    const struct accel_host *host = f->pci->host;
    char bridge[sizeof(f->path)];

    if (f->asleep)
        return;
    double speed = link_speed(host, f->folder);
    const long width = link_width(host, f->folder);
    snprintf(bridge, sizeof(bridge), "%s", f->path);
    if (bridge[0] != '\0' && go_up(bridge)) {
        const double slot = link_speed(host, bridge);
        if (slot > 0 && slot < speed)
            speed = slot;
    }
    if (speed <= 0 || width <= 0)
        return;
    /* 8b/10b coding below 8 GT/s, 128b/130b from there on (PCIe 3.0, 4.2.2.1). */
    f->known->link_bandwidth =
        speed * 1e9 * (double)width * (speed < 8 ? 8.0 / 10 : 128.0 / 130) / 8;
    snprintf(f->known->link, sizeof(f->known->link), "%g GT/s x%ld", speed, width);
}

/* The largest prefetchable memory window: how much of the device's memory the CPU can see. The
 * device's memory may be larger (no resizable BAR) or smaller (windows are powers of two). */
static double memory_window(const struct function *f)
{
    char text[4096];
    double largest = 0;

    if (read_at(f->pci->host, f->folder, "resource", text, sizeof(text), NULL) != ACCEL_OK)
        return 0;
    for (char *rest, *line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        uint64_t start, end, flags;
        const uint64_t memory = 0x200, prefetch = 0x2000; /* include/linux/ioport.h */
        if (sscanf(line, "%" SCNx64 " %" SCNx64 " %" SCNx64, &start, &end, &flags) == 3 &&
            end > start && (flags & memory) != 0 && (flags & prefetch) != 0 &&
            (double)(end - start) + 1 > largest)
            largest = (double)(end - start) + 1;
    }
    return largest;
}

/* ---------------------------------------------------------------- health */

/* "TOTAL_ERR_FATAL 3", the last line of aer_dev_fatal. */
static bool aer_total(const struct accel_host *host, const char *folder, const char *file,
                      long *total)
{
    char text[2048], *end;

    if (read_at(host, folder, file, text, sizeof(text), NULL) != ACCEL_OK)
        return false;
    const char *at = strstr(text, "TOTAL_ERR_");
    at = at != NULL ? strchr(at, ' ') : NULL;
    if (at == NULL)
        return false;
    *total = strtol(at, &end, 10);
    return end != at + 1 && *total >= 0;
}

/* NULL: ok. */
static const char *find_health(const struct function *f, char *reason, size_t size)
{
    long fatal = 0, nonfatal = 0;

    if (f->vendor == UNKNOWN || f->device == UNKNOWN) {
        snprintf(reason, size, "vendor and device id cannot be read");
        return "degraded";
    }
    if (f->vendor == 0xffff) {
        snprintf(reason, size, "answers no more: it has fallen off the bus");
        return "failed";
    }
    aer_total(f->pci->host, f->folder, "aer_dev_fatal", &fatal);
    aer_total(f->pci->host, f->folder, "aer_dev_nonfatal", &nonfatal);
    if (fatal == 0)
        return NULL;
    snprintf(reason, size, "PCIe errors since boot: %ld fatal, %ld non-fatal", fatal, nonfatal);
    return "degraded";
}

/* ---------------------------------------------------------------- what is known */

static struct known *find_known(struct pci *pci, const char *address)
{
    for (struct known *k = pci->known; k != NULL; k = k->next)
        if (strcmp(k->address, address) == 0)
            return k;
    return NULL;
}

static int remember(struct function *f, struct accel_error *err)
{
    struct known *k = find_known(f->pci, f->address);

    if (k == NULL) {
        k = calloc(1, sizeof(*k));
        if (k == NULL)
            return accel_fail(err, ACCEL_E_NOMEM, "no memory for %s", f->address);
        k->next = f->pci->known;
        f->pci->known = k;
        snprintf(k->address, sizeof(k->address), "%s", f->address);
    }
    k->seen = true;
    f->known = k;
    const uint16_t ids[4] = {(uint16_t)f->vendor, (uint16_t)f->device, (uint16_t)f->sub_vendor,
                             (uint16_t)f->sub_device};
    const uint16_t had[4] = {k->vendor, k->device, k->sub_vendor, k->sub_device};
    if (k->model[0] != '\0' && memcmp(ids, had, sizeof(ids)) == 0)
        return ACCEL_OK;
    k->link_bandwidth = 0; /* another device in the slot */
    k->link[0] = k->model[0] = k->vendor_name[0] = k->subsystem_name[0] = '\0';
    k->vendor = ids[0];
    k->device = ids[1];
    k->sub_vendor = ids[2];
    k->sub_device = ids[3];
    if (f->vendor != UNKNOWN && f->device != UNKNOWN) {
        pci_name_device(k->vendor, k->device, k->model, sizeof(k->model));
        pci_name_vendor(k->vendor, k->vendor_name, sizeof(k->vendor_name));
        if (f->sub_vendor != UNKNOWN && f->sub_device != UNKNOWN)
            pci_name_subsystem(k->vendor, k->device, k->sub_vendor, k->sub_device,
                               k->subsystem_name, sizeof(k->subsystem_name));
    }
    if (k->model[0] == '\0' && f->device != UNKNOWN)
        snprintf(k->model, sizeof(k->model), "Device %04x", f->device);
    else if (k->model[0] == '\0')
        snprintf(k->model, sizeof(k->model), "unknown device");
    return ACCEL_OK;
}

static void forget_unseen(struct pci *pci)
{
    for (struct known **at = &pci->known; *at != NULL;) {
        struct known *k = *at;
        if (k->seen) {
            k->seen = false;
            at = &k->next;
        } else {
            *at = k->next;
            free(k);
        }
    }
}

/* ---------------------------------------------------------------- telling */

static int tell_driver(const struct function *f, struct accel_builder *out, struct accel_error *err)
{
    const struct accel_host *host = f->pci->host;
    char driver[128], module[128], path[256], version[160], release[128];
    const enum accel_basis reported = ACCEL_BASIS_REPORTED;

    if (!read_link(host, f->folder, "driver", driver, sizeof(driver)))
        return ACCEL_OK; /* unbound */
    int rc = out->add_text(out, ACCEL_FACT_DRIVER, driver, reported, err);
    if (rc != ACCEL_OK)
        return rc;
    snprintf(path, sizeof(path), "%s/driver", f->folder);
    if (!read_link(host, path, "module", module, sizeof(module)))
        snprintf(module, sizeof(module), "%s", driver);
    snprintf(path, sizeof(path), "/sys/module/%s", module);
    /* A driver of the kernel's own tree has the kernel's version. */
    if (read_at(host, path, "version", version, sizeof(version), NULL) != ACCEL_OK) {
        if (read_at(host, "/proc/sys/kernel", "osrelease", release, sizeof(release), NULL) !=
            ACCEL_OK)
            return ACCEL_OK;
        snprintf(version, sizeof(version), "kernel %s", release);
    }
    return out->add_text(out, ACCEL_FACT_DRIVER_VERSION, version, reported, err);
}

static int tell_facts(const struct function *f, struct accel_builder *out, struct accel_error *err)
{
    const enum accel_basis reported = ACCEL_BASIS_REPORTED;
    const struct accel_host *host = f->pci->host;
    const double window = memory_window(f);
    static const char *const counts[] = {"sriov_totalvfs", "sriov_numvfs", "boot_vga"};
    int rc = ACCEL_OK;
    long count;

    if (f->known->link_bandwidth > 0) {
        rc = out->add_fact(out, ACCEL_FACT_LINK_BANDWIDTH, f->known->link_bandwidth, reported, err);
        if (rc == ACCEL_OK)
            rc = out->add_text(out, "link", f->known->link, reported, err);
    }
    if (rc == ACCEL_OK && window > 0)
        rc = out->add_fact(out, "memory_window_bytes", window, reported, err);
    for (size_t i = 0; rc == ACCEL_OK && i < sizeof(counts) / sizeof(counts[0]); i++)
        if (read_decimal(host, f->folder, counts[i], &count) && count >= 0)
            rc = out->add_fact(out, counts[i], (double)count, reported, err);
    if (rc == ACCEL_OK && f->known->vendor_name[0] != '\0')
        rc = out->add_text(out, "vendor_name", f->known->vendor_name, ACCEL_BASIS_CATALOGUE, err);
    return rc == ACCEL_OK ? tell_driver(f, out, err) : rc;
}

/* Capitals, digits and _ only: what Placement takes behind CUSTOM_. */
static void make_traits(const struct function *f, char traits[3][64])
{
    const char *word = pci_vendor_word((uint16_t)f->vendor);
    char vendor[16];

    snprintf(vendor, sizeof(vendor), "%04X", f->vendor & 0xffff);
    if (word == NULL)
        word = vendor;
    memset(traits, 0, 3 * 64);
    if (strcmp(f->kind->type, "FPGA") == 0) {
        snprintf(traits[0], 64, "CUSTOM_FPGA_%s", word);
        snprintf(traits[1], 64, "CUSTOM_FPGA_PRODUCT_ID_%04X", f->device & 0xffff);
    } else if (strcmp(f->kind->type, "GPU") == 0) {
        snprintf(traits[0], 64, "OWNER_CYBORG");
        snprintf(traits[1], 64, "CUSTOM_%s_%04X", word, f->device & 0xffff);
    } else {
        snprintf(traits[0], 64, "OWNER_CYBORG");
        snprintf(traits[1], 64, "CUSTOM_PCI_%s", word);
        snprintf(traits[2], 64, "CUSTOM_PCI_PRODUCT_ID_%04X", f->device & 0xffff);
    }
}

/* What can be handed out: not the host's own screen, not a physical function whose virtual ones are
 * in service, not what does not answer. */
static int tell_deployable(const struct function *f, bool answers, struct accel_builder *out,
                           struct accel_error *err)
{
    char texts[3][64], info[128];
    const char *traits[4] = {NULL};
    unsigned domain, bus, device, function;
    long vfs;

    if (!answers || f->kind->host_only ||
        (read_decimal(f->pci->host, f->folder, "sriov_numvfs", &vfs) && vfs > 0) ||
        sscanf(f->address, "%x:%x:%x.%x", &domain, &bus, &device, &function) != 4)
        return ACCEL_OK;
    make_traits(f, texts);
    for (size_t i = 0; i < 3 && texts[i][0] != '\0'; i++)
        traits[i] = texts[i];
    snprintf(info, sizeof(info),
             "{\"bus\": \"%02x\", \"device\": \"%02x\", \"domain\": \"%04x\", \"function\": "
             "\"%x\"}",
             bus, device, domain, function);
    const struct accel_found_deployable deployable = {.struct_size = sizeof(deployable),
                                                      .resource_class = f->kind->resource_class,
                                                      .num_accelerators = 1,
                                                      .traits = traits};
    const struct accel_found_handle handle = {
        .struct_size = sizeof(handle), .attach_type = "PCI", .attach_info = info};
    const int rc = out->add_deployable(out, &deployable, err);
    return rc == ACCEL_OK ? out->add_handle(out, &handle, err) : rc;
}

static char *board_info(const struct function *f)
{
    char product[16] = "";
    const char *class = pci_class_name(f->class);

    if (f->device != UNKNOWN)
        snprintf(product, sizeof(product), "%04x", f->device);
    json_t *json = json_pack("{s:s, s:s}", "product_id", product, "controller",
                             class != NULL ? class : "unknown");
    char *text = json_dumps(json, JSON_PRESERVE_ORDER);
    json_decref(json);
    return text;
}

static char *vendor_board_info(const struct function *f)
{
    char subsystem[16], revision[8];
    json_t *json = json_object();

    if (f->sub_vendor != UNKNOWN && f->sub_device != UNKNOWN) {
        snprintf(subsystem, sizeof(subsystem), "%04x:%04x", f->sub_vendor & 0xffff,
                 f->sub_device & 0xffff);
        json_object_set_new(json, "subsystem_id", json_string(subsystem));
    }
    if (f->known->subsystem_name[0] != '\0')
        json_object_set_new(json, "subsystem_name", json_string(f->known->subsystem_name));
    if (f->revision != UNKNOWN) {
        snprintf(revision, sizeof(revision), "%02x", f->revision & 0xff);
        json_object_set_new(json, "revision", json_string(revision));
    }
    char *text = json_object_size(json) > 0 ? json_dumps(json, JSON_SORT_KEYS) : NULL;
    json_decref(json);
    return text;
}

static int tell_device(const struct function *f, struct accel_builder *out, struct accel_error *err)
{
    const struct accel_host *host = f->pci->host;
    char vendor[16] = "unknown", group[32], parent[40], physical[32], reason[128];
    const char *health = find_health(f, reason, sizeof(reason));
    const bool answers = f->vendor != UNKNOWN && f->device != UNKNOWN && f->vendor != 0xffff;
    char *board = board_info(f), *vendor_board = vendor_board_info(f);

    if (f->vendor != UNKNOWN)
        snprintf(vendor, sizeof(vendor), "0x%04x", f->vendor);
    const bool is_virtual = read_link(host, f->folder, "physfn", physical, sizeof(physical));
    snprintf(parent, sizeof(parent), "pci:%s", is_virtual ? physical : "");
    const struct accel_found_device device = {
        .struct_size = sizeof(device),
        .type = f->kind->type,
        .pci_address = f->address,
        .vendor = vendor,
        .model = f->known->model,
        .std_board_info = board,
        .vendor_board_info = vendor_board,
        .numa_node = find_node(f),
        .iommu_group = read_link(host, f->folder, "iommu_group", group, sizeof(group))
                           ? (int32_t)strtol(group, NULL, 10)
                           : -1,
        .runnable = false,
        .health = health,
        .health_reason = health != NULL ? reason : NULL,
        .parent = is_virtual ? parent : NULL,
    };
    int rc = out->add_device(out, &device, err);
    free(board);
    free(vendor_board);
    if (rc == ACCEL_OK)
        rc = tell_facts(f, out, err);
    return rc == ACCEL_OK ? tell_deployable(f, answers, out, err) : rc;
}

/* ---------------------------------------------------------------- the module */

static bool is_asleep(const struct accel_host *host, const char *folder)
{
    char text[32];

    return read_at(host, folder, "power/runtime_status", text, sizeof(text), NULL) == ACCEL_OK &&
           strcmp(text, "suspended") == 0;
}

struct discovery {
    struct pci *pci;
    struct accel_builder *out;
    struct accel_error *err;
};

static int look_at(void *context, const char *address)
{
    const struct discovery *d = context;
    struct function f = {.pci = d->pci, .address = address};
    struct accel_error why;
    char text[32];

    snprintf(f.folder, sizeof(f.folder), DEVICES "/%.40s", address);
    /* The class alone decides: of every other function nothing more is read. */
    if (!read_hex(&f, "class", &f.class)) {
        if (read_at(d->pci->host, f.folder, "class", text, sizeof(text), &why) == ACCEL_OK)
            snprintf(why.msg, sizeof(why.msg), "class \"%.20s\" is no number", text);
        d->out->problem(d->out, address, why.msg);
        return ACCEL_OK;
    }
    if (pci_kind_of(f.class, 0, 0) == NULL)
        return ACCEL_OK;
    const struct {
        const char *name;
        uint32_t *value;
    } ids[] = {{"vendor", &f.vendor},
               {"device", &f.device},
               {"subsystem_vendor", &f.sub_vendor},
               {"subsystem_device", &f.sub_device},
               {"revision", &f.revision}};
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
        if (!read_hex(&f, ids[i].name, ids[i].value))
            *ids[i].value = UNKNOWN;
    if (f.vendor == UNKNOWN || f.device == UNKNOWN)
        d->out->problem(d->out, address, "vendor or device id cannot be read");
    f.kind = pci_kind_of(f.class, (uint16_t)f.vendor, (uint16_t)f.device);
    f.asleep = is_asleep(d->pci->host, f.folder);
    find_path(&f);
    int rc = remember(&f, d->err);
    if (rc == ACCEL_OK) {
        find_link(&f);
        rc = tell_device(&f, d->out, d->err);
    }
    return rc;
}

static int pci_discover(void *self, struct accel_builder *out, struct accel_error *err)
{
    struct pci *pci = self;
    struct discovery d = {.pci = pci, .out = out, .err = err};

    /* A machine without PCI has no such folder: nothing is there, and that is no error. */
    int rc = pci->host->list(pci->host, DEVICES, look_at, &d, err);
    if (rc == ACCEL_E_NOT_FOUND)
        rc = ACCEL_OK;
    pci_names_unload();
    if (rc == ACCEL_OK)
        forget_unseen(pci);
    return rc;
}

static int pci_open(const struct accel_host *host, const struct accel_driver_config *config,
                    void **self, struct accel_error *err)
{
    struct pci *pci = calloc(1, sizeof(*pci));

    (void)config;
    if (pci == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory");
    pci->host = host;
    *self = pci;
    return ACCEL_OK;
}

static int pci_watch(void *self, struct accel_watch *out, struct accel_error *err)
{
    const struct pci *pci = self;
    struct accel_error why;
    const int rc = pci->host->uevents(pci->host, "pci", &out->fd, &why);

    if (rc == ACCEL_OK || rc == ACCEL_E_UNSUPPORTED)
        return ACCEL_OK; /* in a recorded tree nothing changes */
    return accel_fail(err, why.code, "%s", why.msg);
}

struct sensors {
    const struct accel_host *host;
    struct accel_readings *out;
    struct accel_error *err;
    const char *identity, *folder;
};

static int add_reading(const struct sensors *s, const char *name, double value)
{
    const struct accel_reading reading = {
        .struct_size = sizeof(reading), .identity = s->identity, .name = name, .value = value};

    return s->out->add(s->out, &reading, s->err);
}

/* <device>/hwmon/hwmonN: Documentation/ABI/testing/sysfs-class-hwmon. */
static int read_hwmon(void *context, const char *name)
{
    static const struct {
        const char *file, *reading;
        double unit;
    } sensors[] = {
        {"temp1_input", "temperature_celsius", 1e-3},
        {"power1_average", "power_watts", 1e-6},
        {"power1_input", "power_watts", 1e-6},
        {"energy1_input", "energy_joules", 1e-6},
    };
    const struct sensors *s = context;
    bool has_power = false;
    char folder[192];
    long value;
    int rc = ACCEL_OK;

    if (strncmp(name, "hwmon", 5) != 0 || strlen(name) > 16)
        return ACCEL_OK;
    snprintf(folder, sizeof(folder), "%s/hwmon/%s", s->folder, name);
    for (size_t i = 0; rc == ACCEL_OK && i < sizeof(sensors) / sizeof(sensors[0]); i++) {
        const bool power = strncmp(sensors[i].file, "power", 5) == 0;
        if ((power && has_power) || !read_decimal(s->host, folder, sensors[i].file, &value))
            continue;
        has_power |= power;
        rc = add_reading(s, sensors[i].reading, (double)value * sensors[i].unit);
    }
    return rc;
}

static int read_device(const struct pci *pci, const struct known *k, struct accel_readings *out,
                       struct accel_error *err)
{
    static const struct {
        const char *file, *reading;
    } counters[] = {{"aer_dev_correctable", "pcie_errors:correctable"},
                    {"aer_dev_nonfatal", "pcie_errors:nonfatal"},
                    {"aer_dev_fatal", "pcie_errors:fatal"}};
    char folder[96], identity[48], hwmon[112];
    struct sensors s = {
        .host = pci->host, .out = out, .err = err, .identity = identity, .folder = folder};
    int rc = ACCEL_OK;
    long total;

    snprintf(folder, sizeof(folder), DEVICES "/%s", k->address);
    snprintf(identity, sizeof(identity), "pci:%s", k->address);
    if (is_asleep(pci->host, folder))
        return ACCEL_OK; /* reading would wake it */
    for (size_t i = 0; rc == ACCEL_OK && i < sizeof(counters) / sizeof(counters[0]); i++)
        if (aer_total(pci->host, folder, counters[i].file, &total))
            rc = add_reading(&s, counters[i].reading, (double)total);
    if (rc != ACCEL_OK)
        return rc;
    snprintf(hwmon, sizeof(hwmon), "%s/hwmon", folder);
    rc = pci->host->list(pci->host, hwmon, read_hwmon, &s, NULL);
    return rc == ACCEL_E_NOMEM || rc == ACCEL_E_LIMIT ? rc : ACCEL_OK; /* no hwmon: no reading */
}

static int pci_read(void *self, struct accel_readings *out, struct accel_error *err)
{
    const struct pci *pci = self;
    int rc = ACCEL_OK;

    for (const struct known *k = pci->known; rc == ACCEL_OK && k != NULL; k = k->next)
        rc = read_device(pci, k, out, err);
    return rc;
}

static void pci_close(void *self)
{
    struct pci *pci = self;

    while (pci->known != NULL) {
        struct known *next = pci->known->next;
        free(pci->known);
        pci->known = next;
    }
    pci_names_unload();
    free(pci);
}

ACCEL_DRIVER(.name = "pci", .family = "any", .version = "1.0", .priority = 10, .open = pci_open,
             .discover = pci_discover, .watch = pci_watch, .read = pci_read, .close = pci_close);
