/* SPDX-License-Identifier: Apache-2.0 */
#include "service_fixture.h"

static size_t devices(struct world *w)
{
    struct accel_bump mem = {0};
    const struct accel_device_filter any = {.leave_out_gone = true};
    const struct accel_page all = {0};
    struct accel_device *list;
    struct accel_error err;
    size_t count = 0;

    (void)accel_store_list_devices(w->store, &any, &all, &mem, &list, &count, &err);
    accel_bump_free(&mem);
    return count;
}

static struct accel_bump shown;

/* A module's state, in `shown` until the next call. */
static const struct accel_module_status *status(struct world *w, const char *name)
{
    struct accel_module_status *list;
    struct accel_error err;
    size_t count;

    accel_bump_free(&shown);
    if (accel_service_list_modules(w->service, &shown, &list, &count, &err) != ACCEL_OK)
        return NULL;
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i].name, name) == 0)
            return &list[i];
    return NULL;
}

static void what_modules_find_is_recorded(struct node *n)
{
    struct world *w = &n->world;
    struct accel_scan_result result;
    struct accel_error err = {0};

    ok(devices(w) == 3, "two FPGAs and the CPU are in the store when it is ready");
    const struct accel_module_status *s = status(w, "fake");
    ok(strcmp(s->state, "active") == 0 && s->devices == 2 && s->last_scan_at != NULL && s->pid > 0,
       "the module is active and says what it found");

    pthread_mutex_lock(&n->fake.lock);
    n->fake.devices = 3;
    n->fake.problem = true;
    pthread_mutex_unlock(&n->fake.lock);
    fake_changed(&n->fake);
    until(devices(w) == 4);
    ok(true, "news of a change bring the third");
    until((s = status(w, "fake"))->problems_count == 1);
    ok(strcmp(s->problems[0].where, "fake:9") == 0, "and what could not be read is told: %s",
       s->problems[0].reason);

    pthread_mutex_lock(&n->fake.lock);
    n->fake.devices = 2;
    pthread_mutex_unlock(&n->fake.lock);
    ok(accel_service_rescan(w->service, NULL, &result, &err) == ACCEL_OK && result.gone == 1 &&
           result.added == 0 && devices(w) == 3,
       "a rescan of all finds one gone %s", err.msg);
    ok(accel_service_rescan(w->service, "cpu", &result, &err) == ACCEL_OK && result.unchanged == 1,
       "a rescan of one module asks that one");
    ok(accel_service_rescan(w->service, "nobody", &result, &err) == ACCEL_E_NOT_FOUND, "%s",
       err.msg);
}

static void a_module_that_dies_in_a_scan(struct node *n)
{
    struct world *w = &n->world;
    struct accel_scan_result result;
    struct accel_error err = {0};

    fake_set(&n->fake, &n->fake.die_on_discover, true);
    ok(accel_service_rescan(w->service, "fake", &result, &err) == ACCEL_E_UNAVAILABLE,
       "costs that scan: %s", err.msg);
    fake_report_down(&n->fake, "killed by signal 11 (Segmentation fault)", false);
    pthread_join(n->fake.thread, NULL);
    const struct accel_module_status *s = status(w, "fake");
    ok(strcmp(s->state, "down") == 0 && strstr(s->reason, "signal 11") != NULL, "it is down: %s",
       s->reason);
    ok(devices(w) == 3, "what it had found stays on record");
    ok(accel_service_rescan(w->service, "fake", &result, &err) == ACCEL_E_UNAVAILABLE &&
           strstr(err.msg, "signal 11") != NULL,
       "asking it says so: %s", err.msg);

    n->fake.die_on_discover = false;
    const unsigned before = n->fake.discovers;
    module_start(&n->fake, w, "fake", 2);
    fake_wait(&n->fake, &n->fake.discovers, before + 1);
    until(strcmp((s = status(w, "fake"))->state, "active") == 0);
    ok(s->restarts == 1, "started again it is asked again");
}

static void a_quarantined_module_degrades_its_devices(struct node *n)
{
    struct accel_bump mem = {0};
    struct accel_device d = {0};
    struct accel_error err = {0};

    fake_report_down(&n->fake, "three failures in ten minutes", true);
    pthread_join(n->fake.thread, NULL);
    ok(strcmp(status(&n->world, "fake")->state, "quarantined") == 0, "it is shown as quarantined");
    until((accel_bump_free(&mem),
           service_find_device(n->world.service, "fake:0", &mem, &d, &err) == ACCEL_OK &&
               strcmp(d.health, "degraded") == 0));
    ok(strstr(d.health_reason, "three failures") != NULL, "its devices say why: %s",
       d.health_reason);
    accel_bump_free(&mem);
    ok(is_ready(&n->world), "the node goes on without it");
    module_start(&n->fake, &n->world, "fake", 2);
    until((accel_bump_free(&mem),
           service_find_device(n->world.service, "fake:0", &mem, &d, &err) == ACCEL_OK &&
               strcmp(d.health, "ok") == 0));
    ok(true, "a scan heals them");
    accel_bump_free(&mem);
}

static void readiness(void)
{
    struct world w;
    struct fake worker = {0}, cpu = {.hold = true}, fake = {.not_mine = true};
    char reason[256];

    world_new(&w, "");
    ok(!accel_service_ready(w.service, reason, sizeof(reason)), "not ready: %s", reason);
    worker_start(&worker, &w, "1");
    ok(!accel_service_ready(w.service, reason, sizeof(reason)) && strstr(reason, "module") != NULL,
       "not ready: %s", reason);
    module_start(&cpu, &w, "cpu", 1);
    module_start(&fake, &w, "fake", 0);
    fake_wait(&cpu, &cpu.discovers, 1);
    until(strcmp(status(&w, "fake")->state, "not-mine") == 0);
    const struct accel_module_status *none = status(&w, "fake");
    ok(strcmp(none->reason, "no such bus") == 0, "a module with nothing here: %s", none->reason);
    ok(!accel_service_ready(w.service, reason, sizeof(reason)) && strstr(reason, "cpu") != NULL,
       "not ready: %s", reason);
    fake_release(&cpu);
    until(is_ready(&w));
    ok(devices(&w) == 1, "ready when the first scan of each is in the store");
    fake_kill(&worker, "killed");
    ok(!accel_service_ready(w.service, reason, sizeof(reason)), "nor without a worker: %s", reason);
    world_close(&w);
    pthread_join(cpu.thread, NULL);
    pthread_join(fake.thread, NULL);
    remove_below(w.dir);
}

static void telemetry_is_sampled(void)
{
    struct node n;
    struct accel_bump mem = {0};
    struct accel_sample *samples = NULL;
    struct accel_error err;
    size_t count = 0;

    memset(&n, 0, sizeof(n));
    world_new(&n.world, "");
    n.fake.can_read = true;
    worker_start(&n.worker, &n.world, "1");
    module_start(&n.cpu, &n.world, "cpu", 1);
    module_start(&n.fake, &n.world, "fake", 1);
    until((accel_bump_free(&mem),
           accel_service_get_telemetry(n.world.service, &mem, &samples, &count, &err) == ACCEL_OK &&
               count == 1));
    ok(strcmp(samples[0].identity, "fake:0") == 0 && strcmp(samples[0].name, "power_watts") == 0 &&
           samples[0].value == 42,
       "the module that can read was read, and the sample is kept");
    accel_bump_free(&mem);
    node_free(&n);
}

/* A discovery under way when the daemon stops must not hold it up. */
static void stop_cuts_a_scan(void)
{
    struct node n;
    struct accel_error err;

    node_new(&n, "", 1);
    fake_set(&n.fake, &n.fake.hold, true);
    const unsigned before = fake_count(&n.fake, &n.fake.discovers);
    fake_changed(&n.fake);
    fake_wait(&n.fake, &n.fake.discovers, before + 1);
    const int64_t began = accel_now_ms();
    accel_service_stop(n.world.service, 50);
    ok(accel_now_ms() - began < 20000, "stopped while a module was being asked");
    struct accel_scan_result result;
    ok(accel_service_rescan(n.world.service, "fake", &result, &err) == ACCEL_E_UNAVAILABLE, "%s",
       err.msg);
    node_free(&n);
}

int main(void)
{
    struct node n;

    accel_log_init("test", 2);
    node_new(&n, "", 2);
    what_modules_find_is_recorded(&n);
    a_module_that_dies_in_a_scan(&n);
    a_quarantined_module_degrades_its_devices(&n);
    node_free(&n);
    readiness();
    telemetry_is_sampled();
    stop_cuts_a_scan();
    accel_bump_free(&shown);
    return tap_done();
}
