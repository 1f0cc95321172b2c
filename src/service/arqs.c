/* SPDX-License-Identifier: Apache-2.0 */

/* Accelerator requests: contract 9 and 11. Whose they are is decided here; the store moves the
 * states, all or nothing. */

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "service/service_internal.h"

int service_needs_service(const struct accel_caller *caller, const char *what,
                          struct accel_error *err)
{
    if (caller->service)
        return ACCEL_OK;
    /* Tempest looks for these words. */
    return accel_fail(err, ACCEL_E_DENIED, "%s requires a service token", what);
}

/* NULL admits all projects, "" none: the store's filter takes NULL as "any". */
static const char *project_filter(const struct accel_caller *caller, bool whole_instance)
{
    if (caller->admin || (whole_instance && caller->service))
        return NULL;
    return caller->project_id != NULL ? caller->project_id : "";
}

int accel_service_create_arqs(struct accel_service *service, const struct accel_caller *caller,
                              const char *device_profile_name, struct accel_bump *mem,
                              struct accel_arq **arqs, size_t *count, struct accel_error *err)
{
    struct accel_device_profile profile;
    struct accel_profile_group *groups;
    const char *canonical;
    size_t groups_count;

    if (device_profile_name == NULL || device_profile_name[0] == '\0')
        return accel_fail(err, ACCEL_E_NOT_FOUND, "device profile \"\" not found");
    if (accel_store_get_profile(service->store, device_profile_name, mem, &profile, err) !=
            ACCEL_OK ||
        accel_profile_parse(profile.groups, mem, &canonical, &groups, &groups_count, err) !=
            ACCEL_OK ||
        accel_store_add_arqs(service->store, &profile, groups, groups_count, caller->project_id,
                             mem, arqs, count, err) != ACCEL_OK)
        return accel_fail_in(err, "create ARQs of device profile %s", device_profile_name);
    return ACCEL_OK;
}

static bool may_see_arq(const struct accel_caller *caller, const struct accel_arq *arq,
                        bool as_service)
{
    return service_may_see(caller, arq->project_id) || (as_service && caller->service);
}

static int get_seen(struct accel_service *service, const struct accel_caller *caller,
                    const struct accel_uuid *uuid, bool as_service, struct accel_bump *mem,
                    struct accel_arq *arq, struct accel_error *err)
{
    if (accel_store_get_arq(service->store, uuid, mem, arq, err) != ACCEL_OK)
        return err->code;
    if (!may_see_arq(caller, arq, as_service))
        /* The same words as for one that does not exist: a stranger learns nothing. */
        return accel_fail(err, ACCEL_E_NOT_FOUND, "no ARQ %s", uuid->text);
    return ACCEL_OK;
}

int accel_service_get_arq(struct accel_service *service, const struct accel_caller *caller,
                          const struct accel_uuid *uuid, struct accel_bump *mem,
                          struct accel_arq *arq, struct accel_error *err)
{
    struct accel_error local;

    return get_seen(service, caller, uuid, false, mem, arq, err != NULL ? err : &local);
}

int accel_service_list_arqs(struct accel_service *service, const struct accel_caller *caller,
                            const char *instance_uuid, bool resolved, const struct accel_page *page,
                            struct accel_bump *mem, struct accel_arq **arqs, size_t *count,
                            struct accel_error *err)
{
    const struct accel_page all = {0};
    const bool whole = resolved && instance_uuid != NULL;
    const struct accel_arq_filter filter = {.project_id =
                                                project_filter(caller, instance_uuid != NULL),
                                            .instance_uuid = instance_uuid,
                                            .resolved_only = resolved && !whole};

    if (accel_store_list_arqs(service->store, &filter, page != NULL && !whole ? page : &all, mem,
                              arqs, count, err) != ACCEL_OK)
        return accel_fail_in(err, "list ARQs");
    for (size_t i = 0; whole && i < *count; i++)
        if (!accel_arq_state_resolved((*arqs)[i].state))
            return accel_fail(err, ACCEL_E_LOCKED, "ARQ %s of instance %s is %s",
                              (*arqs)[i].uuid.text, instance_uuid,
                              accel_arq_state_name((*arqs)[i].state));
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- bind */

/* The devices that these providers belong to, each once, in order: two binds that want the same
 * ones drain them in the same order. An unknown provider is the store's to refuse. */
static int devices_of(struct accel_service *service, const struct accel_bind_request *requests,
                      size_t count, struct accel_bump *mem, int64_t *ids, size_t *ids_count,
                      struct accel_error *err)
{
    const struct accel_page one = {.limit = 1};

    *ids_count = 0;
    for (size_t i = 0; i < count; i++) {
        struct accel_uuid rp;
        const struct accel_deployable_filter filter = {.rp = &rp};
        struct accel_deployable *deployables;
        size_t found, at = 0;

        if (!accel_uuid_parse(requests[i].device_rp_uuid, &rp))
            continue;
        if (accel_store_list_deployables(service->store, &filter, &one, mem, &deployables, &found,
                                         err) != ACCEL_OK)
            return err->code;
        if (found == 0)
            continue;
        while (at < *ids_count && ids[at] < deployables[0].device_id)
            at++;
        if (at < *ids_count && ids[at] == deployables[0].device_id)
            continue;
        memmove(&ids[at + 1], &ids[at], (*ids_count - at) * sizeof(*ids));
        ids[at] = deployables[0].device_id;
        (*ids_count)++;
    }
    return ACCEL_OK;
}

static int64_t request_deadline(struct accel_service *service)
{
    pthread_mutex_lock(&service->lock);
    const int64_t ms = service->limits.request_ms;
    pthread_mutex_unlock(&service->lock);
    return accel_now_ms() + ms;
}

int service_gates_drain(struct accel_service *service, const int64_t *ids, size_t count,
                        struct accel_error *err)
{
    const int64_t until = request_deadline(service);

    for (size_t i = 0; i < count; i++)
        if (service_gate_drain(service, ids[i], until, err) != ACCEL_OK) {
            service_gates_open(service, ids, i);
            return err->code;
        }
    return ACCEL_OK;
}

void service_gates_open(struct accel_service *service, const int64_t *ids, size_t count)
{
    while (count > 0)
        service_gate_open(service, ids[--count]);
}

int service_bind_finish(struct accel_service *service, int64_t intent, struct accel_error *err)
{
    struct accel_error undo;

    /* Nothing physical lies between the two: libvirt attaches what Nova binds. Programming a
     * bitstream, which a group may ask for, will stand here. */
    if (accel_store_bind_end(service->store, intent, NULL, err) == ACCEL_OK)
        return ACCEL_OK;
    if (accel_store_bind_end(service->store, intent, err->msg, &undo) != ACCEL_OK)
        accel_log_error("a bind half done stays until the daemon starts again",
                        "intent=%lld error=\"%s\"", (long long)intent, undo.msg);
    return err->code;
}

static int bind_drained(struct accel_service *service, const struct accel_bind_request *requests,
                        size_t count, struct accel_error *err)
{
    int64_t intent;

    if (accel_store_bind_begin(service->store, requests, count, &intent, err) != ACCEL_OK)
        return err->code;
    return service_bind_finish(service, intent, err);
}

int accel_service_bind_arqs(struct accel_service *service, const struct accel_caller *caller,
                            const struct accel_bind_request *requests, size_t count,
                            struct accel_error *err)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_bind_request *full = accel_bump_alloc(&mem, ACCEL_MAX(count, 1), sizeof(*full));
    int64_t *ids = accel_bump_alloc(&mem, count + 1, sizeof(*ids));
    struct accel_error local;
    size_t devices = 0;

    if (err == NULL)
        err = &local;
    if (service_needs_service(caller, "binding an ARQ", err) != ACCEL_OK)
        return err->code;
    if (count == 0)
        return accel_fail(err, ACCEL_E_INVALID, "no ARQ to bind");
    if (full == NULL || ids == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to bind %zu ARQs", count);
    if (service_is_stopping(service))
        return service_refuse(err);
    for (size_t i = 0; i < count; i++) {
        struct accel_arq arq;
        full[i] = requests[i];
        /* With a service token Nova acts on ARQs that an admin's rebuild made in another project.
         */
        if (get_seen(service, caller, &requests[i].arq, true, &mem, &arq, err) != ACCEL_OK)
            return err->code;
        if (full[i].project_id == NULL)
            full[i].project_id = caller->project_id;
    }
    if (devices_of(service, full, count, &mem, ids, &devices, err) != ACCEL_OK)
        return err->code;
    if (service_gates_drain(service, ids, devices, err) != ACCEL_OK)
        return accel_fail_in(err, "bind");
    const int rc = bind_drained(service, full, count, err);
    service_gates_open(service, ids, devices);
    service_touch(service);
    if (rc != ACCEL_OK)
        return accel_fail_in(err, "bind");
    for (size_t i = 0; i < count; i++)
        accel_log_info("ARQ bound", "arq=%s instance=%s provider=%s", full[i].arq.text,
                       full[i].instance_uuid, full[i].device_rp_uuid);
    return ACCEL_OK;
}

int accel_service_unbind_arqs(struct accel_service *service, const struct accel_caller *caller,
                              const struct accel_uuid *arqs, size_t count, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_error local;

    if (err == NULL)
        err = &local;
    if (service_needs_service(caller, "unbinding an ARQ", err) != ACCEL_OK)
        return err->code;
    for (size_t i = 0; i < count; i++) {
        struct accel_arq arq;
        if (get_seen(service, caller, &arqs[i], true, &mem, &arq, err) != ACCEL_OK)
            return err->code;
    }
    if (accel_store_unbind(service->store, arqs, count, err) != ACCEL_OK)
        return accel_fail_in(err, "unbind");
    service_touch(service);
    return ACCEL_OK;
}

int accel_service_delete_arqs(struct accel_service *service, const struct accel_caller *caller,
                              const struct accel_uuid *arqs, size_t count, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_uuid *seen = accel_bump_alloc(&mem, ACCEL_MAX(count, 1), sizeof(*seen));
    size_t seen_count = 0, gone = 0, missing = 0;
    struct accel_uuid first = {""};
    struct accel_error local;

    if (err == NULL)
        err = &local;
    if (seen == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to delete %zu ARQs", count);
    for (size_t i = 0; i < count; i++) {
        struct accel_arq arq;
        const int rc = get_seen(service, caller, &arqs[i], true, &mem, &arq, err);
        if (rc == ACCEL_E_NOT_FOUND) {
            if (missing++ == 0)
                first = arqs[i];
            continue;
        }
        if (rc != ACCEL_OK)
            return rc;
        /* A foreign ARQ that only the service token shows counts as the token's. */
        if (arq.instance_uuid != NULL &&
            service_needs_service(caller, "deleting a bound ARQ", err) != ACCEL_OK)
            return err->code; /* nothing is deleted */
        seen[seen_count++] = arqs[i];
    }
    if (seen_count > 0 &&
        accel_store_delete_arqs(service->store, seen, seen_count, &gone, err) != ACCEL_OK)
        return accel_fail_in(err, "delete ARQs");
    service_touch(service);
    if (missing > 0)
        return accel_fail(err, ACCEL_E_NOT_FOUND, "no ARQ %s (%zu of %zu were deleted)", first.text,
                          seen_count, count);
    return ACCEL_OK;
}

int accel_service_delete_instance_arqs(struct accel_service *service,
                                       const struct accel_caller *caller, const char *instance_uuid,
                                       struct accel_error *err)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    const struct accel_arq_filter filter = {.instance_uuid = instance_uuid};
    const struct accel_page all = {0};
    struct accel_arq *arqs;
    size_t count, missing;
    struct accel_error local;

    if (err == NULL)
        err = &local;
    if (service_needs_service(caller, "deleting the ARQs of an instance", err) != ACCEL_OK)
        return err->code;
    if (accel_store_list_arqs(service->store, &filter, &all, &mem, &arqs, &count, err) != ACCEL_OK)
        return accel_fail_in(err, "ARQs of instance %s", instance_uuid);
    if (count == 0)
        return ACCEL_OK;
    struct accel_uuid *uuids = accel_bump_alloc(&mem, count, sizeof(*uuids));
    if (uuids == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to delete %zu ARQs", count);
    for (size_t i = 0; i < count; i++)
        uuids[i] = arqs[i].uuid;
    if (accel_store_delete_arqs(service->store, uuids, count, &missing, err) != ACCEL_OK)
        return accel_fail_in(err, "delete ARQs of instance %s", instance_uuid);
    service_touch(service);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- start */

int service_settle_intents(struct accel_service *service, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_intent *intents;
    size_t count;

    if (accel_store_list_intents(service->store, &mem, &intents, &count, err) != ACCEL_OK)
        return err->code;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(intents[i].kind, "bind") != 0 && strcmp(intents[i].kind, "reserve") != 0) {
            accel_log_error("intent of an unknown kind stays open", "intent=%lld kind=%s",
                            (long long)intents[i].id, intents[i].kind);
            continue;
        }
        /* Nobody was told that it is bound, and nothing physical was under way: the handles go
         * back, and who waits reads BindFailed. Of a reservation nobody was told anything: its
         * ARQs go too. */
        if (accel_store_bind_end(service->store, intents[i].id,
                                 "the daemon ended before the bind was complete", err) != ACCEL_OK)
            return accel_fail_in(err, "undo %s of %s", intents[i].kind, intents[i].created_at);
        accel_log_warning("interrupted bind undone", "intent=%lld kind=%s",
                          (long long)intents[i].id, intents[i].kind);
    }
    return ACCEL_OK;
}
