/* SPDX-License-Identifier: Apache-2.0 */
/* Everything a hardware child sends is checked here: it runs vendor code, with privileges at that,
 * and what it says ends in the record of the node and in other programs' hands. */
#include "core/scan.h"

#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/fd.h"

#define LIST_MAX_BYTES  (64u * 1024u * 1024u)
#define DEVICES_MAX     16384
#define ANNOTATIONS_MAX 65536
#define PROBLEMS_MAX    4096
#define PER_DEVICE_MAX  4096 /* deployables, facts; handles and traits of one deployable */
#define NAME_MAX_SIZE   255  /* Cyborg's column width, and Placement's */
#define BOARD_MAX_SIZE  16384
#define TEXT_MAX_SIZE   4096

struct decoder {
    struct accel_bump *mem;
    struct accel_scan *scan;
    const char *module;
    char reason[ACCEL_ERROR_MSG_MAX]; /* the rule that the device under way breaks */
    bool out_of_memory;
};

/* ---------------------------------------------------------------- rules */

/* Notes the rule that is broken; false, so that a check is one line. */
ACCEL_PRINTF(2, 3) static bool broken(struct decoder *d, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(d->reason, sizeof(d->reason), fmt, args);
    va_end(args);
    return false;
}

static bool no_memory(struct decoder *d)
{
    d->out_of_memory = true;
    return false;
}

/* Length of the UTF-8 sequence at `p` (no overlong form, no surrogate); 0: none. */
static size_t utf8_length(const unsigned char *p)
{
    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xc2 && p[0] <= 0xdf)
        return (p[1] & 0xc0) == 0x80 ? 2 : 0;
    if (p[0] >= 0xe0 && p[0] <= 0xef)
        return (p[1] & 0xc0) == 0x80 && (p[2] & 0xc0) == 0x80 && !(p[0] == 0xe0 && p[1] < 0xa0) &&
                       !(p[0] == 0xed && p[1] > 0x9f)
                   ? 3
                   : 0;
    if (p[0] >= 0xf0 && p[0] <= 0xf4)
        return (p[1] & 0xc0) == 0x80 && (p[2] & 0xc0) == 0x80 && (p[3] & 0xc0) == 0x80 &&
                       !(p[0] == 0xf0 && p[1] < 0x90) && !(p[0] == 0xf4 && p[1] > 0x8f)
                   ? 4
                   : 0;
    return 0;
}

/* UTF-8 without control characters, at most `max` bytes. */
static bool is_text(const char *text, size_t max)
{
    const unsigned char *p = (const unsigned char *)text;

    while (*p != '\0') {
        const size_t n = utf8_length(p);
        if (n == 0 || *p < 0x20 || *p == 0x7f)
            return false;
        p += n;
    }
    return (size_t)(p - (const unsigned char *)text) <= max;
}

/* Printable ASCII without blanks, not empty: what may stand in an identity. */
static bool is_plain(const char *text)
{
    const char *p = text;

    while (*p > 0x20 && *p < 0x7f)
        p++;
    return *p == '\0' && p != text && (size_t)(p - text) <= NAME_MAX_SIZE;
}

static bool is_one_of(const char *text, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i], text) == 0)
            return true;
    return false;
}

static bool is_type(const char *text)
{
    static const char *const list[] = {"GPU", "FPGA", "AICHIP", "QAT",
                                       "NIC", "SSD",  "CPU",    "OPENCL"};

    return is_one_of(text, list, ACCEL_COUNT(list));
}

static bool is_health(const char *text)
{
    static const char *const list[] = {"ok", "degraded", "failed"};

    return is_one_of(text, list, ACCEL_COUNT(list));
}

static bool is_attach_type(const char *text)
{
    static const char *const list[] = {"PCI", "MDEV", "TEST_PCI"}; /* contract 12 */

    return is_one_of(text, list, ACCEL_COUNT(list));
}

bool accel_is_pci_address(const char *text)
{
    static const char hex[] = "0123456789abcdef";
    const size_t domain = strspn(text, hex);

    if (domain < 4 || domain > 8 || text[domain] != ':')
        return false;
    const char *bus = text + domain + 1;
    return strspn(bus, hex) == 2 && bus[2] == ':' && strspn(bus + 3, hex) == 2 && bus[5] == '.' &&
           bus[6] >= '0' && bus[6] <= '7' && bus[7] == '\0';
}

/* What Placement takes as the name of a class or trait. */
static bool is_placement_name(const char *text)
{
    const size_t length = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

    return length > 0 && length <= NAME_MAX_SIZE && text[length] == '\0';
}

static bool is_fact_name(const char *text)
{
    const size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_.:-");

    return length > 0 && length <= NAME_MAX_SIZE && text[length] == '\0' && text[0] >= 'a' &&
           text[0] <= 'z';
}

/* ---------------------------------------------------------------- strings */

/* A copy in the scan's memory; "" becomes NULL. */
static bool take(struct decoder *d, const char *from, const char **to)
{
    *to = NULL;
    if (from[0] == '\0')
        return true;
    *to = accel_bump_strdup(d->mem, from);
    return *to != NULL || no_memory(d);
}

static bool take_text(struct decoder *d, const char *what, const char *from, size_t max,
                      const char **to)
{
    if (!is_text(from, max))
        return broken(d, "its %s is no UTF-8 text of at most %zu bytes", what, max);
    return take(d, from, to);
}

static bool keep(struct decoder *d, const char *from, const char **to)
{
    *to = accel_bump_strdup(d->mem, from);
    return *to != NULL || no_memory(d);
}

/* ---------------------------------------------------------------- handles, deployables */

static void decref_json(json_t **json)
{
    json_decref(*json);
}

static void free_text(char **text)
{
    free(*text); /* jansson's own allocation */
}

/* attach_info as the store compares it: a JSON object of strings, keys sorted, no blanks. */
static bool take_attach_info(struct decoder *d, const char *from, const char **to)
{
    json_error_t where;
    ACCEL_CLEANUP(decref_json) json_t *json = json_loads(from, JSON_REJECT_DUPLICATES, &where);
    const char *key;
    json_t *value;

    if (json == NULL && json_error_code(&where) == json_error_out_of_memory)
        return no_memory(d);
    if (!json_is_object(json))
        return broken(d, "attach_info \"%.60s\" is no JSON object",
                      is_text(from, 1024) ? from : "");
    json_object_foreach(json, key, value) {
        if (!json_is_string(value))
            return broken(d, "attach_info: \"%.60s\" is no string", key);
    }
    ACCEL_CLEANUP(free_text) char *text = json_dumps(json, JSON_SORT_KEYS | JSON_COMPACT);
    if (text == NULL)
        return no_memory(d);
    if (strlen(text) > NAME_MAX_SIZE)
        return broken(d, "attach_info is longer than %d bytes", NAME_MAX_SIZE);
    return keep(d, text, to);
}

static bool take_handles(struct decoder *d, const Accel__Ipc__Deployable *from,
                         struct accel_scan_deployable *to)
{
    to->handles = accel_bump_alloc(d->mem, from->n_handles, sizeof(*to->handles));
    if (to->handles == NULL)
        return no_memory(d);
    for (size_t i = 0; i < from->n_handles; i++) {
        struct accel_scan_handle *handle = &to->handles[i];
        if (!is_attach_type(from->handles[i]->attach_type))
            return broken(d, "attach type \"%.40s\" is none of PCI MDEV TEST_PCI",
                          is_plain(from->handles[i]->attach_type) ? from->handles[i]->attach_type
                                                                  : "");
        if (!keep(d, from->handles[i]->attach_type, &handle->attach_type) ||
            !take_attach_info(d, from->handles[i]->attach_info, &handle->attach_info))
            return false;
        for (size_t j = 0; j < i; j++)
            if (strcmp(to->handles[j].attach_info, handle->attach_info) == 0)
                return broken(d, "two attach handles are %s", handle->attach_info);
        to->handles_count++;
    }
    return true;
}

static bool take_traits(struct decoder *d, const Accel__Ipc__Deployable *from,
                        struct accel_scan_deployable *to)
{
    to->traits = accel_bump_alloc(d->mem, from->n_traits, sizeof(*to->traits));
    if (to->traits == NULL)
        return no_memory(d);
    for (size_t i = 0; i < from->n_traits; i++) {
        if (!is_placement_name(from->traits[i]))
            return broken(d, "trait \"%.60s\" is none that Placement takes",
                          is_plain(from->traits[i]) ? from->traits[i] : "");
        if (!keep(d, from->traits[i], &to->traits[i]))
            return false;
        to->traits_count++;
    }
    return true;
}

static bool take_deployable(struct decoder *d, const Accel__Ipc__Deployable *from,
                            struct accel_scan_deployable *to)
{
    if (from->n_handles > PER_DEVICE_MAX || from->n_traits > PER_DEVICE_MAX)
        return broken(d, "a deployable has more than %d handles or traits", PER_DEVICE_MAX);
    if (from->num_accelerators > INT32_MAX ||
        (from->n_handles > 0 && from->n_handles != from->num_accelerators))
        return broken(d, "a deployable of %u accelerators has %zu attach handles",
                      from->num_accelerators, from->n_handles);
    if (from->resource_class[0] != '\0' && !is_placement_name(from->resource_class))
        return broken(d, "resource class \"%.60s\" is none that Placement takes",
                      is_plain(from->resource_class) ? from->resource_class : "");
    to->num_accelerators = from->num_accelerators;
    return take_text(d, "deployable's name", from->name, NAME_MAX_SIZE, &to->name) &&
           take(d, from->resource_class, &to->resource_class) && take_traits(d, from, to) &&
           take_handles(d, from, to);
}

static bool take_deployables(struct decoder *d, const Accel__Ipc__Device *from,
                             struct accel_scan_device *to)
{
    to->deployables = accel_bump_alloc(d->mem, from->n_deployables, sizeof(*to->deployables));
    if (to->deployables == NULL)
        return no_memory(d);
    for (size_t i = 0; i < from->n_deployables; i++) {
        struct accel_scan_deployable *deployable = &to->deployables[i];
        if (!take_deployable(d, from->deployables[i], deployable))
            return false;
        for (size_t j = 0; j < i && deployable->name != NULL; j++)
            if (to->deployables[j].name != NULL &&
                strcmp(to->deployables[j].name, deployable->name) == 0)
                return broken(d, "two deployables are called %s", deployable->name);
        to->deployables_count++;
    }
    return true;
}

/* ---------------------------------------------------------------- facts */

static bool take_fact(struct decoder *d, const Accel__Ipc__Fact *from, struct accel_fact *to)
{
    if (!is_fact_name(from->name))
        return broken(d, "\"%.60s\" is no name of a fact", is_plain(from->name) ? from->name : "");
    if (from->basis < ACCEL_BASIS_CATALOGUE || from->basis > ACCEL_BASIS_MEASURED)
        return broken(d, "fact %s: %u is no basis", from->name, from->basis);
    to->basis = (enum accel_basis)from->basis;
    to->module = d->module;
    if (!keep(d, from->name, &to->name))
        return false;
    switch (from->value_case) {
    case ACCEL__IPC__FACT__VALUE_NUMBER:
        to->number = from->number;
        return isfinite(from->number) || broken(d, "fact %s is no finite number", from->name);
    case ACCEL__IPC__FACT__VALUE_TEXT:
        to->is_text = true;
        if (!is_text(from->text, TEXT_MAX_SIZE))
            return broken(d, "fact %s is no UTF-8 text of at most %d bytes", from->name,
                          TEXT_MAX_SIZE);
        return keep(d, from->text, &to->text);
    default:
        return broken(d, "fact %s has no value", from->name);
    }
}

static bool take_facts(struct decoder *d, const Accel__Ipc__Device *from,
                       struct accel_scan_device *to)
{
    to->facts = accel_bump_alloc(d->mem, from->n_facts, sizeof(*to->facts));
    if (to->facts == NULL)
        return no_memory(d);
    for (size_t i = 0; i < from->n_facts; i++) {
        if (!take_fact(d, from->facts[i], &to->facts[i]))
            return false;
        to->facts_count++;
    }
    return true;
}

/* ---------------------------------------------------------------- devices */

/* The identity must be the one that follows from address, serial and partition. */
static bool take_identity(struct decoder *d, const Accel__Ipc__Device *from,
                          struct accel_scan_device *to)
{
    const bool pci = from->pci_address[0] != '\0';
    const char *name = pci ? from->pci_address : from->serial;
    const char *slash = from->partition[0] != '\0' ? "/" : "";

    if (pci && !accel_is_pci_address(from->pci_address))
        return broken(d, "its PCI address is none");
    if (!pci && !is_plain(from->serial))
        return broken(d, "it has neither a PCI address nor a serial without blanks");
    if (from->partition[0] != '\0' && !is_plain(from->partition))
        return broken(d, "its partition has a blank or a strange character");
    const char *identity = accel_bump_printf(d->mem, "%s:%s%s%s", pci ? "pci" : d->module, name,
                                             slash, from->partition);
    if (identity == NULL)
        return no_memory(d);
    if (strcmp(identity, from->identity) != 0)
        return broken(d, "its identity should be %s", identity);
    if (strlen(identity) > NAME_MAX_SIZE)
        return broken(d, "its identity is longer than %d bytes", NAME_MAX_SIZE);
    to->identity = identity;
    return true;
}

static bool take_board_info(struct decoder *d, const Accel__Ipc__Device *from,
                            struct accel_scan_device *to)
{
    if (!take_text(d, "vendor_board_info", from->vendor_board_info, BOARD_MAX_SIZE,
                   &to->vendor_board_info) ||
        !take_text(d, "std_board_info", from->std_board_info, BOARD_MAX_SIZE, &to->std_board_info))
        return false;
    if (to->std_board_info == NULL)
        return true;
    ACCEL_CLEANUP(decref_json) json_t *json = json_loads(to->std_board_info, JSON_DECODE_ANY, NULL);
    return json != NULL || broken(d, "its std_board_info is no JSON text");
}

static bool take_device(struct decoder *d, const Accel__Ipc__Device *from,
                        struct accel_scan_device *to)
{
    const char *health = from->health[0] != '\0' ? from->health : "ok";

    if (from->n_deployables > PER_DEVICE_MAX || from->n_facts > PER_DEVICE_MAX)
        return broken(d, "it has more than %d deployables or facts", PER_DEVICE_MAX);
    if (!is_type(from->type))
        return broken(d, "type \"%.40s\" is none of GPU FPGA AICHIP QAT NIC SSD CPU OPENCL",
                      is_plain(from->type) ? from->type : "");
    if (!is_health(health))
        return broken(d, "health \"%.40s\" is none of ok degraded failed",
                      is_plain(health) ? health : "");
    if (from->numa_node < -1 || from->iommu_group < -1)
        return broken(d, "its NUMA node or IOMMU group is below -1");
    if (from->parent[0] != '\0' && (!is_plain(from->parent) || strchr(from->parent, ':') == NULL))
        return broken(d, "its parent is no identity");
    if (!is_text(from->vendor, NAME_MAX_SIZE) || !is_text(from->model, NAME_MAX_SIZE))
        return broken(d, "vendor or model is no UTF-8 text of at most %d bytes", NAME_MAX_SIZE);
    to->numa_node = from->numa_node;
    to->iommu_group = from->iommu_group;
    to->runnable = from->runnable;
    return take_identity(d, from, to) && keep(d, from->type, &to->type) &&
           keep(d, from->vendor, &to->vendor) && keep(d, from->model, &to->model) &&
           keep(d, health, &to->health) && take(d, from->pci_address, &to->pci_address) &&
           take(d, from->serial, &to->serial) && take(d, from->partition, &to->partition) &&
           take(d, from->parent, &to->parent) && take_board_info(d, from, to) &&
           take_text(d, "health_reason", from->health_reason, TEXT_MAX_SIZE, &to->health_reason) &&
           take_deployables(d, from, to) && take_facts(d, from, to);
}

/* ---------------------------------------------------------------- the list */

static bool add_problem(struct decoder *d, const char *where, const char *reason)
{
    struct accel_scan_problem *problem = &d->scan->problems[d->scan->problems_count];

    problem->where = accel_bump_strdup(d->mem, where);
    problem->reason = accel_bump_strdup(d->mem, reason);
    if (problem->where == NULL || problem->reason == NULL)
        return no_memory(d);
    d->scan->problems_count++;
    return true;
}

/* Leaves the device, or annotation, under way out. False only when memory is out. */
static bool leave_out(struct decoder *d, const char *identity, const char *kind, size_t number)
{
    char where[64];

    if (d->out_of_memory)
        return false;
    snprintf(where, sizeof(where), "%s %s %zu", d->module, kind, number);
    return add_problem(d, is_plain(identity) ? identity : where, d->reason);
}

static int compare_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Identities said twice, which a sorted copy of the list shows; each is recorded once only. */
static bool find_twins(struct decoder *d, const Accel__Ipc__DeviceList *list, const char **sorted,
                       const char ***twins, size_t *count)
{
    for (size_t i = 0; i < list->n_devices; i++)
        sorted[i] = list->devices[i]->identity;
    qsort(sorted, list->n_devices, sizeof(*sorted), compare_text);
    *twins = accel_bump_alloc(d->mem, list->n_devices, sizeof(**twins));
    *count = 0;
    if (*twins == NULL)
        return no_memory(d);
    for (size_t i = 1; i < list->n_devices; i++)
        if (strcmp(sorted[i - 1], sorted[i]) == 0 &&
            (*count == 0 || strcmp((*twins)[*count - 1], sorted[i]) != 0))
            (*twins)[(*count)++] = sorted[i];
    return true;
}

/* Was a device of this identity, which the list has twice, taken already? */
static bool taken_already(const struct decoder *d, const char *identity, const char *const *twins,
                          size_t twins_count)
{
    if (twins_count == 0 ||
        bsearch(&identity, twins, twins_count, sizeof(*twins), compare_text) == NULL)
        return false;
    for (size_t i = 0; i < d->scan->devices_count; i++)
        if (strcmp(d->scan->devices[i].identity, identity) == 0)
            return true;
    return false;
}

static bool take_devices(struct decoder *d, const Accel__Ipc__DeviceList *list)
{
    const char **sorted = accel_bump_alloc(d->mem, list->n_devices, sizeof(*sorted)), **twins;
    struct accel_scan *scan = d->scan;
    size_t twins_count;

    if (sorted == NULL)
        return no_memory(d);
    if (!find_twins(d, list, sorted, &twins, &twins_count))
        return false;
    for (size_t i = 0; i < list->n_devices; i++) {
        const Accel__Ipc__Device *from = list->devices[i];
        struct accel_scan_device *to = &scan->devices[scan->devices_count];
        memset(to, 0, sizeof(*to));
        if (taken_already(d, from->identity, twins, twins_count))
            broken(d, "a second device has this identity");
        else if (take_device(d, from, to)) {
            scan->devices_count++;
            continue;
        }
        if (!leave_out(d, from->identity, "device", i))
            return false;
    }
    return true;
}

static bool take_annotations(struct decoder *d, const Accel__Ipc__DeviceList *list)
{
    struct accel_scan *scan = d->scan;

    for (size_t i = 0; i < list->n_annotations; i++) {
        const Accel__Ipc__Fact *from = list->annotations[i];
        struct accel_scan_annotation *to = &scan->annotations[scan->annotations_count];
        memset(to, 0, sizeof(*to));
        bool good = is_plain(from->identity) && strchr(from->identity, ':') != NULL;
        if (!good)
            broken(d, "an annotation names no identity");
        good = good && keep(d, from->identity, &to->identity) && take_fact(d, from, &to->fact);
        if (good)
            scan->annotations_count++;
        else if (!leave_out(d, from->identity, "annotation", i))
            return false;
    }
    return true;
}

static bool take_problems(struct decoder *d, const Accel__Ipc__DeviceList *list)
{
    for (size_t i = 0; i < list->n_problems; i++) {
        const Accel__Ipc__Problem *from = list->problems[i];
        const bool readable =
            is_text(from->where, TEXT_MAX_SIZE) && is_text(from->reason, TEXT_MAX_SIZE);
        if (!add_problem(d, readable ? from->where : d->module,
                         readable ? from->reason : "reported a problem in unreadable text"))
            return false;
    }
    return true;
}

static int take_list(struct decoder *d, const Accel__Ipc__DeviceList *list, struct accel_error *err)
{
    struct accel_scan *scan = d->scan;

    if (list->n_devices > DEVICES_MAX || list->n_annotations > ANNOTATIONS_MAX ||
        list->n_problems > PROBLEMS_MAX)
        return accel_fail(err, ACCEL_E_LIMIT,
                          "module %s: %zu devices, %zu annotations and %zu problems are too many",
                          d->module, list->n_devices, list->n_annotations, list->n_problems);
    scan->devices = accel_bump_alloc(d->mem, list->n_devices, sizeof(*scan->devices));
    scan->annotations = accel_bump_alloc(d->mem, list->n_annotations, sizeof(*scan->annotations));
    scan->problems = accel_bump_alloc(
        d->mem, list->n_problems + list->n_devices + list->n_annotations, sizeof(*scan->problems));
    if (scan->devices == NULL || scan->annotations == NULL || scan->problems == NULL ||
        !take_problems(d, list) || !take_devices(d, list) || !take_annotations(d, list))
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for what module %s found", d->module);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- the packet */

/* The list lies in a sealed memory file beside the message. */
static int unpack_file(int fd, const char *module, Accel__Ipc__DeviceList **list,
                       struct accel_error *err)
{
    size_t size;

    if (fd < 0 || !accel_memfd_is_sealed(fd) || accel_fd_size(fd, &size, err) != ACCEL_OK)
        return accel_fail(err, ACCEL_E_CORRUPT, "module %s: no sealed list beside its discovery",
                          module);
    if (size > LIST_MAX_BYTES)
        return accel_fail(err, ACCEL_E_LIMIT, "module %s: its list holds %zu bytes, more than %u",
                          module, size, LIST_MAX_BYTES);
    void *bytes = size > 0 ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
    if (bytes == MAP_FAILED)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to map what module %s found", module);
    *list = accel__ipc__device_list__unpack(NULL, size, bytes);
    if (bytes != NULL)
        munmap(bytes, size);
    return *list != NULL
               ? ACCEL_OK
               : accel_fail(err, ACCEL_E_CORRUPT, "module %s: its list does not decode", module);
}

static void free_list(Accel__Ipc__DeviceList **list)
{
    if (*list != NULL)
        accel__ipc__device_list__free_unpacked(*list, NULL);
}

int accel_scan_decode(struct accel_ipc_packet *packet, const char *module, int32_t priority,
                      struct accel_bump *mem, struct accel_scan *scan, struct accel_error *err)
{
    struct decoder d = {.mem = mem, .scan = scan, .module = accel_bump_strdup(mem, module)};
    ACCEL_CLEANUP(free_list) Accel__Ipc__DeviceList *unpacked = NULL;
    const Accel__Ipc__DeviceList *list;

    *scan = (struct accel_scan){.module = d.module, .priority = priority};
    if (d.module == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for what module %s found", module);
    if (packet->message->body_case != ACCEL__IPC__MESSAGE__BODY_DISCOVERY)
        return accel_fail(err, ACCEL_E_CORRUPT, "module %s answered no discovery", module);
    const Accel__Ipc__Discovery *discovery = packet->message->discovery;
    scan->took_ms = discovery->took_ms;
    if (discovery->inlined) {
        list = discovery->list;
    } else {
        ACCEL_CLEANUP(accel_closep) int fd = accel_ipc_take_fd(packet, 0);
        const int rc = unpack_file(fd, module, &unpacked, err);
        if (rc != ACCEL_OK)
            return rc;
        list = unpacked;
    }
    /* Proto3 leaves an empty message out. */
    return list != NULL ? take_list(&d, list, err) : ACCEL_OK;
}
