/* SPDX-License-Identifier: Apache-2.0 */
#include "service_fixture.h"

static struct accel_bump mem;

static void add_profile(struct world *w, const char *name, const char *groups)
{
    const struct accel_new_profile from = {.name = name, .description = "", .groups = groups};
    struct accel_device_profile profile;
    struct accel_error err = {0};

    ok(accel_store_add_profile(w->store, &from, &mem, &profile, &err) == ACCEL_OK, "profile %s %s",
       name, err.msg);
}

/* The provider of fake device i. */
static struct accel_uuid provider(unsigned i)
{
    struct accel_uuid uuid = {""};
    struct accel_error err;
    char name[32];

    snprintf(name, sizeof(name), "node1_fake%u", i);
    (void)accel_uuid_of_name(name, &uuid, &err);
    return uuid;
}

static struct accel_uuid new_arq(struct world *w, const struct accel_caller *caller)
{
    struct accel_arq *arqs = NULL;
    struct accel_error err = {0};
    size_t count = 0;

    if (accel_service_create_arqs(w->service, caller, "one", &mem, &arqs, &count, &err) !=
            ACCEL_OK ||
        count != 1) {
        ok(false, "an ARQ: %s", err.msg);
        return (struct accel_uuid){""};
    }
    return arqs[0].uuid;
}

static enum accel_arq_state state_of(struct world *w, const struct accel_uuid *uuid)
{
    struct accel_arq arq = {0};
    struct accel_error err;

    if (accel_store_get_arq(w->store, uuid, &mem, &arq, &err) != ACCEL_OK)
        return ACCEL_ARQ_DELETING;
    return arq.state;
}

static int bind_one(struct world *w, const struct accel_caller *caller,
                    const struct accel_uuid *arq, unsigned device, const char *instance,
                    struct accel_error *err)
{
    const struct accel_uuid rp = provider(device);
    const struct accel_bind_request request = {
        .arq = *arq, .hostname = "node1", .device_rp_uuid = rp.text, .instance_uuid = instance};

    return accel_service_bind_arqs(w->service, caller, &request, 1, err);
}

static struct accel_caller nova_of(const struct accel_caller *caller)
{
    struct accel_caller nova = *caller;

    nova.service = true;
    return nova;
}

static void created_for_every_accelerator(struct world *w)
{
    struct accel_arq *arqs, arq;
    struct accel_error err = {0};
    size_t count = 0;
    const struct accel_page all = {0};

    ok(accel_service_create_arqs(w->service, &alice, "three", &mem, &arqs, &count, &err) ==
               ACCEL_OK &&
           count == 3 && arqs[2].device_profile_group_id == 1 &&
           arqs[0].state == ACCEL_ARQ_INITIAL && strcmp(arqs[0].project_id, alice.project_id) == 0,
       "one ARQ per accelerator of every group, in order %s", err.msg);
    ok(accel_service_create_arqs(w->service, &alice, "", &mem, &arqs, &count, &err) ==
           ACCEL_E_NOT_FOUND,
       "an empty profile name: %s", err.msg);
    ok(accel_service_create_arqs(w->service, &alice, "nothing", &mem, &arqs, &count, &err) ==
           ACCEL_E_NOT_FOUND,
       "an unknown one: %s", err.msg);
    ok(accel_service_list_arqs(w->service, &alice, NULL, false, &all, &mem, &arqs, &count, &err) ==
               ACCEL_OK &&
           count == 3,
       "their project sees them");
    const struct accel_uuid mine = arqs[0].uuid;
    ok(accel_service_list_arqs(w->service, &bob, NULL, false, &all, &mem, &arqs, &count, &err) ==
               ACCEL_OK &&
           count == 0,
       "another project does not");
    ok(accel_service_get_arq(w->service, &bob, &mine, &mem, &arq, &err) == ACCEL_E_NOT_FOUND,
       "nor one by its uuid: %s", err.msg);
    ok(accel_service_get_arq(w->service, &admin, &mine, &mem, &arq, &err) == ACCEL_OK,
       "an admin does");
    const struct accel_caller nobody = {.user = "x"};
    ok(accel_service_list_arqs(w->service, &nobody, NULL, false, &all, &mem, &arqs, &count, &err) ==
               ACCEL_OK &&
           count == 0,
       "who has no project sees none");
}

static void bound_unbound_deleted(struct world *w)
{
    const struct accel_caller nova = nova_of(&alice);
    const char *instance = "d1e3ff56-feef-4495-8e4f-1cf6ea59ffbc";
    struct accel_uuid arq = new_arq(w, &alice);
    struct accel_arq *arqs, got;
    struct accel_error err = {0};
    size_t count = 0;
    const struct accel_page all = {0};

    ok(bind_one(w, &alice, &arq, 0, instance, &err) == ACCEL_E_DENIED &&
           strstr(err.msg, "requires a service token") != NULL,
       "binding: %s", err.msg);
    ok(bind_one(w, &nova, &arq, 7, instance, &err) == ACCEL_E_NOT_FOUND &&
           state_of(w, &arq) == ACCEL_ARQ_INITIAL,
       "an unknown provider changes nothing: %s", err.msg);
    ok(bind_one(w, &nova, &arq, 0, instance, &err) == ACCEL_OK, "bound %s", err.msg);
    ok(accel_service_get_arq(w->service, &alice, &arq, &mem, &got, &err) == ACCEL_OK &&
           got.state == ACCEL_ARQ_BOUND && strcmp(got.attach_handle_type, "TEST_PCI") == 0 &&
           strstr(got.attach_handle_info, "function") != NULL,
       "with an attach handle");
    ok(accel_service_list_arqs(w->service, &alice, instance, true, &all, &mem, &arqs, &count,
                               &err) == ACCEL_OK &&
           count == 1,
       "resolved for its instance");
    ok(accel_service_delete_arqs(w->service, &alice, &arq, 1, &err) == ACCEL_E_DENIED &&
           state_of(w, &arq) == ACCEL_ARQ_BOUND,
       "deleting what is bound: %s", err.msg);
    ok(accel_service_unbind_arqs(w->service, &nova, &arq, 1, &err) == ACCEL_OK &&
           state_of(w, &arq) == ACCEL_ARQ_UNBOUND,
       "unbound %s", err.msg);

    struct accel_uuid two[2] = {new_arq(w, &alice), {"00000000-0000-4000-8000-000000000000"}};
    ok(accel_service_delete_arqs(w->service, &alice, two, 2, &err) == ACCEL_E_NOT_FOUND,
       "one that does not exist is told: %s", err.msg);
    ok(state_of(w, &two[0]) == ACCEL_ARQ_DELETING, "the one that does is gone all the same");
    ok(accel_service_delete_arqs(w->service, &bob, &arq, 1, &err) == ACCEL_E_NOT_FOUND,
       "a stranger's does not exist: %s", err.msg);

    const struct accel_caller other = nova_of(&bob);
    ok(bind_one(w, &other, &arq, 0, instance, &err) == ACCEL_OK,
       "a service token acts across projects %s", err.msg);
    ok(accel_service_delete_instance_arqs(w->service, &alice, instance, &err) == ACCEL_E_DENIED,
       "by instance: %s", err.msg);
    ok(accel_service_delete_instance_arqs(w->service, &other, instance, &err) == ACCEL_OK &&
           accel_service_delete_instance_arqs(w->service, &other, instance, &err) == ACCEL_OK &&
           state_of(w, &arq) == ACCEL_ARQ_DELETING,
       "all of an instance are deleted, as often as asked %s", err.msg);
}

/* ---------------------------------------------------------------- races */

struct racer {
    struct world *world;
    struct accel_uuid arq;
    char instance[64];
    pthread_t thread;
    pthread_barrier_t *barrier;
    int rc;
    struct accel_error err;
};

static void *race(void *context)
{
    struct racer *r = context;
    const struct accel_caller nova = nova_of(&alice);

    pthread_barrier_wait(r->barrier);
    r->rc = bind_one(r->world, &nova, &r->arq, 0, r->instance, &r->err);
    return NULL;
}

static void two_handles_for_six_that_race(struct world *w)
{
    struct racer racers[6];
    pthread_barrier_t barrier;
    struct accel_counts counts = {0};
    unsigned bound = 0, refused = 0, consistent = 0;
    struct accel_error err = {0};

    pthread_barrier_init(&barrier, NULL, 6);
    for (int i = 0; i < 6; i++) {
        racers[i] = (struct racer){.world = w, .arq = new_arq(w, &alice), .barrier = &barrier};
        snprintf(racers[i].instance, sizeof(racers[i].instance),
                 "d1e3ff56-feef-4495-8e4f-00000000000%d", i);
    }
    for (int i = 0; i < 6; i++)
        pthread_create(&racers[i].thread, NULL, race, &racers[i]);
    for (int i = 0; i < 6; i++) {
        pthread_join(racers[i].thread, NULL);
        bound += racers[i].rc == ACCEL_OK;
        refused += racers[i].rc == ACCEL_E_NOT_FOUND;
        consistent +=
            (racers[i].rc == ACCEL_OK) == (state_of(w, &racers[i].arq) == ACCEL_ARQ_BOUND);
    }
    pthread_barrier_destroy(&barrier);
    ok(bound == 2 && refused == 4, "two are bound, four are refused");
    ok(consistent == 6, "and each was told the truth");
    ok(accel_store_counts(w->store, &counts, &err) == ACCEL_OK && counts.handles_in_use == 2,
       "two handles are held");
    const struct accel_caller nova = nova_of(&alice);
    for (int i = 0; i < 6; i++)
        (void)accel_service_delete_arqs(w->service, &nova, &racers[i].arq, 1, &err);
    ok(accel_store_counts(w->store, &counts, &err) == ACCEL_OK && counts.handles_in_use == 0,
       "and given back");
}

static void all_or_nothing(struct world *w)
{
    const struct accel_caller nova = nova_of(&alice);
    const struct accel_uuid rp = provider(1);
    struct accel_bind_request r[3];
    struct accel_counts counts = {0};
    struct accel_error err = {0};
    unsigned untouched = 0;

    for (int i = 0; i < 3; i++)
        r[i] = (struct accel_bind_request){.arq = new_arq(w, &alice),
                                           .hostname = "node1",
                                           .device_rp_uuid = rp.text,
                                           .instance_uuid = "d1e3ff56-feef-4495-8e4f-1cf6ea59ffbc"};
    ok(accel_service_bind_arqs(w->service, &nova, r, 3, &err) == ACCEL_E_NOT_FOUND,
       "three ARQs for two handles: %s", err.msg);
    for (int i = 0; i < 3; i++)
        untouched += state_of(w, &r[i].arq) != ACCEL_ARQ_BOUND &&
                     state_of(w, &r[i].arq) != ACCEL_ARQ_BIND_STARTED;
    ok(untouched == 3 && accel_store_counts(w->store, &counts, &err) == ACCEL_OK &&
           counts.handles_in_use == 0,
       "none is bound and no handle held");
    ok(accel_service_bind_arqs(w->service, &nova, r, 0, &err) == ACCEL_E_INVALID, "%s", err.msg);
}

/* What a kill between the two transactions leaves behind. */
static void a_start_undoes_a_bind_half_done(struct node *n)
{
    struct world *w = &n->world;
    const struct accel_uuid arq = new_arq(w, &alice), rp = provider(0);
    const struct accel_bind_request request = {.arq = arq,
                                               .hostname = "node1",
                                               .device_rp_uuid = rp.text,
                                               .instance_uuid =
                                                   "d1e3ff56-feef-4495-8e4f-1cf6ea59ffbc",
                                               .project_id = alice.project_id};
    struct accel_counts counts = {0};
    struct accel_error err = {0};
    int64_t intent;

    ok(accel_store_bind_begin(w->store, &request, 1, &intent, &err) == ACCEL_OK &&
           state_of(w, &arq) == ACCEL_ARQ_BIND_STARTED,
       "a bind begins %s", err.msg);
    world_close(w);
    pthread_join(n->worker.thread, NULL);
    pthread_join(n->cpu.thread, NULL);
    pthread_join(n->fake.thread, NULL);
    world_open(w, "");
    ok(state_of(w, &arq) == ACCEL_ARQ_BIND_FAILED, "after a start it has failed");
    ok(accel_store_counts(w->store, &counts, &err) == ACCEL_OK && counts.handles_in_use == 0,
       "and holds nothing");
    worker_start(&n->worker, w, "1");
    module_start(&n->cpu, w, "cpu", 1);
    module_start(&n->fake, w, "fake", 2);
    until(is_ready(w));
}

int main(void)
{
    struct node n;

    accel_log_init("test", ACCEL_LOG_ERROR);
    node_new(&n, "", 2);
    add_profile(&n.world, "one", "[{\"resources:FPGA\": \"1\"}]");
    add_profile(&n.world, "three", "[{\"resources:FPGA\": \"2\"}, {\"resources:FPGA\": \"1\"}]");
    created_for_every_accelerator(&n.world);
    bound_unbound_deleted(&n.world);
    two_handles_for_six_that_race(&n.world);
    all_or_nothing(&n.world);
    a_start_undoes_a_bind_half_done(&n);
    node_free(&n);
    accel_bump_free(&mem);
    return tap_done();
}
