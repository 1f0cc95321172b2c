/* SPDX-License-Identifier: Apache-2.0 */
#include "hardware/build.h"

#include <ctype.h>
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bump.h"
#include "base/log.h"

#define NAME_MAX_BYTES  255   /* Cyborg's column width, and Placement's */
#define BOARD_MAX_BYTES 16384 /* board infos are unbounded text at Cyborg's */
#define PROBLEMS_MAX    1024  /* more of them help nobody */
#define PER_DEVICE_MAX  4096  /* facts, deployables, handles, traits of one device */

/* A set of strings: open addressing, for identities and names in a list of thousands. */
struct set {
    const char **slots;
    size_t capacity, count; /* capacity is a power of two */
};

struct accel_build {
    struct accel_builder builder;
    struct accel_bump mem;
    Accel__Ipc__DeviceList list;
    size_t devices_room, problems_room, annotations_room;
    const char *module, *hostname;
    struct set identities, names;

    /* The device and deployable that add_ speaks of; NULL when it was left out, whose facts are
     * dropped without a further problem. */
    Accel__Ipc__Device *device;
    Accel__Ipc__Deployable *deployable;
    bool device_left_out, deployable_left_out;
    size_t facts_room, deployables_room, handles_room; /* of the present device or deployable */

    struct accel_error failed; /* the first NOMEM or LIMIT; code 0: none */
};

/* ---------------------------------------------------------------- memory */

static int out_of_memory(struct accel_build *build, struct accel_error *err)
{
    accel_fail(&build->failed, ACCEL_E_NOMEM, "no memory to record what %s finds", build->module);
    return accel_fail(err, ACCEL_E_NOMEM, "%s", build->failed.msg);
}

/* Appends to an array of pointers that lives in the bump memory, as protobuf-c wants it. */
static bool append(struct accel_build *build, void *array_of_pointers, size_t *count, size_t *room,
                   void *item)
{
    void ***array = array_of_pointers;

    if (*count == *room) {
        const size_t more = *room > 0 ? *room * 2 : 8;
        void **grown = accel_bump_alloc(&build->mem, more, sizeof(*grown));
        if (grown == NULL)
            return false;
        if (*count > 0)
            memcpy(grown, *array, *count * sizeof(*grown));
        *array = grown;
        *room = more;
    }
    (*array)[(*count)++] = item;
    return true;
}

static size_t hash(const char *text)
{
    size_t h = 14695981039346656037u; /* FNV-1a */

    while (*text != '\0')
        h = (h ^ (unsigned char)*text++) * 1099511628211u;
    return h;
}

/* 1: added, 0: was there already, -1: no memory. */
static int set_add(struct accel_build *build, struct set *set, const char *text)
{
    if (set->count * 2 >= set->capacity) {
        const size_t more = set->capacity > 0 ? set->capacity * 2 : 64;
        const char **slots = accel_bump_alloc(&build->mem, more, sizeof(*slots));
        if (slots == NULL)
            return -1;
        for (size_t i = 0; i < set->capacity; i++) {
            if (set->slots[i] == NULL)
                continue;
            size_t at = hash(set->slots[i]) & (more - 1);
            while (slots[at] != NULL)
                at = (at + 1) & (more - 1);
            slots[at] = set->slots[i];
        }
        set->slots = slots;
        set->capacity = more;
    }
    size_t at = hash(text) & (set->capacity - 1);
    for (; set->slots[at] != NULL; at = (at + 1) & (set->capacity - 1))
        if (strcmp(set->slots[at], text) == 0)
            return 0;
    set->slots[at] = text;
    set->count++;
    return 1;
}

/* ---------------------------------------------------------------- rules */

bool accel_build_is_type(const char *type)
{
    static const char *const types[] = {"GPU", "FPGA", "AICHIP", "QAT",
                                        "NIC", "SSD",  "CPU",    "OPENCL"};

    for (size_t i = 0; i < ACCEL_COUNT(types); i++)
        if (strcmp(types[i], type) == 0)
            return true;
    return false;
}

bool accel_build_is_pci_address(const char *address)
{
    static const char hex[] = "0123456789abcdef";
    const size_t domain = strspn(address, hex);

    if (domain < 4 || domain > 8 || address[domain] != ':')
        return false;
    const char *bus = address + domain + 1;
    return strspn(bus, hex) == 2 && bus[2] == ':' && (bus[3] == '0' || bus[3] == '1') &&
           strspn(bus + 3, hex) == 2 && bus[5] == '.' && bus[6] >= '0' && bus[6] <= '7' &&
           bus[7] == '\0';
}

/* Placement's own name space (os-traits, os-resource-classes) begins with one of these words. */
static bool is_placement_name(const char *text, const char *const *prefixes)
{
    const size_t length = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

    if (text[length] != '\0' || length > NAME_MAX_BYTES)
        return false;
    for (; *prefixes != NULL; prefixes++)
        if (strncmp(text, *prefixes, strlen(*prefixes)) == 0 && length > strlen(*prefixes))
            return true;
    return false;
}

bool accel_build_is_trait(const char *trait)
{
    static const char *const prefixes[] = {"CUSTOM_", "HW_",      "OWNER_", "COMPUTE_",
                                           "MISC_",   "STORAGE_", NULL};

    return is_placement_name(trait, prefixes);
}

bool accel_build_is_resource_class(const char *name)
{
    static const char *const standard[] = {"FPGA", "PGPU", "VGPU", "PCI_DEVICE", "SRIOV_NET_VF"};
    static const char *const prefixes[] = {"CUSTOM_", NULL};

    for (size_t i = 0; i < ACCEL_COUNT(standard); i++)
        if (strcmp(standard[i], name) == 0)
            return true;
    return is_placement_name(name, prefixes);
}

/* Length of the UTF-8 sequence at `p` (no overlong forms, no surrogates), 0 when it is none. */
static size_t utf8_length(const unsigned char *p)
{
    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xc2 && p[0] <= 0xdf)
        return (p[1] & 0xc0) == 0x80 ? 2 : 0;
    if (p[0] >= 0xe0 && p[0] <= 0xef) {
        if ((p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80)
            return 0;
        if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f))
            return 0;
        return 3;
    }
    if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        if ((p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80 || (p[3] & 0xc0) != 0x80)
            return 0;
        if ((p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
            return 0;
        return 4;
    }
    return 0;
}

/* A copy fit to be shown: what is no UTF-8 and what is not printed becomes '?', cut to `max`. */
static char *clean_copy(struct accel_build *build, const char *text, size_t max)
{
    const size_t size = ACCEL_MIN(strlen(text), max);
    char *copy = accel_bump_alloc(&build->mem, size + 1, 1);
    size_t used = 0;

    if (copy == NULL)
        return NULL;
    for (const char *at = text; *at != '\0';) {
        const size_t n = utf8_length((const unsigned char *)at);
        if (used + (n > 0 ? n : 1) > size)
            break;
        if (n == 0 || (unsigned char)*at < 0x20 || *at == 0x7f) {
            copy[used++] = '?';
            at++;
        } else {
            memcpy(copy + used, at, n);
            used += n;
            at += n;
        }
    }
    return copy;
}

/* Printable ASCII without blanks: what may stand in an identity. */
static bool is_plain(const char *text, const char *forbidden)
{
    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++)
        if (*text <= 0x20 || *text >= 0x7f || strchr(forbidden, *text) != NULL)
            return false;
    return true;
}

static bool is_fact_name(const char *name)
{
    const size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_.:-");

    return length > 0 && length <= NAME_MAX_BYTES && name[length] == '\0' &&
           islower((unsigned char)name[0]);
}

static bool is_basis(enum accel_basis basis)
{
    return basis == ACCEL_BASIS_CATALOGUE || basis == ACCEL_BASIS_REPORTED ||
           basis == ACCEL_BASIS_MEASURED;
}

/* ---------------------------------------------------------------- problems */

static int add_problem(struct accel_build *build, const char *where, const char *reason)
{
    Accel__Ipc__Problem *problem;

    accel_log_warning("not usable", "module=%s where=\"%s\" reason=\"%s\"", build->module, where,
                      reason);
    if (build->list.n_problems >= PROBLEMS_MAX)
        return ACCEL_OK;
    problem = accel_bump_alloc(&build->mem, 1, sizeof(*problem));
    if (problem == NULL)
        return out_of_memory(build, NULL);
    accel__ipc__problem__init(problem);
    problem->where = clean_copy(build, where, NAME_MAX_BYTES);
    problem->reason = clean_copy(build, reason, ACCEL_ERROR_MSG_MAX);
    if (problem->where == NULL || problem->reason == NULL ||
        !append(build, &build->list.problems, &build->list.n_problems, &build->problems_room,
                problem))
        return out_of_memory(build, NULL);
    return ACCEL_OK;
}

/* Leaves something out: records why and returns what the module's call returns. */
ACCEL_PRINTF(4, 5)
static int leave_out(struct accel_build *build, struct accel_error *err, const char *where,
                     const char *fmt, ...)
{
    char reason[ACCEL_ERROR_MSG_MAX];
    va_list args;

    va_start(args, fmt);
    vsnprintf(reason, sizeof(reason), fmt, args);
    va_end(args);
    return add_problem(build, where, reason) == ACCEL_OK ? ACCEL_OK : out_of_memory(build, err);
}

static void builder_problem(struct accel_builder *out, const char *where, const char *reason)
{
    add_problem(out->self, where != NULL ? where : "", reason != NULL ? reason : "");
}

/* ---------------------------------------------------------------- devices */

/* "pci:0000:3b:00.0/gi1", "cpu:0". NULL with a reason, or with reason "" when memory is out. */
static const char *make_identity(struct accel_build *build, const struct accel_found_device *d,
                                 char *reason, size_t size)
{
    const bool pci = d->pci_address != NULL && d->pci_address[0] != '\0';
    const char *partition = d->partition != NULL && d->partition[0] != '\0' ? d->partition : NULL;
    const char *identity;

    reason[0] = '\0';
    if (pci && !accel_build_is_pci_address(d->pci_address))
        snprintf(reason, size, "\"%.40s\" is no PCI address", d->pci_address);
    else if (!pci && (d->serial == NULL || d->serial[0] == '\0'))
        snprintf(reason, size, "it has neither a PCI address nor a serial");
    else if (!pci && !is_plain(d->serial, "/"))
        snprintf(reason, size, "its serial has a blank, a slash or a strange character");
    else if (partition != NULL && !is_plain(partition, ""))
        snprintf(reason, size, "its partition has a blank or a strange character");
    if (reason[0] != '\0')
        return NULL;
    identity = accel_bump_printf(&build->mem, "%s:%s%s%s", pci ? "pci" : build->module,
                                 pci ? d->pci_address : d->serial, partition != NULL ? "/" : "",
                                 partition != NULL ? partition : "");
    if (identity != NULL && strlen(identity) > NAME_MAX_BYTES) {
        snprintf(reason, size, "its identity is longer than %d bytes", NAME_MAX_BYTES);
        return NULL;
    }
    return identity;
}

/* For messages, before an identity exists. */
static void describe(const struct accel_found_device *d, const char *module, char *text,
                     size_t size)
{
    snprintf(text, size, "%s %s", module,
             d->pci_address != NULL ? d->pci_address
             : d->serial != NULL    ? d->serial
                                    : "device");
}

static bool is_health(const char *health)
{
    return strcmp(health, "ok") == 0 || strcmp(health, "degraded") == 0 ||
           strcmp(health, "failed") == 0;
}

static bool is_json(const char *text)
{
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);

    json_decref(json);
    return json != NULL;
}

/* The sentence that says which rule it breaks, or NULL. */
static const char *broken_rule(const struct accel_found_device *d, char *text, size_t size)
{
    if (d->struct_size < offsetof(struct accel_found_device, parent) + sizeof(d->parent))
        snprintf(text, size, "struct_size is %zu", d->struct_size);
    else if (d->type == NULL || !accel_build_is_type(d->type))
        snprintf(text, size, "type \"%.40s\" is none of GPU FPGA AICHIP QAT NIC SSD CPU OPENCL",
                 d->type != NULL ? d->type : "");
    else if (d->std_board_info != NULL &&
             (strlen(d->std_board_info) > BOARD_MAX_BYTES || !is_json(d->std_board_info)))
        snprintf(text, size, "std_board_info is no JSON text of at most %d bytes", BOARD_MAX_BYTES);
    else if (d->vendor_board_info != NULL && strlen(d->vendor_board_info) > BOARD_MAX_BYTES)
        snprintf(text, size, "vendor_board_info is longer than %d bytes", BOARD_MAX_BYTES);
    else if (d->health != NULL && !is_health(d->health))
        snprintf(text, size, "health \"%.40s\" is none of ok degraded failed", d->health);
    else if (d->parent != NULL && d->parent[0] != '\0' &&
             (!is_plain(d->parent, "") || strchr(d->parent, ':') == NULL ||
              strlen(d->parent) > NAME_MAX_BYTES))
        snprintf(text, size, "parent \"%.40s\" is no identity", d->parent);
    else if (d->numa_node < -1 || d->iommu_group < -1)
        snprintf(text, size, "NUMA node or IOMMU group below -1");
    else
        return NULL;
    return text;
}

static char *copy_or_empty(struct accel_build *build, const char *text, size_t max)
{
    return clean_copy(build, text != NULL ? text : "", max);
}

static bool fill_device(struct accel_build *build, Accel__Ipc__Device *to,
                        const struct accel_found_device *d)
{
    to->type = copy_or_empty(build, d->type, NAME_MAX_BYTES);
    to->pci_address = copy_or_empty(build, d->pci_address, NAME_MAX_BYTES);
    to->serial = copy_or_empty(build, d->serial, NAME_MAX_BYTES);
    to->partition = copy_or_empty(build, d->partition, NAME_MAX_BYTES);
    to->vendor = copy_or_empty(build, d->vendor, NAME_MAX_BYTES);
    to->model = copy_or_empty(build, d->model, NAME_MAX_BYTES);
    to->std_board_info = copy_or_empty(build, d->std_board_info, BOARD_MAX_BYTES);
    to->vendor_board_info = copy_or_empty(build, d->vendor_board_info, BOARD_MAX_BYTES);
    to->health = copy_or_empty(build, d->health != NULL ? d->health : "ok", NAME_MAX_BYTES);
    to->health_reason = copy_or_empty(build, d->health_reason, ACCEL_ERROR_MSG_MAX);
    to->parent = copy_or_empty(build, d->parent, NAME_MAX_BYTES);
    to->numa_node = d->numa_node;
    to->iommu_group = d->iommu_group;
    to->runnable = d->runnable;
    return to->type != NULL && to->pci_address != NULL && to->serial != NULL &&
           to->partition != NULL && to->vendor != NULL && to->model != NULL &&
           to->std_board_info != NULL && to->vendor_board_info != NULL && to->health != NULL &&
           to->health_reason != NULL && to->parent != NULL;
}

/* A deployable says how many accelerators it has; its handles must be as many, if it has any. */
static int settle_deployable(struct accel_build *build, struct accel_error *err)
{
    Accel__Ipc__Deployable *d = build->deployable;

    build->deployable = NULL;
    build->deployable_left_out = false;
    if (d == NULL || d->n_handles == 0 || d->n_handles == d->num_accelerators)
        return ACCEL_OK;
    const uint32_t said = d->num_accelerators;
    d->num_accelerators = (uint32_t)d->n_handles;
    return leave_out(build, err, d->name, "%u accelerators announced, %zu attach handles usable",
                     said, d->n_handles);
}

static int builder_add_device(struct accel_builder *out, const struct accel_found_device *found,
                              struct accel_error *err)
{
    struct accel_build *build = out->self;
    char where[128], reason[256];

    int rc = settle_deployable(build, err);
    if (rc != ACCEL_OK)
        return rc;
    build->device = NULL;
    build->device_left_out = true;
    describe(found, build->module, where, sizeof(where));
    if (broken_rule(found, reason, sizeof(reason)) != NULL)
        return leave_out(build, err, where, "%s", reason);
    if (build->list.n_devices >= ACCEL_BUILD_DEVICES_MAX) {
        accel_fail(&build->failed, ACCEL_E_LIMIT, "%s finds more than %d devices", build->module,
                   ACCEL_BUILD_DEVICES_MAX);
        return accel_fail(err, ACCEL_E_LIMIT, "%s", build->failed.msg);
    }
    const char *identity = make_identity(build, found, reason, sizeof(reason));
    if (identity == NULL)
        return reason[0] != '\0' ? leave_out(build, err, where, "%s", reason)
                                 : out_of_memory(build, err);
    const int added = set_add(build, &build->identities, identity);
    if (added == 0)
        return leave_out(build, err, identity, "a second device of this identity");
    Accel__Ipc__Device *device = accel_bump_alloc(&build->mem, 1, sizeof(*device));
    if (added < 0 || device == NULL)
        return out_of_memory(build, err);
    accel__ipc__device__init(device);
    device->identity = (char *)identity;
    if (!fill_device(build, device, found) ||
        !append(build, &build->list.devices, &build->list.n_devices, &build->devices_room, device))
        return out_of_memory(build, err);
    build->device = device;
    build->device_left_out = false;
    build->facts_room = build->deployables_room = 0;
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- deployables, handles */

/* True when the call speaks of a device that was left out: it is dropped silently. With no device
 * at all it is the module's mistake and a problem. */
static bool is_dropped(struct accel_build *build, const char *what)
{
    if (build->device != NULL)
        return false;
    if (!build->device_left_out)
        add_problem(build, build->module, what);
    return true;
}

static bool host_side(const Accel__Ipc__Device *device)
{
    return strcmp(device->type, "CPU") == 0 || strcmp(device->type, "OPENCL") == 0;
}

static bool fill_traits(struct accel_build *build, Accel__Ipc__Deployable *to,
                        const char *const *traits)
{
    size_t room = 0;

    for (; traits != NULL && *traits != NULL; traits++) {
        if (!accel_build_is_trait(*traits) || to->n_traits >= PER_DEVICE_MAX) {
            char reason[128];
            snprintf(reason, sizeof(reason),
                     "trait \"%.60s\" is no name for Placement (CUSTOM_[A-Z0-9_]+)", *traits);
            if (add_problem(build, to->name, reason) != ACCEL_OK)
                return false;
            continue;
        }
        char *copy = accel_bump_strdup(&build->mem, *traits);
        if (copy == NULL || !append(build, &to->traits, &to->n_traits, &room, copy))
            return false;
    }
    return true;
}

static int builder_add_deployable(struct accel_builder *out,
                                  const struct accel_found_deployable *found,
                                  struct accel_error *err)
{
    struct accel_build *build = out->self;
    char *name;

    int rc = settle_deployable(build, err);
    if (rc != ACCEL_OK)
        return rc;
    build->deployable_left_out = true;
    if (is_dropped(build, "a deployable before any device"))
        return ACCEL_OK;
    Accel__Ipc__Device *device = build->device;
    const bool pci = device->pci_address[0] != '\0';
    if (found->name != NULL)
        name = clean_copy(build, found->name, NAME_MAX_BYTES + 1);
    else
        name = accel_bump_printf(&build->mem, "%s_%s%s%s%s%s", build->hostname,
                                 pci ? "" : build->module, pci ? "" : "_",
                                 pci ? device->pci_address : device->serial,
                                 device->partition[0] != '\0' ? "_" : "", device->partition);
    if (name == NULL)
        return out_of_memory(build, err);
    if (name[0] == '\0' || strlen(name) > NAME_MAX_BYTES)
        return leave_out(build, err, device->identity,
                         "a deployable's name is empty or longer than %d bytes", NAME_MAX_BYTES);
    if (found->resource_class != NULL && host_side(device))
        return leave_out(build, err, name, "a %s has no resource class", device->type);
    if (found->resource_class != NULL && !accel_build_is_resource_class(found->resource_class))
        return leave_out(build, err, name, "\"%.60s\" is no resource class", found->resource_class);
    if (device->n_deployables >= PER_DEVICE_MAX)
        return leave_out(build, err, name, "more than %d deployables", PER_DEVICE_MAX);
    const int added = set_add(build, &build->names, name);
    if (added == 0)
        return leave_out(build, err, name, "a second deployable of this name");
    Accel__Ipc__Deployable *made = accel_bump_alloc(&build->mem, 1, sizeof(*made));
    if (added < 0 || made == NULL)
        return out_of_memory(build, err);
    accel__ipc__deployable__init(made);
    made->name = name;
    made->num_accelerators = found->num_accelerators;
    made->resource_class = copy_or_empty(build, found->resource_class, NAME_MAX_BYTES);
    if (made->resource_class == NULL || !fill_traits(build, made, found->traits) ||
        !append(build, &device->deployables, &device->n_deployables, &build->deployables_room,
                made))
        return out_of_memory(build, err);
    build->deployable = made;
    build->deployable_left_out = false;
    build->handles_room = 0;
    return ACCEL_OK;
}

static bool is_hex(const json_t *object, const char *key, size_t least, size_t most)
{
    const char *text = json_string_value(json_object_get(object, key));

    if (text == NULL)
        return false;
    const size_t length = strspn(text, "0123456789abcdef");
    return text[length] == '\0' && length >= least && length <= most;
}

/* attach_info as it is stored: an object of strings, sorted keys, no blanks. NULL and a reason when
 * it breaks a rule; NULL and "" when memory is out. */
static char *canonical_info(struct accel_build *build, const struct accel_found_handle *found,
                            char *reason, size_t size)
{
    json_t *json = json_loads(found->attach_info, JSON_REJECT_DUPLICATES, NULL), *value;
    const char *key;
    char *dumped = NULL, *copy = NULL;

    reason[0] = '\0';
    if (!json_is_object(json))
        snprintf(reason, size, "attach_info is no JSON object");
    json_object_foreach(json, key, value) {
        if (!json_is_string(value))
            snprintf(reason, size, "attach_info: \"%.40s\" is no string", key);
    }
    if (reason[0] == '\0' && (!is_hex(json, "domain", 4, 8) || !is_hex(json, "bus", 2, 2) ||
                              !is_hex(json, "device", 2, 2) || !is_hex(json, "function", 1, 1)))
        snprintf(reason, size, "attach_info lacks domain, bus, device or function in hexadecimal");
    if (reason[0] == '\0')
        dumped = json_dumps(json, JSON_SORT_KEYS | JSON_COMPACT);
    if (dumped != NULL && strlen(dumped) > NAME_MAX_BYTES)
        snprintf(reason, size, "attach_info is longer than %d bytes", NAME_MAX_BYTES);
    else if (dumped != NULL)
        copy = accel_bump_strdup(&build->mem, dumped);
    free(dumped);
    json_decref(json);
    return copy;
}

static int builder_add_handle(struct accel_builder *out, const struct accel_found_handle *found,
                              struct accel_error *err)
{
    struct accel_build *build = out->self;
    char reason[128];

    if (is_dropped(build, "an attach handle before any device") || build->deployable_left_out)
        return ACCEL_OK;
    if (build->deployable == NULL)
        return leave_out(build, err, build->device->identity,
                         "an attach handle before any deployable");
    Accel__Ipc__Deployable *deployable = build->deployable;
    if (host_side(build->device))
        return leave_out(build, err, deployable->name, "a %s has no attach handle",
                         build->device->type);
    if (found->attach_type == NULL ||
        (strcmp(found->attach_type, "PCI") != 0 && strcmp(found->attach_type, "MDEV") != 0 &&
         strcmp(found->attach_type, "TEST_PCI") != 0))
        return leave_out(build, err, deployable->name,
                         "attach type \"%.40s\" is none of PCI MDEV TEST_PCI",
                         found->attach_type != NULL ? found->attach_type : "");
    if (found->attach_info == NULL || deployable->n_handles >= PER_DEVICE_MAX)
        return leave_out(build, err, deployable->name,
                         "an attach handle without attach_info, or more than %d", PER_DEVICE_MAX);
    char *info = canonical_info(build, found, reason, sizeof(reason));
    if (info == NULL)
        return reason[0] != '\0' ? leave_out(build, err, deployable->name, "%s", reason)
                                 : out_of_memory(build, err);
    for (size_t i = 0; i < deployable->n_handles; i++)
        if (strcmp(deployable->handles[i]->attach_info, info) == 0)
            return leave_out(build, err, deployable->name, "attach handle %s twice", info);
    Accel__Ipc__Handle *made = accel_bump_alloc(&build->mem, 1, sizeof(*made));
    if (made == NULL)
        return out_of_memory(build, err);
    accel__ipc__handle__init(made);
    made->attach_info = info;
    made->attach_type = accel_bump_strdup(&build->mem, found->attach_type);
    if (made->attach_type == NULL ||
        !append(build, &deployable->handles, &deployable->n_handles, &build->handles_room, made))
        return out_of_memory(build, err);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- facts */

/* `text` NULL: a number. Returns NULL with a reason, or "" when memory is out. */
static Accel__Ipc__Fact *make_fact(struct accel_build *build, const char *identity,
                                   const char *name, double number, const char *text,
                                   enum accel_basis basis, char *reason, size_t size)
{
    reason[0] = '\0';
    if (name == NULL || !is_fact_name(name))
        snprintf(reason, size, "\"%.40s\" is no name of a fact", name != NULL ? name : "");
    else if (!is_basis(basis))
        snprintf(reason, size, "fact %s: basis %d is unknown", name, (int)basis);
    else if (text == NULL && !isfinite(number))
        snprintf(reason, size, "fact %s is not a finite number", name);
    if (reason[0] != '\0')
        return NULL;
    Accel__Ipc__Fact *fact = accel_bump_alloc(&build->mem, 1, sizeof(*fact));
    if (fact == NULL)
        return NULL;
    accel__ipc__fact__init(fact);
    fact->identity = copy_or_empty(build, identity, NAME_MAX_BYTES);
    fact->name = accel_bump_strdup(&build->mem, name);
    fact->basis = (uint32_t)basis;
    if (text != NULL) {
        fact->value_case = ACCEL__IPC__FACT__VALUE_TEXT;
        fact->text = clean_copy(build, text, BOARD_MAX_BYTES);
        if (fact->text == NULL)
            return NULL;
    } else {
        fact->value_case = ACCEL__IPC__FACT__VALUE_NUMBER;
        fact->number = number;
    }
    return fact->identity != NULL && fact->name != NULL ? fact : NULL;
}

/* The same fact said twice: the later one counts. */
static bool replace_fact(Accel__Ipc__Fact **facts, size_t count, Accel__Ipc__Fact *fact)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(facts[i]->name, fact->name) == 0) {
            facts[i] = fact;
            return true;
        }
    return false;
}

static int take_fact(struct accel_build *build, const char *name, double number, const char *text,
                     enum accel_basis basis, struct accel_error *err)
{
    char reason[160];

    if (is_dropped(build, "a fact before any device"))
        return ACCEL_OK;
    Accel__Ipc__Device *device = build->device;
    Accel__Ipc__Fact *fact =
        make_fact(build, NULL, name, number, text, basis, reason, sizeof(reason));
    if (fact == NULL)
        return reason[0] != '\0' ? leave_out(build, err, device->identity, "%s", reason)
                                 : out_of_memory(build, err);
    if (replace_fact(device->facts, device->n_facts, fact))
        return ACCEL_OK;
    if (device->n_facts >= PER_DEVICE_MAX)
        return leave_out(build, err, device->identity, "more than %d facts", PER_DEVICE_MAX);
    if (!append(build, &device->facts, &device->n_facts, &build->facts_room, fact))
        return out_of_memory(build, err);
    return ACCEL_OK;
}

static int builder_add_fact(struct accel_builder *out, const char *name, double value,
                            enum accel_basis basis, struct accel_error *err)
{
    return take_fact(out->self, name, value, NULL, basis, err);
}

static int builder_add_text(struct accel_builder *out, const char *name, const char *value,
                            enum accel_basis basis, struct accel_error *err)
{
    return take_fact(out->self, name, 0, value != NULL ? value : "", basis, err);
}

static int take_annotation(struct accel_build *build, const char *identity, const char *name,
                           double number, const char *text, enum accel_basis basis,
                           struct accel_error *err)
{
    char reason[160];

    if (identity == NULL || strchr(identity, ':') == NULL || !is_plain(identity, "") ||
        strlen(identity) > NAME_MAX_BYTES)
        return leave_out(build, err, build->module, "annotation: \"%.60s\" is no identity",
                         identity != NULL ? identity : "");
    Accel__Ipc__Fact *fact =
        make_fact(build, identity, name, number, text, basis, reason, sizeof(reason));
    if (fact == NULL)
        return reason[0] != '\0' ? leave_out(build, err, identity, "%s", reason)
                                 : out_of_memory(build, err);
    if (!append(build, &build->list.annotations, &build->list.n_annotations,
                &build->annotations_room, fact))
        return out_of_memory(build, err);
    return ACCEL_OK;
}

static int builder_annotate(struct accel_builder *out, const char *identity, const char *name,
                            double value, enum accel_basis basis, struct accel_error *err)
{
    return take_annotation(out->self, identity, name, value, NULL, basis, err);
}

static int builder_annotate_text(struct accel_builder *out, const char *identity, const char *name,
                                 const char *value, enum accel_basis basis, struct accel_error *err)
{
    return take_annotation(out->self, identity, name, 0, value != NULL ? value : "", basis, err);
}

/* ---------------------------------------------------------------- making and freeing */

int accel_build_new(const char *module, const char *hostname, struct accel_build **out,
                    struct accel_error *err)
{
    ACCEL_CLEANUP(accel_build_freep) struct accel_build *build = accel_calloc(1, sizeof(*build));

    if (build == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to record what %s finds", module);
    accel__ipc__device_list__init(&build->list);
    build->builder = (struct accel_builder){
        .struct_size = sizeof(build->builder),
        .self = build,
        .add_device = builder_add_device,
        .add_deployable = builder_add_deployable,
        .add_handle = builder_add_handle,
        .add_fact = builder_add_fact,
        .add_text = builder_add_text,
        .annotate = builder_annotate,
        .annotate_text = builder_annotate_text,
        .problem = builder_problem,
    };
    build->module = accel_bump_strdup(&build->mem, module);
    build->hostname = accel_bump_strdup(&build->mem, hostname);
    if (build->module == NULL || build->hostname == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to record what %s finds", module);
    *out = accel_steal(&build);
    return ACCEL_OK;
}

void accel_build_free(struct accel_build *build)
{
    if (build == NULL)
        return;
    accel_bump_free(&build->mem);
    accel_free(build);
}

void accel_build_freep(struct accel_build **build)
{
    accel_build_free(*build);
    *build = NULL;
}

struct accel_builder *accel_build_builder(struct accel_build *build)
{
    return &build->builder;
}

int accel_build_list(struct accel_build *build, const Accel__Ipc__DeviceList **list,
                     struct accel_error *err)
{
    const int rc = settle_deployable(build, err);

    if (rc != ACCEL_OK)
        return rc;
    if (build->failed.code != 0)
        return accel_fail(err, build->failed.code, "%s", build->failed.msg);
    *list = &build->list;
    return ACCEL_OK;
}
