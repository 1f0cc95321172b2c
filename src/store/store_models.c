/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "store/store_internal.h"

#define COLUMNS                                                                           \
    "id, uuid, name, version, project_id, sha256, size_bytes, file, analysis, runnable, " \
    "created_at"

static int read_model(sqlite3_stmt *stmt, struct accel_bump *mem, struct accel_model_record *model)
{
    int rc = ACCEL_OK;

    model->id = sqlite3_column_int64(stmt, 0);
    accel_store_uuid(stmt, 1, &model->uuid);
    model->name = accel_db_text(stmt, 2, mem, &rc);
    model->model_version = sqlite3_column_int64(stmt, 3);
    model->project_id = accel_db_text(stmt, 4, mem, &rc);
    model->sha256 = accel_db_text(stmt, 5, mem, &rc);
    model->size_bytes = sqlite3_column_int64(stmt, 6);
    model->file = accel_db_text(stmt, 7, mem, &rc);
    model->analysis = accel_db_text(stmt, 8, mem, &rc);
    model->runnable = sqlite3_column_int(stmt, 9) != 0;
    model->created_at = accel_db_text(stmt, 10, mem, &rc);
    return rc;
}

/* The one row a statement gives; NOT_FOUND leaves the sentence to the caller. */
static int one_model(struct accel_db *db, sqlite3_stmt *stmt, struct accel_bump *mem,
                     struct accel_model_record *model, struct accel_error *err)
{
    int rc = ACCEL_OK;

    if (!accel_db_row(db, stmt, &rc, err))
        return rc != ACCEL_OK ? rc : ACCEL_E_NOT_FOUND;
    rc = read_model(stmt, mem, model);
    sqlite3_reset(stmt);
    return rc == ACCEL_OK ? ACCEL_OK : accel_store_nomem(err);
}

static int get(struct accel_db *db, const char *name, int64_t version, struct accel_bump *mem,
               struct accel_model_record *model, struct accel_error *err)
{
    sqlite3_stmt *stmt;
    int rc = accel_db_query(db, &stmt, err,
                            "SELECT " COLUMNS " FROM models WHERE name = ?1"
                            " AND (?2 = 0 OR version = ?2) ORDER BY version DESC LIMIT 1",
                            "si", name, version);

    if (rc == ACCEL_OK)
        rc = one_model(db, stmt, mem, model, err);
    if (rc != ACCEL_E_NOT_FOUND)
        return rc;
    if (version == 0)
        return accel_fail(err, rc, "there is no model %s", name);
    return accel_fail(err, rc, "model %s has no version %lld", name, (long long)version);
}

/* The version a new row gets: the one asked for, which must be free, or the next. */
static int choose_version(struct accel_tx *tx, const struct accel_model_record *from,
                          int64_t *version, struct accel_error *err)
{
    int64_t taken = 0;
    int rc;

    if (from->model_version == 0)
        return accel_db_integer(tx->db, version, err,
                                "SELECT coalesce(max(version), 0) + 1 FROM models WHERE name = ?",
                                "s", from->name);
    *version = from->model_version;
    rc = accel_db_integer(tx->db, &taken, err,
                          "SELECT count(*) FROM models WHERE name = ? AND version = ?", "si",
                          from->name, *version);
    if (rc == ACCEL_OK && taken > 0)
        return accel_fail(err, ACCEL_E_EXISTS, "model %s has a version %lld already", from->name,
                          (long long)*version);
    return rc;
}

int accel_store_add_model(struct accel_store *store, const struct accel_model_record *from,
                          struct accel_bump *mem, struct accel_model_record *model,
                          struct accel_error *err)
{
    ACCEL_CLEANUP(accel_tx_end) struct accel_tx tx = {0};
    struct accel_uuid uuid = from->uuid;
    int64_t version = 0;
    int rc = uuid.text[0] == '\0' ? accel_uuid_new(&uuid, err) : ACCEL_OK;

    if (rc == ACCEL_OK)
        rc = accel_tx_begin(store, &tx, err);
    if (rc == ACCEL_OK)
        rc = choose_version(&tx, from, &version, err);
    if (rc == ACCEL_OK)
        rc =
            accel_db_exec(tx.db, err,
                          "INSERT INTO models (uuid, name, version, project_id, sha256, size_bytes,"
                          " file, analysis, runnable, created_at)"
                          " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                          "ssississis", uuid.text, from->name, version, from->project_id,
                          from->sha256, from->size_bytes, from->file, from->analysis,
                          (int64_t)from->runnable, tx.now);
    if (rc == ACCEL_OK)
        rc = get(tx.db, from->name, version, mem, model, err);
    if (rc == ACCEL_OK)
        rc = accel_tx_event(&tx, "model.added", from->name, from->project_id, err,
                            "{\"uuid\": \"%s\", \"version\": %lld, \"sha256\": \"%s\"}", uuid.text,
                            (long long)version, from->sha256);
    return rc == ACCEL_OK ? accel_tx_commit(&tx, err) : rc;
}

int accel_store_list_models(struct accel_store *store, const char *name, const char *project_id,
                            const struct accel_page *page, struct accel_bump *mem,
                            struct accel_model_record **models, size_t *count,
                            struct accel_error *err)
{
    ACCEL_CLEANUP(accel_reader_end) struct accel_reader reader = {0};
    struct accel_rows rows = {.mem = mem, .element = sizeof(struct accel_model_record)};
    int64_t start = 0;
    sqlite3_stmt *stmt;
    int rc = accel_reader_begin(store, &reader, err);

    if (rc == ACCEL_OK)
        rc = accel_page_start(reader.db, page, "SELECT id FROM models WHERE uuid = ?", &start, err);
    if (rc == ACCEL_OK && name == NULL)
        rc = accel_db_query(reader.db, &stmt, err,
                            ACCEL_PAGED(page, "SELECT " COLUMNS " FROM models m", "id",
                                        " AND (?2 IS NULL OR project_id IS NULL OR project_id = ?2)"
                                        " AND version = (SELECT max(version) FROM models"
                                        "  WHERE name = m.name)",
                                        "?3"),
                            "isi", start, project_id, accel_page_limit(page));
    else if (rc == ACCEL_OK)
        rc = accel_db_query(
            reader.db, &stmt, err,
            "SELECT " COLUMNS " FROM models WHERE name = ?1"
            " AND (?2 IS NULL OR project_id IS NULL OR project_id = ?2)"
            " AND version < coalesce((SELECT version FROM models WHERE id = ?4), 1 << 62)"
            " ORDER BY version DESC LIMIT ?3",
            "ssii", name, project_id, accel_page_limit(page), start);
    if (rc != ACCEL_OK)
        return rc;
    while (accel_db_row(reader.db, stmt, &rc, err)) {
        struct accel_model_record *model = accel_rows_add(&rows);
        rc = model != NULL ? read_model(stmt, mem, model) : ACCEL_E_NOMEM;
    }
    *models = rows.items;
    *count = rows.count;
    return rc == ACCEL_E_NOMEM ? accel_store_nomem(err) : rc;
}

int accel_store_get_model(struct accel_store *store, const char *name, int64_t version,
                          struct accel_bump *mem, struct accel_model_record *model,
                          struct accel_error *err)
{
    ACCEL_CLEANUP(accel_reader_end) struct accel_reader reader = {0};
    int rc = accel_reader_begin(store, &reader, err);

    return rc == ACCEL_OK ? get(reader.db, name, version, mem, model, err) : rc;
}

/* Files of the versions to be deleted that no other row names. */
static int list_orphans(struct accel_tx *tx, const char *name, int64_t version,
                        struct accel_rows *files, struct accel_error *err)
{
    sqlite3_stmt *stmt;
    int rc = accel_db_query(tx->db, &stmt, err,
                            "SELECT DISTINCT file FROM models WHERE name = ?1"
                            " AND (?2 = 0 OR version = ?2) AND file NOT IN"
                            " (SELECT file FROM models WHERE name <> ?1"
                            "  OR (?2 <> 0 AND version <> ?2))",
                            "si", name, version);

    if (rc != ACCEL_OK)
        return rc;
    while (accel_db_row(tx->db, stmt, &rc, err)) {
        const char **file = accel_rows_add(files);
        if (file == NULL)
            rc = ACCEL_E_NOMEM;
        else
            *file = accel_db_text(stmt, 0, files->mem, &rc);
    }
    return rc == ACCEL_E_NOMEM ? accel_store_nomem(err) : rc;
}

int accel_store_delete_model(struct accel_store *store, const char *name, int64_t version,
                             struct accel_bump *mem, const char ***files, size_t *count,
                             struct accel_error *err)
{
    ACCEL_CLEANUP(accel_tx_end) struct accel_tx tx = {0};
    struct accel_rows rows = {.mem = mem, .element = sizeof(const char *)};
    struct accel_model_record model;
    int rc = accel_tx_begin(store, &tx, err);

    if (rc == ACCEL_OK)
        rc = get(tx.db, name, version, mem, &model, err);
    if (rc == ACCEL_OK)
        rc = list_orphans(&tx, name, version, &rows, err);
    if (rc == ACCEL_OK)
        rc = accel_db_exec(tx.db, err,
                           "DELETE FROM measurements WHERE model_uuid IN (SELECT uuid FROM models"
                           " WHERE name = ?1 AND (?2 = 0 OR version = ?2))",
                           "si", name, version);
    if (rc == ACCEL_OK)
        rc = accel_db_exec(tx.db, err,
                           "DELETE FROM models WHERE name = ?1 AND (?2 = 0 OR version = ?2)", "si",
                           name, version);
    if (rc == ACCEL_OK)
        rc = accel_tx_event(&tx, "model.deleted", name, model.project_id, err,
                            "{\"version\": %lld}", (long long)version);
    if (rc != ACCEL_OK)
        return rc;
    *files = rows.items;
    *count = rows.count;
    return accel_tx_commit(&tx, err);
}
