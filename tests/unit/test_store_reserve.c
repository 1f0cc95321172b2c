/* SPDX-License-Identifier: Apache-2.0 */
/* Reservations in the record: all or nothing, and nothing left of one that was undone. */
#include "store_fixture.h"

#define INSTANCE "d1e3ff56-feef-4495-8e4f-1cf6ea59ffbc"

struct record {
    struct accel_store *store;
    struct accel_bump mem;
    struct accel_deployable *deployables; /* three cards of two handles each */
    struct accel_reserve_request requests[3];
    struct accel_uuid arqs[3];
    int64_t intent;
    size_t refused;
};

static void open_record(struct record *r)
{
    struct accel_scan_device devices[3];
    struct made_device made[3];
    size_t count = 0;

    *r = (struct record){.store = new_store()};
    for (unsigned i = 0; i < 3; i++) {
        make_device(&made[i], i);
        devices[i] = made[i].device;
    }
    scan(r->store, "card", 50, devices, 3);
    fine(accel_store_list_deployables(r->store, NULL, NULL, &r->mem, &r->deployables, &count, &err),
         "three cards");
    static const char *const names[] = {"placement-a", "placement-b", "placement-c"};
    for (size_t i = 0; i < 3; i++)
        r->requests[i] =
            (struct accel_reserve_request){.profile_name = names[i],
                                           .profile_description = "made by a placement",
                                           .groups = "[{\"resources:FPGA\": \"1\"}]",
                                           .hostname = HOST,
                                           .device_rp_uuid = r->deployables[i].rp_uuid.text};
}

static void close_record(struct record *r)
{
    accel_bump_free(&r->mem);
    accel_store_close(r->store);
}

static int begin(struct record *r, size_t count)
{
    return accel_store_reserve_begin(r->store, r->requests, count, INSTANCE, "project", r->arqs,
                                     &r->intent, &r->refused, &err);
}

/* Rows that a reservation makes: profiles, ARQs, held handles, open intents. */
static size_t left_behind(struct record *r)
{
    struct accel_device_profile *profiles;
    struct accel_intent *intents;
    struct accel_counts counts = {0};
    size_t profiles_count = 0, intents_count = 0;

    fine(accel_store_list_profiles(r->store, NULL, 0, NULL, &r->mem, &profiles, &profiles_count,
                                   &err),
         "profiles");
    fine(accel_store_list_intents(r->store, &r->mem, &intents, &intents_count, &err), "intents");
    fine(accel_store_counts(r->store, &counts, &err), "counts");
    return profiles_count + intents_count + (size_t)counts.arqs + (size_t)counts.handles_in_use;
}

static void becomes_bound_arqs_and_goes_with_them(void)
{
    struct accel_device_profile profile;
    struct record r;
    struct accel_arq arq;
    size_t missing;

    open_record(&r);
    fine(begin(&r, 2), "a reservation of two begins");
    ok(r.refused == 2 && state_of(r.store, &r.arqs[0]) == ACCEL_ARQ_BIND_STARTED,
       "its ARQs are BindStarted");
    ok(accel_store_delete_arqs(r.store, r.arqs, 1, &missing, &err) == ACCEL_E_CONFLICT,
       "and cannot be deleted meanwhile: %s", err.msg);
    fine(accel_store_bind_end(r.store, r.intent, NULL, &err), "it ends well");
    for (size_t i = 0; i < 2; i++) {
        fine(accel_store_get_arq(r.store, &r.arqs[i], &r.mem, &arq, &err), "ARQ %zu", i);
        ok(arq.state == ACCEL_ARQ_BOUND &&
               strcmp(arq.deployable_uuid.text, r.deployables[i].uuid.text) == 0 &&
               strcmp(arq.instance_uuid, INSTANCE) == 0 && strcmp(arq.project_id, "project") == 0 &&
               strcmp(arq.device_profile_name, r.requests[i].profile_name) == 0,
           "is Bound to its device, from a profile of its own");
    }
    ok(events_of(r.store, "arq.bound", 0) == 2 && events_of(r.store, "profile.created", 0) == 2,
       "events tell of it");
    ok(begin(&r, 1) == ACCEL_E_EXISTS && r.refused == 1, "the instance has some now: %s", err.msg);
    ok(accel_store_delete_profile(r.store, "placement-a", &err) == ACCEL_E_CONFLICT,
       "a profile in use stays: %s", err.msg);
    fine(accel_store_unbind(r.store, r.arqs, 1, &err), "an ARQ is unbound");
    fine(accel_store_get_profile(r.store, "placement-a", &r.mem, &profile, &err),
         "which keeps its profile");
    fine(accel_store_delete_arqs(r.store, r.arqs, 2, &missing, &err), "both are deleted");
    ok(events_of(r.store, "profile.deleted", 0) == 2 && left_behind(&r) == 0,
       "their profiles with them");
    close_record(&r);
}

static void profiles_of_clients_stay(void)
{
    struct accel_device_profile profile;
    struct accel_uuid arq;
    struct record r;
    size_t missing;

    open_record(&r);
    make_arqs(r.store, "a-clients", 1, &arq);
    fine(accel_store_delete_arqs(r.store, &arq, 1, &missing, &err), "its only ARQ is deleted");
    fine(accel_store_get_profile(r.store, "a-clients", &r.mem, &profile, &err), "it stays");
    close_record(&r);
}

static void a_placed_profile_goes_with_its_last_arq(void)
{
    struct accel_device_profile profile;
    struct accel_profile_group *groups;
    struct accel_arq *more;
    struct record r;
    const char *canonical;
    size_t missing, count;

    open_record(&r);
    fine(begin(&r, 1), "a reservation begins");
    fine(accel_store_bind_end(r.store, r.intent, NULL, &err), "and ends well");
    fine(accel_store_get_profile(r.store, "placement-a", &r.mem, &profile, &err), "its profile");
    fine(accel_profile_parse(profile.groups, &r.mem, &canonical, &groups, &count, &err), "parsed");
    fine(accel_store_add_arqs(r.store, &profile, groups, count, NULL, &r.mem, &more, &count, &err),
         "somebody else makes an ARQ from it");
    fine(accel_store_delete_arqs(r.store, r.arqs, 1, &missing, &err), "the first is deleted");
    fine(accel_store_get_profile(r.store, "placement-a", &r.mem, &profile, &err),
         "the second keeps the profile");
    fine(accel_store_delete_arqs(r.store, &more[0].uuid, 1, &missing, &err), "it is deleted too");
    ok(left_behind(&r) == 0, "now the profile has gone");
    close_record(&r);
}

static void one_that_cannot_be_had_undoes_all(void)
{
    struct accel_uuid others[2];
    struct accel_bind_request taken[2];
    struct record r;
    int64_t intent, before;

    open_record(&r);
    make_arqs(r.store, "others", 2, others);
    for (size_t i = 0; i < 2; i++)
        taken[i] = bind_to(&others[i], &r.deployables[1], "5d2e9e4e-8b0d-4b6e-9d0a-0d6b5a3f7c11");
    fine(accel_store_bind_begin(r.store, taken, 2, &intent, &err), "the second card is taken");
    fine(accel_store_bind_end(r.store, intent, NULL, &err), "by another instance");
    const size_t there = left_behind(&r);
    before = last_sequence(r.store);
    ok(begin(&r, 3) == ACCEL_E_NOT_FOUND && r.refused == 1, "the second is named: %s", err.msg);
    ok(left_behind(&r) == there && last_sequence(r.store) == before, "and nothing has changed");
    const struct accel_device d = first_device(r.store, &r.mem);
    fine(accel_store_set_device_status(r.store, &d.uuid, "maintaining", &err), "maintenance");
    ok(begin(&r, 1) == ACCEL_E_CONFLICT && r.refused == 0 && left_behind(&r) == there, "%s",
       err.msg);
    r.requests[2].profile_name = "others";
    r.requests[0] = r.requests[2];
    ok(begin(&r, 1) == ACCEL_E_EXISTS && left_behind(&r) == there, "a name that is taken: %s",
       err.msg);
    close_record(&r);
}

/* What the service does when tx2 fails, and at a start for an intent that a crash left. */
static void undone_it_leaves_nothing(void)
{
    struct record r;

    open_record(&r);
    fine(begin(&r, 3), "a reservation begins");
    fine(accel_store_bind_end(r.store, r.intent, "told to fail", &err), "and is undone");
    ok(left_behind(&r) == 0, "no ARQ, no profile, no handle held, no intent");
    ok(events_of(r.store, "arq.deleted", 0) == 3 && events_of(r.store, "profile.deleted", 0) == 3 &&
           events_of(r.store, "arq.bound", 0) == 0,
       "who read that they began reads that they ended");
    ok(accel_store_bind_end(r.store, r.intent, NULL, &err) == ACCEL_E_NOT_FOUND,
       "there is nothing to end: %s", err.msg);
    fine(begin(&r, 3), "the same can be reserved again");
    close_record(&r);
}

static void survives_every_failed_allocation(void)
{
    struct record r;

    open_record(&r);
    for (long nth = 0;; nth++) {
        accel_fault_arm(nth);
        const int rc = begin(&r, 2);
        if (!accel_fault_disarm()) {
            ok(rc == ACCEL_OK && nth > 0, "with its memory the reservation begins");
            break;
        }
        ok(rc == ACCEL_E_NOMEM && left_behind(&r) == 0, "allocation %ld failed: nothing happened",
           nth);
    }
    close_record(&r);
}

int main(void)
{
    becomes_bound_arqs_and_goes_with_them();
    profiles_of_clients_stay();
    a_placed_profile_goes_with_its_last_arq();
    one_that_cannot_be_had_undoes_all();
    undone_it_leaves_nothing();
    survives_every_failed_allocation();
    return tap_done();
}
