/* SPDX-License-Identifier: Apache-2.0 */
/* Calibration and what real inferences took. Inferences are many and small: they are folded in
 * memory and written by a connection of their own, which need not be durable to the last second. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "store/store_internal.h"

#define FOLD_MS 10000

struct fold_row {
    struct accel_uuid model;
    int64_t device_id;
    unsigned threads;
    char shape[ACCEL_RUN_SHAPE];
    int64_t count, predicted;
    double sum_s, sum_squares, min_s, max_s, sum_ratio;
};

struct accel_fold {
    struct fold_row *rows;
    size_t count, capacity;
    int64_t since_ms; /* of the oldest row */
};

int accel_fold_open(struct accel_store *store, struct accel_error *err)
{
    store->fold = accel_calloc(1, sizeof(*store->fold));
    if (store->fold == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for measurements");
    return accel_db_open(store->path, ACCEL_DB_RELAXED, &store->relaxed, err);
}

void accel_fold_close(struct accel_store *store)
{
    if (store->fold == NULL)
        return;
    if (store->relaxed.handle != NULL)
        accel_store_flush_measurements(store, NULL);
    accel_db_close(&store->relaxed);
    accel_free(store->fold->rows);
    accel_freep(&store->fold);
}

/* ---------------------------------------------------------------- inferences */

static int write_row(struct accel_db *db, const struct fold_row *row, struct accel_error *err)
{
    /* A device or a model that was deleted meanwhile takes its measurements with it. */
    const int rc = accel_db_exec(
        db, err,
        "INSERT INTO measurements SELECT ?1, uuid, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11"
        " FROM devices WHERE id = ?2 AND EXISTS (SELECT 1 FROM models WHERE uuid = ?1)"
        " ON CONFLICT (model_uuid, device_uuid, threads, shape) DO UPDATE SET"
        " count = count + excluded.count, sum_s = sum_s + excluded.sum_s,"
        " sum_squares = sum_squares + excluded.sum_squares, min_s = min(min_s, excluded.min_s),"
        " max_s = max(max_s, excluded.max_s), predicted = predicted + excluded.predicted,"
        " sum_ratio = sum_ratio + excluded.sum_ratio",
        "siisiddddid", row->model.text, row->device_id, (int64_t)row->threads, row->shape,
        row->count, row->sum_s, row->sum_squares, row->min_s, row->max_s, row->predicted,
        row->sum_ratio);
    if (rc != ACCEL_OK)
        return rc;
    /* Shapes are the clients' to make up. */
    return accel_db_exec(
        db, err,
        "DELETE FROM measurements WHERE model_uuid = ?1 AND threads = ?3 AND"
        " device_uuid = (SELECT uuid FROM devices WHERE id = ?2) AND shape NOT IN"
        " (SELECT shape FROM measurements WHERE model_uuid = ?1 AND threads = ?3 AND"
        "  device_uuid = (SELECT uuid FROM devices WHERE id = ?2)"
        "  ORDER BY count DESC, shape LIMIT 64)",
        "sii", row->model.text, row->device_id, (int64_t)row->threads);
}

static int flush_locked(struct accel_store *store, struct accel_error *err)
{
    struct accel_fold *fold = store->fold;
    int rc;

    if (fold->count == 0)
        return ACCEL_OK;
    rc = accel_db_exec(&store->relaxed, err, "BEGIN IMMEDIATE", "");
    if (rc != ACCEL_OK)
        return rc;
    for (size_t i = 0; i < fold->count && rc == ACCEL_OK; i++)
        rc = write_row(&store->relaxed, &fold->rows[i], err);
    if (rc == ACCEL_OK)
        rc = accel_db_exec(&store->relaxed, err, "COMMIT", "");
    if (rc != ACCEL_OK)
        sqlite3_exec(store->relaxed.handle, "ROLLBACK", NULL, NULL, NULL);
    else
        fold->count = 0;
    return rc;
}

int accel_store_flush_measurements(struct accel_store *store, struct accel_error *err)
{
    pthread_mutex_lock(&store->fold_mutex);
    const int rc = flush_locked(store, err);
    pthread_mutex_unlock(&store->fold_mutex);
    return rc;
}

static struct fold_row *find_row(struct accel_fold *fold, const struct accel_uuid *model,
                                 int64_t device_id, unsigned threads, const char *shape)
{
    for (size_t i = 0; i < fold->count; i++) {
        struct fold_row *row = &fold->rows[i];
        if (row->device_id == device_id && row->threads == threads &&
            strcmp(row->model.text, model->text) == 0 && strcmp(row->shape, shape) == 0)
            return row;
    }
    return NULL;
}

static int fold_one(struct accel_fold *fold, const struct accel_measurement *m,
                    struct accel_error *err)
{
    struct fold_row *row = find_row(fold, &m->model, m->device_id, m->threads, m->shape);

    if (row == NULL) {
        const int rc =
            accel_grow(&fold->rows, &fold->capacity, fold->count + 1, sizeof(*fold->rows), err);
        if (rc != ACCEL_OK)
            return rc;
        if (fold->count == 0)
            fold->since_ms = accel_now_ms();
        row = &fold->rows[fold->count++];
        *row = (struct fold_row){.model = m->model,
                                 .device_id = m->device_id,
                                 .threads = m->threads,
                                 .min_s = m->run_s,
                                 .max_s = m->run_s};
        snprintf(row->shape, sizeof(row->shape), "%s", m->shape);
    }
    row->count++;
    row->sum_s += m->run_s;
    row->sum_squares += m->run_s * m->run_s;
    row->min_s = ACCEL_MIN(row->min_s, m->run_s);
    row->max_s = ACCEL_MAX(row->max_s, m->run_s);
    if (m->predicted_s > 0) {
        row->predicted++;
        row->sum_ratio += m->run_s / m->predicted_s;
    }
    return ACCEL_OK;
}

int accel_store_add_measurement(struct accel_store *store, const struct accel_measurement *m,
                                struct accel_error *err)
{
    if (!(m->run_s >= 0) || !isfinite(m->run_s))
        return accel_fail(err, ACCEL_E_INVALID, "a run of %g s", m->run_s);
    if (strlen(m->shape) >= ACCEL_RUN_SHAPE)
        return accel_fail(err, ACCEL_E_INVALID, "a shape of %zu bytes", strlen(m->shape));
    pthread_mutex_lock(&store->fold_mutex);
    int rc = fold_one(store->fold, m, err);
    if (rc == ACCEL_OK && accel_now_ms() - store->fold->since_ms >= FOLD_MS) {
        struct accel_error why;
        if (flush_locked(store, &why) != ACCEL_OK) {
            /* Nothing is lost: it stays folded, and the next try is in 10 s. */
            accel_log_warning("measurements not written", "reason=\"%s\"", why.msg);
            store->fold->since_ms = accel_now_ms();
        }
    }
    pthread_mutex_unlock(&store->fold_mutex);
    return rc;
}

static void summarise(const struct fold_row *row, struct accel_measured *measured)
{
    const double n = (double)row->count, mean = row->sum_s / n;

    *measured = (struct accel_measured){
        .count = row->count,
        .mean_s = mean,
        .min_s = row->min_s,
        .max_s = row->max_s,
        /* Rounding may leave a difference of squares a hair below zero. */
        .variance_s2 =
            row->count > 1 ? ACCEL_MAX((row->sum_squares - n * mean * mean) / (n - 1), 0.0) : 0.0,
    };
}

int accel_store_get_measured(struct accel_store *store, const struct accel_uuid *model,
                             int64_t device_id, unsigned threads, const char *shape,
                             struct accel_measured *measured, struct accel_error *err)
{
    struct fold_row total = {.min_s = INFINITY, .max_s = 0};
    sqlite3_stmt *stmt;
    int rc;

    *measured = (struct accel_measured){0};
    pthread_mutex_lock(&store->fold_mutex);
    rc = accel_db_query(&store->relaxed, &stmt, err,
                        "SELECT count, sum_s, sum_squares, min_s, max_s FROM measurements"
                        " WHERE model_uuid = ? AND device_uuid = (SELECT uuid FROM devices"
                        " WHERE id = ?) AND threads = ? AND shape = ?",
                        "siis", model->text, device_id, (int64_t)threads, shape);
    if (rc == ACCEL_OK && accel_db_row(&store->relaxed, stmt, &rc, err)) {
        total.count = sqlite3_column_int64(stmt, 0);
        total.sum_s = sqlite3_column_double(stmt, 1);
        total.sum_squares = sqlite3_column_double(stmt, 2);
        total.min_s = sqlite3_column_double(stmt, 3);
        total.max_s = sqlite3_column_double(stmt, 4);
        sqlite3_reset(stmt);
    }
    const struct fold_row *row = find_row(store->fold, model, device_id, threads, shape);
    if (row != NULL) {
        total.count += row->count;
        total.sum_s += row->sum_s;
        total.sum_squares += row->sum_squares;
        total.min_s = ACCEL_MIN(total.min_s, row->min_s);
        total.max_s = ACCEL_MAX(total.max_s, row->max_s);
    }
    pthread_mutex_unlock(&store->fold_mutex);
    if (rc == ACCEL_OK && total.count > 0)
        summarise(&total, measured);
    return rc;
}

/* ---------------------------------------------------------------- calibration */

/* As they are stored: a name outlives a renumbering. */
static const char *const kind_names[] = {
#define ACCEL_KIND_NAME(name, text) [ACCEL_KIND_##name] = (text),
    ACCEL_KIND_MAP(ACCEL_KIND_NAME)
#undef ACCEL_KIND_NAME
};

static int insert_rate(struct accel_tx *tx, int64_t device_id, const char *driver_version,
                       unsigned threads, const struct accel_rate *rate, struct accel_error *err)
{
    return accel_db_exec(tx->db, err,
                         "INSERT INTO rates (device_uuid, driver_version, threads, kind, precision,"
                         " op, flops, bytes, bytes_written, bytes_weights, items, flops_per_s,"
                         " bytes_per_s, overhead_s, spread, measured_at)"
                         " VALUES ((SELECT uuid FROM devices WHERE id = ?), ?, ?, ?, ?, ?, ?, ?, ?,"
                         " ?, ?, ?, ?, ?, ?, ?)",
                         "isisisddddddddds", device_id, driver_version, (int64_t)threads,
                         kind_names[rate->kind], (int64_t)rate->precision, rate->op, rate->flops,
                         rate->bytes, rate->bytes_written, rate->bytes_weights, rate->items,
                         rate->flops_per_s, rate->bytes_per_s, rate->overhead_s, rate->spread,
                         tx->now);
}

int accel_store_put_rates(struct accel_store *store, int64_t device_id, const char *driver_version,
                          unsigned threads, const struct accel_rate *rates, size_t count,
                          struct accel_error *err)
{
    ACCEL_CLEANUP(accel_tx_end) struct accel_tx tx = {0};
    int64_t exists = 0;
    int rc = accel_tx_begin(store, &tx, err);

    if (rc == ACCEL_OK)
        rc = accel_db_integer(tx.db, &exists, err, "SELECT count(*) FROM devices WHERE id = ?", "i",
                              device_id);
    if (rc == ACCEL_OK && exists == 0)
        return accel_fail(err, ACCEL_E_NOT_FOUND, "there is no device with id %lld",
                          (long long)device_id);
    if (rc == ACCEL_OK)
        rc = accel_db_exec(tx.db, err,
                           "DELETE FROM rates WHERE device_uuid = (SELECT uuid FROM devices"
                           " WHERE id = ?) AND driver_version = ? AND threads = ?",
                           "isi", device_id, driver_version, (int64_t)threads);
    for (size_t i = 0; i < count && rc == ACCEL_OK; i++)
        rc = insert_rate(&tx, device_id, driver_version, threads, &rates[i], err);
    if (rc == ACCEL_OK)
        rc = accel_tx_event(&tx, "device.calibrated", driver_version, NULL, err,
                            "{\"device_id\": %lld, \"threads\": %u, \"points\": %zu}",
                            (long long)device_id, threads, count);
    return rc == ACCEL_OK ? accel_tx_commit(&tx, err) : rc;
}

/* False for a kind this program does not know: a rate of a newer or older one. */
static bool parse_kind(const char *name, enum accel_kind *kind)
{
    for (int k = 0; k < ACCEL_KIND_COUNT; k++)
        if (strcmp(kind_names[k], name) == 0) {
            *kind = (enum accel_kind)k;
            return true;
        }
    return false;
}

int accel_store_get_rates(struct accel_store *store, int64_t device_id, const char *driver_version,
                          struct accel_bump *mem, struct accel_rate **rates, size_t *count,
                          unsigned *threads, const char **measured_at, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_reader_end) struct accel_reader reader = {0};
    struct accel_rows rows = {.mem = mem, .element = sizeof(struct accel_rate)};
    sqlite3_stmt *stmt;
    int rc = accel_reader_begin(store, &reader, err);

    *threads = 0;
    *measured_at = NULL;
    if (rc == ACCEL_OK)
        /* Of several thread counts the one measured last. */
        rc = accel_db_query(reader.db, &stmt, err,
                            "SELECT kind, precision, flops, bytes, flops_per_s, bytes_per_s,"
                            " overhead_s, spread, threads, measured_at, op, bytes_written,"
                            " bytes_weights, items FROM rates"
                            " WHERE device_uuid = (SELECT uuid FROM devices WHERE id = ?1)"
                            " AND driver_version = ?2 AND threads ="
                            " (SELECT threads FROM rates WHERE device_uuid ="
                            "  (SELECT uuid FROM devices WHERE id = ?1)"
                            "  AND driver_version = ?2 ORDER BY id DESC LIMIT 1) ORDER BY id",
                            "is", device_id, driver_version);
    if (rc != ACCEL_OK)
        return rc;
    while (accel_db_row(reader.db, stmt, &rc, err)) {
        enum accel_kind kind;
        if (!parse_kind((const char *)sqlite3_column_text(stmt, 0), &kind))
            continue;
        struct accel_rate *rate = accel_rows_add(&rows);
        if (rate == NULL) {
            rc = ACCEL_E_NOMEM;
            continue;
        }
        *rate = (struct accel_rate){
            .kind = kind,
            .precision = (enum accel_dtype)sqlite3_column_int(stmt, 1),
            .flops = sqlite3_column_double(stmt, 2),
            .bytes = sqlite3_column_double(stmt, 3),
            .flops_per_s = sqlite3_column_double(stmt, 4),
            .bytes_per_s = sqlite3_column_double(stmt, 5),
            .overhead_s = sqlite3_column_double(stmt, 6),
            .spread = sqlite3_column_double(stmt, 7),
            .bytes_written = sqlite3_column_double(stmt, 11),
            .bytes_weights = sqlite3_column_double(stmt, 12),
            .items = sqlite3_column_double(stmt, 13),
        };
        snprintf(rate->op, sizeof(rate->op), "%s", (const char *)sqlite3_column_text(stmt, 10));
        *threads = (unsigned)sqlite3_column_int(stmt, 8);
        *measured_at = accel_db_text(stmt, 9, mem, &rc);
    }
    *rates = rows.items;
    *count = rows.count;
    return rc == ACCEL_E_NOMEM ? accel_store_nomem(err) : rc;
}
