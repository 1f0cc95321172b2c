/* SPDX-License-Identifier: Apache-2.0 */
/* What a module found against what is recorded: the record is made to agree. Every statement here
 * writes only where something differs, so that a scan of an unchanged node writes nothing. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "store/store_scan_internal.h"

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

bool accel_scan_wrote(const struct scanning *s)
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

size_t accel_scan_facts(const struct scanning *s, const char *identity, size_t *end)
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

/* ---------------------------------------------------------------- devices */

/* id 0: there is none. */
static int find_device(struct scanning *s, const char *identity, struct accel_device_row *row,
                       struct accel_error *err)
{
    sqlite3_stmt *stmt;
    int rc = accel_db_query(s->tx->db, &stmt, err,
                            "SELECT " ACCEL_DEVICE_ROW
                            " FROM devices WHERE hostname = ? AND identity = ?",
                            "ss", s->tx->store->hostname, identity);

    *row = (struct accel_device_row){0};
    if (rc == ACCEL_OK && accel_db_row(s->tx->db, stmt, &rc, err)) {
        rc = accel_store_device_row(stmt, &s->scratch, row);
        sqlite3_reset(stmt);
    }
    return rc == ACCEL_E_NOMEM ? accel_store_nomem(err) : rc;
}

static int add_device(struct scanning *s, const struct accel_scan_device *d,
                      struct accel_device_row *row, bool *back, struct accel_error *err)
{
    const char *status = NULL;
    int rc = accel_scan_revive(s, "device", d->identity, &row->uuid, &status, back, err);

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
static int put_device(struct scanning *s, const struct accel_scan_device *d,
                      struct accel_device_row *row, struct outcome *outcome,
                      struct accel_error *err)
{
    const bool new = row->id == 0;
    bool parts = false;
    int rc = new ? add_device(s, d, row, &outcome->back, err) : ACCEL_OK;

    outcome->added = new && !outcome->back;
    outcome->back = outcome->back || row->gone;
    if (rc == ACCEL_OK)
        rc = accel_scan_diff_controlpath(s, row->id, d, &parts, err);
    if (rc == ACCEL_OK)
        rc = accel_scan_diff_deployables(s, row->id, d, &parts, err);
    if (rc == ACCEL_OK)
        rc = accel_scan_diff_facts(s, row->id, d->identity, &parts, err);
    if (rc != ACCEL_OK || new)
        return rc;
    rc = update_device(s, d, row->id, parts, err);
    outcome->changed = rc == ACCEL_OK && accel_scan_wrote(s);
    return rc;
}

/* Facts about a device that another module owns. */
static int annotate_device(struct scanning *s, const struct accel_device_row *row, bool *changed,
                           struct accel_error *err)
{
    const int rc = accel_scan_diff_facts(s, row->id, row->identity, changed, err);

    if (rc != ACCEL_OK || !*changed)
        return rc;
    return accel_db_exec(s->tx->db, err,
                         "UPDATE devices SET version = version + 1, updated_at = ? WHERE id = ?",
                         "si", s->tx->now, row->id);
}

static int apply_device(struct scanning *s, const struct accel_scan_device *d,
                        struct outcome *outcome, struct accel_error *err)
{
    struct accel_device_row row;
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
    return accel_store_device_event(s->tx, kind, row.uuid.text, d->identity, s->scan->module, NULL,
                                    err);
}

/* ---------------------------------------------------------------- problems */

static int problem_event(struct scanning *s, const char *where, const char *reason,
                         struct accel_error *err)
{
    json_t *json =
        json_pack("{s:s, s:s, s:s}", "module", s->scan->module, "where", where, "reason", reason);

    accel_log_warning("device not usable", "module=%s where=\"%s\" reason=\"%s\"", s->scan->module,
                      where, reason);
    return accel_tx_event_json(s->tx, "device.problem", where, NULL, json, err);
}

/* Notes a problem; an event tells of it the first time. */
static int put_problem(struct scanning *s, const char *where, const char *reason,
                       struct accel_error *err)
{
    int rc = accel_db_exec(s->tx->db, err,
                           "INSERT INTO problems (module, place, reason) VALUES (?, ?, ?)"
                           " ON CONFLICT (module, place, reason) DO NOTHING",
                           "sss", s->scan->module, where, reason);

    return rc == ACCEL_OK && accel_scan_wrote(s) ? problem_event(s, where, reason, err) : rc;
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

    *rows = (struct accel_rows){.mem = &s->mem, .element = sizeof(struct accel_device_row)};
    if (rc != ACCEL_OK)
        return rc;
    while (accel_db_row(s->tx->db, stmt, &rc, err)) {
        const char *identity = (const char *)sqlite3_column_text(stmt, 2);
        const char *of = (const char *)sqlite3_column_text(stmt, 3);
        if (strcmp(of, hostname) == 0 && is_listed(identity, s->identities, s->scan->devices_count))
            continue;
        struct accel_device_row *row = accel_rows_add(rows);
        rc = row == NULL ? ACCEL_E_NOMEM : accel_store_device_row(stmt, &s->mem, row);
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

static int lose_device(struct scanning *s, const struct accel_device_row *row,
                       struct accel_error *err)
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
        rc = accel_store_bury_device(s->tx, row->id, err);
    s->result->gone++;
    return rc == ACCEL_OK
               ? accel_store_device_event(s->tx, "device.gone", row->uuid.text, row->identity,
                                          row->module, held ? "kept until it is free" : NULL, err)
               : rc;
}

/* What the module owns and did not find. A device that it found but could not describe is not gone:
 * its problem is named after it. */
static int lose_devices(struct scanning *s, struct accel_error *err)
{
    struct accel_rows rows;
    int rc = read_others(s, "SELECT " ACCEL_DEVICE_ROW " FROM devices WHERE module = ?",
                         s->scan->module, &rows, err);
    const struct accel_device_row *row = rows.items;

    for (size_t i = 0; i < rows.count && rc == ACCEL_OK; i++)
        if (!is_troubled(s, row[i].identity))
            rc = lose_device(s, &row[i], err);
    return rc;
}

/* Facts about devices that the scan only annotates. */
static int annotate_devices(struct scanning *s, struct accel_error *err)
{
    struct accel_rows rows;
    int rc = read_others(s, "SELECT " ACCEL_DEVICE_ROW " FROM devices WHERE hostname = ?",
                         s->tx->store->hostname, &rows, err);
    const struct accel_device_row *row = rows.items;

    for (size_t i = 0; i < rows.count && rc == ACCEL_OK; i++) {
        bool changed = false;
        if (strcmp(row[i].module, s->scan->module) == 0 || is_troubled(s, row[i].identity))
            continue;
        rc = annotate_device(s, &row[i], &changed, err);
        accel_bump_free(&s->scratch);
        if (rc == ACCEL_OK && changed) {
            s->result->changed++;
            rc = accel_store_device_event(s->tx, "device.changed", row[i].uuid.text,
                                          row[i].identity, row[i].module, NULL, err);
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
