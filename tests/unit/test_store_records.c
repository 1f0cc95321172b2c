/* SPDX-License-Identifier: Apache-2.0 */
/* Models, jobs, calibration and measurements. */
#include "store_fixture.h"

#include <math.h>

static struct accel_model_record add_model(struct accel_store *store, struct accel_bump *mem,
                                           const char *name, int64_t version, const char *file,
                                           int expect)
{
    const struct accel_model_record from = {.name = name,
                                            .model_version = version,
                                            .project_id = "project",
                                            .sha256 = "ab",
                                            .size_bytes = 7,
                                            .file = file,
                                            .analysis = "{}",
                                            .runnable = true};
    struct accel_model_record model = {0};
    const int rc = accel_store_add_model(store, &from, mem, &model, &err);

    ok(rc == expect, "model %s version %lld: %s", name, (long long)version,
       rc == ACCEL_OK ? "added" : err.msg);
    return model;
}

static void models_have_versions(void)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_store *store = new_store();
    struct accel_model_record model, *list;
    const char **files;
    size_t count;

    model = add_model(store, &mem, "a", 0, "f1", ACCEL_OK);
    ok(model.model_version == 1 && model.uuid.text[0] != '\0', "the first is version 1");
    model = add_model(store, &mem, "a", 0, "f2", ACCEL_OK);
    ok(model.model_version == 2, "the next is version 2");
    add_model(store, &mem, "a", 2, "f2", ACCEL_E_EXISTS);
    add_model(store, &mem, "a", 9, "f1", ACCEL_OK);
    add_model(store, &mem, "b", 0, "f2", ACCEL_OK);
    fine(accel_store_get_model(store, "a", 0, &mem, &model, &err), "the newest");
    ok(model.model_version == 9, "is 9");
    ok(accel_store_get_model(store, "a", 3, &mem, &model, &err) == ACCEL_E_NOT_FOUND, "%s",
       err.msg);
    ok(accel_store_get_model(store, "z", 0, &mem, &model, &err) == ACCEL_E_NOT_FOUND, "%s",
       err.msg);
    fine(accel_store_list_models(store, NULL, NULL, NULL, &mem, &list, &count, &err), "all models");
    ok(count == 2 && list[0].model_version == 9 && strcmp(list[1].name, "b") == 0,
       "the newest of each");
    fine(accel_store_list_models(store, "a", NULL, NULL, &mem, &list, &count, &err),
         "one's versions");
    ok(count == 3 && list[0].model_version == 9 && list[2].model_version == 1, "newest first");
    struct accel_page page = {.limit = 1, .marker = &list[0].uuid};
    struct accel_model_record *next;
    fine(accel_store_list_models(store, "a", NULL, &page, &mem, &next, &count, &err), "a page");
    ok(count == 1 && next[0].model_version == 2, "behind its marker");
    fine(accel_store_list_models(store, NULL, "other", NULL, &mem, &list, &count, &err),
         "a stranger");
    ok(count == 0, "sees none");
    fine(accel_store_delete_model(store, "a", 1, &mem, &files, &count, &err),
         "version 1 is deleted");
    ok(count == 0, "its file is version 9's too");
    fine(accel_store_delete_model(store, "a", 0, &mem, &files, &count, &err), "all are deleted");
    ok(count == 1 && strcmp(files[0], "f1") == 0, "one file is nobody's any more, one is b's");
    ok(accel_store_delete_model(store, "a", 0, &mem, &files, &count, &err) == ACCEL_E_NOT_FOUND,
       "%s", err.msg);
    ok(events_of(store, "model.added", 0) == 4 && events_of(store, "model.deleted", 0) == 2,
       "events tell of it");
    accel_store_close(store);
}

static void jobs_run_and_end(void)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_store *store = new_store();
    struct accel_job job, other, *list;
    struct accel_job_line *lines;
    size_t count;

    fine(accel_store_add_job(store, "calibrate", "cpu:0", "project", &mem, &job, &err), "a job");
    ok(strcmp(job.state, "queued") == 0 && job.progress == 0 && job.finished_at == NULL,
       "it is queued");
    fine(accel_store_update_job(store, &job.uuid, "running", 0, "starting", NULL, &err), "it runs");
    const int64_t sequence = last_sequence(store);
    for (int i = 1; i <= 50; i++)
        accel_store_update_job(store, &job.uuid, NULL, i, NULL, NULL, &err);
    ok(last_sequence(store) == sequence, "progress is no news");
    fine(accel_store_update_job(store, &job.uuid, NULL, 60, "conv", NULL, &err),
         "it says something");
    fine(accel_store_cancel_job(store, &job.uuid, &err), "somebody cancels it");
    fine(accel_store_get_job(store, &job.uuid, &mem, &job, &err), "it can be read");
    ok(job.cancel_requested && strcmp(job.state, "running") == 0 && job.progress == 60 &&
           strcmp(job.text, "conv") == 0,
       "it runs still, and knows");
    fine(accel_store_update_job(store, &job.uuid, "succeeded", 100, NULL, "{\"n\": 1}", &err),
         "it ends");
    fine(accel_store_get_job(store, &job.uuid, &mem, &job, &err), "it can be read");
    ok(job.finished_at != NULL && strcmp(job.result, "{\"n\": 1}") == 0, "with a result");
    ok(accel_store_cancel_job(store, &job.uuid, &err) == ACCEL_E_CONFLICT, "%s", err.msg);
    ok(accel_store_update_job(store, &job.uuid, "running", 0, NULL, NULL, &err) == ACCEL_E_CONFLICT,
       "%s", err.msg);
    fine(accel_store_list_job_lines(store, &job.uuid, 0, &mem, &lines, &count, &err), "its lines");
    ok(count == 2 && lines[0].number == 1 && strcmp(lines[1].text, "conv") == 0, "are two");
    fine(accel_store_list_job_lines(store, &job.uuid, 1, &mem, &lines, &count, &err),
         "behind the first");
    ok(count == 1, "is one");
    fine(accel_store_add_job(store, "program", NULL, NULL, &mem, &other, &err), "another job");
    accel_store_close(store);
    store = open_store();
    fine(accel_store_fail_open_jobs(store, "the daemon ended", &err), "after a restart");
    fine(accel_store_list_jobs(store, "failed", NULL, NULL, &mem, &list, &count, &err),
         "failed jobs");
    ok(count == 1 && strcmp(list[0].uuid.text, other.uuid.text) == 0 &&
           strcmp(list[0].text, "the daemon ended") == 0,
       "the open one failed, with the reason");
    const struct accel_page newest = {.limit = 1, .newest_first = true};
    fine(accel_store_list_jobs(store, NULL, NULL, &newest, &mem, &list, &count, &err),
         "the newest");
    ok(count == 1 && strcmp(list[0].uuid.text, other.uuid.text) == 0, "is first");
    struct accel_uuid unknown = {"00000000-0000-4000-8000-000000000000"};
    ok(accel_store_get_job(store, &unknown, &mem, &job, &err) == ACCEL_E_NOT_FOUND, "%s", err.msg);
    accel_store_close(store);
}

static void rates_belong_to_a_driver_version(void)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_store *store = new_store();
    const struct accel_rate rates[] = {
        {.kind = ACCEL_KIND_CONV,
         .precision = ACCEL_DTYPE_FLOAT,
         .flops = 1e6,
         .bytes = 1e5,
         .flops_per_s = 2e11,
         .bytes_per_s = 1e10,
         .overhead_s = 1e-6,
         .spread = 0.1},
        {.kind = ACCEL_KIND_OTHER, .precision = ACCEL_DTYPE_INT8, .flops_per_s = 1}};
    struct accel_rate *got;
    const char *at;
    unsigned threads;
    size_t count;

    scan_one(store);
    const int64_t id = first_device(store, &mem).id;
    fine(accel_store_get_rates(store, id, "1.0", &mem, &got, &count, &threads, &at, &err),
         "before");
    ok(count == 0, "there are none");
    fine(accel_store_put_rates(store, id, "1.0", 4, rates, 2, &err), "two are put");
    fine(accel_store_get_rates(store, id, "1.0", &mem, &got, &count, &threads, &at, &err), "got");
    ok(count == 2 && threads == 4 && at != NULL && got[0].kind == ACCEL_KIND_CONV &&
           got[0].precision == ACCEL_DTYPE_FLOAT && got[0].flops_per_s == 2e11 &&
           got[0].overhead_s == 1e-6 && got[1].kind == ACCEL_KIND_OTHER,
       "as they were put");
    fine(accel_store_get_rates(store, id, "2.0", &mem, &got, &count, &threads, &at, &err),
         "of another driver");
    ok(count == 0, "there are none");
    fine(accel_store_put_rates(store, id, "1.0", 4, rates, 1, &err), "put again");
    fine(accel_store_get_rates(store, id, "1.0", &mem, &got, &count, &threads, &at, &err), "got");
    ok(count == 1, "they replace the first");
    scan_nothing(store);
    scan_one(store);
    fine(accel_store_get_rates(store, first_device(store, &mem).id, "1.0", &mem, &got, &count,
                               &threads, &at, &err),
         "after the device was away");
    ok(count == 1, "they are there still");
    ok(accel_store_put_rates(store, 999, "1.0", 4, rates, 1, &err) == ACCEL_E_NOT_FOUND,
       "no rates without a device: %s", err.msg);
    accel_store_close(store);
}

/* A client may make up as many shapes as it likes. */
static void keeps_the_most_frequent_shapes(struct accel_store *store,
                                           const struct accel_measurement *like)
{
    struct accel_measurement m = *like;
    struct accel_measured measured;
    char shape[ACCEL_RUN_SHAPE];
    int kept = 0;

    m.shape = shape;
    for (int i = 100; i < 200; i++) {
        snprintf(shape, sizeof(shape), "x=%dx4", i);
        fine(accel_store_add_measurement(store, &m, &err), "a run of shape %s", shape);
    }
    fine(accel_store_flush_measurements(store, &err), "all are written");
    for (int i = 100; i < 200; i++) {
        snprintf(shape, sizeof(shape), "x=%dx4", i);
        fine(accel_store_get_measured(store, &m.model, m.device_id, 2, shape, &measured, &err),
             "asked for");
        kept += measured.count > 0;
    }
    ok(kept == 63, "of a hundred shapes %d are kept", kept);
    fine(accel_store_get_measured(store, &m.model, m.device_id, 2, like->shape, &measured, &err),
         "and of the first");
    ok(measured.count == 4, "all runs, which were more");
}

static void measurements_are_folded(void)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_store *store = new_store();
    struct accel_measured measured;
    struct accel_measurement m = {.threads = 2, .shape = "x=1x4", .predicted_s = 2};
    struct stat before, after;
    char path[160];

    scan_one(store);
    m.model = add_model(store, &mem, "a", 0, "f", ACCEL_OK).uuid;
    m.device_id = first_device(store, &mem).id;
    snprintf(path, sizeof(path), "%s-wal", database);
    stat(path, &before);
    for (int i = 1; i <= 3; i++) {
        m.run_s = i;
        fine(accel_store_add_measurement(store, &m, &err), "an inference of %d s", i);
    }
    stat(path, &after);
    ok(before.st_size == after.st_size, "nothing is written yet");
    fine(accel_store_get_measured(store, &m.model, m.device_id, 2, "x=1x4", &measured, &err),
         "yet they count");
    ok(measured.count == 3 && fabs(measured.mean_s - 2) < 1e-9 && measured.min_s == 1 &&
           measured.max_s == 3 && fabs(measured.variance_s2 - 1) < 1e-9,
       "mean 2, from 1 to 3, variance 1");
    fine(accel_store_flush_measurements(store, &err), "they are written");
    m.run_s = 6;
    fine(accel_store_add_measurement(store, &m, &err), "another");
    accel_store_close(store);
    store = open_store();
    fine(accel_store_get_measured(store, &m.model, m.device_id, 2, "x=1x4", &measured, &err),
         "a restart later");
    ok(measured.count == 4 && fabs(measured.mean_s - 3) < 1e-9 && measured.max_s == 6,
       "all four count");
    fine(accel_store_get_measured(store, &m.model, m.device_id, 1, "x=1x4", &measured, &err),
         "with another number of threads");
    ok(measured.count == 0, "there are none");
    fine(accel_store_get_measured(store, &m.model, m.device_id, 2, "x=8x4", &measured, &err),
         "of another shape");
    ok(measured.count == 0, "nor of that");
    keeps_the_most_frequent_shapes(store, &m);
    m.run_s = NAN;
    ok(accel_store_add_measurement(store, &m, &err) == ACCEL_E_INVALID, "no time at all: %s",
       err.msg);
    accel_store_close(store);
}

int main(void)
{
    models_have_versions();
    jobs_run_and_end();
    rates_belong_to_a_driver_version();
    measurements_are_folded();
    return tap_done();
}
