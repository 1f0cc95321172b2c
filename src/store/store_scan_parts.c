/* SPDX-License-Identifier: Apache-2.0 */
/* What belongs to a device, made to agree with what a scan found: facts, deployables with their
 * attributes and attach handles, the control path. */
#include <stdio.h>
#include <string.h>

#include "store/store_scan_internal.h"

/* ---------------------------------------------------------------- facts */

static int put_fact(struct scanning *s, int64_t device_id, const struct accel_fact *fact,
                    struct accel_error *err)
{
    static const char number[] =
        "INSERT INTO facts (device_id, name, module, basis, number, text)"
        " VALUES (?, ?, ?, ?, ?, NULL)"
        " ON CONFLICT (device_id, name, module) DO UPDATE SET number = excluded.number,"
        " text = NULL, basis = excluded.basis"
        " WHERE number IS NOT excluded.number OR basis <> excluded.basis";
    static const char text[] = "INSERT INTO facts (device_id, name, module, basis, number, text)"
                               " VALUES (?, ?, ?, ?, NULL, ?)"
                               " ON CONFLICT (device_id, name, module) DO UPDATE SET number = NULL,"
                               " text = excluded.text, basis = excluded.basis"
                               " WHERE text IS NOT excluded.text OR basis <> excluded.basis";

    if (fact->is_text)
        return accel_db_exec(s->tx->db, err, text, "issis", device_id, fact->name, s->scan->module,
                             (int64_t)fact->basis, fact->text != NULL ? fact->text : "");
    return accel_db_exec(s->tx->db, err, number, "issid", device_id, fact->name, s->scan->module,
                         (int64_t)fact->basis, fact->number);
}

/* Deletes those of the module's facts about a device that it says no more. */
static int drop_facts(struct scanning *s, int64_t device_id, const struct noted *facts,
                      size_t count, struct accel_error *err)
{
    struct accel_rows rows = {.mem = &s->scratch, .element = sizeof(int64_t)};
    sqlite3_stmt *stmt;
    int rc = accel_db_query(s->tx->db, &stmt, err,
                            "SELECT id, name FROM facts WHERE device_id = ? AND module = ?"
                            " ORDER BY name",
                            "is", device_id, s->scan->module);
    size_t at = 0;

    if (rc != ACCEL_OK)
        return rc;
    while (accel_db_row(s->tx->db, stmt, &rc, err)) {
        const char *name = (const char *)sqlite3_column_text(stmt, 1);
        while (at < count && strcmp(facts[at].fact->name, name) < 0)
            at++;
        if (at < count && strcmp(facts[at].fact->name, name) == 0)
            continue;
        int64_t *id = accel_rows_add(&rows);
        if (id == NULL)
            rc = accel_store_nomem(err);
        else
            *id = sqlite3_column_int64(stmt, 0);
    }
    for (size_t i = 0; i < rows.count && rc == ACCEL_OK; i++)
        rc = accel_db_exec(s->tx->db, err, "DELETE FROM facts WHERE id = ?", "i",
                           ((int64_t *)rows.items)[i]);
    return rc;
}

int accel_scan_diff_facts(struct scanning *s, int64_t device_id, const char *identity,
                          bool *changed, struct accel_error *err)
{
    size_t end;
    const size_t begin = accel_scan_facts(s, identity, &end);
    int64_t recorded = 0;
    int rc = ACCEL_OK;

    for (size_t i = begin; i < end && rc == ACCEL_OK; i++) {
        rc = put_fact(s, device_id, s->facts[i].fact, err);
        *changed = *changed || (rc == ACCEL_OK && accel_scan_wrote(s));
    }
    if (rc == ACCEL_OK)
        rc = accel_db_integer(s->tx->db, &recorded, err,
                              "SELECT count(*) FROM facts WHERE device_id = ? AND module = ?", "is",
                              device_id, s->scan->module);
    if (rc != ACCEL_OK || recorded == (int64_t)(end - begin))
        return rc;
    *changed = true;
    return drop_facts(s, device_id, s->facts + begin, end - begin, err);
}

/* ---------------------------------------------------------------- attach handles */

struct handle_row {
    int64_t id;
    const char *attach_type, *attach_info;
    bool held, gone, seen;
};

static int read_handles(struct scanning *s, int64_t deployable_id, struct accel_rows *rows,
                        struct accel_error *err)
{
    sqlite3_stmt *stmt;
    int rc = accel_db_query(s->tx->db, &stmt, err,
                            "SELECT id, attach_type, attach_info, arq_id IS NOT NULL, gone"
                            " FROM attach_handles WHERE deployable_id = ? ORDER BY id",
                            "i", deployable_id);

    *rows = (struct accel_rows){.mem = &s->scratch, .element = sizeof(struct handle_row)};
    if (rc != ACCEL_OK)
        return rc;
    while (accel_db_row(s->tx->db, stmt, &rc, err)) {
        struct handle_row *row = accel_rows_add(rows);
        if (row == NULL) {
            rc = ACCEL_E_NOMEM;
            continue;
        }
        row->id = sqlite3_column_int64(stmt, 0);
        row->attach_type = accel_db_text(stmt, 1, &s->scratch, &rc);
        row->attach_info = accel_db_text(stmt, 2, &s->scratch, &rc);
        row->held = sqlite3_column_int(stmt, 3) != 0;
        row->gone = sqlite3_column_int(stmt, 4) != 0;
    }
    return rc == ACCEL_E_NOMEM ? accel_store_nomem(err) : rc;
}

static int add_handle(struct scanning *s, int64_t deployable_id,
                      const struct accel_scan_handle *handle, struct accel_error *err)
{
    struct accel_uuid uuid;
    const int rc = accel_uuid_new(&uuid, err);

    return rc == ACCEL_OK
               ? accel_db_exec(s->tx->db, err,
                               "INSERT INTO attach_handles (uuid, deployable_id, attach_type,"
                               " attach_info) VALUES (?, ?, ?, ?)",
                               "siss", uuid.text, deployable_id, handle->attach_type,
                               handle->attach_info)
               : rc;
}

/* One handle of the scan: known by its attach_info, and by nothing else. */
static int put_handle(struct scanning *s, int64_t deployable_id, struct accel_rows *rows,
                      const struct accel_scan_handle *handle, bool *changed,
                      struct accel_error *err)
{
    struct handle_row *row = rows->items;
    size_t i = 0;

    while (i < rows->count && strcmp(row[i].attach_info, handle->attach_info) != 0)
        i++;
    if (i == rows->count) {
        *changed = true;
        return add_handle(s, deployable_id, handle, err);
    }
    row[i].seen = true;
    if (!row[i].gone && strcmp(row[i].attach_type, handle->attach_type) == 0)
        return ACCEL_OK;
    *changed = true;
    return accel_db_exec(s->tx->db, err,
                         "UPDATE attach_handles SET attach_type = ?, gone = 0 WHERE id = ?", "si",
                         handle->attach_type, row[i].id);
}

static int drop_handle(struct scanning *s, const struct handle_row *row, bool *changed,
                       struct accel_error *err)
{
    if (row->seen || (row->gone && row->held))
        return ACCEL_OK;
    *changed = true;
    return row->held
               ? accel_db_exec(s->tx->db, err, "UPDATE attach_handles SET gone = 1 WHERE id = ?",
                               "i", row->id)
               : accel_db_exec(s->tx->db, err, "DELETE FROM attach_handles WHERE id = ?", "i",
                               row->id);
}

static int diff_handles(struct scanning *s, int64_t deployable_id,
                        const struct accel_scan_deployable *found, bool *changed,
                        struct accel_error *err)
{
    struct accel_rows rows;
    int rc = read_handles(s, deployable_id, &rows, err);

    for (size_t i = 0; i < found->handles_count && rc == ACCEL_OK; i++)
        rc = put_handle(s, deployable_id, &rows, &found->handles[i], changed, err);
    for (size_t i = 0; i < rows.count && rc == ACCEL_OK; i++)
        rc = drop_handle(s, (struct handle_row *)rows.items + i, changed, err);
    return rc;
}

/* ---------------------------------------------------------------- attributes */

struct attribute_row {
    int64_t id;
    const char *key, *value, *origin;
    bool seen;
};

/* Those that modules reported; the ones made through the API are none of ours. */
static int read_attributes(struct scanning *s, int64_t deployable_id, struct accel_rows *rows,
                           struct accel_error *err)
{
    sqlite3_stmt *stmt;
    int rc = accel_db_query(s->tx->db, &stmt, err,
                            "SELECT id, key, value, origin FROM attributes"
                            " WHERE deployable_id = ? AND origin <> 'api'",
                            "i", deployable_id);

    *rows = (struct accel_rows){.mem = &s->scratch, .element = sizeof(struct attribute_row)};
    if (rc != ACCEL_OK)
        return rc;
    while (accel_db_row(s->tx->db, stmt, &rc, err)) {
        struct attribute_row *row = accel_rows_add(rows);
        if (row == NULL) {
            rc = ACCEL_E_NOMEM;
            continue;
        }
        row->id = sqlite3_column_int64(stmt, 0);
        row->key = accel_db_text(stmt, 1, &s->scratch, &rc);
        row->value = accel_db_text(stmt, 2, &s->scratch, &rc);
        row->origin = accel_db_text(stmt, 3, &s->scratch, &rc);
    }
    return rc == ACCEL_E_NOMEM ? accel_store_nomem(err) : rc;
}

static int put_attribute(struct scanning *s, int64_t deployable_id, struct accel_rows *rows,
                         const char *key, const char *value, int64_t position, bool *changed,
                         struct accel_error *err)
{
    struct attribute_row *row = rows->items;
    struct accel_uuid uuid;
    size_t i = 0;

    while (i < rows->count && strcmp(row[i].key, key) != 0)
        i++;
    if (i < rows->count) {
        row[i].seen = true;
        if (strcmp(row[i].value, value) == 0 && strcmp(row[i].origin, s->scan->module) == 0)
            return ACCEL_OK;
        *changed = true;
        return accel_db_exec(s->tx->db, err,
                             "UPDATE attributes SET value = ?, origin = ?, updated_at = ?"
                             " WHERE id = ?",
                             "sssi", value, s->scan->module, s->tx->now, row[i].id);
    }
    *changed = true;
    const int rc = accel_uuid_new(&uuid, err);
    return rc == ACCEL_OK
               ? accel_db_exec(s->tx->db, err,
                               "INSERT INTO attributes (uuid, deployable_id, key, value, origin,"
                               " position, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                               "sisssis", uuid.text, deployable_id, key, value, s->scan->module,
                               position, s->tx->now)
               : rc;
}

/* Cyborg's custom: the resource class is attribute "rc", the traits are "trait0", "trait1", ... */
static int diff_attributes(struct scanning *s, int64_t deployable_id,
                           const struct accel_scan_deployable *found, bool *changed,
                           struct accel_error *err)
{
    struct accel_rows rows;
    int rc = read_attributes(s, deployable_id, &rows, err);
    char key[32];

    if (rc == ACCEL_OK && found->resource_class != NULL)
        rc = put_attribute(s, deployable_id, &rows, "rc", found->resource_class, 0, changed, err);
    for (size_t i = 0; i < found->traits_count && rc == ACCEL_OK; i++) {
        snprintf(key, sizeof(key), "trait%zu", i);
        rc = put_attribute(s, deployable_id, &rows, key, found->traits[i], (int64_t)i + 1, changed,
                           err);
    }
    for (size_t i = 0; i < rows.count && rc == ACCEL_OK; i++) {
        const struct attribute_row *row = (struct attribute_row *)rows.items + i;
        if (row->seen)
            continue;
        *changed = true;
        rc = accel_db_exec(s->tx->db, err, "DELETE FROM attributes WHERE id = ?", "i", row->id);
    }
    return rc;
}

/* ---------------------------------------------------------------- deployables */

struct deployable_row {
    int64_t id;
    const char *name;
    bool held, gone, seen;
};

static int read_deployables(struct scanning *s, int64_t device_id, struct accel_rows *rows,
                            struct accel_error *err)
{
    sqlite3_stmt *stmt;
    int rc = accel_db_query(s->tx->db, &stmt, err,
                            "SELECT id, name, gone, EXISTS (SELECT 1 FROM attach_handles h"
                            " WHERE h.deployable_id = d.id AND h.arq_id IS NOT NULL)"
                            " FROM deployables d WHERE device_id = ?",
                            "i", device_id);

    *rows = (struct accel_rows){.mem = &s->scratch, .element = sizeof(struct deployable_row)};
    if (rc != ACCEL_OK)
        return rc;
    while (accel_db_row(s->tx->db, stmt, &rc, err)) {
        struct deployable_row *row = accel_rows_add(rows);
        if (row == NULL) {
            rc = ACCEL_E_NOMEM;
            continue;
        }
        row->id = sqlite3_column_int64(stmt, 0);
        row->name = accel_db_text(stmt, 1, &s->scratch, &rc);
        row->gone = sqlite3_column_int(stmt, 2) != 0;
        row->held = sqlite3_column_int(stmt, 3) != 0;
    }
    return rc == ACCEL_E_NOMEM ? accel_store_nomem(err) : rc;
}

/* The module's own name for it, else Cyborg's custom: "<hostname>_<pci address or serial>", with
 * the partition behind it, and a number from the second nameless one of a device on. */
static const char *name_of(struct scanning *s, const struct accel_scan_device *device,
                           const struct accel_scan_deployable *found, unsigned nameless)
{
    const char *hostname = s->tx->store->hostname;
    const char *partition = device->partition != NULL ? device->partition : "";
    const char *address = device->pci_address != NULL ? device->pci_address : device->serial;
    char number[16] = "";

    if (found->name != NULL)
        return found->name;
    if (strcmp(s->scan->module, "fake") == 0)
        address = "FakeDevice";
    if (address == NULL)
        address = device->identity;
    if (nameless > 1)
        snprintf(number, sizeof(number), "_%u", nameless);
    return accel_bump_printf(&s->scratch, "%s_%s%s%s%s", hostname, address,
                             partition[0] != '\0' ? "_" : "", partition, number);
}

static int add_deployable(struct scanning *s, int64_t device_id,
                          const struct accel_scan_device *device,
                          const struct accel_scan_deployable *found, const char *name, int64_t *id,
                          struct accel_error *err)
{
    const char *key = accel_bump_printf(&s->scratch, "%s %s", device->identity, name);
    struct accel_uuid uuid, provider;
    bool back;
    int rc = key == NULL ? accel_store_nomem(err)
                         : accel_scan_revive(s, "deployable", key, &uuid, NULL, &back, err);

    if (rc == ACCEL_OK)
        rc = accel_uuid_of_name(name, &provider, err);
    if (rc == ACCEL_OK)
        rc = accel_db_exec(s->tx->db, err,
                           "INSERT INTO deployables (uuid, device_id, name, num_accelerators,"
                           " resource_class, rp_uuid, driver_name, created_at)"
                           " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                           "sisissss", uuid.text, device_id, name, (int64_t)found->num_accelerators,
                           found->resource_class, provider.text, s->scan->module, s->tx->now);
    *id = sqlite3_last_insert_rowid(s->tx->db->handle);
    return rc;
}

/* Writes where the row differs, and where what belongs to it did. */
static int update_deployable(struct scanning *s, int64_t id,
                             const struct accel_scan_deployable *found, bool parts_changed,
                             struct accel_error *err)
{
    return accel_db_exec(
        s->tx->db, err,
        "UPDATE deployables SET num_accelerators = ?1, resource_class = ?2, driver_name = ?3,"
        " gone = 0, version = version + 1, updated_at = ?4"
        " WHERE id = ?5 AND (?6 OR"
        " (num_accelerators, resource_class, driver_name, gone) IS NOT (?1, ?2, ?3, 0))",
        "isssii", (int64_t)found->num_accelerators, found->resource_class, s->scan->module,
        s->tx->now, id, (int64_t)parts_changed);
}

static int put_deployable(struct scanning *s, int64_t device_id,
                          const struct accel_scan_device *device,
                          const struct accel_scan_deployable *found, const char *name,
                          struct accel_rows *rows, bool *changed, struct accel_error *err)
{
    struct deployable_row *row = rows->items;
    bool parts = false;
    size_t i = 0;
    int64_t id;
    int rc = ACCEL_OK;

    while (i < rows->count && strcmp(row[i].name, name) != 0)
        i++;
    const bool added = i == rows->count;
    if (added) {
        rc = add_deployable(s, device_id, device, found, name, &id, err);
    } else {
        row[i].seen = true;
        id = row[i].id;
    }
    if (rc == ACCEL_OK)
        rc = diff_attributes(s, id, found, &parts, err);
    if (rc == ACCEL_OK)
        rc = diff_handles(s, id, found, &parts, err);
    if (rc == ACCEL_OK && !added)
        rc = update_deployable(s, id, found, parts, err);
    *changed = *changed || added || (rc == ACCEL_OK && accel_scan_wrote(s));
    return rc;
}

/* Not reported any more: what is held stays until it is free. */
static int drop_deployable(struct scanning *s, const struct deployable_row *row, bool *changed,
                           struct accel_error *err)
{
    int rc;

    if (row->seen || (row->gone && row->held))
        return ACCEL_OK;
    *changed = true;
    if (!row->held)
        return accel_store_bury_deployable(s->tx, row->id, err);
    rc = accel_db_exec(s->tx->db, err,
                       "DELETE FROM attach_handles WHERE deployable_id = ? AND arq_id IS NULL", "i",
                       row->id);
    if (rc == ACCEL_OK)
        rc = accel_db_exec(s->tx->db, err,
                           "UPDATE attach_handles SET gone = 1 WHERE deployable_id = ?", "i",
                           row->id);
    if (rc == ACCEL_OK)
        rc = accel_db_exec(s->tx->db, err,
                           "UPDATE deployables SET gone = 1, version = version + 1, updated_at = ?"
                           " WHERE id = ?",
                           "si", s->tx->now, row->id);
    return rc;
}

int accel_scan_diff_deployables(struct scanning *s, int64_t device_id,
                                const struct accel_scan_device *device, bool *changed,
                                struct accel_error *err)
{
    struct accel_rows rows;
    unsigned nameless = 0;
    int rc = read_deployables(s, device_id, &rows, err);

    for (size_t i = 0; i < device->deployables_count && rc == ACCEL_OK; i++) {
        const struct accel_scan_deployable *found = &device->deployables[i];
        nameless += found->name == NULL;
        const char *name = name_of(s, device, found, nameless);
        rc = name == NULL ? accel_store_nomem(err)
                          : put_deployable(s, device_id, device, found, name, &rows, changed, err);
    }
    for (size_t i = 0; i < rows.count && rc == ACCEL_OK; i++)
        rc = drop_deployable(s, (struct deployable_row *)rows.items + i, changed, err);
    return rc;
}

/* ---------------------------------------------------------------- control path */

int accel_scan_diff_controlpath(struct scanning *s, int64_t device_id,
                                const struct accel_scan_device *device, bool *changed,
                                struct accel_error *err)
{
    char domain[16], bus[3], slot[3], function[2];
    struct accel_uuid uuid;
    int64_t known = 0;
    int rc;

    if (device->pci_address == NULL)
        return ACCEL_OK;
    if (sscanf(device->pci_address, "%15[0-9a-f]:%2[0-9a-f]:%2[0-9a-f].%1[0-7]", domain, bus, slot,
               function) != 4)
        return accel_fail(err, ACCEL_E_INVALID, "%s is no PCI address", device->pci_address);
    const char *info = accel_bump_printf(
        &s->scratch,
        "{\"bus\": \"%s\", \"device\": \"%s\", \"domain\": \"%s\", \"function\": \"%s\"}", bus,
        slot, domain, function);
    if (info == NULL)
        return accel_store_nomem(err);
    rc = accel_db_integer(s->tx->db, &known, err,
                          "SELECT id FROM controlpath_ids WHERE device_id = ?", "i", device_id);
    if (rc != ACCEL_OK || known != 0) /* the address is part of the identity: it never changes */
        return rc;
    *changed = true;
    rc = accel_uuid_new(&uuid, err);
    return rc == ACCEL_OK ? accel_db_exec(s->tx->db, err,
                                          "INSERT INTO controlpath_ids (uuid, device_id, cpid_type,"
                                          " cpid_info) VALUES (?, ?, 'PCI', ?)",
                                          "sis", uuid.text, device_id, info)
                          : rc;
}
