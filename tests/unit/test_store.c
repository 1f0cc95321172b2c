/* SPDX-License-Identifier: Apache-2.0 */
/* The file itself: opening, migrating, backups, full disks, sudden ends. */
#include "store_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "store/migrate.h"

static int open_path(const char *path, struct accel_store **store)
{
    const struct accel_store_options options = {.path = path, .hostname = HOST};

    err.msg[0] = '\0';
    return accel_store_open(&options, store, &err);
}

/* Runs SQL on the file, past the store. */
static void run_sql(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    char *message = NULL;

    if (sqlite3_open(path, &db) != SQLITE_OK ||
        sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
        printf("# %s: %s\n", path, message != NULL ? message : "cannot open");
    sqlite3_free(message);
    sqlite3_close(db);
}

static long long ask_sql(const char *path, const char *sql)
{
    sqlite3_stmt *stmt = NULL;
    sqlite3 *db = NULL;
    long long value = -1;

    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK &&
        sqlite3_step(stmt) == SQLITE_ROW)
        value = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return value;
}

static bool exists(const char *suffix)
{
    char path[160];

    snprintf(path, sizeof(path), "%s%s", database, suffix);
    return access(path, F_OK) == 0;
}

/* ---------------------------------------------------------------- opening */

static void opens_what_it_made(void)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_store *store = new_store(), *second = NULL;
    struct accel_uuid uuid;
    struct stat about;

    ok(store != NULL, "an empty folder becomes a database");
    scan_one(store);
    uuid = first_device(store, &mem).uuid;
    fine(accel_store_ping(store, &err), "the writer answers");
    ok(open_path(database, &second) == ACCEL_E_BUSY, "a second daemon is refused: %s", err.msg);
    accel_store_close(store);
    ok(!exists("-wal"), "a clean end leaves no log behind");
    ok(stat(database, &about) == 0 && (about.st_mode & 0077) == 0, "nobody else may read it");
    ok(ask_sql(database, "PRAGMA application_id") == ACCEL_APPLICATION_ID, "it says whose it is");
    store = open_store();
    ok(store != NULL && strcmp(first_device(store, &mem).uuid.text, uuid.text) == 0,
       "what was recorded is there again");
    ok(!exists(".1.bak"), "no backup is made where nothing is migrated");
    accel_store_close(store);
}

static void refuses_what_it_cannot_use(void)
{
    struct accel_store *store = NULL;
    char path[160];

    new_folder();
    snprintf(path, sizeof(path), "%s/none/acceld.db", folder);
    ok(open_path(path, &store) == ACCEL_E_NOT_FOUND, "a missing folder: %s", err.msg);
    ok(open_path("/sys/acceld.db", &store) == ACCEL_E_DENIED, "a folder not to write in: %s",
       err.msg);
    run_sql(database, "CREATE TABLE songs (name TEXT); PRAGMA user_version = 1");
    ok(open_path(database, &store) == ACCEL_E_CONFLICT, "another program's database: %s", err.msg);
    ok(ask_sql(database, "SELECT count(*) FROM sqlite_schema") == 1, "which is left as it was");
    new_folder();
    FILE *file = fopen(database, "w");
    for (int i = 0; i < 1000; i++)
        fputs("this is no database\n", file);
    fclose(file);
    ok(open_path(database, &store) == ACCEL_E_CORRUPT, "no database at all: %s", err.msg);
    store = new_store();
    accel_store_close(store);
    run_sql(database, "PRAGMA user_version = 999");
    ok(open_path(database, &store) == ACCEL_E_CONFLICT && strstr(err.msg, "999") != NULL,
       "a newer schema: %s", err.msg);
    ok(ask_sql(database, "PRAGMA user_version") == 999, "which is left as it was");
}

static void notices_damage_after_a_crash(void)
{
    struct made_device m[40];
    struct accel_scan_device devices[40];
    struct accel_store *store = new_store();
    char path[160], junk[512];

    for (unsigned i = 0; i < 40; i++) {
        make_device(&m[i], i);
        devices[i] = m[i].device;
    }
    scan(store, "card", 50, devices, 40);
    accel_store_close(store);
    const int fd = open(database, O_RDWR);
    memset(junk, 0xa5, sizeof(junk));
    ok(pwrite(fd, junk, sizeof(junk), 4096 * 3) == sizeof(junk), "a page is spoilt");
    close(fd);
    snprintf(path, sizeof(path), "%s-wal", database);
    FILE *wal = fopen(path, "w");
    fputs("left by a crash", wal);
    fclose(wal);
    ok(open_path(database, &store) == ACCEL_E_CORRUPT, "the next start says so: %s", err.msg);
}

/* ---------------------------------------------------------------- migrating */

static const struct accel_migration made_up[] = {
    {1, "0001_first", "CREATE TABLE a (x INTEGER) STRICT; INSERT INTO a VALUES (7);"},
    {2, "0002_second", "ALTER TABLE a ADD COLUMN y TEXT; UPDATE a SET y = 'new';"},
    {3, "0003_third", "CREATE TABLE b (x INTEGER) STRICT; INSERT INTO b VALUES ('no number');"},
};

static int migrate_to(size_t count)
{
    struct accel_db db;
    int rc = accel_db_open(database, ACCEL_DB_WRITER, &db, &err);

    if (rc == ACCEL_OK)
        rc = accel_db_migrate(&db, database, made_up, count, &err);
    accel_db_close(&db);
    return rc;
}

static void migrates_step_by_step(void)
{
    char path[160];

    new_folder();
    fine(migrate_to(1), "an empty file gets the first schema");
    ok(!exists(".0.bak"), "there was nothing to back up");
    fine(migrate_to(2), "then the second");
    ok(ask_sql(database, "PRAGMA user_version") == 2 &&
           ask_sql(database, "SELECT x FROM a WHERE y = 'new'") == 7,
       "the rows are migrated");
    snprintf(path, sizeof(path), "%s.1.bak", database);
    ok(ask_sql(path, "PRAGMA user_version") == 1 && ask_sql(path, "SELECT x FROM a") == 7,
       "the backup is the database before");
    ok(!exists(".1.bak.part"), "and whole");
    ok(migrate_to(3) != ACCEL_OK, "a migration that fails is refused: %s", err.msg);
    ok(ask_sql(database, "PRAGMA user_version") == 2 &&
           ask_sql(database, "SELECT count(*) FROM sqlite_schema WHERE name = 'b'") == 0,
       "and leaves the schema before it");
    fine(migrate_to(2), "which opens as before");
    ok(migrate_to(1) == ACCEL_E_CONFLICT, "an older program refuses it: %s", err.msg);
}

/* tests/fixtures/schema/NNNN.sql is a dump of each schema that was released, with rows. */
static void migrates_every_released_schema(void)
{
    DIR *dir = opendir("tests/fixtures/schema");
    unsigned found = 0;

    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
        struct accel_store *store = NULL;
        char path[512], *sql = NULL;
        if (strstr(entry->d_name, ".sql") == NULL)
            continue;
        found++;
        new_folder();
        snprintf(path, sizeof(path), "tests/fixtures/schema/%s", entry->d_name);
        fine(accel_read_file(path, 1 << 20, &sql, NULL, &err), "%s can be read", path);
        run_sql(database, sql != NULL ? sql : "");
        accel_free(sql);
        fine(open_path(database, &store), "%s becomes the newest schema", path);
        if (store == NULL)
            continue;
        const struct accel_device d = first_device(store, &mem);
        ok(d.id != 0 && strcmp(d.identity, "pci:0000:3b:00.0") == 0, "its device is there");
        ok(first_deployable(store, &mem).in_use == 1, "one handle is held");
        ok(scan_one(store).unchanged == 1, "a scan finds what it found then");
        accel_store_close(store);
    }
    if (dir != NULL)
        closedir(dir);
    ok(found >= 1, "%u released schemas were tried", found);
}

static void backs_up_while_it_runs(void)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_store *store = new_store(), *copy = NULL;
    char path[160];

    scan_one(store);
    snprintf(path, sizeof(path), "%s/copy.db", folder);
    fine(accel_store_backup(store, path, &err), "a backup of the live database");
    ok(accel_store_backup(store, path, &err) == ACCEL_E_EXISTS, "it replaces nothing");
    scan_nothing(store);
    fine(open_path(path, &copy), "it opens");
    ok(strcmp(first_device(copy, &mem).identity, "pci:0000:3b:00.0") == 0,
       "and has what was there at the time");
    accel_store_close(copy);
    accel_store_close(store);
}

/* ---------------------------------------------------------------- commits and events */

static void note_commit(void *context, int64_t sequence)
{
    *(int64_t *)context = sequence;
}

static void tells_of_commits_with_events(void)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_store *store = new_store();
    const struct accel_event_filter other = {"other", NULL}, project = {"project", NULL};
    const struct accel_event_filter modules = {NULL, "module."}, none = {NULL, "module.x"};
    struct accel_event *events;
    int64_t heard = 0, oldest = -1, newest = -1;
    size_t count;

    fine(accel_store_event_span(store, &oldest, &newest, &err), "the span of no events");
    ok(oldest == 0 && newest == 0, "is zero");

    accel_store_on_commit(store, note_commit, &heard);
    fine(accel_store_ping(store, &err), "a ping");
    ok(heard == 0, "is no news");
    fine(accel_store_add_event(store, "module.quarantined", "pci", NULL, "{\"n\": 3}", &err),
         "an event of its own");
    ok(heard == 1 && last_sequence(store) == 1, "is heard with its sequence");
    ok(accel_store_add_event(store, "x", "y", NULL, "no json", &err) != ACCEL_OK,
       "its data must be JSON: %s", err.msg);
    ok(heard == 1 && last_sequence(store) == 1, "what was rolled back is not heard");
    fine(accel_store_add_event(store, "b", "y", "project", NULL, &err), "one of a project");
    fine(accel_store_list_events(store, 0, 0, &other, &mem, &events, &count, &err),
         "another project");
    ok(count == 1 && events[0].sequence == 1 && strcmp(events[0].node, HOST) == 0,
       "sees what is for everybody");
    fine(accel_store_list_events(store, 1, 0, &project, &mem, &events, &count, &err),
         "the project, having seen the first,");
    ok(count == 1 && events[0].sequence == 2 && strcmp(events[0].data, "{}") == 0, "sees its own");
    fine(accel_store_list_events(store, 0, 0, &modules, &mem, &events, &count, &err), "a prefix");
    ok(count == 1 && events[0].sequence == 1, "picks what begins so");
    fine(accel_store_list_events(store, 0, 0, &none, &mem, &events, &count, &err), "a longer one");
    ok(count == 0, "picks nothing");
    fine(accel_store_event_span(store, &oldest, &newest, &err), "the span");
    ok(oldest == 1 && newest == 2, "goes from the oldest to the newest");
    accel_store_close(store);
    store = open_store();
    fine(accel_store_add_event(store, "c", "y", NULL, NULL, &err), "one after a restart");
    ok(last_sequence(store) == 3, "the sequence goes on");
    accel_store_close(store);
}

static void keeps_a_window_of_events(void)
{
    struct accel_store *store = new_store();
    int64_t oldest, newest;

    accel_store_close(store);
    run_sql(database, "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
                      " WHERE i < 101999) INSERT INTO events (sequence, node, at, kind, subject, "
                      "data) SELECT i, '" HOST "', '2026', 'fill', 'x', '{}' FROM n");
    store = open_store();
    fine(accel_store_event_span(store, &oldest, &newest, &err), "102 thousand events less one");
    ok(oldest == 1 && newest == 101999, "are there");
    fine(accel_store_add_event(store, "fill", "x", NULL, NULL, &err), "one more");
    fine(accel_store_event_span(store, &oldest, &newest, &err), "lets go of the old ones");
    ok(oldest == 2001 && newest == 102000, "down to a hundred thousand");
    accel_store_close(store);
}

/* ---------------------------------------------------------------- a full disk */

static void a_full_disk_changes_nothing(void)
{
    struct accel_store *store = new_store();
    struct rlimit before, limit;
    struct accel_counts counts;
    struct stat about;
    char path[160];
    int rc = ACCEL_OK;
    unsigned done = 0;

    scan_one(store);
    snprintf(path, sizeof(path), "%s-wal", database);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    stat(path, &about);
    limit = before;
    limit.rlim_cur = (rlim_t)about.st_size + 20 * 4096;
    fflush(stdout);
    setrlimit(RLIMIT_FSIZE, &limit);
    while (rc == ACCEL_OK && done < 10000) {
        rc = accel_store_add_event(store, "fill", "x", NULL, NULL, &err);
        done += rc == ACCEL_OK;
    }
    setrlimit(RLIMIT_FSIZE, &before);
    ok(rc == ACCEL_E_NO_SPACE, "after %u events the disk is full: %s", done, err.msg);
    ok(events_of(store, "fill", 0) == done, "what was acknowledged is there, the rest is not");
    fine(accel_store_counts(store, &counts, &err), "it can be read");
    ok(counts.devices == 1 && counts.handles == 2, "the rest is as it was");
    const int64_t sequence = last_sequence(store);
    fine(accel_store_add_event(store, "fill", "x", NULL, NULL, &err), "with room it goes on");
    ok(last_sequence(store) == sequence + 1, "without a hole in the sequence");
    accel_store_close(store);
    store = open_store();
    ok(store != NULL && last_sequence(store) == sequence + 1, "and opens again");
    accel_store_close(store);
}

/* ---------------------------------------------------------------- kill -9 */

/* Makes, binds, unbinds and deletes ARQs until it is killed; writes a byte to `out` for each ARQ it
 * knows to be made and kept. */
static void busy_child(int out)
{
    struct accel_store *store = open_store();
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    const struct accel_deployable p = first_deployable(store, &mem);
    struct accel_device_profile profile;
    struct accel_profile_group group = {.arqs = 1};

    if (accel_store_get_profile(store, "kept", &mem, &profile, &err) != ACCEL_OK)
        _exit(1);
    for (unsigned n = 0;; n++) {
        ACCEL_CLEANUP(accel_bump_free) struct accel_bump scratch = {0};
        struct accel_arq *arqs;
        size_t count, missing;
        int64_t intent;
        char instance[32];
        if (accel_store_add_arqs(store, &profile, &group, 1, NULL, &scratch, &arqs, &count, &err) !=
            ACCEL_OK)
            _exit(1);
        snprintf(instance, sizeof(instance), "i-%d-%u", (int)getpid(), n);
        struct accel_bind_request request = bind_to(&arqs[0].uuid, &p, instance);
        if (accel_store_bind_begin(store, &request, 1, &intent, &err) == ACCEL_OK)
            accel_store_bind_end(store, intent, n % 3 == 0 ? "made to fail" : NULL, &err);
        if (n % 2 == 0)
            accel_store_unbind(store, &arqs[0].uuid, 1, &err);
        if (n % 4 != 0) {
            accel_store_delete_arqs(store, &arqs[0].uuid, 1, &missing, &err);
        } else if (write(out, arqs[0].uuid.text, 36) != 36) {
            _exit(1);
        }
    }
}

/* ARQs that hold a handle without being bound, and bound ones that hold none. */
static long long inconsistent(void)
{
    return ask_sql(database,
                   "SELECT (SELECT count(*) FROM attach_handles h LEFT JOIN arqs a"
                   " ON a.id = h.arq_id WHERE h.arq_id IS NOT NULL"
                   " AND coalesce(a.state, '') NOT IN ('BindStarted', 'Bound'))"
                   " + (SELECT count(*) FROM arqs a WHERE state IN ('BindStarted', 'Bound')"
                   " AND NOT EXISTS (SELECT 1 FROM attach_handles WHERE arq_id = a.id))"
                   " + (SELECT count(*) FROM arqs a WHERE state = 'BindStarted' AND NOT EXISTS"
                   " (SELECT 1 FROM intents i, json_each(i.data, '$.arqs') j"
                   " WHERE j.value = a.uuid))");
}

static void settle(struct accel_store *store)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_intent *intents;
    size_t count;

    fine(accel_store_list_intents(store, &mem, &intents, &count, &err), "intents are listed");
    for (size_t i = 0; i < count; i++)
        fine(accel_store_bind_end(store, intents[i].id, "the daemon ended", &err),
             "an open intent is settled");
}

static void survives_kill_9(void)
{
    enum { ROUNDS = 12 };
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_store *store = new_store();
    struct accel_new_profile from = {.name = "kept", .groups = "[{\"resources:FPGA\": \"1\"}]"};
    struct accel_device_profile profile;
    unsigned acknowledged = 0, lost = 0, seed = 7;

    scan_one(store);
    fine(accel_store_add_profile(store, &from, &mem, &profile, &err), "a profile");
    accel_store_close(store);
    for (int round = 0; round < ROUNDS; round++) {
        int out[2];
        char text[37] = "";
        if (pipe(out) != 0)
            abort();
        fflush(stdout);
        const pid_t child = fork();
        if (child == 0) {
            close(out[0]);
            busy_child(out[1]);
        }
        close(out[1]);
        struct accel_uuid seen[64];
        unsigned count = 0;
        /* Dies somewhere after its first few ARQs, at a moment that nobody chose. */
        const unsigned until = 1 + (unsigned)rand_r(&seed) % 5;
        while (count < until && read(out[0], text, 36) == 36)
            memcpy(seen[count++].text, text, sizeof(text));
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        while (count < ACCEL_COUNT(seen) && read(out[0], text, 36) == 36)
            memcpy(seen[count++].text, text, sizeof(text));
        close(out[0]);
        ok(inconsistent() == 0, "after kill %d nothing is held by nobody", round + 1);
        store = open_store();
        settle(store);
        acknowledged += count;
        for (unsigned i = 0; i < count; i++) {
            struct accel_arq arq;
            lost += accel_store_get_arq(store, &seen[i], &mem, &arq, &err) != ACCEL_OK;
        }
        ok(inconsistent() == 0 && ask_sql(database, "SELECT count(*) FROM intents") == 0,
           "nor after settling");
        fine(accel_store_keep_modules(store, NULL, 0, &err), "the card goes");
        scan_one(store);
        ACCEL_CLEANUP(accel_bump_free) struct accel_bump page = {0};
        struct accel_arq *arqs;
        size_t left, missing;
        fine(accel_store_list_arqs(store, NULL, NULL, &page, &arqs, &left, &err),
             "ARQs are listed");
        for (size_t i = 0; i < left; i++)
            accel_store_delete_arqs(store, &arqs[i].uuid, 1, &missing, &err);
        accel_store_close(store);
    }
    ok(lost == 0 && acknowledged >= ROUNDS, "of %u acknowledged ARQs %u were lost", acknowledged,
       lost);
}

/* With ACCELD_DUMP_SCHEMA=FILE: makes the rows that a dump of a released schema is to have. */
static void fill_for_dump(const char *path)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_store *store = NULL;
    struct accel_uuid arqs[2];
    struct accel_attribute attribute;
    struct accel_model_record model = {.name = "mnist",
                                       .project_id = "project",
                                       .sha256 = "00",
                                       .size_bytes = 1,
                                       .file = "00",
                                       .analysis = "{}",
                                       .runnable = true};
    struct accel_rate rate = {
        .kind = ACCEL_KIND_CONV, .precision = ACCEL_DTYPE_FLOAT, .flops_per_s = 1e9};
    struct accel_measurement measured = {.threads = 1, .shape = "x=1", .run_s = 0.5};
    struct accel_job job;
    int64_t intent;

    fine(open_path(path, &store), "a database to dump");
    scan_one(store);
    make_arqs(store, "p", 2, arqs);
    const struct accel_deployable p = first_deployable(store, &mem);
    struct accel_bind_request request = bind_to(&arqs[0], &p, "i-1");
    fine(accel_store_bind_begin(store, &request, 1, &intent, &err), "a bind");
    fine(accel_store_bind_end(store, intent, NULL, &err), "ends");
    fine(accel_store_add_attribute(store, p.id, "k", "v", &mem, &attribute, &err), "an attribute");
    fine(accel_store_add_model(store, &model, &mem, &model, &err), "a model");
    fine(accel_store_put_rates(store, p.device_id, "1", 1, &rate, 1, &err), "a rate");
    measured.model = model.uuid;
    measured.device_id = p.device_id;
    fine(accel_store_add_measurement(store, &measured, &err), "a measurement");
    fine(accel_store_add_job(store, "calibrate", NULL, NULL, &mem, &job, &err), "a job");
    fine(accel_store_update_job(store, &job.uuid, "succeeded", 100, "done", "{}", &err), "ends");
    accel_store_close(store);
}

int main(void)
{
    const char *dump = getenv("ACCELD_DUMP_SCHEMA");

    if (dump != NULL) {
        fill_for_dump(dump);
        return tap_done();
    }
    opens_what_it_made();
    refuses_what_it_cannot_use();
    notices_damage_after_a_crash();
    migrates_step_by_step();
    migrates_every_released_schema();
    backs_up_while_it_runs();
    tells_of_commits_with_events();
    keeps_a_window_of_events();
    a_full_disk_changes_nothing();
    survives_kill_9();
    return tap_done();
}
