/* SPDX-License-Identifier: Apache-2.0 */
#include "store/migrate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

/* ---------------------------------------------------------------- copies */

/* SQLite's own copy of a live database, page by page. */
static int copy_pages(struct accel_db *from, const char *path, struct accel_error *err)
{
    struct accel_db to = {0};
    int rc = accel_db_open(path, ACCEL_DB_COPY, &to, err);

    if (rc != ACCEL_OK)
        return rc;
    sqlite3_backup *backup = sqlite3_backup_init(to.handle, "main", from->handle, "main");
    if (backup == NULL || sqlite3_backup_step(backup, -1) != SQLITE_DONE)
        rc = accel_db_fail(&to, path, err);
    if (backup != NULL && sqlite3_backup_finish(backup) != SQLITE_OK && rc == ACCEL_OK)
        rc = accel_db_fail(&to, path, err);
    accel_db_close(&to);
    return rc;
}

/* A copy appears under its name only when it is whole and on the disk. */
int accel_db_copy(struct accel_db *from, const char *path, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_freep) char *part = accel_asprintf("%s.part", path);
    ACCEL_CLEANUP(accel_closep) int fd = -1;
    int rc;

    if (part == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to copy a database");
    unlink(part);
    rc = copy_pages(from, part, err);
    if (rc == ACCEL_OK && (fd = open(part, O_RDONLY | O_CLOEXEC)) < 0)
        rc = accel_fail_errno(err, errno, "open %s", part);
    if (rc == ACCEL_OK && fsync(fd) != 0)
        rc = accel_fail_errno(err, errno, "sync %s", part);
    if (rc == ACCEL_OK && rename(part, path) != 0)
        rc = accel_fail_errno(err, errno, "rename %s", part);
    if (rc == ACCEL_OK)
        return ACCEL_OK;
    unlink(part);
    return accel_fail_in(err, "backup");
}

/* ---------------------------------------------------------------- migrations */

static int migrate_one(struct accel_db *db, const struct accel_migration *migration,
                       struct accel_error *err)
{
    ACCEL_CLEANUP(accel_freep) char *script = accel_asprintf(
        "BEGIN IMMEDIATE;\n%s\nPRAGMA application_id = %d; PRAGMA user_version = %d;\nCOMMIT;",
        migration->sql, ACCEL_APPLICATION_ID, migration->number);

    if (script == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for migration %s", migration->name);
    if (sqlite3_exec(db->handle, script, NULL, NULL, NULL) == SQLITE_OK)
        return ACCEL_OK;
    const int rc = accel_db_fail(db, migration->name, err);
    sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

static int back_up(struct accel_db *db, const char *path, int64_t version, int newest,
                   struct accel_error *err)
{
    ACCEL_CLEANUP(accel_freep) char *copy = accel_asprintf("%s.%lld.bak", path, (long long)version);
    int rc;

    if (copy == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to back up %s", path);
    rc = accel_db_copy(db, copy, err);
    if (rc == ACCEL_OK)
        accel_log_info("migrating the database", "from=%lld to=%d backup=%s", (long long)version,
                       newest, copy);
    return rc;
}

int accel_db_migrate(struct accel_db *db, const char *path, const struct accel_migration *list,
                     size_t count, struct accel_error *err)
{
    const int newest = list[count - 1].number;
    int64_t version = 0, application = 0, tables = 0;
    int rc = accel_db_integer(db, &version, err, "PRAGMA user_version", "");

    if (rc == ACCEL_OK)
        rc = accel_db_integer(db, &application, err, "PRAGMA application_id", "");
    if (rc == ACCEL_OK)
        rc = accel_db_integer(db, &tables, err, "SELECT count(*) FROM sqlite_schema", "");
    if (rc == ACCEL_OK && tables > 0 && application != ACCEL_APPLICATION_ID)
        return accel_fail(err, ACCEL_E_CONFLICT,
                          "it is a database of another program; choose "
                          "another node.state_dir");
    if (rc == ACCEL_OK && version > newest)
        return accel_fail(err, ACCEL_E_CONFLICT,
                          "it has schema %lld and this acceld knows up to %d: start the newer "
                          "acceld, or put %s.%d.bak in its place",
                          (long long)version, newest, path, newest);
    if (rc == ACCEL_OK && tables > 0 && version < newest)
        rc = back_up(db, path, version, newest, err);
    for (size_t i = 0; i < count && rc == ACCEL_OK; i++)
        if (list[i].number > version)
            rc = migrate_one(db, &list[i], err);
    return rc;
}
