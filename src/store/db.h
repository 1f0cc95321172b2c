/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_STORE_DB_H
#define ACCEL_STORE_DB_H

/* SQLite for the store: connections that keep their prepared statements, one-line binding, and
 * transactions that roll back by themselves. */

#include <sqlite3.h>

#include "base/bump.h"

#define ACCEL_DB_STATEMENTS_MAX 256

/* One connection; one thread at a time. */
struct accel_db {
    sqlite3 *handle;
    /* Prepared statements by the address of their text: every text is a literal. */
    struct accel_db_statement {
        const char *sql;
        sqlite3_stmt *stmt;
    } statements[ACCEL_DB_STATEMENTS_MAX];
};

enum accel_db_mode {
    ACCEL_DB_WRITER,  /* synchronous=FULL: what is acknowledged survives */
    ACCEL_DB_RELAXED, /* synchronous=NORMAL: measurements */
    ACCEL_DB_READER,
    ACCEL_DB_COPY, /* a backup being written */
};
int accel_db_open(const char *path, enum accel_db_mode mode, struct accel_db *db,
                  struct accel_error *err);
void accel_db_close(struct accel_db *db);

/* Resets every statement under way: one left in its middle would hold an old snapshot open. */
void accel_db_reset(struct accel_db *db);

/* What SQLite says of its last failure as our error; `what` says what was tried. */
int accel_db_fail(struct accel_db *db, const char *what, struct accel_error *err);

/* Prepares (once per literal) and binds. The letters of `types` say what follows: i int64_t, d
 * double, s const char * (NULL is SQL's NULL). *stmt is ready to step; it is reset at its next use,
 * at the latest when the transaction ends. */
int accel_db_query(struct accel_db *db, sqlite3_stmt **stmt, struct accel_error *err,
                   const char *sql, const char *types, ...);
/* One row: true, *rc ACCEL_OK. Done: false, ACCEL_OK. Failed: false and the code. The statement is
 * reset unless there was a row. */
bool accel_db_row(struct accel_db *db, sqlite3_stmt *stmt, int *rc, struct accel_error *err);
/* accel_db_query and run to the end; for statements without rows. */
int accel_db_exec(struct accel_db *db, struct accel_error *err, const char *sql, const char *types,
                  ...);
/* A query with one integer in its first row; *value stays when there is no row. */
int accel_db_integer(struct accel_db *db, int64_t *value, struct accel_error *err, const char *sql,
                     const char *types, ...);

/* Column c as a string in bump memory; NULL for SQL's NULL; *rc NOMEM when memory is out. */
const char *accel_db_text(sqlite3_stmt *stmt, int c, struct accel_bump *mem, int *rc);

#endif
