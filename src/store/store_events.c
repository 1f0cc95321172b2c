/* SPDX-License-Identifier: Apache-2.0 */
/* Events, intents, leases and counts. */
#include "store/store_internal.h"

int accel_store_list_events(struct accel_store *store, int64_t after, size_t limit,
                            const struct accel_event_filter *filter, struct accel_bump *mem,
                            struct accel_event **events, size_t *count, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_reader_end) struct accel_reader reader = {0};
    struct accel_rows rows = {.mem = mem, .element = sizeof(struct accel_event)};
    sqlite3_stmt *stmt;
    int rc = accel_reader_begin(store, &reader, err);

    if (rc == ACCEL_OK)
        rc = accel_db_query(reader.db, &stmt, err,
                            "SELECT sequence, node, at, kind, subject, project_id, data FROM events"
                            " WHERE node = ?1 AND sequence > ?2"
                            " AND (?3 IS NULL OR project_id IS NULL OR project_id = ?3)"
                            " AND (?4 IS NULL OR substr(kind, 1, length(?4)) = ?4)"
                            " ORDER BY sequence LIMIT ?5",
                            "sissi", store->hostname, after, filter->project_id, filter->kind,
                            limit > 0 ? (int64_t)limit : (int64_t)-1);
    if (rc != ACCEL_OK)
        return rc;
    while (accel_db_row(reader.db, stmt, &rc, err)) {
        struct accel_event *event = accel_rows_add(&rows);
        if (event == NULL) {
            rc = ACCEL_E_NOMEM;
            continue;
        }
        event->sequence = sqlite3_column_int64(stmt, 0);
        event->node = accel_db_text(stmt, 1, mem, &rc);
        event->at = accel_db_text(stmt, 2, mem, &rc);
        event->kind = accel_db_text(stmt, 3, mem, &rc);
        event->subject = accel_db_text(stmt, 4, mem, &rc);
        event->project_id = accel_db_text(stmt, 5, mem, &rc);
        event->data = accel_db_text(stmt, 6, mem, &rc);
    }
    *events = rows.items;
    *count = rows.count;
    return rc == ACCEL_E_NOMEM ? accel_store_nomem(err) : rc;
}

int accel_store_last_sequence(struct accel_store *store, int64_t *sequence, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_reader_end) struct accel_reader reader = {0};
    int rc = accel_reader_begin(store, &reader, err);

    *sequence = 0;
    if (rc == ACCEL_OK)
        rc = accel_db_integer(reader.db, sequence, err,
                              "SELECT coalesce(max(sequence), 0) FROM events WHERE node = ?", "s",
                              store->hostname);
    return rc;
}

int accel_store_event_span(struct accel_store *store, int64_t *oldest, int64_t *newest,
                           struct accel_error *err)
{
    ACCEL_CLEANUP(accel_reader_end) struct accel_reader reader = {0};
    sqlite3_stmt *stmt;
    int rc = accel_reader_begin(store, &reader, err);

    *oldest = *newest = 0;
    if (rc == ACCEL_OK) /* two look-ups in the index; min() and max() in one would be a scan */
        rc =
            accel_db_query(reader.db, &stmt, err,
                           "SELECT (SELECT coalesce(min(sequence), 0) FROM events WHERE node = ?1),"
                           " (SELECT coalesce(max(sequence), 0) FROM events WHERE node = ?1)",
                           "s", store->hostname);
    if (rc == ACCEL_OK && accel_db_row(reader.db, stmt, &rc, err)) {
        *oldest = sqlite3_column_int64(stmt, 0);
        *newest = sqlite3_column_int64(stmt, 1);
        sqlite3_reset(stmt);
    }
    return rc;
}

int accel_store_add_event(struct accel_store *store, const char *kind, const char *subject,
                          const char *project_id, const char *data, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_tx_end) struct accel_tx tx = {0};
    int rc = accel_tx_begin(store, &tx, err);

    if (rc == ACCEL_OK)
        rc = accel_tx_event(&tx, kind, subject, project_id, err, "%s", data != NULL ? data : "{}");
    return rc == ACCEL_OK ? accel_tx_commit(&tx, err) : rc;
}

int accel_store_list_intents(struct accel_store *store, struct accel_bump *mem,
                             struct accel_intent **intents, size_t *count, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_reader_end) struct accel_reader reader = {0};
    struct accel_rows rows = {.mem = mem, .element = sizeof(struct accel_intent)};
    sqlite3_stmt *stmt;
    int rc = accel_reader_begin(store, &reader, err);

    if (rc == ACCEL_OK)
        rc = accel_db_query(reader.db, &stmt, err,
                            "SELECT id, kind, data, created_at FROM intents ORDER BY id", "");
    if (rc != ACCEL_OK)
        return rc;
    while (accel_db_row(reader.db, stmt, &rc, err)) {
        struct accel_intent *intent = accel_rows_add(&rows);
        if (intent == NULL) {
            rc = ACCEL_E_NOMEM;
            continue;
        }
        intent->id = sqlite3_column_int64(stmt, 0);
        intent->kind = accel_db_text(stmt, 1, mem, &rc);
        intent->data = accel_db_text(stmt, 2, mem, &rc);
        intent->created_at = accel_db_text(stmt, 3, mem, &rc);
    }
    *intents = rows.items;
    *count = rows.count;
    return rc == ACCEL_E_NOMEM ? accel_store_nomem(err) : rc;
}

int accel_store_lease_begin(struct accel_store *store, int64_t device_id, const char *holder,
                            int64_t *lease, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_tx_end) struct accel_tx tx = {0};
    int64_t held = 0, gone = -1;
    int rc = accel_tx_begin(store, &tx, err);

    if (rc == ACCEL_OK)
        rc = accel_db_integer(tx.db, &gone, err, "SELECT gone FROM devices WHERE id = ?", "i",
                              device_id);
    if (rc == ACCEL_OK && gone < 0)
        return accel_fail(err, ACCEL_E_NOT_FOUND, "there is no device with id %lld",
                          (long long)device_id);
    if (rc == ACCEL_OK && gone > 0)
        return accel_fail(err, ACCEL_E_CONFLICT, "the device is gone");
    if (rc == ACCEL_OK)
        rc = accel_db_integer(tx.db, &held, err,
                              "SELECT count(*) FROM attach_handles h JOIN deployables d"
                              " ON d.id = h.deployable_id"
                              " WHERE d.device_id = ? AND h.arq_id IS NOT NULL",
                              "i", device_id);
    if (rc == ACCEL_OK && held > 0)
        return accel_fail(err, ACCEL_E_CONFLICT, "the device is bound to an accelerator request");
    if (rc == ACCEL_OK)
        rc = accel_db_exec(tx.db, err,
                           "INSERT INTO leases (device_id, holder, created_at) VALUES (?, ?, ?)",
                           "iss", device_id, holder, tx.now);
    if (rc != ACCEL_OK)
        return rc;
    *lease = sqlite3_last_insert_rowid(tx.db->handle);
    return accel_tx_commit(&tx, err);
}

int accel_store_lease_end(struct accel_store *store, int64_t lease, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_tx_end) struct accel_tx tx = {0};
    int rc = accel_tx_begin(store, &tx, err);

    if (rc == ACCEL_OK)
        rc = accel_db_exec(tx.db, err, "DELETE FROM leases WHERE id = ?", "i", lease);
    if (rc == ACCEL_OK)
        rc = accel_tx_sweep_gone(&tx, err);
    return rc == ACCEL_OK ? accel_tx_commit(&tx, err) : rc;
}

int accel_store_counts(struct accel_store *store, struct accel_counts *counts,
                       struct accel_error *err)
{
    ACCEL_CLEANUP(accel_reader_end) struct accel_reader reader = {0};
    sqlite3_stmt *stmt;
    int rc = accel_reader_begin(store, &reader, err);

    *counts = (struct accel_counts){0};
    if (rc == ACCEL_OK)
        rc = accel_db_query(
            reader.db, &stmt, err,
            "SELECT (SELECT count(*) FROM devices), (SELECT count(*) FROM deployables),"
            " (SELECT count(*) FROM attach_handles),"
            " (SELECT count(*) FROM attach_handles WHERE arq_id IS NOT NULL),"
            " (SELECT count(*) FROM arqs), (SELECT count(*) FROM models),"
            " (SELECT count(*) FROM jobs WHERE state IN ('queued', 'running'))",
            "");
    if (rc == ACCEL_OK && accel_db_row(reader.db, stmt, &rc, err)) {
        counts->devices = sqlite3_column_int64(stmt, 0);
        counts->deployables = sqlite3_column_int64(stmt, 1);
        counts->handles = sqlite3_column_int64(stmt, 2);
        counts->handles_in_use = sqlite3_column_int64(stmt, 3);
        counts->arqs = sqlite3_column_int64(stmt, 4);
        counts->models = sqlite3_column_int64(stmt, 5);
        counts->jobs_open = sqlite3_column_int64(stmt, 6);
        sqlite3_reset(stmt);
    }
    return rc;
}
