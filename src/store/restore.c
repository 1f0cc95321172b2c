/* SPDX-License-Identifier: Apache-2.0 */
/* A backup put in the place of the database while no daemon runs. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "store/migrate.h"
#include "store/store_internal.h"

static const char magic[16] = "SQLite format 3"; /* the zero behind it belongs to it */
#define CHUNK_BYTES ((size_t)1 << 20)

/* What was given may be read by us alone (root's), be a pipe, or change: it is copied first. */
static int take_copy(int from, const char *path, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_freep) char *chunk = accel_malloc(CHUNK_BYTES);
    ACCEL_CLEANUP(accel_closep)
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    size_t got = 0, total = 0;
    int rc = ACCEL_OK;

    if (chunk == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to restore a backup");
    if (fd < 0)
        return accel_fail_errno(err, errno, "make %s", path);
    do {
        rc = accel_read_full(from, chunk, CHUNK_BYTES, &got, "the backup", err);
        if (rc == ACCEL_OK && total == 0 && got == 0)
            rc = accel_fail(err, ACCEL_E_INVALID, "the backup is empty");
        if (rc == ACCEL_OK && total == 0 &&
            (got < sizeof(magic) || memcmp(chunk, magic, sizeof(magic)) != 0))
            rc = accel_fail(err, ACCEL_E_INVALID, "it is no backup of acceld: no SQLite database");
        if (rc == ACCEL_OK)
            rc = accel_write_all(fd, chunk, got, path, err);
        total += got;
    } while (rc == ACCEL_OK && got == CHUNK_BYTES);
    if (rc == ACCEL_OK && fsync(fd) != 0)
        rc = accel_fail_errno(err, errno, "sync %s", path);
    return rc;
}

/* The first line of a pragma that says "ok", or nothing, when all is well. */
static int run_check(struct accel_db *db, const char *pragma, struct accel_error *err)
{
    sqlite3_stmt *stmt;
    int rc = accel_db_query(db, &stmt, err, pragma, "");

    if (rc == ACCEL_OK && accel_db_row(db, stmt, &rc, err) &&
        strcmp((const char *)sqlite3_column_text(stmt, 0), "ok") != 0)
        rc = accel_fail(err, ACCEL_E_CORRUPT, "%s", (const char *)sqlite3_column_text(stmt, 0));
    accel_db_reset(db);
    return rc;
}

static int check_copy(const char *path, int newest, struct accel_error *err)
{
    struct accel_db db;
    int64_t application = 0, version = 0;
    int rc = accel_db_open(path, ACCEL_DB_COPY, &db, err);

    if (rc == ACCEL_OK) {
        rc = accel_db_integer(&db, &application, err, "PRAGMA application_id", "");
        if (rc == ACCEL_OK)
            rc = accel_db_integer(&db, &version, err, "PRAGMA user_version", "");
        if (rc == ACCEL_OK && (application != ACCEL_APPLICATION_ID || version < 1))
            rc = accel_fail(err, ACCEL_E_INVALID, "it is no backup of acceld");
        if (rc == ACCEL_OK && version > newest)
            rc = accel_fail(err, ACCEL_E_CONFLICT,
                            "the backup has schema %lld and this acceld knows up to %d: restore it "
                            "with the newer acceld",
                            (long long)version, newest);
        if (rc == ACCEL_OK)
            rc = run_check(&db, "PRAGMA integrity_check(1)", err);
        if (rc == ACCEL_OK)
            rc = run_check(&db, "PRAGMA foreign_key_check", err);
    }
    accel_db_close(&db);
    return rc == ACCEL_E_CORRUPT ? accel_fail_in(err, "the backup is damaged") : rc;
}

/* A second name for a file; none where there is no file. */
static int keep(const char *path, const char *suffix, const char *kept, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_freep) char *from = accel_asprintf("%s%s", path, suffix);
    ACCEL_CLEANUP(accel_freep) char *to = accel_asprintf("%s%s", kept, suffix);

    if (from == NULL || to == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to restore a backup");
    if (link(from, to) == 0 || errno == ENOENT)
        return ACCEL_OK;
    return accel_fail_errno(err, errno, "keep %s as %s", from, to);
}

static void drop(const char *path, const char *suffix)
{
    ACCEL_CLEANUP(accel_freep) char *name = accel_asprintf("%s%s", path, suffix);

    if (name != NULL)
        unlink(name);
}

static int sync_folder_of(const char *path, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_freep) char *folder = accel_strdup(path);
    ACCEL_CLEANUP(accel_closep) int fd = -1;

    if (folder == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to restore a backup");
    *strrchr(folder, '/') = '\0';
    fd = open(folder[0] != '\0' ? folder : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && fsync(fd) == 0 ? ACCEL_OK : accel_fail_errno(err, errno, "sync %s", folder);
}

/* The old database keeps its journal, else its last transactions would be lost; the new one must
 * not find it, as it would be played into the wrong database. */
static int exchange(const char *path, const char *copy, const char *kept, struct accel_error *err)
{
    int rc = keep(path, "", kept, err);

    if (rc == ACCEL_OK)
        rc = keep(path, "-wal", kept, err);
    if (rc == ACCEL_OK)
        rc = sync_folder_of(path, err);
    if (rc != ACCEL_OK)
        return rc;
    drop(path, "-wal");
    drop(path, "-shm");
    if (rename(copy, path) != 0)
        return accel_fail_errno(err, errno, "put the backup at %s", path);
    return sync_folder_of(path, err);
}

/* A name that is free; the second of two within one second gets a number. */
static int choose_name(const char *path, char *kept, size_t size, struct accel_error *err)
{
    char when[24];
    struct tm utc;
    const time_t now = time(NULL);
    int length;

    strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", gmtime_r(&now, &utc));
    length = snprintf(kept, size, "%s.%s", path, when);
    for (int n = 2; length < (int)size && access(kept, F_OK) == 0; n++)
        length = snprintf(kept, size, "%s.%s.%d", path, when, n);
    return length < (int)size ? ACCEL_OK : accel_fail(err, ACCEL_E_INVALID, "%s: too long", path);
}

int accel_store_restore(const char *path, int from, char *kept, size_t kept_size,
                        struct accel_error *err)
{
    ACCEL_CLEANUP(accel_freep) char *copy = accel_asprintf("%s.restore", path);
    ACCEL_CLEANUP(accel_closep) int lock = -1;

    if (copy == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to restore a backup");
    int rc = accel_store_lock(path, &lock, err);
    if (rc == ACCEL_OK)
        rc = choose_name(path, kept, kept_size, err);
    if (rc == ACCEL_OK)
        rc = take_copy(from, copy, err);
    if (rc == ACCEL_OK)
        rc = check_copy(copy, accel_store_schema(), err);
    if (rc == ACCEL_OK) {
        const bool had = access(path, F_OK) == 0;
        rc = exchange(path, copy, kept, err);
        if (!had)
            kept[0] = '\0';
    }
    if (lock >= 0) {
        drop(copy, "");
        drop(copy, "-wal");
        drop(copy, "-shm");
    }
    return rc == ACCEL_OK ? ACCEL_OK : accel_fail_in(err, "restore %s", path);
}
