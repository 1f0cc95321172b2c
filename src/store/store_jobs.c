/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "store/store_internal.h"

#define JOBS_KEPT  10000 /* what is older and has ended is forgotten */
#define LINES_KEPT 10000 /* of one job */

#define COLUMNS                                                                            \
    "id, uuid, kind, state, progress, text, project_id, target, result, cancel_requested," \
    " created_at, updated_at, finished_at"

static int read_job(sqlite3_stmt *stmt, struct accel_bump *mem, struct accel_job *job)
{
    int rc = ACCEL_OK;

    job->id = sqlite3_column_int64(stmt, 0);
    accel_store_uuid(stmt, 1, &job->uuid);
    job->kind = accel_db_text(stmt, 2, mem, &rc);
    job->state = accel_db_text(stmt, 3, mem, &rc);
    job->progress = sqlite3_column_double(stmt, 4);
    job->text = accel_db_text(stmt, 5, mem, &rc);
    job->project_id = accel_db_text(stmt, 6, mem, &rc);
    job->target = accel_db_text(stmt, 7, mem, &rc);
    job->result = accel_db_text(stmt, 8, mem, &rc);
    job->cancel_requested = sqlite3_column_int(stmt, 9) != 0;
    job->created_at = accel_db_text(stmt, 10, mem, &rc);
    job->updated_at = accel_db_text(stmt, 11, mem, &rc);
    job->finished_at = accel_db_text(stmt, 12, mem, &rc);
    return rc;
}

static int get(struct accel_db *db, const struct accel_uuid *uuid, struct accel_bump *mem,
               struct accel_job *job, struct accel_error *err)
{
    sqlite3_stmt *stmt;
    int rc = accel_db_query(db, &stmt, err, "SELECT " COLUMNS " FROM jobs WHERE uuid = ?", "s",
                            uuid->text);

    if (rc != ACCEL_OK)
        return rc;
    if (!accel_db_row(db, stmt, &rc, err))
        return rc != ACCEL_OK
                   ? rc
                   : accel_fail(err, ACCEL_E_NOT_FOUND, "there is no job %s", uuid->text);
    rc = read_job(stmt, mem, job);
    sqlite3_reset(stmt);
    return rc == ACCEL_OK ? ACCEL_OK : accel_store_nomem(err);
}

int accel_store_add_job(struct accel_store *store, const char *kind, const char *target,
                        const char *project_id, struct accel_bump *mem, struct accel_job *job,
                        struct accel_error *err)
{
    ACCEL_CLEANUP(accel_tx_end) struct accel_tx tx = {0};
    struct accel_uuid uuid;
    int rc = accel_uuid_new(&uuid, err);

    if (rc == ACCEL_OK)
        rc = accel_tx_begin(store, &tx, err);
    if (rc == ACCEL_OK)
        rc = accel_db_exec(tx.db, err,
                           "INSERT INTO jobs (uuid, kind, state, target, project_id, created_at)"
                           " VALUES (?, ?, 'queued', ?, ?, ?)",
                           "sssss", uuid.text, kind, target, project_id, tx.now);
    if (rc == ACCEL_OK)
        rc = accel_tx_event(&tx, "job.changed", uuid.text, project_id, err,
                            "{\"kind\": \"%s\", \"state\": \"queued\"}", kind);
    if (rc == ACCEL_OK)
        rc = get(tx.db, &uuid, mem, job, err);
    if (rc == ACCEL_OK)
        rc = accel_db_exec(tx.db, err,
                           "DELETE FROM jobs WHERE id <= ? AND state NOT IN ('queued', 'running')",
                           "i", job->id - JOBS_KEPT);
    return rc == ACCEL_OK ? accel_tx_commit(&tx, err) : rc;
}

static bool has_ended(const char *state)
{
    return strcmp(state, "queued") != 0 && strcmp(state, "running") != 0;
}

static int add_line(struct accel_tx *tx, int64_t job, const char *text, struct accel_error *err)
{
    int rc = accel_db_exec(tx->db, err,
                           "DELETE FROM job_lines WHERE job_id = ?1 AND number <="
                           " (SELECT max(number) FROM job_lines WHERE job_id = ?1) - ?2",
                           "ii", job, (int64_t)LINES_KEPT);

    if (rc != ACCEL_OK)
        return rc;
    return accel_db_exec(tx->db, err,
                         "INSERT INTO job_lines (job_id, number, at, text) SELECT ?1,"
                         " coalesce(max(number), 0) + 1, ?2, ?3 FROM job_lines WHERE job_id = ?1",
                         "iss", job, tx->now, text);
}

/* "2026-11-20T23:02:01...": the first 19 characters are the second. */
static bool same_second(const char *a, const char *b)
{
    return a != NULL && strncmp(a, b, 19) == 0;
}

int accel_store_update_job(struct accel_store *store, const struct accel_uuid *uuid,
                           const char *state, double progress, const char *text, const char *result,
                           struct accel_error *err)
{
    ACCEL_CLEANUP(accel_tx_end) struct accel_tx tx = {0};
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_job job;
    int rc = accel_tx_begin(store, &tx, err);

    if (rc == ACCEL_OK)
        rc = get(tx.db, uuid, &mem, &job, err);
    if (rc != ACCEL_OK)
        return rc;
    if (has_ended(job.state))
        return accel_fail(err, ACCEL_E_CONFLICT, "job %s has ended: %s", uuid->text, job.state);
    const bool new_text = text != NULL && (job.text == NULL || strcmp(text, job.text) != 0);
    const bool new_state = state != NULL && strcmp(state, job.state) != 0;
    if (!new_text && !new_state && result == NULL && same_second(job.updated_at, tx.now))
        return ACCEL_OK; /* progress alone: at most once a second */
    rc = accel_db_exec(tx.db, err,
                       "UPDATE jobs SET state = coalesce(?2, state),"
                       " progress = CASE WHEN ?3 < 0 THEN progress ELSE min(?3, 100.0) END,"
                       " text = coalesce(?4, text), result = coalesce(?5, result), updated_at = ?6,"
                       " finished_at = CASE WHEN ?7 THEN ?6 ELSE NULL END WHERE id = ?1",
                       "isdsssi", job.id, state, progress, text, result, tx.now,
                       (int64_t)(new_state && has_ended(state)));
    if (rc == ACCEL_OK && new_text)
        rc = add_line(&tx, job.id, text, err);
    if (rc == ACCEL_OK && new_state)
        rc = accel_tx_event(&tx, "job.changed", uuid->text, job.project_id, err,
                            "{\"kind\": \"%s\", \"state\": \"%s\"}", job.kind, state);
    return rc == ACCEL_OK ? accel_tx_commit(&tx, err) : rc;
}

int accel_store_list_jobs(struct accel_store *store, const char *state, const char *project_id,
                          const struct accel_page *page, struct accel_bump *mem,
                          struct accel_job **jobs, size_t *count, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_reader_end) struct accel_reader reader = {0};
    struct accel_rows rows = {.mem = mem, .element = sizeof(struct accel_job)};
    int64_t start = 0;
    sqlite3_stmt *stmt;
    int rc = accel_reader_begin(store, &reader, err);

    if (rc == ACCEL_OK)
        rc = accel_page_start(reader.db, page, "SELECT id FROM jobs WHERE uuid = ?", &start, err);
    if (rc == ACCEL_OK)
        rc =
            accel_db_query(reader.db, &stmt, err,
                           ACCEL_PAGED(page, "SELECT " COLUMNS " FROM jobs", "id",
                                       " AND (?2 IS NULL OR state = ?2)"
                                       " AND (?3 IS NULL OR project_id IS NULL OR project_id = ?3)",
                                       "?4"),
                           "issi", start, state, project_id, accel_page_limit(page));
    if (rc != ACCEL_OK)
        return rc;
    while (accel_db_row(reader.db, stmt, &rc, err)) {
        struct accel_job *job = accel_rows_add(&rows);
        rc = job != NULL ? read_job(stmt, mem, job) : ACCEL_E_NOMEM;
    }
    *jobs = rows.items;
    *count = rows.count;
    return rc == ACCEL_E_NOMEM ? accel_store_nomem(err) : rc;
}

int accel_store_get_job(struct accel_store *store, const struct accel_uuid *uuid,
                        struct accel_bump *mem, struct accel_job *job, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_reader_end) struct accel_reader reader = {0};
    int rc = accel_reader_begin(store, &reader, err);

    return rc == ACCEL_OK ? get(reader.db, uuid, mem, job, err) : rc;
}

int accel_store_list_job_lines(struct accel_store *store, const struct accel_uuid *uuid,
                               int64_t after, struct accel_bump *mem, struct accel_job_line **lines,
                               size_t *count, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_reader_end) struct accel_reader reader = {0};
    struct accel_rows rows = {.mem = mem, .element = sizeof(struct accel_job_line)};
    sqlite3_stmt *stmt;
    int rc = accel_reader_begin(store, &reader, err);

    if (rc == ACCEL_OK)
        rc = accel_db_query(reader.db, &stmt, err,
                            "SELECT number, at, l.text FROM job_lines l JOIN jobs j"
                            " ON j.id = l.job_id WHERE j.uuid = ? AND number > ? ORDER BY number",
                            "si", uuid->text, after);
    if (rc != ACCEL_OK)
        return rc;
    while (accel_db_row(reader.db, stmt, &rc, err)) {
        struct accel_job_line *line = accel_rows_add(&rows);
        if (line == NULL) {
            rc = ACCEL_E_NOMEM;
            continue;
        }
        line->number = sqlite3_column_int64(stmt, 0);
        line->at = accel_db_text(stmt, 1, mem, &rc);
        line->text = accel_db_text(stmt, 2, mem, &rc);
    }
    *lines = rows.items;
    *count = rows.count;
    return rc == ACCEL_E_NOMEM ? accel_store_nomem(err) : rc;
}

int accel_store_cancel_job(struct accel_store *store, const struct accel_uuid *uuid,
                           struct accel_error *err)
{
    ACCEL_CLEANUP(accel_tx_end) struct accel_tx tx = {0};
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_job job;
    int rc = accel_tx_begin(store, &tx, err);

    if (rc == ACCEL_OK)
        rc = get(tx.db, uuid, &mem, &job, err);
    if (rc == ACCEL_OK && has_ended(job.state))
        return accel_fail(err, ACCEL_E_CONFLICT, "job %s has ended: %s", uuid->text, job.state);
    if (rc == ACCEL_OK && job.cancel_requested)
        return ACCEL_OK;
    if (rc == ACCEL_OK)
        rc = accel_db_exec(tx.db, err,
                           "UPDATE jobs SET cancel_requested = 1, updated_at = ? WHERE id = ?",
                           "si", tx.now, job.id);
    if (rc == ACCEL_OK)
        rc = accel_tx_event_about(&tx, "job.changed", uuid->text, job.project_id, "cancel",
                                  "requested", err);
    return rc == ACCEL_OK ? accel_tx_commit(&tx, err) : rc;
}

int accel_store_fail_open_jobs(struct accel_store *store, const char *reason,
                               struct accel_error *err)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    static const char *const open_states[] = {"queued", "running"};
    int rc = ACCEL_OK;

    for (size_t s = 0; s < ACCEL_COUNT(open_states) && rc == ACCEL_OK; s++) {
        struct accel_job *jobs;
        size_t count;
        rc = accel_store_list_jobs(store, open_states[s], NULL, NULL, &mem, &jobs, &count, err);
        for (size_t i = 0; i < count && rc == ACCEL_OK; i++)
            rc = accel_store_update_job(store, &jobs[i].uuid, "failed", -1, reason, NULL, err);
    }
    return rc;
}
