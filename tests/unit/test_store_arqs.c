/* SPDX-License-Identifier: Apache-2.0 */
#include "store_fixture.h"

#include <pthread.h>
#include <stdatomic.h>

#define INSTANCE "d1e3ff56-feef-4495-8e4f-1cf6ea59ffbc"

static void binds_and_unbinds(void)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_store *store = new_store();
    struct accel_uuid arqs[3];
    struct accel_arq arq;
    int64_t intent = 0;

    scan_one(store);
    make_arqs(store, "p", 2, arqs);
    const struct accel_deployable deployable = first_deployable(store, &mem);
    struct accel_bind_request requests[2] = {bind_to(&arqs[0], &deployable, INSTANCE),
                                             bind_to(&arqs[1], &deployable, INSTANCE)};
    fine(accel_store_bind_begin(store, requests, 2, &intent, &err), "a bind of two begins");
    ok(state_of(store, &arqs[0]) == ACCEL_ARQ_BIND_STARTED, "the ARQ is BindStarted");
    fine(accel_store_get_arq(store, &arqs[0], &mem, &arq, &err), "the ARQ can be read");
    ok(strcmp(arq.attach_handle_type, "") == 0 && strcmp(arq.attach_handle_info, "{}") == 0,
       "its handle is not shown before it is Bound");
    ok(strcmp(arq.deployable_uuid.text, deployable.uuid.text) == 0, "its deployable is");
    ok(accel_store_bind_begin(store, requests, 1, &intent, &err) != ACCEL_OK,
       "a second bind of it is refused: %s", err.msg);
    fine(accel_store_bind_end(store, intent, NULL, &err), "the bind ends");
    fine(accel_store_get_arq(store, &arqs[0], &mem, &arq, &err), "the ARQ can be read");
    ok(arq.state == ACCEL_ARQ_BOUND && strcmp(arq.attach_handle_type, "PCI") == 0 &&
           strstr(arq.attach_handle_info, "\"bus\":\"3b\"") != NULL &&
           strcmp(arq.instance_uuid, INSTANCE) == 0 && strcmp(arq.hostname, HOST) == 0,
       "it is Bound and says to what: %s", arq.attach_handle_info);
    ok(events_of(store, "arq.bound", 0) == 2, "two events tell of it");
    ok(first_deployable(store, &mem).in_use == 2, "two accelerators are in use");
    fine(accel_store_unbind(store, arqs, 2, &err), "both are unbound");
    ok(first_deployable(store, &mem).in_use == 0, "none is in use");
    fine(accel_store_get_arq(store, &arqs[1], &mem, &arq, &err), "the ARQ can be read");
    ok(arq.state == ACCEL_ARQ_UNBOUND && arq.hostname == NULL && arq.instance_uuid == NULL &&
           arq.device_rp_uuid == NULL,
       "an unbound ARQ has no host, instance or provider");
    accel_store_close(store);
}

static void all_or_nothing(void)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_store *store = new_store();
    struct accel_uuid arqs[3], other[1];
    int64_t intent;

    scan_one(store);
    make_arqs(store, "p", 3, arqs);
    make_arqs(store, "q", 1, other);
    const struct accel_deployable p = first_deployable(store, &mem);
    const struct accel_bind_request requests[3] = {bind_to(&arqs[0], &p, INSTANCE),
                                                   bind_to(&arqs[1], &p, INSTANCE),
                                                   bind_to(&arqs[2], &p, INSTANCE)};
    const int64_t sequence = last_sequence(store);
    ok(accel_store_bind_begin(store, requests, 3, &intent, &err) == ACCEL_E_NOT_FOUND,
       "three do not fit into two handles: %s", err.msg);
    ok(state_of(store, &arqs[0]) == ACCEL_ARQ_INITIAL &&
           first_deployable(store, &mem).in_use == 0 && last_sequence(store) == sequence,
       "nothing of it happened");
    fine(accel_store_bind_begin(store, requests, 2, &intent, &err), "two do");
    ok(accel_store_unbind(store, arqs, 1, &err) == ACCEL_E_CONFLICT, "no unbind meanwhile: %s",
       err.msg);
    size_t missing;
    ok(accel_store_delete_arqs(store, arqs, 3, &missing, &err) == ACCEL_E_CONFLICT &&
           state_of(store, &arqs[2]) == ACCEL_ARQ_INITIAL,
       "no delete, of none of them");
    fine(accel_store_bind_end(store, intent, "the card did not answer", &err), "the bind fails");
    ok(state_of(store, &arqs[0]) == ACCEL_ARQ_BIND_FAILED &&
           state_of(store, &arqs[1]) == ACCEL_ARQ_BIND_FAILED &&
           first_deployable(store, &mem).in_use == 0,
       "both are BindFailed, no handle is held");
    ok(events_of(store, "arq.bind_failed", 0) == 2, "two events tell of it");
    ok(accel_store_bind_end(store, intent, NULL, &err) == ACCEL_E_NOT_FOUND,
       "it cannot end twice: %s", err.msg);
    const struct accel_bind_request late = bind_to(&other[0], &p, INSTANCE);
    ok(accel_store_bind_begin(store, &late, 1, &intent, &err) == ACCEL_E_EXISTS,
       "an instance that has ARQs gets no more: %s", err.msg);
    fine(accel_store_unbind(store, arqs, 2, &err), "failed ones can be unbound");
    ok(state_of(store, &arqs[0]) == ACCEL_ARQ_UNBOUND, "and are Unbound");
    const int64_t before = last_sequence(store);
    fine(accel_store_unbind(store, arqs, 2, &err), "again");
    ok(last_sequence(store) == before, "which is no news");
    struct accel_uuid unknown = {"00000000-0000-4000-8000-000000000000"};
    ok(accel_store_unbind(store, &unknown, 1, &err) == ACCEL_E_NOT_FOUND, "an unknown one: %s",
       err.msg);
    fine(accel_store_bind_begin(store, requests, 2, &intent, &err), "they can be bound again");
    fine(accel_store_bind_end(store, intent, NULL, &err), "to the end");
    struct accel_uuid doomed[3] = {arqs[0], unknown, arqs[2]};
    fine(accel_store_delete_arqs(store, doomed, 3, &missing, &err), "two of three are deleted");
    ok(missing == 1 && first_deployable(store, &mem).in_use == 1, "the missing one is counted");
    accel_store_close(store);
}

static void refuses_what_cannot_be_given(void)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_store *store = new_store();
    struct made_device made[2];
    struct accel_scan_device devices[2];
    struct accel_deployable *all;
    struct accel_uuid arqs[2];
    int64_t intent, lease;
    size_t count;

    for (unsigned i = 0; i < 2; i++) {
        make_device(&made[i], i);
        devices[i] = made[i].device;
    }
    scan(store, "card", 50, devices, 2);
    make_arqs(store, "p", 2, arqs);
    fine(accel_store_list_deployables(store, NULL, NULL, &mem, &all, &count, &err), "two cards");
    struct accel_bind_request r = bind_to(&arqs[0], &all[0], INSTANCE);
    const struct accel_device d = first_device(store, &mem);

    r.hostname = "elsewhere";
    ok(accel_store_bind_begin(store, &r, 1, &intent, &err) == ACCEL_E_CONFLICT, "%s", err.msg);
    r.hostname = HOST;
    r.device_rp_uuid = "00000000-0000-3000-8000-000000000000";
    ok(accel_store_bind_begin(store, &r, 1, &intent, &err) == ACCEL_E_NOT_FOUND, "%s", err.msg);
    r.device_rp_uuid = "nonsense";
    ok(accel_store_bind_begin(store, &r, 1, &intent, &err) == ACCEL_E_NOT_FOUND, "%s", err.msg);
    r.device_rp_uuid = NULL;
    ok(accel_store_bind_begin(store, &r, 1, &intent, &err) == ACCEL_E_INVALID, "%s", err.msg);
    r = bind_to(&arqs[0], &all[0], INSTANCE);
    accel_store_set_device_status(store, &d.uuid, "maintaining", &err);
    ok(accel_store_bind_begin(store, &r, 1, &intent, &err) == ACCEL_E_CONFLICT, "%s", err.msg);
    accel_store_set_device_status(store, &d.uuid, "enabled", &err);
    accel_store_set_device_health(store, d.identity, "failed", "it burns", &err);
    ok(accel_store_bind_begin(store, &r, 1, &intent, &err) == ACCEL_E_CONFLICT, "%s", err.msg);
    accel_store_set_device_health(store, d.identity, "ok", NULL, &err);
    fine(accel_store_lease_begin(store, d.id, "worker", &lease, &err), "a worker has a lease");
    ok(accel_store_bind_begin(store, &r, 1, &intent, &err) == ACCEL_E_BUSY, "%s", err.msg);
    fine(accel_store_lease_end(store, lease, &err), "no more");
    const struct accel_bind_request split[2] = {bind_to(&arqs[0], &all[0], INSTANCE),
                                                bind_to(&arqs[1], &all[1], INSTANCE)};
    ok(accel_store_bind_begin(store, split, 2, &intent, &err) == ACCEL_E_CONFLICT,
       "a group goes to one provider: %s", err.msg);
    ok(state_of(store, &arqs[0]) == ACCEL_ARQ_INITIAL, "all that changed nothing");

    char upper[40];
    for (size_t i = 0; i <= strlen(all[0].rp_uuid.text); i++)
        upper[i] = (char)(all[0].rp_uuid.text[i] >= 'a' ? all[0].rp_uuid.text[i] - 32
                                                        : all[0].rp_uuid.text[i]);
    r.device_rp_uuid = upper;
    fine(accel_store_bind_begin(store, &r, 1, &intent, &err), "a UUID in capitals is the same");
    ok(accel_store_lease_begin(store, d.id, "worker", &lease, &err) == ACCEL_E_CONFLICT,
       "what is reserved takes no lease: %s", err.msg);
    struct accel_arq holder;
    fine(accel_store_device_holder(store, d.id, &mem, &holder, &err), "the holder is known");
    ok(strcmp(holder.uuid.text, arqs[0].text) == 0, "it is the ARQ");
    fine(accel_store_bind_end(store, intent, NULL, &err), "it ends");
    accel_store_close(store);
}

/* ---------------------------------------------------------------- lists */

static void lists_are_filtered_and_paged(void)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_store *store = new_store();
    struct accel_uuid arqs[5];
    struct accel_arq *list;
    size_t count;
    int64_t intent;

    scan_one(store);
    make_arqs(store, "p", 5, arqs);
    const struct accel_deployable p = first_deployable(store, &mem);
    const struct accel_bind_request r = bind_to(&arqs[3], &p, INSTANCE);
    fine(accel_store_bind_begin(store, &r, 1, &intent, &err), "one is being bound");
    struct accel_arq_filter f = {.instance_uuid = INSTANCE};
    fine(accel_store_list_arqs(store, &f, NULL, &mem, &list, &count, &err), "of the instance");
    ok(count == 1 && strcmp(list[0].uuid.text, arqs[3].text) == 0, "it is one");
    f.resolved_only = true;
    fine(accel_store_list_arqs(store, &f, NULL, &mem, &list, &count, &err), "resolved only");
    ok(count == 0, "none yet");
    fine(accel_store_bind_end(store, intent, NULL, &err), "bound");
    fine(accel_store_list_arqs(store, &f, NULL, &mem, &list, &count, &err), "resolved only");
    ok(count == 1, "now it is");
    f = (struct accel_arq_filter){.project_id = "another"};
    fine(accel_store_list_arqs(store, &f, NULL, &mem, &list, &count, &err), "another project");
    ok(count == 0, "sees none");
    struct accel_uuid wanted[2] = {arqs[4], arqs[1]};
    f = (struct accel_arq_filter){.uuids = wanted, .uuids_count = 2};
    fine(accel_store_list_arqs(store, &f, NULL, &mem, &list, &count, &err), "two by uuid");
    ok(count == 2 && strcmp(list[0].uuid.text, arqs[1].text) == 0, "in row order");
    f.uuids_count = 0;
    fine(accel_store_list_arqs(store, &f, NULL, &mem, &list, &count, &err), "none by uuid");
    ok(count == 0, "is none");
    struct accel_page page = {.limit = 2, .marker = &arqs[1]};
    fine(accel_store_list_arqs(store, NULL, &page, &mem, &list, &count, &err), "a page upwards");
    ok(count == 2 && strcmp(list[0].uuid.text, arqs[2].text) == 0, "begins behind its marker");
    page.newest_first = true;
    fine(accel_store_list_arqs(store, NULL, &page, &mem, &list, &count, &err), "a page downwards");
    ok(count == 1 && strcmp(list[0].uuid.text, arqs[0].text) == 0, "ends at the first row");
    page = (struct accel_page){.newest_first = true};
    fine(accel_store_list_arqs(store, NULL, &page, &mem, &list, &count, &err), "all downwards");
    ok(count == 5 && strcmp(list[0].uuid.text, arqs[4].text) == 0, "begin with the newest");
    page.marker = &p.uuid;
    ok(accel_store_list_arqs(store, NULL, &page, &mem, &list, &count, &err) == ACCEL_E_NOT_FOUND,
       "a marker that is no row: %s", err.msg);
    accel_store_close(store);
}

static void profiles_stay_while_they_are_used(void)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_store *store = new_store();
    struct accel_device_profile profile, *list;
    struct accel_new_profile from = {.uuid = "4EBEABA3-0DC2-44A9-A6EA-ADFA1968664A",
                                     .name = "fpga",
                                     .description = NULL,
                                     .groups = "[{}]"};
    struct accel_uuid arqs[1];
    size_t count, missing;

    fine(accel_store_add_profile(store, &from, &mem, &profile, &err), "a profile with a uuid");
    ok(strcmp(profile.uuid.text, "4ebeaba3-0dc2-44a9-a6ea-adfa1968664a") == 0 &&
           profile.description == NULL && profile.updated_at == NULL,
       "is as it was given");
    ok(accel_store_add_profile(store, &from, &mem, &profile, &err) == ACCEL_E_EXISTS &&
           strncmp(err.msg, "name", 4) == 0,
       "its name is taken: %s", err.msg);
    from.name = "other";
    ok(accel_store_add_profile(store, &from, &mem, &profile, &err) == ACCEL_E_EXISTS &&
           strncmp(err.msg, "uuid", 4) == 0,
       "its uuid is taken: %s", err.msg);
    from.uuid = "x";
    ok(accel_store_add_profile(store, &from, &mem, &profile, &err) == ACCEL_E_INVALID, "%s",
       err.msg);
    make_arqs(store, "used", 1, arqs);
    const char *const names[] = {"used", "none", "us"};
    fine(accel_store_list_profiles(store, names, 3, NULL, &mem, &list, &count, &err), "by name");
    ok(count == 1 && strcmp(list[0].name, "used") == 0, "exact matches only");
    ok(accel_store_delete_profile(store, "used", &err) == ACCEL_E_CONFLICT, "%s", err.msg);
    fine(accel_store_delete_arqs(store, arqs, 1, &missing, &err), "without its ARQ");
    fine(accel_store_delete_profile(store, "used", &err), "it can be deleted");
    ok(accel_store_get_profile(store, "used", &mem, &profile, &err) == ACCEL_E_NOT_FOUND, "%s",
       err.msg);
    fine(accel_store_delete_profile(store, "4ebeaba3-0dc2-44a9-a6ea-adfa1968664a", &err),
         "by uuid");
    ok(accel_store_add_arqs(store, &profile, NULL, 0, NULL, &mem, &(struct accel_arq *){NULL},
                            &count, &err) == ACCEL_E_NOT_FOUND,
       "no ARQ of a profile that is gone: %s", err.msg);
    accel_store_close(store);
}

/* ---------------------------------------------------------------- many at once */

struct contest {
    struct accel_store *store;
    const struct accel_deployable *deployable;
    struct accel_uuid arqs[8];
    _Atomic int next, won, full;
};

static void *compete(void *context)
{
    struct contest *c = context;
    const int mine = atomic_fetch_add(&c->next, 1);
    struct accel_error why = {0};
    char instance[16];
    int64_t intent;

    snprintf(instance, sizeof(instance), "i-%d", mine);
    const struct accel_bind_request r = bind_to(&c->arqs[mine], c->deployable, instance);
    const int rc = accel_store_bind_begin(c->store, &r, 1, &intent, &why);
    if (rc == ACCEL_OK && accel_store_bind_end(c->store, intent, NULL, &why) == ACCEL_OK)
        atomic_fetch_add(&c->won, 1);
    else if (rc == ACCEL_E_NOT_FOUND)
        atomic_fetch_add(&c->full, 1);
    for (int i = 0; i < 20; i++) {
        ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
        struct accel_deployable *list;
        size_t count;
        accel_store_list_deployables(c->store, NULL, NULL, &mem, &list, &count, &why);
    }
    return NULL;
}

static void eight_threads_on_four_handles(void)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct contest c = {.store = new_store()};
    struct accel_scan_handle handles[4];
    struct made_device m;
    char info[4][32];
    pthread_t threads[8];
    unsigned bound = 0;

    make_device(&m, 1);
    for (unsigned i = 0; i < 4; i++) {
        snprintf(info[i], sizeof(info[i]), "{\"function\":\"%u\"}", i);
        handles[i] = (struct accel_scan_handle){.attach_type = "PCI", .attach_info = info[i]};
    }
    m.deployable.handles = handles;
    m.deployable.handles_count = m.deployable.num_accelerators = 4;
    scan(c.store, "card", 50, &m.device, 1);
    make_arqs(c.store, "p", 8, c.arqs);
    const struct accel_deployable p = first_deployable(c.store, &mem);
    c.deployable = &p;
    for (int i = 0; i < 8; i++)
        if (pthread_create(&threads[i], NULL, compete, &c) != 0)
            abort();
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    ok(c.won == 4 && c.full == 4, "four of eight win, four find no handle");
    for (int i = 0; i < 8; i++)
        bound += state_of(c.store, &c.arqs[i]) == ACCEL_ARQ_BOUND;
    ok(bound == 4 && first_deployable(c.store, &mem).in_use == 4, "the record says the same");
    accel_store_close(c.store);
}

static void survives_every_failed_allocation(void)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_store *store = new_store();
    struct accel_uuid arqs[1];
    int64_t intent = 0;

    scan_one(store);
    make_arqs(store, "p", 1, arqs);
    const struct accel_deployable p = first_deployable(store, &mem);
    const struct accel_bind_request r = bind_to(&arqs[0], &p, INSTANCE);
    for (long nth = 0;; nth++) {
        accel_fault_arm(nth);
        const int rc = accel_store_bind_begin(store, &r, 1, &intent, &err);
        if (!accel_fault_disarm()) {
            ok(rc == ACCEL_OK && nth > 0, "with its memory the bind begins");
            break;
        }
        ok(rc == ACCEL_E_NOMEM && state_of(store, &arqs[0]) == ACCEL_ARQ_INITIAL,
           "allocation %ld failing changes nothing", nth);
    }
    accel_store_close(store);
}

int main(void)
{
    binds_and_unbinds();
    all_or_nothing();
    refuses_what_cannot_be_given();
    lists_are_filtered_and_paged();
    profiles_stay_while_they_are_used();
    eight_threads_on_four_handles();
    survives_every_failed_allocation();
    return tap_done();
}
