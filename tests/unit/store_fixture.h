/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_STORE_FIXTURE_H
#define TESTS_STORE_FIXTURE_H

/* A store in a folder of its own, and made-up scans to fill it. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/store.h"
#include "tap.h"

#define HOST "node1"

static struct accel_error err ACCEL_UNUSED;
static char folder[64], database[128];

static inline void remove_folder(void)
{
    char command[128];

    if (folder[0] == '\0')
        return;
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    if (system(command) != 0)
        fprintf(stderr, "# %s stays\n", folder);
    folder[0] = '\0';
}

/* An empty folder, gone at exit. */
static inline void new_folder(void)
{
    remove_folder();
    snprintf(folder, sizeof(folder), "/tmp/accel-store-XXXXXX");
    if (mkdtemp(folder) == NULL)
        abort();
    snprintf(database, sizeof(database), "%s/acceld.db", folder);
    atexit(remove_folder);
}

static inline struct accel_store *open_store(void)
{
    const struct accel_store_options options = {.path = database, .hostname = HOST};
    struct accel_store *store = NULL;

    if (accel_store_open(&options, &store, &err) != ACCEL_OK) {
        printf("# open: %s\n", err.msg);
        return NULL;
    }
    return store;
}

static inline struct accel_store *new_store(void)
{
    new_folder();
    return open_store();
}

/* ok() that shows the error it did not expect. */
#define fine(call, ...)                                                 \
    do {                                                                \
        err.msg[0] = '\0';                                              \
        if (!ok((call) == ACCEL_OK, __VA_ARGS__))                       \
            printf("#   %s: %s\n", accel_code_name(err.code), err.msg); \
    } while (0)

/* ---------------------------------------------------------------- scans */

/* A card with two attach handles, as a module would report it. */
struct made_device {
    char identity[64], address[32], info[2][128];
    struct accel_scan_handle handles[2];
    struct accel_scan_deployable deployable;
    struct accel_fact facts[2];
    struct accel_scan_device device;
};

static const char *made_traits[] = {"CUSTOM_FPGA_1", "CUSTOM_TEST"};

static inline void make_device(struct made_device *m, unsigned number)
{
    memset(m, 0, sizeof(*m));
    snprintf(m->address, sizeof(m->address), "%04x:%02x:00.0", number / 256, number % 256);
    snprintf(m->identity, sizeof(m->identity), "pci:%s", m->address);
    for (unsigned i = 0; i < 2; i++) {
        snprintf(m->info[i], sizeof(m->info[i]),
                 "{\"bus\":\"%02x\",\"device\":\"00\",\"domain\":\"%04x\",\"function\":\"%u\"}",
                 number % 256, number / 256, i);
        m->handles[i].attach_type = "PCI";
        m->handles[i].attach_info = m->info[i];
    }
    m->deployable.resource_class = "FPGA";
    m->deployable.num_accelerators = 2;
    m->deployable.traits_count = 2;
    m->deployable.traits = made_traits;
    m->deployable.handles_count = 2;
    m->deployable.handles = m->handles;
    m->facts[0] = (struct accel_fact){.name = ACCEL_FACT_MEMORY_BYTES,
                                      .number = 8e9,
                                      .basis = ACCEL_BASIS_REPORTED,
                                      .module = "card"};
    m->facts[1] = (struct accel_fact){.name = ACCEL_FACT_DRIVER,
                                      .is_text = true,
                                      .text = "vfio-pci",
                                      .basis = ACCEL_BASIS_REPORTED,
                                      .module = "card"};
    m->device = (struct accel_scan_device){.identity = m->identity,
                                           .type = "FPGA",
                                           .pci_address = m->address,
                                           .vendor = "0x10ee",
                                           .model = "made up",
                                           .health = "ok",
                                           .numa_node = -1,
                                           .iommu_group = 7,
                                           .deployables_count = 1,
                                           .deployables = &m->deployable,
                                           .facts_count = 2,
                                           .facts = m->facts};
}

static inline struct accel_scan_result scan(struct accel_store *store, const char *module,
                                            int priority, struct accel_scan_device *devices,
                                            size_t count)
{
    const struct accel_scan found = {
        .module = module, .priority = priority, .devices = devices, .devices_count = count};
    struct accel_scan_result result = {0};

    fine(accel_store_apply_scan(store, &found, &result, &err), "the scan is recorded");
    return result;
}

/* One card of two handles. */
static inline struct accel_scan_result scan_one(struct accel_store *store)
{
    struct made_device m;

    make_device(&m, 0x3b);
    return scan(store, "card", 50, &m.device, 1);
}

static inline struct accel_scan_result scan_nothing(struct accel_store *store)
{
    return scan(store, "card", 50, NULL, 0);
}

/* The only, or the first, device; id 0: none. */
static inline struct accel_device first_device(struct accel_store *store, struct accel_bump *mem)
{
    struct accel_device *devices = NULL, none = {0};
    size_t count = 0;

    if (accel_store_list_devices(store, NULL, NULL, mem, &devices, &count, &err) != ACCEL_OK)
        printf("# devices: %s\n", err.msg);
    return count > 0 ? devices[0] : none;
}

static inline struct accel_deployable first_deployable(struct accel_store *store,
                                                       struct accel_bump *mem)
{
    struct accel_deployable *deployables = NULL, none = {0};
    size_t count = 0;

    if (accel_store_list_deployables(store, NULL, NULL, mem, &deployables, &count, &err) !=
        ACCEL_OK)
        printf("# deployables: %s\n", err.msg);
    return count > 0 ? deployables[0] : none;
}

static inline int64_t last_sequence(struct accel_store *store)
{
    int64_t sequence = -1;

    if (accel_store_last_sequence(store, &sequence, &err) != ACCEL_OK)
        printf("# sequence: %s\n", err.msg);
    return sequence;
}

/* How many events of a kind there are behind `after`. */
static inline unsigned events_of(struct accel_store *store, const char *kind, int64_t after)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_event *events = NULL;
    size_t count = 0;
    unsigned found = 0;

    if (accel_store_list_events(store, after, 0, &(struct accel_event_filter){0}, &mem, &events,
                                &count, &err) != ACCEL_OK)
        printf("# events: %s\n", err.msg);
    for (size_t i = 0; i < count; i++)
        found += strcmp(events[i].kind, kind) == 0;
    return found;
}

/* ---------------------------------------------------------------- ARQs */

/* `count` ARQs of one group of a new profile; their uuids. */
static inline void make_arqs(struct accel_store *store, const char *profile_name, unsigned count,
                             struct accel_uuid *uuids)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_device_profile profile;
    struct accel_profile_group *groups;
    struct accel_arq *arqs = NULL;
    char text[128];
    size_t groups_count, made = 0;

    snprintf(text, sizeof(text), "[{\"resources:FPGA\": \"%u\"}]", count);
    struct accel_new_profile from = {.name = profile_name, .groups = text};
    if (accel_profile_parse(text, &mem, &from.groups, &groups, &groups_count, &err) != ACCEL_OK ||
        accel_store_add_profile(store, &from, &mem, &profile, &err) != ACCEL_OK ||
        accel_store_add_arqs(store, &profile, groups, groups_count, "project", &mem, &arqs, &made,
                             &err) != ACCEL_OK)
        printf("# ARQs: %s\n", err.msg);
    ok(made == count, "%u ARQs are made of %s", count, profile_name);
    for (size_t i = 0; i < made; i++)
        uuids[i] = arqs[i].uuid;
}

static inline struct accel_bind_request bind_to(const struct accel_uuid *arq,
                                                const struct accel_deployable *deployable,
                                                const char *instance)
{
    return (struct accel_bind_request){.arq = *arq,
                                       .hostname = HOST,
                                       .device_rp_uuid = deployable->rp_uuid.text,
                                       .instance_uuid = instance,
                                       .project_id = NULL};
}

static inline enum accel_arq_state state_of(struct accel_store *store,
                                            const struct accel_uuid *uuid)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_arq arq = {0};

    if (accel_store_get_arq(store, uuid, &mem, &arq, &err) != ACCEL_OK)
        printf("# ARQ: %s\n", err.msg);
    return arq.state;
}

#endif
