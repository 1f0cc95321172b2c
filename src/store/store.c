/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "migrations.h"
#include "store/migrate.h"

/* ---------------------------------------------------------------- opening */

static int check(struct accel_store *store, struct accel_error *err)
{
    sqlite3_stmt *stmt;
    int rc = accel_db_query(&store->writer, &stmt, err, "PRAGMA quick_check(1)", "");

    if (rc != ACCEL_OK)
        return rc;
    if (accel_db_row(&store->writer, stmt, &rc, err) &&
        strcmp((const char *)sqlite3_column_text(stmt, 0), "ok") != 0)
        rc = accel_fail(err, ACCEL_E_CORRUPT,
                        "%s is damaged (%s): stop acceld and put a backup in its place",
                        store->path, (const char *)sqlite3_column_text(stmt, 0));
    sqlite3_reset(stmt);
    return rc;
}

/* One daemon at a time: a second one would settle the first one's intents under its feet. A file of
 * its own, as closing any descriptor of the database would drop SQLite's locks. */
int accel_store_lock(const char *database, int *fd, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_freep) char *path = accel_asprintf("%s.lock", database);

    if (path == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for the store");
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*fd < 0)
        return accel_fail_errno(err, errno, "open %s", path);
    if (flock(*fd, LOCK_EX | LOCK_NB) == 0)
        return ACCEL_OK;
    return errno == EWOULDBLOCK ? accel_fail(err, ACCEL_E_BUSY,
                                             "another acceld has this database open; stop it, or "
                                             "choose another node.state_dir")
                                : accel_fail_errno(err, errno, "lock %s", path);
}

/* True when the last daemon ended without closing: a clean end leaves no -wal behind. Asked before
 * the database is opened. */
static bool ended_badly(const char *path)
{
    ACCEL_CLEANUP(accel_freep) char *wal = accel_asprintf("%s-wal", path);
    struct stat about;

    return wal == NULL || (stat(wal, &about) == 0 && about.st_size > 0);
}

/* Reading 64 MB takes a fraction of a second; a larger record is checked by its operator. */
#define CHECK_MAX_BYTES (64 * 1024 * 1024)

static bool is_small(const char *path)
{
    struct stat about;

    return stat(path, &about) == 0 && about.st_size <= CHECK_MAX_BYTES;
}

int accel_store_schema(void)
{
    return migrations[ACCEL_COUNT(migrations) - 1].number;
}

/* Devices recorded under another name of this node are gone with their module's next scan. */
static int note_hostname(struct accel_tx *tx, struct accel_error *err)
{
    int64_t renamed = 0;
    int rc = accel_db_integer(tx->db, &renamed, err,
                              "SELECT value <> ? FROM meta WHERE key = 'hostname'", "s",
                              tx->store->hostname);

    if (rc == ACCEL_OK && renamed)
        accel_log_warning("the node has another name than before", "hostname=%s",
                          tx->store->hostname);
    return rc == ACCEL_OK
               ? accel_db_exec(tx->db, err,
                               "INSERT INTO meta (key, value) VALUES ('hostname', ?) ON CONFLICT"
                               " (key) DO UPDATE SET value = excluded.value"
                               " WHERE value <> excluded.value",
                               "s", tx->store->hostname)
               : rc;
}

/* What the daemon before this one left: leases of workers that ended with it, and what only they
 * held. */
static int tidy(struct accel_store *store, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_tx_end) struct accel_tx tx = {0};
    int rc = accel_tx_begin(store, &tx, err);

    if (rc == ACCEL_OK)
        rc = note_hostname(&tx, err);
    if (rc == ACCEL_OK)
        rc = accel_db_exec(tx.db, err, "DELETE FROM leases", "");
    if (rc == ACCEL_OK)
        rc = accel_tx_sweep_gone(&tx, err);
    return rc == ACCEL_OK ? accel_tx_commit(&tx, err) : rc;
}

static int open_all(struct accel_store *store, struct accel_error *err)
{
    int rc = accel_store_lock(store->path, &store->lock_fd, err);
    const bool suspect = rc == ACCEL_OK && ended_badly(store->path);

    if (rc == ACCEL_OK)
        rc = accel_db_open(store->path, ACCEL_DB_WRITER, &store->writer, err);

    if (rc == ACCEL_OK && suspect && is_small(store->path))
        rc = check(store, err);
    if (rc == ACCEL_OK)
        rc =
            accel_db_migrate(&store->writer, store->path, migrations, ACCEL_COUNT(migrations), err);
    /* Of any node: a sequence is not used again when the hostname changes. */
    if (rc == ACCEL_OK)
        rc = accel_db_integer(&store->writer, &store->sequence, err,
                              "SELECT coalesce(max(sequence), 0) FROM events", "");
    if (rc == ACCEL_OK)
        rc = tidy(store, err);
    if (rc == ACCEL_OK)
        rc = accel_fold_open(store, err);
    return rc;
}

int accel_store_open(const struct accel_store_options *options, struct accel_store **out,
                     struct accel_error *err)
{
    struct accel_store *store = accel_calloc(1, sizeof(*store));
    int rc;

    if (store == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for the store");
    pthread_mutex_init(&store->writer_mutex, NULL);
    pthread_mutex_init(&store->readers_mutex, NULL);
    pthread_mutex_init(&store->fold_mutex, NULL);
    pthread_cond_init(&store->reader_free, NULL);
    store->lock_fd = -1;
    store->path = accel_strdup(options->path);
    store->hostname = accel_strdup(options->hostname);
    rc = store->path == NULL || store->hostname == NULL
             ? accel_fail(err, ACCEL_E_NOMEM, "no memory for the store")
             : open_all(store, err);
    if (rc != ACCEL_OK) {
        accel_store_close(store);
        return accel_fail_in(err, "open %s", options->path);
    }
    *out = store;
    return ACCEL_OK;
}

void accel_store_close(struct accel_store *store)
{
    if (store == NULL)
        return;
    accel_fold_close(store);
    for (size_t i = 0; i < ACCEL_READERS_MAX; i++)
        if (store->reader_open[i])
            accel_db_close(&store->readers[i]);
    accel_db_close(&store->writer);
    accel_closep(&store->lock_fd);
    pthread_cond_destroy(&store->reader_free);
    pthread_mutex_destroy(&store->fold_mutex);
    pthread_mutex_destroy(&store->readers_mutex);
    pthread_mutex_destroy(&store->writer_mutex);
    accel_free(store->path);
    accel_free(store->hostname);
    accel_free(store);
}

void accel_store_on_commit(struct accel_store *store, void (*fn)(void *context, int64_t sequence),
                           void *context)
{
    pthread_mutex_lock(&store->writer_mutex);
    store->on_commit = fn;
    store->on_commit_context = context;
    pthread_mutex_unlock(&store->writer_mutex);
}

int accel_store_ping(struct accel_store *store, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_tx_end) struct accel_tx tx = {0};
    int rc = accel_tx_begin(store, &tx, err);

    return rc == ACCEL_OK ? accel_tx_commit(&tx, err) : rc;
}

int accel_store_backup(struct accel_store *store, const char *path, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_reader_end) struct accel_reader reader = {0};
    int rc = accel_reader_begin(store, &reader, err);

    if (rc != ACCEL_OK)
        return rc;
    if (access(path, F_OK) == 0)
        return accel_fail(err, ACCEL_E_EXISTS, "%s exists already", path);
    return accel_db_copy(reader.db, path, err);
}

uint64_t accel_store_generation(const struct accel_store *store)
{
    return atomic_load(&store->generation);
}

/* ---------------------------------------------------------------- transactions */

int accel_tx_begin(struct accel_store *store, struct accel_tx *tx, struct accel_error *err)
{
    pthread_mutex_lock(&store->writer_mutex);
    const int rc = accel_db_exec(&store->writer, err, "BEGIN IMMEDIATE", "");
    if (rc != ACCEL_OK) {
        pthread_mutex_unlock(&store->writer_mutex);
        return rc;
    }
    tx->store = store;
    tx->db = &store->writer;
    tx->sequence_before = store->sequence;
    accel_timestamp(tx->now);
    return ACCEL_OK;
}

int accel_tx_commit(struct accel_tx *tx, struct accel_error *err)
{
    struct accel_store *store = tx->store;
    int rc;

    accel_db_reset(tx->db);
    rc = accel_db_exec(tx->db, err, "COMMIT", "");
    /* Also when it failed: nobody may take that for proof that nothing changed. */
    atomic_fetch_add(&store->generation, 1);
    if (rc != ACCEL_OK) /* accel_tx_end rolls back */
        return rc;
    const int64_t sequence = store->sequence;

    /* Before the mutex goes: who unregisters knows then that nobody is in there. */
    if (sequence != tx->sequence_before && store->on_commit != NULL)
        store->on_commit(store->on_commit_context, sequence);
    tx->store = NULL;
    pthread_mutex_unlock(&store->writer_mutex);
    return ACCEL_OK;
}

void accel_tx_end(struct accel_tx *tx)
{
    if (tx->store == NULL)
        return;
    accel_db_reset(tx->db);
    /* A failed ROLLBACK leaves nothing open: SQLite has rolled back by itself then. */
    sqlite3_exec(tx->db->handle, "ROLLBACK", NULL, NULL, NULL);
    tx->store->sequence = tx->sequence_before;
    pthread_mutex_unlock(&tx->store->writer_mutex);
    tx->store = NULL;
}

/* The outbox is a window, not an archive: who was away longer reads the state anew. */
#define EVENTS_KEPT  100000
#define EVENTS_BATCH 1000 /* the old ones go this many at a time */

static int add_event(struct accel_tx *tx, const char *kind, const char *subject,
                     const char *project_id, const char *data, struct accel_error *err)
{
    const int64_t sequence = ++tx->store->sequence;
    int rc =
        accel_db_exec(tx->db, err,
                      "INSERT INTO events (sequence, node, at, kind, subject, project_id, data)"
                      " VALUES (?, ?, ?, ?, ?, ?, ?)",
                      "issssss", sequence, tx->store->hostname, tx->now, kind, subject, project_id,
                      data);

    if (rc == ACCEL_OK && sequence % EVENTS_BATCH == 0)
        rc = accel_db_exec(tx->db, err, "DELETE FROM events WHERE node = ? AND sequence <= ?", "si",
                           tx->store->hostname, sequence - EVENTS_KEPT);
    return rc;
}

int accel_tx_event(struct accel_tx *tx, const char *kind, const char *subject,
                   const char *project_id, struct accel_error *err, const char *data_fmt, ...)
{
    char data[4096] = "{}";
    va_list args;

    if (data_fmt != NULL) {
        va_start(args, data_fmt);
        const int length = vsnprintf(data, sizeof(data), data_fmt, args);
        va_end(args);
        if (length < 0 || (size_t)length >= sizeof(data))
            return accel_fail(err, ACCEL_E_LIMIT, "event %s: its data is too long", kind);
    }
    return add_event(tx, kind, subject, project_id, data, err);
}

int accel_tx_event_about(struct accel_tx *tx, const char *kind, const char *subject,
                         const char *project_id, const char *key, const char *value,
                         struct accel_error *err)
{
    json_t *json = json_pack("{s:s?}", key, value);

    return accel_tx_event_json(tx, kind, subject, project_id, json, err);
}

int accel_tx_event_json(struct accel_tx *tx, const char *kind, const char *subject,
                        const char *project_id, json_t *json, struct accel_error *err)
{
    char *data = json != NULL ? json_dumps(json, 0) : NULL;
    const int rc = data != NULL ? add_event(tx, kind, subject, project_id, data, err)
                                : accel_fail(err, ACCEL_E_NOMEM, "no memory for event %s", kind);

    free(data); /* jansson's own allocation */
    json_decref(json);
    return rc;
}

/* ---------------------------------------------------------------- readers */

/* A free slot, one with an open connection first; ACCEL_READERS_MAX: none. */
static size_t free_slot(const struct accel_store *store)
{
    size_t closed = ACCEL_READERS_MAX;

    for (size_t i = 0; i < ACCEL_READERS_MAX; i++) {
        if (store->reader_busy[i])
            continue;
        if (store->reader_open[i])
            return i;
        closed = ACCEL_MIN(closed, i);
    }
    return closed;
}

int accel_reader_begin(struct accel_store *store, struct accel_reader *reader,
                       struct accel_error *err)
{
    size_t slot;
    int rc = ACCEL_OK;

    pthread_mutex_lock(&store->readers_mutex);
    while ((slot = free_slot(store)) == ACCEL_READERS_MAX)
        pthread_cond_wait(&store->reader_free, &store->readers_mutex);
    store->reader_busy[slot] = true;
    pthread_mutex_unlock(&store->readers_mutex);
    if (!store->reader_open[slot]) /* ours alone while it is busy */
        rc = accel_db_open(store->path, ACCEL_DB_READER, &store->readers[slot], err);
    store->reader_open[slot] = rc == ACCEL_OK;
    reader->store = store;
    reader->slot = slot;
    reader->db = &store->readers[slot];
    /* One snapshot for all statements of one read. accel_reader_end gives the slot back in any
     * case. */
    return rc == ACCEL_OK ? accel_db_exec(reader->db, err, "BEGIN", "") : rc;
}

void accel_reader_end(struct accel_reader *reader)
{
    struct accel_store *store = reader->store;

    if (store == NULL)
        return;
    if (store->reader_open[reader->slot]) {
        accel_db_reset(reader->db);
        if (!sqlite3_get_autocommit(reader->db->handle))
            accel_db_exec(reader->db, NULL, "COMMIT", "");
    }
    pthread_mutex_lock(&store->readers_mutex);
    store->reader_busy[reader->slot] = false;
    pthread_cond_signal(&store->reader_free);
    pthread_mutex_unlock(&store->readers_mutex);
    reader->store = NULL;
}

/* ---------------------------------------------------------------- rows */

void *accel_rows_add(struct accel_rows *rows)
{
    if (rows->count == rows->capacity) {
        const size_t capacity = rows->capacity > 0 ? rows->capacity * 2 : 16;
        void *items = accel_bump_alloc(rows->mem, capacity, rows->element);
        if (items == NULL)
            return NULL;
        if (rows->count > 0)
            memcpy(items, rows->items, rows->count * rows->element);
        rows->items = items;
        rows->capacity = capacity;
    }
    return (char *)rows->items + rows->count++ * rows->element;
}

void accel_store_uuid(sqlite3_stmt *stmt, int column, struct accel_uuid *uuid)
{
    const char *text = (const char *)sqlite3_column_text(stmt, column);

    snprintf(uuid->text, sizeof(uuid->text), "%s", text != NULL ? text : "");
}

int accel_page_start(struct accel_db *db, const struct accel_page *page, const char *sql,
                     int64_t *start, struct accel_error *err)
{
    int64_t marker = 0;

    *start = accel_page_descends(page) ? INT64_MAX : 0;
    if (page == NULL || page->marker == NULL)
        return ACCEL_OK;
    const int rc = accel_db_integer(db, &marker, err, sql, "s", page->marker->text);
    if (rc == ACCEL_OK && marker == 0)
        return accel_fail(err, ACCEL_E_NOT_FOUND, "marker: no row has uuid %s", page->marker->text);
    *start = marker;
    return rc;
}
