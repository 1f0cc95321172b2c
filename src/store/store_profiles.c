/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "store/store_internal.h"

#define COLUMNS "id, uuid, name, description, groups, created_at, updated_at"

static int read_profile(sqlite3_stmt *stmt, struct accel_bump *mem, struct accel_device_profile *p)
{
    int rc = ACCEL_OK;

    p->id = sqlite3_column_int64(stmt, 0);
    accel_store_uuid(stmt, 1, &p->uuid);
    p->name = accel_db_text(stmt, 2, mem, &rc);
    p->description = accel_db_text(stmt, 3, mem, &rc);
    p->groups = accel_db_text(stmt, 4, mem, &rc);
    p->created_at = accel_db_text(stmt, 5, mem, &rc);
    p->updated_at = accel_db_text(stmt, 6, mem, &rc);
    return rc;
}

/* By uuid first: a name may look like one. */
static int get(struct accel_db *db, const char *uuid_or_name, struct accel_bump *mem,
               struct accel_device_profile *profile, struct accel_error *err)
{
    struct accel_uuid uuid = {""};
    sqlite3_stmt *stmt;
    int rc;

    accel_uuid_parse(uuid_or_name, &uuid);
    rc = accel_db_query(db, &stmt, err,
                        "SELECT " COLUMNS " FROM device_profiles WHERE uuid = ?1 OR name = ?2"
                        " ORDER BY uuid <> ?1 LIMIT 1",
                        "ss", uuid.text, uuid_or_name);
    if (rc != ACCEL_OK)
        return rc;
    if (!accel_db_row(db, stmt, &rc, err))
        return rc != ACCEL_OK ? rc
                              : accel_fail(err, ACCEL_E_NOT_FOUND,
                                           "Device Profile not found with name=%s", uuid_or_name);
    rc = read_profile(stmt, mem, profile);
    sqlite3_reset(stmt);
    return rc == ACCEL_OK ? ACCEL_OK : accel_store_nomem(err);
}

static int refuse_taken(struct accel_tx *tx, const char *name, const struct accel_uuid *uuid,
                        struct accel_error *err)
{
    int64_t taken = 0;
    int rc = accel_db_integer(tx->db, &taken, err,
                              "SELECT count(*) FROM device_profiles WHERE name = ?", "s", name);

    if (rc == ACCEL_OK && taken > 0)
        return accel_fail(err, ACCEL_E_EXISTS, "name %s: a device profile has it already", name);
    if (rc == ACCEL_OK)
        rc = accel_db_integer(tx->db, &taken, err,
                              "SELECT count(*) FROM device_profiles WHERE uuid = ?", "s",
                              uuid->text);
    if (rc == ACCEL_OK && taken > 0)
        return accel_fail(err, ACCEL_E_EXISTS, "uuid %s: a device profile has it already",
                          uuid->text);
    return rc;
}

int accel_tx_add_profile(struct accel_tx *tx, const struct accel_new_profile *from, bool placed,
                         struct accel_bump *mem, struct accel_device_profile *profile,
                         struct accel_error *err)
{
    struct accel_uuid uuid;
    int rc = ACCEL_OK;

    if (from->uuid == NULL)
        rc = accel_uuid_new(&uuid, err);
    else if (!accel_uuid_parse(from->uuid, &uuid))
        rc = accel_fail(err, ACCEL_E_INVALID, "uuid: \"%.60s\" is no UUID", from->uuid);
    if (rc == ACCEL_OK)
        rc = refuse_taken(tx, from->name, &uuid, err);
    if (rc == ACCEL_OK)
        rc = accel_db_exec(tx->db, err,
                           "INSERT INTO device_profiles (uuid, name, description, groups, placed,"
                           " created_at) VALUES (?, ?, ?, ?, ?, ?)",
                           "ssssis", uuid.text, from->name, from->description, from->groups,
                           (int64_t)placed, tx->now);
    if (rc == ACCEL_OK)
        rc = accel_tx_event_about(tx, "profile.created", uuid.text, NULL, "name", from->name, err);
    return rc == ACCEL_OK ? get(tx->db, uuid.text, mem, profile, err) : rc;
}

int accel_store_add_profile(struct accel_store *store, const struct accel_new_profile *from,
                            struct accel_bump *mem, struct accel_device_profile *profile,
                            struct accel_error *err)
{
    ACCEL_CLEANUP(accel_tx_end) struct accel_tx tx = {0};
    int rc = accel_tx_begin(store, &tx, err);

    if (rc == ACCEL_OK)
        rc = accel_tx_add_profile(&tx, from, false, mem, profile, err);
    return rc == ACCEL_OK ? accel_tx_commit(&tx, err) : rc;
}

static bool is_wanted(const char *name, const char *const *names, size_t names_count)
{
    if (names == NULL)
        return true;
    for (size_t i = 0; i < names_count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

int accel_store_list_profiles(struct accel_store *store, const char *const *names,
                              size_t names_count, const struct accel_page *page,
                              struct accel_bump *mem, struct accel_device_profile **profiles,
                              size_t *count, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_reader_end) struct accel_reader reader = {0};
    struct accel_rows rows = {.mem = mem, .element = sizeof(struct accel_device_profile)};
    int64_t start = 0, left;
    sqlite3_stmt *stmt;
    int rc = accel_reader_begin(store, &reader, err);

    if (rc == ACCEL_OK)
        rc = accel_page_start(reader.db, page, "SELECT id FROM device_profiles WHERE uuid = ?",
                              &start, err);
    if (rc == ACCEL_OK)
        rc = accel_db_query(reader.db, &stmt, err,
                            ACCEL_PAGED(page, "SELECT " COLUMNS " FROM device_profiles", "id", "",
                                        "-1"),
                            "i", start);
    if (rc != ACCEL_OK)
        return rc;
    left = accel_page_limit(page);
    while (accel_db_row(reader.db, stmt, &rc, err)) {
        if (left == 0 || !is_wanted((const char *)sqlite3_column_text(stmt, 2), names, names_count))
            continue;
        struct accel_device_profile *profile = accel_rows_add(&rows);
        rc = profile != NULL ? read_profile(stmt, mem, profile) : ACCEL_E_NOMEM;
        left -= left > 0;
    }
    *profiles = rows.items;
    *count = rows.count;
    return rc == ACCEL_E_NOMEM ? accel_store_nomem(err) : rc;
}

int accel_store_get_profile(struct accel_store *store, const char *uuid_or_name,
                            struct accel_bump *mem, struct accel_device_profile *profile,
                            struct accel_error *err)
{
    ACCEL_CLEANUP(accel_reader_end) struct accel_reader reader = {0};
    int rc = accel_reader_begin(store, &reader, err);

    return rc == ACCEL_OK ? get(reader.db, uuid_or_name, mem, profile, err) : rc;
}

static int delete_one(struct accel_tx *tx, const struct accel_uuid *uuid, const char *name,
                      struct accel_error *err)
{
    int rc =
        accel_db_exec(tx->db, err, "DELETE FROM device_profiles WHERE uuid = ?", "s", uuid->text);

    if (rc == ACCEL_OK)
        rc = accel_tx_event_about(tx, "profile.deleted", uuid->text, NULL, "name", name, err);
    return rc;
}

int accel_store_delete_profile(struct accel_store *store, const char *uuid_or_name,
                               struct accel_error *err)
{
    ACCEL_CLEANUP(accel_tx_end) struct accel_tx tx = {0};
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_device_profile profile;
    int64_t arqs = 0;
    int rc = accel_tx_begin(store, &tx, err);

    if (rc == ACCEL_OK)
        rc = get(tx.db, uuid_or_name, &mem, &profile, err);
    if (rc == ACCEL_OK)
        rc = accel_db_integer(tx.db, &arqs, err,
                              "SELECT count(*) FROM arqs WHERE device_profile_id = ?", "i",
                              profile.id);
    if (rc == ACCEL_OK && arqs > 0)
        return accel_fail(
            err, ACCEL_E_CONFLICT,
            "device profile %s is used by %lld accelerator requests; delete them first",
            profile.name, (long long)arqs);
    if (rc == ACCEL_OK)
        rc = delete_one(&tx, &profile.uuid, profile.name, err);
    return rc == ACCEL_OK ? accel_tx_commit(&tx, err) : rc;
}

int accel_tx_drop_placed_profile(struct accel_tx *tx, const char *name, struct accel_error *err)
{
    struct accel_uuid uuid = {""};
    sqlite3_stmt *stmt;
    int rc = accel_db_query(tx->db, &stmt, err,
                            "SELECT uuid FROM device_profiles p WHERE name = ? AND placed = 1"
                            " AND NOT EXISTS (SELECT 1 FROM arqs WHERE device_profile_id = p.id)",
                            "s", name);

    if (rc != ACCEL_OK || !accel_db_row(tx->db, stmt, &rc, err))
        return rc;
    accel_store_uuid(stmt, 0, &uuid);
    sqlite3_reset(stmt);
    return delete_one(tx, &uuid, name, err);
}
