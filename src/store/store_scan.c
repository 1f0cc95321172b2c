/* SPDX-License-Identifier: Apache-2.0 */
/* What a module found against what is recorded: the record is made to agree. Every statement here
 * writes only where something differs, so that a scan of an unchanged node writes nothing. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "store/store_internal.h"

/* A fact of the scan and the device it is about. */
struct noted {
    const char *identity;
    const struct accel_fact *fact;
};

struct scanning {
    struct accel_tx *tx;
    const struct accel_scan *scan;
    struct accel_bump mem;     /* for the whole scan */
    struct accel_bump scratch; /* for one device */
    const char **identities;   /* of the scan's devices, sorted */
    const char **troubled;     /* where the scan had problems, and the last word of that, sorted */
    struct noted *facts;       /* by identity, then name, one of each */
    size_t facts_count;
    struct accel_scan_result *result;
};

/* What became of one device. */
struct outcome {
    bool added, back, changed;
};

/* ---------------------------------------------------------------- helpers */

static int compare_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int compare_noted(const void *a, const void *b)
{
    const struct noted *x = a, *y = b;
    const int identities = strcmp(x->identity, y->identity);

    return identities != 0 ? identities : strcmp(x->fact->name, y->fact->name);
}

static bool is_listed(const char *text, const char *const *sorted, size_t count)
{
    return count > 0 && bsearch(&text, sorted, count, sizeof(*sorted), compare_text) != NULL;
}

/* Did the scan have a problem with this device? Whoever could not describe it names it as well as
 * it can: by identity, by address or serial, by the address its partition is of. */
static bool is_troubled(const struct scanning *s, const char *identity)
{
    const size_t count = s->scan->problems_count * 2;
    const char *name = strchr(identity, ':');
    char whole[256];

    if (count == 0)
        return false;
    name = name != NULL ? name + 1 : identity;
    snprintf(whole, sizeof(whole), "%.*s", (int)strcspn(name, "/"), name);
    return is_listed(identity, s->troubled, count) || is_listed(name, s->troubled, count) ||
           is_listed(whole, s->troubled, count);
}

/* Out of memory, out of space, a damaged file: not the device's fault, the scan ends. */
static bool is_systemic(int rc)
{
    return rc == ACCEL_E_NOMEM || rc == ACCEL_E_NO_SPACE || rc == ACCEL_E_IO ||
           rc == ACCEL_E_CORRUPT || rc == ACCEL_E_BUSY || rc == ACCEL_E_DENIED;
}

static bool changed_rows(const struct scanning *s)
{
    return sqlite3_changes(s->tx->db->handle) > 0;
}

/* ---------------------------------------------------------------- the scan, sorted */

/* Orders facts by device and name; of a name said twice the last word counts. */
static int sort_facts(struct scanning *s, struct accel_error *err)
{
    const struct accel_scan *scan = s->scan;
    size_t count = scan->annotations_count, n = 0, used = 0;

    for (size_t i = 0; i < scan->devices_count; i++)
        count += scan->devices[i].facts_count;
    struct noted *all = accel_bump_alloc(&s->mem, count, sizeof(*all));
    if (all == NULL)
        return accel_store_nomem(err);
    for (size_t i = 0; i < scan->devices_count; i++)
        for (size_t j = 0; j < scan->devices[i].facts_count; j++)
            all[n++] = (struct noted){scan->devices[i].identity, &scan->devices[i].facts[j]};
    for (size_t i = 0; i < scan->annotations_count; i++)
        all[n++] = (struct noted){scan->annotations[i].identity, &scan->annotations[i].fact};
    qsort(all, n, sizeof(*all), compare_noted);
    for (size_t i = 0; i < n; i++)
        if (i + 1 == n || compare_noted(&all[i], &all[i + 1]) != 0)
            all[used++] = all[i];
    s->facts = all;
    s->facts_count = used;
    return ACCEL_OK;
}

static int sort_scan(struct scanning *s, struct accel_error *err)
{
    const struct accel_scan *scan = s->scan;

    s->identities = accel_bump_alloc(&s->mem, scan->devices_count, sizeof(*s->identities));
    s->troubled = accel_bump_alloc(&s->mem, scan->problems_count * 2, sizeof(*s->troubled));
    if (s->identities == NULL || s->troubled == NULL)
        return accel_store_nomem(err);
    for (size_t i = 0; i < scan->devices_count; i++)
        s->identities[i] = scan->devices[i].identity;
    for (size_t i = 0; i < scan->problems_count; i++) {
        const char *blank = strrchr(scan->problems[i].where, ' ');
        s->troubled[2 * i] = scan->problems[i].where;
        s->troubled[2 * i + 1] = blank != NULL ? blank + 1 : scan->problems[i].where;
    }
    qsort(s->identities, scan->devices_count, sizeof(*s->identities), compare_text);
    qsort(s->troubled, scan->problems_count * 2, sizeof(*s->troubled), compare_text);
    return sort_facts(s, err);
}

/* First fact about the device; *end is one behind its last. */
static size_t facts_of(const struct scanning *s, const char *identity, size_t *end)
{
    size_t low = 0, high = s->facts_count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (strcmp(s->facts[middle].identity, identity) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *end = low;
    while (*end < s->facts_count && strcmp(s->facts[*end].identity, identity) == 0)
        ++*end;
    return low;
}

/* ---------------------------------------------------------------- events */

static int device_event(struct accel_tx *tx, const char *kind, const char *uuid,
                        const char *identity, const char *module, const char *note,
                        struct accel_error *err)
{
    json_t *json = json_pack("{s:s, s:s, s:s, s:s*}", "identity", identity, "hostname",
                             tx->store->hostname, "module", module, "note", note);

    return accel_tx_event_json(tx, kind, uuid, NULL, json, err);
}

static int problem_event(struct scanning *s, const char *where, const char *reason,
                         struct accel_error *err)
{
    json_t *json =
        json_pack("{s:s, s:s, s:s}", "module", s->scan->module, "where", where, "reason", reason);

    accel_log_warning("device not usable", "module=%s where=\"%s\" reason=\"%s\"", s->scan->module,
                      where, reason);
    return accel_tx_event_json(s->tx, "device.problem", where, NULL, json, err);
}

/* ---------------------------------------------------------------- tombstones */

/* The uuid that the device, or deployable, had before it vanished, else a new one. *status (may be
 * NULL) is in scratch memory, NULL unless it came back. */
static int revive(struct scanning *s, const char *noun, const char *key, struct accel_uuid *uuid,
                  const char **status, bool *back, struct accel_error *err)
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

/* Deletes a deployable and remembers its uuid. */
static int bury_deployable(struct accel_tx *tx, int64_t id, struct accel_error *err)
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

/* Deletes a device and all that is its own, and remembers the uuids. */
static int bury_device(struct accel_tx *tx, int64_t id, struct accel_error *err)
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

static int diff_facts(struct scanning *s, int64_t device_id, const char *identity, bool *changed,
                      struct accel_error *err)
{
    size_t end;
    const size_t begin = facts_of(s, identity, &end);
    int64_t recorded = 0;
    int rc = ACCEL_OK;

    for (size_t i = begin; i < end && rc == ACCEL_OK; i++) {
        rc = put_fact(s, device_id, s->facts[i].fact, err);
        *changed = *changed || (rc == ACCEL_OK && changed_rows(s));
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
                         : revive(s, "deployable", key, &uuid, NULL, &back, err);

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
    *changed = *changed || added || (rc == ACCEL_OK && changed_rows(s));
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
        return bury_deployable(s->tx, row->id, err);
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

static int diff_deployables(struct scanning *s, int64_t device_id,
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

/* One per device with a PCI function; the text is what Cyborg's agent would report. */
static int diff_controlpath(struct scanning *s, int64_t device_id,
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

/* ---------------------------------------------------------------- devices */

struct device_row {
    int64_t id, priority;
    struct accel_uuid uuid;
    const char *identity, *hostname, *module;
    bool gone;
};

static int read_device_row(sqlite3_stmt *stmt, struct accel_bump *mem, struct device_row *row)
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
#define DEVICE_ROW "id, uuid, identity, hostname, module, priority, gone"

/* id 0: there is none. */
static int find_device(struct scanning *s, const char *identity, struct device_row *row,
                       struct accel_error *err)
{
    sqlite3_stmt *stmt;
    int rc =
        accel_db_query(s->tx->db, &stmt, err,
                       "SELECT " DEVICE_ROW " FROM devices WHERE hostname = ? AND identity = ?",
                       "ss", s->tx->store->hostname, identity);

    *row = (struct device_row){0};
    if (rc == ACCEL_OK && accel_db_row(s->tx->db, stmt, &rc, err)) {
        rc = read_device_row(stmt, &s->scratch, row);
        sqlite3_reset(stmt);
    }
    return rc == ACCEL_E_NOMEM ? accel_store_nomem(err) : rc;
}

static int add_device(struct scanning *s, const struct accel_scan_device *d, struct device_row *row,
                      bool *back, struct accel_error *err)
{
    const char *status = NULL;
    int rc = revive(s, "device", d->identity, &row->uuid, &status, back, err);

    if (rc == ACCEL_OK)
        rc = accel_db_exec(
            s->tx->db, err,
            "INSERT INTO devices (uuid, hostname, identity, type, vendor, model, std_board_info,"
            " vendor_board_info, status, health, health_reason, module, priority, pci_address,"
            " parent, numa_node, iommu_group, runnable, created_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, coalesce(?, 'enabled'), ?, ?, ?, ?, ?, ?, ?, ?, ?, "
            "?)",
            "ssssssssssssissiiis", row->uuid.text, s->tx->store->hostname, d->identity, d->type,
            d->vendor, d->model, d->std_board_info, d->vendor_board_info, status, d->health,
            d->health_reason, s->scan->module, (int64_t)s->scan->priority, d->pci_address,
            d->parent, (int64_t)d->numa_node, (int64_t)d->iommu_group, (int64_t)d->runnable,
            s->tx->now);
    row->id = sqlite3_last_insert_rowid(s->tx->db->handle);
    return rc;
}

/* Writes where the row differs, and where what belongs to it did. */
static int update_device(struct scanning *s, const struct accel_scan_device *d, int64_t id,
                         bool parts_changed, struct accel_error *err)
{
    return accel_db_exec(
        s->tx->db, err,
        "UPDATE devices SET type = ?1, vendor = ?2, model = ?3, std_board_info = ?4,"
        " vendor_board_info = ?5, health = ?6, health_reason = ?7, module = ?8, priority = ?9,"
        " pci_address = ?10, parent = ?11, numa_node = ?12, iommu_group = ?13, runnable = ?14,"
        " gone = 0, version = version + 1, updated_at = ?15"
        " WHERE id = ?16 AND (?17 OR (type, vendor, model, std_board_info, vendor_board_info,"
        " health, health_reason, module, priority, pci_address, parent, numa_node, iommu_group,"
        " runnable, gone) IS NOT (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, 0))",
        "ssssssssissiiisii", d->type, d->vendor, d->model, d->std_board_info, d->vendor_board_info,
        d->health, d->health_reason, s->scan->module, (int64_t)s->scan->priority, d->pci_address,
        d->parent, (int64_t)d->numa_node, (int64_t)d->iommu_group, (int64_t)d->runnable, s->tx->now,
        id, (int64_t)parts_changed);
}

/* A device that this module owns, or takes over from one of lower priority. */
static int put_device(struct scanning *s, const struct accel_scan_device *d, struct device_row *row,
                      struct outcome *outcome, struct accel_error *err)
{
    const bool new = row->id == 0;
    bool parts = false;
    int rc = new ? add_device(s, d, row, &outcome->back, err) : ACCEL_OK;

    outcome->added = new && !outcome->back;
    outcome->back = outcome->back || row->gone;
    if (rc == ACCEL_OK)
        rc = diff_controlpath(s, row->id, d, &parts, err);
    if (rc == ACCEL_OK)
        rc = diff_deployables(s, row->id, d, &parts, err);
    if (rc == ACCEL_OK)
        rc = diff_facts(s, row->id, d->identity, &parts, err);
    if (rc != ACCEL_OK || new)
        return rc;
    rc = update_device(s, d, row->id, parts, err);
    outcome->changed = rc == ACCEL_OK && changed_rows(s);
    return rc;
}

/* Facts about a device that another module owns. */
static int annotate_device(struct scanning *s, const struct device_row *row, bool *changed,
                           struct accel_error *err)
{
    const int rc = diff_facts(s, row->id, row->identity, changed, err);

    if (rc != ACCEL_OK || !*changed)
        return rc;
    return accel_db_exec(s->tx->db, err,
                         "UPDATE devices SET version = version + 1, updated_at = ? WHERE id = ?",
                         "si", s->tx->now, row->id);
}

static int apply_device(struct scanning *s, const struct accel_scan_device *d,
                        struct outcome *outcome, struct accel_error *err)
{
    struct device_row row;
    int rc = find_device(s, d->identity, &row, err);

    *outcome = (struct outcome){0};
    if (rc != ACCEL_OK)
        return rc;
    const bool others = row.id != 0 && strcmp(row.module, s->scan->module) != 0 &&
                        s->scan->priority <= row.priority;
    rc = others ? annotate_device(s, &row, &outcome->changed, err)
                : put_device(s, d, &row, outcome, err);
    if (rc != ACCEL_OK || !(outcome->added || outcome->back || outcome->changed))
        return rc;
    const char *kind = outcome->added  ? "device.added"
                       : outcome->back ? "device.back"
                                       : "device.changed";
    return device_event(s->tx, kind, row.uuid.text, d->identity, s->scan->module, NULL, err);
}

/* ---------------------------------------------------------------- problems */

/* Notes a problem; an event tells of it the first time. */
static int put_problem(struct scanning *s, const char *where, const char *reason,
                       struct accel_error *err)
{
    int rc = accel_db_exec(s->tx->db, err,
                           "INSERT INTO problems (module, place, reason) VALUES (?, ?, ?)"
                           " ON CONFLICT (module, place, reason) DO NOTHING",
                           "sss", s->scan->module, where, reason);

    return rc == ACCEL_OK && changed_rows(s) ? problem_event(s, where, reason, err) : rc;
}

/* Forgets the module's problems that there are no more. */
static int drop_problems(struct scanning *s, const struct accel_scan_problem *now, size_t count,
                         struct accel_error *err)
{
    struct accel_rows rows = {.mem = &s->mem, .element = sizeof(int64_t)};
    sqlite3_stmt *stmt;
    int rc = accel_db_query(s->tx->db, &stmt, err,
                            "SELECT id, place, reason FROM problems WHERE module = ?", "s",
                            s->scan->module);

    if (rc != ACCEL_OK)
        return rc;
    while (accel_db_row(s->tx->db, stmt, &rc, err)) {
        const char *place = (const char *)sqlite3_column_text(stmt, 1);
        const char *reason = (const char *)sqlite3_column_text(stmt, 2);
        size_t i = 0;
        while (i < count &&
               (strcmp(now[i].where, place) != 0 || strcmp(now[i].reason, reason) != 0))
            i++;
        int64_t *id = i == count ? accel_rows_add(&rows) : NULL;
        if (i == count && id == NULL)
            rc = accel_store_nomem(err);
        else if (id != NULL)
            *id = sqlite3_column_int64(stmt, 0);
    }
    for (size_t i = 0; i < rows.count && rc == ACCEL_OK; i++)
        rc = accel_db_exec(s->tx->db, err, "DELETE FROM problems WHERE id = ?", "i",
                           ((int64_t *)rows.items)[i]);
    return rc;
}

/* ---------------------------------------------------------------- passes */

/* One device inside a savepoint: what fails in it is undone, noted, and the scan goes on. */
static int apply_guarded(struct scanning *s, const struct accel_scan_device *d,
                         struct accel_rows *failed, struct accel_error *err)
{
    const int64_t sequence = s->tx->store->sequence;
    struct outcome outcome;
    struct accel_error why;
    int rc = accel_db_exec(s->tx->db, err, "SAVEPOINT device", "");

    if (rc != ACCEL_OK)
        return rc;
    const int done = apply_device(s, d, &outcome, &why);
    accel_bump_free(&s->scratch);
    if (done != ACCEL_OK) {
        if (is_systemic(done))
            return accel_fail(err, (enum accel_code)done, "%s: %s", d->identity, why.msg);
        s->tx->store->sequence = sequence;
        rc = accel_db_exec(s->tx->db, err, "ROLLBACK TO device", "");
    }
    if (rc == ACCEL_OK)
        rc = accel_db_exec(s->tx->db, err, "RELEASE device", "");
    if (rc != ACCEL_OK)
        return rc;
    if (done == ACCEL_OK) {
        s->result->added += outcome.added;
        s->result->back += outcome.back;
        s->result->changed += outcome.changed && !outcome.back;
        s->result->unchanged += !outcome.added && !outcome.back && !outcome.changed;
        return ACCEL_OK;
    }
    struct accel_scan_problem *problem = accel_rows_add(failed);
    if (problem == NULL)
        return accel_store_nomem(err);
    problem->where = d->identity;
    problem->reason = accel_bump_strdup(&s->mem, why.msg);
    return problem->reason == NULL ? accel_store_nomem(err) : ACCEL_OK;
}

static int apply_devices(struct scanning *s, struct accel_error *err)
{
    const struct accel_scan *scan = s->scan;
    struct accel_rows problems = {.mem = &s->mem, .element = sizeof(struct accel_scan_problem)};
    int rc = ACCEL_OK;

    for (size_t i = 0; i < scan->problems_count && rc == ACCEL_OK; i++) {
        struct accel_scan_problem *problem = accel_rows_add(&problems);
        if (problem == NULL)
            rc = accel_store_nomem(err);
        else
            *problem = scan->problems[i];
    }
    for (size_t i = 0; i < scan->devices_count && rc == ACCEL_OK; i++)
        rc = apply_guarded(s, &scan->devices[i], &problems, err);
    const struct accel_scan_problem *all = problems.items;
    for (size_t i = 0; i < problems.count && rc == ACCEL_OK; i++)
        rc = put_problem(s, all[i].where, all[i].reason, err);
    return rc == ACCEL_OK ? drop_problems(s, all, problems.count, err) : rc;
}

/* Devices of the record that are none of the scan's. */
static int read_others(struct scanning *s, const char *sql, const char *parameter,
                       struct accel_rows *rows, struct accel_error *err)
{
    const char *hostname = s->tx->store->hostname;
    sqlite3_stmt *stmt;
    int rc = accel_db_query(s->tx->db, &stmt, err, sql, "s", parameter);

    *rows = (struct accel_rows){.mem = &s->mem, .element = sizeof(struct device_row)};
    if (rc != ACCEL_OK)
        return rc;
    while (accel_db_row(s->tx->db, stmt, &rc, err)) {
        const char *identity = (const char *)sqlite3_column_text(stmt, 2);
        const char *of = (const char *)sqlite3_column_text(stmt, 3);
        if (strcmp(of, hostname) == 0 && is_listed(identity, s->identities, s->scan->devices_count))
            continue;
        struct device_row *row = accel_rows_add(rows);
        rc = row == NULL ? ACCEL_E_NOMEM : read_device_row(stmt, &s->mem, row);
    }
    return rc == ACCEL_E_NOMEM ? accel_store_nomem(err) : rc;
}

static int is_held(struct accel_tx *tx, int64_t device_id, int64_t *held, struct accel_error *err)
{
    return accel_db_integer(tx->db, held, err,
                            "SELECT EXISTS (SELECT 1 FROM leases WHERE device_id = ?1) OR"
                            " EXISTS (SELECT 1 FROM attach_handles h JOIN deployables d"
                            " ON d.id = h.deployable_id"
                            " WHERE d.device_id = ?1 AND h.arq_id IS NOT NULL)",
                            "i", device_id);
}

static int lose_device(struct scanning *s, const struct device_row *row, struct accel_error *err)
{
    int64_t held = 0;
    int rc = is_held(s->tx, row->id, &held, err);

    if (rc != ACCEL_OK || (held && row->gone))
        return rc;
    if (held)
        rc = accel_db_exec(s->tx->db, err,
                           "UPDATE devices SET gone = 1, version = version + 1, updated_at = ?"
                           " WHERE id = ?",
                           "si", s->tx->now, row->id);
    else
        rc = bury_device(s->tx, row->id, err);
    s->result->gone++;
    return rc == ACCEL_OK ? device_event(s->tx, "device.gone", row->uuid.text, row->identity,
                                         row->module, held ? "kept until it is free" : NULL, err)
                          : rc;
}

/* What the module owns and did not find. A device that it found but could not describe is not gone:
 * its problem is named after it. */
static int lose_devices(struct scanning *s, struct accel_error *err)
{
    struct accel_rows rows;
    int rc = read_others(s, "SELECT " DEVICE_ROW " FROM devices WHERE module = ?", s->scan->module,
                         &rows, err);
    const struct device_row *row = rows.items;

    for (size_t i = 0; i < rows.count && rc == ACCEL_OK; i++)
        if (!is_troubled(s, row[i].identity))
            rc = lose_device(s, &row[i], err);
    return rc;
}

/* Facts about devices that the scan only annotates. */
static int annotate_devices(struct scanning *s, struct accel_error *err)
{
    struct accel_rows rows;
    int rc = read_others(s, "SELECT " DEVICE_ROW " FROM devices WHERE hostname = ?",
                         s->tx->store->hostname, &rows, err);
    const struct device_row *row = rows.items;

    for (size_t i = 0; i < rows.count && rc == ACCEL_OK; i++) {
        bool changed = false;
        if (strcmp(row[i].module, s->scan->module) == 0 || is_troubled(s, row[i].identity))
            continue;
        rc = annotate_device(s, &row[i], &changed, err);
        accel_bump_free(&s->scratch);
        if (rc == ACCEL_OK && changed) {
            s->result->changed++;
            rc = device_event(s->tx, "device.changed", row[i].uuid.text, row[i].identity,
                              row[i].module, NULL, err);
        }
    }
    return rc;
}

static int apply_all(struct scanning *s, struct accel_error *err)
{
    int rc = sort_scan(s, err);

    if (rc == ACCEL_OK)
        rc = apply_devices(s, err);
    if (rc == ACCEL_OK)
        rc = lose_devices(s, err);
    if (rc == ACCEL_OK)
        rc = annotate_devices(s, err);
    return rc;
}

int accel_store_apply_scan(struct accel_store *store, const struct accel_scan *scan,
                           struct accel_scan_result *result, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_tx_end) struct accel_tx tx = {0};
    struct scanning s = {.tx = &tx, .scan = scan, .result = result};
    int rc = accel_tx_begin(store, &tx, err);

    *result = (struct accel_scan_result){0};
    if (rc == ACCEL_OK)
        rc = apply_all(&s, err);
    if (rc == ACCEL_OK)
        rc = accel_tx_commit(&tx, err);
    accel_bump_free(&s.scratch);
    accel_bump_free(&s.mem);
    return rc == ACCEL_OK ? rc : accel_fail_in(err, "scan of module %s", scan->module);
}

/* ---------------------------------------------------------------- modules that are no more */

static int read_modules(struct accel_store *store, struct accel_bump *mem, struct accel_rows *rows,
                        struct accel_error *err)
{
    ACCEL_CLEANUP(accel_reader_end) struct accel_reader reader = {0};
    sqlite3_stmt *stmt;
    int rc = accel_reader_begin(store, &reader, err);

    *rows = (struct accel_rows){.mem = mem, .element = sizeof(const char *)};
    if (rc == ACCEL_OK)
        rc = accel_db_query(reader.db, &stmt, err,
                            "SELECT module FROM devices UNION SELECT module FROM facts"
                            " UNION SELECT module FROM problems",
                            "");
    if (rc != ACCEL_OK)
        return rc;
    while (accel_db_row(reader.db, stmt, &rc, err)) {
        const char **module = accel_rows_add(rows);
        if (module == NULL)
            rc = ACCEL_E_NOMEM;
        else
            *module = accel_db_text(stmt, 0, mem, &rc);
    }
    return rc == ACCEL_E_NOMEM ? accel_store_nomem(err) : rc;
}

int accel_store_keep_modules(struct accel_store *store, const char *const *modules, size_t count,
                             struct accel_error *err)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_rows rows;
    int rc = read_modules(store, &mem, &rows, err);

    for (size_t i = 0; i < rows.count && rc == ACCEL_OK; i++) {
        const char *module = ((const char **)rows.items)[i];
        struct accel_scan nothing = {.module = module};
        struct accel_scan_result result;
        size_t j = 0;
        while (j < count && strcmp(modules[j], module) != 0)
            j++;
        if (j == count)
            rc = accel_store_apply_scan(store, &nothing, &result, err);
    }
    return rc;
}

/* ---------------------------------------------------------------- what became free */

static int sweep_devices(struct accel_tx *tx, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_rows rows = {.mem = &mem, .element = sizeof(struct device_row)};
    sqlite3_stmt *stmt;
    int rc = accel_db_query(tx->db, &stmt, err,
                            "SELECT " DEVICE_ROW " FROM devices v WHERE gone = 1"
                            " AND NOT EXISTS (SELECT 1 FROM leases WHERE device_id = v.id)"
                            " AND NOT EXISTS (SELECT 1 FROM attach_handles h JOIN deployables d"
                            " ON d.id = h.deployable_id"
                            " WHERE d.device_id = v.id AND h.arq_id IS NOT NULL)",
                            "");

    if (rc != ACCEL_OK)
        return rc;
    while (accel_db_row(tx->db, stmt, &rc, err)) {
        struct device_row *row = accel_rows_add(&rows);
        rc = row == NULL ? ACCEL_E_NOMEM : read_device_row(stmt, &mem, row);
    }
    const struct device_row *row = rows.items;
    for (size_t i = 0; i < rows.count && rc == ACCEL_OK; i++) {
        rc = bury_device(tx, row[i].id, err);
        if (rc == ACCEL_OK)
            rc = device_event(tx, "device.deleted", row[i].uuid.text, row[i].identity,
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
            rc = bury_deployable(tx, id, err);
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
