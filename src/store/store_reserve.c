/* SPDX-License-Identifier: Apache-2.0 */
/* Reservations: what a placement chose becomes bound ARQs. The same two transactions as a bind's,
 * the first of which makes the ARQs as well: until the second nobody but the intent knows of them,
 * and whoever settles the intent deletes them. */
#include "store/store_internal.h"

static int reserve_one(struct accel_tx *tx, const struct accel_reserve_request *request,
                       struct accel_bind_request *bind, struct accel_bump *mem,
                       struct accel_error *err)
{
    const struct accel_new_profile from = {.name = request->profile_name,
                                           .description = request->profile_description,
                                           .groups = request->groups};
    struct accel_device_profile profile;
    struct accel_arq arq;
    int rc = accel_tx_add_profile(tx, &from, true, mem, &profile, err);

    if (rc == ACCEL_OK)
        rc = accel_tx_add_arq(tx, &profile, bind->project_id, mem, &arq, err);
    if (rc != ACCEL_OK)
        return rc;
    bind->arq = arq.uuid;
    bind->hostname = request->hostname;
    bind->device_rp_uuid = request->device_rp_uuid;
    return accel_tx_bind_arq(tx, bind, err);
}

int accel_store_reserve_begin(struct accel_store *store,
                              const struct accel_reserve_request *requests, size_t count,
                              const char *instance_uuid, const char *project_id,
                              struct accel_uuid *arqs, int64_t *intent, size_t *refused,
                              struct accel_error *err)
{
    ACCEL_CLEANUP(accel_tx_end) struct accel_tx tx = {0};
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_bind_request *binds = accel_bump_alloc(&mem, count, sizeof(*binds));
    int rc = binds != NULL ? accel_tx_begin(store, &tx, err) : accel_store_nomem(err);

    *refused = count;
    if (rc == ACCEL_OK)
        rc = accel_tx_refuse_instance_with_arqs(&tx, instance_uuid, err);
    for (size_t i = 0; i < count && rc == ACCEL_OK; i++) {
        binds[i].instance_uuid = instance_uuid;
        binds[i].project_id = project_id;
        rc = reserve_one(&tx, &requests[i], &binds[i], &mem, err);
        arqs[i] = binds[i].arq;
        if (rc != ACCEL_OK)
            *refused = i;
    }
    if (rc == ACCEL_OK)
        rc = accel_tx_add_intent(&tx, "reserve", binds, count, intent, err);
    return rc == ACCEL_OK ? accel_tx_commit(&tx, err) : rc;
}
