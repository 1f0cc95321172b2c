/* SPDX-License-Identifier: Apache-2.0 */
/* A scan against the record: added, changed, gone, back, and nothing at all. */
#include "store_fixture.h"

#include "base/clock.h"

static size_t count_devices(struct accel_store *store)
{
    struct accel_counts counts = {0};

    fine(accel_store_counts(store, &counts, &err), "the rows are counted");
    return (size_t)counts.devices;
}

static void records_what_is_found(void)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_store *store = new_store();
    const struct accel_scan_result result = scan_one(store);
    struct accel_attach_handle *handles;
    struct accel_attribute *attributes;
    struct accel_fact *facts;
    struct accel_uuid provider;
    size_t count;

    ok(result.added == 1 && result.unchanged == 0 && result.gone == 0, "one device is added");
    const struct accel_device d = first_device(store, &mem);
    ok(strcmp(d.identity, "pci:0000:3b:00.0") == 0 && strcmp(d.hostname, HOST) == 0 &&
           strcmp(d.status, "enabled") == 0 && strcmp(d.health, "ok") == 0 &&
           d.health_reason == NULL && d.presence == ACCEL_PRESENT && d.iommu_group == 7 &&
           strcmp(d.module, "card") == 0 && d.updated_at == NULL && d.version == 1,
       "its row says what was found");
    const struct accel_deployable p = first_deployable(store, &mem);
    ok(strcmp(p.name, HOST "_0000:3b:00.0") == 0, "a nameless deployable is called %s", p.name);
    fine(accel_uuid_of_name(p.name, &provider, &err), "its name has a UUID");
    ok(strcmp(p.rp_uuid.text, provider.text) == 0, "its provider is the UUID of its name");
    ok(strcmp(p.attributes_list,
              "[{\"rc\":\"FPGA\"},{\"trait0\":\"CUSTOM_FPGA_1\"},{\"trait1\":\"CUSTOM_TEST\"}]") ==
           0,
       "attributes_list has the class, then the traits: %s", p.attributes_list);
    ok(p.num_accelerators == 2 && p.in_use == 0 && strcmp(p.driver_name, "card") == 0 &&
           strcmp(p.device_uuid.text, d.uuid.text) == 0,
       "the deployable belongs to the device");
    fine(accel_store_list_handles(store, p.id, &mem, &handles, &count, &err), "handles are listed");
    ok(count == 2 && handles[0].arq_uuid.text[0] == '\0', "there are two, both free");
    fine(accel_store_list_facts(store, d.id, &mem, &facts, &count, &err), "facts are listed");
    ok(count == 2 && facts[1].number == 8e9 && facts[0].is_text &&
           strcmp(facts[0].text, "vfio-pci") == 0,
       "there are a number and a text");
    const struct accel_attribute_filter filter = {.deployable_id = p.id, .key = "rc"};
    fine(accel_store_list_attributes(store, &filter, NULL, &mem, &attributes, &count, &err),
         "attributes are listed");
    ok(count == 1 && strcmp(attributes[0].value, "FPGA") == 0 &&
           strcmp(attributes[0].origin, "card") == 0,
       "the resource class has its module as origin");
    ok(events_of(store, "device.added", 0) == 1, "one event tells of it");
    accel_store_close(store);
}

/* Size and time of the write-ahead log: what a write would have changed. */
static void stat_wal(struct stat *about)
{
    char path[160];

    snprintf(path, sizeof(path), "%s-wal", database);
    memset(about, 0, sizeof(*about));
    if (stat(path, about) != 0)
        perror(path);
}

static void an_unchanged_scan_writes_nothing(void)
{
    struct accel_store *store = new_store();
    const struct accel_scan_problem problem = {.where = "0000:00:1f.0", .reason = "no driver"};
    struct accel_fact note = {.name = "extra", .number = 1, .basis = ACCEL_BASIS_CATALOGUE};
    struct accel_scan_annotation annotation = {.identity = "pci:0000:00:00.0", .fact = note};
    struct made_device made[3];
    struct accel_scan_device devices[3];
    struct accel_scan_result result;
    struct stat before, after;

    for (unsigned i = 0; i < 3; i++) {
        make_device(&made[i], i);
        devices[i] = made[i].device;
    }
    const struct accel_scan found = {.module = "card",
                                     .priority = 50,
                                     .devices = devices,
                                     .devices_count = 3,
                                     .problems = (struct accel_scan_problem *)&problem,
                                     .problems_count = 1};
    const struct accel_scan other = {.module = "notes",
                                     .priority = 10,
                                     .devices = &devices[1],
                                     .devices_count = 1,
                                     .annotations = &annotation,
                                     .annotations_count = 1};
    fine(accel_store_apply_scan(store, &found, &result, &err), "a first scan");
    fine(accel_store_apply_scan(store, &other, &result, &err), "a scan of another module");
    const int64_t sequence = last_sequence(store);
    stat_wal(&before);
    for (int i = 0; i < 3; i++) {
        fine(accel_store_apply_scan(store, &found, &result, &err), "the same scan again");
        ok(result.unchanged == 3 && result.changed == 0 && result.added == 0 && result.gone == 0 &&
               result.back == 0,
           "nothing changed");
        fine(accel_store_apply_scan(store, &other, &result, &err), "and of the other module");
        ok(result.changed == 0 && result.added == 0, "nothing changed");
    }
    stat_wal(&after);
    ok(before.st_size > 0 && before.st_size == after.st_size &&
           before.st_mtim.tv_sec == after.st_mtim.tv_sec &&
           before.st_mtim.tv_nsec == after.st_mtim.tv_nsec,
       "no byte was written");
    ok(last_sequence(store) == sequence, "no event was added");
    accel_store_close(store);
}

static void changes_are_told_once(void)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_store *store = new_store();
    struct made_device m;
    struct accel_fact *facts;
    size_t count;

    scan_one(store);
    const struct accel_device before = first_device(store, &mem);
    make_device(&m, 0x3b);
    m.device.model = "renamed";
    m.facts[0].number = 9e9;
    m.device.facts_count = 1; /* the text is not said any more */
    m.deployable.traits_count = 1;
    int64_t sequence = last_sequence(store);
    struct accel_scan_result result = scan(store, "card", 50, &m.device, 1);
    ok(result.changed == 1 && result.added == 0, "a changed device is changed");
    ok(events_of(store, "device.changed", sequence) == 1, "one event tells of it");
    const struct accel_device after = first_device(store, &mem);
    ok(strcmp(after.model, "renamed") == 0 && after.version > before.version &&
           after.updated_at != NULL && strcmp(after.uuid.text, before.uuid.text) == 0,
       "the row has the new model and a new version");
    fine(accel_store_list_facts(store, after.id, &mem, &facts, &count, &err), "facts are listed");
    ok(count == 1 && facts[0].number == 9e9, "one fact changed, one went");
    ok(strstr(first_deployable(store, &mem).attributes_list, "trait1") == NULL, "a trait went");
    result = scan(store, "card", 50, &m.device, 1);
    ok(result.unchanged == 1, "the next scan finds nothing new");
    accel_store_close(store);
}

static void handles_go_by_their_address(void)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_store *store = new_store();
    struct accel_attach_handle *handles;
    struct made_device m;
    struct accel_uuid uuid;
    size_t count;

    scan_one(store);
    const struct accel_deployable p = first_deployable(store, &mem);
    fine(accel_store_list_handles(store, p.id, &mem, &handles, &count, &err), "handles are listed");
    uuid = handles[1].uuid;
    make_device(&m, 0x3b);
    m.deployable.handles = &m.handles[1]; /* function 0, the older row, is gone */
    m.deployable.handles_count = m.deployable.num_accelerators = 1;
    scan(store, "card", 50, &m.device, 1);
    fine(accel_store_list_handles(store, p.id, &mem, &handles, &count, &err), "handles are listed");
    ok(count == 1 && strcmp(handles[0].uuid.text, uuid.text) == 0 &&
           strstr(handles[0].attach_info, "\"function\":\"1\"") != NULL,
       "the one that is left is the one that was found");
    const struct accel_scan_result again = scan(store, "card", 50, &m.device, 1);
    ok(again.unchanged == 1, "and the record stays so");
    accel_store_close(store);
}

static void what_vanishes_free_is_deleted_and_known_again(void)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_store *store = new_store();

    scan_one(store);
    const struct accel_device before = first_device(store, &mem);
    const struct accel_deployable p = first_deployable(store, &mem);
    fine(accel_store_set_device_status(store, &before.uuid, "maintaining", &err),
         "an operator disables it");
    struct accel_scan_result result = scan_nothing(store);
    ok(result.gone == 1 && count_devices(store) == 0, "it vanishes and is deleted");
    ok(events_of(store, "device.gone", 0) == 1, "an event tells of it");
    result = scan_nothing(store);
    ok(result.gone == 0, "it is gone once only");
    result = scan_one(store);
    ok(result.back == 1 && result.added == 0, "it comes back");
    const struct accel_device after = first_device(store, &mem);
    ok(strcmp(after.uuid.text, before.uuid.text) == 0, "with the uuid it had");
    ok(strcmp(after.status, "maintaining") == 0, "and disabled still");
    ok(strcmp(first_deployable(store, &mem).uuid.text, p.uuid.text) == 0,
       "its deployable has the uuid it had");
    ok(events_of(store, "device.back", 0) == 1, "an event tells of it");
    accel_store_close(store);
}

static void what_is_held_stays_until_it_is_free(void)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_store *store = new_store();
    struct accel_attach_handle *handles;
    struct accel_uuid arqs[2];
    int64_t intent;
    size_t count;

    scan_one(store);
    make_arqs(store, "p", 2, arqs);
    const struct accel_device before = first_device(store, &mem);
    const struct accel_deployable p = first_deployable(store, &mem);
    struct accel_bind_request request = bind_to(&arqs[0], &p, "i-1");
    fine(accel_store_bind_begin(store, &request, 1, &intent, &err), "a bind begins");
    fine(accel_store_bind_end(store, intent, NULL, &err), "and ends");
    ok(scan_nothing(store).gone == 1, "the device vanishes");
    ok(first_device(store, &mem).presence == ACCEL_GONE, "it is marked gone, as it is held");
    ok(state_of(store, &arqs[0]) == ACCEL_ARQ_BOUND, "the ARQ is Bound still");
    ok(scan_nothing(store).gone == 0, "it is gone once only");
    request = bind_to(&arqs[1], &p, "i-2");
    ok(accel_store_bind_begin(store, &request, 1, &intent, &err) == ACCEL_E_CONFLICT,
       "nothing more is bound to it: %s", err.msg);
    ok(scan_one(store).back == 1, "it comes back");
    ok(strcmp(first_device(store, &mem).uuid.text, before.uuid.text) == 0, "with its uuid");
    ok(first_deployable(store, &mem).in_use == 1, "held as before");

    struct made_device m;
    make_device(&m, 0x3b);
    m.device.deployables_count = 0;
    scan(store, "card", 50, &m.device, 1);
    ok(first_deployable(store, &mem).id == p.id, "a deployable that is held stays too");
    fine(accel_store_list_handles(store, p.id, &mem, &handles, &count, &err), "handles are listed");
    ok(count == 1 && strcmp(handles[0].arq_uuid.text, arqs[0].text) == 0,
       "with the handle that is held");
    scan_nothing(store);
    fine(accel_store_unbind(store, arqs, 1, &err), "the ARQ is unbound");
    ok(count_devices(store) == 0, "what is gone and free is deleted");
    ok(events_of(store, "device.deleted", 0) == 1, "an event tells of it");
    accel_store_close(store);
}

static void a_lease_holds_too(void)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_store *store = new_store();
    int64_t lease;

    scan_one(store);
    const struct accel_device d = first_device(store, &mem);
    fine(accel_store_lease_begin(store, d.id, "worker 0", &lease, &err), "a worker takes a lease");
    scan_nothing(store);
    ok(first_device(store, &mem).presence == ACCEL_GONE, "the device stays while it is leased");
    ok(accel_store_lease_begin(store, d.id, "worker 1", &(int64_t){0}, &err) == ACCEL_E_CONFLICT,
       "what is gone takes no lease: %s", err.msg);
    ok(accel_store_lease_begin(store, 99, "worker 1", &(int64_t){0}, &err) == ACCEL_E_NOT_FOUND,
       "nor does what never was: %s", err.msg);
    fine(accel_store_lease_end(store, lease, &err), "the lease ends");
    ok(count_devices(store) == 0, "the device goes");
    scan_one(store);
    const int64_t id = first_device(store, &mem).id;
    fine(accel_store_lease_begin(store, id, "worker 0", &lease, &err), "another lease");
    scan_nothing(store);
    accel_store_close(store);
    store = open_store();
    ok(count_devices(store) == 0, "leases, and what only they held, end with the daemon");
    accel_store_close(store);
}

static void the_higher_priority_owns(void)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_store *store = new_store();
    struct made_device low, high;
    struct accel_fact *facts;
    size_t count;

    make_device(&low, 0x3b);
    low.device.model = "by pci";
    low.device.deployables_count = 0;
    make_device(&high, 0x3b);
    scan(store, "pci", 10, &low.device, 1);
    const struct accel_device first = first_device(store, &mem);
    const struct accel_scan_result result = scan(store, "card", 50, &high.device, 1);
    ok(result.changed == 1 && result.added == 0, "a module of higher priority takes over");
    const struct accel_device d = first_device(store, &mem);
    ok(strcmp(d.module, "card") == 0 && strcmp(d.model, "made up") == 0 &&
           strcmp(d.uuid.text, first.uuid.text) == 0,
       "it is the same device with another owner");
    fine(accel_store_list_facts(store, d.id, &mem, &facts, &count, &err), "facts are listed");
    ok(count == 4, "both modules' facts stand");
    low.device.model = "changed";
    low.facts[0].number = 7e9;
    ok(scan(store, "pci", 10, &low.device, 1).changed == 1, "the other's facts may change");
    ok(strcmp(first_device(store, &mem).model, "made up") == 0, "but not the device");
    ok(scan(store, "pci", 10, &low.device, 1).unchanged == 1, "and nothing flaps");
    ok(scan(store, "pci", 10, NULL, 0).gone == 0, "it cannot take it away");
    fine(accel_store_list_facts(store, d.id, &mem, &facts, &count, &err), "facts are listed");
    ok(count == 2, "only its own facts");
    scan(store, "card", 50, NULL, 0);
    ok(count_devices(store) == 0, "the owner can");
    ok(scan(store, "pci", 10, &low.device, 1).back == 1, "then the other has it");
    accel_store_close(store);
}

static void annotations_find_their_device(void)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_store *store = new_store();
    const struct accel_fact fact = {.name = "runtime.opencl",
                                    .is_text = true,
                                    .text = "3.0 pocl",
                                    .basis = ACCEL_BASIS_REPORTED};
    struct accel_scan_annotation annotations[] = {{.identity = "pci:0000:3b:00.0", .fact = fact},
                                                  {.identity = "pci:ffff:00:00.0", .fact = fact}};
    struct accel_scan notes = {
        .module = "opencl", .priority = 90, .annotations = annotations, .annotations_count = 2};
    struct accel_scan_result result;
    struct accel_fact *facts;
    size_t count;

    scan_one(store);
    fine(accel_store_apply_scan(store, &notes, &result, &err), "a module annotates");
    ok(result.changed == 1, "the device it speaks of is changed");
    const struct accel_device d = first_device(store, &mem);
    ok(strcmp(d.module, "card") == 0, "its owner stays, whatever the priority");
    fine(accel_store_list_facts(store, d.id, &mem, &facts, &count, &err), "facts are listed");
    ok(count == 3 && strcmp(facts[2].module, "opencl") == 0, "the fact has its module as origin");
    ok(scan_one(store).unchanged == 1, "the owner's scan leaves it alone");
    notes.annotations_count = 0;
    fine(accel_store_apply_scan(store, &notes, &result, &err), "it annotates no more");
    fine(accel_store_list_facts(store, d.id, &mem, &facts, &count, &err), "facts are listed");
    ok(count == 2, "the fact is gone");
    accel_store_close(store);
}

static void one_bad_device_stops_nothing(void)
{
    struct accel_store *store = new_store();
    struct made_device made[3];
    struct accel_scan_device devices[3];

    for (unsigned i = 0; i < 3; i++) {
        make_device(&made[i], i);
        devices[i] = made[i].device;
    }
    devices[1].health = "unwell"; /* the schema refuses it */
    struct accel_scan_result result = scan(store, "card", 50, devices, 3);
    ok(result.added == 2 && count_devices(store) == 2, "the other two are recorded");
    ok(events_of(store, "device.problem", 0) == 1, "an event tells of the third");
    const int64_t sequence = last_sequence(store);
    scan(store, "card", 50, devices, 3);
    ok(last_sequence(store) == sequence, "once, not at every scan");
    devices[1].health = "ok";
    ok(scan(store, "card", 50, devices, 3).added == 1, "mended, it is recorded");
    devices[1].health = "unwell";
    ok(scan(store, "card", 50, devices, 3).gone == 0, "bad again, it is not taken for gone");

    const struct accel_scan_problem problem = {.where = devices[2].identity,
                                               .reason = "unreadable"};
    struct accel_scan found = {.module = "card",
                               .priority = 50,
                               .devices = devices,
                               .devices_count = 2,
                               .problems = (struct accel_scan_problem *)&problem,
                               .problems_count = 1};
    fine(accel_store_apply_scan(store, &found, &result, &err), "one could not be described");
    ok(result.gone == 0 && count_devices(store) == 3, "nor is that one gone");
    found.problems = &(struct accel_scan_problem){.where = "card 0000:02:00.0", .reason = "why"};
    fine(accel_store_apply_scan(store, &found, &result, &err), "named by its address");
    ok(result.gone == 0 && count_devices(store) == 3, "it is not gone either");
    found.problems_count = 0;
    fine(accel_store_apply_scan(store, &found, &result, &err), "without a problem");
    ok(result.gone == 1 && count_devices(store) == 2, "it is");
    accel_store_close(store);
}

static void api_attributes_are_left_alone(void)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_store *store = new_store();
    struct accel_attribute attribute;

    scan_one(store);
    const struct accel_deployable p = first_deployable(store, &mem);
    fine(accel_store_add_attribute(store, p.id, "rack", "7", &mem, &attribute, &err),
         "a client adds an attribute");
    ok(scan_one(store).unchanged == 1, "a scan leaves it alone");
    const struct accel_deployable after = first_deployable(store, &mem);
    ok(strstr(after.attributes_list, "{\"rack\":\"7\"}]") != NULL, "it is last: %s",
       after.attributes_list);
    ok(after.version > p.version, "the deployable has a new version");
    ok(accel_store_add_attribute(store, 99, "k", "v", &mem, &attribute, &err) == ACCEL_E_NOT_FOUND,
       "no attribute without a deployable");
    fine(accel_store_delete_attribute(store, &attribute.uuid, &err), "it can be deleted");
    ok(accel_store_delete_attribute(store, &attribute.uuid, &err) == ACCEL_E_NOT_FOUND, "once");
    accel_store_close(store);
}

static void the_daemons_own_finding_stands(void)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_store *store = new_store();

    scan_one(store);
    fine(accel_store_set_device_health(store, "pci:0000:3b:00.0", "degraded", "undo failed", &err),
         "the daemon finds it degraded");
    ok(scan_one(store).unchanged == 1, "a scan that finds it well changes nothing");
    struct accel_device d = first_device(store, &mem);
    ok(strcmp(d.health, "degraded") == 0 && strcmp(d.health_reason, "undo failed") == 0,
       "the worse of the two counts");
    struct made_device m;
    make_device(&m, 0x3b);
    m.device.health = "failed";
    m.device.health_reason = "fell off the bus";
    scan(store, "card", 50, &m.device, 1);
    d = first_device(store, &mem);
    ok(strcmp(d.health, "failed") == 0 && strcmp(d.health_reason, "fell off the bus") == 0,
       "whoever found it");
    fine(accel_store_set_device_health(store, "pci:0000:3b:00.0", "ok", NULL, &err), "it is well");
    ok(accel_store_set_device_health(store, "pci:none", "ok", NULL, &err) == ACCEL_E_NOT_FOUND,
       "an unknown identity is refused");
    accel_store_close(store);
}

static void modules_that_are_no_more_are_forgotten(void)
{
    struct accel_store *store = new_store();
    const char *const kept[] = {"other"};
    struct made_device m;

    scan_one(store);
    make_device(&m, 9);
    scan(store, "other", 1, &m.device, 1);
    fine(accel_store_keep_modules(store, kept, 1, &err), "one module is kept");
    ok(count_devices(store) == 1, "the other's device is gone");
    accel_store_close(store);
}

/* A node of 1,000 devices: the figure is printed, not tested. */
static void a_thousand_devices(void)
{
    enum { N = 1000 };
    struct accel_store *store = new_store();
    struct made_device *made = accel_calloc(N, sizeof(*made));
    struct accel_scan_device *devices = accel_calloc(N, sizeof(*devices));
    struct accel_device *listed;
    size_t count = 0;

    for (unsigned i = 0; i < N; i++) {
        make_device(&made[i], i);
        devices[i] = made[i].device;
    }
    int64_t start = accel_now_ns();
    ok(scan(store, "card", 50, devices, N).added == N, "1,000 devices are added");
    printf("# in %.1f ms\n", (double)(accel_now_ns() - start) / 1e6);
    start = accel_now_ns();
    ok(scan(store, "card", 50, devices, N).unchanged == N, "1,000 devices are unchanged");
    printf("# in %.1f ms\n", (double)(accel_now_ns() - start) / 1e6);
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    start = accel_now_ns();
    fine(accel_store_list_devices(store, NULL, NULL, &mem, &listed, &count, &err), "a list of all");
    printf("# in %.1f ms\n", (double)(accel_now_ns() - start) / 1e6);
    ok(count == N, "it has 1,000");
    struct accel_deployable *deployables;
    start = accel_now_ns();
    fine(accel_store_list_deployables(store, NULL, NULL, &mem, &deployables, &count, &err),
         "a list of all deployables");
    printf("# in %.1f ms\n", (double)(accel_now_ns() - start) / 1e6);
    ok(count == N, "it has 1,000");
    start = accel_now_ns();
    ok(scan(store, "card", 50, NULL, 0).gone == N, "1,000 devices are gone");
    printf("# in %.1f ms\n", (double)(accel_now_ns() - start) / 1e6);
    accel_store_close(store);
    accel_free(devices);
    accel_free(made);
}

static void survives_every_failed_allocation(void)
{
    struct accel_store *store = new_store();
    struct made_device m;
    long nth;

    make_device(&m, 0x3b);
    const struct accel_scan found = {
        .module = "card", .priority = 50, .devices = &m.device, .devices_count = 1};
    for (nth = 0;; nth++) {
        struct accel_scan_result result;
        accel_fault_arm(nth);
        const int rc = accel_store_apply_scan(store, &found, &result, &err);
        if (!accel_fault_disarm()) {
            ok(rc == ACCEL_OK && result.added == 1, "a scan that gets its memory is recorded");
            break;
        }
        ok(rc == ACCEL_E_NOMEM && count_devices(store) == 0,
           "allocation %ld failing leaves nothing behind", nth);
    }
    ok(nth > 1, "allocations were made to fail");
    accel_store_close(store);
}

int main(void)
{
    records_what_is_found();
    an_unchanged_scan_writes_nothing();
    changes_are_told_once();
    handles_go_by_their_address();
    what_vanishes_free_is_deleted_and_known_again();
    what_is_held_stays_until_it_is_free();
    a_lease_holds_too();
    the_higher_priority_owns();
    annotations_find_their_device();
    one_bad_device_stops_nothing();
    api_attributes_are_left_alone();
    the_daemons_own_finding_stands();
    modules_that_are_no_more_are_forgotten();
    a_thousand_devices();
    survives_every_failed_allocation();
    return tap_done();
}
