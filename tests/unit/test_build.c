/* SPDX-License-Identifier: Apache-2.0 */
/* What a module finds: good devices are kept, each broken rule becomes a problem. */
#include <math.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "hardware/build.h"
#include "tap.h"

static struct accel_build *build;
static struct accel_builder *out;
static struct accel_error err;

static void begin(void)
{
    accel_build_free(build);
    build = NULL;
    if (accel_build_new("t", "node1", &build, &err) != ACCEL_OK)
        printf("# %s\n", err.msg);
    out = accel_build_builder(build);
}

static const Accel__Ipc__DeviceList *end(void)
{
    const Accel__Ipc__DeviceList *list = NULL;

    if (accel_build_list(build, &list, &err) != ACCEL_OK)
        printf("# %s\n", err.msg);
    return list;
}

static struct accel_found_device device(const char *pci, const char *serial)
{
    return (struct accel_found_device){.struct_size = sizeof(struct accel_found_device),
                                       .type = "FPGA",
                                       .pci_address = pci,
                                       .serial = serial,
                                       .vendor = "0x10ee",
                                       .model = "Alveo",
                                       .numa_node = 1,
                                       .iommu_group = 17};
}

static int add(struct accel_found_device d)
{
    return out->add_device(out, &d, &err);
}

static int add_deployable(const char *name, const char *class, uint32_t count,
                          const char *const *traits)
{
    const struct accel_found_deployable d = {.struct_size = sizeof(d),
                                             .name = name,
                                             .resource_class = class,
                                             .num_accelerators = count,
                                             .traits = traits};

    return out->add_deployable(out, &d, &err);
}

static int add_handle(const char *type, const char *info)
{
    const struct accel_found_handle h = {
        .struct_size = sizeof(h), .attach_type = type, .attach_info = info};

    return out->add_handle(out, &h, &err);
}

static bool problem_says(const Accel__Ipc__DeviceList *list, size_t i, const char *text)
{
    const bool good = i < list->n_problems && strstr(list->problems[i]->reason, text) != NULL;

    if (!good && i < list->n_problems)
        printf("# %s: %s\n", list->problems[i]->where, list->problems[i]->reason);
    return good;
}

static const char info_a[] = "{\"function\": \"0\", \"device\": \"00\", \"bus\": \"3b\", "
                             "\"domain\": \"0000\"}";

static void keeps_what_is_good(void)
{
    const char *const traits[] = {"CUSTOM_FPGA_XILINX", "OWNER_CYBORG", NULL};

    begin();
    ok(add(device("0000:3b:00.0", NULL)) == ACCEL_OK &&
           add_deployable(NULL, "FPGA", 1, traits) == ACCEL_OK &&
           add_handle("PCI", info_a) == ACCEL_OK &&
           out->add_fact(out, "memory_bytes", 1e9, ACCEL_BASIS_REPORTED, &err) == ACCEL_OK &&
           out->add_text(out, "runtime.opencl", "3.0", ACCEL_BASIS_REPORTED, &err) == ACCEL_OK &&
           out->annotate(out, "pci:0000:3c:00.0", "clock_hz", 1e9, ACCEL_BASIS_CATALOGUE, &err) ==
               ACCEL_OK,
       "a device with all that belongs to it is taken");
    struct accel_found_device part = device("00010000:3b:00.0", NULL);
    part.partition = "gi1";
    part.parent = "pci:00010000:3b:00.0";
    ok(add(part) == ACCEL_OK && add_deployable(NULL, NULL, 0, NULL) == ACCEL_OK &&
           add(device(NULL, "S/N")) == ACCEL_OK && add(device(NULL, "SN1")) == ACCEL_OK &&
           add_deployable(NULL, NULL, 0, NULL) == ACCEL_OK,
       "so are a partition in a 32-bit domain and a device with a serial");

    const Accel__Ipc__DeviceList *list = end();
    ok(list->n_devices == 3 && strcmp(list->devices[0]->identity, "pci:0000:3b:00.0") == 0 &&
           strcmp(list->devices[1]->identity, "pci:00010000:3b:00.0/gi1") == 0 &&
           strcmp(list->devices[2]->identity, "t:SN1") == 0,
       "identities follow from address, partition or serial");
    const Accel__Ipc__Device *d = list->devices[0];
    ok(strcmp(d->deployables[0]->name, "node1_0000:3b:00.0") == 0 &&
           strcmp(list->devices[1]->deployables[0]->name, "node1_00010000:3b:00.0_gi1") == 0 &&
           strcmp(list->devices[2]->deployables[0]->name, "node1_t_SN1") == 0,
       "deployables are named as Cyborg names them");
    ok(strcmp(d->deployables[0]->handles[0]->attach_info,
              "{\"bus\":\"3b\",\"device\":\"00\",\"domain\":\"0000\",\"function\":\"0\"}") == 0,
       "attach_info is stored with sorted keys");
    ok(d->n_facts == 2 && d->facts[0]->number == 1e9 && strcmp(d->facts[1]->text, "3.0") == 0 &&
           d->deployables[0]->n_traits == 2 && d->numa_node == 1 && d->iommu_group == 17 &&
           strcmp(d->health, "ok") == 0,
       "facts, traits and places are kept");
    ok(list->n_annotations == 1 && strcmp(list->annotations[0]->identity, "pci:0000:3c:00.0") == 0,
       "an annotation names another module's device");
    ok(list->n_problems == 1 && problem_says(list, 0, "serial"),
       "a serial with a slash was left out");
}

static void leaves_out_bad_devices(void)
{
    struct accel_found_device d;
    size_t n = 0;
    char long_serial[300];

    begin();
    d = device("0000:3b:00.0", NULL);
    d.type = "TOASTER";
    add(d);
    d.type = NULL;
    add(d);
    add(device(NULL, NULL));
    add(device("3b:00.0", NULL));
    add(device("0000:3B:00.0", NULL));
    add(device("0000:3b:20.0", NULL));
    add(device("000000000:3b:00.0", NULL));
    memset(long_serial, 'a', sizeof(long_serial) - 1);
    long_serial[sizeof(long_serial) - 1] = '\0';
    add(device(NULL, long_serial));
    d = device("0000:3b:00.1", NULL);
    d.std_board_info = "{not json";
    add(d);
    d = device("0000:3b:00.2", NULL);
    d.health = "tired";
    add(d);
    d = device("0000:3b:00.3", NULL);
    d.parent = "nobody";
    add(d);
    d = device("0000:3b:00.4", NULL);
    d.numa_node = -2;
    add(d);
    d = device("0000:3b:00.5", NULL);
    d.struct_size = 8;
    add(d);
    ok(out->add_fact(out, "clock_hz", 1, ACCEL_BASIS_REPORTED, &err) == ACCEL_OK &&
           add_deployable(NULL, "FPGA", 1, NULL) == ACCEL_OK &&
           add_handle("PCI", info_a) == ACCEL_OK,
       "what is said of a device left out is dropped in silence");
    ok(add(device("0000:3b:00.6", NULL)) == ACCEL_OK &&
           add(device("0000:3b:00.6", NULL)) == ACCEL_OK,
       "one bad device never stops the rest");
    const Accel__Ipc__DeviceList *list = end();
    ok(list->n_devices == 1 && list->n_problems == 14, "one good device, %zu problems",
       list->n_problems);
    ok(problem_says(list, n++, "TOASTER") && problem_says(list, n++, "type \"\"") &&
           problem_says(list, n++, "neither") && problem_says(list, n++, "no PCI address") &&
           problem_says(list, n++, "no PCI address") && problem_says(list, n++, "no PCI address") &&
           problem_says(list, n++, "no PCI address") &&
           problem_says(list, n++, "longer than 255") &&
           problem_says(list, n++, "std_board_info") && problem_says(list, n++, "tired") &&
           problem_says(list, n++, "no identity") && problem_says(list, n++, "below -1") &&
           problem_says(list, n++, "struct_size") && problem_says(list, n++, "second device"),
       "each with its reason");
}

static void leaves_out_bad_parts(void)
{
    const char *const traits[] = {"CUSTOM_lower", "CUSTOM_", "GPU", "CUSTOM_FINE_1", NULL};
    size_t n = 0;

    begin();
    add_deployable(NULL, "FPGA", 1, NULL);
    add(device("0000:3b:00.0", NULL));
    add_handle("PCI", info_a);
    add_deployable("one", "TOASTER", 1, NULL);
    ok(add_handle("PCI", info_a) == ACCEL_OK, "a handle of a deployable left out is dropped");
    add_deployable("two", "FPGA", 3, traits);
    add_handle("USB", info_a);
    add_handle("PCI", "[]");
    add_handle("PCI", "{\"bus\": 1}");
    add_handle("PCI", "{\"bus\": \"3b\"}");
    add_handle("TEST_PCI", info_a);
    add_handle("TEST_PCI", info_a);
    add_deployable("two", "FPGA", 0, NULL);
    out->add_fact(out, "Upper", 1, ACCEL_BASIS_REPORTED, &err);
    out->add_fact(out, "nan", (double)NAN, ACCEL_BASIS_REPORTED, &err);
    out->add_fact(out, "basis", 1, (enum accel_basis)9, &err);
    out->annotate(out, "nobody", "clock_hz", 1, ACCEL_BASIS_REPORTED, &err);
    out->problem(out, "here", "bad \x01\xff luck");
    out->add_fact(out, "clock_hz", 1, ACCEL_BASIS_REPORTED, &err);
    out->add_fact(out, "clock_hz", 2, ACCEL_BASIS_REPORTED, &err);
    const Accel__Ipc__DeviceList *list = end();
    ok(problem_says(list, n++, "before any device") && problem_says(list, n++, "before any dep") &&
           problem_says(list, n++, "TOASTER") && problem_says(list, n++, "CUSTOM_lower") &&
           problem_says(list, n++, "\"CUSTOM_\"") && problem_says(list, n++, "\"GPU\"") &&
           problem_says(list, n++, "USB") && problem_says(list, n++, "no JSON object") &&
           problem_says(list, n++, "no string") && problem_says(list, n++, "lacks domain") &&
           problem_says(list, n++, "twice") &&
           problem_says(list, n++, "3 accelerators announced, 1 attach") &&
           problem_says(list, n++, "second deployable") && problem_says(list, n++, "Upper") &&
           problem_says(list, n++, "finite") && problem_says(list, n++, "basis 9") &&
           problem_says(list, n++, "no identity") && problem_says(list, n++, "bad ?? luck") &&
           list->n_problems == n,
       "every bad part is left out with its reason");
    const Accel__Ipc__Device *d = list->devices[0];
    ok(list->n_devices == 1 && d->n_deployables == 1 && d->deployables[0]->n_handles == 1 &&
           d->deployables[0]->num_accelerators == 1 && d->deployables[0]->n_traits == 1,
       "the good parts stay");
    ok(d->n_facts == 1 && d->facts[0]->number == 2, "of two facts of one name the later counts");

    begin();
    struct accel_found_device cpu = device(NULL, "0");
    cpu.type = "CPU";
    cpu.model = "strange \xc3\x28 name";
    add(cpu);
    add_deployable("a", "CUSTOM_CPU", 1, NULL);
    add_deployable("b", NULL, 1, NULL);
    add_handle("PCI", info_a);
    list = end();
    ok(list->n_problems == 2 && problem_says(list, 0, "no resource class") &&
           problem_says(list, 1, "no attach handle"),
       "a CPU has neither resource class nor attach handle");
    ok(strcmp(list->devices[0]->model, "strange ?( name") == 0,
       "a name that is not UTF-8 does not cost the device");
}

static void is_bounded(void)
{
    char serial[16];
    int rc = ACCEL_OK;
    const Accel__Ipc__DeviceList *list;

    begin();
    for (unsigned i = 0; rc == ACCEL_OK && i <= ACCEL_BUILD_DEVICES_MAX; i++) {
        snprintf(serial, sizeof(serial), "%u", i);
        rc = add(device(NULL, serial));
    }
    ok(rc == ACCEL_E_LIMIT, "too many devices are refused");
    ok(accel_build_list(build, &list, &err) == ACCEL_E_LIMIT,
       "even if the module does not care, the list is");
}

static void survives_every_failed_allocation(void)
{
    const char *const traits[] = {"CUSTOM_A", NULL};
    const Accel__Ipc__DeviceList *list;

    accel_build_freep(&build);
    for (long nth = 0;; nth++) {
        accel_fault_arm(nth);
        int rc = accel_build_new("t", "node1", &build, &err);
        if (rc == ACCEL_OK) {
            out = accel_build_builder(build);
            for (int i = 0; i < 12; i++) {
                char address[16];
                snprintf(address, sizeof(address), "0000:%02x:00.0", i);
                if (rc == ACCEL_OK)
                    rc = add(device(address, NULL));
                if (rc == ACCEL_OK)
                    rc = add_deployable(NULL, "FPGA", 1, traits);
                if (rc == ACCEL_OK)
                    rc = add_handle("PCI", info_a);
                if (rc == ACCEL_OK)
                    rc = out->add_text(out, "link", "x16", ACCEL_BASIS_REPORTED, &err);
                out->problem(out, "here", "a reason");
            }
            if (rc == ACCEL_OK)
                rc = accel_build_list(build, &list, &err);
        }
        const bool reached = accel_fault_disarm();
        accel_build_freep(&build);
        if (!reached) {
            ok(rc == ACCEL_OK, "a list is built when there is memory");
            return;
        }
        ok(rc == ACCEL_E_NOMEM, "the list reports that allocation %ld failed", nth);
    }
}

int main(void)
{
    accel_log_init("test", ACCEL_LOG_ERROR);
    keeps_what_is_good();
    leaves_out_bad_devices();
    leaves_out_bad_parts();
    is_bounded();
    survives_every_failed_allocation();
    accel_build_free(build);
    return tap_done();
}
