/* SPDX-License-Identifier: Apache-2.0 */
/* Accelerator requests: who asked, who has what. A bind is two transactions with an intent between
 * them, so that a crash in the middle leaves something to settle and nothing held by nobody. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "store/store_internal.h"

/* ---------------------------------------------------------------- reading */

/* The handle shows only once it is truly given: in Bound. */
#define SELECT_ARQ                                                                    \
    "SELECT q.id, q.uuid, q.state, f.name, q.group_id, q.hostname, q.device_rp_uuid," \
    " q.instance_uuid, q.project_id, p.uuid,"                                         \
    " CASE q.state WHEN 'Bound' THEN h.attach_type END,"                              \
    " CASE q.state WHEN 'Bound' THEN h.uuid END,"                                     \
    " CASE q.state WHEN 'Bound' THEN h.attach_info END, q.created_at, q.updated_at"   \
    " FROM arqs q JOIN device_profiles f ON f.id = q.device_profile_id"               \
    " LEFT JOIN attach_handles h ON h.arq_id = q.id"                                  \
    " LEFT JOIN deployables p ON p.id = h.deployable_id"

static int read_arq(sqlite3_stmt *stmt, struct accel_bump *mem, struct accel_arq *q)
{
    int rc = ACCEL_OK;

    q->id = sqlite3_column_int64(stmt, 0);
    accel_store_uuid(stmt, 1, &q->uuid);
    if (!accel_arq_state_parse((const char *)sqlite3_column_text(stmt, 2), &q->state))
        q->state = ACCEL_ARQ_BIND_FAILED; /* CHECK keeps this from happening */
    q->device_profile_name = accel_db_text(stmt, 3, mem, &rc);
    q->device_profile_group_id = sqlite3_column_int64(stmt, 4);
    q->hostname = accel_db_text(stmt, 5, mem, &rc);
    q->device_rp_uuid = accel_db_text(stmt, 6, mem, &rc);
    q->instance_uuid = accel_db_text(stmt, 7, mem, &rc);
    q->project_id = accel_db_text(stmt, 8, mem, &rc);
    accel_store_uuid(stmt, 9, &q->deployable_uuid);
    q->attach_handle_type = accel_db_text(stmt, 10, mem, &rc);
    accel_store_uuid(stmt, 11, &q->attach_handle_uuid);
    q->attach_handle_info = accel_db_text(stmt, 12, mem, &rc);
    q->created_at = accel_db_text(stmt, 13, mem, &rc);
    q->updated_at = accel_db_text(stmt, 14, mem, &rc);
    if (q->attach_handle_type == NULL)
        q->attach_handle_type = "";
    if (q->attach_handle_info == NULL)
        q->attach_handle_info = "{}";
    return rc;
}

static int get(struct accel_db *db, const struct accel_uuid *uuid, struct accel_bump *mem,
               struct accel_arq *arq, struct accel_error *err)
{
    sqlite3_stmt *stmt;
    int rc = accel_db_query(db, &stmt, err, SELECT_ARQ " WHERE q.uuid = ?", "s", uuid->text);

    if (rc != ACCEL_OK)
        return rc;
    if (!accel_db_row(db, stmt, &rc, err))
        return rc != ACCEL_OK ? rc
                              : accel_fail(err, ACCEL_E_NOT_FOUND, "ExtArq not found with uuid=%s",
                                           uuid->text);
    rc = read_arq(stmt, mem, arq);
    sqlite3_reset(stmt);
    return rc == ACCEL_OK ? ACCEL_OK : accel_store_nomem(err);
}

int accel_store_get_arq(struct accel_store *store, const struct accel_uuid *uuid,
                        struct accel_bump *mem, struct accel_arq *arq, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_reader_end) struct accel_reader reader = {0};
    int rc = accel_reader_begin(store, &reader, err);

    return rc == ACCEL_OK ? get(reader.db, uuid, mem, arq, err) : rc;
}

static void free_text(char **text)
{
    free(*text); /* jansson's own allocation */
}

/* The uuids as a JSON array for json_each(): one statement whatever their number. NULL: none given.
 */
static int uuids_text(const struct accel_uuid *uuids, size_t count, char **text,
                      struct accel_error *err)
{
    json_t *list = json_array();

    *text = NULL;
    if (uuids == NULL) {
        json_decref(list);
        return ACCEL_OK;
    }
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_string(uuids[i].text));
    *text = json_array_size(list) == count ? json_dumps(list, JSON_COMPACT) : NULL;
    json_decref(list);
    return *text != NULL ? ACCEL_OK
                         : accel_fail(err, ACCEL_E_NOMEM, "no memory for %zu uuids", count);
}

/* ?3 is the instance: Nova asks by it all the time, so that it has a statement that uses its index.
 */
#define ARQ_FILTER                                                    \
    " AND (?2 IS NULL OR q.project_id = ?2)"                          \
    " AND (?4 = 0 OR q.state IN ('Bound', 'BindFailed', 'Deleting'))" \
    " AND (?5 IS NULL OR q.uuid IN (SELECT value FROM json_each(?5)))"

int accel_store_list_arqs(struct accel_store *store, const struct accel_arq_filter *filter,
                          const struct accel_page *page, struct accel_bump *mem,
                          struct accel_arq **arqs, size_t *count, struct accel_error *err)
{
    static const struct accel_arq_filter all = {0};
    const struct accel_arq_filter *f = filter != NULL ? filter : &all;
    ACCEL_CLEANUP(accel_reader_end) struct accel_reader reader = {0};
    ACCEL_CLEANUP(free_text) char *uuids = NULL;
    struct accel_rows rows = {.mem = mem, .element = sizeof(struct accel_arq)};
    int64_t start = 0;
    sqlite3_stmt *stmt;
    int rc = uuids_text(f->uuids, f->uuids_count, &uuids, err);

    if (rc == ACCEL_OK)
        rc = accel_reader_begin(store, &reader, err);
    if (rc == ACCEL_OK)
        rc = accel_page_start(reader.db, page, "SELECT id FROM arqs WHERE uuid = ?", &start, err);
    if (rc == ACCEL_OK)
        rc = accel_db_query(reader.db, &stmt, err,
                            f->instance_uuid != NULL
                                ? ACCEL_PAGED(page, SELECT_ARQ, "q.id",
                                              ARQ_FILTER " AND q.instance_uuid = ?3", "?6")
                                : ACCEL_PAGED(page, SELECT_ARQ, "q.id", ARQ_FILTER, "?6"),
                            "issisi", start, f->project_id, f->instance_uuid,
                            (int64_t)f->resolved_only, uuids, accel_page_limit(page));
    if (rc != ACCEL_OK)
        return rc;
    while (accel_db_row(reader.db, stmt, &rc, err)) {
        struct accel_arq *arq = accel_rows_add(&rows);
        rc = arq != NULL ? read_arq(stmt, mem, arq) : ACCEL_E_NOMEM;
    }
    *arqs = rows.items;
    *count = rows.count;
    return rc == ACCEL_E_NOMEM ? accel_store_nomem(err) : rc;
}

int accel_store_device_holder(struct accel_store *store, int64_t device_id, struct accel_bump *mem,
                              struct accel_arq *arq, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_reader_end) struct accel_reader reader = {0};
    sqlite3_stmt *stmt;
    int rc = accel_reader_begin(store, &reader, err);

    if (rc == ACCEL_OK)
        rc = accel_db_query(reader.db, &stmt, err,
                            SELECT_ARQ " WHERE p.device_id = ? ORDER BY q.id LIMIT 1", "i",
                            device_id);
    if (rc != ACCEL_OK)
        return rc;
    if (!accel_db_row(reader.db, stmt, &rc, err))
        return rc != ACCEL_OK ? rc
                              : accel_fail(err, ACCEL_E_NOT_FOUND, "no ARQ holds device %lld",
                                           (long long)device_id);
    rc = read_arq(stmt, mem, arq);
    sqlite3_reset(stmt);
    return rc == ACCEL_OK ? ACCEL_OK : accel_store_nomem(err);
}

/* ---------------------------------------------------------------- creating */

static int add_one(struct accel_tx *tx, const struct accel_device_profile *profile, size_t group,
                   int64_t batch, const char *project_id, struct accel_bump *mem,
                   struct accel_arq *arq, struct accel_error *err)
{
    struct accel_uuid uuid;
    int rc = accel_uuid_new(&uuid, err);

    if (rc == ACCEL_OK)
        rc = accel_db_exec(tx->db, err,
                           "INSERT INTO arqs (uuid, project_id, state, device_profile_id, group_id,"
                           " batch, created_at) VALUES (?, ?, 'Initial', ?, ?, ?, ?)",
                           "ssiiis", uuid.text, project_id, profile->id, (int64_t)group, batch,
                           tx->now);
    if (rc == ACCEL_OK)
        rc = accel_tx_event_about(tx, "arq.created", uuid.text, project_id, "profile",
                                  profile->name, err);
    return rc == ACCEL_OK ? get(tx->db, &uuid, mem, arq, err) : rc;
}

static int new_batch(struct accel_tx *tx, int64_t *batch, struct accel_error *err)
{
    return accel_db_integer(tx->db, batch, err, "SELECT coalesce(max(id), 0) + 1 FROM arqs", "");
}

int accel_tx_add_arq(struct accel_tx *tx, const struct accel_device_profile *profile,
                     const char *project_id, struct accel_bump *mem, struct accel_arq *arq,
                     struct accel_error *err)
{
    int64_t batch = 0;
    const int rc = new_batch(tx, &batch, err);

    return rc == ACCEL_OK ? add_one(tx, profile, 0, batch, project_id, mem, arq, err) : rc;
}

int accel_store_add_arqs(struct accel_store *store, const struct accel_device_profile *profile,
                         const struct accel_profile_group *groups, size_t groups_count,
                         const char *project_id, struct accel_bump *mem, struct accel_arq **arqs,
                         size_t *count, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_tx_end) struct accel_tx tx = {0};
    struct accel_rows rows = {.mem = mem, .element = sizeof(struct accel_arq)};
    int64_t exists = 0, batch = 0;
    int rc = accel_tx_begin(store, &tx, err);

    if (rc == ACCEL_OK)
        rc = new_batch(&tx, &batch, err);
    if (rc == ACCEL_OK)
        rc =
            accel_db_integer(tx.db, &exists, err,
                             "SELECT count(*) FROM device_profiles WHERE id = ?", "i", profile->id);
    if (rc == ACCEL_OK && exists == 0)
        return accel_fail(err, ACCEL_E_NOT_FOUND, "Device Profile not found with name=%s",
                          profile->name);
    for (size_t g = 0; g < groups_count; g++)
        for (uint32_t i = 0; i < groups[g].arqs && rc == ACCEL_OK; i++) {
            struct accel_arq *arq = accel_rows_add(&rows);
            rc = arq != NULL ? add_one(&tx, profile, g, batch, project_id, mem, arq, err)
                             : accel_store_nomem(err);
        }
    if (rc != ACCEL_OK)
        return rc;
    *arqs = rows.items;
    *count = rows.count;
    return accel_tx_commit(&tx, err);
}

/* ---------------------------------------------------------------- binding */

/* What the record says of a deployable and its device. */
struct provider {
    int64_t deployable;
    const char *hostname, *status, *identity;
    bool failed, gone;
    int64_t leases;
};

static int read_provider(struct accel_tx *tx, const char *rp_uuid, struct accel_bump *mem,
                         struct provider *p, struct accel_error *err)
{
    struct accel_uuid uuid = {""};
    sqlite3_stmt *stmt;
    int rc;

    accel_uuid_parse(rp_uuid, &uuid);
    rc = accel_db_query(tx->db, &stmt, err,
                        "SELECT p.id, d.hostname, d.status, max(d.health = 'failed',"
                        " d.own_health = 'failed'), d.gone OR p.gone, d.identity,"
                        " (SELECT count(*) FROM leases WHERE device_id = d.id)"
                        " FROM deployables p JOIN devices d ON d.id = p.device_id"
                        " WHERE p.rp_uuid = ? ORDER BY d.gone OR p.gone LIMIT 1",
                        "s", uuid.text);
    if (rc != ACCEL_OK)
        return rc;
    if (!accel_db_row(tx->db, stmt, &rc, err))
        return rc != ACCEL_OK ? rc
                              : accel_fail(err, ACCEL_E_NOT_FOUND,
                                           "Deployable not found with rp_uuid=%s", rp_uuid);
    p->deployable = sqlite3_column_int64(stmt, 0);
    p->hostname = accel_db_text(stmt, 1, mem, &rc);
    p->status = accel_db_text(stmt, 2, mem, &rc);
    p->failed = sqlite3_column_int(stmt, 3) != 0;
    p->gone = sqlite3_column_int(stmt, 4) != 0;
    p->identity = accel_db_text(stmt, 5, mem, &rc);
    p->leases = sqlite3_column_int64(stmt, 6);
    sqlite3_reset(stmt);
    return rc == ACCEL_OK ? ACCEL_OK : accel_store_nomem(err);
}

/* The deployable a provider stands for, if it can be given out; else why not. */
static int find_deployable(struct accel_tx *tx, const struct accel_bind_request *r,
                           struct accel_bump *mem, int64_t *id, struct accel_error *err)
{
    struct provider p = {0};
    const int rc = read_provider(tx, r->device_rp_uuid, mem, &p, err);

    if (rc != ACCEL_OK)
        return rc;
    *id = p.deployable;
    if (strcmp(p.hostname, r->hostname) != 0)
        return accel_fail(err, ACCEL_E_CONFLICT, "hostname: provider %s is on %s, not on %s",
                          r->device_rp_uuid, p.hostname, r->hostname);
    if (p.gone)
        return accel_fail(err, ACCEL_E_CONFLICT, "device %s is gone", p.identity);
    if (strcmp(p.status, "enabled") != 0)
        return accel_fail(err, ACCEL_E_CONFLICT, "device %s is in maintenance; enable it first",
                          p.identity);
    if (p.failed)
        return accel_fail(err, ACCEL_E_CONFLICT, "device %s has failed", p.identity);
    if (p.leases > 0)
        return accel_fail(err, ACCEL_E_BUSY, "device %s is running an inference", p.identity);
    return ACCEL_OK;
}

/* Initial|Unbound -> BindStarted, compare and set. */
static int start_one(struct accel_tx *tx, const struct accel_bind_request *r,
                     struct accel_bump *mem, struct accel_arq *arq, struct accel_error *err)
{
    int rc = get(tx->db, &r->arq, mem, arq, err);

    if (rc == ACCEL_OK)
        rc = accel_db_exec(tx->db, err,
                           "UPDATE arqs SET state = 'BindStarted', hostname = ?2,"
                           " device_rp_uuid = ?3, instance_uuid = ?4,"
                           " project_id = coalesce(?5, project_id), updated_at = ?6"
                           " WHERE id = ?1 AND state IN ('Initial', 'Unbound')",
                           "isssss", arq->id, r->hostname, r->device_rp_uuid, r->instance_uuid,
                           r->project_id, tx->now);
    if (rc == ACCEL_OK && sqlite3_changes(tx->db->handle) == 0)
        return accel_fail(
            err, ACCEL_E_CONFLICT,
            "accelerator request %s is %s; only Initial and Unbound ones can be bound", r->arq.text,
            accel_arq_state_name(arq->state));
    return rc;
}

/* The first free row of the deployable, atomically ours: we hold the writer. */
static int take_handle(struct accel_tx *tx, int64_t deployable, int64_t arq_id, const char *rp_uuid,
                       struct accel_error *err)
{
    int rc = accel_db_exec(tx->db, err,
                           "UPDATE attach_handles SET arq_id = ?1"
                           " WHERE id = (SELECT id FROM attach_handles WHERE deployable_id = ?2"
                           "  AND arq_id IS NULL AND gone = 0 ORDER BY id LIMIT 1)",
                           "ii", arq_id, deployable);

    if (rc == ACCEL_OK && sqlite3_changes(tx->db->handle) == 0)
        return accel_fail(err, ACCEL_E_NOT_FOUND, "provider %s has no free attach handle left",
                          rp_uuid);
    return rc;
}

/* ARQs of one group that were made together are one request group of Placement's, which maps to one
 * provider: a second one is a mistake of the client. */
static int check_group(struct accel_tx *tx, const struct accel_bind_request *r,
                       struct accel_error *err)
{
    int64_t others = 0;
    const int rc = accel_db_integer(
        tx->db, &others, err,
        "SELECT count(*) FROM arqs a JOIN arqs b ON b.batch = a.batch AND b.group_id = a.group_id"
        " WHERE a.uuid = ? AND b.state IN ('BindStarted', 'Bound')"
        " AND b.instance_uuid IS a.instance_uuid AND b.device_rp_uuid <> a.device_rp_uuid",
        "s", r->arq.text);

    if (rc == ACCEL_OK && others > 0)
        return accel_fail(err, ACCEL_E_CONFLICT,
                          "device_rp_uuid: accelerator request %s is of a group that is bound to "
                          "another provider than %s",
                          r->arq.text, r->device_rp_uuid);
    return rc;
}

int accel_tx_refuse_instance_with_arqs(struct accel_tx *tx, const char *instance_uuid,
                                       struct accel_error *err)
{
    int64_t has = 0;
    int rc = accel_db_integer(
        tx->db, &has, err, "SELECT count(*) FROM arqs WHERE instance_uuid = ?", "s", instance_uuid);

    if (rc == ACCEL_OK && has > 0)
        return accel_fail(err, ACCEL_E_EXISTS,
                          "instance_uuid: instance %s has accelerator requests already",
                          instance_uuid);
    return rc;
}

int accel_tx_bind_arq(struct accel_tx *tx, const struct accel_bind_request *r,
                      struct accel_error *err)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_arq arq;
    int64_t deployable = 0;
    int rc;

    if (r->hostname == NULL || r->device_rp_uuid == NULL)
        return accel_fail(err, ACCEL_E_INVALID, "a bind needs hostname and device_rp_uuid");
    rc = start_one(tx, r, &mem, &arq, err);
    if (rc == ACCEL_OK)
        rc = find_deployable(tx, r, &mem, &deployable, err);
    if (rc == ACCEL_OK)
        rc = check_group(tx, r, err);
    if (rc == ACCEL_OK)
        rc = take_handle(tx, deployable, arq.id, r->device_rp_uuid, err);
    if (rc == ACCEL_OK)
        rc = accel_tx_event_about(tx, "arq.bind_started", r->arq.text,
                                  r->project_id != NULL ? r->project_id : arq.project_id,
                                  "provider", r->device_rp_uuid, err);
    return rc;
}

int accel_tx_add_intent(struct accel_tx *tx, const char *kind,
                        const struct accel_bind_request *requests, size_t count, int64_t *intent,
                        struct accel_error *err)
{
    json_t *list = json_array();
    char *text = NULL;
    int rc;

    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_string(requests[i].arq.text));
    json_t *data = json_pack("{s:o}", "arqs", list);
    text = data != NULL ? json_dumps(data, JSON_COMPACT) : NULL;
    json_decref(data);
    if (text == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for an intent");
    rc = accel_db_exec(tx->db, err, "INSERT INTO intents (kind, data, created_at) VALUES (?, ?, ?)",
                       "sss", kind, text, tx->now);
    free(text);
    *intent = sqlite3_last_insert_rowid(tx->db->handle);
    return rc;
}

int accel_store_bind_begin(struct accel_store *store, const struct accel_bind_request *requests,
                           size_t count, int64_t *intent, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_tx_end) struct accel_tx tx = {0};
    int rc = accel_tx_begin(store, &tx, err);

    /* By the contract the first one's word: no adding to an instance that has ARQs. */
    if (rc == ACCEL_OK && count > 0)
        rc = accel_tx_refuse_instance_with_arqs(&tx, requests[0].instance_uuid, err);
    for (size_t i = 0; i < count && rc == ACCEL_OK; i++)
        rc = accel_tx_bind_arq(&tx, &requests[i], err);
    if (rc == ACCEL_OK)
        rc = accel_tx_add_intent(&tx, "bind", requests, count, intent, err);
    return rc == ACCEL_OK ? accel_tx_commit(&tx, err) : rc;
}

/* The ARQs an intent names, and whether they were made by it (a reservation's). */
static int read_intent(struct accel_tx *tx, int64_t intent, struct accel_bump *mem,
                       struct accel_arq **arqs, size_t *count, bool *made, struct accel_error *err)
{
    struct accel_rows rows = {.mem = mem, .element = sizeof(struct accel_arq)};
    int64_t kind = -1;
    sqlite3_stmt *stmt;
    int rc = accel_db_integer(
        tx->db, &kind, err,
        "SELECT kind = 'reserve' FROM intents WHERE id = ? AND kind IN ('bind', 'reserve')", "i",
        intent);

    *made = kind == 1;
    if (rc == ACCEL_OK && kind < 0)
        return accel_fail(err, ACCEL_E_NOT_FOUND, "there is no bind under way with number %lld",
                          (long long)intent);
    if (rc == ACCEL_OK)
        rc = accel_db_query(tx->db, &stmt, err,
                            SELECT_ARQ " WHERE q.uuid IN (SELECT value FROM intents i,"
                                       " json_each(i.data, '$.arqs') WHERE i.id = ?)"
                                       " AND q.state = 'BindStarted' ORDER BY q.id",
                            "i", intent);
    if (rc != ACCEL_OK)
        return rc;
    while (accel_db_row(tx->db, stmt, &rc, err)) {
        struct accel_arq *arq = accel_rows_add(&rows);
        rc = arq != NULL ? read_arq(stmt, mem, arq) : ACCEL_E_NOMEM;
    }
    *arqs = rows.items;
    *count = rows.count;
    return rc == ACCEL_E_NOMEM ? accel_store_nomem(err) : rc;
}

static int free_handle(struct accel_tx *tx, int64_t arq_id, struct accel_error *err)
{
    return accel_db_exec(tx->db, err, "UPDATE attach_handles SET arq_id = NULL WHERE arq_id = ?",
                         "i", arq_id);
}

static int end_one(struct accel_tx *tx, const struct accel_arq *arq, const char *failed,
                   struct accel_error *err)
{
    int rc = failed != NULL ? free_handle(tx, arq->id, err) : ACCEL_OK;

    if (rc == ACCEL_OK)
        rc = accel_db_exec(tx->db, err, "UPDATE arqs SET state = ?, updated_at = ? WHERE id = ?",
                           "ssi", failed != NULL ? "BindFailed" : "Bound", tx->now, arq->id);
    if (rc == ACCEL_OK)
        rc = accel_tx_event_about(tx, failed != NULL ? "arq.bind_failed" : "arq.bound",
                                  arq->uuid.text, arq->project_id, "instance", arq->instance_uuid,
                                  err);
    return rc;
}

/* Whoever calls has seen to it that no bind of it is under way. */
static int delete_one(struct accel_tx *tx, const struct accel_arq *arq, struct accel_error *err)
{
    int rc = free_handle(tx, arq->id, err);

    if (rc == ACCEL_OK)
        rc = accel_db_exec(tx->db, err, "DELETE FROM arqs WHERE id = ?", "i", arq->id);
    if (rc == ACCEL_OK)
        rc = accel_tx_event(tx, "arq.deleted", arq->uuid.text, arq->project_id, err, NULL);
    return rc == ACCEL_OK ? accel_tx_drop_placed_profile(tx, arq->device_profile_name, err) : rc;
}

int accel_store_bind_end(struct accel_store *store, int64_t intent, const char *failed,
                         struct accel_error *err)
{
    ACCEL_CLEANUP(accel_tx_end) struct accel_tx tx = {0};
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_arq *arqs = NULL;
    size_t count = 0;
    bool made = false;
    int rc = accel_tx_begin(store, &tx, err);

    if (rc == ACCEL_OK)
        rc = read_intent(&tx, intent, &mem, &arqs, &count, &made, err);
    for (size_t i = 0; i < count && rc == ACCEL_OK; i++)
        rc = failed != NULL && made ? delete_one(&tx, &arqs[i], err)
                                    : end_one(&tx, &arqs[i], failed, err);
    if (rc == ACCEL_OK)
        rc = accel_db_exec(tx.db, err, "DELETE FROM intents WHERE id = ?", "i", intent);
    if (rc == ACCEL_OK && failed != NULL)
        rc = accel_tx_sweep_gone(&tx, err);
    return rc == ACCEL_OK ? accel_tx_commit(&tx, err) : rc;
}

/* ---------------------------------------------------------------- unbinding, deleting */

static int unbind_one(struct accel_tx *tx, const struct accel_arq *arq, struct accel_error *err)
{
    int rc = free_handle(tx, arq->id, err);

    if (rc != ACCEL_OK || arq->state == ACCEL_ARQ_UNBOUND)
        return rc;
    if (rc == ACCEL_OK)
        rc = accel_db_exec(tx->db, err,
                           "UPDATE arqs SET state = 'Unbound', hostname = NULL,"
                           " device_rp_uuid = NULL, instance_uuid = NULL, updated_at = ?"
                           " WHERE id = ?",
                           "si", tx->now, arq->id);
    if (rc == ACCEL_OK)
        rc = accel_tx_event(tx, "arq.unbound", arq->uuid.text, arq->project_id, err, NULL);
    return rc;
}

static int refuse_started(const struct accel_arq *arq, struct accel_error *err)
{
    if (arq->state == ACCEL_ARQ_BIND_STARTED)
        return accel_fail(err, ACCEL_E_CONFLICT,
                          "accelerator request %s is being bound; try again when that has ended",
                          arq->uuid.text);
    return ACCEL_OK;
}

int accel_store_unbind(struct accel_store *store, const struct accel_uuid *arqs, size_t count,
                       struct accel_error *err)
{
    ACCEL_CLEANUP(accel_tx_end) struct accel_tx tx = {0};
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    int rc = accel_tx_begin(store, &tx, err);

    for (size_t i = 0; i < count && rc == ACCEL_OK; i++) {
        struct accel_arq arq;
        rc = get(tx.db, &arqs[i], &mem, &arq, err);
        if (rc == ACCEL_OK)
            rc = refuse_started(&arq, err);
        if (rc == ACCEL_OK)
            rc = unbind_one(&tx, &arq, err);
    }
    if (rc == ACCEL_OK)
        rc = accel_tx_sweep_gone(&tx, err);
    return rc == ACCEL_OK ? accel_tx_commit(&tx, err) : rc;
}

int accel_store_delete_arqs(struct accel_store *store, const struct accel_uuid *arqs, size_t count,
                            size_t *missing, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_tx_end) struct accel_tx tx = {0};
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    int rc = accel_tx_begin(store, &tx, err);

    *missing = 0;
    for (size_t i = 0; i < count && rc == ACCEL_OK; i++) {
        struct accel_arq arq;
        rc = get(tx.db, &arqs[i], &mem, &arq, err);
        if (rc == ACCEL_E_NOT_FOUND) {
            ++*missing;
            rc = ACCEL_OK;
            continue;
        }
        if (rc == ACCEL_OK)
            rc = refuse_started(&arq, err);
        if (rc == ACCEL_OK)
            rc = delete_one(&tx, &arq, err);
    }
    if (rc == ACCEL_OK)
        rc = accel_tx_sweep_gone(&tx, err);
    return rc == ACCEL_OK ? accel_tx_commit(&tx, err) : rc;
}
