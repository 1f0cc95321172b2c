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

int main(void)
{
    binds_and_unbinds();
    return tap_done();
}
