/* SPDX-License-Identifier: Apache-2.0 */
/* Devices, facts, deployables, handles and attributes as they are read; and the operator's word. */
#include <string.h>

#include "store/store_internal.h"

/* ---------------------------------------------------------------- devices */

/* Health is the worse of what the module reports and what the daemon found itself. */
#define OWN_IS_WORSE "(own_health = 'failed' OR (own_health = 'degraded' AND health = 'ok'))"
#define DEVICE_COLUMNS                                                                          \
    "id, uuid, hostname, identity, type, vendor, model, std_board_info, vendor_board_info,"     \
    " status, CASE WHEN " OWN_IS_WORSE " THEN own_health ELSE health END,"                      \
    " CASE WHEN " OWN_IS_WORSE " THEN own_health_reason ELSE health_reason END, gone, module, " \
    "pci_address, parent, numa_node, iommu_group,"                                              \
    " runnable, version, created_at, updated_at"

static int read_device(sqlite3_stmt *stmt, struct accel_bump *mem, struct accel_device *d)
{
    int rc = ACCEL_OK;

    d->id = sqlite3_column_int64(stmt, 0);
    accel_store_uuid(stmt, 1, &d->uuid);
    d->hostname = accel_db_text(stmt, 2, mem, &rc);
    d->identity = accel_db_text(stmt, 3, mem, &rc);
    d->type = accel_db_text(stmt, 4, mem, &rc);
    d->vendor = accel_db_text(stmt, 5, mem, &rc);
    d->model = accel_db_text(stmt, 6, mem, &rc);
    d->std_board_info = accel_db_text(stmt, 7, mem, &rc);
    d->vendor_board_info = accel_db_text(stmt, 8, mem, &rc);
    d->status = accel_db_text(stmt, 9, mem, &rc);
    d->health = accel_db_text(stmt, 10, mem, &rc);
    d->health_reason = accel_db_text(stmt, 11, mem, &rc);
    d->presence = sqlite3_column_int(stmt, 12) != 0 ? ACCEL_GONE : ACCEL_PRESENT;
    d->module = accel_db_text(stmt, 13, mem, &rc);
    d->pci_address = accel_db_text(stmt, 14, mem, &rc);
    d->parent = accel_db_text(stmt, 15, mem, &rc);
    d->numa_node = sqlite3_column_int(stmt, 16);
    d->iommu_group = sqlite3_column_int(stmt, 17);
    d->runnable = sqlite3_column_int(stmt, 18) != 0;
    d->version = sqlite3_column_int64(stmt, 19);
    d->created_at = accel_db_text(stmt, 20, mem, &rc);
    d->updated_at = accel_db_text(stmt, 21, mem, &rc);
    return rc;
}

#define DEVICE_FILTER                                                                \
    " AND (?2 IS NULL OR type = ?2) AND (?3 IS NULL OR vendor = ?3)"                 \
    " AND (?4 IS NULL OR hostname = ?4) AND (?5 IS NULL OR identity = ?5)"           \
    " AND (?6 IS NULL OR module = ?6) AND (?7 = 0 OR type NOT IN ('CPU', 'OPENCL'))" \
    " AND (?8 = 0 OR gone = 0)"

int accel_store_list_devices(struct accel_store *store, const struct accel_device_filter *filter,
                             const struct accel_page *page, struct accel_bump *mem,
                             struct accel_device **devices, size_t *count, struct accel_error *err)
{
    static const struct accel_device_filter all = {0};
    const struct accel_device_filter *f = filter != NULL ? filter : &all;
    ACCEL_CLEANUP(accel_reader_end) struct accel_reader reader = {0};
    struct accel_rows rows = {.mem = mem, .element = sizeof(struct accel_device)};
    int64_t start = 0;
    sqlite3_stmt *stmt;
    int rc = accel_reader_begin(store, &reader, err);

    if (rc == ACCEL_OK)
        rc =
            accel_page_start(reader.db, page, "SELECT id FROM devices WHERE uuid = ?", &start, err);
    if (rc == ACCEL_OK)
        rc = accel_db_query(
            reader.db, &stmt, err,
            ACCEL_PAGED(page, "SELECT " DEVICE_COLUMNS " FROM devices", "id", DEVICE_FILTER, "?9"),
            "isssssiii", start, f->type, f->vendor, f->hostname, f->identity, f->module,
            (int64_t)f->leave_out_host_side, (int64_t)f->leave_out_gone, accel_page_limit(page));
    if (rc != ACCEL_OK)
        return rc;
    while (accel_db_row(reader.db, stmt, &rc, err)) {
        struct accel_device *device = accel_rows_add(&rows);
        rc = device != NULL ? read_device(stmt, mem, device) : ACCEL_E_NOMEM;
    }
    *devices = rows.items;
    *count = rows.count;
    return rc == ACCEL_E_NOMEM ? accel_store_nomem(err) : rc;
}

static int one_device(struct accel_db *db, sqlite3_stmt *stmt, struct accel_bump *mem,
                      struct accel_device *device, struct accel_error *err)
{
    int rc = ACCEL_OK;

    if (!accel_db_row(db, stmt, &rc, err))
        return rc != ACCEL_OK ? rc : ACCEL_E_NOT_FOUND;
    rc = read_device(stmt, mem, device);
    sqlite3_reset(stmt);
    return rc == ACCEL_OK ? ACCEL_OK : accel_store_nomem(err);
}

int accel_store_get_device(struct accel_store *store, const struct accel_uuid *uuid,
                           struct accel_bump *mem, struct accel_device *device,
                           struct accel_error *err)
{
    ACCEL_CLEANUP(accel_reader_end) struct accel_reader reader = {0};
    sqlite3_stmt *stmt;
    int rc = accel_reader_begin(store, &reader, err);

    if (rc == ACCEL_OK)
        rc = accel_db_query(reader.db, &stmt, err,
                            "SELECT " DEVICE_COLUMNS " FROM devices WHERE uuid = ?", "s",
                            uuid->text);
    if (rc == ACCEL_OK)
        rc = one_device(reader.db, stmt, mem, device, err);
    return rc == ACCEL_E_NOT_FOUND
               ? accel_fail(err, rc, "Device not found with uuid=%s", uuid->text)
               : rc;
}

int accel_store_get_device_by_id(struct accel_store *store, int64_t id, struct accel_bump *mem,
                                 struct accel_device *device, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_reader_end) struct accel_reader reader = {0};
    sqlite3_stmt *stmt;
    int rc = accel_reader_begin(store, &reader, err);

    if (rc == ACCEL_OK)
        rc = accel_db_query(reader.db, &stmt, err,
                            "SELECT " DEVICE_COLUMNS " FROM devices WHERE id = ?", "i", id);
    if (rc == ACCEL_OK)
        rc = one_device(reader.db, stmt, mem, device, err);
    return rc == ACCEL_E_NOT_FOUND
               ? accel_fail(err, rc, "there is no device with id %lld", (long long)id)
               : rc;
}

int accel_store_list_facts(struct accel_store *store, int64_t device_id, struct accel_bump *mem,
                           struct accel_fact **facts, size_t *count, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_reader_end) struct accel_reader reader = {0};
    struct accel_rows rows = {.mem = mem, .element = sizeof(struct accel_fact)};
    sqlite3_stmt *stmt;
    int rc = accel_reader_begin(store, &reader, err);

    if (rc == ACCEL_OK)
        rc = accel_db_query(reader.db, &stmt, err,
                            "SELECT name, number, text, basis, module FROM facts"
                            " WHERE device_id = ? ORDER BY name, basis DESC, module",
                            "i", device_id);
    if (rc != ACCEL_OK)
        return rc;
    while (accel_db_row(reader.db, stmt, &rc, err)) {
        struct accel_fact *fact = accel_rows_add(&rows);
        if (fact == NULL) {
            rc = ACCEL_E_NOMEM;
            continue;
        }
        fact->name = accel_db_text(stmt, 0, mem, &rc);
        fact->number = sqlite3_column_double(stmt, 1);
        fact->text = accel_db_text(stmt, 2, mem, &rc);
        fact->is_text = fact->text != NULL;
        fact->basis = (enum accel_basis)sqlite3_column_int(stmt, 3);
        fact->module = accel_db_text(stmt, 4, mem, &rc);
    }
    *facts = rows.items;
    *count = rows.count;
    return rc == ACCEL_E_NOMEM ? accel_store_nomem(err) : rc;
}

int accel_store_set_device_status(struct accel_store *store, const struct accel_uuid *uuid,
                                  const char *status, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_tx_end) struct accel_tx tx = {0};
    int64_t exists = 0;
    int rc = accel_tx_begin(store, &tx, err);

    if (rc == ACCEL_OK)
        rc = accel_db_integer(tx.db, &exists, err, "SELECT count(*) FROM devices WHERE uuid = ?",
                              "s", uuid->text);
    if (rc == ACCEL_OK && exists == 0)
        return accel_fail(err, ACCEL_E_NOT_FOUND, "Device not found with uuid=%s", uuid->text);
    if (rc == ACCEL_OK)
        rc = accel_db_exec(tx.db, err,
                           "UPDATE devices SET status = ?1, updated_at = ?2, version = version + 1"
                           " WHERE uuid = ?3 AND status <> ?1",
                           "sss", status, tx.now, uuid->text);
    if (rc == ACCEL_OK && sqlite3_changes(tx.db->handle) > 0)
        rc = accel_tx_event(&tx, "device.changed", uuid->text, NULL, err, "{\"status\": \"%s\"}",
                            status);
    return rc == ACCEL_OK ? accel_tx_commit(&tx, err) : rc;
}

int accel_store_set_device_health(struct accel_store *store, const char *identity,
                                  const char *health, const char *reason, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_tx_end) struct accel_tx tx = {0};
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_device device;
    sqlite3_stmt *stmt;
    int rc = accel_tx_begin(store, &tx, err);

    if (rc == ACCEL_OK)
        rc = accel_db_query(tx.db, &stmt, err,
                            "SELECT " DEVICE_COLUMNS " FROM devices WHERE hostname = ?"
                            " AND identity = ?",
                            "ss", store->hostname, identity);
    if (rc == ACCEL_OK)
        rc = one_device(tx.db, stmt, &mem, &device, err);
    if (rc == ACCEL_E_NOT_FOUND)
        return accel_fail(err, rc, "there is no device %s", identity);
    if (rc == ACCEL_OK)
        rc = accel_db_exec(tx.db, err,
                           "UPDATE devices SET own_health = ?1, own_health_reason = ?2,"
                           " updated_at = ?3, version = version + 1 WHERE id = ?4"
                           " AND (own_health <> ?1 OR own_health_reason IS NOT ?2)",
                           "sssi", health, reason, tx.now, device.id);
    if (rc == ACCEL_OK && sqlite3_changes(tx.db->handle) > 0)
        rc = accel_tx_event(&tx, "device.changed", device.uuid.text, NULL, err,
                            "{\"health\": \"%s\"}", health);
    return rc == ACCEL_OK ? accel_tx_commit(&tx, err) : rc;
}

/* ---------------------------------------------------------------- deployables */

/* attributes_list: the resource class first, then the traits and the rest in order of their rows.
 */
#define DEPLOYABLE_COLUMNS                                                                         \
    "p.id, p.uuid, p.device_id, d.uuid, p.name, p.num_accelerators,"                               \
    " (SELECT count(*) FROM attach_handles h WHERE h.deployable_id = p.id"                         \
    "  AND h.arq_id IS NOT NULL),"                                                                 \
    " p.resource_class, p.rp_uuid, p.driver_name, p.bitstream_id,"                                 \
    " (SELECT json_group_array(json_object(key, value)) FROM (SELECT key, value FROM attributes a" \
    "  WHERE a.deployable_id = p.id ORDER BY position, id)),"                                      \
    " p.version, p.created_at, p.updated_at"

static int read_deployable(sqlite3_stmt *stmt, struct accel_bump *mem, struct accel_deployable *p)
{
    int rc = ACCEL_OK;

    p->id = sqlite3_column_int64(stmt, 0);
    accel_store_uuid(stmt, 1, &p->uuid);
    p->device_id = sqlite3_column_int64(stmt, 2);
    accel_store_uuid(stmt, 3, &p->device_uuid);
    p->name = accel_db_text(stmt, 4, mem, &rc);
    p->num_accelerators = (uint32_t)sqlite3_column_int64(stmt, 5);
    p->in_use = (uint32_t)sqlite3_column_int64(stmt, 6);
    p->resource_class = accel_db_text(stmt, 7, mem, &rc);
    accel_store_uuid(stmt, 8, &p->rp_uuid);
    p->driver_name = accel_db_text(stmt, 9, mem, &rc);
    p->bitstream_id = accel_db_text(stmt, 10, mem, &rc);
    p->attributes_list = accel_db_text(stmt, 11, mem, &rc);
    p->version = sqlite3_column_int64(stmt, 12);
    p->created_at = accel_db_text(stmt, 13, mem, &rc);
    p->updated_at = accel_db_text(stmt, 14, mem, &rc);
    return rc;
}

#define DEPLOYABLE_FILTER                                              \
    " AND (?2 IS NULL OR p.name = ?2) AND (?3 IS NULL OR d.uuid = ?3)" \
    " AND (?4 IS NULL OR p.rp_uuid = ?4) AND (?5 = 0 OR d.type NOT IN ('CPU', 'OPENCL'))"

int accel_store_list_deployables(struct accel_store *store,
                                 const struct accel_deployable_filter *filter,
                                 const struct accel_page *page, struct accel_bump *mem,
                                 struct accel_deployable **deployables, size_t *count,
                                 struct accel_error *err)
{
    static const struct accel_deployable_filter all = {0};
    const struct accel_deployable_filter *f = filter != NULL ? filter : &all;
    ACCEL_CLEANUP(accel_reader_end) struct accel_reader reader = {0};
    struct accel_rows rows = {.mem = mem, .element = sizeof(struct accel_deployable)};
    int64_t start = 0;
    sqlite3_stmt *stmt;
    int rc = accel_reader_begin(store, &reader, err);

    if (rc == ACCEL_OK)
        rc = accel_page_start(reader.db, page, "SELECT id FROM deployables WHERE uuid = ?", &start,
                              err);
    if (rc == ACCEL_OK)
        rc = accel_db_query(reader.db, &stmt, err,
                            ACCEL_PAGED(page,
                                        "SELECT " DEPLOYABLE_COLUMNS " FROM deployables p"
                                        " JOIN devices d ON d.id = p.device_id",
                                        "p.id", DEPLOYABLE_FILTER, "?6"),
                            "isssii", start, f->name, f->device != NULL ? f->device->text : NULL,
                            f->rp != NULL ? f->rp->text : NULL, (int64_t)f->leave_out_host_side,
                            accel_page_limit(page));
    if (rc != ACCEL_OK)
        return rc;
    while (accel_db_row(reader.db, stmt, &rc, err)) {
        struct accel_deployable *deployable = accel_rows_add(&rows);
        rc = deployable != NULL ? read_deployable(stmt, mem, deployable) : ACCEL_E_NOMEM;
    }
    *deployables = rows.items;
    *count = rows.count;
    return rc == ACCEL_E_NOMEM ? accel_store_nomem(err) : rc;
}

int accel_store_get_deployable(struct accel_store *store, const struct accel_uuid *uuid,
                               struct accel_bump *mem, struct accel_deployable *deployable,
                               struct accel_error *err)
{
    ACCEL_CLEANUP(accel_reader_end) struct accel_reader reader = {0};
    sqlite3_stmt *stmt;
    int rc = accel_reader_begin(store, &reader, err);

    if (rc == ACCEL_OK)
        rc = accel_db_query(reader.db, &stmt, err,
                            "SELECT " DEPLOYABLE_COLUMNS " FROM deployables p"
                            " JOIN devices d ON d.id = p.device_id WHERE p.uuid = ?",
                            "s", uuid->text);
    if (rc != ACCEL_OK)
        return rc;
    if (!accel_db_row(reader.db, stmt, &rc, err))
        return rc != ACCEL_OK ? rc
                              : accel_fail(err, ACCEL_E_NOT_FOUND,
                                           "Deployable not found with uuid=%s", uuid->text);
    rc = read_deployable(stmt, mem, deployable);
    sqlite3_reset(stmt);
    return rc == ACCEL_OK ? ACCEL_OK : accel_store_nomem(err);
}

int accel_store_list_handles(struct accel_store *store, int64_t deployable_id,
                             struct accel_bump *mem, struct accel_attach_handle **handles,
                             size_t *count, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_reader_end) struct accel_reader reader = {0};
    struct accel_rows rows = {.mem = mem, .element = sizeof(struct accel_attach_handle)};
    sqlite3_stmt *stmt;
    int rc = accel_reader_begin(store, &reader, err);

    if (rc == ACCEL_OK)
        rc = accel_db_query(reader.db, &stmt, err,
                            "SELECT h.id, h.uuid, h.deployable_id, q.uuid, attach_type, attach_info"
                            " FROM attach_handles h LEFT JOIN arqs q ON q.id = h.arq_id"
                            " WHERE h.deployable_id = ? ORDER BY h.id",
                            "i", deployable_id);
    if (rc != ACCEL_OK)
        return rc;
    while (accel_db_row(reader.db, stmt, &rc, err)) {
        struct accel_attach_handle *handle = accel_rows_add(&rows);
        if (handle == NULL) {
            rc = ACCEL_E_NOMEM;
            continue;
        }
        handle->id = sqlite3_column_int64(stmt, 0);
        accel_store_uuid(stmt, 1, &handle->uuid);
        handle->deployable_id = sqlite3_column_int64(stmt, 2);
        accel_store_uuid(stmt, 3, &handle->arq_uuid);
        handle->attach_type = accel_db_text(stmt, 4, mem, &rc);
        handle->attach_info = accel_db_text(stmt, 5, mem, &rc);
    }
    *handles = rows.items;
    *count = rows.count;
    return rc == ACCEL_E_NOMEM ? accel_store_nomem(err) : rc;
}

/* ---------------------------------------------------------------- attributes */

#define ATTRIBUTE_COLUMNS "id, uuid, deployable_id, key, value, origin, created_at, updated_at"

static int read_attribute(sqlite3_stmt *stmt, struct accel_bump *mem, struct accel_attribute *a)
{
    int rc = ACCEL_OK;

    a->id = sqlite3_column_int64(stmt, 0);
    accel_store_uuid(stmt, 1, &a->uuid);
    a->deployable_id = sqlite3_column_int64(stmt, 2);
    a->key = accel_db_text(stmt, 3, mem, &rc);
    a->value = accel_db_text(stmt, 4, mem, &rc);
    a->origin = accel_db_text(stmt, 5, mem, &rc);
    a->created_at = accel_db_text(stmt, 6, mem, &rc);
    a->updated_at = accel_db_text(stmt, 7, mem, &rc);
    return rc;
}

static int get_attribute(struct accel_db *db, const struct accel_uuid *uuid, struct accel_bump *mem,
                         struct accel_attribute *attribute, struct accel_error *err)
{
    sqlite3_stmt *stmt;
    int rc = accel_db_query(db, &stmt, err,
                            "SELECT " ATTRIBUTE_COLUMNS " FROM attributes WHERE uuid = ?", "s",
                            uuid->text);

    if (rc != ACCEL_OK)
        return rc;
    if (!accel_db_row(db, stmt, &rc, err))
        return rc != ACCEL_OK ? rc
                              : accel_fail(err, ACCEL_E_NOT_FOUND,
                                           "Attribute not found with uuid=%s", uuid->text);
    rc = read_attribute(stmt, mem, attribute);
    sqlite3_reset(stmt);
    return rc == ACCEL_OK ? ACCEL_OK : accel_store_nomem(err);
}

int accel_store_list_attributes(struct accel_store *store,
                                const struct accel_attribute_filter *filter,
                                const struct accel_page *page, struct accel_bump *mem,
                                struct accel_attribute **attributes, size_t *count,
                                struct accel_error *err)
{
    static const struct accel_attribute_filter all = {0};
    const struct accel_attribute_filter *f = filter != NULL ? filter : &all;
    ACCEL_CLEANUP(accel_reader_end) struct accel_reader reader = {0};
    struct accel_rows rows = {.mem = mem, .element = sizeof(struct accel_attribute)};
    int64_t start = 0;
    sqlite3_stmt *stmt;
    int rc = accel_reader_begin(store, &reader, err);

    if (rc == ACCEL_OK)
        rc = accel_page_start(reader.db, page, "SELECT id FROM attributes WHERE uuid = ?", &start,
                              err);
    if (rc == ACCEL_OK)
        rc = accel_db_query(reader.db, &stmt, err,
                            ACCEL_PAGED(page, "SELECT " ATTRIBUTE_COLUMNS " FROM attributes", "id",
                                        " AND (?2 = 0 OR deployable_id = ?2)"
                                        " AND (?3 IS NULL OR key = ?3)",
                                        "?4"),
                            "iisi", start, f->deployable_id, f->key, accel_page_limit(page));
    if (rc != ACCEL_OK)
        return rc;
    while (accel_db_row(reader.db, stmt, &rc, err)) {
        struct accel_attribute *attribute = accel_rows_add(&rows);
        rc = attribute != NULL ? read_attribute(stmt, mem, attribute) : ACCEL_E_NOMEM;
    }
    *attributes = rows.items;
    *count = rows.count;
    return rc == ACCEL_E_NOMEM ? accel_store_nomem(err) : rc;
}

int accel_store_get_attribute(struct accel_store *store, const struct accel_uuid *uuid,
                              struct accel_bump *mem, struct accel_attribute *attribute,
                              struct accel_error *err)
{
    ACCEL_CLEANUP(accel_reader_end) struct accel_reader reader = {0};
    int rc = accel_reader_begin(store, &reader, err);

    return rc == ACCEL_OK ? get_attribute(reader.db, uuid, mem, attribute, err) : rc;
}

/* An attribute is part of its deployable's representation. */
static int touch_deployable(struct accel_tx *tx, int64_t id, struct accel_error *err)
{
    return accel_db_exec(
        tx->db, err, "UPDATE deployables SET version = version + 1, updated_at = ? WHERE id = ?",
        "si", tx->now, id);
}

int accel_store_add_attribute(struct accel_store *store, int64_t deployable_id, const char *key,
                              const char *value, struct accel_bump *mem,
                              struct accel_attribute *attribute, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_tx_end) struct accel_tx tx = {0};
    struct accel_uuid uuid;
    int64_t exists = 0;
    int rc = accel_uuid_new(&uuid, err);

    if (rc == ACCEL_OK)
        rc = accel_tx_begin(store, &tx, err);
    if (rc == ACCEL_OK)
        rc = accel_db_integer(tx.db, &exists, err, "SELECT count(*) FROM deployables WHERE id = ?",
                              "i", deployable_id);
    if (rc == ACCEL_OK && exists == 0)
        return accel_fail(err, ACCEL_E_NOT_FOUND, "deployable_id: there is no deployable %lld",
                          (long long)deployable_id);
    if (rc == ACCEL_OK)
        rc = accel_db_exec(tx.db, err,
                           "INSERT INTO attributes (uuid, deployable_id, key, value, origin,"
                           " position, created_at) VALUES (?, ?, ?, ?, 'api', ?, ?)",
                           "sissis", uuid.text, deployable_id, key, value,
                           (int64_t)ACCEL_API_POSITION, tx.now);
    if (rc == ACCEL_OK)
        rc = touch_deployable(&tx, deployable_id, err);
    if (rc == ACCEL_OK)
        rc = accel_tx_event(&tx, "attribute.added", uuid.text, NULL, err,
                            "{\"deployable_id\": %lld}", (long long)deployable_id);
    if (rc == ACCEL_OK)
        rc = get_attribute(tx.db, &uuid, mem, attribute, err);
    return rc == ACCEL_OK ? accel_tx_commit(&tx, err) : rc;
}

int accel_store_delete_attribute(struct accel_store *store, const struct accel_uuid *uuid,
                                 struct accel_error *err)
{
    ACCEL_CLEANUP(accel_tx_end) struct accel_tx tx = {0};
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_attribute attribute;
    int rc = accel_tx_begin(store, &tx, err);

    if (rc == ACCEL_OK)
        rc = get_attribute(tx.db, uuid, &mem, &attribute, err);
    if (rc == ACCEL_OK)
        rc = accel_db_exec(tx.db, err, "DELETE FROM attributes WHERE uuid = ?", "s", uuid->text);
    if (rc == ACCEL_OK)
        rc = touch_deployable(&tx, attribute.deployable_id, err);
    if (rc == ACCEL_OK)
        rc = accel_tx_event(&tx, "attribute.deleted", uuid->text, NULL, err,
                            "{\"deployable_id\": %lld}", (long long)attribute.deployable_id);
    return rc == ACCEL_OK ? accel_tx_commit(&tx, err) : rc;
}
