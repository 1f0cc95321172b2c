/* SPDX-License-Identifier: Apache-2.0 */
/* The host CPU as a device that the inference core runs on. It has no attach handle and no resource
 * class: nobody is handed the CPU, but placement may choose it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acceld/driver.h"

#define CPU_FOLDER  "/sys/devices/system/cpu"
#define NODE_FOLDER "/sys/devices/system/node"
#define RAPL_FOLDER "/sys/class/powercap"
#define CPUS_MAX    8192

struct cpu {
    const struct accel_host *host;
    /* /proc/stat at the last read(): utilisation is a difference. */
    uint64_t busy, total;
    bool has_stat;
};

/* What one discovery gathers before it is told. */
struct facts {
    char vendor[32], model[128], isa[512];
    unsigned family, model_number, stepping;
    unsigned sockets, cores, threads, usable, nodes;
    int32_t only_node; /* the CPUs' node when there is one alone, else -1 */
    double memory_bytes, clock_hz, cache[3], power_limit_w;
    enum accel_basis clock_basis;
    double fp32, fp16, bf16, int8; /* operations per cycle of one core; 0: unknown */
};

/* ---------------------------------------------------------------- reading */

static bool read_number(const struct accel_host *host, const char *path, double *value)
{
    char text[64], *end;

    if (host->read(host, path, text, sizeof(text), NULL) != ACCEL_OK)
        return false;
    *value = strtod(text, &end);
    return end != text && *end == '\0';
}

static bool read_whole(const struct accel_host *host, const char *folder, const char *name,
                       long long *value)
{
    char path[256], text[64], *end;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    if (host->read(host, path, text, sizeof(text), NULL) != ACCEL_OK)
        return false;
    *value = strtoll(text, &end, 10);
    return end != text && *end == '\0';
}

/* /proc/cpuinfo and others grow with the machine: reads it whole, NULL when it cannot. */
static char *read_long(const struct accel_host *host, const char *path)
{
    for (size_t size = 16384; size <= (size_t)16 << 20; size *= 4) {
        char *text = malloc(size);
        int rc;

        if (text == NULL)
            return NULL;
        rc = host->read(host, path, text, size, NULL);
        if (rc == ACCEL_OK)
            return text;
        free(text);
        if (rc != ACCEL_E_LIMIT)
            return NULL;
    }
    return NULL;
}

/* The value behind "key : value" of the first line that has the key. */
static bool find_line(const char *text, const char *key, char *value, size_t size)
{
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, strlen(key)) != 0)
            continue;
        const char *at = line + strlen(key);
        at += strspn(at, " \t");
        if (*at != ':')
            continue;
        at++;
        at += strspn(at, " \t");
        snprintf(value, size, "%.*s", (int)strcspn(at, "\n"), at);
        return true;
    }
    return false;
}

/* ---------------------------------------------------------------- CPUID */

struct feature {
    const char *name;
    uint32_t leaf, subleaf, reg, bit;
    uint64_t state; /* bits of xcr0 that the operating system must save */
};

#define STATE_AVX    0x6u
#define STATE_AVX512 0xe6u
#define STATE_AMX    0x60000u
enum { EAX, EBX, ECX, EDX };

/* Intel SDM volume 2, CPUID; a feature whose registers the system does not save cannot be used. */
static const struct feature features[] = {
    {"sse4_2", 1, 0, ECX, 20, 0},
    {"popcnt", 1, 0, ECX, 23, 0},
    {"avx", 1, 0, ECX, 28, STATE_AVX},
    {"fma", 1, 0, ECX, 12, STATE_AVX},
    {"f16c", 1, 0, ECX, 29, STATE_AVX},
    {"avx2", 7, 0, EBX, 5, STATE_AVX},
    {"bmi2", 7, 0, EBX, 8, 0},
    {"avx_vnni", 7, 1, EAX, 4, STATE_AVX},
    {"avx512f", 7, 0, EBX, 16, STATE_AVX512},
    {"avx512dq", 7, 0, EBX, 17, STATE_AVX512},
    {"avx512bw", 7, 0, EBX, 30, STATE_AVX512},
    {"avx512vl", 7, 0, EBX, 31, STATE_AVX512},
    {"avx512_vnni", 7, 0, ECX, 11, STATE_AVX512},
    {"avx512_bf16", 7, 1, EAX, 5, STATE_AVX512},
    {"avx512_fp16", 7, 0, EDX, 23, STATE_AVX512},
    {"amx_tile", 7, 0, EDX, 24, STATE_AMX},
    {"amx_int8", 7, 0, EDX, 25, STATE_AMX},
    {"amx_bf16", 7, 0, EDX, 22, STATE_AMX},
    {"amx_fp16", 7, 1, EAX, 21, STATE_AMX},
};

static bool has(const struct facts *f, const char *name)
{
    const size_t length = strlen(name);

    for (const char *at = f->isa; (at = strstr(at, name)) != NULL; at += length)
        if ((at == f->isa || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
            return true;
    return false;
}

static void add_feature(struct facts *f, const char *name)
{
    const size_t used = strlen(f->isa);

    snprintf(f->isa + used, sizeof(f->isa) - used, "%s%s", used > 0 ? " " : "", name);
}

/* Operations per cycle and core, two pipes of multiply-add: the most the data sheets say. */
static void estimate_rates(struct facts *f)
{
    /* AMD before family 1Ah runs 512-bit operations in two halves. */
    const bool wide =
        has(f, "avx512f") && (strcmp(f->vendor, "AuthenticAMD") != 0 || f->family >= 0x1a);

    f->fp32 = wide                              ? 64
              : has(f, "avx2") && has(f, "fma") ? 32
              : has(f, "avx")                   ? 16
              : has(f, "sse4_2")                ? 8
                                                : 0;
    f->fp16 = has(f, "avx512_fp16") ? 2 * f->fp32 : 0;
    f->bf16 = has(f, "amx_bf16") ? 1024 : has(f, "avx512_bf16") ? 2 * f->fp32 : 0;
    f->int8 = has(f, "amx_int8")                            ? 2048
              : has(f, "avx512_vnni") || has(f, "avx_vnni") ? 4 * f->fp32
                                                            : 0;
}

static void take_brand(const struct accel_host *host, struct facts *f)
{
    uint32_t regs[12];
    char text[sizeof(regs) + 1];

    for (uint32_t i = 0; i < 3; i++)
        if (host->cpuid(host, 0x80000002u + i, 0, regs + 4 * i, NULL) != ACCEL_OK)
            return;
    memcpy(text, regs, sizeof(regs));
    text[sizeof(regs)] = '\0';
    const char *begin = text + strspn(text, " ");
    size_t length = strlen(begin);
    while (length > 0 && begin[length - 1] == ' ')
        length--;
    if (length > 0)
        snprintf(f->model, sizeof(f->model), "%.*s", (int)length, begin);
}

static void take_cpuid(const struct accel_host *host, struct facts *f)
{
    uint32_t regs[4];
    uint64_t xcr0;

    if (host->cpuid(host, 0, 0, regs, NULL) != ACCEL_OK || regs[EAX] == 0 ||
        host->xgetbv(host, &xcr0, NULL) != ACCEL_OK)
        return;
    const uint32_t name[3] = {regs[EBX], regs[EDX], regs[ECX]};
    memcpy(f->vendor, name, sizeof(name));
    f->vendor[sizeof(name)] = '\0';
    if (host->cpuid(host, 1, 0, regs, NULL) == ACCEL_OK) {
        const unsigned base = regs[EAX] >> 8 & 0xf;
        f->family = base == 0xf ? base + (regs[EAX] >> 20 & 0xff) : base;
        f->model_number = regs[EAX] >> 4 & 0xf;
        if (base == 6 || base == 0xf)
            f->model_number |= (regs[EAX] >> 16 & 0xf) << 4;
        f->stepping = regs[EAX] & 0xf;
    }
    take_brand(host, f);
    for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
        const struct feature *x = &features[i];
        if (host->cpuid(host, x->leaf, x->subleaf, regs, NULL) == ACCEL_OK &&
            (regs[x->reg] >> x->bit & 1) != 0 && (xcr0 & x->state) == x->state)
            add_feature(f, x->name);
    }
    /* Leaf 16h, EBX: the highest frequency in MHz. */
    if (f->clock_hz == 0 && host->cpuid(host, 0x16, 0, regs, NULL) == ACCEL_OK && regs[EBX] > 0) {
        f->clock_hz = (regs[EBX] & 0xffff) * 1e6;
        f->clock_basis = ACCEL_BASIS_REPORTED;
    }
    estimate_rates(f);
}

/* Where there is no CPUID (another architecture, a recorded tree): names, and features only where
 * the kernel's list is the architecture's own (Arm). */
static void take_cpuinfo(const struct accel_host *host, struct facts *f)
{
    char *text = read_long(host, "/proc/cpuinfo"), line[256];

    if (text == NULL)
        return;
    if (f->model[0] == '\0' && !find_line(text, "model name", f->model, sizeof(f->model)) &&
        !find_line(text, "cpu", f->model, sizeof(f->model)))
        find_line(text, "Processor", f->model, sizeof(f->model));
    if (f->vendor[0] == '\0' && !find_line(text, "vendor_id", f->vendor, sizeof(f->vendor)) &&
        find_line(text, "CPU implementer", line, sizeof(line)))
        snprintf(f->vendor, sizeof(f->vendor), "%.31s", line);
    if (f->isa[0] == '\0')
        find_line(text, "Features", f->isa, sizeof(f->isa));
    /* What it runs at now says little of what it can: an estimate. */
    if (f->clock_hz == 0 && (find_line(text, "cpu MHz", line, sizeof(line)) ||
                             find_line(text, "clock", line, sizeof(line)))) {
        f->clock_hz = strtod(line, NULL) * 1e6;
        f->clock_basis = ACCEL_BASIS_CATALOGUE;
    }
    free(text);
}

/* ---------------------------------------------------------------- topology */

struct topology {
    const struct accel_host *host;
    struct facts *facts;
    size_t count;
    struct {
        long long package, die, core;
    } seen[CPUS_MAX];
};

static bool is_numbered(const char *name, const char *prefix)
{
    const size_t length = strlen(prefix);

    return strncmp(name, prefix, length) == 0 && name[length] != '\0' &&
           name[length + strspn(name + length, "0123456789")] == '\0';
}

static int take_cpu(void *context, const char *name)
{
    struct topology *t = context;
    long long online = 1, package = 0, die = 0, core;
    char folder[128];
    bool new_socket = true, new_core = true;

    if (!is_numbered(name, "cpu") || strlen(name) > 16)
        return ACCEL_OK;
    snprintf(folder, sizeof(folder), CPU_FOLDER "/%s", name);
    if (read_whole(t->host, folder, "online", &online) && online == 0)
        return ACCEL_OK;
    t->facts->threads++;
    if (!read_whole(t->host, folder, "topology/core_id", &core)) {
        /* Unknown: a core of its own. */
        core = strtoll(name + 3, NULL, 10);
        package = -2;
    } else {
        read_whole(t->host, folder, "topology/physical_package_id", &package);
        read_whole(t->host, folder, "topology/die_id", &die);
    }
    for (size_t i = 0; i < t->count; i++) {
        if (t->seen[i].package == package)
            new_socket = false;
        if (t->seen[i].package == package && t->seen[i].die == die && t->seen[i].core == core)
            new_core = false;
    }
    if (!new_core)
        return ACCEL_OK;
    t->facts->cores++;
    t->facts->sockets += new_socket;
    if (t->count < CPUS_MAX) {
        t->seen[t->count].package = package;
        t->seen[t->count].die = die;
        t->seen[t->count++].core = core;
    }
    return ACCEL_OK;
}

struct nodes {
    const struct accel_host *host;
    struct facts *facts;
    double memory;
    bool all_known;
};

/* A node without CPUs is another device's memory (a GPU's on POWER9, CXL): not the host's. */
static int take_node(void *context, const char *name)
{
    struct nodes *n = context;
    char path[160], text[4096], value[64];

    if (!is_numbered(name, "node") || strlen(name) > 16)
        return ACCEL_OK;
    snprintf(path, sizeof(path), NODE_FOLDER "/%s/cpulist", name);
    if (n->host->read(n->host, path, text, sizeof(text), NULL) != ACCEL_OK) {
        snprintf(path, sizeof(path), NODE_FOLDER "/%s/cpumap", name);
        if (n->host->read(n->host, path, text, sizeof(text), NULL) != ACCEL_OK ||
            text[strspn(text, "0,")] == '\0')
            return ACCEL_OK;
    }
    if (text[0] == '\0')
        return ACCEL_OK;
    n->facts->nodes++;
    n->facts->only_node = n->facts->nodes == 1 ? (int32_t)strtol(name + 4, NULL, 10) : -1;
    snprintf(path, sizeof(path), NODE_FOLDER "/%s/meminfo", name);
    char *meminfo = read_long(n->host, path);
    /* "Node 0 MemTotal:       16393008 kB" */
    const char *total = meminfo != NULL ? strstr(meminfo, "MemTotal:") : NULL;
    if (total != NULL && find_line(total, "MemTotal", value, sizeof(value)))
        n->memory += strtod(value, NULL) * 1024;
    else
        n->all_known = false;
    free(meminfo);
    return ACCEL_OK;
}

static bool meminfo_bytes(const struct accel_host *host, const char *key, double *bytes)
{
    char *text = read_long(host, "/proc/meminfo"), value[64];
    const bool found = text != NULL && find_line(text, key, value, sizeof(value));

    if (found)
        *bytes = strtod(value, NULL) * 1024;
    free(text);
    return found;
}

/* The tightest memory.max from this process's control group (version 2) up; 0: none. */
static double cgroup_memory(const struct accel_host *host)
{
    char path[4096], *text = read_long(host, "/proc/self/cgroup"), *group;
    double least = 0, here;

    group = text != NULL ? strstr(text, "0::/") : NULL;
    if (group == NULL || (group != text && group[-1] != '\n')) {
        free(text);
        return 0;
    }
    group += 3;
    group[strcspn(group, "\n")] = '\0';
    for (char *slash; (slash = strrchr(group, '/')) != NULL; *slash = '\0') {
        const int n = snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.max", group);
        if (n > 0 && (size_t)n < sizeof(path) && read_number(host, path, &here) && here > 0 &&
            (least == 0 || here < least))
            least = here; /* "max" is no number */
    }
    free(text);
    return least;
}

static void take_topology(const struct accel_host *host, struct facts *f)
{
    struct topology *t = calloc(1, sizeof(*t));
    struct nodes n = {.host = host, .facts = f, .all_known = true};

    f->only_node = -1;
    if (t != NULL) {
        t->host = host;
        t->facts = f;
        host->list(host, CPU_FOLDER, take_cpu, t, NULL);
        free(t);
    }
    host->list(host, NODE_FOLDER, take_node, &n, NULL);
    if (n.all_known && n.memory > 0)
        f->memory_bytes = n.memory;
    else if (!meminfo_bytes(host, "MemTotal", &f->memory_bytes))
        f->memory_bytes = 0;
    const double limit = cgroup_memory(host);
    if (limit > 0 && limit < f->memory_bytes)
        f->memory_bytes = limit;
}

/* ---------------------------------------------------------------- caches, clock, power */

static int take_cache(void *context, const char *name)
{
    struct nodes *n = context;
    char folder[128], path[192], text[32], *end;
    long long level;

    if (!is_numbered(name, "index") || strlen(name) > 16)
        return ACCEL_OK;
    snprintf(folder, sizeof(folder), CPU_FOLDER "/cpu0/cache/%s", name);
    snprintf(path, sizeof(path), "%s/type", folder);
    if (!read_whole(n->host, folder, "level", &level) || level < 1 || level > 3 ||
        n->host->read(n->host, path, text, sizeof(text), NULL) != ACCEL_OK ||
        strcmp(text, "Instruction") == 0)
        return ACCEL_OK;
    snprintf(path, sizeof(path), "%s/size", folder);
    if (n->host->read(n->host, path, text, sizeof(text), NULL) != ACCEL_OK)
        return ACCEL_OK;
    double size = strtod(text, &end); /* "48K" */
    if (end != text && (*end == 'K' || *end == 'M'))
        n->facts->cache[level - 1] = size * (*end == 'K' ? 1024 : 1024 * 1024);
    return ACCEL_OK;
}

struct rapl {
    const struct accel_host *host;
    const char *file;
    double sum; /* of that file over all packages */
    bool found;
};

/* intel-rapl:P is a package or the platform; intel-rapl:P:K are parts of it. */
static int take_rapl(void *context, const char *name)
{
    struct rapl *r = context;
    char path[192], text[64];
    double value;

    if (!is_numbered(name, "intel-rapl:") || strlen(name) > 32)
        return ACCEL_OK;
    snprintf(path, sizeof(path), RAPL_FOLDER "/%s/name", name);
    if (r->host->read(r->host, path, text, sizeof(text), NULL) != ACCEL_OK ||
        strncmp(text, "package", 7) != 0)
        return ACCEL_OK;
    snprintf(path, sizeof(path), RAPL_FOLDER "/%s/%s", name, r->file);
    if (read_number(r->host, path, &value) && value > 0) {
        r->sum += value;
        r->found = true;
    }
    return ACCEL_OK;
}

static bool sum_rapl(const struct accel_host *host, const char *file, double *sum)
{
    struct rapl r = {.host = host, .file = file};

    host->list(host, RAPL_FOLDER, take_rapl, &r, NULL);
    *sum = r.sum;
    return r.found;
}

/* ---------------------------------------------------------------- the module */

static int cpu_open(const struct accel_host *host, const struct accel_driver_config *config,
                    void **self, struct accel_error *err)
{
    struct cpu *cpu = calloc(1, sizeof(*cpu));

    (void)config;
    if (cpu == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory");
    cpu->host = host;
    *self = cpu;
    return ACCEL_OK;
}

static int tell(struct accel_builder *out, const char *name, double value, enum accel_basis basis,
                struct accel_error *err)
{
    return value > 0 ? out->add_fact(out, name, value, basis, err) : ACCEL_OK;
}

static int tell_facts(const struct facts *f, struct accel_builder *out, struct accel_error *err)
{
    const enum accel_basis reported = ACCEL_BASIS_REPORTED;
    /* The core's threads do not wait for each other's arithmetic: what counts is cores, as far as
     * this process may use them. */
    const double per_core = f->cores > 0 ? (double)f->threads / f->cores : 1;
    const double usable_cores = f->usable > 0 ? f->usable / per_core : f->cores;
    const double hz = usable_cores * f->clock_hz;
    const struct {
        const char *name;
        double value;
        enum accel_basis basis;
    } all[] = {
        {ACCEL_FACT_MEMORY_BYTES, f->memory_bytes, reported},
        {ACCEL_FACT_CORES, f->cores, reported},
        {"threads", f->threads, reported},
        {"sockets", f->sockets, reported},
        {"numa_nodes", f->nodes, reported},
        {"usable_cpus", f->usable, reported},
        {"cache_l1d_bytes", f->cache[0], reported},
        {"cache_l2_bytes", f->cache[1], reported},
        {"cache_l3_bytes", f->cache[2], reported},
        {ACCEL_FACT_CLOCK, f->clock_hz, f->clock_basis},
        {ACCEL_FACT_POWER_LIMIT, f->power_limit_w, reported},
        {ACCEL_FACT_PEAK_FP32, f->fp32 * hz, ACCEL_BASIS_CATALOGUE},
        {ACCEL_FACT_PEAK_FP16, f->fp16 * hz, ACCEL_BASIS_CATALOGUE},
        {ACCEL_FACT_PEAK_BF16, f->bf16 * hz, ACCEL_BASIS_CATALOGUE},
        {ACCEL_FACT_PEAK_INT8, f->int8 * hz, ACCEL_BASIS_CATALOGUE},
    };

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        const int rc = tell(out, all[i].name, all[i].value, all[i].basis, err);
        if (rc != ACCEL_OK)
            return rc;
    }
    return f->isa[0] != '\0' ? out->add_text(out, "isa", f->isa, reported, err) : ACCEL_OK;
}

static void gather(const struct accel_host *host, struct facts *f)
{
    struct nodes caches = {.host = host, .facts = f};
    double khz, microwatts;

    if (read_number(host, CPU_FOLDER "/cpu0/cpufreq/cpuinfo_max_freq", &khz)) {
        f->clock_hz = khz * 1e3;
        f->clock_basis = ACCEL_BASIS_REPORTED;
    }
    take_cpuid(host, f);
    take_cpuinfo(host, f);
    take_topology(host, f);
    host->list(host, CPU_FOLDER "/cpu0/cache", take_cache, &caches, NULL);
    if (host->usable_cpus(host, &f->usable, NULL) != ACCEL_OK)
        f->usable = 0;
    if (sum_rapl(host, "constraint_0_power_limit_uw", &microwatts))
        f->power_limit_w = microwatts / 1e6;
}

static int cpu_discover(void *self, struct accel_builder *out, struct accel_error *err)
{
    const struct cpu *cpu = self;
    struct facts f = {.clock_basis = ACCEL_BASIS_REPORTED};
    char board[160];

    gather(cpu->host, &f);
    snprintf(board, sizeof(board),
             "{\"controller\": \"CPU\", \"product_id\": \"%02x-%02x-%02x\", \"sockets\": %u}",
             f.family, f.model_number, f.stepping, f.sockets);
    const struct accel_found_device device = {
        .struct_size = sizeof(device),
        .type = "CPU",
        .serial = "0",
        .vendor = f.vendor[0] != '\0' ? f.vendor : "unknown",
        .model = f.model[0] != '\0' ? f.model : "CPU",
        .std_board_info = board,
        .numa_node = f.only_node,
        .iommu_group = -1,
        .runnable = true,
    };
    const struct accel_found_deployable deployable = {.struct_size = sizeof(deployable),
                                                      .num_accelerators = 1};

    int rc = out->add_device(out, &device, err);
    if (rc == ACCEL_OK)
        rc = tell_facts(&f, out, err);
    if (rc == ACCEL_OK)
        rc = out->add_deployable(out, &deployable, err);
    return rc;
}

static int cpu_watch(void *self, struct accel_watch *out, struct accel_error *err)
{
    const struct cpu *cpu = self;

    /* Elsewhere than on the machine itself nothing changes. */
    if (cpu->host->uevents(cpu->host, "cpu", &out->fd, err) != ACCEL_OK)
        out->fd = -1;
    return ACCEL_OK;
}

/* Ratio of time not idle since the last read, from the first line of /proc/stat (proc(5)). */
static bool utilisation(struct cpu *cpu, double *ratio)
{
    unsigned long long t[8] = {0};
    char *text = read_long(cpu->host, "/proc/stat");
    uint64_t total = 0;

    const bool good =
        text != NULL && sscanf(text, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &t[0], &t[1],
                               &t[2], &t[3], &t[4], &t[5], &t[6], &t[7]) >= 4;
    free(text);
    if (!good)
        return false;
    for (int i = 0; i < 8; i++)
        total += t[i];
    const uint64_t busy = total - t[3] - t[4]; /* less idle and iowait */
    const bool usable = cpu->has_stat && total > cpu->total && busy >= cpu->busy;
    if (usable)
        *ratio = (double)(busy - cpu->busy) / (double)(total - cpu->total);
    cpu->busy = busy;
    cpu->total = total;
    cpu->has_stat = true;
    return usable;
}

static int add_reading(struct accel_readings *out, const char *name, double value,
                       struct accel_error *err)
{
    const struct accel_reading reading = {
        .struct_size = sizeof(reading), .identity = "cpu:0", .name = name, .value = value};

    return out->add(out, &reading, err);
}

static int cpu_read(void *self, struct accel_readings *out, struct accel_error *err)
{
    struct cpu *cpu = self;
    double total, available, value;
    int rc = ACCEL_OK;

    if (meminfo_bytes(cpu->host, "MemTotal", &total) &&
        meminfo_bytes(cpu->host, "MemAvailable", &available))
        rc = add_reading(out, "memory_used_bytes", total - available, err);
    if (rc == ACCEL_OK && utilisation(cpu, &value))
        rc = add_reading(out, "utilization_ratio", value, err);
    /* Mode 0400 since Linux 5.10: without root there is none. */
    if (rc == ACCEL_OK && sum_rapl(cpu->host, "energy_uj", &value))
        rc = add_reading(out, "energy_joules", value / 1e6, err);
    return rc;
}

static void cpu_close(void *self)
{
    free(self);
}

ACCEL_DRIVER(.name = "cpu", .family = "cpu", .version = "1.0", .priority = 100, .open = cpu_open,
             .discover = cpu_discover, .watch = cpu_watch, .read = cpu_read, .close = cpu_close);
