/* SPDX-License-Identifier: Apache-2.0 */

/* Devices as the use cases need them: found by any of their names, with all that the matcher asks,
 * and with a gate before runs so that a bind finds nobody inside. */

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "service/service_internal.h"

static int find_by_identity(struct accel_service *service, const char *identity,
                            struct accel_bump *mem, struct accel_device *device, bool *found,
                            struct accel_error *err)
{
    const struct accel_device_filter filter = {.identity = identity};
    const struct accel_page one = {.limit = 1};
    struct accel_device *devices;
    size_t count;

    *found = false;
    if (accel_store_list_devices(service->store, &filter, &one, mem, &devices, &count, err) !=
        ACCEL_OK)
        return err->code;
    if (count > 0) {
        *device = devices[0];
        *found = true;
    }
    return ACCEL_OK;
}

int service_find_device(struct accel_service *service, const char *name, struct accel_bump *mem,
                        struct accel_device *device, struct accel_error *err)
{
    struct accel_uuid uuid;
    bool found;

    if (accel_uuid_parse(name, &uuid))
        return accel_store_get_device(service->store, &uuid, mem, device, err);
    if (find_by_identity(service, name, mem, device, &found, err) != ACCEL_OK)
        return err->code;
    if (found)
        return ACCEL_OK;
    const char *pci = accel_bump_printf(mem, "pci:%s", name);
    if (pci == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to look for device %s", name);
    if (find_by_identity(service, pci, mem, device, &found, err) != ACCEL_OK)
        return err->code;
    if (!found)
        return accel_fail(err, ACCEL_E_NOT_FOUND,
                          "no device %s: give its uuid, identity or PCI address", name);
    return ACCEL_OK;
}

bool service_has_workers_for(const struct accel_device *device)
{
    return device->runnable && strcmp(device->type, "CPU") == 0;
}

const char *service_rates_version(struct accel_service *service, const struct accel_device *device,
                                  const struct accel_fact *facts, size_t count)
{
    const struct accel_fact *best = NULL;

    if (strcmp(device->type, "CPU") == 0)
        return service->core_version;
    for (size_t i = 0; i < count; i++)
        if (facts[i].is_text && strcmp(facts[i].name, ACCEL_FACT_DRIVER_VERSION) == 0 &&
            (best == NULL || facts[i].basis > best->basis))
            best = &facts[i];
    return best != NULL ? best->text : "";
}

static int describe(struct accel_service *service, const struct accel_device *device,
                    const struct accel_uuid *model, const char *shape, struct accel_bump *mem,
                    struct accel_resource *r, struct accel_error *err)
{
    const struct accel_deployable_filter of_device = {.device = &device->uuid};
    const struct accel_page all = {0};
    struct accel_store *store = service->store;
    struct accel_device *copy = accel_bump_alloc(mem, 1, sizeof(*copy));
    struct accel_fact *facts;
    struct accel_deployable *deployables;
    struct accel_rate *rates;
    struct accel_arq arq;
    const char *measured_at;
    int rc;

    if (copy == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for device %s", device->identity);
    *copy = *device;
    copy->runnable = service_has_workers_for(device);
    r->device = copy;
    if (accel_store_list_facts(store, device->id, mem, &facts, &r->facts_count, err) != ACCEL_OK ||
        accel_store_list_deployables(store, &of_device, &all, mem, &deployables,
                                     &r->deployables_count, err) != ACCEL_OK ||
        accel_store_get_rates(
            store, device->id, service_rates_version(service, device, facts, r->facts_count), mem,
            &rates, &r->rates_count, &r->rates_threads, &measured_at, err) != ACCEL_OK)
        return err->code;
    r->facts = facts;
    r->deployables = deployables;
    r->rates = r->rates_count > 0 ? rates : NULL;
    rc = accel_store_device_holder(store, device->id, mem, &arq, err);
    if (rc == ACCEL_OK) {
        r->holder = accel_bump_strdup(mem, arq.uuid.text);
        if (r->holder == NULL)
            return accel_fail(err, ACCEL_E_NOMEM, "no memory for device %s", device->identity);
    } else if (rc != ACCEL_E_NOT_FOUND) {
        return rc;
    }
    if (model != NULL) {
        struct accel_measured measured;
        if (accel_store_get_measured(store, model, device->id, service->threads, shape, &measured,
                                     err) != ACCEL_OK)
            return err->code;
        r->measured_count = measured.count;
        r->measured_mean_s = measured.mean_s;
        r->measured_sd_s = measured.variance_s2 > 0 ? __builtin_sqrt(measured.variance_s2) : 0;
    }
    return ACCEL_OK;
}

int service_resources(struct accel_service *service, const struct accel_device *devices,
                      size_t count, const struct accel_uuid *model, const char *shape,
                      struct accel_bump *mem, struct accel_resource **resources,
                      struct accel_error *err)
{
    struct accel_resource *made = accel_bump_alloc(mem, ACCEL_MAX(count, 1), sizeof(*made));

    if (made == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for %zu devices", count);
    for (size_t i = 0; i < count; i++)
        if (describe(service, &devices[i], model, shape, mem, &made[i], err) != ACCEL_OK)
            return accel_fail_in(err, "device %s", devices[i].identity);
    *resources = made;
    return ACCEL_OK;
}

int accel_service_enable_device(struct accel_service *service, const struct accel_caller *caller,
                                const struct accel_uuid *uuid, bool enable, struct accel_error *err)
{
    const char *status = enable ? "enabled" : "maintaining";

    if (accel_store_set_device_status(service->store, uuid, status, err) != ACCEL_OK)
        return accel_fail_in(err, "%s device %s", enable ? "enable" : "disable", uuid->text);
    service_touch(service);
    accel_log_info("device status set", "device=%s status=%s by=\"%s\"", uuid->text, status,
                   caller->user != NULL ? caller->user : "");
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- gates */

/* Lock held. NULL: no memory. Gates are few, one per device that ever ran or was bound, and stay.
 */
static struct gate *gate_of(struct accel_service *service, int64_t device_id)
{
    struct gate *g = service->gates;

    while (g != NULL && g->device_id != device_id)
        g = g->next;
    if (g == NULL && (g = accel_calloc(1, sizeof(*g))) != NULL) {
        g->device_id = device_id;
        g->next = service->gates;
        service->gates = g;
    }
    return g;
}

/* The row that says a worker has a context on the device: written at the first run, not at every
 * one, and ended by a bind. */
static int begin_lease(struct accel_service *service, struct gate *g, struct accel_error *err)
{
    int64_t lease;

    if (accel_store_lease_begin(service->store, g->device_id, "worker-cpu", &lease, err) !=
        ACCEL_OK)
        return accel_fail_in(err, "lease");
    pthread_mutex_lock(&service->lock);
    const bool second = g->lease != 0; /* two first runs at once */
    if (!second)
        g->lease = lease;
    pthread_mutex_unlock(&service->lock);
    if (second)
        return accel_store_lease_end(service->store, lease, err);
    return ACCEL_OK;
}

static int refuse_held(struct accel_service *service, int64_t device_id, const char *identity,
                       struct accel_error *err)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_arq arq;
    const int rc = accel_store_device_holder(service->store, device_id, &mem, &arq, err);

    if (rc == ACCEL_E_NOT_FOUND)
        return ACCEL_OK;
    if (rc != ACCEL_OK)
        return rc;
    return accel_fail(err, ACCEL_E_CONFLICT, "device %s is bound by ARQ %s", identity,
                      arq.uuid.text);
}

int service_gate_enter(struct accel_service *service, int64_t device_id, const char *identity,
                       struct accel_error *err)
{
    bool leased = false;
    int rc = ACCEL_OK;

    pthread_mutex_lock(&service->lock);
    struct gate *g = gate_of(service, device_id);
    if (g == NULL)
        rc = accel_fail(err, ACCEL_E_NOMEM, "no memory to run on device %s", identity);
    else if (g->draining > 0)
        rc = accel_fail(err, ACCEL_E_CONFLICT, "device %s is being bound", identity);
    if (rc == ACCEL_OK) {
        g->running++;
        leased = g->lease != 0;
    }
    pthread_mutex_unlock(&service->lock);
    if (rc != ACCEL_OK)
        return rc;
    /* Inside: whoever binds now waits for us, and a bind that was first shows its ARQ. */
    rc = refuse_held(service, device_id, identity, err);
    if (rc == ACCEL_OK && !leased)
        rc = begin_lease(service, g, err);
    if (rc != ACCEL_OK)
        service_gate_leave(service, device_id);
    return rc;
}

void service_gate_leave(struct accel_service *service, int64_t device_id)
{
    pthread_mutex_lock(&service->lock);
    struct gate *g = gate_of(service, device_id); /* there: it was entered */
    if (--g->running == 0)
        pthread_cond_broadcast(&service->changed);
    pthread_mutex_unlock(&service->lock);
}

int service_gate_drain(struct accel_service *service, int64_t device_id, int64_t at_ms,
                       struct accel_error *err)
{
    int64_t lease = 0;
    int rc = ACCEL_OK;

    pthread_mutex_lock(&service->lock);
    struct gate *g = gate_of(service, device_id);
    if (g == NULL) {
        pthread_mutex_unlock(&service->lock);
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to drain a device");
    }
    g->draining++;
    while (g->running > 0 && rc == ACCEL_OK)
        if (!service_wait(service, &service->changed, at_ms))
            rc = accel_fail(err, ACCEL_E_TIMEOUT, "%u inferences still run on the device",
                            g->running);
    if (rc == ACCEL_OK) {
        lease = g->lease;
        g->lease = 0;
    } else {
        g->draining--;
    }
    pthread_mutex_unlock(&service->lock);
    if (lease != 0 && (rc = accel_store_lease_end(service->store, lease, err)) != ACCEL_OK)
        service_gate_open(service, device_id);
    return rc;
}

void service_gate_open(struct accel_service *service, int64_t device_id)
{
    pthread_mutex_lock(&service->lock);
    gate_of(service, device_id)->draining--;
    pthread_mutex_unlock(&service->lock);
}
