/* SPDX-License-Identifier: Apache-2.0 */
/* Devices and deployables that vanish: what is held stays until it is free, and what comes back has
 * the uuid it had. */
#include <jansson.h>

#include "store/store_scan_internal.h"

int accel_store_device_row(sqlite3_stmt *stmt, struct accel_bump *mem, struct accel_device_row *row)
{
    int rc = ACCEL_OK;

    row->id = sqlite3_column_int64(stmt, 0);
    accel_store_uuid(stmt, 1, &row->uuid);
    row->identity = accel_db_text(stmt, 2, mem, &rc);
    row->hostname = accel_db_text(stmt, 3, mem, &rc);
    row->module = accel_db_text(stmt, 4, mem, &rc);
    row->priority = sqlite3_column_int64(stmt, 5);
    row->gone = sqlite3_column_int(stmt, 6) != 0;
    return rc;
}

int accel_store_device_event(struct accel_tx *tx, const char *kind, const char *uuid,
                             const char *identity, const char *module, const char *note,
                             struct accel_error *err)
{
    json_t *json = json_pack("{s:s, s:s, s:s, s:s*}", "identity", identity, "hostname",
                             tx->store->hostname, "module", module, "note", note);

    return accel_tx_event_json(tx, kind, uuid, NULL, json, err);
}

/* ---------------------------------------------------------------- tombstones */

int accel_scan_revive(struct scanning *s, const char *noun, const char *key,
                      struct accel_uuid *uuid, const char **status, bool *back,
                      struct accel_error *err)
{
    sqlite3_stmt *stmt;
    int rc = accel_db_query(s->tx->db, &stmt, err,
                            "SELECT uuid, status FROM tombstones"
                            " WHERE noun = ? AND hostname = ? AND key = ?",
                            "sss", noun, s->tx->store->hostname, key);

    *back = false;
    if (rc == ACCEL_OK && accel_db_row(s->tx->db, stmt, &rc, err)) {
        *back = true;
        accel_store_uuid(stmt, 0, uuid);
        if (status != NULL)
            *status = accel_db_text(stmt, 1, &s->scratch, &rc);
        sqlite3_reset(stmt);
    }
    if (rc == ACCEL_E_NOMEM)
        return accel_store_nomem(err);
    if (rc != ACCEL_OK || !*back)
        return rc != ACCEL_OK ? rc : accel_uuid_new(uuid, err);
    return accel_db_exec(s->tx->db, err,
                         "DELETE FROM tombstones WHERE noun = ? AND hostname = ? AND key = ?",
                         "sss", noun, s->tx->store->hostname, key);
}

int accel_store_bury_deployable(struct accel_tx *tx, int64_t id, struct accel_error *err)
{
    int rc = accel_db_exec(tx->db, err,
                           "INSERT OR REPLACE INTO tombstones (noun, hostname, key, uuid)"
                           " SELECT 'deployable', v.hostname, v.identity || ' ' || d.name, d.uuid"
                           " FROM deployables d JOIN devices v ON v.id = d.device_id"
                           " WHERE d.id = ?",
                           "i", id);

    return rc == ACCEL_OK
               ? accel_db_exec(tx->db, err, "DELETE FROM deployables WHERE id = ?", "i", id)
               : rc;
}

#define TOMBSTONES_MAX 10000
#define OLDEST         " FROM tombstones WHERE id <= (SELECT max(id) FROM tombstones) - ?1"

/* Partitions come and go under new names for years: the oldest are forgotten, and what was measured
 * on them. */
static int forget_oldest(struct accel_tx *tx, struct accel_error *err)
{
    int rc =
        accel_db_exec(tx->db, err, "DELETE FROM rates WHERE device_uuid IN (SELECT uuid" OLDEST ")",
                      "i", (int64_t)TOMBSTONES_MAX);

    if (rc == ACCEL_OK)
        rc = accel_db_exec(tx->db, err,
                           "DELETE FROM measurements WHERE device_uuid IN (SELECT uuid" OLDEST ")",
                           "i", (int64_t)TOMBSTONES_MAX);
    return rc == ACCEL_OK
               ? accel_db_exec(tx->db, err, "DELETE" OLDEST, "i", (int64_t)TOMBSTONES_MAX)
               : rc;
}

int accel_store_bury_device(struct accel_tx *tx, int64_t id, struct accel_error *err)
{
    int rc = accel_db_exec(tx->db, err,
                           "INSERT OR REPLACE INTO tombstones (noun, hostname, key, uuid)"
                           " SELECT 'deployable', v.hostname, v.identity || ' ' || d.name, d.uuid"
                           " FROM deployables d JOIN devices v ON v.id = d.device_id"
                           " WHERE v.id = ?",
                           "i", id);

    if (rc == ACCEL_OK)
        rc = accel_db_exec(tx->db, err,
                           "INSERT OR REPLACE INTO tombstones (noun, hostname, key, uuid, status)"
                           " SELECT 'device', hostname, identity, uuid, status FROM devices"
                           " WHERE id = ?",
                           "i", id);
    if (rc == ACCEL_OK)
        rc = accel_db_exec(tx->db, err, "DELETE FROM devices WHERE id = ?", "i", id);
    return rc == ACCEL_OK ? forget_oldest(tx, err) : rc;
}

/* ---------------------------------------------------------------- what became free */

static int sweep_devices(struct accel_tx *tx, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_rows rows = {.mem = &mem, .element = sizeof(struct accel_device_row)};
    sqlite3_stmt *stmt;
    int rc = accel_db_query(tx->db, &stmt, err,
                            "SELECT " ACCEL_DEVICE_ROW " FROM devices v WHERE gone = 1"
                            " AND NOT EXISTS (SELECT 1 FROM leases WHERE device_id = v.id)"
                            " AND NOT EXISTS (SELECT 1 FROM attach_handles h JOIN deployables d"
                            " ON d.id = h.deployable_id"
                            " WHERE d.device_id = v.id AND h.arq_id IS NOT NULL)",
                            "");

    if (rc != ACCEL_OK)
        return rc;
    while (accel_db_row(tx->db, stmt, &rc, err)) {
        struct accel_device_row *row = accel_rows_add(&rows);
        rc = row == NULL ? ACCEL_E_NOMEM : accel_store_device_row(stmt, &mem, row);
    }
    const struct accel_device_row *row = rows.items;
    for (size_t i = 0; i < rows.count && rc == ACCEL_OK; i++) {
        rc = accel_store_bury_device(tx, row[i].id, err);
        if (rc == ACCEL_OK)
            rc = accel_store_device_event(tx, "device.deleted", row[i].uuid.text, row[i].identity,
                                          row[i].module, "it was gone and became free", err);
    }
    return rc == ACCEL_E_NOMEM ? accel_store_nomem(err) : rc;
}

static int sweep_deployables(struct accel_tx *tx, struct accel_error *err)
{
    for (;;) {
        int64_t id = 0;
        int rc = accel_db_integer(tx->db, &id, err,
                                  "SELECT id FROM deployables d WHERE gone = 1"
                                  " AND NOT EXISTS (SELECT 1 FROM attach_handles h"
                                  " WHERE h.deployable_id = d.id AND h.arq_id IS NOT NULL)"
                                  " LIMIT 1",
                                  "");
        if (rc == ACCEL_OK && id != 0)
            rc = accel_store_bury_deployable(tx, id, err);
        if (rc != ACCEL_OK || id == 0)
            return rc;
    }
}

int accel_tx_sweep_gone(struct accel_tx *tx, struct accel_error *err)
{
    int rc = accel_db_exec(tx->db, err,
                           "DELETE FROM attach_handles WHERE gone = 1 AND arq_id IS NULL", "");

    if (rc == ACCEL_OK)
        rc = sweep_deployables(tx, err);
    return rc == ACCEL_OK ? sweep_devices(tx, err) : rc;
}
