/* SPDX-License-Identifier: Apache-2.0 */
/* opencl: every device of every installed OpenCL platform.
 *
 * Loading an ICD runs its code, which starts threads, forks, hangs or crashes: the module is a
 * helper (ACCEL_DRIVER_HELPER), all of this runs in a process that ends with the answer. Nothing
 * an ICD says is believed before it fits: counts and sizes are bounded here, never by its word. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acceld/driver.h"

#define PLATFORMS_MAX  32u
#define DEVICES_MAX    64u /* of one platform */
#define SEEN_MAX       256
#define TEXT_BYTES     256
#define EXTENSION_ROOM 8192 /* the longest in the field is some 2 KiB */
#define BYTES_MAX      ((uint64_t)1 << 56)

/* CL/cl.h and its extensions; the numbers are the Khronos registry's. */
enum {
    CL_DEVICE_NOT_FOUND = -1,
    CL_PLATFORM_NOT_FOUND = -1001,
    PLATFORM_NAME = 0x0902,
    DEVICE_TYPE = 0x1000,
    COMPUTE_UNITS = 0x1002,
    WORK_GROUP = 0x1004,
    CLOCK_MHZ = 0x100C,
    MAX_ALLOC = 0x1010,
    GLOBAL_MEMORY = 0x101F,
    LOCAL_MEMORY = 0x1023,
    AVAILABLE = 0x1027,
    DEVICE_NAME = 0x102B,
    DEVICE_VENDOR = 0x102C,
    DRIVER_VERSION = 0x102D,
    DEVICE_VERSION = 0x102F,
    EXTENSIONS = 0x1030,
    DOUBLE_FP = 0x1032,
    HALF_FP = 0x1033,
    UNIFIED_MEMORY = 0x1035,
    NATIVE_WIDTH_FLOAT = 0x103A,
    DEVICE_UUID = 0x106A,
    INT8_DOT = 0x1073,
    NV_MAJOR = 0x4000,
    NV_MINOR = 0x4001,
    NV_PCI_BUS = 0x4008,
    NV_PCI_SLOT = 0x4009,
    NV_PCI_DOMAIN = 0x400A,
    AMD_TOPOLOGY = 0x4037,
    AMD_SIMD_PER_CU = 0x4040,
    AMD_SIMD_WIDTH = 0x4041,
    PCI_BUS_INFO = 0x410F,
    INTEL_EUS_PER_SUBSLICE = 0x4254,
};
#define TYPE_CPU 2u
#define TYPE_ALL 0xFFFFFFFFu

struct opencl {
    const struct accel_host *host;
    char library[4096];
    /* Whom this discovery has told about already: of two platforms with one device the first
     * says the facts. */
    char seen[SEEN_MAX][TEXT_BYTES];
    size_t seen_count;
};

struct found {
    char name[TEXT_BYTES], vendor[TEXT_BYTES], driver[TEXT_BYTES], version[TEXT_BYTES];
    char platform[TEXT_BYTES], runtime[3 * TEXT_BYTES + 16], precisions[64], serial[64], pci[32];
    char extensions[EXTENSION_ROOM];
    uint64_t type, memory, max_alloc, local, work_group;
    uint32_t units, clock_mhz, unified, lanes;
    bool available;
};

/* ---------------------------------------------------------------- asking */

static int cl_platforms(struct opencl *cl, void *ids[PLATFORMS_MAX], uint32_t *count, int *status,
                        struct accel_error *err)
{
    struct accel_value result, args[3] = {
                                   {.value.integer = PLATFORMS_MAX},
                                   {.value.buffer = {ids, PLATFORMS_MAX * sizeof(*ids)}},
                                   {.value.buffer = {count, sizeof(*count)}},
                               };

    *count = 0;
    const int rc =
        cl->host->call(cl->host, cl->library, "clGetPlatformIDs", "iubb", &result, args, err);
    if (rc == ACCEL_OK)
        *status = (int)result.value.integer;
    return rc;
}

static int cl_devices(struct opencl *cl, void *platform, void *ids[DEVICES_MAX], uint32_t *count,
                      int *status, struct accel_error *err)
{
    struct accel_value result, args[5] = {
                                   {.value.handle = platform},
                                   {.value.integer = TYPE_ALL},
                                   {.value.integer = DEVICES_MAX},
                                   {.value.buffer = {ids, DEVICES_MAX * sizeof(*ids)}},
                                   {.value.buffer = {count, sizeof(*count)}},
                               };

    *count = 0;
    const int rc =
        cl->host->call(cl->host, cl->library, "clGetDeviceIDs", "iplubb", &result, args, err);
    if (rc == ACCEL_OK)
        *status = (int)result.value.integer;
    return rc;
}

/* clGetDeviceInfo or clGetPlatformInfo into zeroed bytes[size]. False: it has no answer. */
static bool info(struct opencl *cl, const char *function, void *of, uint32_t what, void *bytes,
                 size_t size)
{
    uint64_t written = 0;
    struct accel_value result, args[5] = {
                                   {.value.handle = of},
                                   {.value.integer = what},
                                   {.value.integer = (int64_t)size},
                                   {.value.buffer = {bytes, size}},
                                   {.value.buffer = {&written, sizeof(written)}},
                               };

    memset(bytes, 0, size);
    return cl->host->call(cl->host, cl->library, function, "ipulbb", &result, args, NULL) ==
               ACCEL_OK &&
           result.value.integer == 0;
}

static bool ask(struct opencl *cl, void *device, uint32_t what, void *bytes, size_t size)
{
    return info(cl, "clGetDeviceInfo", device, what, bytes, size);
}

static uint32_t ask_u32(struct opencl *cl, void *device, uint32_t what)
{
    uint32_t value;

    return ask(cl, device, what, &value, sizeof(value)) ? value : 0;
}

static uint64_t ask_u64(struct opencl *cl, void *device, uint32_t what)
{
    uint64_t value;

    return ask(cl, device, what, &value, sizeof(value)) ? value : 0;
}

/* Trims blanks at both ends and ends what has no terminator. */
static void ask_text(struct opencl *cl, const char *function, void *of, uint32_t what, char *text,
                     size_t size)
{
    if (!info(cl, function, of, what, text, size))
        text[0] = '\0';
    text[size - 1] = '\0';
    const size_t blanks = strspn(text, " \t");
    memmove(text, text + blanks, strlen(text + blanks) + 1);
    for (size_t end = strlen(text); end > 0 && strchr(" \t\r\n", text[end - 1]) != NULL; end--)
        text[end - 1] = '\0';
}

static bool has_extension(const struct found *f, const char *name)
{
    const size_t length = strlen(name);

    for (const char *at = f->extensions; (at = strstr(at, name)) != NULL; at += length)
        if ((at == f->extensions || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
            return true;
    return false;
}

/* ---------------------------------------------------------------- one device */

/* The PCI function, by the standard extension, else the vendor's attributes; "" when none tells. */
static void match_pci(struct opencl *cl, void *device, struct found *f)
{
    uint32_t at[4] = {0};
    uint8_t topology[24];
    bool known = false;

    if (has_extension(f, "cl_khr_pci_bus_info"))
        known = ask(cl, device, PCI_BUS_INFO, at, sizeof(at));
    if (!known && has_extension(f, "cl_nv_device_attribute_query")) {
        uint32_t bus, slot, domain;
        known = ask(cl, device, NV_PCI_BUS, &bus, sizeof(bus)) &&
                ask(cl, device, NV_PCI_SLOT, &slot, sizeof(slot));
        /* Drivers without the domain attribute hold it in the upper bits of the bus. */
        if (known && !ask(cl, device, NV_PCI_DOMAIN, &domain, sizeof(domain)))
            domain = bus >> 8;
        if (known) {
            at[0] = domain;
            at[1] = bus & 0xff;
            at[2] = slot >> 3;
            at[3] = slot & 7;
        }
    }
    if (!known && has_extension(f, "cl_amd_device_attribute_query") &&
        ask(cl, device, AMD_TOPOLOGY, topology, sizeof(topology))) {
        uint32_t type;
        memcpy(&type, topology, sizeof(type));
        known = type == 1;
        at[0] = 0;
        for (int i = 1; i < 4; i++)
            at[i] = topology[20 + i];
    }
    if (known && at[1] <= 0xff && at[2] <= 0x1f && at[3] <= 7)
        snprintf(f->pci, sizeof(f->pci), "%04x:%02x:%02x.%x", at[0], at[1], at[2], at[3]);
}

/* Single-precision lanes of a compute unit: contracts of the vendors' attributes; 0 unknown. */
static uint32_t lanes(struct opencl *cl, void *device, const struct found *f)
{
    if ((f->type & TYPE_CPU) != 0)
        return 2 * ask_u32(cl, device, NATIVE_WIDTH_FLOAT);
    if (has_extension(f, "cl_nv_device_attribute_query")) {
        const uint32_t v = 10 * ask_u32(cl, device, NV_MAJOR) + ask_u32(cl, device, NV_MINOR);
        if (v == 60 || (v >= 70 && v <= 80))
            return 64;
        return v >= 50 ? 128 : 0;
    }
    if (has_extension(f, "cl_amd_device_attribute_query"))
        return ask_u32(cl, device, AMD_SIMD_PER_CU) * ask_u32(cl, device, AMD_SIMD_WIDTH);
    if (strstr(f->vendor, "Intel") != NULL)
        return 8 * ask_u32(cl, device, INTEL_EUS_PER_SUBSLICE);
    return 0;
}

static void problem(struct accel_builder *out, const char *where, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void problem(struct accel_builder *out, const char *where, const char *format, ...)
{
    char reason[TEXT_BYTES];
    va_list list;

    va_start(list, format);
    vsnprintf(reason, sizeof(reason), format, list);
    va_end(list);
    out->problem(out, where, reason);
}

/* A figure that no hardware has is unknown, and said to be wrong. */
static void bound(struct accel_builder *out, const struct found *f, const char *what,
                  uint64_t *value, uint64_t most)
{
    if (*value > most) {
        problem(out, f->name, "its OpenCL driver says %s %llu, which cannot be: left out", what,
                (unsigned long long)*value);
        *value = 0;
    }
}

static void bound32(struct accel_builder *out, const struct found *f, const char *what,
                    uint32_t *value, uint32_t most)
{
    uint64_t wide = *value;

    bound(out, f, what, &wide, most);
    *value = (uint32_t)wide;
}

static void gather(struct opencl *cl, void *platform, void *device, struct accel_builder *out,
                   struct found *f)
{
    static const char of_device[] = "clGetDeviceInfo";

    ask_text(cl, "clGetPlatformInfo", platform, PLATFORM_NAME, f->platform, sizeof(f->platform));
    ask_text(cl, of_device, device, DEVICE_NAME, f->name, sizeof(f->name));
    ask_text(cl, of_device, device, DEVICE_VENDOR, f->vendor, sizeof(f->vendor));
    ask_text(cl, of_device, device, DRIVER_VERSION, f->driver, sizeof(f->driver));
    ask_text(cl, of_device, device, DEVICE_VERSION, f->version, sizeof(f->version));
    ask_text(cl, of_device, device, EXTENSIONS, f->extensions, sizeof(f->extensions));
    if (f->name[0] == '\0')
        snprintf(f->name, sizeof(f->name), "OpenCL device");
    f->type = ask_u64(cl, device, DEVICE_TYPE);
    f->memory = ask_u64(cl, device, GLOBAL_MEMORY);
    f->max_alloc = ask_u64(cl, device, MAX_ALLOC);
    f->local = ask_u64(cl, device, LOCAL_MEMORY);
    f->work_group = ask_u64(cl, device, WORK_GROUP);
    f->units = ask_u32(cl, device, COMPUTE_UNITS);
    f->clock_mhz = ask_u32(cl, device, CLOCK_MHZ);
    f->unified = ask_u32(cl, device, UNIFIED_MEMORY);
    f->available = ask_u32(cl, device, AVAILABLE) != 0;
    bound(out, f, "memory", &f->memory, BYTES_MAX);
    bound(out, f, "largest allocation", &f->max_alloc, BYTES_MAX);
    bound(out, f, "local memory", &f->local, BYTES_MAX);
    bound(out, f, "work-group size", &f->work_group, 1u << 24);
    bound32(out, f, "compute units", &f->units, 1u << 20);
    bound32(out, f, "clock in MHz", &f->clock_mhz, 100000);
    f->lanes = lanes(cl, device, f);
    bound32(out, f, "lanes of a compute unit", &f->lanes, 1u << 16);
    snprintf(f->precisions, sizeof(f->precisions), "fp32%s%s%s",
             ask_u64(cl, device, DOUBLE_FP) != 0 ? " fp64" : "",
             has_extension(f, "cl_khr_fp16") && ask_u64(cl, device, HALF_FP) != 0 ? " fp16" : "",
             ask_u64(cl, device, INT8_DOT) != 0 ? " int8_dot" : "");
    const char *version = strncmp(f->version, "OpenCL ", 7) == 0 ? f->version + 7 : f->version;
    snprintf(f->runtime, sizeof(f->runtime), "%.*s %s %s", (int)strcspn(version, " "), version,
             f->platform, f->driver);
    match_pci(cl, device, f);
}

/* ---------------------------------------------------------------- telling */

/* Where facts go: to the device added last (NULL), or to one that another module owns. */
struct target {
    struct accel_builder *out;
    const char *identity;
    int rc;
    struct accel_error *err;
};

static void tell(struct target *to, const char *name, double value)
{
    if (to->rc != ACCEL_OK || value <= 0)
        return;
    to->rc =
        to->identity == NULL
            ? to->out->add_fact(to->out, name, value, ACCEL_BASIS_REPORTED, to->err)
            : to->out->annotate(to->out, to->identity, name, value, ACCEL_BASIS_REPORTED, to->err);
}

static void tell_text(struct target *to, const char *name, const char *value)
{
    if (to->rc != ACCEL_OK || value[0] == '\0')
        return;
    to->rc = to->identity == NULL
                 ? to->out->add_text(to->out, name, value, ACCEL_BASIS_REPORTED, to->err)
                 : to->out->annotate_text(to->out, to->identity, name, value, ACCEL_BASIS_REPORTED,
                                          to->err);
}

/* `whole`: also the facts that every family has; for the host CPU its own module knows better. */
static void tell_all(struct target *to, const struct found *f, bool whole)
{
    if (whole) {
        tell(to, ACCEL_FACT_MEMORY_BYTES, (double)f->memory);
        tell(to, ACCEL_FACT_CLOCK, f->clock_mhz * 1e6);
        /* An estimate: units x clock x lanes, a multiply and an addition each. */
        tell(to, ACCEL_FACT_PEAK_FP32, (double)f->units * f->clock_mhz * 1e6 * f->lanes * 2);
        tell_text(to, ACCEL_FACT_DRIVER_VERSION, f->driver);
    }
    tell(to, "opencl.compute_units", f->units);
    tell(to, "opencl.max_alloc_bytes", (double)f->max_alloc);
    tell(to, "opencl.local_memory_bytes", (double)f->local);
    tell(to, "opencl.work_group_size", (double)f->work_group);
    tell_text(to, "opencl.unified_memory", f->unified != 0 ? "yes" : "no");
    tell_text(to, "opencl.precisions", f->precisions);
    tell_text(to, "opencl.version", f->version);
    tell_text(to, "opencl.name", f->name);
    tell_text(to, "opencl.extensions", f->extensions);
}

/* How often `identity` was told about in this discovery before. */
static unsigned times_seen(struct opencl *cl, const char *identity)
{
    unsigned times = 0;

    for (size_t i = 0; i < cl->seen_count; i++)
        times += strcmp(cl->seen[i], identity) == 0;
    if (cl->seen_count < SEEN_MAX)
        snprintf(cl->seen[cl->seen_count++], TEXT_BYTES, "%s", identity);
    return times;
}

static int annotate(struct opencl *cl, const char *identity, const struct found *f, bool whole,
                    struct accel_builder *out, struct accel_error *err)
{
    struct target to = {.out = out, .identity = identity, .err = err};
    const unsigned before = times_seen(cl, identity);
    char name[48] = ACCEL_FACT_RUNTIME_PREFIX "opencl";

    if (before > 0)
        snprintf(name, sizeof(name), ACCEL_FACT_RUNTIME_PREFIX "opencl_%u", before + 1);
    else
        tell_all(&to, f, whole);
    tell_text(&to, name, f->runtime);
    return to.rc;
}

static int add_alone(const struct found *f, struct accel_builder *out, struct accel_error *err)
{
    struct target to = {.out = out, .err = err};
    const struct accel_found_device device = {
        .struct_size = sizeof(device),
        .type = "OPENCL",
        .serial = f->serial,
        .vendor = f->vendor[0] != '\0' ? f->vendor : "unknown",
        .model = f->name,
        .numa_node = -1,
        .iommu_group = -1,
        .health = f->available ? "ok" : "degraded",
        .health_reason = f->available ? NULL : "its OpenCL driver says that it is not available",
    };
    const struct accel_found_deployable deployable = {.struct_size = sizeof(deployable),
                                                      .num_accelerators = 1};

    to.rc = out->add_device(out, &device, err);
    tell_all(&to, f, true);
    tell_text(&to, ACCEL_FACT_RUNTIME_PREFIX "opencl", f->runtime);
    return to.rc == ACCEL_OK ? out->add_deployable(out, &deployable, err) : to.rc;
}

static int take_device(struct opencl *cl, void *platform, void *device, unsigned p, unsigned d,
                       struct accel_builder *out, struct accel_error *err)
{
    struct found *f = calloc(1, sizeof(*f));
    char path[96], text[32], identity[48];
    uint8_t uuid[16];
    int rc;

    if (f == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for an OpenCL device");
    gather(cl, platform, device, out, f);
    snprintf(f->serial, sizeof(f->serial), "%u-%u", p, d);
    if (has_extension(f, "cl_khr_device_uuid") && ask(cl, device, DEVICE_UUID, uuid, sizeof(uuid)))
        for (int i = 0; i < 16; i++)
            snprintf(f->serial + 2 * i, 3, "%02x", uuid[i]);
    snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/class", f->pci);
    snprintf(identity, sizeof(identity), "pci:%s", f->pci);
    const bool on_pci =
        f->pci[0] != '\0' && cl->host->read(cl->host, path, text, sizeof(text), NULL) == ACCEL_OK;
    if (f->pci[0] != '\0' && !on_pci)
        problem(out, f->name, "its OpenCL driver says PCI function %s, which this host lacks",
                f->pci);
    if (on_pci)
        rc = annotate(cl, identity, f, true, out, err);
    else if ((f->type & TYPE_CPU) != 0)
        rc = annotate(cl, "cpu:0", f, false, out, err);
    else
        rc = add_alone(f, out, err);
    free(f);
    return rc;
}

/* ---------------------------------------------------------------- the module */

static int opencl_open(const struct accel_host *host, const struct accel_driver_config *config,
                       void **self, struct accel_error *err)
{
    const char *vendors = config->get(config, "icd_vendors");
    const char *library = config->get(config, "library");
    struct opencl *cl = calloc(1, sizeof(*cl));
    void *ids[PLATFORMS_MAX];
    uint32_t count;
    int status = 0;

    if (cl == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for the module");
    cl->host = host;
    snprintf(cl->library, sizeof(cl->library), "%s", library != NULL ? library : "libOpenCL.so.1");
    /* For the loader, which reads it at its first call. */
    if (vendors != NULL && vendors[0] != '\0')
        setenv("OCL_ICD_VENDORS", vendors, 1);
    int rc = cl_platforms(cl, ids, &count, &status, err);
    if (rc == ACCEL_E_NOT_FOUND)
        rc = accel_fail(err, ACCEL_E_NOT_MINE,
                        "no OpenCL here: %s is not installed (Debian: ocl-icd-libopencl1)",
                        cl->library);
    else if (rc == ACCEL_OK && (status == CL_PLATFORM_NOT_FOUND || (status == 0 && count == 0)))
        rc = accel_fail(err, ACCEL_E_NOT_MINE, "no OpenCL platform is installed (an ICD)");
    if (rc != ACCEL_OK) {
        free(cl);
        return rc;
    }
    *self = cl;
    return ACCEL_OK;
}

static int take_platform(struct opencl *cl, void *platform, unsigned p, struct accel_builder *out,
                         struct accel_error *err)
{
    void *ids[DEVICES_MAX] = {NULL};
    char where[32];
    uint32_t count;
    int status = 0;

    snprintf(where, sizeof(where), "platform %u", p);
    int rc = cl_devices(cl, platform, ids, &count, &status, err);
    if (rc == ACCEL_OK && status != 0 && status != CL_DEVICE_NOT_FOUND)
        problem(out, where, "clGetDeviceIDs fails with %d", status);
    if (rc != ACCEL_OK || status != 0)
        return rc;
    if (count > DEVICES_MAX) {
        problem(out, where, "says that it has %u devices; the first %u are looked at", count,
                DEVICES_MAX);
        count = DEVICES_MAX;
    }
    for (uint32_t d = 0; rc == ACCEL_OK && d < count && ids[d] != NULL; d++)
        rc = take_device(cl, platform, ids[d], p, d, out, err);
    return rc;
}

static int opencl_discover(void *self, struct accel_builder *out, struct accel_error *err)
{
    struct opencl *cl = self;
    void *ids[PLATFORMS_MAX] = {NULL};
    uint32_t count;
    int status = 0;

    cl->seen_count = 0;
    int rc = cl_platforms(cl, ids, &count, &status, err);
    if (rc == ACCEL_OK && status != 0 && status != CL_PLATFORM_NOT_FOUND)
        return accel_fail(err, ACCEL_E_IO, "clGetPlatformIDs fails with %d", status);
    if (count > PLATFORMS_MAX)
        problem(out, cl->library, "says that it has %u platforms; the first %u are looked at",
                count, PLATFORMS_MAX);
    for (uint32_t p = 0; rc == ACCEL_OK && p < count && p < PLATFORMS_MAX && ids[p] != NULL; p++)
        rc = take_platform(cl, ids[p], p, out, err);
    return rc;
}

static void opencl_close(void *self)
{
    free(self);
}

static const struct accel_config_key keys[] = {
    {.name = "library",
     .type = ACCEL_CONFIG_STRING,
     .help = "the ICD loader (libOpenCL.so.1)",
     .fallback = "libOpenCL.so.1"},
    {.name = "icd_vendors",
     .type = ACCEL_CONFIG_STRING,
     .help = "folder of .icd files, or one (OCL_ICD_VENDORS; the loader's own)"},
    {.name = "deadline",
     .type = ACCEL_CONFIG_NUMBER,
     .help = "seconds that the ICDs may take to answer (8)",
     .fallback = "8",
     .min = 0.1,
     .max = 25},
    {0},
};

ACCEL_DRIVER(.name = "opencl", .family = "any", .version = "1.0", .priority = 10,
             .flags = ACCEL_DRIVER_HELPER, .config = keys, .open = opencl_open,
             .discover = opencl_discover, .close = opencl_close);
