/* SPDX-License-Identifier: Apache-2.0 */
#include "service_fixture.h"

static struct accel_bump mem;

static int64_t models_recorded(struct world *w)
{
    struct accel_counts counts = {0};
    struct accel_error err;

    (void)accel_store_counts(w->store, &counts, &err);
    return counts.models;
}

static void put_records_what_the_worker_found(struct node *n)
{
    struct accel_model_record m = {0}, again = {0};
    struct accel_error err = {0};

    ok(put_text(&n->world, &alice, "net", 0, false, "good one", &mem, &m, &err) == ACCEL_OK,
       "a model is put %s", err.msg);
    ok(m.model_version == 1 && m.runnable && m.size_bytes == 8 &&
           strcmp(m.project_id, alice.project_id) == 0 && strlen(m.sha256) == 64,
       "as version 1 of its project, with its SHA-256");
    ok(model_files(&n->world) == 1, "one file lies below models");
    ok(put_text(&n->world, &alice, "net", 0, false, "good two", &mem, &m, &err) == ACCEL_OK &&
           m.model_version == 2,
       "the next one is version 2");
    ok(accel_service_get_model(n->world.service, &alice, "net", 0, &mem, &again, &err) ==
               ACCEL_OK &&
           again.model_version == 2,
       "which is what one gets without naming a version");
    ok(accel_service_get_model(n->world.service, &bob, "net", 0, &mem, &again, &err) ==
           ACCEL_E_NOT_FOUND,
       "another project does not see it: %s", err.msg);
    ok(accel_service_get_model(n->world.service, &admin, "net", 1, &mem, &again, &err) == ACCEL_OK,
       "an admin does");
    ok(put_text(&n->world, &bob, "net", 0, false, "good", &mem, &m, &err) == ACCEL_E_CONFLICT,
       "nor may another project add a version: %s", err.msg);
}

static void a_put_that_fails_leaves_nothing(struct node *n)
{
    const unsigned files = model_files(&n->world);
    const int64_t rows = models_recorded(&n->world);
    struct accel_model_record m;
    struct accel_error err = {0};

    ok(put_text(&n->world, &alice, "b", 0, false, "bad", &mem, &m, &err) == ACCEL_E_INVALID &&
           strstr(err.msg, "node x") != NULL,
       "what is not ONNX is refused: %s", err.msg);
    ok(put_text(&n->world, &alice, "b", 0, false, "foreign", &mem, &m, &err) == ACCEL_E_UNSUPPORTED,
       "so are operators the core lacks: %s", err.msg);
    ok(put_text(&n->world, &alice, "b", 0, false, "", &mem, &m, &err) == ACCEL_E_INVALID,
       "and an empty file: %s", err.msg);
    ok(put_text(&n->world, &alice, "../b", 0, false, "good", &mem, &m, &err) == ACCEL_E_INVALID,
       "and a name that is a path: %s", err.msg);
    ok(put_text(&n->world, &alice, "net", 1, false, "good", &mem, &m, &err) == ACCEL_E_EXISTS,
       "and a version that is there: %s", err.msg);
    ok(model_files(&n->world) == files && models_recorded(&n->world) == rows,
       "none of them left a file or a row behind");
    ok(put_text(&n->world, &alice, "b", 0, true, "foreign", &mem, &m, &err) == ACCEL_OK &&
           !m.runnable,
       "for placement alone foreign operators are taken %s", err.msg);
}

static void a_model_that_kills_its_worker_costs_that_request(struct node *n)
{
    const unsigned files = model_files(&n->world);
    struct accel_model_record m;
    struct accel_error err = {0};

    ok(put_text(&n->world, &alice, "killer", 0, false, "die", &mem, &m, &err) ==
           ACCEL_E_UNAVAILABLE,
       "the request gets an error: %s", err.msg);
    ok(model_files(&n->world) == files, "and nothing is left of it");
    fake_report_down(&n->worker, "killed by signal 11 (Segmentation fault)", false);
    pthread_join(n->worker.thread, NULL);
    worker_start(&n->worker, &n->world, "1");
    ok(put_text(&n->world, &alice, "after", 0, false, "good", &mem, &m, &err) == ACCEL_OK,
       "the next worker takes the next model %s", err.msg);
}

static void a_start_removes_orphans_and_packs_again(struct node *n)
{
    const char *dir = n->world.dir;
    const unsigned files = model_files(&n->world);
    struct accel_error err = {0};
    char path[256];

    world_close(&n->world);
    pthread_join(n->worker.thread, NULL);
    pthread_join(n->cpu.thread, NULL);
    pthread_join(n->fake.thread, NULL);
    static const char *const orphans[] = {"0a0a0a0a-0000-4000-8000-000000000000.part",
                                          "0a0a0a0a-0000-4000-8000-000000000000.model", "README"};
    for (size_t i = 0; i < ACCEL_COUNT(orphans); i++) {
        snprintf(path, sizeof(path), "%s/models/%s", dir, orphans[i]);
        fclose(fopen(path, "w"));
    }
    world_open(&n->world, "");
    ok(model_files(&n->world) == files + 1,
       "files without a record are gone, what is not ours stays");

    n->worker.loads = 0;
    worker_start(&n->worker, &n->world, "1");
    module_start(&n->cpu, &n->world, "cpu", 1);
    module_start(&n->fake, &n->world, "fake", 1);
    until(is_ready(&n->world));
    ok(accel_service_warm_model(n->world.service, &alice, "net", 2, &err) == ACCEL_OK &&
           fake_count(&n->worker, &n->worker.loads) == 1,
       "after a start a model is packed again when it is asked for %s", err.msg);
    ok(accel_service_warm_model(n->world.service, &alice, "net", 2, &err) == ACCEL_OK &&
           fake_count(&n->worker, &n->worker.loads) == 1,
       "once");
    ok(accel_service_warm_model(n->world.service, &alice, "b", 0, &err) == ACCEL_E_UNSUPPORTED,
       "one for placement alone never: %s", err.msg);

    struct accel_model_record m;
    (void)accel_service_get_model(n->world.service, &alice, "net", 1, &mem, &m, &err);
    snprintf(path, sizeof(path), "%s/models/%s", dir, m.file);
    FILE *f = fopen(path, "w");
    fputs("good but another", f);
    fclose(f);
    ok(accel_service_warm_model(n->world.service, &alice, "net", 1, &err) == ACCEL_E_CORRUPT,
       "a file that was changed is refused: %s", err.msg);
}

static void delete_takes_row_and_file(struct node *n)
{
    const unsigned files = model_files(&n->world);
    struct accel_error err = {0};

    ok(accel_service_delete_model(n->world.service, &bob, "net", 0, &err) == ACCEL_E_NOT_FOUND,
       "not another project's");
    ok(accel_service_delete_model(n->world.service, &alice, "net", 0, &err) == ACCEL_OK &&
           model_files(&n->world) == files - 2,
       "both versions go with their files %s", err.msg);
    ok(accel_service_delete_model(n->world.service, &alice, "net", 0, &err) == ACCEL_E_NOT_FOUND,
       "once");
}

static void survives_every_failed_allocation(struct node *n)
{
    const unsigned files = model_files(&n->world);
    const int64_t rows = models_recorded(&n->world);

    for (long nth = 0;; nth++) {
        struct accel_model_record m;
        struct accel_error err = {0};

        accel_fault_arm(nth);
        const int rc = put_text(&n->world, &alice, "f", 0, false, "good", &mem, &m, &err);
        if (!accel_fault_disarm()) {
            ok(rc == ACCEL_OK && model_files(&n->world) == files + 1, "puts once memory suffices");
            return;
        }
        if (rc == ACCEL_OK) { /* the cache did without */
            (void)accel_service_delete_model(n->world.service, &alice, "f", 0, &err);
            continue;
        }
        if (rc != ACCEL_E_NOMEM || model_files(&n->world) != files ||
            models_recorded(&n->world) != rows)
            ok(false, "allocation %ld failed: %s, %u files", nth, err.msg, model_files(&n->world));
    }
}

int main(void)
{
    struct node n;

    accel_log_init("test", ACCEL_LOG_ERROR);
    node_new(&n, "", 1);
    put_records_what_the_worker_found(&n);
    a_put_that_fails_leaves_nothing(&n);
    a_model_that_kills_its_worker_costs_that_request(&n);
    a_start_removes_orphans_and_packs_again(&n);
    survives_every_failed_allocation(&n);
    delete_takes_row_and_file(&n);
    node_free(&n);
    accel_bump_free(&mem);
    return tap_done();
}
