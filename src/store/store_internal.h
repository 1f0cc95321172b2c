/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_STORE_INTERNAL_H
#define ACCEL_STORE_INTERNAL_H

/* What the files of the store share: connections, transactions, events. */

#include <jansson.h>
#include <pthread.h>

#include "base/clock.h"
#include "store/db.h"
#include "store/store.h"

#define ACCEL_READERS_MAX  8
#define ACCEL_API_POSITION 1000000 /* of API-made attributes: behind all that modules report */

struct accel_fold; /* measurements not written yet: store_measurements.c */

struct accel_store {
    char *path, *hostname;
    int lock_fd;

    pthread_mutex_t writer_mutex; /* held for the whole of a write transaction */
    struct accel_db writer;
    int64_t sequence; /* of the newest event; guarded by writer_mutex */
    _Atomic uint64_t generation;

    pthread_mutex_t readers_mutex;
    pthread_cond_t reader_free;
    struct accel_db readers[ACCEL_READERS_MAX];
    bool reader_open[ACCEL_READERS_MAX], reader_busy[ACCEL_READERS_MAX];

    pthread_mutex_t fold_mutex; /* the measurements' connection and what is folded */
    struct accel_db relaxed;
    struct accel_fold *fold;

    void (*on_commit)(void *context, int64_t sequence);
    void *on_commit_context;
};

/* Takes the lock of the database at `path`; closing *fd gives it back. Errors: BUSY. */
int accel_store_lock(const char *path, int *fd, struct accel_error *err);
/* The newest schema this program knows. */
int accel_store_schema(void);

/* A write transaction: ACCEL_CLEANUP(accel_tx_end) struct accel_tx tx = {0}; it rolls back unless
 * committed. Holds the writer mutex: never call another transaction inside. */
struct accel_tx {
    struct accel_store *store;
    struct accel_db *db;
    int64_t sequence_before;
    char now[ACCEL_TIMESTAMP_SIZE];
};
int accel_tx_begin(struct accel_store *store, struct accel_tx *tx, struct accel_error *err);
int accel_tx_commit(struct accel_tx *tx, struct accel_error *err);
void accel_tx_end(struct accel_tx *tx);

/* Appends an event to the transaction. `data` is printf of a JSON object's text; its strings are
 * the caller's to know safe (uuids, states); NULL: {}. */
ACCEL_PRINTF(6, 7)
int accel_tx_event(struct accel_tx *tx, const char *kind, const char *subject,
                   const char *project_id, struct accel_error *err, const char *data_fmt, ...);

/* The same with data {key: value}, for a value that a stranger chose. */
int accel_tx_event_about(struct accel_tx *tx, const char *kind, const char *subject,
                         const char *project_id, const char *key, const char *value,
                         struct accel_error *err);

/* The same with data of its own; takes over `json` (NULL: memory is out). */
int accel_tx_event_json(struct accel_tx *tx, const char *kind, const char *subject,
                        const char *project_id, json_t *json, struct accel_error *err);

/* A connection to read with: ACCEL_CLEANUP(accel_reader_end) struct accel_reader reader = {0}. */
struct accel_reader {
    struct accel_store *store;
    struct accel_db *db;
    size_t slot;
};
int accel_reader_begin(struct accel_store *store, struct accel_reader *reader,
                       struct accel_error *err);
void accel_reader_end(struct accel_reader *reader);

/* Rows of one result, growing in bump memory. */
struct accel_rows {
    struct accel_bump *mem;
    size_t element, count, capacity;
    void *items;
};
/* A zeroed new last element; NULL when memory is out. */
void *accel_rows_add(struct accel_rows *rows);

static inline int accel_store_nomem(struct accel_error *err)
{
    return accel_fail(err, ACCEL_E_NOMEM, "no memory for rows of the database");
}

/* "" for NULL. */
void accel_store_uuid(sqlite3_stmt *stmt, int column, struct accel_uuid *uuid);

static inline bool accel_page_descends(const struct accel_page *page)
{
    return page != NULL && page->newest_first;
}
/* id of the row behind which a page begins, upwards or downwards; without a marker one that no row
 * has. `sql` finds an id by uuid. Errors: NOT_FOUND. */
int accel_page_start(struct accel_db *db, const struct accel_page *page, const char *sql,
                     int64_t *start, struct accel_error *err);
/* The two statements of a list that is paged by row id: ?1 is where accel_page_start says. */
#define ACCEL_PAGED(page, select, id, filter, limit)                               \
    (accel_page_descends(page)                                                     \
         ? select " WHERE " id " < ?1" filter " ORDER BY " id " DESC LIMIT " limit \
         : select " WHERE " id " > ?1" filter " ORDER BY " id " LIMIT " limit)
/* -1 is SQLite's "no limit". */
static inline int64_t accel_page_limit(const struct accel_page *page)
{
    return page != NULL && page->limit > 0 && page->limit < INT64_MAX ? (int64_t)page->limit : -1;
}

/* store_profiles.c: accel_store_add_profile in a transaction that is open. placed: a placement made
 * it, and it goes with the last ARQ made from it, which is what the second looks after. */
int accel_tx_add_profile(struct accel_tx *tx, const struct accel_new_profile *from, bool placed,
                         struct accel_bump *mem, struct accel_device_profile *profile,
                         struct accel_error *err);
int accel_tx_drop_placed_profile(struct accel_tx *tx, const char *name, struct accel_error *err);

/* store_arqs.c: the steps of a bind, in a transaction that is open. */
int accel_tx_refuse_instance_with_arqs(struct accel_tx *tx, const char *instance_uuid,
                                       struct accel_error *err);
/* A batch of its own: nothing ties it to other ARQs. */
int accel_tx_add_arq(struct accel_tx *tx, const struct accel_device_profile *profile,
                     const char *project_id, struct accel_bump *mem, struct accel_arq *arq,
                     struct accel_error *err);
/* Initial|Unbound -> BindStarted, with a free handle of the provider. */
int accel_tx_bind_arq(struct accel_tx *tx, const struct accel_bind_request *request,
                      struct accel_error *err);
/* kind: "bind" or "reserve". What accel_store_bind_end ends. */
int accel_tx_add_intent(struct accel_tx *tx, const char *kind,
                        const struct accel_bind_request *requests, size_t count, int64_t *intent,
                        struct accel_error *err);

/* store_measurements.c */
int accel_fold_open(struct accel_store *store, struct accel_error *err);
void accel_fold_close(struct accel_store *store);

/* store_scan.c: forgets devices and handles that are gone and no longer held. */
int accel_tx_sweep_gone(struct accel_tx *tx, struct accel_error *err);

#endif
