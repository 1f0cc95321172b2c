/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCELD_DRIVER_H
#define ACCELD_DRIVER_H

/* The driver module ABI: one module per device family, one shared object, one exported symbol.
 *
 *   #include "acceld/driver.h"
 *
 *   static int my_discover(void *self, struct accel_builder *out, struct accel_error *err) { ... }
 *
 *   ACCEL_DRIVER(.name = "my", .family = "npu", .version = "1.0", .discover = my_discover);
 *
 * Rules
 * - A module includes this header, acceld/error.h and system headers; nothing else of acceld.
 * - A module runs in a process of its own. All callbacks are called on one thread, one at a time;
 * it need not be the process's first thread. A module that crashes or hangs costs its own devices'
 *   news, nothing else; three times in ten minutes and it is quarantined.
 * - All input and output goes through the host object, so that the module can be rooted in a
 *   recorded tree, recorded and replayed. Paths begin with "/" and are below the host's root.
 * - Every structure begins with struct_size, set by its maker to its own sizeof; members are only
 *   ever added at the end, and who reads a structure asks struct_size before a newer member.
 * - Strings handed over by either side are borrowed for the call; the other side copies.
 * - Structures that a module fills in have struct_size set by the host before the call.
 *
 * The ABI number changes when a member changes its meaning; it is promised stable from 1.0 on. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "acceld/error.h"

#ifdef __cplusplus
extern "C" {
#endif

#define ACCEL_DRIVER_ABI 1u

/* ---------------------------------------------------------------- the host object */

struct accel_value {
    union {
        int64_t integer;
        void *handle;
        const char *string;
        struct {
            void *bytes;
            size_t size;
        } buffer;
    } value;
};

/* What a module asks the machine through. Every function returns ACCEL_OK or a code. A file that is
 * absent is NOT_FOUND, one that may not be read DENIED, any other trouble IO: take all three as
 * "unknown", never as zero. */
struct accel_host {
    size_t struct_size;
    void *self; /* the host's own; hand `host` back as it came */

    /* Reads a small file whole into text[size], NUL-terminated, one trailing newline stripped.
     * LIMIT when it does not fit. */
    int (*read)(const struct accel_host *host, const char *path, char *text, size_t size,
                struct accel_error *err);
    /* The same for bytes that may hold NUL; *got is their number. */
    int (*read_bytes)(const struct accel_host *host, const char *path, void *bytes, size_t size,
                      size_t *got, struct accel_error *err);
    int (*write)(const struct accel_host *host, const char *path, const void *bytes, size_t size,
                 struct accel_error *err);
    /* Calls each(context, name) for every entry of a folder but . and .., sorted by name. `each`
     * returns ACCEL_OK to go on; another code ends the listing and is returned. */
    int (*list)(const struct accel_host *host, const char *path,
                int (*each)(void *context, const char *name), void *context,
                struct accel_error *err);
    /* The target of a symbolic link, as text. */
    int (*readlink)(const struct accel_host *host, const char *path, char *target, size_t size,
                    struct accel_error *err);

    /* A device node; flags as open(2): O_RDONLY, O_RDWR, O_NONBLOCK. `handle` is the host's, not a
     * descriptor. Close before reset or unbind: it also ends the node's mappings. */
    int (*open_node)(const struct accel_host *host, const char *path, int flags, int *handle,
                     struct accel_error *err);
    /* arg[size] goes in and comes out. */
    int (*ioctl)(const struct accel_host *host, int handle, unsigned long request, void *arg,
                 size_t size, struct accel_error *err);
    int (*mmap)(const struct accel_host *host, int handle, uint64_t offset, size_t size, int prot,
                void **address, struct accel_error *err);
    void (*close_node)(const struct accel_host *host, int handle);

    /* Kernel uevents of one subsystem ("pci", NULL for all): a pollable descriptor for watch(),
     * readable some 200 ms after the first of a burst. Owned and drained by the host; at most one
     * per module. UNSUPPORTED in a recorded tree. */
    int (*uevents)(const struct accel_host *host, const char *subsystem, int *fd,
                   struct accel_error *err);
    /* PCI configuration space of "0000:3b:00.0"; without privilege it ends after 64 bytes. */
    int (*pci_config)(const struct accel_host *host, const char *address, size_t offset,
                      void *bytes, size_t size, size_t *got, struct accel_error *err);
    /* eax, ebx, ecx, edx of CPUID; UNSUPPORTED off x86. */
    int (*cpuid)(const struct accel_host *host, uint32_t leaf, uint32_t subleaf, uint32_t regs[4],
                 struct accel_error *err);
    /* Extended control register 0: what the operating system saves. */
    int (*xgetbv)(const struct accel_host *host, uint64_t *xcr0, struct accel_error *err);
    /* CPUs this process may use: affinity cut down to the cgroup's quota. */
    int (*usable_cpus)(const struct accel_host *host, unsigned *count, struct accel_error *err);
    int64_t (*now_ns)(const struct accel_host *host); /* monotonic; from the tape in a replay */

    /* Runs a vendor tool by absolute path, no shell; its standard output into text[size].
     * *status is its exit status, 128 + signal when it was killed. TIMEOUT after deadline_ms (the
     * tool is killed); LIMIT when it prints more than fits; UNSUPPORTED in a recorded tree. */
    int (*run_tool)(const struct accel_host *host, const char *const argv[], int64_t deadline_ms,
                    char *text, size_t size, int *status, struct accel_error *err);

    /* Calls a function of a shared library, resolved at the first call: NOT_FOUND when library or
     * symbol is missing. signature: result, then arguments, one letter each: i int32, u uint32,
     * l int64, p opaque handle, s C string, b out or in-out buffer (value.buffer), v no result:
     * "ipbu" is int f(handle, buffer, unsigned). At most 8 arguments; floating point is not
     * carried. In a recorded tree `library` must be an absolute path below it. */
    int (*call)(const struct accel_host *host, const char *library, const char *symbol,
                const char *signature, struct accel_value *result, struct accel_value *args,
                struct accel_error *err);

    /* level: 3 error, 4 warning, 6 info, 7 debug (syslog's numbers). */
    void (*log)(const struct accel_host *host, int level, const char *message);

    /* A pollable descriptor for watch(), readable after the file at `path` was written, replaced,
     * made or removed; its folder must exist. Owned and drained by the host. */
    int (*watch_file)(const struct accel_host *host, const char *path, int *fd,
                      struct accel_error *err);
};

/* ---------------------------------------------------------------- what is found */

/* Where a fact comes from; measured beats reported beats catalogue. */
enum accel_basis {
    ACCEL_BASIS_CATALOGUE = 1, /* a data sheet, an estimate from one */
    ACCEL_BASIS_REPORTED = 2,  /* the hardware or its driver says so */
    ACCEL_BASIS_MEASURED = 3,  /* we measured it */
};

/* Fact names that every family uses where it knows them. SI base units. Unknown: leave out. */
#define ACCEL_FACT_MEMORY_BYTES     "memory_bytes"
#define ACCEL_FACT_MEMORY_BANDWIDTH "memory_bandwidth_bytes_per_s"
#define ACCEL_FACT_LINK_BANDWIDTH   "link_bandwidth_bytes_per_s"
#define ACCEL_FACT_PEAK_FP32        "peak_fp32_flops"
#define ACCEL_FACT_PEAK_FP16        "peak_fp16_flops"
#define ACCEL_FACT_PEAK_BF16        "peak_bf16_flops"
#define ACCEL_FACT_PEAK_INT8        "peak_int8_ops"
#define ACCEL_FACT_POWER_LIMIT      "power_limit_w"
#define ACCEL_FACT_CLOCK            "clock_hz"
#define ACCEL_FACT_CORES            "cores"
#define ACCEL_FACT_DRIVER           "kernel_driver"  /* text: "nvidia", "vfio-pci" */
#define ACCEL_FACT_DRIVER_VERSION   "driver_version" /* text */
#define ACCEL_FACT_RUNTIME_PREFIX   "runtime."       /* text: runtime.opencl = "3.0 pocl 3.1" */

struct accel_found_device {
    size_t struct_size;
    const char *type; /* GPU FPGA AICHIP QAT NIC SSD CPU OPENCL */
    /* Identity, the first that is set: the PCI function ("0000:3b:00.0"), with `partition` behind
     * it; else "<module>:<serial>" ("cpu:0"). One of the two is needed. */
    const char *pci_address;
    const char *serial;
    const char *partition;         /* "gi1", NULL: the whole device */
    const char *vendor;            /* "0x10de", or a name where there is no PCI id */
    const char *model;             /* for people: "GA100 [A100 PCIe 40GB]" */
    const char *std_board_info;    /* JSON text or NULL */
    const char *vendor_board_info; /* JSON text, plain text or NULL */
    int32_t numa_node;             /* -1 unknown */
    int32_t iommu_group;           /* -1 none */
    bool runnable;                 /* the inference core can run on it */
    const char *health;            /* "ok" (also NULL), "degraded", "failed" */
    const char *health_reason;     /* for people; NULL when ok */
    const char *parent;            /* identity of the physical function or whole device, or NULL */
};

struct accel_found_deployable {
    size_t struct_size;
    /* NULL: Cyborg's custom "<hostname>_<PCI address>", or "<hostname>_<module>_<serial>", and
     * "_<partition>" behind it. Unique on the node: Placement's provider is named so. */
    const char *name;
    const char *resource_class; /* Placement's word: FPGA PGPU VGPU CUSTOM_...; NULL: none */
    uint32_t num_accelerators;  /* attach handles it has */
    const char *const *traits;  /* CUSTOM_..., NULL-terminated; NULL: none */
};

struct accel_found_handle {
    size_t struct_size;
    const char *attach_type; /* PCI MDEV TEST_PCI */
    const char *attach_info; /* JSON object of strings, sorted keys:
                                {"bus":"3b","device":"00","domain":"0000","function":"0"} */
};

/* Takes what discover() finds; the host diffs it against what is recorded. The add_ functions
 * other than add_device speak of the device, or deployable, added last.
 *
 * What breaks a rule (an unknown type, a second device of one identity, attach_info that is no
 * JSON, ...) is left out and reported as a problem, and the call still returns ACCEL_OK: one bad
 * device never stops the rest. What is then said about a device left out is dropped with it. Only
 * NOMEM and LIMIT (too many devices) come back as errors. */
struct accel_builder {
    size_t struct_size;
    void *self;
    int (*add_device)(struct accel_builder *out, const struct accel_found_device *device,
                      struct accel_error *err);
    int (*add_deployable)(struct accel_builder *out,
                          const struct accel_found_deployable *deployable, struct accel_error *err);
    int (*add_handle)(struct accel_builder *out, const struct accel_found_handle *handle,
                      struct accel_error *err);
    int (*add_fact)(struct accel_builder *out, const char *name, double value,
                    enum accel_basis basis, struct accel_error *err);
    int (*add_text)(struct accel_builder *out, const char *name, const char *value,
                    enum accel_basis basis, struct accel_error *err);
    /* Facts about a device that another module owns, by identity ("pci:0000:3b:00.0"). */
    int (*annotate)(struct accel_builder *out, const char *identity, const char *name, double value,
                    enum accel_basis basis, struct accel_error *err);
    int (*annotate_text)(struct accel_builder *out, const char *identity, const char *name,
                         const char *value, enum accel_basis basis, struct accel_error *err);
    /* One thing that could not be read or is not usable, and why; discovery goes on. */
    void (*problem)(struct accel_builder *out, const char *where, const char *reason);
};

struct accel_reading {
    size_t struct_size;
    const char *identity;
    const char *name; /* temperature_celsius power_watts energy_joules utilization_ratio
                         memory_used_bytes ecc_errors health; a label behind a colon:
                         "temperature_celsius:junction" */
    double value;
};

struct accel_readings {
    size_t struct_size;
    void *self;
    int (*add)(struct accel_readings *out, const struct accel_reading *reading,
               struct accel_error *err);
};

/* How a module says that its world changed. */
struct accel_watch {
    size_t struct_size;
    int fd;            /* readable: discover again; -1: none. The module's own (not one of the
                          host's): discover() drains it, and it is not polled in between */
    int64_t period_ms; /* discover again at least this often; 0: the host's own period */
};

struct accel_program_request {
    size_t struct_size;
    const char *identity;   /* the device */
    const char *deployable; /* its name */
    int image_fd;           /* sealed memory file to read or map; its SHA-256 was checked */
    size_t image_bytes;
    const char *image_facts; /* JSON: what the worker that parsed the container found */
};

struct accel_progress {
    size_t struct_size;
    void *self;
    void (*progress)(struct accel_progress *p, double percent, const char *text); /* 0..100 */
    /* True once the caller gave up: end with CANCELLED as soon as the device is in a sane state. */
    bool (*cancelled)(struct accel_progress *p);
};

/* ---------------------------------------------------------------- configuration */

enum accel_config_type {
    ACCEL_CONFIG_BOOL,
    ACCEL_CONFIG_INT,
    ACCEL_CONFIG_NUMBER,
    ACCEL_CONFIG_STRING,
    ACCEL_CONFIG_JSON, /* any YAML below the key, handed over as JSON text */
};

/* One key a module takes in acceld.yaml under drivers.<name>; the host checks type and range and
 * refuses unknown keys with file and line. An array of these ends with name NULL. */
struct accel_config_key {
    const char *name;
    enum accel_config_type type;
    const char *help;     /* one line, with unit and default */
    const char *fallback; /* value when absent, as text; NULL: none */
    double min, max;      /* for INT and NUMBER; both 0: any */
};

/* The value of a key as text ("true", "42", a string, JSON), or NULL. */
struct accel_driver_config {
    size_t struct_size;
    void *self;
    const char *(*get)(const struct accel_driver_config *config, const char *key);
    const char *hostname;
};

/* ---------------------------------------------------------------- the module */

#define ACCEL_DRIVER_NEEDS_ROOT                                       \
    0x1u /* keeps root when the daemon has it; else runs unprivileged \
          */
#define ACCEL_DRIVER_HELPER                                              \
    0x2u /* loads vendor code just to ask: discover in a child that ends \
          */

struct accel_driver {
    uint32_t abi;         /* ACCEL_DRIVER_ABI */
    uint32_t struct_size; /* sizeof(struct accel_driver) */
    const char *name;     /* "pci": also the file's name, pci.so, and the config section */
    const char *family;   /* "gpu" "fpga" "npu" "cpu" "any" */
    const char *version;
    int32_t priority; /* of several modules that add one device, the highest owns it */
    uint32_t flags;   /* ACCEL_DRIVER_* */
    const struct accel_config_key *config; /* NULL: takes none */

    /* A NULL callback means "this family has no such operation". Deadlines in brackets; a call that
     * passes its deadline costs the process. */

    /* Once, before any other. *self is the module's own. NOT_MINE: nothing here for this module
     * (not an error, not asked again until the next start). host outlives the module. [10 s] */
    int (*open)(const struct accel_host *host, const struct accel_driver_config *config,
                void **self, struct accel_error *err);
    /* At start, at a change and periodically. Describes all it finds, every time. [30 s] */
    int (*discover)(void *self, struct accel_builder *out, struct accel_error *err);
    /* Once, after open. [1 s] */
    int (*watch)(void *self, struct accel_watch *out, struct accel_error *err);
    /* Health and telemetry of all its devices; cheap, never wakes a sleeping one. [5 s] */
    int (*read)(void *self, struct accel_readings *out, struct accel_error *err);
    /* Writes an image to a device: reports progress, gives up when cancelled. [10 min] */
    int (*program)(void *self, const struct accel_program_request *request,
                   struct accel_progress *progress, struct accel_error *err);
    /* Hands one accelerator to a consumer, and takes it back. attach_info as discovered. [30 s] */
    int (*attach)(void *self, const char *identity, const char *attach_info,
                  struct accel_error *err);
    int (*detach)(void *self, const char *identity, const char *attach_info,
                  struct accel_error *err);
    void (*close)(void *self);
};

#define ACCEL_DRIVER_SYMBOL "accel_driver_table"

/* Defines the one symbol a module exports. */
#define ACCEL_DRIVER(...)                                             \
    extern ACCEL_EXPORT const struct accel_driver accel_driver_table; \
    ACCEL_EXPORT const struct accel_driver accel_driver_table = {     \
        .abi = ACCEL_DRIVER_ABI, .struct_size = sizeof(struct accel_driver), __VA_ARGS__}

#ifdef __cplusplus
}
#endif

#endif
