/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_STORE_MIGRATE_H
#define ACCEL_STORE_MIGRATE_H

/* From an older schema to the newest, and copies of a live database. */

#include "store/db.h"

/* "acce" in the file's header: `file acceld.db` and a foreign database are told apart. */
#define ACCEL_APPLICATION_ID 1633903461

/* schemas/sql/NNNN_what.sql, as tools/embed_sql.sh puts them into the program. */
struct accel_migration {
    int number; /* rising */
    const char *name, *sql;
};

/* Brings the database at `path` to the last of the list: each migration and its number in one
 * transaction, after a backup copy <path>.<version>.bak when there was anything. A failed one
 * leaves the schema before it. Errors: CONFLICT (newer schema; another program's database). */
int accel_db_migrate(struct accel_db *db, const char *path, const struct accel_migration *list,
                     size_t count, struct accel_error *err);

/* A consistent copy; it appears at `path`, replacing what is there, only when it is whole and on
 * the disk. */
int accel_db_copy(struct accel_db *from, const char *path, struct accel_error *err);

#endif
