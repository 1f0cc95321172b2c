/* SPDX-License-Identifier: Apache-2.0 */
/* What a hardware child could send, good and bad. */
#include "core/scan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "tap.h"

#define INFO "{\"function\": \"0\", \"bus\": \"3b\", \"device\": \"00\", \"domain\": \"0000\"}"

static struct accel_error err;

/* A Discovery of one good card, every part of which a test may spoil. */
struct sent {
    Accel__Ipc__Handle handle, *handles[2];
    Accel__Ipc__Deployable deployable, *deployables[2];
    Accel__Ipc__Fact fact, note, *facts[1], *notes[1];
    Accel__Ipc__Problem problem, *problems[1];
    Accel__Ipc__Device device, twin, *devices[2];
    Accel__Ipc__DeviceList list;
    Accel__Ipc__Discovery discovery;
    Accel__Ipc__Message message;
    char *traits[1];
    struct accel_ipc_packet packet;
};

/* protobuf-c's strings are not const; nobody writes to these. */
static char *text(const char *constant)
{
    return (char *)(uintptr_t)constant;
}

static void make(struct sent *s)
{
    memset(s, 0, sizeof(*s));
    accel__ipc__handle__init(&s->handle);
    s->handle.attach_type = text("PCI");
    s->handle.attach_info = text(INFO);
    s->handles[0] = s->handles[1] = &s->handle;
    accel__ipc__deployable__init(&s->deployable);
    s->deployable.resource_class = text("FPGA");
    s->deployable.num_accelerators = 1;
    s->deployable.handles = s->handles;
    s->deployable.n_handles = 1;
    s->traits[0] = text("CUSTOM_FPGA_1");
    s->deployable.traits = s->traits;
    s->deployable.n_traits = 1;
    s->deployables[0] = s->deployables[1] = &s->deployable;
    accel__ipc__fact__init(&s->fact);
    s->fact.name = text("memory_bytes");
    s->fact.value_case = ACCEL__IPC__FACT__VALUE_NUMBER;
    s->fact.number = 8e9;
    s->fact.basis = ACCEL_BASIS_REPORTED;
    s->facts[0] = &s->fact;
    s->note = s->fact;
    s->note.identity = text("pci:0000:01:00.0");
    s->notes[0] = &s->note;
    accel__ipc__problem__init(&s->problem);
    s->problem.where = text("0000:00:1f.0");
    s->problem.reason = text("no driver");
    s->problems[0] = &s->problem;
    accel__ipc__device__init(&s->device);
    s->device.identity = text("pci:0000:3b:00.0");
    s->device.pci_address = text("0000:3b:00.0");
    s->device.type = text("FPGA");
    s->device.vendor = text("0x10ee");
    s->device.model = text("Alveo");
    s->device.std_board_info = text("{\"product_id\": \"5000\"}");
    s->device.numa_node = -1;
    s->device.iommu_group = 3;
    s->device.deployables = s->deployables;
    s->device.n_deployables = 1;
    s->device.facts = s->facts;
    s->device.n_facts = 1;
    s->twin = s->device;
    s->devices[0] = &s->device;
    s->devices[1] = &s->twin;
    accel__ipc__device_list__init(&s->list);
    s->list.devices = s->devices;
    s->list.n_devices = 1;
    s->list.annotations = s->notes;
    s->list.n_annotations = 1;
    s->list.problems = s->problems;
    s->list.n_problems = 1;
    accel__ipc__discovery__init(&s->discovery);
    s->discovery.inlined = true;
    s->discovery.list = &s->list;
    s->discovery.took_ms = 12;
    accel__ipc__message__init(&s->message);
    s->message.body_case = ACCEL__IPC__MESSAGE__BODY_DISCOVERY;
    s->message.discovery = &s->discovery;
    s->packet.message = &s->message;
}

static int decode(struct sent *s, struct accel_bump *mem, struct accel_scan *scan)
{
    err.msg[0] = '\0';
    return accel_scan_decode(&s->packet, "card", 50, mem, scan, &err);
}

static void a_good_list_is_taken(void)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_scan scan;
    struct sent s;

    make(&s);
    ok(decode(&s, &mem, &scan) == ACCEL_OK && scan.devices_count == 1 &&
           scan.annotations_count == 1 && scan.problems_count == 1 && scan.took_ms == 12 &&
           strcmp(scan.module, "card") == 0 && scan.priority == 50,
       "a device, an annotation, a problem");
    const struct accel_scan_device *d = scan.devices;
    ok(strcmp(d->identity, "pci:0000:3b:00.0") == 0 && strcmp(d->health, "ok") == 0 &&
           d->serial == NULL && d->parent == NULL && d->vendor_board_info == NULL &&
           d->health_reason == NULL && d->numa_node == -1,
       "what is empty is NULL, health ok by default");
    ok(d->deployables[0].name == NULL && d->deployables[0].traits_count == 1,
       "a nameless deployable stays so");
    ok(strcmp(d->deployables[0].handles[0].attach_info,
              "{\"bus\":\"3b\",\"device\":\"00\",\"domain\":\"0000\",\"function\":\"0\"}") == 0,
       "attach_info has sorted keys: %s", d->deployables[0].handles[0].attach_info);
    ok(d->facts[0].number == 8e9 && strcmp(d->facts[0].module, "card") == 0,
       "a fact has its module");
    s.device.identity = s.device.pci_address = text("");
    s.device.serial = text("7");
    s.device.partition = text("gi1");
    s.device.identity = text("card:7/gi1");
    ok(decode(&s, &mem, &scan) == ACCEL_OK && scan.devices_count == 1, "a serial is one too");
    s.discovery.list = NULL;
    ok(decode(&s, &mem, &scan) == ACCEL_OK && scan.devices_count == 0, "an empty list is one");
}

/* What each line spoils, and what the problem says of it. */
#define SPOIL(statement, says)                                                             \
    do {                                                                                   \
        ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};                        \
        struct accel_scan scan;                                                            \
        struct sent s;                                                                     \
        make(&s);                                                                          \
        s.list.n_annotations = s.list.n_problems = 0;                                      \
        statement;                                                                         \
        /* Before ok(): its arguments are evaluated in any order. */                       \
        const bool decoded = decode(&s, &mem, &scan) == ACCEL_OK;                          \
        ok(decoded &&scan.devices_count == 0 && scan.problems_count == 1 &&                \
               strstr(scan.problems[0].reason, says) != NULL,                              \
           "%s: %s", #statement, scan.problems_count > 0 ? scan.problems[0].reason : "-"); \
    } while (0)

static char *long_text(size_t size)
{
    static char buffer[20000];

    memset(buffer, 'x', size);
    buffer[size] = '\0';
    return buffer;
}

static void bad_devices_become_problems(void)
{
    SPOIL(s.device.type = text("TOASTER"), "TOASTER");
    SPOIL(s.device.type = text(""), "type");
    SPOIL(s.device.health = text("unwell"), "unwell");
    SPOIL(s.device.identity = text("pci:0000:3c:00.0"), "should be");
    SPOIL(s.device.identity = text(""), "should be");
    SPOIL(s.device.pci_address = text("3b:00.0"), "PCI address");
    SPOIL(s.device.pci_address = text("0000:3b:00.8"), "PCI address");
    SPOIL(s.device.pci_address = text("0000:3B:00.0"), "PCI address");
    SPOIL(s.device.pci_address = text(""), "neither");
    SPOIL((s.device.pci_address = text(""), s.device.serial = text("a b")), "neither");
    SPOIL(s.device.partition = text("g i"), "partition");
    SPOIL(s.device.parent = text("nobody"), "parent");
    SPOIL(s.device.numa_node = -2, "NUMA");
    SPOIL(s.device.vendor = text("\xff"), "vendor");
    SPOIL(s.device.model = text("a\nb"), "model");
    SPOIL(s.device.model = long_text(256), "model");
    SPOIL(s.device.std_board_info = text("{"), "std_board_info");
    SPOIL(s.device.vendor_board_info = long_text(16385), "vendor_board_info");
    SPOIL(s.device.health_reason = text("\xed\xa0\x80"), "health_reason");
    SPOIL(s.deployable.name = text("a\tb"), "name");
    SPOIL(s.deployable.resource_class = text("fpga"), "resource class");
    SPOIL(s.deployable.num_accelerators = 2, "attach handles");
    SPOIL(s.deployable.num_accelerators = UINT32_MAX, "attach handles");
    SPOIL(s.traits[0] = text("CUSTOM-X"), "trait");
    SPOIL(s.handle.attach_type = text("USB"), "USB");
    SPOIL(s.handle.attach_info = text("[]"), "attach_info");
    SPOIL(s.handle.attach_info = text("{\"bus\": 3}"), "bus");
    SPOIL(s.handle.attach_info = text("{\"a\": \"1\", \"a\": \"2\"}"), "attach_info");
    SPOIL((s.deployable.n_handles = 2, s.deployable.num_accelerators = 2), "two attach handles");
    SPOIL((s.device.n_deployables = 2, s.deployable.name = text("d")), "two deployables");
    SPOIL(s.fact.name = text("Memory"), "name of a fact");
    SPOIL(s.fact.number = NAN, "finite");
    SPOIL(s.fact.number = INFINITY, "finite");
    SPOIL(s.fact.basis = 4, "basis");
    SPOIL(s.fact.value_case = ACCEL__IPC__FACT__VALUE__NOT_SET, "no value");
    SPOIL((s.fact.value_case = ACCEL__IPC__FACT__VALUE_TEXT, s.fact.text = text("\x80")), "UTF-8");
}

static void one_bad_device_leaves_the_rest(void)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_scan scan;
    struct sent s;

    make(&s);
    s.list.n_devices = 2;
    s.device.type = text("TOASTER");
    s.twin.identity = text("pci:0000:3c:00.0");
    s.twin.pci_address = text("0000:3c:00.0");
    ok(decode(&s, &mem, &scan) == ACCEL_OK && scan.devices_count == 1 &&
           strcmp(scan.devices[0].identity, "pci:0000:3c:00.0") == 0 && scan.problems_count == 2 &&
           strcmp(scan.problems[1].where, "pci:0000:3b:00.0") == 0,
       "the bad one is a problem, named by its identity");
    make(&s);
    s.list.n_devices = 2;
    ok(decode(&s, &mem, &scan) == ACCEL_OK && scan.devices_count == 1 && scan.problems_count == 2 &&
           strstr(scan.problems[1].reason, "second") != NULL,
       "of two with one identity the first counts: %s", scan.problems[1].reason);
    s.device.type = text("");
    ok(decode(&s, &mem, &scan) == ACCEL_OK && scan.devices_count == 1 &&
           strstr(scan.problems[1].reason, "type") != NULL,
       "or the second, when the first is bad");
    s.note.identity = text("a b");
    ok(decode(&s, &mem, &scan) == ACCEL_OK && scan.annotations_count == 0 &&
           scan.problems_count == 3,
       "a bad annotation is a problem too");
}

static void what_is_no_discovery_is_refused(void)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_scan scan;
    struct sent s;

    make(&s);
    s.message.body_case = ACCEL__IPC__MESSAGE__BODY_DONE;
    ok(decode(&s, &mem, &scan) == ACCEL_E_CORRUPT, "another message: %s", err.msg);
    make(&s);
    s.discovery.inlined = false;
    ok(decode(&s, &mem, &scan) == ACCEL_E_CORRUPT, "no descriptor: %s", err.msg);
    make(&s);
    s.list.n_devices = 1u << 20;
    ok(decode(&s, &mem, &scan) == ACCEL_E_LIMIT, "a million devices: %s", err.msg);
}

static void lists_come_in_sealed_files(void)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_scan scan;
    struct sent s;

    make(&s);
    const size_t size = accel__ipc__device_list__get_packed_size(&s.list);
    uint8_t *bytes = malloc(size);
    accel__ipc__device_list__pack(&s.list, bytes);
    s.discovery.inlined = false;
    s.packet.fds_count = 1;
    ok(accel_memfd_of("list", bytes, size, &s.packet.fds[0], &err) == ACCEL_OK, "a sealed file");
    ok(decode(&s, &mem, &scan) == ACCEL_OK && scan.devices_count == 1, "is taken");
    ok(accel_memfd_of("list", bytes, size - 1, &s.packet.fds[0], &err) == ACCEL_OK,
       "one cut short");
    s.packet.fds_count = 1;
    ok(decode(&s, &mem, &scan) == ACCEL_E_CORRUPT, "is refused: %s", err.msg);
    ok(accel_memfd_new("list", size, &s.packet.fds[0], &err) == ACCEL_OK, "one not sealed");
    s.packet.fds_count = 1;
    ok(decode(&s, &mem, &scan) == ACCEL_E_CORRUPT, "is refused: %s", err.msg);
    ok(accel_memfd_of("list", "", 0, &s.packet.fds[0], &err) == ACCEL_OK, "an empty one");
    s.packet.fds_count = 1;
    ok(decode(&s, &mem, &scan) == ACCEL_OK && scan.devices_count == 0, "is an empty list");
    free(bytes);
}

static void survives_every_failed_allocation(void)
{
    for (long nth = 0;; nth++) {
        ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
        struct accel_scan scan;
        struct sent s;
        make(&s);
        accel_fault_arm(nth);
        const int rc = decode(&s, &mem, &scan);
        if (!accel_fault_disarm()) {
            ok(rc == ACCEL_OK && nth > 0, "with its memory it decodes");
            return;
        }
        ok(rc == ACCEL_E_NOMEM, "allocation %ld failing is reported", nth);
    }
}

int main(void)
{
    a_good_list_is_taken();
    bad_devices_become_problems();
    one_bad_device_leaves_the_rest();
    what_is_no_discovery_is_refused();
    lists_come_in_sealed_files();
    survives_every_failed_allocation();
    return tap_done();
}
