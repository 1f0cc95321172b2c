/* SPDX-License-Identifier: Apache-2.0 */
#include "store/db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#define BUSY_MS 5000 /* another connection of ours commits in far less */

/* What the system said, where SQLite knows only that it failed: a full disk shows as SQLITE_FULL or
 * as a failed write, depending on where it was noticed. */
static enum accel_code code_of_system(int errnum, enum accel_code otherwise)
{
    switch (errnum) {
    case ENOSPC:
    case EFBIG:
    case EDQUOT:
        return ACCEL_E_NO_SPACE;
    case ENOENT:
        return ACCEL_E_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS:
        return ACCEL_E_DENIED;
    case ENOMEM:
        return ACCEL_E_NOMEM;
    default:
        return otherwise;
    }
}

static enum accel_code code_of(sqlite3 *handle)
{
    /* SQLite does not keep the errno of every failed write; then it is still in errno itself. */
    const int now = errno, kept = sqlite3_system_errno(handle), errnum = kept != 0 ? kept : now;
    const int extended = sqlite3_extended_errcode(handle);

    if (extended == SQLITE_IOERR_NOMEM)
        return ACCEL_E_NOMEM;
    switch (extended & 0xff) {
    case SQLITE_NOMEM:
        return ACCEL_E_NOMEM;
    case SQLITE_FULL:
        return ACCEL_E_NO_SPACE;
    case SQLITE_IOERR:
        return code_of_system(errnum, ACCEL_E_IO);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ACCEL_E_BUSY;
    case SQLITE_CANTOPEN:
        return code_of_system(kept, ACCEL_E_DENIED);
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
        return ACCEL_E_DENIED;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return ACCEL_E_CORRUPT;
    case SQLITE_CONSTRAINT:
        return ACCEL_E_CONFLICT;
    case SQLITE_TOOBIG:
        return ACCEL_E_LIMIT;
    default:
        return ACCEL_E_IO;
    }
}

int accel_db_fail(struct accel_db *db, const char *what, struct accel_error *err)
{
    return accel_fail(err, code_of(db->handle), "database: %s: %s", what,
                      sqlite3_errmsg(db->handle));
}

/* The pragmas a connection begins with. Those of the writer also set up a new file. */
static const char *pragmas_of(enum accel_db_mode mode)
{
    switch (mode) {
    case ACCEL_DB_WRITER:
        return "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
               "PRAGMA wal_autocheckpoint = 256; PRAGMA journal_size_limit = 4194304;"
               "PRAGMA cache_size = -1024;";
    case ACCEL_DB_RELAXED:
        return "PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON; PRAGMA cache_size = -256;";
    case ACCEL_DB_COPY:
        return "PRAGMA synchronous = OFF;"; /* synced when it is whole */
    default:
        return "PRAGMA query_only = ON; PRAGMA cache_size = -512;";
    }
}

/* Makes the file with a mode of our own (what projects own is in it; -wal and -shm inherit it), and
 * says clearly why it cannot be written: SQLite would open it read-only and fail later. */
static int make_file(const char *path, struct accel_error *err)
{
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        return accel_fail_errno(err, errno, "database %s", path);
    close(fd);
    return ACCEL_OK;
}

/* Where shared memory cannot be had (some network file systems) SQLite stays in another mode. */
static int check_wal(struct accel_db *db, const char *path, struct accel_error *err)
{
    sqlite3_stmt *stmt;
    int rc = accel_db_query(db, &stmt, err, "PRAGMA journal_mode", "");

    if (rc == ACCEL_OK && accel_db_row(db, stmt, &rc, err) &&
        strcmp((const char *)sqlite3_column_text(stmt, 0), "wal") != 0)
        rc = accel_fail(err, ACCEL_E_UNSUPPORTED,
                        "database %s: its file system cannot hold a database in WAL mode; put "
                        "node.state_dir on a local disk",
                        path);
    accel_db_reset(db);
    return rc;
}

int accel_db_open(const char *path, enum accel_db_mode mode, struct accel_db *db,
                  struct accel_error *err)
{
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    int rc;

    memset(db, 0, sizeof(*db));
    if ((mode == ACCEL_DB_WRITER || mode == ACCEL_DB_COPY) &&
        (rc = make_file(path, err)) != ACCEL_OK)
        return rc;
    if (sqlite3_open_v2(path, &db->handle, flags, NULL) != SQLITE_OK) {
        rc = db->handle == NULL ? accel_fail(err, ACCEL_E_NOMEM, "no memory for a database")
                                : accel_db_fail(db, path, err);
        accel_db_close(db);
        return rc;
    }
    sqlite3_busy_timeout(db->handle, BUSY_MS);
    sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    if (sqlite3_exec(db->handle, pragmas_of(mode), NULL, NULL, NULL) != SQLITE_OK) {
        rc = accel_db_fail(db, path, err);
        accel_db_close(db);
        return rc;
    }
    rc = mode == ACCEL_DB_WRITER ? check_wal(db, path, err) : ACCEL_OK;
    if (rc != ACCEL_OK)
        accel_db_close(db);
    return rc;
}

void accel_db_reset(struct accel_db *db)
{
    for (size_t i = 0; i < ACCEL_DB_STATEMENTS_MAX; i++)
        if (db->statements[i].stmt != NULL && sqlite3_stmt_busy(db->statements[i].stmt))
            sqlite3_reset(db->statements[i].stmt);
}

void accel_db_close(struct accel_db *db)
{
    for (size_t i = 0; i < ACCEL_DB_STATEMENTS_MAX; i++)
        sqlite3_finalize(db->statements[i].stmt);
    sqlite3_close(db->handle);
    memset(db, 0, sizeof(*db));
}

static sqlite3_stmt *prepare(struct accel_db *db, const char *sql, struct accel_error *err)
{
    const size_t start = ((uintptr_t)sql >> 3) % ACCEL_DB_STATEMENTS_MAX;

    for (size_t n = 0; n < ACCEL_DB_STATEMENTS_MAX; n++) {
        struct accel_db_statement *slot = &db->statements[(start + n) % ACCEL_DB_STATEMENTS_MAX];
        if (slot->sql == sql) {
            sqlite3_reset(slot->stmt);
            return slot->stmt;
        }
        if (slot->sql != NULL)
            continue;
        if (sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &slot->stmt, NULL) !=
            SQLITE_OK) {
            accel_db_fail(db, "prepare", err);
            return NULL;
        }
        slot->sql = sql;
        return slot->stmt;
    }
    accel_fail(err, ACCEL_E_INTERNAL, "database: more than %d statements", ACCEL_DB_STATEMENTS_MAX);
    return NULL;
}

static int bind_all(struct accel_db *db, sqlite3_stmt *stmt, const char *types, va_list args,
                    struct accel_error *err)
{
    for (int i = 1; *types != '\0'; types++, i++) {
        int rc;
        if (*types == 'i')
            rc = sqlite3_bind_int64(stmt, i, va_arg(args, int64_t));
        else if (*types == 'd')
            rc = sqlite3_bind_double(stmt, i, va_arg(args, double));
        else /* SQLite copies: the caller's string may be gone before the step is */
            rc = sqlite3_bind_text(stmt, i, va_arg(args, const char *), -1, SQLITE_TRANSIENT);
        if (rc != SQLITE_OK)
            return accel_db_fail(db, "bind", err);
    }
    return ACCEL_OK;
}

static int query(struct accel_db *db, sqlite3_stmt **stmt, struct accel_error *err, const char *sql,
                 const char *types, va_list args)
{
    *stmt = prepare(db, sql, err);
    if (*stmt == NULL)
        return err != NULL ? (int)err->code : ACCEL_E_IO;
    return bind_all(db, *stmt, types, args, err);
}

int accel_db_query(struct accel_db *db, sqlite3_stmt **stmt, struct accel_error *err,
                   const char *sql, const char *types, ...)
{
    va_list args;

    va_start(args, types);
    const int rc = query(db, stmt, err, sql, types, args);
    va_end(args);
    return rc;
}

bool accel_db_row(struct accel_db *db, sqlite3_stmt *stmt, int *rc, struct accel_error *err)
{
    const int step = *rc == ACCEL_OK ? sqlite3_step(stmt) : SQLITE_DONE;

    if (step == SQLITE_ROW)
        return true;
    if (step != SQLITE_DONE)
        *rc = accel_db_fail(db, "step", err);
    sqlite3_reset(stmt);
    return false;
}

int accel_db_exec(struct accel_db *db, struct accel_error *err, const char *sql, const char *types,
                  ...)
{
    sqlite3_stmt *stmt;
    va_list args;

    va_start(args, types);
    int rc = query(db, &stmt, err, sql, types, args);
    va_end(args);
    if (rc == ACCEL_OK)
        while (accel_db_row(db, stmt, &rc, err))
            continue;
    return rc;
}

int accel_db_integer(struct accel_db *db, int64_t *value, struct accel_error *err, const char *sql,
                     const char *types, ...)
{
    sqlite3_stmt *stmt;
    va_list args;

    va_start(args, types);
    int rc = query(db, &stmt, err, sql, types, args);
    va_end(args);
    if (rc != ACCEL_OK)
        return rc;
    if (accel_db_row(db, stmt, &rc, err))
        *value = sqlite3_column_int64(stmt, 0);
    sqlite3_reset(stmt);
    return rc;
}

const char *accel_db_text(sqlite3_stmt *stmt, int c, struct accel_bump *mem, int *rc)
{
    const char *text = (const char *)sqlite3_column_text(stmt, c);
    const char *copy = accel_bump_strdup(mem, text);

    if (copy == NULL && sqlite3_column_type(stmt, c) != SQLITE_NULL)
        *rc = ACCEL_E_NOMEM;
    return copy;
}
